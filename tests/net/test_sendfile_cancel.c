/* Sending files: net/sendfile.c. Cancelled, and closed by others, at every step. */
#include "tests/net/sendfile_test.h"

TestSuite(sendfile_cancel, .timeout = 60, .init = make_path, .fini = remove_path);

/* ---- cancelled ---- */

PAIR_TEST(sendfile_cancel, cancelled_half_way_reports_what_was_sent_and_breaks_the_stream)
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

PAIR_TEST(sendfile_cancel, a_timeout_ends_it_and_breaks_the_stream)
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

PAIR_TEST(sendfile_cancel, cancelled_before_it_began_sends_nothing_and_leaves_the_stream_whole)
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

PAIR_TEST(sendfile_cancel, cancelled_while_the_next_part_waits_for_a_thread_breaks_the_stream)
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

PAIR_TEST(sendfile_cancel, a_close_while_the_next_part_waits_for_a_thread_resets_the_connection)
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
PAIR_TEST(sendfile_cancel, a_close_while_a_piece_is_read_ends_it)
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

PAIR_TEST(sendfile_cancel, bytes_that_are_sent_count_as_activity)
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

PAIR_TEST(sendfile_cancel, in_a_task_that_is_being_closed_sends_nothing)
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

PAIR_TEST(sendfile_cancel, the_idle_limit_ends_one_whose_peer_takes_nothing)
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

PAIR_TEST(sendfile_cancel, a_close_of_the_stream_by_another_task_ends_it)
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
PAIR_TEST(sendfile_cancel, a_close_of_the_stream_while_it_waits_its_turn_sends_to_nobody_else)
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

PAIR_TEST(sendfile_cancel, a_close_of_the_file_waits_for_it_and_ends_it)
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
