/* Rows 45 to 56 of docs/semantics.md: the end of iteration, and await. */
#include "tests/conformance/conformance.h"

TestSuite(conformance, .timeout = 20);

static int
raises_code(void *arg)
{
	return cede_raise((int)(intptr_t)arg, "42");
}

static int
raises_code_barely(void *arg)
{
	return (int)(intptr_t)arg;
}

static int
raises_stop_while_handling(void *arg)
{
	int r = cede_raise(VALUE_ERROR, "first");

	HANDLE(r)
	{
		return cede_raise(CEDE_STOP, "42");
	}
	return r;
}

Test(conformance, row_45_the_end_of_iteration_must_not_leave_a_body)
{
	const cede_error_t *error;
	cede_coro_t *co;

	begin();
	co = MAKE(raises_code, V(CEDE_STOP));
	SAYS(do_send(co, NULL), "raises CEDE_ESTOPITER");
	error = cede_error();
	SAYS(chain(error), "CEDE_ESTOPITER: coroutine raised StopIteration, while CEDE_STOP: 42");
	cr_assert_eq(cede_error_cause(error), cede_error_context(error));
	SAYS(state(co), "closed");
	cede_coro_unref(co);

	/* The cause keeps its own context. */
	co = MAKE(raises_stop_while_handling, NULL);
	SAYS(do_send(co, NULL), "raises CEDE_ESTOPITER");
	SAYS(chain(cede_error()),
		"CEDE_ESTOPITER: coroutine raised StopIteration, "
		"while CEDE_STOP: 42, while ValueError: first");
	SAYS(chain(cede_error_cause(cede_error())), "CEDE_STOP: 42, while ValueError: first");
	cede_coro_unref(co);

	/* A bare code has a cause too. */
	co = MAKE(raises_code_barely, V(CEDE_STOP));
	SAYS(do_send(co, NULL), "raises CEDE_ESTOPITER");
	SAYS(chain(cede_error_cause(cede_error())), "CEDE_STOP: StopIteration");
	cede_coro_unref(co);
	end();
}

Test(conformance, row_46_the_end_of_asynchronous_iteration_may)
{
	cede_coro_t *co;

	begin();
	co = MAKE(raises_code, V(CEDE_STOP_ASYNC));
	SAYS(do_send(co, NULL), "raises CEDE_STOP_ASYNC");
	SAYS(chain(cede_error()), "CEDE_STOP_ASYNC: 42");
	cede_coro_unref(co);
	end();
}

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

	if (r < 0)
		record("await %s", code_text(r));
	return r < 0 ? r : cede_return(value);
}

Test(conformance, row_47_the_end_of_iteration_thrown_in_must_not_leave_either)
{
	cede_error_t *error;
	cede_coro_t *co, *child;

	begin();
	error = cede_error_create(CEDE_STOP, "thrown", NULL, NULL);
	co = MAKE(yields_1, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw_error(co, error), "raises CEDE_ESTOPITER");
	cr_assert_eq(cede_error_cause(cede_error()), error);
	cr_assert_eq(cede_error_context(cede_error()), error);
	cede_coro_unref(co);

	/* It is the innermost one that converts it. */
	child = MAKE(yields_1, NULL);
	co = MAKE(awaits_arg, child);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(co, CEDE_STOP), "raises CEDE_ESTOPITER");
	EXPECT("await CEDE_ESTOPITER");
	cede_coro_unref(co);
	cede_coro_unref(child);
	cede_error_unref(error);
	end();
}

static int
returns_spam(void *arg)
{
	return cede_return(V("spam"));
}

Test(conformance, row_48_a_finished_one_cannot_be_awaited)
{
	cede_coro_t *child, *first, *second;

	begin();
	child = MAKE(returns_spam, NULL);
	first = MAKE(awaits_arg, child);
	second = MAKE(awaits_arg, child);
	SAYS(do_send(first, NULL), "returns spam");
	SAYS(do_send(second, NULL), "raises CEDE_EREUSED");
	EXPECT("await CEDE_EREUSED");
	cede_coro_unref(first);
	cede_coro_unref(second);
	cede_coro_unref(child);
	end();
}

