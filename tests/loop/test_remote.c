/*
 * loop/remote.c: calls, tasks and promises from other threads; loops that are gone.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <cede/remote.h>
#include <cede/uv.h>

#include "tests/support/run.h"

#include "tests/support/fault.h"
#include "tests/support/order.h"

TestSuite(remote, .timeout = 60);

typedef void *thread_fn(void *arg);

static pthread_t
start_thread(thread_fn *fn, void *arg)
{
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, fn, arg), 0);
	return thread;
}

static void
join_thread(pthread_t thread)
{
	cr_assert_eq(pthread_join(thread, NULL), 0);
}

struct host {
	uv_loop_t uv;
	cede_loop_t *loop;
	cede_remote_t *remote;
};

static void
record(void *arg)
{
	cr_assert_null(cede_task_current());
	order_record(arg);
}

static void
start_host(struct host *host)
{
	leaks_begin();
	clock_start();
	cr_assert_eq(uv_loop_init(&host->uv), 0);
	cr_assert_eq(cede_attach(&host->loop, &host->uv, NULL), 0);
	host->remote = cede_loop_remote(host->loop);
	cr_assert_not_null(host->remote);
}

static void
stop_host(struct host *host)
{
	cr_assert_eq(cede_detach(host->loop), 0);
	cr_assert_eq(cede_remote_call(host->remote, record, NULL), CEDE_ESHUTDOWN);
	cr_assert_null(cede_remote_unref(host->remote));
	cr_assert_eq(uv_loop_close(&host->uv), 0);
	clock_stop();
	leaks_end();
}

/* A literal as the argument of a call. */
#define TEXT(text) ((void *)(uintptr_t)(text))

/* ---- calls ---- */

TASK_TEST(remote, call_is_made_after_the_caller_in_order)
{
	cede_remote_t *remote = cede_loop_remote(cede_loop_current());

	cr_assert_not_null(remote);
	cr_assert_eq(cede_remote_call(remote, record, TEXT("a")), 0);
	cr_assert_eq(cede_remote_call(remote, record, TEXT("b")), 0);
	order_record("caller");
	cr_assert_eq(cede_sleep(1), 0);
	cede_remote_unref(remote);
	order_expect("caller", "a", "b");
	return 0;
}

TASK_TEST(remote, is_one_a_loop)
{
	cede_remote_t *a = cede_loop_remote(cede_loop_current()),
		      *b = cede_loop_remote(cede_loop_current());

	cr_assert_eq(a, b);
	cr_assert_eq(cede_remote_ref(a), b);
	for (int i = 0; i < 3; i++)
		cr_assert_null(cede_remote_unref(a));
	cr_assert_null(cede_remote_ref(NULL));
	cr_assert_null(cede_remote_unref(NULL));
	return 0;
}

