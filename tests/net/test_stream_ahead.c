/*
 * Reads that look at what comes before they take it: net/stream_ahead.c. Peeking and
 * skipping, and that all kinds of reads, mixed, give every byte once and in order.
 */
#include "tests/net/ahead.h"

#include <criterion/logging.h>

TestSuite(stream_ahead, .timeout = 60);

/* ---- peeking ---- */

ENDS_TEST(stream_ahead, a_peek_shows_what_there_is_and_takes_nothing)
{
	const void *data;

	say(e, "hello");
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(cede_peek(e->stream, 1, &data), 5);
		cr_assert_arr_eq(data, "hello", 5);
	}
}

/* Peeks for all, one byte more each time, and takes them one by one. */
static void
peek_more_and_more(cede_stream_t *s, struct transcript *t)
{
	const void *data;
	ssize_t n;

	for (size_t want = 1; (n = cede_peek(s, want, &data)) >= (ssize_t)want; want++)
		;
	note(t, "[", data, (size_t)n, "]");
	while ((n = cede_peek(s, 1, &data)) > 0) {
		note(t, "", data, 1, "");
		cr_assert_eq(cede_read_skip(s, 1), 0);
	}
	note_result(t, n);
}

TASK_TEST(stream_ahead, a_peek_waits_until_there_is_as_much_as_it_wants)
{
	expect_however_cut("abcdefgh", 8, peek_more_and_more, "[abcdefgh]abcdefgh<end>");
	expect_however_cut("a", 1, peek_more_and_more, "[a]a<end>");
}

ENDS_TEST(stream_ahead, at_the_end_of_file_a_peek_shows_what_is_left)
{
	const void *data = NULL;

	say(e, "abc");
	hang_up(e);
	cr_assert_eq(cede_peek(e->stream, 4, &data), 3);
	cr_assert_arr_eq(data, "abc", 3);
	cr_assert_eq(cede_read_skip(e->stream, 3), 0);
	data = NULL;
	cr_assert_eq(cede_peek(e->stream, 1, &data), 0);
	cr_assert_null(data);
}

ENDS_TEST(stream_ahead, a_peek_has_a_size_and_a_bound)
{
	const void *data;

	cr_assert_eq(cede_peek(e->stream, 0, &data), CEDE_EINVAL);
	cr_assert_eq(cede_peek(e->stream, CEDE__BUFFER_SIZE_LARGE + 1, &data), CEDE_EINVAL);
	cr_assert_eq(cede_peek(e->stream, SIZE_MAX, &data), CEDE_EINVAL);
}

/* As much as ever can be shown, whatever has been taken from before it. */
TASK_TEST(stream_ahead, the_largest_peek_finds_room)
{
	const size_t most = CEDE__BUFFER_SIZE_LARGE;
	static const size_t skips[] = { 0, 1, 1000, 70000, 200000 };
	char *input = malloc(2 * most);
	const void *data;

	peer_fill(input, 2 * most, 0);
	for (size_t i = 0; i < sizeof skips / sizeof *skips; i++) {
		struct ends e;
		struct feed f = { &e, input, 2 * most, .piece = 50000 };

		ends_open(&e);
		CEDE_GROUP(g);
		cr_assert_eq(cede_spawn(&g, feed, &f), 0);
		cr_assert_geq(cede_peek(e.stream, skips[i] + 1, &data), (ssize_t)skips[i] + 1);
		cr_assert_eq(cede_read_skip(e.stream, skips[i]), 0);
		cr_assert_eq(cede_peek(e.stream, most, &data), most);
		cr_assert(peer_is_pattern(data, most, skips[i]));
		cr_assert_eq(cede_read_skip(e.stream, most), 0);
		while (cede_peek(e.stream, 1, &data) > 0)
			cr_assert_eq(cede_read_skip(e.stream, 1), 0);
		f.is_over = 1;
		cr_assert_eq(cede_group_wait(&g), 0);
		ends_close(&e);
	}
	free(input);
}

