/**
 * TLS: encrypts a stream in place. Versions 1.2 (RFC 5246) and 1.3 (RFC 8446), by
 * OpenSSL 3.
 *
 *     cede_tls_t *tls;                                  // once, at the start
 *     r = cede_tls_create_client(NULL, &tls);           // trusts whom the system trusts
 *     …
 *     r = cede_tcp_connect(address, &s);
 *     if (r == 0)
 *             r = cede_tls_connect(s, tls, "example.org", NULL);
 *     if (r == 0)
 *             r = (int)cede_write(s, request, size);    // as before; encrypted now
 *
 * A configuration says who one is and whom one trusts. It is made once, is not
 * changed again, and serves any number of streams in any number of threads.
 *
 * The handshake turns a stream that is connected, by whatever means, into one that is
 * encrypted: the same stream, with all its calls. So it is a start_tls as well:
 * bytes that were read ahead are TLS's. A stream whose handshake has failed is of no
 * more use: it never goes on in plain text.
 *
 * What is not done: renegotiation, compression, early data (0-RTT). OpenSSL allocates
 * memory of its own, with its own allocator.
 *
 * Built without OpenSSL (meson option `tls`), every call that returns a code returns
 * CEDE_ENOTSUP.
 */
#ifndef CEDE_TLS_H
#define CEDE_TLS_H

#include <cede/base.h>
#include <cede/stream.h>

CEDE__BEGIN

/* ---- configurations ---- */

/** A configuration. The library's memory, counted references; any thread. */
typedef struct cede_tls cede_tls_t;

/** A certificate and its key, in PEM. Files or texts in memory, which are not kept. */
typedef struct cede_tls_certificate {
	const char *chain_file; /**< the certificate, then those that lead to the CA's */
	const char *key_file;   /**< its private key; NULL: in chain_file */

	/** The same in memory, where there are no files. Sizes in bytes. */
	const void *chain;
	size_t chain_size;
	const void *key; /**< NULL: in chain */
	size_t key_size;

	const char *password; /**< of the key; NULL: it has none, and nobody is asked */
} cede_tls_certificate_t;

/** Whom one talks to: must it be proved? */
typedef enum cede_tls_verify {
	/** Clients: as CEDE_TLS_VERIFY_REQUIRED. Servers: clients are not asked for certificates. */
	CEDE_TLS_VERIFY_DEFAULT,
	/** The peer shows a certificate of a CA that is trusted, of the server's name if it is a
	 *  server, that is valid today; or the handshake fails. */
	CEDE_TLS_VERIFY_REQUIRED,
	/** Servers: a client may have no certificate; one that it shows must be right. */
	CEDE_TLS_VERIFY_OPTIONAL,
	/** Clients: anybody may be the server, and so may anybody in between. For tests. */
	CEDE_TLS_VERIFY_NOTHING_INSECURE,
} cede_tls_verify_t;

/** Versions of the protocol; older ones are not spoken. */
typedef enum cede_tls_version {
	CEDE_TLS_VERSION_DEFAULT, /**< at least 1.2, at most what OpenSSL knows */
	CEDE_TLS_1_2,
	CEDE_TLS_1_3,
} cede_tls_version_t;

/** How to configure. All zero is the default. Nothing of it is kept. */
typedef struct cede_tls_options {
	/**
	 * Who one is. A server has at least one; a client may have one, which it shows when it
	 * is asked. A server that has several shows those whose names fit the name that the
	 * client asks for, and the first when none fits.
	 */
	const cede_tls_certificate_t *certificates;
	size_t certificate_count;
	/** A server answers a name that no certificate fits with the alert unrecognized_name. */
	int refuse_unknown_names;

	/** Whom one trusts, in PEM: all that are given. None: the system's, for clients; a server
	 *  that asks for certificates has to say. */
	const char *ca_file;
	const char *ca_dir; /**< files by the hash of their subject; looked at in handshakes */
	const void *ca;     /**< a text in memory, of ca_size bytes */
	size_t ca_size;
	cede_tls_verify_t verify;

	/**
	 * What is spoken above TLS (ALPN, RFC 7301), the preferred first, then NULL. A server
	 * that shares none with a client that offers some refuses it. A server that knows of no
	 * ALPN agrees on none: look at cede_tls_info(). NULL: none.
	 */
	const char *const *alpn;

	cede_tls_version_t min_version, max_version;
	const char *ciphers;      /**< of 1.2, in OpenSSL's words; NULL: OpenSSL's choice */
	const char *ciphersuites; /**< of 1.3 */

	/**
	 * Sessions that are kept, so that a peer that comes again need not do it all. Clients keep
	 * them by name and port, and use those of 1.3 once; servers have tickets, and this is for
	 * those who do not take them. 0: 256 for clients, 20,000 for servers.
	 */
	unsigned sessions_max;
	int no_resumption;       /**< every handshake is a full one */
	unsigned session_life_s; /**< of a server's sessions and tickets; 0: 7,200 */
} cede_tls_options_t;

