/*
 * loop/group.c beside asyncio's test_taskgroups.py and trio's nurseries: what
 * comes together. A failure and a cancel, two failures, a failure and the block's
 * own error, a deadline and the last task's end. docs/conformance-tasks.md has
 * the list.
 */
#include "tests/loop/taskgroups_test.h"

#include "tests/support/order.h"

TestSuite(taskgroups, .timeout = 20);

static int
fail_with_ebusy_at(void *arg)
{
	int r = cede_sleep((uint64_t)(intptr_t)arg);

	return r < 0 ? r : CEDE_EBUSY;
}

static int
wait_for_children(void *arg)
{
	struct owner *owner = arg;

	CEDE_GROUP(group);

	for (int i = 0; i < owner->children; i++)
		cr_assert_eq(cede_spawn(&group, owner->child, owner->child_arg), 0);
	owner->waited = cede_group_wait(&group);
	cr_assert_eq(group.running, 0);
	owner->after = cede_sleep(1);
	return owner->waited;
}

/* ---- results ---- */

static char forty_two[] = "42", eleven[] = "11";

static int
return_a_value(void *arg)
{
	int r = cede_sleep(10);

	return r < 0 ? r : cede_return(arg);
}

TASK_TEST(taskgroups, results_are_there_when_the_wait_returns)
{
	cede_task_t *first, *second;

	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn_with(&group, return_a_value, forty_two, NULL, &first), 0);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_eq(cede_spawn_with(&group, return_a_value, eleven, NULL, &second), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(cede_task_value(first), forty_two);
	cr_assert_eq(cede_task_value(second), eleven);
	cede_task_unref(first);
	cede_task_unref(second);
	return 0;
}

TASK_TEST(taskgroups, tasks_that_have_ended_are_not_held)
{
	CEDE_GROUP(group);
	size_t before = 0;

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 10; i++) {
			cr_assert_eq(cede_spawn(&group, return_at, MS(3)), 0);
			cr_assert_eq(cede_sleep(1), 0);
			cr_assert_leq(group.running, 4);
		}
		cr_assert_eq(cede_sleep(10), 0);
		cr_assert_eq(group.running, 0);
		if (round == 0)
			before = cede__alloc_outstanding(); /* what is pooled is there now */
	}
	cr_assert_eq(cede__alloc_outstanding(), before);
	return cede_group_wait(&group);
}

/* ---- several failures ---- */

TASK_TEST(taskgroups, tasks_that_fail_in_one_turn_are_all_kept)
{
	CEDE_GROUP(group);
	int n = 0;

	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_spawn(&group, fail_at, MS(5)), 0);
	cr_assert_eq(cede_spawn(&group, count_close, NULL), 0);
	cr_assert_eq(cede_sleep(100), CEDE_ECANCELED);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	for (cede_task_t *t = NULL; (t = cede_group_next_failed(&group, t)) != NULL;)
		n += cede_task_result(t) == CEDE_EPIPE;
	cr_assert_eq(n, 3, "what was done when the first failed was not cancelled any more");
	cr_assert_eq(n_closed, 1);
	return 0;
}

static int n_heads;

static int
grow_two_heads(void *arg)
{
	int r;

	n_heads++;
	r = cede_sleep(1);
	if (r == 0)
		r = cede_spawn(arg, grow_two_heads, arg);
	if (r == 0)
		r = cede_spawn(arg, grow_two_heads, arg);
	return r == CEDE_ECANCELED ? 0 : r;
}

static int
cut_it_short(void *arg)
{
	while (n_heads < 100) {
		int r = cede_sleep(1);

		if (r < 0)
			return r;
	}
	return CEDE_EPIPE;
}

TASK_TEST(taskgroups, tasks_that_multiply_end_with_the_failure)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, grow_two_heads, &group), 0);
	cr_assert_eq(cede_spawn(&group, cut_it_short, NULL), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	cr_assert_geq(n_heads, 100);
	cr_assert_eq(group.failed, 1);
	return 0;
}

static int n_freed;

