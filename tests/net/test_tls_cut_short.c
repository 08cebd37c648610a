/* A peer that ends TLS in the middle of something: there is no handshake, and no clean end. */
#include "tests/net/tls_pair.h"

#include "tests/support/fault.h"

TestSuite(tls_cut_short, .timeout = 60);

static const unsigned char close_notify[] = { 21, 3, 3, 0, 2, 1, 0 };

struct cut_short {
	cede_stream_t *stream;
	int peer;
};

static void
open_cut_short(struct cut_short *c)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	cr_assert_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	c->stream = stream_of(fds[0]);
	c->peer = fds[1];
}

/* No byte is read as if it had been decrypted, none is sent as if it had been encrypted. */
static void
expect_no_handshake(struct cut_short *c, int result)
{
	cede_tls_info_t info;
	char byte;

	cr_assert_eq(result, CEDE_ETLS, "%s", cede_err_name(result));
	cr_assert(strstr(cede_error_text(result), "in the handshake"), "%s",
		cede_error_text(result));
	cr_assert_eq(cede_tls_info(c->stream, &info), CEDE_EAGAIN);
	cr_assert_eq(cede_read(c->stream, &byte, 1), CEDE_ETLS);
	cr_assert_eq(cede_write(c->stream, "secret", 6), CEDE_ETLS);
	cede_close(c->stream);
	close(c->peer);
}

/* The hello of OpenSSL's own client. */
static void
say_hello(int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	char hello[4096];
	int n;

	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(ssl);
	cr_assert_eq(SSL_do_handshake(ssl), -1);
	n = BIO_read(SSL_get_wbio(ssl), hello, sizeof hello);
	cr_assert_gt(n, 0);
	cr_assert_eq(write(fd, hello, (size_t)n), n);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

/* Anybody in between can send it: it is not encrypted. */
TASK_TEST(tls_cut_short, a_server_that_ends_tls_at_once_has_not_been_verified)
{
	const cede_tls_options_t options = client_options();
	cede_tls_t *tls = make_client(&options);
	struct cut_short c;

	open_cut_short(&c);
	cr_assert_eq(write(c.peer, close_notify, sizeof close_notify), sizeof close_notify);
	expect_no_handshake(&c, cede_tls_connect(c.stream, tls, "example.test", NULL));
	cede_tls_unref(tls);
}

/* The server has answered by then, and waits for the certificate: no handler is to run without. */
TASK_TEST(tls_cut_short, a_client_that_ends_tls_behind_its_hello_has_not_been_verified)
{
	cede_tls_options_t options = server_options();
	cede_tls_t *tls;
	struct cut_short c;

	options.verify = CEDE_TLS_VERIFY_REQUIRED;
	options.ca_file = cert("ca.pem");
	tls = make_server(&options);
	open_cut_short(&c);
	say_hello(c.peer);
	cr_assert_eq(write(c.peer, close_notify, sizeof close_notify), sizeof close_notify);
	expect_no_handshake(&c, cede_tls_accept(c.stream, tls, NULL));
	cede_tls_unref(tls);
}

/* ---- want of memory ---- */

/* The filter can't be made: whoever goes on all the same does not do so in plain text. */
static void
expect_never_plain(struct tls_pair *p, unsigned nth)
{
	cede_stream_t *ends[2];
	char byte;
	int r;

	stream_pair(ends);
	fault_arm(nth, FAULT_ONCE);
	r = cede_tls_connect(ends[0], p->client_tls, "example.test",
		&(cede_tls_stream_options_t){ .handshake_ms = 1 });
	if (fault_disarm() > 0)
		cr_assert_eq(r, CEDE_ENOMEM, "%s", cede_err_name(r));
	cr_assert_lt(cede_write(ends[0], "secret", 6), 0);
	cr_assert_lt(cede_read(ends[0], &byte, 1), 0);
	cede_close(ends[0]);
	cede_close(ends[1]);
}

static int
connect_without_memory(void *arg)
{
	struct tls_pair p = { .name = NULL };

	tls_pair_open(&p);
	for (unsigned nth = 1; nth <= 4; nth++)
		expect_never_plain(&p, nth);
	tls_pair_close(&p);
	return 0;
}

Test(tls_cut_short, a_connect_without_memory_never_goes_on_in_plain_text)
{
	fault_install();
	cr_assert_eq(cede_run(connect_without_memory, NULL), 0);
}

/* Small pieces can't be gathered behind a large one: they go as they are, and nothing hangs. */
static int
write_pieces_without_memory(void *arg)
{
	static char large[20000], got[sizeof large + 2];
	const struct iovec pieces[] = { { large, sizeof large }, { (char[]){ "a" }, 1 },
		{ (char[]){ "b" }, 1 } };
	struct cede__buffers *buffers = &cede_loop_current()->buffers;
	struct cede__buffer *held[16], **end = held;
	struct tls_pair p = { .name = NULL };
	cede_write_t op;

	tls_pair_open(&p);
	expect_hands_shaken(&p);
	expect_talks(&p);
	fault_arm(1, FAULT_FOREVER);
	while (end < held + 16 && (*end = cede__buffer_take(buffers, CEDE__BUFFER_USUAL)) != NULL)
		end++;
	cr_assert_eq(cede_writev_start(p.client, pieces, 3, &op), 0);
	cr_assert_gt(fault_disarm(), 0);
	while (end > held)
		cede__buffer_give(buffers, *--end);
	cr_assert(op.future.is_done);
	cr_assert_eq(op.future.result, 0);
	cr_assert_eq(cede_read_exactly(p.server, got, sizeof got, NULL), (ssize_t)sizeof got);
	cr_assert_eq(memcmp(got + sizeof large, "ab", 2), 0);
	tls_pair_close(&p);
	return 0;
}

Test(tls_cut_short, pieces_are_written_without_memory_to_gather_them)
{
	fault_install();
	cr_assert_eq(cede_run(write_pieces_without_memory, NULL), 0);
}

/* ---- what a writer finds ---- */

/* OpenSSL has failed for the one: the other is not to wait for a peer that says nothing. */
TLS_TEST(tls_cut_short, a_failure_of_the_writer_is_told_to_the_reader)
{
	cede_read_t rd;
	char byte;

	expect_hands_shaken(p);
	expect_talks(p);
	cr_assert_eq(cede_read_start(p->client, &byte, 1, &rd), 0);
	SSL_set_shutdown(cede__tls_filter_of(p->client)->ssl, SSL_SENT_SHUTDOWN);
	cr_assert_eq(cede_write(p->client, "x", 1), CEDE_ETLS);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert(rd.future.is_done);
	cr_assert_eq(cede_await(&rd.future), CEDE_ETLS);
}
