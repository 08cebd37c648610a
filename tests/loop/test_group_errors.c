/* loop/group.c: every error of a group is kept, with all that is behind it. */
#include "tests/support/run.h"

TestSuite(group_errors, .timeout = 20);

static int
fail_in_words(void *arg)
{
	int r = cede_sleep((uint64_t)(intptr_t)arg);

	return cede_raise(r < 0 ? CEDE_EBADF : CEDE_EPIPE, "at %d", (int)(intptr_t)arg);
}

#define MS(n) ((void *)(intptr_t)(n))

static int n_reports;
static char last_report[64];

static void
count_report(const cede_task_t *task, int code, void *data)
{
	n_reports++;
	strncpy(last_report, cede_task_name(task), sizeof last_report - 1);
}

/* The failed tasks, as "name: sentence;". */
static const char *
failures(const cede_group_t *group)
{
	static char text[512];

	text[0] = '\0';
	for (cede_task_t *t = NULL; (t = cede_group_next_failed(group, t)) != NULL;) {
		strcat(text, cede_error_message(cede_task_error(t)));
		strcat(text, cede_task_result(t) == CEDE_EPIPE ? " EPIPE;" : " EBADF;");
	}
	return text;
}

TASK_TEST(group_errors, are_kept_in_the_order_in_which_they_came)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, fail_in_words, MS(30)), 0);
	cr_assert_eq(cede_spawn(&group, fail_in_words, MS(10)), 0);
	cr_assert_eq(cede_spawn(&group, fail_in_words, MS(20)), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	cr_assert_str_eq(failures(&group), "at 10 EPIPE;at 30 EBADF;at 20 EBADF;");
	cr_assert_eq(group.failed, 3);

	cede_task_t *first = cede_group_next_failed(&group, NULL);

	cr_assert_str_eq(cede_task_name(first), "fail_in_words");
	cr_assert_not_null(strstr(cede_task_place(first), "test_group_errors.c:"));
	cr_assert_not_null(
		strstr(cede_error_place(cede_task_error(first)), "test_group_errors.c:"));
	return 0;
}

TASK_TEST(group_errors, of_the_first_is_behind_the_code_of_the_wait)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, fail_in_words, MS(10)), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	cr_assert_str_eq(cede_error_text(CEDE_EPIPE), "at 10");
	return 0;
}

static int
fail_inside(void *arg)
{
	CEDE_GROUP(inner);

	cr_assert_eq(cede_spawn(&inner, fail_in_words, arg), 0);
	return cede_group_wait(&inner);
}

TASK_TEST(group_errors, travel_up_through_nested_groups)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, fail_inside, MS(10)), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	cr_assert_str_eq(failures(&group), "at 10 EPIPE;");
	return 0;
}

TASK_TEST(group_errors, are_none_where_all_is_well_or_cancelled)
{
	CEDE_GROUP(group);

	cr_assert_null(cede_group_next_failed(&group, NULL));
	cr_assert_eq(cede_spawn(&group, fail_in_words, MS(10)), 0);
	cede_group_cancel(&group);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_null(cede_group_next_failed(&group, NULL));
	return 0;
}

TASK_TEST(group_errors, beyond_the_limit_are_counted_and_reported)
{
	cede_set_unread_hook(count_report, NULL);
	CEDE_GROUP(group);

	group.policy = CEDE_GROUP_KEEP_GOING;
	group.errors_max = 2;
	for (int i = 1; i <= 5; i++)
		cr_assert_eq(cede_spawn(&group, fail_in_words, MS(i)), 0);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	cr_assert_eq(group.failed, 5);
	cr_assert_str_eq(failures(&group), "at 1 EPIPE;at 2 EPIPE;");
	cr_assert_eq(n_reports, 3);
	return 0;
}

/* ---- a group that nobody has waited for ---- */

struct leaver {
	int result;          /* what it ends with; 0: what its await in the block has returned */
	uint64_t goes_on_ms; /* behind the block */
	int n_reports;       /* when it has left the block */
};

static int
leave_block(void)
{
	int r;

	CEDE_GROUP(group);
	cr_assert_eq(cede_spawn(&group, fail_in_words, MS(10)), 0);
	r = cede_sleep(20);
	cr_assert_eq(r, CEDE_ECANCELED);
	return r;
}

static int
leave_without_a_word(void *arg)
{
	struct leaver *leaver = arg;
	int r = leave_block();

	leaver->n_reports = n_reports;
	if (leaver->goes_on_ms > 0)
		(void)!cede_sleep(leaver->goes_on_ms);
	return leaver->result ? leaver->result : r;
}

static cede_task_t *
start_leaver(cede_group_t *group, struct leaver *leaver)
{
	cede_task_t *task;

	cede_set_unread_hook(count_report, NULL);
	group->policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn_with(group, leave_without_a_word, leaver, NULL, &task), 0);
	return task;
}

