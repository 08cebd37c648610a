/*
 * cede in Lua, on luv's loop: coroutines of cede's, whose results go to callbacks. cede.lua
 * makes Lua's coroutines of these.
 *
 * A host is what a Lua state has: an attachment to the loop of its luv, made at the first
 * use. It ends with detach(), in the turns of the loop, or with the state: in __gc, before
 * luv's own, because what was made later is collected first.
 *
 * A task of Lua's is one call: a userdata that the registry holds as long as the task runs.
 * Happy path: a function of this module makes it, the task runs in the turns of the loop;
 * when it has ended, cede calls ended(), which calls back. A server is two tasks in a row:
 * one that listens, one that serves.
 *
 * Lua runs on the stack of the thread only, as callbacks of luv's do: a coroutine of cede's
 * never calls it, since an error of Lua's, a longjmp(), must not leave a coroutine. Errors in
 * callbacks go where those in luv's own go.
 */
#include <lauxlib.h>
#include <lua.h>
#include <luv/luv.h>

#include <cede/uv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/embed/jobs.h"

#define TASK "cede.task"

struct host {
	lua_State *lua;    /* the main coroutine of the state */
	cede_loop_t *loop; /* NULL: not attached */
	int on_detached;   /* in the registry; LUA_NOREF */
	int is_telling;    /* cede calls us, and we Lua */
	int is_ending;     /* the state is being closed: no Lua any more */
};

struct task {
	struct host *host;
	cede_fn *job;
	void (*call_back)(lua_State *lua, struct task *task, int result);
	cede_task_t *task; /* from when it runs until it has ended */
	int is_running, is_cancelled;
	int self, on_ready, on_end; /* in the registry; LUA_NOREF */
	char message[256];          /* what the job said when it failed; or "" */
	union {
		struct sleep_job sleep;
		struct fetch_job fetch;
		struct serve_job serve;
	} args;
};

static const char host_key; /* its address, in the registry */

/* ---- calling back ---- */

/* As luv calls its own callbacks. On the stack: the function and @count arguments. */
static void
call(lua_State *lua, int count)
{
	luv_context(lua)->cb_pcall(lua, count, 0, 0);
}

/* nil, or "ECONNREFUSED: 127.0.0.1:7000: connection refused". */
static void
push_error(lua_State *lua, const struct task *task, int result)
{
	if (result >= 0)
		lua_pushnil(lua);
	else
		lua_pushfstring(lua, "%s: %s", cede_err_name(result),
			task->message[0] ? task->message : cede_strerror(result));
}

static void
forget(lua_State *lua, int *ref)
{
	luaL_unref(lua, LUA_REGISTRYINDEX, *ref);
	*ref = LUA_NOREF;
}

/* on_end(error) */
static void
tell_end(lua_State *lua, struct task *task, int result)
{
	if (task->on_end == LUA_NOREF)
		return;
	lua_rawgeti(lua, LUA_REGISTRYINDEX, task->on_end);
	push_error(lua, task, result);
	call(lua, 1);
}

/* on_end(error, line) */
static void
tell_line(lua_State *lua, struct task *task, int result)
{
	lua_rawgeti(lua, LUA_REGISTRYINDEX, task->on_end);
	push_error(lua, task, result);
	if (result >= 0)
		lua_pushlstring(lua, task->args.fetch.reply, task->args.fetch.reply_size);
	call(lua, result >= 0 ? 2 : 1);
}

static void ended(int result, void *data);
static int run(void *arg);

/* on_ready(error, address). It listens; from here on it serves. */
static void
tell_address(lua_State *lua, struct task *task, int result)
{
	if (result >= 0) {
		task->job = job_serve_echo;
		task->call_back = tell_end;
		result = cede_start(task->host->loop, run, task, ended, task);
		task->is_running = result >= 0;
	}
	lua_rawgeti(lua, LUA_REGISTRYINDEX, task->on_ready);
	forget(lua, &task->on_ready);
	push_error(lua, task, result);
	if (result >= 0)
		lua_pushstring(lua, task->args.serve.address);
	call(lua, result >= 0 ? 2 : 1);
}

static void
free_args(struct task *task)
{
	if (task->job == job_fetch_line) {
		free(task->args.fetch.line);
		free(task->args.fetch.reply);
	} else if (task->job == job_listen || task->job == job_serve_echo) {
		cede_listener_close(task->args.serve.listener);
	}
	memset(&task->args, 0, sizeof task->args);
}

