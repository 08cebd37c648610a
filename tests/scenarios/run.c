/*
 * Runs each scenario of a table: plain, twice, to the same trace; under twenty seeds;
 * with a cancel at every await, of the task that is there and of the main task, in
 * several orders; with each allocation failing, once and from there on. The last
 * line counts what was broken.
 *
 * A program with a main() of its own: it runs under every tool.
 *
 *     scenarios_NAME [SCENARIO]
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/wait.h>

#include <cede/testing.h>

#include "tests/scenarios/scenario.h"

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* Orders in which every await is cancelled. */
#define SEEDS_OF_CANCELS      24
#define SEEDS_OF_POOL_CANCELS 8
#define SEEDS_OF_SLOW_CANCELS 4

static uint64_t n_runs, n_cancels, n_failures;

/* Returns whether it went well; says what did not. */
static int
count(const char *name, const char *how, int r, const cede_test_report_t *report)
{
	n_runs += report->runs;
	n_cancels += report->cancelled;
	n_failures += report->failed;
	if (r < 0)
		fprintf(stderr, "%s, %s: %s: %s\n", name, how, cede_strerror(r), report->text);
	return r >= 0;
}

/* Is there a child of the run before, running or not reaped? */
static int
expect_no_children(void *arg)
{
	if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
		return 0;
	fprintf(stderr, "a child process was left\n");
	return CEDE_ELEFT;
}

/* Whom does it wait for, besides its own tasks? */
static cede_test_options_t
options_for(const struct scenario *s)
{
	cede_test_options_t options = { .is_quiet = 1, .before = expect_no_children };

	if (s->flags & (TALKS_OUTSIDE | OVER_TCP))
		options.cushion_ms = 5;
	if (s->flags & HAS_CHILDREN)
		options.cushion_ms = 20;
	return options;
}

static uint64_t
orders_of_cancels(const struct scenario *s)
{
	if (s->flags & (OVER_TCP | HAS_CHILDREN))
		return SEEDS_OF_SLOW_CANCELS;
	return s->flags & IN_THE_POOL ? SEEDS_OF_POOL_CANCELS : SEEDS_OF_CANCELS;
}

static int
run_plain(const struct scenario *s, const cede_test_options_t *options)
{
	cede_test_report_t first, second;
	int ok = count(s->name, "plain", cede_test_run(s->fn, s->arg, options, &first), &first);

	ok &= count(s->name, "plain", cede_test_run(s->fn, s->arg, options, &second), &second);
	if (ok && !(s->flags & ~(unsigned)NO_MEMORY_SWEEP) && first.trace != second.trace) {
		fprintf(stderr, "%s: the same run twice is not the same\n", s->name);
		return 0;
	}
	return ok;
}

static int
run_scenario(const struct scenario *s)
{
	const uint64_t orders = orders_of_cancels(s);
	cede_test_options_t options = options_for(s);
	cede_test_report_t report;
	const uint64_t cancels = n_cancels, failures = n_failures;
	int ok = run_plain(s, &options);

	ok = ok &&
		count(s->name, "seeds",
			cede_test_sweep_seeds(s->fn, s->arg, &options, 1, 20, &report), &report);
	for (options.seed = 0; ok && options.seed < orders; options.seed++)
		ok = count(s->name, "cancel",
			cede_test_sweep_cancel(s->fn, s->arg, &options, CEDE_TEST_CANCEL_BOTH,
				&report),
			&report);
	options.seed = 0;
	if (ok && !(s->flags & NO_MEMORY_SWEEP))
		ok = count(s->name, "memory",
			cede_test_sweep_memory(s->fn, s->arg, &options, CEDE_TEST_FAIL_BOTH,
				&report),
			&report);
	ok = ok && expect_no_children(NULL) == 0;
	if (ok && __lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check()) {
		fprintf(stderr, "%s: LeakSanitizer found leaks\n", s->name);
		ok = 0;
	}
	printf("%s %s: %" PRIu64 " cancels, %" PRIu64 " failed allocations\n", ok ? "ok" : "not ok",
		s->name, n_cancels - cancels, n_failures - failures);
	fflush(stdout);
	return ok;
}

int
main(int argc, char **argv)
{
	unsigned n = 0, bad = 0;

	for (const struct scenario *s = scenarios; s->name; s++) {
		if (argc > 1 && strcmp(argv[1], s->name) != 0)
			continue;
		n++;
		bad += !run_scenario(s);
	}
	printf("%u scenarios, %u bad: %" PRIu64 " runs, %" PRIu64 " cancels, %" PRIu64
	       " failed allocations\n",
		n, bad, n_runs, n_cancels, n_failures);
	return n == 0 || bad > 0 || n_cancels == 0;
}
