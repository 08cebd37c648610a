#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "examples/kv/store.h"
#include "tests/support/kv_trace.h"

TestSuite(kv_store, .timeout = 60);

static const struct siphash_seed seed = { { 1, 2 } };

static struct memory memory = { .limit = SIZE_MAX };

static struct store *
new_store(void)
{
	struct store *store;

	cr_assert_eq(store_create(&store, &memory, seed), 0);
	return store;
}

static void
end_store(struct store *store)
{
	store_destroy(store);
	cr_assert_eq(memory.used, 0, "%zu bytes were not given back", memory.used);
}

static int
set(struct store *store, const char *key, const char *value, uint64_t expires_ms, uint64_t now_ms)
{
	return store_set(store, bytes_of(key), bytes_of(value), expires_ms, now_ms);
}

static void
expect_value(struct store *store, const char *key, uint64_t now_ms, const char *expected)
{
	struct store_item item;
	int found = store_find(store, bytes_of(key), now_ms, &item);

	cr_assert_eq(found, expected != NULL, "key %s", key);
	if (found) {
		cr_assert(bytes_equal(item.value, bytes_of(expected)), "key %s: %.*s", key,
			(int)item.value.size, item.value.data);
		cr_assert(bytes_equal(item.key, bytes_of(key)));
	}
}

Test(kv_store, a_key_has_the_value_it_was_set_to_last)
{
	struct store *store = new_store();

	expect_value(store, "a", 0, NULL);
	cr_assert_eq(set(store, "a", "1", STORE_NEVER, 0), 0);
	expect_value(store, "a", 0, "1");
	cr_assert_eq(set(store, "a", "a longer value", STORE_NEVER, 0), 0);
	expect_value(store, "a", 0, "a longer value");
	cr_assert_eq(set(store, "a", "", STORE_NEVER, 0), 0);
	expect_value(store, "a", 0, "");
	cr_assert_eq(store_stats(store).count, 1);
	cr_assert(store_remove(store, bytes_of("a"), 0));
	cr_assert(!store_remove(store, bytes_of("a"), 0));
	expect_value(store, "a", 0, NULL);
	end_store(store);
}

Test(kv_store, keys_and_values_may_be_any_bytes)
{
	struct store *store = new_store();
	struct bytes key = { "a\0b", 3 }, value = { "\0\r\n", 3 }, empty = { "", 0 };
	struct store_item item;

	cr_assert_eq(store_set(store, key, value, STORE_NEVER, 0), 0);
	cr_assert_eq(store_set(store, empty, empty, STORE_NEVER, 0), 0);
	cr_assert(store_find(store, key, 0, &item));
	cr_assert(bytes_equal(item.value, value));
	cr_assert(!store_find(store, bytes_of("a"), 0, NULL));
	cr_assert(store_find(store, empty, 0, &item));
	cr_assert_eq(item.value.size, 0);
	end_store(store);
}

Test(kv_store, a_value_of_the_same_size_takes_no_allocation)
{
	struct store *store = new_store();

	cr_assert_eq(set(store, "a", "12345678", STORE_NEVER, 0), 0);
	memory.limit = 0;
	cr_assert_eq(set(store, "a", "abcdefgh", STORE_NEVER, 0), 0);
	expect_value(store, "a", 0, "abcdefgh");
	memory.limit = SIZE_MAX;
	end_store(store);
}

Test(kv_store, a_much_smaller_value_gives_memory_back)
{
	struct store *store = new_store();
	static char large[100000];
	size_t before;

	cr_assert_eq(store_set(store, bytes_of("a"), (struct bytes){ large, sizeof large },
			     STORE_NEVER, 0),
		0);
	before = memory.used;
	cr_assert_eq(set(store, "a", "small", STORE_NEVER, 0), 0);
	cr_assert_lt(memory.used, before - 99000);
	end_store(store);
}

/*
 * Time.
 */

Test(kv_store, what_expires_is_gone_from_that_moment_on)
{
	struct store *store = new_store();

	cr_assert_eq(set(store, "a", "1", 100, 0), 0);
	cr_assert_eq(store_stats(store).mortal, 1);
	expect_value(store, "a", 99, "1");
	expect_value(store, "a", 100, NULL);
	cr_assert_eq(store_stats(store).count, 0);
	cr_assert_eq(store_stats(store).mortal, 0);
	cr_assert_eq(store_stats(store).expired, 1);
	end_store(store);
}

