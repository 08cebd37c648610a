/*
 * Fuzzes kv's parser: any bytes, cut in any way, must be taken without a fault and
 * give the same requests as in one piece.
 *
 *     clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -I. \
 *             tests/fuzz/fuzz_kv_resp.c tests/support/kv_trace.c \
 *             examples/kv/{resp,buffer,bytes,memory}.c -o fuzz_kv_resp
 *     ./fuzz_kv_resp -max_total_time=60 -dict=tests/fuzz/fuzz_kv_resp.dict
 *
 * The first four bytes seed the cuts; the rest is what the client sends. The
 * limits are small, so that short inputs reach them.
 */
#include <stdlib.h>

#include "tests/support/kv_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct resp_limits limits = { .line = 48,
		.bulk = 64,
		.request = 160,
		.args = 6 };
	struct memory memory = { .limit = 64 << 20 };
	struct buffer whole, pieces;
	struct bytes input;
	uint32_t seed = 1;

	if (size < sizeof seed)
		return 0;
	memcpy(&seed, data, sizeof seed);
	seed |= 1;
	input = (struct bytes){ (const char *)data + sizeof seed, size - sizeof seed };

	buffer_init(&whole, &memory, 32 << 20);
	buffer_init(&pieces, &memory, 32 << 20);
	kv_trace(&whole, &limits, &memory, input, kv_piece_whole, NULL);
	kv_trace(&pieces, &limits, &memory, input, kv_piece_random, &seed);
	if (whole.size != pieces.size || memcmp(whole.data, pieces.data, whole.size) != 0)
		abort();

	buffer_deinit(&whole);
	buffer_deinit(&pieces);
	if (memory.used != 0)
		abort();
	return 0;
}
