/*
 * Accepting without descriptors, over TCP and over a unix socket: net/listener.c. accept4() is counted on its way
 * to the kernel, which is the only one who can say that it is not called for ever.
 */
#include "tests/net/unix_test.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "tests/support/clock.h"

TestSuite(tcp_shortage, .timeout = 60);

static atomic_uint accepts;

#ifdef __GLIBC__ /* with _GNU_SOURCE, a union of pointers to every kind of address */
typedef __SOCKADDR_ARG address_arg;
#else
typedef struct sockaddr *restrict address_arg;
#endif

int
accept4(int fd, address_arg address, socklen_t *restrict size, int flags)
{
	atomic_fetch_add(&accepts, 1);
	return (int)syscall(SYS_accept4, fd, *(void **)&address, size, flags);
}

#define CLIENTS 40

struct server {
	cede_listener_t *listener;
	const char *path; /* NULL: it is TCP's */
	unsigned port;
	int served;
};

static struct server *the_server;

static void
listen_for(struct server *s)
{
	the_server = s;
	if (s->path)
		cr_assert_eq(cede_unix_listen(s->path, NULL, &s->listener), 0);
	else
		s->listener = listen_any(&s->port);
}

static int
connect_to(const struct server *s)
{
	const int fd = s->path ? unix_raw_connect(s->path) : peer_connect(s->port);

	cr_assert_geq(fd, 0);
	return fd;
}

static int
greet(void *arg)
{
	the_server->served++;
	return cede_write(arg, "hello", 5) == 5 ? 0 : CEDE_EPIPE;
}

static int
serve_it(void *arg)
{
	struct server *s = arg;

	return cede_serve(s->listener, greet, NULL);
}

/* From here on no descriptor can be opened. */
static struct rlimit
starve(void)
{
	struct rlimit before, limit;
	const int next = dup(0);

	close(next);
	getrlimit(RLIMIT_NOFILE, &before);
	limit = before;
	limit.rlim_cur = (rlim_t)next;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return before;
}

static double
cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void
expect_served(int fd)
{
	char reply[8];

	cr_assert_eq(peer_receive(fd, reply, sizeof reply), 5);
	cr_assert_eq(peer_receive_end(fd, NULL), 0);
	peer_close(fd);
}

/* On a real clock: what it costs to wait, and how soon it is over. */
static void
wait_idly(const char *path)
{
	struct server s = { .path = path };
	struct rlimit before;
	int fds[CLIENTS];
	unsigned tries;
	double cpu, begin;

	listen_for(&s);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = connect_to(&s);
	CEDE_GROUP(g);
	before = starve();
	cr_assert_eq(cede_spawn(&g, serve_it, &s), 0);
	cpu = cpu_seconds();
	begin = peer_seconds();
	tries = accepts;
	cr_assert_eq(cede_sleep(1500), 0);
	cpu = (cpu_seconds() - cpu) / (peer_seconds() - begin);
	tries = accepts - tries;
	cr_assert_eq(s.served, 0);
	cr_assert_geq(tries, 2);
	cr_assert_leq(tries, 20, "%u times in 1.5 s", tries);
	cr_assert_lt(cpu, 0.02, "%.1f %% of a processor", cpu * 100);

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	begin = peer_seconds();
	while (s.served < CLIENTS)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert_lt(peer_seconds() - begin, 1.0);
	cr_assert_eq(cede_sleep(1), 0);
	for (int i = 0; i < CLIENTS; i++)
		expect_served(fds[i]);
	cede_group_cancel(&g);
}

TASK_TEST(tcp_shortage, without_descriptors_it_waits_idly_and_drops_nobody)
{
	wait_idly(NULL);
}

TASK_TEST(tcp_shortage, so_does_a_unix_socket)
{
	wait_idly(unix_path("socket"));
	let_others_run();
	unix_dir_end();
}

/* The worst case, on a clock that the test moves: freed right after a try, when the pause is at its longest. */
static void
recover_after_a_long_shortage(const char *path)
{
	struct server s = { .path = path };
	struct rlimit before;
	unsigned tries;
	int fd;

	listen_for(&s);
	fd = connect_to(&s);
	accepts = 0;
	CEDE_GROUP(g);
	before = starve();
	cr_assert_eq(cede_spawn(&g, serve_it, &s), 0);
	cr_assert_eq(cede_sleep(60000), 0);
	tries = accepts;
	cr_assert_lt(tries, 200, "%u times in a minute", tries);
	while (accepts == tries)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_assert_eq(cede_sleep(999), 0);
	cr_assert_eq(s.served, 1, "not within a second");
	cede_group_cancel(&g);
	expect_served(fd);
}

static void
recover_over_tcp(void)
{
	recover_after_a_long_shortage(NULL);
}

static void
recover_over_unix(void)
{
	recover_after_a_long_shortage(unix_path("socket"));
}

Test(tcp_shortage, it_recovers_within_a_second_however_long_it_took)
{
	void (*const bodies[])(void) = { recover_over_tcp, recover_over_unix };

	for (size_t i = 0; i < 2; i++) {
		void (*body)(void) = bodies[i];

		clock_start();
		run_gated_to_its_end(run_task_body, &body);
		clock_is_virtual = 0;
	}
	unix_dir_end();
}

/* A descriptor that a connection of the server itself gives back is used for the next. */
TASK_TEST(tcp_shortage, one_descriptor_serves_all_of_them_one_after_another)
{
	struct server s = { 0 };
	struct rlimit before, limit;
	int fds[8];

	the_server = &s;
	s.listener = listen_any(&s.port);
	for (int i = 0; i < 8; i++)
		fds[i] = peer_connect(s.port);
	CEDE_GROUP(g);
	before = starve();
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur += 2; /* libuv's own spare, and one */
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_assert_eq(cede_spawn(&g, serve_it, &s), 0);
	while (s.served < 8)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_assert_eq(cede_sleep(1), 0);
	for (int i = 0; i < 8; i++)
		expect_served(fds[i]);
	cede_group_cancel(&g);
}

/* ---- an accept during a shortage ---- */

static int
accept_once(void *arg)
{
	cede_stream_t *stream = NULL;
	struct server *s = arg;
	int r = cede_accept(s->listener, &stream);

	cede_close(stream);
	return r;
}

TASK_TEST(tcp_shortage, an_accept_that_pauses_can_be_cancelled_and_closed)
{
	for (int round = 0; round < 2; round++) {
		struct server s = { 0 };
		struct rlimit before;
		cede_stream_t *stream = NULL;
		cede_task_t *task;
		int fd;

		s.listener = listen_any(&s.port);
		fd = peer_connect(s.port);
		before = starve();
		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn_with(&g, accept_once, &s, NULL, &task), 0);
		cr_assert_eq(cede_sleep(15), 0);
		if (round == 0)
			cede_task_cancel(task);
		else
			cede_listener_close(s.listener);
		cr_assert_eq(cede_group_wait(&g), 0);
		cede_task_unref(task);
		cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
		if (round == 0) {
			/* The connection is still there, and so is the pause. */
			cr_assert_eq(cede_accept(s.listener, &stream), 0);
			cede_close(stream);
			cede_listener_close(s.listener);
		}
		peer_close(fd);
	}
}
