/*
 * What was read ahead, and the reads that look at it before they take it: peek, a
 * line, all up to a delimiter, exactly so many bytes.
 *
 * Nothing is taken before it is whole, so a read that is given up has lost nothing;
 * only cede_read_exactly(), which fills the caller's memory, says how far it came.
 * Whoever has to wait for more is_looking until he has what he wants: between two of
 * his steps nobody else gets at the bytes.
 *
 * The buffer: none; then a usual one, or a large one when the usual one was filled;
 * a small one while the rest of little is waited for. Bytes are moved to its
 * beginning when half of it is behind them, and to a larger or smaller buffer only when
 * it is twice as full or half as full as it was: each is moved a bounded number of
 * times, but for the few in a small one, which are moved whenever one more comes.
 */
#include "net/stream_ahead.h"

#include <limits.h>
#include <string.h>

#define LIMIT_DEFAULT ((size_t)64 * 1024)

/* ---- the buffer ---- */

char *
cede__stream_ahead_data(const cede_stream_t *s)
{
	return s->buffer->data + s->from;
}

void
cede__stream_take_ahead(cede_stream_t *s, size_t size)
{
	s->from += (uint32_t)size;
	if (s->from == s->to && s->buffer)
		cede__stream_give_buffer(s);
}

void
cede_read_return(cede_stream_t *s)
{
	if (s->from == s->to && s->buffer)
		cede__stream_give_buffer(s);
}

/* Moves what is there to a buffer of this class. 0, CEDE_ENOMEM. */
static int
change_buffer(cede_stream_t *s, enum cede__buffer_class class)
{
	const size_t ahead = cede__stream_ahead(s);
	struct cede__buffer *buffer = cede__buffer_take(&s->loop->buffers, class);

	if (!buffer)
		return CEDE_ENOMEM;
	if (ahead > 0)
		memcpy(buffer->data, cede__stream_ahead_data(s), ahead);
	cede__stream_give_buffer(s);
	s->buffer = buffer;
	s->to = (uint32_t)ahead;
	return 0;
}

int
cede__stream_make_room(cede_stream_t *s)
{
	const size_t ahead = cede__stream_ahead(s);
	struct cede__buffer *buffer = s->buffer;

	if (ahead == 0)
		s->from = s->to = 0;
	if (buffer->class == CEDE__BUFFER_SMALL)
		return change_buffer(s, CEDE__BUFFER_USUAL);
	if (s->from >= buffer->size / 2) {
		memmove(buffer->data, buffer->data + s->from, ahead);
		s->from = 0;
		s->to = (uint32_t)ahead;
	}
	if (s->to < buffer->size)
		return 0;
	if (buffer->class == CEDE__BUFFER_USUAL)
		return change_buffer(s, CEDE__BUFFER_LARGE);
	if (s->from == 0)
		return CEDE_EMSGSIZE;
	memmove(buffer->data, buffer->data + s->from, ahead);
	s->from = 0;
	s->to = (uint32_t)ahead;
	return 0;
}

void
cede__stream_hold_little(cede_stream_t *s)
{
	const size_t ahead = cede__stream_ahead(s);

	/* No memory: it stays where it is. */
	if (ahead == 0)
		cede__stream_give_buffer(s);
	else if (ahead <= CEDE__BUFFER_SIZE_SMALL && s->buffer->class != CEDE__BUFFER_SMALL)
		(void)change_buffer(s, CEDE__BUFFER_SMALL);
	else if (ahead <= CEDE__BUFFER_SIZE / 2 && s->buffer->class == CEDE__BUFFER_LARGE)
		(void)change_buffer(s, CEDE__BUFFER_USUAL);
}

/* ---- reads that look first ---- */

static void
begin_looking(cede_stream_t *s)
{
	cede__stream_ref(s);
	s->is_looking = 1;
}

/* Without an error the stream is still there: a close would be one. */
static void
end_looking(cede_stream_t *s)
{
	s->is_looking = 0;
	cede__stream_unref(s);
}

/* 1: so many are there; 0: the end of file comes before; or a code. */
CEDE_SUSPENDS static int
look(cede_stream_t *s, size_t size)
{
	int r = 1;

	begin_looking(s);
	while (r > 0 && cede__stream_ahead(s) < size)
		r = cede__stream_read_ahead(s, size);
	end_looking(s);
	return r;
}

ssize_t
cede_peek(cede_stream_t *s, size_t size, const void **ret_data)
{
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r < 0)
		return r;
	if (size == 0 || size > CEDE__BUFFER_SIZE_LARGE)
		return CEDE_EINVAL;
	if (cede__stream_is_read(s))
		return CEDE_EBUSY;
	r = cede__stream_ahead(s) < size ? look(s, size) : 1;
	if (r < 0)
		return r;
	if (s->from < s->to)
		*ret_data = cede__stream_ahead_data(s);
	return (ssize_t)cede__stream_ahead(s);
}

