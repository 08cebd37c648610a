/* Reading: net/stream_read.c. */
#include "tests/net/pair.h"

#include <limits.h>
#include <signal.h>

#include "tests/support/fault.h"

TestSuite(stream_read, .timeout = 30);

/* A read in a task of its own, so that another can interfere. */
struct reading {
	cede_stream_t *stream;
	ssize_t result;
	char buffer[64];
	int times_read;
};

static int
read_once(void *arg)
{
	struct reading *r = arg;

	r->result = cede_read(r->stream, r->buffer, sizeof r->buffer);
	r->times_read++;
	return 0;
}

/* ---- it succeeds ---- */

PAIR_TEST(stream_read, returns_what_is_there_already)
{
	char buffer[16];

	peer_send(p->peer, "hello", 5);
	wait_until_readable(p->stream->fd);
	cr_assert_eq(cede_read(p->stream, buffer, sizeof buffer), 5);
	cr_assert_arr_eq(buffer, "hello", 5);
}

PAIR_TEST(stream_read, waits_for_what_is_to_come)
{
	struct reading r = { .stream = p->stream };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &r), 0);
	let_others_run();
	cr_assert_eq(r.times_read, 0);
	peer_send(p->peer, "hello", 5);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 5);
	cr_assert_arr_eq(r.buffer, "hello", 5);
}

PAIR_TEST(stream_read, reads_at_most_the_size_and_keeps_the_rest)
{
	char buffer[8] = "xxxxxxx";

	peer_send(p->peer, "abcdef", 6);
	wait_until_readable(p->stream->fd);
	cr_assert_eq(cede_read(p->stream, buffer, 1), 1);
	cr_assert_str_eq(buffer, "axxxxxx");
	cr_assert_eq(cede_read(p->stream, buffer, 2), 2);
	cr_assert_str_eq(buffer, "bcxxxxx");
	cr_assert_eq(cede_read(p->stream, buffer, sizeof buffer), 3);
	cr_assert_str_eq(buffer, "defxxxx");
}

PAIR_TEST(stream_read, data_that_came_while_nobody_read_is_kept)
{
	struct reading r = { .stream = p->stream };
	cede_task_t *task;

	/* Armed by a read that is given up, then stopped by what comes. */
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, read_once, &r, NULL, &task), 0);
	let_others_run();
	cede_task_cancel(task);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_EXIT);
	cede_task_unref(task);
	peer_send(p->peer, "hello", 5);
	while (p->stream->is_armed)
		cr_assert_eq(cede_sleep(1), 0);

	cr_assert_eq(cede_read(p->stream, r.buffer, sizeof r.buffer), 5);
	peer_send(p->peer, "again", 5);
	cr_assert_eq(cede_read(p->stream, r.buffer, sizeof r.buffer), 5);
	cr_assert_arr_eq(r.buffer, "again", 5);
}

/* ---- the end ---- */

PAIR_TEST(stream_read, the_end_of_file_is_zero_and_stays)
{
	char buffer[16];

	peer_send(p->peer, "bye", 3);
	peer_shutdown(p->peer);
	cr_assert_eq(cede_read(p->stream, buffer, sizeof buffer), 3);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_read(p->stream, buffer, sizeof buffer), 0);
}

PAIR_TEST(stream_read, the_end_of_file_ends_a_read_that_waits)
{
	struct reading r = { .stream = p->stream, .result = 1 };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &r), 0);
	let_others_run();
	peer_close(p->peer);
	p->peer = -1;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 0);
}

PAIR_TEST(stream_read, a_half_closed_peer_is_still_written_to)
{
	char buffer[16];

	peer_shutdown(p->peer);
	cr_assert_eq(cede_read(p->stream, buffer, sizeof buffer), 0);
	cr_assert_eq(cede_write(p->stream, "answer", 6), 6);
	cr_assert_eq(peer_receive(p->peer, buffer, 6), 6);
	cr_assert_arr_eq(buffer, "answer", 6);
}

PAIR_TEST(stream_read, a_reset_is_an_error)
{
	char buffer[16];

	peer_reset(p->peer);
	p->peer = -1;
	cr_assert_eq(cede_read(p->stream, buffer, sizeof buffer), CEDE_ECONNRESET);
}

/* Asked a second time the system says "end of file", as if all had been well. */
PAIR_TEST(stream_read, a_reset_stays_an_error)
{
	char buffer[16];

	peer_reset(p->peer);
	p->peer = -1;
	cr_assert_eq(cede_read(p->stream, buffer, sizeof buffer), CEDE_ECONNRESET);
	cr_assert_eq(cede_read(p->stream, buffer, sizeof buffer), CEDE_ECONNRESET);
}

