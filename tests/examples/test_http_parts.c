#include <criterion/criterion.h>

#include <stdio.h>

#include "examples/http/conditions.h"
#include "examples/http/date.h"
#include "examples/http/path.h"

TestSuite(http_parts, .timeout = 30);

static int64_t
seconds_of(const char *text)
{
	time_t time;

	return date_parse(bytes_of(text), &time) < 0 ? -1 : (int64_t)time;
}

Test(http_parts, dates_are_written_as_the_rfc_has_it)
{
	char text[DATE_SIZE];

	date_format(784111777, text);
	cr_expect_str_eq(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	date_format(0, text);
	cr_expect_str_eq(text, "Thu, 01 Jan 1970 00:00:00 GMT");
	date_format(253402300799, text);
	cr_expect_str_eq(text, "Fri, 31 Dec 9999 23:59:59 GMT");
}

Test(http_parts, dates_are_read_in_their_three_forms)
{
	cr_expect_eq(seconds_of("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
	cr_expect_eq(seconds_of("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
	cr_expect_eq(seconds_of("Sun Nov  6 08:49:37 1994"), 784111777);
}

Test(http_parts, what_is_no_date_is_refused)
{
	static const char *const cases[] = { "", "0", "Sun", "Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 GMT+1", "Sun, 32 Nov 1994 08:49:37 GMT",
		"Sun, 06 Now 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 -8:49:37 GMT",
		"Sun, -6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT and much more" };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_expect_eq(seconds_of(cases[i]), -1, "%s", cases[i]);
}

static void
expect_path(const char *text, int status, const char *expected)
{
	char path[PATH_SIZE] = "untouched";

	cr_expect_eq(path_decode(bytes_of(text), path), status, "%s", text);
	cr_expect_str_eq(path, expected, "%s", text);
}

Test(http_parts, paths_are_decoded)
{
	expect_path("/", 0, "");
	expect_path("/a/b.c", 0, "a/b.c");
	expect_path("/a/", 0, "a/");
	expect_path("//a//b//", 0, "a/b/");
	expect_path("/a%20%c3%a4%2Fb+c", 0, "a \xc3\xa4/b+c");
	expect_path("/.well-known/x", 0, ".well-known/x");
	expect_path("/a..b/c.", 0, "a..b/c.");
}

Test(http_parts, paths_that_lead_out_or_to_hidden_names_are_not_there)
{
	static const char *const cases[] = { "/..", "/../a", "/a/..", "/a/../b", "/%2e%2e/a",
		"/.%2E", "/%2f..%2fa", "/.", "/./a", "/a/./b", "/.git/config", "/.well-knownx",
		"/.well-know", "/a/.b" };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect_path(cases[i], 404, "untouched");
}

Test(http_parts, what_is_no_path_is_refused)
{
	char text[2 * PATH_SIZE];

	expect_path("", 400, "untouched");
	expect_path("a", 400, "untouched");
	expect_path("*", 400, "untouched");
	expect_path("/%", 400, "untouched");
	expect_path("/%2", 400, "untouched");
	expect_path("/%2g", 400, "untouched");
	expect_path("/a%00b", 400, "untouched");
	memset(text, 'a', sizeof text);
	text[0] = '/';
	text[PATH_SIZE + 1] = '\0';
	expect_path(text, 414, "untouched");
	text[PATH_SIZE] = '\0';
	expect_path(text, 0, text + 1);
}

Test(http_parts, the_type_is_that_of_the_name)
{
	cr_expect_str_eq(path_type("a/b.html"), "text/html; charset=utf-8");
	cr_expect_str_eq(path_type("b.tar.GZ"), "application/gzip");
	cr_expect_str_eq(path_type("b.html/c"), "application/octet-stream");
	cr_expect_str_eq(path_type("html"), "application/octet-stream");
	cr_expect_str_eq(path_type("a."), "application/octet-stream");
	cr_expect_str_eq(path_type(""), "application/octet-stream");
}

static void
expect_range(const char *text, int64_t size, int status, int64_t offset, int64_t count)
{
	struct range range = { -1, -1 };

	cr_expect_eq(range_parse(bytes_of(text), size, &range), status, "%s of %d", text,
		(int)size);
	if (status == 206)
		cr_expect(range.offset == offset && range.size == count, "%s of %d: %lld, %lld",
			text, (int)size, (long long)range.offset, (long long)range.size);
}

Test(http_parts, a_range_lies_in_the_file)
{
	expect_range("bytes=0-0", 10, 206, 0, 1);
	expect_range("bytes=0-9", 10, 206, 0, 10);
	expect_range("Bytes = 2 - 4", 10, 206, 2, 3);
	expect_range("bytes=5-", 10, 206, 5, 5);
	expect_range("bytes=-4", 10, 206, 6, 4);
	expect_range("bytes=-40", 10, 206, 0, 10);
	expect_range("bytes=9-40", 10, 206, 9, 1);
	expect_range("bytes=9-9223372036854775807", 10, 206, 9, 1);
	expect_range("bytes=0-", INT64_MAX, 206, 0, INT64_MAX);
}

Test(http_parts, a_range_outside_of_the_file_is_said)
{
	expect_range("bytes=10-", 10, 416, 0, 0);
	expect_range("bytes=10-11", 10, 416, 0, 0);
	expect_range("bytes=-0", 10, 416, 0, 0);
	expect_range("bytes=0-0", 0, 416, 0, 0);
	expect_range("bytes=-1", 0, 416, 0, 0);
}

Test(http_parts, what_is_no_range_is_passed_over)
{
	static const char *const cases[] = { "", "bytes", "bytes=", "bytes=-", "bytes=1",
		"bytes=4-2", "bytes=a-b", "bytes=1-2-3", "bytes=--1", "bytes=+1-2", "bytes=1-2,4-5",
		"bytes=1-2,", "lines=1-2", "bytes=99999999999999999999-",
		"bytes=1-99999999999999999999" };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect_range(cases[i], 10, 200, 0, 0);
}

/* What a GET with these fields gets of a file of 10 bytes that was written at 784111777.5 s. */
static int
status_with(const char *fields)
{
	static const struct request_limits limits = REQUEST_LIMITS_DEFAULT;
	const struct version version = version_of(784111777500000000, 10);
	char text[512];
	struct bytes body,
		input = { text,
			(size_t)snprintf(text, sizeof text,
				"GET / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", fields) };
	struct request r;
	struct range range;
	int status;

	request_init(&r, &limits);
	cr_assert_eq(request_parse(&r, &input, &body), REQUEST_HEAD);
	status = conditions_check(&r, &version, 10, &range);
	request_deinit(&r);
	return status;
}

#define ETAG   "\"a-ae1b981da166f00\""
#define DATE   "Sun, 06 Nov 1994 08:49:37 GMT"
#define LATER  "Sun, 06 Nov 1994 08:49:38 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"

Test(http_parts, a_version_is_the_size_and_the_time)
{
	cr_expect_str_eq(version_of(784111777500000000, 10).etag, ETAG);
	cr_expect_eq(version_of(784111777500000000, 10).written_s, 784111777);
	cr_expect_str_neq(version_of(784111777500000001, 10).etag, ETAG);
	cr_expect_str_neq(version_of(784111777500000000, 11).etag, ETAG);
}

Test(http_parts, what_the_client_has_is_not_sent)
{
	cr_expect_eq(status_with("If-None-Match: " ETAG), 304);
	cr_expect_eq(status_with("If-None-Match: \"x\" ,W/" ETAG), 304);
	cr_expect_eq(status_with("If-None-Match: *"), 304);
	cr_expect_eq(status_with("If-None-Match: \"x\", \"y\""), 200);
	cr_expect_eq(status_with("If-Modified-Since: " DATE), 304);
	cr_expect_eq(status_with("If-Modified-Since: " LATER), 304);
	cr_expect_eq(status_with("If-Modified-Since: " BEFORE), 200);
	cr_expect_eq(status_with("If-Modified-Since: soon"), 200);
	cr_expect_eq(status_with("If-None-Match: \"x\"\r\nIf-Modified-Since: " DATE), 200);
	cr_expect_eq(status_with("Range: bytes=0-1\r\nIf-None-Match: *"), 304);
}

Test(http_parts, another_version_than_the_wanted_is_not_sent)
{
	cr_expect_eq(status_with("If-Match: " ETAG), 200);
	cr_expect_eq(status_with("If-Match: *"), 200);
	cr_expect_eq(status_with("If-Match: W/" ETAG), 412);
	cr_expect_eq(status_with("If-Match: \"x\""), 412);
	cr_expect_eq(status_with("If-Unmodified-Since: " DATE), 200);
	cr_expect_eq(status_with("If-Unmodified-Since: " BEFORE), 412);
	cr_expect_eq(status_with("If-Unmodified-Since: soon"), 200);
	cr_expect_eq(status_with("If-Match: " ETAG "\r\nIf-Unmodified-Since: " BEFORE), 200);
}

Test(http_parts, a_part_is_of_the_same_version_or_it_is_the_whole)
{
	cr_expect_eq(status_with("Range: bytes=0-1"), 206);
	cr_expect_eq(status_with("Range: bytes=0-1\r\nIf-Range: " ETAG), 206);
	cr_expect_eq(status_with("Range: bytes=0-1\r\nIf-Range: " DATE), 206);
	cr_expect_eq(status_with("Range: bytes=0-1\r\nIf-Range: W/" ETAG), 200);
	cr_expect_eq(status_with("Range: bytes=0-1\r\nIf-Range: \"x\""), 200);
	cr_expect_eq(status_with("Range: bytes=0-1\r\nIf-Range: " LATER), 200);
	cr_expect_eq(status_with("Range: bytes=0-1\r\nIf-Range: x"), 200);
	cr_expect_eq(status_with("If-Range: " ETAG), 200);
}

Test(http_parts, lists_are_taken_apart)
{
	struct bytes list = bytes_of(" a,b ,, c"), item;
	static const char *const expected[] = { "a", "b", "", "c" };

	for (int i = 0; i < 4; i++)
		cr_expect(
			bytes_next(&list, ',', &item) && bytes_equal(item, bytes_of(expected[i])));
	cr_expect_not(bytes_next(&list, ',', &item));
}

Test(http_parts, numbers_have_digits_only_and_fit)
{
	int64_t number;

	cr_expect(bytes_to_number(bytes_of("9223372036854775807"), &number) == 0 &&
		number == INT64_MAX);
	cr_expect_eq(bytes_to_number(bytes_of("9223372036854775808"), &number), -1);
	cr_expect_eq(bytes_to_number(bytes_of(""), &number), -1);
	cr_expect_eq(bytes_to_number(bytes_of("-1"), &number), -1);
	cr_expect_eq(bytes_to_number(bytes_of(" 1"), &number), -1);
}
