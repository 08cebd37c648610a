/*
 * Nothing is allocated in the steady state, by anything that a task awaits: each
 * kind of wait goes on a hundred times after a short warm-up, and neither the
 * library's allocator is asked nor, where that can be counted, malloc() called,
 * by libuv for instance.
 *
 * No assertion of Criterion's in what is counted: that allocates. must() keeps
 * the first line that went wrong.
 */
#include <cede/uv.h>

#include "tests/support/run.h"

#include "tests/support/fault.h"
#include "tests/support/mallocs.h"

TestSuite(steady, .timeout = 60, .init = fault_install);

#define WARM_UP 3
#define ROUNDS  100

static int wrong_line;

static void
note(int is_right, int line)
{
	if (!is_right && wrong_line == 0)
		wrong_line = line;
}

#define must(condition) note((condition) != 0, __LINE__)

/* Goes through a round again and again; what it asks for in the end is counted. */
static void
expect_no_allocations(void (*round)(void *arg), void *arg)
{
	unsigned requests = 0;
	unsigned long mallocs = 0;

	for (int i = 0; i < WARM_UP + ROUNDS; i++) {
		if (i == WARM_UP) {
			requests = fault_requests();
			mallocs = mallocs_count();
		}
		round(arg);
	}
	mallocs = mallocs_count() - mallocs;
	requests = fault_requests() - requests;
	cr_assert_eq(wrong_line, 0, "line %d", wrong_line);
	cr_assert_eq(requests, 0, "%u requests in %d rounds", requests, ROUNDS);
	cr_assert_eq(mallocs, 0, "%lu mallocs in %d rounds", mallocs, ROUNDS);
}

/* ---- sleeps, selects, scopes, signals ---- */

static void
sleep_a_little(void *arg)
{
	cede_sleep_t tick;

	must(cede_sleep(1) == 0);
	must(cede_sleep(0) == 0);
	must(cede_sleep_start(5, &tick) == 0);
	cede_future_cancel(&tick.future);
	must(cede_await(&tick.future) == CEDE_ECANCELED);
}

TASK_TEST(steady, sleeps_ask_for_nothing)
{
	expect_no_allocations(sleep_a_little, NULL);
	return 0;
}

static void
await_several(void *arg)
{
	cede_sleep_t a, b, c;
	cede_future_t done;
	cede_future_t *const all[] = { &a.future, &b.future, &c.future };

	cede_future_init(&done, NULL);
	cede_future_resolve(&done, 7, NULL);
	must(cede_await(&done) == 7);
	for (int i = 0; i < 3; i++) {
		must(cede_sleep_start(3, &a) == 0);
		must(cede_sleep_start(1, &b) == 0);
		must(cede_sleep_start(2, &c) == 0);
		if (i == 0)
			must(cede_select(3, all) == 1);
		else if (i == 1)
			must(cede_wait_any(3, all) == 1);
		must(cede_wait_all(3, all) == 0);
	}
}

TASK_TEST(steady, selects_ask_for_nothing)
{
	expect_no_allocations(await_several, NULL);
	return 0;
}

static void
open_scopes(void *arg)
{
	cede_scope_t scope;

	CEDE_TIMEOUT(2) {
		must(cede_sleep(5) == CEDE_ETIMEDOUT);
		CEDE_SHIELD(10) {
			must(cede_sleep(1) == 0);
		}
	}
	CEDE_TIMEOUT(5) {
		must(cede_sleep(1) == 0);
	}
	must(cede_scope_enter(&scope, 5) == 0);
	must(cede_scope_reschedule(&scope, 7) == 0);
	must(cede_scope_leave(&scope) == 0);
}

TASK_TEST(steady, scopes_ask_for_nothing)
{
	expect_no_allocations(open_scopes, NULL);
	return 0;
}

static void
get_a_signal(void *arg)
{
	cede_signal_t wait;

	must(cede_signal_start(SIGUSR1, &wait) == 0);
	raise(SIGUSR1);
	must(cede_await(&wait.future) == SIGUSR1);
}

TASK_TEST(steady, signals_ask_for_nothing)
{
	expect_no_allocations(get_a_signal, NULL);
	return 0;
}

/* ---- tasks and groups ---- */

static int
sleep_once(void *arg)
{
	int r = cede_sleep(1);

	return r;
}

