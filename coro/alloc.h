/*
 * The library's own side of <cede/alloc.h>: every block goes through here.
 *
 * Sizes are checked: a product that does not fit a size_t is answered like a
 * block that is too large, with NULL. All of these may be called on any thread
 * and on any stack.
 */
#ifndef CEDE_CORO_ALLOC_H
#define CEDE_CORO_ALLOC_H

#include <stdint.h>

#include <cede/alloc.h>

/** A block of `size` bytes, uninitialised, never NULL for 0 bytes; NULL: no memory. */
void *cede__alloc(size_t size);

/** The same, all zero. */
void *cede__alloc_zero(size_t size);

/** `n` elements of `size` bytes, uninitialised; NULL also when the product overflows. */
void *cede__alloc_array(size_t n, size_t size);

/** Grows or shrinks a block; NULL as `p` allocates. On NULL the old block stays. */
void *cede__realloc(void *p, size_t size);

/** NULL is allowed. */
void cede__free(void *p);

/** The allocator in use. */
cede_allocator_t cede__alloc_current(void);

/** Blocks that are out. For tests, and for refusing to change the allocator. */
size_t cede__alloc_outstanding(void);

/** a * b in *ret_product; 0, or CEDE_ENOMEM when it does not fit. */
static inline int
cede__size_mul(size_t a, size_t b, size_t *ret_product)
{
	if (b != 0 && a > SIZE_MAX / b)
		return CEDE_ENOMEM;
	*ret_product = a * b;
	return 0;
}

/** a + b in *ret_sum; 0, or CEDE_ENOMEM when it does not fit. */
static inline int
cede__size_add(size_t a, size_t b, size_t *ret_sum)
{
	if (a > SIZE_MAX - b)
		return CEDE_ENOMEM;
	*ret_sum = a + b;
	return 0;
}

#endif
