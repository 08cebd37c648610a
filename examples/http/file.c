/*
 * Files: what is below the root, and nothing else.
 *
 * That no path leads out of the root is the kernel's business (openat2() with
 * RESOLVE_BENEATH): not through "..", which path.c does not let through anyway, and not
 * through a link, not even through one that is made while we look. Where there is no such
 * call the path is opened name by name, and no link is followed.
 *
 * The system's calls for files block. They are made in a thread: open and fstat together
 * by cede_work(), and the reading if the file is small; else it is sent by cede_sendfile().
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
	char *room; /* of `room_size` bytes */
	size_t room_size;

	/* what came of it */
	struct stat stat;
	int fd; /* -1: all of the file is in `room` */
};

/* Opens what has one of the names of a path. A descriptor, or a code. */
static int
open_name(int directory, const char *path, size_t size)
{
	const int flags = OPEN_FLAGS | O_NOFOLLOW | (path[size] == '/' ? O_DIRECTORY : 0);
	char name[NAME_MAX + 1];
	int fd;

	if (size > NAME_MAX)
		return CEDE_ENAMETOOLONG;
	memcpy(name, path, size);
	name[size] = '\0';
	if (strcmp(name, "..") == 0)
		return CEDE_EXDEV;
	fd = openat(directory, name, flags);
	return fd < 0 ? -errno : fd;
}

static int
open_step_by_step(int root, const char *path)
{
	int fd = root;

	do {
		const size_t size = strcspn(path, "/");
		const int next = open_name(fd, path, size);

		if (fd != root)
			close(fd);
		fd = next;
		path += size + (path[size] == '/');
	} while (*path && fd >= 0);
	return fd;
}

static int
open_beneath(int root, const char *path)
{
#ifdef __linux__
	const struct open_how how = {
		.flags = OPEN_FLAGS,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	const long fd = syscall(SYS_openat2, root, path, &how, sizeof how);

	if (fd >= 0 || errno != ENOSYS)
		return fd >= 0 ? (int)fd : -errno;
#endif
	return open_step_by_step(root, path);
}

/* A small file is read in the same trip, and closed. */
static void
read_small(struct opening *o)
{
	const size_t size = (size_t)o->stat.st_size;

	if (S_ISREG(o->stat.st_mode) && o->stat.st_size <= (off_t)o->room_size &&
		pread(o->fd, o->room, size, 0) == (ssize_t)size) {
		close(o->fd);
		o->fd = -1;
	}
}

static int
open_file(void *arg)
{
	struct opening *o = arg;

	o->fd = open_beneath(o->root, o->path);
	if (o->fd < 0)
		return o->fd;
	if (fstat(o->fd, &o->stat) < 0) {
		const int r = -errno;

		close(o->fd);
		return r;
	}
	read_small(o);
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

/* The body. */
static CEDE_SUSPENDS int
send_part(struct exchange *x, struct opening *o, struct range part)
{
	cede_file_t *file;
	int r, closed;

	if (o->fd < 0)
		return answer_all(x, o->room + part.offset, (size_t)part.size);
	r = cede_file_adopt(o->fd, &file);
	if (r < 0)
		return r;
	o->fd = -1;
	r = answer_file(x, file, part.offset, part.size);
	closed = cede_file_close(file);
	return r < 0 ? r : closed;
}

static void
put_range(struct exchange *x, struct range part, int64_t size)
{
	char text[80];

	if (part.size > 0)
		snprintf(text, sizeof text, "bytes %lld-%lld/%lld", (long long)part.offset,
			(long long)(part.offset + part.size - 1), (long long)size);
	else
		snprintf(text, sizeof text, "bytes */%lld", (long long)size);
	answer_field(x, "Content-Range", text);
}

static CEDE_SUSPENDS int
answer_with(struct exchange *x, struct opening *o)
{
	const int64_t size = o->stat.st_size;
	const struct timespec *written = &o->stat.st_mtim;
	const struct version version =
		version_of((int64_t)written->tv_sec * 1000000000 + written->tv_nsec,
			(uint64_t)size);
	char date[DATE_SIZE];
	struct range part;
	const int status = conditions_check(&x->request, &version, size, &part);
	int r = status == 412 ? answer_status(x, status) : answer_begin(x, status);

	if (r < 0 || status == 412)
		return r;
	if (status == 416) {
		put_range(x, (struct range){ 0, 0 }, size);
		return answer_all(x, NULL, 0);
	}
	date_format((time_t)version.written_s, date);
	answer_field(x, "Last-Modified", date);
	answer_field(x, "ETag", version.etag);
	if (status == 304)
		return answer_nothing(x);
	answer_field(x, "Accept-Ranges", "bytes");
	answer_field(x, "Content-Type", path_type(o->path));
	if (status == 206)
		put_range(x, part, size);
	return send_part(x, o, part);
}

static CEDE_SUSPENDS int
answer_opened(struct exchange *x, struct opening *o)
{
	if (S_ISREG(o->stat.st_mode))
		return answer_with(x, o);
	return S_ISDIR(o->stat.st_mode) ? redirect_to_directory(x) : answer_status(x, 404);
}

int
file_handle(struct exchange *x)
{
	char path[PATH_SIZE + sizeof "index.html"];
	struct opening o = {
		.root = x->worker->server->root,
		.path = path,
		.room = x->scratch,
		.room_size = sizeof x->scratch,
	};
	int status = o.root >= 0 ? path_decode(request_path(&x->request), path) : 404;
	const size_t size = status == 0 ? strlen(path) : 0;
	int r;

	if (status != 0)
		return answer_status(x, status);
	if (size == 0 || path[size - 1] == '/')
		memcpy(path + size, "index.html", sizeof "index.html");
	r = cede_work(open_file, &o);
	if (r < 0)
		return cede_is_cancel(r) ? r : answer_status(x, status_of(r));
	r = answer_opened(x, &o);
	if (o.fd >= 0)
		close(o.fd);
	return r;
}

int
file_open_root(const char *path)
{
	const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}
