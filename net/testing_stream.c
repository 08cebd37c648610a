/*
 * Scripted streams, for tests: a pair in memory (stream_memory.c), each direction of
 * which may have a script of what befalls its bytes.
 *
 * A script counts the bytes that were taken from the writer, and those that the reader
 * has got. Where the first count reaches a step, it is reset, ended, or takes no more. A
 * delay is begun when the byte it is for has been taken, and holds the reader back in front of it
 * until it is over. After each piece that a reader gets under a limit there is a pause,
 * to the next turn of the loop: so it has to wait for the next.
 *
 * All that is written goes through the ring: a script sees each byte come and go.
 */
#include <cede/testing.h>

#include <string.h>

#include "coro/alloc.h"
#include "net/stream_memory.h"

#define STEPS_MAX  1000
#define RANDOM_MAX ((size_t)4096) /* of a random piece, where no maximum is said */

struct cede__script {
	struct cede__memory_end *end; /* the writer's */
	cede_loop_t *loop;
	size_t read_max, write_max; /* 0: no limit */
	uint64_t random;
	uint8_t is_random;
	uint8_t is_swallowing, is_stalled; /* the writer has come to such a step */
	uint64_t taken, read;
	unsigned delay, fault;     /* the next step of each kind */
	struct cede__timer paused; /* runs: a piece was read in this turn */
	struct cede__timer delayed;
	unsigned step_count;
	cede_test_step_t steps[];
};

/* ---- steps ---- */

static const cede_test_step_t *
step_at(const struct cede__script *x, unsigned i)
{
	return i < x->step_count ? &x->steps[i] : NULL;
}

/* The first from i on that is a delay, or is none. */
static unsigned
find_step(const struct cede__script *x, unsigned i, int is_delay)
{
	while (i < x->step_count && (x->steps[i].fault == CEDE_TEST_DELAY) != is_delay)
		i++;
	return i;
}

/* The byte, or the end, that it is for has come. */
static void
begin_delay(struct cede__script *x)
{
	const struct cede__memory_flow *f = &x->end->out;
	const cede_test_step_t *step = step_at(x, x->delay);
	const int has_end = f->is_ended || f->read_code < 0;

	if (!step || x->delayed.index != 0 || !cede__memory_peer(x->end)->stream)
		return;
	if (x->taken + (has_end ? 1 : 0) > step->at)
		(void)cede__timer_start(x->loop, &x->delayed, step->ms); /* it has a place */
}

static void
delay_ended(struct cede__timer *timer)
{
	struct cede__script *x = cede__container_of(timer, struct cede__script, delayed);

	x->delay = find_step(x, x->delay + 1, 1);
	begin_delay(x);
	cede__memory_tell_reader(x->end);
}

static void
pause_ended(struct cede__timer *timer)
{
	cede__memory_tell_reader(cede__container_of(timer, struct cede__script, paused)->end);
}

static void
apply_faults(struct cede__script *x)
{
	const cede_test_step_t *step;

	while ((step = step_at(x, x->fault)) && x->taken >= step->at) {
		x->fault = find_step(x, x->fault + 1, 0);
		if (step->fault == CEDE_TEST_STALL)
			x->is_stalled = 1;
		else if (step->fault == CEDE_TEST_END)
			x->is_swallowing = x->end->out.is_ended = 1;
		else
			cede__memory_reset(x->end);
	}
}

/* ---- what the stream asks ---- */

/* SplitMix64. */
static size_t
draw(struct cede__script *x, size_t max)
{
	uint64_t z = x->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return 1 + (size_t)((z ^ z >> 31) % max);
}

static size_t
piece_size(struct cede__script *x, size_t max)
{
	if (x->is_random)
		return draw(x, max > 0 ? max : RANDOM_MAX);
	return max > 0 ? max : SIZE_MAX;
}

/* How far the reader may come before the next delay is over. */
static uint64_t
held_from(const struct cede__script *x)
{
	const cede_test_step_t *step = step_at(x, x->delay);

	return step ? step->at : UINT64_MAX;
}

size_t
cede__script_let_out(struct cede__memory_flow *f, size_t size)
{
	struct cede__script *x = f->script;
	const uint64_t held = held_from(x);
	size_t n = size < f->count ? size : f->count;

	if (x->paused.index != 0 || x->read >= held)
		return 0;
	if (n > held - x->read)
		n = (size_t)(held - x->read);
	if (n > 0 && (x->read_max > 0 || x->is_random)) {
		const size_t max = piece_size(x, x->read_max);

		n = n < max ? n : max;
		(void)cede__timer_start(x->loop, &x->paused, 0); /* it has a place */
	}
	x->read += n;
	return n;
}

