/* Rows 76 to 79 of docs/semantics.md: errors in flight. */
#include "tests/conformance/conformance.h"

TestSuite(conformance, .timeout = 20);

static int
raises_f(void *arg)
{
	return cede_raise(TYPE_ERROR, "F");
}

static int
yields_then_raises_f(void *arg)
{
	int r = cede_yield(V(1), NULL);

	return r < 0 ? r : cede_raise(TYPE_ERROR, "F");
}

static int
awaits_arg(void *arg)
{
	return cede_await_coro(arg, NULL);
}

Test(conformance, row_76_the_callers_handled_error_is_the_context_inside)
{
	cede_coro_t *co, *child;
	int r;

	begin();
	/* Made before, resumed by the handler: a link, not a copy. */
	co = MAKE(yields_then_raises_f, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	r = cede_raise(VALUE_ERROR, "X");
	HANDLE(r)
	{
		SAYS(do_send(co, NULL), "raises TypeError");
		SAYS(chain(cede_error()), "TypeError: F, while ValueError: X");
	}
	cede_coro_unref(co);

	/* Through a chain of awaits. */
	child = MAKE(yields_then_raises_f, NULL);
	co = MAKE(awaits_arg, child);
	SAYS(do_send(co, NULL), "yields 1");
	r = cede_raise(VALUE_ERROR, "X");
	HANDLE(r)
	{
		SAYS(do_send(co, NULL), "raises TypeError");
		SAYS(chain(cede_error()), "TypeError: F, while ValueError: X");
	}
	cede_coro_unref(co);
	cede_coro_unref(child);

	/* When the handler has ended there is none. */
	co = MAKE(raises_f, NULL);
	SAYS(do_send(co, NULL), "raises TypeError");
	SAYS(chain(cede_error()), "TypeError: F");
	cede_coro_unref(co);
	end();
}

static int
yields_1(void *arg)
{
	return cede_yield(V(1), NULL);
}

/* What is thrown was raised elsewhere, or nowhere: the thrower's error is no context of it. */
static int
says_what_it_caught(void *arg)
{
	int r = cede_yield(V(1), NULL);

	HANDLE(r)
	{
		record("%s", chain(cede_error()));
		if (arg)
			return cede_raise(TYPE_ERROR, "F");
	}
	return r;
}

static int
awaits_in_a_handler(void *arg)
{
	cede_coro_t *child = MAKE(says_what_it_caught, NULL);
	int r = cede_raise(KEY_ERROR, "awaiter's");

	HANDLE(r)
	{
		r = cede_await_coro(child, NULL);
	}
	cede_coro_unref(child);
	return r;
}

Test(conformance, row_76_what_is_thrown_gets_no_context_of_the_thrower)
{
	cede_error_t *error;
	cede_coro_t *co;
	int r;

	begin();
	error = cede_error_create(KEY_ERROR, "E", NULL, NULL);
	for (int bare = 0; bare < 2; bare++) {
		for (int then_raises = 0; then_raises < 2; then_raises++) {
			co = MAKE(says_what_it_caught, then_raises ? "" : NULL);
			SAYS(do_send(co, NULL), "yields 1");
			r = cede_raise(VALUE_ERROR, "X");
			HANDLE(r)
			{
				SAYS(bare ? do_throw(co, KEY_ERROR) : do_throw_error(co, error),
					then_raises ? "raises TypeError" : "raises KeyError");
			}
			cede_coro_unref(co);
		}
	}
	EXPECT("KeyError: E", "KeyError: E", "KeyError", "KeyError");
	cede_error_unref(error);

	/* Nor is it in the thrower's hands when it has come back, from whatever state. */
	for (int started = 0; started < 2; started++) {
		co = MAKE(yields_1, NULL);
		if (started)
			SAYS(do_send(co, NULL), "yields 1");
		r = cede_raise(VALUE_ERROR, "X");
		HANDLE(r)
		{
			SAYS(do_throw(co, KEY_ERROR), "raises KeyError");
			HANDLE(KEY_ERROR)
			{
				record("%s", chain(cede_error()));
			}
		}
		cede_coro_unref(co);
	}
	EXPECT("KeyError", "KeyError");

	/* Nor, thrown into what is awaited, of the awaiter, before it comes by there. */
	co = MAKE(awaits_in_a_handler, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, MARKER), "raises Marker");
	EXPECT("Marker");
	cede_coro_unref(co);

	/* The GeneratorExit of a close is raised by the close, as the caller's own. */
	co = MAKE(says_what_it_caught, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	r = cede_raise(VALUE_ERROR, "X");
	HANDLE(r)
	{
		SAYS(do_close(co), "returns None");
	}
	EXPECT("CEDE_EXIT: GeneratorExit, while ValueError: X");
	cede_coro_unref(co);
	end();
}

static int
suspends_in_a_handler(void *arg)
{
	int r = cede_raise(KEY_ERROR, "%s", (char *)arg);

	HANDLE(r)
	{
		r = cede_yield(V(1), NULL);
		if (r == 0)
			return cede_raise(TYPE_ERROR, "F");
		if (r == MARKER)
			r = cede_yield(V(2), NULL);
	}
	return r;
}

Test(conformance, row_77_a_handler_it_is_suspended_in_is_its_own)
{
	cede_coro_t *a, *b;

	begin();
	a = MAKE(suspends_in_a_handler, "a");
	b = MAKE(suspends_in_a_handler, "b");
	SAYS(do_send(a, NULL), "yields 1");
	SAYS(do_send(b, NULL), "yields 1");

	/* Not the caller's. */
	cr_assert_null(cede_error());
	cr_assert_eq(cede_raise(VALUE_ERROR, "X"), VALUE_ERROR);
	SAYS(chain(cede_error()), "ValueError: X");

	/* Its own again when it goes on, in whatever order. */
	SAYS(do_send(a, NULL), "raises TypeError");
	SAYS(chain(cede_error()), "TypeError: F, while KeyError: a");
	SAYS(do_send(b, NULL), "raises TypeError");
	SAYS(chain(cede_error()), "TypeError: F, while KeyError: b");
	cede_coro_unref(a);
	cede_coro_unref(b);
	end();
}

static int
says_handled_and_yields(void *arg)
{
	int r = cede_raise(KEY_ERROR, "own");

	HANDLE(r)
	{
		r = cede_yield(V(1), NULL);
	}
	if (r == 0)
		r = cede_raise(TYPE_ERROR, "F"); /* its own block is over: the caller's counts */
	return r;
}

Test(conformance, row_77_after_its_own_handler_the_callers_counts)
{
	cede_coro_t *co;
	int r;

	begin();
	co = MAKE(says_handled_and_yields, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	r = cede_raise(VALUE_ERROR, "X");
	HANDLE(r)
	{
		SAYS(do_send(co, NULL), "raises TypeError");
		SAYS(chain(cede_error()), "TypeError: F, while ValueError: X");
	}
	cede_coro_unref(co);
	end();
}

Test(conformance, row_78_what_is_thrown_into_a_handler_gets_it_as_context)
{
	cede_error_t *error;
	cede_coro_t *co;

	begin();
	co = MAKE(suspends_in_a_handler, "a");
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, VALUE_ERROR), "raises ValueError");
	SAYS(chain(cede_error()), "ValueError, while KeyError: a");
	cede_coro_unref(co);

	error = cede_error_create(VALUE_ERROR, "E", NULL, NULL);
	co = MAKE(suspends_in_a_handler, "a");
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, MARKER), "yields 2");
	SAYS(do_throw_error(co, error), "raises ValueError");
	cr_assert_eq(cede_error(), error);
	SAYS(chain(cede_error()), "ValueError: E, while KeyError: a");
	cede_error_unref(error);
	cede_coro_unref(co);
	end();
}

