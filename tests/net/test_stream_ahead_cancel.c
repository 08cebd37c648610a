/*
 * Looking ahead, given up at each step: net/stream_ahead.c. Nothing is taken before it
 * is whole, so whatever ends the wait, all that has come is still there, unless the
 * stream is closed.
 */
#include "tests/net/ahead.h"

#include "tests/support/clock.h"

TestSuite(stream_ahead_cancel, .timeout = 60);

#define TEXT "abcde;\r\n"

typedef ssize_t look_fn(cede_stream_t *stream);

static ssize_t
look_for_line(cede_stream_t *s)
{
	char *line;
	int r = cede_read_line(s, 0, &line, NULL);

	if (r == 1)
		cr_assert_str_eq(line, "abcde;");
	return r;
}

static ssize_t
look_for_part(cede_stream_t *s)
{
	const void *data;
	ssize_t n = cede_read_until(s, "\r\n", 2, 0, &data);

	if (n > 0)
		cr_assert_arr_eq(data, TEXT, 8);
	return n > 0 ? 1 : n;
}

static ssize_t
peek_at_all(cede_stream_t *s)
{
	const void *data;
	ssize_t n = cede_peek(s, 8, &data);

	return n > 0 ? n == 8 : n;
}

struct looking {
	cede_stream_t *stream;
	look_fn *look;
	ssize_t result;
	int has_ended;
};

static int
look_once(void *arg)
{
	struct looking *l = arg;

	l->result = l->look(l->stream);
	l->has_ended = 1;
	return 0;
}

static int
look_within_time(void *arg)
{
	CEDE_TIMEOUT(1000)
		look_once(arg);
	return 0;
}

typedef void end_fn(struct ends *e, cede_group_t *group);

static void
by_cancel(struct ends *e, cede_group_t *group)
{
	cede_group_cancel(group);
}

static void
by_time(struct ends *e, cede_group_t *group)
{
	clock_advance(1000);
}

static void
by_idleness(struct ends *e, cede_group_t *group)
{
	cr_assert_eq(cede_stream_set_idle(e->stream, 10), 0);
	cr_assert_eq(cede_sleep(10), 0);
}

static void
by_deadline(struct ends *e, cede_group_t *group)
{
	cr_assert_eq(cede_stream_set_deadline(e->stream, 10), 0);
	cr_assert_eq(cede_sleep(10), 0);
}

static void
by_close(struct ends *e, cede_group_t *group)
{
	cede_close(e->stream);
	e->stream = NULL;
}

static void
by_abort(struct ends *e, cede_group_t *group)
{
	cede_abort(e->stream);
	e->stream = NULL;
}

/* What came before the end is read, and then what comes after it. */
static void
expect_nothing_lost(struct ends *e, size_t step, ssize_t then)
{
	char text[9] = "";
	ssize_t n;

	cr_assert_eq(cede__stream_ahead(e->stream), step);
	if (step > 0) {
		cr_assert_eq(cede_read_exactly(e->stream, text, step, NULL), (ssize_t)step);
		cr_assert_arr_eq(text, TEXT, step);
	}
	cr_assert_eq(peer_send(e->peer, &TEXT[step], 8 - step), 0);
	n = cede_read_exactly(e->stream, text, 8 - step, NULL);
	cr_assert_eq(n, then < 0 ? then : (ssize_t)(8 - step));
}

static void
expect_at_step(size_t step, look_fn *look, end_fn *end, ssize_t result, ssize_t then)
{
	struct looking l = { .look = look };
	struct ends e;

	ends_open(&e);
	l.stream = e.stream;
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, end == by_time ? look_within_time : look_once, &l), 0);
	let_others_run();
	for (size_t i = 0; i < step; i++) {
		cr_assert_eq(peer_send(e.peer, &TEXT[i], 1), 0);
		while (unread_by(e.stream) > 0 || !e.stream->reader)
			let_others_run();
	}
	end(&e, &g);
	while (!l.has_ended)
		let_others_run();
	cr_assert_eq(l.result, result, "%zd at %zu", l.result, step);
	if (e.stream)
		expect_nothing_lost(&e, step, then);
	cr_assert_leq(cede_group_wait(&g), 0);
	ends_close(&e);
}

static void
expect_at_each_step(end_fn *end, ssize_t result, ssize_t then)
{
	static look_fn *const looks[] = { look_for_line, look_for_part, peek_at_all };

	for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
		for (size_t step = 0; step < 8; step++)
			expect_at_step(step, looks[i], end, result, then);
}

TASK_TEST(stream_ahead_cancel, a_cancel_loses_nothing)
{
	expect_at_each_step(by_cancel, CEDE_EXIT, 0);
}

