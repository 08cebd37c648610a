/*
 * What an echoed message costs a server: CPU, user and system, per message, for
 * cede and beside it raw libuv (the baseline) and raw epoll (the floor).
 *
 * Life of a round of one scenario: every server is started on a port of its own
 * with a load generator of its own, whose connections are opened and warmed up.
 * Then they are measured in short slices in turn, A B C, A B C, ... (who begins
 * changes by round), while the others sleep; a server's figure is its CPU over
 * all slices by the messages over all slices. A round ends with the end of all
 * of them, since where a process happens to lie in memory is luck, too. Printed
 * are the median over rounds and the median of each round's ratio to the
 * baseline.
 *
 * A server is any command that takes ADDRESS:PORT last, prints
 * `listening ADDRESS:PORT` and exits with 0 on SIGTERM.
 *
 * An error anywhere (bytes that differ, a server that dies or does not end)
 * ends the program with 1; children are ended in every case.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "child.h"

#define SERVERS_MAX     8
#define WORDS_MAX       16
#define ROUNDS_MAX      101
#define START_MS        10000
#define RUN_MS          20000
#define SETTLE_TURNS    50
#define PATH_MAX_LENGTH 512

struct scenario {
	const char *name;
	const char *mode, *connections, *size, *depth; /* for the generator */
	const char *unit;
};

static const struct scenario scenarios[] = {
	{ "echo_1k_x1", "echo", "1", "1024", "1", "us_cpu_per_msg" },
	{ "echo_1k_x50", "echo", "50", "1024", "1", "us_cpu_per_msg" },
	{ "echo_1k_x1000", "echo", "1000", "1024", "1", "us_cpu_per_msg" },
	{ "echo_10k_x50", "echo", "50", "10240", "1", "us_cpu_per_msg" },
	{ "echo_100k_x50", "echo", "50", "102400", "1", "us_cpu_per_msg" },
	{ "echo_64b_x50_p16", "echo", "50", "64", "16", "us_cpu_per_msg" },
	{ "churn_1k_x50", "churn", "50", "1024", "1", "us_cpu_per_conn" },
};

struct contender {
	const char *name;
	const char *command[WORDS_MAX + 2]; /* with the address and NULL */
	size_t n_words;
	struct child server, generator;
	uint64_t cpu_ns, messages;  /* of the round */
	double samples[ROUNDS_MAX]; /* us a message */
};

enum cores {
	CORES_SAME,  /* server and generator on one: steadier */
	CORES_APART, /* one each */
	CORES_FREE,  /* where the system likes */
};

struct options {
	bool smoke;
	const char *filter, *baseline;
	size_t rounds, slices;
	unsigned slice_ms;
	enum cores cores;
};

static struct {
	struct options options;
	char directory[PATH_MAX_LENGTH];
	char loadgen[PATH_MAX_LENGTH + 16];
	int server_cpu, generator_cpu; /* -1: any */
	struct contender contenders[SERVERS_MAX];
	size_t n_contenders;
} bench = {
	.options = { .filter = "", .baseline = "uv", .rounds = 7, .slices = 24, .slice_ms = 25 },
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int signum)
{
	interrupted = signum;
}

