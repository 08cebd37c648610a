/*
 * Streams of memory: net/stream_memory.c. Each body runs under the kit's clock, first
 * in first out and with several seeds, and nothing may be left of it.
 */
#include <cede/cede.h>
#include <cede/testing.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/support/leaks.h"
#include "tests/support/mallocs.h"
#include "tests/support/peer.h"

TestSuite(stream_memory, .timeout = 60);

#define SEEDS 20

/* What a body closes itself it sets to NULL. */
struct ends {
	cede_stream_t *a, *b;
};

struct memory_body {
	void (*fn)(struct ends *);
	size_t capacity;
};

static int
run_body(void *arg)
{
	const struct memory_body *body = arg;
	struct ends e;

	cr_assert_eq(cede_stream_pair(&e.a, &e.b, body->capacity), 0);
	body->fn(&e);
	cede_close(e.a);
	cede_close(e.b);
	return 0;
}

static void
run_seeds(struct memory_body body)
{
	cede_test_report_t report;
	int r;

	leaks_begin();
	r = cede_test_sweep_seeds(run_body, &body, NULL, 0, SEEDS, &report);
	cr_assert_eq(r, SEEDS, "%s", report.text);
	leaks_end();
}

#define MEMORY_TEST(name, capacity) \
	static void memory_##name(struct ends *e); \
	Test(stream_memory, name) \
	{ \
		run_seeds((struct memory_body){ memory_##name, capacity }); \
	} \
	static void memory_##name(struct ends *e)

/* A read or a write of another task. */
struct doing {
	cede_stream_t *stream;
	char *data;
	size_t size;
	ssize_t result;
	size_t written;
	int is_done;
};

static int
do_read(void *arg)
{
	struct doing *d = arg;

	d->result = cede_read(d->stream, d->data, d->size);
	d->is_done = 1;
	return 0;
}

static int
do_write(void *arg)
{
	struct doing *d = arg;
	cede_write_t op;
	int r = cede_write_start(d->stream, d->data, d->size, &op);

	d->result = r < 0 ? r : cede_await(&op.future);
	d->written = op.written;
	d->is_done = 1;
	return 0;
}

/* Until every other task has got as far as it can. */
static void
settle(void)
{
	cr_assert_eq(cede_test_wait_all_blocked(0), 0);
}

static char much[200000], got[200000];

/* ---- bytes ---- */

MEMORY_TEST(what_one_writes_the_other_reads, 0)
{
	char buffer[16];

	cr_assert_eq(cede_write(e->a, "ping", 4), 4);
	cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), 4);
	cr_assert_arr_eq(buffer, "ping", 4);
	cr_assert_eq(cede_write(e->b, "pong!", 5), 5);
	cr_assert_eq(cede_read(e->a, buffer, sizeof buffer), 5);
	cr_assert_arr_eq(buffer, "pong!", 5);
}

MEMORY_TEST(a_reader_that_waits_is_given_what_comes, 0)
{
	char buffer[16];
	struct doing d = { .stream = e->b, .data = buffer, .size = sizeof buffer };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, do_read, &d), 0);
	settle();
	cr_assert_not(d.is_done);
	cr_assert_eq(cede_write(e->a, "hello", 5), 5);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(d.result, 5);
	cr_assert_arr_eq(buffer, "hello", 5);
}

/* Of which the first goes past the ring, and the rest does not come before it. */
MEMORY_TEST(a_reader_that_waits_for_less_leaves_the_rest_in_order, 8)
{
	char buffer[3], rest[16];
	struct doing d = { .stream = e->b, .data = buffer, .size = sizeof buffer };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, do_read, &d), 0);
	settle();
	cr_assert_eq(cede_write(e->a, "0123456789", 10), 10);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(d.result, 3);
	cr_assert_arr_eq(buffer, "012", 3);
	cr_assert_eq(cede_read(e->b, rest, sizeof rest), 7);
	cr_assert_arr_eq(rest, "3456789", 7);
}

