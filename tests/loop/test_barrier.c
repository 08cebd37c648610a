/* Barriers: loop/sync_barrier.c. */
#include "tests/loop/sync_test.h"

TestSuite(barrier, .timeout = 60);

#define N 5

static cede_barrier_t bar = CEDE_BARRIER_INIT(N);

static int
wait_once(void *arg)
{
	const int n = number_of(arg);

	codes[n] = cede_barrier_wait(&bar);
	record(n);
	return codes[n] < 0 ? codes[n] : 0;
}

SYNC_TEST(barrier, lets_through_when_all_have_come_and_says_who_came_when)
{
	start_all(N - 1, wait_once);
	cr_assert_eq(bar.waiting, N - 1);
	expect_nothing();
	start(N, wait_once);
	turn();
	cr_assert_eq(bar.waiting, 0);
	finish();
	expect_order(5, 1, 2, 3, 4); /* the last had not to wait */
	for (int i = 1; i <= N; i++)
		cr_assert_eq(codes[i], i - 1);
	return 0;
}

SYNC_TEST(barrier, of_one_never_makes_wait)
{
	cr_assert_eq(cede_barrier_init(&bar, 1), 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_barrier_wait(&bar), 0);
	cr_assert_eq(bar.waiting, 0);
	cede_barrier_deinit(&bar);
	return 0;
}

Test(barrier, needs_at_least_one_party)
{
	cr_assert_eq(cede_barrier_init(&bar, 0), CEDE_EINVAL);
	cr_assert_eq(cede_barrier_init(&bar, (unsigned)INT_MAX + 1), CEDE_EINVAL);
	cr_assert_eq(cede_barrier_init(&bar, INT_MAX), 0);
}

static int rounds[2], indices;

static int
wait_twice(void *arg)
{
	cr_assert_geq(cede_barrier_wait(&bar), 0);
	rounds[0]++;
	cr_assert_eq(rounds[1], 0);
	indices += cede_barrier_wait(&bar);
	cr_assert_eq(rounds[0], N);
	rounds[1]++;
	return 0;
}

SYNC_TEST(barrier, rounds_do_not_mix)
{
	start_all(N, wait_twice);
	finish();
	cr_assert_eq(rounds[1], N);
	cr_assert_eq(indices, 0 + 1 + 2 + 3 + 4);
	return 0;
}

SYNC_TEST(barrier, who_comes_before_the_others_have_left_is_in_the_next_round)
{
	start_all(N - 1, wait_once);
	start(N, wait_once);
	start(N + 1, wait_once);
	turn(); /* N completes the round, and the sixth comes before 1 has run */
	cr_assert_eq(codes[N + 1], WAITING);
	cr_assert_eq(bar.waiting, 1);
	turn();
	expect_order(5, 1, 2, 3, 4);
	cede_barrier_abort(&bar);
	return finish();
}

SYNC_TEST(barrier, a_cancelled_waiter_breaks_it)
{
	start_all(3, wait_once);
	cede_task_cancel(tasks[2]);
	turn();
	turn();
	expect_order(2, 1, 3);
	cr_assert_eq(codes[2], CEDE_EXIT);
	cr_assert_eq(codes[1], CEDE_EBROKEN);
	cr_assert_eq(codes[3], CEDE_EBROKEN);
	cr_assert(bar.is_broken);
	cr_assert_eq(bar.waiting, 0);
	cr_assert_eq(cede_barrier_wait(&bar), CEDE_EBROKEN);
	cr_assert_str_eq(cede_strerror(CEDE_EBROKEN), "barrier is broken");
	return finish();
}

SYNC_TEST(barrier, done_beats_cancelled_and_does_not_break_it)
{
	start_all(N - 1, wait_once);
	cede_task_cancel(tasks[1]);
	cr_assert_eq(cede_barrier_wait(&bar), N - 1);
	turn();
	cr_assert_eq(codes[1], 0);
	cr_assert_not(bar.is_broken);
	return finish();
}

