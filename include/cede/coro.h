/**
 * Coroutine objects: functions that can stop in the middle and go on later.
 *
 * They behave as Python's coroutine objects do, in every observable way:
 * send, throw and close drive one from outside; yield and await are what its
 * body does. "CPython row n" below names a row of docs/semantics.md, where the
 * exact behaviour of CPython 3.13 is written down.
 *
 *     static int counter(void *arg)
 *     {
 *             for (intptr_t i = 0; i < 3; i++) {
 *                     int r = cede_yield((void *)i, NULL);
 *                     if (r < 0)
 *                             return r;       // CEDE_EXIT: we are being closed
 *             }
 *             return cede_return("done");
 *     }
 *
 * A program that only writes network servers does not need this header: tasks
 * (<cede/task.h>) are driven by the scheduler.
 *
 * Threads: a coroutine belongs to the thread that first resumes it. Resuming
 * it anywhere else is refused with CEDE_EWRONGTHREAD.
 */
#ifndef CEDE_CORO_H
#define CEDE_CORO_H

#include <cede/base.h>
#include <cede/error.h>

CEDE__BEGIN

/** A coroutine object. The library's memory, counted references. */
typedef struct cede_coro cede_coro_t;

/** How a coroutine is made. All zero is the default. */
typedef struct cede_coro_options {
	/** For messages and debuggers. Not copied: a literal. NULL: the text of @fn at the call. */
	const char *name;
	/** Bytes of stack, 16 KiB to 1 GiB; 0: 64 KiB. Taken at the first send, not before. */
	size_t stack_size;
	/** Releases the argument of a body that never ran: closed or thrown into before its start. */
	cede_dtor_fn *arg_dtor;
	/** Releases a value that was yielded or returned and that nobody received. */
	cede_dtor_fn *value_dtor;
} cede_coro_options_t;

/** What inspect.getcoroutinestate() says. CPython row 61. */
enum cede_coro_state {
	CEDE_CORO_CREATED,   /**< not started yet */
	CEDE_CORO_RUNNING,   /**< executing, or awaiting one that executes */
	CEDE_CORO_SUSPENDED, /**< stopped at a yield or an await */
	CEDE_CORO_CLOSED,    /**< returned, raised or was closed */
};

/**
 * Makes a coroutine that will run fn(arg). Nothing runs and no stack is taken
 * yet. CPython row 1.
 *
 * @param options   NULL for the defaults; not kept
 * @param ret_coro  one reference, the caller's; cede_coro_unref() ends it
 * @return 0; CEDE_EINVAL for a NULL @fn or a stack size out of range; CEDE_ENOMEM
 *
 * Any thread.
 */
CEDE_API int cede_coro_create(cede_coro_t **ret_coro, cede_fn *fn, void *arg,
	const cede_coro_options_t *options);

/** cede_coro_create() with the place of the call; what the macro below calls. */
CEDE_API int cede_coro_create_at(cede_coro_t **ret_coro, cede_fn *fn, void *arg,
	const cede_coro_options_t *options, const char *site);

