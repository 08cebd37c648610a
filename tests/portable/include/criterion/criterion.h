/*
 * Stands in for the part of Criterion 2.4 that the tests of this project use,
 * where Criterion itself does not exist or does not work: on other processors,
 * with musl, under ThreadSanitizer and valgrind. What is behind it is runner.c.
 *
 *     meson setup build -Dtest_runner=portable
 *
 * It differs in what it adds: what a sanitizer finds when a test's process ends
 * fails that test.
 */
#ifndef CRITERION_CRITERION_H
#define CRITERION_CRITERION_H

/* As Criterion's own, which is a system's header: what is compared is the test's affair. */
#pragma GCC system_header

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CR_STANDIN 1

#ifdef __cplusplus
extern "C" {
#endif

struct cr_standin_options {
	int signal; /* the test must be killed by it */
	int exit_code;
	double timeout; /* seconds; 0: none */
	void (*init)(void);
	void (*fini)(void);
	bool disabled;
	const char *description;
	void *data;
	int sentinel; /* so that a list of options is never empty */
};

struct cr_standin_test {
	const char *suite;
	const char *name; /* NULL: these are the options of the whole suite */
	void (*run)(void);
	const struct cr_standin_options *options;
	struct cr_standin_test *next;
};

void cr_standin_add(struct cr_standin_test *test);

/* An assertion does not hold. */
void cr_standin_failed(bool is_fatal, const char *file, int line, const char *condition,
	const char *format, ...) __attribute__((format(printf, 5, 6)));

void cr_standin_skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#ifdef __cplusplus
}
#endif

