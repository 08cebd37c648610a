/*
 * The leak gate. Every test body starts with leaks_begin() and ends with
 * leaks_end(): blocks of the allocator, file descriptors and, where it is there,
 * LeakSanitizer. In the body, because Criterion ignores what fails in a
 * fixture's teardown, and a leak that LeakSanitizer finds at exit.
 */
#ifndef TESTS_SUPPORT_LEAKS_H
#define TESTS_SUPPORT_LEAKS_H

#include <dirent.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include <criterion/criterion.h>

#include "coro/alloc.h"
#include "coro/thread.h"

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static int leaks_fds;

/* A sanitizer opens the file for its findings with the first warning. */
static inline int
leaks_is_log(DIR *dir, const char *name)
{
	char target[512];
	const ssize_t n = readlinkat(dirfd(dir), name, target, sizeof target - 1);

	target[n > 0 ? n : 0] = '\0';
	return strstr(target, "san.log") != NULL;
}

static inline int
leaks_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	cr_assert_not_null(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
		n += !leaks_is_log(dir, entry->d_name);
	closedir(dir);
	return n;
}

/* libuv opens what it keeps for the process with its first loop: not ours, and before the count. */
static inline void
leaks_begin(void)
{
	uv_loop_t loop;

	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(uv_loop_close(&loop), 0);
	cede__thread_cleanup();
	cr_assert_eq(cede__alloc_outstanding(), 0);
	leaks_fds = leaks_count_fds();
}

static inline void
leaks_end(void)
{
	cede__thread_cleanup();
	cr_assert_eq(cede__alloc_outstanding(), 0, "%zu blocks are still out",
		cede__alloc_outstanding());
	cr_assert_eq(leaks_count_fds(), leaks_fds, "%d descriptors, %d before", leaks_count_fds(),
		leaks_fds);
	if (__lsan_do_recoverable_leak_check)
		cr_assert_eq(__lsan_do_recoverable_leak_check(), 0, "LeakSanitizer found leaks");
}

#endif
