/* Connecting by name, and with options: net/tcp.c, net/connect.c. The resolver is the test's own. */
#include "tests/net/pair.h"
#include "tests/support/clock.h"

#include <netinet/tcp.h>
#include <sys/resource.h>

#include "tests/net/connect_test.h"

static const struct resolver_host hosts[] = {
	{ .name = "v4.test", .addresses = "127.0.0.1" },
	{ .name = "both.test", .addresses = "::1 127.0.0.1" },
	{ .name = "four.test", .addresses = "2001:db8::1 2001:db8::2 192.0.2.1 192.0.2.2" },
	{ .name = "first4.test", .addresses = "192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::1" },
	{ .name = "again.test", .result = EAI_AGAIN },
	{ .name = "nothing.test" },
	{ .name = NULL },
};

static void
set_up(void)
{
	resolver_init();
	resolver_hosts = hosts;
}

TestSuite(tcp_connect_name, .timeout = 30, .init = set_up);

static const char *
at_port(const char *host, unsigned port)
{
	static char texts[8][64];
	static unsigned next;
	char *text = texts[next++ % 8];

	snprintf(text, sizeof texts[0], "%s:%u", host, port);
	return text;
}

/* ---- it succeeds ---- */

TASK_TEST(tcp_connect_name, reaches_who_listens)
{
	cede_stream_t *s = NULL;
	unsigned port;
	int listener = peer_listen(&port), peer, on = 0;
	socklen_t size = sizeof on;
	char buffer[56];

	cr_assert_eq(cede_tcp_connect(at_port("v4.test", port), &s), 0);
	peer = peer_accept(listener);
	cr_assert_eq(cede_write(s, "hello", 5), 5);
	cr_assert_eq(peer_receive(peer, buffer, 5), 5);
	cr_assert_eq(cede_stream_peer(s, buffer, sizeof buffer), 0);
	cr_assert_str_eq(buffer, at_port("127.0.0.1", port));
	cr_assert_eq(getsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
	cr_assert(on, "TCP_NODELAY is promised");
	cede_close(s);
	peer_close(peer);
	peer_close(listener);
}

/* Nobody is there by IPv6: at once the other is tried, and no time passes. */
TASK_TEST(tcp_connect_name, what_is_refused_gives_way_at_once)
{
	cede_stream_t *s = NULL;
	cede_connect_options_t options = { .attempt_delay_ms = 1000000, .timeout_ms = 2000000 };
	unsigned port;
	int listener = peer_listen(&port);
	char buffer[56];

	cr_assert_eq(cede_tcp_connect_with(at_port("both.test", port), &options, &s), 0);
	cr_assert_eq(cede_stream_peer(s, buffer, sizeof buffer), 0);
	cr_assert_str_eq(buffer, at_port("127.0.0.1", port));
	cede_close(s);
	peer_close(listener);
}

TASK_TEST(tcp_connect_name, a_number_and_a_services_name_are_an_address)
{
	cede_stream_t *s = NULL;

	wire_open(1);
	wire_answer(0, 1);
	cr_assert_eq(cede_tcp_connect("192.0.2.7:https", &s), 0);
	cr_assert_str_eq(wire.attempts[0].to, "192.0.2.7");
	cede_close(s);
	wire_close();
}

TASK_TEST(tcp_connect_name, starts_and_takes_part_in_a_select)
{
	cede_connect_t slow, fast;
	unsigned port;
	int listener = peer_listen(&port);

	resolver_hold();
	cr_assert_eq(cede_tcp_connect_start("v4.test:1", &slow), 0);
	resolver_await(1);
	cr_assert_eq(cede_tcp_connect_start(at_port("127.0.0.1", port), &fast), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &slow.future, &fast.future }), 1);
	cr_assert_eq(slow.future.result, CEDE_ECANCELED);
	cr_assert_null(slow.stream);
	cede_abort(fast.stream);
	peer_close(listener);
	resolver_let_go();
}

/* ---- the order, and the pace ---- */

/* Nobody answers. From the first attempt on time passes only where everybody waits. */
static void
connect_to_none(const char *name)
{
	cede_connect_t op;

	wire_open(4);
	wire.uv = cede_loop_uv(cede_loop_current());
	cr_assert_eq(cede_tcp_connect_start(name, &op), 0);
	while (wire.begun == 0)
		cr_assert_eq(cede_sleep(0), 0);
	clock_start();
	cr_assert_eq(cede_await(&op.future), CEDE_ETIMEDOUT);
	clock_stop();
	cr_assert_null(op.stream);
	cr_assert_eq(wire.begun, 4);
	cr_assert_eq(wire_count_open(), 0);
	cr_assert_geq(wire.attempts[1].at_ms - wire.attempts[0].at_ms, 250);
	cr_assert_eq(wire.attempts[2].at_ms - wire.attempts[1].at_ms, 250);
	cr_assert_eq(wire.attempts[3].at_ms - wire.attempts[2].at_ms, 250);
	wire_close();
}

