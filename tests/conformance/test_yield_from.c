/*
 * Lib/test/test_yield_from.py, TestPEP380Operation, as facts: what happens, in
 * what order, when a generator delegates. docs/conformance.md has the pairs.
 */
#include "tests/conformance/conformance.h"

#include "coro/coro_int.h"

TestSuite(yield_from, .timeout = 20);

static int
yield_text(const char *text)
{
	return cede_yield(V(text), NULL);
}

/* ---- next ---- */

static int
g2_42(void *arg)
{
	int r;

	record("Starting g2");
	r = cede_yield(V(42), NULL);
	if (r == 0)
		record("Finishing g2");
	return r;
}

static int
g1_of_arg(void *arg)
{
	cede_gen_t *inner = arg;
	int r;

	record("Starting g1");
	r = cede_yield_from(inner, NULL);
	if (r == 0)
		record("Finishing g1");
	return r;
}

Test(yield_from, first_next_goes_to_the_inner)
{
	cede_gen_t *inner, *g;

	begin();
	inner = MAKE_GEN(g2_42, NULL);
	g = MAKE_GEN(g1_of_arg, inner);
	SAYS(gen_run(g), "returns None");
	EXPECT("Starting g1", "Starting g2", "Yielded 42", "Finishing g2", "Finishing g1");
	cede_gen_unref(g);
	cede_gen_unref(inner);
	end();
}

static int
g2_raises_at_once(void *arg)
{
	int r;

	record("Starting g2");
	r = cede_raise(VALUE_ERROR, "spanish inquisition occurred");
	record("Finishing g2");
	return r;
}

static int
g1_finally(void *arg)
{
	int r;

	record("Starting g1");
	r = yield_from_new(*(cede_fn **)arg, NULL, NULL);
	record("Finishing g1");
	return r;
}

Test(yield_from, raised_at_the_first_next)
{
	cede_fn *inner = g2_raises_at_once;
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(g1_finally, &inner);
	SAYS(gen_run(g), "raises ValueError");
	SAYS(chain(cede_error()), "ValueError: spanish inquisition occurred");
	EXPECT("Starting g1", "Starting g2", "Finishing g2", "Finishing g1");
	cede_gen_unref(g);
	end();
}

/* arg: what g2 does after "g2 spam". */
static int
g2(void *arg)
{
	const char *what = arg;
	void *got = NULL;
	int r;

	record("Starting g2");
	r = cede_yield(V("g2 spam"), &got);
	if (r == 0 && got)
		record("g2 received %s", value_text(got));
	if (r == 0 && !strcmp(what, "raises"))
		r = cede_raise(VALUE_ERROR, "hovercraft is full of eels");
	if (r == 0) {
		r = cede_yield(V("g2 more spam"), &got);
		if (r == 0 && got)
			record("g2 received %s", value_text(got));
	}
	if (!strcmp(what, "raises in finally")) {
		record("Finishing g2");
		HANDLE(r)
		{
			return cede_raise(VALUE_ERROR, "nybbles have exploded with delight");
		}
	}
	if (r == MARKER && !strcmp(what, "saves lunch")) {
		record("Caught LunchError in g2");
		r = yield_text("g2 lunch saved");
		if (r == 0)
			r = yield_text("g2 yet more spam");
	}
	if (strcmp(what, "saves lunch"))
		record("Finishing g2");
	return r;
}

static int
g1(void *arg)
{
	void *got = NULL;
	int r;

	record("Starting g1");
	r = cede_yield(V("g1 ham"), &got);
	if (r == 0 && got)
		record("g1 received %s", value_text(got));
	if (r == 0)
		r = yield_from_new(g2, arg, NULL);
	if (r == 0) {
		r = cede_yield(V("g1 eggs"), &got);
		if (r == 0 && got)
			record("g1 received %s", value_text(got));
	}
	record("Finishing g1");
	return r;
}

Test(yield_from, next_goes_to_the_inner)
{
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(g1, "");
	SAYS(gen_run(g), "returns None");
	EXPECT("Starting g1", "Yielded g1 ham", "Starting g2", "Yielded g2 spam",
		"Yielded g2 more spam", "Finishing g2", "Yielded g1 eggs", "Finishing g1");
	cede_gen_unref(g);
	end();
}

