/* Reading and writing what is encrypted: net/tls.c. */
#include "tests/net/tls_pair.h"

#include <stdlib.h>
#include <sys/syscall.h>

TestSuite(tls_stream, .timeout = 60);

/* ---- system calls that are counted ---- */

static int receives, sends;

ssize_t
recv(int fd, void *buffer, size_t size, int flags)
{
	receives++;
	return syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL);
}

ssize_t
send(int fd, const void *data, size_t size, int flags)
{
	sends++;
	return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}

struct echo {
	cede_stream_t *stream;
	int lends;
};

static int
echo(void *arg)
{
	const struct echo *e = arg;
	char buffer[20000];
	const void *data = buffer;
	ssize_t n;

	do {
		n = e->lends ? cede_read_lend(e->stream, &data)
			     : cede_read(e->stream, buffer, sizeof buffer);
		if (n > 0)
			n = cede_write(e->stream, data, (size_t)n);
	} while (n > 0);
	cede_read_return(e->stream);
	cr_assert_eq(n, 0, "%s", cede_strerror((int)n));
	cr_assert_eq(cede_shutdown_write(e->stream), 0);
	return 0;
}

/* Asks and is answered so often. How many system calls that took. */
static void
count_calls(struct tls_pair *p, int rounds, int *ret_receives, int *ret_sends)
{
	struct echo e = { .stream = p->server };
	char buffer[64] = "question";

	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn(&group, echo, &e), 0);
	receives = sends = 0;
	for (int i = 0; i < rounds; i++) {
		cr_assert_eq(cede_write(p->client, buffer, 8), 8);
		cr_assert_eq(cede_read(p->client, buffer, sizeof buffer), 8);
	}
	*ret_receives = receives;
	*ret_sends = sends;
	cr_assert_eq(cede_shutdown_write(p->client), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
}

/* Encrypted, a message costs the system calls that it costs in plain text. */
TLS_TEST(tls_stream, costs_no_system_call_more_than_plain_text)
{
	int plain_receives, plain_sends, tls_receives, tls_sends;

	count_calls(p, 100, &plain_receives, &plain_sends);
	tls_pair_reopen(p);
	expect_hands_shaken(p);
	expect_talks(p); /* the tickets are read */
	count_calls(p, 100, &tls_receives, &tls_sends);
	cr_assert_geq(plain_receives, 200);
	cr_assert_leq(tls_receives, plain_receives, "%d, plain %d", tls_receives, plain_receives);
	cr_assert_eq(plain_sends, 200);
	cr_assert_eq(tls_sends, plain_sends);
}

/* ---- sizes ---- */

TLS_TEST(tls_stream, messages_of_any_size_arrive)
{
	static const size_t sizes[] = { 1, 2, 100, 4095, 16383, 16384, 16385, 32768, 50000, 65536 };

	expect_hands_shaken(p);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		expect_carries(p->client, p->server, sizes[i]);
		expect_carries(p->server, p->client, sizes[i]);
	}
}

TLS_TEST(tls_stream, a_record_is_read_by_the_byte)
{
	char byte;

	expect_hands_shaken(p);
	cr_assert_eq(cede_write(p->client, "abc", 3), 3);
	cr_assert_eq(cede_write(p->client, "d", 1), 1);
	for (const char *c = "abcd"; *c; c++) {
		cr_assert_eq(cede_read(p->server, &byte, 1), 1);
		cr_assert_eq(byte, *c);
	}
}

TLS_TEST(tls_stream, records_that_came_together_are_read_together)
{
	char buffer[64];

	expect_hands_shaken(p);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(cede_write(p->client, "0123", 4), 4);
	cr_assert_eq(cede_read(p->server, buffer, sizeof buffer), 40);
}

TLS_TEST(tls_stream, nothing_is_written_for_nothing)
{
	expect_hands_shaken(p);
	sends = 0;
	cr_assert_eq(cede_write(p->client, "", 0), 0);
	cr_assert_eq(sends, 0);
}

