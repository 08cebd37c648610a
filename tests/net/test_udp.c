/* Opening, naming and closing UDP sockets: net/udp.c. */
#include "tests/net/udp_pair.h"

#include <fcntl.h>

TestSuite(udp, .timeout = 30);

static void
expect_local(const cede_udp_t *u, const char *host)
{
	cede_address_t local;
	char text[CEDE_ADDRESS_TEXT_SIZE];

	cr_assert_eq(cede_udp_local(u, &local), 0);
	cr_assert_eq(cede_address_format(&local, text, sizeof text), 0);
	cr_assert_eq(strncmp(text, host, strlen(host)), 0, "%s", text);
	cr_assert_gt(cede_address_port(&local), 0);
}

/* ---- opening ---- */

TASK_TEST(udp, binds_to_a_port_of_the_systems_choice)
{
	cede_udp_t *u = NULL;
	cede_address_t peer;

	cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &u), 0);
	expect_local(u, "127.0.0.1:");
	cr_assert_eq(cede_udp_peer(u, &peer), CEDE_ENOTCONN);
	cede_udp_close(u);
}

TASK_TEST(udp, an_empty_host_is_every_address_of_both_families)
{
	static const char *const hosts[] = { "127.0.0.1:0", "[::1]:0" };
	cede_udp_t *all = NULL;
	cede_address_t to;
	char buffer[8];

	cr_assert_eq(cede_udp_bind(":0", NULL, &all), 0);
	cr_assert_eq(cede_udp_local(all, &to), 0);
	for (int i = 0; i < 2; i++) {
		cede_udp_t *u = NULL;
		cede_udp_info_t info;
		cede_address_t back;
		uint16_t port = cede_address_port(&to);

		cr_assert_eq(cede_udp_bind(hosts[i], NULL, &u), 0);
		cr_assert_eq(cede_address_parse(hosts[i], &to), 0);
		cede_address_set_port(&to, port);
		cr_assert_eq(cede_udp_send(u, "there", 5, &to), 5);
		cr_assert_eq(cede_udp_receive(all, buffer, sizeof buffer, &info), 5);
		cr_assert_eq(cede_address_is_ipv6(&info.peer), 1, "as an IPv6 socket says it");
		cr_assert_eq(cede_udp_send(all, "back", 4, &info.peer), 4);
		cr_assert_eq(cede_udp_receive(u, buffer, sizeof buffer, &info), 4);
		cr_assert(cede_address_is_equal(&info.peer, &to));
		cr_assert_eq(cede_udp_local(u, &back), 0); /* and an IPv4 address does as well */
		cr_assert_eq(cede_udp_send(all, "back", 4, &back), 4);
		cr_assert_eq(cede_udp_receive(u, buffer, sizeof buffer, &info), 4);
		cede_udp_close(u);
	}
	cede_udp_close(all);
}

TASK_TEST(udp, without_ipv4_if_asked_for)
{
	const cede_udp_options_t only = { .ipv6_only = 1 };
	cede_udp_t *v6 = NULL, *v4 = NULL;
	cede_address_t local;
	char text[32];

	cr_assert_eq(cede_udp_bind(":0", &only, &v6), 0);
	cr_assert_eq(cede_udp_local(v6, &local), 0);
	snprintf(text, sizeof text, "0.0.0.0:%u", cede_address_port(&local));
	cr_assert_eq(cede_udp_bind(text, NULL, &v4), 0, "the port is free there");
	cede_udp_close(v4);
	cede_udp_close(v6);
}

TASK_TEST(udp, what_cannot_be_opened_is_refused)
{
	cede_udp_t *u = NULL, *first = NULL;
	cede_address_t local;
	char text[CEDE_ADDRESS_TEXT_SIZE];

	cr_assert_eq(cede_udp_bind("nonsense", NULL, &u), CEDE_EINVAL);
	cr_assert_eq(cede_udp_bind(NULL, NULL, &u), CEDE_EINVAL);
	cr_assert_eq(cede_udp_connect("nonsense", NULL, &u), CEDE_EINVAL);
	cr_assert_eq(cede_udp_connect(NULL, NULL, &u), CEDE_EINVAL);
	cr_assert_eq(cede_udp_bind("198.51.100.1:0", NULL, &u), CEDE_EADDRNOTAVAIL);
	cr_assert_eq(cede_udp_connect("255.255.255.255:1", NULL, &u), CEDE_EACCES);
	cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &first), 0);
	cr_assert_eq(cede_udp_local(first, &local), 0);
	cr_assert_eq(cede_address_format(&local, text, sizeof text), 0);
	cr_assert_eq(cede_udp_bind(text, NULL, &u), CEDE_EADDRINUSE);
	cr_assert_null(u);
	cede_udp_close(first);
}

