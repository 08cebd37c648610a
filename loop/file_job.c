/*
 * Jobs of files: the two ways to have one done. The model is in file_int.h.
 *
 * Blocking: cede__work_hold() with the job on the stack.
 *
 * Started: the job in a block, which is what the slot has. Happy path: the thread does
 * it, the block comes back, results are copied to the op, its future is resolved, the
 * block is kept for the next. Given up before it began: it lands as cancelled, at once.
 * Given up while it runs: block and op forget each other; when the block comes back,
 * what was opened is let go of.
 */
#include "loop/file_int.h"

#include <limits.h>
#include <string.h>

#include "coro/alloc.h"

/* Blocks kept for the next; what a burst took beyond that goes back to the allocator. */
#define FREE_MAX 16

struct cede__file_block {
	cede_work_t work;
	struct cede__file_job job;
	struct cede__file_block *next; /* only while it is free */
	cede_file_op_t *op;            /* NULL: given up */
	char *paths;                   /* copies of both */
	struct cede__buffer *lent;     /* the job's data, */
	char *memory;                  /* or what is too large for one that is lent */
};

/* ---- before and after ---- */

static int
check(const struct cede__file_job *job)
{
	if ((job->paths > 0 && !job->path) || (job->paths > 1 && !job->path2))
		return CEDE_EINVAL;
	if (job->size > INT_MAX && !job->paths)
		return CEDE_EINVAL;
	if ((job->file && job->file->is_closed) || (job->other && job->other->is_closed))
		return CEDE_EBADF;
	return 0;
}

static void
board(struct cede__file_job *job)
{
	if (job->file)
		cede__file_use(job->file);
	if (job->other)
		cede__file_use(job->other);
	if (job->reads)
		job->reads->is_reading = 1;
}

static void
land_opening(struct cede__file_job *job)
{
	cede_file_t *file = job->opens;

	if (job->result < 0) {
		cede__free(file);
		job->opens = NULL;
		return;
	}
	if (file->is_dir)
		cede__container_of(file, cede_dir_t, base)->uv = job->uv_dir;
	else
		file->fd = (int)job->result;
	cede__file_opened(file, job->loop);
	job->result = 0;
}

/* In the loop's thread, once, whether it has run or not. The file may be gone after it. */
static void
land(struct cede__file_job *job)
{
	if (job->opens)
		land_opening(job);
	if (job->reads) {
		job->reads->is_reading = 0;
		if (job->result >= 0) {
			job->reads->at = 0;
			job->reads->count = (unsigned)job->result;
		}
	}
	if (job->other)
		cede__file_unuse(job->other);
	if (job->file)
		cede__file_unuse(job->file);
}

/* In a thread. */
static int
run(void *arg)
{
	struct cede__file_job *job = arg;

	job->result = job->verb(job);
	return 0;
}

/* ---- blocking ---- */

static void
stop(void *arg)
{
	struct cede__file_job *job = arg;

	atomic_store_explicit(&job->is_given_up, 1, memory_order_relaxed);
}

ssize_t
cede__file_perform(struct cede__file_job *job)
{
	int given_up = 0, r = cede__await_admit(&job->loop);

	if (r == 0)
		r = check(job);
	if (r < 0) {
		cede__free(job->opens);
		return r;
	}
	board(job);
	r = cede__work_hold(job->loop, run, job, stop, &given_up);
	if (r < 0)
		job->result = r; /* it has not run */
	else if (job->result == CEDE_ECANCELED && given_up < 0)
		job->result = given_up; /* it has stopped half-way */
	land(job);
	return job->result;
}

/* ---- blocks ---- */

static void
give_back(cede_loop_t *loop, struct cede__file_block *block)
{
	struct cede__file_blocks *kept = &loop->files;

	cede__buffer_give(&loop->buffers, block->lent);
	cede__free(block->memory);
	cede__free(block->paths);
	if (kept->free_count >= FREE_MAX) {
		cede__free(block);
		return;
	}
	block->next = kept->free;
	kept->free = block;
	kept->free_count++;
}

static struct cede__file_block *
take(cede_loop_t *loop)
{
	struct cede__file_block *block = loop->files.free;

	if (block) {
		loop->files.free = block->next;
		loop->files.free_count--;
	} else {
		block = cede__alloc(sizeof *block);
		if (!block)
			return NULL;
	}
	*block = (struct cede__file_block){ .op = NULL };
	return block;
}

void
cede__file_blocks_deinit(struct cede__file_blocks *blocks)
{
	while (blocks->free) {
		struct cede__file_block *block = blocks->free;

		blocks->free = block->next;
		cede__free(block);
	}
}