Test(yield_from, raised_at_a_later_next)
{
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(g1, "raises");
	SAYS(gen_run(g), "raises ValueError");
	SAYS(chain(cede_error()), "ValueError: hovercraft is full of eels");
	EXPECT("Starting g1", "Yielded g1 ham", "Starting g2", "Yielded g2 spam", "Finishing g2",
		"Finishing g1");
	cede_gen_unref(g);
	end();
}

/* ---- send ---- */

static const char *
sends_1_2_3(cede_gen_t *g)
{
	void *value = NULL;
	int r = cede_gen_next(g, &value);

	for (int i = 1; r > 0; i++) {
		r = cede_gen_send(g, V(i), &value);
		if (r > 0)
			record("Yielded %s", value_text(value));
	}
	return outcome(r, value);
}

Test(yield_from, send_goes_to_the_inner)
{
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(g1, "");
	SAYS(sends_1_2_3(g), "returns None");
	EXPECT("Starting g1", "g1 received 1", "Starting g2", "Yielded g2 spam", "g2 received 2",
		"Yielded g2 more spam", "g2 received 3", "Finishing g2", "Yielded g1 eggs",
		"g1 received 4", "Finishing g1");
	cede_gen_unref(g);
	end();
}

Test(yield_from, raised_at_a_send)
{
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(g1, "raises");
	SAYS(sends_1_2_3(g), "raises ValueError");
	EXPECT("Starting g1", "g1 received 1", "Starting g2", "Yielded g2 spam", "g2 received 2",
		"Finishing g2", "Finishing g1");
	cede_gen_unref(g);
	end();
}

/* ---- close, throw ---- */

static cede_gen_t *
g1_at_g2_spam(const char *what)
{
	cede_gen_t *g = MAKE_GEN(g1, what);

	SAYS(gen_send(g, NULL), "yields g1 ham");
	SAYS(gen_send(g, NULL), "yields g2 spam");
	EXPECT("Starting g1", "Starting g2");
	return g;
}

Test(yield_from, close_goes_to_the_inner_first)
{
	cede_gen_t *g;

	begin();
	g = g1_at_g2_spam("");
	SAYS(gen_close(g), "returns None");
	EXPECT("Finishing g2", "Finishing g1");
	cede_gen_unref(g);
	end();
}

Test(yield_from, what_the_inner_raises_in_a_close_leaves_it)
{
	cede_gen_t *g;

	begin();
	g = g1_at_g2_spam("raises in finally");
	SAYS(gen_close(g), "raises ValueError");
	SAYS(chain(cede_error()),
		"ValueError: nybbles have exploded with delight, while CEDE_EXIT: GeneratorExit");
	EXPECT("Finishing g2", "Finishing g1");
	cede_gen_unref(g);
	end();
}

Test(yield_from, throw_goes_to_the_inner)
{
	cede_error_t *e;
	cede_gen_t *g;

	begin();
	e = cede_error_create(VALUE_ERROR, "tomato ejected", NULL, NULL);
	g = g1_at_g2_spam("");
	SAYS(gen_throw_error(g, e), "raises ValueError");
	cr_assert_eq(cede_error(), e);
	EXPECT("Finishing g2", "Finishing g1");
	cede_error_unref(e);
	cede_gen_unref(g);
	end();
}

Test(yield_from, what_the_inner_yields_after_a_throw_comes_back)
{
	cede_gen_t *g;

	begin();
	g = g1_at_g2_spam("saves lunch");
	SAYS(gen_throw(g, MARKER), "yields g2 lunch saved");
	SAYS(gen_run(g), "returns None");
	EXPECT("Caught LunchError in g2", "Yielded g2 yet more spam", "Yielded g1 eggs",
		"Finishing g1");
	cede_gen_unref(g);
	end();
}

/* ---- values ---- */

static int
returns_arg_after_two(void *arg)
{
	int r;

	record("Starting g2");
	r = yield_text("g2 spam");
	if (r == 0)
		r = yield_text("g2 more spam");
	record("Finishing g2");
	return r < 0 ? r : cede_return(arg);
}

