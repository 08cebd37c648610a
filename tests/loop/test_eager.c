/*
 * loop/task.c, eager tasks, beside asyncio's test_eager_task_factory.py. T18 of
 * docs/semantics.md; more is in test_task_fate.c.
 */
#include "tests/support/run.h"

#include "tests/support/order.h"

TestSuite(eager, .timeout = 20);

static const cede_spawn_options_t options = { .is_eager = 1 };

static cede_task_t *
spawn_eagerly(cede_group_t *group, cede_fn *fn, void *arg)
{
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(group, fn, arg, &options, &task), 0);
	return task;
}

static int
resolve_it(void *arg)
{
	return cede_future_resolve(arg, 7, NULL);
}

TASK_TEST(eager, task_may_resolve_what_its_parent_awaits_next)
{
	cede_future_t future;

	CEDE_GROUP(group);
	cede_future_init(&future, NULL);
	cede_task_t *task = spawn_eagerly(&group, resolve_it, &future);

	cr_assert_eq(cede_task_is_done(task), 1);
	cr_assert_eq(cede_await(&future), 7);
	cede_task_unref(task);
	return 0;
}

static char kept[] = "a value";

static int
return_it(void *arg)
{
	return cede_return(arg);
}

TASK_TEST(eager, task_that_has_ended_is_joined_at_once_and_not_cancelled)
{
	void *value = NULL;

	CEDE_GROUP(group);
	cede_task_t *task = spawn_eagerly(&group, return_it, kept);

	cr_assert_eq(cede_task_cancel(task), 0);
	cr_assert_eq(cede_join(task, &value), 0);
	cr_assert_eq(value, kept);
	cr_assert_eq(cede_task_result(task), 0);
	cede_task_unref(task);
	return 0;
}

static int
sleep_and_return(void *arg)
{
	int r = cede_sleep(10);

	return r < 0 ? r : cede_return(arg);
}

TASK_TEST(eager, task_that_waits_is_joined_and_cancelled_as_any_other)
{
	void *value = NULL;

	CEDE_GROUP(group);
	cede_task_t *task = spawn_eagerly(&group, sleep_and_return, kept);

	cr_assert_eq(cede_task_is_done(task), 0);
	cr_assert_eq(cede_join(task, &value), 0);
	cr_assert_eq(value, kept);
	cede_task_unref(task);

	task = spawn_eagerly(&group, sleep_and_return, kept);
	cr_assert_eq(cede_task_cancel_with(task, "changed my mind"), 1);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_str_eq(cede_error_text(CEDE_ECANCELED), "changed my mind");
	cede_task_unref(task);
	return 0;
}

static int
look_at_oneself(void *arg)
{
	cede_task_t **self = arg;
	int r;

	*self = cede_task_current();
	r = cede_sleep(1);
	cr_assert_eq(cede_task_current(), *self);
	return r;
}

TASK_TEST(eager, task_is_the_current_one_and_then_its_parent_is_again)
{
	cede_task_t *seen = NULL, *self = cede_task_current();

	CEDE_GROUP(group);
	cede_task_t *task = spawn_eagerly(&group, look_at_oneself, &seen);

	cr_assert_eq(seen, task);
	cr_assert_eq(cede_task_current(), self);
	cr_assert_eq(group.running, 1);
	cede_task_unref(task);
	return cede_group_wait(&group);
}

static const cede_local_t local = { .name = "of a test" };

static int
use_the_local(void *arg)
{
	static char mine[] = "mine", later[] = "later";

	cr_assert_str_eq(cede_local_get(&local), "the parent's");
	cr_assert_eq(cede_local_set(&local, mine), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_str_eq(cede_local_get(&local), "mine");
	cr_assert_eq(cede_local_set(&local, later), 0);
	order_record("done");
	return 0;
}

TASK_TEST(eager, task_has_its_own_locals_from_its_first_line)
{
	static char parents[] = "the parent's";

	CEDE_GROUP(group);
	cr_assert_eq(cede_local_set(&local, parents), 0);
	cr_assert_eq(cede_spawn_with(&group, use_the_local, NULL, &options, NULL), 0);
	cr_assert_str_eq(cede_local_get(&local), "the parent's");
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("done");
	cr_assert_str_eq(cede_local_get(&local), "the parent's");
	return 0;
}

static int
never_run(void *arg)
{
	cr_assert(0, "the group had been cancelled");
	return 0;
}

TASK_TEST(eager, task_of_a_cancelled_group_does_not_run)
{
	CEDE_GROUP(group);
	cede_group_cancel(&group);
	cr_assert_eq(cede_spawn_with(&group, never_run, NULL, &options, NULL), CEDE_ECANCELED);
	return 0;
}
