/* Who is let in, how many, for how long: net/serve.c. Over TCP and over unix sockets. */
#include "tests/net/serve_test.h"

#include "tests/net/unix_test.h"

TestSuite(serve_limits, .timeout = 60);

/* ---- as many as are allowed ---- */

/* Says that it has its turn, and ends with its client. */
static int
welcome(void *arg)
{
	char byte;
	ssize_t n;

	enter();
	n = cede_write(arg, "x", 1);
	if (n > 0)
		n = cede_read(arg, &byte, 1);
	return leave((int)n);
}

static int
connect_to(const struct server *s, const char *path)
{
	int fd = path ? unix_raw_connect(path) : peer_connect(s->port);

	cr_assert_geq(fd, 0);
	return fd;
}

static int
has_turn(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
}

/*
 * | server, limit 2 | clients                        |
 * |-----------------+--------------------------------|
 * | serves 1, 2     | 3 to 12 wait, and none is closed |
 * | 1 ends: serves 3, and nobody else                 |
 * | …               | in the order in which they came  |
 */
static void
expect_turns(const char *path)
{
	enum { MANY = 12, LIMIT = 2 };
	struct server s = { .handler = welcome, .options = { .max_connections = LIMIT } };
	int fds[MANY];

	CEDE_GROUP(g);
	if (path)
		cr_assert_eq(cede_unix_listen(path, NULL, &s.listener), 0);
	start_server(&g, &s);
	for (int i = 0; i < MANY; i++)
		fds[i] = connect_to(&s, path);
	wait_until_started(LIMIT);
	for (int first = 0; first < MANY; first++) {
		cr_assert_eq(cede_sleep(2), 0);
		for (int i = first; i < MANY; i++)
			cr_assert_eq(has_turn(fds[i]), i < first + LIMIT, "client %d, after %d", i,
				first);
		peer_close(fds[first]);
		wait_until_ended(first + 1);
	}
	cr_assert_eq(seen.started, MANY);
	cr_assert_eq(seen.running_max, LIMIT);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

TASK_TEST(serve_limits, who_waits_at_the_limit_is_served_in_turn_and_never_closed)
{
	expect_turns(NULL);
}

TASK_TEST(serve_limits, so_over_a_unix_socket)
{
	expect_turns(unix_path("socket"));
	unix_dir_end();
}

/* ---- for as long as is allowed ---- */

/* A byte now and then is enough for the idle limit, not for the deadline. */
static void *
drip(void *arg)
{
	const int *fd = arg;

	while (peer_send(*fd, "x", 1) == 0)
		usleep(2000);
	return NULL;
}

TASK_TEST(serve_limits, a_peer_that_drips_is_ended_by_the_deadline)
{
	struct server s = { .handler = echo,
		.options = { .idle_ms = 20000,
			.deadline_ms = 60,
			.on_error = count_error,
			.data = &seen } };
	double begin = peer_seconds();
	pthread_t thread;
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	fd = peer_connect(s.port);
	thread = peer_start(drip, &fd);
	wait_until_ended(1);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_geq(peer_seconds() - begin, 0.058);
	cr_assert_eq(seen.last_error, CEDE_ETIMEDOUT);
	peer_join(thread);
	peer_close(fd);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

/* ---- who is let in ---- */

static struct {
	int asked, refuse_next;
	char peer[CEDE_UNIX_NAME_SIZE];
} door;

static int
let_in(cede_stream_t *s, void *data)
{
	cr_assert_eq(data, &door);
	door.asked++;
	cr_assert_eq(cede_stream_peer(s, door.peer, sizeof door.peer), 0);
	cr_assert_eq(cede_serve_data(s), &door);
	return door.refuse_next-- <= 0;
}

TASK_TEST(serve_limits, who_is_not_let_in_is_reset_and_no_handler_sees_him)
{
	struct server s = { .handler = welcome,
		.options = { .accept_if = let_in, .data = &door, .max_connections = 1 } };
	int fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	door.refuse_next = 3;
	for (int i = 0; i < 3; i++) {
		fd = peer_connect(s.port);
		while (door.asked < i + 1)
			cr_assert_eq(cede_sleep(1), 0);
		cr_assert_eq(cede_sleep(1), 0);
		cr_assert_eq(peer_receive_end(fd, NULL), -ECONNRESET);
		peer_close(fd);
	}
	cr_assert_eq(strncmp(door.peer, "127.0.0.1:", 10), 0);
	cr_assert_eq(seen.started, 0);
	fd = peer_connect(s.port);
	wait_until_started(1);
	cr_assert_eq(door.asked, 4);
	peer_close(fd);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

/* What a server of a unix socket looks at. */
static int
let_in_this_process(cede_stream_t *s, void *data)
{
	pid_t pid = 0;

	cr_assert_eq(cede_unix_peer(s, &pid, NULL, NULL), 0);
	return pid == getpid() && !*(int *)data;
}

TASK_TEST(serve_limits, a_process_is_let_in_or_not_over_a_unix_socket)
{
	int is_shut = 0;
	struct server s = { .handler = welcome,
		.options = { .accept_if = let_in_this_process, .data = &is_shut } };
	const char *path = unix_path("socket");
	char byte;
	int fd;

	CEDE_GROUP(g);
	cr_assert_eq(cede_unix_listen(path, NULL, &s.listener), 0);
	start_server(&g, &s);
	fd = unix_raw_connect(path);
	wait_until_started(1);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(peer_receive(fd, &byte, 1), 1);
	peer_close(fd);
	is_shut = 1;
	fd = unix_raw_connect(path);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_eq(peer_receive_end(fd, NULL), 0, "a unix socket has no reset");
	peer_close(fd);
	cr_assert_eq(seen.started, 1);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
	unix_dir_end();
}

/* ---- how many of one peer ---- */

static void
expect_turn(int fd)
{
	char byte;

	cr_assert_eq(peer_receive(fd, &byte, 1), 1);
}

/* From an address of this host: 127.0.0.1 to 127.0.0.9 are different peers. */
static int
connect_from(unsigned port, unsigned host)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0x7f000000 + host) },
			   to = { .sin_family = AF_INET,
				   .sin_port = htons((uint16_t)port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = PEER_LIMIT_S };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	cr_assert_eq(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

TASK_TEST(serve_limits, a_peer_with_too_many_is_reset_until_one_of_them_has_ended)
{
	struct server s = { .handler = welcome, .options = { .max_per_peer = 3 } };
	int fds[6], fd;

	CEDE_GROUP(g);
	start_server(&g, &s);
	for (unsigned i = 0; i < 6; i++) { /* three each of two peers */
		fds[i] = connect_from(s.port, 1 + i % 2);
		wait_until_started((int)i + 1);
		expect_turn(fds[i]);
	}
	for (unsigned host = 1; host <= 2; host++) {
		fd = connect_from(s.port, host);
		cr_assert_eq(cede_sleep(5), 0);
		cr_assert_eq(peer_receive_end(fd, NULL), -ECONNRESET, "a fourth of %u", host);
		peer_close(fd);
	}
	cr_assert_eq(seen.started, 6);

	peer_close(fds[0]);
	wait_until_ended(1);
	fds[0] = connect_from(s.port, 1);
	wait_until_started(7);
	expect_turn(fds[0]);
	fd = connect_from(s.port, 2);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_eq(peer_receive_end(fd, NULL), -ECONNRESET, "the place is the other's");
	peer_close(fd);
	for (int i = 0; i < 6; i++)
		peer_close(fds[i]);
	wait_until_ended(7);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

TASK_TEST(serve_limits, over_a_unix_socket_a_peer_is_a_user)
{
	struct server s = { .handler = welcome, .options = { .max_per_peer = 2 } };
	const char *path = unix_path("socket");
	int fds[3];

	CEDE_GROUP(g);
	cr_assert_eq(cede_unix_listen(path, NULL, &s.listener), 0);
	start_server(&g, &s);
	for (int i = 0; i < 3; i++)
		fds[i] = unix_raw_connect(path);
	wait_until_started(2);
	cr_assert_eq(cede_sleep(5), 0);
	expect_turn(fds[0]);
	expect_turn(fds[1]);
	cr_assert_eq(peer_receive_end(fds[2], NULL), 0);
	for (int i = 0; i < 3; i++)
		peer_close(fds[i]);
	wait_until_ended(2);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
	unix_dir_end();
}

static int
leave_the_server_and_welcome(void *arg)
{
	cr_assert_eq(cede_task_detach(cede_task_current()), 0);
	return welcome(arg);
}

TASK_TEST(serve_limits, a_handler_that_has_left_the_server_counts_until_it_has_ended)
{
	struct server s = { .handler = leave_the_server_and_welcome,
		.options = { .max_connections = 2 } };
	int fds[4];

	CEDE_GROUP(g);
	start_server(&g, &s);
	for (int i = 0; i < 4; i++)
		fds[i] = peer_connect(s.port);
	wait_until_started(2);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_eq(seen.started, 2);
	for (int i = 0; i < 4; i++) {
		wait_until_started(i + 1);
		expect_turn(fds[i]);
		peer_close(fds[i]);
	}
	wait_until_ended(4);
	cr_assert_eq(seen.running_max, 2);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

/* Whose a connection is a PROXY header says: of IPv6 the first 64 bits count, a mapped IPv4 address is one. */
TASK_TEST(serve_limits, behind_a_proxy_a_peer_is_who_the_header_states)
{
	static const struct {
		const char *header;
		int is_let_in;
	} steps[] = {
		{ "PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n", 1 },
		{ "PROXY TCP4 192.0.2.2 192.0.2.9 1 2\r\n", 1 },
		{ "PROXY TCP4 192.0.2.1 192.0.2.9 3 2\r\n", 0 },
		{ "PROXY TCP6 ::ffff:192.0.2.2 ::1 3 2\r\n", 0 },
		{ "PROXY TCP6 2001:db8:1:2::1 ::1 3 2\r\n", 1 },
		{ "PROXY TCP6 2001:db8:1:2:ff::7 ::1 3 2\r\n", 0 },
		{ "PROXY TCP6 2001:db8:1:3::1 ::1 3 2\r\n", 1 },
		{ "PROXY UNKNOWN\r\n", 1 }, /* its own address */
		{ "PROXY UNKNOWN\r\n", 0 },
	};
	enum { STEPS = sizeof steps / sizeof *steps };
	struct server s = { .handler = welcome,
		.options = { .max_per_peer = 1, .proxy_protocol = CEDE_PROXY_REQUIRED } };
	int fds[STEPS];

	CEDE_GROUP(g);
	start_server(&g, &s);
	for (int i = 0; i < STEPS; i++) {
		const int before = seen.started;

		fds[i] = peer_connect(s.port);
		peer_send(fds[i], steps[i].header, strlen(steps[i].header));
		if (steps[i].is_let_in) {
			wait_until_started(before + 1);
			expect_turn(fds[i]);
		} else {
			cr_assert_eq(cede_sleep(5), 0);
			cr_assert_eq(peer_receive_end(fds[i], NULL), -ECONNRESET, "%s",
				steps[i].header);
		}
	}
	for (int i = 0; i < STEPS; i++)
		peer_close(fds[i]);
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}

/* Each has its own count, and none is left behind. */
TASK_TEST(serve_limits, many_peers_are_told_apart)
{
	enum { MANY = 300 };
	struct server s = { .handler = welcome, .options = { .max_per_peer = 1 } };
	int fds[MANY];

	CEDE_GROUP(g);
	start_server(&g, &s);
	for (unsigned round = 1; round <= 2; round++) {
		for (unsigned i = 0; i < MANY; i++)
			fds[i] = connect_from(s.port, 256 + i);
		wait_until_started((int)round * MANY);
		for (unsigned i = 0; i < MANY; i++)
			peer_close(fds[i]);
		wait_until_ended((int)round * MANY);
	}
	cr_assert_eq(stop_server(&s), CEDE_EXIT);
}
