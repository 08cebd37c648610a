/*
 * <cede/testing.h>: the sweeps. Each finds what was planted for it and says where,
 * and finds nothing in scenarios that are well.
 */
#include <cede/cede.h>
#include <cede/testing.h>

#include <stdlib.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/support/leaks.h"

TestSuite(sweep_cancel, .timeout = 60);
TestSuite(sweep_memory, .timeout = 60);
TestSuite(sweep_seeds, .timeout = 60);

static const cede_test_options_t quiet = { .is_quiet = 1, .silence_ms = 100, .steps_max = 20000 };
static cede_test_report_t report;

/* ---- a scenario that is well ---- */

/* Whichever of the two ends, the other is told. */
static int
produce(void *arg)
{
	cede_channel_t *channel = arg;
	int r = 0;

	for (uintptr_t i = 1; i <= 5 && r == 0; i++)
		r = cede_channel_send(channel, (void *)i);
	if (r == 0)
		r = cede_sleep(1000);
	cede_channel_close(channel);
	return r == CEDE_EPIPE ? 0 : r;
}

static int
consume(void *arg)
{
	void *value;
	int r;

	while ((r = cede_channel_receive(arg, &value)) == 0)
		if ((r = cede_sleep((uintptr_t)value)) < 0)
			break;
	cede_channel_close(arg);
	return r == CEDE_EOF ? 0 : r;
}

static int
pipeline(void *arg)
{
	cede_channel_t channel;
	int r = cede_channel_init(&channel, 2, NULL);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, produce, &channel);
		if (r == 0)
			r = cede_spawn(&group, consume, &channel);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	cede_channel_deinit(&channel);
	return r;
}

/* ---- a cancel at every await ---- */

Test(sweep_cancel, cancels_at_every_await_once_and_is_done)
{
	uint64_t awaits;
	int r;

	leaks_begin();
	cr_assert_eq(cede_test_run(pipeline, NULL, NULL, &report), 0);
	awaits = report.awaits;
	cr_assert_gt(awaits, 10);

	r = cede_test_sweep_cancel(pipeline, NULL, NULL, CEDE_TEST_CANCEL_TASK, &report);
	cr_assert_gt(r, 0, "%s", report.text);
	cr_assert_eq(report.runs, (unsigned)r);
	/* A cut run has other awaits, later; those before the cut are the same. */
	cr_assert_eq(report.at, awaits + 1);
	cr_assert_eq(report.runs, awaits + 1);
	cr_assert_eq(report.cancelled, awaits);
	cr_assert_eq(report.result, 0);

	r = cede_test_sweep_cancel(pipeline, NULL, NULL, CEDE_TEST_CANCEL_MAIN, &report);
	cr_assert_eq(r, (int)awaits + 1, "%s", report.text);
	r = cede_test_sweep_cancel(pipeline, NULL, NULL, CEDE_TEST_CANCEL_BOTH, NULL);
	cr_assert_eq(r, 2 * ((int)awaits + 1));
	leaks_end();
}

Test(sweep_cancel, the_same_sweep_twice_is_the_same)
{
	const cede_test_options_t seeded = { .seed = 77 };
	cede_test_report_t again;

	leaks_begin();
	cr_assert_gt(cede_test_sweep_cancel(pipeline, NULL, &seeded, 3, &report), 0);
	cr_assert_gt(cede_test_sweep_cancel(pipeline, NULL, &seeded, 3, &again), 0);
	leaks_end();
	cr_assert_eq(report.trace, again.trace);
	cr_assert_eq(report.runs, again.runs);
	cr_assert_eq(report.cancelled, again.cancelled);
}

/* Sleeps so many times; forgets a descriptor if it is cancelled in the third. */
static int
forget_if_cancelled(void *arg)
{
	int *fd = arg, r;

	if ((r = cede_sleep(1)) < 0 || (r = cede_sleep(1)) < 0)
		return r;
	*fd = dup(STDERR_FILENO);
	if ((r = cede_sleep(1)) < 0)
		return r; /* planted: it should be closed */
	close(*fd);
	return cede_sleep(1);
}

static int
in_a_group(void *arg)
{
	CEDE_GROUP(group);
	int r = cede_spawn(&group, forget_if_cancelled, arg);

	return r < 0 ? r : cede_group_wait(&group);
}

