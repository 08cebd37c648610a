/* loop/group.c: what becomes of the tasks. T16 of docs/semantics.md. */
#include "tests/support/run.h"

#include "tests/support/order.h"

TestSuite(group, .timeout = 20);

static int
sleep_long(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	if (arg)
		order_record(arg);
	return r;
}

static int
fail_after(void *arg)
{
	int r = cede_sleep(5);

	return r < 0 ? r : *(int *)arg;
}

static int
sleep_short(void *arg)
{
	int r = cede_sleep(10);

	if (r == 0)
		order_record(arg);
	return r;
}

TASK_TEST(group, waits_for_all)
{
	CEDE_GROUP(group);
	static char a[] = "a", b[] = "b";

	cr_assert_eq(cede_group_wait(&group), 0, "an empty one at once");
	cr_assert_eq(cede_spawn(&group, sleep_short, a), 0);
	cr_assert_eq(cede_spawn(&group, sleep_short, b), 0);
	cr_assert_eq(group.running, 2);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(group.running, 0);
	order_expect("a", "b");

	cr_assert_eq(cede_spawn(&group, sleep_short, a), 0, "it can be used again");
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("a");
	return 0;
}

/* T16; what becomes of the parent's body is in test_group_block.c. */
TASK_TEST(group, cancels_the_siblings_at_the_first_error)
{
	CEDE_GROUP(group);
	static char a[] = "a closed", b[] = "b closed";
	int code = CEDE_EPIPE;

	cr_assert_eq(cede_spawn(&group, sleep_long, a), 0);
	cr_assert_eq(cede_spawn(&group, fail_after, &code), 0);
	cr_assert_eq(cede_spawn(&group, sleep_long, b), 0);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	order_expect("a closed", "b closed");
	cr_assert_eq(group.failed, 1, "a cancel is no failure");
	cr_assert_eq(group.first_error, CEDE_EPIPE);
	cr_assert_eq(cede_sleep(1), 0, "the parent goes on");
	return 0;
}

static int
fail_in_cleanup(void *arg)
{
	(void)!cede_sleep(UINT64_MAX);
	return *(int *)arg;
}

