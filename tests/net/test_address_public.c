/* net/address_public.c: addresses as values. */
#include <cede/address.h>

#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <criterion/criterion.h>

#include "tests/support/leaks.h"

TestSuite(address_public, .timeout = 10);

static cede_address_t
parsed(const char *text)
{
	cede_address_t a;

	cr_assert_eq(cede_address_parse(text, &a), 0, "%s", text);
	return a;
}

static void
expect_text(const cede_address_t *a, const char *expected)
{
	char text[CEDE_ADDRESS_TEXT_SIZE];

	cr_assert_eq(cede_address_format(a, text, sizeof text), 0);
	cr_assert_str_eq(text, expected);
}

Test(address_public, a_text_becomes_an_address_and_the_text_again)
{
	static const char *const texts[][2] = {
		{ "127.0.0.1:7000", "127.0.0.1:7000" },
		{ "0.0.0.0:0", "0.0.0.0:0" },
		{ "255.255.255.255:65535", "255.255.255.255:65535" },
		{ "[::1]:7000", "[::1]:7000" },
		{ "[2001:DB8::1]:80", "[2001:db8::1]:80" },
		{ "[::ffff:1.2.3.4]:80", "[::ffff:1.2.3.4]:80" },
		{ ":7000", "[::]:7000" },
	};

	leaks_begin();
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		const cede_address_t a = parsed(texts[i][0]);

		expect_text(&a, texts[i][1]);
	}
	leaks_end();
}

Test(address_public, a_zone_is_an_interface_by_name_or_number)
{
	char name[IF_NAMESIZE], text[64], numbered[64];
	cede_address_t a;

	leaks_begin();
	cr_assert_not_null(if_indextoname(1, name));
	snprintf(text, sizeof text, "[fe80::1%%%s]:7000", name);
	snprintf(numbered, sizeof numbered, "[fe80::1%%1]:7000");
	a = parsed(text);
	expect_text(&a, text);
	a = parsed(numbered);
	expect_text(&a, text);
	a = parsed("[fe80::1]:7000");
	expect_text(&a, "[fe80::1]:7000");
	leaks_end();
}

Test(address_public, refuses_everything_else_and_writes_nothing)
{
	static const char *const wrong[] = { "", ":", "7000", "127.0.0.1",
		"127.0.0.1:", "localhost:1", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80", "[::1]",
		"[]:1", "[::1", "[127.0.0.1]:80", "[::1%]:80", "[fe80::1%no such interface]:80",
		"[fe80::1%4294967295]:80", "[fe80::1%99999999999999999999]:80", "[fe80::1%1x]:80",
		"[fe80::1%1:80", "127.0.0.1%1:80", "127.0.0.1:80%1", "%" };
	char longer[300];
	cede_address_t a, before;

	leaks_begin();
	memset(&a, 7, sizeof a);
	before = a;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		cr_assert_eq(cede_address_parse(wrong[i], &a), CEDE_EINVAL, "%s", wrong[i]);
	cr_assert_eq(cede_address_parse(NULL, &a), CEDE_EINVAL);
	memset(longer, '1', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	cr_assert_eq(cede_address_parse(longer, &a), CEDE_EINVAL);
	cr_assert_eq(memcmp(&a, &before, sizeof a), 0);
	leaks_end();
}

Test(address_public, formatting_fits_or_says_so)
{
	const cede_address_t a = parsed("127.0.0.1:80"), none = { 0 };
	char text[CEDE_ADDRESS_TEXT_SIZE];

	leaks_begin();
	cr_assert_eq(cede_address_format(&a, text, 13), 0);
	cr_assert_eq(cede_address_format(&a, text, 12), CEDE_ENOBUFS);
	cr_assert_eq(cede_address_format(&a, text, 0), CEDE_ENOBUFS);
	cr_assert_eq(cede_address_format(&none, text, sizeof text), CEDE_EINVAL);
	leaks_end();
}

Test(address_public, equal_are_those_of_the_same_host_and_port)
{
	static const char *const texts[] = { "127.0.0.1:80", "127.0.0.1:81", "127.0.0.2:80",
		"[::1]:80", "[::1]:81", "[::2]:80", "[::ffff:127.0.0.1]:80", "[::1%1]:80" };
	const cede_address_t none = { 0 };
	enum { N = sizeof texts / sizeof texts[0] };

	leaks_begin();
	for (int i = 0; i < N; i++) {
		const cede_address_t a = parsed(texts[i]);

		for (int k = 0; k < N; k++) {
			const cede_address_t b = parsed(texts[k]);

			cr_assert_eq(cede_address_is_equal(&a, &b), i == k, "%s, %s", texts[i],
				texts[k]);
		}
		cr_assert_not(cede_address_is_equal(&a, &none));
	}
	cr_assert(cede_address_is_equal(&none, &none));
	leaks_end();
}

Test(address_public, what_does_not_name_the_host_makes_no_difference)
{
	cede_address_t a = parsed("127.0.0.1:80"), b = a, c = parsed("[::1]:80"), d = c;

	leaks_begin();
	b.bytes[3] = 1; /* behind the IPv4 address */
	cr_assert(cede_address_is_equal(&a, &b));
	d.bytes[1] = 1; /* the flow */
	cr_assert(cede_address_is_equal(&c, &d));
	leaks_end();
}

Test(address_public, the_port_can_be_asked_and_set)
{
	cede_address_t v4 = parsed("127.0.0.1:80"), v6 = parsed("[::1]:443"), none = { 0 };

	leaks_begin();
	cr_assert_eq(cede_address_port(&v4), 80);
	cr_assert_eq(cede_address_port(&v6), 443);
	cr_assert_eq(cede_address_port(&none), 0);
	cede_address_set_port(&v4, 65535);
	cede_address_set_port(&v6, 1);
	cede_address_set_port(&none, 1);
	expect_text(&v4, "127.0.0.1:65535");
	expect_text(&v6, "[::1]:1");
	cr_assert_eq(none.size, 0);
	cr_assert_eq(cede_address_is_ipv6(&v4), 0);
	cr_assert_eq(cede_address_is_ipv6(&v6), 1);
	cr_assert_eq(cede_address_is_ipv6(&none), 0);
	leaks_end();
}

Test(address_public, the_systems_form_goes_in_and_out)
{
	const struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(80) };
	const struct sockaddr *out;
	cede_address_t a = { 0 };
	size_t size = 0;

	leaks_begin();
	cr_assert_null(cede_address_sockaddr(&a, &size));
	cr_assert_eq(size, 0);
	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert_eq(cede_address_from_sockaddr((struct sockaddr *)&v4, sizeof v4, &a), 0);
	expect_text(&a, "127.0.0.1:80");
	out = cede_address_sockaddr(&a, &size);
	cr_assert_eq(size, sizeof v4);
	cr_assert_eq(memcmp(out, &v4, sizeof v4), 0);
	cr_assert_eq(cede_address_from_sockaddr((struct sockaddr *)&v4, sizeof v4 - 1, &a),
		CEDE_EINVAL);
	cr_assert_eq(cede_address_from_sockaddr((struct sockaddr *)&v4, 0, &a), CEDE_EINVAL);
	cr_assert_eq(cede_address_from_sockaddr(NULL, sizeof v4, &a), CEDE_EINVAL);
	cr_assert_eq(cede_address_from_sockaddr((const struct sockaddr *)&local, sizeof local, &a),
		CEDE_ENOTSUP);
	expect_text(&a, "127.0.0.1:80");
	leaks_end();
}
