#include "loop/buffers.h"

#include "coro/alloc.h"
#include "coro/poison.h"

/* Kept for the next; what a burst took beyond that goes back to the allocator. */
#define FREE_MAX 16

struct cede__buffer *
cede__buffer_take(struct cede__buffers *buffers, int is_large)
{
	struct cede__buffer *buffer = buffers->free[is_large];

	if (buffer) {
		buffers->free[is_large] = buffer->next;
		buffers->free_count[is_large]--;
		cede__unpoison(buffer->data, buffer->size);
		return buffer;
	}
	size_t size = is_large ? CEDE__BUFFER_SIZE_LARGE : CEDE__BUFFER_SIZE;
	buffer = cede__alloc(sizeof *buffer + size);
	if (buffer)
		buffer->size = size;
	return buffer;
}

void
cede__buffer_give(struct cede__buffers *buffers, struct cede__buffer *buffer)
{
	int is_large;

	if (!buffer)
		return;
	is_large = buffer->size == CEDE__BUFFER_SIZE_LARGE;
	if (buffers->free_count[is_large] >= FREE_MAX) {
		cede__free(buffer);
		return;
	}
	cede__poison(buffer->data, buffer->size); /* whoever reads on is told so */
	buffer->next = buffers->free[is_large];
	buffers->free[is_large] = buffer;
	buffers->free_count[is_large]++;
}

void
cede__buffers_deinit(struct cede__buffers *buffers)
{
	for (int i = 0; i < 2; i++) {
		while (buffers->free[i]) {
			struct cede__buffer *buffer = buffers->free[i];

			buffers->free[i] = buffer->next;
			cede__unpoison(buffer->data, buffer->size);
			cede__free(buffer);
		}
	}
}
