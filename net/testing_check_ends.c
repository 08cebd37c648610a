/* The conformance suite: what ends a stream, and what ends a wait. */
#include <string.h>

#include "net/testing_check.h"

/* ---- the end of file ---- */

/* All kinds of reads, again and again. */
CEDE_SUSPENDS static int
check_stays_ended(struct cede__check *c, cede_stream_t *stream)
{
	const void *data;
	char *line;

	for (int i = 0; i < 2; i++) {
		CHECK_IS(c, "a read behind the end", cede_read(stream, c->in, 1), 0);
		CHECK_IS(c, "a lending read behind the end", cede_read_lend(stream, &data), 0);
		CHECK_IS(c, "a line behind the end", cede_read_line(stream, 0, &line, NULL), 0);
	}
	return 0;
}

CEDE_SUSPENDS static int
check_close_is_an_end(struct cede__check *c)
{
	uint64_t at = 0;

	cede__check_fill(c->out, 5000, 0);
	CHECK_IS(c, "a write", cede_write(c->a, c->out, 5000), 5000);
	cede_close(c->a);
	c->a = NULL;
	CHECK_WELL(cede__check_read_to(c, &at, 5000));
	return check_stays_ended(c, c->b);
}

CEDE_SUSPENDS static int
check_end_wakes_the_reader(struct cede__check *c)
{
	struct cede__check_op op = { .stream = c->b, .buffer = c->in, .size = 1, .result = -1 };

	CEDE_GROUP(group);
	CHECK_WELL(cede_spawn(&group, cede__check_read_once, &op));
	CHECK_WELL(cede__check_settle(c));
	cede_close(c->a);
	c->a = NULL;
	CHECK_WELL(cede_group_wait(&group));
	CHECK_IS(c, "a read that waited for a peer that closed", op.result, 0);
	return check_stays_ended(c, c->b);
}

CEDE_SUSPENDS static int
check_half_close(struct cede__check *c)
{
	uint64_t at = 0;

	cede__check_fill(c->out, 5000, 0);
	CHECK_IS(c, "a write", cede_write(c->a, c->out, 5000), 5000);
	CHECK_IS(c, "a half-close", cede_shutdown_write(c->a), 0);
	CHECK_IS(c, "a second half-close", cede_shutdown_write(c->a), 0);
	CHECK_IS(c, "a write behind a half-close", cede_write(c->a, "x", 1), CEDE_ESHUTDOWN);
	CHECK_WELL(cede__check_read_to(c, &at, 5000));
	CHECK_WELL(check_stays_ended(c, c->b));
	for (int i = 0; i < 3; i++) {
		CHECK_IS(c, "a write to who has half-closed", cede_write(c->b, "hello", 5), 5);
		CHECK_IS(c, "a read behind its own half-close",
			cede_read_exactly(c->a, c->in, 5, NULL), 5);
		CHECK(c, memcmp(c->in, "hello", 5) == 0, "other bytes came than were written");
	}
	CHECK_IS(c, "the other's half-close", cede_shutdown_write(c->b), 0);
	return check_stays_ended(c, c->a);
}

CEDE_SUSPENDS static int
check_half_close_wakes_the_reader(struct cede__check *c)
{
	struct cede__check_op op = { .stream = c->b, .buffer = c->in, .size = 1, .result = -1 };

	CEDE_GROUP(group);
	CHECK_WELL(cede_spawn(&group, cede__check_read_once, &op));
	CHECK_WELL(cede__check_settle(c));
	CHECK_IS(c, "a half-close", cede_shutdown_write(c->a), 0);
	CHECK_WELL(cede_group_wait(&group));
	CHECK_IS(c, "a read that waited for a peer that half-closed", op.result, 0);
	return 0;
}

/* ---- one's own close ---- */

