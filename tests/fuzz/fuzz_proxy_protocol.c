/*
 * Fuzzes the parser of PROXY headers: any bytes, cut in any way, must be taken without
 * a fault, give the same as in one piece, and none may be taken from behind a header.
 *
 *     clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined \
 *             -I. -Iinclude tests/fuzz/fuzz_proxy_protocol.c \
 *             net/proxy_protocol.c -o fuzz_proxy_protocol
 *     ./fuzz_proxy_protocol -max_total_time=60 -dict=tests/fuzz/fuzz_proxy_protocol.dict
 *
 * The first four bytes seed the cuts; the rest is what the peer sends.
 */
#include "tests/support/proxy_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cede__proxy whole, pieces;
	size_t used, used_pieces;
	uint32_t seed;
	int r;

	if (size < sizeof seed)
		return 0;
	memcpy(&seed, data, sizeof seed);
	seed |= 1;
	data += sizeof seed;
	size -= sizeof seed;

	r = proxy_trace(&whole, data, size, proxy_piece_whole, NULL, &used);
	if (proxy_trace(&pieces, data, size, proxy_piece_random, &seed, &used_pieces) != r)
		abort();
	if (used > CEDE__PROXY_V2_MAX)
		abort();
	if (r != 1)
		return 0;
	if (used != used_pieces || memcmp(&whole.names, &pieces.names, sizeof whole.names) != 0)
		abort();
	/* It ends there: without its last byte it is not complete, with others behind it the same. */
	if (proxy_trace(&pieces, data, used - 1, proxy_piece_whole, NULL, &used_pieces) != 0)
		abort();
	return 0;
}