Test(sweep_cancel, finds_a_planted_leak_and_says_where)
{
	int fd = -1, r;

	leaks_begin();
	r = cede_test_sweep_cancel(in_a_group, &fd, &quiet, CEDE_TEST_CANCEL_TASK, &report);
	cr_assert_eq(r, CEDE_ELEFT);
	cr_assert_eq(report.code, CEDE_ELEFT);
	cr_assert_eq(report.at, 4); /* the group's wait, and three sleeps */
	cr_assert_str_eq(report.task, "forget_if_cancelled");
	cr_assert_not_null(strstr(report.place, "test_testing_sweep.c:"));
	cr_assert_not_null(strstr(report.text, "await 4, of task 'forget_if_cancelled' ("), "%s",
		report.text);
	cr_assert_not_null(strstr(report.text, "1 descriptor is left open"), "%s", report.text);
	close(fd);

	r = cede_test_sweep_cancel(in_a_group, &fd, &quiet, CEDE_TEST_CANCEL_MAIN, &report);
	cr_assert_eq(r, CEDE_ELEFT);
	cr_assert_eq(report.at, 4);
	cr_assert_not_null(strstr(report.text, "the main task was cancelled at await 4"), "%s",
		report.text);
	close(fd);
	leaks_end();
}

/* Whoever is cancelled does not tell the other, who waits. */
static int
set_in_time(void *arg)
{
	int r = cede_sleep(10);

	if (r == 0)
		cede_event_set(arg);
	return r; /* planted: it should be set in any case */
}

static int
wait_for_other(void *arg)
{
	return cede_event_wait(arg);
}

static int
two_with_an_event(void *arg)
{
	cede_event_t event = CEDE_EVENT_INIT;
	int r;
	CEDE_GROUP(group);

	r = cede_spawn(&group, set_in_time, &event);
	if (r == 0)
		r = cede_spawn(&group, wait_for_other, &event);
	if (r == 0)
		r = cede_group_wait(&group);
	return r;
}

Test(sweep_cancel, finds_a_planted_hang_and_does_not_hang)
{
	int r;

	leaks_begin();
	r = cede_test_sweep_cancel(two_with_an_event, NULL, &quiet, CEDE_TEST_CANCEL_TASK, &report);
	cr_assert_eq(r, CEDE_EDEADLK, "%s", report.text);
	cr_assert_eq(report.at, 2);
	cr_assert_not_null(strstr(report.text, "'wait_for_other' ("), "%s", report.text);
	cr_assert_not_null(strstr(report.text, "wait for what can't come"), "%s", report.text);
	leaks_end();
}

/* Whoever is cancelled does not tell the other, who goes round and round. */
static int
set_after_a_while(void *arg)
{
	int r = cede_sleep(0);

	if (r == 0)
		r = cede_sleep(0);
	if (r == 0)
		*(int *)arg = 1;
	return r;
}

static int
spin_until_set(void *arg)
{
	int is_set = 0, r;
	CEDE_GROUP(group);

	r = cede_spawn(&group, set_after_a_while, &is_set);
	while (r == 0 && !is_set)
		r = cede_sleep(0);
	return r < 0 ? r : cede_group_wait(&group);
}

Test(sweep_cancel, finds_a_planted_spin_and_does_not_spin)
{
	int r;

	leaks_begin();
	r = cede_test_sweep_cancel(spin_until_set, NULL, &quiet, CEDE_TEST_CANCEL_TASK, &report);
	leaks_end();
	cr_assert_eq(r, CEDE_EDEADLK, "%s", report.text);
	cr_assert_not_null(strstr(report.text, "run for ever: 'main'"), "%s", report.text);
}

static int
go_on_regardless(void *arg)
{
	(void)!cede_sleep(1);
	while (cede_sleep(1) != 1)
		;
	return 0;
}

static int
with_a_stubborn_one(void *arg)
{
	CEDE_GROUP(group);
	cede_task_t *task;
	int r = cede_spawn_with(&group, go_on_regardless, NULL, NULL, &task);

	if (r == 0)
		r = cede_sleep(10);
	cede_task_unref(task);
	return r;
}

