/*
 * A piece of text that belongs to somebody else, with no 0 at its end.
 */
#ifndef HTTP_BYTES_H
#define HTTP_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const char *data;
	size_t size;
};

/** The bytes of a text that ends with 0. */
static inline struct bytes
bytes_of(const char *text)
{
	return (struct bytes){ text, strlen(text) };
}

/** Are they the same? */
static inline int
bytes_equal(struct bytes a, struct bytes b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/** The same, where capital letters are as good as small ones, as in the names of fields. */
int bytes_equal_nocase(struct bytes a, struct bytes b);

/** Without the spaces and tabs at both ends. */
struct bytes bytes_trim(struct bytes text);

/**
 * Takes what comes before the next @separator, trimmed, off the front of @list.
 *
 * @return 1; 0: there is nothing left
 */
int bytes_next(struct bytes *list, char separator, struct bytes *ret_item);

/** Reads a decimal number of digits only. 0; -1: it is none, or more than INT64_MAX. */
int bytes_to_number(struct bytes text, int64_t *ret_number);

#endif
