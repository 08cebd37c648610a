/* Handles of an application's as streams, and back: net/adopt.c. */
#include "tests/net/pair.h"

#include <stdlib.h>
#include <termios.h>

#include "tests/support/order.h"

TestSuite(adopt, .timeout = 30);

#define MUCH ((size_t)16 << 20)

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

static void
host_closed(uv_handle_t *handle)
{
	struct host *h = handle->data; /* what the host had put there */

	cr_assert_eq(handle, &h->handle->handle);
	h->n_closed++;
	free(handle);
	h->handle = NULL;
}

static void
open_tcp(struct host *h)
{
	unsigned port;
	int listener = peer_listen(&port);

	h->peer = peer_connect(port);
	cr_assert_eq(uv_tcp_init(&h->uv, &h->handle->tcp), 0);
	cr_assert_eq(uv_tcp_open(&h->handle->tcp, peer_accept(listener)), 0);
	peer_close(listener);
}

static void
open_pipe(struct host *h)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	h->peer = fds[1];
	cr_assert_eq(uv_pipe_init(&h->uv, &h->handle->pipe, 0), 0);
	cr_assert_eq(uv_pipe_open(&h->handle->pipe, fds[0]), 0);
}

static void
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

static void
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

static void
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

static void
host_adopt(struct host *h)
{
	cr_assert_eq(cede_stream_adopt(h->loop, &h->handle->stream, host_closed, &h->stream), 0);
}

static void
task_done(int result, void *data)
{
	struct host *h = data;

	h->result = result;
	h->n_done++;
}

static void
host_start(struct host *h, cede_fn *body)
{
	cr_assert_eq(cede_start(h->loop, body, h, task_done, h), 0);
}

static void
run_until_done(struct host *h)
{
	while (h->n_done == 0)
		uv_run(&h->uv, UV_RUN_ONCE);
}

static void
run_task(struct host *h, cede_fn *body)
{
	host_start(h, body);
	run_until_done(h);
	cr_assert_eq(h->result, 0, "%s", cede_strerror(h->result));
	h->n_done = 0;
}

/* ---- the host's own callbacks ---- */

static void
host_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct host *h = handle->data;

	*buffer = uv_buf_init(h->got, sizeof h->got);
}

static void
host_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct host *h = stream->data;

	if (n == 0)
		return;
	h->n_got = n;
	uv_read_stop(stream);
}

/* The callbacks go on: the host reads what the peer sends, and writes. */
static void
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

/* ---- there and back ---- */

static int
talk(void *arg)
{
	struct host *h = arg;
	char buffer[8];

	cr_assert_eq(cede_read(h->stream, buffer, sizeof buffer), 5);
	cr_assert_arr_eq(buffer, "hello", 5);
	cr_assert_eq(cede_write(h->stream, "task", 4), 4);
	return 0;
}

static int
talk_and_release(void *arg)
{
	struct host *h = arg;

	cr_assert_eq(talk(h), 0);
	cr_assert_eq(cede_stream_release(h->stream), 0);
	cr_assert_eq(h->handle->handle.data, h);
	return 0;
}

static void
expect_there_and_back(open_fn *open)
{
	struct host h;
	char buffer[4];

	host_open(&h, open);
	for (int i = 0; i < 3; i++) {
		host_adopt(&h);
		cr_assert_neq(h.handle->handle.data, &h);
		host_start(&h, talk_and_release);
		uv_run(&h.uv, UV_RUN_NOWAIT); /* the task waits by now */
		cr_assert_eq(write(h.peer, "hello", 5), 5);
		run_until_done(&h);
		h.n_done = 0;
		cr_assert_eq(read(h.peer, buffer, 4), 4);
		cr_assert_arr_eq(buffer, "task", 4);
		expect_the_host_goes_on(&h);
	}
	cr_assert_eq(h.n_closed, 0);
	host_close(&h);
}

