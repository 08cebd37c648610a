/* Where a coroutine was made, deeper than its site. */
#ifndef CEDE_CORO_ORIGIN_H
#define CEDE_CORO_ORIGIN_H

#include "coro/engine.h"

/**
 * Keeps the frames of where a coroutine was made, from the one that goes on at
 * `caller`: our own calls above that may have no frames, when they were the last.
 */
void cede__origin_keep(cede_coro_t *co, const void *caller);

/* For the functions that users call, which are CEDE__NOINLINE for it. `r`: what the create returned. */
#define CEDE__KEEP_ORIGIN(r, co) \
	((r) == 0 && cede__unlikely(cede__thread_record->origin_depth > 1) \
			? cede__origin_keep((co), __builtin_return_address(0)) \
			: (void)0)

#endif
