/*
 * Groups: a list of the tasks that run, a count, and a wait for "none is left".
 *
 * A group bounds its owner's block as well: its region is a scope of the owner,
 * open from the first spawn until the owner waits for the group or leaves it. When
 * a task fails, or the group's time passes, the region expires, and what the owner
 * awaits in the block is refused. A wait for the group closes the region first: a
 * failure must not keep the owner from learning of it.
 *
 * The block's scopes are left in their order, but nobody knows in which of them the
 * group was first used: so a region may lie anywhere among the owner's scopes, and
 * slips outwards when the one around it is left (scope.c).
 *
 * Leaving always waits, also in a task that is being closed: inside a shield of
 * its own, without a deadline, since every task of the group has been asked to
 * end and those that ignore it are ended by force.
 *
 * A wait that is given up ends like that too. A failure is then heard over the
 * close or the timeout of the owner, whichever came first: what the owner awaits
 * next says the latter, while a failure is told once.
 *
 * Invariants
 * - The region is open in the owner's list only; after a wait or a leave it is in none.
 * - A failed task that is kept holds its error until the group is left.
 */
#include <cede/group.h>

#include "coro/thread.h"
#include "loop/scope_int.h"
#include "loop/task_int.h"

#define ERRORS_MAX 1000

cede_group_t
cede__group_make(void)
{
	return (cede_group_t){ .owner = cede_task_current() };
}

void
cede_group_init(cede_group_t *group)
{
	*group = cede__group_make();
}

/* ---- the list of those who run ---- */

static void
link_task(cede_group_t *group, cede_task_t *task)
{
	task->group = group;
	task->prev = group->last;
	if (group->last)
		group->last->next = task;
	else
		group->first = task;
	group->last = task;
	group->running++;
}

static void
unlink_task(cede_group_t *group, cede_task_t *task)
{
	if (task->prev)
		task->prev->next = task->next;
	else
		group->first = task->next;
	if (task->next)
		task->next->prev = task->prev;
	else
		group->last = task->prev;
	task->group = NULL;
	task->prev = task->next = NULL;
	group->running--;
}

static void
cancel_tasks(cede_group_t *group, const char *why)
{
	for (cede_task_t *task = group->first; task; task = task->next)
		cede__task_cancel_as(task, why);
}

/* ---- the region ---- */

/* The owner uses the group: from here on it is bounded by it. */
static void
open_region(cede_group_t *group, cede_task_t *task)
{
	if (!group->owner)
		group->owner = task;
	if (group->owner != task || group->region.is_open || group->waiter)
		return;
	group->region.is_group = 1;
	cede__scope_open(&group->region, task);
}

static void
close_region(cede_group_t *group)
{
	if (group->region.is_open)
		cede__scope_take_out(&group->region);
	cede__timer_stop(&group->region.timer);
}

/* The group has come to an end before its time, or by it. */
static void
expire(cede_group_t *group, int code, const char *why)
{
	group->is_closing = 1;
	cancel_tasks(group, why);
	if (group->region.has_expired)
		return;
	group->region.has_expired = 1;
	group->region.code = code;
	if (group->region.is_open)
		cede__task_reconsider(group->owner);
}

/* The owner may not have heard yet that all have ended: then they ended in time, and that was all. */
static void
time_has_passed(struct cede__timer *timer)
{
	cede_scope_t *region = cede__container_of(timer, cede_scope_t, timer);
	cede_group_t *group = cede__container_of(region, cede_group_t, region);

	if (group->is_in_wait && group->running == 0)
		group->is_closing = 1;
	else
		expire(group, CEDE_ETIMEDOUT, "the time of its group has passed");
}

int
cede_group_set_timeout(cede_group_t *group, uint64_t timeout_ms)
{
	cede_task_t *task = cede_task_current();
	struct cede__timer *timer = &group->region.timer;

	if (!task)
		return CEDE_ENOTASK;
	if (group->owner && group->owner != task)
		return CEDE_EPERM;
	if (group->is_closing)
		return CEDE_EALREADY;
	cede__timer_stop(timer);
	timer->fire = time_has_passed;
	if (timeout_ms == 0) {
		time_has_passed(timer);
	} else {
		cede__loop_update_time(task->loop);
		int r = cede__timer_start(task->loop, timer, timeout_ms);

		if (r < 0)
			return r;
	}
	open_region(group, task);
	return 0;
}

