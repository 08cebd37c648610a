/* Handles that are not adopted, and streams that are not released. */
#include "tests/net/adopt_test.h"

TestSuite(adopt_refuse, .timeout = 30);

#define MUCH ((size_t)16 << 20)

/* ---- what an adoption refuses ---- */

static void
expect_refused(struct host *h, int code)
{
	cr_assert_eq(cede_stream_adopt(h->loop, &h->handle->stream, host_closed, &h->stream), code);
	cr_assert_eq(h->handle->handle.data, h);
	cr_assert_null(h->stream);
}

Test(adopt_refuse, what_is_no_stream_of_the_loop_is_refused)
{
	uv_loop_t other;
	uv_timer_t timer;
	uv_tcp_t tcp;
	struct host h;

	host_open(&h, open_tcp);
	cr_assert_eq(cede_stream_adopt(NULL, &h.handle->stream, NULL, &h.stream), CEDE_EINVAL);
	cr_assert_eq(cede_stream_adopt(h.loop, NULL, NULL, &h.stream), CEDE_EINVAL);
	cr_assert_eq(uv_timer_init(&h.uv, &timer), 0);
	cr_assert_eq(cede_stream_adopt(h.loop, (uv_stream_t *)&timer, NULL, &h.stream),
		CEDE_EINVAL);
	uv_close((uv_handle_t *)&timer, NULL);

	cr_assert_eq(uv_loop_init(&other), 0);
	cr_assert_eq(uv_tcp_init(&other, &tcp), 0);
	cr_assert_eq(cede_stream_adopt(h.loop, (uv_stream_t *)&tcp, NULL, &h.stream), CEDE_EINVAL);
	uv_close((uv_handle_t *)&tcp, NULL);
	uv_run(&other, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&other), 0);
	host_close(&h);
}

Test(adopt_refuse, a_handle_that_is_closing_is_refused)
{
	struct host h;

	host_open(&h, open_tcp);
	uv_close(&h.handle->handle, host_closed);
	expect_refused(&h, CEDE_EBADF);
	uv_run(&h.uv, UV_RUN_DEFAULT);
	host_close(&h);
}

Test(adopt_refuse, a_handle_that_the_host_reads_is_refused)
{
	struct host h;

	host_open(&h, open_pipe);
	cr_assert_eq(uv_read_start(&h.handle->stream, host_alloc, host_read), 0);
	expect_refused(&h, CEDE_EBUSY);
	cr_assert_eq(uv_read_stop(&h.handle->stream), 0);
	host_adopt(&h);
	host_close(&h);
}

static void
ignore_written(uv_write_t *request, int status)
{
	cr_assert_eq(status, UV_ECANCELED);
}

static void
ignore_shutdown(uv_shutdown_t *request, int status)
{
	cr_assert_eq(status, 0);
}

Test(adopt_refuse, a_handle_that_the_host_writes_to_is_refused)
{
	uv_buf_t much = uv_buf_init(calloc(1, MUCH), MUCH);
	uv_write_t request;
	struct host h;

	host_open(&h, open_pipe);
	cr_assert_eq(uv_write(&request, &h.handle->stream, &much, 1, ignore_written), 0);
	expect_refused(&h, CEDE_EBUSY);
	host_close(&h);
	free(much.base);
}

Test(adopt_refuse, a_handle_that_the_host_shuts_down_is_refused_until_it_has)
{
	uv_shutdown_t request;
	struct host h;

	host_open(&h, open_tcp);
	cr_assert_eq(uv_shutdown(&request, &h.handle->stream, ignore_shutdown), 0);
	expect_refused(&h, CEDE_EBUSY);
	uv_run(&h.uv, UV_RUN_DEFAULT);
	host_adopt(&h);
	cr_assert_eq(peer_receive_end(h.peer, NULL), 0);
	host_close(&h);
}

static void
open_unconnected(struct host *h)
{
	cr_assert_eq(uv_tcp_init(&h->uv, &h->handle->tcp), 0);
	h->peer = -1;
}

static void
open_ipc(struct host *h)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	h->peer = fds[1];
	cr_assert_eq(uv_pipe_init(&h->uv, &h->handle->pipe, 1), 0);
	cr_assert_eq(uv_pipe_open(&h->handle->pipe, fds[0]), 0);
}

Test(adopt_refuse, a_handle_that_is_not_connected_is_refused)
{
	struct host h;

	host_open(&h, open_unconnected);
	expect_refused(&h, CEDE_ENOTCONN);
	host_close(&h);
}

