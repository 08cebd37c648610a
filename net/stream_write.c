/*
 * Writing: send first, and wait for room for what is left. A write is a row of
 * pieces with a place in it up to which it has gone.
 */
#include "net/stream_int.h"

#include <limits.h>

/* Pieces handed over at a time. */
#define WINDOW 64

/* ---- the pieces ---- */

/* So much of it has gone. */
static void
advance(cede_write_t *op, size_t bytes)
{
	op->written += bytes;
	while (op->count > 0 && bytes >= op->pieces->iov_len - op->skip) {
		bytes -= op->pieces->iov_len - op->skip;
		op->skip = 0;
		op->pieces++;
		op->count--;
	}
	op->skip += bytes;
}

/* The next of what is left. How many pieces. */
static int
look(const cede_write_t *op, struct iovec window[WINDOW], size_t *ret_bytes)
{
	int count = op->count < WINDOW ? op->count : WINDOW;

	*ret_bytes = 0;
	for (int i = 0; i < count; i++) {
		window[i] = op->pieces[i];
		if (i == 0 && op->skip > 0) { /* else it may be an empty one, of NULL */
			window[i].iov_base = (char *)window[i].iov_base + op->skip;
			window[i].iov_len -= op->skip;
		}
		*ret_bytes += window[i].iov_len;
	}
	return count;
}

/* How many bytes; CEDE_EINVAL: more than can be counted. */
static ssize_t
sum(const struct iovec *pieces, int count)
{
	size_t size = 0;

	if (count < 0 || count > IOV_MAX)
		return CEDE_EINVAL;
	for (int i = 0; i < count; i++) {
		if (pieces[i].iov_len > SSIZE_MAX - size)
			return CEDE_EINVAL;
		size += pieces[i].iov_len;
	}
	return (ssize_t)size;
}

/* ---- a write that waits ---- */

/* The transport lets go, or has; what of its share has gone is counted. Where there is no handle, what goes is told at once. */
void
cede__stream_end_write(cede_stream_t *s, int result)
{
	cede_write_t *op = s->writer;
	size_t left = s->in_care;

	s->writer = NULL;
	cede__stream_wait_ended(s);
	if (s->handle && left > 0)
		left = uv_stream_get_write_queue_size(s->handle);
	op->written += s->in_care - (left < s->in_care ? left : s->in_care);
	s->in_care = 0;
	cede_future_resolve(&op->future, result, NULL);
}

void
cede__stream_break_write(cede_stream_t *s, int result)
{
	s->is_broken = 1;
	cede__stream_end_write(s, result);
	cede__stream_close_transport(s, 1);
}

static void
cancel_write(cede_future_t *future)
{
	cede_write_t *op = cede__container_of(future, cede_write_t, future);

	cede__stream_break_write(op->stream, CEDE_ECANCELED);
}

/* Nothing goes at present. 0: it is waited for; or a code. */
static int
wait_room(cede_stream_t *s, cede_write_t *op)
{
	struct iovec window[WINDOW];
	size_t bytes;
	int count = look(op, window, &bytes);
	ssize_t n = cede__stream_watch_limits(s);

	if (n < 0)
		return (int)n; /* before any is in care: that can't be taken back */
	n = s->transport->wait_room(s, window, count);
	s->in_care = n > 0 ? (size_t)n : 0;
	if (cede__unlikely(n < 0))
		cede__stream_wait_ended(s);
	return n < 0 ? (int)n : 0;
}

/* Sends until nothing goes any more. 1: all has gone; 0: the rest is under way; or a code. */
static int
send_on(cede_stream_t *s, cede_write_t *op)
{
	struct iovec window[WINDOW];

	while (op->count > 0 || s->is_holding) {
		size_t bytes;
		int count = look(op, window, &bytes);
		ssize_t n = s->transport->send(s, window, count);

		if (n < 0)
			return (int)n;
		if (n > 0)
			s->active_ms = cede__loop_time(s->loop);
		advance(op, (size_t)n);
		if ((size_t)n < bytes || s->is_holding)
			return wait_room(s, op);
	}
	return 1;
}

void
cede__stream_go_on_writing(cede_stream_t *s, int status, size_t bytes)
{
	cede_write_t *op = s->writer;
	int r = status;

	if (!op)
		return;
	s->in_care = 0;
	s->active_ms = cede__loop_time(s->loop);
	advance(op, bytes);
	if (r == 0)
		r = send_on(s, op);
	if (r == 0)
		return;
	if (r < 0)
		s->is_broken = 1;
	cede__stream_end_write(s, r > 0 ? 0 : r);
}

void
cede__stream_sent(cede_stream_t *s, int status, size_t bytes)
{
	if (cede__unlikely(s->transport->below_sent))
		s->transport->below_sent(s, status, bytes);
	else
		cede__stream_go_on_writing(s, status, bytes);
}

/* ---- starting ---- */

