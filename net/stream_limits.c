/*
 * The limits of a stream: how long not a byte may move while somebody waits, and a
 * time at which it is over whatever moves. One timer for both, which looks, when it
 * fires, at when a byte moved last. So a byte that moves costs one store.
 *
 * The timer does not keep the loop alive: the handle of who waits does. Memory has none,
 * so there it is the timer, while somebody waits.
 */
#include "net/stream_int.h"

static void
time_out(cede_stream_t *s)
{
	s->is_timed_out = 1;
	if (s->reader)
		cede__stream_end_read(s, CEDE_ETIMEDOUT);
	if (s->writer)
		cede__stream_break_write(s, CEDE_ETIMEDOUT);
}

/* Has libuv sent anything since this was asked last? */
static int
write_has_progressed(cede_stream_t *s)
{
	size_t unsent = s->handle ? uv_stream_get_write_queue_size(s->handle) : 0;
	int has = s->writer && unsent != s->unsent;

	s->unsent = unsent;
	return has;
}

/* When the first limit passes, as far as is known now. 0: none can. */
static uint64_t
next_due(const cede_stream_t *s)
{
	uint64_t due = s->deadline_ms;

	if (s->idle_ms > 0 && (s->reader || s->writer) &&
		(due == 0 || s->active_ms + s->idle_ms < due))
		due = s->active_ms + s->idle_ms;
	return due;
}

static int
start(cede_stream_t *s, uint64_t due)
{
	uint64_t now = cede__loop_time(s->loop);

	s->due_ms = due;
	return cede__timer_start(s->loop, &s->limits, due > now ? due - now : 0);
}

void
cede__stream_limits_fire(struct cede__timer *timer)
{
	cede_stream_t *s = cede__container_of(timer, cede_stream_t, limits);
	uint64_t now = cede__loop_time(s->loop), due;

	if (write_has_progressed(s))
		s->active_ms = now;
	due = next_due(s);
	if (due == 0)
		return; /* started again by the next wait */
	if (now >= due)
		time_out(s);
	else
		(void)start(s, due); /* its place is still there */
}

/* The timer looks again when it fires. */
static int
watch_idle(cede_stream_t *s)
{
	const uint64_t due = s->active_ms + s->idle_ms;

	if (s->limits.index != 0) {
		if (s->due_ms <= due)
			return 0;
		cede__timer_stop(&s->limits);
	}
	return start(s, due);
}

int
cede__stream_watch_limits(cede_stream_t *s)
{
	int r = 0;

	s->active_ms = cede__loop_time(s->loop);
	if (cede__unlikely(s->is_in_memory))
		cede__timer_set_weak(&s->limits, 0);
	if (cede__unlikely(s->idle_ms > 0))
		r = watch_idle(s);
	if (cede__unlikely(r < 0))
		cede__stream_wait_ended(s);
	return r;
}

/* A limit was changed. */
static int
look_anew(cede_stream_t *s)
{
	uint64_t due;

	cede__timer_stop(&s->limits);
	due = next_due(s);
	return due > 0 && !s->is_closed ? start(s, due) : 0;
}

int
cede_stream_set_idle(cede_stream_t *s, uint64_t idle_ms)
{
	const uint64_t before = s->idle_ms;
	int r;

	s->idle_ms = idle_ms < UINT64_MAX / 4 ? idle_ms : UINT64_MAX / 4;
	s->active_ms = cede__loop_time(s->loop);
	r = look_anew(s);
	if (r < 0)
		s->idle_ms = before;
	return r;
}

int
cede_stream_set_deadline(cede_stream_t *s, uint64_t in_ms)
{
	const uint64_t before = s->deadline_ms;
	int r;

	s->deadline_ms = 0;
	if (in_ms > 0 && in_ms < UINT64_MAX / 4)
		s->deadline_ms = cede__loop_time(s->loop) + in_ms;
	r = look_anew(s);
	if (r < 0)
		s->deadline_ms = before;
	return r;
}
