/*
 * loop/file_job.c: files whose wait is given up, while they wait their turn, while they
 * run, when they have ended; the limit; closing and detaching meanwhile. The slow
 * operation is an fsync() that the test holds.
 */
#include "tests/loop/file_test.h"

#include <limits.h>
#include <sys/ioctl.h>

#include <cede/work.h>

#include "tests/support/order.h"

TestSuite(file_cancel, .timeout = 60, .init = file_enter, .fini = file_leave);

#define MIB (1024 * 1024)

/* What a task does with a file, and what came of it. */
struct doing {
	cede_file_t *file;
	cede_task_t *task;
	int (*call)(struct doing *d);
	int result;
	char byte;
	size_t moved;
};

static int
do_it(void *arg)
{
	struct doing *d = arg;

	d->result = d->call(d);
	return cede_sleep(0);
}

static void
spawn(cede_group_t *group, struct doing *d, cede_file_t *file, int (*call)(struct doing *))
{
	*d = (struct doing){ .file = file, .call = call, .result = 1 };
	cr_assert_eq(cede_spawn_with(group, do_it, d, NULL, &d->task), 0);
}

static void
join(struct doing *d, int result)
{
	const int r = cede_join(d->task, NULL);

	cr_assert_eq(r, result, "%s", cede_strerror(r));
	d->task = cede_task_unref(d->task);
}

static int
call_sync(struct doing *d)
{
	return cede_file_sync(d->file);
}

static int
call_read(struct doing *d)
{
	return (int)cede_file_read(d->file, &d->byte, 1, 0);
}

static int
call_unlink(struct doing *d)
{
	return cede_path_unlink("victim");
}

static int
call_open(struct doing *d)
{
	return cede_file_open("made", O_RDWR | O_CREAT, 0600, &d->file);
}

static int
call_write_much(struct doing *d)
{
	static char data[4 * MIB];

	return (int)cede_file_write(d->file, data, sizeof data, -1, &d->moved);
}

/* All slots are taken by operations that are held. */
static void
fill(cede_group_t *group, struct doing busy[POOL], cede_file_t *f)
{
	disk_hold();
	for (int i = 0; i < POOL; i++)
		spawn(group, &busy[i], f, call_sync);
	disk_await(POOL);
}

static void
empty(struct doing busy[POOL])
{
	disk_pass(POOL);
	for (int i = 0; i < POOL; i++) {
		join(&busy[i], 0);
		cr_assert_eq(busy[i].result, 0);
	}
}

static cede_file_t *
a_file(void)
{
	file_put("a", "hello");
	file_put("victim", "");
	return file_open("a", O_RDWR);
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

/* ---- given up in a select: it goes on by itself ---- */

/* Waits for one of @count held operations as a select does, and loses it. */
static void
lose(cede_file_op_t *op)
{
	cede_sleep_t tick;

	cr_assert_eq(cede_sleep_start(10, &tick), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &op->future, &tick.future }), 1);
	cr_assert_eq(op->future.result, CEDE_ECANCELED);
	memset(op, 0xee, sizeof *op); /* nobody looks at it any more */
}

struct closing {
	cede_file_t *file;
	int result, has_ended;
};

static int
close_it(void *arg)
{
	struct closing *c = arg;

	c->result = cede_file_close(c->file);
	c->has_ended = 1;
	return 0;
}

TASK_TEST(file_cancel, an_operation_that_goes_on_keeps_its_descriptor_from_being_reused)
{
	struct closing c = { .file = a_file() };
	const int fd = cede_file_fd(c.file);
	cede_file_t *other;
	cede_file_op_t op;

	CEDE_GROUP(group);
	disk_hold();
	cr_assert_eq(cede_file_sync_start(c.file, &op), 0);
	disk_await(1);
	lose(&op);
	cr_assert_eq(cede_spawn(&group, close_it, &c), 0);
	cr_assert_eq(cede_sleep(1000), 0);
	cr_assert_not(c.has_ended, "it waits for the operation");
	cr_assert(is_open(fd));
	other = file_open("victim", O_RDWR);
	cr_assert_neq(cede_file_fd(other), fd);
	disk_pass(1);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(c.result, 0);
	cr_assert_not(is_open(fd));
	atomic_store(&disk_is_slow, 0);
	cr_assert_eq(cede_file_sync(other), 0);
	cr_assert_eq(cede_file_close(other), 0);
	return 0;
}

TASK_TEST(file_cancel, an_operation_on_a_file_that_is_being_closed_is_refused)
{
	struct closing c = { .file = a_file() };
	cede_file_op_t op, op2;
	cede_stat_t st;

	CEDE_GROUP(group);
	disk_hold();
	cr_assert_eq(cede_file_sync_start(c.file, &op), 0);
	cr_assert_eq(cede_spawn(&group, close_it, &c), 0);
	disk_await(1);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_file_stat(c.file, &st), CEDE_EBADF);
	cr_assert_eq(cede_file_stat_start(c.file, &st, &op2), CEDE_EBADF);
	disk_pass(1);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(cede_group_wait(&group), 0);
	return 0;
}

