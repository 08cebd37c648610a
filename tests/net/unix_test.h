/*
 * What the tests of unix sockets share: a directory of the test's own, which must be
 * empty again at its end, and the other side as raw sockets.
 */
#ifndef CEDE_TESTS_NET_UNIX_TEST_H
#define CEDE_TESTS_NET_UNIX_TEST_H

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cede/unix.h>

#include "tests/net/pair.h"

static char unix_dir[64];

/** A path in the directory of the test. */
static inline const char *
unix_path(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	if (!unix_dir[0]) {
		strcpy(unix_dir, "/tmp/cede-XXXXXX");
		cr_assert_not_null(mkdtemp(unix_dir));
	}
	snprintf(path, sizeof paths[0], "%s/%s", unix_dir, name);
	return path;
}

/** Nothing is left in it: no path, no lock. */
static inline void
unix_dir_end(void)
{
	if (unix_dir[0])
		cr_assert_eq(rmdir(unix_dir), 0, "something is left in %s", unix_dir);
	unix_dir[0] = '\0';
}

static inline socklen_t
unix_address(const char *name, struct sockaddr_un *address)
{
	const size_t n = strlen(name);

	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, name, n);
	if (*name == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*name != '@'));
}

static inline int
unix_socket(int type)
{
	struct timeval limit = { .tv_sec = PEER_LIMIT_S };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	return fd;
}

/** A raw socket that is bound and, unless @backlog is negative, listens. */
static inline int
unix_raw_listen(const char *name, int type, int backlog)
{
	struct sockaddr_un address;
	socklen_t length = unix_address(name, &address);
	int fd = unix_socket(type);

	cr_assert_eq(bind(fd, (struct sockaddr *)&address, length), 0);
	if (backlog >= 0)
		cr_assert_eq(listen(fd, backlog), 0);
	return fd;
}

/** A descriptor, or a negative errno. */
static inline int
unix_raw_connect(const char *name)
{
	struct sockaddr_un address;
	socklen_t length = unix_address(name, &address);
	int fd = unix_socket(SOCK_STREAM | SOCK_NONBLOCK);

	if (connect(fd, (struct sockaddr *)&address, length) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	fcntl(fd, F_SETFL, 0);
	return fd;
}

static inline int
unix_exists(const char *path)
{
	struct stat found;

	return lstat(path, &found) == 0;
}

#endif
