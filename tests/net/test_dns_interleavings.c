/*
 * Every order of what can happen to one operation, by tests/support/interleave.h: lookups,
 * which are held by the resolver until they are to complete.
 */
#include "tests/net/resolver.h"
#include "tests/support/interleave.h"

static const struct resolver_host hosts[] = {
	{ .name = "two.test", .addresses = "2001:db8::1 192.0.2.1" },
	{ .name = NULL },
};

/* Once for all cases: an abandoned one of the case before has left by then. */
static void
set_up(void)
{
	resolver_init();
	resolver_hosts = hosts;
	resolver_names.host = "two.test";
	resolver_hold();
}

TestSuite(dns_interleavings, .timeout = 120, .init = set_up);

static void
settle(void)
{
	resolver_await(1);
}

static void
complete(void)
{
	resolver_pass(1);
	wait_for_libuv();
}

static void
tear_down(int first)
{
	cr_assert_eq(resolver_lists, 0, "an answer is left");
	cr_assert_eq(resolver_inside, 0);
}

/* ---- forward ---- */

static cede_dns_result_t *found;
static cede_dns_lookup_t looking;

static void
lookup_set_up(void)
{
	found = NULL;
}

static int
lookup_call(void)
{
	return cede_dns_lookup("two.test", "80", NULL, &found);
}

static void
lookup_start(void)
{
	cr_assert_eq(cede_dns_lookup_start("two.test", "80", NULL, &looking), 0);
}

static cede_future_t *
lookup_future(void)
{
	return &looking.future;
}

static void
lookup_after(int first)
{
	if (run.shape == SELECTED)
		found = looking.result;
	cr_assert_eq(found != NULL, first == 0);
	cede_dns_result_destroy(found);
}

static const struct operation a_lookup = {
	.set_up = lookup_set_up,
	.settle = settle,
	.call = lookup_call,
	.start = lookup_start,
	.future = lookup_future,
	.complete = complete,
	.after = lookup_after,
	.tear_down = tear_down,
	.flags = IS_LATE,
};

INTERLEAVE(dns_interleavings, a_lookup)

/* ---- reverse ---- */

static cede_dns_names_t names;
static cede_dns_reverse_t reversing;

static int
reverse_call(void)
{
	return cede_dns_reverse("192.0.2.1:80", NULL, &names);
}

static void
reverse_start(void)
{
	cr_assert_eq(cede_dns_reverse_start("192.0.2.1:80", NULL, &reversing), 0);
}

static cede_future_t *
reverse_future(void)
{
	return &reversing.future;
}

static const struct operation a_reverse_lookup = {
	.settle = settle,
	.call = reverse_call,
	.start = reverse_start,
	.future = reverse_future,
	.complete = complete,
	.tear_down = tear_down,
	.flags = IS_LATE,
};

INTERLEAVE(dns_interleavings, a_reverse_lookup)
