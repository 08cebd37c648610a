/* Rows 13 to 30 of docs/semantics.md: throw. */
#include "tests/conformance/conformance.h"

#include "coro/coro_int.h"

TestSuite(conformance, .timeout = 20);

static int
yields_1(void *arg)
{
	record("started");
	return cede_yield(V(1), NULL);
}

Test(conformance, row_13_thrown_into_an_unstarted_one_it_comes_back)
{
	const cede_coro_options_t options = { .name = "yields_1", .arg_dtor = record_arg };
	cede_coro_t *co;

	begin();
	co = make_at(yields_1, "x", &options, NULL);
	SAYS(do_throw(co, VALUE_ERROR), "raises ValueError");
	EXPECT("argument x released");
	SAYS(state(co), "closed");
	SAYS(do_send(co, NULL), "raises CEDE_EREUSED");
	cede_coro_unref(co); /* no warning */

	co = make_at(yields_1, "y", &options, NULL);
	SAYS(do_throw(co, CEDE_EXIT), "raises CEDE_EXIT");
	EXPECT("argument y released");
	SAYS(state(co), "closed");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_14_the_end_of_iteration_is_not_thrown_into_an_unstarted_one)
{
	cede_coro_t *co;

	begin();
	co = MAKE(yields_1, NULL);
	SAYS(do_throw(co, CEDE_STOP), "raises EINVAL");
	SAYS(state(co), "created");
	SAYS(do_send(co, NULL), "yields 1");
	EXPECT("started");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_15_thrown_and_not_caught_it_is_the_same_one)
{
	cede_error_t *error;
	cede_coro_t *co;

	begin();
	co = MAKE(yields_1, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, VALUE_ERROR), "raises ValueError");
	SAYS(state(co), "closed");
	cede_coro_unref(co);

	co = MAKE(yields_1, NULL);
	error = cede_error_create(VALUE_ERROR, "tomato ejected", NULL, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw_error(co, error), "raises ValueError");
	cr_assert_eq(cede_error(), error);
	SAYS(chain(error), "ValueError: tomato ejected");
	EXPECT("started", "started");
	cede_error_unref(error);
	cede_coro_unref(co);
	end();
}

/* arg: what it does with what it catches. */
static int
catches(void *arg)
{
	const char *what = arg;
	int r = cede_yield(V(1), NULL);

	if (r == 0)
		return 0;
	record("caught %s", code_text(r));
	HANDLE(r)
	{
		if (!strcmp(what, "yields"))
			r = cede_yield(V(2), NULL);
		else if (!strcmp(what, "returns"))
			return cede_return(V(3));
		else if (!strcmp(what, "raises"))
			return cede_raise(KEY_ERROR, "F");
	}
	return r;
}

Test(conformance, row_16_caught_and_then_a_yield)
{
	cede_coro_t *co;

	begin();
	co = MAKE(catches, "yields");
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, VALUE_ERROR), "yields 2");
	EXPECT("caught ValueError");
	SAYS(state(co), "suspended");
	SAYS(do_send(co, NULL), "returns None");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_17_caught_and_then_a_return)
{
	cede_coro_t *co;

	begin();
	co = MAKE(catches, "returns");
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, VALUE_ERROR), "returns 3");
	EXPECT("caught ValueError");
	cr_assert_null(cede_error());
	cede_coro_unref(co);
	end();
}

Test(conformance, row_18_raised_while_handling_it_has_a_context)
{
	cede_error_t *error;
	cede_coro_t *co;

	begin();
	co = MAKE(catches, "raises");
	error = cede_error_create(VALUE_ERROR, "E", NULL, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw_error(co, error), "raises KeyError");
	SAYS(chain(cede_error()), "KeyError: F, while ValueError: E");
	cr_assert_eq(cede_error_context(cede_error()), error);
	cr_assert_null(cede_error_cause(cede_error()));
	cede_error_unref(error);
	cede_coro_unref(co);

	/* A bare code is a context too. */
	co = MAKE(catches, "raises");
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, VALUE_ERROR), "raises KeyError");
	SAYS(chain(cede_error()), "KeyError: F, while ValueError");
	EXPECT("caught ValueError", "caught ValueError");
	cede_coro_unref(co);
	end();
}

