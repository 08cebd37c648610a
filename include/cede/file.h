/**
 * Files: open, read, write, directories, paths; while the loop goes on.
 *
 *     cede_file_t *f;
 *     int r = cede_file_open("log", O_WRONLY | O_CREAT | O_APPEND, 0644, &f);
 *     if (r == 0) {
 *             n = cede_file_write(f, "hello\n", 6, -1, NULL);
 *             r = cede_file_close(f);
 *     }
 *
 * A file has no readiness to wait for: the system's calls block. Each is made in a
 * thread of libuv's pool, in the same slots and the same queue as functions
 * (<cede/work.h>): at most `work_limit` of a loop at a time, first come, first
 * served. A call that never ends (the open of a FIFO that nobody else opens) keeps
 * its slot.
 *
 * What a cancel does, be it a close or a timeout, unless a function says otherwise:
 *
 *     the call             cede_X()                          cede_X_start(), given up
 *     waits its turn       it is not made; returns at once   the same
 *     runs                 returns its result when it has    returns at once; it goes on to its
 *                          ended; the next await refuses     end, and what it brings is released
 *     has ended            its result is returned            its result is in the op
 *
 * As in <cede/work.h>, it has ended when the loop has been told.
 *
 * So a negative code CEDE_EXIT or CEDE_ETIMEDOUT means: it was not done. Of an op
 * that was given up nobody knows: it may have been done, or may still be. What it
 * opens is closed again. Buffers and paths of the caller's are not used after any of
 * these has returned: a cede_X_start() copies what it is given, and copies the
 * result into the caller's memory when the future becomes done.
 *
 * A file is the library's, and counted: its descriptor is closed when the last
 * operation on it has ended, so no number is used by another file meanwhile.
 *
 * Every call may also return, besides what it says:
 *
 *     CEDE_EXIT, CEDE_ETIMEDOUT  the task is being closed, a timeout has passed
 *     CEDE_ENOTASK      called outside a task
 *     CEDE_ENOMEM       there is no memory; in the blocking form only in the first
 *                       calls of a loop, or for what is opened
 *     CEDE_EBADF        the file is being closed by another task, or not open for this
 *     CEDE_EINVAL       no path; a size that is none; or the system's
 *     the system's      CEDE_ENOENT, CEDE_EACCES, CEDE_ENOSPC, CEDE_EIO, …
 *
 * Threads: all calls in the loop's thread, those that suspend in a task of it.
 * Memory: a read or a write in the blocking form allocates nothing; those that are
 * started use blocks and buffers that are kept for the next.
 */
#ifndef CEDE_FILE_H
#define CEDE_FILE_H

#include <cede/base.h>
#include <cede/future.h>

CEDE__BEGIN

/** An open file. The library's memory; ends with cede_file_close(). */
typedef struct cede_file cede_file_t;

/** A directory that is read. The library's memory; ends with cede_dir_close(). */
typedef struct cede_dir cede_dir_t;

enum cede_file_type {
	CEDE_FILE_UNKNOWN, /**< of a directory's entry: the file system does not say; ask cede_path_lstat() */
	CEDE_FILE_REGULAR,
	CEDE_FILE_DIRECTORY,
	CEDE_FILE_LINK,
	CEDE_FILE_FIFO,
	CEDE_FILE_SOCKET,
	CEDE_FILE_CHARACTER, /**< a device, as /dev/null */
	CEDE_FILE_BLOCK,
};

/** What the system knows about a file. */
typedef struct cede_stat {
	enum cede_file_type type;
	uint32_t mode; /**< st_mode: permissions and type */
	uint64_t size; /**< bytes */
	uint64_t device, inode, links;
	uint32_t uid, gid;
	uint64_t rdev;       /**< of a device */
	uint64_t block_size; /**< bytes that are best read or written at a time */
	uint64_t blocks;     /**< of 512 bytes */
	int64_t read_ns;     /**< last access, nanoseconds since 1970 */
	int64_t written_ns;  /**< last change of its content */
	int64_t changed_ns;  /**< last change of the file or of what this struct says */
	int64_t born_ns;     /**< 0: not known */
} cede_stat_t;

/** An entry of a directory. */
typedef struct cede_dir_entry {
	const char *name; /**< valid until the next call for the directory */
	enum cede_file_type type;
} cede_dir_entry_t;

/** An operation that was started. On the caller's stack. */
typedef struct cede_file_op {
	cede_future_t future; /**< result: as the blocking form, a count or 0 or a code */

	/* read-only, when it is done */
	size_t done;       /**< bytes read, written or copied, whatever the result */
	cede_file_t *file; /**< what it opened: the caller's to close */
	cede_dir_t *dir;
	cede_dir_entry_t entry;

	/* private */
	struct cede__file_block *block;
	cede_file_t *closing;
	void *target; /* what the bytes that it brings are copied to */
	cede_stat_t *stat;
} cede_file_op_t;

