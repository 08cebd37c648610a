/*
 * examples/supervise.c, its own source, with real commands: quick ones that it starts
 * again, and one that runs until a signal comes.
 */
#include <signal.h>
#include <stdarg.h>

#include "tests/scenarios/scenario.h"

int supervise_main(int argc, char **argv);

static struct {
	unsigned starts, enough; /* lines that say so; at how many is_enough is set */
	cede_event_t is_enough;
	int is_stopping, has_ended_well;
} said;

/* What it prints is not shown. */
__attribute__((format(printf, 1, 2))) static int
note_line(const char *format, ...)
{
	char line[64];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (strncmp(line, "started ", 8) == 0 && ++said.starts == said.enough)
		cede_event_set(&said.is_enough);
	said.is_stopping |= strcmp(line, "stopping\n") == 0;
	return n;
}

#define main        supervise_main
#define printf(...) note_line(__VA_ARGS__)
#include "examples/supervise.c"
#undef printf
#undef main

static int
supervise_and_say(void *arg)
{
	int r = supervise(arg);

	said.has_ended_well = r == 0;
	cede_event_set(&said.is_enough); /* in any case */
	return r;
}

/* Runs it until the command was started so often, and then sends the process a SIGTERM. */
static int
run_until_started(struct options *o, unsigned times)
{
	cede_signal_t own; /* while it is open a SIGTERM does not end this program */
	int r = cede_signal_start(SIGTERM, &own);

	if (r < 0)
		return r;
	said.starts = 0;
	said.enough = times;
	said.is_stopping = said.has_ended_well = 0;
	cede_event_init(&said.is_enough);
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, supervise_and_say, o);
		if (r == 0)
			r = cede_event_wait(&said.is_enough);
		if (r == 0) {
			raise(SIGTERM);
			r = cede_await(&own.future);
		}
		if (r == 0)
			r = cede_group_wait(&group);
	}
	cede_future_cancel(&own.future);
	cede_event_deinit(&said.is_enough);
	return r;
}

static int
command_that_ends_is_started_again(void *arg)
{
	char name[] = "false", *command[] = { name, NULL };
	struct options o = { .command = command, .grace_ms = 5000, .pause_ms = 100 };
	int r = run_until_started(&o, 3);

	require(!said.has_ended_well || said.starts >= 3);
	return r;
}

static int
command_that_runs_is_stopped(void *arg)
{
	char name[] = "sleep", time[] = "60", *command[] = { name, time, NULL };
	struct options o = { .command = command, .grace_ms = 60000, .pause_ms = 100 };
	int r = run_until_started(&o, 1);

	require(!said.has_ended_well || (said.is_stopping && said.starts == 1));
	return r;
}

static int
command_that_is_not_there(void *arg)
{
	char name[] = "/nonexistent/program", *command[] = { name, NULL };
	struct options o = { .command = command, .grace_ms = 5000, .pause_ms = 100 };
	int r = supervise(&o);

	require(r < 0);
	return unless(CEDE_ENOENT, r);
}

const struct scenario scenarios[] = {
	{ "command_that_ends_is_started_again", command_that_ends_is_started_again, HAS_CHILDREN,
		NULL },
	{ "command_that_runs_is_stopped", command_that_runs_is_stopped, HAS_CHILDREN, NULL },
	{ "command_that_is_not_there", command_that_is_not_there, HAS_CHILDREN, NULL },
	{ NULL, NULL, 0, NULL },
};