MEMORY_TEST(so_much_may_be_on_its_way_as_there_is_capacity, 10)
{
	char buffer[16];
	struct doing d = { .stream = e->a, .data = much, .size = 1 };

	cr_assert_eq(cede_write(e->a, "0123456789", 10), 10);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, do_write, &d), 0);
	settle();
	cr_assert_not(d.is_done, "an eleventh byte was taken");
	cr_assert_eq(cede_read(e->b, buffer, 1), 1);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(d.result, 0);
	cr_assert_eq(d.written, 1);
	cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), 10);
	cr_assert_arr_eq(buffer, "123456789\0", 10);
}

MEMORY_TEST(that_is_64_KiB_unless_it_is_said, 0)
{
	struct doing d = { .stream = e->a, .data = much, .size = 1 };

	cr_assert_eq(cede_write(e->a, much, 65536), 65536);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, do_write, &d), 0);
	settle();
	cr_assert_not(d.is_done);
	cede_group_cancel(&g);
}

/* Past a ring that is small. */
MEMORY_TEST(a_large_read_takes_from_the_memory_of_a_writer_that_waits, 100)
{
	struct doing d = { .stream = e->a, .data = much, .size = sizeof much };

	peer_fill(much, sizeof much, 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, do_write, &d), 0);
	settle();
	cr_assert_eq(cede_read(e->b, got, 150000), 150000);
	settle();
	cr_assert_not(d.is_done);
	cr_assert_eq(cede_read(e->b, got + 150000, 50000), 50000);
	cr_assert(peer_is_pattern(got, sizeof got, 0));
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(d.result, 0);
	cr_assert_eq(d.written, sizeof much);
}

static int
write_pieces(void *arg)
{
	struct iovec pieces[100];
	size_t size = 0;

	for (size_t i = 0; i < 100; size += i % 5, i++)
		pieces[i] = (struct iovec){ .iov_base = much + size, .iov_len = i % 5 };
	cr_assert_eq(cede_writev(arg, pieces, 100), 200);
	cr_assert_eq(cede_shutdown_write(arg), 0);
	return 0;
}

MEMORY_TEST(many_pieces_go_in_order, 7)
{
	size_t n = 0;
	ssize_t r;

	peer_fill(much, sizeof much, 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, write_pieces, e->a), 0);
	while ((r = cede_read(e->b, got + n, 1 + n % 13)) > 0)
		n += (size_t)r;
	cr_assert_eq(r, 0);
	cr_assert_eq(n, 200);
	cr_assert(peer_is_pattern(got, 200, 0));
	cr_assert_eq(cede_group_wait(&g), 0);
}

/* ---- large transfers: both ways at once, in sizes of a seed ---- */

struct transfer {
	cede_stream_t *stream;
	size_t from, total;
	uint32_t random;
};

static size_t
draw(struct transfer *t, size_t max)
{
	t->random = t->random * 1664525 + 1013904223;
	return 1 + (t->random >> 8) % max;
}

static int
transfer_out(void *arg)
{
	struct transfer *t = arg;

	for (size_t at = 0; at < t->total;) {
		static char chunk[5000];
		size_t n = draw(t, sizeof chunk);

		n = n < t->total - at ? n : t->total - at;
		peer_fill(much + t->from % 2 * 100000, n, t->from + at);
		cr_assert_eq(cede_write(t->stream, much + t->from % 2 * 100000, n), (ssize_t)n);
		at += n;
		if (t->random % 4 == 0)
			cr_assert_eq(cede_sleep(t->random >> 9 & 3), 0);
	}
	return cede_shutdown_write(t->stream);
}

static int
transfer_in(void *arg)
{
	struct transfer *t = arg;
	size_t at = 0;
	ssize_t n;
	char buffer[4000];

	while ((n = cede_read(t->stream, buffer, draw(t, sizeof buffer))) > 0) {
		cr_assert(peer_is_pattern(buffer, (size_t)n, t->from + at));
		at += (size_t)n;
		if (t->random % 8 == 0)
			cr_assert_eq(cede_sleep(t->random >> 9 & 3), 0);
	}
	cr_assert_eq(n, 0);
	cr_assert_eq(at, t->total);
	return 0;
}