static int
gathers_values(void *arg)
{
	const void *const values[] = { NULL, V(1), arg };

	for (int i = 0; i < 3; i++) {
		void *value = V(404);
		int r = yield_from_new(returns_arg_after_two, values[i], &value);

		if (r < 0)
			return r;
		if (i < 2)
			record("g2 returned %s", value_text(value));
		else
			record("g2 returned %s", value == arg ? "the object" : "another");
	}
	return 0;
}

Test(yield_from, what_the_inner_returns_is_the_value)
{
	cede_error_t *stop;
	cede_gen_t *g;

	begin();
	stop = cede_error_create(CEDE_STOP, "3", NULL, NULL);
	g = MAKE_GEN(gathers_values, stop);
	SAYS(gen_run(g), "returns None");
	EXPECT("Starting g2", "Yielded g2 spam", "Yielded g2 more spam", "Finishing g2",
		"g2 returned None", "Starting g2", "Yielded g2 spam", "Yielded g2 more spam",
		"Finishing g2", "g2 returned 1", "Starting g2", "Yielded g2 spam",
		"Yielded g2 more spam", "Finishing g2", "g2 returned the object");
	cede_error_unref(stop);
	cede_gen_unref(g);
	end();
}

static int
drops_the_value(void *arg)
{
	const cede_coro_options_t options = { .value_dtor = record_value };
	cede_gen_t *inner = make_gen_at(returns_arg_after_two, V(42), &options, NULL);
	int r = cede_yield_from(inner, NULL);

	cede_gen_unref(inner);
	return r;
}

Test(yield_from, a_value_that_nobody_takes_is_released)
{
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(drops_the_value, NULL);
	SAYS(gen_run(g), "returns None");
	EXPECT("Starting g2", "Yielded g2 spam", "Yielded g2 more spam", "Finishing g2",
		"value 42 released");
	cede_gen_unref(g);
	end();
}

static int
yields_and_returns_arg(void *arg)
{
	void *got = NULL;
	int r;

	record("g starting");
	r = cede_yield(NULL, &got);
	record("g received %s", value_text(got));
	return r < 0 ? r : cede_return(arg);
}

Test(yield_from, next_and_send_hand_on_what_is_returned)
{
	cede_error_t *stop;
	cede_gen_t *g;
	void *value = NULL;

	begin();
	stop = cede_error_create(CEDE_STOP, "3", NULL, NULL);
	for (int sends = 0; sends < 2; sends++) {
		void *const values[] = { NULL, V(1), stop };
		const char *spam = sends ? "spam" : NULL;

		for (int i = 0; i < 3; i++) {
			g = MAKE_GEN(yields_and_returns_arg, values[i]);
			SAYS(gen_send(g, NULL), "yields None");
			cr_assert_eq(cede_gen_send(g, V(spam), &value), 0);
			cr_assert_eq(value, values[i]);
			EXPECT("g starting", sends ? "g received spam" : "g received None");
			SAYS(gen_send(g, NULL), "returns None");
			cede_gen_unref(g);
		}
	}
	cede_error_unref(stop);
	end();
}

static int
catches_and_returns_arg(void *arg)
{
	int r = cede_yield(V(1), NULL);

	if (r == VALUE_ERROR)
		record("inner caught ValueError");
	return r < 0 && r != VALUE_ERROR ? r : cede_return(arg);
}

static int
yields_what_it_got(void *arg)
{
	void *value = NULL;
	int r = yield_from_new(catches_and_returns_arg, arg, &value);

	if (r == 0)
		r = cede_yield(value, NULL);
	return r;
}

Test(yield_from, the_inner_catches_what_was_thrown_and_returns)
{
	cede_error_t *stop;
	cede_gen_t *g;
	void *value = NULL;

	begin();
	stop = cede_error_create(CEDE_STOP, "2", NULL, NULL);
	for (int i = 0; i < 2; i++) {
		g = MAKE_GEN(yields_what_it_got, i ? V(stop) : V(2));
		SAYS(gen_send(g, NULL), "yields 1");
		cr_assert_eq(cede_gen_throw(g, VALUE_ERROR, &value), 1);
		cr_assert_eq(value, i ? V(stop) : V(2));
		EXPECT("inner caught ValueError");
		cede_gen_unref(g);
	}
	cede_error_unref(stop);
	end();
}

