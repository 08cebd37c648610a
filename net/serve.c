/*
 * Serving: one task a connection, in a group that keeps going when one fails.
 *
 * The server waits for a connection or a signal; at the limit of connections, for
 * the end of one or a signal. Signals are looked at first. When one has come the
 * listener is closed, and the group is waited for in a timeout scope: what is
 * still there when it expires is cancelled, which cuts it.
 */
#include <cede/serve.h>

#include <sys/resource.h>

#include <cede/group.h>
#include <cede/scope.h>

#include "net/listener.h"
#include "net/stream_int.h"

#define IDLE_MS_DEFAULT  60000
#define DRAIN_MS_DEFAULT 5000
#define CONNECTIONS_MAX  10000
#define RESERVED_FDS     64
#define STOP_SIGNALS_MAX 8

struct server {
	cede_listener_t *listener;
	cede_fn *handler;
	cede_serve_options_t options; /* the defaults filled in */
	cede_group_t connections;
	cede_future_t room; /* at the limit: one has ended */
	int is_draining;

	/* The signals, then the accept or `room`: in this order they are looked at. */
	int signal_count;
	cede_signal_t signals[STOP_SIGNALS_MAX];
	cede_future_t *events[STOP_SIGNALS_MAX + 1];
};

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
	return o;
}

/* ---- a connection ---- */

/* The handler may have closed its stream itself. */
static void
end_connection(cede_stream_t *s, int is_cut)
{
	struct server *server = s->server;

	s->server = NULL; /* tasks of the handler's that go on must not find what is gone */
	if (!s->is_released) {
		if (is_cut)
			cede_abort(s);
		else
			cede_close(s);
	}
	cede__stream_unref(s);
	cede_future_resolve(&server->room, 0, NULL);
}

/* However the task ended: returned, was cut, never began, or ignored its end. */
static void
connection_ended(int result, void *stream)
{
	const struct server *server = ((cede_stream_t *)stream)->server;

	if (result < 0 && !cede_is_cancel(result) && server->options.on_error)
		server->options.on_error(stream, result, server->options.data);
	end_connection(stream, cede_is_cancel(result) || result == CEDE_EIGNORED);
}

static int
serve_connection(void *arg)
{
	cede_stream_t *s = arg;
	const struct server *server = s->server;

	return server->handler(s);
}

static void
spawn_connection(struct server *server, cede_stream_t *s)
{
	cede_spawn_options_t how = { .name = "connection",
		.stack_size = server->options.stack_size };
	cede_task_t *task;

	s->server = server;
	cede__stream_ref(s);
	/* Without memory for the idle limit there is none for the task either. */
	(void)cede_stream_set_idle(s, server->options.idle_ms);
	if (cede_spawn_with(&server->connections, serve_connection, s, &how, &task) < 0) {
		end_connection(s, 1);
		return;
	}
	cede__task_on_end(task, connection_ended, s);
	cede_task_unref(task);
}

/* ---- the server ---- */

static int
start_signals(struct server *server)
{
	const int *numbers = server->options.stop_on;

	for (int i = 0; numbers && numbers[i]; i++) {
		int r = i < STOP_SIGNALS_MAX ? cede_signal_start(numbers[i], &server->signals[i])
					     : CEDE_EINVAL;

		if (r < 0)
			return r;
		server->events[i] = &server->signals[i].future;
		server->signal_count++;
	}
	return 0;
}

static void
stop_signals(struct server *server)
{
	for (int i = 0; i < server->signal_count; i++)
		cede_future_cancel(&server->signals[i].future);
}

/* Waits for `last` or a signal. 1: a signal has come; 0: `last` is done; or the code of a wait given up. */
CEDE_SUSPENDS static int
wait_for(struct server *server, cede_future_t *last)
{
	int r;

	server->events[server->signal_count] = last;
	r = cede_wait_any(server->signal_count + 1, server->events);
	return r < 0 ? r : r < server->signal_count;
}

/* One connection taken, or room made for one. 0: go on; 1: a signal has come; or what ends the server. */
CEDE_SUSPENDS static int
serve_next(struct server *server)
{
	cede_accept_t accept;
	int r;

	if (server->connections.running >= server->options.max_connections) {
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

/* Lets what is in flight finish in its time; the wait that is given up cuts the rest. */
CEDE_SUSPENDS static int
drain(struct server *server)
{
	cede_scope_t limit;

	server->is_draining = 1;
	int r = cede_scope_enter(&limit, server->options.drain_ms);

	if (r < 0)
		return r;
	r = cede_group_wait(&server->connections);
	if (r == server->connections.first_error && !cede_is_cancel(r))
		r = 0; /* a connection's; on_error was told */
	return cede_scope_leave(&limit) && r == CEDE_ETIMEDOUT ? 0 : r;
}

int
cede_serve(cede_listener_t *listener, cede_fn *handler, const cede_serve_options_t *options)
{
	struct server server = {
		.listener = listener,
		.handler = handler,
		.options = with_defaults(options),
		.room = { .is_done = 1 },
	};
	int r;

	cede_group_init(&server.connections);
	server.connections.policy = CEDE_GROUP_KEEP_GOING;
	cede__listener_ref(listener);
	r = handler ? start_signals(&server) : CEDE_EINVAL;
	if (r == 0 && server.options.on_ready)
		server.options.on_ready(listener, server.options.data);
	while (r == 0)
		r = serve_next(&server);

	cede__listener_close_once(listener);
	if (r > 0)
		r = drain(&server);
	stop_signals(&server);
	cede_group_leave(&server.connections);
	cede__listener_unref(listener);
	return r;
}

void *
cede_serve_data(const cede_stream_t *stream)
{
	const struct server *server = stream->server;

	return server ? server->options.data : NULL;
}

int
cede_serve_is_draining(const cede_stream_t *stream)
{
	const struct server *server = stream->server;

	return server && server->is_draining;
}
