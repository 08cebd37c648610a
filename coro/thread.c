/*
 * The record of a thread: made at its first coroutine, freed by a destructor of
 * POSIX threads when the thread exits, or later by the last coroutine that
 * holds it. Such a coroutine can never run again; its object can be dropped.
 */
#include "coro/thread.h"

#include <pthread.h>

#include "coro/alloc.h"
#include "coro/engine.h"

_Thread_local struct cede__thread *cede__thread_record CEDE__TLS_MODEL;

static pthread_key_t exit_key;
static pthread_once_t exit_key_once = PTHREAD_ONCE_INIT;
static int exit_key_error;

/* The C++ runtime's own function, where there is one. */
extern struct cede__exceptions *__cxa_get_globals(void) __attribute__((weak));

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
	if (th->dead)
		cede__engine_release_stack(th, th->dead);
	while (th->free_coros) {
		cede_coro_t *co = th->free_coros;

		th->free_coros = co->awaiter;
		cede__free(co);
	}
	th->free_count = 0;
	th->outside_error = cede_error_unref(th->outside_error);
	cede__profile_free(th->profile);
	th->profile = NULL;
	if (th->started == 0)
		free_record(th);
	else
		th->has_exited = 1; /* the last coroutine frees it */
}

static void
thread_exits(void *record)
{
	cede__thread_record = NULL;
	retire(record);
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
	if (__cxa_get_globals)
		th->exceptions = __cxa_get_globals();

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

	if (th && th->dead)
		cede__engine_release_stack(th, th->dead);
	if (!th || th->started > 0 || th->current)
		return;
	pthread_setspecific(exit_key, NULL);
	cede__thread_record = NULL;
	retire(th);
}
