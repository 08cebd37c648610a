#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/kv_trace.h"

TestSuite(kv_resp, .timeout = 30);

static const struct resp_limits default_limits = RESP_LIMITS_DEFAULT;
static const struct resp_limits small_limits = { .line = 32,
	.bulk = 16,
	.request = 100,
	.args = 4 };

/* A trace of the input, in memory of its own; the parser's is checked for leaks. */
static struct buffer
trace_of(struct bytes input, const struct resp_limits *limits, kv_piece_fn *piece, void *data)
{
	static struct memory trace_memory = { .limit = SIZE_MAX };
	struct memory memory = { .limit = SIZE_MAX };
	struct buffer trace;

	buffer_init(&trace, &trace_memory, SIZE_MAX / 2);
	kv_trace(&trace, limits, &memory, input, piece, data);
	cr_assert_eq(memory.used, 0, "%zu bytes were not given back", memory.used);
	return trace;
}

static void
expect_bytes(struct bytes input, const struct resp_limits *limits, const char *expected)
{
	struct buffer whole = trace_of(input, limits, kv_piece_whole, NULL);
	struct buffer bytes = trace_of(input, limits, kv_piece_byte, NULL);

	cr_expect_str_eq(whole.data, expected, "input %s", input.data);
	cr_expect_str_eq(bytes.data, expected, "byte by byte, input %s", input.data);
	buffer_deinit(&whole);
	buffer_deinit(&bytes);
}

static void
expect(const char *input, const char *expected)
{
	expect_bytes(bytes_of(input), &default_limits, expected);
}

static void
expect_small(const char *input, const char *expected)
{
	expect_bytes(bytes_of(input), &small_limits, expected);
}

/*
 * Requests.
 */

Test(kv_resp, an_array_gives_its_arguments)
{
	expect("*1\r\n$4\r\nPING\r\n", "request 4:PING\n");
	expect("*2\r\n$3\r\nGET\r\n$5\r\nhello\r\n", "request 3:GET 5:hello\n");
	expect("*2\r\n$0\r\n\r\n$0\r\n\r\n", "request 0: 0:\n");
}

Test(kv_resp, arguments_may_hold_any_bytes)
{
	expect("*1\r\n$4\r\n\r\n\r\n\r\n", "request 4:\r\n\r\n\n");
	expect_bytes((struct bytes){ "*1\r\n$3\r\na\0b\r\n", 13 }, &default_limits, "request 3:a");
}

Test(kv_resp, requests_may_follow_each_other_at_once)
{
	expect("*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\nc d\r\n*1\r\n$1\r\n",
		"request 1:a\nrequest 1:b\nrequest 1:c 1:d\nmore 8\n");
}

Test(kv_resp, empty_requests_ask_for_nothing)
{
	expect("\r\n", "request\n");
	expect("\n", "request\n");
	expect(" \t\r\n", "request\n");
	expect("*0\r\n", "request\n");
	expect("*-1\r\n", "request\n");
	expect("*-9223372036854775808\r\nPING\r\n", "request\nrequest 4:PING\n");
}

Test(kv_resp, a_typed_line_is_cut_at_blanks)
{
	expect("PING\r\n", "request 4:PING\n");
	expect("PING\n", "request 4:PING\n");
	expect("  SET   a\tb  \r\n", "request 3:SET 1:a 1:b\n");
}

