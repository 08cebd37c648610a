/*
 * The program around the tests of one file, in place of Criterion's (see
 * criterion/criterion.h): runs each in a process of its own and prints TAP.
 *
 *   --filter PATTERN     only tests whose SUITE/NAME matches; as a shell's pattern
 *   --no-fork            all in this process, one after another: for tools that do
 *                        not follow a fork. Tests that end their process are
 *                        skipped, and the first failure is the end.
 *   --timeout-factor N   times are N times as long, for emulators and valgrind; also by the
 *                        environment, CEDE_TEST_TIMEOUT_FACTOR
 *   --list, --verbose    names only; each test as it begins, on stderr
 *   --tap, --jobs=N      accepted, and change nothing: it is TAP, and one job
 *
 * Life of a test: fork; init of the suite, of the test; the body; the fini of
 * both; exit(). An assertion that fails is written down in memory that parent
 * and child share, and a fatal one leaves by _exit(), from whichever stack or
 * thread it is on. Otherwise the parent judges by how the process ended, so a
 * sanitizer's complaint at exit is a failure.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAILED_EXIT 97 /* of a test's process; which test it was, and where, has been printed */

/* What a test's process tells its parent. */
struct verdict {
	int n_failed;
	int is_skipped;
	char reason[200];
};

static struct {
	const char *filter;
	double timeout_factor;
	int is_forking;
	int is_listing;
	int is_verbose;
} options = { .timeout_factor = 1, .is_forking = 1 };

static struct cr_standin_test *first, **last = &first;
static struct verdict *verdict;
static jmp_buf skipped; /* without a fork */

void
cr_standin_add(struct cr_standin_test *test)
{
	*last = test;
	last = &test->next;
}

/* ---- what a test's process does ------------------------------------------------- */

void
cr_standin_failed(bool is_fatal, const char *file, int line, const char *condition,
	const char *format, ...)
{
	char message[2000];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	printf("# %s:%d: not so: %s%s%s\n", file, line, condition, *message ? ": " : "", message);
	verdict->n_failed++;
	if (!is_fatal)
		return;
	if (!options.is_forking) /* who knows which stack this is: there is no way back */
		puts("Bail out! A test failed that was not in a process of its own");
	fflush(stdout);
	_exit(FAILED_EXIT);
}

void
cr_standin_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(verdict->reason, sizeof verdict->reason, format, args);
	va_end(args);
	verdict->reason[strcspn(verdict->reason, "\n")] = 0;
	verdict->is_skipped = 1;
	if (!options.is_forking)
		longjmp(skipped, 1);
	fflush(stdout);
	_exit(0);
}

/* The suite's options; none is all zero. */
static const struct cr_standin_options *
suite_options(const struct cr_standin_test *test)
{
	static const struct cr_standin_options none;

	for (const struct cr_standin_test *suite = first; suite; suite = suite->next) {
		if (!suite->name && strcmp(suite->suite, test->suite) == 0)
			return suite->options;
	}
	return &none;
}

static void
run_body(const struct cr_standin_test *test)
{
	const struct cr_standin_options *suite = suite_options(test);

	if (suite->init)
		suite->init();
	if (test->options->init)
		test->options->init();
	test->run();
	if (test->options->fini)
		test->options->fini();
	if (suite->fini)
		suite->fini();
}

/* ---- what the parent does ------------------------------------------------------- */

static void
print_result(const struct cr_standin_test *test, int is_ok, const char *remark)
{
	printf("%s - %s::%s%s\n", is_ok ? "ok" : "not ok", test->suite, test->name, remark);
	fflush(stdout);
}

static int
print_skipped(const struct cr_standin_test *test, const char *reason)
{
	char remark[sizeof verdict->reason + 16];

	snprintf(remark, sizeof remark, " # SKIP %s", reason);
	print_result(test, 1, remark);
	return 1;
}

/* Waits for the child, so many seconds if that is not 0. Returns whether it ended by itself. */
static int
await_child(pid_t pid, double seconds, int *ret_status)
{
	struct timespec now, end;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += (time_t)seconds + 1;
	while (waitpid(pid, ret_status, WNOHANG) == 0) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (seconds > 0 && now.tv_sec >= end.tv_sec) {
			kill(pid, SIGKILL);
			waitpid(pid, ret_status, 0);
			return 0;
		}
		sigtimedwait(&child, NULL, &(struct timespec){ .tv_sec = 1 });
	}
	return 1;
}

