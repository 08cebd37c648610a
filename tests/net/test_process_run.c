/* A child from its start to its end, with what it reads and writes: net/process_run.c. */
#include "tests/net/child.h"

TestSuite(process_run, .timeout = 60);

static const cede_process_limits_t limits = { .out_max = 1 << 20, .err_max = 1 << 20 };

static int
run(const char *text, const void *input, size_t size, const cede_process_limits_t *within,
	cede_process_result_t *result)
{
	return cede_process_run(&(cede_process_options_t){ .argv = SHELL_ARGS(text) }, input, size,
		within, result);
}

CHILD_TEST(process_run, collects_both_outputs_and_the_status)
{
	cede_process_result_t result;

	cr_assert_eq(run("echo out; echo err >&2; exit 3", NULL, 0, &limits, &result), 0);
	cr_assert_str_eq(result.out, "out\n");
	cr_assert_str_eq(result.err, "err\n");
	cr_assert_eq(result.out_size, 4);
	cr_assert_eq(result.err_size, 4);
	cr_assert_eq(result.status.exit_code, 3);
	cr_assert_not(result.is_incomplete);
	cede_process_result_deinit(&result);
	cede_process_result_deinit(&result);
}

CHILD_TEST(process_run, outputs_may_be_empty)
{
	cede_process_result_t result;

	cr_assert_eq(run("kill -9 $$", NULL, 0, &limits, &result), 0);
	cr_assert_str_eq(result.out, "");
	cr_assert_str_eq(result.err, "");
	cr_assert_eq(result.status.signal, SIGKILL);
	cede_process_result_deinit(&result);
}

/* More than the pipes hold, in and out: one side alone would wait for ever. */
CHILD_TEST(process_run, feeds_and_collects_at_the_same_time)
{
	const size_t size = 1 << 20;
	char *input = malloc(size);
	cede_process_result_t result;

	peer_fill(input, size, 0);
	cr_assert_eq(run("tee /dev/stderr", input, size, &limits, &result), 0);
	cr_assert_eq(result.out_size, size);
	cr_assert_eq(result.err_size, size);
	cr_assert(peer_is_pattern(result.out, size, 0));
	cr_assert(peer_is_pattern(result.err, size, 0));
	cede_process_result_deinit(&result);
	free(input);
}

CHILD_TEST(process_run, input_that_is_not_read_is_no_error)
{
	const size_t size = 1 << 20;
	char *input = calloc(1, size);
	cede_process_result_t result;

	cr_assert_eq(run("exec <&-; echo ok", input, size, &limits, &result), 0);
	cr_assert_str_eq(result.out, "ok\n");
	cede_process_result_deinit(&result);
	cr_assert_eq(run("exit 4", input, size, &limits, &result), 0);
	cr_assert_eq(result.status.exit_code, 4);
	cede_process_result_deinit(&result);
	free(input);
}

CHILD_TEST(process_run, a_pipe_without_input_is_at_its_end)
{
	cede_process_result_t result;

	cr_assert_eq(cede_process_run(&(cede_process_options_t){ .file = "cat",
					      .in = { CEDE_PROCESS_PIPE, 0 } },
			     NULL, 0, &limits, &result),
		0);
	cr_assert_eq(result.out_size, 0);
	cede_process_result_deinit(&result);
}

CHILD_TEST(process_run, what_goes_elsewhere_is_not_collected)
{
	cede_process_result_t result;

	cr_assert_eq(cede_process_run(&(cede_process_options_t){ .argv = SHELL_ARGS(
									 "echo a; echo b >&2"),
					      .out = { CEDE_PROCESS_NULL, 0 },
					      .err = { CEDE_PROCESS_STDOUT, 0 } },
			     NULL, 0, &(cede_process_limits_t){ 0 }, &result),
		0);
	cr_assert_null(result.out);
	cr_assert_null(result.err);
	cede_process_result_deinit(&result);
	cr_assert_eq(cede_process_run(&(cede_process_options_t){ .argv = SHELL_ARGS(
									 "echo a; echo b >&2"),
					      .err = { CEDE_PROCESS_STDOUT, 0 } },
			     NULL, 0, &(cede_process_limits_t){ .out_max = 100 }, &result),
		0);
	cr_assert_str_eq(result.out, "a\nb\n");
	cede_process_result_deinit(&result);
}

/* ---- limits ---- */

CHILD_TEST(process_run, as_much_as_the_limit_is_allowed_and_not_one_byte_more)
{
	const size_t sizes[] = { 1, 2, 10, 4095, 4096, 4097, 8192, 100000 };

	for (size_t i = 0; i < CEDE__ARRAY_LEN(sizes); i++) {
		cede_process_limits_t exact = { .out_max = sizes[i], .err_max = 1 };
		cede_process_limits_t less = { .out_max = sizes[i] - 1, .err_max = 1 };
		cede_process_result_t result;
		char text[64];

		snprintf(text, sizeof text, "head -c %zu /dev/zero", sizes[i]);
		cr_assert_eq(run(text, NULL, 0, &exact, &result), 0);
		cr_assert_eq(result.out_size, sizes[i]);
		cede_process_result_deinit(&result);
		if (less.out_max > 0)
			cr_assert_eq(run(text, NULL, 0, &less, &result), CEDE_ENOBUFS);
	}
}

