/* The conformance suite: the reads that look before they take, wherever what comes is cut. */
#include <string.h>

#include "net/testing_check.h"

/* ---- cut anywhere ---- */

static const char message[] = "GET /a b\r\nHost: x\n\r\nlong: y\r\n\r\nbody!rest";
#define MESSAGE_SIZE (sizeof message - 1)

struct parser {
	struct cede__check *check;
	int is_done;
};

/* Each kind of read, one after the other, over the one message. */
static int
parse(void *arg)
{
	struct parser *p = arg;
	struct cede__check *c = p->check;
	const void *data;
	size_t size = 0;
	char *line;
	ssize_t n;

	CHECK_IS(c, "a line", cede_read_line(c->b, 0, &line, &size), 1);
	CHECK(c, size == 8 && strcmp(line, "GET /a b") == 0, "a line came as '%.40s'", line);
	n = cede_peek(c->b, 5, &data);
	CHECK(c, n >= 5, "a peek at 5 bytes returned %zd", n);
	CHECK(c, memcmp(data, "Host:", 5) == 0, "a peek showed other bytes than come next");
	CHECK_IS(c, "a skip of what was shown", cede_read_skip(c->b, 6), n >= 6 ? 0 : CEDE_EINVAL);
	if (n < 6)
		CHECK_IS(c, "six bytes exactly", cede_read_exactly(c->b, c->in, 6, NULL), 6);
	CHECK_IS(c, "all up to the delimiter", cede_read_until(c->b, "\r\n\r\n", 4, 0, &data), 15);
	CHECK(c, memcmp(data, "x\n\r\nlong: y\r\n\r\n", 15) == 0,
		"what came up to the delimiter is not what was written");
	CHECK_IS(c, "five bytes exactly", cede_read_exactly(c->b, c->in, 5, &size), 5);
	CHECK(c, size == 5 && memcmp(c->in, "body!", 5) == 0, "five bytes came as '%.5s'", c->in);
	for (size_t at = 0; at < 4; at += (size_t)n) {
		n = cede_read_lend(c->b, &data);
		CHECK(c, n > 0 && (size_t)n <= 4 - at && memcmp(data, &"rest"[at], (size_t)n) == 0,
			"a lending read returned %zd, or other bytes", n);
	}
	cede_read_return(c->b);
	p->is_done = 1;
	return 0;
}

CEDE_SUSPENDS static int
check_every_cut(struct cede__check *c)
{
	for (size_t cut = 1; cut < MESSAGE_SIZE; cut++) {
		struct parser parser = { .check = c };

		CEDE_GROUP(group);
		CHECK_WELL(cede_spawn(&group, parse, &parser));
		CHECK_IS(c, "a write", cede_write(c->a, message, cut), (int64_t)cut);
		CHECK_WELL(cede__check_settle(c));
		CHECK_WELL(c->code);
		CHECK(c, !parser.is_done, "it was parsed before it was there");
		CHECK_IS(c, "a write", cede_write(c->a, message + cut, MESSAGE_SIZE - cut),
			(int64_t)(MESSAGE_SIZE - cut));
		CHECK_WELL(cede_group_wait(&group));
	}
	return 0;
}

CEDE_SUSPENDS static int
check_byte_by_byte(struct cede__check *c)
{
	struct parser parser = { .check = c };

	CEDE_GROUP(group);
	CHECK_WELL(cede_spawn(&group, parse, &parser));
	for (size_t i = 0; i < MESSAGE_SIZE; i++) {
		CHECK_IS(c, "a write", cede_write(c->a, message + i, 1), 1);
		CHECK_WELL(cede__check_settle(c));
	}
	return cede_group_wait(&group);
}

/* ---- what is not taken ---- */

