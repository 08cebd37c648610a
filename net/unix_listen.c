/*
 * Listening on unix sockets, and what becomes of their paths.
 *
 * A path is there from bind() on, but nobody can connect before listen(), and it
 * stays when its process is gone. So one who finds a path that refuses connections
 * sees either what somebody has left or somebody who is between the two calls. To
 * tell them apart everybody holds a lock from looking at a path until listening on
 * it: a file beside it, which is removed by its holder. Who does not get the lock at
 * once has a rival, and the address is in use.
 *
 * The mode: bind() takes the socket's, less the umask, which belongs to the process
 * and is not touched. What the umask has taken away is given back before listen().
 *
 * The close removes the path if it is still this socket's: its inode is in use as
 * long as the socket is bound, so no other file has the same number. That is done
 * while the socket still listens: nobody who looks takes it for a stale one.
 */
#include <cede/unix.h>

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coro/alloc.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/stream_int.h"

#define MODE_DEFAULT 0600
#define LOCK_SUFFIX  ".cede-lock"
#define LOCK_TRIES   16

/* A name that is to be listened on. */
struct name {
	struct sockaddr_un address;
	socklen_t length;
};

/* A path that is listened on. */
struct place {
	dev_t dev;
	ino_t ino;
	char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
};

static int
is_abstract(const struct name *name)
{
	return name->address.sun_path[0] == '\0';
}

/* ---- the lock ---- */

/* Is the file that was opened still the one of that name? */
static int
is_file(int fd, const char *path)
{
	struct stat opened, named;

	return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 &&
		opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Its descriptor, or why it is not to be had. */
static int
take_lock(const char *path)
{
	for (int tries = 0; tries < LOCK_TRIES; tries++) {
		int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600), r = 0;

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			r = errno == EWOULDBLOCK ? CEDE_EADDRINUSE : -errno;
		else if (is_file(fd, path))
			return fd;
		close(fd); /* whose last holder has removed it meanwhile */
		if (r < 0)
			return r;
	}
	return CEDE_EADDRINUSE;
}

static void
give_lock(const char *path, int fd)
{
	unlink(path);
	close(fd);
}

/* ---- the path ---- */

/* 0: nobody listens there; CEDE_EADDRINUSE: somebody does, or it cannot be told. */
static int
probe(const struct name *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	r = connect(fd, (const struct sockaddr *)&name->address, name->length) < 0 ? errno : 0;
	close(fd);
	return r == ECONNREFUSED || r == ENOENT ? 0 : CEDE_EADDRINUSE;
}

static int
remove_stale(const struct name *name)
{
	const char *path = name->address.sun_path;
	struct stat found;
	int r;

	if (lstat(path, &found) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(found.st_mode))
		return CEDE_EADDRINUSE;
	r = probe(name);
	if (r < 0)
		return r;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int
bind_to(int fd, const struct name *name)
{
	return bind(fd, (const struct sockaddr *)&name->address, name->length) < 0 ? -errno : 0;
}

/* Notes which file it is, and makes its mode what was asked for. */
static int
settle(struct place *place, mode_t mode)
{
	struct stat made;

	if (lstat(place->path, &made) < 0)
		return -errno;
	place->dev = made.st_dev;
	place->ino = made.st_ino;
	if ((made.st_mode & 07777) == mode)
		return 0;
	return chmod(place->path, mode) < 0 ? -errno : 0;
}

static int
listen_on_path(int fd, const struct name *name, mode_t mode, int backlog, struct place *place)
{
	char lock[sizeof place->path + sizeof LOCK_SUFFIX];
	int lock_fd, r;

	strcpy(place->path, name->address.sun_path);
	strcpy(stpcpy(lock, place->path), LOCK_SUFFIX);
	lock_fd = take_lock(lock);
	if (lock_fd < 0)
		return lock_fd;

	(void)fchmod(fd, mode); /* where bind() does not look at it, settle() does */
	r = bind_to(fd, name);
	if (r == CEDE_EADDRINUSE) {
		r = remove_stale(name);
		if (r == 0)
			r = bind_to(fd, name);
	}
	if (r == 0) {
		r = settle(place, mode);
		if (r == 0 && listen(fd, backlog) < 0)
			r = -errno;
		if (r < 0)
			unlink(place->path);
	}
	give_lock(lock, lock_fd);
	return r;
}

/* Removes the path if it is still ours. */
static void
forget(void *arg)
{
	struct place *place = arg;
	struct stat found;

	if (lstat(place->path, &found) == 0 && found.st_dev == place->dev &&
		found.st_ino == place->ino)
		unlink(place->path);
	cede__free(place);
}

/* ---- listening ---- */

static int
open_listener(cede_loop_t *loop, const struct name *name, mode_t mode, int backlog,
	cede_listener_t **ret_listener)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), r;
	struct place *place = NULL;

	if (fd < 0)
		return -errno;
	if (is_abstract(name)) {
		r = bind_to(fd, name);
		if (r == 0 && listen(fd, backlog) < 0)
			r = -errno;
	} else {
		place = cede__alloc_zero(sizeof *place);
		r = place ? listen_on_path(fd, name, mode, backlog, place) : CEDE_ENOMEM;
	}
	if (r < 0)
		goto opened;

	r = cede__listener_create(loop, fd, UV_NAMED_PIPE, ret_listener);
	if (r == 0) {
		if (place)
			cede__listener_set_name(*ret_listener, place, forget);
		return 0;
	}
	if (place) {
		forget(place);
		place = NULL;
	}
opened:
	cede__free(place);
	close(fd);
	return r;
}

int
cede_unix_listen(const char *path, const cede_unix_options_t *options,
	cede_listener_t **ret_listener)
{
	static const cede_unix_options_t defaults;
	const cede_unix_options_t *o = options ? options : &defaults;
	cede_loop_t *loop = cede_loop_current();
	struct name name;
	int r;

	if (!loop)
		return CEDE_ENOTASK;
	r = cede__address_parse_unix(path, &name.address, &name.length);
	if (r < 0)
		return r;
	if (o->mode > 0777 || (o->mode && is_abstract(&name)))
		return CEDE_EINVAL;
	return open_listener(loop, &name, o->mode ? o->mode : MODE_DEFAULT,
		o->backlog > 0 ? o->backlog : CEDE__BACKLOG, ret_listener);
}
