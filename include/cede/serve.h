/**
 * Serving: one task a connection, limits, and an orderly end.
 */
#ifndef CEDE_SERVE_H
#define CEDE_SERVE_H

#include <cede/base.h>
#include <cede/tcp.h>

CEDE__BEGIN

/** How to serve. All zero is the default. */
typedef struct cede_serve_options {
	/** cede_stream_set_idle() of every connection; 0: 60,000. CEDE_UNLIMITED: none. */
	uint64_t idle_ms;
	/** At this many the server stops accepting until one ends; 0: 10,000, or as many as the
	 *  limit of descriptors allows less 64. */
	unsigned max_connections;
	/** Signals that end the serving, then 0; NULL: none. Not copied. */
	const int *stop_on;
	/** How long connections may go on after that before they are cut; 0: 5,000. */
	uint64_t drain_ms;
	/** Given to the handler's task; 0: 64 KiB. */
	size_t stack_size;
	/** Called once, when the signals are listened to and connections are taken. May be NULL. */
	void (*on_ready)(cede_listener_t *listener, void *data);
	/** Called for a connection whose handler ended with an error (not: was cut), after it has
	 *  ended: outside its task, it must not suspend. May be NULL. */
	void (*on_error)(cede_stream_t *stream, int code, void *data);
	/** For those two, and for handlers by cede_serve_data(). */
	void *data;
} cede_serve_options_t;

/** No limit, where 0 means the default. */
#define CEDE_UNLIMITED UINT64_MAX

/**
 * Accepts connections and runs handler(stream) as a task for each; the stream is
 * closed when the handler returns, reset when it was cut.
 *
 * Ends when one of the signals comes or when the calling task is cancelled: then
 * it stops listening (the listener is closed in every case), lets connections
 * in flight finish within drain_ms, and cuts the rest. A cancel does not drain.
 *
 * @param handler  its argument is the cede_stream_t
 * @return 0: stopped by a signal; CEDE_EXIT, CEDE_ETIMEDOUT; CEDE_EINVAL,
 *   CEDE_ENOTASK, CEDE_ENOMEM
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

CEDE__END

#endif
