/* examples/chat.c, its own source, with members in the same loop. What it allocates fails too. */
#include "tests/scenarios/clients.h"

#include "coro/alloc.h"

int chat_main(int argc, char **argv);

#define main   chat_main
#define malloc cede__alloc
#define free   cede__free
#include "examples/chat.c"
#undef main
#undef malloc
#undef free

enum { TALKING, SILENT, CLOSING };

struct chatted {
	struct clients clients;
	struct room room;
	int kind;
};

static void
note_address(cede_listener_t *listener, void *data)
{
	struct chatted *c = (struct chatted *)((char *)data - offsetof(struct chatted, room));

	clients_are_welcome(&c->clients, listener);
}

/* Reads to the end, which comes after a goodbye, or as a reset. */
CEDE_SUSPENDS static int
read_all(cede_stream_t *s, const char *reason)
{
	int has_parted = 0;
	char *line;
	int r;

	while ((r = cede_read_line(s, 0, &line, NULL)) > 0) {
		require(!has_parted);
		require(*line == '*' || strstr(line, ": hello"));
		has_parted = strncmp(line, "* goodbye: ", 11) == 0;
		require(!has_parted || strcmp(line + 11, reason) == 0 ||
			strcmp(line + 11, cede_strerror(CEDE_ENOMEM)) == 0);
	}
	return r;
}

CEDE_SUSPENDS static int
talk(cede_stream_t *s)
{
	static const char said[] = "/nick x\nhello\n/nick y\n/who\nhello\n/quit\n";
	ssize_t n = 0;

	for (size_t at = 0; at < sizeof said - 1 && n >= 0; at += 8) {
		const size_t left = sizeof said - 1 - at;

		n = cede_write(s, said + at, left < 8 ? left : 8);
		if (n >= 0)
			n = cede_sleep(1);
	}
	return n < 0 ? (int)n : read_all(s, "quit");
}

static int
end_room(void *arg)
{
	struct chatted *c = arg;
	int r = cede_sleep(100);

	if (r == 0)
		cede_event_set(&c->room.stop);
	return r;
}

static int
client(void *arg)
{
	struct clients *clients = arg;
	const struct chatted *c = clients->arg;
	cede_stream_t *s;
	int r = cede_tcp_connect(clients->address, &s);

	if (r < 0)
		return clients_unless_gone(r);
	CEDE_TIMEOUT(60000) {
		r = c->kind == TALKING
			? talk(s)
			: read_all(s,
				  c->kind == SILENT ? "silent for too long" : "the server ends");
	}
	cede_abort(s);
	return clients_unless_gone(r);
}

static int
serve(void *arg)
{
	struct chatted *c = arg;
	int r = 0;
	CEDE_GROUP(beside);

	if (c->kind == CLOSING)
		r = cede_spawn(&beside, end_room, c);
	if (r == 0)
		r = server(&c->room);
	return r;
}

static int
chat_with_members(void *arg)
{
	struct chatted c = {
		.clients = { .server = serve, .client = client },
		.room = { .address = "127.0.0.1:0",
			.idle_ms = 5000,
			.serve = { .stop_on = (int[]){ SIGINT, SIGTERM, 0 },
				.on_ready = note_address } },
		.kind = *(const int *)arg,
	};
	int r;

	if (c.kind != SILENT)
		c.room.idle_ms = 120000; /* longer than anybody waits */
	c.clients.arg = &c;
	r = clients_run(&c.clients);
	require(!c.room.members);
	return r;
}

static int kinds[] = { TALKING, SILENT, CLOSING };

const struct scenario scenarios[] = {
	{ "talking", chat_with_members, OVER_TCP, &kinds[0] },
	{ "silent", chat_with_members, OVER_TCP, &kinds[1] },
	{ "closing", chat_with_members, OVER_TCP, &kinds[2] },
	{ NULL, NULL, 0, NULL },
};
