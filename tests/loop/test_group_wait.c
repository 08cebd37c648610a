/* loop/group.c: the wait for a group as an operation, for selects. */
#include "tests/loop/taskgroups_test.h"

TestSuite(group_wait, .timeout = 20);

TASK_TEST(group_wait, selects_over_the_end_of_its_group)
{
	CEDE_GROUP(group);
	cede_group_wait_t all;
	cede_sleep_t tick;

	cr_assert_eq(cede_spawn(&group, return_at, MS(10)), 0);
	cr_assert_eq(cede_group_wait_start(&group, &all), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EBUSY);
	cr_assert_eq(cede_sleep_start(5, &tick), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &all.future, &tick.future }), 1);
	cr_assert_eq(group.running, 1, "given up, the tasks go on");

	cr_assert_eq(cede_group_wait_start(&group, &all), 0);
	cr_assert_eq(cede_sleep_start(50, &tick), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &all.future, &tick.future }), 0);
	cr_assert_eq(all.future.result, 0);
	cr_assert_eq(cede_group_wait_start(&group, &all), 0);
	cr_assert_eq(cede_await(&all.future), 0, "an empty one is done");
	return 0;
}

TASK_TEST(group_wait, that_waits_in_a_select_hears_of_the_failure_by_the_wait)
{
	CEDE_GROUP(group);
	cede_group_wait_t all;
	cede_sleep_t tick;

	cr_assert_eq(cede_spawn(&group, fail_at, MS(5)), 0);
	cr_assert_eq(cede_spawn(&group, count_close, NULL), 0);
	cr_assert_eq(cede_group_wait_start(&group, &all), 0);
	cr_assert_eq(cede_sleep_start(50, &tick), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &all.future, &tick.future }), 0);
	cr_assert_eq(all.future.result, CEDE_EPIPE);
	cr_assert_eq(cede_sleep(1), 0);
	return 0;
}

/* Given up, the block is bounded by the group as before. */
TASK_TEST(group_wait, that_gave_up_its_wait_is_ended_by_a_failure_again)
{
	CEDE_GROUP(group);
	cede_group_wait_t all;

	cr_assert_eq(cede_spawn(&group, fail_at, MS(5)), 0);
	cr_assert_eq(cede_group_wait_start(&group, &all), 0);
	cede_future_cancel(&all.future);
	cr_assert_eq(cede_sleep(50), CEDE_ECANCELED);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	return 0;
}

static int
start_a_wait(void *arg)
{
	cede_group_wait_t all;

	cr_assert_eq(cede_group_wait_start(arg, &all), CEDE_EPERM);
	return 0;
}

TASK_TEST(group_wait, is_waited_for_by_its_owner_only)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, start_a_wait, &group), 0);
	return cede_group_wait(&group);
}

/* A frame that forgets its operation is no trap for the group. */
static void
forget_the_wait(cede_group_t *group)
{
	cede_group_wait_t all;

	cr_assert_eq(cede_group_wait_start(group, &all), 0);
}

TASK_TEST(group_wait, may_be_left_with_a_wait_under_way)
{
	{
		CEDE_GROUP(group);

		cr_assert_eq(cede_spawn(&group, count_close, NULL), 0);
		forget_the_wait(&group);
	}
	return cede_sleep(1);
}
