/*
 * loop/task.c: bodies that ignore their end. They are reported by name, their
 * task ends with CEDE_EIGNORED, and the loop goes on.
 */
#include <cede/uv.h>

#include "tests/support/run.h"

#include "loop/loop_int.h"
#include "tests/support/order.h"

TestSuite(ignore, .timeout = 20);

static cede_task_t *
spawn_named(cede_group_t *group, const char *name, cede_fn *fn, void *arg)
{
	cede_spawn_options_t options = { .name = name };
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(group, fn, arg, &options, &task), 0);
	cr_assert_eq(cede_sleep(0), 0);
	return task;
}

/* Runs a body, cancels it, and expects that it is ended by force and named once. */
static void
expect_ended_by_force(cede_fn *fn)
{
	CEDE_GROUP(group);
	const int64_t before = clock_ms();

	hear_start();
	group.policy = CEDE_GROUP_KEEP_GOING;
	cede_task_t *task = spawn_named(&group, "stubborn", fn, NULL);

	cede_task_cancel(task);
	int r = cede_join(task, NULL);

	cr_assert_eq(hear_end("task 'stubborn' ignored"), 1);
	cr_assert_eq(r, CEDE_EIGNORED);
	cr_assert_eq(clock_ms(), before);
	cede_task_unref(task);
}

static int
loop_on_refused_sleeps(void *arg)
{
	while (cede_sleep(10) <= 0)
		continue;
	return 0;
}

TASK_TEST(ignore, of_a_close_by_awaiting_for_ever_is_ended_by_force)
{
	expect_ended_by_force(loop_on_refused_sleeps);
	return 0;
}

static int
loop_on_giving_way(void *arg)
{
	while (cede_sleep(0) <= 0)
		continue;
	return 0;
}

TASK_TEST(ignore, of_a_close_by_giving_way_for_ever_is_ended_by_force)
{
	expect_ended_by_force(loop_on_giving_way);
	return 0;
}

static int
loop_on_futures(void *arg)
{
	cede_future_t a, b;

	do {
		cede_future_init(&a, NULL);
		cede_future_init(&b, NULL);
	} while (cede_select(2, (cede_future_t *[]){ &a, &b }) <= 0);
	return 0;
}

TASK_TEST(ignore, of_a_close_by_selecting_for_ever_is_ended_by_force)
{
	expect_ended_by_force(loop_on_futures);
	return 0;
}

static int
yield_when_closed(void *arg)
{
	(void)!cede_sleep(UINT64_MAX);
	(void)!cede_yield(NULL, NULL);
	return 0;
}

TASK_TEST(ignore, of_a_close_by_a_raw_yield_is_ended_by_force)
{
	expect_ended_by_force(yield_when_closed);
	return 0;
}

static int
yield_for_ever(void *arg)
{
	(void)!cede_sleep(UINT64_MAX);
	while (cede_yield(NULL, NULL) <= 0)
		continue;
	return 0;
}

TASK_TEST(ignore, of_a_close_by_raw_yields_for_ever_is_ended_by_force)
{
	expect_ended_by_force(yield_for_ever);
	return 0;
}

static int
yield_behind_a_shield(void *arg)
{
	CEDE_SHIELD(1000) {
		cede_task_cancel(cede_task_current());
		cr_assert_eq(cede_sleep(0), 0);
	}
	while (cede_yield(NULL, NULL) <= 0)
		continue;
	return 0;
}

/* The close was held off by the shield, so nothing but refusals tells the body. */
TASK_TEST(ignore, of_a_close_behind_a_shield_by_raw_yields_is_ended_by_force)
{
	CEDE_GROUP(group);

	hear_start();
	cede_task_t *task = spawn_named(&group, "stubborn", yield_behind_a_shield, NULL);
	int r = cede_join(task, NULL);

	cr_assert_eq(hear_end("task 'stubborn' ignored"), 1);
	cr_assert_eq(r, CEDE_EIGNORED);
	cede_task_unref(task);
	return 0;
}

/* Our reference to what it awaits: its own lines behind the await never run. */
static cede_coro_t *awaited;

static int
await_a_stubborn_one(void *arg)
{
	cr_assert_eq(cede_coro_create(&awaited, loop_on_refused_sleeps, NULL, NULL), 0);
	return cede_await_coro(awaited, NULL);
}

