/*
 * Connecting to unix sockets, and who is at the other end.
 *
 * A connect succeeds or fails at once, but when the listener's backlog is full: then
 * the system says CEDE_EAGAIN and there is nothing to be told by, so it is tried
 * again after a pause that doubles from 1 to 100 ms. What waits for that lies in a
 * block, which the future's value points to until it is done: with it go the
 * descriptor, the place in the timer heap and the loop's note of what to close.
 */
#include <cede/unix.h>

#include <sys/socket.h>
#include <unistd.h>

#include "coro/alloc.h"
#include "net/address.h"
#include "net/stream_int.h"

#define PAUSE_MS_MIN 1
#define PAUSE_MS_MAX 100

struct waiting {
	cede_loop_t *loop;
	cede_connect_t *op;
	int fd;
	uint64_t pause_ms;
	struct cede__timer pause;
	struct cede__resource resource;
	struct sockaddr_un address;
	socklen_t length;
};

static int
try_connect(int fd, const struct sockaddr_un *address, socklen_t length)
{
	int r;

	do {
		r = connect(fd, (const struct sockaddr *)address, length);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* The stream of a connected descriptor, which is its own from here on. */
static int
make_stream(cede_loop_t *loop, int fd, cede_stream_t **ret_stream)
{
	cede_stream_t *s;
	int r = cede__stream_create(loop, UV_NAMED_PIPE, &s);

	if (r < 0) {
		close(fd);
		return r;
	}
	r = cede__stream_open(s, fd);
	if (r < 0)
		cede_close(s);
	else
		*ret_stream = s;
	return r;
}

/* ---- a backlog that is full ---- */

/* The attempt is over. @result 0: the descriptor is connected. */
static void
end_waiting(struct waiting *w, int result)
{
	cede_connect_t *op = w->op;

	if (result == 0)
		result = make_stream(w->loop, w->fd, &op->stream);
	else
		close(w->fd);
	cede__list_remove(&w->resource.link);
	cede__timer_unreserve(w->loop, &w->pause);
	cede__free(w);
	cede_future_resolve(&op->future, result, NULL);
}

static void
start_pause(struct waiting *w)
{
	w->pause_ms = w->pause_ms ? w->pause_ms * 2 : PAUSE_MS_MIN;
	if (w->pause_ms > PAUSE_MS_MAX)
		w->pause_ms = PAUSE_MS_MAX;
	(void)cede__timer_start(w->loop, &w->pause, w->pause_ms); /* reserved */
}

static void
pause_ends(struct cede__timer *timer)
{
	struct waiting *w = cede__container_of(timer, struct waiting, pause);
	int r = try_connect(w->fd, &w->address, w->length);

	if (r == CEDE_EAGAIN)
		start_pause(w);
	else
		end_waiting(w, r);
}

static void
cancel_connect(cede_future_t *future)
{
	end_waiting(future->value, CEDE_ECANCELED);
}

static void
close_left_open(struct cede__resource *resource)
{
	end_waiting(cede__container_of(resource, struct waiting, resource), CEDE_ECANCELED);
}

/* 0, with the descriptor its own; CEDE_ENOMEM. */
static int
wait_for_place(cede_loop_t *loop, int fd, const struct sockaddr_un *address, socklen_t length,
	cede_connect_t *op)
{
	struct waiting *w = cede__alloc_zero(sizeof *w);

	if (!w)
		return CEDE_ENOMEM;
	if (cede__timer_reserve(loop, &w->pause) < 0) {
		cede__free(w);
		return CEDE_ENOMEM;
	}
	w->loop = loop;
	w->op = op;
	w->fd = fd;
	w->address = *address;
	w->length = length;
	w->pause.fire = pause_ends;
	w->resource.close = close_left_open;
	cede__list_init(&w->resource.link);
	cede__list_append(&loop->resources, &w->resource.link);
	cede_future_init(&op->future, cancel_connect);
	op->future.value = w;
	start_pause(w);
	return 0;
}

/* ---- connecting ---- */

int
cede_unix_connect_start(const char *path, cede_connect_t *op)
{
	cede_loop_t *loop = cede_loop_current();
	struct sockaddr_un address;
	socklen_t length;
	int fd, r;

	if (!loop)
		return CEDE_ENOTASK;
	r = cede__address_parse_unix(path, &address, &length);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;

	op->stream = NULL;
	r = try_connect(fd, &address, length);
	if (r == CEDE_EAGAIN) {
		r = wait_for_place(loop, fd, &address, length, op);
		if (r == 0)
			return 0;
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	r = make_stream(loop, fd, &op->stream);
	if (r < 0)
		return r;
	cede_future_init(&op->future, NULL);
	cede_future_resolve(&op->future, 0, NULL);
	return 0;
}

int
cede_unix_connect(const char *path, cede_stream_t **ret_stream)
{
	cede_loop_t *loop;
	cede_connect_t op;
	int r = cede__await_admit(&loop);

	if (r == 0)
		r = cede_unix_connect_start(path, &op);
	if (r == 0)
		r = cede_await(&op.future);
	if (r == 0)
		*ret_stream = op.stream;
	return r;
}

/* ---- who is there ---- */

/* Of another family the system has an answer as well, which is about nobody. */
static int
is_unix(int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof address;

	return getsockname(fd, (struct sockaddr *)&address, &length) == 0 &&
		address.ss_family == AF_UNIX;
}

int
cede_unix_peer(const cede_stream_t *s, pid_t *ret_pid, uid_t *ret_uid, gid_t *ret_gid)
{
#ifdef SO_PEERCRED
	struct ucred who;
	socklen_t length = sizeof who;

	if (s->is_closed)
		return CEDE_EBADF;
	if (s->fd < 0 || !is_unix(s->fd))
		return CEDE_ENOTSUP;
	if (getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &who, &length) < 0)
		return -errno;
	if (ret_pid)
		*ret_pid = who.pid;
	if (ret_uid)
		*ret_uid = who.uid;
	if (ret_gid)
		*ret_gid = who.gid;
	return 0;
#else
	return CEDE_ENOTSUP;
#endif
}
