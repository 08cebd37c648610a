/*
 * Descriptors as streams, and back: net/stream_open.c. What can't be waited for is
 * refused before it is touched, and is then still the caller's, as it was.
 */
#include "tests/net/pair.h"

#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>

TestSuite(stream_open, .timeout = 30);

static int
flags_of(int fd)
{
	return fcntl(fd, F_GETFL);
}

/* ---- refused ---- */

static void
expect_refused(int fd, int code)
{
	cede_stream_t *s = NULL;
	const int flags = flags_of(fd);

	cr_assert_geq(fd, 0);
	cr_assert_eq(cede_stream_open_fd(fd, &s), code);
	cr_assert_null(s);
	cr_assert_eq(flags_of(fd), flags, "it is not as it was");
	close(fd);
}

TASK_TEST(stream_open, what_can_not_be_waited_for_is_refused)
{
	char path[] = "/tmp/stream_open.XXXXXX";

	expect_refused(mkstemp(path), CEDE_EINVAL);
	expect_refused(open(path, O_RDONLY | O_CLOEXEC), CEDE_EINVAL);
	unlink(path);
	expect_refused(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC), CEDE_EINVAL);
	expect_refused(open("/dev/null", O_RDWR | O_CLOEXEC), CEDE_EINVAL);
	expect_refused(open("/dev/zero", O_RDONLY | O_CLOEXEC), CEDE_EINVAL);
	expect_refused(epoll_create1(EPOLL_CLOEXEC), CEDE_EINVAL);
	expect_refused(eventfd(0, EFD_CLOEXEC), CEDE_EINVAL);
}

TASK_TEST(stream_open, what_is_not_open_is_refused)
{
	cede_stream_t *s = NULL;
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	close(fds[1]);
	cr_assert_eq(cede_stream_open_fd(fds[0], &s), CEDE_EBADF);
	cr_assert_eq(cede_stream_open_fd(-1, &s), CEDE_EBADF);
	cr_assert_eq(cede_stream_open_fd(INT32_MAX, &s), CEDE_EBADF);
	cr_assert_null(s);
}

TASK_TEST(stream_open, sockets_of_other_kinds_are_refused)
{
	int fds[2];

	expect_refused(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), CEDE_EINVAL);
	expect_refused(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), CEDE_EINVAL);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	expect_refused(fds[0], CEDE_EINVAL);
	expect_refused(fds[1], CEDE_EINVAL);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	expect_refused(fds[0], CEDE_EINVAL);
	expect_refused(fds[1], CEDE_EINVAL);
}

TASK_TEST(stream_open, sockets_that_are_not_connected_are_refused)
{
	unsigned port;

	expect_refused(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), CEDE_ENOTCONN);
	expect_refused(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), CEDE_ENOTCONN);
	expect_refused(peer_listen(&port), CEDE_ENOTCONN);
}

PAIR_TEST(stream_open, what_the_loop_waits_for_already_is_refused)
{
	cede_stream_t *s = NULL;
	cede_read_t op;
	char byte;

	cr_assert_eq(cede_read_start(p->stream, &byte, 1, &op), 0);
	let_others_run();
	cr_assert_eq(cede_stream_open_fd(p->stream->fd, &s), CEDE_EEXIST);
	cr_assert_null(s);
	peer_send(p->peer, "x", 1);
	cr_assert_eq(cede_await(&op.future), 1, "the first one goes on");
}

Test(stream_open, there_is_no_stream_outside_of_a_loop)
{
	cede_stream_t *s = NULL;
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_eq(cede_stream_open_fd(fds[0], &s), CEDE_ENOTASK);
	close(fds[0]);
	close(fds[1]);
}

/* ---- opened ---- */

