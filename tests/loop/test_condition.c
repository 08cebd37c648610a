/* Conditions: loop/sync_condition.c. */
#include "tests/loop/sync_test.h"

TestSuite(condition, .timeout = 60);

static cede_mutex_t m = CEDE_MUTEX_INIT;
static cede_condition_t cond = CEDE_CONDITION_INIT;
static int state;

static void
lock(void)
{
	cr_assert_eq(cede_mutex_lock(&m), 0);
}

static void
unlock(void)
{
	cr_assert_eq(cede_mutex_unlock(&m), 0);
}

/* Waits once; unlocks, which shows that it has the mutex. */
static int
wait_once(void *arg)
{
	const int n = number_of(arg);
	int r = cede_mutex_lock(&m);

	if (r < 0)
		return codes[n] = r;
	codes[n] = cede_condition_wait(&cond, &m);
	cr_assert_eq(m.owner, cede_task_current());
	record(n);
	unlock();
	return codes[n];
}

SYNC_TEST(condition, wakes_as_many_as_were_notified_in_order)
{
	start_all(3, wait_once);
	expect_nothing();
	cr_assert_not(cede_mutex_is_locked(&m));

	lock();
	cede_condition_notify(&cond, 1);
	turn();
	expect_nothing(); /* the mutex is still taken */
	unlock();
	turn();
	expect_order(1);

	lock();
	cede_condition_notify(&cond, 1);
	cede_condition_notify(&cond, 2048);
	unlock();
	finish();
	expect_order(2, 3);
	cede_condition_deinit(&cond);
	cede_mutex_deinit(&m);
	return 0;
}

SYNC_TEST(condition, notify_all_wakes_all_who_wait_now)
{
	start_all(2, wait_once);
	cede_condition_notify_all(&cond); /* without the mutex, too */
	start(3, wait_once);
	turn();
	turn();
	expect_order(1, 2);
	turn();
	cede_condition_notify_all(&cond);
	cede_condition_notify_all(&cond);
	return finish();
}

static int
wait_and_keep(void *arg)
{
	lock();
	cr_assert_eq(cede_condition_wait(&cond, &m), 0);
	record(number_of(arg));
	turn();
	turn();
	unlock();
	return 0;
}

SYNC_TEST(condition, the_notified_come_one_after_another)
{
	start_all(3, wait_and_keep);
	cede_condition_notify_all(&cond);
	turn();
	expect_order(1);
	turn();
	expect_nothing();
	finish();
	expect_order(2, 3);
	return 0;
}

SYNC_TEST(condition, a_notification_without_waiters_is_forgotten)
{
	cede_condition_notify(&cond, 5);
	start_all(1, wait_once);
	turn();
	expect_nothing();
	cede_condition_notify(&cond, 1);
	return finish();
}

static int
wait_for_state(void *arg)
{
	int r = cede_mutex_lock(&m);

	while (state == 0 && r == 0) {
		r = cede_condition_wait(&cond, &m);
		record(100);
	}
	record(number_of(arg));
	unlock();
	return r;
}

SYNC_TEST(condition, a_predicate_is_looked_at_again)
{
	start_all(1, wait_for_state);
	cede_condition_notify(&cond, 1);
	turn();
	expect_order(100);
	lock();
	state = 1;
	cede_condition_notify(&cond, 1);
	unlock();
	finish();
	expect_order(100, 1);
	return 0;
}

SYNC_TEST(condition, waiting_needs_the_mutex)
{
	cede_condition_wait_t op;

	cr_assert_eq(cede_condition_wait(&cond, &m), CEDE_EPERM);
	cr_assert_str_eq(cede_error_message(cede_error()), "condition: the mutex is not locked");
	cr_assert_eq(cede_condition_wait_start(&cond, &m, &op), CEDE_EPERM);
	return 0;
}

SYNC_TEST(condition, all_wait_with_one_mutex)
{
	cede_mutex_t other = CEDE_MUTEX_INIT;

	start_all(1, wait_once);
	cr_assert_eq(cede_mutex_lock(&other), 0);
	cr_assert_eq(cede_condition_wait(&cond, &other), CEDE_EINVAL);
	cr_assert_eq(other.owner, cede_task_current());
	cr_assert_eq(cede_mutex_unlock(&other), 0);
	cede_condition_notify(&cond, 1);
	return finish();
}

/* ---- cancels ---- */

