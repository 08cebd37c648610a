/*
 * A test whose body is the main task of a loop of its own, on a clock that the
 * test moves, between the two halves of the leak gate:
 *
 *     TASK_TEST(sleep, takes_its_time)
 *     {
 *             cr_assert_eq(cede_sleep(10), 0);
 *             return 0;
 *     }
 *
 * Included by exactly one file of a program, as clock.h is.
 */
#ifndef TESTS_SUPPORT_RUN_H
#define TESTS_SUPPORT_RUN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cede/cede.h>

#include <criterion/criterion.h>

#include "tests/support/clock.h"
#include "tests/support/leaks.h"

/** Runs a body and passes the gate. */
static inline int
run_gated(cede_fn *fn, void *arg)
{
	int r;

	leaks_begin();
	clock_start();
	r = cede_run(fn, arg);
	clock_stop();
	leaks_end();
	return r;
}

#define TASK_TEST(suite, name) \
	static int suite##__##name(void *arg); \
	Test(suite, name) \
	{ \
		const int r = run_gated(suite##__##name, NULL); \
\
		cr_assert_eq(r, 0, "the main task ended with %s", cede_strerror(r)); \
	} \
	static int suite##__##name(void *arg)

/* What the library says on stderr, kept in a file. */
static FILE *heard_file;
static int heard_real_fd;

static inline void
hear_start(void)
{
	heard_file = tmpfile();
	cr_assert_not_null(heard_file);
	fflush(stderr);
	heard_real_fd = dup(STDERR_FILENO);
	dup2(fileno(heard_file), STDERR_FILENO);
}

/** Ends it. How many lines contain @text, among those that were said since. */
static inline int
hear_end(const char *text)
{
	char line[1024];
	int n = 0;

	fflush(stderr);
	dup2(heard_real_fd, STDERR_FILENO);
	close(heard_real_fd);
	rewind(heard_file);
	while (fgets(line, sizeof line, heard_file))
		n += strstr(line, text) != NULL;
	fclose(heard_file);
	return n;
}

#endif
