/*
 * The stacks when the system refuses: every call that can fail, failing at every
 * turn, once and from then on. Whatever happens a stack is guarded or there is
 * none, and nothing is left afterwards.
 */
#include "coro/stack_int.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "coro/alloc.h"

#define GUARD_INSTALL 102

/* ---- a system that fails on order --------------------------------------------- */

enum fault {
	NO_FAULT,
	AT_MMAP,
	AT_MUNMAP,
	AT_ADVISE,
	AT_GUARD,
	AT_DROP,
	AT_PROTECT,
	AT_ALLOC,
	N_FAULTS
};

static struct cede__stack_sys real;
static enum fault faulty; /* which call fails */
static int n_before;      /* after so many that work */
static int n_failures;    /* so many times; what is left of it */
static int n_failed;
static int is_pretending; /* guards are "installed" as qemu-user does it */
static long n_mapped;     /* bytes mapped through the seam */

static int
fails(enum fault call)
{
	if (call != faulty || n_before-- > 0)
		return 0;
	n_before = 0;
	if (n_failures == 0)
		return 0;
	n_failures--;
	n_failed++;
	errno = ENOMEM;
	return 1;
}

static void *
faulty_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	if (fails(AT_MMAP))
		return MAP_FAILED;
	void *base = real.mmap(addr, bytes, prot, flags, fd, offset);
	if (base != MAP_FAILED)
		n_mapped += (long)bytes;
	return base;
}

static int
faulty_munmap(void *addr, size_t bytes)
{
	if (fails(AT_MUNMAP))
		return -1;
	n_mapped -= (long)bytes;
	return real.munmap(addr, bytes);
}

static int
faulty_madvise(void *addr, size_t bytes, int advice)
{
	if (advice == GUARD_INSTALL && is_pretending)
		return 0;
	enum fault call = advice == GUARD_INSTALL ? AT_GUARD
		: advice == MADV_DONTNEED         ? AT_DROP
						  : AT_ADVISE;
	return fails(call) ? -1 : real.madvise(addr, bytes, advice);
}

static int
faulty_mprotect(void *addr, size_t bytes, int prot)
{
	return fails(AT_PROTECT) ? -1 : real.mprotect(addr, bytes, prot);
}

static void *
faulty_alloc(size_t size, void *data)
{
	(void)data;
	return fails(AT_ALLOC) ? NULL : malloc(size);
}

static void *
faulty_realloc(void *p, size_t size, void *data)
{
	(void)data;
	return fails(AT_ALLOC) ? NULL : realloc(p, size);
}

static void
plain_free(void *p, void *data)
{
	(void)data;
	free(p);
}

static void
arm(enum fault call, int after, int times)
{
	faulty = call;
	n_before = after;
	n_failures = times;
	n_failed = 0;
}

static void
setup(void)
{
	static const cede_allocator_t allocator = { faulty_alloc, faulty_realloc, plain_free,
		NULL };

	real = cede__stack_sys;
	cede__stack_sys.mmap = faulty_mmap;
	cede__stack_sys.munmap = faulty_munmap;
	cede__stack_sys.madvise = faulty_madvise;
	cede__stack_sys.mprotect = faulty_mprotect;
	if (cede_set_allocator(&allocator) < 0)
		abort();
}

TestSuite(stack_fault, .timeout = 60, .init = setup);

static void
expect_nothing_left(void)
{
	cr_assert_eq(cede__alloc_outstanding(), 0);
	cr_assert_eq(n_mapped, 0);
}

static int
is_readable(const void *addr)
{
	static int fds[2];
	char byte;

	if (fds[1] == 0 && pipe(fds) < 0)
		abort();
	if (write(fds[1], addr, 1) < 0)
		return 0;
	cr_assert_eq(read(fds[0], &byte, 1), 1);
	return 1;
}

static int
is_guarded(const struct cede__stack *stack)
{
	const char *low = stack->low;

	return is_readable(low) && is_readable(low + stack->size - 1) && !is_readable(low - 1) &&
		!is_readable(low - CEDE__STACK_GUARD);
}

/* Takes up to n stacks, all guarded; returns how many there were before CEDE_ENOMEM. */
static size_t
take(struct cede__stack_pool *pool, size_t size, struct cede__stack **stacks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		stacks[i] = (void *)-1;
		int err = cede__stack_acquire(pool, size, &stacks[i]);
		if (err < 0) {
			cr_assert_eq(err, CEDE_ENOMEM);
			cr_assert_eq(stacks[i], (void *)-1, "written although it failed");
			return i;
		}
		cr_assert(is_guarded(stacks[i]), "stack %zu", i);
		((char *)stacks[i]->low)[stacks[i]->size - 1] = 1;
	}
	return n;
}

