/*
 * UDP where the system, or libuv, says what it says elsewhere: a host without IPv6, calls that
 * a signal interrupts, sizes that are not told, reports of nothing. Those calls are answered
 * here, on their way out of the library.
 */
#include "tests/net/udp_pair.h"

#include <dlfcn.h>
#include <sys/syscall.h>

TestSuite(udp_system, .timeout = 30);

/* Calls that fail, so many times, with an errno; and what the system does not know. */
static struct {
	int socket, setsockopt, recvmsg, sendmsg, recvmmsg, sendmmsg, poll_init, poll_start;
	int code;
	int has_no_ipv6, tells_no_size;
} out;

static int
fails(int *times)
{
	if (*times == 0)
		return 0;
	--*times;
	errno = out.code;
	return 1;
}

int
socket(int family, int type, int protocol)
{
	if (out.has_no_ipv6 && family == AF_INET6) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	return fails(&out.socket) ? -1 : (int)syscall(SYS_socket, family, type, protocol);
}

int
setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	return fails(&out.setsockopt) ? -1
				      : (int)syscall(SYS_setsockopt, fd, level, name, value, size);
}

ssize_t
recvmsg(int fd, struct msghdr *message, int flags)
{
	if (out.tells_no_size)
		flags &= ~MSG_TRUNC;
	return fails(&out.recvmsg) ? -1 : syscall(SYS_recvmsg, fd, message, flags);
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	return fails(&out.sendmsg) ? -1 : syscall(SYS_sendmsg, fd, message, flags);
}

int
recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	if (out.tells_no_size)
		flags &= ~MSG_TRUNC;
	return fails(&out.recvmmsg)
		? -1
		: (int)syscall(SYS_recvmmsg, fd, messages, count, flags, timeout);
}

int
sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	return fails(&out.sendmmsg) ? -1 : (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
}

/* The function of libuv's that stands behind one of these. */
static void
find(const char *name, void *ret_fn)
{
	void *fn = dlsym(RTLD_NEXT, name);

	cr_assert_not_null(fn);
	memcpy(ret_fn, &fn, sizeof fn);
}

int
uv_poll_init_socket(uv_loop_t *loop, uv_poll_t *handle, uv_os_sock_t fd)
{
	int (*next)(uv_loop_t *, uv_poll_t *, uv_os_sock_t);

	find("uv_poll_init_socket", &next);
	return fails(&out.poll_init) ? -out.code : next(loop, handle, fd);
}

int
uv_poll_start(uv_poll_t *handle, int events, uv_poll_cb callback)
{
	int (*next)(uv_poll_t *, int, uv_poll_cb);

	find("uv_poll_start", &next);
	return fails(&out.poll_start) ? -out.code : next(handle, events, callback);
}

/* ---- opening ---- */

TASK_TEST(udp_system, on_a_host_without_ipv6_every_address_is_ipv4)
{
	cede_udp_t *u = NULL;
	cede_address_t local;

	out.has_no_ipv6 = 1;
	cr_assert_eq(cede_udp_bind(":0", NULL, &u), 0);
	cr_assert_eq(cede_udp_local(u, &local), 0);
	cr_assert_not(cede_address_is_ipv6(&local));
	cr_assert_eq(cede_udp_join(u, "239.255.77.1", "127.0.0.1", NULL), 0);
	cede_udp_close(u);
}

TASK_TEST(udp_system, but_not_those_that_are_ipv6_by_name)
{
	cede_udp_t *u = NULL;

	out.has_no_ipv6 = 1;
	cr_assert_eq(cede_udp_bind("[::1]:0", NULL, &u), -EAFNOSUPPORT);
	cr_assert_eq(cede_udp_bind(":0", &(cede_udp_options_t){ .ipv6_only = 1 }, &u),
		-EAFNOSUPPORT);
	cr_assert_eq(cede_udp_connect("[::1]:1", NULL, &u), -EAFNOSUPPORT);
	cr_assert_null(u);
}

TASK_TEST(udp_system, whatever_fails_while_opening_leaves_nothing_behind)
{
	static const cede_udp_options_t all = {
		.share_port = 1,
		.reuse_address = 1,
		.broadcast = 1,
	};
	int *const calls[] = { &out.socket, &out.setsockopt, &out.poll_init };
	cede_udp_t *u = NULL;

	out.code = EMFILE;
	for (int i = 0; i < 3; i++) {
		*calls[i] = 1;
		cr_assert_eq(cede_udp_bind(":0", &all, &u), CEDE_EMFILE);
		cr_assert_null(u);
	}
}

/* ---- interrupted ---- */

