/* Rows 31 to 44 of docs/semantics.md: close. */
#include "tests/conformance/conformance.h"

TestSuite(conformance, .timeout = 20);

/* arg: what it does when it is being closed. */
static int
body(void *arg)
{
	const char *what = arg;
	int r = cede_yield(V(1), NULL);

	record("body %s", r ? code_text(r) : "went on");
	if (!strcmp(what, "returns") && r == CEDE_EXIT)
		return cede_return(V(7));
	if (!strcmp(what, "raises") && r < 0) {
		HANDLE(r)
		{
			return cede_raise(VALUE_ERROR, "nybbles have exploded with delight");
		}
	}
	if (!strcmp(what, "raises its own exit") && r < 0) {
		HANDLE(r)
		{
			return cede_raise(CEDE_EXIT, "mine");
		}
	}
	if (!strcmp(what, "raises stop") && r < 0) {
		HANDLE(r)
		{
			return cede_raise(CEDE_STOP, "no more");
		}
	}
	if (!strcmp(what, "yields once") && r < 0) {
		r = cede_yield(V(2), NULL);
		record("body %s again", r ? code_text(r) : "went on");
	}
	if (!strcmp(what, "finally yields") && r < 0) {
		int now = cede_yield(V(2), NULL);

		record("finally %s", now ? code_text(now) : "went on");
	}
	return r;
}

static cede_coro_t *
suspended(const char *what)
{
	cede_coro_t *co = MAKE(body, what);

	SAYS(do_send(co, NULL), "yields 1");
	return co;
}

Test(conformance, row_31_close_of_an_unstarted_one)
{
	const cede_coro_options_t options = { .name = "body", .arg_dtor = record_arg };
	cede_coro_t *co;

	begin();
	co = make_at(body, "x", &options, NULL);
	SAYS(do_close(co), "returns None");
	EXPECT("argument x released");
	SAYS(state(co), "closed");
	cr_assert_eq(cede_coro_stack_used(co), 0);
	SAYS(do_send(co, NULL), "raises CEDE_EREUSED");
	cede_coro_unref(co); /* no warning, and the argument goes once */
	end();
}

Test(conformance, row_32_close_of_one_that_does_not_catch_it)
{
	cede_coro_t *co;

	begin();
	co = suspended("");
	SAYS(do_close(co), "returns None");
	EXPECT("body CEDE_EXIT");
	SAYS(state(co), "closed");
	cr_assert_null(cede_error());
	cede_coro_unref(co);
	end();
}

Test(conformance, row_33_close_hands_on_what_the_body_returns)
{
	const cede_coro_options_t options = { .name = "body", .value_dtor = record_value };
	cede_coro_t *co;

	begin();
	co = suspended("returns");
	SAYS(do_close(co), "returns 7");
	EXPECT("body CEDE_EXIT");
	cede_coro_unref(co);

	/* To nobody: the value is released. */
	co = make_at(body, "returns", &options, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	cr_assert_eq(cede_coro_close(co, NULL), 0);
	EXPECT("body CEDE_EXIT", "value 7 released");
	cede_coro_unref(co);
	end();
}

static int
catches_all_but_cancels(void *arg)
{
	int r;

	do {
		r = cede_yield(V(1), NULL);
		record("%s", r ? code_text(r) : "went on");
	} while (r == 0 || !cede_is_cancel(r)); /* except Exception: continue */
	return r;
}

Test(conformance, row_34_generator_exit_is_no_ordinary_error)
{
	cede_coro_t *co;

	begin();
	co = MAKE(catches_all_but_cancels, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, VALUE_ERROR), "yields 1");
	SAYS(do_throw(co, CEDE_ETIMEDOUT), "yields 1");
	SAYS(do_close(co), "returns None");
	EXPECT("ValueError", "ETIMEDOUT", "CEDE_EXIT");
	cede_coro_unref(co);

	cr_assert(cede_is_cancel(CEDE_EXIT));
	cr_assert_not(cede_is_cancel(CEDE_EIGNORED));
	cr_assert_not(cede_is_cancel(VALUE_ERROR));
	cr_assert_not(cede_is_cancel(0));
	end();
}

