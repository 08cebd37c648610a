/*
 * Certificates and keys, from PEM (RFC 7468).
 *
 * Files are read by ourselves: so a file that can't be read has the system's code,
 * what is read is bounded, and a key's text is wiped. OpenSSL never asks the terminal
 * for a password.
 */
#include "net/tls_int.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include <cede/error.h>

#include "coro/alloc.h"

#define TEXT_MAX         ((size_t)16 << 20)
#define CLIENT_NAMES_MAX 64 /* of CAs that clients are told: the list has to fit a message */

/* ---- OpenSSL's errors ---- */

int
cede__tls_is_out_of_memory(void)
{
	return ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE ||
		ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
}

const char *
cede__tls_reason(void)
{
	const unsigned long first = ERR_peek_error();
	const char *reason;

	if (ERR_SYSTEM_ERROR(first))
		return strerror(ERR_GET_REASON(first));
	reason = first ? ERR_reason_error_string(first) : NULL;
	return reason ? reason : "OpenSSL gives no reason";
}

int
cede__tls_raise(int code, const char *what)
{
	if (cede__tls_is_out_of_memory())
		code = CEDE_ENOMEM;
	code = cede_raise(code, "%s: %s", what, cede__tls_reason());
	ERR_clear_error();
	return code;
}

/* ---- texts ---- */

static void
wipe(char *data, size_t size)
{
	if (data)
		OPENSSL_cleanse(data, size);
	cede__free(data);
}

/* A larger block, and nothing left in the old one. */
static char *
grow(char *old, size_t used, size_t size)
{
	char *data = cede__alloc(size);

	if (data && used > 0)
		memcpy(data, old, used);
	wipe(old, used);
	return data;
}

