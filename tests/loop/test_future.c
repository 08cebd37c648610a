/* loop/future.c: pending, done, awaited, cancelled. T7, T8, T9, T13 of docs/semantics.md. */
#include "tests/support/run.h"

#include "tests/support/order.h"

TestSuite(future, .timeout = 20);

static int n_cancelled;

static void
count_cancel(cede_future_t *future)
{
	n_cancelled++;
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

/* A cancel function whose operation turns out to have finished all the same. */
static void
finish_instead(cede_future_t *future)
{
	n_cancelled++;
	cede_future_resolve(future, 42, NULL);
}

static void
forget_to_resolve(cede_future_t *future)
{
}

/* T8 */
Test(future, is_pending_until_it_is_resolved)
{
	cede_future_t future;
	int value;

	leaks_begin();
	cede_future_init(&future, NULL);
	cr_assert_eq(cede_future_result(&future), CEDE_EPENDING);
	cr_assert_eq(future.is_done, 0);
	cr_assert_eq(cede_future_resolve(&future, 7, &value), 0);
	cr_assert_eq(future.is_done, 1);
	cr_assert_eq(cede_future_result(&future), 7);
	cr_assert_eq(future.value, &value);
	leaks_end();
}

/* T7 */
Test(future, keeps_its_first_result)
{
	cede_future_t future;

	leaks_begin();
	cede_future_init(&future, count_cancel);
	cr_assert_eq(cede_future_resolve(&future, CEDE_EPIPE, NULL), 0);
	cr_assert_eq(cede_future_resolve(&future, 1, &future), CEDE_EALREADY);
	cede_future_cancel(&future);
	cr_assert_eq(cede_future_result(&future), CEDE_EPIPE);
	cr_assert_null(future.value);
	cr_assert_eq(n_cancelled, 0);
	leaks_end();
}

Test(future, that_is_cancelled_calls_its_function_once)
{
	cede_future_t future;

	leaks_begin();
	cede_future_init(&future, count_cancel);
	cede_future_cancel(&future);
	cede_future_cancel(&future);
	cr_assert_eq(n_cancelled, 1);
	cr_assert_eq(cede_future_result(&future), CEDE_ECANCELED);
	cede_future_init(&future, NULL);
	cede_future_cancel(&future);
	cr_assert_eq(cede_future_result(&future), CEDE_ECANCELED);
	leaks_end();
}

Test(future, may_have_finished_when_it_is_cancelled)
{
	cede_future_t future;

	leaks_begin();
	cede_future_init(&future, finish_instead);
	cede_future_cancel(&future);
	cr_assert_eq(cede_future_result(&future), 42);
	leaks_end();
}

Test(future, whose_cancel_function_leaves_it_pending_aborts, .signal = SIGABRT)
{
	cede_future_t future;

	cede_future_init(&future, forget_to_resolve);
	cede_future_cancel(&future);
}

TASK_TEST(future, that_is_done_is_awaited_at_once)
{
	CEDE_GROUP(group);
	cede_future_t future;

	cr_assert_eq((cede_spawn)(&group, NULL, NULL), CEDE_EINVAL);
	cede_future_init(&future, NULL);
	cede_future_resolve(&future, 7, NULL);
	cr_assert_eq(cede_await(&future), 7);
	cr_assert_eq(cede_await(&future), 7);
	return 0;
}

/* T9: a code is a code. */
TASK_TEST(future, takes_any_code_as_its_result)
{
	static const int codes[] = { 0, 1, INT32_MAX, INT32_MIN, CEDE_ESTOPITER, CEDE_EXIT,
		CEDE_ETIMEDOUT, CEDE_ECANCELED };

	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		cede_future_t future;

		cede_future_init(&future, NULL);
		cede_future_resolve(&future, codes[i], NULL);
		cr_assert_eq(cede_await(&future), codes[i]);
	}
	return 0;
}

static int
await_it(void *arg)
{
	int r = cede_await(arg);

	order_record("awaiter");
	return r;
}

static int
resolve_it(void *arg)
{
	cr_assert_eq(cede_future_resolve(arg, 7, NULL), 0);
	order_record("resolver");
	return 0;
}