/* ---- files ---- */

/**
 * Opens a file.
 *
 * @param flags  O_RDONLY, O_WRONLY | O_CREAT, … of <fcntl.h>; O_CLOEXEC is added
 * @param mode   of a file that is made; less the umask
 * @return 0; CEDE_ENOENT, CEDE_EEXIST, CEDE_EISDIR, CEDE_ENOTDIR, CEDE_EACCES, CEDE_ELOOP,
 *   CEDE_ENAMETOOLONG, CEDE_EMFILE, …
 *
 * Suspends. A file that is opened although the wait was given up is returned; in a
 * select it is closed again.
 */
CEDE_API CEDE_SUSPENDS int cede_file_open(const char *path, int flags, int mode,
	cede_file_t **ret_file);
CEDE_API int cede_file_open_start(const char *path, int flags, int mode, cede_file_op_t *op);

/**
 * Makes a file with a name of its own and opens it, for reading and writing, with mode
 * 0600.
 *
 * @param path_template  ends in "XXXXXX", which is replaced
 * Otherwise as cede_file_open(). One that was given up leaves its file there.
 */
CEDE_API CEDE_SUSPENDS int cede_file_mkstemp(char *path_template, cede_file_t **ret_file);
CEDE_API int cede_file_mkstemp_start(char *path_template, cede_file_op_t *op);

/**
 * Takes over a descriptor, which is the file's from here on, and on failure still the
 * caller's. CLOEXEC is set. Reads and writes of a FIFO or a terminal block a thread
 * of the pool until the other side has done its part; of one that is non-blocking
 * they return CEDE_EAGAIN.
 *
 * @return 0; CEDE_EBADF: it is none; CEDE_EINVAL: it is a socket, which is a stream's;
 *   CEDE_ENOTASK; CEDE_ENOMEM
 *
 * Never suspends. In a task of the loop that is to have it.
 */
CEDE_API int cede_file_adopt(int fd, cede_file_t **ret_file);

/** Its descriptor, lent: it must not be closed, and is no more when the file is closed. */
CEDE_API int cede_file_fd(const cede_file_t *file);

/**
 * Closes, once all operations on it have ended, those that were given up included. The
 * file must not be used any more, whatever is returned.
 *
 * @param file  NULL is allowed
 * @return 0; what close() says: CEDE_EIO, CEDE_ENOSPC, … mean that something that was
 *   written has been lost; CEDE_ENOTASK: outside a task it is closed all the same, and
 *   nothing waits
 *
 * Suspends, in a shield of its own without a deadline: it works in a task that is
 * being closed, and a cancel does nothing to it. One of another task that never ends
 * (the read of a FIFO) holds it up; given up in a select, it goes on by itself.
 */
CEDE_API CEDE_SUSPENDS int cede_file_close(cede_file_t *file);

/** Starts it. 0, CEDE_ENOTASK, in which case it is closed all the same. */
CEDE_API int cede_file_close_start(cede_file_t *file, cede_file_op_t *op);

/**
 * Reads once, as much as there is, and only as much as the system gives at once: of a
 * regular file all that was asked for or all that is left.
 *
 * @param size    0 to INT_MAX
 * @param offset  from the beginning; -1: at the file's position, which moves on
 * @return bytes; 0: the end of the file, or @size is 0; CEDE_EISDIR; CEDE_ESPIPE: an
 *   offset in what has none
 *
 * Suspends. A read that was given up before it began has read nothing and has not moved
 * the position; one that was given up in a select may have.
 */
CEDE_API CEDE_SUSPENDS ssize_t cede_file_read(cede_file_t *file, void *buffer, size_t size,
	int64_t offset);
CEDE_API int cede_file_read_start(cede_file_t *file, void *buffer, size_t size, int64_t offset,
	cede_file_op_t *op);

/**
 * Writes all of it.
 *
 * @param size         0 to INT_MAX
 * @param offset       from the beginning; -1: at the file's position, or at the end of
 *                     one that was opened with O_APPEND
 * @param ret_written  how much was written, whatever the result; may be NULL
 * @return @size; CEDE_ENOSPC, CEDE_EFBIG, CEDE_EIO, CEDE_EPIPE, …
 *
 * Suspends. A cancel while it runs ends it after the present piece of 1 MiB, and
 * *ret_written says how far it got; nothing that was written is taken back. One that
 * was started and is given up writes all of it, or nothing if it has not begun.
 */
CEDE_API CEDE_SUSPENDS ssize_t cede_file_write(cede_file_t *file, const void *data, size_t size,
	int64_t offset, size_t *ret_written);
CEDE_API int cede_file_write_start(cede_file_t *file, const void *data, size_t size, int64_t offset,
	cede_file_op_t *op);