ENDS_TEST(stream_ahead, no_more_is_skipped_than_is_there)
{
	const void *data;

	cr_assert_eq(cede_read_skip(e->stream, 0), 0);
	cr_assert_eq(cede_read_skip(e->stream, 1), CEDE_EINVAL);
	say(e, "abc");
	cr_assert_eq(cede_peek(e->stream, 3, &data), 3);
	cr_assert_eq(cede_read_skip(e->stream, 4), CEDE_EINVAL);
	cr_assert_eq(cede_read_skip(e->stream, SIZE_MAX), CEDE_EINVAL);
	cr_assert_eq(cede_read_skip(e->stream, 3), 0);
	cr_assert_eq(cede_read_skip(e->stream, 1), CEDE_EINVAL);
}

/* ---- one at a time ---- */

struct looking {
	cede_stream_t *stream;
	ssize_t result;
	char line[32];
	int has_ended;
};

static int
look_for_line(void *arg)
{
	struct looking *l = arg;
	char *line;

	l->result = cede_read_line(l->stream, 0, &line, NULL);
	if (l->result == 1)
		snprintf(l->line, sizeof l->line, "%s", line);
	l->has_ended = 1;
	return 0;
}

static void
expect_busy(cede_stream_t *s)
{
	char buffer[8], *line;
	const void *data;
	cede_read_t op;

	cr_assert_eq(cede_read(s, buffer, sizeof buffer), CEDE_EBUSY);
	cr_assert_eq(cede_read_start(s, buffer, sizeof buffer, &op), CEDE_EBUSY);
	cr_assert_eq(cede_read_lend(s, &data), CEDE_EBUSY);
	cr_assert_eq(cede_read_lend_start(s, &op), CEDE_EBUSY);
	cr_assert_eq(cede_read_line(s, 0, &line, NULL), CEDE_EBUSY);
	cr_assert_eq(cede_read_until(s, ";", 1, 0, &data), CEDE_EBUSY);
	cr_assert_eq(cede_read_exactly(s, buffer, 1, NULL), CEDE_EBUSY);
	cr_assert_eq(cede_peek(s, 1, &data), CEDE_EBUSY);
	cr_assert_eq(cede_read_skip(s, 1), CEDE_EBUSY);
	cede_read_return(s);
}

ENDS_TEST(stream_ahead, whoever_reads_as_well_is_told_so)
{
	struct looking l = { .stream = e->stream };

	CEDE_GROUP(g);
	say(e, "half a ");
	cr_assert_eq(cede_spawn(&g, look_for_line, &l), 0);
	let_others_run();
	expect_busy(e->stream);
	say(e, "line\n");
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_str_eq(l.line, "half a line");
}

/*
 * | looking             | thief                                |
 * |---------------------+--------------------------------------|
 * | waits for a line    | waits for the same readability       |
 * | more comes, no end  |                                      |
 * | <has yet to run>    | runs first: the bytes are not his    |
 */
struct theft {
	cede_stream_t *stream;
	cede_future_t *gate;
};

static int
steal(void *arg)
{
	struct theft *t = arg;

	cr_assert_eq(cede_await(t->gate), 0);
	expect_busy(t->stream);
	return 0;
}

static struct {
	cede_stream_t *stream;
	cede_future_t gate;
	uv_prepare_t prepare;
} between;

/* In the turn in which the data comes, before the task that waits for it has its turn. */
static void
open_gate_and_read(uv_prepare_t *prepare)
{
	uv_prepare_stop(prepare);
	cede__loop_enter(between.stream->loop);
	cede_future_resolve(&between.gate, 0, NULL);
	cede__stream_readable(between.stream);
	cede__loop_leave(between.stream->loop);
}

