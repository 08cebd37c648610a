/*
 * Names, for net/ itself.
 *
 * A question is what is asked, checked and copied: no I/O. A numeric one has its answer
 * in it; another goes to the resolver as a request, which answers by a callback: so a
 * lookup can be a future (dns.c) or a step of something longer (connect.c).
 *
 * A request is the library's memory, since a thread may be at it when nobody wants it any
 * more. Its life: submitted, it waits for its turn or is in libuv's hands; then exactly one
 * of
 *
 *   answered    `done` is called, then it is freed
 *   out of time `done` is called with CEDE_ETIMEDOUT, and it is abandoned
 *   abandoned   `done` is not called; waiting, it is freed at once; in libuv's hands, when
 *               it comes back
 *
 * Invariants
 * - It is on the loop's list of those that wait, or is_running, and never both.
 * - lookups.running counts those in libuv's hands, abandoned ones too, and nobody waits
 *   while it is below the limit.
 * - One in libuv's hands counts as an open handle, so a detach waits for it.
 */
#ifndef CEDE_NET_DNS_INT_H
#define CEDE_NET_DNS_INT_H

#include <netdb.h>

#include <uv.h>

#include <cede/dns.h>

#include "loop/loop_int.h"

#define CEDE__DNS_LIMIT      2
#define CEDE__DNS_TIMEOUT_MS 10000

struct cede__dns_question {
	char host[CEDE_DNS_HOST_SIZE];       /* "": none */
	char service[CEDE_DNS_SERVICE_SIZE]; /* "": none */
	struct addrinfo hints;
	unsigned max;
	uint64_t timeout_ms;

	/* What is numeric. */
	uint8_t has_address, has_port;
	uint16_t port;
	struct sockaddr_storage address; /* without the port */
};

struct cede__dns_request {
	union {
		uv_req_t any;
		uv_getaddrinfo_t forward;
		uv_getnameinfo_t reverse;
	} uv;
	cede_loop_t *loop;
	void (*done)(struct cede__dns_request *request, int status); /* NULL: nobody waits */
	void *data;
	struct cede__list link;
	struct cede__timer limit;
	uint8_t is_running;

	/* What is asked: forward, or reverse. */
	struct cede__dns_question question;
	struct sockaddr_storage address; /* its family is AF_UNSPEC: forward */
	int flags;
};

/* ---- dns_question.c: no I/O, and nothing waits ---- */

/** Checks what is asked. NULL options: the defaults. 0, or CEDE_EINVAL. */
int cede__dns_question_init(struct cede__dns_question *question, const char *host,
	const char *service, const cede_dns_options_t *options);

/**
 * Takes "example.org:80", "[::1]:http", ":80" apart, at the last colon, and the brackets
 * off. 0, or CEDE_EINVAL: no port, or a host with colons and without brackets.
 */
int cede__dns_split(const char *text, char host[CEDE_DNS_HOST_SIZE], const char **ret_service);

/** 0 and the answer to a numeric question; CEDE_EAGAIN: the resolver must be asked; or a code. */
int cede__dns_answer_at_once(const struct cede__dns_question *question,
	cede_dns_result_t **ret_result);

/** What the resolver said, as a result. 0, CEDE_EAI_NODATA, CEDE_ENOMEM. */
int cede__dns_result_create(const struct addrinfo *list, const struct cede__dns_question *question,
	cede_dns_result_t **ret_result);

/** Is this a name, or what a name may be written as? */
int cede__dns_is_name(const char *text);

/* ---- dns_request.c ---- */

/**
 * Asks the resolver. request->done(request, 0 or a code) is called in a turn of the loop;
 * until it returns the answer is in request->uv.
 *
 * @return 0, CEDE_ENOMEM, libuv's codes
 */
int cede__dns_ask(cede_loop_t *loop, const struct cede__dns_question *question,
	void (*done)(struct cede__dns_request *request, int status), void *data,
	struct cede__dns_request **ret_request);

/** Asks for the names of an address, with getnameinfo()'s flags. The same. */
int cede__dns_ask_reverse(cede_loop_t *loop, const struct sockaddr *address, int flags,
	uint64_t timeout_ms, void (*done)(struct cede__dns_request *request, int status),
	void *data, struct cede__dns_request **ret_request);

/** Nobody waits for it any more. Not for one whose `done` was called. */
void cede__dns_abandon(struct cede__dns_request *request);

/* ---- dns.c ---- */

/**
 * For what takes "name:port" and needs socket addresses: looks them up, and waits.
 *
 * @param is_passive  to listen on: without a host, every address of this host
 * @return how many, 1 to @max; CEDE_EINVAL; as cede_dns_lookup()
 */
CEDE_SUSPENDS int cede__dns_resolve(const char *text, int is_passive,
	struct sockaddr_storage *addresses, unsigned max);

#endif
