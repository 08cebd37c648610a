/* Sending files: net/sendfile.c. */
#include "tests/net/pair.h"

#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cede/file.h>
#include <cede/sendfile.h>

#include "tests/support/fault.h"

static char path[] = "/tmp/cede-sendfile-XXXXXX", fifo[sizeof path + 5];

static void
make_path(void)
{
	int fd = mkstemp(path);

	if (fd < 0 || close(fd) < 0)
		abort();
	snprintf(fifo, sizeof fifo, "%s.fifo", path);
}

static void
remove_path(void)
{
	unlink(path);
	unlink(fifo);
}

TestSuite(sendfile, .timeout = 60, .init = make_path, .fini = remove_path);

/* More than any buffers of the system hold. */
#define MUCH ((size_t)32 << 20)

#define TINY 4096

/* A file of so many bytes of the pattern. */
static cede_file_t *
pattern_file(size_t size)
{
	char *data = malloc(size + 1);
	cede_file_t *f = NULL;

	cr_assert_not_null(data);
	peer_fill(data, size, 0);
	cr_assert_eq(cede_file_open(path, O_RDWR | O_TRUNC, 0, &f), 0);
	cr_assert_eq(cede_file_write(f, data, size, 0, NULL), (ssize_t)size);
	free(data);
	return f;
}

struct taking {
	int fd;
	size_t piece, from, size;
	int is_wrong, result;
};

/* Takes all there is, and looks at every byte. */
static void *
take(void *arg)
{
	struct taking *t = arg;
	char buffer[65536];
	ssize_t n;

	while ((n = recv(t->fd, buffer, t->piece, 0)) > 0) {
		t->is_wrong |= !peer_is_pattern(buffer, (size_t)n, t->from + t->size);
		t->size += (size_t)n;
	}
	t->result = n < 0 ? -errno : 0;
	return NULL;
}

struct sender {
	cede_stream_t *stream;
	cede_file_t *file;
	int64_t size, sent;
	int result, has_ended;
};

static int
send_once(void *arg)
{
	struct sender *x = arg;

	x->result = cede_sendfile(x->stream, x->file, 0, x->size, &x->sent);
	x->has_ended = 1;
	return x->result == CEDE_EXIT ? CEDE_EXIT : 0;
}

/* Suspends until the sender can do no more before the peer reads. */
static void
wait_until_full(struct sender *x)
{
	while (!x->stream->writer)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert_not(x->has_ended);
}

/* ---- it succeeds ---- */

static void
send_and_compare(struct pair *p, size_t piece, size_t size)
{
	struct taking t = { .fd = p->peer, .piece = piece };
	cede_file_t *f = pattern_file(size);
	pthread_t thread = peer_start(take, &t);
	int64_t sent = -1;

	cr_assert_eq(cede_sendfile(p->stream, f, 0, CEDE_FILE_ALL, &sent), 0);
	cr_assert_eq(sent, (int64_t)size);
	cr_assert_eq(cede_shutdown_write(p->stream), 0);
	peer_join(thread);
	cr_assert_eq(t.size, size);
	cr_assert_eq(t.result, 0);
	cr_assert_not(t.is_wrong);
	cr_assert_eq(cede_file_close(f), 0);
}

PAIR_TEST(sendfile, more_than_the_systems_buffers_hold_arrives_byte_exact)
{
	send_and_compare(p, 65536, MUCH);
}

PAIR_TEST(sendfile, an_empty_file_arrives)
{
	send_and_compare(p, 10, 0);
}

static int
send_through_tiny_buffers(void *arg)
{
	struct pair p;

	pair_open_sized(&p, TINY, TINY);
	send_and_compare(&p, 501, (size_t)1 << 20);
	pair_close(&p);
	return 0;
}

Test(sendfile, to_a_slow_peer_arrives_byte_exact)
{
	run_gated(send_through_tiny_buffers, NULL);
}

