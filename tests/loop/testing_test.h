/* What the tests of <cede/testing.h> share. On the real clock: the kit's own is what is tested. */
#ifndef CEDE_TESTS_TESTING_TEST_H
#define CEDE_TESTS_TESTING_TEST_H

#include <cede/cede.h>
#include <cede/testing.h>
#include <cede/uv.h>

#include <string.h>

#include <criterion/criterion.h>

#include "loop/loop_int.h"
#include "tests/support/leaks.h"

static const cede_test_options_t quiet = { .is_quiet = 1 };

/* Runs a scenario, which must end well; returns what it reports. */
static inline cede_test_report_t
run_well(cede_fn *fn, void *arg, const cede_test_options_t *options)
{
	cede_test_report_t report;
	int r;

	leaks_begin();
	r = cede_test_run(fn, arg, options, &report);
	leaks_end();
	cr_assert_eq(r, 0, "%s: %s", cede_strerror(r), report.text);
	cr_assert_eq(report.code, 0);
	cr_assert_str_eq(report.text, "");
	return report;
}

/* Runs a scenario in which the kit is to find @code, said with @text. */
static inline void
expect_found(cede_fn *fn, void *arg, const cede_test_options_t *options, int code, const char *text)
{
	cede_test_report_t report;
	int r;

	leaks_begin();
	r = cede_test_run(fn, arg, options ? options : &quiet, &report);
	cr_assert_eq(r, code, "%s, and not %s: %s", cede_strerror(r), cede_strerror(code),
		report.text);
	cr_assert_eq(report.code, code);
	cr_assert_not_null(strstr(report.text, text), "it says '%s'", report.text);
}

#endif