TASK_TEST(remote, call_without_a_function_or_a_remote_is_refused)
{
	cede_remote_t *remote = cede_loop_remote(cede_loop_current());

	cr_assert_eq(cede_remote_call(remote, NULL, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_remote_call(NULL, record, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_remote_start(remote, NULL, NULL, NULL, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_remote_start(NULL, remote__is_one_a_loop, NULL, NULL, NULL), CEDE_EINVAL);
	cede_remote_unref(remote);
	return 0;
}

/* A callback of the host's, that makes a call too. */
static void
call_in_callback(uv_timer_t *timer)
{
	struct host *host = timer->data;

	cr_assert_eq(cede_remote_call(host->remote, record, TEXT("call")), 0);
	order_record("callback");
}

static void
tick(uv_timer_t *timer)
{
}

Test(remote, call_is_taken_before_inside_and_outside_a_run)
{
	static const uv_run_mode modes[] = { UV_RUN_ONCE, UV_RUN_NOWAIT };

	for (int i = 0; i < 6; i++) {
		struct host host;
		uv_timer_t timer, other;

		start_host(&host);
		uv_timer_init(&host.uv, &other);
		uv_timer_start(&other, tick, 1000000,
			1000000); /* the host is alive for reasons of its own */
		uv_timer_init(&host.uv, &timer);
		timer.data = &host;
		if (i % 3 == 2)
			uv_run(&host.uv, UV_RUN_NOWAIT);
		if (i % 3 == 1)
			uv_timer_start(&timer, call_in_callback, 0, 0);
		else
			cr_assert_eq(cede_remote_call(host.remote, record, TEXT("call")), 0);
		order_record("host");
		for (int turn = 0; turn < 3; turn++)
			uv_run(&host.uv, modes[i / 3]);
		if (i % 3 == 1)
			order_expect("host", "callback", "call");
		else
			order_expect("host", "call");
		uv_close((uv_handle_t *)&timer, NULL);
		uv_close((uv_handle_t *)&other, NULL);
		uv_run(&host.uv, UV_RUN_DEFAULT);
		stop_host(&host);
	}
}

Test(remote, does_not_keep_the_loop_alive)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(uv_loop_alive(&host.uv), 0);
	cr_assert_eq(cede_remote_call(host.remote, record, TEXT("late")), 0);
	cr_assert_eq(uv_loop_alive(&host.uv), 0);
	order_expect_nothing();
	cr_assert_eq(cede_detach(host.loop), 0);
	order_expect("late");
	cr_assert_eq(cede_remote_call(host.remote, record, TEXT("never")), CEDE_ESHUTDOWN);
	order_expect_nothing();
	cede_remote_unref(host.remote);
	cr_assert_eq(uv_loop_close(&host.uv), 0);
	clock_stop();
	leaks_end();
}

static void
call_again(void *arg)
{
	struct host *host = arg;
	cede_remote_t *remote = cede_loop_remote(host->loop);

	cr_assert_eq(remote, host->remote);
	cede_remote_unref(remote);
	cr_assert_eq(cede_detach(host->loop), CEDE_EDEADLK);
	cr_assert_eq(cede_remote_call(host->remote, call_again, host), CEDE_ESHUTDOWN);
	order_record("called");
}

Test(remote, call_made_by_the_detach_finds_a_closed_mailbox)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_remote_call(host.remote, call_again, &host), 0);
	stop_host(&host);
	order_expect("called");
}

static void
look_for_a_remote(int result, void *data)
{
	cr_assert_null(cede_loop_remote(*(cede_loop_t **)data));
	order_record("done");
}

static int
wait_for_ever(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	return r;
}

Test(remote, is_not_made_at_the_end_of_a_loop)
{
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_start(loop, wait_for_ever, NULL, look_for_a_remote, &loop), 0);
	cr_assert_eq(cede_detach(loop), 0);
	order_expect("done");
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}

/* ---- tasks ---- */

struct started {
	sem_t done;
	int result;
	pthread_t thread;
};

static int
answer(void *arg)
{
	struct started *s = arg;
	int r = cede_sleep(1);

	s->thread = pthread_self();
	return r < 0 ? r : -7;
}

static void
note_result(int result, void *data)
{
	struct started *s = data;

	s->result = result;
	order_record("done");
	sem_post(&s->done);
}

struct starter {
	cede_remote_t *remote;
	struct started started;
	cede_promise_t *promise;
};

static void *
start_and_wait(void *arg)
{
	struct starter *s = arg;

	if (cede_remote_start(s->remote, answer, &s->started, note_result, &s->started) == 0)
		while (sem_wait(&s->started.done))
			;
	cede_promise_resolve(s->promise, 0, NULL);
	return NULL;
}

TASK_TEST(remote, start_runs_a_task_in_the_loops_thread)
{
	struct starter s = { .remote = cede_loop_remote(cede_loop_current()) };
	cede_promised_t op;
	pthread_t thread;

	sem_init(&s.started.done, 0, 0);
	cr_assert_eq(cede_promise_create(&op, NULL, &s.promise), 0);
	thread = start_thread(start_and_wait, &s);
	cr_assert_eq(cede_await(&op.future), 0);
	join_thread(thread);
	cr_assert_eq(s.started.result, -7);
	cr_assert(pthread_equal(s.started.thread, pthread_self()));
	cede_remote_unref(s.remote);
	order_expect("done");
	return 0;
}

