/*
 * Slabs: one mapping cut into slots of one size class.
 *
 * A slab begins with 64 slots (fewer of large stacks) and each new one is as
 * large as all before it together, up to 65,536 slots: address space is all
 * that an unused slot costs, and a million stacks are 26 slabs, whether or not
 * the kernel merges neighbours. When so much address space is refused, half of
 * it is tried.
 *
 * Life of a slot: see stack_int.h. Cold slots are taken before fresh ones, from
 * slabs that have been full before newer ones, so that the newest slabs are the
 * ones that fall idle. An idle slab is unmapped unless it is the only one.
 *
 * Failures: no mapping or no guard is CEDE_ENOMEM, and nothing has changed. If
 * memory can't be given back (it is locked), the slot is cold all the same,
 * the slab is marked dirty, and its slots are no longer taken for zero.
 */
#include "coro/stack_int.h"

#include <string.h>

#include "coro/alloc.h"

#ifdef CEDE__STACK_VALGRIND
#include <valgrind/memcheck.h>
#endif

enum {
	SLOTS_FIRST = 64,
	SLOTS_MOST = 65536,
	BYTES_FIRST = 16 * 1024 * 1024, /* of large stacks: about so much, one slot at least */
	WORD_BITS = 64,
};

#define BYTES_MOST ((size_t)SLOTS_MOST * 256 * 1024)

static size_t
smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t
larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t
next_slots(const struct cede__stack_class *cls)
{
	size_t first = larger(1, smaller(SLOTS_FIRST, BYTES_FIRST / cls->stride));
	size_t most = larger(1, smaller(SLOTS_MOST, BYTES_MOST / cls->stride));

	return smaller(larger(first, cls->n_slots), most);
}

static size_t
words_of(size_t n_slots)
{
	return (n_slots + WORD_BITS - 1) / WORD_BITS;
}

static struct cede__slab *
map_slab(struct cede__stack_class *cls, size_t n_slots)
{
	size_t bytes;
	void *base;
	enum cede__guard guard;

	if (cede__size_mul(n_slots, cls->stride, &bytes) < 0)
		return NULL;

	struct cede__slab *slab =
		cede__alloc_zero(sizeof *slab + words_of(n_slots) * sizeof slab->cold[0]);
	if (!slab)
		return NULL;

	if (cede__guard_map(bytes, cls->guard, &base, &guard) < 0) {
		cede__free(slab);
		return NULL;
	}

	slab->cls = cls;
	slab->base = base;
	slab->bytes = bytes;
	slab->n_slots = (uint32_t)n_slots;
	slab->guard = guard;
	return slab;
}

static void
publish(struct cede__slab *slab)
{
	slab->entry = cede__overflow_add(&(struct cede__slab_shape){
		.base = (uintptr_t)slab->base,
		.bytes = slab->bytes,
		.stride = slab->cls->stride,
		.guard = slab->cls->guard,
		.size = slab->cls->size,
	});
}

int
cede__slab_create(struct cede__stack_class *cls)
{
	struct cede__slab *slab = NULL;

	for (size_t n = next_slots(cls); n > 0 && !slab; n /= 2)
		slab = map_slab(cls, n);
	if (!slab)
		return CEDE_ENOMEM;

	publish(slab);
	cede__list_init(&slab->link);
	cede__list_append(&cls->open, &slab->link);
	cls->n_slots += slab->n_slots;
	cls->n_idle_slabs++;
	return 0;
}

int
cede__slab_destroy(struct cede__slab *slab)
{
	cede__assert(cede__slab_busy(slab) == 0);

	cede__overflow_remove(slab->entry);
	if (cede__guard_unmap(slab->base, slab->bytes) < 0) {
		/* Unmapping the middle of merged mappings makes one more: too many, perhaps. */
		publish(slab);
		return CEDE_ENOMEM;
	}

	cede__list_remove(&slab->link);
	slab->cls->n_slots -= slab->n_slots;
	slab->cls->n_idle_slabs--;
	cede__free(slab);
	return 0;
}

/* ---- taking ------------------------------------------------------------------- */

static uint32_t
take_cold(struct cede__slab *slab)
{
	uint32_t word = slab->first_cold;

	while (slab->cold[word] == 0)
		word++;

	uint32_t bit = (uint32_t)__builtin_ctzll(slab->cold[word]);
	slab->cold[word] &= slab->cold[word] - 1;
	slab->first_cold = word;
	slab->n_cold--;
	return word * WORD_BITS + bit;
}