PAIR_TEST(sendfile, a_part_is_sent_and_no_more_than_there_is)
{
	cede_file_t *f = pattern_file(1000);
	char buffer[1000];
	int64_t sent = -1;

	cr_assert_eq(cede_sendfile(p->stream, f, 100, 200, &sent), 0);
	cr_assert_eq(sent, 200);
	cr_assert_eq(peer_receive(p->peer, buffer, 200), 200);
	cr_assert(peer_is_pattern(buffer, 200, 100));
	cr_assert_eq(cede_sendfile(p->stream, f, 900, 200, &sent), 0);
	cr_assert_eq(sent, 100, "the file ends before");
	cr_assert_eq(peer_receive(p->peer, buffer, 100), 100);
	cr_assert(peer_is_pattern(buffer, 100, 900));
	cr_assert_eq(cede_sendfile(p->stream, f, 5000, 1, &sent), 0);
	cr_assert_eq(sent, 0);
	cr_assert_eq(cede_sendfile(p->stream, f, 0, 0, &sent), 0);
	cr_assert_eq(sent, 0);
	cr_assert_eq(cede_write(p->stream, "x", 1), 1);
	cr_assert_eq(peer_receive(p->peer, buffer, 1), 1);
	cr_assert_eq(buffer[0], 'x');
	cr_assert_eq(cede_file_close(f), 0);
}

/* As where the system sends no files to such a stream: no descriptor for the duplicate. */
PAIR_TEST(sendfile, through_memory_arrives_byte_exact)
{
	struct rlimit limit, none;
	struct taking t = { .fd = p->peer, .piece = 65536 };
	cede_file_t *f = pattern_file(MUCH);
	pthread_t thread = peer_start(take, &t);
	int64_t sent = -1;

	getrlimit(RLIMIT_NOFILE, &limit);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	cr_assert_eq(cede_sendfile(p->stream, f, 0, MUCH, &sent), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_assert_eq(sent, MUCH);
	cr_assert_eq(cede_shutdown_write(p->stream), 0);
	peer_join(thread);
	cr_assert_eq(t.size, MUCH);
	cr_assert_not(t.is_wrong);
	cr_assert_eq(cede_file_close(f), 0);
}

static int
count_turns(void *arg)
{
	int *turns = arg, r;

	while ((r = cede_sleep(1)) == 0)
		++*turns;
	return r;
}

PAIR_TEST(sendfile, to_a_peer_that_does_not_read_holds_up_nobody_else)
{
	struct sender x = { .stream = p->stream, .file = pattern_file(MUCH), .size = MUCH };
	struct taking t = { .fd = p->peer, .piece = 65536 };
	pthread_t thread;
	int turns = 0, before;
	char byte;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, send_once, &x), 0);
	cr_assert_eq(cede_spawn(&g, count_turns, &turns), 0);
	wait_until_full(&x);
	before = turns;
	while (turns < before + 5)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_file_read(x.file, &byte, 1, 0), 1, "no thread waits for the peer");
	thread = peer_start(take, &t);
	while (!x.has_ended)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(x.result, 0);
	cr_assert_eq(cede_shutdown_write(p->stream), 0);
	peer_join(thread);
	cr_assert_eq(t.size, MUCH);
	cr_assert_not(t.is_wrong);
	cr_assert_eq(cede_file_close(x.file), 0);
	cede_group_cancel(&g);
	(void)!cede_group_wait(&g);
}

/* ---- it is refused ---- */

PAIR_TEST(sendfile, another_writer_is_refused_all_the_time)
{
	struct sender x = { .stream = p->stream, .file = pattern_file(MUCH), .size = MUCH };
	struct taking t = { .fd = p->peer, .piece = 65536 };
	cede_write_t op;
	pthread_t thread = 0;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, send_once, &x), 0);
	let_others_run();
	while (!x.has_ended) {
		if (!thread && x.stream->writer)
			thread = peer_start(take, &t);
		cr_assert_eq(cede_write(p->stream, "x", 1), CEDE_EBUSY);
		cr_assert_eq(cede_write_start(p->stream, "x", 1, &op), CEDE_EBUSY);
		cr_assert_eq(cede_shutdown_write(p->stream), CEDE_EBUSY);
		cr_assert_eq(cede_sendfile(p->stream, x.file, 0, 1, NULL), CEDE_EBUSY);
		let_others_run();
	}
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(cede_shutdown_write(p->stream), 0);
	peer_join(thread);
	cr_assert_eq(t.size, MUCH);
	cr_assert_not(t.is_wrong);
	cr_assert_eq(cede_file_close(x.file), 0);
}

