/*
 * What a datagram costs there and back over the loopback, by one thread that is both
 * sides: CPU, user and system, for each round trip of 64 bytes.
 *
 *   udp_uv_echo      the baseline: two uv_udp_t, uv_udp_try_send() in the callback
 *   udp_cede_echo    two tasks: a receive and a send each
 *   udp_uv_burst     the same with 32 under way at a time
 *   udp_cede_burst
 *   udp_uv_many      received by UV_UDP_RECVMMSG, answered one by one, for want of more
 *   udp_cede_many    by cede_udp_receive_many() and cede_udp_send_many()
 *   udp_bare_echo    the floor: sendto() and recvfrom() on blocking sockets, no loop at all
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include <cede/cede.h>

#include "bench.h"

#define SIZE  64
#define BURST 32

static void
die(const char *what, int code)
{
	fprintf(stderr, "bench_udp: %s: %s\n", what, cede_strerror(code));
	exit(1);
}

static void
check(const char *what, ssize_t code)
{
	if (code < 0)
		die(what, (int)code);
}

/* ---- the floor ---- */

static int
open_bare(struct sockaddr_in *ret_address)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
		getsockname(fd, (struct sockaddr *)ret_address, &size) < 0)
		die("socket", -errno);
	return fd;
}

static void
run_bare(void *arg, uint64_t n)
{
	struct sockaddr_in server, client, from;
	const int fds[] = { open_bare(&server), open_bare(&client) };
	char bytes[SIZE] = { 0 };

	while (n-- > 0) {
		socklen_t size = sizeof from;

		if (sendto(fds[1], bytes, SIZE, 0, (struct sockaddr *)&server, sizeof server) !=
				SIZE ||
			recvfrom(fds[0], bytes, SIZE, 0, (struct sockaddr *)&from, &size) != SIZE ||
			sendto(fds[0], bytes, SIZE, 0, (struct sockaddr *)&from, size) != SIZE ||
			recvfrom(fds[1], bytes, SIZE, 0, (struct sockaddr *)&from, &size) != SIZE)
			die("round trip", -errno);
	}
	close(fds[0]);
	close(fds[1]);
}

/* ---- raw libuv ---- */

struct uv_round_trips {
	uv_loop_t loop;
	uv_udp_t server, client;
	struct sockaddr_in address; /* the server's */
	uint64_t left;              /* to be sent */
	uint64_t awaited;
	uint64_t burst;
	char buffer[BURST * 65536]; /* as recvmmsg() of libuv's wants it */
	size_t buffer_size;
};

static void
offer_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
	struct uv_round_trips *t = handle->loop->data;

	*ret_buffer = uv_buf_init(t->buffer, (unsigned)t->buffer_size);
}

static void
uv_send(uv_udp_t *from, const void *bytes, size_t size, const struct sockaddr *to)
{
	uv_buf_t piece = uv_buf_init((char *)bytes, (unsigned)size);

	check("uv_udp_try_send", uv_udp_try_send(from, &piece, 1, to));
}

static void
uv_ask(struct uv_round_trips *t)
{
	static const char bytes[SIZE];

	uv_send(&t->client, bytes, SIZE, (struct sockaddr *)&t->address);
	t->left--;
	t->awaited++;
}

static void
uv_echo(uv_udp_t *server, ssize_t n, const uv_buf_t *buffer, const struct sockaddr *from,
	unsigned flags)
{
	check("echo", n);
	if (from)
		uv_send(server, buffer->base, (size_t)n, from);
}

/* An answer: when the last of a burst has come the next burst goes. */
static void
uv_answer(uv_udp_t *client, ssize_t n, const uv_buf_t *buffer, const struct sockaddr *from,
	unsigned flags)
{
	struct uv_round_trips *t = client->loop->data;

	check("answer", n);
	if (!from || --t->awaited > 0)
		return;
	for (uint64_t i = 0; i < t->burst && t->left > 0; i++)
		uv_ask(t);
	if (t->awaited == 0) {
		uv_close((uv_handle_t *)&t->server, NULL);
		uv_close((uv_handle_t *)&t->client, NULL);
	}
}

static void
uv_open(struct uv_round_trips *t, uv_udp_t *handle, unsigned flags, uv_udp_recv_cb received)
{
	struct sockaddr_in any = { .sin_family = AF_INET };

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check("uv_udp_init", uv_udp_init_ex(&t->loop, handle, AF_INET | flags));
	check("uv_udp_bind", uv_udp_bind(handle, (struct sockaddr *)&any, 0));
	check("uv_udp_recv_start", uv_udp_recv_start(handle, offer_buffer, received));
}

static void
run_uv_by(unsigned burst, unsigned flags, uint64_t n)
{
	static struct uv_round_trips t;
	int size = sizeof t.address;

	t.left = n;
	t.awaited = 0;
	t.burst = burst;
	t.buffer_size = flags ? sizeof t.buffer : 65536;
	check("uv_loop_init", uv_loop_init(&t.loop));
	t.loop.data = &t;
	uv_open(&t, &t.server, flags, uv_echo);
	uv_open(&t, &t.client, flags, uv_answer);
	uv_udp_getsockname(&t.server, (struct sockaddr *)&t.address, &size);
	for (unsigned i = 0; i < burst && t.left > 0; i++)
		uv_ask(&t);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	check("uv_loop_close", uv_loop_close(&t.loop));
	if (t.left > 0 || t.awaited > 0)
		die("answers are missing", CEDE_EOF);
}