/**
 * Makes a server's configuration.
 *
 * Reads files, which may block: at the start of the program, or in cede_work().
 *
 * @param ret_tls  the caller's reference
 * @return 0, or a code with a sentence, which names the file (cede_error_text()):
 *   CEDE_ENOENT, CEDE_EACCES, …  a file can't be read
 *   CEDE_EINVAL   no certificate; not a certificate, not a key, not that key's password,
 *                 or a key of another certificate; options that contradict each other
 *   CEDE_EFBIG    a file of more than 16 MiB
 *   CEDE_ENOMEM, CEDE_ENOTSUP
 *
 * Any thread, in a task or outside. Never suspends.
 */
CEDE_API int cede_tls_create_server(const cede_tls_options_t *options, cede_tls_t **ret_tls);

/** Makes a client's configuration. NULL: all defaults. As cede_tls_create_server(). */
CEDE_API int cede_tls_create_client(const cede_tls_options_t *options, cede_tls_t **ret_tls);

/** One more reference. Returns @tls. Any thread. */
CEDE_API cede_tls_t *cede_tls_ref(cede_tls_t *tls);

/** One reference less; streams hold their own. NULL is allowed. Returns NULL. Any thread. */
CEDE_API cede_tls_t *cede_tls_unref(cede_tls_t *tls);

/* ---- streams ---- */

/** How to encrypt one stream. All zero, or NULL, is the default. */
typedef struct cede_tls_stream_options {
	uint64_t handshake_ms; /**< for all of the handshake; 0: 10,000 */
} cede_tls_stream_options_t;

/**
 * The server's handshake: from here on the stream is encrypted.
 *
 * It is bounded as a whole, however busily the peer sends.
 *
 * @param tls  a server's configuration; the stream takes a reference
 * @return 0; or a code, with a sentence where it is one of the first two:
 *   CEDE_ETLS        the peer does not speak TLS, or none that both know; or it has refused
 *   CEDE_ECERT       the client's certificate is missing or not right
 *   CEDE_ETRUNCATED  the peer has gone
 *   CEDE_ETIMEDOUT   handshake_ms, or a timeout scope, has passed
 *   CEDE_EALREADY    the stream is encrypted, or has been tried to be
 *   CEDE_EBUSY       another task reads or writes, or is in a handshake
 *   CEDE_EINVAL      a client's configuration
 *   CEDE_ECANCELED   the stream was closed meanwhile
 *   CEDE_EXIT, CEDE_ENOTASK, CEDE_ENOMEM, CEDE_ENOTSUP, or the system's
 *
 * Suspends. After any code but CEDE_EALREADY, CEDE_EBUSY, CEDE_EINVAL, CEDE_ENOTASK and
 * CEDE_ENOTSUP the stream is broken and is to be closed; the peer has been sent the alert that
 * says why, where there is one. A cancel breaks it too.
 */
CEDE_API CEDE_SUSPENDS int cede_tls_accept(cede_stream_t *stream, cede_tls_t *tls,
	const cede_tls_stream_options_t *options);