Test(sweep_cancel, finds_who_ignores_a_cancel)
{
	int r;

	leaks_begin();
	r = cede_test_sweep_cancel(with_a_stubborn_one, NULL, &quiet, CEDE_TEST_CANCEL_BOTH,
		&report);
	leaks_end();
	cr_assert_eq(r, CEDE_EIGNORED, "%s", report.text);
	cr_assert_not_null(strstr(report.text, "'go_on_regardless'"), "%s", report.text);
}

/* A cancel turns into an error of its own. */
static int
say_something_else(void *arg)
{
	return cede_sleep(1) < 0 ? CEDE_EPIPE : 0;
}

static int
accept_any(int result, void *arg)
{
	return 0;
}

Test(sweep_cancel, a_scenario_may_return_0_or_that_it_was_cancelled)
{
	const cede_test_options_t judged = { .after = accept_any };
	int r;

	leaks_begin();
	r = cede_test_sweep_cancel(say_something_else, NULL, &quiet, 3, &report);
	cr_assert_eq(r, CEDE_EPIPE);
	cr_assert_not_null(strstr(report.text, "returned EPIPE"), "%s", report.text);
	cr_assert_eq(cede_test_sweep_cancel(say_something_else, NULL, &judged, 3, NULL), 4);
	leaks_end();
}

static int
fail_at_once(void *arg)
{
	return CEDE_EPIPE;
}

Test(sweep_cancel, a_scenario_that_fails_by_itself_is_said_to)
{
	leaks_begin();
	cr_assert_eq(cede_test_sweep_cancel(fail_at_once, NULL, &quiet, 3, &report), CEDE_EPIPE);
	leaks_end();
	cr_assert_not_null(strstr(report.text, "nothing was cancelled"), "%s", report.text);
}

