/**
 * TCP: listening, accepting, connecting.
 *
 * Addresses are texts: "127.0.0.1:7000", "[::1]:7000", "[fe80::1%eth0]:7000" of the link
 * behind an interface, and ":7000" for every address of this host. Port 0 lets the system
 * choose. To connect to, a name will do, "example.org:https".
 */
#ifndef CEDE_TCP_H
#define CEDE_TCP_H

#include <cede/base.h>
#include <cede/dns.h>
#include <cede/future.h>
#include <cede/stream.h>

CEDE__BEGIN

/** A listening socket. The library's memory; ends with cede_listener_close(). */
typedef struct cede_listener cede_listener_t;

/** How to listen. All zero is the default. */
typedef struct cede_listen_options {
	int backlog;    /**< connections that wait for an accept; 0: 511 */
	int share_port; /**< let other sockets of this user listen on it too (SO_REUSEPORT) */
	int delay;      /**< leave Nagle's algorithm on: TCP_NODELAY is set otherwise */
	int only_v6;    /**< of ":7000" and "[::]:7000": not IPv4 as well */
} cede_listen_options_t;

/**
 * Listens on an address. ":7000" and "[::]:7000" are dual stack whatever the system's
 * default is: IPv4 connections come too, and their peers are "[::ffff:127.0.0.1]:…".
 * On a host without IPv6 ":7000" is "0.0.0.0:7000".
 *
 * @param options       NULL for the defaults; not kept
 * @param ret_listener  the caller's
 * @return 0; CEDE_EINVAL: not an address, or only_v6 for one of IPv4;
 *   CEDE_EADDRINUSE, CEDE_EADDRNOTAVAIL, CEDE_EMFILE, … of the system; CEDE_ENOMEM; CEDE_ENOTASK
 *
 * In a task; never suspends.
 */
CEDE_API int cede_tcp_listen(const char *address, const cede_listen_options_t *options,
	cede_listener_t **ret_listener);

/**
 * Listens on a name: "localhost:7000", "example.org:https", ":http". Of its addresses the
 * first that can be listened on is taken, in the order in which the resolver says them;
 * cede_listener_address() tells which. To listen on all of them look them up
 * (<cede/dns.h>) and listen on each. An address is taken as by cede_tcp_listen(), without
 * asking anybody.
 *
 * @return as cede_tcp_listen(), of the first address if none can be listened on;
 *   CEDE_EAI_NONAME, … as cede_dns_lookup(); CEDE_EXIT, CEDE_ETIMEDOUT
 *
 * Suspends, unless it is an address. A cancel abandons the lookup; nothing is left open.
 */
CEDE_API CEDE_SUSPENDS int cede_tcp_listen_name(const char *name,
	const cede_listen_options_t *options, cede_listener_t **ret_listener);

/** Stops listening. An accept under way returns CEDE_ECANCELED. NULL is allowed. Never suspends. */
CEDE_API void cede_listener_close(cede_listener_t *listener);

/** Writes the address listened on, with the port the system chose. As cede_stream_peer(). */
CEDE_API int cede_listener_address(const cede_listener_t *listener, char *buffer, size_t size);

/** An accept that was started. On the caller's stack. */
typedef struct cede_accept_op {
	cede_future_t future;  /**< result: 0 */
	cede_stream_t *stream; /**< when the result is 0: the caller's */

	/* private */
	cede_listener_t *listener;
} cede_accept_t;

/**
 * Waits for a connection.
 *
 * A shortage of descriptors or memory is waited out: nothing that arrived is
 * dropped, and nothing spins. Connections that were gone before they were
 * accepted are passed over.
 *
 * @return 0; CEDE_EBUSY: another task accepts; CEDE_ECANCELED: the listener was
 *   closed; CEDE_EXIT, CEDE_ETIMEDOUT, CEDE_ENOTASK
 *
 * Suspends. A cancel loses no connection: it stays in the backlog.
 */
CEDE_API CEDE_SUSPENDS int cede_accept(cede_listener_t *listener, cede_stream_t **ret_stream);

/** Starts an accept. 0, CEDE_EBUSY, CEDE_ENOTASK. A result nobody takes must be closed. */
CEDE_API int cede_accept_start(cede_listener_t *listener, cede_accept_t *op);

/** How to connect. All zero, or NULL for the whole, is the default. */
typedef struct cede_connect_options {
	const char
		*local; /**< the address to connect from, "192.0.2.7:0"; NULL: the system chooses */
	uint64_t timeout_ms;       /**< for all of it, the lookup too; 0: 30,000 */
	uint64_t attempt_delay_ms; /**< before the next address is tried; 10 or more; 0: 250 */
	cede_dns_family_t family;  /**< of the addresses that are tried */
	int delay;                 /**< leave Nagle's algorithm on: TCP_NODELAY is set otherwise */
} cede_connect_options_t;

