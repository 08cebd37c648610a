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
static inline int
cede__stream_receive(cede_stream_t *s, void *buffer, size_t size)
{
	int n = s->transport->receive(s, buffer, size);

	if (cede__likely(n > 0)) {
		s->active_ms = cede__loop_time(s->loop);
		s->in_a_row += CEDE__READ_WEIGHT(n);
	} else if (n == CEDE_EAGAIN) {
		s->may_have_data = 0;
	} else if (n == 0) {
		s->is_at_end = 1;
	} else {
		s->failure = n; /* asked again, the system would call it an end of file */
	}
	return n;
}

/** Its buffer goes. */
static inline void
cede__stream_give_buffer(cede_stream_t *s)
{
	cede__buffer_give(&s->loop->buffers, s->buffer);
	s->buffer = NULL;
	s->from = s->to = 0;
}

/** Room behind what was read ahead, in the buffer there is. 0; CEDE_ENOMEM; CEDE_EMSGSIZE: the largest is full. */
int cede__stream_make_room(cede_stream_t *stream);

/** Is there a read under way, be it between two of its steps? */
static inline int
cede__stream_is_read(const cede_stream_t *stream)
{
	return stream->reader != NULL || stream->is_looking;
}

/** cede_read(), for whoever is_looking. */
CEDE_SUSPENDS ssize_t cede__stream_read_next(cede_stream_t *stream, void *buffer, size_t size);

/** Takes all that was read ahead, and has it lent. */
static inline void *
cede__stream_lend(cede_stream_t *s)
{
	char *data = s->buffer->data + s->from;

	s->from = s->to;
	return data;
}

/** A wait begins: the buffer goes, or what is in it goes to a small one. */
void cede__stream_hold_little(cede_stream_t *stream);

#endif
