/* Semaphores: loop/sync.c. */
#include "tests/loop/sync_test.h"

TestSuite(semaphore, .timeout = 60);

static cede_semaphore_t sem = CEDE_SEMAPHORE_INIT(0);

static int
acquire_once(void *arg)
{
	const int n = number_of(arg);

	codes[n] = cede_semaphore_acquire(&sem);
	if (codes[n] == 0)
		record(n);
	return codes[n];
}

SYNC_TEST(semaphore, gives_what_it_has_and_then_makes_wait)
{
	cede_semaphore_init(&sem, 3, 0);
	cr_assert_eq(cede_semaphore_acquire(&sem), 0);
	cr_assert_eq(cede_semaphore_acquire(&sem), 0);
	start_all(3, acquire_once);
	expect_order(1);
	cr_assert_eq(sem.value, 0);
	start(4, acquire_once);
	cede_semaphore_release(&sem);
	cede_semaphore_release(&sem);
	cr_assert_eq(sem.value, 0); /* the permits are the waiters' */
	turn();
	expect_order(2, 3);
	cr_assert_eq(codes[4], WAITING);
	cede_semaphore_release(&sem);
	return finish();
}

SYNC_TEST(semaphore, counts)
{
	cr_assert_eq(cede_semaphore_try_acquire(&sem), CEDE_EAGAIN);
	cr_assert_eq(cede_semaphore_release(&sem), 0);
	cr_assert_eq(cede_semaphore_release(&sem), 0);
	cr_assert_eq(sem.value, 2);
	cr_assert_eq(cede_semaphore_try_acquire(&sem), 0);
	cr_assert_eq(cede_semaphore_acquire(&sem), 0);
	cr_assert_eq(sem.value, 0);
	cede_semaphore_deinit(&sem);
	return 0;
}

SYNC_TEST(semaphore, a_bound_is_not_exceeded)
{
	cr_assert_eq(cede_semaphore_init(&sem, 3, 2), CEDE_EINVAL);
	cr_assert_eq(cede_semaphore_init(&sem, 1, 2), 0);
	cr_assert_eq(cede_semaphore_release(&sem), 0);
	cr_assert_eq(cede_semaphore_release(&sem), CEDE_EINVAL);
	cr_assert_eq(sem.value, 2);
	cr_assert_eq(cede_semaphore_init(&sem, UINT_MAX, 0), 0);
	cr_assert_eq(cede_semaphore_release(&sem), CEDE_EINVAL);
	return 0;
}

SYNC_TEST(semaphore, those_cancelled_before_are_passed_over)
{
	start_all(4, acquire_once);
	cede_task_cancel(tasks[1]);
	cede_task_cancel(tasks[2]);
	turn();
	cede_semaphore_release(&sem);
	turn();
	expect_order(3);
	cr_assert_eq(codes[1], CEDE_EXIT);
	cr_assert_eq(codes[4], WAITING);
	cede_task_cancel(tasks[4]);
	turn();
	cr_assert_eq(codes[4], CEDE_EXIT);
	cede_semaphore_deinit(&sem);
	return finish();
}

SYNC_TEST(semaphore, a_permit_granted_before_the_cancel_arrives_is_kept)
{
	start_all(2, acquire_once);
	cede_task_cancel(tasks[1]);
	cede_semaphore_release(&sem);
	turn();
	cr_assert_eq(codes[1], 0);
	cr_assert_eq(codes[2], WAITING);
	cede_semaphore_release(&sem);
	cede_task_cancel(tasks[2]);
	turn();
	cr_assert_eq(codes[2], 0);
	cr_assert_eq(sem.value, 0);
	return finish();
}

static int
hold_then_cancel_the_next(void *arg)
{
	cr_assert_eq(cede_semaphore_acquire(&sem), 0);
	turn();
	cede_task_cancel(tasks[2]);
	cede_semaphore_release(&sem);
	return 0;
}

static int
acquire_and_release(void *arg)
{
	const int n = number_of(arg);

	codes[n] = cede_semaphore_acquire(&sem);
	if (codes[n] == 0)
		cede_semaphore_release(&sem);
	return codes[n];
}

