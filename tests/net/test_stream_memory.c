/* Streams of memory: net/stream_memory.c: bytes, order, one reader and one writer. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/net/memory_pair.h"
#include "tests/support/mallocs.h"
#include "tests/support/peer.h"

TestSuite(stream_memory, .timeout = 60);

static char much[200000], got[200000];

/* ---- bytes ---- */

MEMORY_TEST(stream_memory, what_one_writes_the_other_reads, 0)
{
	char buffer[16];

	cr_assert_eq(cede_write(e->a, "ping", 4), 4);
	cr_assert_eq(cede_read(e->b, buffer, sizeof buffer), 4);
	cr_assert_arr_eq(buffer, "ping", 4);
	cr_assert_eq(cede_write(e->b, "pong!", 5), 5);
	cr_assert_eq(cede_read(e->a, buffer, sizeof buffer), 5);
	cr_assert_arr_eq(buffer, "pong!", 5);
}

MEMORY_TEST(stream_memory, a_reader_that_waits_is_given_what_comes, 0)
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
MEMORY_TEST(stream_memory, a_reader_that_waits_for_less_leaves_the_rest_in_order, 8)
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

MEMORY_TEST(stream_memory, so_much_may_be_on_its_way_as_there_is_capacity, 10)
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

MEMORY_TEST(stream_memory, that_is_64_KiB_unless_it_is_said, 0)
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
MEMORY_TEST(stream_memory, a_large_read_takes_from_the_memory_of_a_writer_that_waits, 100)
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

MEMORY_TEST(stream_memory, many_pieces_go_in_order, 7)
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
MEMORY_TEST(stream_memory, who_need_not_wait_lets_others_run, 0)
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

MEMORY_TEST(stream_memory, a_second_reader_and_a_second_writer_are_refused, 4)
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
