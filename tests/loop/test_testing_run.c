/* <cede/testing.h>: one run, what is found in it, loops of the application's, counting. */
#include "tests/loop/testing_test.h"

#include <signal.h>
#include <unistd.h>

TestSuite(testing_run, .timeout = 60);

static int
wait_for_ever(void *arg)
{
	cede_future_t never;

	cede_future_init(&never, NULL);
	return cede_await(&never);
}

/* ---- one run ---- */

static int
return_it(void *arg)
{
	return *(int *)arg;
}

Test(testing_run, returns_what_the_scenario_returned)
{
	cede_test_report_t report;

	leaks_begin();
	cr_assert_eq(cede_test_run(return_it, &(int){ 0 }, NULL, &report), 0);
	cr_assert_eq(report.result, 0);
	cr_assert_eq(cede_test_run(return_it, &(int){ CEDE_EPIPE }, NULL, &report), CEDE_EPIPE);
	cr_assert_eq(report.code, CEDE_EPIPE);
	cr_assert_eq(report.result, CEDE_EPIPE);
	cr_assert_eq(cede_test_run(return_it, &(int){ CEDE_EOF }, NULL, NULL), CEDE_EOF);
	leaks_end();
}

static int
keep_a_task(void *arg)
{
	*(cede_task_t **)arg = cede_task_ref(cede_task_current());
	return 0;
}

Test(testing_run, finds_a_block_that_is_left)
{
	cede_task_t *task;

	expect_found(keep_a_task, &task, NULL, CEDE_ELEFT, "block");
	cede_task_unref(task);
	leaks_end();
}

static int
open_a_file(void *arg)
{
	*(int *)arg = dup(STDERR_FILENO);
	return 0;
}

Test(testing_run, finds_a_descriptor_that_is_left)
{
	int fd;

	expect_found(open_a_file, &fd, NULL, CEDE_ELEFT, "1 descriptor is left open");
	close(fd);
	leaks_end();
}

static int
leave_a_handle(void *arg)
{
	uv_timer_init(cede_loop_uv(cede_loop_current()), arg);
	return 0;
}

Test(testing_run, finds_a_handle_that_is_left)
{
	uv_timer_t timer;

	expect_found(leave_a_handle, &timer, NULL, CEDE_ELEFT, "uv_timer_t");
	leaks_end();
}

static void
close_resource(struct cede__resource *resource)
{
	cede__list_remove(&resource->link);
}

/* As a stream or a listener is, in the layer above. */
static int
leave_a_resource(void *arg)
{
	struct cede__resource *resource = arg;

	resource->close = close_resource;
	cede__list_init(&resource->link);
	cede__list_append(&cede_loop_current()->resources, &resource->link);
	return 0;
}

Test(testing_run, finds_a_stream_or_listener_that_is_left)
{
	struct cede__resource resource;

	expect_found(leave_a_resource, &resource, NULL, CEDE_ELEFT, "1 stream or listener was");
	leaks_end();
}

static int
forget_a_sleep(void *arg)
{
	return cede_sleep_start(100, arg);
}

/* As it is often: in a frame that is gone by the time that it ends. */
Test(testing_run, finds_a_sleep_that_was_started_and_is_left)
{
	cede_sleep_t op;

	expect_found(forget_a_sleep, &op, NULL, CEDE_ELEFT, "1 sleep was started");
}

static int
forget_a_signal(void *arg)
{
	return cede_signal_start(SIGUSR1, arg);
}

Test(testing_run, finds_a_wait_for_a_signal_that_was_started_and_is_left)
{
	cede_signal_t op;

	expect_found(forget_a_signal, &op, NULL, CEDE_ELEFT, "wait for a signal");
}

static int
wait_for_ever_together(void *arg)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, wait_for_ever, NULL), 0);
	return cede_group_wait(&group);
}

Test(testing_run, says_who_waits_for_what_can_not_come)
{
	expect_found(wait_for_ever_together, NULL, NULL, CEDE_EDEADLK, "'wait_for_ever' (");
	leaks_end();
}

