/*
 * What many timers cost each, CPU time of the thread: so many sleeps of random 0 to
 * 1,000 ms, and as many timers that never fire.
 *
 *     bench_timer [--count N] [--rounds N] [--filter TEXT] [--smoke]
 *
 *   timer_uv          the floor: a uv_timer_t each, started, called back, closed
 *   timer_heap        cede_sleep_start() of all by one task, which waits for all
 *   timer_tasks       a task each, in cede_sleep(): its stack and its end too
 *   timer_uv_pages    timer_uv on a page of its own each, as far from the next as a
 *                     stack is: what no million of stacks can be under
 *   timer_uv_never    uv_timer_t of 30 to 60 s: all started, then all stopped
 *   timer_heap_never  the same by cede_sleep_start() and cede_future_cancel()
 *   timer_uv_pair     one at a time started and stopped, while 1,000 are pending:
 *   timer_heap_pair   what a timeout costs that is not needed
 *   timer_scope_pair  the same by a CEDE_TIMEOUT
 *
 * Each is measured in a process of its own, which has just begun: none profits
 * from the memory of another. The delays of all are the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cede/cede.h>
#include <cede/uv.h>

#include "bench.h"

#define COUNT_DEFAULT  100000
#define COUNT_SMOKE    1000
#define ROUNDS_DEFAULT 5
#define ROUNDS_MAX     101
#define PENDING        1000

static size_t count = COUNT_DEFAULT;
static unsigned longest_ms = 1000;

static void
fail(const char *what, int code)
{
	fprintf(stderr, "bench_timer: %s: %s\n", what, cede_strerror(code));
	exit(1);
}

static void
check(const char *what, int code)
{
	if (code < 0)
		fail(what, code);
}

static void *
allocate(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		fail("calloc", CEDE_ENOMEM);
	return p;
}

/* xorshift64: the same delays for everybody. */
static uint64_t
next_delay_ms(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % (longest_ms + 1);
}

#define SEED UINT64_C(88172645463325252)

/* ---- raw libuv ---- */

#define APART ((size_t)132 * 1024) /* a stack and its guard */

static size_t n_fired;

static void
close_fired(uv_timer_t *timer)
{
	n_fired++;
	uv_close((uv_handle_t *)timer, NULL);
}

static void
never(uv_timer_t *timer)
{
	fail("a timer of 30 s has fired", CEDE_ETIMEDOUT);
}

/* Timers that lie so many bytes apart. */
static void
fire_all(char *memory, size_t stride)
{
	uint64_t seed = SEED;
	uv_loop_t uv;

	check("uv_loop_init", uv_loop_init(&uv));
	for (size_t i = 0; i < count; i++) {
		uv_timer_t *timer = (void *)(memory + i * stride);

		uv_timer_init(&uv, timer);
		uv_timer_start(timer, close_fired, next_delay_ms(&seed), 0);
	}
	uv_run(&uv, UV_RUN_DEFAULT);
	if (n_fired != count)
		fail("timers are missing", CEDE_EOF);
	check("uv_loop_close", uv_loop_close(&uv));
}

static void
run_uv(void)
{
	char *memory = allocate(count, sizeof(uv_timer_t));

	fire_all(memory, sizeof(uv_timer_t));
	free(memory);
}

