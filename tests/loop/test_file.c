/*
 * loop/file.c: a file's life, and what is done with an open one. What giving up does is
 * in test_file_cancel.c.
 */
#include "tests/loop/file_test.h"

#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

TestSuite(file, .timeout = 60, .init = file_enter, .fini = file_leave);

#define MIB (1024 * 1024)

/* ---- opening ---- */

TASK_TEST(file, is_opened_written_read_and_closed)
{
	cede_file_t *f = file_open("a", O_RDWR | O_CREAT);
	char buffer[16];
	size_t written = 99;
	int fd = cede_file_fd(f);

	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert_eq(cede_file_write(f, "hello", 5, -1, &written), 5);
	cr_assert_eq(written, 5);
	cr_assert_eq(cede_file_write(f, " world", 6, -1, NULL), 6);
	cr_assert_eq(cede_file_read(f, buffer, sizeof buffer, 0), 11);
	cr_assert_arr_eq(buffer, "hello world", 11);
	cr_assert_eq(cede_file_close(f), 0);
	cr_assert_not(is_open(fd));
	cr_assert(file_has("a", "hello world"));
	cr_assert_eq(cede_file_close(NULL), 0);
	return 0;
}

static int
try_to_open(const char *path, int flags)
{
	cede_file_t *f = (void *)1;
	cede_file_op_t op;
	const int r = cede_file_open(path, flags, 0600, &f);
	int started;

	cr_assert_eq(f, (void *)1, "an output is written on success only");
	started = cede_file_open_start(path, flags, 0600, &op);
	if (started == 0)
		started = cede_await(&op.future);
	cr_assert_eq(started, r);
	cr_assert_null(op.file);
	return r;
}

TASK_TEST(file, errors_of_open_are_the_systems)
{
	static char name[300];

	memset(name, 'x', sizeof name - 1);
	file_put("a", "");
	cr_assert_eq(mkdir("d", 0700), 0);
	cr_assert_eq(symlink("loop", "loop"), 0);
	cr_assert_eq(try_to_open("none", O_RDONLY), CEDE_ENOENT);
	cr_assert_eq(try_to_open("", O_RDONLY), CEDE_ENOENT);
	cr_assert_eq(try_to_open("a", O_WRONLY | O_CREAT | O_EXCL), CEDE_EEXIST);
	cr_assert_eq(try_to_open("d", O_WRONLY), CEDE_EISDIR);
	cr_assert_eq(try_to_open("a/b", O_RDONLY), CEDE_ENOTDIR);
	cr_assert_eq(try_to_open("loop", O_RDONLY), CEDE_ELOOP);
	cr_assert_eq(try_to_open(name, O_RDONLY), CEDE_ENAMETOOLONG);
	cr_assert_eq(try_to_open(NULL, O_RDONLY), CEDE_EINVAL);
	return 0;
}

/* root may do anything: it becomes nobody for as long, in all threads. */
TASK_TEST(file, without_permission_is_not_opened)
{
	const int is_root = geteuid() == 0;
	int r;

	file_put("a", "");
	cr_assert_eq(chmod("a", 0), 0);
	cr_assert_eq(chmod(".", 0755), 0);
	cr_assert_eq(cede_path_access("a", F_OK), 0); /* the threads are there */
	cr_assert(!is_root || seteuid(65534) == 0);
	r = try_to_open("a", O_RDONLY);
	cr_assert_eq(cede_path_access("a", F_OK), 0);
	cr_assert(!is_root || seteuid(0) == 0);
	cr_assert_eq(r, CEDE_EACCES);
	return 0;
}

TASK_TEST(file, too_many_are_an_error)
{
	struct rlimit limit, none;

	file_put("a", "x");
	cr_assert_eq(try_to_open("none", O_RDONLY), CEDE_ENOENT); /* the threads are there */
	getrlimit(RLIMIT_NOFILE, &limit);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	cr_assert_eq(try_to_open("a", O_RDONLY), CEDE_EMFILE);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return 0;
}

