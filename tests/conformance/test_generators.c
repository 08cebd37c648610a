/*
 * Lib/test/test_generators.py as facts: FinalizationTest, GeneratorTest,
 * ExceptionTest, GeneratorCloseTest, GeneratorThrowTest, GeneratorStackTraceTest,
 * YieldFromTests. docs/conformance.md has the pairs.
 */
#include "tests/conformance/conformance.h"

#include "coro/engine.h"

TestSuite(generators, .timeout = 20);

/* sys.exception(): what is being handled here. */
static const char *
handled(void)
{
	struct cede__thread *th = cede__thread();

	return chain(cede__error_handled(th, th->current));
}

static int
yields_1(void *arg)
{
	return cede_yield(V(1), NULL);
}

/* ---- FinalizationTest, GeneratorTest ---- */

static int
returns_what_it_is_sent(void *arg)
{
	void *got = NULL;
	int r = cede_yield(V(1), &got);

	return r < 0 ? r : cede_return(got);
}

static int
delegates(void *arg)
{
	void *value = NULL;
	int r = yield_from_new(returns_what_it_is_sent, NULL, &value);

	return r < 0 ? r : cede_return(value);
}

Test(generators, what_is_sent_may_be_returned)
{
	cede_fn *const fns[] = { returns_what_it_is_sent, delegates };

	begin();
	for (int i = 0; i < 2; i++) {
		cede_gen_t *g = make_gen_at(fns[i], NULL, NULL, NULL);

		SAYS(gen_send(g, NULL), "yields 1");
		SAYS(gen_send(g, V(2)), "returns 2");
		SAYS(gen_send(g, NULL), "returns None");
		cede_gen_unref(g);
	}
	end();
}

Test(generators, names)
{
	const cede_coro_options_t options = { .name = "other" };
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(yields_1, NULL);
	SAYS(cede_gen_name(g), "yields_1");
	cr_assert_eq(cede_gen_set_name(g, "name"), 0);
	SAYS(cede_gen_name(g), "name");
	cr_assert_eq(cede_gen_set_name(g, NULL), CEDE_EINVAL);
	SAYS(cede_gen_name(g), "name");
	cede_gen_unref(g);

	g = make_gen_at(yields_1, NULL, &options, NULL);
	SAYS(cede_gen_name(g), "other");
	cede_gen_unref(g);
	end();
}

Test(generators, first_value_must_be_null)
{
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(yields_1, NULL);
	SAYS(gen_send(g, V(5)), "raises CEDE_ENOTSTARTED");
	SAYS(chain(cede_error()),
		"CEDE_ENOTSTARTED: can't send non-None value to a just-started generator");
	SAYS(gen_send(g, NULL), "yields 1");
	cede_gen_unref(g);
	end();
}

static int
yields_and_raises(void *arg)
{
	int r = cede_yield(V(1), NULL);

	return r < 0 ? r : cede_raise(VALUE_ERROR, "E");
}

Test(generators, raised_in_a_loop_over_it)
{
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(yields_and_raises, NULL);
	SAYS(gen_run(g), "raises ValueError");
	EXPECT("Yielded 1");
	SAYS(gen_run(g), "returns None"); /* exhausted, no error */
	cede_gen_unref(g);

	/* Dropped unstarted, it warns of nothing. */
	cede_gen_unref(MAKE_GEN(yields_1, NULL));
	end();
}

/* ---- ExceptionTest ---- */

static int
stores_what_is_thrown(void *arg)
{
	cede_handler_t handler;
	int r;

	SAYS(handled(), "None");
	r = cede_yield(NULL, NULL);
	cede_handler_enter(&handler, r);
	SAYS(handled(), "ValueError: E");
	cr_assert_null(cede_error_context(cede_error()));
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(cede_yield(NULL, NULL), 0);
		SAYS(handled(), "ValueError: E");
	}
	r = cede_reraise(&handler);
	cede_handler_leave(&handler);
	return r;
}

Test(generators, a_handler_lasts_over_yields)
{
	cede_gen_t *g;
	int r;

	begin();
	g = MAKE_GEN(stores_what_is_thrown, NULL);
	SAYS(gen_send(g, NULL), "yields None");
	r = cede_raise(VALUE_ERROR, "E");
	HANDLE(r)
	{
		SAYS(gen_throw_error(g, (cede_error_t *)cede_error()), "yields None");
	}
	SAYS(gen_send(g, NULL), "yields None");
	SAYS(gen_send(g, NULL), "raises ValueError");
	SAYS(chain(cede_error()), "ValueError: E");
	SAYS(handled(), "None");
	cede_gen_unref(g);
	end();
}

