/*
 * The pool: size classes, and in each a cache of warm stacks.
 *
 * Sizes are rounded up to powers of two, 16 KiB to 1 GiB; a class comes into
 * being when it is first asked for, the default one with the pool.
 *
 * Acquire takes the newest warm stack, or else a slot of a slab. Release makes
 * the stack the newest warm one and touches nothing of it but its descriptor:
 * the caller may be running on it. Memory goes back to the system only from the
 * old end of the cache, two ways, both amortised over the releases:
 *
 *   full   at n_limit warm stacks, the oldest quarter goes cold
 *   idle   every few thousand releases the cache is looked through. An entry
 *          carries its age, the number of such looks since it was released:
 *
 *            0 -> 1         nothing
 *            1 -> 2         all but its top page is given back
 *            2 -> cold      as long as WARM_KEEP newer ones stay
 *
 * Invariants
 * - Ages do not increase from the old end of the cache to the new one.
 * - A stack that was just released is age 0 and newest: neither way reaches it,
 *   as n_limit is at least 4.
 * - The cache array holds n_limit entries from the start: release cannot fail.
 *
 * Under tools (ASan, valgrind, exact high-water marks) the inline path is closed
 * by n_floor, so that every acquire passes prepare().
 */
#include "coro/stack_int.h"

#include <string.h>

#include "coro/alloc.h"

#ifdef CEDE__STACK_ASAN
#include <sanitizer/asan_interface.h>
#endif
#ifdef CEDE__STACK_VALGRIND
#include <valgrind/memcheck.h>
#endif

#define WARM_LIMIT       16384u /* stacks, and at most */
#define WARM_LIMIT_BYTES ((size_t)1 << 30)
#define WARM_KEEP        256u
#define TRIM_INTERVAL    4096u

struct cede__stack_pool {
	struct cede__stack_class standard; /* first: the inline path reads its cache */
	struct cede__stack_class *classes[CEDE__STACK_CLASSES];
	struct cede__overflow overflow;
	int is_exact;
};

_Static_assert(offsetof(struct cede__stack_pool, standard.cache) == 0, "stack.h casts");
_Static_assert(sizeof(struct cede__stack) % 16 == 0, "low + size is a multiple of 16");
_Static_assert(CEDE__STACK_SIZE_MIN << CEDE__STACK_CLASS_DEFAULT == CEDE__STACK_SIZE_DEFAULT,
	"the inline path serves the default size");
_Static_assert((size_t)CEDE__STACK_SIZE_MIN << (CEDE__STACK_CLASSES - 1) == CEDE__STACK_SIZE_MAX,
	"the largest class is the largest size");

/* ---- classes -------------------------------------------------------------------- */

static size_t
round_up(size_t n, size_t page)
{
	return (n + page - 1) / page * page;
}

/* Does this process run under something that must see every acquire? */
static int
has_tools(void)
{
#ifdef CEDE__STACK_ASAN
	return 1;
#elif defined(CEDE__STACK_VALGRIND)
	return RUNNING_ON_VALGRIND != 0;
#else
	return 0;
#endif
}

static int
class_init(struct cede__stack_class *cls, uint8_t index)
{
	size_t page = cede__page_size();
	size_t size = (size_t)CEDE__STACK_SIZE_MIN << index;
	size_t n_limit = WARM_LIMIT_BYTES / size;

	if (n_limit > WARM_LIMIT)
		n_limit = WARM_LIMIT;
	if (n_limit < 4)
		n_limit = 4;

	uintptr_t *warm = cede__alloc_array(n_limit, sizeof *warm);
	if (!warm)
		return CEDE_ENOMEM;

	*cls = (struct cede__stack_class){
		.cache = {
			.warm = warm,
			.n_floor = has_tools() ? UINT32_MAX : 0,
			.n_limit = (uint32_t)n_limit,
			.n_until_trim = TRIM_INTERVAL,
		},
		.size = size,
		.guard = round_up(CEDE__STACK_GUARD, page),
		.usable = round_up(size, page) + page,
		.index = index,
	};
	cls->stride = cls->guard + cls->usable;
	cede__list_init(&cls->open);
	cede__list_init(&cls->closed);
	return 0;
}

/* The class of a size that was checked: the smallest that holds it. */
static uint8_t
class_index(size_t size)
{
	uint8_t index = 0;

	while ((size_t)CEDE__STACK_SIZE_MIN << index < size)
		index++;
	return index;
}

