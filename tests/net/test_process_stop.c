/*
 * Ending children: the stop signal, the grace, SIGKILL; in a task that waits, in the
 * background, with the loop. On a clock that the test moves: a grace takes no time.
 */
#include "tests/net/child.h"

#include <sys/prctl.h>

#include "loop/process.h"
#include "tests/support/clock.h"

TestSuite(process_stop, .timeout = 60);

/* It ends by itself, some time after a test that has failed. */
#define STUBBORN "trap '' TERM INT; echo up; for i in 1 2 3 4 5 6 7 8 9; do sleep 1; done"

/* A child that ignores SIGTERM, and does so by now. */
static cede_process_t *
stubborn(void)
{
	cede_process_t *p = shell(STUBBORN);

	expect_line(p, "up");
	return p;
}

CHILD_TEST(process_stop, the_stop_signal_is_enough_for_most)
{
	cede_process_t *p = shell("exec sleep 30");

	cr_assert_eq(cede_process_stop(p), 0);
	expect_killed(p, SIGTERM);
	cr_assert_eq(cede_process_stop(p), 0); /* again is no error */
	cede_process_close(p);
}

CHILD_TEST(process_stop, who_ends_in_time_may_clean_up)
{
	cede_process_t *p = shell("trap 'sleep 0.1; exit 9' TERM; echo up; while :; do sleep "
				  "0.01; done");

	expect_line(p, "up");
	cr_assert_eq(cede_process_stop(p), 0);
	expect_exit(p, 9);
	cede_process_close(p);
}

CHILD_TEST(process_stop, who_ignores_it_is_killed_after_the_grace)
{
	cede_process_t *p = stubborn();
	int64_t before;

	clock_start();
	before = clock_ms();
	cr_assert_eq(cede_process_stop(p), 0);
	cr_assert_geq(clock_ms() - before, 5000);
	clock_stop();
	expect_killed(p, SIGKILL);
	cede_process_close(p);
}

/* Not one millisecond before: the kill is at 5,000 and what looks again at 6,000. */
CHILD_TEST(process_stop, who_ignores_it_is_not_killed_before_the_grace)
{
	cede_process_t *p = stubborn();
	cede_process_wait_t end;
	cede_sleep_t tick;

	clock_start();
	cede__process_begin_end(p);
	cr_assert_eq(cede_process_wait_start(p, &end), 0);
	cr_assert_eq(cede_sleep_start(4999, &tick), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &end.future, &tick.future }), 1);
	cr_assert_eq(cede_process_signal(p, 0), 0);
	cr_assert_eq(cede_sleep(1), 0);
	clock_stop();
	expect_killed(p, SIGKILL);
	cede_process_close(p);
}

CHILD_TEST(process_stop, the_signal_and_the_grace_are_options)
{
	cede_process_t *p;
	int64_t before;

	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .argv = SHELL_ARGS(
									   "trap '' INT; echo up; "
									   "while :; do sleep "
									   "0.01; done"),
						.out = { CEDE_PROCESS_PIPE, 0 },
						.stop_signal = SIGINT,
						.grace_ms = 100 },
			     &p),
		0);
	expect_line(p, "up");
	clock_start();
	before = clock_ms();
	cr_assert_eq(cede_process_stop(p), 0);
	cr_assert_geq(clock_ms() - before, 100);
	clock_stop();
	expect_killed(p, SIGKILL);
	cede_process_close(p);
}

CHILD_TEST(process_stop, sigkill_needs_no_grace)
{
	cede_process_t *p;

	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .argv = SHELL_ARGS(STUBBORN),
						.out = { CEDE_PROCESS_PIPE, 0 },
						.stop_signal = SIGKILL },
			     &p),
		0);
	expect_line(p, "up");
	cr_assert_eq(cede_process_stop(p), 0);
	expect_killed(p, SIGKILL);
	cede_process_close(p);
}

CHILD_TEST(process_stop, the_end_may_come_at_the_same_time)
{
	for (int i = 0; i < 100; i++) {
		cede_process_t *p = shell("exit 0");
		cede_process_status_t status;

		for (int n = 0; n < i * 1000; n++)
			__asm__ volatile("");
		cr_assert_eq(cede_process_stop(p), 0);
		cr_assert_eq(cede_process_wait(p, &status), 0);
		cr_assert(status.signal == SIGTERM || status.exit_code == 0);
		cede_process_close(p);
	}
}