static void
count_free(void *arg)
{
	n_freed++;
}

static int
spawn_in_the_cleanup(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	cr_assert_eq(cede_spawn_own(arg, return_at, MS(1), count_free), CEDE_ECANCELED);
	return r;
}

TASK_TEST(taskgroups, a_cleanup_after_a_failure_spawns_nothing)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, spawn_in_the_cleanup, &group), 0);
	cr_assert_eq(cede_spawn(&group, fail_at, MS(5)), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	cr_assert_eq(n_freed, 1, "the argument went all the same");
	return 0;
}

static int
spawn_when_cancelled_alone(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	cr_assert_eq(cede_spawn(arg, return_at, MS(3)), 0);
	order_record("spawned");
	return r;
}

/* The cancel was one task's, not the group's: what it spawns is not cancelled. */
TASK_TEST(taskgroups, a_cancelled_task_may_spawn_into_a_group_that_goes_on)
{
	const int64_t before = clock_ms();
	cede_task_t *task;

	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn_with(&group, spawn_when_cancelled_alone, &group, NULL, &task), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("spawned");
	cr_assert_eq(clock_ms() - before, 4);
	cede_task_unref(task);
	return 0;
}

TASK_TEST(taskgroups, a_group_that_was_left_takes_no_more)
{
	cede_group_t group;

	cede_group_init(&group);
	cr_assert_eq(cede_spawn(&group, return_at, MS(1)), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(cede_group_leave(&group), 0);
	cr_assert_eq(cede_spawn_own(&group, return_at, MS(1), count_free), CEDE_ECANCELED);
	cr_assert_eq(n_freed, 1);
	return 0;
}

TASK_TEST(taskgroups, a_second_wait_says_the_same)
{
	CEDE_GROUP(failed);
	CEDE_GROUP(late);

	cr_assert_eq(cede_spawn(&failed, fail_at, MS(5)), 0);
	cr_assert_eq(cede_group_wait(&failed), CEDE_EPIPE);
	cr_assert_eq(cede_group_wait(&failed), CEDE_EPIPE);
	cr_assert_eq(cede_group_set_timeout(&late, 5), 0);
	cr_assert_eq(cede_spawn(&late, count_close, NULL), 0);
	cr_assert_eq(cede_group_wait(&late), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_group_wait(&late), CEDE_ETIMEDOUT);
	return 0;
}

/* ---- a cancel of the owner ---- */

TASK_TEST(taskgroups, a_cancel_of_the_owner_in_the_wait_ends_all_tasks_first)
{
	struct owner owner = { .child = count_close, .children = 5 };

	CEDE_GROUP(group);
	start_owner(&group, wait_for_children, &owner);
	cr_assert_eq(cede_task_cancel(owner.task), 1);
	cr_assert_eq(join_owner(&owner), CEDE_ECANCELED);
	cr_assert_eq(owner.waited, CEDE_EXIT);
	cr_assert_eq(owner.after, CEDE_EXIT);
	cr_assert_eq(n_closed, 5);
	return 0;
}

static int
sleep_beside_children(void *arg)
{
	struct owner *owner = arg;

	CEDE_GROUP(group);

	for (int i = 0; i < owner->children; i++)
		cr_assert_eq(cede_spawn(&group, owner->child, owner->child_arg), 0);
	owner->after = cede_sleep(UINT64_MAX);
	owner->waited = cede_group_wait(&group);
	return owner->waited;
}

TASK_TEST(taskgroups, a_cancel_of_the_owner_in_the_block_ends_all_tasks_with_it)
{
	struct owner owner = { .child = count_close, .children = 5 };

	CEDE_GROUP(group);
	start_owner(&group, sleep_beside_children, &owner);
	cr_assert_eq(cede_task_cancel(owner.task), 1);
	cr_assert_eq(join_owner(&owner), CEDE_ECANCELED);
	cr_assert_eq(owner.after, CEDE_EXIT);
	cr_assert_eq(owner.waited, CEDE_EXIT);
	cr_assert_eq(n_closed, 5);
	return 0;
}

static int
close_an_empty_block(void *arg)
{
	struct owner *owner = arg;

	CEDE_GROUP(group);

	owner->after = cede_sleep(UINT64_MAX);
	owner->waited = cede_group_wait(&group);
	return owner->children ? CEDE_EBUSY : owner->after;
}

TASK_TEST(taskgroups, a_cancel_of_the_owner_of_an_empty_group_is_a_cancel)
{
	struct owner owner = { 0 }, rebel = { .children = 1 };

	CEDE_GROUP(group);
	start_owner(&group, close_an_empty_block, &owner);
	start_owner(&group, close_an_empty_block, &rebel);
	cr_assert_eq(cede_task_cancel(owner.task), 1);
	cr_assert_eq(cede_task_cancel(rebel.task), 1);
	cr_assert_eq(join_owner(&owner), CEDE_ECANCELED);
	cr_assert_eq(owner.waited, 0, "there was nothing to wait for");
	cr_assert_eq(join_owner(&rebel), CEDE_EBUSY, "what the block returns is its own");
	return 0;
}

/* Errors of tasks are heard over the cancel, as in asyncio and trio; the next await says EXIT. */
TASK_TEST(taskgroups, errors_in_the_cleanup_are_heard_over_the_cancel_of_the_owner)
{
	struct owner owner = { .child = fail_when_closed, .children = 5 };

	cede_set_unread_hook(count_report, NULL);
	{
		CEDE_GROUP(group);
		start_owner(&group, wait_for_children, &owner);
		cr_assert_eq(cede_task_cancel(owner.task), 1);
		cr_assert_eq(join_owner(&owner), CEDE_EBADF);
		cr_assert_str_eq(cede_error_text(CEDE_EBADF), "the cleanup has failed");
		cr_assert_eq(owner.waited, CEDE_EBADF);
		cr_assert_eq(owner.after, CEDE_EXIT);
	}
	cr_assert_eq(n_reports, 0, "the wait has told of them");
	return 0;
}

/*
 * | owner                | child        | sibling                |
 * |----------------------+--------------+------------------------|
 * | waits                | fails at 5   |                        |
 * | cancelled at 5       |              | EXIT, cleans up for ms |
 * | wait -> EPIPE        |              |                        |
 * | sleep -> EXIT        |              |                        |
 *
 * With and without a sibling that takes a turn to end; the cancel before and after the failure.
 */
static int
hold_one_that_fails(void *arg)
{
	struct owner *owner = arg;

	CEDE_GROUP(group);

	if (owner->children > 0)
		cr_assert_eq(cede_spawn(&group, clean_up_slowly, MS(owner->children)), 0);
	cr_assert_eq(cede_spawn(&group, fail_at, MS(4)), 0);
	owner->waited = cede_group_wait(&group);
	owner->after = cede_sleep(1);
	return owner->waited;
}

static int
cancel_at_five(void *arg)
{
	struct owner *owner = arg;

	cr_assert_eq(cede_sleep(4), 0);
	cr_assert_eq(cede_task_cancel(owner->task), 1);
	return 0;
}

TASK_TEST(taskgroups, a_failure_and_a_cancel_of_the_owner_in_one_turn_are_both_heard)
{
	for (int cleanup_ms = 0; cleanup_ms <= 2; cleanup_ms++) {
		struct owner owner = { .children = cleanup_ms };

		CEDE_GROUP(group);
		group.policy = CEDE_GROUP_KEEP_GOING;
		cr_assert_eq(cede_spawn_with(&group, hold_one_that_fails, &owner, NULL,
				     &owner.task),
			0);
		cr_assert_eq(cede_spawn(&group, cancel_at_five, &owner), 0);
		cr_assert_eq(join_owner(&owner), CEDE_EPIPE);
		cr_assert_eq(owner.waited, CEDE_EPIPE);
		cr_assert_eq(owner.after, CEDE_EXIT);
	}
	return 0;
}

static int
fail_and_be_told(void *arg)
{
	struct owner *owner = arg;

	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, fail_at, MS(30)), 0);
	owner->after = cede_sleep(UINT64_MAX);
	CEDE_SHIELD(1000) {
		cr_assert_eq(cede_sleep(50), 0, "the failure does not reach into the shield");
	}
	owner->waited = cede_group_wait(&group);
	return owner->waited;
}