static void
look_up_first(const char *name)
{
	cede_dns_result_t *found;

	cr_assert_eq(cede_dns_lookup(name, NULL, NULL, &found), 0);
	cede_dns_result_destroy(found);
}

TASK_TEST(tcp_connect_name, the_families_take_turns_a_quarter_of_a_second_apart)
{
	connect_to_none("four.test:80");
	cr_assert_str_eq(wire.attempts[0].to, "2001:db8::1");
	cr_assert_str_eq(wire.attempts[1].to, "192.0.2.1");
	cr_assert_str_eq(wire.attempts[2].to, "2001:db8::2");
	cr_assert_str_eq(wire.attempts[3].to, "192.0.2.2");
}

TASK_TEST(tcp_connect_name, the_family_that_the_resolver_puts_first_begins)
{
	connect_to_none("first4.test:80");
	cr_assert_str_eq(wire.attempts[0].to, "192.0.2.1");
	cr_assert_str_eq(wire.attempts[1].to, "2001:db8::1");
	cr_assert_str_eq(wire.attempts[2].to, "192.0.2.2");
	cr_assert_str_eq(wire.attempts[3].to, "192.0.2.3");
}

TASK_TEST(tcp_connect_name, a_family_can_be_asked_for)
{
	const cede_connect_options_t v4 = { .family = CEDE_DNS_IPV4 };
	cede_stream_t *s = NULL;

	wire_open(1);
	wire_answer(0, 1);
	cr_assert_eq(cede_tcp_connect_with("four.test:80", &v4, &s), 0);
	cr_assert_str_eq(wire.attempts[0].to, "192.0.2.1");
	cede_close(s);
	wire_close();
	cr_assert_eq(cede_tcp_connect_with("[::1]:80", &v4, &s), CEDE_EAI_ADDRFAMILY);
}

/* ---- it fails ---- */

TASK_TEST(tcp_connect_name, a_name_that_is_not_found_is_the_resolvers_code)
{
	cede_stream_t *s = NULL;

	cr_assert_eq(cede_tcp_connect("none.test:80", &s), CEDE_EAI_NONAME);
	cr_assert_eq(cede_tcp_connect("again.test:80", &s), CEDE_EAI_AGAIN);
	cr_assert_eq(cede_tcp_connect("nothing.test:80", &s), CEDE_EAI_NODATA);
	cr_assert_eq(cede_tcp_connect("v4.test:no-such", &s), CEDE_EAI_SERVICE);
	cr_assert_null(s);
}

TASK_TEST(tcp_connect_name, what_is_no_name_asks_nobody)
{
	static const char *const bad[] = { "", "a", "a:", ":http", "a b:80", "a:65536", "::1:80",
		"127.1:80", "[a]:80", "[::1", "a..b:80" };
	cede_stream_t *s = NULL;

	for (size_t i = 0; i < CEDE__ARRAY_LEN(bad); i++)
		cr_assert_eq(cede_tcp_connect(bad[i], &s), CEDE_EINVAL, "%s", bad[i]);
	cr_assert_eq(cede_tcp_connect(NULL, &s), CEDE_EINVAL);
	cr_assert_eq(resolver_asked, 0);
	cr_assert_null(s);
}

TASK_TEST(tcp_connect_name, everybody_refuses)
{
	cede_stream_t *s = NULL;
	unsigned port;
	int fd = peer_refuse(&port);

	cr_assert_eq(cede_tcp_connect(at_port("both.test", port), &s), CEDE_ECONNREFUSED);
	cr_assert_null(s);
	peer_close(fd);
}

/* Of what went wrong, that is told which says most. */
TASK_TEST(tcp_connect_name, the_most_useful_error_is_kept)
{
	static const struct {
		int errors[4]; /* negative: told by libuv; positive: by connect() itself */
		int expected;
	} cases[] = {
		{ { ENETUNREACH, -ECONNREFUSED, ENETUNREACH, -ETIMEDOUT }, CEDE_ECONNREFUSED },
		{ { ENETUNREACH, ENETUNREACH, ENETUNREACH, ENETUNREACH }, -ENETUNREACH },
		{ { -ETIMEDOUT, ENETUNREACH, -EHOSTUNREACH, ENETUNREACH }, CEDE_ETIMEDOUT },
		{ { -EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT }, -EHOSTUNREACH },
		{ { -ECONNREFUSED, -ECONNRESET, -ETIMEDOUT, ENETUNREACH }, CEDE_ECONNRESET },
		{ { ENOBUFS, -ECONNREFUSED, -ECONNREFUSED, -ECONNREFUSED }, CEDE_ENOBUFS },
	};

	for (size_t i = 0; i < CEDE__ARRAY_LEN(cases); i++) {
		cede_stream_t *s = NULL;

		wire_open(4);
		for (int j = 0; j < 4; j++) {
			if (cases[i].errors[j] > 0)
				wire.refuses[j] = cases[i].errors[j];
			else
				wire_answer(j, cases[i].errors[j]);
		}
		cr_assert_eq(cede_tcp_connect("four.test:80", &s), cases[i].expected, "case %zu",
			i);
		cr_assert_eq(wire.begun, 4);
		cr_assert_null(s);
		wire_close();
	}
}

