/*
 * Futures, and the one way in which a task suspends: await.
 *
 * Happy path: the future's `waiter` is the task; the task yields to the
 * scheduler; somebody resolves the future, which wakes the task; the step sends,
 * the await returns the result. Given up: the step throws or closes instead; the
 * await, still in its own frame, cancels the future and returns the code. So
 * what a task awaits is always cancelled by the innermost frame, before anything
 * of the user's runs, and the future's memory is still there.
 */
#include <cede/future.h>

#include "loop/task_int.h"

void
cede_future_init(cede_future_t *future, cede_future_cancel_fn *cancel)
{
	*future = (cede_future_t){ .cancel = cancel };
}

int
cede_future_resolve(cede_future_t *future, int result, void *value)
{
	cede_task_t *waiter = future->waiter;

	if (future->is_done)
		return CEDE_EALREADY;
	future->is_done = 1;
	future->result = result;
	future->value = value;
	if (waiter) {
		future->waiter = NULL;
		cede__task_wake(waiter);
	}
	return 0;
}

void
cede_future_cancel(cede_future_t *future)
{
	if (future->is_done)
		return;
	if (future->cancel)
		future->cancel(future);
	else
		cede_future_resolve(future, CEDE_ECANCELED, NULL);
	cede__check(future->is_done, "a future's cancel function left it pending");
}

int
cede_future_result(const cede_future_t *future)
{
	return future->is_done ? future->result : CEDE_EPENDING;
}

/* Gives up waiting for a future: whoever waited is told by other means. */
static void
give_up(cede_future_t *future)
{
	future->waiter = NULL;
	cede_future_cancel(future);
}

/* An await of what is done: now and then the others get a turn all the same. */
static inline void
note_at_once(cede_task_t *task, cede_coro_t *self)
{
	if (task && cede__unlikely(++task->at_once >= CEDE__AT_ONCE_MAX))
		cede__task_give_way(task, self);
}

/* Waits for one future. 0: it is done; or the code of a wait given up, the future cancelled. */
static int
wait_for(cede_future_t *future)
{
	cede_coro_t *self;
	cede_task_t *task = cede__task_running(&self);
	int r;

	if (future->is_done) {
		note_at_once(task, self);
		return 0;
	}
	if (cede__unlikely(!task))
		return CEDE_ENOTASK;
	if (cede__unlikely(future->waiter != NULL))
		return CEDE_EAWAITED;
	if (cede__unlikely(task->refusal < 0)) {
		cede_future_cancel(future);
		return cede__task_refused(task, self);
	}

	future->waiter = task;
	r = cede__task_suspend(task, self);
	if (cede__unlikely(r < 0))
		give_up(future);
	return r;
}

int
cede_await(cede_future_t *future)
{
	int r = wait_for(future);

	return cede__unlikely(r < 0) ? r : future->result;
}

static int
first_done(int count, cede_future_t *const futures[])
{
	for (int i = 0; i < count; i++)
		if (futures[i]->is_done)
			return i;
	return -1;
}

static void
cancel_pending(int count, cede_future_t *const futures[])
{
	for (int i = 0; i < count; i++)
		cede_future_cancel(futures[i]); /* whoever else awaits it is told */
}

/* May these be awaited together? */
static int
check_set(int count, cede_future_t *const futures[])
{
	if (count < 1 || !futures)
		return CEDE_EINVAL;
	for (int i = 0; i < count; i++) {
		if (!futures[i])
			return CEDE_EINVAL;
		if (futures[i]->waiter)
			return CEDE_EAWAITED;
	}
	return 0;
}

int
cede_wait_any(int count, cede_future_t *const futures[])
{
	cede_coro_t *self;
	cede_task_t *task;
	int r = check_set(count, futures), first;

	if (r < 0)
		return r;
	task = cede__task_running(&self);
	first = first_done(count, futures);
	if (first >= 0) {
		note_at_once(task, self);
		return first;
	}
	if (!task)
		return CEDE_ENOTASK;
	if (task->refusal < 0) {
		cancel_pending(count, futures);
		return cede__task_refused(task, self);
	}

	for (int i = 0; i < count; i++)
		futures[i]->waiter = task;
	r = cede__task_suspend(task, self);
	for (int i = 0; i < count; i++)
		futures[i]->waiter = NULL;
	if (r < 0) {
		cancel_pending(count, futures);
		return r;
	}
	return first_done(count, futures);
}

int
cede_select(int count, cede_future_t *const futures[])
{
	int r = cede_wait_any(count, futures);

	if (r >= 0)
		cancel_pending(count, futures);
	return r;
}

int
cede_wait_all(int count, cede_future_t *const futures[])
{
	int r = check_set(count, futures);

	for (int i = 0; i < count && r == 0; i++)
		r = wait_for(futures[i]);
	if (r < 0 && r != CEDE_EINVAL && r != CEDE_EAWAITED && r != CEDE_ENOTASK)
		cancel_pending(count, futures);
	return r;
}
