/*
 * A server that can take no more, over TCP and over a unix socket: how many connections
 * it drops, what it costs to wait, and how soon it goes on. Prints the figures, one a
 * line, and fails where one is beyond its bound.
 *
 *     build/tests/stress_shortage [SECONDS]      how long it lasts; 3
 *
 * Without descriptors: all clients are connected, and not one descriptor is left, before
 * the server begins. At its limit of connections: the first clients stay. Each must be
 * served in the end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>

#include <cede/cede.h>

enum { CLIENTS = 400, LIMIT = 10 };

#define CPU_MAX         2.0 /* percent */
#define RECOVERY_MS_MAX 1000.0

/* Valgrind has a limit of its own in mind, and closes what is accepted beyond it. */
#ifdef CEDE_VALGRIND
#define HAS_LIMITS 0
#else
#define HAS_LIMITS 1
#endif

/* A machine that is made slow is given more time. */
#if defined(CEDE_VALGRIND) || defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLACK 5.0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SLACK 5.0
#endif
#endif
#ifndef SLACK
#define SLACK 1.0
#endif

static struct {
	const char *kind;
	int is_limit; /* not of descriptors: its own */
	cede_listener_t *listener;
	cede_event_t stop, go_on;
	unsigned starved_ms;
	int fds[CLIENTS], served, failures;
	double cpu, recovery_ms;
} run;

static void
require(int holds, const char *what)
{
	if (holds)
		return;
	printf("%s: %s (%s)\n", run.kind, what, strerror(errno));
	exit(1);
}

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double
cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

/* ---- clients ---- */

static socklen_t
address_of(const char *name, struct sockaddr_storage *address)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	if (*name == '@') {
		memcpy(un.sun_path + 1, name + 1, strlen(name) - 1);
		memcpy(address, &un, sizeof un);
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	}
	in.sin_port = htons((uint16_t)strtoul(strrchr(name, ':') + 1, NULL, 10));
	memcpy(address, &in, sizeof in);
	return sizeof in;
}

static void
connect_clients(const char *name)
{
	const struct timeval limit = { .tv_sec = 20 };
	struct sockaddr_storage to;
	const socklen_t length = address_of(name, &to);

	for (int i = 0; i < CLIENTS; i++) {
		const int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		require(fd >= 0, "a client's socket");
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
		require(connect(fd, (struct sockaddr *)&to, length) == 0, "a client connects");
		run.fds[i] = fd;
	}
}

/* How many were not served: all that is theirs, and then an end of file. */
static int
count_dropped(void)
{
	int dropped = 0;

	for (int i = 0; i < CLIENTS; i++) {
		char reply[8];
		size_t size = 0;
		ssize_t n;

		while ((n = recv(run.fds[i], reply + size, sizeof reply - size, 0)) > 0)
			size += (size_t)n;
		dropped += n != 0 || size != 5 || memcmp(reply, "hello", 5) != 0;
		close(run.fds[i]);
	}
	return dropped;
}

/* ---- the server ---- */

static int
greet(void *arg)
{
	int r = cede_event_wait(&run.go_on);

	if (r < 0)
		return r;
	run.served++;
	return cede_write(arg, "hello", 5) == 5 ? 0 : CEDE_EPIPE;
}

static void
count_failure(cede_stream_t *s, int code, void *data)
{
	run.failures++;
}

static int
serve(void *arg)
{
	return cede_serve(run.listener, greet,
		&(cede_serve_options_t){ .stop = &run.stop,
			.on_error = count_failure,
			.max_connections = run.is_limit ? LIMIT : 0 });
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
	require(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
	return before;
}

static int
measure(void *arg)
{
	const char *address = arg;
	char name[CEDE_UNIX_NAME_SIZE];
	struct rlimit before;
	double cpu, begin;
	int r = *address == '@' ? cede_unix_listen(address, NULL, &run.listener)
				: cede_tcp_listen(address, NULL, &run.listener);

	if (r == 0)
		r = cede_listener_address(run.listener, name, sizeof name);
	if (r < 0)
		return r;
	connect_clients(name);
	cede_event_init(&run.stop);
	cede_event_init(&run.go_on);
	CEDE_GROUP(group);

	getrlimit(RLIMIT_NOFILE, &before);
	if (!run.is_limit) {
		cede_event_set(&run.go_on);
		before = starve();
	}
	r = cede_spawn(&group, serve, NULL);
	cpu = cpu_ms();
	begin = now_ms();
	if (r == 0)
		r = cede_sleep(run.starved_ms);
	run.cpu = 100 * (cpu_ms() - cpu) / (now_ms() - begin);
	require(run.served == 0, "nobody can have been served");

	cede_event_set(&run.go_on);
	require(setrlimit(RLIMIT_NOFILE, &before) == 0, "setrlimit");
	begin = now_ms();
	while (r == 0 && run.served < CLIENTS && now_ms() - begin < 20000)
		r = cede_sleep(1);
	run.recovery_ms = now_ms() - begin;
	cede_event_set(&run.stop);
	return r < 0 ? r : cede_group_wait(&group);
}

static int
report(const char *kind, const char *address, int is_limit)
{
	int r, dropped, is_bad;

	run.kind = kind;
	run.is_limit = is_limit;
	run.served = run.failures = 0;
	r = cede_run(measure, (void *)address);
	if (r < 0) {
		printf("%s: %s\n", kind, cede_strerror(r));
		return 1;
	}
	dropped = count_dropped();
	printf("%s_dropped %d of %d\n", kind, dropped, CLIENTS);
	printf("%s_cpu %.2f %%\n", kind, run.cpu);
	printf("%s_recovery %.0f ms\n", kind, run.recovery_ms);
	is_bad = dropped > 0 || run.failures > 0 || run.cpu >= CPU_MAX * SLACK ||
		run.recovery_ms >= RECOVERY_MS_MAX * SLACK;
	if (is_bad)
		printf("%s: beyond the bounds of 0, %.0f %% and %.0f ms\n", kind, CPU_MAX * SLACK,
			RECOVERY_MS_MAX * SLACK);
	return is_bad;
}

int
main(int argc, char **argv)
{
	char name[64];

	run.starved_ms = argc > 1 ? (unsigned)(1000 * strtod(argv[1], NULL)) : 3000;
	snprintf(name, sizeof name, "@cede-stress-shortage-%d", (int)getpid());
	if (HAS_LIMITS &&
		(report("descriptors_tcp", "127.0.0.1:0", 0) | report("descriptors_unix", name, 0)))
		return 1;
	return report("limit_tcp", "127.0.0.1:0", 1) | report("limit_unix", name, 1);
}
