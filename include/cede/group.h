/**
 * Groups: tasks that end before the block that started them.
 *
 *     CEDE_GROUP(g);
 *     cede_spawn(&g, reader, s);
 *     cede_spawn(&g, writer, s);
 *     return cede_group_wait(&g);
 *
 * The first task that fails cancels its siblings. Leaving the block by any path
 * cancels what is left and waits for it, so no task outlives what it uses: declare
 * what the tasks use before the group, for a block is left from its end upwards.
 */
#ifndef CEDE_GROUP_H
#define CEDE_GROUP_H

#include <cede/base.h>
#include <cede/task.h>

CEDE__BEGIN

/** What a group does when one of its tasks fails. */
enum cede_group_policy {
	CEDE_GROUP_CANCEL_SIBLINGS, /**< the default */
	CEDE_GROUP_KEEP_GOING,      /**< for tasks that have nothing to do with each other */
};

/** In the caller's memory, in a block of a task. Starts all zero. */
typedef struct cede_group {
	/* read-only */
	unsigned running; /**< tasks that have not ended */
	unsigned failed;  /**< tasks that ended with an error other than a cancel */
	int first_error;  /**< the first such code, or 0 */

	/* public */
	enum cede_group_policy policy;

	/* private */
	int is_closing; /* cancelled or left: takes no more tasks */
	cede_task_t *first, *last;
	cede_task_t *owner;  /* whose block it is in */
	cede_future_t empty; /* resolved when the last task has ended */
	int has_waiter;
	cede_loop_t *loop;
} cede_group_t;

/** Declares a group that is left with the block, by return, goto or break too. Suspends there. */
#define CEDE_GROUP(name) cede_group_t name CEDE__CLEANUP(cede__group_cleanup) = { 0 }

/** How a task is spawned. All zero is the default. */
typedef struct cede_spawn_options {
	/** Not copied: a literal. NULL: the text of @fn at the call. */
	const char *name;
	/** Bytes of stack; 0: 64 KiB. */
	size_t stack_size;
	/** Releases the argument when the body never runs, also when the spawn itself fails. */
	cede_dtor_fn *arg_dtor;
	/** Releases the value of cede_return() when the task is freed. */
	cede_dtor_fn *value_dtor;
} cede_spawn_options_t;

/**
 * Starts fn(arg) as a task of a group. It first runs when the caller suspends.
 *
 * @return 0; CEDE_ECANCELED: the group was cancelled or left; CEDE_ENOTASK: not
 *   in a task; CEDE_EINVAL; CEDE_ENOMEM
 */
CEDE_API int cede_spawn(cede_group_t *group, cede_fn *fn, void *arg);

/** cede_spawn() whose argument has a destructor, for a body that never runs and a spawn that fails. */
CEDE_API int cede_spawn_own(cede_group_t *group, cede_fn *fn, void *arg, cede_dtor_fn *arg_dtor);

/** The whole spawn: with options, and a reference to the task for the caller (or NULL). */
CEDE_API int cede_spawn_with(cede_group_t *group, cede_fn *fn, void *arg,
	const cede_spawn_options_t *options, cede_task_t **ret_task);
CEDE_API int cede_spawn_at(cede_group_t *group, cede_fn *fn, void *arg,
	const cede_spawn_options_t *options, cede_task_t **ret_task, const char *site);

#define cede_spawn(group, fn, arg) cede_spawn_at((group), (fn), (arg), NULL, NULL, CEDE_SITE(#fn))
#define cede_spawn_with(group, fn, arg, options, ret_task) \
	cede_spawn_at((group), (fn), (arg), (options), (ret_task), CEDE_SITE(#fn))

/**
 * Waits until every task of the group has ended, also those spawned meanwhile.
 * The group can be used again afterwards unless it was cancelled.
 *
 * @return 0, or the first error; CEDE_EXIT, CEDE_ETIMEDOUT: about the caller;
 *   the tasks were cancelled and have ended; CEDE_EPERM: the group is another
 *   task's, whose block it is in; CEDE_ENOTASK
 */
CEDE_API CEDE_SUSPENDS int cede_group_wait(cede_group_t *group);

/** Asks every task of the group to end; it takes no more. Never suspends. */
CEDE_API void cede_group_cancel(cede_group_t *group);

/** What CEDE_GROUP does, as plain functions: init at the start of the block, leave at its end. */
CEDE_API void cede_group_init(cede_group_t *group);

/** Cancels what still runs and waits for it; returns the first error or 0. Suspends, also in a task being closed. */
CEDE_API int cede_group_leave(cede_group_t *group);

/** The start and the cleanup behind CEDE_GROUP. */
CEDE_API cede_group_t cede__group_make(void);
CEDE_API void cede__group_cleanup(cede_group_t *group);

CEDE__END

#endif
