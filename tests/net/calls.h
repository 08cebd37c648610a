/*
 * For the tests of every call that waits for a stream, by each way in which its wait can
 * end, on each kind of stream that ends in its own way. The calls are a table of the file
 * that includes this; the ways are the table here. The suites of the single calls say
 * more about each; these, that none of them is an exception.
 *
 * A run is under the kit: its clock, and nothing may be left.
 */
#ifndef CEDE_TESTS_NET_CALLS_H
#define CEDE_TESTS_NET_CALLS_H

#include <cede/testing.h>

#include "tests/net/pair.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define TEXT          "abcde;\r\n"

enum kind { TCP, UNIX, MEMORY, KINDS };

/* What a body closes itself it sets to NULL. */
struct both {
	cede_stream_t *ours, *theirs;
};

struct run {
	const struct call *call;
	const struct ending *ending;
	enum kind kind;
	size_t step;                      /* so many bytes of the text come before the end */
	void (*prepare)(struct run *run); /* before the call: may suspend; NULL: nothing */

	struct both both;
	char got[8]; /* by a call that is given memory */
	ssize_t result;
	int has_ended;
};

struct call {
	const char *name;
	ssize_t (*fn)(struct run *run);
	ssize_t at_end,
		in_the_middle; /* of a read, when the peer closes: before the text, within it */
};

struct ending {
	const char *name;
	void (*fn)(struct run *run, cede_task_t *task);
	int result; /* 0: the call's, or one of two that say that nobody is there */
	int needs_reset;
};

/* ---- the kinds ---- */

static inline int
open_tcp(struct both *b)
{
	cede_listener_t *listener;
	char name[64];
	int r = cede_tcp_listen("127.0.0.1:0", NULL, &listener);

	if (r < 0)
		return r;
	r = cede_listener_address(listener, name, sizeof name);
	if (r == 0)
		r = cede_tcp_connect(name, &b->theirs);
	if (r == 0)
		r = cede_accept(listener, &b->ours);
	cede_listener_close(listener);
	return r;
}

static inline int
open_unix(struct both *b)
{
	int fds[2], r;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	r = cede_stream_open_fd(fds[0], &b->ours);
	if (r == 0)
		r = cede_stream_open_fd(fds[1], &b->theirs);
	if (!b->ours)
		close(fds[0]);
	if (!b->theirs)
		close(fds[1]);
	return r;
}

/* With buffers that a large write fills. */
static inline int
both_open(struct both *b, enum kind kind)
{
	int r;

	*b = (struct both){ NULL, NULL };
	if (kind == MEMORY)
		return cede_stream_pair(&b->ours, &b->theirs, 4096);
	r = kind == TCP ? open_tcp(b) : open_unix(b);
	if (r == 0)
		r = cede_stream_set_buffers(b->ours, 0, 4096);
	return r == 0 ? cede_stream_set_buffers(b->theirs, 4096, 0) : r;
}

static inline void
both_close(struct both *b)
{
	cede_close(b->ours);
	cede_close(b->theirs);
}

static inline int
cushion_of(enum kind kind)
{
	return kind == TCP ? 5 : 0;
}

static inline void
settle(const struct run *run)
{
	cr_assert_eq(cede_test_wait_all_blocked((unsigned)cushion_of(run->kind)), 0);
}

/* ---- how a wait ends ---- */

static inline void
peer_closes(struct run *run, cede_task_t *task)
{
	cede_close(run->both.theirs);
	run->both.theirs = NULL;
}

static inline void
peer_resets(struct run *run, cede_task_t *task)
{
	cede_abort(run->both.theirs);
	run->both.theirs = NULL;
}

static inline void
another_closes(struct run *run, cede_task_t *task)
{
	cede_close(run->both.ours);
	run->both.ours = NULL;
}

static inline void
another_aborts(struct run *run, cede_task_t *task)
{
	cede_abort(run->both.ours);
	run->both.ours = NULL;
}

static inline void
cancelled(struct run *run, cede_task_t *task)
{
	cr_assert_eq(cede_task_cancel(task), 1);
}

/* Of do_once(): the one limit that a stream has not. */
static inline void
scope_passes(struct run *run, cede_task_t *task)
{
	cr_assert_eq(cede_test_clock_advance(100000), 0);
}

