/*
 * Lines, and whatever ends with a delimiter: net/stream_ahead.c. Each input is cut in
 * all ways into two, and into bytes: the answer must be the same.
 */
#include "tests/net/ahead.h"

TestSuite(stream_ahead_line, .timeout = 60);

/* ---- lines ---- */

static size_t line_limit;

static void
read_lines(cede_stream_t *s, struct transcript *t)
{
	size_t size;
	char *line;
	int r;

	while ((r = cede_read_line(s, line_limit, &line, &size)) > 0) {
		cr_assert_eq(line[size], '\0');
		note(t, "[", line, size, "]");
	}
	note_result(t, r);
}

#define LINES(limit, data, expected) \
	do { \
		line_limit = (limit); \
		expect_however_cut(data, sizeof(data) - 1, read_lines, expected); \
	} while (0)

TASK_TEST(stream_ahead_line, ends_with_a_newline_or_a_return_and_one)
{
	LINES(0, "GET a\nGET b\r\n", "[GET a][GET b]<end>");
	LINES(0, "\n\r\n\n", "[][][]<end>");
}

TASK_TEST(stream_ahead_line, the_last_one_may_have_no_end)
{
	LINES(0, "", "<end>");
	LINES(0, "a", "[a]<end>");
	LINES(0, "a\nb", "[a][b]<end>");
	LINES(0, "a\r", "[a\r]<end>");
	LINES(0, "\r", "[\r]<end>");
}

TASK_TEST(stream_ahead_line, a_return_within_belongs_to_it)
{
	LINES(0, "a\rb\r\r\n\rc\n", "[a\rb\r][\rc]<end>");
}

TASK_TEST(stream_ahead_line, may_have_zero_bytes_in_it)
{
	LINES(0, "a\0b\n\0\n\0", "[a0b][0][0]<end>");
}

TASK_TEST(stream_ahead_line, the_limit_counts_the_end_too)
{
	LINES(4, "abc\n", "[abc]<end>");
	LINES(4, "ab\r\n", "[ab]<end>");
	LINES(4, "abc\r\n", "<long>");
	LINES(4, "abcd\n", "<long>");
	LINES(4, "ok\nabcdefgh", "[ok]<long>");
	LINES(1, "\n\n", "[][]<end>");
	LINES(1, "a\n", "<long>");
}

TASK_TEST(stream_ahead_line, without_an_end_the_last_one_is_shorter_than_the_limit)
{
	LINES(4, "abc", "[abc]<end>");
	LINES(4, "abcd", "<long>");
	LINES(4, "abcde", "<long>");
}

ENDS_TEST(stream_ahead_line, the_size_need_not_be_asked_for)
{
	char *line;

	say(e, "abc\n");
	cr_assert_eq(cede_read_line(e->stream, 0, &line, NULL), 1);
	cr_assert_str_eq(line, "abc");
}

ENDS_TEST(stream_ahead_line, is_valid_while_another_thing_is_written)
{
	char *line;

	say(e, "abc\n");
	cr_assert_eq(cede_read_line(e->stream, 0, &line, NULL), 1);
	cr_assert_eq(cede_write(e->stream, line, 3), 3);
	let_others_run();
	cr_assert_str_eq(line, "abc");
}

ENDS_TEST(stream_ahead_line, what_was_too_long_can_be_read_otherwise)
{
	char buffer[16], *line = NULL;

	say(e, "abcdefgh\nx\n");
	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_read_line(e->stream, 4, &line, NULL), CEDE_EMSGSIZE);
	cr_assert_null(line);
	cr_assert_eq(cede_read_exactly(e->stream, buffer, 7, NULL), 7);
	cr_assert_arr_eq(buffer, "abcdefg", 7);
	cr_assert_eq(cede_read_line(e->stream, 4, &line, NULL), 1);
	cr_assert_str_eq(line, "h");
}

