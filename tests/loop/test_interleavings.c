/*
 * Every order of what can happen to one operation: it completes, its task is
 * cancelled, its timeout passes, the block that holds its task ends, the loop is
 * closed. All 120 orders, and for each all 16 ways to cut it into turns of the
 * loop, for each kind of operation and of cleanup: none is sampled.
 *
 * What must come out is worked out by a model that knows no queue of the
 * library's: model_step() below.
 *
 * | state of the task       | events of a turn                    | its await returns |
 * |-------------------------+-------------------------------------+-------------------|
 * | waits                   | complete, with or without others    | the result        |
 * |                         | cancel, end or close, no complete   | CEDE_EXIT         |
 * |                         | timeout alone                       | CEDE_ETIMEDOUT    |
 * | cleans up, or has ended | any                                 | -                 |
 *
 * One event comes a hop later than the others of its turn: at the end of the
 * block its parent has to run first, behind those who were ready before it. So a
 * timeout that came before it is what the task hears of.
 */
#include <cede/uv.h>

#include "tests/support/run.h"

#include "loop/task_int.h"

TestSuite(interleavings, .timeout = 120);

enum event {
	COMPLETE,
	CANCEL,
	TIMEOUT,
	END,
	CLOSE,
	EVENTS,
};

enum operation {
	A_FUTURE,
	A_SLEEP,
	A_SELECT,
	OPERATIONS,
};

enum cleanup {
	NO_CLEANUP,
	CLEANUP_BEHIND_THE_SCOPE, /* in a shield */
	CLEANUP_IN_THE_SCOPE,
	CLEANUPS,
};

/* One run of one order. All of it outlives the loop. */
static struct {
	/* the case */
	enum event order[EVENTS];
	unsigned cuts; /* bit i: events i and i + 1 are of different turns */
	enum operation operation;
	enum cleanup cleanup;

	/* the actors */
	uv_loop_t uv;
	uv_timer_t timer; /* the host's: brings the events that come after CLOSE */
	cede_loop_t *loop;
	cede_task_t *task;
	cede_scope_t scope;
	cede_future_t future, never, gate;
	cede_sleep_t sleep;
	int next; /* event */

	/* what came out */
	int first, second;
	int n_first, n_cleanups, n_ended;
	int result;
} run;

static cede_future_t *
operation_future(void)
{
	return run.operation == A_SLEEP ? &run.sleep.future : &run.future;
}

static int
await_operation(void)
{
	if (run.operation != A_SELECT)
		return cede_await(operation_future());
	const int r = cede_select(2, (cede_future_t *[]){ &run.never, &run.future });

	return r == 1 ? run.future.result : r;
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
	cr_assert_eq(cede_scope_enter(&run.scope, 1000), 0);
	cede_future_init(&run.never, NULL);
	if (run.operation == A_SLEEP)
		cr_assert_eq(cede_sleep_start(900, &run.sleep), 0);
	run.first = await_operation();
	run.n_first++;
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

/* ---- the events ---- */

/* A timer of the library's fires now, in the order in which we say so. */
static void
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
		if (run.operation == A_SLEEP)
			fire(&run.sleep.timer);
		else
			cede_future_resolve(&run.future, 7, NULL);
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
		cr_assert(0, "close is the host's");
	}
}

static int
is_cut_behind(int event)
{
	return run.cuts >> event & 1;
}

/* The rest of a turn, inside a callback of the host's, while the loop is being closed. */
static void
happen_while_closing(uv_timer_t *timer)
{
	while (run.next < EVENTS) {
		happen(run.order[run.next]);
		if (is_cut_behind(run.next++))
			break;
	}
	if (run.next < EVENTS) /* at 0 it would be the same turn */
		uv_timer_start(timer, happen_while_closing, 1, 0);
}

static void
happen_in_order(void)
{
	while (run.order[run.next] != CLOSE) {
		happen(run.order[run.next]);
		if (is_cut_behind(run.next++))
			uv_run(&run.uv, UV_RUN_NOWAIT);
	}
	if (!is_cut_behind(run.next++) && run.next < EVENTS)
		uv_timer_start(&run.timer, happen_while_closing, 0, 0);
	else if (run.next < EVENTS)
		uv_timer_start(&run.timer, happen_while_closing, 1, 0);
	cr_assert_eq(cede_detach(run.loop), 0);
}

