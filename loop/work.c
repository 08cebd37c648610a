/*
 * Functions on libuv's thread pool.
 *
 * A slot is what libuv gets: a request in memory of the library's, with a copy of
 * what the thread needs. A loop makes as many as its limit, when it first needs
 * them, and keeps them; to have one is to be allowed to run. So a function that
 * waits its turn takes no memory but its op's, and a slot that becomes free goes
 * to the first that waits: nothing can fail there.
 *
 * Happy path: the slot is handed to libuv, the function runs, libuv calls back in
 * the loop's thread, the slot goes on to the next, the future is resolved.
 *
 * Given up while it waits: off the list. Given up in libuv's hands before a thread
 * has taken it (uv_cancel() says so): the slot forgets the op and comes back by
 * itself; the function never runs and its argument is not needed. Given up while
 * it runs: an argument that was handed over goes on with the slot and is released
 * when that comes back; with a borrowed one the call goes on to wait, in a shield.
 *
 * A slot in libuv's hands counts as an open handle, so a detach waits for it.
 */
#include "loop/work.h"

#include "coro/alloc.h"
#include "loop/scope_int.h"
#include "loop/task_int.h"

struct cede__work_slot {
	struct cede__work_slot *next; /* only while it is free */
	uv_work_t req;
	cede_loop_t *loop;
	cede_work_t *op; /* NULL: given up */
	cede_fn *fn;
	void *arg;
	cede_dtor_fn *arg_dtor; /* only when the argument goes with the slot */
	int result;             /* written by the thread */
};

static void
release(cede_dtor_fn *arg_dtor, void *arg)
{
	if (arg_dtor)
		arg_dtor(arg);
}

/* ---- the list of those who wait ---- */

static void
append(struct cede__works *works, cede_work_t *op)
{
	op->prev = works->last;
	op->next = NULL;
	if (works->last)
		works->last->next = op;
	else
		works->first = op;
	works->last = op;
}

static void
take_out(struct cede__works *works, cede_work_t *op)
{
	if (op->prev)
		op->prev->next = op->next;
	else
		works->first = op->next;
	if (op->next)
		op->next->prev = op->prev;
	else
		works->last = op->prev;
	op->next = op->prev = NULL;
}

/* ---- slots ---- */

/* NULL in *ret_slot: all are in use, or there is no memory for one more; the next that is free will do. */
static int
take_slot(cede_loop_t *loop, struct cede__work_slot **ret_slot)
{
	struct cede__works *works = &loop->works;
	struct cede__work_slot *slot = works->free;

	if (slot) {
		works->free = slot->next;
	} else if (works->made < works->limit) {
		slot = cede__alloc(sizeof *slot);
		if (slot)
			works->made++;
		else if (works->made == 0)
			return CEDE_ENOMEM;
	}
	*ret_slot = slot;
	return 0;
}

static void
give_slot(struct cede__works *works, struct cede__work_slot *slot)
{
	slot->next = works->free;
	works->free = slot;
}

int
cede__work_reserve(cede_loop_t *loop)
{
	struct cede__work_slot *slot;
	int r;

	if (loop->works.made > 0)
		return 0;
	r = take_slot(loop, &slot);
	if (r == 0)
		give_slot(&loop->works, slot);
	return r;
}

/* In a thread of the pool. */
static void
run(uv_work_t *req)
{
	struct cede__work_slot *slot = cede__container_of(req, struct cede__work_slot, req);

	slot->result = slot->fn(slot->arg);
}

static void returned(uv_work_t *req, int status);

static void
hand_over(cede_loop_t *loop, struct cede__work_slot *slot, cede_work_t *op)
{
	int r;

	slot->loop = loop;
	slot->op = op;
	slot->fn = op->fn;
	slot->arg = op->arg;
	slot->arg_dtor = NULL;
	op->slot = slot;
	cede__loop_opened(loop);
	loop->in_flight++;
	r = uv_queue_work(loop->uv, &slot->req, run, returned);
	cede__check(r == 0, "uv_queue_work: %s", cede_strerror(r)); /* refuses a NULL only */
}

/* A slot has come back: the next one's turn. */
static void
pass_on(cede_loop_t *loop, struct cede__work_slot *slot)
{
	cede_work_t *next = loop->works.first;

	if (next) {
		take_out(&loop->works, next);
		hand_over(loop, slot, next);
	} else {
		give_slot(&loop->works, slot);
	}
}

