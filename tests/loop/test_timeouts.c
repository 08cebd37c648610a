/*
 * loop/scope.c beside asyncio's test_timeouts.py and trio's cancel scopes: scopes
 * that pass in one turn, that are moved, that are handled, that are misused.
 * docs/conformance-tasks.md has the list.
 */
#include "tests/support/run.h"

#include "tests/support/fault.h"

TestSuite(timeouts, .timeout = 20);

/* ---- in the way of errors ---- */

static int
fail_in_a_scope(cede_scope_t *scope, int code)
{
	int r = cede_scope_enter(scope, 10);

	if (r == 0)
		r = cede_raise(code, "not about the time");
	cede_scope_leave(scope);
	return r;
}

TASK_TEST(timeouts, an_error_in_the_block_is_the_blocks)
{
	cede_scope_t scope;

	cr_assert_eq(fail_in_a_scope(&scope, CEDE_EPIPE), CEDE_EPIPE);
	cr_assert_eq(scope.has_expired, 0);
	cr_assert_str_eq(cede_error_text(CEDE_EPIPE), "not about the time");
	return 0;
}

/* asyncio's test_timeout_exception_context; there is no cancel in between: the timeout is what is raised. */
TASK_TEST(timeouts, one_that_passes_in_a_handler_has_the_handled_error_as_its_context)
{
	int r = 0;

	CEDE_TIMEOUT(10) {
		r = cede_raise(CEDE_EPIPE, "handled");
		CEDE_HANDLE(r)
		{
			r = cede_sleep(1000);
		}
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_eq(cede_error_code(cede_error()), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_error_code(cede_error_context(cede_error())), CEDE_EPIPE);
	cr_assert_null(cede_error_cause(cede_error()));
	return 0;
}

static int
fail_on_timeout(void)
{
	int r = cede_sleep(1000);

	CEDE_HANDLE(r)
	{
		r = cede_raise(CEDE_EPIPE, "the cleanup has failed");
		CEDE_HANDLE(r)
		{
			r = cede_raise(CEDE_EBADF, "and its cleanup");
		}
	}
	return r;
}

TASK_TEST(timeouts, an_error_of_the_cleanup_is_heard_and_has_the_timeout_as_its_context)
{
	cede_scope_t scope;

	cr_assert_eq(cede_scope_enter(&scope, 10), 0);
	int r = fail_on_timeout();

	cr_assert_eq(cede_scope_leave(&scope), 1, "it has expired all the same");
	cr_assert_eq(r, CEDE_EBADF);
	const cede_error_t *context = cede_error_context(cede_error());

	cr_assert_eq(cede_error_code(context), CEDE_EPIPE);
	cr_assert_eq(cede_error_code(cede_error_context(context)), CEDE_ETIMEDOUT);
	return 0;
}

TASK_TEST(timeouts, one_that_a_cancel_comes_before_has_not_expired)
{
	cede_scope_t scope;

	cr_assert_eq(cede_scope_enter(&scope, 10), 0);
	cr_assert_eq(cede_task_cancel(cede_task_current()), 1);
	cr_assert_eq(cede_sleep(1000), CEDE_EXIT);
	cr_assert_eq(cede_scope_leave(&scope), 0);
	return 0;
}

/* ---- several ---- */

/*
 * asyncio hands the timeout to the outermost of those that have passed, trio too. Here the
 * code is the same for all; who has passed says so, and the outer one goes on refusing.
 */
TASK_TEST(timeouts, two_that_pass_in_one_turn_have_both_expired_and_each_refuses_in_its_block)
{
	for (int is_late = 0; is_late < 2; is_late++) {
		cede_scope_t outer, inner;

		cr_assert_eq(cede_scope_enter(&outer, 100), 0);
		cr_assert_eq(cede_scope_enter(&inner, is_late ? 10 : 100), 0);
		if (is_late)
			clock_advance(100); /* this task has computed for as long */
		cr_assert_eq(cede_sleep(1000), CEDE_ETIMEDOUT);
		cr_assert_eq(inner.has_expired, 1);
		cr_assert_eq(outer.has_expired, 1);
		cr_assert_eq(cede_scope_leave(&inner), 1);
		cr_assert_eq(cede_sleep(0), CEDE_ETIMEDOUT);
		cr_assert_eq(cede_scope_leave(&outer), 1);
		cr_assert_eq(cede_sleep(0), 0);
	}
	return 0;
}

TASK_TEST(timeouts, the_outer_one_may_pass_while_the_inner_has_time)
{
	cede_scope_t outer, inner;

	cr_assert_eq(cede_scope_enter(&outer, 2), 0);
	cr_assert_eq(cede_scope_enter(&inner, 100), 0);
	clock_advance(10);
	cr_assert_eq(cede_sleep(1000), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_scope_leave(&inner), 0, "so the caller knows whose it was");
	cr_assert_eq(cede_scope_leave(&outer), 1);
	return 0;
}

/* Against asyncio, where a timeout in a cleanup starts anew: awaits are refused until the block is left. */
TASK_TEST(timeouts, one_inside_an_expired_one_gives_no_time)
{
	const int64_t before = clock_ms();
	cede_scope_t outer, inner;

	cr_assert_eq(cede_scope_enter(&outer, 10), 0);
	cr_assert_eq(cede_sleep(1000), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_scope_enter(&inner, 10), 0);
	cr_assert_eq(cede_sleep(1000), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_scope_leave(&inner), 0);
	cr_assert_eq(clock_ms() - before, 10);
	CEDE_SHIELD(10) {
		cr_assert_eq(cede_sleep(5), 0, "a shield does");
	}
	cr_assert_eq(cede_scope_leave(&outer), 1);
	return 0;
}

/* ---- passed, and not heard of ---- */

TASK_TEST(timeouts, one_that_passes_in_a_shield_and_is_left_is_not_heard_of)
{
	cede_scope_t scope;

	cr_assert_eq(cede_scope_enter(&scope, 10), 0);
	CEDE_SHIELD(1000) {
		cr_assert_eq(cede_sleep(20), 0);
	}
	cr_assert_eq(cede_scope_leave(&scope), 1, "it says that its time has passed");
	cr_assert_eq(cede_sleep(1), 0);
	return 0;
}

/* trio: cancel_called, and not cancelled_caught. */
TASK_TEST(timeouts, one_that_passes_with_the_result_there_has_expired_and_the_result_is_kept)
{
	cede_scope_t scope;
	cede_sleep_t tick;

	cr_assert_eq(cede_scope_enter(&scope, 10), 0);
	cr_assert_eq(cede_sleep_start(10, &tick), 0);
	cr_assert_eq(cede_await(&tick.future), 0);
	cr_assert_eq(cede_scope_leave(&scope), 1);
	return 0;
}

TASK_TEST(timeouts, one_that_only_gives_way_hears_of_it_within_a_turn_of_the_loop)
{
	int r = 0, n = 0;

	CEDE_TIMEOUT(5) {
		cr_assert_eq(cede_sleep(0), 0);
		clock_advance(10);
		for (; n < 1000 && r == 0; n++)
			r = cede_sleep(0);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	return 0;
}

/* ---- moved ---- */

struct moved {
	cede_scope_t scope;
	int result, has_expired;
};

static int
sleep_in_the_scope(void *arg)
{
	struct moved *moved = arg;

	cr_assert_eq(cede_scope_enter(&moved->scope, 10), 0);
	moved->result = cede_sleep(1000);
	moved->has_expired = cede_scope_leave(&moved->scope);
	return moved->result == CEDE_EXIT ? CEDE_EXIT : 0;
}

TASK_TEST(timeouts, one_may_be_moved_by_another_task)
{
	struct moved moved;
	cede_task_t *task;

	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn_with(&group, sleep_in_the_scope, &moved, NULL, &task), 0);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_eq(cede_scope_reschedule(&moved.scope, 30), 0);
	cr_assert_eq(cede_sleep(20), 0);
	cr_assert_eq(cede_scope_reschedule(&moved.scope, UINT64_MAX), 0);
	cr_assert_eq(cede_sleep(100), 0);
	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_eq(moved.result, CEDE_EXIT);
	cr_assert_eq(moved.has_expired, 0);
	cede_task_unref(task);
	return cede_group_wait(&group);
}

TASK_TEST(timeouts, one_that_is_moved_to_now_has_expired_at_once)
{
	const int64_t before = clock_ms();
	struct moved moved;
	cede_scope_t scope;

	cr_assert_eq(cede_scope_enter(&scope, 10), 0);
	cr_assert_eq(cede_scope_reschedule(&scope, 0), 0);
	cr_assert_eq(scope.has_expired, 1);
	cr_assert_eq(cede_sleep(0), CEDE_ETIMEDOUT, "as one that was entered with nothing");
	cr_assert_eq(cede_scope_reschedule(&scope, 0), CEDE_EALREADY);
	cr_assert_eq(cede_scope_leave(&scope), 1);
	cr_assert_eq(cede_scope_reschedule(&scope, 0), CEDE_EINVAL);

	CEDE_GROUP(group); /* and by another task, while it waits */
	cr_assert_eq(cede_spawn(&group, sleep_in_the_scope, &moved), 0);
	cr_assert_eq(cede_sleep(0), 0);
	cr_assert_eq(cede_scope_reschedule(&moved.scope, 0), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(moved.result, CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms(), before);
	return 0;
}

static int
move_it_often(void *arg)
{
	cede_scope_t scope;

	cr_assert_eq(cede_scope_enter(&scope, 10), 0);
	fault_arm(1, FAULT_FOREVER);
	for (int i = 0; i < 100000; i++)
		cr_assert_eq(cede_scope_reschedule(&scope, 10000 + (uint64_t)i % 2), 0);
	cr_assert_eq(fault_disarm(), 0, "it needs no memory");
	cr_assert_eq(cede_sleep(9999), 0);
	cr_assert_eq(cede_scope_leave(&scope), 0);
	return 0;
}

Test(timeouts, one_may_be_moved_without_memory_and_without_end)
{
	leaks_begin();
	fault_install();
	clock_start();
	cr_assert_eq(cede_run(move_it_often, NULL), 0);
	clock_stop();
	leaks_end();
}

TASK_TEST(timeouts, one_that_was_never_entered_is_not_moved)
{
	cede_scope_t scope = { 0 };

	cr_assert_eq(cede_scope_reschedule(&scope, 10), CEDE_EINVAL);
	return 0;
}

TASK_TEST(timeouts, one_may_be_entered_again_when_it_was_left)
{
	cede_scope_t scope;

	for (int i = 0; i < 2; i++) {
		cr_assert_eq(cede_scope_enter(&scope, 10), 0);
		cr_assert_eq(cede_sleep(20), CEDE_ETIMEDOUT);
		cr_assert_eq(cede_scope_leave(&scope), 1);
	}
	return 0;
}

/* ---- misuse: each has its sentence ---- */

/* Runs a body that aborts, hears what is said, and says that it was said by aborting itself. */
static cede_fn *misuse;
static const char *sentence;

static void
expect_sentence(int signal)
{
	if (hear_end(sentence) == 1)
		abort(); /* the second time it is not caught */
	_exit(1);
}

static void
run_misuse(cede_fn *fn, const char *expected)
{
	misuse = fn;
	sentence = expected;
	sigaction(SIGABRT,
		&(struct sigaction){ .sa_handler = expect_sentence, .sa_flags = (int)SA_RESETHAND },
		NULL);
	hear_start();
	cede_run(misuse, NULL);
}

static int
leave_twice(void *arg)
{
	cede_scope_t scope;

	cr_assert_eq(cede_scope_enter(&scope, 10), 0);
	cr_assert_eq(cede_scope_leave(&scope), 0);
	cede_scope_leave(&scope);
	return 0;
}

Test(timeouts, one_that_is_left_twice_aborts, .signal = SIGABRT)
{
	run_misuse(leave_twice, "a scope was left that is not open");
}

static int
leave_anothers(void *arg)
{
	cede_scope_leave(arg);
	return 0;
}

static int
let_another_leave(void *arg)
{
	cede_spawn_options_t options = { .name = "the other" };
	cede_scope_t scope;

	CEDE_GROUP(group);
	cr_assert_eq(cede_scope_enter(&scope, 10), 0);
	cr_assert_eq(cede_spawn_with(&group, leave_anothers, &scope, &options, NULL), 0);
	return cede_sleep(1);
}

Test(timeouts, one_that_another_task_leaves_aborts, .signal = SIGABRT)
{
	run_misuse(let_another_leave, "was left by 'the other'");
}

static int
leave_in_a_callback(void *arg)
{
	static cede_scope_t scope;
	cede_coro_t *co;

	cr_assert_eq(cede_scope_enter(&scope, 10), 0);
	cr_assert_eq(cede_coro_create(&co, leave_anothers, &scope, NULL), 0);
	return cede_coro_send(co, NULL, NULL); /* driven by hand, it is no task's */
}

Test(timeouts, one_that_is_left_outside_its_task_aborts, .signal = SIGABRT)
{
	run_misuse(leave_in_a_callback, "was left by nobody's task");
}

static int
leave_the_outer_one(void *arg)
{
	cede_scope_t outer, inner;

	cr_assert_eq(cede_scope_enter(&outer, 10), 0);
	cr_assert_eq(cede_scope_enter(&inner, 10), 0);
	cede_scope_leave(&outer);
	return 0;
}

Test(timeouts, one_that_is_left_before_an_inner_one_aborts, .signal = SIGABRT)
{
	run_misuse(leave_the_outer_one, "left out of order");
}

static int
enter_twice(void *arg)
{
	cede_scope_t scope, inner;

	cr_assert_eq(cede_scope_enter(&scope, 10), 0);
	cr_assert_eq(cede_scope_enter(&inner, 10), 0);
	(void)!cede_scope_enter(&scope, 10);
	return 0;
}

Test(timeouts, one_that_is_entered_twice_aborts, .signal = SIGABRT)
{
	run_misuse(enter_twice, "entered twice");
}

static int
end_in_one(void *arg)
{
	static cede_scope_t scope;

	return cede_scope_enter(&scope, 10);
}

Test(timeouts, one_that_a_task_ends_in_aborts, .signal = SIGABRT)
{
	run_misuse(end_in_one, "ended inside a scope");
}