static void
transfer_both_ways(struct ends *e)
{
	const uint32_t seed = (uint32_t)cede_test_seed();
	struct transfer t[] = {
		{ e->a, 0, 30000, seed },
		{ e->b, 0, 30000, seed + 1 },
		{ e->b, 1, 20000, seed + 2 },
		{ e->a, 1, 20000, seed + 3 },
	};

	CEDE_GROUP(g);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(cede_spawn(&g, i % 2 == 0 ? transfer_out : transfer_in, &t[i]), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
}

Test(stream_memory, large_transfers_are_exact_whatever_the_capacity)
{
	static const size_t capacities[] = { 1, 2, 3, 7, 64, 1000, 4096, 0 };

	for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++)
		run_seeds((struct memory_body){ transfer_both_ways, capacities[i] });
}

/* A reader of what is always full, and a writer to one that takes all, let others run. */
MEMORY_TEST(who_need_not_wait_lets_others_run, 0)
{
	struct doing d = { .stream = e->a, .data = much, .size = 65536 };
	char byte;
	int ticks = 0;

	do_write(&d);
	for (int i = 0; i < 1000; i++) {
		cede_sleep_t tick;

		if (i % 100 == 0)
			cr_assert_eq(cede_sleep_start(0, &tick), 0);
		cr_assert_eq(cede_read(e->b, &byte, 1), 1);
		if (i % 100 == 99) {
			ticks += tick.future.is_done;
			cede_future_cancel(&tick.future);
		}
	}
	cr_assert_eq(ticks, 10);
}

/* ---- one reader, one writer ---- */

MEMORY_TEST(a_second_reader_and_a_second_writer_are_refused, 4)
{
	char buffer[4];
	struct doing r = { .stream = e->a, .data = buffer, .size = 4 };
	struct doing w = { .stream = e->a, .data = much, .size = 100 };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, do_read, &r), 0);
	cr_assert_eq(cede_spawn(&g, do_write, &w), 0);
	settle();
	cr_assert_eq(cede_read(e->a, buffer, 1), CEDE_EBUSY);
	cr_assert_eq(cede_write(e->a, "x", 1), CEDE_EBUSY);
	cr_assert_eq(cede_shutdown_write(e->a), CEDE_EBUSY);
	cede_group_cancel(&g);
}

/* ---- given up ---- */

MEMORY_TEST(a_read_that_is_given_up_loses_nothing, 0)
{
	char buffer[8];

	CEDE_TIMEOUT(10) {
		cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), CEDE_ETIMEDOUT);
	}
	cr_assert_eq(cede_write(e->a, "kept", 4), 4);
	cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), 4);
	cr_assert_arr_eq(buffer, "kept", 4);
}

/* Half a message is of no use: both ends are told, and how much went is said. */
MEMORY_TEST(a_write_that_is_given_up_resets, 100)
{
	cede_write_t op;
	char byte;

	cr_assert_eq(cede_write_start(e->a, much, 1000, &op), 0);
	cr_assert_eq(cede_read(e->b, got, 50), 50);
	CEDE_TIMEOUT(10) {
		cr_assert_eq(cede_await(&op.future), CEDE_ETIMEDOUT);
	}
	cr_assert_eq(op.written, 150);
	cr_assert_eq(cede_write(e->a, "x", 1), CEDE_EPIPE);
	cr_assert_eq(cede_read(e->a, &byte, 1), CEDE_ECANCELED);
	cr_assert_eq(cede_read(e->b, &byte, 1), CEDE_ECONNRESET);
	cr_assert_eq(cede_write(e->b, "x", 1), CEDE_ECONNRESET);
}

/* ---- the end ---- */

MEMORY_TEST(each_half_ends_by_itself_and_stays_ended, 0)
{
	char buffer[8];

	cr_assert_eq(cede_write(e->a, "last", 4), 4);
	cr_assert_eq(cede_shutdown_write(e->a), 0);
	cr_assert_eq(cede_shutdown_write(e->a), 0);
	cr_assert_eq(cede_write(e->a, "x", 1), CEDE_ESHUTDOWN);
	cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), 4);
	cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), 0);
	cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), 0);
	cr_assert_eq(cede_write(e->b, "reply", 5), 5);
	cr_assert_eq(cede_shutdown_write(e->b), 0);
	cr_assert_eq(cede_read(e->a, buffer, sizeof buffer), 5);
	cr_assert_eq(cede_read(e->a, buffer, sizeof buffer), 0);
}

