/* Deferred calls: last in, first out, at every end of a coroutine. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include <cede/alloc.h>
#include <cede/coro.h>
#include <cede/gen.h>
#include <cede/hooks.h>

#include "coro/alloc.h"
#include "coro/coro_int.h"
#include "coro/thread.h"

TestSuite(defer, .timeout = 20);

static char trace[256];

static void
say(const char *text)
{
	strncat(trace, text, sizeof trace - strlen(trace) - 1);
}

static void
note(void *arg)
{
	say(arg);
}

static char a[] = "a", b[] = "b", c[] = "c", outer[] = "outer";

static void
check_no_leak(void)
{
	cede__thread_cleanup();
	cr_assert_eq(cede__alloc_outstanding(), 0);
}

static void
defer_three(void)
{
	cr_assert_eq(cede_defer(note, a), 0);
	cr_assert_eq(cede_defer(note, b), 0);
	cr_assert_eq(cede_defer(note, c), 0);
}

static int
defer_and_end(void *arg)
{
	defer_three();
	say("body ");
	return *(int *)arg;
}

static int
defer_and_yield(void *arg)
{
	defer_three();
	int r = cede_yield(NULL, NULL);

	say("body ");
	return r;
}

Test(defer, is_called_when_the_body_has_returned_last_one_first)
{
	int code = 0;
	cede_coro_t *co;

	cr_assert_eq(cede_coro_create(&co, defer_and_end, &code, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), 0);
	cr_assert_str_eq(trace, "body cba");
	cede_coro_unref(co);
	check_no_leak();
}

Test(defer, is_called_when_the_body_has_raised)
{
	int code = CEDE_EPIPE;
	cede_coro_t *co;

	cr_assert_eq(cede_coro_create(&co, defer_and_end, &code, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), CEDE_EPIPE);
	cr_assert_str_eq(trace, "body cba");
	cede_coro_unref(co);
	check_no_leak();
}

/* Row 44: before close returns. */
Test(defer, is_called_when_it_was_closed_or_thrown_into)
{
	cede_coro_t *co;

	cr_assert_eq(cede_coro_create(&co, defer_and_yield, NULL, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), 1);
	cr_assert_str_eq(trace, "", "not at a yield");
	cr_assert_eq(cede_coro_close(co, NULL), 0);
	cr_assert_str_eq(trace, "body cba");
	cede_coro_unref(co);

	trace[0] = '\0';
	cr_assert_eq(cede_coro_create(&co, defer_and_yield, NULL, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), 1);
	cr_assert_eq(cede_coro_throw(co, CEDE_EPIPE, NULL), CEDE_EPIPE);
	cr_assert_str_eq(trace, "body cba");
	cede_coro_unref(co);
	check_no_leak();
}

Test(defer, is_called_when_it_is_dropped)
{
	cede_coro_t *co;

	cr_assert_eq(cede_coro_create(&co, defer_and_yield, NULL, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), 1);
	cede_coro_unref(co);
	cr_assert_str_eq(trace, "body cba");
	check_no_leak();
}

static int
ignore(void *arg)
{
	defer_three();
	while (cede_yield(NULL, NULL) <= 0)
		say("ignored ");
	return 0;
}

static void
forget(const cede_coro_t *co, int code, const char *what, void *data)
{
}

/* Row 73: nothing of the body runs any more, but what it has deferred does. */
Test(defer, is_called_when_it_is_discarded)
{
	cede_coro_t *co;

	cr_assert_eq(cede_set_unraisable_hook(forget, NULL), 0);
	cr_assert_eq(cede_coro_create(&co, ignore, NULL, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), 1);
	cede_coro_unref(co);
	cr_assert_str_eq(trace, "ignored cba");
	check_no_leak();
}

static void
defer_again(void *arg)
{
	say("again ");
	cr_assert_eq(cede_defer(note, arg), 0);
}

static int
defer_one_that_defers(void *arg)
{
	cr_assert_eq(cede_defer(note, a), 0);
	cr_assert_eq(cede_defer(defer_again, b), 0);
	return 0;
}

Test(defer, may_defer_another_which_is_called_next)
{
	cede_coro_t *co;

	cr_assert_eq(cede_coro_create(&co, defer_one_that_defers, NULL, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), 0);
	cr_assert_str_eq(trace, "again ba");
	cede_coro_unref(co);
	check_no_leak();
}

static int
take_some_back(void *arg)
{
	defer_three();
	cr_assert_eq(cede_defer(note, b), 0);
	cr_assert_eq(cede_defer_cancel(note, b), 1);
	cr_assert_eq(cede_defer_cancel(note, c), 1);
	cr_assert_eq(cede_defer_cancel(note, c), 0);
	cr_assert_eq(cede_defer_cancel(defer_again, a), 0);
	return 0;
}

Test(defer, can_be_taken_back)
{
	cede_coro_t *co;

	cr_assert_eq(cede_coro_create(&co, take_some_back, NULL, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), 0);
	cr_assert_str_eq(trace, "ba");
	cede_coro_unref(co);
	check_no_leak();
}

static void
yield_twice(void *arg)
{
	cr_assert_eq(cede_yield(a, NULL), 0);
	say("between ");
	cr_assert_eq(cede_yield(b, NULL), 0);
}