/* It is a stream with this other end, and each direction goes or is said not to. */
static void
expect_stream(int fd, int other, int reads, int writes)
{
	cede_stream_t *s = NULL;
	char byte = 0;
	ssize_t n;

	cr_assert_eq(cede_stream_open_fd(fd, &s), 0);
	cr_assert(flags_of(s->fd) & O_NONBLOCK);
	n = cede_write(s, "x", 1);
	cr_assert_eq(n, writes ? 1 : CEDE_ESHUTDOWN);
	if (writes) {
		cr_assert_eq(read(other, &byte, 1), 1);
		cr_assert_eq(byte, 'x');
	}
	if (reads)
		cr_assert_eq(write(other, "y", 1), 1);
	n = cede_read(s, &byte, 1);
	cr_assert_eq(n, reads ? 1 : CEDE_EBADF);
	if (reads)
		cr_assert_eq(byte, 'y');
	cede_close(s);
	cr_assert_eq(flags_of(fd), -1, "it is closed");
	close(other);
}

TASK_TEST(stream_open, the_ends_of_a_pipe_are_streams_of_one_direction)
{
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	expect_stream(fds[0], fds[1], 1, 0);
	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	expect_stream(fds[1], fds[0], 0, 1);
}

TASK_TEST(stream_open, a_fifo_is_one)
{
	char path[] = "/tmp/stream_open.XXXXXX";
	int reading, writing;

	cr_assert_not_null(mkdtemp(path));
	cr_assert_eq(chdir(path), 0);
	cr_assert_eq(mkfifo("fifo", 0600), 0);
	reading = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	writing = open("fifo", O_WRONLY | O_CLOEXEC);
	expect_stream(reading, writing, 1, 0);
	reading = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	writing = open("fifo", O_WRONLY | O_CLOEXEC);
	expect_stream(writing, reading, 0, 1);
	unlink("fifo");
	rmdir(path);
}

TASK_TEST(stream_open, a_unix_socket_is_one)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	expect_stream(fds[0], fds[1], 1, 1);
}

TASK_TEST(stream_open, a_tcp_connection_is_one_and_has_its_names_and_its_reset)
{
	unsigned port;
	int listener = peer_listen(&port), fd = peer_connect(port), other = peer_accept(listener);
	char name[56];
	cede_stream_t *s;

	cr_assert_eq(cede_stream_open_fd(fd, &s), 0);
	cr_assert_eq(cede_stream_peer(s, name, sizeof name), 0);
	cr_assert_eq(peer_port(name), port);
	cede_abort(s);
	cr_assert_eq(peer_receive_end(other, NULL), CEDE_ECONNRESET);
	close(other);
	fd = peer_connect(port);
	expect_stream(fd, peer_accept(listener), 1, 1);
	close(listener);
}

/* ---- terminals ---- */

struct terminal {
	int master, slave;
};

static struct terminal
make_terminal(void)
{
	struct terminal t;
	struct termios raw = { 0 };

	cr_assert_eq(openpty(&t.master, &t.slave, NULL, &raw, NULL), 0);
	cfmakeraw(&raw);
	tcsetattr(t.slave, TCSANOW, &raw);
	return t;
}

TASK_TEST(stream_open, a_terminal_is_one)
{
	struct terminal t = make_terminal();

	expect_stream(t.slave, t.master, 1, 1);
}

/* Non-blocking for the stream alone: a shell has the other descriptors of it. */
TASK_TEST(stream_open, a_terminal_stays_blocking_for_those_who_share_it)
{
	struct terminal t = make_terminal();
	int shared = dup(t.slave);
	cede_stream_t *s;

	cr_assert_eq(cede_stream_open_fd(t.slave, &s), 0);
	cr_assert(flags_of(s->fd) & O_NONBLOCK);
	cr_assert_eq(flags_of(shared) & O_NONBLOCK, 0);
	cr_assert_eq(cede_shutdown_write(s), CEDE_ENOTSUP);
	cede_close(s);
	close(shared);
	close(t.master);
}

