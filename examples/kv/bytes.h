/*
 * A piece of somebody else's memory: how keys, values and arguments are passed
 * around. Any bytes, never owned, never ended by a zero, never NULL.
 */
#ifndef KV_BYTES_H
#define KV_BYTES_H

#include <stddef.h>
#include <string.h>

struct bytes {
	const char *data;
	size_t size;
};

static inline struct bytes
bytes_of(const char *text)
{
	return (struct bytes){ text, strlen(text) };
}

static inline int
bytes_equal(struct bytes a, struct bytes b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/** Is it this word, in any mixture of upper and lower case? */
int bytes_is(struct bytes text, const char *word);

/**
 * Reads a whole number as Redis does: an optional '-', no '+', no blanks, no
 * leading zeros, nothing after it.
 *
 * @return 0; -1: not such a number, or one that a long long can't hold
 */
int bytes_to_integer(struct bytes text, long long *ret_number);

/** Room for any long long as text, without a zero at its end. */
#define BYTES_INTEGER_MAX 20

/** Writes a number at @text, which has BYTES_INTEGER_MAX bytes; returns how many it took. */
size_t bytes_from_integer(long long number, char *text);

#endif
