#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/http_trace.h"

TestSuite(http_request, .timeout = 30);

static const struct request_limits default_limits = REQUEST_LIMITS_DEFAULT;
static const struct request_limits small_limits = { .head = 128,
	.target = 20,
	.fields = 4,
	.body = 10 };

static void
expect_with(const struct request_limits *limits, struct bytes input, const char *expected)
{
	size_t size;
	char *whole = http_trace(limits, input, http_piece_whole, NULL, &size);
	char *bytes = http_trace(limits, input, http_piece_byte, NULL, &size);

	cr_expect_str_eq(whole, expected, "got %s, expected %s", whole, expected);
	cr_expect_str_eq(bytes, expected, "byte by byte: got %s, expected %s", bytes, expected);
	free(whole);
	free(bytes);
}

static void
expect(const char *input, const char *expected)
{
	expect_with(&default_limits, bytes_of(input), expected);
}

static void
expect_small(const char *input, const char *expected)
{
	expect_with(&small_limits, bytes_of(input), expected);
}

#define HOST "Host: a\r\n"

/*
 * Requests.
 */

Test(http_request, a_head_is_its_method_target_version_and_fields)
{
	expect("GET /a?b HTTP/1.1\r\nHost: a\r\nAccept:  b c \r\nEmpty:\r\nX:y\r\n\r\n",
		"GET /a?b HTTP/1.1 Host=a Accept=b c Empty= X=y\nend\n");
}

Test(http_request, one_follows_the_other)
{
	expect("GET /1 HTTP/1.1\r\n" HOST "\r\nPOST /2 HTTP/1.1\r\n" HOST
	       "Content-Length: 3\r\n\r\nabcHEAD /3 HTTP/1.1\r\n" HOST "\r\n",
		"GET /1 HTTP/1.1 Host=a\nend\n"
		"POST /2 HTTP/1.1 Host=a Content-Length=3, length 3\nbody abc\nend\n"
		"HEAD /3 HTTP/1.1 Host=a\nend\n");
}

Test(http_request, empty_lines_before_one_are_passed_over)
{
	expect("\r\n\r\nGET /1 HTTP/1.1\r\n" HOST "\r\n\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n\r\n",
		"GET /1 HTTP/1.1 Host=a\nend\nGET /2 HTTP/1.1 Host=a\nend\n");
}

Test(http_request, a_part_of_one_is_none)
{
	expect("GET / HTTP/1.1\r\n" HOST "\r", "");
	expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nabc",
		"POST / HTTP/1.1 Host=a Content-Length=4, length 4\n");
}

Test(http_request, says_whether_another_may_follow)
{
	expect("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
		"GET / HTTP/1.1 Host=a Connection=close, closes\nend\n");
	expect("GET / HTTP/1.1\r\n" HOST "Connection: x, Close\r\n\r\n",
		"GET / HTTP/1.1 Host=a Connection=x, Close, closes\nend\n");
	expect("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0, closes\nend\n");
	expect("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET / HTTP/1.0 Connection=keep-alive\nend\n");
}

Test(http_request, an_upgrade_is_passed_over)
{
	expect("GET / HTTP/1.1\r\n" HOST
	       "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n",
		"GET / HTTP/1.1 Host=a Connection=Upgrade Upgrade=h2c\nend\n"
		"GET /2 HTTP/1.1 Host=a\nend\n");
}

/*
 * Bodies.
 */

Test(http_request, a_body_may_be_empty)
{
	expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
		"POST / HTTP/1.1 Host=a Content-Length=0, length 0\nend\n");
	expect("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1 Host=a Transfer-Encoding=chunked, chunked\nend\n");
}

Test(http_request, a_body_may_come_in_chunks)
{
	expect("POST / HTTP/1.1\r\n" HOST
	       "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"
	       "GET /2 HTTP/1.1\r\n" HOST "\r\n",
		"POST / HTTP/1.1 Host=a Transfer-Encoding=Chunked, chunked\nbody "
		"abc0123456789\nend\n"
		"GET /2 HTTP/1.1 Host=a\nend\n");
}

Test(http_request, trailers_are_no_fields)
{
	expect("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nHost: "
	       "b\r\nContent-Length: 9\r\n\r\n"
	       "GET /2 HTTP/1.1\r\n" HOST "\r\n",
		"POST / HTTP/1.1 Host=a Transfer-Encoding=chunked, chunked\nbody x\nend\n"
		"GET /2 HTTP/1.1 Host=a\nend\n");
}

Test(http_request, may_wait_to_be_asked_for_its_body)
{
	expect("POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
		"POST / HTTP/1.1 Host=a Expect=100-Continue Content-Length=1, expects, length "
		"1\nbody x\nend\n");
	expect("GET / HTTP/1.0\r\nExpect: more\r\n\r\n",
		"GET / HTTP/1.0 Expect=more, closes\nend\n");
	expect("GET / HTTP/1.1\r\n" HOST "Expect: more\r\n\r\n", "broken 417\n");
}

