/*
 * The deadline of a stream, beside its idle limit: net/stream_limits.c. On a clock that
 * the tests move.
 */
#include "tests/net/ahead.h"

#include "tests/support/clock.h"

TestSuite(stream_deadline, .timeout = 30);

#define DEADLINE_TEST(name) \
	static void deadline_##name(struct ends *e); \
	Test(stream_deadline, name) \
	{ \
		void (*body)(struct ends *) = deadline_##name; \
		clock_start(); \
		run_gated(run_ends_body, &body); \
		clock_stop(); \
	} \
	static void deadline_##name(struct ends *e)

#define DUE 10000

struct waiting {
	cede_stream_t *stream;
	ssize_t result;
	size_t moved;
	int64_t ended_ms;
};

static int
read_all(void *arg)
{
	struct waiting *w = arg;
	char byte;

	while ((w->result = cede_read(w->stream, &byte, 1)) > 0)
		w->moved++;
	w->ended_ms = clock_ms();
	return 0;
}

static char much[8 << 20];

static int
write_much(void *arg)
{
	struct waiting *w = arg;
	cede_write_t op;
	int r = cede_write_start(w->stream, much, sizeof much, &op);

	w->result = r < 0 ? r : cede_await(&op.future);
	w->moved = op.written;
	w->ended_ms = clock_ms();
	return 0;
}

/* Every call says so from then on. */
static void
expect_over(cede_stream_t *s)
{
	char byte, *line;
	const void *data;
	const struct iovec piece = { &byte, 1 };

	cr_assert_eq(cede_read(s, &byte, 1), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_read_lend(s, &data), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_read_line(s, 0, &line, NULL), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_peek(s, 1, &data), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_read_exactly(s, &byte, 1, NULL), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_write(s, "x", 1), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_writev(s, &piece, 1), CEDE_ETIMEDOUT);
}

DEADLINE_TEST(ends_a_read_that_waits)
{
	struct waiting w = { .stream = e->stream };
	const int64_t before = clock_ms();

	cr_assert_eq(cede_stream_set_deadline(e->stream, DUE), 0);
	cr_assert_eq(read_all(&w), 0);
	cr_assert_eq(w.result, CEDE_ETIMEDOUT);
	cr_assert_eq(w.ended_ms - before, DUE);
	expect_over(e->stream);
}

DEADLINE_TEST(ends_a_write_that_waits_and_says_how_far_it_came)
{
	struct waiting w = { .stream = e->stream };
	const int64_t before = clock_ms();

	cr_assert_eq(cede_stream_set_deadline(e->stream, DUE), 0);
	cr_assert_eq(write_much(&w), 0);
	cr_assert_eq(w.result, CEDE_ETIMEDOUT);
	cr_assert_eq(w.ended_ms - before, DUE);
	expect_over(e->stream);
	cede_close(e->stream);
	e->stream = NULL;
	for (ssize_t n; (n = recv(e->peer, much, sizeof much, 0)) > 0;)
		w.moved -= (size_t)n;
	cr_assert_eq(w.moved, 0);
}

DEADLINE_TEST(ends_both)
{
	struct waiting r = { .stream = e->stream }, w = { .stream = e->stream };
	const int64_t before = clock_ms();

	cr_assert_eq(cede_stream_set_deadline(e->stream, DUE), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_all, &r), 0);
	cr_assert_eq(cede_spawn(&g, write_much, &w), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_ETIMEDOUT);
	cr_assert_eq(w.result, CEDE_ETIMEDOUT);
	cr_assert_eq(r.ended_ms - before, DUE);
	cr_assert_eq(w.ended_ms - before, DUE);
}

DEADLINE_TEST(passes_while_nobody_waits)
{
	cr_assert_eq(cede_stream_set_deadline(e->stream, DUE), 0);
	cr_assert_eq(cede_sleep(DUE - 1), 0);
	cr_assert_eq(cede_write(e->stream, "x", 1), 1);
	cr_assert_eq(cede_sleep(1), 0);
	expect_over(e->stream);
}

struct dripping {
	int fd, times;
};

static int
drip(void *arg)
{
	const struct dripping *d = arg;

	for (int i = 0; i < d->times; i++) {
		cr_assert_eq(peer_send(d->fd, "x", 1), 0);
		cr_assert_eq(cede_sleep(1000), 0);
	}
	return 0;
}

/* The idle limit lets it live. */
DEADLINE_TEST(ends_a_peer_that_drips)
{
	struct waiting w = { .stream = e->stream };
	struct dripping d = { e->peer, 20 };
	const int64_t before = clock_ms();

	cr_assert_eq(cede_stream_set_idle(e->stream, 1500), 0);
	cr_assert_eq(cede_stream_set_deadline(e->stream, DUE - 500), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, drip, &d), 0);
	cr_assert_eq(read_all(&w), 0);
	cr_assert_eq(w.result, CEDE_ETIMEDOUT);
	cr_assert_eq(w.moved, 10);
	cr_assert_eq(w.ended_ms - before, DUE - 500);
	cr_assert_eq(cede_group_wait(&g), 0);
}