TASK_TEST(group, keeps_the_first_error_and_counts_the_others)
{
	CEDE_GROUP(group);
	int codes[] = { CEDE_EPIPE, CEDE_EBADF, CEDE_EBUSY };

	cr_assert_eq(cede_spawn(&group, fail_in_cleanup, &codes[1]), 0);
	cr_assert_eq(cede_spawn(&group, fail_after, &codes[0]), 0);
	cr_assert_eq(cede_spawn(&group, fail_in_cleanup, &codes[2]), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	cr_assert_eq(group.failed, 3);
	return 0;
}

TASK_TEST(group, that_keeps_going_lets_the_siblings_run)
{
	CEDE_GROUP(group);
	static char a[] = "a";
	int codes[] = { CEDE_EPIPE, CEDE_EBADF };

	group.policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn(&group, fail_after, &codes[0]), 0);
	cr_assert_eq(cede_spawn(&group, fail_after, &codes[1]), 0);
	cr_assert_eq(cede_spawn(&group, sleep_short, a), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	order_expect("a");
	cr_assert_eq(group.failed, 2);
	return 0;
}

static int
hold_a_group(void *arg)
{
	CEDE_GROUP(inner);
	static char a[] = "a closed", b[] = "b closed";

	cr_assert_eq(cede_spawn(&inner, sleep_long, a), 0);
	cr_assert_eq(cede_spawn(&inner, sleep_long, b), 0);
	int r = cede_group_wait(&inner);

	order_record("holder");
	return r;
}

TASK_TEST(group, that_is_nested_ends_innermost_first)
{
	CEDE_GROUP(group);
	static char c[] = "c closed";

	cr_assert_eq(cede_spawn(&group, hold_a_group, NULL), 0);
	cr_assert_eq(cede_spawn(&group, sleep_long, c), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cede_group_cancel(&group);
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("c closed", "a closed", "b closed", "holder");
	return 0;
}

static int
fail_inside_a_group(void *arg)
{
	CEDE_GROUP(inner);

	cr_assert_eq(cede_spawn(&inner, fail_after, arg), 0);
	cr_assert_eq(cede_spawn(&inner, sleep_long, NULL), 0);
	return cede_group_wait(&inner);
}

TASK_TEST(group, hands_an_error_up_through_nested_ones)
{
	CEDE_GROUP(group);
	static char a[] = "outer sibling";
	int code = CEDE_EPIPE;

	cr_assert_eq(cede_spawn(&group, fail_inside_a_group, &code), 0);
	cr_assert_eq(cede_spawn(&group, sleep_long, a), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	order_expect("outer sibling");
	return 0;
}

struct spawner {
	cede_group_t *group;
	int left;
};

static int
spawn_the_next(void *arg)
{
	struct spawner *spawner = arg;

	if (cede_sleep(1) < 0)
		return CEDE_EXIT;
	if (--spawner->left > 0)
		return cede_spawn(spawner->group, spawn_the_next, spawner);
	return 0;
}

TASK_TEST(group, waits_for_those_spawned_meanwhile)
{
	CEDE_GROUP(group);
	struct spawner spawner = { &group, 20 };

	cr_assert_eq(cede_spawn(&group, spawn_the_next, &spawner), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(spawner.left, 0);
	return 0;
}

/* Leaving by any path cancels and waits: none is alive behind the block. */
static int n_alive;

static int
be_alive(void *arg)
{
	n_alive++;
	int r = cede_sleep(UINT64_MAX);

	CEDE_SHIELD(1000) {
		cr_assert_eq(cede_sleep(3), 0);
	}
	n_alive--;
	return r;
}

static int
leave_by_return(void)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, be_alive, NULL), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(n_alive, 1);
	return 5;
}

static int
leave_by_goto(void)
{
	{
		CEDE_GROUP(group);

		cr_assert_eq(cede_spawn(&group, be_alive, NULL), 0);
		cr_assert_eq(cede_sleep(1), 0);
		goto out;
	}
out:
	return n_alive;
}

TASK_TEST(group, is_left_by_return_goto_and_break)
{
	cr_assert_eq(leave_by_return(), 5);
	cr_assert_eq(n_alive, 0);
	cr_assert_eq(leave_by_goto(), 0);
	for (int i = 0; i < 3; i++) {
		CEDE_GROUP(group);

		cr_assert_eq(cede_spawn(&group, be_alive, NULL), 0);
		cr_assert_eq(cede_sleep(1), 0);
		if (i == 1)
			break;
	}
	cr_assert_eq(n_alive, 0);
	return 0;
}

static int
never_run(void *arg)
{
	cr_assert(0, "was cancelled before its start");
	return 0;
}

TASK_TEST(group, that_is_left_at_once_runs_nothing)
{
	{
		CEDE_GROUP(group);

		cr_assert_eq(cede_spawn(&group, never_run, NULL), 0);
	}
	return 0;
}

TASK_TEST(group, in_a_timeout_ends_with_it)
{
	const int64_t before = clock_ms();
	int waited = 0;

	CEDE_TIMEOUT(10) {
		CEDE_GROUP(group);

		cr_assert_eq(cede_spawn(&group, be_alive, NULL), 0);
		cr_assert_eq(cede_spawn(&group, be_alive, NULL), 0);
		waited = cede_group_wait(&group);
		cr_assert_eq(n_alive, 0, "they have ended when the wait returns");
		cr_assert_eq(cede_spawn(&group, be_alive, NULL), CEDE_ECANCELED);
	}
	cr_assert_eq(waited, CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - before, 13);
	cr_assert_eq(cede_sleep(1), 0);
	return 0;
}

TASK_TEST(group, that_is_left_in_an_expired_timeout_waits_all_the_same)
{
	CEDE_TIMEOUT(10) {
		CEDE_GROUP(group);

		cr_assert_eq(cede_spawn(&group, be_alive, NULL), 0);
		cr_assert_eq(cede_sleep(60000), CEDE_ETIMEDOUT);
		cr_assert_eq(n_alive, 1);
	}
	cr_assert_eq(n_alive, 0);
	return 0;
}

static int
hold_ones_with_cleanup(void *arg)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, be_alive, NULL), 0);
	cr_assert_eq(cede_spawn(&group, be_alive, NULL), 0);
	return cede_sleep(UINT64_MAX);
}

TASK_TEST(group, of_a_task_that_is_closed_is_waited_for)
{
	CEDE_GROUP(group);
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(&group, hold_ones_with_cleanup, NULL, NULL, &task), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(n_alive, 2);
	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_eq(n_alive, 0);
	cede_task_unref(task);
	return 0;
}

static int n_freed;

static void
count_free(void *arg)
{
	n_freed++;
}

TASK_TEST(group, that_was_cancelled_takes_no_more)
{
	CEDE_GROUP(group);
	cede_task_t *task = NULL;

	cede_group_cancel(&group);
	cr_assert_eq(cede_spawn(&group, never_run, NULL), CEDE_ECANCELED);
	cr_assert_eq(cede_spawn_own(&group, never_run, &group, count_free), CEDE_ECANCELED);
	cr_assert_eq(n_freed, 1, "its argument is released also when the spawn fails");
	cr_assert_eq(cede_spawn_with(&group, never_run, NULL, NULL, &task), CEDE_ECANCELED);
	cr_assert_null(task);
	cede_group_cancel(&group);
	cr_assert_eq(cede_group_wait(&group), 0);
	return 0;
}

