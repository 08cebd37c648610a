/*
 * coro/stack.c and below: what a stack promises, what it costs, and that
 * nothing is kept. tests/coro/test_stack_fault.c makes the system fail.
 */
#include "coro/stack_int.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "coro/alloc.h"

#if defined(CEDE__STACK_ASAN) || defined(CEDE__STACK_TSAN)
#define HAS_SHADOW 1 /* memory and mappings of the sanitizer's own */
#else
#define HAS_SHADOW 0
#endif

#define MANY 100000

static struct cede__stack_pool *pool;

static void
setup(void)
{
	if (cede__stack_pool_create(&pool) < 0)
		abort();
}

TestSuite(stack, .timeout = 60, .init = setup);

static struct cede__stack *
acquire(size_t size)
{
	struct cede__stack *stack = NULL;

	cr_assert_eq(cede__stack_acquire(pool, size, &stack), 0);
	return stack;
}

static void
destroy_and_expect_nothing_left(void)
{
	cede__stack_pool_destroy(pool);
	cr_assert_eq(cede__alloc_outstanding(), 0);
}

static size_t
count_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	size_t n = 0;
	int c;

	cr_assert_not_null(file);
	while ((c = getc(file)) != EOF)
		n += c == '\n';
	fclose(file);
	return n;
}

static size_t
resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t total, resident;

	cr_assert_not_null(file);
	cr_assert_eq(fscanf(file, "%zu %zu", &total, &resident), 2);
	fclose(file);
	return resident * cede__page_size();
}

/* Can the kernel read a byte there? A guard answers EFAULT, without a signal. */
static int
is_readable(const void *addr)
{
	static int fds[2];
	char byte;

	if (fds[1] == 0 && pipe(fds) < 0)
		abort();
	if (write(fds[1], addr, 1) < 0) {
		cr_assert_eq(errno, EFAULT);
		return 0;
	}
	cr_assert_eq(read(fds[0], &byte, 1), 1);
	return 1;
}

/* The guard's first and last byte, and the usable part's. */
static int
is_guarded(const struct cede__stack *stack)
{
	const char *low = stack->low;

	return is_readable(low) && is_readable(low + stack->size - 1) && !is_readable(low - 1) &&
		!is_readable(low - CEDE__STACK_GUARD);
}

/* What the frames of a coroutine that does little would touch. */
static void
use_bytes(struct cede__stack *stack, size_t n)
{
	memset((char *)stack->low + stack->size - n, 0x5a, n);
}

Test(stack, has_the_size_that_was_asked_for_and_is_aligned)
{
	size_t sizes[] = { 0, CEDE__STACK_SIZE_MIN, CEDE__STACK_SIZE_MIN + 1, 65536, 65537, 1 << 20,
		CEDE__STACK_SIZE_MAX };

	for (size_t i = 0; i < CEDE__ARRAY_LEN(sizes); i++) {
		struct cede__stack *stack = acquire(sizes[i]);
		size_t wanted = sizes[i] ? sizes[i] : CEDE__STACK_SIZE_DEFAULT;

		cr_assert_geq(stack->size, wanted);
		cr_assert_eq((uintptr_t)stack->low % 16, 0);
		cr_assert_eq(stack->size % 16, 0);
		cr_assert_null(stack->owner);
		cr_assert(is_guarded(stack));
		if (wanted < 1 << 20)
			use_bytes(stack, stack->size);
		cede__stack_release(pool, stack);
	}
	destroy_and_expect_nothing_left();
}

Test(stack, refuses_sizes_out_of_range)
{
	struct cede__stack *stack = NULL;

	cr_assert_eq(cede__stack_acquire(pool, 1, &stack), CEDE_EINVAL);
	cr_assert_eq(cede__stack_acquire(pool, CEDE__STACK_SIZE_MIN - 1, &stack), CEDE_EINVAL);
	cr_assert_eq(cede__stack_acquire(pool, (size_t)CEDE__STACK_SIZE_MAX + 1, &stack),
		CEDE_EINVAL);
	cr_assert_eq(cede__stack_acquire(pool, SIZE_MAX, &stack), CEDE_EINVAL);
	cr_assert_null(stack);
	destroy_and_expect_nothing_left();
}