Test(conformance, row_49_nor_one_that_is_awaited_or_was_started)
{
	cede_coro_t *child, *first, *second;

	begin();
	child = MAKE(yields_1, NULL);
	first = MAKE(awaits_arg, child);
	second = MAKE(awaits_arg, child);
	SAYS(do_send(first, NULL), "yields 1");
	SAYS(do_send(second, NULL), "raises CEDE_EAWAITED");
	EXPECT("await CEDE_EAWAITED");
	SAYS(cede_strerror(CEDE_EAWAITED), "coroutine is being awaited already");
	cede_coro_unref(second);

	/* The first awaiter is unharmed. */
	cr_assert_eq(cede_coro_awaiting(first), child);
	SAYS(do_send(first, NULL), "returns None");
	cede_coro_unref(first);
	cede_coro_unref(child);

	child = MAKE(yields_1, NULL);
	SAYS(do_send(child, NULL), "yields 1");
	first = MAKE(awaits_arg, child);
	SAYS(do_send(first, NULL), "raises CEDE_EAWAITED");
	EXPECT("await CEDE_EAWAITED");
	SAYS(do_send(child, NULL), "returns None");
	cede_coro_unref(first);
	cede_coro_unref(child);
	end();
}

Test(conformance, row_50_nor_a_closed_one)
{
	cede_coro_t *child, *co;

	begin();
	child = MAKE(yields_1, NULL);
	co = MAKE(awaits_arg, child);
	SAYS(do_close(child), "returns None");
	SAYS(do_send(co, NULL), "raises CEDE_EREUSED");
	EXPECT("await CEDE_EREUSED");
	cede_coro_unref(co);
	cede_coro_unref(child);
	end();
}

static int
awaits_itself(void *arg)
{
	int r = cede_await_coro(cede_coro_current(), NULL);

	record("await %s", code_text(r));
	return r;
}

static int
drives_arg(void *arg)
{
	cede_coro_t *co = MAKE(awaits_arg, arg);

	SAYS(do_send(co, NULL), "raises CEDE_ERUNNING");
	cede_coro_unref(co);
	return 0;
}

Test(conformance, row_51_nor_itself_or_one_that_executes)
{
	cede_coro_t *co;

	begin();
	co = MAKE(awaits_itself, NULL);
	SAYS(do_send(co, NULL), "raises CEDE_ERUNNING");
	EXPECT("await CEDE_ERUNNING");
	cede_coro_unref(co);
	end();
}

static cede_coro_t *me;

static int
drives_one_that_awaits_me(void *arg)
{
	return drives_arg(me);
}

Test(conformance, row_51_nor_one_that_drives_the_awaiter)
{
	begin();
	me = MAKE(drives_one_that_awaits_me, NULL);
	SAYS(do_send(me, NULL), "returns None");
	EXPECT("await CEDE_ERUNNING");
	cede_coro_unref(me);
	end();
}

static int
awaits_what_cannot_be(void *arg)
{
	static const cede_awaitable_t nothing;

	record("coroutine %s", code_text(cede_await_coro(NULL, NULL)));
	record("object %s", code_text(cede_await_object(NULL, NULL, NULL)));
	record("vtable %s", code_text(cede_await_object(&nothing, NULL, NULL)));
	return 0;
}

Test(conformance, row_52_nor_what_is_no_awaitable)
{
	cede_coro_t *co;

	begin();
	co = MAKE(awaits_what_cannot_be, NULL);
	SAYS(do_send(co, NULL), "returns None");
	EXPECT("coroutine EINVAL", "object EINVAL", "vtable EINVAL");
	cede_coro_unref(co);

	/* Nor outside of a coroutine. */
	co = MAKE(yields_1, NULL);
	cr_assert_eq(cede_await_coro(co, NULL), CEDE_ENOTASK);
	cr_assert_eq(cede_yield(NULL, NULL), CEDE_ENOTASK);
	SAYS(do_send(co, NULL), "yields 1");
	cede_coro_unref(co);
	end();
}

