/*
 * loop/loop.c: detaching in the turns that the host gives its loop.
 */
#include "tests/loop/host.h"

#include <signal.h>

#include "tests/support/fault.h"
#include "tests/support/order.h"

TestSuite(detach, .timeout = 20);

static void
detached(void *data)
{
	struct host *host = data;

	host->detached++;
	order_record("detached");
}

static void
ended(int result, void *data)
{
	done(result, data);
	order_record(result == CEDE_ECANCELED ? "cancelled" : "ended");
}

static int
sleep_for_ever(void *arg)
{
	return cede_sleep(UINT64_MAX);
}

static int has_begun;

static int
clean_up_slowly(void *arg)
{
	int r;

	has_begun = 1;
	r = cede_sleep(UINT64_MAX);
	CEDE_SHIELD(1000) {
		order_record(cede_sleep(52) == 0 ? "cleaned" : "?");
	}
	return r;
}

static void
detach_in_callback(uv_timer_t *timer)
{
	struct host *host = timer->data;

	if (host->n_ticks++ > 0) {
		uv_timer_stop(timer);
		return;
	}
	cr_assert_eq(cede_detach_start(host->loop, detached, host), 0);
	cr_assert_eq(host->n_done, 0, "no task runs inside the caller");
	cr_assert_eq(host->detached, 0);
}

static void
run_until_detached(struct host *host, size_t way)
{
	for (int n = 0; host->detached == 0 && n < 10000; n++)
		runners[way](&host->uv);
	cr_assert_eq(host->detached, 1);
}

Test(detach, inside_a_callback_of_the_host_in_every_way_to_run_a_loop)
{
	for (size_t i = 0; i < RUNNERS; i++) {
		struct host host;

		start_host(&host);
		cr_assert_eq(cede_start(host.loop, clean_up_slowly, NULL, ended, &host), 0);
		uv_timer_start(&host.timer, detach_in_callback, 5, 20);
		const int64_t before = clock_ms();

		run_until_detached(&host, i);
		order_expect("cleaned", "cancelled", "detached");
		cr_assert_eq(host.n_ticks, 2, "the host's timer goes on meanwhile");
		cr_assert_geq(clock_ms() - before, 57);
		cr_assert_leq(clock_ms() - before, 59);
		stop_host(&host);
	}
}

Test(detach, keeps_the_loop_alive_until_it_is_done)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, clean_up_slowly, NULL, ended, &host), 0);
	uv_run(&host.uv, UV_RUN_NOWAIT);
	cr_assert_eq(cede_detach_start(host.loop, detached, &host), 0);
	order_expect_nothing();
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
	order_expect("cleaned", "cancelled", "detached");
	stop_host(&host);
}

Test(detach, of_an_attachment_without_tasks_comes_from_the_loop_too)
{
	for (int has_run = 0; has_run < 2; has_run++) {
		struct host host;

		start_host(&host);
		if (has_run)
			uv_run(&host.uv, UV_RUN_DEFAULT);
		cr_assert_eq(cede_detach_start(host.loop, detached, &host), 0);
		cr_assert_eq(host.detached, 0);
		cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
		order_expect("detached");
		stop_host(&host);
	}
}

Test(detach, before_anything_ran_runs_nothing)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, clean_up_slowly, NULL, ended, &host), 0);
	cr_assert_eq(cede_detach_start(host.loop, detached, &host), 0);
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
	order_expect("cancelled", "detached");
	stop_host(&host);
}

Test(detach, need_not_be_told_about)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, sleep_for_ever, NULL, ended, &host), 0);
	cr_assert_eq(cede_detach_start(host.loop, NULL, NULL), 0);
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
	order_expect("cancelled");
	stop_host(&host);
}

static int
detach_inside(void *arg)
{
	struct host *host = arg;

	cr_assert_eq(cede_detach_start(host->loop, detached, host), 0);
	order_record("asked");
	return cede_sleep(0) == CEDE_EXIT ? CEDE_EXIT : CEDE_EINVAL;
}