TASK_TEST(ignore, of_a_close_in_an_awaited_coroutine_is_ended_by_force)
{
	expect_ended_by_force(await_a_stubborn_one);
	awaited = cede_coro_unref(awaited);
	return 0;
}

static int
await_one_that_yields(void *arg)
{
	cede_coro_t *co;

	cr_assert_eq(cede_coro_create(&co, yield_when_closed, NULL, NULL), 0);
	int r = cede_await_coro(co, NULL);

	cede_coro_unref(co);
	*(int *)arg = r;
	return CEDE_EXIT;
}

/* Row 42: whoever awaits it sees "ignored" in place of its own close, and may handle it. */
TASK_TEST(ignore, of_a_close_by_an_awaited_one_that_yields_is_told_to_its_awaiter)
{
	CEDE_GROUP(group);
	int seen = 0;

	cede_task_t *task = spawn_named(&group, "awaiter", await_one_that_yields, &seen);

	hear_start();
	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	hear_end("");
	cr_assert_eq(seen, CEDE_EIGNORED);
	cede_task_unref(task);
	return 0;
}

static int
ignore_a_timeout(void *arg)
{
	CEDE_TIMEOUT(10) {
		while (cede_sleep(1000) <= 0)
			continue;
	}
	return 0;
}

TASK_TEST(ignore, of_a_timeout_is_ended_by_force)
{
	CEDE_GROUP(group);
	const int64_t before = clock_ms();

	hear_start();
	cede_task_t *task = spawn_named(&group, "late", ignore_a_timeout, NULL);
	int r = cede_join(task, NULL);

	cr_assert_eq(hear_end("task 'late' ignored its timeout"), 1);
	cr_assert_eq(r, CEDE_EIGNORED);
	cr_assert_eq(clock_ms() - before, 10);
	cede_task_unref(task);
	return 0;
}

static int
poll_five_thousand_times(void *arg)
{
	cede_future_t future;

	for (int i = 0; i < 5000; i++) {
		cede_future_init(&future, NULL);
		CEDE_TIMEOUT(0) {
			cr_assert_eq(cede_await(&future), CEDE_ETIMEDOUT);
		}
	}
	return cede_sleep(1);
}

/* Every one of these refusals is heeded: the block ends, and the next is another. */
TASK_TEST(ignore, is_not_what_many_expired_scopes_in_turn_do)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, poll_five_thousand_times, NULL), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	return 0;
}

static int
count_to_ten(void *arg)
{
	int *n = arg;

	for (; *n < 10; ++*n)
		if (cede_sleep(1) < 0)
			return CEDE_EXIT;
	return 0;
}

TASK_TEST(ignore, leaves_the_siblings_running)
{
	CEDE_GROUP(group);
	int n = 0;

	group.policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn(&group, count_to_ten, &n), 0);
	cede_task_t *task = spawn_named(&group, "stubborn", loop_on_refused_sleeps, NULL);

	hear_start();
	cede_task_cancel(task);
	cr_assert_eq(cede_group_wait(&group), CEDE_EIGNORED);
	cr_assert_eq(hear_end("stubborn"), 1);
	cr_assert_eq(n, 10);
	cede_task_unref(task);
	return 0;
}

static int
leave_a_group_and_ignore(void *arg)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, count_to_ten, arg), 0);
	return loop_on_refused_sleeps(NULL);
}

/* What it spawned goes on: nobody has left that group. It ends with the loop at the latest. */
TASK_TEST(ignore, of_a_parent_leaves_its_children_their_group)
{
	CEDE_GROUP(group);
	static int n;

	group.policy = CEDE_GROUP_KEEP_GOING;
	cede_task_t *task = spawn_named(&group, "parent", leave_a_group_and_ignore, &n);

	hear_start();
	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), CEDE_EIGNORED);
	cr_assert_eq(hear_end("parent"), 1);
	cr_assert_eq(cede_sleep(100), 0);
	cr_assert_eq(n, 10);
	cede_task_unref(task);
	return 0;
}

static int
ignore_with_operations_under_way(void *arg)
{
	cede_sleep_t tick;
	cede_signal_t signal;

	cr_assert_eq(cede_sleep_start(5, &tick), 0);
	cr_assert_eq(cede_signal_start(SIGUSR1, &signal), 0);
	while (cede_sleep(1000) <= 0)
		continue;
	return 0;
}