Test(adopt, a_tcp_handle_goes_to_a_task_and_back)
{
	expect_there_and_back(open_tcp);
}

Test(adopt, a_pipe_handle_goes_to_a_task_and_back)
{
	expect_there_and_back(open_pipe);
}

Test(adopt, a_tty_handle_goes_to_a_task_and_back)
{
	expect_there_and_back(open_tty);
}

/* What came and was not read is the host's to read. */
static void
expect_unread_bytes_stay(open_fn *open)
{
	struct host h;

	host_open(&h, open);
	host_adopt(&h);
	cr_assert_eq(write(h.peer, "hello unread", 12), 12);
	wait_until_readable(h.stream->fd);
	h.n_got = 0;
	while (h.stream->is_armed)
		uv_run(&h.uv, UV_RUN_ONCE);
	cr_assert_eq(cede_stream_release(h.stream), 0);
	cr_assert_eq(uv_read_start(&h.handle->stream, host_alloc, host_read), 0);
	while (h.n_got == 0)
		uv_run(&h.uv, UV_RUN_ONCE);
	cr_assert_eq(h.n_got, 12);
	cr_assert_arr_eq(h.got, "hello unread", 12);
	host_close(&h);
}

Test(adopt, what_was_not_read_of_a_tcp_handle_stays_in_the_socket)
{
	expect_unread_bytes_stay(open_tcp);
}

Test(adopt, what_was_not_read_of_a_pipe_handle_stays_in_the_socket)
{
	expect_unread_bytes_stay(open_pipe);
}

Test(adopt, what_was_not_read_of_a_tty_handle_stays_there)
{
	expect_unread_bytes_stay(open_tty);
}

/* ---- a server in callbacks ---- */

struct server {
	struct host *host;
	uv_tcp_t listener;
};

static void
listener_closed(uv_handle_t *handle)
{
	order_record("listener closed");
}

/* The task has given it back; the host reads on, in the same turn. */
static void
handed_back(int result, void *data)
{
	struct host *h = data;

	order_record("handed back");
	cr_assert_eq(result, 0);
	cr_assert_eq(uv_read_start(&h->handle->stream, host_alloc, host_read), 0);
	h->n_done++;
}

static void
accepted(uv_stream_t *listener, int status)
{
	struct server *server = listener->data;
	struct host *h = server->host;

	cr_assert_eq(status, 0);
	order_record("accepted");
	cr_assert_eq(uv_tcp_init(&h->uv, &h->handle->tcp), 0);
	h->handle->handle.data = h;
	cr_assert_eq(uv_accept(listener, &h->handle->stream), 0);
	host_adopt(h);
	cr_assert_eq(cede_start(h->loop, talk_and_release, h, handed_back, h), 0);
	uv_close((uv_handle_t *)listener, listener_closed);
}

static void
listen_in_callbacks(struct host *h)
{
	static struct server server;
	struct sockaddr_in address;
	int length = sizeof address;

	server.host = h;
	cr_assert_eq(uv_ip4_addr("127.0.0.1", 0, &address), 0);
	cr_assert_eq(uv_tcp_init(&h->uv, &server.listener), 0);
	cr_assert_eq(uv_tcp_bind(&server.listener, (struct sockaddr *)&address, 0), 0);
	cr_assert_eq(uv_listen((uv_stream_t *)&server.listener, 1, accepted), 0);
	server.listener.data = &server;
	uv_tcp_getsockname(&server.listener, (struct sockaddr *)&address, &length);
	h->peer = peer_connect(ntohs(address.sin_port));
}

Test(adopt, a_server_in_callbacks_hands_a_connection_over_and_gets_it_back)
{
	struct host h;
	char buffer[4];

	host_open(&h, listen_in_callbacks);
	peer_send(h.peer, "hello", 5);
	run_until_done(&h);
	cr_assert_eq(peer_receive(h.peer, buffer, 4), 4);
	peer_send(h.peer, "on", 2);
	while (h.n_got == 0)
		uv_run(&h.uv, UV_RUN_ONCE);
	cr_assert_eq(h.n_got, 2);
	order_expect("accepted", "listener closed", "handed back");
	host_close(&h);
}

