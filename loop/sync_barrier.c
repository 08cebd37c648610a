/*
 * Barriers. The last party resolves the others and leaves the barrier empty, so
 * rounds cannot mix: who comes next is the first of the next round.
 */
#include <cede/sync.h>

#include "loop/wait_queue.h"

int
cede_barrier_init(cede_barrier_t *barrier, unsigned parties)
{
	if (parties == 0 || parties > INT_MAX)
		return CEDE_EINVAL;
	*barrier = (cede_barrier_t)CEDE_BARRIER_INIT(parties);
	return 0;
}

void
cede_barrier_deinit(cede_barrier_t *barrier)
{
	cede__waiters_check_empty(&barrier->waiters, "a barrier");
}

/* Everybody who waits is sent away. */
static void
empty(cede_barrier_t *barrier)
{
	barrier->waiting = 0;
	cede__waiters_resolve_all(&barrier->waiters, CEDE_EBROKEN);
}

void
cede_barrier_abort(cede_barrier_t *barrier)
{
	barrier->is_broken = 1;
	empty(barrier);
}

void
cede_barrier_reset(cede_barrier_t *barrier)
{
	barrier->is_broken = 0;
	empty(barrier);
}

static void
cancel_wait(cede_future_t *future)
{
	cede_barrier_wait_t *op = cede__container_of(future, cede_barrier_wait_t, future);

	cede__waiter_leave(&op->waiter);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
	cede_barrier_abort(op->barrier);
}

/* The queue is in the order of arrival. */
static void
let_through(cede_barrier_t *barrier)
{
	struct cede__waiter *w;
	int index = 0;

	barrier->waiting = 0;
	while ((w = cede__waiters_pop(&barrier->waiters)) != NULL)
		cede_future_resolve(w->future, index++, NULL);
}

int
cede_barrier_wait_start(cede_barrier_t *barrier, cede_barrier_wait_t *op)
{
	int r = cede__waiter_begin(&op->waiter, &op->future, cancel_wait);

	if (r < 0)
		return r;
	op->barrier = barrier;
	if (barrier->is_broken) {
		cede_future_resolve(&op->future, CEDE_EBROKEN, NULL);
		return 0;
	}
	cede__waiters_push(&barrier->waiters, &op->waiter);
	if (++barrier->waiting == barrier->parties)
		let_through(barrier);
	return 0;
}

int
cede_barrier_wait(cede_barrier_t *barrier)
{
	cede_barrier_wait_t op;
	int r = cede_barrier_wait_start(barrier, &op);

	return r < 0 ? r : cede_await(&op.future);
}
