/*
 * The engine behind send, throw and close.
 *
 * The life of a resume. A verb checks that the coroutine may be resumed now
 * (admit), and resume() switches to the leaf of its chain with a message: 0 for a
 * value that is sent, negative for a code that is raised there. The chain executes
 * until its leaf yields (leave) or one of its members ends (finish). A member
 * that ends hands its result to the one that awaits it; the root, to the resumer.
 *
 * The life of a throw, or a close. `turn` names the member that the code has been
 * given to, the leaf first. When that one has ended, what came of it is given to
 * its awaiter, which has the turn then: in a close CEDE_EXIT once more, or the
 * error that the cleanup raised instead. A yield ends a throw: the value goes to
 * the thrower. A yield during a close means that whoever has the turn ignores it:
 * it is taken off the chain, suspended and usable, and its awaiter gets
 * CEDE_EIGNORED in place of CEDE_EXIT. If that is the root, close() returns it.
 *
 * Stacks are taken at the first send or await. One that has ended cannot release
 * the stack it still runs on, so the thread remembers it (`dead`) and releases
 * it before it takes another, when the object goes, or at the next end.
 */
#include "coro/engine.h"

#include "coro/alloc.h"

/* ---- chains ---- */

cede_coro_t *
cede__engine_root(const cede_coro_t *co)
{
	while (co->mode == CEDE__CORO_AWAITED)
		co = co->awaiter;
	return (cede_coro_t *)co;
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
	if (child->awaiter == awaiter)
		child->awaiter = NULL;
}

/* Makes what somebody awaits a root of its own. Row 54. */
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
 * what is wrong with it, and the leaf is to be told. 0: all is whole.
 */
static int
rejoin(cede_coro_t *root)
{
	while (root->mode == CEDE__CORO_SPLIT) {
		cede_coro_t *awaiter = root->leaf, *child = awaiter->awaiting;
		cede_coro_t *other = cede__engine_root(child);

		if (other->mode == CEDE__CORO_ACTIVE || other->mode == CEDE__CORO_CLOSED) {
			root->mode = CEDE__CORO_SUSPENDED;
			return other->mode == CEDE__CORO_CLOSED ? CEDE_EREUSED : CEDE_ERUNNING;
		}
		if (other != child)
			split(other, child); /* a generator that two delegate to */
		root->leaf = child->leaf;
		root->mode = child->mode;
		child->awaiter = awaiter;
		child->mode = CEDE__CORO_AWAITED;
	}
	return 0;
}

/* ---- stacks ---- */

CEDE__NOINLINE void
cede__engine_release_stack(struct cede__thread *th, cede_coro_t *co)
{
	if (th->dead == co)
		th->dead = NULL;
	if (!co->stack)
		return;
	cede__context_destroy(&co->context);
	cede__stack_release(th->stacks, co->stack);
	co->stack = NULL;
	cede__thread_drop(th);
}

static _Noreturn void finish(cede_coro_t *self, int code);

static void
entry(void *arg)
{
	cede_coro_t *self = arg;
	int code;

	if (cede__unlikely(self->thread->exceptions != NULL))
		*self->thread->exceptions = (struct cede__exceptions){ 0 };
	code = self->fn(self->arg);
	finish(self, code < 0 ? code : 0);
}

/* Gives a coroutine that never ran a stack and a place to start. */
static int
start(struct cede__thread *th, cede_coro_t *co)
{
	int r;

	if (th->dead)
		cede__engine_release_stack(th, th->dead);
	r = cede__stack_acquire(th->stacks, co->stack_size, &co->stack);
	if (cede__unlikely(r < 0))
		return r;
	co->stack->owner = co->name;
	co->thread = th;
	th->started++;
	cede__context_make(&co->context, co->stack->low, co->stack->size, entry, co);
	return 0;
}

/* ---- switching ---- */

