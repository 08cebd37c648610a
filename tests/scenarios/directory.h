/*
 * A directory of a scenario's own, which is the working directory meanwhile and is
 * removed with all that is in it.
 */
#ifndef CEDE_TESTS_DIRECTORY_H
#define CEDE_TESTS_DIRECTORY_H

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/scenarios/scenario.h"

#define DIRECTORY_TEMPLATE "/tmp/cede-scenario-XXXXXX"

static inline void
directory_enter(char *path_template)
{
	require(mkdtemp(path_template) && chdir(path_template) == 0);
}

static inline int
directory_remove(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	return remove(path);
}

static inline void
directory_leave(const char *path)
{
	require(chdir("/") == 0 && nftw(path, directory_remove, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

/** Makes a file. */
static inline void
directory_put(const char *name, const char *text, size_t size)
{
	const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	require(fd >= 0 && write(fd, text, size) == (ssize_t)size && close(fd) == 0);
}

/** Is that what is in it, and nothing else? */
static inline int
directory_has(const char *name, const char *text, size_t size)
{
	static char buffer[65536];
	const int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	require(size < sizeof buffer);
	if (fd < 0)
		return 0;
	n = read(fd, buffer, sizeof buffer);
	require(close(fd) == 0);
	return n == (ssize_t)size && memcmp(buffer, text, size) == 0;
}

#endif
