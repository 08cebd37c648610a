/*
 * `out` holds whole answers, and what there is of the present one. It is written when
 * there is no room for another head, before a body that is not copied, and before
 * anything is awaited of the client: by then the answers must have gone.
 */
#include "answer.h"

#include <stdio.h>

/* A head must have room in the buffer as a whole: until it is written it can be taken back. */
#define HEAD_ROOM 4096

/* A body up to this is copied: that costs less than a write of its own. */
#define COPY_MAX 4096

/* Around a chunk: its size and two line ends. */
#define CHUNK_ROOM 24

#define LENGTH(text) (sizeof(text) - 1)

static struct bytes
status_line(int status)
{
#define LINE(number, reason) \
	case number: \
		return (struct bytes) \
		{ \
			"HTTP/1.1 " #number " " reason "\r\n", \
				LENGTH("HTTP/1.1 " #number " " reason "\r\n") \
		}
	switch (status) {
		LINE(200, "OK");
		LINE(204, "No Content");
		LINE(206, "Partial Content");
		LINE(301, "Moved Permanently");
		LINE(304, "Not Modified");
		LINE(400, "Bad Request");
		LINE(403, "Forbidden");
		LINE(404, "Not Found");
		LINE(405, "Method Not Allowed");
		LINE(408, "Request Timeout");
		LINE(411, "Length Required");
		LINE(412, "Precondition Failed");
		LINE(413, "Content Too Large");
		LINE(414, "URI Too Long");
		LINE(416, "Range Not Satisfiable");
		LINE(417, "Expectation Failed");
		LINE(431, "Request Header Fields Too Large");
		LINE(501, "Not Implemented");
		LINE(503, "Service Unavailable");
		LINE(505, "HTTP Version Not Supported");
	default:
		LINE(500, "Internal Server Error");
	}
#undef LINE
}

/* ---- what is gathered ---- */

static size_t
room(const struct exchange *x)
{
	return sizeof x->out - x->out_size;
}

static void
put(struct exchange *x, const void *data, size_t size)
{
	if (size > room(x)) {
		x->is_full = 1;
		return;
	}
	memcpy(x->out + x->out_size, data, size);
	x->out_size += size;
}

static void
put_text(struct exchange *x, const char *text)
{
	put(x, text, strlen(text));
}

static void
put_number(struct exchange *x, uint64_t number)
{
	char text[20], *at = text + sizeof text;

	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	put(x, at, (size_t)(text + sizeof text - at));
}

int
answer_flush(struct exchange *x)
{
	ssize_t n = 0;

	if (x->out_size > 0) {
		x->is_sent |= x->out_size > x->start;
		n = cede_write(x->stream, x->out, x->out_size);
		x->out_size = 0;
		x->start = 0;
	}
	return n < 0 ? (int)n : 0;
}

/* The same, and a piece of a body behind it, from where it is. */
static CEDE_SUSPENDS int
write_behind(struct exchange *x, const void *data, size_t size)
{
	const struct iovec pieces[] = { { x->out, x->out_size }, { (void *)data, size } };
	ssize_t n = cede_writev(x->stream, pieces, 2);

	x->is_sent = 1;
	x->out_size = 0;
	x->start = 0;
	return n < 0 ? (int)n : 0;
}

static CEDE_SUSPENDS int
make_room(struct exchange *x, size_t size)
{
	return size > room(x) ? answer_flush(x) : 0;
}

/* ---- the head ---- */

void
answer_reset(struct exchange *x)
{
	x->refusal = 0;
	x->status = 0;
	x->is_sent = 0;
	x->is_ended = 0;
	x->framing = FRAMING_NONE;
	x->size = 0;
	x->is_full = 0;
	x->start = x->out_size;
}

void
answer_take_back(struct exchange *x)
{
	x->out_size = x->start;
	answer_reset(x);
}

/* Its text changes once a second. */
static const char *
date_now(struct worker *worker)
{
	const time_t now = time(NULL);

	if (now != worker->date_s) {
		worker->date_s = now;
		date_format(now, worker->date);
	}
	return worker->date;
}

int
answer_begin(struct exchange *x, int status)
{
	struct bytes line = status_line(status);
	int r = make_room(x, HEAD_ROOM);

	if (r < 0)
		return r;
	answer_reset(x);
	x->status = status;
	if (cede_event_is_set(&x->worker->stop))
		x->keeps_alive = 0;
	put(x, line.data, line.size);
	put(x, "Date: ", LENGTH("Date: "));
	put(x, date_now(x->worker), DATE_SIZE - 1);
	put(x, "\r\n", 2);
	return 0;
}

void
answer_field(struct exchange *x, const char *name, const char *value)
{
	put_text(x, name);
	put(x, ": ", 2);
	put_text(x, value);
	put(x, "\r\n", 2);
}

static int
end_head(struct exchange *x)
{
	if (!x->keeps_alive)
		put_text(x, "Connection: close\r\n");
	else if (x->request.minor_version == 0)
		put_text(x, "Connection: keep-alive\r\n");
	put(x, "\r\n", 2);
	if (x->request.method == HTTP_HEAD)
		x->framing = FRAMING_NONE;
	return x->is_full ? CEDE_ENOBUFS : 0;
}

int
answer_sized(struct exchange *x, int64_t size)
{
	put(x, "Content-Length: ", LENGTH("Content-Length: "));
	put_number(x, (uint64_t)size);
	put(x, "\r\n", 2);
	x->framing = FRAMING_SIZED;
	x->left = size;
	return end_head(x);
}

int
answer_chunked(struct exchange *x)
{
	if (x->request.minor_version == 0) {
		x->keeps_alive = 0;
		x->framing = FRAMING_CLOSE;
	} else {
		put_text(x, "Transfer-Encoding: chunked\r\n");
		x->framing = FRAMING_CHUNKED;
	}
	return end_head(x);
}

/* ---- the body ---- */

/* A piece of the body as it is. */
static CEDE_SUSPENDS int
write_plain(struct exchange *x, const void *data, size_t size)
{
	int r;

	if (size <= COPY_MAX) {
		r = make_room(x, size + CHUNK_ROOM);
		if (r == 0)
			put(x, data, size);
		return r;
	}
	return write_behind(x, data, size);
}

static CEDE_SUSPENDS int
write_chunk(struct exchange *x, const void *data, size_t size)
{
	char line[CHUNK_ROOM];
	int r = make_room(x, CHUNK_ROOM);

	if (r < 0)
		return r;
	put(x, line, (size_t)snprintf(line, sizeof line, "%zx\r\n", size));
	r = write_plain(x, data, size);
	if (r == 0)
		put(x, "\r\n", 2);
	return r;
}

int
answer_write(struct exchange *x, const void *data, size_t size)
{
	if (size == 0 || x->framing == FRAMING_NONE)
		return 0;
	x->size += (int64_t)size;
	if (x->framing == FRAMING_CHUNKED)
		return write_chunk(x, data, size);
	if (x->framing == FRAMING_SIZED) {
		if ((int64_t)size > x->left)
			return CEDE_EFBIG; /* more than was announced */
		x->left -= (int64_t)size;
	}
	return write_plain(x, data, size);
}

int
answer_end(struct exchange *x)
{
	int r = 0;

	if (x->framing == FRAMING_SIZED && x->left > 0)
		return CEDE_EINVAL; /* less */
	if (x->framing == FRAMING_CHUNKED) {
		r = make_room(x, CHUNK_ROOM);
		if (r == 0)
			put(x, "0\r\n\r\n", LENGTH("0\r\n\r\n"));
	}
	x->is_ended = 1;
	return r;
}

int
answer_all(struct exchange *x, const void *data, size_t size)
{
	int r = answer_sized(x, (int64_t)size);

	if (r == 0)
		r = answer_write(x, data, size);
	return r < 0 ? r : answer_end(x);
}

int
answer_file(struct exchange *x, cede_file_t *file, int64_t offset, int64_t size)
{
	int64_t sent = 0;
	int r = answer_sized(x, size);

	if (r < 0 || x->framing == FRAMING_NONE)
		return r < 0 ? r : answer_end(x);
	if (x->input.size == 0)
		cede_read_return(x->stream); /* it may take long */
	r = answer_flush(x);
	if (r == 0)
		r = cede_sendfile(x->stream, file, offset, size, &sent);
	x->size += sent;
	x->left -= sent;
	return r < 0 ? r : answer_end(x);
}

int
answer_nothing(struct exchange *x)
{
	int r = end_head(x);

	return r < 0 ? r : answer_end(x);
}

/* ---- all of it ---- */

int
answer_text(struct exchange *x, int status, const char *text)
{
	int r = answer_begin(x, status);

	answer_field(x, "Content-Type", "text/plain; charset=utf-8");
	return r < 0 ? r : answer_all(x, text, strlen(text));
}

int
answer_status(struct exchange *x, int status)
{
	const struct bytes line = status_line(status);
	const size_t skipped = LENGTH("HTTP/1.1 ");
	int r = answer_begin(x, status);

	answer_field(x, "Content-Type", "text/plain; charset=utf-8");
	return r < 0 ? r : answer_all(x, line.data + skipped, line.size - skipped);
}

int
answer_go_on(struct exchange *x)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	int r = make_room(x, HEAD_ROOM);

	if (r == 0) {
		put(x, text, LENGTH(text));
		x->start = x->out_size;
	}
	return r;
}