/* ---- the end ---- */

static int
talk_and_close(void *arg)
{
	struct host *h = arg;

	cr_assert_eq(talk(h), 0);
	cede_close(h->stream);
	return 0;
}

static void
expect_close_tells_the_host(open_fn *open)
{
	struct host h;

	host_open(&h, open);
	host_adopt(&h);
	cr_assert_eq(write(h.peer, "hello", 5), 5);
	run_task(&h, talk_and_close);
	while (h.n_closed == 0)
		uv_run(&h.uv, UV_RUN_ONCE);
	host_close(&h);
}

Test(adopt, the_close_of_a_tcp_stream_tells_the_host)
{
	expect_close_tells_the_host(open_tcp);
}

Test(adopt, the_close_of_a_pipe_stream_tells_the_host)
{
	expect_close_tells_the_host(open_pipe);
}

Test(adopt, the_close_of_a_tty_stream_tells_the_host)
{
	expect_close_tells_the_host(open_tty);
}

Test(adopt, a_host_that_does_not_ask_is_not_told)
{
	struct host h;

	host_open(&h, open_tcp);
	cr_assert_eq(cede_stream_adopt(h.loop, &h.handle->stream, NULL, &h.stream), 0);
	cede_close(h.stream);
	cr_assert(uv_is_closing(&h.handle->handle));
	while (h.loop->open > 2)
		uv_run(&h.uv, UV_RUN_ONCE);
	cr_assert_eq(h.handle->handle.data, &h);
	host_closed(&h.handle->handle);
	host_close(&h);
}

Test(adopt, an_abort_resets_the_connection)
{
	struct host h;

	host_open(&h, open_tcp);
	host_adopt(&h);
	cede_abort(h.stream);
	cr_assert_eq(peer_receive_end(h.peer, NULL), CEDE_ECONNRESET);
	host_close(&h);
}

static int
read_until_cancelled(void *arg)
{
	struct host *h = arg;

	return (int)cede_read(h->stream, h->got, sizeof h->got);
}

static void
expect_detach_closes(open_fn *open, cede_fn *body)
{
	struct host h;

	host_open(&h, open);
	host_adopt(&h);
	if (body) {
		host_start(&h, body);
		uv_run(&h.uv, UV_RUN_NOWAIT);
	}
	host_close(&h);
	cr_assert_eq(h.n_done, body != NULL);
}

Test(adopt, a_detach_closes_what_nobody_reads)
{
	expect_detach_closes(open_tcp, NULL);
	expect_detach_closes(open_pipe, NULL);
}

Test(adopt, a_detach_closes_what_a_task_reads)
{
	expect_detach_closes(open_tcp, read_until_cancelled);
	expect_detach_closes(open_pipe, read_until_cancelled);
}

Test(adopt, a_detach_closes_the_terminal_that_a_task_reads)
{
	expect_detach_closes(open_tty, read_until_cancelled);
}

/* A task that is being closed gives its handle back: nothing is left to the detach. */
static int
release_at_the_end(void *arg)
{
	struct host *h = arg;
	ssize_t n = cede_read(h->stream, h->got, sizeof h->got);

	cr_assert_eq(n, CEDE_EXIT);
	cr_assert_eq(cede_stream_release(h->stream), 0);
	return (int)n;
}