TASK_TEST(file, with_a_name_of_its_own_is_made)
{
	char path[] = "new-XXXXXX", path2[] = "new-XXXXXX", wrong[] = "new", text[] = "zz";
	cede_file_t *f = NULL;
	cede_file_op_t op;
	cede_stat_t st;

	cr_assert_eq(cede_file_mkstemp(path, &f), 0);
	cr_assert_neq(strcmp(path, "new-XXXXXX"), 0);
	cr_assert_eq(cede_file_write(f, "mine", 4, -1, NULL), 4);
	cr_assert_eq(cede_file_stat(f, &st), 0);
	cr_assert_eq(st.mode & 07777, 0600);
	cr_assert(fcntl(cede_file_fd(f), F_GETFD) & FD_CLOEXEC);
	cr_assert_eq(cede_file_close(f), 0);
	cr_assert(file_has(path, "mine"));

	cr_assert_eq(cede_file_mkstemp_start(path2, &op), 0);
	cr_assert_eq(strcmp(path2, "new-XXXXXX"), 0);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_neq(strcmp(path2, "new-XXXXXX"), 0);
	cr_assert_eq(cede_file_close(op.file), 0);
	cr_assert(file_has(path2, ""));
	cr_assert_eq(cede_file_mkstemp(wrong, &f), CEDE_EINVAL);
	cr_assert_eq(cede_file_mkstemp(text, &f), CEDE_EINVAL);
	cr_assert_eq(cede_file_mkstemp(NULL, &f), CEDE_EINVAL);
	cr_assert_eq(cede_file_mkstemp_start(NULL, &op), CEDE_EINVAL);
	return 0;
}

TASK_TEST(file, adopts_a_descriptor_but_no_socket)
{
	cede_file_t *f = NULL;
	char byte;
	int fd, sockets[2], pipes[2];

	file_put("a", "x");
	fd = open("a", O_RDONLY);
	cr_assert_eq(cede_file_adopt(fd, &f), 0);
	cr_assert_eq(cede_file_fd(f), fd);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert_eq(cede_file_read(f, &byte, 1, -1), 1);
	cr_assert_eq(cede_file_close(f), 0);
	cr_assert_not(is_open(fd));

	cr_assert_eq(cede_file_adopt(fd, &f), CEDE_EBADF);
	cr_assert_eq(cede_file_adopt(-1, &f), CEDE_EBADF);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	cr_assert_eq(cede_file_adopt(sockets[0], &f), CEDE_EINVAL);
	cr_assert(is_open(sockets[0]), "it is still the caller's");
	close(sockets[0]);
	close(sockets[1]);

	cr_assert_eq(pipe(pipes), 0);
	cr_assert_eq(cede_file_adopt(pipes[0], &f), 0);
	cr_assert_eq(write(pipes[1], "y", 1), 1);
	cr_assert_eq(cede_file_read(f, &byte, 1, 0), CEDE_ESPIPE);
	cr_assert_eq(cede_file_read(f, &byte, 1, -1), 1);
	close(pipes[1]);
	cr_assert_eq(cede_file_read(f, &byte, 1, -1), 0);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

/* Nothing but the adoption has been done in the loop, and its end has to wait. */
TASK_TEST(file, adopted_and_left_open_is_closed_with_the_loop)
{
	cede_file_t *f = NULL;

	file_put("a", "x");
	cr_assert_eq(cede_file_adopt(open("a", O_RDONLY), &f), 0);
	return 0; /* the leak gate counts descriptors */
}

TASK_TEST(file, left_open_is_closed_with_the_loop)
{
	for (int i = 0; i < 20; i++)
		file_open("a", O_RDWR | O_CREAT);
	return 0;
}

Test(file, outside_a_task_is_refused)
{
	cede_file_t *f = NULL;
	cede_file_op_t op;
	cede_dir_t *d = NULL;
	cede_stat_t st;
	char *data, text[8];
	size_t size;

	leaks_begin();
	cr_assert_eq(cede_file_open("a", O_RDONLY, 0, &f), CEDE_ENOTASK);
	cr_assert_eq(cede_file_open_start("a", O_RDONLY, 0, &op), CEDE_ENOTASK);
	cr_assert_eq(cede_file_adopt(0, &f), CEDE_ENOTASK);
	cr_assert_eq(cede_path_stat("a", &st), CEDE_ENOTASK);
	cr_assert_eq(cede_path_stat_start("a", &st, &op), CEDE_ENOTASK);
	cr_assert_eq(cede_path_unlink("a"), CEDE_ENOTASK);
	cr_assert_eq(cede_path_read("a", 1, &data, &size), CEDE_ENOTASK);
	cr_assert_eq(cede_path_readlink("a", text, sizeof text), CEDE_ENOTASK);
	cr_assert_eq(cede_dir_open("a", &d), CEDE_ENOTASK);
	cr_assert_eq(cede_dir_open_start("a", &op), CEDE_ENOTASK);
	cr_assert_eq(cede_file_close(NULL), 0);
	cr_assert_eq(cede_dir_close(NULL), 0);
	leaks_end();
}

static int
open_one(void *ret_file)
{
	*(cede_file_t **)ret_file = file_open("a", O_RDWR | O_CREAT);
	return 0;
}

Test(file, outside_a_task_is_closed_without_waiting)
{
	cede_file_t *f = NULL;
	cede_loop_t *loop;
	uv_loop_t uv;
	char byte;
	int fd;

	leaks_begin();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_start(loop, open_one, &f, NULL, NULL), 0);
	cr_assert_eq(uv_run(&uv, UV_RUN_DEFAULT), 0);
	fd = cede_file_fd(f);
	cr_assert_eq(cede_file_read(f, &byte, 1, 0), CEDE_ENOTASK);
	cr_assert_eq(cede_file_close(f), CEDE_ENOTASK);
	cr_assert_eq(uv_run(&uv, UV_RUN_DEFAULT), 0);
	cr_assert_not(is_open(fd));
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}

