#include "buffer.h"

#include <string.h>

#define CAPACITY_MIN 4096

void
buffer_init(struct buffer *buffer, struct memory *memory, size_t limit)
{
	*buffer = (struct buffer){ .memory = memory, .limit = limit };
}

void
buffer_deinit(struct buffer *buffer)
{
	memory_free(buffer->memory, buffer->data, buffer->capacity);
	*buffer = (struct buffer){ .memory = buffer->memory, .limit = buffer->limit };
}

char *
buffer_reserve(struct buffer *buffer, size_t more)
{
	size_t capacity = buffer->capacity > 0 ? buffer->capacity : CAPACITY_MIN;
	char *data;

	if (more > buffer->limit || buffer->size > buffer->limit - more)
		return NULL;
	if (buffer->capacity - buffer->size >= more)
		return buffer->data + buffer->size;

	/* Doubling keeps the copies to one a byte; the last step ends at the limit. */
	while (capacity < buffer->size + more)
		capacity = capacity > buffer->limit / 2 ? buffer->limit : capacity * 2;

	data = memory_resize(buffer->memory, buffer->data, buffer->capacity, capacity);
	if (data == NULL)
		return NULL;
	buffer->data = data;
	buffer->capacity = capacity;
	return data + buffer->size;
}

void
buffer_append(struct buffer *buffer, const void *data, size_t size)
{
	char *room;

	if (size == 0)
		return;
	room = buffer_reserve(buffer, size);
	if (room == NULL) {
		buffer->has_failed = 1;
		return;
	}
	memcpy(room, data, size);
	buffer->size += size;
}

void
buffer_consume(struct buffer *buffer, size_t size)
{
	buffer->size -= size;
	if (size > 0 && buffer->size > 0)
		memmove(buffer->data, buffer->data + size, buffer->size);
}

void
buffer_rewind(struct buffer *buffer, size_t size)
{
	buffer->size = size;
	buffer->has_failed = 0;
}

void
buffer_trim(struct buffer *buffer, size_t keep)
{
	char *data;

	if (buffer->capacity <= keep || buffer->size > keep / 2)
		return;

	data = memory_resize(buffer->memory, buffer->data, buffer->capacity, keep);
	if (data == NULL)
		return; /* it stays as it is: no harm done */
	buffer->data = data;
	buffer->capacity = keep;
}
