/*
 * Batches: cede_udp_receive_many(), cede_udp_send_many(), and the calls one by one that
 * stand in where the system has none: recvmmsg() and sendmmsg() can be made to say so.
 */
#include "tests/net/udp_pair.h"

#include <sys/syscall.h>

TestSuite(udp_many, .timeout = 30);

static int has_no_batches; /* this system */
static int calls;          /* of recvmmsg() or sendmmsg(), and of those for one */
static int room = -1;      /* so many datagrams more are taken; -1: all */

static int
take_room(unsigned count)
{
	calls++;
	if (room == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (room < 0 || count < (unsigned)room)
		return (int)count;
	return room;
}

int
recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	calls++;
	if (!has_no_batches)
		return (int)syscall(SYS_recvmmsg, fd, messages, count, flags, timeout);
	errno = ENOSYS;
	return -1;
}

int
sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	int n;

	if (has_no_batches) {
		calls++;
		errno = ENOSYS;
		return -1;
	}
	n = take_room(count);
	if (n > 0)
		n = (int)syscall(SYS_sendmmsg, fd, messages, (unsigned)n, flags);
	room -= room > 0 && n > 0 ? n : 0;
	return n;
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (take_room(1) < 0)
		return -1;
	room -= room > 0;
	return syscall(SYS_sendmsg, fd, message, flags);
}

static int fails_at = -1; /* so many calls of recvmsg() from now */
static int receives;      /* calls of it */

ssize_t
recvmsg(int fd, struct msghdr *message, int flags)
{
	receives++;
	if (fails_at-- != 0)
		return syscall(SYS_recvmsg, fd, message, flags);
	errno = ECONNREFUSED;
	return -1;
}

/* Each property holds with and without. */
#define MANY_TEST(name) \
	static void many_##name(struct udp_pair *p); \
	UDP_TEST(udp_many, name) \
	{ \
		many_##name(p); \
	} \
	UDP_TEST(udp_many, name##_one_by_one_as_well) \
	{ \
		has_no_batches = 1; \
		many_##name(p); \
	} \
	static void many_##name(struct udp_pair *p)

enum { MANY = 200 };

static struct {
	cede_datagram_t datagrams[MANY];
	char bytes[MANY][16];
} many;

/* With buffers of this size. */
static void
prepare(size_t capacity)
{
	memset(&many, 0, sizeof many);
	for (int i = 0; i < MANY; i++)
		many.datagrams[i] =
			(cede_datagram_t){ .data = many.bytes[i], .capacity = capacity };
}

static void
send_numbers(const struct udp_pair *p, int from, int to)
{
	for (int i = from; i < to; i++)
		raw_send(p->peer, &i, sizeof i);
}

static void
expect_number(const struct udp_pair *p, const cede_datagram_t *d, int number)
{
	int i;

	cr_assert_eq(d->size, sizeof i);
	cr_assert_eq(d->full_size, sizeof i);
	cr_assert_eq(d->flags, 0);
	cr_assert(cede_address_is_equal(&d->peer, &p->from));
	memcpy(&i, d->data, sizeof i);
	cr_assert_eq(i, number);
}

/* ---- receiving ---- */

MANY_TEST(what_is_there_comes_at_once_in_order)
{
	prepare(16);
	send_numbers(p, 0, 10);
	cr_assert_eq(cede_udp_receive_many(p->udp, many.datagrams, MANY), 10);
	for (int i = 0; i < 10; i++)
		expect_number(p, &many.datagrams[i], i);
	cr_assert_eq(many.datagrams[10].size, 0, "the rest is left alone");
}

MANY_TEST(no_more_come_than_were_asked_for)
{
	char byte;

	prepare(16);
	send_numbers(p, 0, 5);
	cr_assert_eq(cede_udp_receive_many(p->udp, many.datagrams, 1), 1);
	expect_number(p, &many.datagrams[0], 0);
	cr_assert_eq(cede_udp_receive_many(p->udp, many.datagrams, 3), 3);
	for (int i = 0; i < 3; i++)
		expect_number(p, &many.datagrams[i], i + 1);
	cr_assert_eq(cede_udp_receive_many(p->udp, many.datagrams, MANY), 1);
	expect_number(p, &many.datagrams[0], 4);
	cr_assert_eq(cede_udp_try_receive(p->udp, &byte, 1, NULL), CEDE_EAGAIN);
}

MANY_TEST(a_hundred_come_in_several)
{
	int n = 0;

	prepare(16);
	send_numbers(p, 0, 100);
	while (n < 100) {
		int r = cede_udp_receive_many(p->udp, many.datagrams + n, MANY - (unsigned)n);

		cr_assert_geq(r, 1);
		cr_assert_leq(r, 32);
		n += r;
	}
	for (int i = 0; i < 100; i++)
		expect_number(p, &many.datagrams[i], i);
}

MANY_TEST(empty_and_truncated_ones_are_told_apart)
{
	prepare(4);
	raw_send(p->peer, "", 0);
	raw_send(p->peer, "0123456789", 10);
	raw_send(p->peer, "abcd", 4);
	cr_assert_eq(cede_udp_receive_many(p->udp, many.datagrams, MANY), 3);
	cr_assert_eq(many.datagrams[0].size, 0);
	cr_assert_eq(many.datagrams[0].full_size, 0);
	cr_assert_eq(many.datagrams[0].flags, 0);
	cr_assert(cede_address_is_equal(&many.datagrams[0].peer, &p->from));
	cr_assert_eq(many.datagrams[1].size, 4);
	cr_assert_eq(many.datagrams[1].full_size, 10);
	cr_assert_eq(many.datagrams[1].flags, CEDE_UDP_TRUNCATED);
	cr_assert_arr_eq(many.bytes[1], "0123\0", 5);
	cr_assert_eq(many.datagrams[2].size, 4);
	cr_assert_eq(many.datagrams[2].flags, 0);
}

struct receiving_many {
	cede_udp_t *udp;
	int result, has_ended;
};

static int
receive_many(void *arg)
{
	struct receiving_many *r = arg;

	r->result = cede_udp_receive_many(r->udp, many.datagrams, MANY);
	r->has_ended = 1;
	return 0;
}

MANY_TEST(a_receive_waits_for_the_first_and_takes_what_came_with_it)
{
	struct receiving_many r = { .udp = p->udp };

	prepare(16);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, receive_many, &r), 0);
	let_others_run();
	cr_assert_not(r.has_ended);
	send_numbers(p, 0, 3);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 3);
	for (int i = 0; i < 3; i++)
		expect_number(p, &many.datagrams[i], i);
}

