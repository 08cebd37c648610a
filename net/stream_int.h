/*
 * The stream, for net/ itself: what is common to all of them, and what carries
 * the bytes.
 *
 * The common half knows who waits, the limits, what was read ahead, and when it is
 * somebody else's turn. It goes by readiness: it asks its transport for bytes, or to
 * take some, which never waits; and is told when it is worth while to ask again. So
 * one reader, one writer and one cancel serve every kind of stream.
 *
 * Transports: a socket, and any other descriptor (stream_fd.c), under a handle of
 * libuv's that lies in the stream or is the host's. A filter (TLS) is a transport
 * that keeps the one below it: the stream stays the same object. Memory
 * (stream_memory.c) has neither a descriptor nor a handle.
 *
 * Bytes read ahead stand in a buffer of the loop's, between `from` and `to`; what
 * stands before `from` may still be lent. A stream has one only while there is
 * something in it. What is left of a line while its rest is waited for is moved to a
 * small one, so that a peer that drips does not hold a large one.
 *
 * Giving a write up closes the transport, which is the only way to make libuv let
 * go of the caller's memory at once.
 *
 * Life: `refs` counts the owner (until cede_close), libuv (until its close
 * callback) and whoever serves the stream. The memory goes with the last.
 *
 * Invariants
 * - `reader`, `writer` are pending futures in some task's memory, or NULL; after the
 *   transport was closed both are NULL.
 * - `may_have_data` is 0 only while the transport will tell of more: it decides who
 *   comes first, receiving or waiting.
 * - A read waits all the same after so many that did not: libuv reports what is
 *   still there in its next turn, and whoever else has something gets to it.
 */
#ifndef CEDE_NET_STREAM_INT_H
#define CEDE_NET_STREAM_INT_H

#include <sys/uio.h>
#include <uv.h>

#include <cede/stream.h>
#include <cede/tcp.h>

#include "loop/loop_int.h"

/*
 * Reads of one stream that do not wait, before libuv gets its turn; and writes, before the
 * other tasks get theirs. A large one counts for several: it is the time that counts, and
 * what was read is worked on, what is written copied.
 */
#define CEDE__READS_IN_A_ROW      64
#define CEDE__WRITES_IN_A_ROW     64
#define CEDE__READ_WEIGHT(bytes)  (1 + (uint32_t)((size_t)(bytes) >> 12))
#define CEDE__WRITE_WEIGHT(bytes) (1 + (uint32_t)((size_t)(bytes) >> 14))

/** What carries a stream's bytes. None of it waits, or runs a task. */
struct cede__transport {
	/** >0: bytes; 0: end of file; CEDE_EAGAIN: none yet; or an error. Says in may_have_data whether
	 *  asking again at once is worth while. */
	int (*receive)(cede_stream_t *stream, void *buffer, size_t size);

	/** From now on calls cede__stream_readable() when there is something. 0 or a code. */
	int (*watch)(cede_stream_t *stream);

	/** How many bytes were taken, 0 if none go at present; or an error. What was taken and has not gone
	 *  yet, is_holding says: then wait_room() is called also if all was taken. */
	ssize_t (*send)(cede_stream_t *stream, const struct iovec *pieces, int count);

	/**
	 * After a send() that did not take all: takes none, or the first so many, into its
	 * care, and calls cede__stream_sent() once, when those have gone and send() may be
	 * tried again. The bytes are used until then, or until close(); the array is not.
	 *
	 * @return how many it took, or a code
	 */
	ssize_t (*wait_room)(cede_stream_t *stream, const struct iovec *pieces, int count);

	/** The end of what is written. 0 or a code. */
	int (*shutdown_write)(cede_stream_t *stream);

	/** Lets go at once of all memory that is not its own; calls nothing of the stream's any more. */
	void (*close)(cede_stream_t *stream, int is_reset);

	/** The stream's memory goes. NULL: there is nothing more to let go of. */
	void (*forget)(cede_stream_t *stream);

	/* A filter's: what the transport below it reports. NULL: it is for the stream itself. */

	/** 1: it is for the stream as well. */
	int (*below_readable)(cede_stream_t *stream);
	void (*below_sent)(cede_stream_t *stream, int status, size_t bytes);
};

extern const struct cede__transport cede__socket_transport; /* recv() and send() */
extern const struct cede__transport cede__file_transport;   /* read() and write() */

struct cede_stream {
	const struct cede__transport *transport;
	uv_stream_t *
		handle; /* `own`, or the host's; NULL where there is none, or libuv has let go of it */
	cede_loop_t *loop;
	int failure; /* the error that reading ended with; stays */
	int fd;      /* libuv's; -1 before connecting, after closing, and where there is none */
	uint32_t refs;
	uint8_t may_have_data;
	uint8_t is_blocking; /* the host's, of a blocking descriptor: read only what libuv reports */
	uint8_t is_armed;    /* libuv reports readability */
	uint8_t is_at_end;   /* the peer's end of file was read */
	uint8_t is_shut;     /* our end of file was sent */
	uint8_t is_broken;   /* a write was given up half-way */
	uint8_t is_sending;  /* cede_sendfile() writes: nobody else may */
	uint8_t is_holding;  /* the transport has taken bytes that have not gone yet */
	uint8_t is_looking;  /* a read of several steps is under way: nobody else may take bytes */
	uint8_t is_timed_out; /* one of the limits has passed */
	uint8_t is_closed;    /* the transport is closed */
	uint8_t is_released;  /* cede_close() was called */
	uint8_t is_in_memory; /* it has no names: stream_memory.c */
	uint32_t in_a_row; /* reads that did not wait, by weight, since there was a report last */
	uint32_t writes_in_a_row; /* that did not wait either, since the writer gave way last */

