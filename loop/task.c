/*
 * Tasks: making, stepping, cancelling, joining.
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
	task = cede__alloc(sizeof *task);
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
		cede__free(task);
		return r;
	}

	task->co->task = task;
	cede__list_init(&task->link);
	cede__list_append(&loop->tasks, &task->link);
	cede__task_wake(task);
	*ret_task = task;
	return 0;
}

cede_task_t *
cede_task_ref(cede_task_t *task)
{
	task->refs++;
	return task;
}

cede_task_t *
cede_task_unref(cede_task_t *task)
{
	if (!task)
		return NULL;
	cede__check(task->refs > 0, "task unref'd once too often");
	if (--task->refs > 0)
		return NULL;
	cede__assert(task->is_done && !cede__list_is_linked(&task->link));
	if (task->value && task->value_dtor)
		task->value_dtor(task->value);
	cede__free(task);
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

int
cede_task_result(const cede_task_t *task)
{
	return task->is_done ? task->result : CEDE_EPENDING;
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

static void
resolve_joins(cede_task_t *task)
{
	while (task->joins) {
		cede_join_t *op = task->joins;

		unlink_join(op);
		cede_future_resolve(&op->future, task->result, task->value);
	}
}

static void
finish(cede_task_t *task, int result, void *value)
{
	cede__check(!task->scope, "task '%s' ended inside a scope", task->name);
	task->is_done = 1;
	task->result = result == CEDE_EXIT ? CEDE_ECANCELED : result;
	task->value = value;
	cede__list_remove(&task->link);
	resolve_joins(task);
	if (task->group)
		cede__group_task_ended(task->group, task);
	if (task->done)
		task->done(task->result, task->data);
}

/* The coroutine has ended, by whichever verb. */
static void
end(cede_task_t *task, int result, void *value)
{
	task->co = cede_coro_unref(task->co);
	finish(task, result, value);
	cede_task_unref(task);
}

/* The body goes on as if nobody had asked it to end. Its stack stays until the loop goes. */
static void
end_ignoring(cede_task_t *task)
{
	cede_loop_t *loop = task->loop;

	fprintf(stderr, "cede: task '%s' ignored %s and is not resumed any more (%s)\n", task->name,
		task->is_closing            ? "GeneratorExit"
			: task->refusal < 0 ? "its timeout"
					    : "that a task may only await",
		cede_task_place(task));
	task->is_ignoring = 1;
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
	cede_task_unref(task);
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

/* ---- cancelling ---- */

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
cede_task_cancel(cede_task_t *task)
{
	if (task->is_done || task->is_closing)
		return 0;
	task->is_closing = 1;
	cede__task_reconsider(task);
	return 1;
}

/* ---- joining ---- */

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
	int r = cede_join_start(task, &op);

	if (r < 0)
		return r;
	cede_task_ref(task); /* it must be there to be looked at when it has ended */
	r = cede_await(&op.future);
	if (r >= 0 && ret_value)
		*ret_value = op.future.value;
	cede_task_unref(task);
	return r;
}
