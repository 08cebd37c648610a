/**
 * Errors: what stands behind a negative code.
 *
 * A code alone travels by return value. Where a body wants to say more, it
 * raises: `return cede_raise(CEDE_EINVAL, "bad port '%s'", text);` keeps the
 * sentence and the place, and whoever receives the code may ask cede_error()
 * for them.
 *
 * Python's chain of contexts is kept where the code says that it is handling an
 * error: what is raised in a CEDE_HANDLE block, or by whatever the block calls
 * or resumes, has the handled error as its context.
 *
 *     r = cede_read(s, buf, sizeof buf);
 *     if (r < 0) {
 *             CEDE_HANDLE(r) {
 *                     return cede_raise(CEDE_EINVAL, "no greeting");
 *             }
 *     }
 *
 * Threads: the calls concern the calling thread's own errors; an error object
 * is not shared between threads.
 */
#ifndef CEDE_ERROR_H
#define CEDE_ERROR_H

#include <cede/base.h>

CEDE__BEGIN

/** One raised error. The library's memory, counted references. */
typedef struct cede_error_object cede_error_t;

/**
 * Raises @code with a sentence: makes an error of both and the place of the
 * call, makes it the last one, and returns @code, for the body to return in turn.
 * Its context is the innermost error that is being handled. CPython rows 18, 76.
 *
 * The text is kept up to 255 bytes. Without memory for the error the code is
 * returned all the same. Inside a coroutine or outside.
 *
 * @param code  negative; anything else becomes CEDE_EINVAL
 */
CEDE_API int cede_raise(int code, const char *format, ...) CEDE__PRINTF(2, 3);

/** cede_raise() with the place of the call; what the macro below calls. */
CEDE_API int cede_raise_at(const char *place, int code, const char *format, ...) CEDE__PRINTF(3, 4);

#define cede_raise(...) cede_raise_at(__FILE__ ":" CEDE__STRING(__LINE__), __VA_ARGS__)

/** Raises with a stated cause (Python's `raise … from cause`); @cause may be NULL. CPython row 19. */
CEDE_API int cede_raise_from(const cede_error_t *cause, int code, const char *format, ...)
	CEDE__PRINTF(3, 4);

/** Raises an error object that exists: the same object reaches whoever catches it. Its code. */
CEDE_API int cede_raise_error(cede_error_t *error);

/**
 * The error behind the last negative code that this coroutine (outside all: this
 * thread) received from a call of cede or raised itself. NULL when there was
 * none. A code that comes without an error leaves the one before it in place:
 * compare cede_error_code(), or ask cede_error_text().
 *
 * Borrowed: valid until the next call of cede by the same coroutine.
 */
CEDE_API const cede_error_t *cede_error(void);

/**
 * The sentence behind a code that was just received: that of the last error if it
 * is of this code, and cede_strerror() otherwise. Never NULL.
 */
CEDE_API const char *cede_error_text(int code);

/** Its code. 0 for NULL. */
CEDE_API int cede_error_code(const cede_error_t *error);

/** Its sentence, never NULL; the text of the code where it was raised without one. */
CEDE_API const char *cede_error_message(const cede_error_t *error);

/** "file:line" where it was raised, "" where unknown. */
CEDE_API const char *cede_error_place(const cede_error_t *error);

/** The error that was being handled when it was raised, or NULL. Borrowed. */
CEDE_API const cede_error_t *cede_error_context(const cede_error_t *error);

/** Its stated cause, or NULL. Borrowed. */
CEDE_API const cede_error_t *cede_error_cause(const cede_error_t *error);

/** What was handed to cede_error_create(). */
CEDE_API void *cede_error_payload(const cede_error_t *error);

/**
 * Makes an error object without raising it, to be thrown by
 * cede_coro_throw_error() or raised by cede_raise_error().
 *
 * @param payload  anything; released by @payload_dtor (may be NULL) with the error
 * @return NULL without memory, the payload is then still the caller's
 */
CEDE_API cede_error_t *cede_error_create(int code, const char *message, void *payload,
	cede_dtor_fn *payload_dtor);

/** One more reference. Returns @error. */
CEDE_API cede_error_t *cede_error_ref(const cede_error_t *error);

/** One reference less; NULL is allowed. Returns NULL. */
CEDE_API cede_error_t *cede_error_unref(cede_error_t *error);

/** An error that is being handled: Python's `except` block. In the caller's frame. */
typedef struct cede_handler {
	/* read-only */
	cede_error_t *error; /**< NULL only where there was no memory to make one */
	int code;

	/* private */
	struct cede_handler *outer;
	int is_open;
} cede_handler_t;

/**
 * From here on the last error is being handled: it is the context of whatever is
 * raised. @code is the code that was received; an error is made of it if it came
 * without one. Blocks nest, and each coroutine has its own.
 */
CEDE_API void cede_handler_enter(cede_handler_t *handler, int code);

/** The innermost block ends. */
CEDE_API void cede_handler_leave(cede_handler_t *handler);

/** Raises the handled error once more, as it is (Python's bare `raise`). Its code. */
CEDE_API int cede_reraise(const cede_handler_t *handler);

/** A block that handles the error behind @code; left by any path. Blocks nest. */
#define CEDE_HANDLE(code) CEDE__HANDLE(CEDE__JOIN(cede__handler_, __LINE__), code)

#define CEDE__HANDLE(name, code) \
	for (cede_handler_t name CEDE__CLEANUP(cede__handler_cleanup) = { 0 }; \
		cede__handler_turn(&name, (code));)

/** What the macro expands to: enters at the first call and returns 1, leaves at the second. */
CEDE_API int cede__handler_turn(cede_handler_t *handler, int code);
CEDE_API void cede__handler_cleanup(cede_handler_t *handler);

CEDE__END

#endif
