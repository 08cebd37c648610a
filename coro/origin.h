/* Where a coroutine was made, deeper than its site. */
#ifndef CEDE_CORO_ORIGIN_H
#define CEDE_CORO_ORIGIN_H

#include "coro/engine.h"

/** The frames above the call of cede_coro_create(), from cede__alloc(); NULL where there are none. */
struct cede__origin *cede__origin_take(int depth);

#endif
