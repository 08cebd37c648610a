/*
 * Asynchronous generators.
 *
 * The body runs below whoever awaits a call on it, as an awaited coroutine does:
 * what it awaits is awaited by the whole chain. cede_agen_yield() takes it off
 * that chain again, suspended, and its value is what the await returns. So the
 * awaiter looks at what came back: a value, or the end of the body.
 */
#include <cede/agen.h>

#include <stdio.h>

#include "coro/alloc.h"
#include "coro/engine.h"

struct cede_agen {
	cede_coro_t coro;
};

/* cede_coro::agen_state, bits */
#define HAS_ITERATED 1u /* the first-iteration hook was told */
#define HAS_YIELDED  2u /* what came back last was a value */
#define IS_CLOSED    4u /* aclose was awaited */
#define IS_FINALISED 8u /* the finaliser hook was told */

enum call_kind { ASEND, ATHROW, ACLOSE };

struct cede_agen_call {
	cede_agen_t *agen;
	enum call_kind kind;
	int was_awaited;
	int code;
	void *value;
};

/* ---- objects ---- */

int
cede_agen_create_at(cede_agen_t **ret_agen, cede_fn *fn, void *arg,
	const cede_coro_options_t *options, const char *site)
{
	cede_coro_t *co;
	int r;

	if (!ret_agen)
		return CEDE_EINVAL;
	r = cede__coro_create(&co, CEDE__KIND_ASYNC_GENERATOR, fn, arg, options, site);
	if (r == 0)
		*ret_agen = cede__container_of(co, cede_agen_t, coro);
	return r;
}

int(cede_agen_create)(cede_agen_t **ret_agen, cede_fn *fn, void *arg,
	const cede_coro_options_t *options)
{
	return cede_agen_create_at(ret_agen, fn, arg, options, NULL);
}

cede_agen_t *
cede_agen_ref(cede_agen_t *agen)
{
	cede_coro_ref(&agen->coro);
	return agen;
}

cede_agen_t *
cede_agen_unref(cede_agen_t *agen)
{
	struct cede__thread *th = cede__thread_record;

	if (!agen)
		return NULL;
	if (agen->coro.refs == 1 && agen->coro.mode == CEDE__CORO_SUSPENDED && th &&
		th->agen_finaliser && !(agen->coro.agen_state & IS_FINALISED)) {
		agen->coro.agen_state |= IS_FINALISED;
		th->agen_finaliser(agen, th->agen_data);
	}
	cede_coro_unref(&agen->coro);
	return NULL;
}

enum cede_coro_state
cede_agen_state(const cede_agen_t *agen)
{
	return cede_coro_state(&agen->coro);
}

const char *
cede_agen_name(const cede_agen_t *agen)
{
	return cede_coro_name(&agen->coro);
}

int
cede_set_agen_hooks(cede_agen_hook_fn *first_iteration, cede_agen_hook_fn *finaliser, void *data)
{
	struct cede__thread *th = cede__thread();

	if (!th)
		return CEDE_ENOMEM;
	th->agen_first_iteration = first_iteration;
	th->agen_finaliser = finaliser;
	th->agen_data = data;
	return 0;
}

/* ---- inside ---- */

int
cede_agen_yield(void *value, void **ret_sent)
{
	cede_coro_t *self = cede__coro_current();

	if (!self)
		return CEDE_ENOTASK;
	if (self->kind != CEDE__KIND_ASYNC_GENERATOR)
		return CEDE_EINVAL;
	self->agen_state |= HAS_YIELDED;
	return cede__engine_yield_to_awaiter(self, value, ret_sent);
}

/* ---- calls ---- */

/* Python's `ag.asend(…)` itself, without an await: the hook hears of it. */
static void
call_init(cede_agen_call_t *call, cede_agen_t *agen, enum call_kind kind, void *value, int code)
{
	struct cede__thread *th = cede__thread();

	*call = (cede_agen_call_t){ .agen = agen, .kind = kind, .code = code, .value = value };
	if (agen->coro.agen_state & HAS_ITERATED)
		return;
	agen->coro.agen_state |= HAS_ITERATED;
	if (th && th->agen_first_iteration)
		th->agen_first_iteration(agen, th->agen_data);
}

static int
call_create(cede_agen_t *agen, enum call_kind kind, void *value, int code,
	cede_agen_call_t **ret_call)
{
	cede_agen_call_t *call = cede__alloc(sizeof *call);

	if (!call)
		return CEDE_ENOMEM;
	call_init(call, cede_agen_ref(agen), kind, value, code);
	*ret_call = call;
	return 0;
}

int
cede_agen_asend(cede_agen_t *agen, void *value, cede_agen_call_t **ret_call)
{
	return call_create(agen, ASEND, value, 0, ret_call);
}