/* C++ counts the exceptions in flight by thread, but they are the stack's that catches them. */
static CEDE__NOINLINE int
switch_with_exceptions(struct cede__thread *th, struct cede__context *from,
	struct cede__context *to, int message)
{
	struct cede__exceptions mine = *th->exceptions;
	int r = cede__context_switch(from, to, message);

	*th->exceptions = mine;
	return r;
}

/* Call it last: see switch.h. */
static inline int
switch_to(struct cede__thread *th, struct cede__context *from, struct cede__context *to,
	int message)
{
	if (cede__unlikely(th->exceptions != NULL))
		return switch_with_exceptions(th, from, to, message);
	return cede__context_switch(from, to, message);
}

static inline void
put_value(void **box, const cede_coro_t *giver, void *value)
{
	if (cede__likely(box != NULL))
		*box = value;
	else
		cede__engine_dispose(giver, value);
}

/* Switches to the leaf of a chain. Returns what comes back: yielded, closing, or the code of the end. */
static inline int
resume(struct cede__thread *th, cede_coro_t *root, int message, void **outbox)
{
	cede_coro_t *leaf = root->leaf;

	root->mode = CEDE__CORO_ACTIVE;
	root->caller = th->current;
	root->outbox = outbox;
	leaf->root = root;
	th->current = leaf;
	return switch_to(th, &root->resumer, &leaf->context, message);
}

static inline int
resume_with_value(struct cede__thread *th, cede_coro_t *root, void *value, void **outbox)
{
	void **inbox = root->leaf->inbox;

	if (inbox)
		*inbox = value;
	return resume(th, root, 0, outbox);
}

/* The way out of a chain: suspends its leaf, and the root with it. */
static inline int
leave(struct cede__thread *th, cede_coro_t *self, int message, void *value)
{
	cede_coro_t *root = self->root;

	th->current = root->caller;
	root->mode = CEDE__CORO_SUSPENDED;
	put_value(root->outbox, self, value);
	return switch_to(th, &self->context, &root->resumer, message);
}

/* The way up a chain: `to` is the leaf, and executes. */
static void
make_leaf(struct cede__thread *th, cede_coro_t *root, cede_coro_t *to)
{
	root->leaf = to;
	to->root = root;
	th->current = to;
}

/* ---- codes that are raised in a coroutine ---- */

/* An error of the engine, raised where `in` executes (NULL: outside all), about `co`. */
static cede_error_t *
error_in(struct cede__thread *th, cede_coro_t *in, const cede_coro_t *co, int code)
{
	cede_error_t *error = cede__error_of_kind(co, code), *handled = cede__error_handled(th, in);

	if (error && handled)
		cede__error_set_context(error, handled);
	return error;
}

/*
 * Gives a coroutine the error, owned or NULL, behind a code that is thrown into it.
 * One that is suspended while it handles another error gets that as the context;
 * CPython's _PyErr_ChainStackItem. Rows 77, 78.
 */
static void
give_error(cede_coro_t *co, int code, cede_error_t *error)
{
	if (cede__unlikely(co->handlers != NULL) && !co->is_driving) {
		if (!error)
			error = cede__error_of_kind(co, code);
		if (error && co->handlers->error)
			cede__error_set_context(error, co->handlers->error);
	}
	cede__error_put(&co->error, error);
}

/* The error leaves with its code, if it is of that code. */
static cede_error_t *
take_error(cede_coro_t *co, int code)
{
	cede_error_t *error = co->error;

	if (!error || cede_error_code(error) != code)
		return NULL;
	co->error = NULL;
	return error;
}

/*
 * The turn of a member is over: passes it on to its awaiter. Returns the code that
 * one gets, 0 if it is the value; the error, owned, is exchanged if need be.
 */
