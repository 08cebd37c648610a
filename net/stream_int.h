/*
 * The stream, for net/ itself.
 *
 * libuv says when, the library itself reads: reading is armed with a callback
 * that offers no buffer, so libuv calls back with UV_ENOBUFS, as documented, the
 * moment there is something to read, and the stream calls recv() into whatever
 * waits. Reading stays armed from one read to the next; it is stopped only when
 * data comes that nobody waits for.
 *
 * A write sends first. What the system does not take is handed to libuv, and the
 * writer waits. Giving that up closes libuv's handle, which is the only way to
 * make libuv let go of the caller's memory at once.
 *
 * Three kinds: TCP and pipes (unix sockets, the ends of pipe(2)), whose libuv
 * handle lies in the stream, and a handle of the host's that was adopted. What
 * differs between them is asked once, when the descriptor comes: is it a socket
 * (send and recv, shutdown, a reset) or not (write and read); which directions it
 * has; may it be asked for data before libuv has reported any.
 *
 * Life: `refs` counts the owner (until cede_close), libuv (until its close
 * callback) and whoever serves the stream. The memory goes with the last.
 *
 * Invariants
 * - `reader`, `writer`, `connecting` are pending futures in some task's memory,
 *   or NULL; after the handle was closed all are NULL.
 * - `may_have_data` is 0 only after a recv() that drained the socket and while
 *   libuv has not reported more: it decides who comes first, recv() or waiting.
 * - A read waits all the same after so many that did not: libuv reports what is
 *   still there in its next turn, and whoever else has something gets to it.
 */
#ifndef CEDE_NET_STREAM_INT_H
#define CEDE_NET_STREAM_INT_H

#include <uv.h>

#include <cede/stream.h>
#include <cede/tcp.h>

#include "loop/loop_int.h"

/* Reads of one stream, before libuv gets its turn. */
#define CEDE__READS_IN_A_ROW 64

/* Writes of one stream, before the other tasks get theirs. */
#define CEDE__WRITES_IN_A_ROW 64

struct cede_stream {
	uv_stream_t *handle; /* `own`, or the host's; NULL when libuv has let go of it */
	cede_loop_t *loop;
	int failure; /* the error that reading ended with; stays */
	int fd;      /* libuv's; -1 before connecting and after closing */
	uint32_t refs;
	uint8_t may_have_data;
	uint8_t is_socket;   /* send() and recv(); else write() and read() */
	uint8_t is_blocking; /* the host's, of a blocking descriptor: read only what libuv reports */
	uint8_t is_armed;    /* libuv reports readability */
	uint8_t is_at_end;   /* the peer's end of file was read */
	uint8_t is_shut;     /* our end of file was sent */
	uint8_t is_broken;   /* a write was given up half-way */
	uint8_t is_sending;  /* cede_sendfile() writes: nobody else may */
	uint8_t is_idle_out;     /* the idle limit has passed */
	uint8_t is_closed;       /* libuv's handle is closed or closing */
	uint8_t is_released;     /* cede_close() was called */
	uint8_t writes_in_a_row; /* that did not wait either, since the writer gave way last */
	uint8_t in_a_row;        /* reads that did not wait, since libuv reported last */
	uint8_t lends_large;     /* the next buffer lent is a large one */

	struct cede__buffer *lent; /* by cede_read_lend(), until it is given back */

	/* Only while somebody waits. */
	cede_read_t *reader;
	cede_write_t *writer;
	cede_connect_t *connecting;
	union {
		uv_write_t write;
		uv_connect_t connect;
	} request; /* libuv's as long as `writer` or `connecting` is set, or until it has closed */

	/* The idle limit: looked at when the timer fires, not at every byte. */
	uint64_t idle_ms;   /* 0: none */
	uint64_t active_ms; /* when a byte moved last, or the present wait began */
	size_t unsent;      /* libuv's write queue when it was looked at last */
	struct cede__timer idle;

	struct cede__resource resource;
	void *server;          /* serve.c's */
	cede_stream_t **place; /* whose owner closes it, if nobody has: cleared by the close */

	/* Of an adopted handle: the host's. */
	uint8_t is_adopted;
	void *host_data;
	uv_close_cb host_closed;

	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} own; /* libuv's handle, unless it was adopted */
};

/** A stream without a handle, which is of no use yet. NULL: no memory. */
cede_stream_t *cede__stream_alloc(cede_loop_t *loop);

/** Gives it its handle: counts it, and lets the stream be found by a detach. */
void cede__stream_attach(cede_stream_t *stream, uv_stream_t *handle);

/**
 * A stream without a descriptor, with the owner's reference.
 *
 * @param type  UV_TCP, or UV_NAMED_PIPE for a unix socket or an end of a pipe
 * @return 0, CEDE_ENOMEM, libuv's codes
 */
int cede__stream_create(cede_loop_t *loop, uv_handle_type type, cede_stream_t **ret_stream);

/**
 * Gives it a descriptor of its type, connected and non-blocking, which is the
 * stream's from here on, also on failure.
 */
int cede__stream_open(cede_stream_t *stream, int fd);

/** Notes the descriptor of a handle that is no TCP handle of ours, and what it can do. 0, CEDE_EBADF. */
int cede__stream_take_fd(cede_stream_t *stream, int fd);

cede_stream_t *cede__stream_ref(cede_stream_t *stream);
void cede__stream_unref(cede_stream_t *stream);

/** Closes the handle and cancels what waits; the owner keeps its reference. */
void cede__stream_close_handle(cede_stream_t *stream, int reset);

/** Ends the read that waits: its future is resolved. */
void cede__stream_end_read(cede_stream_t *stream, int result);

/** Is a write possible at all? 0: try. */
int cede__stream_check_write(const cede_stream_t *stream, size_t size);

/** Ends the write that waits, with so many bytes not sent. */
void cede__stream_end_write(cede_stream_t *stream, int result, size_t unsent);

/** Gives up the write that waits: libuv lets go of its memory, and the stream is of no more use. */
void cede__stream_break_write(cede_stream_t *stream, int result);

/** A wait begins: the idle limit runs from here. 0, CEDE_ENOMEM. */
int cede__stream_watch_idle(cede_stream_t *stream);

/** The idle limit's timer. */
void cede__stream_idle_fires(struct cede__timer *timer);

#endif
