/*
 * What the tests of groups beside asyncio's share: children that end in each way, and
 * an owner of a group in a task of its own, which a test can cancel.
 *
 * Included by exactly one file of a program.
 */
#ifndef TESTS_LOOP_TASKGROUPS_TEST_H
#define TESTS_LOOP_TASKGROUPS_TEST_H

#include "tests/support/run.h"

#define MS(n) ((void *)(intptr_t)(n))

CEDE__MAYBE_UNUSED static int
fail_at(void *arg)
{
	int r = cede_sleep((uint64_t)(intptr_t)arg);

	return r < 0 ? r : CEDE_EPIPE;
}

CEDE__MAYBE_UNUSED static int
return_at(void *arg)
{
	return cede_sleep((uint64_t)(intptr_t)arg);
}

static int n_closed;

CEDE__MAYBE_UNUSED static int
count_close(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	n_closed += r == CEDE_EXIT;
	return r;
}

/* Takes its time to clean up. */
CEDE__MAYBE_UNUSED static int
clean_up_slowly(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	CEDE_SHIELD(1000) {
		cr_assert_eq(cede_sleep((uint64_t)(intptr_t)arg), 0);
	}
	n_closed += r == CEDE_EXIT;
	return r;
}

CEDE__MAYBE_UNUSED static int
fail_when_closed(void *arg)
{
	(void)!cede_sleep(UINT64_MAX);
	return cede_raise(CEDE_EBADF, "the cleanup has failed");
}

static int n_reports, last_report;

CEDE__MAYBE_UNUSED static void
count_report(const cede_task_t *task, int code, void *data)
{
	n_reports++;
	last_report = code;
}

/* What an owner does, in a task of its own that the test can cancel. */
struct owner {
	cede_fn *child;
	void *child_arg;
	int children;
	int waited; /* what the wait returned */
	int after;  /* and the next await */
	cede_task_t *task;
};

/* Starts an owner in a group that its errors do not concern, and lets it wait. */
CEDE__MAYBE_UNUSED static void
start_owner(cede_group_t *group, cede_fn *fn, struct owner *owner)
{
	group->policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn_with(group, fn, owner, NULL, &owner->task), 0);
	cr_assert_eq(cede_sleep(1), 0);
}

CEDE__MAYBE_UNUSED static int
join_owner(struct owner *owner)
{
	int r = cede_join(owner->task, NULL);

	owner->task = cede_task_unref(owner->task);
	return r;
}

#endif
