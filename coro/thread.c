/*
 * The record of a thread: made at its first coroutine, freed by a destructor of
 * POSIX threads when the thread exits, or later by the last coroutine that
 * holds it. Such a coroutine can never run again; its object can be dropped.
 */
#include "coro/thread.h"

#include <pthread.h>

#include "coro/alloc.h"
#include "coro/coro_int.h"

_Thread_local struct cede__thread *cede__thread_record CEDE__TLS_MODEL;

static pthread_key_t exit_key;
static pthread_once_t exit_key_once = PTHREAD_ONCE_INIT;
static int exit_key_error;

static void
free_record(struct cede__thread *th)
{
	cede__stack_pool_destroy(th->stacks);
	cede__free(th);
}

/* Gives back what is pooled and, when no coroutine holds the record, the record. */
static void
retire(struct cede__thread *th)
{
	while (th->free_coros) {
		cede_coro_t *co = th->free_coros;

		th->free_coros = co->awaiter;
		cede__free(co);
	}
	th->free_count = 0;
	cede__error_free(th->outside_error);
	th->outside_error = NULL;
	if (th->started == 0)
		free_record(th);
}

static void
thread_exits(void *record)
{
	struct cede__thread *th = record;

	th->has_exited = 1;
	cede__thread_record = NULL;
	retire(th);
}

static void
create_exit_key(void)
{
	exit_key_error = pthread_key_create(&exit_key, thread_exits);
}

CEDE__NOINLINE struct cede__thread *
cede__thread_create(void)
{
	struct cede__thread *th;

	pthread_once(&exit_key_once, create_exit_key);
	if (exit_key_error)
		return NULL;

	th = cede__alloc_zero(sizeof *th);
	if (!th)
		return NULL;
	if (cede__stack_pool_create(&th->stacks) < 0)
		goto allocated;
	if (pthread_setspecific(exit_key, th))
		goto pooled;

	cede__thread_record = th;
	return th;

pooled:
	cede__stack_pool_destroy(th->stacks);
allocated:
	cede__free(th);
	return NULL;
}

void
cede__thread_drop(struct cede__thread *th)
{
	cede__assert(th->started > 0);
	if (--th->started == 0 && cede__unlikely(th->has_exited))
		free_record(th);
}

void
cede__thread_cleanup(void)
{
	struct cede__thread *th = cede__thread_record;

	if (!th || th->started > 0 || th->current)
		return;
	pthread_setspecific(exit_key, NULL);
	cede__thread_record = NULL;
	retire(th);
}
