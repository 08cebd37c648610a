/*
 * What the tests of adopted handles share: an application with a loop of its own, a
 * connected handle of one kind, and the other end of it as a descriptor.
 *
 *     host_open(&h, open_tcp);
 *     host_adopt(&h);              h.stream is a stream on it
 *     run_task(&h, body);          body gets the host
 *     host_close(&h);              with the leak gate
 */
#ifndef CEDE_TESTS_NET_ADOPT_TEST_H
#define CEDE_TESTS_NET_ADOPT_TEST_H

#include <stdlib.h>
#include <termios.h>

#include "tests/net/pair.h"

union any_stream {
	uv_handle_t handle;
	uv_stream_t stream;
	uv_tcp_t tcp;
	uv_pipe_t pipe;
	uv_tty_t tty;
};

/* An application with a loop, a connected handle of one kind, and the other end of it. */
struct host {
	uv_loop_t uv;
	cede_loop_t *loop;
	union any_stream *handle; /* allocated, freed when it was closed */
	int peer;
	int spare; /* a descriptor more, or -1 */
	int n_closed;
	int n_done;
	int result;
	cede_stream_t *stream;
	char got[16];
	ssize_t n_got;
	cede_fn *body;
	char *much;
};

typedef void open_fn(struct host *h);

static inline void
host_closed(uv_handle_t *handle)
{
	struct host *h = handle->data; /* what the host had put there */

	cr_assert_eq(handle, &h->handle->handle);
	h->n_closed++;
	free(handle);
	h->handle = NULL;
}

static inline void
open_tcp(struct host *h)
{
	unsigned port;
	int listener = peer_listen(&port);

	h->peer = peer_connect(port);
	cr_assert_eq(uv_tcp_init(&h->uv, &h->handle->tcp), 0);
	cr_assert_eq(uv_tcp_open(&h->handle->tcp, peer_accept(listener)), 0);
	peer_close(listener);
}

static inline void
open_pipe(struct host *h)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	h->peer = fds[1];
	cr_assert_eq(uv_pipe_init(&h->uv, &h->handle->pipe, 0), 0);
	cr_assert_eq(uv_pipe_open(&h->handle->pipe, fds[0]), 0);
}

static inline void
open_tty(struct host *h)
{
	struct termios raw;
	int slave;

	h->peer = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (h->peer < 0 || grantpt(h->peer) < 0 || unlockpt(h->peer) < 0)
		cr_skip_test("there are no terminals");
	slave = open(ptsname(h->peer), O_RDWR | O_NOCTTY | O_CLOEXEC);
	cr_assert_geq(slave, 0);
	cr_assert_eq(tcgetattr(slave, &raw), 0);
	cfmakeraw(&raw);
	cr_assert_eq(tcsetattr(slave, TCSANOW, &raw), 0);
	cr_assert_eq(uv_tty_init(&h->uv, &h->handle->tty, slave, 1), 0);
	h->spare = slave; /* libuv has opened the terminal once more */
}

static inline void
host_open(struct host *h, open_fn *open)
{
	leaks_begin();
	*h = (struct host){ .spare = -1 };
	cr_assert_eq(uv_loop_init(&h->uv), 0);
	cr_assert_eq(cede_attach(&h->loop, &h->uv, NULL), 0);
	h->handle = calloc(1, sizeof *h->handle);
	open(h);
	h->handle->handle.data = h;
}

static inline void
host_close(struct host *h)
{
	cr_assert_eq(cede_detach(h->loop), 0);
	if (h->handle) {
		uv_close(&h->handle->handle, host_closed);
		uv_run(&h->uv, UV_RUN_DEFAULT);
	}
	cr_assert_eq(h->n_closed, 1);
	cr_assert_eq(uv_loop_close(&h->uv), 0);
	if (h->peer >= 0)
		close(h->peer);
	if (h->spare >= 0)
		close(h->spare);
	free(h->much);
	leaks_end();
}

static inline void
host_adopt(struct host *h)
{
	cr_assert_eq(cede_stream_adopt(h->loop, &h->handle->stream, host_closed, &h->stream), 0);
}

static inline void
task_done(int result, void *data)
{
	struct host *h = data;

	h->result = result;
	h->n_done++;
}

static inline void
host_start(struct host *h, cede_fn *body)
{
	cr_assert_eq(cede_start(h->loop, body, h, task_done, h), 0);
}

static inline void
run_until_done(struct host *h)
{
	while (h->n_done == 0)
		uv_run(&h->uv, UV_RUN_ONCE);
}

static inline void
run_task(struct host *h, cede_fn *body)
{
	host_start(h, body);
	run_until_done(h);
	cr_assert_eq(h->result, 0, "%s", cede_strerror(h->result));
	h->n_done = 0;
}

/* ---- the host's own callbacks ---- */

static inline void
host_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct host *h = handle->data;

	*buffer = uv_buf_init(h->got, sizeof h->got);
}

static inline void
host_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct host *h = stream->data;

	if (n == 0)
		return;
	h->n_got = n;
	uv_read_stop(stream);
}

/* The callbacks go on: the host reads what the peer sends, and writes. */
static inline void
expect_the_host_goes_on(struct host *h)
{
	char text[] = "host";
	uv_buf_t answer = uv_buf_init(text, 4);
	char buffer[4];

	h->n_got = 0;
	cr_assert_eq(uv_read_start(&h->handle->stream, host_alloc, host_read), 0);
	cr_assert_eq(write(h->peer, "again", 5), 5);
	while (h->n_got == 0)
		uv_run(&h->uv, UV_RUN_ONCE);
	cr_assert_eq(h->n_got, 5);
	cr_assert_arr_eq(h->got, "again", 5);
	cr_assert_eq(uv_try_write(&h->handle->stream, &answer, 1), 4);
	cr_assert_eq(read(h->peer, buffer, 4), 4);
	cr_assert_arr_eq(buffer, "host", 4);
}

/* ---- a task that talks ---- */

static inline int
talk(void *arg)
{
	struct host *h = arg;
	char buffer[8];

	cr_assert_eq(cede_read(h->stream, buffer, sizeof buffer), 5);
	cr_assert_arr_eq(buffer, "hello", 5);
	cr_assert_eq(cede_write(h->stream, "task", 4), 4);
	return 0;
}

#endif
