/*
 * Scenarios: small programs of tasks, as people write them, that are broken at every
 * place where they can be. A program of this suite is run.c and one table of them.
 *
 * A scenario is a main task. It may return 0 or the code of a cancel, whatever is
 * cancelled, and CEDE_ENOMEM where an allocation has failed; what it was to bring
 * about it requires itself. Nothing of it may be left, no child process either. So whoever ends early tells
 * those who wait for him: by closing a channel, setting an event, unlocking.
 */
#ifndef CEDE_TESTS_SCENARIO_H
#define CEDE_TESTS_SCENARIO_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cede/cede.h>

/* What a scenario can't take, or what about it is not the same each time. */
enum {
	TALKS_OUTSIDE = 1, /* to a thread: the trace may differ, and time waits for an answer */
	OVER_TCP = 2, /* the system may take a moment: the same; and it is broken in fewer orders */
	NO_MEMORY_SWEEP = 4,
	IN_THE_POOL = 8,   /* files: the trace may differ; time waits for the pool in any case */
	HAS_CHILDREN = 16, /* processes, which take more time to answer: as OVER_TCP */
};

struct scenario {
	const char *name;
	cede_fn *fn;
	unsigned flags;
	void *arg;
};

/** One program's table; ends with a NULL name. */
extern const struct scenario scenarios[];

/** Ends the program with a sentence: what holds in every run, broken or not. */
#define require(condition) \
	((condition) ? (void)0 \
		     : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), abort()))

/** What a scenario returns when @r is how it ends well. */
static inline int
unless(int expected, int r)
{
	return r == expected ? 0 : r;
}

#endif
