/* The server of examples/http, without its options, with clients in the same loop. */
#include "examples/http/connection.h"
#include "examples/http/file.h"

#include "tests/scenarios/clients.h"
#include "tests/scenarios/directory.h"

struct http_server {
	struct server server;
	struct worker worker;
	struct clients clients;
};

static int
connection(void *arg)
{
	struct http_server *h = cede_serve_data(arg);

	return connection_run(&h->worker, arg);
}

static void
note_address(cede_listener_t *listener, void *data)
{
	clients_are_welcome(&((struct http_server *)data)->clients, listener);
}

static int
serve(void *arg)
{
	struct http_server *h = arg;
	const cede_serve_options_t how = {
		.stop = &h->worker.stop,
		.on_ready = note_address,
		.data = arg,
	};
	cede_listener_t *listener;
	int r = cede_tcp_listen("127.0.0.1:0", NULL, &listener);

	return r < 0 ? r : cede_serve(listener, connection, &how);
}

/* What is sent at a time; the server waits, or does not, in between. */
static const char *const script[] = {
	"GET /hello HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nTransfer-",
	"Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
	"6\r\nabcdef\r\n0\r\n\r\nGET /file HTTP/1.1\r\nHost: a\r\n\r\n",
	NULL,
};

static const char content[] = "what is in the file";

/* The last answer of a script that was served to its end. */
static int
is_complete(const char *answers, size_t size)
{
	const size_t end = sizeof content - 1;

	return size > end && memcmp(answers + size - end, content, end) == 0;
}

CEDE_SUSPENDS static ssize_t
send_script(cede_stream_t *s)
{
	ssize_t n = 0;

	for (int i = 0; script[i] && n >= 0; i++) {
		n = cede_write(s, script[i], strlen(script[i]));
		if (n >= 0)
			n = cede_sleep(1);
	}
	return n;
}

/* Reads all answers; then the server is to end, with the connections that rest. */
CEDE_SUSPENDS static ssize_t
read_answers(struct http_server *h, cede_stream_t *s)
{
	char answers[2048];
	size_t got = 0;
	ssize_t n;

	while ((n = cede_read(s, answers + got, sizeof answers - got)) > 0) {
		got += (size_t)n;
		require(got < sizeof answers);
		require(memcmp(answers, "HTTP/1.1 ", got < 9 ? got : 9) == 0);
		if (is_complete(answers, got))
			cede_event_set(&h->worker.stop);
	}
	return n;
}

static int
talk(void *arg)
{
	struct clients *c = arg;
	cede_stream_t *s;
	ssize_t n = cede_tcp_connect(c->address, &s);

	if (n < 0)
		return clients_unless_gone(n);
	n = send_script(s);
	if (n >= 0)
		n = read_answers(c->arg, s);
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
http_with_clients(void *arg)
{
	char path[] = DIRECTORY_TEMPLATE;
	struct http_server h = {
		.server = { .limits = REQUEST_LIMITS_DEFAULT, .head_ms = 10000, .body_ms = 10000 },
		.clients = { .server = serve, .client = client },
	};
	int r;

	directory_enter(path);
	directory_put("file", content, sizeof content - 1);
	h.server.root = file_open_root(".");
	require(h.server.root >= 0);
	worker_init(&h.worker, &h.server);
	h.clients.arg = &h;
	r = clients_run(&h.clients);
	worker_deinit(&h.worker);
	close(h.server.root);
	directory_leave(path);
	return r;
}

const struct scenario scenarios[] = {
	{ "http", http_with_clients, OVER_TCP | IN_THE_POOL, NULL },
	{ NULL, NULL, 0, NULL },
};
