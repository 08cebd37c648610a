/* The standard descriptors of child processes: net/process_stdio.c. */
#include "tests/net/child.h"

TestSuite(process_stdio, .timeout = 60);

#define IS_PIPE \
	{ \
		CEDE_PROCESS_PIPE, 0 \
	}

/* A shell with pipes for all three. */
static cede_process_t *
piped(const char *text)
{
	cede_process_t *p = NULL;

	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .argv = SHELL_ARGS(text),
						.in = IS_PIPE,
						.out = IS_PIPE,
						.err = IS_PIPE },
			     &p),
		0);
	return p;
}

static void
expect_text(cede_stream_t *s, const char *text)
{
	char buffer[256];
	size_t size = 0;
	ssize_t n;

	while ((n = cede_read(s, buffer + size, sizeof buffer - size)) > 0)
		size += (size_t)n;
	cr_assert_eq(n, 0);
	cr_assert_eq(size, strlen(text));
	cr_assert_arr_eq(buffer, text, size);
}

CHILD_TEST(process_stdio, what_is_written_is_read_and_comes_back)
{
	cede_process_t *p = piped("cat; echo err >&2");

	cr_assert_eq(cede_write(cede_process_stdin(p), "there", 5), 5);
	cr_assert_eq(cede_shutdown_write(cede_process_stdin(p)), 0);
	expect_text(cede_process_stdout(p), "there");
	expect_text(cede_process_stderr(p), "err\n");
	expect_exit(p, 0);
	cede_process_close(p);
}

CHILD_TEST(process_stdio, the_close_of_stdin_is_its_end_of_file)
{
	cede_process_t *p = piped("cat");

	cede_close(cede_process_stdin(p));
	cr_assert_null(cede_process_stdin(p));
	expect_exit(p, 0);
	cede_process_close(p);
}

CHILD_TEST(process_stdio, there_is_none_where_no_pipe_was_asked_for)
{
	cede_process_t *p = shell("exit 0");

	cr_assert_null(cede_process_stdin(p));
	cr_assert_not_null(cede_process_stdout(p));
	cr_assert_null(cede_process_stderr(p));
	cr_assert_null(cede_process_take(p, 0));
	cr_assert_null(cede_process_take(p, -1));
	cr_assert_null(cede_process_take(p, 3));
	expect_exit(p, 0);
	cede_process_close(p);
}

CHILD_TEST(process_stdio, stdin_is_the_null_device_by_default)
{
	cede_process_t *p = shell("cat; readlink /proc/self/fd/0");

	expect_line(p, "/dev/null");
	cede_process_close(p);
}

CHILD_TEST(process_stdio, a_child_may_open_its_own_stdout)
{
	cede_process_t *p = shell("echo reopened > /dev/stdout");

	expect_line(p, "reopened");
	expect_exit(p, 0);
	cede_process_close(p);
}

/* Only our end of a pipe does not block. */
CHILD_TEST(process_stdio, what_a_child_has_blocks)
{
	cede_process_t *p = piped("grep -h flags /proc/$$/fdinfo/0 /proc/$$/fdinfo/1");

	expect_text(cede_process_stdout(p), "flags:\t00\nflags:\t01\n");
	cede_process_close(p);
}

CHILD_TEST(process_stdio, stderr_may_go_where_stdout_goes)
{
	cede_process_t *p;

	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .argv = SHELL_ARGS("echo one; "
										      "echo two "
										      ">&2"),
						.out = IS_PIPE,
						.err = { CEDE_PROCESS_STDOUT, 0 } },
			     &p),
		0);
	expect_text(cede_process_stdout(p), "one\ntwo\n");
	cr_assert_null(cede_process_stderr(p));
	cede_process_close(p);
}

/* Each as the other: neither may be replaced before it was copied. */
CHILD_TEST(process_stdio, descriptors_of_the_parent_are_given_crosswise)
{
	int out[2], err[2], saved[2] = { dup(1), dup(2) };
	char buffer[8];
	cede_process_t *p;

	cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(err, O_CLOEXEC), 0);
	fflush(NULL);
	dup2(out[1], 1);
	dup2(err[1], 2);
	int r = cede_process_spawn(&(cede_process_options_t){ .argv = SHELL_ARGS(
								      "echo out; echo err >&2"),
					   .out = { CEDE_PROCESS_FD, 2 },
					   .err = { CEDE_PROCESS_FD, 1 } },
		&p);
	dup2(saved[0], 1);
	dup2(saved[1], 2);
	cr_assert_eq(r, 0);
	cr_assert_eq(read(out[0], buffer, sizeof buffer), 4);
	cr_assert_arr_eq(buffer, "err\n", 4);
	cr_assert_eq(read(err[0], buffer, sizeof buffer), 4);
	cr_assert_arr_eq(buffer, "out\n", 4);
	expect_exit(p, 0);
	cede_process_close(p);
	for (int i = 0; i < 2; i++) {
		close(out[i]);
		close(err[i]);
		close(saved[i]);
	}
}

