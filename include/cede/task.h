/**
 * Tasks: coroutines that the loop drives.
 *
 * A task that is not done is either ready to run or waiting for exactly one
 * thing. It is driven by send, and closed to cancel it: there is no other way.
 *
 * Cancellation is close. cede_task_cancel() is a request; when it is delivered,
 * what the task awaits is cancelled first, then that await returns CEDE_EXIT,
 * and so does every further one at once: clean up and return. Whoever waits for
 * the task sees CEDE_ECANCELED. Cleanup that must wait does so in a shield
 * (<cede/scope.h>).
 */
#ifndef CEDE_TASK_H
#define CEDE_TASK_H

#include <cede/base.h>
#include <cede/future.h>
#include <cede/loop.h>

CEDE__BEGIN

/** The running task; NULL outside all. Borrowed. */
CEDE_API cede_task_t *cede_task_current(void);

/** One more reference. Returns @task. */
CEDE_API cede_task_t *cede_task_ref(cede_task_t *task);

/** One reference less; NULL is allowed. A task lives on while it runs. Returns NULL. */
CEDE_API cede_task_t *cede_task_unref(cede_task_t *task);

/**
 * Asks a task to end. It never runs the task inside the caller: the close comes
 * from the ready queue, in the same turn of the loop. A result that was already
 * there is received first. One that has not started never runs its body.
 * May be called on oneself, on one's parent, twice, and on a finished task.
 *
 * @return 1: asked; 0: the task had ended or had been asked already
 */
CEDE_API int cede_task_cancel(cede_task_t *task);

/** Has it ended? */
CEDE_API int cede_task_is_done(const cede_task_t *task);

/** Its result, CEDE_ECANCELED if it was cancelled, CEDE_EPENDING while it runs. */
CEDE_API int cede_task_result(const cede_task_t *task);

/** What it handed to cede_return(), NULL while it runs. Stays the task's. */
CEDE_API void *cede_task_value(const cede_task_t *task);

/** Its name, never NULL. */
CEDE_API const char *cede_task_name(const cede_task_t *task);

/** "file:line" where it was spawned, "" where unknown. */
CEDE_API const char *cede_task_place(const cede_task_t *task);

/** A wait for the end of a task that was started. On the caller's stack. */
typedef struct cede_join_op {
	cede_future_t future;
	/* private */
	struct cede_join_op *next, *prev;
	cede_task_t *task;
} cede_join_t;

/**
 * Waits until a task has ended.
 *
 * @param ret_value  what it returned by cede_return(); may be NULL; stays the task's
 * @return its result; CEDE_ECANCELED: it was cancelled; CEDE_EXIT, CEDE_ETIMEDOUT:
 *   about the caller, the task goes on; CEDE_EDEADLK: a task awaits itself; CEDE_ENOTASK
 */
CEDE_API CEDE_SUSPENDS int cede_join(cede_task_t *task, void **ret_value);

/** Starts the wait. Cancelling it does not cancel the task. 0, CEDE_EDEADLK. */
CEDE_API int cede_join_start(cede_task_t *task, cede_join_t *op);

CEDE__END

#endif
