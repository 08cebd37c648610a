/* loop/local.c: task-local values. What contextvars promises, as far as C has it. */
#include "tests/support/run.h"

#include "tests/support/fault.h"

TestSuite(local, .timeout = 20);

static int n_freed;

static void
count_free(void *value)
{
	n_freed++;
	free(value);
}

static char nothing[] = "nothing";
static const cede_local_t name = { .name = "name", .dtor = count_free, .default_value = nothing };
static const cede_local_t number = { .name = "number" };

static int
set_name(const char *text)
{
	char *copy = strdup(text);

	cr_assert_not_null(copy);
	return cede_local_set(&name, copy);
}

#define N(n) ((void *)(intptr_t)(n))

TASK_TEST(local, has_its_default_until_it_is_set)
{
	cr_assert_str_eq(cede_local_get(&name), "nothing");
	cr_assert_null(cede_local_get(&number));
	cr_assert_eq(set_name("ada"), 0);
	cr_assert_eq(cede_local_set(&number, N(7)), 0);
	cr_assert_str_eq(cede_local_get(&name), "ada");
	cr_assert_eq(cede_local_get(&number), N(7));
	return 0;
}

TASK_TEST(local, lets_the_old_value_go_when_it_is_set_again)
{
	cr_assert_eq(set_name("ada"), 0);
	cr_assert_eq(set_name("grace"), 0);
	cr_assert_eq(n_freed, 1);
	cr_assert_str_eq(cede_local_get(&name), "grace");
	return 0;
}

static int
look(void *arg)
{
	cr_assert_str_eq(cede_local_get(&name), arg);
	return 0;
}

static int
set_another(void *arg)
{
	cr_assert_str_eq(cede_local_get(&name), "ada");
	cr_assert_eq(set_name("grace"), 0);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_str_eq(cede_local_get(&name), "grace");
	return 0;
}

static int
set_and_leave_the_child(void *arg)
{
	static char ada[] = "ada";

	cr_assert_eq(set_name("ada"), 0);
	cr_assert_eq(cede_spawn(arg, look, ada), 0);
	return 0;
}

/*
 * | parent        | first child  | second child |
 * |---------------+--------------+--------------|
 * | ada           | ada          | ada          |
 * |               | grace        |              |
 * | ada, then eve | grace        | ada          |
 */
TASK_TEST(local, is_inherited_at_the_spawn_and_each_goes_its_own_way)
{
	CEDE_GROUP(group);
	static char ada[] = "ada", eve[] = "eve";

	cr_assert_eq(set_name("ada"), 0);
	cr_assert_eq(cede_spawn(&group, set_another, NULL), 0);
	cr_assert_eq(cede_spawn(&group, look, ada), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_str_eq(cede_local_get(&name), "ada");
	cr_assert_eq(set_name("eve"), 0);
	cr_assert_eq(cede_spawn(&group, look, eve), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_str_eq(cede_local_get(&name), "eve");
	cr_assert_eq(n_freed, 2, "ada and grace");
	return 0;
}

TASK_TEST(local, lives_as_long_as_a_task_that_has_it)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, set_and_leave_the_child, &group), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(n_freed, 1);
	return 0;
}

static int
fail_to_find(void *arg)
{
	cr_assert_str_eq(cede_local_get(&name), "nothing");
	return 0;
}

TASK_TEST(local, is_not_inherited_by_what_is_started)
{
	cr_assert_eq(set_name("ada"), 0);
	cr_assert_eq(cede_start(cede_loop_current(), fail_to_find, NULL, NULL, NULL), 0);
	return cede_sleep(1);
}

Test(local, outside_a_task_is_its_default_and_can_not_be_set)
{
	leaks_begin();
	cr_assert_str_eq(cede_local_get(&name), "nothing");
	cr_assert_eq(set_name("ada"), CEDE_ENOTASK);
	cr_assert_eq(n_freed, 1);
	leaks_end();
}

static int
do_number(void *arg)
{
	cr_assert_eq(cede_local_get(&number), arg);
	return 0;
}

/* Setting and spawning in turn for ever takes no more memory than doing it once. */
TASK_TEST(local, does_not_grow_with_what_is_set_and_shared)
{
	CEDE_GROUP(group);
	size_t before = 0;

	for (int i = 0; i < 1000; i++) {
		cr_assert_eq(set_name("ada"), 0);
		cr_assert_eq(cede_local_set(&number, N(i)), 0);
		cr_assert_eq(cede_spawn(&group, do_number, N(i)), 0);
		cr_assert_eq(cede_group_wait(&group), 0);
		if (i == 10)
			before = cede__alloc_outstanding();
	}
	cr_assert_eq(cede__alloc_outstanding(), before);
	cr_assert_eq(n_freed, 999);
	return 0;
}

static int
set_one_more(void *arg)
{
	return set_name("eve");
}

static int
set_some(void *arg)
{
	CEDE_GROUP(group);
	static const cede_local_t keys[3] = { { .name = "a" }, { .name = "b" }, { .name = "c" } };
	int r = set_name("ada");

	for (int i = 0; r == 0 && i < 3; i++)
		r = cede_local_set(&keys[i], N(i + 1));
	if (r == 0)
		r = cede_spawn(&group, set_one_more, NULL);
	if (r == 0)
		r = set_name("grace");
	for (int i = 0; r == 0 && i < 3; i++)
		cr_assert_eq(cede_local_get(&keys[i]), N(i + 1));
	if (r < 0)
		return r;
	return cede_group_wait(&group);
}

Test(local, shortage_anywhere_leaves_the_value_it_had_and_frees_the_new_one)
{
	unsigned n = 0, failed;

	leaks_begin();
	fault_install();
	do {
		int r;

		n++;
		fault_arm(n, n % 2 ? FAULT_ONCE : FAULT_FOREVER);
		r = cede_run(set_some, NULL);
		failed = fault_disarm();
		cr_assert(r == 0 || (r == CEDE_ENOMEM && failed > 0));
		cede__thread_cleanup();
		cr_assert_eq(cede__alloc_outstanding(), 0, "request %u", n);
	} while (failed > 0);
	cr_assert_gt(n, 8);
	leaks_end();
}