Test(kv_store, an_expired_key_is_not_there_for_any_call)
{
	struct store *store = new_store();

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(set(store, "a", "1", 100, 0), 0);
		switch (i) {
		case 0:
			cr_assert(!store_remove(store, bytes_of("a"), 100));
			break;
		case 1:
			cr_assert(!store_expire(store, bytes_of("a"), 1000, 100));
			break;
		case 2:
			cr_assert_eq(set(store, "a", "2", STORE_NEVER, 100), 0);
			break;
		}
		expect_value(store, "a", 100, i == 2 ? "2" : NULL);
	}
	cr_assert_eq(store_stats(store).expired, 3);
	end_store(store);
}

Test(kv_store, an_end_can_be_moved_and_taken_away)
{
	struct store *store = new_store();

	cr_assert_eq(set(store, "a", "1", 100, 0), 0);
	cr_assert(store_expire(store, bytes_of("a"), 200, 50));
	expect_value(store, "a", 199, "1");
	cr_assert(store_expire(store, bytes_of("a"), STORE_NEVER, 199));
	expect_value(store, "a", UINT64_MAX - 1, "1");
	cr_assert_eq(store_stats(store).mortal, 0);
	cr_assert_eq(set(store, "a", "2", 300, 250), 0);
	cr_assert_eq(set(store, "a", "3", STORE_NEVER, 250), 0);
	expect_value(store, "a", 300, "3");
	cr_assert_eq(store_stats(store).mortal, 0);
	end_store(store);
}

Test(kv_store, a_sweep_removes_what_nobody_asks_for)
{
	struct store *store = new_store();
	struct store_sweep all = { 0 };
	char key[16];

	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "%d", i);
		cr_assert_eq(set(store, key, "v", i % 2 ? 100 : STORE_NEVER, 0), 0);
	}
	cr_assert_eq(store_sweep(store, 10000, 99).expired, 0);
	for (size_t left = store_stats(store).buckets; left > 0; left -= left < 64 ? left : 64) {
		struct store_sweep found = store_sweep(store, 64, 100);

		all.expired += found.expired;
		cr_assert_leq(found.expired, found.mortal);
	}
	cr_assert_eq(all.expired, 500);
	cr_assert_eq(store_stats(store).count, 500);
	cr_assert_eq(store_stats(store).mortal, 0);
	end_store(store);
}

/*
 * The table.
 */

Test(kv_store, the_table_grows_and_shrinks_with_what_is_in_it)
{
	struct store *store = new_store();
	char key[16];

	for (int i = 0; i < 100000; i++) {
		snprintf(key, sizeof key, "%d", i);
		cr_assert_eq(set(store, key, "v", STORE_NEVER, 0), 0);
	}
	cr_assert_geq(store_stats(store).buckets, 65536);
	cr_assert_leq(store_stats(store).buckets, 3 * 131072);
	for (int i = 0; i < 100000; i++) {
		snprintf(key, sizeof key, "%d", i);
		expect_value(store, key, 0, "v");
	}
	for (int i = 0; i < 100000; i++) {
		snprintf(key, sizeof key, "%d", i);
		cr_assert(store_remove(store, bytes_of(key), 0));
	}
	for (size_t left = store_stats(store).buckets; left > 0; left -= left < 64 ? left : 64)
		store_sweep(store, 64, 0);
	cr_assert_eq(store_stats(store).buckets, 16);
	end_store(store);
}

Test(kv_store, a_cleared_store_is_empty_and_small)
{
	struct store *store = new_store();
	size_t empty = memory.used;
	char key[16];

	for (int i = 0; i < 10000; i++) {
		snprintf(key, sizeof key, "%d", i);
		cr_assert_eq(set(store, key, "v", (uint64_t)i, 0), 0);
	}
	store_clear(store);
	cr_assert_eq(store_stats(store).count, 0);
	cr_assert_eq(store_stats(store).mortal, 0);
	cr_assert_eq(memory.used, empty);
	expect_value(store, "1", 0, NULL);
	end_store(store);
}

/* The reference implementation's vector: key 00 01 .. 0f, no input. */
Test(kv_store, the_hash_is_siphash_1_3)
{
	struct siphash_seed bytes = { { UINT64_C(0x0706050403020100),
		UINT64_C(0x0f0e0d0c0b0a0908) } };

	cr_assert_eq(siphash(bytes, (struct bytes){ "", 0 }), UINT64_C(0xabac0158050fc4dc));
}

