/*
 * cede in Node.js: coroutines on Node's own loop, whose results are promises.
 *
 * An instance is what an environment of Node's has (the main thread, each Worker): an
 * attachment to its loop. It ends with the environment, in a cleanup hook: the loop is
 * detached in the turns that Node gives it there, and Node waits until that is done.
 *
 * A call is one task with one promise. Happy path: a function of this module makes both,
 * returns the promise, and the task runs in the turns of the loop; when it has ended, cede
 * calls settled(), which resolves or rejects. Two hold the call: the task, and the promise
 * until it is collected, so that a cancel that comes late finds a call and not a hole.
 *
 * JavaScript runs on the stack of the thread only: V8 takes any other for an overflow. A
 * coroutine never calls it; what it has for JavaScript is its result. cede calls settled()
 * outside all coroutines.
 *
 * After the cleanup hook has begun no JavaScript runs: calls are ended and freed then,
 * and their promises stay pending for ever, as all of Node's do.
 */
#define NAPI_VERSION 8
#include <node_api.h>

#include <cede/uv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/embed/jobs.h"

struct instance {
	napi_env env;
	cede_loop_t *loop;
	napi_async_cleanup_hook_handle hook;
	int is_ending;
};

struct call {
	unsigned refs; /* of the task and of the promise */
	struct instance *instance;
	cede_fn *job;
	napi_status (*make_value)(napi_env env, struct call *call, napi_value *ret_value);
	void (*deinit)(struct call *call);
	napi_deferred deferred;
	napi_async_context context;
	cede_task_t *task; /* from when it runs until it has ended */
	int is_cancelled;
	char message[256]; /* what the job said when it failed; or "" */
	union {
		struct sleep_job sleep;
		struct fetch_job fetch;
		struct serve_job serve;
	} args;
};

static const napi_type_tag call_tag = { 0x7ab1f2f0c3a94b6e, 0x9d1c5be08f1724aa };

/* ---- values ---- */

/* Has it gone well? Throws what went wrong otherwise, unless something is being thrown. */
static int
is_ok(napi_env env, napi_status status)
{
	const napi_extended_error_info *info;
	const char *message;
	bool is_throwing = false;

	if (status == napi_ok)
		return 1;
	napi_get_last_error_info(env, &info);
	message = info->error_message; /* the next call forgets it */
	napi_is_exception_pending(env, &is_throwing);
	if (!is_throwing)
		napi_throw_type_error(env, NULL, message ? message : "cede: N-API failed");
	return 0;
}

/* An Error with the properties code, "ECONNREFUSED", and errno, as those of Node have. */
static napi_status
make_error(napi_env env, int code, const char *message, napi_value *ret_error)
{
	napi_value name, text, number;
	napi_status status =
		napi_create_string_utf8(env, cede_err_name(code), NAPI_AUTO_LENGTH, &name);

	if (status == napi_ok)
		status = napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text);
	if (status == napi_ok)
		status = napi_create_error(env, name, text, ret_error);
	if (status == napi_ok)
		status = napi_create_int32(env, code, &number);
	if (status == napi_ok)
		status = napi_set_named_property(env, *ret_error, "errno", number);
	return status;
}

static void
throw_code(napi_env env, int code)
{
	napi_value error;

	if (make_error(env, code, cede_strerror(code), &error) == napi_ok)
		napi_throw(env, error);
}

static napi_status
make_undefined(napi_env env, struct call *call, napi_value *ret_value)
{
	return napi_get_undefined(env, ret_value);
}

/* ---- calls ---- */

static void
unref_call(struct call *call)
{
	if (--call->refs == 0)
		free(call);
}

/* The task has ended, or will not be: what the job had goes, also while a promise holds the call. */
static void
end_call(struct call *call)
{
	if (call->deinit)
		call->deinit(call);
	call->deinit = NULL;
	unref_call(call);
}

static void
promise_collected(napi_env env, void *data, void *hint)
{
	unref_call(data);
}

static void
settle(struct call *call, int result)
{
	napi_env env = call->instance->env;
	napi_deferred deferred = call->deferred;
	napi_value value;

	call->deferred = NULL;
	if (result >= 0 && call->make_value(env, call, &value) == napi_ok) {
		napi_resolve_deferred(env, deferred, value);
		return;
	}
	if (result >= 0) { /* making the value has failed: the promise tells */
		result = CEDE_ENOMEM;
		if (napi_get_and_clear_last_exception(env, &value) == napi_ok) {
			napi_reject_deferred(env, deferred, value);
			return;
		}
	}
	if (make_error(env, result, call->message[0] ? call->message : cede_strerror(result),
		    &value) == napi_ok)
		napi_reject_deferred(env, deferred, value);
}

/*
 * The task has ended. A callback scope is what makes Node run what is waiting for the
 * promise when we return, as after any callback of its own.
 */
