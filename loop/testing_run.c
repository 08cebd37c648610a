/*
 * Running a scenario under test: once, and in sweeps.
 *
 * A run is cede_run() with the loop put under test before the main task is made.
 * Afterwards three things are asked, in this order: did the loop find anything
 * (testing.c); is anything left, by count; may the scenario return this. The first
 * that is wrong is the run's code and sentence.
 *
 * A sweep repeats runs with a number that grows, until a run did not get as far as
 * that number. What is counted before the first run must be the count after each.
 *
 * The kit takes no memory from the allocator under test: a run lies on the stack of
 * whoever calls. The allocator that fails is the one that was there, in a static
 * wrapper, since a leak that was found keeps it from being taken out again.
 */
#include <cede/testing.h>

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "coro/alloc.h"
#include "coro/thread.h"
#include "loop/testing_int.h"

#define RUNS_MAX 100000

/* What a scenario may return beside 0. */
enum allowed {
	ALLOWED_ANY, /* it is the caller's to judge */
	ALLOWED_NONE,
	ALLOWED_CANCEL,
	ALLOWED_CANCEL_AND_ENOMEM,
};

struct trial {
	cede_fn *fn;
	void *arg;
	cede_test_options_t options;
	enum allowed allowed;
	cede_test_count_t before;
	cede_test_report_t *report;
	struct cede__testing testing;
};

/* ---- counting ---- */

