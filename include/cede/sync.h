/**
 * What tasks of one loop tell each other with: events, mutexes, semaphores,
 * conditions, barriers. Values are passed by channels, <cede/channel.h>.
 *
 *     cede_mutex_t m = CEDE_MUTEX_INIT;
 *
 *     r = cede_mutex_lock(&m);
 *     if (r < 0)
 *             return r;
 *     …
 *     cede_mutex_unlock(&m);
 *
 * Objects lie in the caller's memory, must not be moved, and outlive every wait
 * for them; nothing here allocates. A deinit checks that nobody waits.
 *
 * All are fair: what is released is handed to the longest waiter, at once and by
 * whoever releases, so nobody who comes later can be faster. A wait that was
 * granted is done, and done beats cancelled: the await returns success also
 * in a task that was cancelled in the same turn, and the cancel is delivered at
 * its next await. A wait that is cancelled before it was granted leaves the
 * queue; nothing is lost.
 *
 * For cede_select() each wait has a _start(…, &op). When it has returned, each
 * of the others may have been granted too: is_done and result of its future say
 * so, and what was granted and is not wanted must be given back, by _drop(&op).
 * Drop does nothing about an op that got nothing.
 *
 * A call that may suspend returns CEDE_EXIT or CEDE_ETIMEDOUT at once, and takes
 * nothing, in a task that is being closed or in an expired scope; so does its
 * _start, whose op is then not started.
 *
 * Threads: an object belongs to one loop, its calls to the loop's thread. What is
 * not marked CEDE_SUSPENDS may be called outside tasks too, where it says no
 * other.
 */
#ifndef CEDE_SYNC_H
#define CEDE_SYNC_H

#include <limits.h>

#include <cede/base.h>
#include <cede/future.h>

CEDE__BEGIN

/* Private: a first in, first out queue of waits. Empty when all zero. */
struct cede__waiters {
	struct cede__waiter *first, *last;
};

/* Private: the place of one wait in a queue. Idle when all zero. */
struct cede__waiter {
	struct cede__waiter *prev, *next;
	struct cede__waiters *queue; /* NULL: idle */
	cede_task_t *task;           /* the one that started it; not a reference */
	cede_future_t *future;
};

/* ---- events ---- */

/** Something that has happened or has not. In the caller's memory. */
typedef struct cede_event {
	/* private */
	int is_set;
	struct cede__waiters waiters;
} cede_event_t;

/* clang-format off */
#define CEDE_EVENT_INIT { 0, { NULL, NULL } }
/* clang-format on */

/** A wait for an event that was started. On the caller's stack. */
typedef struct cede_event_wait_op {
	cede_future_t future;
	/* private */
	struct cede__waiter waiter;
} cede_event_wait_t;

/** Makes an event that is not set. */
CEDE_API void cede_event_init(cede_event_t *event);

/** Ends it. Aborts with a sentence when a task waits for it. */
CEDE_API void cede_event_deinit(cede_event_t *event);

/** Sets it: all who wait are ready, also if it is cleared before they run. */
CEDE_API void cede_event_set(cede_event_t *event);

/** Who waits from now on waits for the next cede_event_set(). */
CEDE_API void cede_event_clear(cede_event_t *event);

/** Is it set? */
CEDE_API int cede_event_is_set(const cede_event_t *event);

/**
 * Waits until it is set.
 *
 * @return 0; CEDE_EXIT, CEDE_ETIMEDOUT; CEDE_ENOTASK
 *
 * Suspends. A cancel leaves no trace.
 */
CEDE_API CEDE_SUSPENDS int cede_event_wait(cede_event_t *event);

/** Starts the wait. Its result is 0. 0, CEDE_EXIT, CEDE_ETIMEDOUT, CEDE_ENOTASK. */
CEDE_API int cede_event_wait_start(cede_event_t *event, cede_event_wait_t *op);

/* ---- mutexes ---- */

/**
 * Lets one task at a time through. Between two awaits a task is alone anyway; a
 * mutex is for what must stay whole across awaits.
 */
typedef struct cede_mutex {
	/* read-only */
	cede_task_t *owner; /**< NULL: nobody has locked it. A reference */

	/* private */
	struct cede__waiters waiters;
} cede_mutex_t;

/* clang-format off */
#define CEDE_MUTEX_INIT { NULL, { NULL, NULL } }
/* clang-format on */

/** A lock that was started. On the caller's stack. */
typedef struct cede_mutex_lock_op {
	cede_future_t future;
	/* private */
	struct cede__waiter waiter;
	cede_mutex_t *mutex;
} cede_mutex_lock_t;

