/* What the tests of conformance share; described in the header. */
#include "tests/conformance/conformance.h"

#include <stdarg.h>
#include <stdio.h>

#include "coro/alloc.h"
#include "coro/thread.h"

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* ---- words ---- */

/* One of a few buffers in turn: for as many calls as one assertion makes. */
static char *
words_buffer(void)
{
	static char buffers[8][512];
	static unsigned next;

	return buffers[next++ % 8];
}

const char *
value_text(const void *value)
{
	char *text = words_buffer();

	if (!value)
		return "None";
	if ((uintptr_t)value >= 4096)
		return value;
	snprintf(text, 512, "%d", (int)(intptr_t)value);
	return text;
}

const char *
code_text(int code)
{
	switch (code) {
	case VALUE_ERROR:
		return "ValueError";
	case KEY_ERROR:
		return "KeyError";
	case TYPE_ERROR:
		return "TypeError";
	case ZERO_DIVISION_ERROR:
		return "ZeroDivisionError";
	case RUNTIME_ERROR:
		return "RuntimeError";
	case MARKER:
		return "Marker";
	default:
		return cede_err_name(code);
	}
}

const char *
chain(const cede_error_t *error)
{
	char *text = words_buffer();
	size_t used = 0;

	if (!error)
		return "None";
	text[0] = '\0';
	for (int n = 0; error && used < 400; n++) {
		const char *sentence = cede_error_message(error);

		if (!strncmp(sentence, "unknown error", 13))
			sentence = ""; /* one of ours that came without */
		used += (size_t)snprintf(text + used, 512 - used, "%s%s%s%s", n ? ", while " : "",
			code_text(cede_error_code(error)), *sentence ? ": " : "", sentence);
		cr_assert_lt(n, 20, "a cycle of contexts");
		error = cede_error_context(error);
	}
	return text;
}

const char *
outcome(int r, const void *value)
{
	char *text = words_buffer();

	if (r < 0)
		snprintf(text, 512, "raises %s", code_text(r));
	else
		snprintf(text, 512, "%s %s", r ? "yields" : "returns", value_text(value));
	return text;
}

const char *
do_send(cede_coro_t *co, const void *value)
{
	void *out = V(404);
	int r = cede_coro_send(co, (void *)value, &out);

	return outcome(r, out);
}

const char *
do_throw(cede_coro_t *co, int code)
{
	void *out = V(404);
	int r = cede_coro_throw(co, code, &out);

	return outcome(r, out);
}

const char *
do_throw_error(cede_coro_t *co, cede_error_t *error)
{
	void *out = V(404);
	int r = cede_coro_throw_error(co, error, &out);

	return outcome(r, out);
}

const char *
do_close(cede_coro_t *co)
{
	void *out = V(404);
	int r = cede_coro_close(co, &out);

	return outcome(r, out);
}

const char *
gen_send(cede_gen_t *gen, const void *value)
{
	void *out = V(404);
	int r = cede_gen_send(gen, (void *)value, &out);

	return outcome(r, out);
}

const char *
gen_throw(cede_gen_t *gen, int code)
{
	void *out = V(404);
	int r = cede_gen_throw(gen, code, &out);

	return outcome(r, out);
}

const char *
gen_throw_error(cede_gen_t *gen, cede_error_t *error)
{
	void *out = V(404);
	int r = cede_gen_throw_error(gen, error, &out);

	return outcome(r, out);
}

const char *
gen_close(cede_gen_t *gen)
{
	void *out = V(404);
	int r = cede_gen_close(gen, &out);

	return outcome(r, out);
}

const char *
gen_run(cede_gen_t *gen)
{
	void *value = NULL;
	int r;

	while ((r = cede_gen_next(gen, &value)) > 0)
		record("Yielded %s", value_text(value));
	return outcome(r, value);
}

static const char *
state_text(enum cede_coro_state s)
{
	static const char *const names[] = { "created", "running", "suspended", "closed" };

	return names[s];
}

const char *
state(const cede_coro_t *co)
{
	return state_text(cede_coro_state(co));
}

const char *
gen_state(const cede_gen_t *gen)
{
	return state_text(cede_gen_state(gen));
}

/* ---- making ---- */

cede_coro_t *
make_at(cede_fn *fn, const void *arg, const cede_coro_options_t *options, const char *site)
{
	cede_coro_t *co = NULL;

	cr_assert_eq(cede_coro_create_at(&co, fn, (void *)arg, options, site), 0);
	cr_assert_not_null(co);
	return co;
}

cede_gen_t *
make_gen_at(cede_fn *fn, const void *arg, const cede_coro_options_t *options, const char *site)
{
	cede_gen_t *gen = NULL;

	cr_assert_eq(cede_gen_create_at(&gen, fn, (void *)arg, options, site), 0);
	cr_assert_not_null(gen);
	return gen;
}

int
await_new(cede_fn *fn, const void *arg, void **ret_value)
{
	cede_coro_t *co = make_at(fn, arg, NULL, NULL);
	int r = cede_await_coro(co, ret_value);

	cede_coro_unref(co);
	return r;
}

int
yield_from_new(cede_fn *fn, const void *arg, void **ret_value)
{
	cede_gen_t *gen = make_gen_at(fn, arg, NULL, NULL);
	int r = cede_yield_from(gen, ret_value);

	cede_gen_unref(gen);
	return r;
}

/* ---- events ---- */

void
record(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	order_record(text);
}

/* Destructors and hooks that record what they get. */
void
record_arg(void *arg)
{
	record("argument %s released", value_text(arg));
}

void
record_value(void *value)
{
	record("value %s released", value_text(value));
}

static int
record_warning(const cede_coro_t *co, const char *text, void *data)
{
	record("warning: %.*s", (int)strcspn(text, "\n"), text);
	return 0;
}

static void
record_unraisable(const cede_coro_t *co, int code, const char *what, void *data)
{
	record("unraisable %s in %s", code_text(code), cede_coro_name(co));
}

/* What a body leaves in a variable of its own until its frame goes. */
void
record_frame_gone(const char *const *name)
{
	record("%s", *name);
}

/* ---- the leak gate: first and last in every body ---- */

void
begin(void)
{
	cr_assert_eq(cede__alloc_outstanding(), 0);
	cr_assert_eq(cede_set_warn_hook(record_warning, NULL), 0);
	cr_assert_eq(cede_set_unraisable_hook(record_unraisable, NULL), 0);
}

void
end(void)
{
	order_expect_nothing();
	cede__thread_cleanup();
	cr_assert_eq(cede__alloc_outstanding(), 0, "%zu blocks are still out",
		cede__alloc_outstanding());
	if (__lsan_do_recoverable_leak_check)
		cr_assert_eq(__lsan_do_recoverable_leak_check(), 0, "LeakSanitizer found leaks");
}
