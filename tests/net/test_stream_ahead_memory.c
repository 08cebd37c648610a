/*
 * What looking ahead costs in memory: net/stream_ahead.c, loop/buffers.c. A stream that
 * waits holds no buffer, or a small one; want of memory loses nothing.
 */
#include "tests/net/ahead.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cede/alloc.h>

TestSuite(stream_ahead_memory, .timeout = 60);

/* ---- which buffer a stream holds ---- */

struct looking {
	cede_stream_t *stream;
	size_t limit, peek; /* a peek of so many bytes, or a line */
	ssize_t result;
	int has_ended;
};

static int
look(void *arg)
{
	struct looking *l = arg;
	const void *data;
	char *line;

	l->result = l->peek ? cede_peek(l->stream, l->peek, &data)
			    : cede_read_line(l->stream, l->limit, &line, NULL);
	l->has_ended = 1;
	return 0;
}

static void
say_bytes(struct ends *e, size_t size)
{
	static char bytes[1 << 18];

	memset(bytes, 'x', sizeof bytes);
	while (size > 0) {
		const ssize_t n = send(e->peer, bytes, size < sizeof bytes ? size : sizeof bytes,
			MSG_DONTWAIT);

		if (n > 0)
			size -= (size_t)n;
		else
			let_others_run();
	}
	do
		let_others_run();
	while (unread_by(e->stream) > 0 || !e->stream->reader);
}

/* The size of what a stream holds that waits for more than these bytes, which came as one or one by one. */
static size_t
held_with(size_t first, size_t dripped, size_t limit)
{
	struct looking l = { .peek = limit };
	size_t held;
	struct ends e;

	ends_open(&e);
	l.stream = e.stream;
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, look, &l), 0);
	let_others_run();
	if (first > 0)
		say_bytes(&e, first);
	for (size_t i = 0; i < dripped; i++) {
		cr_assert_eq(peer_send(e.peer, "x", 1), 0);
		cede__stream_readable(e.stream);
		while (!e.stream->reader)
			let_others_run();
	}
	cr_assert_eq(cede__stream_ahead(e.stream), first + dripped);
	held = e.stream->buffer ? e.stream->buffer->size : 0;
	cede_group_cancel(&g);
	cr_assert_leq(cede_group_wait(&g), 0);
	ends_close(&e);
	return held;
}

#define MOST CEDE__BUFFER_SIZE_LARGE

TASK_TEST(stream_ahead_memory, who_waits_holds_as_little_as_there_is)
{
	cr_assert_eq(held_with(0, 0, MOST), 0);
	cr_assert_eq(held_with(1, 0, MOST), CEDE__BUFFER_SIZE_SMALL);
	cr_assert_eq(held_with(CEDE__BUFFER_SIZE_SMALL, 0, MOST), CEDE__BUFFER_SIZE_SMALL);
	cr_assert_eq(held_with(CEDE__BUFFER_SIZE_SMALL + 1, 0, MOST), CEDE__BUFFER_SIZE);
	cr_assert_eq(held_with(CEDE__BUFFER_SIZE + 1, 0, MOST), MOST);
}

TASK_TEST(stream_ahead_memory, a_peer_that_drips_does_not_hold_more)
{
	cr_assert_eq(held_with(0, 1000, MOST), CEDE__BUFFER_SIZE_SMALL);
	cr_assert_eq(held_with(0, CEDE__BUFFER_SIZE_SMALL + 1, MOST), CEDE__BUFFER_SIZE);
}

/* What came was nothing for the reader: a filter has half a record, say. */
ENDS_TEST(stream_ahead_memory, who_was_called_for_nothing_holds_no_more)
{
	struct looking l = { .stream = e->stream, .peek = MOST };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, look, &l), 0);
	let_others_run();
	say_bytes(e, 2);
	cr_assert_eq(e->stream->buffer->size, CEDE__BUFFER_SIZE_SMALL);
	cede__stream_readable(e->stream);
	cr_expect_eq(e->stream->buffer->size, CEDE__BUFFER_SIZE_SMALL);
	hang_up(e);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(l.result, 2);
}

