/* What is asked and what was answered, without asking anybody: net/dns_question.c. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "net/dns_int.h"
#include "tests/net/address_text.h"
#include "tests/support/fault.h"
#include "tests/support/leaks.h"

TestSuite(dns_question, .timeout = 30);

static char *
repeat(char *buffer, char c, size_t count)
{
	memset(buffer, c, count);
	buffer[count] = '\0';
	return buffer;
}

/* ---- names ---- */

Test(dns_question, what_is_a_name_is_taken)
{
	static const char *const names[] = { "a", "localhost", "example.org", "example.org.",
		"xn--bcher-kva.example", "_dns.example", "1.example", "3com", "0xg", "a-b",
		"1.2.3.4.in-addr.arpa", "A.B" };

	for (size_t i = 0; i < CEDE__ARRAY_LEN(names); i++)
		cr_expect(cede__dns_is_name(names[i]), "%s", names[i]);
}

Test(dns_question, what_is_no_name_is_refused)
{
	static const char *const names[] = { "", ".", "..", ".a", "a..b", "a b", " a", "a\n", "a\t",
		"a\x7f", "\xc3\xa4.example", "a:b", "::1", "a/b", "a;b", "a%b", "127.1", "1.2.3.4",
		"1.2.3.4.5", "2130706433", "0x7f000001", "0X7F.1", "017700000001", "a.1",
		"1.0x7f" };
	struct cede__dns_question q;

	for (size_t i = 0; i < CEDE__ARRAY_LEN(names); i++) {
		cr_expect_not(cede__dns_is_name(names[i]), "%s", names[i]);
		if (strcmp(names[i], "::1") != 0 && strcmp(names[i], "1.2.3.4") != 0)
			cr_expect_eq(cede__dns_question_init(&q, names[i], "80", NULL), CEDE_EINVAL,
				"%s", names[i]);
	}
}

Test(dns_question, lengths_are_bounded)
{
	char label[128], name[4096], service[128];
	struct cede__dns_question q;

	cr_expect(cede__dns_is_name(repeat(label, 'a', 63)));
	cr_expect_not(cede__dns_is_name(repeat(label, 'a', 64)));
	cr_expect_not(cede__dns_is_name(strcat(repeat(label, 'a', 64), ".b")));

	/* 253 bytes: three labels of 63, one of 61. */
	repeat(label, 'a', 63);
	snprintf(name, sizeof name, "%s.%s.%s.%.61s", label, label, label, label);
	cr_assert_eq(strlen(name), 253);
	cr_expect(cede__dns_is_name(name));
	cr_expect_eq(cede__dns_question_init(&q, name, "80", NULL), 0);
	cr_expect_str_eq(q.host, name);
	strcat(name, ".");
	cr_expect(cede__dns_is_name(name), "a dot at the end is not counted");
	cr_expect_eq(cede__dns_question_init(&q, name, "80", NULL), 0);
	strcat(name, ".");
	cr_expect_not(cede__dns_is_name(name));
	snprintf(name, sizeof name, "%s.%s.%s.%.62s", label, label, label, label);
	cr_expect_not(cede__dns_is_name(name));
	cr_expect_eq(cede__dns_question_init(&q, name, "80", NULL), CEDE_EINVAL);
	cr_expect_eq(cede__dns_question_init(&q, repeat(name, 'a', 4000), "80", NULL), CEDE_EINVAL);

	cr_expect_eq(cede__dns_question_init(&q, "a", repeat(service, 's', 63), NULL), 0);
	cr_expect_eq(cede__dns_question_init(&q, "a", repeat(service, 's', 64), NULL), CEDE_EINVAL);
}

