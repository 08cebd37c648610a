/*
 * What TLS knows of a connection: what was agreed on, the peer's certificate, what went
 * wrong.
 *
 * A peer chooses what stands in its certificate. Names are taken from it only where they
 * are what they say, so that a list of them can be split at its commas; a subject is
 * escaped by OpenSSL (RFC 2253).
 */
#include "net/tls_int.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* 0, or why there is nothing to tell. */
static int
look_up(const cede_stream_t *s, const struct cede__tls_filter **ret_filter)
{
	const struct cede__tls_filter *f = cede__tls_filter_of(s);

	if (!f)
		return CEDE_EINVAL;
	if (!f->is_up || f->is_closed)
		return CEDE_EAGAIN;
	*ret_filter = f;
	return 0;
}

int
cede_tls_info(const cede_stream_t *s, cede_tls_info_t *ret_info)
{
	const struct cede__tls_filter *f;
	const unsigned char *alpn;
	unsigned alpn_size;
	int r = look_up(s, &f);

	if (r < 0)
		return r;
	SSL_get0_alpn_selected(f->ssl, &alpn, &alpn_size);
	*ret_info = (cede_tls_info_t){
		.version = SSL_get_version(f->ssl),
		.cipher = SSL_get_cipher_name(f->ssl),
		.alpn = alpn ? cede__tls_alpn_name(f->tls, alpn, alpn_size) : NULL,
		.server_name = SSL_get_servername(f->ssl, TLSEXT_NAMETYPE_host_name),
		.is_server = f->tls->is_server,
		.is_resumed = SSL_session_reused(f->ssl),
		.has_peer_certificate = SSL_get0_peer_certificate(f->ssl) != NULL,
		.verify_text = X509_verify_cert_error_string(SSL_get_verify_result(f->ssl)),
	};
	return 0;
}

/* ---- the peer's certificate ---- */

/* "CN=alice,O=Example"; cut where it is too long. 0, CEDE_ENOMEM. */
static int
write_name(const X509_NAME *name, char *buffer, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int n;

	if (!bio)
		return CEDE_ENOMEM;
	n = X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
	if (n >= 0)
		n = BIO_read(bio, buffer, (int)size - 1);
	buffer[n > 0 ? n : 0] = '\0';
	BIO_free(bio);
	return 0;
}

/* Is it what a name may be made of? Nothing that ends a name, or the text. */
static int
is_plain(const unsigned char *text, int size)
{
	for (int i = 0; i < size; i++)
		if (!isalnum(text[i]) && !strchr(".-_*@+", text[i]))
			return 0;
	return size > 0;
}

static int
is_plain_name(const ASN1_STRING *name)
{
	const unsigned char *text = ASN1_STRING_get0_data(name);

	return !memchr(text, '\0', (size_t)ASN1_STRING_length(name)) &&
		is_plain(text, ASN1_STRING_length(name));
}

/* "DNS:example.org"; "" where it is of a kind, or has something in it, that is left out. */
static void
format_name(const GENERAL_NAME *name, char *buffer, size_t size)
{
	int type;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
	char address[INET6_ADDRSTRLEN];

	buffer[0] = '\0';
	if ((type == GEN_DNS || type == GEN_EMAIL) && is_plain_name(value)) {
		const int n = snprintf(buffer, size, "%s:%.*s", type == GEN_DNS ? "DNS" : "email",
			ASN1_STRING_length(value), (const char *)ASN1_STRING_get0_data(value));

		if (n < 0 || (size_t)n >= size)
			buffer[0] = '\0'; /* the beginning of a name is another's name */
	} else if (type == GEN_IPADD) {
		const int length = ASN1_STRING_length(value);
		const int family = length == 4 ? AF_INET : length == 16 ? AF_INET6 : AF_UNSPEC;

		if (family != AF_UNSPEC &&
			inet_ntop(family, ASN1_STRING_get0_data(value), address, sizeof address))
			snprintf(buffer, size, "IP:%s", address);
	}
}

static void
write_names(const X509 *x, char *buffer, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	char one[300];
	size_t used = 0;

	buffer[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		size_t length;

		format_name(sk_GENERAL_NAME_value(names, i), one, sizeof one);
		length = strlen(one);
		if (length == 0)
			continue;
		if (used + length + 2 > size)
			break;
		if (used > 0)
			buffer[used++] = ',';
		memcpy(buffer + used, one, length + 1);
		used += length;
	}
	GENERAL_NAMES_free(names);
}

static void
write_fingerprint(const X509 *x, char *buffer, size_t size)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	buffer[0] = '\0';
	if (X509_digest(x, EVP_sha256(), digest, &length) != 1)
		return;
	for (unsigned i = 0; i < length && 3 * i + 3 <= size; i++)
		snprintf(buffer + 3 * i, size - 3 * i, i + 1 < length ? "%02X:" : "%02X",
			digest[i]);
}

static void
write_time(const ASN1_TIME *time, char *buffer, size_t size)
{
	struct tm t;

	buffer[0] = '\0';
	if (ASN1_TIME_to_tm(time, &t) == 1)
		strftime(buffer, size, "%Y-%m-%dT%H:%M:%SZ", &t);
}

int
cede_tls_peer(const cede_stream_t *s, cede_tls_peer_t *ret_peer)
{
	const struct cede__tls_filter *f;
	cede_tls_peer_t peer;
	const X509 *x;
	int r = look_up(s, &f);

	if (r < 0)
		return r;
	x = SSL_get0_peer_certificate(f->ssl);
	if (!x)
		return CEDE_ENOENT;
	r = write_name(X509_get_subject_name(x), peer.subject, sizeof peer.subject);
	if (r == 0)
		r = write_name(X509_get_issuer_name(x), peer.issuer, sizeof peer.issuer);
	if (r == 0) {
		write_names(x, peer.names, sizeof peer.names);
		write_fingerprint(x, peer.fingerprint, sizeof peer.fingerprint);
		write_time(X509_get0_notAfter(x), peer.not_after, sizeof peer.not_after);
		*ret_peer = peer;
	}
	ERR_clear_error();
	return r;
}

const char *
cede_tls_problem(const cede_stream_t *s)
{
	const struct cede__tls_filter *f = cede__tls_filter_of(s);

	return f ? f->problem : "";
}
