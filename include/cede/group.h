/**
 * Groups: tasks that end before the block that started them.
 *
 *     CEDE_GROUP(g);
 *     cede_spawn(&g, reader, s);
 *     cede_spawn(&g, writer, s);
 *     return cede_group_wait(&g);
 *
 * The first task that fails cancels its siblings, and the block itself: from then
 * on what the block awaits returns CEDE_ECANCELED, until cede_group_wait(), which
 * says what it was. A task that leaves the block with that code and ends with it has
 * failed with the first error of the group. Leaving the block by any path cancels
 * what is left and waits for it, so no task outlives what it uses: declare what the
 * tasks use before the group, for a block is left from its end upwards. Semantics row
 * T16.
 */
#ifndef CEDE_GROUP_H
#define CEDE_GROUP_H

#include <cede/base.h>
#include <cede/scope.h>
#include <cede/task.h>

CEDE__BEGIN

/** What a group does when one of its tasks fails. */
enum cede_group_policy {
	CEDE_GROUP_CANCEL_SIBLINGS, /**< the default: and what the block awaits */
	CEDE_GROUP_KEEP_GOING,      /**< for tasks that have nothing to do with each other */
};

/** In the caller's memory, in a block of a task. Starts all zero. */
typedef struct cede_group {
	/* read-only */
	unsigned running; /**< tasks that have not ended */
	unsigned failed;  /**< tasks that ended with an error other than a cancel */
	int first_error;  /**< the first such code, or 0 */

	/* public, set before the first spawn if at all */
	enum cede_group_policy policy;
	unsigned errors_max; /**< failed tasks that are kept to be looked at; 0: 1,000 */

	/* private */
	int is_closing; /* cancelled, failed, out of time or left: takes no more tasks */
	cede_task_t *first, *last;
	cede_task_t *failed_first, *failed_last; /* by next; a reference each */
	unsigned errors_kept;
	cede_task_t *owner; /* whose block it is in */
	cede_scope_t
		region; /* open in the owner while tasks may run and it does not wait for them */
	struct cede_group_wait_op *waiter; /* resolved when the last task has ended */
	int is_in_wait;                    /* the owner is in a call that waits, or wakes from it */
} cede_group_t;

/** A wait for a group that was started. On the caller's stack. */
typedef struct cede_group_wait_op {
	cede_future_t future; /**< result: as cede_group_wait() */

	/* private */
	cede_group_t *group;
} cede_group_wait_t;

/** Declares a group that is left with the block, by return, goto or break too. Suspends there. */
#define CEDE_GROUP(name) cede_group_t name CEDE__CLEANUP(cede__group_cleanup) = cede__group_make()

/**
 * Starts fn(arg) as a task of a group. It first runs when the caller suspends.
 *
 * @return 0; CEDE_ECANCELED: the group was cancelled or left; CEDE_ENOTASK: not
 *   in a task; CEDE_ESHUTDOWN: the loop is being detached; CEDE_EINVAL; CEDE_ENOMEM
 */
CEDE_API int cede_spawn(cede_group_t *group, cede_fn *fn, void *arg);

/** cede_spawn() whose argument has a destructor, for a body that never runs and a spawn that fails. */
CEDE_API int cede_spawn_own(cede_group_t *group, cede_fn *fn, void *arg, cede_dtor_fn *arg_dtor);
CEDE_API int cede_spawn_own_at(cede_group_t *group, cede_fn *fn, void *arg, cede_dtor_fn *arg_dtor,
	const char *site);

/** The whole spawn: with options, and a reference to the task for the caller (or NULL). */
CEDE_API int cede_spawn_with(cede_group_t *group, cede_fn *fn, void *arg,
	const cede_spawn_options_t *options, cede_task_t **ret_task);
CEDE_API int cede_spawn_at(cede_group_t *group, cede_fn *fn, void *arg,
	const cede_spawn_options_t *options, cede_task_t **ret_task, const char *site);

