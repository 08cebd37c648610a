/*
 * The conformance suite of streams, for its parts: what a check has, and how it says
 * what is wrong. A check is a body with two fresh streams, of which `a` is the one
 * that writes.
 */
#ifndef CEDE_NET_TESTING_CHECK_H
#define CEDE_NET_TESTING_CHECK_H

#include <cede/group.h>
#include <cede/scope.h>
#include <cede/stream.h>
#include <cede/testing.h>

#define CEDE__CHECK_CHUNK ((size_t)65536)

struct cede__check;

struct cede__check_entry {
	const char *name;
	int (*fn)(struct cede__check *check);
	unsigned needs; /* of CEDE_TEST_HAS_… */
	unsigned avoids;
};

struct cede__check {
	/* of the suite */
	cede_test_make_fn *make;
	void *arg;
	unsigned has, cushion_ms;

	/* of this run */
	const struct cede__check_entry *entry;
	int is_swapped;
	uint64_t random;
	cede_stream_t *a, *b; /* NULL: closed by the check */
	int code;             /* what was found first */
	char text[320];

	char out[CEDE__CHECK_CHUNK], in[CEDE__CHECK_CHUNK];
};

/** The parts of the suite; each ends with an entry without a name. */
extern const struct cede__check_entry cede__checks_of_bytes[];
extern const struct cede__check_entry cede__checks_of_ahead[];
extern const struct cede__check_entry cede__checks_of_ends[];

/** Keeps the first sentence. Returns a code for a check to return. */
int cede__check_fail(struct cede__check *check, const char *format, ...) CEDE__PRINTF(2, 3);

/** The same, of a call that returned one thing and not another. */
int cede__check_fail_code(struct cede__check *check, const char *what, int64_t result,
	int64_t expected);

#define CHECK(check, condition, ...) \
	do { \
		if (!(condition)) \
			return cede__check_fail((check), __VA_ARGS__); \
	} while (0)

/** A call and what it must return. */
#define CHECK_IS(check, what, call, expected) \
	do { \
		const int64_t result_ = (call), expected_ = (expected); \
\
		if (result_ != expected_) \
			return cede__check_fail_code((check), (what), result_, expected_); \
	} while (0)

/** Passes on what a helper found. */
#define CHECK_WELL(call) \
	do { \
		const int well_ = (call); \
\
		if (well_ < 0) \
			return well_; \
	} while (0)

/** Until every other task has got as far as it can. */
CEDE_SUSPENDS int cede__check_settle(struct cede__check *check);

size_t cede__check_draw(struct cede__check *check, size_t max);

/** Bytes that differ from their neighbours, from a place in an endless pattern. */
void cede__check_fill(char *buffer, size_t size, uint64_t from);
int cede__check_is_pattern(const char *buffer, size_t size, uint64_t from);

/** Reads from `b` up to this place in the pattern. */
CEDE_SUSPENDS int cede__check_read_to(struct cede__check *check, uint64_t *at, uint64_t to);

/** Is that what a write, or a read, gets that has no peer any more? */
static inline int
cede__check_is_gone(int64_t code)
{
	return code == CEDE_EPIPE || code == CEDE_ECONNRESET;
}

/* ---- another task, which reads or writes once ---- */

struct cede__check_op {
	struct cede__check *check;
	cede_stream_t *stream;
	size_t size;
	uint64_t from; /* in the pattern */
	char *buffer;
	ssize_t result;
	size_t written;
	int is_done;
};

int cede__check_read_once(void *op);
int cede__check_write_once(void *op);

/* ---- another task, which writes until nothing goes any more ---- */

struct cede__check_clog {
	struct cede__check *check;
	cede_stream_t *stream;
	int stops;   /* set: the chunk under way is the last */
	uint64_t at; /* where that chunk begins, and where it will end */
	uint64_t to;
	uint64_t written; /* bytes that were said to be */
	int result;       /* of the last write */
	int is_done;
};

int cede__check_clog(void *clog);

/** Spawns it and waits until it waits. */
CEDE_SUSPENDS int cede__check_fill_up(struct cede__check *check, cede_group_t *group,
	struct cede__check_clog *clog);

#endif