static int
wait_for_a_signal(void *arg)
{
	return cede_signal_wait(SIGUSR2);
}

Test(testing_run, says_who_waits_for_what_does_not_come)
{
	const cede_test_options_t impatient = { .is_quiet = 1, .silence_ms = 50 };

	expect_found(wait_for_a_signal, NULL, &impatient, CEDE_EDEADLK, "'main'");
	leaks_end();
}

static void
fire_again(struct cede__timer *timer)
{
	cr_assert_eq(cede__timer_start(timer->loop, timer, 1000), 0);
}

/* As a listener does that is short of memory: its pause ends again and again. */
static int
wait_while_a_timer_fires(void *arg)
{
	struct cede__timer timer = { .fire = fire_again };
	int r;

	cr_assert_eq(cede__timer_start(cede_loop_current(), &timer, 1000), 0);
	r = wait_for_ever(NULL);
	cede__timer_stop(&timer);
	return r;
}

Test(testing_run, says_who_waits_while_time_passes_and_nothing_comes)
{
	const cede_test_options_t impatient = { .is_quiet = 1, .silence_ms = 50 };

	expect_found(wait_while_a_timer_fires, NULL, &impatient, CEDE_EDEADLK, "'main'");
	leaks_end();
}

static int
spin(void *arg)
{
	int r = 0;

	while (r == 0)
		r = cede_sleep(0);
	return r;
}

static int
spin_in_a_shield(void *arg)
{
	int r = 0;

	CEDE_SHIELD(1000) {
		while (r == 0)
			r = cede_sleep(0);
	}
	return r;
}

Test(testing_run, says_who_runs_for_ever)
{
	const cede_test_options_t bounded = { .is_quiet = 1, .steps_max = 5000 };

	expect_found(spin, NULL, &bounded, CEDE_EDEADLK, "run for ever: 'main'");
	leaks_end();
	expect_found(spin_in_a_shield, NULL, &bounded, CEDE_EDEADLK, "run for ever");
	leaks_end();
}

static int
never_mind(void *arg)
{
	for (;;)
		if (cede_sleep(1000) == 1)
			return 0;
}

static int
cancel_who_ignores(void *arg)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, never_mind, NULL), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cede_group_cancel(&group);
	int r = cede_group_wait(&group);

	return r == CEDE_EIGNORED ? 0 : -1;
}

Test(testing_run, finds_a_task_that_ignored_its_end)
{
	expect_found(cancel_who_ignores, NULL, NULL, CEDE_EIGNORED, "'never_mind'");
	leaks_end();
}

static int
run_within(void *arg)
{
	cr_assert_eq(cede_test_run(return_it, &(int){ 0 }, NULL, NULL), CEDE_EBUSY);
	return 0;
}

