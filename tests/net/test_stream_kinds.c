/*
 * Streams that are no TCP connections: the ends of a pipe and unix sockets. What
 * holds for TCP holds for them, but that only sockets have a half-close or a reset.
 */
#include "tests/net/pair.h"

#include <signal.h>
#include <stdlib.h>

TestSuite(stream_kinds, .timeout = 30);

#define MUCH ((size_t)4 << 20)

/* A stream on one descriptor, and the other end as a raw one. */
struct ends {
	cede_stream_t *stream;
	int peer;
};

static cede_stream_t *
stream_of(int fd)
{
	cede_stream_t *s;

	cr_assert_eq(cede__stream_create(cede_loop_current(), UV_NAMED_PIPE, &s), 0);
	cr_assert_eq(cede__stream_open(s, fd), 0);
	return s;
}

static struct ends
reading_end(void)
{
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	return (struct ends){ stream_of(fds[0]), fds[1] };
}

static struct ends
writing_end(void)
{
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	return (struct ends){ stream_of(fds[1]), fds[0] };
}

static struct ends
unix_socket(void)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	return (struct ends){ stream_of(fds[0]), fds[1] };
}

static void
close_peer(struct ends *e)
{
	close(e->peer);
	e->peer = -1;
}

static void
close_both(struct ends *e)
{
	cede_close(e->stream);
	if (e->peer >= 0)
		close(e->peer);
}

/* Reads to the end of file. How many bytes. */
static size_t
read_to_the_end(int fd)
{
	static char buffer[65536];
	size_t total = 0;
	ssize_t n;

	while ((n = read(fd, buffer, sizeof buffer)) > 0)
		total += (size_t)n;
	cr_assert_eq(n, 0);
	return total;
}

/* ---- reading ---- */

static void
expect_reads(struct ends e)
{
	const void *lent;
	char buffer[8];

	cr_assert_eq(write(e.peer, "hello", 5), 5);
	cr_assert_eq(cede_read(e.stream, buffer, sizeof buffer), 5);
	cr_assert_arr_eq(buffer, "hello", 5);
	cr_assert_eq(write(e.peer, "more", 4), 4);
	cr_assert_eq(cede_read_lend(e.stream, &lent), 4);
	cr_assert_arr_eq(lent, "more", 4);
	cr_assert_eq(write(e.peer, "last", 4), 4);
	close_peer(&e);
	cr_assert_eq(cede_read(e.stream, buffer, 2), 2);
	cr_assert_eq(cede_read(e.stream, buffer, 2), 2);
	cr_assert_eq(cede_read(e.stream, buffer, 2), 0);
	cr_assert_eq(cede_read(e.stream, buffer, 2), 0);
	close_both(&e);
}

TASK_TEST(stream_kinds, a_pipe_is_read_to_its_end)
{
	expect_reads(reading_end());
}

TASK_TEST(stream_kinds, a_unix_socket_is_read_to_its_end)
{
	expect_reads(unix_socket());
}

struct reader {
	cede_stream_t *stream;
	ssize_t result;
	char buffer[8];
};

static int
read_once(void *arg)
{
	struct reader *r = arg;

	r->result = cede_read(r->stream, r->buffer, sizeof r->buffer);
	return 0;
}

/* The reader waits; then something comes, and with it a cancel loses nothing. */
static void
expect_waits(struct ends e)
{
	struct reader r = { .stream = e.stream };

	CEDE_GROUP(g);
	CEDE_TIMEOUT(5) {
		cr_assert_eq(cede_read(e.stream, r.buffer, 8), CEDE_ETIMEDOUT);
	}
	cr_assert_eq(cede_spawn(&g, read_once, &r), 0);
	let_others_run();
	cr_assert_eq(cede_read(e.stream, r.buffer, 8), CEDE_EBUSY);
	cr_assert_eq(write(e.peer, "late", 4), 4);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 4);
	close_both(&e);
}

TASK_TEST(stream_kinds, a_read_of_a_pipe_waits)
{
	expect_waits(reading_end());
}

TASK_TEST(stream_kinds, a_read_of_a_unix_socket_waits)
{
	expect_waits(unix_socket());
}

static void
expect_close_ends_the_read(struct ends e)
{
	struct reader r = { .stream = e.stream };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &r), 0);
	let_others_run();
	cede_close(e.stream);
	e.stream = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_ECANCELED);
	close_both(&e);
}

TASK_TEST(stream_kinds, a_close_ends_the_read_of_a_pipe)
{
	expect_close_ends_the_read(reading_end());
}

TASK_TEST(stream_kinds, a_close_ends_the_read_of_a_unix_socket)
{
	expect_close_ends_the_read(unix_socket());
}

