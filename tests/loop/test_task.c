/* loop/task.c: joining, names, values, bad yields. T10 to T14, T18 of docs/semantics.md. */
#include <cede/uv.h>

#include "tests/support/run.h"

#include "tests/support/order.h"

TestSuite(task, .timeout = 20);

static char kept[] = "a value";

static int
sleep_ten(void *arg)
{
	int r = cede_sleep(10);

	return r < 0 ? r : cede_return(kept);
}

static int
fail_at_once(void *arg)
{
	return CEDE_EPIPE;
}

static int
join_and_count(void *arg)
{
	static int n;
	void *value = NULL;
	char text[24];

	cr_assert_eq(cede_join(arg, &value), 0);
	cr_assert_eq(value, kept);
	snprintf(text, sizeof text, "joiner %d", ++n);
	order_record(text);
	return 0;
}

TASK_TEST(task, is_joined_by_many)
{
	CEDE_GROUP(group);
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(&group, sleep_ten, NULL, NULL, &task), 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_spawn(&group, join_and_count, task), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("joiner 1", "joiner 2", "joiner 3");
	cede_task_unref(task);
	return 0;
}

TASK_TEST(task, that_has_ended_is_joined_at_once)
{
	CEDE_GROUP(group);
	cede_task_t *task;
	void *value = NULL;

	group.policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn_with(&group, sleep_ten, NULL, NULL, &task), 0);
	cr_assert_eq(cede_task_result(task), CEDE_EPENDING);
	cr_assert_null(cede_task_value(task));
	cr_assert_eq(cede_sleep(20), 0);
	const int64_t before = clock_ms();
	cr_assert_eq(cede_join(task, &value), 0);
	cr_assert_eq(cede_join(task, NULL), 0);
	cr_assert_eq(value, kept);
	cr_assert_eq(cede_task_value(task), kept);
	cr_assert_eq(clock_ms(), before);
	cede_task_unref(task);

	cr_assert_eq(cede_spawn_with(&group, fail_at_once, NULL, NULL, &task), 0);
	value = &group;
	cr_assert_eq(cede_join(task, &value), CEDE_EPIPE);
	cr_assert_eq(value, &group, "outputs are written on success only");
	cede_task_unref(task);
	return 0;
}

/* T10 */
TASK_TEST(task, that_joins_itself_is_refused)
{
	cede_join_t join;

	cr_assert_eq(cede_join(cede_task_current(), NULL), CEDE_EDEADLK);
	cr_assert_eq(cede_join_start(cede_task_current(), &join), CEDE_EDEADLK);
	return 0;
}

static int
join_it(void *arg)
{
	return cede_join(arg, NULL);
}

