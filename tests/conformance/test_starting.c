/* Rows 1 to 12 of docs/semantics.md: start, send, return, raise. */
#include "tests/conformance/conformance.h"

TestSuite(conformance, .timeout = 20);

static int
yields_1_and_2(void *arg)
{
	int r;

	record("started with %s", value_text(arg));
	r = cede_yield(V(1), NULL);
	if (r == 0)
		r = cede_yield(V(2), NULL);
	return r;
}

Test(conformance, row_01_a_call_makes_an_object_and_runs_nothing)
{
	cede_coro_t *co;

	begin();
	co = MAKE(yields_1_and_2, "x");
	EXPECT_NOTHING();
	SAYS(state(co), "created");
	cr_assert_eq(cede_coro_stack_used(co), 0);
	cr_assert_null(cede_coro_current());

	SAYS(do_close(co), "returns None");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_02_first_send_runs_to_the_first_suspension)
{
	cede_coro_t *co;

	begin();
	co = MAKE(yields_1_and_2, "x");
	SAYS(do_send(co, NULL), "yields 1");
	EXPECT("started with x");
	SAYS(do_send(co, NULL), "yields 2");
	SAYS(do_send(co, NULL), "returns None");
	EXPECT_NOTHING();
	cede_coro_unref(co);
	end();
}

Test(conformance, row_03_first_value_must_be_null)
{
	cede_coro_t *co;

	begin();
	co = MAKE(yields_1_and_2, NULL);
	SAYS(do_send(co, V(7)), "raises CEDE_ENOTSTARTED");
	SAYS(cede_strerror(CEDE_ENOTSTARTED),
		"can't send non-None value to a just-started coroutine");
	SAYS(state(co), "created");
	EXPECT_NOTHING();

	SAYS(do_send(co, NULL), "yields 1");
	EXPECT("started with None");
	cede_coro_unref(co);

	co = MAKE(yields_1_and_2, NULL);
	SAYS(do_send(co, V(7)), "raises CEDE_ENOTSTARTED");
	cede_coro_unref(co);
	EXPECT("warning: coroutine 'yields_1_and_2' was never awaited");
	end();
}

static int
echoes(void *arg)
{
	void *got = NULL;
	int r = 0;

	for (int i = 1; r == 0 && got != V(99); i++) {
		r = cede_yield(V(i), &got);
		record("%s got %s", (char *)arg, value_text(got));
	}
	return r;
}

static int
awaits_echoes(void *arg)
{
	cede_coro_t *child = MAKE(echoes, "inner");
	int r = cede_await_coro(child, NULL);

	cede_coro_unref(child);
	if (r == 0)
		r = cede_yield(V("outer"), NULL);
	return r;
}

Test(conformance, row_04_a_sent_value_arrives_in_the_innermost)
{
	cede_coro_t *co;

	begin();
	co = MAKE(awaits_echoes, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_send(co, V(10)), "yields 2");
	SAYS(do_send(co, V(11)), "yields 3");
	EXPECT("inner got 10", "inner got 11");
	SAYS(do_send(co, V(99)), "yields outer");
	SAYS(do_send(co, V(12)), "returns None");
	EXPECT("inner got 99");
	cede_coro_unref(co);
	end();
}

static int
returns_arg(void *arg)
{
	return cede_return(arg);
}

static int
returns_after_a_yield(void *arg)
{
	int r = cede_yield(NULL, NULL);

	return r < 0 ? r : cede_return(arg);
}

Test(conformance, row_05_a_returned_value_comes_back)
{
	cede_coro_t *co;

	begin();
	co = MAKE(returns_arg, V(10));
	SAYS(do_send(co, NULL), "returns 10");
	SAYS(state(co), "closed");
	cede_coro_unref(co);

	co = MAKE(returns_after_a_yield, V(11));
	SAYS(do_send(co, NULL), "yields None");
	SAYS(do_send(co, NULL), "returns 11");
	cede_coro_unref(co);
	end();
}

static int
returns_nothing(void *arg)
{
	return 0;
}

Test(conformance, row_06_to_return_nothing_is_to_return_null)
{
	cede_coro_t *co;

	begin();
	co = MAKE(returns_nothing, V(1));
	SAYS(do_send(co, NULL), "returns None");
	cede_coro_unref(co);

	co = MAKE(returns_arg, NULL);
	SAYS(do_send(co, NULL), "returns None");
	cede_coro_unref(co);
	end();
}

static int
awaits_returns_arg(void *arg)
{
	cede_coro_t *child = MAKE(returns_after_a_yield, arg);
	void *value = NULL;
	int r = cede_await_coro(child, &value);

	cede_coro_unref(child);
	return r < 0 ? r : cede_return(value);
}

Test(conformance, row_07_a_returned_value_is_handed_on_unread)
{
	cede_error_t *error;
	cede_coro_t *co, *other;
	void *out = NULL;

	begin();
	/* An error object, of the end of iteration even, is a value like others. */
	error = cede_error_create(CEDE_STOP, "10", NULL, NULL);
	co = MAKE(awaits_returns_arg, error);
	SAYS(do_send(co, NULL), "yields None");
	cr_assert_eq(cede_coro_send(co, NULL, &out), 0);
	cr_assert_eq(out, (void *)error);
	cr_assert_null(cede_error());
	cede_coro_unref(co);
	cede_error_unref(error);

	/* So is a coroutine, or what is no pointer to anything. */
	other = MAKE(returns_nothing, NULL);
	co = MAKE(awaits_returns_arg, other);
	SAYS(do_send(co, NULL), "yields None");
	cr_assert_eq(cede_coro_send(co, NULL, &out), 0);
	cr_assert_eq(out, (void *)other);
	SAYS(do_send(other, NULL), "returns None");
	cede_coro_unref(co);
	cede_coro_unref(other);

	co = MAKE(returns_arg, (void *)UINTPTR_MAX);
	cr_assert_eq(cede_coro_send(co, NULL, &out), 0);
	cr_assert_eq(out, (void *)UINTPTR_MAX);
	cede_coro_unref(co);
	end();
}