MANY_TEST(a_receive_that_is_cancelled_loses_none)
{
	struct receiving_many r = { .udp = p->udp };
	cede_task_t *task;

	prepare(16);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, receive_many, &r, NULL, &task), 0);
	let_others_run();
	send_numbers(p, 0, 3);
	cede_task_cancel(task);
	cr_assert_eq(cede_group_wait(&g), 0);
	cede_task_unref(task);
	cr_assert_eq(r.result, CEDE_EXIT);
	cr_assert_eq(cede_udp_receive_many(p->udp, many.datagrams, MANY), 3);
	expect_number(p, &many.datagrams[0], 0);
}

MANY_TEST(a_started_receive_says_how_many)
{
	cede_udp_receive_t op;

	prepare(16);
	cr_assert_eq(cede_udp_receive_many_start(p->udp, many.datagrams, MANY, &op), 0);
	send_numbers(p, 0, 2);
	cr_assert_eq(cede_await(&op.future), 2);
	send_numbers(p, 0, 4);
	cr_assert_eq(cede_udp_receive_many_start(p->udp, many.datagrams, MANY, &op), 0);
	cr_assert_eq(cede_await(&op.future), 4);
}

UDP_TEST(udp_many, no_array_or_an_empty_one_is_refused)
{
	cede_udp_receive_t op;
	cede_udp_send_t send;
	unsigned sent = 9;

	prepare(16);
	cr_assert_eq(cede_udp_receive_many(p->udp, NULL, 1), CEDE_EINVAL);
	cr_assert_eq(cede_udp_receive_many(p->udp, many.datagrams, 0), CEDE_EINVAL);
	cr_assert_eq(cede_udp_receive_many_start(p->udp, NULL, 1, &op), CEDE_EINVAL);
	cr_assert_eq(cede_udp_receive_many_start(p->udp, many.datagrams, 0, &op), CEDE_EINVAL);
	cr_assert_eq(cede_udp_send_many(p->udp, NULL, 1, &sent), CEDE_EINVAL);
	cr_assert_eq(sent, 0);
	cr_assert_eq(cede_udp_send_many_start(p->udp, NULL, 1, &send), CEDE_EINVAL);
	cr_assert_eq(cede_udp_send_many(p->udp, NULL, 0, &sent), 0);
}

/* ---- sending ---- */