/* Their memory is the stack that is not resumed any more: it stays as long as they may touch it. */
TASK_TEST(ignore, keeps_the_memory_of_what_is_under_way)
{
	CEDE_GROUP(group);

	group.policy = CEDE_GROUP_KEEP_GOING;
	cede_task_t *task = spawn_named(&group, "busy", ignore_with_operations_under_way, NULL);

	hear_start();
	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), CEDE_EIGNORED);
	hear_end("");
	cr_assert_eq(cede_sleep(20), 0);
	raise(SIGUSR1);
	cr_assert_eq(cede_sleep(20), 0);
	cede_task_unref(task);
	return 0;
}

static int
ignore_in_a_long_scope(void *arg)
{
	CEDE_TIMEOUT(3600 * 1000) {
		cede_task_cancel(cede_task_current());
		return loop_on_refused_sleeps(NULL);
	}
	return 0;
}

static void
keep_result(int result, void *data)
{
	*(int *)data = result;
}

/* Its scopes are over with it: their deadlines do not keep the host's loop alive for an hour. */
Test(ignore, in_a_scope_ends_the_scope_for_the_host)
{
	cede_loop_t *loop;
	uv_loop_t uv;
	int result = 1;

	leaks_begin();
	clock_start();
	const int64_t before = clock_ms();

	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_start(loop, ignore_in_a_long_scope, NULL, keep_result, &result), 0);
	hear_start();
	cr_assert_eq(uv_run(&uv, UV_RUN_DEFAULT), 0);
	cr_assert_eq(hear_end("ignored GeneratorExit"), 1);
	cr_assert_eq(result, CEDE_EIGNORED);
	cr_assert_lt(clock_ms() - before, 1000);
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
	clock_stop();
	leaks_end();
}

/* A detach cancels it, it ignores that, and all the same it is gone afterwards. */
Test(ignore, of_a_detach_is_ended_by_force)
{
	static cede_fn *const bodies[] = { loop_on_refused_sleeps, yield_when_closed,
		yield_for_ever, await_a_stubborn_one };
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		cr_assert_eq(cede_start(loop, bodies[i], NULL, NULL, NULL), 0);
	uv_run(&uv, UV_RUN_NOWAIT);
	hear_start();
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(hear_end("ignored GeneratorExit"), 4);
	awaited = cede_coro_unref(awaited);
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}

static struct cede__resource left_open;

static void
close_left_open(struct cede__resource *resource)
{
	cede__list_remove(&resource->link);
	order_record("closed by the detach");
}

static void
record(void *arg)
{
	order_record(arg);
}

static int
defer_and_ignore(void *arg)
{
	static char text[] = "deferred";

	cr_assert_eq(cede_defer(record, text), 0);
	left_open.close = close_left_open;
	cede__list_init(&left_open.link);
	cede__list_append(&cede_loop_current()->resources, &left_open.link);
	for (;;)
		if (cede_sleep(UINT64_MAX) == 0)
			return 0;
}

/* What they give back may be a stream, which the detach frees. */
Test(ignore, deferred_calls_come_before_what_was_left_open_is_closed)
{
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	uv_loop_init(&uv);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_start(loop, defer_and_ignore, NULL, NULL, NULL), 0);
	uv_run(&uv, UV_RUN_NOWAIT);
	hear_start();
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(hear_end("ignored GeneratorExit"), 1);
	order_expect("deferred", "closed by the detach");
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}

static void
say_goodbye(void *arg)
{
	CEDE_SHIELD(100) {
		order_record(cede_sleep(10) == CEDE_ENOTASK ? "in a shield" : "?");
	}
	CEDE_TIMEOUT(100) {
		order_record(arg);
	}
}

static int
say_goodbye_and_ignore(void *arg)
{
	static char text[] = "in a timeout";

	cr_assert_eq(cede_defer(say_goodbye, text), 0);
	for (;;)
		if (cede_sleep(UINT64_MAX) == 0)
			return 0;
}

Test(ignore, deferred_calls_may_have_shields_where_no_task_is_left_either)
{
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	uv_loop_init(&uv);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_start(loop, say_goodbye_and_ignore, NULL, NULL, NULL), 0);
	uv_run(&uv, UV_RUN_NOWAIT);
	hear_start();
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(hear_end("ignored GeneratorExit"), 1);
	order_expect("in a shield", "in a timeout");
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}
