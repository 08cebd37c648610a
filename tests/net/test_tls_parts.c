/*
 * Messages of TLS's own that come in part: what OpenSSL then does not do. The server is
 * OpenSSL itself in the test's hands, which says when which byte of it comes.
 */
#include "tests/net/tls_pair.h"

TestSuite(tls_parts, .timeout = 60);

struct hand {
	SSL *ssl; /* with memory on both sides */
	int fd;
};

/* What the client has sent goes in. */
static void
take_in(struct hand *h)
{
	char buffer[4096];
	ssize_t n;

	while ((n = recv(h->fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
		cr_assert_eq(BIO_write(SSL_get_rbio(h->ssl), buffer, (int)n), n);
}

/* So many bytes of what the server has to say go out, or all. */
static void
let_out(struct hand *h, int size)
{
	char buffer[16384];
	const int n = BIO_read(SSL_get_wbio(h->ssl), buffer, size > 0 ? size : (int)sizeof buffer);

	if (n > 0)
		cr_assert_eq(send(h->fd, buffer, (size_t)n, 0), n);
}

static int
make_ticket_large(SSL *ssl, void *arg)
{
	static char data[700];

	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), data, sizeof data);
}

/* The client's handshake with it; its tickets are ready to go out, in records of 512 bytes. */
static void
hand_open(struct hand *h, struct tls_pair *p)
{
	SSL_CTX *ctx = p->server_tls->ctx;
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	cede_close(p->client);
	p->client = stream_of(fds[0]);
	h->fd = fds[1];
	cr_assert_eq(SSL_CTX_set_max_send_fragment(ctx, 512), 1);
	cr_assert_eq(SSL_CTX_set_session_ticket_cb(ctx, make_ticket_large, NULL, NULL), 1);
	h->ssl = SSL_new(ctx);
	SSL_set_bio(h->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_accept_state(h->ssl);
	{
		CEDE_GROUP(group);
		cr_assert_eq(cede_spawn(&group, run_connect, p), 0);
		while (SSL_do_handshake(h->ssl) != 1) {
			let_out(h, 0);
			cr_assert_eq(cede_sleep(1), 0);
			take_in(h);
		}
		cr_assert_eq(cede_group_wait(&group), 0);
	}
	cr_assert_eq(p->client_result, 0, "%s", p->client_text);
}

static void
hand_close(struct hand *h)
{
	SSL_free(h->ssl);
	close(h->fd);
}

/* Half a ticket is there: OpenSSL writes nothing before the other half. */
TLS_TEST(tls_parts, a_writer_waits_for_the_rest_of_a_message)
{
	struct hand h;
	cede_read_t rd;
	cede_write_t wr;
	char got[16], byte;

	hand_open(&h, p);
	cr_assert_eq(cede_read_start(p->client, &byte, 1, &rd), 0);
	let_out(&h, 600);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_write_start(p->client, "data", 4, &wr), 0);
	cr_assert_not(wr.future.is_done, "it was written: the ticket was whole");
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_not(wr.future.is_done);
	let_out(&h, 0);
	cr_assert_eq(cede_await(&wr.future), 0);
	take_in(&h);
	cr_assert_eq(SSL_read(h.ssl, got, sizeof got), 4);
	cr_assert_not(rd.future.is_done);
	cr_assert_eq(SSL_write(h.ssl, "x", 1), 1);
	let_out(&h, 0);
	cr_assert_eq(cede_await(&rd.future), 1);
	hand_close(&h);
}

/* The same with nobody who reads: the writer reads for itself. What is the reader's stays. */
TLS_TEST(tls_parts, so_it_does_where_nobody_reads)
{
	struct hand h;
	cede_read_t rd;
	cede_write_t wr;
	char got[16], byte;

	hand_open(&h, p);
	cr_assert_eq(cede_read_start(p->client, &byte, 1, &rd), 0);
	let_out(&h, 600);
	cr_assert_eq(cede_sleep(1), 0);
	cede_future_cancel(&rd.future);
	cr_assert_eq(cede_write_start(p->client, "data", 4, &wr), 0);
	cr_assert_not(wr.future.is_done);
	cr_assert_eq(SSL_write(h.ssl, "x", 1), 1);
	let_out(&h, 0);
	cr_assert_eq(cede_await(&wr.future), 0);
	take_in(&h);
	cr_assert_eq(SSL_read(h.ssl, got, sizeof got), 4);
	cr_assert_eq(cede_read(p->client, &byte, 1), 1);
	cr_assert_eq(byte, 'x');
	hand_close(&h);
}

/* Given up while it waits: half a message may be encrypted, so the stream is broken. */
TLS_TEST(tls_parts, a_writer_that_waits_for_it_can_be_given_up)
{
	struct hand h;
	cede_read_t rd;
	cede_write_t wr;
	char byte;

	hand_open(&h, p);
	cr_assert_eq(cede_read_start(p->client, &byte, 1, &rd), 0);
	let_out(&h, 600);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_write_start(p->client, "data", 4, &wr), 0);
	cr_assert_not(wr.future.is_done);
	cede_future_cancel(&wr.future);
	cr_assert_eq(cede_await(&rd.future), CEDE_ECANCELED);
	cr_assert_eq(cede_write(p->client, "x", 1), CEDE_EPIPE);
	hand_close(&h);
}

/* close_notify waits for the other half too, and what comes meanwhile is read. */
TLS_TEST(tls_parts, a_half_close_waits_for_the_rest_of_a_message)
{
	struct hand h;
	cede_read_t rd;
	char got[16], byte;

	hand_open(&h, p);
	cr_assert_eq(cede_read_start(p->client, &byte, 1, &rd), 0);
	let_out(&h, 600);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_shutdown_write(p->client), 0, "%s", cede_tls_problem(p->client));
	cr_assert_eq(cede_write(p->client, "x", 1), CEDE_ESHUTDOWN);
	take_in(&h);
	cr_assert_eq(SSL_read(h.ssl, got, sizeof got), -1, "it has gone: the ticket was whole");
	cr_assert_eq(SSL_write(h.ssl, "x", 1), 1);
	let_out(&h, 0);
	cr_assert_eq(cede_await(&rd.future), 1);
	cr_assert_eq(byte, 'x');
	take_in(&h);
	cr_assert_eq(SSL_read(h.ssl, got, sizeof got), 0);
	cr_assert(SSL_get_shutdown(h.ssl) & SSL_RECEIVED_SHUTDOWN);
	hand_close(&h);
}
