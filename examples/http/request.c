/*
 * llhttp calls back while it parses, and stops where it is told to: behind a head that
 * announces a body, before a chunk, and behind a request. Between two stops at most one
 * piece of a body is found; behind each but the last more input must come.
 *
 * What is bounded, and where:
 *   - the head: llhttp is never given more than what is left of the limit
 *   - what is asked for, and the number of fields: as they come
 *   - the body: by its length, before any of it is read; a chunked one as it comes
 *   - what is around a body, as chunk sizes, extensions, trailers: so many bytes, and some
 *     for each of the body's
 */
#include "request.h"

#include <stdlib.h>

#define AROUND_BODY (16 * 1024)
#define AROUND_BYTE 8 /* a chunk of one byte has 5 around it */

/* ---- what llhttp calls ---- */

static int
refuse(struct request *r, int status)
{
	r->status = status;
	return -1;
}

/* Room for so many bytes more. The head's limit bounds it. */
static int
reserve(struct request *r, size_t size)
{
	uint32_t capacity = r->text_capacity;
	char *text;

	if (size <= capacity - r->text_size)
		return 0;
	while (size > capacity - r->text_size)
		capacity *= 2;
	text = r->text == r->small ? malloc(capacity) : realloc(r->text, capacity);
	if (!text)
		return refuse(r, 503);
	if (r->text == r->small)
		memcpy(text, r->small, r->text_size);
	r->text = text;
	r->text_capacity = capacity;
	return 0;
}

/* A piece of a text, which is complete in one piece, or has begun in an earlier input. */
static int
append(struct request *r, struct request_span *span, const char *at, size_t size)
{
	if (reserve(r, size) < 0)
		return -1;
	if (span->size == 0)
		span->at = r->text_size;
	memcpy(r->text + r->text_size, at, size);
	r->text_size += (uint32_t)size;
	span->size += (uint32_t)size;
	return 0;
}

static int
on_url(llhttp_t *parser, const char *at, size_t size)
{
	struct request *r = parser->data;

	if (r->target.size + size > r->limits->target)
		return refuse(r, 414);
	return append(r, &r->target, at, size);
}

static int
on_field_name(llhttp_t *parser, const char *at, size_t size)
{
	struct request *r = parser->data;
	struct request_field *field = &r->fields[r->field_count];

	if (!r->is_in_head || size == 0)
		return 0; /* of a trailer; or nothing */
	if (!r->is_in_name) {
		if (r->field_count == r->limits->fields)
			return refuse(r, 431);
		*field = (struct request_field){ { 0, 0 }, { 0, 0 } };
		r->is_in_name = 1;
	}
	return append(r, &field->name, at, size);
}

static int
on_field_value(llhttp_t *parser, const char *at, size_t size)
{
	struct request *r = parser->data;

	if (!r->is_in_head || size == 0)
		return 0;
	if (!r->is_in_name)
		return refuse(r, 400);
	return append(r, &r->fields[r->field_count].value, at, size);
}

static int
on_field_complete(llhttp_t *parser)
{
	struct request *r = parser->data;

	if (!r->is_in_head)
		return 0;
	if (!r->is_in_name)
		return refuse(r, 400); /* it has no name */
	r->field_count++;
	r->is_in_name = 0;
	return 0;
}

static struct bytes
text_of(const struct request *r, struct request_span span)
{
	return (struct bytes){ r->text + span.at, span.size };
}

/* Nothing that could be taken for a path, a user or a second host. */
static int
is_host(struct bytes host)
{
	for (size_t i = 0; i < host.size; i++)
		switch (host.data[i]) {
		case ' ':
		case '\t':
		case '"':
		case '#':
		case ',':
		case '/':
		case '<':
		case '>':
		case '?':
		case '@':
		case '\\':
			return 0;
		default:
			break;
		}
	return 1;
}

struct counts {
	int hosts, codings;
};

