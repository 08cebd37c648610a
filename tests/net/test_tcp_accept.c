/* Listening and accepting: net/listener.c. Shortages are in test_tcp_shortage.c. */
#include "tests/net/pair.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/syscall.h>

TestSuite(tcp_accept, .timeout = 30);

struct accepting {
	cede_listener_t *listener;
	cede_stream_t *stream;
	int result;
	int has_ended;
};

static int
accept_once(void *arg)
{
	struct accepting *a = arg;

	a->result = cede_accept(a->listener, &a->stream);
	a->has_ended = 1;
	return 0;
}

/* ---- listening ---- */

TASK_TEST(tcp_accept, listens_on_a_port_of_the_systems_choice)
{
	cede_listener_t *l = NULL;
	char address[56];

	cr_assert_eq(cede_tcp_listen("127.0.0.1:0", NULL, &l), 0);
	cr_assert_eq(cede_listener_address(l, address, sizeof address), 0);
	cr_assert_eq(strncmp(address, "127.0.0.1:", 10), 0);
	cr_assert_gt(peer_port(address), 0);
	cr_assert_eq(cede_listener_address(l, address, 3), CEDE_ENOBUFS);
	cede_listener_close(l);
}

TASK_TEST(tcp_accept, an_empty_host_is_every_address)
{
	cede_listener_t *l = NULL;
	cede_stream_t *s = NULL;
	char address[56];
	int fd;

	cr_assert_eq(cede_tcp_listen(":0", NULL, &l), 0);
	cr_assert_eq(cede_listener_address(l, address, sizeof address), 0);
	fd = peer_connect(peer_port(address)); /* over IPv4 */
	cr_assert_eq(cede_accept(l, &s), 0);
	cede_close(s);
	peer_close(fd);
	cede_listener_close(l);
}

/* Can one connect to its port over IPv4, and over IPv6? */
static void
expect_stack(const char *address, int only_v6, int has_v4, int has_v6)
{
	const cede_listen_options_t o = { .only_v6 = only_v6 };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), v4;
	cede_listener_t *l = NULL;
	cede_stream_t *s = NULL;
	char name[56];

	cr_assert_eq(cede_tcp_listen(address, &o, &l), 0, "%s", address);
	cr_assert_eq(cede_listener_address(l, name, sizeof name), 0);
	v4 = peer_try_connect(peer_port(name), 0);
	cr_assert_eq(v4 >= 0, has_v4, "%s over IPv4: %d", address, v4);
	if (v4 >= 0) {
		cr_assert_eq(cede_accept(l, &s), 0);
		cr_assert_eq(cede_stream_peer(s, name, sizeof name), 0);
		cr_assert(!has_v6 || strncmp(name, "[::ffff:127.0.0.1]:", 19) == 0, "%s", name);
		cede_close(s);
		peer_close(v4);
	}
	cr_assert_eq(cede_listener_address(l, name, sizeof name), 0);
	v6.sin6_port = htons((uint16_t)peer_port(name));
	cr_assert_eq(connect(fd, (struct sockaddr *)&v6, sizeof v6) == 0, has_v6, "%s over IPv6",
		address);
	close(fd);
	cede_listener_close(l);
}

TASK_TEST(tcp_accept, every_address_is_dual_stack_unless_only_v6_is_asked_for)
{
	cede_listener_t *l = NULL;

	expect_stack(":0", 0, 1, 1);
	expect_stack("[::]:0", 0, 1, 1);
	expect_stack(":0", 1, 0, 1);
	expect_stack("[::]:0", 1, 0, 1);
	expect_stack("[::1]:0", 0, 0, 1);
	expect_stack("[::1]:0", 1, 0, 1);
	expect_stack("0.0.0.0:0", 0, 1, 0);
	expect_stack("[::ffff:127.0.0.1]:0", 0, 1, 0);
	cr_assert_eq(cede_tcp_listen("127.0.0.1:0", &(cede_listen_options_t){ .only_v6 = 1 }, &l),
		CEDE_EINVAL);
	cr_assert_null(l);
}

static int backlog_heard;

int
listen(int fd, int backlog)
{
	backlog_heard = backlog;
	return (int)syscall(SYS_listen, fd, backlog);
}

TASK_TEST(tcp_accept, the_backlog_is_what_was_asked_for)
{
	cede_listener_t *l = NULL;

	cr_assert_eq(cede_tcp_listen("127.0.0.1:0", &(cede_listen_options_t){ .backlog = 2 }, &l),
		0);
	cr_assert_eq(backlog_heard, 2);
	cede_listener_close(l);
	cr_assert_eq(cede_tcp_listen("127.0.0.1:0", NULL, &l), 0);
	cr_assert_eq(backlog_heard, 511);
	cede_listener_close(l);
}

