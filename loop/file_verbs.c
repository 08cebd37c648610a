/*
 * What file operations do in a thread of the pool: libuv's synchronous calls, which
 * retry what a signal has interrupted and know each system's ways.
 *
 * A verb has the job and what it points to; never the loop, nor a file's counts.
 */
#include "loop/file_int.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coro/alloc.h"

/* The call has been made. */
static ssize_t
finish(uv_fs_t *req)
{
	const ssize_t result = req->result;

	uv_fs_req_cleanup(req);
	return result;
}

static int
is_given_up(struct cede__file_job *job)
{
	return atomic_load_explicit(&job->is_given_up, memory_order_relaxed);
}

/* ---- what is known about a file ---- */

static enum cede_file_type
type_of_mode(uint64_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return CEDE_FILE_REGULAR;
	case S_IFDIR:
		return CEDE_FILE_DIRECTORY;
	case S_IFLNK:
		return CEDE_FILE_LINK;
	case S_IFIFO:
		return CEDE_FILE_FIFO;
	case S_IFSOCK:
		return CEDE_FILE_SOCKET;
	case S_IFCHR:
		return CEDE_FILE_CHARACTER;
	case S_IFBLK:
		return CEDE_FILE_BLOCK;
	default:
		return CEDE_FILE_UNKNOWN;
	}
}

enum cede_file_type
cede__file_type_of_entry(uv_dirent_type_t type)
{
	switch (type) {
	case UV_DIRENT_FILE:
		return CEDE_FILE_REGULAR;
	case UV_DIRENT_DIR:
		return CEDE_FILE_DIRECTORY;
	case UV_DIRENT_LINK:
		return CEDE_FILE_LINK;
	case UV_DIRENT_FIFO:
		return CEDE_FILE_FIFO;
	case UV_DIRENT_SOCKET:
		return CEDE_FILE_SOCKET;
	case UV_DIRENT_CHAR:
		return CEDE_FILE_CHARACTER;
	case UV_DIRENT_BLOCK:
		return CEDE_FILE_BLOCK;
	default:
		return CEDE_FILE_UNKNOWN;
	}
}

