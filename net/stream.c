/*
 * Streams: reading, writing, closing, the idle limit. The model is in
 * stream_int.h.
 */
#include "net/stream_int.h"

#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coro/alloc.h"
#include "net/address.h"

/* ---- life ---- */

static void idle_fires(struct cede__timer *timer);

static void
close_left_open(struct cede__resource *resource)
{
	cede_close(cede__container_of(resource, cede_stream_t, resource));
}

int
cede__stream_create(cede_loop_t *loop, cede_stream_t **ret_stream)
{
	cede_stream_t *s = cede__alloc_zero(sizeof *s);
	int r;

	if (!s)
		return CEDE_ENOMEM;
	r = uv_tcp_init(loop->uv, &s->uv.tcp);
	if (r < 0) {
		cede__free(s);
		return r;
	}
	cede__loop_opened(loop);
	s->uv.handle.data = s;
	s->loop = loop;
	s->fd = -1;
	s->refs = 1;
	s->may_have_data = 1;
	s->idle = (struct cede__timer){ .fire = idle_fires, .is_weak = 1 };
	s->resource.close = close_left_open;
	cede__list_init(&s->resource.link);
	cede__list_append(&loop->resources, &s->resource.link);
	*ret_stream = s;
	return 0;
}

int
cede__stream_open(cede_stream_t *s, int fd)
{
	int r = uv_tcp_open(&s->uv.tcp, fd);

	if (r < 0)
		close(fd);
	else
		s->fd = fd;
	return r;
}

cede_stream_t *
cede__stream_ref(cede_stream_t *s)
{
	s->refs++;
	return s;
}

void
cede__stream_unref(cede_stream_t *s)
{
	if (--s->refs == 0)
		cede__free(s);
}

static void
handle_closed(uv_handle_t *handle)
{
	cede_stream_t *s = handle->data;

	cede__loop_closed(s->loop);
	cede__stream_unref(s);
}

/* ---- what waits ---- */

static void *
data_lent(const cede_stream_t *s)
{
	return s->lent ? s->lent->data : NULL;
}

static void
end_read(cede_stream_t *s, int result)
{
	cede_read_t *op = s->reader;

	s->reader = NULL;
	cede_future_resolve(&op->future, result, op->buffer ? NULL : data_lent(s));
}

/* The write is over; what libuv has not sent by now it never will. */
static void
end_write(cede_stream_t *s, int result, size_t unsent)
{
	cede_write_t *op = s->writer;

	s->writer = NULL;
	op->written = op->size - unsent;
	cede_future_resolve(&op->future, result, NULL);
}

/* A write is given up: libuv lets go of the caller's memory, and the stream is of no more use. */
static void
break_write(cede_stream_t *s, int result)
{
	s->is_broken = 1;
	end_write(s, result, uv_stream_get_write_queue_size(&s->uv.stream));
	cede__stream_close_handle(s, 1);
}

static void
end_connect(cede_stream_t *s, int result)
{
	cede_connect_t *op = s->connecting;

	s->connecting = NULL;
	op->stream = result == 0 ? s : NULL;
	cede_future_resolve(&op->future, result, NULL);
}

void
cede__stream_close_handle(cede_stream_t *s, int reset)
{
	if (s->is_closed)
		return;
	s->is_closed = 1;
	cede__list_remove(&s->resource.link);
	cede__timer_stop(&s->idle);
	if (s->reader)
		end_read(s, CEDE_ECANCELED);
	if (s->writer) {
		s->is_broken = 1;
		end_write(s, CEDE_ECANCELED, uv_stream_get_write_queue_size(&s->uv.stream));
	}
	if (s->connecting)
		end_connect(s, CEDE_ECANCELED);

	cede__stream_ref(s); /* libuv's, until handle_closed() */
	s->fd = -1;
	if (!((reset || s->is_broken) && uv_tcp_close_reset(&s->uv.tcp, handle_closed) == 0))
		uv_close(&s->uv.handle, handle_closed);
}

static void
release(cede_stream_t *s, int reset)
{
	if (!s)
		return;
	cede__check(!s->is_released, "a stream was closed twice");
	s->is_released = 1;
	cede_read_return(s);
	cede__stream_close_handle(s, reset);
	cede__stream_unref(s);
}

void
cede_close(cede_stream_t *s)
{
	release(s, 0);
}

void
cede_abort(cede_stream_t *s)
{
	release(s, 1);
}

/* ---- the idle limit ---- */

static void
idle_out(cede_stream_t *s)
{
	s->is_idle_out = 1;
	if (s->reader)
		end_read(s, CEDE_ETIMEDOUT);
	if (s->writer)
		break_write(s, CEDE_ETIMEDOUT);
}

/* Has libuv sent anything since this was asked last? */
static int
write_has_progressed(cede_stream_t *s)
{
	size_t unsent = uv_stream_get_write_queue_size(&s->uv.stream);
	int has = s->writer && unsent != s->unsent;

	s->unsent = unsent;
	return has;
}

