/*
 * Lib/test/test_coroutines.py as facts, where they are no row of
 * docs/semantics.md by themselves. docs/conformance.md has the pairs.
 */
#include "tests/conformance/conformance.h"

TestSuite(coroutines, .timeout = 20);

static int
yields_1(void *arg)
{
	return cede_yield(V(1), NULL);
}

static int
awaits_arg(void *arg)
{
	void *value = NULL;
	int r = cede_await_coro(arg, &value);

	return r < 0 ? r : cede_return(value);
}

/* ---- generators are not coroutines: func_4, func_5, func_7, row 56 ---- */

static int
generator_awaits(void *arg)
{
	record("await in a generator %s", code_text(cede_await_coro(arg, NULL)));
	return 0;
}

static int
coroutine_delegates(void *arg)
{
	record("yield from in a coroutine %s", code_text(cede_yield_from(arg, NULL)));
	return 0;
}

Test(conformance, row_56_a_coroutine_is_no_generator)
{
	cede_coro_t *co;
	cede_gen_t *g;

	begin();
	co = MAKE(yields_1, NULL);
	g = MAKE_GEN(generator_awaits, co);
	SAYS(gen_run(g), "returns None");
	SAYS(state(co), "created");
	SAYS(do_close(co), "returns None");
	cede_coro_unref(co);
	cede_gen_unref(g);

	g = MAKE_GEN(yields_1, NULL);
	co = MAKE(coroutine_delegates, g);
	SAYS(do_send(co, NULL), "returns None");
	SAYS(gen_state(g), "created");
	SAYS(gen_run(g), "returns None");
	EXPECT("await in a generator EINVAL", "yield from in a coroutine EINVAL", "Yielded 1");
	cede_coro_unref(co);
	cede_gen_unref(g);
	end();
}

/* ---- func_10 ---- */

static int count;

static int
squares(void *arg)
{
	void *a = NULL;
	int r = cede_yield(NULL, &a);

	if (r == 0)
		r = cede_yield(V((intptr_t)a * (intptr_t)a), NULL);
	if (r == ZERO_DIVISION_ERROR)
		count += 100;
	count += 1;
	return r;
}

static int
awaits_squares(void *arg)
{
	return await_new(squares, NULL, NULL);
}

Test(coroutines, send_close_and_throw_reach_what_is_awaited)
{
	cede_coro_t *co;

	begin();
	co = MAKE(awaits_squares, NULL);
	SAYS(do_send(co, NULL), "yields None");
	SAYS(do_send(co, V(10)), "yields 100");
	cr_assert_eq(count, 0);
	SAYS(do_close(co), "returns None");
	cr_assert_eq(count, 1);
	cede_coro_unref(co);

	co = MAKE(awaits_squares, NULL);
	SAYS(do_send(co, NULL), "yields None");
	SAYS(do_throw(co, ZERO_DIVISION_ERROR), "raises ZeroDivisionError");
	cr_assert_eq(count, 102);
	cede_coro_unref(co);
	end();
}

/* ---- func_14 ---- */

static int
awaits_again_when_closed(void *arg)
{
	int r = await_new(yields_1, NULL, NULL);

	if (r == CEDE_EXIT)
		r = await_new(yields_1, NULL, NULL);
	return r;
}

Test(coroutines, an_await_while_being_closed_ignores_the_close)
{
	cede_coro_t *co;

	begin();
	co = MAKE(awaits_again_when_closed, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_close(co), "raises CEDE_EIGNORED");
	SAYS(state(co), "suspended");
	SAYS(do_send(co, NULL), "returns None");
	cede_coro_unref(co);
	end();
}

/* ---- func_16 ---- */

static int
waits_and_reads(void *arg)
{
	int r = await_new(yields_1, NULL, NULL);

	return r < 0 ? r : awaits_arg(arg);
}