/* More records than a stream may read in a row, all there at once: none is forgotten. */
TLS_TEST(tls_stream, what_openssl_has_got_is_read_though_nothing_more_comes)
{
	char byte;

	expect_hands_shaken(p);
	for (int i = 0; i < 150; i++)
		cr_assert_eq(cede_write(p->client, "x", 1), 1);
	for (int i = 0; i < 150; i++)
		cr_assert_eq(cede_read(p->server, &byte, 1), 1);
}

TLS_TEST(tls_stream, so_it_is_by_a_read_that_is_started)
{
	char byte;

	expect_hands_shaken(p);
	for (int i = 0; i < 150; i++)
		cr_assert_eq(cede_write(p->client, "x", 1), 1);
	for (int i = 0; i < 150; i++) {
		cede_read_t rd;

		cr_assert_eq(cede_read_start(p->server, &byte, 1, &rd), 0);
		cr_assert_eq(cede_await(&rd.future), 1);
	}
}

/* ---- all kinds of reads and writes ---- */

TLS_TEST(tls_stream, lines_are_read)
{
	char *line;

	expect_hands_shaken(p);
	cr_assert_eq(cede_write(p->client, "one\r\ntw", 7), 7);
	cr_assert_eq(cede_read_line(p->server, 0, &line, NULL), 1);
	cr_assert_str_eq(line, "one");
	cr_assert_eq(cede_write(p->client, "o\nthree", 7), 7);
	cr_assert_eq(cede_read_line(p->server, 0, &line, NULL), 1);
	cr_assert_str_eq(line, "two");
	cr_assert_eq(cede_shutdown_write(p->client), 0);
	cr_assert_eq(cede_read_line(p->server, 0, &line, NULL), 1);
	cr_assert_str_eq(line, "three");
	cr_assert_eq(cede_read_line(p->server, 0, &line, NULL), 0);
}

TLS_TEST(tls_stream, bytes_are_looked_at_before_they_are_taken)
{
	const void *data;
	char buffer[8];

	expect_hands_shaken(p);
	cr_assert_eq(cede_write(p->client, "abcd", 4), 4);
	cr_assert_eq(cede_peek(p->server, 4, &data), 4);
	cr_assert_eq(cede_read_skip(p->server, 2), 0);
	cr_assert_eq(cede_read(p->server, buffer, sizeof buffer), 2);
	cr_assert_arr_eq(buffer, "cd", 2);
}

TLS_TEST(tls_stream, pieces_are_one_record_where_they_fit)
{
	char head[] = "head", body[] = "body", buffer[16];
	const struct iovec pieces[] = { { head, 4 }, { head, 0 }, { body, 4 }, { body, 0 } };

	expect_hands_shaken(p);
	sends = 0;
	cr_assert_eq(cede_writev(p->client, pieces, 4), 8);
	cr_assert_eq(sends, 1);
	cr_assert_eq(cede_read(p->server, buffer, sizeof buffer), 8);
	cr_assert_arr_eq(buffer, "headbody", 8);
}

static int
write_pieces(void *arg)
{
	static char data[200000];
	struct iovec pieces[300];
	size_t from = 0;
	ssize_t n;

	peer_fill(data, sizeof data, 0);
	for (int i = 0; i < 300; i++) { /* 0, 1, … bytes; then one large piece in the middle */
		const size_t size = i == 150 ? 100000 : (size_t)i;

		pieces[i] = (struct iovec){ .iov_base = data + from, .iov_len = size };
		from += size;
	}
	n = cede_writev(arg, pieces, 300);
	cr_assert_eq(n, (ssize_t)from);
	cr_assert_eq(cede_shutdown_write(arg), 0);
	return 0;
}

/* Reads to the clean end. How much, all of the pattern. */
static size_t
read_to_the_end(cede_stream_t *s)
{
	static char buffer[70000];
	size_t total = 0;
	ssize_t n;

	while ((n = cede_read(s, buffer, sizeof buffer)) > 0) {
		cr_assert(peer_is_pattern(buffer, (size_t)n, total));
		total += (size_t)n;
	}
	cr_assert_eq(n, 0, "%s", cede_strerror((int)n));
	return total;
}

