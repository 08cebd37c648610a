/*
 * Every order of what can happen to one operation, by tests/support/interleave.h: lookups,
 * which are held by the resolver until they are to complete, and connecting by name. What
 * several attempts at once can do is in test_connect_race.c.
 */
#include "tests/net/connect_test.h"
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

/* ---- connecting: the name is looked up ---- */

static cede_connect_t connecting;
static cede_stream_t *stream;
static const char *target;

static void
looking_set_up(void)
{
	target = "none.test:80";
	connecting.stream = stream = NULL;
}

static int
connect_call(void)
{
	return cede_tcp_connect(target, &stream);
}

static void
connect_start(void)
{
	cr_assert_eq(cede_tcp_connect_start(target, &connecting), 0);
}

static cede_future_t *
connect_future(void)
{
	return &connecting.future;
}

static void
connect_after(int first)
{
	if (run.shape == SELECTED)
		stream = connecting.stream;
	cr_assert_eq(stream != NULL, first == 0);
	cr_assert_eq(cede__list_is_empty(&run.loop->resources), first != 0, "something is left");
	cede_close(stream);
}

static const struct operation a_connect_that_is_looked_up = {
	.set_up = looking_set_up,
	.settle = settle,
	.call = connect_call,
	.start = connect_start,
	.future = connect_future,
	.complete = complete,
	.after = connect_after,
	.tear_down = tear_down,
	.on_complete = CEDE_EAI_NONAME,
	.flags = IS_LATE,
};

INTERLEAVE(dns_interleavings, a_connect_that_is_looked_up)

/* ---- connecting: two attempts are under way, and the second succeeds ---- */

static void
trying_set_up(void)
{
	looking_set_up();
	target = "two.test:80";
	resolver_let_go();
	wire_open(2);
}

static void
trying_settle(void)
{
	while (wire.begun == 0)
		uv_run(&host, UV_RUN_NOWAIT);
	clock_advance(250);
	uv_run(&host, UV_RUN_NOWAIT);
	cr_assert_eq(wire.begun, 2);
}

static void
trying_complete(void)
{
	wire_answer(1, 1);
}

static void
trying_tear_down(int first)
{
	cr_assert_eq(wire_count_open(), 0, "a connection is left");
	wire_close();
	tear_down(first);
}

static const struct operation a_connect_with_two_attempts = {
	.set_up = trying_set_up,
	.settle = trying_settle,
	.call = connect_call,
	.start = connect_start,
	.future = connect_future,
	.complete = trying_complete,
	.after = connect_after,
	.tear_down = trying_tear_down,
	.flags = IS_LATE,
};

INTERLEAVE(dns_interleavings, a_connect_with_two_attempts)
