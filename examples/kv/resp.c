#include "resp.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* The tables of arguments start with, and after a long request go back to, so many. */
#define SPANS_MIN  16
#define SPANS_KEEP 1024

/* What a step of the parser says to the loop that drives it. */
#define STEP_AGAIN (-1)

void
resp_init(struct resp_parser *parser, const struct resp_limits *limits, struct memory *memory)
{
	assert(limits->request + limits->line < UINT32_MAX); /* a span has 32 bits */
	*parser = (struct resp_parser){ .limits = limits, .memory = memory };
}

static void
free_spans(struct resp_parser *parser)
{
	memory_free(parser->memory, parser->spans, parser->span_capacity * sizeof *parser->spans);
	parser->spans = NULL;
	parser->span_capacity = 0;
}

void
resp_deinit(struct resp_parser *parser)
{
	free_spans(parser);
}

static int
broken(struct resp_parser *parser, const char *error)
{
	parser->state = RESP_IS_BROKEN;
	parser->error = error;
	return RESP_BROKEN;
}

static int
complete(struct resp_parser *parser, const char *data)
{
	parser->state = RESP_DONE;
	parser->used = parser->position;
	parser->request.data = data;
	parser->request.spans = parser->spans;
	return RESP_REQUEST;
}

/*
 * Remembers where one more argument lies. The table grows with the arguments
 * that have arrived, never with the number that was announced.
 */
static int
add_span(struct resp_parser *parser, size_t offset, size_t size)
{
	uint32_t count = parser->request.count;

	if (count == parser->span_capacity) {
		uint32_t capacity = count > 0 ? count * 2 : SPANS_MIN;
		struct resp_span *spans = memory_resize(parser->memory, parser->spans,
			count * sizeof *spans, capacity * sizeof *spans);

		if (spans == NULL)
			return broken(parser, "OOM no memory for the arguments of the request");
		parser->spans = spans;
		parser->span_capacity = capacity;
	}
	parser->spans[count] = (struct resp_span){ (uint32_t)offset, (uint32_t)size };
	parser->request.count = count + 1;
	return STEP_AGAIN;
}

/*
 * Takes the line that begins at the parser's position, without its '\n'. Whether
 * it is too long depends on the line alone, not on the pieces it comes in.
 *
 * Returns RESP_MORE, RESP_BROKEN with the given error, or STEP_AGAIN.
 */
static int
take_line(struct resp_parser *parser, char *data, size_t size, const char *too_long,
	struct bytes *ret_line)
{
	size_t start = parser->position;
	size_t from = start + parser->searched;
	char *end = from < size ? memchr(data + from, '\n', size - from) : NULL;
	size_t length = end != NULL ? (size_t)(end - data) - start + 1 : size - start;

	if (length > parser->limits->line)
		return broken(parser, too_long);
	if (end == NULL) {
		parser->searched = length;
		return RESP_MORE;
	}

	parser->searched = 0;
	parser->position = start + length;
	*ret_line = (struct bytes){ data + start, length - 1 };
	return STEP_AGAIN;
}

/* Reads the number between the first byte of a line, its type, and its '\r'. */
static int
number_of_line(struct bytes line, long long *ret_number)
{
	if (line.size < 2 || line.data[line.size - 1] != '\r')
		return -1;
	return bytes_to_integer((struct bytes){ line.data + 1, line.size - 2 }, ret_number);
}

/*
 * Typed lines.
 */

static int
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * One byte inside double quotes: itself, or what an escape stands for. Returns
 * where the source goes on.
 */
