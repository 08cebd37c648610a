/*
 * Every order of what can happen to one operation, by tests/support/interleave.h:
 * what libuv tells of, or another thread: work on the pool, requests, promises,
 * signals.
 *
 * A function on the pool has begun before anything happens, and waits at a gate.
 * To complete it is to open the gate and to wait until libuv has been told.
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#include <cede/remote.h>
#include <cede/uv.h>
#include <cede/work.h>

#include "tests/support/interleave.h"

TestSuite(interleavings_pool, .timeout = 120);

/* ---- the gate ---- */

static struct {
	sem_t entered, open;
	int ran, released;
} gate;

static void
gate_init(void)
{
	gate.ran = gate.released = 0;
	sem_init(&gate.entered, 0, 0);
	sem_init(&gate.open, 0, 0);
}

static void
gate_settle(void)
{
	while (sem_wait(&gate.entered))
		;
}

static int
pass(void *arg)
{
	sem_post(&gate.entered);
	while (sem_wait(&gate.open))
		;
	gate.ran++;
	return 5;
}

static void
release(void *arg)
{
	gate.released++;
}

static void
gate_open(void)
{
	sem_post(&gate.open);
	wait_for_libuv();
}

static void
gate_tear_down(int first)
{
	cr_assert_eq(gate.ran, 1);
	sem_destroy(&gate.entered);
	sem_destroy(&gate.open);
}

/* ---- work with a borrowed argument: the call waits for the function ---- */

static int
work_call(void)
{
	const int r = cede_work(pass, &gate);

	cr_assert_eq(gate.ran, 1, "the argument is still in use");
	return r;
}

static const struct operation a_work = {
	.set_up = gate_init,
	.settle = gate_settle,
	.call = work_call,
	.complete = gate_open,
	.tear_down = gate_tear_down,
	.on_complete = 5,
	.flags = IS_LATE | IS_HELD | IS_CALLED_ONLY,
};

INTERLEAVE(interleavings_pool, a_work)

/* ---- work that owns its argument ---- */

static cede_work_t work;

static int
owning_call(void)
{
	return cede_work_own(pass, &gate, release);
}

static void
owning_start(void)
{
	cr_assert_eq(cede_work_start(pass, &gate, release, &work), 0);
}

static cede_future_t *
owning_future(void)
{
	return &work.future;
}

static void
owning_tear_down(int first)
{
	cr_assert_eq(gate.released, first < 0, "the argument was released %d times", gate.released);
	gate_tear_down(first);
}

static const struct operation an_owning_work = {
	.set_up = gate_init,
	.settle = gate_settle,
	.call = owning_call,
	.start = owning_start,
	.future = owning_future,
	.complete = gate_open,
	.tear_down = owning_tear_down,
	.on_complete = 5,
	.flags = IS_LATE,
};

INTERLEAVE(interleavings_pool, an_owning_work)

/* ---- a request of libuv's ---- */

static cede_uv_op_t request;

static void
pass_in_libuv(uv_work_t *req)
{
	pass(NULL);
}

static int
request_begin(void)
{
	cr_assert_eq(cede_uv_begin(&request), 0);
	request.data = &gate;
	request.data_dtor = release;
	return uv_queue_work(&host, &request.req->work, pass_in_libuv, cede_uv_after_work_cb);
}

static int
request_call(void)
{
	const int r = cede_uv_await(&request, request_begin());

	cr_assert_eq(gate.ran, 1, "the request is still in use");
	return r;
}

static void
request_start(void)
{
	cr_assert_eq(cede_uv_started(&request, request_begin()), 0);
}

static cede_future_t *
request_future(void)
{
	return &request.future;
}

static void
request_after(int first)
{
	cr_assert_eq(request.req == NULL, run.shape == SELECTED && first < 0);
	cede_uv_end(&request);
}

static void
request_tear_down(int first)
{
	cr_assert_eq(gate.released, run.shape == SELECTED && first < 0);
	gate_tear_down(first);
}

static const struct operation a_request = {
	.set_up = gate_init,
	.settle = gate_settle,
	.call = request_call,
	.start = request_start,
	.future = request_future,
	.complete = gate_open,
	.after = request_after,
	.tear_down = request_tear_down,
	.flags = IS_LATE | IS_HELD,
};

INTERLEAVE(interleavings_pool, a_request)

/* ---- a promise ---- */

static cede_promised_t promised;
static cede_promise_t *promise;
static char value[] = "value";
static int resolved;

static void
promise_init(void)
{
	gate.released = 0;
	promise = NULL;
}

static void
promise_start(void)
{
	cr_assert_eq(cede_promise_create(&promised, release, &promise), 0);
}

static int
promise_call(void)
{
	promise_start();
	return cede_await(&promised.future);
}

static cede_future_t *
promise_future(void)
{
	return &promised.future;
}

static void *
keep_promise(void *arg)
{
	resolved = cede_promise_resolve(promise, 7, value);
	return NULL;
}

static void
promise_complete_here(void)
{
	keep_promise(NULL);
}

static void
promise_complete_there(void)
{
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, keep_promise, NULL), 0);
	pthread_join(thread, NULL);
}

/* The value is the task's, or was released: also when the loop was gone. */
static void
promise_tear_down(int first)
{
	cr_assert(resolved == 0 || (resolved == CEDE_ESHUTDOWN && first < 0));
	cr_assert_eq(promised.future.is_done, 1);
	cr_assert_eq(promised.future.value == value, first == 7);
	cr_assert_eq(gate.released, first != 7, "the value was released %d times", gate.released);
}

static const struct operation a_promise = {
	.set_up = promise_init,
	.call = promise_call,
	.start = promise_start,
	.future = promise_future,
	.complete = promise_complete_here,
	.tear_down = promise_tear_down,
	.on_complete = 7,
	.flags = IS_LATE,
};

INTERLEAVE(interleavings_pool, a_promise)

static const struct operation a_promise_of_a_thread = {
	.set_up = promise_init,
	.call = promise_call,
	.start = promise_start,
	.future = promise_future,
	.complete = promise_complete_there,
	.tear_down = promise_tear_down,
	.on_complete = 7,
	.flags = IS_LATE,
};

INTERLEAVE(interleavings_pool, a_promise_of_a_thread)

/* ---- a signal: one that is ignored where nobody waits for it ---- */

static cede_signal_t waited;

static void
signal_start(void)
{
	cr_assert_eq(cede_signal_start(SIGURG, &waited), 0);
}

static int
signal_call(void)
{
	return cede_signal_wait(SIGURG);
}

static cede_future_t *
signal_future(void)
{
	return &waited.future;
}

static void
signal_complete(void)
{
	cr_assert_eq(raise(SIGURG), 0);
}

/* Nobody waits any more: it does what it did before. */
static void
signal_after(int first)
{
	struct sigaction now;

	cr_assert_eq(sigaction(SIGURG, NULL, &now), 0);
	cr_assert(now.sa_handler == SIG_DFL, "the signal is still caught");
}

static const struct operation a_signal = {
	.call = signal_call,
	.start = signal_start,
	.future = signal_future,
	.complete = signal_complete,
	.after = signal_after,
	.on_complete = SIGURG,
	.flags = IS_LATE,
};

INTERLEAVE(interleavings_pool, a_signal)
