#include "loop/buffers.h"

#include "coro/alloc.h"
#include "coro/poison.h"

/* `kept`: for the next; what a burst took beyond that goes back to the allocator. */
static const struct {
	size_t size;
	unsigned kept;
} classes[CEDE__BUFFER_CLASSES] = {
	[CEDE__BUFFER_USUAL] = { CEDE__BUFFER_SIZE, 16 },
	[CEDE__BUFFER_LARGE] = { CEDE__BUFFER_SIZE_LARGE, 16 },
	[CEDE__BUFFER_SMALL] = { CEDE__BUFFER_SIZE_SMALL, 1024 },
};

struct cede__buffer *
cede__buffer_take(struct cede__buffers *buffers, enum cede__buffer_class class)
{
	struct cede__buffer *buffer = buffers->free[class];

	if (buffer) {
		buffers->free[class] = buffer->next;
		buffers->free_count[class]--;
		cede__unpoison(buffer->data, buffer->size + 1);
		return buffer;
	}
	buffer = cede__alloc(sizeof *buffer + classes[class].size + 1);
	if (buffer) {
		buffer->class = class;
		buffer->size = classes[class].size;
	}
	return buffer;
}

void
cede__buffer_give(struct cede__buffers *buffers, struct cede__buffer *buffer)
{
	enum cede__buffer_class class;

	if (!buffer)
		return;
	class = buffer->class;
	if (buffers->free_count[class] >= classes[class].kept) {
		cede__free(buffer);
		return;
	}
	cede__poison(buffer->data, buffer->size + 1); /* whoever reads on is told so */
	buffer->next = buffers->free[class];
	buffers->free[class] = buffer;
	buffers->free_count[class]++;
}

void
cede__buffers_deinit(struct cede__buffers *buffers)
{
	for (int i = 0; i < CEDE__BUFFER_CLASSES; i++) {
		while (buffers->free[i]) {
			struct cede__buffer *buffer = buffers->free[i];

			buffers->free[i] = buffer->next;
			cede__unpoison(buffer->data, buffer->size + 1);
			cede__free(buffer);
		}
	}
}
