/*
 * loop/group.c: what a group does to the block it is in. T16 and T17 of
 * docs/semantics.md: a failed task, or the group's deadline, ends what the block
 * awaits; the wait for the group says why.
 */
#include "tests/support/run.h"

#include "tests/support/fault.h"
#include "tests/support/order.h"

TestSuite(group_block, .timeout = 20);

static int
fail_at(void *arg)
{
	int r = cede_sleep((uint64_t)(intptr_t)arg);

	return r < 0 ? r : CEDE_EPIPE;
}

static int
wait_for_ever(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	if (arg)
		order_record(arg);
	return r;
}

#define MS(n) ((void *)(intptr_t)(n))

/*
 * T16
 * | parent                  | child      | sibling        |
 * |-------------------------+------------+----------------|
 * | spawns both, sleeps     | sleeps     | sleeps         |
 * |                         | fails at 5 |                |
 * | sleep -> ECANCELED at 5 |            | sleep -> EXIT  |
 * | wait -> EPIPE           |            |                |
 * | sleep -> 0              |            |                |
 */
TASK_TEST(group_block, is_ended_by_a_task_that_fails_until_the_group_was_waited_for)
{
	const int64_t before = clock_ms();
	static char sibling[] = "sibling";

	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, fail_at, MS(5)), 0);
	cr_assert_eq(cede_spawn(&group, wait_for_ever, sibling), 0);
	cr_assert_eq(cede_sleep(1000), CEDE_ECANCELED);
	cr_assert_eq(cede_sleep(1000), CEDE_ECANCELED, "and again and again");
	cr_assert_eq(clock_ms() - before, 5);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	order_expect("sibling");
	cr_assert_eq(cede_sleep(1), 0);
	return 0;
}

static int
serve_beside_a_worker(void *arg)
{
	CEDE_GROUP(group);
	cede_future_t connection;

	cr_assert_eq(cede_spawn(&group, fail_at, MS(5)), 0);
	cede_future_init(&connection, NULL);
	for (int r = 0; r >= 0;)
		r = cede_await(&connection);
	return cede_group_wait(&group);
}

TASK_TEST(group_block, that_serves_ends_with_the_worker_beside_it)
{
	CEDE_GROUP(group);
	cede_task_t *task;

	group.policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn_with(&group, serve_beside_a_worker, NULL, NULL, &task), 0);
	cr_assert_eq(cede_join(task, NULL), CEDE_EPIPE);
	cede_task_unref(task);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	return 0;
}

TASK_TEST(group_block, goes_on_when_the_group_keeps_going)
{
	CEDE_GROUP(group);

	group.policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn(&group, fail_at, MS(5)), 0);
	cr_assert_eq(cede_sleep(10), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	return 0;
}

TASK_TEST(group_block, goes_on_when_a_task_is_cancelled)
{
	CEDE_GROUP(group);
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(&group, wait_for_ever, NULL, NULL, &task), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_sleep(10), 0);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cede_task_unref(task);
	return cede_group_wait(&group);
}

/* A result that is there already is received first. */
TASK_TEST(group_block, receives_what_is_done_first)
{
	CEDE_GROUP(group);
	cede_future_t future;

	cr_assert_eq(cede_spawn(&group, fail_at, MS(0)), 0);
	cede_future_init(&future, NULL);
	cr_assert_eq(cede_sleep(1000), CEDE_ECANCELED);
	cede_future_resolve(&future, 7, NULL);
	cr_assert_eq(cede_await(&future), 7);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	return 0;
}

TASK_TEST(group_block, takes_no_more_tasks_when_one_has_failed)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, fail_at, MS(5)), 0);
	cr_assert_eq(cede_sleep(10), CEDE_ECANCELED);
	cr_assert_eq(cede_spawn(&group, wait_for_ever, NULL), CEDE_ECANCELED);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	cr_assert_eq(cede_spawn(&group, wait_for_ever, NULL), CEDE_ECANCELED);
	return 0;
}

