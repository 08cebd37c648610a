/*
 * What is done with paths, each in one visit of the pool: see file_int.h.
 */
#include "loop/file_int.h"

#include <string.h>

#include "coro/alloc.h"

_Static_assert(CEDE_COPY_EXCLUSIVE == UV_FS_COPYFILE_EXCL &&
		CEDE_COPY_CLONE == UV_FS_COPYFILE_FICLONE &&
		CEDE_COPY_CLONE_ONLY == UV_FS_COPYFILE_FICLONE_FORCE,
	"flags pass through");

/* A job with a path, a mode, and no result but its code. */
#define ONE_PATH(verb_, path_, mode_) \
	{ \
		.verb = cede__file_verb_##verb_, .path = (path_), .paths = 1, .mode = (mode_) \
	}

/* One with two paths, and flags. */
#define TWO_PATHS(verb_, path_, path2_, flags_) \
	{ \
		.verb = cede__file_verb_##verb_, .path = (path_), .path2 = (path2_), .paths = 2, \
		.flags = (flags_) \
	}

static int
start(struct cede__file_job job, cede_file_op_t *op)
{
	*op = (cede_file_op_t){ .done = 0 };
	return cede__file_start(&job, op, 0, 0);
}

CEDE_SUSPENDS static int
perform_stat(struct cede__file_job job, cede_stat_t *ret_stat)
{
	int r = (int)cede__file_perform(&job);

	if (r == 0)
		*ret_stat = job.stat;
	return r;
}

static int
start_stat(struct cede__file_job job, cede_stat_t *ret_stat, cede_file_op_t *op)
{
	*op = (cede_file_op_t){ .stat = ret_stat };
	return cede__file_start(&job, op, 0, 0);
}

int
cede_path_stat(const char *path, cede_stat_t *ret_stat)
{
	return perform_stat((struct cede__file_job)ONE_PATH(stat, path, 0), ret_stat);
}

int
cede_path_stat_start(const char *path, cede_stat_t *ret_stat, cede_file_op_t *op)
{
	return start_stat((struct cede__file_job)ONE_PATH(stat, path, 0), ret_stat, op);
}

int
cede_path_lstat(const char *path, cede_stat_t *ret_stat)
{
	return perform_stat((struct cede__file_job)ONE_PATH(lstat, path, 0), ret_stat);
}

int
cede_path_lstat_start(const char *path, cede_stat_t *ret_stat, cede_file_op_t *op)
{
	return start_stat((struct cede__file_job)ONE_PATH(lstat, path, 0), ret_stat, op);
}

int
cede_path_access(const char *path, int mode)
{
	struct cede__file_job job = ONE_PATH(access, path, mode);

	return (int)cede__file_perform(&job);
}

int
cede_path_access_start(const char *path, int mode, cede_file_op_t *op)
{
	return start((struct cede__file_job)ONE_PATH(access, path, mode), op);
}

int
cede_path_chmod(const char *path, int mode)
{
	struct cede__file_job job = ONE_PATH(chmod, path, mode);

	return (int)cede__file_perform(&job);
}

int
cede_path_chmod_start(const char *path, int mode, cede_file_op_t *op)
{
	return start((struct cede__file_job)ONE_PATH(chmod, path, mode), op);
}

int
cede_path_unlink(const char *path)
{
	struct cede__file_job job = ONE_PATH(unlink, path, 0);

	return (int)cede__file_perform(&job);
}

int
cede_path_unlink_start(const char *path, cede_file_op_t *op)
{
	return start((struct cede__file_job)ONE_PATH(unlink, path, 0), op);
}

int
cede_path_mkdir(const char *path, int mode)
{
	struct cede__file_job job = ONE_PATH(mkdir, path, mode);

	return (int)cede__file_perform(&job);
}

int
cede_path_mkdir_start(const char *path, int mode, cede_file_op_t *op)
{
	return start((struct cede__file_job)ONE_PATH(mkdir, path, mode), op);
}

int
cede_path_rmdir(const char *path)
{
	struct cede__file_job job = ONE_PATH(rmdir, path, 0);

	return (int)cede__file_perform(&job);
}

