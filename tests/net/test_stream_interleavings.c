/*
 * Every order of what can happen to one operation, by tests/support/interleave.h:
 * reading, writing, connecting, accepting, with the close of what they wait in.
 * Accepting is real TCP.
 */
#include <sys/un.h>

#include <cede/unix.h>

#include "tests/net/interleave_pair.h"
#include "tests/support/peer.h"

TestSuite(stream_interleavings, .timeout = 120, .init = pair_create);

/* ---- reading ---- */

static char buffer[16];
static const void *lent;
static cede_read_t reading;

static int
read_call(void)
{
	return (int)cede_read(net.stream, buffer, sizeof buffer);
}

static void
read_start(void)
{
	cr_assert_eq(cede_read_start(net.stream, buffer, sizeof buffer, &reading), 0);
}

static cede_future_t *
read_future(void)
{
	return &reading.future;
}

static void
read_complete(void)
{
	cr_assert_eq(send(net.peer, "hello", 5, MSG_NOSIGNAL), 5);
}

/* What the read did not take is still there. */
static void
read_after(int first)
{
	if (first == 5)
		cr_assert_arr_eq(buffer, "hello", 5);
	memset(buffer, 0, sizeof buffer);
}

static void
read_tear_down(int first)
{
	char rest[16];
	const ssize_t n = recv(net.ours, rest, sizeof rest, 0);

	if (first == 5)
		cr_assert(n < 0 && errno == EAGAIN);
	else
		cr_assert_eq(n, 5, "what was not read is lost");
}

static const struct operation a_read = {
	.set_up = pair_open,
	.prepare = stream_open,
	.call = read_call,
	.start = read_start,
	.future = read_future,
	.complete = read_complete,
	.close = stream_close,
	.after = read_after,
	.tear_down = read_tear_down,
	.on_complete = 5,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE,
};

INTERLEAVE(stream_interleavings, a_read)

static const struct operation a_read_aborted = {
	.set_up = pair_open,
	.prepare = stream_open,
	.call = read_call,
	.start = read_start,
	.future = read_future,
	.complete = read_complete,
	.close = stream_abort,
	.after = read_after,
	.tear_down = read_tear_down,
	.on_complete = 5,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE | IS_UNCUT,
};

INTERLEAVE(stream_interleavings, a_read_aborted)

/* ---- reading into a buffer that is lent ---- */

static int
lend_call(void)
{
	return (int)cede_read_lend(net.stream, &lent);
}

static void
lend_start(void)
{
	cr_assert_eq(cede_read_lend_start(net.stream, &reading), 0);
}

static void
lend_after(int first)
{
	if (first != 5 || net.is_closed)
		return;
	cr_assert_arr_eq(run.shape == SELECTED ? reading.future.value : lent, "hello", 5);
	cede_read_return(net.stream);
}

/* Closed behind the read, the bytes are gone with the buffer. */
static void
lend_tear_down(int first)
{
	char rest[16];
	const ssize_t n = recv(net.ours, rest, sizeof rest, 0);

	if (first == 5)
		cr_assert(n < 0 && errno == EAGAIN);
	else
		cr_assert(n == 5 || (n < 0 && errno == EAGAIN && first == CEDE_ECANCELED));
}

static const struct operation a_lent_read = {
	.set_up = pair_open,
	.prepare = stream_open,
	.call = lend_call,
	.start = lend_start,
	.future = read_future,
	.complete = read_complete,
	.close = stream_close,
	.after = lend_after,
	.tear_down = lend_tear_down,
	.on_complete = 5,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE | CLOSE_VOIDS,
};

INTERLEAVE(stream_interleavings, a_lent_read)

/* ---- writing: one byte, which does not go in ---- */

static cede_write_t writing;
static size_t drained;

static void
write_prepare(void)
{
	stream_open();
	pair_fill();
	drained = 0;
}

static int
write_call(void)
{
	const ssize_t n = cede_write(net.stream, "x", 1);

	return n == 1 ? 0 : (int)n;
}

static void
write_start(void)
{
	cr_assert_eq(cede_write_start(net.stream, "x", 1, &writing), 0);
}

static cede_future_t *
write_future(void)
{
	return &writing.future;
}

static void
write_complete(void)
{
	drained = pair_drain();
}

