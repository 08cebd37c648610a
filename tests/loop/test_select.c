/* loop/future.c, several at once: select, wait_any, wait_all. */
#include "tests/support/run.h"

TestSuite(select, .timeout = 20);

static int n_cancelled;

static void
count_cancel(cede_future_t *future)
{
	n_cancelled++;
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

static void
finish_instead(cede_future_t *future)
{
	n_cancelled++;
	cede_future_resolve(future, 42, NULL);
}

static int
resolve_later(void *arg)
{
	int r = cede_sleep(5);

	if (r == 0)
		cede_future_resolve(arg, 7, NULL);
	return r;
}

TASK_TEST(select, returns_the_first_that_is_done_and_cancels_the_others)
{
	for (int first = 0; first < 3; first++) {
		CEDE_GROUP(group);
		cede_future_t f[3];

		n_cancelled = 0;
		for (int i = 0; i < 3; i++)
			cede_future_init(&f[i], count_cancel);
		cr_assert_eq(cede_spawn(&group, resolve_later, &f[first]), 0);
		cr_assert_eq(cede_select(3, (cede_future_t *[]){ &f[0], &f[1], &f[2] }), first);
		cr_assert_eq(n_cancelled, 2);
		for (int i = 0; i < 3; i++)
			cr_assert_eq(f[i].result, i == first ? 7 : CEDE_ECANCELED);
	}
	return 0;
}

TASK_TEST(select, takes_one_that_was_done_before)
{
	cede_future_t f[2];

	cede_future_init(&f[0], count_cancel);
	cede_future_init(&f[1], count_cancel);
	cede_future_resolve(&f[1], CEDE_EPIPE, NULL);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &f[0], &f[1] }), 1,
		"an error is done too");
	cr_assert_eq(f[1].result, CEDE_EPIPE);
	cr_assert_eq(f[0].result, CEDE_ECANCELED);
	return 0;
}

static int
resolve_both(void *arg)
{
	cede_future_t *f = arg;

	cede_future_resolve(&f[1], 1, NULL);
	cede_future_resolve(&f[0], 2, NULL);
	return 0;
}

/* Both are done when it wakes: the lower index is returned, the other keeps its result. */
TASK_TEST(select, loses_no_result_when_two_are_done_in_one_turn)
{
	CEDE_GROUP(group);
	cede_future_t f[2];

	cede_future_init(&f[0], count_cancel);
	cede_future_init(&f[1], count_cancel);
	cr_assert_eq(cede_spawn(&group, resolve_both, f), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &f[0], &f[1] }), 0);
	cr_assert_eq(f[0].result, 2);
	cr_assert_eq(f[1].result, 1);
	cr_assert_eq(n_cancelled, 0);
	return 0;
}

TASK_TEST(select, keeps_the_result_of_one_that_finished_when_it_was_cancelled)
{
	CEDE_GROUP(group);
	cede_future_t f[2];

	cede_future_init(&f[0], NULL);
	cede_future_init(&f[1], finish_instead);
	cr_assert_eq(cede_spawn(&group, resolve_later, &f[0]), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &f[0], &f[1] }), 0);
	cr_assert_eq(f[1].result, 42);
	return 0;
}

TASK_TEST(select, waits_for_sleeps_joins_and_signals_together)
{
	CEDE_GROUP(group);
	cede_sleep_t tick, tock;
	cede_signal_t signal;
	cede_join_t join;
	cede_future_t never;
	cede_task_t *task;
	const int64_t before = clock_ms();

	cede_future_init(&never, NULL);
	cr_assert_eq(cede_spawn_with(&group, resolve_later, &never, NULL, &task), 0);
	cr_assert_eq(cede_sleep_start(20, &tick), 0);
	cr_assert_eq(cede_sleep_start(3, &tock), 0);
	cr_assert_eq(cede_signal_start(SIGUSR1, &signal), 0);
	cr_assert_eq(cede_join_start(task, &join), 0);
	cede_future_t *all[] = { &tick.future, &signal.future, &join.future, &tock.future };

	cr_assert_eq(cede_wait_any(4, all), 3);
	cr_assert_eq(clock_ms() - before, 3);
	cr_assert_eq(cede_wait_any(3, all), 2);
	cr_assert_eq(clock_ms() - before, 5);
	cr_assert_eq(join.future.result, 0);
	raise(SIGUSR1);
	cr_assert_eq(cede_select(2, all), 1);
	cr_assert_eq(signal.future.result, SIGUSR1);
	cr_assert_eq(tick.future.result, CEDE_ECANCELED);
	cr_assert_eq(clock_ms() - before, 5);
	cede_task_unref(task);
	return 0;
}

