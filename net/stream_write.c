/*
 * Writing: send() first, libuv for the rest.
 */
#include "net/stream_int.h"

#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

/* The write is over; what libuv has not sent by now it never will. */
void
cede__stream_end_write(cede_stream_t *s, int result, size_t unsent)
{
	cede_write_t *op = s->writer;

	s->writer = NULL;
	op->written = op->size - unsent;
	cede_future_resolve(&op->future, result, NULL);
}

/* A write is given up: libuv lets go of the caller's memory, and the stream is of no more use. */
void
cede__stream_break_write(cede_stream_t *s, int result)
{
	s->is_broken = 1;
	cede__stream_end_write(s, result, uv_stream_get_write_queue_size(s->handle));
	cede__stream_close_handle(s, 1);
}

/* Sends what the system takes at once. The bytes, or an error; never CEDE_EAGAIN. */
static ssize_t
send_some(cede_stream_t *s, const void *data, size_t size)
{
	ssize_t n;

	do {
		n = cede__likely(s->is_socket) ? send(s->fd, data, size, MSG_NOSIGNAL)
					       : write(s->fd, data, size);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		s->active_ms = cede__loop_time(s->loop);
		return n;
	}
	return errno == EAGAIN ? 0 : -errno;
}

int
cede__stream_check_write(const cede_stream_t *s, size_t size)
{
	if (cede__unlikely(size > SSIZE_MAX))
		return CEDE_EINVAL;
	if (cede__unlikely(s->writer != NULL || s->is_sending))
		return CEDE_EBUSY;
	if (cede__unlikely(s->is_idle_out))
		return CEDE_ETIMEDOUT;
	if (cede__unlikely(s->is_broken))
		return CEDE_EPIPE;
	if (cede__unlikely(s->is_shut))
		return CEDE_ESHUTDOWN;
	return cede__unlikely(s->is_closed) ? CEDE_ECANCELED : 0;
}

static void
cancel_write(cede_future_t *future)
{
	cede_write_t *op = cede__container_of(future, cede_write_t, future);

	cede__stream_break_write(op->stream, CEDE_ECANCELED);
}

/*
 * A write that failed is out of libuv's queue, and its length with it, before we
 * are told. What was left of its one buffer still stands in the request.
 */
static void
written(uv_write_t *request, int status)
{
	cede_stream_t *s = request->handle->data;
	cede_loop_t *loop = s->loop;

	if (!s->writer)
		return; /* it was given up, and the handle closed */
	cede__loop_enter(loop);
	if (status < 0)
		s->is_broken = 1;
	cede__stream_end_write(s, status, status < 0 ? request->bufsml[0].len : 0);
	cede__loop_leave(loop); /* may close the stream */
}

/* The system's buffer is full: libuv sends the rest. */
static int
wait_written(cede_stream_t *s, const void *rest, size_t size, cede_write_t *op)
{
	uv_buf_t buffer = { .base = (char *)rest, .len = size };
	int r = cede__stream_watch_idle(s);

	if (r == 0)
		r = uv_write(&s->request.write, s->handle, &buffer, 1, written);
	if (r < 0)
		return r;
	s->unsent = uv_stream_get_write_queue_size(s->handle);
	cede_future_init(&op->future, cancel_write);
	op->stream = s;
	s->writer = op;
	return 0;
}

/* Writes what goes at once. 1: all of it; 0: the rest is under way; or an error, and op->written says how much went. */
static int
begin_write(cede_stream_t *s, const void *data, size_t size, cede_write_t *op)
{
	ssize_t n = size > 0 ? send_some(s, data, size) : 0;
	int r;

	op->written = 0;
	if (cede__unlikely(n < 0))
		return (int)n;
	op->written = (size_t)n;
	if (cede__likely((size_t)n == size))
		return 1;
	op->size = size;
	r = wait_written(s, (const char *)data + n, size - (size_t)n, op);
	if (r < 0 && n > 0)
		s->is_broken = 1;
	return r;
}

int
cede_write_start(cede_stream_t *s, const void *data, size_t size, cede_write_t *op)
{
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r == 0)
		r = cede__stream_check_write(s, size);
	else
		return r;
	if (r == CEDE_EBUSY || r == CEDE_EINVAL)
		return r;
	op->written = 0;
	if (r == 0)
		r = begin_write(s, data, size, op);
	if (r == 0)
		return 0;
	cede_future_init(&op->future, NULL);
	cede_future_resolve(&op->future, r > 0 ? 0 : r, NULL);
	return 0;
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

ssize_t
cede_write(cede_stream_t *s, const void *data, size_t size)
{
	cede_loop_t *loop;
	cede_write_t op;
	int r = cede__await_admit(&loop);

	if (cede__unlikely(r < 0))
		return r;
	r = cede__stream_check_write(s, size);
	if (cede__likely(r == 0))
		r = begin_write(s, data, size, &op);
	if (cede__unlikely(r == 0))
		r = cede_await(&op.future);
	else if (cede__unlikely(r > 0 && ++s->writes_in_a_row >= CEDE__WRITES_IN_A_ROW))
		r = give_way(s);
	return cede__likely(r >= 0) ? (ssize_t)size : r;
}

/* No socket: only the end of the whole descriptor is an end of file to the peer. */
static int
end_pipe(cede_stream_t *s)
{
	if (uv_is_readable(s->handle))
		return CEDE_ENOTSUP;
	s->is_shut = 1;
	cede__stream_close_handle(s, 0);
	return 0;
}

int
cede_shutdown_write(cede_stream_t *s)
{
	if (s->writer || s->is_sending)
		return CEDE_EBUSY;
	if (s->is_shut)
		return 0;
	if (s->is_closed)
		return CEDE_EBADF;
	if (!s->is_socket)
		return end_pipe(s);
	if (shutdown(s->fd, SHUT_WR) < 0)
		return -errno;
	s->is_shut = 1;
	return 0;
}
