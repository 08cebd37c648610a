/*
 * Each call that receives and each that sends, by each way in which its wait can end and by
 * what refuses it: one table. The loopback always has room, so where a send is to wait
 * the system says, on the call's way out of the library, that there is none; and so it says
 * what the network says elsewhere.
 */
#include "tests/net/udp_pair.h"

#include <sys/syscall.h>

#include "tests/support/clock.h"

TestSuite(udp_calls, .timeout = 30);

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static int send_code, receive_code; /* an errno that is said to each call; 0: none */

static int
says(int code)
{
	errno = code;
	return code != 0;
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	return says(send_code) ? -1 : syscall(SYS_sendmsg, fd, message, flags);
}

int
sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	return says(send_code) ? -1 : (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
}

ssize_t
recvmsg(int fd, struct msghdr *message, int flags)
{
	return says(receive_code) ? -1 : syscall(SYS_recvmsg, fd, message, flags);
}

int
recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	return says(receive_code) ? -1
				  : (int)syscall(SYS_recvmmsg, fd, messages, count, flags, timeout);
}

/* ---- the calls ---- */

struct run {
	const struct call *call;
	cede_udp_t *udp;
	cede_address_t to;
	char bytes[8];
	cede_datagram_t datagram;
	cede_task_t *task;
	ssize_t result;
	int has_ended;
};

struct call {
	const char *name;
	ssize_t (*fn)(struct run *run);
	int is_send, is_try;
};

static ssize_t
call_receive(struct run *run)
{
	return cede_udp_receive(run->udp, run->bytes, sizeof run->bytes, NULL);
}

static ssize_t
call_receive_start(struct run *run)
{
	cede_udp_receive_t op;
	int r = cede_udp_receive_start(run->udp, run->bytes, sizeof run->bytes, &op);

	return r < 0 ? r : cede_await(&op.future);
}

static ssize_t
call_receive_many(struct run *run)
{
	return cede_udp_receive_many(run->udp, &run->datagram, 1);
}

static ssize_t
call_receive_many_start(struct run *run)
{
	cede_udp_receive_t op;
	int r = cede_udp_receive_many_start(run->udp, &run->datagram, 1, &op);

	return r < 0 ? r : cede_await(&op.future);
}

static ssize_t
call_try_receive(struct run *run)
{
	return cede_udp_try_receive(run->udp, run->bytes, sizeof run->bytes, NULL);
}

static ssize_t
call_send(struct run *run)
{
	return cede_udp_send(run->udp, "x", 1, &run->to);
}

static ssize_t
call_send_start(struct run *run)
{
	cede_udp_send_t op;
	int r = cede_udp_send_start(run->udp, "x", 1, &run->to, &op);

	return r < 0 ? r : cede_await(&op.future);
}

static ssize_t
call_send_many(struct run *run)
{
	return cede_udp_send_many(run->udp, &run->datagram, 1, NULL);
}

static ssize_t
call_send_many_start(struct run *run)
{
	cede_udp_send_t op;
	int r = cede_udp_send_many_start(run->udp, &run->datagram, 1, &op);

	return r < 0 ? r : cede_await(&op.future);
}

static ssize_t
call_try_send(struct run *run)
{
	return cede_udp_try_send(run->udp, "x", 1, &run->to);
}

static const struct call calls[] = {
	{ "receive", call_receive, 0, 0 },
	{ "receive_start", call_receive_start, 0, 0 },
	{ "receive_many", call_receive_many, 0, 0 },
	{ "receive_many_start", call_receive_many_start, 0, 0 },
	{ "try_receive", call_try_receive, 0, 1 },
	{ "send", call_send, 1, 0 },
	{ "send_start", call_send_start, 1, 0 },
	{ "send_many", call_send_many, 1, 0 },
	{ "send_many_start", call_send_many_start, 1, 0 },
	{ "try_send", call_try_send, 1, 1 },
};

static void
run_init(struct run *run, const struct call *call, cede_udp_t *udp, const cede_address_t *to)
{
	*run = (struct run){ .call = call, .udp = udp, .to = *to };
	run->datagram = (cede_datagram_t){ .data = run->bytes,
		.capacity = sizeof run->bytes,
		.size = 1,
		.peer = *to };
}

static ssize_t
call_once(const struct call *call, cede_udp_t *udp, const cede_address_t *to)
{
	struct run run;

	run_init(&run, call, udp, to);
	return call->fn(&run);
}

/* ---- ended ---- */

static int
do_once(void *arg)
{
	struct run *run = arg;

	CEDE_TIMEOUT(1000)
		run->result = run->call->fn(run);
	run->has_ended = 1;
	return 0;
}

static void
by_cancel(struct run *run)
{
	cr_assert_eq(cede_task_cancel(run->task), 1);
}

static void
by_close(struct run *run)
{
	cede_udp_close(run->udp);
	run->udp = NULL;
}

static void
by_time(struct run *run)
{
	clock_advance(1000);
}

