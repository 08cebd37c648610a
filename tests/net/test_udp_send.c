/*
 * Sending: net/udp_send.c. The loopback always has room, and this system is never short of
 * memory: so where a send is to wait, sendmsg() says on its way to the kernel
 * what another network would.
 */
#include "tests/net/udp_pair.h"

#include <signal.h>
#include <sys/syscall.h>

#include "tests/support/clock.h"

TestSuite(udp_send, .timeout = 30);

static int refusals, refusal; /* so many calls from now fail with this errno; -1: all */
static int asked;

/* Nothing is refused any more, or this one. Returns 0, or -1 with errno. */
static int
refuse(void)
{
	asked++;
	if (refusals == 0)
		return 0;
	refusals -= refusals > 0;
	errno = refusal;
	return -1;
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	return refuse() < 0 ? -1 : syscall(SYS_sendmsg, fd, message, flags);
}

int
sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	return refuse() < 0 ? -1 : (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
}

static void
refuse_next(int count, int code)
{
	refusals = count;
	refusal = code;
	asked = 0;
}

/* A send that waits, in a task of its own. */
static void
send_waiting(cede_group_t *g, struct sending *s, int code)
{
	refuse_next(-1, code);
	cr_assert_eq(cede_spawn(g, send_once, s), 0);
	let_others_run();
	cr_assert_not(s->has_ended);
}

/* ---- what goes ---- */

UDP_TEST(udp_send, sends_at_once)
{
	cr_assert_eq(cede_udp_send(p->udp, "hello", 5, &p->from), 5);
	raw_expect(p->peer, "hello", 5);
	cr_assert_eq(cede_udp_send(p->udp, NULL, 0, &p->from), 0);
	raw_expect(p->peer, "", 0);
	cr_assert_eq(p->udp->events, 0, "without the poll");
}

UDP_TEST(udp_send, the_largest_datagram_goes_and_a_larger_one_is_an_error_of_its_own)
{
	static char bytes[65508];

	peer_fill(bytes, sizeof bytes, 0);
	cr_assert_eq(cede_udp_send(p->udp, bytes, 65507, &p->from), 65507);
	raw_expect(p->peer, bytes, 65507);
	cr_assert_eq(cede_udp_send(p->udp, bytes, 65508, &p->from), CEDE_EMSGSIZE);
	cr_assert_eq(cede_udp_try_send(p->udp, bytes, 65508, &p->from), CEDE_EMSGSIZE);
	cr_assert_eq(cede_udp_send(p->udp, bytes, 1, &p->from), 1);
	raw_expect(p->peer, bytes, 1);
}

UDP_TEST(udp_send, errors_end_nothing)
{
	cede_address_t nowhere, every, none = { 0 };

	cr_assert_eq(cede_udp_send(p->udp, "x", 1, NULL), CEDE_EDESTADDRREQ);
	cr_assert_eq(cede_udp_send(p->udp, "x", 1, &none), CEDE_EDESTADDRREQ);
	cr_assert_eq(cede_address_parse("255.255.255.255:1", &every), 0);
	cr_assert_eq(cede_udp_send(p->udp, "x", 1, &every), CEDE_EACCES);
	cr_assert_eq(cede_address_parse("127.0.0.1:0", &nowhere), 0);
	cr_assert_eq(cede_udp_send(p->udp, "x", 1, &nowhere), CEDE_EINVAL);
	cr_assert_eq(cede_udp_send(p->udp, "x", 1, &p->from), 1);
	raw_expect(p->peer, "x", 1);
}

static cede_udp_t *
connect_to_nobody(void)
{
	char text[CEDE_ADDRESS_TEXT_SIZE];
	cede_address_t nobody;
	cede_udp_t *u = NULL;

	close(raw_open(&nobody));
	cr_assert_eq(cede_address_format(&nobody, text, sizeof text), 0);
	cr_assert_eq(cede_udp_connect(text, NULL, &u), 0);
	return u;
}