Test(remote, start_in_a_loop_that_is_detached_is_told_so)
{
	struct started s = { .result = 1 };
	struct host host;

	sem_init(&s.done, 0, 0);
	start_host(&host);
	cr_assert_eq(cede_remote_start(host.remote, answer, &s, note_result, &s), 0);
	cr_assert_eq((cede_remote_start)(host.remote, answer, &s, NULL, NULL), 0);
	cr_assert_eq(cede_detach(host.loop), 0);
	cr_assert_eq(s.result, CEDE_ESHUTDOWN);
	cr_assert_eq(cede_remote_start(host.remote, answer, &s, note_result, &s), CEDE_ESHUTDOWN);
	cede_remote_unref(host.remote);
	cr_assert_eq(uv_loop_close(&host.uv), 0);
	clock_stop();
	leaks_end();
	order_expect("done");
}

/* ---- promises ---- */

static atomic_int released;
static char a_value;

static void
release(void *value)
{
	cr_assert_eq(value, &a_value);
	atomic_fetch_add(&released, 1);
}

static void *
keep(void *promise)
{
	cede_promise_resolve(promise, 42, &a_value);
	return NULL;
}

TASK_TEST(remote, promise_kept_by_a_thread_is_awaited)
{
	for (int i = 0; i < 50; i++) {
		cede_promised_t op;
		cede_promise_t *promise;
		pthread_t thread;

		cr_assert_eq(cede_promise_create(&op, release, &promise), 0);
		cr_assert_not(cede_promise_is_cancelled(promise));
		thread = start_thread(keep, promise);
		if (i % 2) /* it is queued before the wait begins */
			join_thread(thread);
		cr_assert_eq(cede_await(&op.future), 42);
		cr_assert_eq(op.future.value, &a_value);
		if (i % 2 == 0)
			join_thread(thread);
	}
	cr_assert_eq(released, 0);
	return 0;
}

TASK_TEST(remote, promise_kept_in_the_loops_own_thread_is_delivered_by_the_loop)
{
	cede_promised_t op;
	cede_promise_t *promise;

	cr_assert_eq(cede_promise_create(&op, release, &promise), 0);
	cr_assert_eq(cede_promise_resolve(promise, -7, NULL), 0);
	cr_assert_not(op.future.is_done);
	cr_assert_eq(cede_await(&op.future), -7);
	return 0;
}

Test(remote, promise_outside_a_task_is_refused)
{
	cede_promised_t op;
	cede_promise_t *promise;

	leaks_begin();
	cr_assert_eq(cede_promise_create(&op, NULL, &promise), CEDE_ENOTASK);
	leaks_end();
}

