/* The PROXY header's parser: net/proxy_protocol.c. Facts: HAProxy's proxy-protocol.txt, 2 to 2.2. */
#include "tests/support/proxy_trace.h"

#include <stdio.h>

#include <criterion/criterion.h>

#include "tests/support/leaks.h"

TestSuite(proxy_protocol, .timeout = 30);

#define BEHIND "GET / HTTP/1.1\r\n"

/* What is made of a header, and of the two names: "" where none is stated. */
struct outcome {
	int result;
	size_t used;
	char peer[110], local[110];
};

static void
name(const struct cede__name *n, char text[110])
{
	text[0] = '\0';
	if (n->length > 0)
		cr_assert_eq(cede__address_format(&n->address, n->length, text, 110), 0);
}

static struct outcome
parse_by(const void *bytes, size_t size, proxy_piece_fn *piece)
{
	struct outcome o = { 0 };
	struct cede__proxy p;

	o.result = proxy_trace(&p, bytes, size, piece, NULL, &o.used);
	if (o.result == 1) {
		name(&p.names.peer, o.peer);
		name(&p.names.local, o.local);
	} else if (o.result < 0) {
		cr_assert_eq(o.result, CEDE_EPROTO);
		cr_assert_eq(p.names.peer.length, 0, "what is wrong states nothing");
	}
	return o;
}

/* In one piece and byte by byte: the same comes out. */
static struct outcome
parse(const void *bytes, size_t size)
{
	const struct outcome whole = parse_by(bytes, size, proxy_piece_whole),
			     bytewise = parse_by(bytes, size, proxy_piece_byte);

	cr_assert_eq(whole.result, bytewise.result);
	cr_assert_str_eq(whole.peer, bytewise.peer);
	cr_assert_str_eq(whole.local, bytewise.local);
	if (whole.result == 1)
		cr_assert_eq(whole.used, bytewise.used);
	return bytewise;
}

/* ---- version 1 ---- */

static void
expect_line(const char *line, const char *peer, const char *local)
{
	char all[256];
	struct outcome o;

	snprintf(all, sizeof all, "%s%s", line, BEHIND);
	o = parse(all, strlen(all));
	cr_assert_eq(o.result, 1, "'%s'", line);
	cr_assert_eq(o.used, strlen(line), "'%s': %zu bytes were taken", line, o.used);
	cr_assert_str_eq(o.peer, peer);
	cr_assert_str_eq(o.local, local);
	for (size_t n = 0; n < strlen(line); n++)
		cr_assert_eq(parse(line, n).result, 0, "'%.*s' is not all", (int)n, line);
}

Test(proxy_protocol, a_line_states_both_ends_and_nothing_behind_it_is_taken)
{
	leaks_begin();
	expect_line("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324",
		"192.168.0.11:443");
	expect_line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
		"255.255.255.255:65535", "255.255.255.255:65535");
	expect_line("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0", "0.0.0.0:0");
	expect_line("PROXY TCP6 2001:DB8::1 ::1 1 65535\r\n", "[2001:db8::1]:1", "[::1]:65535");
	expect_line("PROXY TCP6 :: :: 0 0\r\n", "[::]:0", "[::]:0");
	expect_line("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	leaks_end();
}

