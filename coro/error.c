/*
 * Codes, their names and texts; and the record behind a raised code.
 *
 * A record is owned by exactly one place: the slot of the coroutine (outside
 * all: of the thread) that raised or received it last, or the thread while it
 * crosses a switch. It moves with the code, and goes when the next one comes.
 */
#include <cede/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "coro/alloc.h"
#include "coro/coro_int.h"

#define MESSAGE_SIZE 256

struct cede_error {
	int code;
	const char *place; /* a literal of the raiser */
	char message[MESSAGE_SIZE];
};

static const struct text {
	int code;
	const char *name;
	const char *text;
} texts[] = {
	{ CEDE_EXIT, "CEDE_EXIT", "GeneratorExit" },
	{ CEDE_EREUSED, "CEDE_EREUSED", "cannot reuse already awaited coroutine" },
	{ CEDE_ERUNNING, "CEDE_ERUNNING", "coroutine already executing" },
	{ CEDE_ENOTSTARTED, "CEDE_ENOTSTARTED",
		"can't send non-None value to a just-started coroutine" },
	{ CEDE_EIGNORED, "CEDE_EIGNORED", "coroutine ignored GeneratorExit" },
	{ CEDE_EAWAITED, "CEDE_EAWAITED", "coroutine is being awaited already" },
	{ CEDE_ESTOPITER, "CEDE_ESTOPITER", "coroutine raised StopIteration" },
	{ CEDE_EWRONGTHREAD, "CEDE_EWRONGTHREAD", "coroutine belongs to another thread" },
	{ CEDE_ENOTASK, "CEDE_ENOTASK", "not inside a coroutine that a task runs" },
	{ CEDE_EBADYIELD, "CEDE_EBADYIELD", "Task got bad yield" },
	{ CEDE_EPENDING, "CEDE_EPENDING", "Result is not set." },
	{ CEDE_EOF, "EOF", "end of file" },
	{ CEDE_ECANCELED, "ECANCELED", "operation canceled" },
	{ CEDE_ETIMEDOUT, "ETIMEDOUT", "timed out" },
	{ CEDE_ENOMEM, "ENOMEM", "not enough memory" },
	{ CEDE_EINVAL, "EINVAL", "invalid argument" },
	{ CEDE_EAGAIN, "EAGAIN", "resource temporarily unavailable" },
	{ CEDE_EBUSY, "EBUSY", "resource busy: another task is doing this" },
	{ CEDE_EBADF, "EBADF", "bad file descriptor" },
	{ CEDE_EPIPE, "EPIPE", "broken pipe" },
	{ CEDE_ECONNRESET, "ECONNRESET", "connection reset by peer" },
	{ CEDE_ECONNREFUSED, "ECONNREFUSED", "connection refused" },
	{ CEDE_ECONNABORTED, "ECONNABORTED", "connection aborted" },
	{ CEDE_EADDRINUSE, "EADDRINUSE", "address already in use" },
	{ CEDE_EADDRNOTAVAIL, "EADDRNOTAVAIL", "address not available" },
	{ CEDE_EALREADY, "EALREADY", "done already" },
	{ CEDE_ENOTCONN, "ENOTCONN", "not connected" },
	{ CEDE_ENOTSUP, "ENOTSUP", "operation not supported" },
	{ CEDE_EMFILE, "EMFILE", "too many open files in this process" },
	{ CEDE_ENFILE, "ENFILE", "too many open files in the system" },
	{ CEDE_ENOBUFS, "ENOBUFS", "no buffer space" },
	{ CEDE_ESHUTDOWN, "ESHUTDOWN", "shut down" },
	{ CEDE_EDEADLK, "EDEADLK", "would wait for itself" },
	{ CEDE_ESTALE, "ESTALE", "stale handle" },
	{ -EACCES, "EACCES", "permission denied" },
	{ -EPERM, "EPERM", "not permitted" },
	{ 0, "OK", "success" },
};

static const struct text *
find_text(int code)
{
	for (size_t i = 0; i < CEDE__ARRAY_LEN(texts); i++)
		if (texts[i].code == code)
			return &texts[i];
	return NULL;
}

const char *
cede_strerror(int code)
{
	static _Thread_local char unknown[96];
	const struct text *t = find_text(code);

	if (t)
		return t->text;
	if (code < 0 && code > -1000)
		return strerror(-code); /* the system's codes are its errno, negated */
	snprintf(unknown, sizeof unknown, "unknown error %d", code);
	return unknown;
}

const char *
cede_err_name(int code)
{
	const struct text *t = find_text(code);

	return t ? t->name : "UNKNOWN";
}

int
cede_is_cancel(int code)
{
	return code == CEDE_EXIT || code == CEDE_ECANCELED;
}

void
cede__error_free(cede_error_t *error)
{
	cede__free(error);
}

CEDE__NOINLINE void
cede__error_set(struct cede__thread *th, cede_error_t *error)
{
	cede_error_t **slot = th->current ? &th->current->error : &th->outside_error;

	cede__error_free(*slot);
	*slot = error;
}

static int
raise_error(const char *place, int code, const char *format, va_list args)
{
	struct cede__thread *th = cede__thread();
	cede_error_t *error;

	if (code >= 0)
		code = CEDE_EINVAL;
	error = th ? cede__alloc(sizeof *error) : NULL;
	if (error) {
		error->code = code;
		error->place = place;
		vsnprintf(error->message, sizeof error->message, format, args);
	}
	if (th)
		cede__error_set(th, error);
	return code;
}

int
cede_raise_at(const char *place, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	code = raise_error(place, code, format, args);
	va_end(args);
	return code;
}

int(cede_raise)(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	code = raise_error("", code, format, args);
	va_end(args);
	return code;
}

const cede_error_t *
cede_error(void)
{
	struct cede__thread *th = cede__thread_record;

	if (!th)
		return NULL;
	return th->current ? th->current->error : th->outside_error;
}

int
cede_error_code(const cede_error_t *error)
{
	return error ? error->code : 0;
}

const char *
cede_error_message(const cede_error_t *error)
{
	return error ? error->message : "";
}

const char *
cede_error_place(const cede_error_t *error)
{
	return error ? error->place : "";
}
