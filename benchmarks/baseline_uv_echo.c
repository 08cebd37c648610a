/*
 * The echo server that cede is measured against: raw libuv callbacks, written
 * as well as one can with libuv's public interface.
 *
 * Life of a message: libuv reads into the loop's one buffer; what was read is
 * sent at once (uv_try_write). Only what the socket does not take is queued:
 * the buffer itself, with the request that lies in front of it, goes with
 * uv_write, and the loop goes on with another one from the pool. No byte is
 * copied, nothing is allocated in the steady state. A connection that owes more
 * than HIGH_WATER is not read from until it has paid.
 *
 * TCP_NODELAY is set on the listener once: accepted sockets inherit it. Accepts
 * go on until there are no more (UV_TCP_SINGLE_ACCEPT off: without that libuv
 * sleeps after each). Connections are pooled as well.
 *
 * The end: SIGTERM or SIGINT closes every handle, uv_run() returns by itself,
 * and a loop that cannot be closed then is an error.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>

#include <uv.h>

#define BUFFER_DEFAULT ((size_t)64 * 1024)
#define HIGH_WATER     ((size_t)1024 * 1024)
#define BACKLOG        511

struct buffer {
	uv_write_t request;
	struct buffer *next; /* in the pool */
	char data[];
};

struct connection {
	uv_tcp_t tcp;
	struct connection *next; /* in the pool */
};

struct server {
	uv_loop_t loop;
	uv_tcp_t listener;
	uv_signal_t term, interrupt;
	size_t buffer_size;
	struct buffer *reading;         /* what the next read goes to; NULL: none yet */
	struct buffer *buffers;         /* free */
	struct connection *connections; /* free */
};

static struct server server;

static struct buffer *
buffer_take(void)
{
	struct buffer *b = server.buffers;

	if (b)
		server.buffers = b->next;
	else
		b = malloc(sizeof *b + server.buffer_size);
	return b;
}

static void
buffer_give(struct buffer *b)
{
	b->next = server.buffers;
	server.buffers = b;
}

static void
on_closed(uv_handle_t *handle)
{
	struct connection *c = handle->data;

	c->next = server.connections;
	server.connections = c;
}

static void
connection_close(struct connection *c)
{
	if (!uv_is_closing((uv_handle_t *)&c->tcp))
		uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
	if (!server.reading)
		server.reading = buffer_take();
	/* Without memory the length is 0 and on_read gets UV_ENOBUFS. */
	*ret_buf = uv_buf_init(server.reading ? server.reading->data : NULL,
		server.reading ? (unsigned)server.buffer_size : 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void
on_written(uv_write_t *request, int status)
{
	uv_stream_t *stream = request->handle;

	buffer_give(request->data);
	if (status < 0)
		connection_close(stream->data);
	else if (uv_stream_get_write_queue_size(stream) == 0 &&
		!uv_is_closing((uv_handle_t *)stream))
		uv_read_start(stream, on_alloc, on_read); /* harmless when it is reading */
}

/* The socket took @sent bytes of what was read: the rest goes with its buffer. */
static int
write_rest(uv_stream_t *stream, size_t sent, size_t size)
{
	struct buffer *b = server.reading;
	uv_buf_t rest = uv_buf_init(b->data + sent, (unsigned)(size - sent));
	int err;

	b->request.data = b;
	err = uv_write(&b->request, stream, &rest, 1, on_written);
	if (err < 0)
		return err;
	server.reading = NULL;
	if (uv_stream_get_write_queue_size(stream) > HIGH_WATER)
		uv_read_stop(stream);
	return 0;
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	uv_buf_t all;
	int sent;

	if (n == 0) /* would have blocked */
		return;
	if (n < 0) {
		connection_close(stream->data);
		return;
	}
	all = uv_buf_init(buf->base, (unsigned)n);
	sent = uv_try_write(stream, &all, 1);
	if (sent == n)
		return;
	if (sent < 0 && sent != UV_EAGAIN) {
		connection_close(stream->data);
		return;
	}
	if (write_rest(stream, sent < 0 ? 0 : (size_t)sent, (size_t)n) < 0)
		connection_close(stream->data);
}

static void
on_connection(uv_stream_t *listener, int status)
{
	struct connection *c = server.connections;

	if (status < 0) /* the connection was gone, or descriptors are short: libuv tries again */
		return;
	if (c)
		server.connections = c->next;
	else if (!(c = malloc(sizeof *c)))
		return;
	uv_tcp_init(&server.loop, &c->tcp);
	c->tcp.data = c;
	if (uv_accept(listener, (uv_stream_t *)&c->tcp) < 0 ||
		uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) < 0)
		connection_close(c);
}

static void
close_walked(uv_handle_t *handle, void *arg)
{
	if (!uv_is_closing(handle))
		uv_close(handle, handle->data ? on_closed : NULL);
}

static void
on_signal(uv_signal_t *handle, int signum)
{
	uv_walk(handle->loop, close_walked, NULL);
}

/* "127.0.0.1:7000" */
static int
parse_address(const char *text, struct sockaddr_in *ret)
{
	char host[INET_ADDRSTRLEN];
	const char *colon = strrchr(text, ':');
	char *end;
	unsigned long port;

	if (!colon || (size_t)(colon - text) >= sizeof host)
		return UV_EINVAL;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	port = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end || port > 65535)
		return UV_EINVAL;
	return uv_ip4_addr(host, (int)port, ret);
}

