/* Mutexes: loop/sync.c. */
#include "tests/loop/sync_test.h"

TestSuite(mutex, .timeout = 60);

static cede_mutex_t m = CEDE_MUTEX_INIT;
static cede_event_t go[TASKS_MAX]; /* a task that has the mutex keeps it until then */

static int
lock_until_go(void *arg)
{
	const int n = number_of(arg);

	codes[n] = cede_mutex_lock(&m);
	if (codes[n] < 0)
		return codes[n];
	record(n);
	(void)!cede_event_wait(&go[n]);
	cr_assert_eq(cede_mutex_unlock(&m), 0);
	return 0;
}

static int
lock_and_unlock(void *arg)
{
	cede_event_set(&go[number_of(arg)]);
	return lock_until_go(arg);
}

SYNC_TEST(mutex, is_handed_to_the_longest_waiter)
{
	cr_assert_eq(cede_mutex_lock(&m), 0);
	start_all(2, lock_until_go);
	expect_nothing();

	cede_mutex_unlock(&m);
	cr_assert_eq(m.owner, tasks[1]); /* before it has run */
	turn();
	expect_order(1);
	start(3, lock_until_go);
	cede_event_set(&go[1]);
	turn();
	turn();
	expect_order(2);
	cede_event_set(&go[2]);
	cede_event_set(&go[3]);
	finish();
	expect_order(3);
	cr_assert_not(cede_mutex_is_locked(&m));
	cede_mutex_deinit(&m);
	return 0;
}

SYNC_TEST(mutex, nobody_barges_in_between_unlock_and_the_next_owner)
{
	cr_assert_eq(cede_mutex_lock(&m), 0);
	start_all(1, lock_and_unlock);
	cede_mutex_unlock(&m);
	cr_assert_eq(cede_mutex_try_lock(&m), CEDE_EAGAIN);
	cr_assert_eq(cede_mutex_lock(&m), 0);
	expect_order(1);
	cede_mutex_unlock(&m);
	return finish();
}

SYNC_TEST(mutex, a_cancelled_waiter_leaves_the_queue)
{
	cr_assert_eq(cede_mutex_lock(&m), 0);
	start_all(3, lock_and_unlock);
	cede_task_cancel(tasks[1]);
	turn();
	cr_assert_eq(codes[1], CEDE_EXIT);
	cede_mutex_unlock(&m);
	finish();
	expect_order(2, 3);
	cede_mutex_deinit(&m);
	return 0;
}

/*
 * | main            | 1 (first)  | 2          |
 * |-----------------+------------+------------|
 * | cancel 1        |            |            |
 * | unlock          | lock -> 0  |            |
 * |                 | unlock     |            |
 * |                 |            | lock -> 0  |
 */
SYNC_TEST(mutex, cancelled_before_the_grant_and_granted_all_the_same)
{
	cr_assert_eq(cede_mutex_lock(&m), 0);
	start_all(2, lock_until_go);
	cede_task_cancel(tasks[1]);
	cede_mutex_unlock(&m); /* it has not heard of the cancel yet */
	turn();
	cr_assert_eq(codes[1], 0); /* done beats cancelled: it unlocks on its way out */
	turn();
	cr_assert_eq(codes[2], 0);
	expect_order(1, 2);
	cede_event_set(&go[2]);
	finish();
	cede_mutex_deinit(&m);
	return 0;
}

SYNC_TEST(mutex, cancelled_after_the_grant_keeps_it)
{
	cr_assert_eq(cede_mutex_lock(&m), 0);
	start_all(2, lock_until_go);
	cede_mutex_unlock(&m);
	cede_task_cancel(tasks[1]);
	turn();
	cr_assert_eq(codes[1], 0);
	cede_event_set(&go[2]);
	finish();
	expect_order(1, 2);
	cede_mutex_deinit(&m);
	return 0;
}

SYNC_TEST(mutex, cancelled_in_the_middle_takes_one_lock_only)
{
	cr_assert_eq(cede_mutex_lock(&m), 0);
	start_all(3, lock_until_go);
	cede_task_cancel(tasks[2]);
	cede_mutex_unlock(&m);
	turn();
	expect_order(1);
	cr_assert_eq(codes[2], CEDE_EXIT);
	cr_assert_eq(codes[3], WAITING);
	cede_task_cancel(tasks[3]);
	turn();
	cr_assert_eq(codes[3], CEDE_EXIT);
	cede_event_set(&go[1]);
	return finish();
}

static int
unlock_only(void *arg)
{
	const int n = number_of(arg);

	codes[n] = cede_mutex_unlock(&m);
	cr_assert(strstr(cede_error_message(cede_error()), "unlock_only"), "%s",
		cede_error_message(cede_error()));
	return 0;
}

