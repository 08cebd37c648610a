/*
 * Coroutine objects: making, asking, dropping. What drives them is engine.c.
 *
 * An object comes from the thread's list of free ones, or from the allocator,
 * and goes back to whichever thread drops it.
 */
#include "coro/engine.h"

#include <string.h>

#include "coro/alloc.h"
#include "coro/origin.h"

/* Objects kept for the next create; beyond that they go back to the allocator. */
#define FREE_COROS_MAX 4096

static cede_coro_t *
allocate(struct cede__thread *th)
{
	cede_coro_t *co = th->free_coros;

	if (!co)
		return cede__alloc(sizeof *co);
	th->free_coros = co->awaiter;
	th->free_count--;
	return co;
}

static void
deallocate(cede_coro_t *co)
{
	struct cede__thread *th = cede__thread_record;

	if (cede__unlikely(!th || th->free_count >= FREE_COROS_MAX)) {
		cede__free(co);
		return;
	}
	co->awaiter = th->free_coros;
	th->free_coros = co;
	th->free_count++;
}

int
cede__coro_create(cede_coro_t **ret_coro, enum cede__coro_kind kind, cede_fn *fn, void *arg,
	const cede_coro_options_t *options, const char *site)
{
	static const cede_coro_options_t defaults;
	const cede_coro_options_t *o = options ? options : &defaults;
	struct cede__thread *th = cede__thread();
	cede_coro_t *co;

	if (!ret_coro || !fn)
		return CEDE_EINVAL;
	if (o->stack_size &&
		(o->stack_size < CEDE__STACK_SIZE_MIN || o->stack_size > CEDE__STACK_SIZE_MAX))
		return CEDE_EINVAL;
	co = th ? allocate(th) : NULL;
	if (!co)
		return CEDE_ENOMEM;

	*co = (cede_coro_t){
		.refs = 1,
		.mode = CEDE__CORO_CREATED,
		.kind = (uint8_t)kind,
		.fn = fn,
		.arg = arg,
		.name = o->name ? o->name
			: site  ? site
				: "?",
		.site = site,
		.arg_dtor = o->arg_dtor,
		.value_dtor = o->value_dtor,
		.stack_size = o->stack_size,
	};
	co->root = co->leaf = co;
	*ret_coro = co;
	return 0;
}

CEDE__NOINLINE int
cede_coro_create_at(cede_coro_t **ret_coro, cede_fn *fn, void *arg,
	const cede_coro_options_t *options, const char *site)
{
	int r = cede__coro_create(ret_coro, CEDE__KIND_COROUTINE, fn, arg, options, site);

	CEDE__KEEP_ORIGIN(r, *ret_coro);
	return r;
}

CEDE__NOINLINE int(cede_coro_create)(cede_coro_t **ret_coro, cede_fn *fn, void *arg,
	const cede_coro_options_t *options)
{
	int r = cede__coro_create(ret_coro, CEDE__KIND_COROUTINE, fn, arg, options, NULL);

	CEDE__KEEP_ORIGIN(r, *ret_coro);
	return r;
}

cede_coro_t *
cede_coro_ref(cede_coro_t *co)
{
	co->refs++;
	return co;
}

const char *
cede_coro_name(const cede_coro_t *co)
{
	return co->name;
}

int
cede_coro_set_name(cede_coro_t *co, const char *name)
{
	size_t size;
	char *copy;

	if (!name)
		return CEDE_EINVAL;
	size = strlen(name) + 1;
	copy = cede__alloc(size);
	if (!copy)
		return CEDE_ENOMEM;
	memcpy(copy, name, size);
	if (co->has_own_name)
		cede__free((void *)co->name);
	co->name = copy;
	co->has_own_name = 1;
	if (co->stack)
		co->stack->owner = copy;
	return 0;
}

const char *
cede_coro_place(const cede_coro_t *co)
{
	return co->site ? co->site + strlen(co->site) + 1 : "";
}

cede_coro_t *
cede_coro_current(void)
{
	return cede__coro_current();
}

size_t
cede_coro_stack_used(const cede_coro_t *co)
{
	return co->stack && co->mode != CEDE__CORO_CLOSED ? cede__stack_high_water(co->stack) : 0;
}

enum cede_coro_state
cede_coro_state(const cede_coro_t *co)
{
	switch ((enum cede__coro_mode)cede__engine_root(co)->mode) {
	case CEDE__CORO_CREATED:
		return CEDE_CORO_CREATED;
	case CEDE__CORO_ACTIVE:
		return CEDE_CORO_RUNNING;
	case CEDE__CORO_CLOSED:
		return CEDE_CORO_CLOSED;
	default:
		return CEDE_CORO_SUSPENDED;
	}
}

cede_coro_t *
cede_coro_awaiting(const cede_coro_t *co)
{
	return cede_coro_state(co) == CEDE_CORO_SUSPENDED ? co->awaiting : NULL;
}

/* ---- the verbs of a coroutine; send is the engine's own ---- */

