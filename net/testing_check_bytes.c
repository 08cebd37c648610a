/* The conformance suite: bytes come, once and in order, and whoever waits waits for the right thing. */
#include <string.h>

#include "net/testing_check.h"

#define TRANSFER 150000

/* ---- small ---- */

CEDE_SUSPENDS static int
check_bytes_come(struct cede__check *c)
{
	static const size_t sizes[] = { 1, 2, 3, 100, 1, 4096, 1000 };
	uint64_t at = 0;

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		cede__check_fill(c->out, sizes[i], at);
		CHECK_IS(c, "a write", cede_write(c->a, c->out, sizes[i]), (int64_t)sizes[i]);
		CHECK_WELL(cede__check_read_to(c, &at, at + sizes[i]));
	}
	return 0;
}

CEDE_SUSPENDS static int
check_waiting_reader(struct cede__check *c)
{
	struct cede__check_op op = { .stream = c->b, .buffer = c->in, .size = 100 };
	uint64_t at;

	CEDE_GROUP(group);
	CHECK_WELL(cede_spawn(&group, cede__check_read_once, &op));
	CHECK_WELL(cede__check_settle(c));
	CHECK(c, !op.is_done, "a read returned %zd before anything was written", op.result);
	cede__check_fill(c->out, 10, 0);
	CHECK_IS(c, "a write", cede_write(c->a, c->out, 10), 10);
	CHECK_WELL(cede_group_wait(&group));
	CHECK(c, op.result > 0 && op.result <= 10, "a read that waited returned %zd of 10 bytes",
		op.result);
	CHECK(c, cede__check_is_pattern(c->in, (size_t)op.result, 0),
		"a read that waited got other bytes than were written");
	at = (uint64_t)op.result;
	return cede__check_read_to(c, &at, 10);
}

CEDE_SUSPENDS static int
check_nothing(struct cede__check *c)
{
	CHECK_IS(c, "a write of nothing", cede_write(c->a, c->out, 0), 0);
	CHECK_IS(c, "a write of no pieces", cede_writev(c->a, NULL, 0), 0);
	CHECK_IS(c, "a read of nothing", cede_read(c->b, c->in, 0), CEDE_EINVAL);
	c->out[0] = 'x';
	CHECK_IS(c, "a write", cede_write(c->a, c->out, 1), 1);
	CHECK_IS(c, "a read", cede_read(c->b, c->in, sizeof c->in), 1);
	CHECK(c, c->in[0] == 'x', "a byte came that was not written");
	return 0;
}

/* Empty ones too, and more than go in one call of the system's. */
CEDE_SUSPENDS static int
check_pieces(struct cede__check *c)
{
	struct iovec pieces[200];
	uint64_t at = 0;
	size_t size = 0;

	for (size_t i = 0; i < 200; size += i % 7, i++)
		pieces[i] = (struct iovec){ .iov_base = c->out + size, .iov_len = i % 7 };
	cede__check_fill(c->out, size, 0);
	CHECK_IS(c, "a write of pieces", cede_writev(c->a, pieces, 200), (int64_t)size);
	return cede__check_read_to(c, &at, size);
}

/* ---- one reader, one writer ---- */

CEDE_SUSPENDS static int
check_second_reader(struct cede__check *c)
{
	struct cede__check_op op = { .stream = c->b, .buffer = c->in, .size = 100 };
	cede_read_t read;
	const void *data;
	char byte;

	CEDE_GROUP(group);
	CHECK_WELL(cede_spawn(&group, cede__check_read_once, &op));
	CHECK_WELL(cede__check_settle(c));
	CHECK_IS(c, "a second reader", cede_read(c->b, &byte, 1), CEDE_EBUSY);
	CHECK_IS(c, "a second reader's start", cede_read_start(c->b, &byte, 1, &read), CEDE_EBUSY);
	CHECK_IS(c, "a second reader, that is lent to", cede_read_lend(c->b, &data), CEDE_EBUSY);
	CHECK_IS(c, "a second reader, that peeks", cede_peek(c->b, 1, &data), CEDE_EBUSY);
	CHECK(c, !op.is_done, "a second reader ended the first one's read");
	cede__check_fill(c->out, 1, 0);
	CHECK_IS(c, "a write", cede_write(c->a, c->out, 1), 1);
	CHECK_WELL(cede_group_wait(&group));
	CHECK(c, op.result == 1 && c->in[0] == c->out[0],
		"the first reader got %zd when a second was refused", op.result);
	return 0;
}

