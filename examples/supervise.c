/*
 * Runs a command, and runs it again when it ends, after a pause that doubles while
 * it keeps ending soon. SIGTERM and SIGINT end it: the command is asked to end, and
 * killed if it has not after its grace.
 *
 *     supervise [--grace MS] [--pause MS] COMMAND [ARGUMENT…]
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <cede/cede.h>

#define PAUSE_MAX_MS 30000
#define SETTLED_MS   10000 /* who ran for so long starts with the first pause again */

struct options {
	char **command;
	uint64_t grace_ms, pause_ms;
};

/* Waits for the command's end or a signal. 1: a signal has come; 0: it has ended; or a code. */
CEDE_SUSPENDS static int
watch(cede_process_t *p, cede_signal_t signals[2])
{
	cede_process_wait_t end;
	int r = cede_process_wait_start(p, &end);

	if (r == 0)
		r = cede_wait_any(3,
			(cede_future_t *[]){ &signals[0].future, &signals[1].future, &end.future });
	if (r < 0)
		return r;
	if (r < 2) {
		cede_future_cancel(&end.future);
		return 1;
	}
	if (end.future.result < 0)
		return end.future.result;
	if (end.status.signal)
		printf("killed by signal %d\n", end.status.signal);
	else
		printf("exited with %d\n", end.status.exit_code);
	return 0;
}

CEDE_SUSPENDS static int
run_once(const struct options *o, cede_signal_t signals[2])
{
	cede_process_t *p;
	int r = cede_process_spawn(&(cede_process_options_t){ .argv = (const char *const *)
									      o->command,
					   .in = { CEDE_PROCESS_INHERIT, 0 },
					   .new_session = 1, /* its children end with it */
					   .grace_ms = o->grace_ms },
		&p);

	if (r < 0)
		return r;
	printf("started %d\n", cede_process_pid(p));
	r = watch(p, signals);
	if (r > 0)
		printf("stopping\n");
	if (r != 0) {
		int stopped = cede_process_stop(p);

		r = r > 0 && stopped < 0 ? stopped : r;
	}
	cede_process_close(p);
	return r;
}

/* The pause between two runs. 1: a signal has come; 0: it is over; or a code. */
CEDE_SUSPENDS static int
pause_for(uint64_t pause_ms, cede_signal_t signals[2])
{
	cede_sleep_t pause;
	int r = cede_sleep_start(pause_ms, &pause);

	if (r == 0)
		r = cede_wait_any(3,
			(cede_future_t *[]){ &signals[0].future, &signals[1].future,
				&pause.future });
	cede_future_cancel(&pause.future);
	return r < 0 ? r : r < 2;
}

static int
supervise(void *arg)
{
	const struct options *o = arg;
	uint64_t pause_ms = o->pause_ms;
	cede_signal_t signals[2];
	int r = cede_signal_start(SIGTERM, &signals[0]);

	if (r < 0)
		return r;
	r = cede_signal_start(SIGINT, &signals[1]);
	if (r < 0) {
		cede_future_cancel(&signals[0].future);
		return r;
	}
	while (r == 0) {
		const uint64_t began = cede_loop_now(cede_loop_current());

		r = run_once(o, signals);
		if (cede_loop_now(cede_loop_current()) - began >= SETTLED_MS)
			pause_ms = o->pause_ms;
		if (r == 0)
			r = pause_for(pause_ms, signals);
		pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
	}
	cede_future_cancel(&signals[0].future);
	cede_future_cancel(&signals[1].future);
	return r < 0 ? r : 0;
}

int
main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "grace", required_argument, NULL, 'g' },
		{ "pause", required_argument, NULL, 'p' },
		{ 0 },
	};
	struct options o = { .grace_ms = 5000, .pause_ms = 100 };
	int c, r;

	while ((c = getopt_long(argc, argv, "+g:p:", names, NULL)) != -1) {
		if (c == 'g')
			o.grace_ms = strtoull(optarg, NULL, 10);
		else if (c == 'p')
			o.pause_ms = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	if (optind == argc) {
		fprintf(stderr, "usage: supervise [--grace MS] [--pause MS] COMMAND [ARGUMENT…]\n");
		return 2;
	}
	o.command = argv + optind;
	setvbuf(stdout, NULL, _IOLBF, 0);
	r = cede_run(supervise, &o);
	if (r < 0)
		fprintf(stderr, "supervise: %s: %s\n", o.command[0], cede_strerror(r));
	return r < 0;
}