PAIR_TEST(stream_read, a_lent_buffer_has_what_came)
{
	const void *data = NULL;

	peer_send(p->peer, "hello", 5);
	cr_assert_eq(cede_read_lend(p->stream, &data), 5);
	cr_assert_eq(memcmp(data, "hello", 5), 0);
	cede_read_return(p->stream);
	peer_shutdown(p->peer);
	cr_assert_eq(cede_read_lend(p->stream, &data), 0);
}

PAIR_TEST(stream_read, a_lending_read_in_a_select_has_its_data_as_the_value)
{
	cede_read_t op;
	cede_sleep_t tick;
	cede_future_t *both[] = { &tick.future, &op.future };

	cr_assert_eq(cede_read_lend_start(p->stream, &op), 0);
	cr_assert_eq(cede_sleep_start(60000, &tick), 0);
	peer_send(p->peer, "hi", 2);
	cr_assert_eq(cede_select(2, both), 1);
	cr_assert_eq(op.future.result, 2);
	cr_assert_eq(memcmp(op.future.value, "hi", 2), 0);
}

PAIR_TEST(stream_read, a_reset_ends_a_read_that_waits)
{
	struct reading r = { .stream = p->stream };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &r), 0);
	let_others_run();
	peer_reset(p->peer);
	p->peer = -1;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_ECONNRESET);
}

PAIR_TEST(stream_read, an_end_of_file_that_nobody_reads_does_not_spin)
{
	struct reading r = { .stream = p->stream };
	uv_loop_t *uv = cede_loop_uv(cede_loop_current());
	cede_task_t *task;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, read_once, &r, NULL, &task), 0);
	let_others_run();
	cede_task_cancel(task);
	cr_assert_eq(cede_group_wait(&g), 0);
	cede_task_unref(task);
	peer_close(p->peer);
	p->peer = -1;
	while (p->stream->is_armed)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert(uv_loop_alive(uv) == 0 || !uv_is_active(&p->stream->own.handle));
}

/* ---- what is refused ---- */

PAIR_TEST(stream_read, sizes_that_are_none_are_refused)
{
	char buffer[1];
	cede_read_t op;

	cr_assert_eq(cede_read(p->stream, buffer, 0), CEDE_EINVAL);
	cr_assert_eq(cede_read(p->stream, buffer, (size_t)INT_MAX + 1), CEDE_EINVAL);
	cr_assert_eq(cede_read_start(p->stream, buffer, 0, &op), CEDE_EINVAL);
	cr_assert_eq(cede_read_start(p->stream, buffer, (size_t)INT_MAX + 1, &op), CEDE_EINVAL);
}

PAIR_TEST(stream_read, a_second_reader_is_refused_and_the_first_goes_on)
{
	struct reading r = { .stream = p->stream };
	char buffer[16];
	cede_read_t op;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &r), 0);
	let_others_run();
	cr_assert_eq(cede_read(p->stream, buffer, sizeof buffer), CEDE_EBUSY);
	cr_assert_eq(cede_read_start(p->stream, buffer, sizeof buffer, &op), CEDE_EBUSY);
	peer_send(p->peer, "hello", 5);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 5);
}

Test(stream_read, outside_a_task_is_refused)
{
	struct outside o;
	cede_read_t op;
	char buffer[16];

	leaks_begin();
	outside_open(&o);
	cr_assert_eq(cede_read(o.pair.stream, buffer, sizeof buffer), CEDE_ENOTASK);
	cr_assert_eq(cede_read_start(o.pair.stream, buffer, sizeof buffer, &op), CEDE_ENOTASK);
	outside_close(&o);
	leaks_end();
}

/* ---- cancelled ---- */

static int
read_while_closing(void *arg)
{
	struct reading *r = arg;

	close_oneself();
	return read_once(arg), (int)r->result;
}

PAIR_TEST(stream_read, cancelled_before_it_starts_reads_nothing)
{
	struct reading r = { .stream = p->stream };
	char buffer[16];

	peer_send(p->peer, "hello", 5);
	wait_until_readable(p->stream->fd);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_while_closing, &r), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_EXIT);
	cr_assert_eq(cede_read(p->stream, buffer, sizeof buffer), 5);
}

PAIR_TEST(stream_read, cancelled_while_it_waits_loses_no_byte)
{
	char buffer[64];

	for (int i = 0; i < 20; i++) {
		struct reading r = { .stream = p->stream };
		cede_task_t *task;

		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn_with(&g, read_once, &r, NULL, &task), 0);
		let_others_run();
		/* In half of the rounds the bytes are there before the cancel, unseen by the loop. */
		if (i % 2)
			peer_send(p->peer, "hello", 5);
		cr_assert_eq(cede_task_cancel(task), 1);
		cr_assert_eq(cede_group_wait(&g), 0);
		cr_assert_eq(cede_task_unref(task), NULL);
		cr_assert(r.result == CEDE_EXIT || (i % 2 && r.result == 5));
		if (!(i % 2))
			peer_send(p->peer, "hello", 5);
		if (r.result == CEDE_EXIT)
			cr_assert_eq(cede_read(p->stream, buffer, sizeof buffer), 5);
	}
}

