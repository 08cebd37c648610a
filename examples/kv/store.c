/*
 * A hash table of chains. An entry is one block: the head, the key, the value.
 *
 *     tables[0]  where the entries are
 *     tables[1]  empty, but while the store grows or shrinks: then everything
 *                moves there, and new entries go there
 *
 * While it moves:
 *   - buckets of tables[0] below `moved` are empty
 *   - an entry is in exactly one of the two tables
 *   - each call that looks for a key moves MOVE_BUCKETS more, so the move is over
 *     long before the new table could be too small in its turn
 *
 * When there is no memory for a larger table the old one is used on: chains get
 * longer, nothing fails.
 */
#include "store.h"

#include <errno.h>
#include <string.h>

#define BUCKETS_MIN  16
#define MOVE_BUCKETS 8

/* A block may be twice as large as its entry needs, and so many bytes more. */
#define SPARE 64

/* A table that holds less than one entry in so many buckets shrinks. */
#define SPARSE 8

struct entry {
	struct entry *next;
	uint64_t hash;
	uint64_t expires_ms;
	uint32_t key_size;
	uint32_t value_size;
	size_t capacity; /* bytes of the block behind the head */
	char bytes[];    /* the key, then the value */
};

struct table {
	struct entry **buckets; /* entry::next */
	size_t size;            /* a power of two; 0: no table */
};

struct store {
	struct memory *memory;
	struct siphash_seed seed;
	struct table tables[2];
	size_t moved; /* of tables[0], while there is a tables[1] */
	size_t swept; /* bucket at which the next sweep begins, counted over both tables */
	size_t count, mortal;
	uint64_t expired;
};

/*
 * Entries.
 */

static struct bytes
key_of(const struct entry *entry)
{
	return (struct bytes){ entry->bytes, entry->key_size };
}

static struct store_item
item_of(const struct entry *entry)
{
	return (struct store_item){
		.key = key_of(entry),
		.value = { entry->bytes + entry->key_size, entry->value_size },
		.expires_ms = entry->expires_ms,
	};
}

static void
entry_free(struct store *store, struct entry *entry)
{
	memory_free(store->memory, entry, sizeof *entry + entry->capacity);
}

/* All changes of an end go through here: the count of mortal entries follows them. */
static void
set_end(struct store *store, struct entry *entry, uint64_t expires_ms)
{
	store->mortal -= entry->expires_ms != STORE_NEVER;
	store->mortal += expires_ms != STORE_NEVER;
	entry->expires_ms = expires_ms;
}

/*
 * Tables.
 */

static struct entry **
bucket_of(const struct table *table, uint64_t hash)
{
	return &table->buckets[hash & (table->size - 1)];
}

static int
table_init(struct store *store, struct table *table, size_t size)
{
	table->buckets = memory_get(store->memory, size * sizeof *table->buckets);
	if (table->buckets == NULL)
		return -ENOMEM;
	table->size = size;
	return 0;
}

static void
table_deinit(struct store *store, struct table *table)
{
	memory_free(store->memory, table->buckets, table->size * sizeof *table->buckets);
	*table = (struct table){ 0 };
}

static int
is_moving(const struct store *store)
{
	return store->tables[1].size > 0;
}

/* Moves so many buckets to the new table; with the last one it becomes the only table. */
static void
move(struct store *store, size_t buckets)
{
	struct table *from = &store->tables[0], *to = &store->tables[1];

	if (!is_moving(store))
		return;
	for (; buckets > 0 && store->moved < from->size; buckets--, store->moved++) {
		struct entry *entry = from->buckets[store->moved];

		while (entry != NULL) {
			struct entry *next = entry->next;
			struct entry **bucket = bucket_of(to, entry->hash);

			entry->next = *bucket;
			*bucket = entry;
			entry = next;
		}
		from->buckets[store->moved] = NULL;
	}
	if (store->moved < from->size)
		return;

	table_deinit(store, from);
	*from = *to;
	*to = (struct table){ 0 };
	store->moved = 0;
}

