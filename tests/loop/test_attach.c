/*
 * loop/loop.c: attached to a loop that a host owns and runs in its own way, and
 * detached from it.
 */
#include "tests/loop/host.h"

#include "loop/task_int.h"
#include "tests/support/order.h"

TestSuite(attach, .timeout = 20);

static int
sleep_and_join(void *arg)
{
	CEDE_GROUP(group);

	for (int i = 0; i < 5; i++)
		if (cede_sleep(7) < 0 || cede_sleep(0) < 0)
			return CEDE_EINVAL;
	return cede_group_wait(&group);
}

Test(attach, works_in_every_way_to_run_a_loop_beside_the_hosts_own_timers)
{
	for (size_t i = 0; i < RUNNERS; i++) {
		struct host host;

		start_host(&host);
		const int64_t before = clock_ms();

		host.max_ticks = 10;
		uv_timer_start(&host.timer, tick, 5, 5);
		cr_assert_eq(cede_start(host.loop, sleep_and_join, NULL, done, &host), 0);
		while (host.n_done == 0)
			runners[i](&host.uv);
		cr_assert_eq(host.result, 0);
		cr_assert_geq(clock_ms() - before, 35);
		while (host.n_ticks < 10)
			runners[i](&host.uv);
		cr_assert_geq(clock_ms() - before, 50);
		cr_assert_leq(clock_ms() - before, 52);
		cr_assert_eq(cede_detach(host.loop), 0);
		stop_host(&host);
	}
}

static int
await_hosts(void *arg)
{
	struct host *host = arg;

	return cede_await(&host->future) == 7 ? 0 : CEDE_EINVAL;
}

static void
resolve_in_callback(uv_timer_t *timer)
{
	struct host *host = timer->data;

	cr_assert_eq(cede_future_resolve(&host->future, 7, NULL), 0);
	cr_assert_eq(host->n_done, 0, "nothing runs inside the resolve");
}

/* Before the loop runs, inside a callback of the host's, and between two runs. */
Test(attach, takes_what_the_host_resolves_before_inside_and_outside_a_run)
{
	for (size_t i = 0; i < RUNNERS * 3; i++) {
		struct host host;

		start_host(&host);
		cr_assert_eq(cede_start(host.loop, await_hosts, &host, done, &host), 0);
		if (i % 3 == 0)
			cr_assert_eq(cede_future_resolve(&host.future, 7, NULL), 0);
		if (i % 3 == 1)
			uv_timer_start(&host.timer, resolve_in_callback, 5, 0);
		if (i % 3 == 2) {
			runners[i / 3](&host.uv);
			cr_assert_eq(host.n_done, 0);
			cr_assert_eq(cede_future_resolve(&host.future, 7, NULL), 0);
			cr_assert_eq(host.n_done, 0);
			cr_assert_eq(uv_backend_timeout(&host.uv), 0, "the host need not wait");
		}
		while (host.n_done == 0)
			runners[i / 3](&host.uv);
		cr_assert_eq(host.result, 0);
		cr_assert_eq(cede_detach(host.loop), 0);
		stop_host(&host);
	}
}

Test(attach, runs_what_a_callback_made_ready_in_the_same_turn)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, await_hosts, &host, done, &host), 0);
	uv_run(&host.uv, UV_RUN_NOWAIT);
	uv_timer_start(&host.timer, resolve_in_callback, 0, 0);
	uv_run(&host.uv, UV_RUN_NOWAIT);
	cr_assert_eq(host.n_done, 1);
	cr_assert_eq(cede_detach(host.loop), 0);
	stop_host(&host);
}

Test(attach, keeps_the_host_alive_for_what_tasks_wait_for_only)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(uv_loop_alive(&host.uv), 0, "an attachment alone does not");
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);

	cr_assert_eq(cede_start(host.loop, await_hosts, &host, done, &host), 0);
	cr_assert_neq(uv_loop_alive(&host.uv), 0, "a ready task does");
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0, "a future is no handle of libuv's");
	cr_assert_eq(host.n_done, 0);

	cr_assert_eq(cede_start(host.loop, sleep_and_join, NULL, done, &host), 0);
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0, "a sleep does, until it is over");
	cr_assert_eq(host.n_done, 1);
	cr_assert_eq(cede_detach(host.loop), 0);
	cr_assert_eq(host.n_done, 2);
	cr_assert_eq(host.result, CEDE_EINVAL);
	stop_host(&host);
}

