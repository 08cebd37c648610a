/* loop/loop.c: cede_run(), deadlocks, loops inside loops. */
#include <cede/uv.h>

#include "tests/support/run.h"

TestSuite(run, .timeout = 20);

static int
return_arg(void *arg)
{
	return *(int *)arg;
}

Test(run, returns_what_its_main_task_returned)
{
	static const int codes[] = { 0, CEDE_EPIPE, CEDE_ETIMEDOUT, -1, CEDE_ESTOPITER };

	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		int code = codes[i];

		cr_assert_eq(run_gated(return_arg, &code), codes[i]);
	}
}

Test(run, refuses_no_body)
{
	cr_assert_eq(run_gated(NULL, NULL), CEDE_EINVAL);
}

static int
run_inside(void *arg)
{
	int code = 0;

	return cede_run(return_arg, &code);
}

Test(run, inside_a_task_is_refused)
{
	cr_assert_eq(run_gated(run_inside, NULL), CEDE_EBUSY);
}

static void
keep_result(int result, void *data)
{
	*(int *)data = result;
}

Test(run, inside_a_task_of_an_attached_loop_is_refused)
{
	cede_loop_t *loop;
	uv_loop_t uv;
	int result = 1;

	leaks_begin();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_start(loop, run_inside, NULL, keep_result, &result), 0);
	uv_run(&uv, UV_RUN_DEFAULT);
	cr_assert_eq(result, CEDE_EBUSY);
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}

static void
run_when_done(int result, void *data)
{
	*(int *)data = cede_run(run_inside, NULL);
}

static int
start_one_that_runs(void *arg)
{
	int code = 0;

	cr_assert_eq(cede_start(cede_loop_current(), return_arg, &code, run_when_done, arg), 0);
	return cede_sleep(1);
}

Test(run, inside_a_callback_of_its_own_loop_is_refused)
{
	int result = 1;

	cr_assert_eq(run_gated(start_one_that_runs, &result), 0);
	cr_assert_eq(result, CEDE_EBUSY);
}

static int
wait_for_nothing(void *arg)
{
	cede_future_t future;

	cede_future_init(&future, NULL);
	*(int *)arg = cede_await(&future);
	return CEDE_EXIT;
}

Test(run, that_can_never_end_says_so)
{
	int seen = 0;

	cr_assert_eq(run_gated(wait_for_nothing, &seen), CEDE_EDEADLK);
	cr_assert_eq(seen, CEDE_EXIT, "its cleanup has run");
}

static cede_task_t *pair[2];

static int
join_the_other(void *arg)
{
	return cede_join(pair[*(int *)arg], NULL);
}

static int
let_two_join_each_other(void *arg)
{
	CEDE_GROUP(group);
	int zero = 0, one = 1;

	cr_assert_eq(cede_spawn_with(&group, join_the_other, &one, NULL, &pair[0]), 0);
	cr_assert_eq(cede_spawn_with(&group, join_the_other, &zero, NULL, &pair[1]), 0);
	cede_task_unref(pair[0]);
	cede_task_unref(pair[1]);
	return cede_group_wait(&group);
}

Test(run, whose_tasks_wait_for_each_other_says_so)
{
	cr_assert_eq(run_gated(let_two_join_each_other, NULL), CEDE_EDEADLK);
}

static _Atomic int n_ended;

static int
end_later(void *arg)
{
	int r = cede_sleep(50);

	n_ended += r == 0;
	return r;
}

static int
start_others(void *arg)
{
	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_start(cede_loop_current(), end_later, NULL, NULL, NULL), 0);
	return 0;
}

Test(run, ends_when_everything_it_started_has_ended)
{
	cr_assert_eq(run_gated(start_others, NULL), 0);
	cr_assert_eq(n_ended, 3);
}

Test(run, may_be_called_again)
{
	for (int i = 0; i < 100; i++) {
		int code = -i;

		cr_assert_eq(cede_run(return_arg, &code), -i);
	}
	cr_assert_eq(run_gated(start_others, NULL), 0);
}

static void *
run_in_a_thread(void *arg)
{
	clock_stop();
	cr_assert_eq(cede_run(start_others, NULL), 0);
	return NULL;
}

Test(run, runs_a_loop_a_thread)
{
	pthread_t threads[4];

	leaks_begin();
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, run_in_a_thread, NULL), 0);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_join(threads[i], NULL), 0);
	leaks_end();
}

static int
check_sigpipe(void *arg)
{
	struct sigaction now;

	cr_assert_eq(sigaction(SIGPIPE, NULL, &now), 0);
	return now.sa_handler == SIG_IGN ? 0 : CEDE_EINVAL;
}

static void
handle_sigpipe(int number)
{
}

static int
check_sigpipe_is_handled(void *arg)
{
	struct sigaction now;

	cr_assert_eq(sigaction(SIGPIPE, NULL, &now), 0);
	return now.sa_handler == handle_sigpipe ? 0 : CEDE_EINVAL;
}

Test(run, ignores_sigpipe_unless_somebody_has_set_it)
{
	signal(SIGPIPE, SIG_DFL);
	cr_assert_eq(run_gated(check_sigpipe, NULL), 0);
	signal(SIGPIPE, handle_sigpipe);
	cr_assert_eq(run_gated(check_sigpipe_is_handled, NULL), 0);
}