#define cede_coro_create(ret_coro, fn, arg, options) \
	cede_coro_create_at((ret_coro), (fn), (arg), (options), CEDE_SITE(#fn))

/**
 * Resumes a coroutine: @value becomes what its cede_yield() received. Runs it
 * until it yields, returns or raises. A coroutine that awaits others is resumed
 * in the innermost, at the same cost at any depth. CPython rows 2 to 12.
 *
 * @param value      NULL at the first send; handed on unread
 * @param ret_value  what it yielded or returned; may be NULL, then the value
 *                   goes to value_dtor
 * @return 1: yielded; 0: returned; or the code that its body raised, or
 *   CEDE_ENOTSTARTED  first value not NULL; it can still be started
 *   CEDE_ERUNNING     it is executing
 *   CEDE_EREUSED      it has finished
 *   CEDE_EWRONGTHREAD it belongs to another thread
 *   CEDE_ENOMEM       no stack could be had; it can still be started
 */
CEDE_API int cede_coro_send(cede_coro_t *co, void *value, void **ret_value);

/**
 * Raises a code in a coroutine where it is suspended. One that has not started
 * is closed instead and its body never runs: the code comes back. CPython rows
 * 13 to 30.
 *
 * CEDE_EXIT is special: what the coroutine awaits is closed first.
 *
 * @param code  negative; not CEDE_STOP into one that has not started
 * @return as cede_coro_send(); CEDE_EINVAL for a code that can't be raised
 */
CEDE_API int cede_coro_throw(cede_coro_t *co, int code, void **ret_value);

/**
 * cede_coro_throw() of an error object: whoever catches it finds this very object
 * behind the code. The caller keeps its reference. CPython row 15.
 *
 * @return as cede_coro_throw(); CEDE_EINVAL for NULL
 */
CEDE_API int cede_coro_throw_error(cede_coro_t *co, cede_error_t *error, void **ret_value);

/**
 * Closes a coroutine: raises CEDE_EXIT at its suspension point, in what it
 * awaits first, and expects it to finish. Closing one that has not started or
 * has finished does nothing and succeeds. CPython rows 31 to 44.
 *
 * @param ret_value  what the body returned while being closed, else NULL
 * @return 0; a code that the body raised instead; CEDE_EIGNORED when it
 *   suspended again: it stays suspended and usable; CEDE_ERUNNING;
 *   CEDE_EWRONGTHREAD
 */
CEDE_API int cede_coro_close(cede_coro_t *co, void **ret_value);

/** One more reference. Returns @co. The thread of the coroutine. */
CEDE_API cede_coro_t *cede_coro_ref(cede_coro_t *co);

/**
 * One reference less. The last one closes a suspended coroutine and warns of
 * one that was never awaited. CPython rows 66 to 75.
 *
 * @param co  NULL is allowed
 * @return NULL
 */
CEDE_API cede_coro_t *cede_coro_unref(cede_coro_t *co);

/** CPython row 61. */
CEDE_API enum cede_coro_state cede_coro_state(const cede_coro_t *co);

/** The coroutine that @co awaits while it is suspended, else NULL. Borrowed. CPython row 58. */
CEDE_API cede_coro_t *cede_coro_awaiting(const cede_coro_t *co);

/** Its name, never NULL. Valid as long as the coroutine, until the name is set anew. */
CEDE_API const char *cede_coro_name(const cede_coro_t *co);

/** Gives it a name of its own. @name is copied. 0, CEDE_EINVAL for NULL, CEDE_ENOMEM. */
CEDE_API int cede_coro_set_name(cede_coro_t *co, const char *name);

/** "file:line" where it was made, "" where unknown. */
CEDE_API const char *cede_coro_place(const cede_coro_t *co);

/** The innermost coroutine that executes on this thread, NULL outside all. Borrowed. */
CEDE_API cede_coro_t *cede_coro_current(void);

/** The most bytes of its stack that it has used so far; 0 before its start and after its end. */
CEDE_API size_t cede_coro_stack_used(const cede_coro_t *co);

/**
 * Suspends the running coroutine and hands @value to whoever resumed it.
 *
 * @param value     handed on unread
 * @param ret_sent  the value of the next send; may be NULL
 * @return 0: resumed by send; <0: the code thrown in, CEDE_EXIT when closed;
 *   CEDE_ENOTASK outside a coroutine
 */
CEDE_API CEDE_SUSPENDS int cede_yield(void *value, void **ret_sent);

/**
 * Runs @child to its end as a part of this coroutine. While it is suspended,
 * send, throw and close of this coroutine go to the innermost one awaited.
 * Does not suspend when the child does not. CPython rows 28, 29, 41 to 54.
 *
 * @param child      not started yet; the caller keeps its reference
 * @param ret_value  what it returned; may be NULL
 * @return 0: returned; <0: what it raised, or
 *   CEDE_EREUSED   it has finished, or was finished by somebody else
 *   CEDE_EAWAITED  somebody awaits it, or it was started by hand
 *   CEDE_ERUNNING  it is executing
 *   CEDE_EWRONGTHREAD, CEDE_ENOTASK (outside a coroutine), CEDE_ENOMEM
 *
 * A close of this coroutine closes the child first.
 */
CEDE_API CEDE_SUSPENDS int cede_await_coro(cede_coro_t *child, void **ret_value);

/**
 * An awaitable of one's own: what __await__() returns in Python. The calls are
 * made on the stack of the coroutine that awaits it, while that is executing.
 */
typedef struct cede_awaitable {
	/** Goes on. 1: suspends the awaiter with *ret_value; 0: done, with *ret_value; <0: raises.
	 *  CEDE_STOP is its end too, without a value, here and from raise. */
	int (*send)(void *object, void *value, void **ret_value);
	/** A code was thrown in; as send. NULL: it is raised in the awaiter. cede_error() is set. */
	int (*raise)(void *object, int code, void **ret_value);
	/** The awaiter is being closed, or CEDE_EXIT thrown in. 0, or <0: raised instead. May be NULL. */
	int (*close)(void *object);
} cede_awaitable_t;

/**
 * Awaits an object: drives it until it is done. Suspends whenever it says so.
 * CPython rows 28, 52.
 *
 * @return 0 and *ret_value; or what it raised; CEDE_EINVAL without a send
 */
CEDE_API CEDE_SUSPENDS int cede_await_object(const cede_awaitable_t *awaitable, void *object,
	void **ret_value);

/**
 * Has fn(arg) called when the running coroutine ends, whichever way: its body
 * returned, raised, was closed or cancelled. Of several the last one is called
 * first. What C has in place of `finally` where a goto is not enough.
 *
 *     char *line = malloc(size);
 *     if (cede_defer(free, line) < 0)
 *             return free(line), CEDE_ENOMEM;
 *
 * The calls are made after the body's last line and before anybody learns of
 * the end, inside the coroutine: they may await as its body may, in a task that
 * is being closed in a shield. @arg must not point into a function that the body
 * has left by then. They cannot change what the body returns. A coroutine that
 * ignored its end and is discarded has them called outside, where awaits return
 * CEDE_ENOTASK; if it was a task, when the loop is detached and no task is left,
 * before what was left open is closed. CPython rows 44, 73.
 *
 * @return 0; CEDE_ENOTASK: outside a coroutine; CEDE_EINVAL: no @fn; CEDE_ENOMEM.
 *   @fn is called if this is 0 and never otherwise
 */
CEDE_API int cede_defer(cede_dtor_fn *fn, void *arg);

/** Takes back the last such cede_defer() of the running coroutine. 1; 0: there is none. */
CEDE_API int cede_defer_cancel(cede_dtor_fn *fn, void *arg);

/** Sets what the running body returns: `return cede_return(v);`. Returns 0. */
CEDE_API int cede_return(void *value);

CEDE__END

#endif
