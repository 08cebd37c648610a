/*
 * The coroutine object, for coro/ itself and the one layer above.
 *
 * A coroutine that awaits another forms a chain with it: root -> … -> leaf. The
 * root is whom somebody drives, the leaf is where the chain stands. A resume of
 * the root switches straight to the leaf, a yield of the leaf straight back to
 * whoever resumed the root, so the depth of a chain costs nothing.
 *
 *             send, first one             yield of the leaf
 *   CREATED ------------------> ACTIVE <--------------------> SUSPENDED
 *      |  \                      | ^       send, throw, close     |  ^
 *      |   \ await_coro          | |                    by hand   |  | resume
 *      |    +-----> AWAITED ---------- end --+    below the root  v  | of the root
 *      |                         | +-------- | ------------------ SPLIT
 *      | close, throw            | end       |
 *      +----------------------> CLOSED <-----+
 *
 *   CREATED    has no stack
 *   SUSPENDED  a root; `leaf` is where it stands
 *   SPLIT      a root; somebody drives by hand what `leaf` awaits, which is a
 *              root of its own for as long (CPython row 54)
 *   ACTIVE     a root that executes, or one of its chain does; `resumer` is
 *              where a yield goes
 *   AWAITED    not a root: somebody awaits it, and drives it by being driven
 *   CLOSED     has no stack; nothing runs any more
 *
 * Invariants
 * - a->awaiting == b exactly when b->awaiter == a, and then a holds a reference.
 * - `root` is right in the leaf of an active chain, and needed nowhere else;
 *   `leaf` is right in every root. Both are set where a chain changes, so that
 *   nothing has to be walked when it does not.
 * - Only while a root is being closed is `closing` set: the member of its chain
 *   whose turn it is, innermost first. A yield anywhere below it means that this
 *   one has ignored the close.
 */
#ifndef CEDE_CORO_CORO_INT_H
#define CEDE_CORO_CORO_INT_H

#include <cede/coro.h>

#include "coro/switch.h"
#include "coro/thread.h"

enum cede__coro_mode {
	CEDE__CORO_CREATED,
	CEDE__CORO_SUSPENDED,
	CEDE__CORO_SPLIT,
	CEDE__CORO_ACTIVE,
	CEDE__CORO_AWAITED,
	CEDE__CORO_CLOSED,
};

/* What a close returns that a shielded await holds up: go on with sends. */
#define CEDE__CORO_CLOSING 2

struct cede_coro {
	/* All the time. What a resume reads comes first: one cache line. */
	struct cede__context context; /* where it stopped, unless it executes */
	struct cede__thread *thread;  /* its own, from the first send on */
	cede_coro_t *root;
	cede_coro_t *leaf;
	uint8_t mode;         /* enum cede__coro_mode */
	uint8_t spares_root;  /* this close stops below the root: throw(CEDE_EXIT) */
	uint8_t has_own_name; /* `name` is a copy of ours */
	uint32_t refs;
	cede_coro_t *awaiter;  /* who awaits it */
	cede_coro_t *awaiting; /* whom it awaits */

	/* Only while active, in the root. */
	struct cede__context resumer;
	cede_coro_t *caller;  /* who was executing when it was resumed */
	cede_coro_t *closing; /* whose turn it is; also while a shielded await holds a close up */

	/* All the time. */
	struct cede__stack *stack; /* from the first send to the end */
	void *result;              /* of cede_return() */
	cede_error_t *error;       /* behind the last negative code received or raised */
	void *task;                /* of the layer above; set in roots */
	const char *name;
	const char *site; /* "name\0file:line", or NULL */
	cede_fn *fn;
	void *arg;
	cede_dtor_fn *arg_dtor;
	cede_dtor_fn *value_dtor;
	size_t stack_size;
};

/** The executing coroutine of this thread, NULL outside all. */
static inline cede_coro_t *
cede__coro_current(void)
{
	struct cede__thread *th = cede__thread_record;

	return th ? th->current : NULL;
}

/**
 * cede_yield() of a coroutine that may wait although it is being closed: the
 * close is held up, cede_coro_close() returns CEDE__CORO_CLOSING, and the next
 * send goes on with it.
 */
int cede__coro_yield_shielded(cede_coro_t *self, void *value);

/**
 * Ends a suspended coroutine and all it awaits without running another line of
 * them. Their stacks are reused: whatever points into one must be gone.
 */
void cede__coro_discard(cede_coro_t *co);

/* error.c */
void cede__error_free(cede_error_t *error);

/** Puts `error`, which is owned and may be NULL, where cede_error() of the running coroutine finds it. */
void cede__error_set(struct cede__thread *th, cede_error_t *error);

/** The last code came without a record. */
static inline void
cede__error_clear(struct cede__thread *th)
{
	cede_error_t *error = th->current ? th->current->error : th->outside_error;

	if (cede__unlikely(error != NULL))
		cede__error_set(th, NULL);
}

#endif