static void
ended(int result, void *data)
{
	struct task *task = data;
	lua_State *lua = task->host->lua;

	task->task = cede_task_unref(task->task);
	task->is_running = 0;
	if (!task->host->is_ending) {
		task->host->is_telling = 1;
		task->call_back(lua, task, result);
		task->host->is_telling = 0;
	}
	if (task->is_running)
		return; /* the second of the two */
	free_args(task);
	if (task->host->is_ending)
		return; /* the registry goes with the state */
	forget(lua, &task->on_end);
	forget(lua, &task->self); /* it may be collected now */
}

/* ---- tasks ---- */

static int
run(void *arg)
{
	struct task *task = arg;
	int r;

	task->task = cede_task_ref(cede_task_current());
	if (task->is_cancelled)
		return CEDE_EXIT;
	r = task->job(&task->args);
	if (r < 0 && !cede_is_cancel(r))
		strncpy(task->message, cede_error_text(r), sizeof task->message - 1);
	return r;
}

static void
detached(void *data)
{
	struct host *host = data;

	host->loop = NULL;
	if (host->is_ending || host->on_detached == LUA_NOREF)
		return;
	lua_rawgeti(host->lua, LUA_REGISTRYINDEX, host->on_detached);
	forget(host->lua, &host->on_detached);
	call(host->lua, 0);
}

/* The state is closed. Not where cede has called us: it would never come to its end. */
static int
collect_host(lua_State *lua)
{
	struct host *host = lua_touserdata(lua, 1);
	uv_loop_t *uv = host->loop ? cede_loop_uv(host->loop) : NULL;

	if (host->is_telling) {
		fprintf(stderr,
			"cede: the state is closed in a callback of cede's: there it is "
			"os.exit(code), or uv.stop()\n");
		abort();
	}
	host->is_ending = 1;
	if (host->loop)
		cede_detach_start(host->loop, detached, host); /* or it is under way */
	while (host->loop)
		uv_run(uv, UV_RUN_ONCE);
	return 0;
}

static struct host *
get_host(lua_State *lua)
{
	struct host *host;

	lua_rawgetp(lua, LUA_REGISTRYINDEX, &host_key);
	host = lua_touserdata(lua, -1);
	lua_pop(lua, 1);
	if (!host->loop) {
		int r = cede_attach(&host->loop, luv_loop(lua), NULL);

		if (r < 0)
			luaL_error(lua, "cede: %s", cede_strerror(r));
	}
	return host;
}

/* Makes a task and leaves it on the stack; @on_end is the index of a function, or 0. */
static struct task *
create(lua_State *lua, cede_fn *job, int on_end)
{
	struct task *task;

	if (on_end)
		luaL_checktype(lua, on_end, LUA_TFUNCTION);
	task = lua_newuserdatauv(lua, sizeof *task, 0);
	*task = (struct task){
		.host = get_host(lua),
		.job = job,
		.call_back = tell_end,
		.self = LUA_NOREF,
		.on_ready = LUA_NOREF,
		.on_end = LUA_NOREF,
	};
	luaL_setmetatable(lua, TASK);
	if (on_end) {
		lua_pushvalue(lua, on_end);
		task->on_end = luaL_ref(lua, LUA_REGISTRYINDEX);
	}
	return task;
}

/* Starts what is on top of the stack and returns it to Lua. */
static int
start(lua_State *lua, struct task *task)
{
	int r;

	lua_pushvalue(lua, -1);
	task->self = luaL_ref(lua, LUA_REGISTRYINDEX);
	r = cede_start(task->host->loop, run, task, ended, task);
	if (r < 0) {
		free_args(task);
		forget(lua, &task->on_ready);
		forget(lua, &task->on_end);
		forget(lua, &task->self);
		return luaL_error(lua, "cede: %s", cede_strerror(r));
	}
	task->is_running = 1;
	return 1;
}

/* ---- the functions of the module ---- */

static uint64_t
check_milliseconds(lua_State *lua, int index)
{
	const lua_Number ms = luaL_checknumber(lua, index);

	return ms >= 1 ? ms < 9007199254740992.0 ? (uint64_t)ms : UINT64_MAX : 0;
}

/* sleep(ms, on_end) */
static int
sleep_lua(lua_State *lua)
{
	const uint64_t delay_ms = check_milliseconds(lua, 1);
	struct task *task = create(lua, job_sleep, 2);

	task->args.sleep.delay_ms = delay_ms;
	return start(lua, task);
}

