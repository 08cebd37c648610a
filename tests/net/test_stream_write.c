/* Writing: net/stream.c. */
#include "tests/net/pair.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>

TestSuite(stream_write, .timeout = 30);

/* More than any buffers of the system hold. */
#define MUCH ((size_t)32 << 20)

/* With these buffers a write of TOO_MUCH waits. */
#define TINY     4096
#define TOO_MUCH ((size_t)1 << 20)

struct writing {
	cede_stream_t *stream;
	const char *data;
	size_t size;
	ssize_t result;
	size_t written;
	int has_ended;
};

/* What a task does that waits: start and await, so that `written` can be seen. */
static int
write_once(void *arg)
{
	struct writing *w = arg;
	cede_write_t op;
	int r = cede_write_start(w->stream, w->data, w->size, &op);

	w->result = r < 0 ? r : cede_await(&op.future);
	w->written = op.written;
	w->has_ended = 1;
	return 0;
}

static char *
make_pattern(size_t size)
{
	char *data = malloc(size);

	cr_assert_not_null(data);
	peer_fill(data, size, 0);
	return data;
}

struct taking {
	int fd;
	size_t piece;
	size_t size;
	int is_wrong;
	int result;
};

/* Takes all there is, slowly or fast, and looks at every byte. */
static void *
take(void *arg)
{
	struct taking *t = arg;
	char buffer[65536];
	ssize_t n;

	while ((n = recv(t->fd, buffer, t->piece, 0)) > 0) {
		t->is_wrong |= !peer_is_pattern(buffer, (size_t)n, t->size);
		t->size += (size_t)n;
	}
	t->result = n < 0 ? -errno : 0;
	return NULL;
}

/* ---- it succeeds ---- */

PAIR_TEST(stream_write, all_of_it_arrives)
{
	char buffer[16];

	cr_assert_eq(cede_write(p->stream, "hello", 5), 5);
	cr_assert_eq(peer_receive(p->peer, buffer, 5), 5);
	cr_assert_arr_eq(buffer, "hello", 5);
}

PAIR_TEST(stream_write, nothing_is_written_and_succeeds)
{
	cede_write_t op;

	cr_assert_eq(cede_write(p->stream, "", 0), 0);
	cr_assert_eq(cede_write(p->stream, NULL, 0), 0);
	cr_assert_eq(cede_write_start(p->stream, NULL, 0, &op), 0);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(op.written, 0);
}

PAIR_TEST(stream_write, more_than_the_systems_buffers_hold_arrives_byte_exact)
{
	struct taking t = { .fd = p->peer, .piece = 65536 };
	char *data = make_pattern(MUCH);
	pthread_t thread = peer_start(take, &t);

	cr_assert_eq(cede_write(p->stream, data, MUCH), (ssize_t)MUCH);
	cr_assert_eq(cede_shutdown_write(p->stream), 0);
	peer_join(thread);
	cr_assert_eq(t.size, MUCH);
	cr_assert_eq(t.result, 0);
	cr_assert_not(t.is_wrong);
	free(data);
}

static int
write_through_tiny_buffers(void *arg)
{
	struct pair p;
	struct taking t = { .piece = 501 };
	char *data = make_pattern(TOO_MUCH);
	pthread_t thread;
	size_t at = 0, n = 1;

	pair_open_sized(&p, TINY, TINY);
	t.fd = p.peer;
	thread = peer_start(take, &t);
	for (; at < TOO_MUCH; at += n, n = n * 3 % 70001 + 1) {
		if (n > TOO_MUCH - at)
			n = TOO_MUCH - at;
		cr_assert_eq(cede_write(p.stream, data + at, n), (ssize_t)n);
	}
	cr_assert_eq(cede_shutdown_write(p.stream), 0);
	peer_join(thread);
	cr_assert_eq(t.size, TOO_MUCH);
	cr_assert_not(t.is_wrong);
	free(data);
	pair_close(&p);
	return 0;
}

Test(stream_write, partial_writes_through_tiny_buffers_are_byte_exact)
{
	run_gated(write_through_tiny_buffers, NULL);
}

PAIR_TEST(stream_write, waits_as_long_as_the_peer_does_not_read)
{
	char *data = make_pattern(MUCH);
	struct writing w = { .stream = p->stream, .data = data, .size = MUCH };
	struct taking t = { .fd = p->peer, .piece = 65536 };
	pthread_t thread;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, write_once, &w), 0);
	cr_assert_eq(cede_sleep(20), 0);
	cr_assert_not(w.has_ended);
	thread = peer_start(take, &t);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.result, 0);
	cr_assert_eq(w.written, MUCH);
	cede_shutdown_write(p->stream);
	peer_join(thread);
	cr_assert_eq(t.size, MUCH);
	cr_assert_not(t.is_wrong);
	free(data);
}