Test(coroutines, a_reader_that_is_thrown_into_spends_what_it_reads)
{
	cede_coro_t *spammer, *reader;

	begin();
	spammer = MAKE(yields_1, NULL);
	reader = MAKE(waits_and_reads, spammer);
	SAYS(do_send(reader, NULL), "yields 1");
	SAYS(do_send(reader, NULL), "yields 1");
	SAYS(do_throw(reader, MARKER), "raises Marker");
	SAYS(state(spammer), "closed");
	cede_coro_unref(reader);

	reader = MAKE(waits_and_reads, spammer);
	SAYS(do_send(reader, NULL), "yields 1");
	SAYS(do_send(reader, NULL), "raises CEDE_EREUSED");
	SAYS(do_throw(reader, MARKER), "raises CEDE_EREUSED");
	cede_coro_unref(reader);
	cede_coro_unref(spammer);
	end();
}

/* ---- func_19 ---- */

static int
counts_its_close(void *arg)
{
	int r = cede_yield(NULL, NULL);

	if (r == 0)
		r = cede_yield(NULL, NULL);
	if (r == CEDE_EXIT)
		count++;
	return r == CEDE_EXIT ? 0 : r;
}

static int
awaits_counts_its_close(void *arg)
{
	return await_new(counts_its_close, NULL, NULL);
}

Test(coroutines, it_is_closed_once)
{
	cede_coro_t *co;

	begin();
	co = MAKE(awaits_counts_its_close, NULL);
	SAYS(do_send(co, NULL), "yields None");
	SAYS(do_send(co, NULL), "yields None");
	for (int i = 0; i < 4; i++) {
		cr_assert_eq(count, i > 0);
		SAYS(do_close(co), "returns None");
		cr_assert_eq(count, 1);
	}
	cede_coro_unref(co);
	end();
}

/* ---- await_3, await_6, await_7: objects ---- */

struct list {
	int next, end, result;
};

static int
list_send(void *object, void *value, void **ret_value)
{
	struct list *list = object;

	if (list->next <= list->end) {
		*ret_value = V(list->next++);
		return 1;
	}
	*ret_value = V(list->result);
	return 0;
}

static int
awaits_list(void *arg)
{
	static const cede_awaitable_t vtable = { .send = list_send };
	void *value = NULL;
	int r = cede_await_object(&vtable, arg, &value);

	return r < 0 ? r : cede_return(value);
}

Test(coroutines, an_object_yields_through_its_awaiter)
{
	struct list list = { 1, 3, 100 };
	cede_coro_t *co;

	begin();
	co = MAKE(awaits_list, &list);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_send(co, NULL), "yields 2");
	SAYS(do_send(co, NULL), "yields 3");
	SAYS(do_send(co, NULL), "returns 100");
	cede_coro_unref(co);
	end();
}

/* ---- await_9, await_10, await_11: values ---- */

static int
returns_42(void *arg)
{
	return cede_return(V(42));
}

static int
returns_a_coroutine(void *arg)
{
	return cede_return(MAKE(returns_42, NULL));
}

static int
awaits_several(void *arg)
{
	void *value[3] = { NULL };
	void *co = NULL;

	for (int i = 0; i < 3; i++)
		cr_assert_eq(await_new(returns_42, NULL, &value[i]), 0);
	cr_assert_eq(await_new(returns_a_coroutine, NULL, &co), 0);
	record("%d", (int)((intptr_t)value[0] + (intptr_t)value[1] * 10 - (intptr_t)value[2]));
	cr_assert_eq(cede_await_coro(co, &value[0]), 0);
	cede_coro_unref(co);
	return cede_return(value[0]);
}

Test(coroutines, values_of_awaits)
{
	cede_coro_t *co;

	begin();
	co = MAKE(awaits_several, NULL);
	SAYS(do_send(co, NULL), "returns 42");
	EXPECT("420");
	cede_coro_unref(co);
	end();
}

/* ---- await_14 ---- */

static int
future_send(void *object, void *value, void **ret_value)
{
	int *is_waiting = object;

	*ret_value = value;
	*is_waiting = !*is_waiting;
	return *is_waiting;
}

