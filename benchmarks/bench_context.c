/*
 * What cede's own context switch costs, one way, under everything that makes it
 * a coroutine: the private seam coro/switch.h beside the bare switch.
 *
 * The goal is a context_cede_ratio of at most 1.1, with the assembly backend.
 */
#include <stdio.h>
#include <stdlib.h>

#include "coro/switch.h"

#include "bare.h"
#include "bench.h"

#define STACK_SIZE ((size_t)64 * 1024)

static void *
stack_alloc(void)
{
	void *stack = aligned_alloc(64, STACK_SIZE);

	if (!stack) {
		fputs("bench_context: no memory\n", stderr);
		exit(1);
	}
	return stack;
}

#if BARE_SWITCH
struct bare {
	void *outside, *inside;
};

static void
bare_body(void *arg)
{
	struct bare *b = arg;

	for (;;)
		bare_switch(&b->inside, b->outside);
}

/* The bodies never end: their stacks are just forgotten. Nothing on them needs an end. */
static void
run_bare(void *arg, uint64_t n)
{
	char *stack = stack_alloc();
	struct bare b;

	b.inside = bare_make(stack + STACK_SIZE, bare_body, &b);
	while (n-- > 0)
		bare_switch(&b.outside, b.inside);
	free(stack);
}
#endif

struct contexts {
	struct cede__context outside, inside;
};

static void
cede_body(void *arg)
{
	struct contexts *c = arg;

	for (;;)
		cede__context_switch(&c->inside, &c->outside, 0);
}

static void
run_cede(void *arg, uint64_t n)
{
	void *stack = stack_alloc();
	struct contexts c = { 0 };

	cede__context_make(&c.inside, stack, STACK_SIZE, cede_body, &c);
	while (n-- > 0)
		cede__context_switch(&c.outside, &c.inside, 0);
	cede__context_destroy(&c.inside);
	free(stack);
}

int
main(int argc, char **argv)
{
	static const struct bench_case cases[] = {
#if BARE_SWITCH
		{ .name = "context_bare", .run = run_bare, .ops = 2 },
#endif
		{ .name = "context_cede", .run = run_cede, .ops = 2, .baseline = "context_bare" },
	};
	const struct bench_suite suite = {
		.backend = cede__context_backend(),
		.cases = cases,
		.n_cases = sizeof cases / sizeof cases[0],
	};

	return bench_main(&suite, argc, argv);
}
