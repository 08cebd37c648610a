/*
 * The idle limit: net/stream.c. On a clock that the tests move: what is sent is
 * in the kernel before the loop is let run, so that no wait jumps over it.
 */
#include "tests/net/pair.h"

#include <stdlib.h>

#include "tests/support/clock.h"

TestSuite(stream_idle, .timeout = 30);

/* Criterion's own messages need a clock that goes: it is put back before the test returns. */
#define IDLE_TEST(name) \
	static void idle_##name(struct pair *p); \
	Test(stream_idle, name) \
	{ \
		void (*body)(struct pair *) = idle_##name; \
		clock_start(); \
		run_gated(run_pair_body, &body); \
		clock_is_virtual = 0; \
	} \
	static void idle_##name(struct pair *p)

#define LIMIT 60000
#define MUCH  ((size_t)32 << 20)

struct waiting {
	cede_stream_t *stream;
	char *data;
	ssize_t result;
	size_t written;
	int64_t ended_ms; /* 0: it waits */
};

static int
read_once(void *arg)
{
	struct waiting *w = arg;
	char byte;

	w->result = cede_read(w->stream, &byte, 1);
	w->ended_ms = clock_ms();
	return 0;
}

static int
write_much(void *arg)
{
	struct waiting *w = arg;
	cede_write_t op;
	int r = cede_write_start(w->stream, w->data, MUCH, &op);

	w->result = r < 0 ? r : cede_await(&op.future);
	w->written = op.written;
	w->ended_ms = clock_ms();
	return 0;
}

IDLE_TEST(a_read_is_ended_at_the_limit_and_so_is_every_later_call)
{
	const int64_t before = clock_ms();
	char byte;

	cr_assert_eq(cede_stream_set_idle(p->stream, LIMIT), 0);
	cr_assert_eq(cede_read(p->stream, &byte, 1), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - before, LIMIT);
	cr_assert_eq(cede_read(p->stream, &byte, 1), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_write(p->stream, "x", 1), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - before, LIMIT);
}

IDLE_TEST(there_is_none_unless_it_is_set)
{
	struct waiting w = { .stream = p->stream };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &w), 0);
	cr_assert_eq(cede_sleep(365ull * 24 * 3600 * 1000), 0);
	cr_assert_eq(w.ended_ms, 0);
	peer_send(p->peer, "x", 1);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.result, 1);
}

IDLE_TEST(time_in_which_nobody_waits_does_not_count)
{
	const int64_t before = clock_ms();
	char byte;

	cr_assert_eq(cede_stream_set_idle(p->stream, LIMIT), 0);
	cr_assert_eq(cede_sleep(10 * LIMIT), 0);
	cr_assert_eq(cede_read(p->stream, &byte, 1), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - before, 11 * LIMIT);
}

IDLE_TEST(a_byte_that_is_read_moves_it)
{
	int64_t before;
	char byte;

	cr_assert_eq(cede_stream_set_idle(p->stream, LIMIT), 0);
	for (int i = 0; i < 5; i++) {
		struct waiting w = { .stream = p->stream };

		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn(&g, read_once, &w), 0);
		cr_assert_eq(cede_sleep(LIMIT - 1), 0);
		cr_assert_eq(w.ended_ms, 0);
		peer_send(p->peer, "x", 1);
		wait_until_readable(p->stream->fd);
		cr_assert_eq(cede_group_wait(&g), 0);
		cr_assert_eq(w.result, 1);
	}
	before = clock_ms();
	cr_assert_eq(cede_read(p->stream, &byte, 1), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - before, LIMIT);
}

IDLE_TEST(a_byte_in_the_other_direction_moves_it_too)
{
	struct waiting w = { .stream = p->stream };
	int64_t last = 0;

	cr_assert_eq(cede_stream_set_idle(p->stream, LIMIT), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &w), 0);
	for (int i = 0; i < 5; i++) {
		cr_assert_eq(cede_sleep(LIMIT - 1), 0);
		cr_assert_eq(w.ended_ms, 0);
		cr_assert_eq(cede_write(p->stream, "x", 1), 1);
		last = clock_ms();
	}
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.result, CEDE_ETIMEDOUT);
	cr_assert_eq(w.ended_ms - last, LIMIT);
}

IDLE_TEST(a_write_to_a_peer_that_takes_nothing_is_ended_at_the_limit)
{
	struct waiting w = { .stream = p->stream, .data = calloc(1, MUCH) };
	const int64_t before = clock_ms();
	char byte;

	cr_assert_eq(cede_stream_set_idle(p->stream, LIMIT), 0);
	write_much(&w);
	cr_assert_eq(w.result, CEDE_ETIMEDOUT);
	cr_assert_gt(w.written, 0);
	cr_assert_lt(w.written, MUCH);
	cr_assert_eq(w.ended_ms - before, LIMIT, "it took %lld ms",
		(long long)(w.ended_ms - before));
	cr_assert_eq(cede_write(p->stream, "x", 1), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_read(p->stream, &byte, 1), CEDE_ETIMEDOUT);
	free(w.data);
	cede_close(p->stream);
	p->stream = NULL;
	cr_assert_eq(peer_receive_end(p->peer, NULL), CEDE_ECONNRESET);
}