/* Says what went wrong; returns the code. */
__attribute__((format(printf, 2, 3))) static int
fail(int code, const char *fmt, ...)
{
	va_list ap;

	fputs("bench_tcp_echo: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(-code));
	return code;
}

static int
start_server(struct contender *c, char *ret_address, size_t size)
{
	static const char word[] = "listening ";
	char line[128];
	int err;

	c->command[c->n_words] = "127.0.0.1:0";
	err = child_start(&c->server, c->command, bench.server_cpu);
	c->command[c->n_words] = NULL;
	if (err < 0)
		return fail(err, "starting %s", c->name);
	err = child_read_line(&c->server, line, sizeof line, START_MS);
	if (err < 0)
		return fail(err, "%s (%s) did not say that it listens", c->name, c->command[0]);
	if (strncmp(line, word, strlen(word)) || strlen(line) >= size + strlen(word))
		return fail(-EPROTO, "%s said '%s'", c->name, line);
	strcpy(ret_address, line + strlen(word));
	return 0;
}

static int
wait_ready(struct contender *c)
{
	char line[128];
	int err = child_read_line(&c->generator, line, sizeof line, START_MS);

	if (err == 0 && strcmp(line, "ready"))
		err = -EPROTO;
	return err < 0 ? fail(err, "the generator of %s is not ready", c->name) : 0;
}

static int
start(struct contender *c, const struct scenario *s)
{
	char address[64], seconds[32];
	const char *command[] = { bench.loadgen, "--sync", "--mode", s->mode, "--connections",
		s->connections, "--size", s->size, "--depth", s->depth, "--seconds", seconds,
		address, NULL };
	int err = start_server(c, address, sizeof address);

	if (err < 0)
		return err;
	snprintf(seconds, sizeof seconds, "%.3f", bench.options.slice_ms / 1000.0);
	err = child_start(&c->generator, command, bench.generator_cpu);
	return err < 0 ? fail(err, "starting %s", bench.loadgen) : wait_ready(c);
}

/* The generator first: connections end in the ordinary way. */
static int
stop(struct contender *c)
{
	int generator = child_stop(&c->generator, false);
	int server = child_stop(&c->server, true);

	if (generator < 0)
		return fail(generator, "the generator of %s failed", c->name);
	return server < 0 ? fail(server, "%s did not end well", c->name) : 0;
}

/* The server's CPU once it has come to rest: it may have closes to do after the last message. */
static int
settled_cpu(const struct contender *c, uint64_t *ret)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	uint64_t before, after = 0;
	int turns = 0, err;

	do {
		before = after;
		err = child_cpu_ns(&c->server, &after);
		if (err < 0)
			return fail(err, "%s is gone", c->name);
		nanosleep(&nap, NULL);
	} while (after != before && ++turns < SETTLE_TURNS);
	*ret = after;
	return 0;
}

static int
measure_slice(struct contender *c)
{
	unsigned long long messages;
	unsigned errors;
	uint64_t before = 0, after = 0;
	double seconds;
	char line[128];
	int err = settled_cpu(c, &before);

	if (err < 0)
		return err;
	if ((err = child_write_line(&c->generator, "go")) < 0 ||
		(err = child_read_line(&c->generator, line, sizeof line, RUN_MS)) < 0)
		return fail(err, "the load of %s", c->name);
	if (sscanf(line, "messages %llu seconds %lf errors %u", &messages, &seconds, &errors) != 3)
		return fail(-EPROTO, "the generator of %s said '%s'", c->name, line);
	if (errors || messages == 0)
		return fail(-EBADMSG, "%s: %s", c->name, line);
	if ((err = settled_cpu(c, &after)) < 0 || (err = wait_ready(c)) < 0)
		return err;
	c->cpu_ns += after - before;
	c->messages += messages;
	return interrupted ? -EINTR : 0;
}

static int
measure_round(const struct scenario *s, size_t round)
{
	size_t n = bench.n_contenders;
	int err = 0, stopped;

	for (size_t i = 0; i < n && err == 0; i++) {
		bench.contenders[i].cpu_ns = bench.contenders[i].messages = 0;
		err = start(&bench.contenders[i], s);
	}
	for (size_t k = 0; k < bench.options.slices && err == 0; k++)
		for (size_t i = 0; i < n && err == 0; i++)
			err = measure_slice(&bench.contenders[(i + round) % n]);
	for (size_t i = 0; i < n; i++) {
		struct contender *c = &bench.contenders[i];

		stopped = stop(c);
		if (err == 0)
			err = stopped;
		if (err == 0)
			c->samples[round] = (double)c->cpu_ns / 1e3 / (double)c->messages;
	}
	return err;
}

