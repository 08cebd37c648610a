/*
 * What the tests of files share: a directory of the test's own, which is the working
 * directory and is removed with all that is in it; and an fsync() that a test can hold,
 * since it takes the place of the system's: a slow disk. Included by one file of a
 * program.
 */
#ifndef TESTS_LOOP_FILE_TEST_H
#define TESTS_LOOP_FILE_TEST_H

#include <fcntl.h>
#include <ftw.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <cede/uv.h>

#include "tests/support/run.h"

#define POOL 4 /* threads of libuv's, and operations of a loop at a time */

static char file_directory[] = "/tmp/cede-file-XXXXXX";

static inline void
file_enter(void)
{
	if (!mkdtemp(file_directory) || chdir(file_directory) < 0)
		abort();
}

static inline int
file_remove(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	return remove(path);
}

static inline void
file_leave(void)
{
	if (chdir("/") < 0 || nftw(file_directory, file_remove, 16, FTW_DEPTH | FTW_PHYS) < 0)
		abort();
}

static inline void
file_put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	fputs(text, f);
	cr_assert_eq(fclose(f), 0);
}

/** Is that what is in it? */
static inline int
file_has(const char *path, const char *text)
{
	char buffer[256];
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		return 0;
	n = fread(buffer, 1, sizeof buffer, f);
	fclose(f);
	return n == strlen(text) && memcmp(buffer, text, n) == 0;
}

static inline cede_file_t *
file_open(const char *path, int flags)
{
	cede_file_t *f = NULL;
	const int r = cede_file_open(path, flags, 0600, &f);

	cr_assert_eq(r, 0, "%s: %s", path, cede_strerror(r));
	return f;
}

static inline int
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* ---- a slow disk ---- */

static atomic_int disk_is_slow, disk_entered, disk_result;
static sem_t disk_gate;

static inline void
disk_hold(void)
{
	sem_init(&disk_gate, 0, 0);
	atomic_store(&disk_is_slow, 1);
}

/** Lets so many go on. */
static inline void
disk_pass(int count)
{
	while (count-- > 0)
		sem_post(&disk_gate);
}

/** Waits, in a task, until so many have been held. */
static inline void
disk_await(int count)
{
	while (atomic_load(&disk_entered) < count)
		cr_assert_eq(cede_sleep(1), 0);
}

int
fsync(int fd)
{
	const int error = atomic_load(&disk_result);

	atomic_fetch_add(&disk_entered, 1);
	if (atomic_load(&disk_is_slow))
		while (sem_wait(&disk_gate))
			;
	if (error) {
		errno = error;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

#endif
