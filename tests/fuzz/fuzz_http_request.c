/*
 * Fuzzes what http does with requests: any bytes, cut in any way, must be taken without
 * a fault and give the same requests as in one piece; and so must what reads their fields.
 *
 *     clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -I. \
 *             -DLLHTTP_STRICT_MODE=1 -isystem /usr/share/include/llhttp -Wno-everything \
 *             tests/fuzz/fuzz_http_request.c tests/support/http_trace.c \
 *             examples/http/{bytes,conditions,date,path,request}.c \
 *             /usr/share/llhttp/{api,http,llhttp}.c -o fuzz_http_request
 *     ./fuzz_http_request -max_total_time=60 -dict=tests/fuzz/fuzz_http_request.dict
 *
 * The first four bytes seed the cuts; the rest is what the client sends. The limits are
 * small, so that short inputs reach them.
 */
#include <stdlib.h>

#include "examples/http/conditions.h"
#include "examples/http/date.h"
#include "examples/http/path.h"
#include "tests/support/http_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct request_limits limits = { .head = 256, .target = 64, .fields = 8, .body = 64 };

/* What is broken in two ways has one status or the other. */
static size_t
size_without_status(const char *trace, size_t size)
{
	static const char broken[] = "broken 400\n";
	const size_t end = sizeof broken - 1;

	return size >= end && memcmp(trace + size - end, broken, 7) == 0 ? size - 4 : size;
}

static void
compare_cuts(struct bytes input, uint32_t seed)
{
	size_t whole_size, pieces_size;
	char *whole = http_trace(&limits, input, http_piece_whole, NULL, &whole_size);
	char *pieces = http_trace(&limits, input, http_piece_random, &seed, &pieces_size);

	whole_size = size_without_status(whole, whole_size);
	pieces_size = size_without_status(pieces, pieces_size);
	if (whole_size != pieces_size || memcmp(whole, pieces, whole_size) != 0)
		abort();
	free(whole);
	free(pieces);
}

/* The fields of the first head, if it has one, as file.c reads them. */
static void
read_fields(struct bytes input)
{
	const struct version version = version_of(784111777500000000, 1000);
	char path[PATH_SIZE], *copy = malloc(input.size + 1);
	struct bytes body, rest = { copy, input.size };
	struct request request;
	struct range range;

	memcpy(copy, input.data, input.size);
	request_init(&request, &limits);
	if (request_parse(&request, &rest, &body) == REQUEST_HEAD) {
		const int status = conditions_check(&request, &version, 1000, &range);

		if (status == 206 &&
			(range.offset < 0 || range.size < 1 || range.size > 1000 - range.offset))
			abort();
		if (path_decode(request_path(&request), path) == 0 &&
			(path[0] == '/' || strstr(path, "..") == path || strstr(path, "/../")))
			abort();
		(void)path_type(path);
	}
	request_deinit(&request);
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t seed = 1;
	struct bytes input;

	if (size < sizeof seed)
		return 0;
	memcpy(&seed, data, sizeof seed);
	input = (struct bytes){ (const char *)data + sizeof seed, size - sizeof seed };
	compare_cuts(input, seed | 1);
	read_fields(input);
	return 0;
}
