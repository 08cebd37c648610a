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
 *   CLOSED     nothing runs any more
 *
 * Invariants
 * - An AWAITED coroutine's awaiter awaits it and holds a reference to it. What
 *   the leaf of a SPLIT root awaits may be in another chain, or in none.
 * - `root` is right in the leaf of an active chain, and needed nowhere else;
 *   `leaf` is right in every root. Both are set where a chain changes, so that
 *   nothing has to be walked when it does not.
 * - `turn` is set only while a code that was thrown in, or a close, works its way
 *   up the chain: the member that has it at the moment.
 * - Whoever switches away has done everything there is to do for both sides, but
 *   to release its own stack: the switch is the last thing in its function.
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

/* What a turn does to the one that has it, and to the next when it has ended. */
enum cede__coro_turn {
	CEDE__TURN_THROW,      /* hands on what comes of it */
	CEDE__TURN_CLOSE,      /* closes each in turn, the root too */
	CEDE__TURN_CLOSE_BELOW /* closes each in turn, and throws into the root: throw(CEDE_EXIT) */
};

enum cede__coro_kind {
	CEDE__KIND_COROUTINE,
	CEDE__KIND_GENERATOR,
	CEDE__KIND_ASYNC_GENERATOR,
};

/* What a switch back to the resumer says, besides the code of an end. */
#define CEDE__CORO_YIELDED 1
/* A close is held up by a shielded await: go on with sends. */
#define CEDE__CORO_CLOSING 2

struct cede_coro {
	/* All the time. What a resume reads comes first: one cache line. */
	struct cede__context context; /* where it stopped, unless it executes */
	struct cede__thread *thread;  /* its own, from the first send on */
	cede_coro_t *root;
	cede_coro_t *leaf;
	void **inbox;         /* where the value goes that it is resumed with; NULL: nowhere */
	uint8_t mode;         /* enum cede__coro_mode */
	uint8_t turn_kind;    /* enum cede__coro_turn */
	uint8_t kind;         /* enum cede__coro_kind */
	uint8_t has_own_name; /* `name` is a copy of ours */
	uint8_t is_driving; /* suspended in cede_await_object(): what is thrown in is the object's */
	uint8_t agen_state; /* agen.c */
	uint32_t refs;

	/* Only while active, in the root. */
	struct cede__context resumer;
	void **outbox;       /* where the value goes that it yields or returns; NULL: nowhere */
	cede_coro_t *caller; /* who was executing when it was resumed */
	cede_coro_t *turn;   /* also while a shielded await holds a close up */

	/* All the time. */
	cede_coro_t *awaiter;       /* who awaits it */
	cede_coro_t *awaiting;      /* whom it awaits; holds a reference */
	struct cede__stack *stack;  /* from the first send to shortly after the end */
	void *result;               /* of cede_return() */
	cede_error_t *error;        /* behind the last negative code received or raised */
	cede_handler_t *handlers;   /* the innermost error that is being handled */
	cede_handler_t *hidden;     /* as they were when it called an object that it drives */
	struct cede__defer *defers; /* defer.c: to be called at its end, the last one first */
	void *task;                 /* of the layer above; set in roots */
	const char *name;
	const char *site;            /* "name\0file:line", or NULL */
	struct cede__origin *origin; /* deeper origins, or NULL */
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
 * cede_coro_close() that says so when the body let CEDE_EXIT through, rather than
 * returned 0.
 */
int cede__coro_close_told(cede_coro_t *co, void **ret_value);

/** The last error of whoever executes on this thread, owned, if it is of that code; else NULL. */
cede_error_t *cede__error_take(int code);

/** Makes an error, owned, the last one of whoever executes on this thread. */
void cede__error_give(cede_error_t *error);

/**
 * Makes the deferred calls of a suspended coroutine, and of all it awaits, before
 * it is discarded: what they give back may have to go earlier than its stack.
 */
void cede__coro_call_deferred(cede_coro_t *co);

/**
 * Ends a suspended coroutine and all it awaits without running another line of
 * them. Their stacks are reused: whatever points into one must be gone.
 */
void cede__coro_discard(cede_coro_t *co);

#endif
