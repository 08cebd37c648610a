/*
 * loop/file_job.c: the limit, and tasks that are cancelled while a file operation of theirs
 * waits its turn, while it runs, when it has ended. The slow operation is an fsync() that
 * the test holds. What is given up in a select is in test_file_give_up.c.
 */
#include "tests/loop/file_doing.h"

#include <sys/ioctl.h>

#include <cede/work.h>

#include "tests/support/order.h"

TestSuite(file_cancel, .timeout = 60, .init = file_enter, .fini = file_leave);

#define MIB (1024 * 1024)

static int
call_write_much(struct doing *d)
{
	static char data[4 * MIB];

	return (int)cede_file_write(d->file, data, sizeof data, -1, &d->moved);
}

/* ---- the limit ---- */

static int
note(void *arg)
{
	return ++*(int *)arg;
}

TASK_TEST(file_cancel, slow_ones_hold_up_what_is_beyond_the_limit_and_nothing_else)
{
	CEDE_GROUP(group);
	struct doing busy[POOL], reader;
	cede_file_t *f = a_file();
	cede_work_t work;
	int n = 0;

	fill(&group, busy, f);
	spawn(&group, &reader, f, call_read);
	cr_assert_eq(cede_work_start(note, &n, NULL, &work), 0);
	cr_assert_eq(cede_sleep(100000), 0, "tasks run on");
	cr_assert_eq(reader.result, 1);
	cr_assert_not(work.future.is_done, "functions have the same slots");
	cr_assert_eq(n, 0);
	disk_pass(1);
	join(&reader, 0);
	cr_assert_eq(reader.result, 1);
	cr_assert_eq(reader.byte, 'h');
	cr_assert_eq(cede_await(&work.future), 1);
	disk_pass(POOL - 1);
	for (int i = 0; i < POOL; i++)
		join(&busy[i], 0);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

static int
record(struct doing *d)
{
	const int r = call_read(d);

	order_record(d->moved == 0 ? "first" : d->moved == 1 ? "second" : "third");
	return r;
}

TASK_TEST(file_cancel, who_waits_is_served_first_come_first_served)
{
	CEDE_GROUP(group);
	struct doing busy[POOL], more[3];
	cede_file_t *f = a_file();

	fill(&group, busy, f);
	for (size_t i = 0; i < 3; i++) {
		spawn(&group, &more[i], f, record);
		more[i].moved = i;
		cr_assert_eq(cede_sleep(1), 0);
	}
	disk_pass(1); /* one slot for all three, one after the other */
	for (int i = 0; i < 3; i++)
		join(&more[i], 0);
	order_expect("first", "second", "third");
	disk_pass(POOL - 1);
	for (int i = 0; i < POOL; i++)
		join(&busy[i], 0);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

/* ---- before it began ---- */

static void
cancel_one_that_waits(int (*call)(struct doing *))
{
	CEDE_GROUP(group);
	struct doing busy[POOL], waits;
	cede_file_t *f = a_file();

	atomic_store(&disk_entered, 0);
	fill(&group, busy, f);
	spawn(&group, &waits, f, call);
	cr_assert_eq(cede_sleep(1), 0);
	cede_task_cancel(waits.task);
	join(&waits, CEDE_ECANCELED);
	cr_assert_eq(waits.result, CEDE_EXIT);
	empty(busy);
	cr_assert_eq(cede_file_close(f), 0);
}

TASK_TEST(file_cancel, before_it_began_it_is_never_done)
{
	cancel_one_that_waits(call_unlink);
	cr_assert(file_has("victim", ""));
	cancel_one_that_waits(call_open);
	cr_assert_neq(access("made", F_OK), 0);
	cancel_one_that_waits(call_read);
	return 0;
}

static int
in_a_timeout(struct doing *d)
{
	int r = 0;

	CEDE_TIMEOUT(10) {
		r = cede_path_unlink("victim");
	}
	return r;
}

TASK_TEST(file_cancel, a_timeout_that_passes_before_it_began_returns_at_once)
{
	CEDE_GROUP(group);
	struct doing busy[POOL], waits;
	cede_file_t *f = a_file();

	fill(&group, busy, f);
	spawn(&group, &waits, f, in_a_timeout);
	join(&waits, 0);
	cr_assert_eq(waits.result, CEDE_ETIMEDOUT);
	empty(busy);
	cr_assert(file_has("victim", ""));
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

/* A task that is being closed: nothing is started, nothing is opened, closing works. */
static int
do_things_while_closing(void *arg)
{
	cede_file_t *f = arg, *other = NULL;
	cede_file_op_t op;
	cede_dir_t *dir = NULL;
	char byte;
	int r = cede_sleep(UINT64_MAX);
	int fd = cede_file_fd(f);

	cr_assert_eq(r, CEDE_EXIT);
	cr_assert_eq(cede_file_read(f, &byte, 1, 0), CEDE_EXIT);
	cr_assert_eq(cede_file_read_start(f, &byte, 1, 0, &op), CEDE_EXIT);
	cr_assert_eq(cede_file_open("made", O_CREAT | O_RDWR, 0600, &other), CEDE_EXIT);
	cr_assert_eq(cede_file_open_start("made", O_CREAT | O_RDWR, 0600, &op), CEDE_EXIT);
	cr_assert_eq(cede_dir_open(".", &dir), CEDE_EXIT);
	cr_assert_eq(cede_file_close(f), 0);
	cr_assert_not(is_open(fd), "the close was waited for");
	cr_assert_neq(access("made", F_OK), 0);
	order_record("closed");
	return r;
}

TASK_TEST(file_cancel, in_a_task_that_is_being_closed_only_the_close_works)
{
	CEDE_GROUP(group);
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(&group, do_things_while_closing, a_file(), NULL, &task), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cede_task_unref(task);
	order_expect("closed");
	return 0;
}

/* ---- while it runs ---- */

TASK_TEST(file_cancel, while_it_runs_it_is_waited_for_and_its_result_returned)
{
	CEDE_GROUP(group);
	struct doing d;
	cede_file_t *f = a_file();

	disk_hold();
	spawn(&group, &d, f, call_sync);
	disk_await(1);
	cede_task_cancel(d.task);
	cr_assert_eq(cede_sleep(1000), 0);
	cr_assert_eq(d.result, 1, "it waits");
	disk_pass(1);
	join(&d, CEDE_ECANCELED); /* the next await refused */
	cr_assert_eq(d.result, 0);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

/* The FIFO takes 64 KiB: the write runs until somebody reads. */
TASK_TEST(file_cancel, of_a_long_write_ends_it_between_two_pieces)
{
	CEDE_GROUP(group);
	struct doing d;
	cede_file_t *f;
	char buffer[4096];
	size_t taken = 0;
	int fd, n = 0;

	cr_assert_eq(mkfifo("fifo", 0600), 0);
	fd = open("fifo", O_RDONLY | O_NONBLOCK);
	f = file_open("fifo", O_WRONLY);
	spawn(&group, &d, f, call_write_much);
	while (n == 0) {
		cr_assert_eq(cede_sleep(1), 0);
		cr_assert_eq(ioctl(fd, FIONREAD, &n), 0);
	}
	cede_task_cancel(d.task);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(d.result, 1);
	while (d.result == 1) {
		const ssize_t got = read(fd, buffer, sizeof buffer);

		taken += got > 0 ? (size_t)got : 0;
		cr_assert_eq(cede_sleep(0), 0);
	}
	join(&d, CEDE_ECANCELED);
	cr_assert_eq(d.result, CEDE_EXIT);
	cr_assert_eq(d.moved, MIB);
	for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;)
		taken += (size_t)got;
	cr_assert_eq(taken, MIB, "what it says is what was written");
	cr_assert_eq(cede_file_close(f), 0);
	close(fd);
	return 0;
}

/* ---- after it has ended ---- */

TASK_TEST(file_cancel, after_it_has_ended_its_result_stays)
{
	cede_file_t *f = a_file();
	cede_file_op_t op;
	char buffer[8] = "";

	cr_assert_eq(cede_file_read_start(f, buffer, 5, 0, &op), 0);
	while (!op.future.is_done)
		cr_assert_eq(cede_sleep(1), 0);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_await(&op.future), 5);
	cr_assert_str_eq(buffer, "hello");

	cr_assert_eq(cede_file_open_start("a", O_RDONLY, 0, &op), 0);
	while (!op.future.is_done)
		cr_assert_eq(cede_sleep(1), 0);
	cede_future_cancel(&op.future);
	cr_assert_not_null(op.file);
	cr_assert_eq(cede_file_close(op.file), 0);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

/* Both in one turn of the loop: what has ended wins. */
TASK_TEST(file_cancel, an_end_beats_a_cancel_that_comes_with_it)
{
	CEDE_GROUP(group);
	struct doing d;
	cede_file_t *f = a_file();

	disk_hold();
	spawn(&group, &d, f, call_sync);
	disk_await(1);
	disk_pass(1);
	while (d.result == 1) {
		cr_assert_eq(cede_sleep(1), 0);
		if (d.result != 1)
			cede_task_cancel(d.task);
	}
	cr_assert_eq(d.result, 0);
	cede_task_unref(d.task);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}