static void
fill_numbers(const struct udp_pair *p, int count)
{
	prepare(16);
	for (int i = 0; i < count; i++) {
		memcpy(many.bytes[i], &i, sizeof i);
		many.datagrams[i].size = sizeof i;
		many.datagrams[i].peer = p->from;
	}
}

static void
expect_numbers(const struct udp_pair *p, int from, int to)
{
	for (int i = from; i < to; i++)
		raw_expect(p->peer, &i, sizeof i);
}

MANY_TEST(all_are_sent_in_order)
{
	static const int counts[] = { 0, 1, 2, 31, 32, 33, 63, 64, 65, 150 };

	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		unsigned sent = 999;

		fill_numbers(p, counts[i]);
		cr_assert_eq(cede_udp_send_many(p->udp, many.datagrams, (unsigned)counts[i], &sent),
			0);
		cr_assert_eq((int)sent, counts[i]);
		expect_numbers(p, 0, counts[i]);
		raw_expect_nothing(p->peer);
	}
}

UDP_TEST(udp_many, a_batch_is_one_system_call)
{
	fill_numbers(p, 32);
	calls = 0;
	cr_assert_eq(cede_udp_send_many(p->udp, many.datagrams, 32, NULL), 0);
	cr_assert_eq(calls, 1);
	expect_numbers(p, 0, 32);
	send_numbers(p, 0, 32);
	calls = 0;
	cr_assert_eq(cede_udp_receive_many(p->udp, many.datagrams, MANY), 32);
	cr_assert_eq(calls, 1);
}

UDP_TEST(udp_many, a_system_without_batches_is_asked_once)
{
	has_no_batches = 1;
	fill_numbers(p, 2);
	calls = 0;
	for (int i = 0; i < 5; i++)
		cr_assert_eq(cede_udp_send_many(p->udp, many.datagrams, 2, NULL), 0);
	cr_assert_eq(calls, 1 + 5 * 2);
}

MANY_TEST(what_was_received_can_be_sent_back_as_it_is)
{
	int n;

	prepare(16);
	send_numbers(p, 0, 8);
	n = cede_udp_receive_many(p->udp, many.datagrams, MANY);
	cr_assert_eq(n, 8);
	cr_assert_eq(cede_udp_send_many(p->udp, many.datagrams, (unsigned)n, NULL), 0);
	expect_numbers(p, 0, 8);
}

MANY_TEST(an_error_says_how_many_went_before_it)
{
	static char large[65508];
	unsigned sent = 0;

	fill_numbers(p, 50);
	many.datagrams[40].data = large;
	many.datagrams[40].size = sizeof large;
	cr_assert_eq(cede_udp_send_many(p->udp, many.datagrams, 50, &sent), CEDE_EMSGSIZE);
	cr_assert_eq(sent, 40);
	expect_numbers(p, 0, 40);
	raw_expect_nothing(p->peer);
	cr_assert_eq(cede_udp_send_many(p->udp, many.datagrams + 41, 9, &sent), 0);
	cr_assert_eq(sent, 9);
	expect_numbers(p, 41, 50);
}

struct sending_many {
	cede_udp_t *udp;
	unsigned count, sent;
	int result, has_ended;
};

static int
send_many(void *arg)
{
	struct sending_many *s = arg;

	s->result = cede_udp_send_many(s->udp, many.datagrams, s->count, &s->sent);
	s->has_ended = 1;
	return 0;
}

MANY_TEST(without_room_the_rest_waits)
{
	struct sending_many s = { .udp = p->udp, .count = 50 };

	fill_numbers(p, 50);
	room = 37;
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, send_many, &s), 0);
	let_others_run();
	cr_assert_not(s.has_ended);
	expect_numbers(p, 0, 37);
	raw_expect_nothing(p->peer);
	room = -1;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(s.result, 0);
	cr_assert_eq(s.sent, 50);
	expect_numbers(p, 37, 50);
	raw_expect_nothing(p->peer);
}

MANY_TEST(a_send_that_is_cancelled_says_how_many_went)
{
	struct sending_many s = { .udp = p->udp, .count = 50 };
	cede_task_t *task;

	fill_numbers(p, 50);
	room = 37;
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, send_many, &s, NULL, &task), 0);
	let_others_run();
	cede_task_cancel(task);
	cr_assert_eq(cede_group_wait(&g), 0);
	cede_task_unref(task);
	room = -1;
	cr_assert_eq(s.result, CEDE_EXIT);
	cr_assert_eq(s.sent, 37);
	expect_numbers(p, 0, 37);
	raw_expect_nothing(p->peer);
}

