/* Sending files: net/sendfile.c. What is given up or closed: test_sendfile_cancel.c. */
#include "tests/net/sendfile_test.h"

TestSuite(sendfile, .timeout = 60, .init = make_path, .fini = remove_path);

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
