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
#include "coro/switching.h"

#include "coro/alloc.h"

static _Noreturn void finish(cede_coro_t *self, int code);

CEDE__NOINLINE void
cede__engine_release_stack(struct cede__thread *th, cede_coro_t *co)
{
	if (th->dead == co)
		th->dead = NULL;
	if (!co->stack)
		return;
	if (th->profile)
		cede__profile_note(th->profile, co);
	cede__context_destroy(&co->context);
	cede__stack_release(th->stacks, co->stack);
	co->stack = NULL;
	cede__thread_drop(th);
}

static void
entry(void *arg)
{
	cede_coro_t *self = arg;
	int code;

	if (cede__unlikely(self->thread->exceptions != NULL))
		*self->thread->exceptions = (struct cede__exceptions){ 0 };
	code = self->fn(self->arg);
	self->handlers = NULL; /* their frames have gone */
	if (cede__unlikely(self->defers != NULL))
		cede__defers_run(self);
	finish(self, code < 0 ? code : 0);
}

/* Gives a coroutine that never ran a stack and a place to start. */
int
cede__engine_start(struct cede__thread *th, cede_coro_t *co)
{
	int r;

	if (th->dead)
		cede__engine_release_stack(th, th->dead);
	r = cede__stack_acquire(th->stacks, co->stack_size, &co->stack);
	if (cede__unlikely(r < 0))
		return r;
	co->stack->owner = co->name;
	co->stack->user = co;
	co->thread = th;
	th->started++;
	cede__context_make(&co->context, co->stack->low, co->stack->size, entry, co);
	return 0;
}

/* C++ counts the exceptions in flight by thread, but they are the stack's that catches them. */
CEDE__NOINLINE int
cede__switch_with_exceptions(struct cede__thread *th, struct cede__context *from,
	struct cede__context *to, int message)
{
	struct cede__exceptions mine = *th->exceptions;
	int r = cede__context_switch(from, to, message);

	*th->exceptions = mine;
	return r;
}

/* An error of the engine, raised where `in` executes (NULL: outside all), about `co`. */
cede_error_t *
cede__engine_error(struct cede__thread *th, cede_coro_t *in, const cede_coro_t *co, int code)
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
void
cede__engine_give_error(cede_coro_t *co, int code, cede_error_t *error)
{
	if (cede__unlikely(co->handlers != NULL) && !co->is_driving) {
		if (!error)
			error = cede__error_of_kind(co, code);
		if (error && co->handlers->error)
			cede__error_set_context(error, co->handlers->error);
	}
	cede__error_put(&co->error, error);
}

void
cede__engine_give_fault(struct cede__thread *th, cede_coro_t *root, const cede_coro_t *broken,
	int code)
{
	cede_coro_t *co = root->leaf;
	cede_error_t *error = cede__error_of_kind(broken, code), *handled;

	while (co != root && !(co->handlers && co->handlers->error))
		co = co->awaiter;
	handled = co->handlers && co->handlers->error ? co->handlers->error
						      : cede__error_handled(th, th->current);
	if (error && handled)
		cede__error_set_context(error, handled);
	cede__error_put(&root->leaf->error, error);
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
int
cede__engine_pass_turn(cede_coro_t *root, cede_coro_t *next, int code, cede_error_t **error)
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
		cede__put_value(root->outbox, self, value);
		if (code < 0)
			cede__error_put(cede__error_slot(th, root->caller), error);
		cede__context_exit(&self->context, &root->resumer, code);
	}

	if (cede__unlikely(root->turn == self)) {
		code = cede__engine_pass_turn(root, next, code, &error);
		if (code < 0)
			cede__engine_give_error(next, code, error);
	} else if (code < 0) {
		cede__error_put(&next->error, error);
	}
	cede__chain_unlink(next, self);
	cede__make_leaf(th, root, next);
	cede__put_value(code < 0 ? NULL : next->inbox, self, value);
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
		return cede__leave(th, self, CEDE__CORO_YIELDED, value);
	}

	cede__engine_dispose(self, value);
	error = cede__engine_error(th, root->caller, ignorer, CEDE_EIGNORED);
	if (ignorer == root) {
		root->turn = NULL;
		cede__error_put(cede__error_slot(th, root->caller), error);
		return cede__leave(th, self, CEDE_EIGNORED, NULL);
	}

	cede__chain_unlink(next, ignorer);
	ignorer->leaf = self;
	ignorer->mode = CEDE__CORO_SUSPENDED;
	code = cede__engine_pass_turn(root, next, CEDE_EIGNORED, &error);
	cede__engine_give_error(next, code, error);
	cede__make_leaf(th, root, next);
	return cede__switch_to(th, &self->context, &next->context, code);
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
	return cede__leave(th, self, CEDE__CORO_YIELDED, value);
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
	return cede__leave(self->thread, self, message, value);
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

/* The error of a call, not of what it resumed: there is none but the code, said in the words of the kind. */
CEDE__NOINLINE int
cede__engine_refuse(struct cede__thread *th, const cede_coro_t *co, int code)
{
	cede_error_t *error = NULL;

	if (!th)
		return code;
	if (co && co->kind != CEDE__KIND_COROUTINE)
		error = cede__engine_error(th, th->current, co, code);
	cede__error_put(cede__error_slot(th, th->current), error);
	return code;
}
