/* Child processes: waiting, signals, closing, many at once; loop/process.c. */
#include "tests/net/child.h"

TestSuite(process, .timeout = 60);

/* ---- the end ---- */

CHILD_TEST(process, says_how_it_exited)
{
	cede_process_t *p = shell("exit 7");

	expect_exit(p, 7);
	expect_exit(p, 7); /* and again */
	cede_process_close(p);
}

CHILD_TEST(process, says_which_signal_killed_it)
{
	cede_process_t *p = shell("kill -9 $$");

	expect_killed(p, SIGKILL);
	expect_killed(p, SIGKILL);
	cede_process_close(p);
}

CHILD_TEST(process, may_be_waited_for_without_a_status)
{
	cede_process_t *p = shell("exit 0");

	cr_assert_eq(cede_process_wait(p, NULL), 0);
	cede_process_close(p);
}

static int
expect_three(void *arg)
{
	expect_exit(arg, 3);
	return 0;
}

CHILD_TEST(process, may_be_waited_for_by_many)
{
	cede_process_t *p = shell("echo up; read line; exit 3");

	CEDE_GROUP(g);
	expect_line(p, "up");
	for (int i = 0; i < 10; i++)
		cr_assert_eq(cede_spawn(&g, expect_three, p), 0);
	let_others_run();
	cr_assert_eq(cede_group_wait(&g), 0);
	cede_process_close(p);
}

static int
wait_in_vain(void *arg)
{
	int r = cede_process_wait(arg, NULL);

	cr_assert_eq(r, CEDE_EXIT);
	return r;
}

static int
wait_until_closed(void *arg)
{
	cr_assert_eq(cede_process_wait(arg, NULL), CEDE_ECANCELED);
	return 0;
}

/* Out of the middle of those who wait; the others go on. */
CHILD_TEST(process, a_wait_that_is_cancelled_leaves_the_others)
{
	cede_process_t *p = shell("exec sleep 30");
	cede_process_wait_t first, second, third;

	cr_assert_eq(cede_process_wait_start(p, &first), 0);
	cr_assert_eq(cede_process_wait_start(p, &second), 0);
	cr_assert_eq(cede_process_wait_start(p, &third), 0);
	cede_future_cancel(&second.future);
	cede_future_cancel(&first.future);
	cr_assert_eq(first.future.result, CEDE_ECANCELED);
	cr_assert_eq(cede_process_signal(p, SIGUSR1), 0);
	cr_assert_eq(cede_await(&third.future), 0);
	cr_assert_eq(third.status.signal, SIGUSR1);
	cede_process_close(p);
}

CHILD_TEST(process, takes_part_in_a_select_with_a_timeout)
{
	cede_process_t *p = shell("exec sleep 30");
	cede_process_wait_t end;
	cede_sleep_t tick;

	cr_assert_eq(cede_process_wait_start(p, &end), 0);
	cr_assert_eq(cede_sleep_start(10, &tick), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &end.future, &tick.future }), 1);
	cr_assert_eq(end.future.result, CEDE_ECANCELED);
	cr_assert_eq(cede_process_signal(p, 0), 0); /* it goes on */

	cr_assert_eq(cede_process_wait_start(p, &end), 0);
	cr_assert_eq(cede_sleep_start(100000, &tick), 0);
	cr_assert_eq(cede_process_signal(p, SIGTERM), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &end.future, &tick.future }), 0);
	cr_assert_eq(end.status.signal, SIGTERM);
	cede_process_close(p);
}

CHILD_TEST(process, a_timeout_gives_up_the_wait_and_nothing_else)
{
	cede_process_t *p = shell("exec sleep 30");

	CEDE_TIMEOUT(10) {
		cr_assert_eq(cede_process_wait(p, NULL), CEDE_ETIMEDOUT);
	}
	cr_assert_eq(cede_process_signal(p, 0), 0);
	cede_process_close(p);
}

CHILD_TEST(process, a_cancel_gives_up_the_wait_and_nothing_else)
{
	cede_process_t *p = shell("exec sleep 30");
	cede_task_t *task;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, wait_in_vain, p, NULL, &task), 0);
	let_others_run();
	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cede_task_unref(task);
	cr_assert_eq(cede_process_signal(p, 0), 0);
	cede_process_close(p);
}

static int
wait_while_closing(void *arg)
{
	close_oneself();
	expect_exit(arg, 0); /* completed beats cancelled */
	return CEDE_EXIT;
}

