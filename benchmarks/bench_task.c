/*
 * What a task costs from its spawn to the end that somebody waited for: empty
 * bodies, stacks and objects from the pool.
 *
 *   task_bare        the floor: one stack, bare_make, in and out, see bare.h
 *   task_coro        cede_coro_create() + cede_coro_send() + cede_coro_unref()
 *   task_spawn       cede_spawn() into a group, cede_group_wait(): one at a time
 *   task_spawn_100   a hundred, then one wait; the figure is that of one
 *   task_join        cede_spawn_with(), cede_join(), cede_task_unref()
 *   task_join_done   the join alone, of a task that has ended
 *   task_turn        cede_sleep(0) in the only task: once through the ready queue
 */
#include <stdio.h>
#include <stdlib.h>

#include <cede/cede.h>

#include "bare.h"
#include "bench.h"

#define STACK_SIZE ((size_t)64 * 1024)
#define MANY       100

static void
check(const char *what, int code)
{
	if (code >= 0)
		return;
	fprintf(stderr, "bench_task: %s: %s\n", what, cede_strerror(code));
	exit(1);
}

/* The body of all of them. */
static int
body(void *arg)
{
	bench_keep(arg);
	return 0;
}

#if BARE_SWITCH
struct bare {
	void *outside, *inside;
};

static void
bare_entry(void *arg)
{
	struct bare *b = arg;

	body(b);
	bare_switch(&b->inside, b->outside); /* and never again */
}

static void
run_bare(void *arg, uint64_t n)
{
	char *stack = aligned_alloc(64, STACK_SIZE);
	struct bare b;

	check("no stack", stack ? 0 : CEDE_ENOMEM);
	while (n-- > 0) {
		b.inside = bare_make(stack + STACK_SIZE, bare_entry, &b);
		bare_switch(&b.outside, b.inside);
	}
	free(stack);
}
#endif

static void
run_coro(void *arg, uint64_t n)
{
	while (n-- > 0) {
		cede_coro_t *co;

		check("cede_coro_create", cede_coro_create(&co, body, arg, NULL));
		check("cede_coro_send", cede_coro_send(co, NULL, NULL));
		cede_coro_unref(co);
	}
}

static int
spawn_one_by_one(void *arg)
{
	CEDE_GROUP(group);

	for (uint64_t n = *(uint64_t *)arg; n > 0; n--) {
		check("cede_spawn", cede_spawn(&group, body, arg));
		check("cede_group_wait", cede_group_wait(&group));
	}
	return 0;
}

static int
spawn_many(void *arg)
{
	CEDE_GROUP(group);

	for (uint64_t n = *(uint64_t *)arg; n > 0; n--) {
		for (int i = 0; i < MANY; i++)
			check("cede_spawn", cede_spawn(&group, body, arg));
		check("cede_group_wait", cede_group_wait(&group));
	}
	return 0;
}

static int
spawn_and_join(void *arg)
{
	CEDE_GROUP(group);

	for (uint64_t n = *(uint64_t *)arg; n > 0; n--) {
		cede_task_t *task;

		check("cede_spawn_with", cede_spawn_with(&group, body, arg, NULL, &task));
		check("cede_join", cede_join(task, NULL));
		cede_task_unref(task);
	}
	return 0;
}

static int
join_again(void *arg)
{
	cede_task_t *task;
	CEDE_GROUP(group);

	check("cede_spawn_with", cede_spawn_with(&group, body, arg, NULL, &task));
	check("cede_group_wait", cede_group_wait(&group));
	for (uint64_t n = *(uint64_t *)arg; n > 0; n--)
		check("cede_join", cede_join(task, NULL));
	cede_task_unref(task);
	return 0;
}

static int
take_turns(void *arg)
{
	for (uint64_t n = *(uint64_t *)arg; n > 0; n--)
		check("cede_sleep", cede_sleep(0));
	return 0;
}

struct scenario {
	cede_fn *main;
};

static void
run_in_a_loop(void *arg, uint64_t n)
{
	const struct scenario *s = arg;

	check("cede_run", cede_run(s->main, &n));
}

int
main(int argc, char **argv)
{
	static struct scenario spawn = { spawn_one_by_one }, spawn_100 = { spawn_many },
			       join = { spawn_and_join }, join_done = { join_again },
			       turn = { take_turns };
#if BARE_SWITCH
	static const char *const floor = "task_bare";
#else
	static const char *const floor = NULL;
#endif
	const struct bench_case cases[] = {
#if BARE_SWITCH
		{ .name = "task_bare", .run = run_bare },
#endif
		{ "task_coro", run_coro, &spawn, 1, floor },
		{ "task_spawn", run_in_a_loop, &spawn, 1, "task_coro" },
		{ "task_spawn_100", run_in_a_loop, &spawn_100, MANY, "task_coro" },
		{ "task_join", run_in_a_loop, &join, 1, "task_coro" },
		{ "task_join_done", run_in_a_loop, &join_done, 1, NULL },
		{ "task_turn", run_in_a_loop, &turn, 1, NULL },
	};
	const struct bench_suite suite = {
		.backend = BARE_NAME,
		.cases = cases,
		.n_cases = sizeof cases / sizeof cases[0],
	};

	return bench_main(&suite, argc, argv);
}