SYNC_TEST(condition, a_cancelled_wait_has_the_mutex_again)
{
	start_all(2, wait_once);
	cede_task_cancel(tasks[1]);
	turn();
	expect_order(1);
	cr_assert_eq(codes[1], CEDE_EXIT);
	cede_condition_notify(&cond, 1);
	finish();
	expect_order(2);
	return 0;
}

SYNC_TEST(condition, a_timed_out_wait_has_the_mutex_again)
{
	int r = 0;

	lock();
	CEDE_TIMEOUT(1) {
		r = cede_condition_wait(&cond, &m);
		cr_assert_eq(m.owner, cede_task_current());
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	unlock();
	cede_condition_deinit(&cond);
	return 0;
}

/*
 * | main            | 1                      |
 * |-----------------+------------------------|
 * | lock            | waits                  |
 * | cancel 1        | closed: wants the mutex|
 * | (three turns)   | waits for it, shielded |
 * | unlock          | wait -> CEDE_EXIT      |
 */
SYNC_TEST(condition, a_cancelled_wait_waits_for_the_mutex_in_a_shield)
{
	start_all(1, wait_once);
	lock();
	cede_task_cancel(tasks[1]);
	for (int i = 0; i < 3; i++) {
		turn();
		cr_assert_eq(codes[1], WAITING);
	}
	cr_assert_eq(cede_task_cancel(tasks[1]), 0); /* once more changes nothing */
	turn();
	unlock();
	finish();
	cr_assert_eq(codes[1], CEDE_EXIT);
	expect_order(1);
	return 0;
}

/* Notified, and cancelled before it has run: it stands in the mutex's queue. */
SYNC_TEST(condition, a_notification_that_met_a_cancel_goes_to_the_next)
{
	start_all(2, wait_once);
	lock();
	cede_condition_notify(&cond, 1);
	cede_task_cancel(tasks[1]);
	turn();
	unlock();
	finish();
	cr_assert_eq(codes[1], CEDE_EXIT);
	cr_assert_eq(codes[2], 0); /* nobody else notified */
	cede_mutex_deinit(&m);
	return 0;
}

SYNC_TEST(condition, a_grant_that_met_a_cancel_is_kept)
{
	start_all(2, wait_once);
	cede_condition_notify(&cond, 1); /* the mutex is free: it is task 1's already */
	cr_assert_eq(m.owner, tasks[1]);
	cede_task_cancel(tasks[1]);
	turn();
	cr_assert_eq(codes[1], 0);
	cr_assert_eq(codes[2], WAITING);
	cede_condition_notify(&cond, 1);
	return finish();
}

static int
consume(void *arg)
{
	const int n = number_of(arg);
	int r = cede_mutex_lock(&m);

	while (r == 0) {
		while (state == 0 && r == 0)
			r = cede_condition_wait(&cond, &m);
		if (state < 0)
			break;
		if (r == 0)
			state--;
	}
	codes[n] = r;
	unlock();
	return r;
}

/* One item, two consumers, the first is cancelled as it is woken: the second must get it. */
static void
produce_and_cancel(int turns)
{
	start_all(2, consume);
	lock();
	state = 1;
	cede_condition_notify(&cond, 1);
	for (int i = 0; i < turns; i++)
		turn();
	cede_task_cancel(tasks[1]);
	unlock();
	for (int i = 0; i < 3; i++)
		turn();
	cr_assert_eq(state, 0);
	lock();
	state = -1;
	cede_condition_notify_all(&cond);
	unlock();
	finish();
	cr_assert_eq(codes[2], 0);
}

SYNC_TEST(condition, no_wakeup_is_lost_to_a_cancel_in_the_same_turn)
{
	produce_and_cancel(0);
	return 0;
}

SYNC_TEST(condition, no_wakeup_is_lost_to_a_cancel_while_it_locks_again)
{
	produce_and_cancel(1);
	return 0;
}

static void
check_refused(void)
{
	cede_condition_wait_t op;

	cr_assert_eq(cede_mutex_try_lock(&m), 0);
	cr_assert_eq(cede_condition_wait(&cond, &m), CEDE_EXIT);
	cr_assert_eq(cede_condition_wait_start(&cond, &m, &op), CEDE_EXIT);
	cr_assert_eq(m.owner, cede_task_current());
	unlock();
}

SYNC_TEST(condition, a_closed_task_does_not_wait_and_keeps_the_mutex)
{
	in_a_closed_task(check_refused);
	return 0;
}

Test(condition, waiting_outside_a_task_is_refused_notifying_is_not)
{
	cede_condition_wait_t op;

	leaks_begin();
	cr_assert_eq(cede_condition_wait(&cond, &m), CEDE_ENOTASK);
	cr_assert_eq(cede_condition_wait_start(&cond, &m, &op), CEDE_ENOTASK);
	cede_condition_notify(&cond, 1);
	cede_condition_notify_all(&cond);
	cede_condition_init(&cond);
	cede_condition_deinit(&cond);
	leaks_end();
}

ABORT_TEST(condition, deinit_with_a_waiter_aborts)
{
	start_all(1, wait_once);
	cede_condition_deinit(&cond);
	return 0;
}

static int
lock_and_forget(void *arg)
{
	return cede_mutex_lock(&m);
}

ABORT_TEST(condition, a_mutex_that_can_never_be_locked_again_aborts)
{
	start_all(1, wait_once);
	start(2, lock_and_forget);
	turn();
	cede_task_cancel(tasks[1]);
	turn();
	return 0;
}

/* ---- select ---- */

SYNC_TEST(condition, in_a_select_it_has_the_mutex_only_when_it_was_notified)
{
	cede_semaphore_t sem = CEDE_SEMAPHORE_INIT(1);
	cede_semaphore_acquire_t permit;
	cede_condition_wait_t news;

	lock();
	cr_assert_eq(cede_condition_wait_start(&cond, &m, &news), 0);
	cr_assert_not(cede_mutex_is_locked(&m));
	cr_assert_eq(cede_semaphore_acquire_start(&sem, &permit), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &news.future, &permit.future }), 1);
	cr_assert_eq(news.future.result, CEDE_ECANCELED);
	cr_assert_not(cede_mutex_is_locked(&m));

	lock();
	cr_assert_eq(cede_condition_wait_start(&cond, &m, &news), 0);
	cr_assert_eq(cede_semaphore_acquire_start(&sem, &permit), 0);
	cede_condition_notify(&cond, 1);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &news.future, &permit.future }), 0);
	unlock();
	cede_condition_deinit(&cond);
	return 0;
}

