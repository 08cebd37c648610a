#include "tests/support/peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void
die(const char *what)
{
	fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
	abort();
}

static int
make_socket(int receive_bytes)
{
	struct timeval limit = { .tv_sec = PEER_LIMIT_S };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (receive_bytes > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
	return fd;
}

static struct sockaddr_in
loopback(unsigned port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

int
peer_try_connect(unsigned port, int receive_bytes)
{
	struct sockaddr_in to = loopback(port);
	int fd = make_socket(receive_bytes);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

int
peer_connect_sized(unsigned port, int receive_bytes)
{
	int fd = peer_try_connect(port, receive_bytes);

	if (fd < 0) {
		errno = -fd;
		die("connect");
	}
	return fd;
}

int
peer_connect(unsigned port)
{
	return peer_connect_sized(port, 0);
}

int
peer_send(int fd, const void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = send(fd, (const char *)data + done, size - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

ssize_t
peer_receive(int fd, void *buffer, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = recv(fd, (char *)buffer + done, size - done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int
peer_receive_end(int fd, size_t *ret_bytes)
{
	static char buffer[65536];
	ssize_t n;
	size_t bytes = 0;

	while ((n = recv(fd, buffer, sizeof buffer, 0)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		bytes += (size_t)n;
	}
	if (ret_bytes)
		*ret_bytes = bytes;
	return n < 0 ? -errno : 0;
}

void
peer_shutdown(int fd)
{
	if (shutdown(fd, SHUT_WR) < 0)
		die("shutdown");
}

void
peer_close(int fd)
{
	if (close(fd) < 0)
		die("close");
}

void
peer_reset(int fd)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	peer_close(fd);
}

static unsigned
port_of(int fd)
{
	struct sockaddr_in at;
	socklen_t size = sizeof at;

	if (getsockname(fd, (struct sockaddr *)&at, &size) < 0)
		die("getsockname");
	return ntohs(at.sin_port);
}

static int
bind_any(unsigned *ret_port)
{
	struct sockaddr_in at = loopback(0);
	int fd = make_socket(0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
		die("bind");
	*ret_port = port_of(fd);
	return fd;
}

int
peer_listen(unsigned *ret_port)
{
	int fd = bind_any(ret_port);

	if (listen(fd, 128) < 0)
		die("listen");
	return fd;
}

int
peer_accept(int fd)
{
	int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	struct timeval limit = { .tv_sec = PEER_LIMIT_S };

	if (accepted < 0)
		die("accept");
	setsockopt(accepted, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(accepted, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	return accepted;
}

void
peer_listen_full(int ret_fds[2], unsigned *ret_port)
{
	ret_fds[0] = bind_any(ret_port);
	if (listen(ret_fds[0], 0) < 0)
		die("listen");
	ret_fds[1] = peer_connect(*ret_port); /* takes the one place there is */
}

int
peer_refuse(unsigned *ret_port)
{
	return bind_any(ret_port);
}

unsigned
peer_port(const char *address)
{
	const char *colon = strrchr(address, ':');

	return colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
}

/* A prime is no power of two: a block that is lost, doubled or moved shows. */
static unsigned char
pattern(size_t i)
{
	return (unsigned char)((i % 251) ^ (i / 251 % 253));
}

void
peer_fill(void *buffer, size_t size, size_t from)
{
	unsigned char *p = buffer;

	for (size_t i = 0; i < size; i++)
		p[i] = pattern(from + i);
}

int
peer_is_pattern(const void *buffer, size_t size, size_t from)
{
	const unsigned char *p = buffer;

	for (size_t i = 0; i < size; i++)
		if (p[i] != pattern(from + i))
			return 0;
	return 1;
}

pthread_t
peer_start(peer_fn *fn, void *arg)
{
	sigset_t all, before;
	pthread_t thread;

	/* Signals are for the loop's thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = pthread_create(&thread, NULL, fn, arg);
	if (errno)
		die("pthread_create");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return thread;
}

void
peer_join(pthread_t thread)
{
	pthread_join(thread, NULL);
}

double
peer_seconds(void)
{
	struct timespec now;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
