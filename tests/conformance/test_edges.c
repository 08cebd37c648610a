/*
 * Lib/test/test_yield_from.py, TestInterestingEdgeCases: one generator delegates
 * to another, whose `finally` does something unexpected when it is closed or
 * thrown into. Each table is one test of CPython's, each line one of its cases.
 */
#include "tests/conformance/conformance.h"

TestSuite(edges, .timeout = 20);

enum finally { NOTHING, RAISES, YIELDS, RETURNS };

struct edge {
	int thrown;         /* 0: close */
	const char *result; /* of the verb */
	const char *chain;  /* of cede_error(), where something was raised */
};

static enum finally finally;
static cede_error_t *raised;

static int
inner(void *arg)
{
	int r = cede_yield(V("first"), NULL);

	if (r == 0 && finally != YIELDS)
		r = cede_yield(V("second"), NULL);
	if (r == 0)
		return cede_return(V("returned"));
	if (finally == NOTHING)
		return r;
	if (finally == RETURNS)
		return cede_return(V("returned"));
	HANDLE(r)
	{
		int now;

		if (finally == RAISES)
			return cede_raise_error(raised);
		now = cede_yield(V("second"), NULL);
		return now < 0 ? now : r;
	}
	return r;
}

static int
outer(void *arg)
{
	void *value = NULL;
	int r = yield_from_new(inner, NULL, &value);

	return r < 0 ? r : cede_return(value);
}

static void
run(enum finally what, int raised_code, const struct edge *edges, int count)
{
	begin();
	finally = what;
	for (int i = 0; i < count; i++) {
		const struct edge *edge = &edges[i];
		cede_error_t *thrown = cede_error_create(edge->thrown, "thrown", NULL, NULL);
		cede_gen_t *g = MAKE_GEN(outer, NULL);
		const char *result;

		raised = cede_error_create(raised_code, "raised", NULL, NULL);
		SAYS(gen_send(g, NULL), "yields first");
		result = thrown ? gen_throw_error(g, thrown) : gen_close(g);
		SAYS(result, edge->result);
		if (!strcmp(result, "yields second"))
			SAYS(gen_send(g, NULL),
				edge->thrown == CEDE_STOP           ? "raises CEDE_ESTOPITER"
					: edge->thrown == KEY_ERROR ? "raises KeyError"
								    : "raises ValueError");
		if (edge->chain)
			SAYS(chain(cede_error()), edge->chain);

		SAYS(gen_send(g, NULL), "returns None");
		cede_gen_unref(g);
		cede_error_unref(raised);
		cede_error_unref(thrown);
	}
	end();
}

#define RUN(what, raised_code, ...) \
	run((what), (raised_code), (const struct edge[]){ __VA_ARGS__ }, \
		(int)(sizeof((const struct edge[]){ __VA_ARGS__ }) / sizeof(struct edge)))

Test(edges, close_and_throw_work)
{
	RUN(NOTHING, 0, { 0, "returns None", NULL },
		{ CEDE_EXIT, "raises CEDE_EXIT", "CEDE_EXIT: thrown" },
		{ CEDE_STOP, "raises CEDE_ESTOPITER",
			"CEDE_ESTOPITER: generator raised StopIteration, while CEDE_STOP: thrown" },
		{ KEY_ERROR, "raises KeyError", "KeyError: thrown" },
		{ VALUE_ERROR, "raises ValueError", "ValueError: thrown" });
}

Test(edges, close_and_throw_raise_generator_exit)
{
	RUN(RAISES, CEDE_EXIT, { 0, "returns None", NULL },
		{ CEDE_EXIT, "raises CEDE_EXIT", "CEDE_EXIT: thrown" },
		{ CEDE_STOP, "raises CEDE_EXIT", "CEDE_EXIT: raised, while CEDE_STOP: thrown" },
		{ KEY_ERROR, "raises CEDE_EXIT", "CEDE_EXIT: raised, while KeyError: thrown" },
		{ VALUE_ERROR, "raises CEDE_EXIT", "CEDE_EXIT: raised, while ValueError: thrown" });
}

#define CONVERTED "CEDE_ESTOPITER: generator raised StopIteration, while CEDE_STOP: raised, while "

Test(edges, close_and_throw_raise_stop_iteration)
{
	RUN(RAISES, CEDE_STOP, { 0, "raises CEDE_ESTOPITER", CONVERTED "CEDE_EXIT: GeneratorExit" },
		{ CEDE_EXIT, "raises CEDE_ESTOPITER", CONVERTED "CEDE_EXIT: GeneratorExit" },
		{ CEDE_STOP, "raises CEDE_ESTOPITER", CONVERTED "CEDE_STOP: thrown" },
		{ KEY_ERROR, "raises CEDE_ESTOPITER", CONVERTED "KeyError: thrown" },
		{ VALUE_ERROR, "raises CEDE_ESTOPITER", CONVERTED "ValueError: thrown" });
}

/* Of BaseException and of Exception: codes have no classes. */
Test(edges, close_and_throw_raise_an_exception)
{
	RUN(RAISES, TYPE_ERROR,
		{ 0, "raises TypeError", "TypeError: raised, while CEDE_EXIT: GeneratorExit" },
		{ CEDE_EXIT, "raises TypeError",
			"TypeError: raised, while CEDE_EXIT: GeneratorExit" },
		{ CEDE_STOP, "raises TypeError", "TypeError: raised, while CEDE_STOP: thrown" },
		{ KEY_ERROR, "raises TypeError", "TypeError: raised, while KeyError: thrown" },
		{ VALUE_ERROR, "raises TypeError", "TypeError: raised, while ValueError: thrown" });
}

Test(edges, close_and_throw_yield)
{
	RUN(YIELDS, 0,
		{ 0, "raises CEDE_EIGNORED", "CEDE_EIGNORED: generator ignored GeneratorExit" },
		{ CEDE_EXIT, "raises CEDE_EIGNORED",
			"CEDE_EIGNORED: generator ignored GeneratorExit" },
		{ CEDE_STOP, "yields second",
			"CEDE_ESTOPITER: generator raised StopIteration, while CEDE_STOP: thrown" },
		{ KEY_ERROR, "yields second", "KeyError: thrown" },
		{ VALUE_ERROR, "yields second", "ValueError: thrown" });
}

Test(edges, close_and_throw_return)
{
	RUN(RETURNS, 0, { 0, "returns None", NULL },
		{ CEDE_EXIT, "raises CEDE_EXIT", "CEDE_EXIT: thrown" },
		{ CEDE_STOP, "returns returned", NULL }, { KEY_ERROR, "returns returned", NULL },
		{ VALUE_ERROR, "returns returned", NULL });
}
