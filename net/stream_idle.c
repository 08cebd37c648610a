/*
 * The idle limit: a timer that is started when a wait begins and looks, when it
 * fires, at when a byte moved last. So a byte that moves costs one store.
 */
#include "net/stream_int.h"

static void
idle_out(cede_stream_t *s)
{
	s->is_idle_out = 1;
	if (s->reader)
		cede__stream_end_read(s, CEDE_ETIMEDOUT);
	if (s->writer)
		cede__stream_break_write(s, CEDE_ETIMEDOUT);
}

/* Has libuv sent anything since this was asked last? */
static int
write_has_progressed(cede_stream_t *s)
{
	size_t unsent = uv_stream_get_write_queue_size(s->handle);
	int has = s->writer && unsent != s->unsent;

	s->unsent = unsent;
	return has;
}

void
cede__stream_idle_fires(struct cede__timer *timer)
{
	cede_stream_t *s = cede__container_of(timer, cede_stream_t, idle);
	uint64_t now = cede__loop_time(s->loop), due;

	if (!s->reader && !s->writer)
		return; /* started again by the next wait */
	if (write_has_progressed(s))
		s->active_ms = now;
	due = s->active_ms + s->idle_ms;
	if (now >= due)
		idle_out(s);
	else
		(void)cede__timer_start(s->loop, timer, due - now); /* its place is still there */
}

/* A wait begins. */
int
cede__stream_watch_idle(cede_stream_t *s)
{
	s->active_ms = cede__loop_time(s->loop);
	if (s->idle_ms == 0 || s->idle.index != 0)
		return 0;
	return cede__timer_start(s->loop, &s->idle, s->idle_ms);
}

int
cede_stream_set_idle(cede_stream_t *s, uint64_t idle_ms)
{
	s->idle_ms = idle_ms < UINT64_MAX / 2 ? idle_ms : UINT64_MAX / 2;
	cede__timer_stop(&s->idle);
	return s->reader || s->writer ? cede__stream_watch_idle(s) : 0;
}
