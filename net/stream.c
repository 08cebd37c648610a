/*
 * Streams: their life, closing, names. The model is in stream_int.h; descriptors,
 * reading, what was read ahead, writing and the limits have files of their own.
 */
#include "net/stream_int.h"

#include <sys/socket.h>

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
	s->limits = (struct cede__timer){ .fire = cede__stream_limits_fire, .is_weak = 1 };
	s->resource.close = close_left_open;
	cede__list_init(&s->resource.link);
	return s;
}

void
cede__stream_attach(cede_stream_t *s, const struct cede__transport *transport)
{
	s->transport = transport;
	cede__list_append(&s->loop->resources, &s->resource.link);
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
	if (--s->refs > 0)
		return;
	if (s->transport->forget)
		s->transport->forget(s);
	cede__free(s);
}

/* ---- closing ---- */

void
cede__stream_close_transport(cede_stream_t *s, int is_reset)
{
	if (s->is_closed)
		return;
	s->is_closed = 1;
	cede__timer_stop(&s->limits);
	if (s->is_sending)
		s->is_broken = 1; /* half a file */
	if (s->reader)
		cede__stream_end_read(s, CEDE_ECANCELED);
	if (s->writer) {
		s->is_broken = 1;
		cede__stream_end_write(s, CEDE_ECANCELED);
	}
	s->transport->close(s, is_reset || s->is_broken);
}

static void
release(cede_stream_t *s, int is_reset)
{
	if (!s)
		return;
	cede__check(!s->is_released, "a stream was closed twice");
	s->is_released = 1;
	if (s->place)
		*s->place = NULL;
	cede__list_remove(&s->resource.link);
	cede__stream_close_transport(s, is_reset);
	s->from = s->to = 0;
	cede_read_return(s);
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
	if (s->stated)
		return cede__address_format(&s->stated->peer.address, s->stated->peer.length,
			buffer, size);
	if (s->is_in_memory)
		return CEDE_ENOTSUP;
	return cede__address_of_fd(s->fd, getpeername, buffer, size);
}

int
cede_stream_local(const cede_stream_t *s, char *buffer, size_t size)
{
	if (s->stated)
		return cede__address_format(&s->stated->local.address, s->stated->local.length,
			buffer, size);
	if (s->is_in_memory)
		return CEDE_ENOTSUP;
	return cede__address_of_fd(s->fd, getsockname, buffer, size);
}
