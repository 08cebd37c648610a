/*
 * The loop: attaching, running, the ready queue, detaching.
 *
 * Detaching. Every task is cancelled and the loop runs until they have ended:
 * cancels come from the ready queue, shields have deadlines, and those who ignore
 * their end are ended by force. Then other threads are refused, what users left
 * open is closed and child processes have ended, then the library's own handles are
 * closed, and the loop runs until libuv has let go of all.
 */
#include "loop/loop_int.h"

#include <signal.h>

#include <cede/uv.h>

#include "coro/alloc.h"
#include "coro/thread.h"
#include "loop/process.h"
#include "loop/remote.h"
#include "loop/task_int.h"

_Static_assert(CEDE_ECANCELED == UV_ECANCELED && CEDE_EOF == UV_EOF &&
		CEDE_ETIMEDOUT == UV_ETIMEDOUT && CEDE_ENOMEM == UV_ENOMEM,
	"codes must pass through unchanged");

/* ---- the ready queue ---- */

static void drain_idle(uv_idle_t *idle);

void
cede__loop_make_ready(cede_loop_t *loop, cede_task_t *task)
{
	cede__assert(!task->is_ready);
	task->is_ready = 1;
	task->next_ready = NULL;
	if (loop->ready_first)
		loop->ready_last->next_ready = task;
	else
		loop->ready_first = task;
	loop->ready_last = task;
	if (cede__unlikely(loop->depth == 0))
		uv_idle_start(&loop->idle, drain_idle);
}

static void
run_ready(cede_loop_t *loop)
{
	uint64_t began_ns = 0; /* most runs are too short to ask */

	for (unsigned steps = 1; loop->ready_first && steps <= CEDE__LOOP_BUDGET; steps++) {
		cede_task_t *task = loop->ready_first;

		loop->ready_first = task->next_ready;
		task->is_ready = 0;
		cede__task_step(task);
		if (steps % CEDE__LOOP_LOOKS_AT_TIME != 0)
			continue;
		if (began_ns == 0)
			began_ns = uv_hrtime();
		else if (uv_hrtime() - began_ns > CEDE__LOOP_BUDGET_NS)
			break;
	}
}

void
cede__loop_leave(cede_loop_t *loop)
{
	if (loop->depth > 1) {
		loop->depth--;
		return;
	}
	run_ready(loop);
	loop->depth = 0;
	if (cede__unlikely(loop->ready_first != NULL))
		uv_idle_start(&loop->idle, drain_idle);
}

static void
drain_idle(uv_idle_t *idle)
{
	cede_loop_t *loop = idle->data;

	uv_idle_stop(idle);
	cede__loop_enter(loop);
	cede__loop_leave(loop);
}

/* ---- attaching ---- */

