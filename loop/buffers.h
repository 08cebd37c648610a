/*
 * Large buffers that are lent for a short while, per loop.
 *
 * The one given back last is lent next, so a thousand connections that each
 * take one, look at what came and give it back share one warm buffer, and an
 * idle connection holds none.
 */
#ifndef CEDE_LOOP_BUFFERS_H
#define CEDE_LOOP_BUFFERS_H

#include <stddef.h>

#define CEDE__BUFFER_SIZE       ((size_t)64 * 1024)
#define CEDE__BUFFER_SIZE_LARGE ((size_t)256 * 1024)

struct cede__buffer {
	struct cede__buffer *next; /* only while it is free */
	size_t size;
	char data[];
};

struct cede__buffers {
	struct cede__buffer *free[2]; /* by size: the smaller, the large */
	unsigned free_count[2];
};

/** Lends one. NULL: no memory. */
struct cede__buffer *cede__buffer_take(struct cede__buffers *buffers, int is_large);

/** Takes it back. NULL is allowed. */
void cede__buffer_give(struct cede__buffers *buffers, struct cede__buffer *buffer);

/** Frees those that are not lent, which must be all. */
void cede__buffers_deinit(struct cede__buffers *buffers);

#endif
