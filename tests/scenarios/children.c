/* Scenarios of child processes, real ones: quick to start, and few. */
#include "tests/scenarios/scenario.h"

#include <signal.h>

#define PIPE \
	{ \
		CEDE_PROCESS_PIPE, 0 \
	}
#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* ---- a child that is fed by one task and read by another ---- */

struct cat {
	cede_process_t *process;
	size_t fed, read;
	int is_fed, is_read; /* to the end */
};

static int
feed(void *arg)
{
	struct cat *cat = arg;
	cede_stream_t *in = cede_process_stdin(cat->process);
	ssize_t n = 0;

	for (int i = 0; i < 2 && n >= 0; i++) {
		n = cede_write(in, "line\n", 5);
		if (n > 0) {
			cat->fed += (size_t)n;
			n = cede_sleep(0);
		}
	}
	cat->is_fed = n >= 0;
	cede_close(in); /* in any case: it ends by that */
	return n < 0 ? unless(CEDE_EPIPE, (int)n) : 0;
}

static int
read_back(void *arg)
{
	struct cat *cat = arg;
	char buffer[16];
	ssize_t n;

	while ((n = cede_read(cede_process_stdout(cat->process), buffer, sizeof buffer)) > 0)
		cat->read += (size_t)n;
	cat->is_read = n == 0;
	return (int)n;
}

static int
cat_fed_and_read_by_two_tasks(void *arg)
{
	struct cat cat = { .fed = 0 };
	cede_process_status_t status;
	int r = cede_process_spawn(&(cede_process_options_t){ .argv = ARGS("cat"),
					   .in = PIPE,
					   .out = PIPE },
		&cat.process);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, feed, &cat);
		if (r == 0)
			r = cede_spawn(&group, read_back, &cat);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	if (cat.is_fed && cat.is_read) {
		require(cat.fed == 10 && cat.read == 10);
		if (r == 0)
			r = cede_process_wait(cat.process, &status);
		require(r < 0 || (status.exit_code == 0 && status.signal == 0));
	}
	cede_process_close(cat.process);
	return r;
}

/* ---- a command that is run to its end, and one that takes too long ---- */

static int
command_with_input_and_output(void *arg)
{
	cede_process_result_t result = { .out = NULL };
	int r = cede_process_run(&(cede_process_options_t){ .argv = ARGS("cat") }, "input", 5,
		&(cede_process_limits_t){ .out_max = 100, .err_max = 100 }, &result);

	if (r < 0)
		return r;
	require(result.status.exit_code == 0 && strcmp(result.out, "input") == 0);
	cede_process_result_deinit(&result);
	return 0;
}

static int
command_that_takes_too_long(void *arg)
{
	cede_process_result_t result = { .out = NULL };
	int r = 0;

	CEDE_TIMEOUT(1000) {
		r = cede_process_run(&(cede_process_options_t){ .argv = ARGS("sleep", "60"),
					     .grace_ms = 60000 },
			NULL, 0, &(cede_process_limits_t){ .out_max = 100, .err_max = 100 },
			&result);
	}
	require(r < 0);
	return unless(CEDE_ETIMEDOUT, r);
}

/* ---- a supervisor ---- */

static int
supervisor_of_a_failing_child(void *arg)
{
	cede_process_status_t status = { 1, 0 };
	int r = 0;

	for (uint64_t pause = 100; pause <= 200 && r == 0; pause *= 2) {
		cede_process_t *p;

		r = cede_process_spawn(&(cede_process_options_t){ .argv = ARGS("false") }, &p);
		if (r < 0)
			break;
		r = cede_process_wait(p, &status);
		require(r < 0 || (status.exit_code == 1 && status.signal == 0));
		cede_process_close(p);
		if (r == 0)
			r = cede_sleep(pause);
	}
	return r;
}

/* ---- a child that does not want to end ---- */

static int
stubborn_child(void *arg)
{
	cede_process_t *p;
	char ready[4];
	int r = cede_process_spawn(&(cede_process_options_t){ .argv = ARGS("sh", "-c",
								      "trap '' TERM; echo up; exec "
								      "sleep 60"),
					   .out = PIPE,
					   .grace_ms = 50 },
		&p);

	if (r < 0)
		return r;
	r = (int)cede_read(cede_process_stdout(p), ready, sizeof ready);
	if (r > 0) {
		cede_process_status_t status;

		require(cede_process_stop(p) == 0); /* a cancel does nothing to it */
		r = cede_process_wait(p, &status);
		require(r == 0 && status.signal == SIGKILL);
	}
	cede_process_close(p);
	return r;
}

/* ---- some who wait for one child ---- */

static int
wait_for_it(void *arg)
{
	cede_process_status_t status;
	int r = cede_process_wait(arg, &status);

	require(r < 0 || status.signal == SIGTERM);
	return r;
}

static int
child_that_many_wait_for(void *arg)
{
	cede_process_t *p;
	int r = cede_process_spawn(&(cede_process_options_t){ .argv = ARGS("sleep", "60") }, &p);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		for (int i = 0; i < 2 && r == 0; i++)
			r = cede_spawn(&group, wait_for_it, p);
		if (r == 0)
			r = cede_sleep(10);
		if (r == 0)
			require(cede_process_signal(p, SIGTERM) == 0);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	cede_process_close(p);
	return r;
}

const struct scenario scenarios[] = {
	{ "cat_fed_and_read_by_two_tasks", cat_fed_and_read_by_two_tasks, HAS_CHILDREN, NULL },
	{ "command_with_input_and_output", command_with_input_and_output, HAS_CHILDREN, NULL },
	{ "command_that_takes_too_long", command_that_takes_too_long, HAS_CHILDREN, NULL },
	{ "supervisor_of_a_failing_child", supervisor_of_a_failing_child, HAS_CHILDREN, NULL },
	{ "stubborn_child", stubborn_child, HAS_CHILDREN, NULL },
	{ "child_that_many_wait_for", child_that_many_wait_for, HAS_CHILDREN, NULL },
	{ NULL, NULL, 0, NULL },
};