/* Is one string before, equal to or after the other? */
static inline int
cr_standin_compare(const char *a, const char *b)
{
	if (!a || !b)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

/* ---- tests ------------------------------------------------------------------- */

#define CR_STANDIN_ADD(Id, Suite, Name, Run, ...) \
	static const struct cr_standin_options Id##_options = { __VA_ARGS__ }; \
	static struct cr_standin_test Id##_test = { Suite, Name, Run, &Id##_options, NULL }; \
	__attribute__((constructor)) static void Id##_add(void) \
	{ \
		cr_standin_add(&Id##_test); \
	}

#define CR_STANDIN_TEST(Suite, Name, ...) \
	static void Suite##_##Name##_body(void); \
	CR_STANDIN_ADD(Suite##_##Name, #Suite, #Name, Suite##_##Name##_body, __VA_ARGS__) \
	static void Suite##_##Name##_body(void)

#define CR_STANDIN_SUITE(Suite, ...) \
	CR_STANDIN_ADD(Suite##_suite, #Suite, NULL, NULL, __VA_ARGS__) \
	struct Suite##_suite_ends

#define Test(...)      CR_STANDIN_TEST(__VA_ARGS__, .sentinel = 0)
#define TestSuite(...) CR_STANDIN_SUITE(__VA_ARGS__, .sentinel = 0)

/* ---- assertions -------------------------------------------------------------- */

#define CR_STANDIN_CHECK(Fatal, Holds, Text, ...) \
	((Holds) ? (void)0 : cr_standin_failed(Fatal, __FILE__, __LINE__, Text, "" __VA_ARGS__))

#define CR_STANDIN_OP(Fatal, A, Op, B, ...) \
	CR_STANDIN_CHECK(Fatal, (A)Op(B), #A " " #Op " " #B, ##__VA_ARGS__)

#define CR_STANDIN_STR(Fatal, A, Op, B, ...) \
	CR_STANDIN_CHECK(Fatal, cr_standin_compare((A), (B)) Op 0, #A " " #Op " " #B, ##__VA_ARGS__)

#define CR_STANDIN_ARR(Fatal, A, Op, B, Size, ...) \
	CR_STANDIN_CHECK(Fatal, memcmp((A), (B), (Size)) Op 0, #A " " #Op " " #B, ##__VA_ARGS__)

#define CR_STANDIN_FLT(Fatal, A, B, Epsilon, ...) \
	CR_STANDIN_CHECK(Fatal, (A) - (B) <= (Epsilon) && (B) - (A) <= (Epsilon), \
		#A " is about " #B, ##__VA_ARGS__)

#define cr_assert(Cond, ...)     CR_STANDIN_CHECK(true, (Cond), #Cond, ##__VA_ARGS__)
#define cr_assert_not(Cond, ...) CR_STANDIN_CHECK(true, !(Cond), "not " #Cond, ##__VA_ARGS__)
#define cr_assert_null(P, ...)   CR_STANDIN_CHECK(true, (P) == NULL, #P " is NULL", ##__VA_ARGS__)
#define cr_assert_not_null(P, ...) \
	CR_STANDIN_CHECK(true, (P) != NULL, #P " is not NULL", ##__VA_ARGS__)
#define cr_assert_fail(...) cr_standin_failed(true, __FILE__, __LINE__, "", "" __VA_ARGS__)
#define cr_fatal(...)       cr_assert_fail(__VA_ARGS__)

#define cr_assert_eq(A, B, ...)  CR_STANDIN_OP(true, A, ==, B, ##__VA_ARGS__)
#define cr_assert_neq(A, B, ...) CR_STANDIN_OP(true, A, !=, B, ##__VA_ARGS__)
#define cr_assert_lt(A, B, ...)  CR_STANDIN_OP(true, A, <, B, ##__VA_ARGS__)
#define cr_assert_leq(A, B, ...) CR_STANDIN_OP(true, A, <=, B, ##__VA_ARGS__)
#define cr_assert_gt(A, B, ...)  CR_STANDIN_OP(true, A, >, B, ##__VA_ARGS__)
#define cr_assert_geq(A, B, ...) CR_STANDIN_OP(true, A, >=, B, ##__VA_ARGS__)

#define cr_assert_str_eq(A, B, ...)        CR_STANDIN_STR(true, A, ==, B, ##__VA_ARGS__)
#define cr_assert_str_neq(A, B, ...)       CR_STANDIN_STR(true, A, !=, B, ##__VA_ARGS__)
#define cr_assert_arr_eq(A, B, Size, ...)  CR_STANDIN_ARR(true, A, ==, B, Size, ##__VA_ARGS__)
#define cr_assert_arr_neq(A, B, Size, ...) CR_STANDIN_ARR(true, A, !=, B, Size, ##__VA_ARGS__)
#define cr_assert_float_eq(A, B, Eps, ...) CR_STANDIN_FLT(true, A, B, Eps, ##__VA_ARGS__)

#define cr_expect(Cond, ...)     CR_STANDIN_CHECK(false, (Cond), #Cond, ##__VA_ARGS__)
#define cr_expect_not(Cond, ...) CR_STANDIN_CHECK(false, !(Cond), "not " #Cond, ##__VA_ARGS__)
#define cr_expect_null(P, ...)   CR_STANDIN_CHECK(false, (P) == NULL, #P " is NULL", ##__VA_ARGS__)
#define cr_expect_not_null(P, ...) \
	CR_STANDIN_CHECK(false, (P) != NULL, #P " is not NULL", ##__VA_ARGS__)
#define cr_expect_fail(...) cr_standin_failed(false, __FILE__, __LINE__, "", "" __VA_ARGS__)

#define cr_expect_eq(A, B, ...)  CR_STANDIN_OP(false, A, ==, B, ##__VA_ARGS__)
#define cr_expect_neq(A, B, ...) CR_STANDIN_OP(false, A, !=, B, ##__VA_ARGS__)
#define cr_expect_lt(A, B, ...)  CR_STANDIN_OP(false, A, <, B, ##__VA_ARGS__)
#define cr_expect_leq(A, B, ...) CR_STANDIN_OP(false, A, <=, B, ##__VA_ARGS__)
#define cr_expect_gt(A, B, ...)  CR_STANDIN_OP(false, A, >, B, ##__VA_ARGS__)
#define cr_expect_geq(A, B, ...) CR_STANDIN_OP(false, A, >=, B, ##__VA_ARGS__)

#define cr_expect_str_eq(A, B, ...)        CR_STANDIN_STR(false, A, ==, B, ##__VA_ARGS__)
#define cr_expect_str_neq(A, B, ...)       CR_STANDIN_STR(false, A, !=, B, ##__VA_ARGS__)
#define cr_expect_arr_eq(A, B, Size, ...)  CR_STANDIN_ARR(false, A, ==, B, Size, ##__VA_ARGS__)
#define cr_expect_arr_neq(A, B, Size, ...) CR_STANDIN_ARR(false, A, !=, B, Size, ##__VA_ARGS__)
#define cr_expect_float_eq(A, B, Eps, ...) CR_STANDIN_FLT(false, A, B, Eps, ##__VA_ARGS__)

/* Leaves the test, which counts as skipped. On the stack that the test began on. */
#define cr_skip(...)      cr_standin_skip("" __VA_ARGS__)
#define cr_skip_test(...) cr_standin_skip("" __VA_ARGS__)

#define cr_log_info(...)  ((void)printf("# " __VA_ARGS__), (void)putchar('\n'))
#define cr_log_warn(...)  cr_log_info(__VA_ARGS__)
#define cr_log_error(...) cr_log_info(__VA_ARGS__)

#endif