int
cede_agen_athrow(cede_agen_t *agen, int code, cede_agen_call_t **ret_call)
{
	return code < 0 ? call_create(agen, ATHROW, NULL, code, ret_call) : CEDE_EINVAL;
}

int
cede_agen_aclose(cede_agen_t *agen, cede_agen_call_t **ret_call)
{
	return call_create(agen, ACLOSE, NULL, CEDE_EXIT, ret_call);
}

void
cede_agen_call_destroy(cede_agen_call_t *call)
{
	static const char *const methods[] = { "asend", "athrow", "aclose" };

	if (!call)
		return;
	if (!call->was_awaited)
		cede__warn_call_never_awaited(&call->agen->coro, methods[call->kind]);
	cede_agen_unref(call->agen);
	cede__free(call);
}

/* An error about the call itself, in CPython's words. */
static int
fail(const cede_agen_call_t *call, int code)
{
	static const char *const names[] = { "anext", "athrow", "aclose" };

	if (code == CEDE_EREUSED)
		return cede_raise(code, "cannot reuse already awaited %s",
			call->kind == ASEND ? "__anext__()/asend()" : "aclose()/athrow()");
	return cede_raise(code, "%s(): asynchronous generator is already running",
		names[call->kind]);
}

/* Says that it is over: a code without an error, whatever the last error was. */
static int
end_of_iteration(void)
{
	cede__error_clear(cede__thread_record);
	return CEDE_STOP_ASYNC;
}

/* What the body's end means to whoever awaits the call. */
static int
ended(const cede_agen_call_t *call, int code)
{
	if (call->kind == ACLOSE)
		return code == 0 || code == CEDE_EXIT || code == CEDE_STOP_ASYNC ? 0 : code;
	return code == 0 ? end_of_iteration() : code;
}

/* One that never ran has no place to throw into: it is closed, and the code comes back. */
static int
throw_unstarted(const cede_agen_call_t *call)
{
	struct cede__thread *th = cede__thread_record;
	const cede_coro_t *co = &call->agen->coro;

	cede__engine_close_unstarted(&call->agen->coro);
	cede__error_put(cede__error_slot(th, th->current),
		cede__engine_thrown(th, co, call->code, NULL));
	return ended(call, call->code);
}

/* May the call run? 1: yes; or what it returns at once. */
static int
admit_call(const cede_agen_call_t *call)
{
	const cede_coro_t *co = &call->agen->coro;

	if (call->was_awaited)
		return fail(call, CEDE_EREUSED);
	if (co->mode == CEDE__CORO_CLOSED)
		return call->kind == ASEND ? end_of_iteration() : 0;
	if (co->mode == CEDE__CORO_ACTIVE || co->mode == CEDE__CORO_AWAITED)
		return fail(call, CEDE_ERUNNING);
	if ((co->agen_state & IS_CLOSED) && call->kind != ASEND) /* who ignored it can be sent to */
		return end_of_iteration();
	if (co->mode == CEDE__CORO_CREATED && call->value)
		return cede_raise(CEDE_ENOTSTARTED,
			"can't send non-None value to a just-started async generator");
	return 1;
}

int
cede_await_agen(cede_agen_call_t *call, void **ret_value)
{
	cede_coro_t *co = &call->agen->coro;
	void *value = NULL;
	int r;

	if (!cede__coro_current())
		return CEDE_ENOTASK;
	if (ret_value)
		*ret_value = NULL;
	r = admit_call(call);
	call->was_awaited = 1;
	if (r != 1)
		return r;
	if (call->kind == ACLOSE)
		co->agen_state |= IS_CLOSED;
	if (call->code < 0 && co->mode == CEDE__CORO_CREATED)
		return throw_unstarted(call);

	co->agen_state &= (uint8_t)~HAS_YIELDED;
	r = cede__engine_run_child(co, call->code, call->value, &value);
	if (r < 0 || !(co->agen_state & HAS_YIELDED))
		return r < 0 && co->mode != CEDE__CORO_CLOSED ? r : ended(call, r);
	if (call->kind == ACLOSE) {
		cede__engine_dispose(co, value);
		return cede_raise(CEDE_EIGNORED, "async generator ignored GeneratorExit");
	}
	if (ret_value)
		*ret_value = value;
	else
		cede__engine_dispose(co, value);
	return 0;
}

int
cede_agen_next(cede_agen_t *agen, void **ret_value)
{
	cede_agen_call_t call;
	int r;

	call_init(&call, agen, ASEND, NULL, 0);
	r = cede_await_agen(&call, ret_value);
	if (r == CEDE_STOP_ASYNC)
		return 0;
	return r < 0 ? r : 1;
}

int
cede_agen_close(cede_agen_t *agen)
{
	cede_agen_call_t call;

	call_init(&call, agen, ACLOSE, NULL, CEDE_EXIT);
	return cede_await_agen(&call, NULL);
}
