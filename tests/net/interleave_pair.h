/*
 * The connection of the interleavings of streams: a pair of unix sockets, which stand in
 * for TCP at the one place where libuv connects: what one side does, the other side's
 * poll says at once, without a network in between. A connect that is to wait is given
 * a socket into which nothing goes until the peer reads.
 *
 * Included by exactly one file of a program, as interleave.h is.
 */
#ifndef CEDE_TESTS_NET_INTERLEAVE_PAIR_H
#define CEDE_TESTS_NET_INTERLEAVE_PAIR_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cede/stream.h>
#include <cede/tcp.h>

#include "net/stream_int.h"
#include "tests/support/interleave.h"

/* ---- the connection ---- */

static struct {
	int substitute; /* for the socket that is connected next; -1: none */
	int answers;    /* the connect succeeds at once */
	int peer, ours; /* ours: the stream's is a second descriptor of it */
	int client;     /* of an accept */
	int is_closed;
	cede_stream_t *stream;
} net = { .substitute = -1, .peer = -1, .ours = -1 };

int
connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	int substitute = net.substitute;

	if (substitute < 0)
		return (int)syscall(SYS_connect, fd, address.__sockaddr__, length);
	net.substitute = -1;
	if (dup2(substitute, fd) < 0)
		return -1;
	if (net.answers)
		return 0;
	errno = EINPROGRESS;
	return -1;
}

/* One pair for all cases: `ours` keeps it open when the stream is closed. */
static inline void
pair_create(void)
{
	int fds[2], size = 4096;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	net.ours = fds[0];
	net.peer = fds[1];
}

static inline void
pair_open(void)
{
	net.substitute = net.ours;
	net.is_closed = 0;
	net.answers = 1;
	net.stream = NULL;
}

/* Until nothing goes in any more. */
static inline void
pair_fill(void)
{
	static const char bytes[1024];

	while (send(net.ours, bytes, sizeof bytes, MSG_NOSIGNAL) > 0)
		;
	cr_assert_eq(errno, EAGAIN);
}

/* The peer reads all there is. How much. */
static inline size_t
pair_drain(void)
{
	char bytes[4096];
	size_t size = 0;
	ssize_t n;

	while ((n = recv(net.peer, bytes, sizeof bytes, 0)) > 0)
		size += (size_t)n;
	return size;
}

/* Neither we have closed it nor the detach. */
static inline int
is_open(void)
{
	return !net.is_closed && run.loop && !cede__list_is_empty(&run.loop->resources);
}

/* In the task: the stream, as any connect makes it. */
static inline void
stream_open(void)
{
	cr_assert_eq(cede_tcp_connect("127.0.0.1:1", &net.stream), 0);
}

static inline void
stream_close(void)
{
	if (is_open())
		cede_close(net.stream);
	net.is_closed = 1;
}

static inline void
stream_abort(void)
{
	if (is_open())
		cede_abort(net.stream);
	net.is_closed = 1;
}

#endif