SYNC_TEST(barrier, reset_sends_away_who_waits_and_begins_anew)
{
	start_all(N - 1, wait_once);
	cede_barrier_reset(&bar);
	cr_assert_eq(bar.waiting, 0);
	cr_assert_not(bar.is_broken);
	turn();
	for (int i = 1; i < N; i++)
		cr_assert_eq(codes[i], CEDE_EBROKEN);
	start_all(N - 1, wait_once);
	cr_assert_eq(cede_barrier_wait(&bar), N - 1);
	turn();
	for (int i = 1; i < N; i++)
		cr_assert_eq(codes[i], i - 1);
	return finish();
}

SYNC_TEST(barrier, reset_of_an_empty_one_changes_nothing)
{
	cede_barrier_reset(&bar);
	cr_assert_eq(bar.waiting, 0);
	cr_assert_not(bar.is_broken);
	return 0;
}

SYNC_TEST(barrier, who_was_let_through_is_not_sent_away_by_a_reset)
{
	start_all(N - 1, wait_once);
	cr_assert_eq(cede_barrier_wait(&bar), N - 1);
	cede_barrier_reset(&bar); /* before 1 to 4 have run */
	turn();
	for (int i = 1; i < N; i++)
		cr_assert_eq(codes[i], i - 1);
	return finish();
}

static int
wait_again_when_broken(void *arg)
{
	const int n = number_of(arg);

	codes[n] = cede_barrier_wait(&bar);
	if (codes[n] == CEDE_EBROKEN)
		codes[n] = cede_barrier_wait(&bar);
	record(n);
	return 0;
}

SYNC_TEST(barrier, those_sent_away_by_a_reset_can_wait_again)
{
	start_all(N - 1, wait_again_when_broken);
	cede_barrier_reset(&bar);
	turn();
	expect_nothing();
	cr_assert_eq(bar.waiting, N - 1);
	cr_assert_eq(cede_barrier_wait(&bar), N - 1);
	finish();
	expect_order(1, 2, 3, 4);
	return 0;
}

SYNC_TEST(barrier, abort_sends_away_all_until_a_reset)
{
	start_all(2, wait_once);
	cede_barrier_abort(&bar);
	turn();
	cr_assert_eq(codes[1], CEDE_EBROKEN);
	cr_assert_eq(codes[2], CEDE_EBROKEN);
	start_all(1, wait_once);
	cr_assert_eq(codes[1], CEDE_EBROKEN);
	cede_barrier_reset(&bar);
	start_all(N - 1, wait_once);
	cr_assert_eq(cede_barrier_wait(&bar), N - 1);
	return finish();
}

static int results[4];

/* One that fails breaks it for the others; all meet at a second one and mend the first. */
static int
fail_and_mend(void *arg)
{
	static cede_barrier_t second = CEDE_BARRIER_INIT(N);
	int i = cede_barrier_wait(&bar);

	if (i == N / 2)
		cede_barrier_abort(&bar);
	else if (cede_barrier_wait(&bar) == CEDE_EBROKEN)
		results[0]++;
	else
		results[1]++;
	if (cede_barrier_wait(&second) == N / 2)
		cede_barrier_reset(&bar);
	cr_assert_geq(cede_barrier_wait(&second), 0);
	if (cede_barrier_wait(&bar) >= 0)
		results[2]++;
	return 0;
}

SYNC_TEST(barrier, can_be_mended_when_all_know)
{
	start_all(N, fail_and_mend);
	finish();
	cr_assert_eq(results[0], N - 1);
	cr_assert_eq(results[1], 0);
	cr_assert_eq(results[2], N);
	cr_assert_not(bar.is_broken);
	return 0;
}

static void
check_refused(void)
{
	cede_barrier_wait_t op;

	cr_assert_eq(cede_barrier_wait(&bar), CEDE_EXIT);
	cr_assert_eq(cede_barrier_wait_start(&bar, &op), CEDE_EXIT);
	cr_assert_eq(bar.waiting, 0);
	cr_assert_not(bar.is_broken);
}