int
cede_read_skip(cede_stream_t *s, size_t size)
{
	if (cede__stream_is_read(s))
		return CEDE_EBUSY;
	if (size > cede__stream_ahead(s))
		return CEDE_EINVAL;
	cede__stream_take_ahead(s, size);
	return 0;
}

struct search {
	const void *delimiter;
	size_t size, limit;
	size_t searched; /* of what is there: the delimiter does not begin in it */
};

/* In what is there. The bytes with the delimiter; 0: it is not there; CEDE_EMSGSIZE. */
static ssize_t
search(cede_stream_t *s, struct search *what)
{
	const size_t ahead = cede__stream_ahead(s), from = what->searched;
	const char *data, *at;
	size_t whole;

	if (ahead - from < what->size)
		return 0;
	data = cede__stream_ahead_data(s);
	at = memmem(data + from, ahead - from, what->delimiter, what->size);
	if (!at) {
		what->searched = ahead - what->size + 1;
		return 0;
	}
	whole = (size_t)(at - data) + what->size;
	return whole <= what->limit ? (ssize_t)whole : CEDE_EMSGSIZE;
}

/*
 * Reads ahead until the delimiter is there. The bytes with it; 0: the end of file came
 * first, whatever is there; or a code.
 */
CEDE_SUSPENDS static ssize_t
find(cede_stream_t *s, const void *delimiter, size_t size, size_t limit)
{
	struct search what = { .delimiter = delimiter, .size = size, .limit = limit };
	ssize_t n = search(s, &what);
	int r = 1;

	if (cede__likely(n != 0))
		return n;
	begin_looking(s);
	while (n == 0 && r > 0) {
		r = cede__stream_read_ahead(s, limit);
		if (r > 0)
			n = search(s, &what);
	}
	end_looking(s);
	return r < 0 ? r : n;
}

/* 0, or why not even a look is possible. */
static int
begin_find(cede_stream_t *s, size_t *limit)
{
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r < 0)
		return r;
	if (*limit == 0)
		*limit = LIMIT_DEFAULT;
	if (*limit > CEDE__BUFFER_SIZE_LARGE)
		return CEDE_EINVAL;
	return cede__stream_is_read(s) ? CEDE_EBUSY : 0;
}

/* They stay in the buffer until the next read. */
static char *
take(cede_stream_t *s, size_t size)
{
	char *data = cede__stream_ahead_data(s);

	s->from += (uint32_t)size;
	return data;
}

ssize_t
cede_read_until(cede_stream_t *s, const void *delimiter, size_t size, size_t limit,
	const void **ret_data)
{
	ssize_t n = begin_find(s, &limit);

	if (n < 0)
		return n;
	if (size == 0)
		return CEDE_EINVAL;
	n = find(s, delimiter, size, limit);
	if (n > 0)
		*ret_data = take(s, (size_t)n);
	else if (n == 0 && cede__stream_ahead(s) > 0)
		n = CEDE_EOF;
	return n;
}

int
cede_read_line(cede_stream_t *s, size_t limit, char **ret_line, size_t *ret_size)
{
	ssize_t n = begin_find(s, &limit);
	size_t size;
	char *line;

	if (n < 0)
		return (int)n;
	n = find(s, "\n", 1, limit);
	if (n < 0)
		return (int)n;
	size = n > 0 ? (size_t)n : cede__stream_ahead(s); /* the last line may have no end */
	if (size == 0)
		return 0;
	line = take(s, size);
	if (n > 0)
		size--;
	if (n > 0 && size > 0 && line[size - 1] == '\r')
		size--;
	line[size] = '\0'; /* at the end of the buffer there is room for it */
	*ret_line = line;
	if (ret_size)
		*ret_size = size;
	return 1;
}

/* ---- exactly ---- */

CEDE_SUSPENDS static ssize_t
read_all(cede_stream_t *s, char *buffer, size_t size, size_t *got)
{
	ssize_t n;

	do {
		const size_t left = size - *got;

		n = cede__stream_read_next(s, buffer + *got, left < INT_MAX ? left : INT_MAX);
		if (n > 0)
			*got += (size_t)n;
		if (*got == size)
			return (ssize_t)size;
		if (n > 0 && s->is_released)
			return CEDE_ECANCELED;
	} while (n > 0);
	return n == 0 && *got > 0 ? CEDE_EOF : n;
}

ssize_t
cede_read_exactly(cede_stream_t *s, void *buffer, size_t size, size_t *ret_read)
{
	cede_loop_t *loop;
	size_t got = 0;
	ssize_t n = cede__await_admit(&loop);

	if (ret_read)
		*ret_read = 0;
	if (n < 0 || size == 0)
		return n;
	if (size > SSIZE_MAX)
		return CEDE_EINVAL;
	if (cede__stream_is_read(s))
		return CEDE_EBUSY;
	begin_looking(s);
	n = read_all(s, buffer, size, &got);
	end_looking(s);
	if (ret_read)
		*ret_read = got;
	return n;
}