/* `if (r < 0) return r;`, and the crash of a child does not look like a cancel from above. */
TASK_TEST(group_errors, of_a_group_left_without_a_word_are_those_of_its_owner)
{
	CEDE_GROUP(group);
	struct leaver leaver = { 0 };
	cede_task_t *task = start_leaver(&group, &leaver);

	cr_assert_eq(cede_join(task, NULL), CEDE_EPIPE);
	cr_assert_str_eq(cede_error_text(CEDE_EPIPE), "at 10");
	cr_assert_eq(n_reports, 0);
	cede_task_unref(task);
	cr_assert_eq(cede_group_wait(&group), CEDE_EPIPE);
	return 0;
}

static int
run_the_leaver(void *arg)
{
	return leave_without_a_word(arg);
}

Test(group_errors, of_a_group_left_by_the_main_task_are_those_of_the_run)
{
	struct leaver leaver = { 0 };

	cr_assert_eq(run_gated(run_the_leaver, &leaver), CEDE_EPIPE);
}

TASK_TEST(group_errors, of_a_group_left_without_a_word_are_reported_at_the_end_of_its_owner)
{
	CEDE_GROUP(group);
	struct leaver leaver = { .result = CEDE_EBUSY };
	cede_task_t *task = start_leaver(&group, &leaver);

	cr_assert_eq(cede_join(task, NULL), CEDE_EBUSY);
	cr_assert_eq(leaver.n_reports, 0);
	cr_assert_eq(n_reports, 1);
	cr_assert_str_eq(last_report, "fail_in_words");
	cede_task_unref(task);
	return 0;
}

TASK_TEST(group_errors, of_a_group_left_by_one_that_is_cancelled_are_reported)
{
	CEDE_GROUP(group);
	struct leaver leaver = { .goes_on_ms = 1000 };
	cede_task_t *task = start_leaver(&group, &leaver);

	cr_assert_eq(cede_sleep(15), 0);
	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_join(task, NULL), CEDE_ECANCELED);
	cr_assert_eq(n_reports, 1);
	cede_task_unref(task);
	return 0;
}

static int
leave_two_blocks(void *arg)
{
	(void)leave_block();
	return leave_block();
}

TASK_TEST(group_errors, of_several_groups_left_without_a_word_are_each_heard_or_reported)
{
	CEDE_GROUP(group);
	cede_task_t *task;

	cede_set_unread_hook(count_report, NULL);
	group.policy = CEDE_GROUP_KEEP_GOING;
	cr_assert_eq(cede_spawn_with(&group, leave_two_blocks, NULL, NULL, &task), 0);
	cr_assert_eq(cede_join(task, NULL), CEDE_EPIPE);
	cr_assert_eq(n_reports, 1, "the first");
	cede_task_unref(task);
	return 0;
}

static void
look_and_leave(void)
{
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, fail_in_words, MS(10)), 0);
	cr_assert_eq(cede_sleep(20), CEDE_ECANCELED);
	cr_assert_not_null(cede_group_next_failed(&group, NULL));
}

TASK_TEST(group_errors, that_were_looked_at_are_not_reported)
{
	cede_group_t group;

	cede_set_unread_hook(count_report, NULL);
	look_and_leave();
	cede_group_init(&group);
	cr_assert_eq(cede_spawn(&group, fail_in_words, MS(10)), 0);
	cr_assert_eq(cede_sleep(20), CEDE_ECANCELED);
	cr_assert_eq(cede_group_leave(&group), CEDE_EPIPE);
	cr_assert_eq(n_reports, 0);
	cr_assert_null(cede_group_next_failed(&group, NULL), "they go when it is left");
	return 0;
}

static cede_group_t forgotten;

/* Misuse, but no leak: what nobody has given back goes with the loop. */
TASK_TEST(group_errors, of_a_group_that_is_never_left_go_with_the_loop)
{
	cede_group_init(&forgotten);
	cr_assert_eq(cede_spawn(&forgotten, fail_in_words, MS(10)), 0);
	cr_assert_eq(cede_group_wait(&forgotten), CEDE_EPIPE);
	return 0;
}

static int
ignore_the_end(void *arg)
{
	while (cede_sleep(10) != 12345)
		;
	return 0;
}

TASK_TEST(group_errors, of_one_that_ignored_its_end_are_kept_too)
{
	hear_start();
	{
		CEDE_GROUP(group);

		cr_assert_eq(cede_spawn(&group, ignore_the_end, NULL), 0);
		cr_assert_eq(cede_sleep(1), 0);
		cede_group_cancel(&group);
		cr_assert_eq(cede_group_wait(&group), CEDE_EIGNORED);
		cr_assert_eq(cede_task_result(cede_group_next_failed(&group, NULL)), CEDE_EIGNORED);
	}
	cede_group_init(&forgotten);
	cr_assert_eq(cede_spawn(&forgotten, ignore_the_end, NULL), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cede_group_cancel(&forgotten);
	cr_assert_eq(cede_group_wait(&forgotten), CEDE_EIGNORED);
	cr_assert_eq(hear_end("ignored GeneratorExit"), 2);
	return 0;
}