/* Says how a process ended, unless that is how it should have. */
static int
check_status(const struct cr_standin_test *test, int status)
{
	int wanted = test->options->signal ? test->options->signal : suite_options(test)->signal;
	int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

	if (signal != wanted)
		printf("# ended by signal %d (%s), not %d\n", signal, strsignal(signal), wanted);
	else if (code != test->options->exit_code)
		printf("# exited with %d, not %d\n", code, test->options->exit_code);
	else
		return 1;
	return 0;
}

static int
run_forked(const struct cr_standin_test *test)
{
	double timeout = test->options->timeout;
	int status;

	if (timeout == 0)
		timeout = suite_options(test)->timeout;
	pid_t pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		run_body(test);
		exit(0); /* not _exit(): sanitizers have the last word */
	}
	if (!await_child(pid, timeout * options.timeout_factor, &status)) {
		printf("# did not end in %g s\n", timeout * options.timeout_factor);
		return 0;
	}
	return check_status(test, status);
}

static int
run_here(const struct cr_standin_test *test)
{
	if (setjmp(skipped) == 0)
		run_body(test);
	return 1;
}

/* Returns whether it passed, or was skipped. */
static int
run_test(const struct cr_standin_test *test)
{
	int is_ok;

	*verdict = (struct verdict){ 0 };
	if (test->options->disabled || suite_options(test)->disabled)
		return print_skipped(test, "disabled");
	if (options.is_verbose)
		fprintf(stderr, "%s::%s\n", test->suite, test->name);
	fflush(stdout);
	if (!options.is_forking && (test->options->signal || test->options->exit_code))
		return print_skipped(test, "it ends its process");
	is_ok = options.is_forking ? run_forked(test) : run_here(test);
	if (is_ok && verdict->is_skipped && verdict->n_failed == 0)
		return print_skipped(test, verdict->reason);
	is_ok = is_ok && verdict->n_failed == 0;
	print_result(test, is_ok, "");
	return is_ok;
}

static int
is_wanted(const struct cr_standin_test *test)
{
	char path[500];

	if (!test->name)
		return 0;
	snprintf(path, sizeof path, "%s/%s", test->suite, test->name);
	return !options.filter || fnmatch(options.filter, path, 0) == 0;
}

static int
run_tests(void)
{
	int n_run = 0, n_bad = 0;

	for (const struct cr_standin_test *test = first; test; test = test->next)
		n_run += is_wanted(test);
	if (n_run == 0) {
		fputs("no such test\n", stderr);
		return 2;
	}
	printf("1..%d\n", n_run);
	for (const struct cr_standin_test *test = first; test; test = test->next) {
		if (is_wanted(test) && !run_test(test))
			n_bad++;
	}
	return n_bad > 0;
}

static int
list_tests(void)
{
	for (const struct cr_standin_test *test = first; test; test = test->next) {
		if (is_wanted(test))
			printf("%s/%s\n", test->suite, test->name);
	}
	return 0;
}

static int
parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "filter", required_argument, NULL, 'f' },
		{ "no-fork", no_argument, &options.is_forking, 0 },
		{ "timeout-factor", required_argument, NULL, 't' },
		{ "list", no_argument, &options.is_listing, 1 },
		{ "verbose", no_argument, &options.is_verbose, 1 },
		{ "tap", no_argument, NULL, 0 },
		{ "jobs", required_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "j:", known, NULL)) != -1) {
		if (c == 'f')
			options.filter = optarg;
		else if (c == 't')
			options.timeout_factor = atof(optarg);
		else if (c == '?')
			return -1;
	}
	return optind == argc ? 0 : -1;
}

int
main(int argc, char **argv)
{
	const char *factor = getenv("CEDE_TEST_TIMEOUT_FACTOR");
	sigset_t child;

	if (factor)
		options.timeout_factor = atof(factor);
	if (parse(argc, argv) < 0)
		return 2;
	if (options.is_listing)
		return list_tests();

	verdict = mmap(NULL, sizeof *verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	if (verdict == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	if (options.is_forking) { /* await_child() waits for it */
		sigemptyset(&child);
		sigaddset(&child, SIGCHLD);
		sigprocmask(SIG_BLOCK, &child, NULL);
	}
	return run_tests();
}