Test(conformance, row_35_another_error_leaves_the_close)
{
	cede_coro_t *co;

	begin();
	co = suspended("raises");
	SAYS(do_close(co), "raises ValueError");
	SAYS(chain(cede_error()),
		"ValueError: nybbles have exploded with delight, while CEDE_EXIT: GeneratorExit");
	EXPECT("body CEDE_EXIT");
	SAYS(state(co), "closed");
	SAYS(do_close(co), "returns None");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_36_a_generator_exit_of_its_own_is_swallowed)
{
	cede_coro_t *co;

	begin();
	co = suspended("raises its own exit");
	SAYS(do_close(co), "returns None");
	EXPECT("body CEDE_EXIT");
	cr_assert_null(cede_error());
	SAYS(state(co), "closed");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_37_the_end_of_iteration_must_not_leave_a_close)
{
	cede_coro_t *co;

	begin();
	co = suspended("raises stop");
	SAYS(do_close(co), "raises CEDE_ESTOPITER");
	SAYS(chain(cede_error()),
		"CEDE_ESTOPITER: coroutine raised StopIteration, "
		"while CEDE_STOP: no more, while CEDE_EXIT: GeneratorExit");
	SAYS(chain(cede_error_cause(cede_error())),
		"CEDE_STOP: no more, while CEDE_EXIT: GeneratorExit");
	EXPECT("body CEDE_EXIT");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_38_one_that_goes_on_ignores_the_close)
{
	cede_coro_t *co;

	begin();
	co = suspended("yields once");
	SAYS(do_close(co), "raises CEDE_EIGNORED");
	SAYS(chain(cede_error()), "CEDE_EIGNORED: coroutine ignored GeneratorExit");
	SAYS(state(co), "suspended");
	SAYS(do_send(co, NULL), "returns None");
	EXPECT("body CEDE_EXIT", "body went on again");
	cede_coro_unref(co);

	co = suspended("yields once");
	SAYS(do_close(co), "raises CEDE_EIGNORED");
	SAYS(do_close(co), "returns None");
	EXPECT("body CEDE_EXIT", "body CEDE_EXIT again");
	SAYS(state(co), "closed");
	cede_coro_unref(co);

	co = suspended("yields once");
	SAYS(do_close(co), "raises CEDE_EIGNORED");
	SAYS(do_throw(co, VALUE_ERROR), "raises ValueError");
	EXPECT("body CEDE_EXIT", "body ValueError again");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_38_what_it_yields_is_released)
{
	const cede_coro_options_t options = { .name = "body", .value_dtor = record_value };
	cede_coro_t *co;

	begin();
	co = make_at(body, "yields once", &options, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_close(co), "raises CEDE_EIGNORED");
	EXPECT("body CEDE_EXIT", "value 2 released");
	SAYS(do_close(co), "returns None");
	EXPECT("body CEDE_EXIT again");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_39_finally_may_not_await_in_a_close)
{
	cede_coro_t *co;

	begin();
	co = suspended("finally yields");
	SAYS(do_close(co), "raises CEDE_EIGNORED");
	SAYS(do_send(co, NULL), "raises CEDE_EXIT");
	EXPECT("body CEDE_EXIT", "finally went on");
	SAYS(state(co), "closed");
	cede_coro_unref(co);
	end();
}

static int
raises(void *arg)
{
	return cede_raise(VALUE_ERROR, "%s", "");
}

static int
returns_3(void *arg)
{
	return cede_return(V(3));
}

Test(conformance, row_40_close_of_a_finished_one_any_number_of_times)
{
	cede_coro_t *returned, *raised, *closed;

	begin();
	returned = MAKE(returns_3, NULL);
	raised = MAKE(raises, NULL);
	closed = suspended("returns");
	SAYS(do_send(returned, NULL), "returns 3");
	SAYS(do_send(raised, NULL), "raises ValueError");
	SAYS(do_close(closed), "returns 7");
	EXPECT("body CEDE_EXIT");
	for (int i = 0; i < 3; i++) {
		SAYS(do_close(returned), "returns None");
		SAYS(do_close(raised), "returns None");
		SAYS(do_close(closed), "returns None");
		cr_assert_eq(cede_coro_close(closed, NULL), 0);
	}
	cede_coro_unref(returned);
	cede_coro_unref(raised);
	cede_coro_unref(closed);
	end();
}

/* ---- chains ---- */

static int
inner(void *arg)
{
	const char *what = arg;
	int r = cede_yield(V(1), NULL);

	record("inner %s", r ? code_text(r) : "went on");
	if (r < 0 && !strcmp(what, "yields"))
		r = cede_yield(V(2), NULL);
	if (r < 0 && !strcmp(what, "raises")) {
		HANDLE(r)
		{
			return cede_raise(VALUE_ERROR, "inner's");
		}
	}
	record("inner finally");
	return r;
}

static cede_coro_t *kept;

