/*
 * Memory with a limit. A server that strangers talk to must know how much it
 * may use, and must get an error, not the kernel's out-of-memory killer, when it
 * would use more.
 *
 * There are two of these in the program: one for the data, one for the buffers
 * of all connections. So a full store still talks to its clients, and a flood of
 * clients can't push out the data.
 *
 * Blocks carry no header: whoever frees one knows its size. What malloc() itself
 * adds to each block is not counted.
 */
#ifndef KV_MEMORY_H
#define KV_MEMORY_H

#include <stddef.h>

struct memory {
	/* public */
	size_t limit; /* bytes that may be in use at once */

	/* Asked before each allocation; non-zero refuses it. NULL in the server: it is how the
	 * tests see what happens when there is no memory. */
	int (*refuse)(void *data, size_t size);
	void *refuse_data;

	/* read-only */
	size_t used;
};

/** A block of zeros, or NULL: over the limit, or there is no memory. */
void *memory_get(struct memory *memory, size_t size);

/** realloc(): the block with its new size, or NULL and the old one is as it was. */
void *memory_resize(struct memory *memory, void *block, size_t old_size, size_t new_size);

/** NULL is allowed. */
void memory_free(struct memory *memory, void *block, size_t size);

#endif
