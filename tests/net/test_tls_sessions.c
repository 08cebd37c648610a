/* Resumption: net/tls_sessions.c, and a server's tickets. */
#include "tests/net/tls_pair.h"

TestSuite(tls_sessions, .timeout = 60);

static void
make_both(struct tls_pair *p, const cede_tls_options_t *client, const cede_tls_options_t *server)
{
	cede_tls_unref(p->client_tls);
	p->client_tls = make_client(client);
	cede_tls_unref(p->server_tls);
	p->server_tls = make_server(server);
}

static void
keep_to_1_2(struct tls_pair *p)
{
	cede_tls_options_t client = client_options();
	const cede_tls_options_t server = server_options();

	client.max_version = CEDE_TLS_1_2;
	make_both(p, &client, &server);
}

/* A connection to a name, on which tickets may come. Was it resumed? */
static int
visit(struct tls_pair *p, const char *name)
{
	int is_resumed;

	tls_pair_reopen(p);
	p->name = name;
	expect_hands_shaken(p);
	expect_talks(p);
	is_resumed = info_of(p->client).is_resumed;
	cr_assert_eq(info_of(p->server).is_resumed, is_resumed);
	return is_resumed;
}

TLS_TEST(tls_sessions, a_client_that_comes_again_resumes)
{
	cr_assert_not(visit(p, "example.test"));
	for (int i = 0; i < 5; i++)
		cr_assert(visit(p, "example.test"), "visit %d", i);
	cr_assert_str_eq(info_of(p->client).version, "TLSv1.3");
	cr_assert_str_eq(info_of(p->client).verify_text, "ok");
	cr_assert(info_of(p->client).has_peer_certificate);
}

TLS_TEST(tls_sessions, so_it_does_with_1_2)
{
	keep_to_1_2(p);
	cr_assert_not(visit(p, "example.test"));
	for (int i = 0; i < 5; i++)
		cr_assert(visit(p, "example.test"), "visit %d", i);
	cr_assert_str_eq(info_of(p->client).version, "TLSv1.2");
}

TLS_TEST(tls_sessions, a_session_is_of_one_name)
{
	cr_assert_not(visit(p, "example.test"));
	cr_assert_not(visit(p, "localhost"));
	cr_assert(visit(p, "example.test"));
	cr_assert(visit(p, "localhost"));
}

/* What was verified for one name must not be taken for another, by whatever name it is kept. */
TLS_TEST(tls_sessions, a_session_does_not_stand_for_a_name_that_was_not_verified)
{
	cr_assert_not(visit(p, "example.test"));
	tls_pair_reopen(p);
	p->name = "other.test";
	shake_hands(p);
	cr_assert_eq(p->client_result, CEDE_ECERT);
}

TLS_TEST(tls_sessions, a_ticket_of_1_3_is_used_once)
{
	unsigned had;

	visit(p, "example.test");
	had = p->client_tls->sessions.count;
	cr_assert_eq(had, 2, "OpenSSL's servers give two");
	for (; had > 0; had--) {
		SSL_SESSION *session =
			cede__tls_sessions_get(&p->client_tls->sessions, "example.test:");

		cr_assert_not_null(session);
		SSL_SESSION_free(session);
		cr_assert_eq(p->client_tls->sessions.count, had - 1);
	}
	cr_assert_not(visit(p, "example.test"));
}

TLS_TEST(tls_sessions, a_session_of_1_2_is_kept)
{
	SSL_SESSION *session;

	keep_to_1_2(p);
	visit(p, "example.test");
	cr_assert_eq(p->client_tls->sessions.count, 1);
	session = cede__tls_sessions_get(&p->client_tls->sessions, "example.test:");
	cr_assert_not_null(session);
	SSL_SESSION_free(session);
	cr_assert_eq(p->client_tls->sessions.count, 1);
}

