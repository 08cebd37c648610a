/*
 * Joins: waits for the end of a task, in a ring of its own; and what is said of a
 * failed task that nobody has joined or asked.
 */
#include <stdio.h>

#include "loop/task_int.h"

static void
link_join(cede_task_t *task, cede_join_t *op)
{
	cede_join_t *first = task->joins;

	op->task = task;
	op->next = first ? first : op;
	op->prev = first ? first->prev : op;
	op->prev->next = op;
	op->next->prev = op;
	if (!first)
		task->joins = op;
}

static void
unlink_join(cede_join_t *op)
{
	cede_task_t *task = op->task;

	if (task->joins == op)
		task->joins = op->next != op ? op->next : NULL;
	op->prev->next = op->next;
	op->next->prev = op->prev;
	op->task = NULL;
}

void
cede__task_resolve_joins(cede_task_t *task)
{
	while (task->joins) {
		cede_join_t *op = task->joins;

		unlink_join(op);
		task->is_read = 1;
		cede_future_resolve(&op->future, task->result, task->value);
	}
}

static void
cancel_join(cede_future_t *future)
{
	unlink_join(cede__container_of(future, cede_join_t, future));
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_join_start(cede_task_t *task, cede_join_t *op)
{
	if (task == cede_task_current())
		return CEDE_EDEADLK;
	cede_future_init(&op->future, cancel_join);
	if (task->is_done) {
		task->is_read = 1;
		cede_future_resolve(&op->future, task->result, task->value);
		return 0;
	}
	link_join(task, op);
	return 0;
}

int
cede_join(cede_task_t *task, void **ret_value)
{
	cede_join_t op;
	int r = task->is_done || cede_task_current() ? cede_join_start(task, &op) : CEDE_ENOTASK;

	if (r < 0)
		return r;
	cede_task_ref(task); /* it must be there to be looked at when it has ended */
	r = cede_await(&op.future);
	if (r >= 0 && ret_value)
		*ret_value = op.future.value;
	if (r < 0 && task->error && r == task->result)
		cede__error_give(cede_error_ref(task->error));
	cede_task_unref(task);
	return r;
}

/* ---- errors that nobody asked for ---- */

static _Thread_local struct {
	cede_unread_fn *fn;
	void *data;
} unread_hook;

void
cede_set_unread_hook(cede_unread_fn *fn, void *data)
{
	unread_hook.fn = fn;
	unread_hook.data = data;
}

void
cede__task_report_unread(const cede_task_t *task)
{
	const cede_error_t *error = task->error;
	const char *place = cede_error_place(error);

	if (unread_hook.fn) {
		unread_hook.fn(task, task->result, unread_hook.data);
		return;
	}
	fprintf(stderr, "cede: task '%s' (%s) failed and nobody asked: %s%s%s%s\n",
		cede_task_name(task), cede_task_place(task),
		error ? cede_error_message(error) : cede_strerror(task->result), *place ? " (" : "",
		place, *place ? ")" : "");
}