Test(udp, outside_a_task_nothing_is_opened)
{
	cede_udp_t *u = NULL;

	leaks_begin();
	cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &u), CEDE_ENOTASK);
	cr_assert_eq(cede_udp_connect("127.0.0.1:1", NULL, &u), CEDE_ENOTASK);
	cr_assert_null(u);
	leaks_end();
}

TASK_TEST(udp, a_port_is_shared_when_both_ask_for_it)
{
	static const cede_udp_options_t ways[] = { { .share_port = 1 }, { .reuse_address = 1 } };

	for (int i = 0; i < 2; i++) {
		cede_udp_t *one = NULL, *other = NULL;
		cede_address_t local;
		char text[CEDE_ADDRESS_TEXT_SIZE];

		cr_assert_eq(cede_udp_bind("127.0.0.1:0", &ways[i], &one), 0);
		cr_assert_eq(cede_udp_local(one, &local), 0);
		cr_assert_eq(cede_address_format(&local, text, sizeof text), 0);
		cr_assert_eq(cede_udp_bind(text, NULL, &other), CEDE_EADDRINUSE);
		cr_assert_eq(cede_udp_bind(text, &ways[i], &other), 0);
		cede_udp_close(one);
		cede_udp_close(other);
	}
}

UDP_TEST(udp, is_not_inherited_by_a_child_and_does_not_block)
{
	cr_assert(fcntl(p->udp->fd, F_GETFD) & FD_CLOEXEC);
	cr_assert(fcntl(p->udp->fd, F_GETFL) & O_NONBLOCK);
}

/* ---- peers ---- */

TASK_TEST(udp, a_connected_one_has_a_peer_and_hears_nobody_else)
{
	cede_address_t known, stranger, peer, local;
	char text[CEDE_ADDRESS_TEXT_SIZE], buffer[8];
	int fds[] = { raw_open(&known), raw_open(&stranger) };
	cede_udp_t *u = NULL;

	cr_assert_eq(cede_address_format(&known, text, sizeof text), 0);
	cr_assert_eq(cede_udp_connect(text, NULL, &u), 0);
	expect_local(u, "127.0.0.1:");
	cr_assert_eq(cede_udp_peer(u, &peer), 0);
	cr_assert(cede_address_is_equal(&peer, &known));
	cr_assert_eq(cede_udp_local(u, &local), 0);
	raw_connect(fds[0], &local);
	raw_connect(fds[1], &local);
	send(fds[1], "bad", 3, 0);
	raw_send(fds[0], "good", 4);
	cr_assert_eq(cede_udp_receive(u, buffer, sizeof buffer, NULL), 4);
	cr_assert_eq(cede_udp_send(u, "answer", 6, NULL), 6);
	raw_expect(fds[0], "answer", 6);
	cede_udp_close(u);
	close(fds[0]);
	close(fds[1]);
}

UDP_TEST(udp, a_bound_one_gets_a_peer_later_and_another_one)
{
	cede_address_t peer, second;
	int fd = raw_open(&second);

	cr_assert_eq(cede_udp_send(p->udp, "x", 1, NULL), CEDE_EDESTADDRREQ);
	cr_assert_eq(cede_udp_set_peer(p->udp, &p->from), 0);
	cr_assert_eq(cede_udp_send(p->udp, "one", 3, NULL), 3);
	cr_assert_eq(cede_udp_set_peer(p->udp, &second), 0);
	cr_assert_eq(cede_udp_send(p->udp, "two", 3, NULL), 3);
	cr_assert_eq(cede_udp_peer(p->udp, &peer), 0);
	cr_assert(cede_address_is_equal(&peer, &second));
	raw_expect(p->peer, "one", 3);
	raw_expect(fd, "two", 3);
	close(fd);
}

