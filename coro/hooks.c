/*
 * Warnings, unraisable errors, origins. The words are CPython's.
 */
#include <cede/hooks.h>

#include <stdio.h>
#include <string.h>
#if defined(__GLIBC__)
#include <execinfo.h>
#endif

#include "coro/alloc.h"
#include "coro/origin.h"

#define ORIGIN_DEPTH_MAX 64

struct cede__origin {
	int count;
	void *frames[];
};

int
cede_set_warn_hook(cede_warn_fn *fn, void *data)
{
	struct cede__thread *th = cede__thread();

	if (!th)
		return CEDE_ENOMEM;
	th->warn = fn;
	th->warn_data = data;
	return 0;
}

int
cede_set_unraisable_hook(cede_unraisable_fn *fn, void *data)
{
	struct cede__thread *th = cede__thread();

	if (!th)
		return CEDE_ENOMEM;
	th->unraisable = fn;
	th->unraisable_data = data;
	return 0;
}

static void
warn(cede_coro_t *co, const char *text)
{
	struct cede__thread *th = cede__thread_record;
	int r;

	if (!th || !th->warn) {
		fprintf(stderr, "RuntimeWarning: %s\n", text);
		return;
	}
	r = th->warn(co, text, th->warn_data);
	if (r < 0)
		cede__report_unraisable(co, r, "Exception ignored while warning of coroutine");
}

void
cede__warn_never_awaited(cede_coro_t *co)
{
	const char *place = cede_coro_place(co);
	char text[512];

	snprintf(text, sizeof text, "coroutine '%s' was never awaited%s%s", co->name,
		*place ? "\nCoroutine created at " : "", place);
	warn(co, text);
}

void
cede__warn_call_never_awaited(cede_coro_t *co, const char *method)
{
	char text[512];

	snprintf(text, sizeof text, "coroutine method '%s' of '%s' was never awaited", method,
		co->name);
	warn(co, text);
}

void
cede__report_unraisable(cede_coro_t *co, int code, const char *what)
{
	struct cede__thread *th = cede__thread_record;
	const cede_error_t *error = cede_error();
	char text[512];

	snprintf(text, sizeof text, "%s '%s'", what, co->name);
	if (th && th->unraisable)
		th->unraisable(co, code, text, th->unraisable_data);
	else
		fprintf(stderr, "%s: %s\n", text,
			cede_error_code(error) == code ? cede_error_message(error)
						       : cede_strerror(code));
}

int
cede_set_origin_depth(int depth)
{
	struct cede__thread *th = cede__thread();
	int before;

	if (!th)
		return CEDE_ENOMEM;
	if (depth < 0)
		return CEDE_EINVAL;
	before = th->origin_depth;
	th->origin_depth = depth < ORIGIN_DEPTH_MAX ? depth : ORIGIN_DEPTH_MAX;
	return before;
}

/* Our own frames above the caller's, at most. */
#define OWN_FRAMES_MAX 6

void
cede__origin_keep(cede_coro_t *co, const void *caller)
{
#if defined(__GLIBC__)
	int depth = cede__thread_record->origin_depth, own = 0;
	void *frames[ORIGIN_DEPTH_MAX + OWN_FRAMES_MAX];
	int count = backtrace(frames, depth + OWN_FRAMES_MAX);
	struct cede__origin *origin;

	while (own < count && frames[own] != caller)
		own++;
	count -= own;
	if (count <= 0)
		return; /* this stack cannot be walked */
	if (count > depth)
		count = depth;
	origin = cede__alloc(sizeof *origin + (size_t)count * sizeof *frames);
	if (!origin)
		return;
	origin->count = count;
	memcpy(origin->frames, frames + own, (size_t)count * sizeof *frames);
	co->origin = origin;
#endif
}

int
cede_coro_origin(const cede_coro_t *co, void *const **ret_frames)
{
	if (!co->origin)
		return 0;
	*ret_frames = co->origin->frames;
	return co->origin->count;
}