/* ---- objects that are no generators ---- */

struct range {
	int next, end;
};

static int
range_send(void *object, void *value, void **ret_value)
{
	struct range *range = object;

	if (value)
		return cede_raise(TYPE_ERROR, "it takes no values");
	*ret_value = range->next < range->end ? V(range->next) : NULL;
	return range->next++ < range->end;
}

static const cede_awaitable_t range_vtable = { .send = range_send };

static int
g_of_range(void *arg)
{
	struct range range = { 1, (int)(intptr_t)arg + 1 };
	int r;

	record("starting g");
	r = cede_await_object(&range_vtable, &range, NULL);
	if (r == 0)
		record("all of it");
	record("finishing g");
	return r;
}

Test(yield_from, an_object_that_only_takes_next)
{
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(g_of_range, V(3));
	SAYS(gen_run(g), "returns None");
	EXPECT("starting g", "Yielded 1", "Yielded 2", "Yielded 3", "all of it", "finishing g");
	cede_gen_unref(g);

	/* Empty. */
	g = MAKE_GEN(g_of_range, V(0));
	SAYS(gen_run(g), "returns None");
	EXPECT("starting g", "all of it", "finishing g");
	cede_gen_unref(g);
	end();
}

Test(yield_from, an_object_that_takes_no_values_no_throw_and_no_close)
{
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(g_of_range, V(3));
	SAYS(gen_send(g, NULL), "yields 1");
	SAYS(gen_close(g), "returns None");
	EXPECT("starting g", "finishing g");
	cede_gen_unref(g);

	g = MAKE_GEN(g_of_range, V(9));
	SAYS(gen_send(g, NULL), "yields 1");
	SAYS(gen_send(g, NULL), "yields 2");
	SAYS(gen_throw(g, VALUE_ERROR), "raises ValueError");
	EXPECT("starting g", "finishing g");
	cede_gen_unref(g);

	g = MAKE_GEN(g_of_range, V(3));
	SAYS(gen_send(g, NULL), "yields 1");
	SAYS(gen_send(g, V(42)), "raises TypeError");
	SAYS(chain(cede_error()), "TypeError: it takes no values");
	EXPECT("starting g", "finishing g");
	cede_gen_unref(g);
	end();
}

static int
done_at_once(void *object, void *value, void **ret_value)
{
	*ret_value = V(42);
	return 0;
}

static int
takes_all(void *object, void *value, void **ret_value)
{
	record("object got %s", value_text(value));
	*ret_value = NULL;
	return 1;
}

static int
g_of_object(void *arg)
{
	const cede_awaitable_t vtable = { .send = *(int (**)(void *, void *, void **))arg };
	void *value = NULL;
	int r = cede_await_object(&vtable, NULL, &value);

	record("object %s", outcome(r, value));
	return r;
}

Test(yield_from, an_objects_return_and_the_values_it_is_sent)
{
	int (*send)(void *, void *, void **) = done_at_once;
	cede_gen_t *g;

	begin();
	g = MAKE_GEN(g_of_object, &send);
	SAYS(gen_run(g), "returns None");
	EXPECT("object returns 42");
	cede_gen_unref(g);

	send = takes_all;
	g = MAKE_GEN(g_of_object, &send);
	SAYS(gen_send(g, NULL), "yields None");
	SAYS(gen_send(g, "1, 2, 3, 4"), "yields None");
	EXPECT("object got None", "object got 1, 2, 3, 4");
	SAYS(gen_close(g), "returns None");
	EXPECT("object raises CEDE_EXIT");
	cede_gen_unref(g);
	end();
}

/* ---- loops ---- */

static cede_gen_t *me;

static int
g2_delegates_to_me(void *arg)
{
	int r;

	record("g2: starting");
	r = yield_text("y2");
	record("g2: about to yield from g1");
	if (r == 0)
		r = cede_yield_from(me, NULL);
	return r;
}

static int
g1_of_a_loop(void *arg)
{
	int r;

	record("g1: starting");
	r = yield_text("y1");
	record("g1: about to yield from g2");
	if (r == 0)
		r = yield_from_new(g2_delegates_to_me, NULL, NULL);
	return r;
}

