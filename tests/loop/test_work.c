/*
 * loop/work.c: functions on the thread pool; given up while they wait their turn,
 * while libuv has them, while they run, and when they have returned. A gate holds
 * a function until the test lets it go on.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <cede/remote.h>
#include <cede/uv.h>
#include <cede/work.h>

#include "tests/support/run.h"

#include "tests/support/fault.h"
#include "tests/support/order.h"

TestSuite(work, .timeout = 60);

#define POOL 4

static atomic_int released;

/* A function that says that it runs, and waits to be let go on. */
struct gate {
	sem_t entered, open;
	int result;
	atomic_int ran;
	cede_promise_t *promise; /* if any: kept when it runs */
	int is_released;
	pthread_t thread;
};

static void
gate_init(struct gate *g)
{
	*g = (struct gate){ .result = 0 };
	sem_init(&g->entered, 0, 0);
	sem_init(&g->open, 0, 0);
}

static void
wait_for(sem_t *sem)
{
	while (sem_wait(sem))
		;
}

static int
pass(void *arg)
{
	struct gate *g = arg;

	atomic_fetch_add(&g->ran, 1);
	g->thread = pthread_self();
	sem_post(&g->entered);
	if (g->promise)
		cede_promise_resolve(g->promise, 0, NULL);
	wait_for(&g->open);
	return g->result;
}

static void
release(void *arg)
{
	struct gate *g = arg;

	g->is_released++;
	atomic_fetch_add(&released, 1);
}

static int
add_one(void *arg)
{
	return ++*(int *)arg;
}

static int
fail(void *arg)
{
	return CEDE_EPIPE;
}

/* ---- cede_work ---- */

TASK_TEST(work, returns_what_the_function_returned_in_another_thread)
{
	struct gate g;
	int n = 0;

	gate_init(&g);
	g.result = -77;
	sem_post(&g.open);
	cr_assert_eq(cede_work(pass, &g), -77);
	cr_assert_not(pthread_equal(g.thread, pthread_self()));
	for (int i = 1; i <= 100; i++)
		cr_assert_eq(cede_work(add_one, &n), i);
	return 0;
}

