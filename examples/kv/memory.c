#include "memory.h"

#include <stdlib.h>

/* May it be `more` bytes more? `used` can be over a limit that was lowered. */
static int
has_room(struct memory *memory, size_t more)
{
	if (memory->used > memory->limit || more > memory->limit - memory->used)
		return 0;
	return memory->refuse == NULL || !memory->refuse(memory->refuse_data, more);
}

void *
memory_get(struct memory *memory, size_t size)
{
	void *block = has_room(memory, size) ? calloc(1, size) : NULL;

	if (block != NULL)
		memory->used += size;
	return block;
}

void *
memory_resize(struct memory *memory, void *block, size_t old_size, size_t new_size)
{
	void *moved;

	if (new_size > old_size && !has_room(memory, new_size - old_size))
		return NULL;

	moved = realloc(block, new_size);
	if (moved != NULL)
		memory->used = memory->used - old_size + new_size;
	return moved;
}

void
memory_free(struct memory *memory, void *block, size_t size)
{
	if (block == NULL)
		return;
	free(block);
	memory->used -= size;
}