static void
run_uv(void *arg, uint64_t n)
{
	const unsigned *burst = arg;

	run_uv_by(*burst, 0, n);
}

static void
run_uv_many(void *arg, uint64_t n)
{
	run_uv_by(BURST, UV_UDP_RECVMMSG, n);
}

/* ---- cede ---- */

struct round_trips {
	cede_udp_t *server, *client;
	cede_address_t address;
	uint64_t left;
	int burst;
	cede_fn *echo, *ask;
};

static int
echo(void *arg)
{
	const struct round_trips *t = arg;
	cede_udp_info_t info;
	char bytes[SIZE];
	ssize_t n;

	while ((n = cede_udp_receive(t->server, bytes, SIZE, &info)) >= 0)
		if ((n = cede_udp_send(t->server, bytes, (size_t)n, &info.peer)) < 0)
			break;
	return n == CEDE_ECANCELED ? 0 : (int)n;
}

static int
ask(void *arg)
{
	struct round_trips *t = arg;
	char bytes[SIZE] = { 0 };

	while (t->left > 0) {
		int sent = 0;

		for (; sent < t->burst && t->left > 0; sent++, t->left--)
			check("send", cede_udp_send(t->client, bytes, SIZE, &t->address));
		while (sent-- > 0)
			check("receive", cede_udp_receive(t->client, bytes, SIZE, NULL));
	}
	return 0;
}

static void
prepare(cede_datagram_t datagrams[BURST], char bytes[BURST][SIZE])
{
	for (int i = 0; i < BURST; i++)
		datagrams[i] = (cede_datagram_t){ .data = bytes[i], .capacity = SIZE };
}

static int
echo_many(void *arg)
{
	const struct round_trips *t = arg;
	cede_datagram_t datagrams[BURST];
	char bytes[BURST][SIZE];
	int n;

	prepare(datagrams, bytes);
	while ((n = cede_udp_receive_many(t->server, datagrams, BURST)) >= 0)
		if ((n = cede_udp_send_many(t->server, datagrams, (unsigned)n, NULL)) < 0)
			break;
	return n == CEDE_ECANCELED ? 0 : n;
}

static int
ask_many(void *arg)
{
	struct round_trips *t = arg;
	cede_datagram_t questions[BURST], answers[BURST];
	char bytes[BURST][SIZE] = { 0 };

	prepare(questions, bytes);
	prepare(answers, bytes);
	for (int i = 0; i < BURST; i++) {
		questions[i].size = SIZE;
		questions[i].peer = t->address;
	}
	while (t->left > 0) {
		unsigned sent = t->left < BURST ? (unsigned)t->left : BURST;

		t->left -= sent;
		check("send", cede_udp_send_many(t->client, questions, sent, NULL));
		while (sent > 0) {
			int n = cede_udp_receive_many(t->client, answers, sent);

			check("receive", n);
			sent -= (unsigned)n;
		}
	}
	return 0;
}

static int
run_round_trips(void *arg)
{
	struct round_trips *t = arg;
	int r;

	check("bind", cede_udp_bind("127.0.0.1:0", NULL, &t->server));
	check("bind", cede_udp_bind("127.0.0.1:0", NULL, &t->client));
	check("local", cede_udp_local(t->server, &t->address));
	CEDE_GROUP(g);
	r = cede_spawn(&g, t->echo, t);
	if (r == 0)
		r = t->ask(t);
	cede_udp_close(t->client);
	cede_udp_close(t->server);
	return r < 0 ? r : cede_group_wait(&g);
}

static void
run_cede(void *arg, uint64_t n)
{
	struct round_trips t = *(const struct round_trips *)arg;

	t.left = n;
	check("cede_run", cede_run(run_round_trips, &t));
}

int
main(int argc, char **argv)
{
	static unsigned one = 1, burst = BURST;
	static struct round_trips single = { .burst = 1, .echo = echo, .ask = ask };
	static struct round_trips bursts = { .burst = BURST, .echo = echo, .ask = ask };
	static struct round_trips many = { .echo = echo_many, .ask = ask_many };
	static const struct bench_case cases[] = {
		{ "udp_bare_echo", run_bare, NULL, 1, "udp_uv_echo" },
		{ "udp_uv_echo", run_uv, &one, 1, NULL },
		{ "udp_cede_echo", run_cede, &single, 1, "udp_uv_echo" },
		{ "udp_uv_burst", run_uv, &burst, 1, NULL },
		{ "udp_cede_burst", run_cede, &bursts, 1, "udp_uv_burst" },
		{ "udp_uv_many", run_uv_many, NULL, 1, NULL },
		{ "udp_cede_many", run_cede, &many, 1, "udp_uv_many" },
	};
	const struct bench_suite suite = {
		.backend = "libuv",
		.cases = cases,
		.n_cases = sizeof cases / sizeof cases[0],
	};

	return bench_main(&suite, argc, argv);
}
