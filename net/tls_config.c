/*
 * Configurations of TLS: an SSL_CTX, made from options.
 *
 * What is the same for all: 1.2 at the least, no renegotiation, no compression; partial
 * writes, since a stream writes as much as goes; buffers given back when they are empty,
 * so that an idle connection holds none; reading ahead, so that a record costs one
 * system call and not two.
 *
 * A server's certificates: the first is the context's own. When the client names a
 * server, those that fit the name take its place in that handshake: all of them, so that a
 * server may have an RSA key and one of elliptic curves for the same name.
 *
 * Failures are raised with a sentence, and whatever had been made is released.
 */
#include "net/tls_int.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <cede/error.h>

#include "coro/alloc.h"

#define CLIENT_SESSIONS 256
#define SERVER_SESSIONS 20000
#define SESSION_LIFE_S  7200
#define ALPN_MAX        1024 /* bytes of all names: they go into one message */

/* ---- ALPN ---- */

/* What they take as they are sent. 0: one is empty or too long, or there is none. */
static size_t
measure_alpn(const char *const *names)
{
	size_t size = 0;

	for (size_t i = 0; names[i]; i++) {
		const size_t length = strlen(names[i]);

		size += length + 1;
		if (length == 0 || length > 255 || size > ALPN_MAX)
			return 0;
	}
	return size;
}

static int
set_alpn(cede_tls_t *tls, const char *const *names)
{
	const size_t size = measure_alpn(names);
	unsigned char *wire, *text;

	if (size == 0)
		return cede_raise(CEDE_EINVAL, "ALPN: no name, or one that is empty or too long");
	wire = cede__alloc(2 * size); /* a length takes as much as a zero does */
	if (!wire)
		return CEDE_ENOMEM;
	tls->alpn = wire;
	tls->alpn_size = size;
	text = wire + size;
	for (size_t i = 0; names[i]; i++) {
		const size_t length = strlen(names[i]);

		*wire++ = (unsigned char)length;
		memcpy(wire, names[i], length);
		wire += length;
		memcpy(text, names[i], length + 1);
		text += length + 1;
	}
	return 0;
}

const char *
cede__tls_alpn_name(const cede_tls_t *tls, const unsigned char *name, unsigned size)
{
	const char *text = (const char *)tls->alpn + tls->alpn_size;

	for (size_t left = tls->alpn_size; left > 0;) {
		const size_t length = strlen(text);

		if (length == size && memcmp(text, name, size) == 0)
			return text;
		text += length + 1;
		left -= length + 1;
	}
	return NULL;
}