TLS_TEST(tls_stream, many_pieces_and_large_ones_arrive_in_order)
{
	CEDE_GROUP(group);
	expect_hands_shaken(p);
	cr_assert_eq(cede_spawn(&group, write_pieces, p->client), 0);
	cr_assert_eq(read_to_the_end(p->server), 299 * 300 / 2 - 150 + 100000);
	cr_assert_eq(cede_group_wait(&group), 0);
}

/* ---- much, both ways at once ---- */

#define MUCH ((size_t)20 << 20)

static int
write_much(void *arg)
{
	char *data = malloc(MUCH);

	peer_fill(data, MUCH, 0);
	cr_assert_eq(cede_write(arg, data, MUCH), (ssize_t)MUCH);
	cr_assert_eq(cede_shutdown_write(arg), 0);
	free(data);
	return 0;
}

static int
read_much(void *arg)
{
	const void *data;
	size_t total = 0;
	ssize_t n;

	while ((n = cede_read_lend(arg, &data)) > 0) {
		cr_assert(peer_is_pattern(data, (size_t)n, total));
		total += (size_t)n;
	}
	cr_assert_eq(n, 0, "%s", cede_strerror((int)n));
	cr_assert_eq(total, MUCH);
	return 0;
}

static void
carry_much(struct tls_pair *p)
{
	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn(&group, write_much, p->client), 0);
	cr_assert_eq(cede_spawn(&group, write_much, p->server), 0);
	cr_assert_eq(cede_spawn(&group, read_much, p->client), 0);
	cr_assert_eq(cede_spawn(&group, read_much, p->server), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
}

TLS_TEST(tls_stream, a_reader_and_a_writer_work_each_way_at_once)
{
	cede_tls_options_t options = client_options();

	expect_hands_shaken(p);
	carry_much(p);

	options.max_version = CEDE_TLS_1_2;
	cede_tls_unref(p->client_tls);
	p->client_tls = make_client(&options);
	tls_pair_reopen(p);
	expect_hands_shaken(p);
	carry_much(p);
}

/* ---- writes that wait ---- */

static char much[4 << 20];

TLS_TEST(tls_stream, a_peer_that_does_not_read_holds_the_writer_back)
{
	cede_write_t wr;
	struct cede__tls_filter *f;

	expect_hands_shaken(p);
	f = cede__tls_filter_of(p->client);
	cr_assert_eq(cede_write_start(p->client, much, sizeof much, &wr), 0);
	cr_assert_not(wr.future.is_done);
	/* One record, and not more, is kept for it. */
	cr_assert(p->client->is_holding);
	cr_assert_leq(f->out_size, 16384 + 1024);
	cede_future_cancel(&wr.future);
}

TLS_TEST(tls_stream, a_write_that_is_given_up_breaks_the_stream)
{
	cede_write_t wr;
	char byte;

	expect_hands_shaken(p);
	cr_assert_eq(cede_write_start(p->client, much, sizeof much, &wr), 0);
	cede_future_cancel(&wr.future);
	cr_assert_eq(wr.future.result, CEDE_ECANCELED);
	cr_assert_gt(wr.written, 0);
	cr_assert_lt(wr.written, sizeof much);
	cr_assert_eq(cede_write(p->client, "x", 1), CEDE_EPIPE);
	cr_assert_eq(cede_read(p->client, &byte, 1), CEDE_ECANCELED);
	cr_assert_str_eq(cede_tls_problem(p->client), "");
}

TLS_TEST(tls_stream, what_was_written_when_a_write_was_given_up_can_be_read)
{
	static char buffer[70000];
	cede_write_t wr;
	size_t total = 0;
	ssize_t n;

	expect_hands_shaken(p);
	expect_talks(p); /* the tickets are read: the system resets where something is not */
	peer_fill(much, sizeof much, 0);
	cr_assert_eq(cede_write_start(p->client, much, sizeof much, &wr), 0);
	cede_future_cancel(&wr.future);
	while ((n = cede_read(p->server, buffer, sizeof buffer)) > 0) {
		cr_assert(peer_is_pattern(buffer, (size_t)n, total));
		total += (size_t)n;
	}
	cr_assert_eq(n, CEDE_ETRUNCATED, "%s", cede_strerror((int)n));
	cr_assert_geq(wr.written, total);
}

