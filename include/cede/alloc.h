/**
 * Where the library's memory comes from.
 *
 * All blocks that cede allocates come from one allocator, malloc() and free()
 * unless the program says otherwise. Stacks do not: they are mapped from the
 * system, because they need guards. libuv's and OpenSSL's own blocks do not
 * either: they have hooks of their own.
 */
#ifndef CEDE_ALLOC_H
#define CEDE_ALLOC_H

#include <cede/base.h>

CEDE__BEGIN

/**
 * An allocator: three functions and a pointer of yours that each of them gets.
 *
 * They are called on every thread that uses the library, at the same time, and
 * also on coroutine stacks. Blocks must be aligned as malloc()'s are. NULL from
 * alloc or realloc means that there is no memory, and comes back to your
 * program as CEDE_ENOMEM; after a failed realloc the old block stays as it was.
 *
 * The library never asks for 0 bytes and never passes NULL as `p`.
 */
typedef struct cede_allocator {
	void *(*alloc)(size_t size, void *data);
	void *(*realloc)(void *p, size_t size, void *data);
	void (*free)(void *p, void *data);
	void *data;
} cede_allocator_t;

/**
 * Replaces the allocator of the whole process.
 *
 * Call it before anything else of the library and before other threads use it.
 * The struct is copied; what `data` points to must live until it is replaced.
 *
 * @param allocator  all three functions set; or NULL for malloc() and free()
 *
 * @return 0, CEDE_EINVAL when a function is missing, or CEDE_EBUSY while a block
 *         of the present allocator is still out
 *
 * Thread: any, while no other thread is inside the library.
 */
CEDE_API int cede_set_allocator(const cede_allocator_t *allocator);

CEDE__END

#endif
