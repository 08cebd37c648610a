/* Spawning children: what they are given, and what cannot be spawned. */
#include "tests/net/child.h"

#include <sys/resource.h>

TestSuite(process_spawn, .timeout = 60);

/* ---- what cannot be spawned ---- */

Test(process_spawn, outside_a_task_nothing_is_spawned_or_waited_for)
{
	cede_process_t *p;

	leaks_begin();
	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .file = "true" }, &p),
		CEDE_ENOTASK);
	leaks_end();
}

/* libuv opens a descriptor for the loop with its first stream: before the count. */
static int
count_fds(void)
{
	cede_stream_t *s;

	cr_assert_eq(cede__stream_create(cede_loop_current(), UV_NAMED_PIPE, &s), 0);
	cede_close(s);
	return leaks_count_fds();
}

static void
expect_spawn_fails(const cede_process_options_t *options, int code)
{
	const int before = count_fds();
	cede_process_t *p = NULL;

	cr_assert_eq(cede_process_spawn(options, &p), code);
	cr_assert_null(p);
	/* A stream's descriptor goes at once, a handle's memory with the loop's next turn. */
	cr_assert_eq(leaks_count_fds(), before);
}

CHILD_TEST(process_spawn, a_program_that_is_not_there_is_an_error)
{
	const cede_process_io_t pipe = { CEDE_PROCESS_PIPE, 0 };

	expect_spawn_fails(&(cede_process_options_t){ .file = "/nonexistent/program" },
		CEDE_ENOENT);
	expect_spawn_fails(&(cede_process_options_t){ .file = "no-such-program-anywhere",
				   .in = pipe,
				   .out = pipe,
				   .err = pipe },
		CEDE_ENOENT);
	expect_spawn_fails(&(cede_process_options_t){ .file = "true", .cwd = "/nonexistent" },
		CEDE_ENOENT);
}

CHILD_TEST(process_spawn, a_file_that_is_no_program_is_an_error)
{
	expect_spawn_fails(&(cede_process_options_t){ .file = "/etc/passwd" }, CEDE_EACCES);
	expect_spawn_fails(&(cede_process_options_t){ .file = "/" }, CEDE_EACCES);
}

CHILD_TEST(process_spawn, too_long_an_argument_is_an_error)
{
	const size_t size = 4 << 20;
	char *text = calloc(1, size + 1);
	const char *args[] = { "true", text, NULL };

	for (size_t i = 0; i < size; i++)
		text[i] = 'x';
	expect_spawn_fails(&(cede_process_options_t){ .argv = args }, CEDE_E2BIG);
	free(text);
}

CHILD_TEST(process_spawn, options_that_make_no_sense_are_an_error)
{
	cede_process_t *p;

	cr_assert_eq(cede_process_spawn(NULL, &p), CEDE_EINVAL);
	expect_spawn_fails(&(cede_process_options_t){ 0 }, CEDE_EINVAL);
	expect_spawn_fails(&(cede_process_options_t){ .argv = (const char *const[]){ NULL } },
		CEDE_EINVAL);
	expect_spawn_fails(&(cede_process_options_t){ .file = "true", .stop_signal = 1000 },
		CEDE_EINVAL);
	expect_spawn_fails(&(cede_process_options_t){ .file = "true",
				   .in = { CEDE_PROCESS_FD, -1 } },
		CEDE_EINVAL);
	expect_spawn_fails(&(cede_process_options_t){ .file = "true",
				   .in = { CEDE_PROCESS_PIPE, 0 },
				   .out = { CEDE_PROCESS_STDOUT, 0 } },
		CEDE_EINVAL);
	expect_spawn_fails(&(cede_process_options_t){ .file = "true",
				   .err = { (enum cede_process_io_kind)77, 0 } },
		CEDE_EINVAL);
	expect_spawn_fails(&(cede_process_options_t){ .file = "true",
				   .in = { CEDE_PROCESS_PIPE, 0 },
				   .out = { CEDE_PROCESS_FD, 1000 } },
		CEDE_EBADF);
}

/* As an ordinary user there is nobody else that one may become. */
CHILD_TEST(process_spawn, becoming_somebody_else_without_the_right_is_an_error)
{
	if (geteuid() == 0)
		cr_assert_eq(seteuid(65534), 0);
	expect_spawn_fails(&(cede_process_options_t){ .file = "true", .set_uid = 1, .uid = 1 },
		CEDE_EPERM);
	expect_spawn_fails(&(cede_process_options_t){ .file = "true", .set_gid = 1, .gid = 1 },
		CEDE_EPERM);
	if (getuid() == 0)
		cr_assert_eq(seteuid(0), 0);
}

CHILD_TEST(process_spawn, root_makes_it_somebody_else)
{
	cede_process_t *p;

	if (geteuid() != 0)
		cr_skip_test("not root");
	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .argv = SHELL_ARGS("echo "
										      "$(id -u) "
										      "$(id -G)"),
						.out = { CEDE_PROCESS_PIPE, 0 },
						.set_uid = 1,
						.uid = 65534,
						.set_gid = 1,
						.gid = 65533 },
			     &p),
		0);
	expect_line(p, "65534 65533");
	expect_exit(p, 0);
	cede_process_close(p);
}

