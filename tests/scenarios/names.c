/*
 * Scenarios of names: lookups, and connecting by name to servers on the loopback, all in
 * one loop. The only name is localhost, which needs no network.
 */
#include "tests/scenarios/scenario.h"

#include "net/dns_int.h"

/* ---- lookups ---- */

static int
look_up_some(void *arg)
{
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++) {
		cede_dns_result_t *found;

		r = cede_dns_lookup(i == 1 ? "127.0.0.1" : "localhost", "80", NULL, &found);
		if (r < 0)
			break;
		require(found->count >= 1);
		cede_dns_result_destroy(found);
	}
	return r;
}

/* More than may be in the pool. */
static int
many_lookups(void *arg)
{
	int r = 0;
	CEDE_GROUP(group);

	for (int i = 0; i < 5 && r == 0; i++)
		r = cede_spawn(&group, look_up_some, NULL);
	return r < 0 ? r : cede_group_wait(&group);
}

static int
there_and_back(void *arg)
{
	cede_dns_names_t names;
	unsigned port = 0;
	int r = cede_dns_reverse("127.0.0.1:65000", NULL, &names);

	require(r < 0 || names.host[0]);
	if (r == 0)
		r = cede_dns_service("65001", 0, &port);
	require(r < 0 || port == 65001);
	return r;
}

/* The first answer is enough, the others are abandoned. */
static int
first_answer(void *arg)
{
	cede_dns_lookup_t ops[4];
	cede_future_t *futures[4];
	int n = 0, r = 0;

	for (; n < 4 && r == 0; n += r == 0) {
		r = cede_dns_lookup_start("localhost", "80", NULL, &ops[n]);
		futures[n] = &ops[n].future;
	}
	if (r == 0)
		r = cede_select(n, futures);
	for (int i = 0; i < n; i++) {
		cede_future_cancel(futures[i]);
		if (futures[i]->result == 0)
			cede_dns_result_destroy(ops[i].result);
		else if (r >= 0 && futures[i]->result != CEDE_ECANCELED)
			r = futures[i]->result;
	}
	return r < 0 ? r : cede_sleep(1);
}

static int
resolve_to_listen(void *arg)
{
	struct sockaddr_storage addresses[4];
	int r = cede__dns_resolve("localhost:7000", 1, addresses, 4);

	require(r < 0 || (r >= 1 && r <= 4));
	return r < 0 ? r : 0;
}

/* ---- connecting by name ---- */

struct place {
	cede_listener_t *listener;
	char name[64];
};

/* Over whichever family localhost has first. */
static int
open_place(struct place *place)
{
	char address[56];
	int r = cede_tcp_listen(":0", NULL, &place->listener);

	if (r < 0)
		return r;
	require(cede_listener_address(place->listener, address, sizeof address) == 0);
	snprintf(place->name, sizeof place->name, "localhost%s", strrchr(address, ':'));
	return 0;
}

static int
accept_some(void *arg)
{
	struct place *place = arg;
	cede_stream_t *s;
	char byte;
	int r;

	while ((r = cede_accept(place->listener, &s)) == 0) {
		(void)!cede_read(s, &byte, 1); /* until the client has gone */
		cede_abort(s);
	}
	return r;
}

static int
ask(void *arg)
{
	struct place *place = arg;
	const cede_connect_options_t options = { .timeout_ms = 60000, .attempt_delay_ms = 5000 };
	cede_stream_t *s;
	int r = cede_tcp_connect_with(place->name, &options, &s);

	if (r < 0)
		return unless(CEDE_ECONNRESET, r); /* the server was cut */
	cede_abort(s);
	return 0;
}

static int
connect_by_name(void *arg)
{
	struct place place = { 0 };
	int r = open_place(&place);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(server);

		server.policy = CEDE_GROUP_KEEP_GOING;
		r = cede_spawn(&server, accept_some, &place);
		for (int i = 0; i < 3 && r == 0; i++)
			r = ask(&place);
	}
	cede_listener_close(place.listener);
	return r;
}

/* Two connects by name, of which one is enough. */
static int
first_connection(void *arg)
{
	struct place place = { 0 };
	cede_connect_t a = { .stream = NULL }, b = { .stream = NULL };
	int r = open_place(&place), started;

	if (r < 0)
		return r;
	started = cede_tcp_connect_start(place.name, &a);
	r = started < 0 ? started : cede_tcp_connect_start(place.name, &b);
	if (started == 0 && r < 0)
		cede_future_cancel(&a.future);
	if (r == 0)
		r = cede_select(2, (cede_future_t *[]){ &a.future, &b.future });
	if (r >= 0)
		r = r == 0 ? a.future.result : b.future.result;
	if (started == 0 && a.future.is_done && a.future.result == 0)
		cede_abort(a.stream);
	if (b.future.is_done && b.future.result == 0)
		cede_abort(b.stream);
	cede_listener_close(place.listener);
	return r < 0 ? r : cede_sleep(1);
}

static int
nobody_is_there(void *arg)
{
	struct place place = { 0 };
	cede_stream_t *s = NULL;
	int r = open_place(&place);

	if (r < 0)
		return r;
	cede_listener_close(place.listener);
	r = cede_tcp_connect(place.name, &s);
	if (r == 0)
		cede_abort(s); /* a socket may have met itself */
	return unless(CEDE_ECONNREFUSED, r);
}

const struct scenario scenarios[] = {
	{ "look_up_some", look_up_some, IN_THE_POOL, NULL },
	{ "many_lookups", many_lookups, IN_THE_POOL, NULL },
	{ "there_and_back", there_and_back, IN_THE_POOL, NULL },
	{ "first_answer", first_answer, IN_THE_POOL, NULL },
	{ "resolve_to_listen", resolve_to_listen, IN_THE_POOL, NULL },
	{ "connect_by_name", connect_by_name, IN_THE_POOL | OVER_TCP, NULL },
	{ "first_connection", first_connection, IN_THE_POOL | OVER_TCP, NULL },
	{ "nobody_is_there", nobody_is_there, IN_THE_POOL | OVER_TCP, NULL },
	{ NULL, NULL, 0, NULL },
};
