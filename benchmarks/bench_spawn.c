/*
 * What a short life costs: create a coroutine, run its empty body to the end,
 * give everything back. Stacks come from a pool, last in, first out.
 *
 *   spawn_call         a plain function call: what a callback would be
 *   spawn_bare         the floor: a pooled stack, bare_make, in and out
 *   spawn_bare_nofp    the same without the FP control state
 *   spawn_swapcontext  the same with makecontext
 *   spawn_cede         cede_coro_create() + cede_coro_send() + cede_coro_unref()
 *
 * The goal is a spawn_cede_ratio of at most 6. Built with -DBENCH_NO_CEDE it
 * measures the first three without the library.
 */
#include <errno.h>
#include <stdbool.h>
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
	fprintf(stderr, "bench_spawn: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

/* The body of all of them. */
__attribute__((noinline)) static int
body(void *arg)
{
	bench_keep(arg);
	return 0;
}

static void
run_call(void *arg, uint64_t n)
{
	while (n-- > 0)
		body(arg);
}

/* A coroutine with nothing to it, at the top of its own stack. */
struct life {
	struct life *next; /* in the pool */
	void *outside, *inside;
	void *arg;
	int result;
	bool done;
};

static struct life *pool;

/* Takes the stack that was given back last, or a new one. */
static struct life *
life_acquire(void)
{
	struct life *l = pool;
	char *stack;

	if (l) {
		pool = l->next;
		return l;
	}
	stack = aligned_alloc(64, STACK_SIZE);
	if (!stack)
		die("no stack", ENOMEM);
	return (struct life *)(void *)(stack + STACK_SIZE - 64);
}

static void
life_release(struct life *l)
{
	l->next = pool;
	pool = l;
}

static void
pool_empty(void)
{
	struct life *l;

	while ((l = pool)) {
		pool = l->next;
		free((char *)l + 64 - STACK_SIZE);
	}
}

_Static_assert(sizeof(struct life) <= 64, "it has to fit above the stack proper");

#if BARE_SWITCH
static void
bare_entry(void *arg)
{
	struct life *l = arg;

	l->result = body(l->arg);
	l->done = true;
	bare_switch(&l->inside, l->outside); /* and never again */
}

static void
bare_nofp_entry(void *arg)
{
	struct life *l = arg;

	l->result = body(l->arg);
	l->done = true;
	bare_switch_nofp(&l->inside, l->outside);
}

static void
run_bare_nofp(void *arg, uint64_t n)
{
	while (n-- > 0) {
		struct life *l = life_acquire();

		l->arg = arg;
		l->done = false;
		l->inside = bare_make(l, bare_nofp_entry, l);
		bare_switch_nofp(&l->outside, l->inside);
		if (!l->done || l->result < 0)
			die("bare", EPROTO);
		life_release(l);
	}
	pool_empty();
}

static void
run_bare(void *arg, uint64_t n)
{
	while (n-- > 0) {
		struct life *l = life_acquire();

		l->arg = arg;
		l->done = false;
		l->inside = bare_make(l, bare_entry, l);
		bare_switch(&l->outside, l->inside);
		if (!l->done || l->result < 0)
			die("bare", EPROTO);
		life_release(l);
	}
	pool_empty();
}
#endif

static ucontext_t posix_outside, posix_inside;
static struct life *posix_life; /* makecontext() passes ints only */

static void
posix_entry(void)
{
	posix_life->result = body(posix_life->arg);
	posix_life->done = true;
	swapcontext(&posix_inside, &posix_outside);
}

/* A function of its own: getcontext() returns twice as far as the compiler knows. */
static void
posix_make(struct life *l)
{
	posix_life = l;
	if (getcontext(&posix_inside) < 0)
		die("getcontext", errno);
	posix_inside.uc_stack.ss_sp = (char *)l + 64 - STACK_SIZE;
	posix_inside.uc_stack.ss_size = STACK_SIZE - 64;
	posix_inside.uc_link = NULL;
	makecontext(&posix_inside, posix_entry, 0);
}

static void
run_swapcontext(void *arg, uint64_t n)
{
	while (n-- > 0) {
		struct life *l = life_acquire();

		l->arg = arg;
		l->done = false;
		posix_make(l);
		swapcontext(&posix_outside, &posix_inside);
		if (!l->done || l->result < 0)
			die("swapcontext", EPROTO);
		life_release(l);
	}
	pool_empty();
}

#ifndef BENCH_NO_CEDE
static void
run_cede(void *arg, uint64_t n)
{
	while (n-- > 0) {
		cede_coro_t *co;
		int r = cede_coro_create(&co, body, arg, NULL);

		if (r < 0)
			die("cede_coro_create", r);
		if ((r = cede_coro_send(co, NULL, NULL)) != 0)
			die("cede_coro_send", r);
		cede_coro_unref(co);
	}
}
#endif

int
main(int argc, char **argv)
{
	static const struct bench_case cases[] = {
		{ .name = "spawn_call", .run = run_call, .arg = &pool },
#if BARE_SWITCH
		{ .name = "spawn_bare", .run = run_bare, .arg = &pool },
		{ .name = "spawn_bare_nofp",
			.run = run_bare_nofp,
			.arg = &pool,
			.baseline = "spawn_bare" },
#endif
		{ .name = "spawn_swapcontext",
			.run = run_swapcontext,
			.arg = &pool,
			.baseline = "spawn_bare" },
#ifndef BENCH_NO_CEDE
		{ .name = "spawn_cede", .run = run_cede, .arg = &pool, .baseline = "spawn_bare" },
#endif
	};
	static const struct bench_suite suite = {
		.backend = BARE_NAME,
		.cases = cases,
		.n_cases = sizeof cases / sizeof cases[0],
	};

	return bench_main(&suite, argc, argv);
}
