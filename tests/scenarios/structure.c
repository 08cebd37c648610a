/* Scenarios of groups, scopes, tasks and coroutines. */
#include "tests/scenarios/scenario.h"

/* ---- groups in groups ---- */

static int
leaf(void *arg)
{
	int r = 0;

	for (uint64_t i = 1; i <= 3 && r == 0; i++)
		r = cede_sleep(i);
	if (r == 0)
		++*(int *)arg;
	return r;
}

static int
branch(void *arg)
{
	int r = 0;
	CEDE_GROUP(group);

	for (int i = 0; i < 3 && r == 0; i++)
		r = cede_spawn(&group, leaf, arg);
	return r < 0 ? r : cede_group_wait(&group);
}

static int
nested_groups(void *arg)
{
	int leaves = 0, r = 0;
	{
		CEDE_GROUP(group);

		for (int i = 0; i < 3 && r == 0; i++)
			r = cede_spawn(&group, branch, &leaves);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	require(leaves <= 9);
	return r;
}

/* ---- timeouts in timeouts ---- */

static int
timeouts_in_timeouts(void *arg)
{
	int inner = 0, middle = 0, outer = 0, after;

	CEDE_TIMEOUT(300) {
		CEDE_TIMEOUT(200) {
			CEDE_TIMEOUT(100) {
				while (inner == 0)
					inner = cede_sleep(30);
			}
			while (middle == 0)
				middle = cede_sleep(30);
		}
		while (outer == 0)
			outer = cede_sleep(30);
	}
	after = cede_sleep(30);
	require(inner < 0 && middle < 0 && outer < 0);
	if (inner == CEDE_EXIT)
		require(middle == CEDE_EXIT && outer == CEDE_EXIT && after == CEDE_EXIT);
	return after < 0 ? after : unless(CEDE_ETIMEDOUT, outer);
}

/* ---- cleanup that takes time ---- */

struct session {
	int opened, closed;
};

static int
hold_a_session(void *arg)
{
	struct session *session = arg;
	cede_scope_t shield;
	int r;

	session->opened++;
	r = cede_sleep(50);
	if (cede_shield_enter(&shield, 1000) < 0) {
		session->closed++; /* without memory: the hard way */
		return CEDE_ENOMEM;
	}
	require(cede_sleep(20) == 0 && cede_sleep(20) == 0);
	cede_scope_leave(&shield);
	session->closed++;
	return r;
}

static int
shielded_cleanup(void *arg)
{
	struct session session = { 0 };
	int r = 0;
	{
		CEDE_GROUP(group);

		for (int i = 0; i < 4 && r == 0; i++)
			r = cede_spawn(&group, hold_a_session, &session);
		if (r == 0)
			r = cede_sleep(10);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	require(session.opened == session.closed);
	return r;
}

/* ---- the first error ---- */

static int
fail_in_a_while(void *arg)
{
	int r = cede_sleep(20);

	return r < 0 ? r : CEDE_EPIPE;
}

static int
go_on_for_long(void *arg)
{
	int r = 0;

	for (int i = 0; i < 10 && r == 0; i++)
		r = cede_sleep(7);
	return r;
}

static int
first_error_cancels_siblings(void *arg)
{
	int r = 0;
	CEDE_GROUP(group);

	for (int i = 0; i < 4 && r == 0; i++)
		r = cede_spawn(&group, i == 2 ? fail_in_a_while : go_on_for_long, NULL);
	if (r == 0)
		r = cede_group_wait(&group);
	return unless(CEDE_EPIPE, r);
}

/* ---- coroutines that await coroutines ---- */

static int
descend(void *arg)
{
	const int depth = *(int *)arg;
	int below = depth - 1;
	cede_coro_t *child;
	int r = cede_sleep(1);

	if (r < 0 || depth == 0)
		return r;
	r = cede_coro_create(&child, descend, &below, NULL);
	if (r < 0)
		return r;
	r = cede_await_coro(child, NULL);
	if (cede_coro_state(child) == CEDE_CORO_CREATED)
		cede_coro_close(child, NULL); /* no stack was to be had */
	cede_coro_unref(child);
	return r < 0 ? r : cede_sleep(1);
}

static int
awaited_chain(void *arg)
{
	int depth = 12;

	return descend(&depth);
}

/* ---- an asynchronous generator ---- */

static int
tick(void *arg)
{
	int *open = arg, r = 0;

	++*open;
	for (uintptr_t i = 1; i <= 10 && r == 0; i++) {
		r = cede_sleep(5);
		if (r == 0)
			r = cede_agen_yield((void *)i, NULL);
	}
	--*open;
	return r;
}

static int
ticks_until_enough(void *arg)
{
	cede_agen_t *agen;
	void *value;
	int open = 0, n = 0, r, closed;

	r = cede_agen_create(&agen, tick, &open, NULL);
	if (r < 0)
		return r;
	while (n < 6 && (r = cede_agen_next(agen, &value)) == 1)
		require((uintptr_t)value == (uintptr_t)++n);
	closed = cede_agen_close(agen);
	cede_agen_unref(agen);
	require(open == 0);
	return r < 0 ? r : closed;
}

/* ---- trying again ---- */

static int
try_it(int *attempts)
{
	int r = cede_sleep(3);

	return r < 0 ? r : ++*attempts < 5 ? CEDE_ECONNREFUSED : 0;
}

static int
retry_with_backoff(void *arg)
{
	int attempts = 0, r = CEDE_ECONNREFUSED, waited;

	CEDE_TIMEOUT(10000) {
		for (uint64_t pause = 10; r == CEDE_ECONNREFUSED; pause *= 2) {
			r = try_it(&attempts);
			if (r == CEDE_ECONNREFUSED && (waited = cede_sleep(pause)) < 0)
				r = waited;
		}
	}
	require(r < 0 || attempts == 5);
	return r;
}

/* ---- whoever is first ---- */

static int
race_of_two(void *arg)
{
	cede_task_t *fast = NULL, *slow = NULL;
	cede_join_t a, b;
	cede_sleep_t limit;
	int r;
	CEDE_GROUP(group);

	r = cede_spawn_with(&group, fail_in_a_while, NULL, NULL, &fast);
	group.policy = CEDE_GROUP_KEEP_GOING;
	if (r == 0)
		r = cede_spawn_with(&group, go_on_for_long, NULL, NULL, &slow);
	if (r == 0)
		r = cede_sleep_start(500, &limit);
	if (r == 0) {
		require(cede_join_start(fast, &a) == 0 && cede_join_start(slow, &b) == 0);
		r = cede_select(3, (cede_future_t *[]){ &a.future, &b.future, &limit.future });
	}
	cede_group_cancel(&group);
	if (r >= 0)
		r = unless(CEDE_EPIPE, cede_group_wait(&group));
	cede_task_unref(fast);
	cede_task_unref(slow);
	return unless(CEDE_EPIPE, r);
}

/* ---- a supervisor ---- */

static int
crash(void *arg)
{
	int r = cede_sleep(10);

	return r < 0 ? r : CEDE_EPIPE;
}

static int
supervisor(void *arg)
{
	int r = CEDE_EPIPE;

	for (int starts = 0; starts < 5 && r == CEDE_EPIPE; starts++) {
		cede_task_t *worker;
		CEDE_GROUP(group);

		r = cede_spawn_with(&group, crash, NULL, NULL, &worker);
		if (r < 0)
			break;
		r = cede_join(worker, NULL);
		cede_task_unref(worker);
		if (r == CEDE_EPIPE && cede_sleep(100) < 0)
			break;
	}
	return unless(CEDE_EPIPE, r);
}

/* ---- a deadline that is moved ---- */

static int
deadline_that_is_moved(void *arg)
{
	cede_scope_t scope;
	int r = cede_scope_enter(&scope, 20), n = 0;

	if (r < 0)
		return r;
	while (r == 0) {
		r = cede_sleep(15);
		if (r == 0 && ++n < 8)
			r = cede_scope_reschedule(&scope, 20);
	}
	cede_scope_leave(&scope);
	return unless(CEDE_ETIMEDOUT, r);
}

/* ---- a heartbeat behind the work ---- */

static int
beat(void *arg)
{
	int r = 0;

	while (r == 0) {
		r = cede_sleep(10);
		++*(int *)arg;
	}
	return r;
}

static int
heartbeat(void *arg)
{
	int beats = 0, r;
	{
		CEDE_GROUP(background);

		r = cede_spawn(&background, beat, &beats);
		if (r == 0)
			r = go_on_for_long(NULL);
	}
	require(beats > 0 || r < 0);
	return r;
}

/* ---- results ---- */

static int
make_a_text(void *arg)
{
	char *text = strdup("text");
	int r;

	require(text);
	r = cede_sleep(3);
	if (r < 0) {
		free(text);
		return r;
	}
	return cede_return(text);
}

static int
values_of_tasks(void *arg)
{
	const cede_spawn_options_t how = { .value_dtor = free };
	cede_task_t *tasks[5] = { 0 };
	void *text;
	int r = 0;
	CEDE_GROUP(group);

	for (int i = 0; i < 5 && r == 0; i++)
		r = cede_spawn_with(&group, make_a_text, NULL, &how, &tasks[i]);
	for (int i = 0; i < 5 && r == 0; i++) {
		r = cede_join(tasks[i], &text);
		require(r < 0 || strcmp(text, "text") == 0);
	}
	for (int i = 0; i < 5; i++)
		cede_task_unref(tasks[i]);
	return r;
}

/* ---- arguments that are owned ---- */

static int
use_an_argument(void *arg)
{
	int r = cede_sleep(2);

	free(arg);
	return r;
}

static int
owned_arguments(void *arg)
{
	int r = 0;
	CEDE_GROUP(group);

	for (int i = 0; i < 6 && r == 0; i++) {
		void *block = malloc(16);

		require(block);
		r = cede_spawn_own(&group, use_an_argument, block, free);
		if (r == 0 && i == 3)
			r = cede_sleep(0);
	}
	return r < 0 ? r : cede_group_wait(&group);
}

const struct scenario scenarios[] = {
	{ "nested_groups", nested_groups, 0, NULL },
	{ "timeouts_in_timeouts", timeouts_in_timeouts, 0, NULL },
	{ "shielded_cleanup", shielded_cleanup, 0, NULL },
	{ "first_error_cancels_siblings", first_error_cancels_siblings, 0, NULL },
	{ "awaited_chain", awaited_chain, 0, NULL },
	{ "ticks_until_enough", ticks_until_enough, 0, NULL },
	{ "retry_with_backoff", retry_with_backoff, 0, NULL },
	{ "race_of_two", race_of_two, 0, NULL },
	{ "supervisor", supervisor, 0, NULL },
	{ "deadline_that_is_moved", deadline_that_is_moved, 0, NULL },
	{ "heartbeat", heartbeat, 0, NULL },
	{ "values_of_tasks", values_of_tasks, 0, NULL },
	{ "owned_arguments", owned_arguments, 0, NULL },
	{ NULL, NULL, 0, NULL },
};
