/**
 * UDP: datagrams, one at a time or many with one system call.
 *
 * A receive waits, then takes one datagram into the caller's buffer: one of no
 * bytes is a datagram like any other. What does not fit is cut off, and said.
 * A send goes at once; where the system has no room it waits, so nothing is queued:
 * whoever sends faster than the network takes is held back. At most one task receives
 * and one sends at a time.
 *
 *     cede_udp_info_t info;
 *     ssize_t n;
 *
 *     while ((n = cede_udp_receive(u, buf, sizeof buf, &info)) >= 0)
 *             if ((n = cede_udp_send(u, buf, (size_t)n, &info.peer)) < 0)
 *                     break;
 *
 * An error that comes back from the network (ICMP: "nobody listens there") is told
 * once, to a socket that has a peer: whichever call comes next returns it, and the
 * socket is as good as before. No error here ends a socket.
 *
 * Threads: all calls in the loop's thread, those that suspend in a task of it.
 */
#ifndef CEDE_UDP_H
#define CEDE_UDP_H

#include <cede/address.h>
#include <cede/base.h>
#include <cede/future.h>

CEDE__BEGIN

/** A UDP socket. The library's memory; ends with cede_udp_close(). */
typedef struct cede_udp cede_udp_t;

/** How to open one. All zero is the default. */
typedef struct cede_udp_options {
	int share_port; /**< let other sockets of this user have the port too, each datagram going
	                    *   to one of them (SO_REUSEPORT) */
	int reuse_address; /**< the same, and all of them get what is sent to a group (SO_REUSEADDR) */
	int broadcast;     /**< let it send to broadcast addresses */
	int ipv6_only;     /**< ":7000" and "[::]:7000": without IPv4 */
} cede_udp_options_t;

/** In cede_udp_info_t and cede_datagram_t. */
enum {
	CEDE_UDP_TRUNCATED = 1, /**< it was larger than the buffer: the rest is lost */
};

/** What is known of a datagram beside its bytes. */
typedef struct cede_udp_info {
	cede_address_t peer; /**< who has sent it */
	size_t full_size; /**< its own size, also when it was cut off. Where the system does not say:
	                   *   more than there was room for */
	unsigned flags;   /**< CEDE_UDP_… */
} cede_udp_info_t;

/**
 * One of many. What cede_udp_receive_many() has filled in cede_udp_send_many() can
 * send as it is, back to where it came from.
 */
typedef struct cede_datagram {
	void *data;          /**< the caller's memory; never written to by a send */
	size_t capacity;     /**< receiving: room in it */
	size_t size;         /**< bytes; set by a receive */
	cede_address_t peer; /**< who has sent it, or is to get it; all zero: the socket's peer */
	size_t full_size;    /**< set by a receive, as in cede_udp_info_t */
	unsigned flags;      /**< set by a receive: CEDE_UDP_… */
} cede_datagram_t;

/** A receive that was started. On the caller's stack. */
typedef struct cede_udp_receive_op {
	cede_future_t future; /**< result: as cede_udp_receive() or cede_udp_receive_many() */
	cede_udp_info_t info; /**< of one datagram, when the result is not negative */

	/* private */
	cede_udp_t *udp;
	void *buffer;
	size_t size;
	cede_datagram_t *datagrams; /* NULL: one, into the buffer */
	unsigned count;
} cede_udp_receive_t;

/** A send that was started. On the caller's stack. */
typedef struct cede_udp_send_op {
	cede_future_t future; /**< result: 0 when all of it was sent */
	unsigned sent;        /**< datagrams handed to the system, whatever the result */

	/* private */
	cede_udp_t *udp;
	const cede_datagram_t *datagrams;
	unsigned count;
	cede_datagram_t one; /* that, of cede_udp_send_start() */
} cede_udp_send_t;

/* ---- sockets ---- */

/**
 * Opens a socket that receives at an address: "127.0.0.1:7000", "[::1]:7000", and
 * ":7000" for every address of this host, by IPv4 and IPv6. Port 0 lets the system choose:
 * "127.0.0.1:0", ":0".
 *
 * @param options  NULL for the defaults; not kept
 * @param ret_udp  the caller's
 * @return 0; CEDE_EINVAL: not an address; CEDE_EADDRINUSE, CEDE_EADDRNOTAVAIL,
 *   CEDE_EACCES, CEDE_EMFILE, … of the system; CEDE_ENOMEM; CEDE_ENOTASK
 *
 * In a task; never suspends.
 */
CEDE_API int cede_udp_bind(const char *address, const cede_udp_options_t *options,
	cede_udp_t **ret_udp);

