/*
 * Runs the parser of PROXY headers over bytes that are cut in some way, and says what
 * it made of them: for its tests and its fuzzer.
 */
#ifndef TESTS_SUPPORT_PROXY_TRACE_H
#define TESTS_SUPPORT_PROXY_TRACE_H

#include <stdlib.h>
#include <string.h>

#include <cede/base.h>

#include "net/proxy_protocol.h"

/** How many bytes are given next, of as many as there is room for. */
typedef size_t proxy_piece_fn(size_t room, void *data);

static inline size_t
proxy_piece_whole(size_t room, void *data)
{
	return room;
}

static inline size_t
proxy_piece_byte(size_t room, void *data)
{
	return 1;
}

/** @data: a uint32_t, not 0. */
static inline size_t
proxy_piece_random(size_t room, void *data)
{
	uint32_t *x = data;

	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return 1 + *x % room;
}

/**
 * Feeds it.
 *
 * @param ret_used  bytes that were taken
 * @return 1: complete; 0: there are not enough bytes; CEDE_EPROTO
 */
static inline int
proxy_trace(struct cede__proxy *p, const void *bytes, size_t size, proxy_piece_fn *piece,
	void *data, size_t *ret_used)
{
	size_t used = 0;
	int r = 0;

	cede__proxy_init(p);
	while (r == 0 && used < size) {
		size_t n;

		if (p->room == 0 || p->into < p->bytes ||
			p->into + p->room > p->bytes + sizeof p->bytes)
			abort(); /* no room, or room that is not its own */
		n = piece(p->room, data);
		if (n > size - used)
			n = size - used;
		memcpy(p->into, (const char *)bytes + used, n);
		used += n;
		r = cede__proxy_feed(p, n);
	}
	*ret_used = used;
	return r;
}

#endif