static int
copy_paths(struct cede__file_block *block)
{
	struct cede__file_job *job = &block->job;
	const size_t size = job->paths > 0 ? strlen(job->path) + 1 : 0;
	const size_t size2 = job->paths > 1 ? strlen(job->path2) + 1 : 0;

	if (size + size2 == 0)
		return 0;
	block->paths = cede__alloc(size + size2);
	if (!block->paths)
		return CEDE_ENOMEM;
	memcpy(block->paths, job->path, size);
	job->path = block->paths;
	if (size2 > 0) {
		memcpy(block->paths + size, job->path2, size2);
		job->path2 = block->paths + size;
	}
	return 0;
}

static int
take_room(cede_loop_t *loop, struct cede__file_block *block, size_t room)
{
	if (room > CEDE__BUFFER_SIZE_LARGE) {
		block->memory = cede__alloc(room);
		block->job.data = block->memory;
	} else {
		block->lent = cede__buffer_take(&loop->buffers,
			room > CEDE__BUFFER_SIZE ? CEDE__BUFFER_LARGE : CEDE__BUFFER_USUAL);
		block->job.data = block->lent ? block->lent->data : NULL;
	}
	return block->job.data ? 0 : CEDE_ENOMEM;
}

/* ---- started ---- */

static void
hand_results_over(struct cede__file_block *block, cede_file_op_t *op)
{
	struct cede__file_job *job = &block->job;

	op->block = NULL;
	op->done = job->done;
	if (job->brought > 0)
		memcpy(op->target, job->data, job->brought);
	if (op->stat && job->result >= 0)
		*op->stat = job->stat;
	if (job->opens && job->opens->is_dir)
		op->dir = cede__container_of(job->opens, cede_dir_t, base);
	else
		op->file = job->opens;
}

static void
resolve(cede_file_op_t *op, struct cede__file_job *job)
{
	int result = (int)job->result; /* sizes are INT_MAX at most */

	if (job->reads && result > 0)
		result = cede__dir_take(job->reads, &op->entry);
	cede_future_resolve(&op->future, result, NULL);
}

static void
returned(cede_work_t *work, int status)
{
	struct cede__file_block *block = cede__container_of(work, struct cede__file_block, work);
	struct cede__file_job *job = &block->job;
	cede_file_op_t *op = block->op;

	cede__assert(status == 0);
	if (op) {
		land(job);
		hand_results_over(block, op);
		resolve(op, job);
	} else {
		land(job);
		if (job->opens)
			cede__file_let_go(job->opens, NULL);
	}
	give_back(job->loop, block);
}

static void
give_up(cede_future_t *future)
{
	cede_file_op_t *op = cede__container_of(future, cede_file_op_t, future);
	struct cede__file_block *block = op->block;

	op->block = NULL;
	block->op = NULL;
	if (cede__work_withdraw(&block->work)) {
		block->job.result = CEDE_ECANCELED;
		land(&block->job);
		give_back(block->job.loop, block);
	}
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

/* A block with all that the job needs, and handed to the pool. */
static int
submit(struct cede__file_job *job, cede_file_op_t *op, size_t room, int is_in)
{
	struct cede__file_block *block = take(job->loop);
	int r;

	if (!block)
		return CEDE_ENOMEM;
	block->job = *job;
	block->op = op;
	r = copy_paths(block);
	if (r == 0 && room > 0)
		r = take_room(job->loop, block, room);
	if (r == 0) {
		if (is_in && room > 0)
			memcpy(block->job.data, job->data, room);
		block->work = (cede_work_t){ .fn = run, .arg = &block->job, .returned = returned };
		r = cede__work_submit(job->loop, &block->work);
	}
	if (r < 0) {
		give_back(job->loop, block);
		return r;
	}
	cede_future_init(&op->future, give_up);
	op->block = block;
	return 0;
}

int
cede__file_start(struct cede__file_job *job, cede_file_op_t *op, size_t room, int is_in)
{
	int r = cede__await_admit(&job->loop);

	if (r == 0)
		r = check(job);
	if (r < 0) {
		cede__free(job->opens);
		return r;
	}
	board(job);
	r = submit(job, op, room, is_in);
	if (r < 0) {
		job->result = r;
		land(job);
	}
	return r;
}

void
cede__file_done(cede_file_op_t *op, int result)
{
	cede_future_init(&op->future, NULL);
	cede_future_resolve(&op->future, result, NULL);
}