static void
idle_fires(struct cede__timer *timer)
{
	cede_stream_t *s = cede__container_of(timer, cede_stream_t, idle);
	uint64_t now = cede__loop_time(s->loop), due;

	if (!s->reader && !s->writer)
		return; /* started again by the next wait */
	if (write_has_progressed(s))
		s->active_ms = now;
	due = s->active_ms + s->idle_ms;
	if (now >= due)
		idle_out(s);
	else
		(void)cede__timer_start(s->loop, timer, due - now); /* its place is still there */
}

/* A wait begins. */
static int
watch_idle(cede_stream_t *s)
{
	s->active_ms = cede__loop_time(s->loop);
	if (s->idle_ms == 0 || s->idle.index != 0)
		return 0;
	return cede__timer_start(s->loop, &s->idle, s->idle_ms);
}

int
cede_stream_set_idle(cede_stream_t *s, uint64_t idle_ms)
{
	s->idle_ms = idle_ms < UINT64_MAX / 2 ? idle_ms : UINT64_MAX / 2;
	cede__timer_stop(&s->idle);
	return s->reader || s->writer ? watch_idle(s) : 0;
}

/* ---- reading ---- */

/* >0: bytes; 0: end of file; CEDE_EAGAIN: nothing yet; or an error. */
static int
receive(cede_stream_t *s, void *buffer, size_t size)
{
	ssize_t n;

	do {
		n = recv(s->fd, buffer, size, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		if (errno == EAGAIN)
			s->may_have_data = 0;
		return -errno;
	}
	if (n == 0)
		s->is_at_end = 1;
	s->may_have_data = (size_t)n == size; /* a short read has drained the socket */
	s->active_ms = cede__loop_time(s->loop);
	return (int)n;
}

/*
 * receive() into a buffer that is lent for it. A stream that fills one is lent a
 * large one next, until that is too large.
 */
static int
receive_lent(cede_stream_t *s)
{
	struct cede__buffer *buffer = cede__buffer_take(&s->loop->buffers, s->lends_large);
	int n;

	if (!buffer)
		return CEDE_ENOMEM;
	n = receive(s, buffer->data, buffer->size);
	if (n <= 0) {
		cede__buffer_give(&s->loop->buffers, buffer);
		return n;
	}
	s->lends_large = (size_t)n >= CEDE__BUFFER_SIZE;
	s->lent = buffer;
	return n;
}

static void
offer_no_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	*buffer = uv_buf_init(NULL, 0);
}

/* libuv: there is something to read, or an error to be told of by recv(). */
static void
readable(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buffer)
{
	cede_stream_t *s = stream->data;
	cede_loop_t *loop = s->loop;

	cede__loop_enter(loop);
	s->may_have_data = 1;
	s->in_a_row = 0;
	if (s->reader) {
		cede_read_t *op = s->reader;
		int n = op->buffer ? receive(s, op->buffer, op->size) : receive_lent(s);

		if (n != CEDE_EAGAIN)
			end_read(s, n);
	} else {
		uv_read_stop(stream);
		s->is_armed = 0;
	}
	cede__loop_leave(loop); /* may close the stream */
}

/* Is a read possible at all? 1: ask the socket. */
static int
check_read(cede_stream_t *s, size_t size)
{
	if (cede__unlikely(size == 0 || size > INT_MAX))
		return CEDE_EINVAL;
	if (cede__unlikely(s->reader != NULL))
		return CEDE_EBUSY;
	if (cede__unlikely(s->is_at_end))
		return 0;
	if (cede__unlikely(s->is_idle_out))
		return CEDE_ETIMEDOUT;
	return cede__unlikely(s->is_closed) ? CEDE_ECANCELED : 1;
}