Test(sweep_cancel, misuse_gets_a_code)
{
	const cede_test_options_t few = { .runs_max = 3, .is_quiet = 1 };

	leaks_begin();
	cr_assert_eq(cede_test_sweep_cancel(NULL, NULL, NULL, 3, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_test_sweep_cancel(pipeline, NULL, NULL, 0, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_test_sweep_cancel(pipeline, NULL, NULL, 4, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_test_sweep_cancel(pipeline, NULL, &few, 3, &report), CEDE_ENOBUFS);
	cr_assert_eq(report.runs, 3);
	leaks_end();
}

/* ---- no memory ---- */

Test(sweep_memory, fails_every_allocation_and_puts_the_allocator_back)
{
	int once, r;

	leaks_begin();
	once = cede_test_sweep_memory(pipeline, NULL, NULL, CEDE_TEST_FAIL_ONCE, &report);
	cr_assert_gt(once, 5, "%s", report.text);
	cr_assert_eq(report.failed, (uint64_t)once - 1);
	cr_assert_eq(report.result, 0);
	r = cede_test_sweep_memory(pipeline, NULL, NULL, CEDE_TEST_FAIL_FOREVER, &report);
	cr_assert_eq(r, once, "%s", report.text);
	cr_assert_gt(report.failed, (uint64_t)once);
	r = cede_test_sweep_memory(pipeline, NULL, &(cede_test_options_t){ .seed = 9 }, 3, NULL);
	cr_assert_geq(r, 2 * once - 4);
	cr_assert_eq(cede_set_allocator(NULL), 0);
	leaks_end();
}

static unsigned n_own;

static void *
own_alloc(size_t size, void *data)
{
	n_own++;
	return malloc(size);
}

static void *
own_realloc(void *p, size_t size, void *data)
{
	return realloc(p, size);
}

static void
own_free(void *p, void *data)
{
	free(p);
}

Test(sweep_memory, works_on_the_callers_allocator)
{
	const cede_allocator_t own = { own_alloc, own_realloc, own_free, NULL };
	unsigned before;

	leaks_begin();
	cr_assert_eq(cede_set_allocator(&own), 0);
	cr_assert_gt(cede_test_sweep_memory(pipeline, NULL, NULL, 3, NULL), 0);
	cr_assert_gt(n_own, 0);
	before = n_own;
	cr_assert_eq(cede_test_run(pipeline, NULL, NULL, NULL), 0);
	cr_assert_gt(n_own, before);
	cede__thread_cleanup();
	cr_assert_eq(cede_set_allocator(NULL), 0);
	leaks_end();
}

/* Without memory for the second it forgets the first. */
static int
forget_a_block(void *arg)
{
	cede_coro_t *second, **first = arg;
	int r;

	*first = NULL;
	if ((r = cede_coro_create(first, fail_at_once, NULL, NULL)) < 0)
		return r;
	if ((r = cede_coro_create(&second, fail_at_once, NULL, NULL)) < 0)
		return r; /* planted */
	cede_coro_close(second, NULL);
	cede_coro_unref(second);
	cede_coro_close(*first, NULL);
	*first = cede_coro_unref(*first);
	return 0;
}

Test(sweep_memory, finds_a_planted_leak_and_goes_on_with_the_next)
{
	cede_coro_t *left;
	int r;

	leaks_begin();
	r = cede_test_sweep_memory(forget_a_block, &left, &quiet, CEDE_TEST_FAIL_ONCE, &report);
	cr_assert_eq(r, CEDE_ELEFT, "%d %s", r, report.text);
	cr_assert_not_null(strstr(report.text, "allocation "), "%s", report.text);
	cr_assert_not_null(left);
	cede_coro_close(left, NULL);
	cede_coro_unref(left);
	r = cede_test_sweep_memory(pipeline, NULL, NULL, 3, &report);
	cr_assert_gt(r, 0, "%s", report.text);
	leaks_end();
}

Test(sweep_memory, misuse_gets_a_code)
{
	cede_coro_t *co;

	leaks_begin();
	cr_assert_eq(cede_test_sweep_memory(pipeline, NULL, NULL, 0, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_test_sweep_memory(pipeline, NULL, NULL, 4, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_coro_create(&co, fail_at_once, NULL, NULL), 0);
	cr_assert_eq(cede_test_sweep_memory(pipeline, NULL, NULL, 3, NULL), CEDE_EBUSY);
	cede_coro_close(co, NULL);
	cede_coro_unref(co);
	cr_assert_gt(cede_test_sweep_memory(pipeline, NULL, NULL, 3, NULL), 0);
	leaks_end();
}

/* ---- seeds ---- */

static int
add_a_letter(void *arg)
{
	char *end = arg;

	end[strlen(end)] = end == NULL ? '?' : 'b';
	return 0;
}

static int
put_a_letter(void *arg)
{
	char *text = arg;

	text[0] = 'a';
	return 0;
}

/* Right only if the tasks run in the order they were spawned. */
static int
rely_on_the_order(void *arg)
{
	char text[4] = "";
	int r;
	CEDE_GROUP(group);

	r = cede_spawn(&group, put_a_letter, text);
	if (r == 0)
		r = cede_spawn(&group, add_a_letter, text);
	if (r == 0)
		r = cede_group_wait(&group);
	return r < 0 ? r : strcmp(text, "ab") == 0 ? 0 : CEDE_EPERM;
}

Test(sweep_seeds, find_a_planted_order_bug_that_plain_runs_do_not)
{
	uint64_t seed;
	int r;

	leaks_begin();
	cr_assert_eq(cede_test_run(rely_on_the_order, NULL, NULL, NULL), 0);
	r = cede_test_sweep_seeds(rely_on_the_order, NULL, &quiet, 1, 100, &report);
	cr_assert_eq(r, CEDE_EPERM);
	seed = report.seed;
	cr_assert_eq(report.at, seed);
	cr_assert_not_null(strstr(report.text, "seed "), "%s", report.text);
	cr_assert_eq(cede_test_run(rely_on_the_order, NULL, &(cede_test_options_t){ .seed = seed },
			     NULL),
		CEDE_EPERM);
	leaks_end();
}

Test(sweep_seeds, are_all_run)
{
	leaks_begin();
	cr_assert_eq(cede_test_sweep_seeds(pipeline, NULL, NULL, 0, 50, &report), 50);
	cr_assert_eq(report.runs, 50);
	cr_assert_eq(report.at, 49);
	cr_assert_eq(cede_test_sweep_seeds(pipeline, NULL, NULL, 0, 0, NULL), 0);
	cr_assert_eq(cede_test_sweep_seeds(NULL, NULL, NULL, 0, 5, NULL), CEDE_EINVAL);
	leaks_end();
}
