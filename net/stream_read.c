/*
 * Reading: receive where there may be something, else wait to be told. What was
 * read ahead comes first. A read of the caller's goes straight into its memory; one
 * that lends or reads ahead, into a buffer of the stream's (stream_ahead.c).
 */
#include "net/stream_ahead.h"

#include <limits.h>
#include <string.h>

/* What check_read() says of a read that is possible. */
enum { ASK = 1, IS_AHEAD = 2 };

void
cede__stream_end_read(cede_stream_t *s, int result)
{
	cede_read_t *op = s->reader;
	void *lent = result > 0 && op->kind == CEDE__READ_LENDS ? cede__stream_lend(s) : NULL;

	s->reader = NULL;
	cede__stream_wait_ended(s);
	cede_future_resolve(&op->future, result, lent);
}

/* A buffer for a stream that has none. 0, CEDE_ENOMEM. */
static int
take_buffer(cede_stream_t *s)
{
	s->buffer = cede__buffer_take(&s->loop->buffers,
		s->reads_large ? CEDE__BUFFER_LARGE : CEDE__BUFFER_USUAL);
	return cede__likely(s->buffer != NULL) ? 0 : CEDE_ENOMEM;
}

/* Receives behind what was read ahead. As cede__stream_receive(); CEDE_ENOMEM, CEDE_EMSGSIZE. */
static int
receive_ahead(cede_stream_t *s)
{
	const int was_empty = s->from == s->to;
	int n = cede__likely(!s->buffer) ? take_buffer(s) : cede__stream_make_room(s);

	if (cede__unlikely(n < 0))
		return n;
	n = cede__stream_receive(s, s->buffer->data + s->to, s->buffer->size - s->to);
	if (cede__likely(n > 0)) {
		if (was_empty)
			s->reads_large = (size_t)n >= CEDE__BUFFER_SIZE; /* it filled it */
		s->to += (uint32_t)n;
	} else if (was_empty) {
		cede__stream_give_buffer(s);
	}
	return n;
}

void
cede__stream_readable(cede_stream_t *s)
{
	cede_read_t *op;
	int n;

	s->may_have_data = 1;
	s->in_a_row = 0;
	if (cede__unlikely(s->transport->below_readable) && !s->transport->below_readable(s))
		return;
	op = s->reader;
	if (!op)
		return;
	n = op->kind == CEDE__READ_COPIES ? cede__stream_receive(s, op->buffer, op->size)
					  : receive_ahead(s);
	if (n != CEDE_EAGAIN)
		cede__stream_end_read(s, n);
	else if (cede__unlikely(s->buffer))
		cede__stream_hold_little(s); /* a filter has a part of a record */
}

/* ASK, IS_AHEAD, 0 at the end; or an error. */
static inline int
source_of(const cede_stream_t *s)
{
	if (cede__unlikely(s->from < s->to))
		return IS_AHEAD;
	if (cede__unlikely(s->is_at_end))
		return 0;
	if (cede__unlikely(s->failure < 0))
		return s->failure;
	if (cede__unlikely(s->is_timed_out))
		return CEDE_ETIMEDOUT;
	return cede__unlikely(s->is_closed) ? CEDE_ECANCELED : ASK;
}

/* The same; also CEDE_EINVAL, CEDE_EBUSY: then nothing has been touched. */
static inline int
check_read(const cede_stream_t *s, size_t size)
{
	if (cede__unlikely(size == 0 || size > INT_MAX))
		return CEDE_EINVAL;
	return cede__unlikely(cede__stream_is_read(s)) ? CEDE_EBUSY : source_of(s);
}

static void
cancel_read(cede_future_t *future)
{
	cede_read_t *op = cede__container_of(future, cede_read_t, future);

	op->stream->reader = NULL;
	cede__stream_wait_ended(op->stream);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

/* Whose peer has always more to read lets libuv look at the others now and then. */
static int
may_receive(cede_stream_t *s)
{
	return s->may_have_data && s->in_a_row < CEDE__READS_IN_A_ROW;
}

/* Nothing there yet, or enough for now: waits to be told that there is something. */
static int
wait_readable(cede_stream_t *s, cede_read_t *op)
{
	int r = cede__stream_watch_limits(s);

	if (cede__likely(r == 0))
		r = s->transport->watch(s);
	if (cede__unlikely(r < 0))
		return r;
	cede_future_init(&op->future, cancel_read);
	op->stream = s;
	s->reader = op;
	return 0;
}

static int
start_done(cede_read_t *op, int result, void *value)
{
	cede_future_init(&op->future, NULL);
	cede_future_resolve(&op->future, result, value);
	return 0;
}

/* ---- into the caller's memory ---- */

static int
copy_ahead(cede_stream_t *s, void *buffer, size_t size)
{
	const size_t ahead = cede__stream_ahead(s), n = size < ahead ? size : ahead;

	memcpy(buffer, cede__stream_ahead_data(s), n);
	cede__stream_take_ahead(s, n);
	return (int)n;
}

int
cede_read_start(cede_stream_t *s, void *buffer, size_t size, cede_read_t *op)
{
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r < 0)
		return r;
	r = check_read(s, size);
	if (r == CEDE_EBUSY || r == CEDE_EINVAL)
		return r;
	cede_read_return(s);
	op->kind = CEDE__READ_COPIES;
	op->buffer = buffer;
	op->size = size;
	if (r == IS_AHEAD)
		r = copy_ahead(s, buffer, size);
	else if (r == ASK)
		r = may_receive(s) ? cede__stream_receive(s, buffer, size) : CEDE_EAGAIN;
	return r == CEDE_EAGAIN ? wait_readable(s, op) : start_done(op, r, NULL);
}

