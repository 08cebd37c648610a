/*
 * Tasks: making, stepping, ending. Cancelling and joining have files of their own.
 *
 * The life of a task. Created ready; the first step starts its coroutine. Each
 * step runs it to its next await. When the body has returned, finish() keeps the
 * result, tells joiners, the group and the callback, and drops the loop's
 * reference.
 *
 * Cancelled: `refusal` becomes CEDE_EXIT and a waiting task is woken; its step
 * closes the coroutine. A shielded await holds that close up: the coroutine
 * stays suspended in the middle of its close and is sent to when what it awaits
 * is done, like any other.
 *
 * A body that ignores its end is not resumed after so many refusals: it is
 * reported, its task ends with CEDE_EIGNORED, and its stack, which others may
 * point into, is freed with the loop.
 */
#include "loop/task_int.h"

#include <stdio.h>
#include <string.h>

#include "coro/alloc.h"
#include "coro/poison.h"

/* ---- memory ---- */

/* Kept for the next spawn; what a burst took beyond that goes back to the allocator. */
#define FREE_MAX 4096

static cede_task_t *
allocate(cede_loop_t *loop)
{
	cede_task_t *task = loop->free_tasks;

	if (!task)
		return cede__alloc(sizeof *task);
	cede__unpoison(task, sizeof *task);
	loop->free_tasks = task->next_ready;
	loop->free_task_count--;
	return task;
}

/* To the loop that runs, if any: the task's own may be gone. */
static void
deallocate(cede_loop_t *loop, cede_task_t *task)
{
	if (cede__unlikely(!loop || loop->free_task_count >= FREE_MAX)) {
		cede__free(task);
		return;
	}
	task->next_ready = loop->free_tasks;
	loop->free_tasks = task;
	loop->free_task_count++;
	cede__poison(task, sizeof *task); /* whoever looks at it still is told so */
}

void
cede__tasks_deinit(cede_loop_t *loop)
{
	while (loop->free_tasks)
		cede__free(allocate(loop));
}

/* ---- making ---- */

int
cede__task_create(cede_loop_t *loop, cede_fn *fn, void *arg, const cede_spawn_options_t *options,
	const char *site, cede_task_t **ret_task)
{
	static const cede_spawn_options_t defaults;
	const cede_spawn_options_t *o = options ? options : &defaults;
	cede_task_t *task;
	int r;

	if (!fn)
		return CEDE_EINVAL;
	if (loop->is_detaching)
		return CEDE_ESHUTDOWN;
	task = allocate(loop);
	if (!task)
		return CEDE_ENOMEM;
	*task = (cede_task_t){
		.loop = loop,
		.refs = 1,
		.number = ++loop->tasks_made,
		.name = o->name ? o->name
			: site  ? site
				: "?",
		.site = site,
		.value_dtor = o->value_dtor,
	};
	r = cede_coro_create_at(&task->co, fn, arg,
		&(cede_coro_options_t){
			.name = task->name,
			.stack_size = o->stack_size,
			.arg_dtor = o->arg_dtor,
			.value_dtor = o->value_dtor,
		},
		site);
	if (r < 0) {
		deallocate(loop, task);
		return r;
	}

	task->co->task = task;
	cede__list_init(&task->link);
	cede__list_append(&loop->tasks, &task->link);
	*ret_task = task;
	return 0;
}

void
cede__task_begin(cede_task_t *task, int is_eager)
{
	if (!is_eager) {
		cede__task_wake(task);
		return;
	}
	task->is_woken = 1;
	cede__task_step(task);
}

cede_task_t *
cede_task_ref(cede_task_t *task)
{
	task->refs++;
	return task;
}

static void
unref_on(cede_loop_t *loop, cede_task_t *task)
{
	cede__check(task->refs > 0, "task unref'd once too often");
	if (--task->refs > 0)
		return;
	cede__assert(task->is_done && !cede__list_is_linked(&task->link));
	if (cede__unlikely(task->result < 0 && !task->is_read && task->result != CEDE_ECANCELED))
		cede__task_report_unread(task);
	if (task->value && task->value_dtor)
		task->value_dtor(task->value);
	if (cede__unlikely(task->error != NULL))
		cede_error_unref(task->error);
	if (cede__unlikely(task->cancel_error != NULL))
		cede_error_unref(task->cancel_error);
	deallocate(loop, task);
}