CEDE_SUSPENDS static int
check_own_close_ends_a_read(struct cede__check *c)
{
	struct cede__check_op op = { .stream = c->b, .buffer = c->in, .size = 1 };

	CEDE_GROUP(group);
	CHECK_WELL(cede_spawn(&group, cede__check_read_once, &op));
	CHECK_WELL(cede__check_settle(c));
	cede_close(c->b);
	c->b = NULL;
	CHECK_WELL(cede_group_wait(&group));
	CHECK_IS(c, "a read of a stream that another task closed", op.result, CEDE_ECANCELED);
	return 0;
}

/* What is encrypted may have taken all of it, and it has not all gone. */
static int
says_less(const struct cede__check *c, uint64_t written, uint64_t size)
{
	return written < size || (c->has & CEDE_TEST_HAS_CUTS && written == size);
}

CEDE_SUSPENDS static int
check_own_close_ends_a_write(struct cede__check *c)
{
	struct cede__check_clog clog = { 0 };

	CEDE_GROUP(group);
	CHECK_WELL(cede__check_fill_up(c, &group, &clog));
	cede_close(c->a);
	c->a = NULL;
	CHECK_WELL(cede_group_wait(&group));
	CHECK_IS(c, "a write to a stream that another task closed", clog.result, CEDE_ECANCELED);
	CHECK(c, says_less(c, clog.written, clog.to), "it says that all was written");
	return 0;
}

/* ---- the peer has gone ---- */

/* The system may take some before it learns of it. */
CEDE_SUSPENDS static int
check_write_to_nobody(struct cede__check *c)
{
	ssize_t n = 0;

	cede_close(c->b);
	c->b = NULL;
	cede__check_fill(c->out, 1000, 0);
	for (int i = 0; i < 1000 && n >= 0; i++) {
		n = cede_write(c->a, c->out, 1000);
		CHECK_WELL(cede__check_settle(c));
	}
	CHECK(c, n < 0, "a thousand writes to a peer that has gone were taken");
	if (!cede__check_is_gone(n))
		return cede__check_fail_code(c, "a write to a peer that has gone", n, CEDE_EPIPE);
	n = cede_write(c->a, "x", 1);
	CHECK(c, cede__check_is_gone(n), "a second write to a peer that has gone returned %zd", n);
	return 0;
}

CEDE_SUSPENDS static int
check_end_of_the_reader_wakes_the_writer(struct cede__check *c)
{
	struct cede__check_clog clog = { 0 };

	CEDE_GROUP(group);
	CHECK_WELL(cede__check_fill_up(c, &group, &clog));
	cede_close(c->b);
	c->b = NULL;
	CHECK_WELL(cede_group_wait(&group));
	if (!cede__check_is_gone(clog.result))
		return cede__check_fail_code(c, "a write that waited for a peer that closed",
			clog.result, CEDE_EPIPE);
	return 0;
}

/* ---- a write that is given up ---- */

/* What the other end of one that did not end in order reads. */
static int
cut_code(const struct cede__check *c)
{
	if (c->has & CEDE_TEST_HAS_RESET)
		return CEDE_ECONNRESET;
	return c->has & CEDE_TEST_HAS_CUTS ? CEDE_ETRUNCATED : 0;
}

/* To the end of what comes: no more than so much of the pattern, and then what @ret_end says. */
CEDE_SUSPENDS static int
check_rest(struct cede__check *c, uint64_t limit, ssize_t *ret_end)
{
	uint64_t at = 0;
	ssize_t n;

	while ((n = cede_read(c->b, c->in, sizeof c->in)) > 0) {
		CHECK(c, cede__check_is_pattern(c->in, (size_t)n, at),
			"the bytes from %llu on are not those that were written",
			(unsigned long long)at);
		at += (uint64_t)n;
		CHECK(c, at <= limit, "%llu bytes came of which %llu were said to be written",
			(unsigned long long)at, (unsigned long long)limit);
	}
	*ret_end = n;
	return 0;
}