Test(adopt_refuse, a_pipe_for_descriptors_is_refused)
{
	struct host h;

	host_open(&h, open_ipc);
	expect_refused(&h, CEDE_ENOTSUP);
	host_close(&h);
}

static int
adopt_in_vain(void *arg)
{
	struct host *h = arg;
	int r = cede_sleep(100000);

	expect_refused(h, CEDE_ESHUTDOWN);
	return r;
}

Test(adopt_refuse, a_loop_that_is_being_detached_takes_none)
{
	struct host h;

	host_open(&h, open_tcp);
	host_start(&h, adopt_in_vain);
	uv_run(&h.uv, UV_RUN_NOWAIT);
	host_close(&h);
	cr_assert_eq(h.n_done, 1);
}

Test(adopt_refuse, without_memory_the_handle_is_left_as_it_was)
{
	struct host h;

	fault_install();
	host_open(&h, open_tcp);
	fault_arm(1, FAULT_ONCE);
	expect_refused(&h, CEDE_ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	expect_the_host_goes_on(&h);
	fault_arm(2, FAULT_FOREVER); /* there is one allocation */
	host_adopt(&h);
	cr_assert_eq(cede_stream_release(h.stream), 0);
	cr_assert_eq(fault_disarm(), 0);
	host_close(&h);
}

/* ---- what a release refuses ---- */

PAIR_TEST(adopt_refuse, a_stream_of_the_library_is_not_released)
{
	cr_assert_eq(cede_stream_release(p->stream), CEDE_EINVAL);
	cr_assert_eq(cede_stream_release(NULL), CEDE_EINVAL);
}

static int
release_while_reading(void *arg)
{
	struct host *h = arg;
	cede_read_t op;

	cr_assert_eq(cede_read_start(h->stream, h->got, sizeof h->got, &op), 0);
	cr_assert_eq(cede_stream_release(h->stream), CEDE_EBUSY);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_stream_release(h->stream), 0);
	return 0;
}

Test(adopt_refuse, a_stream_that_is_read_is_not_released)
{
	struct host h;

	host_open(&h, open_tcp);
	host_adopt(&h);
	run_task(&h, release_while_reading);
	expect_the_host_goes_on(&h);
	host_close(&h);
}

static int
lend(void *arg)
{
	struct host *h = arg;
	const void *data;

	cr_assert_eq(cede_read_lend(h->stream, &data), 5);
	cr_assert_arr_eq(data, "hello", 5);
	return 0;
}

static int
release_what_was_lent(void *arg)
{
	struct host *h = arg;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, lend, h), 0);
	let_others_run();
	cr_assert_eq(write(h->peer, "hello", 5), 5);
	wait_until_readable(h->stream->fd);
	h->handle->stream.read_cb(&h->handle->stream, UV_ENOBUFS, NULL);
	cr_assert_null(h->stream->reader); /* it is done, and its task does not know yet */
	cr_assert_eq(cede_stream_release(h->stream), CEDE_EBUSY);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(cede_stream_release(h->stream), 0);
	return 0;
}

Test(adopt_refuse, what_was_lent_to_a_task_that_has_not_run_is_not_taken_from_it)
{
	struct host h;

	host_open(&h, open_tcp);
	host_adopt(&h);
	run_task(&h, release_what_was_lent);
	host_close(&h);
}

static int
release_while_writing(void *arg)
{
	struct host *h = arg;
	cede_write_t op;

	h->much = calloc(1, MUCH);
	cr_assert_eq(cede_write_start(h->stream, h->much, MUCH, &op), 0);
	cr_assert_eq(cede_stream_release(h->stream), CEDE_EBUSY);
	cede_future_cancel(&op.future); /* the stream is broken by it, the handle closed */
	cr_assert_eq(op.future.result, CEDE_ECANCELED);
	cr_assert_eq(cede_stream_release(h->stream), CEDE_EBADF);
	while (h->n_closed == 0)
		let_others_run();
	cr_assert_eq(cede_stream_release(h->stream), CEDE_EBADF);
	cr_assert_eq(cede_write(h->stream, "x", 1), CEDE_EPIPE);
	cede_close(h->stream);
	return 0;
}

Test(adopt_refuse, a_write_that_is_given_up_closes_the_handle)
{
	struct host h;

	host_open(&h, open_tcp);
	host_adopt(&h);
	run_task(&h, release_while_writing);
	cr_assert_eq(h.n_closed, 1);
	host_close(&h);
}
