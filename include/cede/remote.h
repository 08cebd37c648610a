/**
 * From other threads: calls into a loop, tasks started in it, promises kept to
 * what it awaits. These are the only calls of cede that concern a loop and may be
 * made outside its thread.
 *
 *     static void *compute(void *arg)              // a thread of yours
 *     {
 *             cede_promise_resolve(arg, 42, NULL);
 *             return NULL;
 *     }
 *
 *     cede_promised_t answer;                      // in a task
 *     cede_promise_t *promise;
 *     r = cede_promise_create(&answer, NULL, &promise);
 *     …pthread_create(&thread, NULL, compute, promise)…
 *     r = cede_await(&answer.future);              // 42
 *
 * A loop that has been detached is no danger to those who still have its remote
 * or a promise: they are told CEDE_ESHUTDOWN.
 */
#ifndef CEDE_REMOTE_H
#define CEDE_REMOTE_H

#include <cede/base.h>
#include <cede/future.h>
#include <cede/loop.h>

CEDE__BEGIN

/** A loop, for other threads. There is one a loop; counted references. It does not keep the loop alive. */
typedef struct cede_remote cede_remote_t;

/**
 * The loop's remote, made at the first call.
 *
 * @return one reference, the caller's: end it with cede_remote_unref(), in any
 *   thread; NULL: no memory, no descriptor, or the loop is at its end
 *
 * The loop's thread.
 */
CEDE_API cede_remote_t *cede_loop_remote(cede_loop_t *loop);

/** One more reference. Returns @remote; NULL is allowed. Any thread. */
CEDE_API cede_remote_t *cede_remote_ref(cede_remote_t *remote);

/** One reference less; NULL is allowed. Returns NULL. Any thread. */
CEDE_API cede_remote_t *cede_remote_unref(cede_remote_t *remote);

/** What is called in a loop: outside all tasks. It may start, resolve and cancel, and not suspend. */
typedef void cede_remote_fn(void *arg);

/**
 * Lets fn(arg) be called in the loop's thread, between two callbacks of libuv,
 * after everything that was posted before. A call that waits to be made does not
 * keep the loop alive. What has been posted when the loop is detached is still
 * called, by the detach: @fn is called exactly once if this returns 0, and never
 * otherwise.
 *
 * @return 0; CEDE_ESHUTDOWN: the loop was detached; CEDE_EINVAL; CEDE_ENOMEM
 *
 * Any thread, also the loop's own: @fn is never called inside this. No lock is
 * held while it is.
 */
CEDE_API int cede_remote_call(cede_remote_t *remote, cede_remote_fn *fn, void *arg);

/**
 * cede_start() from any thread: fn(arg) becomes a task of the loop.
 *
 * @param done  called in the loop's thread, once, if this returns 0: with the
 *   task's result; CEDE_ENOMEM, CEDE_ESHUTDOWN: there was no memory for it, or the
 *   loop was being detached, and it never ran. May be NULL
 * @return as cede_remote_call(); @fn and @done are not called unless it is 0
 */
CEDE_API int cede_remote_start(cede_remote_t *remote, cede_fn *fn, void *arg, cede_done_fn *done,
	void *data);
CEDE_API int cede_remote_start_at(cede_remote_t *remote, cede_fn *fn, void *arg, cede_done_fn *done,
	void *data, const char *site);

#define cede_remote_start(remote, fn, arg, done, data) \
	cede_remote_start_at((remote), (fn), (arg), (done), (data), CEDE_SITE(#fn))

/** The end of a promise that other threads have: they keep it, once. */
typedef struct cede_promise cede_promise_t;

/** The end that a task awaits. On the caller's stack. */
typedef struct cede_promised {
	cede_future_t future; /**< result and value: what the promise is resolved with */

	/* private */
	cede_promise_t *promise; /* NULL: it was kept, or given up */
} cede_promised_t;

/**
 * Makes a promise. While it is awaited or can be, the loop does not end.
 *
 * A cancel gives it up at once: whoever has the promise resolves it all the same,
 * and its value goes to @value_dtor. Nobody but the promise and a cancel may
 * resolve the future.
 *
 * @param value_dtor   releases a value that nobody takes; in the loop's thread, or
 *   in the one that resolves when the loop is gone. May be NULL
 * @param ret_promise  to be resolved exactly once
 * @return 0; CEDE_ENOTASK; CEDE_ENOMEM or libuv's code
 *
 * In a task; never suspends.
 */
CEDE_API int cede_promise_create(cede_promised_t *op, cede_dtor_fn *value_dtor,
	cede_promise_t **ret_promise);

/**
 * Keeps a promise: what was awaited is done, with this result and value. The
 * promise is gone then. Allocates nothing.
 *
 * @param value  handed over in every case; if it is not wanted any more, to value_dtor
 * @return 0; CEDE_ESHUTDOWN: the loop was detached, and @value has been released
 *
 * Any thread.
 */
CEDE_API int cede_promise_resolve(cede_promise_t *promise, int result, void *value);

/** Was it given up? Then there is no use in going on; it must be resolved all the same. Any thread. */
CEDE_API int cede_promise_is_cancelled(const cede_promise_t *promise);

CEDE__END

#endif