Test(kv_store, the_hash_depends_on_the_seed_and_on_every_byte)
{
	struct siphash_seed other = { { 1, 3 } };
	char text[40] = { 0 };

	for (size_t size = 0; size < sizeof text; size++) {
		uint64_t hash = siphash(seed, (struct bytes){ text, size });

		cr_assert_neq(hash, siphash(other, (struct bytes){ text, size }));
		cr_assert_neq(hash, siphash(seed, (struct bytes){ text, size + 1 }));
		for (size_t i = 0; i < size; i++) {
			text[i] = 1;
			cr_assert_neq(hash, siphash(seed, (struct bytes){ text, size }));
			text[i] = 0;
		}
	}
}

/*
 * Against a model: an array that is searched from end to end.
 */

#define MODEL_KEYS 300

struct model {
	struct {
		int is_there;
		char value[200];
		size_t size;
		uint64_t expires_ms;
	} keys[MODEL_KEYS];
};

static int
model_has(const struct model *model, uint32_t key, uint64_t now_ms)
{
	return model->keys[key].is_there && model->keys[key].expires_ms > now_ms;
}

struct visited {
	const struct model *model;
	uint64_t now_ms;
	size_t count;
	char seen[MODEL_KEYS];
};

static void
visit(const struct store_item *item, void *data)
{
	struct visited *visited = data;
	long long key;

	cr_assert_eq(bytes_to_integer(item->key, &key), 0);
	cr_assert(model_has(visited->model, (uint32_t)key, visited->now_ms));
	cr_assert(!visited->seen[key], "key %lld comes twice", key);
	visited->seen[key] = 1;
	visited->count++;
}

/* Everything that can be seen of the store is as in the model. */
static void
compare(struct store *store, const struct model *model, uint64_t now_ms)
{
	struct visited visited = { .model = model, .now_ms = now_ms };
	size_t count = 0, mortal = 0;

	store_each(store, now_ms, visit, &visited);
	for (uint32_t i = 0; i < MODEL_KEYS; i++) {
		char text[BYTES_INTEGER_MAX];
		struct bytes key = { text, bytes_from_integer(i, text) };
		struct bytes value = { model->keys[i].value, model->keys[i].size };
		struct store_item item;
		int is_there = store_find(store, key, now_ms, &item);

		cr_assert_eq(is_there, model_has(model, i, now_ms), "key %u", i);
		if (!is_there)
			continue;
		cr_assert(bytes_equal(item.value, value), "key %u", i);
		cr_assert_eq(item.expires_ms, model->keys[i].expires_ms);
		count++;
		mortal += item.expires_ms != STORE_NEVER;
	}
	cr_assert_eq(visited.count, count);
	cr_assert_eq(store_stats(store).count, count);
	cr_assert_eq(store_stats(store).mortal, mortal);
}

/* One random operation on both. With fewer keys in play the table shrinks again. */
static void
random_operation(struct store *store, struct model *model, uint32_t *random, uint64_t now_ms,
	uint32_t keys)
{
	uint32_t i = kv_random(random) % keys;
	char text[BYTES_INTEGER_MAX], value[200];
	struct bytes key = { text, bytes_from_integer(i, text) };
	size_t size = kv_random(random) % (kv_random(random) % 4 ? 10 : sizeof value);
	uint64_t expires_ms = kv_random(random) % 2 ? STORE_NEVER
						    : now_ms + kv_random(random) % 500;
	int was_there = model_has(model, i, now_ms);

	switch (kv_random(random) % 5) {
	case 0:
	case 1:
		memset(value, (int)(kv_random(random) % 256), size);
		if (store_set(store, key, (struct bytes){ value, size }, expires_ms, now_ms) < 0)
			break; /* refused: all is as it was */
		model->keys[i].is_there = 1;
		model->keys[i].size = size;
		model->keys[i].expires_ms = expires_ms;
		memcpy(model->keys[i].value, value, size);
		break;
	case 2:
		cr_assert_eq(store_remove(store, key, now_ms), was_there);
		model->keys[i].is_there = 0;
		break;
	case 3:
		cr_assert_eq(store_expire(store, key, expires_ms, now_ms), was_there);
		if (was_there)
			model->keys[i].expires_ms = expires_ms;
		break;
	default:
		store_sweep(store, kv_random(random) % 20, now_ms);
		break;
	}
}

static void
run_against_model(uint32_t random)
{
	static struct model model;
	struct store *store = new_store();
	uint64_t now_ms = 0;
	uint32_t keys = MODEL_KEYS;

	memset(&model, 0, sizeof model);
	for (int step = 0; step < 20000; step++) {
		if (step % 1000 == 0)
			keys = 1 + kv_random(&random) % MODEL_KEYS;
		if (kv_random(&random) % 2000 == 0) {
			store_clear(store);
			memset(&model, 0, sizeof model);
		}
		random_operation(store, &model, &random, now_ms, keys);
		now_ms += kv_random(&random) % 3;
		if (step % 100 == 0)
			compare(store, &model, now_ms);
	}
	compare(store, &model, now_ms);
	end_store(store);
}