static void
returned(uv_work_t *req, int status)
{
	struct cede__work_slot *slot = cede__container_of(req, struct cede__work_slot, req);
	cede_loop_t *loop = slot->loop;
	cede_work_t *op = slot->op;
	cede_dtor_fn *arg_dtor = slot->arg_dtor;
	void *arg = slot->arg;
	const int result = slot->result;

	cede__assert(!op || status == 0);
	cede__loop_enter(loop);
	loop->in_flight--;
	pass_on(loop, slot);
	if (op) {
		op->slot = NULL;
		if (result < 0)
			arg_dtor = op->arg_dtor;
	}
	release(arg_dtor, arg);
	if (op && op->returned)
		op->returned(op, result);
	else if (op)
		cede_future_resolve(&op->future, result, NULL);
	cede__loop_closed(loop); /* not before: what was told may have handed over the next */
	cede__loop_leave(loop);
}

void
cede__works_deinit(struct cede__works *works)
{
	cede__assert(!works->first);
	while (works->free) {
		struct cede__work_slot *slot = works->free;

		works->free = slot->next;
		cede__free(slot);
		works->made--;
	}
	cede__assert(works->made == 0);
}

/* ---- starting and giving up ---- */

/* If it runs, or has, the slot is still with libuv. */
int
cede__work_withdraw(cede_work_t *op)
{
	if (!op->slot) {
		take_out(&op->loop->works, op);
		return 1;
	}
	if (uv_cancel((uv_req_t *)&op->slot->req) < 0)
		return 0;
	op->slot->op = NULL;
	op->slot = NULL;
	return 1;
}

static void
cancel(cede_future_t *future)
{
	cede_work_t *op = cede__container_of(future, cede_work_t, future);

	if (cede__work_withdraw(op)) {
		release(op->arg_dtor, op->arg);
	} else {
		op->slot->op = NULL;
		op->slot->arg_dtor = op->arg_dtor;
		op->slot = NULL;
	}
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

/* The argument is borrowed: while the function runs, whoever waits must go on to. */
static void
cancel_unless_it_runs(cede_future_t *future)
{
	cede_work_t *op = cede__container_of(future, cede_work_t, future);

	op->is_held = !cede__work_withdraw(op);
	if (op->is_held && op->stop)
		op->stop(op->arg);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede__work_submit(cede_loop_t *loop, cede_work_t *op)
{
	struct cede__work_slot *slot = NULL;
	int r;

	if (!loop->works.first) {
		r = take_slot(loop, &slot);
		if (r < 0)
			return r;
	}
	op->loop = loop;
	if (slot)
		hand_over(loop, slot, op);
	else
		append(&loop->works, op);
	return 0;
}

int
cede_work_start(cede_fn *fn, void *arg, cede_dtor_fn *arg_dtor, cede_work_t *op)
{
	cede_loop_t *loop = cede_loop_current();
	int r = !loop ? CEDE_ENOTASK : !fn ? CEDE_EINVAL : 0;

	*op = (cede_work_t){ .future = { .cancel = cancel },
		.fn = fn,
		.arg = arg,
		.arg_dtor = arg_dtor };
	if (r == 0)
		r = cede__work_submit(loop, op);
	if (r < 0)
		release(arg_dtor, arg);
	return r;
}

int
cede_work_own(cede_fn *fn, void *arg, cede_dtor_fn *arg_dtor)
{
	cede_loop_t *loop;
	cede_work_t op;
	int r = cede__await_admit(&loop);

	if (r < 0) {
		release(arg_dtor, arg);
		return r;
	}
	r = cede_work_start(fn, arg, arg_dtor, &op);
	return r < 0 ? r : cede_await(&op.future);
}

int
cede__work_hold(cede_loop_t *loop, cede_fn *fn, void *arg, cede_dtor_fn *stop, int *ret_given_up)
{
	cede_work_t op = { .future = { .cancel = cancel_unless_it_runs },
		.fn = fn,
		.arg = arg,
		.stop = stop };
	cede_scope_t shield;
	int r = cede__work_submit(loop, &op);

	*ret_given_up = 0;
	if (r < 0)
		return r;
	r = cede_await(&op.future);
	if (!op.is_held)
		return r;

	*ret_given_up = r;
	cede__shield_enter_unbounded(&shield);
	cede_future_init(&op.future, NULL);
	r = cede_await(&op.future);
	cede_scope_leave(&shield);
	return r;
}

int
cede_work(cede_fn *fn, void *arg)
{
	cede_loop_t *loop;
	int given_up, r = cede__await_admit(&loop);

	if (r < 0)
		return r;
	return fn ? cede__work_hold(loop, fn, arg, NULL, &given_up) : CEDE_EINVAL;
}
