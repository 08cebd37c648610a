/**
 * What is said to nobody in particular: warnings, and errors that have nowhere
 * to go. Both go to stderr unless the thread says otherwise.
 */
#ifndef CEDE_HOOKS_H
#define CEDE_HOOKS_H

#include <cede/base.h>
#include <cede/coro.h>
#include <cede/error.h>

CEDE__BEGIN

/**
 * Told that a coroutine was dropped without ever having run (CPython row 66).
 *
 * @param text  "coroutine 'NAME' was never awaited", and where it was created
 * @return 0; negative: the hook itself has failed, and the unraisable hook is told
 */
typedef int cede_warn_fn(const cede_coro_t *co, const char *text, void *data);

/**
 * Told of an error that has nowhere to go: raised while a dropped coroutine was
 * being closed (CPython rows 69, 72, 73). cede_error() has the whole of it.
 *
 * @param what  "Exception ignored while closing coroutine 'NAME'", or the like
 */
typedef void cede_unraisable_fn(const cede_coro_t *co, int code, const char *what, void *data);

/** Sets the calling thread's hook; NULL: stderr. 0, CEDE_ENOMEM. */
CEDE_API int cede_set_warn_hook(cede_warn_fn *fn, void *data);

/** Sets the calling thread's hook; NULL: stderr. 0, CEDE_ENOMEM. */
CEDE_API int cede_set_unraisable_hook(cede_unraisable_fn *fn, void *data);

/**
 * How many frames of the place where a coroutine is made are kept: 0 and 1 are
 * what CEDE_SITE keeps in any case, more costs an allocation and a walk of the
 * stack for each. Per thread. CPython rows 63 to 65.
 *
 * @return the depth before; CEDE_EINVAL for a negative one, nothing changes then
 */
CEDE_API int cede_set_origin_depth(int depth);

/**
 * The frames kept of @co, innermost first: return addresses, for dladdr() or
 * addr2line.
 *
 * @param ret_frames  borrowed, valid as long as the coroutine
 * @return how many; 0 where only the place is known
 */
CEDE_API int cede_coro_origin(const cede_coro_t *co, void *const **ret_frames);

CEDE__END

#endif
