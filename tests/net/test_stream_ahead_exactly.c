/* Reading exactly so many bytes: net/stream_ahead.c. */
#include "tests/net/ahead.h"

TestSuite(stream_ahead_exactly, .timeout = 60);

static size_t wanted;

static void
read_blocks(cede_stream_t *s, struct transcript *t)
{
	char block[64];
	size_t got;
	ssize_t n;

	while ((n = cede_read_exactly(s, block, wanted, &got)) > 0) {
		cr_assert_eq(n, (ssize_t)wanted);
		cr_assert_eq(got, wanted);
		note(t, "[", block, got, "]");
	}
	if (n == CEDE_EOF)
		note(t, "{", block, got, "}");
	else
		cr_assert_eq(got, 0);
	note_result(t, n);
}

static void
expect_blocks(size_t size, const char *data, const char *expected)
{
	wanted = size;
	expect_however_cut(data, strlen(data), read_blocks, expected);
}

TASK_TEST(stream_ahead_exactly, fills_the_buffer_however_it_comes)
{
	expect_blocks(1, "abc", "[a][b][c]<end>");
	expect_blocks(3, "abcdef", "[abc][def]<end>");
	expect_blocks(6, "abcdef", "[abcdef]<end>");
	expect_blocks(3, "", "<end>");
}

TASK_TEST(stream_ahead_exactly, the_end_of_file_in_the_middle_is_an_error_and_what_came_is_there)
{
	expect_blocks(3, "abcd", "[abc]{d}<cut>");
	expect_blocks(7, "abcdef", "{abcdef}<cut>");
}

ENDS_TEST(stream_ahead_exactly, no_bytes_are_had_at_once)
{
	size_t got = 7;

	cr_assert_eq(cede_read_exactly(e->stream, NULL, 0, &got), 0);
	cr_assert_eq(got, 0);
	cr_assert_eq(cede_read_exactly(e->stream, NULL, 0, NULL), 0);
}

ENDS_TEST(stream_ahead_exactly, no_buffer_is_larger_than_memory)
{
	size_t got = 7;
	char byte;

	cr_assert_eq(cede_read_exactly(e->stream, &byte, (size_t)SSIZE_MAX + 1, &got), CEDE_EINVAL);
	cr_assert_eq(got, 0);
}

ENDS_TEST(stream_ahead_exactly, begins_with_what_was_read_ahead)
{
	char buffer[8], *line;

	say(e, "line\nabc");
	cr_assert_eq(cede_read_line(e->stream, 0, &line, NULL), 1);
	cr_assert_gt(cede__stream_ahead(e->stream), 0);
	cr_assert_eq(cede_read_exactly(e->stream, buffer, 2, NULL), 2);
	cr_assert_arr_eq(buffer, "ab", 2);
	cr_assert_eq(cede_read_exactly(e->stream, buffer, 1, NULL), 1);
	cr_assert_eq(buffer[0], 'c');
	cr_assert_null(e->stream->buffer, "nothing is left in it");
}

/* Straight into the caller's memory, with no buffer in between. */
TASK_TEST(stream_ahead_exactly, much_goes_straight_into_the_callers_memory)
{
	const size_t much = 3 << 20;
	char *input = malloc(much), *output = malloc(much);
	struct ends e;
	struct feed f = { &e, input, much, .piece = 100000 };

	peer_fill(input, much, 0);
	ends_open(&e);
	{
		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn(&g, feed, &f), 0);
		cr_assert_eq(cede_read_exactly(e.stream, output, much, NULL), much);
		cr_assert_null(e.stream->buffer);
		cr_assert_eq(cede_group_wait(&g), 0);
	}
	cr_assert_arr_eq(input, output, much);
	ends_close(&e);
	free(input);
	free(output);
}

/* ---- given up, at each step ---- */

struct reading {
	cede_stream_t *stream;
	char buffer[8];
	size_t got;
	ssize_t result;
	int has_ended;
};

