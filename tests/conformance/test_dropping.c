/* Rows 66 to 75 of docs/semantics.md: the end of an object. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/conformance.h"

TestSuite(conformance, .timeout = 20);

static const cede_coro_options_t recorded = {
	.name = "body",
	.arg_dtor = record_arg,
	.value_dtor = record_value,
};

/* arg: what it does when it is being closed. */
static int
body(void *arg)
{
	const char *what = arg;
	int r = cede_yield(NULL, NULL);

	record("body %s", r ? code_text(r) : "went on");
	if (!strcmp(what, "returns"))
		return cede_return(V(7));
	if (!strcmp(what, "raises")) {
		HANDLE(r)
		{
			return cede_raise(VALUE_ERROR, "from cleanup");
		}
	}
	while (!strcmp(what, "ignores")) {
		FRAME("frame of one that ignores it");

		r = cede_yield(V(2), NULL);
		record("body %s again", r ? code_text(r) : "went on");
	}
	return r;
}

static cede_coro_t *
suspended(const char *what)
{
	cede_coro_t *co = make_at(body, what, &recorded, NULL);

	SAYS(do_send(co, NULL), "yields None");
	return co;
}

static int
warned(const cede_coro_t *co, const char *text, void *data)
{
	record("%s", text);
	cr_assert_eq(cede_coro_state(co), CEDE_CORO_CREATED);
	return *(int *)data;
}

Test(conformance, row_66_dropped_and_never_started)
{
	char text[512];
	cede_coro_t *co;
	int result = 0, r;

	begin();
	cede_coro_unref(make_at(body, "x", &recorded, NULL));
	EXPECT("warning: coroutine 'body' was never awaited", "argument x released");

	/* With the place of its creation. */
	cede_set_warn_hook(warned, &result);
	snprintf(text, sizeof text,
		"coroutine 'body' was never awaited\nCoroutine created at %s:%d", __FILE__,
		__LINE__ + 1);
	r = cede_coro_create(&co, body, NULL, NULL);
	cr_assert_eq(r, 0);
	cede_coro_ref(co);
	cede_coro_unref(co);
	EXPECT_NOTHING();
	cr_assert_null(cede_coro_unref(co));
	EXPECT(text);
	cr_assert_null(cede_coro_unref(NULL));
	end();
}

Test(conformance, row_67_dropped_after_a_close_or_a_throw)
{
	cede_coro_t *co;

	begin();
	co = make_at(body, "x", &recorded, NULL);
	SAYS(do_close(co), "returns None");
	cede_coro_unref(co);
	EXPECT("argument x released");

	co = make_at(body, "y", &recorded, NULL);
	SAYS(do_throw(co, VALUE_ERROR), "raises ValueError");
	cede_coro_unref(co);
	EXPECT("argument y released");
	end();
}

Test(conformance, row_68_dropped_after_a_send_that_was_refused)
{
	cede_coro_t *co;

	begin();
	co = make_at(body, "x", &recorded, NULL);
	SAYS(do_send(co, V(1)), "raises CEDE_ENOTSTARTED");
	cede_coro_unref(co);
	EXPECT("warning: coroutine 'body' was never awaited", "argument x released");
	end();
}

static void
told(const cede_coro_t *co, int code, const char *what, void *data)
{
	record("%s: %s", what, code_text(code));
	record("%s", chain(cede_error()));
}

Test(conformance, row_69_a_warning_that_fails_goes_to_the_unraisable_hook)
{
	int result = ZERO_DIVISION_ERROR;

	begin();
	cede_set_warn_hook(warned, &result);
	cede_coro_unref(make_at(body, "x", &recorded, NULL));
	EXPECT("coroutine 'body' was never awaited", "unraisable ZeroDivisionError in body",
		"argument x released");

	/* A positive result is none. */
	result = 1;
	cede_coro_unref(make_at(body, "x", &recorded, NULL));
	EXPECT("coroutine 'body' was never awaited", "argument x released");
	end();
}