int
cede_coro_throw(cede_coro_t *co, int code, void **ret_value)
{
	return cede__engine_throw(co, code, NULL, ret_value);
}

int
cede_coro_throw_error(cede_coro_t *co, cede_error_t *error, void **ret_value)
{
	return cede__engine_throw(co, cede_error_code(error), error, ret_value);
}

int
cede_coro_close(cede_coro_t *co, void **ret_value)
{
	return cede__engine_close(co, ret_value);
}

/* ---- the end ---- */

/* What it has deferred, by whoever gives it up. */
static void
call_deferred(cede_coro_t *co)
{
	struct cede__thread *th = cede__thread_record;
	const unsigned is_outside = th->current == NULL;

	th->giving_up += is_outside;
	cede__defers_run(co);
	th->giving_up -= is_outside;
}

/* No line of it runs any more, but what it has deferred. The handlers lie on its stack. */
static void
give_up(cede_coro_t *co)
{
	co->mode = CEDE__CORO_CLOSED;
	for (; co->handlers; co->handlers = co->handlers->outer)
		co->handlers->error = cede_error_unref(co->handlers->error);
	if (co->defers)
		call_deferred(co);
	cede__engine_release_stack(co->thread, co);
}

/* Gives up a root alone. What it awaits goes on without it, or is dropped in turn. */
static void
give_up_root(cede_coro_t *co)
{
	cede_coro_t *child = co->awaiting;

	if (child) {
		if (child->mode == CEDE__CORO_AWAITED && child->awaiter == co) {
			child->leaf = co->leaf;
			child->mode = co->mode;
		}
		if (child->awaiter == co)
			child->awaiter = NULL;
		co->awaiting = NULL;
	}
	give_up(co);
	cede_coro_unref(child);
}

/* The last one of the chain that is driven by driving @co. */
static cede_coro_t *
find_last(cede_coro_t *co)
{
	while (co->awaiting && co->awaiting->mode == CEDE__CORO_AWAITED &&
		co->awaiting->awaiter == co)
		co = co->awaiting;
	return co;
}

void
cede__coro_call_deferred(cede_coro_t *co)
{
	for (cede_coro_t *c = find_last(co);; c = c->awaiter) {
		if (c->defers)
			call_deferred(c);
		if (c == co)
			return;
	}
}

void
cede__coro_discard(cede_coro_t *co)
{
	cede_coro_t *last = find_last(co);

	if (last->awaiting) { /* driven by hand: it goes on without the one that awaited it */
		cede_coro_t *child = last->awaiting;

		last->awaiting = NULL;
		if (child->awaiter == last)
			child->awaiter = NULL;
		cede_coro_unref(child);
	}

	for (;;) {
		cede_coro_t *awaiter = last->awaiter;

		cede__assert(last->mode != CEDE__CORO_ACTIVE);
		give_up(last);
		if (last == co)
			return;
		awaiter->awaiting = NULL;
		last->awaiter = NULL;
		cede_coro_unref(last);
		last = awaiter;
	}
}

/* Python's automatic close of an object that is about to go. Rows 71 to 75. */
static void
close_dropped(struct cede__thread *th, cede_coro_t *co)
{
	cede_error_t **slot = cede__error_slot(th, th->current), *kept = *slot;
	void *value;
	int r;

	*slot = NULL; /* what the caller knows of its own errors is not ours to change */
	r = cede__engine_close(co, &value);
	if (r < 0)
		cede__report_unraisable(co, r, "Exception ignored while closing");
	else
		cede__engine_dispose(co, value);
	if (co->mode != CEDE__CORO_CLOSED)
		give_up_root(co);
	cede__error_put(slot, kept);
}

/* The last reference has gone. 1: so may the object. */
static int
end_dropped(cede_coro_t *co)
{
	struct cede__thread *th = cede__thread_record;

	if (co->mode == CEDE__CORO_CREATED) {
		if (co->kind == CEDE__KIND_COROUTINE)
			cede__warn_never_awaited(co);
		cede__engine_close_unstarted(co);
	} else if (co->thread != th) {
		cede__report_unraisable(co, CEDE_EWRONGTHREAD, "Exception ignored while closing");
		return 0; /* its stack is another thread's, and so is what lies on it */
	} else {
		close_dropped(th, co);
	}
	return 1;
}

cede_coro_t *
cede_coro_unref(cede_coro_t *co)
{
	if (!co)
		return NULL;
	cede__check(co->refs > 0, "coroutine unref'd once too often");
	if (--co->refs > 0)
		return NULL;

	if (cede__unlikely(co->mode != CEDE__CORO_CLOSED)) {
		co->refs = 1; /* while it is being closed */
		if (!end_dropped(co) || --co->refs > 0)
			return NULL; /* or its cleanup took a reference */
	}
	if (co->stack)
		cede__engine_release_stack(co->thread, co);
	if (cede__unlikely(co->error != NULL))
		cede_error_unref(co->error);
	if (cede__unlikely(co->has_own_name))
		cede__free((void *)co->name);
	cede__free(co->origin);
	deallocate(co);
	return NULL;
}
