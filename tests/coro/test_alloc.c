/* coro/alloc.c: hooks are called, sizes checked, and the allocator only changes at balance zero. */
#include "coro/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

/* An allocator that counts, and fails when told to. */
struct counter {
	int n_alloc;
	int n_realloc;
	int n_free;
	size_t last_size;
	int is_failing;
};

static void *
count_alloc(size_t size, void *data)
{
	struct counter *counter = data;

	counter->n_alloc++;
	counter->last_size = size;
	return counter->is_failing ? NULL : malloc(size);
}

static void *
count_realloc(void *p, size_t size, void *data)
{
	struct counter *counter = data;

	cr_assert_not_null(p);
	counter->n_realloc++;
	counter->last_size = size;
	return counter->is_failing ? NULL : realloc(p, size);
}

static void
count_free(void *p, void *data)
{
	struct counter *counter = data;

	cr_assert_not_null(p);
	counter->n_free++;
	free(p);
}

static struct counter counter;

static const cede_allocator_t counting = {
	.alloc = count_alloc,
	.realloc = count_realloc,
	.free = count_free,
	.data = &counter,
};

TestSuite(alloc, .timeout = 5);

Test(alloc, hooks_get_every_call_and_their_data)
{
	cr_assert_eq(cede_set_allocator(&counting), 0);

	void *p = cede__alloc(10);
	cr_assert_eq(counter.last_size, 10);
	p = cede__realloc(p, 20);
	cr_assert_eq(counter.last_size, 20);
	cede__free(p);

	cr_assert_eq(counter.n_alloc, 1);
	cr_assert_eq(counter.n_realloc, 1);
	cr_assert_eq(counter.n_free, 1);
	cr_assert_eq(cede__alloc_outstanding(), 0);
}

Test(alloc, refuses_to_change_while_a_block_is_out)
{
	void *p = cede__alloc(1);

	cr_assert_eq(cede_set_allocator(&counting), CEDE_EBUSY);
	cr_assert_eq(cede_set_allocator(NULL), CEDE_EBUSY);
	cede__free(p);
	cr_assert_eq(cede_set_allocator(&counting), 0);
	cr_assert_eq(cede_set_allocator(NULL), 0);

	cede__free(cede__alloc(1));
	cr_assert_eq(counter.n_alloc, 0);
}

Test(alloc, refuses_an_allocator_with_a_part_missing)
{
	cede_allocator_t broken = counting;

	broken.realloc = NULL;
	cr_assert_eq(cede_set_allocator(&broken), CEDE_EINVAL);
	cede__free(cede__alloc(1));
	cr_assert_eq(counter.n_alloc, 0);
}

Test(alloc, never_asks_for_nothing)
{
	cr_assert_eq(cede_set_allocator(&counting), 0);

	void *p = cede__alloc(0);
	cr_assert_not_null(p);
	cr_assert_eq(counter.last_size, 1);
	p = cede__realloc(p, 0);
	cr_assert_not_null(p);
	cr_assert_eq(counter.last_size, 1);
	cede__free(p);
	cede__free(NULL);
	cr_assert_eq(counter.n_free, 1);
}

Test(alloc, zeroed_blocks_are_zero)
{
	unsigned char zero[100] = { 0 };
	unsigned char *p = cede__alloc(sizeof zero);

	memset(p, 0xff, sizeof zero);
	cede__free(p);
	p = cede__alloc_zero(sizeof zero);
	cr_assert_eq(memcmp(p, zero, sizeof zero), 0);
	cede__free(p);
}

Test(alloc, products_and_sums_that_overflow_are_refused)
{
	size_t result = 7;

	cr_assert_eq(cede_set_allocator(&counting), 0);
	cr_assert_null(cede__alloc_array(SIZE_MAX / 2, 3));
	cr_assert_eq(counter.n_alloc, 0);
	cede__free(cede__alloc_array(3, 5));
	cr_assert_eq(counter.last_size, 15);

	cr_assert_eq(cede__size_mul(SIZE_MAX, 2, &result), CEDE_ENOMEM);
	cr_assert_eq(cede__size_add(SIZE_MAX, 1, &result), CEDE_ENOMEM);
	cr_assert_eq(result, 7);
	cr_assert_eq(cede__size_mul(SIZE_MAX, 1, &result), 0);
	cr_assert_eq(result, SIZE_MAX);
	cr_assert_eq(cede__size_mul(5, 0, &result), 0);
	cr_assert_eq(result, 0);
	cr_assert_eq(cede__size_add(SIZE_MAX - 1, 1, &result), 0);
	cr_assert_eq(result, SIZE_MAX);
}

Test(alloc, a_failed_call_changes_nothing)
{
	cr_assert_eq(cede_set_allocator(&counting), 0);
	char *p = cede__alloc(4);

	p[0] = 'x';
	counter.is_failing = 1;
	cr_assert_null(cede__alloc(4));
	cr_assert_null(cede__alloc_zero(4));
	cr_assert_null(cede__realloc(NULL, 4));
	cr_assert_null(cede__realloc(p, 8));
	cr_assert_eq(p[0], 'x');
	cr_assert_eq(cede__alloc_outstanding(), 1);
	cede__free(p);
	cr_assert_eq(cede__alloc_outstanding(), 0);
}