/** Makes an unlocked mutex. */
CEDE_API void cede_mutex_init(cede_mutex_t *mutex);

/** Ends it. Aborts with a sentence when it is locked. */
CEDE_API void cede_mutex_deinit(cede_mutex_t *mutex);

/**
 * Locks it, waiting for as long as others are before the caller.
 *
 * @return 0; CEDE_EXIT, CEDE_ETIMEDOUT: not locked; CEDE_EDEADLK: the caller has
 *   locked it already, or the task that locked it has ended; CEDE_ENOTASK
 *
 * Suspends. A cancel gives up the place in the queue.
 */
CEDE_API CEDE_SUSPENDS int cede_mutex_lock(cede_mutex_t *mutex);

/** Starts it. When the result is 0 the task that called this has locked it. As cede_mutex_lock(). */
CEDE_API int cede_mutex_lock_start(cede_mutex_t *mutex, cede_mutex_lock_t *op);

/** Unlocks the mutex if the op has locked it; cancels an op that waits. By the task that started it. */
CEDE_API void cede_mutex_lock_drop(cede_mutex_lock_t *op);

/** Locks it if nobody has. 0; CEDE_EAGAIN: somebody has; CEDE_EDEADLK: the caller has; CEDE_ENOTASK. */
CEDE_API int cede_mutex_try_lock(cede_mutex_t *mutex);

/**
 * Unlocks it: it is the longest waiter's at once.
 *
 * @return 0; CEDE_EPERM: not locked, or by another task (cede_error() names it);
 *   CEDE_ENOTASK: outside a task. Also in a task that is being closed.
 */
CEDE_API int cede_mutex_unlock(cede_mutex_t *mutex);

/** Has some task locked it? */
CEDE_API int cede_mutex_is_locked(const cede_mutex_t *mutex);

/* ---- semaphores ---- */

/** A number of permits. Who acquires one need not be who releases it. */
typedef struct cede_semaphore {
	/* read-only */
	unsigned value; /**< permits that are left; 0 while anybody waits */
	unsigned max;

	/* private */
	struct cede__waiters waiters;
} cede_semaphore_t;

/** @p value permits, no bound. */
/* clang-format off */
#define CEDE_SEMAPHORE_INIT(value) { (value), UINT_MAX, { NULL, NULL } }
/* clang-format on */

/** An acquire that was started. On the caller's stack. */
typedef struct cede_semaphore_acquire_op {
	cede_future_t future;
	/* private */
	struct cede__waiter waiter;
	cede_semaphore_t *semaphore;
} cede_semaphore_acquire_t;

/**
 * Makes a semaphore of @value permits.
 *
 * @param max  there are never more; 0: no bound
 * @return 0; CEDE_EINVAL: @value is above @max
 */
CEDE_API int cede_semaphore_init(cede_semaphore_t *semaphore, unsigned value, unsigned max);

/** Ends it. Aborts with a sentence when a task waits for it. */
CEDE_API void cede_semaphore_deinit(cede_semaphore_t *semaphore);

/**
 * Takes a permit, waiting for one.
 *
 * @return 0; CEDE_EXIT, CEDE_ETIMEDOUT: none was taken; CEDE_ENOTASK
 *
 * Suspends. A cancel gives up the place in the queue.
 */
CEDE_API CEDE_SUSPENDS int cede_semaphore_acquire(cede_semaphore_t *semaphore);

/** Starts it. Its result is 0. 0, CEDE_EXIT, CEDE_ETIMEDOUT, CEDE_ENOTASK. */
CEDE_API int cede_semaphore_acquire_start(cede_semaphore_t *semaphore,
	cede_semaphore_acquire_t *op);

/** Releases the permit that the op got, if it did; cancels an op that waits. */
CEDE_API void cede_semaphore_acquire_drop(cede_semaphore_acquire_t *op);

/** Takes a permit if there is one. 0, CEDE_EAGAIN. */
CEDE_API int cede_semaphore_try_acquire(cede_semaphore_t *semaphore);

/** Gives one permit: to the longest waiter, if any. 0; CEDE_EINVAL: that would be more than the bound. */
CEDE_API int cede_semaphore_release(cede_semaphore_t *semaphore);

/* ---- conditions ---- */

/** A place to wait, with a mutex unlocked, for news about what the mutex guards. */
typedef struct cede_condition {
	/* private */
	struct cede__waiters waiters;
} cede_condition_t;

/* clang-format off */
#define CEDE_CONDITION_INIT { { NULL, NULL } }
/* clang-format on */