/**
 * Opens a socket, at a port of the system's choice, that has a peer: it receives
 * only what that one sends, it is told when nobody is there, and its sends need no
 * address. Nothing is sent by this.
 *
 * @return as cede_udp_bind(); CEDE_ENETUNREACH, CEDE_EHOSTUNREACH
 *
 * In a task; never suspends.
 */
CEDE_API int cede_udp_connect(const char *peer, const cede_udp_options_t *options,
	cede_udp_t **ret_udp);

/**
 * Gives a socket a peer, or another one. What came from others before is still received.
 *
 * @return 0; CEDE_EINVAL: no address, or not one for this socket; CEDE_ENETUNREACH, …
 *
 * Never suspends.
 */
CEDE_API int cede_udp_set_peer(cede_udp_t *udp, const cede_address_t *peer);

/**
 * Closes the socket; its port is free at once. A receive or a send that waits
 * returns CEDE_ECANCELED. What was received and not taken is dropped. NULL is allowed.
 *
 * Never suspends.
 */
CEDE_API void cede_udp_close(cede_udp_t *udp);

/** The address it receives at, with the port that the system chose. 0, or the system's code. */
CEDE_API int cede_udp_local(const cede_udp_t *udp, cede_address_t *ret_address);

/** Its peer. 0; CEDE_ENOTCONN: it has none. */
CEDE_API int cede_udp_peer(const cede_udp_t *udp, cede_address_t *ret_address);

/* ---- receiving ---- */

/**
 * Receives one datagram.
 *
 * @param buffer    may be NULL if @size is 0: the datagram is dropped, its size is told
 * @param size      0 to INT_MAX. 65,535 is enough for every datagram
 * @param ret_info  who sent it, was it cut off; may be NULL
 * @return the bytes in @buffer, 0 for an empty datagram; or
 *   CEDE_ECONNREFUSED, CEDE_EHOSTUNREACH, …  of a socket with a peer: something sent
 *                    earlier did not arrive. Try again
 *   CEDE_EBUSY       another task is receiving
 *   CEDE_ECANCELED   the socket was closed meanwhile
 *   CEDE_EXIT, CEDE_ETIMEDOUT, CEDE_ENOTASK, CEDE_EINVAL, CEDE_ENOMEM (the system's)
 *
 * Suspends when there is nothing yet, and lets others have their turn after so many that
 * did not. A cancel loses no datagram: what was not taken the next call takes.
 */
CEDE_API CEDE_SUSPENDS ssize_t cede_udp_receive(cede_udp_t *udp, void *buffer, size_t size,
	cede_udp_info_t *ret_info);

/** Starts a receive. The buffer is used until the future is done. 0, CEDE_EBUSY, CEDE_EINVAL, CEDE_ENOTASK. */
CEDE_API int cede_udp_receive_start(cede_udp_t *udp, void *buffer, size_t size,
	cede_udp_receive_t *op);

/** cede_udp_receive() that never suspends: CEDE_EAGAIN if there is nothing. In or out of a task. */
CEDE_API ssize_t cede_udp_try_receive(cede_udp_t *udp, void *buffer, size_t size,
	cede_udp_info_t *ret_info);

/**
 * Receives what there is, up to @count datagrams, with as few system calls as the system
 * can do it with: recvmmsg() on Linux.
 *
 * @param datagrams  of each, `data` and `capacity` are the caller's; the rest is filled
 *                   in for the first so many
 * @param count      at least 1. More than 32 do not come at a time
 * @return how many, at least 1; or as cede_udp_receive()
 *
 * Suspends, cancels: as cede_udp_receive().
 */
CEDE_API CEDE_SUSPENDS int cede_udp_receive_many(cede_udp_t *udp, cede_datagram_t *datagrams,
	unsigned count);

/** Starts that. The array and its buffers are used until the future is done. As cede_udp_receive_start(). */
CEDE_API int cede_udp_receive_many_start(cede_udp_t *udp, cede_datagram_t *datagrams,
	unsigned count, cede_udp_receive_t *op);

/* ---- sending ---- */

/**
 * Sends one datagram.
 *
 * @param size  0 to 65,507 (IPv6: 65,527); 0 sends an empty one
 * @param to    NULL: the socket's peer. To another than its peer a socket sends on Linux,
 *              elsewhere it may refuse
 * @return @size: the system has it, which says nothing of its arrival; or
 *   CEDE_EMSGSIZE       too large, for UDP or for this network
 *   CEDE_EDESTADDRREQ   no address, and no peer
 *   CEDE_ECONNREFUSED, CEDE_EHOSTUNREACH, …  of a socket with a peer: something sent
 *                       earlier did not arrive; this one was not sent. Try again
 *   CEDE_ENETUNREACH, CEDE_EACCES (a broadcast, without the option), CEDE_EPERM, …
 *   CEDE_EBUSY          another task waits for room to send: give it a task of its own, or
 *                       hold a mutex
 *   CEDE_ECANCELED      the socket was closed meanwhile; it was not sent
 *   CEDE_EXIT, CEDE_ETIMEDOUT, CEDE_ENOTASK; it was not sent
 *
 * Suspends when the system's buffer is full, or it is short of memory, which is asked
 * again after 1 ms, 2 ms, up to 100 ms. A datagram is sent as a whole or not at all,
 * also when it is cancelled.
 */