Test(dns_question, what_is_no_question_is_refused)
{
	struct cede__dns_question q;
	cede_dns_options_t options = { .family = (cede_dns_family_t)3 };

	cr_expect_eq(cede__dns_question_init(&q, NULL, NULL, NULL), CEDE_EINVAL);
	cr_expect_eq(cede__dns_question_init(&q, "a", "", NULL), CEDE_EINVAL);
	cr_expect_eq(cede__dns_question_init(&q, "a", "65536", NULL), CEDE_EINVAL);
	cr_expect_eq(cede__dns_question_init(&q, "a", "99999999999999999999", NULL), CEDE_EINVAL);
	cr_expect_eq(cede__dns_question_init(&q, "a", "a b", NULL), CEDE_EINVAL);
	cr_expect_eq(cede__dns_question_init(&q, "a", "80", &options), CEDE_EINVAL);
	cr_expect_eq(cede__dns_question_init(&q, "fe80::1%", "80", NULL), CEDE_EAI_NONAME);
	cr_expect_eq(cede__dns_question_init(&q, "fe80::1%none0", "80", NULL), CEDE_EAI_NONAME);
	cr_expect_eq(cede__dns_question_init(&q, "fe80::1%2x", "80", NULL), CEDE_EAI_NONAME);
	cr_expect_eq(cede__dns_question_init(&q, "fe80::1%0", "80", NULL), CEDE_EAI_NONAME);
	cr_expect_eq(cede__dns_question_init(&q, "fe80::1%99999999999", "80", NULL),
		CEDE_EAI_NONAME);
	cr_expect_eq(cede__dns_question_init(&q, "fe80::1%a-name-that-is-too-long", "80", NULL),
		CEDE_EAI_NONAME);
}

Test(dns_question, texts_are_taken_apart_at_the_last_colon)
{
	static const struct {
		const char *text, *host, *service;
	} texts[] = {
		{ "example.org:80", "example.org", "80" },
		{ "example.org:http", "example.org", "http" }, { "[::1]:80", "::1", "80" },
		{ "[fe80::1%lo]:80", "fe80::1%lo", "80" }, { ":80", "", "80" },
		{ "a:", "a", "" }, /* refused by the question */
	};
	static const char *const bad[] = { "", "example.org", "::1", "::1:80", "[::1]80", "[::1",
		"[]:80", "[a]:80", "[:80", "]:80:90" };
	char host[CEDE_DNS_HOST_SIZE], large[1024];
	const char *service;

	for (size_t i = 0; i < CEDE__ARRAY_LEN(texts); i++) {
		cr_assert_eq(cede__dns_split(texts[i].text, host, &service), 0, "%s",
			texts[i].text);
		cr_expect_str_eq(host, texts[i].host);
		cr_expect_str_eq(service, texts[i].service);
	}
	for (size_t i = 0; i < CEDE__ARRAY_LEN(bad); i++)
		cr_expect_eq(cede__dns_split(bad[i], host, &service), CEDE_EINVAL, "%s", bad[i]);
	cr_expect_eq(cede__dns_split(NULL, host, &service), CEDE_EINVAL);
	cr_expect_eq(cede__dns_split(strcat(repeat(large, 'a', 256), ":1"), host, &service),
		CEDE_EINVAL);
	cr_expect_eq(cede__dns_split(strcat(repeat(large, 'a', 255), ":1"), host, &service), 0);
}

/* ---- what is numeric ---- */

static int
ask(const char *host, const char *service, cede_dns_options_t options,
	cede_dns_result_t **ret_result)
{
	struct cede__dns_question q;
	const int r = cede__dns_question_init(&q, host, service, &options);

	return r < 0 ? r : cede__dns_answer_at_once(&q, ret_result);
}

static void
expect_texts(const char *host, const char *service, cede_dns_options_t options, const char *first,
	const char *second)
{
	cede_dns_result_t *found = NULL;

	cr_assert_eq(ask(host, service, options, &found), 0, "%s", first);
	cr_expect_str_eq(text_of(&found->addresses[0]), first);
	cr_expect_eq(found->count, second ? 2 : 1);
	if (second)
		cr_expect_str_eq(text_of(&found->addresses[1]), second);
	cr_expect_not(found->is_cut);
	cede_dns_result_destroy(found);
}