/* The byte has come if and only if the write has succeeded. */
static void
write_tear_down(int first)
{
	cr_assert_gt(drained, 0);
	cr_assert_eq(pair_drain(), (size_t)(first == 0));
}

static const struct operation a_write = {
	.set_up = pair_open,
	.prepare = write_prepare,
	.call = write_call,
	.start = write_start,
	.future = write_future,
	.complete = write_complete,
	.close = stream_close,
	.tear_down = write_tear_down,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE,
};

INTERLEAVE(stream_interleavings, a_write)

/* The same byte between two empty pieces. */
static struct iovec pieces[] = { { NULL, 0 }, { &(char){ 'x' }, 1 }, { NULL, 0 } };

static int
writev_call(void)
{
	const ssize_t n = cede_writev(net.stream, pieces, 3);

	return n == 1 ? 0 : (int)n;
}

static void
writev_start(void)
{
	cr_assert_eq(cede_writev_start(net.stream, pieces, 3, &writing), 0);
}

static const struct operation a_writev = {
	.set_up = pair_open,
	.prepare = write_prepare,
	.call = writev_call,
	.start = writev_start,
	.future = write_future,
	.complete = write_complete,
	.close = stream_close,
	.tear_down = write_tear_down,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE | IS_UNCUT,
};

INTERLEAVE(stream_interleavings, a_writev)

static const struct operation a_write_aborted = {
	.set_up = pair_open,
	.prepare = write_prepare,
	.call = write_call,
	.start = write_start,
	.future = write_future,
	.complete = write_complete,
	.close = stream_abort,
	.tear_down = write_tear_down,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE | IS_UNCUT,
};

INTERLEAVE(stream_interleavings, a_write_aborted)

/* ---- connecting: there is no handle before it has succeeded ---- */

static cede_connect_t connecting;

static void
connect_init(void)
{
	pair_open();
	pair_fill();
	net.answers = 0;
	connecting.stream = NULL;
}

static int
connect_call(void)
{
	return cede_tcp_connect("127.0.0.1:1", &net.stream);
}

static void
connect_start(void)
{
	cr_assert_eq(cede_tcp_connect_start("127.0.0.1:1", &connecting), 0);
}

static cede_future_t *
connect_future(void)
{
	return &connecting.future;
}

static void
connect_complete(void)
{
	cr_assert_gt(pair_drain(), 0);
}

static void
connect_after(int first)
{
	if (run.shape == SELECTED)
		net.stream = connecting.stream;
	cr_assert_eq(net.stream != NULL, first == 0);
	cr_assert_eq(cede__list_is_empty(&run.loop->resources), first != 0, "a stream is left");
	cede_close(net.stream);
}

static void
connect_tear_down(int first)
{
	cr_assert_eq(pair_drain(), 0);
}

static const struct operation a_connect = {
	.set_up = connect_init,
	.call = connect_call,
	.start = connect_start,
	.future = connect_future,
	.complete = connect_complete,
	.after = connect_after,
	.tear_down = connect_tear_down,
	.flags = IS_LATE,
};

INTERLEAVE(stream_interleavings, a_connect)

/* ---- accepting ---- */

static cede_listener_t *listener;
static cede_accept_t accepting;
static unsigned port;

static void
accept_init(void)
{
	net.client = -1;
	net.stream = accepting.stream = NULL;
	net.is_closed = 0;
}

static void
accept_prepare(void)
{
	char address[56];

	cr_assert_eq(cede_tcp_listen("127.0.0.1:0", NULL, &listener), 0);
	cr_assert_eq(cede_listener_address(listener, address, sizeof address), 0);
	port = peer_port(address);
}

static int
accept_call(void)
{
	return cede_accept(listener, &net.stream);
}

static void
accept_start(void)
{
	cr_assert_eq(cede_accept_start(listener, &accepting), 0);
}

static cede_future_t *
accept_future(void)
{
	return &accepting.future;
}

static void
accept_complete(void)
{
	if (!is_open())
		return;
	net.client = peer_connect(port);
	wait_for_libuv();
}

static void
accept_close(void)
{
	if (is_open())
		cede_listener_close(listener);
	net.is_closed = 1;
}