#define cede_spawn(group, fn, arg) cede_spawn_at((group), (fn), (arg), NULL, NULL, CEDE_SITE(#fn))
#define cede_spawn_own(group, fn, arg, arg_dtor) \
	cede_spawn_own_at((group), (fn), (arg), (arg_dtor), CEDE_SITE(#fn))
#define cede_spawn_with(group, fn, arg, options, ret_task) \
	cede_spawn_at((group), (fn), (arg), (options), (ret_task), CEDE_SITE(#fn))

/**
 * Bounds the group: when the time has passed its tasks are cancelled, what the
 * block awaits returns CEDE_ETIMEDOUT, and so does cede_group_wait() when all have
 * ended. Until the group has been waited for or left. Called again it moves the
 * deadline.
 *
 * @param timeout_ms  from now; 0: it has passed
 * @return 0; CEDE_EALREADY: the group was cancelled, has failed or its time has
 *   passed; CEDE_EPERM: it is another task's; CEDE_ENOTASK; CEDE_ENOMEM
 */
CEDE_API int cede_group_set_timeout(cede_group_t *group, uint64_t timeout_ms);

/**
 * Waits until every task of the group has ended, also those spawned meanwhile.
 * The group can be used again afterwards unless it was cancelled, has failed
 * (with CEDE_GROUP_CANCEL_SIBLINGS) or its time has passed.
 *
 * @return 0, or the first error, with what is behind it in cede_error();
 *   CEDE_ETIMEDOUT: its time passed before all had ended; CEDE_EXIT,
 *   CEDE_ETIMEDOUT, CEDE_ECANCELED: about the caller, and an outer group's
 *   failure; the tasks were cancelled and have ended without an error. With one,
 *   that is returned, and the next await says the other; not where the policy is
 *   CEDE_GROUP_KEEP_GOING: then an error concerns nobody else;
 *   CEDE_EPERM: the group is another task's, whose block it is in; CEDE_EBUSY: an
 *   operation of cede_group_wait_start() waits for it; CEDE_ENOTASK
 */
CEDE_API CEDE_SUSPENDS int cede_group_wait(cede_group_t *group);

/**
 * Starts the wait, for a cede_select(). Giving it up leaves the tasks running. A group
 * that is left does not touch it: it stays pending, and is nothing to await then.
 *
 * @return 0; CEDE_EBUSY: a wait for it is under way; CEDE_EPERM, CEDE_ENOTASK
 */
CEDE_API int cede_group_wait_start(cede_group_t *group, cede_group_wait_t *op);

/**
 * The tasks that failed, in the order in which they ended, until the group is left:
 *
 *     for (cede_task_t *t = NULL; (t = cede_group_next_failed(&g, t)) != NULL;)
 *             fprintf(stderr, "%s: %s\n", cede_task_name(t), cede_strerror(cede_task_result(t)));
 *
 * A cancel is no failure. Beyond errors_max of them a task is only counted, and its
 * error reported as one that nobody asked for (cede_set_unread_hook()).
 *
 * @param after  the one before; NULL: the first
 * @return borrowed; NULL: there are no more
 */
CEDE_API cede_task_t *cede_group_next_failed(const cede_group_t *group, const cede_task_t *after);

/** Asks every task of the group to end; it takes no more. Never suspends. */
CEDE_API void cede_group_cancel(cede_group_t *group);

/** What CEDE_GROUP does, as plain functions: init at the start of the block, leave at its end. */
CEDE_API void cede_group_init(cede_group_t *group);

/**
 * Cancels what still runs and waits for it. Must be called before the task that
 * owns the group ends. Suspends, also in a task being closed.
 *
 * @return as cede_group_wait(), of what has happened: 0, the first error, CEDE_ETIMEDOUT
 */
CEDE_API int cede_group_leave(cede_group_t *group);

/** The start and the cleanup behind CEDE_GROUP. */
CEDE_API cede_group_t cede__group_make(void);
CEDE_API void cede__group_cleanup(cede_group_t *group);

CEDE__END

#endif