Test(attach, refuses_nothing_to_attach_to)
{
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	cr_assert_eq(cede_attach(NULL, &uv, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_attach(&loop, NULL, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_detach(NULL), 0);
	leaks_end();
}

Test(attach, leaves_sigpipe_alone_when_told_to)
{
	cede_loop_options_t options = { .keep_sigpipe = 1 };
	struct sigaction now;
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	signal(SIGPIPE, SIG_DFL);
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, &options), 0);
	cr_assert_eq(sigaction(SIGPIPE, NULL, &now), 0);
	cr_assert_eq(now.sa_handler, SIG_DFL);
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}

/* Two on one loop of the host's: they share nothing else, and go one by one. */
Test(attach, twice_to_one_loop)
{
	struct host host;
	cede_loop_t *second;
	int result = 1;

	start_host(&host);
	cr_assert_eq(cede_attach(&second, &host.uv, NULL), 0);
	cr_assert_eq(cede_start(host.loop, sleep_and_join, NULL, done, &host), 0);
	cr_assert_eq(cede_start(second, await_hosts, &host, NULL, NULL), 0);
	uv_run(&host.uv, UV_RUN_NOWAIT);
	cr_assert_eq(cede_detach(second), 0);
	cr_assert_eq(host.n_done, 0, "the other's tasks are not touched");
	uv_run(&host.uv, UV_RUN_DEFAULT);
	cr_assert_eq(host.result, 0);
	cr_assert_eq(result, 1);
	cr_assert_eq(cede_detach(host.loop), 0);
	stop_host(&host);
}

Test(attach, to_two_loops)
{
	struct host hosts[2];
	int n = 0;

	start_host(&hosts[0]);
	hosts[1] = (struct host){ .result = 1 };
	cr_assert_eq(uv_loop_init(&hosts[1].uv), 0);
	cr_assert_eq(cede_attach(&hosts[1].loop, &hosts[1].uv, NULL), 0);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(cede_start(hosts[i].loop, sleep_and_join, NULL, done, &hosts[i]), 0);
	while (n++ < 1000 && hosts[0].n_done + hosts[1].n_done < 2) {
		run_nowait(&hosts[0].uv);
		run_nowait(&hosts[1].uv);
	}
	cr_assert_eq(hosts[0].result, 0);
	cr_assert_eq(hosts[1].result, 0);
	cr_assert_eq(cede_detach(hosts[1].loop), 0);
	cr_assert_eq(uv_loop_close(&hosts[1].uv), 0);
	cr_assert_eq(cede_detach(hosts[0].loop), 0);
	stop_host(&hosts[0]);
}

static int
clean_up_slowly(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	CEDE_SHIELD(1000) {
		order_record(cede_sleep(52) == 0 ? "cleaned" : "?");
	}
	return r;
}

static int
hold_a_group(void *arg)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, clean_up_slowly, NULL), 0);
	cr_assert_eq(cede_spawn(&group, clean_up_slowly, NULL), 0);
	int r = cede_group_wait(&group);

	order_record("holder");
	return r;
}

Test(attach, detached_cancels_and_waits_while_the_host_goes_on)
{
	struct host host;

	start_host(&host);
	uv_timer_start(&host.timer, tick, 10, 10);
	cr_assert_eq(cede_start(host.loop, hold_a_group, NULL, done, &host), 0);
	uv_run(&host.uv, UV_RUN_NOWAIT);
	const int64_t before = clock_ms();

	cr_assert_eq(cede_detach(host.loop), 0);
	order_expect("cleaned", "cleaned", "holder");
	cr_assert_eq(host.result, CEDE_ECANCELED);
	cr_assert_eq(clock_ms() - before, 52);
	cr_assert_eq(host.n_ticks, 5, "the host's own timer has run meanwhile");
	stop_host(&host);
}

Test(attach, detached_before_anything_ran_runs_nothing)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, hold_a_group, NULL, done, &host), 0);
	cr_assert_eq(cede_detach(host.loop), 0);
	order_expect_nothing();
	cr_assert_eq(host.result, CEDE_ECANCELED);
	stop_host(&host);
}

static int
spawn_in_cleanup(void *arg)
{
	CEDE_GROUP(group);
	struct host *host = arg;

	(void)!cede_sleep(UINT64_MAX);
	cr_assert_eq(cede_spawn(&group, hold_a_group, NULL), CEDE_ESHUTDOWN);
	cr_assert_eq(cede_start(host->loop, hold_a_group, NULL, NULL, NULL), CEDE_ESHUTDOWN);
	return CEDE_EXIT;
}