int
cede__stream_check_write(const cede_stream_t *s, size_t size)
{
	if (cede__unlikely(size > SSIZE_MAX))
		return CEDE_EINVAL;
	if (cede__unlikely(s->writer != NULL || s->is_sending))
		return CEDE_EBUSY;
	if (cede__unlikely(s->is_timed_out))
		return CEDE_ETIMEDOUT;
	if (cede__unlikely(s->is_broken))
		return CEDE_EPIPE;
	if (cede__unlikely(s->is_shut))
		return CEDE_ESHUTDOWN;
	return cede__unlikely(s->is_closed) ? CEDE_ECANCELED : 0;
}

/* Writes what goes at once. 1: all of it; 0: the rest is under way; or an error, and op->written says how much went. */
static int
begin_write(cede_stream_t *s, cede_write_t *op)
{
	ssize_t n = 0;
	int r;

	op->written = op->skip = 0;
	if (cede__unlikely(op->size == 0))
		return 1;
	if (cede__likely(op->count <= WINDOW)) {
		n = s->transport->send(s, op->pieces, op->count);
		if (cede__unlikely(n < 0))
			return (int)n;
		s->active_ms = cede__loop_time(s->loop);
		if (cede__likely((size_t)n == op->size && !s->is_holding)) {
			op->written = (size_t)n;
			return 1;
		}
		advance(op, (size_t)n);
		r = wait_room(s, op);
	} else {
		r = send_on(s, op);
	}
	if (r < 0) {
		s->is_broken |= op->written > 0;
		return r;
	}
	if (r == 0) {
		cede_future_init(&op->future, cancel_write);
		op->stream = s;
		s->writer = op;
	}
	return r;
}

static int
start(cede_stream_t *s, cede_write_t *op, ssize_t size)
{
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r < 0)
		return r;
	r = size < 0 ? (int)size : cede__stream_check_write(s, (size_t)size);
	if (r == CEDE_EBUSY || r == CEDE_EINVAL)
		return r;
	op->size = (size_t)size;
	op->written = 0;
	if (r == 0)
		r = begin_write(s, op);
	if (r == 0)
		return 0;
	cede_future_init(&op->future, NULL);
	cede_future_resolve(&op->future, r > 0 ? 0 : r, NULL);
	return 0;
}

int
cede_write_start(cede_stream_t *s, const void *data, size_t size, cede_write_t *op)
{
	op->one = (struct iovec){ .iov_base = (void *)data, .iov_len = size };
	op->pieces = &op->one;
	op->count = 1;
	return start(s, op, size <= SSIZE_MAX ? (ssize_t)size : CEDE_EINVAL);
}

int
cede_writev_start(cede_stream_t *s, const struct iovec *pieces, int count, cede_write_t *op)
{
	op->pieces = pieces;
	op->count = count;
	return start(s, op, sum(pieces, count));
}

/*
 * A writer whose peer takes everything at once lets the others run now and then.
 * It is written; the next await says what has come up, but for a close.
 */
CEDE_SUSPENDS static int
give_way(cede_stream_t *s)
{
	int r;

	cede__stream_ref(s);
	s->writes_in_a_row = 0;
	r = cede_sleep(0);
	r = s->is_released ? CEDE_ECANCELED : r < 0 ? 0 : r;
	cede__stream_unref(s);
	return r;
}

/* The whole of a write whose pieces are set. */
CEDE_SUSPENDS static ssize_t
write_all(cede_stream_t *s, cede_write_t *op)
{
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (cede__unlikely(r < 0))
		return r;
	r = cede__stream_check_write(s, op->size);
	if (cede__likely(r == 0))
		r = begin_write(s, op);
	if (cede__unlikely(r == 0))
		r = cede_await(&op->future);
	else if (cede__likely(r > 0))
		s->writes_in_a_row += CEDE__WRITE_WEIGHT(op->size);
	if (cede__unlikely(r > 0 && s->writes_in_a_row >= CEDE__WRITES_IN_A_ROW))
		r = give_way(s);
	return cede__likely(r >= 0) ? (ssize_t)op->size : r;
}

ssize_t
cede_write(cede_stream_t *s, const void *data, size_t size)
{
	cede_write_t op;

	op.one.iov_base = (void *)data;
	op.one.iov_len = size;
	op.pieces = &op.one;
	op.count = 1;
	op.size = size;
	return write_all(s, &op);
}

ssize_t
cede_writev(cede_stream_t *s, const struct iovec *pieces, int count)
{
	cede_write_t op;

	op.pieces = pieces;
	op.count = count;
	op.size = (size_t)sum(pieces, count); /* a code is refused as too large a size */
	return write_all(s, &op);
}

int
cede_shutdown_write(cede_stream_t *s)
{
	int r;

	if (s->writer || s->is_sending)
		return CEDE_EBUSY;
	if (s->is_shut)
		return 0;
	if (s->is_closed || s->is_broken)
		return CEDE_EBADF; /* an end of file would make half a message look whole */
	r = s->transport->shutdown_write(s);
	if (r == 0)
		s->is_shut = 1;
	return r;
}
