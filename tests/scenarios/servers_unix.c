/*
 * Scenarios of servers and clients over unix sockets, all in one loop: what is not TCP's
 * about a server is broken here, without a network in between.
 */
#include "tests/scenarios/scenario.h"

#include <unistd.h>

#include "net/listener.h"

#define HEADER "PROXY TCP4 192.0.2.7 198.51.100.9 5678 443\r\n"

struct place {
	cede_listener_t *listener;
	char name[64];
	cede_event_t stop;
	int leftovers, answers;
};

static int
open_place(struct place *place)
{
	static unsigned number;

	snprintf(place->name, sizeof place->name, "@cede-scenario-%d-%u", (int)getpid(), number++);
	cede_event_init(&place->stop);
	return cede_unix_listen(place->name, NULL, &place->listener);
}

/* What a client hears whose server has gone, has cut it, or found no memory. */
static int
unless_gone(ssize_t r)
{
	return r >= 0 || r == CEDE_EPIPE || r == CEDE_ECONNRESET || r == CEDE_ECONNREFUSED ||
			r == CEDE_ETIMEDOUT
		? 0
		: (int)r;
}

static int
echo(void *arg)
{
	char buffer[64];
	ssize_t n;

	while ((n = cede_read(arg, buffer, sizeof buffer)) > 0)
		if ((n = cede_write(arg, buffer, (size_t)n)) < 0)
			break;
	return n == CEDE_ECONNRESET || n == CEDE_EPIPE ? 0 : (int)n;
}

static int
is_this_process(cede_stream_t *s, void *data)
{
	pid_t pid = 0;

	require(cede_unix_peer(s, &pid, NULL, NULL) == 0 && pid == getpid());
	return 1;
}

static void
count_leftover(const cede_leftover_t *l, void *data)
{
	struct place *place = data;

	require(l->task && !cede_task_is_done(l->task));
	place->leftovers++;
}

static int
serve_place(void *arg)
{
	struct place *place = arg;
	cede_listener_t *listener = place->listener;
	const cede_serve_options_t how = {
		.max_connections = 2,
		.max_per_peer = 10,
		.idle_ms = 30000,
		.deadline_ms = 60000,
		.drain_ms = 2000,
		.stop = &place->stop,
		.accept_if = is_this_process,
		.on_leftover = count_leftover,
		.data = place,
	};

	place->listener = NULL;
	return cede_serve(listener, echo, &how);
}

static int
ask(void *arg)
{
	struct place *place = arg;
	cede_stream_t *s;
	char answer[16];
	ssize_t n = 0;

	CEDE_TIMEOUT(5000) {
		n = cede_unix_connect(place->name, &s);
		if (n < 0)
			break;
		n = cede_write(s, "question", 8);
		if (n > 0)
			n = cede_read(s, answer, sizeof answer);
		place->answers += n > 0;
		cede_close(s);
	}
	return unless_gone(n);
}

/* A server, so many tasks of one kind, and then its end by the event. */
CEDE_SUSPENDS static int
serve_and(struct place *place, cede_fn *server, cede_fn *client, int clients)
{
	int r = open_place(place);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, server, place);
		if (r == 0) {
			CEDE_GROUP(asking);

			for (int i = 0; i < clients && r == 0; i++)
				r = cede_spawn(&asking, client, place);
			if (r == 0)
				r = cede_group_wait(&asking);
		}
		cede_event_set(&place->stop);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	cede_listener_close(place->listener); /* the server's body never ran */
	return r;
}

static int
clients_and_an_event(void *arg)
{
	struct place place = { 0 };
	int r = serve_and(&place, serve_place, ask, 3);

	require(place.leftovers == 0 || r < 0);
	return r;
}

/* ---- somebody is still there when the time is over ---- */

static int
stay(void *arg)
{
	struct place *place = arg;
	cede_stream_t *s;
	char byte;
	ssize_t n = cede_unix_connect(place->name, &s);

	if (n < 0)
		return unless_gone(n);
	n = cede_write(s, "x", 1);
	if (n > 0)
		n = cede_read(s, &byte, 1);
	cede_event_set(&place->stop);
	if (n > 0)
		n = cede_read(s, &byte, 1); /* until it is cut */
	cede_close(s);
	return unless_gone(n);
}

static int
leftovers(void *arg)
{
	struct place place = { 0 };

	return serve_and(&place, serve_place, stay, 2);
}