CHILD_TEST(process, an_end_is_told_in_a_task_that_is_being_closed)
{
	cede_process_t *p = shell("exit 0");

	CEDE_GROUP(g);
	expect_exit(p, 0);
	cr_assert_eq(cede_spawn(&g, wait_while_closing, p), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cede_process_close(p);
}

/* ---- signals ---- */

CHILD_TEST(process, gets_signals)
{
	cede_process_t *p = shell("trap 'echo usr; exit 4' USR1; echo up; while :; do sleep 0.01; "
				  "done");

	expect_line(p, "up");
	cr_assert_eq(cede_process_signal(p, 0), 0);
	cr_assert_eq(cede_process_signal(p, 1000), CEDE_EINVAL);
	cr_assert_eq(cede_process_signal(p, SIGUSR1), 0);
	expect_line(p, "usr");
	expect_exit(p, 4);
	cr_assert_eq(cede_process_signal(p, SIGUSR1), CEDE_ESRCH);
	cr_assert_eq(cede_process_signal(p, 0), CEDE_ESRCH);
	cede_process_close(p);
}

CHILD_TEST(process, one_that_has_ended_unseen_gets_none)
{
	cede_process_t *p = shell("exit 6");

	await_zombie(p);
	cr_assert_eq(cede_process_signal(p, SIGKILL), CEDE_ESRCH);
	cr_assert_eq(cede_process_signal(p, 0), CEDE_ESRCH);
	expect_exit(p, 6);
	cede_process_close(p);
}

CHILD_TEST(process, one_that_somebody_else_has_reaped_gets_none)
{
	cede_process_t *p = shell("exit 6");

	cr_assert_eq(waitpid(cede_process_pid(p), NULL, 0), cede_process_pid(p));
	cr_assert_eq(cede_process_signal(p, SIGKILL), CEDE_ECHILD);
	cede_process_close(p); /* and the loop ends all the same: after the grace */
}

/* ---- a close ---- */

CHILD_TEST(process, no_process_may_be_closed)
{
	cede_process_close(NULL);
}

CHILD_TEST(process, a_close_ends_the_waits_of_others)
{
	cede_process_t *p = shell("exec sleep 30");

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, wait_until_closed, p), 0);
	cr_assert_eq(cede_spawn(&g, wait_until_closed, p), 0);
	let_others_run();
	cede_process_close(p);
	cr_assert_eq(cede_group_wait(&g), 0);
}

/* Whether it is still starting, running, a zombie, or reaped. */
CHILD_TEST(process, a_close_at_any_time_leaves_nothing)
{
	for (int i = 0; i < 50; i++) {
		cede_process_t *p = shell(i % 2 ? "exit 0" : "exec sleep 30");

		if (i % 4 == 1)
			await_zombie(p);
		if (i % 4 == 3)
			expect_exit(p, 0);
		if (i % 8 == 4)
			cr_assert_eq(cede_process_signal(p, SIGTERM), 0);
		if (i % 3 == 0)
			let_others_run();
		cede_process_close(p);
	}
}

CHILD_TEST(process, one_that_is_left_open_is_ended_with_the_loop)
{
	(void)shell("exec sleep 30");
	(void)shell("exit 0");
}

/* ---- many ---- */

static int
run_one(void *arg)
{
	cede_process_t *p = shell("read line; echo done");

	expect_line(p, "done");
	expect_exit(p, 0);
	cede_process_close(p);
	return 0;
}

CHILD_TEST(process, two_hundred_at_once_are_told_apart)
{
	CEDE_GROUP(g);

	for (int i = 0; i < 200; i++)
		cr_assert_eq(cede_spawn(&g, run_one, NULL), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
}

static int
run_for_long(void *arg)
{
	cede_process_t *p = shell("exec sleep 30");
	int r = cede_process_wait(p, NULL);

	cr_assert_eq(r, CEDE_EXIT);
	cr_assert_eq(cede_process_stop(p), 0);
	expect_killed(p, SIGTERM);
	cede_process_close(p);
	++*(int *)arg;
	return r;
}

CHILD_TEST(process, a_group_that_is_cancelled_ends_the_child_of_each_task)
{
	int ended = 0;

	CEDE_GROUP(g);
	for (int i = 0; i < 20; i++)
		cr_assert_eq(cede_spawn(&g, run_for_long, &ended), 0);
	let_others_run();
	cede_group_cancel(&g);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(ended, 20);
}

static int
run_some(void *arg)
{
	for (int i = 0; i < 30; i++)
		run_one(NULL);
	return 0;
}

static void *
run_a_loop(void *arg)
{
	cr_assert_eq(cede_run(run_some, NULL), 0);
	cede__thread_cleanup();
	return NULL;
}

/* SIGCHLD is for all of them: each reaps its own children, and no other's. */
Test(process, loops_in_two_threads_do_not_get_into_each_other)
{
	pthread_t thread;

	leaks_begin();
	thread = peer_start(run_a_loop, NULL);
	cr_assert_eq(cede_run(run_some, NULL), 0);
	peer_join(thread);
	leaks_end();
	expect_no_children();
}
