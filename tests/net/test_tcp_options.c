/* Options of a connection: net/tcp_options.c. What was set is read back from the system. */
#include "tests/net/ahead.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>

TestSuite(tcp_options, .timeout = 30);

static int
option(const cede_stream_t *s, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof value;

	cr_assert_eq(getsockopt(s->fd, level, name, &value, &length), 0);
	return value;
}

PAIR_TEST(tcp_options, small_writes_go_at_once_unless_it_is_said_otherwise)
{
	cr_assert_eq(option(p->stream, IPPROTO_TCP, TCP_NODELAY), 1);
	cr_assert_eq(cede_tcp_set_nodelay(p->stream, 0), 0);
	cr_assert_eq(option(p->stream, IPPROTO_TCP, TCP_NODELAY), 0);
	cr_assert_eq(cede_tcp_set_nodelay(p->stream, 256), 0);
	cr_assert_eq(option(p->stream, IPPROTO_TCP, TCP_NODELAY), 1);
}

PAIR_TEST(tcp_options, a_silent_peer_is_asked_as_often_as_was_said)
{
	cr_assert_eq(option(p->stream, SOL_SOCKET, SO_KEEPALIVE), 0);
	cr_assert_eq(cede_tcp_set_keepalive(p->stream, 30, 5, 3), 0);
	cr_assert_eq(option(p->stream, SOL_SOCKET, SO_KEEPALIVE), 1);
	cr_assert_eq(option(p->stream, IPPROTO_TCP, TCP_KEEPIDLE), 30);
	cr_assert_eq(option(p->stream, IPPROTO_TCP, TCP_KEEPINTVL), 5);
	cr_assert_eq(option(p->stream, IPPROTO_TCP, TCP_KEEPCNT), 3);
	cr_assert_eq(cede_tcp_set_keepalive(p->stream, 32767, 32767, 127), 0);
	cr_assert_eq(cede_tcp_set_keepalive(p->stream, 0, -1, -1), 0);
	cr_assert_eq(option(p->stream, SOL_SOCKET, SO_KEEPALIVE), 0);
}

PAIR_TEST(tcp_options, what_makes_no_sense_changes_nothing)
{
	static const int wrong[][3] = { { -1, 1, 1 }, { 32768, 1, 1 }, { 7, 0, 1 }, { 7, -1, 1 },
		{ 7, 32768, 1 }, { 7, 1, 0 }, { 7, 1, -1 }, { 7, 1, 128 }, { INT_MAX, 1, 1 } };

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		cr_assert_eq(cede_tcp_set_keepalive(p->stream, wrong[i][0], wrong[i][1],
				     wrong[i][2]),
			CEDE_EINVAL);
	cr_assert_eq(option(p->stream, SOL_SOCKET, SO_KEEPALIVE), 0);
	cr_assert_neq(option(p->stream, IPPROTO_TCP, TCP_KEEPIDLE), 7);
	cr_assert_eq(cede_tcp_set_user_timeout(p->stream, (uint32_t)INT_MAX + 1), CEDE_EINVAL);
	cr_assert_eq(cede_stream_set_buffers(p->stream, (size_t)INT_MAX + 1, 0), CEDE_EINVAL);
	cr_assert_eq(cede_stream_set_buffers(p->stream, 4096, SIZE_MAX), CEDE_EINVAL);
	cr_assert_neq(option(p->stream, SOL_SOCKET, SO_RCVBUF), 8192);
}

PAIR_TEST(tcp_options, what_goes_unacknowledged_has_its_time)
{
	cr_assert_eq(cede_tcp_set_user_timeout(p->stream, 1500), 0);
	cr_assert_eq(option(p->stream, IPPROTO_TCP, TCP_USER_TIMEOUT), 1500);
	cr_assert_eq(cede_tcp_set_user_timeout(p->stream, INT_MAX), 0);
	cr_assert_eq(option(p->stream, IPPROTO_TCP, TCP_USER_TIMEOUT), INT_MAX);
	cr_assert_eq(cede_tcp_set_user_timeout(p->stream, 0), 0);
	cr_assert_eq(option(p->stream, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
}

static void
expect_buffers(cede_stream_t *s)
{
	const int before = option(s, SOL_SOCKET, SO_RCVBUF);

	cr_assert_eq(cede_stream_set_buffers(s, 0, 0), 0);
	cr_assert_eq(cede_stream_set_buffers(s, 0, 10000), 0);
	cr_assert_eq(option(s, SOL_SOCKET, SO_SNDBUF), 20000);
	cr_assert_eq(option(s, SOL_SOCKET, SO_RCVBUF), before);
	cr_assert_eq(cede_stream_set_buffers(s, 12000, 0), 0);
	cr_assert_eq(option(s, SOL_SOCKET, SO_RCVBUF), 24000);
	cr_assert_eq(option(s, SOL_SOCKET, SO_SNDBUF), 20000);
}

PAIR_TEST(tcp_options, buffers_have_their_sizes)
{
	expect_buffers(p->stream);
}

ENDS_TEST(tcp_options, so_have_those_of_a_unix_socket)
{
	expect_buffers(e->stream);
}

static void
expect_all(cede_stream_t *s, int tcp, int any)
{
	cr_assert_eq(cede_tcp_set_nodelay(s, 1), tcp);
	cr_assert_eq(cede_tcp_set_keepalive(s, 1, 1, 1), tcp);
	cr_assert_eq(cede_tcp_set_keepalive(s, 0, 0, 0), tcp);
	cr_assert_eq(cede_tcp_set_user_timeout(s, 1), tcp);
	cr_assert_eq(cede_stream_set_buffers(s, 10000, 10000), any);
}

ENDS_TEST(tcp_options, a_unix_socket_is_no_tcp)
{
	expect_all(e->stream, CEDE_ENOTSUP, 0);
}

TASK_TEST(tcp_options, a_pipe_has_none)
{
	cede_stream_t *s;
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_eq(cede_stream_open_fd(fds[0], &s), 0);
	expect_all(s, CEDE_ENOTSUP, CEDE_ENOTSUP);
	cede_close(s);
	close(fds[1]);
}

PAIR_TEST(tcp_options, what_was_closed_has_none)
{
	static char much[1 << 23];
	cede_write_t op;

	cr_assert_eq(cede_write_start(p->stream, much, sizeof much, &op), 0);
	cr_assert_not(op.future.is_done);
	cede_future_cancel(&op.future);
	expect_all(p->stream, CEDE_EBADF, CEDE_EBADF);
}

/* A handle of the host's has them too: they are the descriptor's. */
static void
ignore_closed(uv_handle_t *handle)
{
	*(int *)handle->data = 1;
}

TASK_TEST(tcp_options, an_adopted_connection_has_them)
{
	static uv_tcp_t handle;
	static int is_closed;
	cede_stream_t *s;
	unsigned port;
	int listener = peer_listen(&port), fd = peer_connect(port), peer = peer_accept(listener);

	cr_assert_eq(uv_tcp_init(cede_loop_uv(cede_loop_current()), &handle), 0);
	cr_assert_eq(uv_tcp_open(&handle, fd), 0);
	handle.data = &is_closed;
	cr_assert_eq(cede_stream_adopt(cede_loop_current(), (uv_stream_t *)&handle, ignore_closed,
			     &s),
		0);
	expect_all(s, 0, 0);
	cede_close(s);
	while (!is_closed)
		let_others_run();
	close(peer);
	close(listener);
}
