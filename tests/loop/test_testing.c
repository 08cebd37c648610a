/*
 * <cede/testing.h>: the clock, the order, waiting until all are blocked.
 * On the real clock: the kit's own is what is tested.
 */
#include "tests/loop/testing_test.h"

#include <unistd.h>

#include "tests/support/order.h"

TestSuite(testing_clock, .timeout = 60);
TestSuite(testing_order, .timeout = 60);
TestSuite(testing_blocked, .timeout = 60);

static double
seconds(void)
{
	return (double)uv_hrtime() / 1e9;
}

/* ---- the clock ---- */

static int
sleep_for_a_year(void *arg)
{
	cede_loop_t *loop = cede_loop_current();
	const uint64_t year = UINT64_C(365) * 24 * 3600 * 1000, began = cede_loop_now(loop);
	int r = cede_sleep(year);

	cr_assert_eq(cede_loop_now(loop) - began, year);
	return r;
}

Test(testing_clock, a_year_takes_no_time_and_is_exact)
{
	const double began = seconds();
	const cede_test_report_t report = run_well(sleep_for_a_year, NULL, NULL);

	cr_assert_eq(report.time_ms, UINT64_C(365) * 24 * 3600 * 1000);
	cr_assert_lt(seconds() - began, 10);
}

static int
note_after(void *arg)
{
	static const char *const names[] = { "0", "1", "2", "3" };
	const int i = *(int *)arg;
	int r = cede_sleep((uint64_t)(1000 * (4 - i)));

	if (r == 0)
		order_record(names[i]);
	return r;
}

static int
many_sleepers(void *arg)
{
	static int numbers[] = { 0, 1, 2, 3 };
	CEDE_GROUP(group);

	for (int i = 0; i < 4; i++)
		cr_assert_eq(cede_spawn(&group, note_after, &numbers[i]), 0);
	return cede_group_wait(&group);
}

Test(testing_clock, timers_fire_in_the_order_they_are_due_with_any_seed)
{
	for (uint64_t seed = 0; seed < 20; seed++) {
		const cede_test_report_t report =
			run_well(many_sleepers, NULL, &(cede_test_options_t){ .seed = seed });

		cr_assert_eq(report.time_ms, 4000);
		order_expect("3", "2", "1", "0");
	}
}

static int
time_out(void *arg)
{
	cede_future_t never;
	int r = 0, cleanup = -1;

	cede_future_init(&never, NULL);
	CEDE_TIMEOUT(30000) {
		CEDE_TIMEOUT(3600000) {
			r = cede_await(&never);
		}
		cr_assert_eq(cede_sleep(1), CEDE_ETIMEDOUT);
		CEDE_SHIELD(5000) {
			cleanup = cede_sleep(1000);
		}
	}
	cr_assert_eq(cleanup, 0);
	return r == CEDE_ETIMEDOUT ? 0 : -1;
}

Test(testing_clock, a_timeout_of_thirty_seconds_and_a_shield_take_their_time)
{
	cr_assert_eq(run_well(time_out, NULL, NULL).time_ms, 31000);
}

static int
take_a_while(void *arg)
{
	usleep(50000);
	return 7;
}

static int
work_in_a_timeout(void *arg)
{
	int r = 0;

	CEDE_TIMEOUT(1) {
		r = cede_work(take_a_while, NULL);
	}
	return r == 7 ? 0 : -1;
}

Test(testing_clock, stands_while_a_function_runs_on_the_thread_pool)
{
	cr_assert_eq(run_well(work_in_a_timeout, NULL, NULL).time_ms, 0);
}

static int
request_in_a_timeout(void *arg)
{
	cede_uv_op_t op;
	int r = -1;

	CEDE_TIMEOUT(1) {
		r = cede_uv_begin(&op);
		if (r == 0)
			r = cede_uv_await(&op,
				uv_fs_stat(cede_loop_uv(cede_loop_current()), &op.req->fs, "/",
					cede_uv_fs_cb));
		cede_uv_end(&op);
	}
	return r;
}

Test(testing_clock, stands_while_a_request_of_libuvs_is_under_way)
{
	cr_assert_eq(run_well(request_in_a_timeout, NULL, NULL).time_ms, 0);
}

static int
hear_a_signal(void *arg)
{
	cede_signal_t heard;
	int r = cede_signal_start(SIGUSR1, &heard);

	if (r < 0)
		return r;
	raise(SIGUSR1);
	CEDE_TIMEOUT(1) {
		r = cede_await(&heard.future);
	}
	return r == SIGUSR1 ? 0 : -1;
}