static int
defer_a_yield(void *arg)
{
	cr_assert_eq(cede_defer(yield_twice, NULL), 0);
	return cede_return(c);
}

Test(defer, may_suspend_and_does_not_change_what_is_returned)
{
	cede_coro_t *co;
	void *value;

	cr_assert_eq(cede_coro_create(&co, defer_a_yield, NULL, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, &value), 1);
	cr_assert_eq(value, a);
	cr_assert_eq(cede_coro_send(co, NULL, &value), 1);
	cr_assert_eq(value, b);
	cr_assert_eq(cede_coro_send(co, NULL, &value), 0);
	cr_assert_eq(value, c);
	cede_coro_unref(co);
	check_no_leak();
}

static void
raise_another(void *arg)
{
	cede_raise(CEDE_EBADF, "an error of the cleanup's own");
}

static int
raise_with_a_sentence(void *arg)
{
	cr_assert_eq(cede_defer(raise_another, NULL), 0);
	return cede_raise(CEDE_EPIPE, "the pipe is cold");
}

Test(defer, leaves_the_error_of_the_body_as_it_is)
{
	cede_coro_t *co;

	cr_assert_eq(cede_coro_create(&co, raise_with_a_sentence, NULL, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), CEDE_EPIPE);
	cr_assert_str_eq(cede_error_message(cede_error()), "the pipe is cold");
	cede_coro_unref(co);
	check_no_leak();
}

static int
defer_in_each(void *arg)
{
	cede_coro_t *child;
	int code = 0;

	cr_assert_eq(cede_defer(note, outer), 0);
	cr_assert_eq(cede_coro_create(&child, defer_and_end, &code, NULL), 0);
	cr_assert_eq(cede_await_coro(child, NULL), 0);
	cede_coro_unref(child);
	say(" ");
	return 0;
}

Test(defer, belongs_to_the_coroutine_that_called_it)
{
	cede_coro_t *co;

	cr_assert_eq(cede_coro_create(&co, defer_in_each, NULL, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), 0);
	cr_assert_str_eq(trace, "body cba outer");
	cede_coro_unref(co);
	check_no_leak();
}

Test(defer, outside_a_coroutine_is_refused)
{
	cr_assert_eq(cede_defer(note, a), CEDE_ENOTASK);
	cr_assert_eq(cede_defer_cancel(note, a), 0);
	cr_assert_str_eq(trace, "");
}

static void *
no_memory(size_t size, void *data)
{
	return *(int *)data ? NULL : malloc(size);
}

static void *
no_more_memory(void *p, size_t size, void *data)
{
	return NULL;
}

static void
free_it(void *p, void *data)
{
	free(p);
}

static int
defer_without_memory(void *arg)
{
	cr_assert_eq(cede_defer(NULL, a), CEDE_EINVAL);
	*(int *)arg = 1;
	cr_assert_eq(cede_defer(note, a), CEDE_ENOMEM);
	*(int *)arg = 0;
	return 0;
}

Test(defer, without_memory_is_an_error_and_calls_nothing)
{
	int is_short = 0;
	const cede_allocator_t allocator = { .alloc = no_memory,
		.realloc = no_more_memory,
		.free = free_it,
		.data = &is_short };
	cede_coro_t *co;

	cr_assert_eq(cede_set_allocator(&allocator), 0);
	cr_assert_eq(cede_coro_create(&co, defer_without_memory, &is_short, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), 0);
	cr_assert_str_eq(trace, "");
	cede_coro_unref(co);
	check_no_leak();
}

static void
return_another(void *arg)
{
	(void)cede_return(arg);
}

static int
return_and_defer(void *arg)
{
	cr_assert_eq(cede_defer(return_another, b), 0);
	return arg ? cede_return(arg) : 0;
}

Test(defer, does_not_change_what_the_body_returns)
{
	char *const returned[] = { a, NULL };

	for (int i = 0; i < 2; i++) {
		cede_coro_t *co;
		void *value = c;

		trace[0] = '\0';
		cr_assert_eq(cede_coro_create(&co, return_and_defer, returned[i],
				     &(cede_coro_options_t){ .value_dtor = note }),
			0);
		cr_assert_eq(cede_coro_send(co, NULL, &value), 0);
		cr_assert_eq(value, returned[i]);
		cr_assert_str_eq(trace, "b", "what the call returned is released");
		cede_coro_unref(co);
	}
	check_no_leak();
}

static cede_handler_t never_left;

static void
raise_late(void *arg)
{
	cr_assert_eq(cede_raise(CEDE_EINVAL, "late"), CEDE_EINVAL);
	cr_assert_null(cede_error_context(cede_error()));
}

static int
end_in_a_handler(void *arg)
{
	cr_assert_eq(cede_defer(raise_late, NULL), 0);
	cede_handler_enter(&never_left, cede_raise(CEDE_EPIPE, "early"));
	return 0;
}

/* Usually it lies in the frame of the body, which has gone. */
Test(defer, does_not_see_a_handler_that_the_body_did_not_leave)
{
	cede_coro_t *co;

	cr_assert_eq(cede_coro_create(&co, end_in_a_handler, NULL, NULL), 0);
	cr_assert_eq(cede_coro_send(co, NULL, NULL), 0);
	cede_coro_unref(co);
	cede_error_unref(never_left.error);
	check_no_leak();
}
