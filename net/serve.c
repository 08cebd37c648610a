/*
 * Serving: one task a connection, in a group that keeps going when one fails.
 *
 * The server waits for a connection or to be stopped, by a signal or the event; at the
 * limit of connections, for the end of one or to be stopped. That is looked at first.
 * Then the listener is closed and the group waited for, until the time is up: what is
 * still there is told of and cancelled, which cuts it.
 *
 * What is kept of a connection lies in a block that the next one uses again. It is
 * there until the task has ended, in whichever way; only then it is off the list.
 */
#include <cede/serve.h>

#include <sys/resource.h>

#include "coro/alloc.h"
#include "net/address.h"
#include "net/serve_int.h"

#define IDLE_MS_DEFAULT  60000
#define DRAIN_MS_DEFAULT 5000
#define CONNECTIONS_MAX  10000
#define RESERVED_FDS     64

static unsigned
connections_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
		limit.rlim_cur >= CONNECTIONS_MAX + RESERVED_FDS)
		return CONNECTIONS_MAX;
	return limit.rlim_cur > RESERVED_FDS ? (unsigned)limit.rlim_cur - RESERVED_FDS : 1;
}

static cede_serve_options_t
with_defaults(const cede_serve_options_t *options)
{
	cede_serve_options_t o = options ? *options : (cede_serve_options_t){ 0 };

	if (o.idle_ms == 0)
		o.idle_ms = IDLE_MS_DEFAULT;
	else if (o.idle_ms == CEDE_UNLIMITED)
		o.idle_ms = 0;
	if (o.max_connections == 0)
		o.max_connections = connections_max();
	if (o.drain_ms == 0)
		o.drain_ms = DRAIN_MS_DEFAULT;
	if (!o.name)
		o.name = "connection";
	return o;
}

/* ---- a connection ---- */

static struct cede__connection *
make_connection(struct cede__server *server, cede_stream_t *s)
{
	struct cede__list *spare = server->spare.next;
	struct cede__connection *c;

	if (spare != &server->spare) {
		cede__list_remove(spare);
		c = cede__container_of(spare, struct cede__connection, link);
	} else {
		c = cede__alloc(sizeof *c);
		if (!c)
			return NULL;
	}
	*c = (struct cede__connection){
		.server = server,
		.stream = cede__stream_ref(s),
		.since_ms = cede__loop_time(server->loop),
	};
	cede__list_init(&c->link);
	cede__list_init(&c->by_peer);
	cede__list_append(&server->connections, &c->link);
	server->count++;
	s->server = c;
	return c;
}

/* The handler may have closed its stream itself. */
static void
end_connection(struct cede__connection *c, int is_cut)
{
	struct cede__server *server = c->server;
	cede_stream_t *s = c->stream;

	s->server = NULL; /* tasks of the handler's that go on must not find what is gone */
	s->stated = NULL;
	cede__free(c->stated);
	if (!s->is_released) {
		if (is_cut)
			cede_abort(s);
		else
			cede_close(s);
	}
	cede__stream_unref(s);
	if (!server) {
		cede__free(c);
		return;
	}
	cede__list_remove(&c->by_peer);
	cede__list_remove(&c->link);
	cede__list_prepend(&server->spare, &c->link);
	server->count--;
	cede_future_resolve(&server->room, 0, NULL);
}

/* However the task ended: returned, was cut, never began, or ignored its end. */
static void
connection_ended(int result, void *connection)
{
	struct cede__connection *c = connection;
	const cede_serve_options_t *o = c->server ? &c->server->options : NULL;

	if (o && result < 0 && !cede_is_cancel(result) && o->on_error)
		o->on_error(c->stream, result, o->data);
	end_connection(c, c->is_refused || cede_is_cancel(result) || result == CEDE_EIGNORED);
}

static int
is_welcome(struct cede__connection *c)
{
	const cede_serve_options_t *o = &c->server->options;

	return cede__serve_admit_peer(c) && (!o->accept_if || o->accept_if(c->stream, o->data));
}

static int
serve_connection(void *arg)
{
	struct cede__connection *c = arg;
	const struct cede__server *server = c->server;
	int r = 0;

	if (server->options.proxy_protocol != CEDE_PROXY_NONE) {
		r = cede__serve_read_header(c);
		c->is_refused = r != 0 || !is_welcome(c);
		if (c->is_refused)
			return r < 0 ? r : 0;
	}
	if (server->options.tls)
		r = cede_tls_accept(c->stream, server->options.tls, NULL);
	return r < 0 ? r : server->handler(c->stream);
}

/* A cut is what it gets where there is no memory for it. */
static void
spawn_connection(struct cede__server *server, cede_stream_t *s)
{
	const cede_serve_options_t *o = &server->options;
	const cede_spawn_options_t how = { .name = o->name, .stack_size = o->stack_size };
	struct cede__connection *c = make_connection(server, s);

	if (!c) {
		cede_abort(s);
		return;
	}
	if ((o->proxy_protocol == CEDE_PROXY_NONE && !is_welcome(c)) ||
		cede_stream_set_idle(s, o->idle_ms) < 0 ||
		cede_stream_set_deadline(s, o->deadline_ms) < 0 ||
		cede_spawn_with(&server->group, serve_connection, c, &how, &c->task) < 0) {
		end_connection(c, 1);
		return;
	}
	cede__task_on_end(c->task, connection_ended, c);
	cede_task_unref(c->task);
}

/* ---- the server ---- */

