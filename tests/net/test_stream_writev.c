/* Writing several pieces as one: net/stream_write.c. */
#include "tests/net/ahead.h"

#include "tests/support/clock.h"

#include <limits.h>

TestSuite(stream_writev, .timeout = 60);

#define MOST_PIECES 1024
#define BYTES       ((size_t)1 << 20)

static char *
pattern(void)
{
	static char bytes[BYTES];

	if (!bytes[1])
		peer_fill(bytes, sizeof bytes, 0);
	return bytes;
}

/* Pieces that lie one behind the other, of sizes up to @most, some of them empty. How many bytes. */
static size_t
cut_pieces(struct iovec *pieces, int count, size_t most, unsigned seed)
{
	size_t size = 0;

	for (int i = 0; i < count; i++) {
		const size_t n = rand_r(&seed) % 4 ? (size_t)rand_r(&seed) % (most + 1) : 0;

		pieces[i] = (struct iovec){ pattern() + size, n };
		size += n;
	}
	cr_assert_leq(size, BYTES);
	return size;
}

static struct iovec
text(const char *text)
{
	return (struct iovec){ (char *)text, strlen(text) };
}

/* ---- the other end ---- */

struct taking {
	int fd;
	size_t piece, size;
	int is_wrong;
};

static void *
take(void *arg)
{
	struct taking *t = arg;
	static char buffer[65536];
	ssize_t n;

	while ((n = recv(t->fd, buffer, t->piece, 0)) > 0) {
		t->is_wrong |= !peer_is_pattern(buffer, (size_t)n, t->size);
		t->size += (size_t)n;
	}
	return NULL;
}

