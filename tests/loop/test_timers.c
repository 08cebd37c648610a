/*
 * loop/timers.c: the heap against a model that is a plain array, and what it does
 * to the one handle of libuv.
 */
#include <cede/uv.h>

#include "tests/support/run.h"

#include "loop/loop_int.h"
#include "tests/support/fault.h"

TestSuite(timers, .timeout = 30);

struct probe {
	struct cede__timer timer;
	uint64_t due_ms;
	uint64_t started; /* running number of its start */
	int is_on;
};

static uint64_t fired_last_ms, fired_last_started;
static unsigned n_fired;

static uint64_t started_count;

/* Fires in the order of (due, started), never early, never when it is off. */
static void
check_fired(struct cede__timer *timer)
{
	struct probe *probe = cede__container_of(timer, struct probe, timer);

	cr_assert_eq(probe->is_on, 1);
	cr_assert_eq(timer->index, 0);
	cr_assert_geq((uint64_t)clock_ms(), probe->due_ms);
	cr_assert(probe->due_ms > fired_last_ms ||
		(probe->due_ms == fired_last_ms && probe->started > fired_last_started));
	fired_last_ms = probe->due_ms;
	fired_last_started = probe->started;
	probe->is_on = 0;
	n_fired++;
}

static void
start(cede_loop_t *loop, struct probe *probe, uint64_t delay_ms)
{
	uv_update_time(loop->uv);
	probe->timer.fire = check_fired;
	probe->due_ms = (uint64_t)clock_ms() + delay_ms;
	probe->started = ++started_count;
	probe->is_on = 1;
	cr_assert_eq(cede__timer_start(loop, &probe->timer, delay_ms), 0);
}

static void
stop(struct probe *probe)
{
	cede__timer_stop(&probe->timer);
	cede__timer_stop(&probe->timer);
	cr_assert_eq(probe->timer.index, 0);
	probe->is_on = 0;
}

/* Every entry knows its place, no child is due before its parent. */
static void
check_heap(const cede_loop_t *loop, uint32_t expected_count)
{
	const struct cede__timers *t = &loop->timers;

	cr_assert_eq(t->count, expected_count);
	for (uint32_t i = 1; i <= t->count; i++) {
		cr_assert_eq(t->entries[i].timer->index, i);
		if (i > 1)
			cr_assert_lt(t->entries[(i + 2) / 4].key, t->entries[i].key);
	}
	if (t->count > 0)
		cr_assert_leq(t->armed_ms, t->entries[1].key >> 20);
	else
		cr_assert_eq(t->strong, 0);
}

static uint32_t
next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static void
detach_and_close(cede_loop_t *loop, uv_loop_t *uv)
{
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(uv), 0);
	clock_stop();
	leaks_end();
}

static void
attach(cede_loop_t **ret_loop, uv_loop_t *uv)
{
	leaks_begin();
	clock_start();
	cr_assert_eq(uv_loop_init(uv), 0);
	cr_assert_eq(cede_attach(ret_loop, uv, NULL), 0);
}

/* Starts, stops and passes of time as they come; the model is `is_on` and `due_ms`. */
Test(timers, fire_as_a_simple_model_says)
{
	enum { N = 200, ROUNDS = 20000 };
	static struct probe probes[N];
	uint32_t seed = 1, n_on = 0;
	cede_loop_t *loop;
	uv_loop_t uv;

	attach(&loop, &uv);
	for (int round = 0; round < ROUNDS; round++) {
		struct probe *probe = &probes[next_random(&seed) % N];
		const uint32_t what = next_random(&seed) % 100;

		if (what < 55 && !probe->is_on) {
			start(loop, probe, next_random(&seed) % (what < 30 ? 5 : 300));
		} else if (what < 80) {
			stop(probe);
		} else {
			clock_advance(next_random(&seed) % 10);
			uv_run(&uv, UV_RUN_NOWAIT);
			for (int i = 0; i < N; i++)
				cr_assert(!probes[i].is_on ||
					probes[i].due_ms > (uint64_t)clock_ms());
		}
		n_on = 0;
		for (int i = 0; i < N; i++)
			n_on += (uint32_t)probes[i].is_on;
		check_heap(loop, n_on);
	}
	cr_assert_gt(n_fired, ROUNDS / 20);
	while (uv_run(&uv, UV_RUN_ONCE))
		continue;
	check_heap(loop, 0);
	detach_and_close(loop, &uv);
}

Test(timers, due_in_one_millisecond_fire_in_the_order_of_their_start)
{
	enum { N = 1000 };
	static struct probe probes[N];
	cede_loop_t *loop;
	uv_loop_t uv;

	attach(&loop, &uv);
	for (int i = 0; i < N; i++)
		start(loop, &probes[i], 7);
	uv_run(&uv, UV_RUN_DEFAULT);
	cr_assert_eq(n_fired, N);
	detach_and_close(loop, &uv);
}

/* The running number that keeps that order is short: it must not show where it starts again. */
Test(timers, keep_the_order_of_their_start_for_ever)
{
	enum { N = 64 };
	static struct probe probes[N], other;
	cede_loop_t *loop;
	uv_loop_t uv;

	attach(&loop, &uv);
	for (uint32_t i = 0; i < (1U << 20) - N / 2; i++) {
		start(loop, &other, 1);
		stop(&other);
	}
	for (int i = 0; i < N; i++)
		start(loop, &probes[i], 7);
	check_heap(loop, N);
	uv_run(&uv, UV_RUN_DEFAULT);
	cr_assert_eq(n_fired, N);
	detach_and_close(loop, &uv);
}

