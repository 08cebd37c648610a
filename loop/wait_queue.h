/*
 * Queues of waits, for everything in <cede/sync.h> and <cede/channel.h>.
 *
 * A wait is a future and a place in one queue. Happy path: begin, push, and in
 * time whoever has what it waits for takes it off the front and resolves it.
 * Given up: the future's cancel function takes it off wherever it stands. So a
 * wait that is in a queue is pending, one that was granted is in none, and no
 * grant can meet a cancel.
 *
 * Resolving makes a task ready and runs nobody's code, so a loop over a queue is
 * safe.
 */
#ifndef CEDE_LOOP_WAIT_QUEUE_H
#define CEDE_LOOP_WAIT_QUEUE_H

#include <cede/sync.h>

#include "coro/check.h"
#include "loop/task_int.h"

/**
 * The start of a wait of the running task: asks whether it may wait, makes the
 * future pending. 0, CEDE_EXIT, CEDE_ETIMEDOUT, CEDE_ENOTASK.
 */
static inline int
cede__waiter_begin(struct cede__waiter *w, cede_future_t *future, cede_future_cancel_fn *cancel)
{
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (cede__unlikely(r < 0))
		return r;
	cede_future_init(future, cancel);
	*w = (struct cede__waiter){ .task = cede_task_current(), .future = future };
	return 0;
}

/** To the end of a queue. The wait must be in none. */
static inline void
cede__waiters_push(struct cede__waiters *queue, struct cede__waiter *w)
{
	cede__assert(!w->queue && !w->future->is_done);
	w->queue = queue;
	w->prev = queue->last;
	w->next = NULL;
	if (queue->last)
		queue->last->next = w;
	else
		queue->first = w;
	queue->last = w;
}

/** Takes a wait off its queue, wherever it stands; one that is in none stays so. */
static inline void
cede__waiter_leave(struct cede__waiter *w)
{
	struct cede__waiters *queue = w->queue;

	if (!queue)
		return;
	if (w->prev)
		w->prev->next = w->next;
	else
		queue->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		queue->last = w->prev;
	w->queue = NULL;
}

/** Takes the longest wait off; NULL: nobody waits. */
static inline struct cede__waiter *
cede__waiters_pop(struct cede__waiters *queue)
{
	struct cede__waiter *w = queue->first;

	if (w)
		cede__waiter_leave(w);
	return w;
}

/** Ends every wait of a queue with one result. */
static inline void
cede__waiters_resolve_all(struct cede__waiters *queue, int result)
{
	struct cede__waiter *w;

	while ((w = cede__waiters_pop(queue)) != NULL)
		cede_future_resolve(w->future, result, NULL);
}

/** Every deinit: nobody may wait. @what as "an event". */
static inline void
cede__waiters_check_empty(const struct cede__waiters *queue, const char *what)
{
	cede__check(!queue->first, "%s was deinitialised while task '%s' waits for it", what,
		cede_task_name(queue->first->task));
}

/** The start of every drop: a wait that is not done is cancelled. 1: it had been granted. */
static inline int
cede__waiter_give_up(struct cede__waiter *w)
{
	if (w->future->is_done)
		return w->future->result >= 0;
	cede_future_cancel(w->future);
	return 0;
}

/* sync.c: for conditions. */

/** Makes the task of a wait the owner, or puts the wait in the queue. */
void cede__mutex_queue(cede_mutex_t *mutex, struct cede__waiter *w);

/** 0 when the running task has locked it; CEDE_EPERM with a sentence, CEDE_ENOTASK. */
int cede__mutex_check_owner(const cede_mutex_t *mutex, const char *what);

/** Hands it over. The owner must be the running task. */
void cede__mutex_hand_over(cede_mutex_t *mutex);

#endif