static const char *
check_address(lua_State *lua, int index)
{
	size_t size;
	const char *address = luaL_checklstring(lua, index, &size);

	luaL_argcheck(lua, size < JOB_ADDRESS_SIZE, index, "not an address");
	return address;
}

/* fetch_line(address, line, timeout_ms, on_end) */
static int
fetch_line_lua(lua_State *lua)
{
	const char *address = check_address(lua, 1);
	size_t size;
	const char *line = luaL_checklstring(lua, 2, &size);
	const uint64_t timeout_ms = check_milliseconds(lua, 3);
	struct task *task = create(lua, job_fetch_line, 4);
	struct fetch_job *job = &task->args.fetch;

	strcpy(job->address, address);
	job->timeout_ms = timeout_ms;
	job->line_size = size + 1;
	job->line = malloc(job->line_size);
	if (!job->line) {
		forget(lua, &task->on_end);
		return luaL_error(lua, "cede: %s", cede_strerror(CEDE_ENOMEM));
	}
	memcpy(job->line, line, size);
	job->line[size] = '\n';
	task->call_back = tell_line;
	return start(lua, task);
}

/* serve_echo(address, on_ready, [on_end]) */
static int
serve_echo_lua(lua_State *lua)
{
	const char *address = check_address(lua, 1);
	struct task *task;

	luaL_checktype(lua, 2, LUA_TFUNCTION);
	task = create(lua, job_listen, lua_isnoneornil(lua, 3) ? 0 : 3);
	lua_pushvalue(lua, 2);
	task->on_ready = luaL_ref(lua, LUA_REGISTRYINDEX);
	strcpy(task->args.serve.address, address);
	task->call_back = tell_address;
	return start(lua, task);
}

/* task:cancel(): was it asked to end? */
static int
cancel_lua(lua_State *lua)
{
	struct task *task = luaL_checkudata(lua, 1, TASK);
	int is_asked = 0;

	if (task->is_running && !task->is_cancelled) {
		task->is_cancelled = 1; /* seen by a task that has not started */
		is_asked = !task->task || cede_task_cancel(task->task);
	}
	lua_pushboolean(lua, is_asked);
	return 1;
}

/* detach([on_detached]): cancels all, lets go of the loop. A later call attaches again. */
static int
detach_lua(lua_State *lua)
{
	struct host *host = get_host(lua);
	int on_detached = LUA_NOREF, r;

	if (!lua_isnoneornil(lua, 1)) {
		luaL_checktype(lua, 1, LUA_TFUNCTION);
		lua_settop(lua, 1);
		on_detached = luaL_ref(lua, LUA_REGISTRYINDEX);
	}
	r = cede_detach_start(host->loop, detached, host);
	if (r < 0) {
		forget(lua, &on_detached);
		return luaL_error(lua, "cede: %s", cede_strerror(r));
	}
	host->on_detached = on_detached;
	return 0;
}

static void
create_host(lua_State *lua)
{
	struct host *host = lua_newuserdatauv(lua, sizeof *host, 0);

	*host = (struct host){ .on_detached = LUA_NOREF };
	lua_rawgeti(lua, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
	host->lua = lua_tothread(lua, -1);
	lua_pop(lua, 1);
	lua_createtable(lua, 0, 1);
	lua_pushcfunction(lua, collect_host);
	lua_setfield(lua, -2, "__gc");
	lua_setmetatable(lua, -2);
	lua_rawsetp(lua, LUA_REGISTRYINDEX, &host_key);
}

__attribute__((visibility("default"))) int luaopen_cede_core(lua_State *lua);

int
luaopen_cede_core(lua_State *lua)
{
	static const luaL_Reg functions[] = {
		{ "sleep", sleep_lua },
		{ "fetch_line", fetch_line_lua },
		{ "serve_echo", serve_echo_lua },
		{ "detach", detach_lua },
		{ NULL, NULL },
	};

	luv_loop(lua); /* luv's own is made before ours, so it is collected after */
	create_host(lua);
	luaL_newmetatable(lua, TASK);
	lua_pushvalue(lua, -1);
	lua_setfield(lua, -2, "__index");
	lua_pushcfunction(lua, cancel_lua);
	lua_setfield(lua, -2, "cancel");
	lua_pop(lua, 1);
	luaL_newlib(lua, functions);
	return 1;
}
