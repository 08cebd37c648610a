/*
 * Requests of libuv's, awaited.
 *
 * A request lies in a block of the library's, which libuv may write to for as long
 * as it likes. Happy path: begin takes a block, the caller starts the request, the
 * callback finds the block through req->data and resolves the op's future, end
 * gives the block back.
 *
 * Given up in a select: block and op forget each other; the callback comes some time
 * later, releases what the request has used, and the block is free. Given up in
 * cede_uv_await(): libuv is asked to cancel, and the wait goes on in a shield, because
 * the request may point into the caller's frame.
 *
 * A request in libuv's hands counts as an open handle: a detach waits for it.
 */
#include <cede/uv.h>

#include "coro/alloc.h"
#include "loop/scope_int.h"
#include "loop/task_int.h"

/* Kept for the next; what a burst took beyond that goes back to the allocator. */
#define FREE_MAX 16

struct cede__uv_block {
	union uv_any_req any;
	struct cede__uv_block *next; /* only while it is free */
	cede_loop_t *loop;
	cede_uv_op_t *op; /* NULL: given up */
	int is_in_flight;
	int is_held; /* given up, in a call that waits all the same */

	/* Of the op, when it is given up: */
	void *data;
	cede_dtor_fn *data_dtor;
};

int
cede_uv_begin(cede_uv_op_t *op)
{
	cede_loop_t *loop = cede_loop_current();
	struct cede__uv_block *block;

	*op = (cede_uv_op_t){ .future = { .is_done = 1, .result = CEDE_EINVAL } };
	if (!loop)
		return CEDE_ENOTASK;
	block = loop->free_blocks;
	if (block) {
		loop->free_blocks = block->next;
		loop->free_block_count--;
	} else {
		block = cede__alloc(sizeof *block);
		if (!block)
			return CEDE_ENOMEM;
	}
	*block = (struct cede__uv_block){ .loop = loop, .op = op };
	block->any.req.data = block;
	op->block = block;
	op->req = &block->any;
	return 0;
}

static void
give_back(struct cede__uv_block *block)
{
	cede_loop_t *loop = block->loop;

	if (loop->free_block_count >= FREE_MAX) {
		cede__free(block);
		return;
	}
	block->next = loop->free_blocks;
	loop->free_blocks = block;
	loop->free_block_count++;
}

void
cede__uv_blocks_deinit(cede_loop_t *loop)
{
	while (loop->free_blocks) {
		struct cede__uv_block *block = loop->free_blocks;

		loop->free_blocks = block->next;
		cede__free(block);
	}
}

/* What libuv has allocated for the request. */
static void
clean_up(union uv_any_req *any)
{
	if (any->req.type == UV_FS)
		uv_fs_req_cleanup(&any->fs);
	else if (any->req.type == UV_GETADDRINFO)
		uv_freeaddrinfo(any->getaddrinfo.addrinfo);
}

/* What it has opened, and nobody knows of. */
static void
close_result(cede_loop_t *loop, union uv_any_req *any)
{
	uv_fs_t close_req;

	if (any->req.type != UV_FS || any->fs.result < 0)
		return;
	if (any->fs.fs_type == UV_FS_OPEN || any->fs.fs_type == UV_FS_MKSTEMP)
		uv_fs_close(loop->uv, &close_req, (uv_file)any->fs.result, NULL);
	else if (any->fs.fs_type == UV_FS_OPENDIR)
		uv_fs_closedir(loop->uv, &close_req, any->fs.ptr, NULL);
	else
		return;
	uv_fs_req_cleanup(&close_req);
}

void
cede_uv_done(uv_req_t *req, int result)
{
	struct cede__uv_block *block = req->data;
	cede_loop_t *loop = block->loop;

	cede__check(block->is_in_flight,
		"a request of libuv's is done that was not noted as started");
	cede__loop_enter(loop);
	cede__loop_closed(loop);
	loop->in_flight--;
	block->is_in_flight = 0;
	if (block->op) {
		cede_future_resolve(&block->op->future, result, NULL);
	} else {
		close_result(loop, &block->any);
		clean_up(&block->any);
		if (block->data_dtor)
			block->data_dtor(block->data);
		give_back(block);
	}
	cede__loop_leave(loop);
}

static void
ask_to_cancel(cede_uv_op_t *op)
{
	if (op->abort)
		op->abort(op);
	else
		(void)uv_cancel(&op->req->req); /* EINVAL, EBUSY: it goes on to its end */
}

static void
give_up(cede_future_t *future)
{
	cede_uv_op_t *op = cede__container_of(future, cede_uv_op_t, future);
	struct cede__uv_block *block = op->block;

	ask_to_cancel(op);
	block->op = NULL;
	block->data = op->data;
	block->data_dtor = op->data_dtor;
	op->block = NULL;
	op->req = NULL;
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

static void
hold(cede_future_t *future)
{
	cede_uv_op_t *op = cede__container_of(future, cede_uv_op_t, future);

	op->block->is_held = 1;
	ask_to_cancel(op);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_uv_started(cede_uv_op_t *op, int status)
{
	if (!op->block)
		return status < 0 ? status : CEDE_EINVAL;
	if (status < 0) {
		op->future.result = status;
		return status;
	}
	cede__check(!op->block->is_in_flight, "a request of libuv's was started twice");
	op->block->is_in_flight = 1;
	cede__loop_opened(op->block->loop);
	op->block->loop->in_flight++;
	cede_future_init(&op->future, give_up);
	return status;
}

int
cede_uv_await(cede_uv_op_t *op, int status)
{
	cede_scope_t shield;
	int r = cede_uv_started(op, status), result;

	if (r < 0)
		return r;
	op->future.cancel = hold;
	r = cede_await(&op->future);
	if (!op->block->is_held || !op->block->is_in_flight)
		return r;

	op->block->is_held = 0;
	cede__shield_enter_unbounded(&shield);
	cede_future_init(&op->future, NULL);
	result = cede_await(&op->future);
	cede_scope_leave(&shield);
	return result == CEDE_ECANCELED ? r : result;
}

void
cede_uv_end(cede_uv_op_t *op)
{
	struct cede__uv_block *block = op->block;

	if (!block)
		return;
	if (block->is_in_flight) {
		cede_future_cancel(&op->future);
		return;
	}
	clean_up(&block->any);
	give_back(block);
	op->block = NULL;
	op->req = NULL;
}