/* ---- the model ---- */

struct model {
	int is_over; /* the await has returned */
	int first;
};

/* What the events [from, to) of one turn do, with END told a hop later. */
static void
model_step(struct model *model, int from, int to)
{
	int is_complete = 0, is_closed = 0, has_expired = 0, is_ended = 0, is_ready = 0;

	for (int i = from; i < to; i++) {
		switch (run.order[i]) {
		case COMPLETE:
			is_complete = is_ready = 1;
			break;
		case CANCEL:
		case CLOSE:
			is_closed = is_ready = 1;
			break;
		case TIMEOUT:
			has_expired = is_ready = 1;
			break;
		default:
			if (is_ready)
				is_ended = 1; /* its parent runs behind it */
			else
				is_closed = 1; /* before it */
		}
	}
	if (!model->is_over && (is_complete || is_closed || has_expired || is_ended)) {
		model->is_over = 1;
		model->first = is_complete          ? (run.operation == A_SLEEP ? 0 : 7)
			: is_closed || !has_expired ? CEDE_EXIT
						    : CEDE_ETIMEDOUT;
	}
}

static int
model_first(void)
{
	struct model model = { 0 };

	for (int from = 0, to; from < EVENTS; from = to) {
		for (to = from + 1; to < EVENTS && !is_cut_behind(to - 1); to++)
			continue;
		model_step(&model, from, to);
	}
	cr_assert_eq(model.is_over, 1);
	return model.first;
}

/* ---- every case ---- */

static void
check_case(void)
{
	const int expected = model_first();

	cr_assert_eq(run.n_first, 1, "the await returned %d times", run.n_first);
	if (run.first != expected)
		for (int i = 0; i < EVENTS; i++)
			fprintf(stderr, "%d%s", run.order[i], is_cut_behind(i) ? " | " : " ");
	cr_assert_eq(run.first, expected, "operation %d, cleanup %d: %d, not %d", run.operation,
		run.cleanup, run.first, expected);
	cr_assert_eq(run.n_ended, 1);
	cr_assert_eq(run.n_cleanups, run.cleanup != NO_CLEANUP && expected < 0);
	cr_assert_eq(operation_future()->is_done, 1, "no operation is left behind");
	cr_assert_eq(run.sleep.timer.index, 0);
	cr_assert_eq(run.scope.is_open, 0);
	cr_assert_eq(run.result,
		run.first >= 0                   ? 0
			: run.first == CEDE_EXIT ? CEDE_ECANCELED
						 : run.first);
	if (run.first == CEDE_EXIT)
		cr_assert_eq(run.second, CEDE_EXIT, "a close stays");
	cr_assert(run.second == 0 || run.second == CEDE_EXIT);
}

static void
run_case(void)
{
	cede_future_init(&run.future, NULL);
	cede_future_init(&run.gate, NULL);
	cr_assert_eq(uv_loop_init(&run.uv), 0);
	uv_timer_init(&run.uv, &run.timer);
	cr_assert_eq(cede_attach(&run.loop, &run.uv, NULL), 0);
	cr_assert_eq(cede_start(run.loop, parent, NULL, parent_ended, NULL), 0);
	uv_run(&run.uv, UV_RUN_NOWAIT);

	happen_in_order();
	check_case();
	run.task = cede_task_unref(run.task);
	uv_close((uv_handle_t *)&run.timer, NULL);
	uv_run(&run.uv, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&run.uv), 0);
}

static unsigned n_cases;

static void
run_order_in_every_way(const enum event order[EVENTS], enum operation operation)
{
	for (unsigned cuts = 0; cuts < 1U << (EVENTS - 1); cuts++) {
		for (enum cleanup cleanup = NO_CLEANUP; cleanup < CLEANUPS; cleanup++) {
			memset(&run, 0, sizeof run);
			memcpy(run.order, order, sizeof run.order);
			run.cuts = cuts;
			run.operation = operation;
			run.cleanup = cleanup;
			run_case();
			n_cases++;
		}
	}
}