/* A server's: the first of its names that the client has as well. */
static int
select_alpn(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_size,
	const unsigned char *offered, unsigned offered_size, void *arg)
{
	const cede_tls_t *tls = arg;
	unsigned char *name;

	if (SSL_select_next_proto(&name, ret_size, tls->alpn, (unsigned)tls->alpn_size, offered,
		    offered_size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret_name = name;
	return SSL_TLSEXT_ERR_OK;
}

static int
apply_alpn(cede_tls_t *tls, const cede_tls_options_t *o)
{
	int r = o->alpn ? set_alpn(tls, o->alpn) : 0;

	if (r < 0 || !o->alpn)
		return r;
	if (tls->is_server)
		SSL_CTX_set_alpn_select_cb(tls->ctx, select_alpn, tls);
	else if (SSL_CTX_set_alpn_protos(tls->ctx, tls->alpn, (unsigned)tls->alpn_size) != 0)
		return cede__tls_raise(CEDE_ENOMEM, "ALPN");
	return 0;
}

/* ---- certificates ---- */

static int
fits_name(const struct cede__tls_identity *identity, const char *name)
{
	return X509_check_host(identity->leaf, name, 0, 0, NULL) == 1;
}

/* Those that fit, the last first: where two have the same kind of key, the first stays. */
static int
use_fitting(SSL *ssl, const cede_tls_t *tls, const char *name)
{
	int count = 0;

	for (size_t i = tls->identity_count; i-- > 0;) {
		const struct cede__tls_identity *identity = &tls->identities[i];

		if (!fits_name(identity, name))
			continue;
		if (count++ == 0)
			SSL_certs_clear(ssl);
		if (SSL_use_cert_and_key(ssl, identity->leaf, identity->key, identity->chain, 1) !=
			1)
			return -1;
	}
	return count;
}

static int
pick_certificate(SSL *ssl, int *ret_alert, void *arg)
{
	const cede_tls_t *tls = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	int count;

	if (!name || (tls->identity_count == 1 && !tls->refuses_unknown_names))
		return SSL_TLSEXT_ERR_OK;
	count = use_fitting(ssl, tls, name);
	if (count < 0) {
		*ret_alert = SSL_AD_INTERNAL_ERROR;
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	if (count == 0 && tls->refuses_unknown_names) {
		*ret_alert = SSL_AD_UNRECOGNIZED_NAME;
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	return SSL_TLSEXT_ERR_OK;
}

static int
load_identities(cede_tls_t *tls, const cede_tls_options_t *o)
{
	int r = 0;

	tls->identities = cede__alloc_array(o->certificate_count, sizeof *tls->identities);
	if (!tls->identities)
		return CEDE_ENOMEM;
	while (r == 0 && tls->identity_count < o->certificate_count) {
		r = cede__tls_identity_init(&tls->identities[tls->identity_count],
			&o->certificates[tls->identity_count]);
		tls->identity_count += r == 0;
	}
	return r;
}

static int
apply_identities(cede_tls_t *tls, const cede_tls_options_t *o)
{
	const struct cede__tls_identity *first;
	int r;

	if (o->certificate_count == 0)
		return tls->is_server ? cede_raise(CEDE_EINVAL, "a server needs a certificate") : 0;
	if (!tls->is_server && o->certificate_count > 1)
		return cede_raise(CEDE_EINVAL, "a client has one certificate at the most");
	r = load_identities(tls, o);
	if (r < 0)
		return r;
	first = &tls->identities[0];
	if (SSL_CTX_use_cert_and_key(tls->ctx, first->leaf, first->key, first->chain, 1) != 1)
		return cede__tls_raise(CEDE_EINVAL, "the first certificate");
	if (tls->is_server) {
		tls->refuses_unknown_names = o->refuse_unknown_names;
		SSL_CTX_set_tlsext_servername_callback(tls->ctx, pick_certificate);
		SSL_CTX_set_tlsext_servername_arg(tls->ctx, tls);
	}
	return 0;
}

/* ---- whom one trusts ---- */

static int
load_cas(cede_tls_t *tls, const cede_tls_options_t *o)
{
	int r = 0;

	if (o->ca_file)
		r = cede__tls_trust(tls->ctx, o->ca_file, NULL, 0, tls->is_server);
	if (r == 0 && o->ca)
		r = cede__tls_trust(tls->ctx, NULL, o->ca, o->ca_size, tls->is_server);
	if (r == 0 && o->ca_dir && SSL_CTX_load_verify_dir(tls->ctx, o->ca_dir) != 1)
		r = cede__tls_raise(CEDE_EINVAL, o->ca_dir);
	return r;
}

/* The mode, in OpenSSL's words; or a code that was raised. */
static int
verify_mode(const cede_tls_t *tls, cede_tls_verify_t verify)
{
	switch (verify) {
	case CEDE_TLS_VERIFY_DEFAULT:
		return tls->is_server ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
	case CEDE_TLS_VERIFY_REQUIRED:
		return SSL_VERIFY_PEER | (tls->is_server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
	case CEDE_TLS_VERIFY_OPTIONAL:
		if (tls->is_server)
			return SSL_VERIFY_PEER;
		break;
	case CEDE_TLS_VERIFY_NOTHING_INSECURE:
		if (!tls->is_server)
			return SSL_VERIFY_NONE;
		break;
	}
	return cede_raise(CEDE_EINVAL, "nothing that a %s can verify",
		tls->is_server ? "server" : "client");
}

static int
apply_trust(cede_tls_t *tls, const cede_tls_options_t *o)
{
	const int names_some = o->ca_file || o->ca_dir || o->ca;
	const int mode = verify_mode(tls, o->verify);

	if (mode < 0)
		return mode;
	tls->is_insecure = !tls->is_server && mode == SSL_VERIFY_NONE;
	SSL_CTX_set_verify(tls->ctx, mode, NULL);
	if (names_some)
		return load_cas(tls, o);
	if (mode == SSL_VERIFY_NONE)
		return 0;
	if (tls->is_server)
		return cede_raise(CEDE_EINVAL,
			"a server that asks for certificates has to say whose");
	if (SSL_CTX_set_default_verify_paths(tls->ctx) != 1)
		return cede__tls_raise(CEDE_EINVAL, "the system's certificates");
	ERR_clear_error(); /* there may be none */
	return 0;
}

/* ---- the protocol ---- */

static int
version_number(cede_tls_version_t version, int otherwise)
{
	return version == CEDE_TLS_1_2    ? TLS1_2_VERSION
		: version == CEDE_TLS_1_3 ? TLS1_3_VERSION
					  : otherwise;
}

static int
apply_protocol(cede_tls_t *tls, const cede_tls_options_t *o)
{
	const int min = version_number(o->min_version, TLS1_2_VERSION);
	const int max = version_number(o->max_version, 0); /* OpenSSL's latest */
	SSL_CTX *ctx = tls->ctx;

	if ((unsigned)o->min_version > CEDE_TLS_1_3 || (unsigned)o->max_version > CEDE_TLS_1_3 ||
		(max != 0 && min > max))
		return cede_raise(CEDE_EINVAL, "no version of TLS is left");
	if (SSL_CTX_set_min_proto_version(ctx, min) != 1 ||
		SSL_CTX_set_max_proto_version(ctx, max) != 1)
		return cede__tls_raise(CEDE_EINVAL, "the versions of TLS");
	if (o->ciphers && SSL_CTX_set_cipher_list(ctx, o->ciphers) != 1)
		return cede__tls_raise(CEDE_EINVAL, o->ciphers);
	if (o->ciphersuites && SSL_CTX_set_ciphersuites(ctx, o->ciphersuites) != 1)
		return cede__tls_raise(CEDE_EINVAL, o->ciphersuites);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ctx,
		SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1);
	return 0;
}

/* ---- sessions ---- */

static int
apply_sessions(cede_tls_t *tls, const cede_tls_options_t *o)
{
	static const unsigned char context[] = "cede";
	const unsigned max = o->sessions_max ? o->sessions_max
		: tls->is_server             ? SERVER_SESSIONS
					     : CLIENT_SESSIONS;
	int r;

	SSL_CTX_set_timeout(tls->ctx, o->session_life_s ? (long)o->session_life_s : SESSION_LIFE_S);
	if (o->no_resumption) {
		SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_options(tls->ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(tls->ctx, 0);
		return 0;
	}
	if (tls->is_server) {
		SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_SERVER);
		SSL_CTX_sess_set_cache_size(tls->ctx, max);
		/* A session with a client's certificate is only good where it was made. */
		SSL_CTX_set_session_id_context(tls->ctx, context, sizeof context - 1);
		return 0;
	}
	SSL_CTX_set_session_cache_mode(tls->ctx,
		SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(tls->ctx, cede__tls_session_made);
	r = cede__tls_sessions_init(&tls->sessions, max);
	tls->has_sessions = r == 0;
	return r;
}

/* ---- all of it ---- */

static int
apply(cede_tls_t *tls, const cede_tls_options_t *o)
{
	int r = apply_protocol(tls, o);

	if (r == 0)
		r = apply_trust(tls, o);
	if (r == 0)
		r = apply_identities(tls, o);
	if (r == 0)
		r = apply_alpn(tls, o);
	return r == 0 ? apply_sessions(tls, o) : r;
}

static int
create(int is_server, const cede_tls_options_t *options, cede_tls_t **ret_tls)
{
	static const cede_tls_options_t defaults;
	cede_tls_t *tls = cede__alloc_zero(sizeof *tls);
	int r;

	if (!tls)
		return CEDE_ENOMEM;
	atomic_init(&tls->refs, 1);
	tls->is_server = is_server;
	ERR_clear_error();
	tls->ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
	tls->bio = cede__tls_bio_create();
	r = tls->ctx && tls->bio ? apply(tls, options ? options : &defaults)
				 : cede__tls_raise(CEDE_ENOMEM, "a configuration of TLS");
	if (r < 0) {
		cede_tls_unref(tls);
		return r;
	}
	*ret_tls = tls;
	return 0;
}

int
cede_tls_create_server(const cede_tls_options_t *options, cede_tls_t **ret_tls)
{
	return create(1, options, ret_tls);
}

int
cede_tls_create_client(const cede_tls_options_t *options, cede_tls_t **ret_tls)
{
	return create(0, options, ret_tls);
}

cede_tls_t *
cede_tls_ref(cede_tls_t *tls)
{
	atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed);
	return tls;
}

cede_tls_t *
cede_tls_unref(cede_tls_t *tls)
{
	if (!tls || atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel) > 1)
		return NULL;
	if (tls->has_sessions)
		cede__tls_sessions_deinit(&tls->sessions);
	SSL_CTX_free(tls->ctx);
	BIO_meth_free(tls->bio);
	for (size_t i = 0; i < tls->identity_count; i++)
		cede__tls_identity_deinit(&tls->identities[i]);
	cede__free(tls->identities);
	cede__free(tls->alpn);
	cede__free(tls);
	return NULL;
}
