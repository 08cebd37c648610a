/*
 * What a switch costs, one way: into a coroutine and back again is two.
 *
 *   switch_call         a plain function call that the compiler can't inline
 *   switch_bare         the floor, see bare.h
 *   switch_bare_nofp    the same without the FP control state
 *   switch_swapcontext  what POSIX offers: a system call each
 *   switch_cede         half of cede_coro_send() + cede_yield(), with all checks
 *
 * The goal is a switch_cede_ratio of at most 2. Built with -DBENCH_NO_CEDE it
 * measures the first three without the library.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "bare.h"
#include "bench.h"

#ifndef BENCH_NO_CEDE
#include <cede/coro.h>
#endif

#define STACK_SIZE ((size_t)64 * 1024)

static void
die(const char *what, int err)
{
	fprintf(stderr, "bench_switch: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

static void *
stack_alloc(void)
{
	void *stack = aligned_alloc(64, STACK_SIZE);

	if (!stack)
		die("no stack", ENOMEM);
	return stack;
}

__attribute__((noinline)) static void
callee(void *arg)
{
	bench_keep(arg);
}

static void
run_call(void *arg, uint64_t n)
{
	while (n-- > 0)
		callee(arg);
}

#if BARE_SWITCH
struct bare {
	void *outside, *inside;
};

static void
bare_nofp_body(void *arg)
{
	struct bare *b = arg;

	for (;;)
		bare_switch_nofp(&b->inside, b->outside);
}

static void
run_bare_nofp(void *arg, uint64_t n)
{
	char *stack = stack_alloc();
	struct bare b;

	b.inside = bare_make(stack + STACK_SIZE, bare_nofp_body, &b);
	while (n-- > 0)
		bare_switch_nofp(&b.outside, b.inside);
	free(stack);
}

static void
bare_body(void *arg)
{
	struct bare *b = arg;

	for (;;)
		bare_switch(&b->inside, b->outside);
}

/* The body never ends: its stack is just forgotten. Nothing lies on it that needs an end. */
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

struct posix {
	ucontext_t outside, inside;
};

static struct posix posix; /* makecontext() passes ints only */

static void
posix_body(void)
{
	for (;;)
		swapcontext(&posix.inside, &posix.outside);
}

/* A function of its own: getcontext() returns twice as far as the compiler knows. */
static void
posix_make(void *stack)
{
	if (getcontext(&posix.inside) < 0)
		die("getcontext", errno);
	posix.inside.uc_stack.ss_sp = stack;
	posix.inside.uc_stack.ss_size = STACK_SIZE;
	posix.inside.uc_link = NULL;
	makecontext(&posix.inside, posix_body, 0);
}

static void
run_swapcontext(void *arg, uint64_t n)
{
	void *stack = stack_alloc();

	posix_make(stack);
	while (n-- > 0)
		swapcontext(&posix.outside, &posix.inside);
	free(stack);
}

#ifndef BENCH_NO_CEDE
static int
cede_body(void *arg)
{
	int r;

	do {
		r = cede_yield(arg, NULL);
	} while (r == 0);
	return r;
}

static void
run_cede(void *arg, uint64_t n)
{
	cede_coro_t *co;
	void *value;
	int r = cede_coro_create(&co, cede_body, NULL, NULL);

	if (r < 0)
		die("cede_coro_create", r);
	while (n-- > 0)
		if ((r = cede_coro_send(co, NULL, &value)) != 1)
			die("cede_coro_send", r);
	cede_coro_unref(co); /* closes it: the body returns CEDE_EXIT */
}
#endif

int
main(int argc, char **argv)
{
	static const struct bench_case cases[] = {
		{ .name = "switch_call", .run = run_call, .arg = &posix },
#if BARE_SWITCH
		{ .name = "switch_bare", .run = run_bare, .ops = 2 },
		{ .name = "switch_bare_nofp",
			.run = run_bare_nofp,
			.ops = 2,
			.baseline = "switch_bare" },
#endif
		{ .name = "switch_swapcontext",
			.run = run_swapcontext,
			.ops = 2,
			.baseline = "switch_bare" },
#ifndef BENCH_NO_CEDE
		{ .name = "switch_cede", .run = run_cede, .ops = 2, .baseline = "switch_bare" },
#endif
	};
	static const struct bench_suite suite = {
		.backend = BARE_NAME,
		.cases = cases,
		.n_cases = sizeof cases / sizeof cases[0],
	};

	return bench_main(&suite, argc, argv);
}
