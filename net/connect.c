/* Connecting to the first address that answers. The model is in connect.h. */
#include "net/connect.h"

#include "coro/alloc.h"
#include "net/dns_int.h"
#include "net/stream_int.h"

struct candidate {
	const struct sockaddr *address;
	cede_stream_t *stream; /* while it connects */
};

struct cede__connector {
	cede_loop_t *loop;
	cede_connect_t *op;
	struct cede__connect_plan plan;
	struct cede__dns_request *request; /* while the name is looked up */
	cede_dns_result_t *found;
	struct candidate *candidates;
	unsigned count, next, running;
	int error; /* the most useful one so far */
	struct cede__timer limit, pause;
	struct cede__resource resource;

	/* Of a numeric address. */
	struct sockaddr_storage address;
	struct candidate only;
};

/* ---- the end ---- */

static void
destroy(struct cede__connector *c)
{
	cede__timer_unreserve(c->loop, &c->pause);
	cede__timer_stop(&c->limit);
	cede__list_remove(&c->resource.link);
	cede_dns_result_destroy(c->found);
	if (c->candidates != &c->only)
		cede__free(c->candidates);
	cede__free(c);
}

/* libuv will tell of its end: nobody is there any more to be told. */
static void
give_up_attempt(struct candidate *candidate)
{
	cede_stream_t *s = candidate->stream;

	candidate->stream = NULL;
	s->request.connect.data = NULL;
	cede_abort(s);
}

/* The one place where it is over: `stream`, or NULL, is all that is left of it. */
static void
end(struct cede__connector *c, int result, cede_stream_t *stream)
{
	cede_connect_t *op = c->op;

	if (c->request)
		cede__dns_abandon(c->request);
	for (unsigned i = 0; i < c->next; i++)
		if (c->candidates[i].stream)
			give_up_attempt(&c->candidates[i]);
	destroy(c);
	op->connector = NULL;
	op->stream = stream;
	cede_future_resolve(&op->future, result, NULL);
}

/* ---- attempts ---- */

/*
 * How much an error says to who wants to know why there is no connection: that we are
 * short of something, then that somebody has answered, then that nobody has, then that
 * there is no way.
 */
static int
usefulness(int error)
{
	switch (error) {
	case CEDE_EMFILE:
	case CEDE_ENFILE:
	case CEDE_ENOMEM:
	case CEDE_ENOBUFS:
		return 4;
	case CEDE_ETIMEDOUT:
		return 2;
	case -EHOSTUNREACH:
		return 1;
	case 0:
		return -1;
	case -ENETUNREACH:
	case -EAFNOSUPPORT:
	case CEDE_EADDRNOTAVAIL:
		return 0;
	default:
		return 3;
	}
}

/* Of two that say as much, the last. */
static void
note_error(struct cede__connector *c, int error)
{
	if (usefulness(error) >= usefulness(c->error))
		c->error = error;
}

static void attempt_ended(uv_connect_t *request, int status);

static int
begin_attempt(struct cede__connector *c, struct candidate *candidate)
{
	cede_stream_t *s;
	int r = cede__stream_create(c->loop, UV_TCP, &s);

	if (r < 0)
		return r;
	s->may_have_data = 0; /* nobody answers before the connection is there */
	s->request.connect.data = c;
	if (!c->plan.has_delay)
		uv_tcp_nodelay(&s->own.tcp, 1);
	if (c->plan.has_local)
		r = uv_tcp_bind(&s->own.tcp, (struct sockaddr *)&c->plan.local, 0);
	if (r == 0)
		r = uv_tcp_connect(&s->request.connect, &s->own.tcp, candidate->address,
			attempt_ended);
	if (r < 0) {
		cede_close(s);
		return r;
	}
	candidate->stream = s;
	c->running++;
	return 0;
}

/* The next that can be tried at all, and the pause before the one after it. 0: it is under way. */
static int
try_next(struct cede__connector *c)
{
	int r = -1;

	cede__timer_stop(&c->pause);
	while (r < 0 && c->next < c->count) {
		r = begin_attempt(c, &c->candidates[c->next++]);
		if (r < 0)
			note_error(c, r);
	}
	if (c->running == 0)
		return c->error;
	if (c->next < c->count)
		(void)cede__timer_start(c->loop, &c->pause,
			c->plan.attempt_delay_ms); /* reserved */
	return 0;
}

/* May be over when it returns. */
static void
go_on(struct cede__connector *c)
{
	int r = try_next(c);

	if (r < 0)
		end(c, r, NULL);
}

static void
attempt_ended(uv_connect_t *request, int status)
{
	struct cede__connector *c = request->data;
	cede_stream_t *s = request->handle->data;
	cede_loop_t *loop = s->loop;
	unsigned i = 0;

	if (!c)
		return; /* it was given up, and the stream closed */
	cede__loop_enter(loop);
	while (c->candidates[i].stream != s)
		i++;
	c->candidates[i].stream = NULL;
	c->running--;
	if (status == 0) {
		uv_fileno(&s->own.handle, &s->fd);
		end(c, 0, s);
	} else {
		cede_close(s);
		note_error(c, status);
		go_on(c);
	}
	cede__loop_leave(loop);
}

