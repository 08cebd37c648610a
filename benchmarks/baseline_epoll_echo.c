/*
 * The floor under the echo servers: raw level-triggered epoll, nothing between
 * the program and the system.
 *
 * Life of a message: epoll says readable, one recv into the one buffer, one
 * send. A read that filled the buffer is followed by another, a short one means
 * drained. What the socket does not take is copied to the connection, which is
 * then watched for writing only until it is paid.
 *
 * SIGTERM and SIGINT come by a signalfd; the end closes every descriptor.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>

#define BUFFER_DEFAULT  ((size_t)64 * 1024)
#define BACKLOG         511
#define ACCEPTS_AT_ONCE 128
#define EVENTS_AT_ONCE  1024

struct connection {
	int fd;
	char *owed; /* NULL: nothing; else epoll watches for writing only */
	size_t owed_size, owed_sent;
	struct connection *next, **link; /* in server::open; in server::idle by next alone */
};

struct server {
	int epoll, listener, signals;
	char *buffer;
	size_t buffer_size;
	struct connection *open, *idle;
};

static struct server server = { .epoll = -1, .listener = -1, .signals = -1 };

static void
connection_close(struct connection *c)
{
	close(c->fd); /* which takes it out of the epoll set */
	free(c->owed);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->next = server.idle;
	server.idle = c;
}

static int
watch(int operation, int fd, uint32_t events, void *data)
{
	struct epoll_event event = { .events = events, .data.ptr = data };

	return epoll_ctl(server.epoll, operation, fd, &event) < 0 ? -errno : 0;
}

static void
accept_all(void)
{
	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		int fd = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct connection *c = server.idle;

		if (fd < 0)
			return;
		if (c)
			server.idle = c->next;
		else if (!(c = malloc(sizeof *c))) {
			close(fd);
			return;
		}
		*c = (struct connection){ .fd = fd, .next = server.open, .link = &server.open };
		if (c->next)
			c->next->link = &c->next;
		server.open = c;
		if (watch(EPOLL_CTL_ADD, fd, EPOLLIN, c) < 0)
			connection_close(c);
	}
}

/* Keeps a copy of what the socket did not take. */
static int
owe(struct connection *c, const char *data, size_t size)
{
	c->owed = malloc(size);
	if (!c->owed)
		return -ENOMEM;
	memcpy(c->owed, data, size);
	c->owed_size = size;
	c->owed_sent = 0;
	return watch(EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
}

static int
pay(struct connection *c)
{
	ssize_t n = send(c->fd, c->owed + c->owed_sent, c->owed_size - c->owed_sent, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	c->owed_sent += (size_t)n;
	if (c->owed_sent < c->owed_size)
		return 0;
	free(c->owed);
	c->owed = NULL;
	return watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
}

/* 0: wait for more; negative: the connection is over. */
static int
echo(struct connection *c)
{
	ssize_t n, sent;

	do {
		n = recv(c->fd, server.buffer, server.buffer_size, 0);
		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -ENOTCONN;
		sent = send(c->fd, server.buffer, (size_t)n, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return -errno;
		if (sent < n) {
			size_t done = sent < 0 ? 0 : (size_t)sent;

			return owe(c, server.buffer + done, (size_t)n - done);
		}
	} while ((size_t)n == server.buffer_size);
	return 0;
}

static int
serve(void)
{
	static struct epoll_event events[EVENTS_AT_ONCE];

	for (;;) {
		int n = epoll_wait(server.epoll, events, EVENTS_AT_ONCE, -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			if (events[i].data.ptr == &server.signals)
				return 0;
			else if (events[i].data.ptr == &server.listener)
				accept_all();
			else if ((c->owed ? pay(c) : echo(c)) < 0)
				connection_close(c);
		}
	}
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
		return -EINVAL;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	port = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end || port > 65535)
		return -EINVAL;
	*ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	return inet_pton(AF_INET, host, &ret->sin_addr) == 1 ? 0 : -EINVAL;
}

/* What it opened is closed by server_close(), also when it fails. */
static int
server_open(const struct sockaddr_in *address)
{
	struct sockaddr_in bound;
	socklen_t size = sizeof bound;
	char host[INET_ADDRSTRLEN];
	sigset_t signals;
	int on = 1, err;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if ((server.epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
		(server.signals = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC)) < 0 ||
		(server.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) <
			0)
		return -errno;
	setsockopt(server.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(server.listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* inherited */
	if (bind(server.listener, (const struct sockaddr *)address, sizeof *address) < 0 ||
		listen(server.listener, BACKLOG) < 0 ||
		getsockname(server.listener, (struct sockaddr *)&bound, &size) < 0)
		return -errno;
	if ((err = watch(EPOLL_CTL_ADD, server.signals, EPOLLIN, &server.signals)) < 0 ||
		(err = watch(EPOLL_CTL_ADD, server.listener, EPOLLIN, &server.listener)) < 0)
		return err;
	server.buffer = malloc(server.buffer_size);
	if (!server.buffer)
		return -ENOMEM;
	printf("listening %s:%u\n", inet_ntop(AF_INET, &bound.sin_addr, host, sizeof host),
		ntohs(bound.sin_port));
	return fflush(stdout) ? -EPIPE : 0;
}

static void
server_close(void)
{
	int fds[] = { server.listener, server.signals, server.epoll };
	struct connection *c;

	while (server.open)
		connection_close(server.open);
	while ((c = server.idle)) {
		server.idle = c->next;
		free(c);
	}
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(server.buffer);
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
	err = server_open(&address);
	if (err == 0)
		err = serve();
	server_close();
	if (err < 0)
		fprintf(stderr, "%s: %s\n", argv[0], strerror(-err));
	return err < 0;
}
