/*
 * Conditions.
 *
 * A wait stands in the condition's queue; a notification moves it to the end of
 * the mutex's, and unlocking the mutex grants it. So it is one future from the
 * start to the mutex, the notified come one after another instead of all at
 * once, and they come in the order in which they waited.
 *
 * Given up before the notification: it leaves the condition's queue. After: it
 * leaves the mutex's, and the next waiter gets the notification instead. Then
 * cede_condition_wait(), and not the cancel function, which cannot wait, locks
 * the mutex again.
 */
#include <cede/sync.h>

#include "loop/scope_int.h"
#include "loop/wait_queue.h"

void
cede_condition_init(cede_condition_t *condition)
{
	*condition = (cede_condition_t)CEDE_CONDITION_INIT;
}

void
cede_condition_deinit(cede_condition_t *condition)
{
	cede__waiters_check_empty(&condition->waiters, "a condition");
}

/* The longest waiter is told. 0: nobody waits. */
static int
notify_one(cede_condition_t *condition)
{
	struct cede__waiter *w = cede__waiters_pop(&condition->waiters);
	cede_condition_wait_t *op;

	if (!w)
		return 0;
	op = cede__container_of(w, cede_condition_wait_t, waiter);
	op->is_notified = 1;
	cede__mutex_queue(op->mutex, w);
	return 1;
}

void
cede_condition_notify(cede_condition_t *condition, unsigned count)
{
	while (count-- > 0 && notify_one(condition))
		;
}

void
cede_condition_notify_all(cede_condition_t *condition)
{
	while (notify_one(condition))
		;
}

static void
cancel_wait(cede_future_t *future)
{
	cede_condition_wait_t *op = cede__container_of(future, cede_condition_wait_t, future);

	cede__waiter_leave(&op->waiter);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
	if (op->is_notified)
		notify_one(op->condition);
}

/* May the running task wait? All who wait for a condition do so with one mutex. */
static int
check_mutex(const cede_condition_t *condition, const cede_mutex_t *mutex)
{
	const struct cede__waiter *w = condition->waiters.first;

	if (w && cede__container_of(w, const cede_condition_wait_t, waiter)->mutex != mutex)
		return CEDE_EINVAL;
	return cede__mutex_check_owner(mutex, "condition");
}

int
cede_condition_wait_start(cede_condition_t *condition, cede_mutex_t *mutex,
	cede_condition_wait_t *op)
{
	int r = cede__waiter_begin(&op->waiter, &op->future, cancel_wait);

	if (r == 0)
		r = check_mutex(condition, mutex);
	if (r < 0)
		return r;
	op->condition = condition;
	op->mutex = mutex;
	op->is_notified = 0;
	cede__waiters_push(&condition->waiters, &op->waiter);
	cede__mutex_hand_over(mutex);
	return 0;
}

/* After a wait that was given up: whoever called wait has the mutex when it returns. */
CEDE_SUSPENDS static int
lock_again(cede_mutex_t *mutex)
{
	cede_scope_t shield;
	int r;

	cede__shield_enter_unbounded(&shield);
	r = cede_mutex_lock(mutex);
	cede_scope_leave(&shield);
	cede__check(r == 0, "task '%s' cannot lock a mutex again after waiting for a condition: %s",
		cede_task_name(cede_task_current()), cede_error_message(cede_error()));
	return r;
}

int
cede_condition_wait(cede_condition_t *condition, cede_mutex_t *mutex)
{
	cede_condition_wait_t op;
	int r = cede_condition_wait_start(condition, mutex, &op), locked = 0;

	if (r < 0)
		return r;
	r = cede_await(&op.future);
	if (op.future.result < 0)
		locked = lock_again(mutex);
	return locked < 0 ? locked : r;
}
