/* Receiving: net/udp_receive.c. Batches are in test_udp_many.c. */
#include "tests/net/udp_pair.h"

TestSuite(udp_receive, .timeout = 30);

/* ---- what comes ---- */

UDP_TEST(udp_receive, returns_one_datagram_and_who_sent_it)
{
	cede_udp_info_t info;
	char buffer[16];

	raw_send(p->peer, "first", 5);
	raw_send(p->peer, "second", 6);
	cr_assert_eq(cede_udp_receive(p->udp, buffer, sizeof buffer, &info), 5);
	cr_assert_arr_eq(buffer, "first", 5);
	cr_assert(cede_address_is_equal(&info.peer, &p->from));
	cr_assert_eq(info.full_size, 5);
	cr_assert_eq(info.flags, 0);
	cr_assert_eq(cede_udp_receive(p->udp, buffer, sizeof buffer, NULL), 6);
	cr_assert_arr_eq(buffer, "second", 6);
}

UDP_TEST(udp_receive, waits_for_what_is_to_come)
{
	struct receiving r = { .udp = p->udp };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, receive_once, &r), 0);
	let_others_run();
	cr_assert_not(r.has_ended);
	raw_send(p->peer, "late", 4);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 4);
	cr_assert_arr_eq(r.buffer, "late", 4);
	cr_assert(cede_address_is_equal(&r.info.peer, &p->from));
}

/* Neither an end nor nothing: it has a sender, and others behind it. */
UDP_TEST(udp_receive, an_empty_datagram_is_a_datagram)
{
	struct receiving r = { .udp = p->udp };
	cede_udp_info_t info;
	char byte;

	raw_send(p->peer, "", 0);
	raw_send(p->peer, "x", 1);
	cr_assert_eq(cede_udp_receive(p->udp, &byte, 1, &info), 0);
	cr_assert(cede_address_is_equal(&info.peer, &p->from));
	cr_assert_eq(info.full_size, 0);
	cr_assert_eq(info.flags, 0);
	cr_assert_eq(cede_udp_receive(p->udp, &byte, 1, &info), 1);

	CEDE_GROUP(g); /* and one that is waited for */
	r.result = -1;
	cr_assert_eq(cede_spawn(&g, receive_once, &r), 0);
	let_others_run();
	raw_send(p->peer, "", 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 0);
	cr_assert(cede_address_is_equal(&r.info.peer, &p->from));
}

UDP_TEST(udp_receive, what_does_not_fit_is_cut_off_and_said)
{
	cede_udp_info_t info;
	char buffer[8] = "........";

	raw_send(p->peer, "0123456789", 10);
	raw_send(p->peer, "0123", 4);
	raw_send(p->peer, "012345", 6);
	cr_assert_eq(cede_udp_receive(p->udp, buffer, 4, &info), 4);
	cr_assert_arr_eq(buffer, "0123....", 8);
	cr_assert_eq(info.full_size, 10);
	cr_assert_eq(info.flags, CEDE_UDP_TRUNCATED);
	cr_assert(cede_address_is_equal(&info.peer, &p->from));
	cr_assert_eq(cede_udp_receive(p->udp, buffer, 4, &info), 4);
	cr_assert_eq(info.full_size, 4);
	cr_assert_eq(info.flags, 0, "it fits exactly");
	cr_assert_eq(cede_udp_receive(p->udp, NULL, 0, &info), 0);
	cr_assert_eq(info.full_size, 6);
	cr_assert_eq(info.flags, CEDE_UDP_TRUNCATED);
}

UDP_TEST(udp_receive, the_largest_datagram_comes_whole)
{
	static char sent[65507], buffer[65536];
	cede_udp_info_t info;

	peer_fill(sent, sizeof sent, 0);
	raw_send(p->peer, sent, sizeof sent);
	cr_assert_eq(cede_udp_receive(p->udp, buffer, sizeof buffer, &info), sizeof sent);
	cr_assert(peer_is_pattern(buffer, sizeof sent, 0));
	cr_assert_eq(info.full_size, sizeof sent);
	cr_assert_eq(info.flags, 0);
}

