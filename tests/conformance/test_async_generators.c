/*
 * Section 3 of the specification: asynchronous generators. What CPython 3.13
 * answers was asked of it call by call; the sentences are its own.
 */
#include <cede/agen.h>

#include "tests/conformance/conformance.h"

TestSuite(async_generators, .timeout = 20);

/* await of something that suspends once and hands `value` to whoever drives */
static int
nop(const char *value)
{
	return cede_yield(V(value), NULL);
}

/* arg: what it does about what is thrown in. */
static int
ag(void *arg)
{
	const char *what = arg;
	void *got = NULL;
	int r, now = 0;

	r = nop("a");
	if (r == 0) {
		record("went on");
		r = cede_agen_yield(V(1), &got);
		if (r == 0) {
			record("got %s", value_text(got));
			r = cede_agen_yield(V(2), &got);
		}
		if (r == 0)
			record("got %s", value_text(got));
	}
	if (r < 0) {
		record("ag %s", code_text(r));
		if (!strcmp(what, "catches"))
			now = cede_agen_yield(V(3), NULL);
		if (!strcmp(what, "returns"))
			r = 0;
	}
	record("finally");
	if (!strcmp(what, "awaits in finally")) {
		now = nop("f");
		record("finally went on");
	}
	if (!strcmp(what, "yields in finally"))
		now = cede_agen_yield(V(9), NULL);
	return now < 0 ? now : r;
}

#define MAKE_AGEN(fn, arg) make_agen_at((fn), (arg), CEDE_SITE(#fn))

static cede_agen_t *
make_agen_at(cede_fn *fn, const char *arg, const char *site)
{
	cede_agen_t *agen = NULL;

	cr_assert_eq(cede_agen_create_at(&agen, fn, V(arg), NULL, site), 0);
	return agen;
}

static int
awaits_call(void *arg)
{
	void *value = NULL;
	int r;

	/* Whose error is not to be mistaken for that of the call. */
	(void)cede_raise(MARKER, "%s", "earlier");
	r = cede_await_agen(arg, &value);

	cr_assert(r >= 0 || !cede_error() || cede_error_code(cede_error()) == r);
	record("%s", r < 0 ? chain(cede_error()) : outcome(r, value));
	return r < 0 ? r : cede_return(value);
}

/* Drives an await of the call to its end: what it yielded on the way, and what came of it. */
static const char *
awaits(cede_agen_call_t *call)
{
	cede_coro_t *co = MAKE(awaits_call, call);
	static char texts[4][64];
	static unsigned next;
	char *text = texts[next++ % 4];
	void *value = NULL;
	int r;

	text[0] = '\0';
	while ((r = cede_coro_send(co, NULL, &value)) > 0)
		strcat(strcat(text, value_text(value)), ", ");
	strcat(text, outcome(r, value));
	cede_coro_unref(co);
	return text;
}

static cede_agen_call_t *
asend(cede_agen_t *agen, const char *value)
{
	cede_agen_call_t *call = NULL;

	cr_assert_eq(cede_agen_asend(agen, V(value), &call), 0);
	return call;
}

static cede_agen_call_t *
athrow(cede_agen_t *agen, int code)
{
	cede_agen_call_t *call = NULL;

	cr_assert_eq(cede_agen_athrow(agen, code, &call), 0);
	return call;
}

static cede_agen_call_t *
aclose(cede_agen_t *agen)
{
	cede_agen_call_t *call = NULL;

	cr_assert_eq(cede_agen_aclose(agen, &call), 0);
	return call;
}

/* One await of a call made for it. */
static const char *
once(cede_agen_call_t *call)
{
	const char *said = awaits(call);

	cede_agen_call_destroy(call);
	return said;
}

static cede_agen_t *
at_1(const char *what)
{
	cede_agen_t *g = MAKE_AGEN(ag, what);

	SAYS(once(asend(g, NULL)), "a, returns 1");
	EXPECT("went on", "returns 1");
	return g;
}

