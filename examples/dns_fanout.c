/*
 * Looks many names up at once, under one deadline, and prints what comes. With --first
 * the first answer wins, and the other lookups are given up.
 *
 *     dns_fanout [--first] [--deadline MS] NAME…
 *
 * Nobody can stop the system's resolver: what was given up is abandoned, and the program
 * ends when its threads are back.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <cede/cede.h>

#define NAMES_MAX 256

struct fanout {
	char **names;
	int count;
	int wants_first;
	uint64_t deadline_ms;
	int found; /* names that have an address */
};

struct lookup {
	struct fanout *fanout;
	const char *name;
};

static void
print_addresses(const char *name, const cede_dns_result_t *result)
{
	char text[CEDE_ADDRESS_TEXT_SIZE];

	for (unsigned i = 0; i < result->count; i++)
		if (cede_address_format(&result->addresses[i], text, sizeof text) == 0)
			printf("%s  %s\n", name, text);
}

static void
print_failure(const char *name, int code)
{
	printf("%s  %s\n", name, code == CEDE_EXIT ? "no answer in time" : cede_strerror(code));
}

/* ---- all of them: a task a name ---- */

static int
look_up(void *arg)
{
	struct lookup *l = arg;
	cede_dns_result_t *result;
	int r = cede_dns_lookup(l->name, NULL, NULL, &result);

	if (r < 0) {
		print_failure(l->name, r);
		return r == CEDE_EXIT ? r : 0; /* a name that is not found is no failure of ours */
	}
	print_addresses(l->name, result);
	cede_dns_result_destroy(result);
	l->fanout->found++;
	return 0;
}

static int
look_all_up(struct fanout *f)
{
	struct lookup lookups[NAMES_MAX];
	int r = 0;
	CEDE_GROUP(group);

	r = cede_group_set_timeout(&group, f->deadline_ms);
	for (int i = 0; i < f->count && r == 0; i++) {
		lookups[i] = (struct lookup){ f, f->names[i] };
		r = cede_spawn(&group, look_up, &lookups[i]);
	}
	if (r == 0)
		r = cede_group_wait(&group);
	return r;
}

/* ---- the first: no tasks, one wait for all ---- */

struct started {
	const char *name;
	cede_dns_lookup_t op;
};

/* Starts a lookup a name. How many were started; none: the code of the last that could not be. */
static int
start_all(const struct fanout *f, struct started *lookups)
{
	int count = 0, failure = 0;

	for (int i = 0; i < f->count; i++) {
		int r = cede_dns_lookup_start(f->names[i], NULL, NULL, &lookups[count].op);

		if (r == 0)
			lookups[count++].name = f->names[i];
		else
			failure = r;
	}
	return count > 0 ? count : failure;
}

/* Waits until one is found. Its index; all have failed: the code of the last; or of the wait. */
CEDE_SUSPENDS static int
await_first(struct started *lookups, int count)
{
	cede_future_t *pending[NAMES_MAX];
	int failure = CEDE_EAI_NONAME;

	for (;;) {
		int n = 0, r;

		for (int i = 0; i < count; i++) {
			cede_future_t *future = &lookups[i].op.future;

			if (!future->is_done)
				pending[n++] = future;
			else if (future->result == 0)
				return i;
		}
		if (n == 0)
			return failure;
		r = cede_wait_any(n, pending);
		if (r < 0)
			return r;
		failure = pending[r]->result;
	}
}

static int
look_first_up(struct fanout *f)
{
	struct started lookups[NAMES_MAX];
	int count = start_all(f, lookups), r = count;

	if (count > 0)
		CEDE_TIMEOUT(f->deadline_ms) {
			r = await_first(lookups, count);
		}
	if (r >= 0) {
		print_addresses(lookups[r].name, lookups[r].op.result);
		f->found = 1;
	}
	for (int i = 0; i < count; i++) {
		cede_future_cancel(&lookups[i].op.future);
		if (lookups[i].op.future.result == 0) /* more than one may have come */
			cede_dns_result_destroy(lookups[i].op.result);
	}
	return r < 0 ? r : 0;
}

static int
fan_out(void *arg)
{
	struct fanout *f = arg;

	f->found = 0;
	return f->wants_first ? look_first_up(f) : look_all_up(f);
}

/* ---- the command line ---- */

static int
parse(int argc, char **argv, struct fanout *f)
{
	static const struct option options[] = {
		{ "first", no_argument, NULL, 'f' },
		{ "deadline", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'f')
			f->wants_first = 1;
		else if (c == 'd')
			f->deadline_ms = strtoul(optarg, NULL, 10);
		else
			return 0;
	}
	f->names = argv + optind;
	f->count = argc - optind;
	return f->count > 0 && f->count <= NAMES_MAX;
}

int
main(int argc, char **argv)
{
	struct fanout f = { .deadline_ms = 5000 };
	int r;

	if (!parse(argc, argv, &f)) {
		fprintf(stderr, "usage: dns_fanout [--first] [--deadline MS] NAME…\n");
		return 2;
	}
	r = cede_run(fan_out, &f);
	if (r < 0)
		fprintf(stderr, "dns_fanout: %s\n", cede_strerror(r));
	return r < 0 || f.found == 0;
}
