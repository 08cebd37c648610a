/* Scenarios of protocols of lines and of messages, which look at what comes before they take it. */
#include "tests/scenarios/ends.h"

/* ---- lines, answered by pieces ---- */

static int
echo_lines(void *arg)
{
	char *line;
	size_t size;
	ssize_t n;

	while ((n = cede_read_line(arg, 100, &line, &size)) > 0) {
		struct iovec pieces[] = { { &(char){ '[' }, 1 }, { line, size },
			{ (char[]){ "]\n" }, 2 } };

		n = cede_writev(arg, pieces, 3);
		if (n < 0)
			break;
	}
	cede_read_return(arg);
	return end_with(arg, n);
}

/* In halves, so that the other side waits in the middle of a line. */
static int
ask_lines(void *arg)
{
	const void *answer;
	ssize_t n = 0;

	for (int i = 0; i < 3 && n >= 0; i++) {
		n = cede_write(arg, "how are", 7);
		if (n > 0)
			n = cede_sleep(10);
		if (n == 0)
			n = cede_write(arg, " you\r\n", 6);
		if (n > 0)
			n = cede_read_until(arg, "]\n", 2, 0, &answer);
		require(n <= 0 || (n == 14 && memcmp(answer, "[how are you]\n", 14) == 0));
		if (n == 0)
			break;
	}
	return end_with(arg, n == CEDE_EOF ? 0 : n);
}

static int
lines_and_pieces(void *arg)
{
	return run_pair(echo_lines, ask_lines);
}

/* ---- a parser that looks before it takes: a size, and so many bytes ---- */

static int
parse(void *arg)
{
	char body[16];
	const void *head;
	ssize_t n;

	while ((n = cede_peek(arg, 2, &head)) >= 2) {
		const size_t size = (size_t)(((const char *)head)[1] - '0');

		require(((const char *)head)[0] == '#' && size <= 9);
		require(cede_read_skip(arg, 2) == 0);
		n = cede_read_exactly(arg, body, size, NULL);
		if (n <= 0)
			break;
		require(memcmp(body, "abcdefghi", size) == 0);
	}
	return end_with(arg, n == CEDE_EOF || n == 1 ? 0 : n);
}

static int
send_messages(void *arg)
{
	static const char messages[] = "#3abc#1a#9abcdefghi";
	ssize_t n = cede_stream_set_deadline(arg, 100000);

	for (size_t at = 0; at < sizeof messages - 1 && n >= 0; at += 2) {
		n = cede_write(arg, messages + at, at + 2 < sizeof messages ? 2 : 1);
		if (n > 0)
			n = cede_sleep(1);
	}
	return end_with(arg, n);
}

static int
messages_by_peeking(void *arg)
{
	return run_pair(parse, send_messages);
}

const struct scenario scenarios[] = {
	{ "lines_and_pieces", lines_and_pieces, 0, NULL },
	{ "messages_by_peeking", messages_by_peeking, 0, NULL },
	{ NULL, NULL, 0, NULL },
};