static void
spawn_and_wait(void *arg)
{
	CEDE_GROUP(group);
	cede_join_t join;
	cede_task_t *task;

	must(cede_spawn(&group, sleep_once, NULL) == 0);
	must(cede_spawn_own(&group, sleep_once, &group, NULL) == 0);
	must(cede_group_wait(&group) == 0);
	must(cede_spawn_with(&group, sleep_once, NULL, NULL, &task) == 0);
	must(cede_join(task, NULL) == 0);
	must(cede_join_start(task, &join) == 0);
	must(cede_await(&join.future) == 0);
	cede_task_unref(task);
}

TASK_TEST(steady, spawns_joins_and_group_waits_ask_for_nothing)
{
	expect_no_allocations(spawn_and_wait, NULL);
	return 0;
}

static void
spawn_and_cancel(void *arg)
{
	CEDE_GROUP(group);
	cede_task_t *task;
	cede_sleep_t tick;
	cede_join_t join;

	for (int is_started = 0; is_started < 2; is_started++) {
		must(cede_spawn_with(&group, sleep_once, NULL, NULL, &task) == 0);
		must(!is_started || cede_sleep(0) == 0);
		must(cede_join_start(task, &join) == 0);
		must(cede_sleep_start(5, &tick) == 0);
		must(cede_task_cancel(task) == 1);
		must(cede_select(2, (cede_future_t *[]){ &join.future, &tick.future }) == 0);
		must(join.future.result == CEDE_ECANCELED);
		cede_task_unref(task);
	}
	for (int i = 0; i < 10; i++)
		must(cede_spawn(&group, sleep_once, NULL) == 0);
	cede_group_cancel(&group);
	must(cede_group_wait(&group) == 0);
}

TASK_TEST(steady, cancels_ask_for_nothing)
{
	expect_no_allocations(spawn_and_cancel, NULL);
	return 0;
}

static void
await_a_coroutine(void *arg)
{
	cede_coro_t *co;

	must(cede_coro_create(&co, sleep_once, NULL, NULL) == 0);
	must(cede_await_coro(co, NULL) == 0);
	cede_coro_unref(co);
}

TASK_TEST(steady, awaited_coroutines_ask_for_nothing)
{
	expect_no_allocations(await_a_coroutine, NULL);
	return 0;
}

/* ---- channels and broadcasts ---- */

#define N_VALUES 10

static int
send_values(void *channel)
{
	for (int i = 0; i < N_VALUES; i++)
		must(cede_channel_send(channel, channel) == 0);
	return 0;
}

static int
receive_values(void *channel)
{
	for (int i = 0; i < N_VALUES; i++) {
		void *value = NULL;

		must(cede_channel_receive(channel, &value) == 0);
		must(value == channel);
	}
	return 0;
}

/* Each side is the one that waits, in turn; then both started, by select, and given up. */
static void
pass_values(void *channel)
{
	CEDE_GROUP(group);
	cede_channel_receive_t receive;
	cede_channel_send_t send;
	void *value;

	must(cede_spawn(&group, send_values, channel) == 0);
	must(receive_values(channel) == 0);
	must(cede_group_wait(&group) == 0);
	must(cede_spawn(&group, receive_values, channel) == 0);
	must(send_values(channel) == 0);
	must(cede_group_wait(&group) == 0);

	must(cede_channel_receive_start(channel, &receive) == 0);
	must(cede_channel_send_start(channel, channel, &send) == 0);
	must(cede_wait_all(2, (cede_future_t *[]){ &receive.future, &send.future }) == 0);
	must(receive.future.value == channel);
	must(cede_channel_receive_start(channel, &receive) == 0);
	must(cede_channel_try_send(channel, channel) == 0);
	cede_channel_receive_drop(&receive);
	must(cede_channel_receive_start(channel, &receive) == 0);
	cede_channel_receive_drop(&receive);
	must(cede_channel_try_receive(channel, &value) == CEDE_EAGAIN);
}

TASK_TEST(steady, channels_ask_for_nothing)
{
	static const size_t capacities[] = { 0, 1, 3, 64, CEDE_CHANNEL_UNBOUNDED };

	for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
		cede_channel_t channel;

		cr_assert_eq(cede_channel_init(&channel, capacities[i], NULL), 0);
		expect_no_allocations(pass_values, &channel);
		cede_channel_deinit(&channel);
	}
	return 0;
}

struct broadcasting {
	cede_broadcast_t broadcast;
	cede_subscriber_t subscribers[2];
};

static int
broadcast_values(void *arg)
{
	struct broadcasting *b = arg;

	for (int i = 0; i < N_VALUES; i++)
		must(cede_broadcast_send(&b->broadcast, b) == 2);
	return 0;
}