	/* What was read ahead. */
	uint8_t reads_large; /* the next buffer is a large one */
	uint32_t from, to;   /* not read yet */
	struct cede__buffer *buffer;

	/* Only while somebody waits. */
	cede_read_t *reader;
	cede_write_t *writer;
	size_t in_care; /* bytes of `writer` that the transport has taken into its care */
	size_t queued;  /* bytes of the request that libuv has */
	union {
		uv_write_t write;
		uv_connect_t connect;
	} request; /* libuv's as long as it writes or connects, or until it has closed */

	/* Limits: looked at when the timer fires, not at every byte. */
	uint64_t idle_ms;     /* 0: none */
	uint64_t deadline_ms; /* on the loop's clock; 0: none */
	uint64_t active_ms;   /* when a byte moved last, or the present wait began */
	size_t unsent;        /* libuv's write queue when it was looked at last */
	uint64_t due_ms;      /* when the timer fires, while it runs */
	struct cede__timer limits;

	struct cede__resource resource;
	void *server;                     /* serve.c's */
	const struct cede__names *stated; /* what a PROXY header has said; NULL: the system knows */
	cede_stream_t **place; /* whose owner closes it, if nobody has: cleared by the close */
	void *filter;          /* tls.c's */

	/* Of an adopted handle: the host's. */
	uint8_t is_adopted;
	void *host_data;
	uv_close_cb host_closed;

	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
		struct cede__memory_end *memory;
	} own; /* libuv's handle, unless it was adopted; or the end of a pair in memory */
};

/* ---- life: stream.c ---- */

/** A stream without a transport, which is of no use yet. NULL: no memory. */
cede_stream_t *cede__stream_alloc(cede_loop_t *loop);

/** It has its transport: a detach finds it from now on. */
void cede__stream_attach(cede_stream_t *stream, const struct cede__transport *transport);

cede_stream_t *cede__stream_ref(cede_stream_t *stream);
void cede__stream_unref(cede_stream_t *stream);

/** Closes the transport and cancels what waits; the owner keeps its reference. */
void cede__stream_close_transport(cede_stream_t *stream, int is_reset);

/* ---- descriptors: stream_fd.c ---- */

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

/** Gives it its handle: libuv's callbacks are the stream's, and the loop counts it. */
void cede__stream_take_handle(cede_stream_t *stream, uv_stream_t *handle);

/** Notes the descriptor of a handle that is no TCP handle of ours, and what it can do. 0, or a code. */
int cede__stream_take_fd(cede_stream_t *stream, int fd);

/** Is somebody in it: also a task whose wait is over, and which has yet to run? */
static inline int
cede__stream_is_in_use(const cede_stream_t *stream)
{
	return stream->reader || stream->writer || stream->is_sending ||
		stream->refs > 1 + (uint32_t)(stream->server != NULL);
}

/** Is the descriptor the only thing that carries its bytes? */
static inline int
cede__stream_is_bare(const cede_stream_t *stream)
{
	return stream->transport == &cede__socket_transport ||
		stream->transport == &cede__file_transport;
}

/* ---- reading: stream_read.c ---- */

/** The transport: there is something to read, or an error to be told of. May end with the stream closed by a task. */
void cede__stream_readable(cede_stream_t *stream);

/** Ends the read that waits: its future is resolved. */
void cede__stream_end_read(cede_stream_t *stream, int result);

/** Bytes that were read ahead. */
static inline size_t
cede__stream_ahead(const cede_stream_t *stream)
{
	return stream->to - stream->from;
}

/** Those, which stay until they are taken. */
char *cede__stream_ahead_data(const cede_stream_t *stream);

/** Takes the first so many of them. */
void cede__stream_take_ahead(cede_stream_t *stream, size_t size);

/** More bytes behind those. >0: so many; 0: end of file; or as cede_read(). A close meanwhile: CEDE_ECANCELED. */
CEDE_SUSPENDS int cede__stream_read_ahead(cede_stream_t *stream, size_t limit);

/* ---- writing: stream_write.c ---- */

/** Is a write possible at all? 0: try. */
int cede__stream_check_write(const cede_stream_t *stream, size_t size);

/** A transport, to what is above it: what wait_room() took has gone, so much of it if it failed. */
void cede__stream_sent(cede_stream_t *stream, int status, size_t bytes);

/** A filter, to the stream: the same. send() is tried again. */
void cede__stream_go_on_writing(cede_stream_t *stream, int status, size_t bytes);

/** Ends the write that waits, of which no more will be written. */
void cede__stream_end_write(cede_stream_t *stream, int result);

/** Gives up the write that waits: its memory is let go of, and the stream is of no more use. */
void cede__stream_break_write(cede_stream_t *stream, int result);

/* ---- limits: stream_limits.c ---- */

/** A wait begins: the idle limit runs from here. 0, CEDE_ENOMEM. */
int cede__stream_watch_limits(cede_stream_t *stream);

/** A wait has ended, or not begun: `reader` or `writer` is NULL again. */
static inline void
cede__stream_wait_ended(cede_stream_t *stream)
{
	if (cede__unlikely(stream->is_in_memory) && !stream->reader && !stream->writer)
		cede__timer_set_weak(&stream->limits, 1);
}

/** The limits' timer. */
void cede__stream_limits_fire(struct cede__timer *timer);

#endif