TASK_TEST(udp_receive, over_ipv6_as_well)
{
	cede_udp_t *a = NULL, *b = NULL;
	cede_address_t address;
	cede_udp_info_t info;
	char buffer[8], text[CEDE_ADDRESS_TEXT_SIZE];

	cr_assert_eq(cede_udp_bind("[::1]:0", NULL, &a), 0);
	cr_assert_eq(cede_udp_local(a, &address), 0);
	cr_assert_eq(cede_address_format(&address, text, sizeof text), 0);
	cr_assert_eq(cede_udp_connect(text, NULL, &b), 0);
	cr_assert_eq(cede_udp_send(b, "hello", 5, NULL), 5);
	cr_assert_eq(cede_udp_receive(a, buffer, 2, &info), 2);
	cr_assert_eq(info.full_size, 5);
	cr_assert_eq(cede_udp_send(a, "back", 4, &info.peer), 4);
	cr_assert_eq(cede_udp_receive(b, buffer, sizeof buffer, &info), 4);
	cr_assert(cede_address_is_equal(&info.peer, &address));
	cede_udp_close(a);
	cede_udp_close(b);
}

/* ---- what is refused ---- */

UDP_TEST(udp_receive, a_second_one_is_refused_and_the_first_goes_on)
{
	struct receiving r = { .udp = p->udp };
	cede_datagram_t datagram = { 0 };
	cede_udp_receive_t op;
	char byte;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, receive_once, &r), 0);
	let_others_run();
	cr_assert_eq(cede_udp_receive(p->udp, &byte, 1, NULL), CEDE_EBUSY);
	cr_assert_eq(cede_udp_receive_start(p->udp, &byte, 1, &op), CEDE_EBUSY);
	cr_assert_eq(cede_udp_try_receive(p->udp, &byte, 1, NULL), CEDE_EBUSY);
	cr_assert_eq(cede_udp_receive_many(p->udp, &datagram, 1), CEDE_EBUSY);
	raw_send(p->peer, "x", 1);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 1);
}

UDP_TEST(udp_receive, a_buffer_that_is_none_is_refused)
{
	cede_udp_receive_t op;
	char byte;

	cr_assert_eq(cede_udp_receive(p->udp, NULL, 1, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_udp_receive(p->udp, &byte, (size_t)INT_MAX + 1, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_udp_receive_start(p->udp, NULL, 1, &op), CEDE_EINVAL);
	cr_assert_eq(cede_udp_try_receive(p->udp, NULL, 1, NULL), CEDE_EINVAL);
}

UDP_TEST(udp_receive, trying_never_waits)
{
	cede_udp_info_t info = { .full_size = 77 };
	char byte;

	cr_assert_eq(cede_udp_try_receive(p->udp, &byte, 1, &info), CEDE_EAGAIN);
	cr_assert_eq(info.full_size, 77, "nothing is written");
	raw_send(p->peer, "xy", 2);
	cr_assert_eq(cede_udp_try_receive(p->udp, &byte, 1, &info), 1);
	cr_assert_eq(info.full_size, 2);
	cr_assert_eq(cede_udp_try_receive(p->udp, &byte, 1, NULL), CEDE_EAGAIN);
}

struct opened {
	cede_udp_t *udp;
	int ended;
};

static int
open_one(void *arg)
{
	struct opened *o = arg;

	return cede_udp_bind("127.0.0.1:0", NULL, &o->udp);
}

Test(udp_receive, outside_a_task_only_trying_is_possible)
{
	struct opened o = { 0 };
	cede_datagram_t datagram = { 0 };
	cede_udp_receive_t op;
	cede_loop_t *loop;
	uv_loop_t uv;
	char byte;

	leaks_begin();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_start(loop, open_one, &o, count_ended, &o.ended), 0);
	while (!o.ended)
		uv_run(&uv, UV_RUN_ONCE);
	cr_assert_eq(cede_udp_receive(o.udp, &byte, 1, NULL), CEDE_ENOTASK);
	cr_assert_eq(cede_udp_receive_start(o.udp, &byte, 1, &op), CEDE_ENOTASK);
	cr_assert_eq(cede_udp_receive_many(o.udp, &datagram, 1), CEDE_ENOTASK);
	cr_assert_eq(cede_udp_try_receive(o.udp, &byte, 1, NULL), CEDE_EAGAIN);
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}

/* ---- errors of the network ---- */

/* A socket with a peer behind which nobody listens: the port is free again. */
static cede_udp_t *
connect_to_nobody(cede_address_t *ret_nobody)
{
	char text[CEDE_ADDRESS_TEXT_SIZE];
	cede_udp_t *u = NULL;

	close(raw_open(ret_nobody));
	cr_assert_eq(cede_address_format(ret_nobody, text, sizeof text), 0);
	cr_assert_eq(cede_udp_connect(text, NULL, &u), 0);
	return u;
}

/* Somebody has come to that port. */
static int
settle_at(const cede_address_t *address, const cede_udp_t *u)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const struct sockaddr *name;
	cede_address_t local;
	size_t size;

	name = cede_address_sockaddr(address, &size);
	cr_assert_eq(bind(fd, name, (socklen_t)size), 0);
	cr_assert_eq(cede_udp_local(u, &local), 0);
	raw_connect(fd, &local);
	return fd;
}