UDP_TEST(udp, what_can_be_no_peer_is_refused_and_the_peer_stays)
{
	cede_address_t none = { 0 }, v6, peer;

	cr_assert_eq(cede_udp_set_peer(p->udp, &p->from), 0);
	cr_assert_eq(cede_address_parse("[::1]:1", &v6), 0);
	cr_assert_eq(cede_udp_set_peer(p->udp, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_udp_set_peer(p->udp, &none), CEDE_EINVAL);
	cr_assert_eq(cede_udp_set_peer(p->udp, &v6), CEDE_EINVAL);
	cr_assert_eq(cede_udp_peer(p->udp, &peer), 0);
	cr_assert(cede_address_is_equal(&peer, &p->from));
}

/* ---- closing ---- */

UDP_TEST(udp, closing_frees_the_port_at_once)
{
	char text[CEDE_ADDRESS_TEXT_SIZE];

	cr_assert_eq(cede_address_format(&p->address, text, sizeof text), 0);
	for (int i = 0; i < 3; i++) {
		cede_udp_close(p->udp);
		p->udp = NULL;
		cr_assert_eq(cede_udp_bind(text, NULL, &p->udp), 0);
	}
}

TASK_TEST(udp, closing_nothing_is_allowed)
{
	cede_udp_close(NULL);
}

static int
close_twice(void *arg)
{
	cede_udp_t *u = NULL;

	cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &u), 0);
	cede_udp_close(u);
	cede_udp_close(u);
	return 0;
}

Test(udp, closing_twice_aborts, .signal = SIGABRT)
{
	(void)!cede_run(close_twice, NULL);
}

/* A descriptor's number is taken again at once: nothing of the old socket may be left in the poll. */
UDP_TEST(udp, one_that_takes_the_place_of_another_is_not_confused_with_it)
{
	for (int i = 0; i < 20; i++) {
		struct receiving r = { .udp = p->udp };
		const int fd = p->udp->fd;

		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn(&g, receive_once, &r), 0);
		let_others_run();
		raw_send(p->peer, "old", 3);
		cede_udp_close(p->udp);
		cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &p->udp), 0);
		cr_assert_eq(p->udp->fd, fd);
		cr_assert_eq(cede_udp_local(p->udp, &p->address), 0);
		raw_connect(p->peer, &p->address);
		raw_send(p->peer, "new", 3);
		cr_assert_eq(cede_group_wait(&g), 0);
		cr_assert_eq(r.result, CEDE_ECANCELED);
		r.udp = p->udp;
		cr_assert_eq(cede_spawn(&g, receive_once, &r), 0);
		cr_assert_eq(cede_group_wait(&g), 0);
		cr_assert_eq(r.result, 3);
		cr_assert_arr_eq(r.buffer, "new", 3);
	}
}

static int
leave_it_open(void *arg)
{
	const int *is_armed = arg;
	cede_udp_receive_t op;
	cede_udp_t *u = NULL;
	char byte;

	cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &u), 0);
	if (*is_armed) {
		cr_assert_eq(cede_udp_receive_start(u, &byte, 1, &op), 0);
		let_others_run();
		cede_future_cancel(&op.future);
	}
	return 0;
}

Test(udp, what_is_left_open_is_closed_with_the_loop, .timeout = 5)
{
	for (int is_armed = 0; is_armed < 2; is_armed++) {
		leaks_begin();
		cr_assert_eq(cede_run(leave_it_open, &is_armed), 0);
		leaks_end();
	}
}

/* ---- out of memory ---- */

static int
open_without_memory(struct pair *p)
{
	cede_udp_t *u = NULL;
	int r = cede_udp_bind("127.0.0.1:0", NULL, &u);

	cede_udp_close(u);
	return r;
}

static int
connect_without_memory(struct pair *p)
{
	cede_udp_t *u = NULL;
	int r = cede_udp_connect("127.0.0.1:1", NULL, &u);

	cede_udp_close(u);
	return r;
}

Test(udp, opening_without_memory_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(open_without_memory, FAULT_ONCE), 1);
	cr_assert_geq(expect_failures_are_survived(open_without_memory, FAULT_FOREVER), 1);
	cr_assert_geq(expect_failures_are_survived(connect_without_memory, FAULT_ONCE), 1);
	cr_assert_geq(expect_failures_are_survived(connect_without_memory, FAULT_FOREVER), 1);
}
