/* A server behind a proxy: net/serve_proxy.c. The header itself: test_proxy_protocol.c. */
#include "tests/net/serve_test.h"

#include "tests/net/unix_test.h"
#include "tests/support/clock.h"
#include "tests/support/order.h"

TestSuite(serve_proxy, .timeout = 60);

#define HEADER "PROXY TCP4 192.0.2.7 198.51.100.9 5678 443\r\n"

static struct {
	char peer[110], local[110], direct[110];
	char data[64];
	ssize_t size;
} heard;

/* Reads a line's worth, and says who it came from. */
static int
hear(void *arg)
{
	enter();
	cr_assert_eq(cede_stream_peer(arg, heard.peer, sizeof heard.peer), 0);
	cr_assert_eq(cede_stream_local(arg, heard.local, sizeof heard.local), 0);
	cr_assert_eq(cede_serve_direct_peer(arg, heard.direct, sizeof heard.direct), 0);
	heard.size = cede_read(arg, heard.data, sizeof heard.data);
	return leave((int)(heard.size < 0 ? heard.size : 0));
}

static struct server
behind_a_proxy(cede_fn *handler)
{
	return (struct server){ .handler = handler,
		.options = { .proxy_protocol = CEDE_PROXY_REQUIRED,
			.on_error = count_error,
			.data = &seen } };
}

static void
expect_errors(int count, int code)
{
	while (seen.errors < count)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(seen.errors, count);
	cr_assert_eq(seen.last_error, code);
	cr_assert_eq(cede_sleep(1), 0);
}

