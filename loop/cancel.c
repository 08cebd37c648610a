/*
 * Cancelling: what a task's awaits return at once, and why.
 *
 * A cancel is a mark and a turn in the ready queue; the step closes the
 * coroutine (task.c). Its reason is a sentence of the library's, or an error
 * object that was made of the caller's words: whoever cancels first is heard.
 */
#include "loop/task_int.h"

#include "coro/thread.h"

static int
work_out_refusal(const cede_task_t *task)
{
	int code = 0; /* of the innermost that has expired */

	for (const cede_scope_t *s = task->scope; s; s = s->outer) {
		if (s->is_shield && !s->has_expired)
			return code;
		if (!s->is_shield && s->has_expired && code == 0)
			code = s->code;
	}
	return task->is_closing ? CEDE_EXIT : code;
}

void
cede__task_reconsider(cede_task_t *task)
{
	task->refusal = work_out_refusal(task);
	if (task->refusal == 0 && !task->is_closing)
		task->refused = 0; /* it heeded them: the scope that refused is left */
	if (task->refusal < 0 && task->is_waiting && !task->is_ready)
		cede__loop_make_ready(task->loop, task);
}

int
cede__task_cancel_as(cede_task_t *task, const char *why)
{
	if (task->is_done || task->is_closing)
		return 0;
	task->is_closing = 1;
	task->cancel_reason = why;
	cede__task_reconsider(task);
	return 1;
}

int
cede_task_cancel(cede_task_t *task)
{
	return cede__task_cancel_as(task, "");
}

int
cede_task_cancel_with(cede_task_t *task, const char *reason)
{
	if (!cede__task_cancel_as(task, ""))
		return 0;
	task->cancel_error = cede_error_create(CEDE_EXIT, reason, NULL, NULL);
	return 1;
}

const char *
cede_task_cancel_reason(const cede_task_t *task)
{
	if (task->cancel_error)
		return cede_error_message(task->cancel_error);
	return task->cancel_reason ? task->cancel_reason : "";
}

void
cede__task_tell_reason(const cede_task_t *task)
{
	cede__error_give(cede_error_ref(task->cancel_error));
}

cede_error_t *
cede__task_cancelled_error(const cede_task_t *task)
{
	return cede_error_create(CEDE_ECANCELED, cede_error_message(task->cancel_error), NULL,
		NULL);
}