SYNC_TEST(mutex, unlock_by_another_task_is_refused_and_says_who_has_it)
{
	cede_task_t *task;

	cr_assert_eq(cede_mutex_lock(&m), 0);
	cr_assert_eq(cede_spawn_with(&group, unlock_only, (void *)1, NULL, &task), 0);
	turn();
	cede_task_unref(task);
	cr_assert_eq(codes[1], CEDE_EPERM);
	cr_assert_eq(m.owner, cede_task_current());
	cr_assert_eq(cede_mutex_unlock(&m), 0);
	cr_assert_eq(cede_mutex_unlock(&m), CEDE_EPERM);
	cr_assert_str_eq(cede_error_message(cede_error()), "unlock: the mutex is not locked");
	return finish();
}

SYNC_TEST(mutex, locking_twice_is_a_deadlock)
{
	cede_mutex_lock_t op;

	cr_assert_eq(cede_mutex_lock(&m), 0);
	cr_assert_eq(cede_mutex_lock(&m), CEDE_EDEADLK);
	cr_assert_eq(cede_mutex_try_lock(&m), CEDE_EDEADLK);
	cr_assert_eq(cede_mutex_lock_start(&m, &op), CEDE_EDEADLK);
	cr_assert_eq(cede_mutex_unlock(&m), 0);
	cr_assert_eq(cede_mutex_lock(&m), 0);
	cede_mutex_unlock(&m);
	return 0;
}

static int
lock_and_forget(void *arg)
{
	return cede_mutex_lock(&m);
}

SYNC_TEST(mutex, an_owner_that_ended_is_a_deadlock)
{
	start_all(1, lock_and_forget);
	cr_assert_eq(cede_mutex_lock(&m), CEDE_EDEADLK);
	cr_assert(strstr(cede_error_message(cede_error()), "ended without unlocking"));
	m.owner = cede_task_unref(m.owner); /* what nobody but a test can do */
	return finish();
}

SYNC_TEST(mutex, try_takes_what_is_free)
{
	cr_assert_eq(cede_mutex_try_lock(&m), 0);
	cr_assert(cede_mutex_is_locked(&m));
	start_all(1, lock_and_unlock);
	cede_mutex_unlock(&m);
	cr_assert(cede_mutex_is_locked(&m));
	return finish();
}

static void
check_refused(void)
{
	cede_mutex_lock_t op;

	cr_assert_eq(cede_mutex_lock(&m), CEDE_EXIT);
	cr_assert_eq(cede_mutex_lock_start(&m, &op), CEDE_EXIT);
	cr_assert_not(cede_mutex_is_locked(&m));
	cr_assert_eq(cede_mutex_try_lock(&m), 0); /* does not suspend, so it works */
	cr_assert_eq(cede_mutex_unlock(&m), 0);
}

SYNC_TEST(mutex, a_closed_task_locks_nothing)
{
	in_a_closed_task(check_refused);
	CEDE_TIMEOUT(0) {
		cr_assert_eq(cede_mutex_lock(&m), CEDE_ETIMEDOUT);
	}
	return 0;
}

Test(mutex, outside_a_task_everything_is_refused)
{
	cede_mutex_lock_t op;

	leaks_begin();
	cede_mutex_init(&m);
	cr_assert_eq(cede_mutex_lock(&m), CEDE_ENOTASK);
	cr_assert_eq(cede_mutex_lock_start(&m, &op), CEDE_ENOTASK);
	cr_assert_eq(cede_mutex_try_lock(&m), CEDE_ENOTASK);
	cr_assert_eq(cede_mutex_unlock(&m), CEDE_ENOTASK);
	cede_mutex_deinit(&m);
	leaks_end();
}

ABORT_TEST(mutex, deinit_of_a_locked_one_aborts)
{
	cr_assert_eq(cede_mutex_lock(&m), 0);
	cede_mutex_deinit(&m);
	return 0;
}

/* Two mutexes that are unlocked in the same turn: the one that is not wanted goes back. */
SYNC_TEST(mutex, what_a_select_locked_besides_can_be_dropped)
{
	static cede_mutex_t other = CEDE_MUTEX_INIT;
	cede_mutex_lock_t a, b;

	cr_assert_eq(cede_mutex_lock_start(&m, &a), 0);
	cr_assert_eq(cede_mutex_lock_start(&other, &b), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &a.future, &b.future }), 0);
	cr_assert(cede_mutex_is_locked(&other));
	cede_mutex_lock_drop(&b);
	cr_assert_not(cede_mutex_is_locked(&other));
	cede_mutex_lock_drop(&a);
	cr_assert_not(cede_mutex_is_locked(&m));
	return 0;
}

