/*
 * The load generator of the network benchmarks: one thread, raw epoll, loopback
 * only, so that what is measured is the server.
 *
 *   echo    connections stay; each keeps --depth messages of --size under way,
 *           one send() each, and starts the next when one has come back whole
 *   churn   connect, one message there and back, close; --connections at a time.
 *           The client closes first and source addresses rotate through
 *           127.0.0.0/8, so that ports in TIME_WAIT are never used up
 *
 * Everything that comes back is compared: byte p of connection k has to be
 * pattern[(start(k) + p) mod PATTERN_PERIOD], a prime, so that bytes which are
 * lost, doubled, shifted or of another connection are found.
 *
 * Life of a run: open the connections and send one message over each (warm-up;
 * OPEN_AT_ONCE at a time, fewer than any backlog), then start messages until the
 * time or the count is up, wait for what is still under way, print one line
 * `messages N seconds S errors E`. The first error ends it, with exit 1. A peer
 * that is silent for STALL_MS is an error: it never hangs.
 *
 * With --sync it prints `ready` before each run and waits for a line on stdin;
 * an end of file ends it. So a driver can run several generators in turn.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define PATTERN_PERIOD  65521u
#define READ_SIZE       ((size_t)256 * 1024)
#define OPEN_AT_ONCE    100u
#define EVENTS_AT_ONCE  512
#define STALL_MS        5000
#define CONNECTIONS_MAX 100000u
#define SIZE_MAX_BYTES  ((size_t)16 * 1024 * 1024)
#define DEPTH_MAX       1024u
#define SECONDS_MAX     3600.0
#define SOURCES         250u

struct options {
	struct sockaddr_in address;
	unsigned connections, depth;
	size_t size;
	double seconds;    /* 0: by count */
	uint64_t messages; /* 0: by time */
	bool churn, sync;
};

struct connection {
	int fd;            /* -1: closed */
	bool wants_out;    /* epoll watches for writing as well */
	unsigned long key; /* where in the pattern it starts */
	uint64_t started;  /* bytes of the messages begun; sent <= started */
	uint64_t sent, received;
};

struct generator {
	struct options options;
	int epoll;
	unsigned char *pattern;  /* PATTERN_PERIOD and READ_SIZE or a message beyond */
	unsigned char *incoming; /* READ_SIZE */
	struct connection *connections;
	unsigned long next_key;

	/* Of the run under way: */
	uint64_t started, done, limit; /* messages */
	bool stopping;                 /* start no more */
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Says what went wrong; returns the code. */
__attribute__((format(printf, 2, 3))) static int
fail(int code, const char *fmt, ...)
{
	va_list ap;

	fputs("loadgen: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(-code));
	return code;
}

static const unsigned char *
expected(const struct generator *g, const struct connection *c, uint64_t position)
{
	return g->pattern + (c->key + position) % PATTERN_PERIOD;
}

static int
watch(struct generator *g, struct connection *c, int operation, bool out)
{
	struct epoll_event event = { .events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.ptr = c };

	if (epoll_ctl(g->epoll, operation, c->fd, &event) < 0)
		return fail(-errno, "epoll_ctl");
	c->wants_out = out;
	return 0;
}

/* Sends what was started, each message by a send of its own. */
static int
flush(struct generator *g, struct connection *c)
{
	bool blocked = false;

	while (c->sent < c->started && !blocked) {
		size_t size = g->options.size - (size_t)(c->sent % g->options.size);
		ssize_t n = send(c->fd, expected(g, c, c->sent), size, MSG_NOSIGNAL);

		if (n >= 0)
			c->sent += (uint64_t)n;
		else if (errno == EAGAIN || errno == ENOTCONN) /* or still connecting */
			blocked = true;
		else
			return fail(-errno, "send");
	}
	return blocked == c->wants_out ? 0 : watch(g, c, EPOLL_CTL_MOD, blocked);
}

static bool
may_start(const struct generator *g)
{
	return !g->stopping && g->started < g->limit;
}

static int
start_message(struct generator *g, struct connection *c)
{
	g->started++;
	c->started += g->options.size;
	return flush(g, c);
}

/* Source addresses 127.0.0.2 and on; the port is chosen when both ends are known. */
static int
bind_source(const struct generator *g, int fd, unsigned long key)
{
	struct sockaddr_in source = { .sin_family = AF_INET };
	int on = 1;

	source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(key % SOURCES));
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0)
		return fail(-errno, "IP_BIND_ADDRESS_NO_PORT");
	if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0)
		return fail(-errno, "bind");
	return 0;
}

