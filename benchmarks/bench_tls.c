/*
 * What TLS costs over what OpenSSL itself takes: both ends in one thread, over a pair of
 * unix sockets.
 *
 *   tls_handshake_openssl  the floor: a full handshake by two SSLs on the sockets, in turn
 *   tls_handshake          cede_tls_connect() and cede_tls_accept(), each in a task
 *   tls_echo_openssl       64 bytes there and back, SSL_write() and SSL_read()
 *   tls_echo               cede_write() and cede_read()
 *   tls_bulk_openssl       1 MiB one way, 16 KiB at a time
 *   tls_bulk               the same by a task that writes all of it and one that reads
 *
 * The floor waits for nothing: it knows whose turn it is. cede's figures have a loop in them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cede/cede.h>

#include "bench.h"

#define BULK ((size_t)1 << 20)

/* In one connection, or, of handshakes, one after another: what surrounds them does not count then. */
#define HANDSHAKES 50
#define ECHOES     2000
#define BULKS      50

static char data[BULK], got[BULK];
static char certificate[4096]; /* with its key */

static void
check(const char *what, int is_well)
{
	if (is_well)
		return;
	fprintf(stderr, "bench_tls: %s failed\n", what);
	exit(1);
}

/* ---- a certificate ---- */

static void
make_certificate(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());

	check("a key", key && x && bio);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
		(const unsigned char *)"bench", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	check("a signature", X509_sign(x, key, EVP_sha256()) > 0);
	PEM_write_bio_X509(bio, x);
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	check("PEM", BIO_read(bio, certificate, sizeof certificate - 1) > 0);
	BIO_free(bio);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void
