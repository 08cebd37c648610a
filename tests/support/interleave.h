/*
 * Every order of what can happen to one operation, for a table of operations.
 * Included by exactly one file of a program, as clock.h is.
 *
 * The events: it completes, its task is cancelled, its timeout passes, the block
 * that holds its task ends, the loop is detached, and, for what has a handle, the
 * handle is closed. All orders of the five or six, each cut into turns of the loop
 * in all ways. None is sampled.
 *
 * And again: in a select; completed and closed by a task; by a host that is inside a
 * turn; with a cleanup in the scope, or behind it, in a shield. What has no handle
 * and needs no libuv all of that with all of that and all cuts; the others, which
 * are six times as many or cost as much more, uncut and wholly cut, and with half of
 * the cleanups: has_variant(), is_full().
 *
 * What must come out is said by the model: interleave_model.h.
 */
#ifndef TESTS_SUPPORT_INTERLEAVE_H
#define TESTS_SUPPORT_INTERLEAVE_H

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cede/cede.h>
#include <cede/uv.h>

#include <criterion/criterion.h>
#include <criterion/logging.h>

#include "loop/task_int.h"
#include "tests/support/clock.h"
#include "tests/support/leaks.h"

enum event {
	COMPLETE,
	CANCEL,
	TIMEOUT,
	END,
	DETACH,
	CLOSE, /* of the handle, where there is one */
	EVENTS,
};

enum shape {
	CALLED,
	SELECTED, /* beside a future that is never done */
	SHAPES,
};

/* Who completes and closes: at once, or when it gets its turn in the queue. */
enum actor_kind {
	BY_THE_HOST,
	BY_A_TASK,
	BY_BOTH, /* the host completes, a task closes: with both under way at once */
	ACTOR_KINDS,
};

/* Where the host is when the events of a turn happen. */
enum place {
	BETWEEN_TURNS, /* the queue is run before libuv polls */
	BEFORE_POLL,   /* in a callback of its own: after */
	PLACES,
};

enum cleanup {
	NO_CLEANUP,
	CLEANUP_BEHIND_THE_SCOPE, /* in a shield */
	CLEANUP_IN_THE_SCOPE,
	CLEANUPS,
};

enum {
	IS_LATE = 1,            /* libuv tells of its completion, in its poll */
	IS_HELD = 2,            /* called: waits for libuv although it was given up */
	CLOSE_VOIDS = 4,        /* called: closed behind its completion, before its turn */
	NEEDS_BOTH = 8,         /* CLOSE is the second half of its completion */
	COMPLETED_BY_TASK = 16, /* only a task can complete it */
	IS_UNCUT = 64,          /* a repetition: of the ways to cut it, none and all */
	IS_CALLED_ONLY = 32,    /* has no future of its own */
};

/** An operation. All functions may be NULL but call and, unless IS_CALLED_ONLY, start and future. */
struct operation {
	void (*set_up)(void);  /* the loop is there, no task is */
	void (*prepare)(void); /* in the task, before its scope: may suspend */
	void (*helper)(void);  /* in the task that completes, before anything else */
	int (*call)(void);     /* in the task: awaits, returns the result */
	void (*start)(void);   /* the same in two halves */
	cede_future_t *(*future)(void);
	void (*settle)(
		void); /* the task waits: until nothing is under way but what an event ends */
	void (*complete)(void);
	void (*close)(void);          /* NULL: there is no handle */
	void (*after)(int first);     /* in the task: gives back what it got */
	void (*tear_down)(int first); /* the loop is gone: nothing may be left */
	int on_complete, on_close;
	unsigned flags;
};

/* One run of one order. All of it outlives the loop. */
static struct {
	/* the case */
	const struct operation *op;
	int n_events;
	enum event order[EVENTS];
	unsigned cuts; /* bit i: events i and i + 1 are of different turns */
	enum shape shape;
	enum actor_kind by;
	enum place place;
	enum cleanup cleanup;

	/* the actors */
	cede_loop_t *loop; /* NULL: it is gone */
	cede_task_t *task, *completer;
	cede_scope_t scope;
	cede_future_t never, gate, complete_gate, close_gate;
	int next; /* event */

	/* what came out */
	int is_awaiting;
	int first, second;
	int n_first, n_cleanups, n_ended, n_helped;
	int result;
} run;

static uv_loop_t host;
static uv_timer_t host_timer; /* brings the events that come after DETACH */
static uv_prepare_t host_prepare;