Test(stack, the_last_released_is_the_next_acquired)
{
	struct cede__stack *a = acquire(0);
	struct cede__stack *b = acquire(0);

	cr_assert_neq(a, b);
	a->owner = "somebody";
	cede__stack_release(pool, b);
	cede__stack_release(pool, a);
	cr_assert_eq(acquire(0), a);
	cr_assert_null(a->owner);
	cr_assert_eq(acquire(0), b);
	cede__stack_release(pool, a);
	cede__stack_release(pool, b);
	destroy_and_expect_nothing_left();
}

Test(stack, neighbours_tops_are_shifted_by_different_multiples_of_64_bytes)
{
	size_t page = cede__page_size();
	unsigned seen = 0;
	size_t previous = SIZE_MAX;
	struct cede__stack *stacks[CEDE__STACK_COLOURS];

	for (size_t i = 0; i < CEDE__STACK_COLOURS; i++) {
		stacks[i] = acquire(0);
		size_t top = (uintptr_t)stacks[i]->low + stacks[i]->size;
		size_t below = (page - (top + sizeof *stacks[i]) % page) % page;

		cr_assert_eq(below % 64, 0);
		cr_assert_lt(below, 1024);
		cr_assert_neq(below, previous);
		previous = below;
		seen |= 1u << below / 64;
	}
	cr_assert_eq(seen, 0xffff);
	for (size_t i = 0; i < CEDE__STACK_COLOURS; i++)
		cede__stack_release(pool, stacks[i]);
}

Test(stack, releasing_leaves_the_bytes_alone)
{
	struct cede__stack *stack = acquire(0);

	use_bytes(stack, 2000);
	cede__stack_release(pool, stack);
	cr_assert_eq(*((unsigned char *)stack->low + stack->size - 2000), 0x5a);
	destroy_and_expect_nothing_left();
}

/* Without them two mappings a stack are what it costs: a few ten thousand are the limit. */
static int
has_light_guards(void)
{
	struct cede__stack *stack = acquire(0);
	int is_light = stack->slab->guard == CEDE__GUARD_LIGHT;

	cede__stack_release(pool, stack);
	return is_light;
}

Test(stack, a_hundred_thousand_are_all_guarded_in_few_mappings_and_one_page_each)
{
	struct cede__stack **stacks = calloc(MANY, sizeof *stacks);
	int is_light = has_light_guards();
	size_t n = HAS_SHADOW || !is_light ? MANY / 10 : MANY;

	memset(stacks, 1, MANY * sizeof *stacks);
	cede__stack_pool_destroy(pool);
	size_t mappings = count_mappings();
	cr_assert_eq(cede__stack_pool_create(&pool), 0);
	(void)is_readable(&mappings);

	size_t resident = resident_bytes();
	for (size_t i = 0; i < n; i++) {
		stacks[i] = acquire(0);
		use_bytes(stacks[i], 1024);
	}
	if (!HAS_SHADOW) {
		if (is_light) /* under an emulator its own tables count too */
			cr_expect_leq(resident_bytes() - resident, n * (4096 + 64));
		cr_expect_leq(count_mappings(), mappings + (is_light ? 30 : 2 * n + 30));
	}
	for (size_t i = 0; i < n; i++)
		cr_assert(is_guarded(stacks[i]), "stack %zu", i);

	for (size_t i = 0; i < n; i++)
		cede__stack_release(pool, stacks[i]);
	destroy_and_expect_nothing_left();
	if (!HAS_SHADOW) /* one more: the heap's growth is a mapping of its own after a fork */
		cr_expect_leq(count_mappings(), mappings + 1);
	free(stacks);
}