static void
cancel_read(cede_future_t *future)
{
	cede_read_t *op = cede__container_of(future, cede_read_t, future);

	op->stream->reader = NULL;
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

/* Whose peer has always more to read lets libuv look at the others now and then. */
static int
may_receive(cede_stream_t *s)
{
	return s->may_have_data && s->in_a_row++ < CEDE__READS_IN_A_ROW;
}

/* Nothing there yet, or enough for now: waits for libuv to say that there is something. */
static int
wait_readable(cede_stream_t *s, void *buffer, size_t size, cede_read_t *op)
{
	int r = watch_idle(s);

	if (cede__unlikely(r == 0 && !s->is_armed)) {
		r = uv_read_start(&s->uv.stream, offer_no_buffer, readable);
		s->is_armed = r == 0;
	}
	if (cede__unlikely(r < 0))
		return r;
	cede_future_init(&op->future, cancel_read);
	op->stream = s;
	op->buffer = buffer;
	op->size = size;
	s->reader = op;
	return 0;
}

int
cede_read_start(cede_stream_t *s, void *buffer, size_t size, cede_read_t *op)
{
	int r = cede_task_current() ? check_read(s, size) : CEDE_ENOTASK;

	if (r == CEDE_EBUSY || r == CEDE_EINVAL || r == CEDE_ENOTASK)
		return r;
	if (r == 1)
		r = may_receive(s) ? receive(s, buffer, size) : CEDE_EAGAIN;
	if (r == CEDE_EAGAIN)
		return wait_readable(s, buffer, size, op);
	cede_future_init(&op->future, NULL);
	cede_future_resolve(&op->future, r, NULL);
	return 0;
}

ssize_t
cede_read(cede_stream_t *s, void *buffer, size_t size)
{
	cede_loop_t *loop;
	cede_read_t op;
	int r = cede__await_admit(&loop);

	if (cede__unlikely(r < 0))
		return r;
	r = check_read(s, size);
	if (cede__unlikely(r != 1))
		return r;
	r = may_receive(s) ? receive(s, buffer, size) : CEDE_EAGAIN;
	if (r != CEDE_EAGAIN)
		return r;
	r = wait_readable(s, buffer, size, &op);
	return cede__unlikely(r < 0) ? r : cede_await(&op.future);
}

void
cede_read_return(cede_stream_t *s)
{
	cede__buffer_give(&s->loop->buffers, s->lent);
	s->lent = NULL;
}

int
cede_read_lend_start(cede_stream_t *s, cede_read_t *op)
{
	int r = cede_task_current() ? check_read(s, 1) : CEDE_ENOTASK;

	if (r == CEDE_EBUSY || r == CEDE_ENOTASK)
		return r;
	cede_read_return(s);
	if (r == 1)
		r = may_receive(s) ? receive_lent(s) : CEDE_EAGAIN;
	if (r == CEDE_EAGAIN)
		return wait_readable(s, NULL, 0, op);
	cede_future_init(&op->future, NULL);
	cede_future_resolve(&op->future, r, data_lent(s));
	return 0;
}

ssize_t
cede_read_lend(cede_stream_t *s, const void **ret_data)
{
	cede_loop_t *loop;
	cede_read_t op;
	int r = cede__await_admit(&loop);

	if (cede__unlikely(r < 0))
		return r;
	r = check_read(s, 1);
	if (cede__unlikely(r != 1))
		return r;
	cede_read_return(s);
	r = may_receive(s) ? receive_lent(s) : CEDE_EAGAIN;
	if (r == CEDE_EAGAIN) {
		r = wait_readable(s, NULL, 0, &op);
		if (cede__likely(r == 0))
			r = cede_await(&op.future);
	}
	if (cede__likely(r > 0))
		*ret_data = data_lent(s);
	return r;
}

/* ---- writing ---- */

/* Sends what the system takes at once. The bytes, or an error; never CEDE_EAGAIN. */
static ssize_t
send_some(cede_stream_t *s, const void *data, size_t size)
{
	ssize_t n;

	do {
		n = send(s->fd, data, size, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		s->active_ms = cede__loop_time(s->loop);
		return n;
	}
	return errno == EAGAIN ? 0 : -errno;
}

/* Is a write possible at all? 0: try. */
static int
check_write(cede_stream_t *s, size_t size)
{
	if (cede__unlikely(size > SSIZE_MAX))
		return CEDE_EINVAL;
	if (cede__unlikely(s->writer != NULL))
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

	break_write(op->stream, CEDE_ECANCELED);
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
	end_write(s, status, status < 0 ? request->bufsml[0].len : 0);
	cede__loop_leave(loop); /* may close the stream */
}

/* The system's buffer is full: libuv sends the rest. */
static int
wait_written(cede_stream_t *s, const void *rest, size_t size, cede_write_t *op)
{
	uv_buf_t buffer = { .base = (char *)rest, .len = size };
	int r = watch_idle(s);

	if (r == 0)
		r = uv_write(&s->request.write, &s->uv.stream, &buffer, 1, written);
	if (r < 0)
		return r;
	s->unsent = uv_stream_get_write_queue_size(&s->uv.stream);
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
	int r = cede_task_current() ? check_write(s, size) : CEDE_ENOTASK;

	if (r == CEDE_EBUSY || r == CEDE_EINVAL || r == CEDE_ENOTASK)
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

ssize_t
cede_write(cede_stream_t *s, const void *data, size_t size)
{
	cede_loop_t *loop;
	cede_write_t op;
	int r = cede__await_admit(&loop);

	if (cede__unlikely(r < 0))
		return r;
	r = check_write(s, size);
	if (cede__likely(r == 0))
		r = begin_write(s, data, size, &op);
	if (cede__unlikely(r == 0))
		r = cede_await(&op.future);
	return cede__likely(r >= 0) ? (ssize_t)size : r;
}

int
cede_shutdown_write(cede_stream_t *s)
{
	if (s->writer)
		return CEDE_EBUSY;
	if (s->is_closed)
		return CEDE_EBADF;
	if (s->is_shut)
		return 0;
	if (shutdown(s->fd, SHUT_WR) < 0)
		return -errno;
	s->is_shut = 1;
	return 0;
}

/* ---- names ---- */

int
cede_stream_peer(const cede_stream_t *s, char *buffer, size_t size)
{
	return cede__address_of_fd(s->fd, getpeername, buffer, size);
}

int
cede_stream_local(const cede_stream_t *s, char *buffer, size_t size)
{
	return cede__address_of_fd(s->fd, getsockname, buffer, size);
}