static struct cede__stack_class *
class_of(struct cede__stack_pool *pool, uint8_t index)
{
	if (pool->classes[index])
		return pool->classes[index];

	struct cede__stack_class *cls = cede__alloc(sizeof *cls);
	if (!cls)
		return NULL;
	if (class_init(cls, index) < 0) {
		cede__free(cls);
		return NULL;
	}
	pool->classes[index] = cls;
	return cls;
}

/* ---- trimming ------------------------------------------------------------------- */

static void
evict_oldest(struct cede__stack_class *cls, uint32_t n)
{
	struct cede__stack_cache *cache = &cls->cache;

	cede__slab_evict(cls, cache->warm, n);
	cache->n_warm -= n;
	memmove(cache->warm, cache->warm + n, cache->n_warm * sizeof cache->warm[0]);
}

/* Gives back what a deep user left: all of it below the page with the descriptor. */
static void
drop_below_top(const struct cede__stack *stack)
{
	size_t page = cede__page_size();
	uintptr_t top = (uintptr_t)stack / page * page;

	/* Refused for locked memory, which is then simply kept. */
	(void)cede__guard_drop(stack->low, top - (uintptr_t)stack->low);
}

/* One look through the cache; see the top of the file. */
static void
trim(struct cede__stack_class *cls)
{
	struct cede__stack_cache *cache = &cls->cache;
	uint32_t n_cold = 0;

	while (n_cold + WARM_KEEP < cache->n_warm &&
		(cache->warm[n_cold] & CEDE__STACK_AGE_MASK) == 2)
		n_cold++;
	if (n_cold > 0)
		evict_oldest(cls, n_cold);

	for (uint32_t i = 0; i < cache->n_warm; i++) {
		uintptr_t entry = cache->warm[i];
		uintptr_t age = entry & CEDE__STACK_AGE_MASK;

		if (age == 1)
			drop_below_top((void *)(entry & ~CEDE__STACK_AGE_MASK));
		if (age < 2)
			cache->warm[i] = entry + 1;
	}

	/* Four releases at least for each entry looked at. */
	cache->n_until_trim = TRIM_INTERVAL;
	if (cache->n_warm > TRIM_INTERVAL / 4)
		cache->n_until_trim = cache->n_warm * 4;
}

void
cede__stack_pool_trim(struct cede__stack_pool *pool)
{
	for (size_t i = 0; i < CEDE__STACK_CLASSES; i++) {
		if (pool->classes[i])
			trim(pool->classes[i]);
	}
}

/* ---- the slow halves of acquire and release --------------------------------------- */

/* Zeroes a used stack below its descriptor, by giving its pages back where that works. */
static void
make_fresh(struct cede__stack *stack)
{
	size_t page = cede__page_size();
	char *low = stack->low;
	char *top = (char *)((uintptr_t)stack / page * page);

	if (cede__guard_drop(low, (size_t)(top - low)) < 0)
		memset(low, 0, (size_t)(top - low));
	memset(top, 0, (size_t)((char *)stack - top));
	stack->is_used = 0;
}

/* What tools must hear of before a stack has a new owner. */
static void
prepare(const struct cede__stack_pool *pool, struct cede__stack *stack)
{
#ifdef CEDE__STACK_ASAN
	/* An owner that was abandoned in the middle of a frame left that frame's poison. */
	__asan_unpoison_memory_region(stack->low, stack->size);
#endif
	if (pool->is_exact && stack->is_used)
		make_fresh(stack);
#ifdef CEDE__STACK_VALGRIND
	/* What the last owner popped counts as unaddressable until somebody says otherwise. */
	VALGRIND_MAKE_MEM_UNDEFINED(stack->low, stack->size);
#endif
}

int
cede__stack_acquire_slow(struct cede__stack_pool *pool, size_t size, struct cede__stack **ret_stack)
{
	struct cede__stack *stack;

	if (size == 0)
		size = CEDE__STACK_SIZE_DEFAULT;
	if (size < CEDE__STACK_SIZE_MIN || size > CEDE__STACK_SIZE_MAX)
		return CEDE_EINVAL;

	struct cede__stack_class *cls = class_of(pool, class_index(size));
	if (!cls)
		return CEDE_ENOMEM;

	if (cls->cache.n_warm > 0)
		stack = cede__stack_cache_pop(&cls->cache);
	else if (cede__slab_take(cls, &stack) < 0)
		return CEDE_ENOMEM;

	prepare(pool, stack);
	*ret_stack = stack;
	return 0;
}

