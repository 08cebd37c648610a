/*
 * The echo server of examples/, through real sockets: its own source, run in a
 * child process that ends with the leak gate, and the program itself as it was
 * built, whose exit status is LeakSanitizer's too. Every test does both.
 */
int echo_main(int argc, char **argv);

#define main echo_main
#include "examples/echo.c"
#undef main

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/leaks.h"
#include "tests/support/peer.h"

TestSuite(echo_server, .timeout = 100);

#define ARGS_MAX 8

struct running {
	pid_t pid;
	unsigned port;
};

/*
 * In the child. 0: it ended well and nothing was left. LeakSanitizer is not asked:
 * it does not know the thread of a process that was forked. The program asks it.
 */
static int
run_gated(char **argv)
{
	int argc = 0, r, before;
	uv_loop_t loop;

	uv_loop_init(&loop);
	uv_loop_close(&loop);
	before = leaks_count_fds();
	while (argv[argc])
		argc++;
	optind = 1;
	r = echo_main(argc, argv);
	cede__thread_cleanup();
	if (r == 0 && (cede__alloc_outstanding() > 0 || leaks_count_fds() != before))
		r = 100;
	return r;
}

static struct running
start(const char *program, char **argv)
{
	struct running e;
	char line[128] = "";
	size_t length = 0;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	fflush(NULL);
	e.pid = fork();
	cr_assert_geq(e.pid, 0);
	if (e.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves no server behind */
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		if (!program)
			_exit(run_gated(argv));
		execv(program, argv);
		_exit(102);
	}
	close(fds[1]);
	while (length < sizeof line - 1 && read(fds[0], line + length, 1) == 1 &&
		line[length] != '\n')
		length++;
	close(fds[0]);
	e.port = peer_port(line);
	cr_assert_gt(e.port, 0, "the server said '%s'", line);
	return e;
}

