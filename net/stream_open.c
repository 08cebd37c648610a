/*
 * Descriptors as streams, and back. All that can be refused is refused before the
 * descriptor is touched: what libuv can't wait for, it aborts the process for.
 */
#include "net/stream_int.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coro/alloc.h"

static int
get_option(int fd, int name)
{
	int value = 0;
	socklen_t length = sizeof value;

	return getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -errno : value;
}

/* UV_TCP or UV_NAMED_PIPE; or a code. */
static int
type_of_socket(int fd)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof peer;

	if (get_option(fd, SO_TYPE) != SOCK_STREAM)
		return CEDE_EINVAL;
	if (get_option(fd, SO_ACCEPTCONN) != 0 ||
		getpeername(fd, (struct sockaddr *)&peer, &length) < 0)
		return CEDE_ENOTCONN;
	return peer.ss_family == AF_INET || peer.ss_family == AF_INET6 ? UV_TCP : UV_NAMED_PIPE;
}

/* libuv's type of handle for a descriptor; or a code. */
static int
type_of(int fd)
{
	struct stat kind;

	if (fstat(fd, &kind) < 0)
		return -errno;
	if (S_ISSOCK(kind.st_mode))
		return type_of_socket(fd);
	if (S_ISFIFO(kind.st_mode))
		return UV_NAMED_PIPE;
	return S_ISCHR(kind.st_mode) && isatty(fd) ? UV_TTY : CEDE_EINVAL;
}

/* libuv opens a terminal anew, where it can, so that it is non-blocking for us alone. */
static int
open_terminal(cede_loop_t *loop, int fd, cede_stream_t **ret_stream)
{
	cede_stream_t *s = cede__stream_alloc(loop);
	int r;

	if (!s)
		return CEDE_ENOMEM;
	r = uv_tty_init(loop->uv, &s->own.tty, fd, 0);
	if (r < 0) {
		cede__free(s);
		return r;
	}
	cede__stream_take_handle(s, &s->own.stream);
	cede__stream_attach(s, &cede__file_transport);
	uv_fileno(&s->own.handle, &s->fd);
	if (s->fd != fd && fd > STDERR_FILENO)
		close(fd);
	r = cede__stream_take_fd(s, s->fd);
	if (r < 0)
		cede_close(s);
	else
		*ret_stream = s;
	return r;
}

int
cede_stream_open_fd(int fd, cede_stream_t **ret_stream)
{
	cede_loop_t *loop = cede_loop_current();
	cede_stream_t *s;
	int type, r;

	if (!loop)
		return CEDE_ENOTASK;
	type = type_of(fd);
	if (type < 0)
		return type;
	if (type == UV_TTY)
		return open_terminal(loop, fd, ret_stream);

	r = cede__stream_create(loop, (uv_handle_type)type, &s);
	if (r < 0)
		return r;
	r = type == UV_TCP ? uv_tcp_open(&s->own.tcp, fd) : uv_pipe_open(&s->own.pipe, fd);
	if (r == 0)
		r = cede__stream_take_fd(s, fd);
	if (r < 0)
		cede_close(s);
	else
		*ret_stream = s;
	return r;
}

int
cede_stream_release_fd(cede_stream_t *s)
{
	int fd;

	if (!cede__stream_is_bare(s) || s->is_adopted)
		return CEDE_ENOTSUP;
	if (s->is_closed)
		return CEDE_EBADF;
	/* The third: one is done, and its task, which looks at the stream again, has yet to run. */
	if (s->reader || s->writer || s->refs > 1 || s->is_sending || cede__stream_ahead(s) > 0)
		return CEDE_EBUSY;
	fd = fcntl(s->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0)
		return -errno;
	cede_close(s);
	return fd;
}
