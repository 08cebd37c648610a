/* How encrypted streams end: in order, half, cut, by a close: net/tls.c, net/tls_handshake.c. */
#include "tests/net/tls_pair.h"

#include "tests/support/clock.h"

TestSuite(tls_end, .timeout = 60);

static ssize_t
read_byte(cede_stream_t *s)
{
	char byte;

	return cede_read(s, &byte, 1);
}

/* The transport below, as a socket: what the peer would see of it. */
static int
raw_of(cede_stream_t *s)
{
	return s->fd;
}

/* ---- half-close ---- */

TLS_TEST(tls_end, a_half_closed_stream_reads_on)
{
	expect_hands_shaken(p);
	cr_assert_eq(cede_shutdown_write(p->client), 0);
	cr_assert_eq(cede_shutdown_write(p->client), 0);
	cr_assert_eq(read_byte(p->server), 0);
	cr_assert_eq(read_byte(p->server), 0);
	expect_carries(p->server, p->client, 50000);
	cr_assert_eq(cede_write(p->client, "x", 1), CEDE_ESHUTDOWN);
	cr_assert_eq(cede_shutdown_write(p->server), 0);
	cr_assert_eq(read_byte(p->client), 0);
}

TLS_TEST(tls_end, either_side_may_half_close_first)
{
	expect_hands_shaken(p);
	cr_assert_eq(cede_shutdown_write(p->server), 0);
	cr_assert_eq(read_byte(p->client), 0);
	expect_carries(p->client, p->server, 50000);
	cr_assert_eq(cede_shutdown_write(p->client), 0);
	cr_assert_eq(read_byte(p->server), 0);
}

static char much[1 << 20];

/* close_notify finds no room: it goes when there is some, with nobody waiting for it. */
TLS_TEST(tls_end, a_half_close_needs_no_room)
{
	static char got[sizeof much];
	size_t filled = 0, n;

	expect_hands_shaken(p);
	expect_talks(p);
	/* Something that is in the socket already leaves no room for more. */
	for (;;) {
		const ssize_t sent = send(raw_of(p->server), NULL, 0, MSG_DONTWAIT | MSG_NOSIGNAL);
		cede_write_t wr;

		cr_assert_eq(sent, 0);
		cr_assert_eq(cede_write_start(p->server, "0123456789abcdef", 16, &wr), 0);
		if (!wr.future.is_done) {
			cr_assert_eq(cede_shutdown_write(p->server), CEDE_EBUSY);
			cr_assert_eq(cede_read_exactly(p->client, got, filled, &n),
				(ssize_t)filled);
			cr_assert_eq(cede_await(&wr.future), 0);
			filled = 16;
			break;
		}
		filled += 16;
		cr_assert_lt(filled, sizeof got);
	}
	cr_assert_eq(cede_shutdown_write(p->server), 0);
	cr_assert_eq(cede_read_exactly(p->client, got, filled, &n), (ssize_t)filled);
	cr_assert_eq(read_byte(p->client), 0);
}

/* ---- close and abort ---- */

TLS_TEST(tls_end, a_close_is_a_clean_end_to_the_peer)
{
	expect_hands_shaken(p);
	cr_assert_eq(cede_write(p->client, much, 50000), 50000);
	cede_close(p->client);
	p->client = NULL;
	cr_assert_eq(cede_read_exactly(p->server, much, 50000, NULL), 50000);
	/* The client has not read its tickets: the system of a unix socket then resets. */
	cr_assert_eq(read_byte(p->server), 0);
}

TLS_TEST(tls_end, an_abort_says_nothing)
{
	expect_hands_shaken(p);
	expect_talks(p);
	cede_abort(p->client);
	p->client = NULL;
	cr_assert_eq(read_byte(p->server), CEDE_ETRUNCATED);
}