static int
pass_turn(cede_coro_t *root, cede_coro_t *next, int code, cede_error_t **error)
{
	int is_thrown = root->turn_kind == CEDE__TURN_CLOSE_BELOW && next == root;

	root->turn = next;
	if (root->turn_kind == CEDE__TURN_THROW)
		return code;
	if (is_thrown)
		root->turn_kind = CEDE__TURN_THROW;
	if (code < 0 && code != CEDE_EXIT)
		return code;
	cede_error_unref(*error);
	*error = is_thrown ? take_error(root, CEDE_EXIT) : NULL;
	return CEDE_EXIT;
}

/* ---- the ends of a coroutine's turn to execute ---- */

/* StopIteration must not leave a body: PEP 479. Row 45. */
static CEDE__NOINLINE int
convert_stop(cede_coro_t *self, int code)
{
	cede_error_t *cause, *error;

	if (self->kind != CEDE__KIND_ASYNC_GENERATOR && code == CEDE_STOP_ASYNC)
		return code;
	cause = take_error(self, code);
	if (!cause)
		cause = cede__error_of_kind(self, code);
	error = cede__error_of_stop(self, code);
	if (error && cause)
		cede__error_set_cause(error, cause);
	cede_error_unref(cause);
	cede__error_put(&self->error, error);
	return CEDE_ESTOPITER;
}

static _Noreturn void
finish(cede_coro_t *self, int code)
{
	struct cede__thread *th = self->thread;
	cede_coro_t *root = self->root, *next = self->awaiter;
	cede_error_t *error = NULL;
	void *value = self->result;

	self->result = NULL;
	self->handlers = NULL;
	self->mode = CEDE__CORO_CLOSED;
	if (cede__unlikely(code < 0)) {
		if (code == CEDE_STOP || code == CEDE_STOP_ASYNC)
			code = convert_stop(self, code);
		error = take_error(self, code);
		cede__engine_dispose(self, value);
		value = NULL;
	}
	if (th->dead)
		cede__engine_release_stack(th, th->dead);
	th->dead = self;

	if (self == root) {
		root->turn = NULL;
		th->current = root->caller;
		put_value(root->outbox, self, value);
		if (code < 0)
			cede__error_put(cede__error_slot(th, root->caller), error);
		cede__context_exit(&self->context, &root->resumer, code);
	}

	if (cede__unlikely(root->turn == self)) {
		code = pass_turn(root, next, code, &error);
		if (code < 0)
			give_error(next, code, error);
	} else if (code < 0) {
		cede__error_put(&next->error, error);
	}
	unlink_await(next, self);
	make_leaf(th, root, next);
	put_value(code < 0 ? NULL : next->inbox, self, value);
	cede__context_exit(&self->context, &next->context, code);
}

/* A yield while a throw or a close is on its way up the chain. */
static CEDE__NOINLINE int
yield_in_turn(struct cede__thread *th, cede_coro_t *self, void *value)
{
	cede_coro_t *root = self->root, *ignorer = root->turn, *next = ignorer->awaiter;
	cede_error_t *error;
	int code;

	if (root->turn_kind == CEDE__TURN_THROW) {
		root->turn = NULL;
		return leave(th, self, CEDE__CORO_YIELDED, value);
	}

	cede__engine_dispose(self, value);
	error = error_in(th, root->caller, ignorer, CEDE_EIGNORED);
	if (ignorer == root) {
		root->turn = NULL;
		cede__error_put(cede__error_slot(th, root->caller), error);
		return leave(th, self, CEDE_EIGNORED, NULL);
	}

	unlink_await(next, ignorer);
	ignorer->leaf = self;
	ignorer->mode = CEDE__CORO_SUSPENDED;
	code = pass_turn(root, next, CEDE_EIGNORED, &error);
	give_error(next, code, error);
	make_leaf(th, root, next);
	return switch_to(th, &self->context, &next->context, code);
}

int
cede_yield(void *value, void **ret_sent)
{
	struct cede__thread *th = cede__thread_record;
	cede_coro_t *self = th ? th->current : NULL;

	if (cede__unlikely(!self))
		return CEDE_ENOTASK;
	self->inbox = ret_sent;
	if (cede__unlikely(self->root->turn != NULL))
		return yield_in_turn(th, self, value);
	return leave(th, self, CEDE__CORO_YIELDED, value);
}

