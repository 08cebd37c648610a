/*
 * Each call that reads: it ends as all do when the peer, another task, a cancel or time
 * ends it, whether something had come or not; it is refused where all are; and no memory
 * loses nothing of it.
 */
#include "tests/net/calls.h"

TestSuite(stream_reads, .timeout = 100);

/* ---- the calls that read ---- */

static ssize_t
call_read(struct run *run)
{
	return cede_read(run->both.ours, run->got, sizeof run->got);
}

static ssize_t
call_read_start(struct run *run)
{
	cede_read_t op;
	int r = cede_read_start(run->both.ours, run->got, sizeof run->got, &op);

	return r < 0 ? r : cede_await(&op.future);
}

static ssize_t
call_lend(struct run *run)
{
	const void *data;
	const ssize_t n = cede_read_lend(run->both.ours, &data);

	if (n > 0)
		cr_assert_arr_eq(data, TEXT, (size_t)n);
	return n;
}

static ssize_t
call_lend_start(struct run *run)
{
	cede_read_t op;
	int r = cede_read_lend_start(run->both.ours, &op);

	return r < 0 ? r : cede_await(&op.future);
}

static ssize_t
call_peek(struct run *run)
{
	const void *data;
	const ssize_t n = cede_peek(run->both.ours, 8, &data);

	if (n > 0)
		cr_assert_arr_eq(data, TEXT, (size_t)n);
	return n;
}

static ssize_t
call_exactly(struct run *run)
{
	return cede_read_exactly(run->both.ours, run->got, 8, NULL);
}

static ssize_t
call_until(struct run *run)
{
	const void *data;
	const ssize_t n = cede_read_until(run->both.ours, "\r\n", 2, 0, &data);

	if (n > 0)
		cr_assert_arr_eq(data, TEXT, 8);
	return n;
}

static ssize_t
call_line(struct run *run)
{
	char *line;
	size_t size;
	int r = cede_read_line(run->both.ours, 0, &line, &size);

	if (r == 1)
		cr_assert_arr_eq(line, TEXT, size);
	return r;
}

static const struct call reads[] = {
	{ "read", call_read, 0, 0 },
	{ "read_start", call_read_start, 0, 0 },
	{ "read_lend", call_lend, 0, 0 },
	{ "read_lend_start", call_lend_start, 0, 0 },
	{ "peek", call_peek, 0, 3 },
	{ "read_exactly", call_exactly, 0, CEDE_EOF },
	{ "read_until", call_until, 0, CEDE_EOF },
	{ "read_line", call_line, 0, 1 },
};

/* One of those that return with what there is: they do not wait in the middle. */
static int
takes_what_there_is(const struct call *call)
{
	return call->fn != call_peek && call->in_the_middle == 0;
}

/* ---- ended ---- */

static int
end_a_read(void *arg)
{
	struct run *run = arg;
	const ssize_t at_end = run->step > 0 ? run->call->in_the_middle : run->call->at_end;

	end_one(run);
	cr_assert_eq(run->result, run->ending->fn == peer_closes ? at_end : run->ending->result,
		"%s at %zu, %s, kind %d: %zd", run->call->name, run->step, run->ending->name,
		run->kind, run->result);
	both_close(&run->both);
	return 0;
}

static void
expect_of_reads(int ending)
{
	for (size_t i = 0; i < LENGTH(reads); i++)
		for (int kind = 0; kind < KINDS; kind++)
			for (size_t step = 0; step <= 3; step += 3) {
				struct run run = { .call = &reads[i],
					.ending = &endings[ending],
					.kind = (enum kind)kind,
					.step = step };

				if ((endings[ending].needs_reset && kind == UNIX) ||
					(step > 0 && takes_what_there_is(&reads[i])))
					continue;
				run_to_its_end(&run, end_a_read);
			}
}

Test(stream_reads, a_peer_that_closes_ends_each)
{
	expect_of_reads(A_PEER_CLOSES);
}

Test(stream_reads, a_peer_that_resets_ends_each)
{
	expect_of_reads(A_PEER_RESETS);
}

Test(stream_reads, a_close_by_another_task_ends_each)
{
	expect_of_reads(A_CLOSE);
	expect_of_reads(AN_ABORT);
}

Test(stream_reads, a_cancel_ends_each)
{
	expect_of_reads(A_CANCEL);
}

Test(stream_reads, time_ends_each)
{
	expect_of_reads(A_SCOPE);
	expect_of_reads(AN_IDLE_LIMIT);
	expect_of_reads(A_DEADLINE);
}

/* ---- refused ---- */

static int
refuse_a_second(void *arg)
{
	struct run *run = arg;
	cede_read_t reading;
	char byte;

	cr_assert_eq(both_open(&run->both, run->kind), 0);
	cr_assert_eq(cede_read_start(run->both.ours, &byte, 1, &reading), 0);
	for (size_t i = 0; i < LENGTH(reads); i++)
		cr_assert_eq(refused(run, &reads[i]), CEDE_EBUSY, "%s", reads[i].name);
	cr_assert_eq(cede_read_skip(run->both.ours, 0), CEDE_EBUSY);
	cede_future_cancel(&reading.future);
	both_close(&run->both);
	return 0;
}

Test(stream_reads, a_second_one_is_refused)
{
	for (int kind = 0; kind < KINDS; kind++)
		run_to_its_end(&(struct run){ .call = reads, .kind = (enum kind)kind },
			refuse_a_second);
}

TASK_TEST(stream_reads, of_the_end_that_writes_are_refused)
{
	struct run run = { .call = reads };
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_eq(cede_stream_open_fd(fds[1], &run.both.ours), 0);
	for (size_t i = 0; i < LENGTH(reads); i++)
		cr_assert_eq(refused(&run, &reads[i]), CEDE_EBADF, "%s", reads[i].name);
	cede_close(run.both.ours);
	close(fds[0]);
}

PAIR_TEST(stream_reads, in_a_task_that_is_being_closed_are_refused)
{
	struct run run = { .both.ours = p->stream };

	peer_send(p->peer, TEXT, 8);
	wait_until_readable(p->stream->fd);
	close_oneself();
	for (size_t i = 0; i < LENGTH(reads); i++)
		cr_assert_eq(refused(&run, &reads[i]), CEDE_EXIT, "%s", reads[i].name);
}

Test(stream_reads, outside_all_tasks_are_refused)
{
	struct outside o;
	struct run run = { .call = reads };

	leaks_begin();
	outside_open(&o);
	run.both.ours = o.pair.stream;
	for (size_t i = 0; i < LENGTH(reads); i++)
		cr_assert_eq(refused(&run, &reads[i]), CEDE_ENOTASK, "%s", reads[i].name);
	outside_close(&o);
	leaks_end();
}

/* ---- no memory ---- */

/* What has come is there when the call is made again. */
static int
read_without_memory(void *arg)
{
	struct run *run = arg;
	ssize_t n = both_open(&run->both, run->kind);

	if (n == 0)
		n = cede_stream_set_idle(run->both.ours, 1000);
	if (n == 0)
		n = cede_write(run->both.theirs, TEXT, 8);
	if (n == 8) {
		n = run->call->fn(run);
		if (n == CEDE_ENOMEM)
			n = run->call->fn(run);
		cr_assert(n > 0 || n == CEDE_ENOMEM, "%s: %zd", run->call->name, n);
	}
	both_close(&run->both);
	return n < 0 ? (int)n : 0;
}

Test(stream_reads, no_memory_loses_nothing)
{
	for (size_t i = 0; i < LENGTH(reads); i++)
		sweep(&reads[i], read_without_memory);
}
