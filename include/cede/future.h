/**
 * Futures: the one thing a task waits for.
 *
 * A future is a small struct in the caller's memory, usually on the stack of
 * the coroutine that awaits it: pending, then done with a result. Every call
 * of cede that suspends, cede_X(…), is cede_X_start(…, &op) followed by
 * cede_await(&op.future); both are public, so that several can be started and
 * awaited together:
 *
 *     cede_read_t rd;
 *     cede_sleep_t tick;
 *     cede_read_start(s, buf, sizeof buf, &rd);
 *     cede_sleep_start(1000, &tick);
 *     int i = cede_select(2, (cede_future_t *[]){ &rd.future, &tick.future });
 *
 * and any callback of any C API becomes awaitable: initialise a future, state
 * how the thing it stands for is cancelled, resolve it in the callback.
 *
 * What must hold: a future that was started stays where it is, in memory that
 * lives, until it is done. Every call below that waits leaves no future of its
 * own behind, however it ends.
 *
 * Threads: all calls in the thread of the loop.
 */
#ifndef CEDE_FUTURE_H
#define CEDE_FUTURE_H

#include <cede/base.h>

CEDE__BEGIN

typedef struct cede_future cede_future_t;
typedef struct cede_task cede_task_t;

/**
 * Cancels what a pending future stands for. Called by the library, at most
 * once, when the wait for it is given up. It must resolve the future before it
 * returns (usually with CEDE_ECANCELED), and after it nothing may touch the
 * future's memory any more.
 */
typedef void cede_future_cancel_fn(cede_future_t *future);

struct cede_future {
	/* read-only */
	int is_done;
	int result;  /**< when done: 0 or a count, or a negative code */
	void *value; /**< when done: whatever was handed over with the result */

	/* private */
	cede_task_t *waiter; /* the one task suspended in an await of it */
	cede_future_cancel_fn *cancel;
};

/**
 * Makes a pending future.
 *
 * @param cancel  how to cancel what it stands for; NULL: there is nothing to
 *                cancel, giving up the wait only resolves it with CEDE_ECANCELED
 */
CEDE_API void cede_future_init(cede_future_t *future, cede_future_cancel_fn *cancel);

/**
 * Completes a pending future and makes the task that awaits it ready. Resolving
 * one that is done does nothing: the first result stands.
 *
 * @return 0, or CEDE_EALREADY
 *
 * Never suspends and never runs the task inside the caller. Inside a callback
 * of libuv or outside, in or out of uv_run().
 */
CEDE_API int cede_future_resolve(cede_future_t *future, int result, void *value);

/** Cancels what a pending future stands for; it is done afterwards. A done one is left alone. */
CEDE_API void cede_future_cancel(cede_future_t *future);

/** The result, or CEDE_EPENDING. Never suspends. */
CEDE_API int cede_future_result(const cede_future_t *future);

/**
 * Waits until a future is done and returns its result.
 *
 * One that is done already does not wait, also in a task that is being closed:
 * completed beats cancelled. Now and then the other ready tasks get a turn all
 * the same.
 *
 * @return its result; CEDE_EXIT, CEDE_ETIMEDOUT: the task was closed or a
 *   timeout scope has passed, and the future was cancelled; CEDE_EAWAITED:
 *   another task awaits it; CEDE_ENOTASK: called outside a task, nothing was
 *   cancelled
 *
 * Suspends. A cancel cancels the future first.
 */
CEDE_API CEDE_SUSPENDS int cede_await(cede_future_t *future);

/**
 * Waits until one of several futures is done, cancels the others, and returns
 * the index of the first that is done. One of the others that finished all the
 * same keeps its result: look at is_done and result.
 *
 * @param count    at least 1
 * @param futures  started ones; the array is not kept
 * @return an index; CEDE_EXIT, CEDE_ETIMEDOUT: all were cancelled; CEDE_EINVAL;
 *   CEDE_EAWAITED; CEDE_ENOTASK
 *
 * Suspends. A cancel cancels all of them.
 */
CEDE_API CEDE_SUSPENDS int cede_select(int count, cede_future_t *const futures[]);

/** cede_select() that leaves the others running when one is done. As every wait, it lets others run now and then. */
CEDE_API CEDE_SUSPENDS int cede_wait_any(int count, cede_future_t *const futures[]);

/**
 * Waits until all of several futures are done, whatever their results.
 *
 * @return 0; CEDE_EXIT, CEDE_ETIMEDOUT: those still pending were cancelled;
 *   CEDE_EINVAL; CEDE_EAWAITED; CEDE_ENOTASK
 *
 * Suspends.
 */
CEDE_API CEDE_SUSPENDS int cede_wait_all(int count, cede_future_t *const futures[]);

CEDE__END

#endif
