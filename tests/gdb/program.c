/*
 * What test_gdb.py looks at: 'sleeper' is suspended two calls deep; 'outer' awaits
 * 'middle', which awaits 'inner', which stops the program in stop_here().
 */
#include <cede/coro.h>

#include <stdlib.h>
#include <string.h>

/* Not inlined, and still there after the calls in them. */
#define FRAME __attribute__((noinline))

static volatile int depth;

void stop_here(void);

FRAME void
stop_here(void)
{
	depth++;
	if (getenv("CEDE_TEST_ABORT"))
		abort();
}

static FRAME int
sleeps_deep(int secret)
{
	int r = cede_yield(NULL, NULL);

	depth += secret;
	return r;
}

static int
sleeper(void *arg)
{
	int r = sleeps_deep(4711);

	depth++;
	return r;
}

static FRAME int
inner_call(void)
{
	stop_here();
	depth++;
	return 0;
}

static int
inner(void *arg)
{
	int r = inner_call();

	depth++;
	return r;
}

static int
awaits(cede_fn *fn, const char *name)
{
	cede_coro_t *child;
	int r = cede_coro_create_at(&child, fn, NULL, NULL, name);

	if (r == 0)
		r = cede_await_coro(child, NULL);
	cede_coro_unref(child);
	depth++;
	return r;
}

static int
middle(void *arg)
{
	int r = awaits(inner, CEDE_SITE("inner"));

	depth++;
	return r;
}

static int
outer(void *arg)
{
	int r = awaits(middle, CEDE_SITE("middle"));

	depth++;
	return r;
}

int
main(void)
{
	cede_coro_t *asleep, *awake;

	if (cede_coro_create_at(&asleep, sleeper, NULL, NULL, CEDE_SITE("sleeper")) < 0 ||
		cede_coro_create_at(&awake, outer, NULL, NULL, CEDE_SITE("outer")) < 0)
		return 1;
	if (cede_coro_send(asleep, NULL, NULL) < 0 || cede_coro_send(awake, NULL, NULL) < 0)
		return 1;
	cede_coro_unref(awake);
	cede_coro_unref(asleep);
	return 0;
}
