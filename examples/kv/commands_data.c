/* The commands that read and change the data. */
#include "commands_int.h"
#include "glob.h"

#include <limits.h>

/* Moments that are further away than this can't be counted in milliseconds, as in Redis. */
#define END_MAX (LLONG_MAX / 2)

/* Bytes of a pattern for KEYS. */
#define PATTERN_MAX 1024

static void
reply_status(const struct call *call, int r)
{
	if (r < 0)
		reply_error(call->out, "OOM command not allowed when used memory > 'maxmemory'.");
	else
		reply_simple(call->out, "OK");
}

/* Finds the key in an argument, and counts for INFO how often keys are there. */
static int
look_up(const struct call *call, uint32_t index, struct store_item *ret_item)
{
	int is_there = store_find(call->kv->store, arg(call, index), call->now_ms, ret_item);

	if (is_there)
		call->kv->hits++;
	else
		call->kv->misses++;
	return is_there;
}

/* Replies with the value of the key in an argument, or that there is none. */
static void
reply_value(const struct call *call, uint32_t index)
{
	struct store_item item;

	if (look_up(call, index, &item))
		reply_bulk(call->out, item.value);
	else
		reply_null(call->out);
}

/*
 * Values.
 */

void
command_get(struct call *call)
{
	reply_value(call, 1);
}

void
command_mget(struct call *call)
{
	reply_array(call->out, call->count - 1);
	for (uint32_t i = 1; i < call->count && !call->out->has_failed; i++)
		reply_value(call, i);
}

void
command_strlen(struct call *call)
{
	struct store_item item;

	reply_integer(call->out, look_up(call, 1, &item) ? (long long)item.value.size : 0);
}

/* What came behind SET key value. */
struct set_options {
	int if_absent, if_present; /* NX, XX */
	int keeps_end;             /* KEEPTTL */
	int wants_old;             /* GET */
	uint64_t expires_ms;       /* EX, PX */
};

static void
reply_invalid_time(const struct call *call)
{
	reply_error(call->out, "ERR invalid expire time in '%s' command", call->command->name);
}

/*
 * Reads a time from now, in units of so many milliseconds. Returns -1, and the
 * reply is an error, when the argument is no number, or the moment can't be told.
 */
static int
moment_of(const struct call *call, uint32_t index, long long unit_ms, long long *ret_moment)
{
	long long delay, end = END_MAX - (long long)call->now_ms;

	if (arg_integer(call, index, &delay) < 0)
		return -1;
	if (delay > end / unit_ms || delay < -END_MAX / unit_ms) {
		reply_invalid_time(call);
		return -1;
	}
	*ret_moment = (long long)call->now_ms + delay * unit_ms;
	return 0;
}

static int
set_option_time(const struct call *call, uint32_t index, long long unit_ms,
	uint64_t *ret_expires_ms)
{
	long long moment;

	if (moment_of(call, index, unit_ms, &moment) < 0)
		return -1;
	if (moment <= (long long)call->now_ms) {
		reply_invalid_time(call);
		return -1;
	}
	*ret_expires_ms = (uint64_t)moment;
	return 0;
}

static int
read_set_options(const struct call *call, struct set_options *ret_options)
{
	struct set_options o = { .expires_ms = STORE_NEVER };
	int has_end = 0;

	for (uint32_t i = 3; i < call->count; i++) {
		int in_seconds = arg_is(call, i, "ex");

		if (arg_is(call, i, "nx") && !o.if_present) {
			o.if_absent = 1;
		} else if (arg_is(call, i, "xx") && !o.if_absent) {
			o.if_present = 1;
		} else if (arg_is(call, i, "get")) {
			o.wants_old = 1;
		} else if (arg_is(call, i, "keepttl") && !has_end) {
			o.keeps_end = 1;
		} else if ((in_seconds || arg_is(call, i, "px")) && !has_end && !o.keeps_end &&
			i + 1 < call->count) {
			if (set_option_time(call, ++i, in_seconds ? 1000 : 1, &o.expires_ms) < 0)
				return -1;
			has_end = 1;
		} else {
			reply_syntax_error(call);
			return -1;
		}
	}
	*ret_options = o;
	return 0;
}

void
command_set(struct call *call)
{
	struct store *store = call->kv->store;
	size_t start = call->out->size;
	struct set_options options;
	struct store_item old;
	int was_there, r;

	if (read_set_options(call, &options) < 0)
		return;

	was_there = store_find(store, arg(call, 1), call->now_ms, &old);
	if (options.keeps_end && was_there)
		options.expires_ms = old.expires_ms;

	/* The old value goes into the reply before the new one takes its place. */
	if (options.wants_old)
		reply_value(call, 1);
	if (was_there ? options.if_absent : options.if_present) {
		if (!options.wants_old)
			reply_null(call->out);
		return;
	}
	if (call->out->has_failed)
		return; /* nobody would learn the old value: leave it where it is */

	r = store_set(store, arg(call, 1), arg(call, 2), options.expires_ms, call->now_ms);
	if (r < 0)
		buffer_rewind(call->out, start);
	if (r < 0 || !options.wants_old)
		reply_status(call, r);
}

/* Without memory for all of them the first ones are set, and the reply says OOM. */
void
command_mset(struct call *call)
{
	int r = 0;

	if (call->count % 2 == 0) {
		reply_wrong_count(call, call->command->name);
		return;
	}
	for (uint32_t i = 1; i < call->count && r == 0; i += 2)
		r = store_set(call->kv->store, arg(call, i), arg(call, i + 1), STORE_NEVER,
			call->now_ms);
	reply_status(call, r);
}