MANY_TEST(a_send_whose_socket_is_closed_says_how_many_went)
{
	struct sending_many s = { .udp = p->udp, .count = 50 };

	fill_numbers(p, 50);
	room = 37;
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, send_many, &s), 0);
	let_others_run();
	cede_udp_close(p->udp);
	p->udp = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
	room = -1;
	cr_assert_eq(s.result, CEDE_ECANCELED);
	cr_assert_eq(s.sent, 37);
}

MANY_TEST(an_error_of_the_network_costs_no_datagram)
{
	char byte;

	cr_assert_eq(cede_udp_set_peer(p->udp, &p->from), 0);
	prepare(16);
	send_numbers(p, 0, 2);
	close(p->peer);
	p->peer = -1;
	cr_assert_eq(cede_udp_send(p->udp, "x", 1, NULL), 1);
	cr_assert_eq(cede_udp_receive_many(p->udp, many.datagrams, MANY), CEDE_ECONNREFUSED);
	cr_assert_eq(cede_udp_receive_many(p->udp, many.datagrams, MANY), 2);
	cr_assert_eq(cede_udp_try_receive(p->udp, &byte, 1, NULL), CEDE_EAGAIN);
}

/* It came between two datagrams: told to the call that had one to return, it is the next call's. */
UDP_TEST(udp_many, an_error_behind_datagrams_is_told_by_the_next_call)
{
	has_no_batches = 1;
	prepare(16);
	send_numbers(p, 0, 3);
	fails_at = 2;
	cr_assert_eq(cede_udp_receive_many(p->udp, many.datagrams, MANY), 2);
	cr_assert_eq(cede_udp_receive_many(p->udp, many.datagrams, MANY), CEDE_ECONNREFUSED);
	cr_assert_eq(cede_udp_receive_many(p->udp, many.datagrams, MANY), 1);
	expect_number(p, &many.datagrams[0], 2);
}

/* ---- how often the system is asked ---- */

static int
receive_all(void *arg)
{
	const struct udp_pair *p = arg;
	cede_udp_info_t info;
	ssize_t n;
	int number;

	while ((n = cede_udp_receive(p->udp, &number, sizeof number, &info)) >= 0)
		if ((n = cede_udp_send(p->udp, &number, sizeof number, &info.peer)) < 0)
			break;
	return 0;
}

static void
expect_number_when_it_comes(const struct udp_pair *p, int number)
{
	while (recv(p->peer, many.bytes, sizeof many.bytes, MSG_DONTWAIT | MSG_PEEK) < 0)
		cr_assert_eq(cede_sleep(0), 0);
	expect_numbers(p, number, number + 1);
}

static void
round_trip(const struct udp_pair *p, int number)
{
	send_numbers(p, number, number + 1);
	expect_number_when_it_comes(p, number);
	cr_assert_eq(cede_sleep(0), 0); /* it waits again */
}

/* And what comes together after that is found all the same. */
UDP_TEST(udp_many, datagrams_that_come_alone_cost_one_call_each)
{
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, receive_all, p), 0);
	for (int i = 0; i < 20; i++)
		round_trip(p, i);
	receives = 0;
	for (int i = 0; i < 160; i++)
		round_trip(p, i);
	cr_assert_geq(receives, 160 + 9, "%d", receives);
	cr_assert_leq(receives, 160 + 11, "%d", receives);

	send_numbers(p, 0, 150);
	receives = 0;
	for (int i = 0; i < 150; i++)
		expect_number_when_it_comes(p, i);
	cr_assert_leq(receives, 150 + 5, "%d", receives);
	cede_group_cancel(&g);
}

/* ---- fairness ---- */

static int
count_turns(void *arg)
{
	for (int *turns = arg; *turns < 1000; ++*turns)
		if (cede_sleep(0) < 0)
			break;
	return 0;
}

/* A receive buffer of the peer's that drops what is too much: only how often others run is asked. */
UDP_TEST(udp_many, a_large_batch_lets_others_run)
{
	static cede_datagram_t large[64 * 20];
	int turns = 0;

	for (size_t i = 0; i < sizeof large / sizeof large[0]; i++)
		large[i] = (cede_datagram_t){ .data = many.bytes, .size = 1, .peer = p->from };
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, count_turns, &turns), 0);
	cr_assert_eq(cede_udp_send_many(p->udp, large, sizeof large / sizeof large[0], NULL), 0);
	cr_assert_geq(turns, 19);
	cede_group_cancel(&g);
}