static ssize_t
read_some(int fd, char *data, size_t size)
{
	ssize_t n;

	do {
		n = read(fd, data, size);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* The whole of a file; it may be a pipe. The size, or a code. */
static ssize_t
read_all(int fd, char **ret_data)
{
	size_t size = 16384, used = 0;
	char *data = cede__alloc(size);
	ssize_t n = 1;

	while (data && n > 0 && size <= TEXT_MAX) {
		n = read_some(fd, data + used, size - used);
		used += n > 0 ? (size_t)n : 0;
		if (used == size) {
			size *= 2;
			data = grow(data, used, size);
		}
	}
	if (!data)
		return CEDE_ENOMEM;
	if (n == 0) {
		*ret_data = data;
		return (ssize_t)used;
	}
	wipe(data, used);
	return n < 0 ? n : CEDE_EFBIG;
}

static int
open_text(const char *file, struct cede__tls_text *ret_text)
{
	char *data = NULL;
	const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	const ssize_t n = fd < 0 ? -errno : read_all(fd, &data);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return cede_raise((int)n, "%s: %s", file, cede_strerror((int)n));
	*ret_text = (struct cede__tls_text){ .name = file,
		.data = data,
		.size = (size_t)n,
		.owned = data };
	return 0;
}

static void
close_text(struct cede__tls_text *text)
{
	wipe(text->owned, text->size);
	text->owned = NULL;
}

/* From a file, or the caller's own. */
static int
get_text(const char *file, const void *data, size_t size, const char *what,
	struct cede__tls_text *ret_text)
{
	if (file && data)
		return cede_raise(CEDE_EINVAL, "%s: a file and a text, where there is to be one",
			what);
	if (file)
		return open_text(file, ret_text);
	*ret_text = (struct cede__tls_text){ .name = what, .data = data, .size = size };
	return 0;
}

static int
open_bio(const struct cede__tls_text *text, BIO **ret_bio)
{
	ERR_clear_error();
	if (text->size > TEXT_MAX)
		return cede_raise(CEDE_EFBIG, "%s: %s", text->name, cede_strerror(CEDE_EFBIG));
	*ret_bio = BIO_new_mem_buf(text->data ? text->data : "", (int)text->size);
	return *ret_bio ? 0 : cede_raise(CEDE_ENOMEM, "%s: no memory", text->name);
}

/* ---- certificates ---- */

/* Is a PEM text read to its end, when nothing more was found in it? */
static int
is_at_end(void)
{
	return ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_PEM &&
		ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

/* What is done with a certificate, which is the caller's of this: 1, or 0 and an error of OpenSSL's. */
typedef int use_fn(X509 *x, void *data);

static int
use_all(BIO *bio, const char *name, use_fn *use, void *data)
{
	int count = 0;

	for (X509 *x; (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL; count++) {
		const int is_used = use(x, data);

		X509_free(x);
		if (!is_used)
			return cede__tls_raise(CEDE_EINVAL, name);
	}
	if (!is_at_end())
		return cede__tls_raise(CEDE_EINVAL, name);
	ERR_clear_error();
	return count > 0 ? 0 : cede_raise(CEDE_EINVAL, "%s: no certificate in it", name);
}

/* Calls use() for each certificate of a text; there is at least one. 0, or a code that was raised. */
static int
each_certificate(const struct cede__tls_text *text, use_fn *use, void *data)
{
	BIO *bio;
	int r = open_bio(text, &bio);

	if (r < 0)
		return r;
	r = use_all(bio, text->name, use, data);
	BIO_free(bio);
	return r;
}

/* The first is one's own, the others follow it. */
static int
take_certificate(X509 *x, void *data)
{
	struct cede__tls_identity *identity = data;

	X509_up_ref(x);
	if (!identity->leaf) {
		identity->leaf = x;
		return 1;
	}
	if (!identity->chain)
		identity->chain = sk_X509_new_null();
	if (identity->chain && sk_X509_push(identity->chain, x) > 0)
		return 1;
	X509_free(x);
	return 0;
}

/* ---- keys ---- */

/* Never the terminal. */
static int
give_password(char *buffer, int size, int is_writing, void *password)
{
	const size_t length = password ? strlen(password) : 0;

	if (length == 0 || length > (size_t)size)
		return -1;
	memcpy(buffer, password, length);
	return (int)length;
}

static int
read_key(const struct cede__tls_text *text, const char *password, EVP_PKEY **ret_key)
{
	BIO *bio;
	int r = open_bio(text, &bio);

	if (r < 0)
		return r;
	*ret_key = PEM_read_bio_PrivateKey(bio, NULL, give_password, (void *)password);
	if (!*ret_key)
		r = is_at_end() ? cede_raise(CEDE_EINVAL, "%s: no private key in it", text->name)
				: cede__tls_raise(CEDE_EINVAL, text->name);
	ERR_clear_error();
	BIO_free(bio);
	return r;
}

static int
check_key(const struct cede__tls_identity *identity, const char *name)
{
	if (X509_check_private_key(identity->leaf, identity->key) == 1)
		return 0;
	return cede__tls_raise(CEDE_EINVAL, name);
}

/* ---- both ---- */

static int
read_key_elsewhere(struct cede__tls_identity *identity, const cede_tls_certificate_t *c)
{
	struct cede__tls_text text;
	int r = get_text(c->key_file, c->key, c->key_size, "the key", &text);

	if (r < 0)
		return r;
	r = read_key(&text, c->password, &identity->key);
	if (r == 0)
		r = check_key(identity, text.name);
	close_text(&text);
	return r;
}

int
cede__tls_identity_init(struct cede__tls_identity *identity, const cede_tls_certificate_t *c)
{
	struct cede__tls_text chain;
	int r;

	*identity = (struct cede__tls_identity){ 0 };
	r = get_text(c->chain_file, c->chain, c->chain_size, "the certificate", &chain);
	if (r < 0)
		return r;
	r = each_certificate(&chain, take_certificate, identity);
	if (r == 0 && !c->key_file && !c->key) {
		r = read_key(&chain, c->password, &identity->key);
		if (r == 0)
			r = check_key(identity, chain.name);
	} else if (r == 0) {
		r = read_key_elsewhere(identity, c);
	}
	close_text(&chain);
	if (r < 0)
		cede__tls_identity_deinit(identity);
	return r;
}

void
cede__tls_identity_deinit(struct cede__tls_identity *identity)
{
	X509_free(identity->leaf);
	EVP_PKEY_free(identity->key);
	sk_X509_pop_free(identity->chain, X509_free);
	*identity = (struct cede__tls_identity){ 0 };
}

/* ---- whom one trusts ---- */

struct trust {
	SSL_CTX *ctx;
	int names_left; /* to be told to clients */
};

static int
trust_one(X509 *x, void *data)
{
	struct trust *trust = data;

	if (X509_STORE_add_cert(SSL_CTX_get_cert_store(trust->ctx), x) != 1)
		return 0;
	return trust->names_left-- <= 0 || SSL_CTX_add_client_CA(trust->ctx, x) == 1;
}

int
cede__tls_trust(SSL_CTX *ctx, const char *file, const void *data, size_t size, int is_server)
{
	struct trust trust = { .ctx = ctx, .names_left = is_server ? CLIENT_NAMES_MAX : 0 };
	struct cede__tls_text text;
	int r = get_text(file, data, size, "the CA's certificates", &text);

	if (r < 0)
		return r;
	r = each_certificate(&text, trust_one, &trust);
	close_text(&text);
	return r;
}
