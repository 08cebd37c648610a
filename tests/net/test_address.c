/* net/address.c: addresses as texts. */
#include "net/address.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <cede/base.h>

#include "tests/support/leaks.h"

TestSuite(address, .timeout = 10);

static void
expect_round_trip(const char *text, const char *expected)
{
	struct sockaddr_storage address;
	char buffer[56];

	cr_assert_eq(cede__address_parse(text, &address), 0, "%s", text);
	cr_assert_eq(cede__address_format(&address, cede__address_length(&address), buffer,
			     sizeof buffer),
		0, "%s", text);
	cr_assert_str_eq(buffer, expected);
}

Test(address, reads_and_writes_the_forms_of_the_header)
{
	leaks_begin();
	expect_round_trip("127.0.0.1:7000", "127.0.0.1:7000");
	expect_round_trip("0.0.0.0:0", "0.0.0.0:0");
	expect_round_trip("255.255.255.255:65535", "255.255.255.255:65535");
	expect_round_trip("[::1]:7000", "[::1]:7000");
	expect_round_trip("[::]:1", "[::]:1");
	expect_round_trip("[2001:DB8::1]:80", "[2001:db8::1]:80");
	expect_round_trip("[::ffff:1.2.3.4]:80", "[::ffff:1.2.3.4]:80");
	expect_round_trip(":7000", "[::]:7000");
	expect_round_trip("127.0.0.1:00080", "127.0.0.1:80");
	leaks_end();
}

Test(address, refuses_everything_else)
{
	static const char *const wrong[] = {
		"",
		":",
		"7000",
		"127.0.0.1",
		"127.0.0.1:",
		"127.0.0.1:65536",
		"127.0.0.1:99999999999999",
		"127.0.0.1:-1",
		"127.0.0.1:+1",
		"127.0.0.1: 1",
		"127.0.0.1:1 ",
		"127.0.0.1:0x10",
		"127.0.0.1:http",
		"127.1:80",
		"127.0.0.256:80",
		" 127.0.0.1:80",
		"localhost:80",
		"::1:7000",
		"::1",
		"[::1]",
		"[::1]7000",
		"[::1:7000",
		"::1]:7000",
		"[]:7000",
		"[:7000",
		"[::1]]:7000",
		"[[::1]]:7000",
		"[127.0.0.1]:7000",
		"[1:2:3]:80",
		"[::1%]:80",
		"[::1%no such interface]:80",
		"[%1]:80",
		"[::1]x:80",
		"\n:80",
		"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee:ffff]:80",
	};
	struct sockaddr_storage address;

	leaks_begin();
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		cr_expect_eq(cede__address_parse(wrong[i], &address), CEDE_EINVAL, "'%s'",
			wrong[i]);
	cr_assert_eq(cede__address_parse(NULL, &address), CEDE_EINVAL);
	leaks_end();
}

Test(address, a_host_of_any_length_is_refused_without_overrun)
{
	struct sockaddr_storage address;
	char text[300];

	leaks_begin();
	for (size_t n = 1; n < sizeof text - 5; n++) {
		memset(text, '1', n);
		memcpy(text + n, ":80", 4);
		cr_assert_eq(cede__address_parse(text, &address), CEDE_EINVAL, "%zu", n);
	}
	leaks_end();
}

Test(address, writes_only_into_the_space_there_is)
{
	struct sockaddr_storage address;
	char buffer[56];

	leaks_begin();
	cr_assert_eq(cede__address_parse("127.0.0.1:7000", &address), 0);
	for (size_t size = 0; size < sizeof "127.0.0.1:7000"; size++) {
		memset(buffer, 'x', sizeof buffer);
		cr_assert_eq(cede__address_format(&address, cede__address_length(&address), buffer,
				     size),
			CEDE_ENOBUFS);
		cr_assert_eq(buffer[size], 'x');
	}
	cr_assert_eq(cede__address_format(&address, cede__address_length(&address), buffer,
			     sizeof "127.0.0.1:7000"),
		0);
	leaks_end();
}