TASK_TEST(group_block, cleans_up_in_a_shield)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, fail_at, MS(5)), 0);
	cr_assert_eq(cede_sleep(10), CEDE_ECANCELED);
	CEDE_SHIELD(100) {
		cr_assert_eq(cede_sleep(50), 0);
	}
	cr_assert_eq(cede_sleep(10), CEDE_ECANCELED);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	return 0;
}

/* The group is the block's around the shield, or the timeout, in which it was first used. */
TASK_TEST(group_block, outlasts_the_scope_in_which_it_was_first_used)
{
	CEDE_GROUP(group);

	CEDE_TIMEOUT(100) {
		CEDE_SHIELD(100) {
			cr_assert_eq(cede_spawn(&group, fail_at, MS(5)), 0);
		}
		cr_assert_eq(cede_sleep(1), 0);
	}
	cr_assert_eq(cede_sleep(10), CEDE_ECANCELED);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	return 0;
}

TASK_TEST(group_block, in_a_shield_is_ended_by_a_task_that_fails)
{
	CEDE_SHIELD(1000) {
		CEDE_GROUP(group);

		cr_assert_eq(cede_spawn(&group, fail_at, MS(5)), 0);
		cr_assert_eq(cede_sleep(10), CEDE_ECANCELED);
		cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	}
	return 0;
}

/* The innermost that has expired is heard of. */
TASK_TEST(group_block, hears_of_the_innermost)
{
	CEDE_TIMEOUT(5) {
		CEDE_GROUP(group);

		cr_assert_eq(cede_spawn(&group, fail_at, MS(1)), 0);
		cr_assert_eq(cede_sleep(2), CEDE_ECANCELED);
		CEDE_SHIELD(100) {
			cr_assert_eq(cede_sleep(10), 0);
		}
		cr_assert_eq(cede_sleep(1), CEDE_ECANCELED);
		CEDE_TIMEOUT(0) {
			cr_assert_eq(cede_sleep(1), CEDE_ETIMEDOUT);
		}
		cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE, "all had ended");
		cr_assert_eq(cede_sleep(1), CEDE_ETIMEDOUT);
	}
	return 0;
}

static int
hold_two_groups(void *arg)
{
	CEDE_GROUP(outer);

	cr_assert_eq(cede_spawn(&outer, fail_at, MS(5)), 0);
	{
		CEDE_GROUP(inner);

		cr_assert_eq(cede_spawn(&inner, wait_for_ever, NULL), 0);
		cr_assert_eq(cede_group_wait(&inner), CEDE_ECANCELED, "the outer one's");
		cr_assert_eq(inner.running, 0);
	}
	return cede_group_wait(&outer);
}

TASK_TEST(group_block, of_an_outer_group_ends_the_wait_for_an_inner_one)
{
	cede_task_t *task;

	CEDE_GROUP(group);
	group.policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn_with(&group, hold_two_groups, NULL, NULL, &task), 0);
	cr_assert_eq(cede_join(task, NULL), CEDE_EPIPE);
	cede_task_unref(task);
	return 0;
}

/* Two in one block, used in turn: each region is its own. */
TASK_TEST(group_block, may_hold_two_groups)
{
	CEDE_GROUP(first);
	CEDE_GROUP(second);

	cr_assert_eq(cede_spawn(&second, fail_at, MS(5)), 0);
	cr_assert_eq(cede_spawn(&first, wait_for_ever, NULL), 0);
	cr_assert_eq(cede_sleep(10), CEDE_ECANCELED);
	cr_assert_eq(cede_group_wait(&second), CEDE_EPIPE);
	cr_assert_eq(cede_sleep(10), 0);
	cede_group_cancel(&first);
	return cede_group_wait(&first);
}

