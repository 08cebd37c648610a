/* Scenarios of groups as scopes, deferred calls, the values of tasks and why a task was cancelled. */
#include "tests/scenarios/scenario.h"

static int
go_on_for_long(void *arg)
{
	int r = 0;

	for (int i = 0; i < 10 && r == 0; i++)
		r = cede_sleep(7);
	return r;
}

/* ---- a group with a deadline ---- */

static int
group_with_a_deadline(void *arg)
{
	int r, after;
	{
		CEDE_GROUP(group);

		r = cede_group_set_timeout(&group, 40);
		for (int i = 0; i < 3 && r == 0; i++)
			r = cede_spawn(&group, go_on_for_long, NULL);
		while (r == 0)
			r = cede_sleep(15); /* what the block awaits is bounded too */
		r = r == CEDE_ETIMEDOUT ? cede_group_wait(&group) : r;
	}
	require(r < 0);
	after = cede_sleep(5);
	require(after != CEDE_ETIMEDOUT);
	return after < 0 ? after : unless(CEDE_ETIMEDOUT, r);
}

static int
deadline_of_a_group_that_is_moved(void *arg)
{
	int r;
	CEDE_GROUP(group);

	r = cede_group_set_timeout(&group, 20);
	for (int i = 0; i < 3 && r == 0; i++)
		r = cede_spawn(&group, go_on_for_long, NULL);
	for (int i = 0; i < 4 && r == 0; i++) {
		r = cede_sleep(15);
		if (r == 0)
			r = cede_group_set_timeout(&group, i < 3 ? 20 : 100);
	}
	return r < 0 ? r : cede_group_wait(&group);
}

/* ---- a group that ends, or a tick ---- */

static int
end_of_a_group_or_a_tick(void *arg)
{
	int ticks = 0, r = 0;
	CEDE_GROUP(group);

	for (int i = 0; i < 3 && r == 0; i++)
		r = cede_spawn(&group, go_on_for_long, NULL);
	while (r >= 0) {
		cede_group_wait_t end;
		cede_sleep_t tick;

		r = cede_group_wait_start(&group, &end);
		if (r < 0)
			break;
		r = cede_sleep_start(30, &tick);
		if (r < 0) {
			cede_future_cancel(&end.future);
			break;
		}
		r = cede_select(2, (cede_future_t *[]){ &end.future, &tick.future });
		if (r == 0) {
			r = end.future.result;
			break;
		}
		ticks++;
	}
	require(ticks <= 3);
	return r;
}

/* ---- deferred cleanup that takes time ---- */

struct accounts {
	int opened, closed;
};

static void
close_an_account(void *arg)
{
	struct accounts *accounts = arg;

	CEDE_SHIELD(1000) {
		int r = cede_sleep(10);

		require(r == 0 || r == CEDE_ENOMEM);
	}
	accounts->closed++;
}

static int
use_an_account(void *arg)
{
	struct accounts *accounts = arg;
	char *notes = malloc(16);
	int r;

	require(notes);
	accounts->opened++;
	if (cede_defer(close_an_account, accounts) < 0) {
		accounts->closed++;
		free(notes);
		return CEDE_ENOMEM;
	}
	if (cede_defer(free, notes) < 0) {
		free(notes);
		return CEDE_ENOMEM;
	}
	r = cede_sleep(20);
	return r < 0 ? r : cede_sleep(20);
}

