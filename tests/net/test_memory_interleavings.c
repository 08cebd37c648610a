/*
 * Every order of what can happen to one operation, by tests/support/interleave.h:
 * reading from and writing to memory. What the other end does it does by its
 * transport, which needs no task.
 *
 * No byte is lost or doubled: what a read did not take is still there for the next.
 */
#include <cede/stream.h>

#include "net/stream_int.h"
#include "tests/support/interleave.h"

TestSuite(memory_interleavings, .timeout = 120);

#define CAPACITY 8

static struct {
	cede_stream_t *ours, *peer;
	int is_ours_closed, is_peer_closed;
	ssize_t sent; /* by the peer */
	size_t drained;
} memory;

static void
memory_reset(void)
{
	memset(&memory, 0, sizeof memory);
}

static void
memory_open(void)
{
	cr_assert_eq(cede_stream_pair(&memory.ours, &memory.peer, CAPACITY), 0);
}

/* The detach closes both. */
static int
are_there(void)
{
	return run.loop && memory.ours && !cede__list_is_empty(&run.loop->resources);
}

static void
close_ours(void)
{
	if (are_there() && !memory.is_ours_closed)
		cede_close(memory.ours);
	memory.is_ours_closed = 1;
}

static void
close_peer(void)
{
	if (are_there() && !memory.is_peer_closed)
		cede_close(memory.peer);
	memory.is_peer_closed = 1;
}

static void
abort_peer(void)
{
	if (are_there() && !memory.is_peer_closed)
		cede_abort(memory.peer);
	memory.is_peer_closed = 1;
}

/* ---- reading ---- */

static char buffer[16];
static cede_read_t reading;

static int
read_call(void)
{
	return (int)cede_read(memory.ours, buffer, sizeof buffer);
}

static void
read_start(void)
{
	cr_assert_eq(cede_read_start(memory.ours, buffer, sizeof buffer, &reading), 0);
}

static cede_future_t *
read_future(void)
{
	return &reading.future;
}

static void
read_complete(void)
{
	struct iovec hello = { .iov_base = (char[5]){ "hello" }, .iov_len = 5 };

	if (are_there() && !memory.is_peer_closed)
		memory.sent = memory.peer->transport->send(memory.peer, &hello, 1);
}

static void
read_after(int first)
{
	char rest[16];

	if (first == 5)
		cr_assert_arr_eq(buffer, "hello", 5);
	memset(buffer, 0, sizeof buffer);
	if (memory.is_ours_closed || !are_there())
		return;
	const int n = memory.ours->transport->receive(memory.ours, rest, sizeof rest);

	if (memory.sent == 5 && first != 5)
		cr_assert_eq(n, 5, "what was not read is lost");
	else
		cr_assert_leq(n, 0, "it was read twice");
}

#define READ_FROM(name, closes, code, more) \
	static const struct operation name = { .set_up = memory_reset, \
		.prepare = memory_open, \
		.call = read_call, \
		.start = read_start, \
		.future = read_future, \
		.complete = read_complete, \
		.close = closes, \
		.after = read_after, \
		.on_complete = 5, \
		.on_close = code, \
		.flags = more }; \
	INTERLEAVE(memory_interleavings, name)

READ_FROM(a_read, close_ours, CEDE_ECANCELED, 0)
READ_FROM(a_read_whose_peer_closes, close_peer, 0, IS_UNCUT)
READ_FROM(a_read_whose_peer_resets, abort_peer, CEDE_ECONNRESET, IS_UNCUT)

/* ---- writing: what does not go in ---- */

static cede_write_t writing;

static void
write_prepare(void)
{
	memory_open();
	cr_assert_eq(cede_write(memory.ours, "12345678", CAPACITY), CAPACITY);
}

static int
write_call(void)
{
	const ssize_t n = cede_write(memory.ours, "x", 1);

	return n == 1 ? 0 : (int)n;
}

static void
write_start(void)
{
	cr_assert_eq(cede_write_start(memory.ours, "x", 1, &writing), 0);
}

static cede_future_t *
write_future(void)
{
	return &writing.future;
}

static int
drain(void)
{
	char bytes[CAPACITY];
	const int n = memory.peer->transport->receive(memory.peer, bytes, sizeof bytes);

	if (n > 0)
		memory.drained += (size_t)n;
	return n;
}

static void
write_complete(void)
{
	if (are_there() && !memory.is_peer_closed)
		drain();
}

/* The byte has come if and only if the write has succeeded. */
static void
write_after(int first)
{
	if (memory.is_peer_closed || !are_there())
		return;
	while (drain() > 0)
		;
	if (first == 0)
		cr_assert_eq(memory.drained, CAPACITY + 1);
	else
		cr_assert_leq(memory.drained, CAPACITY);
}

#define WRITE_TO(name, closes, code, more) \
	static const struct operation name = { .set_up = memory_reset, \
		.prepare = write_prepare, \
		.call = write_call, \
		.start = write_start, \
		.future = write_future, \
		.complete = write_complete, \
		.close = closes, \
		.after = write_after, \
		.on_close = code, \
		.flags = more }; \
	INTERLEAVE(memory_interleavings, name)

WRITE_TO(a_write, close_ours, CEDE_ECANCELED, 0)
WRITE_TO(a_write_whose_peer_closes, close_peer, CEDE_EPIPE, IS_UNCUT)
WRITE_TO(a_write_whose_peer_resets, abort_peer, CEDE_ECONNRESET, IS_UNCUT)
