/*
 * Counts every call of malloc() and its like in this process, whoever makes it:
 * the library, libuv, libc, Criterion; and can refuse the large ones. Included by exactly
 * one file of a program: it takes the place of libc's.
 *
 * A sanitizer has an allocator of its own, and so may a libc that is not glibc:
 * there is nothing to count there, and MALLOCS_CAN_COUNT is 0.
 */
#ifndef TESTS_SUPPORT_MALLOCS_H
#define TESTS_SUPPORT_MALLOCS_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define MALLOCS_CAN_COUNT 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MALLOCS_CAN_COUNT 0
#endif
#endif
#ifndef MALLOCS_CAN_COUNT
#define MALLOCS_CAN_COUNT 1
#endif

static atomic_ulong mallocs_counted;

/* malloc() and realloc() find no memory for so many bytes and more. */
static __attribute__((unused)) atomic_ulong mallocs_refused_from = SIZE_MAX;

/** Calls since the program has begun. */
static inline unsigned long
mallocs_count(void)
{
	return atomic_load(&mallocs_counted);
}

#if MALLOCS_CAN_COUNT
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *
malloc(size_t size)
{
	atomic_fetch_add(&mallocs_counted, 1);
	return size < atomic_load(&mallocs_refused_from) ? __libc_malloc(size) : NULL;
}

void *
calloc(size_t n, size_t size)
{
	atomic_fetch_add(&mallocs_counted, 1);
	return __libc_calloc(n, size);
}

void *
realloc(void *p, size_t size)
{
	atomic_fetch_add(&mallocs_counted, 1);
	return size < atomic_load(&mallocs_refused_from) ? __libc_realloc(p, size) : NULL;
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	atomic_fetch_add(&mallocs_counted, 1);
	return __libc_memalign(alignment, size);
}
#endif

#endif
