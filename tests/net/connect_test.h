/*
 * A network that tests write: each connect() is to a unix socket of the test's own, which
 * neither succeeds nor fails before it is told to; what libuv polls and asks is real.
 * Included by one file of a program.
 */
#ifndef TESTS_NET_CONNECT_TEST_H
#define TESTS_NET_CONNECT_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <uv.h>

#include "tests/net/resolver.h"

#define ATTEMPTS_MAX 8

static struct {
	int is_on;
	int begun; /* connects, in their order */
	struct attempt {
		int ours, peer; /* ours: kept open; the stream has a second descriptor of it */
		int fd;         /* the stream's */
		int outcome;    /* 0: none yet; 1: it succeeds; or a negative errno */
		char to[INET6_ADDRSTRLEN];
		uint64_t at_ms;
	} attempts[ATTEMPTS_MAX];
	int refuses[ATTEMPTS_MAX]; /* an errno that connect() itself returns */
	uv_loop_t *uv;             /* whose time is noted, or NULL */
} wire;

/* Until nothing goes in any more: it is not writable, as a socket that connects. */
static inline void
wire_fill(int fd)
{
	static const char bytes[1024];

	while (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) > 0)
		;
	cr_assert_eq(errno, EAGAIN);
}

static inline void
wire_open(int count)
{
	const int size = 4096;

	memset(&wire, 0, sizeof wire);
	for (int i = 0; i < ATTEMPTS_MAX; i++)
		wire.attempts[i].ours = wire.attempts[i].peer = wire.attempts[i].fd = -1;
	for (int i = 0; i < count; i++) {
		int fds[2];

		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
				     fds),
			0);
		setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
		wire_fill(fds[0]);
		wire.attempts[i].ours = fds[0];
		wire.attempts[i].peer = fds[1];
	}
	wire.is_on = 1;
}

static inline void
wire_close(void)
{
	wire.is_on = 0;
	for (int i = 0; i < ATTEMPTS_MAX && wire.attempts[i].ours >= 0; i++) {
		close(wire.attempts[i].ours);
		close(wire.attempts[i].peer);
	}
}

/* The peer reads all there is. The last byte, or 0. */
static inline int
wire_drain(int attempt)
{
	char bytes[4096];
	ssize_t n;
	int last = 0;

	while ((n = recv(wire.attempts[attempt].peer, bytes, sizeof bytes, 0)) > 0)
		last = bytes[n - 1];
	return last;
}

/** An attempt, begun or not, is answered: 1, or with a negative errno. */
static inline void
wire_answer(int attempt, int outcome)
{
	wire.attempts[attempt].outcome = outcome;
	wire_drain(attempt);
}

/** Descriptors of attempts that are open. */
static inline int
wire_count_open(void)
{
	int n = 0;

	for (int i = 0; i < wire.begun; i++) {
		int is_known = 0;

		for (int j = 0; j < i; j++)
			is_known |= wire.attempts[j].fd == wire.attempts[i].fd;
		n += !is_known && fcntl(wire.attempts[i].fd, F_GETFD) >= 0;
	}
	return n;
}

static inline void
wire_note(struct attempt *a, int fd, const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;

	a->fd = fd;
	if (wire.uv)
		a->at_ms = uv_now(wire.uv);
	if (address->sa_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, a->to, sizeof a->to);
	else
		inet_ntop(AF_INET6, &v6->sin6_addr, a->to, sizeof a->to);
}

int
connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	struct attempt *a = &wire.attempts[wire.begun];

	if (!wire.is_on)
		return (int)syscall(SYS_connect, fd, address.__sockaddr__, length);
	cr_assert_lt(wire.begun, ATTEMPTS_MAX);
	wire_note(a, fd, address.__sockaddr__);
	errno = wire.refuses[wire.begun++];
	if (errno)
		return -1;
	cr_assert_geq(a->ours, 0, "one attempt too many");
	cr_assert_eq(dup2(a->ours, fd), fd);
	errno = EINPROGRESS;
	return -1;
}

int
getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	int i = wire.begun - 1;

	while (i >= 0 && wire.attempts[i].fd != fd)
		i--; /* the last that had this number */
	if (wire.is_on && level == SOL_SOCKET && name == SO_ERROR && i >= 0 &&
		wire.attempts[i].outcome < 0) {
		*(int *)value = -wire.attempts[i].outcome;
		return 0;
	}
	return (int)syscall(SYS_getsockopt, fd, level, name, value, size);
}

#endif