TASK_TEST(tcp_connect_name, time_is_limited)
{
	const cede_connect_options_t options = { .timeout_ms = 400 };
	cede_stream_t *s = NULL;
	int64_t began;

	clock_start();
	wire_open(1);
	began = clock_ms();
	cr_assert_eq(cede_tcp_connect("192.0.2.1:80", &s), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - began, 30000);
	wire_close();
	wire_open(1);
	began = clock_ms();
	cr_assert_eq(cede_tcp_connect_with("192.0.2.1:80", &options, &s), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - began, 400);
	wire_close();

	resolver_hold();
	began = clock_ms();
	cr_assert_eq(cede_tcp_connect("four.test:80", &s), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - began, 10000, "the lookup's own limit");
	began = clock_ms();
	cr_assert_eq(cede_tcp_connect_with("four.test:80", &options, &s), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - began, 400);
	clock_stop();
	resolver_let_go();
	cr_assert_null(s);
}

Test(tcp_connect_name, outside_a_task_is_refused)
{
	cede_stream_t *s = NULL;
	cede_connect_t op;

	leaks_begin();
	cr_assert_eq(cede_tcp_connect("v4.test:1", &s), CEDE_ENOTASK);
	cr_assert_eq(cede_tcp_connect_with("v4.test:1", NULL, &s), CEDE_ENOTASK);
	cr_assert_eq(cede_tcp_connect_start("v4.test:1", &op), CEDE_ENOTASK);
	cr_assert_eq(cede_tcp_connect_with_start("v4.test:1", NULL, &op), CEDE_ENOTASK);
	cr_assert_null(s);
	leaks_end();
}

/* ---- options ---- */

TASK_TEST(tcp_connect_name, options_that_make_no_sense_are_refused)
{
	static const cede_connect_options_t bad[] = {
		{ .local = "v4.test:0" },
		{ .local = "127.0.0.1" },
		{ .local = ":0" },
		{ .local = "127.0.0.1:0", .family = CEDE_DNS_IPV6 },
		{ .attempt_delay_ms = 9 },
		{ .family = (cede_dns_family_t)3 },
		{ .family = (cede_dns_family_t)-1 },
	};
	cede_stream_t *s = NULL;

	for (size_t i = 0; i < CEDE__ARRAY_LEN(bad); i++)
		cr_assert_eq(cede_tcp_connect_with("127.0.0.1:1", &bad[i], &s), CEDE_EINVAL,
			"options %zu", i);
	cr_assert_null(s);
}

