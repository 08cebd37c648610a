/*
 * Errors of the differential test: Python's kinds as codes, and what is printed
 * of them.
 */
#include "run_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CHAIN_MAX 12 /* errors of a chain that are printed */

static cede_error_t *kept[SLOTS_MAX];
static cede_error_t *causes[4 * STEPS_MAX];
static int error_count, cause_count;

void
say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
}

int
code_of(char kind)
{
	switch (kind) {
	case 'A':
		return CEDE_EPIPE;
	case 'B':
		return CEDE_ECONNRESET;
	case 'G':
		return CEDE_EXIT;
	case 'I':
		return CEDE_STOP;
	case 'J':
		return CEDE_STOP_ASYNC;
	default:
		return CEDE_ECANCELED; /* K */
	}
}

static const char *
kind_of(int code)
{
	switch (code) {
	case CEDE_EPIPE:
		return "A";
	case CEDE_ECONNRESET:
		return "B";
	case CEDE_EXIT:
		return "G";
	case CEDE_STOP:
		return "I";
	case CEDE_STOP_ASYNC:
		return "J";
	case CEDE_ECANCELED:
		return "K";
	case CEDE_EINVAL:
		return "Invalid";
	case CEDE_EREUSED:
	case CEDE_EIGNORED:
	case CEDE_EAWAITED:
	case CEDE_ESTOPITER:
		return "RuntimeError";
	case CEDE_ERUNNING:
		return "ValueError";
	case CEDE_ENOTSTARTED:
		return "TypeError";
	default:
		return cede_err_name(code);
	}
}

/* Does `except` of that kind catch the code? */
int
catches(char kind, int code)
{
	const char *is = kind_of(code);

	switch (kind) {
	case '*': /* BaseException */
		return 1;
	case 'E': /* Exception */
		return *is != 'G' && *is != 'K';
	case 'R':
		return *is == 'R';
	case 'V': /* ValueError, TypeError */
		return *is == 'V' || *is == 'T';
	default:
		return is[0] == kind && !is[1];
	}
}

static int
is_of_engine(int code)
{
	return code <= CEDE_EREUSED && code >= CEDE_ESTOPITER;
}

/* Python's str() of it: empty for what was raised without a text. */
static const char *
message_of(const cede_error_t *error)
{
	const char *message = cede_error_message(error);
	int code = cede_error_code(error);

	if (is_of_engine(code) || code == CEDE_EINVAL)
		return message;
	return strcmp(message, cede_strerror(code)) == 0 ? "" : message;
}

/* An error, its causes in braces, its contexts after it. */
static void
say_chain(const cede_error_t *error, int *left)
{
	for (;;) {
		const cede_error_t *cause = cede_error_cause(error);

		if ((*left)-- <= 0) {
			say("...");
			return;
		}
		say("%s(%s)", kind_of(cede_error_code(error)), message_of(error));
		if (cause && cause == cede_error_context(error)) {
			say("=");
		} else if (cause) {
			say("{");
			say_chain(cause, left);
			say("}");
		}
		error = cede_error_context(error);
		if (!error)
			return;
		say("<");
	}
}

void
say_error(const cede_error_t *error)
{
	int left = CHAIN_MAX;

	say_chain(error, &left);
	say("\n");
}

/* A code was received: the error behind it is made now, if there is none. */
int
seen(int code)
{
	cede_handler_t handler;

	if (code < 0) {
		cede_handler_enter(&handler, code);
		cede_handler_leave(&handler);
	}
	return code;
}

cede_error_t *
new_error(char kind)
{
	char text[16];

	snprintf(text, sizeof text, "%d", ++error_count);
	return cede_error_create(code_of(kind), text, NULL, NULL);
}

int
raise_new(char kind)
{
	return cede_raise(code_of(kind), "%d", ++error_count);
}

/* A cause and its contexts are not raised once more: cede makes no cycles through causes. */
static int
is_cause(const cede_error_t *error)
{
	for (int i = 0; i < cause_count; i++)
		if (causes[i] == error)
			return 1;
	return 0;
}

int
raise_from(char kind, cede_error_t *cause)
{
	for (const cede_error_t *e = cause; e; e = cede_error_context(e))
		if (!is_cause(e) && cause_count < 4 * STEPS_MAX)
			causes[cause_count++] = cede_error_ref(e);
	return cede_raise_from(cause, code_of(kind), "%d", ++error_count);
}

int
raise_from_kept(char kind, char where)
{
	return raise_from(kind, kept[(int)where]);
}

void
keep(char where, cede_error_t *error)
{
	if (!error || cede_error_cause(error) || is_cause(error) ||
		cede_error_code(error) == CEDE_STOP)
		return;
	cede_error_ref(error);
	cede_error_unref(kept[(int)where]);
	kept[(int)where] = error;
}

/* The kept error, or a new one where there is none that may be raised. Owned. */
cede_error_t *
kept_or_new(char where)
{
	cede_error_t *error = kept[(int)where];

	return error && !is_cause(error) ? cede_error_ref(error) : new_error('A');
}

int
raise_kept(char where)
{
	cede_error_t *error = kept_or_new(where);
	int r = cede_raise_error(error);

	cede_error_unref(error);
	return r;
}

void
forget_errors(void)
{
	for (int i = 0; i < SLOTS_MAX; i++)
		kept[i] = cede_error_unref(kept[i]);
	while (cause_count > 0)
		cede_error_unref(causes[--cause_count]);
	error_count = 0;
}