Test(proxy_protocol, an_unknown_line_states_nothing)
{
	leaks_begin();
	expect_line("PROXY UNKNOWN\r\n", "", "");
	expect_line("PROXY UNKNOWN whatever  it \tsays\r\n", "", "");
	expect_line("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		"", "");
	leaks_end();
}

Test(proxy_protocol, any_other_line_is_refused)
{
	static const char *const wrong[] = {
		"GET / HTTP/1.1\r\n",
		"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8  1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8\r\n",
		"PROXY TCP4 1.2.3.4\r\n",
		"PROXY TCP4\r\nGET /",
		"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY UNKNOWNS 1.2.3.4\r\n",
		"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
		"PROXY TCP4 ::1 ::1 1 2\r\n",
		"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP6 ::1%lo ::1 1 2\r\n",
		"PROXY TCP6 1:2:3 ::1 1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 00 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999999999\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2x\r\n",
		/* the line's end is both characters, and only there */
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n",
		"PROXY TCP4 1.2.3.4\r5.6.7.8 1 2\r\n",
		"PROXY UNKNOWN a\nb\r\n",
	};

	leaks_begin();
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		cr_expect_eq(parse(wrong[i], strlen(wrong[i])).result, CEDE_EPROTO, "'%s'",
			wrong[i]);
	cr_assert_eq(parse("PROXY UNKNOWN a\0b\r\n", 19).result, CEDE_EPROTO);
	leaks_end();
}

Test(proxy_protocol, a_line_of_107_bytes_is_taken_and_none_of_more_is_waited_for)
{
	char line[300];
	struct outcome o;

	leaks_begin();
	memset(line, 'x', sizeof line);
	memcpy(line, "PROXY UNKNOWN ", 14);
	memcpy(line + 105, "\r\n", 2);
	o = parse(line, sizeof line);
	cr_assert_eq(o.result, 1);
	cr_assert_eq(o.used, 107);
	memset(line + 105, 'x', 2);
	memcpy(line + 106, "\r\n", 2);
	o = parse(line, sizeof line);
	cr_assert_eq(o.result, CEDE_EPROTO);
	cr_assert_leq(o.used, 107);
	leaks_end();
}

/* Who speaks another protocol need not be waited for: the first byte that is wrong says so. */
Test(proxy_protocol, the_first_byte_that_is_wrong_is_enough)
{
	static const char v1[] = "PROXY ", v2[] = "\r\n\r\n\0\r\nQUIT\n";

	leaks_begin();
	for (size_t n = 0; n < 6; n++) {
		char bytes[8];

		memcpy(bytes, v1, n);
		bytes[n] = (char)(v1[n] ^ 0x20);
		cr_assert_eq(parse(bytes, n + 1).result, CEDE_EPROTO, "byte %zu", n);
	}
	for (size_t n = 0; n < 12; n++) {
		char bytes[16];

		memcpy(bytes, v2, n);
		bytes[n] = (char)(v2[n] ^ 1);
		cr_assert_eq(parse(bytes, n + 1).result, CEDE_EPROTO, "byte %zu", n);
	}
	leaks_end();
}

/* ---- version 2 ---- */

struct header {
	uint8_t bytes[70000];
	size_t size;
};

/* A head, so many bytes of addresses from @addresses, and extensions of 0xee. */
static void
make_header(struct header *h, unsigned command, unsigned family, const void *addresses, size_t size,
	size_t extensions)
{
	const size_t length = size + extensions;

	memcpy(h->bytes, "\r\n\r\n\0\r\nQUIT\n", 12);
	h->bytes[12] = (uint8_t)command;
	h->bytes[13] = (uint8_t)family;
	h->bytes[14] = (uint8_t)(length >> 8);
	h->bytes[15] = (uint8_t)length;
	memcpy(h->bytes + 16, addresses, size);
	memset(h->bytes + 16 + size, 0xee, extensions);
	h->size = 16 + length;
	memcpy(h->bytes + h->size, BEHIND, sizeof BEHIND);
}

static void
expect_header(const struct header *h, const char *peer, const char *local)
{
	const struct outcome o = parse(h->bytes, h->size + sizeof BEHIND);

	cr_assert_eq(o.result, 1);
	cr_assert_eq(o.used, h->size, "%zu bytes of %zu were taken", o.used, h->size);
	cr_assert_str_eq(o.peer, peer);
	cr_assert_str_eq(o.local, local);
	for (size_t n = 0; n < h->size; n++)
		cr_assert_eq(parse_by(h->bytes, n, proxy_piece_whole).result, 0);
}

static const uint8_t inet[12] = { 192, 168, 0, 1, 192, 168, 0, 11, 0xdc, 0x04, 0x01, 0xbb };
static const uint8_t
	inet6[36] = { [0] = 0x20, 0x01, 0x0d, 0xb8, [15] = 1, [31] = 2, 0, 1, 0xff, 0xff };
static struct header header;

Test(proxy_protocol, a_binary_header_states_both_ends_with_any_extensions)
{
	static const size_t extensions[] = { 0, 1, 3, 200, 216, 217, 1000, 4096 - 16 - 36 };
	char paths[216] = "/run/client";

	leaks_begin();
	memcpy(paths + 108, "\0abstract", 9);
	for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
		make_header(&header, 0x21, 0x11, inet, sizeof inet, extensions[i]);
		expect_header(&header, "192.168.0.1:56324", "192.168.0.11:443");
		make_header(&header, 0x21, 0x21, inet6, sizeof inet6, extensions[i]);
		expect_header(&header, "[2001:db8::1]:1", "[::2]:65535");
		if (extensions[i] > 1000)
			continue;
		make_header(&header, 0x21, 0x31, paths, sizeof paths, extensions[i]);
		expect_header(&header, "/run/client", "@abstract");
	}
	memset(paths, 'x', 108);
	memset(paths + 108, 0, 108);
	make_header(&header, 0x21, 0x31, paths, sizeof paths, 0);

	{
		char longest[110] = "";

		memset(longest, 'x', 108);
		expect_header(&header, longest, "@");
	}
	leaks_end();
}