TASK_TEST(stream_ahead_cancel, a_timeout_loses_nothing)
{
	clock_start();
	expect_at_each_step(by_time, CEDE_ETIMEDOUT, 0);
	clock_stop();
}

/* A limit of the stream's ends what it has yet to receive. What was read ahead is there. */
TASK_TEST(stream_ahead_cancel, a_limit_ends_what_has_yet_to_come)
{
	clock_start();
	expect_at_each_step(by_idleness, CEDE_ETIMEDOUT, CEDE_ETIMEDOUT);
	expect_at_each_step(by_deadline, CEDE_ETIMEDOUT, CEDE_ETIMEDOUT);
	clock_stop();
}

TASK_TEST(stream_ahead_cancel, a_close_by_another_task_ends_it)
{
	expect_at_each_step(by_close, CEDE_ECANCELED, 0);
	expect_at_each_step(by_abort, CEDE_ECANCELED, 0);
}

/* The close comes behind the last byte, before the task has its turn: the buffer is gone. */
TASK_TEST(stream_ahead_cancel, a_close_behind_the_last_byte_ends_it_too)
{
	static look_fn *const looks[] = { look_for_line, look_for_part, peek_at_all };

	for (size_t i = 0; i < 3; i++) {
		struct looking l = { .look = looks[i] };
		struct ends e;

		ends_open(&e);
		l.stream = e.stream;
		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn(&g, look_once, &l), 0);
		let_others_run();
		cr_assert_eq(peer_send(e.peer, TEXT, 8), 0);
		cede__stream_readable(e.stream);
		by_close(&e, &g);
		cr_assert_eq(cede_group_wait(&g), 0);
		cr_assert_eq(l.result, CEDE_ECANCELED);
		ends_close(&e);
	}
}

/* The cancel comes behind the last byte: it is whole. */
TASK_TEST(stream_ahead_cancel, a_cancel_behind_the_last_byte_does_not_take_it_back)
{
	static look_fn *const looks[] = { look_for_line, look_for_part, peek_at_all };

	for (size_t i = 0; i < 3; i++) {
		struct looking l = { .look = looks[i] };
		struct ends e;

		ends_open(&e);
		l.stream = e.stream;
		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn(&g, look_once, &l), 0);
		let_others_run();
		cr_assert_eq(peer_send(e.peer, TEXT, 8), 0);
		cede__stream_readable(e.stream);
		cede_group_cancel(&g);
		cr_assert_leq(cede_group_wait(&g), 0);
		cr_assert_eq(l.result, 1);
		ends_close(&e);
	}
}

/* A write that is given up closes what is below: what was read ahead is still there. */
PAIR_TEST(stream_ahead_cancel, a_broken_stream_still_gives_what_was_read_ahead)
{
	char *line;

	peer_send(p->peer, "one\ntwo\nthr", 11);
	cr_assert_eq(cede_read_line(p->stream, 0, &line, NULL), 1);
	cede__stream_close_transport(p->stream, 1);
	cr_assert_eq(cede_read_line(p->stream, 0, &line, NULL), 1);
	cr_assert_str_eq(line, "two");
	cr_assert_eq(cede_read_line(p->stream, 0, &line, NULL), CEDE_ECANCELED);
}

TASK_TEST(stream_ahead_cancel, in_a_task_that_is_being_closed_nothing_is_given)
{
	char *line;
	const void *data;
	struct ends e;

	ends_open(&e);
	say(&e, "one\ntwo\n");
	cr_assert_eq(cede_read_line(e.stream, 0, &line, NULL), 1);
	close_oneself();
	cr_assert_eq(cede_read_line(e.stream, 0, &line, NULL), CEDE_EXIT);
	cr_assert_eq(cede_read_until(e.stream, "\n", 1, 0, &data), CEDE_EXIT);
	cr_assert_eq(cede_peek(e.stream, 1, &data), CEDE_EXIT);
	cr_assert_eq(cede__stream_ahead(e.stream), 4);
	ends_close(&e);
}

Test(stream_ahead_cancel, outside_of_all_tasks_there_is_nothing_to_wait_in)
{
	struct outside o;
	const void *data;
	char *line, byte;

	leaks_begin();
	outside_open(&o);
	cr_assert_eq(cede_read_line(o.pair.stream, 0, &line, NULL), CEDE_ENOTASK);
	cr_assert_eq(cede_read_until(o.pair.stream, "\n", 1, 0, &data), CEDE_ENOTASK);
	cr_assert_eq(cede_read_exactly(o.pair.stream, &byte, 1, NULL), CEDE_ENOTASK);
	cr_assert_eq(cede_peek(o.pair.stream, 1, &data), CEDE_ENOTASK);
	cr_assert_eq(cede_writev(o.pair.stream, NULL, 0), CEDE_ENOTASK);
	outside_close(&o);
	leaks_end();
}