MEMORY_TEST(a_half_close_wakes_the_reader, 0)
{
	char byte;
	struct doing d = { .stream = e->b, .data = &byte, .size = 1, .result = -1 };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, do_read, &d), 0);
	settle();
	cr_assert_eq(cede_shutdown_write(e->a), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(d.result, 0);
}

MEMORY_TEST(behind_a_close_the_other_reads_what_is_there_and_writes_in_vain, 0)
{
	char buffer[8];

	cr_assert_eq(cede_write(e->a, "last", 4), 4);
	cr_assert_eq(cede_write(e->b, "unread", 6), 6);
	cede_close(e->a);
	e->a = NULL;
	cr_assert_eq(cede_write(e->b, "x", 1), CEDE_EPIPE);
	cr_assert_eq(cede_write(e->b, "x", 1), CEDE_EPIPE);
	cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), 4);
	cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), 0);
	cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), 0);
	cr_assert_eq(cede_shutdown_write(e->b), 0);
}

MEMORY_TEST(a_close_wakes_whom_it_concerns, 4)
{
	char bytes[2];
	struct doing d[] = {
		{ .stream = e->a, .data = &bytes[0], .size = 1 },
		{ .stream = e->b, .data = &bytes[1], .size = 1, .result = -1 },
		{ .stream = e->b, .data = much, .size = 10 },
	};

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, do_read, &d[1]), 0);
	cr_assert_eq(cede_spawn(&g, do_write, &d[2]), 0);
	settle();
	cr_assert_eq(cede_read(e->a, got, 4), 4);
	cr_assert_eq(cede_read(e->a, got, 4), 4);
	cr_assert_eq(cede_read(e->a, got, 4), 2);
	cr_assert_eq(cede_spawn(&g, do_read, &d[0]), 0);
	settle();
	cr_assert_eq(d[2].result, 0);
	cede_close(e->a);
	e->a = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(d[0].result, CEDE_ECANCELED);
	cr_assert_eq(d[1].result, 0);
}

MEMORY_TEST(a_close_ends_the_write_of_the_other_and_says_how_far_it_came, 4)
{
	struct doing d = { .stream = e->b, .data = much, .size = 10 };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, do_write, &d), 0);
	settle();
	cede_close(e->a);
	e->a = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(d.result, CEDE_EPIPE);
	cr_assert_eq(d.written, 4);
}

/* Half of a message: the other is not to take it for the whole. */
MEMORY_TEST(a_close_in_the_middle_of_a_write_resets, 4)
{
	struct doing d = { .stream = e->a, .data = much, .size = 10 };
	char buffer[16];

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, do_write, &d), 0);
	settle();
	cede_close(e->a);
	e->a = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(d.result, CEDE_ECANCELED);
	cr_assert_eq(d.written, 4);
	cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), CEDE_ECONNRESET);
}

MEMORY_TEST(an_abort_drops_and_resets, 0)
{
	char buffer[8];

	cr_assert_eq(cede_write(e->a, "lost", 4), 4);
	cede_abort(e->a);
	e->a = NULL;
	cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), CEDE_ECONNRESET);
	cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), CEDE_ECONNRESET);
	cr_assert_eq(cede_write(e->b, "x", 1), CEDE_ECONNRESET);
	cr_assert_eq(cede_shutdown_write(e->b), CEDE_ENOTCONN);
}

MEMORY_TEST(an_abort_wakes_the_reader_and_the_writer_of_the_other, 4)
{
	char byte;
	struct doing r = { .stream = e->b, .data = &byte, .size = 1 };
	struct doing w = { .stream = e->b, .data = much, .size = 10 };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, do_read, &r), 0);
	cr_assert_eq(cede_spawn(&g, do_write, &w), 0);
	settle();
	cede_abort(e->a);
	e->a = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(r.result, CEDE_ECONNRESET);
	cr_assert_eq(w.result, CEDE_ECONNRESET);
	cr_assert_eq(w.written, 4);
}

MEMORY_TEST(the_other_end_may_be_closed_meanwhile_by_whoever_is_told, 0)
{
	char byte;

	cede_close(e->b);
	e->b = NULL;
	cr_assert_eq(cede_read(e->a, &byte, 1), 0);
	cr_assert_eq(cede_write(e->a, "x", 1), CEDE_EPIPE);
	cede_abort(e->a);
	e->a = NULL;
}