/* Writes in chunks until nothing goes for a while; what is under way then is given up. */
CEDE_SUSPENDS static int
write_until_given_up(struct cede__check *c, uint64_t *ret_written)
{
	uint64_t at = 0;
	int r = 0;

	*ret_written = 0;
	CEDE_TIMEOUT(1000) {
		while (r == 0 && at < (uint64_t)256 << 20) {
			cede_write_t write;

			cede__check_fill(c->out, sizeof c->out, at);
			at += sizeof c->out;
			r = cede_write_start(c->a, c->out, sizeof c->out, &write);
			if (r == 0)
				r = cede_await(&write.future);
			*ret_written += write.written;
		}
	}
	CHECK_IS(c, "a write that is given up", r, CEDE_ETIMEDOUT);
	CHECK(c, says_less(c, *ret_written, at),
		"a write that was given up says that all was written");
	return 0;
}

CEDE_SUSPENDS static int
check_given_up_write(struct cede__check *c)
{
	uint64_t written;
	ssize_t end = 0;

	CHECK_WELL(write_until_given_up(c, &written));
	CHECK_IS(c, "a write behind one that was given up", cede_write(c->a, "x", 1), CEDE_EPIPE);
	memset(c->out, 0, sizeof c->out); /* it must not be used any more */
	if (c->has & CEDE_TEST_HAS_NO_END)
		return 0;
	CHECK_WELL(check_rest(c, written, &end));
	/* A socket that is closed with something unread in it resets, whatever its kind. So does
	 * what TLS says to itself. */
	if (end != CEDE_ECONNRESET)
		CHECK_IS(c, "a read of what was given up half-way", end, cut_code(c));
	return 0;
}

/* ---- abort ---- */

CEDE_SUSPENDS static int
check_abort(struct cede__check *c)
{
	ssize_t end = 0;

	cede__check_fill(c->out, 1000, 0);
	CHECK_IS(c, "a write", cede_write(c->a, c->out, 1000), 1000);
	cede_abort(c->a);
	c->a = NULL;
	CHECK_WELL(check_rest(c, 1000, &end));
	if (!(end == CEDE_ECONNRESET && c->has & CEDE_TEST_HAS_CUTS))
		CHECK_IS(c, "a read from a peer that has aborted", end, cut_code(c));
	CHECK_IS(c, "the next", cede_read(c->b, c->in, 1), end);
	return 0;
}

CEDE_SUSPENDS static int
check_abort_ends_what_waits(struct cede__check *c)
{
	struct cede__check_op mine = { .stream = c->a, .buffer = c->out, .size = 1 };
	struct cede__check_op other = { .stream = c->b, .buffer = c->in, .size = 1, .result = -1 };

	CEDE_GROUP(group);
	if (c->has & CEDE_TEST_HAS_BOTH_WAYS)
		CHECK_WELL(cede_spawn(&group, cede__check_read_once, &mine));
	CHECK_WELL(cede_spawn(&group, cede__check_read_once, &other));
	CHECK_WELL(cede__check_settle(c));
	cede_abort(c->a);
	c->a = NULL;
	CHECK_WELL(cede_group_wait(&group));
	if (!(other.result == CEDE_ECONNRESET && c->has & CEDE_TEST_HAS_CUTS))
		CHECK_IS(c, "a read that waited for a peer that aborted", other.result,
			cut_code(c));
	if (c->has & CEDE_TEST_HAS_BOTH_WAYS)
		CHECK_IS(c, "a read of a stream that another task aborted", mine.result,
			CEDE_ECANCELED);
	return 0;
}

/* ---- limits ---- */

static int64_t
since(uint64_t before)
{
	return (int64_t)(cede_loop_now(cede_loop_current()) - before);
}

CEDE_SUSPENDS static int
check_idle_read(struct cede__check *c)
{
	const uint64_t before = cede_loop_now(cede_loop_current());

	CHECK_IS(c, "setting the idle limit", cede_stream_set_idle(c->b, 1000), 0);
	CHECK_IS(c, "a read beyond the idle limit", cede_read(c->b, c->in, 1), CEDE_ETIMEDOUT);
	CHECK_IS(c, "the time it took", since(before), 1000);
	CHECK_IS(c, "the next read", cede_read(c->b, c->in, 1), CEDE_ETIMEDOUT);
	CHECK_IS(c, "the time both took", since(before), 1000);
	return 0;
}