Test(async_generators, asend)
{
	cede_agen_t *g;

	begin();
	g = at_1("");
	SAYS(once(asend(g, "v")), "returns 2");
	SAYS(once(asend(g, "w")), "raises CEDE_STOP_ASYNC");
	EXPECT("got v", "returns 2", "got w", "finally", "None");
	for (int i = 0; i < 2; i++)
		SAYS(once(asend(g, NULL)), "raises CEDE_STOP_ASYNC");
	SAYS(once(athrow(g, VALUE_ERROR)), "returns None");
	SAYS(once(aclose(g)), "returns None");
	EXPECT("None", "None", "returns None", "returns None");
	cede_agen_unref(g);
	end();
}

Test(async_generators, first_value_must_be_null)
{
	cede_agen_t *g;

	begin();
	g = MAKE_AGEN(ag, "");
	SAYS(once(asend(g, "v")), "raises CEDE_ENOTSTARTED");
	EXPECT("CEDE_ENOTSTARTED: can't send non-None value to a just-started async generator");
	SAYS(once(asend(g, NULL)), "a, returns 1");
	SAYS(once(aclose(g)), "returns None");
	EXPECT("went on", "returns 1", "ag CEDE_EXIT", "finally", "returns None");
	cede_agen_unref(g);
	end();
}

Test(async_generators, before_it_was_started)
{
	cede_agen_t *g;

	begin();
	g = MAKE_AGEN(ag, "");
	SAYS(once(athrow(g, VALUE_ERROR)), "raises ValueError");
	SAYS(once(asend(g, NULL)), "raises CEDE_STOP_ASYNC");
	SAYS(once(athrow(g, VALUE_ERROR)), "returns None");
	cede_agen_unref(g);

	g = MAKE_AGEN(ag, "");
	SAYS(once(aclose(g)), "returns None");
	SAYS(once(asend(g, NULL)), "raises CEDE_STOP_ASYNC");
	cede_agen_unref(g);

	g = MAKE_AGEN(ag, "");
	SAYS(once(athrow(g, CEDE_EXIT)), "raises CEDE_EXIT");
	SAYS(once(asend(g, NULL)), "raises CEDE_STOP_ASYNC");
	cede_agen_unref(g);
	EXPECT("None", "None", "returns None", "returns None", "None", "None", "None");
	end();
}

#define IGNORED "CEDE_EIGNORED: async generator ignored GeneratorExit"

Test(async_generators, aclose)
{
	cede_agen_t *g;

	begin();
	g = at_1("");
	SAYS(once(aclose(g)), "returns None");
	SAYS(once(asend(g, NULL)), "raises CEDE_STOP_ASYNC");
	SAYS(once(aclose(g)), "returns None");
	EXPECT("ag CEDE_EXIT", "finally", "returns None", "None", "returns None");
	cede_agen_unref(g);

	g = at_1("returns");
	SAYS(once(aclose(g)), "returns None");
	EXPECT("ag CEDE_EXIT", "finally", "returns None");
	cede_agen_unref(g);

	/* Its cleanup may await, ... */
	g = at_1("awaits in finally");
	SAYS(once(aclose(g)), "f, returns None");
	EXPECT("ag CEDE_EXIT", "finally", "finally went on", "returns None");
	cede_agen_unref(g);

	/* ... but hand out no value. It goes on when it is asked again. */
	g = at_1("catches");
	SAYS(once(aclose(g)), "raises CEDE_EIGNORED");
	EXPECT("ag CEDE_EXIT", IGNORED);
	SAYS(once(asend(g, NULL)), "raises CEDE_EXIT");
	EXPECT("finally", "None");
	SAYS(once(aclose(g)), "returns None");
	EXPECT("returns None");
	cede_agen_unref(g);

	g = at_1("yields in finally");
	SAYS(once(aclose(g)), "raises CEDE_EIGNORED");
	EXPECT("ag CEDE_EXIT", "finally", IGNORED);
	SAYS(once(asend(g, NULL)), "raises CEDE_EXIT");
	EXPECT("None");
	cede_agen_unref(g);
	end();
}

