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
 *
 * Acquire and release of a warm stack of the default size are inline, a few
 * instructions each. All else (other sizes, new slabs, giving memory back, the
 * tools) is behind one comparison, in stack.c.
 */
#ifndef CEDE_CORO_STACK_H
#define CEDE_CORO_STACK_H

#include <stddef.h>
#include <stdint.h>

#include "coro/check.h"

#define CEDE__STACK_SIZE_DEFAULT (64 * 1024)
#define CEDE__STACK_SIZE_MIN     (16 * 1024)
#define CEDE__STACK_SIZE_MAX     (1024 * 1024 * 1024)

struct cede__stack_pool;
struct cede__slab;

/* What the owner may read. The rest of the descriptor is stack.c's. */
struct cede__stack {
	void *low;         /* lowest usable byte, above the guard */
	const char *owner; /* whose it is, for the overflow report; set by the owner, not copied */
	const void *user;  /* the owner's object, for debuggers (tools/gdb); may be an old one's */
	uint32_t size;     /* usable bytes from low: the first frame starts at low + size */

	/* Private. */
	uint32_t slot; /* which of the slab's */
	struct cede__slab *slab;
	uint32_t valgrind_id; /* under valgrind only */
	uint8_t class_index;  /* size class: the minimum << class_index bytes */
	uint8_t is_free;      /* released, and not acquired since */
	uint8_t is_used;      /* had an owner before, whose bytes may still be there */
	uint8_t reserved;
};

/** One pool a thread. Its memory comes from cede__alloc(). 0 or CEDE_ENOMEM. */
int cede__stack_pool_create(struct cede__stack_pool **ret_pool);

/**
 * Unmaps all free stacks; every stack must have been released, which is
 * checked. On the thread that created it. NULL is allowed.
 */
void cede__stack_pool_destroy(struct cede__stack_pool *pool);

/**
 * Takes a stack of at least `size` bytes (0: the default), zeroed or used before.
 * 0, CEDE_EINVAL for a size under the minimum or over 1 GiB, or CEDE_ENOMEM.
 */
static inline int cede__stack_acquire(struct cede__stack_pool *pool, size_t size,
	struct cede__stack **ret_stack);

/** Gives it back. Allowed while still running on it, as long as nobody acquires before the switch away. */
static inline void cede__stack_release(struct cede__stack_pool *pool, struct cede__stack *stack);

/**
 * The most bytes ever used of this stack by its present owner, found by looking for touched memory.
 *
 * Precision: from the top down to the lowest word that is not zero. A frame's
 * lowest words that were reserved and never written, or only with zeros, are
 * not seen; the return address of the deepest call always is.
 *
 * That is the owner's own use when the stack was fresh (cede__stack_is_fresh()).
 * A reused stack also shows what earlier owners left: the result is then an
 * upper bound, never less than the truth. After cede__stack_pool_set_exact()
 * every acquired stack is fresh.
 *
 * Reads every usable byte once, and makes none of them resident: for reports
 * and tests, not for every switch.
 */
size_t cede__stack_high_water(const struct cede__stack *stack);

/** Was this stack all zero when its present owner got it? */
static inline int
cede__stack_is_fresh(const struct cede__stack *stack)
{
	return !stack->is_used;
}

/** From now on acquired stacks are all zero, at the price of a system call each. For debugging. */
void cede__stack_pool_set_exact(struct cede__stack_pool *pool, int is_exact);

/**
 * Gives back memory that has lain idle since the last call or two: what deep
 * users left first, then whole stacks, then whole slabs. Releases do the same
 * every few thousand times; a loop that has nothing to do may call it.
 */
void cede__stack_pool_trim(struct cede__stack_pool *pool);

/* ---- the inline part ------------------------------------------------------- */

#define CEDE__STACK_CLASS_DEFAULT 2 /* CEDE__STACK_SIZE_MIN << 2 */

/*
 * Free stacks of one class whose top page is resident, oldest first: an array,
 * so that neither taking the newest nor giving back the oldest reads another
 * stack's memory. The low two bits of an entry are its age (see stack.c); a
 * stack that comes back is age 0.
 */
struct cede__stack_cache {
	uintptr_t *warm;
	uint32_t n_warm;
	uint32_t n_floor; /* the inline path may not go below: 0, or UINT32_MAX to disable it */
	uint32_t n_limit; /* nor above; the array's capacity */
	uint32_t n_until_trim; /* releases until idle memory is looked for; never 0 */
};

#define CEDE__STACK_AGE_MASK ((uintptr_t)3)

/* A pool begins with the cache of the default class. */
struct cede__stack_pool_head {
	struct cede__stack_cache standard;
};

int cede__stack_acquire_slow(struct cede__stack_pool *pool, size_t size,
	struct cede__stack **ret_stack);
void cede__stack_release_slow(struct cede__stack_pool *pool, struct cede__stack *stack);

static inline struct cede__stack *
cede__stack_cache_pop(struct cede__stack_cache *cache)
{
	uintptr_t entry = cache->warm[--cache->n_warm];
	struct cede__stack *stack = (void *)(entry & ~CEDE__STACK_AGE_MASK);

	cede__assert(stack->is_free);
	stack->is_free = 0;
	stack->owner = NULL; /* the last owner's string may be gone */
	return stack;
}

static inline void
cede__stack_cache_push(struct cede__stack_cache *cache, struct cede__stack *stack)
{
	stack->is_free = 1;
	stack->is_used = 1;
	cache->warm[cache->n_warm++] = (uintptr_t)stack;
}

static inline int
cede__stack_acquire(struct cede__stack_pool *pool, size_t size, struct cede__stack **ret_stack)
{
	struct cede__stack_cache *cache = &((struct cede__stack_pool_head *)(void *)pool)->standard;

	if (cede__unlikely(size != 0 || cache->n_warm <= cache->n_floor))
		return cede__stack_acquire_slow(pool, size, ret_stack);

	*ret_stack = cede__stack_cache_pop(cache);
	return 0;
}

static inline void
cede__stack_release(struct cede__stack_pool *pool, struct cede__stack *stack)
{
	struct cede__stack_cache *cache = &((struct cede__stack_pool_head *)(void *)pool)->standard;

	cede__assert(!stack->is_free);
	if (cede__unlikely(stack->class_index != CEDE__STACK_CLASS_DEFAULT ||
		    cache->n_warm >= cache->n_limit || cache->n_until_trim <= 1)) {
		cede__stack_release_slow(pool, stack);
		return;
	}

	cache->n_until_trim--;
	cede__stack_cache_push(cache, stack);
}

#endif
