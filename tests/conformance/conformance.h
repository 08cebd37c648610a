/*
 * What the tests of conformance share: they say in words what a verb did, so
 * that a test reads like the session at Python's prompt that it was taken from.
 *
 *     cede_coro_t *co = MAKE(body, NULL);
 *
 *     SAYS(do_send(co, NULL), "yields 1");
 *     SAYS(do_throw(co, VALUE_ERROR), "raises ValueError");
 *     SAYS(chain(cede_error()), "ValueError: tomato, while KeyError: a");
 *     EXPECT("inner finally", "outer finally");
 *
 * Values are NULL ("None"), small numbers, or strings.
 */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include <cede/coro.h>
#include <cede/error.h>
#include <cede/gen.h>
#include <cede/hooks.h>

#include "tests/support/order.h"

/* Codes of the program's own, for Python's exceptions. */
enum {
	VALUE_ERROR = -7001,
	KEY_ERROR = -7002,
	TYPE_ERROR = -7003,
	ZERO_DIVISION_ERROR = -7004,
	RUNTIME_ERROR = -7005,
	MARKER = -7006,
};

/* Python's `except X:` and `finally:` around what the code came from. */
#define HANDLE(code) CEDE_HANDLE(code)

#define V(n) ((void *)(intptr_t)(n))

/* ---- words: each valid for the next few calls ---- */

/* "None", "7" or the string. */
const char *value_text(const void *value);

/* "ValueError", "CEDE_EXIT". */
const char *code_text(int code);

/* "E: sentence, while F: sentence": an error and its contexts; "None" for NULL. */
const char *chain(const cede_error_t *error);

/* What a verb did: "yields 1", "returns None", "raises ValueError". */
const char *outcome(int r, const void *value);
const char *do_send(cede_coro_t *co, const void *value);
const char *do_throw(cede_coro_t *co, int code);
const char *do_throw_error(cede_coro_t *co, cede_error_t *error);
const char *do_close(cede_coro_t *co);

const char *gen_send(cede_gen_t *gen, const void *value);
const char *gen_throw(cede_gen_t *gen, int code);
const char *gen_throw_error(cede_gen_t *gen, cede_error_t *error);
const char *gen_close(cede_gen_t *gen);

/* `for x in gen`: records "Yielded x" for each; what ended it. */
const char *gen_run(cede_gen_t *gen);

/* "created", "running", "suspended", "closed". */
const char *state(const cede_coro_t *co);
const char *gen_state(const cede_gen_t *gen);

#define SAYS(words, expected) \
	do { \
		const char *said = (words); \
		cr_assert_str_eq(said, (expected), "\"%s\", not \"%s\"", said, (expected)); \
	} while (0)

/* ---- making ---- */

cede_coro_t *make_at(cede_fn *fn, const void *arg, const cede_coro_options_t *options,
	const char *site);

cede_gen_t *make_gen_at(cede_fn *fn, const void *arg, const cede_coro_options_t *options,
	const char *site);

#define MAKE(fn, arg)     make_at((fn), (arg), NULL, CEDE_SITE(#fn))
#define MAKE_GEN(fn, arg) make_gen_at((fn), (arg), NULL, CEDE_SITE(#fn))

/* `await fn(arg)` and `yield from fn(arg)`. */
int await_new(cede_fn *fn, const void *arg, void **ret_value);
int yield_from_new(cede_fn *fn, const void *arg, void **ret_value);

/* ---- events ---- */

void record(const char *format, ...) CEDE__PRINTF(1, 2);

/* Exactly these have happened since the last look. */
#define EXPECT(...)      order_expect(__VA_ARGS__)
#define EXPECT_NOTHING() order_expect_nothing()

/* Destructors that record what they get; begin() sets hooks that do. */
void record_arg(void *arg);
void record_value(void *value);

/* What a body leaves in a variable of its own until its frame goes. */
void record_frame_gone(const char *const *name);

#define FRAME(name) const char *frame CEDE__CLEANUP(record_frame_gone) CEDE__MAYBE_UNUSED = (name)

/* ---- the leak gate: first and last in every body ---- */

void begin(void);
void end(void);

#endif