Test(yield_from, a_loop_is_refused)
{
	begin();
	me = MAKE_GEN(g1_of_a_loop, NULL);
	SAYS(gen_run(me), "raises CEDE_ERUNNING");
	SAYS(chain(cede_error()), "CEDE_ERUNNING: generator already executing");
	EXPECT("g1: starting", "Yielded y1", "g1: about to yield from g2", "g2: starting",
		"Yielded y2", "g2: about to yield from g1");
	cede_gen_unref(me);
	end();
}

static int
two_yields(void *arg)
{
	int r = cede_yield(V(1), NULL);

	if (r < 0 && r != MARKER)
		return r;
	r = cede_yield_from(me, NULL);
	record("two: %s", outcome(r, NULL));
	r = cede_yield(V(2), NULL);
	return r == MARKER ? 0 : r;
}

static int
one_yields(void *arg)
{
	int r = cede_yield(V(10), NULL);

	if (r < 0 && r != MARKER)
		return r;
	r = yield_from_new(two_yields, NULL, NULL);
	if (r < 0)
		return r;
	r = cede_yield(V(3), NULL);
	return r == MARKER ? 0 : r;
}

Test(yield_from, who_delegates_counts_as_executing)
{
	begin();
	me = MAKE_GEN(one_yields, NULL);
	SAYS(gen_run(me), "returns None");
	EXPECT("Yielded 10", "Yielded 1", "two: raises CEDE_ERUNNING", "Yielded 2", "Yielded 3");
	cede_gen_unref(me);

	me = MAKE_GEN(one_yields, NULL);
	SAYS(gen_send(me, NULL), "yields 10");
	SAYS(gen_send(me, V(42)), "yields 1");
	SAYS(gen_send(me, V(42)), "yields 2");
	SAYS(gen_send(me, V(42)), "yields 3");
	SAYS(gen_send(me, V(42)), "returns None");
	EXPECT("two: raises CEDE_ERUNNING");
	cede_gen_unref(me);

	me = MAKE_GEN(one_yields, NULL);
	SAYS(gen_send(me, NULL), "yields 10");
	SAYS(gen_throw(me, MARKER), "yields 1");
	SAYS(gen_throw(me, MARKER), "yields 2");
	SAYS(gen_throw(me, MARKER), "yields 3");
	SAYS(gen_throw(me, MARKER), "returns None");
	EXPECT("two: raises CEDE_ERUNNING");
	cede_gen_unref(me);
	end();
}

static int
close_looks(void *object)
{
	SAYS(gen_state(me), "running");
	SAYS(gen_send(me, NULL), "raises CEDE_ERUNNING");
	record("closed");
	return 0;
}

static int
g_of_an_object_that_looks(void *arg)
{
	const cede_awaitable_t vtable = { .send = takes_all, .close = close_looks };

	return cede_await_object(&vtable, NULL, NULL);
}

Test(yield_from, who_delegates_counts_as_executing_in_a_close)
{
	begin();
	me = MAKE_GEN(g_of_an_object_that_looks, NULL);
	SAYS(gen_send(me, NULL), "yields None");
	SAYS(gen_close(me), "returns None");
	EXPECT("object got None", "closed");
	cede_gen_unref(me);
	end();
}

/* ---- what a debugger sees ---- */

static int
yields_its_stack(void *arg)
{
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++) {
		char names[64] = "";

		for (cede_coro_t *co = cede_coro_current(); co; co = co->awaiter) {
			strcat(names, " ");
			strcat(names, cede_coro_name(co));
		}
		record("stack:%s", names);
		r = cede_yield(NULL, NULL);
	}
	return r;
}

static int
delegates_to_arg(void *arg)
{
	return cede_yield_from(arg, NULL);
}

