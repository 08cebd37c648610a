/* examples/ws_echo.c, its own source, with clients in the same loop. */
int ws_echo_main(int argc, char **argv);

#define main ws_echo_main
#include "examples/ws_echo.c"
#undef main

#include "tests/scenarios/clients.h"

static void
note_address(cede_listener_t *listener, void *data)
{
	clients_are_welcome(data, listener);
}

static int
serve(void *arg)
{
	const cede_serve_options_t how = { .on_ready = note_address, .data = arg };
	cede_listener_t *listener;
	int r = cede_tcp_listen("127.0.0.1:0", NULL, &listener);

	return r < 0 ? r : cede_serve(listener, connection, &how);
}

/* A text, a part of one, its rest, and the end: masked, as clients must, with zeros. */
#define MASK "\0\0\0\0"

static const struct {
	const char *data;
	size_t size;
} script[] = {
#define PIECE(text) \
	{ \
		text, sizeof(text) - 1 \
	}
	PIECE("GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
	PIECE("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
	PIECE("\x81\x85" MASK "hello\x01\x81" MASK "a"),
	PIECE("\x80\x81" MASK "b\x88\x80" MASK),
#undef PIECE
};

static int
speak(void *arg)
{
	static const char expected[] = "HTTP/1.1 101 Switching Protocols\r\n";
	struct clients *c = arg;
	char answers[1024];
	size_t got = 0;
	cede_stream_t *s;
	ssize_t n = cede_tcp_connect(c->address, &s);

	if (n < 0)
		return clients_unless_gone(n);
	for (size_t i = 0; i < sizeof script / sizeof *script && n >= 0; i++) {
		n = cede_write(s, script[i].data, script[i].size);
		if (n >= 0)
			n = cede_sleep(1);
	}
	while (n >= 0 && (n = cede_read(s, answers + got, sizeof answers - got)) > 0) {
		got += (size_t)n;
		require(got < sizeof answers);
	}
	require(memcmp(answers, expected, got < sizeof expected - 1 ? got : sizeof expected - 1) ==
		0);
	cede_abort(s);
	return clients_unless_gone(n);
}

static int
client(void *arg)
{
	int r = 0;

	CEDE_TIMEOUT(60000) {
		r = speak(arg);
	}
	return clients_unless_gone(r);
}

static int
ws_echo_with_clients(void *arg)
{
	struct clients clients = { .server = serve, .client = client };

	clients.arg = &clients;
	return clients_run(&clients);
}

const struct scenario scenarios[] = {
	{ "ws_echo", ws_echo_with_clients, OVER_TCP, NULL },
	{ NULL, NULL, 0, NULL },
};
