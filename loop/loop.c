/*
 * The loop: attaching, running, the ready queue, detaching.
 *
 * Detaching goes on in the host's own turns of the loop; cede_detach() gives it those
 * turns itself. Four phases, each begun when what is ready has run:
 *
 *   draining  Every task is cancelled. Cancels come from the ready queue, shields have
 *             deadlines, and those who ignore their end are ended by force. Over when
 *             the queue has been run and no task is left; the idle handle sees to it
 *             that this is looked at when there was none.
 *   emptying  Other threads are refused, what users left open is closed. Over when the
 *             child processes that were asked to end have ended.
 *   closing   The library's own handles are closed but for the idle handle. Over when
 *             libuv has let go of all of them, and of the requests it has.
 *   the last  The idle handle closes. In its callback libuv has nothing of ours any
 *             more and no function of ours is under way: all is freed, the host is told.
 */
#include "loop/loop_int.h"

#include <signal.h>

#include <cede/uv.h>

#include "coro/alloc.h"
#include "coro/thread.h"
#include "loop/process.h"
#include "loop/remote.h"
#include "loop/task_int.h"
#include "loop/testing_int.h"

_Static_assert(CEDE_ECANCELED == UV_ECANCELED && CEDE_EOF == UV_EOF &&
		CEDE_ETIMEDOUT == UV_ETIMEDOUT && CEDE_ENOMEM == UV_ENOMEM,
	"codes must pass through unchanged");
_Static_assert(CEDE_EAI_ADDRFAMILY == UV_EAI_ADDRFAMILY && CEDE_EAI_AGAIN == UV_EAI_AGAIN &&
		CEDE_EAI_BADFLAGS == UV_EAI_BADFLAGS && CEDE_EAI_FAIL == UV_EAI_FAIL &&
		CEDE_EAI_FAMILY == UV_EAI_FAMILY && CEDE_EAI_NODATA == UV_EAI_NODATA &&
		CEDE_EAI_NONAME == UV_EAI_NONAME && CEDE_EAI_OVERFLOW == UV_EAI_OVERFLOW &&
		CEDE_EAI_SERVICE == UV_EAI_SERVICE && CEDE_EAI_SOCKTYPE == UV_EAI_SOCKTYPE,
	"codes must pass through unchanged");

/* ---- the ready queue ---- */

static void drain_idle(uv_idle_t *idle);
static void go_on_detaching(cede_loop_t *loop);

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
	if (cede__unlikely(loop->testing != NULL))
		cede__testing_run_ready(loop);
	else
		run_ready(loop);
	loop->depth = 0;
	if (cede__unlikely(loop->ready_first != NULL))
		uv_idle_start(&loop->idle, drain_idle);
	else if (cede__unlikely(loop->is_detaching) && !loop->is_closing)
		go_on_detaching(loop);
}

/* In a call of the host's, which runs one task and no other: the rest is for a turn of the loop. */
static void
leave_for_later(cede_loop_t *loop)
{
	loop->depth--;
	if (loop->depth == 0 && (loop->ready_first || loop->is_detaching))
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
	cede__list_init(&loop->failed);
	cede__list_init(&loop->ignorers);
	cede__list_init(&loop->resources);
	cede__list_init(&loop->children);
	cede__list_init(&loop->lookups.waiting);
	uv_idle_init(uv, &loop->idle); /* these two cannot fail in any libuv */
	loop->idle.data = loop;
	r = cede__timers_init(loop);
	cede__check(r == 0, "uv_timer_init: %s", cede_strerror(r));
	loop->open = 2; /* with these */

	if (!options || !options->keep_sigpipe)
		ignore_sigpipe();
	*ret_loop = loop;
	return 0;
}

/* ---- detaching ---- */