make_sockets(int fds[2])
{
	check("socketpair",
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
}

/* ---- OpenSSL by itself ---- */

struct bare {
	SSL *client, *server;
	int fds[2];
};

static SSL_CTX *bare_client, *bare_server;

static void
make_contexts(void)
{
	BIO *bio = BIO_new_mem_buf(certificate, -1);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	bare_client = SSL_CTX_new(TLS_client_method());
	bare_server = SSL_CTX_new(TLS_server_method());
	check("contexts", SSL_CTX_use_cert_and_key(bare_server, x, key, NULL, 1));
	SSL_CTX_set_read_ahead(bare_client, 1);
	SSL_CTX_set_read_ahead(bare_server, 1);
	SSL_CTX_set_num_tickets(bare_server, 0);
	X509_free(x);
	EVP_PKEY_free(key);
	BIO_free(bio);
}

static void
bare_open(struct bare *b)
{
	int c = 0, s = 0;

	make_sockets(b->fds);
	b->client = SSL_new(bare_client);
	b->server = SSL_new(bare_server);
	SSL_set_fd(b->client, b->fds[0]);
	SSL_set_fd(b->server, b->fds[1]);
	SSL_set_connect_state(b->client);
	SSL_set_accept_state(b->server);
	for (int i = 0; i < 10 && (c != 1 || s != 1); i++) {
		c = c == 1 ? c : SSL_do_handshake(b->client);
		s = s == 1 ? s : SSL_do_handshake(b->server);
	}
	check("a handshake", c == 1 && s == 1);
}

static void
bare_close(struct bare *b)
{
	SSL_free(b->client);
	SSL_free(b->server);
	close(b->fds[0]);
	close(b->fds[1]);
}

static void
run_bare_handshake(void *arg, uint64_t n)
{
	for (n *= HANDSHAKES; n > 0; n--) {
		struct bare b;

		bare_open(&b);
		bare_close(&b);
	}
}

static void
bare_carry(SSL *from, SSL *to, size_t size)
{
	check("SSL_write", SSL_write(from, data, (int)size) == (int)size);
	for (size_t total = 0; total < size;) {
		const int r = SSL_read(to, got, (int)size);

		check("SSL_read", r > 0);
		total += (size_t)r;
	}
}

static void
run_bare_echo(void *arg, uint64_t n)
{
	struct bare b;

	bare_open(&b);
	for (n *= ECHOES; n > 0; n--) {
		bare_carry(b.client, b.server, 64);
		bare_carry(b.server, b.client, 64);
	}
	bare_close(&b);
}

static void
run_bare_bulk(void *arg, uint64_t n)
{
	struct bare b;

	bare_open(&b);
	for (n *= BULKS * (BULK / 16384); n > 0; n--)
		bare_carry(b.client, b.server, 16384);
	bare_close(&b);
}

/* ---- cede ---- */

struct ends {
	cede_stream_t *client, *server;
	cede_fn *client_fn, *server_fn;
	unsigned times; /* for each that the bench asks for */
	uint64_t left;
};

static cede_tls_t *client_tls, *server_tls;

static int
connect_end(void *arg)
{
	struct ends *e = arg;
	int r = cede_tls_connect(e->client, client_tls, NULL, NULL);

	return r == 0 && e->client_fn ? e->client_fn(e) : r;
}

static int
accept_end(void *arg)
{
	struct ends *e = arg;
	int r = cede_tls_accept(e->server, server_tls, NULL);

	return r == 0 && e->server_fn ? e->server_fn(e) : r;
}

static int
run_ends(struct ends *e)
{
	int fds[2], r;

	make_sockets(fds);
	r = cede_stream_open_fd(fds[0], &e->client);
	check("a stream", r == 0);
	r = cede_stream_open_fd(fds[1], &e->server);
	check("a stream", r == 0);
	{
		CEDE_GROUP(group);
		r = cede_spawn(&group, accept_end, e);
		if (r == 0)
			r = cede_spawn(&group, connect_end, e);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	cede_close(e->client);
	cede_close(e->server);
	return r;
}

static void
make_configurations(void)
{
	const cede_tls_certificate_t own = { .chain = certificate,
		.chain_size = strlen(certificate) };
	int r = cede_tls_create_server(&(cede_tls_options_t){ .certificates = &own,
					       .certificate_count = 1,
					       .no_resumption = 1 },
		&server_tls);

	check("a server", r == 0);
	r = cede_tls_create_client(&(cede_tls_options_t){ .no_resumption = 1,
					   .verify = CEDE_TLS_VERIFY_NOTHING_INSECURE },
		&client_tls);
	check("a client", r == 0);
}

static int
shake_hands(void *arg)
{
	struct ends *e = arg;
	int r = 0;

	while (e->left-- > 0 && r == 0)
		r = run_ends(e);
	return r;
}

static int
talk(void *arg)
{
	return run_ends(arg);
}

static int
ask(void *arg)
{
	struct ends *e = arg;
	ssize_t n = 1;

	while (e->left-- > 0 && n > 0) {
		n = cede_write(e->client, data, 64);
		if (n > 0)
			n = cede_read(e->client, got, 64);
	}
	return n < 0 ? (int)n : cede_shutdown_write(e->client);
}

static int
answer(void *arg)
{
	struct ends *e = arg;
	char message[64];
	ssize_t n;

	while ((n = cede_read(e->server, message, sizeof message)) > 0)
		if ((n = cede_write(e->server, message, (size_t)n)) < 0)
			break;
	return (int)n;
}

static int
write_bulk(void *arg)
{
	struct ends *e = arg;
	ssize_t n = 1;

	while (e->left-- > 0 && n > 0)
		n = cede_write(e->client, data, BULK);
	return n < 0 ? (int)n : cede_shutdown_write(e->client);
}

static int
read_bulk(void *arg)
{
	struct ends *e = arg;
	const void *piece;
	ssize_t n;

	while ((n = cede_read_lend(e->server, &piece)) > 0)
		bench_keep(piece);
	return (int)n;
}

static void
run_cede(void *arg, uint64_t n)
{
	struct ends e = *(const struct ends *)arg;

	e.left = n * e.times;
	check("cede_run", cede_run(e.client_fn ? talk : shake_hands, &e) == 0);
}

int
main(int argc, char **argv)
{
	static struct ends handshake = { .times = HANDSHAKES };
	static struct ends echo = { .client_fn = ask, .server_fn = answer, .times = ECHOES };
	static struct ends bulk = { .client_fn = write_bulk,
		.server_fn = read_bulk,
		.times = BULKS };
	static const struct bench_case cases[] = {
		{ "tls_handshake_openssl", run_bare_handshake, NULL, HANDSHAKES, NULL },
		{ "tls_handshake", run_cede, &handshake, HANDSHAKES, "tls_handshake_openssl" },
		{ "tls_echo_openssl", run_bare_echo, NULL, ECHOES, NULL },
		{ "tls_echo", run_cede, &echo, ECHOES, "tls_echo_openssl" },
		{ "tls_bulk_openssl", run_bare_bulk, NULL, BULKS, NULL },
		{ "tls_bulk", run_cede, &bulk, BULKS, "tls_bulk_openssl" },
	};
	const struct bench_suite suite = {
		.backend = OPENSSL_VERSION_TEXT,
		.cases = cases,
		.n_cases = sizeof cases / sizeof cases[0],
	};
	int r;

	make_certificate();
	make_contexts();
	make_configurations();
	r = bench_main(&suite, argc, argv);
	SSL_CTX_free(bare_client);
	SSL_CTX_free(bare_server);
	cede_tls_unref(client_tls);
	cede_tls_unref(server_tls);
	return r;
}
