/*
 * Two ends that talk TLS over a wire which does what the test says: it passes the bytes
 * on in small pieces, changes one of them, or is cut behind a byte.
 *
 * The talk: both shake hands; the client sends a question, the server an answer; then
 * each ends TLS and waits for the other's end. On a clock of the test's, so a wire that
 * takes a millisecond for each piece, and a limit that passes, take no time.
 *
 * Included by exactly one file of a program, as clock.h is.
 */
#ifndef CEDE_TESTS_NET_TLS_WIRE_H
#define CEDE_TESTS_NET_TLS_WIRE_H

#include "tests/net/tls_pair.h"
#include "tests/support/clock.h"

#define QUESTION 300
#define ANSWER   500

/* One direction of the wire. */
struct way {
	cede_stream_t *from, *to;
	size_t piece;   /* bytes at a time, a millisecond each; 0: as they come */
	size_t cut_at;  /* after so many bytes both directions end; 0: never */
	size_t flip_at; /* the byte that is changed, from 1 on; 0: none */
	int by_reset;
	size_t passed;
};

struct wire {
	struct tls_pair pair;
	struct way up, down; /* of the client's bytes, of the server's */
	int is_cut;

	/* What the ends have come to: the code of the first thing that failed, or 0. */
	int client_end, server_end;
	size_t got_question, got_answer;
	int saw_end[2]; /* a clean end, of the client's reading and the server's */
};

/* ---- the wire ---- */

static inline void
cut(struct wire *wire)
{
	if (wire->is_cut)
		return;
	wire->is_cut = 1;
	shutdown(wire->up.from->fd, SHUT_RDWR);
	shutdown(wire->up.to->fd, SHUT_RDWR);
}

static inline int
pass(struct wire *wire, struct way *way)
{
	char buffer[4096];
	ssize_t n;

	while ((n = cede_read(way->from, buffer, way->piece ? way->piece : sizeof buffer)) > 0) {
		const size_t from = way->passed;

		if (way->cut_at > 0 && from + (size_t)n > way->cut_at)
			n = (ssize_t)(way->cut_at - from);
		if (way->flip_at > from && way->flip_at <= from + (size_t)n)
			buffer[way->flip_at - from - 1] ^= 0x24;
		way->passed += (size_t)n;
		if (n > 0 && cede_write(way->to, buffer, (size_t)n) < 0)
			break;
		if (way->piece > 0 && cede_sleep(1) < 0)
			break;
		if (way->cut_at > 0 && way->passed == way->cut_at) {
			cut(wire);
			break;
		}
	}
	(void)cede_shutdown_write(way->to);
	return 0;
}

static inline int
pass_up(void *arg)
{
	struct wire *wire = arg;

	return pass(wire, &wire->up);
}

static inline int
pass_down(void *arg)
{
	struct wire *wire = arg;

	return pass(wire, &wire->down);
}

/* ---- the ends ---- */

/* Reads so many bytes of the pattern. 0, or a code; an end that comes too early is CEDE_EOF. */
static inline int
read_pattern(cede_stream_t *s, size_t size, size_t *got)
{
	char buffer[ANSWER];

	while (*got < size) {
		const ssize_t n = cede_read(s, buffer, size - *got);

		if (n <= 0)
			return n < 0 ? (int)n : CEDE_EOF;
		cr_assert(peer_is_pattern(buffer, (size_t)n, *got), "wrong data");
		*got += (size_t)n;
	}
	return 0;
}

static inline int
write_pattern(cede_stream_t *s, size_t size)
{
	char buffer[ANSWER];
	ssize_t n;

	peer_fill(buffer, size, 0);
	n = cede_write(s, buffer, size);
	return n < 0 ? (int)n : 0;
}

static inline int
run_client(void *arg)
{
	struct wire *wire = arg;
	struct tls_pair *p = &wire->pair;
	int r;

	run_connect(p);
	r = p->client_result;
	if (r == 0)
		r = write_pattern(p->client, QUESTION);
	if (r == 0)
		r = read_pattern(p->client, ANSWER, &wire->got_answer);
	if (r == 0) {
		r = cede_tls_shutdown(p->client, 0);
		wire->saw_end[0] = r == 0;
	}
	wire->client_end = r;
	cede_close(p->client);
	p->client = NULL;
	return 0;
}