static const char *
unescape(const char *from, const char *end, char *ret_byte)
{
	static const char escapes[] = "n\nr\rt\tb\ba\a";

	if (*from != '\\' || end - from < 2) {
		*ret_byte = *from;
		return from + 1;
	}
	if (from[1] == 'x' && end - from >= 4 && hex_digit(from[2]) >= 0 &&
		hex_digit(from[3]) >= 0) {
		*ret_byte = (char)(hex_digit(from[2]) * 16 + hex_digit(from[3]));
		return from + 4;
	}
	*ret_byte = from[1];
	for (const char *e = escapes; *e != '\0'; e += 2) {
		if (*e == from[1])
			*ret_byte = e[1];
	}
	return from + 2;
}

/*
 * Unquotes the argument that begins at `from` into `*io_to`, which is never ahead
 * of it. Returns where the source goes on, NULL when a quote is not closed or is
 * followed by anything but a blank.
 */
static const char *
take_word(const char *from, const char *end, char **io_to)
{
	char *to = *io_to;
	char quote = '\0';

	while (from < end && (quote != '\0' || !is_blank(*from))) {
		if (quote == '\0' && (*from == '"' || *from == '\'')) {
			quote = *from++;
		} else if (quote != '\0' && *from == quote) {
			if (++from < end && !is_blank(*from))
				return NULL;
			quote = '\0';
			break;
		} else if (quote == '"') {
			from = unescape(from, end, to++);
		} else {
			if (quote == '\'' && *from == '\\' && end - from > 1 && from[1] == '\'')
				from++;
			*to++ = *from++;
		}
	}
	*io_to = to;
	return quote == '\0' ? from : NULL;
}

static int
step_line(struct resp_parser *parser, char *data, size_t size)
{
	struct bytes line;
	int r = take_line(parser, data, size, "ERR Protocol error: too big inline request", &line);
	const char *from, *end;
	char *to;

	if (r != STEP_AGAIN)
		return r;

	from = line.data;
	end = from + line.size;
	to = data + (from - data);
	for (;;) {
		char *word = to;

		while (from < end && is_blank(*from))
			from++;
		if (from == end)
			return complete(parser, data);

		from = take_word(from, end, &to);
		if (from == NULL || parser->request.count == parser->limits->args) {
			parser->state = RESP_DONE;
			parser->used = parser->position;
			parser->error = from == NULL
				? "ERR Protocol error: unbalanced quotes in request"
				: "ERR Protocol error: too many arguments in request";
			return RESP_REJECTED;
		}
		r = add_span(parser, (size_t)(word - data), (size_t)(to - word));
		if (r != STEP_AGAIN)
			return r;
	}
}

/*
 * Arrays of bulk strings.
 */

static int
step_count(struct resp_parser *parser, char *data, size_t size)
{
	struct bytes line;
	long long count;
	int r = take_line(parser, data, size, "ERR Protocol error: too big mbulk count string",
		&line);

	if (r != STEP_AGAIN)
		return r;
	if (number_of_line(line, &count) < 0 || count > (long long)parser->limits->args)
		return broken(parser, "ERR Protocol error: invalid multibulk length");
	if (count <= 0)
		return complete(parser,
			data); /* an empty request, or "no array": nothing to answer */

	parser->awaited = (uint32_t)count;
	parser->state = RESP_AT_LENGTH;
	return STEP_AGAIN;
}

static int
step_length(struct resp_parser *parser, char *data, size_t size)
{
	struct bytes line;
	long long length;
	int r;

	if (parser->position < size && data[parser->position] != '$') {
		char got = data[parser->position];

		snprintf(parser->error_text, sizeof parser->error_text,
			"ERR Protocol error: expected '$', got '%c'", got >= ' ' ? got : '?');
		return broken(parser, parser->error_text);
	}

	r = take_line(parser, data, size, "ERR Protocol error: too big bulk count string", &line);
	if (r != STEP_AGAIN)
		return r;
	if (number_of_line(line, &length) < 0 || length < 0 ||
		(unsigned long long)length > parser->limits->bulk)
		return broken(parser, "ERR Protocol error: invalid bulk length");

	if (parser->position + (size_t)length + 2 > parser->limits->request)
		return broken(parser, "ERR Protocol error: too big request");

	parser->bulk_size = (size_t)length;
	parser->state = RESP_AT_BULK;
	return STEP_AGAIN;
}

