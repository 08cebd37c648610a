/* Scripted streams: net/testing_stream.c. Each step does what it says, at its byte and at its time. */
#include <cede/cede.h>
#include <cede/testing.h>

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "net/stream_int.h"
#include "tests/support/leaks.h"

TestSuite(testing_stream, .timeout = 60);

#define SCRIPT(...) ((cede_test_step_t[]){ __VA_ARGS__, { 0 } })

static cede_stream_t *ours, *theirs;
static char buffer[100];

static void
open_scripted(cede_test_stream_options_t options)
{
	cr_assert_eq(cede_test_stream(&options, &ours, &theirs), 0);
}

static int
run_body(void *arg)
{
	void (*const *fn)(void) = arg;

	(*fn)();
	cede_close(ours);
	cede_close(theirs);
	return 0;
}

static void
run_scripted(void (*fn)(void))
{
	cede_test_report_t report;

	leaks_begin();
	cr_assert_eq(cede_test_run(run_body, &fn, NULL, &report), 0, "%s", report.text);
	leaks_end();
}

#define SCRIPTED_TEST(name) \
	static void scripted_##name(void); \
	Test(testing_stream, name) \
	{ \
		run_scripted(scripted_##name); \
	} \
	static void scripted_##name(void)

static uint64_t
now_ms(void)
{
	return cede_loop_now(cede_loop_current());
}

static void
put(const char *text)
{
	cr_assert_eq(cede_write(theirs, text, strlen(text)), (ssize_t)strlen(text));
}

/* The next read brings this. */
static void
expect(const char *text)
{
	const ssize_t n = cede_read(ours, buffer, sizeof buffer);

	cr_assert_eq(n, (ssize_t)strlen(text), "%zd bytes", n);
	cr_assert_arr_eq(buffer, text, strlen(text));
}

SCRIPTED_TEST(without_a_script_it_is_a_pair)
{
	cr_assert_eq(cede_test_stream(NULL, &ours, &theirs), 0);
	put("hello");
	expect("hello");
	cr_assert_eq(cede_write(ours, "x", 1), 1);
	cr_assert_eq(cede_read(theirs, buffer, sizeof buffer), 1);
}

SCRIPTED_TEST(reads_get_so_much_and_no_more)
{
	open_scripted((cede_test_stream_options_t){ .to_ours = { .read_max = 3 } });
	put("abcdefgh");
	expect("abc");
	expect("def");
	expect("gh");
	cr_assert_eq(cede_write(ours, "the other way is free", 21), 21);
	cr_assert_eq(cede_read(theirs, buffer, sizeof buffer), 21);
}

/* A piece is followed by a wait: what is read piece by piece is not had at once. */
SCRIPTED_TEST(the_next_piece_is_not_there_at_once)
{
	cede_read_t op;

	open_scripted((cede_test_stream_options_t){ .to_ours = { .read_max = 1 } });
	put("ab");
	expect("a");
	cr_assert_eq(cede_read_start(ours, buffer, 1, &op), 0);
	cr_assert_not(op.future.is_done);
	cr_assert_eq(cede_await(&op.future), 1);
	cr_assert_eq(buffer[0], 'b');
	cr_assert_eq(cede_shutdown_write(theirs), 0);
	cr_assert_eq(cede_read(ours, buffer, 1), 0);
}

SCRIPTED_TEST(writes_are_taken_piece_by_piece)
{
	cede_write_t op;

	open_scripted((cede_test_stream_options_t){ .to_theirs = { .write_max = 2 } });
	cr_assert_eq(cede_write_start(ours, "abcdefg", 7, &op), 0);
	cr_assert_not(op.future.is_done);
	cr_assert_eq(cede_read(theirs, buffer, sizeof buffer), 2);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(cede_read(theirs, buffer + 2, sizeof buffer), 5);
	cr_assert_arr_eq(buffer, "abcdefg", 7);
}

static size_t
cut_by(uint64_t seed, size_t sizes[100])
{
	size_t count = 0;
	ssize_t n;

	open_scripted((cede_test_stream_options_t){ .to_ours = { .read_max = 9, .seed = seed } });
	for (int i = 0; i < 10; i++)
		put("0123456789");
	cr_assert_eq(cede_shutdown_write(theirs), 0);
	while ((n = cede_read(ours, buffer, sizeof buffer)) > 0)
		sizes[count++] = (size_t)n;
	cr_assert_eq(n, 0);
	cede_close(ours);
	cede_close(theirs);
	ours = theirs = NULL;
	return count;
}

SCRIPTED_TEST(a_seed_cuts_and_cuts_the_same_again)
{
	size_t a[100], b[100], c[100], total = 0;
	const size_t n = cut_by(7, a);

	cr_assert_eq(cut_by(7, b), n);
	cr_assert_arr_eq(a, b, n * sizeof *a);
	cr_assert(cut_by(8, c) != n || memcmp(a, c, n * sizeof *a) != 0);
	for (size_t i = 0; i < n; i++) {
		cr_assert(a[i] >= 1 && a[i] <= 9);
		total += a[i];
	}
	cr_assert_eq(total, 100);
	cr_assert(n > 12 && n < 50);
}

SCRIPTED_TEST(a_delay_holds_the_byte_and_what_is_behind_it)
{
	const uint64_t before = now_ms();

	open_scripted((cede_test_stream_options_t){
		.to_ours = { .steps = SCRIPT({ CEDE_TEST_DELAY, 3, 500 },
				     { CEDE_TEST_DELAY, 5, 20 }) } });
	put("abcdefgh");
	expect("abc");
	cr_assert_eq(now_ms() - before, 0);
	expect("de");
	cr_assert_eq(now_ms() - before, 500);
	expect("fgh");
	cr_assert_eq(now_ms() - before, 520);
}

/* It is the way that takes time, from when the byte was written. */
SCRIPTED_TEST(a_delay_begins_when_its_byte_is_written)
{
	uint64_t before;

	open_scripted((cede_test_stream_options_t){
		.to_ours = { .steps = SCRIPT({ CEDE_TEST_DELAY, 1, 500 }) } });
	put("a");
	expect("a");
	cr_assert_eq(cede_sleep(1000), 0);
	before = now_ms();
	put("b");
	expect("b");
	cr_assert_eq(now_ms() - before, 500);
}

SCRIPTED_TEST(the_end_can_be_late)
{
	const uint64_t before = now_ms();

	open_scripted((cede_test_stream_options_t){
		.to_ours = { .steps = SCRIPT({ CEDE_TEST_DELAY, 2, 300 }) } });
	put("ab");
	cede_close(theirs);
	theirs = NULL;
	expect("ab");
	cr_assert_eq(cede_read(ours, buffer, 1), 0);
	cr_assert_eq(now_ms() - before, 300);
}

SCRIPTED_TEST(a_reset_comes_behind_its_bytes)
{
	cede_write_t op;

	open_scripted((cede_test_stream_options_t){
		.to_ours = { .steps = SCRIPT({ CEDE_TEST_RESET, 3, 0 }) } });
	put("ab");
	expect("ab");
	cr_assert_eq(cede_write(ours, "lost", 4), 4);
	cr_assert_eq(cede_write_start(theirs, "cdef", 4, &op), 0);
	cr_assert_eq(cede_await(&op.future), CEDE_ECONNRESET);
	cr_assert_eq(op.written, 1);
	cr_assert_eq(cede_write(ours, "x", 1), CEDE_ECONNRESET);
	cr_assert_eq(cede_read(theirs, buffer, 1), CEDE_ECONNRESET);
	expect("c");
	cr_assert_eq(cede_read(ours, buffer, 1), CEDE_ECONNRESET);
}

SCRIPTED_TEST(a_reset_may_be_the_first_that_comes)
{
	open_scripted((cede_test_stream_options_t){
		.to_theirs = { .steps = SCRIPT({ CEDE_TEST_RESET, 0, 0 }) } });
	cr_assert_eq(cede_write(ours, "x", 1), CEDE_ECONNRESET);
	cr_assert_eq(cede_read(ours, buffer, 1), CEDE_ECONNRESET);
	cr_assert_eq(cede_read(theirs, buffer, 1), CEDE_ECONNRESET);
}

static int
read_into(void *arg)
{
	*(ssize_t *)arg = cede_read(ours, buffer, sizeof buffer);
	return 0;
}

SCRIPTED_TEST(a_reset_wakes_who_waits)
{
	ssize_t n = 0;

	open_scripted((cede_test_stream_options_t){
		.to_theirs = { .steps = SCRIPT({ CEDE_TEST_RESET, 3, 0 }) } });
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_into, &n), 0);
	cr_assert_eq(cede_test_wait_all_blocked(0), 0);
	cr_assert_eq(cede_write(ours, "abc", 3), 3);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(n, CEDE_ECONNRESET);
}