TASK_TEST(work, without_a_function_is_refused)
{
	struct gate g;
	cede_work_t op;

	gate_init(&g);
	cr_assert_eq(cede_work(NULL, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_work_own(NULL, &g, release), CEDE_EINVAL);
	cr_assert_eq(cede_work_start(NULL, &g, release, &op), CEDE_EINVAL);
	cr_assert_eq(released, 2);
	return 0;
}

Test(work, outside_a_task_is_refused)
{
	struct gate g;
	cede_work_t op;

	leaks_begin();
	gate_init(&g);
	cr_assert_eq(cede_work(add_one, NULL), CEDE_ENOTASK);
	cr_assert_eq(cede_work_own(add_one, &g, release), CEDE_ENOTASK);
	cr_assert_eq(cede_work_start(add_one, &g, release, &op), CEDE_ENOTASK);
	cr_assert_eq(released, 2);
	leaks_end();
}

TASK_TEST(work, lets_other_tasks_run_meanwhile)
{
	struct gate g;
	cede_work_t op;

	gate_init(&g);
	cr_assert_eq(cede_work_start(pass, &g, NULL, &op), 0);
	cr_assert_eq(cede_sleep(1000), 0);
	cr_assert_not(op.future.is_done);
	sem_post(&g.open);
	cr_assert_eq(cede_await(&op.future), 0);
	return 0;
}

struct worker {
	struct gate gate;
	int result;
	int (*call)(struct gate *gate);
	cede_task_t *task;
};

static int
call_work(struct gate *gate)
{
	return cede_work(pass, gate);
}

static int
call_work_own(struct gate *gate)
{
	return cede_work_own(pass, gate, release);
}

static int
work(void *arg)
{
	struct worker *w = arg;

	w->result = w->call(&w->gate);
	return cede_sleep(0);
}

static void
spawn_worker(cede_group_t *group, struct worker *w, int (*call)(struct gate *))
{
	gate_init(&w->gate);
	w->call = call;
	w->result = 1;
	cr_assert_eq(cede_spawn_with(group, work, w, NULL, &w->task), 0);
}

static void
join_worker(struct worker *w, int result)
{
	const int r = cede_join(w->task, NULL);

	cr_assert_eq(r, result, "%s", cede_strerror(r));
	w->task = cede_task_unref(w->task);
}

/* Suspends until the function runs. */
static void
await_entry(struct worker *w)
{
	while (sem_trywait(&w->gate.entered))
		cr_assert_eq(cede_sleep(1), 0);
}

TASK_TEST(work, given_up_while_it_runs_is_waited_for_and_its_result_returned)
{
	CEDE_GROUP(group);
	struct worker w;

	spawn_worker(&group, &w, call_work);
	await_entry(&w);
	cede_task_cancel(w.task);
	cr_assert_eq(cede_sleep(1000), 0);
	cr_assert_eq(w.result, 1, "it waits");
	w.gate.result = 5;
	sem_post(&w.gate.open);
	join_worker(&w, CEDE_ECANCELED); /* the next await refused */
	cr_assert_eq(w.result, 5);
	return 0;
}

static cede_scope_t deadline;

static int
call_work_in_a_scope(struct gate *gate)
{
	int r;

	cr_assert_eq(cede_scope_enter(&deadline, UINT64_MAX), 0);
	r = cede_work(pass, gate);
	cr_assert_eq(cede_sleep(0), CEDE_ETIMEDOUT, "the next await is refused");
	cr_assert_eq(cede_work(pass, gate), CEDE_ETIMEDOUT, "so is work, which never begins");
	cede_scope_leave(&deadline);
	return r;
}

TASK_TEST(work, in_a_timeout_that_passes_while_it_runs_returns_its_result)
{
	CEDE_GROUP(group);
	struct worker w;

	spawn_worker(&group, &w, call_work_in_a_scope);
	await_entry(&w);
	cr_assert_eq(cede_scope_reschedule(&deadline, 10), 0);
	cr_assert_eq(cede_sleep(1000), 0);
	cr_assert(deadline.has_expired);
	w.gate.result = 5;
	sem_post(&w.gate.open);
	join_worker(&w, 0);
	cr_assert_eq(w.result, 5);
	cr_assert_eq(w.gate.ran, 1);
	return 0;
}

/* All slots are taken by functions that do not end. */
static void
fill(cede_group_t *group, struct worker *workers, int count)
{
	for (int i = 0; i < count; i++)
		spawn_worker(group, &workers[i], call_work);
	for (int i = 0; i < count; i++)
		await_entry(&workers[i]);
}

static void
empty(struct worker *workers, int count)
{
	for (int i = 0; i < count; i++)
		sem_post(&workers[i].gate.open);
	for (int i = 0; i < count; i++) {
		join_worker(&workers[i], 0);
		cr_assert_eq(workers[i].result, 0);
	}
}

TASK_TEST(work, beyond_the_limit_waits_its_turn_first_come_first_served)
{
	CEDE_GROUP(group);
	struct worker busy[POOL], more[3];

	fill(&group, busy, POOL);
	for (int i = 0; i < 3; i++) {
		spawn_worker(&group, &more[i], call_work);
		cr_assert_eq(cede_sleep(1), 0);
	}
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(more[i].gate.ran, 0);
		sem_post(&busy[i].gate.open);
		await_entry(&more[i]);
		for (int j = i + 1; j < 3; j++)
			cr_assert_eq(more[j].gate.ran, 0);
	}
	sem_post(&busy[3].gate.open);
	for (int i = 0; i < POOL; i++)
		join_worker(&busy[i], 0);
	empty(more, 3);
	return 0;
}

static void
give_up_one_that_waits(int (*call)(struct gate *), int which)
{
	CEDE_GROUP(group);
	struct worker busy[POOL], more[3];

	released = 0;
	fill(&group, busy, POOL);
	for (int i = 0; i < 3; i++)
		spawn_worker(&group, &more[i], call);
	cr_assert_eq(cede_sleep(1), 0);
	cede_task_cancel(more[which].task);
	join_worker(&more[which], CEDE_ECANCELED);
	cr_assert_eq(more[which].result, CEDE_EXIT);
	cr_assert_eq(released, call == call_work_own);
	for (int i = 0; i < 3; i++)
		if (i != which)
			sem_post(&more[i].gate.open);
	empty(busy, POOL);
	for (int i = 0; i < 3; i++)
		if (i != which)
			join_worker(&more[i], 0);
	cr_assert_eq(more[which].gate.ran, 0);
	cr_assert_eq(released, call == call_work_own);
}

