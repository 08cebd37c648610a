/*
 * Scenarios of streams: both ends are tasks of the loop.
 */
#include "tests/scenarios/directory.h"
#include "tests/scenarios/ends.h"

#include <cede/uv.h>

/* ---- echo ---- */

static int
echo(void *arg)
{
	char buffer[64];
	ssize_t n;

	while ((n = cede_read(arg, buffer, sizeof buffer)) > 0)
		if ((n = cede_write(arg, buffer, (size_t)n)) < 0)
			break;
	return end_with(arg, n);
}

static int
echo_by_lending(void *arg)
{
	const void *data;
	ssize_t n;

	while ((n = cede_read_lend(arg, &data)) > 0)
		if ((n = cede_write(arg, data, (size_t)n)) < 0)
			break;
	cede_read_return(arg);
	return end_with(arg, n);
}

static int
ask(void *arg)
{
	char answer[16];
	ssize_t n = 0;

	for (int i = 0; i < 5 && n >= 0; i++) {
		n = cede_write(arg, "question", 8);
		for (size_t got = 0; n > 0 && got < 8; got += (size_t)n)
			n = cede_read(arg, answer + got, 8 - got);
		require(n <= 0 || memcmp(answer, "question", 8) == 0);
		if (n > 0)
			n = cede_sleep(10);
	}
	return end_with(arg, n);
}

static int
echo_over_a_pair(void *arg)
{
	return run_pair(echo, ask);
}

static int
lent_reads(void *arg)
{
	return run_pair(echo_by_lending, ask);
}

/* ---- half-close ---- */

static int
answer_at_the_end(void *arg)
{
	char buffer[8];
	size_t total = 0;
	ssize_t n;

	while ((n = cede_read(arg, buffer, sizeof buffer)) > 0)
		total += (size_t)n;
	if (n == 0)
		n = cede_write(arg, &total, sizeof total);
	return end_with(arg, n);
}

static int
send_then_listen(void *arg)
{
	size_t total = 0;
	ssize_t n = 0;

	for (int i = 0; i < 4 && n >= 0; i++) {
		n = cede_write(arg, "0123456789", 10);
		if (n > 0)
			n = cede_sleep(1);
	}
	(void)cede_shutdown_write(arg);
	if (n >= 0)
		n = cede_read(arg, &total, sizeof total);
	require(n <= 0 || total == 40);
	return end_with(arg, n);
}

static int
half_close(void *arg)
{
	return run_pair(answer_at_the_end, send_then_listen);
}

/* ---- idle limits ---- */

static int
say_nothing_for_long(void *arg)
{
	int r = 0;

	for (int i = 0; i < 4 && r >= 0; i++) {
		r = (int)cede_write(arg, "x", 1);
		if (r > 0)
			r = cede_sleep(20000);
	}
	if (r >= 0)
		r = cede_sleep(70000);
	return end_with(arg, r);
}

static int
read_within_the_limit(void *arg)
{
	char byte;
	ssize_t n = cede_stream_set_idle(arg, 30000);

	if (n == 0)
		while ((n = cede_read(arg, &byte, 1)) > 0)
			;
	return unless(CEDE_ETIMEDOUT, end_with(arg, n));
}

static int
idle_limit(void *arg)
{
	return run_pair(read_within_the_limit, say_nothing_for_long);
}

/* ---- a big write to a slow reader ---- */

static char big[400000];

static int
write_big(void *arg)
{
	cede_write_t op;
	int r = cede_write_start(arg, big, sizeof big, &op);

	if (r == 0)
		r = cede_await(&op.future);
	require(r < 0 || op.written == sizeof big);
	return end_with(arg, r);
}

static int
read_slowly(void *arg)
{
	static char buffer[100000];
	ssize_t n;

	while ((n = cede_read(arg, buffer, sizeof buffer)) > 0)
		if ((n = cede_sleep(100)) < 0)
			break;
	return end_with(arg, n);
}

