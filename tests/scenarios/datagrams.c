/*
 * Scenarios of UDP on the loopback, which brings a datagram at once and loses none: what
 * gets lost here is who was to answer.
 */
#include "tests/scenarios/scenario.h"

/* What the end of the socket, or of who was to answer, looks like. */
static int
unless_closed(ssize_t n)
{
	return n >= 0 || n == CEDE_ECANCELED || n == CEDE_ETIMEDOUT ? 0 : (int)n;
}

/* ---- an echo server, and clients that ask again when nobody answers ---- */

struct place {
	cede_udp_t *udp;
	cede_address_t address;
};

static int
open_place(struct place *place)
{
	int r = cede_udp_bind("127.0.0.1:0", NULL, &place->udp);

	if (r == 0)
		require(cede_udp_local(place->udp, &place->address) == 0);
	return r;
}

static int
echo(void *arg)
{
	struct place *place = arg;
	cede_udp_info_t info;
	char buffer[64];
	ssize_t n;

	while ((n = cede_udp_receive(place->udp, buffer, sizeof buffer, &info)) >= 0)
		if ((n = cede_udp_send(place->udp, buffer, (size_t)n, &info.peer)) < 0)
			break;
	return unless_closed(n);
}

/* Until the answer to this question comes, three times at most. */
static ssize_t
ask(cede_udp_t *u, int number)
{
	ssize_t n = CEDE_ETIMEDOUT;
	int answer = -1;

	for (int tries = 0; tries < 3 && n == CEDE_ETIMEDOUT; tries++)
		CEDE_TIMEOUT(500) {
			n = cede_udp_send(u, &number, sizeof number, NULL);
			while (n >= 0 && answer != number)
				n = cede_udp_receive(u, &answer, sizeof answer, NULL);
			require(n < 0 || n == sizeof answer);
		}
	return n;
}

static int
ask_some(void *arg)
{
	const struct place *place = arg;
	char text[CEDE_ADDRESS_TEXT_SIZE];
	cede_udp_t *u;
	ssize_t n;

	require(cede_address_format(&place->address, text, sizeof text) == 0);
	n = cede_udp_connect(text, NULL, &u);
	if (n < 0)
		return (int)n;
	for (int i = 0; i < 4 && n >= 0; i++)
		n = ask(u, i);
	cede_udp_close(u);
	return n == CEDE_ECONNREFUSED ? 0 : unless_closed(n);
}

static int
run_echo(cede_fn *server)
{
	struct place place;
	int r = open_place(&place);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(servers);

		r = cede_spawn(&servers, server, &place);
		if (r == 0) {
			CEDE_GROUP(clients);

			for (int i = 0; i < 3 && r == 0; i++)
				r = cede_spawn(&clients, ask_some, &place);
			r = r < 0 ? r : cede_group_wait(&clients);
		}
		cede_udp_close(place.udp);
		r = r < 0 ? r : cede_group_wait(&servers);
	}
	return r;
}

static int
echo_server_and_clients(void *arg)
{
	return run_echo(echo);
}

static int
echo_in_batches(void *arg)
{
	struct place *place = arg;
	cede_datagram_t datagrams[4];
	char bytes[4][16];
	int n;

	for (int i = 0; i < 4; i++)
		datagrams[i] = (cede_datagram_t){ .data = bytes[i], .capacity = sizeof bytes[i] };
	while ((n = cede_udp_receive_many(place->udp, datagrams, 4)) >= 0)
		if ((n = cede_udp_send_many(place->udp, datagrams, (unsigned)n, NULL)) < 0)
			break;
	return unless_closed(n);
}

static int
echo_server_by_batches(void *arg)
{
	return run_echo(echo_in_batches);
}

/* ---- a receive or a tick ---- */