static int
receive_broadcasts(void *arg)
{
	for (int i = 0; i < N_VALUES; i++) {
		void *value = NULL;

		must(cede_broadcast_receive(arg, &value) == 0);
		must(value != NULL);
	}
	return 0;
}

static void
broadcast_to_both(void *arg)
{
	struct broadcasting *b = arg;
	CEDE_GROUP(group);
	cede_broadcast_receive_t receive;
	void *value;

	for (int i = 0; i < 2; i++)
		must(cede_spawn(&group, receive_broadcasts, &b->subscribers[i]) == 0);
	must(broadcast_values(b) == 0);
	must(cede_group_wait(&group) == 0);
	must(cede_spawn(&group, broadcast_values, b) == 0);
	for (int i = 0; i < 2; i++)
		must(cede_spawn(&group, receive_broadcasts, &b->subscribers[i]) == 0);
	must(cede_group_wait(&group) == 0);

	must(cede_broadcast_receive_start(&b->subscribers[0], &receive) == 0);
	must(cede_broadcast_try_send(&b->broadcast, b) == 2);
	must(cede_await(&receive.future) == 0);
	must(cede_broadcast_try_receive(&b->subscribers[1], &value) == 0);
	must(cede_broadcast_receive_start(&b->subscribers[0], &receive) == 0);
	cede_broadcast_receive_drop(&receive);
	cede_broadcast_unsubscribe(&b->subscribers[1]);
	cede_broadcast_subscribe(&b->broadcast, &b->subscribers[1]);
}

TASK_TEST(steady, broadcasts_ask_for_nothing)
{
	static const size_t capacities[] = { 1, 3, 64 };

	for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
		struct broadcasting b;

		cr_assert_eq(cede_broadcast_init(&b.broadcast,
				     &(cede_broadcast_options_t){
					     .capacity = capacities[i],
					     .policy = CEDE_BROADCAST_WAIT,
				     }),
			0);
		cede_broadcast_subscribe(&b.broadcast, &b.subscribers[0]);
		cede_broadcast_subscribe(&b.broadcast, &b.subscribers[1]);
		expect_no_allocations(broadcast_to_both, &b);
		cede_broadcast_unsubscribe(&b.subscribers[0]);
		cede_broadcast_unsubscribe(&b.subscribers[1]);
		cede_broadcast_deinit(&b.broadcast);
	}
	return 0;
}

/* ---- events, mutexes, semaphores, conditions, barriers ---- */

static struct {
	cede_event_t event;
	cede_mutex_t mutex;
	cede_semaphore_t semaphore;
	cede_condition_t condition;
	cede_barrier_t barrier;
} shared;

static int
wait_for_event(void *arg)
{
	return cede_event_wait(&shared.event);
}

static void
set_an_event(void *arg)
{
	CEDE_GROUP(group);
	cede_event_wait_t wait;
	cede_sleep_t tick;

	cede_event_clear(&shared.event);
	for (int i = 0; i < 3; i++)
		must(cede_spawn(&group, wait_for_event, NULL) == 0);
	must(cede_event_wait_start(&shared.event, &wait) == 0);
	must(cede_sleep_start(1, &tick) == 0);
	must(cede_select(2, (cede_future_t *[]){ &wait.future, &tick.future }) == 1);
	cede_event_set(&shared.event);
	must(cede_group_wait(&group) == 0);
	must(cede_event_wait(&shared.event) == 0);
}

TASK_TEST(steady, event_waits_ask_for_nothing)
{
	cede_event_init(&shared.event);
	expect_no_allocations(set_an_event, NULL);
	cede_event_deinit(&shared.event);
	return 0;
}

static int
lock_for_a_while(void *arg)
{
	int r = cede_mutex_lock(&shared.mutex);

	must(r == 0);
	must(cede_sleep(1) == 0);
	must(cede_mutex_unlock(&shared.mutex) == 0);
	return r;
}

static void
lock_in_turn(void *arg)
{
	CEDE_GROUP(group);
	cede_mutex_lock_t lock;
	cede_sleep_t tick;

	for (int i = 0; i < 3; i++)
		must(cede_spawn(&group, lock_for_a_while, NULL) == 0);
	must(cede_sleep(0) == 0);
	must(cede_mutex_lock_start(&shared.mutex, &lock) == 0);
	must(cede_sleep_start(1, &tick) == 0);
	must(cede_select(2, (cede_future_t *[]){ &lock.future, &tick.future }) == 1);
	cede_mutex_lock_drop(&lock);
	must(cede_group_wait(&group) == 0);
	must(cede_mutex_try_lock(&shared.mutex) == 0);
	must(cede_mutex_unlock(&shared.mutex) == 0);
}