CEDE_API CEDE_SUSPENDS ssize_t cede_udp_send(cede_udp_t *udp, const void *data, size_t size,
	const cede_address_t *to);

/** Starts a send. The data is used until the future is done, @to is not kept. 0, CEDE_EBUSY, CEDE_ENOTASK. */
CEDE_API int cede_udp_send_start(cede_udp_t *udp, const void *data, size_t size,
	const cede_address_t *to, cede_udp_send_t *op);

/** cede_udp_send() that never suspends: CEDE_EAGAIN if there is no room. In or out of a task. */
CEDE_API ssize_t cede_udp_try_send(cede_udp_t *udp, const void *data, size_t size,
	const cede_address_t *to);

/**
 * Sends many datagrams, in their order, with as few system calls as the system can do
 * it with: sendmmsg() on Linux. Of each, `data`, `size` and `peer` count.
 *
 * @param count     0 and more; others have their turn after each 64
 * @param ret_sent  how many were sent, whatever the result; may be NULL
 * @return 0: all; or as cede_udp_send(), of the datagram behind those that were sent: go on
 *   from there, or without it. CEDE_EINVAL: no @datagrams
 *
 * Suspends as cede_udp_send(). A cancel leaves those that were sent sent.
 */
CEDE_API CEDE_SUSPENDS int cede_udp_send_many(cede_udp_t *udp, const cede_datagram_t *datagrams,
	unsigned count, unsigned *ret_sent);

/** Starts that. The array and its data are used until the future is done. As cede_udp_send_start(). */
CEDE_API int cede_udp_send_many_start(cede_udp_t *udp, const cede_datagram_t *datagrams,
	unsigned count, cede_udp_send_t *op);

/* ---- groups (multicast) ---- */

/*
 * A group is a text without a port: "239.1.2.3", "ff15::1". An interface is its name,
 * "eth0", or an address of its own, "127.0.0.1"; NULL: the system chooses. None of
 * these suspends.
 */

/**
 * Receives what is sent to a group, at the port of the socket, which is bound to it or
 * to every address (RFC 3678).
 *
 * @param source  only what this host sends, "192.0.2.1" (RFC 4607); NULL: everybody. May
 *                be called again for another source
 * @return 0; CEDE_EINVAL: not a group, or not of the socket's family; CEDE_ENODEV: no such
 *   interface, or none leads there; CEDE_EADDRINUSE: joined already; CEDE_ENOBUFS: the
 *   system's limit
 */
CEDE_API int cede_udp_join(cede_udp_t *udp, const char *group, const char *interface_name,
	const char *source);

/** Leaves what was joined with the same arguments. 0; CEDE_EADDRNOTAVAIL: it was not joined; as above. */
CEDE_API int cede_udp_leave(cede_udp_t *udp, const char *group, const char *interface_name,
	const char *source);

/** The interface by which it sends to groups. 0; CEDE_ENODEV. */
CEDE_API int cede_udp_set_multicast_interface(cede_udp_t *udp, const char *interface_name);

/** Do sockets of this host receive what it sends to groups? They do unless it is set to 0. 0, or a code. */
CEDE_API int cede_udp_set_multicast_loop(cede_udp_t *udp, int is_on);

/** How many routers pass on what it sends to groups: 0 to 255, 1 unless it is set. 0; CEDE_EINVAL. */
CEDE_API int cede_udp_set_multicast_ttl(cede_udp_t *udp, int hops);

/* ---- options ---- */

/** How many routers pass on what it sends to single hosts: 1 to 255. 0; CEDE_EINVAL. */
CEDE_API int cede_udp_set_ttl(cede_udp_t *udp, int hops);

/**
 * Asks for buffers of the system's of so many bytes; 0: as it is. The system has limits
 * and rounds: cede_udp_get_buffers() says what has come of it.
 *
 * @return 0; CEDE_EINVAL: more than INT_MAX
 */
CEDE_API int cede_udp_set_buffers(cede_udp_t *udp, size_t receive_bytes, size_t send_bytes);

/** The sizes of the system's buffers, in bytes as it counts them. 0, or a code. */
CEDE_API int cede_udp_get_buffers(const cede_udp_t *udp, size_t *ret_receive_bytes,
	size_t *ret_send_bytes);

CEDE__END

#endif
