/*
 * A UDP socket, for net/udp*.c: a uv_poll_t, and recvmsg() and sendmsg() of our own.
 *
 * Receiving and sending try first and wait for the poll when there is nothing, or no
 * room. The caller's memory is touched only inside those two calls: so whoever
 * waits can be given up at any moment, and nothing that was not taken is lost.
 *
 *   receiving   waits while `receiver` is set: the poll watches for UV_READABLE
 *   sending     waits while `sender` is set: for UV_WRITABLE, or, where the system
 *               is short of memory, which no poll tells the end of, for `pause`
 *
 * libuv stops a poll that finds an error, which for a socket is the answer to
 * something sent earlier (ICMP). The next recvmsg() or sendmsg() returns it, and takes it
 * off the socket: whoever waits asks, and the poll is started again.
 *
 * Invariants
 * - `receiver` and `sender` are pending futures in some task's memory, or NULL; after
 *   the close both are NULL.
 * - While `receiver` is set, UV_READABLE is in `events`. While `sender` is set,
 *   UV_WRITABLE is in `events` or `pause` runs.
 * - UV_READABLE stays in `events` until something comes that nobody waits for;
 *   UV_WRITABLE, which would be reported again and again, goes with the sender.
 * - `may_have_data` is 0 after a call that found nothing, and while libuv has not
 *   reported more: it decides who comes first, recvmsg() or waiting. There is no short read
 *   here by which a call would know that it has taken the last one: so it is learned
 *   whether datagrams come alone. Where they do, waiting comes first right after one, which saves
 *   a call that would find nothing; now and then it is asked again.
 * - A receive waits all the same after so many that did not: libuv reports in its next
 *   turn what is still there, and whoever else has something gets to it.
 */
#ifndef CEDE_NET_UDP_INT_H
#define CEDE_NET_UDP_INT_H

#include <sys/socket.h>

#include <uv.h>

#include <cede/udp.h>

#include "loop/loop_int.h"

/* Datagrams of one socket, before libuv or the other tasks get their turn. */
#define CEDE__UDP_IN_A_ROW 64

/* Datagrams of one system call: what is told of each takes 80 bytes of the caller's stack. */
#define CEDE__UDP_BATCH 32

struct cede_udp {
	uv_poll_t uv;
	cede_loop_t *loop;
	int fd;
	sa_family_t family;
	uint8_t events; /* that the poll watches for; 0: it is stopped */
	uint8_t may_have_data;
	uint8_t came_alone; /* reports in a row of a single datagram, up to a limit */
	uint8_t not_asked;  /* reports since it was asked last whether they still come alone */
	uint8_t is_closed;
	uint8_t has_no_batches;       /* the system knows nothing of them */
	int late_error;               /* came behind datagrams of a batch: the next receive's */
	unsigned received_in_a_row;   /* since libuv reported last */
	unsigned sent_in_a_row;       /* without waiting, since the sender gave way last */
	cede_udp_receive_t *receiver; /* only while one waits */
	cede_udp_send_t *sender;      /* only while one waits */
	uint64_t pause_ms;            /* 0: no shortage */
	struct cede__timer pause;
	struct cede__resource resource;
};

/** Has the poll watch for these. 0, or libuv's code, and it watches as before. */
int cede__udp_watch(cede_udp_t *udp, int events);

/* udp_receive.c: for whoever waits, now that there may be something. */
void cede__udp_serve_receiver(cede_udp_t *udp);

/* udp_send.c: for whoever waits, now that there may be room. */
void cede__udp_serve_sender(cede_udp_t *udp);

/* udp_send.c: the shortage may be over. */
void cede__udp_pause_ends(struct cede__timer *timer);

/*
 * udp_io.c: one. 0, or the error, CEDE_EAGAIN for one; of a receive nothing is written then
 * but the buffer.
 */
int cede__udp_receive_one(cede_udp_t *udp, void *buffer, size_t size, size_t *ret_size,
	cede_udp_info_t *ret_info);
int cede__udp_send_one(const cede_udp_t *udp, const void *data, size_t size,
	const cede_address_t *to);

/*
 * udp_io.c: up to CEDE__UDP_BATCH, by one system call or by one each. How many, at
 * least 1; or the error of the first.
 */
int cede__udp_receive_batch(cede_udp_t *udp, cede_datagram_t *datagrams, unsigned count);

/* udp_io.c: up to CEDE__UDP_BATCH. 0, or an error; and adds to *sent those that went. */
int cede__udp_send_batch(cede_udp_t *udp, const cede_datagram_t *datagrams, unsigned count,
	unsigned *sent);

#endif