CEDE_SUSPENDS static int
check_peek_takes_nothing(struct cede__check *c)
{
	const void *data;
	uint64_t at = 3;

	cede__check_fill(c->out, 10, 0);
	CHECK_IS(c, "a write", cede_write(c->a, c->out, 10), 10);
	for (int i = 0; i < 3; i++) {
		const ssize_t n = cede_peek(c->b, 10, &data);

		CHECK(c, n == 10 && cede__check_is_pattern(data, 10, 0),
			"peek %d at 10 bytes returned %zd, or other bytes", i, n);
	}
	CHECK_IS(c, "a skip of more than was shown", cede_read_skip(c->b, 11), CEDE_EINVAL);
	CHECK_IS(c, "a skip", cede_read_skip(c->b, 3), 0);
	return cede__check_read_to(c, &at, 10);
}

CEDE_SUSPENDS static int
check_limit_takes_nothing(struct cede__check *c)
{
	const void *data;
	uint64_t at = 0;
	char *line;

	cede__check_fill(c->out, 40, 0);
	CHECK_IS(c, "a write", cede_write(c->a, c->out, 40), 40);
	CHECK_IS(c, "a line longer than its limit", cede_read_line(c->b, 20, &line, NULL),
		CEDE_EMSGSIZE);
	CHECK_IS(c, "no delimiter within the limit",
		cede_read_until(c->b, "\xff\xfe", 2, 20, &data), CEDE_EMSGSIZE);
	return cede__check_read_to(c, &at, 40);
}

CEDE_SUSPENDS static int
check_given_up_line(struct cede__check *c)
{
	const void *data;
	size_t size = 0;
	char *line;
	int64_t r = 0;

	CHECK_IS(c, "a write", cede_write(c->a, "half a li", 9), 9);
	CEDE_TIMEOUT(100) {
		r = cede_read_line(c->b, 0, &line, NULL);
	}
	CHECK_IS(c, "a line that is given up", r, CEDE_ETIMEDOUT);
	CEDE_TIMEOUT(100) {
		r = cede_peek(c->b, 10, &data);
	}
	CHECK_IS(c, "a peek that is given up", r, CEDE_ETIMEDOUT);
	CHECK_IS(c, "a write", cede_write(c->a, "ne\nexactly", 10), 10);
	CHECK_IS(c, "the whole line", cede_read_line(c->b, 0, &line, NULL), 1);
	CHECK(c, strcmp(line, "half a line") == 0, "a line that was given up came as '%.40s'",
		line);
	CEDE_TIMEOUT(100) {
		r = cede_read_exactly(c->b, c->in, 10, &size);
	}
	CHECK_IS(c, "ten bytes that are given up", r, CEDE_ETIMEDOUT);
	CHECK(c, size == 7 && memcmp(c->in, "exactly", 7) == 0,
		"of ten bytes that were given up %zu have come, and not 7", size);
	CHECK_IS(c, "a write", cede_write(c->a, "ten", 3), 3);
	CHECK_IS(c, "the rest", cede_read_exactly(c->b, c->in, 3, NULL), 3);
	CHECK(c, memcmp(c->in, "ten", 3) == 0, "the rest came as '%.3s'", c->in);
	return 0;
}

/* ---- all kinds of reads in any order ---- */

#define MIXED 60000

static int
write_mixed(void *arg)
{
	struct cede__check *c = arg;

	for (size_t at = 0, n; at < MIXED; at += n) {
		n = cede__check_draw(c, 3000);
		n = n < MIXED - at ? n : MIXED - at;
		cede__check_fill(c->out, n, at);
		CHECK_IS(c, "a write", cede_write(c->a, c->out, n), (int64_t)n);
	}
	return 0;
}

