/*
 * Streams of descriptors, under a handle of libuv's.
 *
 * libuv says when, the library itself reads: reading is armed with a callback
 * that offers no buffer, so libuv calls back with UV_ENOBUFS, as documented, the
 * moment there is something to read, and the stream receives into whatever
 * waits. Reading stays armed from one read to the next; it is stopped only when
 * data comes that nobody waits for.
 *
 * A write sends first. What the system does not take is handed to libuv, in its one
 * request, with no more pieces than that has room for.
 *
 * Two transports, which differ in the system calls: a socket has recv() and
 * send(), two halves, and with TCP a reset; anything else has read() and write().
 * Which it is, which directions it has, and whether it may be asked for data
 * before libuv has reported any, is asked once, when the descriptor comes.
 */
#include "net/stream_int.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coro/alloc.h"

/* What uv_write_t has room for without an allocation. */
#define QUEUED_PIECES 4

/* ---- life ---- */

void
cede__stream_take_handle(cede_stream_t *s, uv_stream_t *handle)
{
	s->handle = handle;
	handle->data = s;
	cede__loop_opened(s->loop);
}

int
cede__stream_create(cede_loop_t *loop, uv_handle_type type, cede_stream_t **ret_stream)
{
	cede_stream_t *s = cede__stream_alloc(loop);
	int r;

	if (!s)
		return CEDE_ENOMEM;
	if (type == UV_TCP)
		r = uv_tcp_init(loop->uv, &s->own.tcp);
	else
		r = uv_pipe_init(loop->uv, &s->own.pipe, 0);
	if (r < 0) {
		cede__free(s);
		return r;
	}
	cede__stream_take_handle(s, &s->own.stream);
	cede__stream_attach(s, type == UV_TCP ? &cede__socket_transport : &cede__file_transport);
	*ret_stream = s;
	return 0;
}

int
cede__stream_take_fd(cede_stream_t *s, int fd)
{
	struct stat kind;

	if (fstat(fd, &kind) < 0)
		return -errno;
	s->transport = S_ISSOCK(kind.st_mode) ? &cede__socket_transport : &cede__file_transport;
	if (!uv_is_readable(s->handle))
		s->failure = CEDE_EBADF;
	if (!uv_is_writable(s->handle))
		s->is_shut = 1;
	s->fd = fd;
	return 0;
}

int
cede__stream_open(cede_stream_t *s, int fd)
{
	int r;

	if (s->handle->type == UV_TCP) {
		r = uv_tcp_open(&s->own.tcp, fd);
		if (r == 0)
			s->fd = fd;
	} else {
		r = uv_pipe_open(&s->own.pipe, fd);
		if (r == 0)
			return cede__stream_take_fd(s, fd);
	}
	if (r < 0)
		close(fd);
	return r;
}

static void
handle_closed(uv_handle_t *handle)
{
	cede_stream_t *s = handle->data;
	uv_close_cb host_closed = s->host_closed;

	if (s->is_adopted)
		handle->data = s->host_data;
	s->handle = NULL;
	cede__loop_closed(s->loop);
	cede__stream_unref(s);
	if (host_closed)
		host_closed(handle); /* last: the host may free it */
}

/* A reset, where there is such a thing. */
static int
close_by_reset(cede_stream_t *s)
{
	if (s->handle->type != UV_TCP)
		return CEDE_ENOTSUP;
	return uv_tcp_close_reset((uv_tcp_t *)s->handle, handle_closed);
}

static void
fd_close(cede_stream_t *s, int is_reset)
{
	cede__stream_ref(s); /* libuv's, until handle_closed() */
	s->fd = -1;
	if (!(is_reset && close_by_reset(s) == 0))
		uv_close((uv_handle_t *)s->handle, handle_closed);
}

/* ---- reading ---- */

/* A short read has drained it. */
static int
received(cede_stream_t *s, ssize_t n, size_t size)
{
	if (cede__unlikely(n < 0))
		return -errno;
	s->may_have_data = (size_t)n == size && !s->is_blocking;
	return (int)n;
}

static int
socket_receive(cede_stream_t *s, void *buffer, size_t size)
{
	ssize_t n;

	do {
		n = recv(s->fd, buffer, size, 0);
	} while (n < 0 && errno == EINTR);
	return received(s, n, size);
}

