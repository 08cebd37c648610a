/* The handshakes of TLS, both ends in one loop: net/tls_handshake.c. */
#include "tests/net/tls_pair.h"

#include <openssl/err.h>

TestSuite(tls_handshake, .timeout = 60);

/* In the place of the pair's configuration. */
static void
use_client(struct tls_pair *p, const cede_tls_options_t *options)
{
	cede_tls_unref(p->client_tls);
	p->client_tls = make_client(options);
}

static void
use_server(struct tls_pair *p, const cede_tls_options_t *options)
{
	cede_tls_unref(p->server_tls);
	p->server_tls = make_server(options);
}

static void
use_identity(struct tls_pair *p, const char *name)
{
	const cede_tls_certificate_t c = identity(name);

	use_server(p, &(cede_tls_options_t){ .certificates = &c, .certificate_count = 1 });
}

/* The client finds fault with the server, and tells it. */
static void
expect_client_refuses(struct tls_pair *p, const char *why)
{
	shake_hands(p);
	cr_assert_eq(p->client_result, CEDE_ECERT, "%s", cede_err_name(p->client_result));
	cr_assert(strstr(p->client_text, why), "'%s' instead of '%s'", p->client_text, why);
	cr_assert_str_eq(cede_tls_problem(p->client), p->client_text);
	cr_assert_eq(p->server_result, CEDE_ETLS, "%s", cede_err_name(p->server_result));
	cr_assert(strstr(p->server_text, "alert"), "%s", p->server_text);
}

/* Nothing goes any more, in neither direction, and nothing in plain text. */
static void
expect_useless(cede_stream_t *s, int code)
{
	char byte;

	cr_assert_eq(cede_read(s, &byte, 1), code);
	cr_assert_eq(cede_write(s, "x", 1), code);
	cr_assert_eq(cede_read(s, &byte, 1), code);
}

/* ---- what is agreed on ---- */

TLS_TEST(tls_handshake, makes_an_encrypted_stream_of_each_end)
{
	cede_tls_info_t info;

	expect_hands_shaken(p);
	expect_talks(p);
	info = info_of(p->client);
	cr_assert_str_eq(info.version, "TLSv1.3");
	cr_assert_str_eq(info.verify_text, "ok");
	cr_assert(info.has_peer_certificate);
	cr_assert_not(info.is_server);
	cr_assert_not(info.is_resumed);
	info = info_of(p->server);
	cr_assert_str_eq(info.server_name, "example.test");
	cr_assert(info.is_server);
	cr_assert_not(info.has_peer_certificate);
	cr_assert_str_eq(cede_tls_problem(p->client), "");
}

TLS_TEST(tls_handshake, either_side_may_keep_to_1_2)
{
	cede_tls_options_t options = client_options();

	options.max_version = CEDE_TLS_1_2;
	use_client(p, &options);
	expect_hands_shaken(p);
	expect_talks(p);
	cr_assert_str_eq(info_of(p->client).version, "TLSv1.2");

	options = client_options();
	use_client(p, &options);
	options = server_options();
	options.max_version = CEDE_TLS_1_2;
	use_server(p, &options);
	tls_pair_reopen(p);
	expect_hands_shaken(p);
	expect_talks(p);
	cr_assert_str_eq(info_of(p->server).version, "TLSv1.2");
}

TLS_TEST(tls_handshake, no_version_in_common_is_refused)
{
	cede_tls_options_t options = client_options();

	options.max_version = CEDE_TLS_1_2;
	use_client(p, &options);
	options = server_options();
	options.min_version = CEDE_TLS_1_3;
	use_server(p, &options);
	shake_hands(p);
	cr_assert_eq(p->client_result, CEDE_ETLS);
	cr_assert(strstr(p->client_text, "protocol version"), "%s", p->client_text);
	cr_assert_eq(p->server_result, CEDE_ETLS);
	expect_useless(p->client, CEDE_ETLS);
	expect_useless(p->server, CEDE_ETLS);
}