Test(async_generators, athrow)
{
	static const char *const cases[][3] = {
		{ "", "raises ValueError", "raises CEDE_STOP_ASYNC" },
		{ "catches", "returns 3", "raises ValueError" },
		{ "returns", "raises CEDE_STOP_ASYNC", "raises CEDE_STOP_ASYNC" },
		{ "awaits in finally", "f, raises ValueError", "raises CEDE_STOP_ASYNC" },
		{ "yields in finally", "returns 9", "raises ValueError" },
	};

	begin();
	for (int i = 0; i < 5; i++) {
		cede_agen_t *g = at_1(cases[i][0]);

		SAYS(once(athrow(g, VALUE_ERROR)), cases[i][1]);
		SAYS(once(asend(g, NULL)), cases[i][2]);
		cede_agen_unref(g);
		switch (i) {
		case 0:
		case 2:
			EXPECT("ag ValueError", "finally", "None", "None");
			break;
		case 1:
			EXPECT("ag ValueError", "returns 3", "finally", "None");
			break;
		case 3:
			EXPECT("ag ValueError", "finally", "finally went on", "None", "None");
			break;
		case 4:
			EXPECT("ag ValueError", "finally", "returns 9", "None");
			break;
		}
	}
	end();
}

Test(async_generators, a_call_is_awaited_once)
{
	static const char *const reused[] = {
		"CEDE_EREUSED: cannot reuse already awaited __anext__()/asend()",
		"CEDE_EREUSED: cannot reuse already awaited aclose()/athrow()",
		"CEDE_EREUSED: cannot reuse already awaited aclose()/athrow()",
	};
	cede_agen_call_t *calls[3];
	cede_agen_t *g;

	begin();
	g = MAKE_AGEN(ag, "");
	calls[0] = asend(g, NULL);
	calls[1] = aclose(g);
	calls[2] = athrow(g, VALUE_ERROR);
	for (int i = 0; i < 3; i++) {
		SAYS(awaits(calls[i]), i == 0 ? "a, returns 1" : "returns None");
		SAYS(awaits(calls[i]), "raises CEDE_EREUSED");
		cede_agen_call_destroy(calls[i]);
	}
	EXPECT("went on", "returns 1", reused[0], "ag CEDE_EXIT", "finally", "returns None",
		reused[1], "returns None", reused[2]);
	cede_agen_unref(g);
	end();
}

Test(async_generators, one_at_a_time)
{
	cede_agen_call_t *first, *again;
	cede_coro_t *co;
	cede_agen_t *g;

	begin();
	g = MAKE_AGEN(ag, "");
	first = asend(g, NULL);
	co = MAKE(awaits_call, first);
	SAYS(do_send(co, NULL), "yields a");
	SAYS(once(asend(g, NULL)), "raises CEDE_ERUNNING");
	SAYS(once(athrow(g, VALUE_ERROR)), "raises CEDE_ERUNNING");
	SAYS(once(aclose(g)), "raises CEDE_ERUNNING");
	again = asend(g, NULL);
	SAYS(awaits(again), "raises CEDE_ERUNNING");
	SAYS(awaits(again), "raises CEDE_EREUSED");
	cede_agen_call_destroy(again);
	EXPECT("CEDE_ERUNNING: anext(): asynchronous generator is already running",
		"CEDE_ERUNNING: athrow(): asynchronous generator is already running",
		"CEDE_ERUNNING: aclose(): asynchronous generator is already running",
		"CEDE_ERUNNING: anext(): asynchronous generator is already running",
		"CEDE_EREUSED: cannot reuse already awaited __anext__()/asend()");

	/* The first is unharmed. */
	SAYS(do_send(co, NULL), "returns 1");
	SAYS(once(aclose(g)), "returns None");
	EXPECT("went on", "returns 1", "ag CEDE_EXIT", "finally", "returns None");
	cede_agen_call_destroy(first);
	cede_coro_unref(co);
	cede_agen_unref(g);
	end();
}