/* What is said on stderr by a child process. */
static void
said_on_stderr(void (*fn)(void), char *text, size_t size)
{
	int fds[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		fn();
		fflush(stderr);
		_exit(0);
	}
	close(fds[1]);
	while (used < size - 1 && (n = read(fds[0], text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(fds[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void
drops_one_with_no_hooks(void)
{
	cede_set_warn_hook(NULL, NULL);
	cede_set_unraisable_hook(NULL, NULL);
	cede_coro_unref(make_at(body, "x", NULL, "body\0file.c:7"));
	cede_coro_unref(suspended("raises"));
	cede_coro_unref(suspended("ignores"));
}

Test(conformance, row_69_without_hooks_all_is_said_on_stderr)
{
	char text[1024];

	begin();
	said_on_stderr(drops_one_with_no_hooks, text, sizeof text);
	SAYS(text,
		"RuntimeWarning: coroutine 'body' was never awaited\n"
		"Coroutine created at file.c:7\n"
		"Exception ignored while closing 'body': from cleanup\n"
		"Exception ignored while closing 'body': coroutine ignored GeneratorExit\n");
	end();
}

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static cede_coro_t *volatile leaked[3];

static void
leaks_and_exits(void)
{
	leaked[0] = MAKE(body, "x");
	leaked[1] = suspended("");
	leaked[2] = suspended("ignores");
	if (__lsan_do_recoverable_leak_check)
		_exit(0); /* LeakSanitizer cannot look through a child of a process with threads */
	exit(0);
}

Test(conformance, row_70_what_is_leaked_does_not_crash_the_end_of_the_process)
{
	char text[1024];

	begin();
	said_on_stderr(leaks_and_exits, text, sizeof text);
	SAYS(text, "");
	end();
}

static int
outer(void *arg)
{
	cede_coro_t *child = make_at(body, arg, &recorded, NULL);
	int r;

	r = cede_await_coro(child, NULL);
	record("outer %s", r ? code_text(r) : "went on");
	cede_coro_unref(child);
	return r;
}

Test(conformance, row_71_dropped_while_suspended_it_is_closed)
{
	cede_coro_t *co;

	begin();
	cr_assert_null(cede_coro_unref(suspended("")));
	EXPECT("body CEDE_EXIT");

	co = MAKE(outer, "");
	SAYS(do_send(co, NULL), "yields None");
	cede_coro_unref(co);
	EXPECT("body CEDE_EXIT", "outer CEDE_EXIT");
	end();
}

static int
keeps_itself(void *arg)
{
	cede_coro_t **ret_kept = arg;
	int r = cede_yield(NULL, NULL);

	*ret_kept = cede_coro_ref(cede_coro_current());
	record("kept");
	return r;
}

Test(conformance, row_71_its_cleanup_may_keep_it)
{
	cede_coro_t *co, *kept = NULL;

	begin();
	co = MAKE(keeps_itself, &kept);
	SAYS(do_send(co, NULL), "yields None");
	cede_coro_unref(co);
	EXPECT("kept");
	cr_assert_eq(kept, co);
	SAYS(state(kept), "closed");
	SAYS(do_send(kept, NULL), "raises CEDE_EREUSED");
	cr_assert_null(cede_coro_unref(kept));
	end();
}

static void *
drops(void *arg)
{
	cede_set_unraisable_hook(told, NULL);
	cede_coro_unref(arg);
	return NULL;
}

Test(conformance, row_71_on_a_thread_not_its_own_it_is_left_alone)
{
	pthread_t thread;
	cede_coro_t *co;

	begin();
	co = suspended("");
	cr_assert_eq(pthread_create(&thread, NULL, drops, co), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	EXPECT("Exception ignored while closing 'body': CEDE_EWRONGTHREAD", "None");
	SAYS(state(co), "suspended");
	cede_coro_unref(co);
	EXPECT("body CEDE_EXIT");
	end();
}

Test(conformance, row_72_what_that_close_raises_is_reported)
{
	begin();
	cede_set_unraisable_hook(told, NULL);
	cr_assert_null(cede_coro_unref(suspended("raises")));
	EXPECT("body CEDE_EXIT", "Exception ignored while closing 'body': ValueError",
		"ValueError: from cleanup, while CEDE_EXIT: GeneratorExit");
	cr_assert_null(cede_error());
	end();
}

Test(conformance, row_73_one_that_ignores_that_close_is_reported_and_goes)
{
	begin();
	cede_set_unraisable_hook(told, NULL);
	cr_assert_null(cede_coro_unref(suspended("ignores")));
	EXPECT("body CEDE_EXIT", "value 2 released",
		"Exception ignored while closing 'body': CEDE_EIGNORED",
		"CEDE_EIGNORED: coroutine ignored GeneratorExit");
	end();
}

static int
outer_handles(void *arg)
{
	int r = outer(arg);

	while (r < 0)
		r = cede_yield(NULL, NULL);
	return r;
}

Test(conformance, row_73_with_what_it_awaits)
{
	cede_coro_t *co;

	begin();
	/*
	 * Both ignore it. The awaiter is told that the inner one did, and drops it: that is
	 * closed once more, ignores it once more, and goes. Then the awaiter goes on too.
	 */
	co = make_at(outer_handles, "ignores", &recorded, NULL);
	SAYS(do_send(co, NULL), "yields None");
	cede_coro_unref(co);
	EXPECT("body CEDE_EXIT", "value 2 released", "outer CEDE_EIGNORED", "body CEDE_EXIT again",
		"frame of one that ignores it", "value 2 released",
		"unraisable CEDE_EIGNORED in body", "unraisable CEDE_EIGNORED in body");
	end();
}

Test(conformance, row_74_what_that_close_returns_is_released)
{
	begin();
	cr_assert_null(cede_coro_unref(suspended("returns")));
	EXPECT("body CEDE_EXIT", "value 7 released");
	end();
}

Test(conformance, row_75_the_callers_error_is_untouched_by_that_close)
{
	const cede_error_t *mine;

	begin();
	cr_assert_eq(cede_raise(KEY_ERROR, "mine"), KEY_ERROR);
	mine = cede_error();
	cede_coro_unref(suspended("raises"));
	cr_assert_eq(cede_error(), mine);
	cede_coro_unref(suspended("ignores"));
	cr_assert_eq(cede_error(), mine);
	cede_coro_unref(suspended(""));
	cr_assert_eq(cede_error(), mine);
	SAYS(chain(mine), "KeyError: mine");
	EXPECT("body CEDE_EXIT", "unraisable ValueError in body", "body CEDE_EXIT",
		"value 2 released", "unraisable CEDE_EIGNORED in body", "body CEDE_EXIT");
	end();
}
