/*
 * One connection, as straight-line code:
 *
 *     read what there is  ->  answer every request that is complete  ->  write
 *
 * So a pipeline of a hundred requests costs one read and one write, and the
 * client decides how much it sends at once. Nothing here grows without a bound:
 *
 *   - `in` holds one request that is not complete yet; the parser's limits are
 *     checked before anything is kept
 *   - `out` is written as soon as it holds FLUSH_AT bytes, also in the middle of a
 *     pipeline; while that write waits for a client that does not read, nothing
 *     more is read from it either
 *   - both take their memory from kv->buffers, which has a limit of its own
 *
 * Every way out, also that of a task that is being closed (CEDE_EXIT from any
 * await), goes through the end of session_run().
 *
 * The functions below return >0: go on, 0: close the connection, <0: a code.
 */
#include "session.h"

/* Replies are written when there are so many bytes of them. */
#define FLUSH_AT (64 * 1024)

/* A reply may be as large as this: more than the largest value. */
#define OUT_MAX (32 << 20)

/* Room for a read, at least; more when the last one was full. */
#define READ_MIN 2048

/* What a connection keeps of each buffer between requests. */
#define KEEP (8 * 1024)

/* How long, and for how many bytes, a connection that we end is still listened to. */
#define LINGER_MS    1000
#define LINGER_BYTES (1 << 20)

struct session {
	cede_stream_t *stream;
	struct kv_client client;
	struct resp_parser parser;
	struct buffer in;  /* read and not yet understood */
	struct buffer out; /* answered and not yet written */
	size_t read_size;  /* room for the next read */
};

/* Writes the replies there are. */
static CEDE_SUSPENDS int
flush(struct session *session)
{
	ssize_t n = 0;

	if (session->out.size > 0)
		n = cede_write(session->stream, session->out.data, session->out.size);
	buffer_rewind(&session->out, 0);
	buffer_trim(&session->out, KEEP);
	return n < 0 ? (int)n : 1;
}

/* Reads what there is. A quiet connection keeps a small buffer, a busy one a larger. */
static CEDE_SUSPENDS int
fill(struct session *session)
{
	struct buffer *in = &session->in;
	size_t room;
	ssize_t n;
	int r;

	buffer_trim(in, KEEP);
	if (buffer_reserve(in, session->read_size) == NULL) {
		reply_error(&session->out, "OOM no memory for the request");
		return 0;
	}

	room = in->capacity - in->size;
	n = cede_read(session->stream, in->data + in->size, room);
	if (n <= 0)
		return (int)n;
	in->size += (size_t)n;
	session->read_size = READ_MIN;
	if ((size_t)n < room)
		return 1;

	/* There is more. A read that finds something does not wait, so a client that sends
	 * faster than we answer would keep the others from their turn: now it is theirs. */
	session->read_size = KEEP;
	r = cede_sleep(0);
	return r < 0 ? r : 1;
}

/* Answers a request, or what should have been one. */
static int
answer(struct session *session, enum resp_status status)
{
	struct kv_client *client = &session->client;

	switch (status) {
	case RESP_REQUEST:
		if (session->parser.request.count > 0)
			kv_execute(client, &session->parser.request,
				cede_loop_now(cede_loop_current()), &session->out);
		return !client->wants_quit && !session->out.has_failed;
	case RESP_REJECTED:
		reply_error(&session->out, "%s", session->parser.error);
		return !session->out.has_failed;
	default: /* RESP_BROKEN */
		reply_error(&session->out, "%s", session->parser.error);
		return 0;
	}
}

/* Answers every complete request in `in`; what is left is the start of the next. */
static CEDE_SUSPENDS int
answer_all(struct session *session)
{
	struct buffer *in = &session->in;
	size_t used = 0;
	int r = 1;

	while (r > 0) {
		enum resp_status status =
			resp_parse(&session->parser, in->data + used, in->size - used);

		if (status == RESP_MORE)
			break;
		r = answer(session, status);
		used += session->parser.used;
		if (r > 0 && session->out.size >= FLUSH_AT)
			r = flush(session);
	}
	buffer_consume(in, used);
	return r;
}

/*
 * The end, when it is ours: writes the last reply and lets the client read it.
 *
 * A socket that is closed while bytes of the client lie unread is reset by the
 * system, and a reset may overtake the reply. So we say that nothing more comes,
 * and read, for a while, what is still on its way.
 */
static CEDE_SUSPENDS int
say_goodbye(struct session *session)
{
	char discarded[4096];
	size_t total = 0;
	cede_scope_t scope;
	ssize_t n = flush(session);

	if (n < 0)
		return (int)n;
	/* CEDE_TIMEOUT() is shorter, but ends the program when there is no memory. */
	if (cede_shutdown_write(session->stream) < 0 || cede_scope_enter(&scope, LINGER_MS) < 0)
		return 0;
	do {
		n = cede_read(session->stream, discarded, sizeof discarded);
		total += n > 0 ? (size_t)n : 0;
	} while (n > 0 && total < LINGER_BYTES);
	cede_scope_leave(&scope);
	return n == CEDE_EXIT ? CEDE_EXIT : 0;
}

int
session_run(struct kv *kv, cede_stream_t *stream)
{
	struct session session = {
		.stream = stream,
		.client = { .kv = kv, .id = ++kv->clients_ever },
		.read_size = READ_MIN,
	};
	int r;

	resp_init(&session.parser, &kv->limits, &kv->buffers);
	buffer_init(&session.in, &kv->buffers, kv->limits.request + kv->limits.line + KEEP);
	buffer_init(&session.out, &kv->buffers, OUT_MAX);
	kv->clients++;

	do {
		r = fill(&session);
		if (r > 0)
			r = answer_all(&session);
		if (r > 0)
			r = flush(&session);
	} while (r > 0);
	if (r == 0)
		r = say_goodbye(&session);

	kv->clients--;
	buffer_deinit(&session.out);
	buffer_deinit(&session.in);
	resp_deinit(&session.parser);
	return r;
}