int
cede_path_rmdir_start(const char *path, cede_file_op_t *op)
{
	return start((struct cede__file_job)ONE_PATH(rmdir, path, 0), op);
}

int
cede_path_rename(const char *from, const char *to)
{
	struct cede__file_job job = TWO_PATHS(rename, from, to, 0);

	return (int)cede__file_perform(&job);
}

int
cede_path_rename_start(const char *from, const char *to, cede_file_op_t *op)
{
	return start((struct cede__file_job)TWO_PATHS(rename, from, to, 0), op);
}

int
cede_path_link(const char *path, const char *name)
{
	struct cede__file_job job = TWO_PATHS(link, path, name, 0);

	return (int)cede__file_perform(&job);
}

int
cede_path_link_start(const char *path, const char *name, cede_file_op_t *op)
{
	return start((struct cede__file_job)TWO_PATHS(link, path, name, 0), op);
}

int
cede_path_symlink(const char *target, const char *name)
{
	struct cede__file_job job = TWO_PATHS(symlink, target, name, 0);

	return (int)cede__file_perform(&job);
}

int
cede_path_symlink_start(const char *target, const char *name, cede_file_op_t *op)
{
	return start((struct cede__file_job)TWO_PATHS(symlink, target, name, 0), op);
}

int
cede_path_copy(const char *from, const char *to, int flags)
{
	struct cede__file_job job = TWO_PATHS(copy_path, from, to, flags);

	return (int)cede__file_perform(&job);
}

int
cede_path_copy_start(const char *from, const char *to, int flags, cede_file_op_t *op)
{
	return start((struct cede__file_job)TWO_PATHS(copy_path, from, to, flags), op);
}

/* ---- texts ---- */

static struct cede__file_job
making_directory(char *path_template)
{
	struct cede__file_job job = ONE_PATH(mkdtemp, path_template, 0);

	job.data = path_template;
	return job;
}

int
cede_path_mkdtemp(char *path_template)
{
	struct cede__file_job job = making_directory(path_template);

	return (int)cede__file_perform(&job);
}

int
cede_path_mkdtemp_start(char *path_template, cede_file_op_t *op)
{
	struct cede__file_job job = making_directory(path_template);

	*op = (cede_file_op_t){ .target = path_template };
	return cede__file_start(&job, op, path_template ? strlen(path_template) + 1 : 0, 0);
}

CEDE_SUSPENDS static int
perform_text(struct cede__file_job job, char *buffer, size_t size)
{
	job.data = buffer;
	job.size = size;
	return (int)cede__file_perform(&job);
}

/* No text is longer than the system's longest path. */
static int
start_text(struct cede__file_job job, char *buffer, size_t size, cede_file_op_t *op)
{
	*op = (cede_file_op_t){ .target = buffer };
	job.size = size < CEDE__BUFFER_SIZE ? size : CEDE__BUFFER_SIZE;
	return cede__file_start(&job, op, job.size, 0);
}

int
cede_path_readlink(const char *path, char *buffer, size_t size)
{
	return perform_text((struct cede__file_job)ONE_PATH(readlink, path, 0), buffer, size);
}

int
cede_path_readlink_start(const char *path, char *buffer, size_t size, cede_file_op_t *op)
{
	return start_text((struct cede__file_job)ONE_PATH(readlink, path, 0), buffer, size, op);
}

int
cede_path_realpath(const char *path, char *buffer, size_t size)
{
	return perform_text((struct cede__file_job)ONE_PATH(realpath, path, 0), buffer, size);
}

int
cede_path_realpath_start(const char *path, char *buffer, size_t size, cede_file_op_t *op)
{
	return start_text((struct cede__file_job)ONE_PATH(realpath, path, 0), buffer, size, op);
}

/* ---- whole files ---- */

int
cede_path_read(const char *path, size_t limit, char **ret_data, size_t *ret_size)
{
	struct cede__file_job job = ONE_PATH(read_path, path, 0);
	int r;

	job.size = limit < SIZE_MAX / 2 ? limit : SIZE_MAX / 2;
	r = (int)cede__file_perform(&job);
	if (r == 0) {
		*ret_data = job.data;
		*ret_size = job.done;
	}
	return r;
}

void
cede_path_read_free(char *data)
{
	cede__free(data);
}
