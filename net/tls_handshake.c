/*
 * The handshakes, and the orderly end.
 *
 * A handshake is a read that waits for a byte which nobody has sent: the filter drives
 * the handshake whenever something comes, mostly in libuv's callback, and says 1 when it is
 * done. So waiting, limits, closing and cancelling are those of every read. Writers
 * are kept out meanwhile, as by a file that is being sent.
 *
 * A server's filter, tens of kilobytes, comes with the client's first byte: connections
 * that say nothing cost what they cost without TLS.
 *
 * Given up, by a cancel or for want of time: the stream is broken and its transport
 * closed. Failed: reads and writes say so from then on, and what was sent, the alert, is
 * still delivered.
 */
#include "net/tls_int.h"

#include <arpa/inet.h>
#include <string.h>

#include <openssl/x509v3.h>

#include <cede/error.h>
#include <cede/scope.h>

#include "coro/alloc.h"

#define HANDSHAKE_MS 10000
#define SHUTDOWN_MS  5000
#define NAME_MAX_LEN 253

/* ---- whom a client means ---- */

struct name {
	char text[NAME_MAX_LEN + 1];
	int is_address;
};

/* Labels of letters, digits, '-' and '_' (RFC 1123, and what is found in practice), not empty. */
static int
is_host_name(const char *text)
{
	size_t label = 0;

	for (const char *c = text; *c; c++) {
		const int is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			(*c >= '0' && *c <= '9') || *c == '-' || *c == '_';

		if (!is_plain && (*c != '.' || label == 0))
			return 0;
		label = is_plain ? label + 1 : 0;
		if (label > 63)
			return 0;
	}
	return label > 0;
}

/* 0, CEDE_EINVAL. A name may end with the root's dot. */
static int
read_name(const char *text, struct name *ret_name)
{
	unsigned char address[16];
	size_t length = strlen(text);

	if (length > 1 && text[length - 1] == '.')
		length--;
	if (length > NAME_MAX_LEN)
		return CEDE_EINVAL;
	memcpy(ret_name->text, text, length);
	ret_name->text[length] = '\0';
	ret_name->is_address = inet_pton(AF_INET, ret_name->text, address) == 1 ||
		inet_pton(AF_INET6, ret_name->text, address) == 1;
	return ret_name->is_address || is_host_name(ret_name->text) ? 0 : CEDE_EINVAL;
}

/* Only host names are sent (RFC 6066, 3). 1, or 0 for want of memory. */
static int
expect_name(SSL *ssl, const struct name *name)
{
	if (name->is_address)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name->text);
	SSL_set_hostflags(ssl,
		X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	return SSL_set1_host(ssl, name->text) && SSL_set_tlsext_host_name(ssl, name->text) == 1;
}

/* "example.org:443": the name, and the port where there is one. The last colon divides them. NULL: no memory. */
static char *
make_key(const cede_stream_t *s, const struct name *name)
{
	const size_t length = strlen(name->text);
	char peer[64] = "", *key;
	const char *port;

	if (cede_stream_peer(s, peer, sizeof peer) < 0)
		peer[0] = '\0';
	port = strrchr(peer, ':');
	key = cede__alloc(length + sizeof peer);
	if (key) {
		memcpy(key, name->text, length);
		snprintf(key + length, sizeof peer, "%s", port ? port : ":");
	}
	return key;
}

/* Offers what was agreed on with this server before. */
static int
resume(struct cede__tls_filter *f, const struct name *name)
{
	SSL_SESSION *session;

	if (!f->tls->has_sessions)
		return 1;
	f->session_key = make_key(f->stream, name);
	if (!f->session_key)
		return 0;
	session = cede__tls_sessions_get(&f->tls->sessions, f->session_key);
	if (session)
		SSL_set_session(f->ssl, session); /* one that is of no use is not used */
	SSL_SESSION_free(session);
	return 1;
}

/* ---- the handshake ---- */

/* 0: the stream is ready for it. */
static int
check(const cede_stream_t *s)
{
	if (cede__tls_filter_of(s))
		return CEDE_EALREADY;
	if (s->is_closed)
		return CEDE_ECANCELED;
	if (s->reader || s->is_looking || s->writer || s->is_sending || s->is_holding)
		return CEDE_EBUSY;
	return 0;
}