static int
receive_or_tick(void *arg)
{
	struct place *place = arg;
	char byte;
	int r = 0;

	for (int ticks = 0; ticks < 5 && r >= 0;) {
		cede_udp_receive_t op;
		cede_sleep_t tick;

		r = cede_udp_receive_start(place->udp, &byte, 1, &op);
		if (r < 0)
			break;
		r = cede_sleep_start(10, &tick);
		if (r < 0) {
			cede_future_cancel(&op.future);
			break;
		}
		r = cede_select(2, (cede_future_t *[]){ &op.future, &tick.future });
		ticks += r == 1;
		if (r == 0 && op.future.result < 0)
			r = op.future.result;
	}
	return unless_closed(r);
}

static int
send_some(void *arg)
{
	const struct place *place = arg;
	cede_udp_t *u;
	ssize_t n = cede_udp_bind("127.0.0.1:0", NULL, &u);

	if (n < 0)
		return (int)n;
	for (int i = 0; i < 6 && n >= 0; i++) {
		n = cede_udp_send(u, "x", 1, &place->address);
		if (n >= 0)
			n = cede_sleep(7);
	}
	cede_udp_close(u);
	return (int)(n < 0 ? n : 0);
}

static int
a_receive_or_a_tick(void *arg)
{
	struct place place;
	int r = open_place(&place);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, receive_or_tick, &place);
		if (r == 0)
			r = cede_spawn(&group, send_some, &place);
		r = r < 0 ? r : cede_group_wait(&group);
	}
	cede_udp_close(place.udp);
	return r;
}

/* ---- nobody there, and then somebody ---- */

static int
come_late(void *arg)
{
	struct place *place = arg;
	char text[CEDE_ADDRESS_TEXT_SIZE];
	int r = cede_sleep(250);

	require(cede_address_format(&place->address, text, sizeof text) == 0);
	if (r == 0)
		r = cede_udp_bind(text, NULL, &place->udp);
	return r < 0 ? r : echo(arg);
}

static int
ask_until_answered(void *arg)
{
	const struct place *place = arg;
	char text[CEDE_ADDRESS_TEXT_SIZE];
	cede_udp_t *u;
	ssize_t n;

	require(cede_address_format(&place->address, text, sizeof text) == 0);
	n = cede_udp_connect(text, NULL, &u);
	if (n < 0)
		return (int)n;
	do {
		n = ask(u, 7);
		if (n == CEDE_ECONNREFUSED)
			n = cede_sleep(100);
	} while (n == 0);
	cede_udp_close(u);
	return unless_closed(n);
}

/* The port is one that the system gave, and kept by nobody meanwhile. */
static int
nobody_and_then_somebody(void *arg)
{
	struct place place;
	int r = open_place(&place);

	if (r < 0)
		return r;
	cede_udp_close(place.udp);
	place.udp = NULL;
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, come_late, &place);
		if (r == 0)
			CEDE_TIMEOUT(2000) {
				r = ask_until_answered(&place);
			}
		cede_udp_close(place.udp);
		place.udp = NULL;
		cede_group_cancel(&group);
		r = r < 0 ? r : cede_group_wait(&group);
	}
	return r;
}

/* ---- a socket that another task closes ---- */

static int
close_under_a_receiver(void *arg)
{
	struct place place;
	int r = open_place(&place);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, echo, &place);
		if (r == 0)
			r = cede_sleep(10);
		cede_udp_close(place.udp);
		r = r < 0 ? r : cede_group_wait(&group);
	}
	return r;
}

const struct scenario scenarios[] = {
	{ "echo_server_and_clients", echo_server_and_clients, 0, NULL },
	{ "echo_server_by_batches", echo_server_by_batches, 0, NULL },
	{ "a_receive_or_a_tick", a_receive_or_a_tick, 0, NULL },
	{ "nobody_and_then_somebody", nobody_and_then_somebody, 0, NULL },
	{ "close_under_a_receiver", close_under_a_receiver, 0, NULL },
	{ NULL, NULL, 0, NULL },
};
