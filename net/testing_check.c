/*
 * The conformance suite of streams: the same checks, whatever carries the bytes. Each
 * is run by itself under the kit's clock, in the usual order and with several seeds, in
 * both directions where there are two.
 *
 * The checks: testing_check_bytes.c, _ahead.c, _ends.c. Here is what runs them, and the
 * tasks that they have in common.
 */
#include "net/testing_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "coro/alloc.h"
#include "coro/check.h"

#define SEEDS 4

/* A stream that takes more than this for nobody does not hold the writer back. */
#define CLOG_MAX ((uint64_t)256 << 20)

/* ---- saying what is wrong ---- */

int
cede__check_fail(struct cede__check *c, const char *format, ...)
{
	va_list args;

	if (c->code < 0)
		return c->code;
	c->code = CEDE_EPROTO;
	va_start(args, format);
	vsnprintf(c->text, sizeof c->text, format, args);
	va_end(args);
	return c->code;
}

static const char *
text_of(int64_t result, char text[96])
{
	if (result >= 0)
		snprintf(text, 96, "%lld", (long long)result);
	else
		snprintf(text, 96, "%lld (%s)", (long long)result, cede_strerror((int)result));
	return text;
}

int
cede__check_fail_code(struct cede__check *c, const char *what, int64_t result, int64_t expected)
{
	char is[96], should_be[96];

	if (cede_is_cancel((int)result))
		return (int)result; /* the kit's, which says why */
	return cede__check_fail(c, "%s returned %s and not %s", what, text_of(result, is),
		text_of(expected, should_be));
}

/* ---- what checks have in common ---- */

int
cede__check_settle(struct cede__check *c)
{
	return cede_test_wait_all_blocked(c->cushion_ms);
}

/* SplitMix64. */
size_t
cede__check_draw(struct cede__check *c, size_t max)
{
	uint64_t z = c->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return 1 + (size_t)((z ^ z >> 31) % max);
}

static char
pattern(uint64_t at)
{
	return (char)(at * 7 + at / 251);
}

void
cede__check_fill(char *buffer, size_t size, uint64_t from)
{
	for (size_t i = 0; i < size; i++)
		buffer[i] = pattern(from + i);
}

int
cede__check_is_pattern(const char *buffer, size_t size, uint64_t from)
{
	for (size_t i = 0; i < size; i++)
		if (buffer[i] != pattern(from + i))
			return 0;
	return 1;
}

int
cede__check_read_to(struct cede__check *c, uint64_t *at, uint64_t to)
{
	while (*at < to) {
		const uint64_t left = to - *at;
		const ssize_t n =
			cede_read(c->b, c->in, left < sizeof c->in ? (size_t)left : sizeof c->in);

		if (n <= 0)
			return cede__check_fail_code(c, "a read of what was written", n, 1);
		CHECK(c, cede__check_is_pattern(c->in, (size_t)n, *at),
			"the bytes from %llu on are not those that were written",
			(unsigned long long)*at);
		*at += (uint64_t)n;
	}
	return 0;
}

int
cede__check_read_once(void *arg)
{
	struct cede__check_op *op = arg;

	op->result = cede_read(op->stream, op->buffer, op->size);
	op->is_done = 1;
	return 0;
}

int
cede__check_write_once(void *arg)
{
	struct cede__check_op *op = arg;
	cede_write_t write;
	int r;

	cede__check_fill(op->buffer, op->size, op->from);
	r = cede_write_start(op->stream, op->buffer, op->size, &write);
	if (r == 0) {
		r = cede_await(&write.future);
		op->written = write.written;
	}
	op->result = r;
	op->is_done = 1;
	return 0;
}

int
cede__check_clog(void *arg)
{
	struct cede__check_clog *clog = arg;
	struct cede__check *c = clog->check;

	do {
		cede_write_t write;

		clog->at = clog->to;
		clog->to += sizeof c->out;
		CHECK(c, clog->at < CLOG_MAX, "%llu bytes were taken that nobody reads",
			(unsigned long long)clog->at);
		cede__check_fill(c->out, sizeof c->out, clog->at);
		clog->result = cede_write_start(clog->stream, c->out, sizeof c->out, &write);
		if (clog->result == 0) {
			clog->result = cede_await(&write.future);
			clog->written += write.written;
		}
	} while (clog->result == 0 && !clog->stops);
	clog->is_done = 1;
	return 0;
}

