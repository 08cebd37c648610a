/*
 * Scenarios of streams in memory: both ends are tasks of the loop; and of streams that go
 * by a script, whose seed is the run's.
 */
#include <cede/testing.h>

#include "tests/scenarios/scenario.h"

/* What a peer that has gone says, when one of two is cancelled. */
static int
unless_gone(ssize_t r)
{
	return r == CEDE_EPIPE || r == CEDE_ECONNRESET || r == CEDE_ECANCELED ? 0
		: r < 0                                                       ? (int)r
									      : 0;
}

/* The end of a body: the other side must not wait for more, or for room. */
static int
end_with(cede_stream_t **s, ssize_t n)
{
	if (n < 0)
		cede_abort(*s);
	else
		cede_close(*s);
	*s = NULL;
	return unless_gone(n);
}

/* Runs a body on each end, to the end of both. */
static int
run_ends(cede_stream_t *ends[2], cede_fn *first, cede_fn *second)
{
	int r;

	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, first, &ends[0]);
		if (r == 0)
			r = cede_spawn(&group, second, &ends[1]);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	cede_close(ends[0]);
	cede_close(ends[1]);
	return r;
}

static int
run_pair(size_t capacity, cede_fn *first, cede_fn *second)
{
	cede_stream_t *ends[2];
	int r = cede_stream_pair(&ends[0], &ends[1], capacity);

	return r < 0 ? r : run_ends(ends, first, second);
}

/* ---- a question, an answer ---- */

static int
echo(void *arg)
{
	cede_stream_t **s = arg;
	const void *data;
	ssize_t n;

	while ((n = cede_read_lend(*s, &data)) > 0)
		if ((n = cede_write(*s, data, (size_t)n)) < 0)
			break;
	return end_with(s, n);
}

static int
ask(void *arg)
{
	cede_stream_t **s = arg;
	char answer[8];
	ssize_t n = 0;

	for (int i = 0; i < 5 && n >= 0; i++) {
		n = cede_write(*s, "question", 8);
		if (n > 0)
			n = cede_read_exactly(*s, answer, 8, NULL);
		require(n != 8 || memcmp(answer, "question", 8) == 0);
		if (n > 0)
			n = cede_sleep(10);
	}
	return end_with(s, n == CEDE_EOF ? 0 : n);
}

static int
echo_in_memory(void *arg)
{
	return run_pair(3, echo, ask);
}

/* ---- a writer that is held back ---- */

static char big[50000];

static int
write_big(void *arg)
{
	cede_stream_t **s = arg;
	cede_write_t op;
	int r = cede_write_start(*s, big, sizeof big, &op);

	if (r == 0)
		r = cede_await(&op.future);
	require(r < 0 || op.written == sizeof big);
	return end_with(s, r);
}

static int
read_slowly(void *arg)
{
	cede_stream_t **s = arg;
	char buffer[4000];
	size_t total = 0;
	ssize_t n;

	while ((n = cede_read(*s, buffer, sizeof buffer)) > 0) {
		total += (size_t)n;
		if ((n = cede_sleep(10)) < 0)
			break;
	}
	require(n != 0 || total == sizeof big);
	return end_with(s, n);
}

static int
big_write_in_memory(void *arg)
{
	return run_pair(1000, write_big, read_slowly);
}

/* ---- lines that come in pieces, and late ---- */

static int
write_lines(void *arg)
{
	cede_stream_t **s = arg;

	return end_with(s, cede_write(*s, "one\r\ntwo\nthree", 14));
}

static int
read_lines(void *arg)
{
	cede_stream_t **s = arg;
	int r, count = 0;
	char *line;

	while ((r = cede_read_line(*s, 0, &line, NULL)) > 0)
		count++;
	require(r != 0 || count == 3);
	return end_with(s, r);
}

static int
lines_by_a_script(void *arg)
{
	const cede_test_step_t steps[] = { { CEDE_TEST_DELAY, 7, 1000 }, { 0, 0, 0 } };
	cede_test_stream_options_t options = {
		.to_ours = { .read_max = 5,
			.write_max = 4,
			.seed = 1 + cede_test_seed(),
			.steps = steps },
	};
	cede_stream_t *ends[2];
	int r = cede_test_stream(&options, &ends[0], &ends[1]);

	return r < 0 ? r : run_ends(ends, read_lines, write_lines);
}

const struct scenario scenarios[] = {
	{ "echo_in_memory", echo_in_memory, 0, NULL },
	{ "big_write_in_memory", big_write_in_memory, 0, NULL },
	{ "lines_by_a_script", lines_by_a_script, 0, NULL },
	{ NULL, NULL, 0, NULL },
};
