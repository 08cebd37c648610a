/* Serving: net/serve.c. */
#include "tests/net/serve_test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "tests/support/order.h"

TestSuite(serve, .timeout = 60);

/* ---- it serves ---- */

TASK_TEST(serve, a_task_a_connection)
{
	struct server s = { .handler = echo };
	char byte;
	int a, b;

	CEDE_GROUP(g);
	start_server(&g, &s);
	a = peer_connect(s.port);
	b = peer_connect(s.port);
	wait_until_started(2);
	peer_send(b, "b", 1);
	peer_send(a, "a", 1);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_eq(peer_receive(a, &byte, 1), 1);
	cr_assert_eq(byte, 'a');
	cr_assert_eq(peer_receive(b, &byte, 1), 1);
	cr_assert_eq(byte, 'b');
	peer_shutdown(a);
	peer_close(b);
	wait_until_ended(2);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(peer_receive_end(a, NULL), 0);
	peer_close(a);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

static int
close_it_myself(void *arg)
{
	enter();
	cede_close(arg);
	return leave(0);
}

TASK_TEST(serve, a_handler_may_close_its_stream_itself)
{
	struct server s = { .handler = close_it_myself };
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	wait_until_ended(1);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(peer_receive_end(fd, NULL), 0);
	peer_close(fd);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

TASK_TEST(serve, closing_its_listener_ends_it)
{
	struct server s = { .handler = echo };

	CEDE_GROUP(g);
	start_server(&g, &s);
	cede_listener_close(s.listener);
	cr_assert_eq(join_server(&s), CEDE_ECANCELED);
}

static int
keep_data(void *arg)
{
	int *kept = cede_serve_data(arg);

	*kept += 1 + cede_serve_is_draining(arg);
	seen.ended++;
	return 0;
}

static void
note_ready(cede_listener_t *listener, void *data)
{
	char address[56];

	cr_assert_eq(cede_listener_address(listener, address, sizeof address), 0);
	*(int *)data += 100;
}

TASK_TEST(serve, its_handlers_share_data_and_are_told_when_it_is_ready)
{
	int data = 0, fd;
	struct server s = {
		.handler = keep_data,
		.options = { .data = &data, .on_ready = note_ready },
	};

	CEDE_GROUP(g);
	start_server(&g, &s);
	cr_assert_eq(data, 100);
	fd = peer_connect(s.port);
	wait_until_ended(1);
	peer_close(fd);
	cr_assert_eq(data, 101);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

static int
fail_at_once(void *arg)
{
	enter();
	return leave(CEDE_EINVAL);
}

TASK_TEST(serve, a_handler_that_fails_is_told_of_and_the_others_go_on)
{
	struct server s = {
		.handler = fail_at_once,
		.options = { .on_error = count_error, .data = &seen },
	};

	CEDE_GROUP(g);
	start_server(&g, &s);
	for (int i = 1; i <= 3; i++) {
		int fd = peer_connect(s.port);

		wait_until_ended(i);
		cr_assert_eq(cede_sleep(1), 0);
		cr_assert_eq(peer_receive_end(fd, NULL), 0);
		peer_close(fd);
	}
	cr_assert_eq(seen.errors, 3);
	cr_assert_eq(seen.last_error, CEDE_EINVAL);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

/* It is told, again and again, that its time is over. */
static int
ignore_the_timeout(void *arg)
{
	char byte;

	CEDE_TIMEOUT(5) {
		for (;;)
			if (cede_read(arg, &byte, 1) > 0)
				return 0;
	}
	return 0;
}

TASK_TEST(serve, a_handler_that_ignores_its_end_is_reset_and_makes_room)
{
	struct server s = {
		.handler = ignore_the_timeout,
		.options = {
			.max_connections = 1,
			.stop_on = (int[]){ SIGUSR1, 0 },
			.on_error = count_error,
			.data = &seen,
		},
	};
	int first, second;

	CEDE_GROUP(g);
	start_server(&g, &s);
	first = peer_connect(s.port);
	while (seen.errors < 1)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(seen.last_error, CEDE_EIGNORED);
	second = peer_connect(s.port);
	peer_send(second, "x", 1);
	cr_assert_eq(cede_sleep(20), 0);
	cr_assert_eq(peer_receive_end(second, NULL), 0, "the second was not served");
	peer_close(first);
	peer_close(second);

	/* And what went wrong with a connection is no error of the serving. */
	raise(SIGUSR1);
	cr_assert_eq(join_server(&s), 0);
}

TASK_TEST(serve, a_peer_that_resets_is_an_error_of_its_handler_only)
{
	struct server s = {
		.handler = echo,
		.options = { .on_error = count_error, .data = &seen },
	};

	CEDE_GROUP(g);
	start_server(&g, &s);
	peer_reset(peer_connect(s.port));
	wait_until_ended(1);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(seen.errors, 1);
	cr_assert_eq(seen.last_error, CEDE_ECONNRESET);
	cr_assert_not(s.has_ended);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

/* ---- limits ---- */

TASK_TEST(serve, an_idle_client_is_dropped_at_the_limit)
{
	struct server s = {
		.handler = echo,
		.options = { .idle_ms = 30, .on_error = count_error, .data = &seen },
	};
	double begin;
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	begin = peer_seconds();
	fd = peer_connect(s.port);
	wait_until_ended(1);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_geq(peer_seconds() - begin, 0.028);
	cr_assert_eq(seen.last_error, CEDE_ETIMEDOUT);
	cr_assert_eq(peer_receive_end(fd, NULL), 0);
	peer_close(fd);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

TASK_TEST(serve, the_limit_of_connections_holds_and_none_is_lost)
{
	enum { MANY = 20, LIMIT = 3 };
	struct server s = { .handler = echo, .options = { .max_connections = LIMIT } };
	int fds[MANY];

	CEDE_GROUP(g);
	start_server(&g, &s);
	for (int i = 0; i < MANY; i++)
		fds[i] = peer_connect(s.port);
	wait_until_started(LIMIT);
	cr_assert_eq(cede_sleep(10), 0);
	cr_assert_eq(seen.started, LIMIT);
	for (int i = 0; i < MANY; i++) {
		peer_close(fds[i]);
		wait_until_ended(i + 1);
	}
	cr_assert_eq(seen.started, MANY);
	cr_assert_eq(seen.running_max, LIMIT);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

/* ---- the end ---- */

static const int stop_signals[] = { SIGUSR1, SIGUSR2, 0 };

TASK_TEST(serve, a_signal_ends_it_at_once_when_nobody_is_there)
{
	for (int i = 0; stop_signals[i]; i++) {
		struct server s = { .handler = echo, .options = { .stop_on = stop_signals } };

		CEDE_GROUP(g);
		start_server(&g, &s);
		kill(getpid(), stop_signals[i]);
		cr_assert_eq(join_server(&s), 0);
		cr_assert_eq(peer_try_connect(s.port, 0), -ECONNREFUSED);
	}
}

/*
 * | server            | client in flight      | client that stays |
 * |-------------------+-----------------------+-------------------|
 * | signal: stops to accept                   |                   |
 * |                   | is served to its end  |                   |
 * | drain_ms is over  |                       | cut: RST          |
 * | returns 0         |                       |                   |
 */
TASK_TEST(serve, a_signal_drains_and_then_cuts_the_rest)
{
	struct server s = {
		.handler = echo,
		.options = { .stop_on = stop_signals,
			.drain_ms = 300,
			.on_error = count_error,
			.data = &seen },
	};
	int finishing, staying, fd;
	char byte;

	CEDE_GROUP(g);
	start_server(&g, &s);
	finishing = peer_connect(s.port);
	staying = peer_connect(s.port);
	wait_until_started(2);
	kill(getpid(), SIGUSR1);
	while ((fd = peer_try_connect(s.port, 0)) >= 0) {
		peer_close(fd); /* it came before the signal was heard */
		cr_assert_eq(cede_sleep(1), 0);
	}
	cr_assert_eq(fd, -ECONNREFUSED);
	cr_assert_not(s.has_ended);

	peer_send(finishing, "last", 4);
	peer_shutdown(finishing);
	wait_until_ended(seen.started - 1);
	cr_assert_not(s.has_ended);
	cr_assert_eq(peer_receive(finishing, &byte, 1), 1);
	cr_assert_eq(byte, 'l');
	cr_assert_eq(peer_receive_end(finishing, NULL), 0);

	cr_assert_eq(join_server(&s), 0);
	cr_assert_eq(seen.running, 0);
	cr_assert_eq(seen.last_read, CEDE_EXIT);
	cr_assert_eq(seen.errors, 0, "a cut is no error of the handler");
	cr_assert_eq(peer_receive_end(staying, NULL), -ECONNRESET);
	peer_close(finishing);
	peer_close(staying);
}

TASK_TEST(serve, it_returns_as_soon_as_the_last_has_finished)
{
	struct server s = {
		.handler = echo,
		.options = { .stop_on = stop_signals, .drain_ms = 600000 },
	};
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	wait_until_started(1);
	kill(getpid(), SIGUSR2);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_not(s.has_ended);
	peer_close(fd);
	cr_assert_eq(join_server(&s), 0);
}

/* A handler that takes its cleanup time in a shield is waited for. */
static int
clean_up_for_long(void *arg)
{
	char byte;
	ssize_t r;

	enter();
	r = cede_read(arg, &byte, 1);
	CEDE_SHIELD(1000) {
		if (cede_write(arg, "sorry", 5) == 5)
			order_record("said so");
		cr_assert_eq(cede_sleep(20), 0);
	}
	order_record("cleaned up");
	return leave((int)r);
}

TASK_TEST(serve, a_handler_cleans_up_in_a_shield_while_it_is_cut)
{
	struct server s = { .handler = clean_up_for_long };
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	wait_until_started(1);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
	order_record("server ended");
	order_expect("said so", "cleaned up", "server ended");
	peer_close(fd);
}

TASK_TEST(serve, a_cancel_cuts_at_once_and_does_not_drain)
{
	struct server s = { .handler = echo, .options = { .drain_ms = 600000 } };
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	wait_until_started(1);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
	cr_assert_eq(seen.last_read, CEDE_EXIT);
	cr_assert_eq(peer_receive_end(fd, NULL), -ECONNRESET);
	peer_close(fd);
}

TASK_TEST(serve, a_cancel_while_it_drains_ends_the_drain)
{
	struct server s = {
		.handler = echo,
		.options = { .stop_on = stop_signals, .drain_ms = 600000 },
	};
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	wait_until_started(1);
	kill(getpid(), SIGUSR1);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_not(s.has_ended);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
	cr_assert_eq(peer_receive_end(fd, NULL), -ECONNRESET);
	peer_close(fd);
}

TASK_TEST(serve, a_cancel_at_the_limit_of_connections_ends_it)
{
	struct server s = { .handler = echo, .options = { .max_connections = 1 } };
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	wait_until_started(1);
	cr_assert_eq(cede_sleep(2), 0);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
	peer_close(fd);
}

TASK_TEST(serve, a_signal_at_the_limit_of_connections_ends_it)
{
	struct server s = {
		.handler = echo,
		.options = { .max_connections = 1, .stop_on = stop_signals, .drain_ms = 1 },
	};
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	wait_until_started(1);
	cr_assert_eq(cede_sleep(2), 0);
	kill(getpid(), SIGUSR1);
	cr_assert_eq(join_server(&s), 0);
	peer_close(fd);
}

static int
serve_with_a_deadline(void *arg)
{
	struct server *s = arg;
	int r = 0;

	CEDE_TIMEOUT(20) {
		r = cede_serve(s->listener, s->handler, &s->options);
	}
	return r;
}

TASK_TEST(serve, a_timeout_scope_ends_it)
{
	struct server s = { .handler = echo };
	cede_task_t *task;
	int fd, r;

	s.listener = listen_any(&s.port);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, serve_with_a_deadline, &s, NULL, &task), 0);
	fd = peer_connect(s.port);
	r = cede_join(task, NULL);
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cede_task_unref(task);
	cr_assert_eq(peer_receive_end(fd, NULL), -ECONNRESET);
	peer_close(fd);
}

/* A connection that was accepted in the turn in which the server is cancelled is closed, not leaked. */
TASK_TEST(serve, a_cancel_in_the_turn_of_an_accept_leaks_nothing)
{
	for (int i = 0; i < 30; i++) {
		struct server s = { .handler = echo };
		int fd;

		CEDE_GROUP(g);
		start_server(&g, &s);
		fd = peer_connect(s.port);
		for (int turns = i % 5; turns > 0; turns--)
			let_others_run();
		cr_assert_eq(stop_server(&s), CEDE_EXIT);
		peer_close(fd);
	}
}

/* ---- what is refused ---- */

TASK_TEST(serve, what_is_refused_closes_the_listener_too)
{
	int nine[] = { 1, 2, 3, 5, 6, 7, 8, 10, 12, 0 }, none[] = { SIGKILL, 0 };
	unsigned port;

	cr_assert_eq(cede_serve(listen_any(&port), NULL, NULL), CEDE_EINVAL);
	cr_assert_eq(peer_try_connect(port, 0), -ECONNREFUSED);
	cr_assert_eq(cede_serve(listen_any(&port), echo,
			     &(cede_serve_options_t){ .stop_on = nine }),
		CEDE_EINVAL);
	cr_assert_eq(peer_try_connect(port, 0), -ECONNREFUSED);
	cr_assert_eq(cede_serve(listen_any(&port), echo,
			     &(cede_serve_options_t){ .stop_on = none }),
		CEDE_EINVAL);
	cr_assert_eq(peer_try_connect(port, 0), -ECONNREFUSED);
}

Test(serve, outside_a_task_is_refused)
{
	struct outside o;

	leaks_begin();
	outside_open(&o);
	cr_assert_eq(cede_serve(o.pair.listener, echo, NULL), CEDE_ENOTASK);
	outside_close(&o);
	leaks_end();
}

/* ---- out of memory ---- */

struct client {
	unsigned port;
	int replies, refusals;
	int stop_signal;
};

/* Comes again and again until it has been served three times. */
static void *
insist(void *arg)
{
	struct client *c = arg;

	while (c->replies < 3 && c->refusals < 2000) {
		char byte = 0;
		int fd = peer_try_connect(c->port, 0);

		if (fd < 0)
			break;
		if (peer_send(fd, "x", 1) == 0 && peer_receive(fd, &byte, 1) == 1)
			c->replies++;
		else
			c->refusals++;
		peer_close(fd);
	}
	if (c->replies == 3)
		kill(getpid(), c->stop_signal);
	return NULL;
}

static int
serve_without_memory(struct pair *p)
{
	struct client c = { .port = p->port, .stop_signal = SIGUSR1 };
	cede_listener_t *l = p->listener;
	pthread_t thread;
	int r;

	p->listener = NULL;
	thread = peer_start(insist, &c);
	r = cede_serve(l, echo,
		&(cede_serve_options_t){ .stop_on = stop_signals, .max_per_peer = 100 });
	peer_join(thread);
	if (r == 0)
		cr_expect_eq(c.replies, 3, "%d served, %d not", c.replies, c.refusals);
	cr_expect_leq(c.refusals, 1, "one allocation failed, and %d clients were sent away",
		c.refusals);
	return r;
}

Test(serve, one_allocation_that_fails_costs_one_client_at_most)
{
	cr_assert_geq(expect_failures_are_survived(serve_without_memory, FAULT_ONCE), 5);
}

/* ---- many ---- */

#define CLIENTS 1000

static void *
thousand_clients(void *arg)
{
	struct client *c = arg;
	static int fds[CLIENTS];
	char message[64], reply[64];

	for (int i = 0; i < CLIENTS; i++)
		fds[i] = peer_connect(c->port);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < CLIENTS; i++) {
			peer_fill(message, sizeof message, (size_t)i + (size_t)round);
			peer_send(fds[i], message, sizeof message);
		}
		for (int i = 0; i < CLIENTS; i++)
			if (peer_receive(fds[i], reply, sizeof reply) == (ssize_t)sizeof reply &&
				peer_is_pattern(reply, sizeof reply, (size_t)i + (size_t)round))
				c->replies++;
	}
	for (int i = 0; i < CLIENTS; i++)
		peer_close(fds[i]);
	kill(getpid(), c->stop_signal);
	return NULL;
}

TASK_TEST(serve, a_thousand_connections_at_once)
{
	struct client c = { .stop_signal = SIGUSR1 };
	struct rlimit limit;
	cede_listener_t *l;
	pthread_t thread;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	cr_assert_geq(limit.rlim_cur, 2 * CLIENTS + 100, "too few descriptors to test with");
	l = listen_any(&c.port);
	thread = peer_start(thousand_clients, &c);
	cr_assert_eq(cede_serve(l, echo, &(cede_serve_options_t){ .stop_on = stop_signals }), 0);
	peer_join(thread);
	cr_assert_eq(c.replies, 3 * CLIENTS);
	cr_assert_eq(seen.running_max, CLIENTS);
	cr_assert_eq(seen.running, 0);
}