Test(testing_run, misuse_gets_a_code)
{
	const cede_test_options_t strange = { .clock = (cede_test_clock_t)3 };

	cr_assert_eq(cede_test_run(NULL, NULL, NULL, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_test_run(return_it, NULL, &strange, NULL), CEDE_EINVAL);
	run_well(run_within, NULL, NULL);
}

static int n_befores;

static int
count_before(void *arg)
{
	n_befores++;
	return *(int *)arg == -1 ? CEDE_EPIPE : 0;
}

static int
accept_eof(int result, void *arg)
{
	return result == CEDE_EOF ? 0 : CEDE_EPERM;
}

Test(testing_run, is_prepared_and_judged_by_the_caller)
{
	const cede_test_options_t judged = { .before = count_before, .after = accept_eof };
	cede_test_options_t quietly = judged;

	n_befores = 0;
	run_well(return_it, &(int){ CEDE_EOF }, &judged);
	cr_assert_eq(n_befores, 1);
	quietly.is_quiet = 1;
	expect_found(return_it, &(int){ 0 }, &quietly, CEDE_EPERM, "after() said EPERM to success");
	expect_found(return_it, &(int){ -1 }, &quietly, CEDE_EPIPE, "before() said EPIPE");
	leaks_end();
}

/* ---- a loop of the application's ---- */

static void
note_end(int result, void *data)
{
	*(int *)data = result;
}

static int
sleep_long(void *arg)
{
	return cede_sleep(86400000);
}

Test(testing_run, a_loop_of_the_applications_is_put_under_test)
{
	uv_loop_t uv;
	cede_loop_t *loop;
	int result = 1;
	uint64_t began;

	leaks_begin();
	uv_loop_init(&uv);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_test_attach(NULL, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_test_attach(loop, NULL), 0);
	cr_assert_eq(cede_test_attach(loop, NULL), CEDE_EBUSY);
	began = cede_loop_now(loop);
	cr_assert_eq(cede_start(loop, sleep_long, NULL, note_end, &result), 0);
	uv_run(&uv, UV_RUN_DEFAULT);
	cr_assert_eq(result, 0);
	cr_assert_eq(cede_loop_now(loop) - began, 86400000);
	cr_assert_eq(cede_detach(loop), 0);

	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_start(loop, sleep_long, NULL, note_end, &result), 0);
	cr_assert_eq(cede_test_attach(loop, NULL), CEDE_EBUSY);
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(result, CEDE_ECANCELED);
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}

static int
clean_up_in_a_shield(void *arg)
{
	cede_future_t never;
	int r;

	cede_future_init(&never, NULL);
	r = cede_await(&never);
	CEDE_SHIELD(1000) {
		cr_assert_eq(cede_sleep(50), 0);
	}
	return r;
}

static void
note_detached(void *data)
{
	*(int *)data = 1;
}

/* The jump of time that ends the last task also ends the kit, whose handles are not started any more. */
Test(testing_run, a_detach_that_a_jump_of_time_ends_leaves_no_handle_active)
{
	int result = 1, is_detached = 0;
	cede_loop_t *loop;
	uv_timer_t timer;
	uv_loop_t uv;

	leaks_begin();
	uv_loop_init(&uv);
	uv_timer_init(&uv, &timer);
	uv_timer_start(&timer, (uv_timer_cb)abort, 3600000, 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_test_attach(loop, NULL), 0);
	cr_assert_eq(cede_start(loop, clean_up_in_a_shield, NULL, note_end, &result), 0);
	uv_run(&uv, UV_RUN_NOWAIT);
	cr_assert_eq(cede_detach_start(loop, note_detached, &is_detached), 0);
	for (int n = 0; n < 1000 && !is_detached; n++)
		uv_run(&uv, UV_RUN_NOWAIT);
	cr_assert_eq(is_detached, 1);
	cr_assert_eq(result, CEDE_ECANCELED);
	cr_assert_gt(uv_backend_timeout(&uv), 0, "the host's loop spins");
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&uv, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}

/* ---- counting ---- */

Test(testing_run, what_is_held_can_be_counted)
{
	cede_test_count_t before, now;
	char text[64] = "";
	cede_coro_t *co;
	int fd;

	cede_test_count(&before);
	cr_assert_eq(cede_test_check_count(&before, text, sizeof text), 0);
	fd = dup(STDERR_FILENO);
	cr_assert_eq(cede_test_check_count(&before, text, sizeof text), CEDE_ELEFT);
	cr_assert_str_eq(text, "1 descriptor is left open");
	cr_assert_eq(cede_coro_create(&co, return_it, NULL, NULL), 0);
	cr_assert_eq(cede_test_check_count(&before, text, sizeof text), CEDE_ELEFT);
	cr_assert_not_null(strstr(text, "of the library's"), "%s", text);
	cede_test_count(&now);
	cr_assert_gt(now.blocks, before.blocks);
	cede_coro_close(co, NULL);
	cede_coro_unref(co);
	close(fd);
	cr_assert_eq(cede_test_check_count(&before, NULL, 0), 0);
}
