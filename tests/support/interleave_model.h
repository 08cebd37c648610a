/*
 * The model of interleave.h, a part of it. It knows a queue of four names and
 * nothing of the library's.
 *
 * What the task finds when it gets its turn:
 *
 * | what has happened by then                  | its await returns                 |
 * |--------------------------------------------+-----------------------------------|
 * | completed, or the handle closed            | the code of whichever came first  |
 * | neither; cancel, end of the block, detach  | CEDE_EXIT                         |
 * | neither; the timeout                       | CEDE_ETIMEDOUT                    |
 *
 * Why a close of the handle is a completion: it is the operation that ends, not the
 * task, and what has ended has one result, which no cancel may take away. Where the
 * operation is told of after the turn of the queue (by libuv, in its poll), it
 * completes there, and a close comes before it. The codes:
 *
 * | operation         | completed            | its handle closed                 |
 * |-------------------+----------------------+-----------------------------------|
 * | channel receive   | 0 and the value      | CEDE_EOF                          |
 * | channel send      | 0                    | CEDE_EPIPE                        |
 * | broadcast receive | values missed        | CEDE_EOF, unsubscribed as well    |
 * | broadcast send    | subscribers          | CEDE_EPIPE                        |
 * | barrier wait      | index                | CEDE_EBROKEN, aborted or reset    |
 * | read, write       | bytes                | CEDE_ECANCELED, aborted as well   |
 * | UDP receive, send | bytes; 0             | CEDE_ECANCELED, of many as well   |
 * | accept            | 0 and the stream     | CEDE_ECANCELED                    |
 * | lent read         | bytes                | CEDE_ECANCELED, also when closed  |
 * |                   |                      | between its completion and its    |
 * |                   |                      | turn: the buffer is gone          |
 *
 * Two kinds wait although they were given up, for the memory that a thread uses,
 * cede_work() and cede_uv_await(): the await returns when that is done, with the
 * result, since it came all the same.
 */
#ifndef TESTS_SUPPORT_INTERLEAVE_MODEL_H
#define TESTS_SUPPORT_INTERLEAVE_MODEL_H

enum actor {
	SUBJECT,
	PARENT,
	COMPLETER,
	CLOSER,
	ACTORS,
};

static struct {
	enum actor queue[ACTORS];
	int queued, has_left; /* has_left: the parent, its block */
	int is_closing, has_expired;
	int has_arrived; /* what completes it, at libuv's door */
	int has_half[2]; /* NEEDS_BOTH */
	int awaits_half;
	int is_closed; /* the handle */
	int is_resolved, is_voided, outcome;
	int is_held; /* it was given up, and waits all the same */
	int is_over, first;
} model;

static void
model_queue(enum actor actor)
{
	for (int i = 0; i < model.queued; i++)
		if (model.queue[i] == actor)
			return;
	model.queue[model.queued++] = actor;
}

static void
model_resolve(int outcome)
{
	if (model.is_resolved || model.is_over)
		return;
	model.is_resolved = 1;
	model.outcome = outcome;
	model_queue(SUBJECT);
}

static void
model_half(int half)
{
	model.has_half[half] = 1;
	if (model.awaits_half == half && !model.is_over)
		model_queue(SUBJECT);
}

static void
model_complete(void)
{
	if (run.op->flags & NEEDS_BOTH)
		model_half(0);
	else if (run.op->flags & IS_LATE)
		model.has_arrived = 1;
	else
		model_resolve(run.op->on_complete);
}

static void
model_close(void)
{
	if (run.op->flags & NEEDS_BOTH) {
		model_half(1);
		return;
	}
	model.is_closed = 1;
	if (model.is_resolved && run.op->flags & CLOSE_VOIDS && run.shape == CALLED)
		model.is_voided = 1;
	model_resolve(run.op->on_close);
}

/* The task is told to end, or its time is up. */
static void
model_tell(int *what)
{
	if (*what)
		return;
	*what = 1;
	if (!model.is_over && !model.is_held)
		model_queue(SUBJECT);
}

static void
model_return(int first)
{
	model.is_over = 1;
	model.first = first;
}

static void
model_subject(void)
{
	const unsigned flags = run.op->flags;

	if (model.is_over)
		return;
	if (flags & NEEDS_BOTH) {
		model.awaits_half = model.has_half[0];
		if (model.has_half[0] && model.has_half[1])
			model.is_resolved = 1;
	}
	if (model.is_resolved) {
		model_return(model.is_voided ? run.op->on_close : model.outcome);
	} else if (!model.is_held && (model.is_closing || model.has_expired)) {
		if (flags & IS_HELD && run.shape == CALLED)
			model.is_held = 1;
		else
			model_return(model.is_closing ? CEDE_EXIT : CEDE_ETIMEDOUT);
	}
}

static void
model_run_queue(void)
{
	while (model.queued > 0) {
		const enum actor actor = model.queue[0];

		memmove(model.queue, model.queue + 1, (size_t)--model.queued * sizeof *model.queue);
		switch (actor) {
		case COMPLETER:
			model_complete();
			break;
		case CLOSER:
			model_close();
			break;
		case PARENT:
			model.has_left = 1;
			model_tell(&model.is_closing);
			break;
		default:
			model_subject();
		}
	}
}

static void
model_poll(void)
{
	if (model.has_arrived && !model.is_closed)
		model_resolve(run.op->on_complete);
	model_run_queue();
}

static void
model_event(enum event event)
{
	switch (event) {
	case COMPLETE:
		is_completed_by_task() ? model_queue(COMPLETER) : model_complete();
		break;
	case CLOSE:
		is_closed_by_task() ? model_queue(CLOSER) : model_close();
		break;
	case TIMEOUT:
		model_tell(&model.has_expired);
		break;
	case CANCEL:
		model_tell(&model.is_closing);
		break;
	default: /* its parent hears of it first, and then tells it, if nobody else does */
		if (!model.has_left)
			model_queue(PARENT);
		if (event == DETACH)
			model_tell(&model.is_closing);
	}
}

static int
model_first(void)
{
	int is_detaching = 0;

	memset(&model, 0, sizeof model);
	for (int i = 0; i < run.n_events; i++) {
		is_detaching |= run.order[i] == DETACH;
		model_event(run.order[i]);
		if (!is_cut_behind(i))
			continue;
		if (run.place == BEFORE_POLL && !is_detaching)
			model_poll();
		model_run_queue();
		model_poll();
	}
	cr_assert_eq(model.is_over, 1);
	return model.first;
}

#endif
