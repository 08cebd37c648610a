/*
 * Child processes. This layer knows descriptors; streams are net/process_stdio.c's.
 *
 * Life. Spawned: libuv watches for its end and reaps it, by its pid. Ended: every
 * wait is resolved, the handle is closed, the status stays until the owner closes.
 * Closed before its end: it is asked to end, in the background; the memory stays
 * until it has ended and libuv has let go.
 *
 * Ending goes through stages, never back:
 *
 *     RUNS --begin_end--> ASKED --grace passes--> KILLED
 *
 * each left by the end. In KILLED the timer goes on: a child that somebody else has
 * reaped never ends for libuv, and a detach would wait for it for ever.
 *
 * A pid is a child's own until it was reaped. libuv reaps several at once and then
 * reports them one by one, so a child that it has not reported may have been
 * reaped: before a signal is sent the system is asked whether that is so.
 *
 * Invariants
 * - is_running: it is in cede_loop::children, and its handle is open.
 * - The handle keeps the loop alive while somebody waits or the child is being ended.
 */
#include "loop/process.h"

#include <signal.h>
#include <sys/wait.h>

#include "coro/alloc.h"
#include "coro/check.h"
#include "loop/scope_int.h"
#include "loop/task_int.h"

#define GRACE_MS_DEFAULT 5000
#define LOOKS_AGAIN_MS   1000

enum { RUNS, ASKED, KILLED };

/* ---- life ---- */

static void
unref(cede_process_t *p)
{
	if (--p->refs == 0)
		cede__free(p);
}

static void
handle_closed(uv_handle_t *handle)
{
	cede_process_t *p = handle->data;

	cede__loop_closed(p->loop);
	unref(p);
}

static void
update_ref(cede_process_t *p)
{
	if (p->waits || p->stage != RUNS)
		uv_ref((uv_handle_t *)&p->uv);
	else
		uv_unref((uv_handle_t *)&p->uv);
}

/* libuv lets go of it. */
static void
let_go(cede_process_t *p)
{
	p->is_running = 0;
	cede__timer_unreserve(p->loop, &p->grace);
	cede__list_remove(&p->link);
	uv_close((uv_handle_t *)&p->uv, handle_closed);
}

static void
unlink_wait(cede_process_wait_t *op)
{
	cede_process_t *p = op->process;

	if (p->waits == op)
		p->waits = op->next != op ? op->next : NULL;
	op->prev->next = op->next;
	op->next->prev = op->prev;
}

static void
resolve_waits(cede_process_t *p, int result)
{
	while (p->waits) {
		cede_process_wait_t *op = p->waits;

		unlink_wait(op);
		op->status = p->status;
		cede_future_resolve(&op->future, result, NULL);
	}
}

static void
note_end(cede_process_t *p, int result, cede_process_status_t status)
{
	p->result = result;
	p->status = status;
	let_go(p);
	resolve_waits(p, result);
}

static void
ended(uv_process_t *uv, int64_t exit_code, int signal_number)
{
	cede_process_t *p = uv->data;
	cede_loop_t *loop = p->loop;

	if (!p->is_running)
		return; /* reaped with another, in whose callback a detach has let go of it */
	cede__loop_enter(loop);
	note_end(p, 0, (cede_process_status_t){ (int)exit_code, signal_number });
	cede__loop_leave(loop); /* may close the process */
}

/* ---- signals ---- */