static int
hold_a_failed_group(void *arg)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, fail_at, MS(5)), 0);
	cr_assert_eq(cede_sleep(10), CEDE_ECANCELED);
	cr_assert_eq(cede_task_cancel(cede_task_current()), 1);
	cr_assert_eq(cede_sleep(10), CEDE_EXIT, "a close is more than that");
	return cede_group_wait(&group);
}

TASK_TEST(group_block, that_is_closed_hears_of_the_close)
{
	cede_task_t *task;

	CEDE_GROUP(group);
	group.policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn_with(&group, hold_a_failed_group, NULL, NULL, &task), 0);
	cr_assert_eq(cede_join(task, NULL), CEDE_EPIPE);
	cede_task_unref(task);
	return 0;
}

static int
never_wait(void *arg)
{
	cede_group_t *group = arg;

	cede_group_init(group);
	cr_assert_eq(cede_spawn(group, wait_for_ever, NULL), 0);
	return 0;
}

Test(group_block, must_leave_its_group, .signal = SIGABRT)
{
	cede_group_t group;

	cede_run(never_wait, &group);
}

static int
go_on_regardless(void *arg)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, fail_at, MS(5)), 0);
	for (;;)
		(void)!cede_sleep(10);
	return 0;
}

static void
keep_result(int result, void *data)
{
	*(int *)data = result;
}

static int
start_one_that_goes_on(void *arg)
{
	return cede_start(cede_loop_current(), go_on_regardless, NULL, keep_result, arg);
}

Test(group_block, that_does_not_heed_the_failure_is_reported)
{
	int result = 0;

	leaks_begin();
	clock_start();
	hear_start();
	cr_assert_eq(cede_run(start_one_that_goes_on, &result), 0);
	cr_assert_eq(hear_end("ignored that its group has failed"), 1);
	cr_assert_eq(result, CEDE_EIGNORED);
	clock_stop();
	leaks_end();
}

/* ---- the deadline ---- */

TASK_TEST(group_block, with_a_deadline_ends_with_all_tasks)
{
	const int64_t before = clock_ms();
	static char a[] = "a", b[] = "b";

	CEDE_GROUP(group);

	cr_assert_eq(cede_group_set_timeout(&group, 20), 0);
	cr_assert_eq(cede_spawn(&group, wait_for_ever, a), 0);
	cr_assert_eq(cede_spawn(&group, wait_for_ever, b), 0);
	cr_assert_eq(cede_sleep(1000), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_spawn(&group, wait_for_ever, a), CEDE_ECANCELED);
	cr_assert_eq(cede_group_wait(&group), CEDE_ETIMEDOUT);
	order_expect("a", "b");
	cr_assert_eq(clock_ms() - before, 20);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_group_set_timeout(&group, 20), CEDE_EALREADY);
	return 0;
}

TASK_TEST(group_block, with_a_deadline_is_bounded_before_its_first_task)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_group_set_timeout(&group, 20), 0);
	cr_assert_eq(cede_sleep(1000), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_group_wait(&group), CEDE_ETIMEDOUT);
	return 0;
}

TASK_TEST(group_block, waits_no_longer_than_its_deadline)
{
	const int64_t before = clock_ms();

	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, wait_for_ever, NULL), 0);
	cr_assert_eq(cede_group_set_timeout(&group, 20), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - before, 20);
	return 0;
}

TASK_TEST(group_block, moves_its_deadline)
{
	const int64_t before = clock_ms();

	CEDE_GROUP(group);

	cr_assert_eq(cede_group_set_timeout(&group, 20), 0);
	cr_assert_eq(cede_sleep(15), 0);
	cr_assert_eq(cede_group_set_timeout(&group, 20), 0);
	cr_assert_eq(cede_sleep(15), 0);
	cr_assert_eq(cede_group_set_timeout(&group, 2), 0);
	cr_assert_eq(cede_sleep(15), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - before, 32);
	cr_assert_eq(cede_group_wait(&group), CEDE_ETIMEDOUT);
	return 0;
}

