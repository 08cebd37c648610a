/*
 * Feeds bytes to kv's parser in pieces, as a connection does, and writes down
 * what comes of them, a line each:
 *
 *     request 3:GET 5:hello
 *     rejected ERR Protocol error: unbalanced quotes in request
 *     broken ERR Protocol error: invalid bulk length
 *     more 12                     at the end: so many bytes wait for the rest
 *
 * Two ways of cutting the same bytes must give the same trace.
 */
#ifndef TESTS_SUPPORT_KV_TRACE_H
#define TESTS_SUPPORT_KV_TRACE_H

#include "examples/kv/resp.h"

/** How many bytes come next, at least 1. */
typedef size_t kv_piece_fn(void *data);

/** Pieces of one byte. */
size_t kv_piece_byte(void *data);

/** All at once. */
size_t kv_piece_whole(void *data);

/** Pieces of 1 to 16 bytes; @data is the uint32_t state of kv_random(). */
size_t kv_piece_random(void *data);

/** A small generator of numbers, the same everywhere; the state is not zero. */
uint32_t kv_random(uint32_t *state);

/**
 * Parses all of @input; what waits for more lies in a block of exactly that size,
 * so that a sanitizer sees every byte read behind it.
 *
 * @param memory  of the parser; when it is done, all of it is given back
 * @param trace   initialised by the caller; the text ends with a zero that is not counted
 */
void kv_trace(struct buffer *trace, const struct resp_limits *limits, struct memory *memory,
	struct bytes input, kv_piece_fn *piece, void *piece_data);

#endif
