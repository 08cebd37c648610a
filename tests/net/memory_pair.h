/*
 * A pair of streams in memory, for their tests: each body runs under the kit's clock,
 * first in first out and with several seeds, and nothing may be left of it.
 */
#ifndef CEDE_TESTS_NET_MEMORY_PAIR_H
#define CEDE_TESTS_NET_MEMORY_PAIR_H

#include <cede/cede.h>
#include <cede/testing.h>

#include <criterion/criterion.h>

#include "tests/support/leaks.h"

#define SEEDS 20

/* What a body closes itself it sets to NULL. */
struct ends {
	cede_stream_t *a, *b;
};

struct memory_body {
	void (*fn)(struct ends *);
	size_t capacity;
};

static inline int
run_body(void *arg)
{
	const struct memory_body *body = arg;
	struct ends e;

	cr_assert_eq(cede_stream_pair(&e.a, &e.b, body->capacity), 0);
	body->fn(&e);
	cede_close(e.a);
	cede_close(e.b);
	return 0;
}

static inline void
run_seeds(struct memory_body body)
{
	cede_test_report_t report;
	int r;

	leaks_begin();
	r = cede_test_sweep_seeds(run_body, &body, NULL, 0, SEEDS, &report);
	cr_assert_eq(r, SEEDS, "%s", report.text);
	leaks_end();
}

#define MEMORY_TEST(suite, name, capacity) \
	static void memory_##name(struct ends *e); \
	Test(suite, name) \
	{ \
		run_seeds((struct memory_body){ memory_##name, capacity }); \
	} \
	static void memory_##name(struct ends *e)

/* A read or a write of another task. */
struct doing {
	cede_stream_t *stream;
	char *data;
	size_t size;
	ssize_t result;
	size_t written;
	int is_done;
};

static inline int
do_read(void *arg)
{
	struct doing *d = arg;

	d->result = cede_read(d->stream, d->data, d->size);
	d->is_done = 1;
	return 0;
}

static inline int
do_write(void *arg)
{
	struct doing *d = arg;
	cede_write_t op;
	int r = cede_write_start(d->stream, d->data, d->size, &op);

	d->result = r < 0 ? r : cede_await(&op.future);
	d->written = op.written;
	d->is_done = 1;
	return 0;
}

/* Until every other task has got as far as it can. */
static inline void
settle(void)
{
	cr_assert_eq(cede_test_wait_all_blocked(0), 0);
}

static char much[200000], got[200000];

#endif
