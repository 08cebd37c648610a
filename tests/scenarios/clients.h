/*
 * A server of examples/ with its clients, in one loop: the server runs as a task until
 * the clients have ended, and is then cancelled. What it says when it is ready goes to
 * clients_are_welcome().
 */
#ifndef CEDE_TESTS_CLIENTS_H
#define CEDE_TESTS_CLIENTS_H

#include "tests/scenarios/scenario.h"

#define CLIENTS 2

struct clients {
	cede_fn *server;
	void *arg;
	cede_fn *client; /* its argument is this */
	cede_event_t is_ready;
	char address[56]; /* "": the server has ended before it was ready */
};

/** Where the server listens. */
static inline void
clients_are_welcome(struct clients *c, cede_listener_t *listener)
{
	require(cede_listener_address(listener, c->address, sizeof c->address) == 0);
	cede_event_set(&c->is_ready);
}

/** What a client hears whose server was cut, refused it, or found no memory. */
static inline int
clients_unless_gone(ssize_t r)
{
	return r >= 0 || r == CEDE_EPIPE || r == CEDE_ECONNRESET || r == CEDE_ECONNREFUSED ||
			r == CEDE_ETIMEDOUT
		? 0
		: (int)r;
}

static inline int
clients_run_server(void *arg)
{
	struct clients *c = arg;
	int r = c->server(c->arg);

	cede_event_set(&c->is_ready); /* in any case */
	return r;
}

/** Runs the server and its clients. 0, or a code. */
CEDE_SUSPENDS static inline int
clients_run(struct clients *c)
{
	int r;
	CEDE_GROUP(server);

	r = cede_spawn(&server, clients_run_server, c);
	if (r == 0)
		r = cede_event_wait(&c->is_ready);
	if (r == 0 && c->address[0]) {
		CEDE_GROUP(group);

		for (int i = 0; i < CLIENTS && r == 0; i++)
			r = cede_spawn(&group, c->client, c);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	cede_group_cancel(&server);
	if (r == 0)
		r = cede_group_wait(&server);
	return r;
}

#endif
