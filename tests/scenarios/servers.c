/*
 * Scenarios of servers and clients over TCP on the loopback, all in one loop. Clients
 * end with a reset, so that no connection is left waiting in the system.
 */
#include "tests/scenarios/scenario.h"

#include <signal.h>

#include "net/listener.h"

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

struct place {
	cede_listener_t *listener;
	char address[56];
	int served, connected;
};

static int
open_place(struct place *place)
{
	int r = cede_tcp_listen("127.0.0.1:0", NULL, &place->listener);

	if (r == 0)
		require(cede_listener_address(place->listener, place->address,
				sizeof place->address) == 0);
	return r;
}

/* What a client hears whose server has gone, or was cut. */
static int
unless_gone(int r)
{
	return r == CEDE_EPIPE || r == CEDE_ECONNRESET || r == CEDE_ECONNREFUSED ||
			r == CEDE_ECONNABORTED || r == CEDE_ETIMEDOUT
		? 0
		: r;
}

/* Asks once. */
static int
ask(void *arg)
{
	struct place *place = arg;
	cede_stream_t *s;
	char answer[16];
	ssize_t n = 0;

	CEDE_TIMEOUT(5000) {
		n = cede_tcp_connect(place->address, &s);
		if (n < 0)
			break;
		place->connected++;
		n = cede_write(s, "question", 8);
		if (n > 0)
			n = cede_read(s, answer, sizeof answer);
		cede_abort(s);
	}
	return n < 0 ? unless_gone((int)n) : 0;
}

static int
ask_all(struct place *place, int clients)
{
	int r = 0;
	CEDE_GROUP(group);

	for (int i = 0; i < clients && r == 0; i++)
		r = cede_spawn(&group, ask, place);
	return r < 0 ? r : cede_group_wait(&group);
}

/* ---- an accept loop by hand ---- */

static int
serve_one(void *arg)
{
	int r = echo(arg);

	cede_abort(arg);
	return r;
}

static void
drop(void *stream)
{
	cede_abort(stream);
}

static int
accept_loop(void *arg)
{
	struct place *place = arg;
	cede_stream_t *s;
	int r = 0;
	CEDE_GROUP(connections);

	while (r == 0 && (r = cede_accept(place->listener, &s)) == 0) {
		place->served++;
		r = cede_spawn_own(&connections, serve_one, s, drop);
	}
	cede_listener_close(place->listener);
	place->listener = NULL;
	return r;
}

static int
echo_server_and_clients(void *arg)
{
	struct place place = { 0 };
	int r = open_place(&place);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(server);

		r = cede_spawn(&server, accept_loop, &place);
		if (r == 0)
			r = ask_all(&place, 3);
	}
	cede_listener_close(place.listener); /* its body never ran */
	return r;
}

/* ---- serve, with a limit and a drain ---- */

static int
serve_place(void *arg)
{
	struct place *place = arg;
	const cede_serve_options_t how = {
		.max_connections = 1,
		.idle_ms = 30000,
		.drain_ms = 2000,
		.stop_on = (int[]){ SIGUSR2, 0 },
	};
	cede_listener_t *listener = place->listener;

	place->listener = NULL;
	return cede_serve(listener, echo, &how);
}

static int
connection_limit(void *arg)
{
	struct place place = { 0 };
	int r = open_place(&place);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(server);

		r = cede_spawn(&server, serve_place, &place);
		if (r == 0)
			r = ask_all(&place, 3);
	}
	cede_listener_close(place.listener);
	return r;
}

struct drained {
	struct place place;
	int is_serving;
};

static int
serve_until_told(void *arg)
{
	struct drained *d = arg;
	int r;

	d->is_serving = 1;
	r = serve_place(&d->place);
	d->is_serving = 0;
	return r;
}

/* Goes on talking while the server ends. */
static int
talk_for_long(void *arg)
{
	struct drained *d = arg;
	cede_stream_t *s;
	char byte;
	ssize_t n = cede_tcp_connect(d->place.address, &s);

	if (n < 0)
		return unless_gone((int)n);
	for (int i = 0; i < 3 && n >= 0; i++) {
		CEDE_TIMEOUT(3000) {
			n = cede_write(s, "x", 1);
			if (n > 0)
				n = cede_read(s, &byte, 1);
		}
		if (n == 0)
			break;
		if (n > 0)
			n = cede_sleep(1500);
	}
	cede_abort(s);
	return n < 0 ? unless_gone((int)n) : 0;
}

static int
serve_with_drain(void *arg)
{
	struct drained d = { 0 };
	int r = open_place(&d.place);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, serve_until_told, &d);
		if (r == 0)
			r = cede_spawn(&group, talk_for_long, &d);
		if (r == 0)
			r = cede_sleep(1000);
		if (r == 0 && d.is_serving)
			raise(SIGUSR2);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	cede_listener_close(d.place.listener);
	return r;
}

/* ---- nobody there ---- */

static int
connect_refused(void *arg)
{
	struct place place = { 0 };
	cede_stream_t *s = NULL;
	int r = open_place(&place);

	if (r < 0)
		return r;
	cede_listener_close(place.listener); /* nobody else gets this port so soon */
	for (int i = 0; i < 3 && r == 0; i++) {
		r = cede_tcp_connect(place.address, &s);
		if (r == 0)
			cede_abort(s); /* a socket may have met itself */
		if (r == CEDE_ECONNREFUSED)
			r = cede_sleep(100);
	}
	return r;
}

/* ---- the first who answers ---- */

static int
first_answer(void *arg)
{
	struct place place = { 0 };
	cede_connect_t a = { .stream = NULL }, b = { .stream = NULL };
	int r = open_place(&place), started;

	if (r < 0)
		return r;
	started = cede_tcp_connect_start(place.address, &a);
	r = started < 0 ? started : cede_tcp_connect_start(place.address, &b);
	if (started == 0 && r < 0)
		cede_future_cancel(&a.future);
	if (r == 0)
		r = cede_select(2, (cede_future_t *[]){ &a.future, &b.future });
	if (started == 0 && a.future.is_done && a.future.result == 0)
		cede_abort(a.stream);
	if (b.future.is_done && b.future.result == 0)
		cede_abort(b.stream);
	cede_listener_close(place.listener);
	return r < 0 ? r : cede_sleep(1);
}

/* ---- a listener that another closes ---- */

static int
accept_once(void *arg)
{
	struct place *place = arg;
	cede_stream_t *s;
	int r = cede_accept(place->listener, &s);

	if (r == 0)
		cede_abort(s);
	return r == CEDE_ECANCELED ? 0 : r;
}

static int
close_under_an_acceptor(void *arg)
{
	struct place place = { 0 };
	int r = open_place(&place);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, accept_once, &place);
		if (r == 0)
			r = cede_sleep(50);
		cede_listener_close(place.listener);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	return r;
}

const struct scenario scenarios[] = {
	{ "echo_server_and_clients", echo_server_and_clients, OVER_TCP, NULL },
	{ "connection_limit", connection_limit, OVER_TCP, NULL },
	{ "serve_with_drain", serve_with_drain, OVER_TCP, NULL },
	{ "connect_refused", connect_refused, OVER_TCP, NULL },
	{ "first_answer", first_answer, OVER_TCP, NULL },
	{ "close_under_an_acceptor", close_under_an_acceptor, 0, NULL },
	{ NULL, NULL, 0, NULL },
};