/* ---- it is refused ---- */

PAIR_TEST(stream_write, sizes_that_are_none_are_refused)
{
	cede_write_t op;

	cr_assert_eq(cede_write(p->stream, "x", (size_t)SSIZE_MAX + 1), CEDE_EINVAL);
	cr_assert_eq(cede_write_start(p->stream, "x", (size_t)SSIZE_MAX + 1, &op), CEDE_EINVAL);
}

PAIR_TEST(stream_write, a_second_writer_is_refused_and_the_first_goes_on)
{
	char *data = make_pattern(MUCH);
	struct writing w = { .stream = p->stream, .data = data, .size = MUCH };
	struct taking t = { .fd = p->peer, .piece = 65536 };
	cede_write_t op;
	pthread_t thread;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, write_once, &w), 0);
	let_others_run();
	cr_assert_not(w.has_ended);
	cr_assert_eq(cede_write(p->stream, "x", 1), CEDE_EBUSY);
	cr_assert_eq(cede_write_start(p->stream, "x", 1, &op), CEDE_EBUSY);
	cr_assert_eq(cede_shutdown_write(p->stream), CEDE_EBUSY);
	thread = peer_start(take, &t);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.written, MUCH);
	cede_shutdown_write(p->stream);
	peer_join(thread);
	cr_assert_eq(t.size, MUCH);
	free(data);
}

PAIR_TEST(stream_write, after_the_half_close_is_refused)
{
	char byte;

	cr_assert_eq(cede_write(p->stream, "x", 1), 1);
	cr_assert_eq(cede_shutdown_write(p->stream), 0);
	cr_assert_eq(cede_shutdown_write(p->stream), 0);
	cr_assert_eq(cede_write(p->stream, "y", 1), CEDE_ESHUTDOWN);
	cr_assert_eq(peer_receive(p->peer, &byte, 1), 1);
	cr_assert_eq(peer_receive_end(p->peer, NULL), 0);
	peer_send(p->peer, "z", 1);
	cr_assert_eq(cede_read(p->stream, &byte, 1), 1);
}

Test(stream_write, outside_a_task_is_refused)
{
	struct outside o;
	cede_write_t op;

	leaks_begin();
	outside_open(&o);
	cr_assert_eq(cede_write(o.pair.stream, "x", 1), CEDE_ENOTASK);
	cr_assert_eq(cede_write_start(o.pair.stream, "x", 1, &op), CEDE_ENOTASK);
	outside_close(&o);
	leaks_end();
}

/* ---- the peer is gone ---- */

/* SIGPIPE has its default disposition back: only a library that never raises it survives. */
PAIR_TEST(stream_write, to_a_reset_peer_is_an_error_and_never_a_signal)
{
	ssize_t r = 1;

	signal(SIGPIPE, SIG_DFL);
	peer_reset(p->peer);
	p->peer = -1;
	wait_until_readable(p->stream->fd);
	r = cede_write(p->stream, "x", 1);
	cr_assert(r == CEDE_ECONNRESET || r == CEDE_EPIPE, "%zd", r);
	cr_assert_eq(cede_write(p->stream, "x", 1), CEDE_EPIPE);
	cr_assert_eq(cede_write(p->stream, "x", 1), CEDE_EPIPE);
}

PAIR_TEST(stream_write, to_a_closed_peer_becomes_an_error)
{
	ssize_t r = 1;

	peer_close(p->peer);
	p->peer = -1;
	while (r > 0) {
		r = cede_write(p->stream, "x", 1);
		cr_assert_eq(cede_sleep(0), 0);
	}
	cr_assert(r == CEDE_ECONNRESET || r == CEDE_EPIPE, "%zd", r);
}

PAIR_TEST(stream_write, a_reset_ends_a_write_that_waits)
{
	char *data = make_pattern(MUCH);
	struct writing w = { .stream = p->stream, .data = data, .size = MUCH };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, write_once, &w), 0);
	let_others_run();
	cr_assert_not(w.has_ended);
	peer_reset(p->peer);
	p->peer = -1;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert(w.result == CEDE_ECONNRESET || w.result == CEDE_EPIPE, "%zd", w.result);
	cr_assert_gt(w.written, 0);
	cr_assert_lt(w.written, MUCH, "all was 'written' to a peer that took none of it");
	cr_assert_eq(cede_write(p->stream, "x", 1), CEDE_EPIPE);
	free(data);
}