TASK_TEST(steady, mutexes_ask_for_nothing)
{
	cede_mutex_init(&shared.mutex);
	expect_no_allocations(lock_in_turn, NULL);
	cede_mutex_deinit(&shared.mutex);
	return 0;
}

static int
acquire_for_a_while(void *arg)
{
	int r = cede_semaphore_acquire(&shared.semaphore);

	must(r == 0);
	must(cede_sleep(1) == 0);
	must(cede_semaphore_release(&shared.semaphore) == 0);
	return r;
}

static void
acquire_in_turn(void *arg)
{
	CEDE_GROUP(group);
	cede_semaphore_acquire_t acquire;

	for (int i = 0; i < 6; i++)
		must(cede_spawn(&group, acquire_for_a_while, NULL) == 0);
	must(cede_sleep(0) == 0);
	must(cede_semaphore_acquire_start(&shared.semaphore, &acquire) == 0);
	cede_semaphore_acquire_drop(&acquire);
	must(cede_group_wait(&group) == 0);
	must(cede_semaphore_try_acquire(&shared.semaphore) == 0);
	must(cede_semaphore_release(&shared.semaphore) == 0);
}

TASK_TEST(steady, semaphores_ask_for_nothing)
{
	cr_assert_eq(cede_semaphore_init(&shared.semaphore, 2, 2), 0);
	expect_no_allocations(acquire_in_turn, NULL);
	cede_semaphore_deinit(&shared.semaphore);
	return 0;
}

static int
wait_for_news(void *arg)
{
	must(cede_mutex_lock(&shared.mutex) == 0);
	must(cede_condition_wait(&shared.condition, &shared.mutex) == 0);
	must(cede_mutex_unlock(&shared.mutex) == 0);
	return 0;
}

static void
notify_some(void *arg)
{
	CEDE_GROUP(group);
	int r = 0;

	for (int i = 0; i < 4; i++)
		must(cede_spawn(&group, wait_for_news, NULL) == 0);
	must(cede_sleep(0) == 0);
	cede_condition_notify(&shared.condition, 1);
	must(cede_sleep(0) == 0);
	cede_condition_notify_all(&shared.condition);
	must(cede_group_wait(&group) == 0);

	must(cede_mutex_lock(&shared.mutex) == 0);
	CEDE_TIMEOUT(1) {
		r = cede_condition_wait(&shared.condition, &shared.mutex);
	}
	must(r == CEDE_ETIMEDOUT);
	must(cede_mutex_unlock(&shared.mutex) == 0);
}

TASK_TEST(steady, conditions_ask_for_nothing)
{
	cede_mutex_init(&shared.mutex);
	cede_condition_init(&shared.condition);
	expect_no_allocations(notify_some, NULL);
	cede_condition_deinit(&shared.condition);
	cede_mutex_deinit(&shared.mutex);
	return 0;
}

static int
meet(void *arg)
{
	int r = cede_barrier_wait(&shared.barrier);

	return r < 0 ? r : 0;
}

static void
meet_twice(void *arg)
{
	CEDE_GROUP(group);

	for (int i = 0; i < 6; i++)
		must(cede_spawn(&group, meet, NULL) == 0);
	must(cede_group_wait(&group) == 0);
}

TASK_TEST(steady, barriers_ask_for_nothing)
{
	cr_assert_eq(cede_barrier_init(&shared.barrier, 3), 0);
	expect_no_allocations(meet_twice, NULL);
	cede_barrier_deinit(&shared.barrier);
	return 0;
}

/* ---- the counters count ---- */

static void
ask_for_a_name(void *arg)
{
	cede_coro_t *co;

	must(cede_coro_create(&co, sleep_once, NULL, NULL) == 0);
	must(cede_coro_set_name(co, "a name of its own") == 0);
	must(cede_await_coro(co, NULL) == 0);
	cede_coro_unref(co);
}

TASK_TEST(steady, what_does_ask_is_counted)
{
	const unsigned requests = fault_requests();
	const unsigned long mallocs = mallocs_count();

	ask_for_a_name(NULL);
	cr_assert_eq(wrong_line, 0);
	cr_assert_gt(fault_requests(), requests);
	if (MALLOCS_CAN_COUNT)
		cr_assert_gt(mallocs_count(), mallocs);
	return 0;
}
