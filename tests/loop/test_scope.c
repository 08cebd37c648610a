/* loop/scope.c, timeouts. T17 of docs/semantics.md. Shields have a file of their own. */
#include "tests/support/run.h"

TestSuite(scope, .timeout = 20);

/* T17: what is awaited sees the timeout; outside the block nothing is left of it. */
TASK_TEST(scope, that_expires_ends_its_awaits_and_nothing_else)
{
	const int64_t before = clock_ms();
	int first = 0, second = 0;

	CEDE_TIMEOUT(50) {
		first = cede_sleep(60000);
		second = cede_sleep(60000);
	}
	cr_assert_eq(first, CEDE_ETIMEDOUT);
	cr_assert_eq(second, CEDE_ETIMEDOUT, "again and again");
	cr_assert_eq(clock_ms() - before, 50);
	cr_assert_eq(cede_sleep(10), 0);
	return 0;
}

TASK_TEST(scope, in_time_is_as_if_it_were_not_there)
{
	int r = 1;

	CEDE_TIMEOUT(50) {
		r = cede_sleep(49);
	}
	cr_assert_eq(r, 0);
	cr_assert_eq(cede_sleep(100), 0, "its deadline is over with it");
	return 0;
}

/* Completed beats timed out: both are due in the same millisecond. */
TASK_TEST(scope, that_expires_with_the_result_there_returns_the_result)
{
	int r = 1;

	CEDE_TIMEOUT(50) {
		r = cede_sleep(50);
	}
	cr_assert_eq(r, 0);
	return 0;
}

TASK_TEST(scope, nests_by_the_earliest_deadline)
{
	int outer_ms[] = { 30, 60 }, inner_ms[] = { 60, 30 };

	for (int i = 0; i < 2; i++) {
		const int64_t before = clock_ms();
		cede_scope_t outer, inner;

		cr_assert_eq(cede_scope_enter(&outer, (uint64_t)outer_ms[i]), 0);
		cr_assert_eq(cede_scope_enter(&inner, (uint64_t)inner_ms[i]), 0);
		cr_assert_eq(cede_sleep(60000), CEDE_ETIMEDOUT);
		cr_assert_eq(clock_ms() - before, 30);
		cr_assert_eq(cede_scope_leave(&inner), i == 1,
			"only the one that fired has expired");
		if (i == 0)
			cr_assert_eq(cede_sleep(1), CEDE_ETIMEDOUT,
				"the outer one goes on refusing");
		else
			cr_assert_eq(cede_sleep(60000), CEDE_ETIMEDOUT);
		cr_assert_eq(clock_ms() - before, i == 0 ? 30 : 60);
		cr_assert_eq(cede_scope_leave(&outer), 1);
		cr_assert_eq(cede_sleep(1), 0);
	}
	return 0;
}

TASK_TEST(scope, both_of_which_pass_have_both_expired)
{
	cede_scope_t outer, inner;

	cr_assert_eq(cede_scope_enter(&outer, 10), 0);
	cr_assert_eq(cede_scope_enter(&inner, 10), 0);
	cr_assert_eq(cede_sleep(60000), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_scope_leave(&inner), 1);
	cr_assert_eq(cede_scope_leave(&outer), 1);
	return 0;
}

static int
leave_by_return(void)
{
	CEDE_TIMEOUT(10) {
		return cede_sleep(1);
	}
	return 99;
}

static int
leave_by_goto(void)
{
	CEDE_TIMEOUT(10) {
		if (cede_sleep(1) == 0)
			goto out;
	}
	return 99;
out:
	return 1;
}

TASK_TEST(scope, may_be_left_by_break_return_goto_and_continue)
{
	int n = 0;

	CEDE_TIMEOUT(10) {
		n++;
		break;
	}
	CEDE_TIMEOUT(10) {
		n++;
		continue;
	}
	cr_assert_eq(n, 2, "a block runs once");
	cr_assert_eq(leave_by_return(), 0);
	cr_assert_eq(leave_by_goto(), 1);
	CEDE_TIMEOUT(10)
		CEDE_TIMEOUT(5)
			cr_assert_eq(cede_sleep(60000), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_sleep(100), 0, "none of them is still there");
	return 0;
}

TASK_TEST(scope, of_no_time_refuses_at_once_and_takes_what_is_done)
{
	const int64_t before = clock_ms();
	cede_future_t done;
	int r = 0, r2 = 0;

	cede_future_init(&done, NULL);
	cede_future_resolve(&done, 7, NULL);
	CEDE_TIMEOUT(0) {
		r = cede_sleep(0);
		r2 = cede_await(&done);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_eq(r2, 7);
	cr_assert_eq(clock_ms(), before);
	return 0;
}

TASK_TEST(scope, of_the_longest_time_never_expires)
{
	static const uint64_t lengths[] = { UINT64_MAX, UINT64_MAX - 1, (uint64_t)INT64_MAX,
		UINT64_MAX >> 20 };

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		int r = 1;

		CEDE_TIMEOUT(lengths[i]) {
			r = cede_sleep(1000);
		}
		cr_assert_eq(r, 0);
	}
	return 0;
}