static int
start_stops(struct cede__server *server)
{
	const int *numbers = server->options.stop_on;
	int r;

	for (int i = 0; numbers && numbers[i]; i++) {
		r = i < CEDE__STOP_SIGNALS_MAX ? cede_signal_start(numbers[i], &server->signals[i])
					       : CEDE_EINVAL;
		if (r < 0)
			return r;
		server->events[server->stop_count++] = &server->signals[i].future;
	}
	if (server->options.stop) {
		r = cede_event_wait_start(server->options.stop, &server->stop);
		if (r < 0)
			return r;
		server->events[server->stop_count++] = &server->stop.future;
	}
	return 0;
}

static void
stop_stops(struct cede__server *server)
{
	for (int i = 0; i < server->stop_count; i++)
		cede_future_cancel(server->events[i]);
}

static int
is_stopped(const struct cede__server *server)
{
	for (int i = 0; i < server->stop_count; i++)
		if (server->events[i]->is_done)
			return 1;
	return 0;
}

/* Waits for `last` or a stop. 1: it is to stop; 0: `last` is done; or the code of a wait given up. */
CEDE_SUSPENDS static int
wait_for(struct cede__server *server, cede_future_t *last)
{
	int r;

	server->events[server->stop_count] = last;
	r = cede_wait_any(server->stop_count + 1, server->events);
	return r < 0 ? r : r < server->stop_count;
}

/* One connection taken, or room made for one. 0: go on; 1: it is to stop; or what ends the server. */
CEDE_SUSPENDS static int
serve_next(struct cede__server *server)
{
	cede_accept_t accept;
	int r;

	if (is_stopped(server))
		return 1;
	if (server->count >= server->options.max_connections) {
		cede_future_init(&server->room, NULL);
		r = wait_for(server, &server->room);
		return r;
	}

	r = cede_accept_start(server->listener, &accept);
	if (r < 0)
		return r;
	r = wait_for(server, &accept.future);
	if (r > 0)
		cede_future_cancel(&accept.future);
	if (accept.future.is_done && accept.future.result == 0)
		spawn_connection(server, accept.stream);
	return r == 0 ? accept.future.result : r;
}

/* What a connection ended with is no error of the serving: on_error was told. */
CEDE_SUSPENDS static int
wait_for_connections(struct cede__server *server)
{
	int r = cede_group_wait(&server->group);

	return r == server->group.first_error && !cede_is_cancel(r) ? 0 : r;
}

/* Lets what is in flight finish in its time, and cuts the rest. */
CEDE_SUSPENDS static int
drain(struct cede__server *server)
{
	cede_group_wait_t all;
	cede_sleep_t limit;
	int r;

	server->is_draining = 1;
	if (server->options.stop)
		cede_event_set(server->options.stop);
	r = cede_group_wait_start(&server->group, &all);
	if (r < 0)
		return r;
	r = cede_sleep_start(server->options.drain_ms, &limit);
	if (r < 0) {
		cede_future_cancel(&all.future);
		return r;
	}
	r = cede_select(2, (cede_future_t *[]){ &all.future, &limit.future });
	if (r < 0)
		return r;
	if (r == 1) {
		cede__serve_report_leftovers(server);
		cede_group_cancel(&server->group);
	}
	return wait_for_connections(server);
}

/* Whose handler has left the group (cede_task_detach()): it ends when it likes, and finds no server. */
static void
disown_connections(struct cede__server *server)
{
	while (!cede__list_is_empty(&server->connections)) {
		struct cede__connection *c =
			cede__container_of(server->connections.next, struct cede__connection, link);

		cede__list_remove(&c->link);
		cede__list_remove(&c->by_peer);
		c->server = NULL;
		c->stream->server = NULL;
	}
}

static void
deinit(struct cede__server *server)
{
	disown_connections(server);
	while (!cede__list_is_empty(&server->spare)) {
		struct cede__list *link = server->spare.next;

		cede__list_remove(link);
		cede__free(cede__container_of(link, struct cede__connection, link));
	}
	cede__free(server->peers);
	cede__listener_unref(server->listener);
}

int
cede_serve(cede_listener_t *listener, cede_fn *handler, const cede_serve_options_t *options)
{
	struct cede__server server = {
		.loop = cede_loop_current(),
		.listener = cede__listener_ref(listener),
		.handler = handler,
		.options = with_defaults(options),
		.room = { .is_done = 1 },
	};
	int r;

	cede__list_init(&server.connections);
	cede__list_init(&server.spare);
	cede_group_init(&server.group);
	server.group.policy = CEDE_GROUP_KEEP_GOING;
	r = !handler ? CEDE_EINVAL : !server.loop ? CEDE_ENOTASK : start_stops(&server);
	if (r == 0)
		r = cede__serve_init_peers(&server);
	if (r == 0 && server.options.on_ready)
		server.options.on_ready(listener, server.options.data);
	while (r == 0)
		r = serve_next(&server);

	cede__listener_close_once(listener);
	if (r > 0)
		r = drain(&server);
	stop_stops(&server);
	cede_group_leave(&server.group);
	deinit(&server);
	return r;
}

/* ---- what handlers ask ---- */

void *
cede_serve_data(const cede_stream_t *stream)
{
	const struct cede__connection *c = stream->server;

	return c ? c->server->options.data : NULL;
}

int
cede_serve_is_draining(const cede_stream_t *stream)
{
	const struct cede__connection *c = stream->server;

	return c && c->server->is_draining;
}

int
cede_serve_direct_peer(const cede_stream_t *stream, char *buffer, size_t size)
{
	return cede__address_of_fd(stream->fd, getpeername, buffer, size);
}
