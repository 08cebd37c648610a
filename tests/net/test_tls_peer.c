/* What a certificate says of itself, and may say to deceive: net/tls_info.c. */
#include "tests/net/tls_pair.h"

#include <stdlib.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

TestSuite(tls_peer, .timeout = 60);

/* A certificate of its own, of these names; with its key, in PEM. Freed by the caller. */
static char *
make_pem(const char *common_name, GENERAL_NAMES *names, size_t *ret_size)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long size;

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
		(const unsigned char *)common_name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	cr_assert_eq(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0), 1);
	cr_assert_gt(X509_sign(x, key, EVP_sha256()), 0);
	PEM_write_bio_X509(bio, x);
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	size = BIO_get_mem_data(bio, &text);
	text = memcpy(malloc((size_t)size), text, (size_t)size);
	*ret_size = (size_t)size;
	BIO_free(bio);
	X509_free(x);
	EVP_PKEY_free(key);
	return text;
}

static void
add_name(GENERAL_NAMES *names, int type, const void *data, int size)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *value = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

	cr_assert_eq(ASN1_STRING_set(value, data, size), 1);
	GENERAL_NAME_set0_value(name, type, value);
	sk_GENERAL_NAME_push(names, name);
}

/* The server shows it, and the client takes anybody. */
static void
show(struct tls_pair *p, const char *common_name, GENERAL_NAMES *names)
{
	cede_tls_certificate_t own = { .chain = NULL };
	char *pem = make_pem(common_name, names, &own.chain_size);

	own.chain = pem;
	cede_tls_unref(p->server_tls);
	cede_tls_unref(p->client_tls);
	p->server_tls =
		make_server(&(cede_tls_options_t){ .certificates = &own, .certificate_count = 1 });
	p->client_tls =
		make_client(&(cede_tls_options_t){ .verify = CEDE_TLS_VERIFY_NOTHING_INSECURE });
	free(pem);
	GENERAL_NAMES_free(names);
	shake_hands(p);
}

TLS_TEST(tls_peer, names_that_are_no_names_are_left_out)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	cede_tls_peer_t peer;

	add_name(names, GEN_DNS, "good.test", 9);
	add_name(names, GEN_DNS, "a.test,DNS:evil.test", 20);
	add_name(names, GEN_DNS, "good.test\0.evil.test", 20);
	add_name(names, GEN_DNS, "line\nfeed.test", 14);
	add_name(names, GEN_DNS, "", 0);
	add_name(names, GEN_EMAIL, "root@good.test", 14);
	add_name(names, GEN_IPADD, "\x7f\0\0\1", 4);
	add_name(names, GEN_IPADD, "\x7f\0\0", 3);
	add_name(names, GEN_URI, "https://good.test/,DNS:evil.test", 32);
	show(p, "a,b=c\n", names);
	cr_assert_eq(p->client_result, 0, "%s", p->client_text);
	cr_assert_eq(cede_tls_peer(p->client, &peer), 0);
	cr_assert_str_eq(peer.names, "DNS:good.test,email:root@good.test,IP:127.0.0.1");
	cr_assert_str_eq(peer.subject, "CN=a\\,b=c\\0A");
}

/* A name with a zero in it is not the name before the zero. */
TLS_TEST(tls_peer, a_name_with_a_zero_in_it_verifies_for_nobody)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();

	add_name(names, GEN_DNS, "example.test\0.evil.test", 23);
	show(p, "x", names);
	cr_assert_eq(p->client_result, 0);
	cr_assert_eq(X509_check_host(SSL_get0_peer_certificate(cede__tls_filter_of(p->client)->ssl),
			     "example.test", 0, 0, NULL),
		0);
}

static GENERAL_NAMES *
many_names(int count)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	char name[32];

	for (int i = 0; i < count; i++)
		add_name(names, GEN_DNS, name,
			snprintf(name, sizeof name, "host-%06d.example.test", i));
	return names;
}

TLS_TEST(tls_peer, a_list_that_is_too_long_ends_with_a_whole_name)
{
	cede_tls_peer_t peer;
	size_t length;

	show(p, "many", many_names(1000)); /* more than a record takes */
	cr_assert_eq(p->client_result, 0, "%s", p->client_text);
	expect_talks(p);
	cr_assert_eq(cede_tls_peer(p->client, &peer), 0);
	length = strlen(peer.names);
	cr_assert_gt(length, sizeof peer.names - 64);
	cr_assert_str_eq(peer.names + length - 13, ".example.test");
}

/* Cut, it would be an address of the domain in its middle. */
TLS_TEST(tls_peer, a_name_that_is_too_long_is_left_out_and_not_cut)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	cede_tls_peer_t peer;
	char name[400];

	memset(name, 'a', sizeof name);
	memcpy(name + 293 - 10, "@good.test.evil.test", 20);
	add_name(names, GEN_EMAIL, name, 293 - 10 + 20);
	add_name(names, GEN_DNS, "good.test", 9);
	show(p, "x", names);
	cr_assert_eq(p->client_result, 0, "%s", p->client_text);
	cr_assert_eq(cede_tls_peer(p->client, &peer), 0);
	cr_assert_str_eq(peer.names, "DNS:good.test");
}

TLS_TEST(tls_peer, a_certificate_that_is_huge_is_refused)
{
	show(p, "huge", many_names(5000));
	cr_assert_eq(p->client_result, CEDE_ETLS);
	cr_assert(strstr(p->client_text, "excessive message size"), "%s", p->client_text);
	cr_assert_eq(p->server_result, CEDE_ETLS);
}