Test(testing_clock, what_has_come_already_comes_before_time_passes)
{
	cr_assert_eq(run_well(hear_a_signal, NULL, NULL).time_ms, 0);
}

static int
hear_a_signal_later(void *arg)
{
	int r = cede_sleep(10);

	return r < 0 ? r : hear_a_signal(NULL);
}

/* The task that raises it runs behind a poll: there must be another before time passes. */
static int
advance_to_a_signal(void *arg)
{
	int r;
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, hear_a_signal_later, NULL), 0);
	r = cede_test_wait_all_blocked(0);
	cr_assert_eq(r, 0);
	cr_assert_eq(cede_test_clock_advance(10), 0);
	return cede_group_wait(&group);
}

Test(testing_clock, what_has_come_since_the_last_poll_comes_before_time_passes)
{
	cr_assert_eq(run_well(advance_to_a_signal, NULL, NULL).time_ms, 10);
}

static void *
resolve_later(void *promise)
{
	usleep(20000);
	cede_promise_resolve(promise, 5, NULL);
	return NULL;
}

/* The time that had passed when a thread kept its promise. */
static int
await_a_thread(void *arg)
{
	cede_promised_t answer;
	cede_promise_t *promise;
	pthread_t thread;
	int r = cede_promise_create(&answer, NULL, &promise);

	cr_assert_eq(r, 0);
	cr_assert_eq(pthread_create(&thread, NULL, resolve_later, promise), 0);
	CEDE_TIMEOUT(1000) {
		r = cede_await(&answer.future);
	}
	pthread_join(thread, NULL);
	return r == *(int *)arg ? 0 : -1;
}

Test(testing_clock, with_a_cushion_waits_for_what_a_thread_answers)
{
	const cede_test_options_t cushioned = { .cushion_ms = 5000 };

	cr_assert_eq(run_well(await_a_thread, &(int){ 5 }, &cushioned).time_ms, 0);
	cr_assert_eq(run_well(await_a_thread, &(int){ CEDE_ETIMEDOUT }, NULL).time_ms, 1000);
}

static int
move_by_hand(void *arg)
{
	static int numbers[] = { 0, 3 };
	cede_loop_t *loop = cede_loop_current();
	const uint64_t began = cede_loop_now(loop);
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, note_after, &numbers[0]), 0); /* at 4000 */
	cr_assert_eq(cede_spawn(&group, note_after, &numbers[1]), 0); /* at 1000 */
	cr_assert_eq(cede_test_wait_all_blocked(0), 0);
	cr_assert_eq(cede_test_clock_advance(999), 0);
	cr_assert_eq(cede_test_wait_all_blocked(0), 0);
	order_expect_nothing();
	cr_assert_eq(cede_test_clock_advance(1), 0);
	cr_assert_eq(cede_loop_now(loop) - began, 1000);
	order_expect_nothing(); /* it runs when the caller suspends */
	cr_assert_eq(cede_test_wait_all_blocked(0), 0);
	order_expect("3");
	cr_assert_eq(cede_test_clock_advance(100000), 0);
	cr_assert_eq(cede_test_wait_all_blocked(0), 0);
	order_expect("0");
	return cede_group_wait(&group);
}

Test(testing_clock, that_stands_is_moved_by_hand_and_by_nothing_else)
{
	const cede_test_options_t stands = { .clock = CEDE_TEST_CLOCK_STANDS };

	cr_assert_eq(run_well(move_by_hand, NULL, &stands).time_ms, 101000);
}

static int
a_short_sleep(void *arg)
{
	cr_assert_eq(cede_test_clock_advance(1), CEDE_ENOTSUP);
	return cede_sleep(20);
}

Test(testing_clock, may_be_the_real_one)
{
	const cede_test_options_t real = { .clock = CEDE_TEST_CLOCK_REAL, .silence_ms = 1 };
	const double began = seconds();
	const cede_test_report_t report = run_well(a_short_sleep, NULL, &real);

	cr_assert_geq(seconds() - began, 0.018);
	cr_assert_geq(report.time_ms, 20);
}

static int
advance_wrongly(void *arg)
{
	cr_assert_eq(cede_test_clock_advance(UINT64_MAX), CEDE_EINVAL);
	cr_assert_eq(cede_test_clock_advance(UINT64_C(101) * 366 * 24 * 3600 * 1000), CEDE_EINVAL);
	return 0;
}