TASK_TEST(tcp_connect_name, connects_from_an_address)
{
	const cede_connect_options_t options = { .local = "127.0.0.2:0", .delay = 1 };
	cede_stream_t *s = NULL;
	unsigned port;
	int listener = peer_listen(&port), on = 1;
	socklen_t size = sizeof on;
	char buffer[56];

	cr_assert_eq(cede_tcp_connect_with(at_port("both.test", port), &options, &s), 0);
	cr_assert_eq(cede_stream_local(s, buffer, sizeof buffer), 0);
	cr_assert_eq(strncmp(buffer, "127.0.0.2:", 10), 0, "%s", buffer);
	cr_assert_eq(getsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
	cr_assert_not(on);
	cede_close(s);
	peer_close(listener);
}

TASK_TEST(tcp_connect_name, connects_from_no_address_that_is_not_ours)
{
	const cede_connect_options_t options = { .local = "192.0.2.1:0" };
	cede_connect_options_t taken = { 0 };
	cede_stream_t *s = NULL;
	unsigned port, other;
	int listener = peer_listen(&port), refuse = peer_refuse(&other);

	cr_assert_eq(cede_tcp_connect_with(at_port("127.0.0.1", port), &options, &s),
		CEDE_EADDRNOTAVAIL);
	cr_assert_eq(cede_tcp_connect_with(at_port("both.test", port), &options, &s),
		CEDE_EADDRNOTAVAIL);
	cr_assert_eq(cede_tcp_connect_with("[::1]:1", &options, &s), CEDE_EAI_ADDRFAMILY);
	taken.local = at_port("127.0.0.1", port);
	cr_assert_eq(cede_tcp_connect_with(at_port("127.0.0.1", other), &taken, &s),
		CEDE_EADDRINUSE);
	cr_assert_null(s);
	peer_close(refuse);
	peer_close(listener);
}

TASK_TEST(tcp_connect_name, keeps_no_text_of_the_callers)
{
	char name[] = "v4.test:80", local[] = "127.0.0.1:0";
	cede_connect_options_t options = { .local = local };
	cede_connect_t op;

	wire_open(1);
	wire_answer(0, 1);
	resolver_hold();
	cr_assert_eq(cede_tcp_connect_with_start(name, &options, &op), 0);
	memset(name, 'x', sizeof name - 1);
	memset(local, 'x', sizeof local - 1);
	memset(&options, 0xff, sizeof options);
	resolver_let_go();
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_str_eq(wire.attempts[0].to, "127.0.0.1");
	cede_close(op.stream);
	wire_close();
}

/* ---- cancelled ---- */

struct connecting {
	const char *address;
	cede_stream_t *stream;
	int result;
};

static int
connect_once(void *arg)
{
	struct connecting *c = arg;

	c->result = cede_tcp_connect(c->address, &c->stream);
	return 0;
}

TASK_TEST(tcp_connect_name, cancelled_while_it_is_looked_up_opens_nothing)
{
	struct connecting c = { .address = "v4.test:80" };
	CEDE_GROUP(g);

	wire_open(1);
	resolver_hold();
	cr_assert_eq(cede_spawn(&g, connect_once, &c), 0);
	let_others_run();
	resolver_await(1);
	cede_group_cancel(&g);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(c.result, CEDE_EXIT);
	cr_assert_null(c.stream);
	resolver_let_go();
	look_up_first("v4.test"); /* behind it */
	cr_assert_eq(wire.begun, 0);
	wire_close();
}

TASK_TEST(tcp_connect_name, cancelled_with_several_attempts_under_way_closes_them_all)
{
	struct connecting c = { .address = "four.test:80" };
	CEDE_GROUP(g);

	wire_open(4);
	cr_assert_eq(cede_spawn(&g, connect_once, &c), 0);
	while (wire.begun < 2)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert_geq(wire_count_open(), 2);
	cede_group_cancel(&g);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(c.result, CEDE_EXIT);
	cr_assert_null(c.stream);
	cr_assert_eq(wire_count_open(), 0);
	wire_close();
}

TASK_TEST(tcp_connect_name, a_timeout_scope_ends_it)
{
	cede_stream_t *s = NULL;
	int r = 0;

	wire_open(4);
	CEDE_TIMEOUT(10) {
		r = cede_tcp_connect("four.test:80", &s);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_null(s);
	cr_assert_eq(wire_count_open(), 0);
	wire_close();
}

static int
forget_connects(void *arg)
{
	static cede_connect_t ops[2]; /* outlive the task */

	cr_assert_eq(cede_tcp_connect_start("192.0.2.1:80", &ops[0]), 0);
	cr_assert_eq(cede_tcp_connect_start("four.test:80", &ops[1]), 0);
	return 0;
}

Test(tcp_connect_name, what_is_left_connecting_is_given_up_with_the_loop)
{
	leaks_begin();
	wire_open(5);
	cr_assert_eq(cede_run(forget_connects, NULL), 0);
	cr_assert_eq(wire_count_open(), 0);
	wire_close();
	leaks_end();
}

/* ---- out of memory, out of descriptors ---- */

static int
connect_without_memory(struct pair *p)
{
	cede_stream_t *s = NULL;
	int r = cede_tcp_connect(at_port("both.test", p->port), &s);

	cede_close(s);
	return r;
}

Test(tcp_connect_name, an_allocation_that_fails_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(connect_without_memory, FAULT_ONCE), 5);
}

Test(tcp_connect_name, no_memory_at_all_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(connect_without_memory, FAULT_FOREVER), 5);
}

TASK_TEST(tcp_connect_name, without_descriptors_is_an_error_that_passes)
{
	cede_stream_t *s = NULL;
	struct rlimit before, limit;
	unsigned port;
	int listener = peer_listen(&port), next;

	look_up_first("both.test"); /* the pool's threads and libuv's own descriptors are there */
	next = dup(0);
	close(next);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)next;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_tcp_connect(at_port("both.test", port), &s), CEDE_EMFILE);
	cr_assert_null(s);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_assert_eq(cede_tcp_connect(at_port("both.test", port), &s), 0);
	cede_close(s);
	peer_close(listener);
}
