/*
 * The engine, for the other files of coro/: how coroutines of any kind are
 * made, resumed, awaited and ended. The model is in coro_int.h.
 */
#ifndef CEDE_CORO_ENGINE_H
#define CEDE_CORO_ENGINE_H

#include "coro/coro_int.h"

/* coro.c: objects */
int cede__coro_create(cede_coro_t **ret_coro, enum cede__coro_kind kind, cede_fn *fn, void *arg,
	const cede_coro_options_t *options, const char *site);

/* engine.c, chain.c, awaiting.c, verbs.c */

/** Throw and close, for any kind, as cede_coro_send() is. `error` may be NULL; the reference stays the caller's. */
int cede__engine_throw(cede_coro_t *co, int code, cede_error_t *error, void **ret_value);
int cede__engine_close(cede_coro_t *co, void **ret_value);

/** Runs a generator, from wherever it stands, as a part of the running coroutine. */
int cede__engine_delegate(cede_coro_t *child, void **ret_value);

/**
 * Runs an asynchronous generator, which has not started or has handed out a
 * value, as a part of the running coroutine, with a value or a code.
 */
int cede__engine_run_child(cede_coro_t *child, int code, void *value, void **ret_value);

/** Takes the running coroutine off its chain, suspended, and gives its awaiter a value. */
CEDE_SUSPENDS int cede__engine_yield_to_awaiter(cede_coro_t *self, void *value, void **ret_sent);

/**
 * The error, owned or NULL, behind a code that is thrown; about `co`. The thrower
 * has made it, not raised it: what the thrower handles is no context of it. Where
 * there is something that would become one, the error is made now. Row 76.
 */
cede_error_t *cede__engine_thrown(struct cede__thread *th, const cede_coro_t *co, int code,
	cede_error_t *error);

/** Who is driven when `co` is: itself, or whoever awaits it at the top. */
cede_coro_t *cede__engine_root(const cede_coro_t *co);

/** Closes one that never ran: its argument goes. */
void cede__engine_close_unstarted(cede_coro_t *co);

/** Gives back the stack of one that has ended, if nobody has yet. */
void cede__engine_release_stack(struct cede__thread *th, cede_coro_t *co);

static inline void
cede__engine_dispose(const cede_coro_t *co, void *value)
{
	if (cede__unlikely(value != NULL) && co->value_dtor)
		co->value_dtor(value);
}

/* defer.c */

/** Makes the deferred calls, the last one first. When the body has ended and nobody knows yet. */
void cede__defers_run(cede_coro_t *co);

/* error.c */

/** Where cede_error() of a coroutine, or of the thread outside all, looks. */
static inline cede_error_t **
cede__error_slot(struct cede__thread *th, cede_coro_t *co)
{
	return co ? &co->error : &th->outside_error;
}

/** Puts an error, owned or NULL, into a slot. */
void cede__error_put(cede_error_t **slot, cede_error_t *error);

/** The last code of the running coroutine came without an error. */
static inline void
cede__error_clear(struct cede__thread *th)
{
	cede_error_t **slot = cede__error_slot(th, th->current);

	if (cede__unlikely(*slot != NULL))
		cede__error_put(slot, NULL);
}

/** An error of that code as a coroutine of its kind says it, owned; NULL without memory. */
cede_error_t *cede__error_of_kind(const cede_coro_t *co, int code);

/** The error that a body's StopIteration, or StopAsyncIteration, becomes. */
cede_error_t *cede__error_of_stop(const cede_coro_t *co, int code);

/** `error` is raised while `handled` is being handled. Keeps chains free of cycles. */
void cede__error_set_context(cede_error_t *error, cede_error_t *handled);

/** `cause` is its stated cause, and its context too. */
void cede__error_set_cause(cede_error_t *error, const cede_error_t *cause);

/** The innermost error that is being handled where `co` executes (NULL: outside all), borrowed; or NULL. */
cede_error_t *cede__error_handled(struct cede__thread *th, cede_coro_t *co);

/* profile.c */

/** Notes how much stack a coroutine that has ended had used, while its stack is still there. */
void cede__profile_note(struct cede__profile *profile, const cede_coro_t *co);
void cede__profile_free(struct cede__profile *profile);

/* hooks.c: what is said to nobody in particular */
void cede__warn_never_awaited(cede_coro_t *co);
void cede__warn_call_never_awaited(cede_coro_t *co, const char *method);
void cede__report_unraisable(cede_coro_t *co, int code, const char *what);

#endif