PAIR_TEST(stream_read, cancelled_when_it_has_completed_keeps_its_result)
{
	cede_read_t op;
	char buffer[16];

	peer_send(p->peer, "hello", 5);
	wait_until_readable(p->stream->fd);
	cr_assert_eq(cede_read_start(p->stream, buffer, sizeof buffer, &op), 0);
	cr_assert(op.future.is_done);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_await(&op.future), 5);
}

PAIR_TEST(stream_read, a_timeout_scope_ends_it_and_loses_no_byte)
{
	ssize_t r = 0;
	char buffer[16];

	CEDE_TIMEOUT(5) {
		r = cede_read(p->stream, buffer, sizeof buffer);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	peer_send(p->peer, "hello", 5);
	cr_assert_eq(cede_read(p->stream, buffer, sizeof buffer), 5);
}

/*
 * | reader              | libuv          | other          |
 * |---------------------+----------------+----------------|
 * | read, waits         |                |                |
 * |                     | "readable"     |                |
 * |                     |                | cancels reader |
 * | read returns 5      |                |                |
 * | next await CEDE_EXIT|                |                |
 */
struct raced {
	struct reading reading;
	cede_task_t *task;
	int next;
};

static int
read_then_sleep(void *arg)
{
	struct raced *r = arg;

	read_once(&r->reading);
	r->next = cede_sleep(1);
	return r->next;
}

PAIR_TEST(stream_read, completed_beats_cancelled)
{
	struct raced r = { .reading.stream = p->stream, .next = 1 };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, read_then_sleep, &r, NULL, &r.task), 0);
	let_others_run();
	peer_send(p->peer, "hello", 5);
	wait_until_readable(p->stream->fd);
	/* What libuv does: it reports the socket. The task is made ready, and runs later. */
	p->stream->handle->read_cb(p->stream->handle, UV_ENOBUFS, NULL);
	cr_assert_eq(cede_task_cancel(r.task), 1);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.reading.result, 5);
	cr_assert_eq(r.next, CEDE_EXIT);
	cede_task_unref(r.task);
}

/* ---- the stream is closed by another ---- */

PAIR_TEST(stream_read, a_close_by_another_task_ends_it)
{
	struct reading r = { .stream = p->stream };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &r), 0);
	let_others_run();
	cede_close(p->stream);
	p->stream = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_ECANCELED);
}

PAIR_TEST(stream_read, an_abort_by_another_task_ends_it)
{
	struct reading r = { .stream = p->stream };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &r), 0);
	let_others_run();
	cede_abort(p->stream);
	p->stream = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_ECANCELED);
	cr_assert_eq(peer_receive_end(p->peer, NULL), CEDE_ECONNRESET);
}

/* ---- select ---- */

PAIR_TEST(stream_read, the_loser_of_a_select_loses_no_byte)
{
	char buffer[16], got[16];
	size_t sent = 0, received = 0;

	for (int i = 0; i < 50; i++) {
		cede_read_t rd;
		cede_sleep_t tick;
		char byte = (char)i;
		int first;

		if (i % 3 == 0) {
			peer_send(p->peer, &byte, 1);
			sent++;
		}
		cr_assert_eq(cede_read_start(p->stream, buffer, sizeof buffer, &rd), 0);
		cr_assert_eq(cede_sleep_start(1, &tick), 0);
		first = cede_select(2, (cede_future_t *[]){ &rd.future, &tick.future });
		cr_assert(first == 0 || first == 1);
		cr_assert(rd.future.is_done && tick.future.is_done);
		if (rd.future.result > 0)
			received += (size_t)rd.future.result;
		else
			cr_assert_eq(rd.future.result, CEDE_ECANCELED);
	}
	while (received < sent) {
		ssize_t n = cede_read(p->stream, got, sizeof got);

		cr_assert_gt(n, 0);
		received += (size_t)n;
	}
	cr_assert_eq(received, sent);
}