/* The new pipe gets the number 0, which is the child's stdin. */
CHILD_TEST(process_stdio, a_parent_without_a_stdin_has_pipes_all_the_same)
{
	int saved = fcntl(0, F_DUPFD_CLOEXEC, 10);
	cede_process_t *p =
		shell("exit 0"); /* libuv opens a descriptor of its own with the first */

	cede_process_close(p);
	close(0);
	p = piped("cat");
	cr_assert_eq(cede_write(cede_process_stdin(p), "x", 1), 1);
	cr_assert_eq(cede_shutdown_write(cede_process_stdin(p)), 0);
	expect_text(cede_process_stdout(p), "x");
	expect_exit(p, 0);
	cede_process_close(p);
	dup2(saved, 0);
	close(saved);
}

CHILD_TEST(process_stdio, a_child_that_closes_its_stdin_is_a_broken_pipe)
{
	cede_process_t *p = piped("exec <&-; echo closed; exec sleep 30");

	expect_line(p, "closed");
	cr_assert_eq(cede_write(cede_process_stdin(p), "x", 1), CEDE_EPIPE);
	cede_process_close(p);
}

CHILD_TEST(process_stdio, a_child_that_closes_its_stdout_early_goes_on)
{
	cede_process_t *p = piped("exec >&-; read line; exit 3");

	expect_text(cede_process_stdout(p), "");
	cr_assert_eq(cede_write(cede_process_stdin(p), "\n", 1), 1);
	expect_exit(p, 3);
	cede_process_close(p);
}

CHILD_TEST(process_stdio, its_end_is_told_although_a_grandchild_holds_the_pipe)
{
	cede_process_t *p = piped("sleep 1 & echo up");
	char byte;

	expect_line(p, "up");
	expect_exit(p, 0);
	CEDE_TIMEOUT(10) {
		cr_assert_eq(cede_read(cede_process_stdout(p), &byte, 1), CEDE_ETIMEDOUT);
	}
	cede_process_close(p);
}

CHILD_TEST(process_stdio, a_stream_that_was_taken_outlives_the_process)
{
	cede_process_t *p = piped("echo late");
	cede_stream_t *out = cede_process_take(p, 1);

	cr_assert_null(cede_process_stdout(p));
	cr_assert_null(cede_process_take(p, 1));
	expect_exit(p, 0);
	cede_process_close(p);
	expect_text(out, "late\n");
	cede_close(out);
}

CHILD_TEST(process_stdio, a_stream_that_was_taken_may_be_left_to_the_loop)
{
	cede_process_t *p = piped("exit 0");

	(void)cede_process_take(p, 0);
	cede_process_close(p);
}

static int
read_until_closed(void *arg)
{
	char byte;

	cr_assert_eq(cede_read(cede_process_stdout(arg), &byte, 1), CEDE_ECANCELED);
	return 0;
}

CHILD_TEST(process_stdio, the_close_of_the_process_ends_a_read)
{
	cede_process_t *p = piped("exec sleep 30");

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, read_until_closed, p), 0);
	let_others_run();
	cede_process_close(p);
	cr_assert_eq(cede_group_wait(&g), 0);
}

/* Whichever the loop's end closes first: the streams, or the process that has them. */
CHILD_TEST(process_stdio, all_of_it_may_be_left_to_the_loop)
{
	(void)piped("cat");
}

CHILD_TEST(process_stdio, a_pipeline_of_two)
{
	int fds[2];
	cede_process_t *from, *to;

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .argv = SHELL_ARGS(
									   "echo b; echo a"),
						.out = { CEDE_PROCESS_FD, fds[1] } },
			     &from),
		0);
	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .file = "sort",
						.in = { CEDE_PROCESS_FD, fds[0] },
						.out = IS_PIPE },
			     &to),
		0);
	close(fds[0]);
	close(fds[1]);
	expect_text(cede_process_stdout(to), "a\nb\n");
	expect_exit(from, 0);
	expect_exit(to, 0);
	cede_process_close(from);
	cede_process_close(to);
}