static void
make_small(struct ends *e)
{
	int size = 4096;

	setsockopt(e->stream->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static void
expect_arrives(int count, size_t most, unsigned seed, int is_started)
{
	static struct iovec pieces[MOST_PIECES];
	const size_t size = cut_pieces(pieces, count, most, seed);
	struct ends e;
	struct taking t = { .piece = 1 + (size_t)rand_r(&seed) % 3000 };
	cede_write_t op;
	pthread_t thread;

	ends_open(&e);
	make_small(&e);
	t.fd = e.peer;
	thread = peer_start(take, &t);
	if (is_started) {
		cr_assert_eq(cede_writev_start(e.stream, pieces, count, &op), 0);
		cr_assert_eq(cede_await(&op.future), 0);
		cr_assert_eq(op.written, size);
	} else {
		cr_assert_eq(cede_writev(e.stream, pieces, count), (ssize_t)size);
	}
	cr_assert_eq(cede_shutdown_write(e.stream), 0);
	peer_join(thread);
	cr_assert_not(t.is_wrong);
	cr_assert_eq(t.size, size, "%d pieces up to %zu, seed %u", count, most, seed);
	ends_close(&e);
}

TASK_TEST(stream_writev, any_number_of_pieces_arrives_in_order)
{
	static const int counts[] = { 0, 1, 2, 3, 4, 5, 63, 64, 65, 66, 127, 128, 129, 1000,
		IOV_MAX };

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		for (unsigned seed = 1; seed <= 4; seed++) {
			expect_arrives(counts[i], 1, seed, seed % 2);
			expect_arrives(counts[i], 40, seed, seed % 2);
			expect_arrives(counts[i], 1000, seed, seed % 2);
		}
	for (unsigned seed = 1; seed <= 10; seed++)
		expect_arrives(20, 50000, seed, seed % 2);
}

PAIR_TEST(stream_writev, a_head_and_its_body_are_one_packet)
{
	const struct iovec pieces[] = { text("head "), text("body") };
	char buffer[16];

	cr_assert_eq(cede_writev(p->stream, pieces, 2), 9);
	cr_assert_eq(recv(p->peer, buffer, sizeof buffer, 0), 9);
	cr_assert_arr_eq(buffer, "head body", 9);
}

/* To a pipe, which has no sendmsg(). */
TASK_TEST(stream_writev, pieces_go_through_a_pipe_too)
{
	const struct iovec pieces[] = { text(""), text("one "), { NULL, 0 }, text("two") };
	cede_stream_t *s;
	char buffer[16];
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_eq(cede_stream_open_fd(fds[1], &s), 0);
	cr_assert_eq(cede_writev(s, pieces, 4), 7);
	cr_assert_eq(read(fds[0], buffer, sizeof buffer), 7);
	cr_assert_arr_eq(buffer, "one two", 7);
	cede_close(s);
	close(fds[0]);
}

/* ---- empty pieces ---- */

ENDS_TEST(stream_writev, pieces_may_be_empty_wherever_they_stand)
{
	static struct iovec pieces[IOV_MAX];
	char byte;

	cr_assert_eq(cede_writev(e->stream, NULL, 0), 0);
	cr_assert_eq(cede_writev(e->stream, pieces, IOV_MAX), 0);
	for (int i = 0; i < IOV_MAX; i += 31) {
		pieces[i] = text("x");
		cr_assert_eq(cede_writev(e->stream, pieces, IOV_MAX), 1);
		cr_assert_eq(peer_receive(e->peer, &byte, 1), 1);
		pieces[i] = (struct iovec){ NULL, 0 };
	}
	cr_assert_eq(unread_by(e->stream), 0);
	cr_assert_lt(recv(e->peer, &byte, 1, MSG_DONTWAIT), 0);
}

/* Nothing goes in at first, and the first that would is behind many that are empty. */
ENDS_TEST(stream_writev, empty_pieces_are_passed_over_while_it_waits)
{
	static char drain[1 << 20];
	static struct iovec pieces[200];
	cede_write_t op;
	ssize_t n;

	make_small(e);
	while (send(e->stream->fd, drain, 1024, MSG_DONTWAIT) > 0)
		;
	for (int i = 99; i < 200; i += 50)
		pieces[i] = text("x");
	cr_assert_eq(cede_writev_start(e->stream, pieces, 200, &op), 0);
	cr_assert_not(op.future.is_done);
	while (!op.future.is_done) {
		n = recv(e->peer, drain, sizeof drain, MSG_DONTWAIT);
		let_others_run();
	}
	cr_assert_eq(op.future.result, 0);
	cr_assert_eq(op.written, 3);
	n = recv(e->peer, drain, sizeof drain, MSG_DONTWAIT);
	cr_assert_geq(n, 1);
	cr_assert_eq(drain[n - 1], 'x');
}

/* ---- refused ---- */

ENDS_TEST(stream_writev, what_can_not_be_counted_is_refused)
{
	static const struct iovec too_much[] = { { NULL, SSIZE_MAX }, { NULL, 1 } };
	static const struct iovec over_zero[] = { { NULL, SIZE_MAX }, { NULL, 2 } };
	static struct iovec pieces[IOV_MAX + 1];
	cede_write_t op;

	cr_assert_eq(cede_writev(e->stream, too_much, 2), CEDE_EINVAL);
	cr_assert_eq(cede_writev(e->stream, over_zero, 2), CEDE_EINVAL);
	cr_assert_eq(cede_writev(e->stream, pieces, IOV_MAX + 1), CEDE_EINVAL);
	cr_assert_eq(cede_writev(e->stream, pieces, -1), CEDE_EINVAL);
	cr_assert_eq(cede_writev_start(e->stream, too_much, 2, &op), CEDE_EINVAL);
	cr_assert_eq(cede_writev_start(e->stream, pieces, IOV_MAX + 1, &op), CEDE_EINVAL);
	cr_assert_eq(cede_writev_start(e->stream, pieces, INT_MIN, &op), CEDE_EINVAL);
	cr_assert_eq(cede_write(e->stream, "x", 1), 1);
}

ENDS_TEST(stream_writev, one_writes_at_a_time)
{
	const struct iovec pieces[] = { { pattern(), BYTES }, { pattern(), 1 } };
	cede_write_t op, second;

	cr_assert_eq(cede_writev_start(e->stream, pieces, 2, &op), 0);
	cr_assert_eq(cede_writev(e->stream, pieces, 1), CEDE_EBUSY);
	cr_assert_eq(cede_writev_start(e->stream, pieces, 1, &second), CEDE_EBUSY);
	cr_assert_eq(cede_write(e->stream, "x", 1), CEDE_EBUSY);
	cede_future_cancel(&op.future);
}

ENDS_TEST(stream_writev, says_what_write_says_when_it_is_too_late)
{
	const struct iovec piece = text("x");

	cr_assert_eq(cede_shutdown_write(e->stream), 0);
	cr_assert_eq(cede_writev(e->stream, &piece, 1), CEDE_ESHUTDOWN);
	close_oneself();
	cr_assert_eq(cede_writev(e->stream, &piece, 1), CEDE_EXIT);
	cr_assert_eq(cede_writev(e->stream, &piece, -1), CEDE_EXIT);
}

ENDS_TEST(stream_writev, a_peer_that_is_gone_is_an_error_and_no_signal)
{
	const struct iovec pieces[] = { text("one"), text("two") };

	hang_up(e);
	cr_assert_eq(cede_writev(e->stream, pieces, 2), CEDE_EPIPE);
}

/* ---- given up ---- */

struct writing {
	cede_stream_t *stream;
	struct iovec pieces[MOST_PIECES];
	int count;
	int result;
	size_t size, written;
	int has_ended;
};

static int
write_once(void *arg)
{
	struct writing *w = arg;
	cede_write_t op;
	int r = cede_writev_start(w->stream, w->pieces, w->count, &op);

	w->result = r < 0 ? r : cede_await(&op.future);
	w->written = op.written;
	w->has_ended = 1;
	return 0;
}

static void
take_some(struct ends *e, size_t size, size_t from)
{
	char bytes[512];

	while (size > 0) {
		const ssize_t n = recv(e->peer, bytes, size < 512 ? size : 512, MSG_DONTWAIT);

		if (n > 0) {
			cr_assert(peer_is_pattern(bytes, (size_t)n, from));
			from += (size_t)n;
			size -= (size_t)n;
		} else {
			let_others_run();
		}
	}
}

typedef void end_fn(struct ends *e, cede_group_t *group);

static void
by_cancel(struct ends *e, cede_group_t *group)
{
	cede_group_cancel(group);
}

static void
by_close(struct ends *e, cede_group_t *group)
{
	cede_close(e->stream);
	e->stream = NULL;
}

static void
by_limit(struct ends *e, cede_group_t *group)
{
	cr_assert_eq(cede_stream_set_idle(e->stream, 1), 0);
}

/* Half-way: `written` is what the peer gets, no byte more or less, and the stream is broken. */
static void
expect_exact(int count, size_t most, size_t taken, end_fn *end, int result)
{
	static struct writing w;
	struct ends e;

	ends_open(&e);
	make_small(&e);
	w = (struct writing){ .stream = e.stream, .count = count };
	w.size = cut_pieces(w.pieces, count, most, (unsigned)taken + 1);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, write_once, &w), 0);
	let_others_run();
	take_some(&e, taken, 0);
	cr_assert_not(w.has_ended);
	end(&e, &g);
	while (!w.has_ended)
		let_others_run();
	cr_assert_eq(w.result, result);
	cr_assert_lt(w.written, w.size);
	if (e.stream && result == CEDE_EXIT)
		cr_assert_eq(cede_write(e.stream, "x", 1), CEDE_EPIPE);
	cede_close(e.stream);
	e.stream = NULL;
	{
		static char rest[65536];
		size_t got = taken;
		ssize_t n;

		while ((n = recv(e.peer, rest, sizeof rest, 0)) > 0) {
			cr_assert(peer_is_pattern(rest, (size_t)n, got));
			got += (size_t)n;
		}
		cr_assert_eq(w.written, got, "%zu written, %zu arrived", w.written, got);
	}
	cr_assert_leq(cede_group_wait(&g), 0);
	ends_close(&e);
}