SYNC_TEST(semaphore, a_cancelled_waiter_leaves_the_permit_to_be_had)
{
	cede_semaphore_release(&sem);
	start(1, hold_then_cancel_the_next);
	start(2, acquire_and_release);
	finish();
	cr_assert_eq(sem.value, 1);
	cr_assert_eq(cede_semaphore_acquire(&sem), 0);
	return 0;
}

static int
acquire_twice(void *arg)
{
	const int n = number_of(arg);

	for (int i = 0; i < 2; i++) {
		cr_assert_eq(cede_semaphore_acquire(&sem), 0);
		record(10 * n + i);
		turn();
		cede_semaphore_release(&sem);
	}
	return 0;
}

SYNC_TEST(semaphore, who_comes_again_comes_last)
{
	cede_semaphore_release(&sem);
	start_all(3, acquire_twice);
	finish();
	expect_order(10, 20, 30, 11, 21, 31);
	return 0;
}

static int
release_and_acquire(void *arg)
{
	cr_assert_eq(cede_semaphore_acquire(&sem), 0);
	record(2);
	cede_semaphore_release(&sem);
	cr_assert_eq(cede_semaphore_acquire(&sem), 0);
	record(4);
	return 0;
}

SYNC_TEST(semaphore, a_permit_that_nobody_waits_for_is_had_at_once)
{
	cede_semaphore_release(&sem);
	start(1, acquire_once);
	start(2, release_and_acquire);
	start(3, acquire_once);
	turn();
	cede_semaphore_release(&sem);
	cede_semaphore_release(&sem);
	finish();
	expect_order(1, 2, 4, 3); /* 3 has its permit, and runs when its turn comes */
	return 0;
}

static int
release_three_and_acquire(void *arg)
{
	for (int i = 0; i < 3; i++)
		cede_semaphore_release(&sem);
	cr_assert_eq(sem.value, 2); /* one is the waiter's */
	return acquire_once(arg);
}

SYNC_TEST(semaphore, several_released_at_once_serve_several)
{
	start(1, acquire_once);
	start(2, release_three_and_acquire);
	start(3, acquire_once);
	finish();
	expect_order(2, 3, 1); /* 1 waited, and runs when its turn comes */
	cr_assert_eq(sem.value, 0);
	return 0;
}

static void
check_refused(void)
{
	cede_semaphore_acquire_t op;

	cr_assert_eq(cede_semaphore_acquire(&sem), CEDE_EXIT);
	cr_assert_eq(cede_semaphore_acquire_start(&sem, &op), CEDE_EXIT);
	cr_assert_eq(sem.value, 1);
}

SYNC_TEST(semaphore, a_closed_task_takes_no_permit)
{
	cede_semaphore_release(&sem);
	in_a_closed_task(check_refused);
	CEDE_TIMEOUT(0) {
		cr_assert_eq(cede_semaphore_acquire(&sem), CEDE_ETIMEDOUT);
	}
	cr_assert_eq(sem.value, 1);
	return 0;
}

Test(semaphore, acquiring_outside_a_task_is_refused_releasing_is_not)
{
	cede_semaphore_acquire_t op;

	leaks_begin();
	cr_assert_eq(cede_semaphore_release(&sem), 0);
	cr_assert_eq(cede_semaphore_acquire(&sem), CEDE_ENOTASK);
	cr_assert_eq(cede_semaphore_acquire_start(&sem, &op), CEDE_ENOTASK);
	cr_assert_eq(cede_semaphore_try_acquire(&sem), 0);
	leaks_end();
}

ABORT_TEST(semaphore, deinit_with_a_waiter_aborts)
{
	start_all(1, acquire_once);
	cede_semaphore_deinit(&sem);
	return 0;
}

SYNC_TEST(semaphore, what_a_select_acquired_besides_can_be_dropped)
{
	cede_semaphore_t other = CEDE_SEMAPHORE_INIT(0);
	cede_semaphore_acquire_t a, b;

	cr_assert_eq(cede_semaphore_acquire_start(&sem, &a), 0);
	cr_assert_eq(cede_semaphore_acquire_start(&other, &b), 0);
	cede_semaphore_release(&other);
	cede_semaphore_release(&sem);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &a.future, &b.future }), 0);
	cr_assert_eq(b.future.result, 0);
	cede_semaphore_acquire_drop(&b);
	cr_assert_eq(other.value, 1);
	cr_assert_eq(sem.value, 0);

	cr_assert_eq(cede_semaphore_acquire_start(&sem, &a), 0);
	cede_semaphore_acquire_drop(&a); /* waits: cancelled */
	cr_assert_eq(a.future.result, CEDE_ECANCELED);
	cede_semaphore_acquire_drop(&a); /* got nothing: nothing happens */
	cr_assert_eq(sem.value, 0);
	cede_semaphore_deinit(&sem);
	return 0;
}