TASK_TEST(file_cancel, a_close_that_is_given_up_goes_on_by_itself)
{
	cede_file_t *f = a_file();
	const int fd = cede_file_fd(f);
	cede_file_op_t sync, op;

	disk_hold();
	cr_assert_eq(cede_file_sync_start(f, &sync), 0);
	disk_await(1);
	cr_assert_eq(cede_file_close_start(f, &op), 0);
	lose(&op);
	cr_assert(is_open(fd));
	disk_pass(1);
	cr_assert_eq(cede_await(&sync.future), 0);
	while (is_open(fd))
		cr_assert_eq(cede_sleep(1), 0);
	return 0;
}

/* The caller's memory is left alone by what was given up, also when it ends. */
TASK_TEST(file_cancel, what_was_given_up_touches_nothing_of_the_callers)
{
	CEDE_GROUP(group);
	struct doing busy[POOL];
	cede_file_t *f = a_file();
	cede_stat_t st;
	cede_file_op_t ops[3];
	char buffer[2][8] = { "xxxxxxx", "xxxxxxx" }, name[] = "made-XXXXXX";

	cr_assert_eq(cede_file_read_start(f, buffer[0], 5, 0, &ops[0]), 0);
	cr_assert_eq(cede_file_stat_start(f, &st, &ops[1]), 0);
	cr_assert_eq(cede_file_mkstemp_start(name, &ops[2]), 0);
	memset(&st, 0x55, sizeof st);
	for (int i = 0; i < 3; i++) {
		cede_future_cancel(&ops[i].future);
		cr_assert_eq(ops[i].future.result, CEDE_ECANCELED);
	}
	fill(&group, busy, f);
	cr_assert_eq(cede_file_read_start(f, buffer[1], 5, 0, &ops[0]), 0);
	cede_future_cancel(&ops[0].future);
	empty(busy);
	cr_assert_eq(cede_sleep(1000), 0);
	cr_assert_str_eq(buffer[0], "xxxxxxx");
	cr_assert_str_eq(buffer[1], "xxxxxxx");
	cr_assert_str_eq(name, "made-XXXXXX");
	for (size_t i = 0; i < sizeof st; i++)
		cr_assert_eq(((unsigned char *)&st)[i], 0x55);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

TASK_TEST(file_cancel, what_was_given_up_before_it_began_is_never_done)
{
	CEDE_GROUP(group);
	struct doing busy[POOL];
	cede_file_t *f = a_file();
	cede_file_op_t ops[3];

	fill(&group, busy, f);
	cr_assert_eq(cede_path_unlink_start("victim", &ops[0]), 0);
	cr_assert_eq(cede_file_open_start("made", O_CREAT | O_RDWR, 0600, &ops[1]), 0);
	cr_assert_eq(cede_file_write_start(f, "XX", 2, 0, &ops[2]), 0);
	for (int i = 0; i < 3; i++)
		cede_future_cancel(&ops[i].future);
	empty(busy);
	cr_assert_eq(cede_file_close(f), 0);
	cr_assert(file_has("victim", ""));
	cr_assert_neq(access("made", F_OK), 0);
	cr_assert(file_has("a", "hello"));
	return 0;
}

/* libuv has more than it runs, and takes it back. */
static int
give_up_in_libuv(void *arg)
{
	CEDE_GROUP(group);
	struct doing busy[POOL], waits;
	cede_file_t *f = a_file();
	cede_file_op_t op;

	fill(&group, busy, f);
	spawn(&group, &waits, f, call_unlink);
	cr_assert_eq(cede_file_open_start("made", O_CREAT | O_RDWR, 0600, &op), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cede_future_cancel(&op.future);
	cede_task_cancel(waits.task);
	join(&waits, CEDE_ECANCELED);
	cr_assert_eq(waits.result, CEDE_EXIT);
	empty(busy);
	cr_assert_eq(cede_file_close(f), 0);
	cr_assert(file_has("victim", ""));
	cr_assert_neq(access("made", F_OK), 0);
	order_record("end");
	return 0;
}

Test(file_cancel, what_libuv_has_and_does_not_run_is_taken_back)
{
	const cede_loop_options_t options = { .work_limit = 100 };
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	clock_start();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, &options), 0);
	cr_assert_eq(cede_start(loop, give_up_in_libuv, NULL, NULL, NULL), 0);
	cr_assert_eq(uv_run(&uv, UV_RUN_DEFAULT), 0);
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
	clock_stop();
	leaks_end();
	order_expect("end");
}

/*
 * A thread is in open(), or has left it: a FIFO is opened for writing without waiting
 * only when somebody opens it for reading.
 */
static int
open_the_other_end(void)
{
	int fd;

	while ((fd = open("fifo", O_WRONLY | O_NONBLOCK)) < 0)
		cr_assert_eq(errno, ENXIO);
	return fd;
}

