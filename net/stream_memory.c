/*
 * Streams of memory: two ends that are connected to each other, without a descriptor
 * and without a handle of libuv's.
 *
 * Each direction has a ring. A send puts into it what there is room for. What is left
 * stays in the writer's memory, in the care of the pair, and goes when the reader has
 * made room. A read takes from the ring, and what is behind it from the writer's
 * memory: a reader that waits gets what is sent without a way round.
 *
 * Telling the other end is a call of its stream's, which may call the transport in
 * turn: a reader that is told receives, which makes room, of which the writer is
 * told, which sends. No task runs in it, a future is resolved at most. And no end is
 * told anything while a call of its own is on the C stack:
 *
 * - who receives looks for itself whether there is more;
 * - everything else it is told in the next turn of the loop, by `soon`, whose place
 *   in the timer heap is there from the beginning.
 *
 * `soon` also tells a reader that waits although there is something: one that lets
 * the others have their turn.
 *
 * The end. Behind what is in the ring the other end reads an end of file, and its
 * writes fail with CEDE_EPIPE; what it wrote and nobody read is dropped. A reset
 * drops what is on its way in both directions, and the other end gets
 * CEDE_ECONNRESET of both. The memory goes with the second close.
 */
#include "net/stream_memory.h"

#include <string.h>

#include "coro/alloc.h"

#define CAPACITY_DEFAULT ((size_t)64 * 1024)
#define CAPACITY_MAX     ((size_t)1 << 30)

/* ---- a direction ---- */

static int
is_empty(const struct cede__memory_flow *f)
{
	return f->count == 0 && f->piece_count == 0;
}

/* Has the reader anything to be told? */
static int
has_something(const struct cede__memory_flow *f)
{
	if (cede__unlikely(f->script != NULL))
		return cede__script_shows(f);
	return !is_empty(f) || f->is_ended || f->read_code < 0;
}

static void
drop(struct cede__memory_flow *f)
{
	f->count = f->first = 0;
	f->piece_count = 0;
}

static void
set_pieces(struct cede__memory_flow *f, const struct iovec *pieces, int count)
{
	f->pieces = pieces;
	f->piece_count = count;
	f->skip = f->taken = 0;
}

static size_t
take_from_ring(struct cede__memory_flow *f, char *buffer, size_t size)
{
	const size_t n = size < f->count ? size : f->count, to_end = f->capacity - f->first;
	const size_t at_once = n < to_end ? n : to_end;

	memcpy(buffer, f->ring + f->first, at_once);
	memcpy(buffer + at_once, f->ring, n - at_once);
	f->count -= n;
	f->first = at_once < n ? n - at_once : f->first + n;
	if (f->count == 0 || f->first == f->capacity)
		f->first = 0; /* what is used again is warm */
	return n;
}

static size_t
take_from_piece(struct cede__memory_flow *f, char *buffer, size_t size)
{
	const size_t left = f->pieces->iov_len - f->skip, n = size < left ? size : left;

	if (n > 0)
		memcpy(buffer, (const char *)f->pieces->iov_base + f->skip, n);
	f->skip += n;
	f->taken += n;
	if (n == left) {
		f->pieces++;
		f->piece_count--;
		f->skip = 0;
	}
	return n;
}

static size_t
take(struct cede__memory_flow *f, char *buffer, size_t size)
{
	size_t n;

	if (cede__unlikely(f->script != NULL))
		return take_from_ring(f, buffer, cede__script_let_out(f, size));
	n = take_from_ring(f, buffer, size);

	while (n < size && f->piece_count > 0)
		n += take_from_piece(f, buffer + n, size - n);
	return n;
}

static ssize_t
size_of(const struct iovec *pieces, int count)
{
	ssize_t size = 0;

	for (int i = 0; i < count; i++)
		size += (ssize_t)pieces[i].iov_len;
	return size;
}

/* Of the writer's memory into the ring, as much as there is room for. */
static void
fill_ring(struct cede__memory_flow *f)
{
	const size_t before = f->taken;
	size_t limit = cede__likely(!f->script) ? SIZE_MAX : cede__script_let_in(f);

	if (cede__unlikely(f->script != NULL) && cede__script_swallows(f)) {
		f->taken += (size_t)size_of(f->pieces, f->piece_count) - f->skip;
		f->piece_count = 0;
		return;
	}
	while (f->count < f->capacity && f->piece_count > 0 && limit > 0) {
		const size_t behind = f->first + f->count;
		const size_t at = behind < f->capacity ? behind : behind - f->capacity;
		const size_t room = behind < f->capacity ? f->capacity - at : f->first - at;

		const size_t n = take_from_piece(f, f->ring + at, room < limit ? room : limit);

		f->count += n;
		limit -= n;
	}
	if (cede__unlikely(f->script != NULL))
		cede__script_note_taken(f, f->taken - before);
}