TASK_TEST(select, refuses_an_empty_or_broken_set)
{
	cede_future_t f;

	cede_future_init(&f, count_cancel);
	cede_future_t *broken[] = { &f, NULL };

	cr_assert_eq(cede_select(0, broken), CEDE_EINVAL);
	cr_assert_eq(cede_select(-1, broken), CEDE_EINVAL);
	cr_assert_eq(cede_select(1, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_select(2, broken), CEDE_EINVAL);
	cr_assert_eq(cede_wait_any(2, broken), CEDE_EINVAL);
	cr_assert_eq(cede_wait_all(2, broken), CEDE_EINVAL);
	cr_assert_eq(n_cancelled, 0);
	cr_assert_eq(f.is_done, 0);
	return 0;
}

TASK_TEST(select, that_times_out_cancels_all)
{
	cede_future_t f[3];
	int r[3] = { 0 };

	for (int kind = 0; kind < 3; kind++) {
		cede_future_t *all[] = { &f[0], &f[1], &f[2] };

		n_cancelled = 0;
		for (int i = 0; i < 3; i++)
			cede_future_init(&f[i], count_cancel);
		cede_future_resolve(&f[1], 5, NULL);
		all[1] = kind == 2 ? &f[1] : &f[2];
		CEDE_TIMEOUT(5) {
			r[kind] = kind == 0 ? cede_select(2, all)
				: kind == 1 ? cede_wait_any(2, all)
					    : cede_wait_all(3, all);
		}
		cr_assert_eq(r[kind], CEDE_ETIMEDOUT);
		cr_assert_eq(n_cancelled, 2);
		cr_assert_eq(f[1].result, 5);
		cr_assert_eq(f[0].result, CEDE_ECANCELED);
		cr_assert_eq(f[2].result, CEDE_ECANCELED);
	}
	return 0;
}

TASK_TEST(select, wait_any_leaves_the_others_running)
{
	CEDE_GROUP(group);
	cede_future_t f[2];
	cede_future_t *all[] = { &f[0], &f[1] };

	cede_future_init(&f[0], count_cancel);
	cede_future_init(&f[1], count_cancel);
	cr_assert_eq(cede_spawn(&group, resolve_later, &f[1]), 0);
	cr_assert_eq(cede_wait_any(2, all), 1);
	cr_assert_eq(f[0].is_done, 0);
	cr_assert_eq(cede_spawn(&group, resolve_later, &f[0]), 0);
	cr_assert_eq(cede_await(&f[0]), 7, "it may be awaited afterwards");
	cr_assert_eq(n_cancelled, 0);
	return 0;
}

TASK_TEST(select, wait_all_waits_for_all_whatever_their_results)
{
	CEDE_GROUP(group);
	cede_future_t f[3];
	cede_sleep_t tick;

	for (int i = 0; i < 3; i++)
		cede_future_init(&f[i], count_cancel);
	cede_future_resolve(&f[1], CEDE_EPIPE, NULL);
	cr_assert_eq(cede_spawn(&group, resolve_later, &f[2]), 0);
	cr_assert_eq(cede_spawn(&group, resolve_later, &f[0]), 0);
	cr_assert_eq(cede_sleep_start(9, &tick), 0);
	cr_assert_eq(cede_wait_all(4, (cede_future_t *[]){ &f[0], &f[1], &f[2], &tick.future }), 0);
	cr_assert_eq(f[0].result, 7);
	cr_assert_eq(f[1].result, CEDE_EPIPE);
	cr_assert_eq(f[2].result, 7);
	cr_assert_eq(tick.future.result, 0);
	cr_assert_eq(n_cancelled, 0);
	return 0;
}

TASK_TEST(select, may_hold_one_future_twice)
{
	CEDE_GROUP(group);
	cede_future_t f;

	cede_future_init(&f, count_cancel);
	cr_assert_eq(cede_spawn(&group, resolve_later, &f), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &f, &f }), 0);
	cr_assert_eq(f.result, 7);
	return 0;
}

TASK_TEST(select, of_a_thousand_finds_the_one)
{
	enum { N = 1000 };
	static cede_future_t f[N];
	static cede_future_t *all[N];
	CEDE_GROUP(group);

	for (int i = 0; i < N; i++) {
		cede_future_init(&f[i], count_cancel);
		all[i] = &f[i];
	}
	cr_assert_eq(cede_spawn(&group, resolve_later, &f[777]), 0);
	cr_assert_eq(cede_select(N, all), 777);
	cr_assert_eq(n_cancelled, N - 1);
	return 0;
}

static int
wait_for_both(void *arg)
{
	cede_future_t *f = arg;

	return cede_wait_all(2, (cede_future_t *[]){ &f[0], &f[1] });
}

static int
await_it(void *arg)
{
	return cede_await(arg) == CEDE_ECANCELED ? 0 : CEDE_EINVAL;
}

TASK_TEST(select, wait_all_given_up_wakes_another_that_awaits_one_of_them)
{
	cede_future_t f[2];
	cede_task_t *all;
	int r = CEDE_ETIMEDOUT;

	CEDE_GROUP(group);
	cede_future_init(&f[0], NULL);
	cede_future_init(&f[1], NULL);
	cr_assert_eq(cede_spawn_with(&group, wait_for_both, f, NULL, &all), 0);
	cr_assert_eq(cede_spawn(&group, await_it, &f[1]), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cede_task_cancel(all);
	cede_task_unref(all);
	CEDE_TIMEOUT(100) {
		r = cede_group_wait(&group);
	}
	return r;
}

static int
set_it(void *arg)
{
	*(int *)arg = 1;
	return 0;
}

TASK_TEST(select, of_what_is_done_lets_others_run_now_and_then)
{
	int has_run = 0, n = 0;
	cede_future_t f;

	CEDE_GROUP(group);
	cede_future_init(&f, NULL);
	cede_future_resolve(&f, 7, NULL);
	cr_assert_eq(cede_spawn(&group, set_it, &has_run), 0);
	for (; n < 10000 && !has_run; n++)
		cr_assert_eq(cede_select(1, (cede_future_t *[]){ &f }), 0);
	cr_assert_eq(has_run, 1);
	cr_assert_gt(n, 10, "not each time");
	return cede_group_wait(&group);
}