static int64_t
nanoseconds(uv_timespec_t time)
{
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static ssize_t
keep_stat(struct cede__file_job *job, uv_fs_t *req)
{
	const uv_stat_t *s = &req->statbuf;

	if (req->result == 0)
		job->stat = (cede_stat_t){
			.type = type_of_mode(s->st_mode),
			.mode = (uint32_t)s->st_mode,
			.size = s->st_size,
			.device = s->st_dev,
			.inode = s->st_ino,
			.links = s->st_nlink,
			.uid = (uint32_t)s->st_uid,
			.gid = (uint32_t)s->st_gid,
			.rdev = s->st_rdev,
			.block_size = s->st_blksize,
			.blocks = s->st_blocks,
			.read_ns = nanoseconds(s->st_atim),
			.written_ns = nanoseconds(s->st_mtim),
			.changed_ns = nanoseconds(s->st_ctim),
			.born_ns = nanoseconds(s->st_birthtim),
		};
	return finish(req);
}

ssize_t
cede__file_verb_fstat(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_fstat(NULL, &req, job->file->fd, NULL);
	return keep_stat(job, &req);
}

ssize_t
cede__file_verb_stat(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_stat(NULL, &req, job->path, NULL);
	return keep_stat(job, &req);
}

ssize_t
cede__file_verb_lstat(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_lstat(NULL, &req, job->path, NULL);
	return keep_stat(job, &req);
}

/* ---- opening and closing ---- */

ssize_t
cede__file_verb_open(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_open(NULL, &req, job->path, job->flags, job->mode, NULL); /* adds O_CLOEXEC */
	return finish(&req);
}

/* The name that was found is as long as the template: it takes its place. */
static ssize_t
keep_name(struct cede__file_job *job, uv_fs_t *req, int r)
{
	if (r < 0) {
		req->result = r; /* also where libuv had no memory */
	} else {
		job->brought = strlen(req->path) + 1;
		memcpy(job->data, req->path, job->brought);
	}
	return finish(req);
}

ssize_t
cede__file_verb_mkstemp(struct cede__file_job *job)
{
	uv_fs_t req;
	int r = uv_fs_mkstemp(NULL, &req, job->path, NULL);

	return keep_name(job, &req, r);
}

int
cede__file_close_in_thread(void *arg)
{
	cede_file_t *file = arg;
	uv_fs_t req;

	if (file->is_dir) {
		cede_dir_t *dir = cede__container_of(file, cede_dir_t, base);

		uv_fs_req_cleanup(&dir->batch);
		uv_fs_closedir(NULL, &req, dir->uv, NULL);
	} else {
		uv_fs_close(NULL, &req, file->fd, NULL);
	}
	return (int)finish(&req);
}

/* ---- bytes ---- */

/* libuv does not retry a read: the position might have moved. A read that says EINTR has read nothing. */
static ssize_t
read_once(int fd, char *data, size_t size, int64_t offset)
{
	const uv_buf_t buffer = { .base = data, .len = size };
	uv_fs_t req;
	ssize_t n;

	do {
		uv_fs_read(NULL, &req, fd, &buffer, 1, offset, NULL);
		n = finish(&req);
	} while (n == UV_EINTR);
	return n;
}

static ssize_t
write_once(int fd, const char *data, size_t size, int64_t offset)
{
	const uv_buf_t buffer = { .base = (char *)data, .len = size };
	uv_fs_t req;

	uv_fs_write(NULL, &req, fd, &buffer, 1, offset, NULL);
	return finish(&req);
}

static size_t
piece_of(size_t size)
{
	return size < CEDE__FILE_PIECE ? size : CEDE__FILE_PIECE;
}

ssize_t
cede__file_verb_read(struct cede__file_job *job)
{
	const ssize_t n = read_once(job->file->fd, job->data, job->size, job->offset);

	if (n > 0)
		job->done = job->brought = (size_t)n;
	return n;
}

/* All of it; 0 or a code. */
static int
write_all(struct cede__file_job *job, const char *data, size_t size)
{
	while (size > 0) {
		const int64_t offset = job->offset < 0 ? -1 : job->offset + (int64_t)job->done;
		const ssize_t n = write_once(job->file->fd, data, piece_of(size), offset);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return CEDE_EIO; /* it would go on for ever */
		job->done += (size_t)n;
		data += n;
		size -= (size_t)n;
		if (size > 0 && is_given_up(job))
			return CEDE_ECANCELED;
	}
	return 0;
}

ssize_t
cede__file_verb_write(struct cede__file_job *job)
{
	int r = write_all(job, job->data, job->size);

	return r < 0 ? r : (ssize_t)job->done;
}

/* By way of memory, for what the system does not copy: into a file opened with O_APPEND, from /proc. */
static ssize_t
copy_piece_slowly(struct cede__file_job *job, size_t size)
{
	char buffer[16384];
	const size_t room = size < sizeof buffer ? size : sizeof buffer;
	const ssize_t n = read_once(job->other->fd, buffer, room, job->offset);
	size_t written = 0;

	while (n > 0 && written < (size_t)n) {
		const ssize_t w =
			write_once(job->file->fd, buffer + written, (size_t)n - written, -1);

		if (w <= 0) /* 0 would go on for ever */
			return written > 0 ? (ssize_t)written : w < 0 ? w : CEDE_EIO;
		written += (size_t)w;
	}
	return n;
}

static ssize_t
copy_piece(struct cede__file_job *job, size_t size, int *is_slow)
{
	uv_fs_t req;
	ssize_t n;

	if (*is_slow)
		return copy_piece_slowly(job, size);
	uv_fs_sendfile(NULL, &req, job->file->fd, job->other->fd, job->offset, size, NULL);
	n = finish(&req);
	if (job->copied > 0 || (n != 0 && n != CEDE_EBADF))
		return n;
	*is_slow = 1; /* nothing came, or not for this kind of file: it shows in reading */
	return copy_piece_slowly(job, size);
}

ssize_t
cede__file_verb_copy(struct cede__file_job *job)
{
	int is_slow = 0;

	while (job->copied < job->length) {
		const int64_t left = job->length - job->copied;
		const size_t size = left < (int64_t)CEDE__FILE_PIECE ? (size_t)left
								     : CEDE__FILE_PIECE;
		const ssize_t n = copy_piece(job, size, &is_slow);

		if (n <= 0)
			return n;
		job->copied += n;
		job->offset += n;
		if (job->copied < job->length && is_given_up(job))
			return CEDE_ECANCELED;
	}
	return 0;
}

/* Room for more, one byte of it for the 0. Never above the limit. */
static int
grow(struct cede__file_job *job, size_t *room)
{
	const size_t limit = job->size;
	size_t more = *room < 4096 ? 4096 : *room < limit / 2 ? *room * 2 : limit;
	char *data;

	if (more > limit)
		more = limit;
	data = cede__realloc(job->data, more + 1);
	if (!data)
		return CEDE_ENOMEM;
	job->data = data;
	*room = more;
	return 0;
}

/* Until nothing comes. The size that the system has told is a guess: in /proc it is 0, and files grow. */
static int
read_to_end(struct cede__file_job *job, int fd, size_t room)
{
	for (;;) {
		char beyond;
		const int is_full = job->done == room;
		const ssize_t n = is_full
			? read_once(fd, &beyond, 1, -1)
			: read_once(fd, job->data + job->done, piece_of(room - job->done), -1);

		if (n <= 0)
			return (int)n;
		if (is_full) {
			if (room == job->size)
				return CEDE_EFBIG;
			if (grow(job, &room) < 0)
				return CEDE_ENOMEM;
			job->data[job->done] = beyond;
		}
		job->done += (size_t)n;
		if (is_given_up(job))
			return CEDE_ECANCELED;
	}
}

static int
read_whole(struct cede__file_job *job, int fd)
{
	uv_fs_t req;
	size_t room;
	int r;

	uv_fs_fstat(NULL, &req, fd, NULL);
	room = req.result == 0 && S_ISREG(req.statbuf.st_mode) ? (size_t)req.statbuf.st_size : 0;
	if (room > job->size)
		req.result = CEDE_EFBIG;
	r = (int)finish(&req);
	if (r < 0)
		return r;
	job->data = cede__alloc(room + 1);
	if (!job->data)
		return CEDE_ENOMEM;
	return read_to_end(job, fd, room);
}

ssize_t
cede__file_verb_read_path(struct cede__file_job *job)
{
	uv_fs_t req;
	int fd, r;

	uv_fs_open(NULL, &req, job->path, O_RDONLY, 0, NULL);
	fd = (int)finish(&req);
	if (fd < 0)
		return fd;
	r = read_whole(job, fd);
	uv_fs_close(NULL, &req, fd, NULL);
	finish(&req);
	if (r < 0) {
		cede__free(job->data);
		job->data = NULL;
		return r;
	}
	job->data[job->done] = '\0';
	return 0;
}

/* ---- the rest of what a file has ---- */

ssize_t
cede__file_verb_sync(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_fsync(NULL, &req, job->file->fd, NULL);
	return finish(&req);
}

ssize_t
cede__file_verb_datasync(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_fdatasync(NULL, &req, job->file->fd, NULL);
	return finish(&req);
}

ssize_t
cede__file_verb_truncate(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_ftruncate(NULL, &req, job->file->fd, job->length, NULL);
	return finish(&req);
}

ssize_t
cede__file_verb_fchmod(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_fchmod(NULL, &req, job->file->fd, job->mode, NULL);
	return finish(&req);
}

/* ---- paths ---- */

ssize_t
cede__file_verb_access(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_access(NULL, &req, job->path, job->mode, NULL);
	return finish(&req);
}

ssize_t
cede__file_verb_chmod(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_chmod(NULL, &req, job->path, job->mode, NULL);
	return finish(&req);
}

ssize_t
cede__file_verb_rename(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_rename(NULL, &req, job->path, job->path2, NULL);
	return finish(&req);
}

ssize_t
cede__file_verb_unlink(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_unlink(NULL, &req, job->path, NULL);
	return finish(&req);
}

ssize_t
cede__file_verb_mkdir(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_mkdir(NULL, &req, job->path, job->mode, NULL);
	return finish(&req);
}

ssize_t
cede__file_verb_mkdtemp(struct cede__file_job *job)
{
	uv_fs_t req;
	int r = uv_fs_mkdtemp(NULL, &req, job->path, NULL);

	return keep_name(job, &req, r);
}

ssize_t
cede__file_verb_rmdir(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_rmdir(NULL, &req, job->path, NULL);
	return finish(&req);
}

ssize_t
cede__file_verb_link(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_link(NULL, &req, job->path, job->path2, NULL);
	return finish(&req);
}

ssize_t
cede__file_verb_symlink(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_symlink(NULL, &req, job->path, job->path2, 0, NULL);
	return finish(&req);
}

static ssize_t
keep_text(struct cede__file_job *job, uv_fs_t *req)
{
	size_t length;

	if (req->result < 0)
		return finish(req);
	length = strlen(req->ptr);
	if (length >= job->size) {
		finish(req);
		return CEDE_ENOBUFS;
	}
	memcpy(job->data, req->ptr, length + 1);
	job->brought = length + 1;
	finish(req);
	return (ssize_t)length;
}

ssize_t
cede__file_verb_readlink(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_readlink(NULL, &req, job->path, NULL);
	return keep_text(job, &req);
}

ssize_t
cede__file_verb_realpath(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_realpath(NULL, &req, job->path, NULL);
	return keep_text(job, &req);
}

ssize_t
cede__file_verb_copy_path(struct cede__file_job *job)
{
	uv_fs_t req;
	int r = uv_fs_copyfile(NULL, &req, job->path, job->path2, job->flags, NULL);

	if (r < 0)
		req.result = r; /* flags that are none are refused before that is set */
	return finish(&req);
}

/* ---- directories ---- */

ssize_t
cede__file_verb_opendir(struct cede__file_job *job)
{
	uv_fs_t req;

	uv_fs_opendir(NULL, &req, job->path, NULL);
	job->uv_dir = req.result == 0 ? req.ptr : NULL;
	return finish(&req);
}

ssize_t
cede__file_verb_readdir(struct cede__file_job *job)
{
	cede_dir_t *dir = job->reads;

	uv_fs_req_cleanup(&dir->batch); /* the names before these */
	dir->uv->dirents = dir->entries;
	dir->uv->nentries = CEDE__DIR_BATCH;
	uv_fs_readdir(NULL, &dir->batch, dir->uv, NULL);
	return dir->batch.result;
}