/* One read of some kind. Its bytes, or a code. */
CEDE_SUSPENDS static ssize_t
read_somehow(struct cede__check *c, size_t left, const void **ret_data)
{
	size_t size = cede__check_draw(c, 2000);
	ssize_t n;

	size = size < left ? size : left;
	*ret_data = c->in;
	switch (cede__check_draw(c, 4)) {
	case 1:
		return cede_read(c->b, c->in, size);
	case 2:
		return cede_read_exactly(c->b, c->in, size, NULL);
	case 3:
		return cede_read_lend(c->b, ret_data);
	default:
		n = cede_peek(c->b, size, ret_data);
		if (n < (ssize_t)size)
			return n < 0 ? n : CEDE_EOF;
		memcpy(c->in, *ret_data, size);
		*ret_data = c->in;
		n = cede_read_skip(c->b, size);
		return n < 0 ? n : (ssize_t)size;
	}
}

CEDE_SUSPENDS static int
check_mixed(struct cede__check *c)
{
	CEDE_GROUP(group);
	CHECK_WELL(cede_spawn(&group, write_mixed, c));
	for (size_t at = 0; at < MIXED;) {
		const void *data;
		const ssize_t n = read_somehow(c, MIXED - at, &data);

		if (n <= 0)
			return cede__check_fail_code(c, "a read of some kind", n, 1);
		CHECK(c, cede__check_is_pattern(data, (size_t)n, at),
			"reads of several kinds: the bytes from %zu on are not those that were "
			"written",
			at);
		at += (size_t)n;
	}
	cede_read_return(c->b);
	return cede_group_wait(&group);
}

/* ---- the end in the middle ---- */

CEDE_SUSPENDS static int
check_end_in_the_middle(struct cede__check *c)
{
	const void *data;
	size_t size = 0;
	char *line;

	CHECK_IS(c, "a write", cede_write(c->a, "line\nrest", 9), 9);
	cede_close(c->a);
	c->a = NULL;
	CHECK_IS(c, "a line", cede_read_line(c->b, 0, &line, NULL), 1);
	CHECK_IS(c, "a delimiter that does not come", cede_read_until(c->b, "\r\n", 2, 0, &data),
		CEDE_EOF);
	CHECK_IS(c, "a peek at more than comes", cede_peek(c->b, 100, &data), 4);
	CHECK_IS(c, "a line without an end", cede_read_line(c->b, 0, &line, &size), 1);
	CHECK(c, size == 4 && strcmp(line, "rest") == 0, "it came as '%.40s'", line);
	CHECK_IS(c, "a line behind the last", cede_read_line(c->b, 0, &line, NULL), 0);
	CHECK_IS(c, "a peek behind the end", cede_peek(c->b, 1, &data), 0);
	CHECK_IS(c, "a byte behind the end", cede_read_exactly(c->b, c->in, 1, NULL), 0);
	return 0;
}

CEDE_SUSPENDS static int
check_exactly_too_much(struct cede__check *c)
{
	size_t size = 0;

	CHECK_IS(c, "a write", cede_write(c->a, "1234", 4), 4);
	cede_close(c->a);
	c->a = NULL;
	CHECK_IS(c, "five bytes of four", cede_read_exactly(c->b, c->in, 5, &size), CEDE_EOF);
	CHECK(c, size == 4 && memcmp(c->in, "1234", 4) == 0,
		"of five bytes of which four come, %zu have come", size);
	return 0;
}

const struct cede__check_entry cede__checks_of_ahead[] = {
	{ "a message is parsed wherever it is cut", check_every_cut, 0, 0 },
	{ "a message is parsed byte by byte", check_byte_by_byte, 0, 0 },
	{ "a peek takes nothing", check_peek_takes_nothing, 0, 0 },
	{ "a limit takes nothing", check_limit_takes_nothing, 0, 0 },
	{ "a line that is given up takes nothing", check_given_up_line, 0, 0 },
	{ "reads of all kinds in any order", check_mixed, 0, 0 },
	{ "an end in the middle", check_end_in_the_middle, 0, CEDE_TEST_HAS_NO_END },
	{ "exactly more than comes", check_exactly_too_much, 0, CEDE_TEST_HAS_NO_END },
	{ NULL, NULL, 0, 0 },
};
