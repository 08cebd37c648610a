/* Closing, aborting, and what is left open: net/stream.c. */
#include "tests/net/pair.h"

#include <signal.h>
#include <stdlib.h>

TestSuite(stream_close, .timeout = 30);

PAIR_TEST(stream_close, nothing_is_allowed)
{
	cede_close(NULL);
	cede_abort(NULL);
	cede_listener_close(NULL);
}

PAIR_TEST(stream_close, the_peer_reads_what_was_written_and_then_the_end)
{
	char buffer[16];

	cr_assert_eq(cede_write(p->stream, "goodbye", 7), 7);
	cede_close(p->stream);
	p->stream = NULL;
	cr_assert_eq(peer_receive(p->peer, buffer, sizeof buffer), 7);
	cr_assert_arr_eq(buffer, "goodbye", 7);
	cr_assert_eq(peer_receive_end(p->peer, NULL), 0);
}

/* As much as the system took: all of it is still delivered, to a peer that reads late. */
PAIR_TEST(stream_close, what_the_system_took_is_delivered_to_the_last_byte)
{
	static char data[100000], got[100000];

	peer_fill(data, sizeof data, 0);
	cr_assert_eq(cede_write(p->stream, data, sizeof data), (ssize_t)sizeof data);
	cede_close(p->stream);
	p->stream = NULL;
	cr_assert_eq(peer_receive(p->peer, got, sizeof got), (ssize_t)sizeof got);
	cr_assert(peer_is_pattern(got, sizeof got, 0));
	cr_assert_eq(peer_receive_end(p->peer, NULL), 0);
}

PAIR_TEST(stream_close, the_descriptor_is_closed_on_return)
{
	const int fd = p->stream->fd, before = leaks_count_fds();

	cede_close(p->stream);
	p->stream = NULL;
	cr_assert_eq(leaks_count_fds(), before - 1);
	cr_assert_eq(fcntl(fd, F_GETFD), -1);
	cr_assert_eq(errno, EBADF);
}

PAIR_TEST(stream_close, abort_resets)
{
	const int fd = p->stream->fd;

	cr_assert_eq(cede_write(p->stream, "lost", 4), 4);
	cede_abort(p->stream);
	p->stream = NULL;
	cr_assert_eq(fcntl(fd, F_GETFD), -1);
	cr_assert_eq(peer_receive_end(p->peer, NULL), CEDE_ECONNRESET);
}

PAIR_TEST(stream_close, abort_resets_a_peer_that_has_half_closed)
{
	char byte;

	peer_shutdown(p->peer);
	cr_assert_eq(cede_read(p->stream, &byte, 1), 0);
	cede_abort(p->stream);
	p->stream = NULL;
	cr_assert_eq(peer_receive_end(p->peer, NULL), CEDE_ECONNRESET);
}

PAIR_TEST(stream_close, after_the_peer_has_gone_is_quiet)
{
	char byte;

	peer_reset(p->peer);
	p->peer = -1;
	cr_assert_eq(cede_read(p->stream, &byte, 1), CEDE_ECONNRESET);
	cede_close(p->stream);
	p->stream = NULL;
}

static int
close_it_while_closing(void *arg)
{
	close_oneself();
	cede_close(arg);
	return CEDE_EXIT;
}

PAIR_TEST(stream_close, works_in_a_task_that_is_being_closed)
{
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, close_it_while_closing, p->stream), 0);
	p->stream = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(peer_receive_end(p->peer, NULL), 0);
}

Test(stream_close, twice_is_the_end_of_the_program, .signal = SIGABRT)
{
	struct outside o;

	outside_open(&o);
	cede_close(o.pair.stream);
	cede_close(o.pair.stream);
}

/* ---- a reader and a writer at once ---- */

struct both {
	cede_stream_t *stream;
	char *data;
	ssize_t read_result, write_result;
};

#define MUCH ((size_t)32 << 20)

static int
do_read(void *arg)
{
	struct both *b = arg;
	char byte;

	b->read_result = cede_read(b->stream, &byte, 1);
	return 0;
}

static int
do_write(void *arg)
{
	struct both *b = arg;

	b->write_result = cede_write(b->stream, b->data, MUCH);
	return 0;
}

