/*
 * Every order of what can happen to one operation, by tests/support/interleave.h:
 * receiving and sending datagrams, one and many, with the close of the socket.
 *
 * The sockets are pairs of unix datagram sockets, which stand in for UDP at the one place
 * where a socket gets its peer: a send into one waits when the peer does not receive,
 * which over the loopback it never does.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cede/udp.h>

#include "tests/support/interleave.h"

/* ---- the sockets ---- */

static struct {
	int substitute; /* for the socket that is connected next; -1: none */
	int peer, ours; /* ours: the library's is a second descriptor of it */
	int is_closed;
	cede_udp_t *udp;
} net = { .substitute = -1, .peer = -1, .ours = -1 };

int
connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	int substitute = net.substitute;

	if (substitute < 0)
		return (int)syscall(SYS_connect, fd, address.__sockaddr__, length);
	net.substitute = -1;
	return dup2(substitute, fd) < 0 ? -1 : 0;
}

/* One pair for all cases: `ours` keeps it open when the socket is closed. */
static void
pair_create(void)
{
	int fds[2], size = 4096;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	net.ours = fds[0];
	net.peer = fds[1];
}

TestSuite(udp_interleavings, .timeout = 120, .init = pair_create);

static void
udp_init(void)
{
	net.substitute = net.ours;
	net.is_closed = 0;
	net.udp = NULL;
}

static void
udp_open(void)
{
	cr_assert_eq(cede_udp_connect("127.0.0.1:1", NULL, &net.udp), 0);
}

/* Neither we have closed it nor the detach. */
static int
is_open(void)
{
	return !net.is_closed && run.loop && !cede__list_is_empty(&run.loop->resources);
}

static void
udp_close(void)
{
	if (is_open())
		cede_udp_close(net.udp);
	net.is_closed = 1;
}

/* ---- receiving one ---- */

static char buffer[16];
static cede_udp_receive_t receiving;

static int
receive_call(void)
{
	return (int)cede_udp_receive(net.udp, buffer, sizeof buffer, NULL);
}

static void
receive_start(void)
{
	cr_assert_eq(cede_udp_receive_start(net.udp, buffer, sizeof buffer, &receiving), 0);
}

static cede_future_t *
receive_future(void)
{
	return &receiving.future;
}

static void
receive_complete(void)
{
	cr_assert_eq(send(net.peer, "hello", 5, MSG_NOSIGNAL), 5);
}

static void
receive_after(int first)
{
	if (first == 5)
		cr_assert_arr_eq(buffer, "hello", 5);
	memset(buffer, 0, sizeof buffer);
}

/* What was not taken is still there. */
static void
receive_tear_down(int first)
{
	char rest[16];
	const ssize_t n = recv(net.ours, rest, sizeof rest, 0);

	if (first == 5)
		cr_assert(n < 0 && errno == EAGAIN);
	else
		cr_assert_eq(n, 5, "what was not received is lost");
}

static const struct operation a_receive = {
	.set_up = udp_init,
	.prepare = udp_open,
	.call = receive_call,
	.start = receive_start,
	.future = receive_future,
	.complete = receive_complete,
	.close = udp_close,
	.after = receive_after,
	.tear_down = receive_tear_down,
	.on_complete = 5,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE,
};

INTERLEAVE(udp_interleavings, a_receive)

/* ---- receiving many: three come ---- */

static cede_datagram_t datagrams[4];
static char bytes[4][8];

static void
many_prepare(void)
{
	udp_open();
	for (int i = 0; i < 4; i++)
		datagrams[i] = (cede_datagram_t){ .data = bytes[i], .capacity = sizeof bytes[i] };
}

static int
many_call(void)
{
	return cede_udp_receive_many(net.udp, datagrams, 4);
}

static void
many_start(void)
{
	cr_assert_eq(cede_udp_receive_many_start(net.udp, datagrams, 4, &receiving), 0);
}

static void
many_complete(void)
{
	for (int i = 0; i < 3; i++)
		cr_assert_eq(send(net.peer, "hello", 5, MSG_NOSIGNAL), 5);
}

static void
many_after(int first)
{
	for (int i = 0; i < first; i++) {
		cr_assert_eq(datagrams[i].size, 5);
		cr_assert_arr_eq(bytes[i], "hello", 5);
	}
}

static void
many_tear_down(int first)
{
	char rest[16];
	int n = 0;

	while (recv(net.ours, rest, sizeof rest, 0) == 5)
		n++;
	cr_assert_eq(n, first == 3 ? 0 : 3, "what was not received is lost");
}

static const struct operation a_receive_of_many = {
	.set_up = udp_init,
	.prepare = many_prepare,
	.call = many_call,
	.start = many_start,
	.future = receive_future,
	.complete = many_complete,
	.close = udp_close,
	.after = many_after,
	.tear_down = many_tear_down,
	.on_complete = 3,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE,
};

INTERLEAVE(udp_interleavings, a_receive_of_many)

/* ---- sending one, for which there is no room ---- */

static cede_udp_send_t sending;

/* Until nothing goes in any more. */
static void
send_prepare(void)
{
	static const char filler[512];

	udp_open();
	while (send(net.ours, filler, sizeof filler, MSG_NOSIGNAL) > 0)
		;
	cr_assert_eq(errno, EAGAIN);
}

/* The peer receives all there is. How many were not filler. */
static int
drain(void)
{
	char bytes_received[1024];
	ssize_t n;
	int others = 0;

	while ((n = recv(net.peer, bytes_received, sizeof bytes_received, 0)) >= 0)
		others += n != 512;
	return others;
}

static int
send_call(void)
{
	const ssize_t n = cede_udp_send(net.udp, "x", 1, NULL);

	return n == 1 ? 0 : (int)n;
}

static void
send_start(void)
{
	cr_assert_eq(cede_udp_send_start(net.udp, "x", 1, NULL, &sending), 0);
}

static cede_future_t *
send_future(void)
{
	return &sending.future;
}

static void
send_complete(void)
{
	cr_assert_eq(drain(), 0);
}

/* It has come if and only if the send has succeeded. */
static void
send_tear_down(int first)
{
	cr_assert_eq(drain(), first == 0);
}

static const struct operation a_send = {
	.set_up = udp_init,
	.prepare = send_prepare,
	.call = send_call,
	.start = send_start,
	.future = send_future,
	.complete = send_complete,
	.close = udp_close,
	.tear_down = send_tear_down,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE,
};

INTERLEAVE(udp_interleavings, a_send)

/* ---- sending many ---- */

static unsigned sent;

static void
send_many_prepare(void)
{
	send_prepare();
	sent = 9;
	for (int i = 0; i < 3; i++)
		datagrams[i] = (cede_datagram_t){ .data = bytes[i], .size = 1 };
}

static int
send_many_call(void)
{
	return cede_udp_send_many(net.udp, datagrams, 3, &sent);
}

static void
send_many_start(void)
{
	cr_assert_eq(cede_udp_send_many_start(net.udp, datagrams, 3, &sending), 0);
}

/* None or all: there is room for all at once. */
static void
send_many_tear_down(int first)
{
	const unsigned n = first == 0 ? 3 : 0;

	cr_assert_eq((unsigned)drain(), n);
	cr_assert_eq(run.shape == SELECTED ? sending.sent : sent, n);
}

static const struct operation a_send_of_many = {
	.set_up = udp_init,
	.prepare = send_many_prepare,
	.call = send_many_call,
	.start = send_many_start,
	.future = send_future,
	.complete = send_complete,
	.close = udp_close,
	.tear_down = send_many_tear_down,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE,
};

INTERLEAVE(udp_interleavings, a_send_of_many)