Test(detach, inside_a_task_cancels_that_one_too)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, detach_inside, &host, ended, &host), 0);
	cr_assert_eq(cede_start(host.loop, sleep_for_ever, NULL, ended, &host), 0);
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
	order_expect("asked", "cancelled", "cancelled", "detached");
	stop_host(&host);
}

static void
ended_detach(int result, void *data)
{
	struct host *host = data;

	ended(result, data);
	cr_assert_eq(cede_detach_start(host->loop, detached, host), 0);
}

static int
sleep_a_little(void *arg)
{
	return cede_sleep(5);
}

/* The last task is over, yet a function of ours is on the C stack. */
Test(detach, inside_a_callback_that_tells_the_end_of_a_task)
{
	for (int others = 0; others < 2; others++) {
		struct host host;

		start_host(&host);
		cr_assert_eq(cede_start(host.loop, sleep_a_little, NULL, ended_detach, &host), 0);
		if (others)
			cr_assert_eq(cede_start(host.loop, sleep_for_ever, NULL, ended, &host), 0);
		cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
		if (others)
			order_expect("ended", "cancelled", "detached");
		else
			order_expect("ended", "detached");
		stop_host(&host);
	}
}

static int
ask_while_detaching(void *arg)
{
	struct host *host = arg;

	(void)!cede_sleep(UINT64_MAX);
	cr_assert_eq(cede_detach_start(host->loop, detached, host), CEDE_EALREADY);
	cr_assert_eq(cede_start(host->loop, sleep_for_ever, NULL, NULL, NULL), CEDE_ESHUTDOWN);
	order_record("refused");
	return CEDE_EXIT;
}

Test(detach, is_begun_once)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_detach_start(NULL, detached, &host), CEDE_EINVAL);
	cr_assert_eq(cede_start(host.loop, ask_while_detaching, &host, ended, &host), 0);
	uv_run(&host.uv, UV_RUN_NOWAIT);
	cr_assert_eq(cede_detach_start(host.loop, detached, &host), 0);
	cr_assert_eq(cede_detach_start(host.loop, detached, &host), CEDE_EALREADY);
	cr_assert_eq(cede_detach(host.loop), CEDE_EDEADLK);
	cr_assert_eq(cede_start(host.loop, sleep_for_ever, NULL, NULL, NULL), CEDE_ESHUTDOWN);
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
	order_expect("refused", "cancelled", "detached");
	stop_host(&host);
}

/* Another attachment to the same loop is not touched. */
Test(detach, of_one_of_two_on_a_loop)
{
	struct host host;
	cede_loop_t *second;

	start_host(&host);
	cr_assert_eq(cede_attach(&second, &host.uv, NULL), 0);
	cr_assert_eq(cede_start(second, clean_up_slowly, NULL, ended, &host), 0);
	cr_assert_eq(cede_start(host.loop, sleep_a_little, NULL, ended_detach, &host), 0);
	for (int n = 0; host.detached == 0 && n < 100; n++)
		run_once(&host.uv);
	order_expect("ended", "detached");
	cr_assert_eq(cede_start(second, sleep_a_little, NULL, ended, &host), 0, "it goes on");
	while (host.n_done < 2)
		run_once(&host.uv);
	order_expect("ended");
	cr_assert_eq(cede_detach(second), 0);
	order_expect("cleaned", "cancelled");
	stop_host(&host);
}

static void
attach_again(void *data)
{
	struct host *host = data;

	detached(data);
	cr_assert_eq(cede_attach(&host->loop, &host->uv, NULL), 0);
	cr_assert_eq(cede_start(host->loop, sleep_a_little, NULL, ended, host), 0);
}

Test(detach, may_be_followed_by_an_attach_in_its_callback)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_detach_start(host.loop, attach_again, &host), 0);
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
	order_expect("detached", "ended");
	cr_assert_eq(cede_detach(host.loop), 0);
	stop_host(&host);
}

static int
ignore_the_end(void *arg)
{
	for (;;)
		(void)!cede_sleep(1000);
	return 0;
}

Test(detach, ends_those_who_ignore_it)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, ignore_the_end, NULL, done, &host), 0);
	uv_run(&host.uv, UV_RUN_NOWAIT);
	hear_start();
	cr_assert_eq(cede_detach_start(host.loop, detached, &host), 0);
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
	cr_assert_eq(hear_end("ignored GeneratorExit"), 1);
	cr_assert_eq(host.result, CEDE_EIGNORED);
	order_expect("detached");
	stop_host(&host);
}

