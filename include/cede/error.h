/**
 * Errors: what stands behind a negative code.
 *
 * A code alone travels by return value. Where a body wants to say more, it
 * raises: `return cede_raise(CEDE_EINVAL, "bad port '%s'", text);` keeps the
 * sentence and the place, and whoever receives the code may ask cede_error()
 * for them.
 */
#ifndef CEDE_ERROR_H
#define CEDE_ERROR_H

#include <cede/base.h>

CEDE__BEGIN

/** One raised error. The library's memory. */
typedef struct cede_error cede_error_t;

/**
 * Raises @code with a sentence: records both and the place of the call, and
 * returns @code, for the body to return in turn.
 *
 * The text is kept up to 255 bytes. When there is no memory for the record the
 * code is returned all the same. Inside a coroutine or outside; any thread.
 *
 * @param code  negative; anything else becomes CEDE_EINVAL
 */
CEDE_API int cede_raise(int code, const char *format, ...) CEDE__PRINTF(2, 3);

/** cede_raise() with the place of the call; what the macro below calls. */
CEDE_API int cede_raise_at(const char *place, int code, const char *format, ...)
	CEDE__PRINTF(3, 4);

#define cede_raise(...) cede_raise_at(__FILE__ ":" CEDE__STRING(__LINE__), __VA_ARGS__)

/**
 * The error behind the last negative code that this coroutine (outside all: this
 * thread) received from a call of cede or raised itself. NULL when that code
 * came without a record.
 *
 * Borrowed: valid until the next call of cede by the same coroutine.
 */
CEDE_API const cede_error_t *cede_error(void);

/** Its code. 0 for NULL. */
CEDE_API int cede_error_code(const cede_error_t *error);

/** Its sentence, never NULL; the text of the code where it was raised without one. */
CEDE_API const char *cede_error_message(const cede_error_t *error);

/** "file:line" where it was raised, "" where unknown. */
CEDE_API const char *cede_error_place(const cede_error_t *error);

CEDE__END

#endif
