/*
 * loop/group.c beside asyncio's test_taskgroups.py, continued: groups that are left
 * by an error of their block, by one that is told to end meanwhile, and with a
 * deadline or a timeout.
 */
#include "tests/loop/taskgroups_test.h"

#include "tests/support/order.h"

TestSuite(taskgroups_block, .timeout = 20);

/* ---- an error of the block ---- */

static int
fail_beside_children(void *arg)
{
	struct owner *owner = arg;

	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, owner->child, owner->child_arg), 0);
	if (owner->children)
		owner->after = cede_sleep((uint64_t)owner->children);
	return cede_raise(CEDE_EBUSY, "the block has failed");
}

TASK_TEST(taskgroups_block, an_error_of_the_block_cancels_what_runs)
{
	struct owner owner = { .child = count_close, .children = 5 };

	CEDE_GROUP(group);
	start_owner(&group, fail_beside_children, &owner);
	cr_assert_eq(join_owner(&owner), CEDE_EBUSY);
	cr_assert_str_eq(cede_error_text(CEDE_EBUSY), "the block has failed",
		"the leave has not touched it");
	cr_assert_eq(n_closed, 1);

	owner.children = 0;
	start_owner(&group, fail_beside_children, &owner);
	cr_assert_eq(join_owner(&owner), CEDE_EBUSY);
	cr_assert_eq(n_closed, 1, "the second one's child never ran");
	return 0;
}

/*
 * The block's code is the block's; the error of the task is not lost: it is reported
 * unless somebody has asked. asyncio puts both in one object, which C has not.
 */
TASK_TEST(taskgroups_block, an_error_of_the_block_and_one_of_a_task_are_both_heard)
{
	struct owner owner = { .child = fail_at, .child_arg = MS(5), .children = 10 };

	cede_set_unread_hook(count_report, NULL);
	CEDE_GROUP(group);
	start_owner(&group, fail_beside_children, &owner);
	cr_assert_eq(join_owner(&owner), CEDE_EBUSY);
	cr_assert_eq(owner.after, CEDE_ECANCELED);
	cr_assert_eq(n_reports, 1);
	cr_assert_eq(last_report, CEDE_EPIPE);

	owner.child = fail_when_closed; /* now the leave makes it fail */
	start_owner(&group, fail_beside_children, &owner);
	cr_assert_eq(join_owner(&owner), CEDE_EBUSY);
	cr_assert_eq(n_reports, 2);
	cr_assert_eq(last_report, CEDE_EBADF);
	return 0;
}

/* ---- leaving, while the owner is told to end ---- */

static int
leave_slowly(void *arg)
{
	struct owner *owner = arg;
	cede_group_t group;

	cede_group_init(&group);
	cr_assert_eq(cede_spawn(&group, clean_up_slowly, MS(30)), 0);
	cr_assert_eq(cede_spawn(&group, count_close, NULL), 0);
	cr_assert_eq(cede_sleep(5), 0);
	owner->waited = cede_group_leave(&group);
	cr_assert_eq(group.running, 0);
	if (owner->children)
		owner->after = cede_sleep(1);
	return owner->children ? owner->after : cede_return(&n_closed);
}

/*
 * | owner                     | tasks                |
 * |---------------------------+----------------------|
 * | leave at 5                | EXIT, one takes 30   |
 * | cancelled at 10           |                      |
 * | leave returns at 35       |                      |
 * | the next await: EXIT      |                      |
 */
TASK_TEST(taskgroups_block, a_cancel_of_the_owner_while_it_leaves_waits_for_the_leave)
{
	for (int awaits = 0; awaits < 2; awaits++) {
		struct owner owner = { .children = awaits };
		const int64_t before = clock_ms();

		CEDE_GROUP(group);
		n_closed = 0;
		start_owner(&group, leave_slowly, &owner);
		cr_assert_eq(cede_sleep(9), 0);
		cr_assert_eq(cede_task_cancel(owner.task), 1);
		cr_assert_eq(join_owner(&owner), awaits ? CEDE_ECANCELED : 0);
		cr_assert_eq(clock_ms() - before, 35);
		cr_assert_eq(owner.waited, 0);
		cr_assert_eq(owner.after, awaits ? CEDE_EXIT : 0);
		cr_assert_eq(n_closed, 2);
	}
	return 0;
}

