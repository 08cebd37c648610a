/*
 * loop/: no memory at every single allocation, once and from there on; and no
 * allocation at all where none is needed.
 */
#include <cede/uv.h>

#include "tests/support/run.h"

#include "tests/support/fault.h"

TestSuite(memory, .timeout = 60);

static int n_freed, n_bodies;

static void
count_free(void *arg)
{
	n_freed++;
}

static int
own_an_argument(void *arg)
{
	n_bodies++;
	int r = cede_sleep(1);

	return r;
}

static int
spawn_some(void *arg)
{
	CEDE_GROUP(group);
	cede_task_t *task = NULL;
	int r = 0;

	for (int i = 0; i < 5 && r == 0; i++)
		r = cede_spawn_own(&group, own_an_argument, &group, count_free);
	if (r < 0)
		return r;
	r = cede_spawn_with(&group, own_an_argument, NULL, NULL, &task);
	if (r < 0)
		return r;
	r = cede_join(task, NULL);
	cede_task_unref(task);
	if (r < 0 && r != CEDE_ECANCELED) /* a sibling may have failed */
		return r;
	return cede_group_wait(&group);
}

static int
sleep_some(void *arg)
{
	enum { N = 200 };
	static cede_sleep_t sleeps[N];
	int n, r = 0;

	for (n = 0; n < N && r == 0; n++)
		r = cede_sleep_start(5, &sleeps[n]);
	if (r < 0)
		n--; /* the last one was not started */
	for (int i = 0; i < n; i++) {
		if (i % 3 == 0)
			cede_future_cancel(&sleeps[i].future);
		else
			cr_assert_eq(cede_await(&sleeps[i].future), 0);
	}
	return r < 0 ? r : cede_sleep(1);
}

static int
nest_scopes(void *arg)
{
	enum { N = 100 };
	static cede_scope_t scopes[N];
	int n, r = 0;

	for (n = 0; n < N && r == 0; n++)
		r = n % 2 ? cede_scope_enter(&scopes[n], 5) : cede_shield_enter(&scopes[n], 10);
	if (r < 0)
		n--;
	if (r == 0)
		r = cede_scope_reschedule(&scopes[0], 6);
	while (n-- > 0)
		cede_scope_leave(&scopes[n]);
	return r;
}

static int
wait_for_signals(void *arg)
{
	cede_signal_t a, b;
	int r = cede_signal_start(SIGUSR1, &a);

	if (r < 0)
		return r;
	r = cede_signal_start(SIGUSR2, &b);
	if (r < 0) {
		cede_future_cancel(&a.future);
		return r;
	}
	raise(SIGUSR1);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &a.future, &b.future }), 0);
	return 0;
}

static int
await_a_coroutine(void *arg)
{
	cede_coro_t *co;
	int r = cede_coro_create(&co, sleep_some, NULL, NULL);

	if (r < 0)
		return r;
	r = cede_await_coro(co, NULL);
	if (cede_coro_state(co) == CEDE_CORO_CREATED)
		cede_coro_close(co, NULL); /* no stack was to be had */
	cede_coro_unref(co);
	return r;
}

static int
do_nothing(void *arg)
{
	return 0;
}

/* Every request of a scenario fails in turn, until there are no more. Returns how many. */
static unsigned
sweep(cede_fn *fn, enum fault_mode mode)
{
	unsigned n = 0, failed;
	int r;

	do {
		fault_arm(++n, mode);
		n_freed = n_bodies = 0;
		r = cede_run(fn, NULL);
		failed = fault_disarm();
		cede__thread_cleanup();
		cr_assert_eq(cede__alloc_outstanding(), 0, "request %u", n);
		cr_assert_eq(leaks_count_fds(), leaks_fds, "request %u", n);
		cr_assert(r == 0 || (r == CEDE_ENOMEM && failed > 0), "request %u: %d", n, r);
	} while (failed > 0);
	cr_assert_eq(r, 0);
	return n - 1;
}

static void
sweep_in_both_modes(cede_fn *fn)
{
	leaks_begin();
	clock_start();
	fault_install();
	cr_assert_gt(sweep(fn, FAULT_ONCE), 0);
	cr_assert_gt(sweep(fn, FAULT_FOREVER), 0);
	clock_stop();
	leaks_end();
}

Test(memory, shortage_anywhere_in_run_is_an_error)
{
	sweep_in_both_modes(do_nothing);
}

Test(memory, shortage_anywhere_in_spawn_and_join_is_an_error)
{
	sweep_in_both_modes(spawn_some);
	cr_assert_eq(n_freed, 0);
	cr_assert_eq(n_bodies, 6);
}

Test(memory, shortage_anywhere_in_sleeps_is_an_error)
{
	sweep_in_both_modes(sleep_some);
}

Test(memory, shortage_anywhere_in_scopes_is_an_error)
{
	sweep_in_both_modes(nest_scopes);
}

Test(memory, shortage_anywhere_in_signals_is_an_error)
{
	sweep_in_both_modes(wait_for_signals);
}

Test(memory, shortage_anywhere_in_an_awaited_coroutine_is_an_error)
{
	sweep_in_both_modes(await_a_coroutine);
}

/* An argument is released by its body or by its destructor, never by both or none. */
static int
spawn_owned(void *arg)
{
	CEDE_GROUP(group);

	group.policy = CEDE_GROUP_KEEP_GOING;
	for (int i = 0; i < 100; i++) {
		int r = cede_spawn_own(&group, own_an_argument, &group, count_free);

		cr_assert(r == 0 || r == CEDE_ENOMEM);
	}
	(void)!cede_group_wait(&group);
	return 0;
}

