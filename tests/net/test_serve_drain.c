/* How a server ends without a signal, and what it says of those it cuts: net/serve.c, serve_drain.c. */
#include "tests/net/serve_test.h"

#include <signal.h>

#include "tests/net/unix_test.h"
#include "tests/support/order.h"

TestSuite(serve_drain, .timeout = 60);

/* ---- the event ---- */

static cede_event_t stop;

TASK_TEST(serve_drain, an_event_set_by_another_task_drains_and_ends_it)
{
	struct server s = { .handler = echo, .options = { .stop = &stop } };
	char byte;
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	wait_until_started(1);
	cede_event_set(&stop);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_not(s.has_ended, "it waits for what is in flight");
	cr_assert_eq(peer_try_connect(s.port, 0), -ECONNREFUSED);
	peer_send(fd, "x", 1);
	peer_shutdown(fd);
	cr_assert_eq(join_server(&s), 0);
	cr_assert_eq(seen.last_read, 0);
	cr_assert_eq(peer_receive(fd, &byte, 1), 1);
	cr_assert_eq(peer_receive_end(fd, NULL), 0);
	peer_close(fd);
	cede_event_deinit(&stop);
}

static int
stop_the_server(void *arg)
{
	enter();
	cede_event_set(cede_serve_data(arg));
	cr_assert_not(cede_serve_is_draining(arg), "not before the server has heard of it");
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert(cede_serve_is_draining(arg));
	cr_assert_eq(cede_write(arg, "bye", 3), 3);
	return leave(0);
}

TASK_TEST(serve_drain, a_handler_may_end_its_server_and_finish_itself)
{
	struct server s = { .handler = stop_the_server,
		.options = { .stop = &stop, .data = &stop } };
	char bye[3];
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	cr_assert_eq(join_server(&s), 0);
	cr_assert_eq(seen.ended, 1);
	cr_assert_eq(peer_receive(fd, bye, 3), 3);
	cr_assert_eq(peer_receive_end(fd, NULL), 0);
	peer_close(fd);
}

TASK_TEST(serve_drain, an_event_that_is_set_already_ends_it_at_once)
{
	struct server s = { .handler = echo, .options = { .stop = &stop } };
	int fd;

	CEDE_GROUP(g);
	cede_event_set(&stop);
	s.listener = listen_any(&s.port);
	fd = peer_connect(s.port);
	start_server(&g, &s);
	cr_assert_eq(join_server(&s), 0);
	cr_assert_eq(seen.started, 0);
	peer_close(fd);
}

TASK_TEST(serve_drain, an_event_at_the_limit_of_connections_ends_it)
{
	struct server s = { .handler = echo,
		.options = { .stop = &stop, .max_connections = 1, .drain_ms = 1 } };
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	wait_until_started(1);
	cr_assert_eq(cede_sleep(2), 0);
	cede_event_set(&stop);
	cr_assert_eq(join_server(&s), 0);
	peer_close(fd);
}

TASK_TEST(serve_drain, one_event_ends_several_servers)
{
	struct server tcp = { .handler = echo, .options = { .stop = &stop } }, un = tcp;

	CEDE_GROUP(g);
	cr_assert_eq(cede_unix_listen(unix_path("socket"), NULL, &un.listener), 0);
	start_server(&g, &tcp);
	start_server(&g, &un);
	cede_event_set(&stop);
	cr_assert_eq(join_server(&tcp), 0);
	cr_assert_eq(join_server(&un), 0);
	unix_dir_end();
}

/* What a handler does that keeps a connection: the next request, or the end of the server. */
static int
serve_until_drained(void *arg)
{
	char byte;

	enter();
	for (;;) {
		cede_event_wait_t end;
		cede_read_t next;
		int i;

		cr_assert_eq(cede_read_start(arg, &byte, 1, &next), 0);
		cr_assert_eq(cede_event_wait_start(&stop, &end), 0);
		i = cede_select(2, (cede_future_t *[]){ &next.future, &end.future });
		if (i != 0 || next.future.result <= 0)
			return leave(i < 0 ? i : 0);
		cr_assert_eq(cede_write(arg, &byte, 1), 1);
	}
}

TASK_TEST(serve_drain, a_signal_sets_the_event_and_idle_handlers_end_by_it)
{
	struct server s = {
		.handler = serve_until_drained,
		.options = { .stop = &stop, .stop_on = (int[]){ SIGUSR1, 0 }, .drain_ms = 600000 }
	};
	char byte;
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	peer_send(fd, "x", 1);
	wait_until_started(1);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(peer_receive(fd, &byte, 1), 1);
	raise(SIGUSR1);
	cr_assert_eq(join_server(&s), 0);
	cr_assert(cede_event_is_set(&stop));
	cr_assert_eq(seen.ended, 1);
	cr_assert_eq(peer_receive_end(fd, NULL), 0, "it was not cut");
	peer_close(fd);
}