TASK_TEST(stream_kinds, the_idle_limit_ends_the_read_of_a_pipe)
{
	struct ends e = reading_end();
	char byte;

	cr_assert_eq(cede_stream_set_idle(e.stream, 5), 0);
	cr_assert_eq(cede_read(e.stream, &byte, 1), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_read(e.stream, &byte, 1), CEDE_ETIMEDOUT);
	close_both(&e);
}

/* ---- writing ---- */

struct writer {
	cede_stream_t *stream;
	char *data;
	cede_write_t op;
	ssize_t result;
};

static int
write_much(void *arg)
{
	struct writer *w = arg;

	w->result = cede_write(w->stream, w->data, MUCH);
	cede_close(w->stream);
	return 0;
}

static void *
drain(void *peer)
{
	return (void *)read_to_the_end(*(int *)peer);
}

/* More than the system takes at once: libuv sends the rest. */
static void
expect_writes_all(struct ends e)
{
	struct writer w = { .stream = e.stream, .data = calloc(1, MUCH) };
	pthread_t thread;
	void *total;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, write_much, &w), 0);
	let_others_run();
	thread = peer_start(drain, &e.peer);
	cr_assert_eq(cede_group_wait(&g), 0);
	pthread_join(thread, &total);
	cr_assert_eq(w.result, (ssize_t)MUCH);
	cr_assert_eq((size_t)total, MUCH);
	close_peer(&e);
	free(w.data);
}

TASK_TEST(stream_kinds, a_write_to_a_pipe_waits_until_all_is_taken)
{
	expect_writes_all(writing_end());
}

TASK_TEST(stream_kinds, a_write_to_a_unix_socket_waits_until_all_is_taken)
{
	expect_writes_all(unix_socket());
}

/* Given up half-way: the stream is of no more use, and the peer reads to an end. */
static void
expect_breaks(struct ends e)
{
	char *data = calloc(1, MUCH);
	cede_write_t op;

	cr_assert_eq(cede_write_start(e.stream, data, MUCH, &op), 0);
	cr_assert_not(op.future.is_done);
	cede_future_cancel(&op.future);
	free(data);
	cr_assert_eq(op.future.result, CEDE_ECANCELED);
	cr_assert_gt(op.written, 0);
	cr_assert_lt(op.written, MUCH);
	cr_assert_eq(cede_write(e.stream, "x", 1), CEDE_EPIPE);
	cr_assert_eq(read_to_the_end(e.peer), op.written);
	close_both(&e);
}

TASK_TEST(stream_kinds, a_write_to_a_pipe_that_is_given_up_breaks_it)
{
	expect_breaks(writing_end());
}

TASK_TEST(stream_kinds, a_write_to_a_unix_socket_that_is_given_up_breaks_it)
{
	expect_breaks(unix_socket());
}

static void
expect_idle_writes_end(struct ends e)
{
	char *data = calloc(1, MUCH);

	cr_assert_eq(cede_stream_set_idle(e.stream, 5), 0);
	cr_assert_eq(cede_write(e.stream, data, MUCH), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_write(e.stream, data, 1), CEDE_ETIMEDOUT);
	free(data);
	close_both(&e);
}

TASK_TEST(stream_kinds, the_idle_limit_ends_the_write_to_a_pipe)
{
	expect_idle_writes_end(writing_end());
}

TASK_TEST(stream_kinds, the_idle_limit_ends_the_write_to_a_unix_socket)
{
	expect_idle_writes_end(unix_socket());
}

static void
expect_epipe(struct ends e)
{
	close_peer(&e);
	cr_assert_eq(cede_write(e.stream, "x", 1), CEDE_EPIPE);
	close_both(&e);
}

TASK_TEST(stream_kinds, a_write_to_a_pipe_that_nobody_reads_is_refused)
{
	expect_epipe(writing_end());
}

TASK_TEST(stream_kinds, a_write_to_a_unix_socket_without_a_peer_is_refused)
{
	expect_epipe(unix_socket());
}

/* The reader goes while the writer waits. */
TASK_TEST(stream_kinds, a_write_that_waits_ends_with_its_reader)
{
	struct ends e = writing_end();
	char *data = calloc(1, MUCH);
	cede_write_t op;

	cr_assert_eq(cede_write_start(e.stream, data, MUCH, &op), 0);
	close_peer(&e);
	cr_assert_eq(cede_await(&op.future), CEDE_EPIPE);
	free(data);
	close_both(&e);
}

/* ---- one way only ---- */

TASK_TEST(stream_kinds, the_reading_end_of_a_pipe_is_not_written)
{
	struct ends e = reading_end();

	cr_assert_eq(cede_write(e.stream, "x", 1), CEDE_ESHUTDOWN);
	cr_assert_eq(cede_shutdown_write(e.stream), 0);
	cr_assert_eq(write(e.peer, "x", 1), 1);
	close_both(&e);
}