Test(yield_from, the_chain_is_visible)
{
	const cede_coro_options_t named[] = { { .name = "gen" }, { .name = "eggs" },
		{ .name = "spam" } };
	cede_gen_t *gen, *eggs, *spam;

	begin();
	gen = make_gen_at(yields_its_stack, NULL, &named[0], NULL);
	eggs = make_gen_at(delegates_to_arg, gen, &named[1], NULL);
	spam = make_gen_at(delegates_to_arg, eggs, &named[2], NULL);
	SAYS(gen_send(spam, NULL), "yields None");
	cr_assert_eq(cede_gen_delegating(spam), eggs);
	cr_assert_eq(cede_gen_delegating(eggs), gen);
	cr_assert_null(cede_gen_delegating(gen));
	SAYS(gen_send(spam, NULL), "yields None");
	SAYS(gen_throw(spam, VALUE_ERROR), "raises ValueError");
	EXPECT("stack: gen eggs spam", "stack: gen eggs spam");
	cede_gen_unref(spam);
	cede_gen_unref(eggs);
	cede_gen_unref(gen);
	end();
}

/* ---- dropping ---- */

static int
innermost(void *arg)
{
	int r = cede_yield(NULL, NULL);

	record("innermost %s", outcome(r, NULL));
	return r;
}

static int
inner_keeps_outer(void *arg)
{
	void *outer = NULL;
	int r = cede_yield(NULL, &outer);

	if (r == 0)
		r = yield_from_new(innermost, NULL, NULL);
	record("inner %s", outcome(r, NULL));
	return r;
}

static int
outer_takes_inner(void *arg)
{
	void *inner = NULL;
	int r = cede_yield(NULL, &inner);

	if (r == 0)
		r = cede_yield_from(inner, NULL);
	record("outer %s", outcome(r, NULL));
	return r;
}

Test(yield_from, a_chain_is_dropped_from_either_end)
{
	for (int inner_first = 0; inner_first < 2; inner_first++) {
		cede_gen_t *inner, *outer;

		begin();
		inner = MAKE_GEN(inner_keeps_outer, NULL);
		outer = MAKE_GEN(outer_takes_inner, NULL);
		SAYS(gen_send(outer, NULL), "yields None");
		SAYS(gen_send(outer, inner), "yields None");
		cr_assert_eq(cede_gen_delegating(outer), inner);
		SAYS(gen_send(outer, V("outer")), "yields None");
		cede_gen_unref(inner_first ? inner : outer);
		if (inner_first)
			EXPECT_NOTHING(); /* the outer one holds it */
		cede_gen_unref(inner_first ? outer : inner);
		EXPECT("innermost raises CEDE_EXIT", "inner raises CEDE_EXIT",
			"outer raises CEDE_EXIT");
		end();
	}
}

/* ---- GeneratorExit thrown in ---- */

static int
f_catches_exit(void *arg)
{
	const char *what = arg;
	int r;

	record("Enter f");
	r = cede_yield(NULL, NULL);
	if (r == 0)
		record("Exit f");
	if (r != CEDE_EXIT)
		return r;
	if (!strcmp(what, "returns"))
		return 0;
	if (!strcmp(what, "yields"))
		return cede_yield(NULL, NULL);
	HANDLE(r)
	{
		return cede_raise(VALUE_ERROR, "Vorpal bunny encountered");
	}
	return r;
}

static int
g_of_f(void *arg)
{
	int r;

	record("Enter g");
	r = yield_from_new(f_catches_exit, arg, NULL);
	if (r == 0)
		record("Exit g");
	return r;
}

Test(yield_from, generator_exit_thrown_into_one_that_returns_yields_or_raises)
{
	static const char *const cases[][3] = {
		{ "returns", "raises CEDE_EXIT", "None" },
		{ "yields", "raises CEDE_EIGNORED",
			"CEDE_EIGNORED: generator ignored GeneratorExit" },
		{ "raises", "raises ValueError",
			"ValueError: Vorpal bunny encountered, while CEDE_EXIT: GeneratorExit" },
	};

	begin();
	for (int i = 0; i < 3; i++) {
		cede_gen_t *g = MAKE_GEN(g_of_f, cases[i][0]);

		SAYS(gen_send(g, NULL), "yields None");
		SAYS(gen_throw(g, CEDE_EXIT), cases[i][1]);
		SAYS(chain(cede_error()), cases[i][2]);
		EXPECT("Enter g", "Enter f");
		cede_gen_unref(g);
	}
	end();
}
