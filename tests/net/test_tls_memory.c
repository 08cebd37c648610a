/*
 * Want of memory, ours and OpenSSL's: each allocation of a handshake and a short talk
 * fails once. Nothing crashes, hangs or is left; whoever is concerned gets an error.
 *
 * And how much stack it takes.
 */
#include "tests/net/tls_pair.h"

#include <stdlib.h>

#include <openssl/crypto.h>

#include "tests/support/clock.h"

TestSuite(tls_memory, .timeout = 110);

/* ---- OpenSSL's allocator ---- */

static struct {
	unsigned long count, fail_at; /* 0: none */
	int failed;
} openssl;

static int
must_fail(void)
{
	if (++openssl.count != openssl.fail_at)
		return 0;
	openssl.failed = 1;
	return 1;
}

static void *
openssl_malloc(size_t size, const char *file, int line)
{
	return must_fail() ? NULL : malloc(size);
}

static void *
openssl_realloc(void *p, size_t size, const char *file, int line)
{
	return must_fail() ? NULL : realloc(p, size);
}

static void
openssl_free(void *p, const char *file, int line)
{
	free(p);
}

/* Before OpenSSL has allocated anything, which it does when libraries are loaded. */
static int is_installed;

static void
install(void)
{
	is_installed = CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free);
}

__attribute__((section(".preinit_array"), used)) static void (*const install_first)(void) = install;

/* ---- a talk that ends early where it must ---- */

static int
talk_as_client(void *arg)
{
	struct tls_pair *p = arg;
	cede_tls_peer_t peer;
	char buffer[8];
	ssize_t n = cede_tls_connect(p->client, p->client_tls, p->name, NULL);

	if (n == 0)
		n = cede_tls_peer(p->client, &peer);
	if (n == 0)
		n = cede_write(p->client, "question", 8);
	if (n > 0)
		n = cede_read_exactly(p->client, buffer, 8, NULL);
	cr_assert(n <= 0 || memcmp(buffer, "question", 8) == 0);
	p->client_result = n > 0 ? 0 : n == 0 ? CEDE_EOF : (int)n;
	cede_close(p->client);
	p->client = NULL;
	return 0;
}

static int
talk_as_server(void *arg)
{
	struct tls_pair *p = arg;
	char buffer[8];
	ssize_t n = cede_tls_accept(p->server, p->server_tls, NULL);

	if (n == 0)
		n = cede_read_exactly(p->server, buffer, 8, NULL);
	if (n > 0)
		n = cede_write(p->server, buffer, 8);
	p->server_result = n > 0 ? 0 : n == 0 ? CEDE_EOF : (int)n;
	cede_close(p->server);
	p->server = NULL;
	return 0;
}

static void
talk(struct tls_pair *p)
{
	CEDE_GROUP(group);
	p->client_result = p->server_result = CEDE_EPENDING;
	cr_assert_eq(cede_spawn(&group, talk_as_client, p), 0);
	cr_assert_eq(cede_spawn(&group, talk_as_server, p), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_neq(p->client_result, CEDE_EPENDING);
	cr_assert_neq(p->server_result, CEDE_EPENDING);
}

static void
fail_openssl_everywhere(struct tls_pair *p, cede_tls_version_t version)
{
	cede_tls_options_t client = client_options();
	unsigned long n = 0, survived = 0;

	client.max_version = version;
	cede_tls_unref(p->client_tls);
	p->client_tls = make_client(&client);
	do {
		tls_pair_reopen(p);
		openssl.failed = 0;
		openssl.count = 0;
		openssl.fail_at = ++n;
		talk(p);
		openssl.fail_at = 0;
		survived += p->client_result == 0 && p->server_result == 0;
	} while (openssl.failed);
	cr_assert_eq(p->client_result, 0, "%s", cede_strerror(p->client_result));
	cr_assert_gt(n, 500, "only %lu allocations", n);
	cr_assert_lt(survived, n / 2);
}

static int
run_without_openssls_memory(void *arg)
{
	struct tls_pair p = { .name = NULL };

	clock_start(); /* whoever waits for a peer that has failed waits for its limit */
	tls_pair_open(&p);
	fail_openssl_everywhere(&p, *(cede_tls_version_t *)arg);
	tls_pair_close(&p);
	clock_stop();
	return 0;
}

static void
fail_openssl(cede_tls_version_t version)
{
	cr_assert(is_installed);
	run_gated(run_without_openssls_memory, &version);
}

Test(tls_memory, each_allocation_of_openssl_may_fail)
{
	fail_openssl(CEDE_TLS_1_3);
}

Test(tls_memory, each_allocation_of_openssl_may_fail_with_1_2)
{
	fail_openssl(CEDE_TLS_1_2);
}

/* ---- stacks ---- */

struct stacks {
	struct tls_pair pair;
	size_t client, server;
};

static int
measure_client(void *arg)
{
	struct stacks *st = arg;

	talk_as_client(&st->pair);
	st->client = cede_coro_stack_used(cede_coro_current());
	return 0;
}

static int
measure_server(void *arg)
{
	struct stacks *st = arg;

	talk_as_server(&st->pair);
	st->server = cede_coro_stack_used(cede_coro_current());
	return 0;
}

/* Most of it runs in libuv's callbacks; what has come before a handshake is begun does not. */
static void
measure(struct stacks *st, cede_fn *first, cede_fn *second)
{
	st->client = st->server = 0;
	tls_pair_reopen(&st->pair);
	{
		CEDE_GROUP(group);
		cr_assert_eq(cede_spawn(&group, first, st), 0);
		for (int i = 0; i < 5; i++)
			let_others_run();
		cr_assert_eq(cede_spawn(&group, second, st), 0);
		cr_assert_eq(cede_group_wait(&group), 0);
	}
	cr_assert_eq(st->pair.client_result, 0);
	cr_assert_eq(st->pair.server_result, 0);
	cr_log_info("stack used: client %zu, server %zu", st->client, st->server);
	cr_assert_gt(st->client, 0);
	cr_assert_lt(st->client, 32768, "%zu bytes", st->client);
	cr_assert_lt(st->server, 32768, "%zu bytes", st->server);
}

/* In a stack of 64 KiB, the usual one, half is left to whoever calls. */
TASK_TEST(tls_memory, a_handshake_leaves_half_of_a_usual_stack)
{
	struct stacks st = { .client = 0 };

	tls_pair_open(&st.pair);
	for (int version = CEDE_TLS_1_2; version <= CEDE_TLS_1_3; version++) {
		const cede_tls_certificate_t rsa = identity("rsa"), own = identity("client");

		cede_tls_unref(st.pair.client_tls);
		cede_tls_unref(st.pair.server_tls);
		st.pair.client_tls = make_client(&(cede_tls_options_t){ .certificates = &own,
			.certificate_count = 1,
			.ca_file = cert("ca.pem"),
			.max_version = (cede_tls_version_t)version });
		st.pair.server_tls = make_server(&(cede_tls_options_t){ .certificates = &rsa,
			.certificate_count = 1,
			.ca_file = cert("ca.pem"),
			.verify = CEDE_TLS_VERIFY_REQUIRED });
		measure(&st, measure_client, measure_server);
		measure(&st, measure_server, measure_client);
		measure(&st, measure_client, measure_server); /* resumed */
	}
	tls_pair_close(&st.pair);
}
