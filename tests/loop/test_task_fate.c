/*
 * loop/task.c, cancel.c, join.c: why a task was cancelled, what is behind its
 * error, who was told of it; tasks that leave their group; eager ones. T2, T5,
 * T14, T18 of docs/semantics.md.
 */
#include "tests/support/run.h"

#include "tests/support/fault.h"
#include "tests/support/order.h"

TestSuite(task_fate, .timeout = 20);

static int n_reports;

static void
count_report(const cede_task_t *task, int code, void *data)
{
	cr_assert_eq(code, CEDE_EPIPE);
	cr_assert_eq(data, &n_reports);
	cr_assert_str_eq(cede_error_message(cede_task_error(task)), "no luck");
	n_reports++;
}

static int
wait_for_ever(void *arg)
{
	return cede_sleep(UINT64_MAX);
}

static int
fail(void *arg)
{
	return cede_raise(CEDE_EPIPE, "no luck");
}

static cede_task_t *
spawn(cede_group_t *group, cede_fn *fn, void *arg)
{
	cede_task_t *task;

	group->policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn_with(group, fn, arg, NULL, &task), 0);
	return task;
}

/* ---- reasons ---- */

static int
keep_the_reason(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	cr_assert_str_eq(cede_error_text(r), arg);
	r = cede_sleep(1);
	cr_assert_str_eq(cede_error_text(r), arg, "and again");
	cr_assert_str_eq(cede_task_cancel_reason(cede_task_current()), arg);
	return r;
}

/* T2 */
TASK_TEST(task_fate, the_reason_of_a_cancel_is_behind_the_code_for_both_sides)
{
	CEDE_GROUP(group);
	static char reason[] = "the user has left";
	cede_task_t *task = spawn(&group, keep_the_reason, reason);

	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_str_eq(cede_task_cancel_reason(task), "");
	cr_assert_eq(cede_task_cancel_with(task, "the user has left"), 1);
	cr_assert_eq(cede_task_cancel_with(task, "too late"), 0, "the first one stands");
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_str_eq(cede_error_text(CEDE_ECANCELED), "the user has left");
	cr_assert_str_eq(cede_error_message(cede_task_error(task)), "the user has left");
	cr_assert_str_eq(cede_task_cancel_reason(task), "the user has left");
	cr_assert_eq(cede_task_cancel_with(task, "much too late"), 0);
	cede_task_unref(task);
	return 0;
}

TASK_TEST(task_fate, the_reason_of_a_cancel_before_the_start_is_kept)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn(&group, wait_for_ever, NULL);

	cr_assert_eq(cede_task_cancel_with(task, "changed my mind"), 1);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_str_eq(cede_error_text(CEDE_ECANCELED), "changed my mind");
	cede_task_unref(task);
	return 0;
}

TASK_TEST(task_fate, a_cancel_without_a_reason_has_the_codes_own_words)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn(&group, wait_for_ever, NULL);

	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_str_eq(cede_error_text(CEDE_ECANCELED), cede_strerror(CEDE_ECANCELED));
	cr_assert_str_eq(cede_task_cancel_reason(task), "");
	cede_task_unref(task);
	return 0;
}

static int
fail_later(void *arg)
{
	int r = cede_sleep(5);

	return r < 0 ? r : CEDE_EPIPE;
}

static const char *
reason_in_a_group(void (*end)(cede_group_t *group))
{
	cede_group_t group;
	cede_task_t *task;
	static char reason[64];

	cede_group_init(&group);
	cr_assert_eq(cede_spawn_with(&group, wait_for_ever, NULL, NULL, &task), 0);
	cr_assert_eq(cede_sleep(1), 0);
	end(&group);
	(void)!cede_group_leave(&group);
	strcpy(reason, cede_task_cancel_reason(task));
	cede_task_unref(task);
	return reason;
}

static void
cancel_it(cede_group_t *group)
{
	cede_group_cancel(group);
}

static void
let_one_fail(cede_group_t *group)
{
	cr_assert_eq(cede_spawn(group, fail_later, NULL), 0);
	cr_assert_eq(cede_group_wait(group), CEDE_EPIPE);
}

static void
let_time_pass(cede_group_t *group)
{
	cr_assert_eq(cede_group_set_timeout(group, 5), 0);
	cr_assert_eq(cede_group_wait(group), CEDE_ETIMEDOUT);
}

static void
do_nothing(cede_group_t *group)
{
}

TASK_TEST(task_fate, the_library_says_why_it_cancels)
{
	cr_assert_str_eq(reason_in_a_group(cancel_it), "its group was cancelled");
	cr_assert_str_eq(reason_in_a_group(let_one_fail), "a task of its group has failed");
	cr_assert_str_eq(reason_in_a_group(let_time_pass), "the time of its group has passed");
	cr_assert_str_eq(reason_in_a_group(do_nothing), "its group was left");
	return 0;
}