/*
 * What is refused.
 */

Test(http_request, has_one_host)
{
	expect("GET / HTTP/1.1\r\n\r\n", "broken 400\n");
	expect("GET / HTTP/1.1\r\n" HOST HOST "\r\n", "broken 400\n");
	expect("GET / HTTP/1.0\r\n" HOST HOST "\r\n", "broken 400\n");
	expect("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "broken 400\n");
	expect("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1 Host=\nend\n");
	expect("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET / HTTP/1.1 Host=[::1]:80\nend\n");
}

Test(http_request, has_one_length)
{
	expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
		"broken 400\n");
	expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"broken 400\n");
	expect("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
		"broken 400\n");
	expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 1 1\r\n\r\nx", "broken 400\n");
}

Test(http_request, has_no_coding_but_chunks)
{
	expect("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n",
		"broken 501\n");
	expect("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", "broken 400\n");
	expect("POST / HTTP/1.1\r\n" HOST
	       "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		"broken 400\n");
	expect("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "broken 400\n");
}

Test(http_request, has_no_field_that_goes_on_in_the_next_line)
{
	expect("GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", "broken 400\n");
	expect("GET / HTTP/1.1\r\n" HOST "X: a\r\n\t b\r\n\r\n", "broken 400\n");
	expect("GET / HTTP/1.1\r\n" HOST "X:\r\n b\r\n\r\n", "broken 400\n");
	expect("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n chunked\r\n\r\n", "broken 400\n");
	expect("GET / HTTP/1.1\r\n" HOST "X:\r\n \r\n\r\n", "broken 400\n");
	expect("GET / HTTP/1.1\r\n" HOST "X: a\r\n\t\r\n\r\n", "broken 400\n");
}

Test(http_request, has_no_line_that_does_not_end_in_cr_lf)
{
	expect("GET / HTTP/1.1\n" HOST "\r\n", "broken 400\n");
	expect("GET / HTTP/1.1\r\n" HOST "\n", "broken 400\n");
	expect("GET / HTTP/1.1\r\n" HOST "X: a\n\r\n", "broken 400\n");
	expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\nx", "broken 400\n");
	expect("\nGET / HTTP/1.1\r\n" HOST "\r\n", "broken 400\n");
	expect("\rGET / HTTP/1.1\r\n" HOST "\r\n", "broken 400\n");
	expect("\nFLY / HTTP/1.1\r\n" HOST "\r\n", "broken 400\n");
}

#define CHUNKED "Transfer-Encoding: chunked\r\n"

Test(http_request, has_no_such_line_behind_its_chunks)
{
	static const char *const trailers[] = { "\n", "X: y\r\n\n", "X: y\n\r\n",
		"X: y\r\n z\r\n\r\n", "X:\r\n \r\n\r\n" };
	char text[256];

	for (size_t i = 0; i < sizeof trailers / sizeof *trailers; i++) {
		snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST CHUNKED "\r\n0\r\n%s",
			trailers[i]);
		expect(text,
			"POST / HTTP/1.1 Host=a Transfer-Encoding=chunked, chunked\nbroken 400\n");
	}
	expect("POST / HTTP/1.1\r\n" HOST CHUNKED "\r\n1\r\nx\r\n0\r\nX: y\r\n\r\n",
		"POST / HTTP/1.1 Host=a Transfer-Encoding=chunked, chunked\nbody x\nend\n");
}

Test(http_request, has_no_field_without_a_name)
{
	expect("GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n", "broken 400\n");
	expect("GET / HTTP/1.1\r\n" HOST ":\r\n\r\n", "broken 400\n");
}

Test(http_request, has_a_version_that_is_spoken)
{
	expect("GET / HTTP/2.0\r\n" HOST "\r\n", "broken 505\n");
	expect("GET / HTTP/0.9\r\n" HOST "\r\n", "broken 505\n");
	expect("GET / HTTP/3.1\r\n" HOST "\r\n", "broken 505\n");
	expect("GET / FTP/1.1\r\n" HOST "\r\n", "broken 400\n");
	expect("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "broken 505\n");
}

Test(http_request, has_a_method_that_is_known)
{
	expect("FLY / HTTP/1.1\r\n" HOST "\r\n", "broken 501\n");
	expect("CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", "broken 501\n");
	expect("get / HTTP/1.1\r\n" HOST "\r\n", "broken 400\n");
	expect("\x16\x03\x01", "broken 400\n");
	expect("GET / HTTP/1.1\r\n" HOST "\r\nFLY", "GET / HTTP/1.1 Host=a\nend\nbroken 501\n");
}

/*
 * Limits.
 */

Test(http_request, a_target_has_a_limit)
{
	expect_small("GET /1234567890123456789 HTTP/1.1\r\n" HOST "\r\n",
		"GET /1234567890123456789 HTTP/1.1 Host=a\nend\n");
	expect_small("GET /12345678901234567890 HTTP/1.1\r\n" HOST "\r\n", "broken 414\n");
}

Test(http_request, the_number_of_fields_has_a_limit)
{
	expect_small("GET / HTTP/1.1\r\n" HOST "B:\r\nC:\r\nD:\r\n\r\n",
		"GET / HTTP/1.1 Host=a B= C= D=\nend\n");
	expect_small("GET / HTTP/1.1\r\n" HOST "B:\r\nC:\r\nD:\r\nE:\r\n\r\n", "broken 431\n");
}

Test(http_request, a_head_has_a_limit)
{
	char text[256], expected[256];

	/* 128 bytes with it, and one more. */
	snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "X: %096d\r\n\r\n", 7);
	snprintf(expected, sizeof expected, "GET / HTTP/1.1 Host=a X=%096d\nend\n", 7);
	cr_assert_eq(strlen(text), 128);
	expect_small(text, expected);
	snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "X: %097d\r\n\r\n", 7);
	expect_small(text, "broken 431\n");
	for (int i = 0; i < 200; i++)
		text[i] = i % 2 ? '\n' : '\r';
	text[200] = '\0';
	expect_small(text, "broken 431\n");
}

