/*
 * loop/task.c, cancelling: cancel is close. T1 to T6 of docs/semantics.md, where
 * design.md differs from asyncio the difference is named.
 */
#include "tests/support/run.h"

#include "tests/support/order.h"

TestSuite(task_cancel, .timeout = 20);

static char kept[] = "a value";

/* What a task saw; its argument. */
struct seen {
	int has_run;
	int first;  /* what its first await returned */
	int second; /* and its next */
	int result; /* what it is to return, unless 0: then what it saw first */
	int n_freed;
	cede_future_t future;
	cede_task_t *task;
};

static int
wait_for_ever(void *arg)
{
	struct seen *seen = arg;

	seen->has_run = 1;
	seen->first = cede_sleep(UINT64_MAX);
	return seen->result ? seen->result : seen->first;
}

static int
swallow(void *arg)
{
	struct seen *seen = arg;

	seen->first = cede_sleep(UINT64_MAX);
	return cede_return(kept);
}

static void
count_free(void *arg)
{
	struct seen *seen = arg;

	seen->n_freed++;
}

/* Starts a task and lets it come to its first await. */
static cede_task_t *
spawn_and_let_wait(cede_group_t *group, cede_fn *fn, void *arg)
{
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(group, fn, arg, NULL, &task), 0);
	cr_assert_eq(cede_sleep(0), 0);
	return task;
}

/*
 * T1
 * | parent              | child           |
 * |---------------------+-----------------|
 * | spawn, cancel       | <never entered> |
 * | join -> ECANCELED   |                 |
 */
TASK_TEST(task_cancel, before_its_start_never_runs_the_body_and_frees_the_argument)
{
	CEDE_GROUP(group);
	struct seen seen = { 0 };
	cede_spawn_options_t options = { .arg_dtor = count_free };
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(&group, wait_for_ever, &seen, &options, &task), 0);
	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_task_is_done(task), 0);
	cr_assert_eq(seen.n_freed, 0);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_eq(seen.has_run, 0);
	cr_assert_eq(seen.n_freed, 1);
	cede_task_unref(task);
	return 0;
}

TASK_TEST(task_cancel, of_a_body_that_runs_leaves_its_argument_to_it)
{
	CEDE_GROUP(group);
	struct seen seen = { 0 };

	cr_assert_eq(cede_spawn_own(&group, wait_for_ever, &seen, count_free), 0);
	cr_assert_eq(cede_sleep(0), 0);
	cede_group_cancel(&group);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(seen.has_run, 1);
	cr_assert_eq(seen.n_freed, 0);
	return 0;
}

/* T2; its reason is in test_task_fate.c. */
TASK_TEST(task_cancel, while_it_waits_raises_exit_there_and_ends_it_as_cancelled)
{
	CEDE_GROUP(group);
	struct seen seen = { 0 };
	cede_task_t *task = spawn_and_let_wait(&group, wait_for_ever, &seen);

	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_eq(cede_task_result(task), CEDE_ECANCELED);
	cr_assert_eq(seen.first, CEDE_EXIT);
	cede_task_unref(task);
	return 0;
}

/* T3 */
TASK_TEST(task_cancel, swallowed_keeps_the_result_and_the_value)
{
	CEDE_GROUP(group);
	struct seen seen = { 0 };
	cede_task_t *task = spawn_and_let_wait(&group, swallow, &seen);
	void *value = NULL;

	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_join(task, &value), 0);
	cr_assert_eq(value, kept);
	cr_assert_eq(seen.first, CEDE_EXIT);
	cede_task_unref(task);
	return 0;
}

static int
swallow_without_a_value(void *arg)
{
	return cede_sleep(UINT64_MAX) == CEDE_EXIT ? 0 : CEDE_EINVAL;
}

/* T3: the difference between "I was cancelled" and "I am done", also without a value. */
TASK_TEST(task_cancel, swallowed_without_a_value_is_a_success)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, swallow_without_a_value, NULL);

	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), 0);
	cede_task_unref(task);
	return 0;
}

/* T5 */
TASK_TEST(task_cancel, whose_cleanup_fails_ends_with_that_error)
{
	CEDE_GROUP(group);
	struct seen seen = { .result = CEDE_EPIPE };
	cede_task_t *task = spawn_and_let_wait(&group, wait_for_ever, &seen);

	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_join(task, NULL), CEDE_EPIPE);
	cr_assert_eq(group.first_error, CEDE_EPIPE);
	cede_task_unref(task);
	return 0;
}

static int
return_at_once(void *arg)
{
	return cede_return(kept);
}

/* T6 */
TASK_TEST(task_cancel, of_a_finished_task_does_nothing)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, return_at_once, NULL);
	void *value = NULL;

	cr_assert_eq(cede_task_is_done(task), 1);
	cr_assert_eq(cede_task_cancel(task), 0);
	cr_assert_eq(cede_join(task, &value), 0);
	cr_assert_eq(value, kept);
	cede_task_unref(task);
	return 0;
}