TASK_TEST(udp_receive, a_refused_datagram_is_an_error_of_one_call)
{
	cede_address_t nobody;
	cede_udp_t *u = connect_to_nobody(&nobody);
	char byte;
	int fd;

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(cede_udp_send(u, "x", 1, NULL), 1);
		cr_assert_eq(cede_udp_receive(u, &byte, 1, NULL), CEDE_ECONNREFUSED);
		cr_assert_eq(cede_udp_try_receive(u, &byte, 1, NULL), CEDE_EAGAIN, "told once");
	}
	fd = settle_at(&nobody, u);
	cr_assert_eq(cede_udp_send(u, "x", 1, NULL), 1);
	raw_expect(fd, "x", 1);
	raw_send(fd, "y", 1);
	cr_assert_eq(cede_udp_receive(u, &byte, 1, NULL), 1);
	cr_assert_eq(byte, 'y');
	close(fd);
	cede_udp_close(u);
}

/* The poll reports it as an error of its own and stops. */
TASK_TEST(udp_receive, one_that_waits_is_told_and_so_is_the_next)
{
	cede_address_t nobody;
	cede_udp_t *u = connect_to_nobody(&nobody);
	struct receiving r = { .udp = u };
	int fd;

	for (int i = 0; i < 3; i++) {
		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn(&g, receive_once, &r), 0);
		let_others_run();
		cr_assert_eq(cede_udp_send(u, "x", 1, NULL), 1);
		cr_assert_eq(cede_group_wait(&g), 0);
		cr_assert_eq(r.result, CEDE_ECONNREFUSED);
	}
	fd = settle_at(&nobody, u);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, receive_once, &r), 0);
	let_others_run();
	raw_send(fd, "x", 1);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 1);
	close(fd);
	cede_udp_close(u);
}

TASK_TEST(udp_receive, an_error_that_nobody_waits_for_neither_spins_nor_gets_lost)
{
	cede_address_t nobody;
	cede_udp_t *u = connect_to_nobody(&nobody);
	struct receiving r = { .udp = u };
	cede_task_t *task;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, receive_once, &r, NULL, &task), 0);
	let_others_run();
	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_EXIT);
	cede_task_unref(task);
	cr_assert_eq(cede_udp_send(u, "x", 1, NULL), 1);
	cr_assert_eq(cede_sleep(2), 0); /* armed still: libuv says it to nobody */
	cr_assert_eq(u->events, 0);
	cr_assert_eq(cede_spawn(&g, receive_once, &r), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_ECONNREFUSED);
	cede_udp_close(u);
}

/* A server's many clients: one that is gone is no trouble to the others. */
UDP_TEST(udp_receive, one_without_a_peer_hears_of_no_refusal)
{
	cede_address_t nobody;
	char byte;

	close(raw_open(&nobody));
	cr_assert_eq(cede_udp_send(p->udp, "x", 1, &nobody), 1);
	cr_assert_eq(cede_udp_send(p->udp, "x", 1, &nobody), 1);
	cr_assert_eq(cede_udp_try_receive(p->udp, &byte, 1, NULL), CEDE_EAGAIN);
	raw_send(p->peer, "y", 1);
	cr_assert_eq(cede_udp_receive(p->udp, &byte, 1, NULL), 1);
}

/* ---- cancelled, closed ---- */

static int
receive_while_closing(void *arg)
{
	close_oneself();
	return receive_once(arg);
}

UDP_TEST(udp_receive, cancelled_before_it_starts_takes_nothing)
{
	struct receiving r = { .udp = p->udp };
	char byte;

	raw_send(p->peer, "x", 1);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, receive_while_closing, &r), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_EXIT);
	cr_assert_eq(cede_udp_receive(p->udp, &byte, 1, NULL), 1);
}

UDP_TEST(udp_receive, cancelled_while_it_waits_loses_nothing)
{
	for (int i = 0; i < 20; i++) {
		struct receiving r = { .udp = p->udp };
		cede_task_t *task;

		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn_with(&g, receive_once, &r, NULL, &task), 0);
		let_others_run();
		if (i % 2)
			raw_send(p->peer, "x", 1);
		cede_task_cancel(task);
		cr_assert_eq(cede_group_wait(&g), 0);
		cede_task_unref(task);
		cr_assert_eq(r.result, CEDE_EXIT);
		if (i % 2 == 0)
			raw_send(p->peer, "x", 1);
		cr_assert_eq(cede_udp_receive(p->udp, r.buffer, 1, NULL), 1);
	}
}