ENDS_TEST(stream_ahead_line, the_limit_is_the_callers_but_not_any)
{
	const size_t most = CEDE__BUFFER_SIZE_LARGE;
	size_t size;
	char *line;

	say(e, "a\nb\n");
	cr_assert_eq(cede_read_line(e->stream, most + 1, &line, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_read_line(e->stream, SIZE_MAX, &line, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_read_line(e->stream, most, &line, &size), 1);
	cr_assert_str_eq(line, "a");
}

/* ---- long ones, over the borders of buffers ---- */

#define DEFAULT ((size_t)65536)

static char *
make_lines(size_t size, int count)
{
	char *data = malloc(size * (size_t)count);

	cr_assert_not_null(data);
	peer_fill(data, size * (size_t)count, 0);
	for (size_t i = 0; i < size * (size_t)count; i++)
		if (data[i] == '\n' || data[i] == '\r' || i % size == size - 1)
			data[i] = i % size == size - 1 ? '\n' : 'x';
	return data;
}

static void
expect_long_lines(size_t limit, size_t size, int count, size_t piece, int result)
{
	char *data = make_lines(size, count), *line;
	struct ends e;
	struct feed f = { &e, data, size * (size_t)count, .piece = piece, .seed = piece > 0 };
	size_t got;
	int lines = 0, r;

	ends_open(&e);
	{
		CEDE_GROUP(g);

		cr_assert_eq(cede_spawn(&g, feed, &f), 0);
		while ((r = cede_read_line(e.stream, limit, &line, &got)) > 0) {
			cr_assert_eq(got, size - 1);
			cr_assert_arr_eq(line, data + size * (size_t)lines, size - 1);
			lines++;
		}
		f.is_over = 1;
		cr_assert_eq(r, result, "%zu bytes by %zu: %d", size, piece, r);
		cr_assert_eq(lines, r == 0 ? count : 0);
		cede_close(e.stream); /* whatever is left to send goes nowhere */
		e.stream = NULL;
		cede_group_cancel(&g);
	}
	ends_close(&e);
	free(data);
}

TASK_TEST(stream_ahead_line, the_default_limit_is_exact)
{
	expect_long_lines(0, DEFAULT - 1, 3, 5000, 0);
	expect_long_lines(0, DEFAULT, 3, 5000, 0);
	expect_long_lines(0, DEFAULT + 1, 1, 5000, CEDE_EMSGSIZE);
	expect_long_lines(0, DEFAULT, 3, 0, 0);
	expect_long_lines(0, DEFAULT + 1, 1, 0, CEDE_EMSGSIZE);
}

TASK_TEST(stream_ahead_line, the_largest_limit_is_exact)
{
	const size_t most = CEDE__BUFFER_SIZE_LARGE;

	expect_long_lines(most, most - 1, 3, 9999, 0);
	expect_long_lines(most, most, 3, 9999, 0);
	expect_long_lines(most, most + 1, 1, 9999, CEDE_EMSGSIZE);
}

TASK_TEST(stream_ahead_line, lines_of_all_sizes_cross_the_borders)
{
	static const size_t sizes[] = { 1, 2, 3, 100, 1000, 1023, 1024, 1025, 4096, 30000, 40000,
		65535 };
	static const size_t pieces[] = { 0, 1024, 65536 };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (size_t j = 0; j < sizeof pieces / sizeof *pieces; j++)
			expect_long_lines(0, sizes[i], (int)(100000 / sizes[i] + 1), pieces[j], 0);
}

/* ---- delimiters ---- */

static const char *delimiter;
static size_t delimiter_size, until_limit;

static void
read_parts(cede_stream_t *s, struct transcript *t)
{
	const void *data;
	ssize_t n;

	while ((n = cede_read_until(s, delimiter, delimiter_size, until_limit, &data)) > 0)
		note(t, "[", data, (size_t)n, "]");
	note_result(t, n);
	if (n == CEDE_EOF || n == CEDE_EMSGSIZE) { /* it is all still there */
		n = cede_peek(s, 1, &data);
		note(t, "{", data, (size_t)n, "}");
	}
}

#define PARTS(limit, end, data, expected) \
	do { \
		until_limit = (limit); \
		delimiter = (end); \
		delimiter_size = sizeof(end) - 1; \
		expect_however_cut(data, sizeof(data) - 1, read_parts, expected); \
	} while (0)

TASK_TEST(stream_ahead_line, a_part_has_its_delimiter)
{
	PARTS(0, ";", "a;bc;;d;", "[a;][bc;][;][d;]<end>");
	PARTS(0, "\r\n\r\n", "a\r\nb\r\n\r\nc\r\n\r\n", "[a\r\nb\r\n\r\n][c\r\n\r\n]<end>");
}

TASK_TEST(stream_ahead_line, without_its_delimiter_nothing_is_taken)
{
	PARTS(0, ";", "a;bc", "[a;]<cut>{bc}");
	PARTS(0, "--", "a-b-", "<cut>{a-b-}");
	PARTS(0, "long delimiter", "x", "<cut>{x}");
}

TASK_TEST(stream_ahead_line, a_delimiter_is_found_where_it_only_seemed_to_begin)
{
	PARTS(0, "aab", "aaab", "[aaab]<end>");
	PARTS(0, "abab", "abaabab.abab", "[abaabab][.abab]<end>");
	PARTS(0, "\0\0", "a\0b\0\0c\0\0", "[a0b00][c00]<end>");
}

TASK_TEST(stream_ahead_line, the_limit_counts_the_delimiter)
{
	PARTS(5, "\r\n", "abc\r\n", "[abc\r\n]<end>");
	PARTS(4, "\r\n", "ab\r\n", "[ab\r\n]<end>");
	PARTS(2, "--", "--", "[--]<end>");
}

/* What is there beyond the limit depends on the cut: only the answer must not. */
static void
read_one_part(cede_stream_t *s, struct transcript *t)
{
	const void *data;

	note_result(t, cede_read_until(s, delimiter, delimiter_size, until_limit, &data));
}

TASK_TEST(stream_ahead_line, beyond_the_limit_is_too_long_however_it_comes)
{
	until_limit = 4;
	delimiter = "\r\n";
	delimiter_size = 2;
	expect_however_cut("abc\r\n", 5, read_one_part, "<long>");
	expect_however_cut("abcd\r\n", 6, read_one_part, "<long>");
	expect_however_cut("abcdefgh", 8, read_one_part, "<long>");
	until_limit = 1;
	expect_however_cut("\r\n", 2, read_one_part, "<long>");
}

ENDS_TEST(stream_ahead_line, a_delimiter_of_no_bytes_is_none)
{
	const void *data;

	cr_assert_eq(cede_read_until(e->stream, "", 0, 0, &data), CEDE_EINVAL);
}

/* ---- turns ---- */

static int
count_turns(void *count)
{
	while (cede_sleep(0) == 0)
		++*(int *)count;
	return 0;
}

struct shouting {
	int fd, is_wrong;
};

static void *
shout(void *arg)
{
	struct shouting *s = arg;
	static char lines[1 << 20];

	memset(lines, '\n', sizeof lines);
	for (int i = 0; i < 2; i++)
		s->is_wrong |= peer_send(s->fd, lines, sizeof lines) != 0;
	shutdown(s->fd, SHUT_WR);
	return NULL;
}

/* Two million lines, which come faster than they can be read. */
ENDS_TEST(stream_ahead_line, a_peer_with_endless_lines_lets_the_others_run)
{
	struct shouting s = { .fd = e->peer };
	pthread_t thread = peer_start(shout, &s);
	int turns = 0, lines = 0;
	char *line;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, count_turns, &turns), 0);
	while (cede_read_line(e->stream, 0, &line, NULL) > 0)
		lines++;
	cede_group_cancel(&g);
	peer_join(thread);
	cr_assert_not(s.is_wrong);
	cr_assert_eq(lines, 2 << 20);
	cr_assert_geq(turns, 2 << 20 >> 19, "%d", turns); /* half a million lines a turn at most */
}