TASK_TEST(group_block, with_a_deadline_of_nothing_has_none_left)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, wait_for_ever, NULL), 0);
	cr_assert_eq(cede_group_set_timeout(&group, 0), 0);
	cr_assert_eq(cede_sleep(1), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_group_wait(&group), CEDE_ETIMEDOUT);
	return 0;
}

static int
return_at(void *arg)
{
	return cede_sleep((uint64_t)(intptr_t)arg);
}

TASK_TEST(group_block, that_ends_in_time_is_not_timed_out_and_can_go_on)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_group_set_timeout(&group, 20), 0);
	cr_assert_eq(cede_spawn(&group, return_at, MS(10)), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(cede_sleep(1000), 0, "the deadline has gone with the wait");
	cr_assert_eq(cede_spawn(&group, return_at, MS(10)), 0);
	return cede_group_wait(&group);
}

static int
fail_when_closed(void *arg)
{
	(void)!cede_sleep(UINT64_MAX);
	return CEDE_EBADF;
}

/* As asyncio: the timeout makes a cancel of it, an error in the cleanup is an error. */
TASK_TEST(group_block, out_of_time_hands_on_an_error_of_the_cleanup)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_group_set_timeout(&group, 20), 0);
	cr_assert_eq(cede_spawn(&group, fail_when_closed, NULL), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EBADF);
	return 0;
}

static int
hold_deadlines(void *arg)
{
	const uint64_t *ms = arg; /* of the outer and of the inner group */
	const int64_t before = clock_ms();
	int r, inner_r;

	CEDE_GROUP(outer);
	cr_assert_eq(cede_group_set_timeout(&outer, ms[0]), 0);
	{
		CEDE_GROUP(inner);

		cr_assert_eq(cede_group_set_timeout(&inner, ms[1]), 0);
		cr_assert_eq(cede_spawn(&inner, wait_for_ever, NULL), 0);
		inner_r = cede_group_wait(&inner);
	}
	cr_assert_eq(inner_r, CEDE_ETIMEDOUT);
	r = cede_group_wait(&outer);
	cr_assert_eq(clock_ms() - before, 10);
	cr_assert_eq(r, ms[0] < ms[1] ? CEDE_ETIMEDOUT : 0);
	return 0;
}

TASK_TEST(group_block, in_another_ends_by_the_earliest_deadline)
{
	static uint64_t outer_first[] = { 10, 20 }, inner_first[] = { 20, 10 };

	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn(&group, hold_deadlines, outer_first), 0);
	cr_assert_eq(cede_spawn(&group, hold_deadlines, inner_first), 0);
	return cede_group_wait(&group);
}

static int
set_the_deadline_of_another(void *arg)
{
	cr_assert_eq(cede_group_set_timeout(arg, 10), CEDE_EPERM);
	return 0;
}

TASK_TEST(group_block, has_its_deadline_set_by_its_owner_only)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, set_the_deadline_of_another, &group), 0);
	return cede_group_wait(&group);
}

Test(group_block, outside_a_task_has_no_deadline)
{
	cede_group_t group;

	leaks_begin();
	cede_group_init(&group);
	cr_assert_eq(cede_group_set_timeout(&group, 10), CEDE_ENOTASK);
	leaks_end();
}

static int
set_a_deadline_without_memory(void *arg)
{
	CEDE_GROUP(group);

	fault_arm(1, FAULT_FOREVER);
	cr_assert_eq(cede_group_set_timeout(&group, 10), CEDE_ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_eq(cede_sleep(20), 0);
	return cede_group_wait(&group);
}

Test(group_block, without_memory_has_no_deadline)
{
	leaks_begin();
	fault_install();
	clock_start();
	cr_assert_eq(cede_run(set_a_deadline_without_memory, NULL), 0);
	clock_stop();
	leaks_end();
}
