/*
 * What a thread keeps for its coroutines: who is executing, what crosses the
 * next switch, and the pools that objects and stacks come from.
 *
 * Invariants
 * - A coroutine holds its thread's record from its first send to its end. The
 *   record of a thread that has exited lives until the last of those is gone,
 *   so comparing `co->thread` with the running thread's record is always safe.
 * - Nobody but its own thread writes a record.
 */
#ifndef CEDE_CORO_THREAD_H
#define CEDE_CORO_THREAD_H

#include <cede/agen.h>
#include <cede/coro.h>
#include <cede/error.h>
#include <cede/hooks.h>

#include "coro/check.h"
#include "coro/stack.h"

/* What C++ keeps for each thread (the Itanium ABI's __cxa_eh_globals). */
struct cede__exceptions {
	void *caught;
	unsigned uncaught;
};

struct cede__thread {
	cede_coro_t *current;                /* the innermost one that executes; NULL outside all */
	struct cede__exceptions *exceptions; /* NULL where there is no C++ in the process */
	cede_coro_t *dead;                   /* has ended, and its stack is still to be released */

	/* Outside all coroutines: */
	cede_error_t *outside_error;
	cede_handler_t *outside_handlers;

	struct cede__stack_pool *stacks;
	cede_coro_t *free_coros; /* linked by their awaiter field */
	unsigned free_count;
	unsigned long started; /* coroutines that hold this record */
	int has_exited;
	unsigned giving_up; /* outside all, what a coroutine has deferred is called for it */

	struct cede__profile *profile; /* profile.c; NULL: never asked for */
	int origin_depth;              /* hooks.c */
	cede_warn_fn *warn;
	void *warn_data;
	cede_unraisable_fn *unraisable;
	void *unraisable_data;
	cede_agen_hook_fn *agen_first_iteration;
	cede_agen_hook_fn *agen_finaliser;
	void *agen_data;

	void *loop; /* the layer above keeps its loop here */
};

/*
 * Fixed offsets from the thread pointer instead of a call for each access. Not
 * for musl, which refuses that model in libraries that are loaded later.
 */
#if defined(__GLIBC__) || !defined(__linux__)
#define CEDE__TLS_MODEL __attribute__((tls_model("initial-exec")))
#else
#define CEDE__TLS_MODEL
#endif

extern _Thread_local struct cede__thread *cede__thread_record CEDE__TLS_MODEL;

/** Makes the record of this thread. NULL: no memory. */
struct cede__thread *cede__thread_create(void);

/** The record of the running thread, made if need be. NULL: no memory. */
static inline struct cede__thread *
cede__thread(void)
{
	struct cede__thread *th = cede__thread_record;

	return cede__likely(th != NULL) ? th : cede__thread_create();
}

/** One coroutine less holds the record. */
void cede__thread_drop(struct cede__thread *th);

/**
 * Frees what the running thread keeps, if no coroutine of it is alive. It is
 * made anew when needed. Happens by itself when a thread exits; for the main
 * thread, which does not, and for tests that count blocks.
 */
void cede__thread_cleanup(void);

#endif
