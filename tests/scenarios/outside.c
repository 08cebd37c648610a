/* Scenarios of what comes from outside: signals, the thread pool, threads, libuv. */
#include "tests/scenarios/scenario.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include <cede/uv.h>

/* ---- signals ---- */

static int
heed(void *arg)
{
	int *is_heeding = arg, r = 0;

	for (int i = 0; i < 3 && r >= 0; i++) {
		*is_heeding = 1;
		r = cede_signal_wait(SIGUSR1);
		*is_heeding = 0;
	}
	return r < 0 ? r : 0;
}

static int
signals(void *arg)
{
	int is_heeding = 0, r;
	CEDE_GROUP(group);

	r = cede_spawn(&group, heed, &is_heeding);
	for (int i = 0; i < 5 && r == 0; i++) {
		r = cede_sleep(10);
		if (is_heeding)
			raise(SIGUSR1);
	}
	cede_group_cancel(&group);
	return r < 0 ? r : cede_group_wait(&group);
}

/* ---- the thread pool ---- */

static int
compute(void *arg)
{
	return ++*(int *)arg;
}

static int
compute_often(void *arg)
{
	int n = 0, r = 0;

	for (int i = 0; i < 3 && r >= 0; i++)
		r = cede_work(compute, &n);
	require(r < 0 || n == 3);
	return r < 0 ? r : 0;
}

static int
work_that_borrows(void *arg)
{
	int r = 0;
	CEDE_GROUP(group);

	for (int i = 0; i < 6 && r == 0; i++)
		r = cede_spawn(&group, compute_often, NULL);
	return r < 0 ? r : cede_group_wait(&group);
}

static int
work_that_owns(void *arg)
{
	int r = 0;

	for (int i = 0; i < 4 && r >= 0; i++) {
		int *n = calloc(1, sizeof *n);

		require(n);
		CEDE_TIMEOUT(1000) {
			r = cede_work_own(compute, n, free);
		}
		if (r >= 0)
			free(n);
	}
	return r < 0 ? r : 0;
}

/* ---- threads ---- */

static void *
keep_promise(void *promise)
{
	cede_promise_resolve(promise, 0, malloc(8));
	return NULL;
}

static int
await_promise(void)
{
	cede_promised_t answer;
	cede_promise_t *promise;
	pthread_t thread;
	int r = cede_promise_create(&answer, free, &promise);

	if (r < 0)
		return r;
	require(pthread_create(&thread, NULL, keep_promise, promise) == 0);
	r = cede_await(&answer.future);
	if (r == 0)
		free(answer.future.value);
	pthread_join(thread, NULL);
	return r;
}

static int
promises_of_threads(void *arg)
{
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++)
		r = await_promise();
	return r;
}

struct caller {
	cede_remote_t *remote;
	cede_event_t called, started;
	int calls_failed;
};

static void
note_call(void *arg)
{
	cede_event_set(&((struct caller *)arg)->called);
}

static int
note_start(void *arg)
{
	cede_event_set(&((struct caller *)arg)->started);
	return 0;
}

static void
note_end(int result, void *arg)
{
	cede_event_set(&((struct caller *)arg)->started);
}

static void *
call_from_outside(void *arg)
{
	struct caller *caller = arg;

	caller->calls_failed = cede_remote_call(caller->remote, note_call, caller) < 0 ||
		cede_remote_start(caller->remote, note_start, caller, note_end, caller) < 0;
	return NULL;
}

static int
calls_from_a_thread(void *arg)
{
	/* Not on the stack: what was posted is delivered although the task has ended. */
	static struct caller caller;
	pthread_t thread;
	int r = 0;

	caller = (struct caller){ .called = CEDE_EVENT_INIT, .started = CEDE_EVENT_INIT };
	caller.remote = cede_loop_remote(cede_loop_current());
	if (!caller.remote)
		return CEDE_ENOMEM;
	require(pthread_create(&thread, NULL, call_from_outside, &caller) == 0);
	pthread_join(thread, NULL);
	cede_remote_unref(caller.remote);
	if (caller.calls_failed)
		return CEDE_ENOMEM;
	/* A message that waits does not keep the loop alive: something must. */
	CEDE_TIMEOUT(1000) {
		r = cede_event_wait(&caller.called);
		if (r == 0)
			r = cede_event_wait(&caller.started);
	}
	return r;
}

/* ---- libuv's requests ---- */

static int
read_a_file(void *arg)
{
	uv_loop_t *uv = cede_loop_uv(cede_loop_current());
	char byte;
	uv_buf_t buf = uv_buf_init(&byte, 1);
	cede_uv_op_t op;
	int fd, r = cede_uv_begin(&op);

	if (r == 0)
		r = cede_uv_await(&op,
			uv_fs_open(uv, &op.req->fs, "/dev/zero", O_RDONLY, 0, cede_uv_fs_cb));
	cede_uv_end(&op);
	if (r < 0)
		return r;
	fd = r;
	r = cede_uv_begin(&op);
	if (r == 0)
		r = cede_uv_await(&op, uv_fs_read(uv, &op.req->fs, fd, &buf, 1, 0, cede_uv_fs_cb));
	cede_uv_end(&op);
	{
		uv_fs_t close_req;

		uv_fs_close(uv, &close_req, fd, NULL);
		uv_fs_req_cleanup(&close_req);
	}
	return r < 0 ? r : 0;
}

static int
select_over_requests(void *arg)
{
	uv_loop_t *uv = cede_loop_uv(cede_loop_current());
	cede_uv_op_t a, b;
	int r = cede_uv_begin(&a);

	if (r == 0)
		r = cede_uv_started(&a, uv_fs_stat(uv, &a.req->fs, "/", cede_uv_fs_cb));
	if (r == 0) {
		r = cede_uv_begin(&b);
		if (r == 0)
			r = cede_uv_started(&b, uv_fs_stat(uv, &b.req->fs, "/", cede_uv_fs_cb));
		if (r == 0)
			r = cede_select(2, (cede_future_t *[]){ &a.future, &b.future });
		cede_uv_end(&b);
	}
	cede_uv_end(&a);
	return r < 0 ? r : cede_sleep(1);
}

static int
requests_of_libuv(void *arg)
{
	int r = 0;
	CEDE_GROUP(group);

	for (int i = 0; i < 3 && r == 0; i++)
		r = cede_spawn(&group, i == 1 ? select_over_requests : read_a_file, NULL);
	return r < 0 ? r : cede_group_wait(&group);
}

const struct scenario scenarios[] = {
	{ "signals", signals, 0, NULL },
	{ "work_that_borrows", work_that_borrows, TALKS_OUTSIDE, NULL },
	{ "work_that_owns", work_that_owns, TALKS_OUTSIDE, NULL },
	{ "promises_of_threads", promises_of_threads, TALKS_OUTSIDE, NULL },
	{ "calls_from_a_thread", calls_from_a_thread, 0, NULL },
	{ "requests_of_libuv", requests_of_libuv, TALKS_OUTSIDE, NULL },
	{ NULL, NULL, 0, NULL },
};
