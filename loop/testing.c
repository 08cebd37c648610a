/*
 * A loop under test: its order, its clock, and when it is quiet.
 *
 * Order. A run of the ready queue goes through cede__testing_run_ready(), which
 * takes a random task of those that are ready, counts steps and awaits, and cancels
 * at the await it was told. Every step that ends in an await is one suspension; so
 * there is nothing to hook in the awaits themselves.
 *
 * Quiet. After each poll of libuv look() asks whether anything of ours was called
 * since the last one. If so, the next poll must not wait (an idle handle sees to
 * that). If not, every task is blocked and one poll has brought nothing: then, in
 * the order of how much real silence they ask for, those are woken who wait for
 * just this, and time jumps to the earliest timer. While a request of ours is on
 * the thread pool, or when there is nothing to jump to, polls wait; after a silence
 * too long those that wait are accused of waiting for ever, and cancelled.
 *
 * The clock. loop->clock_ms is what the loop reads; its uv_timer_t is held, so that
 * a timer keeps the loop alive as before and never fires by itself.
 *
 * None of the kit's handles keeps the loop alive but the check, while somebody
 * waits for quiet. So a loop in which nothing can happen any more ends, as it does
 * without the kit.
 */
#include "loop/testing_int.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "coro/alloc.h"

#define STARTS_MS      1000000 /* no time of a test is 0, which could mean none */
#define SILENCE_MS     10000
#define STEPS_MAX      1000000
#define ADVANCE_MAX_MS (UINT64_C(100) * 366 * 24 * 3600 * 1000)
#define CULPRITS_MAX   5
#define BARREN_JUMPS   1000 /* that are nothing to wonder at: a listener's pause, a stream's limit */

void
cede__testing_find(struct cede__testing *t, int code, const char *format, ...)
{
	va_list args;

	if (t->code < 0)
		return;
	t->code = code;
	va_start(args, format);
	vsnprintf(t->text, sizeof t->text, format, args);
	va_end(args);
}

/* ---- order ---- */

