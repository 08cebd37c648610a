/*
 * TLS, for net/ itself.
 *
 * Two things: a configuration, which is an SSL_CTX with what we need to know of it
 * (tls_config.c, from PEM by tls_pem.c; tls_sessions.c keeps a client's sessions), and a
 * session, which is an SSL in the place of a stream's transport (tls.c).
 *
 * A configuration is written while it is made, and read by any number of threads
 * after. What changes in it are its count, OpenSSL's own cache, and a client's sessions,
 * which have a mutex.
 *
 * OpenSSL keeps a queue of errors for the thread. Whoever calls it empties the queue
 * before, and nothing suspends between a call and the look at its error.
 */
#ifndef CEDE_NET_TLS_INT_H
#define CEDE_NET_TLS_INT_H

#include <stdatomic.h>

#include <openssl/ssl.h>
#include <uv.h>

#include <cede/tls.h>

#include "coro/list.h"
#include "net/stream_int.h"

/* ---- PEM: tls_pem.c ---- */

/* A text and whose it is, in the words of its errors. */
struct cede__tls_text {
	const char *name; /* of the file; or what it is */
	const char *data;
	size_t size;
	char *owned; /* what is to be wiped and freed; NULL: the text is the caller's */
};

/* A certificate with its key and those that lead to a CA's. */
struct cede__tls_identity {
	X509 *leaf;
	EVP_PKEY *key;
	STACK_OF(X509) * chain;
};

/** Reads a certificate and its key. 0, or a code that was raised with a sentence. */
int cede__tls_identity_init(struct cede__tls_identity *identity,
	const cede_tls_certificate_t *certificate);

void cede__tls_identity_deinit(struct cede__tls_identity *identity);

/** Trusts the certificates of a file or of a text; a server tells its clients their names. As above. */
int cede__tls_trust(SSL_CTX *ctx, const char *file, const void *data, size_t size, int is_server);

/** Raises `code` with a sentence: `what`, and OpenSSL's reason. CEDE_ENOMEM where that is the reason. */
int cede__tls_raise(int code, const char *what);

/** OpenSSL's reason for what has just failed: its first error. Never NULL. */
const char *cede__tls_reason(void);

/** Is it want of memory? */
int cede__tls_is_out_of_memory(void);

/* ---- a client's sessions: tls_sessions.c ---- */

struct cede__tls_sessions {
	uv_mutex_t mutex;
	struct cede__list used; /* cede__tls_kept::link: the one that was put in last comes first */
	unsigned count, max;
};

/** 0, or libuv's code. */
int cede__tls_sessions_init(struct cede__tls_sessions *sessions, unsigned max);

void cede__tls_sessions_deinit(struct cede__tls_sessions *sessions);

/** Keeps a session, which is the cache's from here on; 0: there is no memory, it is still the caller's. */
int cede__tls_sessions_put(struct cede__tls_sessions *sessions, const char *key,
	SSL_SESSION *session);

/** The latest session of a key, with a reference; NULL. Those that may be used once are gone then. */
SSL_SESSION *cede__tls_sessions_get(struct cede__tls_sessions *sessions, const char *key);

/* ---- configurations: tls_config.c ---- */

struct cede_tls {
	SSL_CTX *ctx;
	BIO_METHOD *bio; /* of its streams; tls.c */
	atomic_uint refs;
	int is_server;
	int is_insecure;  /* a client that verifies nothing */
	int has_sessions; /* a client that keeps them */
	int refuses_unknown_names;

	struct cede__tls_identity *identities;
	size_t identity_count;

	unsigned char
		*alpn; /* as it is sent: a length and a name each; then the names, as C strings */
	size_t alpn_size; /* of what is sent */

	struct cede__tls_sessions sessions;
};

/** One of the configuration's own names of protocols, as a C string. NULL: none of them. */
const char *cede__tls_alpn_name(const cede_tls_t *tls, const unsigned char *name, unsigned size);

/* ---- streams: tls.c, tls_handshake.c ---- */

/* A stream's filter. Lives as long as the stream; what `ssl` and later fields hold, until the close. */
struct cede__tls_filter {
	cede_stream_t *stream;
	const struct cede__transport *below;
	cede_tls_t *tls;

	SSL *ssl;
	struct cede__timer
		soon; /* has a place in the heap; fires where there is more, without libuv */
	struct cede__buffer *early; /* what was read before TLS began: it comes first */
	uint32_t early_from, early_to;

	/* What is encrypted and has not gone. NULL: nothing. */
	char *out;
	size_t out_from, out_to, out_size;

	uint8_t is_in_care; /* of the transport below: what is in `out` may not move */
	uint8_t is_handshaking;
	uint8_t is_up;      /* the handshake is done */
	uint8_t is_closed;  /* there is no `ssl` any more */
	uint8_t is_drained; /* the transport below tells when it has more */
	uint8_t is_below_at_end;
	uint8_t has_more;         /* OpenSSL has something that has not been looked at */
	uint8_t reads_in_a_row;   /* of the transport below, in one call */
	uint8_t writer_waits;     /* in wait_room() */
	uint8_t is_looking_again; /* without a report from below */
	uint8_t reader_wants_room;
	uint8_t writer_wants_data;
	uint8_t owes_goodbye; /* close_notify has to wait: no room, or half a message */

	int receive_code; /* what the transport below has failed with, for good */
	int send_code;    /* the same: reading goes on, there may be an alert */
	int failure;      /* what reads and writes return from now on */
	char problem[128];
	char *session_key; /* a client's, if it keeps sessions */
};

/** The filter of a stream; NULL: it is not encrypted. */
struct cede__tls_filter *cede__tls_filter_of(const cede_stream_t *stream);

/** Puts a filter in the place of the stream's transport. 0, or a code and nothing has changed. */
int cede__tls_filter_attach(cede_stream_t *stream, cede_tls_t *tls,
	struct cede__tls_filter **ret_filter);

/** SSL_CTX's callback for a session to be kept. */
int cede__tls_session_made(SSL *ssl, SSL_SESSION *session);

/* ---- between OpenSSL and the transport below: tls_bio.c ---- */

/** How the streams of a configuration reach their transports. NULL: no memory. */
BIO_METHOD *cede__tls_bio_create(void);

/** Before every call of OpenSSL. */
void cede__tls_begin_call(struct cede__tls_filter *filter);

/** After it: has what is in `out` taken care of. */
void cede__tls_settle(struct cede__tls_filter *filter);

/** Frees `out`. */
void cede__tls_drop_out(struct cede__tls_filter *filter);

/** A call has not succeeded. CEDE_EAGAIN; 0: the peer has ended TLS; or a code that stays. */
int cede__tls_look_into(struct cede__tls_filter *filter, int result);

#endif