static int
cancel_without_memory(void *arg)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn(&group, wait_for_ever, NULL);

	cr_assert_eq(cede_sleep(1), 0);
	fault_arm(1, FAULT_ONCE);
	cr_assert_eq(cede_task_cancel_with(task, "no room for words"), 1);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_str_eq(cede_task_cancel_reason(task), "");
	cede_task_unref(task);

	task = spawn(&group, wait_for_ever, NULL);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_task_cancel_with(task, "kept"), 1);
	fault_arm(1, FAULT_FOREVER);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_gt(fault_disarm(), 0);
	cr_assert_str_eq(cede_task_cancel_reason(task), "kept");
	cr_assert_null(cede_task_error(task));
	cede_task_unref(task);
	return 0;
}

Test(task_fate, a_cancel_needs_no_memory_but_for_its_reason)
{
	leaks_begin();
	fault_install();
	clock_start();
	cr_assert_eq(cede_run(cancel_without_memory, NULL), 0);
	clock_stop();
	leaks_end();
}

/* ---- errors, and who was told of them ---- */

TASK_TEST(task_fate, the_error_of_a_task_is_behind_the_code_of_a_join)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn(&group, fail, NULL);

	cr_assert_null(cede_task_error(task));
	cr_assert_eq(cede_join(task, NULL), CEDE_EPIPE);
	cr_assert_str_eq(cede_error_text(CEDE_EPIPE), "no luck");
	cr_assert_str_eq(cede_error_message(cede_task_error(task)), "no luck");
	cede_task_unref(task);
	return 0;
}

static int
fail_in_cleanup(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	CEDE_HANDLE(r)
	{
		return cede_raise(CEDE_EPIPE, "the cleanup has failed");
	}
	return r;
}

/* T5: with the close as its context. */
TASK_TEST(task_fate, an_error_of_the_cleanup_has_the_close_as_its_context)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn(&group, fail_in_cleanup, NULL);

	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_task_cancel_with(task, "time to go"), 1);
	cr_assert_eq(cede_join(task, NULL), CEDE_EPIPE);
	const cede_error_t *error = cede_task_error(task);

	cr_assert_str_eq(cede_error_message(error), "the cleanup has failed");
	cr_assert_eq(cede_error_code(cede_error_context(error)), CEDE_EXIT);
	cr_assert_str_eq(cede_error_message(cede_error_context(error)), "time to go");
	cede_task_unref(task);
	return 0;
}

