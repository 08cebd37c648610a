/*
 * Each call of TLS that waits, by each way in which its wait can end: a table, on streams
 * of each kind, whose other end says nothing. And what is told before a handshake is done.
 */
#include "tests/net/calls.h"
#include "tests/net/tls_pair.h"

TestSuite(tls_calls, .timeout = 100);

/* Of one run: the gate counts what they are made of. */
static cede_tls_t *client_tls, *server_tls;

static void
make_configurations(void)
{
	const cede_tls_options_t client = client_options(), server = server_options();

	client_tls = make_client(&client);
	server_tls = make_server(&server);
}

static void
drop_configurations(void)
{
	client_tls = cede_tls_unref(client_tls);
	server_tls = cede_tls_unref(server_tls);
}

/* ---- the calls ---- */

static ssize_t
call_accept(struct run *run)
{
	return cede_tls_accept(run->both.ours, server_tls, NULL);
}

static ssize_t
call_connect(struct run *run)
{
	return cede_tls_connect(run->both.ours, client_tls, "example.test", NULL);
}

static ssize_t
call_shutdown(struct run *run)
{
	return cede_tls_shutdown(run->both.ours, 0);
}

/* The peer's end of an encrypted stream is an end in order: its close says so. */
static const struct call calls[] = {
	{ "accept", call_accept, CEDE_ETRUNCATED, 0 },
	{ "connect", call_connect, CEDE_ETRUNCATED, 0 },
	{ "shutdown", call_shutdown, 0, 0 },
};

static int
accept_theirs(void *arg)
{
	struct run *run = arg;

	return cede_tls_accept(run->both.theirs, server_tls, NULL);
}

static void
encrypt(struct run *run)
{
	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn(&group, accept_theirs, run), 0);
	cr_assert_eq(cede_tls_connect(run->both.ours, client_tls, "example.test", NULL), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
}

static void
prepare(struct run *run)
{
	if (run->call->fn == call_shutdown)
		encrypt(run);
}

/* ---- ended ---- */

/* With something unread its close would be a reset. */
static void
peer_reads_and_closes(struct run *run, cede_task_t *task)
{
	char said[4096];

	if (run->call->fn != call_accept)
		cr_assert_geq(cede_read(run->both.theirs, said, sizeof said), 0);
	peer_closes(run, task);
}

static int
end_a_call(void *arg)
{
	struct run *run = arg;
	ssize_t expected;

	make_configurations();
	run->prepare = prepare;
	end_one(run);
	expected = run->ending->result == 0 ? run->call->at_end : run->ending->result;
	cr_assert_eq(run->result, expected, "%s, %s, kind %d: %zd", run->call->name,
		run->ending->name, run->kind, run->result);
	if (run->both.ours)
		cr_assert_lt(cede_write(run->both.ours, "plain", 5), 0, "%s", run->call->name);
	both_close(&run->both);
	drop_configurations();
	return 0;
}

static void
expect_of_each(const struct ending *ending)
{
	for (size_t i = 0; i < LENGTH(calls); i++)
		for (int kind = 0; kind < KINDS; kind++) {
			struct run run = { .call = &calls[i],
				.ending = ending,
				.kind = (enum kind)kind };

			if (!ending->needs_reset || kind != UNIX)
				run_to_its_end(&run, end_a_call);
		}
}

Test(tls_calls, a_peer_that_closes_ends_each)
{
	static const struct ending in_order = { "the peer closes", peer_reads_and_closes, 0, 0 };

	expect_of_each(&in_order);
}

Test(tls_calls, a_peer_that_resets_ends_each)
{
	expect_of_each(&endings[A_PEER_RESETS]);
}

Test(tls_calls, a_close_by_another_task_ends_each)
{
	expect_of_each(&endings[A_CLOSE]);
	expect_of_each(&endings[AN_ABORT]);
}

Test(tls_calls, a_cancel_ends_each)
{
	expect_of_each(&endings[A_CANCEL]);
}

Test(tls_calls, time_ends_each)
{
	expect_of_each(&endings[A_SCOPE]);
	expect_of_each(&endings[AN_IDLE_LIMIT]);
	expect_of_each(&endings[A_DEADLINE]);
}

