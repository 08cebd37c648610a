/* The buffer of what was read ahead: between stream_read.c and stream_ahead.c. */
#ifndef CEDE_NET_STREAM_AHEAD_H
#define CEDE_NET_STREAM_AHEAD_H

#include "net/stream_int.h"

/* cede_read_t::kind: where a read goes that waits. */
enum {
	CEDE__READ_COPIES, /* into the caller's memory */
	CEDE__READ_AHEAD,  /* into the stream's buffer */
	CEDE__READ_LENDS,  /* the same, and the caller has all of it */
};

/** The transport's receive(), and what its answer means for the stream. */
int cede__stream_receive(cede_stream_t *stream, void *buffer, size_t size);

/** The same, behind what was read ahead. Also CEDE_ENOMEM; CEDE_EMSGSIZE: the largest buffer is full. */
int cede__stream_receive_ahead(cede_stream_t *stream);

/** Is there a read under way, be it between two of its steps? */
static inline int
cede__stream_is_read(const cede_stream_t *stream)
{
	return stream->reader != NULL || stream->is_looking;
}

/** cede_read(), for whoever is_looking. */
CEDE_SUSPENDS ssize_t cede__stream_read_next(cede_stream_t *stream, void *buffer, size_t size);

/** Takes all that was read ahead, and has it lent. */
void *cede__stream_lend(cede_stream_t *stream);

/** A wait begins: the buffer goes, or what is in it goes to a small one. */
void cede__stream_hold_little(cede_stream_t *stream);

#endif
