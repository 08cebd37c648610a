/*
 * Fuzzes the reads that look ahead: any bytes, cut in any way, must give the same lines
 * and parts as in one piece, and what they give must be what a plain search finds.
 *
 *     clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -I. -Iinclude \
 *             -IBUILD/include tests/fuzz/fuzz_stream_lines.c BUILD/libcede.a -luv -lssl -lcrypto \
 *             -o fuzz_stream_lines
 *     ./fuzz_stream_lines -max_total_time=60
 *
 * The first four bytes are the limit, the delimiter's size and a seed of the cuts, the
 * delimiter follows, the rest is what the peer sends, over a pair in memory. A limit
 * is small, so that short inputs reach it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cede/cede.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const char *data;
	size_t size;
	const void *delimiter;
	size_t delimiter_size, limit;
	unsigned seed; /* 0: in one piece */
	cede_stream_t *from, *to;
};

#define require(condition) ((condition) ? (void)0 : abort())

static int
send_pieces(void *arg)
{
	struct input *in = arg;
	size_t n;

	for (size_t at = 0; at < in->size; at += n) {
		n = in->size - at;
		if (in->seed && n > 1)
			n = 1 + (size_t)rand_r(&in->seed) % (n < 9 ? n : 9);
		if (cede_write(in->from, in->data + at, n) < 0)
			return 0; /* it is not read any more */
		if (cede_sleep(0) < 0)
			return 0;
	}
	(void)cede_shutdown_write(in->from);
	return 0;
}

/* What is due of the rest of the input. */
static ssize_t
due(const struct input *in, size_t at, ssize_t at_end)
{
	const char *rest = in->data + at;
	const size_t size = in->size - at;
	const char *end = memmem(rest, size, in->delimiter, in->delimiter_size);
	const size_t whole = end ? (size_t)(end - rest) + in->delimiter_size : SIZE_MAX;

	if (whole <= in->limit)
		return (ssize_t)whole;
	return size >= in->limit ? CEDE_EMSGSIZE : size > 0 ? at_end : 0;
}

static void
check_parts(struct input *in)
{
	const void *data;
	size_t at = 0;
	ssize_t n, expected;

	do {
		expected = due(in, at, CEDE_EOF);
		n = cede_read_until(in->to, in->delimiter, in->delimiter_size, in->limit, &data);
		require(n == expected);
		if (n > 0) {
			require(memcmp(data, in->data + at, (size_t)n) == 0);
			at += (size_t)n;
		}
	} while (n > 0);
}

static void
check_lines(struct input *in)
{
	size_t at = 0, size;
	ssize_t expected;
	char *line;
	int r;

	do {
		expected = due(in, at, (ssize_t)(in->size - at));
		r = cede_read_line(in->to, in->limit, &line, &size);
		require(r == (expected > 0 ? 1 : expected));
		if (r > 0) {
			require(size <= (size_t)expected && (size_t)expected - size <= 2);
			require(memcmp(line, in->data + at, size) == 0 && line[size] == '\0');
			at += (size_t)expected;
		}
	} while (r > 0);
}

static int
run(void *arg)
{
	struct input *in = arg;

	require(cede_stream_pair(&in->from, &in->to, 0) == 0);
	{
		CEDE_GROUP(group);

		require(cede_spawn(&group, send_pieces, in) == 0);
		if (in->delimiter_size == 1 && *(const char *)in->delimiter == '\n')
			check_lines(in);
		else
			check_parts(in);
		cede_close(in->to);
		require(cede_group_wait(&group) == 0);
	}
	cede_close(in->from);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .seed = 0 };

	if (size < 5)
		return 0;
	in.limit = 1 + data[0] % 64;
	in.delimiter_size = 1 + data[1] % 4;
	if (size < 4 + in.delimiter_size)
		return 0;
	in.delimiter = data[1] & 128 ? (const void *)"\n" : data + 4;
	if (data[1] & 128)
		in.delimiter_size = 1;
	in.data = (const char *)data + 4 + in.delimiter_size;
	in.size = size - 4 - in.delimiter_size;
	require(cede_run(run, &in) == 0);
	in.seed = 1u + data[2] + 256u * data[3];
	require(cede_run(run, &in) == 0);
	return 0;
}
