/* examples/dns_fanout.c, its own source, with names that need no network. */
#include "tests/scenarios/scenario.h"

#include <stdarg.h>

int dns_fanout_main(int argc, char **argv);

static unsigned n_lines;

/* What it prints is not shown. */
__attribute__((format(printf, 1, 2))) static int
note_line(const char *format, ...)
{
	char line[256];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	n_lines++;
	return n;
}

#define main        dns_fanout_main
#define printf(...) note_line(__VA_ARGS__)
#include "examples/dns_fanout.c"
#undef printf
#undef main

static char here[] = "localhost", v4[] = "127.0.0.1", v6[] = "::1", none[] = "no name";

static int
all_of_some_names(void *arg)
{
	char *names[] = { here, v4, none, here, v6 };
	struct fanout f = { .names = names, .count = 5, .deadline_ms = 60000 };
	int r;

	n_lines = 0;
	r = fan_out(&f);
	require(r < 0 || n_lines >= 5); /* one a name, found or not */
	require(f.found <= 4);
	return r;
}

static int
first_of_some_names(void *arg)
{
	char *names[] = { none, here, here, here };
	struct fanout f = { .names = names, .count = 4, .wants_first = 1, .deadline_ms = 60000 };
	int r = fan_out(&f);

	require((r == 0) == (f.found == 1));
	return r;
}

static int
first_of_no_names(void *arg)
{
	char *names[] = { none, none };
	struct fanout f = { .names = names, .count = 2, .wants_first = 1, .deadline_ms = 60000 };
	int r = fan_out(&f);

	require(r < 0 && f.found == 0);
	return unless(CEDE_EINVAL, r);
}

const struct scenario scenarios[] = {
	{ "all_of_some_names", all_of_some_names, IN_THE_POOL, NULL },
	{ "first_of_some_names", first_of_some_names, IN_THE_POOL, NULL },
	{ "first_of_no_names", first_of_no_names, IN_THE_POOL, NULL },
	{ NULL, NULL, 0, NULL },
};