CHILD_TEST(process_run, who_writes_without_end_is_ended)
{
	cede_process_result_t result;

	cr_assert_eq(run("exec cat /dev/zero", NULL, 0, &limits, &result), CEDE_ENOBUFS);
	cr_assert_eq(run("exec cat /dev/zero >&2", NULL, 0, &limits, &result), CEDE_ENOBUFS);
}

CHILD_TEST(process_run, limits_must_be_given)
{
	const cede_process_options_t options = { .file = "true" };
	cede_process_result_t result;

	cr_assert_eq(cede_process_run(NULL, NULL, 0, &limits, &result), CEDE_EINVAL);
	cr_assert_eq(cede_process_run(&options, NULL, 0, NULL, &result), CEDE_EINVAL);
	cr_assert_eq(cede_process_run(&options, NULL, 1, &limits, &result), CEDE_EINVAL);
	cr_assert_eq(cede_process_run(&options, NULL, 0, &(cede_process_limits_t){ .err_max = 1 },
			     &result),
		CEDE_EINVAL);
	cr_assert_eq(cede_process_run(&options, NULL, 0, &(cede_process_limits_t){ .out_max = 1 },
			     &result),
		CEDE_EINVAL);
	cr_assert_eq(cede_process_run(&(cede_process_options_t){ .file = "true",
					      .in = { CEDE_PROCESS_NULL, 0 } },
			     "x", 1, &limits, &result),
		CEDE_EINVAL);
}

CHILD_TEST(process_run, what_cannot_be_spawned_is_an_error)
{
	cede_process_result_t result;

	cr_assert_eq(cede_process_run(&(cede_process_options_t){ .file = "/nonexistent" }, NULL, 0,
			     &limits, &result),
		CEDE_ENOENT);
}

/* ---- others that hold the pipes ---- */

CHILD_TEST(process_run, a_grandchild_that_holds_the_pipe_is_not_waited_for_for_ever)
{
	const cede_process_limits_t brief = { .out_max = 100, .err_max = 100, .linger_ms = 10 };
	cede_process_result_t result;

	cr_assert_eq(run("sleep 1 & echo done", NULL, 0, &brief, &result), 0);
	cr_assert_str_eq(result.out, "done\n");
	cr_assert(result.is_incomplete);
	cede_process_result_deinit(&result);
}

CHILD_TEST(process_run, what_a_grandchild_writes_in_time_is_collected)
{
	const cede_process_limits_t patient = { .out_max = 100,
		.err_max = 100,
		.linger_ms = 30000 };
	cede_process_result_t result;

	cr_assert_eq(run("(sleep 0.1; echo late) & echo early", NULL, 0, &patient, &result), 0);
	cr_assert_str_eq(result.out, "early\nlate\n");
	cr_assert_not(result.is_incomplete);
	cede_process_result_deinit(&result);
}

/* ---- given up ---- */

CHILD_TEST(process_run, a_timeout_ends_the_child)
{
	cede_process_result_t result;

	CEDE_TIMEOUT(20) {
		cr_assert_eq(run("exec sleep 30", NULL, 0, &limits, &result), CEDE_ETIMEDOUT);
	}
	expect_no_children(); /* when it returns */
}

static int
run_in_vain(void *arg)
{
	const size_t size = 1 << 20;
	char *input = calloc(1, size);
	cede_process_result_t result;
	int r = run(arg, input, size, &limits, &result);

	free(input);
	cr_assert_eq(r, CEDE_EXIT);
	return r;
}

/* At whatever it waits for. */
static void
expect_cancel_ends(const char *text, int turns)
{
	cede_task_t *task;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, run_in_vain, (void *)text, NULL, &task), 0);
	for (int i = 0; i < turns; i++)
		let_others_run();
	cede_task_cancel(task);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cede_task_unref(task);
	expect_no_children();
}

CHILD_TEST(process_run, a_cancel_at_any_step_ends_the_child)
{
	for (int turns = 1; turns < 30; turns++) {
		expect_cancel_ends("exec sleep 30", turns);
		expect_cancel_ends("echo out; exec >&- 2>&-; exec sleep 30", turns);
		expect_cancel_ends("cat > /dev/null; exec sleep 30", turns);
	}
}

static int
run_while_closing(void *arg)
{
	cede_process_result_t result;

	close_oneself();
	cr_assert_eq(run("exit 0", NULL, 0, &limits, &result), CEDE_EXIT);
	return CEDE_EXIT;
}

CHILD_TEST(process_run, nothing_is_run_in_a_task_that_is_being_closed)
{
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, run_while_closing, NULL), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
}

static int
run_with_little_memory(struct pair *pair)
{
	cede_process_result_t result;
	int r = run("head -c 10000 /dev/zero; echo e >&2; cat", "in", 2, &limits, &result);

	if (r == 0)
		cede_process_result_deinit(&result);
	return r;
}

Test(process_run, shortage_of_memory_anywhere_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(run_with_little_memory, FAULT_ONCE), 8);
	expect_no_children();
}

Test(process_run, shortage_of_memory_from_anywhere_on_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(run_with_little_memory, FAULT_FOREVER), 8);
	expect_no_children();
}