CHILD_TEST(process_stop, one_that_has_ended_unseen_keeps_its_status)
{
	cede_process_t *p = shell("exit 8");

	await_zombie(p);
	cr_assert_eq(cede_process_stop(p), 0);
	expect_exit(p, 8);
	cede_process_close(p);
}

static int
stop_while_closing(void *arg)
{
	close_oneself();
	cr_assert_eq(cede_sleep(1), CEDE_EXIT);
	cr_assert_eq(cede_process_stop(arg), 0);
	expect_killed(arg, SIGKILL);
	return CEDE_EXIT;
}

CHILD_TEST(process_stop, works_in_a_task_that_is_being_closed)
{
	cede_process_t *p = stubborn();

	CEDE_GROUP(g);
	clock_start();
	cr_assert_eq(cede_spawn(&g, stop_while_closing, p), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	clock_stop();
	cede_process_close(p);
}

/* Cancelled in the middle of it: it goes on to its end, and the task with it. */
static int
stop_to_the_end(void *arg)
{
	cr_assert_eq(cede_process_stop(arg), 0);
	return cede_sleep(1);
}

CHILD_TEST(process_stop, goes_on_in_a_task_that_is_cancelled_meanwhile)
{
	cede_process_t *p = stubborn();
	cede_task_t *task;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, stop_to_the_end, p, NULL, &task), 0);
	let_others_run();
	cede_task_cancel(task);
	let_others_run();
	cr_assert_eq(cede_process_signal(p, 0), 0);
	clock_start();
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	clock_stop();
	cede_task_unref(task);
	expect_killed(p, SIGKILL);
	cede_process_close(p);
}

CHILD_TEST(process_stop, goes_on_when_the_time_of_its_scope_has_passed)
{
	cede_process_t *p = stubborn();

	clock_start();
	CEDE_TIMEOUT(10) {
		cr_assert_eq(cede_process_stop(p), 0);
	}
	clock_stop();
	expect_killed(p, SIGKILL);
	cede_process_close(p);
}

static int
stop_one(void *arg)
{
	cr_assert_eq(cede_process_stop(arg), 0);
	return 0;
}

CHILD_TEST(process_stop, several_tasks_may_stop_the_same)
{
	cede_process_t *p = stubborn();

	CEDE_GROUP(g);
	clock_start();
	for (int i = 0; i < 5; i++)
		cr_assert_eq(cede_spawn(&g, stop_one, p), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	clock_stop();
	cede_process_close(p);
}

static int
stop_until_closed(void *arg)
{
	cr_assert_eq(cede_process_stop(arg), CEDE_ECANCELED);
	return 0;
}

CHILD_TEST(process_stop, a_close_ends_the_stop_of_another)
{
	cede_process_t *p = stubborn();

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, stop_until_closed, p), 0);
	let_others_run();
	cede_process_close(p);
	cr_assert_eq(cede_group_wait(&g), 0);
	clock_start(); /* for the loop's end */
}

/* libuv would never hear of its end. */
CHILD_TEST(process_stop, one_that_somebody_else_reaps_ends_all_the_same)
{
	cede_process_t *p = shell("exit 6");

	cr_assert_eq(waitpid(cede_process_pid(p), NULL, 0), cede_process_pid(p));
	clock_start();
	cr_assert_eq(cede_process_stop(p), CEDE_ECHILD);
	cr_assert_eq(cede_process_wait(p, NULL), CEDE_ECHILD);
	clock_stop();
	cr_assert_eq(cede_process_signal(p, SIGTERM), CEDE_ESRCH);
	cede_process_close(p);
}

/* ---- a session ---- */

/* Orphans come to this process, so that their ends can be seen. */
static void
expect_grandchild_ends(int new_session, int is_ended)
{
	cede_process_t *p;
	char buffer[32] = "";
	int status, grandchild;

	cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .argv = SHELL_ARGS(
									   "sleep 30 & echo $!; "
									   "wait"),
						.out = { CEDE_PROCESS_PIPE, 0 },
						.new_session = new_session },
			     &p),
		0);
	cr_assert_gt(cede_read(cede_process_stdout(p), buffer, sizeof buffer - 1), 0);
	grandchild = atoi(buffer);
	cr_assert_gt(grandchild, 1);
	cr_assert_eq(getsid(cede_process_pid(p)) == cede_process_pid(p), new_session);
	cr_assert_eq(cede_process_stop(p), 0);
	if (!is_ended)
		cr_assert_eq(kill(grandchild, SIGUSR1), 0);
	cr_assert_eq(waitpid(grandchild, &status, 0), grandchild);
	cr_assert_eq(WTERMSIG(status), is_ended ? SIGTERM : SIGUSR1);
	cede_process_close(p);
}

