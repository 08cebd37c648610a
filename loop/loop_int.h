/*
 * The loop, for loop/ itself and the layer above.
 *
 * The ready queue is first in, first out. It is drained when the outermost
 * callback of ours returns (enter/leave), so what libuv's callback made ready
 * runs in the same turn of the loop. A drain has a budget: tasks that are always
 * ready must not keep the loop from its sockets and timers. What is left over,
 * and what is made ready outside any callback of ours, is taken up by the idle
 * handle, which keeps the loop alive and from blocking for as long.
 *
 * Invariants
 * - A task that is not done is in the ready queue, or waits for exactly one
 *   thing, or is the one that runs.
 * - The idle handle is active if the queue is not empty and no callback of ours
 *   is on the C stack.
 * - `open` counts the libuv handles that have been opened and not been let go
 *   of, and the requests that libuv has; when only the idle handle is left, that
 *   is closed too, and the loop is freed in its close callback.
 */
#ifndef CEDE_LOOP_LOOP_INT_H
#define CEDE_LOOP_LOOP_INT_H

#include <uv.h>

#include <cede/loop.h>
#include <cede/task.h>
#include <cede/uv.h>

#include "coro/check.h"
#include "coro/list.h"
#include "loop/buffers.h"
#include "loop/file_blocks.h"
#include "loop/timers.h"
#include "loop/work.h"

/* Resumes of one drain, before libuv gets its turn. */
#define CEDE__LOOP_BUDGET        1000
#define CEDE__LOOP_BUDGET_NS     5000000
#define CEDE__LOOP_LOOKS_AT_TIME 8 /* every so many of them */

struct cede__signal_watch;
struct cede__uv_block;

/* What libuv's pool does for the layer above with a limit of its own; that layer uses it. */
struct cede__lookups {
	unsigned limit; /* 0: the default */
	unsigned running;
	struct cede__list waiting; /* first come, first served */
};

struct cede_loop {
	uv_loop_t *uv;
	cede_task_t *ready_first, *ready_last; /* linked by cede_task::next_ready */
	unsigned depth;                        /* callbacks of ours, and drains, on the C stack */
	int is_run;                            /* cede_run()'s, which detaches it itself */
	int is_detaching;                      /* no more tasks; see loop.c */
	int is_emptied;                        /* no task is left, what was open is closed */
	int is_closing;                        /* no child either, and the handles go */
	uint64_t now_ms;               /* what cede__loop_time() says inside a callback of ours */
	const uint64_t *clock_ms;      /* a test's clock; NULL: libuv's */
	struct cede__testing *testing; /* NULL: it is not under test */
	struct cede__timers timers;
	struct cede__buffers buffers;
	uv_idle_t idle;
	unsigned open;
	uint32_t tasks_made;
	unsigned in_flight;       /* requests of ours that libuv's thread pool may have */
	struct cede__list tasks;  /* cede_task::link: all that have not ended */
	struct cede__list failed; /* cede_task::link: ended, kept by groups that may be forgotten */
	struct cede__list ignorers;  /* cede_task::link: ended, but their stacks are not free */
	struct cede__list resources; /* cede__resource::link */
	struct cede__list children;  /* cede_process::link: all that run */
	struct cede__signal_watch *watches;
	struct cede_remote *remote; /* made at its first use */
	struct cede__works works;
	struct cede__lookups lookups;
	struct cede__file_blocks files;
	struct cede__uv_block *free_blocks; /* uv_adapters.c */
	unsigned free_block_count;
	cede_task_t *free_tasks; /* linked by cede_task::next_ready; task.c */
	unsigned free_task_count;
	unsigned worker_index, worker_count; /* 0 and 0: it is no worker's */
	cede_detached_fn *detached;          /* may be NULL */
	void *detached_data;
};

/*
 * What holds libuv handles open on behalf of a user (a stream, a listener), so
 * that a detach can close what was left. close() must take it off the list.
 */
struct cede__resource {
	struct cede__list link;
	void (*close)(struct cede__resource *resource);
};

/** The one place where time is read: libuv's, of this turn of the loop, or a test's. */
static inline uint64_t
cede__loop_read_time(const cede_loop_t *loop)
{
	return cede__likely(!loop->clock_ms) ? uv_now(loop->uv) : *loop->clock_ms;
}

/** Milliseconds, as of this turn of the loop. */
static inline uint64_t
cede__loop_time(const cede_loop_t *loop)
{
	return cede__likely(loop->depth > 0) ? loop->now_ms : cede__loop_read_time(loop);
}

/** Time as of now, for deadlines: a task may have been computing for long. */
static inline uint64_t
cede__loop_update_time(cede_loop_t *loop)
{
	uv_update_time(loop->uv);
	return loop->now_ms = cede__loop_read_time(loop);
}

/** Every callback that libuv makes into the library is between these two. */
static inline void
cede__loop_enter(cede_loop_t *loop)
{
	if (loop->depth++ == 0)
		loop->now_ms = cede__loop_read_time(loop);
}

/** Runs what has become ready, if this was the outermost. */
void cede__loop_leave(cede_loop_t *loop);

/** Puts a task at the end of the ready queue. It must not be in it. */
void cede__loop_make_ready(cede_loop_t *loop, cede_task_t *task);

/** Counts a libuv handle that was opened; its close callback calls cede__loop_closed(). */
static inline void
cede__loop_opened(cede_loop_t *loop)
{
	loop->open++;
}

/** All but the idle handle are closed. */
void cede__loop_end_closing(cede_loop_t *loop);

static inline void
cede__loop_closed(cede_loop_t *loop)
{
	cede__assert(loop->open > 1);
	if (cede__unlikely(--loop->open == 1))
		cede__loop_end_closing(loop);
}

/**
 * What every call that may suspend asks first: 0 in a task whose awaits may wait
 * now, with its loop; or the code to return at once.
 */
int cede__await_admit(cede_loop_t **ret_loop);

/**
 * cede_run(), with a look at the loop before the main task is made: a negative code
 * of `attached` is returned, and nothing runs.
 */
int cede__run_with(cede_fn *fn, void *arg, int (*attached)(cede_loop_t *loop, void *data),
	void *data);

/** Has fn(result, data) called when a task has ended, in whichever way, its body run or not. */
void cede__task_on_end(cede_task_t *task, cede_done_fn *fn, void *data);

/* signal.c */
void cede__signals_close(cede_loop_t *loop);

/** Is there a wait for one that was started and has not ended? */
int cede__signals_are_awaited(const cede_loop_t *loop);

/* uv_adapters.c: frees what is kept for requests. */
void cede__uv_blocks_deinit(cede_loop_t *loop);

#endif