/* arg: "inner/outer": what each does. */
static int
outer(void *arg)
{
	const char *what = arg, *mine = strchr(what, '/') + 1;
	char inners[32];
	cede_coro_t *child;
	int r;

	snprintf(inners, sizeof inners, "%.*s", (int)(mine - 1 - what), what);
	child = MAKE(inner, inners);
	r = cede_await_coro(child, NULL);
	record("outer %s", r ? code_text(r) : "went on");
	if (r < 0)
		record("because of %s", chain(cede_error()));
	if (!strcmp(mine, "keeps"))
		kept = cede_coro_ref(child);
	cede_coro_unref(child);
	record("outer finally");
	return !strcmp(mine, "handles") || !strcmp(mine, "keeps") ? cede_return(V(9)) : r;
}

static cede_coro_t *
suspended_outer(const char *what)
{
	cede_coro_t *co = MAKE(outer, what);

	SAYS(do_send(co, NULL), "yields 1");
	return co;
}

Test(conformance, row_41_the_innermost_is_closed_first)
{
	cede_coro_t *co;

	begin();
	co = suspended_outer("/");
	SAYS(do_close(co), "returns None");
	EXPECT("inner CEDE_EXIT", "inner finally", "outer CEDE_EXIT", "because of None",
		"outer finally");
	cede_coro_unref(co);
	end();
}

static int
root_of_three(void *arg)
{
	cede_coro_t *child = MAKE(outer, arg);
	int r = cede_await_coro(child, NULL);

	cede_coro_unref(child);
	record("root %s", r ? code_text(r) : "went on");
	return r;
}

Test(conformance, row_41_that_a_middle_one_returns_does_not_end_the_close)
{
	cede_coro_t *co;

	begin();
	co = MAKE(root_of_three, "/handles");
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_close(co), "returns None");
	EXPECT("inner CEDE_EXIT", "inner finally", "outer CEDE_EXIT", "because of None",
		"outer finally", "root CEDE_EXIT");
	SAYS(state(co), "closed");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_42_the_outer_is_told_that_the_inner_ignored_it)
{
	cede_coro_t *co;

	begin();
	co = suspended_outer("yields/");
	SAYS(do_close(co), "raises CEDE_EIGNORED");
	/* Dropped while suspended: it is closed once more, and ends. */
	EXPECT("inner CEDE_EXIT", "outer CEDE_EIGNORED",
		"because of CEDE_EIGNORED: coroutine ignored GeneratorExit", "inner finally",
		"outer finally");
	SAYS(state(co), "closed");
	cede_coro_unref(co);

	/* The outer one may handle it. */
	co = suspended_outer("yields/handles");
	SAYS(do_close(co), "returns 9");
	EXPECT("inner CEDE_EXIT", "outer CEDE_EIGNORED",
		"because of CEDE_EIGNORED: coroutine ignored GeneratorExit", "inner finally",
		"outer finally");
	cede_coro_unref(co);

	/* The inner one is suspended and usable, by itself. */
	co = suspended_outer("yields/keeps");
	SAYS(do_close(co), "returns 9");
	EXPECT("inner CEDE_EXIT", "outer CEDE_EIGNORED",
		"because of CEDE_EIGNORED: coroutine ignored GeneratorExit", "outer finally");
	SAYS(state(kept), "suspended");
	SAYS(do_send(kept, NULL), "returns None");
	EXPECT("inner finally");
	cede_coro_unref(kept);
	cede_coro_unref(co);
	end();
}

Test(conformance, row_43_the_outer_sees_what_the_inners_cleanup_raises)
{
	cede_coro_t *co;

	begin();
	co = suspended_outer("raises/");
	SAYS(do_close(co), "raises ValueError");
	SAYS(chain(cede_error()), "ValueError: inner's, while CEDE_EXIT: GeneratorExit");
	EXPECT("inner CEDE_EXIT", "outer ValueError",
		"because of ValueError: inner's, while CEDE_EXIT: GeneratorExit", "outer finally");
	cede_coro_unref(co);

	co = suspended_outer("raises/handles");
	SAYS(do_close(co), "returns 9");
	EXPECT("inner CEDE_EXIT", "outer ValueError",
		"because of ValueError: inner's, while CEDE_EXIT: GeneratorExit", "outer finally");
	cede_coro_unref(co);
	end();
}

static int
has_a_frame(void *arg)
{
	FRAME("frame gone");

	return cede_yield(V(1), NULL);
}

Test(conformance, row_44_the_frame_goes_before_the_close_returns)
{
	cede_coro_t *co;

	begin();
	co = MAKE(has_a_frame, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	cr_assert_gt(cede_coro_stack_used(co), 0);
	EXPECT_NOTHING();
	SAYS(do_close(co), "returns None");
	EXPECT("frame gone");
	cr_assert_eq(cede_coro_stack_used(co), 0);
	cede_coro_unref(co);
	end();
}
