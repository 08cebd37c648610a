/*
 * The harness of the micro benchmarks: see bench.h.
 *
 * Life of a run: pick the cases, find for each the batch that takes BATCH_NS,
 * then rounds of one batch a case. After ROUNDS_MIN rounds it ends as soon as
 * every case's quartiles are within SPREAD of its median; at the latest after
 * ROUNDS_MAX, or when the time is up.
 */
#include "bench.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH_NS        4000000u
#define ROUNDS_MIN      15u
#define ROUNDS_MAX      301u
#define SPREAD          0.01
#define SECONDS_DEFAULT 3.0
#define NAME_MAX_LENGTH 128

#ifndef BENCH_BUILD_TYPE
#ifdef __OPTIMIZE__
#define BENCH_BUILD_TYPE "optimized"
#else
#define BENCH_BUILD_TYPE "UNOPTIMIZED"
#endif
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BENCH_SANITIZER " (SANITIZED: the figures mean nothing)"
#endif
#if !defined(BENCH_SANITIZER) && defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BENCH_SANITIZER " (SANITIZED: the figures mean nothing)"
#endif
#endif
#ifndef BENCH_SANITIZER
#define BENCH_SANITIZER ""
#endif

#ifdef __clang__
#define BENCH_COMPILER "clang " __clang_version__
#else
#define BENCH_COMPILER "gcc " __VERSION__
#endif

struct options {
	bool smoke;
	bool list;
	const char *filter; /* "" matches all */
	double seconds;
};

struct measured {
	const struct bench_case *what;
	const struct measured *baseline; /* NULL: none, or filtered out */
	uint64_t batch;
	double *samples; /* ns an operation, by round */
};

struct run {
	const struct bench_suite *suite;
	struct options options;
	struct measured *cases;
	size_t n_cases;
	double *scratch; /* ROUNDS_MAX of them, to sort in */
	size_t n_rounds;
};