/* A large buffer came for what has been taken since. */
ENDS_TEST(stream_ahead_memory, a_large_one_that_has_become_half_empty_goes)
{
	struct looking l = { .stream = e->stream, .peek = 150000 };
	const void *data;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, look, &l), 0);
	let_others_run();
	say_bytes(e, 149999);
	cr_assert_eq(peer_send(e->peer, "x", 1), 0);
	while (!l.has_ended)
		let_others_run();
	cr_assert_eq(e->stream->buffer->size, MOST);
	cr_assert_eq(cede_read_skip(e->stream, 140000), 0);
	CEDE_TIMEOUT(1) {
		cr_assert_eq(cede_peek(e->stream, 10001, &data), CEDE_ETIMEDOUT);
	}
	cr_assert_eq(e->stream->buffer->size, CEDE__BUFFER_SIZE);
	cr_assert_eq(cede__stream_ahead(e->stream), 10000);
	cr_assert_eq(cede_group_wait(&g), 0);
}

/* What was lent is kept until the next read, and not longer: nor at the end of file. */
ENDS_TEST(stream_ahead_memory, a_lent_line_is_given_back_by_whatever_reads_next)
{
	char buffer[8], *line;
	const void *data;
	cede_read_t op;

	for (int i = 0; i < 7; i++) {
		say(e, "a\n");
		cr_assert_eq(cede_read_line(e->stream, 0, &line, NULL), 1);
		cr_assert_not_null(e->stream->buffer);
		if (i == 0)
			cede_read_return(e->stream);
		else if (i == 1)
			cr_assert_eq(cede_read_skip(e->stream, 0), 0);
		else if (i < 6)
			say(e, "b");
		else
			hang_up(e);
		if (i == 2)
			cr_assert_eq(cede_read(e->stream, buffer, 8), 1);
		else if (i == 3)
			cr_assert_eq(cede_read_exactly(e->stream, buffer, 1, NULL), 1);
		else if (i == 4)
			cr_assert_eq(cede_read_start(e->stream, buffer, 8, &op), 0);
		if (i == 4)
			cr_assert_eq(cede_await(&op.future), 1);
		else if (i == 5)
			cr_assert_eq(cede_peek(e->stream, 1, &data), 1);
		if (i == 5)
			cr_assert_eq(cede_read_skip(e->stream, 1), 0);
		else if (i == 6)
			cr_assert_eq(cede_read(e->stream, buffer, 8), 0);
		cr_assert_null(e->stream->buffer, "step %d", i);
	}
	cr_assert_eq(cede_read(e->stream, buffer, 8), 0);
	cr_assert_eq(cede_read_lend(e->stream, &data), 0);
	cr_assert_eq(cede_read_line(e->stream, 0, &line, NULL), 0);
	cr_assert_eq(cede_peek(e->stream, 1, &data), 0);
	cr_assert_null(e->stream->buffer);
}

/* ---- many of them ---- */

#define MANY 10000

static size_t bytes_out;

struct counted {
	size_t size;
	max_align_t data[];
};

static void *
counted_alloc(size_t size, void *data)
{
	struct counted *c = malloc(sizeof *c + size);

	cr_assert_not_null(c);
	c->size = size;
	bytes_out += size;
	return c->data;
}

static void *
counted_realloc(void *block, size_t size, void *data)
{
	struct counted *c = cede__container_of(block, struct counted, data);

	bytes_out += size - c->size;
	c = realloc(c, sizeof *c + size);
	cr_assert_not_null(c);
	c->size = size;
	return c->data;
}

static void
counted_free(void *block, void *data)
{
	struct counted *c = cede__container_of(block, struct counted, data);

	bytes_out -= c->size;
	free(c);
}

/* As many as the process may have. */
static int
how_many(void)
{
	struct rlimit files;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	return files.rlim_cur / 2 > MANY + 100 ? MANY : (int)(files.rlim_cur / 2) - 100;
}

static struct ends many[MANY];
static struct looking lookers[MANY];

static void
expect_all_wait(int n, size_t ahead)
{
	for (int i = 0; i < n; i++)
		while (!many[i].stream->reader || cede__stream_ahead(many[i].stream) != ahead)
			let_others_run();
}

