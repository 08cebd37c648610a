/* Connecting over TCP: net/tcp.c. */
#include "tests/net/pair.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

TestSuite(tcp_connect, .timeout = 30);

static const char *
on_port(unsigned port)
{
	static char texts[8][32];
	static unsigned next;
	char *text = texts[next++ % 8];

	snprintf(text, sizeof texts[0], "127.0.0.1:%u", port);
	return text;
}

/* libuv opens a descriptor of its own for a loop's first stream: before descriptors are counted. */
static int
count_fds(void)
{
	cede_stream_t *s = NULL;
	unsigned port;
	int fd = peer_refuse(&port);

	cr_assert_eq(cede_tcp_connect(on_port(port), &s), CEDE_ECONNREFUSED);
	peer_close(fd);
	return leaks_count_fds();
}

struct connecting {
	const char *address;
	cede_stream_t *stream;
	int result;
	int has_ended;
};

static int
connect_once(void *arg)
{
	struct connecting *c = arg;

	c->result = cede_tcp_connect(c->address, &c->stream);
	c->has_ended = 1;
	return 0;
}

/* ---- it succeeds ---- */

TASK_TEST(tcp_connect, reaches_who_listens)
{
	cede_stream_t *s = NULL;
	unsigned port;
	int listener = peer_listen(&port), peer, on = 0;
	socklen_t size = sizeof on;
	char buffer[56];

	cr_assert_eq(cede_tcp_connect(on_port(port), &s), 0);
	peer = peer_accept(listener);
	cr_assert_eq(cede_write(s, "hello", 5), 5);
	cr_assert_eq(peer_receive(peer, buffer, 5), 5);
	peer_send(peer, "world!", 6);
	cr_assert_eq(cede_read(s, buffer, sizeof buffer), 6);
	cr_assert_eq(cede_stream_peer(s, buffer, sizeof buffer), 0);
	cr_assert_str_eq(buffer, on_port(port));
	cr_assert_eq(getsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
	cr_assert(on, "TCP_NODELAY is promised");
	cede_close(s);
	peer_close(peer);
	peer_close(listener);
}

TASK_TEST(tcp_connect, the_first_read_waits_and_the_first_write_goes)
{
	cede_stream_t *s = NULL;
	unsigned port;
	int listener = peer_listen(&port), peer;
	char buffer[8];
	cede_read_t op;

	cr_assert_eq(cede_tcp_connect(on_port(port), &s), 0);
	peer = peer_accept(listener);
	cr_assert_eq(cede_read_start(s, buffer, sizeof buffer, &op), 0);
	cr_assert_not(op.future.is_done);
	peer_send(peer, "x", 1);
	cr_assert_eq(cede_await(&op.future), 1);
	cede_close(s);
	peer_close(peer);
	peer_close(listener);
}

TASK_TEST(tcp_connect, reaches_a_listener_of_the_same_loop_over_ipv6)
{
	cede_listener_t *l = NULL;
	cede_stream_t *client = NULL, *server = NULL;
	char address[56], peer[56], local[56];

	if (cede_tcp_listen("[::1]:0", NULL, &l) == CEDE_EADDRNOTAVAIL || !l)
		return; /* a host without IPv6 */
	cr_assert_eq(cede_listener_address(l, address, sizeof address), 0);
	cr_assert_eq(cede_tcp_connect(address, &client), 0);
	cr_assert_eq(cede_accept(l, &server), 0);
	cr_assert_eq(cede_stream_local(client, local, sizeof local), 0);
	cr_assert_eq(cede_stream_peer(server, peer, sizeof peer), 0);
	cr_assert_str_eq(local, peer);
	cede_close(client);
	cede_close(server);
	cede_listener_close(l);
}

/* An address of this host's that is of a link, with its zone; "" if it has none. */
static void
find_link_local(char *text, size_t size)
{
	struct ifaddrs *all = NULL;
	char host[INET6_ADDRSTRLEN];

	*text = '\0';
	cr_assert_eq(getifaddrs(&all), 0);
	for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
		const struct sockaddr_in6 *v6 = (const void *)one->ifa_addr;

		if (!v6 || v6->sin6_family != AF_INET6 || !IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
			continue;
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
		snprintf(text, size, "[%s%%%s]:0", host, one->ifa_name);
	}
	freeifaddrs(all);
}

TASK_TEST(tcp_connect, the_names_of_a_link_have_their_zone_and_lead_there)
{
	cede_listener_t *l = NULL;
	cede_stream_t *client = NULL, *server = NULL;
	char address[80], name[56], other[56];
	int r;

	find_link_local(address, sizeof address);
	if (!*address)
		return;
	r = cede_tcp_listen(address, NULL, &l);
	if (r == CEDE_EADDRNOTAVAIL)
		return; /* it is about to have it */
	cr_assert_eq(r, 0, "%s: %s", address, cede_strerror(r));
	cr_assert_eq(cede_listener_address(l, name, sizeof name), 0);
	cr_assert_eq(strncmp(name, address, strlen(address) - 1), 0, "%s", name);
	cr_assert_eq(cede_tcp_connect(name, &client), 0);
	cr_assert_eq(cede_accept(l, &server), 0);
	cr_assert_eq(cede_stream_peer(client, other, sizeof other), 0);
	cr_assert_str_eq(other, name);
	cr_assert_eq(cede_stream_local(client, name, sizeof name), 0);
	cr_assert_eq(cede_stream_peer(server, other, sizeof other), 0);
	cr_assert_str_eq(other, name);
	cede_close(client);
	cede_close(server);
	cede_listener_close(l);
}

/* ---- it fails ---- */

TASK_TEST(tcp_connect, nobody_listens)
{
	cede_stream_t *s = NULL;
	unsigned port;
	int fd = peer_refuse(&port);

	cr_assert_eq(cede_tcp_connect(on_port(port), &s), CEDE_ECONNREFUSED);
	cr_assert_null(s);
	peer_close(fd);
}

TASK_TEST(tcp_connect, what_is_no_address_is_refused)
{
	cede_stream_t *s = NULL;
	cede_connect_t op;

	cr_assert_eq(cede_tcp_connect("localhost", &s), CEDE_EINVAL);
	cr_assert_eq(cede_tcp_connect(NULL, &s), CEDE_EINVAL);
	cr_assert_eq(cede_tcp_connect_start("127.0.0.1", &op), CEDE_EINVAL);
	cr_assert_null(s);
}

Test(tcp_connect, outside_a_task_is_refused)
{
	cede_stream_t *s = NULL;
	cede_connect_t op;

	leaks_begin();
	cr_assert_eq(cede_tcp_connect("127.0.0.1:1", &s), CEDE_ENOTASK);
	cr_assert_eq(cede_tcp_connect_start("127.0.0.1:1", &op), CEDE_ENOTASK);
	cr_assert_null(s);
	leaks_end();
}

/* Without descriptors a connect fails at once; with them again the next one works. */
TASK_TEST(tcp_connect, without_descriptors_is_an_error_that_passes)
{
	cede_stream_t *s = NULL;
	struct rlimit before, limit;
	unsigned port;
	int listener = peer_listen(&port), next = dup(0);

	close(next);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)next;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_tcp_connect(on_port(port), &s), CEDE_EMFILE);
	cr_assert_null(s);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_assert_eq(cede_tcp_connect(on_port(port), &s), 0);
	cede_close(s);
	peer_close(listener);
}

