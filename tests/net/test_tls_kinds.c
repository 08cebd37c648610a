/* TLS over every kind of stream that goes both ways; and cede_serve() with it. */
#include "tests/net/tls_pair.h"

#include <cede/testing.h>

#include "tests/net/serve_test.h"

TestSuite(tls_kinds, .timeout = 60);

/* In the place of the pair's streams. */
static void
take_streams(struct tls_pair *p, cede_stream_t *client, cede_stream_t *server)
{
	tls_pair_close_streams(p);
	p->client = client;
	p->server = server;
}

static void
expect_works(struct tls_pair *p)
{
	expect_hands_shaken(p);
	expect_talks(p);
	expect_carries(p->client, p->server, 20000);
	cr_assert_eq(cede_shutdown_write(p->client), 0);
	cr_assert_eq(cede_read(p->server, &(char){ 0 }, 1), 0);
	expect_carries(p->server, p->client, 20000);
	cede_close(p->server);
	p->server = NULL;
	cr_assert_eq(cede_read(p->client, &(char){ 0 }, 1), 0);
}

TLS_TEST(tls_kinds, streams_in_memory)
{
	cede_stream_t *a, *b;

	cr_assert_eq(cede_stream_pair(&a, &b, 0), 0);
	take_streams(p, a, b);
	expect_works(p);
}

/* Both directions in pieces of any size: the streams' own conformance test, with TLS in between. */
TLS_TEST(tls_kinds, streams_that_go_byte_by_byte)
{
	cede_stream_t *a, *b;

	cr_assert_eq(cede_test_stream(&(cede_test_stream_options_t){ .to_ours = { .read_max = 1,
									     .write_max = 7 },
					      .to_theirs = { .read_max = 3, .write_max = 1 } },
			     &a, &b),
		0);
	take_streams(p, a, b);
	expect_hands_shaken(p);
	expect_talks(p);
}

TLS_TEST(tls_kinds, a_reset_in_the_middle_is_told)
{
	for (size_t at = 1; at < 1500; at += 111) {
		cede_stream_t *a, *b;
		char byte;

		cr_assert_eq(cede_test_stream(
				     &(cede_test_stream_options_t){
					     .to_ours = { .steps =
								  (cede_test_step_t[]){
									  { CEDE_TEST_RESET, at,
										  0 },
									  { 0 } } } },
				     &a, &b),
			0);
		take_streams(p, a, b);
		shake_hands(p);
		if (p->client_result == 0)
			p->client_result = (int)cede_read(p->client, &byte, 1);
		cr_assert_eq(p->client_result, CEDE_ECONNRESET, "at %zu: %s", at,
			cede_err_name(p->client_result));
	}
}

TLS_TEST(tls_kinds, tcp)
{
	unsigned port;
	cede_listener_t *l = listen_any(&port);
	cede_stream_t *a, *b;
	char address[56];

	cr_assert_eq(cede_listener_address(l, address, sizeof address), 0);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(cede_tcp_connect(address, &a), 0);
		cr_assert_eq(cede_accept(l, &b), 0);
		take_streams(p, a, b);
		expect_works(p);
		cr_assert_eq(info_of(p->client).is_resumed, i, "the port is the same");
	}
	cede_listener_close(l);
}

TLS_TEST(tls_kinds, what_is_encrypted_is_not_given_back)
{
	expect_hands_shaken(p);
	cr_assert_eq(cede_stream_release_fd(p->client), CEDE_ENOTSUP);
	expect_talks(p);
}

/* ---- cede_serve() ---- */

static int
echo_encrypted(void *arg)
{
	char buffer[64];
	ssize_t n;

	enter();
	cr_assert(info_of(arg).is_server);
	while ((n = cede_read(arg, buffer, sizeof buffer)) > 0)
		if ((n = cede_write(arg, buffer, (size_t)n)) < 0)
			break;
	seen.running--;
	return (int)n;
}

static void
note_error(cede_stream_t *s, int code, void *data)
{
	seen.errors++;
	seen.last_error = code;
}

static cede_stream_t *
dial(const struct server *server)
{
	cede_stream_t *s;
	char address[56];

	cr_assert_eq(cede_listener_address(server->listener, address, sizeof address), 0);
	cr_assert_eq(cede_tcp_connect(address, &s), 0);
	return s;
}

TLS_TEST(tls_kinds, a_server_encrypts_before_its_handler_runs)
{
	struct server server = { .handler = echo_encrypted,
		.options = { .tls = p->server_tls, .on_error = note_error } };
	cede_stream_t *silent, *s;
	char buffer[8];

	CEDE_GROUP(group);
	start_server(&group, &server);
	silent = dial(&server); /* holds nobody up */
	for (int i = 0; i < 3; i++) {
		s = dial(&server);
		cr_assert_eq(cede_tls_connect(s, p->client_tls, "127.0.0.1", NULL), 0);
		cr_assert_eq(cede_write(s, "question", 8), 8);
		cr_assert_eq(cede_read_exactly(s, buffer, 8, NULL), 8);
		cr_assert_eq(cede_tls_shutdown(s, 0), 0);
		cede_close(s);
	}
	cr_assert_eq(seen.started, 3);
	cede_close(silent);
	cr_assert_eq(stop_server(&server), CEDE_EXIT);
}

TLS_TEST(tls_kinds, who_speaks_no_tls_never_gets_to_the_handler)
{
	struct server server = { .handler = echo_encrypted,
		.options = { .tls = p->server_tls, .on_error = note_error } };
	cede_stream_t *s;
	char byte;

	CEDE_GROUP(group);
	start_server(&group, &server);
	s = dial(&server);
	cr_assert_eq(cede_write(s, "GET / HTTP/1.1\r\n\r\n", 18), 18);
	cr_assert_leq(cede_read(s, &byte, 1), 0);
	cede_close(s);
	cr_assert_eq(seen.started, 0);
	cr_assert_eq(seen.errors, 1);
	cr_assert_eq(seen.last_error, CEDE_ETLS);
	cr_assert_eq(stop_server(&server), CEDE_EXIT);
}