Test(proxy_protocol, what_is_valid_and_states_nothing_is_skipped)
{
	static const uint8_t junk[300] = { 0xff };
	/* command, family and protocol, length */
	static const unsigned valid[][3] = {
		{ 0x20, 0x00, 0 },
		{ 0x20, 0x00, 100 },
		{ 0x20, 0x11, 12 },
		{ 0x20, 0x11, 0 }, /* LOCAL: the family is ignored, and so what it needs */
		{ 0x20, 0x31, 5 },
		{ 0x21, 0x00, 0 },
		{ 0x21, 0x00, 77 },
		{ 0x21, 0x01, 0 },
		{ 0x21, 0x10, 12 },
		{ 0x21, 0x12, 12 },
		{ 0x21, 0x22, 36 },
		{ 0x21, 0x32, 216 },
	};

	leaks_begin();
	for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
		make_header(&header, valid[i][0], valid[i][1], junk, valid[i][2], 0);
		expect_header(&header, "", "");
	}
	leaks_end();
}

Test(proxy_protocol, any_other_binary_header_is_refused)
{
	leaks_begin();
	for (unsigned command = 0; command < 256; command++) {
		make_header(&header, command, 0x11, inet, sizeof inet, 0);
		cr_assert_eq(parse(header.bytes, header.size).result,
			command == 0x20 || command == 0x21 ? 1 : CEDE_EPROTO, "command %x",
			command);
	}
	for (unsigned family = 0; family < 256; family++) {
		static const uint8_t zeros[216];

		make_header(&header, 0x21, family, zeros, sizeof zeros, 0);
		cr_assert_eq(parse(header.bytes, header.size).result,
			family >> 4 <= 3 && (family & 15) <= 2 ? 1 : CEDE_EPROTO, "family %x",
			family);
	}
	for (size_t n = 0; n < 12; n++) {
		make_header(&header, 0x21, 0x11, inet, n, 0);
		cr_assert_eq(parse(header.bytes, header.size).result, CEDE_EPROTO,
			"%zu bytes are no two IPv4 addresses", n);
	}
	make_header(&header, 0x21, 0x21, inet6, 35, 0);
	cr_assert_eq(parse(header.bytes, header.size).result, CEDE_EPROTO);
	leaks_end();
}

Test(proxy_protocol, a_binary_header_of_4096_bytes_is_taken_and_no_longer_one_is_begun)
{
	struct outcome o;

	leaks_begin();
	make_header(&header, 0x21, 0x11, inet, sizeof inet, 4096 - 16 - 12);
	expect_header(&header, "192.168.0.1:56324", "192.168.0.11:443");
	make_header(&header, 0x21, 0x11, inet, sizeof inet, 4096 - 16 - 12 + 1);
	o = parse(header.bytes, header.size);
	cr_assert_eq(o.result, CEDE_EPROTO);
	cr_assert_eq(o.used, 16, "its length is enough to know");
	make_header(&header, 0x20, 0x00, inet, 0, 65535);
	cr_assert_eq(parse(header.bytes, header.size).result, CEDE_EPROTO);
	leaks_end();
}

/* ---- garbage ---- */

/* Headers with a few bytes changed, cut at random: no byte is taken that is not the header's. */
Test(proxy_protocol, garbage_ends_and_is_the_same_however_it_is_cut)
{
	uint32_t seed = 0x5eed1234;

	leaks_begin();
	for (int round = 0; round < 20000; round++) {
		struct cede__proxy whole, pieces;
		size_t used, used_pieces;
		uint32_t cuts = seed | 1;
		int r;

		if (round % 2)
			make_header(&header, 0x21, round % 4 == 1 ? 0x11 : 0x21, inet6,
				round % 4 == 1 ? 12 : 36, (size_t)round % 300);
		else
			header.size = (size_t)snprintf((char *)header.bytes, 256,
				"PROXY TCP4 192.168.%d.1 10.0.0.%d %d %d\r\n" BEHIND, round % 256,
				round % 128, round, round % 65536);
		for (int changes = round % 3; changes > 0; changes--)
			header.bytes[proxy_piece_random(header.size < 64 ? header.size : 64,
					     &seed) -
				1] = (uint8_t)proxy_piece_random(256, &seed);
		r = proxy_trace(&whole, header.bytes, header.size, proxy_piece_whole, NULL, &used);
		cr_assert_eq(proxy_trace(&pieces, header.bytes, header.size, proxy_piece_random,
				     &cuts, &used_pieces),
			r);
		if (r == 1) {
			cr_assert_eq(used, used_pieces);
			cr_assert_arr_eq(&whole.names, &pieces.names, sizeof whole.names);
		}
		(void)proxy_piece_random(2, &seed);
	}
	leaks_end();
}
