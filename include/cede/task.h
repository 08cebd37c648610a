/**
 * Tasks: coroutines that the loop drives.
 *
 * A task that is not done is either ready to run or waiting for exactly one
 * thing. It is driven by send, and closed to cancel it: there is no other way.
 *
 * Cancellation is close. cede_task_cancel() is a request; when it is delivered,
 * what the task awaits is cancelled first, then that await returns CEDE_EXIT,
 * and so does every further one at once: clean up and return. Whoever waits for
 * the task sees CEDE_ECANCELED. Cleanup that must wait does so in a shield
 * (<cede/scope.h>).
 */
#ifndef CEDE_TASK_H
#define CEDE_TASK_H

#include <cede/base.h>
#include <cede/error.h>
#include <cede/future.h>
#include <cede/loop.h>

CEDE__BEGIN

/** How a task is made. All zero is the default. */
typedef struct cede_spawn_options {
	/** Not copied: a literal. NULL: the text of @fn at the call. */
	const char *name;
	/** Bytes of stack; 0: 64 KiB. */
	size_t stack_size;
	/** Releases the argument when the body never runs, also when the spawn itself fails. */
	cede_dtor_fn *arg_dtor;
	/** Releases the value of cede_return() when the task is freed. */
	cede_dtor_fn *value_dtor;
	/** Not 0: runs to its first await inside the call, ahead of all that is ready, of
	 *  which nothing runs there. asyncio's eager task; it may have ended when the call returns. */
	int is_eager;
} cede_spawn_options_t;

/**
 * cede_start() with options, and a reference to the task for the caller (or NULL),
 * by which a host can cancel it.
 *
 * @return as cede_start(); the argument goes to arg_dtor unless it is 0
 */
CEDE_API int cede_start_with(cede_loop_t *loop, cede_fn *fn, void *arg,
	const cede_spawn_options_t *options, cede_done_fn *done, void *data,
	cede_task_t **ret_task);
CEDE_API int cede_start_with_at(cede_loop_t *loop, cede_fn *fn, void *arg,
	const cede_spawn_options_t *options, cede_done_fn *done, void *data, cede_task_t **ret_task,
	const char *site);

#define cede_start_with(loop, fn, arg, options, done, data, ret_task) \
	cede_start_with_at((loop), (fn), (arg), (options), (done), (data), (ret_task), \
		CEDE_SITE(#fn))

/** The running task; NULL outside all. Borrowed. */
CEDE_API cede_task_t *cede_task_current(void);

/** One more reference. Returns @task. */
CEDE_API cede_task_t *cede_task_ref(cede_task_t *task);

/** One reference less; NULL is allowed. A task lives on while it runs. Returns NULL. */
CEDE_API cede_task_t *cede_task_unref(cede_task_t *task);

/**
 * Asks a task to end. It never runs the task inside the caller: the close comes
 * from the ready queue, in the same turn of the loop. A result that was already
 * there is received first. One that has not started never runs its body.
 * May be called on oneself, on one's parent, twice, and on a finished task.
 *
 * @return 1: asked; 0: the task had ended or had been asked already
 */
CEDE_API int cede_task_cancel(cede_task_t *task);

/**
 * cede_task_cancel() with a sentence that says why: the task finds it behind the
 * code (cede_error_text(CEDE_EXIT)), whoever joins it too, and both by the call
 * below. The first reason stands. Semantics row T2.
 *
 * @param reason  copied, up to 255 bytes; without memory the cancel comes without it
 */
CEDE_API int cede_task_cancel_with(cede_task_t *task, const char *reason);

/**
 * Why it was cancelled: what was said to cede_task_cancel_with(), or what the
 * library has to say ("a task of its group failed"); "" where nobody said, and for
 * one that was not cancelled. Valid as long as the task.
 */
CEDE_API const char *cede_task_cancel_reason(const cede_task_t *task);

/**
 * Takes a task out of its group: it may go on when the group's block has been
 * left, and ends with the loop at the latest. What it uses must live as long. Its
 * error, if it comes to that, is reported unless somebody asks for it.
 *
 * @return 0; CEDE_EALREADY: it is in no group, or has ended
 */
CEDE_API int cede_task_detach(cede_task_t *task);

/** Has it ended? */
CEDE_API int cede_task_is_done(const cede_task_t *task);

/** Its result, CEDE_ECANCELED if it was cancelled, CEDE_EPENDING while it runs. */
CEDE_API int cede_task_result(const cede_task_t *task);

/** The whole error behind a negative result, or NULL: it runs, or there is only the code. Borrowed. */
CEDE_API const cede_error_t *cede_task_error(const cede_task_t *task);

/** What it handed to cede_return(), NULL while it runs. Stays the task's. */
CEDE_API void *cede_task_value(const cede_task_t *task);

/** Its name, never NULL. */
CEDE_API const char *cede_task_name(const cede_task_t *task);

/** "file:line" where it was spawned, "" where unknown. */
CEDE_API const char *cede_task_place(const cede_task_t *task);

/** A wait for the end of a task that was started. On the caller's stack. */
typedef struct cede_join_op {
	cede_future_t future;
	/* private */
	struct cede_join_op *next, *prev;
	cede_task_t *task;
} cede_join_t;

/**
 * Waits until a task has ended.
 *
 * @param ret_value  what it returned by cede_return(); may be NULL; stays the task's
 * @return its result, the error behind it in cede_error(); CEDE_ECANCELED: it was
 *   cancelled; CEDE_EXIT, CEDE_ETIMEDOUT: about the caller, the task goes on;
 *   CEDE_EDEADLK: a task awaits itself; CEDE_ENOTASK
 */
CEDE_API CEDE_SUSPENDS int cede_join(cede_task_t *task, void **ret_value);

/** Starts the wait, outside tasks too. Cancelling it does not cancel the task. 0, CEDE_EDEADLK. */
CEDE_API int cede_join_start(cede_task_t *task, cede_join_t *op);

/**
 * Told of a task that failed and is about to go without anybody having asked for
 * its result: no join, no cede_task_result(), no cede_group_wait(), no callback
 * of cede_start(). A cancel is no failure. Semantics row T14.
 *
 * @param task  its name, place and error can be asked for; valid during the call
 */
typedef void cede_unread_fn(const cede_task_t *task, int code, void *data);

/** Sets the calling thread's hook; NULL: a sentence with name, place and error on stderr. */
CEDE_API void cede_set_unread_hook(cede_unread_fn *fn, void *data);

CEDE__END

#endif