/* ---- bytes ---- */

TASK_TEST(file, reads_what_there_is_and_the_end_is_0)
{
	cede_file_t *f;
	char buffer[8];

	file_put("a", "hello");
	f = file_open("a", O_RDONLY);
	cr_assert_eq(cede_file_read(f, buffer, 3, -1), 3);
	cr_assert_eq(cede_file_read(f, buffer, 8, -1), 2, "a short read: no more is left");
	cr_assert_arr_eq(buffer, "lo", 2);
	cr_assert_eq(cede_file_read(f, buffer, 8, -1), 0);
	cr_assert_eq(cede_file_read(f, buffer, 8, 100), 0);
	cr_assert_eq(cede_file_read(f, buffer, 0, 0), 0);
	cr_assert_eq(cede_file_read(f, NULL, 0, -1), 0);
	cr_assert_eq(cede_file_read(f, buffer, 8, 1), 4, "an offset leaves the position alone");
	cr_assert_arr_eq(buffer, "ello", 4);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

TASK_TEST(file, beyond_4_gib_is_written_and_read)
{
	const int64_t far = ((int64_t)5 << 30) + 3;
	cede_file_t *f = file_open("a", O_RDWR | O_CREAT);
	cede_file_op_t op;
	cede_stat_t st;
	char buffer[4] = "";

	cr_assert_eq(cede_file_write(f, "far", 3, far, NULL), 3);
	cr_assert_eq(cede_file_stat(f, &st), 0);
	cr_assert_eq(st.size, (uint64_t)far + 3);
	cr_assert_lt(st.blocks, 1000, "it is sparse");
	cr_assert_eq(cede_file_read(f, buffer, 4, far), 3);
	cr_assert_str_eq(buffer, "far");
	cr_assert_eq(cede_file_read_start(f, buffer, 1, far + 1, &op), 0);
	cr_assert_eq(cede_await(&op.future), 1);
	cr_assert_eq(buffer[0], 'a');
	cr_assert_eq(cede_file_truncate(f, far + ((int64_t)1 << 32)), 0);
	cr_assert_eq(cede_path_stat("a", &st), 0);
	cr_assert_eq(st.size, (uint64_t)far + (UINT64_C(1) << 32));
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

TASK_TEST(file, appends_where_the_end_is)
{
	cede_file_t *f;

	file_put("a", "one ");
	f = file_open("a", O_WRONLY | O_APPEND);
	cr_assert_eq(cede_file_write(f, "two ", 4, -1, NULL), 4);
	file_put("a", "1 ");
	cr_assert_eq(cede_file_write(f, "three", 5, -1, NULL), 5);
	cr_assert_eq(cede_file_close(f), 0);
	cr_assert(file_has("a", "1 three"));
	return 0;
}

TASK_TEST(file, errors_of_reads_and_writes_are_the_systems)
{
	cede_file_t *reader, *writer, *directory, *full;
	cede_file_op_t op;
	size_t written = 9;
	char byte = 'x';

	file_put("a", "hello");
	reader = file_open("a", O_RDONLY);
	writer = file_open("a", O_WRONLY);
	directory = file_open(".", O_RDONLY);
	full = file_open("/dev/full", O_WRONLY);
	cr_assert_eq(cede_file_write(reader, "x", 1, 0, &written), CEDE_EBADF);
	cr_assert_eq(written, 0);
	cr_assert_eq(cede_file_read(writer, &byte, 1, 0), CEDE_EBADF);
	cr_assert_eq(cede_file_read(directory, &byte, 1, 0), CEDE_EISDIR);
	written = 9;
	cr_assert_eq(cede_file_write(full, "x", 1, -1, &written), CEDE_ENOSPC);
	cr_assert_eq(written, 0);
	cr_assert_eq(cede_file_write_start(full, "x", 1, -1, &op), 0);
	cr_assert_eq(cede_await(&op.future), CEDE_ENOSPC);
	cr_assert_eq(op.done, 0);
	cr_assert_eq(cede_file_write(full, "", 0, -1, NULL), 0);
	cr_assert_eq(cede_file_truncate(reader, 1), CEDE_EINVAL);
	cr_assert_eq(cede_file_truncate(writer, -1), CEDE_EINVAL);
	cr_assert_eq(cede_file_read(reader, &byte, (size_t)INT_MAX + 1, 0), CEDE_EINVAL);
	cr_assert_eq(cede_file_write(writer, &byte, SIZE_MAX, 0, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_file_read_start(reader, &byte, SIZE_MAX, 0, &op), CEDE_EINVAL);
	cr_assert_eq(cede_file_close(reader), 0);
	cr_assert_eq(cede_file_close(writer), 0);
	cr_assert_eq(cede_file_close(directory), 0);
	cr_assert_eq(cede_file_close(full), 0);
	return 0;
}

/* The process may write so much to a file, and no more. */
TASK_TEST(file, a_write_that_stops_half_way_says_how_far_it_got)
{
	const struct rlimit limit = { .rlim_cur = MIB * 3 / 2, .rlim_max = RLIM_INFINITY };
	char *data = calloc(3, MIB);
	cede_file_t *f = file_open("a", O_RDWR | O_CREAT);
	cede_file_op_t op;
	cede_stat_t st;
	size_t written = 0;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_eq(cede_file_write(f, data, 3 * MIB, -1, &written), CEDE_EFBIG);
	cr_assert_eq(written, MIB * 3 / 2);
	cr_assert_eq(cede_file_stat(f, &st), 0);
	cr_assert_eq(st.size, written);
	cr_assert_eq(cede_file_write_start(f, data, 3 * MIB, MIB, &op), 0);
	cr_assert_eq(cede_await(&op.future), CEDE_EFBIG);
	cr_assert_eq(op.done, MIB / 2);
	cr_assert_eq(cede_file_close(f), 0);
	free(data);
	return 0;
}

/* Every size goes through another kind of buffer: 64 KiB, 256 KiB, one of its own. */
TASK_TEST(file, started_reads_and_writes_copy_what_they_move)
{
	static const size_t sizes[] = { 0, 1, 65536, 65537, 262144, 262145, 3 * MIB + 5 };
	unsigned char *data = malloc(4 * MIB), *copy = malloc(4 * MIB);
	cede_file_op_t op;

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		cede_file_t *f = file_open("a", O_RDWR | O_CREAT | O_TRUNC);
		const size_t size = sizes[i];

		for (size_t j = 0; j < size; j++)
			data[j] = (unsigned char)(j * 31 + j / 251);
		cr_assert_eq(cede_file_write_start(f, data, size, -1, &op), 0);
		memset(data, 0xff, size); /* it has been copied */
		cr_assert_eq(cede_await(&op.future), (int)size);
		cr_assert_eq(op.done, size);
		memset(copy, 0, size + 1);
		cr_assert_eq(cede_file_read_start(f, copy, size + 1, 0, &op), 0);
		cr_assert_eq(cede_await(&op.future), (int)size);
		cr_assert_eq(op.done, size);
		for (size_t j = 0; j < size; j++)
			cr_assert_eq(copy[j], (unsigned char)(j * 31 + j / 251));
		cr_assert_eq(copy[size], 0);
		cr_assert_eq(cede_file_close(f), 0);
	}
	free(data);
	free(copy);
	return 0;
}

TASK_TEST(file, operations_wait_together)
{
	enum { N = 20 };
	cede_file_t *f = file_open("a", O_RDWR | O_CREAT);
	cede_file_op_t ops[N];
	cede_future_t *futures[N];
	char bytes[N];

	cr_assert_eq(cede_file_write(f, "abcdefghijklmnopqrst", N, 0, NULL), N);
	for (int i = 0; i < N; i++) {
		cr_assert_eq(cede_file_read_start(f, &bytes[i], 1, i, &ops[i]), 0);
		futures[i] = &ops[i].future;
	}
	cr_assert_eq(cede_wait_all(N, futures), 0);
	for (int i = 0; i < N; i++)
		cr_assert_eq(bytes[i], 'a' + i);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

/* ---- the rest ---- */

TASK_TEST(file, what_is_known_about_it_is_the_systems)
{
	cede_file_t *f = file_open("a", O_RDWR | O_CREAT);
	cede_stat_t st, st2;
	cede_file_op_t op;
	struct stat own;

	cr_assert_eq(cede_file_write(f, "hello", 5, 0, NULL), 5);
	cr_assert_eq(cede_file_chmod(f, 0640), 0);
	cr_assert_eq(cede_file_stat(f, &st), 0);
	cr_assert_eq(stat("a", &own), 0);
	cr_assert_eq(st.type, CEDE_FILE_REGULAR);
	cr_assert_eq(st.mode, own.st_mode);
	cr_assert_eq(st.mode & 07777, 0640);
	cr_assert_eq(st.size, 5);
	cr_assert_eq(st.device, own.st_dev);
	cr_assert_eq(st.inode, own.st_ino);
	cr_assert_eq(st.links, 1);
	cr_assert_eq(st.uid, own.st_uid);
	cr_assert_eq(st.gid, own.st_gid);
	cr_assert_eq(st.blocks, (uint64_t)own.st_blocks);
	cr_assert_eq(st.block_size, (uint64_t)own.st_blksize);
	cr_assert_eq(st.written_ns, own.st_mtim.tv_sec * 1000000000 + own.st_mtim.tv_nsec);
	cr_assert_eq(st.changed_ns, own.st_ctim.tv_sec * 1000000000 + own.st_ctim.tv_nsec);
	cr_assert_eq(cede_file_stat_start(f, &st2, &op), 0);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(st2.inode, st.inode);
	cr_assert_eq(st2.size, 5);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

TASK_TEST(file, the_other_twins_do_what_the_blocking_forms_do)
{
	cede_file_t *f = file_open("a", O_RDWR | O_CREAT);
	cede_file_op_t op;
	cede_stat_t st;

	cr_assert_eq(cede_file_sync(f), 0);
	cr_assert_eq(cede_file_datasync(f), 0);
	cr_assert_eq(cede_file_sync_start(f, &op), 0);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(cede_file_datasync_start(f, &op), 0);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(cede_file_truncate_start(f, 77, &op), 0);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(cede_file_chmod_start(f, 0604, &op), 0);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(cede_file_stat(f, &st), 0);
	cr_assert_eq(st.size, 77);
	cr_assert_eq(st.mode & 07777, 0604);
	cr_assert_eq(cede_file_close_start(f, &op), 0);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(cede_file_close_start(NULL, &op), 0);
	cr_assert_eq(cede_await(&op.future), 0);
	return 0;
}

TASK_TEST(file, a_sync_that_fails_says_so)
{
	cede_file_t *f = file_open("a", O_RDWR | O_CREAT);

	atomic_store(&disk_result, EIO);
	cr_assert_eq(cede_file_sync(f), CEDE_EIO);
	atomic_store(&disk_result, 0);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

/* The only error of close() that can be had for the asking: somebody else was faster. */
TASK_TEST(file, a_close_that_fails_says_so)
{
	cede_file_t *f = file_open("a", O_RDWR | O_CREAT);
	cede_file_op_t op;

	close(cede_file_fd(f));
	cr_assert_eq(cede_file_close(f), CEDE_EBADF);
	f = file_open("a", O_RDWR);
	close(cede_file_fd(f));
	cr_assert_eq(cede_file_close_start(f, &op), 0);
	cr_assert_eq(cede_await(&op.future), CEDE_EBADF);
	return 0;
}