Test(adopt, a_task_that_is_being_closed_gives_it_back)
{
	struct host h;

	host_open(&h, open_tcp);
	host_adopt(&h);
	host_start(&h, release_at_the_end);
	uv_run(&h.uv, UV_RUN_NOWAIT);
	cr_assert_eq(cede_detach(h.loop), 0);
	cr_assert_eq(h.n_closed, 0);
	cr_assert_eq(h.handle->handle.data, &h);
	cr_assert_eq(cede_attach(&h.loop, &h.uv, NULL), 0);
	expect_the_host_goes_on(&h);
	host_close(&h);
}

/* ---- refusals ---- */

static void
expect_refused(struct host *h, int code)
{
	cr_assert_eq(cede_stream_adopt(h->loop, &h->handle->stream, host_closed, &h->stream), code);
	cr_assert_eq(h->handle->handle.data, h);
	cr_assert_null(h->stream);
}

Test(adopt, what_is_no_stream_of_the_loop_is_refused)
{
	uv_loop_t other;
	uv_timer_t timer;
	uv_tcp_t tcp;
	struct host h;

	host_open(&h, open_tcp);
	cr_assert_eq(cede_stream_adopt(NULL, &h.handle->stream, NULL, &h.stream), CEDE_EINVAL);
	cr_assert_eq(cede_stream_adopt(h.loop, NULL, NULL, &h.stream), CEDE_EINVAL);
	cr_assert_eq(uv_timer_init(&h.uv, &timer), 0);
	cr_assert_eq(cede_stream_adopt(h.loop, (uv_stream_t *)&timer, NULL, &h.stream),
		CEDE_EINVAL);
	uv_close((uv_handle_t *)&timer, NULL);

	cr_assert_eq(uv_loop_init(&other), 0);
	cr_assert_eq(uv_tcp_init(&other, &tcp), 0);
	cr_assert_eq(cede_stream_adopt(h.loop, (uv_stream_t *)&tcp, NULL, &h.stream), CEDE_EINVAL);
	uv_close((uv_handle_t *)&tcp, NULL);
	uv_run(&other, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&other), 0);
	host_close(&h);
}

Test(adopt, a_handle_that_is_closing_is_refused)
{
	struct host h;

	host_open(&h, open_tcp);
	uv_close(&h.handle->handle, host_closed);
	expect_refused(&h, CEDE_EBADF);
	uv_run(&h.uv, UV_RUN_DEFAULT);
	host_close(&h);
}

Test(adopt, a_handle_that_the_host_reads_is_refused)
{
	struct host h;

	host_open(&h, open_pipe);
	cr_assert_eq(uv_read_start(&h.handle->stream, host_alloc, host_read), 0);
	expect_refused(&h, CEDE_EBUSY);
	cr_assert_eq(uv_read_stop(&h.handle->stream), 0);
	host_adopt(&h);
	host_close(&h);
}

static void
ignore_written(uv_write_t *request, int status)
{
	cr_assert_eq(status, UV_ECANCELED);
}

static void
ignore_shutdown(uv_shutdown_t *request, int status)
{
	cr_assert_eq(status, 0);
}

Test(adopt, a_handle_that_the_host_writes_to_is_refused)
{
	uv_buf_t much = uv_buf_init(calloc(1, MUCH), MUCH);
	uv_write_t request;
	struct host h;

	host_open(&h, open_pipe);
	cr_assert_eq(uv_write(&request, &h.handle->stream, &much, 1, ignore_written), 0);
	expect_refused(&h, CEDE_EBUSY);
	host_close(&h);
	free(much.base);
}

Test(adopt, a_handle_that_the_host_shuts_down_is_refused_until_it_has)
{
	uv_shutdown_t request;
	struct host h;

	host_open(&h, open_tcp);
	cr_assert_eq(uv_shutdown(&request, &h.handle->stream, ignore_shutdown), 0);
	expect_refused(&h, CEDE_EBUSY);
	uv_run(&h.uv, UV_RUN_DEFAULT);
	host_adopt(&h);
	cr_assert_eq(peer_receive_end(h.peer, NULL), 0);
	host_close(&h);
}

