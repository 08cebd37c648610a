/*
 * Scopes: a list a task, innermost first, each with a timer. Entering, leaving
 * and expiring work out anew what the task's awaits return; see task_int.h.
 *
 * They are left in the reverse order of being entered. A group's region is one of
 * them (group.c), and the exception: it is opened somewhere in the block of its
 * group, and stays when the scope is left in which that happened.
 */
#include "loop/scope_int.h"

#include "coro/check.h"
#include "coro/thread.h"
#include "loop/task_int.h"

static void
mark_expired(cede_scope_t *scope)
{
	scope->has_expired = 1;
	scope->code = CEDE_ETIMEDOUT;
}

static void
expire(struct cede__timer *timer)
{
	cede_scope_t *scope = cede__container_of(timer, cede_scope_t, timer);

	mark_expired(scope);
	cede__task_reconsider(scope->task);
}

void
cede__scope_open(cede_scope_t *scope, cede_task_t *task)
{
	scope->is_open = 1;
	scope->task = task;
	scope->outer = task->scope;
	task->scope = scope;
	cede__task_reconsider(task);
}

/* What is entered twice would be around itself. Its memory may hold anything before. */
static void
check_not_open(const cede_scope_t *scope, const cede_task_t *task)
{
	for (const cede_scope_t *s = task->scope; s; s = s->outer)
		cede__check(s != scope, "a scope of task '%s' was entered twice",
			cede_task_name(task));
}

static int
enter(cede_scope_t *scope, int is_shield, uint64_t timeout_ms)
{
	cede_task_t *task = cede_task_current();
	int r;

	if (!task)
		return CEDE_ENOTASK;
	check_not_open(scope, task);
	*scope = (cede_scope_t){ .is_shield = is_shield, .timer = { .fire = expire } };
	if (timeout_ms == 0) {
		mark_expired(scope);
	} else {
		cede__loop_update_time(task->loop);
		r = cede__timer_start(task->loop, &scope->timer, timeout_ms);
		if (r < 0)
			return r;
	}
	cede__scope_open(scope, task);
	return 0;
}

int
cede_scope_enter(cede_scope_t *scope, uint64_t timeout_ms)
{
	return enter(scope, 0, timeout_ms);
}

int
cede_shield_enter(cede_scope_t *scope, uint64_t timeout_ms)
{
	return enter(scope, 1, timeout_ms);
}

void
cede__shield_enter_unbounded(cede_scope_t *scope)
{
	cede_task_t *task = cede_task_current();

	cede__check(task != NULL, "a group with running tasks was left outside its task");
	*scope = (cede_scope_t){ .is_shield = 1 };
	cede__scope_open(scope, task);
}

/* Is it the innermost but for regions of groups? */
static int
is_innermost(const cede_scope_t *scope)
{
	const cede_scope_t *s = scope->task->scope;

	while (s && s != scope && s->is_group)
		s = s->outer;
	return s == scope;
}

void
cede__scope_take_out(cede_scope_t *scope)
{
	cede_task_t *task = scope->task;
	cede_scope_t **at = &task->scope;

	while (*at != scope)
		at = &(*at)->outer;
	*at = scope->outer;
	scope->is_open = 0;
	cede__task_reconsider(task);
}

int
cede_scope_leave(cede_scope_t *scope)
{
	const cede_task_t *task = cede_task_current();

	cede__check(scope->is_open, "a scope was left that is not open");
	cede__check(scope->task == task, "a scope of task '%s' was left by %s%s%s",
		cede_task_name(scope->task), task ? "'" : "nobody's task",
		task ? cede_task_name(task) : "", task ? "'" : "");
	cede__check(is_innermost(scope), "scopes of task '%s' left out of order",
		cede_task_name(task));
	cede__timer_stop(&scope->timer);
	cede__scope_take_out(scope);
	return scope->has_expired;
}

int
cede_scope_reschedule(cede_scope_t *scope, uint64_t timeout_ms)
{
	if (!scope->is_open)
		return CEDE_EINVAL;
	if (scope->has_expired)
		return CEDE_EALREADY;
	cede__timer_stop(&scope->timer);
	if (timeout_ms == 0) {
		expire(&scope->timer);
		return 0;
	}
	cede__loop_update_time(scope->task->loop);
	return cede__timer_start(scope->task->loop, &scope->timer, timeout_ms);
}

int
cede__scope_turn(cede_scope_t *scope, int is_shield, uint64_t timeout_ms)
{
	int r;

	if (scope->task) {
		cede_scope_leave(scope);
		return 0;
	}
	if (scope->code == CEDE_ENOTASK)
		return 0;
	r = enter(scope, is_shield, timeout_ms);
	if (r == CEDE_ENOTASK && cede__thread()->giving_up > 0) {
		scope->code =
			r; /* a deferred call, meant for a task that is no more: awaits say so */
		return 1;
	}
	cede__check(r != CEDE_ENOTASK, "%s outside a task",
		is_shield ? "CEDE_SHIELD" : "CEDE_TIMEOUT");
	if (r < 0) { /* nothing would bound it: it bounds everything */
		*scope = (cede_scope_t){ .is_shield = is_shield, .has_expired = 1, .code = r };
		cede__scope_open(scope, cede_task_current());
	}
	return 1;
}

void
cede__scope_cleanup(cede_scope_t *scope)
{
	if (scope->is_open)
		cede_scope_leave(scope);
}