/* A line that never ends, too. */
DEADLINE_TEST(ends_a_line_that_drips)
{
	struct dripping d = { e->peer, 20 };
	const int64_t before = clock_ms();
	char *line;

	cr_assert_eq(cede_stream_set_deadline(e->stream, DUE - 500), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, drip, &d), 0);
	cr_assert_eq(cede_read_line(e->stream, 0, &line, NULL), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - before, DUE - 500);
	cr_assert_eq(cede_group_wait(&g), 0);
}

DEADLINE_TEST(leaves_an_idle_limit_that_is_shorter_to_come_first)
{
	struct waiting w = { .stream = e->stream };
	const int64_t before = clock_ms();

	cr_assert_eq(cede_stream_set_deadline(e->stream, DUE), 0);
	cr_assert_eq(cede_stream_set_idle(e->stream, 100), 0);
	cr_assert_eq(read_all(&w), 0);
	cr_assert_eq(w.result, CEDE_ETIMEDOUT);
	cr_assert_eq(w.ended_ms - before, 100);
}

DEADLINE_TEST(comes_before_an_idle_limit_that_is_longer)
{
	struct waiting w = { .stream = e->stream };
	const int64_t before = clock_ms();

	cr_assert_eq(cede_stream_set_idle(e->stream, 2 * DUE), 0);
	cr_assert_eq(cede_stream_set_deadline(e->stream, DUE), 0);
	cr_assert_eq(read_all(&w), 0);
	cr_assert_eq(w.result, CEDE_ETIMEDOUT);
	cr_assert_eq(w.ended_ms - before, DUE);
}

DEADLINE_TEST(can_be_changed_and_lifted_while_a_read_waits)
{
	struct waiting w = { .stream = e->stream };
	int64_t before;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_all, &w), 0);
	let_others_run();
	cr_assert_eq(cede_stream_set_deadline(e->stream, 100), 0);
	cr_assert_eq(cede_sleep(99), 0);
	cr_assert_eq(cede_stream_set_deadline(e->stream, 1000), 0);
	cr_assert_eq(cede_sleep(999), 0);
	cr_assert_eq(w.ended_ms, 0);
	cr_assert_eq(cede_stream_set_deadline(e->stream, 0), 0);
	cr_assert_eq(cede_sleep(1000000), 0);
	cr_assert_eq(w.ended_ms, 0);
	before = clock_ms();
	cr_assert_eq(cede_stream_set_deadline(e->stream, 10), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.result, CEDE_ETIMEDOUT);
	cr_assert_eq(w.ended_ms - before, 10);
}

DEADLINE_TEST(lifted_leaves_the_idle_limit)
{
	struct waiting w = { .stream = e->stream };
	int64_t before;

	cr_assert_eq(cede_stream_set_idle(e->stream, 5000), 0);
	cr_assert_eq(cede_stream_set_deadline(e->stream, 1000), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_all, &w), 0);
	let_others_run();
	before = clock_ms();
	cr_assert_eq(cede_sleep(500), 0);
	cr_assert_eq(cede_stream_set_deadline(e->stream, 0), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.ended_ms - before, 5000);
}

DEADLINE_TEST(that_is_for_ever_is_none)
{
	struct waiting w = { .stream = e->stream };

	cr_assert_eq(cede_stream_set_deadline(e->stream, UINT64_MAX), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_all, &w), 0);
	cr_assert_eq(cede_sleep(365ull * 24 * 3600 * 1000), 0);
	cr_assert_eq(w.ended_ms, 0);
	cede_group_cancel(&g);
	cr_assert_leq(cede_group_wait(&g), 0);
}

/* What was read ahead is no longer the peer's. */
DEADLINE_TEST(does_not_take_what_was_read_ahead)
{
	char *line;

	say(e, "one\ntwo\nthr");
	cr_assert_eq(cede_read_line(e->stream, 0, &line, NULL), 1);
	cr_assert_eq(cede_stream_set_deadline(e->stream, 10), 0);
	cr_assert_eq(cede_sleep(20), 0);
	cr_assert_eq(cede_read_line(e->stream, 0, &line, NULL), 1);
	cr_assert_str_eq(line, "two");
	cr_assert_eq(cede_read_line(e->stream, 0, &line, NULL), CEDE_ETIMEDOUT);
}

/* It is no reason for the loop to live. */
DEADLINE_TEST(keeps_no_loop_alive)
{
	cr_assert_eq(cede_stream_set_deadline(e->stream, DUE), 0);
}

DEADLINE_TEST(of_a_closed_stream_is_gone)
{
	struct waiting w = { .stream = e->stream };

	cr_assert_eq(cede_stream_set_deadline(e->stream, 10), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_all, &w), 0);
	let_others_run();
	cede_close(e->stream);
	e->stream = NULL;
	cr_assert_eq(cede_sleep(20), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(w.result, CEDE_ECANCELED);
}

/* ---- out of memory ---- */

/* Without memory it is as it was: there is none. */
static int
set_one(struct pair *p)
{
	char byte;
	int r = cede_stream_set_deadline(p->stream, 1);

	if (r == CEDE_ENOMEM) {
		cr_assert_eq(p->stream->deadline_ms, 0);
		return r;
	}
	return cede_read(p->stream, &byte, 1) == CEDE_ETIMEDOUT ? 0 : CEDE_EIO;
}

Test(stream_deadline, that_cant_be_set_is_an_error_and_none)
{
	cr_assert_geq(expect_failures_are_survived(set_one, FAULT_ONCE), 1);
}