/* ---- many ---- */

static int produced, consumed;

static int
worker(void *arg)
{
	int r = cede_mutex_lock(&m);

	if (r < 0)
		return r;
	while (r == 0) {
		while (state == 0 && r == 0)
			r = cede_condition_wait(&cond, &m);
		if (state < 0)
			break;
		if (r == 0) {
			state--;
			consumed++;
		}
	}
	cede_mutex_unlock(&m);
	return r;
}

SYNC_TEST(condition, two_thousand_waiters_and_cancels_lose_no_item)
{
	static cede_task_t *all[2000];

	for (int i = 0; i < 2000; i++)
		cr_assert_eq(cede_spawn_with(&group, worker, NULL, NULL, &all[i]), 0);
	turn();
	for (int i = 0; i < 3000; i++) {
		if (random_below(2) == 0) {
			lock();
			state++;
			produced++;
			cede_condition_notify(&cond, 1);
			unlock();
		}
		if (random_below(2) == 0 && i < 1500)
			cede_task_cancel(all[random_below(1900)]);
		if (random_below(4) == 0)
			turn();
	}
	for (int i = 0; i < 5; i++)
		turn();
	cr_assert_eq(state, 0);
	cr_assert_eq(consumed, produced);
	lock();
	state = -1;
	cede_condition_notify_all(&cond);
	unlock();
	cr_assert_eq(cede_group_wait(&group), 0);
	for (int i = 0; i < 2000; i++)
		cede_task_unref(all[i]);
	cede_condition_deinit(&cond);
	cede_mutex_deinit(&m);
	return 0;
}

static int
wait_often(void *arg)
{
	lock();
	while (state == 0) {
		cr_assert_eq(cede_condition_wait(&cond, &m), 0);
		produced++;
	}
	unlock();
	return 0;
}

COUNT_TEST(condition, waiting_allocates_nothing)
{
	unsigned before;

	start_all(2, wait_often);
	before = fault_requests();
	for (int i = 0; i < 1000; i++) {
		cede_condition_notify_all(&cond);
		turn();
		turn();
		turn();
	}
	cr_assert_eq(produced, 2000);
	cr_assert_eq(fault_requests(), before);
	state = 1;
	cede_condition_notify_all(&cond);
	finish();
	cede_condition_deinit(&cond);
	return 0;
}
