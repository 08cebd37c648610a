/* Events: loop/sync.c. */
#include "tests/loop/sync_test.h"

TestSuite(event, .timeout = 20);

static cede_event_t ev = CEDE_EVENT_INIT;

static int
wait_once(void *arg)
{
	const int n = number_of(arg);

	codes[n] = cede_event_wait(&ev);
	record(n);
	return codes[n];
}

SYNC_TEST(event, wakes_all_in_the_order_they_came)
{
	start_all(2, wait_once);
	expect_nothing();
	start(3, wait_once);
	cede_event_set(&ev);
	turn();
	expect_order(3, 1, 2); /* the third was ready first, and had not to wait */
	for (int i = 1; i <= 3; i++)
		cr_assert_eq(codes[i], 0);
	return finish();
}

SYNC_TEST(event, a_set_one_lets_through_at_once)
{
	cede_event_set(&ev);
	cr_assert_eq(cede_event_wait(&ev), 0);
	cr_assert_eq(cede_event_wait(&ev), 0);
	cede_event_deinit(&ev);
	return 0;
}

SYNC_TEST(event, is_what_it_was_last_made)
{
	cede_event_init(&ev);
	cr_assert_not(cede_event_is_set(&ev));
	cede_event_set(&ev);
	cede_event_set(&ev);
	cr_assert(cede_event_is_set(&ev));
	cede_event_clear(&ev);
	cr_assert_not(cede_event_is_set(&ev));
	return 0;
}

SYNC_TEST(event, clearing_it_does_not_hold_back_who_was_woken)
{
	start_all(1, wait_once);
	cede_event_set(&ev);
	cede_event_clear(&ev);
	start(2, wait_once);
	turn();
	expect_order(1);
	cede_event_set(&ev);
	turn();
	expect_order(2);
	return finish();
}

SYNC_TEST(event, a_cancelled_wait_leaves_the_queue)
{
	start_all(3, wait_once);
	cede_task_cancel(tasks[2]);
	turn();
	expect_order(2);
	cr_assert_eq(codes[2], CEDE_EXIT);
	cede_event_set(&ev);
	turn();
	expect_order(1, 3);
	cede_event_deinit(&ev);
	return finish();
}

/*
 * | main          | task            |
 * |---------------+-----------------|
 * | set, cancel   |                 |
 * |               | wait -> 0       |
 */
SYNC_TEST(event, done_beats_cancelled)
{
	start_all(2, wait_once);
	cede_event_set(&ev);
	cede_task_cancel(tasks[1]);
	turn();
	cr_assert_eq(codes[1], 0);
	start(3, wait_once);
	cede_event_clear(&ev);
	turn();
	cede_task_cancel(tasks[3]);
	cede_event_set(&ev); /* the other way round, in the same turn: done all the same */
	turn();
	cr_assert_eq(codes[3], 0);
	return finish();
}

static void
check_refused(void)
{
	cede_event_wait_t op;

	cr_assert_eq(cede_event_wait(&ev), CEDE_EXIT);
	cr_assert_eq(cede_event_wait_start(&ev, &op), CEDE_EXIT);
}

SYNC_TEST(event, a_closed_task_does_not_wait_even_for_a_set_one)
{
	cede_event_set(&ev);
	in_a_closed_task(check_refused);
	CEDE_TIMEOUT(0) {
		cr_assert_eq(cede_event_wait(&ev), CEDE_ETIMEDOUT);
	}
	return 0;
}

SYNC_TEST(event, a_timeout_ends_the_wait)
{
	int r = 0;

	CEDE_TIMEOUT(1) {
		r = cede_event_wait(&ev);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cede_event_deinit(&ev);
	return 0;
}

Test(event, waiting_outside_a_task_is_refused)
{
	cede_event_wait_t op;

	leaks_begin();
	cede_event_set(&ev);
	cr_assert_eq(cede_event_wait(&ev), CEDE_ENOTASK);
	cr_assert_eq(cede_event_wait_start(&ev, &op), CEDE_ENOTASK);
	leaks_end();
}

ABORT_TEST(event, deinit_with_a_waiter_aborts)
{
	start_all(1, wait_once);
	cede_event_deinit(&ev);
	return 0;
}

SYNC_TEST(event, select_takes_the_one_that_is_set_and_leaves_the_other)
{
	cede_event_t other = CEDE_EVENT_INIT;
	cede_event_wait_t a, b;

	cr_assert_eq(cede_event_wait_start(&ev, &a), 0);
	cr_assert_eq(cede_event_wait_start(&other, &b), 0);
	cede_event_set(&other);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &a.future, &b.future }), 1);
	cr_assert_eq(a.future.result, CEDE_ECANCELED);
	cede_event_deinit(&ev);
	cede_event_deinit(&other);
	return 0;
}

static int
answer(void *arg)
{
	cede_event_t *ping = ((cede_event_t **)arg)[0], *pong = ((cede_event_t **)arg)[1];

	for (int i = 0; i < 1000; i++) {
		cr_assert_eq(cede_event_wait(ping), 0);
		cede_event_clear(ping);
		cede_event_set(pong);
	}
	return 0;
}

COUNT_TEST(event, waits_allocate_nothing)
{
	cede_event_t pong = CEDE_EVENT_INIT;
	cede_event_t *both[] = { &ev, &pong };
	unsigned before;

	cr_assert_eq(cede_spawn(&group, answer, both), 0);
	turn();
	before = fault_requests();
	for (int i = 0; i < 1000; i++) {
		cede_event_set(&ev);
		cr_assert_eq(cede_event_wait(&pong), 0);
		cede_event_clear(&pong);
	}
	cr_assert_eq(fault_requests(), before);
	return finish();
}

/* Random starts, cancels and sets, beside a model: who waits, and whether it is set. */
SYNC_TEST(event, behaves_as_its_model)
{
	static cede_event_wait_t ops[8];
	int is_waiting[8] = { 0 }, is_set = 0;

	for (int step = 0; step < 20000; step++) {
		const unsigned i = random_below(8);

		switch (random_below(5)) {
		case 0:
		case 1:
			if (is_waiting[i])
				break;
			cr_assert_eq(cede_event_wait_start(&ev, &ops[i]), 0);
			is_waiting[i] = !is_set;
			break;
		case 2:
			if (!is_waiting[i])
				break;
			cede_future_cancel(&ops[i].future);
			cr_assert_eq(ops[i].future.result, CEDE_ECANCELED);
			is_waiting[i] = 0;
			break;
		case 3:
			cede_event_set(&ev);
			is_set = 1;
			memset(is_waiting, 0, sizeof is_waiting);
			break;
		default:
			cede_event_clear(&ev);
			is_set = 0;
		}
		for (int k = 0; k < 8; k++)
			cr_assert_eq(ops[k].waiter.queue != NULL, is_waiting[k]);
	}
	cede_event_set(&ev);
	cede_event_deinit(&ev);
	return 0;
}