CHILD_TEST(process_stop, a_session_is_ended_as_a_whole)
{
	expect_grandchild_ends(1, 1);
}

CHILD_TEST(process_stop, without_a_session_the_child_alone_is_ended)
{
	expect_grandchild_ends(0, 0);
}

/* ---- in the background ---- */

struct background {
	cede_fn *body;
	cede_process_t *process;
	int pid;
	int n_done;
};

static void
count_done(int result, void *data)
{
	struct background *b = data;

	cr_assert_eq(result, 0);
	b->n_done++;
}

static int
spawn_stubborn(void *arg)
{
	struct background *b = arg;

	b->process = stubborn();
	cede_close(cede_process_stdout(b->process)); /* it is armed, which keeps the loop */
	b->pid = cede_process_pid(b->process);
	return 0;
}

static int
spawn_kept(void *arg)
{
	struct background *b = arg;

	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .argv = SHELL_ARGS(STUBBORN),
						.out = { CEDE_PROCESS_PIPE, 0 },
						.keep = 1 },
			     &b->process),
		0);
	expect_line(b->process, "up");
	b->pid = cede_process_pid(b->process);
	return 0;
}

struct attached {
	uv_loop_t uv;
	cede_loop_t *loop;
	struct background b;
};

/* A host's loop, in which a task has spawned a child and is gone. */
static void
attached_open(struct attached *a, cede_fn *body)
{
	leaks_begin();
	*a = (struct attached){ .loop = NULL };
	cr_assert_eq(uv_loop_init(&a->uv), 0);
	cr_assert_eq(cede_attach(&a->loop, &a->uv, NULL), 0);
	cr_assert_eq(cede_start(a->loop, body, &a->b, count_done, &a->b), 0);
	while (a->b.n_done == 0)
		uv_run(&a->uv, UV_RUN_ONCE);
}

static void
attached_close(struct attached *a)
{
	cr_assert_eq(cede_detach(a->loop), 0);
	clock_stop();
	cr_assert_eq(uv_loop_close(&a->uv), 0);
	leaks_end();
}

Test(process_stop, a_child_that_nobody_waits_for_does_not_keep_the_loop)
{
	struct attached a;

	attached_open(&a, spawn_stubborn);
	uv_run(&a.uv, UV_RUN_DEFAULT); /* returns */
	cr_assert_eq(cede_process_signal(a.b.process, 0), 0);
	clock_start();
	attached_close(&a);
	expect_no_children();
}

Test(process_stop, a_child_that_was_closed_is_ended_before_the_loop)
{
	struct attached a;

	attached_open(&a, spawn_stubborn);
	clock_start();
	cede_process_close(a.b.process);
	uv_run(&a.uv, UV_RUN_DEFAULT);
	expect_no_children();
	attached_close(&a);
}

Test(process_stop, a_detach_waits_for_the_grace_of_what_was_closed)
{
	struct attached a;
	int64_t before;

	attached_open(&a, spawn_stubborn);
	clock_start();
	cede_process_close(a.b.process);
	before = clock_ms();
	cr_assert_eq(cede_detach(a.loop), 0);
	cr_assert_geq(clock_ms() - before, 5000);
	clock_stop();
	expect_no_children();
	cr_assert_eq(uv_loop_close(&a.uv), 0);
	leaks_end();
}

static void
end_by_hand(int pid)
{
	int status;

	cr_assert_eq(kill(pid, SIGKILL), 0); /* it lives */
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	expect_no_children();
}

Test(process_stop, one_that_may_live_on_outlives_its_close_and_the_loop)
{
	struct attached a;

	attached_open(&a, spawn_kept);
	cede_process_close(a.b.process);
	attached_close(&a);
	end_by_hand(a.b.pid);
}

Test(process_stop, one_that_may_live_on_outlives_the_loop_that_it_was_left_open_in)
{
	struct attached a;

	attached_open(&a, spawn_kept);
	attached_close(&a);
	end_by_hand(a.b.pid);
}