static int
expect_no_kit(void *arg)
{
	cr_assert_eq(cede_test_clock_advance(1), CEDE_ENOTSUP);
	cr_assert_eq(cede_test_wait_all_blocked(0), CEDE_ENOTSUP);
	cr_assert_eq(cede_test_seed(), 0);
	return 0;
}

Test(testing_clock, misuse_gets_a_code)
{
	int r;

	run_well(advance_wrongly, NULL, NULL);
	leaks_begin();
	cr_assert_eq(cede_run(expect_no_kit, NULL), 0);
	leaks_end();
	cr_assert_eq(cede_test_clock_advance(1), CEDE_ENOTASK);
	r = cede_test_wait_all_blocked(0);
	cr_assert_eq(r, CEDE_ENOTASK);
	cr_assert_eq(cede_test_seed(), 0);
}

/* ---- order ---- */

enum { RACERS = 6 };

static char finish[RACERS * 3 + 1];
static int finished;

static int
race(void *arg)
{
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++) {
		finish[finished++] = (char)('a' + *(int *)arg);
		r = cede_sleep(0);
	}
	return r;
}

static int
run_a_race(void *arg)
{
	static int numbers[RACERS] = { 0, 1, 2, 3, 4, 5 };
	CEDE_GROUP(group);

	memset(finish, 0, sizeof finish);
	finished = 0;
	for (int i = 0; i < RACERS; i++)
		cr_assert_eq(cede_spawn(&group, race, &numbers[i]), 0);
	return cede_group_wait(&group);
}

Test(testing_order, without_a_seed_is_first_in_first_out)
{
	run_well(run_a_race, NULL, NULL);
	cr_assert_str_eq(finish, "abcdefabcdefabcdef");
}

Test(testing_order, the_same_seed_gives_the_same_order_and_trace_and_others_others)
{
	char first[sizeof finish], other[sizeof finish];
	cede_test_report_t a, b;
	int differ = 0;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		a = run_well(run_a_race, NULL, &(cede_test_options_t){ .seed = seed });
		strcpy(first, finish);
		b = run_well(run_a_race, NULL, &(cede_test_options_t){ .seed = seed });
		cr_assert_str_eq(finish, first);
		cr_assert_eq(a.trace, b.trace);
		cr_assert_eq(a.awaits, b.awaits);
		cr_assert_eq(a.steps, b.steps);
		b = run_well(run_a_race, NULL, &(cede_test_options_t){ .seed = seed + 1000 });
		strcpy(other, finish);
		cr_assert_eq(strcmp(first, other) == 0, a.trace == b.trace);
		differ += strcmp(first, other) != 0;
	}
	cr_assert_geq(differ, 19);
}

Test(testing_order, every_task_may_come_first_and_last)
{
	unsigned firsts = 0, lasts = 0;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		run_well(run_a_race, NULL, &(cede_test_options_t){ .seed = seed });
		firsts |= 1U << (finish[0] - 'a');
		lasts |= 1U << (finish[RACERS * 3 - 1] - 'a');
	}
	cr_assert_eq(firsts, (1U << RACERS) - 1);
	cr_assert_eq(lasts, (1U << RACERS) - 1);
}

static int
count_one(void *arg)
{
	++*(int *)arg;
	return cede_sleep(0);
}

/* More than a run of the queue takes, and more than the kit has room for at first. */
static int
spawn_thousands(void *arg)
{
	int n = 0, r;
	CEDE_GROUP(group);

	for (int i = 0; i < 3000; i++)
		cr_assert_eq(cede_spawn(&group, count_one, &n), 0);
	r = cede_group_wait(&group);
	cr_assert_eq(n, 3000);
	return r;
}

Test(testing_order, thousands_of_ready_tasks_all_run)
{
	run_well(spawn_thousands, NULL, &(cede_test_options_t){ .seed = 3 });
	run_well(spawn_thousands, NULL, NULL);
}

static int
ask_for_the_seed(void *arg)
{
	return cede_test_seed() == 12345 ? 0 : -1;
}

Test(testing_order, the_seed_can_be_asked_for_and_is_reported)
{
	cr_assert_eq(run_well(ask_for_the_seed, NULL, &(cede_test_options_t){ .seed = 12345 }).seed,
		12345);
}

/* ---- until all are blocked ---- */

static int
take_steps(void *arg)
{
	int r = 0;

	for (int i = 0; i < 50 && r == 0; i++, ++*(int *)arg)
		r = cede_sleep(0);
	++*(int *)arg;
	return r < 0 ? r : cede_sleep(10);
}