/* Begins to move when the table has become too small or far too large. */
static void
resize_if_needed(struct store *store)
{
	size_t size = store->tables[0].size;

	if (is_moving(store))
		return;
	if (store->count > size)
		size *= 2;
	else if (store->count < size / SPARSE)
		while (size > BUCKETS_MIN && store->count < size / 2)
			size /= 2;
	if (size != store->tables[0].size)
		table_init(store, &store->tables[1], size);
}

/* The link that leads to a key's entry; NULL when there is none. */
static struct entry **
find_link(struct store *store, struct bytes key, uint64_t hash)
{
	for (int i = 0; i <= is_moving(store); i++) {
		struct entry **link = bucket_of(&store->tables[i], hash);

		for (; *link != NULL; link = &(*link)->next) {
			if ((*link)->hash == hash && bytes_equal(key_of(*link), key))
				return link;
		}
	}
	return NULL;
}

static void
remove_at(struct store *store, struct entry **link)
{
	struct entry *entry = *link;

	*link = entry->next;
	set_end(store, entry, STORE_NEVER);
	store->count--;
	entry_free(store, entry);
}

/* find_link() for what has not expired; what has is removed on the way. */
static struct entry **
look_up(struct store *store, struct bytes key, uint64_t hash, uint64_t now_ms)
{
	struct entry **link;

	move(store, MOVE_BUCKETS);
	link = find_link(store, key, hash);
	if (link == NULL || (*link)->expires_ms > now_ms)
		return link;

	remove_at(store, link);
	store->expired++;
	resize_if_needed(store);
	return NULL;
}

/*
 * The store.
 */

int
store_create(struct store **ret_store, struct memory *memory, struct siphash_seed seed)
{
	struct store *store = memory_get(memory, sizeof *store);

	if (store == NULL)
		return -ENOMEM;
	store->memory = memory;
	store->seed = seed;
	if (table_init(store, &store->tables[0], BUCKETS_MIN) < 0) {
		memory_free(memory, store, sizeof *store);
		return -ENOMEM;
	}
	*ret_store = store;
	return 0;
}

void
store_clear(struct store *store)
{
	struct table fresh = { 0 };

	for (int i = 0; i < 2; i++) {
		struct table *table = &store->tables[i];

		for (size_t b = 0; b < table->size; b++) {
			while (table->buckets[b] != NULL)
				remove_at(store, &table->buckets[b]);
		}
	}

	/* The large table served what is gone; without memory for a small one it stays. */
	if (table_init(store, &fresh, BUCKETS_MIN) < 0)
		return;
	table_deinit(store, &store->tables[0]);
	table_deinit(store, &store->tables[1]);
	store->tables[0] = fresh;
	store->moved = store->swept = 0;
}

void
store_destroy(struct store *store)
{
	if (store == NULL)
		return;
	store_clear(store);
	table_deinit(store, &store->tables[0]);
	table_deinit(store, &store->tables[1]);
	memory_free(store->memory, store, sizeof *store);
}

int
store_find(struct store *store, struct bytes key, uint64_t now_ms, struct store_item *ret_item)
{
	struct entry **link = look_up(store, key, siphash(store->seed, key), now_ms);

	if (link != NULL && ret_item != NULL)
		*ret_item = item_of(*link);
	return link != NULL;
}

/*
 * Puts a value into the entry behind a link. Its block is kept when it is large
 * enough and not much too large, so that overwriting a key with values of about
 * the same size costs no allocation.
 */
static int
replace_value(struct store *store, struct entry **link, struct bytes value)
{
	struct entry *entry = *link;
	size_t need = entry->key_size + value.size;

	if (need > entry->capacity || need + SPARE < entry->capacity / 2) {
		entry = memory_resize(store->memory, entry, sizeof *entry + entry->capacity,
			sizeof *entry + need);
		if (entry == NULL)
			return -ENOMEM;
		entry->capacity = need;
		*link = entry;
	}
	memcpy(entry->bytes + entry->key_size, value.data, value.size);
	entry->value_size = (uint32_t)value.size;
	return 0;
}

