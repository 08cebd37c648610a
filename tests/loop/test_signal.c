/* loop/signal.c: one wait, many, none; what the process does with a signal in between. */
#include <cede/uv.h>

#include "tests/support/run.h"

#include "tests/support/order.h"

TestSuite(signal, .timeout = 20);

static int
raise_it(void *arg)
{
	raise(*(int *)arg);
	return 0;
}

TASK_TEST(signal, that_is_waited_for_is_returned)
{
	static int numbers[] = { SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGHUP };

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		CEDE_GROUP(group);

		cr_assert_eq(cede_spawn(&group, raise_it, &numbers[i]), 0);
		cr_assert_eq(cede_signal_wait(numbers[i]), numbers[i]);
	}
	return 0;
}

static int
wait_for_usr1(void *arg)
{
	int r = cede_signal_wait(SIGUSR1);

	order_record(arg);
	return r < 0 ? r : 0;
}

TASK_TEST(signal, reaches_every_waiter_in_the_order_of_their_waits)
{
	CEDE_GROUP(group);
	static char a[] = "a", b[] = "b", c[] = "c";

	cr_assert_eq(cede_spawn(&group, wait_for_usr1, a), 0);
	cr_assert_eq(cede_spawn(&group, wait_for_usr1, b), 0);
	cr_assert_eq(cede_spawn(&group, wait_for_usr1, c), 0);
	cr_assert_eq(cede_sleep(1), 0);
	raise(SIGUSR1);
	cr_assert_eq(cede_group_wait(&group), 0);
	order_expect("a", "b", "c");
	return 0;
}

static int
disposition_is_default(int number)
{
	struct sigaction action;

	cr_assert_eq(sigaction(number, NULL, &action), 0);
	return !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_DFL;
}

TASK_TEST(signal, nobody_waits_for_has_the_disposition_it_had)
{
	cede_signal_t a, b;

	cr_assert(disposition_is_default(SIGUSR1));
	cr_assert_eq(cede_signal_start(SIGUSR1, &a), 0);
	cr_assert_eq(cede_signal_start(SIGUSR1, &b), 0);
	cr_assert_not(disposition_is_default(SIGUSR1));
	cede_future_cancel(&a.future);
	cr_assert_not(disposition_is_default(SIGUSR1));
	raise(SIGUSR1);
	cr_assert_eq(cede_await(&b.future), SIGUSR1);
	cr_assert(disposition_is_default(SIGUSR1));
	cr_assert_eq(a.future.result, CEDE_ECANCELED);

	cr_assert_eq(cede_signal_start(SIGUSR1, &a), 0);
	cede_future_cancel(&a.future);
	cr_assert(disposition_is_default(SIGUSR1));
	return 0;
}

TASK_TEST(signal, may_be_given_up_in_any_place_of_the_list)
{
	for (int given_up = 0; given_up < 7; given_up++) {
		cede_signal_t waits[3];

		for (int i = 0; i < 3; i++)
			cr_assert_eq(cede_signal_start(SIGUSR1, &waits[i]), 0);
		for (int i = 0; i < 3; i++)
			if (given_up >> i & 1)
				cede_future_cancel(&waits[i].future);
		raise(SIGUSR1);
		for (int i = 0; i < 3; i++)
			cr_assert_eq(cede_await(&waits[i].future),
				given_up >> i & 1 ? CEDE_ECANCELED : SIGUSR1);
	}
	return 0;
}

TASK_TEST(signal, in_a_timeout_times_out)
{
	int r = 0;

	CEDE_TIMEOUT(10) {
		r = cede_signal_wait(SIGUSR1);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert(disposition_is_default(SIGUSR1));
	return 0;
}

TASK_TEST(signal, that_cannot_be_caught_is_refused)
{
	static const int numbers[] = { 0, -1, SIGKILL, SIGSTOP, 1000 };

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		cr_assert_eq(cede_signal_wait(numbers[i]), CEDE_EINVAL, "%d", numbers[i]);
	return 0;
}

Test(signal, outside_a_task_is_refused)
{
	cede_signal_t op;

	leaks_begin();
	cr_assert_eq(cede_signal_wait(SIGUSR1), CEDE_ENOTASK);
	cr_assert_eq(cede_signal_start(SIGUSR1, &op), CEDE_ENOTASK);
	leaks_end();
}

static int
wait_again(void *arg)
{
	int *n = arg;

	while (*n > 0) {
		int r = cede_signal_wait(SIGUSR1);

		if (r < 0)
			return r;
		--*n;
	}
	return 0;
}

TASK_TEST(signal, may_be_waited_for_again_and_again)
{
	CEDE_GROUP(group);
	int n = 100;

	cr_assert_eq(cede_spawn(&group, wait_again, &n), 0);
	for (int i = 100; i > 0; i--) {
		while (disposition_is_default(SIGUSR1))
			cr_assert_eq(cede_sleep(0), 0);
		raise(SIGUSR1);
		while (n == i)
			cr_assert_eq(cede_sleep(1), 0);
	}
	cr_assert_eq(cede_group_wait(&group), 0);
	return 0;
}

static void
count_result(int result, void *data)
{
	*(int *)data += result == 0;
}

/* Every waiter of every loop. */
Test(signal, reaches_all_loops_of_the_process)
{
	static char a[] = "a", b[] = "b";
	cede_loop_t *loops[2];
	uv_loop_t uvs[2];
	int n = 0;

	leaks_begin();
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(uv_loop_init(&uvs[i]), 0);
		cr_assert_eq(cede_attach(&loops[i], &uvs[i], NULL), 0);
		cr_assert_eq(cede_start(loops[i], wait_for_usr1, i ? b : a, count_result, &n), 0);
		uv_run(&uvs[i], UV_RUN_NOWAIT);
	}
	raise(SIGUSR1);
	for (int i = 0; i < 2; i++)
		uv_run(&uvs[i], UV_RUN_DEFAULT);
	cr_assert_eq(n, 2);
	order_expect("a", "b");
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(cede_detach(loops[i]), 0);
		cr_assert_eq(uv_loop_close(&uvs[i]), 0);
	}
	leaks_end();
}

/* A task that waits for a signal keeps the loop alive: cede_run() sees no deadlock. */
Test(signal, that_is_waited_for_keeps_the_loop_alive)
{
	static char a[] = "a";
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_start(loop, wait_for_usr1, a, NULL, NULL), 0);
	uv_run(&uv, UV_RUN_NOWAIT);
	cr_assert_neq(uv_loop_alive(&uv), 0);
	raise(SIGUSR1);
	uv_run(&uv, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_alive(&uv), 0, "and its handle does not, once nobody waits");
	order_expect("a");
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}
