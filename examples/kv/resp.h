/*
 * RESP, the protocol of Redis, as pure functions over bytes: no sockets, no
 * waiting, nothing of cede. The same code can be fed by a test, one byte at a
 * time, or by a fuzzer.
 *
 * A request is either an array of bulk strings,
 *
 *     *2\r\n$3\r\nGET\r\n$5\r\nhello\r\n
 *
 * or a line that somebody typed: `GET hello\r\n`, with quotes where needed. The
 * parser works in the reader's buffer. It remembers how far it has come, so that
 * each byte is looked at about once however many pieces a request arrives in, and
 * every limit is checked before anything is kept for what was only announced.
 */
#ifndef KV_RESP_H
#define KV_RESP_H

#include <stdint.h>

#include "buffer.h"
#include "bytes.h"

/** What a client may send at most. Announcing more is an error at once. */
struct resp_limits {
	size_t line;    /* bytes of a line, its end included */
	size_t bulk;    /* bytes of one argument */
	size_t request; /* bytes of a whole request, under 4 GiB */
	uint32_t args;  /* arguments of a request */
};

#define RESP_LIMITS_DEFAULT \
	{ \
		.line = 64 * 1024, .bulk = 16 << 20, .request = 32 << 20, .args = 64 * 1024 \
	}

/** A complete request. Borrows the bytes that were parsed. */
struct resp_request {
	uint32_t count; /* of arguments, the command's name included; 0: nothing to do */

	/* private */
	const char *data;
	const struct resp_span *spans;
};

/** Where an argument lies: positions, because the buffer moves while it grows. */
struct resp_span {
	uint32_t offset, size;
};

static inline struct bytes
resp_arg(const struct resp_request *request, uint32_t index)
{
	struct resp_span span = request->spans[index];

	return (struct bytes){ request->data + span.offset, span.size };
}

enum resp_status {
	RESP_MORE,     /* not complete: call again with the same bytes and more */
	RESP_REQUEST,  /* `request` is complete */
	RESP_REJECTED, /* a line that makes no sense; what follows it may */
	RESP_BROKEN,   /* no telling where the next request begins; or no memory. For good. */
};

enum resp_state {
	RESP_AT_START,  /* --'*'--> AT_COUNT, --any other--> AT_LINE */
	RESP_AT_LINE,   /* --line--> DONE */
	RESP_AT_COUNT,  /* --count--> AT_LENGTH or DONE */
	RESP_AT_LENGTH, /* --length--> AT_BULK */
	RESP_AT_BULK,   /* --bytes--> AT_LENGTH or DONE */
	RESP_DONE,      /* --next call--> AT_START */
	RESP_IS_BROKEN, /* whatever comes */
};

struct resp_parser {
	/* read-only */
	struct resp_request request; /* after RESP_REQUEST */
	const char *error;           /* after RESP_REJECTED and RESP_BROKEN: for reply_error() */
	size_t used; /* bytes of the request, after RESP_REQUEST and RESP_REJECTED */

	/* private */
	const struct resp_limits *limits;
	struct memory *memory;
	enum resp_state state;
	size_t position;  /* of the first byte not understood yet */
	size_t searched;  /* bytes known to hold no end of the line that begins at position */
	uint32_t awaited; /* arguments that are still to come */
	size_t bulk_size; /* AT_BULK: of the argument that comes next */
	struct resp_span *spans;
	uint32_t span_capacity;
	char error_text[64];
};

/** @limits and @memory are borrowed for the parser's life. */
void resp_init(struct resp_parser *parser, const struct resp_limits *limits, struct memory *memory);

void resp_deinit(struct resp_parser *parser);

/**
 * Parses one request.
 *
 * @param data  all bytes from the start of the request, also those of earlier
 *              calls; a typed line is unquoted in place
 */
enum resp_status resp_parse(struct resp_parser *parser, char *data, size_t size);

/* Replies, written at the end of a buffer. One that does not fit leaves has_failed set. */

/** `+OK`: a text that holds no end of line. */
void reply_simple(struct buffer *out, const char *text);

/** `-ERR no such thing`: the first word is the kind. Cut at 512 bytes; line ends become blanks. */
void reply_error(struct buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

void reply_integer(struct buffer *out, long long number);

void reply_bulk(struct buffer *out, struct bytes bytes);

/** The bulk string that is not there: `$-1`. */
void reply_null(struct buffer *out);

/** The start of an array; so many replies must follow. */
void reply_array(struct buffer *out, size_t count);

#endif