static int
read_six(void *arg)
{
	struct reading *r = arg;

	r->result = cede_read_exactly(r->stream, r->buffer, 6, &r->got);
	r->has_ended = 1;
	return 0;
}

/* Waits until it has these bytes and waits for more. */
static void
feed_part(struct ends *e, const char *text, size_t size)
{
	if (size == 0)
		return;
	cr_assert_eq(peer_send(e->peer, text, size), 0);
	while (unread_by(e->stream) > 0 || !e->stream->reader)
		let_others_run();
}

typedef void end_fn(struct ends *e, cede_group_t *group);

static void
by_cancel(struct ends *e, cede_group_t *group)
{
	cede_group_cancel(group);
}

static void
by_close(struct ends *e, cede_group_t *group)
{
	cede_close(e->stream);
	e->stream = NULL;
}

static void
by_abort(struct ends *e, cede_group_t *group)
{
	cede_abort(e->stream);
	e->stream = NULL;
}

static void
by_idleness(struct ends *e, cede_group_t *group)
{
	cr_assert_eq(cede_stream_set_idle(e->stream, 1), 0);
}

static void
by_peer(struct ends *e, cede_group_t *group)
{
	hang_up(e);
}

static void
expect_at_each_step(end_fn *end, ssize_t result)
{
	for (size_t step = 0; step < 6; step++) {
		struct reading r = { .stream = NULL };
		struct ends e;

		ends_open(&e);
		r.stream = e.stream;
		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn(&g, read_six, &r), 0);
		let_others_run();
		for (size_t i = 0; i < step; i++)
			feed_part(&e, &"abcdef"[i], 1);
		end(&e, &g);
		while (!r.has_ended)
			let_others_run();
		cr_assert_eq(r.got, step);
		cr_assert_arr_eq(r.buffer, "abcdef", step);
		cr_assert_eq(r.result, result == CEDE_EOF && step == 0 ? 0 : result);
		cr_assert_leq(cede_group_wait(&g), 0);
		ends_close(&e);
	}
}

TASK_TEST(stream_ahead_exactly, cancelled_it_says_how_far_it_came)
{
	expect_at_each_step(by_cancel, CEDE_EXIT);
}

TASK_TEST(stream_ahead_exactly, closed_by_another_task_it_says_how_far_it_came)
{
	expect_at_each_step(by_close, CEDE_ECANCELED);
	expect_at_each_step(by_abort, CEDE_ECANCELED);
}

TASK_TEST(stream_ahead_exactly, out_of_time_it_says_how_far_it_came)
{
	expect_at_each_step(by_idleness, CEDE_ETIMEDOUT);
}

TASK_TEST(stream_ahead_exactly, left_by_the_peer_it_says_how_far_it_came)
{
	expect_at_each_step(by_peer, CEDE_EOF);
}

/* The last byte and the close come in the same turn: it is whole. */
ENDS_TEST(stream_ahead_exactly, a_close_behind_the_last_byte_does_not_take_it_back)
{
	struct reading r = { .stream = e->stream };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_six, &r), 0);
	let_others_run();
	feed_part(e, "abcde", 5);
	cr_assert_eq(peer_send(e->peer, "f", 1), 0);
	cede__stream_readable(e->stream);
	by_close(e, &g);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 6);
	cr_assert_arr_eq(r.buffer, "abcdef", 6);
}

ENDS_TEST(stream_ahead_exactly, a_close_behind_another_byte_ends_it)
{
	struct reading r = { .stream = e->stream };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_six, &r), 0);
	let_others_run();
	cr_assert_eq(peer_send(e->peer, "a", 1), 0);
	cede__stream_readable(e->stream);
	by_close(e, &g);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_ECANCELED);
	cr_assert_eq(r.got, 1);
}

ENDS_TEST(stream_ahead_exactly, in_a_task_that_is_being_closed_nothing_is_read)
{
	char buffer[8];
	size_t got = 7;

	say(e, "abc");
	close_oneself();
	cr_assert_eq(cede_read_exactly(e->stream, buffer, 3, &got), CEDE_EXIT);
	cr_assert_eq(got, 0);
}