/* ---- the end of a wait ---- */

/* What has become of the group. */
static int
outcome(const cede_group_t *group)
{
	if (group->first_error == 0)
		return group->region.has_expired ? group->region.code : 0;
	return group->first_error;
}

static void
note_read(const cede_group_t *group)
{
	for (cede_task_t *task = group->failed_first; task; task = task->next)
		task->is_read = 1;
}

/* The running task is told, of what is behind it too. */
static int
tell_outcome(const cede_group_t *group)
{
	const cede_task_t *failed = group->failed_first;

	note_read(group);
	if (failed && failed->error && cede_task_current())
		cede__error_give(cede_error_ref(failed->error));
	return outcome(group);
}

static void
end_wait_if_empty(cede_group_t *group)
{
	cede_group_wait_t *op = group->waiter;

	if (group->running > 0 || !op)
		return;
	group->waiter = NULL;
	op->group = NULL;
	if (!group->is_in_wait) { /* an operation of the user's: that is all there is to it */
		cede__timer_stop(&group->region.timer);
		note_read(group);
	}
	cede_future_resolve(&op->future, outcome(group), NULL);
}

/* ---- spawning ---- */

int
cede_spawn_at(cede_group_t *group, cede_fn *fn, void *arg, const cede_spawn_options_t *options,
	cede_task_t **ret_task, const char *site)
{
	cede_task_t *parent = cede_task_current(), *task;
	int r;

	if (!parent)
		r = CEDE_ENOTASK;
	else if (group->is_closing)
		r = CEDE_ECANCELED;
	else
		r = cede__task_create(parent->loop, fn, arg, options, site, &task);
	if (r < 0) {
		if (options && options->arg_dtor)
			options->arg_dtor(arg);
		return r;
	}

	open_region(group, parent);
	link_task(group, task);
	cede__locals_inherit(task, parent);
	if (ret_task)
		*ret_task = cede_task_ref(task);
	cede__task_begin(task, options && options->is_eager);
	return 0;
}

int(cede_spawn_with)(cede_group_t *group, cede_fn *fn, void *arg,
	const cede_spawn_options_t *options, cede_task_t **ret_task)
{
	return cede_spawn_at(group, fn, arg, options, ret_task, NULL);
}

int(cede_spawn)(cede_group_t *group, cede_fn *fn, void *arg)
{
	return cede_spawn_at(group, fn, arg, NULL, NULL, NULL);
}

int
cede_spawn_own_at(cede_group_t *group, cede_fn *fn, void *arg, cede_dtor_fn *arg_dtor,
	const char *site)
{
	cede_spawn_options_t options = { .arg_dtor = arg_dtor };

	return cede_spawn_at(group, fn, arg, &options, NULL, site);
}

int(cede_spawn_own)(cede_group_t *group, cede_fn *fn, void *arg, cede_dtor_fn *arg_dtor)
{
	return cede_spawn_own_at(group, fn, arg, arg_dtor, NULL);
}

int
cede_task_detach(cede_task_t *task)
{
	cede_group_t *group = task->group;

	if (!group)
		return CEDE_EALREADY;
	unlink_task(group, task);
	end_wait_if_empty(group);
	return 0;
}

void
cede_group_cancel(cede_group_t *group)
{
	group->is_closing = 1;
	cancel_tasks(group, "its group was cancelled");
}

/* ---- failed tasks ---- */

/*
 * Somebody has been told already by a callback of its own: that is not kept. The
 * loop knows of those that are: a group may be waited for and then forgotten.
 */
static void
keep_failed(cede_group_t *group, cede_task_t *task)
{
	if (task->done ||
		group->errors_kept >= (group->errors_max ? group->errors_max : ERRORS_MAX))
		return;
	group->errors_kept++;
	task->is_kept = 1;
	cede_task_ref(task);
	if (!task->is_ignoring) /* then it is on a list of its own */
		cede__list_append(&task->loop->failed, &task->link);
	if (group->failed_last)
		group->failed_last->next = task;
	else
		group->failed_first = task;
	group->failed_last = task;
}

static void
drop_failed(cede_group_t *group)
{
	while (group->failed_first) {
		cede_task_t *task = group->failed_first;

		group->failed_first = task->next;
		task->next = NULL;
		cede__task_let_go(task);
	}
	group->failed_last = NULL;
	group->errors_kept = 0;
}