SCRIPTED_TEST(an_end_comes_behind_its_bytes_and_the_rest_is_lost)
{
	open_scripted((cede_test_stream_options_t){
		.to_ours = { .steps = SCRIPT({ CEDE_TEST_END, 3, 0 }) } });
	put("abcdef");
	put("more");
	expect("abc");
	cr_assert_eq(cede_read(ours, buffer, 1), 0);
	cr_assert_eq(cede_read(ours, buffer, 1), 0);
	cr_assert_eq(cede_write(ours, "x", 1), 1);
	cr_assert_eq(cede_read(theirs, buffer, 1), 1);
}

SCRIPTED_TEST(a_peer_that_takes_no_more_holds_the_writer)
{
	cede_write_t op;

	open_scripted((cede_test_stream_options_t){
		.to_theirs = { .steps = SCRIPT({ CEDE_TEST_STALL, 5, 0 }) } });
	cr_assert_eq(cede_stream_set_idle(ours, 1000), 0);
	cr_assert_eq(cede_write_start(ours, "abcdefgh", 8, &op), 0);
	cr_assert_eq(cede_read(theirs, buffer, sizeof buffer), 5);
	cr_assert_eq(cede_await(&op.future), CEDE_ETIMEDOUT);
	cr_assert_eq(op.written, 5);
}