TASK_TEST(remote, promise_given_up_releases_its_value_when_it_is_kept)
{
	cede_promised_t op;
	cede_promise_t *promise;
	int r = 0;

	cr_assert_eq(cede_promise_create(&op, release, &promise), 0);
	CEDE_TIMEOUT(10) {
		r = cede_await(&op.future);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	memset(&op, 0xee, sizeof op);
	cr_assert(cede_promise_is_cancelled(promise));
	join_thread(start_thread(keep, promise));
	cr_assert_eq(released, 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(released, 1);
	return 0;
}

/* Kept, and given up before the loop has seen it: it came too late. */
TASK_TEST(remote, promise_given_up_while_its_value_is_on_the_way_releases_it)
{
	cede_promised_t op;
	cede_promise_t *promise;

	cr_assert_eq(cede_promise_create(&op, release, &promise), 0);
	join_thread(start_thread(keep, promise));
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_await(&op.future), CEDE_ECANCELED);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(released, 1);

	cr_assert_eq(cede_promise_create(&op, NULL, &promise), 0);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_promise_resolve(promise, 0, &a_value), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(released, 1, "there is nobody to release it");
	return 0;
}

struct waiting {
	cede_promise_t *promise;
	int result;
	void *value;
};

static int
wait_for_a_promise(void *arg)
{
	struct waiting *w = arg;
	cede_promised_t op;
	int r = cede_promise_create(&op, release, &w->promise);

	cr_assert_eq(r, 0);
	w->result = cede_await(&op.future);
	w->value = op.future.value;
	return w->result;
}

static void
cancel_it(void *arg)
{
	cede_task_cancel(arg);
}

/* Delivered and cancelled in one turn: the order of the two does not matter. */
TASK_TEST(remote, promise_that_is_kept_beats_a_cancel_that_comes_with_it)
{
	for (int is_cancelled_first = 0; is_cancelled_first < 2; is_cancelled_first++) {
		CEDE_GROUP(group);
		struct waiting w = { 0 };
		cede_remote_t *remote = cede_loop_remote(cede_loop_current());
		cede_task_t *task;

		cr_assert_eq(cede_spawn_with(&group, wait_for_a_promise, &w, NULL, &task), 0);
		cr_assert_eq(cede_sleep(0), 0);
		if (is_cancelled_first)
			cr_assert_eq(cede_remote_call(remote, cancel_it, task), 0);
		cr_assert_eq(cede_promise_resolve(w.promise, -5, &a_value), 0);
		if (!is_cancelled_first)
			cr_assert_eq(cede_remote_call(remote, cancel_it, task), 0);
		cr_assert_eq(cede_join(task, NULL), -5);
		cr_assert_eq(w.value, &a_value);
		cede_task_unref(task);
		cede_remote_unref(remote);
	}
	cr_assert_eq(released, 0);
	return 0;
}

TASK_TEST(remote, promise_in_a_select_loses_nothing)
{
	cede_promised_t ops[3];
	cede_promise_t *promises[3];

	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_promise_create(&ops[i], release, &promises[i]), 0);
	cr_assert_eq(cede_promise_resolve(promises[1], 1, NULL), 0);
	cr_assert_eq(cede_promise_resolve(promises[2], 2, &a_value), 0);
	cr_assert_eq(cede_select(3,
			     (cede_future_t *[]){ &ops[0].future, &ops[1].future, &ops[2].future }),
		1);
	cr_assert_eq(ops[0].future.result, CEDE_ECANCELED);
	cr_assert_eq(ops[2].future.result, 2);
	cr_assert_eq(ops[2].future.value, &a_value);
	cr_assert(cede_promise_is_cancelled(promises[0]));
	cr_assert_eq(cede_promise_resolve(promises[0], 0, &a_value), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(released, 1);
	return 0;
}

Test(remote, promise_keeps_the_loop_alive_while_it_is_wanted)
{
	struct waiting w = { 0 };
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, wait_for_a_promise, &w, NULL, NULL), 0);
	uv_run(&host.uv, UV_RUN_NOWAIT);
	cr_assert_neq(uv_loop_alive(&host.uv), 0);
	join_thread(start_thread(keep, w.promise));
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
	cr_assert_eq(w.result, 42);
	cr_assert_eq(uv_loop_alive(&host.uv), 0);
	stop_host(&host);
}

static void *
keep_after_a_while(void *arg)
{
	sched_yield();
	return keep(arg);
}

TASK_TEST(remote, promise_is_no_deadlock)
{
	cede_promised_t op;
	cede_promise_t *promise;

	cr_assert_eq(cede_promise_create(&op, NULL, &promise), 0);
	pthread_t thread = start_thread(keep_after_a_while, promise);

	cr_assert_eq(cede_await(&op.future), 42);
	join_thread(thread);
	return 0;
}

/* ---- loops that are gone ---- */

Test(remote, promise_to_a_loop_that_is_gone_releases_its_value)
{
	struct waiting w = { 0 };
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, wait_for_a_promise, &w, NULL, NULL), 0);
	uv_run(&host.uv, UV_RUN_NOWAIT);
	cr_assert_eq(cede_detach(host.loop), 0);
	cr_assert_eq(w.result, CEDE_EXIT);
	cede_remote_unref(host.remote); /* the promise is now the last to know the mailbox */
	cr_assert_eq(uv_loop_close(&host.uv), 0);
	cr_assert(cede_promise_is_cancelled(w.promise));
	cr_assert_eq(cede_promise_resolve(w.promise, 0, &a_value), CEDE_ESHUTDOWN);
	cr_assert_eq(released, 1);
	clock_stop();
	leaks_end();
}