static const struct contender *
find_contender(const char *name)
{
	for (size_t i = 0; i < bench.n_contenders; i++)
		if (!strcmp(bench.contenders[i].name, name))
			return &bench.contenders[i];
	return NULL;
}

static void
report(const struct scenario *s)
{
	const struct contender *baseline = find_contender(bench.options.baseline);
	size_t rounds = bench.options.rounds;
	double sorted[ROUNDS_MAX], median;
	char name[128];

	for (size_t i = 0; i < bench.n_contenders; i++) {
		const struct contender *c = &bench.contenders[i];

		memcpy(sorted, c->samples, rounds * sizeof *sorted);
		median = bench_median(sorted, rounds);
		snprintf(name, sizeof name, "tcp_%s_%s", s->name, c->name);
		printf("# %s: min %.3f, max %.3f\n", name, sorted[0], sorted[rounds - 1]);
		bench_print(name, median, s->unit);
		if (!baseline || c == baseline)
			continue;
		for (size_t k = 0; k < rounds; k++)
			sorted[k] = c->samples[k] / baseline->samples[k];
		median = bench_median(sorted, rounds);
		snprintf(name, sizeof name, "tcp_%s_%s_ratio", s->name, c->name);
		printf("# %s: min %.3f, max %.3f\n", name, sorted[0], sorted[rounds - 1]);
		bench_print(name, median, "x");
	}
	fflush(stdout);
}

/* "name=command and its arguments". Points into @text, which it cuts up. */
static int
add_server(char *text)
{
	struct contender *c = &bench.contenders[bench.n_contenders];
	char *command = strchr(text, '='), *word, *rest;

	if (!command || command == text || bench.n_contenders == SERVERS_MAX)
		return -EINVAL;
	*command++ = '\0';
	c->name = text;
	for (word = strtok_r(command, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (c->n_words == WORDS_MAX)
			return -E2BIG;
		c->command[c->n_words++] = word;
	}
	if (c->n_words == 0)
		return -EINVAL;
	bench.n_contenders++;
	return 0;
}

/* The servers that lie beside this program; one that was not built is left out, aloud. */
static int
add_default_servers(void)
{
	static const char *const names[][2] = {
		{ "cede", "echo_bench_cede" },
		{ "uv", "baseline_uv_echo" },
		{ "epoll", "baseline_epoll_echo" },
	};
	static char texts[3][PATH_MAX_LENGTH + 64];

	for (size_t i = 0; i < 3; i++) {
		snprintf(texts[i], sizeof texts[i], "%s=%s/%s", names[i][0], bench.directory,
			names[i][1]);
		if (access(strchr(texts[i], '=') + 1, X_OK) < 0)
			printf("# %s left out: no %s\n", names[i][0], strchr(texts[i], '=') + 1);
		else if (add_server(texts[i]) < 0)
			return -EINVAL;
	}
	return bench.n_contenders ? 0 : -ENOENT;
}

/* The last processor we may use for the servers; the generator's by the option. */
static int
choose_cores(void)
{
	cpu_set_t set;
	int first = -1, last = -1;

	bench.server_cpu = bench.generator_cpu = -1;
	if (bench.options.cores == CORES_FREE)
		return 0;
	if (sched_getaffinity(0, sizeof set, &set) < 0)
		return -errno;
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET((size_t)i, &set))
			continue;
		first = first < 0 ? i : first;
		last = i;
	}
	if (bench.options.cores == CORES_APART && first == last)
		return -ENODEV;
	bench.server_cpu = last;
	bench.generator_cpu = bench.options.cores == CORES_SAME ? last : first;
	return 0;
}

static bool
parse_number(const char *text, size_t max, size_t *ret)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end || n < 1 || n > max)
		return false;
	*ret = n;
	return true;
}