static void
add(const struct call *call, long long number)
{
	struct store_item item = { .expires_ms = STORE_NEVER };
	char text[BYTES_INTEGER_MAX];
	struct bytes value = { text, 0 };
	long long sum = 0;
	int r;

	if (store_find(call->kv->store, arg(call, 1), call->now_ms, &item) &&
		bytes_to_integer(item.value, &sum) < 0) {
		reply_error(call->out, "ERR value is not an integer or out of range");
		return;
	}
	if (number < 0 ? sum < LLONG_MIN - number : sum > LLONG_MAX - number) {
		reply_error(call->out, "ERR increment or decrement would overflow");
		return;
	}

	sum += number;
	value.size = bytes_from_integer(sum, text);
	r = store_set(call->kv->store, arg(call, 1), value, item.expires_ms, call->now_ms);
	if (r < 0)
		reply_status(call, r);
	else
		reply_integer(call->out, sum);
}

void
command_incr(struct call *call)
{
	add(call, 1);
}

void
command_decr(struct call *call)
{
	add(call, -1);
}

void
command_incrby(struct call *call)
{
	long long number;

	if (arg_integer(call, 2, &number) == 0)
		add(call, number);
}

void
command_decrby(struct call *call)
{
	long long number;

	if (arg_integer(call, 2, &number) < 0)
		return;
	if (number == LLONG_MIN)
		reply_error(call->out, "ERR decrement would overflow");
	else
		add(call, -number);
}

/*
 * Keys.
 */

void
command_del(struct call *call)
{
	long long removed = 0;

	for (uint32_t i = 1; i < call->count; i++)
		removed += store_remove(call->kv->store, arg(call, i), call->now_ms);
	reply_integer(call->out, removed);
}

void
command_exists(struct call *call)
{
	long long found = 0;

	for (uint32_t i = 1; i < call->count; i++)
		found += look_up(call, i, NULL);
	reply_integer(call->out, found);
}

void
command_type(struct call *call)
{
	reply_simple(call->out, look_up(call, 1, NULL) ? "string" : "none");
}

static void
expire(const struct call *call, long long unit_ms)
{
	struct store *store = call->kv->store;
	long long moment;

	if (moment_of(call, 2, unit_ms, &moment) < 0)
		return;
	if (moment <= (long long)call->now_ms)
		reply_integer(call->out, store_remove(store, arg(call, 1), call->now_ms));
	else
		reply_integer(call->out,
			store_expire(store, arg(call, 1), (uint64_t)moment, call->now_ms));
}

void
command_expire(struct call *call)
{
	expire(call, 1000);
}

void
command_pexpire(struct call *call)
{
	expire(call, 1);
}

void
command_persist(struct call *call)
{
	struct store_item item;
	int has_end = store_find(call->kv->store, arg(call, 1), call->now_ms, &item) &&
		item.expires_ms != STORE_NEVER;

	if (has_end)
		store_expire(call->kv->store, arg(call, 1), STORE_NEVER, call->now_ms);
	reply_integer(call->out, has_end);
}

/* -2: no such key; -1: it stays for good; else what is left, rounded to the unit. */
static void
reply_time_left(const struct call *call, uint64_t unit_ms)
{
	struct store_item item;

	if (!look_up(call, 1, &item))
		reply_integer(call->out, -2);
	else if (item.expires_ms == STORE_NEVER)
		reply_integer(call->out, -1);
	else
		reply_integer(call->out,
			(long long)((item.expires_ms - call->now_ms + unit_ms / 2) / unit_ms));
}

void
command_ttl(struct call *call)
{
	reply_time_left(call, 1000);
}

void
command_pttl(struct call *call)
{
	reply_time_left(call, 1);
}

/*
 * All keys.
 */

struct keys {
	struct bytes pattern;
	struct buffer *out; /* NULL: only count */
	size_t count;
};

static void
visit_key(const struct store_item *item, void *data)
{
	struct keys *keys = data;

	if (!glob_matches(keys->pattern, item->key))
		return;
	keys->count++;
	if (keys->out != NULL && !keys->out->has_failed)
		reply_bulk(keys->out, item->key);
}

/*
 * The number of keys comes before the keys, so they are counted first. Nobody
 * else runs meanwhile, so the time a stranger's pattern can take is bounded.
 */
void
command_keys(struct call *call)
{
	struct keys keys = { .pattern = arg(call, 1) };

	if (keys.pattern.size > PATTERN_MAX) {
		reply_error(call->out, "ERR pattern is longer than %d bytes", PATTERN_MAX);
		return;
	}
	store_each(call->kv->store, call->now_ms, visit_key, &keys);
	reply_array(call->out, keys.count);
	keys.out = call->out;
	store_each(call->kv->store, call->now_ms, visit_key, &keys);
}

void
command_dbsize(struct call *call)
{
	reply_integer(call->out, (long long)store_stats(call->kv->store).count);
}

/* FLUSHDB and FLUSHALL; ASYNC and SYNC mean the same here. */
void
command_flush(struct call *call)
{
	if (call->count > 2 ||
		(call->count == 2 && !arg_is(call, 1, "async") && !arg_is(call, 1, "sync"))) {
		reply_syntax_error(call);
		return;
	}
	store_clear(call->kv->store);
	reply_simple(call->out, "OK");
}
