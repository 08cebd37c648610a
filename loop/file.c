/*
 * Files: their life, and what is done with an open one. The model is in file_int.h.
 */
#include "loop/file_int.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "coro/alloc.h"
#include "loop/scope_int.h"

/* ---- life ---- */

static void
close_left_open(struct cede__resource *resource)
{
	cede__file_let_go(cede__container_of(resource, cede_file_t, resource), NULL);
}

cede_file_t *
cede__file_create(int is_dir)
{
	cede_file_t *file = cede__alloc_zero(is_dir ? sizeof(cede_dir_t) : sizeof *file);

	if (!file)
		return NULL;
	file->fd = -1;
	file->is_dir = (uint8_t)is_dir;
	file->resource.close = close_left_open;
	cede__list_init(&file->resource.link);
	return file;
}

void
cede__file_opened(cede_file_t *file, cede_loop_t *loop)
{
	file->loop = loop;
	cede__list_append(&loop->resources, &file->resource.link);
}

static void
closed(cede_work_t *work, int result)
{
	cede_file_t *file = cede__container_of(work, cede_file_t, closing);
	cede_file_op_t *closer = file->closer;

	cede__free(file); /* of a directory, the first part */
	if (closer) {
		closer->closing = NULL;
		cede_future_resolve(&closer->future, result, NULL);
	}
}

/* Let go of, and not busy: nobody knows it any more. */
static void
hand_to_pool(cede_file_t *file)
{
	int r;

	file->closing = (cede_work_t){
		.fn = cede__file_close_in_thread,
		.arg = file,
		.returned = closed,
	};
	r = cede__work_submit(file->loop, &file->closing);
	cede__check(r == 0, "the close of a file: %s", cede_strerror(r));
}

void
cede__file_unuse(cede_file_t *file)
{
	cede__assert(file->busy > 0);
	if (--file->busy == 0 && file->is_closed)
		hand_to_pool(file);
}

void
cede__file_let_go(cede_file_t *file, cede_file_op_t *closer)
{
	cede__check(!file->is_closed, "a file was closed twice");
	file->is_closed = 1;
	file->closer = closer;
	cede__list_remove(&file->resource.link);
	if (file->busy == 0)
		hand_to_pool(file);
}

/* ---- closing ---- */