static int
deferred_cleanup_in_a_shield(void *arg)
{
	struct accounts accounts = { 0 };
	int r = 0;
	{
		CEDE_GROUP(group);

		for (int i = 0; i < 4 && r == 0; i++)
			r = cede_spawn(&group, use_an_account, &accounts);
		if (r == 0)
			r = cede_sleep(30);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	require(accounts.opened == accounts.closed);
	return r;
}

/* ---- values that tasks inherit ---- */

static char none[] = "none", first[] = "first", second[] = "second";

static const cede_local_t request = { .name = "request", .dtor = free, .default_value = none };

static int
set_request(const char *name)
{
	char *value = strdup(name);

	require(value);
	return cede_local_set(&request, value);
}

static int
is_request(const char *name)
{
	return strcmp(cede_local_get(&request), name) == 0;
}

/* Has its parent's, and then one of its own. */
static int
query(void *arg)
{
	int r;

	require(is_request(arg));
	r = cede_sleep(5);
	if (r == 0)
		r = set_request("query");
	if (r == 0)
		r = cede_sleep(5);
	require(is_request(r == 0 ? "query" : cede_local_get(&request)));
	return r;
}

static int
handle_request(void *arg)
{
	int r;
	CEDE_GROUP(group);

	require(is_request(none));
	r = set_request(arg);
	for (int i = 0; i < 2 && r == 0; i++)
		r = cede_spawn(&group, query, arg);
	if (r == 0)
		r = cede_group_wait(&group);
	require(is_request(arg) || r == CEDE_ENOMEM);
	return r;
}

static int
values_across_spawns(void *arg)
{
	int r;
	CEDE_GROUP(group);

	r = cede_spawn(&group, handle_request, first);
	if (r == 0)
		r = cede_spawn(&group, handle_request, second);
	if (r == 0)
		r = cede_group_wait(&group);
	require(is_request(none));
	return r;
}

/* ---- why ---- */

static int
hear_why(void *arg)
{
	int r = go_on_for_long(NULL);

	if (r == CEDE_EXIT) /* there may have been no memory for it; and others cancel too */
		++*(int *)arg;
	return r;
}

static int
cancel_with_a_reason(void *arg)
{
	cede_task_t *task = NULL;
	int heard = 0, was_asked = 0, r;
	{
		CEDE_GROUP(group);

		r = cede_spawn_with(&group, hear_why, &heard, NULL, &task);
		if (r == 0)
			r = cede_sleep(20);
		if (r == 0) {
			was_asked = cede_task_cancel_with(task, "enough");
			r = cede_join(task, NULL);
		}
	}
	require(!was_asked || (heard == 1 && cede_task_result(task) == CEDE_ECANCELED));
	require(!was_asked || strcmp(cede_task_cancel_reason(task), "enough") == 0 ||
		cede_task_cancel_reason(task)[0] == '\0');
	cede_task_unref(task);
	return unless(CEDE_ECANCELED, r);
}

/* ---- a task that leaves its group ---- */

static int
write_later(void *arg)
{
	int r = go_on_for_long(NULL);

	free(arg);
	return r;
}

static int
task_that_leaves_its_group(void *arg)
{
	cede_task_t *task = NULL;
	int r;
	{
		void *block = malloc(8);
		CEDE_GROUP(group);

		require(block);
		r = cede_spawn_with(&group, write_later, block,
			&(cede_spawn_options_t){ .arg_dtor = free }, &task);
		if (r == 0)
			r = cede_sleep(10);
		if (r == 0)
			require(cede_task_detach(task) == 0 || cede_task_is_done(task));
	}
	if (r == 0)
		r = cede_sleep(10); /* the rest ends with the loop */
	cede_task_unref(task);
	return r;
}

const struct scenario scenarios[] = {
	{ "group_with_a_deadline", group_with_a_deadline, 0, NULL },
	{ "deadline_of_a_group_that_is_moved", deadline_of_a_group_that_is_moved, 0, NULL },
	{ "end_of_a_group_or_a_tick", end_of_a_group_or_a_tick, 0, NULL },
	{ "deferred_cleanup_in_a_shield", deferred_cleanup_in_a_shield, 0, NULL },
	{ "values_across_spawns", values_across_spawns, 0, NULL },
	{ "cancel_with_a_reason", cancel_with_a_reason, 0, NULL },
	{ "task_that_leaves_its_group", task_that_leaves_its_group, 0, NULL },
	{ NULL, NULL, 0, NULL },
};