TASK_TEST(tcp_accept, what_cannot_be_listened_on_is_refused)
{
	cede_listener_t *l = NULL, *first = NULL;
	char address[56];

	cr_assert_eq(cede_tcp_listen("nonsense", NULL, &l), CEDE_EINVAL);
	cr_assert_eq(cede_tcp_listen(NULL, NULL, &l), CEDE_EINVAL);
	cr_assert_eq(cede_tcp_listen("192.0.2.1:0", NULL, &l), CEDE_EADDRNOTAVAIL);
	cr_assert_eq(cede_tcp_listen("127.0.0.1:0", NULL, &first), 0);
	cr_assert_eq(cede_listener_address(first, address, sizeof address), 0);
	cr_assert_eq(cede_tcp_listen(address, NULL, &l), CEDE_EADDRINUSE);
	cr_assert_null(l);
	cede_listener_close(first);
}

TASK_TEST(tcp_accept, a_port_is_shared_when_both_ask_for_it)
{
	const cede_listen_options_t share = { .share_port = 1 };
	cede_listener_t *one = NULL, *other = NULL;
	char address[56];

	cr_assert_eq(cede_tcp_listen("127.0.0.1:0", &share, &one), 0);
	cr_assert_eq(cede_listener_address(one, address, sizeof address), 0);
	cr_assert_eq(cede_tcp_listen(address, &share, &other), 0);
	cede_listener_close(one);
	cede_listener_close(other);
}

TASK_TEST(tcp_accept, a_port_can_be_listened_on_again_at_once)
{
	cede_listener_t *l = NULL;
	cede_stream_t *s = NULL;
	char address[56];
	unsigned port;
	int fd;

	l = listen_any(&port);
	cr_assert_eq(cede_listener_address(l, address, sizeof address), 0);
	fd = peer_connect(port);
	cr_assert_eq(cede_accept(l, &s), 0);
	cede_close(s); /* leaves TIME_WAIT on this side */
	cr_assert_eq(peer_receive_end(fd, NULL), 0);
	peer_close(fd);
	cede_listener_close(l);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_tcp_listen(address, NULL, &l), 0);
	cede_listener_close(l);
}

static int
nodelay_of(const cede_stream_t *s)
{
	int on = 0;
	socklen_t size = sizeof on;

	cr_assert_eq(getsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
	return on;
}

TASK_TEST(tcp_accept, nagles_algorithm_is_off_unless_asked_for)
{
	for (int delay = 0; delay < 2; delay++) {
		cede_listener_t *l = NULL;
		cede_stream_t *s = NULL;
		char address[56];
		int fd;

		cr_assert_eq(cede_tcp_listen("127.0.0.1:0",
				     &(cede_listen_options_t){ .delay = delay }, &l),
			0);
		cr_assert_eq(cede_listener_address(l, address, sizeof address), 0);
		fd = peer_connect(peer_port(address));
		cr_assert_eq(cede_accept(l, &s), 0);
		cr_assert_eq(!nodelay_of(s), delay);
		cede_close(s);
		peer_close(fd);
		cede_listener_close(l);
	}
}

Test(tcp_accept, listening_outside_a_task_is_refused)
{
	cede_listener_t *l = NULL;

	leaks_begin();
	cr_assert_eq(cede_tcp_listen("127.0.0.1:0", NULL, &l), CEDE_ENOTASK);
	cr_assert_null(l);
	leaks_end();
}

/* ---- accepting ---- */

TASK_TEST(tcp_accept, returns_what_waits_already)
{
	cede_stream_t *s = NULL;
	unsigned port;
	cede_listener_t *l = listen_any(&port);
	int fd = peer_connect(port);
	char byte;

	cr_assert_eq(cede_accept(l, &s), 0);
	peer_send(fd, "x", 1);
	cr_assert_eq(cede_read(s, &byte, 1), 1);
	cede_close(s);
	peer_close(fd);
	cede_listener_close(l);
}

TASK_TEST(tcp_accept, waits_for_what_is_to_come)
{
	unsigned port;
	struct accepting a = { .listener = listen_any(&port) };
	int fd;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, accept_once, &a), 0);
	cr_assert_eq(cede_sleep(2), 0);
	cr_assert_not(a.has_ended);
	fd = peer_connect(port);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(a.result, 0);
	cede_close(a.stream);
	peer_close(fd);
	cede_listener_close(a.listener);
}