/* Each that waits, alone; then the socket is free again, and nothing was sent. */
static void
expect_of_each(struct udp_pair *p, void (*end)(struct run *), int result)
{
	for (size_t i = 0; i < LENGTH(calls); i++) {
		struct run run;

		if (calls[i].is_try)
			continue;
		run_init(&run, &calls[i], p->udp, &p->from);
		send_code = EAGAIN;
		CEDE_GROUP(group);
		cr_assert_eq(cede_spawn_with(&group, do_once, &run, NULL, &run.task), 0);
		let_others_run();
		cr_assert_not(run.has_ended, "%s does not wait", calls[i].name);
		end(&run);
		cr_assert_eq(cede_group_wait(&group), 0);
		cr_assert_eq(run.result, result, "%s: %zd", calls[i].name, run.result);
		cede_task_unref(run.task);
		send_code = 0;
		raw_expect_nothing(p->peer);
		if (!run.udp) {
			close(p->peer);
			udp_pair_open(p);
		}
		raw_send(p->peer, "y", 1);
		cr_assert_eq(call_once(&calls[0], p->udp, &p->from), 1);
		cr_assert_eq(call_once(&calls[5], p->udp, &p->from), 1);
		raw_expect(p->peer, "x", 1);
	}
}

UDP_TEST(udp_calls, a_cancel_ends_each)
{
	expect_of_each(p, by_cancel, CEDE_EXIT);
}

UDP_TEST(udp_calls, a_close_by_another_task_ends_each)
{
	expect_of_each(p, by_close, CEDE_ECANCELED);
}

UDP_TEST(udp_calls, time_ends_each)
{
	clock_start();
	expect_of_each(p, by_time, CEDE_ETIMEDOUT);
	clock_stop();
}

/* ---- refused ---- */

UDP_TEST(udp_calls, a_second_one_is_refused)
{
	cede_udp_receive_t receiving;
	cede_udp_send_t sending;
	char byte;

	send_code = EAGAIN;
	cr_assert_eq(cede_udp_receive_start(p->udp, &byte, 1, &receiving), 0);
	cr_assert_eq(cede_udp_send_start(p->udp, "first", 5, &p->from, &sending), 0);
	for (size_t i = 0; i < LENGTH(calls); i++)
		cr_assert_eq(call_once(&calls[i], p->udp, &p->from), CEDE_EBUSY, "%s",
			calls[i].name);
	send_code = 0;
	raw_send(p->peer, "y", 1);
	cr_assert_eq(cede_await(&receiving.future), 1);
	cr_assert_eq(cede_await(&sending.future), 0);
	raw_expect(p->peer, "first", 5);
	raw_expect_nothing(p->peer);
}

UDP_TEST(udp_calls, in_a_task_that_is_being_closed_are_refused)
{
	raw_send(p->peer, "y", 1);
	close_oneself();
	for (size_t i = 0; i < LENGTH(calls); i++)
		if (!calls[i].is_try)
			cr_assert_eq(call_once(&calls[i], p->udp, &p->from), CEDE_EXIT, "%s",
				calls[i].name);
	raw_expect_nothing(p->peer);
}

static int
open_the_pair(void *p)
{
	udp_pair_open(p);
	return 0;
}

/* The socket is left to the detach. */
Test(udp_calls, outside_all_tasks_only_trying_is_possible)
{
	struct udp_pair p;
	cede_loop_t *loop;
	uv_loop_t uv;
	int ended = 0;

	leaks_begin();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_start(loop, open_the_pair, &p, count_ended, &ended), 0);
	while (!ended)
		uv_run(&uv, UV_RUN_ONCE);
	for (size_t i = 0; i < LENGTH(calls); i++)
		if (!calls[i].is_try)
			cr_assert_eq(call_once(&calls[i], p.udp, &p.from), CEDE_ENOTASK, "%s",
				calls[i].name);
	cr_assert_eq(cede_udp_try_send(p.udp, "x", 1, &p.from), 1);
	raw_expect(p.peer, "x", 1);
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
	close(p.peer);
	leaks_end();
}

/* ---- what the system says ---- */

/* Of a receive and of a send it ends the call, and nothing else. */
UDP_TEST(udp_calls, an_error_of_the_network_is_returned_and_the_next_one_goes)
{
	static const int codes[] = { ECONNREFUSED, EHOSTUNREACH, ENETUNREACH };

	for (size_t i = 0; i < LENGTH(codes); i++) {
		send_code = receive_code = codes[i];
		for (size_t k = 0; k < LENGTH(calls); k++)
			cr_assert_eq(call_once(&calls[k], p->udp, &p->from), -codes[i], "%s: %s",
				calls[k].name, strerror(codes[i]));
		send_code = receive_code = 0;
		raw_send(p->peer, "y", 1);
		cr_assert_eq(call_once(&calls[0], p->udp, &p->from), 1);
		cr_assert_eq(call_once(&calls[5], p->udp, &p->from), 1);
		raw_expect(p->peer, "x", 1);
	}
}

/* To receive takes memory of the system's; what a send may not do it says at once. */
UDP_TEST(udp_calls, what_the_system_refuses_is_returned_of_each)
{
	static const int of_sends[] = { EMSGSIZE, EDESTADDRREQ, EACCES, EPERM };

	receive_code = ENOMEM;
	for (size_t i = 0; i < LENGTH(of_sends); i++) {
		send_code = of_sends[i];
		for (size_t k = 0; k < LENGTH(calls); k++)
			cr_assert_eq(call_once(&calls[k], p->udp, &p->from),
				calls[k].is_send ? -send_code : CEDE_ENOMEM, "%s", calls[k].name);
	}
	send_code = receive_code = 0;
}