static void
open_unconnected(struct host *h)
{
	cr_assert_eq(uv_tcp_init(&h->uv, &h->handle->tcp), 0);
	h->peer = -1;
}

static void
open_ipc(struct host *h)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	h->peer = fds[1];
	cr_assert_eq(uv_pipe_init(&h->uv, &h->handle->pipe, 1), 0);
	cr_assert_eq(uv_pipe_open(&h->handle->pipe, fds[0]), 0);
}

Test(adopt, a_handle_that_is_not_connected_is_refused)
{
	struct host h;

	host_open(&h, open_unconnected);
	expect_refused(&h, CEDE_ENOTCONN);
	host_close(&h);
}

Test(adopt, a_pipe_for_descriptors_is_refused)
{
	struct host h;

	host_open(&h, open_ipc);
	expect_refused(&h, CEDE_ENOTSUP);
	host_close(&h);
}

static int
adopt_in_vain(void *arg)
{
	struct host *h = arg;
	int r = cede_sleep(100000);

	expect_refused(h, CEDE_ESHUTDOWN);
	return r;
}

Test(adopt, a_loop_that_is_being_detached_takes_none)
{
	struct host h;

	host_open(&h, open_tcp);
	host_start(&h, adopt_in_vain);
	uv_run(&h.uv, UV_RUN_NOWAIT);
	host_close(&h);
	cr_assert_eq(h.n_done, 1);
}

Test(adopt, without_memory_the_handle_is_left_as_it_was)
{
	struct host h;

	fault_install();
	host_open(&h, open_tcp);
	fault_arm(1, FAULT_ONCE);
	expect_refused(&h, CEDE_ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	expect_the_host_goes_on(&h);
	fault_arm(2, FAULT_FOREVER); /* there is one allocation */
	host_adopt(&h);
	cr_assert_eq(cede_stream_release(h.stream), 0);
	cr_assert_eq(fault_disarm(), 0);
	host_close(&h);
}

/* ---- what a release refuses ---- */

PAIR_TEST(adopt, a_stream_of_the_library_is_not_released)
{
	cr_assert_eq(cede_stream_release(p->stream), CEDE_EINVAL);
	cr_assert_eq(cede_stream_release(NULL), CEDE_EINVAL);
}

static int
release_while_reading(void *arg)
{
	struct host *h = arg;
	cede_read_t op;

	cr_assert_eq(cede_read_start(h->stream, h->got, sizeof h->got, &op), 0);
	cr_assert_eq(cede_stream_release(h->stream), CEDE_EBUSY);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_stream_release(h->stream), 0);
	return 0;
}

Test(adopt, a_stream_that_is_read_is_not_released)
{
	struct host h;

	host_open(&h, open_tcp);
	host_adopt(&h);
	run_task(&h, release_while_reading);
	expect_the_host_goes_on(&h);
	host_close(&h);
}

static int
lend(void *arg)
{
	struct host *h = arg;
	const void *data;

	cr_assert_eq(cede_read_lend(h->stream, &data), 5);
	cr_assert_arr_eq(data, "hello", 5);
	return 0;
}

static int
release_what_was_lent(void *arg)
{
	struct host *h = arg;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, lend, h), 0);
	let_others_run();
	cr_assert_eq(write(h->peer, "hello", 5), 5);
	wait_until_readable(h->stream->fd);
	h->handle->stream.read_cb(&h->handle->stream, UV_ENOBUFS, NULL);
	cr_assert_null(h->stream->reader); /* it is done, and its task does not know yet */
	cr_assert_eq(cede_stream_release(h->stream), CEDE_EBUSY);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(cede_stream_release(h->stream), 0);
	return 0;
}

Test(adopt, what_was_lent_to_a_task_that_has_not_run_is_not_taken_from_it)
{
	struct host h;

	host_open(&h, open_tcp);
	host_adopt(&h);
	run_task(&h, release_what_was_lent);
	host_close(&h);
}