/* The number is there, the loop has not been told yet. */
TASK_TEST(file_cancel, an_open_that_was_given_up_is_closed_again)
{
	const int before = leaks_count_fds();

	cr_assert_eq(mkfifo("fifo", 0600), 0);
	for (int i = 0; i < 50; i++) {
		cede_file_op_t op;
		int fd;

		cr_assert_eq(cede_file_open_start("fifo", O_RDONLY, 0, &op), 0);
		fd = open_the_other_end();
		cede_future_cancel(&op.future);
		cr_assert_eq(op.future.result, CEDE_ECANCELED);
		cr_assert_null(op.file);
		close(fd);
		while (leaks_count_fds() > before)
			cr_assert_eq(cede_sleep(1), 0);
	}
	return 0;
}

static int
call_open_fifo(struct doing *d)
{
	return cede_file_open("fifo", O_RDONLY, 0, &d->file);
}

TASK_TEST(file_cancel, an_open_that_ends_with_the_cancel_is_returned)
{
	CEDE_GROUP(group);
	struct doing d;
	int fd;

	cr_assert_eq(mkfifo("fifo", 0600), 0);
	spawn(&group, &d, NULL, call_open_fifo);
	cr_assert_eq(cede_sleep(1), 0);
	fd = open_the_other_end();
	cede_task_cancel(d.task);
	join(&d, CEDE_ECANCELED);
	cr_assert_eq(d.result, 0);
	cr_assert_not_null(d.file);
	cr_assert_eq(cede_file_close(d.file), 0);
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

/* ---- the end of a loop ---- */

static cede_file_op_t left_behind; /* whose task ends without it */

static int
leave_operations(void *arg)
{
	cede_file_t *f = a_file();
	int r;

	file_open("victim", O_RDONLY); /* left open */
	cr_assert_eq(cede_file_sync_start(f, &left_behind), 0);
	r = cede_await(&left_behind.future);
	order_record(r == CEDE_EXIT ? "left" : "?");
	return r;
}

static int
hold_operations(void *arg)
{
	cede_file_t *f = file_open("b", O_RDWR | O_CREAT);
	int r = cede_file_sync(f);

	order_record(r == 0 ? "held" : "?");
	return cede_file_close(f);
}

static int
wait_in_the_queue(void *arg)
{
	int r = cede_path_unlink("victim");

	order_record(r == CEDE_EXIT ? "withdrawn" : "?");
	return r;
}

static void *
pass_later(void *arg)
{
	disk_pass(2);
	return NULL;
}

Test(file_cancel, detach_waits_for_what_runs_and_closes_what_is_open)
{
	const cede_loop_options_t options = { .work_limit = 2 };
	pthread_t thread;
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, &options), 0);
	disk_hold();
	cr_assert_eq(cede_start(loop, leave_operations, NULL, NULL, NULL), 0);
	cr_assert_eq(cede_start(loop, hold_operations, NULL, NULL, NULL), 0);
	while (atomic_load(&disk_entered) < 2)
		uv_run(&uv, UV_RUN_NOWAIT);
	cr_assert_eq(cede_start(loop, wait_in_the_queue, NULL, NULL, NULL), 0);
	uv_run(&uv, UV_RUN_NOWAIT);
	cr_assert_eq(pthread_create(&thread, NULL, pass_later, NULL), 0);
	cr_assert_eq(cede_detach(loop), 0);
	order_expect("left", "withdrawn", "held");
	cr_assert(file_has("victim", ""));
	cr_assert_eq(uv_loop_close(&uv), 0);
	pthread_join(thread, NULL);
	leaks_end();
}

static int
abandon_an_open(void *arg)
{
	cr_assert_eq(cede_file_open_start("fifo", O_RDONLY, 0, &left_behind), 0);
	*(int *)arg = open_the_other_end();
	return cede_await(&left_behind.future);
}

static void
cancel_main(int result, void *data)
{
}

Test(file_cancel, detach_closes_what_an_open_brings_that_nobody_waits_for)
{
	cede_loop_t *loop;
	uv_loop_t uv;
	int fd = -1;

	leaks_begin();
	cr_assert_eq(mkfifo("fifo", 0600), 0);
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_start(loop, abandon_an_open, &fd, cancel_main, NULL), 0);
	uv_run(&uv, UV_RUN_NOWAIT);
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
	close(fd);
	leaks_end();
}

/* What waits for a file keeps the loop alive, and nothing else of it does. */
static int
keep_one_open(void *arg)
{
	file_open("a", O_RDWR | O_CREAT);
	return 0;
}

Test(file_cancel, an_open_file_does_not_keep_the_loop_alive)
{
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_start(loop, keep_one_open, NULL, NULL, NULL), 0);
	cr_assert_eq(uv_run(&uv, UV_RUN_DEFAULT), 0);
	cr_assert_eq(uv_loop_alive(&uv), 0);
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
	leaks_end();
}