/*
 * Random acquires, cancels, drops and releases beside a model: a count and a
 * list of who waits, first in, first out.
 */
struct model {
	unsigned value;
	int queue[16], length;
};

static int
model_remove(struct model *model, int i)
{
	for (int k = 0; k < model->length; k++) {
		if (model->queue[k] != i)
			continue;
		model->length--;
		memmove(&model->queue[k], &model->queue[k + 1],
			(size_t)(model->length - k) * sizeof(int));
		return 1;
	}
	return 0;
}

SYNC_TEST(semaphore, behaves_as_its_model)
{
	static cede_semaphore_acquire_t ops[16];
	enum { IDLE, WAITS, HAS } state[16] = { IDLE };
	struct model model = { 0 };

	for (int step = 0; step < 50000; step++) {
		const int i = (int)random_below(16);
		int released = 0;

		if (state[i] == IDLE) {
			cr_assert_eq(cede_semaphore_acquire_start(&sem, &ops[i]), 0);
			if (model.value > 0) {
				model.value--;
				state[i] = HAS;
			} else {
				model.queue[model.length++] = i;
				state[i] = WAITS;
			}
		} else if (random_below(2) == 0) {
			cede_semaphore_acquire_drop(&ops[i]);
			released = state[i] == HAS;
			model_remove(&model, i);
			state[i] = IDLE;
		} else if (model.value < 3) {
			cede_semaphore_release(&sem);
			released = 1;
		}
		if (released && model.length > 0) {
			state[model.queue[0]] = HAS;
			model_remove(&model, model.queue[0]);
		} else if (released) {
			model.value++;
		}
		if (sem.value > 8) { /* permits appear out of nothing above: take them away */
			cr_assert_eq(cede_semaphore_try_acquire(&sem), 0);
			model.value--;
		}
		cr_assert_eq(sem.value, model.value, "step %d", step);
		for (int k = 0; k < 16; k++)
			if (state[k] != IDLE)
				cr_assert_eq(ops[k].future.is_done, state[k] == HAS, "step %d",
					step);
	}
	for (int k = 0; k < 16; k++)
		if (state[k] == WAITS)
			cede_semaphore_acquire_drop(&ops[k]);
	cede_semaphore_deinit(&sem);
	return 0;
}

/* ---- contention ---- */

static int inside, most_inside;

static int
contend(void *arg)
{
	for (int i = 0; i < 3; i++) {
		int r = cede_semaphore_acquire(&sem);

		if (r < 0)
			return r;
		if (++inside > most_inside)
			most_inside = inside;
		(void)!cede_sleep(0);
		inside--;
		cede_semaphore_release(&sem);
	}
	return 0;
}

SYNC_TEST(semaphore, two_thousand_tasks_and_cancels_lose_no_permit)
{
	static cede_task_t *all[2000];

	cede_semaphore_init(&sem, 7, 7);
	for (int i = 0; i < 2000; i++)
		cr_assert_eq(cede_spawn_with(&group, contend, NULL, NULL, &all[i]), 0);
	turn();
	for (int i = 0; i < 1000; i++) {
		cede_task_cancel(all[random_below(2000)]);
		if (i % 4 == 0)
			turn();
	}
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(most_inside, 7);
	cr_assert_eq(sem.value, 7);
	for (int i = 0; i < 2000; i++)
		cede_task_unref(all[i]);
	cede_semaphore_deinit(&sem);
	return 0;
}

static int
acquire_often(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		cr_assert_eq(cede_semaphore_acquire(&sem), 0);
		turn();
		cr_assert_eq(cede_semaphore_release(&sem), 0);
	}
	return 0;
}

COUNT_TEST(semaphore, acquiring_allocates_nothing)
{
	unsigned before;

	cede_semaphore_release(&sem);
	start_all(3, acquire_often);
	before = fault_requests();
	acquire_often(NULL);
	cr_assert_eq(fault_requests(), before);
	return finish();
}