static void
pause_passes(struct cede__timer *timer)
{
	go_on(cede__container_of(timer, struct cede__connector, pause));
}

/* ---- names ---- */

/* The next from `at` on of a family. NULL: there is none. */
static const cede_address_t *
take(const cede_dns_result_t *found, unsigned *at, int is_v6)
{
	while (*at < found->count) {
		const cede_address_t *a = &found->addresses[(*at)++];

		if (cede_address_is_ipv6(a) == is_v6)
			return a;
	}
	return NULL;
}

/*
 * RFC 8305, 4: the families take turns, beginning with the one that the resolver's order
 * (RFC 6724) begins with, which is IPv6 where there is a way for it.
 */
static int
line_up(struct cede__connector *c)
{
	const cede_dns_result_t *found = c->found;
	const int first = cede_address_is_ipv6(&found->addresses[0]);
	unsigned at[2] = { 0, 0 };
	size_t size;

	c->candidates = cede__alloc_array(found->count, sizeof *c->candidates);
	if (!c->candidates)
		return CEDE_ENOMEM;
	for (unsigned i = 0; i < found->count; i++) {
		const int turn = i % 2 == 0 ? first : !first;
		const cede_address_t *a = take(found, &at[turn], turn);

		if (!a)
			a = take(found, &at[!turn], !turn);
		c->candidates[i] = (struct candidate){ .address = cede_address_sockaddr(a, &size) };
	}
	c->count = found->count;
	return 0;
}

static int
try_first(struct cede__connector *c)
{
	int r = line_up(c);

	return r < 0 ? r : try_next(c);
}

static void
looked_up(struct cede__dns_request *request, int status)
{
	struct cede__connector *c = request->data;

	c->request = NULL; /* answered: there is nothing to abandon */
	if (status == 0)
		status = cede__dns_result_create(request->uv.forward.addrinfo, &request->question,
			&c->found);
	if (status == 0)
		status = try_first(c);
	if (status < 0)
		end(c, status, NULL);
}

/* ---- life ---- */

static void
time_is_up(struct cede__timer *timer)
{
	end(cede__container_of(timer, struct cede__connector, limit), CEDE_ETIMEDOUT, NULL);
}

static void
give_up(cede_future_t *future)
{
	cede_connect_t *op = cede__container_of(future, cede_connect_t, future);

	end(op->connector, CEDE_ECANCELED, NULL);
}

static void
close_left_open(struct cede__resource *resource)
{
	end(cede__container_of(resource, struct cede__connector, resource), CEDE_ECANCELED, NULL);
}

/*
 * The limit runs from here on. It does not keep the loop alive: what libuv has for us does.
 */
static int
create(cede_loop_t *loop, const struct cede__connect_plan *plan, cede_connect_t *op,
	struct cede__connector **ret_connector)
{
	struct cede__connector *c = cede__alloc_zero(sizeof *c);
	int r;

	if (!c)
		return CEDE_ENOMEM;
	c->loop = loop;
	c->op = op;
	c->plan = *plan;
	c->limit = (struct cede__timer){ .fire = time_is_up, .is_weak = 1 };
	c->pause.fire = pause_passes;
	c->resource.close = close_left_open;
	cede__list_init(&c->resource.link);
	cede__loop_update_time(loop);
	r = cede__timer_start(loop, &c->limit, plan->timeout_ms);
	if (r < 0)
		destroy(c);
	else
		*ret_connector = c;
	return r;
}

/* It is under way, or was not begun: `r` says why. */
static int
begin(struct cede__connector *c, int r)
{
	cede_connect_t *op = c->op;

	if (r < 0) {
		destroy(c);
		return r;
	}
	cede_future_init(&op->future, give_up);
	op->stream = NULL;
	op->connector = c;
	cede__list_prepend(&c->loop->resources, &c->resource.link); /* before its streams */
	return 0;
}

int
cede__connect_to(cede_loop_t *loop, const struct sockaddr_storage *address,
	const struct cede__connect_plan *plan, cede_connect_t *op)
{
	struct cede__connector *c;
	int r;

	if (plan->family != AF_UNSPEC && plan->family != address->ss_family)
		return CEDE_EAI_ADDRFAMILY;
	r = create(loop, plan, op, &c);
	if (r < 0)
		return r;
	c->address = *address;
	c->only.address = (struct sockaddr *)&c->address;
	c->candidates = &c->only;
	c->count = 1;
	return begin(c, try_next(c));
}

int
cede__connect_by_name(cede_loop_t *loop, const char *host, const char *service,
	const struct cede__connect_plan *plan, cede_connect_t *op)
{
	struct cede__dns_question question;
	struct cede__connector *c;
	int r = cede__dns_question_init(&question, host, service, NULL);

	if (r < 0)
		return r;
	r = create(loop, plan, op, &c);
	if (r < 0)
		return r;
	question.hints.ai_family = plan->family;
	r = cede__timer_reserve(loop, &c->pause); /* so that nothing fails later for want of it */
	if (r == 0)
		r = cede__dns_answer_at_once(&question, &c->found);
	if (r == CEDE_EAGAIN)
		r = cede__dns_ask(loop, &question, looked_up, c, &c->request);
	else if (r == 0)
		r = try_first(c);
	return begin(c, r);
}
