#include "tests/support/fault.h"

#include <stdlib.h>

#include <cede/alloc.h>

#include <criterion/criterion.h>

static unsigned requests, failures, nth_fails;
static enum fault_mode fault_mode;

static int
is_to_fail(void)
{
	requests++;
	if (nth_fails == 0 || requests < nth_fails ||
		(requests > nth_fails && fault_mode == FAULT_ONCE))
		return 0;
	failures++;
	return 1;
}

static void *
fault_alloc(size_t size, void *data)
{
	return is_to_fail() ? NULL : malloc(size);
}

static void *
fault_realloc(void *p, size_t size, void *data)
{
	return is_to_fail() ? NULL : realloc(p, size);
}

static void
fault_free(void *p, void *data)
{
	free(p);
}

void
fault_install(void)
{
	static const cede_allocator_t allocator = { fault_alloc, fault_realloc, fault_free, NULL };

	cr_assert_eq(cede_set_allocator(&allocator), 0);
	requests = failures = nth_fails = 0;
}

void
fault_arm(unsigned nth, enum fault_mode mode)
{
	requests = failures = 0;
	nth_fails = nth;
	fault_mode = mode;
}

unsigned
fault_disarm(void)
{
	nth_fails = 0;
	return failures;
}

unsigned
fault_requests(void)
{
	return requests;
}
