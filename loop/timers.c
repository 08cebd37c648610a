#include "loop/timers.h"

#include <stdlib.h>

#include "coro/alloc.h"
#include "coro/check.h"
#include "loop/loop_int.h"

#define CHILDREN     4
#define CAPACITY_MIN 64

/* The due time takes 44 bits of the key: 557 years of milliseconds. */
#define SERIAL_BITS 20
#define SERIAL_MAX  ((1U << SERIAL_BITS) - 1)
#define DUE_MAX     (UINT64_MAX >> SERIAL_BITS)

static uint64_t
due_of(const struct cede__timer_entry *entry)
{
	return entry->key >> SERIAL_BITS;
}

static void
place(struct cede__timers *t, uint32_t index, struct cede__timer_entry entry)
{
	t->entries[index] = entry;
	entry.timer->index = index;
}

/* Moves a hole up to where `entry` belongs. */
static void
sift_up(struct cede__timers *t, uint32_t hole, struct cede__timer_entry entry)
{
	while (hole > 1) {
		uint32_t parent = (hole + CHILDREN - 2) / CHILDREN;

		if (t->entries[parent].key <= entry.key)
			break;
		place(t, hole, t->entries[parent]);
		hole = parent;
	}
	place(t, hole, entry);
}

/* Moves a hole down to where `entry` belongs. */
static void
sift_down(struct cede__timers *t, uint32_t hole, struct cede__timer_entry entry)
{
	for (;;) {
		uint64_t first = (uint64_t)CHILDREN * (hole - 1) + 2;
		uint64_t last = first + CHILDREN - 1 < t->count ? first + CHILDREN - 1 : t->count;
		uint32_t least = (uint32_t)first;

		if (first > t->count)
			break;
		for (uint32_t i = least + 1; i <= last; i++)
			if (t->entries[i].key < t->entries[least].key)
				least = i;
		if (t->entries[least].key >= entry.key)
			break;
		place(t, hole, t->entries[least]);
		hole = least;
	}
	place(t, hole, entry);
}

static int
grow(struct cede__timers *t)
{
	uint32_t capacity = t->capacity ? t->capacity * 2 : CAPACITY_MIN;
	void *entries;

	if (capacity <= t->capacity)
		return CEDE_ENOMEM;
	entries = cede__realloc(t->entries, (size_t)capacity * sizeof *t->entries);
	if (!entries)
		return CEDE_ENOMEM;
	t->entries = entries;
	t->capacity = capacity;
	return 0;
}

/* Is there a place for one more that has none of its own? */
static int
make_room(struct cede__timers *t)
{
	const uint64_t taken = (uint64_t)t->count - t->reserved_used + t->reserved;

	return taken + 1 < t->capacity ? 0 : grow(t);
}