static int
raises_after_1(void *arg)
{
	int r = cede_agen_yield(V(1), NULL);

	return r < 0 ? r : cede_raise(strlen(arg) ? CEDE_STOP : CEDE_STOP_ASYNC, "raised");
}

Test(async_generators, the_ends_of_iteration_must_not_leave_a_body)
{
	begin();
	for (int is_stop = 0; is_stop < 2; is_stop++) {
		cede_agen_t *g = MAKE_AGEN(raises_after_1, is_stop ? "stop" : "");

		SAYS(once(asend(g, NULL)), "returns 1");
		SAYS(once(asend(g, NULL)), "raises CEDE_ESTOPITER");
		EXPECT("returns 1",
			is_stop ? "CEDE_ESTOPITER: async generator raised StopIteration, "
				  "while CEDE_STOP: raised"
				: "CEDE_ESTOPITER: async generator raised StopAsyncIteration, "
				  "while CEDE_STOP_ASYNC: raised");
		SAYS(once(asend(g, NULL)), "raises CEDE_STOP_ASYNC");
		EXPECT("None");
		cede_agen_unref(g);
	}
	end();
}

static int
says_what_it_caught(void *arg)
{
	int r = cede_agen_yield(V(1), NULL);

	HANDLE(r)
	{
		record("inside %s", chain(cede_error()));
	}
	return r;
}

/* arg: "athrow", "athrow first" or "aclose", by somebody who handles an error. */
static int
throws_while_handling(void *arg)
{
	cede_agen_t *g = MAKE_AGEN(says_what_it_caught, NULL);
	cede_agen_call_t *call = NULL;
	int r;

	if (strcmp(arg, "athrow first"))
		cr_assert_eq(cede_agen_next(g, NULL), 1);
	r = cede_raise(KEY_ERROR, "X");
	HANDLE(r)
	{
		call = strcmp(arg, "aclose") ? athrow(g, VALUE_ERROR) : aclose(g);
		r = cede_await_agen(call, NULL);
		record("outside %s", r ? chain(cede_error()) : "ended");
	}
	cede_agen_call_destroy(call);
	cede_agen_unref(g);
	return 0;
}

Test(async_generators, what_is_thrown_gets_no_context_of_the_thrower)
{
	cede_coro_t *co;

	begin();
	co = MAKE(throws_while_handling, "athrow");
	SAYS(do_send(co, NULL), "returns None");
	EXPECT("inside ValueError", "outside ValueError");
	cede_coro_unref(co);

	co = MAKE(throws_while_handling, "athrow first");
	SAYS(do_send(co, NULL), "returns None");
	EXPECT("outside ValueError");
	cede_coro_unref(co);

	co = MAKE(throws_while_handling, "aclose");
	SAYS(do_send(co, NULL), "returns None");
	EXPECT("inside CEDE_EXIT: GeneratorExit", "outside ended");
	cede_coro_unref(co);
	end();
}

/* ---- async for ---- */

static int
consumer(void *arg)
{
	cede_agen_t *g = MAKE_AGEN(ag, arg);
	void *value = NULL;
	int r;

	while ((r = cede_agen_next(g, &value)) > 0)
		record("%s", value_text(value));
	cede_agen_unref(g);
	record("consumer %s", outcome(r, NULL));
	return r;
}

Test(async_generators, iterated)
{
	cede_coro_t *co;

	begin();
	co = MAKE(consumer, "");
	SAYS(do_send(co, NULL), "yields a");
	SAYS(do_send(co, NULL), "returns None");
	EXPECT("went on", "1", "got None", "2", "got None", "finally", "consumer returns None");
	cede_coro_unref(co);
	end();
}

Test(async_generators, a_close_of_who_iterates_it)
{
	static const char *const cases[] = { "", "catches", "returns", "yields in finally" };
	cede_coro_t *co;

	begin();
	for (int i = 0; i < 4; i++) {
		co = MAKE(consumer, cases[i]);
		SAYS(do_send(co, NULL), "yields a");
		SAYS(do_close(co), "returns None");
		EXPECT("ag CEDE_EXIT", "finally", "consumer raises CEDE_EXIT");
		cede_coro_unref(co);
	}

	/* An await in its cleanup is an await in a close. */
	co = MAKE(consumer, "awaits in finally");
	SAYS(do_send(co, NULL), "yields a");
	SAYS(do_close(co), "raises CEDE_EIGNORED");
	cede_coro_unref(co);
	EXPECT("ag CEDE_EXIT", "finally", "finally went on", "consumer raises CEDE_EIGNORED");
	end();
}