Test(stack, a_peak_is_given_back_as_it_drains_and_guards_stay)
{
	static struct cede__stack *stacks[40000];
	size_t n = has_light_guards() ? 40000 : 25000;

	for (size_t i = 0; i < n; i++)
		stacks[i] = acquire(0);
	size_t peak = resident_bytes();
	for (size_t i = 0; i < n; i++)
		cede__stack_release(pool, stacks[i]);
	if (!HAS_SHADOW)
		cr_expect_lt(resident_bytes(), peak - (n - 20000) * cede__page_size());

	for (size_t i = 0; i < n; i++) {
		stacks[i] = acquire(0);
		if (i % 100 == 0)
			cr_assert(is_guarded(stacks[i]));
	}
	for (size_t i = 0; i < n; i++)
		cede__stack_release(pool, stacks[n - 1 - i]);
	destroy_and_expect_nothing_left();
}

Test(stack, memory_of_deep_users_is_given_back_when_idle)
{
	enum { N = 1000 };
	struct cede__stack *stacks[N];

	for (size_t i = 0; i < N; i++) {
		stacks[i] = acquire(0);
		use_bytes(stacks[i], stacks[i]->size);
	}
	size_t peak = resident_bytes();
	for (size_t i = 0; i < N; i++)
		cede__stack_release(pool, stacks[i]);

	cede__stack_pool_trim(pool);
	cede__stack_pool_trim(pool);
	if (!HAS_SHADOW)
		cr_expect_lt(resident_bytes(), peak - N * 60000);
	cede__stack_pool_trim(pool);
	if (!HAS_SHADOW)
		cr_expect_lt(resident_bytes(), peak - N * 60000 - (N - 300) * 4096);

	for (size_t i = 0; i < N; i++)
		cr_assert(is_guarded(stacks[i] = acquire(0)));
	for (size_t i = 0; i < N; i++)
		cede__stack_release(pool, stacks[i]);
	destroy_and_expect_nothing_left();
}

Test(stack, idle_slabs_are_unmapped_but_for_one)
{
	static struct cede__stack *stacks[4096];
	int is_light = has_light_guards();
	size_t mappings = count_mappings();
	for (size_t i = 0; i < 4096; i++)
		stacks[i] = acquire(16 * 1024);
	for (size_t i = 0; i < 4096; i++)
		cede__stack_release(pool, stacks[i]);
	for (int i = 0; i < 4; i++)
		cede__stack_pool_trim(pool);

	/* What stays: the 256 warmest, in the newest slab, and one idle slab. */
	if (!HAS_SHADOW && is_light)
		cr_expect_leq(count_mappings(), mappings + 3);
	destroy_and_expect_nothing_left();
}

Test(stack, releases_trim_without_being_told)
{
	enum { N = 2000 };
	static struct cede__stack *stacks[N];

	for (size_t i = 0; i < N; i++) {
		stacks[i] = acquire(0);
		use_bytes(stacks[i], stacks[i]->size);
	}
	for (size_t i = 0; i < N; i++)
		cede__stack_release(pool, stacks[i]);
	size_t peak = resident_bytes();

	/* Only the newest is used from now on. */
	for (int i = 0; i < 40000; i++)
		cede__stack_release(pool, acquire(0));
	if (!HAS_SHADOW)
		cr_expect_lt(resident_bytes(), peak - (N - 300) * 65536);
	destroy_and_expect_nothing_left();
}

Test(stack, high_water_of_a_fresh_stack_is_the_owners_own)
{
	struct cede__stack *stack = acquire(0);

	cr_assert(cede__stack_is_fresh(stack));
	cr_assert_eq(cede__stack_high_water(stack), 0);
	use_bytes(stack, 1000);
	cr_assert_eq(cede__stack_high_water(stack), 1000);
	use_bytes(stack, 30000);
	cr_assert_eq(cede__stack_high_water(stack), 30000);
	cede__stack_release(pool, stack);
	destroy_and_expect_nothing_left();
}