TASK_TEST(work, given_up_while_it_waits_its_turn_never_runs)
{
	for (int which = 0; which < 3; which++) {
		give_up_one_that_waits(call_work, which);
		give_up_one_that_waits(call_work_own, which);
	}
	return 0;
}

/* In a host whose limit is larger than the pool: libuv has more than it runs. */
static void
run_with_limit(unsigned limit, cede_fn *fn, void *arg)
{
	const cede_loop_options_t options = { .work_limit = limit };
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	clock_start();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, &options), 0);
	cr_assert_eq(cede_start(loop, fn, arg, NULL, NULL), 0);
	cr_assert_eq(uv_run(&uv, UV_RUN_DEFAULT), 0);
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
	clock_stop();
	leaks_end();
}

static int
give_up_in_libuv(void *arg)
{
	CEDE_GROUP(group);
	struct worker busy[POOL], borrowed, owned;

	fill(&group, busy, POOL);
	spawn_worker(&group, &borrowed, call_work);
	spawn_worker(&group, &owned, call_work_own);
	cr_assert_eq(cede_sleep(1), 0);
	cede_task_cancel(borrowed.task);
	cede_task_cancel(owned.task);
	join_worker(&borrowed, CEDE_ECANCELED);
	join_worker(&owned, CEDE_ECANCELED);
	cr_assert_eq(borrowed.result, CEDE_EXIT);
	cr_assert_eq(owned.result, CEDE_EXIT);
	cr_assert_eq(released, 1);
	empty(busy, POOL);
	cr_assert_eq(borrowed.gate.ran + owned.gate.ran, 0);
	order_record("end");
	return 0;
}

Test(work, given_up_before_a_thread_has_taken_it_never_runs)
{
	run_with_limit(100, give_up_in_libuv, NULL);
	order_expect("end");
}

static int
count_at_once(void *arg)
{
	CEDE_GROUP(group);
	struct worker first, second;

	spawn_worker(&group, &first, call_work);
	spawn_worker(&group, &second, call_work);
	await_entry(&first);
	cr_assert_eq(cede_sleep(1000), 0);
	cr_assert_eq(second.gate.ran, 0);
	sem_post(&second.gate.open);
	sem_post(&first.gate.open);
	join_worker(&first, 0);
	join_worker(&second, 0);
	order_record("end");
	return 0;
}

Test(work, is_limited_by_the_option_of_the_loop)
{
	run_with_limit(1, count_at_once, NULL);
	order_expect("end");
}

/* ---- arguments that are handed over ---- */

TASK_TEST(work, own_gives_the_argument_back_when_all_is_well_and_releases_it_otherwise)
{
	struct gate g;

	gate_init(&g);
	sem_post(&g.open);
	g.result = 3;
	cr_assert_eq(cede_work_own(pass, &g, release), 3);
	cr_assert_eq(released, 0);
	cr_assert_eq(cede_work_own(fail, &g, release), CEDE_EPIPE);
	cr_assert_eq(released, 1);
	cr_assert_eq(cede_work_own(fail, &g, NULL), CEDE_EPIPE);
	return 0;
}

static int
refuse_own(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	cr_assert_eq(cede_work_own(pass, arg, release), CEDE_EXIT);
	return r;
}

TASK_TEST(work, own_in_a_task_that_is_being_closed_releases_the_argument)
{
	CEDE_GROUP(group);
	struct gate g;
	cede_task_t *task;

	gate_init(&g);
	cr_assert_eq(cede_spawn_with(&group, refuse_own, &g, NULL, &task), 0);
	cr_assert_eq(cede_sleep(0), 0);
	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cede_task_unref(task);
	cr_assert_eq(g.ran, 0);
	cr_assert_eq(released, 1);
	return 0;
}