CEDE_SUSPENDS static int
check_second_writer(struct cede__check *c)
{
	struct cede__check_clog clog = { 0 };
	cede_write_t write;
	uint64_t at = 0;

	CEDE_GROUP(group);
	CHECK_WELL(cede__check_fill_up(c, &group, &clog));
	CHECK_IS(c, "a second writer", cede_write(c->a, "x", 1), CEDE_EBUSY);
	CHECK_IS(c, "a second writer's start", cede_write_start(c->a, "x", 1, &write), CEDE_EBUSY);
	CHECK_IS(c, "a half-close under a write", cede_shutdown_write(c->a), CEDE_EBUSY);
	clog.stops = 1;
	CHECK_WELL(cede__check_read_to(c, &at, clog.to));
	CHECK_WELL(cede_group_wait(&group));
	CHECK_IS(c, "the first writer", clog.result, 0);
	return 0;
}

/* ---- much ---- */

CEDE_SUSPENDS static int
check_held_back(struct cede__check *c)
{
	struct cede__check_clog clog = { 0 };
	uint64_t at = 0;

	CEDE_GROUP(group);
	CHECK_WELL(cede__check_fill_up(c, &group, &clog));
	CHECK_WELL(cede_sleep(60000));
	CHECK(c, !clog.is_done, "a write to a peer that does not read ended by itself");
	clog.stops = 1;
	CHECK_WELL(cede__check_read_to(c, &at, clog.to));
	CHECK_WELL(cede_group_wait(&group));
	CHECK_IS(c, "a write that was held back", clog.result, 0);
	CHECK(c, clog.written == clog.to, "a write of %llu bytes says that it wrote %llu",
		(unsigned long long)clog.to, (unsigned long long)clog.written);
	return 0;
}

/* One half of a transfer. */
struct half {
	struct cede__check *check;
	cede_stream_t *stream;
	uint64_t from; /* where its pattern begins */
	char *buffer;
};

/* Now and then: who does not write, or read, for a while. */
CEDE_SUSPENDS static int
dawdle(struct cede__check *c)
{
	return cede__check_draw(c, 40) == 1 ? cede_sleep(cede__check_draw(c, 3) - 1) : 0;
}

static int
send_half(void *arg)
{
	const struct half *h = arg;
	struct cede__check *c = h->check;

	for (size_t at = 0, n; at < TRANSFER; at += n) {
		n = cede__check_draw(c, cede__check_draw(c, 2) == 1 ? 20 : 20000);
		n = n < TRANSFER - at ? n : TRANSFER - at;
		cede__check_fill(h->buffer, n, h->from + at);
		CHECK_IS(c, "a write", cede_write(h->stream, h->buffer, n), (int64_t)n);
		CHECK_WELL(dawdle(c));
	}
	return 0;
}

static int
receive_half(void *arg)
{
	const struct half *h = arg;
	struct cede__check *c = h->check;

	for (size_t at = 0; at < TRANSFER;) {
		size_t size = cede__check_draw(c, cede__check_draw(c, 2) == 1 ? 20 : 20000);
		ssize_t n;

		size = size < TRANSFER - at ? size : TRANSFER - at;
		n = cede_read(h->stream, h->buffer, size);
		if (n <= 0)
			return cede__check_fail_code(c, "a read of what was written", n, 1);
		CHECK(c, (size_t)n <= size, "a read returned %zd of %zu bytes", n, size);
		CHECK(c, cede__check_is_pattern(h->buffer, (size_t)n, h->from + at),
			"the bytes from %zu on are not those that were written", at);
		at += (size_t)n;
		CHECK_WELL(dawdle(c));
	}
	return 0;
}

CEDE_SUSPENDS static int
check_transfer(struct cede__check *c)
{
	struct half out = { c, c->a, 0, c->out }, in = { c, c->b, 0, c->in };

	CEDE_GROUP(group);
	CHECK_WELL(cede_spawn(&group, send_half, &out));
	CHECK_WELL(cede_spawn(&group, receive_half, &in));
	return cede_group_wait(&group);
}

/* Four buffers in two. */
CEDE_SUSPENDS static int
check_both_ways_at_once(struct cede__check *c)
{
	const size_t half = CEDE__CHECK_CHUNK / 2;
	struct half halves[] = { { c, c->a, 0, c->out }, { c, c->b, 0, c->in },
		{ c, c->b, 1000, c->out + half }, { c, c->a, 1000, c->in + half } };

	CEDE_GROUP(group);
	for (int i = 0; i < 4; i++)
		CHECK_WELL(cede_spawn(&group, i % 2 == 0 ? send_half : receive_half, &halves[i]));
	return cede_group_wait(&group);
}