Test(memory, shortage_releases_each_argument_once)
{
	unsigned failed, n = 0;

	leaks_begin();
	clock_start();
	fault_install();
	do {
		n++;
		fault_arm(n, n % 2 ? FAULT_ONCE : FAULT_FOREVER);
		n_freed = n_bodies = 0;
		if (cede_run(spawn_owned, NULL) == 0)
			cr_assert_eq(n_freed + n_bodies, 100, "request %u", n);
		failed = fault_disarm();
		cede__thread_cleanup();
	} while (failed > 0);
	clock_stop();
	leaks_end();
}

static int
answer(void *arg)
{
	return cede_sleep(1);
}

/* One turn of everything that awaits, in memory of the caller's. */
static void
await_everything(void)
{
	cede_future_t f, g;
	cede_sleep_t a, b;
	cede_signal_t signal;

	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_sleep(0), 0);
	cede_future_init(&f, NULL);
	cede_future_init(&g, NULL);
	cede_future_resolve(&f, 1, NULL);
	cr_assert_eq(cede_await(&f), 1);
	cr_assert_eq(cede_sleep_start(1, &a), 0);
	cr_assert_eq(cede_sleep_start(2, &b), 0);
	cr_assert_eq(cede_select(3, (cede_future_t *[]){ &a.future, &b.future, &g }), 0);
	cr_assert_eq(cede_sleep_start(1, &a), 0);
	cr_assert_eq(cede_sleep_start(2, &b), 0);
	cr_assert_eq(cede_wait_all(2, (cede_future_t *[]){ &a.future, &b.future }), 0);
	CEDE_TIMEOUT(1) {
		cr_assert_eq(cede_sleep(10), CEDE_ETIMEDOUT);
	}
	CEDE_SHIELD(1) {
		cr_assert_eq(cede_sleep(1), 0);
	}
	cr_assert_eq(cede_signal_start(SIGUSR1, &signal), 0);
	raise(SIGUSR1);
	cr_assert_eq(cede_await(&signal.future), SIGUSR1);
}

static int
stay_in_the_steady_state(void *arg)
{
	CEDE_GROUP(group);

	await_everything();
	for (int i = 0; i < 100; i++) {
		cede_task_t *task;
		cede_join_t join;

		cr_assert_eq(cede_spawn_with(&group, answer, NULL, NULL, &task), 0);
		const unsigned before = fault_requests();

		await_everything();
		cr_assert_eq(cede_join(task, NULL), 0);
		cr_assert_eq(cede_join_start(task, &join), 0);
		cr_assert_eq(cede_await(&join.future), 0);
		cr_assert_eq(fault_requests(), before);
		cede_task_unref(task);
	}
	return 0;
}

Test(memory, is_not_asked_for_in_the_steady_state)
{
	fault_install();
	cr_assert_eq(run_gated(stay_in_the_steady_state, NULL), 0);
	cr_assert_gt(fault_requests(), 0);
}

/* The task, its coroutine and its stack are kept from the last one. */
static int
spawn_again_and_again(void *arg)
{
	CEDE_GROUP(group);
	unsigned before = 0;

	for (int i = 0; i < 100; i++) {
		cede_task_t *task;

		cr_assert_eq(cede_spawn(&group, answer, NULL), 0);
		cr_assert_eq(cede_group_wait(&group), 0);
		cr_assert_eq(cede_spawn_with(&group, answer, NULL, NULL, &task), 0);
		cr_assert_eq(cede_join(task, NULL), 0);
		cede_task_unref(task);
		if (i == 0)
			before = fault_requests();
	}
	cr_assert_eq(fault_requests(), before);
	return 0;
}

Test(memory, is_not_asked_for_by_a_spawn_in_the_steady_state)
{
	fault_install();
	cr_assert_eq(run_gated(spawn_again_and_again, NULL), 0);
	cr_assert_gt(fault_requests(), 0);
}

/* What is kept for the next spawns has a limit: the rest of a burst goes back at once. */
static int
spawn_a_burst(void *arg)
{
	enum { BURST = 6000, KEPT = 4096 };
	const size_t before = cede__alloc_outstanding();
	CEDE_GROUP(group);

	for (int i = 0; i < BURST; i++)
		cr_assert_eq(cede_spawn(&group, do_nothing, NULL), 0);
	cr_assert_geq(cede__alloc_outstanding() - before, 2 * BURST);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_leq(cede__alloc_outstanding() - before, 2 * KEPT + BURST / 8);
	return 0;
}

Test(memory, of_a_burst_of_tasks_goes_back)
{
	cr_assert_eq(run_gated(spawn_a_burst, NULL), 0);
}

/* A reference may outlive the loop that the task was of, and end in another's task. */
static int
keep_a_task(void *ret_task)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn_with(&group, answer, NULL, NULL, ret_task), 0);
	return cede_group_wait(&group);
}

static int
drop_a_task(void *task)
{
	cede_task_unref(task);
	return 0;
}

Test(memory, of_a_task_goes_back_wherever_its_last_reference_ends)
{
	cede_task_t *a, *b;

	leaks_begin();
	clock_start();
	cr_assert_eq(cede_run(keep_a_task, &a), 0);
	cr_assert_eq(cede_run(keep_a_task, &b), 0);
	cr_assert_eq(cede_task_result(a), 0);
	cede_task_unref(a);
	cr_assert_eq(cede_run(drop_a_task, b), 0);
	clock_stop();
	leaks_end();
}