/* A write to a connection that was reset is an error to return, not the end of the process. */
static void
ignore_sigpipe(void)
{
	struct sigaction now;

	if (sigaction(SIGPIPE, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
		now.sa_handler == SIG_DFL) {
		now = (struct sigaction){ .sa_handler = SIG_IGN };
		sigaction(SIGPIPE, &now, NULL);
	}
}

int
cede_attach(cede_loop_t **ret_loop, uv_loop_t *uv, const cede_loop_options_t *options)
{
	cede_loop_t *loop;
	int r;

	if (!ret_loop || !uv)
		return CEDE_EINVAL;
	if (!cede__thread())
		return CEDE_ENOMEM;
	loop = cede__alloc_zero(sizeof *loop);
	if (!loop)
		return CEDE_ENOMEM;
	loop->uv = uv;
	loop->now_ms = uv_now(uv);
	loop->works.limit = options && options->work_limit > 0 ? options->work_limit
							       : CEDE__WORK_LIMIT;
	cede__list_init(&loop->tasks);
	cede__list_init(&loop->ignorers);
	cede__list_init(&loop->resources);
	cede__list_init(&loop->children);
	uv_idle_init(uv, &loop->idle); /* these two cannot fail in any libuv */
	loop->idle.data = loop;
	r = cede__timers_init(loop);
	cede__check(r == 0, "uv_timer_init: %s", cede_strerror(r));
	loop->open = 2;

	if (!options || !options->keep_sigpipe)
		ignore_sigpipe();
	*ret_loop = loop;
	return 0;
}

static void
own_handle_closed(uv_handle_t *handle)
{
	cede__loop_closed(handle->data);
}

static void
cancel_all(cede_loop_t *loop)
{
	cede__list_each(link, &loop->tasks)
		cede_task_cancel(cede__container_of(link, cede_task_t, link));
}

static void
close_resources(cede_loop_t *loop)
{
	while (!cede__list_is_empty(&loop->resources)) {
		struct cede__resource *resource =
			cede__container_of(cede__list_first(&loop->resources),
				struct cede__resource, link);

		resource->close(resource);
		cede__assert(cede__list_first(&loop->resources) != &resource->link);
	}
}

static void
bury_ignorers(cede_loop_t *loop)
{
	while (!cede__list_is_empty(&loop->ignorers))
		cede__task_bury(
			cede__container_of(cede__list_first(&loop->ignorers), cede_task_t, link));
}

/* Nothing is left that could wake the tasks there are: a sentence, instead of a wait without end. */
static void
check_can_end(const cede_loop_t *loop)
{
	const cede_task_t *task = NULL;

	if (!cede__list_is_empty(&loop->tasks))
		task = cede__container_of(cede__list_first(&loop->tasks), cede_task_t, link);
	cede__check(!task, "task '%s' (%s) waits in a shield for what can't come any more",
		task->name, cede_task_place(task));
}

int
cede_detach(cede_loop_t *loop)
{
	if (!loop)
		return 0;
	if (loop->depth > 0 || loop->is_detaching || cede_coro_current())
		return CEDE_EDEADLK;

	loop->is_detaching = 1;
	cancel_all(loop);
	while (!cede__list_is_empty(&loop->tasks)) {
		int is_alive = uv_run(loop->uv, UV_RUN_ONCE);

		if (!is_alive && !loop->ready_first)
			check_can_end(loop);
	}

	cede__remote_close(loop); /* until here a task could await what others promised */
	close_resources(loop);
	cede__processes_close(loop); /* while there are timers: a grace may have to pass */
	cede__signals_close(loop);
	uv_close((uv_handle_t *)&loop->idle, own_handle_closed);
	cede__timers_close(loop, own_handle_closed);
	while (loop->open > 0)
		uv_run(loop->uv, UV_RUN_ONCE);

	bury_ignorers(loop); /* last: until here libuv might have pointed into their stacks */
	cede__timers_deinit(loop);
	cede__buffers_deinit(&loop->buffers);
	cede__uv_blocks_deinit(loop);
	cede__works_deinit(&loop->works);
	cede_remote_unref(loop->remote);
	cede__free(loop);
	return 0;
}

uv_loop_t *
cede_loop_uv(const cede_loop_t *loop)
{
	return loop->uv;
}

/* ---- starting ---- */

int
cede_start_at(cede_loop_t *loop, cede_fn *fn, void *arg, cede_done_fn *done, void *data,
	const char *site)
{
	cede_task_t *task;
	int r = cede__task_create(loop, fn, arg, NULL, site, &task);

	if (r < 0)
		return r;
	task->done = done;
	task->data = data;
	return 0;
}

int(cede_start)(cede_loop_t *loop, cede_fn *fn, void *arg, cede_done_fn *done, void *data)
{
	return cede_start_at(loop, fn, arg, done, data, NULL);
}

cede_loop_t *
cede_loop_current(void)
{
	cede_task_t *task = cede_task_current();

	return task ? task->loop : NULL;
}

uint64_t
cede_loop_now(const cede_loop_t *loop)
{
	return uv_now(loop->uv);
}

/* ---- running ---- */

struct main_task {
	uv_loop_t *uv;
	int has_ended;
	int result;
};

static void
main_ended(int result, void *data)
{
	struct main_task *m = data;

	m->has_ended = 1;
	m->result = result;
	uv_stop(m->uv);
}

/*
 * Runs the main task on a loop of our own, then what else it started. Tasks keep
 * it going, not handles: what users left open is closed by the detach.
 * Deadlock: the main task waits, and nothing is left that could wake it.
 */
static int
run_on(uv_loop_t *uv, cede_fn *fn, void *arg, int (*attached)(cede_loop_t *, void *), void *data)
{
	struct main_task m = { .uv = uv };
	cede_loop_t *loop;
	int r = cede_attach(&loop, uv, NULL);

	if (r < 0)
		return r;
	if (attached)
		r = attached(loop, data);
	if (r == 0)
		r = cede_start_at(loop, fn, arg, main_ended, &m, CEDE_SITE("main"));
	if (r == 0) {
		uv_run(uv, UV_RUN_DEFAULT);
		while (m.has_ended && !cede__list_is_empty(&loop->tasks) && uv_run(uv, UV_RUN_ONCE))
			;
		r = m.has_ended ? m.result : CEDE_EDEADLK;
	}
	cede_detach(loop);
	return r;
}

int
cede__run_with(cede_fn *fn, void *arg, int (*attached)(cede_loop_t *, void *), void *data)
{
	struct cede__thread *th = cede__thread();
	uv_loop_t uv;
	int r;

	if (!th)
		return CEDE_ENOMEM;
	if (th->loop || th->current)
		return CEDE_EBUSY;
	r = uv_loop_init(&uv);
	if (r < 0)
		return r;
	th->loop = &uv;
	r = run_on(&uv, fn, arg, attached, data);
	th->loop = NULL;
	cede__check(uv_loop_close(&uv) == 0, "handles were left open in cede_run()'s loop");
	return r;
}

int
cede_run(cede_fn *fn, void *arg)
{
	return cede__run_with(fn, arg, NULL, NULL);
}