PAIR_TEST(stream_close, ends_a_reader_and_a_writer_at_once)
{
	struct both b = { .stream = p->stream, .data = calloc(1, MUCH) };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, do_read, &b), 0);
	cr_assert_eq(cede_spawn(&g, do_write, &b), 0);
	let_others_run();
	cede_close(p->stream);
	p->stream = NULL;
	free(b.data);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(b.read_result, CEDE_ECANCELED);
	cr_assert_eq(b.write_result, CEDE_ECANCELED);
}

/* The descriptor's number is taken again at once: nothing of the old stream may reach the new. */
PAIR_TEST(stream_close, a_descriptor_that_is_used_again_belongs_to_the_new_stream)
{
	char byte = 0;

	for (int i = 0; i < 200; i++) {
		const int old = p->stream->fd;
		struct both b = { .stream = p->stream };
		int peer;

		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn(&g, do_read, &b), 0);
		let_others_run();
		peer = p->peer;
		cede_close(p->stream);
		p->peer = peer_connect(p->port);
		cr_assert_eq(cede_accept(p->listener, &p->stream), 0);
		cr_assert(p->stream->fd == old || p->peer == old);
		peer_close(peer);
		peer_send(p->peer, "n", 1);
		cr_assert_eq(cede_read(p->stream, &byte, 1), 1);
		cr_assert_eq(byte, 'n');
		cr_assert_eq(cede_group_wait(&g), 0);
		cr_assert_eq(b.read_result, CEDE_ECANCELED);
	}
}

/* ---- names ---- */

PAIR_TEST(stream_close, names_of_both_ends_until_it_is_closed)
{
	char peer[56], local[56], listener[56];

	cr_assert_eq(cede_stream_peer(p->stream, peer, sizeof peer), 0);
	cr_assert_eq(cede_stream_local(p->stream, local, sizeof local), 0);
	cr_assert_eq(cede_listener_address(p->listener, listener, sizeof listener), 0);
	cr_assert_str_eq(local, listener);
	cr_assert_str_neq(peer, local);
	cr_assert_eq(strncmp(peer, "127.0.0.1:", 10), 0);
	cr_assert_eq(cede_stream_peer(p->stream, peer, 5), CEDE_ENOBUFS);
	cr_assert_eq(cede_stream_local(p->stream, local, 0), CEDE_ENOBUFS);
}

PAIR_TEST(stream_close, the_name_of_a_peer_that_has_reset_is_an_error)
{
	char buffer[56], byte;

	peer_reset(p->peer);
	p->peer = -1;
	cr_assert_eq(cede_read(p->stream, &byte, 1), CEDE_ECONNRESET);
	cr_assert_eq(cede_stream_peer(p->stream, buffer, sizeof buffer), CEDE_ENOTCONN);
}

/* ---- left open ---- */

struct left {
	int peer;
	int is_armed;
};

static int
leave_it_open(void *arg)
{
	struct left *left = arg;
	struct pair p;
	char byte;

	pair_open(&p);
	left->peer = p.peer;
	if (left->is_armed) {
		cede_read_t op;

		cr_assert_eq(cede_read_start(p.stream, &byte, 1, &op), 0);
		let_others_run();
		cede_future_cancel(&op.future);
	}
	return 0;
}

Test(stream_close, what_a_program_leaves_open_is_closed_with_the_loop)
{
	struct left left = { .is_armed = 0 };

	leaks_begin();
	cr_assert_eq(cede_run(leave_it_open, &left), 0);
	cr_assert_eq(peer_receive_end(left.peer, NULL), 0);
	peer_close(left.peer);
	leaks_end();
}

/* Nobody awaits anything any more: an idle peer must not keep the program from ending. */
Test(stream_close, a_stream_that_was_read_and_left_open_does_not_keep_the_loop, .timeout = 5)
{
	struct left left = { .is_armed = 1 };

	leaks_begin();
	cr_assert_eq(cede_run(leave_it_open, &left), 0);
	peer_close(left.peer);
	leaks_end();
}

/* A write that was given up has closed the handle, but the stream is still somebody's. */
PAIR_TEST(stream_close, a_broken_stream_that_was_left_open_is_freed_by_the_detach)
{
	static char much[8 << 20];

	CEDE_TIMEOUT(5) {
		cr_assert_eq(cede_write(p->stream, much, sizeof much), CEDE_ETIMEDOUT);
	}
	p->stream = NULL; /* and forgotten */
}
