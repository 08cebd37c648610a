/*
 * A child from its start to its end, with what it reads and writes.
 *
 * One task waits for everything at once: the write of the input, a read of each
 * output, the child's end, and after the end for as long as others may hold the
 * pipes. Whatever is done is taken up, and the wait goes on until nothing is left.
 *
 * An output grows to its limit and one byte more: whoever fills that has written too
 * much. The last byte is also the place of the zero.
 *
 * Ends badly (a limit, no memory, a cancel): what is under way is given up, the child
 * is ended, and only then it returns.
 */
#include <limits.h>

#include "coro/alloc.h"
#include "loop/process.h"
#include "net/stream_int.h"

#define LINGER_MS_DEFAULT 1000
#define CAPACITY_FIRST    4096

struct output {
	cede_stream_t *stream; /* NULL: not collected, or at its end */
	cede_read_t op;
	char *bytes;
	size_t size, capacity;
	size_t max;
};

struct run {
	cede_process_t *process;
	struct output outputs[2];
	cede_process_wait_t end;
	cede_write_t write;
	cede_sleep_t linger;
	uint64_t linger_ms;
	int has_ended, is_writing, is_lingering, is_incomplete;
};

/* ---- outputs ---- */

/* Room for one byte at least: `size` is at most `max`, so that there is some to be had. */
static int
grow(struct output *o)
{
	size_t capacity = o->capacity ? o->capacity : CAPACITY_FIRST / 2;
	char *bytes;

	if (o->size < o->capacity)
		return 0;
	capacity = capacity > o->max / 2 ? o->max + 1 : capacity * 2;
	bytes = cede__realloc(o->bytes, capacity);
	if (!bytes)
		return CEDE_ENOMEM;
	o->bytes = bytes;
	o->capacity = capacity;
	return 0;
}

static int
read_on(struct output *o)
{
	int r = grow(o);
	size_t room = o->capacity - o->size;

	if (r < 0)
		return r;
	return cede_read_start(o->stream, o->bytes + o->size, room < INT_MAX ? room : INT_MAX,
		&o->op);
}

/* What a read has brought, and the next. */
static int
take_output(struct output *o)
{
	int r;

	if (!o->stream || !o->op.future.is_done)
		return 0;
	r = o->op.future.result;
	if (r <= 0) {
		o->stream = NULL;
		return r;
	}
	o->size += (size_t)r;
	return o->size > o->max ? CEDE_ENOBUFS : read_on(o);
}

static int
begin_output(struct output *o, cede_stream_t *stream, size_t max)
{
	if (!stream)
		return 0;
	o->max = max;
	o->stream = stream;
	return read_on(o);
}

/* ---- input ---- */

static void
end_input(struct run *run)
{
	run->is_writing = 0;
	cede_close(cede_process_stdin(run->process));
}

static int
begin_input(struct run *run, const void *input, size_t size)
{
	cede_stream_t *s = cede_process_stdin(run->process);
	int r;

	if (!s)
		return 0;
	r = cede_write_start(s, input, size, &run->write);
	if (r < 0)
		return r;
	run->is_writing = 1;
	return 0;
}

/* ---- all of it ---- */

static int
gather(struct run *run, cede_future_t *futures[5])
{
	int n = 0;

	if (run->is_writing)
		futures[n++] = &run->write.future;
	for (int i = 0; i < 2; i++)
		if (run->outputs[i].stream)
			futures[n++] = &run->outputs[i].op.future;
	if (!run->has_ended)
		futures[n++] = &run->end.future;
	if (n > 0 && run->is_lingering)
		futures[n++] = &run->linger.future;
	return n;
}

static void
give_up(struct run *run)
{
	cede_future_t *futures[5];

	for (int n = gather(run, futures); n > 0; n--)
		cede_future_cancel(futures[n - 1]);
	if (run->is_lingering)
		cede_future_cancel(&run->linger.future);
}

/* The child has ended: from here on others have the pipes, if anybody. */
static int
take_end(struct run *run)
{
	int r;

	if (run->has_ended || !run->end.future.is_done)
		return 0;
	run->has_ended = 1;
	r = run->end.future.result;
	if (r == 0)
		r = cede_sleep_start(run->linger_ms, &run->linger);
	run->is_lingering = r == 0;
	return r;
}