/* ---- cancelled ---- */

static int
connect_while_closing(void *arg)
{
	struct connecting *c = arg;

	close_oneself();
	c->result = cede_tcp_connect(c->address, &c->stream);
	return c->result;
}

TASK_TEST(tcp_connect, cancelled_before_it_starts_opens_nothing)
{
	unsigned port;
	int listener = peer_listen(&port), before = count_fds();
	struct connecting c = { .address = on_port(port) };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, connect_while_closing, &c), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(c.result, CEDE_EXIT);
	cr_assert_null(c.stream);
	cr_assert_eq(leaks_count_fds(), before);
	peer_close(listener);
}

TASK_TEST(tcp_connect, cancelled_while_it_waits_leaves_nothing_open)
{
	struct connecting c = { 0 };
	cede_task_t *task;
	unsigned port;
	int full[2], before;

	peer_listen_full(full, &port);
	c.address = on_port(port);
	before = count_fds();
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, connect_once, &c, NULL, &task), 0);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_not(c.has_ended);
	cr_assert_eq(leaks_count_fds(), before + 1);
	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_group_wait(&g), 0);
	cede_task_unref(task);
	cr_assert_eq(c.result, CEDE_EXIT);
	cr_assert_null(c.stream);
	cr_assert_eq(leaks_count_fds(), before);
	peer_close(full[0]);
	peer_close(full[1]);
}