TASK_TEST(task, goes_on_when_a_joiner_is_cancelled_or_times_out)
{
	CEDE_GROUP(group);
	cede_task_t *task, *joiner;
	int r = 0;

	cr_assert_eq(cede_spawn_with(&group, sleep_ten, NULL, NULL, &task), 0);
	cr_assert_eq(cede_spawn_with(&group, join_it, task, NULL, &joiner), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cede_task_cancel(joiner);
	cr_assert_eq(cede_join(joiner, NULL), CEDE_ECANCELED);
	CEDE_TIMEOUT(1) {
		r = cede_join(task, NULL);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_eq(cede_task_is_done(task), 0);
	cr_assert_eq(cede_join(task, NULL), 0);
	cede_task_unref(joiner);
	cede_task_unref(task);
	return 0;
}

/* Any of many joins may be given up, in any place of the list. */
TASK_TEST(task, keeps_the_other_joins_when_one_is_given_up)
{
	for (int given_up = 0; given_up < 8; given_up++) {
		CEDE_GROUP(group);
		cede_task_t *task;
		cede_join_t joins[3];

		cr_assert_eq(cede_spawn_with(&group, sleep_ten, NULL, NULL, &task), 0);
		for (int i = 0; i < 3; i++)
			cr_assert_eq(cede_join_start(task, &joins[i]), 0);
		for (int i = 0; i < 3; i++)
			if (given_up >> i & 1)
				cede_future_cancel(&joins[i].future);
		for (int i = 0; i < 3; i++)
			cr_assert_eq(cede_await(&joins[i].future),
				given_up >> i & 1 ? CEDE_ECANCELED : 0);
		cr_assert_eq(cede_join(task, NULL), 0);
		cede_task_unref(task);
	}
	return 0;
}

/* The time that this takes must not be the square of it. */
TASK_TEST(task, is_joined_by_a_hundred_thousand)
{
	enum { N = 100000 };
	static cede_join_t joins[N];
	CEDE_GROUP(group);
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(&group, sleep_ten, NULL, NULL, &task), 0);
	for (int i = 0; i < N; i++)
		cr_assert_eq(cede_join_start(task, &joins[i]), 0);
	for (int i = N - 1; i >= 0; i -= 2)
		cede_future_cancel(&joins[i].future);
	for (int i = 0; i < N; i++)
		cr_assert_eq(cede_await(&joins[i].future), i % 2 ? CEDE_ECANCELED : 0);
	cede_task_unref(task);
	return 0;
}

static int
await_a_coroutine(void *arg)
{
	return cede_await_coro(arg, NULL);
}

static int
offer_own_coroutine(void *arg)
{
	*(cede_coro_t **)arg = cede_coro_current();
	return cede_sleep(10);
}

/* T11 */
TASK_TEST(task, owns_its_coroutine)
{
	CEDE_GROUP(group);
	cede_coro_t *co = NULL;

	cr_assert_eq(cede_spawn(&group, offer_own_coroutine, &co), 0);
	cr_assert_eq(cede_sleep(0), 0);
	cr_assert_eq(await_a_coroutine(co), CEDE_EAWAITED);
	cr_assert_eq(cede_group_wait(&group), 0);
	return 0;
}

static int n_freed;

static void
count_free(void *value)
{
	n_freed++;
}

static int
yield_once(void *arg)
{
	int r = cede_yield(kept, NULL);

	order_record(r == CEDE_EBADYIELD ? "told" : "?");
	r = cede_sleep(1);
	return r < 0 ? r : cede_return(kept);
}

/* T12 */
TASK_TEST(task, that_yields_is_told_that_it_may_only_await)
{
	CEDE_GROUP(group);
	cede_spawn_options_t options = { .value_dtor = count_free };
	cede_task_t *task;
	void *value = NULL;

	cr_assert_eq(cede_spawn_with(&group, yield_once, NULL, &options, &task), 0);
	cr_assert_eq(cede_join(task, &value), 0);
	order_expect("told");
	cr_assert_eq(value, kept);
	cr_assert_eq(n_freed, 1, "the value that was yielded reached nobody");
	cede_task_unref(task);
	cr_assert_eq(n_freed, 2, "the one that was returned goes with the task");
	return 0;
}

static int
yield_and_fail(void *arg)
{
	return cede_yield(NULL, NULL);
}

TASK_TEST(task, that_yields_and_lets_that_through_fails_with_it)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, yield_and_fail, NULL), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EBADYIELD);
	return 0;
}

static int
yield_for_ever(void *arg)
{
	while (cede_yield(kept, NULL) <= 0)
		continue;
	return 0;
}

TASK_TEST(task, that_yields_for_ever_is_ended_by_force)
{
	CEDE_GROUP(group);
	cede_spawn_options_t options = { .value_dtor = count_free, .name = "generator" };

	cr_assert_eq(cede_spawn_with(&group, yield_for_ever, NULL, &options, NULL), 0);
	hear_start();
	cr_assert_eq(cede_group_wait(&group), CEDE_EIGNORED);
	cr_assert_eq(hear_end("task 'generator' ignored"), 1);
	cr_assert_gt(n_freed, 1);
	return 0;
}

static int
return_a_value_and_fail(void *arg)
{
	cede_return(kept);
	return CEDE_EPIPE;
}

TASK_TEST(task, that_fails_has_no_value)
{
	CEDE_GROUP(group);
	cede_spawn_options_t options = { .value_dtor = count_free };
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(&group, return_a_value_and_fail, NULL, &options, &task), 0);
	cr_assert_eq(cede_join(task, NULL), CEDE_EPIPE);
	cr_assert_null(cede_task_value(task));
	cr_assert_eq(n_freed, 1);
	cede_task_unref(task);
	cr_assert_eq(n_freed, 1);
	return 0;
}

static int
record_run(void *arg)
{
	order_record("child");
	return 0;
}