TASK_TEST(tcp_accept, neither_end_is_inherited_by_a_child_or_blocks)
{
	cede_stream_t *s = NULL;
	unsigned port;
	cede_listener_t *l = listen_any(&port);
	int fd = peer_connect(port);

	cr_assert_eq(cede_accept(l, &s), 0);
	cr_assert(fcntl(s->fd, F_GETFD) & FD_CLOEXEC);
	cr_assert(fcntl(s->fd, F_GETFL) & O_NONBLOCK);
	cede_close(s);
	peer_close(fd);
	cede_listener_close(l);
}

/* More than are accepted in a row without a look at the loop. */
TASK_TEST(tcp_accept, a_hundred_that_wait_are_all_accepted_in_order)
{
	enum { MANY = 100 };
	unsigned port;
	cede_listener_t *l = listen_any(&port);
	int fds[MANY];

	for (unsigned char i = 0; i < MANY; i++) {
		fds[i] = peer_connect(port);
		peer_send(fds[i], &i, 1);
	}
	for (unsigned char i = 0; i < MANY; i++) {
		cede_stream_t *s = NULL;
		unsigned char which;

		cr_assert_eq(cede_accept(l, &s), 0);
		cr_assert_eq(cede_read(s, &which, 1), 1);
		cr_assert_eq(which, i);
		cede_close(s);
		peer_close(fds[i]);
	}
	cede_listener_close(l);
}

/* On Linux such a connection is accepted and reads ECONNRESET, or is passed over: never an error of the accept. */
TASK_TEST(tcp_accept, a_connection_that_was_reset_in_the_queue_is_no_error)
{
	unsigned port;
	cede_listener_t *l = listen_any(&port);
	cede_stream_t *s = NULL;
	int fd;
	char byte = 0;

	peer_reset(peer_connect(port));
	fd = peer_connect(port);
	peer_send(fd, "x", 1);
	do {
		cede_close(s);
		s = NULL;
		cr_assert_eq(cede_accept(l, &s), 0);
	} while (cede_read(s, &byte, 1) == CEDE_ECONNRESET);
	cr_assert_eq(byte, 'x');
	cede_close(s);
	peer_close(fd);
	cede_listener_close(l);
}

TASK_TEST(tcp_accept, a_second_one_is_refused_and_the_first_goes_on)
{
	unsigned port;
	struct accepting a = { .listener = listen_any(&port) };
	cede_stream_t *s = NULL;
	cede_accept_t op;
	int fd;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, accept_once, &a), 0);
	let_others_run();
	cr_assert_eq(cede_accept(a.listener, &s), CEDE_EBUSY);
	cr_assert_eq(cede_accept_start(a.listener, &op), CEDE_EBUSY);
	cr_assert_null(s);
	fd = peer_connect(port);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(a.result, 0);
	cede_close(a.stream);
	peer_close(fd);
	cede_listener_close(a.listener);
}

Test(tcp_accept, outside_a_task_is_refused)
{
	struct outside o;
	cede_stream_t *s = NULL;
	cede_accept_t op;

	leaks_begin();
	outside_open(&o);
	cr_assert_eq(cede_accept(o.pair.listener, &s), CEDE_ENOTASK);
	cr_assert_eq(cede_accept_start(o.pair.listener, &op), CEDE_ENOTASK);
	cr_assert_null(s);
	outside_close(&o);
	leaks_end();
}

/* ---- cancelled, closed ---- */

static int
accept_while_closing(void *arg)
{
	struct accepting *a = arg;

	close_oneself();
	a->result = cede_accept(a->listener, &a->stream);
	return a->result;
}

TASK_TEST(tcp_accept, cancelled_before_it_starts_loses_no_connection)
{
	unsigned port;
	struct accepting a = { .listener = listen_any(&port) };
	int fd = peer_connect(port);

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, accept_while_closing, &a), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(a.result, CEDE_EXIT);
	cr_assert_null(a.stream);
	cr_assert_eq(cede_accept(a.listener, &a.stream), 0);
	cede_close(a.stream);
	peer_close(fd);
	cede_listener_close(a.listener);
}

TASK_TEST(tcp_accept, cancelled_while_it_waits_loses_no_connection)
{
	unsigned port;
	cede_listener_t *l = listen_any(&port);

	for (int i = 0; i < 20; i++) {
		struct accepting a = { .listener = l };
		cede_task_t *task;
		int fd = -1;

		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn_with(&g, accept_once, &a, NULL, &task), 0);
		let_others_run();
		if (i % 2)
			fd = peer_connect(port);
		cede_task_cancel(task);
		cr_assert_eq(cede_group_wait(&g), 0);
		cede_task_unref(task);
		if (fd < 0)
			fd = peer_connect(port);
		if (a.result == CEDE_EXIT)
			cr_assert_eq(cede_accept(l, &a.stream), 0);
		cr_assert_not_null(a.stream);
		cede_close(a.stream);
		peer_close(fd);
	}
	cede_listener_close(l);
}

