/*
 * Coroutine objects: one engine behind send, throw and close.
 *
 * The life of a resume. A verb checks that the coroutine may be resumed now
 * (admit), and resume() switches to the leaf of its chain with a code: 0 for a
 * value that is sent, negative for one that is raised there. The chain executes
 * until its leaf yields (suspend) or one of its members ends (finish). A member
 * that ends hands its result to the one that awaits it; the root, to the
 * resumer.
 *
 * The life of a close. The leaf gets CEDE_EXIT, and `root->closing` names it.
 * When it has ended, its awaiter gets CEDE_EXIT in turn, or the error that the
 * cleanup raised instead, and so on to the root. If it yields, it has ignored
 * the close: it is taken off the chain, suspended and usable, and its awaiter
 * gets CEDE_EIGNORED in place of CEDE_EXIT. A root that yields makes close()
 * return CEDE_EIGNORED.
 *
 * Stacks. Taken at the first send or await; given back by whoever is switched
 * to when a coroutine ends, because a stack can't be given back by the code that
 * still runs on it.
 */
#include "coro/coro_int.h"

#include <stdio.h>
#include <string.h>

#include "coro/alloc.h"

/* Objects kept for the next create; beyond that they go back to the allocator. */
#define FREE_COROS_MAX 4096

/* What a switch back to the resumer says; results of a body are 0 or negative. */
#define YIELDED 1

/* ---- objects ---- */

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
cede_coro_create_at(cede_coro_t **ret_coro, cede_fn *fn, void *arg,
	const cede_coro_options_t *options, const char *site)
{
	static const cede_coro_options_t defaults;
	const cede_coro_options_t *o = options ? options : &defaults;
	struct cede__thread *th = cede__thread();
	cede_coro_t *co;

	if (!ret_coro || !fn)
		return CEDE_EINVAL;
	if (o->stack_size && (o->stack_size < CEDE__STACK_SIZE_MIN || o->stack_size > CEDE__STACK_SIZE_MAX))
		return CEDE_EINVAL;
	co = th ? allocate(th) : NULL;
	if (!co)
		return CEDE_ENOMEM;

	*co = (cede_coro_t){
		.refs = 1,
		.mode = CEDE__CORO_CREATED,
		.fn = fn,
		.arg = arg,
		.name = o->name ? o->name : site ? site : "?",
		.site = site,
		.arg_dtor = o->arg_dtor,
		.value_dtor = o->value_dtor,
		.stack_size = o->stack_size,
	};
	co->root = co->leaf = co;
	*ret_coro = co;
	return 0;
}

int(cede_coro_create)(cede_coro_t **ret_coro, cede_fn *fn, void *arg,
	const cede_coro_options_t *options)
{
	return cede_coro_create_at(ret_coro, fn, arg, options, NULL);
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
	return co->stack ? cede__stack_high_water(co->stack) : 0;
}

/* ---- chains ---- */

/* Who is driven when `co` is: itself, or whoever awaits it at the top. */
static cede_coro_t *
root_of(const cede_coro_t *co)
{
	while (co->mode == CEDE__CORO_AWAITED)
		co = co->awaiter;
	return (cede_coro_t *)co;
}

