/**
 * Serving: one task a connection, limits, and an orderly end.
 *
 * The listener may be any: TCP's, a unix socket's.
 */
#ifndef CEDE_SERVE_H
#define CEDE_SERVE_H

#include <cede/base.h>
#include <cede/sync.h>
#include <cede/task.h>
#include <cede/tcp.h>
#include <cede/tls.h>

CEDE__BEGIN

/** Does a proxy say at the start of each connection whose it is? */
enum cede_proxy_protocol {
	CEDE_PROXY_NONE,     /**< no: the first bytes are the handler's */
	CEDE_PROXY_REQUIRED, /**< yes, version 1 or 2; whoever does not is cut */
};

/** A connection that is about to be cut: valid during the call. */
typedef struct cede_leftover {
	cede_stream_t *stream;
	const cede_task_t *task; /**< its handler's: cede_task_name(), cede_task_place() */
	const char *peer; /**< as cede_stream_peer(); "gone": the system does not know any more */
	/** "a read", "a write": of its stream; "the PROXY header"; "something else": a sleep, a
	 *  lock, another stream, … */
	const char *waits_for;
	uint64_t age_ms; /**< since it was accepted */
} cede_leftover_t;

/** How to serve. All zero is the default. */
typedef struct cede_serve_options {
	/** cede_stream_set_idle() of every connection; 0: 60,000. CEDE_UNLIMITED: none. */
	uint64_t idle_ms;
	/** cede_stream_set_deadline() of every connection: how long it may last, whatever it does. 0:
	 *  no limit. */
	uint64_t deadline_ms;
	/** At this many the server stops accepting until one ends; who comes waits in the backlog,
	 *  and is served in its turn. 0: 10,000, or as many as the limit of descriptors allows
	 *  less 64. */
	unsigned max_connections;
	/** At this many of one peer the next of it is reset: one of an IPv4 address, of 64 bits of
	 *  an IPv6 address, of a user at the other end of a unix socket. 0: no limit. */
	unsigned max_per_peer;
	/** Signals that end the serving, then 0; NULL: none; at most 8. Not copied. The one that has
	 *  ended it is not waited for any more: sent again while it drains it does what it does by
	 *  default. */
	const int *stop_on;
	/** An event that ends the serving when it is set, by whomever: a handler, another task.
	 *  The server sets it too, when it begins to drain for another reason: so a handler
	 *  that waits for its next request selects it beside the read, and ends. NULL: none. */
	cede_event_t *stop;
	/** How long connections may go on after that before they are cut; 0: 5,000. */
	uint64_t drain_ms;
	/** Given to the handler's task; 0: 64 KiB. */
	size_t stack_size;
	/** The handlers' tasks' name. Not copied. NULL: "connection". */
	const char *name;
	/** The PROXY protocol (HAProxy's proxy-protocol.txt), before the handler runs: within ten
	 *  seconds, and 107 bytes of version 1, 4,096 of version 2. cede_stream_peer() and
	 *  cede_stream_local() then say what the header states. Only where nobody but the proxies
	 *  can connect: everybody else could say what he likes. */
	enum cede_proxy_protocol proxy_protocol;
	/** A server's configuration (<cede/tls.h>): each connection is encrypted before its handler
	 *  runs, in its own task and within ten seconds, so that slow clients hold up nobody. The
	 *  caller keeps its reference until cede_serve() has returned. NULL: plain text. */
	cede_tls_t *tls;
	/** Is this connection to be served? 0: it is reset, and no handler sees it. Asked when
	 *  cede_stream_peer() is known. It must not suspend, read, write or close. May be NULL. */
	int (*accept_if)(cede_stream_t *stream, void *data);
	/** Called once, when the signals are listened to and connections are taken. May be NULL. */
	void (*on_ready)(cede_listener_t *listener, void *data);
	/** Called for a connection whose handler ended with an error (not: was cut), after it has
	 *  ended: outside its task, it must not suspend. CEDE_EPROTO: it had no PROXY header;
	 *  CEDE_ETIMEDOUT: or not in time. The codes of cede_tls_accept(): there was no handshake,
	 *  and no handler. May be NULL. */
	void (*on_error)(cede_stream_t *stream, int code, void *data);
	/** Called for each connection that is left when drain_ms have passed, before they are
	 *  cut. It must not suspend. May be NULL. */
	void (*on_leftover)(const cede_leftover_t *leftover, void *data);
	/** For those four, and for handlers by cede_serve_data(). */
	void *data;
} cede_serve_options_t;

/** No limit, where 0 means the default. */
#define CEDE_UNLIMITED UINT64_MAX

/**
 * Accepts connections and runs handler(stream) as a task for each; the stream is
 * closed when the handler returns, reset when it was cut.
 *
 * Ends when one of the signals comes, when `stop` is set or when the calling task is
 * cancelled: then it stops listening (the listener is closed in every case), lets
 * connections in flight finish within drain_ms, and cuts the rest. A cancel does not
 * drain.
 *
 * A handler's task that leaves the server by cede_task_detach() is neither waited for nor
 * cut; its stream is closed when it ends, and until then it counts for the limits.
 *
 * @param handler  its argument is the cede_stream_t
 * @return 0: stopped by a signal or the event; CEDE_ECANCELED: somebody has closed the
 *   listener, nothing was drained; CEDE_EXIT, CEDE_ETIMEDOUT; CEDE_EBUSY: another task
 *   accepts; CEDE_EINVAL, CEDE_ENOTASK, CEDE_ENOMEM
 *
 * Suspends.
 */
CEDE_API CEDE_SUSPENDS int cede_serve(cede_listener_t *listener, cede_fn *handler,
	const cede_serve_options_t *options);

/** The data of the server that took this connection: what its handlers share. NULL for other streams. */
CEDE_API void *cede_serve_data(const cede_stream_t *stream);

/**
 * Is the server that took this connection about to end? A handler that is between
 * two requests can then finish, instead of being cut when drain_ms have passed.
 */
CEDE_API int cede_serve_is_draining(const cede_stream_t *stream);

/**
 * The name of the end that has really connected: with proxy_protocol the proxy's, while
 * cede_stream_peer() says whom it speaks for. Otherwise the same as that.
 */
CEDE_API int cede_serve_direct_peer(const cede_stream_t *stream, char *buffer, size_t size);

CEDE__END

#endif