static int
keep_many_waiting(void *arg)
{
	const int n = how_many();
	size_t none, half;

	CEDE_GROUP(g);
	for (int i = 0; i < n; i++) {
		ends_open(&many[i]);
		lookers[i] = (struct looking){ .stream = many[i].stream };
		cr_assert_eq(cede_spawn(&g, look, &lookers[i]), 0);
	}
	expect_all_wait(n, 0);
	none = bytes_out;
	for (int i = 0; i < n; i++)
		say(&many[i], "half a line of a request that never comes");
	expect_all_wait(n, 41);
	half = bytes_out;
	for (int i = 0; i < n; i++)
		say(&many[i], "\n");
	cr_assert_eq(cede_group_wait(&g), 0);
	for (int i = 0; i < n; i++) {
		cr_assert_eq(lookers[i].result, 1);
		ends_close(&many[i]);
	}
	cr_assert_lt(half - none,
		(size_t)n * (CEDE__BUFFER_SIZE_SMALL + 64) + CEDE__BUFFER_SIZE * 2,
		"%zu bytes for each of %d", (half - none) / (size_t)n, n);
	return 0;
}

Test(stream_ahead_memory, ten_thousand_with_half_a_line_hold_small_buffers_only)
{
	static const cede_allocator_t counting = { counted_alloc, counted_realloc, counted_free,
		NULL };

	cr_assert_eq(cede_set_allocator(&counting), 0);
	leaks_begin();
	cr_assert_eq(cede_run(keep_many_waiting, NULL), 0);
	leaks_end();
	cr_assert_eq(bytes_out, 0);
}

/* ---- want of memory ---- */

/* Nothing is lost by a failure: tried again, it gives what is due. */
static int
read_a_line(struct pair *p)
{
	char *line;
	int r;

	peer_send(p->peer, "line one\nline", 13);
	wait_until_readable(p->stream->fd);
	while ((r = cede_read_line(p->stream, 0, &line, NULL)) == CEDE_ENOMEM &&
		fault_requests() < 20)
		;
	if (r < 0)
		return r;
	cr_assert_eq(r, 1);
	cr_assert_str_eq(line, "line one");
	return 0;
}

static int
read_a_line_that_grows(struct pair *p)
{
	static char bytes[100001];
	struct looking l = { .stream = p->stream, .peek = sizeof bytes };
	int r = 0;

	CEDE_GROUP(g);
	if (cede_spawn(&g, look, &l) < 0)
		return CEDE_ENOMEM;
	for (size_t at = 0; at < sizeof bytes && !l.has_ended;) {
		const ssize_t n =
			send(p->peer, bytes, at < 500 ? 500 : sizeof bytes - at, MSG_DONTWAIT);

		at += n > 0 ? (size_t)n : 0;
		let_others_run();
	}
	r = cede_group_wait(&g);
	cr_assert_eq(r, 0);
	return l.result < 0 ? (int)l.result : 0;
}

static int
peek_one(struct pair *p)
{
	const void *data;
	ssize_t n;

	peer_send(p->peer, "x", 1);
	n = cede_peek(p->stream, 1, &data);
	return n < 0 ? (int)n : 0;
}

static int
read_with_limits(struct pair *p)
{
	char byte, *line;
	int r = cede_stream_set_idle(p->stream, 100000);

	if (r < 0)
		return r;
	CEDE_TIMEOUT(1)
		r = cede_read_line(p->stream, 0, &line, NULL);
	if (r == CEDE_ENOMEM)
		return r;
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	peer_send(p->peer, "x", 1);
	return cede_read_exactly(p->stream, &byte, 1, NULL) == 1 ? 0 : CEDE_EIO;
}

static void
survive(faulty_fn *fn, unsigned at_least)
{
	cr_assert_geq(expect_failures_are_survived(fn, FAULT_ONCE), at_least);
	cr_assert_geq(expect_failures_are_survived(fn, FAULT_FOREVER), at_least);
}

Test(stream_ahead_memory, want_of_it_is_an_error_of_a_line_and_loses_nothing)
{
	cr_assert_geq(expect_failures_are_survived(read_a_line, FAULT_FOREVER), 1);
}

Test(stream_ahead_memory, want_of_it_is_an_error_of_a_peek)
{
	survive(peek_one, 1);
}

Test(stream_ahead_memory, want_of_it_on_the_way_is_an_error)
{
	survive(read_a_line_that_grows, 3);
}

Test(stream_ahead_memory, want_of_it_for_a_limit_is_an_error)
{
	survive(read_with_limits, 1);
}