Test(timers, of_which_there_are_a_hundred_thousand_fire_in_order)
{
	enum { N = 100000 };
	static struct probe probes[N];
	uint32_t seed = 3;
	cede_loop_t *loop;
	uv_loop_t uv;

	attach(&loop, &uv);
	for (int i = 0; i < N; i++)
		start(loop, &probes[i], next_random(&seed) % 5000);
	check_heap(loop, N);
	for (int i = 0; i < N; i += 3)
		stop(&probes[i]);
	check_heap(loop, N - (N + 2) / 3);
	uv_run(&uv, UV_RUN_DEFAULT);
	cr_assert_eq(n_fired, N - (N + 2) / 3);
	detach_and_close(loop, &uv);
}

static struct probe chained[10];

static void
start_the_next(struct cede__timer *timer)
{
	struct probe *probe = cede__container_of(timer, struct probe, timer);

	n_fired++;
	if (probe + 1 < chained + 10) {
		probe[1].timer.fire = start_the_next;
		cr_assert_eq(cede__timer_start(timer->loop, &probe[1].timer, 3), 0);
	}
}

Test(timers, may_start_others_when_they_fire)
{
	cede_loop_t *loop;
	uv_loop_t uv;

	attach(&loop, &uv);
	const int64_t before = clock_ms();

	chained[0].timer.fire = start_the_next;
	cr_assert_eq(cede__timer_start(loop, &chained[0].timer, 3), 0);
	uv_run(&uv, UV_RUN_DEFAULT);
	cr_assert_eq(n_fired, 10);
	cr_assert_eq(clock_ms() - before, 30);
	detach_and_close(loop, &uv);
}

static void
stop_the_next(struct cede__timer *timer)
{
	n_fired++;
	cede__timer_stop(&cede__container_of(timer, struct probe, timer)[1].timer);
}

Test(timers, may_stop_others_that_are_due_with_them)
{
	cede_loop_t *loop;
	uv_loop_t uv;

	attach(&loop, &uv);
	for (int i = 0; i < 10; i++) {
		chained[i].timer.fire = stop_the_next;
		if (i < 9)
			cr_assert_eq(cede__timer_start(loop, &chained[i].timer, 3), 0);
	}
	uv_run(&uv, UV_RUN_DEFAULT);
	cr_assert_eq(n_fired, 5);
	detach_and_close(loop, &uv);
}

/* What keeps the host's loop alive: a timer that is on and not weak, and nothing else. */
Test(timers, keep_the_host_alive_while_they_are_on)
{
	static struct probe strong, weak;
	cede_loop_t *loop;
	uv_loop_t uv;

	attach(&loop, &uv);
	cr_assert_eq(uv_loop_alive(&uv), 0);
	weak.timer.is_weak = 1;
	start(loop, &weak, 1000);
	cr_assert_eq(uv_loop_alive(&uv), 0);
	start(loop, &strong, 10);
	cr_assert_neq(uv_loop_alive(&uv), 0);
	uv_run(&uv, UV_RUN_DEFAULT);
	cr_assert_eq(n_fired, 1);
	cr_assert_eq(uv_loop_alive(&uv), 0);
	start(loop, &strong, 10);
	stop(&strong);
	cr_assert_eq(uv_loop_alive(&uv), 0);
	stop(&weak);
	detach_and_close(loop, &uv);
}

/* The handle stays armed for a timer that was stopped: it fires for nobody, once. */
Test(timers, that_were_stopped_let_the_later_ones_fire_in_time)
{
	static struct probe early, late;
	cede_loop_t *loop;
	uv_loop_t uv;

	attach(&loop, &uv);
	const int64_t before = clock_ms();

	start(loop, &early, 10);
	start(loop, &late, 30);
	stop(&early);
	uv_run(&uv, UV_RUN_DEFAULT);
	cr_assert_eq(n_fired, 1);
	cr_assert_eq(clock_ms() - before, 30);
	detach_and_close(loop, &uv);
}

Test(timers, saturate)
{
	static const uint64_t lengths[] = { UINT64_MAX, UINT64_MAX - 1, UINT64_MAX >> 1,
		UINT64_MAX >> 20, (UINT64_MAX >> 20) - 1 };
	static struct probe probes[5], soon;
	cede_loop_t *loop;
	uv_loop_t uv;

	attach(&loop, &uv);
	for (int i = 0; i < 5; i++) {
		probes[i].timer.fire = check_fired;
		cr_assert_eq(cede__timer_start(loop, &probes[i].timer, lengths[i]), 0);
	}
	start(loop, &soon, 10);
	clock_advance(10);
	uv_run(&uv, UV_RUN_NOWAIT);
	cr_assert_eq(n_fired, 1);
	for (int i = 0; i < 5; i++)
		cede__timer_stop(&probes[i].timer);
	check_heap(loop, 0);
	detach_and_close(loop, &uv);
}

/* A deadline that is moved must not be lost where there is no memory. */
Test(timers, moving_one_takes_no_memory_however_many_have_reserved_a_place)
{
	static struct probe reserved[40], moved;
	cede_loop_t *loop;
	uv_loop_t uv;

	clock_start();
	fault_install();
	uv_loop_init(&uv);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	start(loop, &moved, 20);
	for (int i = 0; i < 40; i++)
		cr_assert_eq(cede__timer_reserve(loop, &reserved[i].timer), 0);
	for (int i = 0; i < 40; i++)
		start(loop, &reserved[i], 10);
	fault_arm(1, FAULT_FOREVER);
	for (int i = 0; i < 10; i++) {
		stop(&moved);
		start(loop, &moved, 20 + (uint64_t)i);
	}
	cr_assert_eq(fault_disarm(), 0);
	stop(&moved);
	for (int i = 0; i < 40; i++) {
		stop(&reserved[i]);
		cede__timer_unreserve(loop, &reserved[i].timer);
	}
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(uv_loop_close(&uv), 0);
}