/* ---- what it has not ---- */

MEMORY_TEST(it_has_no_names_and_no_descriptor, 0)
{
	char name[64];

	cr_assert_eq(cede_stream_peer(e->a, name, sizeof name), CEDE_ENOTSUP);
	cr_assert_eq(cede_stream_local(e->a, name, sizeof name), CEDE_ENOTSUP);
	cr_assert_eq(cede_stream_release_fd(e->a), CEDE_ENOTSUP);
}

/* ---- limits ---- */

static uint64_t
now_ms(void)
{
	return cede_loop_now(cede_loop_current());
}

MEMORY_TEST(the_idle_limit_ends_a_read_and_a_write, 4)
{
	const uint64_t before = now_ms();
	char byte;

	cr_assert_eq(cede_stream_set_idle(e->a, 1000), 0);
	cr_assert_eq(cede_read(e->a, &byte, 1), CEDE_ETIMEDOUT);
	cr_assert_eq(now_ms() - before, 1000);
	cr_assert_eq(cede_stream_set_idle(e->b, 500), 0);
	cr_assert_eq(cede_write(e->b, much, 100), CEDE_ETIMEDOUT);
	cr_assert_eq(now_ms() - before, 1500);
	cr_assert_eq(cede_read(e->a, &byte, 1), CEDE_ETIMEDOUT);
}

static int
read_one_a_second(void *arg)
{
	char byte;

	for (int i = 0; i < 10; i++) {
		cr_assert_eq(cede_sleep(999), 0);
		cr_assert_eq(cede_read(arg, &byte, 1), 1);
	}
	return 0;
}

MEMORY_TEST(a_byte_that_the_other_takes_moves_the_idle_limit, 4)
{
	CEDE_GROUP(g);
	cr_assert_eq(cede_stream_set_idle(e->a, 1000), 0);
	cr_assert_eq(cede_spawn(&g, read_one_a_second, e->b), 0);
	cr_assert_eq(cede_write(e->a, much, 14), 14);
	cr_assert_eq(cede_group_wait(&g), 0);
}

MEMORY_TEST(the_deadline_ends_whatever_moves, 0)
{
	const uint64_t before = now_ms();
	char byte;
	int n = 0;

	cr_assert_eq(cede_stream_set_deadline(e->b, 1000), 0);
	while (cede_write(e->a, "x", 1) == 1 && cede_read(e->b, &byte, 1) == 1 && n++ < 100)
		cr_assert_eq(cede_sleep(99), 0);
	cr_assert_eq(n, 11);
	cr_assert_eq(now_ms() - before, 11 * 99);
	cr_assert_eq(cede_read(e->b, &byte, 1), CEDE_ETIMEDOUT);
}

/* It has no handle that would keep the loop, but somebody waits under a limit: that does. */
static int
wait_under_limits(void *arg)
{
	struct ends e;
	char byte;

	cr_assert_eq(cede_stream_pair(&e.a, &e.b, 0), 0);
	cr_assert_eq(cede_stream_set_idle(e.a, 5), 0);
	cr_assert_eq(cede_read(e.a, &byte, 1), CEDE_ETIMEDOUT);
	cr_assert_eq(cede_stream_set_deadline(e.b, 5), 0);
	cr_assert_eq(cede_read(e.b, &byte, 1), CEDE_ETIMEDOUT);
	cede_close(e.a);
	cede_close(e.b);
	*(int *)arg = 1;
	return 0;
}

Test(stream_memory, who_waits_under_a_limit_keeps_the_loop)
{
	int has_ended = 0;

	cr_assert_eq(cede_run(wait_under_limits, &has_ended), 0);
	cr_assert(has_ended);
}

/* ---- making one ---- */

static int
make_badly(void *arg)
{
	cede_stream_t *a, *b;

	cr_assert_eq(cede_stream_pair(&a, &b, ((size_t)1 << 30) + 1), CEDE_EINVAL);
	cr_assert_eq(cede_stream_pair(&a, &b, SIZE_MAX), CEDE_EINVAL);
	return 0;
}

Test(stream_memory, what_can_not_be_made_is_refused)
{
	cede_stream_t *a, *b;

	cr_assert_eq(cede_stream_pair(&a, &b, 0), CEDE_ENOTASK);
	cr_assert_eq(cede_run(make_badly, NULL), 0);
}

