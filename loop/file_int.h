/*
 * Files, for loop/ itself and for what is above.
 *
 * A job is one visit of the thread pool: what is to be called and with what, then
 * the result. Its verb runs in a thread and touches nothing but the job, and what
 * the job points to.
 *
 * In the blocking form the job lies on the caller's stack and points into the
 * caller's memory: the call does not return while a thread has it. A job that was
 * started lies in a block of the library's, with copies of paths and data; what it
 * brings is copied to the caller when it is back, or released if nobody wants it.
 *
 * Either way: board, the verb or not, land. Between board and land the job's files
 * are busy; the descriptor of a busy file is not closed.
 *
 * The life of a file. Made before it is opened, so that what was opened is never lost
 * for want of memory. Closed: off the loop's list; when it is not busy any more, its
 * close goes to the pool, and the file is freed when that is back. A file left open is
 * closed by the detach, which waits for it as for any function.
 *
 * Invariants
 * - `closing` is with the pool if is_closed && busy == 0, and only then.
 * - A loop with a file has a slot: handing the close to the pool can't fail.
 * - `busy` counts the jobs between board and land that use the file.
 */
#ifndef CEDE_LOOP_FILE_INT_H
#define CEDE_LOOP_FILE_INT_H

#include <stdatomic.h>

#include <uv.h>

#include <cede/file.h>

#include "loop/loop_int.h"

/* Bytes of a long operation, before it looks whether it was given up. */
#define CEDE__FILE_PIECE ((size_t)1024 * 1024)

/* Entries of a directory that are read at a time. */
#define CEDE__DIR_BATCH 64

struct cede_file {
	cede_loop_t *loop;
	int fd; /* -1: not open yet, or a directory's */
	unsigned busy;
	uint8_t is_closed; /* the owner has let go */
	uint8_t is_dir;    /* it is the first part of a struct cede_dir */
	cede_work_t closing;
	cede_file_op_t *closer; /* who waits for the close, or NULL */
	struct cede__resource resource;
};

struct cede_dir {
	cede_file_t base;
	uv_dir_t *uv;
	uint8_t is_reading; /* a thread has what follows */
	unsigned at, count; /* of the entries: the next, and how many were read */
	uv_fs_t batch;      /* libuv's, until the names are freed */
	uv_dirent_t entries[CEDE__DIR_BATCH];
};

struct cede__file_job {
	ssize_t (*verb)(struct cede__file_job *job); /* in a thread; its result */

	/* What it uses, by verb. */
	cede_file_t *file, *other;
	cede_file_t *opens; /* what it opens: made before, freed in landing if it fails */
	cede_dir_t *reads;  /* whose next batch it reads */
	const char *path, *path2;
	uint8_t paths; /* of these must be given */
	char *data;
	size_t size;
	int64_t offset, length;
	int flags, mode;
	atomic_int is_given_up;

	/* What comes of it. */
	cede_loop_t *loop;
	ssize_t result;
	size_t done;    /* bytes that were moved */
	int64_t copied; /* the same of cede_file_copy() */
	size_t brought; /* bytes of data that are the caller's */
	uv_dir_t *uv_dir;
	cede_stat_t stat;
};

/**
 * Does a job and waits for it. Its result; a code with which it was given up before it
 * began, or half-way.
 */
CEDE_SUSPENDS ssize_t cede__file_perform(struct cede__file_job *job);

/**
 * Starts a job. `op` is initialised but for its future and its block.
 *
 * @param room  bytes of a buffer of the library's that take job->data's place
 * @param is_in  are job->data's bytes, `room` many, copied into it now?
 * @return 0; or why it was not started
 */
int cede__file_start(struct cede__file_job *job, cede_file_op_t *op, size_t room, int is_in);

/** A new file or directory that is not open yet. NULL: no memory. */
cede_file_t *cede__file_create(int is_dir);

/** The file is open: it is the owner's, or the detach's. */
void cede__file_opened(cede_file_t *file, cede_loop_t *loop);

/** The owner lets go. */
void cede__file_let_go(cede_file_t *file, cede_file_op_t *closer);

/** An operation uses the descriptor, until it does not any more. */
static inline void
cede__file_use(cede_file_t *file)
{
	file->busy++;
}

void cede__file_unuse(cede_file_t *file);

/** The next entry of the batch, which has one: 1; CEDE_EBADF when the directory was closed. */
int cede__dir_take(cede_dir_t *dir, cede_dir_entry_t *ret_entry);

/** For what need not be done in a thread: the op is done. */
void cede__file_done(cede_file_op_t *op, int result);

/* file_verbs.c: what runs in the threads. */
ssize_t cede__file_verb_open(struct cede__file_job *job);
ssize_t cede__file_verb_mkstemp(struct cede__file_job *job);
ssize_t cede__file_verb_read(struct cede__file_job *job);
ssize_t cede__file_verb_write(struct cede__file_job *job);
ssize_t cede__file_verb_fstat(struct cede__file_job *job);
ssize_t cede__file_verb_sync(struct cede__file_job *job);
ssize_t cede__file_verb_datasync(struct cede__file_job *job);
ssize_t cede__file_verb_truncate(struct cede__file_job *job);
ssize_t cede__file_verb_fchmod(struct cede__file_job *job);
ssize_t cede__file_verb_copy(struct cede__file_job *job);
ssize_t cede__file_verb_stat(struct cede__file_job *job);
ssize_t cede__file_verb_lstat(struct cede__file_job *job);
ssize_t cede__file_verb_access(struct cede__file_job *job);
ssize_t cede__file_verb_chmod(struct cede__file_job *job);
ssize_t cede__file_verb_rename(struct cede__file_job *job);
ssize_t cede__file_verb_unlink(struct cede__file_job *job);
ssize_t cede__file_verb_mkdir(struct cede__file_job *job);
ssize_t cede__file_verb_mkdtemp(struct cede__file_job *job);
ssize_t cede__file_verb_rmdir(struct cede__file_job *job);
ssize_t cede__file_verb_link(struct cede__file_job *job);
ssize_t cede__file_verb_symlink(struct cede__file_job *job);
ssize_t cede__file_verb_readlink(struct cede__file_job *job);
ssize_t cede__file_verb_realpath(struct cede__file_job *job);
ssize_t cede__file_verb_copy_path(struct cede__file_job *job);
ssize_t cede__file_verb_read_path(struct cede__file_job *job);
ssize_t cede__file_verb_opendir(struct cede__file_job *job);
ssize_t cede__file_verb_readdir(struct cede__file_job *job);

/** Closes a file or a directory. In a thread. 0 or a code. */
int cede__file_close_in_thread(void *file);

/** libuv's kind of an entry. */
enum cede_file_type cede__file_type_of_entry(uv_dirent_type_t type);

#endif