/* What a detach closes first decides what the child hears first: that it is to end, not that its pipes have. */
CHILD_TEST(process_stop, a_detach_asks_it_to_end_before_it_closes_its_pipes)
{
	cede_process_t *p = shell("exec sleep 30");
	int has_seen_process = 0;

	cede__list_each(link, &p->loop->resources) {
		has_seen_process |= link == &p->resource.link;
		if (link == &cede_process_stdout(p)->resource.link)
			cr_assert(has_seen_process);
	}
	cr_assert(has_seen_process);
	cede_process_close(p);
}

static void
never(uv_timer_t *timer)
{
	cr_assert_fail("a timer of a thousand seconds has fired");
}

/* It ends while the loop is there: no zombie. */
Test(process_stop, one_that_may_live_on_is_reaped_by_the_loop)
{
	struct attached a;
	siginfo_t info;
	uv_timer_t alive; /* as it does not keep the loop, something else must */

	attached_open(&a, spawn_kept);
	cr_assert_eq(uv_timer_init(&a.uv, &alive), 0);
	cr_assert_eq(uv_timer_start(&alive, never, 1000000, 0), 0);
	cede_process_close(a.b.process);
	cr_assert_eq(kill(a.b.pid, SIGKILL), 0);
	while (waitid(P_PID, (id_t)a.b.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
		uv_run(&a.uv, UV_RUN_NOWAIT);
	uv_close((uv_handle_t *)&alive, NULL);
	attached_close(&a);
	expect_no_children();
}

Test(process_stop, one_that_may_live_on_can_be_stopped)
{
	struct attached a;

	attached_open(&a, spawn_kept);
	clock_start();
	cr_assert_eq(cede_start(a.loop, stop_one, a.b.process, count_done, &a.b), 0);
	while (a.b.n_done < 2)
		uv_run(&a.uv, UV_RUN_ONCE);
	attached_close(&a);
	expect_no_children();
}

static cede_process_t *
sleeper(int keep)
{
	cede_process_t *p = NULL;

	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .argv = SHELL_ARGS(
									   "exec sleep 30"),
						.keep = keep },
			     &p),
		0);
	return p;
}

/* Both have ended, and the system tells of both at once: of the one that is waited for first. */
static int
wait_for_the_first_of_two_ends(void *arg)
{
	cede_process_t *ends = sleeper(0), *lives_on = sleeper(1);

	cr_assert_eq(cede_sleep(1000000), CEDE_EXIT);
	cr_assert_eq(cede_process_signal(ends, SIGKILL), 0);
	cr_assert_eq(cede_process_signal(lives_on, SIGKILL), 0);
	await_zombie(ends);
	await_zombie(lives_on);
	cede_process_close(lives_on);
	cr_assert_eq(cede_process_stop(ends), 0);
	cede_process_close(ends);
	return CEDE_EXIT;
}

static void
count_cancelled(int result, void *data)
{
	cr_assert_eq(result, CEDE_ECANCELED);
	++*(int *)data;
}

/* libuv has reaped both when the loop lets go of the second, in the callback of the first. */
Test(process_stop, one_that_may_live_on_may_end_while_the_loop_lets_go_of_it)
{
	struct attached a;
	int n_cancelled = 0;

	leaks_begin();
	a = (struct attached){ .loop = NULL };
	cr_assert_eq(uv_loop_init(&a.uv), 0);
	cr_assert_eq(cede_attach(&a.loop, &a.uv, NULL), 0);
	cr_assert_eq(cede_start(a.loop, wait_for_the_first_of_two_ends, NULL, count_cancelled,
			     &n_cancelled),
		0);
	uv_run(&a.uv, UV_RUN_NOWAIT);
	attached_close(&a);
	cr_assert_eq(n_cancelled, 1);
	expect_no_children();
}

Test(process_stop, outside_a_task_it_is_begun)
{
	struct attached a;

	attached_open(&a, spawn_stubborn);
	clock_start();
	cr_assert_eq(cede_process_stop(a.b.process), CEDE_ENOTASK);
	cr_assert_eq(cede_process_wait(a.b.process, NULL), CEDE_ENOTASK);
	uv_run(&a.uv, UV_RUN_DEFAULT);
	expect_no_children();
	attached_close(&a);
}

Test(process_stop, a_second_close_is_the_end_of_the_program, .signal = SIGABRT)
{
	struct attached a;

	attached_open(&a, spawn_kept);
	kill(a.b.pid, SIGKILL);
	cede_process_close(a.b.process);
	cede_process_close(a.b.process);
}
