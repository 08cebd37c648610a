/*
 * Every order of what can happen to a read that looks ahead, as
 * test_stream_interleavings.c. What comes is in the stream's buffer until it is taken.
 */
#include "tests/net/interleave_pair.h"

TestSuite(stream_interleavings_ahead, .timeout = 120, .init = pair_create);

static const void *lent;

/* ---- a peek ---- */

static int
peek_call(void)
{
	return (int)cede_peek(net.stream, 5, &lent);
}

static void
peek_complete(void)
{
	cr_assert_eq(send(net.peer, "hello", 5, MSG_NOSIGNAL), 5);
}

static void
peek_after(int first)
{
	if (first == 5 && !net.is_closed)
		cr_assert_arr_eq(lent, "hello", 5);
}

/* Read ahead, the bytes are gone with the stream. */
static void
peek_tear_down(int first)
{
	char rest[16];
	const ssize_t n = recv(net.ours, rest, sizeof rest, 0);

	if (first == 5)
		cr_assert(n < 0 && errno == EAGAIN);
	else
		cr_assert(n == 5 || (n < 0 && errno == EAGAIN && first == CEDE_ECANCELED));
}

static const struct operation a_peek = {
	.set_up = pair_open,
	.prepare = stream_open,
	.call = peek_call,
	.complete = peek_complete,
	.close = stream_close,
	.after = peek_after,
	.tear_down = peek_tear_down,
	.on_complete = 5,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE | IS_CALLED_ONLY | CLOSE_VOIDS,
};

INTERLEAVE(stream_interleavings_ahead, a_peek)

/* ---- a line of which half is there ---- */

static void
line_prepare(void)
{
	stream_open();
	cr_assert_eq(send(net.peer, "half", 4, MSG_NOSIGNAL), 4);
	cr_assert_eq(cede_peek(net.stream, 4, &lent), 4);
}

static int
line_call(void)
{
	char *line;
	int r = cede_read_line(net.stream, 0, &line, NULL);

	lent = line;
	return r;
}

static void
line_complete(void)
{
	cr_assert_eq(send(net.peer, " and half\n", 10, MSG_NOSIGNAL), 10);
}

/* Given up, the half that was there is there still. */
static void
line_after(int first)
{
	if (net.is_closed || !is_open())
		return;
	if (first == 1)
		cr_assert_str_eq(lent, "half and half");
	else
		cr_assert_arr_eq(cede__stream_ahead_data(net.stream), "half", 4);
}

static void
line_tear_down(int first)
{
	char rest[16];
	const ssize_t n = recv(net.ours, rest, sizeof rest, 0);

	if (first == 1)
		cr_assert(n < 0 && errno == EAGAIN);
	else
		cr_assert(n == 10 || (n < 0 && errno == EAGAIN && first == CEDE_ECANCELED));
}

static const struct operation a_line = {
	.set_up = pair_open,
	.prepare = line_prepare,
	.call = line_call,
	.complete = line_complete,
	.close = stream_close,
	.after = line_after,
	.tear_down = line_tear_down,
	.on_complete = 1,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE | IS_CALLED_ONLY | CLOSE_VOIDS,
};

INTERLEAVE(stream_interleavings_ahead, a_line)