Test(http_request, a_body_has_a_limit)
{
	expect_small("POST / HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n0123456789",
		"POST / HTTP/1.1 Host=a Content-Length=10, length 10\nbody 0123456789\nend\n");
	expect_small("POST / HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n", "broken 413\n");
	expect_small("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
		     "5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n",
		"POST / HTTP/1.1 Host=a Transfer-Encoding=chunked, chunked\nbroken 413\n");
}

Test(http_request, what_is_around_a_body_has_a_limit)
{
	static char text[100000];
	const size_t head = (size_t)snprintf(text, sizeof text,
		"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1;");

	memset(text + head, 'x', sizeof text - head);
	expect_with(&default_limits, (struct bytes){ text, sizeof text },
		"POST / HTTP/1.1 Host=a Transfer-Encoding=chunked, chunked\nbroken 400\n");
}

Test(http_request, a_large_head_is_kept_as_a_whole)
{
	static char text[60000], expected[60000];
	size_t at = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST);
	size_t end = (size_t)snprintf(expected, sizeof expected, "GET / HTTP/1.1 Host=a");

	for (int i = 0; i < 50; i++) {
		at += (size_t)snprintf(text + at, sizeof text - at, "X-%d: %01000d\r\n", i, i);
		end += (size_t)snprintf(expected + end, sizeof expected - end, " X-%d=%01000d", i,
			i);
	}
	snprintf(text + at, sizeof text - at, "\r\n");
	snprintf(expected + end, sizeof expected - end, "\nend\n");
	expect(text, expected);
}

/*
 * What is asked of a head.
 */

static struct bytes
path_of(struct request *r, const char *target)
{
	static char text[256];
	struct bytes body,
		input = { text,
			(size_t)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n",
				target) };

	request_init(r, &default_limits);
	cr_assert_eq(request_parse(r, &input, &body), REQUEST_HEAD, "%s", target);
	return request_path(r);
}

Test(http_request, the_path_is_what_is_before_the_query)
{
	static const char *const cases[][2] = {
		{ "/", "/" },
		{ "/a/b", "/a/b" },
		{ "/a?b?c", "/a" },
		{ "/?", "/" },
		{ "http://host/a?b", "/a" },
		{ "http://host", "/" },
		{ "http://host?x", "/" },
		{ "https://host:1/", "/" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct request r;
		const struct bytes path = path_of(&r, cases[i][0]);

		cr_expect(bytes_equal(path, bytes_of(cases[i][1])), "%s: %.*s", cases[i][0],
			(int)path.size, path.data);
		request_deinit(&r);
	}
}

Test(http_request, a_field_is_found_by_its_name_however_it_is_written)
{
	static const char text[] = "GET / HTTP/1.1\r\nhOST: x \r\nA: 1\r\na: 2\r\n\r\n";
	struct bytes body, value, input = { text, sizeof text - 1 };
	struct request r;

	request_init(&r, &default_limits);
	cr_assert_eq(request_parse(&r, &input, &body), REQUEST_HEAD);
	cr_expect(request_field(&r, "Host", &value) && bytes_equal(value, bytes_of("x")));
	cr_expect(request_field(&r, "a", &value) && bytes_equal(value, bytes_of("1")));
	cr_expect(!request_field(&r, "b", &value) && value.size == 0);
	request_deinit(&r);
}
