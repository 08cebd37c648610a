/*
 * The task, for loop/ itself.
 *
 * A task is one coroutine, driven from the ready queue. Three things make it
 * ready: what it awaits is done (`is_woken`), it was cancelled, a scope of it
 * expired. The step then sends, closes or throws, in this order: completed beats
 * cancelled.
 *
 * `refusal` is what every await returns at once: CEDE_EXIT in a task that is
 * being closed, CEDE_ETIMEDOUT in an expired scope, CEDE_ECANCELED in the block of
 * a group that has failed, 0 otherwise and in a shield.
 * It is worked out anew whenever a scope is entered, left or expires and when
 * the task is cancelled, so that an await looks at one number.
 */
#ifndef CEDE_LOOP_TASK_INT_H
#define CEDE_LOOP_TASK_INT_H

#include <cede/group.h>
#include <cede/scope.h>
#include <cede/task.h>

#include "coro/coro_int.h"
#include "coro/list.h"
#include "loop/loop_int.h"

/* Awaits of what is done already, before the task gives way to others. */
#define CEDE__AT_ONCE_MAX 64

/* A body that has been refused this often in a row ignores that it is to end. */
#define CEDE__REFUSALS_MAX 1000

struct cede_task {
	cede_task_t *next_ready;
	cede_loop_t *loop;
	cede_coro_t *co; /* NULL when it has ended */
	int refusal;
	unsigned refused;    /* in a row */
	unsigned at_once;    /* awaits that did not wait, in a row */
	uint8_t is_ready;    /* in the queue */
	uint8_t is_woken;    /* what it awaited is done, or it is to start */
	uint8_t is_waiting;  /* suspended in an await */
	uint8_t is_closing;  /* cancelled */
	uint8_t is_ignoring; /* suspended for ever: it ignored its end */
	uint8_t is_done;
	uint8_t is_kept; /* by a group that it failed in */
	uint8_t is_read; /* somebody has asked for the result */
	int result;
	uint32_t refs;
	uint32_t number; /* of the loop's tasks, in the order they were made */
	void *value;
	cede_dtor_fn *value_dtor;
	cede_scope_t *scope; /* the innermost */
	cede_join_t *joins;  /* the first, in a ring by cede_join::next */
	struct cede__list link;
	const char *name, *site;
	struct cede__locals *locals; /* local.c */

	/* Only of one that failed or was cancelled. */
	cede_error_t *error;        /* behind a negative result */
	cede_error_t *cancel_error; /* of cede_task_cancel_with() */
	cede_task_t *unheard;       /* failed in a group that this one left without a word */
	const char *cancel_reason;  /* a literal */

	/* How it is told that the task has ended: in a group, or by a callback. */
	cede_group_t *group;
	cede_task_t *prev, *next; /* in the group */
	cede_done_fn *done;
	void *data;
};

/** Makes a task, with one reference for the loop; cede__task_begin() is to follow. */
int cede__task_create(cede_loop_t *loop, cede_fn *fn, void *arg,
	const cede_spawn_options_t *options, const char *site, cede_task_t **ret_task);

/** Makes a new task ready, or runs it to its first await. It may have ended then. */
void cede__task_begin(cede_task_t *task, int is_eager);

/** Runs a task from the ready queue to its next await or its end. */
void cede__task_step(cede_task_t *task);

/** Works out `refusal` anew and wakes a waiting task that it concerns. */
void cede__task_reconsider(cede_task_t *task);

/** Frees what is kept for the next spawns. After the last task. */
void cede__tasks_deinit(cede_loop_t *loop);

/** Frees the stacks of a task that ended by ignoring its end. */
void cede__task_bury(cede_task_t *task);

/** The running task and its innermost coroutine; NULL where an await is not allowed. */
static inline cede_task_t *
cede__task_running(cede_coro_t **ret_self)
{
	cede_coro_t *self = cede__coro_current();

	*ret_self = self;
	return self ? self->root->task : NULL;
}

/**
 * Suspends the running task until it is woken. 0: what it awaits is done; or
 * the code that was thrown in.
 */
int cede__task_suspend(cede_task_t *task, cede_coro_t *self);

/** Lets the other ready tasks run, once. 0; a code that came up is left for the next await. */
void cede__task_give_way(cede_task_t *task, cede_coro_t *self);

/** An await is refused: counts, and stops a body that does not care. Returns the code. */
int cede__task_refused(cede_task_t *task, cede_coro_t *self);

/** Something that a task waits for is done. */
static inline void
cede__task_wake(cede_task_t *task)
{
	task->is_woken = 1;
	if (!task->is_ready)
		cede__loop_make_ready(task->loop, task);
}

/* cancel.c */

/** cede_task_cancel() by the library: @why is a literal. */
int cede__task_cancel_as(cede_task_t *task, const char *why);

/** Puts the reason given by cede_task_cancel_with() behind the code that the running task receives. */
void cede__task_tell_reason(const cede_task_t *task);

/** That reason, owned, behind the result of the task. NULL: no memory. */
cede_error_t *cede__task_cancelled_error(const cede_task_t *task);

/* join.c */
void cede__task_resolve_joins(cede_task_t *task);
void cede__task_report_unread(const cede_task_t *task);

/* local.c */

/** Gives a new task the values of the one that spawned it. */
void cede__locals_inherit(cede_task_t *task, const cede_task_t *parent);

/** Its values are not needed any more. */
void cede__locals_drop(cede_task_t *task);

/* group.c */
void cede__group_task_ended(cede_group_t *group, cede_task_t *task);

/** A failed task is not kept any more. */
void cede__task_let_go(cede_task_t *task);

#endif
