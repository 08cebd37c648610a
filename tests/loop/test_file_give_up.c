/*
 * loop/file_job.c: operations that were started and are given up, which go on by themselves
 * or never begin; closing and detaching meanwhile.
 */
#include "tests/loop/file_doing.h"

#include "tests/support/order.h"

TestSuite(file_give_up, .timeout = 60, .init = file_enter, .fini = file_leave);

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

TASK_TEST(file_give_up, an_operation_that_goes_on_keeps_its_descriptor_from_being_reused)
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

TASK_TEST(file_give_up, an_operation_on_a_file_that_is_being_closed_is_refused)
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

TASK_TEST(file_give_up, a_close_that_is_given_up_goes_on_by_itself)
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
TASK_TEST(file_give_up, what_was_given_up_touches_nothing_of_the_callers)
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

TASK_TEST(file_give_up, what_was_given_up_before_it_began_is_never_done)
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

Test(file_give_up, what_libuv_has_and_does_not_run_is_taken_back)
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
TASK_TEST(file_give_up, an_open_that_was_given_up_is_closed_again)
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

TASK_TEST(file_give_up, an_open_that_ends_with_the_cancel_is_returned)
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

Test(file_give_up, detach_waits_for_what_runs_and_closes_what_is_open)
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

Test(file_give_up, detach_closes_what_an_open_brings_that_nobody_waits_for)
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

Test(file_give_up, an_open_file_does_not_keep_the_loop_alive)
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
