/*
 * Requests to the resolver: their turn, their time, their end. The model is in dns_int.h.
 *
 * libuv's own uv_getaddrinfo() and uv_getnameinfo(), not functions of <cede/work.h>: libuv
 * knows these as slow ones, of which it never runs more than half a pool's threads can take
 * at a time, all loops of the process together. The limit here is a loop's own: what waits
 * for its turn here can be taken back, and who comes first is served first.
 */
#include "net/dns_int.h"

#include <netinet/in.h>
#include <string.h>

#include "coro/alloc.h"

static int
is_reverse(const struct cede__dns_request *request)
{
	return request->address.ss_family != AF_UNSPEC;
}

/* What of libuv's is no error of the system's. */
static int
translate(int status)
{
	return status == UV_EAI_MEMORY             ? CEDE_ENOMEM
		: status == UV_EAI_CANCELED        ? CEDE_ECANCELED
		: status > 0 /* none of libuv's */ ? CEDE_EAI_FAIL
						   : status;
}

static void
release(struct cede__dns_request *request)
{
	cede__timer_stop(&request->limit);
	if (!is_reverse(request) && request->uv.forward.addrinfo)
		uv_freeaddrinfo(request->uv.forward.addrinfo);
	cede__free(request);
}

/* Tells who waits, if anybody does, once. */
static void
tell(struct cede__dns_request *request, int status)
{
	void (*done)(struct cede__dns_request *, int) = request->done;

	cede__timer_stop(&request->limit);
	request->done = NULL;
	if (done)
		done(request, status);
}

/* ---- in libuv's hands ---- */

static void forward_returned(uv_getaddrinfo_t *req, int status, struct addrinfo *list);
static void reverse_returned(uv_getnameinfo_t *req, int status, const char *host,
	const char *service);

static int
hand_over(struct cede__dns_request *request)
{
	const struct cede__dns_question *q = &request->question;
	cede_loop_t *loop = request->loop;
	int r;

	if (is_reverse(request))
		r = uv_getnameinfo(loop->uv, &request->uv.reverse, reverse_returned,
			(struct sockaddr *)&request->address, request->flags);
	else
		r = uv_getaddrinfo(loop->uv, &request->uv.forward, forward_returned,
			*q->host ? q->host : NULL, *q->service ? q->service : NULL, &q->hints);
	if (r < 0)
		return translate(r);
	request->is_running = 1;
	loop->lookups.running++;
	loop->in_flight++;
	cede__loop_opened(loop);
	return 0;
}

static unsigned
limit_of(const cede_loop_t *loop)
{
	return loop->lookups.limit ? loop->lookups.limit : CEDE__DNS_LIMIT;
}

/* Whoever waits gets what has become free. */
static void
pass_on(cede_loop_t *loop)
{
	struct cede__list *link;

	while (loop->lookups.running < limit_of(loop) &&
		(link = cede__list_pop(&loop->lookups.waiting)) != NULL) {
		struct cede__dns_request *next =
			cede__container_of(link, struct cede__dns_request, link);
		int r = hand_over(next);

		if (r < 0) {
			tell(next, r);
			release(next);
		}
	}
}

static void
returned(struct cede__dns_request *request, int status)
{
	cede_loop_t *loop = request->loop;

	cede__loop_enter(loop);
	loop->in_flight--;
	loop->lookups.running--;
	request->is_running = 0;
	pass_on(loop);
	tell(request, translate(status));
	release(request);
	cede__loop_closed(loop); /* not before: what was told may have asked for more */
	cede__loop_leave(loop);
}

static void
forward_returned(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
	returned(cede__container_of(req, struct cede__dns_request, uv.forward), status);
}

static void
reverse_returned(uv_getnameinfo_t *req, int status, const char *host, const char *service)
{
	returned(cede__container_of(req, struct cede__dns_request, uv.reverse), status);
}

void
cede_dns_set_limit(cede_loop_t *loop, unsigned limit)
{
	loop->lookups.limit = limit;
	pass_on(loop);
}

/* ---- asking and abandoning ---- */

void
cede__dns_abandon(struct cede__dns_request *request)
{
	cede__assert(request->done);
	request->done = NULL;
	cede__timer_stop(&request->limit);
	if (request->is_running) {
		(void)uv_cancel(&request->uv.any); /* EBUSY: a thread is at it, and comes back */
		return;
	}
	cede__list_remove(&request->link);
	release(request);
}

static void
time_is_up(struct cede__timer *timer)
{
	struct cede__dns_request *request =
		cede__container_of(timer, struct cede__dns_request, limit);
	void (*done)(struct cede__dns_request *, int) = request->done;

	cede__list_remove(&request->link); /* it could be handed over by what is told */
	done(request, CEDE_ETIMEDOUT);
	cede__dns_abandon(request);
}

static int
submit(struct cede__dns_request *request, uint64_t timeout_ms)
{
	cede_loop_t *loop = request->loop;
	int r;

	cede__loop_update_time(loop);
	r = cede__timer_start(loop, &request->limit, timeout_ms);
	if (r == 0 && loop->lookups.running < limit_of(loop))
		r = hand_over(request);
	else if (r == 0)
		cede__list_append(&loop->lookups.waiting, &request->link);
	return r;
}

static struct cede__dns_request *
create(cede_loop_t *loop, void (*done)(struct cede__dns_request *, int), void *data)
{
	struct cede__dns_request *request = cede__alloc_zero(sizeof *request);

	if (!request)
		return NULL;
	request->loop = loop;
	request->done = done;
	request->data = data;
	request->limit.fire = time_is_up;
	cede__list_init(&request->link);
	return request;
}

int
cede__dns_ask(cede_loop_t *loop, const struct cede__dns_question *question,
	void (*done)(struct cede__dns_request *request, int status), void *data,
	struct cede__dns_request **ret_request)
{
	struct cede__dns_request *request = create(loop, done, data);
	int r;

	if (!request)
		return CEDE_ENOMEM;
	request->question = *question;
	r = submit(request, question->timeout_ms);
	if (r < 0)
		release(request);
	else
		*ret_request = request;
	return r;
}

int
cede__dns_ask_reverse(cede_loop_t *loop, const struct sockaddr *address, int flags,
	uint64_t timeout_ms, void (*done)(struct cede__dns_request *request, int status),
	void *data, struct cede__dns_request **ret_request)
{
	struct cede__dns_request *request = create(loop, done, data);
	int r;

	if (!request)
		return CEDE_ENOMEM;
	memcpy(&request->address, address,
		address->sa_family == AF_INET ? sizeof(struct sockaddr_in)
					      : sizeof(struct sockaddr_in6));
	request->flags = flags;
	r = submit(request, timeout_ms);
	if (r < 0)
		release(request);
	else
		*ret_request = request;
	return r;
}
