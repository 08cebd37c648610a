/*
 * Descriptors as streams, and back. All that can be refused is refused before the
 * descriptor is touched: what libuv can't wait for, it aborts the process for.
 */
#include "net/stream_int.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* UV_TCP, UV_TTY, or UV_NAMED_PIPE for whatever else can be waited for; or a code. */
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

/*
 * A terminal of one's own: opened anew it is non-blocking for nobody else. That goes for
 * what a program runs in, and not for a master: to open that makes another terminal.
 */
static int
open_terminal_anew(int fd)
{
	char path[64];
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || ptsname_r(fd, path, sizeof path) == 0 ||
		ttyname_r(fd, path, sizeof path) != 0)
		return -1;
	return open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* What can be waited for like a pipe: a unix socket, a terminal, a pipe. */
static int
open_as_pipe(cede_stream_t *s, int fd, int is_terminal)
{
	int anew = is_terminal ? open_terminal_anew(fd) : -1;
	int used = anew >= 0 ? anew : fd;
	int r = uv_pipe_open(&s->own.pipe, used);

	if (anew >= 0 && (r < 0 || fd > STDERR_FILENO))
		close(r < 0 ? anew : fd);
	return r < 0 ? r : cede__stream_take_fd(s, used);
}

static int
open_as_tcp(cede_stream_t *s, int fd)
{
	int r = uv_tcp_open(&s->own.tcp, fd);

	return r < 0 ? r : cede__stream_take_fd(s, fd);
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
	r = cede__stream_create(loop, type == UV_TCP ? UV_TCP : UV_NAMED_PIPE, &s);
	if (r < 0)
		return r;
	r = type == UV_TCP ? open_as_tcp(s, fd) : open_as_pipe(s, fd, type == UV_TTY);
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
	if (cede__stream_is_in_use(s) || cede__stream_ahead(s) > 0)
		return CEDE_EBUSY;
	fd = fcntl(s->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0)
		return -errno;
	cede_close(s);
	return fd;
}