static int
step_bulk(struct resp_parser *parser, char *data, size_t size)
{
	size_t start = parser->position, length = parser->bulk_size;
	int r;

	if (size - start < length + 2)
		return RESP_MORE;
	if (data[start + length] != '\r' || data[start + length + 1] != '\n')
		return broken(parser, "ERR Protocol error: invalid bulk length");
	r = add_span(parser, start, length);
	if (r != STEP_AGAIN)
		return r;

	parser->position = start + length + 2;
	parser->state = RESP_AT_LENGTH;
	return --parser->awaited > 0 ? STEP_AGAIN : complete(parser, data);
}

static int
step_start(struct resp_parser *parser, char *data, size_t size)
{
	if (size == 0)
		return RESP_MORE;
	parser->state = data[0] == '*' ? RESP_AT_COUNT : RESP_AT_LINE;
	return STEP_AGAIN;
}

/* Forgets the request before this one, and the memory that only a long one needed. */
static void
start_over(struct resp_parser *parser)
{
	if (parser->span_capacity > SPANS_KEEP)
		free_spans(parser);
	parser->request = (struct resp_request){ 0 };
	parser->position = parser->searched = parser->used = 0;
	parser->error = NULL;
	parser->state = RESP_AT_START;
}

enum resp_status
resp_parse(struct resp_parser *parser, char *data, size_t size)
{
	int r = STEP_AGAIN;

	if (parser->state == RESP_DONE)
		start_over(parser);

	while (r == STEP_AGAIN) {
		switch (parser->state) {
		case RESP_AT_START:
			r = step_start(parser, data, size);
			break;
		case RESP_AT_LINE:
			r = step_line(parser, data, size);
			break;
		case RESP_AT_COUNT:
			r = step_count(parser, data, size);
			break;
		case RESP_AT_LENGTH:
			r = step_length(parser, data, size);
			break;
		case RESP_AT_BULK:
			r = step_bulk(parser, data, size);
			break;
		case RESP_DONE: /* only between calls */
		case RESP_IS_BROKEN:
			r = RESP_BROKEN;
			break;
		}
	}
	return (enum resp_status)r;
}

/*
 * Replies.
 */

/* "$5\r\n", "*2\r\n", ":-7\r\n": nearly every reply begins with one of these. */
static void
append_number_line(struct buffer *out, char type, long long number)
{
	char line[1 + BYTES_INTEGER_MAX + 2];
	size_t size = 1;

	line[0] = type;
	size += bytes_from_integer(number, line + size);
	line[size++] = '\r';
	line[size++] = '\n';
	buffer_append(out, line, size);
}

void
reply_simple(struct buffer *out, const char *text)
{
	buffer_append(out, "+", 1);
	buffer_append(out, text, strlen(text));
	buffer_append(out, "\r\n", 2);
}

void
reply_error(struct buffer *out, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);

	/* The text may quote what the client sent, which must not end the line. */
	for (char *c = text; *c != '\0'; c++) {
		if (*c == '\r' || *c == '\n')
			*c = ' ';
	}
	buffer_append(out, "-", 1);
	buffer_append(out, text, strlen(text));
	buffer_append(out, "\r\n", 2);
}

void
reply_integer(struct buffer *out, long long number)
{
	append_number_line(out, ':', number);
}

void
reply_bulk(struct buffer *out, struct bytes bytes)
{
	append_number_line(out, '$', (long long)bytes.size);
	buffer_append(out, bytes.data, bytes.size);
	buffer_append(out, "\r\n", 2);
}

void
reply_null(struct buffer *out)
{
	buffer_append(out, "$-1\r\n", 5);
}

void
reply_array(struct buffer *out, size_t count)
{
	append_number_line(out, '*', (long long)count);
}
