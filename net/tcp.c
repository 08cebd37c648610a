/*
 * Connecting over TCP. libuv connects; the request lies in the stream, so giving
 * the attempt up is closing the stream.
 */
#include <cede/tcp.h>

#include "net/address.h"
#include "net/stream_int.h"

static void
cancel_connect(cede_future_t *future)
{
	cede_connect_t *op = cede__container_of(future, cede_connect_t, future);
	cede_stream_t *s = op->stream;

	s->connecting = NULL;
	op->stream = NULL;
	cede_abort(s);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

static void
connected(uv_connect_t *request, int status)
{
	cede_stream_t *s = request->handle->data;
	cede_connect_t *op = s->connecting;
	cede_loop_t *loop = s->loop;

	if (!op)
		return; /* it was given up, and the stream closed */
	cede__loop_enter(loop);
	s->connecting = NULL;
	if (status == 0)
		uv_fileno(&s->own.handle, &s->fd);
	else
		op->stream = NULL;
	cede_future_resolve(&op->future, status, NULL);
	if (status < 0)
		cede_close(s);
	cede__loop_leave(loop);
}

int
cede_tcp_connect_start(const char *address, cede_connect_t *op)
{
	cede_loop_t *loop = cede_loop_current();
	struct sockaddr_storage target;
	cede_stream_t *s;
	int r;

	if (!loop)
		return CEDE_ENOTASK;
	r = cede__address_parse(address, &target);
	if (r == 0)
		r = cede__stream_create(loop, UV_TCP, &s);
	if (r < 0)
		return r;
	s->may_have_data = 0; /* nobody answers before the connection is there */
	uv_tcp_nodelay(&s->own.tcp, 1);
	r = uv_tcp_connect(&s->request.connect, &s->own.tcp, (struct sockaddr *)&target, connected);
	if (r < 0) {
		cede_close(s);
		return r;
	}
	cede_future_init(&op->future, cancel_connect);
	op->stream = s;
	s->connecting = op;
	return 0;
}

int
cede_tcp_connect(const char *address, cede_stream_t **ret_stream)
{
	cede_loop_t *loop;
	cede_connect_t op;
	int r = cede__await_admit(&loop);

	if (r == 0)
		r = cede_tcp_connect_start(address, &op);
	if (r == 0)
		r = cede_await(&op.future);
	if (r == 0)
		*ret_stream = op.stream;
	return r;
}