TASK_TEST(serve_proxy, the_handler_sees_whom_the_proxy_speaks_for)
{
	struct server s = behind_a_proxy(hear);
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	peer_send(fd, HEADER "hello", sizeof HEADER - 1 + 5);
	wait_until_ended(1);
	cr_assert_str_eq(heard.peer, "192.0.2.7:5678");
	cr_assert_str_eq(heard.local, "198.51.100.9:443");
	cr_assert_eq(strncmp(heard.direct, "127.0.0.1:", 10), 0);
	cr_assert_eq(heard.size, 5);
	cr_assert_arr_eq(heard.data, "hello", 5);
	peer_close(fd);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

TASK_TEST(serve_proxy, a_header_in_pieces_is_put_together_and_the_handler_waits)
{
	struct server s = behind_a_proxy(hear);
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	for (size_t i = 0; i < sizeof HEADER - 1; i++) {
		cr_assert_eq(seen.started, 0);
		peer_send(fd, &HEADER[i], 1);
		cr_assert_eq(cede_sleep(1), 0);
	}
	wait_until_started(1);
	peer_send(fd, "bye", 3);
	wait_until_ended(1);
	cr_assert_str_eq(heard.peer, "192.0.2.7:5678");
	cr_assert_eq(heard.size, 3);
	peer_close(fd);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

TASK_TEST(serve_proxy, a_header_that_states_nothing_leaves_the_real_names)
{
	static const char local[] = "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
	struct server s = behind_a_proxy(hear);
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	peer_send(fd, local, 16);
	peer_send(fd, "x", 1);
	wait_until_ended(1);
	cr_assert_eq(strncmp(heard.peer, "127.0.0.1:", 10), 0);
	cr_assert_str_eq(heard.peer, heard.direct);
	cr_assert_eq(heard.size, 1);
	peer_close(fd);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

TASK_TEST(serve_proxy, a_binary_header_of_any_length_allowed_is_taken)
{
	static char bytes[4096] =
		"\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\xf0\xc0\x00\x02\x07\xc6\x33\x64\x09"
		"\x16\x2e\x01\xbb";
	struct server s = behind_a_proxy(hear);
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	peer_send(fd, bytes, sizeof bytes);
	peer_send(fd, "hello", 5);
	wait_until_ended(1);
	cr_assert_str_eq(heard.peer, "192.0.2.7:5678");
	cr_assert_eq(heard.size, 5);
	peer_close(fd);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

TASK_TEST(serve_proxy, over_a_unix_socket_the_stated_names_hold)
{
	struct server s = behind_a_proxy(hear);
	const char *path = unix_path("socket");
	int fd;

	CEDE_GROUP(g);
	cr_assert_eq(cede_unix_listen(path, NULL, &s.listener), 0);
	start_server(&g, &s);
	fd = unix_raw_connect(path);
	peer_send(fd, HEADER "x", sizeof HEADER);
	wait_until_ended(1);
	cr_assert_str_eq(heard.peer, "192.0.2.7:5678");
	cr_assert_str_eq(heard.direct, "@");
	peer_close(fd);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
	unix_dir_end();
}

/* ---- who does not send one ---- */

TASK_TEST(serve_proxy, whoever_sends_something_else_is_reset_at_once)
{
	static const char *const wrong[] = { "G", "GET / HTTP/1.1\r\n", "PROXY TCP4 nonsense\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", "\r\n\r\n\r" };
	struct server s = behind_a_proxy(hear);

	CEDE_GROUP(g);
	start_server(&g, &s);
	for (int i = 0; i < (int)(sizeof wrong / sizeof *wrong); i++) {
		int fd = peer_connect(s.port);

		peer_send(fd, wrong[i], strlen(wrong[i]));
		expect_errors(i + 1, CEDE_EPROTO);
		cr_assert_eq(peer_receive_end(fd, NULL), -ECONNRESET);
		peer_close(fd);
	}
	cr_assert_eq(seen.started, 0);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

TASK_TEST(serve_proxy, one_that_ends_in_the_middle_is_an_error_and_one_that_says_nothing_is_none)
{
	struct server s = behind_a_proxy(hear);
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	for (size_t n = 1; n < sizeof HEADER - 1; n += 7) {
		const int before = seen.errors;

		fd = peer_connect(s.port);
		peer_send(fd, HEADER, n);
		peer_shutdown(fd);
		expect_errors(before + 1, CEDE_EPROTO);
		peer_close(fd);
	}
	seen.errors = 0;
	fd = peer_connect(s.port); /* as a balancer that only looks whether it listens */
	peer_shutdown(fd);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_lt(peer_receive_end(fd, NULL), 1);
	peer_close(fd);
	cr_assert_eq(seen.errors, 0);
	cr_assert_eq(seen.started, 0);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

TASK_TEST(serve_proxy, a_peer_that_resets_in_its_header_is_an_error_of_the_connection)
{
	struct server s = behind_a_proxy(hear);
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	peer_send(fd, HEADER, 9);
	cr_assert_eq(cede_sleep(2), 0);
	peer_reset(fd);
	expect_errors(1, CEDE_ECONNRESET);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

/* On a clock that the test moves: a header that drips for longer than ten seconds. */
static void
drip_a_header(void)
{
	struct server s = behind_a_proxy(hear);
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	for (int second = 0; second < 9; second++) {
		peer_send(fd, &HEADER[second], 1);
		cr_assert_eq(cede_sleep(1000), 0);
	}
	cr_assert_eq(cede_sleep(999), 0);
	cr_assert_eq(seen.errors, 0);
	cr_assert_eq(cede_sleep(2), 0);
	cr_assert_eq(seen.errors, 1);
	cr_assert_eq(seen.last_error, CEDE_ETIMEDOUT);
	cr_assert_eq(seen.started, 0);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
	cr_assert_lt(peer_receive_end(fd, NULL), 0);
	peer_close(fd);
}

Test(serve_proxy, a_header_has_ten_seconds_however_it_drips)
{
	void (*body)(void) = drip_a_header;

	clock_start();
	run_gated_to_its_end(run_task_body, &body);
	clock_stop();
}

/* ---- with the rest of the server ---- */

static int
let_in_by_stated_name(cede_stream_t *s, void *data)
{
	char peer[56];

	cr_assert_eq(cede_stream_peer(s, peer, sizeof peer), 0);
	order_record(peer);
	return strcmp(peer, "192.0.2.7:5678") != 0;
}

TASK_TEST(serve_proxy, who_is_let_in_is_decided_on_the_stated_name)
{
	static const char other[] = "PROXY TCP4 192.0.2.8 198.51.100.9 1 443\r\n";
	struct server s = behind_a_proxy(hear);
	int fd;

	s.options.accept_if = let_in_by_stated_name;
	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	peer_send(fd, HEADER, sizeof HEADER - 1);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_eq(peer_receive_end(fd, NULL), -ECONNRESET);
	peer_close(fd);
	cr_assert_eq(seen.started, 0);
	cr_assert_eq(seen.errors, 0, "that is no error");
	fd = peer_connect(s.port);
	peer_send(fd, other, sizeof other - 1);
	wait_until_started(1);
	peer_close(fd);
	order_expect("192.0.2.7:5678", "192.0.2.8:1");
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

static void
note_leftover(const cede_leftover_t *l, void *data)
{
	order_record(l->waits_for);
	order_record(l->peer);
}

TASK_TEST(serve_proxy, one_that_is_cut_in_its_header_is_told_of)
{
	struct server s = behind_a_proxy(hear);
	cede_event_t stop = CEDE_EVENT_INIT;
	int fds[2];

	s.options.stop = &stop;
	s.options.drain_ms = 20;
	s.options.on_leftover = note_leftover;
	CEDE_GROUP(g);
	start_server(&g, &s);
	fds[0] = peer_connect(s.port);
	peer_send(fds[0], HEADER, sizeof HEADER - 1);
	wait_until_started(1);
	fds[1] = peer_connect(s.port);
	peer_send(fds[1], HEADER, 20);
	cr_assert_eq(cede_sleep(5), 0);
	cede_event_set(&stop);
	cr_assert_eq(join_server(&s), 0);
	cr_assert_eq(seen.errors, 0);
	peer_close(fds[0]);
	{
		struct sockaddr_in at;
		socklen_t size = sizeof at;
		char direct[64];

		getsockname(fds[1], (struct sockaddr *)&at, &size);
		snprintf(direct, sizeof direct, "127.0.0.1:%u", ntohs(at.sin_port));
		order_expect("a read", "192.0.2.7:5678", "the PROXY header", direct);
	}
	peer_close(fds[1]);
}

TASK_TEST(serve_proxy, a_cancel_in_a_header_cuts_it)
{
	struct server s = behind_a_proxy(hear);

	for (size_t n = 0; n < 20; n += 5) {
		int fd;

		CEDE_GROUP(g);
		s.listener = NULL;
		start_server(&g, &s);
		fd = peer_connect(s.port);
		peer_send(fd, HEADER, n);
		cr_assert_eq(cede_sleep(2), 0);
		cr_assert_eq(stop_server(&s), CEDE_EXIT);
		cr_assert_eq(peer_receive_end(fd, NULL), -ECONNRESET);
		peer_close(fd);
	}
	cr_assert_eq(seen.errors, 0);
}

static int
serve_behind_a_proxy_without_memory(struct pair *p)
{
	cede_event_t stop = CEDE_EVENT_INIT;
	struct server s = behind_a_proxy(hear);
	cede_listener_t *l = p->listener;
	int fd = peer_connect(p->port), r = 0;

	p->listener = NULL;
	memset(&seen, 0, sizeof seen);
	peer_send(fd, HEADER "x", sizeof HEADER);
	s.options.stop = &stop;
	CEDE_TIMEOUT(5000) {
		CEDE_GROUP(g);

		s.listener = l;
		r = cede_spawn_with(&g, serve_it, &s, NULL, NULL);
		if (r < 0) {
			cede_listener_close(l);
		} else {
			while (seen.ended == 0 && seen.errors == 0 && !s.has_ended &&
				recv(fd, (char[1]){ 0 }, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
				if (cede_sleep(1) < 0)
					break;
			cede_event_set(&stop);
			r = cede_group_wait(&g);
		}
	}
	if (seen.errors > 0)
		cr_expect_eq(seen.last_error, CEDE_ENOMEM);
	peer_close(fd);
	return r;
}

Test(serve_proxy, without_memory_a_connection_is_cut_and_nothing_else)
{
	cr_assert_geq(expect_failures_are_survived(serve_behind_a_proxy_without_memory, FAULT_ONCE),
		4);
}
