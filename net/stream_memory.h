/*
 * Streams of memory, for net/ itself: a pair of ends, and what is on its way from each.
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

	uint8_t is_waiting; /* the writer is to be told when that has gone */
	uint8_t is_ended;   /* behind what is there comes the end of file, */
	int read_code;      /* or this error */
	int write_code;     /* there is nobody to write to any more */
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

#endif