static void
settled(int result, void *data)
{
	struct call *call = data;
	napi_env env = call->instance->env;
	napi_handle_scope handles;
	napi_callback_scope callback;

	call->task = cede_task_unref(call->task);
	if (!call->instance->is_ending && napi_open_handle_scope(env, &handles) == napi_ok) {
		if (napi_open_callback_scope(env, NULL, call->context, &callback) == napi_ok) {
			settle(call, result);
			napi_close_callback_scope(env, callback);
		}
		napi_async_destroy(env, call->context);
		napi_close_handle_scope(env, handles);
	}
	end_call(call);
}

/* The body of every task. */
static int
run(void *arg)
{
	struct call *call = arg;
	int r;

	call->task = cede_task_ref(cede_task_current());
	if (call->is_cancelled)
		return CEDE_EXIT;
	r = call->job(&call->args);
	if (r < 0 && !cede_is_cancel(r))
		snprintf(call->message, sizeof call->message, "%s", cede_error_text(r));
	return r;
}

static struct call *
create_call(struct instance *instance, cede_fn *job)
{
	struct call *call = calloc(1, sizeof *call);

	if (!call)
		return NULL;
	call->refs = 1;
	call->instance = instance;
	call->job = job;
	call->make_value = make_undefined;
	return call;
}

static napi_status
make_promise(napi_env env, struct call *call, napi_value *ret_promise)
{
	napi_value name;
	napi_status status = napi_create_promise(env, &call->deferred, ret_promise);

	if (status == napi_ok)
		status = napi_create_string_utf8(env, "cede", NAPI_AUTO_LENGTH, &name);
	if (status == napi_ok)
		status = napi_async_init(env, NULL, name, &call->context);
	if (status == napi_ok)
		status = napi_type_tag_object(env, *ret_promise, &call_tag);
	if (status == napi_ok)
		status = napi_wrap(env, *ret_promise, call, promise_collected, NULL, NULL);
	if (status == napi_ok)
		call->refs++;
	return status;
}

/* Starts the task; takes the call over in every case. NULL: something is being thrown. */
static napi_value
start(napi_env env, struct call *call)
{
	napi_value promise = NULL;
	int r;

	if (!is_ok(env, make_promise(env, call, &promise))) {
		end_call(call);
		return NULL;
	}
	r = cede_start(call->instance->loop, run, call, settled, call);
	if (r < 0) {
		settle(call, r);
		napi_async_destroy(env, call->context);
		end_call(call);
	}
	return promise;
}

/* ---- the functions of the module ---- */

/* The arguments of a call from JavaScript, and a call of ours to put them in. NULL: thrown. */
static struct call *
begin(napi_env env, napi_callback_info info, cede_fn *job, size_t count, napi_value *ret_args)
{
	struct instance *instance;
	struct call *call;
	size_t given = count;

	if (!is_ok(env, napi_get_cb_info(env, info, &given, ret_args, NULL, NULL)) ||
		!is_ok(env, napi_get_instance_data(env, (void **)&instance)))
		return NULL;
	if (given < count) {
		napi_throw_type_error(env, NULL, "an argument is missing");
		return NULL;
	}
	call = create_call(instance, job);
	if (!call)
		throw_code(env, CEDE_ENOMEM);
	return call;
}

static int
get_milliseconds(napi_env env, napi_value value, uint64_t *ret_ms)
{
	double ms;

	if (!is_ok(env, napi_get_value_double(env, value, &ms)))
		return 0;
	*ret_ms = ms >= 1 ? ms < 9007199254740992.0 ? (uint64_t)ms : UINT64_MAX : 0;
	return 1;
}

static int
get_address(napi_env env, napi_value value, char ret_address[JOB_ADDRESS_SIZE])
{
	size_t size;

	if (!is_ok(env, napi_get_value_string_utf8(env, value, NULL, 0, &size)))
		return 0;
	if (size >= JOB_ADDRESS_SIZE) {
		napi_throw_type_error(env, NULL, "not an address");
		return 0;
	}
	return is_ok(env,
		napi_get_value_string_utf8(env, value, ret_address, JOB_ADDRESS_SIZE, &size));
}

/* sleep(ms): Promise<undefined> */
static napi_value
sleep_js(napi_env env, napi_callback_info info)
{
	napi_value args[1];
	struct call *call = begin(env, info, job_sleep, 1, args);

	if (!call)
		return NULL;
	if (!get_milliseconds(env, args[0], &call->args.sleep.delay_ms)) {
		end_call(call);
		return NULL;
	}
	return start(env, call);
}

static napi_status
make_reply(napi_env env, struct call *call, napi_value *ret_value)
{
	return napi_create_string_utf8(env, call->args.fetch.reply, call->args.fetch.reply_size,
		ret_value);
}

static void
deinit_fetch(struct call *call)
{
	free(call->args.fetch.line);
	free(call->args.fetch.reply);
}

static int
get_line(napi_env env, napi_value value, struct fetch_job *job)
{
	size_t size;

	if (!is_ok(env, napi_get_value_string_utf8(env, value, NULL, 0, &size)))
		return 0;
	job->line = malloc(size + 2);
	if (!job->line) {
		throw_code(env, CEDE_ENOMEM);
		return 0;
	}
	if (!is_ok(env, napi_get_value_string_utf8(env, value, job->line, size + 1, &size)))
		return 0;
	job->line[size] = '\n';
	job->line_size = size + 1;
	return 1;
}

