/*
 * Connecting over TCP: what is asked for, checked. What then goes on is in connect.c.
 */
#include <cede/tcp.h>

#include <string.h>

#include "coro/check.h"
#include "net/address.h"
#include "net/connect.h"
#include "net/dns_int.h"

#define TIMEOUT_MS_DEFAULT       30000
#define ATTEMPT_DELAY_MS_DEFAULT 250
#define ATTEMPT_DELAY_MS_MIN     10

static int
set_local(struct cede__connect_plan *plan, const char *local)
{
	int r;

	if (local[0] == ':')
		return CEDE_EINVAL; /* no address to connect from */
	r = cede__address_parse(local, &plan->local);
	if (r < 0)
		return r;
	if (plan->family != AF_UNSPEC && plan->family != plan->local.ss_family)
		return CEDE_EINVAL;
	plan->family = plan->local.ss_family;
	plan->has_local = 1;
	return 0;
}

static int
make_plan(const cede_connect_options_t *options, struct cede__connect_plan *plan)
{
	static const cede_connect_options_t defaults;
	static const int families[] = { AF_UNSPEC, AF_INET, AF_INET6 };
	const cede_connect_options_t *o = options ? options : &defaults;

	if ((unsigned)o->family >= CEDE__ARRAY_LEN(families))
		return CEDE_EINVAL;
	if (o->attempt_delay_ms > 0 && o->attempt_delay_ms < ATTEMPT_DELAY_MS_MIN)
		return CEDE_EINVAL;
	plan->family = families[o->family];
	plan->has_delay = o->delay;
	plan->has_local = 0;
	plan->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS_DEFAULT;
	plan->attempt_delay_ms = o->attempt_delay_ms ? o->attempt_delay_ms
						     : ATTEMPT_DELAY_MS_DEFAULT;
	return o->local ? set_local(plan, o->local) : 0;
}

int
cede_tcp_connect_with_start(const char *address, const cede_connect_options_t *options,
	cede_connect_t *op)
{
	cede_loop_t *loop = cede_loop_current();
	struct cede__connect_plan plan;
	struct sockaddr_storage target;
	char host[CEDE_DNS_HOST_SIZE];
	const char *service;
	int r;

	if (!loop)
		return CEDE_ENOTASK;
	r = make_plan(options, &plan);
	if (r < 0)
		return r;
	if (cede__address_parse(address, &target) == 0)
		return cede__connect_to(loop, &target, &plan, op);
	r = cede__dns_split(address, host, &service);
	if (r < 0)
		return r;
	return cede__connect_by_name(loop, host, service, &plan, op);
}

int
cede_tcp_connect_start(const char *address, cede_connect_t *op)
{
	return cede_tcp_connect_with_start(address, NULL, op);
}

int
cede_tcp_connect_with(const char *address, const cede_connect_options_t *options,
	cede_stream_t **ret_stream)
{
	cede_loop_t *loop;
	cede_connect_t op;
	int r = cede__await_admit(&loop);

	if (r == 0)
		r = cede_tcp_connect_with_start(address, options, &op);
	if (r == 0)
		r = cede_await(&op.future);
	if (r == 0)
		*ret_stream = op.stream;
	return r;
}

int
cede_tcp_connect(const char *address, cede_stream_t **ret_stream)
{
	return cede_tcp_connect_with(address, NULL, ret_stream);
}