Test(kv_store, random_operations_do_what_they_do_in_a_model)
{
	for (uint32_t i = 1; i <= 20; i++)
		run_against_model(i * 2654435761u | 1);
}

/*
 * Without memory.
 */

static int
refuse_sometimes(void *data, size_t size)
{
	(void)size;
	return kv_random(data) % 4 == 0;
}

Test(kv_store, operations_that_get_no_memory_change_nothing)
{
	uint32_t random = 12345;

	for (uint32_t i = 1; i <= 20; i++) {
		struct store *store;

		/* The store itself must come into being. */
		memory.refuse = NULL;
		store = new_store();
		end_store(store);
		memory.refuse = refuse_sometimes;
		memory.refuse_data = &random;
		while (store_create(&store, &memory, seed) < 0)
			cr_assert_eq(memory.used, 0);
		end_store(store);
	}

	for (uint32_t i = 1; i <= 20; i++) {
		static struct model model;
		struct store *store;
		uint32_t operations = i * 2654435761u | 1;

		memset(&model, 0, sizeof model);
		while (store_create(&store, &memory, seed) < 0)
			;
		for (uint64_t now_ms = 0; now_ms < 5000; now_ms++)
			random_operation(store, &model, &operations, now_ms, MODEL_KEYS);
		compare(store, &model, 5000);
		end_store(store);
	}
}

struct fault {
	int grants;        /* allocations until the one that is refused */
	int is_persistent; /* and all after it */
	int has_refused;
};

static int
refuse_nth(void *data, size_t size)
{
	struct fault *fault = data;

	(void)size;
	if (fault->grants-- > 0 || (fault->has_refused && !fault->is_persistent))
		return 0;
	fault->has_refused = 1;
	return 1;
}

/* A life of a store that grows, overwrites and shrinks; fails only as a whole call. */
static void
live(void)
{
	struct store *store;
	char key[16], value[64];

	if (store_create(&store, &memory, seed) < 0)
		return;
	for (int i = 0; i < 50; i++) {
		int r;

		snprintf(key, sizeof key, "%d", i);
		snprintf(value, sizeof value, "value %d", i);
		r = set(store, key, value, STORE_NEVER, 0);
		cr_assert(r == 0 || r == -ENOMEM);
		expect_value(store, key, 0, r == 0 ? value : NULL);
		r = r == 0 ? set(store, key, "something considerably longer than before", 10, 0)
			   : r;
		if (r == 0)
			expect_value(store, key, 0, "something considerably longer than before");
	}
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof key, "%d", i);
		store_remove(store, bytes_of(key), 0);
		expect_value(store, key, 0, NULL);
	}
	store_sweep(store, 1000, 10);
	cr_assert_leq(store_stats(store).mortal, store_stats(store).count);
	store_clear(store);
	cr_assert_eq(store_stats(store).count, 0);
	store_destroy(store);
}

Test(kv_store, any_single_allocation_and_any_rest_of_them_may_fail)
{
	struct fault fault;
	int refused = 0;

	memory.refuse = refuse_nth;
	memory.refuse_data = &fault;
	for (int is_persistent = 0; is_persistent < 2; is_persistent++) {
		int n = 0;

		do {
			fault = (struct fault){ .grants = n++, .is_persistent = is_persistent };
			live();
			refused += fault.has_refused;
			cr_assert_eq(memory.used, 0, "after allocation %d", n);
		} while (fault.has_refused);
	}
	cr_assert_gt(refused, 200);
}

Test(kv_store, the_limit_of_memory_holds)
{
	struct store *store;
	char key[16];
	int r = 0, i;

	memory.limit = 100000;
	store = new_store();
	for (i = 0; i < 100000 && r == 0; i++) {
		snprintf(key, sizeof key, "%d", i);
		r = set(store, key, "some value", STORE_NEVER, 0);
		cr_assert_leq(memory.used, 100000);
	}
	cr_assert_eq(r, -ENOMEM);
	cr_assert_gt(i, 1000);
	expect_value(store, "0", 0, "some value");

	/* What is removed makes room. */
	cr_assert(store_remove(store, bytes_of("0"), 0));
	cr_assert_eq(set(store, "1", "some value", STORE_NEVER, 0), 0);
	cr_assert_eq(set(store, "0", "some value", STORE_NEVER, 0), 0);
	end_store(store);
}
