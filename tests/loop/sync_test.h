/*
 * What the tests of synchronisation share: a body that is the main task of a
 * loop, between the halves of the leak gate; tasks that are told apart by a
 * number; what they have done, in order.
 *
 * Time passes by turns only: turn() lets every ready task run.
 */
#ifndef TESTS_LOOP_SYNC_TEST_H
#define TESTS_LOOP_SYNC_TEST_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <cede/cede.h>

#include <criterion/criterion.h>

#include "tests/support/fault.h"
#include "tests/support/leaks.h"

#define SYNC_TEST(suite, name) \
	static int suite##__##name(void *arg); \
	Test(suite, name) \
	{ \
		leaks_begin(); \
		cr_assert_eq(cede_run(suite##__##name, NULL), 0); \
		leaks_end(); \
	} \
	static int suite##__##name(void *arg)

/* The same with the allocator that counts, and fails when told to. */
#define COUNT_TEST(suite, name) \
	static int suite##__##name(void *arg); \
	Test(suite, name) \
	{ \
		leaks_begin(); \
		fault_install(); \
		cr_assert_eq(cede_run(suite##__##name, NULL), 0); \
		leaks_end(); \
	} \
	static int suite##__##name(void *arg)

/* A test in which the library must abort, on one of its tasks. */
#define ABORT_TEST(suite, name) \
	static int suite##__##name(void *arg); \
	Test(suite, name, .signal = SIGABRT) \
	{ \
		cr_assert_eq(cede_run(suite##__##name, NULL), 0); \
	} \
	static int suite##__##name(void *arg)

#define TASKS_MAX 16
#define WAITING   1000000 /* the code of a call that has not returned */

static cede_group_t group;
static cede_task_t *tasks[TASKS_MAX];
static int codes[TASKS_MAX];
static int done_order[256], done_count;

CEDE__MAYBE_UNUSED static void
turn(void)
{
	cr_assert_eq(cede_sleep(0), 0);
}

CEDE__MAYBE_UNUSED static void
record(int number)
{
	cr_assert_lt(done_count, 256);
	done_order[done_count++] = number;
}

/** Exactly these numbers were recorded since the last time. */
#define expect_order(...) \
	expect_order_of(__LINE__, (const int[]){ __VA_ARGS__ }, \
		sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int))
#define expect_nothing() cr_assert_eq(done_count, 0, "%d was recorded", done_order[0])

CEDE__MAYBE_UNUSED static void
expect_order_of(int line, const int *expected, size_t count)
{
	cr_assert_eq((size_t)done_count, count, "line %d: %d recorded", line, done_count);
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(done_order[i], expected[i], "line %d: [%zu] is %d", line, i,
			done_order[i]);
	done_count = 0;
}

static inline int
number_of(void *arg)
{
	return (int)(intptr_t)arg;
}

/** Starts task @number; its body gets the number. It runs with the next turn. */
CEDE__MAYBE_UNUSED static void
start(int number, cede_fn *fn)
{
	group.policy = CEDE_GROUP_KEEP_GOING;
	codes[number] = WAITING;
	cede_task_unref(tasks[number]);
	cr_assert_eq(cede_spawn_with(&group, fn, (void *)(intptr_t)number, NULL, &tasks[number]),
		0);
}

/** Starts tasks 1 to @count and lets them run. */
CEDE__MAYBE_UNUSED static void
start_all(int count, cede_fn *fn)
{
	for (int i = 1; i <= count; i++)
		start(i, fn);
	turn();
}

/** Ends the test: every task must end by itself. */
CEDE__MAYBE_UNUSED static int
finish(void)
{
	cr_assert_geq(cede_group_wait(&group), -6000);
	for (int i = 0; i < TASKS_MAX; i++)
		tasks[i] = cede_task_unref(tasks[i]);
	return 0;
}

/** Runs @check in a task that is being closed. */
CEDE__MAYBE_UNUSED static int
sleep_then_check(void *arg)
{
	void (*const *check)(void) = arg;

	cr_assert_eq(cede_sleep(1000000), CEDE_EXIT);
	(*check)();
	return CEDE_EXIT;
}

CEDE__MAYBE_UNUSED static void
in_a_closed_task(void (*check)(void))
{
	cede_group_t g = { 0 };
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(&g, sleep_then_check, &check, NULL, &task), 0);
	turn();
	cede_task_cancel(task);
	cr_assert_eq(cede_group_wait(&g), 0);
	cede_task_unref(task);
}

/* Numbers that look random and are the same in every run (xorshift32). */
static uint32_t random_state = 2463534242u;

static inline unsigned
random_below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % n;
}

#endif