static void
cancel_all(cede_loop_t *loop)
{
	cede__list_each(link, &loop->tasks)
		cede__task_cancel_as(cede__container_of(link, cede_task_t, link),
			"the loop is being detached");
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

/* Of groups that were waited for and not left. */
static void
let_go_of_failed(cede_loop_t *loop)
{
	while (!cede__list_is_empty(&loop->failed))
		cede__task_let_go(
			cede__container_of(cede__list_first(&loop->failed), cede_task_t, link));
}

/* Nobody who runs needs any more what those would have given back at their end. */
static void
call_deferred_of_ignorers(cede_loop_t *loop)
{
	cede__list_each(link, &loop->ignorers)
		cede__coro_call_deferred(cede__container_of(link, cede_task_t, link)->co);
}

static void
bury_ignorers(cede_loop_t *loop)
{
	while (!cede__list_is_empty(&loop->ignorers))
		cede__task_bury(
			cede__container_of(cede__list_first(&loop->ignorers), cede_task_t, link));
}

static void
last_handle_closed(uv_handle_t *handle)
{
	cede_loop_t *loop = handle->data;
	cede_detached_fn *done = loop->detached;
	void *data = loop->detached_data;

	let_go_of_failed(loop);
	bury_ignorers(loop); /* until here libuv might have pointed into their stacks */
	cede__timers_deinit(loop);
	cede__buffers_deinit(&loop->buffers);
	cede__uv_blocks_deinit(loop);
	cede__works_deinit(&loop->works);
	cede__file_blocks_deinit(&loop->files);
	cede__tasks_deinit(loop);
	cede_remote_unref(loop->remote);
	if (loop->testing)
		cede__testing_deinit(loop->testing);
	cede__free(loop);
	if (done)
		done(data);
}

void
cede__loop_end_closing(cede_loop_t *loop)
{
	cede__assert(loop->is_closing);
	uv_close((uv_handle_t *)&loop->idle, last_handle_closed);
}

static void
timers_closed(uv_handle_t *handle)
{
	cede__loop_closed(handle->data);
}

/* No task is left. */
static void
empty(cede_loop_t *loop)
{
	loop->is_emptied = 1;
	call_deferred_of_ignorers(loop); /* first: what they close is still there */
	if (loop->testing)
		cede__testing_report_left(loop);
	cede__remote_close(loop); /* until here a task could await what others promised */
	close_resources(loop);
	cede__processes_let_go(loop);
}

/* No child is left that has to end: until here there were timers, for their grace. */
static void
close_handles(cede_loop_t *loop)
{
	loop->is_closing = 1;
	if (loop->testing)
		cede__testing_close(loop);
	cede__signals_close(loop);
	cede__timers_close(loop, timers_closed);
}

/* The queue has been run. Is it time for the next phase? */
static void
go_on_detaching(cede_loop_t *loop)
{
	if (!loop->is_emptied && cede__list_is_empty(&loop->tasks)) {
		loop->depth++; /* what that calls must not come back here */
		empty(loop);
		loop->depth--;
	}
	if (loop->is_emptied && cede__list_is_empty(&loop->children))
		close_handles(loop);
}

int
cede_detach_start(cede_loop_t *loop, cede_detached_fn *done, void *data)
{
	if (!loop)
		return CEDE_EINVAL;
	if (loop->is_detaching)
		return CEDE_EALREADY;
	if (loop->is_run)
		return CEDE_EPERM;
	loop->is_detaching = 1;
	loop->detached = done;
	loop->detached_data = data;
	if (loop->testing)
		cede__testing_detaching(loop);
	cancel_all(loop);
	if (loop->depth == 0)
		uv_idle_start(&loop->idle, drain_idle);
	return 0;
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

static void
set_flag(void *data)
{
	*(int *)data = 1;
}

int
cede_detach(cede_loop_t *loop)
{
	int is_detached = 0;
	uv_loop_t *uv;

	if (!loop)
		return 0;
	if (loop->depth > 0 || cede_coro_current() ||
		cede_detach_start(loop, set_flag, &is_detached) < 0)
		return CEDE_EDEADLK;

	uv = loop->uv;
	while (!is_detached)
		if (!uv_run(uv, UV_RUN_ONCE) && !is_detached)
			check_can_end(loop);
	return 0;
}

uv_loop_t *
cede_loop_uv(const cede_loop_t *loop)
{
	return loop->uv;
}

/* ---- starting ---- */

int
cede_start_with_at(cede_loop_t *loop, cede_fn *fn, void *arg, const cede_spawn_options_t *options,
	cede_done_fn *done, void *data, cede_task_t **ret_task, const char *site)
{
	cede_task_t *task;
	int r = cede__task_create(loop, fn, arg, options, site, &task);

	if (r < 0) {
		if (options && options->arg_dtor)
			options->arg_dtor(arg);
		return r;
	}
	task->done = done;
	task->data = data;
	if (ret_task)
		*ret_task = cede_task_ref(task);
	if (!options || !options->is_eager) {
		cede__task_begin(task, 0);
		return 0;
	}
	cede__loop_enter(loop);
	cede__task_begin(task, 1);
	leave_for_later(loop);
	return 0;
}

int(cede_start_with)(cede_loop_t *loop, cede_fn *fn, void *arg, const cede_spawn_options_t *options,
	cede_done_fn *done, void *data, cede_task_t **ret_task)
{
	return cede_start_with_at(loop, fn, arg, options, done, data, ret_task, NULL);
}

int
cede_start_at(cede_loop_t *loop, cede_fn *fn, void *arg, cede_done_fn *done, void *data,
	const char *site)
{
	return cede_start_with_at(loop, fn, arg, NULL, done, data, NULL, site);
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
	return cede__loop_read_time(loop);
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
	loop->is_run = 1;
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
	loop->is_run = 0;
	cede_detach(loop);
	if (attached)
		uv_run(uv, UV_RUN_NOWAIT); /* the test kit has closed what it found open */
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