TLS_TEST(tls_sessions, the_oldest_goes_when_there_are_too_many)
{
	cede_tls_options_t client = client_options();
	const cede_tls_options_t server = server_options();

	client.sessions_max = 3;
	make_both(p, &client, &server);
	visit(p, "example.test"); /* two each */
	visit(p, "localhost");
	cr_assert_eq(p->client_tls->sessions.count, 3);
	cr_assert(visit(p, "localhost"));
	cr_assert_leq(p->client_tls->sessions.count, 3);
	visit(p, "127.0.0.1");
	visit(p, "127.0.0.1");
	cr_assert_not(visit(p, "example.test"));
}

TLS_TEST(tls_sessions, either_side_may_do_without)
{
	cede_tls_options_t client = client_options(), server = server_options();

	client.no_resumption = 1;
	make_both(p, &client, &server);
	visit(p, "example.test");
	cr_assert_not(visit(p, "example.test"));

	client = client_options();
	server.no_resumption = 1;
	make_both(p, &client, &server);
	visit(p, "example.test");
	cr_assert_not(visit(p, "example.test"));
	client.max_version = CEDE_TLS_1_2;
	make_both(p, &client, &server);
	visit(p, "example.test");
	cr_assert_not(visit(p, "example.test"));
}

TLS_TEST(tls_sessions, another_server_of_the_name_makes_it_a_full_handshake)
{
	const cede_tls_options_t server = server_options();

	visit(p, "example.test");
	cede_tls_unref(p->server_tls);
	p->server_tls = make_server(&server);
	cr_assert_not(visit(p, "example.test"));
	cr_assert(visit(p, "example.test"));
}

TLS_TEST(tls_sessions, a_client_with_a_certificate_resumes_as_the_same_client)
{
	const cede_tls_certificate_t c = identity("client");
	cede_tls_options_t client = client_options(), server = server_options();
	cede_tls_peer_t peer;

	client.certificates = &c;
	client.certificate_count = 1;
	server.verify = CEDE_TLS_VERIFY_REQUIRED;
	server.ca_file = cert("ca.pem");
	make_both(p, &client, &server);
	cr_assert_not(visit(p, "example.test"));
	cr_assert(visit(p, "example.test"));
	cr_assert_eq(cede_tls_peer(p->server, &peer), 0);
	cr_assert_str_eq(peer.subject, "CN=client,O=cede");
	cr_assert_str_eq(info_of(p->server).verify_text, "ok");
}

TLS_TEST(tls_sessions, a_handshake_that_fails_leaves_none)
{
	p->name = "other.test";
	shake_hands(p);
	cr_assert_eq(p->client_tls->sessions.count, 0);
}

/* ---- many threads with one configuration ---- */

static cede_tls_t *shared_client, *shared_server;

static int
visit_often(void *arg)
{
	int *resumed = arg;

	for (int i = 0; i < 20; i++) {
		struct tls_pair p = { .client_tls = cede_tls_ref(shared_client),
			.server_tls = cede_tls_ref(shared_server) };

		tls_pair_open(&p);
		expect_hands_shaken(&p);
		expect_talks(&p);
		*resumed += info_of(p.client).is_resumed;
		tls_pair_close(&p);
	}
	return 0;
}

static void *
run_thread(void *arg)
{
	cr_assert_eq(cede_run(visit_often, arg), 0);
	cede__thread_cleanup();
	return NULL;
}

Test(tls_sessions, threads_share_configurations)
{
	const cede_tls_options_t client = client_options(), server = server_options();
	int resumed[4] = { 0 };
	pthread_t threads[4];

	leaks_begin();
	shared_client = make_client(&client);
	shared_server = make_server(&server);
	for (int i = 0; i < 4; i++)
		threads[i] = peer_start(run_thread, &resumed[i]);
	for (int i = 0; i < 4; i++)
		peer_join(threads[i]);
	cr_assert_gt(resumed[0] + resumed[1] + resumed[2] + resumed[3], 40);
	cede_tls_unref(shared_client);
	cede_tls_unref(shared_server);
	leaks_end();
}
