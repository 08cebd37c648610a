/*
 * loop/cancel.c beside the cancel tests of asyncio's test_tasks.py and trio's rules:
 * what a cancel meets. docs/conformance-tasks.md has the list.
 */
#include "tests/support/run.h"

#include "tests/support/order.h"

TestSuite(cancellation, .timeout = 20);

static cede_task_t *
spawn_and_let_wait(cede_group_t *group, cede_fn *fn, void *arg)
{
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(group, fn, arg, NULL, &task), 0);
	cr_assert_eq(cede_sleep(0), 0);
	return task;
}

static int
wait_for_ever(void *arg)
{
	return cede_sleep(UINT64_MAX);
}

/* ---- what is awaited is cancelled ---- */

static int
await_it(void *arg)
{
	return cede_await(arg);
}

/* What somebody else cancels under an awaiter: it has not failed, it is cancelled too. */
TASK_TEST(cancellation, of_what_is_awaited_ends_the_awaiter_as_cancelled)
{
	cede_future_t future;

	CEDE_GROUP(group);
	cede_future_init(&future, NULL);
	cede_task_t *task = spawn_and_let_wait(&group, await_it, &future);

	cede_future_cancel(&future);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_eq(group.failed, 0);
	cr_assert_eq(cede_sleep(1), 0, "a cancel is no failure");
	cede_task_unref(task);
	return cede_group_wait(&group);
}

TASK_TEST(cancellation, of_both_an_awaiter_and_what_it_awaits_is_one)
{
	for (int order = 0; order < 2; order++) {
		cede_future_t future;

		CEDE_GROUP(group);
		cede_future_init(&future, NULL);
		cede_task_t *task = spawn_and_let_wait(&group, await_it, &future);

		if (order == 0)
			cede_future_cancel(&future);
		cr_assert_eq(cede_task_cancel(task), 1);
		if (order == 1)
			cede_future_cancel(&future);
		cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
		cr_assert_eq(cede_future_result(&future), CEDE_ECANCELED);
		cede_task_unref(task);
		cr_assert_eq(cede_group_wait(&group), 0);
	}
	return 0;
}

/* ---- when it comes ---- */

static int
cancel_and_return(void *arg)
{
	cr_assert_eq(cede_task_cancel(cede_task_current()), 1);
	return cede_return(arg);
}

/* Against asyncio, which throws the result away: what is completed beats the cancel. */
TASK_TEST(cancellation, at_the_end_of_a_body_comes_too_late)
{
	static char kept[] = "a value";
	void *value = NULL;

	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, cancel_and_return, kept);

	cr_assert_eq(cede_join(task, &value), 0);
	cr_assert_eq(value, kept);
	cede_task_unref(task);
	return 0;
}

static int
give_way_often(void *arg)
{
	int *n = arg, r;

	do
		r = cede_sleep(0);
	while (r == 0 && ++*n < 100);
	return r;
}

/* It had its turn already when the cancel came: it hears of it at the next await. */
TASK_TEST(cancellation, of_a_task_that_gives_way_comes_within_two_turns)
{
	int n = 0;

	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, give_way_often, &n);

	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_leq(n, 1);
	cede_task_unref(task);
	return 0;
}

static int
compute_and_return(void *arg)
{
	cr_assert_eq(cede_task_cancel(cede_task_current()), 1);
	order_record("computed");
	return CEDE_EPIPE;
}

TASK_TEST(cancellation, never_interrupts_what_does_not_await)
{
	CEDE_GROUP(group);
	group.policy = CEDE_GROUP_KEEP_GOING;
	cede_task_t *task = spawn_and_let_wait(&group, compute_and_return, NULL);

	order_expect("computed");
	cr_assert_eq(cede_join(task, NULL), CEDE_EPIPE);
	cede_task_unref(task);
	return 0;
}

static int
give_up_a_sleep_of_an_hour(void *arg)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, wait_for_ever, NULL);

	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cede_task_unref(task);
	return 0;
}

Test(cancellation, of_a_sleep_takes_its_timer_with_it)
{
	clock_start();
	const int64_t before = clock_ms();

	clock_stop();
	cr_assert_eq(run_gated(give_up_a_sleep_of_an_hour, NULL), 0);
	cr_assert_lt(clock_ms() - before, 1000, "nothing kept the loop going");
}

