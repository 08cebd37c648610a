/* Streams of memory that are given up, closed, reset, out of time, refused. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/net/memory_pair.h"
#include "tests/support/mallocs.h"
#include "tests/support/peer.h"

TestSuite(stream_memory_end, .timeout = 60);

static char much[200000], got[200000];

/* ---- given up ---- */

MEMORY_TEST(stream_memory_end, a_read_that_is_given_up_loses_nothing, 0)
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
MEMORY_TEST(stream_memory_end, a_write_that_is_given_up_resets, 100)
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

MEMORY_TEST(stream_memory_end, each_half_ends_by_itself_and_stays_ended, 0)
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

MEMORY_TEST(stream_memory_end, a_half_close_wakes_the_reader, 0)
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

MEMORY_TEST(stream_memory_end, behind_a_close_the_other_reads_what_is_there_and_writes_in_vain, 0)
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

MEMORY_TEST(stream_memory_end, a_close_wakes_whom_it_concerns, 4)
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

MEMORY_TEST(stream_memory_end, a_close_ends_the_write_of_the_other_and_says_how_far_it_came, 4)
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
MEMORY_TEST(stream_memory_end, a_close_in_the_middle_of_a_write_resets, 4)
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

MEMORY_TEST(stream_memory_end, an_abort_drops_and_resets, 0)
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

MEMORY_TEST(stream_memory_end, an_abort_wakes_the_reader_and_the_writer_of_the_other, 4)
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

MEMORY_TEST(stream_memory_end, the_other_end_may_be_closed_meanwhile_by_whoever_is_told, 0)
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

MEMORY_TEST(stream_memory_end, it_has_no_names_and_no_descriptor, 0)
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

MEMORY_TEST(stream_memory_end, the_idle_limit_ends_a_read_and_a_write, 4)
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

MEMORY_TEST(stream_memory_end, a_byte_that_the_other_takes_moves_the_idle_limit, 4)
{
	CEDE_GROUP(g);
	cr_assert_eq(cede_stream_set_idle(e->a, 1000), 0);
	cr_assert_eq(cede_spawn(&g, read_one_a_second, e->b), 0);
	cr_assert_eq(cede_write(e->a, much, 14), 14);
	cr_assert_eq(cede_group_wait(&g), 0);
}

MEMORY_TEST(stream_memory_end, the_deadline_ends_whatever_moves, 0)
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

Test(stream_memory_end, who_waits_under_a_limit_keeps_the_loop)
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

Test(stream_memory_end, what_can_not_be_made_is_refused)
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

Test(stream_memory_end, what_is_left_open_is_found_and_closed)
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