static int
says_handled_and_yields(void *arg)
{
	record("%s", handled());
	return cede_yield(V("done"), NULL);
}

Test(generators, the_callers_handled_error_is_seen_inside)
{
	cede_gen_t *g;
	int r;

	begin();
	g = MAKE_GEN(says_handled_and_yields, NULL);
	r = cede_raise(VALUE_ERROR, "X");
	HANDLE(r)
	{
		SAYS(gen_send(g, NULL), "yields done");
	}
	EXPECT("ValueError: X");
	SAYS(handled(), "None");
	cede_gen_unref(g);
	end();
}

/* arg: NULL, or non-NULL to raise in a handler of what is thrown in. */
static int
raises_and_catches(void *arg)
{
	int r;

	SAYS(handled(), "None");
	r = cede_yield(NULL, NULL);
	if (arg) {
		HANDLE(r)
		{
			SAYS(handled(), "ValueError: X");
			r = cede_raise(TYPE_ERROR, "F");
		}
	} else {
		r = cede_raise(TYPE_ERROR, "F");
	}
	HANDLE(r)
	{
		SAYS(handled(), "TypeError: F, while ValueError: X");
	}
	SAYS(handled(), "ValueError: X"); /* still the caller's */
	r = cede_yield(NULL, NULL);
	SAYS(handled(), "None");
	return r < 0 ? r : cede_yield(V("done"), NULL);
}

Test(generators, the_callers_handled_error_is_the_context_inside)
{
	begin();
	for (int throws = 0; throws < 2; throws++) {
		cede_gen_t *g = MAKE_GEN(raises_and_catches, throws ? "" : NULL);
		int r;

		SAYS(gen_send(g, NULL), "yields None");
		r = cede_raise(VALUE_ERROR, "X");
		HANDLE(r)
		{
			cede_error_t *x = (cede_error_t *)cede_error();

			SAYS(throws ? gen_throw_error(g, x) : gen_send(g, NULL), "yields None");
		}
		SAYS(gen_send(g, NULL), "yields done");
		SAYS(handled(), "None");
		cede_gen_unref(g);
	}
	end();
}

static int
looks_each_time(void *arg)
{
	int r = 0;

	for (int i = 0; i < 100 && r == 0; i++) {
		SAYS(handled(), "TypeError: outer's, while ValueError: caller's");
		r = cede_yield(V("doing"), NULL);
	}
	return r;
}

static int
loops_in_a_handler(void *arg)
{
	cede_gen_t *inner = MAKE_GEN(looks_each_time, NULL);
	void *value = NULL;
	int r = cede_raise(TYPE_ERROR, "outer's");

	HANDLE(r)
	{
		do {
			r = cede_gen_next(inner, &value);
			if (r > 0)
				r = cede_yield(value, NULL) == 0;
		} while (r > 0);
	}
	cede_gen_unref(inner);
	return r;
}

Test(generators, nested_handlers_in_a_loop)
{
	cede_gen_t *g;
	int r, count = 0;

	begin();
	g = MAKE_GEN(loops_in_a_handler, NULL);
	r = cede_raise(VALUE_ERROR, "caller's");
	HANDLE(r)
	{
		while (cede_gen_next(g, NULL) == 1)
			count++;
	}
	cr_assert_eq(count, 100);
	SAYS(handled(), "None");
	cede_gen_unref(g);
	end();
}

Test(generators, what_is_no_exception_is_refused)
{
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(yields_1, NULL);
	SAYS(gen_throw(g, 42), "raises EINVAL");
	SAYS(gen_throw_error(g, NULL), "raises EINVAL");
	SAYS(gen_state(g), "created");
	SAYS(gen_send(g, NULL), "yields 1");
	SAYS(gen_throw(g, 0), "raises EINVAL");
	SAYS(gen_send(g, NULL), "returns None");
	cede_gen_unref(g);
	end();
}

/* arg: NULL to do it at once. */
static int
raises_stop(void *arg)
{
	int r = arg ? cede_yield(V(1), NULL) : 0;

	return r < 0 ? r : cede_raise(CEDE_STOP, "raised");
}