TASK_TEST(task_cancel, twice_is_once)
{
	CEDE_GROUP(group);
	struct seen seen = { 0 };
	cede_task_t *task = spawn_and_let_wait(&group, wait_for_ever, &seen);

	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_task_cancel(task), 0);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_eq(cede_task_cancel(task), 0);
	cede_task_unref(task);
	return 0;
}

static int
cancel_itself(void *arg)
{
	struct seen *seen = arg;

	cr_assert_eq(cede_task_cancel(cede_task_current()), 1);
	order_record("still runs");
	seen->first = cede_sleep(UINT64_MAX);
	return seen->first;
}

TASK_TEST(task_cancel, of_oneself_comes_at_the_next_await)
{
	CEDE_GROUP(group);
	struct seen seen = { 0 };
	cede_task_t *task = spawn_and_let_wait(&group, cancel_itself, &seen);

	order_expect("still runs");
	cr_assert_eq(seen.first, CEDE_EXIT);
	cr_assert_eq(cede_task_result(task), CEDE_ECANCELED);
	cede_task_unref(task);
	return 0;
}

static int
cancel_task_of(void *arg)
{
	struct seen *seen = arg;

	cr_assert_eq(cede_task_cancel(seen->task), 1);
	seen->first = cede_sleep(UINT64_MAX);
	return seen->first;
}

static int
be_cancelled_by_a_child(void *arg)
{
	CEDE_GROUP(group);
	struct seen *seen = arg, child = { .task = cede_task_current() };

	cr_assert_eq(cede_spawn(&group, cancel_task_of, &child), 0);
	seen->first = cede_group_wait(&group);
	cr_assert_eq(child.first, CEDE_EXIT, "the child has ended when the wait returns");
	return seen->first;
}

TASK_TEST(task_cancel, of_the_parent_by_its_child_ends_both)
{
	CEDE_GROUP(group);
	struct seen seen = { 0 };
	cede_task_t *task = spawn_and_let_wait(&group, be_cancelled_by_a_child, &seen);

	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_eq(seen.first, CEDE_EXIT);
	cede_task_unref(task);
	return 0;
}

static int
record_its_end(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	order_record("closed");
	return r;
}

static int
record_a_turn(void *arg)
{
	order_record("ready before");
	return 0;
}

/* The close comes from the ready queue, behind what was ready before, in the same turn. */
TASK_TEST(task_cancel, never_runs_the_target_inside_the_caller)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, record_its_end, NULL);

	cr_assert_eq(cede_spawn(&group, record_a_turn, NULL), 0);
	cede_task_cancel(task);
	order_record("cancel returned");
	const int64_t now = clock_ms();
	cr_assert_eq(cede_sleep(0), 0);
	order_expect("cancel returned", "ready before", "closed");
	cr_assert_eq(clock_ms(), now);
	cede_task_unref(task);
	return 0;
}

static int
await_everything_while_closed(void *arg)
{
	CEDE_GROUP(group);
	cede_future_t a, b;
	cede_sleep_t tick;
	struct seen *seen = arg;

	seen->first = cede_sleep(UINT64_MAX);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(cede_sleep(0), CEDE_EXIT);
		cr_assert_eq(cede_sleep(1), CEDE_EXIT);
		cede_future_init(&a, NULL);
		cr_assert_eq(cede_await(&a), CEDE_EXIT);
		cr_assert_eq(a.result, CEDE_ECANCELED, "what was refused was cancelled");
		cede_future_init(&a, NULL);
		cede_future_init(&b, NULL);
		cr_assert_eq(cede_select(2, (cede_future_t *[]){ &a, &b }), CEDE_EXIT);
		cr_assert(a.is_done && b.is_done);
		cede_future_init(&a, NULL);
		cede_future_init(&b, NULL);
		cr_assert_eq(cede_wait_any(2, (cede_future_t *[]){ &a, &b }), CEDE_EXIT);
		cr_assert(a.is_done && b.is_done);
		cede_future_init(&a, NULL);
		cede_future_init(&b, NULL);
		cr_assert_eq(cede_wait_all(2, (cede_future_t *[]){ &a, &b }), CEDE_EXIT);
		cr_assert(a.is_done && b.is_done);
		cr_assert_eq(cede_sleep_start(1, &tick), 0);
		cr_assert_eq(cede_await(&tick.future), CEDE_EXIT);
		cr_assert_eq(cede_join(seen->task, NULL), CEDE_EXIT);
		cr_assert_eq(cede_signal_wait(SIGUSR1), CEDE_EXIT);
		CEDE_TIMEOUT(1000)
			cr_assert_eq(cede_sleep(1), CEDE_EXIT, "a timeout scope is no shield");
	}
	cr_assert_eq(cede_spawn(&group, record_its_end, NULL), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EXIT);
	return seen->first;
}

