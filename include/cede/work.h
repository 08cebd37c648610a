/**
 * Work: functions that block or compute for long, on libuv's thread pool, while
 * the loop goes on.
 *
 *     struct lookup l = { .host = "localhost" };
 *     r = cede_work(look_up, &l);              // l is on the stack: that is safe
 *
 * The pool has four threads for the whole process (UV_THREADPOOL_SIZE), and
 * libuv's own file operations and name lookups run there too. A loop uses
 * `work_limit` of them at a time (<cede/uv.h>), four unless told otherwise; who
 * comes next waits, first come, first served.
 *
 * What a cancel does, be it a close or a timeout:
 *
 *     function            cede_work()                     cede_work_own(), cede_work_start()
 *     waits its turn      it never runs; returns at once  it never runs; returns at once
 *     waits in libuv      the same                        the same
 *     runs                returns what it returned, when  returns at once; the function goes on,
 *                         it has; the next await refuses  then its argument is released
 *     has returned        its result is returned          its result is returned
 *
 * It has returned when the loop has been told, in a turn after the thread was done;
 * until then it runs, here and below.
 *
 * A function runs in a thread of the pool, on a stack of its own. It may not call
 * cede, other than <cede/remote.h> as any thread and the calls that say "Any
 * thread". It returns 0 or a count, or a negative code, and other results by way
 * of its argument.
 *
 * A loop is not detached before the functions that it has given up have returned.
 * No call asks for memory when as many have run before at a time.
 */
#ifndef CEDE_WORK_H
#define CEDE_WORK_H

#include <cede/base.h>
#include <cede/future.h>
#include <cede/loop.h>

CEDE__BEGIN

/**
 * Runs fn(arg) in a thread of the pool and waits for it. The function never uses
 * @arg after this has returned.
 *
 * @return what @fn returned; CEDE_EXIT, CEDE_ETIMEDOUT: given up before it began,
 *   it never runs; CEDE_ENOTASK; CEDE_EINVAL; CEDE_ENOMEM
 *
 * Suspends. A cancel: see above. A function that never returns is one that the
 * task cannot be rid of.
 */
CEDE_API CEDE_SUSPENDS int cede_work(cede_fn *fn, void *arg);

/**
 * The same with an argument that is handed over, so that the wait can be given up
 * at any time. On a result of 0 or more the argument is the caller's again; on
 * any negative code @arg_dtor has released it, or does as soon as the function has
 * returned.
 *
 * @param arg_dtor  called in the loop's thread; it may not suspend. NULL: @arg needs
 *   no release, and lives longer than the function runs
 * @return as cede_work(); also CEDE_EXIT, CEDE_ETIMEDOUT when it goes on by itself
 *
 * Suspends.
 */
CEDE_API CEDE_SUSPENDS int cede_work_own(cede_fn *fn, void *arg, cede_dtor_fn *arg_dtor);

/** A function that was started. On the caller's stack. */
typedef struct cede_work {
	cede_future_t future; /**< result: what the function returned */

	/* private */
	struct cede_work *next, *prev; /* while it waits its turn */
	struct cede__work_slot *slot;  /* while libuv has it */
	cede_loop_t *loop;
	cede_fn *fn;
	void *arg;
	cede_dtor_fn *arg_dtor;
	void (*returned)(struct cede_work *op, int result); /* told instead of the future */
	cede_dtor_fn *stop;                                 /* of the argument, when it is held */
	int is_held; /* given up while it ran, in a call that waits all the same */
} cede_work_t;

/**
 * Starts cede_work_own(): to be awaited, or put into a cede_select(). Its future
 * done with 0 or more: the argument is the caller's again. A negative code, from
 * this or in the future: it has been or will be released.
 *
 * @return 0; CEDE_ENOTASK; CEDE_EINVAL; CEDE_ENOMEM
 */
CEDE_API int cede_work_start(cede_fn *fn, void *arg, cede_dtor_fn *arg_dtor, cede_work_t *op);

CEDE__END

#endif