static int
big_write_to_a_slow_reader(void *arg)
{
	return run_pair(write_big, read_slowly);
}

/* ---- a proxy ---- */

struct direction {
	cede_stream_t *from, *to;
};

static int
forward(void *arg)
{
	const struct direction *way = arg;
	const void *data;
	ssize_t n;

	while ((n = cede_read_lend(way->from, &data)) > 0)
		if ((n = cede_write(way->to, data, (size_t)n)) < 0)
			break;
	(void)cede_shutdown_write(way->to);
	if (n < 0)
		shutdown(way->from->fd, SHUT_RD);
	return n < 0 ? unless_gone((int)n) : 0;
}

static int
run_proxy(cede_stream_t *left[2], cede_stream_t *right[2])
{
	struct direction ways[] = { { left[1], right[0] }, { right[0], left[1] } };
	CEDE_GROUP(group);
	int r = cede_spawn(&group, ask, left[0]);

	if (r == 0)
		r = cede_spawn(&group, forward, &ways[0]);
	if (r == 0)
		r = cede_spawn(&group, forward, &ways[1]);
	if (r == 0)
		r = cede_spawn(&group, echo, right[1]);
	return r < 0 ? r : cede_group_wait(&group);
}

static int
proxy(void *arg)
{
	cede_stream_t *left[2], *right[2];
	int r = open_pair(left);

	if (r < 0)
		return r;
	r = open_pair(right);
	if (r == 0) {
		r = run_proxy(left, right);
		close_pair(right);
	}
	close_pair(left);
	return r;
}

/* ---- a read or a tick ---- */

static int
read_or_tick(void *arg)
{
	char byte;
	int r = 0;

	while (r >= 0) {
		cede_read_t rd;
		cede_sleep_t tick;

		r = cede_read_start(arg, &byte, 1, &rd);
		if (r < 0)
			break;
		r = cede_sleep_start(4, &tick);
		if (r < 0) {
			cede_future_cancel(&rd.future);
			break;
		}
		r = cede_select(2, (cede_future_t *[]){ &rd.future, &tick.future });
		if (r == 0 && rd.future.result <= 0) {
			r = rd.future.result;
			break;
		}
	}
	return end_with(arg, r);
}

static int
a_read_or_a_tick(void *arg)
{
	return run_pair(read_or_tick, send_then_listen);
}

/* ---- a stream that another task closes ---- */

static int
close_under_a_reader(void *arg)
{
	cede_stream_t *ends[2];
	int r = open_pair(ends);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, echo, ends[0]);
		if (r == 0)
			r = (int)cede_write(ends[1], "x", 1);
		if (r > 0)
			r = cede_sleep(10);
		cede_abort(ends[1]);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	cede_close(ends[0]);
	return r;
}

/* ---- a file to a slow reader ---- */

static int
send_file(void *arg)
{
	cede_file_t *file;
	int64_t sent = 0;
	int r = cede_file_open("big", O_RDONLY, 0, &file), closed;

	if (r == 0) {
		r = cede_sendfile(arg, file, 0, CEDE_FILE_ALL, &sent);
		require(sent <= (int64_t)sizeof big && (r < 0 || sent == sizeof big));
		closed = cede_file_close(file);
		r = r < 0 ? r : closed;
	}
	return end_with(arg, r);
}

static int
file_to_a_slow_reader(void *arg)
{
	char path[] = DIRECTORY_TEMPLATE;
	int r;

	directory_enter(path);
	directory_put("big", big, sizeof big);
	r = run_pair(send_file, read_slowly);
	directory_leave(path);
	return r;
}

/* ---- a handle of the host's, lent to tasks ---- */

static int host_handles; /* that libuv has not let go of */

static void
host_closed(uv_handle_t *handle)
{
	require(handle->data == &host_handles);
	host_handles--;
	free(handle);
}

