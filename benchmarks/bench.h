/*
 * What every benchmark here shares: measuring and printing.
 *
 * A program prints one line a result, `name value unit`, and comment lines that
 * start with '#'. A value is the median of its samples. A case that names a
 * baseline also gets a line `name_ratio value x`: the median of the ratios that
 * the two had round by round.
 *
 * The cases of a suite are measured in turn (A B C, A B C, ...), one batch each,
 * so that a machine that slows down slows all of them alike: only ratios of
 * interleaved runs mean anything on a shared one. Batches are sized by a
 * calibration, which is the warm-up too; rounds go on until the spread is small
 * or the time is up.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Does the thing that is measured @n times. Aborts the program when it can't. */
typedef void bench_fn(void *arg, uint64_t n);

struct bench_case {
	const char *name;
	bench_fn *run;
	void *arg;
	unsigned ops;         /* operations in one time of @run; 0: 1 */
	const char *baseline; /* the case this one is divided by, or NULL */
};

enum bench_clock {
	BENCH_CLOCK_CPU,  /* of the thread: what others do on the machine does not count */
	BENCH_CLOCK_WALL, /* for what waits, or uses other threads */
};

struct bench_suite {
	const char *backend; /* for the comment line */
	enum bench_clock clock;
	const struct bench_case *cases;
	size_t n_cases;
};

/*
 * Measures the suite as the arguments say and prints it: --smoke (each once, one
 * iteration), --filter TEXT (names that contain it), --seconds S (bound for each
 * case), --list. Returns what main() returns: 0, 1 when nothing matched the
 * filter or memory ran out, 2 for an argument nobody knows.
 */
int bench_main(const struct bench_suite *suite, int argc, char **argv);

/* The comment line: build type, backend, compiler. */
void bench_print_header(FILE *out, const char *backend);

/* One result: `name value unit`. */
void bench_print(const char *name, double value, const char *unit);

/* The median of @n values, which it sorts. n > 0. */
double bench_median(double *values, size_t n);

/* (third quartile - first) / median, of @n sorted values. n > 0. */
double bench_spread(const double *sorted, size_t n);

/* Nanoseconds of a clock that only goes forward. */
uint64_t bench_now_ns(enum bench_clock clock);

/* The compiler must believe that @p is read and that memory has changed. */
static inline void
bench_keep(const void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

#endif