/* libuv leaves it blocking: the first read would hold up the whole loop. */
TASK_TEST(stream_open, the_master_of_a_terminal_is_one_that_blocks_nobody)
{
	struct terminal t = make_terminal();
	cede_stream_t *s;
	char byte;
	ssize_t n = 0;

	cr_assert_eq(cede_stream_open_fd(t.master, &s), 0);
	cr_assert(flags_of(s->fd) & O_NONBLOCK);
	CEDE_TIMEOUT(1)
		n = cede_read(s, &byte, 1);
	cr_assert_eq(n, CEDE_ETIMEDOUT);
	cr_assert_eq(write(t.slave, "x", 1), 1);
	cr_assert_eq(cede_read(s, &byte, 1), 1);
	cede_close(s);
	close(t.slave);
}

/* ---- 0, 1 and 2 ---- */

TASK_TEST(stream_open, the_programs_own_are_left_open)
{
	int saved = dup(STDIN_FILENO), fds[2];
	cede_stream_t *s;
	char byte;

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_eq(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(cede_stream_open_fd(STDIN_FILENO, &s), 0);
		cr_assert_eq(write(fds[1], "x", 1), 1);
		cr_assert_eq(cede_read(s, &byte, 1), 1);
		if (i == 0) {
			cede_close(s);
		} else {
			int fd = cede_stream_release_fd(s);

			cr_assert_gt(fd, STDERR_FILENO);
			close(fd);
		}
		cr_assert_neq(flags_of(STDIN_FILENO), -1);
	}
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(fds[0]);
	close(fds[1]);
}

/* ---- back ---- */

PAIR_TEST(stream_open, a_released_descriptor_is_the_connection_and_the_callers)
{
	char buffer[8];
	int fd = cede_stream_release_fd(p->stream);

	p->stream = NULL;
	cr_assert_geq(fd, 0);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert(flags_of(fd) & O_NONBLOCK);
	peer_send(p->peer, "abc", 3);
	let_others_run();
	cr_assert_eq(recv(fd, buffer, sizeof buffer, 0), 3);
	cr_assert_eq(send(fd, "def", 3, 0), 3);
	cr_assert_eq(peer_receive(p->peer, buffer, 3), 3);
	cr_assert_eq(cede_stream_open_fd(fd, &p->stream), 0, "and it can come back");
	cr_assert_eq(cede_write(p->stream, "x", 1), 1);
}

PAIR_TEST(stream_open, after_a_read_the_loop_no_longer_waits_for_it)
{
	char byte;
	int fd;

	peer_send(p->peer, "x", 1);
	cr_assert_eq(cede_read(p->stream, &byte, 1), 1);
	CEDE_TIMEOUT(1)
		cr_assert_eq(cede_read(p->stream, &byte, 1), CEDE_ETIMEDOUT);
	fd = cede_stream_release_fd(p->stream);
	p->stream = NULL;
	cr_assert_geq(fd, 0);
	peer_send(p->peer, "y", 1);
	cr_assert_eq(cede_sleep(2), 0);
	cr_assert_eq(recv(fd, &byte, 1, 0), 1);
	close(fd);
}

PAIR_TEST(stream_open, what_is_in_use_is_not_released)
{
	static char bytes[1 << 23];
	cede_write_t write;
	cede_read_t read;
	char byte, *line;

	cr_assert_eq(cede_read_start(p->stream, &byte, 1, &read), 0);
	cr_assert_eq(cede_stream_release_fd(p->stream), CEDE_EBUSY);
	cede_future_cancel(&read.future);
	peer_send(p->peer, "a\nb", 3);
	cr_assert_eq(cede_read_line(p->stream, 0, &line, NULL), 1);
	cr_assert_eq(cede_stream_release_fd(p->stream), CEDE_EBUSY, "a byte would be lost");
	cr_assert_eq(cede_read_exactly(p->stream, &byte, 1, NULL), 1);
	cr_assert_eq(cede_write_start(p->stream, bytes, sizeof bytes, &write), 0);
	cr_assert_not(write.future.is_done);
	cr_assert_eq(cede_stream_release_fd(p->stream), CEDE_EBUSY);
	cede_future_cancel(&write.future);
	cr_assert_eq(cede_stream_release_fd(p->stream), CEDE_EBADF, "that closed it");
}