int
cede__coro_yield_shielded(cede_coro_t *self, void *value)
{
	cede_coro_t *root = self->root;
	int message = CEDE__CORO_YIELDED;

	self->inbox = NULL;
	if (cede__unlikely(root->turn != NULL)) {
		if (root->turn_kind == CEDE__TURN_THROW)
			root->turn = NULL;
		else
			message = CEDE__CORO_CLOSING;
	}
	return leave(self->thread, self, message, value);
}

int
cede_return(void *value)
{
	cede_coro_t *self = cede__coro_current();

	cede__check(self != NULL, "cede_return() outside a coroutine");
	if (self->result != value)
		cede__engine_dispose(self, self->result);
	self->result = value;
	return 0;
}

/* ---- awaiting ---- */

/* May this coroutine be awaited now? */
static int
admit_await(const cede_coro_t *child)
{
	if (!child)
		return CEDE_EINVAL;
	if (cede__engine_root(child)->mode == CEDE__CORO_ACTIVE)
		return CEDE_ERUNNING;
	if (child->mode == CEDE__CORO_CLOSED)
		return CEDE_EREUSED;
	return child->mode == CEDE__CORO_CREATED ? 0 : CEDE_EAWAITED;
}

/* The error of a call, not of what it resumed: there is none but the code, said in the words of the kind. */
static CEDE__NOINLINE int
refuse(struct cede__thread *th, const cede_coro_t *co, int code)
{
	cede_error_t *error = NULL;

	if (!th)
		return code;
	if (co && co->kind != CEDE__KIND_COROUTINE)
		error = error_in(th, th->current, co, code);
	cede__error_put(cede__error_slot(th, th->current), error);
	return code;
}

/* Puts the chain of `child`, down to `leaf`, below `self` and executes it. Returns when the await is over. */
static int
await_child(struct cede__thread *th, cede_coro_t *self, cede_coro_t *child, cede_coro_t *leaf,
	int message, void **ret_value)
{
	int r;

	self->inbox = ret_value;
	link_await(self, child);
	make_leaf(th, self->root, leaf);
	r = switch_to(th, &self->context, &leaf->context, message);
	cede_coro_unref(child);
	return r;
}

int
cede_await_coro(cede_coro_t *child, void **ret_value)
{
	struct cede__thread *th = cede__thread_record;
	cede_coro_t *self = th ? th->current : NULL;
	int r;

	if (!self)
		return CEDE_ENOTASK;
	r = self->kind == CEDE__KIND_GENERATOR ? CEDE_EINVAL : admit_await(child);
	if (cede__likely(r == 0))
		r = start(th, child);
	if (cede__unlikely(r < 0))
		return refuse(th, NULL, r);
	return await_child(th, self, child, child, 0, ret_value);
}

/* Ends the leaf's await of something beyond reach. Returns what that was. */
static cede_coro_t *
break_await(cede_coro_t *leaf)
{
	cede_coro_t *child = leaf->awaiting;

	unlink_await(leaf, child); /* the leaf drops its reference when it goes on */
	return child;
}

/* Did an await end because a generator is exhausted? That is no error, but an end without a value. */
static int
is_exhausted(const cede_coro_t *child, int fault)
{
	return fault == CEDE_EREUSED && child->kind == CEDE__KIND_GENERATOR;
}

/*
 * May the running one delegate to this generator? 0: yes, it is whole and stands
 * where a send of NULL would find it; 1: it is exhausted; or a code.
 */
static int
admit_delegation(struct cede__thread *th, cede_coro_t *child)
{
	cede_coro_t *root = cede__engine_root(child);

	if (root->mode == CEDE__CORO_ACTIVE)
		return CEDE_ERUNNING;
	if (child->mode == CEDE__CORO_CLOSED)
		return 1;
	if (child->mode == CEDE__CORO_CREATED)
		return start(th, child);
	if (child->thread != th)
		return CEDE_EWRONGTHREAD;
	if (root != child)
		split(root, child);
	return 0;
}

