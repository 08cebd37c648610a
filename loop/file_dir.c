/*
 * Directories: a batch of entries at a time is read in the pool, and handed out one by
 * one. A batch stays with the directory, so an entry that nobody waited for any more is
 * the next one's.
 */
#include "loop/file_int.h"

static struct cede__file_job
opening(const char *path)
{
	return (struct cede__file_job){
		.verb = cede__file_verb_opendir,
		.opens = cede__file_create(1),
		.path = path,
		.paths = 1,
	};
}

int
cede_dir_open(const char *path, cede_dir_t **ret_dir)
{
	struct cede__file_job job = opening(path);
	int r = job.opens ? (int)cede__file_perform(&job) : CEDE_ENOMEM;

	if (r == 0)
		*ret_dir = cede__container_of(job.opens, cede_dir_t, base);
	return r;
}

int
cede_dir_open_start(const char *path, cede_file_op_t *op)
{
	struct cede__file_job job = opening(path);

	*op = (cede_file_op_t){ .done = 0 };
	return job.opens ? cede__file_start(&job, op, 0, 0) : CEDE_ENOMEM;
}

int
cede__dir_take(cede_dir_t *dir, cede_dir_entry_t *ret_entry)
{
	const uv_dirent_t *entry = &dir->entries[dir->at];

	if (dir->base.is_closed)
		return CEDE_EBADF; /* by another task, meanwhile: a thread has the entries */
	dir->at++;
	ret_entry->name = entry->name;
	ret_entry->type = cede__file_type_of_entry(entry->type);
	return 1;
}

/* 1: there is an entry; 0: a batch is to be read. */
static int
look(cede_dir_t *dir)
{
	if (dir->base.is_closed)
		return CEDE_EBADF;
	if (dir->is_reading)
		return CEDE_EBUSY;
	return dir->at < dir->count;
}

static struct cede__file_job
reading(cede_dir_t *dir)
{
	return (struct cede__file_job){
		.verb = cede__file_verb_readdir,
		.file = &dir->base,
		.reads = dir,
	};
}

int
cede_dir_next(cede_dir_t *dir, cede_dir_entry_t *ret_entry)
{
	struct cede__file_job job = reading(dir);
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r == 0)
		r = look(dir);
	if (r == 0) {
		r = (int)cede__file_perform(&job);
		if (r == 0)
			return 0;
	}
	return r < 0 ? r : cede__dir_take(dir, ret_entry);
}

int
cede_dir_next_start(cede_dir_t *dir, cede_file_op_t *op)
{
	struct cede__file_job job = reading(dir);
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	*op = (cede_file_op_t){ .done = 0 };
	if (r == 0)
		r = look(dir);
	if (r < 0)
		return r;
	if (r == 0)
		return cede__file_start(&job, op, 0, 0);
	cede__file_done(op, cede__dir_take(dir, &op->entry));
	return 0;
}

int
cede_dir_close(cede_dir_t *dir)
{
	return cede_file_close(dir ? &dir->base : NULL);
}

int
cede_dir_close_start(cede_dir_t *dir, cede_file_op_t *op)
{
	return cede_file_close_start(dir ? &dir->base : NULL, op);
}