static void
accept_after(int first)
{
	if (run.shape == SELECTED)
		net.stream = accepting.stream;
	cr_assert_eq(net.stream != NULL, first == 0);
	cede_abort(net.stream);
}

static void
accept_tear_down(int first)
{
	if (net.client >= 0)
		peer_reset(net.client);
}

/* ---- accepting from a unix socket: the same machine, another family ---- */

static char unix_name[64];

static void
accept_unix_prepare(void)
{
	snprintf(unix_name, sizeof unix_name, "@cede-interleavings-%d", (int)getpid());
	cr_assert_eq(cede_unix_listen(unix_name, NULL, &listener), 0);
}

static void
accept_unix_complete(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const size_t size = strlen(unix_name);

	if (!is_open())
		return;
	memcpy(to.sun_path + 1, unix_name + 1, size - 1);
	net.client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(syscall(SYS_connect, net.client, &to,
			     offsetof(struct sockaddr_un, sun_path) + size),
		0);
	wait_for_libuv();
}

static const struct operation a_unix_accept = {
	.set_up = accept_init,
	.prepare = accept_unix_prepare,
	.call = accept_call,
	.start = accept_start,
	.future = accept_future,
	.complete = accept_unix_complete,
	.close = accept_close,
	.after = accept_after,
	.tear_down = accept_tear_down,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE,
};

INTERLEAVE(stream_interleavings, a_unix_accept)

/* ---- connecting to a unix socket whose queue is full ---- */

static int queue, first_in_queue;
static struct cede__timer *connect_pause;

static int
unix_connect_raw(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(to.sun_path + 1, unix_name + 1, strlen(unix_name) - 1);
	cr_assert_eq(syscall(SYS_connect, fd, &to,
			     offsetof(struct sockaddr_un, sun_path) + strlen(unix_name)),
		0);
	return fd;
}

static void
unix_connect_init(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(unix_name, sizeof unix_name, "@cede-interleavings-%d", (int)getpid());
	memcpy(at.sun_path + 1, unix_name + 1, strlen(unix_name) - 1);
	queue = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(queue, (struct sockaddr *)&at,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				     strlen(unix_name))),
		0);
	cr_assert_eq(listen(queue, 0), 0);
	first_in_queue = unix_connect_raw();
	net.stream = connecting.stream = NULL;
}

static int
unix_connect_call(void)
{
	return cede_unix_connect(unix_name, &net.stream);
}

static void
unix_connect_start(void)
{
	cr_assert_eq(cede_unix_connect_start(unix_name, &connecting), 0);
}

/* Of the timers that are started, the one that is no scope's. */
static void
unix_connect_settle(void)
{
	const struct cede__timers *t = &run.loop->timers;

	connect_pause = NULL;
	for (uint32_t i = 1; i <= t->count; i++)
		if (t->entries[i].timer->fire != run.scope.timer.fire)
			connect_pause = t->entries[i].timer;
	cr_assert_not_null(connect_pause);
}

/* A place comes, and the pause ends if there still is one. */
static void
unix_connect_complete(void)
{
	const struct cede__timers *t = run.loop ? &run.loop->timers : NULL;

	close(accept4(queue, NULL, NULL, SOCK_CLOEXEC));
	for (uint32_t i = 1; t && i <= t->count; i++)
		if (t->entries[i].timer == connect_pause) {
			fire(connect_pause);
			return;
		}
}

static void
unix_connect_tear_down(int first)
{
	close(first_in_queue);
	close(queue);
}

static const struct operation a_unix_connect = {
	.set_up = unix_connect_init,
	.call = unix_connect_call,
	.start = unix_connect_start,
	.future = connect_future,
	.settle = unix_connect_settle,
	.complete = unix_connect_complete,
	.after = connect_after,
	.tear_down = unix_connect_tear_down,
};

INTERLEAVE(stream_interleavings, a_unix_connect)

/* ---- accepting from TCP ---- */

static const struct operation an_accept = {
	.set_up = accept_init,
	.prepare = accept_prepare,
	.call = accept_call,
	.start = accept_start,
	.future = accept_future,
	.complete = accept_complete,
	.close = accept_close,
	.after = accept_after,
	.tear_down = accept_tear_down,
	.on_close = CEDE_ECANCELED,
	.flags = IS_LATE,
};

INTERLEAVE(stream_interleavings, an_accept)