/* An open handle of the host's, and the other end as a stream. 0, or a code and neither. */
static int
host_open(uv_pipe_t **ret_handle, cede_stream_t **ret_peer)
{
	uv_pipe_t *handle;
	int fds[2], r = cede__stream_create(cede_loop_current(), UV_NAMED_PIPE, ret_peer);

	if (r < 0)
		return r;
	require(host_handles == 0);
	handle = malloc(sizeof *handle);
	require(handle);
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	require(uv_pipe_init(cede_loop_uv(cede_loop_current()), handle, 0) == 0);
	require(uv_pipe_open(handle, fds[0]) == 0);
	require(cede__stream_open(*ret_peer, fds[1]) == 0);
	handle->data = &host_handles;
	host_handles++;
	*ret_handle = handle;
	return 0;
}

/* Whoever ends early cuts the line: nobody half-closes what is to be given back. */
static int
end_of_talk(cede_stream_t *s, ssize_t n)
{
	if (n <= 0)
		shutdown(s->fd, SHUT_RDWR);
	return n < 0 ? unless_gone((int)n) : 0;
}

static int
ask_twice(void *arg)
{
	char answer;
	ssize_t n = 1;

	for (int i = 0; i < 2 && n > 0; i++) {
		n = cede_write(arg, "?", 1);
		if (n > 0)
			n = cede_read(arg, &answer, 1);
	}
	return end_of_talk(arg, n);
}

static int
answer_twice(void *arg)
{
	char question;
	ssize_t n = 1;

	for (int i = 0; i < 2 && n > 0; i++) {
		n = cede_read(arg, &question, 1);
		if (n > 0)
			n = cede_write(arg, "!", 1);
	}
	return end_of_talk(arg, n);
}

static int
talk_over(cede_stream_t *s, cede_stream_t *peer)
{
	CEDE_GROUP(group);
	int r = cede_spawn(&group, answer_twice, s);

	if (r == 0)
		r = cede_spawn(&group, ask_twice, peer);
	return r < 0 ? r : cede_group_wait(&group);
}

static int
adopted_and_released(void *arg)
{
	cede_stream_t *s, *peer;
	uv_pipe_t *handle;
	int r = host_open(&handle, &peer);

	if (r < 0)
		return r;
	for (int i = 0; i < 3 && r == 0; i++) {
		r = cede_stream_adopt(cede_loop_current(), (uv_stream_t *)handle, host_closed, &s);
		if (r < 0)
			break;
		r = talk_over(s, peer);
		require(cede_stream_release(s) == 0);
		require(handle->data == &host_handles);
	}
	uv_close((uv_handle_t *)handle, host_closed);
	cede_close(peer);
	return r;
}

static int
adopted_and_closed(void *arg)
{
	cede_stream_t *s, *peer;
	uv_pipe_t *handle;
	int r = host_open(&handle, &peer);

	if (r < 0)
		return r;
	r = cede_stream_adopt(cede_loop_current(), (uv_stream_t *)handle, host_closed, &s);
	if (r == 0) {
		r = talk_over(s, peer);
		cede_close(s);
	} else {
		uv_close((uv_handle_t *)handle, host_closed);
	}
	cede_close(peer);
	return r;
}

const struct scenario scenarios[] = {
	{ "echo_over_a_pair", echo_over_a_pair, 0, NULL },
	{ "lent_reads", lent_reads, 0, NULL },
	{ "half_close", half_close, 0, NULL },
	{ "idle_limit", idle_limit, 0, NULL },
	{ "big_write_to_a_slow_reader", big_write_to_a_slow_reader, 0, NULL },
	{ "proxy", proxy, 0, NULL },
	{ "a_read_or_a_tick", a_read_or_a_tick, 0, NULL },
	{ "close_under_a_reader", close_under_a_reader, 0, NULL },
	{ "file_to_a_slow_reader", file_to_a_slow_reader, IN_THE_POOL, NULL },
	{ "adopted_and_released", adopted_and_released, 0, NULL },
	{ "adopted_and_closed", adopted_and_closed, 0, NULL },
	{ NULL, NULL, 0, NULL },
};
