/*
 * What the files of the engine share: the chain, the turn, and the switch with
 * all that must be done before it. Whatever switches here is to be called last,
 * for the reason in switch.h.
 */
#ifndef CEDE_CORO_SWITCHING_H
#define CEDE_CORO_SWITCHING_H

#include "coro/engine.h"

/* chain.c */

/** Makes `child` what `awaiter` awaits; holds a reference. */
void cede__chain_link(cede_coro_t *awaiter, cede_coro_t *child);

/** The reference that the await held stays with the caller. */
void cede__chain_unlink(cede_coro_t *awaiter, cede_coro_t *child);

/** Makes what somebody awaits a root of its own. Row 54. */
void cede__chain_split(cede_coro_t *root, cede_coro_t *co);

/**
 * Undoes a split before its root is resumed. Where that is not possible, because
 * what the leaf awaits has ended or is executing, the await is over: returns
 * what is wrong with it, and the leaf is to be told. 0: all is whole.
 */
int cede__chain_rejoin(cede_coro_t *root);

/** Ends the leaf's await of something beyond reach. Returns what that was. */
cede_coro_t *cede__chain_break(cede_coro_t *leaf);

/** Did an await end because a generator is exhausted? That is no error, but an end without a value. */
int cede__chain_is_exhausted(const cede_coro_t *child, int fault);

/* engine.c */

/** Gives a coroutine that never ran a stack and a place to start. */
int cede__engine_start(struct cede__thread *th, cede_coro_t *co);

/** The switch in a process with C++, which counts exceptions in flight by thread: they are the stack's. */
int cede__switch_with_exceptions(struct cede__thread *th, struct cede__context *from,
	struct cede__context *to, int message);

/** An error of the engine, raised where `in` executes (NULL: outside all), about `co`. */
cede_error_t *cede__engine_error(struct cede__thread *th, cede_coro_t *in, const cede_coro_t *co,
	int code);

/**
 * Gives a coroutine the error, owned or NULL, behind a code that is thrown into it.
 * One that is suspended while it handles another error gets that as the context;
 * CPython's _PyErr_ChainStackItem. Rows 77, 78.
 */
void cede__engine_give_error(cede_coro_t *co, int code, cede_error_t *error);

/**
 * Gives the leaf of a chain, which is about to be resumed by a send, the error of an
 * await that somebody else has broken. Who awaits the leaf is resumed before it, as
 * it were: what those handle is the context.
 */
void cede__engine_give_fault(struct cede__thread *th, cede_coro_t *root, const cede_coro_t *broken,
	int code);

/**
 * The turn of a member is over: passes it on to its awaiter. Returns the code that
 * one gets, 0 if it is the value; the error, owned, is exchanged if need be.
 */
int cede__engine_pass_turn(cede_coro_t *root, cede_coro_t *next, int code, cede_error_t **error);

/** The error of a call, not of what it resumed: there is none but the code, said in the words of the kind. */
int cede__engine_refuse(struct cede__thread *th, const cede_coro_t *co, int code);

/* ---- inline, for speed ---- */

/* Call it last: see switch.h. */
static inline int
cede__switch_to(struct cede__thread *th, struct cede__context *from, struct cede__context *to,
	int message)
{
	if (cede__unlikely(th->exceptions != NULL))
		return cede__switch_with_exceptions(th, from, to, message);
	return cede__context_switch(from, to, message);
}

static inline void
cede__put_value(void **box, const cede_coro_t *giver, void *value)
{
	if (cede__likely(box != NULL))
		*box = value;
	else
		cede__engine_dispose(giver, value);
}

/* Switches to the leaf of a chain. Returns what comes back: yielded, closing, or the code of the end. */
static inline int
cede__resume(struct cede__thread *th, cede_coro_t *root, int message, void **outbox)
{
	cede_coro_t *leaf = root->leaf;

	root->mode = CEDE__CORO_ACTIVE;
	root->caller = th->current;
	root->outbox = outbox;
	leaf->root = root;
	th->current = leaf;
	return cede__switch_to(th, &root->resumer, &leaf->context, message);
}

static inline int
cede__resume_with_value(struct cede__thread *th, cede_coro_t *root, void *value, void **outbox)
{
	void **inbox = root->leaf->inbox;

	if (inbox)
		*inbox = value;
	return cede__resume(th, root, 0, outbox);
}

/* The way out of a chain: suspends its leaf, and the root with it. */
static inline int
cede__leave(struct cede__thread *th, cede_coro_t *self, int message, void *value)
{
	cede_coro_t *root = self->root;

	th->current = root->caller;
	root->mode = CEDE__CORO_SUSPENDED;
	cede__put_value(root->outbox, self, value);
	return cede__switch_to(th, &self->context, &root->resumer, message);
}

/* The way up a chain: `to` is the leaf, and executes. */
static inline void
cede__make_leaf(struct cede__thread *th, cede_coro_t *root, cede_coro_t *to)
{
	root->leaf = to;
	to->root = root;
	th->current = to;
}

#endif
