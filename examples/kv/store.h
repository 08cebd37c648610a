/*
 * The data: keys and values, any bytes, some of them only for a time.
 *
 * The store does not know what time it is: every call that cares is told. So it
 * works the same under a test that lets ten years pass in a loop.
 *
 * What has expired is gone for every caller at once. Its memory comes back when
 * somebody asks for the key, or when store_sweep() passes by.
 *
 * The table grows and shrinks a few buckets at a time, with each call, so that no
 * single request pays for moving everything.
 */
#ifndef KV_STORE_H
#define KV_STORE_H

#include "bytes.h"
#include "memory.h"
#include "siphash.h"

struct store;

/** A moment that never comes. */
#define STORE_NEVER UINT64_MAX

/** An entry as the caller sees it. Borrowed until the next call that is not const. */
struct store_item {
	struct bytes key, value;
	uint64_t expires_ms; /* gone from this moment on; or STORE_NEVER */
};

/** @memory is borrowed for the store's life. 0 or -ENOMEM. */
int store_create(struct store **ret_store, struct memory *memory, struct siphash_seed seed);

/** NULL is allowed. */
void store_destroy(struct store *store);

/** Is the key there? @ret_item may be NULL. */
int store_find(struct store *store, struct bytes key, uint64_t now_ms, struct store_item *ret_item);

/**
 * Sets a key, whether it was there or not.
 *
 * @param value  copied; must not be borrowed from the store
 * @return 0; -ENOMEM, and what was there before still is; -EFBIG: 4 GiB and over
 */
int store_set(struct store *store, struct bytes key, struct bytes value, uint64_t expires_ms,
	uint64_t now_ms);

/** Gives a key another end. Was it there? */
int store_expire(struct store *store, struct bytes key, uint64_t expires_ms, uint64_t now_ms);

/** Was it there? */
int store_remove(struct store *store, struct bytes key, uint64_t now_ms);

/** Removes everything. */
void store_clear(struct store *store);

/** Calls visit() for every entry, in no order; it must not change the store. */
void store_each(const struct store *store, uint64_t now_ms,
	void (*visit)(const struct store_item *item, void *data), void *data);

/** What a sweep found. */
struct store_sweep {
	size_t mortal;  /* entries that had an end */
	size_t expired; /* of these, the ones whose end had come; they are gone */
};

/** Looks at the next so many buckets, and round again, for what has expired. */
struct store_sweep store_sweep(struct store *store, size_t buckets, uint64_t now_ms);

struct store_stats {
	size_t count;     /* entries, with those that have expired and were not noticed yet */
	size_t mortal;    /* of these, the ones that have an end */
	uint64_t expired; /* entries that went because of their end, since the beginning */
	size_t buckets;
};

struct store_stats store_stats(const struct store *store);

#endif