TLS_TEST(tls_handshake, ciphers_are_those_of_the_options)
{
	cede_tls_options_t options = client_options();

	options.ciphersuites = "TLS_CHACHA20_POLY1305_SHA256";
	use_client(p, &options);
	expect_hands_shaken(p);
	cr_assert_str_eq(info_of(p->server).cipher, "TLS_CHACHA20_POLY1305_SHA256");

	options.max_version = CEDE_TLS_1_2;
	options.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
	use_client(p, &options);
	tls_pair_reopen(p);
	expect_hands_shaken(p);
	cr_assert_str_eq(info_of(p->server).cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
}

/* ---- ALPN ---- */

static void
offer(struct tls_pair *p, const char *const *client_names, const char *const *server_names)
{
	cede_tls_options_t client = client_options(), server = server_options();

	client.alpn = client_names;
	server.alpn = server_names;
	use_client(p, &client);
	use_server(p, &server);
	tls_pair_reopen(p);
	shake_hands(p);
}

TLS_TEST(tls_handshake, the_server_chooses_among_the_protocols_of_the_client)
{
	offer(p, (const char *const[]){ "spdy/1", "http/1.1", "h2", NULL },
		(const char *const[]){ "h2", "http/1.1", NULL });
	cr_assert_eq(p->client_result, 0);
	cr_assert_str_eq(info_of(p->client).alpn, "h2");
	cr_assert_str_eq(info_of(p->server).alpn, "h2");
}

TLS_TEST(tls_handshake, a_side_that_offers_no_protocol_agrees_on_none)
{
	offer(p, NULL, (const char *const[]){ "h2", NULL });
	cr_assert_eq(p->client_result, 0);
	cr_assert_null(info_of(p->client).alpn);
	cr_assert_null(info_of(p->server).alpn);
	offer(p, (const char *const[]){ "h2", NULL }, NULL);
	cr_assert_eq(p->server_result, 0);
	cr_assert_null(info_of(p->client).alpn);
	cr_assert_null(info_of(p->server).alpn);
}

TLS_TEST(tls_handshake, no_protocol_in_common_is_refused)
{
	offer(p, (const char *const[]){ "h2", NULL }, (const char *const[]){ "h", "h22", NULL });
	cr_assert_eq(p->server_result, CEDE_ETLS);
	cr_assert_eq(p->client_result, CEDE_ETLS);
	cr_assert(strstr(p->client_text, "no application protocol"), "%s", p->client_text);
}

/* ---- SNI ---- */

static void
serve_names(struct tls_pair *p, int refuse_unknown)
{
	const cede_tls_certificate_t all[] = { identity("server"), identity("second"),
		identity("rsa") };

	use_server(p,
		&(cede_tls_options_t){ .certificates = all,
			.certificate_count = 3,
			.refuse_unknown_names = refuse_unknown });
}

/* Who answers to a name: the subject of the certificate that is shown, whatever is verified. */
static void
expect_shown(struct tls_pair *p, const char *name, const char *ciphers, const char *subject)
{
	cede_tls_options_t options = { .verify = CEDE_TLS_VERIFY_NOTHING_INSECURE };
	cede_tls_peer_t peer;

	if (ciphers) {
		options.ciphers = ciphers;
		options.max_version = CEDE_TLS_1_2;
	}
	use_client(p, &options);
	p->name = name;
	tls_pair_reopen(p);
	p->name = name;
	expect_hands_shaken(p);
	cr_assert_eq(cede_tls_peer(p->client, &peer), 0);
	cr_assert(strstr(peer.subject, subject), "%s shows %s", name ? name : "nobody",
		peer.subject);
}

TLS_TEST(tls_handshake, the_certificate_is_that_of_the_name)
{
	serve_names(p, 0);
	expect_shown(p, "example.test", NULL, "CN=server");
	expect_shown(p, "second.test", NULL, "CN=second");
	expect_shown(p, "SECOND.test.", NULL, "CN=second");
	expect_shown(p, "a.wild.test", NULL, "CN=second");
}

TLS_TEST(tls_handshake, a_name_that_no_certificate_has_gets_the_first)
{
	serve_names(p, 0);
	expect_shown(p, "a.b.wild.test", NULL, "CN=server");
	expect_shown(p, "wild.test", NULL, "CN=server");
	expect_shown(p, "unknown.test", NULL, "CN=server");
	expect_shown(p, "127.0.0.1", NULL, "CN=server");
	expect_shown(p, NULL, NULL, "CN=server");
}

TLS_TEST(tls_handshake, of_two_kinds_of_keys_for_a_name_the_client_gets_the_one_that_it_knows)
{
	serve_names(p, 0);
	expect_shown(p, "example.test", "ECDHE-RSA-AES128-GCM-SHA256", "CN=rsa");
	expect_shown(p, "example.test", "ECDHE-ECDSA-AES128-GCM-SHA256", "CN=server");
}

TLS_TEST(tls_handshake, an_unknown_name_is_refused_where_that_is_said)
{
	serve_names(p, 1);
	expect_shown(p, "second.test", NULL, "CN=second");
	expect_shown(p, NULL, NULL, "CN=server");
	tls_pair_reopen(p);
	p->name = "unknown.test";
	shake_hands(p);
	cr_assert_eq(p->client_result, CEDE_ETLS);
	cr_assert(strstr(p->client_text, "unrecognized name"), "%s", p->client_text);
	cr_assert_eq(p->server_result, CEDE_ETLS);
}

TLS_TEST(tls_handshake, an_address_is_not_sent_as_a_name)
{
	p->name = "127.0.0.1";
	expect_hands_shaken(p);
	cr_assert_null(info_of(p->server).server_name);
	tls_pair_reopen(p);
	p->name = "::1";
	expect_hands_shaken(p);
	cr_assert_null(info_of(p->server).server_name);
}

/* ---- the server's certificate ---- */

TLS_TEST(tls_handshake, a_certificate_of_another_name_is_refused)
{
	p->name = "other.test";
	expect_client_refuses(p, "hostname mismatch");
	expect_useless(p->client, CEDE_ECERT);
}

TLS_TEST(tls_handshake, a_certificate_of_another_address_is_refused)
{
	p->name = "127.0.0.2";
	expect_client_refuses(p, "IP address mismatch");
}

TLS_TEST(tls_handshake, the_common_name_is_no_name)
{
	p->name = "server";
	expect_client_refuses(p, "hostname mismatch");
}

TLS_TEST(tls_handshake, a_certificate_that_is_over_is_refused)
{
	use_identity(p, "expired");
	expect_client_refuses(p, "expired");
}

TLS_TEST(tls_handshake, a_certificate_of_its_own_is_refused)
{
	use_identity(p, "self");
	expect_client_refuses(p, "self-signed certificate");
}

TLS_TEST(tls_handshake, a_certificate_of_an_unknown_ca_is_refused)
{
	use_identity(p, "foreign");
	expect_client_refuses(p, "unable to get local issuer certificate");
}

TLS_TEST(tls_handshake, a_certificate_for_clients_is_none_of_a_server)
{
	use_identity(p, "client");
	expect_client_refuses(p, "purpose");
}

TLS_TEST(tls_handshake, a_chain_without_its_middle_is_refused)
{
	cede_tls_certificate_t c = identity("server");
	char leaf[4096] = "";
	FILE *file = fopen(c.chain_file, "r");
	size_t size = fread(leaf, 1, sizeof leaf - 1, file);

	fclose(file);
	c.chain_file = NULL;
	c.chain = leaf;
	c.chain_size = (size_t)(strstr(leaf, "-----END CERTIFICATE-----\n") - leaf) + 26;
	cr_assert_lt(c.chain_size, size);
	use_server(p, &(cede_tls_options_t){ .certificates = &c, .certificate_count = 1 });
	expect_client_refuses(p, "unable to get local issuer certificate");
}

TLS_TEST(tls_handshake, who_trusts_the_system_does_not_trust_the_tests)
{
	use_client(p, NULL);
	expect_client_refuses(p, "certificate");
}

TLS_TEST(tls_handshake, anybody_is_taken_where_that_is_spelled_out)
{
	cede_tls_options_t options = { .verify = CEDE_TLS_VERIFY_NOTHING_INSECURE };

	use_client(p, &options);
	use_identity(p, "self");
	p->name = NULL;
	shake_hands(p);
	cr_assert_eq(p->client_result, 0);
	expect_talks(p);
	cr_assert_str_eq(info_of(p->client).verify_text, "self-signed certificate");
}

/* ---- the client's certificate ---- */

static void
ask_clients(struct tls_pair *p, cede_tls_verify_t verify, const char *name)
{
	const cede_tls_certificate_t c = identity(name ? name : "client");
	cede_tls_options_t server = server_options(), client = client_options();

	server.verify = verify;
	server.ca_file = cert("ca.pem");
	use_server(p, &server);
	client.certificates = &c;
	client.certificate_count = name != NULL;
	use_client(p, &client);
	tls_pair_reopen(p);
	shake_hands(p);
}

TLS_TEST(tls_handshake, a_client_shows_its_certificate_when_it_is_asked)
{
	cede_tls_peer_t peer;

	ask_clients(p, CEDE_TLS_VERIFY_REQUIRED, "client");
	cr_assert_eq(p->server_result, 0, "%s", p->server_text);
	expect_talks(p);
	cr_assert_str_eq(info_of(p->server).verify_text, "ok");
	cr_assert(info_of(p->server).has_peer_certificate);
	cr_assert_eq(cede_tls_peer(p->server, &peer), 0);
	cr_assert_str_eq(peer.subject, "CN=client,O=cede");
	cr_assert_str_eq(peer.issuer, "CN=Test CA,O=cede");
	cr_assert_str_eq(peer.names, "email:client@example.test");
	cr_assert_str_eq(peer.not_after, "2120-01-01T00:00:00Z");
	cr_assert_eq(strlen(peer.fingerprint), 95);
}

TLS_TEST(tls_handshake, a_server_that_does_not_ask_gets_none)
{
	cede_tls_peer_t peer;

	ask_clients(p, CEDE_TLS_VERIFY_DEFAULT, "client");
	cr_assert_eq(p->server_result, 0);
	cr_assert_not(info_of(p->server).has_peer_certificate);
	cr_assert_eq(cede_tls_peer(p->server, &peer), CEDE_ENOENT);
}

TLS_TEST(tls_handshake, a_client_without_a_certificate_is_refused_where_one_is_required)
{
	char byte;

	ask_clients(p, CEDE_TLS_VERIFY_REQUIRED, NULL);
	cr_assert_eq(p->server_result, CEDE_ECERT, "%s", p->server_text);
	cr_assert(strstr(p->server_text, "peer did not return a certificate"));
	/* In 1.3 the client is done before it is judged: it hears of it with its first read. */
	cr_assert_eq(p->client_result, 0);
	cr_assert_eq(cede_read(p->client, &byte, 1), CEDE_ETLS);
	cr_assert(strstr(cede_tls_problem(p->client), "certificate required"));
}

TLS_TEST(tls_handshake, a_clients_certificate_of_an_unknown_ca_is_refused)
{
	char byte;

	ask_clients(p, CEDE_TLS_VERIFY_REQUIRED, "stranger");
	cr_assert_eq(p->server_result, CEDE_ECERT);
	cr_assert_eq(cede_read(p->client, &byte, 1), CEDE_ETLS);
	cr_assert(strstr(cede_tls_problem(p->client), "unknown ca"));
}

TLS_TEST(tls_handshake, an_optional_certificate_may_be_missing_and_must_be_right)
{
	ask_clients(p, CEDE_TLS_VERIFY_OPTIONAL, NULL);
	cr_assert_eq(p->server_result, 0);
	cr_assert_not(info_of(p->server).has_peer_certificate);
	ask_clients(p, CEDE_TLS_VERIFY_OPTIONAL, "client");
	cr_assert_eq(p->server_result, 0);
	cr_assert(info_of(p->server).has_peer_certificate);
	ask_clients(p, CEDE_TLS_VERIFY_OPTIONAL, "stranger");
	cr_assert_eq(p->server_result, CEDE_ECERT);
}

TLS_TEST(tls_handshake, the_servers_certificate_is_told_in_texts)
{
	cede_tls_peer_t peer;

	expect_hands_shaken(p);
	cr_assert_eq(cede_tls_peer(p->client, &peer), 0);
	cr_assert_str_eq(peer.subject, "CN=server,O=cede");
	cr_assert_str_eq(peer.names, "DNS:localhost,DNS:example.test,IP:127.0.0.1,IP:::1");
}

/* ---- refused before anything is sent ---- */

static int
connect_to(struct tls_pair *p, const char *name)
{
	return cede_tls_connect(p->client, p->client_tls, name, NULL);
}

TLS_TEST(tls_handshake, what_is_no_name_is_refused_and_the_stream_is_as_it_was)
{
	static char label[80], long_name[300];
	const char *const names[] = { NULL, "", ".", "..", ".example.test", "a..b", "exam ple.test",
		"example.test:443", "[::1]", "*.test", "a\nb", label, long_name };

	memset(label, 'a', 64);
	for (int i = 0; i < 255; i++)
		long_name[i] = i % 2 ? '.' : 'a';
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		cr_assert_eq(connect_to(p, names[i]), CEDE_EINVAL, "%s", names[i]);
	expect_talks(p);
	expect_hands_shaken(p);
}

TLS_TEST(tls_handshake, a_configuration_of_the_other_side_is_refused)
{
	cr_assert_eq(cede_tls_connect(p->client, p->server_tls, "example.test", NULL), CEDE_EINVAL);
	cr_assert_eq(cede_tls_accept(p->server, p->client_tls, NULL), CEDE_EINVAL);
	expect_hands_shaken(p);
}

TLS_TEST(tls_handshake, what_is_encrypted_is_not_encrypted_again)
{
	expect_hands_shaken(p);
	cr_assert_eq(connect_to(p, "example.test"), CEDE_EALREADY);
	cr_assert_eq(cede_tls_accept(p->server, p->server_tls, NULL), CEDE_EALREADY);
	expect_talks(p);
}

TLS_TEST(tls_handshake, a_stream_that_is_read_or_written_is_busy)
{
	static char much[1 << 20];
	cede_read_t rd;
	cede_write_t wr;
	char byte;

	cr_assert_eq(cede_read_start(p->client, &byte, 1, &rd), 0);
	cr_assert_eq(connect_to(p, "example.test"), CEDE_EBUSY);
	cede_future_cancel(&rd.future);
	cr_assert_eq(cede_write_start(p->client, much, sizeof much, &wr), 0);
	cr_assert_eq(connect_to(p, "example.test"), CEDE_EBUSY);
	cede_future_cancel(&wr.future);
}

TLS_TEST(tls_handshake, a_stream_that_is_broken_stays_so)
{
	static char much[1 << 20];
	cede_write_t wr;

	cr_assert_eq(cede_write_start(p->client, much, sizeof much, &wr), 0);
	cede_future_cancel(&wr.future);
	cr_assert_eq(connect_to(p, "example.test"), CEDE_ECANCELED);
	cr_assert_eq(cede_write(p->client, "x", 1), CEDE_EPIPE);
}

TLS_TEST(tls_handshake, nothing_of_it_is_left_in_openssls_queue)
{
	p->name = "other.test";
	expect_client_refuses(p, "hostname mismatch");
	cr_assert_eq(ERR_peek_error(), 0);
}

TLS_TEST(tls_handshake, plain_streams_have_nothing_to_tell)
{
	cede_tls_info_t info;
	cede_tls_peer_t peer;

	cr_assert_eq(cede_tls_info(p->client, &info), CEDE_EINVAL);
	cr_assert_eq(cede_tls_peer(p->client, &peer), CEDE_EINVAL);
	cr_assert_str_eq(cede_tls_problem(p->client), "");
	cr_assert_eq(cede_tls_shutdown(p->client, 0), CEDE_EINVAL);
}

TLS_TEST(tls_handshake, in_a_task_that_is_being_closed_nothing_happens)
{
	close_oneself();
	cr_assert_eq(connect_to(p, "example.test"), CEDE_EXIT);
	cr_assert_eq(cede_tls_accept(p->server, p->server_tls, NULL), CEDE_EXIT);
	cr_assert_null(cede__tls_filter_of(p->client));
}

/* ---- start_tls ---- */

static int
start_tls(void *arg)
{
	struct tls_pair *p = arg;
	char *line;

	/* The answer, with all that the client has sent behind it, is in the stream's buffer. */
	cr_assert_eq(cede_read_line(p->server, 0, &line, NULL), 1);
	cr_assert_str_eq(line, "STARTTLS");
	return run_accept(p);
}

TLS_TEST(tls_handshake, bytes_that_were_read_ahead_are_the_handshakes)
{
	CEDE_GROUP(group);
	cr_assert_eq(cede_write(p->client, "STARTTLS\n", 9), 9);
	cr_assert_eq(cede_spawn(&group, run_connect, p), 0);
	let_others_run();
	let_others_run();
	cr_assert_eq(cede_spawn(&group, start_tls, p), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(p->client_result, 0, "%s", p->client_text);
	cr_assert_eq(p->server_result, 0, "%s", p->server_text);
	expect_talks(p);
}

TLS_TEST(tls_handshake, a_line_of_plain_text_behind_the_command_is_no_handshake)
{
	CEDE_GROUP(group);
	cr_assert_eq(cede_write(p->client, "STARTTLS\nRCPT TO: <mallory>\n", 28), 28);
	cr_assert_eq(cede_spawn(&group, start_tls, p), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(p->server_result, CEDE_ETLS, "%s", p->server_text);
	expect_useless(p->server, CEDE_ETLS);
}