Test(generators, the_end_of_iteration_must_not_leave_a_body)
{
	begin();
	for (int yields = 0; yields < 2; yields++) {
		cede_gen_t *g = MAKE_GEN(raises_stop, yields ? "" : NULL);

		if (yields)
			SAYS(gen_send(g, NULL), "yields 1");
		SAYS(gen_send(g, NULL), "raises CEDE_ESTOPITER");
		SAYS(chain(cede_error()),
			"CEDE_ESTOPITER: generator raised StopIteration, "
			"while CEDE_STOP: raised");
		SAYS(gen_send(g, NULL), "returns None");
		cede_gen_unref(g);
	}
	end();
}

Test(generators, what_is_returned_is_not_looked_at)
{
	cede_error_t *stop;
	cede_gen_t *g;
	void *value = NULL;

	begin();
	stop = cede_error_create(CEDE_STOP, "2", NULL, NULL);
	g = MAKE_GEN(returns_what_it_is_sent, NULL);
	SAYS(gen_send(g, NULL), "yields 1");
	cr_assert_eq(cede_gen_send(g, stop, &value), 0);
	cr_assert_eq(value, (void *)stop);
	cede_gen_unref(g);
	cede_error_unref(stop);
	end();
}

/* ---- GeneratorCloseTest ---- */

/* arg: what it does about a close. */
static int
closes(void *arg)
{
	const char *what = arg;
	int r = cede_yield(NULL, NULL);

	if (r == CEDE_EXIT && !strcmp(what, "returns"))
		return cede_return(V(7));
	if (r == CEDE_EXIT && !strcmp(what, "raises"))
		return cede_raise(RUNTIME_ERROR, "E");
	return r < 0 ? r : cede_return(V(8));
}

Test(generators, closes)
{
	static const char *const cases[][2] = {
		{ "", "returns None" },
		{ "returns", "returns 7" },
		{ "raises", "raises RuntimeError" },
	};
	cede_gen_t *g;

	begin();
	for (int i = 0; i < 3; i++) {
		g = MAKE_GEN(closes, cases[i][0]);
		SAYS(gen_send(g, NULL), "yields None");
		SAYS(gen_close(g), cases[i][1]);
		SAYS(gen_close(g), "returns None");
		SAYS(gen_state(g), "closed");
		cede_gen_unref(g);
	}

	g = MAKE_GEN(closes, "returns");
	SAYS(gen_close(g), "returns None"); /* not started */
	SAYS(gen_send(g, NULL), "returns None");
	cede_gen_unref(g);

	g = MAKE_GEN(closes, "returns");
	SAYS(gen_send(g, NULL), "yields None");
	SAYS(gen_send(g, NULL), "returns 8");
	SAYS(gen_close(g), "returns None"); /* exhausted */
	SAYS(gen_throw(g, VALUE_ERROR), "raises ValueError");
	SAYS(gen_throw(g, CEDE_EXIT), "raises CEDE_EXIT");
	cede_gen_unref(g);
	end();
}

static int
has_a_frame(void *arg)
{
	FRAME("frame gone");

	return cede_yield(NULL, NULL);
}

Test(generators, the_frame_goes_before_the_close_returns)
{
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(has_a_frame, NULL);
	SAYS(gen_send(g, NULL), "yields None");
	SAYS(gen_close(g), "returns None");
	EXPECT("frame gone");
	cede_gen_unref(g);
	end();
}

/* ---- GeneratorThrowTest ---- */

/* arg: where the throw arrives. */
static int
suspended_in_a_handler(void *arg)
{
	const char *where = arg;
	int r = cede_raise(KEY_ERROR, "a");

	HANDLE(r)
	{
		if (!strcmp(where, "delegating"))
			return yield_from_new(yields_1, NULL, NULL);
		r = cede_yield(V(1), NULL);
		if (!strcmp(where, "inside")) {
			SAYS(chain(cede_error()), "ValueError, while KeyError: a");
			HANDLE(r)
			{
				SAYS(handled(), "ValueError, while KeyError: a");
				r = cede_yield(V("b"), NULL);
			}
		}
	}
	return r;
}

Test(generators, thrown_into_a_handler)
{
	static const char *const cases[] = { "", "delegating" };
	cede_gen_t *g;

	begin();
	for (int i = 0; i < 2; i++) {
		g = MAKE_GEN(suspended_in_a_handler, cases[i]);
		SAYS(gen_send(g, NULL), "yields 1");
		SAYS(gen_throw(g, VALUE_ERROR), "raises ValueError");
		SAYS(chain(cede_error()), "ValueError, while KeyError: a");
		cede_gen_unref(g);
	}
	g = MAKE_GEN(suspended_in_a_handler, "inside");
	SAYS(gen_send(g, NULL), "yields 1");
	SAYS(gen_throw(g, VALUE_ERROR), "yields b");
	SAYS(gen_send(g, NULL), "returns None");
	cede_gen_unref(g);
	end();
}

