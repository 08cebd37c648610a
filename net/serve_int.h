/* The server and its connections, for net/serve*.c. */
#ifndef CEDE_NET_SERVE_INT_H
#define CEDE_NET_SERVE_INT_H

#include <cede/group.h>
#include <cede/serve.h>

#include "net/listener.h"
#include "net/stream_int.h"

#define CEDE__STOP_SIGNALS_MAX 8

/* Who is counted as one: see serve_peers.c. */
struct cede__peer {
	int kind;
	uint64_t id;
};

/* One that was accepted, until its task has ended. The stream points to it meanwhile. */
struct cede__connection {
	struct cede__server *server;
	cede_stream_t *stream; /* a reference */
	cede_task_t *task;     /* of its handler; not a reference */
	uint64_t since_ms;
	uint8_t is_in_header;       /* its PROXY header has not come yet */
	uint8_t is_refused;         /* by accept_if, or for want of a header: to be reset */
	struct cede__names *stated; /* by the header; NULL: it stated none */
	struct cede__list link;     /* of cede__server::connections or ::spare */
	struct cede__peer peer;     /* only where those are counted */
	struct cede__list by_peer;  /* of cede__server::peers */
};

struct cede__server {
	cede_loop_t *loop;
	cede_listener_t *listener;
	cede_fn *handler;
	cede_serve_options_t options; /* the defaults filled in */
	cede_group_t group;
	struct cede__list connections; /* cede__connection::link */
	unsigned count;                /* of those, also where the handler has left the group */
	struct cede__list spare;       /* cede__connection::link: memory for the next */
	struct cede__peers *peers;     /* NULL: they are not counted */
	cede_future_t room;            /* at the limit: one has ended */
	int is_draining;

	/* The signals, `stop`, then the accept or `room`: in this order they are looked at. */
	int stop_count;
	cede_signal_t signals[CEDE__STOP_SIGNALS_MAX];
	int signal_count;
	cede_event_wait_t stop;
	int has_stop;
	cede_future_t *events[CEDE__STOP_SIGNALS_MAX + 2];
};

/** Reads the PROXY header and notes what it states. 0; 1: the peer has closed before its first byte; or a code. */
CEDE_SUSPENDS int cede__serve_read_header(struct cede__connection *connection);

/** The table for max_per_peer, if that is asked for; freed with cede__free(). 0, CEDE_ENOMEM, libuv's. */
int cede__serve_init_peers(struct cede__server *server);

/** Counts a connection as its peer's. 0: it has too many. */
int cede__serve_admit_peer(struct cede__connection *connection);

/** Tells of all connections that are still there. */
void cede__serve_report_leftovers(struct cede__server *server);

#endif
