/*
 * Listening sockets of any family: a uv_poll_t and accept4() of our own. How they
 * come to be is in listener_tcp.c and unix_listen.c.
 *
 * An accept tries accept4() where a connection may be waiting, and else waits
 * for the poll. After so many in a row it lets the loop turn first, so that a
 * flood of connections does not keep those who have one from being served.
 *
 * Out of descriptors or memory: the poll is stopped, because it would report the
 * same connection again at once and for ever, and tried again after a pause that
 * doubles from 10 ms to half a second. The connections wait in the backlog meanwhile. The
 * stream's memory is there before accept4() is called, so that no connection is
 * taken that could not be kept.
 */
#include "net/listener.h"

#include <sys/socket.h>
#include <unistd.h>

#include "coro/alloc.h"
#include "net/address.h"
#include "net/stream_int.h"

#define PAUSE_MS_MIN 10
#define PAUSE_MS_MAX 500
#define IN_A_ROW_MAX 16

struct cede_listener {
	uv_poll_t uv;
	cede_loop_t *loop;
	int fd;
	uv_handle_type type; /* of the streams it makes */
	uint8_t may_have_connection;
	uint8_t is_armed;
	uint8_t is_closed;
	uint32_t refs;           /* libuv's, until its close callback, and a server's */
	unsigned in_a_row;       /* accepted since libuv reported last */
	cede_accept_t *acceptor; /* only while one waits */
	cede_stream_t *spare;    /* memory for the next connection */
	uint64_t pause_ms;       /* 0: no shortage */
	struct cede__timer pause;
	struct cede__resource resource;
	cede_dtor_fn *forget; /* called with `name` at the close, or NULL */
	void *name;
};

/* ---- accepting ---- */

static void connection_comes(uv_poll_t *uv, int status, int events);

static void
arm(cede_listener_t *l)
{
	if (!l->is_armed)
		l->is_armed = uv_poll_start(&l->uv, UV_READABLE, connection_comes) == 0;
}

static void
disarm(cede_listener_t *l)
{
	uv_poll_stop(&l->uv);
	l->is_armed = 0;
}

static int
is_shortage(int code)
{
	return code == CEDE_EMFILE || code == CEDE_ENFILE || code == CEDE_ENOBUFS ||
		code == CEDE_ENOMEM;
}

/* The connection was gone before it was accepted, or the like: look for the next. */
static int
is_passed_over(int code)
{
	return code == -EINTR || code == CEDE_ECONNABORTED || code == -EPROTO || code == -EPERM ||
		code == -ENETDOWN || code == -ENOPROTOOPT || code == -EHOSTDOWN ||
		code == -EHOSTUNREACH || code == -ENETUNREACH || code == -EOPNOTSUPP;
}

/* A descriptor, or an error that is not passed over. */
static int
accept_fd(cede_listener_t *l)
{
	for (int tries = 0; tries < IN_A_ROW_MAX; tries++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			return fd;
		if (!is_passed_over(-errno))
			return -errno;
	}
	return CEDE_EAGAIN;
}

/* One connection. CEDE_EAGAIN: none now, libuv or the pause will tell. */
static int
try_accept(cede_listener_t *l, cede_stream_t **ret_stream)
{
	int r = l->spare ? 0 : cede__stream_create(l->loop, l->type, &l->spare), fd = -1;

	if (r == 0)
		r = fd = accept_fd(l);
	if (is_shortage(r)) {
		l->pause_ms = l->pause_ms ? l->pause_ms * 2 : PAUSE_MS_MIN;
		if (l->pause_ms > PAUSE_MS_MAX)
			l->pause_ms = PAUSE_MS_MAX;
		disarm(l);
		(void)cede__timer_start(l->loop, &l->pause, l->pause_ms); /* reserved */
		return CEDE_EAGAIN;
	}
	if (r < 0) {
		l->may_have_connection = 0;
		return r;
	}

	l->pause_ms = 0;
	l->in_a_row++;
	*ret_stream = l->spare;
	l->spare = NULL;
	r = cede__stream_open(*ret_stream, fd);
	if (r < 0)
		cede_close(*ret_stream);
	return r;
}

/* For whoever waits, now that there may be a connection. */
static void
serve_acceptor(cede_listener_t *l)
{
	cede_accept_t *op = l->acceptor;
	int r = try_accept(l, &op->stream);

	if (r == CEDE_EAGAIN)
		return;
	l->acceptor = NULL;
	cede_future_resolve(&op->future, r, NULL);
}