/* Looks at one field, if it is one that decides how the request is read. 0, or a status. */
static int
check_field(struct request *r, const struct request_field *field, struct counts *counts)
{
	const struct bytes name = text_of(r, field->name);
	const struct bytes value = bytes_trim(text_of(r, field->value));

	switch (name.size) {
	case 4:
		if (!bytes_equal_nocase(name, bytes_of("host")))
			return 0;
		counts->hosts++;
		return is_host(value) ? 0 : 400;
	case 6:
		if (r->minor_version == 0 || !bytes_equal_nocase(name, bytes_of("expect")))
			return 0;
		r->expects_go = 1;
		return bytes_equal_nocase(value, bytes_of("100-continue")) ? 0 : 417;
	case 17:
		if (!bytes_equal_nocase(name, bytes_of("transfer-encoding")))
			return 0;
		if (r->minor_version == 0 || counts->codings++ > 0)
			return 400;
		if (!r->is_chunked)
			return 400; /* its end can't be known */
		return bytes_equal_nocase(value, bytes_of("chunked")) ? 0 : 501;
	default:
		return 0;
	}
}

/* 0, or the status to answer with. */
static int
check_head(struct request *r)
{
	struct counts counts = { 0, 0 };

	if (r->parser.http_major != 1)
		return 505;
	for (uint32_t i = 0; i < r->field_count; i++) {
		const int status = check_field(r, &r->fields[i], &counts);

		if (status != 0)
			return status;
	}
	if (counts.hosts > 1 || (counts.hosts == 0 && r->minor_version > 0))
		return 400;
	if (r->method == HTTP_CONNECT)
		return 501;
	return r->length > r->limits->body ? 413 : 0;
}

static int
on_head(llhttp_t *parser)
{
	struct request *r = parser->data;
	int status;

	r->is_in_head = 0;
	r->method = parser->method;
	r->minor_version = parser->http_minor;
	r->is_chunked = (parser->flags & F_CHUNKED) != 0;
	r->has_length = (parser->flags & F_CONTENT_LENGTH) != 0;
	r->length = r->has_length ? parser->content_length : 0;
	r->wants_close = !llhttp_should_keep_alive(parser);
	status = check_head(r);
	if (status != 0)
		return refuse(r, status);
	parser->upgrade = 0; /* there is nothing that we would change to */
	r->has_new_head = 1;
	return r->is_chunked || r->length > 0 ? HPE_PAUSED : 0;
}

static int
on_body(llhttp_t *parser, const char *at, size_t size)
{
	struct request *r = parser->data;

	r->piece = (struct bytes){ at, size };
	r->body_size += size;
	return r->body_size > r->limits->body ? refuse(r, 413) : 0;
}

static int
on_chunk_header(llhttp_t *parser)
{
	struct request *r = parser->data;

	r->is_in_trailer = parser->content_length == 0; /* behind the last chunk */
	return HPE_PAUSED;
}

static int
on_complete(llhttp_t *parser)
{
	struct request *r = parser->data;

	r->is_complete = 1;
	return HPE_PAUSED;
}

static const llhttp_settings_t callbacks = {
	.on_url = on_url,
	.on_header_field = on_field_name,
	.on_header_value = on_field_value,
	.on_header_value_complete = on_field_complete,
	.on_headers_complete = on_head,
	.on_body = on_body,
	.on_chunk_header = on_chunk_header,
	.on_message_complete = on_complete,
};

/* ---- what the server calls ---- */

static void
begin(struct request *r)
{
	memset(r, 0, offsetof(struct request, parser));
	r->is_in_head = 1;
}

void
request_init(struct request *r, const struct request_limits *limits)
{
	llhttp_init(&r->parser, HTTP_REQUEST, &callbacks);
	r->parser.data = r;
	r->limits = limits;
	r->piece.size = 0;
	r->text = r->small;
	r->text_capacity = sizeof r->small;
	begin(r);
}

void
request_deinit(struct request *r)
{
	if (r->text != r->small)
		free(r->text);
}

/* A word that we don't know is no method of ours; anything else is no request. */
static int
status_of(const struct request *r, llhttp_errno_t error)
{
	if (r->status != 0)
		return r->status;
	if (error == HPE_INVALID_VERSION || error == HPE_PAUSED_H2_UPGRADE)
		return 505;
	return error == HPE_INVALID_METHOD && r->first >= 'A' && r->first <= 'Z' ? 501 : 400;
}