/* From where check_read() says. */
CEDE_SUSPENDS static inline ssize_t
read_from(cede_stream_t *s, int source, void *buffer, size_t size)
{
	cede_read_t op;
	int r;

	if (cede__unlikely(s->buffer))
		cede_read_return(s);
	if (cede__unlikely(source != ASK))
		return source == IS_AHEAD ? copy_ahead(s, buffer, size) : source;
	r = may_receive(s) ? cede__stream_receive(s, buffer, size) : CEDE_EAGAIN;
	if (r != CEDE_EAGAIN)
		return r;
	op.kind = CEDE__READ_COPIES;
	op.buffer = buffer;
	op.size = size;
	r = wait_readable(s, &op);
	return cede__unlikely(r < 0) ? r : cede_await(&op.future);
}

ssize_t
cede_read(cede_stream_t *s, void *buffer, size_t size)
{
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	return cede__unlikely(r < 0) ? r : read_from(s, check_read(s, size), buffer, size);
}

ssize_t
cede__stream_read_next(cede_stream_t *s, void *buffer, size_t size)
{
	return read_from(s, source_of(s), buffer, size);
}

/* ---- into a buffer of the stream's ---- */

/* Tries. CEDE_EAGAIN: to be waited for, and the stream holds as little as it can. */
static int
try_ahead(cede_stream_t *s)
{
	int r = may_receive(s) ? receive_ahead(s) : CEDE_EAGAIN;

	if (r == CEDE_EAGAIN && cede__unlikely(s->buffer))
		cede__stream_hold_little(s);
	return r;
}

/*
 * Between the read and this task's turn another may have closed the stream, and the buffer is
 * gone. Another that reads is kept out: it would give away what this one has.
 */
CEDE_SUSPENDS static int
await_ahead(cede_stream_t *s, cede_read_t *op, int kind)
{
	const uint8_t was_looking = s->is_looking;
	int r;

	op->kind = kind;
	r = wait_readable(s, op);
	if (cede__unlikely(r < 0))
		return r;
	cede__stream_ref(s);
	s->is_looking = 1;
	r = cede_await(&op->future);
	s->is_looking = was_looking;
	if (cede__unlikely(r >= 0 && s->is_released))
		r = CEDE_ECANCELED;
	cede__stream_unref(s);
	return r;
}

int
cede__stream_read_ahead(cede_stream_t *s, size_t limit)
{
	cede_read_t op;
	int r;

	if (s->reader)
		return CEDE_EBUSY;
	if (cede__stream_ahead(s) >= limit)
		return CEDE_EMSGSIZE;
	if (s->is_at_end)
		return 0;
	if (s->failure < 0)
		return s->failure;
	if (s->is_timed_out)
		return CEDE_ETIMEDOUT;
	if (s->is_closed)
		return CEDE_ECANCELED;
	r = try_ahead(s);
	return r == CEDE_EAGAIN ? await_ahead(s, &op, CEDE__READ_AHEAD) : r;
}

int
cede_read_lend_start(cede_stream_t *s, cede_read_t *op)
{
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r < 0)
		return r;
	r = check_read(s, 1);
	if (r == CEDE_EBUSY)
		return r;
	cede_read_return(s);
	if (r == IS_AHEAD)
		r = (int)cede__stream_ahead(s);
	else if (r == ASK)
		r = try_ahead(s);
	op->kind = CEDE__READ_LENDS;
	if (r == CEDE_EAGAIN)
		return wait_readable(s, op);
	return start_done(op, r, r > 0 ? cede__stream_lend(s) : NULL);
}

ssize_t
cede_read_lend(cede_stream_t *s, const void **ret_data)
{
	cede_loop_t *loop;
	cede_read_t op;
	int r = cede__await_admit(&loop);

	if (cede__unlikely(r < 0))
		return r;
	r = check_read(s, 1);
	if (cede__unlikely(r == CEDE_EBUSY))
		return r;
	if (s->buffer && r != IS_AHEAD)
		cede__stream_give_buffer(s);
	if (cede__unlikely(r == IS_AHEAD))
		r = (int)cede__stream_ahead(s);
	else if (cede__likely(r == ASK))
		r = try_ahead(s);
	if (r == CEDE_EAGAIN) {
		r = await_ahead(s, &op, CEDE__READ_LENDS);
		if (cede__likely(r > 0))
			*ret_data = op.future.value;
		return r;
	}
	if (cede__likely(r > 0))
		*ret_data = cede__stream_lend(s);
	return r;
}
