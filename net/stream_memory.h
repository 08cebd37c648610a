/*
 * Streams of memory, for net/ itself: a pair of ends, what is on its way from each, and
 * the script that a test may give it (testing_stream.c).
 */
#ifndef CEDE_NET_STREAM_MEMORY_H
#define CEDE_NET_STREAM_MEMORY_H

#include "net/stream_int.h"

/* Pieces of a write that waits, which go from the writer's memory to the reader's. */
#define CEDE__MEMORY_PIECES 4

/** One direction. */
struct cede__memory_flow {
	char *ring;
	size_t capacity;
	size_t first, count; /* in the ring */

	/* What comes behind the ring and is the writer's memory: during its send(), and while it waits. */
	const struct iovec *pieces;
	int piece_count;
	size_t skip;  /* of the first piece, that has gone */
	size_t taken; /* of all of them */
	struct iovec in_care[CEDE__MEMORY_PIECES];

	uint8_t is_waiting;          /* the writer is to be told when that has gone */
	uint8_t is_ended;            /* behind what is there comes the end of file, */
	int read_code;               /* or this error */
	int write_code;              /* there is nobody to write to any more */
	struct cede__script *script; /* NULL: it goes as it comes */
};

struct cede__memory_end {
	struct cede__memory *pair;
	cede_stream_t *stream;        /* NULL: closed */
	unsigned is_inside;           /* calls of this end that are on the C stack, */
	unsigned is_receiving;        /* and those of them that receive */
	struct cede__timer soon;      /* tells this end what it could not be told at once */
	struct cede__memory_flow out; /* what this end writes */
};

struct cede__memory {
	struct cede__memory_end ends[2];
	unsigned refs; /* of the ends that are open, and of calls that a close may be in */
};

/** cede_stream_pair(). */
int cede__memory_create(size_t capacity, struct cede__memory **ret_pair);

static inline struct cede__memory_end *
cede__memory_peer(const struct cede__memory_end *end)
{
	return &end->pair->ends[end == &end->pair->ends[0]];
}

/** Something may have changed for whom reads what this end writes. */
void cede__memory_tell_reader(struct cede__memory_end *end);

/** Resets the connection: what this end wrote is still read, the other direction is dropped. */
void cede__memory_reset(struct cede__memory_end *end);

/* ---- scripts: testing_stream.c ---- */

/** Of what is in the ring, how much a read may get now; what it says is then read. */
size_t cede__script_let_out(struct cede__memory_flow *flow, size_t size);

/** Does it let the reader see anything now? */
int cede__script_shows(const struct cede__memory_flow *flow);

/** How much may be taken from the writer now. */
size_t cede__script_let_in(const struct cede__memory_flow *flow);

/** So much was taken from the writer. */
void cede__script_note_taken(struct cede__memory_flow *flow, size_t size);

/** What is written is taken, and nobody reads it. */
int cede__script_swallows(const struct cede__memory_flow *flow);

/** Nobody reads it any more. */
void cede__script_stop(struct cede__script *script);

/** NULL is allowed. */
void cede__script_destroy(struct cede__script *script);

#endif
