/* loop/scope.c, shields: cleanup that waits while its task is being closed. */
#include "tests/support/run.h"

#include "tests/support/order.h"

TestSuite(shield, .timeout = 20);

static cede_task_t *
spawn_and_let_wait(cede_group_t *group, cede_fn *fn, void *arg)
{
	cede_task_t *task;

	cr_assert_eq(cede_spawn_with(group, fn, arg, NULL, &task), 0);
	cr_assert_eq(cede_sleep(0), 0);
	return task;
}

/* Cancels it and waits for its end. Returns how long that took. */
static int64_t
cancel_and_join(cede_task_t *task, int expected)
{
	const int64_t before = clock_ms();

	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_join(task, NULL), expected);
	cede_task_unref(task);
	return clock_ms() - before;
}

static int
clean_up_in_a_shield(void *arg)
{
	int r = cede_sleep(UINT64_MAX), r2 = 1, r3;

	CEDE_SHIELD(1000) {
		r2 = cede_sleep(30);
	}
	r3 = cede_sleep(1);
	cr_assert_eq(r, CEDE_EXIT);
	cr_assert_eq(r2, 0);
	cr_assert_eq(r3, CEDE_EXIT, "behind the shield awaits are refused again");
	return r;
}

/* T4: with a shield, and only with one. */
TASK_TEST(shield, lets_cleanup_wait)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, clean_up_in_a_shield, NULL);

	cr_assert_eq(cancel_and_join(task, CEDE_ECANCELED), 30);
	return 0;
}

static int
clean_up_too_slowly(void *arg)
{
	int r = cede_sleep(UINT64_MAX);
	cede_scope_t shield;

	cr_assert_eq(cede_shield_enter(&shield, 50), 0);
	cr_assert_eq(cede_sleep(49), 0);
	cr_assert_eq(cede_sleep(60000), CEDE_EXIT);
	cr_assert_eq(cede_sleep(60000), CEDE_EXIT);
	cr_assert_eq(cede_scope_leave(&shield), 1);
	return r;
}

TASK_TEST(shield, ends_with_its_deadline)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, clean_up_too_slowly, NULL);

	cr_assert_eq(cancel_and_join(task, CEDE_ECANCELED), 50);
	return 0;
}

static int
be_cancelled_inside(void *arg)
{
	int r = 1;

	CEDE_SHIELD(1000) {
		r = cede_sleep(100);
	}
	cr_assert_eq(r, 0);
	return cede_sleep(60000);
}

TASK_TEST(shield, that_is_open_already_holds_a_cancel_off)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, be_cancelled_inside, NULL);

	cr_assert_eq(cede_sleep(40), 0);
	cr_assert_eq(cancel_and_join(task, CEDE_ECANCELED), 60);
	return 0;
}

static int
nest_shields(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	CEDE_SHIELD(100) {
		CEDE_SHIELD(20) {
			cr_assert_eq(cede_sleep(15), 0);
		}
		CEDE_SHIELD(20) {
			cr_assert_eq(cede_sleep(40), 0, "the outer one still holds");
		}
		CEDE_SHIELD(60000) {
			cr_assert_eq(cede_sleep(90), 0,
				"a shield of its own, with its own deadline");
		}
		cr_assert_eq(cede_sleep(1), CEDE_EXIT, "the outer one has passed meanwhile");
	}
	return r;
}

TASK_TEST(shield, nests)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, nest_shields, NULL);

	cr_assert_eq(cancel_and_join(task, CEDE_ECANCELED), 15 + 40 + 90);
	return 0;
}

static int
bound_the_cleanup(void *arg)
{
	int r = cede_sleep(UINT64_MAX), r2 = 1, r3 = 1;

	CEDE_SHIELD(1000) {
		CEDE_TIMEOUT(10) {
			r2 = cede_sleep(60000);
		}
		r3 = cede_sleep(10);
	}
	cr_assert_eq(r2, CEDE_ETIMEDOUT);
	cr_assert_eq(r3, 0);
	return r;
}

TASK_TEST(shield, keeps_the_timeouts_inside_it)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, bound_the_cleanup, NULL);

	cr_assert_eq(cancel_and_join(task, CEDE_ECANCELED), 20);
	return 0;
}

TASK_TEST(shield, holds_off_the_timeouts_around_it)
{
	int inside = 1, behind = 1;

	CEDE_TIMEOUT(10) {
		CEDE_SHIELD(1000) {
			inside = cede_sleep(50);
		}
		behind = cede_sleep(1);
	}
	cr_assert_eq(inside, 0);
	cr_assert_eq(behind, CEDE_ETIMEDOUT);
	return 0;
}

TASK_TEST(shield, that_passes_gives_way_to_the_timeout_around_it)
{
	const int64_t before = clock_ms();
	int inside = 1;

	CEDE_TIMEOUT(10) {
		CEDE_SHIELD(50) {
			inside = cede_sleep(60000);
		}
	}
	cr_assert_eq(inside, CEDE_ETIMEDOUT);
	cr_assert_eq(clock_ms() - before, 50);
	return 0;
}

TASK_TEST(shield, that_passes_in_a_task_nobody_closes_bounds_nothing)
{
	int inside = 1;

	CEDE_SHIELD(10) {
		inside = cede_sleep(50);
	}
	cr_assert_eq(inside, 0);
	return 0;
}

static int
leave_by_return(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	CEDE_SHIELD(1000) {
		if (cede_sleep(5) == 0)
			return r;
	}
	return 0;
}

TASK_TEST(shield, may_be_left_by_return)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, leave_by_return, NULL);

	cr_assert_eq(cancel_and_join(task, CEDE_ECANCELED), 5);
	return 0;
}