static inline int
run_server(void *arg)
{
	struct wire *wire = arg;
	struct tls_pair *p = &wire->pair;
	int r;

	run_accept(p);
	r = p->server_result;
	if (r == 0)
		r = read_pattern(p->server, QUESTION, &wire->got_question);
	if (r == 0)
		r = write_pattern(p->server, ANSWER);
	if (r == 0) {
		r = cede_tls_shutdown(p->server, 0);
		wire->saw_end[1] = r == 0;
	}
	wire->server_end = r;
	cede_close(p->server);
	p->server = NULL;
	return 0;
}

/** Fresh ends with a wire between them. */
static inline void
wire_open(struct wire *wire)
{
	cede_stream_t *left[2], *right[2];

	tls_pair_open(&wire->pair);
	tls_pair_close_streams(&wire->pair);
	stream_pair(left);
	stream_pair(right);
	wire->pair.client = left[0];
	wire->pair.server = right[0];
	/* A length that was changed makes its reader wait for what nobody sends. */
	cr_assert_eq(cede_stream_set_idle(left[0], 30000), 0);
	cr_assert_eq(cede_stream_set_idle(right[0], 30000), 0);
	wire->up.from = wire->down.to = left[1];
	wire->up.to = wire->down.from = right[1];
	wire->up.passed = wire->down.passed = 0;
	wire->got_question = wire->got_answer = 0;
	wire->saw_end[0] = wire->saw_end[1] = wire->is_cut = 0;
}

static inline void
wire_close(struct wire *wire)
{
	tls_pair_close_streams(&wire->pair);
	cede_close(wire->up.from);
	cede_close(wire->up.to);
}

/** The whole talk, to the end of everybody. */
static inline void
wire_talk(struct wire *wire)
{
	wire_open(wire);
	{
		CEDE_GROUP(group);
		cr_assert_eq(cede_spawn(&group, run_client, wire), 0);
		cr_assert_eq(cede_spawn(&group, run_server, wire), 0);
		cr_assert_eq(cede_spawn(&group, pass_up, wire), 0);
		cr_assert_eq(cede_spawn(&group, pass_down, wire), 0);
		cr_assert_eq(cede_group_wait(&group), 0);
	}
	wire_close(wire);
}

/** Nothing went wrong. */
static inline void
expect_whole_talk(const struct wire *wire)
{
	cr_assert_eq(wire->client_end, 0, "client: %s, %s", cede_strerror(wire->client_end),
		wire->pair.client_text);
	cr_assert_eq(wire->server_end, 0, "server: %s, %s", cede_strerror(wire->server_end),
		wire->pair.server_text);
	cr_assert_eq(wire->got_answer, ANSWER);
	cr_assert_eq(wire->got_question, QUESTION);
}

/** Configurations that keep to one version, without sessions: each talk is like the other. */
static inline void
wire_keep_to(struct wire *wire, cede_tls_version_t version)
{
	cede_tls_options_t client = client_options(), server = server_options();

	client.min_version = client.max_version = version;
	client.no_resumption = server.no_resumption = 1;
	cede_tls_unref(wire->pair.client_tls);
	cede_tls_unref(wire->pair.server_tls);
	wire->pair.client_tls = make_client(&client);
	wire->pair.server_tls = make_server(&server);
}

static inline int
run_wire_body(void *body)
{
	void (*const *fn)(struct wire *) = body;
	static struct wire wire;

	wire = (struct wire){ .client_end = 0 };
	clock_start();
	wire_keep_to(&wire, CEDE_TLS_1_3);
	(*fn)(&wire);
	wire.pair.client_tls = cede_tls_unref(wire.pair.client_tls);
	wire.pair.server_tls = cede_tls_unref(wire.pair.server_tls);
	clock_stop();
	return 0;
}

#define WIRE_TEST(suite, name) \
	static void suite##_##name(struct wire *wire); \
	Test(suite, name) \
	{ \
		void (*body)(struct wire *) = suite##_##name; \
		run_gated_to_its_end(run_wire_body, &body); \
	} \
	static void suite##_##name(struct wire *wire)

#endif
