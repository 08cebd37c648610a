/**
 * Asynchronous generators: they hand out values, and may await in between.
 *
 * The body hands out values by cede_agen_yield() and awaits whatever it likes.
 * Whoever iterates it is a coroutine itself:
 *
 *     while ((r = cede_agen_next(lines, &line)) == 1)
 *             …
 *
 * Below that are Python's awaitables: asend, athrow and aclose each make an
 * object that is awaited once. docs/semantics.md, section 3.
 */
#ifndef CEDE_AGEN_H
#define CEDE_AGEN_H

#include <cede/base.h>
#include <cede/coro.h>

CEDE__BEGIN

/** An asynchronous generator. The library's memory, counted references. */
typedef struct cede_agen cede_agen_t;

/** As cede_coro_create(). */
CEDE_API int cede_agen_create(cede_agen_t **ret_agen, cede_fn *fn, void *arg,
	const cede_coro_options_t *options);
CEDE_API int cede_agen_create_at(cede_agen_t **ret_agen, cede_fn *fn, void *arg,
	const cede_coro_options_t *options, const char *site);

#define cede_agen_create(ret_agen, fn, arg, options) \
	cede_agen_create_at((ret_agen), (fn), (arg), (options), CEDE_SITE(#fn))

/** One more reference. Returns @agen. */
CEDE_API cede_agen_t *cede_agen_ref(cede_agen_t *agen);

/**
 * One reference less; NULL is allowed. One that is dropped before its end goes to
 * the finaliser hook if there is one, and is closed at once otherwise. Returns NULL.
 */
CEDE_API cede_agen_t *cede_agen_unref(cede_agen_t *agen);

/** As cede_coro_state(). */
CEDE_API enum cede_coro_state cede_agen_state(const cede_agen_t *agen);

/** Its name, never NULL. */
CEDE_API const char *cede_agen_name(const cede_agen_t *agen);

/**
 * Inside the body: hands out a value and stops until the next one is asked for.
 *
 * @return 0 and what asend handed in; <0: what athrow threw in, CEDE_EXIT when
 *   closed; CEDE_EINVAL: the caller is no asynchronous generator; CEDE_ENOTASK
 */
CEDE_API CEDE_SUSPENDS int cede_agen_yield(void *value, void **ret_sent);

/**
 * The next value, awaited.
 *
 * @return 1: a value; 0: the end; or what the body raised; CEDE_ERUNNING: another
 *   coroutine is iterating it; CEDE_ENOTASK, CEDE_EWRONGTHREAD, CEDE_ENOMEM
 */
CEDE_API CEDE_SUSPENDS int cede_agen_next(cede_agen_t *agen, void **ret_value);

/** Closes it, awaiting what its cleanup awaits. 0, or what the cleanup raised; CEDE_EIGNORED; … */
CEDE_API CEDE_SUSPENDS int cede_agen_close(cede_agen_t *agen);

/** What asend(), athrow() and aclose() return: to be awaited once, then destroyed. */
typedef struct cede_agen_call cede_agen_call_t;

/** Will hand in @value and bring the next value. 0, CEDE_ENOMEM. */
CEDE_API int cede_agen_asend(cede_agen_t *agen, void *value, cede_agen_call_t **ret_call);

/** Will throw @code in. 0, CEDE_EINVAL, CEDE_ENOMEM. */
CEDE_API int cede_agen_athrow(cede_agen_t *agen, int code, cede_agen_call_t **ret_call);

/** Will close it. 0, CEDE_ENOMEM. */
CEDE_API int cede_agen_aclose(cede_agen_t *agen, cede_agen_call_t **ret_call);

/**
 * Awaits the call.
 *
 * @param ret_value  the value handed out; may be NULL
 * @return 0; CEDE_STOP_ASYNC: the end; what the body raised; CEDE_EREUSED: awaited
 *   before; CEDE_ERUNNING: another call is under way; CEDE_EIGNORED: handed out a
 *   value although it was being closed; CEDE_ENOTSTARTED; CEDE_ENOTASK; …
 */
CEDE_API CEDE_SUSPENDS int cede_await_agen(cede_agen_call_t *call, void **ret_value);

/** Frees the call, and warns if it was never awaited. NULL is allowed. */
CEDE_API void cede_agen_call_destroy(cede_agen_call_t *call);

/** Told of an asynchronous generator: that it is iterated first, or was dropped before its end. */
typedef void cede_agen_hook_fn(cede_agen_t *agen, void *data);

/**
 * Sets the calling thread's hooks; either may be NULL. The finaliser is what a
 * loop uses to close dropped ones: it takes a reference and awaits aclose later.
 */
CEDE_API int cede_set_agen_hooks(cede_agen_hook_fn *first_iteration, cede_agen_hook_fn *finaliser,
	void *data);

CEDE__END

#endif