/** What the system knows about it (fstat). 0. Suspends. */
CEDE_API CEDE_SUSPENDS int cede_file_stat(cede_file_t *file, cede_stat_t *ret_stat);
CEDE_API int cede_file_stat_start(cede_file_t *file, cede_stat_t *ret_stat, cede_file_op_t *op);

/**
 * Waits until what was written is on the disk (fsync).
 *
 * @return 0; CEDE_EIO, CEDE_ENOSPC: something that was written has been lost, and a
 *   second call does not say so again; CEDE_EINVAL: not a file on a disk
 *
 * Suspends. One that was given up says nothing about what is on the disk.
 */
CEDE_API CEDE_SUSPENDS int cede_file_sync(cede_file_t *file);
CEDE_API int cede_file_sync_start(cede_file_t *file, cede_file_op_t *op);

/** The same without what is not needed to read it again, as its times (fdatasync). */
CEDE_API CEDE_SUSPENDS int cede_file_datasync(cede_file_t *file);
CEDE_API int cede_file_datasync_start(cede_file_t *file, cede_file_op_t *op);

/** Cuts it, or fills it with zeros, to @size bytes. 0, CEDE_EINVAL, CEDE_EFBIG. Suspends. */
CEDE_API CEDE_SUSPENDS int cede_file_truncate(cede_file_t *file, int64_t size);
CEDE_API int cede_file_truncate_start(cede_file_t *file, int64_t size, cede_file_op_t *op);

/** Sets its permissions. 0, CEDE_EPERM. Suspends. */
CEDE_API CEDE_SUSPENDS int cede_file_chmod(cede_file_t *file, int mode);
CEDE_API int cede_file_chmod_start(cede_file_t *file, int mode, cede_file_op_t *op);

/** For cede_file_copy(): to the end of the file. */
#define CEDE_FILE_ALL INT64_MAX

/**
 * Copies from one file to another, inside the system where it can.
 *
 * @param to           written to at its position, which moves on
 * @param from         read at @offset; its position stays
 * @param size         bytes; CEDE_FILE_ALL: to the end
 * @param ret_copied   how much was copied, whatever the result; may be NULL. When a write
 *                     fails, up to 1 MiB more may have been written
 * @return 0: @size bytes, or all there were; CEDE_ENOSPC, …
 *
 * Suspends. A cancel: as cede_file_write().
 */
CEDE_API CEDE_SUSPENDS int cede_file_copy(cede_file_t *to, cede_file_t *from, int64_t offset,
	int64_t size, int64_t *ret_copied);

/* ---- paths ---- */

/** What the system knows about a file; of a link, about what it leads to. 0. Suspends. */
CEDE_API CEDE_SUSPENDS int cede_path_stat(const char *path, cede_stat_t *ret_stat);
CEDE_API int cede_path_stat_start(const char *path, cede_stat_t *ret_stat, cede_file_op_t *op);

/** The same, of a link about the link. */
CEDE_API CEDE_SUSPENDS int cede_path_lstat(const char *path, cede_stat_t *ret_stat);
CEDE_API int cede_path_lstat_start(const char *path, cede_stat_t *ret_stat, cede_file_op_t *op);

/** May it be read, written, executed? @mode: R_OK, W_OK, X_OK, F_OK of <unistd.h>. 0, CEDE_EACCES. Suspends. */
CEDE_API CEDE_SUSPENDS int cede_path_access(const char *path, int mode);
CEDE_API int cede_path_access_start(const char *path, int mode, cede_file_op_t *op);

/** Sets a file's permissions. 0. Suspends. */
CEDE_API CEDE_SUSPENDS int cede_path_chmod(const char *path, int mode);
CEDE_API int cede_path_chmod_start(const char *path, int mode, cede_file_op_t *op);

/** Renames; a file that is there is replaced in one step. 0, CEDE_EXDEV, CEDE_ENOTEMPTY, CEDE_EISDIR. Suspends. */
CEDE_API CEDE_SUSPENDS int cede_path_rename(const char *from, const char *to);
CEDE_API int cede_path_rename_start(const char *from, const char *to, cede_file_op_t *op);

/** Removes a name that is no directory's. 0, CEDE_EISDIR. Suspends. */
CEDE_API CEDE_SUSPENDS int cede_path_unlink(const char *path);
CEDE_API int cede_path_unlink_start(const char *path, cede_file_op_t *op);

/** Makes a directory. 0, CEDE_EEXIST. Suspends. */
CEDE_API CEDE_SUSPENDS int cede_path_mkdir(const char *path, int mode);
CEDE_API int cede_path_mkdir_start(const char *path, int mode, cede_file_op_t *op);

/** Makes a directory with a name of its own: as cede_file_mkstemp(), with mode 0700. Suspends. */
CEDE_API CEDE_SUSPENDS int cede_path_mkdtemp(char *path_template);
CEDE_API int cede_path_mkdtemp_start(char *path_template, cede_file_op_t *op);

