/*
 * What the cancel of a task costs, with the spawn before it and the wait for its
 * end after it: a hundred at a time in one group; the figure is that of one.
 *
 *   cancel_none       the floor: each waits for an event, which is set
 *   cancel_sleep      each in cede_sleep(), cancelled by cede_task_cancel()
 *   cancel_group      the same by one cede_group_cancel()
 *   cancel_event      each waits for an event: no timer
 *   cancel_select     each in a cede_select() of an event and a sleep
 *   cancel_shield     each in a shield, which holds the cancel up until the event is set
 *   cancel_unstarted  before its first step: its body never runs
 */
#include <stdio.h>
#include <stdlib.h>

#include <cede/cede.h>

#include "bare.h"
#include "bench.h"

#define MANY 100

enum how { NOT_AT_ALL, BY_TASK, BY_GROUP };

struct scenario {
	cede_fn *body;
	enum how how;
	int is_started; /* each has taken its first step before it is cancelled */
	int is_set;     /* it ends when the event is set */
	int result;     /* of each */
	uint64_t n;
	cede_event_t event;
};

static void
check(const char *what, int code)
{
	if (code >= 0)
		return;
	fprintf(stderr, "bench_cancel: %s: %s\n", what, cede_strerror(code));
	exit(1);
}

static int
sleep_long(void *arg)
{
	return cede_sleep(30000);
}

static int
wait_for_event(void *arg)
{
	struct scenario *s = arg;

	return cede_event_wait(&s->event);
}

static int
select_of_both(void *arg)
{
	struct scenario *s = arg;
	cede_event_wait_t wait;
	cede_sleep_t sleep;
	int r = cede_event_wait_start(&s->event, &wait);

	check("cede_event_wait_start", r);
	check("cede_sleep_start", cede_sleep_start(30000, &sleep));
	return cede_select(2, (cede_future_t *[]){ &wait.future, &sleep.future });
}

static int
wait_in_a_shield(void *arg)
{
	struct scenario *s = arg;
	int r = 0;

	CEDE_SHIELD(30000) {
		r = cede_event_wait(&s->event);
	}
	return r;
}

static void
cancel(cede_group_t *group, cede_task_t *tasks[], enum how how)
{
	if (how == BY_GROUP)
		cede_group_cancel(group);
	for (int i = 0; i < MANY && how == BY_TASK; i++)
		cede_task_cancel(tasks[i]);
}

static int
one_hundred(struct scenario *s)
{
	cede_task_t *tasks[MANY];
	CEDE_GROUP(group);
	int r;

	cede_event_clear(&s->event);
	for (int i = 0; i < MANY; i++)
		check("cede_spawn", cede_spawn_with(&group, s->body, s, NULL, &tasks[i]));
	if (s->is_started)
		check("cede_sleep", cede_sleep(0));
	cancel(&group, tasks, s->how);
	if (s->is_set) {
		check("cede_sleep", cede_sleep(0));
		cede_event_set(&s->event);
	}
	r = cede_group_wait(&group);
	for (int i = 0; i < MANY; i++) {
		if (cede_task_result(tasks[i]) != s->result)
			check("a task's result", CEDE_EINVAL);
		cede_task_unref(tasks[i]);
	}
	return r;
}

static int
again_and_again(void *arg)
{
	struct scenario *s = arg;
	int r = 0;

	cede_event_init(&s->event);
	for (uint64_t i = 0; i < s->n && r == 0; i++)
		r = one_hundred(s);
	cede_event_deinit(&s->event);
	return r;
}

static void
run(void *arg, uint64_t n)
{
	struct scenario *s = arg;

	s->n = n;
	check("cede_run", cede_run(again_and_again, s));
}

int
main(int argc, char **argv)
{
	static struct scenario none = { .body = wait_for_event, .is_started = 1, .is_set = 1 };
	static struct scenario sleep = { sleep_long, BY_TASK, 1, .result = CEDE_ECANCELED };
	static struct scenario group = { sleep_long, BY_GROUP, 1, .result = CEDE_ECANCELED };
	static struct scenario event = { wait_for_event, BY_TASK, 1, .result = CEDE_ECANCELED };
	static struct scenario select = { select_of_both, BY_TASK, 1, .result = CEDE_ECANCELED };
	static struct scenario shield = { wait_in_a_shield, BY_TASK, 1, 1, .result = 0 };
	static struct scenario unstarted = { sleep_long, BY_TASK, 0, .result = CEDE_ECANCELED };
	static const struct bench_case cases[] = {
		{ .name = "cancel_none", .run = run, .arg = &none, .ops = MANY },
		{ "cancel_sleep", run, &sleep, MANY, "cancel_none" },
		{ "cancel_group", run, &group, MANY, "cancel_none" },
		{ "cancel_event", run, &event, MANY, "cancel_none" },
		{ "cancel_select", run, &select, MANY, "cancel_none" },
		{ "cancel_shield", run, &shield, MANY, "cancel_none" },
		{ "cancel_unstarted", run, &unstarted, MANY, "cancel_none" },
	};
	static const struct bench_suite suite = {
		.backend = BARE_NAME,
		.cases = cases,
		.n_cases = sizeof cases / sizeof cases[0],
	};

	return bench_main(&suite, argc, argv);
}