UDP_TEST(udp_receive, cancelled_when_it_has_completed_keeps_its_datagram)
{
	cede_udp_receive_t op;
	char byte;

	raw_send(p->peer, "x", 1);
	cr_assert_eq(cede_udp_receive_start(p->udp, &byte, 1, &op), 0);
	cr_assert(op.future.is_done);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_await(&op.future), 1);
	cr_assert(cede_address_is_equal(&op.info.peer, &p->from));
}

UDP_TEST(udp_receive, a_timeout_scope_ends_it)
{
	char byte;
	ssize_t n = 0;

	CEDE_TIMEOUT(5) {
		n = cede_udp_receive(p->udp, &byte, 1, NULL);
	}
	cr_assert_eq(n, CEDE_ETIMEDOUT);
}

UDP_TEST(udp_receive, in_a_select_the_loser_is_given_up_and_the_socket_is_free)
{
	cede_udp_receive_t op;
	cede_sleep_t tick;
	char byte;

	cr_assert_eq(cede_udp_receive_start(p->udp, &byte, 1, &op), 0);
	cr_assert_eq(cede_sleep_start(1, &tick), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &op.future, &tick.future }), 1);
	cr_assert_eq(op.future.result, CEDE_ECANCELED);
	raw_send(p->peer, "x", 1);
	cr_assert_eq(cede_udp_receive_start(p->udp, &byte, 1, &op), 0);
	cr_assert_eq(cede_sleep_start(10000, &tick), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &op.future, &tick.future }), 0);
	cr_assert_eq(op.future.result, 1);
}

UDP_TEST(udp_receive, a_close_by_another_task_ends_it)
{
	struct receiving r = { .udp = p->udp };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, receive_once, &r), 0);
	let_others_run();
	cede_udp_close(p->udp);
	p->udp = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_ECANCELED);
}

UDP_TEST(udp_receive, a_close_behind_its_completion_changes_nothing)
{
	struct receiving r = { .udp = p->udp };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, receive_once, &r), 0);
	let_others_run();
	raw_send(p->peer, "x", 1);
	cede__udp_serve_receiver(p->udp); /* as the poll would */
	cede_udp_close(p->udp);
	p->udp = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 1);
}

/* In the turn of its close, before libuv has let go. */
UDP_TEST(udp_receive, after_the_close_it_is_said_to_be_closed)
{
	cede_udp_t *u = p->udp;
	cede_udp_receive_t op;
	char byte;

	cede_udp_close(u);
	p->udp = NULL;
	cr_assert_eq(cede_udp_receive(u, &byte, 1, NULL), CEDE_ECANCELED);
	cr_assert_eq(cede_udp_try_receive(u, &byte, 1, NULL), CEDE_ECANCELED);
	cr_assert_eq(cede_udp_receive_start(u, &byte, 1, &op), 0);
	cr_assert_eq(op.future.result, CEDE_ECANCELED);
}

/* ---- fairness ---- */

struct flood {
	cede_udp_t *udp;
	int peer, received, ticks;
};

/* For each that is taken another comes: it never waits by itself. */
static int
take_a_flood(void *arg)
{
	struct flood *f = arg;
	char byte;

	while (f->ticks < 3) {
		cr_assert_eq(cede_udp_receive(f->udp, &byte, 1, NULL), 1);
		raw_send(f->peer, "x", 1);
		cr_assert_lt(++f->received, 100000, "the loop does not turn");
	}
	return 0;
}

static void
count_tick(uv_check_t *check)
{
	++*(int *)check->data;
}

UDP_TEST(udp_receive, a_flood_lets_the_loop_turn)
{
	struct flood f = { .udp = p->udp, .peer = p->peer };
	uv_check_t check;

	uv_check_init(cede_loop_uv(cede_loop_current()), &check);
	check.data = &f.ticks;
	uv_check_start(&check, count_tick);
	raw_send(p->peer, "x", 1);
	cr_assert_eq(take_a_flood(&f), 0);
	cr_assert_leq(f.received, 5 * CEDE__UDP_IN_A_ROW);
	uv_close((uv_handle_t *)&check, NULL);
	cr_assert_eq(cede_sleep(1), 0);
}