static inline void
idle_limit_passes(struct run *run, cede_task_t *task)
{
	cr_assert_eq(cede_stream_set_idle(run->both.ours, 10), 0);
	cr_assert_eq(cede_test_clock_advance(10), 0);
}

static inline void
deadline_passes(struct run *run, cede_task_t *task)
{
	cr_assert_eq(cede_stream_set_deadline(run->both.ours, 10), 0);
	cr_assert_eq(cede_test_clock_advance(10), 0);
}

enum {
	A_PEER_CLOSES,
	A_PEER_RESETS,
	A_CLOSE,
	AN_ABORT,
	A_CANCEL,
	A_SCOPE,
	AN_IDLE_LIMIT,
	A_DEADLINE
};

static const struct ending endings[] = {
	[A_PEER_CLOSES] = { "the peer closes", peer_closes, 0, 0 },
	[A_PEER_RESETS] = { "the peer resets", peer_resets, CEDE_ECONNRESET, 1 },
	[A_CLOSE] = { "another task closes", another_closes, CEDE_ECANCELED, 0 },
	[AN_ABORT] = { "another task aborts", another_aborts, CEDE_ECANCELED, 0 },
	[A_CANCEL] = { "it is cancelled", cancelled, CEDE_EXIT, 0 },
	[A_SCOPE] = { "a scope passes", scope_passes, CEDE_ETIMEDOUT, 0 },
	[AN_IDLE_LIMIT] = { "the idle limit passes", idle_limit_passes, CEDE_ETIMEDOUT, 0 },
	[A_DEADLINE] = { "the deadline passes", deadline_passes, CEDE_ETIMEDOUT, 0 },
};

static inline int
do_once(void *arg)
{
	struct run *run = arg;

	CEDE_TIMEOUT(100000)
		run->result = run->call->fn(run);
	run->has_ended = 1;
	return 0;
}

static inline int
end_one(void *arg)
{
	struct run *run = arg;
	cede_task_t *task;

	cr_assert_eq(both_open(&run->both, run->kind), 0);
	if (run->prepare)
		run->prepare(run);
	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn_with(&group, do_once, run, NULL, &task), 0);
	settle(run);
	for (size_t at = 0; at < run->step; at++) {
		cr_assert_eq(cede_write(run->both.theirs, &TEXT[at], 1), 1);
		settle(run);
	}
	cr_assert_not(run->has_ended, "%s does not wait", run->call->name);
	run->ending->fn(run, task);
	cr_assert_leq(cede_group_wait(&group), 0);
	cr_assert(run->has_ended);
	cede_task_unref(task);
	return 0;
}

/* Runs it, and leaves both ends open for a look at them. */
static inline void
run_to_its_end(struct run *run, cede_fn *fn)
{
	const cede_test_options_t options = { .cushion_ms = (unsigned)cushion_of(run->kind) };
	cede_test_report_t report;
	int r;

	leaks_begin();
	r = cede_test_run(fn, run, &options, &report);
	cr_assert_geq(r, 0, "%s, %s, kind %d: %s", run->call->name,
		run->ending ? run->ending->name : "", run->kind, report.text);
	leaks_end();
}

/* ---- refused ---- */

static inline ssize_t
refused(struct run *run, const struct call *call)
{
	run->call = call;
	return call->fn(run);
}

/* ---- no memory ---- */

/* Not of TCP, whose accept waits for memory to come: it is read and written as a unix socket is. */
static inline void
sweep(const struct call *call, cede_fn *fn)
{
	for (int kind = UNIX; kind < KINDS; kind++) {
		struct run run = { .call = call, .kind = (enum kind)kind };
		const cede_test_options_t options = { .is_quiet = 1,
			.cushion_ms = (unsigned)cushion_of(run.kind) };
		cede_test_report_t report;

		leaks_begin();
		cr_assert_gt(cede_test_sweep_memory(fn, &run, &options, CEDE_TEST_FAIL_BOTH,
				     &report),
			0, "%s, kind %d: %s", call->name, kind, report.text);
		cr_assert_gt(report.failed, 0);
		leaks_end();
	}
}

#endif