/* Three coroutines, each awaiting the next; each cleans up in a shield. */
struct level {
	const char *name;
	struct level *next;
	int shield_ms, sleep_ms;
	int told, slept;
	int swallows;
};

static int
run_level(void *arg)
{
	struct level *level = arg;
	char text[32];

	if (level->next) {
		cede_coro_t *co;

		cr_assert_eq(cede_coro_create(&co, run_level, level->next, NULL), 0);
		level->told = cede_await_coro(co, NULL);
		cede_coro_unref(co);
	} else {
		level->told = cede_sleep(UINT64_MAX);
	}
	snprintf(text, sizeof text, "%s told", level->name);
	order_record(text);
	CEDE_SHIELD((uint64_t)level->shield_ms) {
		level->slept = cede_sleep((uint64_t)level->sleep_ms);
	}
	snprintf(text, sizeof text, "%s clean", level->name);
	order_record(text);
	return level->swallows ? 0 : level->told;
}

static int64_t
run_chain(struct level levels[3], int expected)
{
	CEDE_GROUP(group);

	levels[0].name = "outer";
	levels[1].name = "middle";
	levels[2].name = "inner";
	levels[0].next = &levels[1];
	levels[1].next = &levels[2];
	cede_task_t *task = spawn_and_let_wait(&group, run_level, &levels[0]);
	int64_t took = cancel_and_join(task, expected);

	order_expect("inner told", "inner clean", "middle told", "middle clean", "outer told",
		"outer clean");
	return took;
}

/*
 * | close      | inner: EXIT, waits 10 | middle: EXIT, waits 20 | outer: EXIT, waits 30 |
 */
TASK_TEST(shield, in_a_chain_of_awaits_cleans_up_innermost_first)
{
	struct level levels[3] = { { .shield_ms = 1000, .sleep_ms = 30 },
		{ .shield_ms = 1000, .sleep_ms = 20 }, { .shield_ms = 1000, .sleep_ms = 10 } };

	cr_assert_eq(run_chain(levels, CEDE_ECANCELED), 60);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(levels[i].told, CEDE_EXIT);
		cr_assert_eq(levels[i].slept, 0);
	}
	return 0;
}

/* Whoever swallows the close does not keep it from those who await it. */
TASK_TEST(shield, in_a_chain_of_awaits_a_swallowed_close_goes_on_outwards)
{
	struct level levels[3] = { { .shield_ms = 1000, .sleep_ms = 30 },
		{ .shield_ms = 1000, .sleep_ms = 20, .swallows = 1 },
		{ .shield_ms = 1000, .sleep_ms = 10, .swallows = 1 } };

	cr_assert_eq(run_chain(levels, CEDE_ECANCELED), 60);
	cr_assert_eq(levels[0].told, CEDE_EXIT);
	cr_assert_eq(levels[1].told, CEDE_EXIT);
	return 0;
}

/* Each combination of shields that pass and shields that hold. */
TASK_TEST(shield, in_a_chain_of_awaits_may_pass_at_any_level)
{
	for (int passes = 0; passes < 8; passes++) {
		struct level levels[3];
		int expected_ms = 0;

		for (int i = 0; i < 3; i++) {
			const int does_pass = passes >> i & 1;

			levels[i] = (struct level){ .shield_ms = 50,
				.sleep_ms = does_pass ? 60000 : 20 };
			expected_ms += does_pass ? 50 : 20;
		}
		cr_assert_eq(run_chain(levels, CEDE_ECANCELED), expected_ms);
		for (int i = 0; i < 3; i++) {
			cr_assert_eq(levels[i].told, CEDE_EXIT);
			cr_assert_eq(levels[i].slept, passes >> i & 1 ? CEDE_EXIT : 0);
		}
	}
	return 0;
}

/* A chain that is cancelled while its innermost member is in a shield already. */
static int
await_inner_shielded(void *arg)
{
	cede_coro_t *co;

	cr_assert_eq(cede_coro_create(&co, be_cancelled_inside, NULL, NULL), 0);
	int r = cede_await_coro(co, NULL);

	cede_coro_unref(co);
	cr_assert_eq(r, CEDE_EXIT);
	cr_assert_eq(cede_sleep(1), CEDE_EXIT);
	return r;
}

TASK_TEST(shield, of_the_innermost_holds_a_cancel_off_for_the_whole_chain)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, await_inner_shielded, NULL);

	cr_assert_eq(cancel_and_join(task, CEDE_ECANCELED), 100);
	return 0;
}

static int
start_a_group_in_the_cleanup(void *arg)
{
	int r = cede_sleep(UINT64_MAX);

	CEDE_SHIELD(1000) {
		CEDE_GROUP(group);
		cr_assert_eq(cede_spawn(&group, be_cancelled_inside, NULL), 0);
		CEDE_TIMEOUT(10) {
			cr_assert_eq(cede_group_wait(&group), CEDE_ETIMEDOUT);
		}
		cr_assert_eq(cede_sleep(1), 0);
	}
	return r;
}

TASK_TEST(shield, may_hold_a_group_of_tasks)
{
	CEDE_GROUP(group);
	cede_task_t *task = spawn_and_let_wait(&group, start_a_group_in_the_cleanup, NULL);

	cr_assert_eq(cancel_and_join(task, CEDE_ECANCELED), 101);
	return 0;
}

Test(shield, outside_a_task_is_refused)
{
	cede_scope_t shield;

	leaks_begin();
	cr_assert_eq(cede_shield_enter(&shield, 10), CEDE_ENOTASK);
	leaks_end();
}