/* ---- telling ---- */

static void
unref(struct cede__memory *m)
{
	if (--m->refs > 0)
		return;
	cede__script_destroy(m->ends[0].out.script);
	cede__script_destroy(m->ends[1].out.script);
	cede__free(m);
}

static void
tell_soon(struct cede__memory_end *end)
{
	if (end->soon.index == 0)
		(void)cede__timer_start(end->stream->loop, &end->soon, 0); /* it has a place */
}

void
cede__memory_tell_reader(struct cede__memory_end *end)
{
	struct cede__memory_end *reader = cede__memory_peer(end);

	if (!reader->stream || reader->is_receiving > 0)
		return;
	if (reader->is_inside > 0)
		tell_soon(reader);
	else
		cede__stream_readable(reader->stream);
}

/* This end waits, and there is room; or nobody to write to any more. */
static void
tell_writer(struct cede__memory_end *end)
{
	struct cede__memory_flow *f = &end->out;
	size_t taken;

	if (!f->is_waiting)
		return;
	if (end->is_inside > 0) {
		tell_soon(end);
		return;
	}
	if (f->write_code == 0)
		fill_ring(f);
	taken = f->taken;
	if (taken == 0 && f->write_code == 0)
		return; /* a script does not let it in */
	f->is_waiting = 0;
	set_pieces(f, NULL, 0);
	cede__memory_tell_reader(end); /* who does not receive, and makes this room by it */
	cede__stream_sent(end->stream, taken > 0 ? 0 : f->write_code, taken);
}

static void
tell_now(struct cede__timer *timer)
{
	struct cede__memory_end *end = cede__container_of(timer, struct cede__memory_end, soon);
	struct cede__memory *m = end->pair;

	m->refs++;
	if (has_something(&cede__memory_peer(end)->out))
		cede__stream_readable(end->stream);
	if (end->stream) /* a filter may have closed it */
		tell_writer(end);
	unref(m);
}

/* ---- the transport ---- */

static int
memory_receive(cede_stream_t *s, void *buffer, size_t size)
{
	struct cede__memory_end *end = s->own.memory, *writer = cede__memory_peer(end);
	struct cede__memory_flow *f = &writer->out;
	size_t n;

	end->is_inside++;
	end->is_receiving++;
	n = take(f, buffer, size);
	if (n > 0)
		tell_writer(writer);
	end->is_receiving--;
	end->is_inside--;
	s->may_have_data = has_something(f) != 0;
	if (n > 0)
		return (int)n;
	if (!s->may_have_data)
		return CEDE_EAGAIN;
	return f->read_code < 0 ? f->read_code : f->is_ended ? 0 : CEDE_EAGAIN;
}

/* It is told of all that comes. What is there already, in the next turn. */
static int
memory_watch(cede_stream_t *s)
{
	struct cede__memory_end *end = s->own.memory;

	if (has_something(&cede__memory_peer(end)->out))
		tell_soon(end);
	return 0;
}

static ssize_t
memory_send(cede_stream_t *s, const struct iovec *pieces, int count)
{
	struct cede__memory_end *end = s->own.memory;
	struct cede__memory_flow *f = &end->out;
	ssize_t n;

	cede__assert(!f->is_waiting);
	if (f->write_code < 0)
		return f->write_code;
	end->is_inside++;
	set_pieces(f, pieces, count);
	if (f->count == 0 && !f->script)
		cede__memory_tell_reader(end);
	if (f->piece_count > 0) {
		fill_ring(f);
		cede__memory_tell_reader(end);
	}
	n = (ssize_t)f->taken;
	set_pieces(f, NULL, 0);
	end->is_inside--;
	return n;
}