static int
raises_from(void *arg)
{
	int r = cede_yield(V(1), NULL);

	HANDLE(r)
	{
		return cede_raise_from(arg ? arg : cede_error(), KEY_ERROR, "F");
	}
	return r;
}

Test(conformance, row_19_raised_from_it_has_a_cause)
{
	cede_error_t *error, *other;
	cede_coro_t *co;

	begin();
	error = cede_error_create(VALUE_ERROR, "E", NULL, NULL);
	co = MAKE(raises_from, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw_error(co, error), "raises KeyError");
	cr_assert_eq(cede_error_cause(cede_error()), error);
	cr_assert_eq(cede_error_context(cede_error()), error);
	cede_coro_unref(co);

	/* From something else than what is handled: both are kept. */
	other = cede_error_create(TYPE_ERROR, "G", NULL, NULL);
	co = MAKE(raises_from, other);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw_error(co, error), "raises KeyError");
	cr_assert_eq(cede_error_cause(cede_error()), other);
	cr_assert_eq(cede_error_context(cede_error()), error);
	cede_coro_unref(co);
	cede_error_unref(error);
	cede_error_unref(other);
	end();
}

/* arg: what `finally` does. */
static int
finally(void *arg)
{
	const char *what = arg;
	int r = cede_yield(V(1), NULL);

	record("finally");
	if (!strcmp(what, "raises") && r < 0) {
		HANDLE(r)
		{
			return cede_raise(KEY_ERROR, "F");
		}
	}
	if (!strcmp(what, "raises"))
		return cede_raise(KEY_ERROR, "F");
	if (!strcmp(what, "returns"))
		return cede_return(V(3));
	if (!strcmp(what, "awaits")) {
		int now = cede_yield(V(2), NULL);

		record("finally goes on");
		if (now < 0)
			return now;
	}
	return r;
}

Test(conformance, row_20_raised_in_finally_it_has_a_context)
{
	cede_coro_t *co;

	begin();
	co = MAKE(finally, "raises");
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, VALUE_ERROR), "raises KeyError");
	SAYS(chain(cede_error()), "KeyError: F, while ValueError");
	EXPECT("finally");
	cede_coro_unref(co);

	co = MAKE(finally, "raises");
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_send(co, NULL), "raises KeyError");
	SAYS(chain(cede_error()), "KeyError: F");
	EXPECT("finally");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_21_a_return_in_finally_swallows_it)
{
	cede_coro_t *co;

	begin();
	co = MAKE(finally, "returns");
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, VALUE_ERROR), "returns 3");
	EXPECT("finally");
	cr_assert_null(cede_error());
	cede_coro_unref(co);
	end();
}

Test(conformance, row_22_finally_may_await_after_a_throw)
{
	cede_error_t *error;
	cede_coro_t *co;

	begin();
	co = MAKE(finally, "awaits");
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, VALUE_ERROR), "yields 2");
	EXPECT("finally");
	SAYS(do_send(co, NULL), "raises ValueError");
	EXPECT("finally goes on");
	SAYS(state(co), "closed");
	cede_coro_unref(co);

	/* And the error is still the same object: nothing else was raised meanwhile. */
	error = cede_error_create(VALUE_ERROR, "E", NULL, NULL);
	co = MAKE(finally, "awaits");
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw_error(co, error), "yields 2");
	SAYS(do_send(co, NULL), "raises ValueError");
	cr_assert_eq(cede_error(), error);
	EXPECT("finally", "finally goes on");
	cede_error_unref(error);
	cede_coro_unref(co);
	end();
}

