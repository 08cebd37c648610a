/* Memory that is ours but nobody's to touch for a while: ASan is told, other builds do nothing. */
#ifndef CEDE_CORO_POISON_H
#define CEDE_CORO_POISON_H

#include <stddef.h>

#include "coro/sanitizer.h"

static inline void
cede__poison(const void *data, size_t size)
{
#if defined(CEDE__ASAN)
	__asan_poison_memory_region(data, size);
#endif
	(void)data;
	(void)size;
}

static inline void
cede__unpoison(const void *data, size_t size)
{
#if defined(CEDE__ASAN)
	__asan_unpoison_memory_region(data, size);
#endif
	(void)data;
	(void)size;
}

#endif