TASK_TEST(group, refuses_what_cannot_be_spawned)
{
	CEDE_GROUP(group);
	cede_spawn_options_t tiny = { .stack_size = 1, .arg_dtor = count_free };

	cr_assert_eq(cede_spawn(&group, NULL, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_spawn_with(&group, never_run, &group, &tiny, NULL), CEDE_EINVAL);
	cr_assert_eq(n_freed, 1);
	cr_assert_eq(group.running, 0);
	return 0;
}

Test(group, outside_a_task_takes_nothing)
{
	cede_group_t group;

	leaks_begin();
	cede_group_init(&group);
	cr_assert_eq(cede_spawn(&group, never_run, NULL), CEDE_ENOTASK);
	cr_assert_eq(cede_spawn_own(&group, never_run, &group, count_free), CEDE_ENOTASK);
	cr_assert_eq(n_freed, 1);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(cede_group_leave(&group), 0);
	leaks_end();
}

TASK_TEST(group, as_plain_functions_is_the_same)
{
	cede_group_t group;
	int code = CEDE_EPIPE;

	cede_group_init(&group);
	cr_assert_eq(cede_spawn(&group, be_alive, NULL), 0);
	cr_assert_eq(cede_spawn(&group, fail_after, &code), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_group_leave(&group), 0, "those who are cancelled have not failed");
	cr_assert_eq(n_alive, 0);
	cr_assert_eq(cede_group_leave(&group), 0);
	return 0;
}

static int
cancel_own_group(void *arg)
{
	cede_group_cancel(arg);
	return cede_sleep(1);
}

TASK_TEST(group, may_be_cancelled_by_one_of_its_tasks)
{
	CEDE_GROUP(group);
	static char a[] = "a closed";

	cr_assert_eq(cede_spawn(&group, sleep_long, a), 0);
	cr_assert_eq(cede_spawn(&group, cancel_own_group, &group), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("a closed");
	return 0;
}

static int
wait_for_the_group(void *arg)
{
	return cede_group_wait(arg);
}

/* A wait is one task's. A second one is refused, and the first is not disturbed. */
TASK_TEST(group, is_waited_for_by_one_task)
{
	CEDE_GROUP(group);
	CEDE_GROUP(other);
	static char a[] = "a";
	cede_task_t *task;

	other.policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn(&group, sleep_short, a), 0);
	cr_assert_eq(cede_spawn_with(&other, wait_for_the_group, &group, NULL, &task), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("a");
	cr_assert_eq(cede_join(task, NULL), CEDE_EPERM);
	cede_task_unref(task);
	return 0;
}

TASK_TEST(group, of_ten_thousand_ends_with_its_first_error)
{
	CEDE_GROUP(group);
	int code = CEDE_EPIPE;

	for (int i = 0; i < 10000; i++)
		cr_assert_eq(cede_spawn(&group, sleep_long, NULL), 0);
	cr_assert_eq(cede_spawn(&group, fail_after, &code), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	cr_assert_eq(group.failed, 1);
	return 0;
}

/* ---- whose a group is ---- */

static int
spawn_into(void *arg)
{
	return cede_spawn(arg, sleep_short, NULL);
}

TASK_TEST(group, belongs_to_the_block_it_is_declared_in_whoever_spawns_first)
{
	CEDE_GROUP(inner);
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, spawn_into, &inner), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(inner.running, 1);
	return cede_group_wait(&inner);
}

static int
wait_for_anothers(void *arg)
{
	cede_group_wait_t op;

	cr_assert_eq(cede_group_wait(arg), CEDE_EPERM);
	cr_assert_eq(cede_group_wait_start(arg, &op), CEDE_EPERM);
	return 0;
}

TASK_TEST(group, that_is_anothers_is_not_waited_for_when_it_is_empty_either)
{
	int code = CEDE_EPIPE;

	CEDE_GROUP(others);
	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn(&group, fail_after, &code), 0);
	cr_assert_eq(cede_sleep(UINT64_MAX), CEDE_ECANCELED);
	CEDE_SHIELD(10) {
		cr_assert_eq(cede_spawn(&others, wait_for_anothers, &group), 0);
		cr_assert_eq(cede_group_wait(&others), 0);
	}
	cr_assert_eq(cede_sleep(1), CEDE_ECANCELED, "it was not asked yet");
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	return 0;
}

TASK_TEST(group, tells_where_each_of_its_tasks_was_spawned)
{
	CEDE_GROUP(group);
	int code = CEDE_EPIPE;

	group.policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn(&group, fail_after, &code), 0);
	cr_assert_eq(cede_spawn_own(&group, fail_after, &code, count_free), 0);
	cr_assert_eq(cede_spawn_with(&group, fail_after, &code, NULL, NULL), 0);
	cr_assert_eq((cede_spawn_own)(&group, fail_after, &code, count_free), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);

	cede_task_t *task = NULL;

	for (int i = 0; i < 3; i++) {
		task = cede_group_next_failed(&group, task);
		cr_assert_str_eq(cede_task_name(task), "fail_after");
		cr_assert_not_null(strstr(cede_task_place(task), "test_group.c:"));
	}
	task = cede_group_next_failed(&group, task);
	cr_assert_str_eq(cede_task_place(task), "", "a function knows no place");
	return 0;
}
