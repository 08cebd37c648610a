/*
 * Stacks: guarded, pooled, named when they overflow.
 *
 * Stacks come from slabs: one mapping (MAP_NORESERVE, no huge pages) holds many
 * slots of one size class; the lowest part of each slot is its guard. Guards are
 * lightweight (MADV_GUARD_INSTALL) where a probe at start shows that they really
 * fault, and mprotect pages otherwise. Where neither can be had there is no
 * stack: CEDE_ENOMEM. A stack is never unguarded in silence.
 *
 * A pool belongs to one thread. Free stacks are kept last in, first out, so that
 * the next coroutine runs on warm memory; tops are shifted by multiples of 64
 * bytes so that a thousand stacks do not fight for the same cache sets.
 *
 * The descriptor lies at the top of the stack itself, on the page that the first
 * frames touch anyway: a stack that was used little costs one resident page.
 */
#ifndef CEDE_CORO_STACK_H
#define CEDE_CORO_STACK_H

#include <stddef.h>

#define CEDE__STACK_SIZE_DEFAULT (64 * 1024)
#define CEDE__STACK_SIZE_MIN     (16 * 1024)

struct cede__stack_pool;

/* What the owner may read. The rest of the descriptor is stack.c's. */
struct cede__stack {
	void *low;         /* lowest usable byte, above the guard */
	size_t size;       /* usable bytes from low: the first frame starts at low + size */
	const char *owner; /* whose it is, for the overflow report; set by the owner, not copied */
};

/** One pool a thread. Its memory comes from cede__alloc(). 0 or CEDE_ENOMEM. */
int cede__stack_pool_create(struct cede__stack_pool **ret_pool);

/** Unmaps all free stacks; every stack must have been released. NULL is allowed. */
void cede__stack_pool_destroy(struct cede__stack_pool *pool);

/**
 * Takes a stack of at least `size` bytes (0: the default), zeroed or used before.
 * 0, CEDE_EINVAL for a size under the minimum or over 1 GiB, or CEDE_ENOMEM.
 */
int cede__stack_acquire(struct cede__stack_pool *pool, size_t size, struct cede__stack **ret_stack);

/** Gives it back. Allowed while still running on it, as long as nobody acquires before the switch away. */
void cede__stack_release(struct cede__stack_pool *pool, struct cede__stack *stack);

/** The most bytes ever used of this stack by its present owner, found by looking for touched memory. */
size_t cede__stack_high_water(const struct cede__stack *stack);

#endif