Test(stack, high_water_of_a_reused_stack_is_an_upper_bound_and_exact_when_asked)
{
	struct cede__stack *stack = acquire(0);

	use_bytes(stack, 30000);
	cede__stack_release(pool, stack);
	cr_assert_eq(acquire(0), stack);
	cr_assert(!cede__stack_is_fresh(stack));
	use_bytes(stack, 500);
	cr_assert_eq(cede__stack_high_water(stack), 30000);
	cede__stack_release(pool, stack);

	cede__stack_pool_set_exact(pool, 1);
	cr_assert_eq(acquire(0), stack);
	cr_assert(cede__stack_is_fresh(stack));
	cr_assert_eq(cede__stack_high_water(stack), 0);
	use_bytes(stack, 5000);
	cr_assert_eq(cede__stack_high_water(stack), 5000);
	cede__stack_release(pool, stack);
	cede__stack_pool_set_exact(pool, 0);
	destroy_and_expect_nothing_left();
}

Test(stack, looking_at_the_high_water_makes_nothing_resident)
{
	struct cede__stack *stack = acquire(64 << 20);
	size_t before = resident_bytes();

	cr_assert_eq(cede__stack_high_water(stack), 0);
	if (!HAS_SHADOW)
		cr_assert_leq(resident_bytes(),
			before + (4 << 20)); /* the kernel counts in batches */
	cede__stack_release(pool, stack);
	destroy_and_expect_nothing_left();
}

Test(stack, destroying_nothing_is_allowed)
{
	cede__stack_pool_destroy(NULL);
	destroy_and_expect_nothing_left();
}

Test(stack, destroying_a_pool_with_a_stack_out_aborts, .signal = SIGABRT)
{
	(void)acquire(0);
	cede__stack_pool_destroy(pool);
}

#ifndef NDEBUG
Test(stack, releasing_twice_aborts, .signal = SIGABRT)
{
	struct cede__stack *stack = acquire(0);

	cede__stack_release(pool, stack);
	cede__stack_release(pool, stack);
}
#endif

/* Many rounds of random acquires and releases of three sizes; each stack carries its own mark. */
static void
churn(struct cede__stack_pool *own, unsigned seed)
{
	enum { N = 500 };
	struct cede__stack *stacks[N] = { NULL };
	size_t sizes[] = { 0, 16 * 1024, 256 * 1024 };

	for (int i = 0; i < 200000; i++) {
		seed = seed * 1664525u + 1013904223u;
		unsigned at = (seed >> 8) % N;
		size_t *mark;

		if (!stacks[at]) {
			cr_assert_eq(cede__stack_acquire(own, sizes[seed >> 30 & 1 ? 0 : at % 3],
					     &stacks[at]),
				0);
			mark = stacks[at]->low;
			*mark = (size_t)stacks + at;
		} else {
			mark = stacks[at]->low;
			cr_assert_eq(*mark, (size_t)stacks + at);
			cede__stack_release(own, stacks[at]);
			stacks[at] = NULL;
		}
		if (seed % 5000 == 0)
			cede__stack_pool_trim(own);
	}
	for (int i = 0; i < N; i++) {
		if (stacks[i])
			cede__stack_release(own, stacks[i]);
	}
}

static void *
churn_thread(void *arg)
{
	struct cede__stack_pool *own;

	if (cede__stack_pool_create(&own) < 0)
		abort();
	churn(own, *(unsigned *)arg);
	cede__stack_pool_destroy(own);
	return NULL;
}

Test(stack, pools_of_two_threads_do_not_meet)
{
	unsigned seeds[] = { 1, 2 };
	pthread_t threads[2];

	for (size_t i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, churn_thread, &seeds[i]), 0);
	churn(pool, 3);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	destroy_and_expect_nothing_left();
}