/* ---- whom it reaches ---- */

static int
record_close(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	order_record(arg);
	return r;
}

static int
hold_two_leaves(void *arg)
{
	static char first[] = "leaf", second[] = "leaf";

	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn(&group, record_close, first), 0);
	cr_assert_eq(cede_spawn(&group, record_close, second), 0);
	return cede_group_wait(&group);
}

TASK_TEST(cancellation, reaches_the_tasks_of_its_tasks)
{
	const int64_t before = clock_ms();

	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn(&group, hold_two_leaves, NULL), 0);
	cr_assert_eq(cede_spawn(&group, hold_two_leaves, NULL), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cede_group_cancel(&group);
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("leaf", "leaf", "leaf", "leaf");
	cr_assert_eq(clock_ms() - before, 1);
	return 0;
}

static int
be_alive_in_a_shield(void *arg)
{
	CEDE_SHIELD(1000) {
		cr_assert_eq(cede_sleep(20), 0);
	}
	return cede_sleep(1);
}

static int
shield_the_wait(void *arg)
{
	int r = 1;

	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn(&group, be_alive_in_a_shield, NULL), 0);
	CEDE_SHIELD(1000) {
		r = cede_group_wait(&group);
	}
	cr_assert_eq(r, 0, "nobody has cancelled the tasks");
	return cede_sleep(1);
}

/* trio: a nursery in a shield goes on when who holds it is cancelled. */
TASK_TEST(cancellation, does_not_reach_through_a_shield_around_a_wait)
{
	const int64_t before = clock_ms();

	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, shield_the_wait, NULL);

	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_eq(clock_ms() - before, 21);
	cede_task_unref(task);
	return 0;
}

static int
spawn_while_closed(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	CEDE_SHIELD(1000) {
		CEDE_GROUP(group);
		cr_assert_eq(cede_spawn(&group, be_alive_in_a_shield, NULL), 0);
		cr_assert_eq(cede_group_wait(&group), 0);
	}
	return r;
}

/* A cancel is the task's: what its cleanup spawns begins without one. */
TASK_TEST(cancellation, is_not_inherited_by_what_a_cleanup_spawns)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, spawn_while_closed, NULL);
	const int64_t before = clock_ms();

	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_eq(clock_ms() - before, 21);
	cede_task_unref(task);
	return 0;
}

/* ---- what is said of it ---- */

static int
fail_when_joined_one_is_cancelled(void *arg)
{
	int r = cede_join(arg, NULL);

	CEDE_HANDLE(r)
	{
		return cede_raise(CEDE_EPIPE, "the other has gone");
	}
	return r;
}

TASK_TEST(cancellation, of_a_joined_task_is_the_context_of_what_the_joiner_raises)
{
	CEDE_GROUP(group);
	group.policy = CEDE_GROUP_KEEP_GOING;
	cede_task_t *task = spawn_and_let_wait(&group, wait_for_ever, NULL);
	cede_task_t *joiner = spawn_and_let_wait(&group, fail_when_joined_one_is_cancelled, task);

	cr_assert_eq(cede_task_cancel_with(task, "no more"), 1);
	cr_assert_eq(cede_join(joiner, NULL), CEDE_EPIPE);
	const cede_error_t *context = cede_error_context(cede_task_error(joiner));

	cr_assert_eq(cede_error_code(context), CEDE_ECANCELED);
	cr_assert_str_eq(cede_error_message(context), "no more");
	cede_task_unref(joiner);
	cede_task_unref(task);
	return 0;
}

/* T15: nobody holds it, and it runs on: a task that waits is held by its loop. */
static int
sleep_and_tell(void *arg)
{
	int r = cede_sleep(5);

	order_record(r == 0 ? "ran to its end" : "?");
	return r;
}

TASK_TEST(cancellation, is_not_what_dropping_a_task_does)
{
	cede_task_t *task;

	cr_assert_eq(cede_start_with(cede_loop_current(), sleep_and_tell, NULL, NULL, NULL, NULL,
			     &task),
		0);
	cede_task_unref(task);
	cr_assert_eq(cede_sleep(10), 0);
	order_expect("ran to its end");
	return 0;
}
