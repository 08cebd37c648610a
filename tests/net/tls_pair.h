/*
 * What the tests of TLS share: certificates, and two streams of one loop, the ends of a
 * pair of unix sockets, of which one is to be a client and one a server.
 *
 *     TLS_TEST(tls_echo, works) { … p->client, p->server … }
 *
 * What the body has closed itself it sets to NULL. Both handshakes run at once, each in
 * a task; what they returned stands in client_result and server_result.
 */
#ifndef CEDE_TESTS_NET_TLS_PAIR_H
#define CEDE_TESTS_NET_TLS_PAIR_H

#include <cede/tls.h>

#include "net/tls_int.h"

#include "tests/net/pair.h"

/** A file beside the tests' certificates. The texts stay. */
static inline const char *
cert(const char *name)
{
	static char paths[16][512];
	static unsigned next;
	char *path = paths[next++ % 16];
	const char *folder = getenv("TEST_CERTS");

	snprintf(path, sizeof paths[0], "%s/%s", folder ? folder : "tests/support/certs", name);
	return path;
}

/** Certificate and key of these names. */
static inline cede_tls_certificate_t
identity(const char *name)
{
	char chain[64], key[64];

	snprintf(chain, sizeof chain, "%s.pem", name);
	snprintf(key, sizeof key, "%s.key", name);
	return (cede_tls_certificate_t){ .chain_file = cert(chain), .key_file = cert(key) };
}

/** The usual server: certificate `server`. */
static inline cede_tls_options_t
server_options(void)
{
	static cede_tls_certificate_t certificate;

	certificate = identity("server");
	return (cede_tls_options_t){ .certificates = &certificate, .certificate_count = 1 };
}

/** The usual client: trusts `ca`. */
static inline cede_tls_options_t
client_options(void)
{
	return (cede_tls_options_t){ .ca_file = cert("ca.pem") };
}

static inline cede_tls_t *
make_server(const cede_tls_options_t *options)
{
	cede_tls_t *tls = NULL;
	const int r = cede_tls_create_server(options, &tls);

	cr_assert_eq(r, 0, "%s", cede_error_text(r));
	return tls;
}

static inline cede_tls_t *
make_client(const cede_tls_options_t *options)
{
	cede_tls_t *tls = NULL;
	const int r = cede_tls_create_client(options, &tls);

	cr_assert_eq(r, 0, "%s", cede_error_text(r));
	return tls;
}

struct tls_pair {
	cede_stream_t *client, *server;
	cede_tls_t *client_tls, *server_tls;
	const char *name; /* whom the client means */
	cede_tls_stream_options_t client_how, server_how;
	int client_result, server_result;
	char client_text[256], server_text[256]; /* the sentences behind them */
};

/** A stream of a socket, which is the stream's from here on. */
static inline cede_stream_t *
stream_of(int fd)
{
	cede_stream_t *s = NULL;

	cr_assert_eq(cede__stream_create(cede_loop_current(), UV_NAMED_PIPE, &s), 0);
	cr_assert_eq(cede__stream_open(s, fd), 0);
	return s;
}

static inline void
stream_pair(cede_stream_t *ends[2])
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	ends[0] = stream_of(fds[0]);
	ends[1] = stream_of(fds[1]);
}

/** Streams of the usual configurations, where there are none yet; nothing is encrypted. */
static inline void
tls_pair_open(struct tls_pair *p)
{
	const cede_tls_options_t client = client_options(), server = server_options();
	cede_stream_t *ends[2];

	stream_pair(ends);
	p->client = ends[0];
	p->server = ends[1];
	if (!p->client_tls)
		p->client_tls = make_client(&client);
	if (!p->server_tls)
		p->server_tls = make_server(&server);
	if (!p->name)
		p->name = "example.test";
}

static inline void
tls_pair_close_streams(struct tls_pair *p)
{
	cede_close(p->client);
	cede_close(p->server);
	p->client = p->server = NULL;
}

static inline void
tls_pair_close(struct tls_pair *p)
{
	tls_pair_close_streams(p);
	p->client_tls = cede_tls_unref(p->client_tls);
	p->server_tls = cede_tls_unref(p->server_tls);
}

/** Fresh streams, the same configurations. */
static inline void
tls_pair_reopen(struct tls_pair *p)
{
	tls_pair_close_streams(p);
	tls_pair_open(p);
}

static inline int
run_connect(void *arg)
{
	struct tls_pair *p = arg;

	p->client_result = cede_tls_connect(p->client, p->client_tls, p->name, &p->client_how);
	snprintf(p->client_text, sizeof p->client_text, "%s", cede_error_text(p->client_result));
	return 0;
}

static inline int
run_accept(void *arg)
{
	struct tls_pair *p = arg;

	p->server_result = cede_tls_accept(p->server, p->server_tls, &p->server_how);
	snprintf(p->server_text, sizeof p->server_text, "%s", cede_error_text(p->server_result));
	return 0;
}

/** Both handshakes. */
static inline void
shake_hands(struct tls_pair *p)
{
	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn(&group, run_connect, p), 0);
	cr_assert_eq(cede_spawn(&group, run_accept, p), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
}

static inline void
expect_hands_shaken(struct tls_pair *p)
{
	shake_hands(p);
	cr_assert_eq(p->client_result, 0, "client: %s", p->client_text);
	cr_assert_eq(p->server_result, 0, "server: %s", p->server_text);
}

/** One direction: what is written by one is read by the other, all of it. */
static inline void
expect_carries(cede_stream_t *from, cede_stream_t *to, size_t size)
{
	static char data[65536], got[65536];
	size_t n;

	cr_assert_leq(size, sizeof data);
	peer_fill(data, size, size);
	cr_assert_eq(cede_write(from, data, size), (ssize_t)size);
	cr_assert_eq(cede_read_exactly(to, got, size, &n), (ssize_t)size);
	cr_assert(peer_is_pattern(got, size, size));
}

static inline void
expect_talks(struct tls_pair *p)
{
	expect_carries(p->client, p->server, 1000);
	expect_carries(p->server, p->client, 1000);
}

static inline cede_tls_info_t
info_of(const cede_stream_t *s)
{
	cede_tls_info_t info;

	cr_assert_eq(cede_tls_info(s, &info), 0);
	return info;
}

static inline int
run_tls_body(void *body)
{
	void (*const *fn)(struct tls_pair *) = body;
	struct tls_pair p = { .name = NULL };

	tls_pair_open(&p);
	(*fn)(&p);
	tls_pair_close(&p);
	return 0;
}

#define TLS_TEST(suite, name) \
	static void suite##_##name(struct tls_pair *p); \
	Test(suite, name) \
	{ \
		void (*body)(struct tls_pair *) = suite##_##name; \
		run_gated_to_its_end(run_tls_body, &body); \
	} \
	static void suite##_##name(struct tls_pair *p)

#endif
