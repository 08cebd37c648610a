/*
 * One exchange: a request, and the answer to it. What a handler is given, and all that a
 * busy connection needs in memory: a connection on which nothing comes has none of it.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include <cede/cede.h>

#include <stdatomic.h>

#include "date.h"
#include "request.h"

/** What was decided at the start: the same for all workers. */
struct server {
	const char *address;
	unsigned workers;
	struct request_limits limits;
	uint64_t idle_ms; /* nothing moves on a connection */
	uint64_t head_ms; /* for a whole head, from its first byte */
	uint64_t body_ms; /* for a whole body */
	uint64_t drain_ms;
	int root;        /* descriptor of the directory whose files are served; -1: none */
	cede_tls_t *tls; /* NULL: in plain text */
	int has_log;
	atomic_uint ready; /* workers that listen */
};

/** What the connections of one loop share. */
struct worker {
	struct server *server;
	cede_event_t stop; /* the server ends: no connection goes on after the present request */
	struct exchange *free; /* exchange::next_free; the last one used is the first */
	unsigned free_count;
	time_t date_s; /* when `date` was written */
	char date[DATE_SIZE];
};

/** How the end of an answer's body is told. */
enum framing {
	FRAMING_NONE,  /* there is no body */
	FRAMING_SIZED, /* by its length */
	FRAMING_CHUNKED,
	FRAMING_CLOSE, /* by the end of the connection: HTTP/1.0 */
};

struct exchange {
	/* for handlers, read-only */
	struct request request;
	cede_stream_t *stream;
	struct worker *worker;

	/* for handlers, to put an answer together */
	char scratch[8 * 1024];

	/* private: the request */
	struct bytes input;   /* read, and lent by the stream; not understood yet */
	uint64_t deadline_ms; /* when what is awaited must be there; 0: not set */
	int refusal;          /* what the client has to be told when its handler fails */

	/* private: the answer (answer.c) */
	int status;          /* 0: none yet */
	uint8_t keeps_alive; /* other requests may follow */
	uint8_t is_sent;     /* a part of it has gone: it can't be taken back */
	uint8_t is_ended;    /* all of it is there */
	uint8_t framing;     /* enum framing */
	int64_t left, size;  /* of the body: what is to come, what has come */
	size_t start;        /* in `out` */
	int is_full;         /* the head is larger than `out` */

	/* private */
	struct exchange *next_free;
	size_t out_size;
	char out[16 * 1024]; /* answers that have not been written yet */
};

void worker_init(struct worker *worker, struct server *server);

/** All connections have ended. */
void worker_deinit(struct worker *worker);

/** NULL: there is no memory. */
struct exchange *exchange_take(struct worker *worker, cede_stream_t *stream);

void exchange_give(struct exchange *x);

/**
 * Reads on, once what was answered is written and `input` is used up.
 *
 * @return >0: there is input; 0: the client sends no more; else the stream's code,
 *   CEDE_ETIMEDOUT with refusal 408 when the deadline has passed
 */
CEDE_SUSPENDS int exchange_fill(struct exchange *x);

/**
 * The next piece of the request's body, as it comes: it lies in the buffer that was read
 * into, and stays there until the next call.
 *
 * @return 1; 0: that was all; or a code. When a handler returns it, the client is told
 *   what was wrong, if it was the client's fault
 */
CEDE_SUSPENDS int body_read(struct exchange *x, struct bytes *ret_piece);

#endif
