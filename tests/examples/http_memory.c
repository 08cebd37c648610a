/*
 * What the connections of http take of the memory: nothing for a request, once there was
 * one like it. And what they do where there is none.
 *
 * A program with a main() of its own: it runs under every tool.
 *
 * usage: http_memory DIRECTORY-OF-THIS-FILE
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "examples/http/connection.h"
#include "examples/http/file.h"
#include "tests/support/mallocs.h"

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

#define HOST " HTTP/1.1\r\nHost: a\r\n"

static struct server server = { .limits = REQUEST_LIMITS_DEFAULT,
	.head_ms = 10000,
	.body_ms = 10000 };

/* Two ends in memory: no socket, and so no system that has a part in it. */
struct talk {
	struct worker worker;
	cede_stream_t *client, *served;
	char answers[4096];
	size_t size;
};

static int
connection(void *arg)
{
	struct talk *t = arg;
	int r = connection_run(&t->worker, t->served);

	return r == CEDE_ENOMEM ? 0 : r;
}

/* Sends a request and reads until its answer ends in that way. */
static void
ask(struct talk *t, const char *text, const char *end)
{
	const size_t size = strlen(end);

	t->size = 0;
	CHECK(cede_write(t->client, text, strlen(text)) > 0);
	do {
		ssize_t n = cede_read(t->client, t->answers + t->size, sizeof t->answers - t->size);

		CHECK(n > 0);
		t->size += (size_t)n;
	} while (t->size < size || memcmp(t->answers + t->size - size, end, size) != 0);
	CHECK(memcmp(t->answers, "HTTP/1.1 ", 9) == 0);
}

static void
ask_for_everything(struct talk *t)
{
	ask(t, "GET /hello" HOST "\r\n", "\r\n\r\nHello, world!\n");
	ask(t, "POST /echo" HOST "Content-Length: 3\r\n\r\nabc", "\r\n\r\nabc");
	ask(t, "POST /echo" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n",
		"\r\n\r\n2\r\nde\r\n0\r\n\r\n");
	ask(t, "GET /http_memory.c" HOST "Range: bytes=0-8\r\n\r\n", "\r\n\r\n/*\n * Wha");
	ask(t, "GET /nowhere" HOST "\r\n", "404 Not Found\r\n");
}

static void
requests_take_nothing(struct talk *t)
{
	unsigned long before;

	for (int i = 0; i < 10; i++)
		ask_for_everything(t);
	before = mallocs_count();
	for (int i = 0; i < 500; i++)
		ask_for_everything(t);
	CHECK(mallocs_count() == before);
}

/* A head that does not fit into what every exchange has. */
static void
a_large_head_is_refused(struct talk *t)
{
	static char text[6000];
	const size_t size =
		(size_t)snprintf(text, sizeof text, "GET /hello" HOST "X: %05000d\r\n\r\n", 1);

	CHECK(size < sizeof text);
	ask(t, text, "\r\n\r\nHello, world!\n");
	atomic_store(&mallocs_refused_from, 8192);
	ask(t, text, MALLOCS_CAN_COUNT ? "503 Service Unavailable\r\n" : "Hello, world!\n");
	atomic_store(&mallocs_refused_from, SIZE_MAX);
}

/* The first of a worker, which has no exchange yet. */
static void
a_connection_is_cut(struct talk *t)
{
	static const char text[] = "GET /hello" HOST "\r\n";
	ssize_t n;

	atomic_store(&mallocs_refused_from, sizeof(struct exchange));
	CHECK(cede_write(t->client, text, sizeof text - 1) > 0);
	n = cede_read(t->client, t->answers, sizeof t->answers);
	atomic_store(&mallocs_refused_from, SIZE_MAX);
	CHECK(!MALLOCS_CAN_COUNT || n <= 0);
}

/* A connection in a task beside its client. */
static void
run(void (*scene)(struct talk *t))
{
	static struct talk t;
	CEDE_GROUP(group);

	worker_init(&t.worker, &server);
	CHECK(cede_stream_pair(&t.client, &t.served, 0) == 0);
	CHECK(cede_spawn(&group, connection, &t) == 0);
	scene(&t);
	cede_close(t.client);
	CHECK(cede_group_wait(&group) == 0);
	worker_deinit(&t.worker);
}

static int
scenes(void *arg)
{
	run(requests_take_nothing);
	run(a_large_head_is_refused);
	run(a_connection_is_cut);
	return 0;
}

int
main(int argc, char **argv)
{
	CHECK(argc == 2);
	server.root = file_open_root(argv[1]);
	CHECK(server.root >= 0);
	CHECK(cede_run(scenes, NULL) == 0);
	close(server.root);
	return 0;
}
