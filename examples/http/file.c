/*
 * Files: what is below the root, and nothing else.
 *
 * That no path leads out of the root is the kernel's business (openat2() with
 * RESOLVE_BENEATH): not through "..", which path.c does not let through anyway, and not
 * through a link, not even through one that is made while we look. Where there is no such
 * call the path is opened name by name, and no link is followed.
 *
 * The system's calls for files block. They are made in a thread: open and fstat together
 * by cede_work(), the sending by cede_sendfile().
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

#include "answer.h"
#include "conditions.h"
#include "path.h"

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* ---- in a thread ---- */

struct opening {
	int root;
	const char *path;

	/* what came of it */
	int fd;
	struct stat stat;
};

static int
open_step_by_step(int root, const char *path)
{
	int fd = root;

	while (*path) {
		const size_t size = strcspn(path, "/");
		char name[PATH_SIZE];
		int next;

		memcpy(name, path, size);
		name[size] = '\0';
		next = openat(fd, name, OPEN_FLAGS | O_NOFOLLOW | (path[size] ? O_DIRECTORY : 0));
		if (fd != root)
			close(fd);
		if (next < 0)
			return -1;
		fd = next;
		path += size + (path[size] == '/');
	}
	return fd != root ? fd : openat(root, ".", OPEN_FLAGS | O_DIRECTORY);
}

static int
open_beneath(int root, const char *path)
{
#ifdef __linux__
	const struct open_how how = {
		.flags = OPEN_FLAGS,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	const long fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);

	if (fd >= 0 || errno != ENOSYS)
		return (int)fd;
#endif
	return open_step_by_step(root, path);
}

static int
open_file(void *arg)
{
	struct opening *o = arg;
	int fd = open_beneath(o->root, o->path);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &o->stat) < 0) {
		const int r = -errno;

		close(fd);
		return r;
	}
	o->fd = fd;
	return 0;
}

/* ---- the handler ---- */

static int
status_of(int code)
{
	switch (code) {
	case CEDE_ENOENT:
	case CEDE_ENOTDIR:
	case CEDE_ELOOP:
	case CEDE_EXDEV: /* out of the root */
	case CEDE_ENAMETOOLONG:
	case CEDE_EACCES:
	case -ENXIO:
		return 404;
	case CEDE_EMFILE:
	case CEDE_ENFILE:
	case CEDE_ENOMEM:
		return 503;
	default:
		return 500;
	}
}

static CEDE_SUSPENDS int
redirect_to_directory(struct exchange *x)
{
	const struct bytes path = request_path(&x->request);
	char location[3 * PATH_SIZE + 2];
	int r;

	/* "//host/" would lead elsewhere. */
	if (path.size + 2 > sizeof location || (path.size > 1 && path.data[1] == '/'))
		return answer_status(x, 404);
	memcpy(location, path.data, path.size);
	memcpy(location + path.size, "/", 2);
	r = answer_begin(x, 301);
	answer_field(x, "Location", location);
	return r < 0 ? r : answer_all(x, NULL, 0);
}

static CEDE_SUSPENDS int
answer_with(struct exchange *x, cede_file_t *file, const char *path, const struct stat *st)
{
	const struct version version =
		version_of((int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
			(uint64_t)st->st_size);
	char text[DATE_SIZE], part[80];
	struct range range;
	int status = conditions_check(&x->request, &version, st->st_size, &range);
	int r;

	if (status == 412)
		return answer_status(x, status);
	r = answer_begin(x, status);
	if (r < 0)
		return r;
	if (status == 416) {
		snprintf(part, sizeof part, "bytes */%lld", (long long)st->st_size);
		answer_field(x, "Content-Range", part);
		return answer_all(x, NULL, 0);
	}
	date_format((time_t)version.written_s, text);
	answer_field(x, "Last-Modified", text);
	answer_field(x, "ETag", version.etag);
	if (status == 304)
		return answer_nothing(x);
	answer_field(x, "Accept-Ranges", "bytes");
	answer_field(x, "Content-Type", path_type(path));
	if (status == 206) {
		snprintf(part, sizeof part, "bytes %lld-%lld/%lld", (long long)range.offset,
			(long long)(range.offset + range.size - 1), (long long)st->st_size);
		answer_field(x, "Content-Range", part);
	}
	return answer_file(x, file, range.offset, range.size);
}

/* The descriptor is ours here. */
static CEDE_SUSPENDS int
answer_and_close(struct exchange *x, const char *path, const struct opening *o)
{
	cede_file_t *file;
	int r = cede_file_adopt(o->fd, &file), closed;

	if (r < 0) {
		close(o->fd);
		return r;
	}
	r = answer_with(x, file, path, &o->stat);
	closed = cede_file_close(file);
	return r < 0 ? r : closed;
}

int
file_handle(struct exchange *x)
{
	char path[PATH_SIZE + sizeof "index.html"];
	struct opening o = { .root = x->worker->server->root, .path = path };
	int status = o.root >= 0 ? path_decode(request_path(&x->request), path) : 404;
	const size_t size = status == 0 ? strlen(path) : 0;
	int r;

	if (status != 0)
		return answer_status(x, status);
	if (size == 0 || path[size - 1] == '/')
		memcpy(path + size, "index.html", sizeof "index.html");
	r = cede_work(open_file, &o);
	if (cede_is_cancel(r))
		return r;
	if (r < 0)
		return answer_status(x, status_of(r));
	if (S_ISREG(o.stat.st_mode))
		return answer_and_close(x, path, &o);
	close(o.fd);
	return S_ISDIR(o.stat.st_mode) ? redirect_to_directory(x) : answer_status(x, 404);
}

int
file_open_root(const char *path)
{
	const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}
