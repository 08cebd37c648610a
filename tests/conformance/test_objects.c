/* Rows 57 to 65 and 80 to 83 of docs/semantics.md: what can be seen of a coroutine, and the rest. */
#include <pthread.h>

#if __has_include(<execinfo.h>) /* musl has none */
#include <execinfo.h>
#define HAS_BACKTRACE 1
#else
#define HAS_BACKTRACE        0
#define backtrace(frames, n) ((void)(frames), 0)
#endif

#include "tests/conformance/conformance.h"

TestSuite(conformance, .timeout = 20);

static cede_coro_t *root, *middle, *leaf;

static int
leaf_looks(void *arg)
{
	for (int i = 0; i < 2; i++) {
		int r;

		record("root %s, middle %s, leaf %s", state(root), state(middle), state(leaf));
		cr_assert_eq(cede_coro_current(), leaf);
		cr_assert_null(cede_coro_awaiting(root));
		cr_assert_null(cede_coro_awaiting(middle));
		cr_assert_null(cede_coro_awaiting(leaf));
		r = i == 0 ? cede_yield(V(1), NULL) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int
middle_looks(void *arg)
{
	int r = cede_await_coro(leaf, NULL);

	record("root %s, middle %s, leaf %s", state(root), state(middle), state(leaf));
	cr_assert_eq(cede_coro_current(), middle);
	return r;
}

static int
root_looks(void *arg)
{
	int r;

	cr_assert_null(cede_coro_awaiting(root));
	r = cede_await_coro(middle, NULL);
	record("root %s, middle %s, leaf %s", state(root), state(middle), state(leaf));
	cr_assert_null(cede_coro_awaiting(root));
	if (r == 0)
		r = cede_yield(V(2), NULL);
	return r;
}

static void
make_three(void)
{
	root = MAKE(root_looks, NULL);
	middle = MAKE(middle_looks, NULL);
	leaf = MAKE(leaf_looks, NULL);
}

static void
drop_three(void)
{
	cede_coro_unref(root);
	cede_coro_unref(middle);
	cede_coro_unref(leaf);
}

Test(conformance, row_57_running_and_suspended)
{
	begin();
	make_three();
	SAYS(do_send(root, NULL), "yields 1");
	EXPECT("root running, middle running, leaf running");
	SAYS(state(root), "suspended");
	SAYS(state(middle), "suspended");
	SAYS(state(leaf), "suspended");
	SAYS(do_send(root, NULL), "yields 2");
	EXPECT("root running, middle running, leaf running",
		"root running, middle running, leaf closed",
		"root running, middle closed, leaf closed");
	SAYS(do_send(root, NULL), "returns None");
	drop_three();
	end();
}

Test(conformance, row_58_what_it_awaits_is_seen_while_it_is_suspended)
{
	begin();
	make_three();
	cr_assert_null(cede_coro_awaiting(root));
	SAYS(do_send(root, NULL), "yields 1");
	cr_assert_eq(cede_coro_awaiting(root), middle);
	cr_assert_eq(cede_coro_awaiting(middle), leaf);
	cr_assert_null(cede_coro_awaiting(leaf));
	SAYS(do_send(root, NULL), "yields 2");
	cr_assert_null(cede_coro_awaiting(root));
	SAYS(do_close(root), "returns None");
	cr_assert_null(cede_coro_awaiting(root));
	EXPECT("root running, middle running, leaf running",
		"root running, middle running, leaf running",
		"root running, middle running, leaf closed",
		"root running, middle closed, leaf closed");
	drop_three();
	end();
}

static int
yields_1(void *arg)
{
	return cede_yield(V(1), NULL);
}

Test(conformance, row_59_a_frame_is_there_until_the_end)
{
	cede_coro_t *co;

	begin();
	co = MAKE(yields_1, NULL);
	cr_assert_eq(cede_coro_stack_used(co), 0); /* taken at the first send */
	SAYS(do_send(co, NULL), "yields 1");
	cr_assert_gt(cede_coro_stack_used(co), 0);
	SAYS(do_close(co), "returns None");
	cr_assert_eq(cede_coro_stack_used(co), 0);
	cede_coro_unref(co);
	end();
}

static int
counts_frames(void *arg)
{
	void *frames[64];

	return cede_return(V(backtrace(frames, 64)));
}

static int __attribute__((noinline)) frames_seen_from(int depth)
{
	volatile int below = 0;

	if (depth > 0) {
		below = frames_seen_from(depth - 1);
	} else {
		cede_coro_t *co = MAKE(counts_frames, NULL);
		void *count = NULL;

		cr_assert_eq(cede_coro_send(co, NULL, &count), 0);
		cede_coro_unref(co);
		below = (int)(intptr_t)count;
	}
	return below;
}

Test(conformance, row_60_a_backtrace_ends_at_the_coroutines_entry)
{
	int shallow, deep;

	if (!HAS_BACKTRACE)
		cr_skip("no backtrace()");
	begin();
	shallow = frames_seen_from(0);
	deep = frames_seen_from(20);
	cr_assert_eq(shallow, deep, "%d frames, %d where the resumer is deep", shallow, deep);
	cr_assert_leq(shallow, 8);
	end();
}

Test(conformance, row_61_the_states)
{
	cede_coro_t *co;

	begin();
	co = MAKE(yields_1, NULL);
	cr_assert_eq(cede_coro_state(co), CEDE_CORO_CREATED);
	SAYS(do_send(co, NULL), "yields 1");
	cr_assert_eq(cede_coro_state(co), CEDE_CORO_SUSPENDED);
	SAYS(do_send(co, NULL), "returns None");
	cr_assert_eq(cede_coro_state(co), CEDE_CORO_CLOSED);
	cede_coro_unref(co);

	make_three(); /* running: row 57 */
	SAYS(do_send(root, NULL), "yields 1");
	SAYS(do_close(root), "returns None");
	EXPECT("root running, middle running, leaf running",
		"root running, middle running, leaf closed",
		"root running, middle closed, leaf closed");
	drop_three();
	end();
}

/* Depth 0 of Python's is depth 1 here: the place costs nothing to keep. */
Test(conformance, row_63_without_tracking_the_place_is_known)
{
	void *const *frames = NULL;
	char here[256];
	cede_coro_t *co;
	int r;

	begin();
	snprintf(here, sizeof here, "%s:%d", __FILE__, __LINE__ + 1);
	r = cede_coro_create(&co, yields_1, NULL, NULL);
	cr_assert_eq(r, 0);
	SAYS(cede_coro_place(co), here);
	SAYS(cede_coro_name(co), "yields_1");
	cr_assert_eq(cede_coro_origin(co, &frames), 0);
	cr_assert_null(frames);
	cede_coro_close(co, NULL);
	cede_coro_unref(co);

	/* By the function rather than the macro: not known. */
	r = (cede_coro_create)(&co, yields_1, NULL, NULL);
	cr_assert_eq(r, 0);
	SAYS(cede_coro_place(co), "");
	cr_assert_not_null(cede_coro_name(co));
	cede_coro_close(co, NULL);
	cede_coro_unref(co);
	end();
}

/* Where it goes on in its own caller: the frame above that of the create. */
static void *__attribute__((noinline)) creates(cede_coro_t **ret_coro)
{
	void *caller = __builtin_return_address(0);
	int r = cede_coro_create(ret_coro, yields_1, NULL, NULL);

	cr_assert_eq(r, 0);
	return caller;
}

Test(conformance, row_64_with_tracking_the_frames_are_innermost_first)
{
	void *const *frames = NULL;
	void *caller;
	cede_coro_t *co;

	if (!HAS_BACKTRACE)
		cr_skip("no backtrace()");
	begin();
	cr_assert_eq(cede_set_origin_depth(2), 0);
	caller = creates(&co);
	cr_assert_eq(cede_coro_origin(co, &frames), 2);
	cr_assert_eq(frames[1], caller);
	cr_assert_not_null(frames[0]);
	cede_coro_close(co, NULL);
	cede_coro_unref(co);

	/* It stops where the frames run out. */
	cr_assert_eq(cede_set_origin_depth(1000), 2);
	caller = creates(&co);
	cr_assert_gt(cede_coro_origin(co, &frames), 2);
	cr_assert_lt(cede_coro_origin(co, &frames), 1000);
	cr_assert_eq(frames[1], caller);
	cede_coro_close(co, NULL);
	cede_coro_unref(co);

	cede_set_origin_depth(0);
	creates(&co);
	cr_assert_eq(cede_coro_origin(co, &frames), 0);
	cede_coro_close(co, NULL);
	cede_coro_unref(co);
	end();
}

Test(conformance, row_65_a_negative_depth_changes_nothing)
{
	begin();
	cr_assert_eq(cede_set_origin_depth(3), 0);
	cr_assert_eq(cede_set_origin_depth(-1), CEDE_EINVAL);
	cr_assert_eq(cede_set_origin_depth(0), 3);
	end();
}

Test(conformance, row_81_the_name_can_be_set)
{
	const cede_coro_options_t options = { .name = "given" };
	char name[] = "mine";
	cede_coro_t *co;

	begin();
	co = MAKE(yields_1, NULL);
	SAYS(cede_coro_name(co), "yields_1");
	cr_assert_eq(cede_coro_set_name(co, NULL), CEDE_EINVAL);
	SAYS(cede_coro_name(co), "yields_1");
	cr_assert_eq(cede_coro_set_name(co, name), 0);
	memset(name, 'x', sizeof name - 1);
	SAYS(cede_coro_name(co), "mine");
	cr_assert_eq(cede_coro_set_name(co, cede_coro_name(co)), 0);
	SAYS(cede_coro_name(co), "mine");
	cede_coro_unref(co);
	EXPECT("warning: coroutine 'mine' was never awaited");

	co = make_at(yields_1, NULL, &options, CEDE_SITE("yields_1"));
	SAYS(cede_coro_name(co), "given");
	SAYS(do_send(co, NULL), "yields 1");
	cr_assert_eq(cede_coro_set_name(co, "while it is suspended"), 0);
	SAYS(do_close(co), "returns None");
	SAYS(cede_coro_name(co), "while it is suspended");
	cede_coro_unref(co);
	end();
}

/* ---- row 82: a scheduler needs send(NULL) and throw ---- */

static int
sleeps(int turns)
{
	int r = 0;

	for (int i = 0; i < turns && r == 0; i++)
		r = cede_yield(NULL, NULL);
	return r;
}

static int
enters(void *arg)
{
	int r;

	record("1");
	r = sleeps(2);
	record("2");
	return r;
}

static int
leaves(void *arg)
{
	int r = sleeps(2);

	record("%s", (char *)arg);
	return r;
}

static int
with_a_manager(void *arg)
{
	int r = await_new(enters, NULL, NULL);

	if (r < 0)
		return r;
	r = sleeps(1);
	if (r == 0)
		r = cede_raise(MARKER, "%s", "");
	HANDLE(r)
	{
		int left = await_new(leaves, code_text(r), NULL);

		if (left < 0)
			return left;
	}
	return r;
}

Test(conformance, row_82_send_and_throw_are_all_that_a_scheduler_needs)
{
	cede_coro_t *tasks[2];
	int r[2] = { 1, 1 };

	begin();
	tasks[0] = MAKE(with_a_manager, NULL);
	tasks[1] = MAKE(with_a_manager, NULL);
	for (int turn = 0; r[0] > 0 || r[1] > 0; turn++) {
		cr_assert_lt(turn, 20);
		for (int i = 0; i < 2; i++)
			if (r[i] > 0)
				r[i] = turn == 3 && i == 1
					? cede_coro_throw(tasks[i], VALUE_ERROR, NULL)
					: cede_coro_send(tasks[i], NULL, NULL);
	}
	cr_assert_eq(r[0], MARKER);
	cr_assert_eq(r[1], VALUE_ERROR);
	EXPECT("1", "1", "2", "2", "Marker", "ValueError");
	cede_coro_unref(tasks[0]);
	cede_coro_unref(tasks[1]);
	end();
}

/* ---- row 83: threads ---- */

static int
awaits_arg(void *arg)
{
	return cede_await_coro(arg, NULL);
}

static void *
tries_all_verbs(void *arg)
{
	cede_coro_t *co = arg, *awaiter;

	SAYS(do_send(co, NULL), "raises CEDE_EWRONGTHREAD");
	SAYS(do_throw(co, VALUE_ERROR), "raises CEDE_EWRONGTHREAD");
	SAYS(do_throw(co, CEDE_EXIT), "raises CEDE_EWRONGTHREAD");
	SAYS(do_close(co), "raises CEDE_EWRONGTHREAD");

	/* It was started, which is found out first. */
	awaiter = MAKE(awaits_arg, co);
	SAYS(do_send(awaiter, NULL), "raises CEDE_EAWAITED");
	cede_coro_unref(awaiter);
	return NULL;
}

static void *
closes_a_finished_one(void *arg)
{
	SAYS(do_close(arg), "returns None");
	SAYS(do_send(arg, NULL), "raises CEDE_EREUSED");
	return NULL;
}

static void *
resumes_and_finishes(void *arg)
{
	SAYS(do_send(arg, NULL), "yields 1");
	SAYS(do_send(arg, NULL), "returns None");
	return NULL;
}

static void
on_a_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, fn, arg), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
}

Test(conformance, row_83_it_belongs_to_the_thread_of_its_first_resume)
{
	cede_coro_t *co;

	begin();
	co = MAKE(yields_1, NULL);
	SAYS(do_send(co, NULL), "yields 1");
	on_a_thread(tries_all_verbs, co);
	SAYS(state(co), "suspended");
	SAYS(do_send(co, NULL), "returns None");
	on_a_thread(closes_a_finished_one, co);
	cede_coro_unref(co);

	/* Made here, resumed first over there. */
	co = MAKE(yields_1, NULL);
	on_a_thread(resumes_and_finishes, co);
	SAYS(state(co), "closed");
	cede_coro_unref(co);
	end();
}