TASK_TEST(tcp_connect, a_timeout_scope_ends_it)
{
	cede_stream_t *s = NULL;
	unsigned port;
	int full[2], r = 0;

	peer_listen_full(full, &port);
	CEDE_TIMEOUT(10) {
		r = cede_tcp_connect(on_port(port), &s);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_null(s);
	peer_close(full[0]);
	peer_close(full[1]);
}

TASK_TEST(tcp_connect, cancelled_when_it_has_completed_keeps_its_stream)
{
	cede_connect_t op;
	unsigned port;
	int listener = peer_listen(&port);

	cr_assert_eq(cede_tcp_connect_start(on_port(port), &op), 0);
	cr_assert_eq(cede_wait_any(1, (cede_future_t *[]){ &op.future }), 0);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_not_null(op.stream);
	cr_assert_eq(cede_write(op.stream, "x", 1), 1);
	cede_close(op.stream);
	peer_close(listener);
}

/* Started and given up in every state, again and again. */
TASK_TEST(tcp_connect, the_loser_of_a_select_leaves_nothing_open)
{
	unsigned port, full_port;
	int listener = peer_listen(&port), full[2], before;

	peer_listen_full(full, &full_port);
	before = count_fds();
	for (int i = 0; i < 50; i++) {
		cede_connect_t one, other;
		int first;

		cr_assert_eq(cede_tcp_connect_start(on_port(full_port), &one), 0);
		cr_assert_eq(cede_tcp_connect_start(on_port(port), &other), 0);
		first = cede_select(2, (cede_future_t *[]){ &one.future, &other.future });
		cr_assert_eq(first, 1);
		cr_assert_eq(one.future.result, CEDE_ECANCELED);
		cr_assert_null(one.stream);
		cr_assert_eq(other.future.result, 0);
		cede_abort(other.stream);
		peer_close(peer_accept(listener));
	}
	cr_assert_eq(leaks_count_fds(), before);
	peer_close(full[0]);
	peer_close(full[1]);
	peer_close(listener);
}

static int
leave_connecting(void *arg)
{
	static cede_connect_t op; /* outlives the task */
	struct connecting *c = arg;

	return cede_tcp_connect_start(c->address, &op);
}

Test(tcp_connect, what_is_left_connecting_is_closed_with_the_loop)
{
	struct connecting c = { 0 };
	unsigned port;
	int full[2];

	leaks_begin();
	peer_listen_full(full, &port);
	c.address = on_port(port);
	cr_assert_eq(cede_run(leave_connecting, &c), 0);
	peer_close(full[0]);
	peer_close(full[1]);
	leaks_end();
}

/* ---- out of memory ---- */

static int
connect_without_memory(struct pair *p)
{
	cede_stream_t *s = NULL;
	int r = cede_tcp_connect(on_port(p->port), &s);

	cede_close(s);
	return r;
}

Test(tcp_connect, an_allocation_that_fails_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(connect_without_memory, FAULT_ONCE), 1);
}

Test(tcp_connect, no_memory_at_all_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(connect_without_memory, FAULT_FOREVER), 1);
}