/* T18: the default; eager ones are in test_eager.c. */
TASK_TEST(task, first_runs_when_its_parent_suspends)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, record_run, NULL), 0);
	order_record("spawned");
	cr_assert_eq(cede_sleep(0), 0);
	order_expect("spawned", "child");
	return 0;
}

TASK_TEST(task, has_a_name_and_a_place)
{
	CEDE_GROUP(group);
	cede_spawn_options_t options = { .name = "reader" };
	cede_task_t *named, *unnamed, *placeless;

	cr_assert_eq(cede_spawn_with(&group, record_run, NULL, &options, &named), 0);
	cr_assert_eq(cede_spawn_with(&group, record_run, NULL, NULL, &unnamed), 0);
	cr_assert_eq((cede_spawn_with)(&group, record_run, NULL, NULL, &placeless), 0);
	cr_assert_str_eq(cede_task_name(named), "reader");
	cr_assert_str_eq(cede_task_name(unnamed), "record_run");
	cr_assert_not_null(strstr(cede_task_place(unnamed), "test_task.c:"));
	cr_assert_str_eq(cede_task_name(placeless), "?");
	cr_assert_str_eq(cede_task_place(placeless), "");
	cr_assert_eq(cede_group_wait(&group), 0);
	cede_task_unref(named);
	cede_task_unref(unnamed);
	cede_task_unref(placeless);
	return 0;
}

static int
check_current(void *arg)
{
	cr_assert_eq(cede_task_current(), *(cede_task_t **)arg);
	return 0;
}

TASK_TEST(task, current_is_the_task_also_in_what_it_awaits)
{
	cede_task_t *self = cede_task_current();
	cede_coro_t *co;

	cr_assert_not_null(self);
	cr_assert_eq(cede_loop_now(cede_loop_current()), (uint64_t)clock_ms());
	cr_assert_eq(cede_coro_create(&co, check_current, &self, NULL), 0);
	cr_assert_eq(cede_await_coro(co, NULL), 0);
	cede_coro_unref(co);
	return 0;
}

Test(task, current_outside_all_is_none)
{
	leaks_begin();
	cr_assert_null(cede_task_current());
	cr_assert_null(cede_loop_current());
	cr_assert_null(cede_task_unref(NULL));
	leaks_end();
}

/* T14: who spawned it has a group, and the group has the error. Nothing is warned of. */
TASK_TEST(task, that_fails_and_is_dropped_leaves_its_error_to_the_group)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, fail_at_once, NULL), 0);
	cr_assert_eq(cede_sleep(0), 0);
	cr_assert_eq(group.running, 0);
	cr_assert_eq(group.first_error, CEDE_EPIPE);
	return 0;
}

struct other_loop {
	uv_loop_t uv;
	cede_loop_t *loop;
	cede_future_t here, there;
};

static int
answer(void *arg)
{
	struct other_loop *other = arg;
	int r = cede_await(&other->there);

	cede_future_resolve(&other->here, r, NULL);
	return 0;
}

static int
ask_and_wait(void *arg)
{
	struct other_loop *other = arg;

	cede_future_resolve(&other->there, 7, NULL);
	return cede_await(&other->here) == 7 ? 0 : CEDE_EINVAL;
}

static void
keep_result(int result, void *data)
{
	*(int *)data = result;
}

/* T13: a future belongs to no loop. Whoever awaits it is woken in its own, if that is of this thread. */
Test(task, may_await_what_another_loop_of_the_thread_resolves)
{
	struct other_loop other;
	cede_loop_t *loop;
	uv_loop_t uv;
	int result = 1;

	leaks_begin();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(uv_loop_init(&other.uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_attach(&other.loop, &other.uv, NULL), 0);
	cede_future_init(&other.here, NULL);
	cede_future_init(&other.there, NULL);
	cr_assert_eq(cede_start(other.loop, answer, &other, NULL, NULL), 0);
	cr_assert_eq(cede_start(loop, ask_and_wait, &other, keep_result, &result), 0);
	while (result != 0) { /* the bound is the test's */
		uv_run(&other.uv, UV_RUN_NOWAIT);
		uv_run(&uv, UV_RUN_NOWAIT);
	}
	cr_assert_eq(cede_detach(other.loop), 0);
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&other.uv), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}
