/**
 * Scopes: deadlines and shields for everything awaited in a block.
 *
 *     CEDE_TIMEOUT(500) {
 *             r = cede_read(s, buf, sizeof buf);
 *     }
 *     if (r == CEDE_ETIMEDOUT) …
 *
 * Once the time has passed, every await in the block returns CEDE_ETIMEDOUT, at
 * once and again and again; outside the block nothing of that is left. Scopes
 * nest: the earliest deadline acts first. There is no variant with a timeout of
 * any other function.
 */
#ifndef CEDE_SCOPE_H
#define CEDE_SCOPE_H

#include <cede/base.h>
#include <cede/loop.h>

CEDE__BEGIN

/**
 * A scope. In the caller's memory, in a block of a task, which leaves it before it
 * ends. It may be entered again when it was left. A scope that is entered while it
 * is open, left twice, left by another task or before one inside it, and a task
 * that ends in one, abort with a sentence: awaits would be bounded by memory that
 * is gone.
 */
typedef struct cede_scope {
	/* read-only */
	int has_expired; /**< its time has passed while it was open */
	int code;        /**< what awaits in it return then */

	/* private */
	int is_shield;
	int is_open;
	int is_group; /* a group's region, which may lie anywhere among the others */
	struct cede_scope *outer;
	cede_task_t *task;
	struct cede__timer timer;
} cede_scope_t;

/**
 * Opens a scope in the running task: from here to cede_scope_leave(), awaits
 * return CEDE_ETIMEDOUT once @timeout_ms have passed.
 *
 * @return 0, CEDE_ENOTASK, CEDE_ENOMEM
 */
CEDE_API int cede_scope_enter(cede_scope_t *scope, uint64_t timeout_ms);

/**
 * Opens a shield: awaits inside it work although the task is being closed or an
 * outer scope has expired, for at most @timeout_ms.
 *
 * @return 0, CEDE_ENOTASK, CEDE_ENOMEM
 */
CEDE_API int cede_shield_enter(cede_scope_t *scope, uint64_t timeout_ms);

/** Closes the innermost scope of the running task; must be that one. Never suspends. Returns has_expired. */
CEDE_API int cede_scope_leave(cede_scope_t *scope);

/**
 * Moves the deadline of an open scope, also of another task's. It needs no memory.
 *
 * @param timeout_ms  from now; 0: it has expired
 * @return 0; CEDE_EALREADY: it had expired; CEDE_EINVAL: it is not open
 */
CEDE_API int cede_scope_reschedule(cede_scope_t *scope, uint64_t timeout_ms);

/* The block runs once; its variable leaves the scope, however the block is left. */
#define CEDE__SCOPE(name, is_shield, timeout_ms) \
	for (cede_scope_t name CEDE__CLEANUP(cede__scope_cleanup) = { 0 }; \
		cede__scope_turn(&name, (is_shield), (timeout_ms));)

/**
 * A block with a deadline, left by any path. Where there is no memory for the
 * timer its awaits return CEDE_ENOMEM: nothing waits that nobody bounds. Outside
 * a task it aborts with a sentence, but in the deferred call of a task that ignored
 * its end: there the block runs, and its awaits return CEDE_ENOTASK.
 */
#define CEDE_TIMEOUT(timeout_ms) CEDE__SCOPE(CEDE__JOIN(cede__scope_, __LINE__), 0, timeout_ms)

/** A block whose awaits work while the task is being closed, for at most so many milliseconds. */
#define CEDE_SHIELD(timeout_ms) CEDE__SCOPE(CEDE__JOIN(cede__scope_, __LINE__), 1, timeout_ms)

/** What the macros expand to: enters at the first call and returns 1, leaves at the second. */
CEDE_API int cede__scope_turn(cede_scope_t *scope, int is_shield, uint64_t timeout_ms);
CEDE_API void cede__scope_cleanup(cede_scope_t *scope);

CEDE__END

#endif
