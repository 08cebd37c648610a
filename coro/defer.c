/*
 * Deferred calls: what a coroutine has left to do when its body has ended.
 *
 * They are a list of the coroutine's, the last one first. They are made on its
 * own stack, after the body has returned and before anybody learns of it: what
 * they point to in the body's caller is still there, and they may await. A
 * coroutine that is given up without running another line has them made by
 * whoever gives it up, while its stack is still there; there they cannot await.
 *
 * A call is taken off the list before it is made, so that one that defers
 * another, or ends the thread, leaves the list whole.
 */
#include "coro/engine.h"

#include "coro/alloc.h"

struct cede__defer {
	struct cede__defer *next;
	cede_dtor_fn *fn;
	void *arg;
};

int
cede_defer(cede_dtor_fn *fn, void *arg)
{
	cede_coro_t *self = cede__coro_current();
	struct cede__defer *defer;

	if (!self)
		return CEDE_ENOTASK;
	if (!fn)
		return CEDE_EINVAL;
	defer = cede__alloc(sizeof *defer);
	if (!defer)
		return CEDE_ENOMEM;
	*defer = (struct cede__defer){ .next = self->defers, .fn = fn, .arg = arg };
	self->defers = defer;
	return 0;
}

int
cede_defer_cancel(cede_dtor_fn *fn, void *arg)
{
	cede_coro_t *self = cede__coro_current();

	if (!self)
		return 0;
	for (struct cede__defer **at = &self->defers; *at; at = &(*at)->next) {
		struct cede__defer *defer = *at;

		if (defer->fn != fn || defer->arg != arg)
			continue;
		*at = defer->next;
		cede__free(defer);
		return 1;
	}
	return 0;
}

CEDE__NOINLINE void
cede__defers_run(cede_coro_t *co)
{
	cede_error_t *error = co->error; /* the body's: what the calls receive is their own */
	void *result = co->result;

	co->error = NULL;
	co->result = NULL;
	while (co->defers) {
		struct cede__defer *defer = co->defers;
		cede_dtor_fn *fn = defer->fn;
		void *arg = defer->arg;

		co->defers = defer->next;
		cede__free(defer);
		fn(arg);
	}
	cede__engine_dispose(co, co->result);
	co->result = result;
	cede__error_put(&co->error, error);
}