/** Waits, without the loop, until libuv will find something in its poll. */
static inline void
wait_for_libuv(void)
{
	struct pollfd wanted = { .fd = uv_backend_fd(&host), .events = POLLIN };
	int r;

	do {
		r = poll(&wanted, 1, 20000);
	} while (r < 0);
	cr_assert_eq(r, 1, "nothing came");
}

/* ---- the tasks ---- */

static int
await_operation(void)
{
	if (run.shape == CALLED)
		return run.op->call();
	run.op->start();
	cede_future_t *future = run.op->future();
	const int r = cede_select(2, (cede_future_t *[]){ &run.never, future });

	return r == 1 ? future->result : r;
}

static void
clean_up(void)
{
	cede_future_t nobody;

	if (run.first >= 0)
		return;
	cede_future_init(&nobody, NULL);
	CEDE_SHIELD(50) {
		run.n_cleanups++;
		const int r = cede_await(&nobody);

		cr_assert(r == CEDE_EXIT || r == CEDE_ETIMEDOUT);
	}
}

static int
subject(void *arg)
{
	if (run.op->prepare)
		run.op->prepare();
	cr_assert_eq(cede_scope_enter(&run.scope, 1000), 0);
	cede_future_init(&run.never, NULL);
	run.is_awaiting = 1;
	run.first = await_operation();
	run.n_first++;
	if (run.op->after)
		run.op->after(run.first);
	if (run.cleanup == CLEANUP_IN_THE_SCOPE)
		clean_up();
	cede_scope_leave(&run.scope);
	if (run.cleanup == CLEANUP_BEHIND_THE_SCOPE)
		clean_up();
	run.second = cede_sleep(0);
	return run.first < 0 ? run.first : 0;
}

static int
parent(void *arg)
{
	CEDE_GROUP(group);

	group.policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn_with(&group, subject, NULL, NULL, &run.task), 0);
	return cede_await(&run.gate);
}

static void
parent_ended(int result, void *data)
{
	run.n_ended++;
	run.result = cede_task_result(run.task);
}

/* Tasks that wait for their event, whatever happens to the loop meanwhile. */
static int
completer(void *arg)
{
	CEDE_SHIELD(100000) {
		if (run.op->helper)
			run.op->helper();
		cr_assert_eq(cede_await(&run.complete_gate), 0);
		run.op->complete();
	}
	run.n_helped++;
	return 0;
}

static int
closer(void *arg)
{
	CEDE_SHIELD(100000) {
		cr_assert_eq(cede_await(&run.close_gate), 0);
		run.op->close();
	}
	run.n_helped++;
	return 0;
}

static int
is_completed_by_task(void)
{
	return run.by == BY_A_TASK || run.op->flags & COMPLETED_BY_TASK;
}

static int
is_closed_by_task(void)
{
	return run.by != BY_THE_HOST && run.op->close;
}

/* ---- the events ---- */

/** A timer of the library's fires now, in the order in which we say so. */
static inline void
fire(struct cede__timer *timer)
{
	if (timer->index == 0)
		return;
	cede__timer_stop(timer);
	timer->fire(timer);
}

static void
happen(enum event event)
{
	switch (event) {
	case COMPLETE:
		if (is_completed_by_task())
			cede_future_resolve(&run.complete_gate, 0, NULL);
		else
			run.op->complete();
		break;
	case CLOSE:
		if (is_closed_by_task())
			cede_future_resolve(&run.close_gate, 0, NULL);
		else
			run.op->close();
		break;
	case CANCEL:
		cede_task_cancel(run.task);
		break;
	case TIMEOUT:
		if (run.scope.is_open)
			fire(&run.scope.timer);
		break;
	case END:
		cede_future_resolve(&run.gate, 0, NULL);
		break;
	default:
		cr_assert(0, "the detach is no callback's");
	}
}

static int
is_cut_behind(int event)
{
	return event == run.n_events - 1 || run.cuts >> event & 1;
}

/* Is DETACH of the turn that begins with this event? */
static int
turn_has_detach(int event)
{
	for (;; event++) {
		if (run.order[event] == DETACH)
			return 1;
		if (is_cut_behind(event))
			return 0;
	}
}

static void
happen_until_cut(void)
{
	do
		happen(run.order[run.next]);
	while (!is_cut_behind(run.next++));
}

static void
happen_before_poll(uv_prepare_t *prepare)
{
	uv_prepare_stop(prepare);
	happen_until_cut();
}

/* The rest of a turn, inside a callback of the host's, while the loop is being detached. */
static void
happen_while_detaching(uv_timer_t *timer)
{
	happen_until_cut();
	if (run.next < run.n_events) /* at 0 it would be the same turn */
		uv_timer_start(timer, happen_while_detaching, 1, 0);
}