/* asyncio's test_taskgroup_15 and 16. */
TASK_TEST(taskgroups, a_failure_in_the_owners_cleanup_is_heard_over_the_cancel)
{
	struct owner owner = { 0 };

	CEDE_GROUP(group);
	start_owner(&group, fail_and_be_told, &owner);
	cr_assert_eq(cede_task_cancel(owner.task), 1);
	cr_assert_eq(join_owner(&owner), CEDE_EPIPE);
	cr_assert_eq(owner.after, CEDE_EXIT);
	return 0;
}

static int
hold_two_groups(void *arg)
{
	struct owner *owner = arg;

	CEDE_GROUP(outer);

	cr_assert_eq(cede_spawn(&outer, count_close, NULL), 0);
	{
		CEDE_GROUP(inner);

		for (int i = 0; i < 3; i++)
			cr_assert_eq(cede_spawn(&inner, owner->child, owner->child_arg), 0);
		owner->waited = cede_group_wait(&inner);
	}
	if (owner->waited < 0)
		return owner->waited;
	return cede_group_wait(&outer);
}

TASK_TEST(taskgroups, errors_of_an_inner_group_are_heard_over_the_cancel_of_the_owner)
{
	struct owner owner = { .child = fail_when_closed };

	CEDE_GROUP(group);
	start_owner(&group, hold_two_groups, &owner);
	cr_assert_eq(cede_task_cancel(owner.task), 1);
	cr_assert_eq(join_owner(&owner), CEDE_EBADF);
	cr_assert_eq(n_closed, 1, "the outer one's task");
	return 0;
}