enum cede_coro_state
cede_coro_state(const cede_coro_t *co)
{
	switch ((enum cede__coro_mode)root_of(co)->mode) {
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

static void
link_await(cede_coro_t *awaiter, cede_coro_t *child)
{
	awaiter->awaiting = cede_coro_ref(child);
	child->awaiter = awaiter;
	child->mode = CEDE__CORO_AWAITED;
}

/* The reference that the await held stays with the caller. */
static void
unlink_await(cede_coro_t *awaiter, cede_coro_t *child)
{
	awaiter->awaiting = NULL;
	child->awaiter = NULL;
}

/* Makes what somebody awaits a root of its own, to be driven by hand. Row 54. */
static void
split(cede_coro_t *root, cede_coro_t *co)
{
	co->leaf = root->leaf;
	co->mode = root->mode;
	root->leaf = co->awaiter;
	root->mode = CEDE__CORO_SPLIT;
}

/*
 * Undoes a split before its root is resumed. Where that is not possible, because
 * what the leaf awaits has ended or is executing, the await is over: returns
 * what goes wrong there, with the leaf as the one to be told. 0: all is whole.
 */
static int
rejoin(cede_coro_t *root)
{
	while (root->mode == CEDE__CORO_SPLIT) {
		cede_coro_t *awaiter = root->leaf;
		cede_coro_t *child = awaiter->awaiting;

		if (child->mode == CEDE__CORO_CLOSED || child->mode == CEDE__CORO_ACTIVE) {
			root->mode = CEDE__CORO_SUSPENDED;
			return child->mode == CEDE__CORO_CLOSED ? CEDE_EREUSED : CEDE_ERUNNING;
		}
		root->leaf = child->leaf;
		root->mode = child->mode;
		child->mode = CEDE__CORO_AWAITED;
	}
	return 0;
}

/* ---- switching ---- */

static _Noreturn void finish(cede_coro_t *self, int code);

static void
entry(void *arg)
{
	cede_coro_t *self = arg;
	int code = self->fn(self->arg);

	finish(self, code < 0 ? code : 0);
}

/* Gives a coroutine that never ran a stack and a place to start. */
static int
start(struct cede__thread *th, cede_coro_t *co)
{
	int r = cede__stack_acquire(th->stacks, co->stack_size, &co->stack);

	if (cede__unlikely(r < 0))
		return r;
	co->stack->owner = co->name;
	co->thread = th;
	th->started++;
	cede__context_make(&co->context, co->stack->low, co->stack->size, entry, co);
	return 0;
}

/* What is left of one that has ended, or whose stack is given up: its object. */
static void
retire(cede_coro_t *co)
{
	struct cede__thread *th = co->thread;

	cede__context_destroy(&co->context);
	cede__stack_release(th->stacks, co->stack);
	co->stack = NULL;
	co->mode = CEDE__CORO_CLOSED;
	cede__thread_drop(th);
}

/* Switches to the leaf of a chain. Returns what comes back: YIELDED, CEDE__CORO_CLOSING, or the end. */
static inline int
resume(struct cede__thread *th, cede_coro_t *root, int code, void *value)
{
	cede_coro_t *leaf = root->leaf;

	root->mode = CEDE__CORO_ACTIVE;
	root->caller = th->current;
	leaf->root = root;
	th->current = leaf;
	th->code = code;
	th->value = value;
	cede__context_switch(&root->resumer, &leaf->context);

	th->current = root->caller;
	if (cede__likely(root->mode == CEDE__CORO_ACTIVE))
		root->mode = CEDE__CORO_SUSPENDED;
	else
		retire(root);
	return th->code;
}

/* The same without a switch back: the end of a coroutine, or of an await. */
static void
pass_up(struct cede__thread *th, cede_coro_t *root, cede_coro_t *to, int code, void *value)
{
	root->leaf = to;
	to->root = root;
	th->current = to;
	th->code = code;
	th->value = value;
}

static void
dispose_value(const cede_coro_t *co, void *value)
{
	if (value && co->value_dtor)
		co->value_dtor(value);
}

/* The turn of `root->closing` is over: says what its awaiter gets, whose turn it is then. */
static int
close_next(cede_coro_t *root, cede_coro_t *next, int code)
{
	root->closing = next == root && root->spares_root ? NULL : next;
	return code == 0 || code == CEDE_EXIT ? CEDE_EXIT : code;
}

/* The record of an error leaves with its code, if it is of that code. */
static CEDE__NOINLINE void
hand_over_error(struct cede__thread *th, cede_coro_t *self, int code)
{
	th->error = NULL;
	if (cede_error_code(self->error) == code) {
		th->error = self->error;
		self->error = NULL;
	}
}

static _Noreturn void
finish(cede_coro_t *self, int code)
{
	struct cede__thread *th = self->thread;
	cede_coro_t *root = self->root, *next = self->awaiter;
	void *value = self->result;

	self->result = NULL;
	self->mode = CEDE__CORO_CLOSED;
	if (cede__unlikely(code < 0)) {
		hand_over_error(th, self, code);
		dispose_value(self, value);
		value = NULL;
	}

	if (self == root) {
		root->closing = NULL;
		th->code = code;
		th->value = value;
		cede__context_exit(&self->context, &root->resumer);
	}

	if (cede__unlikely(root->closing == self)) {
		dispose_value(self, value);
		value = NULL;
		code = close_next(root, next, code);
	}
	unlink_await(next, self);
	pass_up(th, root, next, code, value);
	cede__context_exit(&self->context, &next->context);
}

/* A yield of a coroutine that is being closed, or that one being closed awaits. */
static CEDE__NOINLINE void
yield_ignores_close(struct cede__thread *th, cede_coro_t *self, void *value)
{
	cede_coro_t *root = self->root, *ignorer = root->closing, *next = ignorer->awaiter;

	dispose_value(self, value);
	if (ignorer == root) {
		root->closing = NULL;
		th->code = CEDE_EIGNORED;
		th->value = NULL;
		cede__context_switch(&self->context, &root->resumer);
		return;
	}

	unlink_await(next, ignorer);
	ignorer->leaf = self;
	ignorer->mode = CEDE__CORO_SUSPENDED;
	pass_up(th, root, next, close_next(root, next, CEDE_EIGNORED), NULL);
	cede__context_switch(&self->context, &next->context);
}

/* After a switch to a coroutine that had yielded: the code it gets, and the value. */
static inline int
received(struct cede__thread *th, void **ret_value)
{
	if (cede__unlikely(th->code < 0)) {
		cede__error_set(th, th->error);
		th->error = NULL;
		return th->code;
	}
	if (ret_value)
		*ret_value = th->value;
	return 0;
}

int
cede_yield(void *value, void **ret_sent)
{
	struct cede__thread *th = cede__thread_record;
	cede_coro_t *self = th ? th->current : NULL;

	if (cede__unlikely(!self))
		return CEDE_ENOTASK;

	if (cede__unlikely(self->root->closing != NULL)) {
		yield_ignores_close(th, self, value);
	} else {
		th->code = YIELDED;
		th->value = value;
		cede__context_switch(&self->context, &self->root->resumer);
	}
	return received(th, ret_sent);
}

int
cede__coro_yield_shielded(cede_coro_t *self, void *value)
{
	struct cede__thread *th = self->thread;

	th->code = self->root->closing ? CEDE__CORO_CLOSING : YIELDED;
	th->value = value;
	cede__context_switch(&self->context, &self->root->resumer);
	return received(th, NULL);
}

int
cede_return(void *value)
{
	cede_coro_t *self = cede__coro_current();

	cede__check(self != NULL, "cede_return() outside a coroutine");
	if (self->result != value)
		dispose_value(self, self->result);
	self->result = value;
	return 0;
}

/* May this one be awaited now? */
static int
admit_await(const cede_coro_t *child)
{
	if (root_of(child)->mode == CEDE__CORO_ACTIVE)
		return CEDE_ERUNNING;
	if (child->mode == CEDE__CORO_CLOSED)
		return CEDE_EREUSED;
	return child->mode == CEDE__CORO_CREATED ? 0 : CEDE_EAWAITED;
}

int
cede_await_coro(cede_coro_t *child, void **ret_value)
{
	struct cede__thread *th = cede__thread_record;
	cede_coro_t *self = th ? th->current : NULL;
	int r;

	if (!self)
		return CEDE_ENOTASK;
	r = child ? admit_await(child) : CEDE_EINVAL;
	if (cede__likely(r == 0))
		r = start(th, child);
	if (cede__unlikely(r < 0)) {
		cede__error_clear(th);
		return r;
	}

	link_await(self, child);
	pass_up(th, self->root, child, 0, NULL);
	cede__context_switch(&self->context, &child->context);

	if (child->mode == CEDE__CORO_CLOSED && child->stack)
		retire(child);
	r = received(th, ret_value);
	cede_coro_unref(child);
	return r;
}

/* ---- the verbs ---- */

/*
 * May a coroutine that has started be resumed now? Makes it a root that is whole
 * if so. What it awaits may be beyond reach: then *ret_fault says why, and the
 * leaf is to be told instead of what the caller wanted to say.
 */
static CEDE__NOINLINE int
admit(struct cede__thread *th, cede_coro_t *co, int *ret_fault)
{
	cede_coro_t *root = root_of(co);

	*ret_fault = 0;
	if (root->mode == CEDE__CORO_ACTIVE)
		return CEDE_ERUNNING;
	if (root->mode == CEDE__CORO_CLOSED)
		return CEDE_EREUSED;
	if (co->thread != th)
		return CEDE_EWRONGTHREAD;
	if (root != co)
		split(root, co);
	if (co->mode == CEDE__CORO_SPLIT)
		*ret_fault = rejoin(co);
	return 0;
}

/* Ends the leaf's await of something beyond reach, so that the leaf can be told. */
static void
break_await(cede_coro_t *leaf)
{
	cede_coro_t *child = leaf->awaiting;

	unlink_await(leaf, child); /* the leaf drops its reference when it goes on */
}

/* What comes out of a resume goes to the caller of the verb. */
static inline int
deliver(struct cede__thread *th, const cede_coro_t *co, int r, void **ret_value)
{
	if (cede__unlikely(r < 0)) {
		cede__error_set(th, th->error);
		th->error = NULL;
		return r;
	}
	if (ret_value)
		*ret_value = th->value;
	else
		dispose_value(co, th->value);
	return r;
}

static int
refuse(struct cede__thread *th, int code)
{
	if (th)
		cede__error_clear(th);
	return code;
}

/* A send to one that is not simply suspended: not started, split, awaited, or refused. */
static CEDE__NOINLINE int
send_slowly(struct cede__thread *th, cede_coro_t *co, void *value, void **ret_value)
{
	int r, fault = 0;

	if (!th)
		return CEDE_ENOMEM;
	if (co->mode == CEDE__CORO_CREATED)
		r = value ? CEDE_ENOTSTARTED : start(th, co);
	else
		r = admit(th, co, &fault);
	if (r < 0)
		return refuse(th, r);
	if (fault < 0)
		break_await(co->leaf);
	return deliver(th, co, resume(th, co, fault, fault < 0 ? NULL : value), ret_value);
}

int
cede_coro_send(cede_coro_t *co, void *value, void **ret_value)
{
	struct cede__thread *th = cede__thread_record;

	if (cede__unlikely(co->mode != CEDE__CORO_SUSPENDED || co->thread != th))
		return send_slowly(th ? th : cede__thread(), co, value, ret_value);
	return deliver(th, co, resume(th, co, 0, value), ret_value);
}

/* Closed before it ran: nobody but us can release its argument. */
static void
close_unstarted(cede_coro_t *co)
{
	co->mode = CEDE__CORO_CLOSED;
	if (co->arg_dtor)
		co->arg_dtor(co->arg);
	co->arg = NULL;
}

/* Starts closing a chain at its leaf. `spares_root`: the root is thrown into, not closed. */
static int
close_chain(struct cede__thread *th, cede_coro_t *root, int fault, int spares_root)
{
	int code = fault == CEDE_ERUNNING ? fault : CEDE_EXIT;

	if (fault < 0)
		break_await(root->leaf);
	root->closing = root->leaf == root && spares_root ? NULL : root->leaf;
	root->spares_root = (uint8_t)spares_root;
	return resume(th, root, code, NULL);
}

int
cede_coro_throw(cede_coro_t *co, int code, void **ret_value)
{
	struct cede__thread *th = cede__thread();
	int r, fault;

	if (!th)
		return CEDE_ENOMEM;
	if (code >= 0 || code == CEDE_ESTOPITER)
		return refuse(th, CEDE_EINVAL);
	if (co->mode == CEDE__CORO_CREATED) {
		close_unstarted(co);
		return refuse(th, code);
	}
	r = admit(th, co, &fault);
	if (r < 0)
		return refuse(th, r);

	if (code == CEDE_EXIT)
		return deliver(th, co, close_chain(th, co, fault, 1), ret_value);
	if (fault < 0)
		break_await(co->leaf);
	return deliver(th, co, resume(th, co, fault < 0 ? fault : code, NULL), ret_value);
}

int
cede_coro_close(cede_coro_t *co, void **ret_value)
{
	struct cede__thread *th = cede__thread();
	int r, fault;

	if (!th)
		return CEDE_ENOMEM;
	if (ret_value)
		*ret_value = NULL;
	if (co->mode == CEDE__CORO_CLOSED)
		return 0;
	if (co->mode == CEDE__CORO_CREATED) {
		close_unstarted(co);
		return 0;
	}
	r = admit(th, co, &fault);
	if (r < 0)
		return refuse(th, r);

	r = close_chain(th, co, fault, 0);
	if (r == CEDE_EXIT) {
		cede__error_free(th->error);
		th->error = NULL;
		return 0;
	}
	return deliver(th, co, r, ret_value);
}

/* ---- the end ---- */

void
cede__coro_discard(cede_coro_t *co)
{
	cede_coro_t *last = co;

	while (last->awaiting && last->awaiting->mode == CEDE__CORO_AWAITED)
		last = last->awaiting;
	if (last->awaiting) { /* driven by hand: it goes on without the one that awaited it */
		cede_coro_t *child = last->awaiting;

		unlink_await(last, child);
		cede_coro_unref(child);
	}

	for (;;) {
		cede_coro_t *awaiter = last->awaiter;

		cede__assert(last->mode != CEDE__CORO_ACTIVE);
		retire(last);
		if (last == co)
			return;
		unlink_await(awaiter, last);
		cede_coro_unref(last);
		last = awaiter;
	}
}

/* Python's automatic close of an object that is about to go. Rows 71 to 75. */
static void
close_dropped(struct cede__thread *th, cede_coro_t *co)
{
	cede_error_t **slot = th->current ? &th->current->error : &th->outside_error;
	cede_error_t *callers = *slot;
	int r;

	*slot = NULL;
	r = cede_coro_close(co, NULL);
	if (r == CEDE_EIGNORED && co->stack)
		fprintf(stderr, "cede: coroutine '%s' ignored GeneratorExit (%s)\n", co->name,
			cede_coro_place(co));
	else if (r < 0)
		fprintf(stderr, "cede: error in closing coroutine '%s' ignored: %s\n", co->name,
			cede_error_message(cede_error()));
	if (co->stack)
		cede__coro_discard(co);
	slot = th->current ? &th->current->error : &th->outside_error;
	cede__error_free(*slot);
	*slot = callers;
}

cede_coro_t *
cede_coro_unref(cede_coro_t *co)
{
	struct cede__thread *th = cede__thread_record;

	if (!co)
		return NULL;
	cede__check(co->refs > 0, "coroutine unref'd once too often");
	if (--co->refs > 0)
		return NULL;

	if (co->mode != CEDE__CORO_CLOSED) {
		co->refs = 1; /* while it is being closed */
		if (co->mode == CEDE__CORO_CREATED) {
			fprintf(stderr, "cede: coroutine '%s' was never awaited (%s)\n", co->name,
				cede_coro_place(co));
			close_unstarted(co);
		} else if (co->thread != th) {
			fprintf(stderr, "cede: coroutine '%s' dropped on a thread not its own: "
				"it cannot be closed there\n", co->name);
			return NULL;
		} else {
			close_dropped(th, co);
		}
		if (--co->refs > 0)
			return NULL; /* its cleanup took a reference */
	}
	cede__error_free(co->error);
	if (co->has_own_name)
		cede__free((void *)co->name);
	deallocate(co);
	return NULL;
}
