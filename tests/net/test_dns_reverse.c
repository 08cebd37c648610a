/* What an address is called: net/dns.c. The resolver is the test's own. */
#include "tests/net/pair.h"
#include "tests/net/resolver.h"

TestSuite(dns_reverse, .timeout = 30, .init = resolver_init);

TASK_TEST(dns_reverse, says_what_an_address_and_its_port_are_called)
{
	cede_dns_names_t names;

	resolver_names.host = "two.test";
	resolver_names.service = "https";
	cr_assert_eq(cede_dns_reverse("192.0.2.1:443", NULL, &names), 0);
	cr_assert_str_eq(names.host, "two.test");
	cr_assert_str_eq(names.service, "https");
	cr_assert_eq(cede_dns_reverse("[::1]:443",
			     &(cede_dns_reverse_options_t){ .is_datagram = 1 }, &names),
		0);
	cr_assert_str_eq(names.service, "https-udp");
}

TASK_TEST(dns_reverse, without_a_name_the_address_is_the_name_unless_one_is_needed)
{
	const cede_dns_reverse_options_t needs = { .needs_name = 1 };
	cede_dns_names_t names;

	cr_assert_eq(cede_dns_reverse("192.0.2.1:81", NULL, &names), 0);
	cr_assert_str_eq(names.host, "192.0.2.1");
	cr_assert_str_eq(names.service, "81");
	cr_assert_eq(cede_dns_reverse("[2001:db8::1]:81", NULL, &names), 0);
	cr_assert_str_eq(names.host, "2001:db8::1");
	cr_assert_eq(cede_dns_reverse("192.0.2.1:81", &needs, &names), CEDE_EAI_NONAME);
}

TASK_TEST(dns_reverse, each_error_of_the_resolver_is_its_code)
{
	cede_dns_names_t names = { .host = "unchanged" };

	resolver_names.result = EAI_AGAIN;
	cr_assert_eq(cede_dns_reverse("192.0.2.1:81", NULL, &names), CEDE_EAI_AGAIN);
	resolver_names.result = EAI_MEMORY;
	cr_assert_eq(cede_dns_reverse("192.0.2.1:81", NULL, &names), CEDE_ENOMEM);
	cr_assert_str_eq(names.host, "unchanged");
}

/* Whoever owns an address can have it called anything. */
TASK_TEST(dns_reverse, what_is_no_name_is_not_handed_on)
{
	static const char *const bad[] = { "a b", "a\nb", "\x1b[31mred", "a;rm", "127.1", "\xff" };
	static char long_name[300];
	cede_dns_names_t names = { .host = "unchanged" };

	for (size_t i = 0; i < CEDE__ARRAY_LEN(bad); i++) {
		resolver_names.host = bad[i];
		cr_assert_eq(cede_dns_reverse("192.0.2.1:81", NULL, &names), CEDE_EAI_FAIL);
	}
	memset(long_name, 'a', 299);
	resolver_names.host = long_name;
	cr_assert_eq(cede_dns_reverse("192.0.2.1:81", NULL, &names), CEDE_EAI_OVERFLOW);
	resolver_names.host = "";
	cr_assert_eq(cede_dns_reverse("192.0.2.1:81", NULL, &names), CEDE_EAI_NONAME);
	cr_assert_str_eq(names.host, "unchanged");
}

TASK_TEST(dns_reverse, what_is_no_address_asks_nobody)
{
	cede_dns_reverse_t op;

	cr_assert_eq(cede_dns_reverse_start("two.test:80", NULL, &op), CEDE_EINVAL);
	cr_assert_eq(cede_dns_reverse_start("192.0.2.1", NULL, &op), CEDE_EINVAL);
	cr_assert_eq(cede_dns_reverse_start(NULL, NULL, &op), CEDE_EINVAL);
	cr_assert_eq(resolver_asked, 0);
}

TASK_TEST(dns_reverse, time_is_limited)
{
	const cede_dns_reverse_options_t options = { .timeout_ms = 5 };
	cede_dns_names_t names;

	resolver_hold();
	cr_assert_eq(cede_dns_reverse("192.0.2.1:81", &options, &names), CEDE_ETIMEDOUT);
	resolver_let_go();
}

/* It shares the limit with the others. */
TASK_TEST(dns_reverse, given_up_it_is_abandoned)
{
	cede_dns_reverse_t running, waiting, last;

	resolver_names.host = "two.test";
	cede_dns_set_limit(cede_loop_current(), 1);
	resolver_hold();
	cr_assert_eq(cede_dns_reverse_start("192.0.2.1:81", NULL, &running), 0);
	cr_assert_eq(cede_dns_reverse_start("192.0.2.1:81", NULL, &waiting), 0);
	cr_assert_eq(cede_dns_reverse_start("192.0.2.1:81", NULL, &last), 0);
	resolver_await(1);
	cede_future_cancel(&waiting.future);
	cede_future_cancel(&running.future);
	cr_assert_eq(running.future.result, CEDE_ECANCELED);
	cr_assert_eq(waiting.future.result, CEDE_ECANCELED);
	resolver_let_go();
	cr_assert_eq(cede_await(&last.future), 0);
	cr_assert_str_eq(last.names.host, "two.test");
	cr_assert_eq(resolver_asked, 2);
}
