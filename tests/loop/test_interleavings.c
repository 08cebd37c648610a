/*
 * Every order of what can happen to one operation, by tests/support/interleave.h:
 * the waits of the loop itself.
 */
#include "tests/support/interleave.h"

TestSuite(interleavings, .timeout = 120);

static cede_future_t future, other;
static cede_sleep_t nap;

/* ---- a future ---- */

static void
future_init(void)
{
	cede_future_init(&future, NULL);
	cede_future_init(&other, NULL);
}

static int
future_call(void)
{
	return cede_await(&future);
}

static void
future_start(void)
{
}

static cede_future_t *
future_get(void)
{
	return &future;
}

static void
future_complete(void)
{
	cede_future_resolve(&future, 7, NULL);
}

static const struct operation a_future = { .set_up = future_init,
	.call = future_call,
	.start = future_start,
	.future = future_get,
	.complete = future_complete,
	.on_complete = 7 };

INTERLEAVE(interleavings, a_future)

/* ---- a future, three coroutines deep ---- */

static int chain_result;

static int
chain_link(void *arg)
{
	const intptr_t depth = (intptr_t)arg;
	cede_coro_t *co = NULL;
	int r;

	if (depth == 0)
		return (r = chain_result = cede_await(&future)) < 0 ? r : 0;
	cr_assert_eq(cede_coro_create(&co, chain_link, (void *)(depth - 1), NULL), 0);
	r = cede_await_coro(co, NULL);
	cr_assert_eq(r, chain_result < 0 ? chain_result : 0);
	cede_coro_unref(co);
	return r;
}

static int
chain_call(void)
{
	const int r = chain_link((void *)3);

	return r < 0 ? r : chain_result;
}

static const struct operation a_chain = { .set_up = future_init,
	.call = chain_call,
	.complete = future_complete,
	.on_complete = 7,
	.flags = IS_CALLED_ONLY };

INTERLEAVE(interleavings, a_chain)

/* ---- a sleep ---- */

static void
nap_init(void)
{
	memset(&nap, 0, sizeof nap);
}

static void
nap_start(void)
{
	cr_assert_eq(cede_sleep_start(900, &nap), 0);
}

static int
nap_call(void)
{
	nap_start();
	return cede_await(&nap.future);
}

static cede_future_t *
nap_future(void)
{
	return &nap.future;
}

static void
nap_complete(void)
{
	fire(&nap.timer);
}

static void
nap_tear_down(int first)
{
	cr_assert_eq(nap.timer.index, 0);
	cr_assert_eq(nap.future.is_done, 1);
}

static const struct operation a_sleep = { .set_up = nap_init,
	.call = nap_call,
	.start = nap_start,
	.future = nap_future,
	.complete = nap_complete,
	.tear_down = nap_tear_down };

INTERLEAVE(interleavings, a_sleep)

/* ---- both of two: the second is what CLOSE stands for ---- */

static int
both_call(void)
{
	return cede_wait_all(2, (cede_future_t *[]){ &future, &other });
}

static void
other_complete(void)
{
	cede_future_resolve(&other, 8, NULL);
}

static void
both_after(int first)
{
	cr_assert_eq(future.is_done, 1, "the first is left behind");
	cr_assert_eq(other.is_done, 1, "the second is left behind");
	if (first == 0)
		cr_assert(future.result == 7 && other.result == 8);
}

static const struct operation both_of_two = { .set_up = future_init,
	.call = both_call,
	.complete = future_complete,
	.close = other_complete,
	.after = both_after,
	.flags = NEEDS_BOTH | IS_CALLED_ONLY };

INTERLEAVE(interleavings, both_of_two)

/* ---- the end of another task ---- */

static cede_join_t join;

static int
join_call(void)
{
	return cede_join(run.completer, NULL);
}

static void
join_start(void)
{
	cr_assert_eq(cede_join_start(run.completer, &join), 0);
}

static cede_future_t *
join_future(void)
{
	return &join.future;
}

static void
join_complete(void)
{
	/* the task returns behind this */
}

static void
join_tear_down(int first)
{
	cr_assert_null(run.completer->joins);
}

static const struct operation a_join = { .call = join_call,
	.start = join_start,
	.future = join_future,
	.complete = join_complete,
	.tear_down = join_tear_down,
	.flags = COMPLETED_BY_TASK };

INTERLEAVE(interleavings, a_join)

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
	run.first = cede_await(&future);
	return run.first < 0 ? run.first : 0;
}

static void
run_before_start(const enum event order[3], unsigned cuts)
{
	int is_told = 0, is_complete = 0, has_run = 0;

	memset(&run, 0, sizeof run);
	cede_future_init(&future, NULL);
	cr_assert_eq(uv_loop_init(&host), 0);
	cr_assert_eq(cede_attach(&run.loop, &host, NULL), 0);
	cr_assert_eq(cede_start(run.loop, unscoped_subject, NULL, subject_ended, NULL), 0);
	cede_task_t *task = cede_task_ref(
		cede__container_of(cede__list_first(&run.loop->tasks), cede_task_t, link));

	for (int i = 0; i < 3; i++) {
		if (order[i] == COMPLETE)
			cede_future_resolve(&future, 7, NULL);
		else if (order[i] == CANCEL)
			cede_task_cancel(task);
		else if (run.loop)
			cr_assert_eq(cede_detach(run.loop), 0);
		if (order[i] == DETACH)
			run.loop = NULL;
		if (run.n_ended == 0 && !has_run) {
			is_complete |= order[i] == COMPLETE;
			is_told |= order[i] == CANCEL;
		}
		if (run.loop && cuts >> i & 1) {
			uv_run(&host, UV_RUN_NOWAIT);
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
	cr_assert_eq(uv_loop_close(&host), 0);
}

Test(interleavings, before_the_first_step_never_start_a_task_that_was_told_to_end)
{
	static const enum event orders[6][3] = { { COMPLETE, CANCEL, DETACH },
		{ COMPLETE, DETACH, CANCEL }, { CANCEL, COMPLETE, DETACH },
		{ CANCEL, DETACH, COMPLETE }, { DETACH, COMPLETE, CANCEL },
		{ DETACH, CANCEL, COMPLETE } };

	leaks_begin();
	clock_start();
	for (int i = 0; i < 6; i++)
		for (unsigned cuts = 0; cuts < 4; cuts++)
			run_before_start(orders[i], cuts);
	clock_stop();
	leaks_end();
}
