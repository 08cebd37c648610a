/*
 * A buffer that grows as bytes come, up to a limit, and can be made small again.
 * Each connection has two: what it has read and not yet understood, and the
 * replies it has not yet sent.
 *
 * A failed append is remembered, so that a reply of many parts is written without
 * a check after each: ask has_failed once, at the end.
 */
#ifndef KV_BUFFER_H
#define KV_BUFFER_H

#include "memory.h"

struct buffer {
	/* read-only */
	char *data;
	size_t size;     /* bytes in it */
	size_t capacity; /* bytes it could hold as it is */
	int has_failed;  /* an append found no room, and so did nothing */

	/* private */
	struct memory *memory;
	size_t limit;
};

/** An empty buffer; it takes no memory before the first byte. */
void buffer_init(struct buffer *buffer, struct memory *memory, size_t limit);

void buffer_deinit(struct buffer *buffer);

/**
 * Makes room for so many bytes more, at least one, and returns where they go; the caller adds
 * to `size` what it wrote there.
 *
 * @return NULL when they would be over the limit, or there is no memory
 */
char *buffer_reserve(struct buffer *buffer, size_t more);

/** Adds bytes at the end; all or none of them. */
void buffer_append(struct buffer *buffer, const void *data, size_t size);

/** Takes bytes away at the front. */
void buffer_consume(struct buffer *buffer, size_t size);

/** Cuts it back to a size it had before, and forgets a failure since then. */
void buffer_rewind(struct buffer *buffer, size_t size);

/** Gives back what a burst has left behind: capacity over @keep that hardly holds anything. */
void buffer_trim(struct buffer *buffer, size_t keep);

#endif