PAIR_TEST(stream_read, a_select_over_read_sleep_and_accept_loses_nothing)
{
	static const char *const messages[] = { "a", "b", "c", "d" };
	size_t accepted = 0, bytes = 0, ticks = 0;
	int peers[4];

	for (size_t i = 0; i < 4; i++) {
		peers[i] = peer_connect(p->port);
		peer_send(p->peer, messages[i], 1);
	}
	while (accepted < 4 || bytes < 4 || ticks < 2) {
		cede_read_t rd;
		cede_sleep_t tick;
		cede_accept_t ac;
		char byte;
		int first;

		cr_assert_eq(cede_read_start(p->stream, &byte, 1, &rd), 0);
		cr_assert_eq(cede_sleep_start(1, &tick), 0);
		cr_assert_eq(cede_accept_start(p->listener, &ac), 0);
		first = cede_select(3, (cede_future_t *[]){ &rd.future, &tick.future, &ac.future });
		cr_assert_geq(first, 0);
		if (rd.future.result == 1)
			cr_assert_eq(byte, messages[bytes++][0]);
		if (tick.future.result == 0)
			ticks++;
		if (ac.future.result == 0) {
			accepted++;
			cede_close(ac.stream);
		}
	}
	for (size_t i = 0; i < 4; i++)
		peer_close(peers[i]);
}

/* ---- short reads ---- */

struct drip {
	int fd;
	size_t size;
	size_t piece;
};

static void *
send_in_pieces(void *arg)
{
	struct drip *d = arg;
	char buffer[4096];

	for (size_t at = 0; at < d->size;) {
		size_t n = d->size - at < d->piece ? d->size - at : d->piece;

		peer_fill(buffer, n, at);
		if (peer_send(d->fd, buffer, n) < 0)
			break;
		at += n;
	}
	peer_shutdown(d->fd);
	return NULL;
}

PAIR_TEST(stream_read, short_reads_are_byte_exact)
{
	struct drip d = { .fd = p->peer, .size = 200000, .piece = 1237 };
	int tiny = 16384;
	size_t at = 0;
	ssize_t n;
	char buffer[777];
	pthread_t thread;

	setsockopt(p->stream->fd, SOL_SOCKET, SO_RCVBUF, &tiny, sizeof tiny);
	thread = peer_start(send_in_pieces, &d);
	while ((n = cede_read(p->stream, buffer, 1 + at % sizeof buffer)) > 0) {
		cr_assert(peer_is_pattern(buffer, (size_t)n, at), "at %zu", at);
		at += (size_t)n;
	}
	cr_assert_eq(n, 0);
	cr_assert_eq(at, d.size);
	peer_join(thread);
}

PAIR_TEST(stream_read, an_interrupting_signal_is_invisible)
{
	struct reading r = { .stream = p->stream };

	signal(SIGUSR1, SIG_IGN);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &r), 0);
	let_others_run();
	kill(getpid(), SIGUSR1);
	cr_assert_eq(cede_sleep(1), 0);
	peer_send(p->peer, "hello", 5);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, 5);
}

/* ---- fairness ---- */

struct greedy {
	cede_stream_t *stream;
	size_t size;
	int has_ended;
};

static int
read_byte_by_byte(void *arg)
{
	struct greedy *g = arg;
	char byte;

	for (size_t i = 0; i < g->size; i++)
		cr_assert_eq(cede_read(g->stream, &byte, 1), 1);
	g->has_ended = 1;
	return 0;
}

PAIR_TEST(stream_read, a_peer_that_floods_does_not_starve_the_others)
{
	static char flood[50000];
	struct greedy greedy = { .stream = p->stream, .size = sizeof flood };
	char byte;
	cede_stream_t *other;
	int fd = peer_connect(p->port);

	cr_assert_eq(cede_accept(p->listener, &other), 0);
	peer_send(p->peer, flood, sizeof flood);
	wait_until_readable(p->stream->fd);
	peer_send(fd, "x", 1);

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_byte_by_byte, &greedy), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_read(other, &byte, 1), 1);
	cr_assert_not(greedy.has_ended, "50,000 reads in one go");
	cr_assert_eq(cede_group_wait(&g), 0);
	cede_close(other);
	peer_close(fd);
}

/* ---- out of memory ---- */

/* A read that waits needs a place in the timer heap when the stream has an idle limit. */
static int
read_with_an_idle_limit(struct pair *p)
{
	cede_read_t op;
	char buffer[16];
	int r = cede_stream_set_idle(p->stream, 60000);

	if (r == 0)
		r = cede_read_start(p->stream, buffer, sizeof buffer, &op);
	if (r < 0)
		return r;
	peer_send(p->peer, "hello", 5);
	r = cede_await(&op.future);
	return r == 5 ? 0 : r;
}

Test(stream_read, an_allocation_that_fails_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(read_with_an_idle_limit, FAULT_ONCE), 1);
}

Test(stream_read, no_memory_at_all_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(read_with_an_idle_limit, FAULT_FOREVER), 1);
}
