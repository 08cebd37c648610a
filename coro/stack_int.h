/*
 * What the four files of the stacks share. Nobody else includes this, except
 * tests that make the system fail.
 *
 *   stack.c           the pool: size classes, the cache of warm stacks, trimming
 *   stack_slab.c      slabs: which slots are out, cold or never used
 *   stack_guard.c     the system calls, and which kind of guard works here
 *   stack_overflow.c  the table of slabs, the signal handler, the sentence
 *
 * A slot, lowest address first:
 *
 *	+-----------------+--------------------------------------+-----+--------+
 *	| guard           | usable, at least the class's size    | des-| colour |
 *	| 64 KiB          | grows down: <---------------- frames | crip| 0..960 |
 *	+-----------------+--------------------------------------+-----+--------+
 *	base + i * stride  ^ low                       low + size ^
 *
 * Usable part, descriptor and colour together are the class's size and one page:
 * the page pays for the descriptor and the colour, so that the promised size is
 * whole, and it makes the stride an odd number of pages, so that the tops of
 * many stacks do not fall into the same few sets of the TLB.
 *
 * A slot is always in one of four states:
 *
 *	fresh --take--> out --release--> warm --evict--> cold --take--> out
 *	                 ^                 |
 *	                 +-----acquire-----+
 *
 *	fresh  index >= n_opened: never used. Its guard is not there yet
 *	       (lightweight) or all of it is inaccessible (mprotect).
 *	out    somebody owns it
 *	warm   in its class's cache, top page resident
 *	cold   guarded, nothing resident; its bit is set in `cold`
 */
#ifndef CEDE_CORO_STACK_INT_H
#define CEDE_CORO_STACK_INT_H

#include <signal.h>
#include <sys/types.h>

#include "coro/list.h"
#include "coro/stack.h"

#if defined(__SANITIZE_ADDRESS__)
#define CEDE__STACK_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define CEDE__STACK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CEDE__STACK_ASAN 1
#elif __has_feature(thread_sanitizer)
#define CEDE__STACK_TSAN 1
#endif
#endif

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#define CEDE__STACK_VALGRIND 1
#endif
#endif

#define CEDE__STACK_GUARD        (64 * 1024) /* rounded up to whole pages */
#define CEDE__STACK_CLASSES      17          /* 16 KiB << 0 .. 16 */
#define CEDE__STACK_COLOURS      16
#define CEDE__STACK_COLOUR_BYTES 64

/* ---- stack_guard.c: the system, and guards ---------------------------------- */

/*
 * The system calls, through pointers so that a test can make the n-th one fail
 * or pretend to be a system without lightweight guards. Only tests write to it.
 */
struct cede__stack_sys {
	void *(*mmap)(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset);
	int (*munmap)(void *addr, size_t bytes);
	int (*madvise)(void *addr, size_t bytes, int advice);
	int (*mprotect)(void *addr, size_t bytes, int prot);
	ssize_t (*write)(int fd, const void *data, size_t bytes);
};

extern struct cede__stack_sys cede__stack_sys;

enum cede__guard {
	CEDE__GUARD_LIGHT,   /* the mapping is accessible; guards are installed in it */
	CEDE__GUARD_PROTECT, /* the mapping is inaccessible; usable parts are opened in it */
};

size_t cede__page_size(void);

/** Forgets what the probe found, for tests. */
void cede__guard_forget(void);

/**
 * Maps `bytes` of which nothing is accessible without a guard below it, and
 * says how slots must be opened. 0 or CEDE_ENOMEM.
 */
int cede__guard_map(size_t bytes, size_t guard, void **ret_base, enum cede__guard *ret_guard);

/** Makes the slot at `slot` ready: guard below, usable memory above. 0 or CEDE_ENOMEM. */
int cede__guard_open(enum cede__guard kind, void *slot, size_t guard, size_t usable);

/** Gives the memory of a range back and keeps its guards. 0, or negative: it was kept. */
int cede__guard_drop(void *addr, size_t bytes);

/** 0 or negative: the range is still mapped. */
int cede__guard_unmap(void *base, size_t bytes);

/* ---- stack_overflow.c: the table and the handler ---------------------------- */

/* One slab as a signal handler may see it. */
struct cede__slab_shape {
	uintptr_t base; /* 0: no slab */
	size_t bytes;
	size_t stride;
	size_t guard;
	size_t size; /* of the class, for the sentence */
};

struct cede__overflow_entry;

/** Publishes a slab. NULL when there is no room: its overflows then die without the sentence. */
struct cede__overflow_entry *cede__overflow_add(const struct cede__slab_shape *shape);

/** Before the slab is unmapped. NULL is allowed. */
void cede__overflow_remove(struct cede__overflow_entry *entry);

/* What a pool keeps of the handler: the signal stack it gave its thread, if any. */
struct cede__overflow {
	void *signal_stack;
};

/** Installs the handler for the first pool, and a signal stack if the thread has none. 0 or CEDE_ENOMEM. */
int cede__overflow_attach(struct cede__overflow *overflow);

/** Undoes it, for the last pool; leaves alone what the application has replaced since. */
void cede__overflow_detach(struct cede__overflow *overflow);

/* ---- stack_slab.c: slabs ------------------------------------------------------ */

/* The geometry of a size class and its slabs. */
struct cede__stack_class {
	struct cede__stack_cache cache;
	size_t size;   /* promised */
	size_t guard;  /* whole pages */
	size_t usable; /* size and one page: frames, descriptor, colour */
	size_t stride; /* guard + usable */

	struct cede__list open;   /* cede__slab::link, those with a cold or fresh slot */
	struct cede__list closed; /* cede__slab::link, all slots out or warm */
	size_t n_slots;           /* of all slabs */
	uint32_t n_idle_slabs;    /* with no slot out or warm; kept for the next burst */
	uint8_t index;
};

struct cede__slab {
	struct cede__list link;
	struct cede__stack_class *cls;
	struct cede__overflow_entry *entry;
	char *base;
	size_t bytes;
	uint32_t n_slots;
	uint32_t n_opened; /* slots [0, n_opened) have their guard */
	uint32_t n_cold;
	uint32_t first_cold; /* no word of `cold` below this one has a bit */
	enum cede__guard guard;
	uint8_t is_dirty; /* memory could not be given back: cold slots need not be zero */
	uint64_t cold[];  /* a bit for each slot */
};

/** Slots out or warm. */
static inline uint32_t
cede__slab_busy(const struct cede__slab *slab)
{
	return slab->n_opened - slab->n_cold;
}

/** Maps a slab for the class and links it. 0 or CEDE_ENOMEM. */
int cede__slab_create(struct cede__stack_class *cls);

/** Unmaps a slab none of whose slots is busy. 0, or negative: nothing happened. */
int cede__slab_destroy(struct cede__slab *slab);

/** Takes a cold or fresh slot, mapping a slab if need be, and writes its descriptor. 0 or CEDE_ENOMEM. */
int cede__slab_take(struct cede__stack_class *cls, struct cede__stack **ret_stack);

/** Warm to cold for the n stacks in entries, which are given back to the system. */
void cede__slab_evict(struct cede__stack_class *cls, const uintptr_t *entries, uint32_t n);

/** The descriptor of a slot, whether or not there is one yet. */
static inline struct cede__stack *
cede__slab_descriptor(char *base, size_t stride, size_t slot)
{
	size_t colour = slot % CEDE__STACK_COLOURS * CEDE__STACK_COLOUR_BYTES;

	return (void *)(base + (slot + 1) * stride - colour - sizeof(struct cede__stack));
}

#endif