/* Posted before the detach, given up by it: delivered by it. */
Test(remote, promise_on_the_way_to_a_loop_that_is_detached_is_not_lost)
{
	struct waiting w = { 0 };
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, wait_for_a_promise, &w, NULL, NULL), 0);
	uv_run(&host.uv, UV_RUN_NOWAIT);
	cr_assert_eq(cede_promise_resolve(w.promise, 9, &a_value), 0);
	stop_host(&host);
	cr_assert(w.result == 9 || w.result == CEDE_EXIT);
	cr_assert_eq(released, w.result == CEDE_EXIT);
}

static sem_t in_cleanup;

static int
clean_up_with_a_promise(void *arg)
{
	struct waiting *w = arg;
	int r = wait_for_ever(NULL);

	CEDE_SHIELD(UINT64_MAX) {
		cede_promised_t op;

		cr_assert_eq(cede_promise_create(&op, NULL, &w->promise), 0);
		sem_post(&in_cleanup);
		w->result = cede_await(&op.future);
	}
	return r;
}

static void *
keep_in_cleanup(void *arg)
{
	struct waiting *w = arg;

	while (sem_wait(&in_cleanup))
		;
	return keep(w->promise);
}

Test(remote, promise_can_be_awaited_while_the_loop_is_detached)
{
	struct waiting w = { 0 };
	struct host host;
	pthread_t thread;

	sem_init(&in_cleanup, 0, 0);
	start_host(&host);
	clock_stop(); /* a shield must not pass while the thread is on its way */
	cr_assert_eq(cede_start(host.loop, clean_up_with_a_promise, &w, NULL, NULL), 0);
	uv_run(&host.uv, UV_RUN_NOWAIT);
	thread = start_thread(keep_in_cleanup, &w);
	stop_host(&host);
	join_thread(thread);
	cr_assert_eq(w.result, 42);
}

/* ---- memory ---- */

static void
do_nothing(void *arg)
{
}

static void
count_done(int result, void *data)
{
	++*(int *)data;
}

static int
return_at_once(void *arg)
{
	return 0;
}

static int
use_everything(void *arg)
{
	cede_remote_t *remote = cede_loop_remote(cede_loop_current());
	cede_promised_t op;
	cede_promise_t *promise;
	int n_done = 0, r;

	if (!remote)
		return CEDE_ENOMEM;
	r = cede_remote_call(remote, do_nothing, NULL);
	if (r == 0)
		r = cede_remote_start(remote, return_at_once, NULL, count_done, &n_done);
	if (r == 0) {
		(void)!cede_sleep(0);
		while (n_done == 0)
			if (cede_sleep(0) < 0)
				break;
		cr_assert_eq(n_done, 1);
	}
	if (r == 0)
		r = cede_promise_create(&op, release, &promise);
	if (r == 0) {
		join_thread(start_thread(keep, promise));
		cr_assert_eq(cede_await(&op.future), 42);
	}
	cede_remote_unref(remote);
	return r;
}

Test(remote, shortage_anywhere_is_an_error)
{
	leaks_begin();
	clock_start();
	fault_install();
	for (int mode = 0; mode < 2; mode++) {
		unsigned n = 0, failed;
		int r;

		do {
			fault_arm(++n, mode ? FAULT_FOREVER : FAULT_ONCE);
			r = cede_run(use_everything, NULL);
			failed = fault_disarm();
			cede__thread_cleanup();
			cr_assert_eq(cede__alloc_outstanding(), 0, "request %u", n);
			cr_assert(r == 0 || (r == CEDE_ENOMEM && failed > 0), "request %u: %d", n,
				r);
		} while (failed > 0);
		cr_assert_eq(r, 0);
		cr_assert_gt(n, 5);
	}
	clock_stop();
	leaks_end();
}

static int
keep_again_and_again(void *arg)
{
	unsigned before = 0;

	for (int i = 0; i < 100; i++) {
		cede_promised_t op;
		cede_promise_t *promise;

		cr_assert_eq(cede_promise_create(&op, NULL, &promise), 0);
		cr_assert_eq(cede_promise_resolve(promise, i, NULL), 0);
		cr_assert_eq(cede_await(&op.future), i);
		if (i == 0)
			before = fault_requests();
	}
	cr_assert_eq(fault_requests(), before);
	return 0;
}