PAIR_TEST(sendfile, is_refused_while_another_writes)
{
	cede_file_t *f = pattern_file(10);
	char *data = calloc(1, MUCH);
	int64_t sent = 7;
	cede_write_t op;

	cr_assert_eq(cede_write_start(p->stream, data, MUCH, &op), 0);
	cr_assert_eq(cede_sendfile(p->stream, f, 0, 1, &sent), CEDE_EBUSY);
	cr_assert_eq(sent, 0);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_sendfile(p->stream, f, 0, 1, NULL), CEDE_EPIPE);
	cr_assert_eq(cede_file_close(f), 0);
	free(data);
}

PAIR_TEST(sendfile, parts_that_are_none_are_refused)
{
	cede_file_t *f = pattern_file(10);

	cr_assert_eq(cede_sendfile(p->stream, f, -1, 1, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_sendfile(p->stream, f, 0, -1, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_shutdown_write(p->stream), 0);
	cr_assert_eq(cede_sendfile(p->stream, f, 0, 1, NULL), CEDE_ESHUTDOWN);
	cr_assert_eq(cede_file_close(f), 0);
}

PAIR_TEST(sendfile, what_cannot_be_read_is_an_error_and_the_stream_is_whole)
{
	cede_file_t *f = NULL;
	char byte;

	cr_assert_eq(cede_file_open(path, O_WRONLY, 0, &f), 0);
	cr_assert_eq(cede_sendfile(p->stream, f, 0, 1, NULL), CEDE_EBADF);
	cr_assert_eq(cede_file_close(f), 0);
	cr_assert_eq(cede_file_open("/tmp", O_RDONLY, 0, &f), 0);
	cr_assert_eq(cede_sendfile(p->stream, f, 0, 1, NULL), CEDE_EISDIR);
	cr_assert_eq(cede_file_close(f), 0);
	cr_assert_eq(mkfifo(fifo, 0600), 0);
	cr_assert_eq(cede_file_open(fifo, O_RDWR, 0, &f), 0);
	cr_assert_eq(cede_sendfile(p->stream, f, 0, 1, NULL), CEDE_ESPIPE);
	cr_assert_eq(cede_file_close(f), 0);
	cr_assert_eq(cede_write(p->stream, "x", 1), 1);
	cr_assert_eq(peer_receive(p->peer, &byte, 1), 1);
}

Test(sendfile, outside_a_task_is_refused)
{
	struct outside o;
	int64_t sent = 5;

	leaks_begin();
	outside_open(&o);
	cr_assert_eq(cede_sendfile(o.pair.stream, NULL, 0, 1, &sent), CEDE_ENOTASK);
	cr_assert_eq(sent, 0);
	outside_close(&o);
	leaks_end();
}

/* ---- the peer is gone ---- */

/* SIGPIPE has its default disposition back: only a library that never raises it survives. */
PAIR_TEST(sendfile, to_a_reset_peer_is_an_error_and_never_a_signal)
{
	cede_file_t *f = pattern_file(100000);
	int r;

	signal(SIGPIPE, SIG_DFL);
	peer_reset(p->peer);
	p->peer = -1;
	wait_until_readable(p->stream->fd);
	for (int i = 0; i < 3; i++) {
		r = cede_sendfile(p->stream, f, 0, CEDE_FILE_ALL, NULL);
		cr_assert(r == CEDE_ECONNRESET || r == CEDE_EPIPE, "%d", r);
	}
	cr_assert_eq(cede_file_close(f), 0);
}

PAIR_TEST(sendfile, a_reset_ends_one_that_waits)
{
	struct sender x = { .stream = p->stream, .file = pattern_file(MUCH), .size = MUCH };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, send_once, &x), 0);
	wait_until_full(&x);
	peer_reset(p->peer);
	p->peer = -1;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert(x.result == CEDE_ECONNRESET || x.result == CEDE_EPIPE, "%d", x.result);
	cr_assert_gt(x.sent, 0);
	cr_assert_lt(x.sent, (int64_t)MUCH);
	cr_assert_eq(cede_file_close(x.file), 0);
}