/* fetchLine(address, line, timeoutMs): Promise<string> */
static napi_value
fetch_line_js(napi_env env, napi_callback_info info)
{
	napi_value args[3];
	struct call *call = begin(env, info, job_fetch_line, 3, args);

	if (!call)
		return NULL;
	call->deinit = deinit_fetch;
	call->make_value = make_reply;
	if (!get_address(env, args[0], call->args.fetch.address) ||
		!get_line(env, args[1], &call->args.fetch) ||
		!get_milliseconds(env, args[2], &call->args.fetch.timeout_ms)) {
		end_call(call);
		return NULL;
	}
	return start(env, call);
}

static void
deinit_serve(struct call *call)
{
	cede_listener_close(call->args.serve.listener);
}

/*
 * It listens. A second task serves from here on: its promise is that of the server's end.
 * The value is { address, closed }.
 */
static napi_status
make_server(napi_env env, struct call *listening, napi_value *ret_value)
{
	struct call *call = create_call(listening->instance, job_serve_echo);
	napi_value address, closed;
	napi_status status;

	if (!call)
		return napi_generic_failure;
	call->deinit = deinit_serve;
	call->args.serve = listening->args.serve;
	listening->args.serve.listener = NULL;
	closed = start(env, call);
	if (!closed)
		return napi_pending_exception;
	status = napi_create_object(env, ret_value);
	if (status == napi_ok)
		status = napi_create_string_utf8(env, listening->args.serve.address,
			NAPI_AUTO_LENGTH, &address);
	if (status == napi_ok)
		status = napi_set_named_property(env, *ret_value, "address", address);
	if (status == napi_ok)
		status = napi_set_named_property(env, *ret_value, "closed", closed);
	return status;
}

/* serveEcho(address): Promise<{ address, closed }> */
static napi_value
serve_echo_js(napi_env env, napi_callback_info info)
{
	napi_value args[1];
	struct call *call = begin(env, info, job_listen, 1, args);

	if (!call)
		return NULL;
	call->deinit = deinit_serve;
	call->make_value = make_server;
	if (!get_address(env, args[0], call->args.serve.address)) {
		end_call(call);
		return NULL;
	}
	return start(env, call);
}

/* cancel(promise): boolean. Asks the task behind a promise of this module to end. */
static napi_value
cancel_js(napi_env env, napi_callback_info info)
{
	napi_value args[1], value;
	size_t count = 1;
	bool is_call = false, is_asked = false;
	struct call *call;

	if (!is_ok(env, napi_get_cb_info(env, info, &count, args, NULL, NULL)))
		return NULL;
	if (count < 1 || napi_check_object_type_tag(env, args[0], &call_tag, &is_call) != napi_ok ||
		!is_call) {
		napi_throw_type_error(env, NULL, "not a promise of this module");
		return NULL;
	}
	if (!is_ok(env, napi_unwrap(env, args[0], (void **)&call)))
		return NULL;
	if (call->deferred && !call->is_cancelled) {
		call->is_cancelled = 1; /* seen by a task that has not started */
		is_asked = !call->task || cede_task_cancel(call->task);
	}
	return is_ok(env, napi_get_boolean(env, is_asked, &value)) ? value : NULL;
}

/* ---- the environment ---- */

static void
detached(void *data)
{
	struct instance *instance = data;

	napi_remove_async_cleanup_hook(instance->hook); /* now Node goes on */
	free(instance);
}

static void
environment_ends(napi_async_cleanup_hook_handle hook, void *data)
{
	struct instance *instance = data;

	instance->is_ending = 1;
	cede_detach_start(instance->loop, detached, instance);
}

static napi_status
create_instance(napi_env env)
{
	struct instance *instance = calloc(1, sizeof *instance);
	uv_loop_t *uv;
	napi_status status;

	if (!instance)
		return napi_generic_failure;
	instance->env = env;
	status = napi_get_uv_event_loop(env, &uv);
	if (status == napi_ok && cede_attach(&instance->loop, uv, NULL) < 0)
		status = napi_generic_failure;
	if (status != napi_ok) {
		free(instance);
		return status;
	}
	status = napi_set_instance_data(env, instance, NULL, NULL);
	if (status == napi_ok)
		status = napi_add_async_cleanup_hook(env, environment_ends, instance,
			&instance->hook);
	if (status != napi_ok)
		cede_detach_start(instance->loop, free, instance);
	return status;
}

NAPI_MODULE_INIT()
{
	const napi_property_descriptor functions[] = {
		{ .utf8name = "sleep", .method = sleep_js, .attributes = napi_enumerable },
		{ .utf8name = "fetchLine", .method = fetch_line_js, .attributes = napi_enumerable },
		{ .utf8name = "serveEcho", .method = serve_echo_js, .attributes = napi_enumerable },
		{ .utf8name = "cancel", .method = cancel_js, .attributes = napi_enumerable },
	};

	if (!is_ok(env, create_instance(env)) ||
		!is_ok(env,
			napi_define_properties(env, exports, sizeof functions / sizeof *functions,
				functions)))
		return NULL;
	return exports;
}