PAIR_TEST(stream_write, a_peer_that_closes_unread_ends_a_write_that_waits)
{
	char *data = make_pattern(MUCH);
	struct writing w = { .stream = p->stream, .data = data, .size = MUCH };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, write_once, &w), 0);
	let_others_run();
	peer_close(p->peer);
	p->peer = -1;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert(w.result == CEDE_ECONNRESET || w.result == CEDE_EPIPE, "%zd", w.result);
	cr_assert_lt(w.written, MUCH);
	free(data);
}

PAIR_TEST(stream_write, a_peer_that_half_closes_is_written_to)
{
	char *data = make_pattern(MUCH);
	struct writing w = { .stream = p->stream, .data = data, .size = MUCH };
	struct taking t = { .fd = p->peer, .piece = 65536 };
	pthread_t thread;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, write_once, &w), 0);
	let_others_run();
	peer_shutdown(p->peer);
	cr_assert_eq(cede_sleep(5), 0);
	thread = peer_start(take, &t);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.result, 0);
	cede_shutdown_write(p->stream);
	peer_join(thread);
	cr_assert_eq(t.size, MUCH);
	free(data);
}

/* ---- cancelled ---- */

static int
write_while_closing(void *arg)
{
	struct writing *w = arg;

	close_oneself();
	w->result = cede_write(w->stream, w->data, w->size);
	return (int)w->result;
}

PAIR_TEST(stream_write, cancelled_before_it_starts_writes_nothing)
{
	struct writing w = { .stream = p->stream, .data = "never", .size = 5 };
	char buffer[16];

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, write_while_closing, &w), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.result, CEDE_EXIT);
	cr_assert_eq(cede_write(p->stream, "hello", 5), 5);
	cr_assert_eq(peer_receive(p->peer, buffer, 5), 5);
	cr_assert_arr_eq(buffer, "hello", 5);
}

/* What is written when the write is given up is what the peer can receive at most. */
static int
cancel_half_way(void *arg)
{
	struct pair p;
	char *data = make_pattern(TOO_MUCH);
	struct writing w = { .data = data, .size = TOO_MUCH };
	cede_task_t *task;

	pair_open_sized(&p, TINY, TINY);
	w.stream = p.stream;
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, write_once, &w, NULL, &task), 0);
	let_others_run();
	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_group_wait(&g), 0);
	cede_task_unref(task);
	memset(data, 0xff, TOO_MUCH); /* nobody sends from it any more */
	cr_assert_eq(w.result, CEDE_EXIT);
	cr_assert_gt(w.written, 0);
	cr_assert_lt(w.written, TOO_MUCH);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_write(p.stream, "x", 1), CEDE_EPIPE);
	free(data);
	pair_close(&p);
	return 0;
}

Test(stream_write, cancelled_half_way_reports_what_was_written_and_breaks_the_stream)
{
	run_gated(cancel_half_way, NULL);
}

PAIR_TEST(stream_write, cancelled_half_way_resets_the_connection)
{
	char *data = make_pattern(MUCH);
	struct writing w = { .stream = p->stream, .data = data, .size = MUCH };
	cede_task_t *task;
	size_t received;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, write_once, &w, NULL, &task), 0);
	let_others_run();
	cede_task_cancel(task);
	cr_assert_eq(cede_group_wait(&g), 0);
	cede_task_unref(task);
	free(data);
	cede_close(p->stream);
	p->stream = NULL;
	cr_assert_eq(peer_receive_end(p->peer, &received), CEDE_ECONNRESET);
	cr_assert_leq(received, w.written);
}

PAIR_TEST(stream_write, cancelled_when_it_has_completed_keeps_its_result)
{
	cede_write_t op;
	char buffer[8];

	cr_assert_eq(cede_write_start(p->stream, "hello", 5, &op), 0);
	cr_assert(op.future.is_done);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(op.written, 5);
	cr_assert_eq(cede_write(p->stream, "world", 5), 5);
	cr_assert_eq(peer_receive(p->peer, buffer, 5), 5);
}

PAIR_TEST(stream_write, a_timeout_scope_ends_it_and_breaks_the_stream)
{
	char *data = make_pattern(MUCH);
	ssize_t r = 0;

	CEDE_TIMEOUT(10) {
		r = cede_write(p->stream, data, MUCH);
	}
	free(data);
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_eq(cede_write(p->stream, "x", 1), CEDE_EPIPE);
}

