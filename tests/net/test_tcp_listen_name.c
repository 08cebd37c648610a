/* Listening on a name: net/listener_tcp.c. The resolver is the test's own. */
#include "tests/net/pair.h"
#include "tests/net/resolver.h"

static const struct resolver_host hosts[] = {
	{ .name = "here.test", .addresses = "127.0.0.2" },
	{ .name = "both.test", .addresses = "::1 127.0.0.3" },
	{ .name = "elsewhere.test", .addresses = "198.51.100.1 127.0.0.4" },
	{ .name = "nowhere.test", .addresses = "198.51.100.1 198.51.100.2" },
	{ .name = "again.test", .result = EAI_AGAIN },
	{ .name = NULL },
};

static void
set_up(void)
{
	resolver_init();
	resolver_hosts = hosts;
}

TestSuite(tcp_listen_name, .timeout = 30, .init = set_up);

struct listening {
	const char *name;
	cede_listener_t *listener;
	int result, has_ended;
};

static int
listen_once(void *arg)
{
	struct listening *l = arg;

	l->result = cede_tcp_listen_name(l->name, NULL, &l->listener);
	l->has_ended = 1;
	return 0;
}

static void
expect_at(const char *name, const cede_listen_options_t *options, const char *start)
{
	cede_listener_t *l = NULL;
	char at[56];
	int r = cede_tcp_listen_name(name, options, &l);

	cr_assert_eq(r, 0, "%s: %s", name, cede_strerror(r));
	cr_assert_eq(cede_listener_address(l, at, sizeof at), 0);
	cr_assert_eq(strncmp(at, start, strlen(start)), 0, "%s: %s", name, at);
	cede_listener_close(l);
}

TASK_TEST(tcp_listen_name, is_listening_on_its_first_address_that_can_be_listened_on)
{
	expect_at("here.test:0", NULL, "127.0.0.2:");
	expect_at("both.test:0", NULL, "[::1]:");
	expect_at("elsewhere.test:0", NULL, "127.0.0.4:");
}

TASK_TEST(tcp_listen_name, an_address_asks_nobody)
{
	expect_at("127.0.0.1:0", NULL, "127.0.0.1:");
	expect_at("[::1]:0", NULL, "[::1]:");
	expect_at(":0", NULL, "[::]:");
	cr_assert_eq(resolver_asked, 0);
}

/* As root, whose ports these are: a service of every address is dual stack as its number is. */
TASK_TEST(tcp_listen_name, a_service_is_its_port_on_every_address)
{
	cede_listener_t *l = NULL;
	const int r = cede_tcp_listen_name(":https", NULL, &l);
	char at[56];
	int fd;

	if (r == CEDE_EACCES || r == CEDE_EADDRINUSE)
		return;
	cr_assert_eq(r, 0, "%s", cede_strerror(r));
	cr_assert_eq(cede_listener_address(l, at, sizeof at), 0);
	cr_assert_str_eq(at, "[::]:443");
	fd = peer_connect(443);
	peer_close(fd);
	cede_listener_close(l);
}

TASK_TEST(tcp_listen_name, what_cannot_be_listened_on_is_refused)
{
	const cede_listen_options_t only_v6 = { .only_v6 = 1 };
	cede_listener_t *l = NULL;

	cr_assert_eq(cede_tcp_listen_name(NULL, NULL, &l), CEDE_EINVAL);
	cr_assert_eq(cede_tcp_listen_name("here.test", NULL, &l), CEDE_EINVAL);
	cr_assert_eq(cede_tcp_listen_name("::1:80", NULL, &l), CEDE_EINVAL);
	cr_assert_eq(cede_tcp_listen_name("no such name:80", NULL, &l), CEDE_EINVAL);
	cr_assert_eq(cede_tcp_listen_name("nobody.test:0", NULL, &l), CEDE_EAI_NONAME);
	cr_assert_eq(cede_tcp_listen_name("again.test:0", NULL, &l), CEDE_EAI_AGAIN);
	cr_assert_eq(cede_tcp_listen_name("nowhere.test:0", NULL, &l), CEDE_EADDRNOTAVAIL);
	cr_assert_eq(cede_tcp_listen_name("here.test:0", &only_v6, &l), CEDE_EINVAL);
	cr_assert_null(l);
	expect_at("both.test:0", &only_v6, "[::1]:");
}

TASK_TEST(tcp_listen_name, one_in_use_gives_way_to_the_next_address)
{
	cede_listener_t *l = NULL;
	char at[56], name[64];

	cr_assert_eq(cede_tcp_listen("[::1]:0", NULL, &l), 0);
	cr_assert_eq(cede_listener_address(l, at, sizeof at), 0);
	snprintf(name, sizeof name, "both.test:%u", peer_port(at));
	expect_at(name, NULL, "127.0.0.3:");
	cede_listener_close(l);
}

/* ---- given up ---- */

TASK_TEST(tcp_listen_name, cancelled_while_it_is_looked_up_leaves_nothing_open)
{
	struct listening l = { .name = "here.test:0" };
	cede_task_t *task;

	resolver_hold();
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, listen_once, &l, NULL, &task), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_not(l.has_ended);
	cede_task_cancel(task);
	cr_assert_eq(cede_group_wait(&g), 0);
	cede_task_unref(task);
	cr_assert_eq(l.result, CEDE_EXIT);
	cr_assert_null(l.listener);
	resolver_let_go();
}

TASK_TEST(tcp_listen_name, a_timeout_scope_ends_it)
{
	struct listening l = { .name = "here.test:0" };

	resolver_hold();
	CEDE_TIMEOUT(5) {
		listen_once(&l);
	}
	cr_assert_eq(l.result, CEDE_ETIMEDOUT);
	cr_assert_null(l.listener);
	resolver_let_go();
}

TASK_TEST(tcp_listen_name, in_a_task_that_is_being_closed_does_not_begin)
{
	struct listening l = { .name = "127.0.0.1:0" };

	close_oneself();
	listen_once(&l);
	cr_assert_eq(l.result, CEDE_EXIT);
	cr_assert_null(l.listener);
}

Test(tcp_listen_name, outside_a_task_is_refused)
{
	cede_listener_t *l = NULL;

	leaks_begin();
	cr_assert_eq(cede_tcp_listen_name("127.0.0.1:0", NULL, &l), CEDE_ENOTASK);
	cr_assert_null(l);
	leaks_end();
}

/* ---- out of memory ---- */

static int
listen_without_memory(struct pair *p)
{
	cede_listener_t *l = NULL;
	int r = cede_tcp_listen_name("here.test:0", NULL, &l);

	cede_listener_close(l);
	return r;
}

Test(tcp_listen_name, without_memory_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(listen_without_memory, FAULT_ONCE), 2);
	cr_assert_geq(expect_failures_are_survived(listen_without_memory, FAULT_FOREVER), 2);
}
