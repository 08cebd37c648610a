/* Handles of an application's as streams, and back: net/adopt.c. */
#include "tests/net/adopt_test.h"

#include "tests/support/order.h"

TestSuite(adopt, .timeout = 30);

/* ---- there and back ---- */

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