Test(remote, promises_ask_for_no_memory_in_the_steady_state)
{
	fault_install();
	cr_assert_eq(run_gated(keep_again_and_again, NULL), 0);
}

/* More at a time than are kept. */
TASK_TEST(remote, promises_may_be_many)
{
	static cede_promised_t ops[200];
	static cede_promise_t *promises[200];

	for (int i = 0; i < 200; i++)
		cr_assert_eq(cede_promise_create(&ops[i], NULL, &promises[i]), 0);
	for (int i = 199; i >= 0; i--)
		cr_assert_eq(cede_promise_resolve(promises[i], i, NULL), 0);
	for (int i = 0; i < 200; i++)
		cr_assert_eq(cede_await(&ops[i].future), i);
	return 0;
}

/* ---- many threads ---- */

enum { THREADS = 8, CALLS = 2000 };

struct caller {
	cede_remote_t *remote;
	cede_promise_t *promise;
	struct message_seen {
		struct caller *caller;
		int number;
	} messages[CALLS];
	int seen;
};

static void
see(void *arg)
{
	struct message_seen *m = arg;

	cr_assert_eq(m->number, m->caller->seen, "calls of one thread stay in order");
	m->caller->seen++;
}

static void *
call_often(void *arg)
{
	struct caller *c = arg;
	int refused = 0;

	for (int i = 0; i < CALLS; i++) {
		c->messages[i].caller = c;
		c->messages[i].number = i;
		refused += cede_remote_call(c->remote, see, &c->messages[i]) != 0;
	}
	cede_promise_resolve(c->promise, refused, NULL);
	cede_remote_unref(c->remote);
	return NULL;
}

TASK_TEST(remote, calls_of_many_threads_all_come_in_order)
{
	static struct caller callers[THREADS];
	static cede_promised_t ops[THREADS];
	cede_future_t *futures[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		callers[i].remote = cede_loop_remote(cede_loop_current());
		futures[i] = &ops[i].future;
		cr_assert_eq(cede_promise_create(&ops[i], NULL, &callers[i].promise), 0);
		threads[i] = start_thread(call_often, &callers[i]);
	}
	cr_assert_eq(cede_wait_all(THREADS, futures), 0);
	for (int i = 0; i < THREADS; i++) {
		join_thread(threads[i]);
		cr_assert_eq(ops[i].future.result, 0);
		cr_assert_eq(callers[i].seen, CALLS);
	}
	return 0;
}

static atomic_int made, posted;

static void
count_call(void *arg)
{
	atomic_fetch_add(&made, 1);
}

static void *
call_until_refused(void *arg)
{
	for (int i = 0; i < CALLS && cede_remote_call(arg, count_call, NULL) == 0; i++)
		atomic_fetch_add(&posted, 1);
	cede_remote_unref(arg);
	return NULL;
}

static int
be_busy(void *arg)
{
	int r;

	while ((r = cede_sleep(0)) == 0)
		;
	return r;
}

Test(remote, detach_under_fire_makes_every_call_it_took)
{
	for (int round = 0; round < 10; round++) {
		struct host host;
		pthread_t threads[THREADS];

		start_host(&host);
		made = posted = 0;
		cr_assert_eq(cede_start(host.loop, be_busy, NULL, NULL, NULL), 0);
		for (int i = 0; i < THREADS; i++)
			threads[i] = start_thread(call_until_refused, cede_remote_ref(host.remote));
		while (made < round * 100)
			uv_run(&host.uv, UV_RUN_NOWAIT);
		cr_assert_eq(cede_detach(host.loop), 0);
		for (int i = 0; i < THREADS; i++)
			join_thread(threads[i]);
		cr_assert_eq(made, posted);
		cede_remote_unref(host.remote);
		cr_assert_eq(uv_loop_close(&host.uv), 0);
		clock_stop();
		leaks_end();
	}
}