TASK_TEST(taskgroups, a_failure_in_an_inner_group_cancels_the_outer_one_when_the_block_ends_with_it)
{
	struct owner owner = { .child = fail_at, .child_arg = MS(5) };

	CEDE_GROUP(group);
	start_owner(&group, hold_two_groups, &owner);
	cr_assert_eq(join_owner(&owner), CEDE_EPIPE);
	cr_assert_eq(n_closed, 1);
	return 0;
}

/* A group that keeps going is told of no error that is another's: the cancel is heard. */
TASK_TEST(taskgroups, a_cancel_of_the_owner_is_heard_over_errors_of_a_group_that_keeps_going)
{
	CEDE_GROUP(inner);
	int r = 0;

	inner.policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn(&inner, fail_at, MS(1)), 0);
	cr_assert_eq(cede_spawn(&inner, count_close, NULL), 0);
	CEDE_TIMEOUT(10) {
		r = cede_group_wait(&inner);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_eq(inner.first_error, CEDE_EPIPE);
	cr_assert_eq(cede_task_result(cede_group_next_failed(&inner, NULL)), CEDE_EPIPE);
	return 0;
}

/* ---- both groups fail in one turn ---- */

TASK_TEST(taskgroups, that_are_nested_and_both_fail_in_one_turn_each_say_why)
{
	CEDE_GROUP(outer);
	{
		CEDE_GROUP(inner);

		cr_assert_eq(cede_spawn(&inner, fail_at, MS(5)), 0);
		cr_assert_eq(cede_spawn(&inner, clean_up_slowly, MS(3)), 0);
		cr_assert_eq(cede_spawn(&outer, fail_with_ebusy_at, MS(5)), 0);
		cr_assert_eq(cede_group_wait(&inner), CEDE_EPIPE);
	}
	cr_assert_eq(cede_sleep(1), CEDE_ECANCELED, "the outer one's");
	cr_assert_eq(cede_group_wait(&outer), CEDE_EBUSY);
	cr_assert_eq(cede_sleep(1), 0, "nothing is left of either");
	return 0;
}
