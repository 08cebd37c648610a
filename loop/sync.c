/*
 * Events, mutexes, semaphores.
 *
 * Invariants
 * - An event that is set has no waiters.
 * - A mutex without an owner has no waiters: unlocking makes the longest waiter
 *   the owner then and there. The owner is held by a reference, so that it can
 *   be named and compared although it may have ended.
 * - A semaphore with permits left has no waiters.
 */
#include <cede/sync.h>

#include <cede/error.h>

#include "loop/wait_queue.h"

/* ---- events ---- */

void
cede_event_init(cede_event_t *event)
{
	*event = (cede_event_t)CEDE_EVENT_INIT;
}

void
cede_event_deinit(cede_event_t *event)
{
	cede__waiters_check_empty(&event->waiters, "an event");
}

void
cede_event_set(cede_event_t *event)
{
	event->is_set = 1;
	cede__waiters_resolve_all(&event->waiters, 0);
}

void
cede_event_clear(cede_event_t *event)
{
	event->is_set = 0;
}

int
cede_event_is_set(const cede_event_t *event)
{
	return event->is_set;
}

static void
cancel_event_wait(cede_future_t *future)
{
	cede_event_wait_t *op = cede__container_of(future, cede_event_wait_t, future);

	cede__waiter_leave(&op->waiter);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_event_wait_start(cede_event_t *event, cede_event_wait_t *op)
{
	int r = cede__waiter_begin(&op->waiter, &op->future, cancel_event_wait);

	if (r < 0)
		return r;
	if (event->is_set)
		cede_future_resolve(&op->future, 0, NULL);
	else
		cede__waiters_push(&event->waiters, &op->waiter);
	return 0;
}

int
cede_event_wait(cede_event_t *event)
{
	cede_event_wait_t op;
	int r = cede_event_wait_start(event, &op);

	return r < 0 ? r : cede_await(&op.future);
}

/* ---- mutexes ---- */

void
cede_mutex_init(cede_mutex_t *mutex)
{
	*mutex = (cede_mutex_t)CEDE_MUTEX_INIT;
}

void
cede_mutex_deinit(cede_mutex_t *mutex)
{
	cede__check(!mutex->owner, "a mutex was deinitialised while task '%s' has locked it",
		cede_task_name(mutex->owner));
	cede__assert(!mutex->waiters.first);
}

int
cede_mutex_is_locked(const cede_mutex_t *mutex)
{
	return mutex->owner != NULL;
}

void
cede__mutex_queue(cede_mutex_t *mutex, struct cede__waiter *w)
{
	if (mutex->owner) {
		cede__waiters_push(&mutex->waiters, w);
		return;
	}
	mutex->owner = cede_task_ref(w->task);
	cede_future_resolve(w->future, 0, NULL);
}

void
cede__mutex_hand_over(cede_mutex_t *mutex)
{
	cede_task_t *owner = mutex->owner;
	struct cede__waiter *next = cede__waiters_pop(&mutex->waiters);

	mutex->owner = NULL;
	if (next)
		cede__mutex_queue(mutex, next);
	cede_task_unref(owner); /* the running task: it lives on */
}

int
cede__mutex_check_owner(const cede_mutex_t *mutex, const char *what)
{
	cede_task_t *self = cede_task_current();

	if (!self)
		return CEDE_ENOTASK;
	if (!mutex->owner)
		return cede_raise(CEDE_EPERM, "%s: the mutex is not locked", what);
	if (mutex->owner != self)
		return cede_raise(CEDE_EPERM, "%s: task '%s' has not locked the mutex, '%s' has",
			what, cede_task_name(self), cede_task_name(mutex->owner));
	return 0;
}

/* Would a wait of @self for a mutex never end? */
static int
check_deadlock(const cede_mutex_t *mutex, const cede_task_t *self)
{
	const cede_task_t *owner = mutex->owner;

	if (owner == self)
		return cede_raise(CEDE_EDEADLK, "task '%s' has locked the mutex already",
			cede_task_name(self));
	if (owner && owner->is_done)
		return cede_raise(CEDE_EDEADLK, "task '%s' ended without unlocking the mutex",
			cede_task_name(owner));
	return 0;
}

static void
cancel_lock(cede_future_t *future)
{
	cede_mutex_lock_t *op = cede__container_of(future, cede_mutex_lock_t, future);

	cede__waiter_leave(&op->waiter);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_mutex_lock_start(cede_mutex_t *mutex, cede_mutex_lock_t *op)
{
	int r = cede__waiter_begin(&op->waiter, &op->future, cancel_lock);

	if (r == 0)
		r = check_deadlock(mutex, op->waiter.task);
	if (r < 0)
		return r;
	op->mutex = mutex;
	cede__mutex_queue(mutex, &op->waiter);
	return 0;
}

int
cede_mutex_lock(cede_mutex_t *mutex)
{
	cede_mutex_lock_t op;
	int r = cede_mutex_lock_start(mutex, &op);

	return r < 0 ? r : cede_await(&op.future);
}

void
cede_mutex_lock_drop(cede_mutex_lock_t *op)
{
	int r;

	if (!cede__waiter_give_up(&op->waiter))
		return;
	r = cede_mutex_unlock(op->mutex);
	cede__check(r == 0, "a lock was dropped by a task that does not have it");
}

int
cede_mutex_try_lock(cede_mutex_t *mutex)
{
	cede_task_t *self = cede_task_current();
	int r;

	if (!self)
		return CEDE_ENOTASK;
	r = check_deadlock(mutex, self);
	if (r < 0)
		return r;
	if (mutex->owner)
		return CEDE_EAGAIN;
	mutex->owner = cede_task_ref(self);
	return 0;
}

int
cede_mutex_unlock(cede_mutex_t *mutex)
{
	int r = cede__mutex_check_owner(mutex, "unlock");

	if (r == 0)
		cede__mutex_hand_over(mutex);
	return r;
}

/* ---- semaphores ---- */

int
cede_semaphore_init(cede_semaphore_t *semaphore, unsigned value, unsigned max)
{
	if (max > 0 && value > max)
		return CEDE_EINVAL;
	*semaphore = (cede_semaphore_t)CEDE_SEMAPHORE_INIT(value);
	if (max > 0)
		semaphore->max = max;
	return 0;
}

void
cede_semaphore_deinit(cede_semaphore_t *semaphore)
{
	cede__waiters_check_empty(&semaphore->waiters, "a semaphore");
}

static void
cancel_acquire(cede_future_t *future)
{
	cede_semaphore_acquire_t *op = cede__container_of(future, cede_semaphore_acquire_t, future);

	cede__waiter_leave(&op->waiter);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_semaphore_acquire_start(cede_semaphore_t *semaphore, cede_semaphore_acquire_t *op)
{
	int r = cede__waiter_begin(&op->waiter, &op->future, cancel_acquire);

	if (r < 0)
		return r;
	op->semaphore = semaphore;
	if (cede_semaphore_try_acquire(semaphore) == 0)
		cede_future_resolve(&op->future, 0, NULL);
	else
		cede__waiters_push(&semaphore->waiters, &op->waiter);
	return 0;
}

int
cede_semaphore_acquire(cede_semaphore_t *semaphore)
{
	cede_semaphore_acquire_t op;
	int r = cede_semaphore_acquire_start(semaphore, &op);

	return r < 0 ? r : cede_await(&op.future);
}

void
cede_semaphore_acquire_drop(cede_semaphore_acquire_t *op)
{
	if (cede__waiter_give_up(&op->waiter))
		cede_semaphore_release(op->semaphore);
}

int
cede_semaphore_try_acquire(cede_semaphore_t *semaphore)
{
	if (semaphore->value == 0)
		return CEDE_EAGAIN;
	cede__assert(!semaphore->waiters.first);
	semaphore->value--;
	return 0;
}

int
cede_semaphore_release(cede_semaphore_t *semaphore)
{
	struct cede__waiter *next;

	if (semaphore->value == semaphore->max)
		return cede_raise(CEDE_EINVAL, "a semaphore was released above its bound of %u",
			semaphore->max);
	next = cede__waiters_pop(&semaphore->waiters);
	if (next)
		cede_future_resolve(next->future, 0, NULL);
	else
		semaphore->value++;
	return 0;
}
