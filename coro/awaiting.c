/*
 * Awaiting: a coroutine, a generator, an asynchronous generator. What is awaited
 * becomes the leaf below the one that awaits it; its end, or what it hands out,
 * makes that one the leaf again (engine.c).
 */
#include <cede/gen.h>

#include "coro/switching.h"

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

/* Puts the chain of `child`, down to `leaf`, below `self` and executes it. Returns when the await is over. */
static int
await_child(struct cede__thread *th, cede_coro_t *self, cede_coro_t *child, cede_coro_t *leaf,
	int message, void **ret_value)
{
	int r;

	self->inbox = ret_value;
	cede__chain_link(self, child);
	cede__make_leaf(th, self->root, leaf);
	r = cede__switch_to(th, &self->context, &leaf->context, message);
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
		r = cede__engine_start(th, child);
	if (cede__unlikely(r < 0))
		return cede__engine_refuse(th, NULL, r);
	return await_child(th, self, child, child, 0, ret_value);
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
		return cede__engine_start(th, child);
	if (child->thread != th)
		return CEDE_EWRONGTHREAD;
	if (root != child)
		cede__chain_split(root, child);
	return 0;
}

int
cede__engine_delegate(cede_coro_t *child, void **ret_value)
{
	struct cede__thread *th = cede__thread_record;
	cede_coro_t *self = th->current, *leaf;
	int r = admit_delegation(th, child);

	if (r < 0)
		return cede__engine_refuse(th, child, r);
	if (ret_value)
		*ret_value = NULL;
	if (r > 0)
		return 0;

	r = child->mode == CEDE__CORO_SPLIT ? cede__chain_rejoin(child) : 0;
	leaf = child->leaf;
	if (r < 0) {
		cede_coro_t *broken = cede__chain_break(leaf);

		if (cede__chain_is_exhausted(broken, r))
			r = 0;
		else
			cede__engine_give_fault(th, child, broken, r);
	}
	if (r == 0 && leaf->inbox)
		*leaf->inbox = NULL;
	return await_child(th, self, child, leaf, r, ret_value);
}

int
cede__engine_run_child(cede_coro_t *child, int code, void *value, void **ret_value)
{
	struct cede__thread *th = cede__thread_record;
	int r = 0;

	if (child->mode == CEDE__CORO_CREATED)
		r = cede__engine_start(th, child);
	else if (child->thread != th)
		r = CEDE_EWRONGTHREAD;
	if (r < 0)
		return cede__engine_refuse(th, child, r);

	if (code < 0)
		cede__engine_give_error(child, code, cede__engine_thrown(th, child, code, NULL));
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
		code = cede__engine_pass_turn(root, next, 0, &error);
		if (code < 0)
			cede__engine_give_error(next, code, error);
	}
	cede__chain_unlink(next, self);
	self->mode = CEDE__CORO_SUSPENDED;
	self->leaf = self;
	cede__make_leaf(th, root, next);
	cede__put_value(code < 0 ? NULL : next->inbox, self, value);
	return cede__switch_to(th, &self->context, &next->context, code);
}
