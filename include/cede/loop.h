/**
 * The loop: where tasks run. It owns a uv_loop_t (cede_run) or attaches to one
 * that the application has (<cede/uv.h>).
 *
 * There is one loop a thread; many in a process. Nothing here is global.
 */
#ifndef CEDE_LOOP_H
#define CEDE_LOOP_H

#include <cede/base.h>
#include <cede/future.h>

CEDE__BEGIN

typedef struct cede_loop cede_loop_t;

/**
 * Runs fn(arg) as the main task of a new loop until it and everything it
 * started has ended, and returns its result.
 *
 * SIGPIPE is ignored from here on, if nobody has set a disposition for it: a
 * write to a connection that was reset is then an error and not the end.
 *
 * @return what @fn returned; CEDE_ECANCELED: it was cancelled; CEDE_ENOMEM or
 *   libuv's code: the loop could not be made; CEDE_EBUSY: this thread runs one;
 *   CEDE_EDEADLK: the main task waits, and nothing is left that could wake it;
 *   CEDE_EINVAL: no @fn
 */
CEDE_API int cede_run(cede_fn *fn, void *arg);

/** Called in the loop's thread when a started task has ended; cede_error() is what is behind a code. */
typedef void cede_done_fn(int result, void *data);

/**
 * Starts a task in a loop from outside: from the application's own callbacks,
 * before uv_run() or inside it. It first runs from the ready queue, not here.
 *
 * @param done  called with the task's result; may be NULL
 * @return 0, CEDE_EINVAL, CEDE_ENOMEM, CEDE_ESHUTDOWN (the loop is being detached)
 */
CEDE_API int cede_start(cede_loop_t *loop, cede_fn *fn, void *arg, cede_done_fn *done, void *data);
CEDE_API int cede_start_at(cede_loop_t *loop, cede_fn *fn, void *arg, cede_done_fn *done,
	void *data, const char *site);

#define cede_start(loop, fn, arg, done, data) \
	cede_start_at((loop), (fn), (arg), (done), (data), CEDE_SITE(#fn))

/** The loop whose task is running; NULL outside all tasks. */
CEDE_API cede_loop_t *cede_loop_current(void);

/** Milliseconds on the loop's monotonic clock, as of the present turn of the loop. */
CEDE_API uint64_t cede_loop_now(const cede_loop_t *loop);

/* Private: a place in the loop's timer heap. Idle when all zero. */
struct cede__timer {
	void (*fire)(struct cede__timer *timer);
	struct cede_loop *loop;
	uint32_t index;      /* in the heap, from 1; 0: idle */
	uint8_t is_weak;     /* does not keep the loop alive */
	uint8_t is_reserved; /* its place in the heap is there: starting it cannot fail */
};

/** A sleep that was started. On the caller's stack. */
typedef struct cede_sleep_op {
	cede_future_t future;
	/* private */
	struct cede__timer timer;
} cede_sleep_t;

/**
 * Suspends for at least @delay_ms milliseconds. 0 lets every other ready task
 * run once. Allocates nothing.
 *
 * @return 0; CEDE_EXIT, CEDE_ETIMEDOUT; CEDE_ENOTASK; CEDE_ENOMEM (the timer
 *   heap could not grow)
 */
CEDE_API CEDE_SUSPENDS int cede_sleep(uint64_t delay_ms);

/** Starts a sleep of the running task's loop. Its result is 0. 0, CEDE_ENOTASK, CEDE_ENOMEM. */
CEDE_API int cede_sleep_start(uint64_t delay_ms, cede_sleep_t *op);

/** A wait for a signal that was started. On the caller's stack. */
typedef struct cede_signal_op {
	cede_future_t future;
	/* private */
	struct cede_signal_op *next, *prev;
	struct cede__signal_watch *watch;
} cede_signal_t;

/**
 * Waits for a signal of the process. Every waiter of every loop gets it. While
 * nobody waits the signal has its default disposition (libuv sets that).
 *
 * @return the number of the signal; CEDE_EXIT, CEDE_ETIMEDOUT; CEDE_EINVAL: no
 *   signal that can be caught; CEDE_ENOTASK; CEDE_ENOMEM
 */
CEDE_API CEDE_SUSPENDS int cede_signal_wait(int signal_number);

/** Starts the wait. 0, CEDE_EINVAL, CEDE_ENOTASK, CEDE_ENOMEM. */
CEDE_API int cede_signal_start(int signal_number, cede_signal_t *op);

CEDE__END

#endif