/* T14: each way of asking, and none. */
TASK_TEST(task_fate, a_failed_task_that_nobody_asks_about_is_reported_once)
{
	cede_loop_t *loop = cede_loop_current();
	cede_task_t *task;

	cede_set_unread_hook(count_report, &n_reports);
	cr_assert_eq(cede_start(loop, fail, NULL, NULL, NULL), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(n_reports, 1);

	cr_assert_eq(cede_start_with(loop, fail, NULL, NULL, NULL, NULL, &task), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(n_reports, 1, "somebody may still ask");
	cede_task_unref(task);
	cr_assert_eq(n_reports, 2);
	return 0;
}

static void
take_note(int result, void *data)
{
	*(int *)data = result;
	cr_assert_str_eq(cede_error_text(result), "no luck");
}

TASK_TEST(task_fate, a_failed_task_that_was_asked_about_is_not_reported)
{
	cede_loop_t *loop = cede_loop_current();
	cede_task_t *task;
	int noted = 0;

	cede_set_unread_hook(count_report, &n_reports);
	cr_assert_eq(cede_start(loop, fail, NULL, take_note, &noted), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(noted, CEDE_EPIPE);

	cr_assert_eq(cede_start_with(loop, fail, NULL, NULL, NULL, NULL, &task), 0);
	cr_assert_eq(cede_join(task, NULL), CEDE_EPIPE);
	cede_task_unref(task);

	cr_assert_eq(cede_start_with(loop, fail, NULL, NULL, NULL, NULL, &task), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_task_result(task), CEDE_EPIPE);
	cede_task_unref(task);

	cr_assert_eq(cede_start_with(loop, fail, NULL, NULL, NULL, NULL, &task), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_not_null(cede_task_error(task));
	cede_task_unref(task);
	cr_assert_eq(n_reports, 0);
	return 0;
}

TASK_TEST(task_fate, a_cancel_is_not_reported)
{
	cede_task_t *task;

	cede_set_unread_hook(count_report, &n_reports);
	cr_assert_eq(cede_start_with(cede_loop_current(), wait_for_ever, NULL, NULL, NULL, NULL,
			     &task),
		0);
	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_task_is_done(task), 1);
	cede_task_unref(task);
	cr_assert_eq(n_reports, 0);
	return 0;
}

TASK_TEST(task_fate, the_report_names_the_task_its_place_and_the_error)
{
	hear_start();
	cr_assert_eq(cede_start(cede_loop_current(), fail, NULL, NULL, NULL), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(hear_end("task 'fail' ("), 1);
	return 0;
}

TASK_TEST(task_fate, the_report_says_what_was_raised_and_where)
{
	hear_start();
	cr_assert_eq(cede_start(cede_loop_current(), fail, NULL, NULL, NULL), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(hear_end("failed and nobody asked: no luck ("), 1);
	return 0;
}

/* ---- leaving the group ---- */

static int
sleep_and_tell(void *arg)
{
	int r = cede_sleep(10);

	order_record(r == 0 ? "slept" : "closed");
	return r;
}

TASK_TEST(task_fate, a_detached_task_outlives_its_group)
{
	cede_task_t *task;
	{
		CEDE_GROUP(group);

		task = spawn(&group, sleep_and_tell, NULL);
		cr_assert_eq(cede_task_detach(task), 0);
		cr_assert_eq(cede_task_detach(task), CEDE_EALREADY);
		cr_assert_eq(group.running, 0);
		cr_assert_eq(cede_group_wait(&group), 0);
	}
	order_expect_nothing();
	cr_assert_eq(cede_join(task, NULL), 0);
	order_expect("slept");
	cr_assert_eq(cede_task_detach(task), CEDE_EALREADY, "it has ended");
	cede_task_unref(task);
	return 0;
}

TASK_TEST(task_fate, a_detached_task_that_fails_does_not_concern_the_group)
{
	cede_task_t *task;

	cede_set_unread_hook(count_report, &n_reports);
	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn_with(&group, fail, NULL, NULL, &task), 0);
	cr_assert_eq(cede_task_detach(task), 0);
	task = cede_task_unref(task);
	cr_assert_eq(cede_sleep(10), 0);
	cr_assert_eq(n_reports, 1);
	return cede_group_wait(&group);
}

static int
detach_and_return(void *arg)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn(&group, arg ? wait_for_ever : sleep_and_tell, NULL);

	cr_assert_eq(cede_task_detach(task), 0);
	cede_task_unref(task);
	return 0;
}

Test(task_fate, a_detached_task_keeps_run_going)
{
	cr_assert_eq(run_gated(detach_and_return, NULL), 0);
	order_expect("slept");
}

static int
detach_the_last(void *arg)
{
	cede_task_t *task = *(cede_task_t **)arg;

	return cede_task_detach(task);
}

TASK_TEST(task_fate, a_task_that_is_detached_by_another_ends_the_wait_for_it)
{
	CEDE_GROUP(group);
	CEDE_GROUP(other);
	cede_task_t *task = spawn(&group, sleep_and_tell, NULL);

	cr_assert_eq(cede_spawn(&other, detach_the_last, &task), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect_nothing();
	cr_assert_eq(cede_group_wait(&other), 0);
	cr_assert_eq(cede_join(task, NULL), 0);
	order_expect("slept");
	cede_task_unref(task);
	return 0;
}

/* ---- eager tasks: T18 ---- */

static int
tell_and_sleep(void *arg)
{
	order_record("child runs");
	int r = cede_sleep(1);

	order_record("child goes on");
	return r;
}

static int
tell(void *arg)
{
	order_record("child runs");
	return *(int *)arg;
}

static const cede_spawn_options_t eager = { .is_eager = 1 };

TASK_TEST(task_fate, an_eager_task_runs_to_its_first_await_inside_the_spawn)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn_with(&group, tell_and_sleep, NULL, &eager, NULL), 0);
	order_record("parent");
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("child runs", "parent", "child goes on");
	return 0;
}

TASK_TEST(task_fate, an_eager_task_may_have_ended_when_the_spawn_returns)
{
	CEDE_GROUP(group);
	cede_task_t *task;
	int code = 0;

	cr_assert_eq(cede_spawn_with(&group, tell, &code, &eager, &task), 0);
	cr_assert_eq(cede_task_is_done(task), 1);
	cr_assert_eq(cede_task_result(task), 0);
	cr_assert_eq(group.running, 0);
	cede_task_unref(task);

	code = CEDE_EPIPE;
	cr_assert_eq(cede_spawn_with(&group, tell, &code, &eager, &task), 0);
	cr_assert_eq(cede_sleep(1), CEDE_ECANCELED, "it has failed");
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	cede_task_unref(task);
	order_expect("child runs", "child runs");
	return 0;
}

static int
spawn_deeper(void *arg)
{
	CEDE_GROUP(group);
	int depth = *(int *)arg + 1;

	if (depth == 1000)
		return 0;
	cr_assert_eq(cede_spawn_with(&group, spawn_deeper, &depth, &eager, NULL), 0);
	cr_assert_eq(cede_sleep(0), 0);
	return cede_group_wait(&group);
}

TASK_TEST(task_fate, eager_tasks_may_spawn_eager_tasks)
{
	int depth = 0;

	return spawn_deeper(&depth);
}

static int
cancel_the_parent(void *arg)
{
	cr_assert_eq(cede_task_cancel(arg), 1);
	return cede_sleep(UINT64_MAX);
}

static int
spawn_one_that_cancels(void *arg)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn_with(&group, cancel_the_parent, cede_task_current(), &eager, NULL),
		0);
	return cede_sleep(1);
}

TASK_TEST(task_fate, an_eager_task_may_cancel_who_spawns_it)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn(&group, spawn_one_that_cancels, NULL);

	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cede_task_unref(task);
	return 0;
}
