/* Peers that mean no good, or speak something else: net/tls.c. */
#include "tests/net/tls_pair.h"

#include <stdlib.h>

TestSuite(tls_hostile, .timeout = 60);

/* A server's stream, and a raw socket in the place of its client; or the other way round. */
struct raw {
	cede_stream_t *stream;
	int peer;
	cede_tls_t *tls;
	int is_server; /* the stream is */
	int result;
	char text[256];
};

static void
raw_open(struct raw *r, int is_server)
{
	const cede_tls_options_t client = client_options(), server = server_options();
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	r->is_server = is_server;
	r->peer = fds[1];
	cr_assert_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	r->stream = stream_of(fds[0]);
	r->tls = is_server ? make_server(&server) : make_client(&client);
}

static void
raw_close(struct raw *r)
{
	cede_close(r->stream);
	if (r->peer >= 0)
		close(r->peer);
	cede_tls_unref(r->tls);
}

static void
raw_say(struct raw *r, const void *data, size_t size)
{
	cr_assert_eq(write(r->peer, data, size), (ssize_t)size);
}

static void
raw_shake_hands(struct raw *r)
{
	r->result = r->is_server ? cede_tls_accept(r->stream, r->tls, NULL)
				 : cede_tls_connect(r->stream, r->tls, "example.test", NULL);
	snprintf(r->text, sizeof r->text, "%s", cede_error_text(r->result));
}

/* It is not TLS: the stream says so for good, and an alert may have gone. */
static void
expect_no_tls(struct raw *r, const char *why)
{
	char byte;

	cr_assert_eq(r->result, CEDE_ETLS, "%s", cede_err_name(r->result));
	cr_assert(strstr(r->text, why), "'%s' instead of '%s'", r->text, why);
	cr_assert_eq(cede_read(r->stream, &byte, 1), CEDE_ETLS);
	cr_assert_eq(cede_write(r->stream, "secret", 6), CEDE_ETLS);
}

/* What the peer was sent contains no byte of what was to be encrypted. */
static void
expect_an_alert(struct raw *r)
{
	unsigned char alert[7 + 1024];
	ssize_t n;

	cede_close(r->stream);
	r->stream = NULL;
	n = read(r->peer, alert, sizeof alert);
	cr_assert_geq(n, 7);
	cr_assert_eq(alert[n - 7], 21, "no alert");
	cr_assert_eq(alert[n - 2], 2, "not a fatal one");
}

static void
greet_server_with(const void *data, size_t size, const char *why, int alerts)
{
	struct raw r;

	raw_open(&r, 1);
	raw_say(&r, data, size);
	raw_shake_hands(&r);
	expect_no_tls(&r, why);
	if (alerts)
		expect_an_alert(&r);
	raw_close(&r);
}

static void
answer_client_with(const void *data, size_t size, const char *why, int alerts)
{
	struct raw r;

	raw_open(&r, 0);
	raw_say(&r, data, size);
	raw_shake_hands(&r);
	expect_no_tls(&r, why);
	if (alerts)
		expect_an_alert(&r);
	raw_close(&r);
}

TASK_TEST(tls_hostile, plain_http_is_refused)
{
	static const char get[] = "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n";

	greet_server_with(get, sizeof get - 1, "http request", 0);
	answer_client_with("HTTP/1.1 400 Bad Request\r\n\r\n", 28, "wrong version number", 0);
}

TASK_TEST(tls_hostile, other_protocols_are_refused)
{
	answer_client_with("SSH-2.0-OpenSSH_9.2p1\r\n", 23, "wrong version number", 0);
	answer_client_with("220 mail.example.test ESMTP\r\n", 29, "wrong version number", 0);
	greet_server_with("SSH-2.0-OpenSSH_9.2p1\r\n", 23, "", 0);
}

TASK_TEST(tls_hostile, garbage_never_hangs_nor_crashes)
{
	unsigned seed = 7;

	for (int i = 0; i < 300; i++) {
		struct raw r;
		unsigned char noise[600];

		for (size_t k = 0; k < sizeof noise; k++) {
			seed = seed * 1103515245 + 12345;
			noise[k] = (unsigned char)(seed >> 16);
		}
		if (i % 2) { /* as far as a record's head it is one of the handshake */
			noise[0] = 22;
			noise[1] = 3;
			noise[2] = 1;
			noise[3] = 0;
		}
		raw_open(&r, i % 3 != 0);
		raw_say(&r, noise, sizeof noise);
		shutdown(r.peer, SHUT_WR);
		raw_shake_hands(&r);
		cr_assert(r.result == CEDE_ETLS || r.result == CEDE_ETRUNCATED, "%s",
			cede_err_name(r.result));
		raw_close(&r);
	}
}

TASK_TEST(tls_hostile, an_old_hello_is_refused)
{
	static const unsigned char sslv2[48] = { 0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10 };

	greet_server_with(sslv2, sizeof sslv2, "", 0);
}

TASK_TEST(tls_hostile, a_record_that_is_too_large_is_refused_at_its_head)
{
	static const unsigned char head[] = { 22, 3, 1, 0xff, 0xff };

	greet_server_with(head, sizeof head, "length too long", 1);
	answer_client_with(head, sizeof head, "length too long", 1);
}