static int
print_listening(void)
{
	struct sockaddr_in address;
	int size = sizeof address;
	char host[INET_ADDRSTRLEN];
	int err = uv_tcp_getsockname(&server.listener, (struct sockaddr *)&address, &size);

	if (err < 0)
		return err;
	uv_ip4_name(&address, host, sizeof host);
	printf("listening %s:%u\n", host, ntohs(address.sin_port));
	return fflush(stdout) ? UV_EPIPE : 0;
}

/* On failure the caller closes what was made, as at the end. */
static int
listen_on(const struct sockaddr_in *address)
{
	int err;

	if ((err = uv_signal_start(&server.term, on_signal, SIGTERM)) < 0 ||
		(err = uv_signal_start(&server.interrupt, on_signal, SIGINT)) < 0 ||
		(err = uv_tcp_bind(&server.listener, (const struct sockaddr *)address, 0)) < 0 ||
		(err = uv_tcp_nodelay(&server.listener, 1)) < 0 ||
		(err = uv_listen((uv_stream_t *)&server.listener, BACKLOG, on_connection)) < 0)
		return err;
	return print_listening();
}

static int
serve(const struct sockaddr_in *address)
{
	int err = uv_loop_init(&server.loop), closed;

	if (err < 0)
		return err;
	uv_signal_init(&server.loop, &server.term);
	uv_signal_init(&server.loop, &server.interrupt);
	uv_tcp_init(&server.loop, &server.listener);
	err = listen_on(address);
	if (err < 0)
		uv_walk(&server.loop, close_walked, NULL);
	uv_run(&server.loop, UV_RUN_DEFAULT);
	closed = uv_loop_close(&server.loop);
	return err < 0 ? err : closed;
}

static void
pools_empty(void)
{
	struct buffer *b;
	struct connection *c;

	free(server.reading);
	while ((b = server.buffers)) {
		server.buffers = b->next;
		free(b);
	}
	while ((c = server.connections)) {
		server.connections = c->next;
		free(c);
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_in address;
	unsigned long size = BUFFER_DEFAULT;
	int err;

	if (argc == 4 && !strcmp(argv[1], "--buffer"))
		size = strtoul(argv[2], NULL, 10);
	if ((argc != 2 && argc != 4) || size < 1 || size > INT32_MAX ||
		parse_address(argv[argc - 1], &address) < 0) {
		fprintf(stderr, "usage: %s [--buffer BYTES] ADDRESS:PORT\n", argv[0]);
		return 2;
	}
	server.buffer_size = size;
	setenv("UV_TCP_SINGLE_ACCEPT", "0", 1);
	signal(SIGPIPE, SIG_IGN);
	err = serve(&address);
	pools_empty();
	if (err < 0)
		fprintf(stderr, "%s: %s\n", argv[0], uv_strerror(err));
	return err < 0;
}