SYNC_TEST(barrier, a_closed_task_does_not_come_and_does_not_break_it)
{
	in_a_closed_task(check_refused);
	return 0;
}

Test(barrier, waiting_outside_a_task_is_refused)
{
	cede_barrier_wait_t op;

	leaks_begin();
	cr_assert_eq(cede_barrier_wait(&bar), CEDE_ENOTASK);
	cr_assert_eq(cede_barrier_wait_start(&bar, &op), CEDE_ENOTASK);
	leaks_end();
}

ABORT_TEST(barrier, deinit_with_a_waiter_aborts)
{
	start_all(1, wait_once);
	cede_barrier_deinit(&bar);
	return 0;
}

SYNC_TEST(barrier, a_wait_that_lost_a_select_breaks_it)
{
	cede_event_t ev = CEDE_EVENT_INIT;
	cede_event_wait_t event;
	cede_barrier_wait_t wait;

	start_all(1, wait_once);
	cede_event_set(&ev);
	cr_assert_eq(cede_event_wait_start(&ev, &event), 0);
	cr_assert_eq(cede_barrier_wait_start(&bar, &wait), 0);
	cr_assert_eq(bar.waiting, 2);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &wait.future, &event.future }), 1);
	cr_assert_eq(wait.future.result, CEDE_ECANCELED);
	turn();
	cr_assert_eq(codes[1], CEDE_EBROKEN);
	return finish();
}

/* Random waits, cancels, resets and aborts beside a model: how many wait, whether it is broken. */
SYNC_TEST(barrier, behaves_as_its_model)
{
	static cede_barrier_wait_t ops[8];
	int order[8], is_broken = 0;
	unsigned waiting = 0;

	for (int step = 0; step < 50000; step++) {
		const int i = (int)random_below(8);
		unsigned at = 0;

		while (at < waiting && order[at] != i)
			at++;
		if (at == waiting && random_below(20) > 0) {
			cr_assert_eq(cede_barrier_wait_start(&bar, &ops[i]), 0);
			if (is_broken) {
				cr_assert_eq(ops[i].future.result, CEDE_EBROKEN);
			} else {
				order[waiting++] = i;
			}
			if (waiting == N) {
				for (int k = 0; k < N; k++)
					cr_assert_eq(cede_future_result(&ops[order[k]].future), k);
				waiting = 0;
			}
		} else if (at < waiting && random_below(4) == 0) {
			cede_future_cancel(&ops[i].future);
			cr_assert_eq(ops[i].future.result, CEDE_ECANCELED);
			for (unsigned k = 0; k < waiting; k++)
				cr_assert(order[k] == i ||
					ops[order[k]].future.result == CEDE_EBROKEN);
			waiting = 0;
			is_broken = 1;
		} else if (is_broken) {
			cede_barrier_reset(&bar);
			is_broken = 0;
		}
		cr_assert_eq(bar.waiting, waiting, "step %d", step);
		cr_assert_eq(bar.is_broken, is_broken, "step %d", step);
	}
	cede_barrier_abort(&bar);
	cede_barrier_deinit(&bar);
	return 0;
}

static int passes;

static int
pass_often(void *arg)
{
	for (int i = 0; i < 10; i++) {
		int r = cede_barrier_wait(&bar);

		if (r < 0)
			return r;
		cr_assert_eq(passes / 2000, i);
		passes++;
	}
	return 0;
}

COUNT_TEST(barrier, two_thousand_tasks_pass_together_and_allocate_nothing)
{
	unsigned before;

	cr_assert_eq(cede_barrier_init(&bar, 2000), 0);
	for (int i = 0; i < 1999; i++)
		cr_assert_eq(cede_spawn(&group, pass_often, NULL), 0);
	turn();
	cr_assert_eq(bar.waiting, 1999);
	before = fault_requests();
	cr_assert_eq(pass_often(NULL), 0);
	cr_assert_eq(fault_requests(), before);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(passes, 20000);
	cede_barrier_deinit(&bar);
	return finish();
}