IDLE_TEST(a_second_write_that_waits_is_ended_at_the_limit_too)
{
	struct waiting w = { .stream = p->stream, .data = calloc(1, MUCH) };
	struct waiting r = { .stream = p->stream };
	int64_t before;

	/* The timer runs already, for a read that began earlier. */
	cr_assert_eq(cede_stream_set_idle(p->stream, LIMIT), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &r), 0);
	cr_assert_eq(cede_sleep(LIMIT / 2), 0);
	before = clock_ms();
	write_much(&w);
	cr_assert_eq(w.result, CEDE_ETIMEDOUT);
	cr_assert_eq(w.ended_ms - before, LIMIT, "it took %lld ms",
		(long long)(w.ended_ms - before));
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_ETIMEDOUT);
	cr_assert_eq(r.ended_ms, w.ended_ms);
	free(w.data);
}

IDLE_TEST(a_peer_that_takes_something_moves_it)
{
	struct waiting w = { .stream = p->stream, .data = calloc(1, MUCH) };
	static char taken[65536];
	size_t left;

	cr_assert_eq(cede_stream_set_idle(p->stream, LIMIT), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, write_much, &w), 0);
	for (int i = 0; i < 3; i++) {
		let_others_run();
		left = uv_stream_get_write_queue_size(p->stream->handle);
		cr_assert_eq(cede_sleep(LIMIT - 1), 0);
		cr_assert_eq(w.ended_ms, 0, "in round %d", i);
		/* Until the window has opened and libuv has sent something. */
		while (uv_stream_get_write_queue_size(p->stream->handle) == left) {
			recv(p->peer, taken, sizeof taken, MSG_DONTWAIT);
			let_others_run();
		}
	}
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.result, CEDE_ETIMEDOUT);
	free(w.data);
}

IDLE_TEST(it_can_be_set_changed_and_lifted_while_a_read_waits)
{
	struct waiting w = { .stream = p->stream };
	int64_t before;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &w), 0);
	let_others_run();
	cr_assert_eq(cede_stream_set_idle(p->stream, 100), 0);
	cr_assert_eq(cede_sleep(99), 0);
	cr_assert_eq(w.ended_ms, 0);
	cr_assert_eq(cede_stream_set_idle(p->stream, 1000), 0);
	cr_assert_eq(cede_sleep(999), 0);
	cr_assert_eq(w.ended_ms, 0);
	cr_assert_eq(cede_stream_set_idle(p->stream, 0), 0);
	cr_assert_eq(cede_sleep(100000), 0);
	cr_assert_eq(w.ended_ms, 0);
	before = clock_ms();
	cr_assert_eq(cede_stream_set_idle(p->stream, 10), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.result, CEDE_ETIMEDOUT);
	cr_assert_eq(w.ended_ms - before, 10);
}

IDLE_TEST(the_largest_limit_is_no_limit)
{
	struct waiting w = { .stream = p->stream };

	cr_assert_eq(cede_stream_set_idle(p->stream, UINT64_MAX), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &w), 0);
	cr_assert_eq(cede_sleep(365ull * 24 * 3600 * 1000), 0);
	cr_assert_eq(w.ended_ms, 0);
	cede_group_cancel(&g);
}

IDLE_TEST(a_timeout_scope_that_is_shorter_comes_first)
{
	const int64_t before = clock_ms();
	ssize_t r = 0;
	char byte;

	cr_assert_eq(cede_stream_set_idle(p->stream, LIMIT), 0);
	CEDE_TIMEOUT(100) {
		r = cede_read(p->stream, &byte, 1);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - before, 100);
	/* That was the scope's and not the stream's: it can be used on. */
	peer_send(p->peer, "x", 1);
	cr_assert_eq(cede_read(p->stream, &byte, 1), 1);
}

IDLE_TEST(what_comes_at_the_last_moment_is_not_lost)
{
	struct waiting w = { .stream = p->stream };

	cr_assert_eq(cede_stream_set_idle(p->stream, LIMIT), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &w), 0);
	cr_assert_eq(cede_sleep(LIMIT - 1), 0);
	peer_send(p->peer, "x", 1);
	wait_until_readable(p->stream->fd);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.result, 1);
}

IDLE_TEST(a_closed_stream_has_no_timer_left)
{
	struct waiting w = { .stream = p->stream };

	cr_assert_eq(cede_stream_set_idle(p->stream, LIMIT), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_once, &w), 0);
	let_others_run();
	cede_close(p->stream);
	p->stream = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(cede_sleep(2 * LIMIT), 0);
	cr_assert_eq(w.result, CEDE_ECANCELED);
}

/* ---- out of memory ---- */

static int
set_while_waiting(struct pair *p)
{
	cede_read_t op;
	char byte;
	int r = cede_read_start(p->stream, &byte, 1, &op);

	if (r < 0)
		return r;
	r = cede_stream_set_idle(p->stream, 1);
	if (r == 0)
		r = cede_await(&op.future) == CEDE_ETIMEDOUT ? 0 : CEDE_EINVAL;
	else
		cede_future_cancel(&op.future);
	return r;
}

Test(stream_idle, an_allocation_that_fails_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(set_while_waiting, FAULT_ONCE), 1);
}