/* Takes up what is done. 1: go on; 0: that was all; or a code. */
static int
take_all(struct run *run)
{
	int r = 0;

	if (run->is_writing && run->write.future.is_done)
		end_input(run); /* a child that does not read it all is no error */
	for (int i = 0; i < 2 && r == 0; i++)
		r = take_output(&run->outputs[i]);
	if (r == 0)
		r = take_end(run);
	if (r < 0)
		return r;
	if (run->is_lingering && run->linger.future.is_done) {
		run->is_incomplete = 1;
		return 0;
	}
	return run->has_ended ? run->is_writing || run->outputs[0].stream || run->outputs[1].stream
			      : 1;
}

CEDE_SUSPENDS static int
communicate(struct run *run, const void *input, size_t input_size,
	const cede_process_limits_t *limits)
{
	cede_future_t *futures[5];
	int r = cede_process_wait_start(run->process, &run->end);

	if (r == 0)
		r = begin_output(&run->outputs[0], cede_process_stdout(run->process),
			limits->out_max);
	if (r == 0)
		r = begin_output(&run->outputs[1], cede_process_stderr(run->process),
			limits->err_max);
	if (r == 0)
		r = begin_input(run, input, input_size);
	while (r == 0) {
		r = cede_wait_any(gather(run, futures), futures);
		if (r < 0)
			break;
		r = take_all(run);
		if (r <= 0)
			break;
		r = 0;
	}
	give_up(run);
	return r;
}

/* The options of a run: pipes where something is written or collected. */
static int
plan(const cede_process_options_t *options, const void *input, size_t input_size,
	const cede_process_limits_t *limits, cede_process_options_t *ret_plan)
{
	cede_process_options_t o;

	if (!options || !limits || (!input && input_size > 0))
		return CEDE_EINVAL;
	o = *options;
	o.keep = 0;
	if (input_size > 0 && o.in.kind == CEDE_PROCESS_DEFAULT)
		o.in.kind = CEDE_PROCESS_PIPE;
	if (o.out.kind == CEDE_PROCESS_DEFAULT)
		o.out.kind = CEDE_PROCESS_PIPE;
	if (o.err.kind == CEDE_PROCESS_DEFAULT)
		o.err.kind = CEDE_PROCESS_PIPE;
	if (input_size > 0 && o.in.kind != CEDE_PROCESS_PIPE)
		return CEDE_EINVAL;
	if ((o.out.kind == CEDE_PROCESS_PIPE && limits->out_max - 1 > SIZE_MAX / 4) ||
		(o.err.kind == CEDE_PROCESS_PIPE && limits->err_max - 1 > SIZE_MAX / 4))
		return CEDE_EINVAL;
	*ret_plan = o;
	return 0;
}

static void
hand_over(struct run *run, cede_process_result_t *result)
{
	struct output *out = &run->outputs[0], *err = &run->outputs[1];

	*result = (cede_process_result_t){
		.status = run->end.status,
		.out = out->bytes,
		.err = err->bytes,
		.out_size = out->size,
		.err_size = err->size,
		.is_incomplete = run->is_incomplete,
	};
	for (int i = 0; i < 2; i++)
		if (run->outputs[i].bytes)
			run->outputs[i].bytes[run->outputs[i].size] = '\0';
}

int
cede_process_run(const cede_process_options_t *options, const void *input, size_t input_size,
	const cede_process_limits_t *limits, cede_process_result_t *ret_result)
{
	cede_process_options_t o;
	struct run run = { 0 };
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r == 0)
		r = plan(options, input, input_size, limits, &o);
	if (r == 0)
		r = cede_process_spawn(&o, &run.process);
	if (r < 0)
		return r;
	run.linger_ms = limits->linger_ms ? limits->linger_ms : LINGER_MS_DEFAULT;

	r = communicate(&run, input, input_size, limits);
	if (r == 0) {
		hand_over(&run, ret_result);
	} else {
		cede__free(run.outputs[0].bytes);
		cede__free(run.outputs[1].bytes);
		(void)!cede_process_stop(run.process);
	}
	cede_process_close(run.process);
	return r;
}

void
cede_process_result_deinit(cede_process_result_t *result)
{
	cede__free(result->out);
	cede__free(result->err);
	*result = (cede_process_result_t){ 0 };
}