TASK_TEST(udp_send, a_refused_datagram_is_told_to_the_next_send_and_the_one_after_goes)
{
	cede_udp_t *u = connect_to_nobody();

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(cede_udp_send(u, "x", 1, NULL), 1);
		cr_assert_eq(cede_udp_send(u, "x", 1, NULL), CEDE_ECONNREFUSED);
	}
	cede_udp_close(u);
}

/* ---- no room ---- */

UDP_TEST(udp_send, without_room_it_waits_and_goes_when_there_is)
{
	struct sending s = { .udp = p->udp, .data = "later", .size = 5, .to = &p->from };

	CEDE_GROUP(g);
	send_waiting(&g, &s, EAGAIN);
	raw_expect_nothing(p->peer);
	refuse_next(0, 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(s.result, 5);
	raw_expect(p->peer, "later", 5);
	cr_assert_eq(p->udp->events, 0, "the poll does not go on saying so");
}

UDP_TEST(udp_send, while_one_waits_others_are_refused)
{
	struct sending s = { .udp = p->udp, .data = "first", .size = 5, .to = &p->from };
	char byte = 'x';
	cede_datagram_t datagram = { .data = &byte, .size = 1, .peer = p->from };
	cede_udp_send_t op;
	unsigned sent = 9;

	CEDE_GROUP(g);
	send_waiting(&g, &s, EAGAIN);
	refuse_next(0, 0);
	cr_assert_eq(cede_udp_send(p->udp, "x", 1, &p->from), CEDE_EBUSY);
	cr_assert_eq(cede_udp_send_start(p->udp, "x", 1, &p->from, &op), CEDE_EBUSY);
	cr_assert_eq(cede_udp_try_send(p->udp, "x", 1, &p->from), CEDE_EBUSY);
	cr_assert_eq(cede_udp_send_many(p->udp, &datagram, 1, &sent), CEDE_EBUSY);
	cr_assert_eq(sent, 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	raw_expect(p->peer, "first", 5);
	raw_expect_nothing(p->peer);
}

UDP_TEST(udp_send, trying_never_waits)
{
	refuse_next(1, EAGAIN);
	cr_assert_eq(cede_udp_try_send(p->udp, "x", 1, &p->from), CEDE_EAGAIN);
	refuse_next(1, ENOBUFS);
	cr_assert_eq(cede_udp_try_send(p->udp, "x", 1, &p->from), CEDE_EAGAIN);
	raw_expect_nothing(p->peer);
	cr_assert_eq(cede_udp_try_send(p->udp, "x", 1, &p->from), 1);
	raw_expect(p->peer, "x", 1);
}

/* The address of a send that waits need not stay. */
UDP_TEST(udp_send, the_address_is_not_kept)
{
	cede_address_t to = p->from;
	cede_udp_send_t op;

	refuse_next(1, EAGAIN);
	cr_assert_eq(cede_udp_send_start(p->udp, "x", 1, &to, &op), 0);
	cr_assert_not(op.future.is_done);
	memset(&to, 0xff, sizeof to);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(op.sent, 1);
	raw_expect(p->peer, "x", 1);
}

/* An error that waits in the socket wakes the sender, since it is its next answer. */
TASK_TEST(udp_send, one_that_waits_hears_of_a_refusal)
{
	cede_udp_t *u = connect_to_nobody();
	cede_udp_send_t op;

	refuse_next(1, EAGAIN);
	cr_assert_eq(cede_udp_send_start(u, "x", 1, NULL, &op), 0);
	cr_assert_eq(send(u->fd, "x", 1, 0), 1);
	cr_assert_eq(cede_await(&op.future), CEDE_ECONNREFUSED);
	cr_assert_eq(op.sent, 0);
	cr_assert_eq(cede_udp_send(u, "x", 1, NULL), 1);
	cede_udp_close(u);
}

/* With both waiting the receiver is told, and the sender sends. */
TASK_TEST(udp_send, a_refusal_is_told_to_one_of_two_that_wait)
{
	cede_udp_t *u = connect_to_nobody();
	struct receiving r = { .udp = u };
	cede_udp_send_t op;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, receive_once, &r), 0);
	let_others_run();
	refuse_next(1, EAGAIN);
	cr_assert_eq(cede_udp_send_start(u, "x", 1, NULL, &op), 0);
	cr_assert_eq(send(u->fd, "x", 1, 0), 1);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_ECONNREFUSED);
	cede_udp_close(u);
}