static void
happen_in_order(void)
{
	while (!turn_has_detach(run.next)) {
		if (run.place == BEFORE_POLL) {
			uv_prepare_start(&host_prepare, happen_before_poll);
			uv_run(&host, UV_RUN_NOWAIT);
		} else {
			happen_until_cut();
		}
		uv_run(&host, UV_RUN_NOWAIT);
	}
	while (run.order[run.next] != DETACH)
		happen(run.order[run.next++]);
	const unsigned is_cut = is_cut_behind(run.next++) != 0;

	if (run.next < run.n_events)
		uv_timer_start(&host_timer, happen_while_detaching, is_cut, 0);
	cr_assert_eq(cede_detach(run.loop), 0);
	run.loop = NULL;
	uv_timer_stop(&host_timer);
	while (run.next < run.n_events)
		happen(run.order[run.next++]);
}

#include "tests/support/interleave_model.h"

/* ---- one case ---- */

static void
say_case(int expected)
{
	static const char *const names[] = { "complete", "cancel", "timeout", "end", "detach",
		"close" };

	for (int i = 0; i < run.n_events; i++)
		fprintf(stderr, "%s%s", names[run.order[i]], is_cut_behind(i) ? " | " : " ");
	fprintf(stderr, "shape %d, by %d, place %d, cleanup %d: %d, not %d\n", run.shape, run.by,
		run.place, run.cleanup, run.first, expected);
}

static void
check_case(void)
{
	const int expected = model_first();

	if (run.first != expected || run.n_first != 1)
		say_case(expected);
	cr_assert_eq(run.n_first, 1, "the await returned %d times", run.n_first);
	cr_assert_eq(run.first, expected, "%d, not %d", run.first, expected);
	cr_assert_eq(run.n_ended, 1);
	cr_assert_eq(run.n_helped, is_completed_by_task() + is_closed_by_task());
	cr_assert_eq(run.n_cleanups, run.cleanup != NO_CLEANUP && expected < 0);
	if (run.op->future && run.shape == SELECTED)
		cr_assert_eq(run.op->future()->is_done, 1, "an operation is left behind");
	cr_assert_eq(run.scope.is_open, 0);
	cr_assert_eq(run.scope.timer.index, 0);
	cr_assert_eq(run.result,
		run.first >= 0                   ? 0
			: run.first == CEDE_EXIT ? CEDE_ECANCELED
						 : run.first);
	if (run.first == CEDE_EXIT)
		cr_assert_eq(run.second, CEDE_EXIT, "a close stays");
	cr_assert(run.second == 0 || run.second == CEDE_EXIT);
}

static void
count_handle(uv_handle_t *handle, void *count)
{
	++*(int *)count;
}

/* What uv_loop_close() would look at: the host's two handles, nothing under way. */
static void
check_host(void)
{
	int handles = 0;

	uv_walk(&host, count_handle, &handles);
	cr_assert_eq(handles, 2);
	cr_assert_eq(uv_loop_alive(&host), 0);
}

static void
run_case(void)
{
	cede_future_init(&run.gate, NULL);
	cede_future_init(&run.complete_gate, NULL);
	cede_future_init(&run.close_gate, NULL);
	cr_assert_eq(cede_attach(&run.loop, &host, NULL), 0);
	if (run.op->set_up)
		run.op->set_up();
	if (is_completed_by_task())
		cr_assert_eq(cede_start_with(run.loop, completer, NULL, NULL, NULL, NULL,
				     &run.completer),
			0);
	if (is_closed_by_task())
		cr_assert_eq(cede_start(run.loop, closer, NULL, NULL, NULL), 0);
	cr_assert_eq(cede_start(run.loop, parent, NULL, parent_ended, NULL), 0);
	do
		uv_run(&host, UV_RUN_NOWAIT);
	while (!run.is_awaiting);
	if (run.op->settle)
		run.op->settle();

	happen_in_order();
	check_case();
	if (run.op->tear_down)
		run.op->tear_down(run.first);
	run.task = cede_task_unref(run.task);
	run.completer = cede_task_unref(run.completer);
	check_host();
}

/* ---- every case ---- */

static void
open_host(void)
{
	cr_assert_eq(uv_loop_init(&host), 0);
	uv_timer_init(&host, &host_timer);
	uv_prepare_init(&host, &host_prepare);
}

static void
close_host(void)
{
	uv_close((uv_handle_t *)&host_timer, NULL);
	uv_close((uv_handle_t *)&host_prepare, NULL);
	uv_run(&host, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&host), 0);
}