static int
select_two(void *arg)
{
	static cede_mutex_t free_one = CEDE_MUTEX_INIT;
	cede_mutex_lock_t a, b;

	cr_assert_eq(cede_mutex_lock_start(&m, &a), 0);
	cr_assert_eq(cede_mutex_lock_start(&free_one, &b), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &a.future, &b.future }), 1);
	cr_assert_eq(a.future.result, CEDE_ECANCELED);
	cede_mutex_lock_drop(&a);
	cede_mutex_lock_drop(&b);
	return 0;
}

SYNC_TEST(mutex, a_lock_that_lost_a_select_leaves_the_queue)
{
	cr_assert_eq(cede_mutex_lock(&m), 0);
	start_all(1, select_two);
	cede_mutex_unlock(&m);
	cede_mutex_deinit(&m);
	return finish();
}

SYNC_TEST(mutex, dropping_a_lock_that_waits_cancels_it)
{
	cede_mutex_lock_t op;

	start_all(1, lock_until_go);
	cr_assert_eq(cede_mutex_lock_start(&m, &op), 0);
	cede_mutex_lock_drop(&op);
	cr_assert_eq(op.future.result, CEDE_ECANCELED);
	cede_event_set(&go[1]);
	return finish();
}

/* ---- contention ---- */

#define CONTENDERS 2000

static int inside, entered, next_ticket;

/* Tickets are drawn when the wait begins: they must be served in order. */
static int
contend(void *arg)
{
	for (int i = 0; i < 3; i++) {
		int ticket, r;

		ticket = next_ticket++;
		r = cede_mutex_lock(&m);
		if (r < 0)
			return r;
		cr_assert_eq(ticket, entered);
		cr_assert_eq(inside++, 0);
		entered++;
		(void)!cede_sleep(0);
		inside--;
		cede_mutex_unlock(&m);
	}
	return 0;
}

SYNC_TEST(mutex, two_thousand_tasks_take_their_turns)
{
	for (int i = 0; i < CONTENDERS; i++)
		cr_assert_eq(cede_spawn(&group, contend, NULL), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(entered, 3 * CONTENDERS);
	cede_mutex_deinit(&m);
	return finish();
}

static int queue_numbers[CONTENDERS], cancelled_count;

/* The others keep their order when some give up. */
static int
contend_or_give_up(void *arg)
{
	static int last = -1;
	const int n = *(int *)arg;
	int r = cede_mutex_lock(&m);

	if (r < 0) {
		cancelled_count++;
		return r;
	}
	cr_assert_lt(last, n);
	last = n;
	cr_assert_eq(inside++, 0);
	(void)!cede_sleep(0);
	inside--;
	entered++;
	cede_mutex_unlock(&m);
	return 0;
}

SYNC_TEST(mutex, cancels_among_two_thousand_lose_no_lock)
{
	static cede_task_t *all[CONTENDERS];

	for (int i = 0; i < CONTENDERS; i++) {
		queue_numbers[i] = i;
		cr_assert_eq(cede_spawn_with(&group, contend_or_give_up, &queue_numbers[i], NULL,
				     &all[i]),
			0);
	}
	turn();
	for (int i = 0; i < 3000; i++) {
		cede_task_cancel(all[random_below(CONTENDERS)]);
		if (i % 8 == 0)
			turn();
	}
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(entered + cancelled_count, CONTENDERS);
	cr_assert_gt(cancelled_count, CONTENDERS / 2);
	cr_assert_gt(entered, 100);
	for (int i = 0; i < CONTENDERS; i++)
		cede_task_unref(all[i]);
	cede_mutex_deinit(&m);
	return 0;
}

static int
lock_often(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		cr_assert_eq(cede_mutex_lock(&m), 0);
		turn();
		cr_assert_eq(cede_mutex_unlock(&m), 0);
	}
	return 0;
}

COUNT_TEST(mutex, locking_allocates_nothing)
{
	unsigned before;

	start_all(3, lock_often);
	before = fault_requests();
	lock_often(NULL);
	cr_assert_eq(fault_requests(), before);
	return finish();
}

COUNT_TEST(mutex, misuse_has_its_code_without_memory_for_the_sentence)
{
	fault_arm(1, FAULT_FOREVER);
	cr_assert_eq(cede_mutex_unlock(&m), CEDE_EPERM);
	cr_assert_eq(cede_mutex_lock(&m), 0);
	cr_assert_eq(cede_mutex_lock(&m), CEDE_EDEADLK);
	cr_assert_eq(cede_mutex_unlock(&m), 0);
	cr_assert_eq(fault_disarm(), 2);
	return 0;
}