SCRIPTED_TEST(pieces_delays_and_the_end_go_together)
{
	const uint64_t before = now_ms();
	char *line;
	size_t size;

	open_scripted((cede_test_stream_options_t){
		.to_ours = { .read_max = 1,
			.write_max = 3,
			.seed = 5,
			.steps = SCRIPT({ CEDE_TEST_DELAY, 4, 100 }, { CEDE_TEST_DELAY, 8, 100 },
				{ CEDE_TEST_END, 9, 0 }) },
		.capacity = 2 });
	cede_write_t op;
	cr_assert_eq(cede_write_start(theirs, "one\ntwo\nthree\n", 14, &op), 0);
	cr_assert_eq(cede_read_line(ours, 0, &line, &size), 1);
	cr_assert_str_eq(line, "one");
	cr_assert_eq(cede_read_line(ours, 0, &line, &size), 1);
	cr_assert_str_eq(line, "two");
	cr_assert_eq(cede_read_line(ours, 0, &line, &size), 1);
	cr_assert_str_eq(line, "t");
	cr_assert_eq(cede_read_line(ours, 0, &line, &size), 0);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(now_ms() - before, 200);
}

/* The limits' timer keeps the loop alive only while somebody waits. */
SCRIPTED_TEST(a_write_that_is_reset_before_it_waits_leaves_no_wait)
{
	open_scripted((cede_test_stream_options_t){
		.to_theirs = { .steps = SCRIPT({ CEDE_TEST_RESET, 10, 0 }) } });
	cr_assert_eq(cede_stream_set_deadline(ours, 60000), 0);
	cr_assert(ours->limits.is_weak);
	cr_assert_eq(cede_write(ours, buffer, sizeof buffer), CEDE_ECONNRESET);
	cr_assert(ours->limits.is_weak);
}

SCRIPTED_TEST(steps_that_are_no_script_are_refused)
{
	static const cede_test_step_t out_of_order[] = { { CEDE_TEST_DELAY, 5, 1 },
		{ CEDE_TEST_END, 4, 0 }, { 0 } };
	static const cede_test_step_t unknown[] = { { 5, 5, 1 }, { 0 } };

	ours = theirs = NULL;
	cr_assert_eq(cede_test_stream(
			     &(cede_test_stream_options_t){ .to_ours = { .steps = out_of_order } },
			     &ours, &theirs),
		CEDE_EINVAL);
	cr_assert_eq(
		cede_test_stream(&(cede_test_stream_options_t){ .to_theirs = { .steps = unknown } },
			&ours, &theirs),
		CEDE_EINVAL);
	cr_assert_eq(cede_test_stream(&(cede_test_stream_options_t){ .capacity = SIZE_MAX }, &ours,
			     &theirs),
		CEDE_EINVAL);
	cr_assert_null(ours);
}

Test(testing_stream, outside_all_tasks_there_is_none)
{
	cr_assert_eq(cede_test_stream(NULL, &ours, &theirs), CEDE_ENOTASK);
}

/* ---- broken at every place ---- */

static int
answer(void *arg)
{
	ssize_t n = cede_write(arg, "one\r\ntwo\r\nthree", 15);

	(void)cede_shutdown_write(arg);
	return n < 0 && n != CEDE_EPIPE && n != CEDE_ECONNRESET ? (int)n : 0;
}

static int
lines(void *arg)
{
	cede_stream_t *a, *b;
	char *line;
	int r = cede_test_stream(&(cede_test_stream_options_t){ .to_ours = { .read_max = 4,
									.write_max = 2,
									.seed = cede_test_seed(),
									.steps = SCRIPT(
										{ CEDE_TEST_DELAY,
											7,
											30 }) } },
		&a, &b);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(g);
		r = cede_spawn(&g, answer, b);
		while (r >= 0 && (r = cede_read_line(a, 0, &line, NULL)) > 0)
			cr_assert(!strcmp(line, "one") || !strcmp(line, "two") ||
				!strcmp(line, "three"));
		if (r == 0)
			r = cede_group_wait(&g);
	}
	cede_close(a);
	cede_close(b);
	return r == CEDE_ECONNRESET || r == CEDE_EPIPE ? 0 : r;
}

Test(testing_stream, nothing_is_left_whatever_breaks)
{
	cede_test_report_t report;

	cr_assert_gt(cede_test_sweep_seeds(lines, NULL, NULL, 0, 50, &report), 0, "%s",
		report.text);
	cr_assert_gt(cede_test_sweep_cancel(lines, NULL, NULL, CEDE_TEST_CANCEL_BOTH, &report), 10,
		"%s", report.text);
	cr_assert_gt(cede_test_sweep_memory(lines, NULL, NULL, CEDE_TEST_FAIL_BOTH, &report), 8,
		"%s", report.text);
}