static int
compare_keys(const void *a, const void *b)
{
	const struct cede__timer_entry *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

/*
 * The serials are used up: numbers those that are due together from 0 again, in
 * their order. Once in a million starts; a sorted array is a heap. Where more
 * than half a million are due together, it is not kept up: later ones may come
 * before them.
 */
static CEDE__COLD void
renumber(struct cede__timers *t)
{
	uint32_t serial = 0;
	uint64_t last_due = UINT64_MAX;

	qsort(t->entries + 1, t->count, sizeof *t->entries, compare_keys);
	t->serial = 0;
	for (uint32_t i = 1; i <= t->count; i++) {
		struct cede__timer_entry entry = t->entries[i];
		const uint64_t due = due_of(&entry);

		serial = due != last_due ? 0 : serial < SERIAL_MAX ? serial + 1 : SERIAL_MAX;
		last_due = due;
		entry.key = due << SERIAL_BITS | serial;
		place(t, i, entry);
		if (serial >= t->serial)
			t->serial = serial + 1;
	}
	if (t->serial > SERIAL_MAX / 2)
		t->serial = 0;
}

static void fire_due(uv_timer_t *uv);

/* Arms the one handle for the earliest timer, unless it will fire before that anyway. */
static void
arm(cede_loop_t *loop)
{
	struct cede__timers *t = &loop->timers;
	uint64_t due, now;

	if (t->count == 0 || t->armed_ms <= (due = due_of(&t->entries[1])))
		return;
	now = uv_now(loop->uv); /* what libuv adds to */
	uv_timer_start(&t->uv, fire_due, due > now ? due - now : 0, 0);
	t->armed_ms = due;
}

static void
take_out(struct cede__timers *t, struct cede__timer *timer)
{
	uint32_t hole = timer->index;
	struct cede__timer_entry last = t->entries[t->count--];

	if (!timer->is_weak && --t->strong == 0)
		uv_unref((uv_handle_t *)&t->uv);
	t->reserved_used -= timer->is_reserved;
	timer->index = 0;
	if (last.timer == timer)
		return;
	if (hole > 1 && last.key < t->entries[(hole + CHILDREN - 2) / CHILDREN].key)
		sift_up(t, hole, last);
	else
		sift_down(t, hole, last);
}

void
cede__timers_fire(cede_loop_t *loop)
{
	struct cede__timers *t = &loop->timers;
	uint64_t now;

	cede__loop_enter(loop);
	now = cede__loop_time(loop);
	while (t->count > 0 && due_of(&t->entries[1]) <= now) {
		struct cede__timer *timer = t->entries[1].timer;

		take_out(t, timer);
		timer->fire(timer);
	}
	cede__loop_leave(loop);
}

static void
fire_due(uv_timer_t *uv)
{
	cede_loop_t *loop = uv->data;

	loop->timers.armed_ms = UINT64_MAX;
	cede__timers_fire(loop);
	if (!loop->is_closing)
		arm(loop);
}

uint64_t
cede__timers_next(const cede_loop_t *loop)
{
	const struct cede__timers *t = &loop->timers;

	return t->count > 0 ? due_of(&t->entries[1]) : UINT64_MAX;
}

static void
ignore(uv_timer_t *uv)
{
}

void
cede__timers_hold(cede_loop_t *loop)
{
	uv_timer_start(&loop->timers.uv, ignore, UINT64_MAX / 2, 0);
	loop->timers.armed_ms = 0;
}

int
cede__timers_init(cede_loop_t *loop)
{
	struct cede__timers *t = &loop->timers;
	int r = uv_timer_init(loop->uv, &t->uv);

	if (r < 0)
		return r;
	t->uv.data = loop;
	t->armed_ms = UINT64_MAX;
	uv_unref((uv_handle_t *)&t->uv);
	return 0;
}

void
cede__timers_close(cede_loop_t *loop, uv_close_cb closed)
{
	uv_close((uv_handle_t *)&loop->timers.uv, closed);
}

void
cede__timers_deinit(cede_loop_t *loop)
{
	cede__free(loop->timers.entries);
	loop->timers.entries = NULL;
}

int
cede__timer_start(cede_loop_t *loop, struct cede__timer *timer, uint64_t delay_ms)
{
	struct cede__timers *t = &loop->timers;
	uint64_t now = cede__loop_time(loop);
	uint64_t due = delay_ms < DUE_MAX - now ? now + delay_ms : DUE_MAX;

	cede__assert(timer->index == 0);
	if (!timer->is_reserved && cede__unlikely(make_room(t) < 0))
		return CEDE_ENOMEM;
	if (cede__unlikely(t->serial > SERIAL_MAX))
		renumber(t);

	timer->loop = loop;
	t->reserved_used += timer->is_reserved;
	if (!timer->is_weak && t->strong++ == 0)
		uv_ref((uv_handle_t *)&t->uv);
	sift_up(t, ++t->count,
		(struct cede__timer_entry){
			.key = due << SERIAL_BITS | t->serial++,
			.timer = timer,
		});
	arm(loop);
	return 0;
}

int
cede__timer_reserve(cede_loop_t *loop, struct cede__timer *timer)
{
	struct cede__timers *t = &loop->timers;

	if (make_room(t) < 0)
		return CEDE_ENOMEM;
	t->reserved++;
	t->reserved_used += timer->index > 0;
	timer->is_reserved = 1;
	return 0;
}

void
cede__timer_unreserve(cede_loop_t *loop, struct cede__timer *timer)
{
	if (!timer->is_reserved)
		return;
	cede__timer_stop(timer);
	timer->is_reserved = 0;
	loop->timers.reserved--;
}

void
cede__timer_set_weak(struct cede__timer *timer, int is_weak)
{
	if (timer->is_weak == is_weak)
		return;
	timer->is_weak = (uint8_t)is_weak;
	if (timer->index == 0)
		return;
	struct cede__timers *t = &timer->loop->timers;

	if (is_weak && --t->strong == 0)
		uv_unref((uv_handle_t *)&t->uv);
	else if (!is_weak && t->strong++ == 0)
		uv_ref((uv_handle_t *)&t->uv);
}

void
cede__timer_stop(struct cede__timer *timer)
{
	struct cede__timers *t;

	if (timer->index == 0)
		return;
	t = &timer->loop->timers;
	take_out(t, timer);
	if (t->count == 0 && t->armed_ms > 0) {
		uv_timer_stop(&t->uv);
		t->armed_ms = UINT64_MAX;
	}
}