/* Half a handshake is of no use, and must not turn into plain text. */
static void
give_up(cede_stream_t *s)
{
	s->is_broken = 1;
	cede__stream_close_transport(s, 1);
}

CEDE_SUSPENDS static int
read_nothing(cede_stream_t *s)
{
	cede_read_t op;
	char nothing;
	int r = cede_read_start(s, &nothing, 1, &op);

	return r < 0 ? r : cede_await(&op.future);
}

/* A server's: the client's first byte, or its end, and the filter that makes something of it. */
CEDE_SUSPENDS static int
wait_for_hello(cede_stream_t *s, cede_tls_t *tls)
{
	struct cede__tls_filter *f;
	int r = cede__stream_ahead(s) > 0 ? 1 : cede__stream_read_ahead(s, 1);

	return r < 0 ? r : cede__tls_filter_attach(s, tls, &f);
}

/* In a scope, and with the stream held. @tls: of a server, which has no filter yet. */
CEDE_SUSPENDS static int
wait_for_peer(cede_stream_t *s, cede_tls_t *tls, const cede_tls_stream_options_t *options)
{
	cede_scope_t limit;
	int r = cede_scope_enter(&limit,
		options && options->handshake_ms ? options->handshake_ms : HANDSHAKE_MS);

	if (r < 0)
		return r;
	s->is_sending = 1;
	if (tls)
		r = wait_for_hello(s, tls);
	if (r == 0)
		r = read_nothing(s);
	s->is_sending = 0;
	cede_scope_leave(&limit);
	return r;
}

CEDE_SUSPENDS static int
run(cede_stream_t *s, cede_tls_t *tls, const cede_tls_stream_options_t *options)
{
	const struct cede__tls_filter *f;
	int r;

	cede__stream_ref(s);
	r = wait_for_peer(s, tls, options);
	f = cede__tls_filter_of(s);
	if (s->is_released)
		r = CEDE_ECANCELED;
	else if (f && f->failure < 0)
		r = cede_raise(f->failure, "%s", f->problem);
	else if (r < 0 || !f->is_up)
		give_up(s);
	if (r >= 0 && !f->is_up)
		r = CEDE_ETRUNCATED; /* nothing but a handshake that is done is a success */
	cede__stream_unref(s);
	return r < 0 ? r : 0;
}

int
cede_tls_accept(cede_stream_t *s, cede_tls_t *tls, const cede_tls_stream_options_t *options)
{
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r == 0)
		r = check(s);
	if (r == 0 && !tls->is_server)
		r = CEDE_EINVAL;
	return r < 0 ? r : run(s, tls, options);
}

int
cede_tls_connect(cede_stream_t *s, cede_tls_t *tls, const char *server_name,
	const cede_tls_stream_options_t *options)
{
	struct cede__tls_filter *f;
	struct name name;
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r == 0)
		r = check(s);
	if (r == 0 && (tls->is_server || (!server_name && !tls->is_insecure)))
		r = CEDE_EINVAL;
	if (r == 0 && server_name)
		r = read_name(server_name, &name);
	if (r < 0)
		return r;
	r = cede__tls_filter_attach(s, tls, &f);
	if (r == 0 && server_name && !(expect_name(f->ssl, &name) && resume(f, &name)))
		r = CEDE_ENOMEM;
	if (r < 0) {
		give_up(s);
		return r;
	}
	return run(s, NULL, options);
}

/* ---- the orderly end ---- */

CEDE_SUSPENDS static int
drop_what_comes(cede_stream_t *s)
{
	const void *data;
	ssize_t n;

	do {
		n = cede_read_lend(s, &data);
	} while (n > 0);
	return (int)n;
}

int
cede_tls_shutdown(cede_stream_t *s, uint64_t timeout_ms)
{
	cede_scope_t limit;
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r < 0)
		return r;
	if (!cede__tls_filter_of(s))
		return CEDE_EINVAL;
	if (s->reader || s->is_looking)
		return CEDE_EBUSY;
	r = cede_shutdown_write(s);
	if (r == 0 || r == CEDE_EPIPE || r == CEDE_ECONNRESET) /* gone? what it has said says how */
		r = cede_scope_enter(&limit, timeout_ms ? timeout_ms : SHUTDOWN_MS);
	if (r < 0)
		return r;
	cede__stream_ref(s);
	r = drop_what_comes(s);
	cede_scope_leave(&limit);
	cede__stream_unref(s);
	return r;
}