TASK_TEST(future, that_is_resolved_never_runs_the_awaiter_inside)
{
	CEDE_GROUP(group);
	cede_future_t future;
	cede_task_t *task;

	cede_future_init(&future, NULL);
	cr_assert_eq(cede_spawn_with(&group, await_it, &future, NULL, &task), 0);
	cr_assert_eq(cede_spawn(&group, resolve_it, &future), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("resolver", "awaiter");
	cr_assert_eq(cede_task_result(task), 0,
		"what is no error is success: a body has no counts");
	cede_task_unref(task);
	return 0;
}

TASK_TEST(future, has_one_awaiter)
{
	CEDE_GROUP(group);
	cede_future_t future, other;

	cede_future_init(&future, NULL);
	cede_future_init(&other, count_cancel);
	cr_assert_eq(cede_spawn(&group, await_it, &future), 0);
	cr_assert_eq(cede_sleep(0), 0);
	cr_assert_eq(cede_await(&future), CEDE_EAWAITED);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &other, &future }), CEDE_EAWAITED);
	cr_assert_eq(cede_wait_any(2, (cede_future_t *[]){ &other, &future }), CEDE_EAWAITED);
	cr_assert_eq(cede_wait_all(2, (cede_future_t *[]){ &other, &future }), CEDE_EAWAITED);
	cr_assert_eq(n_cancelled, 0);
	cr_assert_eq(other.is_done, 0);

	cede_future_resolve(&future, 0, NULL);
	cr_assert_eq(cede_group_wait(&group), 0, "the first awaiter is not disturbed");
	cr_assert_eq(cede_await(&future), 0, "anybody may look at one that is done");
	order_expect("awaiter");
	return 0;
}

Test(future, outside_a_task_is_not_awaited_and_not_cancelled)
{
	cede_future_t future;

	leaks_begin();
	cede_future_init(&future, count_cancel);
	cr_assert_eq(cede_await(&future), CEDE_ENOTASK);
	cr_assert_eq(cede_select(1, (cede_future_t *[]){ &future }), CEDE_ENOTASK);
	cr_assert_eq(cede_wait_any(1, (cede_future_t *[]){ &future }), CEDE_ENOTASK);
	cr_assert_eq(cede_wait_all(1, (cede_future_t *[]){ &future }), CEDE_ENOTASK);
	cr_assert_eq(cede_future_result(&future), CEDE_EPENDING);
	cede_future_resolve(&future, 3, NULL);
	cr_assert_eq(cede_await(&future), 3);
	leaks_end();
}

static int
await_in_a_generator(void *arg)
{
	*(int *)arg = cede_sleep(1);
	return 0;
}

/* A coroutine that a task drives by hand is not the task's: the scheduler would not find it. */
TASK_TEST(future, in_a_coroutine_driven_by_hand_is_refused)
{
	cede_coro_t *co;
	int r = 1;

	cr_assert_eq(cede_coro_create(&co, await_in_a_generator, &r, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), 0);
	cr_assert_eq(r, CEDE_ENOTASK);
	cede_coro_unref(co);
	return 0;
}

TASK_TEST(future, may_resolve_to_what_a_close_would_say)
{
	cede_future_t future;

	cede_future_init(&future, NULL);
	cede_future_resolve(&future, CEDE_EXIT, NULL);
	cr_assert_eq(cede_await(&future), CEDE_EXIT);
	cr_assert_eq(cede_sleep(1), 0, "a result is no close");
	return 0;
}

TASK_TEST(future, that_times_out_is_cancelled)
{
	cede_future_t future;
	int r = 0;

	cede_future_init(&future, count_cancel);
	CEDE_TIMEOUT(5) {
		r = cede_await(&future);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_eq(n_cancelled, 1);
	cr_assert_eq(future.result, CEDE_ECANCELED);
	return 0;
}

/* The wait is given up, but the operation finished all the same: its result is not lost. */
TASK_TEST(future, that_finished_when_it_was_cancelled_keeps_its_result)
{
	cede_future_t future;
	int r = 0;

	cede_future_init(&future, finish_instead);
	CEDE_TIMEOUT(5) {
		r = cede_await(&future);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_eq(future.result, 42);
	return 0;
}

/* ---- fairness ---- */

static int
count_turns(void *arg)
{
	int *turns = arg, r;

	while ((r = cede_sleep(0)) == 0)
		++*turns;
	return r;
}

TASK_TEST(future, awaits_of_what_is_done_let_others_run_now_and_then)
{
	cede_future_t done;
	int turns = 0;

	CEDE_GROUP(g);
	cede_future_init(&done, NULL);
	cede_future_resolve(&done, 7, NULL);
	cr_assert_eq(cede_spawn(&g, count_turns, &turns), 0);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(cede_await(&done), 7);
	cr_assert_gt(turns, 0);
	return 0;
}
