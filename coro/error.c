/*
 * Codes, their names and texts; errors, their contexts and causes; handlers.
 *
 * An error object is counted. The slot of a coroutine (outside all: of the
 * thread) holds the last one it received or raised, a handler the one that is
 * being handled, an error its context and its cause. Those last two never form a
 * cycle, so counting frees everything.
 */
#include <cede/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "coro/alloc.h"
#include "coro/engine.h"

#define MESSAGE_SIZE 256

struct cede_error_object {
	uint32_t refs;
	int code;
	const char *place; /* a literal of the raiser */
	cede_error_t *context;
	cede_error_t *cause;
	void *payload;
	cede_dtor_fn *payload_dtor;
	cede_error_t *next; /* while it is being freed, or looked at by reaches() */
	uint64_t search;    /* the last one that saw it */
	char message[];     /* its own, up to MESSAGE_SIZE; empty: the text of the code */
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
	{ CEDE_STOP, "CEDE_STOP", "StopIteration" },
	{ CEDE_STOP_ASYNC, "CEDE_STOP_ASYNC", "StopAsyncIteration" },
	{ CEDE_EBROKEN, "CEDE_EBROKEN", "barrier is broken" },
	{ CEDE_ELEFT, "CEDE_ELEFT", "something is left that should be gone" },
	{ CEDE_ETRUNCATED, "CEDE_ETRUNCATED", "the encrypted stream was cut off" },
	{ CEDE_ETLS, "CEDE_ETLS", "TLS failed" },
	{ CEDE_ECERT, "CEDE_ECERT", "the peer's certificate was not accepted" },
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
	{ CEDE_EMSGSIZE, "EMSGSIZE", "message too long" },
	{ CEDE_EPROTO, "EPROTO", "protocol error" },
	{ CEDE_ESHUTDOWN, "ESHUTDOWN", "shut down" },
	{ CEDE_EDEADLK, "EDEADLK", "would wait for itself" },
	{ CEDE_ESTALE, "ESTALE", "stale handle" },
	{ CEDE_EACCES, "EACCES", "permission denied" },
	{ CEDE_EEXIST, "EEXIST", "file exists" },
	{ CEDE_EFBIG, "EFBIG", "file too large" },
	{ CEDE_EIO, "EIO", "input/output error" },
	{ CEDE_EISDIR, "EISDIR", "is a directory" },
	{ CEDE_ELOOP, "ELOOP", "too many symbolic links" },
	{ CEDE_ENAMETOOLONG, "ENAMETOOLONG", "file name too long" },
	{ CEDE_ENOENT, "ENOENT", "no such file or directory" },
	{ CEDE_ENOSPC, "ENOSPC", "no space left on device" },
	{ CEDE_ENOTDIR, "ENOTDIR", "not a directory" },
	{ CEDE_ENOTEMPTY, "ENOTEMPTY", "directory not empty" },
	{ CEDE_EROFS, "EROFS", "read-only file system" },
	{ CEDE_ESPIPE, "ESPIPE", "no seek on this kind of file" },
	{ CEDE_EXDEV, "EXDEV", "not on the same file system" },
	{ CEDE_E2BIG, "E2BIG", "argument list too long" },
	{ CEDE_ESRCH, "ESRCH", "no such process" },
	{ CEDE_ECHILD, "ECHILD", "no such child process" },
	{ CEDE_EDESTADDRREQ, "EDESTADDRREQ", "an address is needed to send to" },
	{ CEDE_ENETUNREACH, "ENETUNREACH", "network is unreachable" },
	{ CEDE_EHOSTUNREACH, "EHOSTUNREACH", "host is unreachable" },
	{ CEDE_ENODEV, "ENODEV", "no such device" },
	{ CEDE_EPERM, "EPERM", "not permitted" },
	{ CEDE_EAI_ADDRFAMILY, "EAI_ADDRFAMILY", "no address of this family for the name" },
	{ CEDE_EAI_AGAIN, "EAI_AGAIN", "temporary failure in name resolution" },
	{ CEDE_EAI_BADFLAGS, "EAI_BADFLAGS", "bad flags for a lookup" },
	{ CEDE_EAI_FAIL, "EAI_FAIL", "failure in name resolution" },
	{ CEDE_EAI_FAMILY, "EAI_FAMILY", "address family not supported" },
	{ CEDE_EAI_NODATA, "EAI_NODATA", "no address for the name" },
	{ CEDE_EAI_NONAME, "EAI_NONAME", "name or service not known" },
	{ CEDE_EAI_OVERFLOW, "EAI_OVERFLOW", "name too long" },
	{ CEDE_EAI_SERVICE, "EAI_SERVICE", "no such service for this kind of socket" },
	{ CEDE_EAI_SOCKTYPE, "EAI_SOCKTYPE", "kind of socket not supported" },
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

/* ---- objects ---- */

static cede_error_t *
create(int code, const char *place, const char *message)
{
	size_t length = strlen(message);
	cede_error_t *error;

	if (length >= MESSAGE_SIZE)
		length = MESSAGE_SIZE - 1;
	error = cede__alloc(sizeof *error + length + 1);
	if (!error)
		return NULL;
	*error = (cede_error_t){ .refs = 1, .code = code, .place = place };
	memcpy(error->message, message, length);
	error->message[length] = '\0';
	return error;
}

cede_error_t *
cede_error_create(int code, const char *message, void *payload, cede_dtor_fn *payload_dtor)
{
	cede_error_t *error = code < 0 ? create(code, "", message ? message : "") : NULL;

	if (error) {
		error->payload = payload;
		error->payload_dtor = payload_dtor;
	}
	return error;
}

cede_error_t *
cede_error_ref(const cede_error_t *error)
{
	cede_error_t *counted = (cede_error_t *)error;

	counted->refs++;
	return counted;
}

/* One reference less. The last one puts it on the list of those to be freed. */
static cede_error_t *
drop(cede_error_t *error, cede_error_t *dead)
{
	if (!error || --error->refs > 0)
		return dead;
	error->next = dead;
	return error;
}

/* A chain is as long as somebody has made it: no recursion, on a coroutine's stack. */
cede_error_t *
cede_error_unref(cede_error_t *error)
{
	cede_error_t *dead = drop(error, NULL);

	while (dead) {
		error = dead;
		dead = drop(error->cause, error->next);
		dead = drop(error->context, dead);
		if (error->payload_dtor)
			error->payload_dtor(error->payload);
		cede__free(error);
	}
	return NULL;
}

const cede_error_t *
cede_error(void)
{
	struct cede__thread *th = cede__thread_record;

	return th ? *cede__error_slot(th, th->current) : NULL;
}

const char *
cede_error_text(int code)
{
	const cede_error_t *error = cede_error();

	return error && error->code == code ? cede_error_message(error) : cede_strerror(code);
}

int
cede_error_code(const cede_error_t *error)
{
	return error ? error->code : 0;
}

const char *
cede_error_message(const cede_error_t *error)
{
	if (!error)
		return "";
	return error->message[0] ? error->message : cede_strerror(error->code);
}

const char *
cede_error_place(const cede_error_t *error)
{
	return error ? error->place : "";
}

const cede_error_t *
cede_error_context(const cede_error_t *error)
{
	return error ? error->context : NULL;
}

const cede_error_t *
cede_error_cause(const cede_error_t *error)
{
	return error ? error->cause : NULL;
}

void *
cede_error_payload(const cede_error_t *error)
{
	return error ? error->payload : NULL;
}

CEDE__NOINLINE void
cede__error_put(cede_error_t **slot, cede_error_t *error)
{
	cede_error_t *old = *slot;

	*slot = error;
	cede_error_unref(old);
}

cede_error_t *
cede__error_take(int code)
{
	struct cede__thread *th = cede__thread_record;
	cede_error_t **slot = cede__error_slot(th, th->current), *error = *slot;

	if (!error || error->code != code)
		return NULL;
	*slot = NULL;
	return error;
}

void
cede__error_give(cede_error_t *error)
{
	struct cede__thread *th = cede__thread_record;

	cede__error_put(cede__error_slot(th, th->current), error);
}

/* ---- chains ---- */

static cede_error_t *
look_at(cede_error_t *error, uint64_t search, cede_error_t *queue)
{
	if (!error || error->search == search)
		return queue;
	error->search = search;
	error->next = queue;
	return error;
}

/* Is `error` in the chains of `from`? Each member is looked at once, however many ways lead to it. */
static int
reaches(cede_error_t *from, const cede_error_t *error)
{
	static _Thread_local uint64_t searches;
	cede_error_t *queue = look_at(from, ++searches, NULL);

	while (queue) {
		cede_error_t *e = queue;

		if (e == error)
			return 1;
		queue = look_at(e->cause, searches, e->next);
		queue = look_at(e->context, searches, queue);
	}
	return 0;
}

/*
 * As CPython's _PyErr_SetObject: where the handled error's own chain leads to the
 * one raised, it is cut there. Beyond CPython, which collects cycles: a chain
 * that would lead back by way of a cause is not made at all.
 */
void
cede__error_set_context(cede_error_t *error, cede_error_t *handled)
{
	if (error == handled || error->context == handled)
		return;
	for (cede_error_t *e = handled; e->context; e = e->context) {
		if (e->context == error) {
			e->context = cede_error_unref(e->context);
			break;
		}
	}
	if (error->refs == 1 || !reaches(handled, error)) /* nobody refers to a new one */
		cede__error_put(&error->context, cede_error_ref(handled));
}

void
cede__error_set_cause(cede_error_t *error, const cede_error_t *cause)
{
	cede__error_put(&error->cause, cede_error_ref(cause));
	cede__error_put(&error->context, cede_error_ref(cause));
}

/*
 * Who would be handling it, looked at from where it is raised: this coroutine, or
 * whoever resumed it, and so on outwards. One that has the turn was resumed by
 * the thrower, not by its awaiter. Row 76.
 */
cede_error_t *
cede__error_handled(struct cede__thread *th, cede_coro_t *co)
{
	const cede_coro_t *root = co ? co->root : NULL;

	while (co) {
		int has_turn = root->turn == co;

		if (co->handlers && co->handlers->error &&
			!(co->is_driving && has_turn && co->handlers == co->hidden))
			return co->handlers->error;
		if (co == root || has_turn) {
			co = root->caller;
			root = co ? co->root : NULL;
		} else {
			co = co->awaiter;
		}
	}
	return th->outside_handlers ? th->outside_handlers->error : NULL;
}

static const char *const kinds[] = { "coroutine", "generator", "async generator" };

cede_error_t *
cede__error_of_stop(const cede_coro_t *co, int code)
{
	char text[64];

	snprintf(text, sizeof text, "%s raised %s", kinds[co->kind], cede_strerror(code));
	return create(CEDE_ESTOPITER, "", text);
}

cede_error_t *
cede__error_of_kind(const cede_coro_t *co, int code)
{
	const char *kind = kinds[co->kind];
	char text[96];

	switch (code) {
	case CEDE_ERUNNING:
		snprintf(text, sizeof text, "%s already executing", kind);
		break;
	case CEDE_ENOTSTARTED:
		snprintf(text, sizeof text, "can't send non-None value to a just-started %s", kind);
		break;
	case CEDE_EIGNORED:
		snprintf(text, sizeof text, "%s ignored GeneratorExit", kind);
		break;
	default:
		text[0] = '\0';
	}
	return create(code, "", text);
}

/* ---- raising ---- */

/* Makes it the last error, with the context it is raised in. */
static int
raise_here(struct cede__thread *th, cede_error_t *error, int code)
{
	cede_error_t *handled = cede__error_handled(th, th->current);

	if (error && handled)
		cede__error_set_context(error, handled);
	cede__error_put(cede__error_slot(th, th->current), error);
	return code;
}

static int
raise_text(const char *place, const cede_error_t *cause, int code, const char *format, va_list args)
{
	struct cede__thread *th = cede__thread();
	char text[MESSAGE_SIZE];
	cede_error_t *error;

	if (code >= 0)
		code = CEDE_EINVAL;
	if (!th)
		return code;
	vsnprintf(text, sizeof text, format, args);
	error = create(code, place, text);
	if (error && cause)
		cede__error_put(&error->cause, cede_error_ref(cause));
	return raise_here(th, error, code);
}

int
cede_raise_at(const char *place, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	code = raise_text(place, NULL, code, format, args);
	va_end(args);
	return code;
}

int(cede_raise)(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	code = raise_text("", NULL, code, format, args);
	va_end(args);
	return code;
}

int
cede_raise_from(const cede_error_t *cause, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	code = raise_text("", cause, code, format, args);
	va_end(args);
	return code;
}

int
cede_raise_error(cede_error_t *error)
{
	struct cede__thread *th = cede__thread();

	if (!error)
		return CEDE_EINVAL;
	return th ? raise_here(th, cede_error_ref(error), error->code) : error->code;
}

/* ---- handlers ---- */

static cede_handler_t **
handlers_of(struct cede__thread *th)
{
	return th->current ? &th->current->handlers : &th->outside_handlers;
}

void
cede_handler_enter(cede_handler_t *handler, int code)
{
	struct cede__thread *th = cede__thread();
	cede_error_t **slot;

	*handler = (cede_handler_t){ .code = code, .is_open = 1 };
	if (!th)
		return;
	slot = cede__error_slot(th, th->current);
	if (cede_error_code(*slot) != code)
		raise_here(th, create(code, "", ""), code);
	handler->error = *slot ? cede_error_ref(*slot) : NULL;
	handler->outer = *handlers_of(th);
	*handlers_of(th) = handler;
}

void
cede_handler_leave(cede_handler_t *handler)
{
	struct cede__thread *th = cede__thread_record;

	handler->is_open = 0;
	if (!th)
		return;
	cede__check(*handlers_of(th) == handler,
		"blocks that handle errors were left out of order");
	*handlers_of(th) = handler->outer;
	handler->error = cede_error_unref(handler->error);
}

int
cede_reraise(const cede_handler_t *handler)
{
	struct cede__thread *th = cede__thread_record;

	if (th)
		cede__error_put(cede__error_slot(th, th->current),
			handler->error ? cede_error_ref(handler->error) : NULL);
	return handler->code;
}

int
cede__handler_turn(cede_handler_t *handler, int code)
{
	if (handler->is_open) {
		cede_handler_leave(handler);
		return 0;
	}
	cede_handler_enter(handler, code);
	return 1;
}

void
cede__handler_cleanup(cede_handler_t *handler)
{
	if (handler->is_open)
		cede_handler_leave(handler);
}