static int
insert(struct store *store, struct bytes key, uint64_t hash, struct bytes value,
	uint64_t expires_ms)
{
	size_t size = key.size + value.size;
	struct entry *entry = memory_get(store->memory, sizeof *entry + size);
	struct entry **bucket;

	if (entry == NULL)
		return -ENOMEM;
	entry->hash = hash;
	entry->expires_ms = STORE_NEVER;
	entry->key_size = (uint32_t)key.size;
	entry->value_size = (uint32_t)value.size;
	entry->capacity = size;
	memcpy(entry->bytes, key.data, key.size);
	memcpy(entry->bytes + key.size, value.data, value.size);
	set_end(store, entry, expires_ms);

	store->count++;
	resize_if_needed(store);
	bucket = bucket_of(&store->tables[is_moving(store)], hash);
	entry->next = *bucket;
	*bucket = entry;
	return 0;
}

int
store_set(struct store *store, struct bytes key, struct bytes value, uint64_t expires_ms,
	uint64_t now_ms)
{
	uint64_t hash = siphash(store->seed, key);
	struct entry **link;
	int r;

	if (key.size > UINT32_MAX || value.size > UINT32_MAX)
		return -EFBIG;

	link = look_up(store, key, hash, now_ms);
	if (link == NULL)
		return insert(store, key, hash, value, expires_ms);

	r = replace_value(store, link, value);
	if (r == 0)
		set_end(store, *link, expires_ms);
	return r;
}

int
store_expire(struct store *store, struct bytes key, uint64_t expires_ms, uint64_t now_ms)
{
	struct entry **link = look_up(store, key, siphash(store->seed, key), now_ms);

	if (link != NULL)
		set_end(store, *link, expires_ms);
	return link != NULL;
}

int
store_remove(struct store *store, struct bytes key, uint64_t now_ms)
{
	struct entry **link = look_up(store, key, siphash(store->seed, key), now_ms);

	if (link == NULL)
		return 0;
	remove_at(store, link);
	resize_if_needed(store);
	return 1;
}

void
store_each(const struct store *store, uint64_t now_ms,
	void (*visit)(const struct store_item *item, void *data), void *data)
{
	for (int i = 0; i < 2; i++) {
		for (size_t b = 0; b < store->tables[i].size; b++) {
			for (struct entry *e = store->tables[i].buckets[b]; e != NULL;
				e = e->next) {
				struct store_item item = item_of(e);

				if (e->expires_ms > now_ms)
					visit(&item, data);
			}
		}
	}
}

static void
sweep_bucket(struct store *store, struct entry **link, uint64_t now_ms, struct store_sweep *found)
{
	while (*link != NULL) {
		found->mortal += (*link)->expires_ms != STORE_NEVER;
		if ((*link)->expires_ms > now_ms) {
			link = &(*link)->next;
			continue;
		}
		found->expired++;
		store->expired++;
		remove_at(store, link);
	}
}

struct store_sweep
store_sweep(struct store *store, size_t buckets, uint64_t now_ms)
{
	struct store_sweep found = { 0 };
	size_t total;

	move(store, buckets);
	resize_if_needed(store);
	total = store->tables[0].size + store->tables[1].size;
	if (store->mortal == 0)
		return found;

	for (; buckets > 0; buckets--, store->swept++) {
		size_t b = store->swept %= total;
		struct table *table = &store->tables[b >= store->tables[0].size];

		sweep_bucket(store,
			&table->buckets[table == store->tables ? b : b - store->tables[0].size],
			now_ms, &found);
	}
	return found;
}

struct store_stats
store_stats(const struct store *store)
{
	return (struct store_stats){
		.count = store->count,
		.mortal = store->mortal,
		.expired = store->expired,
		.buckets = store->tables[0].size + store->tables[1].size,
	};
}