static int
connection_open(struct generator *g, struct connection *c)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return fail(-errno, "socket");
	*c = (struct connection){ .fd = fd, .key = g->next_key++ * 7919 };
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (g->options.churn && (err = bind_source(g, fd, c->key / 7919)) < 0)
		return err;
	if (connect(fd, (struct sockaddr *)&g->options.address, sizeof g->options.address) < 0 &&
		errno != EINPROGRESS)
		return fail(-errno, "connect");
	return watch(g, c, EPOLL_CTL_ADD, false);
}

static void
connection_close(struct connection *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/* Counts the messages that have come back whole; starts as many. */
static int
complete(struct generator *g, struct connection *c, uint64_t before)
{
	size_t size = g->options.size;
	uint64_t n = c->received / size - before / size;
	int err = 0;

	g->done += n;
	if (n > 0 && g->options.churn) {
		connection_close(c);
		if (may_start(g) && (err = connection_open(g, c)) == 0)
			err = start_message(g, c);
		return err;
	}
	while (n-- > 0 && err == 0 && may_start(g))
		err = start_message(g, c);
	return err;
}

static int
read_and_compare(struct generator *g, struct connection *c)
{
	ssize_t n = recv(c->fd, g->incoming, READ_SIZE, 0);
	uint64_t before = c->received;

	if (n < 0)
		return errno == EAGAIN ? 0 : fail(-errno, "recv");
	if (n == 0)
		return fail(-EPIPE, "the server closed a connection");
	if ((uint64_t)n > c->sent - c->received)
		return fail(-EBADMSG, "more came back than was sent");
	if (memcmp(g->incoming, expected(g, c, c->received), (size_t)n))
		return fail(-EBADMSG, "wrong bytes from %llu on", (unsigned long long)before);
	c->received += (uint64_t)n;
	return complete(g, c, before);
}

static int
handle(struct generator *g, const struct epoll_event *event)
{
	struct connection *c = event->data.ptr;
	int err = 0;

	if (c->fd < 0)
		return 0;
	if (event->events & EPOLLOUT)
		err = flush(g, c);
	if (err == 0 && event->events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		err = read_and_compare(g, c);
	return err;
}

/* Until nothing is under way any more and nothing may be started. */
static int
drive(struct generator *g, uint64_t deadline)
{
	static struct epoll_event events[EVENTS_AT_ONCE];
	int err = 0;

	while (g->done < g->started) {
		int n = epoll_wait(g->epoll, events, EVENTS_AT_ONCE, STALL_MS);

		if (n == 0)
			return fail(-ETIMEDOUT, "%llu messages did not come back",
				(unsigned long long)(g->started - g->done));
		if (n < 0 && errno != EINTR)
			return fail(-errno, "epoll_wait");
		if (deadline && now_ns() >= deadline)
			g->stopping = true;
		for (int i = 0; i < n && err == 0; i++)
			err = handle(g, &events[i]);
		if (err < 0)
			return err;
	}
	return 0;
}

static void
begin(struct generator *g, uint64_t limit)
{
	g->started = g->done = 0;
	g->limit = limit;
	g->stopping = false;
}

/* Opens the connections that stay, with a message over each. */
static int
open_all(struct generator *g)
{
	int err = 0;

	for (unsigned i = 0; i < g->options.connections; i += OPEN_AT_ONCE) {
		begin(g, 0); /* nothing but what is started here */
		for (unsigned k = i; k < i + OPEN_AT_ONCE && k < g->options.connections; k++)
			if ((err = connection_open(g, &g->connections[k])) < 0 ||
				(err = start_message(g, &g->connections[k])) < 0)
				return err;
		if ((err = drive(g, 0)) < 0)
			return err;
	}
	return 0;
}

static int
run_once(struct generator *g)
{
	const struct options *o = &g->options;
	uint64_t start = now_ns(),
		 deadline = o->seconds > 0 ? start + (uint64_t)(o->seconds * 1e9) : 0;
	int err = 0;

	begin(g, o->messages ? o->messages : UINT64_MAX);
	for (unsigned i = 0; i < o->connections && err == 0; i++) {
		struct connection *c = &g->connections[i];

		if (o->churn && may_start(g) && (err = connection_open(g, c)) < 0)
			break;
		for (unsigned k = 0; k < (o->churn ? 1 : o->depth) && may_start(g) && err == 0; k++)
			err = start_message(g, c);
	}
	if (err == 0)
		err = drive(g, deadline);
	printf("messages %llu seconds %.6f errors %d\n", (unsigned long long)g->done,
		(double)(now_ns() - start) / 1e9, err < 0);
	fflush(stdout);
	return err;
}

static int
run_all(struct generator *g)
{
	char line[64];
	int err = g->options.churn ? 0 : open_all(g);

	if (err < 0)
		printf("messages 0 seconds 0 errors 1\n");
	if (err < 0 || !g->options.sync)
		return err < 0 ? err : run_once(g);
	while (err == 0) {
		puts("ready");
		fflush(stdout);
		if (!fgets(line, sizeof line, stdin))
			break;
		err = run_once(g);
	}
	return err;
}

static int
generator_init(struct generator *g)
{
	size_t more = g->options.size > READ_SIZE ? g->options.size : READ_SIZE;
	struct rlimit limit;
	uint32_t random = 2463534242u;

	g->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (g->epoll < 0)
		return fail(-errno, "epoll_create1");
	g->pattern = malloc(PATTERN_PERIOD + more);
	g->incoming = malloc(READ_SIZE);
	g->connections = calloc(g->options.connections, sizeof *g->connections);
	if (!g->pattern || !g->incoming || !g->connections)
		return fail(-ENOMEM, "starting");
	for (size_t i = 0; i < PATTERN_PERIOD + more; i++) {
		random ^= random << 13, random ^= random >> 17, random ^= random << 5;
		g->pattern[i] = i < PATTERN_PERIOD ? (unsigned char)random
						   : g->pattern[i - PATTERN_PERIOD];
	}
	for (unsigned i = 0; i < g->options.connections; i++)
		g->connections[i].fd = -1;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) { /* connect says so if it isn't enough */
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	return 0;
}

static void
generator_deinit(struct generator *g)
{
	for (unsigned i = 0; g->connections && i < g->options.connections; i++)
		connection_close(&g->connections[i]);
	if (g->epoll >= 0)
		close(g->epoll);
	free(g->connections);
	free(g->incoming);
	free(g->pattern);
}

/* "127.0.0.1:7000"; anything but loopback is refused. */
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
	*ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	if (*end || port < 1 || port > 65535 || inet_pton(AF_INET, host, &ret->sin_addr) != 1 ||
		ntohl(ret->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
		return -EINVAL;
	return 0;
}

/* The number in @text, at most @max; 0 when it is none. */
static double
number(const char *text, double max)
{
	char *end;
	double value = strtod(text, &end);

	return *end || !(value > 0) || value > max ? 0 : value;
}

static int
parse_option(struct options *o, const char *name, const char *value)
{
	double n = 0;

	if (!strcmp(name, "--mode")) {
		o->churn = !strcmp(value, "churn");
		return o->churn || !strcmp(value, "echo") ? 0 : -EINVAL;
	}
	if (!strcmp(name, "--connections"))
		o->connections = (unsigned)(n = number(value, CONNECTIONS_MAX));
	else if (!strcmp(name, "--depth"))
		o->depth = (unsigned)(n = number(value, DEPTH_MAX));
	else if (!strcmp(name, "--size"))
		o->size = (size_t)(n = number(value, (double)SIZE_MAX_BYTES));
	else if (!strcmp(name, "--seconds"))
		o->seconds = n = number(value, SECONDS_MAX);
	else if (!strcmp(name, "--messages"))
		o->messages = (uint64_t)(n = number(value, 1e15));
	return n > 0 ? 0 : -EINVAL;
}

static int
parse(int argc, char **argv, struct options *ret)
{
	struct options o = { .connections = 1, .depth = 1, .size = 1024 };

	for (int i = 1; i < argc - 1; i++) {
		if (!strcmp(argv[i], "--sync"))
			o.sync = true;
		else if (i + 1 < argc - 1 && parse_option(&o, argv[i], argv[i + 1]) == 0)
			i++;
		else
			return -EINVAL;
	}
	if (argc < 2 || parse_address(argv[argc - 1], &o.address) < 0)
		return -EINVAL;
	if (o.connections < 1 || o.depth < 1 || o.size < 1)
		return -EINVAL;
	if (!o.messages && !(o.seconds > 0))
		o.seconds = 1;
	*ret = o;
	return 0;
}

int
main(int argc, char **argv)
{
	struct generator g = { .epoll = -1 };
	int err;

	if (parse(argc, argv, &g.options) < 0) {
		fprintf(stderr,
			"usage: %s [--mode echo|churn] [--connections N] [--size BYTES] [--depth "
			"N]\n"
			"       [--seconds S] [--messages N] [--sync] ADDRESS:PORT\n"
			"ADDRESS is of 127.0.0.0/8: this program loads nothing but its own "
			"machine.\n",
			argv[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	err = generator_init(&g);
	if (err == 0)
		err = run_all(&g);
	generator_deinit(&g);
	return err < 0;
}