static bool
parse_cores(const char *text, enum cores *ret)
{
	static const char *const names[] = { "same", "apart", "free" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(text, names[i]))
			continue;
		*ret = (enum cores)i;
		return true;
	}
	return false;
}

static bool
parse_option(const char *name, char *value)
{
	struct options *o = &bench.options;
	size_t n;

	if (!strcmp(name, "--filter"))
		return (o->filter = value);
	if (!strcmp(name, "--baseline"))
		return (o->baseline = value);
	if (!strcmp(name, "--loadgen"))
		return (size_t)snprintf(bench.loadgen, sizeof bench.loadgen, "%s", value) <
			sizeof bench.loadgen;
	if (!strcmp(name, "--server"))
		return add_server(value) == 0;
	if (!strcmp(name, "--rounds"))
		return parse_number(value, ROUNDS_MAX, &o->rounds);
	if (!strcmp(name, "--slices"))
		return parse_number(value, 1000, &o->slices);
	if (!strcmp(name, "--cores"))
		return parse_cores(value, &o->cores);
	if (strcmp(name, "--slice-ms") || !parse_number(value, 10000, &n))
		return false;
	o->slice_ms = (unsigned)n;
	return true;
}

static bool
parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--smoke"))
			bench.options.smoke = true;
		else if (i + 1 >= argc || !parse_option(argv[i], argv[i + 1]))
			return false;
		else
			i++;
	}
	if (bench.options.smoke) {
		bench.options.rounds = bench.options.slices = 1;
		bench.options.slice_ms = 10;
	}
	return true;
}

static int
find_directory(void)
{
	ssize_t n = readlink("/proc/self/exe", bench.directory, sizeof bench.directory - 1);

	if (n < 0)
		return -errno;
	bench.directory[n] = '\0';
	*strrchr(bench.directory, '/') = '\0';
	snprintf(bench.loadgen, sizeof bench.loadgen, "%s/loadgen", bench.directory);
	return 0;
}

static void
print_header(void)
{
	const struct options *o = &bench.options;

	bench_print_header(stdout, "each server's own");
	printf("# servers");
	for (size_t i = 0; i < bench.n_contenders; i++) {
		printf("%s %s:", i ? ";" : "", bench.contenders[i].name);
		for (size_t k = 0; k < bench.contenders[i].n_words; k++)
			printf(" %s", bench.contenders[i].command[k]);
	}
	printf("\n# %zu rounds of %zu slices of %u ms each; server on cpu %d, generator on cpu %d "
	       "(-1: any)\n",
		o->rounds, o->slices, o->slice_ms, bench.server_cpu, bench.generator_cpu);
}

static int
run(void)
{
	size_t n_run = 0;
	int err = bench.n_contenders ? 0 : add_default_servers();

	if (err < 0)
		return fail(err, "no servers");
	if ((err = choose_cores()) < 0)
		return fail(err, "choosing the cores");
	print_header();
	for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0] && err == 0; i++) {
		if (!strstr(scenarios[i].name, bench.options.filter))
			continue;
		n_run++;
		for (size_t k = 0; k < bench.options.rounds && err == 0; k++)
			err = measure_round(&scenarios[i], k);
		if (err == 0)
			report(&scenarios[i]);
	}
	return n_run ? err
		     : fail(-ENOENT, "no scenario has '%s' in its name", bench.options.filter);
}

int
main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };

	if (find_directory() < 0)
		return 1;
	if (!parse(argc, argv)) {
		fprintf(stderr,
			"usage: %s [--smoke] [--filter TEXT] [--cores same|apart|free]\n"
			"       [--rounds N] [--slices N] [--slice-ms MS] [--loadgen PATH]\n"
			"       [--baseline NAME] [--server 'NAME=COMMAND WITH ARGUMENTS']...\n",
			argv[0]);
		return 2;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN); /* a child may be gone when we write to it */
	return run() < 0;
}