/* A writer that waits does not keep the same stream from reading. */
CEDE_SUSPENDS static int
check_reads_while_held_back(struct cede__check *c)
{
	struct cede__check_clog clog = { 0 };
	uint64_t at = 0;

	CEDE_GROUP(group);
	CHECK_WELL(cede__check_fill_up(c, &group, &clog));
	CHECK_IS(c, "a write the other way", cede_write(c->b, "hello", 5), 5);
	CHECK_IS(c, "a read beside a write that waits", cede_read_exactly(c->a, c->in, 5, NULL), 5);
	CHECK(c, memcmp(c->in, "hello", 5) == 0, "other bytes came than were written");
	clog.stops = 1;
	CHECK_WELL(cede__check_read_to(c, &at, clog.to));
	return cede_group_wait(&group);
}

/* ---- reads that are given up ---- */

CEDE_SUSPENDS static int
check_given_up_read(struct cede__check *c)
{
	const uint64_t before = cede_loop_now(cede_loop_current());
	cede_read_t read;
	uint64_t at = 0;
	ssize_t n = 0;

	CEDE_TIMEOUT(100) {
		n = cede_read(c->b, c->in, sizeof c->in);
	}
	CHECK_IS(c, "a read whose scope has ended", n, CEDE_ETIMEDOUT);
	CHECK_IS(c, "the time it took", (int64_t)(cede_loop_now(cede_loop_current()) - before),
		100);
	CHECK_IS(c, "the start of a read", cede_read_start(c->b, c->in, 1, &read), 0);
	CHECK(c, !read.future.is_done, "a read was done before anything was written");
	cede_future_cancel(&read.future);
	CHECK_IS(c, "a read that was cancelled", read.future.result, CEDE_ECANCELED);
	cede__check_fill(c->out, 1000, 0);
	CHECK_IS(c, "a write", cede_write(c->a, c->out, 1000), 1000);
	CHECK_WELL(cede__check_settle(c));
	return cede__check_read_to(c, &at, 1000);
}

/* What is done is done, whoever gives it up then. */
CEDE_SUSPENDS static int
check_read_or_tick(struct cede__check *c)
{
	cede_sleep_t tick;
	cede_read_t read;
	uint64_t at = 0;

	for (int i = 0; i < 20; i++) {
		cede__check_fill(c->out, 1, at);
		if (i % 3 != 0)
			CHECK_IS(c, "a write", cede_write(c->a, c->out, 1), 1);
		CHECK_IS(c, "the start of a read", cede_read_start(c->b, c->in, 10, &read), 0);
		CHECK_IS(c, "the start of a sleep", cede_sleep_start(10, &tick), 0);
		CHECK_IS(c, "a read or a tick",
			cede_select(2, (cede_future_t *[]){ &read.future, &tick.future }),
			i % 3 == 0);
		CHECK_IS(c, "the read beside a tick", read.future.result,
			i % 3 == 0 ? CEDE_ECANCELED : 1);
		if (i % 3 != 0)
			CHECK(c, cede__check_is_pattern(c->in, 1, at++),
				"a read beside a tick got another byte");
	}
	return 0;
}

const struct cede__check_entry cede__checks_of_bytes[] = {
	{ "bytes come in order", check_bytes_come, 0, 0 },
	{ "a reader that waits gets what comes", check_waiting_reader, 0, 0 },
	{ "nothing is nothing", check_nothing, 0, 0 },
	{ "pieces come as one", check_pieces, 0, 0 },
	{ "a second reader is refused", check_second_reader, 0, 0 },
	{ "a second writer is refused", check_second_writer, 0, 0 },
	{ "who does not read holds the writer back", check_held_back, 0, 0 },
	{ "much comes exactly", check_transfer, 0, 0 },
	{ "both ways at once", check_both_ways_at_once, CEDE_TEST_HAS_BOTH_WAYS, 0 },
	{ "one reads while its write is held back", check_reads_while_held_back,
		CEDE_TEST_HAS_BOTH_WAYS, 0 },
	{ "a read that is given up loses nothing", check_given_up_read, 0, 0 },
	{ "a read or a tick", check_read_or_tick, 0, 0 },
	{ NULL, NULL, 0, 0 },
};
