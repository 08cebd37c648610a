/*
 * What many suspended coroutines cost: bytes resident and of page tables, mappings,
 * and nanoseconds to create each and run it to its first yield, on fresh memory.
 *
 *     bench_memory [--count N] [--smoke]
 *
 * The floor is one page each: so many slots of a bare mapping, a word written at
 * the top of each, no guards. The goals: a page and 300 bytes at a million, and
 * at most 30 mappings at a hundred thousand, all guarded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cede/coro.h>

#include "bench.h"

#define COUNT_DEFAULT 100000
#define COUNT_SMOKE   1000
#define SLOT          ((size_t)68 * 1024) /* an odd number of pages */

struct usage {
	double resident_bytes;
	double table_bytes;
	double mappings;
	uint64_t ns;
};

static void
fail(const char *what)
{
	fprintf(stderr, "bench_memory: %s\n", what);
	exit(1);
}

/* A figure in kB of /proc/self/status, in bytes. */
static double
status_bytes(const char *name)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	double bytes = 0;

	if (!file)
		fail("no /proc/self/status");
	while (fgets(line, sizeof line, file)) {
		if (strncmp(line, name, strlen(name)) == 0)
			bytes = strtod(line + strlen(name), NULL) * 1024;
	}
	fclose(file);
	return bytes;
}

static double
count_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	int c, n = 0;

	if (!file)
		fail("no /proc/self/maps");
	while ((c = getc(file)) != EOF)
		n += c == '\n';
	fclose(file);
	return n;
}

static struct usage
look(void)
{
	return (struct usage){
		.resident_bytes = status_bytes("VmRSS:"),
		.table_bytes = status_bytes("VmPTE:"),
		.mappings = count_mappings(),
		.ns = bench_now_ns(BENCH_CLOCK_CPU),
	};
}

static void
print(const char *name, const char *figure, double value, const char *unit)
{
	char text[100];

	snprintf(text, sizeof text, "memory_%s_%s", name, figure);
	bench_print(text, value, unit);
}

/* What `now` is more than `before`, each. Returns the resident bytes. */
static double
print_usage(const char *name, const struct usage *before, uint64_t end_ns, size_t count)
{
	struct usage now = look();
	double n = (double)count;
	double resident = (now.resident_bytes - before->resident_bytes) / n;

	print(name, "resident", resident, "bytes");
	print(name, "tables", (now.table_bytes - before->table_bytes) / n, "bytes");
	print(name, "mappings", now.mappings - before->mappings, "mappings");
	print(name, "create", (double)(end_ns - before->ns) / n, "ns");
	return resident;
}

static double
measure_bare(size_t count)
{
	struct usage before = look();
	char *base = mmap(NULL, count * SLOT, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		fail("no address space");
	madvise(base, count * SLOT, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < count; i++)
		base[(i + 1) * SLOT - 1] = 1;

	double resident = print_usage("bare", &before, bench_now_ns(BENCH_CLOCK_CPU), count);
	munmap(base, count * SLOT);
	return resident;
}

static int
sleeper(void *arg)
{
	return cede_yield(NULL, NULL);
}

static double
measure_cede(size_t count)
{
	cede_coro_t **all = calloc(count, sizeof *all);

	if (!all)
		fail("no memory");
	memset(all, 1, count * sizeof *all); /* resident before, not because of the coroutines */

	struct usage before = look();
	for (size_t i = 0; i < count; i++) {
		if (cede_coro_create(&all[i], sleeper, NULL, NULL) < 0 ||
			cede_coro_send(all[i], NULL, NULL) < 0)
			fail("no memory for so many coroutines");
	}
	double resident = print_usage("cede", &before, bench_now_ns(BENCH_CLOCK_CPU), count);

	for (size_t i = 0; i < count; i++) {
		cede_coro_close(all[i], NULL);
		cede_coro_unref(all[i]);
	}
	free(all);
	return resident;
}

int
main(int argc, char **argv)
{
	size_t count = COUNT_DEFAULT;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--smoke") == 0)
			count = COUNT_SMOKE;
		else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
			count = strtoul(argv[++i], NULL, 10);
		else
			count = 0;
	}
	if (count == 0) {
		fputs("usage: bench_memory [--count N] [--smoke]\n", stderr);
		return 2;
	}

	bench_print_header(stdout, "memory of suspended coroutines");
	printf("# %zu of them\n", count);
	double bare = measure_bare(count);
	bench_print("memory_cede_resident_ratio", measure_cede(count) / bare, "x");
	return 0;
}