cede_task_t *
cede_task_unref(cede_task_t *task)
{
	if (task)
		unref_on(cede_loop_current(), task);
	return NULL;
}

cede_task_t *
cede_task_current(void)
{
	cede_coro_t *self;

	return cede__task_running(&self);
}

int
cede_task_is_done(const cede_task_t *task)
{
	return task->is_done;
}

/* That somebody has asked is no part of what a task is. */
static void
note_read(const cede_task_t *task)
{
	((cede_task_t *)task)->is_read = 1;
}

int
cede_task_result(const cede_task_t *task)
{
	if (!task->is_done)
		return CEDE_EPENDING;
	note_read(task);
	return task->result;
}

const cede_error_t *
cede_task_error(const cede_task_t *task)
{
	if (task->is_done)
		note_read(task);
	return task->error;
}

void *
cede_task_value(const cede_task_t *task)
{
	return task->value;
}

const char *
cede_task_name(const cede_task_t *task)
{
	return task->name;
}

const char *
cede_task_place(const cede_task_t *task)
{
	return task->site ? task->site + strlen(task->site) + 1 : "";
}

void
cede__task_on_end(cede_task_t *task, cede_done_fn *fn, void *data)
{
	task->done = fn;
	task->data = data;
}

/* ---- the end ---- */

static void
finish(cede_task_t *task, int result, void *value)
{
	cede__check(!task->scope, "task '%s' ended %s", task->name,
		task->scope->is_group ? "without leaving its group" : "inside a scope");
	task->is_done = 1;
	task->result = result == CEDE_EXIT ? CEDE_ECANCELED : result;
	task->value = value;
	cede__list_remove(&task->link);
	cede__locals_drop(task);
	task->unheard = cede_task_unref(task->unheard);
	cede__task_resolve_joins(task);
	if (task->group)
		cede__group_task_ended(task->group, task);
	if (task->done) {
		task->is_read = 1;
		if (task->error)
			cede__error_give(cede_error_ref(task->error));
		task->done(task->result, task->data);
	}
}

/* What is behind the code with which the coroutine ended. */
static CEDE__NOINLINE void
keep_error(cede_task_t *task, int result)
{
	cede_error_t *error = cede__error_take(result);

	if (result == CEDE_EXIT && task->cancel_error) {
		cede_error_unref(error);
		error = cede__task_cancelled_error(task);
	}
	task->error = error;
}

/*
 * It left a group without asking what became of it. If it ends with the code that
 * told it so, and not because it was cancelled, what failed there is its own failure:
 * a crash must not look like a cancel to whoever is above.
 */
static CEDE__NOINLINE int
hear_the_unheard(cede_task_t *task, int result)
{
	cede_task_t *failed = task->unheard;

	if (result != CEDE_ECANCELED || task->is_closing)
		return result; /* it is reported */
	failed->is_read = 1;
	cede__error_give(failed->error ? cede_error_ref(failed->error) : NULL);
	return failed->result;
}

/* The coroutine has ended, by whichever verb. */
static void
end(cede_task_t *task, int result, void *value)
{
	if (cede__unlikely(task->unheard != NULL))
		result = hear_the_unheard(task, result);
	if (cede__unlikely(result < 0))
		keep_error(task, result);
	task->co = cede_coro_unref(task->co);
	finish(task, result, value);
	unref_on(task->loop, task);
}

/* The body goes on as if nobody had asked it to end. Its stack stays until the loop goes. */
static void
end_ignoring(cede_task_t *task)
{
	cede_loop_t *loop = task->loop;

	fprintf(stderr, "cede: task '%s' ignored %s and is not resumed any more (%s)\n", task->name,
		task->is_closing                          ? "GeneratorExit"
			: task->refusal == CEDE_ECANCELED ? "that its group has failed"
			: task->refusal < 0               ? "its timeout"
							  : "that a task may only await",
		cede_task_place(task));
	task->is_ignoring = 1;
	task->is_read = 1; /* it was reported */
	for (; task->scope; task->scope = task->scope->outer)
		cede__timer_stop(&task->scope->timer);
	finish(task, CEDE_EIGNORED, NULL);
	cede__list_append(&loop->ignorers, &task->link);
}