static void
permute(enum event order[EVENTS], int n, enum operation operation)
{
	if (n == EVENTS) {
		run_order_in_every_way(order, operation);
		return;
	}
	for (int i = n; i < EVENTS; i++) {
		const enum event first = order[n];

		order[n] = order[i];
		order[i] = first;
		permute(order, n + 1, operation);
		order[i] = order[n];
		order[n] = first;
	}
}

static void
run_all(enum operation operation)
{
	enum event order[EVENTS] = { COMPLETE, CANCEL, TIMEOUT, END, CLOSE };

	leaks_begin();
	clock_start();
	permute(order, 0, operation);
	cr_assert_eq(n_cases, 120 * 16 * CLEANUPS);
	clock_stop();
	leaks_end();
}

Test(interleavings, of_a_future_come_out_as_the_model_says)
{
	run_all(A_FUTURE);
}

Test(interleavings, of_a_sleep_come_out_as_the_model_says)
{
	run_all(A_SLEEP);
}

Test(interleavings, of_a_select_come_out_as_the_model_says)
{
	run_all(A_SELECT);
}

/*
 * Before the task's first step: complete, cancel and close in every order. There
 * is no scope yet, and nobody who spawned it.
 */
static void
subject_ended(int result, void *data)
{
	run.n_ended++;
	run.result = result;
}

static int
unscoped_subject(void *arg)
{
	run.task = cede_task_current();
	run.n_first++;
	run.first = cede_await(&run.future);
	return run.first < 0 ? run.first : 0;
}

static void
run_before_start(const enum event order[3], unsigned cuts)
{
	int is_told = 0, is_complete = 0, has_run = 0;

	memset(&run, 0, sizeof run);
	cede_future_init(&run.future, NULL);
	cr_assert_eq(uv_loop_init(&run.uv), 0);
	cr_assert_eq(cede_attach(&run.loop, &run.uv, NULL), 0);
	cr_assert_eq(cede_start(run.loop, unscoped_subject, NULL, subject_ended, NULL), 0);
	cede_task_t *task = cede_task_ref(
		cede__container_of(cede__list_first(&run.loop->tasks), cede_task_t, link));

	for (int i = 0; i < 3; i++) {
		if (order[i] == COMPLETE)
			cede_future_resolve(&run.future, 7, NULL);
		else if (order[i] == CANCEL)
			cede_task_cancel(task);
		else if (run.loop)
			cr_assert_eq(cede_detach(run.loop), 0);
		if (order[i] == CLOSE)
			run.loop = NULL;
		if (run.n_ended == 0 && !has_run) {
			is_complete |= order[i] == COMPLETE;
			is_told |= order[i] == CANCEL;
		}
		if (run.loop && cuts >> i & 1) {
			uv_run(&run.uv, UV_RUN_NOWAIT);
			has_run |= !is_told;
		}
	}
	cr_assert_eq(run.n_ended, 1);
	if (run.n_first == 0) {
		cr_assert_eq(run.result, CEDE_ECANCELED, "never started");
	} else {
		cr_assert_eq(run.first, is_complete ? 7 : CEDE_EXIT);
		cr_assert_eq(run.result, is_complete ? 0 : CEDE_ECANCELED);
	}
	cr_assert_eq(run.n_first, has_run);
	cede_task_unref(task);
	cr_assert_eq(uv_loop_close(&run.uv), 0);
}

Test(interleavings, before_the_first_step_never_start_a_task_that_was_told_to_end)
{
	static const enum event orders[6][3] = { { COMPLETE, CANCEL, CLOSE },
		{ COMPLETE, CLOSE, CANCEL }, { CANCEL, COMPLETE, CLOSE },
		{ CANCEL, CLOSE, COMPLETE }, { CLOSE, COMPLETE, CANCEL },
		{ CLOSE, CANCEL, COMPLETE } };

	leaks_begin();
	clock_start();
	for (int i = 0; i < 6; i++)
		for (unsigned cuts = 0; cuts < 4; cuts++)
			run_before_start(orders[i], cuts);
	clock_stop();
	leaks_end();
}