/* ---- cancelled ---- */

PAIR_TEST(sendfile, cancelled_half_way_reports_what_was_sent_and_breaks_the_stream)
{
	struct sender x = { .stream = p->stream, .file = pattern_file(MUCH), .size = MUCH };
	cede_task_t *task;
	size_t received;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, send_once, &x, NULL, &task), 0);
	wait_until_full(&x);
	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cede_task_unref(task);
	cr_assert_eq(x.result, CEDE_EXIT);
	cr_assert_gt(x.sent, 0);
	cr_assert_lt(x.sent, (int64_t)MUCH);
	cr_assert_eq(cede_write(p->stream, "x", 1), CEDE_EPIPE);
	cr_assert_eq(cede_sendfile(p->stream, x.file, 0, 1, NULL), CEDE_EPIPE);
	cr_assert_eq(cede_file_close(x.file), 0);
	cede_close(p->stream);
	p->stream = NULL;
	cr_assert_eq(peer_receive_end(p->peer, &received), CEDE_ECONNRESET);
	cr_assert_leq(received, (size_t)x.sent);
}

PAIR_TEST(sendfile, a_timeout_ends_it_and_breaks_the_stream)
{
	cede_file_t *f = pattern_file(MUCH);
	int64_t sent = 0;
	int r = 0;

	CEDE_TIMEOUT(200) {
		r = cede_sendfile(p->stream, f, 0, CEDE_FILE_ALL, &sent);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_lt(sent, (int64_t)MUCH);
	cr_assert(sent == 0 || cede_write(p->stream, "x", 1) == CEDE_EPIPE);
	cr_assert_eq(cede_file_close(f), 0);
}

/* All threads are taken: it has not begun. */
static sem_t gate;

static int
pass(void *arg)
{
	while (sem_wait(&gate))
		;
	return 0;
}

static void
hold_the_pool(cede_work_t ops[4])
{
	sem_init(&gate, 0, 0);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(cede_work_start(pass, NULL, NULL, &ops[i]), 0);
}

static void
let_the_pool_go(cede_work_t ops[4])
{
	for (int i = 0; i < 4; i++)
		sem_post(&gate);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(cede_await(&ops[i].future), 0);
}

PAIR_TEST(sendfile, cancelled_before_it_began_sends_nothing_and_leaves_the_stream_whole)
{
	struct sender x = { .stream = p->stream, .file = pattern_file(1000), .size = 1000 };
	cede_work_t held[4];
	cede_task_t *task;
	char byte;

	CEDE_GROUP(g);
	hold_the_pool(held);
	cr_assert_eq(cede_spawn_with(&g, send_once, &x, NULL, &task), 0);
	let_others_run();
	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cede_task_unref(task);
	cr_assert_eq(x.result, CEDE_EXIT);
	cr_assert_eq(x.sent, 0);
	let_the_pool_go(held);
	cr_assert_eq(cede_write(p->stream, "x", 1), 1);
	cr_assert_eq(peer_receive(p->peer, &byte, 1), 1);
	cr_assert_eq(byte, 'x');
	cr_assert_eq(cede_file_close(x.file), 0);
}

/*
 * Part of it has gone, and the next part waits for a thread: the sender is made to wait for
 * room, no thread is left, and the peer makes room.
 */
static void
stop_half_way(struct sender *x, cede_work_t held[4], int peer)
{
	static char buffer[1 << 20];

	wait_until_full(x);
	hold_the_pool(held);
	while (x->stream->writer) {
		(void)!recv(peer, buffer, sizeof buffer, MSG_DONTWAIT);
		cr_assert_eq(cede_sleep(0), 0);
	}
	let_others_run();
	cr_assert_not(x->has_ended);
}

PAIR_TEST(sendfile, cancelled_while_the_next_part_waits_for_a_thread_breaks_the_stream)
{
	struct sender x = { .stream = p->stream, .file = pattern_file(MUCH), .size = MUCH };
	cede_work_t held[4];
	cede_task_t *task;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, send_once, &x, NULL, &task), 0);
	stop_half_way(&x, held, p->peer);
	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cede_task_unref(task);
	cr_assert_eq(x.result, CEDE_EXIT);
	cr_assert_gt(x.sent, 0);
	cr_assert_lt(x.sent, (int64_t)MUCH);
	cr_assert_eq(cede_write(p->stream, "x", 1), CEDE_EPIPE);
	let_the_pool_go(held);
	cr_assert_eq(peer_receive_end(p->peer, NULL), CEDE_ECONNRESET);
	cr_assert_eq(cede_file_close(x.file), 0);
}