/* Against T4: asyncio delivers a cancel once; here every further await is refused at once. */
TASK_TEST(task_cancel, is_level_triggered_for_every_kind_of_await)
{
	CEDE_GROUP(group);
	struct seen seen = { .task = cede_task_current() };
	cede_task_t *task = spawn_and_let_wait(&group, await_everything_while_closed, &seen);
	const int64_t before = clock_ms();

	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_eq(clock_ms(), before, "no await took time");
	cede_task_unref(task);
	return 0;
}

static int
await_then_await(void *arg)
{
	struct seen *seen = arg;

	seen->first = cede_await(&seen->future);
	seen->second = cede_sleep(UINT64_MAX);
	return seen->second;
}

/*
 * | resolve, cancel (either order, same turn) | the await returns the result |
 * |                                           | the next one CEDE_EXIT       |
 */
TASK_TEST(task_cancel, comes_after_a_result_that_is_already_there)
{
	for (int order = 0; order < 2; order++) {
		CEDE_GROUP(group);
		struct seen seen = { 0 };

		cede_future_init(&seen.future, NULL);
		cede_task_t *task = spawn_and_let_wait(&group, await_then_await, &seen);

		if (order == 0)
			cede_future_resolve(&seen.future, 7, NULL);
		cr_assert_eq(cede_task_cancel(task), 1);
		if (order == 1)
			cede_future_resolve(&seen.future, 7, NULL);
		cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
		cr_assert_eq(seen.first, 7);
		cr_assert_eq(seen.second, CEDE_EXIT);
		cede_task_unref(task);
	}
	return 0;
}

static int
await_a_done_one_while_closed(void *arg)
{
	struct seen *seen = arg;
	cede_future_t pending;

	cr_assert_eq(cede_sleep(UINT64_MAX), CEDE_EXIT);
	cede_future_init(&pending, NULL);
	seen->first = cede_await(&seen->future);
	seen->second = cede_select(2, (cede_future_t *[]){ &pending, &seen->future });
	cr_assert_eq(cede_wait_all(1, (cede_future_t *[]){ &seen->future }), 0);
	cr_assert_eq(pending.result, CEDE_ECANCELED);
	return CEDE_EXIT;
}

TASK_TEST(task_cancel, does_not_refuse_what_is_done)
{
	CEDE_GROUP(group);
	struct seen seen = { 0 };

	cede_future_init(&seen.future, NULL);
	cede_future_resolve(&seen.future, 7, NULL);
	cede_task_t *task = spawn_and_let_wait(&group, await_a_done_one_while_closed, &seen);

	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_eq(seen.first, 7);
	cr_assert_eq(seen.second, 1);
	cede_task_unref(task);
	return 0;
}

static void
record_cancel(cede_future_t *future)
{
	order_record("operation cancelled");
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

static int
await_and_record(void *arg)
{
	cede_future_t *future = arg;
	int r = cede_await(future);

	order_record(r == CEDE_EXIT ? "body told" : "?");
	return r;
}

TASK_TEST(task_cancel, cancels_the_operation_before_the_body_hears_of_it)
{
	CEDE_GROUP(group);
	cede_future_t future;

	cede_future_init(&future, record_cancel);
	cede_task_t *task = spawn_and_let_wait(&group, await_and_record, &future);

	cede_task_cancel(task);
	order_expect_nothing();
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	order_expect("operation cancelled", "body told");
	cr_assert_eq(cede_future_result(&future), CEDE_ECANCELED);
	cede_task_unref(task);
	return 0;
}

static int
return_exit(void *arg)
{
	return CEDE_EXIT;
}

TASK_TEST(task_cancel, is_what_a_body_that_returns_exit_by_itself_looks_like)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, return_exit, NULL);

	cr_assert_eq(cede_task_result(task), CEDE_ECANCELED);
	cede_task_unref(task);
	cr_assert_eq(cede_group_wait(&group), 0);
	return 0;
}

TASK_TEST(task_cancel, of_ten_thousand_takes_one_turn)
{
	enum { N = 10000 };
	CEDE_GROUP(group);
	static struct seen seen[N];

	for (int i = 0; i < N; i++)
		cr_assert_eq(cede_spawn(&group, wait_for_ever, &seen[i]), 0);
	cr_assert_eq(cede_sleep(1), 0);
	const int64_t before = clock_ms();

	cede_group_cancel(&group);
	cr_assert_eq(cede_group_wait(&group), 0);
	for (int i = 0; i < N; i++)
		cr_assert_eq(seen[i].first, CEDE_EXIT);
	cr_assert_eq(clock_ms(), before);
	return 0;
}

static int
main_cancels_itself(void *arg)
{
	cede_task_cancel(cede_task_current());
	return cede_sleep(1);
}

Test(task_cancel, of_the_main_task_is_the_result_of_run)
{
	cr_assert_eq(run_gated(main_cancels_itself, NULL), CEDE_ECANCELED);
}