static int
awaits_inside_a_handler_of(void *arg)
{
	cede_coro_t *child = MAKE(yields_1, NULL);
	int r = cede_raise_error(arg);

	HANDLE(r)
	{
		r = cede_await_coro(child, NULL);
		record("%s", chain(cede_error()));
		HANDLE(r)
		{
			cr_assert_neq(cede_error_context(cede_error()), cede_error());
		}
	}
	cede_coro_unref(child);
	return cede_yield(V(2), NULL);
}

Test(conformance, row_78_no_cycle_where_it_is_the_same_one)
{
	cede_error_t *error, *other;
	cede_coro_t *co;

	begin();
	error = cede_error_create(KEY_ERROR, "a", NULL, NULL);
	other = cede_error_create(VALUE_ERROR, "b", NULL, NULL);
	co = MAKE(awaits_inside_a_handler_of, error);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw_error(co, error), "yields 2");
	EXPECT("KeyError: a");
	cede_coro_unref(co);

	co = MAKE(awaits_inside_a_handler_of, error);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw_error(co, other), "yields 2");
	EXPECT("ValueError: b, while KeyError: a");
	cede_coro_unref(co);
	cede_error_unref(error);
	cede_error_unref(other);
	end();
}

static int
returns_arg(void *arg)
{
	return cede_return(arg);
}

static int
returns_awaited_in_a_handler(void *arg)
{
	cede_coro_t *child = MAKE(returns_arg, arg);
	void *value = NULL;
	int r = cede_raise(KEY_ERROR, "handled");

	HANDLE(r)
	{
		r = cede_await_coro(child, &value);
		cede_coro_unref(child);
		return r < 0 ? r : cede_return(value);
	}
	return r;
}

Test(conformance, row_79_an_error_that_is_a_value_is_not_chained)
{
	cede_error_t *error;
	cede_coro_t *co;
	void *value = NULL;

	begin();
	error = cede_error_create(VALUE_ERROR, "a value", NULL, NULL);
	co = MAKE(returns_awaited_in_a_handler, error);
	cr_assert_eq(cede_coro_send(co, NULL, &value), 0);
	cr_assert_eq(value, (void *)error);
	cr_assert_null(cede_error_context(error));
	cede_error_unref(error);
	cede_coro_unref(co);
	end();
}