static int
file_receive(cede_stream_t *s, void *buffer, size_t size)
{
	ssize_t n;

	do {
		n = read(s->fd, buffer, size);
	} while (n < 0 && errno == EINTR);
	return received(s, n, size);
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
	if (!s->reader) {
		uv_read_stop(stream);
		s->is_armed = 0;
	}
	cede__stream_readable(s);
	cede__loop_leave(loop); /* may close the stream */
}

static int
fd_watch(cede_stream_t *s)
{
	int r;

	if (cede__likely(s->is_armed))
		return 0;
	r = uv_read_start(s->handle, offer_no_buffer, readable);
	s->is_armed = r == 0;
	return r;
}

/* ---- writing ---- */

/* Many go as one message, so that they are one packet. */
static ssize_t
send_pieces(int fd, const struct iovec *pieces, int count)
{
	const struct msghdr message = { .msg_iov = (struct iovec *)pieces,
		.msg_iovlen = (size_t)count };

	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static ssize_t
socket_send(cede_stream_t *s, const struct iovec *pieces, int count)
{
	ssize_t n;

	do {
		n = cede__likely(count == 1)
			? send(s->fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL)
			: send_pieces(s->fd, pieces, count);
	} while (n < 0 && errno == EINTR);
	return n >= 0 ? n : errno == EAGAIN ? 0 : -errno;
}

static ssize_t
file_send(cede_stream_t *s, const struct iovec *pieces, int count)
{
	ssize_t n;

	do {
		n = writev(s->fd, pieces, count);
	} while (n < 0 && errno == EINTR);
	return n >= 0 ? n : errno == EAGAIN ? 0 : -errno;
}

/*
 * What libuv has not sent of a request that failed: it is out of the queue, and its
 * length with it, before we are told. Its few pieces still stand in the request.
 */
static size_t
left_of(const uv_write_t *request)
{
	size_t left = 0;

	for (unsigned i = request->write_index; i < request->nbufs; i++)
		left += request->bufsml[i].len;
	return left;
}

static void
written(uv_write_t *request, int status)
{
	cede_stream_t *s = request->handle->data;
	cede_loop_t *loop = s->loop;

	if (s->is_closed)
		return; /* it was given up */
	cede__loop_enter(loop);
	cede__stream_sent(s, status, s->queued - (status < 0 ? left_of(request) : 0));
	cede__loop_leave(loop); /* may close the stream */
}

static ssize_t
fd_wait_room(cede_stream_t *s, const struct iovec *pieces, int count)
{
	uv_buf_t buffers[QUEUED_PIECES];
	unsigned n = 0;
	int r;

	s->queued = 0;
	for (int i = 0; i < count && n < QUEUED_PIECES; i++) {
		if (pieces[i].iov_len == 0)
			continue; /* at the end it would cost libuv a turn */
		buffers[n++] = (uv_buf_t){ .base = pieces[i].iov_base, .len = pieces[i].iov_len };
		s->queued += pieces[i].iov_len;
	}
	r = uv_write(&s->request.write, s->handle, buffers, n, written);
	s->unsent = uv_stream_get_write_queue_size(s->handle);
	return r < 0 ? r : (ssize_t)s->queued;
}

static int
socket_shutdown_write(cede_stream_t *s)
{
	return shutdown(s->fd, SHUT_WR) < 0 ? -errno : 0;
}

/* No socket: only the end of the whole descriptor is an end of file to the peer. */
static int
file_shutdown_write(cede_stream_t *s)
{
	if (uv_is_readable(s->handle))
		return CEDE_ENOTSUP;
	cede__stream_close_transport(s, 0);
	return 0;
}

const struct cede__transport cede__socket_transport = {
	.receive = socket_receive,
	.watch = fd_watch,
	.send = socket_send,
	.wait_room = fd_wait_room,
	.shutdown_write = socket_shutdown_write,
	.close = fd_close,
};

const struct cede__transport cede__file_transport = {
	.receive = file_receive,
	.watch = fd_watch,
	.send = file_send,
	.wait_room = fd_wait_room,
	.shutdown_write = file_shutdown_write,
	.close = fd_close,
};