static int
read_a_line(void *s)
{
	char *line;

	cr_assert_eq(cede_read_line(s, 0, &line, NULL), 1);
	cr_assert_str_eq(line, "a");
	return 0;
}

/* The line has come and its task has yet to run. */
PAIR_TEST(stream_open, what_a_task_has_yet_to_look_at_is_not_released)
{
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_a_line, p->stream), 0);
	let_others_run();
	peer_send(p->peer, "a\n", 2);
	wait_until_readable(p->stream->fd);
	cede__stream_readable(p->stream);
	cr_assert_eq(cede_stream_release_fd(p->stream), CEDE_EBUSY);
	cr_assert_eq(cede_group_wait(&g), 0);
}

PAIR_TEST(stream_open, without_a_free_number_the_stream_stays)
{
	struct rlimit limit, low;
	char byte;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = 3;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	const int r = cede_stream_release_fd(p->stream);

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_assert(r == CEDE_EMFILE || r == CEDE_EINVAL, "%d", r);
	peer_send(p->peer, "x", 1);
	cr_assert_eq(cede_read(p->stream, &byte, 1), 1);
}

struct host {
	uv_pipe_t handle;
	int is_closed;
};

static void
host_closed(uv_handle_t *handle)
{
	cede__container_of((uv_pipe_t *)handle, struct host, handle)->is_closed = 1;
}

TASK_TEST(stream_open, what_was_adopted_goes_back_otherwise)
{
	static struct host h;
	cede_stream_t *s;
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	cr_assert_eq(uv_pipe_init(cede_loop_uv(cede_loop_current()), &h.handle, 0), 0);
	cr_assert_eq(uv_pipe_open(&h.handle, fds[0]), 0);
	cr_assert_eq(cede_stream_adopt(cede_loop_current(), (uv_stream_t *)&h.handle, host_closed,
			     &s),
		0);
	cr_assert_eq(cede_stream_release_fd(s), CEDE_ENOTSUP);
	cede_close(s);
	while (!h.is_closed)
		let_others_run();
	close(fds[1]);
}

/* ---- in a server ---- */

struct served {
	cede_listener_t *listener;
	int released;
};

static struct served served = { .released = -1 };

static int
hand_over(void *s)
{
	served.released = cede_stream_release_fd(s);
	return served.released < 0 ? served.released : 0;
}

static int
serve(void *arg)
{
	return cede_serve(served.listener, hand_over, NULL);
}

/* The server has a reference of its own to the stream, which is nobody's use of it. */
TASK_TEST(stream_open, a_handler_can_take_the_descriptor_of_its_connection)
{
	unsigned port;
	char buffer[4];
	int peer;

	served.listener = listen_any(&port);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, serve, NULL), 0);
	let_others_run();
	peer = peer_connect(port);
	while (served.released == -1)
		let_others_run();
	cr_assert_geq(served.released, 0, "%s", cede_strerror(served.released));
	cede_group_cancel(&g);
	cr_assert_leq(cede_group_wait(&g), 0);
	cr_assert_eq(send(served.released, "abc", 3, 0), 3);
	cr_assert_eq(peer_receive(peer, buffer, 3), 3);
	close(served.released);
	peer_close(peer);
}

/* ---- want of memory ---- */

static int
open_one(struct pair *p)
{
	cede_stream_t *s;
	int fds[2], r;

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	r = cede_stream_open_fd(fds[0], &s);
	if (r == 0)
		cede_close(s);
	else
		close(fds[0]); /* still the caller's */
	close(fds[1]);
	return r;
}

Test(stream_open, want_of_memory_leaves_it_to_the_caller)
{
	cr_assert_geq(expect_failures_are_survived(open_one, FAULT_ONCE), 1);
}