UDP_TEST(udp_send, receiving_goes_on_while_a_send_waits_and_the_other_way_round)
{
	struct sending s = { .udp = p->udp, .data = "out", .size = 3, .to = &p->from };
	struct receiving r = { .udp = p->udp };
	char buffer[8];

	CEDE_GROUP(g);
	send_waiting(&g, &s, EAGAIN);
	for (int i = 0; i < 3; i++) {
		raw_send(p->peer, "in", 2);
		cr_assert_eq(cede_udp_receive(p->udp, buffer, sizeof buffer, NULL), 2);
	}
	cr_assert_eq(cede_spawn(&g, receive_once, &r), 0);
	let_others_run();
	refuse_next(0, 0);
	while (!s.has_ended)
		let_others_run();
	cr_assert_eq(s.result, 3);
	cr_assert_not(r.has_ended);
	raw_send(p->peer, "in", 2);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 2);
}

/* ---- short of memory ---- */

static void
wait_out_a_shortage(void)
{
	static const int codes[] = { ENOBUFS, ENOMEM };
	struct udp_pair p;

	udp_pair_open(&p);
	for (int i = 0; i < 2; i++) {
		struct sending s = { .udp = p.udp, .data = "x", .size = 1, .to = &p.from };

		CEDE_GROUP(g);
		send_waiting(&g, &s, codes[i]);
		cr_assert_eq(cede_sleep(60000), 0);
		cr_assert_geq(asked, 600, "%d times in a minute", asked);
		cr_assert_leq(asked, 610, "%d times in a minute", asked);
		cr_assert_not(s.has_ended);
		refuse_next(0, 0);
		cr_assert_eq(cede_sleep(101), 0);
		cr_assert(s.has_ended);
		cr_assert_eq(s.result, 1);
		raw_expect(p.peer, "x", 1);

		refuse_next(1, codes[i]); /* the next shortage begins anew */
		cr_assert_eq(cede_udp_send(p.udp, "x", 1, &p.from), 1);
		raw_expect(p.peer, "x", 1);
	}
	udp_pair_close(&p);
}

/* On a clock that the test moves. */
Test(udp_send, a_shortage_of_memory_is_waited_out_without_a_spin)
{
	void (*body)(void) = wait_out_a_shortage;

	clock_start();
	run_gated_to_its_end(run_task_body, &body);
	clock_stop();
}

UDP_TEST(udp_send, a_shortage_may_turn_into_a_full_buffer_and_the_other_way_round)
{
	cede_udp_send_t op;

	refuse_next(1, ENOBUFS);
	cr_assert_eq(cede_udp_send_start(p->udp, "x", 1, &p->from, &op), 0);
	refuse_next(1, EAGAIN);
	cr_assert_eq(cede_await(&op.future), 0);
	raw_expect(p->peer, "x", 1);
	refuse_next(1, EAGAIN);
	cr_assert_eq(cede_udp_send_start(p->udp, "x", 1, &p->from, &op), 0);
	refuse_next(1, ENOBUFS);
	cr_assert_eq(cede_await(&op.future), 0);
	raw_expect(p->peer, "x", 1);
	cr_assert_eq(p->udp->events, 0);
}

/* ---- cancelled, closed ---- */

static const int reasons[] = { EAGAIN, ENOBUFS };

