/* The server of examples/kv, without its options, with clients in the same loop. */
#include "examples/kv/session.h"

#include "tests/scenarios/clients.h"

struct kv_server {
	struct kv kv;
	struct clients clients;
};

static int
connection(void *arg)
{
	struct kv_server *server = cede_serve_data(arg);

	return session_run(&server->kv, arg);
}

static void
note_address(cede_listener_t *listener, void *data)
{
	clients_are_welcome(&((struct kv_server *)data)->clients, listener);
}

static int
serve(void *arg)
{
	const cede_serve_options_t how = { .on_ready = note_address, .data = arg };
	cede_listener_t *listener;
	int r = cede_tcp_listen("127.0.0.1:0", NULL, &listener);

	return r < 0 ? r : cede_serve(listener, connection, &how);
}

static int
talk(void *arg)
{
	static const char script[] = "SET key value\r\nGET key\r\nDEL key\r\nQUIT\r\n";
	static const char expected[] = "+OK\r\n$5\r\nvalue\r\n";
	struct clients *c = arg;
	char replies[256];
	size_t got = 0;
	cede_stream_t *s;
	ssize_t n = cede_tcp_connect(c->address, &s);

	if (n < 0)
		return clients_unless_gone(n);
	for (size_t at = 0; at < sizeof script - 1 && n >= 0; at += 16) {
		const size_t left = sizeof script - 1 - at;

		n = cede_write(s, script + at, left < 16 ? left : 16);
		if (n >= 0)
			n = cede_sleep(1);
	}
	while (n >= 0 && got < sizeof replies) {
		n = cede_read(s, replies + got, sizeof replies - got);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	require(memcmp(replies, expected, got < 5 ? got : 5) == 0);
	cede_abort(s);
	return clients_unless_gone(n);
}

static int
client(void *arg)
{
	int r = 0;

	CEDE_TIMEOUT(60000) {
		r = talk(arg);
	}
	return clients_unless_gone(r);
}

static int
kv_with_clients(void *arg)
{
	const struct siphash_seed seed = { { 1, 2 } };
	struct kv_server server = {
		.kv = { .data = { .limit = SIZE_MAX },
			.buffers = { .limit = SIZE_MAX },
			.limits = RESP_LIMITS_DEFAULT },
		.clients = { .server = serve, .client = client },
	};
	int r;

	require(store_create(&server.kv.store, &server.kv.data, seed) == 0);
	server.clients.arg = &server;
	r = clients_run(&server.clients);
	require(server.kv.clients == 0 && server.kv.buffers.used == 0);
	store_destroy(server.kv.store);
	require(server.kv.data.used == 0);
	return r;
}

const struct scenario scenarios[] = {
	{ "kv", kv_with_clients, OVER_TCP, NULL },
	{ NULL, NULL, 0, NULL },
};
