/*
 * cede_run_workers() and cede_serve(): two workers on one port get connections
 * both, and a signal ends both.
 */
#include <signal.h>
#include <stdatomic.h>

#include <cede/workers.h>

#include "tests/net/unix_test.h"

TestSuite(serve_workers, .timeout = 60);

enum { WORKERS = 2, CLIENTS_MAX = 1000 };

static atomic_int ready;
static unsigned port;

/* Says who serves it, and ends with its client. */
static int
say_who(void *arg)
{
	cede_stream_t *s = arg;
	char who = (char)('A' + cede_worker_index()), byte;
	ssize_t n = cede_write(s, &who, 1);

	while (n > 0)
		n = cede_read(s, &byte, 1);
	return (int)n;
}

static void
count_ready(cede_listener_t *listener, void *data)
{
	atomic_fetch_add(&ready, 1);
}

static int
serve_port(void *arg)
{
	char address[32];
	cede_listener_t *l;
	int r;

	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	r = cede_tcp_listen(address, &(cede_listen_options_t){ .share_port = 1 }, &l);
	if (r < 0)
		return r;
	return cede_serve(l, say_who,
		&(cede_serve_options_t){ .stop_on = (int[]){ SIGUSR1, 0 },
			.on_ready = count_ready,
			.drain_ms = 20000 });
}

/* Connects until every worker has taken one; they are served at the same time. */
static void *
connect_to_all(void *arg)
{
	int fds[CLIENTS_MAX], n = 0, seen = 0;

	while (ready < WORKERS)
		sched_yield();
	while (seen != (1 << WORKERS) - 1 && n < CLIENTS_MAX) {
		char who = 0;

		fds[n] = peer_connect(port);
		peer_receive(fds[n++], &who, 1);
		seen |= 1 << (who - 'A');
	}
	kill(getpid(), SIGUSR1);
	for (int i = 0; i < n; i++) {
		peer_shutdown(fds[i]);
		peer_receive_end(fds[i], NULL);
		peer_close(fds[i]);
	}
	*(int *)arg = seen;
	return NULL;
}

/* A port that nobody else gets, on which others may listen. */
static int
reserve_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	cr_assert_geq(fd, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, size), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	port = ntohs(address.sin_port);
	return fd;
}

Test(serve_workers, share_the_connections_to_one_port_and_end_by_one_signal)
{
	int seen = 0, fd;
	pthread_t client;

	leaks_begin();
	fd = reserve_port();
	client = peer_start(connect_to_all, &seen);
	cr_assert_eq(cede_run_workers(WORKERS, serve_port, NULL), 0);
	peer_join(client);
	cr_assert_eq(seen, (1 << WORKERS) - 1, "only some of them got connections");
	close(fd);
	leaks_end();
}

static int
serve_without_sharing(void *arg)
{
	char address[32];
	cede_listener_t *l;
	int r;

	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	r = cede_tcp_listen(address, NULL, &l);
	return r < 0 ? r : cede_serve(l, say_who, NULL);
}

Test(serve_workers, that_cannot_listen_end_those_that_can)
{
	int fd;

	leaks_begin();
	fd = reserve_port();
	close(fd);
	cr_assert_eq(cede_run_workers(WORKERS, serve_without_sharing, NULL), CEDE_EADDRINUSE);
	leaks_end();
}

/* ---- a unix socket ---- */

static const char *unix_name;
static atomic_int in_use, listening;

/* A path has one listener: the first who gets it serves it, the others have nothing of it to do. */
static int
serve_path_once(void *arg)
{
	cede_listener_t *l;
	int r = cede_unix_listen(unix_name, NULL, &l);

	if (r == CEDE_EADDRINUSE) {
		atomic_fetch_add(&in_use, 1);
		return 0;
	}
	if (r < 0)
		return r;
	atomic_fetch_add(&listening, 1);
	return cede_serve(l, say_who,
		&(cede_serve_options_t){ .stop_on = (int[]){ SIGUSR1, 0 },
			.on_ready = count_ready,
			.drain_ms = 20000 });
}

/* One that has come while others looked whether anybody listens is among those served. */
static void *
connect_to_path(void *arg)
{
	char who = 0;
	int fd;

	while (ready < 1 || in_use < WORKERS - 1)
		sched_yield();
	fd = unix_raw_connect(unix_name);
	*(int *)arg = fd >= 0 && peer_receive(fd, &who, 1) == 1;
	kill(getpid(), SIGUSR1);
	if (fd >= 0)
		peer_close(fd);
	return NULL;
}

Test(serve_workers, of_those_that_listen_on_one_path_one_serves_it)
{
	int is_served = 0;
	pthread_t client;

	leaks_begin();
	unix_name = unix_path("socket");
	client = peer_start(connect_to_path, &is_served);
	cr_assert_eq(cede_run_workers(WORKERS, serve_path_once, NULL), 0);
	peer_join(client);
	cr_assert_eq(listening, 1);
	cr_assert_eq(in_use, WORKERS - 1);
	cr_assert(is_served);
	unix_dir_end();
	leaks_end();
}

static int
serve_path(void *arg)
{
	cede_listener_t *l;
	int r = cede_unix_listen(unix_name, NULL, &l);

	return r < 0 ? r : cede_serve(l, say_who, NULL);
}

Test(serve_workers, those_that_insist_on_one_path_end_with_the_code)
{
	leaks_begin();
	unix_name = unix_path("socket");
	cr_assert_eq(cede_run_workers(WORKERS, serve_path, NULL), CEDE_EADDRINUSE);
	unix_dir_end();
	leaks_end();
}

/* ---- both at once ---- */

static int
serve_tcp(void *arg)
{
	return serve_port(arg);
}

static int
serve_path_in_one(void *arg)
{
	cede_listener_t *l;
	int r = cede_unix_listen(unix_name, NULL, &l);

	return r < 0 ? r
		     : cede_serve(l, say_who,
			       &(cede_serve_options_t){ .stop_on = (int[]){ SIGUSR1, 0 },
				       .on_ready = count_ready });
}

/* The port in every worker, the path in the first. */
static int
serve_both(void *arg)
{
	int r;
	CEDE_GROUP(g);

	r = cede_spawn(&g, serve_tcp, NULL);
	if (r == 0 && cede_worker_index() == 0)
		r = cede_spawn(&g, serve_path_in_one, NULL);
	return r < 0 ? r : cede_group_wait(&g);
}

static void *
connect_to_both(void *arg)
{
	int *served = arg;

	while (ready < WORKERS + 1)
		sched_yield();
	for (int i = 0; i < 2; i++) {
		const int fd = i ? unix_raw_connect(unix_name) : peer_connect(port);
		char who = 0;

		*served += peer_receive(fd, &who, 1) == 1;
		peer_close(fd);
	}
	kill(getpid(), SIGUSR1);
	return NULL;
}

Test(serve_workers, a_port_in_all_and_a_path_in_one_end_by_one_signal)
{
	int served = 0, fd;
	pthread_t client;

	leaks_begin();
	unix_name = unix_path("socket");
	fd = reserve_port();
	client = peer_start(connect_to_both, &served);
	cr_assert_eq(cede_run_workers(WORKERS, serve_both, NULL), 0);
	peer_join(client);
	cr_assert_eq(served, 2);
	close(fd);
	unix_dir_end();
	leaks_end();
}
