/*
 * Streams: their life, closing, names. The model is in stream_int.h; reading,
 * writing and the idle limit have files of their own.
 */
#include "net/stream_int.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coro/alloc.h"
#include "net/address.h"

/* ---- life ---- */

static void
close_left_open(struct cede__resource *resource)
{
	cede_close(cede__container_of(resource, cede_stream_t, resource));
}

cede_stream_t *
cede__stream_alloc(cede_loop_t *loop)
{
	cede_stream_t *s = cede__alloc_zero(sizeof *s);

	if (!s)
		return NULL;
	s->loop = loop;
	s->fd = -1;
	s->refs = 1;
	s->may_have_data = 1;
	s->idle = (struct cede__timer){ .fire = cede__stream_idle_fires, .is_weak = 1 };
	s->resource.close = close_left_open;
	cede__list_init(&s->resource.link);
	return s;
}

void
cede__stream_attach(cede_stream_t *s, uv_stream_t *handle)
{
	s->handle = handle;
	handle->data = s;
	cede__loop_opened(s->loop);
	cede__list_append(&s->loop->resources, &s->resource.link);
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
	s->is_socket = type == UV_TCP;
	cede__stream_attach(s, &s->own.stream);
	*ret_stream = s;
	return 0;
}

int
cede__stream_take_fd(cede_stream_t *s, int fd)
{
	struct stat kind;

	if (fstat(fd, &kind) < 0)
		return -errno;
	s->is_socket = S_ISSOCK(kind.st_mode);
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

/* ---- what waits ---- */

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
	cede__timer_stop(&s->idle);
	if (s->is_sending)
		s->is_broken = 1; /* half a file */
	if (s->reader)
		cede__stream_end_read(s, CEDE_ECANCELED);
	if (s->writer) {
		s->is_broken = 1;
		cede__stream_end_write(s, CEDE_ECANCELED,
			uv_stream_get_write_queue_size(s->handle));
	}
	if (s->connecting)
		end_connect(s, CEDE_ECANCELED);

	cede__stream_ref(s); /* libuv's, until handle_closed() */
	s->fd = -1;
	if (!((reset || s->is_broken) && close_by_reset(s) == 0))
		uv_close((uv_handle_t *)s->handle, handle_closed);
}

static void
release(cede_stream_t *s, int reset)
{
	if (!s)
		return;
	cede__check(!s->is_released, "a stream was closed twice");
	s->is_released = 1;
	if (s->place)
		*s->place = NULL;
	cede__list_remove(&s->resource.link);
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