/* ---- refused ---- */

static int
refuse_a_second(void *arg)
{
	struct run *run = arg;
	cede_read_t reading;
	char byte;

	make_configurations();
	for (size_t i = 0; i < LENGTH(calls); i++) {
		run->call = &calls[i];
		cr_assert_eq(both_open(&run->both, run->kind), 0);
		prepare(run);
		cr_assert_eq(cede_read_start(run->both.ours, &byte, 1, &reading), 0);
		cr_assert_eq(refused(run, &calls[i]), CEDE_EBUSY, "%s", calls[i].name);
		cede_future_cancel(&reading.future);
		both_close(&run->both);
	}
	drop_configurations();
	return 0;
}

Test(tls_calls, a_second_one_is_refused)
{
	for (int kind = 0; kind < KINDS; kind++)
		run_to_its_end(&(struct run){ .call = calls, .kind = (enum kind)kind },
			refuse_a_second);
}

static int
open_encrypted(void *arg)
{
	struct run *run = arg;

	cr_assert_eq(both_open(&run->both, run->kind), 0);
	prepare(run);
	return 0;
}

/* The streams are left to the detach. */
Test(tls_calls, outside_all_tasks_are_refused)
{
	leaks_begin();
	make_configurations();
	for (size_t i = 0; i < LENGTH(calls); i++) {
		struct run run = { .call = &calls[i], .kind = MEMORY };
		cede_loop_t *loop;
		uv_loop_t uv;
		int ended = 0;

		cr_assert_eq(uv_loop_init(&uv), 0);
		cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
		cr_assert_eq(cede_start(loop, open_encrypted, &run, count_ended, &ended), 0);
		while (!ended)
			uv_run(&uv, UV_RUN_ONCE);
		cr_assert_eq(calls[i].fn(&run), CEDE_ENOTASK, "%s", calls[i].name);
		cr_assert_eq(cede_detach(loop), 0);
		cr_assert_eq(uv_loop_close(&uv), 0);
	}
	drop_configurations();
	leaks_end();
}

/* ---- what is told ---- */

static int
ask_meanwhile(void *arg)
{
	struct run *run = arg;
	cede_task_t *task;
	cede_tls_info_t info;
	cede_tls_peer_t peer;

	make_configurations();
	cr_assert_eq(both_open(&run->both, run->kind), 0);
	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn_with(&group, do_once, run, NULL, &task), 0);
	settle(run);
	cr_assert_eq(cede_tls_info(run->both.ours, &info), CEDE_EAGAIN);
	cr_assert_eq(cede_tls_peer(run->both.ours, &peer), CEDE_EAGAIN);
	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_group_wait(&group), 0);
	cede_task_unref(task);
	both_close(&run->both);
	drop_configurations();
	return 0;
}

Test(tls_calls, nothing_is_told_before_the_handshake_is_done)
{
	run_to_its_end(&(struct run){ .call = &calls[1], .kind = MEMORY }, ask_meanwhile);
}

/* ---- an adopted handle ---- */

static void
count_closed(uv_handle_t *handle)
{
	++*(int *)handle->data;
}

/* In plain text it would go back; encrypted it stays the stream's, which closes it. */
TASK_TEST(tls_calls, an_adopted_handle_is_not_given_back_encrypted)
{
	struct run run = { .call = calls };
	cede_loop_t *loop = cede_loop_current();
	int fds[2], n_closed = 0;
	uv_pipe_t handle;

	make_configurations();
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	cr_assert_eq(uv_pipe_init(cede_loop_uv(loop), &handle, 0), 0);
	cr_assert_eq(uv_pipe_open(&handle, fds[0]), 0);
	handle.data = &n_closed;
	cr_assert_eq(cede_stream_adopt(loop, (uv_stream_t *)&handle, count_closed, &run.both.ours),
		0);
	cr_assert_eq(cede_stream_open_fd(fds[1], &run.both.theirs), 0);
	encrypt(&run);
	cr_assert_eq(cede_stream_release(run.both.ours), CEDE_ENOTSUP);
	both_close(&run.both);
	while (n_closed == 0)
		let_others_run();
	drop_configurations();
}