Test(dns_question, what_is_numeric_is_answered_at_once)
{
	const cede_dns_options_t any = { 0 }, passive = { .is_passive = 1 },
				 v4 = { .family = CEDE_DNS_IPV4 }, v6 = { .family = CEDE_DNS_IPV6 };

	leaks_begin();
	expect_texts("127.0.0.1", "80", any, "127.0.0.1:80", NULL);
	expect_texts("127.0.0.1", NULL, any, "127.0.0.1:0", NULL);
	expect_texts("::1", "65535", any, "[::1]:65535", NULL);
	expect_texts("::1", "0", v6, "[::1]:0", NULL);
	expect_texts("192.0.2.1", "1", v4, "192.0.2.1:1", NULL);
	expect_texts(NULL, "80", any, "[::1]:80", "127.0.0.1:80");
	expect_texts(NULL, "80", passive, "[::]:80", "0.0.0.0:80");
	expect_texts(NULL, "80", v4, "127.0.0.1:80", NULL);
	expect_texts(NULL, "80", v6, "[::1]:80", NULL);
	leaks_end();
}

Test(dns_question, what_is_numeric_has_one_family)
{
	cede_dns_result_t *found = NULL;

	cr_assert_eq(ask("127.0.0.1", "80", (cede_dns_options_t){ .family = CEDE_DNS_IPV6 },
			     &found),
		CEDE_EAI_ADDRFAMILY);
	cr_assert_eq(ask("::1", "80", (cede_dns_options_t){ .family = CEDE_DNS_IPV4 }, &found),
		CEDE_EAI_ADDRFAMILY);
	cr_assert_null(found);
}

Test(dns_question, what_is_a_name_is_for_the_resolver)
{
	const cede_dns_options_t any = { 0 };
	cede_dns_result_t *found = NULL;

	cr_assert_eq(ask("localhost", "80", any, &found), CEDE_EAGAIN);
	cr_assert_eq(ask("127.0.0.1", "http", any, &found), CEDE_EAGAIN);
	cr_assert_eq(ask(NULL, "http", any, &found), CEDE_EAGAIN);
	cr_assert_null(found);
}

Test(dns_question, a_scope_is_in_the_socket_address)
{
	cede_dns_result_t *found = NULL;
	const struct sockaddr_in6 *v6;
	size_t size;

	leaks_begin();
	cr_assert_eq(ask("fe80::1%3", "80", (cede_dns_options_t){ 0 }, &found), 0);
	v6 = (const void *)cede_address_sockaddr(&found->addresses[0], &size);
	cr_expect_eq(v6->sin6_scope_id, 3);
	cr_expect_eq(size, sizeof *v6);
	cede_dns_result_destroy(found);
	if (if_nametoindex("lo") > 0) {
		cr_assert_eq(ask("fe80::1%lo", "80", (cede_dns_options_t){ 0 }, &found), 0);
		v6 = (const void *)cede_address_sockaddr(&found->addresses[0], &size);
		cr_expect_eq(v6->sin6_scope_id, if_nametoindex("lo"));
		cede_dns_result_destroy(found);
	}
	leaks_end();
}

Test(dns_question, the_canonical_name_of_a_number_is_the_number)
{
	cede_dns_result_t *found = NULL;

	leaks_begin();
	cr_assert_eq(ask("127.0.0.1", "80", (cede_dns_options_t){ .wants_canonical = 1 }, &found),
		0);
	cr_expect_str_eq(found->canonical, "127.0.0.1");
	cede_dns_result_destroy(found);
	cede_dns_result_destroy(NULL);
	leaks_end();
}

/* ---- what the resolver said ---- */

enum { MANY = 10000 };

static struct sockaddr_in addresses[MANY];
static struct addrinfo list[MANY];

/* 10.0.0.0 and on. */
static void
make_list(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		addresses[i] = (struct sockaddr_in){ .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(0x0a000000 + i) };
		list[i] = (struct addrinfo){ .ai_family = AF_INET,
			.ai_addr = (struct sockaddr *)&addresses[i],
			.ai_addrlen = sizeof addresses[i],
			.ai_next = i + 1 < count ? &list[i + 1] : NULL };
	}
}