static int
wait_for_steps(void *arg)
{
	int n = 0;
	const uint64_t began = cede_loop_now(cede_loop_current());
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, take_steps, &n), 0);
	cr_assert_eq(cede_test_wait_all_blocked(0), 0);
	cr_assert_eq(n, 51);
	cr_assert_eq(cede_loop_now(cede_loop_current()), began);
	return cede_group_wait(&group);
}

Test(testing_blocked, waits_until_the_others_are_and_time_does_not_pass)
{
	for (uint64_t seed = 0; seed < 10; seed++)
		run_well(wait_for_steps, NULL, &(cede_test_options_t){ .seed = seed });
}

static int
wait_alone(void *arg)
{
	return cede_test_wait_all_blocked(*(unsigned *)arg);
}

static int
record_after(void *arg)
{
	const unsigned *cushion = arg;
	int r = cede_test_wait_all_blocked(*cushion);

	order_record(*cushion == 1 ? "short" : "long");
	return r;
}

static int
wait_in_turn(void *arg)
{
	static unsigned cushions[] = { 20, 1 };
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn(&group, record_after, &cushions[0]), 0);
	cr_assert_eq(cede_spawn(&group, record_after, &cushions[1]), 0);
	return cede_group_wait(&group);
}

Test(testing_blocked, one_who_is_alone_goes_on_at_once_and_the_shortest_cushion_first)
{
	run_well(wait_alone, &(unsigned){ 0 }, NULL);
	run_well(wait_alone, &(unsigned){ 3 }, NULL);
	run_well(wait_in_turn, NULL, NULL);
	order_expect("short", "long");
}

static int
wait_for_a_thread(void *arg)
{
	cede_promised_t answer;
	cede_promise_t *promise;
	pthread_t thread;
	int r = cede_promise_create(&answer, NULL, &promise);

	cr_assert_eq(r, 0);
	cr_assert_eq(pthread_create(&thread, NULL, resolve_later, promise), 0);
	r = cede_test_wait_all_blocked(2000);
	cr_assert(answer.future.is_done);
	pthread_join(thread, NULL);
	return r;
}

Test(testing_blocked, a_cushion_lets_others_answer)
{
	run_well(wait_for_a_thread, NULL, NULL);
}

static int
give_up_waiting(void *arg)
{
	unsigned cushion = 60000;
	cede_task_t *task;
	int r;
	CEDE_GROUP(group);

	cr_assert_eq(cede_spawn_with(&group, record_after, &cushion, NULL, &task), 0);
	cr_assert_eq(cede_sleep(0), 0);
	cede_task_cancel(task);
	r = cede_join(task, NULL);
	cr_assert_eq(r, CEDE_ECANCELED);
	cede_task_unref(task);
	order_expect("long");
	return 0;
}

Test(testing_blocked, a_cancel_gives_it_up)
{
	run_well(give_up_waiting, NULL, NULL);
}

static int
wait_for_ever(void *arg)
{
	cede_future_t never;

	cede_future_init(&never, NULL);
	return cede_await(&never);
}

static int
wait_for_ever_after_a_cancel(void *arg)
{
	int r = give_up_waiting(NULL);

	return r < 0 ? r : wait_for_ever(NULL);
}

Test(testing_blocked, a_wait_for_all_to_be_blocked_that_was_given_up_keeps_no_loop_alive)
{
	expect_found(wait_for_ever_after_a_cancel, NULL, NULL, CEDE_EDEADLK,
		"can't come any more: 'main'");
	leaks_end();
}

/* ---- a program that is held up between the kit's look and libuv's poll ---- */

static uv_prepare_t handle;
static int closes_left;

/* Behind the look; the last time for longer than the kit wants to wait for silence. */
static void
close_again(uv_handle_t *closed)
{
	if (--closes_left == 0) {
		const uint64_t until_ns = uv_hrtime() + 100 * UINT64_C(1000000);

		while (uv_hrtime() < until_ns)
			;
		return;
	}
	uv_prepare_init(closed->loop, &handle);
	uv_close(closed, close_again);
}

static int
sleep_while_held_up(void *arg)
{
	closes_left = 20;
	uv_prepare_init(cede_loop_uv(cede_loop_current()), &handle);
	uv_close((uv_handle_t *)&handle, close_again);
	return cede_sleep(1000);
}

Test(testing_clock, time_jumps_also_when_the_program_is_held_up_meanwhile)
{
	const cede_test_options_t options = { .cushion_ms = 50 };

	run_well(sleep_while_held_up, NULL, &options);
	cr_assert_eq(closes_left, 0);
}