static int
delegates_in_a_handler_of_arg(void *arg)
{
	int r = cede_raise_error(arg);

	HANDLE(r)
	{
		r = yield_from_new(yields_1, NULL, NULL);
		HANDLE(r)
		{
			cr_assert_eq(cede_error(), (cede_error_t *)arg);
			cr_assert_null(cede_error_context(cede_error()));
			record("no cycle");
		}
	}
	return cede_yield(V(2), NULL);
}

Test(generators, thrown_into_a_handler_of_itself)
{
	cede_error_t *error;
	cede_gen_t *g;

	begin();
	error = cede_error_create(KEY_ERROR, "a", NULL, NULL);
	g = MAKE_GEN(delegates_in_a_handler_of_arg, error);
	SAYS(gen_send(g, NULL), "yields 1");
	SAYS(gen_throw_error(g, error), "yields 2");
	EXPECT("no cycle");
	cede_gen_unref(g);
	cede_error_unref(error);
	end();
}

static int
raises_after_a_handler(void *arg)
{
	int r = cede_raise(KEY_ERROR, "over");

	HANDLE(r)
	{
	}
	r = cede_yield(NULL, NULL);
	HANDLE(r)
	{
		return cede_raise(RUNTIME_ERROR, "F");
	}
	return r;
}

Test(generators, thrown_in_after_a_handler)
{
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(raises_after_a_handler, NULL);
	SAYS(gen_send(g, NULL), "yields None");
	SAYS(gen_throw(g, VALUE_ERROR), "raises RuntimeError");
	SAYS(chain(cede_error()), "RuntimeError: F, while ValueError");
	cede_gen_unref(g);
	end();
}

/* ---- GeneratorStackTraceTest, YieldFromTests ---- */

static void
record_stack(void)
{
	char names[64] = "";

	for (cede_coro_t *co = cede_coro_current(); co; co = co->awaiter) {
		strcat(names, " ");
		strcat(names, cede_coro_name(co));
	}
	record("stack:%s", names);
}

static int
f(void *arg)
{
	record_stack();
	(void)(cede_yield(NULL, NULL) == 0);
	record_stack();
	return 0;
}

static int
g_of_f(void *arg)
{
	cede_gen_t *inner = MAKE_GEN(f, NULL);
	int r;

	record_stack();
	r = cede_yield_from(inner, NULL);
	record_stack();
	cede_gen_unref(inner);
	return r;
}

Test(generators, the_stack_is_whole_in_a_send_and_in_a_throw)
{
	begin();
	for (int throws = 0; throws < 2; throws++) {
		cede_gen_t *g = make_gen_at(g_of_f, NULL, NULL, CEDE_SITE("g"));

		SAYS(gen_send(g, NULL), "yields None");
		SAYS(throws ? gen_throw(g, RUNTIME_ERROR) : gen_send(g, NULL), "returns None");
		EXPECT("stack: g", "stack: f g", "stack: f g", "stack: g");
		cede_gen_unref(g);
	}
	end();
}

static cede_gen_t *me;

static int
a(void *arg)
{
	int r;

	SAYS(gen_state(me), "running");
	cr_assert_null(cede_gen_delegating(me));
	r = cede_yield(NULL, NULL);
	SAYS(gen_state(me), "running");
	cr_assert_null(cede_gen_delegating(me));
	return r;
}

static int
b(void *arg)
{
	int r;

	cr_assert_null(cede_gen_delegating(me));
	r = yield_from_new(a, NULL, NULL);
	cr_assert_null(cede_gen_delegating(me));
	if (r == 0)
		r = cede_yield(NULL, NULL);
	return r;
}

Test(generators, whom_it_delegates_to_is_seen_while_it_is_suspended)
{
	begin();
	me = MAKE_GEN(b, NULL);
	SAYS(gen_state(me), "created");
	cr_assert_null(cede_gen_delegating(me));
	SAYS(gen_send(me, NULL), "yields None");
	SAYS(gen_state(me), "suspended");
	cr_assert_not_null(cede_gen_delegating(me));
	SAYS(gen_send(me, NULL), "yields None");
	SAYS(gen_state(me), "suspended");
	cr_assert_null(cede_gen_delegating(me));
	SAYS(gen_run(me), "returns None");
	SAYS(gen_state(me), "closed");
	cr_assert_null(cede_gen_delegating(me));
	cede_gen_unref(me);
	end();
}
