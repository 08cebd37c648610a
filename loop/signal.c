/*
 * Signals: one uv_signal_t a loop and signal, shared by all who wait.
 *
 * The handle is started by the first wait and stopped by the last, so that a
 * signal nobody waits for does what it did before; it is kept for the next wait
 * and closed with the loop.
 */
#include <signal.h>

#include "coro/alloc.h"
#include "coro/check.h"
#include "loop/task_int.h"

struct cede__signal_watch {
	uv_signal_t uv;
	cede_loop_t *loop;
	int number;
	cede_signal_t *waits; /* the first, in a ring by cede_signal::next */
	struct cede__signal_watch *next;
};

static void
link_wait(struct cede__signal_watch *watch, cede_signal_t *op)
{
	cede_signal_t *first = watch->waits;

	op->watch = watch;
	op->next = first ? first : op;
	op->prev = first ? first->prev : op;
	op->prev->next = op;
	op->next->prev = op;
	if (!first)
		watch->waits = op;
}

static void
unlink_wait(cede_signal_t *op)
{
	struct cede__signal_watch *watch = op->watch;

	if (watch->waits == op)
		watch->waits = op->next != op ? op->next : NULL;
	op->prev->next = op->next;
	op->next->prev = op->prev;
}

static void
deliver(uv_signal_t *uv, int number)
{
	struct cede__signal_watch *watch = uv->data;

	cede__loop_enter(watch->loop);
	uv_signal_stop(uv);
	while (watch->waits) {
		cede_signal_t *op = watch->waits;

		unlink_wait(op);
		cede_future_resolve(&op->future, number, NULL);
	}
	cede__loop_leave(watch->loop);
}

static void
cancel(cede_future_t *future)
{
	cede_signal_t *op = cede__container_of(future, cede_signal_t, future);
	struct cede__signal_watch *watch = op->watch;

	unlink_wait(op);
	if (!watch->waits)
		uv_signal_stop(&watch->uv);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

static void
closed(uv_handle_t *handle)
{
	struct cede__signal_watch *watch = handle->data;

	cede__loop_closed(watch->loop);
	cede__free(watch);
}

void
cede__signals_close(cede_loop_t *loop)
{
	while (loop->watches) {
		struct cede__signal_watch *watch = loop->watches;

		loop->watches = watch->next;
		uv_close((uv_handle_t *)&watch->uv, closed);
	}
}

int
cede__signals_are_awaited(const cede_loop_t *loop)
{
	for (const struct cede__signal_watch *watch = loop->watches; watch; watch = watch->next)
		if (watch->waits)
			return 1;
	return 0;
}

static int
find_or_create(cede_loop_t *loop, int number, struct cede__signal_watch **ret_watch)
{
	struct cede__signal_watch *watch;
	int r;

	for (watch = loop->watches; watch; watch = watch->next) {
		if (watch->number == number) {
			*ret_watch = watch;
			return 0;
		}
	}

	watch = cede__alloc_zero(sizeof *watch);
	if (!watch)
		return CEDE_ENOMEM;
	r = uv_signal_init(loop->uv, &watch->uv);
	if (r < 0) {
		cede__free(watch);
		return r;
	}
	cede__loop_opened(loop);
	watch->uv.data = watch;
	watch->loop = loop;
	watch->number = number;
	watch->next = loop->watches;
	loop->watches = watch;
	*ret_watch = watch;
	return 0;
}

int
cede_signal_start(int signal_number, cede_signal_t *op)
{
	cede_task_t *task = cede_task_current();
	struct cede__signal_watch *watch;
	int r;

	if (!task)
		return CEDE_ENOTASK;
	if (signal_number <= 0 || signal_number == SIGKILL || signal_number == SIGSTOP)
		return CEDE_EINVAL;
	r = find_or_create(task->loop, signal_number, &watch);
	if (r == 0 && !watch->waits)
		r = uv_signal_start(&watch->uv, deliver, signal_number);
	if (r < 0)
		return r;

	cede_future_init(&op->future, cancel);
	link_wait(watch, op);
	return 0;
}

int
cede_signal_wait(int signal_number)
{
	cede_signal_t op;
	int r = cede_signal_start(signal_number, &op);

	return r < 0 ? r : cede_await(&op.future);
}
