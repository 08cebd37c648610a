/*
 * Send, throw and close, for every kind of coroutine: whether it may be resumed
 * now, and with what.
 */
#include "coro/switching.h"

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
		cede__chain_split(root, co);
	if (co->mode == CEDE__CORO_SPLIT)
		*ret_fault = cede__chain_rejoin(co);
	return 0;
}

/* Starts a turn at the leaf of a chain. */
static int
throw_at_leaf(struct cede__thread *th, cede_coro_t *root, enum cede__coro_turn kind, int code,
	cede_error_t *error, void **ret_value)
{
	cede_coro_t *leaf = root->leaf;

	root->turn = leaf;
	root->turn_kind = (uint8_t)kind;
	cede__engine_give_error(leaf, code, error);
	return cede__resume(th, root, code, ret_value);
}

/* A send to one that is not simply suspended: not started, split, awaited, or refused. */
static CEDE__NOINLINE int
send_slowly(struct cede__thread *th, cede_coro_t *co, void *value, void **ret_value)
{
	int r, fault = 0;

	if (!th)
		return CEDE_ENOMEM;
	if (co->mode == CEDE__CORO_CREATED)
		r = value ? CEDE_ENOTSTARTED : cede__engine_start(th, co);
	else
		r = admit(th, co, &fault);
	if (r < 0)
		return cede__engine_refuse(th, co, r);
	if (fault < 0) {
		cede_coro_t *child = cede__chain_break(co->leaf);

		if (!cede__chain_is_exhausted(child, fault)) {
			cede__engine_give_fault(th, co, child, fault);
			return cede__resume(th, co, fault, ret_value);
		}
		value = NULL;
	}
	return cede__resume_with_value(th, co, value, ret_value);
}

int
cede_coro_send(cede_coro_t *co, void *value, void **ret_value)
{
	struct cede__thread *th = cede__thread_record;

	if (cede__unlikely(co->mode != CEDE__CORO_SUSPENDED || co->thread != th))
		return send_slowly(th ? th : cede__thread(), co, value, ret_value);
	return cede__resume_with_value(th, co, value, ret_value);
}

void
cede__engine_close_unstarted(cede_coro_t *co)
{
	co->mode = CEDE__CORO_CLOSED;
	if (co->arg_dtor)
		co->arg_dtor(co->arg);
	co->arg = NULL;
}

cede_error_t *
cede__engine_thrown(struct cede__thread *th, const cede_coro_t *co, int code, cede_error_t *error)
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

/* What the leaf delegates to has ended, and raises the StopIteration thrown into it: that is its end. */
static int
end_delegation(struct cede__thread *th, cede_coro_t *root, void **ret_value)
{
	root->turn = root->leaf;
	root->turn_kind = CEDE__TURN_THROW;
	return cede__resume_with_value(th, root, NULL, ret_value);
}

int
cede__engine_throw(cede_coro_t *co, int code, cede_error_t *error, void **ret_value)
{
	struct cede__thread *th = cede__thread();
	enum cede__coro_turn kind = CEDE__TURN_THROW;
	int r, fault;

	if (!th)
		return CEDE_ENOMEM;
	if (code >= 0)
		return cede__engine_refuse(th, co, CEDE_EINVAL);
	if (co->mode == CEDE__CORO_CREATED) {
		if (code == CEDE_STOP)
			return cede__engine_refuse(th, co, CEDE_EINVAL);
		error = cede__engine_thrown(th, co, code, error);
		cede__engine_close_unstarted(co);
		return throw_back(th, code, error);
	}
	if (co->mode == CEDE__CORO_CLOSED && co->kind == CEDE__KIND_GENERATOR)
		return throw_back(th, code, cede__engine_thrown(th, co, code, error));
	r = admit(th, co, &fault);
	if (r < 0)
		return cede__engine_refuse(th, co, r);

	error = cede__engine_thrown(th, co, code, error);
	if (code == CEDE_EXIT && co->leaf != co) { /* the error waits in the root for its turn */
		kind = CEDE__TURN_CLOSE_BELOW;
		cede__error_put(&co->error, error);
		error = NULL;
	}
	if (fault < 0) {
		cede_coro_t *child = cede__chain_break(co->leaf);
		int is_exhausted = cede__chain_is_exhausted(child, fault);

		if (is_exhausted && code == CEDE_STOP) {
			cede_error_unref(error);
			return end_delegation(th, co, ret_value);
		}
		/* A close of what has ended succeeds, a throw into it is an error of its own. */
		if (!is_exhausted && !(code == CEDE_EXIT && fault == CEDE_EREUSED)) {
			cede_error_unref(error);
			code = fault;
			error = cede__engine_error(th, th->current, child, fault);
		}
	}
	return throw_at_leaf(th, co, kind, code, error, ret_value);
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
		return cede__engine_refuse(th, co, r);
	if (fault < 0) {
		cede_coro_t *child = cede__chain_break(co->leaf);

		if (fault == CEDE_ERUNNING) { /* it could not be closed, and the leaf is told so */
			code = fault;
			error = cede__engine_error(th, th->current, child, code);
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
