/*
 * The allocator in use, and a count of the blocks that are out.
 *
 * The count exists so that a block is never freed by an allocator that did not
 * make it: the allocator can only be replaced at zero. It is one relaxed atomic
 * addition a block, which what is hot avoids by keeping its blocks.
 *
 * Invariant: `current` is written only while `outstanding` is zero and, by the
 * rule in <cede/alloc.h>, no other thread is inside the library; it may
 * therefore be read without a lock.
 */
#include "coro/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "coro/check.h"

static void *
libc_alloc(size_t size, void *data)
{
	(void)data;
	return malloc(size);
}

static void *
libc_realloc(void *p, size_t size, void *data)
{
	(void)data;
	return realloc(p, size);
}

static void
libc_free(void *p, void *data)
{
	(void)data;
	free(p);
}

static const cede_allocator_t libc_allocator = { libc_alloc, libc_realloc, libc_free, NULL };

static cede_allocator_t current = { libc_alloc, libc_realloc, libc_free, NULL };
static atomic_size_t outstanding;

int
cede_set_allocator(const cede_allocator_t *allocator)
{
	if (!allocator)
		allocator = &libc_allocator;
	if (!allocator->alloc || !allocator->realloc || !allocator->free)
		return CEDE_EINVAL;
	if (cede__alloc_outstanding() > 0)
		return CEDE_EBUSY;

	current = *allocator;
	return 0;
}

cede_allocator_t
cede__alloc_current(void)
{
	return current;
}

size_t
cede__alloc_outstanding(void)
{
	return atomic_load_explicit(&outstanding, memory_order_acquire);
}

void *
cede__alloc(size_t size)
{
	void *p = current.alloc(size ? size : 1, current.data);

	if (p)
		atomic_fetch_add_explicit(&outstanding, 1, memory_order_relaxed);
	return p;
}

void *
cede__alloc_zero(size_t size)
{
	void *p = cede__alloc(size);

	if (p)
		memset(p, 0, size);
	return p;
}

void *
cede__alloc_array(size_t n, size_t size)
{
	size_t total;

	if (cede__size_mul(n, size, &total) < 0)
		return NULL;
	return cede__alloc(total);
}

void *
cede__realloc(void *p, size_t size)
{
	if (!p)
		return cede__alloc(size);
	return current.realloc(p, size ? size : 1, current.data);
}

void
cede__free(void *p)
{
	if (!p)
		return;

	cede__assert(cede__alloc_outstanding() > 0);
	current.free(p, current.data);
	atomic_fetch_sub_explicit(&outstanding, 1, memory_order_release);
}