Test(address, fifty_six_bytes_are_enough_for_any)
{
	static const char longest[] = "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535";
	static const char mapped[] = "[::ffff:255.255.255.255]:65535";

	leaks_begin();
	cr_assert_leq(sizeof longest, 56);
	expect_round_trip(longest, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	expect_round_trip(mapped, mapped);
	leaks_end();
}

/* What it is called, in a text as long as it can be; by its number where that is too long. */
Test(address, a_zone_is_written_by_name_and_in_fifty_six_bytes)
{
	static const char longest[] = "fe80:1234:1234:1234:1234:1234:1234:1234";
	char name[IF_NAMESIZE], named[80], numbered[80], buffer[80];
	struct sockaddr_storage address;
	socklen_t length;

	leaks_begin();
	cr_assert_not_null(if_indextoname(1, name));
	snprintf(named, sizeof named, "[fe80::1%%%s]:7000", name);
	expect_round_trip(named, named);
	expect_round_trip("[fe80::1%1]:7000", named);

	snprintf(named, sizeof named, "[%s%%%s]:65535", longest, name);
	snprintf(numbered, sizeof numbered, "[%s%%1]:65535", longest);
	cr_assert_eq(cede__address_parse(named, &address), 0);
	length = cede__address_length(&address);
	cr_assert_eq(cede__address_format(&address, length, buffer, strlen(named) + 1), 0);
	cr_assert_str_eq(buffer, named);
	cr_assert_eq(cede__address_format(&address, length, buffer, strlen(numbered) + 1), 0);
	cr_assert_str_eq(buffer, numbered);
	cr_assert_eq(cede__address_format(&address, length, buffer, strlen(numbered)),
		CEDE_ENOBUFS);
	((struct sockaddr_in6 *)&address)->sin6_scope_id = 9999999; /* there is none */
	cr_assert_eq(cede__address_format(&address, length, buffer, 56), 0);
	leaks_end();
}

Test(address, the_length_is_the_familys)
{
	struct sockaddr_storage address;

	leaks_begin();
	cr_assert_eq(cede__address_parse("1.2.3.4:5", &address), 0);
	cr_assert_eq(cede__address_length(&address), sizeof(struct sockaddr_in));
	cr_assert_eq(cede__address_parse("[::2]:5", &address), 0);
	cr_assert_eq(cede__address_length(&address), sizeof(struct sockaddr_in6));
	leaks_end();
}

Test(address, of_a_descriptor_passes_on_what_the_system_says)
{
	char buffer[56];
	int fds[2];

	leaks_begin();
	cr_assert_eq(cede__address_of_fd(-1, getsockname, buffer, sizeof buffer), CEDE_EBADF);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	cr_assert_eq(cede__address_of_fd(fds[0], getsockname, buffer, sizeof buffer), 0);
	cr_assert_str_eq(buffer, "@", "it has no name");
	close(fds[0]);
	close(fds[1]);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(cede__address_of_fd(fds[0], getpeername, buffer, sizeof buffer),
		CEDE_ENOTCONN);
	close(fds[0]);
	fds[0] = socket(AF_NETLINK, SOCK_RAW, 0);
	cr_assert_eq(cede__address_of_fd(fds[0], getsockname, buffer, sizeof buffer), CEDE_ENOTSUP);
	close(fds[0]);
	leaks_end();
}

/* ---- unix sockets ---- */

static const char *
format_unix(const char *bytes, size_t size, char *buffer, size_t room)
{
	struct sockaddr_storage address = { .ss_family = AF_UNIX };
	const socklen_t start = offsetof(struct sockaddr_un, sun_path);

	memcpy((char *)&address + start, bytes, size);
	return cede__address_format(&address, start + (socklen_t)size, buffer, room) == 0 ? buffer
											  : NULL;
}

Test(address, of_a_unix_socket_is_its_path_or_its_abstract_name)
{
	static const struct {
		const char *text;
		socklen_t size;
	} names[] = { { "/run/x.sock", 12 }, { "x", 2 }, { "./@x", 5 }, { "@x", 2 } };
	char buffer[110];

	leaks_begin();
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct sockaddr_storage address;
		socklen_t length;

		cr_assert_eq(cede__address_parse_unix(names[i].text, (struct sockaddr_un *)&address,
				     &length),
			0);
		cr_assert_eq(length, offsetof(struct sockaddr_un, sun_path) + names[i].size);
		cr_assert_eq(cede__address_format(&address, length, buffer, sizeof buffer), 0);
		cr_assert_str_eq(buffer, names[i].text);
	}
	cr_assert_str_eq(format_unix("", 0, buffer, sizeof buffer), "@");
	leaks_end();
}

/* What others have bound may be anything: no 0 at the end, a 0 in the middle, what a terminal obeys. */
Test(address, of_a_unix_socket_of_others_is_harmless_and_fits)
{
	char all[108], buffer[111];

	leaks_begin();
	memset(all, 'x', sizeof all);
	buffer[110] = '!';
	cr_assert_not_null(format_unix(all, sizeof all, buffer, 110));
	cr_assert_eq(strlen(buffer), 108);
	all[0] = '\0';
	cr_assert_not_null(format_unix(all, sizeof all, buffer, 110));
	cr_assert_eq(strlen(buffer), 108);
	cr_assert_eq(buffer[110], '!');
	cr_assert_str_eq(format_unix("\0a\0b", 4, buffer, 110), "@a@b");
	cr_assert_str_eq(format_unix("\0a\n\x1b[2J\x7f", 8, buffer, 110), "@a??[2J?");
	cr_assert_str_eq(format_unix("/a\nb\0junk", 9, buffer, 110), "/a?b");
	cr_assert_not_null(format_unix("/run/x", 7, buffer, 7));
	for (size_t room = 0; room < 7; room++) {
		buffer[room] = '!';
		cr_assert_null(format_unix("/run/x", 7, buffer, room));
		cr_assert_eq(buffer[room], '!');
	}
	leaks_end();
}

Test(address, a_unix_name_is_of_one_to_107_bytes)
{
	struct sockaddr_un address;
	char text[300];
	socklen_t length;

	leaks_begin();
	cr_assert_eq(cede__address_parse_unix(NULL, &address, &length), CEDE_EINVAL);
	cr_assert_eq(cede__address_parse_unix("", &address, &length), CEDE_EINVAL);
	cr_assert_eq(cede__address_parse_unix("@", &address, &length), CEDE_EINVAL);
	for (size_t n = 1; n < sizeof text; n++) {
		memset(text, 'x', n);
		text[n] = '\0';
		cr_assert_eq(cede__address_parse_unix(text, &address, &length),
			n <= 107 ? 0 : CEDE_ENAMETOOLONG, "%zu", n);
		text[0] = '@';
		if (n > 1)
			cr_assert_eq(cede__address_parse_unix(text, &address, &length),
				n <= 108 ? 0 : CEDE_ENAMETOOLONG, "%zu", n);
	}
	leaks_end();
}