static void
run_uv_pages(void)
{
	char *memory = mmap(NULL, count * APART, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap", CEDE_ENOMEM);
	madvise(memory, count * APART, MADV_NOHUGEPAGE);
	fire_all(memory, APART);
	munmap(memory, count * APART);
}

static void
close_all(uv_loop_t *uv, uv_timer_t *timers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		uv_close((uv_handle_t *)&timers[i], NULL);
	uv_run(uv, UV_RUN_DEFAULT);
	check("uv_loop_close", uv_loop_close(uv));
	free(timers);
}

static void
run_uv_never(void)
{
	uv_timer_t *timers = allocate(count, sizeof *timers);
	uint64_t seed = SEED;
	uv_loop_t uv;

	check("uv_loop_init", uv_loop_init(&uv));
	for (size_t i = 0; i < count; i++) {
		uv_timer_init(&uv, &timers[i]);
		uv_timer_start(&timers[i], never, 30000 + 30 * next_delay_ms(&seed), 0);
	}
	for (size_t i = 0; i < count; i++)
		uv_timer_stop(&timers[i]);
	close_all(&uv, timers, count);
}

static void
run_uv_pair(void)
{
	uv_timer_t *timers = allocate(PENDING + 1, sizeof *timers);
	uint64_t seed = SEED;
	uv_loop_t uv;

	check("uv_loop_init", uv_loop_init(&uv));
	for (size_t i = 0; i <= PENDING; i++) {
		uv_timer_init(&uv, &timers[i]);
		uv_timer_start(&timers[i], never, 30000 + 30 * next_delay_ms(&seed), 0);
	}
	for (size_t i = 0; i < count; i++) {
		uv_timer_start(&timers[PENDING], never, 40000, 0);
		uv_timer_stop(&timers[PENDING]);
	}
	close_all(&uv, timers, PENDING + 1);
}

/* ---- the library ---- */

static int
sleep_all(void *arg)
{
	cede_sleep_t *sleeps = allocate(count, sizeof *sleeps);
	cede_future_t **futures = allocate(count, sizeof(cede_future_t *));
	uint64_t seed = SEED;
	int r;

	for (size_t i = 0; i < count; i++) {
		check("cede_sleep_start", cede_sleep_start(next_delay_ms(&seed), &sleeps[i]));
		futures[i] = &sleeps[i].future;
	}
	r = cede_wait_all((int)count, futures);
	free(futures);
	free(sleeps);
	return r;
}

static int
cancel_all(void *arg)
{
	cede_sleep_t *sleeps = allocate(count, sizeof *sleeps);
	uint64_t seed = SEED;

	for (size_t i = 0; i < count; i++)
		check("cede_sleep_start",
			cede_sleep_start(30000 + 30 * next_delay_ms(&seed), &sleeps[i]));
	for (size_t i = 0; i < count; i++)
		cede_future_cancel(&sleeps[i].future);
	free(sleeps);
	return 0;
}

static int
turn_over(void *by_scopes)
{
	cede_sleep_t *sleeps = allocate(PENDING, sizeof *sleeps), one;
	uint64_t seed = SEED;

	for (size_t i = 0; i < PENDING; i++)
		check("cede_sleep_start",
			cede_sleep_start(30000 + 30 * next_delay_ms(&seed), &sleeps[i]));
	for (size_t i = 0; i < count; i++) {
		if (by_scopes) {
			CEDE_TIMEOUT(40000) {
				bench_keep(&one);
			}
		} else {
			check("cede_sleep_start", cede_sleep_start(40000, &one));
			cede_future_cancel(&one.future);
		}
	}
	for (size_t i = 0; i < PENDING; i++)
		cede_future_cancel(&sleeps[i].future);
	free(sleeps);
	return 0;
}

static int
sleep_once(void *arg)
{
	int r = cede_sleep((uintptr_t)arg);

	n_fired += r == 0;
	return r;
}

static int
spawn_all(void *arg)
{
	uint64_t seed = SEED;
	CEDE_GROUP(group);

	for (size_t i = 0; i < count; i++)
		check("cede_spawn",
			cede_spawn(&group, sleep_once, (void *)(uintptr_t)next_delay_ms(&seed)));
	check("cede_group_wait", cede_group_wait(&group));
	if (n_fired != count)
		fail("tasks are missing", CEDE_EOF);
	return 0;
}

static void
run_heap(void)
{
	check("cede_run", cede_run(sleep_all, NULL));
}

static void
run_heap_never(void)
{
	check("cede_run", cede_run(cancel_all, NULL));
}

static void
run_heap_pair(void)
{
	check("cede_run", cede_run(turn_over, NULL));
}

static void
run_scope_pair(void)
{
	check("cede_run", cede_run(turn_over, &count));
}

static void
run_tasks(void)
{
	check("cede_run", cede_run(spawn_all, NULL));
}

/* ---- measuring ---- */

struct timer_case {
	const char *name;
	void (*run)(void);
	int baseline; /* its index, or -1 */
	double samples[ROUNDS_MAX];
};

static struct timer_case cases[] = {
	{ "timer_uv", run_uv, -1, { 0 } },
	{ "timer_heap", run_heap, 0, { 0 } },
	{ "timer_tasks", run_tasks, 0, { 0 } },
	{ "timer_uv_pages", run_uv_pages, 0, { 0 } },
	{ "timer_uv_never", run_uv_never, -1, { 0 } },
	{ "timer_heap_never", run_heap_never, 4, { 0 } },
	{ "timer_uv_pair", run_uv_pair, -1, { 0 } },
	{ "timer_heap_pair", run_heap_pair, 6, { 0 } },
	{ "timer_scope_pair", run_scope_pair, 6, { 0 } },
};

#define N_CASES (sizeof cases / sizeof *cases)

/* In a process of its own. CPU seconds. */
static double
measure(const struct timer_case *c)
{
	double seconds = 0;
	int fds[2], status;
	pid_t child;

	if (pipe(fds) < 0)
		fail("pipe", CEDE_EMFILE);
	child = fork();
	if (child < 0)
		fail("fork", CEDE_EAGAIN);
	if (child == 0) {
		const uint64_t start = bench_now_ns(BENCH_CLOCK_CPU);

		c->run();
		seconds = (double)(bench_now_ns(BENCH_CLOCK_CPU) - start) / 1e9;
		_exit(write(fds[1], &seconds, sizeof seconds) != sizeof seconds);
	}
	close(fds[1]);
	if (read(fds[0], &seconds, sizeof seconds) != sizeof seconds ||
		waitpid(child, &status, 0) != child || status != 0)
		fail(c->name, CEDE_EOF);
	close(fds[0]);
	return seconds;
}

static void
report(struct timer_case *c, size_t n_rounds)
{
	double values[ROUNDS_MAX];
	char name[100];

	memcpy(values, c->samples, n_rounds * sizeof *values);
	const double median = bench_median(values, n_rounds);

	printf("# %s: %.3f s in all; min %.3f, max %.3f\n", c->name, median, values[0],
		values[n_rounds - 1]);
	bench_print(c->name, median / (double)count * 1e9, "ns");
	if (c->baseline < 0 || cases[c->baseline].samples[0] == 0)
		return;
	for (size_t i = 0; i < n_rounds; i++)
		values[i] = c->samples[i] / cases[c->baseline].samples[i];
	snprintf(name, sizeof name, "%s_ratio", c->name);
	bench_print(name, bench_median(values, n_rounds), "x");
}

static int
parse(int argc, char **argv, size_t *ret_rounds, const char **ret_filter)
{
	size_t n_rounds = ROUNDS_DEFAULT;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--smoke") == 0) {
			count = COUNT_SMOKE;
			longest_ms = 10;
			n_rounds = 1;
		} else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc) {
			count = strtoul(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
			n_rounds = strtoul(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc) {
			*ret_filter = argv[++i];
		} else {
			return -1;
		}
	}
	*ret_rounds = n_rounds;
	return count == 0 || count > INT32_MAX || n_rounds == 0 || n_rounds > ROUNDS_MAX ? -1 : 0;
}

int
main(int argc, char **argv)
{
	const char *filter = "";
	size_t n_rounds;

	if (parse(argc, argv, &n_rounds, &filter) < 0) {
		fputs("usage: bench_timer [--count N] [--rounds N] [--filter TEXT] [--smoke]\n",
			stderr);
		return 2;
	}
	bench_print_header(stdout, "many timers");
	printf("# %zu of them, %zu rounds\n", count, n_rounds);
	fflush(stdout);
	for (size_t round = 0; round < n_rounds; round++)
		for (size_t i = 0; i < N_CASES; i++)
			if (strstr(cases[i].name, filter))
				cases[i].samples[round] = measure(&cases[i]);
	for (size_t i = 0; i < N_CASES; i++)
		if (strstr(cases[i].name, filter))
			report(&cases[i], n_rounds);
	return fflush(stdout) != 0;
}