Test(conformance, row_23_thrown_into_a_finished_one_it_is_lost)
{
	cede_error_t *error;
	cede_coro_t *co;

	begin();
	error = cede_error_create(VALUE_ERROR, "E", NULL, NULL);
	co = MAKE(yields_1, NULL);
	SAYS(do_close(co), "returns None");
	SAYS(do_throw(co, VALUE_ERROR), "raises CEDE_EREUSED");
	SAYS(do_throw_error(co, error), "raises CEDE_EREUSED");
	SAYS(do_throw_error(co, error), "raises CEDE_EREUSED");
	cr_assert_null(cede_error());
	cede_error_unref(error);
	cede_coro_unref(co);
	end();
}

Test(conformance, row_24_what_is_no_exception_is_refused)
{
	cede_coro_t *co;

	begin();
	co = MAKE(yields_1, NULL);
	SAYS(do_throw(co, 0), "raises EINVAL");
	SAYS(do_throw(co, 42), "raises EINVAL");
	SAYS(do_throw_error(co, NULL), "raises EINVAL");
	SAYS(state(co), "created");
	EXPECT_NOTHING();
	SAYS(do_send(co, NULL), "yields 1");
	EXPECT("started");
	SAYS(do_throw(co, 42), "raises EINVAL");
	SAYS(do_throw_error(co, NULL), "raises EINVAL");
	SAYS(state(co), "suspended");
	SAYS(do_send(co, NULL), "returns None");

	/* The first check of all: before that it has finished. */
	SAYS(do_throw(co, 42), "raises EINVAL");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_25_an_instance_is_thrown_by_its_own_call)
{
	cede_error_t *error;
	cede_coro_t *co;
	int payload = 0;

	begin();
	error = cede_error_create(TYPE_ERROR, "24", &payload, NULL);
	co = MAKE(yields_1, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw_error(co, error), "raises TypeError");
	SAYS(chain(cede_error()), "TypeError: 24");
	cr_assert_eq(cede_error_payload(cede_error()), &payload);
	EXPECT("started");
	cede_error_unref(error);
	cede_coro_unref(co);
	end();
}

struct two {
	const char *inner, *outer;
};

static const char *
happened(int r)
{
	return r < 0 ? code_text(r) : r > 0 ? "yielded" : "went on";
}

static int
inner_of_two(void *arg)
{
	const struct two *two = arg;
	int r = cede_yield(V(1), NULL);

	record("inner %s", happened(r));
	if (r < 0 && !strcmp(two->inner, "returns"))
		return cede_return(V(3));
	if (r < 0 && !strcmp(two->inner, "raises"))
		return cede_raise(KEY_ERROR, "inner's");
	if (r < 0 && !strcmp(two->inner, "yields"))
		return cede_yield(V(2), NULL);
	return r;
}

static int
outer_of_two(void *arg)
{
	const struct two *two = arg;
	cede_coro_t *child = MAKE(inner_of_two, arg);
	void *value = NULL;
	int r = cede_await_coro(child, &value);

	cede_coro_unref(child);
	if (r < 0)
		record("outer %s", happened(r));
	else
		record("outer got %s", value_text(value));
	if (!strcmp(two->outer, "returns"))
		return cede_return(V(4));
	if (!strcmp(two->outer, "yields"))
		return cede_yield(V(5), NULL);
	return r;
}

static cede_coro_t *
suspended_two(const char *inner, const char *outer)
{
	static struct two two;
	cede_coro_t *co;

	two = (struct two){ inner, outer };
	co = MAKE(outer_of_two, &two);
	SAYS(do_send(co, NULL), "yields 1");
	return co;
}