TASK_TEST(work, own_given_up_while_it_runs_returns_at_once_and_releases_later)
{
	CEDE_GROUP(group);
	struct worker w;

	spawn_worker(&group, &w, call_work_own);
	await_entry(&w);
	cede_task_cancel(w.task);
	join_worker(&w, CEDE_ECANCELED);
	cr_assert_eq(w.result, CEDE_EXIT);
	cr_assert_eq(released, 0);
	sem_post(&w.gate.open);
	while (released == 0)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(w.gate.is_released, 1);
	return 0;
}

/* It has returned, and libuv has not said so yet: too late to be had. */
TASK_TEST(work, given_up_when_it_has_returned_unseen_releases_its_argument_once)
{
	for (int i = 0; i < 100; i++) {
		struct gate g;
		cede_work_t op;

		released = 0;
		gate_init(&g);
		sem_post(&g.open);
		cr_assert_eq(cede_work_start(pass, &g, release, &op), 0);
		if (i % 2)
			wait_for(&g.entered);
		cede_future_cancel(&op.future);
		memset(&op, 0xee, sizeof op);
		while (released == 0)
			cr_assert_eq(cede_sleep(1), 0);
		cr_assert_eq(cede_sleep(1), 0);
		cr_assert_eq(released, 1);
	}
	return 0;
}

TASK_TEST(work, in_a_select_is_given_up_or_done)
{
	struct gate slow, fast;
	cede_work_t ops[2];
	cede_sleep_t tick;

	gate_init(&slow);
	gate_init(&fast);
	fast.result = 6;
	sem_post(&fast.open);
	cr_assert_eq(cede_work_start(pass, &slow, release, &ops[0]), 0);
	cr_assert_eq(cede_work_start(pass, &fast, release, &ops[1]), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &ops[0].future, &ops[1].future }), 1);
	cr_assert_eq(ops[1].future.result, 6);
	cr_assert_eq(ops[0].future.result, CEDE_ECANCELED);
	sem_post(&slow.open);
	while (released == 0)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert(slow.is_released && !fast.is_released);

	gate_init(&slow);
	cr_assert_eq(cede_work_start(pass, &slow, NULL, &ops[0]), 0);
	cr_assert_eq(cede_sleep_start(10, &tick), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &ops[0].future, &tick.future }), 1);
	sem_post(&slow.open);
	return 0; /* the loop's end waits for it */
}

/* A result that is there beats a cancel that comes with it. */
TASK_TEST(work, that_has_returned_beats_a_cancel)
{
	CEDE_GROUP(group);
	struct worker w;
	cede_work_t op;
	int n = 0;

	cr_assert_eq(cede_work_start(add_one, &n, NULL, &op), 0);
	while (!op.future.is_done)
		cr_assert_eq(cede_sleep(1), 0);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_await(&op.future), 1);

	spawn_worker(&group, &w, call_work_own);
	await_entry(&w);
	w.gate.result = 8;
	sem_post(&w.gate.open);
	while (w.result == 1) {
		cr_assert_eq(cede_sleep(1), 0);
		if (w.result != 1)
			cede_task_cancel(w.task);
	}
	cr_assert_eq(w.result, 8);
	cr_assert_eq(w.gate.is_released, 0);
	cede_task_unref(w.task);
	return 0;
}

/* ---- the end of a loop ---- */

static int
leave_it(void *arg)
{
	struct worker *w = arg;

	cr_assert_eq(cede_work_own(pass, &w->gate, release), CEDE_EXIT);
	order_record("left");
	return CEDE_EXIT;
}

static int
hold_it(void *arg)
{
	struct worker *w = arg;

	cr_assert_eq(cede_work(pass, &w->gate), 0);
	order_record("held");
	return cede_sleep(0);
}

struct opener {
	struct worker *workers;
	int count;
};

static void *
open_gates(void *arg)
{
	struct opener *o = arg;

	for (int i = 0; i < o->count; i++)
		sem_post(&o->workers[i].gate.open);
	return NULL;
}

