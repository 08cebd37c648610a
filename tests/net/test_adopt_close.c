/* The end of an adopted handle: closed as a stream, with the loop, or given back at the last moment. */
#include "tests/net/adopt_test.h"

TestSuite(adopt_close, .timeout = 30);

static int
talk_and_close(void *arg)
{
	struct host *h = arg;

	cr_assert_eq(talk(h), 0);
	cede_close(h->stream);
	return 0;
}

static void
expect_close_tells_the_host(open_fn *open)
{
	struct host h;

	host_open(&h, open);
	host_adopt(&h);
	cr_assert_eq(write(h.peer, "hello", 5), 5);
	run_task(&h, talk_and_close);
	while (h.n_closed == 0)
		uv_run(&h.uv, UV_RUN_ONCE);
	host_close(&h);
}

Test(adopt_close, the_close_of_a_tcp_stream_tells_the_host)
{
	expect_close_tells_the_host(open_tcp);
}

Test(adopt_close, the_close_of_a_pipe_stream_tells_the_host)
{
	expect_close_tells_the_host(open_pipe);
}

Test(adopt_close, the_close_of_a_tty_stream_tells_the_host)
{
	expect_close_tells_the_host(open_tty);
}

Test(adopt_close, a_host_that_does_not_ask_is_not_told)
{
	struct host h;

	host_open(&h, open_tcp);
	cr_assert_eq(cede_stream_adopt(h.loop, &h.handle->stream, NULL, &h.stream), 0);
	cede_close(h.stream);
	cr_assert(uv_is_closing(&h.handle->handle));
	while (h.loop->open > 2)
		uv_run(&h.uv, UV_RUN_ONCE);
	cr_assert_eq(h.handle->handle.data, &h);
	host_closed(&h.handle->handle);
	host_close(&h);
}

Test(adopt_close, an_abort_resets_the_connection)
{
	struct host h;

	host_open(&h, open_tcp);
	host_adopt(&h);
	cede_abort(h.stream);
	cr_assert_eq(peer_receive_end(h.peer, NULL), CEDE_ECONNRESET);
	host_close(&h);
}

static int
read_until_cancelled(void *arg)
{
	struct host *h = arg;

	return (int)cede_read(h->stream, h->got, sizeof h->got);
}

static void
expect_detach_closes(open_fn *open, cede_fn *body)
{
	struct host h;

	host_open(&h, open);
	host_adopt(&h);
	if (body) {
		host_start(&h, body);
		uv_run(&h.uv, UV_RUN_NOWAIT);
	}
	host_close(&h);
	cr_assert_eq(h.n_done, body != NULL);
}

Test(adopt_close, a_detach_closes_what_nobody_reads)
{
	expect_detach_closes(open_tcp, NULL);
	expect_detach_closes(open_pipe, NULL);
}

Test(adopt_close, a_detach_closes_what_a_task_reads)
{
	expect_detach_closes(open_tcp, read_until_cancelled);
	expect_detach_closes(open_pipe, read_until_cancelled);
}

Test(adopt_close, a_detach_closes_the_terminal_that_a_task_reads)
{
	expect_detach_closes(open_tty, read_until_cancelled);
}

/* A task that is being closed gives its handle back: nothing is left to the detach. */
static int
release_at_the_end(void *arg)
{
	struct host *h = arg;
	ssize_t n = cede_read(h->stream, h->got, sizeof h->got);

	cr_assert_eq(n, CEDE_EXIT);
	cr_assert_eq(cede_stream_release(h->stream), 0);
	return (int)n;
}

Test(adopt_close, a_task_that_is_being_closed_gives_it_back)
{
	struct host h;

	host_open(&h, open_tcp);
	host_adopt(&h);
	host_start(&h, release_at_the_end);
	uv_run(&h.uv, UV_RUN_NOWAIT);
	cr_assert_eq(cede_detach(h.loop), 0);
	cr_assert_eq(h.n_closed, 0);
	cr_assert_eq(h.handle->handle.data, &h);
	cr_assert_eq(cede_attach(&h.loop, &h.uv, NULL), 0);
	expect_the_host_goes_on(&h);
	host_close(&h);
}
