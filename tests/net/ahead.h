/*
 * For the tests of reads that look ahead: a stream on a pair of unix sockets, whose
 * other end is fed by a task, piece by piece: the next piece comes when the stream has
 * taken the last one out of the system, so that it sees each of them alone.
 */
#ifndef CEDE_TESTS_NET_AHEAD_H
#define CEDE_TESTS_NET_AHEAD_H

#include "tests/net/pair.h"

#include <stdlib.h>
#include <sys/ioctl.h>

struct ends {
	cede_stream_t *stream;
	int peer;
};

static inline void
ends_open(struct ends *e)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	cr_assert_eq(cede_stream_open_fd(fds[0], &e->stream), 0);
	e->peer = fds[1];
}

/* What a test has closed itself it sets to NULL or -1. */
static inline void
ends_close(struct ends *e)
{
	cede_close(e->stream);
	if (e->peer >= 0)
		close(e->peer);
}

static inline int
run_ends_body(void *body)
{
	void (*const *fn)(struct ends *) = body;
	struct ends e = { .peer = -1 };

	ends_open(&e);
	(*fn)(&e);
	ends_close(&e);
	return 0;
}

#define ENDS_TEST(suite, name) \
	static void suite##_##name(struct ends *e); \
	Test(suite, name) \
	{ \
		void (*body)(struct ends *) = suite##_##name; \
		run_gated_to_its_end(run_ends_body, &body); \
	} \
	static void suite##_##name(struct ends *e)

/** Sends a text. */
static inline void
say(const struct ends *e, const char *text)
{
	cr_assert_eq(peer_send(e->peer, text, strlen(text)), 0);
}

/** The peer's end of file. */
static inline void
hang_up(struct ends *e)
{
	close(e->peer);
	e->peer = -1;
}

static inline size_t
unread_by(const cede_stream_t *s)
{
	int n = 0;

	cr_assert_eq(ioctl(s->fd, FIONREAD, &n), 0);
	return (size_t)n;
}

/* ---- feeding ---- */

/* Ends of pieces, as a function of a place: the next cut behind it. */
struct feed {
	struct ends *ends;
	const char *data;
	size_t size;
	size_t cut;   /* the first piece's end; 0: at once all */
	size_t piece; /* the others' size; 0: all the rest */
	unsigned
		seed; /* not 0: pieces of random sizes up to `piece`, and no turns of the loop between */
	int is_over; /* nobody reads any more */
};

static inline size_t
next_piece(struct feed *f, size_t at)
{
	size_t n = f->size - at;

	if (at < f->cut)
		n = f->cut - at;
	else if (f->seed)
		n = 1 + (size_t)rand_r(&f->seed) % f->piece;
	else if (f->piece > 0)
		n = f->piece;
	return n < f->size - at ? n : f->size - at;
}

static inline int
feed(void *arg)
{
	struct feed *f = arg;
	size_t n;

	for (size_t at = 0; at < f->size; at += n) {
		n = next_piece(f, at);
		cr_assert_eq(peer_send(f->ends->peer, f->data + at, n), 0);
		while (!f->is_over && unread_by(f->ends->stream) > 0) {
			if (f->seed && f->ends->stream->reader)
				cede__stream_readable(f->ends->stream);
			let_others_run();
		}
	}
	hang_up(f->ends);
	return 0;
}

/* ---- transcripts ---- */

/* What a reader got, as one text: what comes of an input, however that is cut. */
struct transcript {
	char text[8192];
	size_t size;
};

static inline void
note(struct transcript *t, const char *open, const void *data, size_t size, const char *shut)
{
	char *to = t->text + t->size;

	cr_assert_lt(t->size + size + 16, sizeof t->text);
	to += sprintf(to, "%s", open);
	for (size_t i = 0; i < size; i++)
		*to++ = ((const char *)data)[i] ? ((const char *)data)[i] : '0';
	to += sprintf(to, "%s", shut);
	t->size = (size_t)(to - t->text);
}

static inline void
note_result(struct transcript *t, ssize_t r)
{
	char text[32];

	snprintf(text, sizeof text, "%s",
		r == 0                       ? "end"
			: r == CEDE_EMSGSIZE ? "long"
			: r == CEDE_EOF      ? "cut"
					     : "?");
	note(t, "<", text, strlen(text), ">");
}

/** A reader: takes the whole stream and notes what it gets. */
typedef void reader_fn(cede_stream_t *stream, struct transcript *transcript);

static inline void
transcribe(struct feed how, reader_fn *reader, struct transcript *ret_transcript)
{
	struct ends e;

	ends_open(&e);
	how.ends = &e;
	ret_transcript->size = 0;
	{
		CEDE_GROUP(g);

		cr_assert_eq(cede_spawn(&g, feed, &how), 0);
		reader(e.stream, ret_transcript);
		how.is_over = 1;
		cr_assert_eq(cede_group_wait(&g), 0);
	}
	ends_close(&e);
	ret_transcript->text[ret_transcript->size] = '\0';
}

/** What comes of an input is this: in one piece, byte by byte, and in two pieces, cut anywhere. */
static inline void
expect_however_cut(const char *data, size_t size, reader_fn *reader, const char *expected)
{
	static struct transcript t;

	for (size_t cut = 0; cut <= size; cut++) {
		transcribe((struct feed){ .data = data, .size = size, .cut = cut }, reader, &t);
		cr_assert_str_eq(t.text, expected, "cut at %zu: %s, not %s", cut, t.text, expected);
	}
	transcribe((struct feed){ .data = data, .size = size, .piece = 1 }, reader, &t);
	cr_assert_str_eq(t.text, expected, "byte by byte: %s, not %s", t.text, expected);
}

#endif
