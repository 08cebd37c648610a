/*
 * What is said of the connections that a drain has not seen end.
 */
#include <string.h>

#include <cede/unix.h>

#include "loop/task_int.h"
#include "net/serve_int.h"

/* Of its own stream it is known; what else there is to wait for only the handler knows. */
static const char *
waits_for(const struct cede__connection *c)
{
	if (c->is_in_header)
		return "the PROXY header";
	if (c->stream->reader)
		return "a read";
	if (c->stream->writer || c->stream->is_sending)
		return "a write";
	return "something else";
}

static void
report(const struct cede__connection *c)
{
	const struct cede__server *server = c->server;
	char peer[CEDE_UNIX_NAME_SIZE];

	if (cede_stream_peer(c->stream, peer, sizeof peer) < 0)
		strcpy(peer, "gone");
	server->options.on_leftover(&(cede_leftover_t){ .stream = c->stream,
					    .task = c->task,
					    .peer = peer,
					    .waits_for = waits_for(c),
					    .age_ms = cede__loop_time(server->loop) - c->since_ms },
		server->options.data);
}

/* Who has left the group is not cut, and not told of. */
void
cede__serve_report_leftovers(struct cede__server *server)
{
	struct cede__list *link = server->connections.next;

	while (server->options.on_leftover && link != &server->connections) {
		const struct cede__connection *c =
			cede__container_of(link, struct cede__connection, link);

		link = link->next;
		if (c->task->group == &server->group)
			report(c);
	}
}