static int
awaits_future(void *arg)
{
	static const cede_awaitable_t vtable = { .send = future_send };
	void *value = NULL;
	int is_waiting = 0;
	int r = cede_await_object(&vtable, &is_waiting, &value);

	if (r == ZERO_DIVISION_ERROR) {
		HANDLE(r)
		{
			return cede_raise(MARKER, "%s", "");
		}
	}
	return r < 0 ? r : cede_return(value);
}

static int
awaits_awaits_future(void *arg)
{
	void *value = NULL;
	int r = await_new(awaits_future, NULL, &value);

	return r < 0 ? r : cede_return(value);
}

Test(coroutines, send_and_throw_reach_an_object_that_is_awaited)
{
	cede_coro_t *co;

	begin();
	co = MAKE(awaits_awaits_future, NULL);
	SAYS(do_send(co, NULL), "yields None");
	SAYS(do_send(co, "spam"), "returns spam");
	cede_coro_unref(co);

	co = MAKE(awaits_awaits_future, NULL);
	SAYS(do_send(co, NULL), "yields None");
	SAYS(do_throw(co, ZERO_DIVISION_ERROR), "raises Marker");
	cede_coro_unref(co);
	end();
}

/* ---- with_1, with_9 to with_13: a block with an entry and an exit that await ---- */

struct manager {
	const char *name;
	int enter, exit; /* codes that they raise */
	int swallows;
};

static int
records_and_raises(void *arg)
{
	const struct manager *m = arg;
	int r = cede_yield(NULL, NULL);

	if (r < 0)
		return r;
	record("exit %s", m->name);
	return m->exit ? cede_raise(m->exit, "exit %s", m->name) : 0;
}

static int
enters(void *arg)
{
	const struct manager *m = arg;
	int r = cede_yield(NULL, NULL);

	if (r < 0)
		return r;
	record("enter %s", m->name);
	return m->enter ? cede_raise(m->enter, "enter %s", m->name) : 0;
}

/* async with m[0]: async with m[1]: … raise RuntimeError */
static int
with(const struct manager *m)
{
	int r, left = 0;

	if (!m->name)
		return cede_raise(RUNTIME_ERROR, "body");
	r = await_new(enters, m, NULL);
	if (r < 0)
		return r;
	r = with(m + 1);
	if (r == 0)
		return await_new(records_and_raises, m, NULL);
	HANDLE(r)
	{
		left = await_new(records_and_raises, m, NULL);
		if (left < 0)
			return left;
	}
	return m->swallows ? 0 : r;
}

static int
runs_with(void *arg)
{
	return with(arg);
}

static const char *
run_with(const struct manager *m)
{
	cede_coro_t *co = MAKE(runs_with, m);
	int r;

	do {
		r = cede_coro_send(co, NULL, NULL);
	} while (r > 0);
	cede_coro_unref(co);
	return outcome(r, NULL);
}

Test(coroutines, blocks_with_an_exit_that_awaits)
{
	const struct manager swallowed[] = { { .name = "A" }, { .name = "B", .swallows = 1 },
		{ 0 } };
	const struct manager escapes[] = { { .name = "A" }, { .name = "C" }, { 0 } };
	const struct manager fails[] = { { .name = "A", .exit = ZERO_DIVISION_ERROR },
		{ .name = "B", .exit = ZERO_DIVISION_ERROR }, { 0 } };
	const struct manager no_entry[] = { { .name = "A", .enter = TYPE_ERROR }, { 0 } };

	begin();
	SAYS(run_with(swallowed), "returns None");
	EXPECT("enter A", "enter B", "exit B", "exit A");
	SAYS(run_with(escapes), "raises RuntimeError");
	SAYS(chain(cede_error()), "RuntimeError: body");
	EXPECT("enter A", "enter C", "exit C", "exit A");

	SAYS(run_with(fails), "raises ZeroDivisionError");
	SAYS(chain(cede_error()),
		"ZeroDivisionError: exit A, while ZeroDivisionError: exit B, "
		"while RuntimeError: body");
	EXPECT("enter A", "enter B", "exit B", "exit A");

	SAYS(run_with(no_entry), "raises TypeError");
	SAYS(chain(cede_error()), "TypeError: enter A");
	EXPECT("enter A");
	end();
}
