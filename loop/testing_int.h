/*
 * A loop under test, for loop/ itself.
 *
 * loop->testing is NULL in every other loop, and is looked at in one place of the
 * scheduler, where a run of the ready queue begins; loop->clock_ms where time is
 * read. The rest hangs on handles of its own.
 */
#ifndef CEDE_LOOP_TESTING_INT_H
#define CEDE_LOOP_TESTING_INT_H

#include <cede/testing.h>

#include "loop/task_int.h"

/** A wait for all others to be blocked. In its frame. */
struct cede__blocked_wait {
	cede_future_t future;
	unsigned cushion_ms;
	struct cede__testing *testing;
	struct cede__list link;
};

struct cede__testing {
	cede_loop_t *loop;
	int is_owned; /* the struct is a block of the library's: cede_test_attach() */

	/* Options, the defaults filled in. */
	uint64_t seed;
	cede_test_clock_t clock;
	unsigned cushion_ms, silence_ms;
	uint64_t steps_max;

	/* When it is quiet. */
	uint64_t now_ms;   /* of the test's clock */
	uint64_t began_ms; /* of the loop's clock, which may be the real one */
	uint64_t time_ms;  /* that had passed on it at the end */
	uint64_t progress,
		seen;      /* callbacks of ours that have returned; the same, at the last look */
	uint64_t quiet_ns; /* since when it has been quiet, in real time; 0: it is not */
	uint64_t barren_jumps,
		barren_ns;     /* since a task made a step; and since when, in real time */
	uint64_t barren_steps; /* the step that it was */
	unsigned accusations;
	struct cede__list waits; /* cede__blocked_wait::link */
	uv_check_t check;        /* after every poll */
	uv_idle_t idle;          /* active: polls do not wait */
	uv_timer_t limit;        /* how long one that does wait may */

	/* Order. */
	uint64_t random;
	cede_task_t **ready; /* taken off the loop's queue, during a run of it */
	size_t ready_count, ready_capacity;
	uint64_t steps, steps_limit, awaits, trace;

	/* What to break. */
	uint64_t cancel_at; /* the await; 0: none */
	int cancels_main;
	cede_task_t *main; /* a reference */
	unsigned cancelled;
	char task[64], place[128];

	/* What was found. */
	int code;
	char text[448];
};

/** Fills in the defaults. 0, CEDE_EINVAL. */
int cede__testing_init(struct cede__testing *t, const cede_test_options_t *options);

/** Puts a loop under test. 0, CEDE_EBUSY. */
int cede__testing_install(cede_loop_t *loop, struct cede__testing *t);

/** Runs the ready queue. */
void cede__testing_run_ready(cede_loop_t *loop);

/** The loop is being detached: what tasks there are, are cancelled next. */
void cede__testing_detaching(cede_loop_t *loop);

/** All tasks have ended: looks at what was left. */
void cede__testing_report_left(cede_loop_t *loop);

/** The loop lets its handles go: so does the kit. */
void cede__testing_close(cede_loop_t *loop);

/** libuv has let go of everything of ours. */
void cede__testing_deinit(struct cede__testing *t);

/** Keeps the first thing that was found. */
void cede__testing_find(struct cede__testing *t, int code, const char *format, ...)
	CEDE__PRINTF(3, 4);

#endif