Test(work, detach_waits_for_functions_that_run)
{
	struct worker workers[2];
	struct opener opener = { workers, 2 };
	pthread_t thread;
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	for (int i = 0; i < 2; i++)
		gate_init(&workers[i].gate);
	cr_assert_eq(cede_start(loop, leave_it, &workers[0], NULL, NULL), 0);
	cr_assert_eq(cede_start(loop, hold_it, &workers[1], NULL, NULL), 0);
	uv_run(&uv, UV_RUN_NOWAIT);
	wait_for(&workers[0].gate.entered);
	wait_for(&workers[1].gate.entered);
	cr_assert_eq(pthread_create(&thread, NULL, open_gates, &opener), 0);
	cr_assert_eq(cede_detach(loop), 0);
	order_expect("left", "held");
	cr_assert_eq(released, 1);
	cr_assert_eq(workers[0].gate.is_released, 1);
	cr_assert_eq(uv_loop_close(&uv), 0);
	pthread_join(thread, NULL);
	leaks_end();
}

Test(work, keeps_the_loop_alive_until_it_has_returned)
{
	struct worker w;
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	gate_init(&w.gate);
	cr_assert_eq(cede_start(loop, hold_it, &w, NULL, NULL), 0);
	uv_run(&uv, UV_RUN_NOWAIT);
	cr_assert_neq(uv_loop_alive(&uv), 0);
	sem_post(&w.gate.open);
	cr_assert_eq(uv_run(&uv, UV_RUN_DEFAULT), 0);
	order_expect("held");
	cr_assert_eq(uv_loop_alive(&uv), 0);
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}

/* A function that is on its own keeps a promise of a loop that has ended. */
static int
promise_from_the_pool(void *arg)
{
	return cede_promise_resolve(arg, 4, NULL);
}

TASK_TEST(work, may_keep_promises)
{
	cede_promised_t op;
	cede_promise_t *promise;

	cr_assert_eq(cede_promise_create(&op, NULL, &promise), 0);
	cr_assert_eq(cede_work(promise_from_the_pool, promise), 0);
	cr_assert_eq(cede_await(&op.future), 4);
	return 0;
}

/* ---- memory ---- */

static int
use_everything(void *arg)
{
	struct gate g;
	cede_work_t ops[8];
	int n = 0, started, r = cede_work(add_one, &n);

	if (r < 0)
		return r;
	gate_init(&g);
	for (started = 0; started < 8 && r >= 0; started++)
		r = cede_work_start(add_one, &n, NULL, &ops[started]);
	if (r < 0)
		started--;
	for (int i = 0; i < started; i++) {
		int got = cede_await(&ops[i].future);

		cr_assert_gt(got, 0);
	}
	if (r < 0)
		return r;
	released = 0;
	sem_post(&g.open);
	r = cede_work_own(pass, &g, release);
	cr_assert_eq(released, r < 0);
	return r;
}

Test(work, shortage_anywhere_is_an_error)
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
	}
	clock_stop();
	leaks_end();
}

/* A loop that has a slot makes do with it: who comes next waits. */
static int
start_two_with_memory_for_one(void *arg)
{
	struct gate g;
	cede_work_t ops[2];
	int n = 0;

	cr_assert_eq(cede_work(add_one, &n), 1);
	gate_init(&g);
	fault_arm(1, FAULT_FOREVER);
	cr_assert_eq(cede_work_start(pass, &g, NULL, &ops[0]), 0);
	cr_assert_eq(cede_work_start(add_one, &n, NULL, &ops[1]), 0);
	cr_assert_gt(fault_disarm(), 0);
	cr_assert_eq(n, 1);
	sem_post(&g.open);
	cr_assert_eq(cede_await(&ops[1].future), 2);
	cr_assert_eq(cede_await(&ops[0].future), 0);
	return 0;
}

Test(work, without_memory_for_one_more_slot_waits_for_one_that_is_there)
{
	fault_install();
	cr_assert_eq(run_gated(start_two_with_memory_for_one, NULL), 0);
}

enum { MANY = 100 };

static int
work_again_and_again(void *arg)
{
	static cede_work_t ops[MANY];
	static int n[MANY];
	unsigned before = 0;

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < MANY; i++)
			cr_assert_eq(cede_work_start(add_one, &n[i], NULL, &ops[i]), 0);
		for (int i = 0; i < MANY; i++)
			cr_assert_eq(cede_await(&ops[i].future), round + 1);
		if (round == 0)
			before = fault_requests();
	}
	cr_assert_eq(fault_requests(), before);
	return 0;
}

Test(work, asks_for_no_memory_in_the_steady_state)
{
	fault_install();
	cr_assert_eq(run_gated(work_again_and_again, NULL), 0);
}