/* Descriptors run out at each of those that a spawn needs; what it has opened is closed. */
CHILD_TEST(process_spawn, without_descriptors_nothing_is_left)
{
	const cede_process_io_t pipe = { CEDE_PROCESS_PIPE, 0 };
	const cede_process_options_t options = { .argv = SHELL_ARGS("exit 5"),
		.in = pipe,
		.out = pipe,
		.err = pipe };
	struct rlimit limit, all;
	cede_process_t *p = NULL;
	int r = CEDE_EMFILE, n_failed = 0;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	limit = all;
	for (int more = 0; r != 0; more++, n_failed++) {
		const int before = count_fds();
		int lowest = dup(0);

		close(lowest);
		limit.rlim_cur = (rlim_t)(lowest + more);
		cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		r = cede_process_spawn(&options, &p);
		cr_assert_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
		if (r == 0)
			break;
		cr_assert_eq(r, CEDE_EMFILE);
		cr_assert_eq(leaks_count_fds(), before);
		cr_assert_lt(more, 20);
	}
	cr_assert_geq(n_failed, 7); /* three pipes and libuv's own */
	expect_exit(p, 5);
	cede_process_close(p);
}

static int
spawn_with_little_memory(struct pair *pair)
{
	const cede_process_io_t pipe = { CEDE_PROCESS_PIPE, 0 };
	cede_process_t *p;
	int r = cede_process_spawn(&(cede_process_options_t){ .file = "true",
					   .in = pipe,
					   .out = pipe,
					   .err = pipe },
		&p);

	if (r < 0)
		return r;
	r = cede_process_wait(p, NULL);
	cede_process_close(p);
	return r;
}

Test(process_spawn, shortage_of_memory_anywhere_is_an_error)
{
	/* The process, its place among the timers, three streams. */
	cr_assert_eq(expect_failures_are_survived(spawn_with_little_memory, FAULT_ONCE), 5);
	expect_no_children();
}

Test(process_spawn, shortage_of_memory_from_anywhere_on_is_an_error)
{
	cr_assert_eq(expect_failures_are_survived(spawn_with_little_memory, FAULT_FOREVER), 5);
	expect_no_children();
}

/* From the spawn on nothing is allocated: not to wait, nor to end it. */
static int
end_without_memory(struct pair *pair)
{
	cede_process_t *p = shell("exec sleep 30");
	unsigned before = fault_requests();

	cr_assert_eq(cede_process_stop(p), 0);
	cr_assert_eq(fault_requests(), before);
	expect_killed(p, SIGTERM);
	cede_process_close(p);
	cr_assert_eq(fault_requests(), before);
	return 0;
}

static int
end_one_without_memory(void *arg)
{
	return end_without_memory(NULL);
}

Test(process_spawn, ending_one_takes_no_memory)
{
	fault_install();
	run_gated(end_one_without_memory, NULL);
	expect_no_children();
}

/* ---- what it is given ---- */

CHILD_TEST(process_spawn, has_its_arguments_its_environment_and_its_directory)
{
	cede_process_t *p;

	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .file = "/bin/sh",
						.argv = (const char *const[]){ "another name", "-c",
							"echo \"$0 $1 $X $(pwd) ${HOME-none}\"",
							"zero", "one", NULL },
						.env = (const char *const[]){ "X=y",
							"PATH=/usr/bin:/bin", NULL },
						.cwd = "/usr",
						.out = { CEDE_PROCESS_PIPE, 0 } },
			     &p),
		0);
	expect_line(p, "zero one y /usr none");
	expect_exit(p, 0);
	cede_process_close(p);
}

CHILD_TEST(process_spawn, has_the_environment_of_the_parent_by_default)
{
	cede_process_t *p;

	setenv("CEDE_TEST_VALUE", "inherited", 1);
	p = shell("echo $CEDE_TEST_VALUE");
	expect_line(p, "inherited");
	cede_process_close(p);
}

CHILD_TEST(process_spawn, a_file_alone_is_its_own_only_argument)
{
	cede_process_t *p;

	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .file = "true" }, &p), 0);
	cr_assert_gt(cede_process_pid(p), 1);
	expect_exit(p, 0);
	cede_process_close(p);
}

/* What the test's own runner has left open is not what is asked about. */
static void
set_cloexec_on_all(void)
{
	for (int fd = 3; fd < 1024; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags >= 0)
			fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
	}
}

static int
list_descriptors(struct pair *pair)
{
	const cede_process_io_t pipe = { CEDE_PROCESS_PIPE, 0 };
	cede_process_t *other = shell("exec sleep 30"), *p;

	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .argv = SHELL_ARGS(
									   "echo $(ls "
									   "/proc/self/fd)"),
						.in = pipe,
						.out = pipe,
						.err = pipe },
			     &p),
		0);
	expect_line(p, "0 1 2 3"); /* the last is the directory that ls reads */
	expect_exit(p, 0);
	cede_process_close(p);
	cede_process_close(other);
	return 0;
}

static int
list_descriptors_beside_a_connection(void *arg)
{
	struct pair p;

	set_cloexec_on_all();
	pair_open(&p); /* a listener, a connection, another child's pipe */
	list_descriptors(&p);
	pair_close(&p);
	return 0;
}

Test(process_spawn, has_no_descriptor_but_the_three)
{
	run_gated(list_descriptors_beside_a_connection, NULL);
	expect_no_children();
}

CHILD_TEST(process_spawn, has_signals_as_they_are_by_default)
{
	cede_process_t *p = shell("kill -PIPE $$; echo ignored");

	expect_killed(p, SIGPIPE); /* although this process ignores it */
	cede_process_close(p);
}
