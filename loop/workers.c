/*
 * Workers: threads with a loop each.
 *
 * Each makes its loop and its remote, says so, and waits until all have; one that
 * cannot, or a thread that is not to be had, is the crew's error, and then nobody
 * begins. The first main task that fails sets the crew's error and posts a message
 * to each of the others, which cancels theirs. The messages lie in the crew's
 * memory, so that there is nothing to fail in it.
 *
 * Under the lock: `ready` and `error`. A worker's `task` and `is_cancelled` belong
 * to its own thread. Everything is read by the caller when all have been joined.
 */
#include <cede/workers.h>

#include "coro/alloc.h"
#include "coro/thread.h"
#include "loop/remote.h"
#include "loop/task_int.h"

struct crew;

struct worker {
	struct crew *crew;
	unsigned index;
	uv_thread_t thread;
	cede_remote_t *remote;       /* from when it is ready */
	struct cede__message cancel; /* posted at most once: there is one first error */
	cede_task_t *task;           /* the main task, from when it runs */
	int is_cancelled;
	int has_arrived;
	int result;
};

struct crew {
	cede_fn *fn;
	void *arg;
	uv_mutex_t lock;
	uv_cond_t changed;
	unsigned ready;
	int error; /* the first */
	unsigned count;
	struct worker workers[];
};

/* Says whether its loop could be made; waits until all have said so. 0: all could. */
static int
arrive(struct worker *w, int r)
{
	struct crew *crew = w->crew;

	w->has_arrived = 1;
	uv_mutex_lock(&crew->lock);
	crew->ready++;
	if (r < 0 && crew->error == 0)
		crew->error = r;
	uv_cond_broadcast(&crew->changed);
	while (crew->ready < crew->count && crew->error == 0)
		uv_cond_wait(&crew->changed, &crew->lock);
	r = crew->error;
	uv_mutex_unlock(&crew->lock);
	return r;
}

static void
deliver_cancel(struct cede__message *message, cede_loop_t *loop)
{
	struct worker *w = cede__container_of(message, struct worker, cancel);

	w->is_cancelled = 1;
	if (w->task)
		cede__task_cancel_as(w->task, "another worker has failed");
}

/* The main task of one has ended. */
static void
report(struct worker *w, int r)
{
	struct crew *crew = w->crew;

	if (r >= 0 || cede_is_cancel(r))
		return;
	uv_mutex_lock(&crew->lock);
	if (crew->error == 0) {
		crew->error = r;
		for (unsigned i = 0; i < crew->count; i++)
			if (i != w->index) /* one that has ended refuses it */
				(void)cede__remote_post(crew->workers[i].remote,
					&crew->workers[i].cancel);
	}
	uv_mutex_unlock(&crew->lock);
}

static int
run_body(void *arg)
{
	struct worker *w = arg;
	int r;

	w->task = cede_task_ref(cede_task_current());
	if (w->is_cancelled)
		return CEDE_EXIT;
	r = w->crew->fn(w->crew->arg);
	report(w, r); /* before its loop is drained, which may take a while */
	return r;
}

static int
get_ready(cede_loop_t *loop, void *data)
{
	struct worker *w = data;

	loop->worker_index = w->index;
	loop->worker_count = w->crew->count;
	w->remote = cede_loop_remote(loop);
	return arrive(w, w->remote ? 0 : CEDE_ENOMEM);
}

static void
run_worker(void *arg)
{
	struct worker *w = arg;

	w->result = cede__run_with(run_body, w, get_ready, w);
	w->task = cede_task_unref(w->task);
	if (w->has_arrived)
		report(w, w->result);
	else
		arrive(w, w->result);
}

/* The threads but the first. Returns how many were made. */
static unsigned
create_threads(struct crew *crew)
{
	for (unsigned i = 1; i < crew->count; i++) {
		int r = uv_thread_create(&crew->workers[i].thread, run_worker, &crew->workers[i]);

		if (r < 0) {
			uv_mutex_lock(&crew->lock);
			if (crew->error == 0)
				crew->error = r;
			uv_cond_broadcast(&crew->changed);
			uv_mutex_unlock(&crew->lock);
			return i;
		}
	}
	return crew->count;
}

static int
run_crew(struct crew *crew)
{
	const unsigned made = create_threads(crew);
	int r;

	if (made == crew->count)
		run_worker(&crew->workers[0]);
	for (unsigned i = 1; i < made; i++)
		uv_thread_join(&crew->workers[i].thread);

	r = crew->error;
	for (unsigned i = 0; i < crew->count; i++) {
		if (r == 0 && crew->workers[i].result < 0)
			r = crew->workers[i].result;
		cede_remote_unref(crew->workers[i].remote);
	}
	return r;
}

static int
create_crew(unsigned count, cede_fn *fn, void *arg, struct crew **ret_crew)
{
	struct crew *crew;
	size_t size;
	int r;

	if (cede__size_mul(count, sizeof *crew->workers, &size) < 0 ||
		cede__size_add(size, sizeof *crew, &size) < 0)
		return CEDE_ENOMEM;
	crew = cede__alloc_zero(size);
	if (!crew)
		return CEDE_ENOMEM;
	r = uv_mutex_init(&crew->lock);
	if (r < 0)
		goto allocated;
	r = uv_cond_init(&crew->changed);
	if (r < 0)
		goto locked;
	crew->fn = fn;
	crew->arg = arg;
	crew->count = count;
	for (unsigned i = 0; i < count; i++) {
		crew->workers[i].crew = crew;
		crew->workers[i].index = i;
		crew->workers[i].cancel.deliver = deliver_cancel;
	}
	*ret_crew = crew;
	return 0;

locked:
	uv_mutex_destroy(&crew->lock);
allocated:
	cede__free(crew);
	return r;
}

int
cede_run_workers(unsigned count, cede_fn *fn, void *arg)
{
	struct cede__thread *th = cede__thread();
	struct crew *crew;
	int r;

	if (!fn)
		return CEDE_EINVAL;
	if (!th)
		return CEDE_ENOMEM;
	if (th->loop || th->current)
		return CEDE_EBUSY;
	r = create_crew(count > 0 ? count : uv_available_parallelism(), fn, arg, &crew);
	if (r < 0)
		return r;
	r = run_crew(crew);
	uv_cond_destroy(&crew->changed);
	uv_mutex_destroy(&crew->lock);
	cede__free(crew);
	return r;
}

unsigned
cede_worker_index(void)
{
	const cede_loop_t *loop = cede_loop_current();

	return loop ? loop->worker_index : 0;
}

unsigned
cede_worker_count(void)
{
	const cede_loop_t *loop = cede_loop_current();

	return loop && loop->worker_count > 0 ? loop->worker_count : 1;
}