ENDS_TEST(stream_ahead, nobody_gets_at_the_bytes_between_two_steps)
{
	struct looking l = { .stream = e->stream };
	struct theft t = { e->stream, &between.gate };
	uv_loop_t *uv = cede_loop_uv(cede_loop_current());

	cede_future_init(&between.gate, NULL);
	between.stream = e->stream;
	cr_assert_eq(uv_prepare_init(uv, &between.prepare), 0);
	CEDE_GROUP(g);
	say(e, "half a ");
	cr_assert_eq(cede_spawn(&g, look_for_line, &l), 0);
	cr_assert_eq(cede_spawn(&g, steal, &t), 0);
	let_others_run();
	say(e, "line");
	cr_assert_eq(uv_prepare_start(&between.prepare, open_gate_and_read), 0);
	while (uv_is_active((uv_handle_t *)&between.prepare))
		let_others_run();
	uv_close((uv_handle_t *)&between.prepare, NULL);
	let_others_run();
	cr_assert_eq(cede__stream_ahead(e->stream), 11);
	say(e, " ends\n");
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(l.result, 1);
	cr_assert_str_eq(l.line, "half a line ends");
}

/* A read that lends, in a task of its own. */
struct lending {
	cede_stream_t *stream;
	ssize_t result;
	int is_whole;
};

static int
lend_once(void *arg)
{
	struct lending *l = arg;
	const void *data;

	l->result = cede_read_lend(l->stream, &data);
	l->is_whole = l->result == 5 && memcmp(data, "hello", 5) == 0;
	return 0;
}

/* Between the end of its wait and its task's turn the buffer is as good as lent. */
ENDS_TEST(stream_ahead, a_lending_read_that_is_over_and_has_not_run_keeps_others_out)
{
	struct lending l = { .stream = e->stream };
	const void *data;
	char buffer[8], *line;
	cede_read_t op;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, lend_once, &l), 0);
	let_others_run();
	say(e, "hello");
	wait_until_readable(e->stream->fd);
	cede__stream_readable(e->stream);
	cr_assert_null(e->stream->reader);
	cr_expect_eq(cede_read_start(e->stream, buffer, sizeof buffer, &op), CEDE_EBUSY);
	cr_expect_eq(cede_read_lend(e->stream, &data), CEDE_EBUSY);
	cr_expect_eq(cede_read_line(e->stream, 0, &line, NULL), CEDE_EBUSY);
	cr_expect_eq(cede_read_skip(e->stream, 0), CEDE_EBUSY);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_expect(l.is_whole, "%zd", l.result);
	say(e, "x");
	cr_expect_eq(cede_read(e->stream, buffer, sizeof buffer), 1);
}

/* ---- all kinds mixed, against a model ---- */

#define INPUT 300000

struct model {
	cede_stream_t *stream;
	const char *data; /* what has not been taken yet */
	size_t size;
	unsigned seed;
};

static size_t
any_up_to(struct model *m, size_t most)
{
	/* Often few, at times many. */
	const size_t bound = rand_r(&m->seed) % 3 ? 30 : most;

	return 1 + (size_t)rand_r(&m->seed) % (bound < most ? bound : most);
}

static void
took(struct model *m, const void *data, size_t size)
{
	cr_assert_leq(size, m->size);
	cr_assert_arr_eq(data, m->data, size);
	m->data += size;
	m->size -= size;
}

static void
read_some(struct model *m)
{
	static char buffer[100000];
	const size_t want = any_up_to(m, sizeof buffer);
	const ssize_t n = cede_read(m->stream, buffer, want);

	cr_assert(n <= (ssize_t)want && (n > 0 || m->size == 0));
	took(m, buffer, (size_t)n);
}

static void
read_exactly_some(struct model *m)
{
	static char buffer[100000];
	const size_t want = any_up_to(m, sizeof buffer), is_there = want < m->size ? want : m->size;
	size_t got;
	const ssize_t n = cede_read_exactly(m->stream, buffer, want, &got);

	cr_assert_eq(got, is_there);
	cr_assert_eq(n, is_there == want ? (ssize_t)want : is_there > 0 ? CEDE_EOF : 0);
	took(m, buffer, got);
}

static void
read_lent(struct model *m)
{
	const void *data = "";
	const ssize_t n = cede_read_lend(m->stream, &data);

	cr_assert(n > 0 || m->size == 0);
	took(m, data, (size_t)n);
	if (rand_r(&m->seed) % 2)
		cede_read_return(m->stream);
}

