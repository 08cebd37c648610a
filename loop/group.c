/*
 * Groups: a list of the tasks that run, a count, and a future for "none is left".
 *
 * Leaving always waits, also in a task that is being closed: inside a shield of
 * its own, without a deadline, since every task of the group has been asked to
 * end and those that ignore it are ended by force.
 */
#include <cede/group.h>

#include "loop/scope_int.h"
#include "loop/task_int.h"

cede_group_t
cede__group_make(void)
{
	return (cede_group_t){ .owner = cede_task_current() };
}

void
cede_group_init(cede_group_t *group)
{
	*group = cede__group_make();
}

static void
link_task(cede_group_t *group, cede_task_t *task)
{
	task->group = group;
	task->prev = group->last;
	if (group->last)
		group->last->next = task;
	else
		group->first = task;
	group->last = task;
	group->running++;
}

static void
unlink_task(cede_group_t *group, cede_task_t *task)
{
	if (task->prev)
		task->prev->next = task->next;
	else
		group->first = task->next;
	if (task->next)
		task->next->prev = task->prev;
	else
		group->last = task->prev;
	task->group = NULL;
	task->prev = task->next = NULL;
	group->running--;
}

int
cede_spawn_at(cede_group_t *group, cede_fn *fn, void *arg, const cede_spawn_options_t *options,
	cede_task_t **ret_task, const char *site)
{
	cede_task_t *parent = cede_task_current(), *task;
	int r;

	if (!parent)
		r = CEDE_ENOTASK;
	else if (group->is_closing)
		r = CEDE_ECANCELED;
	else
		r = cede__task_create(parent->loop, fn, arg, options, site, &task);
	if (r < 0) {
		if (options && options->arg_dtor)
			options->arg_dtor(arg);
		return r;
	}

	if (!group->owner)
		group->owner = parent;
	link_task(group, task);
	if (ret_task)
		*ret_task = cede_task_ref(task);
	return 0;
}

int(cede_spawn_with)(cede_group_t *group, cede_fn *fn, void *arg,
	const cede_spawn_options_t *options, cede_task_t **ret_task)
{
	return cede_spawn_at(group, fn, arg, options, ret_task, NULL);
}

int(cede_spawn)(cede_group_t *group, cede_fn *fn, void *arg)
{
	return cede_spawn_at(group, fn, arg, NULL, NULL, NULL);
}

int
cede_spawn_own(cede_group_t *group, cede_fn *fn, void *arg, cede_dtor_fn *arg_dtor)
{
	cede_spawn_options_t options = { .arg_dtor = arg_dtor };

	return cede_spawn_at(group, fn, arg, &options, NULL, NULL);
}

static void
cancel_tasks(cede_group_t *group)
{
	for (cede_task_t *task = group->first; task; task = task->next)
		cede_task_cancel(task);
}

void
cede_group_cancel(cede_group_t *group)
{
	group->is_closing = 1;
	cancel_tasks(group);
}

void
cede__group_task_ended(cede_group_t *group, cede_task_t *task)
{
	unlink_task(group, task);
	if (task->result < 0 && task->result != CEDE_ECANCELED) {
		group->failed++;
		if (group->first_error == 0)
			group->first_error = task->result;
		if (group->policy == CEDE_GROUP_CANCEL_SIBLINGS)
			cancel_tasks(group);
	}
	if (group->running == 0 && group->has_waiter)
		cede_future_resolve(&group->empty, 0, NULL);
}

/* 0 when none is left, or the code of a wait given up. */
CEDE_SUSPENDS static int
wait_until_empty(cede_group_t *group)
{
	int r = 0;

	while (group->running > 0 && r == 0) {
		cede_future_init(&group->empty, NULL);
		group->has_waiter = 1;
		r = cede_await(&group->empty);
		group->has_waiter = 0;
	}
	return r;
}

int
cede_group_leave(cede_group_t *group)
{
	group->is_closing = 1;
	if (group->running > 0) {
		cede_scope_t shield;
		int r;

		cancel_tasks(group);
		cede__shield_enter_unbounded(&shield);
		r = wait_until_empty(group);
		cede_scope_leave(&shield);
		cede__check(r == 0, "a group was left outside its task");
	}
	return group->first_error;
}

int
cede_group_wait(cede_group_t *group)
{
	const cede_task_t *task = cede_task_current();
	int r;

	if (group->running > 0 && !task)
		return CEDE_ENOTASK;
	if (group->running > 0 && task != group->owner)
		return CEDE_EPERM; /* it may be gone when that one wakes */
	r = wait_until_empty(group);
	if (r < 0) {
		cede_group_leave(group);
		return r;
	}
	return group->first_error;
}

void
cede__group_cleanup(cede_group_t *group)
{
	cede_group_leave(group);
}
