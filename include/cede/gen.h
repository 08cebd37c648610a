/**
 * Generators: coroutines that hand out values.
 *
 *     static int squares(void *arg)
 *     {
 *             for (intptr_t i = 0;; i++) {
 *                     int r = cede_yield((void *)(i * i), NULL);
 *                     if (r < 0)
 *                             return r;
 *             }
 *     }
 *
 *     while (cede_gen_next(g, &v) == 1)
 *             …
 *
 * They are driven as coroutines are, with these differences, which are Python's:
 * an exhausted one goes on saying so instead of being an error; one can delegate
 * to another that has been started; none is awaited, so none warns.
 */
#ifndef CEDE_GEN_H
#define CEDE_GEN_H

#include <cede/base.h>
#include <cede/coro.h>

CEDE__BEGIN

/** A generator. The library's memory, counted references. */
typedef struct cede_gen cede_gen_t;

/** As cede_coro_create(). */
CEDE_API int cede_gen_create(cede_gen_t **ret_gen, cede_fn *fn, void *arg,
	const cede_coro_options_t *options);
CEDE_API int cede_gen_create_at(cede_gen_t **ret_gen, cede_fn *fn, void *arg,
	const cede_coro_options_t *options, const char *site);

#define cede_gen_create(ret_gen, fn, arg, options) \
	cede_gen_create_at((ret_gen), (fn), (arg), (options), CEDE_SITE(#fn))

/**
 * The next value.
 *
 * @param ret_value  the value; at the end, what the body returned by
 *                   cede_return(), the first time; may be NULL
 * @return 1: a value; 0: the end; or the code that the body raised, or
 *   CEDE_ERUNNING, CEDE_EWRONGTHREAD, CEDE_ENOMEM as of cede_coro_send()
 */
CEDE_API int cede_gen_next(cede_gen_t *gen, void **ret_value);

/** cede_gen_next() that hands in what its cede_yield() receives; NULL the first time. CEDE_ENOTSTARTED. */
CEDE_API int cede_gen_send(cede_gen_t *gen, void *value, void **ret_value);

/** Raises a code where the generator is suspended. One that has ended raises it right back. */
CEDE_API int cede_gen_throw(cede_gen_t *gen, int code, void **ret_value);

/** cede_gen_throw() of an error object. */
CEDE_API int cede_gen_throw_error(cede_gen_t *gen, cede_error_t *error, void **ret_value);

/** As cede_coro_close(). */
CEDE_API int cede_gen_close(cede_gen_t *gen, void **ret_value);

/** One more reference. Returns @gen. */
CEDE_API cede_gen_t *cede_gen_ref(cede_gen_t *gen);

/** One reference less; the last one closes it. NULL is allowed. Returns NULL. */
CEDE_API cede_gen_t *cede_gen_unref(cede_gen_t *gen);

/** As cede_coro_state(). */
CEDE_API enum cede_coro_state cede_gen_state(const cede_gen_t *gen);

/** The generator that @gen delegates to while it is suspended, else NULL. Borrowed. */
CEDE_API cede_gen_t *cede_gen_delegating(const cede_gen_t *gen);

/** Its name, and a new one; as cede_coro_name(), cede_coro_set_name(). */
CEDE_API const char *cede_gen_name(const cede_gen_t *gen);
CEDE_API int cede_gen_set_name(cede_gen_t *gen, const char *name);

/**
 * Delegates: hands out the values of @inner until it ends (Python's yield from).
 * Meanwhile send, throw and close of the running generator go to it.
 *
 * @param ret_value  what @inner returned, NULL if it had ended before; may be NULL
 * @return 0; what it raised; CEDE_ERUNNING; CEDE_EINVAL: the caller is no
 *   generator; CEDE_ENOTASK: outside all; CEDE_EWRONGTHREAD, CEDE_ENOMEM
 */
CEDE_API CEDE_SUSPENDS int cede_yield_from(cede_gen_t *inner, void **ret_value);

CEDE__END

#endif