static int
raises(void *arg)
{
	return cede_raise(VALUE_ERROR, "hovercraft is full of %s", (char *)arg);
}

static int
raises_a_bare_code(void *arg)
{
	return VALUE_ERROR;
}

Test(conformance, row_08_what_the_body_raises_comes_back)
{
	cede_coro_t *co;

	begin();
	co = MAKE(raises, "eels");
	SAYS(do_send(co, NULL), "raises ValueError");
	SAYS(chain(cede_error()), "ValueError: hovercraft is full of eels");
	cr_assert_not_null(strstr(cede_error_place(cede_error()), "test_starting.c:"));
	SAYS(state(co), "closed");
	cede_coro_unref(co);

	/* The record of the last one is not mistaken for this one's. */
	co = MAKE(raises_a_bare_code, NULL);
	SAYS(do_send(co, NULL), "raises ValueError");
	cr_assert_null(cede_error());
	cede_coro_unref(co);
	end();
}

Test(conformance, row_09_a_finished_one_cannot_be_sent_to)
{
	cede_coro_t *returned, *raised, *closed;

	begin();
	returned = MAKE(returns_arg, V(1));
	raised = MAKE(raises, "eels");
	closed = MAKE(yields_1_and_2, NULL);
	SAYS(do_send(returned, NULL), "returns 1");
	SAYS(do_send(raised, NULL), "raises ValueError");
	SAYS(do_close(closed), "returns None");

	for (int i = 0; i < 2; i++) {
		SAYS(do_send(returned, NULL), "raises CEDE_EREUSED");
		SAYS(do_send(returned, V(5)), "raises CEDE_EREUSED");
		SAYS(do_send(raised, NULL), "raises CEDE_EREUSED");
		SAYS(do_send(closed, NULL), "raises CEDE_EREUSED");
		SAYS(do_send(closed, V(5)), "raises CEDE_EREUSED");
		cr_assert_null(cede_error());
	}
	SAYS(cede_strerror(CEDE_EREUSED), "cannot reuse already awaited coroutine");
	cede_coro_unref(returned);
	cede_coro_unref(raised);
	cede_coro_unref(closed);
	end();
}

static cede_coro_t *me;

static int
sends_to_itself(void *arg)
{
	int r;

	SAYS(do_send(me, NULL), "raises CEDE_ERUNNING");
	SAYS(do_send(me, V(5)), "raises CEDE_ERUNNING");
	SAYS(state(me), "running");
	record("unharmed");
	r = cede_yield(V(1), NULL);
	SAYS(do_send(me, NULL), "raises CEDE_ERUNNING");
	return r < 0 ? r : cede_return(V(2));
}

Test(conformance, row_10_an_executing_one_cannot_be_sent_to)
{
	begin();
	me = MAKE(sends_to_itself, NULL);
	SAYS(do_send(me, NULL), "yields 1");
	EXPECT("unharmed");
	SAYS(do_send(me, NULL), "returns 2");
	SAYS(cede_strerror(CEDE_ERUNNING), "coroutine already executing");
	cede_coro_unref(me);
	end();
}

static int
throws_into_and_closes_itself(void *arg)
{
	SAYS(do_throw(me, VALUE_ERROR), "raises CEDE_ERUNNING");
	SAYS(do_throw(me, CEDE_EXIT), "raises CEDE_ERUNNING");
	SAYS(do_close(me), "raises CEDE_ERUNNING");
	record("unharmed");
	return cede_return(V(3));
}

Test(conformance, row_11_nor_thrown_into_nor_closed)
{
	begin();
	me = MAKE(throws_into_and_closes_itself, NULL);
	SAYS(do_send(me, NULL), "returns 3");
	EXPECT("unharmed");
	cede_coro_unref(me);
	end();
}

static cede_coro_t *chain_of_3[3];

static int
innermost_tries_them_all(void *arg)
{
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < 3; i++) {
			cede_coro_t *co = chain_of_3[i];

			SAYS(state(co), "running");
			SAYS(do_send(co, NULL), "raises CEDE_ERUNNING");
			SAYS(do_throw(co, VALUE_ERROR), "raises CEDE_ERUNNING");
			SAYS(do_throw(co, CEDE_EXIT), "raises CEDE_ERUNNING");
			SAYS(do_close(co), "raises CEDE_ERUNNING");
			cr_assert_eq(cede_await_coro(co, NULL), CEDE_ERUNNING);
		}
		if (turn == 0)
			cr_assert_eq(cede_yield(V(1), NULL), 0);
	}
	return 0;
}

static int
awaits_next_of_3(void *arg)
{
	return cede_await_coro(chain_of_3[(intptr_t)arg + 1], NULL);
}

Test(conformance, row_12_who_awaits_an_executing_one_counts_as_executing)
{
	begin();
	chain_of_3[0] = MAKE(awaits_next_of_3, V(0));
	chain_of_3[1] = MAKE(awaits_next_of_3, V(1));
	chain_of_3[2] = MAKE(innermost_tries_them_all, NULL);
	SAYS(do_send(chain_of_3[0], NULL), "yields 1");
	SAYS(state(chain_of_3[1]), "suspended");
	SAYS(do_send(chain_of_3[0], NULL), "returns None");
	for (int i = 0; i < 3; i++) {
		SAYS(state(chain_of_3[i]), "closed");
		cede_coro_unref(chain_of_3[i]);
	}
	end();
}