Test(conformance, row_26_generator_exit_closes_the_inner_and_is_raised_in_the_outer)
{
	cede_coro_t *co;

	begin();
	/* The inner one's end does not matter, as long as it ends. */
	co = suspended_two("", "");
	SAYS(do_throw(co, CEDE_EXIT), "raises CEDE_EXIT");
	EXPECT("inner CEDE_EXIT", "outer CEDE_EXIT");
	SAYS(state(co), "closed");
	cede_coro_unref(co);

	co = suspended_two("returns", "");
	SAYS(do_throw(co, CEDE_EXIT), "raises CEDE_EXIT");
	EXPECT("inner CEDE_EXIT", "outer CEDE_EXIT");
	cede_coro_unref(co);

	/* It is a throw to the outer one: it may catch it and return, or yield. */
	co = suspended_two("", "returns");
	SAYS(do_throw(co, CEDE_EXIT), "returns 4");
	EXPECT("inner CEDE_EXIT", "outer CEDE_EXIT");
	cede_coro_unref(co);

	co = suspended_two("", "yields");
	SAYS(do_throw(co, CEDE_EXIT), "yields 5");
	EXPECT("inner CEDE_EXIT", "outer CEDE_EXIT");
	SAYS(do_send(co, NULL), "returns None");
	cede_coro_unref(co);

	/* What the inner one raises, or that it goes on, is raised in the outer one instead. */
	co = suspended_two("raises", "");
	SAYS(do_throw(co, CEDE_EXIT), "raises KeyError");
	SAYS(chain(cede_error()), "KeyError: inner's");
	EXPECT("inner CEDE_EXIT", "outer KeyError");
	cede_coro_unref(co);

	co = suspended_two("yields", "");
	SAYS(do_throw(co, CEDE_EXIT), "raises CEDE_EIGNORED");
	SAYS(chain(cede_error()), "CEDE_EIGNORED: coroutine ignored GeneratorExit");
	/* The last reference to the inner one went with the outer's. */
	EXPECT("inner CEDE_EXIT", "outer CEDE_EIGNORED");
	cede_coro_unref(co);
	end();
}

static int
inner_says(void *arg)
{
	int r = cede_yield(V(1), NULL);

	record("inner has %s", chain(cede_error()));
	return r;
}

static int
outer_says(void *arg)
{
	cede_coro_t *child = MAKE(inner_says, NULL);
	int r = cede_await_coro(child, NULL);

	cede_coro_unref(child);
	record("outer has %s", chain(cede_error()));
	return r;
}