TASK_TEST(serve_drain, a_server_that_is_cancelled_leaves_the_event_to_others)
{
	struct server s = { .handler = echo, .options = { .stop = &stop } };

	CEDE_GROUP(g);
	start_server(&g, &s);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
	cr_assert_not(cede_event_is_set(&stop));
	cede_event_deinit(&stop);
}

/* ---- who is left ---- */

static struct {
	int count;
	char names[4][64], peers[4][CEDE_UNIX_NAME_SIZE], waits[4][32];
	uint64_t age_ms;
} left;

static void
note_leftover(const cede_leftover_t *l, void *data)
{
	char peer[CEDE_UNIX_NAME_SIZE];
	const int i = left.count++;

	cr_assert_lt(i, 4);
	cr_assert_eq(data, &left);
	strcpy(left.names[i], cede_task_name(l->task));
	strcpy(left.peers[i], l->peer);
	strcpy(left.waits[i], l->waits_for);
	cr_assert_not(cede_task_is_done(l->task), "it is told of before it is cut");
	cr_assert_eq(cede_stream_peer(l->stream, peer, sizeof peer), 0);
	cr_assert_str_eq(peer, l->peer);
	left.age_ms = l->age_ms;
}

/* By its first byte: waits for more, writes for ever, sleeps. */
static int
stay(void *arg)
{
	static const char much[1 << 20];
	char what = 0;
	int r;

	enter();
	cr_assert_eq(cede_read(arg, &what, 1), 1);
	if (what == 'r')
		r = (int)cede_read(arg, &what, 1);
	else if (what == 'w')
		do
			r = (int)cede_write(arg, much, sizeof much);
		while (r > 0);
	else
		r = cede_sleep(1000000);
	return leave(r);
}

TASK_TEST(serve_drain, those_left_are_told_of_by_name_and_then_cut)
{
	struct server s = { .handler = stay,
		.options = { .stop = &stop,
			.drain_ms = 50,
			.name = "session",
			.on_leftover = note_leftover,
			.on_error = count_error,
			.data = &left } };
	static const char *const expected[] = { "a read", "a write", "something else" };
	int fds[3];

	CEDE_GROUP(g);
	start_server(&g, &s);
	for (int i = 0; i < 3; i++) {
		fds[i] = peer_connect(s.port);
		peer_send(fds[i], &"rws"[i], 1);
		wait_until_started(i + 1);
	}
	cr_assert_eq(cede_sleep(20), 0);
	cede_event_set(&stop);
	cr_assert_eq(join_server(&s), 0);
	cr_assert_eq(left.count, 3);
	cr_assert_geq(left.age_ms, 60);
	for (int i = 0; i < 3; i++) {
		struct sockaddr_in at;
		socklen_t size = sizeof at;
		char name[64];

		getsockname(fds[i], (struct sockaddr *)&at, &size);
		snprintf(name, sizeof name, "127.0.0.1:%u", ntohs(at.sin_port));
		cr_assert_str_eq(left.peers[i], name);
		cr_assert_str_eq(left.waits[i], expected[i]);
		cr_assert_str_eq(left.names[i], "session");
		cr_assert_eq(peer_receive_end(fds[i], NULL), -ECONNRESET, "it was cut");
		peer_close(fds[i]);
	}
	cr_assert_eq(seen.ended, 3);
	cr_assert_eq(seen.errors, 0);
}

static int
end_in_time(void *arg)
{
	enter();
	return leave(cede_sleep(5));
}

TASK_TEST(serve_drain, its_signal_is_as_before_once_it_has_ended_the_serving)
{
	struct server s = { .handler = stay,
		.options = { .stop_on = (int[]){ SIGUSR1, 0 }, .drain_ms = 1000000 } };
	struct sigaction now;
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	peer_send(fd, "r", 1);
	wait_until_started(1);
	raise(SIGUSR1);
	do {
		cr_assert_eq(cede_sleep(1), 0);
		cr_assert_eq(sigaction(SIGUSR1, NULL, &now), 0);
	} while (now.sa_handler != SIG_DFL);
	cr_assert_eq(seen.ended, 0, "it drains");
	cr_assert_not(s.has_ended);
	peer_send(fd, "x", 1);
	cr_assert_eq(join_server(&s), 0);
	peer_close(fd);
}

