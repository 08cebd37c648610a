/*
 * Feeds bytes to http's requests in pieces, as a connection does, and writes down
 * what comes of them, a line each:
 *
 *     GET /path?query HTTP/1.1 host=a accept=b
 *     POST /echo HTTP/1.1 host=a, expects, chunked, length 5, closes
 *     body hello
 *     end
 *     broken 400
 *
 * Two ways of cutting the same bytes must give the same trace, but for the status of
 * what is broken in more than one way.
 */
#ifndef TESTS_SUPPORT_HTTP_TRACE_H
#define TESTS_SUPPORT_HTTP_TRACE_H

#include "examples/http/request.h"

/** How many bytes come next, at least 1. */
typedef size_t http_piece_fn(void *data);

/** Pieces of one byte. */
size_t http_piece_byte(void *data);

/** All at once. */
size_t http_piece_whole(void *data);

/** Pieces of 1 to 16 bytes; @data is a uint32_t that is not 0. */
size_t http_piece_random(void *data);

/**
 * Parses all of @input, each piece in a block of exactly its size, so that a sanitizer
 * sees every byte read behind it, and everything that is kept of it.
 *
 * @param ret_size  of the trace
 * @return the trace, with a 0 behind it: to be freed
 */
char *http_trace(const struct request_limits *limits, struct bytes input, http_piece_fn *piece,
	void *piece_data, size_t *ret_size);

#endif
