/*
 * loop/workers.c: a loop a thread; errors, cancels and signals across them. On the
 * real clock, which is the threads' too.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include <cede/workers.h>

#include "tests/support/run.h"

#include "tests/support/fault.h"

TestSuite(workers, .timeout = 60);

enum { MAX = 16 };

static atomic_int begun, ended, cancelled;
static pthread_t threads[MAX];
static cede_loop_t *loops[MAX];

static int
note_where(void *arg)
{
	const unsigned i = cede_worker_index();

	cr_assert_eq(*(int *)arg, 5);
	cr_assert_eq(cede_worker_count(), 4);
	atomic_fetch_add(&begun, 1);
	threads[i] = pthread_self();
	loops[i] = cede_loop_current();
	while (begun < 4) /* all at a time */
		if (cede_sleep(1) < 0)
			return CEDE_EXIT;
	atomic_fetch_add(&ended, 1);
	return 0;
}

Test(workers, each_have_a_loop_and_a_thread_of_their_own)
{
	int arg = 5;

	leaks_begin();
	cr_assert_eq(cede_run_workers(4, note_where, &arg), 0);
	cr_assert_eq(begun, 4);
	cr_assert_eq(ended, 4);
	cr_assert(pthread_equal(threads[0], pthread_self()));
	for (int i = 0; i < 4; i++) {
		cr_assert_not_null(loops[i]);
		for (int j = 0; j < i; j++) {
			cr_assert_neq(loops[i], loops[j]);
			cr_assert_not(pthread_equal(threads[i], threads[j]));
		}
	}
	leaks_end();
}

static int
count(void *arg)
{
	atomic_fetch_add(&begun, 1);
	return 0;
}

Test(workers, are_as_many_as_there_are_cores_if_nobody_says)
{
	cpu_set_t cores;

	leaks_begin();
	cr_assert_eq(sched_getaffinity(0, sizeof cores, &cores), 0);
	cr_assert_eq(cede_run_workers(0, count, NULL), 0);
	cr_assert_eq(begun, CPU_COUNT(&cores));
	leaks_end();
}

static int
run_inside(void *arg)
{
	cr_assert_eq(cede_run_workers(2, count, NULL), CEDE_EBUSY);
	cr_assert_eq(cede_worker_count(), 1);
	return 0;
}

Test(workers, are_refused_inside_a_loop_and_without_a_function)
{
	leaks_begin();
	cr_assert_eq(cede_worker_index(), 0);
	cr_assert_eq(cede_worker_count(), 1);
	cr_assert_eq(cede_run(run_inside, NULL), 0);
	cr_assert_eq(cede_run_workers(2, NULL, NULL), CEDE_EINVAL);
	cr_assert_eq(begun, 0);
	leaks_end();
}

static int
sleep_for_ever(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	atomic_fetch_add(&cancelled, r == CEDE_EXIT);
	return r;
}

/* One fails when all have begun; the others wait, in a child task too. */
static int
fail_one(void *arg)
{
	CEDE_GROUP(group);

	atomic_fetch_add(&begun, 1);
	if (cede_worker_index() != *(unsigned *)arg) {
		cr_assert_eq(cede_spawn(&group, sleep_for_ever, NULL), 0);
		return cede_group_wait(&group);
	}
	while (begun < 4)
		cr_assert_eq(cede_sleep(1), 0);
	return CEDE_EPIPE;
}

Test(workers, that_fail_cancel_the_others)
{
	leaks_begin();
	for (unsigned failing = 0; failing < 4; failing++) {
		begun = cancelled = 0;
		cr_assert_eq(cede_run_workers(4, fail_one, &failing), CEDE_EPIPE);
		cr_assert_eq(begun, 4);
		cr_assert_leq(cancelled, 3); /* a child may not have begun */
	}
	leaks_end();
}

static int
fail_at_once(void *arg)
{
	return cede_worker_index() == 1 ? CEDE_EPIPE : sleep_for_ever(NULL);
}

Test(workers, that_fail_at_once_cancel_those_that_have_not_begun)
{
	leaks_begin();
	for (int i = 0; i < 50; i++)
		cr_assert_eq(cede_run_workers(3, fail_at_once, NULL), CEDE_EPIPE);
	leaks_end();
}

static int
fail_all(void *arg)
{
	return -1000 - (int)cede_worker_index();
}

Test(workers, return_one_error_when_all_fail)
{
	leaks_begin();
	for (int i = 0; i < 20; i++) {
		const int r = cede_run_workers(4, fail_all, NULL);

		cr_assert(r <= -1000 && r > -1004, "%d", r);
	}
	leaks_end();
}

static int
cancel_oneself(void *arg)
{
	if (cede_worker_index() == 1) {
		cede_task_cancel(cede_task_current());
		return cede_sleep(1);
	}
	for (int i = 0; i < 20; i++)
		if (cede_sleep(1) < 0)
			return CEDE_EINVAL;
	atomic_fetch_add(&ended, 1);
	return 0;
}

Test(workers, that_are_cancelled_leave_the_others_alone)
{
	leaks_begin();
	cr_assert_eq(cede_run_workers(3, cancel_oneself, NULL), CEDE_ECANCELED);
	cr_assert_eq(ended, 2);
	leaks_end();
}

static atomic_int waiting;

static int
wait_for_a_signal(void *arg)
{
	cede_signal_t op;

	cr_assert_eq(cede_signal_start(SIGUSR1, &op), 0);
	atomic_fetch_add(&waiting, 1);
	if (cede_worker_index() == 2) {
		while (waiting < 3)
			cr_assert_eq(cede_sleep(1), 0);
		cr_assert_eq(kill(getpid(), SIGUSR1), 0);
	}
	return cede_await(&op.future) == SIGUSR1 ? 0 : CEDE_EINVAL;
}

Test(workers, all_get_a_signal_of_the_process)
{
	leaks_begin();
	for (int i = 0; i < 20; i++) {
		waiting = 0;
		cr_assert_eq(cede_run_workers(3, wait_for_a_signal, NULL), 0);
	}
	leaks_end();
}

static int
return_zero(void *arg)
{
	atomic_fetch_add(&begun, 1);
	return cede_sleep(0);
}

Test(workers, shortage_of_memory_anywhere_is_an_error)
{
	leaks_begin();
	fault_install();
	for (int mode = 0; mode < 2; mode++) {
		for (unsigned n = 1; n <= 60; n++) {
			unsigned failed;
			int r;

			begun = 0;
			fault_arm(n, mode ? FAULT_FOREVER : FAULT_ONCE);
			r = cede_run_workers(3, return_zero, NULL);
			failed = fault_disarm();
			cede__thread_cleanup();
			cr_assert_eq(cede__alloc_outstanding(), 0, "request %u", n);
			cr_assert_eq(leaks_count_fds(), leaks_fds, "request %u", n);
			if (r == 0)
				cr_assert_eq(begun, 3);
			else
				cr_assert(r == CEDE_ENOMEM && failed > 0, "request %u: %d", n, r);
		}
	}
	leaks_end();
}

/* No descriptor for a loop, not one: libuv 1.44 loses those it got before it fails. */
Test(workers, shortage_of_descriptors_begins_nothing)
{
	struct rlimit before, limit;
	int r;

	leaks_begin();
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = 3;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	r = cede_run_workers(3, return_zero, NULL);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_assert_eq(r, CEDE_EMFILE, "%d", r);
	cr_assert_eq(begun, 0);
	cr_assert_eq(cede_run_workers(3, return_zero, NULL), 0);
	cr_assert_eq(begun, 3);
	leaks_end();
}