/** A connect that was started. On the caller's stack. */
typedef struct cede_connect {
	cede_future_t future;  /**< result: 0 */
	cede_stream_t *stream; /**< when the result is 0: the caller's */

	/* private */
	struct cede__connector *connector;
} cede_connect_t;

/**
 * Connects to a host, by its name or its address. TCP_NODELAY is set.
 *
 * A name is looked up (<cede/dns.h>). Its addresses are tried in the order of the
 * system, the two families by turns, each a quarter of a second after the one before,
 * or as soon as one fails. The first that answers is taken, and all others are given up
 * (happy eyeballs, RFC 8305; the resolver gives both families at once, so that there is
 * no Resolution Delay of its own).
 *
 * @param address  "example.org:443", "example.org:https", "127.0.0.1:80", "[::1]:80"; not kept
 * @return 0; or
 *   CEDE_EINVAL        no address and no name, or no port
 *   CEDE_ETIMEDOUT     30 seconds have passed, or ten with the lookup alone; a timeout
 *                      scope; or of the system
 *   CEDE_EAI_NONAME, … the name was not found: as cede_dns_lookup()
 *   CEDE_ECONNREFUSED, … of the system, when all have failed: what says most, the last of those
 *   CEDE_EXIT, CEDE_ENOTASK, CEDE_ENOMEM
 *
 * Suspends. A cancel abandons the attempts; nothing is left open.
 */
CEDE_API CEDE_SUSPENDS int cede_tcp_connect(const char *address, cede_stream_t **ret_stream);

/**
 * The same with options, NULL for the defaults; they are not kept.
 *
 * @return as cede_tcp_connect(); also
 *   CEDE_EINVAL          options.local is no numeric address, or not of options.family; a
 *                        delay below 10 ms
 *   CEDE_EAI_ADDRFAMILY  the address is not of the family that is asked for, or options.local's
 *   CEDE_EADDRINUSE, CEDE_EADDRNOTAVAIL  options.local
 */
CEDE_API CEDE_SUSPENDS int cede_tcp_connect_with(const char *address,
	const cede_connect_options_t *options, cede_stream_t **ret_stream);

/** Starts a connect, by name too. 0 or a code, as above, of what fails at once. A result nobody takes must be closed. */
CEDE_API int cede_tcp_connect_start(const char *address, cede_connect_t *op);

/** Starts cede_tcp_connect_with(). */
CEDE_API int cede_tcp_connect_with_start(const char *address, const cede_connect_options_t *options,
	cede_connect_t *op);

/* ---- options of a connection ---- */

/*
 * Each returns 0, CEDE_ENOTSUP: it is no TCP connection; CEDE_EBADF: it was closed by a write
 * that was given up; CEDE_EINVAL; or the system's. Of a stream that is encrypted they are
 * the connection's below. In the loop's thread; none suspends.
 */

/** Sends small writes at once (TCP_NODELAY), which connections of this library do, or lets them be gathered. */
CEDE_API int cede_tcp_set_nodelay(cede_stream_t *stream, int is_on);

/**
 * Has the system ask a peer that says nothing whether it is still there (SO_KEEPALIVE). If
 * it is not, reads and writes return CEDE_ETIMEDOUT, by the system.
 *
 * @param idle_s      asks first after so many seconds, 1 to 32,767; 0: never, and the others
 *                    are not looked at
 * @param interval_s  then once in so many seconds, 1 to 32,767
 * @param count       so often before it gives up, 1 to 127
 */
CEDE_API int cede_tcp_set_keepalive(cede_stream_t *stream, int idle_s, int interval_s, int count);

/**
 * Bounds how long what was sent may go unacknowledged (TCP_USER_TIMEOUT, RFC 5482), which
 * otherwise takes the system a quarter of an hour. Then reads and writes return CEDE_ETIMEDOUT.
 *
 * @param ms  0: as long as the system says
 */
CEDE_API int cede_tcp_set_user_timeout(cede_stream_t *stream, uint32_t ms);

/**
 * Sizes of the system's buffers (SO_RCVBUF, SO_SNDBUF), for any socket. Linux takes twice as much,
 * for its own books, and no more than its administrator allows.
 *
 * @param receive_bytes, send_bytes  1 to INT_MAX; 0: as it is
 * @return as above; CEDE_ENOTSUP: it is no socket
 */
CEDE_API int cede_stream_set_buffers(cede_stream_t *stream, size_t receive_bytes,
	size_t send_bytes);

CEDE__END

#endif
