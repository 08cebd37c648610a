/*
 * The PROXY header of a connection. It is looked at before it is taken, so that what
 * comes behind it stays in the stream; proxy_protocol.c never has room for more than
 * the header.
 */
#include <string.h>

#include <cede/scope.h>

#include "coro/alloc.h"
#include "net/proxy_protocol.h"
#include "net/serve_int.h"

#define HEADER_MS 10000

/* 0: it is complete; 1: the end of file, and nothing before it; or a code. */
CEDE_SUSPENDS static int
read_header(cede_stream_t *s, struct cede__proxy *p)
{
	const void *data;
	int r = 0, has_begun = 0;

	cede__proxy_init(p);
	while (r == 0) {
		const ssize_t n = cede_peek(s, 1, &data);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return has_begun ? CEDE_EPROTO : 1;
		const size_t taken = (size_t)n < p->room ? (size_t)n : p->room;

		memcpy(p->into, data, taken);
		r = cede_read_skip(s, taken);
		if (r == 0)
			r = cede__proxy_feed(p, taken);
		has_begun = 1;
	}
	return r < 0 ? r : 0;
}

int
cede__serve_read_header(struct cede__connection *c)
{
	struct cede__proxy proxy;
	int r = 0;

	c->is_in_header = 1;
	CEDE_TIMEOUT(HEADER_MS) {
		r = read_header(c->stream, &proxy);
	}
	c->is_in_header = 0;
	if (r != 0 || proxy.names.peer.length == 0)
		return r;
	c->stated = cede__alloc(sizeof *c->stated);
	if (!c->stated)
		return CEDE_ENOMEM;
	*c->stated = proxy.names;
	c->stream->stated = c->stated;
	return 0;
}