void
cede__task_bury(cede_task_t *task)
{
	cede__list_remove(&task->link);
	if (task->co->stack)
		cede__coro_discard(task->co);
	task->co = cede_coro_unref(task->co);
	if (task->is_kept)
		cede__task_let_go(task);
	unref_on(task->loop, task);
}

/* ---- stepping ---- */

/*
 * The task yielded *value, which is not an await. T12. It is told so, until it
 * does something else or has been told too often. Returns what comes of it.
 */
static int
throw_bad_yields(cede_task_t *task, void **value)
{
	int r = 1;

	for (unsigned n = 0; r == 1 && !task->is_waiting && n < CEDE__REFUSALS_MAX; n++) {
		if (*value && task->value_dtor)
			task->value_dtor(*value);
		*value = NULL;
		r = cede_coro_throw(task->co, CEDE_EBADYIELD, value);
	}
	return r;
}

void
cede__task_step(cede_task_t *task)
{
	const int has_started = task->co->mode != CEDE__CORO_CREATED;
	const int is_woken = task->is_woken;
	const int is_dropped = !has_started && task->is_closing; /* its body never runs */
	void *value = NULL;
	int r;

	if (cede__unlikely(task->is_ignoring || (!is_woken && task->refusal == 0)))
		return;
	task->is_woken = 0;
	if (cede__likely(is_woken && !is_dropped))
		r = cede_coro_send(task->co, NULL, &value);
	else if (task->refusal == CEDE_EXIT)
		r = cede__coro_close_told(task->co, &value);
	else
		r = cede_coro_throw(task->co, task->refusal, &value);

	if (cede__likely(task->is_waiting))
		return;
	if (r == 1 && !task->is_ignoring)
		r = throw_bad_yields(task, &value);
	if (task->is_waiting)
		return;
	if (task->is_ignoring) {
		end_ignoring(task);
		return;
	}
	if (cede__unlikely(task->co->mode == CEDE__CORO_CREATED)) {
		cede_coro_close(task->co, NULL); /* no stack was to be had: its argument goes */
	} else if (task->co->mode != CEDE__CORO_CLOSED) {
		if (value && task->value_dtor)
			task->value_dtor(value);
		end_ignoring(task); /* it yielded while it was being closed, or all the time */
		return;
	}
	if (is_dropped)
		r = CEDE_EXIT;
	end(task, r, value);
}

int
cede__task_suspend(cede_task_t *task, cede_coro_t *self)
{
	int r;

	task->refused = 0;
	task->at_once = 0;
	task->is_waiting = 1;
	r = cede__coro_yield_shielded(self, NULL);
	task->is_waiting = 0;
	if (cede__unlikely(r == CEDE_EXIT && task->cancel_error))
		cede__task_tell_reason(task);
	return r;
}

CEDE__NOINLINE void
cede__task_give_way(cede_task_t *task, cede_coro_t *self)
{
	task->at_once = 0;
	if (task->refusal < 0)
		return;
	cede__task_wake(task);
	if (cede__task_suspend(task, self) < 0)
		return; /* said again by the next await */
}

CEDE__NOINLINE int
cede__task_refused(cede_task_t *task, cede_coro_t *self)
{
	if (task->refusal == CEDE_EXIT && task->cancel_error)
		cede__task_tell_reason(task);
	if (++task->refused <= CEDE__REFUSALS_MAX)
		return task->refusal;

	task->is_ignoring = 1;
	(void)cede__coro_yield_shielded(self, NULL);
	cede__check(0, "task '%s' was resumed after it had ended", task->name);
	return task->refusal;
}

int
cede__await_admit(cede_loop_t **ret_loop)
{
	cede_coro_t *self;
	cede_task_t *task = cede__task_running(&self);

	if (cede__unlikely(!task))
		return CEDE_ENOTASK;
	*ret_loop = task->loop;
	return cede__unlikely(task->refusal < 0) ? cede__task_refused(task, self) : 0;
}