PAIR_TEST(sendfile, a_close_while_the_next_part_waits_for_a_thread_resets_the_connection)
{
	struct sender x = { .stream = p->stream, .file = pattern_file(MUCH), .size = MUCH };
	cede_work_t held[4];

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, send_once, &x), 0);
	stop_half_way(&x, held, p->peer);
	cede_close(p->stream);
	p->stream = NULL;
	let_the_pool_go(held);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(x.result, CEDE_ECANCELED);
	cr_assert_eq(peer_receive_end(p->peer, NULL), CEDE_ECONNRESET);
	cr_assert_eq(cede_file_close(x.file), 0);
}

/* The piece is read when there is no stream any more that it could be written to. */
PAIR_TEST(sendfile, a_close_while_a_piece_is_read_ends_it)
{
	struct sender x = { .stream = p->stream, .file = pattern_file(1000), .size = 1000 };
	struct rlimit limit, none;
	cede_work_t held[4];

	CEDE_GROUP(g);
	hold_the_pool(held);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	cr_assert_eq(cede_spawn(&g, send_once, &x), 0);
	let_others_run();
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cede_close(p->stream);
	p->stream = NULL;
	let_the_pool_go(held);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(x.result, CEDE_ECANCELED);
	cr_assert_eq(x.sent, 0);
	cr_assert_eq(cede_file_close(x.file), 0);
}

PAIR_TEST(sendfile, bytes_that_are_sent_count_as_activity)
{
	cede_file_t *f = pattern_file(1000);

	p->stream->active_ms = 0;
	cr_assert_eq(cede_sendfile(p->stream, f, 0, 1000, NULL), 0);
	cr_assert_gt(p->stream->active_ms, 0);
	cr_assert_eq(cede_file_close(f), 0);
}

static int
send_while_closing(void *arg)
{
	struct sender *x = arg;

	close_oneself();
	return send_once(x);
}

PAIR_TEST(sendfile, in_a_task_that_is_being_closed_sends_nothing)
{
	struct sender x = { .stream = p->stream, .file = pattern_file(1000), .size = 1000 };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, send_while_closing, &x), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(x.result, CEDE_EXIT);
	cr_assert_eq(x.sent, 0);
	cr_assert_eq(cede_write(p->stream, "x", 1), 1);
	cr_assert_eq(cede_file_close(x.file), 0);
}

PAIR_TEST(sendfile, the_idle_limit_ends_one_whose_peer_takes_nothing)
{
	cede_file_t *f = pattern_file(MUCH);
	int64_t sent = 0;

	cr_assert_eq(cede_stream_set_idle(p->stream, 50), 0);
	cr_assert_eq(cede_sendfile(p->stream, f, 0, CEDE_FILE_ALL, &sent), CEDE_ETIMEDOUT);
	cr_assert_gt(sent, 0);
	cr_assert_lt(sent, (int64_t)MUCH);
	cr_assert_eq(cede_file_close(f), 0);
}

/* ---- closed by another ---- */

PAIR_TEST(sendfile, a_close_of_the_stream_by_another_task_ends_it)
{
	struct sender x = { .stream = p->stream, .file = pattern_file(MUCH), .size = MUCH };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, send_once, &x), 0);
	wait_until_full(&x);
	cede_close(p->stream);
	p->stream = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(x.result, CEDE_ECANCELED);
	cr_assert_lt(x.sent, (int64_t)MUCH);
	cr_assert_eq(cede_file_close(x.file), 0);
}