Test(async_generators, a_throw_into_who_iterates_it)
{
	cede_coro_t *co;

	begin();
	co = MAKE(consumer, "");
	SAYS(do_send(co, NULL), "yields a");
	SAYS(do_throw(co, KEY_ERROR), "raises KeyError");
	EXPECT("ag KeyError", "finally", "consumer raises KeyError");
	cede_coro_unref(co);

	co = MAKE(consumer, "returns");
	SAYS(do_send(co, NULL), "yields a");
	SAYS(do_throw(co, KEY_ERROR), "returns None");
	EXPECT("ag KeyError", "finally", "consumer returns None");
	cede_coro_unref(co);

	co = MAKE(consumer, "catches");
	SAYS(do_send(co, NULL), "yields a");
	SAYS(do_throw(co, KEY_ERROR), "raises KeyError");
	EXPECT("ag KeyError", "3", "finally", "consumer raises KeyError");
	cede_coro_unref(co);

	co = MAKE(consumer, "awaits in finally");
	SAYS(do_send(co, NULL), "yields a");
	SAYS(do_throw(co, KEY_ERROR), "yields f");
	SAYS(do_send(co, NULL), "raises KeyError");
	EXPECT("ag KeyError", "finally", "finally went on", "consumer raises KeyError");
	cede_coro_unref(co);
	end();
}

/* ---- hooks, warnings ---- */

static void
first_iteration(cede_agen_t *agen, void *data)
{
	record("first iteration of %s", cede_agen_name(agen));
}

static cede_agen_t *dropped;

static void
finaliser(cede_agen_t *agen, void *data)
{
	record("dropped %s", cede_agen_name(agen));
	dropped = cede_agen_ref(agen);
}

Test(async_generators, hooks)
{
	cede_agen_t *g;

	begin();
	cr_assert_eq(cede_set_agen_hooks(first_iteration, finaliser, NULL), 0);
	cede_agen_unref(MAKE_AGEN(ag, "")); /* never started: nothing is said */

	/* Dropped before its end: the hook keeps it, and closes it later. */
	g = MAKE_AGEN(ag, "awaits in finally");
	SAYS(once(asend(g, NULL)), "a, returns 1");
	SAYS(once(asend(g, NULL)), "returns 2");
	EXPECT("first iteration of ag", "went on", "returns 1", "got None", "returns 2");
	cede_agen_unref(g);
	EXPECT("dropped ag");
	cr_assert_eq(dropped, g);
	SAYS(once(aclose(dropped)), "f, returns None");
	EXPECT("ag CEDE_EXIT", "finally", "finally went on", "returns None");
	cede_agen_unref(dropped);

	/* After its end: not. */
	g = MAKE_AGEN(ag, "");
	SAYS(once(asend(g, NULL)), "a, returns 1");
	SAYS(once(aclose(g)), "returns None");
	cede_agen_unref(g);
	EXPECT("first iteration of ag", "went on", "returns 1", "ag CEDE_EXIT", "finally",
		"returns None");
	end();
}

Test(async_generators, a_call_that_was_never_awaited)
{
	cede_agen_t *g;

	begin();
	g = MAKE_AGEN(ag, "");
	cede_agen_call_destroy(asend(g, NULL));
	cede_agen_call_destroy(athrow(g, VALUE_ERROR));
	cede_agen_call_destroy(aclose(g));
	EXPECT("warning: coroutine method 'asend' of 'ag' was never awaited",
		"warning: coroutine method 'athrow' of 'ag' was never awaited",
		"warning: coroutine method 'aclose' of 'ag' was never awaited");
	cede_agen_unref(g);
	end();
}