UDP_TEST(udp_system, a_call_that_a_signal_interrupts_is_made_again)
{
	char bytes[2][8];
	cede_datagram_t datagrams[2];

	for (int i = 0; i < 2; i++)
		datagrams[i] = (cede_datagram_t){ .data = bytes[i], .capacity = 8 };
	out.code = EINTR;
	out.recvmsg = out.sendmsg = out.recvmmsg = out.sendmmsg = 3;
	raw_send(p->peer, "one", 3);
	cr_assert_eq(cede_udp_receive(p->udp, bytes[0], 8, NULL), 3);
	cr_assert_eq(cede_udp_send(p->udp, "two", 3, &p->from), 3);
	raw_expect(p->peer, "two", 3);
	raw_send(p->peer, "one", 3);
	raw_send(p->peer, "two", 3);
	cr_assert_eq(cede_udp_receive_many(p->udp, datagrams, 2), 2);
	cr_assert_eq(cede_udp_send_many(p->udp, datagrams, 2, NULL), 0);
	raw_expect(p->peer, "one", 3);
	raw_expect(p->peer, "two", 3);
	cr_assert_eq(out.recvmsg + out.sendmsg + out.recvmmsg + out.sendmmsg, 0);
}

/* ---- what is not told ---- */

/* Only that it was cut off: its size is then more than there was room for, and no more is known. */
UDP_TEST(udp_system, where_no_size_is_told_the_flag_is_enough)
{
	char bytes[4];
	cede_datagram_t datagram = { .data = bytes, .capacity = sizeof bytes };
	cede_udp_info_t info;

	out.tells_no_size = 1;
	for (int i = 0; i < 2; i++)
		raw_send(p->peer, "0123456789", 10);
	cr_assert_eq(cede_udp_receive(p->udp, bytes, sizeof bytes, &info), 4);
	cr_assert_eq(info.flags, CEDE_UDP_TRUNCATED);
	cr_assert_eq(info.full_size, 5);
	cr_assert_eq(cede_udp_receive_many(p->udp, &datagram, 1), 1);
	cr_assert_eq(datagram.flags, CEDE_UDP_TRUNCATED);
	cr_assert_eq(datagram.size, 4);
	cr_assert_eq(datagram.full_size, 5);
}

/* ---- the poll ---- */

/* What was reported is gone when it is asked for: a wrong checksum, or another process has it. */
UDP_TEST(udp_system, a_report_of_nothing_ends_no_wait)
{
	struct receiving r = { .udp = p->udp };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, receive_once, &r), 0);
	let_others_run();
	out.code = EAGAIN;
	out.recvmsg = 1;
	raw_send(p->peer, "x", 1);
	while (out.recvmsg > 0)
		let_others_run();
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 1);
}

UDP_TEST(udp_system, a_poll_that_cannot_be_started_is_an_error_of_the_call)
{
	cede_udp_receive_t receive;
	cede_udp_send_t send;
	char byte;

	out.code = EEXIST;
	out.poll_start = 2;
	cr_assert_eq(cede_udp_receive(p->udp, &byte, 1, NULL), CEDE_EEXIST);
	cr_assert_eq(cede_udp_receive_start(p->udp, &byte, 1, &receive), CEDE_EEXIST);
	out.code = EAGAIN;
	out.sendmsg = out.poll_start = 1;
	cr_assert_eq(cede_udp_send(p->udp, "x", 1, &p->from), CEDE_EAGAIN);
	out.sendmsg = out.poll_start = 1;
	cr_assert_eq(cede_udp_send_start(p->udp, "x", 1, &p->from, &send), CEDE_EAGAIN);
	cr_assert_eq(cede_udp_send(p->udp, "x", 1, &p->from), 1, "it is free again");
	raw_send(p->peer, "y", 1);
	cr_assert_eq(cede_udp_receive(p->udp, &byte, 1, NULL), 1);
}

/* A sender that pauses, and then waits for a poll that fails, pauses again. */
UDP_TEST(udp_system, nor_does_it_leave_a_sender_waiting_for_ever)
{
	cede_udp_send_t op;

	out.code = ENOBUFS;
	out.sendmsg = 1;
	cr_assert_eq(cede_udp_send_start(p->udp, "x", 1, &p->from, &op), 0);
	out.code = EAGAIN;
	out.sendmsg = out.poll_start = 1;
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(out.sendmsg + out.poll_start, 0);
	raw_expect(p->peer, "x", 1);
}

/* ---- options ---- */

UDP_TEST(udp_system, what_the_system_says_of_an_option_is_returned)
{
	out.code = EPERM;
	out.setsockopt = 5;
	cr_assert_eq(cede_udp_set_ttl(p->udp, 1), CEDE_EPERM);
	cr_assert_eq(cede_udp_set_multicast_loop(p->udp, 1), CEDE_EPERM);
	cr_assert_eq(cede_udp_set_buffers(p->udp, 4096, 4096), CEDE_EPERM);
	cr_assert_eq(cede_udp_set_buffers(p->udp, 0, 4096), CEDE_EPERM);
	cr_assert_eq(cede_udp_join(p->udp, "239.255.77.1", "lo", NULL), CEDE_EPERM);
}
