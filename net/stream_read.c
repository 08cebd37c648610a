/*
 * Reading: recv() where there may be something, else waiting for libuv to say so.
 * (read() where it is no socket; so with send() and write().)
 */
#include "net/stream_int.h"

#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

static void *
data_lent(const cede_stream_t *s)
{
	return s->lent ? s->lent->data : NULL;
}

void
cede__stream_end_read(cede_stream_t *s, int result)
{
	cede_read_t *op = s->reader;

	s->reader = NULL;
	cede_future_resolve(&op->future, result, op->buffer ? NULL : data_lent(s));
}

/* >0: bytes; 0: end of file; CEDE_EAGAIN: nothing yet; or an error. */
static int
receive(cede_stream_t *s, void *buffer, size_t size)
{
	ssize_t n;

	do {
		n = cede__likely(s->is_socket) ? recv(s->fd, buffer, size, 0)
					       : read(s->fd, buffer, size);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		if (errno == EAGAIN)
			s->may_have_data = 0;
		else
			s->failure =
				-errno; /* asked again, the system would call it an end of file */
		return -errno;
	}
	if (n == 0)
		s->is_at_end = 1;
	s->may_have_data = (size_t)n == size && !s->is_blocking; /* a short read has drained it */
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
			cede__stream_end_read(s, n);
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
	if (cede__unlikely(s->failure < 0))
		return s->failure;
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
	int r = cede__stream_watch_idle(s);

	if (cede__unlikely(r == 0 && !s->is_armed)) {
		r = uv_read_start(s->handle, offer_no_buffer, readable);
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
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r < 0)
		return r;
	r = check_read(s, size);
	if (r == CEDE_EBUSY || r == CEDE_EINVAL)
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
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r < 0)
		return r;
	r = check_read(s, 1);
	if (r == CEDE_EBUSY)
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

/* Between the read and this task's turn another may have closed the stream, and the buffer is gone. */
CEDE_SUSPENDS static int
await_lent(cede_stream_t *s, cede_read_t *op)
{
	int r;

	cede__stream_ref(s);
	r = cede_await(&op->future);
	if (cede__unlikely(r > 0 && !s->lent))
		r = CEDE_ECANCELED;
	cede__stream_unref(s);
	return r;
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
			r = await_lent(s, &op);
	}
	if (cede__likely(r > 0))
		*ret_data = data_lent(s);
	return r;
}