Test(conformance, row_26_the_outer_gets_the_one_that_was_thrown)
{
	cede_error_t *error;
	cede_coro_t *co;
	int r;

	begin();
	error = cede_error_create(CEDE_EXIT, "thrown", NULL, NULL);
	co = MAKE(outer_says, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw_error(co, error), "raises CEDE_EXIT");
	cr_assert_eq(cede_error(), error);
	/* The inner one's is made by its close. */
	EXPECT("inner has None", "outer has CEDE_EXIT: thrown");
	cede_coro_unref(co);

	/* Where the thrower handles something, only what the close raises has it as context. */
	co = MAKE(outer_says, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	r = cede_raise(VALUE_ERROR, "X");
	HANDLE(r)
	{
		SAYS(do_throw_error(co, error), "raises CEDE_EXIT");
		cr_assert_eq(cede_error(), error);
	}
	EXPECT("inner has None", "outer has CEDE_EXIT: thrown");
	cede_coro_unref(co);
	cede_error_unref(error);
	end();
}

Test(conformance, row_27_generator_exit_into_a_finished_one)
{
	cede_coro_t *co;

	begin();
	co = MAKE(yields_1, NULL);
	SAYS(do_close(co), "returns None");
	SAYS(do_throw(co, CEDE_EXIT), "raises CEDE_EREUSED");
	cede_coro_unref(co);
	end();
}

static int
object_send(void *object, void *value, void **ret_value)
{
	record("object sent %s", value_text(value));
	*ret_value = V(1);
	return value == V(99) ? 0 : 1;
}

static int
object_raise(void *object, int code, void **ret_value)
{
	record("object thrown %s", code_text(code));
	*ret_value = V(2);
	return code == KEY_ERROR ? 1 : code == MARKER ? 0 : code;
}

static int
awaits_object(void *arg)
{
	void *value = NULL;
	int r = cede_await_object(arg, NULL, &value);

	record("awaiter %s", r < 0 ? code_text(r) : value_text(value));
	return r;
}

static int
awaits_awaiter_of_object(void *arg)
{
	cede_coro_t *child = MAKE(awaits_object, arg);
	int r = cede_await_coro(child, NULL);

	cede_coro_unref(child);
	return r;
}

Test(conformance, row_28_a_throw_goes_to_the_innermost)
{
	const cede_awaitable_t with = { .send = object_send, .raise = object_raise };
	const cede_awaitable_t without = { .send = object_send };
	cede_coro_t *co;

	begin();
	co = suspended_two("", "");
	SAYS(do_throw(co, VALUE_ERROR), "raises ValueError");
	EXPECT("inner ValueError", "outer ValueError");
	cede_coro_unref(co);

	/* Through an object that takes it: it goes on, is done, or raises. */
	co = MAKE(awaits_awaiter_of_object, (void *)&with);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, KEY_ERROR), "yields 2");
	SAYS(do_throw(co, MARKER), "returns None");
	EXPECT("object sent None", "object thrown KeyError", "object thrown Marker", "awaiter 2");
	cede_coro_unref(co);

	co = MAKE(awaits_awaiter_of_object, (void *)&with);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, VALUE_ERROR), "raises ValueError");
	EXPECT("object sent None", "object thrown ValueError", "awaiter ValueError");
	cede_coro_unref(co);

	/* One that does not take it has it raised in its awaiter. */
	co = MAKE(awaits_awaiter_of_object, (void *)&without);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, KEY_ERROR), "raises KeyError");
	EXPECT("object sent None", "awaiter KeyError");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_29_what_the_inner_raises_goes_on_at_the_outers_await)
{
	cede_coro_t *co;

	begin();
	co = suspended_two("raises", "");
	SAYS(do_throw(co, VALUE_ERROR), "raises KeyError");
	SAYS(chain(cede_error()), "KeyError: inner's");
	EXPECT("inner ValueError", "outer KeyError");
	cede_coro_unref(co);

	co = suspended_two("raises", "returns");
	SAYS(do_throw(co, VALUE_ERROR), "returns 4");
	EXPECT("inner ValueError", "outer KeyError");
	cede_coro_unref(co);

	/* And what it returns is the value of the await. */
	co = suspended_two("returns", "");
	SAYS(do_throw(co, VALUE_ERROR), "returns None");
	EXPECT("inner ValueError", "outer got 3");
	cede_coro_unref(co);
	end();
}

static int
counts_the_chain(void)
{
	int n = 0;

	for (cede_coro_t *co = cede_coro_current(); co; co = co->awaiter) {
		SAYS(state(co), "running");
		n++;
	}
	return n;
}

static int
leaf_counts(void *arg)
{
	int r = cede_yield(V(counts_the_chain()), NULL);

	if (r == ZERO_DIVISION_ERROR)
		r = cede_yield(V(counts_the_chain()), NULL);
	return r;
}

static int
middle_of_three(void *arg)
{
	cede_coro_t *child = MAKE(leaf_counts, NULL);
	int r = cede_await_coro(child, NULL);

	cede_coro_unref(child);
	return r;
}

static int
root_of_three(void *arg)
{
	cede_coro_t *child = MAKE(middle_of_three, NULL);
	int r = cede_await_coro(child, NULL);

	cede_coro_unref(child);
	return r;
}

Test(conformance, row_30_the_chain_is_as_long_while_thrown_into)
{
	cede_coro_t *co;

	begin();
	co = MAKE(root_of_three, NULL);
	SAYS(do_send(co, NULL), "yields 3");
	SAYS(do_throw(co, ZERO_DIVISION_ERROR), "yields 3");
	SAYS(do_send(co, NULL), "returns None");
	cede_coro_unref(co);
	end();
}