/* 0: it runs, and its pid is its own; CEDE_ESRCH: it has ended; CEDE_ECHILD: and was reaped. */
static int
look_at(const cede_process_t *p)
{
	siginfo_t info = { 0 };
	int r;

	do {
		r = waitid(P_PID, (id_t)p->uv.pid, &info, WEXITED | WNOHANG | WNOWAIT);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return info.si_pid == 0 ? 0 : CEDE_ESRCH;
}

static int
send_signal(const cede_process_t *p, int number, int to_group)
{
	int r = p->is_running ? look_at(p) : CEDE_ESRCH;

	if (r == 0 && kill(to_group ? -p->uv.pid : p->uv.pid, number) < 0)
		r = -errno;
	return r;
}

int
cede_process_signal(cede_process_t *p, int number)
{
	return send_signal(p, number, 0);
}

static void
enter_stage(cede_process_t *p, int stage, int number, uint64_t look_again_ms)
{
	p->stage = (uint8_t)stage;
	(void)send_signal(p, number, p->has_session); /* one that has ended will be reported */
	(void)cede__timer_start(p->loop, &p->grace, look_again_ms); /* reserved */
}

void
cede__process_begin_end(cede_process_t *p)
{
	if (!p->is_running || p->stage != RUNS)
		return;
	cede__loop_update_time(p->loop);
	if (p->stop_signal == SIGKILL)
		enter_stage(p, KILLED, SIGKILL, LOOKS_AGAIN_MS);
	else
		enter_stage(p, ASKED, p->stop_signal, p->grace_ms);
	update_ref(p);
}

static void
grace_passes(struct cede__timer *timer)
{
	cede_process_t *p = cede__container_of(timer, cede_process_t, grace);

	if (look_at(p) == CEDE_ECHILD)
		note_end(p, CEDE_ECHILD, (cede_process_status_t){ 0 });
	else
		enter_stage(p, KILLED, SIGKILL, LOOKS_AGAIN_MS);
}

/* ---- spawning ---- */

static void
close_left_open(struct cede__resource *resource)
{
	cede_process_close(cede__container_of(resource, cede_process_t, resource));
}

int
cede__process_create(cede_loop_t *loop, const cede_process_options_t *o,
	cede_process_t **ret_process)
{
	cede_process_t *p;
	int r;

	if (!o || (!o->file && !(o->argv && o->argv[0])))
		return CEDE_EINVAL;
	if (o->stop_signal < 0 || o->stop_signal >= NSIG)
		return CEDE_EINVAL;
	p = cede__alloc_zero(sizeof *p);
	if (!p)
		return CEDE_ENOMEM;
	p->grace = (struct cede__timer){ .fire = grace_passes, .is_weak = 1 };
	r = cede__timer_reserve(loop, &p->grace);
	if (r < 0) {
		cede__free(p);
		return r;
	}

	p->loop = loop;
	p->refs = 1;
	p->is_kept = o->keep != 0;
	p->has_session = o->new_session != 0;
	p->stop_signal = o->stop_signal ? o->stop_signal : SIGTERM;
	p->grace_ms = o->grace_ms ? o->grace_ms : GRACE_MS_DEFAULT;
	p->resource.close = close_left_open;
	cede__list_init(&p->resource.link);
	cede__list_init(&p->link);
	*ret_process = p;
	return 0;
}

void
cede__process_discard(cede_process_t *p)
{
	if (p->close_stdio)
		p->close_stdio(p);
	cede__timer_unreserve(p->loop, &p->grace);
	unref(p);
}

static uv_process_options_t
options_for_libuv(const cede_process_options_t *o, const char *args[2], const int fds[3],
	uv_stdio_container_t stdio[3])
{
	const char *file = o->file ? o->file : o->argv[0];

	args[0] = file;
	args[1] = NULL;
	for (int i = 0; i < 3; i++) {
		stdio[i].flags = fds[i] < 0 ? UV_IGNORE : UV_INHERIT_FD;
		stdio[i].data.fd = fds[i];
	}
	return (uv_process_options_t){
		.exit_cb = ended,
		.file = file,
		.args = (char **)(o->argv ? o->argv : args), /* libuv's are const in all but name */
		.env = (char **)o->env,
		.cwd = o->cwd,
		.flags = (o->new_session ? UV_PROCESS_DETACHED : 0u) |
			(o->set_uid ? UV_PROCESS_SETUID : 0u) |
			(o->set_gid ? UV_PROCESS_SETGID : 0u),
		.uid = o->uid,
		.gid = o->gid,
		.stdio_count = 3,
		.stdio = stdio,
	};
}

int
cede__process_exec(cede_process_t *p, const cede_process_options_t *o, const int fds[3])
{
	uv_stdio_container_t stdio[3];
	const char *args[2];
	uv_process_options_t options = options_for_libuv(o, args, fds, stdio);
	int r = uv_spawn(p->loop->uv, &p->uv, &options);

	/* Failed or not, libuv knows the handle. */
	cede__loop_opened(p->loop);
	p->uv.data = p;
	p->refs++;
	if (r < 0) {
		uv_close((uv_handle_t *)&p->uv, handle_closed);
		cede__process_discard(p);
		return r;
	}
	p->is_running = 1;
	cede__list_append(&p->loop->children, &p->link);
	cede__list_prepend(&p->loop->resources, &p->resource.link); /* before its pipes */
	update_ref(p);
	return 0;
}

int
cede_process_pid(const cede_process_t *p)
{
	return p->uv.pid;
}

/* ---- waiting ---- */

static void
cancel_wait(cede_future_t *future)
{
	cede_process_wait_t *op = cede__container_of(future, cede_process_wait_t, future);

	unlink_wait(op);
	update_ref(op->process);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_process_wait_start(cede_process_t *p, cede_process_wait_t *op)
{
	cede_process_wait_t *first = p->waits;

	if (!cede_task_current())
		return CEDE_ENOTASK;
	cede_future_init(&op->future, cancel_wait);
	op->process = p;
	op->status = p->status;
	if (!p->is_running) {
		cede_future_resolve(&op->future, p->result, NULL);
		return 0;
	}

	op->next = first ? first : op;
	op->prev = first ? first->prev : op;
	op->prev->next = op;
	op->next->prev = op;
	if (!first)
		p->waits = op;
	update_ref(p);
	return 0;
}

int
cede_process_wait(cede_process_t *p, cede_process_status_t *ret_status)
{
	cede_process_wait_t op;
	int r = cede_process_wait_start(p, &op);

	if (r == 0)
		r = cede_await(&op.future);
	if (r == 0 && ret_status)
		*ret_status = op.status;
	return r;
}

/* ---- the end ---- */

int
cede_process_stop(cede_process_t *p)
{
	cede_process_wait_t op;
	cede_scope_t shield;
	int r;

	cede__process_begin_end(p);
	r = cede_process_wait_start(p, &op);
	if (r < 0)
		return r;
	cede__shield_enter_unbounded(&shield); /* the grace bounds it */
	r = cede_await(&op.future);
	cede_scope_leave(&shield);
	return r;
}

void
cede_process_close(cede_process_t *p)
{
	if (!p)
		return;
	cede__check(!p->is_closed, "a process was closed twice");
	p->is_closed = 1;
	cede__list_remove(&p->resource.link);
	if (!p->is_kept)
		cede__process_begin_end(p); /* first: it is not to end of a closed pipe */
	if (p->close_stdio)
		p->close_stdio(p);
	resolve_waits(p, CEDE_ECANCELED);
	if (p->is_running)
		update_ref(p);
	unref(p);
}

void
cede__processes_let_go(cede_loop_t *loop)
{
	cede__list_each_safe(link, &loop->children) {
		cede_process_t *p = cede__container_of(link, cede_process_t, link);

		if (p->stage == RUNS)
			let_go(p);
	}
}
