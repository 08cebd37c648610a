/* The stack profile: how much the coroutines of each place used. */
#include <criterion/criterion.h>

#include <string.h>

#include <cede/coro.h>
#include <cede/profile.h>

#include "coro/alloc.h"
#include "coro/thread.h"

TestSuite(profile, .timeout = 20);

struct line {
	size_t coroutines, bytes_max, stack_size;
	char place[128];
};

static struct line shallow_line, deep_line;

static void
keep(const char *name, const char *place, size_t coroutines, size_t bytes_max, size_t stack_size,
	void *data)
{
	struct line *line = strcmp(name, "deep") == 0 ? &deep_line : &shallow_line;

	line->coroutines = coroutines;
	line->bytes_max = bytes_max;
	line->stack_size = stack_size;
	strncpy(line->place, place, sizeof line->place - 1);
	++*(int *)data;
}

static int
shallow(void *arg)
{
	return 0;
}

static int
deep(void *arg)
{
	volatile char buffer[20000];

	for (size_t i = 0; i < sizeof buffer; i++)
		buffer[i] = 1;
	return 0;
}

static void
run_shallow(void)
{
	cede_coro_t *co;

	cr_assert_eq(cede_coro_create(&co, shallow, NULL, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), 0);
	cede_coro_unref(co);
}

static void
run_deep(void)
{
	cede_coro_t *co;

	cr_assert_eq(cede_coro_create(&co, deep, NULL, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), 0);
	cede_coro_unref(co);
}

Test(profile, knows_the_deepest_use_of_each_place)
{
	int places = 0;

	run_deep(); /* what an earlier owner left on a stack is nobody else's use */
	cr_assert_eq(cede_stack_profile_set(1), 0);
	run_shallow();
	run_deep();
	run_shallow();
	run_shallow();
	cede_stack_profile(keep, &places);
	cr_assert_eq(places, 2);
	cr_assert_eq(shallow_line.coroutines, 3);
	cr_assert_eq(deep_line.coroutines, 1);
	cr_assert_gt(deep_line.bytes_max, 20000);
	cr_assert_lt(shallow_line.bytes_max, 16000);
	cr_assert_geq(deep_line.stack_size, 64 * 1024);
	cr_assert_not_null(strstr(deep_line.place, "test_profile.c:"));
}

Test(profile, notes_nothing_while_it_is_off)
{
	int places = 0;

	run_deep();
	cr_assert_eq(cede_stack_profile_set(1), 0);
	cr_assert_eq(cede_stack_profile_set(0), 0);
	run_deep();
	cede_stack_profile(keep, &places);
	cr_assert_eq(places, 0);
}

Test(profile, leaves_nothing_behind)
{
	cr_assert_eq(cede_stack_profile_set(1), 0);
	run_deep();
	cede__thread_cleanup();
	cr_assert_eq(cede__alloc_outstanding(), 0);
}