/* In chunks, as fast as they go: nothing moves any more when the peer does not read. */
CEDE_SUSPENDS static int
check_idle_write(struct cede__check *c)
{
	struct cede__check_clog clog = { 0 };
	uint64_t before;

	CEDE_GROUP(group);
	CHECK_IS(c, "setting the idle limit", cede_stream_set_idle(c->a, 1000), 0);
	before = cede_loop_now(cede_loop_current());
	CHECK_WELL(cede__check_fill_up(c, &group, &clog));
	CHECK_WELL(cede_group_wait(&group));
	CHECK_IS(c, "a write beyond the idle limit", clog.result, CEDE_ETIMEDOUT);
	CHECK(c, since(before) >= 1000 && since(before) <= 2000,
		"a write beyond an idle limit of 1000 ms took %lld ms", (long long)since(before));
	CHECK_IS(c, "the next write", cede_write(c->a, "x", 1), CEDE_ETIMEDOUT);
	return 0;
}

/* Who sends a byte now and then is not idle; the deadline does not look at that. */
CEDE_SUSPENDS static int
check_deadline(struct cede__check *c)
{
	const uint64_t before = cede_loop_now(cede_loop_current());

	CHECK_IS(c, "setting the idle limit", cede_stream_set_idle(c->b, 1000), 0);
	CHECK_IS(c, "setting the deadline", cede_stream_set_deadline(c->b, 5000), 0);
	for (int i = 0; i < 5; i++) {
		CHECK_IS(c, "a write", cede_write(c->a, "x", 1), 1);
		CHECK_WELL(cede__check_settle(c));
		CHECK_IS(c, "a read within all limits", cede_read(c->b, c->in, 1), 1);
		CHECK_WELL(cede_sleep(900));
	}
	CHECK_IS(c, "a read beyond the deadline", cede_read(c->b, c->in, 1), CEDE_ETIMEDOUT);
	CHECK_IS(c, "the time it took", since(before), 5000);
	CHECK_IS(c, "the next read", cede_read(c->b, c->in, 1), CEDE_ETIMEDOUT);
	return 0;
}

const struct cede__check_entry cede__checks_of_ends[] = {
	{ "a close is the other's end of file", check_close_is_an_end, 0, CEDE_TEST_HAS_NO_END },
	{ "a close wakes the other's reader", check_end_wakes_the_reader, 0, CEDE_TEST_HAS_NO_END },
	{ "a half-close", check_half_close, CEDE_TEST_HAS_BOTH_WAYS | CEDE_TEST_HAS_HALF_CLOSE, 0 },
	{ "a half-close wakes the other's reader", check_half_close_wakes_the_reader,
		CEDE_TEST_HAS_HALF_CLOSE, 0 },
	{ "a close ends one's own read", check_own_close_ends_a_read, 0, 0 },
	{ "a close ends one's own write", check_own_close_ends_a_write, 0, 0 },
	{ "a write to a peer that has gone fails", check_write_to_nobody, 0, CEDE_TEST_HAS_NO_END },
	{ "a close wakes the other's writer", check_end_of_the_reader_wakes_the_writer, 0,
		CEDE_TEST_HAS_NO_END },
	{ "a write that is given up ends the stream", check_given_up_write, 0, 0 },
	{ "an abort", check_abort, 0, CEDE_TEST_HAS_NO_END },
	{ "an abort ends what waits", check_abort_ends_what_waits, 0, CEDE_TEST_HAS_NO_END },
	{ "the idle limit ends a read", check_idle_read, 0, 0 },
	{ "the idle limit ends a write", check_idle_write, 0, 0 },
	{ "the deadline ends whatever moves", check_deadline, 0, 0 },
	{ NULL, NULL, 0, 0 },
};