static int
read_later(void *arg)
{
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_eq(read_to_the_end(arg), sizeof much);
	return 0;
}

TLS_TEST(tls_stream, a_write_goes_on_when_there_is_room)
{
	CEDE_GROUP(group);
	expect_hands_shaken(p);
	peer_fill(much, sizeof much, 0);
	cr_assert_eq(cede_spawn(&group, read_later, p->server), 0);
	cr_assert_eq(cede_write(p->client, much, sizeof much), (ssize_t)sizeof much);
	cr_assert_not(p->client->is_holding);
	cr_assert_null(cede__tls_filter_of(p->client)->out);
	cr_assert_eq(cede_shutdown_write(p->client), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
}

/* ---- reads that are given up ---- */

TLS_TEST(tls_stream, a_read_that_is_given_up_loses_nothing)
{
	char buffer[16];
	cede_read_t rd;

	expect_hands_shaken(p);
	for (int i = 0; i < 10; i++) {
		cr_assert_eq(cede_read_start(p->server, buffer, sizeof buffer, &rd), 0);
		cr_assert_not(rd.future.is_done);
		let_others_run();
		cede_future_cancel(&rd.future);
		cr_assert_eq(cede_write(p->client, "data", 4), 4);
		cr_assert_eq(cede_read(p->server, buffer, sizeof buffer), 4);
	}
}

TLS_TEST(tls_stream, one_reads_and_one_writes_and_others_are_busy)
{
	cede_read_t rd;
	char byte;

	expect_hands_shaken(p);
	cr_assert_eq(cede_read_start(p->client, &byte, 1, &rd), 0);
	cr_assert_eq(cede_read(p->client, &byte, 1), CEDE_EBUSY);
	cr_assert_eq(cede_tls_shutdown(p->client, 0), CEDE_EBUSY);
	cede_future_cancel(&rd.future);
	expect_talks(p);
}

/* ---- messages of TLS's own ---- */

static void
update_keys(cede_stream_t *s, int how)
{
	cr_assert_eq(SSL_key_update(cede__tls_filter_of(s)->ssl, how), 1);
}

TLS_TEST(tls_stream, keys_are_renewed_while_both_talk)
{
	expect_hands_shaken(p);
	for (int i = 0; i < 20; i++) {
		update_keys(i % 2 ? p->client : p->server,
			i % 3 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
		expect_talks(p);
		expect_carries(p->client, p->server, 40000);
	}
}

static int
write_with_new_keys(void *arg)
{
	for (int i = 0; i < 200; i++) {
		char data[5000];

		if (i % 7 == 0)
			update_keys(arg, SSL_KEY_UPDATE_REQUESTED);
		peer_fill(data, sizeof data, (size_t)i * sizeof data);
		cr_assert_eq(cede_write(arg, data, sizeof data), (ssize_t)sizeof data);
	}
	cr_assert_eq(cede_shutdown_write(arg), 0);
	return 0;
}

static int
read_it_all(void *arg)
{
	cr_assert_eq(read_to_the_end(arg), 200 * 5000);
	return 0;
}

TLS_TEST(tls_stream, so_they_are_while_data_flows_both_ways)
{
	CEDE_GROUP(group);
	expect_hands_shaken(p);
	cr_assert_eq(cede_spawn(&group, write_with_new_keys, p->client), 0);
	cr_assert_eq(cede_spawn(&group, write_with_new_keys, p->server), 0);
	cr_assert_eq(cede_spawn(&group, read_it_all, p->client), 0);
	cr_assert_eq(cede_spawn(&group, read_it_all, p->server), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
}

/* ---- memory ---- */

TLS_TEST(tls_stream, an_idle_connection_holds_no_buffers)
{
	struct cede__tls_filter *f;
	size_t blocks;

	expect_hands_shaken(p);
	f = cede__tls_filter_of(p->server);
	expect_talks(p);
	blocks = cede__alloc_outstanding();
	expect_carries(p->client, p->server, 65536);
	cr_assert_null(f->out);
	cr_assert_null(f->early);
	cr_assert_null(p->server->buffer);
	cr_assert_leq(cede__alloc_outstanding(), blocks);
}
