/* examples/echo.c, its own source, with clients in the same loop. */
int echo_main(int argc, char **argv);

#define main echo_main
#include "examples/echo.c"
#undef main

#include "tests/scenarios/clients.h"

static int
talk(void *arg)
{
	struct clients *c = arg;
	char answer[8];
	cede_stream_t *s;
	ssize_t n = cede_tcp_connect(c->address, &s);

	if (n < 0)
		return clients_unless_gone(n);
	for (int i = 0; i < 3 && n >= 0; i++) {
		n = cede_write(s, "question", 8);
		for (size_t got = 0; n > 0 && got < 8; got += (size_t)n)
			n = cede_read(s, answer + got, 8 - got);
		if (n <= 0)
			break;
		require(memcmp(answer, "question", 8) == 0);
	}
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

static void
note_address(cede_listener_t *listener, void *data)
{
	clients_are_welcome(data, listener);
}

static int
echo_with_clients(void *arg)
{
	struct clients clients = { .server = server, .client = client };
	struct options options = {
		.address = "127.0.0.1:0",
		.workers = 1,
		.serve = { .stop_on = (int[]){ SIGINT, SIGTERM, 0 },
			.on_ready = note_address,
			.data = &clients },
	};

	clients.arg = &options;
	return clients_run(&clients);
}

const struct scenario scenarios[] = {
	{ "echo", echo_with_clients, OVER_TCP, NULL },
	{ NULL, NULL, 0, NULL },
};
