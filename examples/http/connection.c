/*
 * One connection, as straight-line code:
 *
 *     wait until something comes  ->  answer every request that has come  ->  write
 *
 * So a pipeline of a hundred requests costs one read and one write. While nothing comes
 * a connection holds nothing but its task: the exchange, with all buffers, is taken when
 * there is something to do. Nothing grows without a bound: requests are read when those
 * before them are answered, and answers to a client that does not read are waited for.
 *
 * Every way out, also that of a task that is being closed (CEDE_EXIT from any await),
 * goes through the end of connection_run().
 *
 * The functions below return >0: go on, 0: close the connection, <0: a code.
 */
#include "connection.h"

#include <stdio.h>

#include "answer.h"
#include "routes.h"

/* A body that a handler has left alone is read up to this, to get at the next request. */
#define DISCARD_MAX (64 * 1024)

/* How long, and for how many bytes, a connection that we end is still listened to. */
#define LINGER_MS    1000
#define LINGER_BYTES (1 << 20)

/* ---- waiting for a request ---- */

/*
 * Nothing is held here. A client that says nothing for too long is not worth a word, and
 * at the end of the server a connection that rests is one that has ended.
 */
static CEDE_SUSPENDS int
wait_for_request(cede_stream_t *stream, struct worker *worker, struct bytes *ret_input)
{
	cede_read_t read;
	cede_event_wait_t stop;
	int r = cede_read_lend_start(stream, &read);

	if (r < 0)
		return r;
	r = cede_event_wait_start(&worker->stop, &stop);
	if (r == 0)
		r = cede_select(2, (cede_future_t *[]){ &read.future, &stop.future });
	else
		cede_future_cancel(&read.future);
	if (r < 0)
		return r;
	r = read.future.result; /* CEDE_ECANCELED: stopped */
	if (r > 0)
		*ret_input = (struct bytes){ read.future.value, (size_t)r };
	return r == CEDE_ECANCELED || r == CEDE_ETIMEDOUT || r == CEDE_ETRUNCATED ? 0 : r;
}

/* ---- one exchange ---- */

/* A line for an exchange. Its words are a stranger's: they must not write our log. */
static void
write_log(struct exchange *x, int has_head)
{
	const struct bytes target = request_target(&x->request);
	char peer[56] = "-", text[256];
	size_t size = 0;

	if (!x->worker->server->has_log)
		return;
	(void)cede_stream_peer(x->stream, peer, sizeof peer);
	while (size < target.size && size < sizeof text - 1) {
		const char c = target.data[size];

		text[size++] = c > ' ' && c < 0x7f && c != '"' ? c : '?';
	}
	text[size] = '\0';
	printf("%s \"%s %s HTTP/1.%d\" %d %lld\n", peer,
		has_head ? llhttp_method_name(x->request.method) : "-", size > 0 ? text : "-",
		x->request.minor_version, x->status, (long long)x->size);
}

/* The answer to what can't be answered as it was meant to be. It is the last one. */
static CEDE_SUSPENDS int
refuse(struct exchange *x, int status)
{
	int r;

	x->keeps_alive = 0;
	answer_take_back(x);
	r = answer_status(x, status);
	return r < 0 ? r : 0;
}

/* The same to what is no request. */
static CEDE_SUSPENDS int
refuse_head(struct exchange *x, int status)
{
	int r = refuse(x, status);

	write_log(x, 0);
	return r;
}

static CEDE_SUSPENDS int
read_head(struct exchange *x)
{
	struct bytes body;
	int r;

	answer_reset(x);
	x->deadline_ms = 0;
	for (;;) {
		switch (request_parse(&x->request, &x->input, &body)) {
		case REQUEST_HEAD:
			x->deadline_ms = 0;
			return 1;
		case REQUEST_BROKEN:
			return refuse_head(x, x->request.status);
		default:
			break;
		}
		if (x->deadline_ms == 0)
			x->deadline_ms =
				cede_loop_now(cede_loop_current()) + x->worker->server->head_ms;
		r = exchange_fill(x);
		if (r == CEDE_ETIMEDOUT && x->refusal != 0)
			return refuse_head(x, x->refusal);
		if (r <= 0)
			return r;
	}
}

/* What a handler has left of a body is in the way of the next request. */
static CEDE_SUSPENDS int
skip_body(struct exchange *x)
{
	struct bytes piece;
	size_t skipped = 0;
	int r;

	if (x->request.expects_go) /* nobody knows whether it comes */
		return 0;
	while ((r = body_read(x, &piece)) > 0) {
		skipped += piece.size;
		if (skipped > DISCARD_MAX)
			return 0;
	}
	return r == 0 ? 1 : r == CEDE_EXIT ? r : 0;
}

static CEDE_SUSPENDS int
respond(struct exchange *x)
{
	int r;

	answer_reset(x);
	x->keeps_alive = !x->request.wants_close;
	r = routes_handle(x);
	if (r == 0 && !x->is_ended)
		r = CEDE_EINVAL; /* the handler's mistake */
	if (r < 0 && !x->is_sent && !cede_is_cancel(r))
		r = refuse(x, x->refusal != 0 ? x->refusal : 500);
	if (r < 0)
		return r;
	write_log(x, 1);
	if (x->keeps_alive && !x->request.is_complete)
		x->keeps_alive = skip_body(x) > 0;
	return x->keeps_alive;
}

/* ---- the connection ---- */

/*
 * The end, when it is ours: the client must be able to read the last answer.
 *
 * A socket that is closed while bytes of the client lie unread is reset by the system,
 * and a reset may overtake the answer. So we say that nothing more comes, and read, for
 * a while, what is still on its way.
 */
static CEDE_SUSPENDS int
say_goodbye(cede_stream_t *stream)
{
	char discarded[4096];
	size_t total = 0;
	cede_scope_t scope;
	ssize_t n;

	if (cede_shutdown_write(stream) < 0 || cede_scope_enter(&scope, LINGER_MS) < 0)
		return 0;
	do {
		n = cede_read(stream, discarded, sizeof discarded);
		total += n > 0 ? (size_t)n : 0;
	} while (n > 0 && total < LINGER_BYTES);
	cede_scope_leave(&scope);
	return n == CEDE_EXIT ? CEDE_EXIT : 0;
}

/* Answers all that has come. */
static CEDE_SUSPENDS int
converse(struct exchange *x)
{
	int r, written;

	do {
		r = read_head(x);
		if (r > 0)
			r = respond(x);
	} while (r > 0 && x->input.size > 0);
	if (r < 0)
		return r;

	cede_read_return(x->stream);
	written = answer_flush(x);
	if (written < 0)
		return written;
	return r > 0 ? r : say_goodbye(x->stream);
}

/* What has come, and what comes while it is answered. */
static CEDE_SUSPENDS int
serve(cede_stream_t *stream, struct worker *worker, struct bytes input)
{
	struct exchange *x = exchange_take(worker, stream);
	int r;

	if (!x)
		return CEDE_ENOMEM;
	x->input = input;
	r = converse(x);
	exchange_give(x);
	return r;
}

int
connection_run(struct worker *worker, cede_stream_t *stream)
{
	struct bytes input = { NULL, 0 };
	int r = worker->server->tls ? cede_tls_accept(stream, worker->server->tls, NULL) : 0;

	if (r < 0) {
		cede_close(stream); /* the client has been told why */
		return r;
	}
	do {
		r = wait_for_request(stream, worker, &input);
		if (r > 0)
			r = serve(stream, worker, input);
	} while (r > 0);
	if (r < 0)
		cede_abort(stream); /* half an answer must not look like a whole one */
	else
		cede_close(stream);
	return r;
}