TASK_TEST(scope, may_be_rescheduled_while_it_is_open)
{
	const int64_t before = clock_ms();
	cede_scope_t scope;

	cr_assert_eq(cede_scope_enter(&scope, 10), 0);
	cr_assert_eq(cede_sleep(9), 0);
	cr_assert_eq(cede_scope_reschedule(&scope, 10), 0);
	cr_assert_eq(cede_sleep(9), 0);
	cr_assert_eq(cede_scope_reschedule(&scope, 5), 0);
	cr_assert_eq(cede_sleep(60000), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - before, 9 + 9 + 5);
	cr_assert_eq(cede_scope_reschedule(&scope, 5), CEDE_EALREADY);
	cr_assert_eq(cede_sleep(1), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_scope_leave(&scope), 1);
	cr_assert_eq(cede_scope_reschedule(&scope, 5), CEDE_EINVAL);
	return 0;
}

TASK_TEST(scope, rescheduled_to_no_time_ends_its_awaits)
{
	const int64_t before = clock_ms();
	cede_scope_t scope;

	cr_assert_eq(cede_scope_enter(&scope, 10), 0);
	cr_assert_eq(cede_scope_reschedule(&scope, 0), 0);
	cr_assert_eq(cede_sleep(60000), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms(), before);
	cr_assert_eq(cede_scope_leave(&scope), 1);
	return 0;
}

TASK_TEST(scope, counts_from_when_it_is_entered_not_from_the_turn)
{
	const int64_t before = clock_ms();
	int r = 0;

	clock_advance(500); /* this task has computed for as long */
	CEDE_TIMEOUT(10) {
		r = cede_sleep(60000);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - before, 510);
	return 0;
}

static int
sleep_in_a_scope(void *arg)
{
	CEDE_TIMEOUT(10) {
		return cede_sleep(60000);
	}
	return 0;
}

TASK_TEST(scope, belongs_to_one_task)
{
	CEDE_GROUP(group);
	cede_task_t *task;

	group.policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn_with(&group, sleep_in_a_scope, NULL, NULL, &task), 0);
	cr_assert_eq(cede_sleep(20), 0, "another task's scope is none of ours");
	cr_assert_eq(cede_task_result(task), CEDE_ETIMEDOUT);
	cede_task_unref(task);
	return 0;
}

static int
await_in_a_child(void *arg)
{
	return cede_sleep(60000);
}

TASK_TEST(scope, reaches_into_the_coroutines_that_are_awaited)
{
	cede_coro_t *co;
	int r = 0;

	cr_assert_eq(cede_coro_create(&co, await_in_a_child, NULL, NULL), 0);
	CEDE_TIMEOUT(10) {
		r = cede_await_coro(co, NULL);
	}
	cede_coro_unref(co);
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	return 0;
}

TASK_TEST(scope, a_cancel_inside_it_is_a_cancel)
{
	int r = 0;

	CEDE_TIMEOUT(10) {
		cede_task_cancel(cede_task_current());
		r = cede_sleep(60000);
	}
	cr_assert_eq(r, CEDE_EXIT);
	return 0;
}

TASK_TEST(scope, that_expired_says_exit_when_the_task_is_closed_too)
{
	int r = 0;

	CEDE_TIMEOUT(0) {
		cr_assert_eq(cede_sleep(1), CEDE_ETIMEDOUT);
		cede_task_cancel(cede_task_current());
		r = cede_sleep(1);
	}
	cr_assert_eq(r, CEDE_EXIT);
	return 0;
}

TASK_TEST(scope, a_thousand_deep_expires_at_every_level)
{
	enum { N = 1000 };
	static cede_scope_t scopes[N];

	for (int i = 0; i < N; i++)
		cr_assert_eq(cede_scope_enter(&scopes[i], (uint64_t)(N - i)), 0);
	for (int i = N - 1; i >= 0; i--) {
		const int64_t before = clock_ms();

		cr_assert_eq(cede_sleep(60000), CEDE_ETIMEDOUT);
		cr_assert_eq(clock_ms() - before, 1);
		cr_assert_eq(cede_scope_leave(&scopes[i]), 1);
	}
	cr_assert_eq(cede_sleep(1), 0);
	return 0;
}

Test(scope, outside_a_task_is_refused)
{
	cede_scope_t scope;

	leaks_begin();
	cr_assert_eq(cede_scope_enter(&scope, 10), CEDE_ENOTASK);
	leaks_end();
}

Test(scope, as_a_block_outside_a_task_aborts, .signal = SIGABRT)
{
	CEDE_TIMEOUT(10)
		cr_assert(0, "a block that nobody bounds must not run");
}

static int
leave_out_of_order(void *arg)
{
	cede_scope_t outer, inner;

	cr_assert_eq(cede_scope_enter(&outer, 10), 0);
	cr_assert_eq(cede_scope_enter(&inner, 10), 0);
	cede_scope_leave(&outer);
	return 0;
}

Test(scope, left_out_of_order_aborts, .signal = SIGABRT)
{
	cede_run(leave_out_of_order, NULL);
}

static int
end_inside(void *arg)
{
	static cede_scope_t scope;

	return cede_scope_enter(&scope, 10);
}

Test(scope, that_a_task_ends_in_aborts, .signal = SIGABRT)
{
	cede_run(end_inside, NULL);
}
