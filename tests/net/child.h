/*
 * What the tests of child processes share. A test ends with the leak gate, and with
 * no child left: neither running nor a zombie.
 *
 *     CHILD_TEST(process, says_how_it_ended) { … }
 *
 * Children are /bin/sh and small programs. One that is to be in some state first says
 * so on its stdout.
 */
#ifndef CEDE_TESTS_NET_CHILD_H
#define CEDE_TESTS_NET_CHILD_H

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "tests/net/pair.h"

#define CHILD_TEST(suite, name) \
	static void suite##_##name(void); \
	Test(suite, name) \
	{ \
		void (*body)(void) = suite##_##name; \
		run_gated_to_its_end(run_task_body, &body); \
		expect_no_children(); \
	} \
	static void suite##_##name(void)

static inline void
expect_no_children(void)
{
	cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "a child was left");
	cr_assert_eq(errno, ECHILD);
}

/** Options that run a text in a shell. The array is the caller's. */
#define SHELL_ARGS(text) ((const char *const[]){ "sh", "-c", (text), NULL })

/** Runs a text in a shell, with its stdout in a pipe. */
static inline cede_process_t *
shell(const char *text)
{
	cede_process_t *p = NULL;

	cr_assert_eq(cede_process_spawn(&(cede_process_options_t){ .argv = SHELL_ARGS(text),
						.out = { CEDE_PROCESS_PIPE, 0 } },
			     &p),
		0);
	return p;
}

/** Waits until it has written a line. */
static inline void
expect_line(cede_process_t *p, const char *line)
{
	char buffer[256];
	size_t size = 0;

	while (size == 0 || buffer[size - 1] != '\n') {
		ssize_t n =
			cede_read(cede_process_stdout(p), buffer + size, sizeof buffer - 1 - size);

		cr_assert_gt(n, 0, "no line '%s': %s", line, cede_strerror((int)n));
		size += (size_t)n;
	}
	buffer[size - 1] = '\0';
	cr_assert_str_eq(buffer, line);
}

/** Waits for its end, which must be an exit with this code. */
static inline void
expect_exit(cede_process_t *p, int code)
{
	cede_process_status_t status = { -1, -1 };

	cr_assert_eq(cede_process_wait(p, &status), 0);
	cr_assert_eq(status.signal, 0);
	cr_assert_eq(status.exit_code, code);
}

/** Waits for its end, which must be by this signal. */
static inline void
expect_killed(cede_process_t *p, int number)
{
	cede_process_status_t status = { -1, -1 };

	cr_assert_eq(cede_process_wait(p, &status), 0);
	cr_assert_eq(status.signal, number, "exit %d, signal %d", status.exit_code, status.signal);
}

/** Waits, without the loop, until the system has its end; it is not reaped. */
static inline void
await_zombie(cede_process_t *p)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t)cede_process_pid(p), &info, WEXITED | WNOWAIT) < 0)
		cr_assert_eq(errno, EINTR);
}

#endif
