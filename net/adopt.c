/*
 * Handles of the host's as streams, and back.
 *
 * Adopting: everything that can be refused is refused, and the memory is there,
 * before the handle is touched. From then on the handle's `data` and its reading
 * are the stream's, the host's `data` waits in the stream.
 *
 * Ends. Released: reading is stopped, `data` is put back, the stream goes at once.
 * Closed, by whichever way (its owner, a write that was given up, the idle limit,
 * the detach): as any stream, and when libuv has let go `data` is put back and the
 * host is told, last, since it may free the handle then.
 */
#include <cede/uv.h>

#include <fcntl.h>

#include "coro/alloc.h"
#include "net/stream_int.h"

/* Does the host do something with it, that a stream would get into? */
static int
is_busy(const uv_stream_t *handle)
{
	return uv_is_active((const uv_handle_t *)handle) || handle->shutdown_req ||
		uv_stream_get_write_queue_size(handle) > 0;
}

/* 0 with its descriptor, or why it cannot be a stream. */
static int
check_handle(const cede_loop_t *loop, const uv_stream_t *handle, int *ret_fd)
{
	if (!loop || !handle || handle->loop != loop->uv)
		return CEDE_EINVAL;
	if (handle->type != UV_TCP && handle->type != UV_NAMED_PIPE && handle->type != UV_TTY)
		return CEDE_EINVAL;
	if (handle->type == UV_NAMED_PIPE && ((const uv_pipe_t *)handle)->ipc)
		return CEDE_ENOTSUP; /* descriptors come with the bytes, and would be lost */
	if (uv_is_closing((const uv_handle_t *)handle))
		return CEDE_EBADF;
	if (is_busy(handle))
		return CEDE_EBUSY;
	if (!uv_is_readable(handle) && !uv_is_writable(handle))
		return CEDE_ENOTCONN;
	if (loop->is_detaching)
		return CEDE_ESHUTDOWN;
	return uv_fileno((const uv_handle_t *)handle, ret_fd);
}

int
cede_stream_adopt(cede_loop_t *loop, uv_stream_t *handle, uv_close_cb closed,
	cede_stream_t **ret_stream)
{
	cede_stream_t *s;
	int fd, r = check_handle(loop, handle, &fd);

	if (r < 0)
		return r;
	s = cede__stream_alloc(loop);
	if (!s)
		return CEDE_ENOMEM;
	s->handle = handle;
	r = cede__stream_take_fd(s, fd);
	if (r < 0) {
		cede__free(s);
		return r;
	}
	s->is_blocking = !(fcntl(fd, F_GETFL) & O_NONBLOCK);
	s->may_have_data = !s->is_blocking;
	s->is_adopted = 1;
	s->host_data = handle->data;
	s->host_closed = closed;
	cede__stream_take_handle(s, handle);
	cede__stream_attach(s, s->transport);
	*ret_stream = s;
	return 0;
}

int
cede_stream_release(cede_stream_t *s)
{
	if (!s || !s->is_adopted)
		return CEDE_EINVAL;
	if (s->is_closed)
		return CEDE_EBADF;
	if (!cede__stream_is_bare(s))
		return CEDE_ENOTSUP;
	if (cede__stream_is_in_use(s) || cede__stream_ahead(s) > 0)
		return CEDE_EBUSY;

	uv_read_stop(s->handle);
	s->handle->data = s->host_data;
	cede__timer_stop(&s->limits);
	cede_read_return(s);
	cede__list_remove(&s->resource.link);
	cede__loop_closed(s->loop);
	cede__stream_unref(s);
	return 0;
}