/* ---- deadlines ---- */

/* The time has passed before all had ended, be it by nothing. */
TASK_TEST(taskgroups_block, a_deadline_due_with_the_end_of_the_last_task_has_passed)
{
	cede_task_t *task;

	for (int first = 0; first < 2; first++) {
		CEDE_GROUP(group);

		if (first == 0)
			cr_assert_eq(cede_group_set_timeout(&group, 10), 0);
		cr_assert_eq(cede_spawn_with(&group, return_at, MS(10),
				     &(cede_spawn_options_t){ .is_eager = 1 }, &task),
			0);
		if (first == 1)
			cr_assert_eq(cede_group_set_timeout(&group, 10), 0);
		cr_assert_eq(cede_group_wait(&group), CEDE_ETIMEDOUT);
		cr_assert_eq(cede_task_result(task), 0, "what was done is done");
		cede_task_unref(task);
	}
	return 0;
}

static int
return_now(void *arg)
{
	return 0;
}

static int
compute(void *arg)
{
	clock_advance(10);
	return 0;
}

/* The last has ended, but others keep the owner from hearing of it until the time has passed. */
TASK_TEST(taskgroups_block, a_deadline_that_passes_after_the_end_of_the_last_task_is_met)
{
	CEDE_GROUP(others);
	CEDE_GROUP(group);

	cr_assert_eq(cede_group_set_timeout(&group, 50), 0);
	cr_assert_eq(cede_spawn(&group, return_now, NULL), 0);
	for (int i = 0; i < 200; i++)
		cr_assert_eq(cede_spawn(&others, compute, NULL), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(group.region.has_expired, 0);
	return cede_group_wait(&others);
}

static int
spawn_late(void *arg)
{
	cr_assert_eq(cede_spawn(arg, count_close, NULL), CEDE_ECANCELED);
	order_record("refused");
	return 0;
}

/* Nothing slips in behind the deadline: nobody would bound it. */
TASK_TEST(taskgroups_block, a_group_whose_time_has_passed_takes_no_more_though_it_was_met)
{
	CEDE_GROUP(others);
	CEDE_GROUP(group);

	cr_assert_eq(cede_group_set_timeout(&group, 50), 0);
	cr_assert_eq(cede_spawn(&group, return_now, NULL), 0);
	for (int i = 0; i < 200; i++)
		cr_assert_eq(cede_spawn(&others, compute, NULL), 0);
	cr_assert_eq(cede_spawn(&others, spawn_late, &group), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("refused");
	return cede_group_wait(&others);
}

TASK_TEST(taskgroups_block, errors_in_the_cleanup_are_heard_over_a_timeout_around_the_wait)
{
	const int64_t before = clock_ms();
	cede_scope_t scope;
	int r;

	cr_assert_eq(cede_scope_enter(&scope, 10), 0);
	{
		CEDE_GROUP(group);

		cr_assert_eq(cede_spawn(&group, fail_when_closed, NULL), 0);
		r = cede_group_wait(&group);
	}
	cr_assert_eq(cede_sleep(1), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_scope_leave(&scope), 1);
	cr_assert_eq(r, CEDE_EBADF);
	cr_assert_eq(clock_ms() - before, 10);
	return 0;
}

/* asyncio's test_timeout_taskgroup: the block was told of the timeout, and says so. */
TASK_TEST(taskgroups_block, a_timeout_in_the_block_ends_block_and_tasks)
{
	int in_block = 0, waited = 0;

	CEDE_TIMEOUT(10) {
		CEDE_GROUP(group);

		cr_assert_eq(cede_spawn(&group, fail_when_closed, NULL), 0);
		in_block = cede_sleep(1000);
		waited = cede_group_wait(&group);
	}
	cr_assert_eq(in_block, CEDE_ETIMEDOUT);
	cr_assert_eq(waited, CEDE_EBADF);
	cr_assert_eq(cede_sleep(1), 0);
	return 0;
}