static ssize_t
memory_wait_room(cede_stream_t *s, const struct iovec *pieces, int count)
{
	struct cede__memory_end *end = s->own.memory;
	struct cede__memory_flow *f = &end->out;

	if (f->write_code < 0)
		return f->write_code;
	if (count > CEDE__MEMORY_PIECES)
		count = CEDE__MEMORY_PIECES;
	memcpy(f->in_care, pieces, (size_t)count * sizeof *pieces);
	set_pieces(f, f->in_care, count);
	f->is_waiting = 1;
	if (f->count < f->capacity)
		tell_soon(end);
	return size_of(pieces, count);
}

/* No more comes from this end. */
static void
end_flow(struct cede__memory_end *end)
{
	end->out.is_ended = 1;
	if (end->out.script)
		cede__script_note_taken(&end->out, 0);
	cede__memory_tell_reader(end);
}

static int
memory_shutdown_write(cede_stream_t *s)
{
	struct cede__memory_end *end = s->own.memory;

	if (end->out.write_code == CEDE_ECONNRESET)
		return CEDE_ENOTCONN;
	end->is_inside++;
	end_flow(end);
	end->is_inside--;
	return 0;
}

static void
memory_close(cede_stream_t *s, int is_reset)
{
	struct cede__memory_end *end = s->own.memory, *peer = cede__memory_peer(end);

	cede__timer_unreserve(s->loop, &end->soon);
	end->stream = NULL;
	end->out.is_waiting = 0;
	set_pieces(&end->out, NULL, 0);
	if (is_reset) {
		drop(&end->out);
		end->out.read_code = CEDE_ECONNRESET;
	}
	if (peer->out.script)
		cede__script_stop(peer->out.script);
	peer->out.write_code = is_reset ? CEDE_ECONNRESET : CEDE_EPIPE;
	end_flow(end);
	if (peer->stream)
		tell_writer(peer);
	drop(&peer->out);
	unref(end->pair);
}

void
cede__memory_reset(struct cede__memory_end *end)
{
	struct cede__memory_end *peer = cede__memory_peer(end);

	drop(&peer->out);
	for (int i = 0; i < 2; i++)
		end->pair->ends[i].out.read_code = end->pair->ends[i].out.write_code =
			CEDE_ECONNRESET;
	cede__memory_tell_reader(peer);
	if (peer->stream)
		tell_writer(peer);
}

static const struct cede__transport memory_transport = {
	.receive = memory_receive,
	.watch = memory_watch,
	.send = memory_send,
	.wait_room = memory_wait_room,
	.shutdown_write = memory_shutdown_write,
	.close = memory_close,
};

/* ---- the pair ---- */

static int
open_end(struct cede__memory *m, int i, size_t capacity)
{
	struct cede__memory_end *end = &m->ends[i];
	cede_loop_t *loop = cede_loop_current();
	int r;

	end->pair = m;
	end->soon = (struct cede__timer){ .fire = tell_now };
	end->out.ring = (char *)(m + 1) + (size_t)i * capacity;
	end->out.capacity = capacity;
	end->stream = cede__stream_alloc(loop);
	if (!end->stream)
		return CEDE_ENOMEM;
	r = cede__timer_reserve(loop, &end->soon);
	if (r < 0) {
		cede__free(end->stream);
		return r;
	}
	end->stream->own.memory = end;
	end->stream->is_in_memory = 1;
	cede__stream_attach(end->stream, &memory_transport);
	m->refs++;
	return 0;
}

int
cede__memory_create(size_t capacity, struct cede__memory **ret_pair)
{
	struct cede__memory *m;
	int r;

	if (capacity == 0)
		capacity = CAPACITY_DEFAULT;
	if (capacity > CAPACITY_MAX)
		return CEDE_EINVAL;
	m = cede__alloc(sizeof *m + 2 * capacity);
	if (!m)
		return CEDE_ENOMEM;
	memset(m, 0, sizeof *m);
	r = open_end(m, 0, capacity);
	if (r < 0) {
		cede__free(m);
		return r;
	}
	r = open_end(m, 1, capacity);
	if (r < 0) {
		m->ends[1].stream = NULL;
		cede_close(m->ends[0].stream); /* and the pair with it */
		return r;
	}
	*ret_pair = m;
	return 0;
}

int
cede_stream_pair(cede_stream_t **ret_a, cede_stream_t **ret_b, size_t capacity)
{
	struct cede__memory *m;
	int r;

	if (!cede_loop_current())
		return CEDE_ENOTASK;
	r = cede__memory_create(capacity, &m);
	if (r < 0)
		return r;
	*ret_a = m->ends[0].stream;
	*ret_b = m->ends[1].stream;
	return 0;
}