TLS_TEST(tls_end, an_end_without_close_notify_is_a_truncation_for_good)
{
	expect_hands_shaken(p);
	expect_talks(p);
	shutdown(raw_of(p->client), SHUT_WR);
	cr_assert_eq(read_byte(p->server), CEDE_ETRUNCATED);
	cr_assert_eq(read_byte(p->server), CEDE_ETRUNCATED);
	cr_assert(strstr(cede_tls_problem(p->server), "close_notify"));
	cr_assert_eq(cede_write(p->server, "x", 1), CEDE_ETRUNCATED);
	cr_assert_eq(cede_shutdown_write(p->server), CEDE_ETRUNCATED);
}

TLS_TEST(tls_end, data_before_a_truncation_is_read)
{
	char buffer[16];

	expect_hands_shaken(p);
	expect_talks(p);
	cr_assert_eq(cede_write(p->client, "last", 4), 4);
	shutdown(raw_of(p->client), SHUT_WR);
	cr_assert_eq(cede_read(p->server, buffer, sizeof buffer), 4);
	cr_assert_eq(read_byte(p->server), CEDE_ETRUNCATED);
}

TLS_TEST(tls_end, an_end_behind_close_notify_is_an_end)
{
	char buffer[16];

	expect_hands_shaken(p);
	cr_assert_eq(cede_write(p->client, "last", 4), 4);
	cr_assert_eq(cede_shutdown_write(p->client), 0);
	shutdown(raw_of(p->client), SHUT_WR);
	cr_assert_eq(cede_read(p->server, buffer, sizeof buffer), 4);
	cr_assert_eq(read_byte(p->server), 0);
}

/* A peer in a hurry has left: what it said before is worth more than that it is gone. */
TLS_TEST(tls_end, a_write_that_fails_leaves_what_came_to_be_read)
{
	char buffer[16];

	expect_hands_shaken(p);
	expect_talks(p);
	cr_assert_eq(cede_write(p->client, "last", 4), 4);
	cede_close(p->client);
	p->client = NULL;
	cr_assert_eq(cede_write(p->server, "x", 1), CEDE_EPIPE);
	cr_assert_eq(cede_write(p->server, "x", 1), CEDE_EPIPE);
	cr_assert_eq(cede_read(p->server, buffer, sizeof buffer), 4);
	cr_assert_eq(read_byte(p->server), 0);
}

static int
read_and_note(void *arg)
{
	struct tls_pair *p = arg;

	p->server_result = (int)read_byte(p->server);
	return 0;
}

TLS_TEST(tls_end, a_close_by_another_task_ends_a_read)
{
	CEDE_GROUP(group);
	expect_hands_shaken(p);
	expect_talks(p);
	cr_assert_eq(cede_spawn(&group, read_and_note, p), 0);
	let_others_run();
	cede_close(p->server);
	cr_assert_eq(cede_group_wait(&group), 0);
	p->server = NULL;
	cr_assert_eq(p->server_result, CEDE_ECANCELED);
	cr_assert_eq(read_byte(p->client), 0);
}

/* ---- the orderly end ---- */

static int
shut_down(void *arg)
{
	struct tls_pair *p = arg;

	p->server_result = cede_tls_shutdown(p->server, 0);
	return 0;
}