/* It has not begun: the number that the stream had may be another's when it does. */
PAIR_TEST(sendfile, a_close_of_the_stream_while_it_waits_its_turn_sends_to_nobody_else)
{
	struct sender x = { .stream = p->stream, .file = pattern_file(1000), .size = 1000 };
	const int fd = p->stream->fd;
	cede_work_t held[4];
	int pipes[2], n = 0;

	CEDE_GROUP(g);
	hold_the_pool(held);
	cr_assert_eq(cede_spawn(&g, send_once, &x), 0);
	let_others_run();
	cede_close(p->stream);
	p->stream = NULL;
	cr_assert_eq(pipe(pipes), 0);
	cr_assert(pipes[0] == fd || pipes[1] == fd, "the number is used again");
	let_the_pool_go(held);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(x.result, CEDE_ECANCELED);
	cr_assert_eq(ioctl(pipes[0], FIONREAD, &n), 0);
	cr_assert_eq(n, 0);
	close(pipes[0]);
	close(pipes[1]);
	cr_assert_eq(cede_file_close(x.file), 0);
}

static int
close_file(void *file)
{
	return cede_file_close(file);
}

PAIR_TEST(sendfile, a_close_of_the_file_waits_for_it_and_ends_it)
{
	struct sender x = { .stream = p->stream, .file = pattern_file(MUCH), .size = MUCH };
	struct taking t = { .fd = p->peer, .piece = 65536 };
	const int fd = cede_file_fd(x.file);
	pthread_t thread;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, send_once, &x), 0);
	wait_until_full(&x);
	cr_assert_eq(cede_spawn(&g, close_file, x.file), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_geq(fcntl(fd, F_GETFD), 0);
	thread = peer_start(take, &t);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(x.result, CEDE_EBADF);
	cr_assert_lt(fcntl(fd, F_GETFD), 0);
	cr_assert_eq(cede_shutdown_write(p->stream), 0, "the stream is whole");
	peer_join(thread);
	cr_assert_eq(t.size, (size_t)x.sent, "what it says has gone has gone");
	cr_assert_not(t.is_wrong);
}

/* ---- memory ---- */

static int
send_with_little_memory(struct pair *p)
{
	struct taking t = { .fd = p->peer, .piece = 65536 };
	cede_file_t *f = NULL;
	pthread_t thread;
	int64_t sent = 0;
	int r = cede_file_open(path, O_RDWR, 0, &f);

	if (r < 0)
		return r;
	cr_assert_eq(ftruncate(cede_file_fd(f), 1000), 0);
	thread = peer_start(take, &t);
	r = cede_sendfile(p->stream, f, 0, CEDE_FILE_ALL, &sent);
	cr_assert_eq(cede_shutdown_write(p->stream), 0);
	peer_join(thread);
	cr_assert_eq(t.size, (size_t)sent);
	cr_assert_eq(cede_file_close(f), 0);
	return r;
}

Test(sendfile, an_allocation_that_fails_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(send_with_little_memory, FAULT_ONCE), 1);
}

Test(sendfile, no_memory_at_all_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(send_with_little_memory, FAULT_FOREVER), 1);
}

static int
send_again_and_again(void *arg)
{
	struct pair p;
	cede_file_t *f;
	char buffer[1000];
	unsigned before = 0;

	pair_open(&p);
	f = pattern_file(1000);
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(cede_sendfile(p.stream, f, 0, CEDE_FILE_ALL, NULL), 0);
		cr_assert_eq(peer_receive(p.peer, buffer, 1000), 1000);
		if (i == 0)
			before = fault_requests();
	}
	cr_assert_eq(fault_requests(), before);
	cr_assert_eq(cede_file_close(f), 0);
	pair_close(&p);
	return 0;
}

Test(sendfile, asks_for_no_memory_in_the_steady_state)
{
	fault_install();
	run_gated(send_again_and_again, NULL);
}