/** Removes an empty directory. 0, CEDE_ENOTEMPTY, CEDE_ENOTDIR. Suspends. */
CEDE_API CEDE_SUSPENDS int cede_path_rmdir(const char *path);
CEDE_API int cede_path_rmdir_start(const char *path, cede_file_op_t *op);

/** A second name for a file. 0, CEDE_EEXIST, CEDE_EXDEV. Suspends. */
CEDE_API CEDE_SUSPENDS int cede_path_link(const char *path, const char *name);
CEDE_API int cede_path_link_start(const char *path, const char *name, cede_file_op_t *op);

/** A symbolic link @name that leads to @target. 0, CEDE_EEXIST. Suspends. */
CEDE_API CEDE_SUSPENDS int cede_path_symlink(const char *target, const char *name);
CEDE_API int cede_path_symlink_start(const char *target, const char *name, cede_file_op_t *op);

/**
 * Where a symbolic link leads to, as it is written in it.
 *
 * @param buffer  gets the text, with a 0 behind it
 * @param size    of it; CEDE_PATH_MAX is enough
 * @return the length of the text; CEDE_ENOBUFS: @size is too small; CEDE_EINVAL: it is no link
 *
 * Suspends.
 */
CEDE_API CEDE_SUSPENDS int cede_path_readlink(const char *path, char *buffer, size_t size);
CEDE_API int cede_path_readlink_start(const char *path, char *buffer, size_t size,
	cede_file_op_t *op);

/** Enough for any path of the system's, with the 0 behind it. */
#define CEDE_PATH_MAX 4097

/** The path from the root, without links and dots. As cede_path_readlink(). Suspends. */
CEDE_API CEDE_SUSPENDS int cede_path_realpath(const char *path, char *buffer, size_t size);
CEDE_API int cede_path_realpath_start(const char *path, char *buffer, size_t size,
	cede_file_op_t *op);

enum cede_path_copy_flag {
	CEDE_COPY_EXCLUSIVE = 1,  /**< CEDE_EEXIST when @to is there */
	CEDE_COPY_CLONE = 2,      /**< share the blocks where the file system can */
	CEDE_COPY_CLONE_ONLY = 4, /**< and fail where it can't */
};

/**
 * Copies a file with its permissions. A failed copy is removed.
 *
 * @param flags  of enum cede_path_copy_flag
 * @return 0, CEDE_EEXIST, CEDE_ENOSPC, CEDE_ENOTSUP
 *
 * Suspends; all of it is one call, which a cancel does not stop. cede_file_copy() is
 * stopped between pieces.
 */
CEDE_API CEDE_SUSPENDS int cede_path_copy(const char *from, const char *to, int flags);
CEDE_API int cede_path_copy_start(const char *from, const char *to, int flags, cede_file_op_t *op);

/**
 * Reads a whole file into memory.
 *
 * @param limit     bytes at most; looked at before memory is taken
 * @param ret_data  its bytes, and a 0 behind them that is not counted; to be released
 *                  with cede_path_read_free()
 * @return 0; CEDE_EFBIG: it has more than @limit bytes; CEDE_ENOMEM; CEDE_EISDIR
 *
 * Suspends. A cancel while it runs ends it after the present piece of 1 MiB.
 */
CEDE_API CEDE_SUSPENDS int cede_path_read(const char *path, size_t limit, char **ret_data,
	size_t *ret_size);

/** Releases what cede_path_read() has returned. NULL is allowed. */
CEDE_API void cede_path_read_free(char *data);

/* ---- directories ---- */

/** Opens a directory, to read its entries. 0, CEDE_ENOTDIR. Suspends; a cancel: as cede_file_open(). */
CEDE_API CEDE_SUSPENDS int cede_dir_open(const char *path, cede_dir_t **ret_dir);
CEDE_API int cede_dir_open_start(const char *path, cede_file_op_t *op);

/**
 * The next entry, in the order of the file system; "." and ".." are left out. Entries are
 * read in batches, so a directory of any size takes little memory.
 *
 * @return 1; 0: there are no more; CEDE_EBUSY: another task reads it, or a read that was
 *   given up still does
 *
 * Suspends when a batch is read. A cancel loses no entry: the next call returns it.
 */
CEDE_API CEDE_SUSPENDS int cede_dir_next(cede_dir_t *dir, cede_dir_entry_t *ret_entry);
CEDE_API int cede_dir_next_start(cede_dir_t *dir, cede_file_op_t *op);

/** Ends it: as cede_file_close(). */
CEDE_API CEDE_SUSPENDS int cede_dir_close(cede_dir_t *dir);
CEDE_API int cede_dir_close_start(cede_dir_t *dir, cede_file_op_t *op);

CEDE__END

#endif