static int
object_done_at_once(void *object, void *value, void **ret_value)
{
	*ret_value = V(42);
	return 0;
}

static int
awaits_without_suspending(void *arg)
{
	static const cede_awaitable_t at_once = { .send = object_done_at_once };
	cede_coro_t *child = MAKE(returns_spam, NULL);
	void *value = NULL;
	int r = cede_await_coro(child, &value);

	record("await of a coroutine %s", outcome(r, value));
	cede_coro_unref(child);
	r = cede_await_object(&at_once, NULL, &value);
	record("await of an object %s", outcome(r, value));
	return cede_return(V(3));
}

Test(conformance, row_53_what_does_not_suspend_does_not_suspend_its_awaiter)
{
	cede_coro_t *co;

	begin();
	co = MAKE(awaits_without_suspending, NULL);
	SAYS(do_send(co, NULL), "returns 3");
	EXPECT("await of a coroutine returns spam", "await of an object returns 42");
	cede_coro_unref(co);
	end();
}

static int
yields_1_2_3(void *arg)
{
	int r = 0;

	for (int i = 1; i <= 3 && r == 0; i++)
		r = cede_yield(V(i), NULL);
	return r;
}

Test(conformance, row_54_what_is_awaited_may_be_driven_by_hand)
{
	cede_coro_t *child, *co;

	begin();
	child = MAKE(yields_1_2_3, NULL);
	co = MAKE(awaits_arg, child);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_send(child, NULL), "yields 2");
	cr_assert_eq(cede_coro_awaiting(co), child);
	SAYS(do_send(co, NULL), "yields 3");
	SAYS(do_send(child, NULL), "returns None");
	SAYS(state(co), "suspended");
	SAYS(do_send(co, NULL), "raises CEDE_EREUSED");
	EXPECT("await CEDE_EREUSED");
	cede_coro_unref(co);
	cede_coro_unref(child);

	/* Closed by hand: the same; a close of the awaiter finds nothing below to close. */
	child = MAKE(yields_1_2_3, NULL);
	co = MAKE(awaits_arg, child);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_close(child), "returns None");
	SAYS(do_close(co), "returns None");
	EXPECT("await CEDE_EXIT");
	cede_coro_unref(co);
	cede_coro_unref(child);

	/* A throw into the awaiter: the awaited one cannot take it. */
	child = MAKE(yields_1_2_3, NULL);
	co = MAKE(awaits_arg, child);
	SAYS(do_send(co, NULL), "yields 1");
	SAYS(do_throw(child, VALUE_ERROR), "raises ValueError");
	SAYS(do_throw(co, KEY_ERROR), "raises CEDE_EREUSED");
	EXPECT("await CEDE_EREUSED");
	cede_coro_unref(co);
	cede_coro_unref(child);
	end();
}

static int
resumes_awaiter(void *arg)
{
	int r = cede_yield(V(1), NULL);

	if (r == 0) {
		SAYS(do_send(me, NULL), "raises CEDE_ERUNNING");
		record("awaiter resumed");
	}
	return r;
}

Test(conformance, row_54_driven_by_hand_it_may_resume_its_awaiter_which_is_told)
{
	cede_coro_t *child;

	begin();
	child = MAKE(resumes_awaiter, NULL);
	me = MAKE(awaits_arg, child);
	SAYS(do_send(me, NULL), "yields 1");
	SAYS(do_send(child, NULL), "returns None");
	/* The awaiter saw that what it awaits is executing, and ended with that. */
	EXPECT("await CEDE_ERUNNING", "awaiter resumed");
	SAYS(state(me), "closed");
	cede_coro_unref(me);
	cede_coro_unref(child);
	end();
}
