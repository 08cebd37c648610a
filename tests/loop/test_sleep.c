/* loop/sleep.c, and the turns of the ready queue that sleep(0) takes. */
#include <fcntl.h>

#include <cede/uv.h>

#include "tests/support/run.h"

#include "loop/loop_int.h"
#include "tests/support/order.h"

TestSuite(sleep, .timeout = 30);

TASK_TEST(sleep, takes_its_time_and_no_more)
{
	static const int lengths[] = { 1, 2, 10, 999, 30000, 86400000 };

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		const int64_t before = clock_ms();

		cr_assert_eq(cede_sleep((uint64_t)lengths[i]), 0);
		cr_assert_eq(clock_ms() - before, lengths[i]);
	}
	return 0;
}

TASK_TEST(sleep, counts_from_the_call_not_from_the_turn)
{
	const int64_t before = clock_ms();

	clock_advance(100);
	cr_assert_eq(cede_sleep(10), 0);
	cr_assert_eq(clock_ms() - before, 110);
	return 0;
}

static int
sleep_and_record(void *arg)
{
	const char *name = arg;
	int r = cede_sleep((uint64_t)(name[0] - '0'));

	order_record(name);
	return r;
}

TASK_TEST(sleep, wakes_in_the_order_of_time_then_of_the_start)
{
	CEDE_GROUP(group);
	static char names[][3] = { "5a", "3a", "5b", "1a", "3b", "9a", "1b", "5c" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		cr_assert_eq(cede_spawn(&group, sleep_and_record, names[i]), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("1a", "1b", "3a", "3b", "5a", "5b", "5c", "9a");
	return 0;
}

static int
take_three_turns(void *arg)
{
	for (int i = 0; i < 3; i++) {
		order_record(arg);
		if (cede_sleep(0) < 0)
			return CEDE_EXIT;
	}
	return 0;
}

TASK_TEST(sleep, of_nothing_lets_every_other_ready_task_run_once)
{
	CEDE_GROUP(group);
	static char names[][2] = { "a", "b", "c" };
	const int64_t before = clock_ms();

	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_spawn(&group, take_three_turns, names[i]), 0);
	cr_assert_eq(cede_sleep(0), 0);
	order_record("main");
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("a", "b", "c", "main", "a", "b", "c", "a", "b", "c");
	cr_assert_eq(clock_ms(), before);
	return 0;
}

/* Those who are always ready: each resume takes a microsecond of the clock. */
static int should_stop;

static int
be_busy(void *arg)
{
	unsigned long *n = arg;

	while (!should_stop) {
		++*n;
		clock_ns += 1000;
		if (cede_sleep(0) < 0)
			return CEDE_EXIT;
	}
	return 0;
}

/*
 * A drain makes CEDE__LOOP_BUDGET resumes, then libuv has its turn: at 1 µs a
 * resume a timer is late by one or two drains at the most.
 */
TASK_TEST(sleep, is_not_late_by_more_than_a_drain_or_two_beside_busy_tasks)
{
	enum { BUSY = 50 };
	CEDE_GROUP(group);
	static unsigned long n[BUSY];
	int64_t worst_ms = 0;

	for (int i = 0; i < BUSY; i++)
		cr_assert_eq(cede_spawn(&group, be_busy, &n[i]), 0);
	for (int i = 0; i < 100; i++) {
		const int64_t before = clock_ms();

		cr_assert_eq(cede_sleep(5), 0);
		if (clock_ms() - before - 5 > worst_ms)
			worst_ms = clock_ms() - before - 5;
	}
	should_stop = 1;
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_leq(worst_ms, 2 * CEDE__LOOP_BUDGET / 1000 + 1);
	for (int i = 1; i < BUSY; i++)
		cr_assert_leq(n[i] > n[0] ? n[i] - n[0] : n[0] - n[i], 1, "turns are fair");
	return 0;
}

static void
readable(uv_poll_t *poll, int status, int events)
{
	cede_future_t *future = poll->data;
	char c;

	cr_assert_eq(read((int)(intptr_t)future->value, &c, 1), 1);
	uv_poll_stop(poll);
	cede_future_resolve(future, 0, NULL);
}

static void
closed(uv_handle_t *handle)
{
	cede_future_resolve(handle->data, 0, NULL);
}

/* The same for a descriptor: what is readable is seen while others are always ready. */
TASK_TEST(sleep, of_busy_tasks_does_not_keep_the_loop_from_io)
{
	CEDE_GROUP(group);
	static unsigned long n[2];
	uv_poll_t poll;
	int fds[2];

	cr_assert_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	cr_assert_eq(uv_poll_init(cede_loop_uv(cede_loop_current()), &poll, fds[0]), 0);
	cr_assert_eq(cede_spawn(&group, be_busy, &n[0]), 0);
	cr_assert_eq(cede_spawn(&group, be_busy, &n[1]), 0);
	for (int i = 0; i < 50; i++) {
		const unsigned long before = n[0] + n[1];
		cede_future_t future;

		cede_future_init(&future, NULL);
		future.value = (void *)(intptr_t)fds[0];
		poll.data = &future;
		cr_assert_eq(uv_poll_start(&poll, UV_READABLE, readable), 0);
		cr_assert_eq(write(fds[1], "x", 1), 1);
		cr_assert_eq(cede_await(&future), 0);
		cr_assert_leq(n[0] + n[1] - before, 3 * CEDE__LOOP_BUDGET);
	}
	should_stop = 1;
	cr_assert_eq(cede_group_wait(&group), 0);

	cede_future_t gone;
	cede_future_init(&gone, NULL);
	poll.data = &gone;
	uv_close((uv_handle_t *)&poll, closed);
	cr_assert_eq(cede_await(&gone), 0);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

TASK_TEST(sleep, that_was_started_may_be_cancelled_before_during_and_after)
{
	cede_sleep_t tick;
	const int64_t before = clock_ms();

	cr_assert_eq(cede_sleep_start(10, &tick), 0);
	cede_future_cancel(&tick.future);
	cr_assert_eq(cede_await(&tick.future), CEDE_ECANCELED);
	cr_assert_eq(cede_sleep_start(10, &tick), 0);
	cr_assert_eq(cede_sleep(4), 0);
	cede_future_cancel(&tick.future);
	cr_assert_eq(cede_await(&tick.future), CEDE_ECANCELED);
	cr_assert_eq(cede_sleep_start(10, &tick), 0);
	cr_assert_eq(cede_sleep(20), 0);
	cede_future_cancel(&tick.future);
	cr_assert_eq(cede_await(&tick.future), 0);
	cr_assert_eq(clock_ms() - before, 24);
	return 0;
}

TASK_TEST(sleep, of_no_time_that_was_started_is_done_in_the_next_turn)
{
	cede_sleep_t tick;

	cr_assert_eq(cede_sleep_start(0, &tick), 0);
	cr_assert_eq(tick.future.is_done, 0);
	cr_assert_eq(cede_await(&tick.future), 0);
	return 0;
}

TASK_TEST(sleep, the_longest_there_is_can_be_given_up)
{
	static const uint64_t lengths[] = { UINT64_MAX, UINT64_MAX - 1, (uint64_t)1 << 63,
		UINT64_MAX >> 20, (uint64_t)1 << 44 };

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		int r = 0;

		CEDE_TIMEOUT(1000) {
			r = cede_sleep(lengths[i]);
		}
		cr_assert_eq(r, CEDE_ETIMEDOUT);
	}
	return 0;
}

static int
sleep_once(void *arg)
{
	int r = cede_sleep((uint64_t)(1 + (uintptr_t)arg % 100));

	return r;
}

#if defined(__SANITIZE_ADDRESS__)
#define MANY 5000
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MANY 5000
#endif
#endif
#ifndef MANY
#define MANY 100000
#endif

/* Each with a stack of its own, all asleep at the same time. */
TASK_TEST(sleep, of_a_hundred_thousand_tasks_ends)
{
	CEDE_GROUP(group);
	const int64_t before = clock_ms();
	const uintptr_t many = getenv("TESTS_FEW") ? 1000 : MANY;

	for (uintptr_t i = 0; i < many; i++)
		cr_assert_eq(cede_spawn(&group, sleep_once, (void *)i), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(clock_ms() - before, 100);
	return 0;
}

Test(sleep, outside_a_task_is_refused)
{
	cede_sleep_t tick;

	leaks_begin();
	cr_assert_eq(cede_sleep(1), CEDE_ENOTASK);
	cr_assert_eq(cede_sleep(0), CEDE_ENOTASK);
	cr_assert_eq(cede_sleep_start(1, &tick), CEDE_ENOTASK);
	leaks_end();
}