static int
over_limit(const struct request *r)
{
	if (r->is_in_head)
		return r->bytes >= r->limits->head ? 431 : 0;
	return r->bytes > r->limits->head + AROUND_BODY + (AROUND_BYTE + 1) * r->body_size ? 400
											   : 0;
}

/*
 * Lines end in CR LF, and none goes on in the next one. llhttp lets some of that pass which
 * others understand in different ways (RFC 9112, 2.2 and 5.2).
 */
static int
has_odd_line(char last, struct bytes text)
{
	for (size_t i = 0; i < text.size; i++) {
		const char c = text.data[i];

		if ((last == '\r') != (c == '\n') || (last == '\n' && (c == ' ' || c == '\t')))
			return 1;
		last = c;
	}
	return 0;
}

/* Parses up to the next stop, or all of it. Takes away what was understood. 0, or the status to answer with. */
static int
parse_some(struct request *r, struct bytes *input)
{
	const int is_in_lines = r->is_in_head || r->is_in_trailer;
	struct bytes taken = *input;
	llhttp_errno_t error;

	if (r->is_in_head && taken.size > r->limits->head - r->bytes)
		taken.size = r->limits->head - (size_t)r->bytes;
	llhttp_resume(&r->parser);
	error = llhttp_execute(&r->parser, taken.data, taken.size);
	if (error != HPE_OK)
		taken.size = (size_t)(llhttp_get_error_pos(&r->parser) - taken.data);
	input->data += taken.size;
	input->size -= taken.size;
	r->bytes += taken.size;
	if (is_in_lines && has_odd_line(r->last, taken))
		return 400;
	if (error != HPE_OK && error != HPE_PAUSED)
		return status_of(r, error);
	if (taken.size > 0)
		r->last = taken.data[taken.size - 1];
	return over_limit(r);
}

enum request_event
request_parse(struct request *r, struct bytes *input, struct bytes *ret_body)
{
	if (r->is_complete)
		begin(r);
	if (r->bytes == 0 && input->size > 0)
		r->first = *input->data;

	while (input->size > 0 && !r->is_complete) {
		r->status = parse_some(r, input);
		if (r->status != 0)
			return REQUEST_BROKEN;
		if (r->has_new_head) {
			r->has_new_head = 0;
			return REQUEST_HEAD;
		}
		if (r->piece.size > 0) {
			*ret_body = r->piece;
			r->piece.size = 0;
			return REQUEST_BODY;
		}
	}
	return REQUEST_MORE;
}

struct bytes
request_target(const struct request *r)
{
	return text_of(r, r->target);
}

/* After "http://host" of an absolute target: the path, which may be missing. */
static struct bytes
skip_authority(struct bytes target)
{
	const char *at = memchr(target.data, ':', target.size);
	const char *end = target.data + target.size;

	if (!at || end - at < 3 || memcmp(at, "://", 3) != 0)
		return target;
	for (at += 3; at < end && *at != '/' && *at != '?'; at++)
		;
	return at < end && *at == '/' ? (struct bytes){ at, (size_t)(end - at) } : bytes_of("/");
}

struct bytes
request_path(const struct request *r)
{
	struct bytes path = request_target(r);
	size_t size = 0;

	if (path.size > 0 && path.data[0] != '/')
		path = skip_authority(path);
	while (size < path.size && path.data[size] != '?' && path.data[size] != '#')
		size++;
	return (struct bytes){ path.data, size };
}

int
request_field(const struct request *r, const char *name, struct bytes *ret_value)
{
	const struct bytes wanted = bytes_of(name);

	*ret_value = (struct bytes){ NULL, 0 };
	for (uint32_t i = 0; i < r->field_count; i++)
		if (bytes_equal_nocase(text_of(r, r->fields[i].name), wanted)) {
			*ret_value = bytes_trim(text_of(r, r->fields[i].value));
			return 1;
		}
	return 0;
}