void
cede__stack_release_slow(struct cede__stack_pool *pool, struct cede__stack *stack)
{
	struct cede__stack_class *cls = stack->slab->cls;
	struct cede__stack_cache *cache = &cls->cache;

	cede__assert(pool->classes[cls->index] == cls);
	(void)pool;
	if (cache->n_warm == cache->n_limit)
		evict_oldest(cls, cache->n_limit / 4);
	if (--cache->n_until_trim == 0)
		trim(cls);
	cede__stack_cache_push(cache, stack);
}

void
cede__stack_pool_set_exact(struct cede__stack_pool *pool, int is_exact)
{
	pool->is_exact = is_exact;
	pool->standard.cache.n_floor = is_exact || has_tools() ? UINT32_MAX : 0;
}

/* Reads past what ASan and valgrind think is alive, on purpose. */
#ifdef CEDE__STACK_ASAN
__attribute__((no_sanitize("address")))
#endif
size_t
cede__stack_high_water(const struct cede__stack *stack)
{
	const uintptr_t *end = (const void *)((const char *)stack->low + stack->size);
	const volatile uintptr_t *word = stack->low;

#ifdef CEDE__STACK_VALGRIND
	VALGRIND_DISABLE_ERROR_REPORTING;
#endif
	while (word < end && *word == 0)
		word++;
#ifdef CEDE__STACK_VALGRIND
	VALGRIND_ENABLE_ERROR_REPORTING;
#endif
	return (size_t)((const char *)end - (const char *)word);
}

/* ---- the pool -------------------------------------------------------------------- */

int
cede__stack_pool_create(struct cede__stack_pool **ret_pool)
{
	struct cede__stack_pool *pool = cede__alloc_zero(sizeof *pool);
	if (!pool)
		return CEDE_ENOMEM;

	if (class_init(&pool->standard, CEDE__STACK_CLASS_DEFAULT) < 0)
		goto allocated;
	if (cede__overflow_attach(&pool->overflow) < 0)
		goto initialised;

	pool->classes[CEDE__STACK_CLASS_DEFAULT] = &pool->standard;
	*ret_pool = pool;
	return 0;

initialised:
	cede__free(pool->standard.cache.warm);
allocated:
	cede__free(pool);
	return CEDE_ENOMEM;
}

/* Unmaps the slabs of a list, which are all idle; returns how many were refused. */
static size_t
unmap_slabs(struct cede__list *slabs)
{
	size_t n_refused = 0;

	cede__list_each_safe(link, slabs) {
		if (cede__slab_destroy(cede__container_of(link, struct cede__slab, link)) < 0)
			n_refused++;
	}
	return n_refused;
}

static void
class_deinit(struct cede__stack_class *cls)
{
	evict_oldest(cls, cls->cache.n_warm);
	cede__check(cede__list_is_empty(&cls->closed),
		"stack pool destroyed while its stacks are out");
	cede__list_each(link, &cls->open) {
		struct cede__slab *slab = cede__container_of(link, struct cede__slab, link);

		cede__check(cede__slab_busy(slab) == 0,
			"stack pool destroyed while %u of its stacks are out",
			cede__slab_busy(slab));
	}

	/* At the system's limit of mappings, unmapping one slab may make room to unmap another. */
	size_t n_refused = unmap_slabs(&cls->open);
	while (n_refused > 0) {
		size_t n_left = unmap_slabs(&cls->open);

		cede__check(n_left < n_refused, "%zu slabs of stacks can not be unmapped", n_left);
		n_refused = n_left;
	}
	cede__free(cls->cache.warm);
}

void
cede__stack_pool_destroy(struct cede__stack_pool *pool)
{
	if (!pool)
		return;

	for (size_t i = 0; i < CEDE__STACK_CLASSES; i++) {
		if (!pool->classes[i])
			continue;
		class_deinit(pool->classes[i]);
		if (pool->classes[i] != &pool->standard)
			cede__free(pool->classes[i]);
	}
	cede__overflow_detach(&pool->overflow);
	cede__free(pool);
}
