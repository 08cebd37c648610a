/*
 * All timers of a loop, behind one uv_timer_t.
 *
 * An array heap of four children: an entry holds its key beside the pointer, so
 * a sift compares within 64 bytes a level and never looks into a timer.
 * The key is the due time with a running number below it: timers due in the
 * same millisecond fire in the order they were started.
 *
 * A timer lives in its owner's memory (a sleeper's frame, a scope, a stream) and
 * knows its index, so stopping it is O(log n) and needs no search.
 *
 * The uv_timer_t is armed for the earliest timer or earlier, never later: it is
 * not touched when the earliest one is stopped, only when it fires for nobody.
 */
#ifndef CEDE_LOOP_TIMERS_H
#define CEDE_LOOP_TIMERS_H

#include <uv.h>

#include <cede/loop.h>

struct cede__timer_entry {
	uint64_t key;
	struct cede__timer *timer;
};

struct cede__timers {
	struct cede__timer_entry *entries; /* [1 … count]; [0] is not used */
	uint32_t count;
	uint32_t capacity;
	uint32_t reserved; /* how many places, used or not, belong to timers that reserved one */
	uint32_t reserved_used; /* how many of those places are used */
	uint32_t strong;        /* how many of them keep the loop alive */
	uint32_t serial;
	uint64_t
		armed_ms; /* when the uv_timer_t will fire; UINT64_MAX: it is stopped; 0: it is held */
	uv_timer_t uv;
};

/** 0 or libuv's code. The handle is unref'd while no timer needs it. */
int cede__timers_init(cede_loop_t *loop);

/** Stops everything and closes the handle; `closed` is called when libuv has let go. */
void cede__timers_close(cede_loop_t *loop, uv_close_cb closed);

/**
 * Time is a test's: the handle is active and never fires, so that a timer keeps the
 * loop alive as before; the test calls cede__timers_fire().
 */
void cede__timers_hold(cede_loop_t *loop);

/** Fires what is due. In a callback of libuv's. */
void cede__timers_fire(cede_loop_t *loop);

/** When the earliest one is due, weak ones too; UINT64_MAX: there is none. */
uint64_t cede__timers_next(const cede_loop_t *loop);

/** Frees the heap, after the handle was closed. */
void cede__timers_deinit(cede_loop_t *loop);

/**
 * Starts an idle timer: timer->fire(timer) is called in `delay_ms`, at the
 * earliest, with the timer idle again. Saturates. 0, or CEDE_ENOMEM.
 */
int cede__timer_start(cede_loop_t *loop, struct cede__timer *timer, uint64_t delay_ms);

/**
 * Keeps a place for a timer, so that starting it cannot fail: for what must go on
 * where there is no memory. Until cede__timer_unreserve(). 0, or CEDE_ENOMEM.
 */
int cede__timer_reserve(cede_loop_t *loop, struct cede__timer *timer);

/** Gives the place back; stops the timer. */
void cede__timer_unreserve(cede_loop_t *loop, struct cede__timer *timer);

/** From now on it keeps the loop alive while it runs, or does not. */
void cede__timer_set_weak(struct cede__timer *timer, int is_weak);

/** Idle timers are left alone. */
void cede__timer_stop(struct cede__timer *timer);

#endif