Test(attach, detached_takes_no_more_tasks)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, spawn_in_cleanup, &host, done, &host), 0);
	uv_run(&host.uv, UV_RUN_NOWAIT);
	cr_assert_eq(cede_detach(host.loop), 0);
	cr_assert_eq(host.result, CEDE_ECANCELED);
	stop_host(&host);
}

static int
detach_inside(void *arg)
{
	struct host *host = arg;

	host->detached = cede_detach(host->loop);
	return 0;
}

static void
detach_when_done(int result, void *data)
{
	detach_inside(data);
}

Test(attach, is_not_detached_inside_a_task_or_a_callback_of_a_task)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, detach_inside, &host, NULL, NULL), 0);
	uv_run(&host.uv, UV_RUN_DEFAULT);
	cr_assert_eq(host.detached, CEDE_EDEADLK);
	host.detached = 0;
	cr_assert_eq(cede_start(host.loop, sleep_and_join, NULL, detach_when_done, &host), 0);
	uv_run(&host.uv, UV_RUN_DEFAULT);
	cr_assert_eq(host.detached, CEDE_EDEADLK);
	cr_assert_eq(cede_detach(host.loop), 0);
	stop_host(&host);
}

static int
be_busy(void *arg)
{
	unsigned long *n = arg;

	while (cede_sleep(0) == 0)
		++*n;
	return CEDE_EXIT;
}

/* A host that gives us a turn gets it back, however busy its tasks are. */
Test(attach, gives_the_host_its_turn_back)
{
	static unsigned long n;
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, be_busy, &n, NULL, NULL), 0);
	for (unsigned long turn = 1; turn <= 10; turn++) {
		cr_assert_neq(uv_run(&host.uv, UV_RUN_NOWAIT), 0);
		cr_assert_leq(n, turn * 2 * CEDE__LOOP_BUDGET);
		cr_assert_eq(uv_backend_timeout(&host.uv), 0);
	}
	cr_assert_eq(cede_detach(host.loop), 0);
	stop_host(&host);
}

static int
use_everything(void *arg)
{
	CEDE_GROUP(group);
	cede_signal_t signals[2];
	cede_sleep_t tick;

	cr_assert_eq(cede_signal_start(SIGUSR1, &signals[0]), 0);
	cr_assert_eq(cede_signal_start(SIGUSR2, &signals[1]), 0);
	cr_assert_eq(cede_sleep_start(5, &tick), 0);
	cr_assert_eq(cede_spawn(&group, clean_up_slowly, NULL), 0);
	CEDE_TIMEOUT(1000000) {
		int r = cede_select(3,
			(cede_future_t *[]){ &signals[0].future, &signals[1].future,
				&tick.future });

		cr_assert(r == 2 || r == CEDE_EXIT);
	}
	return cede_group_wait(&group);
}

/* Detached at every millisecond of a life, and attached again. */
Test(attach, may_come_and_go_at_any_time)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_detach(host.loop), 0);
	for (int ms = 0; ms < 80; ms++) {
		cr_assert_eq(cede_attach(&host.loop, &host.uv, NULL), 0);
		cr_assert_eq(cede_start(host.loop, use_everything, NULL, done, &host), 0);
		for (int i = 0; i < ms; i++)
			run_nowait(&host.uv);
		cr_assert_eq(cede_detach(host.loop), 0);
		cr_assert_eq(host.n_done, ms + 1);
		cr_assert_eq(host.result, CEDE_ECANCELED);
		cr_assert_eq(uv_loop_alive(&host.uv), 0);
		if (ms > 0)
			order_expect("cleaned");
	}
	stop_host(&host);
}

static void
attach_and_start(uv_timer_t *timer)
{
	struct host *host = timer->data;

	cr_assert_eq(cede_attach(&host->loop, timer->loop, NULL), 0);
	cr_assert_eq(cede_start(host->loop, sleep_and_join, NULL, done, host), 0);
	cr_assert_eq(host->n_done, 0, "nothing runs inside the start");
}

Test(attach, inside_a_callback_of_a_loop_that_runs)
{
	for (size_t i = 0; i < RUNNERS; i++) {
		struct host host;

		start_host(&host);
		cr_assert_eq(cede_detach(host.loop), 0);
		uv_timer_start(&host.timer, attach_and_start, 5, 0);
		while (host.n_done == 0)
			runners[i](&host.uv);
		cr_assert_eq(host.result, 0);
		cr_assert_eq(cede_detach(host.loop), 0);
		stop_host(&host);
	}
}

