/*
 * Requests as they come: bytes in, events out. No I/O: the same code under a socket, a
 * test and a fuzzer. llhttp parses; what it leaves to its user is here: putting pieces
 * together, limits, and what a server must refuse.
 *
 *     request_init(&r, &limits);
 *     switch (request_parse(&r, &input, &body)) {       // again and again
 *     case REQUEST_HEAD:   method, target and fields are there
 *     case REQUEST_BODY:   body is a piece of it, inside of input
 *     case REQUEST_MORE:   input is used up, read some more; or r.is_complete
 *     case REQUEST_BROKEN: answer with r.status, and close
 *     }
 *
 * A request is over when is_complete says so: with its head, or some time after it. The
 * next call begins the next one, so input may hold many. The head is copied, so that it
 * stays while its body is read; the body never is.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <llhttp.h>

#include "bytes.h"

struct request_limits {
	uint32_t head;   /* bytes of the request line and all fields */
	uint32_t target; /* bytes of what is asked for */
	uint32_t fields; /* their number; at most REQUEST_FIELDS_MAX */
	uint64_t body;   /* bytes */
};

#define REQUEST_FIELDS_MAX 100
#define REQUEST_LIMITS_DEFAULT \
	{ \
		.head = 64 * 1024, .target = 8 * 1024, .fields = REQUEST_FIELDS_MAX, \
		.body = 16 << 20 \
	}

enum request_event {
	REQUEST_MORE,
	REQUEST_HEAD,
	REQUEST_BODY,
	REQUEST_BROKEN,
};

/* Where a text is in `text`, which moves as it grows. */
struct request_span {
	uint32_t at, size;
};

struct request_field {
	struct request_span name, value;
};

struct request {
	/* read-only, once the head is there */
	uint8_t method;        /* enum llhttp_method */
	uint8_t minor_version; /* HTTP/1.1: 1 */
	uint8_t wants_close;   /* no other request comes after this one */
	uint8_t expects_go;    /* the client waits for "100 Continue" before it sends the body */
	uint8_t is_chunked;    /* so is the body */
	uint8_t has_length;    /* the head says how long the body is, be it 0 */
	uint64_t length;       /* and that is it */
	uint32_t field_count;

	/* read-only, at any time */
	int status;          /* broken: what to answer */
	uint64_t bytes;      /* of the request, so far */
	uint64_t body_size;  /* of its body, so far */
	uint8_t is_complete; /* nothing is missing */

	/* private, cleared with the above for each request */
	uint8_t is_in_head, is_in_trailer, is_in_name, has_new_head;
	char first, last; /* characters */
	struct request_span target;
	uint32_t text_size;

	/* private */
	llhttp_t parser;
	const struct request_limits *limits;
	struct bytes piece; /* of the body, just found */
	struct request_field fields[REQUEST_FIELDS_MAX];
	uint32_t text_capacity;
	char *text; /* small, or allocated */
	char small[4096];
};

/** Ready for the first request of a connection. The limits are kept. */
void request_init(struct request *request, const struct request_limits *limits);

void request_deinit(struct request *request);

/** What comes next in @input, of which it takes away what it has understood. */
enum request_event request_parse(struct request *request, struct bytes *input,
	struct bytes *ret_body);

/** The path that is asked for, as it was sent, up to its query. */
struct bytes request_path(const struct request *request);

/** All that is asked for, as it was sent: for a log. */
struct bytes request_target(const struct request *request);

/**
 * The field of a name.
 *
 * @return 1; 0: there is none, and *ret_value is empty. Of many the first
 */
int request_field(const struct request *request, const char *name, struct bytes *ret_value);

#endif