/**
 * The client's handshake.
 *
 * @param server_name  whom one means to talk to, as it stands in the certificate: a
 *   host name (RFC 9525; it is sent to the server, SNI), or the text of an IP address. NULL
 *   only with CEDE_TLS_VERIFY_NOTHING_INSECURE. Not kept
 * @return as cede_tls_accept(); CEDE_ECERT: the server's certificate is not to be trusted, or
 *   of another name; CEDE_EINVAL: not a name, or a server's configuration
 *
 * Suspends; breaks the stream: as cede_tls_accept().
 */
CEDE_API CEDE_SUSPENDS int cede_tls_connect(cede_stream_t *stream, cede_tls_t *tls,
	const char *server_name, const cede_tls_stream_options_t *options);

/**
 * Ends TLS in order: sends close_notify and waits for the peer's, dropping what it
 * still sends. Without it, cede_close() sends close_notify and waits for nothing, which
 * is enough where the protocol above says when a message is complete.
 *
 * @param timeout_ms  0: 5,000
 * @return 0; CEDE_ETRUNCATED: the peer has closed without; CEDE_ETIMEDOUT; CEDE_EBUSY:
 *   another task reads or writes; CEDE_EINVAL: not encrypted; as cede_read()
 *
 * Suspends. The stream is at its end afterwards, and is to be closed.
 */
CEDE_API CEDE_SUSPENDS int cede_tls_shutdown(cede_stream_t *stream, uint64_t timeout_ms);

/*
 * Of an encrypted stream:
 *
 * cede_read() and its like return 0 when the peer has ended TLS (close_notify), and
 * CEDE_ETRUNCATED when the connection ended without: somebody may have cut it. They return
 * CEDE_ETLS when what comes is not what the peer has sent, and so does every later call.
 *
 * cede_write() returns when all of it, encrypted, was handed to the system.
 *
 * cede_shutdown_write() sends close_notify; reading goes on (RFC 8446, 6.1).
 *
 * cede_abort() sends nothing.
 */

/** What was agreed on. The texts live as long as the stream; those of the peer's are untrusted. */
typedef struct cede_tls_info {
	const char *version;     /**< "TLSv1.3" */
	const char *cipher;      /**< "TLS_AES_256_GCM_SHA384" */
	const char *alpn;        /**< NULL: none was agreed on */
	const char *server_name; /**< the name that the client has asked for; NULL: none */
	int is_server;
	int is_resumed;           /**< by a session of an earlier connection */
	int has_peer_certificate; /**< the peer has shown one, then or now */
	const char *verify_text;  /**< "ok", or why the peer's certificate is not to be trusted */
} cede_tls_info_t;

/**
 * What was agreed on, once the handshake is done.
 *
 * @return 0; CEDE_EINVAL: not encrypted; CEDE_EAGAIN: the handshake is not done; CEDE_ENOTSUP
 */
CEDE_API int cede_tls_info(const cede_stream_t *stream, cede_tls_info_t *ret_info);

/** The peer's certificate, in texts. A text that is too long is cut. */
typedef struct cede_tls_peer {
	char subject[256]; /**< "CN=alice,O=Example" (RFC 2253) */
	char issuer[256];
	/** Its names, "DNS:example.org,IP:127.0.0.1"; "" where it has none. What is not a plain
	 *  host name, address or address of mail is left out, and a list that is too long ends
	 *  with a whole name. */
	char names[512];
	char fingerprint[96]; /**< SHA-256, "AB:CD:…" */
	char not_after[32];   /**< "2030-01-31T12:00:00Z" */
} cede_tls_peer_t;

/**
 * The certificate that the peer has shown.
 *
 * @return 0; CEDE_ENOENT: it has shown none; CEDE_EINVAL: not encrypted; CEDE_EAGAIN: the
 *   handshake is not done; CEDE_ENOMEM; CEDE_ENOTSUP
 */
CEDE_API int cede_tls_peer(const cede_stream_t *stream, cede_tls_peer_t *ret_peer);

/**
 * The sentence behind the CEDE_ETLS, CEDE_ECERT or CEDE_ETRUNCATED that a read or write
 * of the stream has returned, or its handshake. "" where there was none; lives as long
 * as the stream.
 */
CEDE_API const char *cede_tls_problem(const cede_stream_t *stream);

CEDE__END

#endif