static void
start_in_callback(uv_timer_t *timer)
{
	struct host *host = timer->data;

	cr_assert_eq(cede_start(host->loop, await_hosts, host, done, host), 0);
	cr_assert_eq(cede_future_resolve(&host->future, 7, NULL), 0);
	cr_assert_eq(host->n_done, 0);
}

/* The idle handle takes it up: in the next turn, for the timers' phase is before it. */
Test(attach, runs_what_the_host_starts_in_its_callback_without_waiting)
{
	struct host host;

	start_host(&host);
	uv_timer_start(&host.timer, start_in_callback, 5, 0);
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
	cr_assert_eq(host.n_done, 1);
	cr_assert_eq(host.result, 0);
	cr_assert_eq(cede_detach(host.loop), 0);
	stop_host(&host);
}

static int
answer(void *arg)
{
	return 5;
}

/* Leaves one of each handle that the library keeps behind. */
static int
use_what_is_kept(void *arg)
{
	cede_promised_t promised;
	cede_promise_t *promise;
	cede_signal_t signals[2];

	cr_assert_eq(cede_work(answer, NULL), 5);
	cr_assert_eq(cede_promise_create(&promised, NULL, &promise), 0);
	cr_assert_eq(cede_promise_resolve(promise, 3, NULL), 0);
	cr_assert_eq(cede_await(&promised.future), 3);
	cr_assert_eq(cede_signal_start(SIGUSR1, &signals[0]), 0);
	cr_assert_eq(cede_signal_start(SIGUSR2, &signals[1]), 0);
	cede_future_cancel(&signals[1].future);
	raise(SIGUSR1);
	cr_assert_eq(cede_await(&signals[0].future), SIGUSR1);
	CEDE_TIMEOUT(1000) {
		cr_assert_eq(cede_sleep(1), 0);
	}
	return 0;
}

Test(attach, lets_the_host_exit_when_only_its_own_handles_are_left)
{
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, use_what_is_kept, NULL, done, &host), 0);
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
	cr_assert_eq(host.n_done, 1);
	cr_assert_eq(host.result, 0);
	cr_assert_eq(uv_loop_alive(&host.uv), 0);
	cr_assert_eq(uv_backend_timeout(&host.uv), 0);
	cr_assert_eq(cede_detach(host.loop), 0);
	stop_host(&host);
}

static int
sleep_a_little(void *arg)
{
	return cede_sleep(5);
}

Test(attach, a_join_outside_all_tasks_is_refused_and_leaves_nothing_behind)
{
	struct host host;
	cede_task_t *task;

	start_host(&host);
	cr_assert_eq(cede_start_with(host.loop, sleep_a_little, NULL, NULL, done, &host, &task), 0);
	cr_assert_eq(cede_join(task, NULL), CEDE_ENOTASK);
	cr_assert_null(task->joins);
	uv_run(&host.uv, UV_RUN_DEFAULT);
	cr_assert_eq(host.n_done, 1);
	cr_assert_eq(cede_join(task, NULL), 0, "it has ended");
	cede_task_unref(task);
	cr_assert_eq(cede_detach(host.loop), 0);
	stop_host(&host);
}

static int
record(void *arg)
{
	order_record(arg);
	return 0;
}

Test(attach, an_eager_start_runs_that_task_and_no_other)
{
	static char plain[] = "plain", eager[] = "eager";
	const cede_spawn_options_t options = { .is_eager = 1 };
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start(host.loop, record, plain, done, &host), 0);
	cr_assert_eq(cede_start_with(host.loop, record, eager, &options, done, &host, NULL), 0);
	order_expect("eager");
	cr_assert_eq(host.n_done, 1);
	uv_run(&host.uv, UV_RUN_DEFAULT);
	order_expect("plain");
	cr_assert_eq(host.n_done, 2);
	cr_assert_eq(cede_detach(host.loop), 0);
	stop_host(&host);
}

static int
detach_and_end(void *arg)
{
	return cede_detach_start(arg, NULL, NULL);
}

Test(attach, an_eager_start_may_detach_and_end)
{
	const cede_spawn_options_t options = { .is_eager = 1 };
	struct host host;

	start_host(&host);
	cr_assert_eq(cede_start_with(host.loop, detach_and_end, host.loop, &options, done, &host,
			     NULL),
		0);
	cr_assert_eq(host.result, 0);
	stop_host(&host);
}