TASK_TEST(serve_drain, nobody_is_told_of_who_ended_in_time)
{
	struct server s = { .handler = end_in_time,
		.options = { .stop = &stop,
			.drain_ms = 60000,
			.on_leftover = note_leftover,
			.data = &left } };
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	wait_until_started(1);
	cede_event_set(&stop);
	cr_assert_eq(join_server(&s), 0);
	cr_assert_eq(left.count, 0);
	peer_close(fd);
}

static void
note_gone(const cede_leftover_t *l, void *data)
{
	order_record(l->peer);
}

TASK_TEST(serve_drain, one_whose_peer_is_gone_is_told_of_all_the_same)
{
	struct server s = { .handler = stay,
		.options = { .stop = &stop, .drain_ms = 20, .on_leftover = note_gone } };
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	peer_send(fd, "s", 1);
	wait_until_started(1);
	cr_assert_eq(cede_sleep(5), 0);
	peer_reset(fd);
	cede_event_set(&stop);
	cr_assert_eq(join_server(&s), 0);
	order_expect("gone");
}

TASK_TEST(serve_drain, a_cancel_while_it_drains_tells_of_nobody)
{
	struct server s = { .handler = stay,
		.options = { .stop = &stop,
			.drain_ms = 600000,
			.on_leftover = note_leftover,
			.data = &left } };
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	peer_send(fd, "r", 1);
	wait_until_started(1);
	cede_event_set(&stop);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
	cr_assert_eq(left.count, 0);
	cr_assert_eq(peer_receive_end(fd, NULL), -ECONNRESET);
	peer_close(fd);
}

TASK_TEST(serve_drain, a_cancel_while_those_that_were_cut_clean_up_waits_for_them)
{
	struct server s = { .handler = stay, .options = { .stop = &stop, .drain_ms = 1 } };
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	peer_send(fd, "r", 1);
	wait_until_started(1);
	cede_event_set(&stop);
	while (!cede_event_is_set(&stop) || seen.ended == 0) {
		cr_assert_eq(cede_sleep(1), 0);
		cede_task_cancel(s.task);
	}
	cr_assert_eq(seen.ended, 1);
	(void)join_server(&s);
	peer_close(fd);
}

/* ---- a handler that leaves ---- */

static int
leave_the_server(void *arg)
{
	char byte;

	enter();
	cr_assert_eq(cede_task_detach(cede_task_current()), 0);
	cr_assert_not_null(cede_serve_data(arg));
	cr_assert_eq(cede_read(arg, &byte, 1), 1);
	cr_assert_null(cede_serve_data(arg), "its server has ended");
	cr_assert_eq(cede_serve_is_draining(arg), 0);
	cr_assert_eq(cede_write(arg, "y", 1), 1);
	return leave(CEDE_EINVAL);
}

TASK_TEST(serve_drain, a_handler_that_detaches_itself_outlives_the_server)
{
	struct server s = { .handler = leave_the_server,
		.options = { .stop = &stop,
			.max_per_peer = 10,
			.on_leftover = note_leftover,
			.on_error = count_error,
			.data = &left } };
	char byte;
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	wait_until_started(1);
	cede_event_set(&stop);
	cr_assert_eq(join_server(&s), 0);
	cr_assert_eq(seen.ended, 0);
	cr_assert_eq(left.count, 0);
	peer_send(fd, "x", 1);
	wait_until_ended(1);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(peer_receive(fd, &byte, 1), 1);
	cr_assert_eq(peer_receive_end(fd, NULL), 0, "its stream is closed all the same");
	cr_assert_eq(seen.errors, 0);
	peer_close(fd);
}

static int
leave_or_stay(void *arg)
{
	if (seen.started > 0)
		return stay(arg);
	cr_assert_eq(cede_task_detach(cede_task_current()), 0);
	return stay(arg);
}

TASK_TEST(serve_drain, a_handler_that_has_left_is_none_of_those_left)
{
	struct server s = { .handler = leave_or_stay,
		.options = { .stop = &stop,
			.drain_ms = 20,
			.on_leftover = note_leftover,
			.data = &left } };
	int fds[2];

	CEDE_GROUP(g);
	start_server(&g, &s);
	for (int i = 0; i < 2; i++) {
		fds[i] = peer_connect(s.port);
		peer_send(fds[i], "r", 1);
		wait_until_started(i + 1);
	}
	cede_event_set(&stop);
	cr_assert_eq(join_server(&s), 0);
	cr_assert_eq(left.count, 1);
	cr_assert_eq(peer_receive_end(fds[1], NULL), -ECONNRESET);
	cr_assert_eq(seen.ended, 1);
	peer_send(fds[0], "x", 1);
	wait_until_ended(2);
	for (int i = 0; i < 2; i++)
		peer_close(fds[i]);
}