int
cede__engine_delegate(cede_coro_t *child, void **ret_value)
{
	struct cede__thread *th = cede__thread_record;
	cede_coro_t *self = th->current, *leaf;
	int r = admit_delegation(th, child);

	if (r < 0)
		return refuse(th, child, r);
	if (ret_value)
		*ret_value = NULL;
	if (r > 0)
		return 0;

	r = child->mode == CEDE__CORO_SPLIT ? rejoin(child) : 0;
	leaf = child->leaf;
	if (r < 0 && is_exhausted(break_await(leaf), r))
		r = 0;
	if (r < 0)
		give_error(leaf, r, NULL);
	else if (leaf->inbox)
		*leaf->inbox = NULL;
	return await_child(th, self, child, leaf, r, ret_value);
}

int
cede__engine_run_child(cede_coro_t *child, int code, void *value, void **ret_value)
{
	struct cede__thread *th = cede__thread_record;
	int r = 0;

	if (child->mode == CEDE__CORO_CREATED)
		r = start(th, child);
	else if (child->thread != th)
		r = CEDE_EWRONGTHREAD;
	if (r < 0)
		return refuse(th, child, r);

	if (code < 0)
		give_error(child, code, NULL);
	else if (child->inbox)
		*child->inbox = value;
	return await_child(th, th->current, child, child, code, ret_value);
}

