/* Limits of time, on a clock that the test moves. */
#include "tests/net/resolver.h"
#include "tests/support/run.h"

static const struct resolver_host hosts[] = {
	{ .name = "two.test", .addresses = "192.0.2.1" },
	{ .name = NULL },
};

static void
set_up(void)
{
	resolver_init();
	resolver_hosts = hosts;
}

TestSuite(dns_time, .timeout = 30, .init = set_up);

TASK_TEST(dns_time, is_ten_seconds_unless_told_otherwise)
{
	const cede_dns_options_t options = { .timeout_ms = 123456 };
	cede_dns_result_t *found = NULL;
	cede_dns_names_t names;
	int64_t began = clock_ms();

	resolver_hold();
	cr_assert_eq(cede_dns_lookup("two.test", "80", NULL, &found), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - began, 10000);
	began = clock_ms();
	cr_assert_eq(cede_dns_lookup("two.test", "80", &options, &found), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - began, 123456);
	began = clock_ms();
	cr_assert_eq(cede_dns_reverse("192.0.2.1:80", NULL, &names), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - began, 10000);
	resolver_let_go();
	return 0;
}

/* A task that has been computing does not shorten the time of what it starts then. */
TASK_TEST(dns_time, runs_from_the_start_of_the_lookup)
{
	cede_dns_result_t *found = NULL;
	int64_t began;

	resolver_hold();
	clock_advance(7000);
	began = clock_ms();
	cr_assert_eq(cede_dns_lookup("two.test", "80", NULL, &found), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - began, 10000);
	resolver_let_go();
	return 0;
}

TASK_TEST(dns_time, of_a_scope_ends_a_lookup)
{
	cede_dns_result_t *found = NULL;
	const int64_t began = clock_ms();
	int r = 0;

	resolver_hold();
	CEDE_TIMEOUT(30) {
		r = cede_dns_lookup("two.test", "80", NULL, &found);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - began, 30);
	cr_assert_null(found);
	resolver_let_go();
	return 0;
}