Test(kv_resp, quotes_hold_blanks_and_escapes)
{
	static const char *const cases[][2] = {
		{ "SET a \"hello world\"\r\n", "request 3:SET 1:a 11:hello world\n" },
		{ "SET a 'hello world'\r\n", "request 3:SET 1:a 11:hello world\n" },
		{ "\"\" ''\r\n", "request 0: 0:\n" },
		{ "\"a\\\"b\\\\c\"\r\n", "request 5:a\"b\\c\n" },
		{ "\"\\n\\r\\t\\b\\a\"\r\n", "request 5:\n\r\t\b\a\n" },
		{ "\"\\x41\\x4a\\x4A\"\r\n", "request 3:AJJ\n" },
		{ "\"\\x4\\xg1\\q\"\r\n", "request 6:x4xg1q\n" },
		{ "'a\\'b\\n\"'\r\n", "request 6:a'b\\n\"\n" },
		{ "a\"b c\"\r\n", "request 4:ab c\n" },
		{ "a\\nb\r\n", "request 4:a\\nb\n" },
		{ "\"a\" \"b\"\r\n", "request 1:a 1:b\n" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect(cases[i][0], cases[i][1]);
}

Test(kv_resp, a_line_with_an_open_quote_is_rejected_and_the_next_one_is_taken)
{
	static const char *const lines[] = { "\"a\r\n", "'a\r\n", "a\"b\"c\r\n", "\"\\\"\r\n",
		"\"\\\r\n" };

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		char input[64];

		snprintf(input, sizeof input, "SET %sPING\r\n", lines[i]);
		expect(input,
			"rejected ERR Protocol error: unbalanced quotes in request\nrequest "
			"4:PING\n");
	}
}

/*
 * What can't be understood.
 */

Test(kv_resp, errors_have_the_words_of_redis)
{
	static const char *const cases[][2] = {
		{ "*a\r\n", "invalid multibulk length" },
		{ "*\r\n", "invalid multibulk length" },
		{ "*1\n", "invalid multibulk length" },
		{ "* 1\r\n", "invalid multibulk length" },
		{ "*+1\r\n", "invalid multibulk length" },
		{ "*01\r\n", "invalid multibulk length" },
		{ "*-0\r\n", "invalid multibulk length" },
		{ "*9223372036854775808\r\n", "invalid multibulk length" },
		{ "*65537\r\n", "invalid multibulk length" },
		{ "*1\r\n$a\r\n", "invalid bulk length" },
		{ "*1\r\n$\r\n", "invalid bulk length" },
		{ "*1\r\n$-1\r\n", "invalid bulk length" },
		{ "*1\r\n$16777217\r\n", "invalid bulk length" },
		{ "*1\r\n$400000000\r\n", "invalid bulk length" },
		{ "*1\r\n$1\r\nabc", "invalid bulk length" },
		{ "*1\r\nPING\r\n", "expected '$', got 'P'" },
		{ "*1\r\n\r\n", "expected '$', got '?'" },
		{ "*2\r\n$1\r\na\r\n*", "expected '$', got '*'" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char expected[128];

		snprintf(expected, sizeof expected, "broken ERR Protocol error: %s\n", cases[i][1]);
		expect(cases[i][0], expected);
	}
}

Test(kv_resp, what_is_broken_stays_broken)
{
	struct memory memory = { .limit = SIZE_MAX };
	struct resp_parser parser;
	char bad[] = "*x\r\n", good[] = "PING\r\n";

	resp_init(&parser, &default_limits, &memory);
	cr_assert_eq(resp_parse(&parser, bad, 4), RESP_BROKEN);
	cr_assert_eq(resp_parse(&parser, good, 6), RESP_BROKEN);
	cr_assert_str_eq(parser.error, "ERR Protocol error: invalid multibulk length");
	resp_deinit(&parser);
}

/*
 * Limits.
 */

Test(kv_resp, a_typed_line_may_have_as_many_bytes_as_its_limit)
{
	expect_small("123456789012345678901234567890\r\n",
		"request 30:123456789012345678901234567890\n");
	expect_small("1234567890123456789012345678901\r\n",
		"broken ERR Protocol error: too big inline request\n");
	expect_small("123456789012345678901234567890123",
		"broken ERR Protocol error: too big inline request\n");
	expect_small("12345678901234567890123456789012", "more 32\n");
}

/* With its type, its '\r' and its '\n' a line of 29 digits has 32 bytes. */
Test(kv_resp, the_lines_of_an_array_have_the_same_limit)
{
	static const struct {
		const char *format; /* of a number with leading zeros */
		int digits;
		const char *error;
	} cases[] = {
		{ "*%0*d\r\n", 29, "invalid multibulk length" },
		{ "*%0*d\r\n", 30, "too big mbulk count string" },
		{ "*%0*d", 32, "too big mbulk count string" },
		{ "*1\r\n$%0*d\r\n", 29, "invalid bulk length" },
		{ "*1\r\n$%0*d\r\n", 30, "too big bulk count string" },
		{ "*1\r\n$%0*d", 32, "too big bulk count string" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char input[64], expected[128];

		snprintf(input, sizeof input, cases[i].format, cases[i].digits, 1);
		snprintf(expected, sizeof expected, "broken ERR Protocol error: %s\n",
			cases[i].error);
		expect_small(input, expected);
	}
	expect_small("*1\r\n$0000000000000000000000000000000", "more 36\n");
}

Test(kv_resp, an_argument_may_have_as_many_bytes_as_its_limit)
{
	expect_small("*1\r\n$16\r\n1234567890123456\r\n", "request 16:1234567890123456\n");
	expect_small("*1\r\n$17\r\n", "broken ERR Protocol error: invalid bulk length\n");
}

Test(kv_resp, a_request_may_have_as_many_arguments_as_its_limit)
{
	expect_small("*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n",
		"request 1:a 1:b 1:c 1:d\n");
	expect_small("*5\r\n", "broken ERR Protocol error: invalid multibulk length\n");
	expect_small("a b c d\r\n", "request 1:a 1:b 1:c 1:d\n");
	expect_small("a b c d e\r\na\r\n",
		"rejected ERR Protocol error: too many arguments in request\nrequest 1:a\n");
}

/* "*4\r\n" and four times "$16\r\n" with 18 bytes: 96; the limit is 100. */
Test(kv_resp, a_request_may_have_as_many_bytes_as_its_limit)
{
	struct resp_limits limits = small_limits;
	const char *input = "*4\r\n$16\r\n1234567890123456\r\n$16\r\n1234567890123456\r\n"
			    "$16\r\n1234567890123456\r\n$16\r\n1234567890123456\r\n";
	const char *expected = "request 16:1234567890123456 16:1234567890123456 "
			       "16:1234567890123456 16:1234567890123456\n";

	limits.request = strlen(input);
	expect_bytes(bytes_of(input), &limits, expected);
	limits.request--;
	expect_bytes(bytes_of(input), &limits, "broken ERR Protocol error: too big request\n");
}

Test(kv_resp, what_is_only_announced_takes_no_memory)
{
	struct memory memory = { .limit = SIZE_MAX };
	struct resp_parser parser;
	char input[] = "*65536\r\n$16777216\r\n";

	resp_init(&parser, &default_limits, &memory);
	cr_assert_eq(resp_parse(&parser, input, strlen(input)), RESP_MORE);
	cr_assert_eq(memory.used, 0);
	resp_deinit(&parser);
}

/* An argument takes at least 6 bytes to send and 8 to remember; the table doubles. */
Test(kv_resp, arguments_take_memory_in_proportion_to_what_has_arrived)
{
	struct memory memory = { .limit = SIZE_MAX };
	static char input[16 + 30000 * 6];
	struct resp_parser parser;
	size_t size = (size_t)sprintf(input, "*65536\r\n");

	resp_init(&parser, &default_limits, &memory);
	for (int i = 0; i < 30000; i++) {
		memcpy(input + size, "$0\r\n\r\n", 6);
		size += 6;
		cr_assert_eq(resp_parse(&parser, input, size), RESP_MORE);
		cr_assert_leq(memory.used, 16 * 8 + size * 8 / 6 * 2);
	}
	resp_deinit(&parser);
	cr_assert_eq(memory.used, 0);
}

Test(kv_resp, the_table_of_a_long_request_goes_with_the_next_request)
{
	struct memory memory = { .limit = SIZE_MAX };
	static char input[16 + 5000 * 6];
	struct resp_parser parser;
	size_t size = (size_t)sprintf(input, "*5000\r\n");

	resp_init(&parser, &default_limits, &memory);
	for (int i = 0; i < 5000; i++, size += 6)
		memcpy(input + size, "$0\r\n\r\n", 6);
	cr_assert_eq(resp_parse(&parser, input, size), RESP_REQUEST);
	cr_assert_eq(parser.request.count, 5000);
	cr_assert_eq(parser.used, size);

	memcpy(input, "PING\r\n", 6);
	cr_assert_eq(resp_parse(&parser, input, 6), RESP_REQUEST);
	cr_assert_leq(memory.used, 16 * 8);
	resp_deinit(&parser);
}

/* In the steady state the parser keeps its table: requests allocate nothing. */
Test(kv_resp, further_requests_of_the_usual_size_allocate_nothing)
{
	struct memory memory = { .limit = SIZE_MAX };
	struct resp_parser parser;
	char input[] = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n";

	resp_init(&parser, &default_limits, &memory);
	cr_assert_eq(resp_parse(&parser, input, sizeof input - 1), RESP_REQUEST);
	memory.limit = 0;
	for (int i = 0; i < 100; i++)
		cr_assert_eq(resp_parse(&parser, input, sizeof input - 1), RESP_REQUEST);
	resp_deinit(&parser);
}

static int
refuse_after(void *data, size_t size)
{
	int *left = data;

	(void)size;
	return (*left)-- <= 0;
}

Test(kv_resp, without_memory_for_its_arguments_a_request_is_broken)
{
	static char input[16 + 100 * 7], line[512];
	struct buffer trace;
	struct memory trace_memory = { .limit = SIZE_MAX };
	size_t size = (size_t)sprintf(input, "*100\r\n");

	for (int i = 0; i < 100; i++) {
		size += (size_t)sprintf(input + size, "$1\r\na\r\n");
		sprintf(line + strlen(line), "a ");
	}
	strcat(line, "\r\n");

	/* The tables of 16, 32, 64 and 128 arguments. */
	for (int granted = 0; granted < 4; granted++) {
		struct bytes inputs[] = { { input, size }, bytes_of(line) };

		for (int i = 0; i < 2; i++) {
			int left = granted;
			struct memory memory = { .limit = SIZE_MAX,
				.refuse = refuse_after,
				.refuse_data = &left };

			buffer_init(&trace, &trace_memory, SIZE_MAX / 2);
			kv_trace(&trace, &default_limits, &memory, inputs[i], kv_piece_whole, NULL);
			cr_expect_str_eq(trace.data,
				"broken OOM no memory for the arguments of the request\n");
			cr_expect_eq(memory.used, 0);
			buffer_deinit(&trace);
		}
	}
}

/*
 * Any way of cutting, any bytes.
 */

/* Adds a random request that is well-formed, and what its trace must be. */
static void
add_request(uint32_t *random, struct buffer *input, struct buffer *expected)
{
	uint32_t count = 1 + kv_random(random) % 20;
	char text[32];

	buffer_append(input, text, (size_t)sprintf(text, "*%u\r\n", count));
	buffer_append(expected, "request", 7);
	for (uint32_t i = 0; i < count; i++) {
		size_t size = kv_random(random) % (kv_random(random) % 8 == 0 ? 300 : 6);
		char bytes[300];

		for (size_t b = 0; b < size; b++)
			bytes[b] = "ab\r\n$*1\"' "[kv_random(random) % 10];
		buffer_append(input, text, (size_t)sprintf(text, "$%zu\r\n", size));
		buffer_append(input, bytes, size);
		buffer_append(input, "\r\n", 2);
		buffer_append(expected, text, (size_t)sprintf(text, " %zu:", size));
		buffer_append(expected, bytes, size);
	}
	buffer_append(expected, "\n", 1);
}

Test(kv_resp, random_splits_give_the_requests_that_were_sent)
{
	struct memory memory = { .limit = SIZE_MAX };

	for (uint32_t seed = 1; seed <= 300; seed++) {
		uint32_t random = seed * 2654435761u | 1;
		struct buffer input, expected, trace;

		buffer_init(&input, &memory, SIZE_MAX / 2);
		buffer_init(&expected, &memory, SIZE_MAX / 2);
		for (uint32_t i = kv_random(&random) % 20; i > 0; i--)
			add_request(&random, &input, &expected);
		buffer_append(&expected, "", 1);

		trace = trace_of((struct bytes){ input.data, input.size }, &default_limits,
			kv_piece_random, &random);
		cr_assert_str_eq(trace.data, expected.data, "seed %u", seed);
		buffer_deinit(&trace);
		buffer_deinit(&input);
		buffer_deinit(&expected);
	}
	cr_assert_eq(memory.used, 0);
}

Test(kv_resp, random_splits_of_garbage_give_the_same_as_no_split)
{
	static const char *const pieces[] = {
		"*1\r\n",
		"*2\r\n",
		"$1\r\n",
		"$16\r\n",
		"$0\r\n\r\n",
		"a",
		"\r\n",
		"\n",
		"\"",
		"'",
		"\\",
		"\\x41",
		" ",
		"*",
		"$",
		"-1",
		"7",
		"1234567890123456\r\n",
		"PING\r\n",
	};

	for (uint32_t seed = 1; seed <= 20000; seed++) {
		uint32_t random = seed * 2654435761u | 1;
		struct buffer whole, split;
		char input[400] = "";

		for (uint32_t i = 1 + kv_random(&random) % 12; i > 0; i--)
			strcat(input,
				pieces[kv_random(&random) % (sizeof pieces / sizeof *pieces)]);
		whole = trace_of(bytes_of(input), &small_limits, kv_piece_whole, NULL);
		split = trace_of(bytes_of(input), &small_limits, kv_piece_random, &random);
		cr_assert_str_eq(whole.data, split.data, "seed %u, input %s", seed, input);
		buffer_deinit(&whole);
		buffer_deinit(&split);
	}
}

/* Each byte is looked at about once: 8 MiB in pieces of 4 KiB take no minutes. */
Test(kv_resp, a_long_request_in_many_pieces_takes_linear_time)
{
	struct memory memory = { .limit = SIZE_MAX };
	size_t size = 8 << 20;
	char *input = malloc(size + 64);
	struct resp_parser parser;
	size_t total;

	cr_assert_not_null(input);
	total = (size_t)sprintf(input, "*1\r\n$%zu\r\n", size);
	memset(input + total, 'x', size);
	memcpy(input + total + size, "\r\n", 2);
	total += size + 2;

	resp_init(&parser, &default_limits, &memory);
	for (size_t fed = 0; fed < total - 1; fed++)
		cr_assert_eq(resp_parse(&parser, input, fed), RESP_MORE);
	cr_assert_eq(resp_parse(&parser, input, total), RESP_REQUEST);
	cr_assert_eq(resp_arg(&parser.request, 0).size, size);
	resp_deinit(&parser);
	free(input);
}

/*
 * Replies.
 */

static void
expect_reply(struct buffer *out, const char *expected)
{
	buffer_append(out, "", 1);
	cr_assert(!out->has_failed);
	cr_expect_str_eq(out->data, expected);
	buffer_rewind(out, 0);
}

Test(kv_resp, replies_are_what_the_protocol_says)
{
	struct memory memory = { .limit = SIZE_MAX };
	struct buffer out;

	buffer_init(&out, &memory, 1 << 20);
	reply_simple(&out, "OK");
	expect_reply(&out, "+OK\r\n");
	reply_error(&out, "ERR no %s", "way");
	expect_reply(&out, "-ERR no way\r\n");
	reply_integer(&out, 0);
	expect_reply(&out, ":0\r\n");
	reply_integer(&out, INT64_MIN);
	expect_reply(&out, ":-9223372036854775808\r\n");
	reply_integer(&out, INT64_MAX);
	expect_reply(&out, ":9223372036854775807\r\n");
	reply_bulk(&out, bytes_of("a\r\nb"));
	expect_reply(&out, "$4\r\na\r\nb\r\n");
	reply_bulk(&out, bytes_of(""));
	expect_reply(&out, "$0\r\n\r\n");
	reply_null(&out);
	expect_reply(&out, "$-1\r\n");
	reply_array(&out, 12);
	expect_reply(&out, "*12\r\n");
	buffer_deinit(&out);
	cr_assert_eq(memory.used, 0);
}

Test(kv_resp, an_error_is_one_line_whatever_it_quotes)
{
	struct memory memory = { .limit = SIZE_MAX };
	struct buffer out;
	char name[1000];

	buffer_init(&out, &memory, 1 << 20);
	reply_error(&out, "ERR unknown '%s'", "a\r\n+OK\r\n");
	expect_reply(&out, "-ERR unknown 'a  +OK  '\r\n");

	memset(name, 'x', sizeof name);
	reply_error(&out, "%.*s", (int)sizeof name, name);
	cr_expect_eq(out.size, 1 + 511 + 2);
	cr_expect_eq(memcmp(out.data + out.size - 3, "x\r\n", 3), 0);
	buffer_deinit(&out);
}

Test(kv_resp, a_reply_without_room_is_remembered_as_failed)
{
	struct memory memory = { .limit = SIZE_MAX };
	struct buffer out;

	buffer_init(&out, &memory, 10);
	reply_simple(&out, "OK");
	cr_expect(!out.has_failed);
	reply_bulk(&out, bytes_of("hello world"));
	cr_expect(out.has_failed);
	cr_expect_leq(out.size, 10);
	buffer_rewind(&out, 5);
	cr_expect(!out.has_failed);
	expect_reply(&out, "+OK\r\n");
	buffer_deinit(&out);

	memory.limit = 0;
	buffer_init(&out, &memory, 10);
	reply_simple(&out, "OK");
	cr_expect(out.has_failed);
	buffer_deinit(&out);
}