static void
connection_comes(uv_poll_t *uv, int status, int events)
{
	cede_listener_t *l = uv->data;
	cede_loop_t *loop = l->loop;

	cede__loop_enter(loop);
	l->may_have_connection = 1;
	l->in_a_row = 0;
	if (status < 0)
		l->is_armed = 0; /* libuv has stopped it; what is wrong accept4() says */
	if (l->acceptor)
		serve_acceptor(l);
	else
		disarm(l);
	cede__loop_leave(loop); /* may close the listener */
}

static void
pause_ends(struct cede__timer *timer)
{
	cede_listener_t *l = cede__container_of(timer, cede_listener_t, pause);

	if (l->acceptor)
		serve_acceptor(l);
	if (l->acceptor && l->pause.index == 0)
		arm(l);
}

static void
cancel_accept(cede_future_t *future)
{
	cede_accept_t *op = cede__container_of(future, cede_accept_t, future);

	op->listener->acceptor = NULL;
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_accept_start(cede_listener_t *l, cede_accept_t *op)
{
	int r = CEDE_EAGAIN;

	if (!cede_task_current())
		return CEDE_ENOTASK;
	if (l->acceptor)
		return CEDE_EBUSY;
	if (l->is_closed)
		return CEDE_ECANCELED;
	op->listener = l;
	op->stream = NULL;
	cede_future_init(&op->future, cancel_accept);
	if (l->may_have_connection && l->in_a_row < IN_A_ROW_MAX && l->pause.index == 0)
		r = try_accept(l, &op->stream);
	if (r != CEDE_EAGAIN) {
		cede_future_resolve(&op->future, r, NULL);
		return 0;
	}
	l->acceptor = op;
	if (l->pause.index == 0)
		arm(l);
	return 0;
}

int
cede_accept(cede_listener_t *l, cede_stream_t **ret_stream)
{
	cede_loop_t *loop;
	cede_accept_t op;
	int r = cede__await_admit(&loop);

	if (r == 0)
		r = cede_accept_start(l, &op);
	if (r == 0)
		r = cede_await(&op.future);
	if (r == 0)
		*ret_stream = op.stream;
	return r;
}

/* ---- life ---- */

static void
handle_closed(uv_handle_t *handle)
{
	cede_listener_t *l = handle->data;

	cede__loop_closed(l->loop);
	cede__listener_unref(l);
}

cede_listener_t *
cede__listener_ref(cede_listener_t *l)
{
	l->refs++;
	return l;
}

void
cede__listener_unref(cede_listener_t *l)
{
	if (--l->refs == 0)
		cede__free(l);
}

void
cede__listener_close_once(cede_listener_t *l)
{
	if (!l->is_closed)
		cede_listener_close(l);
}

static void
close_left_open(struct cede__resource *resource)
{
	cede_listener_close(cede__container_of(resource, cede_listener_t, resource));
}

int
cede__listener_create(cede_loop_t *loop, int fd, uv_handle_type type,
	cede_listener_t **ret_listener)
{
	cede_listener_t *l = cede__alloc_zero(sizeof *l);
	int r;

	if (!l)
		return CEDE_ENOMEM;
	r = cede__timer_reserve(loop, &l->pause);
	if (r < 0)
		goto allocated;
	r = uv_poll_init_socket(loop->uv, &l->uv, fd);
	if (r < 0)
		goto reserved;

	cede__loop_opened(loop);
	l->uv.data = l;
	l->loop = loop;
	l->fd = fd;
	l->type = type;
	l->refs = 1;
	l->may_have_connection = 1;
	l->pause.fire = pause_ends;
	l->resource.close = close_left_open;
	cede__list_init(&l->resource.link);
	cede__list_append(&loop->resources, &l->resource.link);
	*ret_listener = l;
	return 0;

reserved:
	cede__timer_unreserve(loop, &l->pause);
allocated:
	cede__free(l);
	return r;
}

void
cede__listener_set_name(cede_listener_t *l, void *name, cede_dtor_fn *forget)
{
	l->name = name;
	l->forget = forget;
}

void
cede_listener_close(cede_listener_t *l)
{
	if (!l)
		return;
	cede__check(!l->is_closed, "a listener was closed twice");
	l->is_closed = 1;
	cede__list_remove(&l->resource.link);
	cede__timer_unreserve(l->loop, &l->pause);
	if (l->acceptor)
		cede_future_cancel(&l->acceptor->future);
	cede_close(l->spare);
	l->spare = NULL;
	if (l->forget)
		l->forget(l->name); /* while it still listens: see unix_listen.c */
	uv_close((uv_handle_t *)&l->uv, handle_closed); /* the poll lets go of the descriptor */
	shutdown(l->fd, SHUT_RD);                       /* should another process have it, too */
	close(l->fd);
	l->fd = -1;
}

int
cede_listener_address(const cede_listener_t *l, char *buffer, size_t size)
{
	return cede__address_of_fd(l->fd, getsockname, buffer, size);
}