uint64_t
bench_now_ns(enum bench_clock clock)
{
	struct timespec t;

	clock_gettime(clock == BENCH_CLOCK_CPU ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
bench_median(double *values, size_t n)
{
	qsort(values, n, sizeof *values, compare_doubles);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double
bench_spread(const double *sorted, size_t n)
{
	return (sorted[n - 1 - n / 4] - sorted[n / 4]) / sorted[n / 2];
}

void
bench_print_header(FILE *out, const char *backend)
{
	fprintf(out, "# build %s%s; backend %s; compiler %s\n", BENCH_BUILD_TYPE, BENCH_SANITIZER,
		backend, BENCH_COMPILER);
}

void
bench_print(const char *name, double value, const char *unit)
{
	printf("%s %.*f %s\n", name, value < 10 ? 3 : value < 1000 ? 2 : 0, value, unit);
}

static double
measure_once(const struct run *run, const struct bench_case *what, uint64_t n)
{
	uint64_t start = bench_now_ns(run->suite->clock);

	what->run(what->arg, n);
	return (double)(bench_now_ns(run->suite->clock) - start);
}

/* Doubling until the batch is long enough; the last, longest runs are the warm-up. */
static uint64_t
calibrate(const struct run *run, const struct bench_case *what)
{
	uint64_t n = 1;
	double ns;

	while ((ns = measure_once(run, what, n)) < BATCH_NS / 2.0 && n < UINT64_MAX / 4)
		n *= 2;
	if (ns < BATCH_NS)
		n = (uint64_t)((double)n * (BATCH_NS / ns));
	return n;
}

static double
median_of(const struct run *run, const double *samples)
{
	memcpy(run->scratch, samples, run->n_rounds * sizeof *samples);
	return bench_median(run->scratch, run->n_rounds);
}

static bool
is_settled(const struct run *run)
{
	if (run->n_rounds < ROUNDS_MIN)
		return false;
	for (size_t i = 0; i < run->n_cases; i++) {
		median_of(run, run->cases[i].samples);
		if (bench_spread(run->scratch, run->n_rounds) > SPREAD)
			return false;
	}
	return true;
}

static void
measure(struct run *run)
{
	double bound_s = run->options.seconds * (double)run->n_cases;
	size_t max = run->options.smoke ? 1 : ROUNDS_MAX;
	uint64_t start;

	for (size_t i = 0; i < run->n_cases; i++)
		run->cases[i].batch = run->options.smoke ? 1 : calibrate(run, run->cases[i].what);

	start = bench_now_ns(BENCH_CLOCK_WALL);
	while (run->n_rounds < max && !is_settled(run)) {
		for (size_t i = 0; i < run->n_cases; i++) {
			struct measured *m = &run->cases[i];
			double ops = (double)m->batch * (m->what->ops ? m->what->ops : 1);
			double ns = measure_once(run, m->what, m->batch);

			m->samples[run->n_rounds] = (ns > 0 ? ns : 1) / ops;
		}
		run->n_rounds++;
		if (run->n_rounds >= 3 &&
			(double)(bench_now_ns(BENCH_CLOCK_WALL) - start) > bound_s * 1e9)
			break;
	}
}

static void
report(const struct run *run)
{
	char name[NAME_MAX_LENGTH];

	for (size_t i = 0; i < run->n_cases; i++) {
		const struct measured *m = &run->cases[i];
		double median = median_of(run, m->samples);

		printf("# %s: min %.3f, spread %.1f %%, %zu rounds of %llu\n", m->what->name,
			run->scratch[0], 100 * bench_spread(run->scratch, run->n_rounds),
			run->n_rounds, (unsigned long long)m->batch);
		bench_print(m->what->name, median, "ns");
		if (!m->baseline)
			continue;
		for (size_t k = 0; k < run->n_rounds; k++)
			run->scratch[k] = m->samples[k] / m->baseline->samples[k];
		snprintf(name, sizeof name, "%s_ratio", m->what->name);
		bench_print(name, bench_median(run->scratch, run->n_rounds), "x");
	}
}

static const struct measured *
find(const struct run *run, const char *name)
{
	for (size_t i = 0; name && i < run->n_cases; i++)
		if (!strcmp(run->cases[i].what->name, name))
			return &run->cases[i];
	return NULL;
}

static int
pick(struct run *run)
{
	size_t n = run->suite->n_cases;

	run->cases = calloc(n, sizeof *run->cases);
	run->scratch = calloc((n + 1) * ROUNDS_MAX, sizeof *run->scratch);
	if (!run->cases || !run->scratch)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!strstr(run->suite->cases[i].name, run->options.filter))
			continue;
		run->cases[run->n_cases].what = &run->suite->cases[i];
		run->cases[run->n_cases].samples = run->scratch + (run->n_cases + 1) * ROUNDS_MAX;
		run->n_cases++;
	}
	for (size_t i = 0; i < run->n_cases; i++)
		run->cases[i].baseline = find(run, run->cases[i].what->baseline);
	return run->n_cases ? 0 : -ENOENT;
}

static int
parse(int argc, char **argv, struct options *ret)
{
	struct options o = { .filter = "", .seconds = SECONDS_DEFAULT };

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--smoke"))
			o.smoke = true;
		else if (!strcmp(argv[i], "--list"))
			o.list = true;
		else if (!strcmp(argv[i], "--filter") && i + 1 < argc)
			o.filter = argv[++i];
		else if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
			o.seconds = strtod(argv[++i], NULL);
		else
			return -EINVAL;
	}
	if (!(o.seconds > 0))
		return -EINVAL;
	*ret = o;
	return 0;
}

int
bench_main(const struct bench_suite *suite, int argc, char **argv)
{
	struct run run = { .suite = suite };
	int err = parse(argc, argv, &run.options);

	if (err < 0) {
		fprintf(stderr, "usage: %s [--smoke] [--filter TEXT] [--seconds S] [--list]\n",
			argv[0]);
		return 2;
	}
	err = pick(&run);
	if (err < 0) {
		fprintf(stderr, "%s: %s\n", argv[0],
			err == -ENOENT ? "no case has that in its name" : strerror(-err));
		goto picked;
	}
	if (run.options.list) {
		for (size_t i = 0; i < run.n_cases; i++)
			puts(run.cases[i].what->name);
		goto picked;
	}
	bench_print_header(stdout, suite->backend);
	measure(&run);
	report(&run);
	if (fflush(stdout))
		err = -EIO;

picked:
	free(run.scratch);
	free(run.cases);
	return err < 0;
}