/* ---- behind a proxy ---- */

static int
hear_whom(void *arg)
{
	char peer[CEDE_UNIX_NAME_SIZE];

	if (cede_stream_peer(arg, peer, sizeof peer) == 0)
		require(strcmp(peer, "192.0.2.7:5678") == 0);
	return echo(arg);
}

static int
serve_behind_a_proxy(void *arg)
{
	struct place *place = arg;
	cede_listener_t *listener = place->listener;

	place->listener = NULL;
	return cede_serve(listener, hear_whom,
		&(cede_serve_options_t){ .proxy_protocol = CEDE_PROXY_REQUIRED,
			.max_per_peer = 10,
			.stop = &place->stop,
			.drain_ms = 2000 });
}

/* The header in two pieces, the question behind the second. */
static int
ask_by_proxy(void *arg)
{
	struct place *place = arg;
	cede_stream_t *s;
	char answer[16];
	ssize_t n = 0;

	CEDE_TIMEOUT(5000) {
		n = cede_unix_connect(place->name, &s);
		if (n < 0)
			break;
		n = cede_write(s, HEADER, 20);
		if (n > 0)
			n = cede_sleep(100);
		if (n >= 0)
			n = cede_write(s, &(HEADER "question")[20], sizeof HEADER - 1 - 20 + 8);
		if (n > 0)
			n = cede_read(s, answer, sizeof answer);
		if (n > 0)
			require(memcmp(answer, "question", (size_t)n) == 0);
		cede_close(s);
	}
	return unless_gone(n);
}

static int
behind_a_proxy(void *arg)
{
	struct place place = { 0 };

	return serve_and(&place, serve_behind_a_proxy, ask_by_proxy, 2);
}

/* ---- a queue that is full ---- */

static int
connect_and_go(void *arg)
{
	struct place *place = arg;
	cede_stream_t *s;
	int r = cede_unix_connect(place->name, &s);

	if (r == 0)
		cede_close(s);
	return unless_gone(r);
}

static int
accept_slowly(void *arg)
{
	struct place *place = arg;
	int r = 0;

	for (int i = 0; i < 4 && r == 0; i++) {
		cede_stream_t *s;

		r = cede_sleep(300);
		if (r == 0)
			CEDE_TIMEOUT(1000) {
				r = cede_accept(place->listener, &s);
				if (r == 0)
					cede_close(s);
			}
	}
	return r == CEDE_ETIMEDOUT ? 0 : r;
}

static int
full_queue(void *arg)
{
	struct place place = { 0 };
	int r;

	snprintf(place.name, sizeof place.name, "@cede-scenario-full-%d", (int)getpid());
	r = cede_unix_listen(place.name, &(cede_unix_options_t){ .backlog = 1 }, &place.listener);
	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		for (int i = 0; i < 4 && r == 0; i++)
			r = cede_spawn(&group, connect_and_go, &place);
		if (r == 0)
			r = cede_spawn(&group, accept_slowly, &place);
		if (r == 0)
			r = cede_sleep(5000);
		cede_listener_close(place.listener); /* who still waits is refused */
		if (r == 0)
			r = cede_group_wait(&group);
	}
	return r;
}

/* ---- a path ---- */

static int
listen_on_a_path(void *arg)
{
	char path[64];
	cede_listener_t *first, *second = NULL;
	cede_stream_t *s;
	int r;

	snprintf(path, sizeof path, "/tmp/cede-scenario-%d", (int)getpid());
	r = cede_unix_listen(path, NULL, &first);
	if (r < 0)
		return r;
	r = cede_unix_listen(path, NULL, &second);
	require(r == CEDE_EADDRINUSE || r == CEDE_ENOMEM);
	r = cede_unix_connect(path, &s);
	if (r == 0)
		cede_close(s);
	if (r == 0)
		r = cede_sleep(10);
	cede_listener_close(first);
	require(access(path, F_OK) < 0);
	return r;
}

const struct scenario scenarios[] = {
	{ "clients_and_an_event", clients_and_an_event, 0, NULL },
	{ "leftovers", leftovers, 0, NULL },
	{ "behind_a_proxy", behind_a_proxy, 0, NULL },
	{ "full_queue", full_queue, 0, NULL },
	{ "listen_on_a_path", listen_on_a_path, 0, NULL },
	{ NULL, NULL, 0, NULL },
};
