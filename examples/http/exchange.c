#include "exchange.h"

#include <stdlib.h>

#include "answer.h"

/* So many are kept for the connections that come next. */
#define FREE_MAX 256

void
worker_init(struct worker *worker, struct server *server)
{
	*worker = (struct worker){ .server = server };
	cede_event_init(&worker->stop);
}

void
worker_deinit(struct worker *worker)
{
	while (worker->free) {
		struct exchange *x = worker->free;

		worker->free = x->next_free;
		free(x);
	}
	cede_event_deinit(&worker->stop);
}

struct exchange *
exchange_take(struct worker *worker, cede_stream_t *stream)
{
	struct exchange *x = worker->free;

	if (x) {
		worker->free = x->next_free;
		worker->free_count--;
	} else {
		x = malloc(sizeof *x);
	}
	if (!x)
		return NULL;
	request_init(&x->request, &worker->server->limits);
	x->stream = stream;
	x->worker = worker;
	x->deadline_ms = 0;
	x->out_size = 0;
	answer_reset(x);
	return x;
}

void
exchange_give(struct exchange *x)
{
	struct worker *worker = x->worker;

	request_deinit(&x->request);
	if (worker->free_count == FREE_MAX) {
		free(x);
		return;
	}
	x->next_free = worker->free;
	worker->free = x;
	worker->free_count++;
}

/* The lent buffer goes back first: a client that does not read its answers must not hold one. */
static CEDE_SUSPENDS int
fill(struct exchange *x)
{
	const void *data;
	ssize_t n;
	int r;

	cede_read_return(x->stream);
	r = answer_flush(x);
	if (r < 0)
		return r;
	n = cede_read_lend(x->stream, &data);
	if (n > 0)
		x->input = (struct bytes){ data, (size_t)n };
	return (int)n;
}

int
exchange_fill(struct exchange *x)
{
	const uint64_t now = cede_loop_now(cede_loop_current());
	cede_scope_t scope;
	int r = cede_scope_enter(&scope, x->deadline_ms > now ? x->deadline_ms - now : 0);

	if (r < 0)
		return r;
	r = fill(x);
	if (cede_scope_leave(&scope) && r == CEDE_ETIMEDOUT)
		x->refusal = 408;
	return r;
}

/* A client may wait to be asked for the body, to save it the trouble if it is not wanted. */
static CEDE_SUSPENDS int
ask_for_body(struct exchange *x)
{
	const int is_asked_for = !x->request.expects_go || x->request.body_size > 0 ||
		x->status != 0;

	x->request.expects_go = 0;
	return is_asked_for ? 0 : answer_go_on(x);
}

int
body_read(struct exchange *x, struct bytes *ret_piece)
{
	int r;

	while (!x->request.is_complete) {
		switch (request_parse(&x->request, &x->input, ret_piece)) {
		case REQUEST_BODY:
			return 1;
		case REQUEST_BROKEN:
			x->refusal = x->request.status;
			return CEDE_EINVAL;
		default:
			break;
		}
		if (x->request.is_complete)
			break;
		if (x->deadline_ms == 0)
			x->deadline_ms =
				cede_loop_now(cede_loop_current()) + x->worker->server->body_ms;
		r = ask_for_body(x);
		if (r == 0)
			r = exchange_fill(x);
		if (r == 0) { /* it promised more */
			x->refusal = 400;
			r = CEDE_EOF;
		}
		if (r < 0)
			return r;
	}
	return 0;
}