static unsigned n_cases;

/* Is it run with all cuts? */
static int
is_full(const struct operation *op, const int variant[4])
{
	const int is_plain = variant[0] == CALLED && variant[3] == NO_CLEANUP;

	if (op->flags & IS_UNCUT)
		return 0;
	if (op->close)
		return is_plain && variant[1] == BY_THE_HOST && variant[2] == BETWEEN_TURNS;
	return is_plain || !(op->flags & IS_LATE);
}

static int
has_variant(const struct operation *op, const int variant[4])
{
	if (variant[0] == SELECTED && op->flags & IS_CALLED_ONLY)
		return 0;
	if (variant[2] == BEFORE_POLL && !(op->flags & IS_LATE))
		return 0;
	if (variant[1] == BY_BOTH && (!op->close || op->flags & COMPLETED_BY_TASK))
		return 0;
	if (!op->close && !(op->flags & IS_LATE))
		return 1;
	return variant[0] == CALLED && !(op->flags & IS_CALLED_ONLY)
		? variant[3] == NO_CLEANUP
		: variant[3] != CLEANUP_IN_THE_SCOPE - (variant[1] == BY_A_TASK);
}

static void
run_cuts(const struct operation *op, const enum event *order, int n, const int variant[4],
	unsigned cuts)
{
	memset(&run, 0, sizeof run);
	memcpy(run.order, order, (size_t)n * sizeof *order);
	run.op = op;
	run.n_events = n;
	run.cuts = cuts;
	run.shape = (enum shape)variant[0];
	run.by = (enum actor_kind)variant[1];
	run.place = (enum place)variant[2];
	run.cleanup = (enum cleanup)variant[3];
	run_case();
	n_cases++;
}

/*
 * All cuts; or none and all. A detach is never before a poll, so what is in one turn
 * with it is not either: there it is cut off instead.
 */
static void
run_order(const struct operation *op, const enum event *order, int n, const int variant[4])
{
	const unsigned n_cuts = 1U << (n - 1);
	unsigned detach = 0;

	if (is_full(op, variant)) {
		for (unsigned cuts = 0; cuts < n_cuts; cuts++)
			run_cuts(op, order, n, variant, cuts);
		return;
	}
	while (order[detach] != DETACH)
		detach++;
	run_cuts(op, order, n, variant,
		variant[2] == BEFORE_POLL ? (3U << detach >> 1) & (n_cuts - 1) : 0);
	run_cuts(op, order, n, variant, n_cuts - 1);
}

static void
permute(const struct operation *op, enum event *order, int at, int n, const int variant[4])
{
	if (at == n) {
		run_order(op, order, n, variant);
		return;
	}
	for (int i = at; i < n; i++) {
		const enum event first = order[at];

		order[at] = order[i];
		order[i] = first;
		permute(op, order, at + 1, n, variant);
		order[i] = order[at];
		order[at] = first;
	}
}

/* One loop of libuv's for the orders of a variant: it must be as new after each. */
static void
run_variant(const struct operation *op, const int variant[4])
{
	enum event order[EVENTS] = { COMPLETE, CANCEL, TIMEOUT, END, DETACH, CLOSE };
	const int n = op->close ? EVENTS : EVENTS - 1;
	const unsigned orders = op->close ? 720 : 120, n_cuts = 1U << (n - 1);
	const unsigned before = n_cases;

	open_host();
	permute(op, order, 0, n, variant);
	close_host();
	cr_assert_eq(n_cases - before, orders * (is_full(op, variant) ? n_cuts : 2));
	cr_assert_eq(leaks_count_fds(), leaks_fds);
}

/** Runs every case of an operation between the halves of the leak gate. */
static inline void
interleave(const char *name, const struct operation *op)
{
	leaks_begin();
	clock_start();
	for (int shape = 0; shape < SHAPES; shape++)
		for (int by = 0; by < ACTOR_KINDS; by++)
			for (int place = 0; place < PLACES; place++)
				for (int cleanup = 0; cleanup < CLEANUPS; cleanup++) {
					const int variant[4] = { shape, by, place, cleanup };

					if (has_variant(op, variant))
						run_variant(op, variant);
				}
	clock_stop();
	leaks_end();
	cr_log_info("%s: %u cases", name, n_cases);
}

/** A test of one operation: `static const struct operation NAME` */
#define INTERLEAVE(suite, name) \
	Test(suite, name##_comes_out_as_the_model_says) \
	{ \
		interleave(#name, &name); \
	}

#endif
