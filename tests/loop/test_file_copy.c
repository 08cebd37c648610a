/* loop/file_verbs.c: copies of files, and files that are read whole. */
#include "tests/loop/file_test.h"

#include <signal.h>
#include <sys/resource.h>

TestSuite(file_copy, .timeout = 60, .init = file_enter, .fini = file_leave);

#define MIB (1024 * 1024)

/* ---- copying ---- */

static void
fill(cede_file_t *f, int64_t size)
{
	char *data = malloc((size_t)size);

	for (int64_t i = 0; i < size; i++)
		data[i] = (char)(i * 7 + i / 4099);
	cr_assert_eq(cede_file_write(f, data, (size_t)size, 0, NULL), size);
	free(data);
}

static int
is_same(const char *path, const char *path2)
{
	char *a, *b;
	size_t n, m;
	int same;

	cr_assert_eq(cede_path_read(path, SIZE_MAX, &a, &n), 0);
	cr_assert_eq(cede_path_read(path2, SIZE_MAX, &b, &m), 0);
	same = n == m && memcmp(a, b, n) == 0;
	cede_path_read_free(a);
	cede_path_read_free(b);
	return same;
}

TASK_TEST(file_copy, is_copied_whole_or_in_part)
{
	cede_file_t *from = file_open("a", O_RDWR | O_CREAT);
	cede_file_t *to = file_open("b", O_RDWR | O_CREAT);
	int64_t copied = -1;

	fill(from, 3 * MIB + 17);
	cr_assert_eq(cede_file_copy(to, from, 0, CEDE_FILE_ALL, &copied), 0);
	cr_assert_eq(copied, 3 * MIB + 17);
	cr_assert(is_same("a", "b"));
	cr_assert_eq(cede_file_truncate(to, 0), 0);
	cr_assert_eq(cede_file_copy(to, from, 5, 10, NULL), 0, "its position stays");
	cr_assert_eq(cede_file_copy(to, from, 3 * MIB + 17, CEDE_FILE_ALL, &copied), 0);
	cr_assert_eq(copied, 0);
	cr_assert_eq(cede_file_copy(to, from, 0, 0, &copied), 0);
	cr_assert_eq(cede_file_copy(to, from, -1, 1, &copied), CEDE_EINVAL);
	cr_assert_eq(cede_file_copy(to, from, 0, -1, &copied), CEDE_EINVAL);
	cr_assert_eq(cede_file_close(from), 0);
	cr_assert_eq(cede_file_close(to), 0);
	return 0;
}

TASK_TEST(file_copy, is_copied_where_the_system_does_not_copy)
{
	cede_file_t *from = file_open("a", O_RDWR | O_CREAT), *to, *proc, *full;
	int64_t copied = -1;
	char buffer[8];

	fill(from, MIB + 5);
	to = file_open("b", O_WRONLY | O_CREAT | O_APPEND);
	cr_assert_eq(cede_file_copy(to, from, 0, CEDE_FILE_ALL, &copied), 0);
	cr_assert_eq(copied, MIB + 5);
	cr_assert(is_same("a", "b"));
	cr_assert_eq(cede_file_close(to), 0);

	proc = file_open("/proc/self/stat", O_RDONLY);
	to = file_open("c", O_RDWR | O_CREAT);
	cr_assert_eq(cede_file_copy(to, proc, 0, CEDE_FILE_ALL, &copied), 0);
	cr_assert_gt(copied, 50, "its size is told as 0");
	cr_assert_eq(cede_file_read(to, buffer, 8, 0), 8);

	full = file_open("/dev/full", O_WRONLY);
	cr_assert_eq(cede_file_copy(full, from, 0, CEDE_FILE_ALL, &copied), CEDE_ENOSPC);
	cr_assert_eq(copied, 0);
	cr_assert_eq(cede_file_copy(from, full, 0, 1, &copied), CEDE_EBADF);
	cr_assert_eq(cede_file_close(from), 0);
	cr_assert_eq(cede_file_close(to), 0);
	cr_assert_eq(cede_file_close(proc), 0);
	cr_assert_eq(cede_file_close(full), 0);
	return 0;
}

/* By way of memory, into a file that may not grow beyond a size. */
TASK_TEST(file_copy, a_copy_that_stops_half_way_says_how_far_it_got)
{
	const struct rlimit limit = { .rlim_cur = MIB + MIB / 2 + 7, .rlim_max = RLIM_INFINITY };
	cede_file_t *from = file_open("a", O_RDWR | O_CREAT);
	cede_file_t *to = file_open("b", O_WRONLY | O_CREAT | O_APPEND);
	int64_t copied = 0;

	fill(from, 2 * MIB);
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_eq(cede_file_copy(to, from, 0, CEDE_FILE_ALL, &copied), CEDE_EFBIG);
	cr_assert_eq(copied, MIB + MIB / 2 + 7);
	cr_assert_eq(cede_file_close(from), 0);
	cr_assert_eq(cede_file_close(to), 0);
	return 0;
}

/* ---- whole files ---- */

TASK_TEST(file_copy, is_read_whole_up_to_a_limit)
{
	char *data = NULL;
	size_t size = 0;

	file_put("a", "hello");
	file_put("empty", "");
	cr_assert_eq(cede_path_read("a", 5, &data, &size), 0);
	cr_assert_eq(size, 5);
	cr_assert_str_eq(data, "hello");
	cede_path_read_free(data);
	cr_assert_eq(cede_path_read("empty", 0, &data, &size), 0);
	cr_assert_eq(size, 0);
	cr_assert_str_eq(data, "");
	cede_path_read_free(data);
	data = NULL;
	cr_assert_eq(cede_path_read("a", 4, &data, &size), CEDE_EFBIG);
	cr_assert_eq(cede_path_read("none", 4, &data, &size), CEDE_ENOENT);
	cr_assert_eq(cede_path_read(".", 4, &data, &size), CEDE_EISDIR);
	cr_assert_eq(cede_path_read(NULL, 4, &data, &size), CEDE_EINVAL);
	cr_assert_null(data);
	cede_path_read_free(NULL);
	return 0;
}

/* What tells no size, and a sparse file whose size no machine has memory for. */
TASK_TEST(file_copy, of_a_size_that_is_not_told_or_too_large_keeps_the_limit)
{
	char *data = NULL;
	size_t size = 0;

	cr_assert_eq(cede_path_read("/dev/zero", 100000, &data, &size), CEDE_EFBIG);
	cr_assert_eq(cede_path_read("/proc/self/maps", SIZE_MAX, &data, &size), 0);
	cr_assert_gt(size, 100);
	cr_assert_eq(strlen(data), size);
	cede_path_read_free(data);
	file_put("a", "x");
	cr_assert_eq(truncate("a", (off_t)1 << 42), 0);
	cr_assert_eq(cede_path_read("a", MIB, &data, &size), CEDE_EFBIG);
	return 0;
}