/* It goes on by itself. */
static void
leave_close(cede_future_t *future)
{
	cede_file_op_t *op = cede__container_of(future, cede_file_op_t, future);

	op->closing->closer = NULL;
	op->closing = NULL;
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_file_close_start(cede_file_t *file, cede_file_op_t *op)
{
	const int is_in_task = cede_task_current() != NULL;

	*op = (cede_file_op_t){ .closing = is_in_task ? file : NULL };
	if (!is_in_task) {
		if (file)
			cede__file_let_go(file, NULL);
		return CEDE_ENOTASK;
	}
	if (!file) {
		cede__file_done(op, 0);
		return 0;
	}
	cede_future_init(&op->future, leave_close);
	cede__file_let_go(file, op);
	return 0;
}

int
cede_file_close(cede_file_t *file)
{
	cede_file_op_t op;
	cede_scope_t shield;
	int r = cede_file_close_start(file, &op);

	if (r < 0)
		return file ? r : 0;
	cede__shield_enter_unbounded(&shield);
	r = cede_await(&op.future);
	cede_scope_leave(&shield);
	return r;
}

/* ---- opening ---- */

static struct cede__file_job
opening(const char *path, int flags, int mode)
{
	return (struct cede__file_job){
		.verb = cede__file_verb_open,
		.opens = cede__file_create(0),
		.path = path,
		.paths = 1,
		.flags = flags,
		.mode = mode,
	};
}

int
cede_file_open(const char *path, int flags, int mode, cede_file_t **ret_file)
{
	struct cede__file_job job = opening(path, flags, mode);
	int r = job.opens ? (int)cede__file_perform(&job) : CEDE_ENOMEM;

	if (r == 0)
		*ret_file = job.opens;
	return r;
}

int
cede_file_open_start(const char *path, int flags, int mode, cede_file_op_t *op)
{
	struct cede__file_job job = opening(path, flags, mode);

	*op = (cede_file_op_t){ .done = 0 };
	return job.opens ? cede__file_start(&job, op, 0, 0) : CEDE_ENOMEM;
}

static struct cede__file_job
opening_new(char *path_template)
{
	return (struct cede__file_job){
		.verb = cede__file_verb_mkstemp,
		.opens = cede__file_create(0),
		.path = path_template,
		.paths = 1,
		.data = path_template,
	};
}

int
cede_file_mkstemp(char *path_template, cede_file_t **ret_file)
{
	struct cede__file_job job = opening_new(path_template);
	int r = job.opens ? (int)cede__file_perform(&job) : CEDE_ENOMEM;

	if (r == 0)
		*ret_file = job.opens;
	return r;
}

int
cede_file_mkstemp_start(char *path_template, cede_file_op_t *op)
{
	struct cede__file_job job = opening_new(path_template);

	*op = (cede_file_op_t){ .target = path_template };
	if (!job.opens)
		return CEDE_ENOMEM;
	return cede__file_start(&job, op, path_template ? strlen(path_template) + 1 : 0, 0);
}

/* A descriptor that a file may have; CLOEXEC is set. 0 or a code. */
static int
claim(int fd)
{
	struct stat st;
	const int flags = fcntl(fd, F_GETFD);

	if (flags < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISSOCK(st.st_mode))
		return CEDE_EINVAL;
	return fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0 ? -errno : 0;
}

int
cede_file_adopt(int fd, cede_file_t **ret_file)
{
	cede_loop_t *loop = cede_loop_current();
	cede_file_t *file;
	int r;

	if (!loop)
		return CEDE_ENOTASK;
	r = cede__work_reserve(loop); /* for its close */
	if (r < 0)
		return r;
	file = cede__file_create(0);
	if (!file)
		return CEDE_ENOMEM;
	r = claim(fd);
	if (r < 0) {
		cede__free(file);
		return r;
	}
	file->fd = fd;
	cede__file_opened(file, loop);
	*ret_file = file;
	return 0;
}

int
cede_file_fd(const cede_file_t *file)
{
	return file->fd;
}

/* ---- bytes ---- */

static struct cede__file_job
moving(cede_file_t *file, const void *data, size_t size, int64_t offset, int is_write)
{
	return (struct cede__file_job){
		.verb = is_write ? cede__file_verb_write : cede__file_verb_read,
		.file = file,
		.data = (char *)data,
		.size = size,
		.offset = offset,
	};
}

ssize_t
cede_file_read(cede_file_t *file, void *buffer, size_t size, int64_t offset)
{
	struct cede__file_job job = moving(file, buffer, size, offset, 0);

	return cede__file_perform(&job);
}

int
cede_file_read_start(cede_file_t *file, void *buffer, size_t size, int64_t offset,
	cede_file_op_t *op)
{
	struct cede__file_job job = moving(file, NULL, size, offset, 0);

	*op = (cede_file_op_t){ .target = buffer };
	return cede__file_start(&job, op, size, 0);
}

ssize_t
cede_file_write(cede_file_t *file, const void *data, size_t size, int64_t offset,
	size_t *ret_written)
{
	struct cede__file_job job = moving(file, data, size, offset, 1);
	ssize_t r = cede__file_perform(&job);

	if (ret_written)
		*ret_written = job.done;
	return r;
}

int
cede_file_write_start(cede_file_t *file, const void *data, size_t size, int64_t offset,
	cede_file_op_t *op)
{
	struct cede__file_job job = moving(file, data, size, offset, 1);

	*op = (cede_file_op_t){ .done = 0 };
	return cede__file_start(&job, op, size, 1);
}

int
cede_file_copy(cede_file_t *to, cede_file_t *from, int64_t offset, int64_t size,
	int64_t *ret_copied)
{
	struct cede__file_job job = {
		.verb = cede__file_verb_copy,
		.file = to,
		.other = from,
		.offset = offset,
		.length = size,
	};
	int r = offset < 0 || size < 0 ? CEDE_EINVAL : (int)cede__file_perform(&job);

	if (ret_copied)
		*ret_copied = job.copied;
	return r;
}

/* ---- the rest ---- */

int
cede_file_stat(cede_file_t *file, cede_stat_t *ret_stat)
{
	struct cede__file_job job = { .verb = cede__file_verb_fstat, .file = file };
	int r = (int)cede__file_perform(&job);

	if (r == 0)
		*ret_stat = job.stat;
	return r;
}

int
cede_file_stat_start(cede_file_t *file, cede_stat_t *ret_stat, cede_file_op_t *op)
{
	struct cede__file_job job = { .verb = cede__file_verb_fstat, .file = file };

	*op = (cede_file_op_t){ .stat = ret_stat };
	return cede__file_start(&job, op, 0, 0);
}

int
cede_file_sync(cede_file_t *file)
{
	struct cede__file_job job = { .verb = cede__file_verb_sync, .file = file };

	return (int)cede__file_perform(&job);
}

int
cede_file_sync_start(cede_file_t *file, cede_file_op_t *op)
{
	struct cede__file_job job = { .verb = cede__file_verb_sync, .file = file };

	*op = (cede_file_op_t){ .done = 0 };
	return cede__file_start(&job, op, 0, 0);
}

int
cede_file_datasync(cede_file_t *file)
{
	struct cede__file_job job = { .verb = cede__file_verb_datasync, .file = file };

	return (int)cede__file_perform(&job);
}

int
cede_file_datasync_start(cede_file_t *file, cede_file_op_t *op)
{
	struct cede__file_job job = { .verb = cede__file_verb_datasync, .file = file };

	*op = (cede_file_op_t){ .done = 0 };
	return cede__file_start(&job, op, 0, 0);
}

int
cede_file_truncate(cede_file_t *file, int64_t size)
{
	struct cede__file_job job = { .verb = cede__file_verb_truncate,
		.file = file,
		.length = size };

	return (int)cede__file_perform(&job);
}

int
cede_file_truncate_start(cede_file_t *file, int64_t size, cede_file_op_t *op)
{
	struct cede__file_job job = { .verb = cede__file_verb_truncate,
		.file = file,
		.length = size };

	*op = (cede_file_op_t){ .done = 0 };
	return cede__file_start(&job, op, 0, 0);
}

int
cede_file_chmod(cede_file_t *file, int mode)
{
	struct cede__file_job job = { .verb = cede__file_verb_fchmod, .file = file, .mode = mode };

	return (int)cede__file_perform(&job);
}

int
cede_file_chmod_start(cede_file_t *file, int mode, cede_file_op_t *op)
{
	struct cede__file_job job = { .verb = cede__file_verb_fchmod, .file = file, .mode = mode };

	*op = (cede_file_op_t){ .done = 0 };
	return cede__file_start(&job, op, 0, 0);
}
