/*
 * Every order of what can happen to one operation, by tests/support/interleave.h:
 * events, mutexes, semaphores, conditions, barriers.
 *
 * What was granted is the task's; what was granted to nobody the next one can have.
 */
#include <cede/sync.h>

#include "tests/support/interleave.h"

TestSuite(interleavings_sync, .timeout = 120);

/* ---- an event ---- */

static cede_event_t event;
static cede_event_wait_t event_wait;

static void
event_init(void)
{
	cede_event_init(&event);
}

static int
event_call(void)
{
	return cede_event_wait(&event);
}

static void
event_start(void)
{
	cr_assert_eq(cede_event_wait_start(&event, &event_wait), 0);
}

static cede_future_t *
event_future(void)
{
	return &event_wait.future;
}

static void
event_complete(void)
{
	cede_event_set(&event);
}

static void
event_tear_down(int first)
{
	cr_assert_eq(cede_event_is_set(&event), 1);
	cede_event_deinit(&event);
}

static const struct operation an_event = { .set_up = event_init,
	.call = event_call,
	.start = event_start,
	.future = event_future,
	.complete = event_complete,
	.tear_down = event_tear_down };

INTERLEAVE(interleavings_sync, an_event)

/* ---- a mutex: a task has it and unlocks it ---- */

static cede_mutex_t mutex;
static cede_mutex_lock_t lock;

static void
mutex_init(void)
{
	cede_mutex_init(&mutex);
}

static void
mutex_helper(void)
{
	cr_assert_eq(cede_mutex_lock(&mutex), 0);
}

static int
mutex_call(void)
{
	return cede_mutex_lock(&mutex);
}

static void
mutex_start(void)
{
	cr_assert_eq(cede_mutex_lock_start(&mutex, &lock), 0);
}

static cede_future_t *
mutex_future(void)
{
	return &lock.future;
}

static void
mutex_complete(void)
{
	cr_assert_eq(cede_mutex_unlock(&mutex), 0);
}

static void
mutex_after(int first)
{
	cr_assert_eq(mutex.owner == run.task, first == 0);
	if (first == 0)
		cr_assert_eq(cede_mutex_unlock(&mutex), 0);
}

static void
mutex_tear_down(int first)
{
	cede_mutex_deinit(&mutex);
}

static const struct operation a_lock = { .set_up = mutex_init,
	.helper = mutex_helper,
	.call = mutex_call,
	.start = mutex_start,
	.future = mutex_future,
	.complete = mutex_complete,
	.after = mutex_after,
	.tear_down = mutex_tear_down,
	.flags = COMPLETED_BY_TASK };

INTERLEAVE(interleavings_sync, a_lock)

/* ---- a semaphore ---- */

static cede_semaphore_t semaphore;
static cede_semaphore_acquire_t acquire;

static void
semaphore_init(void)
{
	cr_assert_eq(cede_semaphore_init(&semaphore, 0, 1), 0);
}

static int
semaphore_call(void)
{
	return cede_semaphore_acquire(&semaphore);
}

static void
semaphore_start(void)
{
	cr_assert_eq(cede_semaphore_acquire_start(&semaphore, &acquire), 0);
}

static cede_future_t *
semaphore_future(void)
{
	return &acquire.future;
}

static void
semaphore_complete(void)
{
	cr_assert_eq(cede_semaphore_release(&semaphore), 0);
}

static void
semaphore_tear_down(int first)
{
	cr_assert_eq(semaphore.value, first != 0, "the permit is lost or doubled");
	cede_semaphore_deinit(&semaphore);
}

static const struct operation a_permit = { .set_up = semaphore_init,
	.call = semaphore_call,
	.start = semaphore_start,
	.future = semaphore_future,
	.complete = semaphore_complete,
	.tear_down = semaphore_tear_down };

INTERLEAVE(interleavings_sync, a_permit)

/* ---- a condition ---- */

static cede_condition_t condition;
static cede_condition_wait_t condition_wait;

static void
condition_init(void)
{
	cede_mutex_init(&mutex);
	cede_condition_init(&condition);
}

static void
condition_prepare(void)
{
	cr_assert_eq(cede_mutex_lock(&mutex), 0);
}

static int
condition_call(void)
{
	return cede_condition_wait(&condition, &mutex);
}

static void
condition_start(void)
{
	cr_assert_eq(cede_condition_wait_start(&condition, &mutex, &condition_wait), 0);
}

static cede_future_t *
condition_future(void)
{
	return &condition_wait.future;
}

static void
condition_complete(void)
{
	cede_condition_notify(&condition, 1);
}

/* Called, it has the mutex on every return. */
static void
condition_after(int first)
{
	cr_assert_eq(mutex.owner == run.task, first == 0 || run.shape == CALLED);
	if (mutex.owner)
		cr_assert_eq(cede_mutex_unlock(&mutex), 0);
}

static void
condition_tear_down(int first)
{
	cede_condition_deinit(&condition);
	cede_mutex_deinit(&mutex);
}

static const struct operation a_condition = { .set_up = condition_init,
	.prepare = condition_prepare,
	.call = condition_call,
	.start = condition_start,
	.future = condition_future,
	.complete = condition_complete,
	.after = condition_after,
	.tear_down = condition_tear_down };

INTERLEAVE(interleavings_sync, a_condition)

/* ---- a barrier of two ---- */

static cede_barrier_t barrier;
static cede_barrier_wait_t barrier_wait;
static int received; /* by the other party */

static void
barrier_init(void)
{
	cr_assert_eq(cede_barrier_init(&barrier, 2), 0);
}

static int
barrier_call(void)
{
	return cede_barrier_wait(&barrier);
}

static void
barrier_start(void)
{
	cr_assert_eq(cede_barrier_wait_start(&barrier, &barrier_wait), 0);
}

static cede_future_t *
barrier_future(void)
{
	return &barrier_wait.future;
}

/* The other party. When the first is gone without having broken it, it goes too. */
static void
barrier_complete(void)
{
	cede_barrier_wait_t second;

	cr_assert_eq(cede_barrier_wait_start(&barrier, &second), 0);
	received = cede_future_result(&second.future);
	cede_future_cancel(&second.future);
}

static void
barrier_abort(void)
{
	cede_barrier_abort(&barrier);
}

static void
barrier_reset(void)
{
	cede_barrier_reset(&barrier);
}

static void
barrier_tear_down(int first)
{
	if (first == 0)
		cr_assert_eq(received, 1, "who came second was not let through");
	else
		cr_assert(received == CEDE_EBROKEN || received == CEDE_EPENDING);
	cr_assert_eq(barrier.waiting, 0);
	cede_barrier_deinit(&barrier);
}

static const struct operation a_barrier_aborted = { .set_up = barrier_init,
	.call = barrier_call,
	.start = barrier_start,
	.future = barrier_future,
	.complete = barrier_complete,
	.close = barrier_abort,
	.tear_down = barrier_tear_down,
	.on_close = CEDE_EBROKEN,
	.flags = COMPLETED_BY_TASK };

INTERLEAVE(interleavings_sync, a_barrier_aborted)

static const struct operation a_barrier_reset = { .set_up = barrier_init,
	.call = barrier_call,
	.start = barrier_start,
	.future = barrier_future,
	.complete = barrier_complete,
	.close = barrier_reset,
	.tear_down = barrier_tear_down,
	.on_close = CEDE_EBROKEN,
	.flags = COMPLETED_BY_TASK };

INTERLEAVE(interleavings_sync, a_barrier_reset)