static int
release_while_writing(void *arg)
{
	struct host *h = arg;
	cede_write_t op;

	h->much = calloc(1, MUCH);
	cr_assert_eq(cede_write_start(h->stream, h->much, MUCH, &op), 0);
	cr_assert_eq(cede_stream_release(h->stream), CEDE_EBUSY);
	cede_future_cancel(&op.future); /* the stream is broken by it, the handle closed */
	cr_assert_eq(op.future.result, CEDE_ECANCELED);
	cr_assert_eq(cede_stream_release(h->stream), CEDE_EBADF);
	while (h->n_closed == 0)
		let_others_run();
	cr_assert_eq(cede_stream_release(h->stream), CEDE_EBADF);
	cr_assert_eq(cede_write(h->stream, "x", 1), CEDE_EPIPE);
	cede_close(h->stream);
	return 0;
}

Test(adopt, a_write_that_is_given_up_closes_the_handle)
{
	struct host h;

	host_open(&h, open_tcp);
	host_adopt(&h);
	run_task(&h, release_while_writing);
	cr_assert_eq(h.n_closed, 1);
	host_close(&h);
}

/* ---- what a stream keeps to ---- */

static int
read_all_twice(void *arg)
{
	struct host *h = arg;
	char buffer[4];

	cr_assert_eq(cede_read(h->stream, buffer, 4), 4);
	CEDE_TIMEOUT(5) {
		cr_assert_eq(cede_read(h->stream, buffer, 4), CEDE_ETIMEDOUT);
	}
	return 0;
}

/* A read that fills its buffer says nothing of what is left: asking would block the loop. */
Test(adopt, a_descriptor_that_blocks_is_asked_only_when_there_is_something)
{
	struct host h;

	host_open(&h, open_pipe);
	cr_assert_eq(uv_stream_set_blocking(&h.handle->stream, 1), 0);
	host_adopt(&h);
	cr_assert_eq(write(h.peer, "four", 4), 4);
	run_task(&h, read_all_twice);
	host_close(&h);
}

static int
half_close(void *arg)
{
	struct host *h = arg;
	char byte;

	cr_assert_eq(cede_shutdown_write(h->stream), 0);
	cr_assert_eq(read(h->peer, &byte, 1), 0);
	cr_assert_eq(write(h->peer, "x", 1), 1);
	cr_assert_eq(cede_read(h->stream, &byte, 1), 1);
	cr_assert_eq(cede_write(h->stream, &byte, 1), CEDE_ESHUTDOWN);
	return 0;
}

Test(adopt, half_of_it_can_be_closed)
{
	struct host h;

	host_open(&h, open_tcp);
	host_adopt(&h);
	run_task(&h, half_close);
	cr_assert_eq(cede_stream_release(h.stream), 0);
	host_close(&h);
}

static int
half_close_a_tty(void *arg)
{
	struct host *h = arg;

	cr_assert_eq(cede_shutdown_write(h->stream), CEDE_ENOTSUP);
	cr_assert_eq(cede_write(h->stream, "x", 1), 1);
	return 0;
}

Test(adopt, half_of_a_terminal_cannot_be_closed)
{
	struct host h;

	host_open(&h, open_tty);
	host_adopt(&h);
	run_task(&h, half_close_a_tty);
	host_close(&h);
}

static int
be_idle(void *arg)
{
	struct host *h = arg;
	char byte;

	cr_assert_eq(cede_stream_set_idle(h->stream, 5), 0);
	cr_assert_eq(cede_read(h->stream, &byte, 1), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_stream_release(h->stream), 0);
	return 0;
}

Test(adopt, the_idle_limit_holds_and_goes_with_the_stream)
{
	struct host h;

	host_open(&h, open_tcp);
	host_adopt(&h);
	run_task(&h, be_idle);
	expect_the_host_goes_on(&h);
	host_close(&h);
}
