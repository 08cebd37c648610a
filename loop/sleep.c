/* Sleeping: a future and a timer in the sleeper's frame. */
#include "coro/check.h"
#include "loop/task_int.h"

static void
wake(struct cede__timer *timer)
{
	cede_sleep_t *op = cede__container_of(timer, cede_sleep_t, timer);

	cede_future_resolve(&op->future, 0, NULL);
}

static void
cancel(cede_future_t *future)
{
	cede_sleep_t *op = cede__container_of(future, cede_sleep_t, future);

	cede__timer_stop(&op->timer);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_sleep_start(uint64_t delay_ms, cede_sleep_t *op)
{
	cede_task_t *task = cede_task_current();

	if (!task)
		return CEDE_ENOTASK;
	cede_future_init(&op->future, cancel);
	op->timer = (struct cede__timer){ .fire = wake };
	cede__loop_update_time(task->loop);
	return cede__timer_start(task->loop, &op->timer, delay_ms);
}

/* To the end of the ready queue and back. */
static int
give_way(void)
{
	cede_coro_t *self;
	cede_task_t *task = cede__task_running(&self);

	if (!task)
		return CEDE_ENOTASK;
	if (task->refusal < 0)
		return cede__task_refused(task, self);
	cede__task_wake(task);
	return cede__task_suspend(task, self);
}

int
cede_sleep(uint64_t delay_ms)
{
	cede_sleep_t op;
	int r;

	if (delay_ms == 0)
		return give_way();
	r = cede_sleep_start(delay_ms, &op);
	return r < 0 ? r : cede_await(&op.future);
}