void
cede__task_let_go(cede_task_t *task)
{
	task->is_kept = 0;
	if (!task->is_ignoring)
		cede__list_remove(&task->link);
	cede_task_unref(task);
}

cede_task_t *
cede_group_next_failed(const cede_group_t *group, const cede_task_t *after)
{
	cede_task_t *task = after ? after->next : group->failed_first;

	if (task)
		task->is_read = 1;
	return task;
}

void
cede__group_task_ended(cede_group_t *group, cede_task_t *task)
{
	const int has_failed = task->result < 0 && task->result != CEDE_ECANCELED;

	unlink_task(group, task);
	if (has_failed) {
		group->failed++;
		if (group->first_error == 0)
			group->first_error = task->result;
		keep_failed(group, task);
		if (group->policy == CEDE_GROUP_CANCEL_SIBLINGS)
			expire(group, CEDE_ECANCELED, "a task of its group has failed");
	}
	end_wait_if_empty(group);
}

/* ---- waiting and leaving ---- */

/* The owner goes on beside its tasks. */
static void
cancel_wait(cede_future_t *future)
{
	cede_group_t *group = cede__container_of(future, cede_group_wait_t, future)->group;

	group->waiter = NULL;
	open_region(group, group->owner);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

/* The group is not empty, and the owner is about to wait for that: no failure must keep it from it. */
static void
begin_wait(cede_group_t *group, cede_group_wait_t *op)
{
	if (group->region.is_open)
		cede__scope_take_out(&group->region); /* its timer goes on */
	cede_future_init(&op->future, cancel_wait);
	op->group = group;
	group->waiter = op;
}

/* Those spawned while it wakes are waited for too. 0 when none is left, or the code of a wait given up. */
CEDE_SUSPENDS static int
wait_until_empty(cede_group_t *group)
{
	int r = 0;

	while (group->running > 0 && r == 0) {
		cede_group_wait_t op;

		group->is_in_wait = 1;
		begin_wait(group, &op);
		r = cede_await(&op.future);
		group->is_in_wait = 0;
		if (!op.group)
			r = 0; /* not given up: none was left */
	}
	return r;
}

/* Ends what still runs. Nothing of the group is in the owner's hands after it but the errors. */
static void
end_all(cede_group_t *group)
{
	group->is_closing = 1;
	close_region(group);
	if (group->running > 0) {
		cede_scope_t shield;
		int r;

		cancel_tasks(group, "its group was left");
		cede__shield_enter_unbounded(&shield);
		r = wait_until_empty(group);
		cede_scope_leave(&shield);
		cede__check(r == 0, "a group was left outside its task");
	}
}

int
cede_group_leave(cede_group_t *group)
{
	int r;

	end_all(group);
	r = tell_outcome(group);
	drop_failed(group);
	return r;
}

/* May the running task wait for it? */
static int
check_wait(const cede_group_t *group)
{
	const cede_task_t *task = cede_task_current();

	if (group->running == 0 && !group->region.is_open)
		return 0;
	if (!task)
		return CEDE_ENOTASK;
	if (task != group->owner)
		return CEDE_EPERM; /* it may be gone when that one wakes, and the region is the owner's */
	return group->waiter ? CEDE_EBUSY : 0;
}

int
cede_group_wait_start(cede_group_t *group, cede_group_wait_t *op)
{
	int r = check_wait(group);

	if (r < 0)
		return r;
	begin_wait(group, op);
	end_wait_if_empty(group);
	return 0;
}

int
cede_group_wait(cede_group_t *group)
{
	int r = check_wait(group);

	if (r < 0)
		return r;
	r = wait_until_empty(group);
	if (r < 0)
		end_all(group);
	if (r < 0 && (group->first_error == 0 || group->policy == CEDE_GROUP_KEEP_GOING))
		return r;
	close_region(group);
	return tell_outcome(group);
}

/* The block is left, and nobody has asked what became of the group: its owner may still have to say. */
static void
leave_unheard(const cede_group_t *group)
{
	cede_task_t *failed = group->failed_first, *owner = group->owner;

	if (!failed || failed->is_read || group->policy == CEDE_GROUP_KEEP_GOING)
		return;
	cede_task_unref(owner->unheard);
	owner->unheard = cede_task_ref(failed);
}

void
cede__group_cleanup(cede_group_t *group)
{
	end_all(group);
	leave_unheard(group);
	drop_failed(group);
}