/** A wait for a condition that was started. On the caller's stack. */
typedef struct cede_condition_wait_op {
	cede_future_t future;
	/* private */
	struct cede__waiter waiter; /* in the condition's queue; notified: in the mutex's */
	cede_condition_t *condition;
	cede_mutex_t *mutex;
	int is_notified;
} cede_condition_wait_t;

CEDE_API void cede_condition_init(cede_condition_t *condition);

/** Ends it. Aborts with a sentence when a task waits for it. */
CEDE_API void cede_condition_deinit(cede_condition_t *condition);

/**
 * Unlocks @mutex, waits to be notified, and locks it again.
 *
 *     while (!there_is_work && r == 0)
 *             r = cede_condition_wait(&c, &m);
 *
 * The mutex is locked by the caller on every return, whatever the code.
 *
 * @return 0: notified; CEDE_EXIT, CEDE_ETIMEDOUT; CEDE_EPERM: the caller has not
 *   locked @mutex; CEDE_EINVAL: others wait with another mutex; CEDE_ENOTASK
 *
 * Suspends. A cancel ends the wait, then waits for the mutex, inside a shield of
 * its own that has no deadline: so the task must not be kept from it for ever by
 * who holds the mutex. A notification that came first is passed on to the next
 * waiter. Should the mutex's owner have ended without unlocking it, the program
 * is aborted with a sentence.
 */
CEDE_API CEDE_SUSPENDS int cede_condition_wait(cede_condition_t *condition, cede_mutex_t *mutex);

/**
 * Starts it: unlocks the mutex. It is locked by the caller when the result is 0.
 * When the result is CEDE_ECANCELED, as when cede_select() cancelled it, it is
 * not: lock it. As cede_condition_wait(); on a code here it is still locked.
 */
CEDE_API int cede_condition_wait_start(cede_condition_t *condition, cede_mutex_t *mutex,
	cede_condition_wait_t *op);

/** Notifies the @count that have waited longest. Who calls it may hold the mutex or not. */
CEDE_API void cede_condition_notify(cede_condition_t *condition, unsigned count);

/** Notifies all who wait now. */
CEDE_API void cede_condition_notify_all(cede_condition_t *condition);

/* ---- barriers ---- */

/** Lets tasks through when there are enough of them, and is then ready for as many again. */
typedef struct cede_barrier {
	/* read-only */
	unsigned parties;
	unsigned waiting; /**< that many wait now */
	int is_broken;

	/* private */
	struct cede__waiters waiters;
} cede_barrier_t;

/** @p parties from 1 to INT_MAX. */
/* clang-format off */
#define CEDE_BARRIER_INIT(parties) { (parties), 0, 0, { NULL, NULL } }
/* clang-format on */

/** A wait at a barrier that was started. On the caller's stack. */
typedef struct cede_barrier_wait_op {
	cede_future_t future;
	/* private */
	struct cede__waiter waiter;
	cede_barrier_t *barrier;
} cede_barrier_wait_t;

/** 0; CEDE_EINVAL: @parties is 0 or above INT_MAX. */
CEDE_API int cede_barrier_init(cede_barrier_t *barrier, unsigned parties);

/** Ends it. Aborts with a sentence when a task waits for it. */
CEDE_API void cede_barrier_deinit(cede_barrier_t *barrier);

/**
 * Waits until as many tasks wait as the barrier has parties.
 *
 * @return how many came before the caller in this round, from 0 on;
 *   CEDE_EBROKEN: it is broken, or was broken or reset meanwhile; CEDE_EXIT,
 *   CEDE_ETIMEDOUT; CEDE_ENOTASK
 *
 * Suspends. A cancel of one who waits breaks the barrier: the others would
 * wait for a party that does not come.
 */
CEDE_API CEDE_SUSPENDS int cede_barrier_wait(cede_barrier_t *barrier);

/** Starts it. Its result is the index or CEDE_EBROKEN. 0, CEDE_EXIT, CEDE_ETIMEDOUT, CEDE_ENOTASK. */
CEDE_API int cede_barrier_wait_start(cede_barrier_t *barrier, cede_barrier_wait_t *op);

/** Breaks it: all who wait, and all who come, get CEDE_EBROKEN until it is reset. */
CEDE_API void cede_barrier_abort(cede_barrier_t *barrier);

/** Makes it whole and empty; who waits gets CEDE_EBROKEN. */
CEDE_API void cede_barrier_reset(cede_barrier_t *barrier);

CEDE__END

#endif