static cede_dns_result_t *
expect_result(unsigned max)
{
	struct cede__dns_question q;
	cede_dns_result_t *found = NULL;

	cr_assert_eq(cede__dns_question_init(&q, "a", "80", &(cede_dns_options_t){ .max = max }),
		0);
	cr_assert_eq(cede__dns_result_create(list, &q, &found), 0);
	return found;
}

Test(dns_question, ten_thousand_addresses_are_64)
{
	cede_dns_result_t *found;

	leaks_begin();
	make_list(MANY);
	found = expect_result(0);
	cr_expect_eq(found->count, CEDE_DNS_ADDRESSES_MAX);
	cr_expect(found->is_cut);
	cr_expect_str_eq(text_of(&found->addresses[63]), "10.0.0.63:0");
	cede_dns_result_destroy(found);
	found = expect_result(3);
	cr_expect_eq(found->count, 3);
	cr_expect(found->is_cut);
	cede_dns_result_destroy(found);
	make_list(64);
	found = expect_result(1000);
	cr_expect_eq(found->count, 64);
	cr_expect_not(found->is_cut);
	cede_dns_result_destroy(found);
	leaks_end();
}

Test(dns_question, what_comes_twice_is_there_once)
{
	cede_dns_result_t *found;

	leaks_begin();
	make_list(5);
	addresses[2] = addresses[4] = addresses[0];
	found = expect_result(0);
	cr_expect_eq(found->count, 3);
	cr_expect_not(found->is_cut);
	cr_expect_str_eq(text_of(&found->addresses[0]), "10.0.0.0:0");
	cr_expect_str_eq(text_of(&found->addresses[1]), "10.0.0.1:0");
	cr_expect_str_eq(text_of(&found->addresses[2]), "10.0.0.3:0");
	cede_dns_result_destroy(found);
	leaks_end();
}

Test(dns_question, what_is_of_no_inet_family_is_passed_over)
{
	struct cede__dns_question q;
	cede_dns_result_t *found = NULL;

	leaks_begin();
	make_list(4);
	addresses[0].sin_family = AF_UNIX;
	list[1].ai_addrlen = 4;
	list[2].ai_addr = NULL;
	found = expect_result(0);
	cr_expect_eq(found->count, 1);
	cr_expect_str_eq(text_of(&found->addresses[0]), "10.0.0.3:0");
	cede_dns_result_destroy(found);
	found = NULL;
	cr_assert_eq(cede__dns_question_init(&q, "a", "80", NULL), 0);
	addresses[3].sin_family = AF_UNIX;
	cr_expect_eq(cede__dns_result_create(list, &q, &found), CEDE_EAI_NODATA);
	cr_expect_eq(cede__dns_result_create(NULL, &q, &found), CEDE_EAI_NODATA);
	cr_assert_null(found);
	leaks_end();
}

Test(dns_question, a_canonical_name_that_is_none_is_left_out)
{
	static char canonicals[][16] = { "a.example", "a b", "\x1b[31m", "" };
	cede_dns_result_t *found;

	leaks_begin();
	for (int i = 0; i < 4; i++) {
		make_list(1);
		list[0].ai_canonname = canonicals[i];
		found = expect_result(0);
		if (i == 0)
			cr_expect_str_eq(found->canonical, "a.example");
		else
			cr_expect_null(found->canonical);
		cede_dns_result_destroy(found);
	}
	leaks_end();
}

Test(dns_question, without_memory_there_is_no_result)
{
	struct cede__dns_question q;
	cede_dns_result_t *found = NULL;

	fault_install();
	make_list(1);
	cr_assert_eq(cede__dns_question_init(&q, "a", "80", NULL), 0);
	fault_arm(1, FAULT_ONCE);
	cr_assert_eq(cede__dns_result_create(list, &q, &found), CEDE_ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_null(found);
}