int
cede__check_fill_up(struct cede__check *c, cede_group_t *group, struct cede__check_clog *clog)
{
	int r;

	clog->check = c;
	clog->stream = c->a;
	r = cede_spawn(group, cede__check_clog, clog);
	if (r == 0)
		r = cede__check_settle(c);
	if (r < 0)
		return c->code < 0 ? c->code : r;
	if (clog->is_done)
		return cede__check_fail_code(c, "a write to a peer that does not read",
			clog->result, 0);
	return 0;
}

/* ---- running ---- */

static int
run_one(void *arg)
{
	struct cede__check *c = arg;
	int r = c->make(c->is_swapped ? &c->b : &c->a, c->is_swapped ? &c->a : &c->b, c->arg);

	if (r < 0)
		return r;
	r = c->entry->fn(c);
	cede_close(c->a);
	cede_close(c->b);
	return c->code < 0 ? c->code : r;
}

/* The sentence of the check, or the kit's, with where it was. */
static void
describe(const struct cede__check *c, const cede_test_options_t *o, cede_test_report_t *report)
{
	char what[320], seed[32] = "";

	if (c->code < 0) /* the kit says it itself */
		snprintf(seed, sizeof seed, "seed %llu: ", (unsigned long long)o->seed);
	snprintf(what, sizeof what, "%.319s", c->code < 0 ? c->text : report->text);
	snprintf(report->text, sizeof report->text, "check '%s'%s, %s%s", c->entry->name,
		c->is_swapped ? ", from the second stream to the first" : "", seed, what);
	if (!o->is_quiet)
		fprintf(stderr, "cede_test_check_stream: %s\n", report->text);
}

static int
run_seeds(struct cede__check *c, const cede_test_options_t *options, cede_test_report_t *report,
	unsigned *runs)
{
	const uint64_t first = options ? options->seed : 0;

	for (uint64_t seed = first; seed <= first + SEEDS; seed++) {
		static const cede_test_options_t defaults;
		cede_test_options_t o = options ? *options : defaults;
		int r;

		o.seed = seed;
		o.before = NULL;
		o.after = NULL;
		c->random = seed;
		c->code = 0;
		c->a = c->b = NULL;
		{
			cede_test_options_t quiet = o;

			quiet.is_quiet = 1;
			quiet.cushion_ms *= 10; /* time passes seldom, and must not too early */
			r = cede_test_run(run_one, c, &quiet, report);
		}
		report->runs = ++*runs;
		if (r < 0) {
			describe(c, &o, report);
			return report->code = r;
		}
	}
	return 0;
}

static int
is_wanted(const struct cede__check *c)
{
	return (c->has & c->entry->needs) == c->entry->needs && !(c->has & c->entry->avoids);
}

static int
run_part(struct cede__check *c, const struct cede__check_entry *entries,
	const cede_test_options_t *options, cede_test_report_t *report, unsigned *runs)
{
	const int ways = c->has & CEDE_TEST_HAS_BOTH_WAYS ? 2 : 1;
	int r = 0;

	for (c->entry = entries; c->entry->name; c->entry++)
		for (c->is_swapped = 0; is_wanted(c) && c->is_swapped < ways; c->is_swapped++) {
			r = run_seeds(c, options, report, runs);
			if (r < 0)
				return r;
		}
	return 0;
}

int
cede_test_check_stream(cede_test_make_fn *make, void *arg, const cede_test_options_t *options,
	unsigned has, cede_test_report_t *ret_report)
{
	const struct cede__check_entry *const parts[] = { cede__checks_of_bytes,
		cede__checks_of_ahead, cede__checks_of_ends };
	cede_test_report_t own, *report = ret_report ? ret_report : &own;
	struct cede__check *c;
	unsigned runs = 0;
	int r = 0;

	if (!make || has >= CEDE_TEST_HAS_CUTS * 2)
		return CEDE_EINVAL;
	c = cede__alloc_zero(sizeof *c);
	if (!c)
		return CEDE_ENOMEM;
	c->make = make;
	c->arg = arg;
	c->has = has;
	c->cushion_ms = options ? options->cushion_ms : 0;
	for (size_t i = 0; i < sizeof parts / sizeof *parts && r == 0; i++)
		r = run_part(c, parts[i], options, report, &runs);
	cede__free(c);
	return r < 0 ? r : (int)runs;
}
