/*
 * Each call that writes, while it waits for a peer that does not read: it ends as all do
 * when the peer, another task, a cancel or time ends it; it is refused where all are; and
 * no memory is an error.
 */
#include "tests/net/calls.h"

TestSuite(stream_writes, .timeout = 100);

/* ---- the calls that write ---- */

static char much[1 << 20];

static ssize_t
call_write(struct run *run)
{
	return cede_write(run->both.ours, much, sizeof much);
}

static ssize_t
call_write_start(struct run *run)
{
	cede_write_t op;
	int r = cede_write_start(run->both.ours, much, sizeof much, &op);

	return r < 0 ? r : cede_await(&op.future);
}

static const struct iovec halves[] = { { much, sizeof much / 2 },
	{ much + sizeof much / 2, sizeof much / 2 } };

static ssize_t
call_writev(struct run *run)
{
	return cede_writev(run->both.ours, halves, 2);
}

static ssize_t
call_writev_start(struct run *run)
{
	cede_write_t op;
	int r = cede_writev_start(run->both.ours, halves, 2, &op);

	return r < 0 ? r : cede_await(&op.future);
}

static const struct call writes[] = {
	{ "write", call_write, 0, 0 },
	{ "write_start", call_write_start, 0, 0 },
	{ "writev", call_writev, 0, 0 },
	{ "writev_start", call_writev_start, 0, 0 },
};

/* ---- ended ---- */

/* Half a message is of no use to anybody: whatever has ended it, no other one goes. */
static int
end_a_write(void *arg)
{
	struct run *run = arg;
	const int is_gone = run->ending->fn == peer_closes || run->ending->fn == peer_resets;

	end_one(run);
	if (is_gone)
		cr_assert(run->result == CEDE_ECONNRESET ||
				(run->result == CEDE_EPIPE && run->ending->fn == peer_closes),
			"%s, %s, kind %d: %zd", run->call->name, run->ending->name, run->kind,
			run->result);
	else
		cr_assert_eq(run->result, run->ending->result, "%s, %s, kind %d: %zd",
			run->call->name, run->ending->name, run->kind, run->result);
	if (run->both.ours)
		cr_assert_lt(cede_write(run->both.ours, "x", 1), 0);
	both_close(&run->both);
	return 0;
}

static void
expect_of_writes(int ending)
{
	for (size_t i = 0; i < LENGTH(writes); i++)
		for (int kind = 0; kind < KINDS; kind++) {
			struct run run = { .call = &writes[i],
				.ending = &endings[ending],
				.kind = (enum kind)kind };

			if (!endings[ending].needs_reset || kind != UNIX)
				run_to_its_end(&run, end_a_write);
		}
}

Test(stream_writes, a_peer_that_closes_ends_each)
{
	expect_of_writes(A_PEER_CLOSES);
}

Test(stream_writes, a_peer_that_resets_ends_each)
{
	expect_of_writes(A_PEER_RESETS);
}

Test(stream_writes, a_close_by_another_task_ends_each)
{
	expect_of_writes(A_CLOSE);
	expect_of_writes(AN_ABORT);
}

Test(stream_writes, a_cancel_ends_each)
{
	expect_of_writes(A_CANCEL);
}

Test(stream_writes, time_ends_each)
{
	expect_of_writes(A_SCOPE);
	expect_of_writes(AN_IDLE_LIMIT);
	expect_of_writes(A_DEADLINE);
}

/* ---- refused ---- */

static int
refuse_a_second(void *arg)
{
	struct run *run = arg;
	cede_write_t writing;

	cr_assert_eq(both_open(&run->both, run->kind), 0);
	cr_assert_eq(cede_write_start(run->both.ours, much, sizeof much, &writing), 0);
	for (size_t i = 0; i < LENGTH(writes); i++)
		cr_assert_eq(refused(run, &writes[i]), CEDE_EBUSY, "%s", writes[i].name);
	cr_assert_eq(cede_shutdown_write(run->both.ours), CEDE_EBUSY);
	cede_future_cancel(&writing.future);
	both_close(&run->both);
	return 0;
}

Test(stream_writes, a_second_one_is_refused)
{
	for (int kind = 0; kind < KINDS; kind++)
		run_to_its_end(&(struct run){ .call = writes, .kind = (enum kind)kind },
			refuse_a_second);
}

TASK_TEST(stream_writes, of_the_end_that_reads_are_refused)
{
	struct run run = { .call = writes };
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_eq(cede_stream_open_fd(fds[0], &run.both.ours), 0);
	for (size_t i = 0; i < LENGTH(writes); i++)
		cr_assert_eq(refused(&run, &writes[i]), CEDE_ESHUTDOWN, "%s", writes[i].name);
	cede_close(run.both.ours);
	close(fds[1]);
}

PAIR_TEST(stream_writes, behind_a_half_close_and_in_a_closed_task_are_refused)
{
	struct run run = { .both.ours = p->stream };

	cr_assert_eq(cede_shutdown_write(p->stream), 0);
	for (size_t i = 0; i < LENGTH(writes); i++)
		cr_assert_eq(refused(&run, &writes[i]), CEDE_ESHUTDOWN, "%s", writes[i].name);
	close_oneself();
	for (size_t i = 0; i < LENGTH(writes); i++)
		cr_assert_eq(refused(&run, &writes[i]), CEDE_EXIT, "%s", writes[i].name);
}

Test(stream_writes, outside_all_tasks_are_refused)
{
	struct outside o;
	struct run run = { .call = writes };

	leaks_begin();
	outside_open(&o);
	run.both.ours = o.pair.stream;
	for (size_t i = 0; i < LENGTH(writes); i++)
		cr_assert_eq(refused(&run, &writes[i]), CEDE_ENOTASK, "%s", writes[i].name);
	outside_close(&o);
	leaks_end();
}

/* ---- no memory ---- */

/* Whoever can't read goes, so that the writer does not wait for him. */
static int
take_all(void *arg)
{
	struct run *run = arg;
	static char got[sizeof much];

	if (cede_read_exactly(run->both.theirs, got, sizeof got, NULL) < 0) {
		cede_close(run->both.theirs);
		run->both.theirs = NULL;
	}
	return 0;
}

static int
write_without_memory(void *arg)
{
	struct run *run = arg;
	ssize_t n = both_open(&run->both, run->kind);

	if (n == 0)
		n = cede_stream_set_idle(run->both.ours, 1000);
	CEDE_GROUP(group);
	if (n == 0)
		n = cede_spawn(&group, take_all, run);
	if (n == 0) {
		n = run->call->fn(run);
		cede_close(run->both.ours);
		run->both.ours = NULL;
	}
	cr_assert_leq(cede_group_wait(&group), 0);
	if (n == CEDE_EPIPE || n == CEDE_ECONNRESET)
		n = run->both.theirs ? n : CEDE_ENOMEM;
	cr_assert(n == CEDE_ENOMEM || n >= 0, "%s: %zd", run->call->name, n);
	both_close(&run->both);
	return n < 0 ? (int)n : 0;
}

Test(stream_writes, no_memory_is_an_error)
{
	for (size_t i = 0; i < LENGTH(writes); i++)
		sweep(&writes[i], write_without_memory);
}
