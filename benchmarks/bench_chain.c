/*
 * What a send costs that reaches a leaf through a chain of awaits, and the yield
 * back, by the depth of the chain.
 *
 * Both go straight, so the goal is a ratio to depth 1 of at most 1.2 at any
 * depth. (CPython walks: its cost grows with the depth.)
 */
#include <stdio.h>
#include <stdlib.h>

#include <cede/coro.h>

#include "bench.h"

enum { N_DEPTHS = 4 };

static int depths[N_DEPTHS] = { 1, 10, 100, 1000 };
static cede_coro_t *roots[N_DEPTHS];

static void
expect(int r)
{
	if (r < 0) {
		fprintf(stderr, "bench_chain: %s\n", cede_strerror(r));
		exit(1);
	}
}

/* A chain of *arg coroutines, this one included. */
static int
link_body(void *arg)
{
	int below = *(int *)arg - 1;
	cede_coro_t *child;
	int r;

	if (below == 0) {
		do
			r = cede_yield(NULL, NULL);
		while (r >= 0);
		return r;
	}
	r = cede_coro_create(&child, link_body, &below, NULL);
	if (r < 0)
		return r;
	r = cede_await_coro(child, NULL);
	cede_coro_unref(child);
	return r;
}

static void
run_sends(void *arg, uint64_t n)
{
	cede_coro_t *root = *(cede_coro_t **)arg;

	while (n-- > 0)
		expect(cede_coro_send(root, NULL, NULL));
}

int
main(int argc, char **argv)
{
	static const struct bench_case cases[] = {
		{ .name = "chain_1", .run = run_sends, .arg = &roots[0] },
		{ .name = "chain_10", .run = run_sends, .arg = &roots[1], .baseline = "chain_1" },
		{ .name = "chain_100", .run = run_sends, .arg = &roots[2], .baseline = "chain_1" },
		{ .name = "chain_1000", .run = run_sends, .arg = &roots[3], .baseline = "chain_1" },
	};
	const struct bench_suite suite = {
		.backend = "send and yield back",
		.cases = cases,
		.n_cases = sizeof cases / sizeof cases[0],
	};

	for (int i = 0; i < N_DEPTHS; i++) {
		expect(cede_coro_create(&roots[i], link_body, &depths[i], NULL));
		expect(cede_coro_send(roots[i], NULL, NULL));
	}
	int status = bench_main(&suite, argc, argv);
	for (int i = 0; i < N_DEPTHS; i++) {
		expect(cede_coro_close(roots[i], NULL));
		cede_coro_unref(roots[i]);
	}
	return status;
}
