/* loop/file*.c: no memory at every allocation, and none needed in the steady state. */
#include "tests/loop/file_test.h"

#include "tests/support/fault.h"

TestSuite(file_memory, .timeout = 60, .init = file_enter, .fini = file_leave);

enum { MUCH = 300000 };

static char much[MUCH];

static int
use_a_file(cede_file_t *f)
{
	cede_file_op_t op;
	cede_stat_t st;
	int r = (int)cede_file_write(f, much, MUCH, 0, NULL);

	if (r >= 0)
		r = (int)cede_file_read(f, much, MUCH, 0);
	if (r >= 0)
		r = cede_file_write_start(f, "hello", 5, 0, &op);
	if (r >= 0)
		r = cede_await(&op.future);
	if (r >= 0)
		r = cede_file_read_start(f, much, MUCH, 0, &op);
	if (r >= 0)
		r = cede_await(&op.future);
	if (r >= 0)
		r = cede_path_stat_start("a", &st, &op);
	if (r >= 0)
		r = cede_await(&op.future);
	if (r >= 0)
		r = cede_path_rename_start("a", "b", &op);
	if (r >= 0)
		r = cede_await(&op.future);
	return r;
}

static int
use_files(void *arg)
{
	cede_file_op_t op;
	cede_file_t *f;
	int r = cede_file_open("a", O_RDWR | O_CREAT, 0600, &f), closed;

	if (r < 0)
		return r;
	r = use_a_file(f);
	closed = cede_file_close(f);
	cr_assert_eq(closed, 0, "a close needs no memory");
	if (r >= 0)
		r = cede_file_open_start("b", O_RDONLY, 0, &op);
	if (r >= 0)
		r = cede_await(&op.future);
	if (r < 0)
		return r;
	return cede_file_close(op.file);
}

static int
use_the_rest(void *arg)
{
	cede_dir_entry_t entry;
	cede_file_t *f;
	cede_dir_t *dir;
	size_t size;
	char *data;
	int fd = open("a", O_RDWR | O_CREAT, 0600), r = cede_file_adopt(fd, &f);

	if (r < 0)
		close(fd);
	else
		r = cede_file_close(f);
	if (r == 0)
		r = cede_dir_open(".", &dir);
	if (r < 0)
		return r;
	r = cede_dir_next(dir, &entry);
	cr_assert_eq(cede_dir_close(dir), 0);
	if (r >= 0)
		r = cede_path_read("/proc/self/stat", 100000, &data, &size);
	if (r == 0)
		cede_path_read_free(data);
	return r;
}

static void
sweep(cede_fn *fn)
{
	leaks_begin();
	clock_start();
	fault_install();
	for (int mode = 0; mode < 2; mode++) {
		unsigned n = 0, failed;
		int r;

		do {
			fault_arm(++n, mode ? FAULT_FOREVER : FAULT_ONCE);
			r = cede_run(fn, NULL);
			failed = fault_disarm();
			cede__thread_cleanup();
			cr_assert_eq(cede__alloc_outstanding(), 0, "request %u", n);
			cr_assert_eq(leaks_count_fds(), leaks_fds, "request %u", n);
			cr_assert(r == 0 || (r == CEDE_ENOMEM && failed > 0), "request %u: %s", n,
				cede_strerror(r));
		} while (failed > 0);
		cr_assert_eq(r, 0);
		cr_assert_gt(n, 3);
	}
	clock_stop();
	leaks_end();
}

Test(file_memory, shortage_anywhere_in_files_is_an_error)
{
	sweep(use_files);
}

Test(file_memory, shortage_anywhere_in_directories_and_the_rest_is_an_error)
{
	sweep(use_the_rest);
}

static int
read_and_write_again_and_again(void *arg)
{
	cede_file_t *f = file_open("a", O_RDWR | O_CREAT);
	cede_stat_t st;
	unsigned before;

	cr_assert_eq(cede_file_write(f, much, 100, 0, NULL), 100);
	before = fault_requests();
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(cede_file_write(f, much, MUCH, 0, NULL), MUCH);
		cr_assert_eq(cede_file_read(f, much, MUCH, 0), MUCH);
		cr_assert_eq(cede_file_stat(f, &st), 0);
		cr_assert_eq(cede_path_stat("a", &st), 0);
	}
	cr_assert_eq(fault_requests(), before);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

Test(file_memory, is_not_asked_for_by_the_blocking_forms)
{
	fault_install();
	cr_assert_eq(run_gated(read_and_write_again_and_again, NULL), 0);
}

enum { AT_ONCE = 8 };

static int
start_again_and_again(void *arg)
{
	cede_file_t *f = file_open("a", O_RDWR | O_CREAT);
	cede_file_op_t ops[AT_ONCE];
	unsigned before = 0;

	for (int i = 0; i < 100; i++) {
		for (int j = 0; j < AT_ONCE; j++)
			cr_assert_eq(cede_file_write_start(f, much, 1000, 0, &ops[j]), 0);
		for (int j = 0; j < AT_ONCE; j++)
			cr_assert_eq(cede_await(&ops[j].future), 1000);
		for (int j = 0; j < AT_ONCE; j++)
			cr_assert_eq(cede_file_read_start(f, much + j * 1000, 1000, 0, &ops[j]), 0);
		for (int j = 0; j < AT_ONCE; j++)
			cr_assert_eq(cede_await(&ops[j].future), 1000);
		if (i == 0)
			before = fault_requests();
	}
	cr_assert_eq(fault_requests(), before);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

Test(file_memory, is_kept_for_the_next_by_those_that_are_started)
{
	fault_install();
	cr_assert_eq(run_gated(start_again_and_again, NULL), 0);
}