TLS_TEST(tls_end, both_end_in_order)
{
	CEDE_GROUP(group);
	expect_hands_shaken(p);
	cr_assert_eq(cede_spawn(&group, shut_down, p), 0);
	cr_assert_eq(cede_tls_shutdown(p->client, 0), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(p->server_result, 0);
	cr_assert_eq(cede_tls_shutdown(p->client, 0), 0);
	cr_assert_eq(read_byte(p->client), 0);
	cr_assert_eq(cede_write(p->client, "x", 1), CEDE_ESHUTDOWN);
}

TLS_TEST(tls_end, what_the_peer_still_sends_is_dropped)
{
	CEDE_GROUP(group);
	expect_hands_shaken(p);
	cr_assert_eq(cede_spawn(&group, shut_down, p), 0);
	let_others_run();
	cr_assert_eq(cede_write(p->client, much, sizeof much), (ssize_t)sizeof much);
	cr_assert_eq(cede_tls_shutdown(p->client, 0), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(p->server_result, 0);
	cr_assert_null(p->server->buffer);
}

TLS_TEST(tls_end, a_peer_that_closes_without_is_told)
{
	expect_hands_shaken(p);
	expect_talks(p);
	cede_abort(p->client);
	p->client = NULL;
	cr_assert_eq(cede_tls_shutdown(p->server, 0), CEDE_ETRUNCATED);
}

/* Time is the test's: it takes none. */
static int
time_of_shutdown(struct tls_pair *p, uint64_t timeout_ms)
{
	const int64_t before = clock_ms();
	int r;

	r = cede_tls_shutdown(p->server, timeout_ms);
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	return (int)(clock_ms() - before);
}

TLS_TEST(tls_end, a_peer_that_says_nothing_is_waited_for_5_seconds)
{
	expect_hands_shaken(p);
	clock_start();
	cr_assert_eq(time_of_shutdown(p, 0), 5000);
	clock_stop();
}

TLS_TEST(tls_end, or_as_long_as_is_said)
{
	expect_hands_shaken(p);
	clock_start();
	cr_assert_eq(time_of_shutdown(p, 77), 77);
	clock_stop();
}

static int
send_for_ever(void *arg)
{
	while (cede_write(arg, "x", 1) > 0)
		if (cede_sleep(100) < 0)
			break;
	return 0;
}

TLS_TEST(tls_end, so_is_a_peer_that_never_stops)
{
	CEDE_GROUP(group);
	expect_hands_shaken(p);
	clock_start();
	cr_assert_eq(cede_spawn(&group, send_for_ever, p->client), 0);
	cr_assert_eq(time_of_shutdown(p, 0), 5000);
	cede_group_leave(&group);
	clock_stop();
}

/* ---- limits ---- */

TLS_TEST(tls_end, the_idle_limit_holds)
{
	int64_t before;

	expect_hands_shaken(p);
	expect_talks(p);
	clock_start();
	cr_assert_eq(cede_sleep(1), 0);
	before = clock_ms();
	cr_assert_eq(cede_stream_set_idle(p->server, 3000), 0);
	cr_assert_eq(read_byte(p->server), CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - before, 3000);
	clock_stop();
}

TLS_TEST(tls_end, so_it_does_for_a_writer)
{
	static char more[4 << 20];

	expect_hands_shaken(p);
	clock_start();
	cr_assert_eq(cede_stream_set_idle(p->server, 3000), 0);
	cr_assert_eq(cede_write(p->server, more, sizeof more), CEDE_ETIMEDOUT);
	clock_stop();
}

/* ---- the handshake's limit ---- */

static int
time_of_accept(struct tls_pair *p, uint64_t ms)
{
	const int64_t before = clock_ms();
	const int r = cede_tls_accept(p->server, p->server_tls,
		&(cede_tls_stream_options_t){ .handshake_ms = ms });

	cr_assert_eq(r, CEDE_ETIMEDOUT);
	return (int)(clock_ms() - before);
}

TLS_TEST(tls_end, a_silent_client_has_10_seconds_to_shake_hands)
{
	clock_start();
	cr_assert_eq(time_of_accept(p, 0), 10000);
	clock_stop();
	cr_assert_eq(read_byte(p->client), 0, "the stream is closed, and nothing was said");
	cr_assert_eq(cede_write(p->server, "x", 1), CEDE_EPIPE);
	cr_assert_eq(read_byte(p->server), CEDE_ECANCELED);
}

TLS_TEST(tls_end, or_as_many_as_are_said)
{
	clock_start();
	cr_assert_eq(time_of_accept(p, 1234), 1234);
	clock_stop();
}

TLS_TEST(tls_end, a_timeout_scope_bounds_it_as_well)
{
	int64_t before;

	clock_start();
	before = clock_ms();
	CEDE_TIMEOUT(500) {
		cr_assert_eq(cede_tls_accept(p->server, p->server_tls, NULL), CEDE_ETIMEDOUT);
	}
	cr_assert_eq(clock_ms() - before, 500);
	clock_stop();
}

/* A byte of a record now and then: the limit is that of the whole. */
static int
drip(void *arg)
{
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

	for (size_t i = 0; i < 400; i++) {
		if (cede_write(arg, i < sizeof hello - 1 ? &hello[i] : "x", 1) < 0)
			break;
		if (cede_sleep(400) < 0)
			break;
	}
	return 0;
}

TLS_TEST(tls_end, a_client_that_drips_gets_no_more_time)
{
	CEDE_GROUP(group);
	clock_start();
	cr_assert_eq(cede_spawn(&group, drip, p->client), 0);
	cr_assert_eq(time_of_accept(p, 0), 10000);
	cede_group_leave(&group);
	clock_stop();
}

TLS_TEST(tls_end, a_silent_server_has_10_seconds_too)
{
	char hello[5];

	clock_start();
	cr_assert_eq(cede_tls_connect(p->client, p->client_tls, p->name, NULL), CEDE_ETIMEDOUT);
	clock_stop();
	cr_assert_eq(cede_read(p->server, hello, sizeof hello), 5);
	cr_assert_arr_eq(hello, "\x16\x03\x01", 3, "a record of the handshake");
}

/* ---- given up ---- */

static void
expect_broken_by(struct tls_pair *p, cede_fn *fn, int *result, cede_stream_t *s)
{
	CEDE_GROUP(group);
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(&group, fn, p, NULL, &task), 0);
	let_others_run();
	cede_task_cancel(task);
	cede_task_unref(task);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(*result, CEDE_EXIT);
	cr_assert_eq(read_byte(s), CEDE_ECANCELED);
	cr_assert_eq(cede_write(s, "plain", 5), CEDE_EPIPE);
}

TLS_TEST(tls_end, an_accept_that_is_cancelled_breaks_the_stream)
{
	expect_broken_by(p, run_accept, &p->server_result, p->server);
	cr_assert_eq(read_byte(p->client), 0);
}

TLS_TEST(tls_end, a_connect_that_is_cancelled_breaks_the_stream)
{
	char buffer[4096];

	expect_broken_by(p, run_connect, &p->client_result, p->client);
	cr_assert_gt(cede_read(p->server, buffer, sizeof buffer), 0);
	cr_assert_eq(cede_read(p->server, buffer, sizeof buffer), 0);
}

TLS_TEST(tls_end, a_close_by_another_task_ends_a_handshake)
{
	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn(&group, run_accept, p), 0);
	let_others_run();
	cede_close(p->server);
	cr_assert_eq(cede_group_wait(&group), 0);
	p->server = NULL;
	cr_assert_eq(p->server_result, CEDE_ECANCELED);
}

static int
read_meanwhile(void *arg)
{
	struct tls_pair *p = arg;
	char byte;

	cr_assert_eq(cede_read(p->server, &byte, 1), CEDE_EBUSY);
	cr_assert_eq(cede_write(p->server, "plain", 5), CEDE_EBUSY);
	cr_assert_eq(cede_shutdown_write(p->server), CEDE_EBUSY);
	cr_assert_eq(cede_tls_accept(p->server, p->server_tls, NULL), CEDE_EBUSY);
	cr_assert_null(cede__tls_filter_of(p->server),
		"a client that has said nothing costs something");
	return 0;
}

TLS_TEST(tls_end, nobody_else_reads_or_writes_during_a_handshake)
{
	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn(&group, run_accept, p), 0);
	cr_assert_eq(cede_spawn(&group, read_meanwhile, p), 0);
	cr_assert_eq(cede_spawn(&group, run_connect, p), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(p->server_result, 0);
	cr_assert_eq(p->client_result, 0);
}