int
cede__engine_yield_to_awaiter(cede_coro_t *self, void *value, void **ret_sent)
{
	struct cede__thread *th = self->thread;
	cede_coro_t *root = self->root, *next = self->awaiter;
	cede_error_t *error = NULL;
	int code = 0;

	if (self == root) /* nobody awaits it: it is being closed as it was dropped */
		return cede_yield(value, ret_sent);
	self->inbox = ret_sent;
	if (root->turn == self) {
		code = pass_turn(root, next, 0, &error);
		if (code < 0)
			give_error(next, code, error);
	}
	unlink_await(next, self);
	self->mode = CEDE__CORO_SUSPENDED;
	self->leaf = self;
	make_leaf(th, root, next);
	put_value(code < 0 ? NULL : next->inbox, self, value);
	return switch_to(th, &self->context, &next->context, code);
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
	cede_coro_t *root = cede__engine_root(co);

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

/* Starts a turn at the leaf of a chain. */
static int
throw_at_leaf(struct cede__thread *th, cede_coro_t *root, enum cede__coro_turn kind, int code,
	cede_error_t *error, void **ret_value)
{
	cede_coro_t *leaf = root->leaf;

	if (kind == CEDE__TURN_CLOSE_BELOW && leaf == root)
		kind = CEDE__TURN_THROW;
	root->turn = leaf;
	root->turn_kind = (uint8_t)kind;
	if (kind == CEDE__TURN_CLOSE_BELOW) {
		give_error(root, code, error); /* which waits there for the root's turn */
		error = NULL;
	}
	give_error(leaf, code, error);
	return resume(th, root, code, ret_value);
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
		return refuse(th, co, r);
	if (fault < 0) {
		cede_coro_t *child = break_await(co->leaf);

		if (!is_exhausted(child, fault))
			return throw_at_leaf(th, co, CEDE__TURN_THROW, fault,
				error_in(th, th->current, child, fault), ret_value);
		value = NULL;
	}
	return resume_with_value(th, co, value, ret_value);
}

int
cede__engine_send(cede_coro_t *co, void *value, void **ret_value)
{
	struct cede__thread *th = cede__thread_record;

	if (cede__unlikely(co->mode != CEDE__CORO_SUSPENDED || co->thread != th))
		return send_slowly(th ? th : cede__thread(), co, value, ret_value);
	return resume_with_value(th, co, value, ret_value);
}

int
cede_coro_send(cede_coro_t *co, void *value, void **ret_value)
{
	struct cede__thread *th = cede__thread_record;

	if (cede__unlikely(co->mode != CEDE__CORO_SUSPENDED || co->thread != th))
		return send_slowly(th ? th : cede__thread(), co, value, ret_value);
	return resume_with_value(th, co, value, ret_value);
}

void
cede__engine_close_unstarted(cede_coro_t *co)
{
	co->mode = CEDE__CORO_CLOSED;
	if (co->arg_dtor)
		co->arg_dtor(co->arg);
	co->arg = NULL;
}

/*
 * The error behind a code that is thrown, owned or NULL. The thrower has made it,
 * not raised it: what the thrower handles is no context of it. Where there is
 * something that would become one, the error is made now. Row 76.
 */
static cede_error_t *
thrown(struct cede__thread *th, const cede_coro_t *co, int code, cede_error_t *error)
{
	if (error)
		return cede_error_ref(error);
	return cede__error_handled(th, th->current) ? cede__error_of_kind(co, code) : NULL;
}

/* The thrown error, owned, comes straight back. */
static int
throw_back(struct cede__thread *th, int code, cede_error_t *error)
{
	cede__error_put(cede__error_slot(th, th->current), error);
	return code;
}

int
cede__engine_throw(cede_coro_t *co, int code, cede_error_t *error, void **ret_value)
{
	struct cede__thread *th = cede__thread();
	int r, fault;

	if (!th)
		return CEDE_ENOMEM;
	if (code >= 0)
		return refuse(th, co, CEDE_EINVAL);
	if (co->mode == CEDE__CORO_CREATED) {
		if (code == CEDE_STOP)
			return refuse(th, co, CEDE_EINVAL);
		error = thrown(th, co, code, error);
		cede__engine_close_unstarted(co);
		return throw_back(th, code, error);
	}
	if (co->mode == CEDE__CORO_CLOSED && co->kind == CEDE__KIND_GENERATOR)
		return throw_back(th, code, thrown(th, co, code, error));
	r = admit(th, co, &fault);
	if (r < 0)
		return refuse(th, co, r);

	error = thrown(th, co, code, error);
	if (fault < 0) {
		cede_coro_t *child = break_await(co->leaf);

		/* A close of what has ended succeeds, a throw into it is an error of its own. */
		if (!is_exhausted(child, fault) && !(code == CEDE_EXIT && fault == CEDE_EREUSED)) {
			cede_error_unref(error);
			code = fault;
			error = error_in(th, th->current, child, fault);
		}
	}
	return throw_at_leaf(th, co, code == CEDE_EXIT ? CEDE__TURN_CLOSE_BELOW : CEDE__TURN_THROW,
		code, error, ret_value);
}

int
cede__coro_close_told(cede_coro_t *co, void **ret_value)
{
	struct cede__thread *th = cede__thread();
	cede_error_t *error = NULL;
	int r, fault, code = CEDE_EXIT;

	if (!th)
		return CEDE_ENOMEM;
	if (ret_value)
		*ret_value = NULL;
	if (co->mode == CEDE__CORO_CLOSED)
		return 0;
	if (co->mode == CEDE__CORO_CREATED) {
		cede__engine_close_unstarted(co);
		return 0;
	}
	r = admit(th, co, &fault);
	if (r < 0)
		return refuse(th, co, r);
	if (fault < 0) {
		cede_coro_t *child = break_await(co->leaf);

		if (fault == CEDE_ERUNNING) { /* it could not be closed, and the leaf is told so */
			code = fault;
			error = error_in(th, th->current, child, code);
		}
	}

	return throw_at_leaf(th, co, CEDE__TURN_CLOSE, code, error, ret_value);
}

int
cede__engine_close(cede_coro_t *co, void **ret_value)
{
	int r = cede__coro_close_told(co, ret_value);

	if (r != CEDE_EXIT)
		return r;
	cede__error_clear(cede__thread_record);
	return 0;
}