TASK_TEST(stream_kinds, the_writing_end_of_a_pipe_is_not_read)
{
	struct ends e = writing_end();
	const void *lent;
	cede_read_t op;
	char byte;

	cr_assert_eq(cede_read(e.stream, &byte, 1), CEDE_EBADF);
	cr_assert_eq(cede_read_lend(e.stream, &lent), CEDE_EBADF);
	cr_assert_eq(cede_read_start(e.stream, &byte, 1, &op), 0);
	cr_assert_eq(cede_await(&op.future), CEDE_EBADF);
	close_both(&e);
}

/* ---- half-close ---- */

TASK_TEST(stream_kinds, the_half_close_of_a_pipe_is_its_end)
{
	struct ends e = writing_end();
	const int before = leaks_count_fds();

	cr_assert_eq(cede_write(e.stream, "all", 3), 3);
	cr_assert_eq(cede_shutdown_write(e.stream), 0);
	cr_assert_eq(leaks_count_fds(), before - 1);
	cr_assert_eq(read_to_the_end(e.peer), 3);
	cr_assert_eq(cede_shutdown_write(e.stream), 0);
	cr_assert_eq(cede_write(e.stream, "x", 1), CEDE_ESHUTDOWN);
	close_both(&e);
}

TASK_TEST(stream_kinds, the_half_close_of_a_pipe_waits_for_the_writer)
{
	struct ends e = writing_end();
	char *data = calloc(1, MUCH);
	cede_write_t op;

	cr_assert_eq(cede_write_start(e.stream, data, MUCH, &op), 0);
	cr_assert_eq(cede_shutdown_write(e.stream), CEDE_EBUSY);
	cede_future_cancel(&op.future);
	free(data);
	cr_assert_eq(cede_shutdown_write(e.stream), CEDE_EBADF);
	close_both(&e);
}

TASK_TEST(stream_kinds, the_half_close_of_a_unix_socket_leaves_the_other_half)
{
	struct ends e = unix_socket();
	char byte;

	cr_assert_eq(cede_shutdown_write(e.stream), 0);
	cr_assert_eq(read_to_the_end(e.peer), 0);
	cr_assert_eq(write(e.peer, "r", 1), 1);
	cr_assert_eq(cede_read(e.stream, &byte, 1), 1);
	cr_assert_eq(cede_write(e.stream, "x", 1), CEDE_ESHUTDOWN);
	close_both(&e);
}

/* ---- the end ---- */

/* There is no reset: what the system has taken is still read. */
static void
expect_abort_is_a_close(struct ends e)
{
	cr_assert_eq(cede_write(e.stream, "kept", 4), 4);
	cede_abort(e.stream);
	e.stream = NULL;
	cr_assert_eq(read_to_the_end(e.peer), 4);
	close_both(&e);
}

TASK_TEST(stream_kinds, the_abort_of_a_pipe_is_a_close)
{
	expect_abort_is_a_close(writing_end());
}

TASK_TEST(stream_kinds, the_abort_of_a_unix_socket_is_a_close)
{
	expect_abort_is_a_close(unix_socket());
}

TASK_TEST(stream_kinds, names_are_those_of_sockets)
{
	struct ends e = reading_end(), u = unix_socket();
	char name[56];

	cr_assert_eq(cede_stream_peer(e.stream, name, sizeof name), -ENOTSOCK);
	cr_assert_eq(cede_stream_local(u.stream, name, sizeof name), 0);
	cr_assert_str_eq(name, "@"); /* of a pair that has none */
	close_both(&e);
	close_both(&u);
}

TASK_TEST(stream_kinds, a_descriptor_that_is_none_is_refused)
{
	cede_stream_t *s;

	cr_assert_eq(cede__stream_create(cede_loop_current(), UV_NAMED_PIPE, &s), 0);
	cr_assert_eq(cede__stream_open(s, -1), CEDE_EBADF);
	cede_close(s);
}

static int
leave_both_open(void *arg)
{
	struct ends e = reading_end(), u = unix_socket();
	char byte;

	CEDE_TIMEOUT(1) {
		cr_assert_eq(cede_read(e.stream, &byte, 1), CEDE_ETIMEDOUT);
	}
	close_peer(&e);
	close_peer(&u);
	return 0;
}

Test(stream_kinds, what_is_left_open_is_closed_with_the_loop)
{
	run_gated(leave_both_open, NULL);
}

static int
create_with_little_memory(struct pair *p)
{
	cede_stream_t *s;
	int r = cede__stream_create(cede_loop_current(), UV_NAMED_PIPE, &s);

	if (r == 0)
		cede_close(s);
	return r;
}

Test(stream_kinds, no_memory_is_an_error)
{
	cr_assert_eq(expect_failures_are_survived(create_with_little_memory, FAULT_ONCE), 1);
}