PAIR_TEST(stream_write, the_loser_of_a_select_reports_what_was_written)
{
	char *data = make_pattern(MUCH);
	cede_write_t wr;
	cede_sleep_t tick;

	cr_assert_eq(cede_write_start(p->stream, data, MUCH, &wr), 0);
	cr_assert_eq(cede_sleep_start(5, &tick), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &wr.future, &tick.future }), 1);
	cr_assert_eq(wr.future.result, CEDE_ECANCELED);
	cr_assert_gt(wr.written, 0);
	cr_assert_lt(wr.written, MUCH);
	free(data);
	cr_assert_eq(cede_write(p->stream, "x", 1), CEDE_EPIPE);
}

/* A reader of the same stream learns of it too: the descriptor is gone. */
static int
read_once(void *arg)
{
	struct writing *w = arg;
	char byte;

	w->result = cede_read(w->stream, &byte, 1);
	return 0;
}

PAIR_TEST(stream_write, given_up_ends_a_read_of_another_task)
{
	char *data = make_pattern(MUCH);
	struct writing r = { .stream = p->stream };
	ssize_t n = 0;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &r), 0);
	let_others_run();
	CEDE_TIMEOUT(5) {
		n = cede_write(p->stream, data, MUCH);
	}
	free(data);
	cr_assert_eq(n, CEDE_ETIMEDOUT);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_ECANCELED);
	cr_assert_eq(cede_shutdown_write(p->stream), CEDE_EBADF);
}

/* ---- closed by another ---- */

PAIR_TEST(stream_write, a_close_by_another_task_ends_it)
{
	char *data = make_pattern(MUCH);
	struct writing w = { .stream = p->stream, .data = data, .size = MUCH };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, write_once, &w), 0);
	let_others_run();
	cede_close(p->stream);
	p->stream = NULL;
	memset(data, 0xff, MUCH);
	free(data);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.result, CEDE_ECANCELED);
	cr_assert_lt(w.written, MUCH);
}

PAIR_TEST(stream_write, an_abort_by_another_task_ends_it)
{
	char *data = make_pattern(MUCH);
	struct writing w = { .stream = p->stream, .data = data, .size = MUCH };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, write_once, &w), 0);
	let_others_run();
	cede_abort(p->stream);
	p->stream = NULL;
	free(data);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.result, CEDE_ECANCELED);
	cr_assert_eq(peer_receive_end(p->peer, NULL), CEDE_ECONNRESET);
}

/* ---- half-close ---- */

PAIR_TEST(stream_write, the_half_close_of_a_reset_stream_is_an_error)
{
	char byte;

	peer_reset(p->peer);
	p->peer = -1;
	cr_assert_eq(cede_read(p->stream, &byte, 1), CEDE_ECONNRESET);
	cr_assert_eq(cede_shutdown_write(p->stream), CEDE_ENOTCONN);
}

/* ---- out of memory ---- */

/* A write that has to wait needs a place in the timer heap when the stream has an idle limit. */
static int
write_with_an_idle_limit(struct pair *p)
{
	char *data = make_pattern(MUCH);
	size_t received = 0;
	cede_write_t op;
	int r = cede_stream_set_idle(p->stream, 60000);

	if (r == 0)
		r = cede_write_start(p->stream, data, MUCH, &op);
	if (r == 0 && !op.future.is_done)
		cede_future_cancel(&op.future);
	r = op.future.result == CEDE_ENOMEM ? CEDE_ENOMEM : 0;
	free(data);
	if (r == CEDE_ENOMEM) {
		/* Part of it had gone: the message is broken, and how much went is known. */
		cr_expect_eq(cede_write(p->stream, "x", 1), CEDE_EPIPE);
		cr_expect_eq(cede_shutdown_write(p->stream), CEDE_EBADF, "it looks whole");
		cr_expect_eq(recv(p->peer, (char[1]){ 0 }, 1, MSG_PEEK), 1);
		cr_expect_gt(op.written, 0, "bytes have gone and are not told of");
		cede_close(p->stream);
		p->stream = NULL;
		peer_receive_end(p->peer, &received);
		cr_expect_leq(received, op.written);
	}
	return r;
}

Test(stream_write, an_allocation_that_fails_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(write_with_an_idle_limit, FAULT_ONCE), 1);
}

Test(stream_write, no_memory_at_all_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(write_with_an_idle_limit, FAULT_FOREVER), 1);
}

/* ---- fairness ---- */

static int
count_turns(void *arg)
{
	int *turns = arg, r;

	while ((r = cede_sleep(0)) == 0)
		++*turns;
	return r;
}

PAIR_TEST(stream_write, a_writer_that_never_waits_lets_others_run)
{
	int turns = 0;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, count_turns, &turns), 0);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(cede_write(p->stream, "x", 1), 1);
	cr_assert_gt(turns, 0);
}