UDP_TEST(udp_send, cancelled_while_it_waits_nothing_was_sent_and_the_socket_is_free)
{
	for (int i = 0; i < 2; i++) {
		struct sending s = { .udp = p->udp, .data = "gone", .size = 4, .to = &p->from };
		cede_task_t *task;

		refuse_next(-1, reasons[i]);
		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn_with(&g, send_once, &s, NULL, &task), 0);
		let_others_run();
		cede_task_cancel(task);
		cr_assert_eq(cede_group_wait(&g), 0);
		cede_task_unref(task);
		cr_assert_eq(s.result, CEDE_EXIT);
		refuse_next(0, 0);
		cr_assert_eq(cede_udp_send(p->udp, "next", 4, &p->from), 4);
		raw_expect(p->peer, "next", 4);
		raw_expect_nothing(p->peer);
	}
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_eq(p->udp->events, 0);
}

UDP_TEST(udp_send, a_close_by_another_task_ends_it)
{
	for (int i = 0; i < 2; i++) {
		struct sending s = { .udp = p->udp, .data = "gone", .size = 4, .to = &p->from };

		CEDE_GROUP(g);
		send_waiting(&g, &s, reasons[i]);
		cede_udp_close(p->udp);
		p->udp = NULL;
		cr_assert_eq(cede_group_wait(&g), 0);
		cr_assert_eq(s.result, CEDE_ECANCELED);
		raw_expect_nothing(p->peer);
		refuse_next(0, 0);
		if (i == 0)
			cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &p->udp), 0);
	}
}

UDP_TEST(udp_send, a_timeout_scope_ends_it)
{
	for (int i = 0; i < 2; i++) {
		ssize_t n = 0;

		refuse_next(-1, reasons[i]);
		CEDE_TIMEOUT(5) {
			n = cede_udp_send(p->udp, "x", 1, &p->from);
		}
		cr_assert_eq(n, CEDE_ETIMEDOUT);
		refuse_next(0, 0);
	}
	raw_expect_nothing(p->peer);
}

UDP_TEST(udp_send, cancelled_when_it_has_completed_stays_sent)
{
	cede_udp_send_t op;

	cr_assert_eq(cede_udp_send_start(p->udp, "x", 1, &p->from, &op), 0);
	cr_assert(op.future.is_done);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_await(&op.future), 0);
	raw_expect(p->peer, "x", 1);
}

UDP_TEST(udp_send, a_task_that_is_being_closed_sends_nothing)
{
	cede_udp_send_t op;

	close_oneself();
	cr_assert_eq(cede_udp_send(p->udp, "x", 1, &p->from), CEDE_EXIT);
	cr_assert_eq(cede_udp_send_start(p->udp, "x", 1, &p->from, &op), CEDE_EXIT);
	raw_expect_nothing(p->peer);
	cr_assert_eq(cede_udp_try_send(p->udp, "bye", 3, &p->from), 3);
	raw_expect(p->peer, "bye", 3);
}

UDP_TEST(udp_send, after_the_close_it_is_said_to_be_closed)
{
	cede_udp_t *u = p->udp;
	cede_udp_send_t op;

	cede_udp_close(u);
	p->udp = NULL;
	cr_assert_eq(cede_udp_send(u, "x", 1, &p->from), CEDE_ECANCELED);
	cr_assert_eq(cede_udp_try_send(u, "x", 1, &p->from), CEDE_ECANCELED);
	cr_assert_eq(cede_udp_send_start(u, "x", 1, &p->from, &op), 0);
	cr_assert_eq(op.future.result, CEDE_ECANCELED);
}

/* ---- fairness ---- */

static int
count_turns(void *arg)
{
	for (int *turns = arg; *turns < 3; ++*turns)
		if (cede_sleep(0) < 0)
			break;
	return 0;
}

UDP_TEST(udp_send, a_sender_for_whom_there_is_always_room_lets_others_run)
{
	int turns = 0, sent = 0;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, count_turns, &turns), 0);
	while (turns < 3) {
		cr_assert_eq(cede_udp_send(p->udp, "x", 1, &p->from), 1);
		cr_assert_lt(++sent, 100000, "nobody else runs");
	}
	cr_assert_leq(sent, 4 * CEDE__UDP_IN_A_ROW);
}