/* A hello is bounded, whatever it says of its size: nobody waits for 16 MB. */
TASK_TEST(tls_hostile, a_message_that_is_too_large_is_refused_at_its_head)
{
	static const unsigned char head[] = { 22, 3, 1, 0, 6, 1, 0xff, 0xff, 0xff, 3, 3 };
	static const unsigned char server_head[] = { 22, 3, 3, 0, 6, 2, 0xff, 0xff, 0xff, 3, 3 };

	greet_server_with(head, sizeof head, "excessive message size", 1);
	answer_client_with(server_head, sizeof server_head, "excessive message size", 1);
}

TASK_TEST(tls_hostile, records_with_nothing_in_them_come_to_an_end)
{
	static unsigned char empty[5 * 200];

	for (size_t i = 0; i < sizeof empty; i += 5) {
		empty[i] = 22;
		empty[i + 1] = empty[i + 2] = 3;
	}
	greet_server_with(empty, sizeof empty, "", 1);
}

TASK_TEST(tls_hostile, data_before_the_handshake_is_refused)
{
	static const unsigned char data[] = { 23, 3, 3, 0, 4, 'e', 'v', 'i', 'l' };

	greet_server_with(data, sizeof data, "", 1);
	answer_client_with(data, sizeof data, "", 1);
}

TASK_TEST(tls_hostile, an_alert_instead_of_a_hello_is_told)
{
	static const unsigned char alert[] = { 21, 3, 3, 0, 2, 2, 40 };
	struct raw r;

	raw_open(&r, 0);
	raw_say(&r, alert, sizeof alert);
	raw_shake_hands(&r);
	expect_no_tls(&r, "handshake failure");
	raw_close(&r);
}

TASK_TEST(tls_hostile, a_client_that_goes_at_once_is_a_truncation)
{
	struct raw r;

	raw_open(&r, 1);
	close(r.peer);
	r.peer = -1;
	raw_shake_hands(&r);
	cr_assert_eq(r.result, CEDE_ETRUNCATED);
	cr_assert(strstr(r.text, "in the handshake"), "%s", r.text);
	raw_close(&r);
}

/* ---- data that nobody has encrypted ---- */

static void
expect_broken(struct tls_pair *p, const void *bytes, size_t size, const char *why)
{
	char byte;

	expect_hands_shaken(p);
	expect_talks(p);
	cr_assert_eq(write(p->client->fd, bytes, size), (ssize_t)size);
	cr_assert_eq(cede_read(p->server, &byte, 1), CEDE_ETLS);
	cr_assert(strstr(cede_tls_problem(p->server), why), "%s", cede_tls_problem(p->server));
	cr_assert_eq(cede_read(p->server, &byte, 1), CEDE_ETLS);
	cr_assert_eq(cede_write(p->server, "x", 1), CEDE_ETLS);
	cr_assert_eq(cede_read(p->client, &byte, 1), CEDE_ETLS, "the peer is sent an alert");
}

TLS_TEST(tls_hostile, data_of_others_is_refused)
{
	static const unsigned char forged[] = { 23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
		12, 13, 14, 15, 16, 17, 18, 19, 20 };

	expect_broken(p, forged, sizeof forged, "bad record mac");
}

TLS_TEST(tls_hostile, a_close_of_others_is_no_end)
{
	static const unsigned char forged[] = { 21, 3, 3, 0, 2, 1, 0 };

	expect_broken(p, forged, sizeof forged, "");
}

TLS_TEST(tls_hostile, a_record_that_is_too_large_later_is_refused_too)
{
	static const unsigned char head[] = { 23, 3, 3, 0x48, 0x01 };

	expect_broken(p, head, sizeof head, "length too long");
}

/* ---- resets, at each step ---- */

struct resetting {
	unsigned port;
	size_t after; /* bytes of the other side's */
	int is_done;  /* the other side ended first */
};

/* Passes so many bytes of each side on to the other, then resets. */
static void *
reset_in_between(void *arg)
{
	struct resetting *how = arg;
	const int fd = peer_connect(how->port);
	char buffer[4096];
	size_t got = 0;
	ssize_t n = 1;

	while (got < how->after && n > 0) {
		n = recv(fd, buffer,
			how->after - got < sizeof buffer ? how->after - got : sizeof buffer, 0);
		got += n > 0 ? (size_t)n : 0;
	}
	how->is_done = n <= 0;
	peer_reset(fd);
	return NULL;
}

/* A client hello of our own making, sent by a client of ours that waits. */
TASK_TEST(tls_hostile, a_reset_at_any_byte_of_the_hello_is_an_error)
{
	const cede_tls_options_t options = client_options();
	cede_tls_t *tls = make_client(&options);
	struct resetting how = { .after = 0 };
	cede_listener_t *l = listen_any(&how.port);

	for (how.after = 0; how.after < 600; how.after += 7) {
		pthread_t thread = peer_start(reset_in_between, &how);
		cede_stream_t *s;
		char byte;
		int r;

		cr_assert_eq(cede_accept(l, &s), 0);
		r = cede_tls_connect(s, tls, "example.test",
			&(cede_tls_stream_options_t){ .handshake_ms = 200 });
		peer_join(thread);
		cr_assert(r == CEDE_ECONNRESET || r == CEDE_EPIPE || r == CEDE_ETIMEDOUT, "%s",
			cede_err_name(r));
		cr_assert_lt(cede_read(s, &byte, 1), 0);
		cede_close(s);
		if (how.is_done)
			break;
	}
	cede_listener_close(l);
	cede_tls_unref(tls);
}