/* SplitMix64: good from any seed. */
static uint64_t
draw(struct cede__testing *t)
{
	uint64_t z = t->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* FNV-1a. */
static void
trace(struct cede__testing *t, uint64_t number)
{
	for (int i = 0; i < 8; i++, number >>= 8)
		t->trace = (t->trace ^ (number & 0xff)) * UINT64_C(0x100000001b3);
}

static cede_task_t *
take_first(cede_loop_t *loop)
{
	cede_task_t *task = loop->ready_first;

	if (task)
		loop->ready_first = task->next_ready;
	return task;
}

/* Takes what is ready off the loop's queue, to choose from. Without memory it is left where it is. */
static void
gather(struct cede__testing *t)
{
	while (t->loop->ready_first) {
		if (t->ready_count == t->ready_capacity) {
			const size_t capacity = t->ready_capacity ? t->ready_capacity * 2 : 64;
			void *ready = realloc(t->ready, capacity * sizeof(cede_task_t *));

			if (!ready)
				return;
			t->ready = ready;
			t->ready_capacity = capacity;
		}
		t->ready[t->ready_count++] = take_first(t->loop);
	}
}

static cede_task_t *
take_any(struct cede__testing *t)
{
	cede_task_t *task;
	size_t i;

	gather(t);
	if (t->ready_count == 0)
		return take_first(t->loop);
	i = (size_t)(draw(t) % t->ready_count);
	task = t->ready[i];
	memmove(t->ready + i, t->ready + i + 1, (--t->ready_count - i) * sizeof(cede_task_t *));
	return task;
}

/* The run is over: what was not taken goes back to the front of the queue. */
static void
put_back(struct cede__testing *t)
{
	cede_loop_t *loop = t->loop;

	while (t->ready_count > 0) {
		cede_task_t *task = t->ready[--t->ready_count];

		task->next_ready = loop->ready_first;
		if (!loop->ready_first)
			loop->ready_last = task;
		loop->ready_first = task;
	}
}

/* A task has suspended. */
static void
note_await(struct cede__testing *t, cede_task_t *task)
{
	cede_task_t *victim = t->cancels_main ? t->main : task;

	if (++t->awaits != t->cancel_at)
		return;
	snprintf(t->task, sizeof t->task, "%s", cede_task_name(task));
	snprintf(t->place, sizeof t->place, "%s", cede_task_place(task));
	if (victim && cede_task_cancel(victim))
		t->cancelled++;
}

static void
step(struct cede__testing *t, cede_task_t *task)
{
	const int is_for_nothing = task->is_ignoring || (!task->is_woken && task->refusal == 0);

	task->is_ready = 0;
	if (is_for_nothing)
		return;
	cede_task_ref(task);
	t->steps++;
	trace(t, task->number);
	trace(t, t->now_ms);
	cede__task_step(task);
	if (task->is_waiting)
		note_await(t, task);
	cede_task_unref(task);
}

void
cede__testing_run_ready(cede_loop_t *loop)
{
	struct cede__testing *t = loop->testing;

	t->progress++;
	for (unsigned n = 0; n < CEDE__LOOP_BUDGET; n++) {
		cede_task_t *task = t->seed == 0 ? take_first(loop) : take_any(t);

		if (!task)
			break;
		step(t, task);
	}
	put_back(t);
}

/* ---- what goes wrong ---- */

/* "'main' (server.c:12), 'client' (server.c:30) and 3 more". */
static void
list_tasks(const cede_loop_t *loop, char *text, size_t size)
{
	unsigned count = 0;
	size_t at = 0;

	text[0] = '\0';
	cede__list_each(link, &loop->tasks) {
		const cede_task_t *task = cede__container_of(link, cede_task_t, link);

		if (count++ < CULPRITS_MAX && at < size)
			at += (size_t)snprintf(text + at, size - at, "%s'%s' (%s)",
				count > 1 ? ", " : "", task->name, cede_task_place(task));
	}
	if (count > CULPRITS_MAX && at < size)
		snprintf(text + at, size - at, " and %u more", count - CULPRITS_MAX);
}

/* They are cancelled, and told apart from what a cancel can't reach. */
static void
accuse(struct cede__testing *t, const char *of_what)
{
	char tasks[384];

	list_tasks(t->loop, tasks, sizeof tasks);
	cede__check(++t->accusations < 16, "a test can't end: tasks %s: %s", of_what, tasks);
	cede__testing_find(t, CEDE_EDEADLK, "tasks %s: %s", of_what, tasks);
	cede__list_each(link, &t->loop->tasks)
		cede_task_cancel(cede__container_of(link, cede_task_t, link));
}

/* ---- quiet ---- */

static void
do_nothing(uv_idle_t *idle)
{
}

/* Before the poll it was for, if the program was held up: that poll must not wait either. */
static void
time_is_up(uv_timer_t *timer)
{
	struct cede__testing *t = timer->data;

	uv_idle_start(&t->idle, do_nothing);
}

static void
poll_at_once(struct cede__testing *t)
{
	if (t->loop->is_closing)
		return; /* what was done in this look has ended the loop: libuv would start what closes */
	uv_timer_stop(&t->limit);
	uv_idle_start(&t->idle, do_nothing);
}

static void
poll_for(struct cede__testing *t, uint64_t ms)
{
	uv_idle_stop(&t->idle);
	uv_update_time(t->loop->uv);
	uv_timer_start(&t->limit, time_is_up, ms, 0);
}

/* Timers fire again and again, and no task has made a step for as long as silence may last. */
static int
is_barren(struct cede__testing *t)
{
	if (t->barren_jumps == 0 || t->barren_steps != t->steps) {
		t->barren_steps = t->steps;
		t->barren_jumps = 0;
		t->barren_ns = uv_hrtime();
	}
	return ++t->barren_jumps > BARREN_JUMPS &&
		(uv_hrtime() - t->barren_ns) / 1000000 >= t->silence_ms;
}

/* Time goes to the earliest timer. */
static void
jump(struct cede__testing *t)
{
	const uint64_t due = cede__timers_next(t->loop);

	if (is_barren(t)) {
		t->barren_jumps = 0;
		accuse(t, "wait for what does not come");
	}
	if (due != UINT64_MAX && due > t->now_ms)
		t->now_ms = due;
	cede__timers_fire(t->loop);
}

static unsigned
shortest_cushion(const struct cede__testing *t)
{
	unsigned least = UINT_MAX;

	cede__list_each(link, &t->waits) {
		const struct cede__blocked_wait *w =
			cede__container_of(link, struct cede__blocked_wait, link);

		if (w->cushion_ms < least)
			least = w->cushion_ms;
	}
	return least;
}

static void
forget_wait(struct cede__blocked_wait *w)
{
	struct cede__testing *t = w->testing;

	cede__list_remove(&w->link);
	if (cede__list_is_empty(&t->waits))
		uv_unref((uv_handle_t *)&t->check);
}

static void
wake_waits(struct cede__testing *t, unsigned cushion_ms)
{
	cede__loop_enter(t->loop);
	cede__list_each_safe(link, &t->waits) {
		struct cede__blocked_wait *w =
			cede__container_of(link, struct cede__blocked_wait, link);

		if (w->cushion_ms <= cushion_ms) {
			forget_wait(w);
			cede_future_resolve(&w->future, 0, NULL);
		}
	}
	cede__loop_leave(t->loop);
}

/* Nothing has happened since the last look, and libuv had nothing. */
static void
go_on(struct cede__testing *t)
{
	const cede_loop_t *loop = t->loop;
	const uint64_t now_ns = uv_hrtime();
	const int has_timer = cede__timers_next(loop) != UINT64_MAX;
	int can_wake = !cede__list_is_empty(&t->waits) && loop->in_flight == 0;
	int can_jump = has_timer && t->clock == CEDE_TEST_CLOCK_JUMPS && loop->in_flight == 0;
	const unsigned wakes_in = can_wake ? shortest_cushion(t) : UINT_MAX;
	uint64_t silent_ms, wait_ms;

	if (t->quiet_ns == 0)
		t->quiet_ns = now_ns;
	silent_ms = (now_ns - t->quiet_ns) / 1000000;
	can_wake = can_wake && (!can_jump || wakes_in <= t->cushion_ms);
	can_jump = can_jump && !can_wake;
	wait_ms = can_wake ? wakes_in : can_jump ? t->cushion_ms : t->silence_ms;
	if (silent_ms < wait_ms) {
		poll_for(t, wait_ms - silent_ms);
		return;
	}

	t->quiet_ns = 0;
	if (can_wake)
		wake_waits(t, wakes_in);
	else if (can_jump)
		jump(t);
	else if (!(has_timer && t->clock == CEDE_TEST_CLOCK_REAL) &&
		!cede__list_is_empty(&loop->tasks))
		accuse(t,
			loop->in_flight > 0 ? "wait, and a thread does not come back"
					    : "wait for what does not come");
	poll_at_once(t);
}

static void
look(uv_check_t *check)
{
	struct cede__testing *t = check->data;

	if (cede__unlikely(t->steps >= t->steps_limit)) {
		t->steps_limit += t->steps_max / 16 + 1;
		accuse(t, "run for ever");
		if (t->clock != CEDE_TEST_CLOCK_REAL)
			jump(t); /* they give it no chance to pass, and shields end by it */
	}
	if (t->clock != CEDE_TEST_CLOCK_REAL && cede__timers_next(t->loop) <= t->now_ms)
		cede__timers_fire(t->loop);
	if (t->loop->ready_first || t->progress != t->seen) {
		t->seen = t->progress;
		t->quiet_ns = 0;
		poll_at_once(t);
	} else {
		go_on(t);
	}
}

static void
cancel_wait(cede_future_t *future)
{
	forget_wait(cede__container_of(future, struct cede__blocked_wait, future));
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_test_wait_all_blocked(unsigned cushion_ms)
{
	struct cede__blocked_wait w = { .cushion_ms = cushion_ms };
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r < 0)
		return r;
	if (!loop->testing)
		return CEDE_ENOTSUP;
	w.testing = loop->testing;
	cede_future_init(&w.future, cancel_wait);
	cede__list_init(&w.link);
	if (cede__list_is_empty(&w.testing->waits))
		uv_ref((uv_handle_t *)&w.testing->check);
	cede__list_append(&w.testing->waits, &w.link);
	return cede_await(&w.future);
}

int
cede_test_clock_advance(uint64_t ms)
{
	cede_loop_t *loop = cede_loop_current();

	if (!loop)
		return CEDE_ENOTASK;
	if (!loop->testing || loop->testing->clock == CEDE_TEST_CLOCK_REAL)
		return CEDE_ENOTSUP;
	if (ms > ADVANCE_MAX_MS)
		return CEDE_EINVAL;
	loop->testing->now_ms += ms;
	loop->now_ms = loop->testing->now_ms;
	return 0;
}

uint64_t
cede_test_seed(void)
{
	const cede_loop_t *loop = cede_loop_current();

	return loop && loop->testing ? loop->testing->seed : 0;
}

/* ---- life ---- */

int
cede__testing_init(struct cede__testing *t, const cede_test_options_t *options)
{
	static const cede_test_options_t defaults;
	const cede_test_options_t *o = options ? options : &defaults;

	if ((unsigned)o->clock > CEDE_TEST_CLOCK_REAL)
		return CEDE_EINVAL;
	*t = (struct cede__testing){
		.seed = o->seed,
		.random = o->seed,
		.clock = o->clock,
		.cushion_ms = o->cushion_ms,
		.silence_ms = o->silence_ms > 0 ? o->silence_ms : SILENCE_MS,
		.steps_max = o->steps_max > 0 ? o->steps_max : STEPS_MAX,
		.now_ms = STARTS_MS,
		.trace = UINT64_C(0xcbf29ce484222325),
	};
	t->steps_limit = t->steps_max;
	cede__list_init(&t->waits);
	return 0;
}

static void
start_handle(cede_loop_t *loop, struct cede__testing *t, uv_handle_t *handle)
{
	handle->data = t;
	uv_unref(handle);
	cede__loop_opened(loop);
}

int
cede__testing_install(cede_loop_t *loop, struct cede__testing *t)
{
	if (loop->testing || loop->is_detaching || loop->depth > 0 || loop->timers.count > 0 ||
		!cede__list_is_empty(&loop->tasks))
		return CEDE_EBUSY;
	t->loop = loop;
	uv_check_init(loop->uv, &t->check); /* these three cannot fail in any libuv */
	uv_idle_init(loop->uv, &t->idle);
	uv_timer_init(loop->uv, &t->limit);
	start_handle(loop, t, (uv_handle_t *)&t->check);
	start_handle(loop, t, (uv_handle_t *)&t->idle);
	start_handle(loop, t, (uv_handle_t *)&t->limit);
	uv_check_start(&t->check, look);
	uv_idle_start(&t->idle, do_nothing);
	if (t->clock != CEDE_TEST_CLOCK_REAL) {
		cede__timers_hold(loop);
		loop->clock_ms = &t->now_ms;
	}
	loop->testing = t;
	t->began_ms = cede__loop_read_time(loop);
	return 0;
}

int
cede_test_attach(cede_loop_t *loop, const cede_test_options_t *options)
{
	struct cede__testing *t;
	int r;

	if (!loop)
		return CEDE_EINVAL;
	t = cede__alloc(sizeof *t);
	if (!t)
		return CEDE_ENOMEM;
	r = cede__testing_init(t, options);
	t->is_owned = 1;
	if (r == 0)
		r = cede__testing_install(loop, t);
	if (r < 0)
		cede__free(t);
	return r;
}

void
cede__testing_detaching(cede_loop_t *loop)
{
	struct cede__testing *t = loop->testing;
	char tasks[384];

	if (t->is_owned || cede__list_is_empty(&loop->tasks))
		return;
	list_tasks(loop, tasks, sizeof tasks);
	cede__testing_find(t, CEDE_EDEADLK, "tasks wait for what can't come any more: %s", tasks);
}

static void
closed(uv_handle_t *handle)
{
	struct cede__testing *t = handle->data;

	cede__loop_closed(t->loop);
}

/* What was started, and neither awaited nor cancelled: its end would be written into a frame that is gone. */
static void
find_forgotten(struct cede__testing *t)
{
	const unsigned sleeps = t->loop->timers.strong;

	if (sleeps > 0)
		cede__testing_find(t, CEDE_ELEFT, "%u sleep%s started and left to itself", sleeps,
			sleeps > 1 ? "s were" : " was");
	if (cede__signals_are_awaited(t->loop))
		cede__testing_find(t, CEDE_ELEFT,
			"a wait for a signal was started and left to itself");
}

void
cede__testing_report_left(cede_loop_t *loop)
{
	struct cede__testing *t = loop->testing;
	unsigned left = 0;

	t->time_ms = cede__loop_read_time(loop) - t->began_ms;
	cede__list_each(link, &loop->resources)
		left++;
	if (left > 0)
		cede__testing_find(t, CEDE_ELEFT, "%u stream%s or listener%s not closed", left,
			left > 1 ? "s" : "", left > 1 ? "s were" : " was");
	if (!cede__list_is_empty(&loop->ignorers)) {
		const cede_task_t *task =
			cede__container_of(cede__list_first(&loop->ignorers), cede_task_t, link);

		cede__testing_find(t, CEDE_EIGNORED, "task '%s' (%s) ignored its end", task->name,
			cede_task_place(task));
	}
	find_forgotten(t);
}

void
cede__testing_close(cede_loop_t *loop)
{
	struct cede__testing *t = loop->testing;

	uv_close((uv_handle_t *)&t->check, closed);
	uv_close((uv_handle_t *)&t->idle, closed);
	uv_close((uv_handle_t *)&t->limit, closed);
}

/* A handle of the test's own, in a loop that is not: it is closed, so that the loop can be. */
static void
close_strange(uv_handle_t *handle, void *data)
{
	struct cede__testing *t = data;

	if (uv_is_closing(handle))
		return;
	cede__testing_find(t, CEDE_ELEFT, "a handle of libuv's was not closed: uv_%s_t",
		uv_handle_type_name(uv_handle_get_type(handle)));
	uv_close(handle, NULL);
}

void
cede__testing_deinit(struct cede__testing *t)
{
	t->main = cede_task_unref(t->main);
	free(t->ready);
	t->ready = NULL;
	if (t->is_owned) {
		cede__free(t);
		return;
	}
	uv_walk(t->loop->uv, close_strange, t);
}