/* -1: the system does not say. */
static int
count_descriptors(void)
{
	DIR *dir = opendir("/dev/fd");
	int n = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* libuv opens what it keeps for the process with its first loop, which is no leak. */
static void
let_libuv_open(void)
{
	uv_loop_t uv;

	if (uv_loop_init(&uv) == 0)
		uv_loop_close(&uv);
}

void
cede_test_count(cede_test_count_t *ret_count)
{
	let_libuv_open();
	cede__thread_cleanup();
	ret_count->blocks = cede__alloc_outstanding();
	ret_count->descriptors = count_descriptors();
}

int
cede_test_check_count(const cede_test_count_t *before, char *text, size_t size)
{
	size_t blocks;
	int descriptors;

	cede__thread_cleanup();
	blocks = cede__alloc_outstanding();
	descriptors = count_descriptors();
	if (blocks <= before->blocks && descriptors <= before->descriptors)
		return 0;
	if (text && blocks > before->blocks)
		snprintf(text, size, "%zu block%s left of the library's", blocks - before->blocks,
			blocks - before->blocks == 1 ? " is" : "s are");
	else if (text)
		snprintf(text, size, "%d descriptor%s left open", descriptors - before->descriptors,
			descriptors - before->descriptors == 1 ? " is" : "s are");
	return CEDE_ELEFT;
}

/* ---- one run ---- */

static int
run_main(void *arg)
{
	struct trial *trial = arg;

	trial->testing.main = cede_task_ref(cede_task_current());
	return trial->fn(trial->arg);
}

static int
put_under_test(cede_loop_t *loop, void *data)
{
	struct trial *trial = data;

	return cede__testing_install(loop, &trial->testing);
}

static int
is_allowed(const struct trial *trial, int result)
{
	if (result >= 0 || trial->allowed == ALLOWED_ANY)
		return 1;
	if (trial->allowed == ALLOWED_NONE)
		return 0;
	if (result == CEDE_ENOMEM)
		return trial->allowed == ALLOWED_CANCEL_AND_ENOMEM;
	return cede_is_cancel(result);
}

static void
fill_report(const struct trial *trial, int result)
{
	const struct cede__testing *t = &trial->testing;
	cede_test_report_t *report = trial->report;

	report->result = result;
	report->seed = t->seed;
	report->awaits = t->awaits;
	report->steps = t->steps;
	report->time_ms = t->time_ms;
	report->trace = t->trace;
	report->runs++;
	report->cancelled += t->cancelled;
	memcpy(report->task, t->task, sizeof report->task);
	memcpy(report->place, t->place, sizeof report->place);
}

/* 0, or what is wrong with the run, with its sentence in `text`. */
static int
judge(const struct trial *trial, int result, char *text, size_t size)
{
	const struct cede__testing *t = &trial->testing;
	int r;

	if (t->code < 0) {
		snprintf(text, size, "%s", t->text);
		return t->code;
	}
	r = cede_test_check_count(&trial->before, text, size);
	if (r < 0)
		return r;
	r = trial->options.after ? trial->options.after(result, trial->arg) : 0;
	if (r < 0)
		snprintf(text, size, "after() said %s to %s", cede_err_name(r),
			result < 0 ? cede_err_name(result) : "success");
	else if (!trial->options.after && !is_allowed(trial, result)) {
		snprintf(text, size, "it returned %s, %s", cede_err_name(result),
			cede_strerror(result));
		r = result;
	}
	return r;
}

/* Runs once. 0, or what is wrong, with its sentence in `text`. */
static int
run_once(struct trial *trial, uint64_t cancel_at, int cancels_main, char *text, size_t size)
{
	int r;

	if (trial->options.before) {
		r = trial->options.before(trial->arg);
		if (r < 0) {
			snprintf(text, size, "before() said %s", cede_err_name(r));
			return r;
		}
	}
	r = cede__testing_init(&trial->testing, &trial->options);
	if (r < 0)
		return r;
	trial->testing.cancel_at = cancel_at;
	trial->testing.cancels_main = cancels_main;
	r = cede__run_with(run_main, trial, put_under_test, trial);
	fill_report(trial, r);
	return judge(trial, r, text, size);
}

/* Says what is wrong. Returns the code. */
CEDE__PRINTF(3, 4) static int fail(struct trial *trial, int code, const char *format, ...)
{
	cede_test_report_t *report = trial->report;
	va_list args;

	va_start(args, format);
	vsnprintf(report->text, sizeof report->text, format, args);
	va_end(args);
	report->code = code;
	if (!trial->options.is_quiet)
		fprintf(stderr, "cede: test: %s\n", report->text);
	return code;
}

static int
begin(struct trial *trial, cede_fn *fn, void *arg, const cede_test_options_t *options,
	cede_test_report_t *report)
{
	const struct cede__thread *th = cede__thread();

	*trial = (struct trial){ .fn = fn, .arg = arg, .report = report };
	*report = (cede_test_report_t){ 0 };
	if (options)
		trial->options = *options;
	if (trial->options.runs_max == 0)
		trial->options.runs_max = RUNS_MAX;
	if (!fn || (unsigned)trial->options.clock > CEDE_TEST_CLOCK_REAL)
		return report->code = CEDE_EINVAL;
	if (!th)
		return report->code = CEDE_ENOMEM;
	if (th->loop || th->current)
		return report->code = CEDE_EBUSY;
	cede_test_count(&trial->before);
	return 0;
}

int
cede_test_run(cede_fn *fn, void *arg, const cede_test_options_t *options,
	cede_test_report_t *ret_report)
{
	cede_test_report_t own, *report = ret_report ? ret_report : &own;
	struct trial trial;
	char text[448] = "";
	int r = begin(&trial, fn, arg, options, report);

	if (r < 0)
		return r;
	r = run_once(&trial, 0, 0, text, sizeof text);
	if (r < 0)
		return fail(&trial, r, "seed %" PRIu64 ": %s", report->seed, text);
	if (!trial.options.after)
		r = report->result;
	report->code = r < 0 ? r : 0;
	return r;
}

/* ---- a cancel at every await ---- */

/* 0: k was beyond the last await, and all was well; or what is wrong. */
static int
sweep_awaits(struct trial *trial, int cancels_main)
{
	cede_test_report_t *report = trial->report;

	for (uint64_t k = 1;; k++) {
		char text[448] = "";
		int r;

		if (report->runs >= trial->options.runs_max)
			return fail(trial, CEDE_ENOBUFS, "%u runs were not enough", report->runs);
		report->at = k;
		r = run_once(trial, k, cancels_main, text, sizeof text);
		if (r < 0 && k <= report->awaits)
			return fail(trial, r,
				"%s cancelled at await %" PRIu64
				", of task '%s' (%s), seed %" PRIu64 ": %s",
				cancels_main ? "the main task was" : "a task was", k, report->task,
				report->place, report->seed, text);
		if (r < 0)
			return fail(trial, r, "nothing was cancelled, seed %" PRIu64 ": %s",
				report->seed, text);
		if (k > report->awaits)
			return 0;
	}
}

int
cede_test_sweep_cancel(cede_fn *fn, void *arg, const cede_test_options_t *options, int whom,
	cede_test_report_t *ret_report)
{
	cede_test_report_t own, *report = ret_report ? ret_report : &own;
	struct trial trial;
	int r = begin(&trial, fn, arg, options, report);

	if (r < 0)
		return r;
	if (whom <= 0 || whom > CEDE_TEST_CANCEL_BOTH)
		return report->code = CEDE_EINVAL;
	trial.allowed = ALLOWED_CANCEL;
	if (whom & CEDE_TEST_CANCEL_TASK)
		r = sweep_awaits(&trial, 0);
	if (r == 0 && whom & CEDE_TEST_CANCEL_MAIN)
		r = sweep_awaits(&trial, 1);
	return r < 0 ? r : (int)report->runs;
}

/* ---- every seed of some ---- */

int
cede_test_sweep_seeds(cede_fn *fn, void *arg, const cede_test_options_t *options, uint64_t first,
	unsigned count, cede_test_report_t *ret_report)
{
	cede_test_report_t own, *report = ret_report ? ret_report : &own;
	struct trial trial;
	int r = begin(&trial, fn, arg, options, report);

	if (r < 0)
		return r;
	if (count > INT_MAX)
		return report->code = CEDE_EINVAL;
	trial.allowed = ALLOWED_NONE;
	for (unsigned i = 0; i < count; i++) {
		char text[448] = "";

		report->at = trial.options.seed = first + i;
		r = run_once(&trial, 0, 0, text, sizeof text);
		if (r < 0)
			return fail(&trial, r, "seed %" PRIu64 ": %s", trial.options.seed, text);
	}
	return (int)report->runs;
}

/* ---- no memory, at every allocation ---- */

static struct failing {
	cede_allocator_t inner;
	atomic_int is_in_use;
	atomic_uint_fast64_t requests, failures;
	uint64_t nth; /* 0: none fails */
	int is_for_ever;
} failing;

static int
is_to_fail(void)
{
	const uint64_t n = atomic_fetch_add(&failing.requests, 1) + 1;

	if (failing.nth == 0 || n < failing.nth || (n > failing.nth && !failing.is_for_ever))
		return 0;
	atomic_fetch_add(&failing.failures, 1);
	return 1;
}

static void *
failing_alloc(size_t size, void *data)
{
	return is_to_fail() ? NULL : failing.inner.alloc(size, failing.inner.data);
}

static void *
failing_realloc(void *p, size_t size, void *data)
{
	return is_to_fail() ? NULL : failing.inner.realloc(p, size, failing.inner.data);
}

static void
failing_free(void *p, void *data)
{
	failing.inner.free(p, failing.inner.data);
}

static int
install_failing(void)
{
	static const cede_allocator_t allocator = { failing_alloc, failing_realloc, failing_free,
		NULL };
	const cede_allocator_t inner = cede__alloc_current();
	int r;

	if (atomic_exchange(&failing.is_in_use, 1))
		return CEDE_EBUSY;
	failing.nth = 0;
	if (inner.alloc == failing_alloc)
		return 0; /* a leak has kept it where it is */
	failing.inner = inner;
	r = cede_set_allocator(&allocator);
	if (r < 0)
		atomic_store(&failing.is_in_use, 0);
	return r;
}

static void
remove_failing(void)
{
	const cede_allocator_t inner = failing.inner;

	failing.nth = 0;
	cede__thread_cleanup();
	(void)cede_set_allocator(&inner); /* refused where a block is left: it passes requests on */
	atomic_store(&failing.is_in_use, 0);
}

/* 0: no request was left to fail, and all was well; or what is wrong. */
static int
sweep_requests(struct trial *trial, int is_for_ever)
{
	cede_test_report_t *report = trial->report;
	uint64_t failures;

	for (uint64_t k = 1;; k++) {
		char text[448] = "";
		int r;

		if (report->runs >= trial->options.runs_max)
			return fail(trial, CEDE_ENOBUFS, "%u runs were not enough", report->runs);
		report->at = k;
		atomic_store(&failing.requests, 0);
		atomic_store(&failing.failures, 0);
		failing.is_for_ever = is_for_ever;
		failing.nth = k;
		r = run_once(trial, 0, 0, text, sizeof text);
		failing.nth = 0;
		failures = atomic_load(&failing.failures);
		report->failed += failures;
		if (r < 0)
			return fail(trial, r,
				"allocation %" PRIu64 "%s failed, seed %" PRIu64 ": %s", k,
				is_for_ever ? " and all after it" : "", report->seed, text);
		if (failures == 0)
			return 0;
	}
}

int
cede_test_sweep_memory(cede_fn *fn, void *arg, const cede_test_options_t *options, int how,
	cede_test_report_t *ret_report)
{
	cede_test_report_t own, *report = ret_report ? ret_report : &own;
	struct trial trial;
	int r = begin(&trial, fn, arg, options, report);

	if (r < 0)
		return r;
	if (how <= 0 || how > CEDE_TEST_FAIL_BOTH)
		return report->code = CEDE_EINVAL;
	r = install_failing();
	if (r < 0)
		return report->code = r;
	trial.allowed = ALLOWED_CANCEL_AND_ENOMEM;
	if (how & CEDE_TEST_FAIL_ONCE)
		r = sweep_requests(&trial, 0);
	if (r == 0 && how & CEDE_TEST_FAIL_FOREVER)
		r = sweep_requests(&trial, 1);
	remove_failing();
	return r < 0 ? r : (int)report->runs;
}