static void
peek_and_skip(struct model *m)
{
	const void *data = "";
	const size_t want = any_up_to(m, CEDE__BUFFER_SIZE_LARGE);
	const ssize_t n = cede_peek(m->stream, want, &data);

	cr_assert_geq(n, (ssize_t)(want < m->size ? want : m->size));
	cr_assert_leq((size_t)n, m->size);
	cr_assert_arr_eq(data, m->data, (size_t)n);
	if (n > 0) {
		const size_t skip = any_up_to(m, (size_t)n);

		took(m, data, skip);
		cr_assert_eq(cede_read_skip(m->stream, skip), 0);
	}
}

/* How many bytes there are up to a delimiter, and it; or the code that is due. */
static ssize_t
part_of(const struct model *m, const char *delimiter, size_t limit, ssize_t at_end)
{
	const char *at = memmem(m->data, m->size, delimiter, strlen(delimiter));
	const size_t whole = at ? (size_t)(at - m->data) + strlen(delimiter) : SIZE_MAX;

	if (whole <= limit)
		return (ssize_t)whole;
	return m->size >= limit ? CEDE_EMSGSIZE : m->size > 0 ? at_end : 0;
}

static void
read_part(struct model *m)
{
	static const char *const delimiters[] = { "a", "ab", "ba", "aab", "\n", "\r\n" };
	const char *delimiter = delimiters[rand_r(&m->seed) % 6];
	const size_t limit = any_up_to(m, CEDE__BUFFER_SIZE_LARGE);
	const void *data;
	const ssize_t due = part_of(m, delimiter, limit, CEDE_EOF);
	const ssize_t n = cede_read_until(m->stream, delimiter, strlen(delimiter), limit, &data);

	cr_assert_eq(n, due, "%zd, not %zd", n, due);
	if (n > 0)
		took(m, data, (size_t)n);
}

/* A line, and what is left of it without its end. */
static void
read_a_line(struct model *m)
{
	const size_t limit = any_up_to(m, CEDE__BUFFER_SIZE_LARGE);
	const ssize_t due = part_of(m, "\n", limit, (ssize_t)m->size);
	const int has_end = due > 0 && m->data[due - 1] == '\n';
	size_t text = due > 0 ? (size_t)due : 0, size;
	char *line;
	const int r = cede_read_line(m->stream, limit, &line, &size);

	cr_assert_eq(r, due > 0 ? 1 : due);
	if (r <= 0)
		return;
	text -= (size_t)has_end;
	if (has_end && text > 0 && m->data[text - 1] == '\r')
		text--;
	cr_assert_eq(size, text);
	cr_assert_eq(line[size], '\0');
	took(m, line, size);
	m->data += (size_t)due - size;
	m->size -= (size_t)due - size;
}

typedef void step_fn(struct model *m);

static void
run_model(unsigned seed, const char *input, size_t size)
{
	static step_fn *const steps[] = { read_some, read_exactly_some, read_lent, peek_and_skip,
		read_part, read_a_line };
	struct ends e;
	struct model m = { NULL, input, size, seed };
	struct feed f = { &e, input, size, .piece = 1 + seed % 3 * 30000, .seed = seed };

	ends_open(&e);
	m.stream = e.stream;
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, feed, &f), 0);
	while (m.size > 0)
		steps[(size_t)rand_r(&m.seed) % (sizeof steps / sizeof *steps)](&m);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		steps[i](&m);
	f.is_over = 1;
	cr_assert_eq(cede_group_wait(&g), 0);
	ends_close(&e);
}

TASK_TEST(stream_ahead, all_kinds_of_reads_mixed_keep_every_byte_in_its_place)
{
	static const char letters[] = { 'a', 'b', '\r', 'c' };
	char *input = malloc(INPUT);
	unsigned seed = 1;

	for (; seed <= 30; seed++) {
		/* Runs of all lengths without an end of a line. */
		unsigned r = seed;
		const int rarity = 1 << seed % 17;

		for (size_t i = 0; i < INPUT; i++)
			input[i] = rand_r(&r) % rarity == 0 ? '\n' : letters[rand_r(&r) % 4];
		cr_log_info("seed %u", seed);
		run_model(seed, input, seed % 3 ? INPUT : 3000);
	}
	free(input);
}
