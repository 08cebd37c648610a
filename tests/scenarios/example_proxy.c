/* The server of examples/proxy, its own source, with a target and clients in the same loop. */
int proxy_main(int argc, char **argv);

#define main proxy_main
#include "examples/proxy/main.c"
#undef main

#include "tests/scenarios/clients.h"

enum { FORWARD, SOCKS5, SOCKS5_SLOWLY };

struct proxied {
	struct clients clients;
	struct proxy proxy;
	cede_listener_t *target;
	char target_address[56];
	int kind;
};

static void
note_address(cede_listener_t *listener, void *data)
{
	struct proxied *p = (struct proxied *)((char *)data - offsetof(struct proxied, proxy));

	clients_are_welcome(&p->clients, listener);
}

static int
echo(void *arg)
{
	const void *data;
	ssize_t n;

	while ((n = cede_read_lend(arg, &data)) > 0)
		if ((n = cede_write(arg, data, (size_t)n)) < 0)
			break;
	return n == CEDE_ECONNRESET || n == CEDE_EPIPE ? 0 : (int)n;
}

static int
serve_target(void *arg)
{
	struct proxied *p = arg;
	cede_listener_t *listener = p->target;

	p->target = NULL;
	return cede_serve(listener, echo, NULL);
}

static int
serve(void *arg)
{
	struct proxied *p = arg;
	int r = cede_tcp_listen("127.0.0.1:0", NULL, &p->target);

	if (r < 0)
		return r;
	require(cede_listener_address(p->target, p->target_address, sizeof p->target_address) == 0);
	p->proxy.target = p->kind == FORWARD ? p->target_address : NULL;
	{
		CEDE_GROUP(beside);

		r = cede_spawn(&beside, serve_target, p);
		if (r == 0)
			r = server(&p->proxy);
	}
	cede_listener_close(p->target); /* its body never ran */
	return r;
}

/* ---- clients ---- */

/* Asks for the target. 0: connected; or a code. */
CEDE_SUSPENDS static int
say_where(const struct proxied *p, cede_stream_t *s)
{
	unsigned char said[3 + 10] = { 5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1 }, answer[12];
	unsigned long port = strtoul(strrchr(p->target_address, ':') + 1, NULL, 10);
	ssize_t n;

	said[11] = (unsigned char)(port >> 8);
	said[12] = (unsigned char)port;
	n = cede_write(s, said, 5); /* the rest in another packet */
	if (n > 0)
		n = cede_sleep(1);
	if (n == 0)
		n = cede_write(s, said + 5, sizeof said - 5);
	if (n > 0)
		n = cede_read_exactly(s, answer, sizeof answer, NULL);
	if (n <= 0)
		return n == 0 || n == CEDE_EOF ? CEDE_ECONNRESET : (int)n;
	require(answer[1] == 0 && answer[2] == 5);
	return answer[3] == 0 ? 0
			      : CEDE_ECONNREFUSED; /* its target was cut, or there was no memory */
}

static int
talk(void *arg)
{
	struct clients *c = arg;
	const struct proxied *p = c->arg;
	char answer[16];
	cede_stream_t *s;
	size_t got = 0;
	ssize_t n = cede_tcp_connect(c->address, &s);

	if (n < 0)
		return clients_unless_gone(n);
	if (p->kind != FORWARD)
		n = say_where(p, s);
	if (n == 0)
		n = cede_write(s, "question", 8);
	if (n > 0)
		n = cede_shutdown_write(s);
	while (n >= 0 && got < sizeof answer) {
		n = cede_read(s, answer + got, sizeof answer - got);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	require(got <= 8 && memcmp(answer, "question", got) == 0);
	cede_abort(s);
	return n == CEDE_ENOTCONN ? 0 : clients_unless_gone(n);
}

/* Speaks, and never comes to the point. */
static int
tarry(void *arg)
{
	struct clients *c = arg;
	char answer[8];
	cede_stream_t *s;
	ssize_t n = cede_tcp_connect(c->address, &s);

	if (n < 0)
		return clients_unless_gone(n);
	n = cede_write(s, "\5\377", 2);
	for (int i = 0; i < 3 && n >= 0; i++) {
		n = cede_sleep(3000);
		if (n == 0)
			n = cede_write(s, "x", 1);
	}
	if (n >= 0) {
		CEDE_TIMEOUT(2000) {
			n = cede_read(s, answer, sizeof answer);
		}
		require(n <= 0 && n != CEDE_ETIMEDOUT);
	}
	cede_abort(s);
	return clients_unless_gone(n);
}

static int
client(void *arg)
{
	const struct clients *c = arg;
	const struct proxied *p = c->arg;
	int r = 0;

	CEDE_TIMEOUT(60000) {
		r = p->kind == SOCKS5_SLOWLY ? tarry(arg) : talk(arg);
	}
	return clients_unless_gone(r);
}

static int
proxy_with_clients(void *arg)
{
	struct proxied p = {
		.clients = { .server = serve, .client = client },
		.proxy = { .listen = "127.0.0.1:0",
			.connect_ms = 10000,
			.serve = { .idle_ms = 30000,
				.stop_on = (int[]){ SIGINT, SIGTERM, 0 },
				.on_ready = note_address } },
		.kind = *(const int *)arg,
	};

	p.clients.arg = &p;
	return clients_run(&p.clients);
}

static int kinds[] = { FORWARD, SOCKS5, SOCKS5_SLOWLY };

const struct scenario scenarios[] = {
	{ "forward", proxy_with_clients, OVER_TCP, &kinds[0] },
	{ "socks5", proxy_with_clients, OVER_TCP, &kinds[1] },
	/* Where no memory is left nobody is accepted, and no time measured. */
	{ "socks5_slow_client", proxy_with_clients, OVER_TCP | NO_MEMORY_SWEEP, &kinds[2] },
	{ NULL, NULL, 0, NULL },
};