TASK_TEST(tcp_accept, cancelled_when_it_has_completed_keeps_its_stream)
{
	unsigned port;
	cede_listener_t *l = listen_any(&port);
	int fd = peer_connect(port);
	cede_accept_t op;

	cr_assert_eq(cede_accept_start(l, &op), 0);
	cr_assert(op.future.is_done);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_await(&op.future), 0);
	cede_close(op.stream);
	peer_close(fd);
	cede_listener_close(l);
}

TASK_TEST(tcp_accept, a_timeout_scope_ends_it)
{
	unsigned port;
	cede_listener_t *l = listen_any(&port);
	cede_stream_t *s = NULL;
	int r = 0;

	CEDE_TIMEOUT(5) {
		r = cede_accept(l, &s);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_null(s);
	cede_listener_close(l);
}

TASK_TEST(tcp_accept, a_close_by_another_task_ends_it)
{
	unsigned port;
	struct accepting a = { .listener = listen_any(&port) };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, accept_once, &a), 0);
	let_others_run();
	cede_listener_close(a.listener);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(a.result, CEDE_ECANCELED);
	cr_assert_null(a.stream);
}

/* Nobody is to be accepted that nobody will serve: refused at once, and what was queued is reset. */
TASK_TEST(tcp_accept, a_listener_that_is_closed_refuses_at_once)
{
	unsigned port;
	cede_listener_t *l = listen_any(&port);
	int queued = peer_connect(port), r;

	cede_listener_close(l);
	r = peer_try_connect(port, 0);
	cr_assert_eq(r, -ECONNREFUSED, "%d", r);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(peer_receive_end(queued, NULL), -ECONNRESET);
	peer_close(queued);
}

static int
leave_it_listening(void *arg)
{
	const int *is_armed = arg;
	cede_accept_t op;
	unsigned port;
	cede_listener_t *l = listen_any(&port);

	if (*is_armed) {
		cr_assert_eq(cede_accept_start(l, &op), 0);
		let_others_run();
		cede_future_cancel(&op.future);
	}
	return 0;
}

Test(tcp_accept, what_is_left_listening_is_closed_with_the_loop, .timeout = 5)
{
	for (int is_armed = 0; is_armed < 2; is_armed++) {
		leaks_begin();
		cr_assert_eq(cede_run(leave_it_listening, &is_armed), 0);
		leaks_end();
	}
}

/* ---- out of memory ---- */

static int
listen_without_memory(struct pair *p)
{
	cede_listener_t *l = NULL;
	int r = cede_tcp_listen("127.0.0.1:0", NULL, &l);

	cede_listener_close(l);
	return r;
}

Test(tcp_accept, listening_without_memory_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(listen_without_memory, FAULT_ONCE), 1);
	cr_assert_geq(expect_failures_are_survived(listen_without_memory, FAULT_FOREVER), 1);
}

/* "A shortage of memory is waited out": whatever fails once, the connection is served in the end. */
static int
accept_without_memory(struct pair *p)
{
	cede_stream_t *s = NULL;
	int fd = peer_connect(p->port), r = cede_accept(p->listener, &s);

	cr_expect_eq(r, 0, "%s", cede_strerror(r));
	cede_close(s);
	peer_close(fd);
	return r;
}

Test(tcp_accept, an_allocation_that_fails_is_waited_out)
{
	cr_assert_geq(expect_failures_are_survived(accept_without_memory, FAULT_ONCE), 1);
}

/* And while there is none at all it waits, neither failing nor losing the connection. */
static int
accept_when_there_is_memory_again(struct pair *p)
{
	struct accepting a = { .listener = p->listener };
	cede_accept_t op;
	cede_sleep_t tick;
	int fd = peer_connect(p->port), r = cede_accept_start(p->listener, &op);

	cr_assert_eq(r, 0);
	fault_disarm();
	cr_assert_eq(cede_sleep_start(5, &tick), 0);
	cr_assert_eq(cede_await(&tick.future), 0);
	a.result = cede_await(&op.future);
	cr_expect_eq(a.result, 0, "%s", cede_strerror(a.result));
	if (a.result == 0)
		cede_close(op.stream);
	peer_close(fd);
	return 0;
}

static int
run_without_memory(void *arg)
{
	struct pair p;

	pair_open(&p);
	fault_arm(1, FAULT_FOREVER);
	accept_when_there_is_memory_again(&p);
	pair_close(&p);
	return 0;
}

Test(tcp_accept, no_memory_at_all_is_waited_out)
{
	leaks_begin();
	fault_install();
	cr_assert_eq(cede_run(run_without_memory, NULL), 0);
	leaks_end();
}