static void
give(struct cede__stack_pool *pool, struct cede__stack **stacks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cede__stack_release(pool, stacks[i]);
}

/* ---- kinds of guards ------------------------------------------------------------ */

static void
expect_guarded_stacks(size_t n)
{
	static struct cede__stack *stacks[1000];
	struct cede__stack_pool *pool;

	cr_assert_eq(cede__stack_pool_create(&pool), 0);
	cr_assert_eq(take(pool, 0, stacks, n), n);
	give(pool, stacks, n);
	cede__stack_pool_trim(pool);
	cede__stack_pool_trim(pool);
	cede__stack_pool_trim(pool);
	cr_assert_eq(take(pool, 0, stacks, n), n);
	give(pool, stacks, n);
	cede__stack_pool_destroy(pool);
	expect_nothing_left();
}

Test(stack_fault, an_old_kernel_gets_mprotect)
{
	arm(AT_GUARD, 0, -1);
	expect_guarded_stacks(1000);
	cr_assert_eq(n_failed, 1, "the probe alone asks");
}

Test(stack_fault, guards_that_are_only_pretended_are_seen_through)
{
	is_pretending = 1;
	expect_guarded_stacks(1000);
}

Test(stack_fault, without_a_descriptor_for_the_probe_guards_are_mprotect)
{
	struct rlimit limit;

	(void)is_readable(&real); /* opens its pipe while it can */
	getrlimit(RLIMIT_NOFILE, &limit);
	rlim_t before = limit.rlim_cur;
	limit.rlim_cur = 0;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	expect_guarded_stacks(100);
	limit.rlim_cur = before;
	setrlimit(RLIMIT_NOFILE, &limit);
}

Test(stack_fault, a_guard_refused_half_way_is_made_by_mprotect)
{
	for (int after = 1; after < 80; after++) {
		arm(AT_GUARD, after, -1);
		expect_guarded_stacks(100);
	}
}

Test(stack_fault, neither_kind_is_a_clean_refusal)
{
	struct cede__stack *stacks[1];
	struct cede__stack_pool *pool;

	is_pretending = 1;
	arm(AT_PROTECT, 0, -1);
	cr_assert_eq(cede__stack_pool_create(&pool), 0);
	cr_assert_eq(take(pool, 0, stacks, 1), 0);
	cr_assert_eq(take(pool, 1 << 20, stacks, 1), 0);

	arm(NO_FAULT, 0, 0);
	cr_assert_eq(take(pool, 0, stacks, 1), 1);
	give(pool, stacks, 1);
	cede__stack_pool_destroy(pool);
	expect_nothing_left();
}

#if !defined(CEDE__STACK_ASAN) && !defined(CEDE__STACK_TSAN)
/* An ordinary user may lock so little that no stack can be had any more. */
static int
lock_memory(int what)
{
	struct rlimit limit;

	if (geteuid() != 0 &&
		(getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur != RLIM_INFINITY))
		return -1;
	return mlockall(what);
}

Test(stack_fault, locked_memory_gets_mprotect)
{
	if (lock_memory(MCL_FUTURE) < 0)
		cr_skip("may not lock memory");
	expect_guarded_stacks(300);
}

Test(stack_fault, memory_locked_later_keeps_its_guards)
{
	static struct cede__stack *stacks[600];
	struct cede__stack_pool *pool;

	cr_assert_eq(cede__stack_pool_create(&pool), 0);
	cr_assert_eq(take(pool, 0, stacks, 100), 100);
	if (lock_memory(MCL_CURRENT | MCL_FUTURE) < 0)
		cr_skip("may not lock memory");
	cr_assert_eq(take(pool, 0, stacks + 100, 500), 500);
	for (int i = 0; i < 600; i++) {
		cr_assert(is_guarded(stacks[i]));
		*(char *)stacks[i]->low = 1;
	}

	/* It can't be given back: what comes again dirty may not pass for fresh. */
	give(pool, stacks, 600);
	for (int i = 0; i < 3; i++)
		cede__stack_pool_trim(pool);
	cr_assert_eq(take(pool, 0, stacks, 600), 600);
	size_t n_used = 0;
	for (int i = 0; i < 600; i++) {
		if (cede__stack_is_fresh(stacks[i]))
			cr_assert_eq(cede__stack_high_water(stacks[i]), sizeof(void *),
				"the word that take() wrote");
		else
			n_used++;
	}
	cr_assert_gt(n_used, 300);
	give(pool, stacks, 600);

	cede__stack_pool_set_exact(pool, 1);
	cr_assert_eq(take(pool, 0, stacks, 1), 1);
	cr_assert(cede__stack_is_fresh(stacks[0]));
	cr_assert_eq(cede__stack_high_water(stacks[0]), sizeof(void *));
	give(pool, stacks, 1);
	cede__stack_pool_destroy(pool);
	expect_nothing_left();
}