static int
wait_for_exit(struct running *e)
{
	int status = -1;

	while (waitpid(e->pid, &status, 0) < 0)
		cr_assert_eq(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void
stop(struct running *e)
{
	int r;

	cr_assert_eq(kill(e->pid, SIGINT), 0);
	r = wait_for_exit(e);
	cr_assert_eq(r, 0, "it ended with %d", r);
}

/* A test body, for the source and for the program. */
static void
with_both(void (*body)(const char *program))
{
	const char *program = getenv("ECHO_PROGRAM");

	leaks_begin();
	body(NULL);
	if (program && *program)
		body(program);
	leaks_end();
}

#define ECHO_TEST(name) \
	static void echo_##name(const char *program); \
	Test(echo_server, name) \
	{ \
		with_both(echo_##name); \
	} \
	static void echo_##name(const char *program)

#define START(...) \
	start(program, \
		(char *[]){ (char[]){ "echo" }, __VA_ARGS__, (char[]){ "127.0.0.1:0" }, NULL })
#define ARG(text) ((char[]){ text })

/* ---- echo ---- */

struct pumping {
	int fd;
	const char *data;
	size_t size;
};

static void *
pump(void *arg)
{
	struct pumping *p = arg;

	peer_send(p->fd, p->data, p->size);
	peer_shutdown(p->fd);
	return NULL;
}

static void
expect_echo(int fd, size_t size)
{
	char *data = malloc(size), *reply = malloc(size + 1);
	struct pumping p = { .fd = fd, .data = data, .size = size };
	pthread_t thread;

	peer_fill(data, size, 0);
	thread = peer_start(pump, &p);
	cr_assert_eq(peer_receive(fd, reply, size), (ssize_t)size);
	cr_assert_arr_eq(reply, data, size);
	cr_assert_eq(peer_receive_end(fd, NULL), 0);
	peer_join(thread);
	free(data);
	free(reply);
}

ECHO_TEST(echoes_two_hundred_kilobytes_intact)
{
	struct running e = START(ARG("--drain"), ARG("10000"));
	int fd = peer_connect(e.port);

	expect_echo(fd, 200000);
	peer_close(fd);
	stop(&e);
}

ECHO_TEST(echoes_byte_by_byte_and_through_a_tiny_window)
{
	struct running e = START(ARG("--drain"), ARG("10000"));
	int fd = peer_connect_sized(e.port, 4096);
	char byte;

	for (int i = 0; i < 500; i++) {
		char sent = (char)i;

		cr_assert_eq(peer_send(fd, &sent, 1), 0);
		cr_assert_eq(peer_receive(fd, &byte, 1), 1);
		cr_assert_eq(byte, sent);
	}
	expect_echo(fd, 100000);
	peer_close(fd);
	stop(&e);
}

ECHO_TEST(answers_a_client_that_has_half_closed)
{
	struct running e = START(ARG("--drain"), ARG("10000"));
	int fd = peer_connect(e.port);
	char reply[16];

	peer_send(fd, "hello", 5);
	peer_shutdown(fd);
	cr_assert_eq(peer_receive(fd, reply, sizeof reply), 5);
	cr_assert_arr_eq(reply, "hello", 5);
	cr_assert_eq(peer_receive_end(fd, NULL), 0);
	peer_close(fd);
	stop(&e);
}

ECHO_TEST(many_clients_that_reset_at_any_moment_do_it_no_harm)
{
	struct running e = START(ARG("--drain"), ARG("10000"));
	char buffer[4096] = { 0 };
	int fd;

	for (int i = 0; i < 200; i++) {
		fd = peer_connect(e.port);
		if (i % 4 > 0)
			peer_send(fd, buffer, (size_t)(i * 20));
		if (i % 4 > 1)
			peer_receive(fd, buffer, 1);
		if (i % 4 > 2)
			peer_shutdown(fd);
		peer_reset(fd);
	}
	fd = peer_connect(e.port);
	expect_echo(fd, 1000);
	peer_close(fd);
	stop(&e);
}

/* ---- limits ---- */

ECHO_TEST(drops_an_idle_client_at_its_limit)
{
	struct running e = START(ARG("--idle"), ARG("100"));
	double begin = peer_seconds();
	int fd = peer_connect(e.port);
	char byte;

	peer_send(fd, "x", 1);
	cr_assert_eq(peer_receive(fd, &byte, 1), 1);
	cr_assert_eq(peer_receive_end(fd, NULL), 0);
	/* The server's clock counts whole milliseconds, of a clock that may tick in such. */
	cr_assert_geq(peer_seconds() - begin, 0.098);
	cr_assert_lt(peer_seconds() - begin, 10);
	peer_close(fd);
	stop(&e);
}

static size_t
resident_kib(pid_t pid)
{
	char path[64];
	size_t total = 0, resident = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	file = fopen(path, "r");
	cr_assert_not_null(file);
	cr_assert_eq(fscanf(file, "%zu %zu", &total, &resident), 2);
	fclose(file);
	return resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

/* Sends without reading until nothing has moved for a while. The bytes it got rid of. */
static size_t
send_until_it_stops(int fd, int while_ms)
{
	static const char data[65536];
	struct pollfd wanted = { .fd = fd, .events = POLLOUT };
	size_t sent = 0;

	while (poll(&wanted, 1, while_ms) > 0) {
		ssize_t n = send(fd, data, sizeof data, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			break;
		if (n > 0)
			sent += (size_t)n;
		cr_assert_lt(sent, (size_t)256 << 20, "the server takes without end");
	}
	return sent;
}

ECHO_TEST(a_client_that_never_reads_costs_bounded_memory_and_is_dropped)
{
	struct running e = START(ARG("--idle"), ARG("3000"));
	int fd = peer_connect(e.port);
	struct pollfd gone = { .fd = fd };
	char byte;
	size_t before, sent;

	peer_send(fd, "x", 1);
	cr_assert_eq(peer_receive(fd, &byte, 1), 1);
	before = resident_kib(e.pid);
	sent = send_until_it_stops(fd, 500);
	cr_assert_gt(sent, 0);
	cr_assert_lt(sent, (size_t)64 << 20, "%zu bytes went", sent);
	cr_assert_lt(resident_kib(e.pid), before + 4096, "%zu KiB, %zu before", resident_kib(e.pid),
		before);

	/* Nothing moves, and nobody reads to see the end: it is reset. */
	cr_assert_eq(poll(&gone, 1, PEER_LIMIT_S * 1000), 1);
	cr_assert(gone.revents & POLLERR);
	peer_close(fd);
	fd = peer_connect(e.port);
	expect_echo(fd, 1000);
	peer_close(fd);
	stop(&e);
}

ECHO_TEST(is_not_held_up_by_clients_that_never_read)
{
	struct running e = START(ARG("--drain"), ARG("1"));
	int fds[5], fd;

	for (int i = 0; i < 5; i++) {
		fds[i] = peer_connect(e.port);
		send_until_it_stops(fds[i], 20);
	}
	fd = peer_connect(e.port);
	expect_echo(fd, 200000);
	peer_close(fd);
	stop(&e);
	for (int i = 0; i < 5; i++)
		peer_close(fds[i]);
}

/* ---- the end ---- */

ECHO_TEST(on_a_signal_lets_finish_what_is_in_flight_cuts_the_rest_and_exits_well)
{
	struct running e = START(ARG("--drain"), ARG("2000"));
	int finishing = peer_connect(e.port), staying = peer_connect(e.port), fd;
	char buffer[16];

	for (int i = 0; i < 2; i++) {
		peer_send(i ? staying : finishing, "x", 1);
		cr_assert_eq(peer_receive(i ? staying : finishing, buffer, 1), 1);
	}
	kill(e.pid, SIGINT);
	while ((fd = peer_try_connect(e.port, 0)) >= 0)
		peer_close(fd); /* it came before the signal was heard */
	cr_assert(fd == -ECONNREFUSED || fd == -ECONNRESET, "%d", fd);

	peer_send(finishing, "in flight", 9);
	peer_shutdown(finishing);
	cr_assert_eq(peer_receive(finishing, buffer, sizeof buffer), 9);
	cr_assert_eq(peer_receive_end(finishing, NULL), 0);
	cr_assert_eq(peer_receive_end(staying, NULL), -ECONNRESET);
	cr_assert_eq(wait_for_exit(&e), 0);
	peer_close(finishing);
	peer_close(staying);
}

ECHO_TEST(on_the_other_signal_ends_at_once_when_nobody_is_there)
{
	double begin;
	struct running e = START(ARG("--drain"), ARG("60000"));

	begin = peer_seconds();
	kill(e.pid, SIGTERM);
	cr_assert_eq(wait_for_exit(&e), 0);
	cr_assert_lt(peer_seconds() - begin, 10);
}

/* In the middle of a transfer, and blocked in a write to a client that does not read. */
ECHO_TEST(cuts_a_client_it_is_writing_to)
{
	struct running e = START(ARG("--drain"), ARG("50"));
	int fd = peer_connect(e.port);

	send_until_it_stops(fd, 100);
	stop(&e);
	cr_assert_eq(peer_receive_end(fd, NULL), -ECONNRESET);
	peer_close(fd);
}

ECHO_TEST(an_address_in_use_is_an_error_and_a_status)
{
	struct running e = START(ARG("--drain"), ARG("1"));
	char address[32];
	int fds[2], status;
	pid_t pid;

	snprintf(address, sizeof address, "127.0.0.1:%u", e.port);
	cr_assert_eq(pipe(fds), 0);
	fflush(NULL);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		char *argv[] = { ARG("echo"), address, NULL };

		dup2(fds[1], STDERR_FILENO);
		if (!program)
			_exit(run_gated(argv));
		execv(program, argv);
		_exit(102);
	}
	close(fds[0]);
	close(fds[1]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	stop(&e);
}

/* Each worker listens on a port of its own here, since the system chooses: the first is told. */
ECHO_TEST(with_workers_serves_and_all_of_them_end_by_one_signal)
{
	struct running e = START(ARG("--workers"), ARG("3"));
	int fd = peer_connect(e.port);

	expect_echo(fd, 100000);
	peer_close(fd);
	stop(&e);
}