static int
leave_them_open(void *arg)
{
	struct ends e;
	char byte;

	cr_assert_eq(cede_stream_pair(&e.a, &e.b, 0), 0);
	cr_assert_eq(cede_write(e.a, "x", 1), 1);
	CEDE_TIMEOUT(5) {
		cr_assert_eq(cede_read(e.a, &byte, 1), CEDE_ETIMEDOUT);
	}
	return 0;
}

Test(stream_memory, what_is_left_open_is_found_and_closed)
{
	static const cede_test_options_t quiet = { .is_quiet = 1 };
	cede_test_report_t report;

	leaks_begin();
	cr_assert_eq(cede_run(leave_them_open, NULL), 0);
	leaks_end();
	cr_assert_eq(cede_test_run(leave_them_open, NULL, &quiet, &report), CEDE_ELEFT);
	cr_assert_not_null(strstr(report.text, "2 streams or listeners were not closed"), "%s",
		report.text);
	leaks_end();
}

/* ---- broken at every place ---- */

static int
echo(void *arg)
{
	char buffer[16];
	ssize_t n;

	while ((n = cede_read(arg, buffer, sizeof buffer)) > 0)
		if ((n = cede_write(arg, buffer, (size_t)n)) < 0)
			break;
	cede_close(arg);
	return (int)n;
}

static int
ask(cede_stream_t *s)
{
	char reply[40];
	ssize_t n = cede_stream_set_idle(s, 5000);

	for (int i = 0; i < 5 && n >= 0; i++) {
		n = cede_write(s, "longer than the ring is", 23);
		if (n >= 0)
			n = cede_read_exactly(s, reply, 23, NULL);
		if (n == 23)
			cr_assert_arr_eq(reply, "longer than the ring is", 23);
	}
	return n < 0 && n != CEDE_EOF ? (int)n : 0;
}

static int
echo_scenario(void *arg)
{
	cede_stream_t *a, *b;
	int r = cede_stream_pair(&a, &b, 8);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(g);
		r = cede_spawn(&g, echo, b);
		if (r < 0)
			cede_close(b);
		if (r == 0)
			r = ask(a);
		cede_close(a);
		a = NULL;
		if (r == 0)
			r = cede_group_wait(&g);
	}
	return r == CEDE_EPIPE || r == CEDE_ECONNRESET ? 0 : r;
}

Test(stream_memory, nothing_is_left_of_a_cancel_at_any_await)
{
	cede_test_report_t report;
	int r = cede_test_sweep_cancel(echo_scenario, NULL, NULL, CEDE_TEST_CANCEL_BOTH, &report);

	cr_assert_gt(r, 20, "%s", report.text);
}

Test(stream_memory, nor_of_any_allocation_that_fails)
{
	cede_test_report_t report;
	int r = cede_test_sweep_memory(echo_scenario, NULL, NULL, CEDE_TEST_FAIL_BOTH, &report);

	cr_assert_gt(r, 4, "%s", report.text);
}

/* ---- memory ---- */

static void
round_trips(struct ends *e, int count, size_t size)
{
	for (int i = 0; i < count; i++) {
		cr_assert_eq(cede_write(e->a, much, size), (ssize_t)size);
		cr_assert_eq(cede_read_exactly(e->a, got, size, NULL), (ssize_t)size);
	}
}

static int
count_mallocs(void *arg)
{
	struct ends e;
	unsigned long before;

	cr_assert_eq(cede_stream_pair(&e.a, &e.b, 0), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, echo, e.b), 0);
	round_trips(&e, 100, 16);
	round_trips(&e, 10, 200);
	before = mallocs_count();
	round_trips(&e, 10000, 16);
	round_trips(&e, 1000, 200);
	cr_assert_eq(mallocs_count() - before, 0);
	cede_close(e.a);
	return cede_group_wait(&g);
}

Test(stream_memory, ten_thousand_round_trips_cost_no_malloc)
{
	if (!MALLOCS_CAN_COUNT)
		cr_skip_test("a sanitizer's allocator");
	cr_assert_eq(cede_run(count_mallocs, NULL), 0);
}