/* Guards are made one by one, when a slot is first wanted: a slab costs what is used of it. */
static int
take_fresh(struct cede__slab *slab, uint32_t *ret_slot)
{
	const struct cede__stack_class *cls = slab->cls;
	uint32_t slot = slab->n_opened;
	char *addr = slab->base + slot * cls->stride;
	int is_done = slot == 0 && slab->guard == CEDE__GUARD_LIGHT; /* by cede__guard_map() */

	if (!is_done && cede__guard_open(slab->guard, addr, cls->guard, cls->usable) < 0)
		return CEDE_ENOMEM;

	slab->n_opened++;
	*ret_slot = slot;
	return 0;
}

static struct cede__stack *
write_descriptor(struct cede__slab *slab, uint32_t slot)
{
	const struct cede__stack_class *cls = slab->cls;
	char *low = slab->base + slot * cls->stride + cls->guard;
	struct cede__stack *stack = cede__slab_descriptor(slab->base, cls->stride, slot);

	*stack = (struct cede__stack){
		.low = low,
		.size = (uint32_t)((char *)stack - low),
		.slab = slab,
		.slot = slot,
		.class_index = cls->index,
		.is_used = slab->is_dirty,
	};
#ifdef CEDE__STACK_VALGRIND
	stack->valgrind_id = VALGRIND_STACK_REGISTER(low, (char *)stack);
#endif
	return stack;
}

int
cede__slab_take(struct cede__stack_class *cls, struct cede__stack **ret_stack)
{
	uint32_t slot;

	if (cede__list_is_empty(&cls->open) && cede__slab_create(cls) < 0)
		return CEDE_ENOMEM;

	struct cede__slab *slab =
		cede__container_of(cede__list_first(&cls->open), struct cede__slab, link);
	int was_idle = cede__slab_busy(slab) == 0;

	if (slab->n_cold > 0)
		slot = take_cold(slab);
	else if (take_fresh(slab, &slot) < 0)
		return CEDE_ENOMEM;

	if (was_idle)
		cls->n_idle_slabs--;
	if (cede__slab_busy(slab) == slab->n_slots) {
		cede__list_remove(&slab->link);
		cede__list_append(&cls->closed, &slab->link);
	}
	*ret_stack = write_descriptor(slab, slot);
	return 0;
}

/* ---- giving back ---------------------------------------------------------------- */

/* Neighbouring slots on their way to cold: guards stay, so one call drops them all. */
struct run {
	struct cede__slab *slab;
	uint32_t first;
	uint32_t n;
};

static int
run_extend(struct run *run, const struct cede__slab *slab, uint32_t slot)
{
	if (run->slab != slab)
		return 0;
	if (slot == run->first + run->n) {
		run->n++;
		return 1;
	}
	if (slot + 1 == run->first) {
		run->first--;
		run->n++;
		return 1;
	}
	return 0;
}

/* The descriptors are gone after this, and so may be the slab. */
static void
run_drop(struct run *run)
{
	struct cede__slab *slab = run->slab;

	if (!slab)
		return;

	size_t stride = slab->cls->stride;
	if (cede__guard_drop(slab->base + run->first * stride, run->n * stride) < 0)
		slab->is_dirty = 1;

	if (cede__slab_busy(slab) == 0) {
		slab->cls->n_idle_slabs++;
		if (slab->cls->n_idle_slabs > 1)
			(void)cede__slab_destroy(slab); /* still idle, still usable, when refused */
	}
	run->slab = NULL;
}

static void
make_cold(struct cede__slab *slab, uint32_t slot)
{
	uint32_t word = slot / WORD_BITS;

	if (cede__slab_busy(slab) == slab->n_slots) {
		cede__list_remove(&slab->link);
		cede__list_prepend(&slab->cls->open, &slab->link);
	}
	slab->cold[word] |= (uint64_t)1 << slot % WORD_BITS;
	slab->n_cold++;
	if (word < slab->first_cold)
		slab->first_cold = word;
}

void
cede__slab_evict(struct cede__stack_class *cls, const uintptr_t *entries, uint32_t n)
{
	struct run run = { 0 };

	(void)cls;
	for (uint32_t i = 0; i < n; i++) {
		struct cede__stack *stack = (void *)(entries[i] & ~CEDE__STACK_AGE_MASK);
		struct cede__slab *slab = stack->slab;
		uint32_t slot = stack->slot;

		cede__assert(stack->is_free && slab->cls == cls);
#ifdef CEDE__STACK_VALGRIND
		VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
#endif
		if (!run_extend(&run, slab, slot)) {
			run_drop(&run);
			run = (struct run){ slab, slot, 1 };
		}
		make_cold(slab, slot);
	}
	run_drop(&run);
}
