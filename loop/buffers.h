/*
 * Buffers that are lent for a short while, per loop.
 *
 * The one given back last is lent next, so a thousand connections that each
 * take one, look at what came and give it back share one warm buffer, and an
 * idle connection holds none. Small ones are for what has to be kept meanwhile:
 * half a line.
 */
#ifndef CEDE_LOOP_BUFFERS_H
#define CEDE_LOOP_BUFFERS_H

#include <stddef.h>

enum cede__buffer_class {
	CEDE__BUFFER_USUAL,
	CEDE__BUFFER_LARGE,
	CEDE__BUFFER_SMALL,
};
#define CEDE__BUFFER_CLASSES 3

#define CEDE__BUFFER_SIZE       ((size_t)64 * 1024)
#define CEDE__BUFFER_SIZE_LARGE ((size_t)256 * 1024)
#define CEDE__BUFFER_SIZE_SMALL ((size_t)1024)

struct cede__buffer {
	struct cede__buffer *next; /* only while it is free */
	enum cede__buffer_class class;
	size_t size;
	char data[]; /* one byte more: whoever reads texts ends them with a NUL */
};

struct cede__buffers {
	struct cede__buffer *free[CEDE__BUFFER_CLASSES];
	unsigned free_count[CEDE__BUFFER_CLASSES];
};

/** Lends one. NULL: no memory. */
struct cede__buffer *cede__buffer_take(struct cede__buffers *buffers,
	enum cede__buffer_class class);

/** Takes it back. NULL is allowed. */
void cede__buffer_give(struct cede__buffers *buffers, struct cede__buffer *buffer);

/** Frees those that are not lent, which must be all. */
void cede__buffers_deinit(struct cede__buffers *buffers);

#endif