Test(stack_fault, at_the_limit_of_mappings_there_is_a_clean_refusal)
{
	enum { MANY = 40000 };
	static struct cede__stack *stacks[MANY];
	struct cede__stack_pool *pool;

	is_pretending = 1;
	cr_assert_eq(cede__stack_pool_create(&pool), 0);
	size_t n = take(pool, 0, stacks, MANY);
	if (n == MANY)
		cr_skip("this system allows more mappings");
	cr_assert_gt(n, 30000);

	give(pool, stacks, 100);
	cr_assert_eq(take(pool, 0, stacks, 100), 100);
	give(pool, stacks, n);
	cede__stack_pool_destroy(pool);
	expect_nothing_left();
}
#endif

Test(stack_fault, little_address_space_gets_smaller_slabs)
{
	static struct cede__stack *stacks[2000];
	struct cede__stack_pool *pool;

	cr_assert_eq(cede__stack_pool_create(&pool), 0);
	cr_assert_eq(take(pool, 0, stacks, 64), 64);
	arm(AT_MMAP, 0, 3); /* 64, 32 and 16 slots are refused */
	cr_assert_eq(take(pool, 0, stacks + 64, 1000), 1000);
	cr_assert_eq(n_failed, 3);
	give(pool, stacks, 1064);
	cede__stack_pool_destroy(pool);
	expect_nothing_left();
}

/* ---- every call, at every turn ------------------------------------------------------ */

/* Two sizes, more than one slab, a peak that is trimmed away, and again. */
static void
scenario(void)
{
	enum { N = 400 };
	static struct cede__stack *stacks[N];
	struct cede__stack *large[3];
	struct cede__stack_pool *pool;

	int err = cede__stack_pool_create(&pool);
	if (err < 0) {
		cr_assert_eq(err, CEDE_ENOMEM);
		return;
	}
	for (int round = 0; round < 2; round++) {
		size_t n = take(pool, 0, stacks, N);
		size_t n_large = take(pool, 1 << 20, large, CEDE__ARRAY_LEN(large));

		give(pool, large, n_large);
		give(pool, stacks, n);
		for (int i = 0; i < 3; i++)
			cede__stack_pool_trim(pool);
	}
	cede__stack_pool_destroy(pool);
	expect_nothing_left();
}

/* Runs until the fault comes too late to happen. */
static void
fail_at_every_turn(enum fault call, int times, int step)
{
	/* The first unmapping is the probe's, of a page that is then lost for good. */
	int after = call == AT_MUNMAP;

	do {
		cede__guard_forget();
		arm(call, after, times);
		scenario();
		after += step;
	} while (n_failed > 0);
	cr_assert_gt(after, step, "never failed at all");
}

Test(stack_fault, any_one_call_may_fail)
{
	for (enum fault call = AT_MMAP; call < N_FAULTS; call++)
		fail_at_every_turn(call, 1, call == AT_GUARD || call == AT_PROTECT ? 7 : 1);
}

Test(stack_fault, any_call_may_fail_from_then_on)
{
	enum fault calls[] = { AT_MMAP, AT_ADVISE, AT_GUARD, AT_DROP, AT_PROTECT, AT_ALLOC };

	for (size_t i = 0; i < CEDE__ARRAY_LEN(calls); i++)
		fail_at_every_turn(calls[i], -1, calls[i] == AT_GUARD ? 7 : 1);
}

Test(stack_fault, any_call_may_fail_while_guards_are_mprotect)
{
	is_pretending = 1;
	fail_at_every_turn(AT_PROTECT, 1, 5);
	fail_at_every_turn(AT_PROTECT, -1, 5);
	fail_at_every_turn(AT_MMAP, -1, 1);
}