static int
answer(void *arg)
{
	return 5;
}

static int
use_everything(void *arg)
{
	CEDE_GROUP(group);
	cede_promised_t promised;
	cede_promise_t *promise;
	cede_signal_t signals[2];
	cede_work_t work;

	cr_assert_eq(cede_work_start(answer, NULL, NULL, &work), 0);
	cr_assert_eq(cede_promise_create(&promised, NULL, &promise), 0);
	cr_assert_eq(cede_promise_resolve(promise, 3, NULL), 0);
	cr_assert_eq(cede_signal_start(SIGUSR1, &signals[0]), 0);
	cr_assert_eq(cede_signal_start(SIGUSR2, &signals[1]), 0);
	cr_assert_eq(cede_spawn(&group, clean_up_slowly, NULL), 0);
	cr_assert_eq(cede_spawn(&group, sleep_for_ever, NULL), 0);
	CEDE_TIMEOUT(1000000) {
		(void)!cede_wait_all(4,
			(cede_future_t *[]){ &signals[0].future, &signals[1].future,
				&promised.future, &work.future });
	}
	return cede_group_wait(&group);
}

static void
detach_once(uv_timer_t *timer)
{
	struct host *host = timer->data;

	cr_assert_eq(cede_detach_start(host->loop, detached, host), 0);
}

/* A function is in the pool's hands, a promise, signals, timers and a shield are under way. */
Test(detach, at_any_time_waits_for_all_that_libuv_has)
{
	for (unsigned ms = 0; ms < 20; ms++) {
		struct host host;

		start_host(&host);
		has_begun = 0;
		cr_assert_eq(cede_start(host.loop, use_everything, NULL, done, &host), 0);
		uv_timer_start(&host.timer, detach_once, ms, 0);
		while (host.detached == 0)
			run_nowait(&host.uv);
		cr_assert_eq(host.result, CEDE_ECANCELED);
		cr_assert_eq(uv_loop_alive(&host.uv), 0);
		if (has_begun)
			order_expect("cleaned", "detached");
		else
			order_expect("detached");
		stop_host(&host);
	}
}

static void
called_late(void *arg)
{
	order_record("called");
}

/* What other threads sent before is delivered, what comes later is refused. */
Test(detach, delivers_what_was_sent_before)
{
	struct host host;
	cede_remote_t *remote;

	start_host(&host);
	remote = cede_loop_remote(host.loop);
	cr_assert_not_null(remote);
	cr_assert_eq(cede_remote_call(remote, called_late, NULL), 0);
	cr_assert_eq(cede_detach_start(host.loop, detached, &host), 0);
	order_expect_nothing();
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
	order_expect("called", "detached");
	cr_assert_eq(cede_remote_call(remote, called_late, NULL), CEDE_ESHUTDOWN);
	cede_remote_unref(remote);
	stop_host(&host);
}

Test(detach, needs_no_memory)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_detach(host.loop), 0);
	cede__thread_cleanup(); /* no block may be out */
	fault_install();
	cr_assert_eq(cede_attach(&host.loop, &host.uv, NULL), 0);
	cr_assert_eq(cede_start(host.loop, use_everything, NULL, done, &host), 0);
	for (int n = 0; n < 10; n++)
		run_nowait(&host.uv);
	fault_arm(1, FAULT_FOREVER);
	cr_assert_eq(cede_detach_start(host.loop, detached, &host), 0);
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
	fault_disarm();
	cr_assert_eq(host.result, CEDE_ECANCELED);
	cr_assert_eq(host.detached, 1);
	stop_host(&host);
}

static int
detach_what_runs_it(void *arg)
{
	cr_assert_eq(cede_detach_start(cede_loop_current(), detached, NULL), CEDE_EPERM);
	return cede_sleep(1);
}

Test(detach, is_refused_where_cede_run_has_the_loop)
{
	cr_assert_eq(run_gated(detach_what_runs_it, NULL), 0);
}