int
cede__script_shows(const struct cede__memory_flow *f)
{
	const struct cede__script *x = f->script;

	if (x->paused.index != 0 || x->read >= held_from(x))
		return 0;
	return f->count > 0 || f->is_ended || f->read_code < 0;
}

size_t
cede__script_let_in(const struct cede__memory_flow *f)
{
	struct cede__script *x = f->script;
	const cede_test_step_t *step = step_at(x, x->fault);
	size_t n;

	if (x->is_stalled)
		return 0;
	n = x->write_max > 0 || x->is_random ? piece_size(x, x->write_max) : SIZE_MAX;
	return step && n > step->at - x->taken ? (size_t)(step->at - x->taken) : n;
}

void
cede__script_note_taken(struct cede__memory_flow *f, size_t size)
{
	struct cede__script *x = f->script;

	x->taken += size;
	apply_faults(x);
	begin_delay(x);
}

int
cede__script_swallows(const struct cede__memory_flow *f)
{
	return f->script->is_swallowing;
}

/* ---- life ---- */

void
cede__script_stop(struct cede__script *x)
{
	cede__timer_unreserve(x->loop, &x->paused);
	cede__timer_unreserve(x->loop, &x->delayed);
}

void
cede__script_destroy(struct cede__script *x)
{
	if (!x)
		return;
	cede__script_stop(x);
	cede__free(x);
}

/* The steps that there are, which come in order; or CEDE_EINVAL. */
static int
count_steps(const cede_test_step_t *steps, unsigned *ret_count)
{
	unsigned n = 0;

	for (; steps && steps[n].fault != 0; n++) {
		if ((unsigned)steps[n].fault > CEDE_TEST_STALL || n == STEPS_MAX)
			return CEDE_EINVAL;
		if (n > 0 && steps[n].at < steps[n - 1].at)
			return CEDE_EINVAL;
	}
	*ret_count = n;
	return 0;
}

static int
reserve_timers(struct cede__script *x)
{
	int r = cede__timer_reserve(x->loop, &x->paused);

	if (r == 0)
		r = cede__timer_reserve(x->loop, &x->delayed);
	return r; /* what was reserved is given back by cede__script_destroy() */
}

static int
create(struct cede__memory_end *end, const cede_test_flow_t *flow)
{
	struct cede__script *x;
	unsigned count;
	int r = count_steps(flow->steps, &count);

	if (r < 0)
		return r;
	x = cede__alloc_zero(sizeof *x + count * sizeof *x->steps);
	if (!x)
		return CEDE_ENOMEM;
	x->end = end;
	x->loop = cede_loop_current();
	x->read_max = flow->read_max;
	x->write_max = flow->write_max;
	x->random = flow->seed;
	x->is_random = flow->seed != 0;
	x->paused = (struct cede__timer){ .fire = pause_ended };
	x->delayed = (struct cede__timer){ .fire = delay_ended };
	x->step_count = count;
	if (count > 0)
		memcpy(x->steps, flow->steps, count * sizeof *x->steps);
	x->delay = find_step(x, 0, 1);
	x->fault = find_step(x, 0, 0);
	end->out.script = x;
	return reserve_timers(x);
}

int
cede_test_stream(const cede_test_stream_options_t *options, cede_stream_t **ret_ours,
	cede_stream_t **ret_theirs)
{
	static const cede_test_stream_options_t defaults;
	const cede_test_stream_options_t *o = options ? options : &defaults;
	struct cede__memory *m;
	int r;

	if (!cede_loop_current())
		return CEDE_ENOTASK;
	r = cede__memory_create(o->capacity, &m);
	if (r < 0)
		return r;
	r = create(&m->ends[0], &o->to_theirs);
	if (r == 0)
		r = create(&m->ends[1], &o->to_ours);
	if (r < 0) {
		cede_stream_t *theirs = m->ends[1].stream;

		cede_close(m->ends[0].stream);
		cede_close(theirs);
		return r;
	}
	*ret_ours = m->ends[0].stream;
	*ret_theirs = m->ends[1].stream;
	cede__script_note_taken(&m->ends[0].out, 0);
	cede__script_note_taken(&m->ends[1].out, 0);
	return 0;
}