TASK_TEST(stream_writev, given_up_half_way_it_says_exactly_how_far_it_came)
{
	for (size_t taken = 0; taken <= 5000; taken += 500) {
		expect_exact(1000, 500, taken, by_cancel, CEDE_EXIT);
		expect_exact(20, 50000, taken, by_cancel, CEDE_EXIT);
		expect_exact(1000, 500, taken, by_close, CEDE_ECANCELED);
		expect_exact(1000, 500, taken, by_limit, CEDE_ETIMEDOUT);
	}
}

/* ---- want of memory ---- */

/* A wait that can't be limited is not begun: nothing of the caller's is left with libuv. */
static int
write_with_a_limit(struct pair *p)
{
	const struct iovec pieces[] = { { pattern(), BYTES / 2 }, { pattern(), BYTES / 2 } };
	static char bytes[65536];
	cede_write_t op;
	int r = cede_stream_set_idle(p->stream, 100000), size = 4096;

	if (r < 0)
		return r;
	setsockopt(p->stream->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	while (send(p->stream->fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
		;
	r = cede_writev_start(p->stream, pieces, 2, &op);
	if (r < 0)
		return r;
	if (!op.future.is_done) {
		cede_future_cancel(&op.future);
		return 0;
	}
	cr_assert_eq(op.future.result, CEDE_ENOMEM);
	cr_assert_eq(uv_stream_get_write_queue_size(p->stream->handle), 0);
	return op.future.result;
}

Test(stream_writev, want_of_memory_leaves_nothing_with_libuv)
{
	cr_assert_geq(expect_failures_are_survived(write_with_a_limit, FAULT_ONCE), 1);
}
