/*
 * Streams and servers on a loop of a host's, beside its own sockets, and the detach
 * with all of them open.
 */
#include <cede/uv.h>

#include <netinet/in.h>
#include <stdio.h>

#include "tests/support/run.h"

#include "tests/support/peer.h"

TestSuite(embed, .timeout = 60);

struct host {
	uv_loop_t uv;
	cede_loop_t *loop;
	uv_tcp_t server, client; /* the host's own: a server that greets */
	unsigned port;           /* of that */
	int n_greeted;
	unsigned echo_port; /* of the server of tasks */
	int n_lines;        /* that a task has got back */
	unsigned turns;     /* until the detach */
	uv_check_t turn;
	int n_ended, n_detached;
};

static void
greeted(uv_write_t *req, int status)
{
	if (!uv_is_closing((uv_handle_t *)req->handle)) /* the detach's callback did it */
		uv_close((uv_handle_t *)req->handle, NULL);
}

static void
greet(uv_stream_t *server, int status)
{
	static uv_write_t req;
	static char hello[] = "hello";
	static uv_buf_t buf = { .base = hello, .len = 5 };
	struct host *host = server->data;

	cr_assert_eq(host->n_greeted++, 0, "one connects");
	cr_assert_eq(uv_tcp_init(&host->uv, &host->client), 0);
	cr_assert_eq(uv_accept(server, (uv_stream_t *)&host->client), 0);
	cr_assert_eq(uv_write(&req, (uv_stream_t *)&host->client, &buf, 1, greeted), 0);
}

static void
listen_as_host(struct host *host)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int size = sizeof address;

	cr_assert_eq(uv_tcp_init(&host->uv, &host->server), 0);
	host->server.data = host;
	cr_assert_eq(uv_tcp_bind(&host->server, (struct sockaddr *)&address, 0), 0);
	cr_assert_eq(uv_listen((uv_stream_t *)&host->server, 16, greet), 0);
	cr_assert_eq(uv_tcp_getsockname(&host->server, (struct sockaddr *)&address, &size), 0);
	host->port = ntohs(address.sin_port);
}

static int
echo(void *arg)
{
	char buf[64];
	ssize_t n;

	while ((n = cede_read(arg, buf, sizeof buf)) > 0)
		if ((n = cede_write(arg, buf, (size_t)n)) < 0)
			break;
	return (int)n;
}

static int
serve(void *arg)
{
	struct host *host = arg;
	cede_listener_t *l;
	char address[64];

	cr_assert_eq(cede_tcp_listen("127.0.0.1:0", NULL, &l), 0);
	cr_assert_eq(cede_listener_address(l, address, sizeof address), 0);
	host->echo_port = peer_port(address);
	return cede_serve(l, echo, NULL);
}

/* Talks to both servers, for ever, and closes nothing: what it leaves open is the detach's. */
static int
talk(void *arg)
{
	struct host *host = arg;
	cede_stream_t *theirs, *ours;
	char address[64], buf[64];
	int r;

	snprintf(address, sizeof address, "127.0.0.1:%u", host->port);
	r = cede_tcp_connect(address, &theirs);
	if (r < 0)
		return r;
	r = cede_stream_set_idle(theirs, 60000);
	if (r == 0 && cede_read(theirs, buf, sizeof buf) < 0)
		return CEDE_EXIT;
	snprintf(address, sizeof address, "127.0.0.1:%u", host->echo_port);
	r = cede_tcp_connect(address, &ours);
	while (r >= 0) {
		r = (int)cede_write(ours, "line", 4);
		if (r >= 0)
			r = (int)cede_read(ours, buf, sizeof buf);
		host->n_lines += r == 4;
	}
	return r;
}

static void
detached(void *data)
{
	((struct host *)data)->n_detached++;
}

static void
turned(uv_check_t *check)
{
	struct host *host = check->data;

	if (host->turns-- > 0)
		return;
	uv_close((uv_handle_t *)check, NULL);
	uv_close((uv_handle_t *)&host->server, NULL);
	if (host->n_greeted > 0 && !uv_is_closing((uv_handle_t *)&host->client))
		uv_close((uv_handle_t *)&host->client, NULL);
	cr_assert_eq(cede_detach_start(host->loop, detached, host), 0);
}

static void
ended(int result, void *data)
{
	cr_assert_eq(result, CEDE_ECANCELED, "%s", cede_strerror(result));
	((struct host *)data)->n_ended++;
}

/* Detached, inside a callback of the host's, after so many turns of the loop. Lines that came back. */
static int
run_and_detach_after(unsigned turns)
{
	struct host host = { .turns = turns };

	leaks_begin();
	cr_assert_eq(uv_loop_init(&host.uv), 0);
	cr_assert_eq(cede_attach(&host.loop, &host.uv, NULL), 0);
	listen_as_host(&host);
	uv_check_init(&host.uv, &host.turn);
	host.turn.data = &host;
	uv_check_start(&host.turn, turned);
	cr_assert_eq(cede_start(host.loop, serve, &host, ended, &host), 0);
	cr_assert_eq(cede_start(host.loop, talk, &host, ended, &host), 0);
	cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
	cr_assert_eq(host.n_ended, 2);
	cr_assert_eq(host.n_detached, 1);
	cr_assert_eq(uv_loop_close(&host.uv), 0, "%u turns", turns);
	leaks_end();
	return host.n_lines;
}

/* With a listener, accepted and connected streams, reads and writes under way: at every step. */
Test(embed, is_detached_in_a_callback_of_the_host_whatever_is_open)
{
	int n_lines = 0;

	for (unsigned turns = 0; turns < 40; turns++)
		n_lines += run_and_detach_after(turns);
	cr_assert_gt(n_lines, 0, "the two never talked");
}

static int
leave_open(void *arg)
{
	struct host *host = arg;
	cede_listener_t *l;
	cede_stream_t *s;
	char address[64];

	cr_assert_eq(cede_tcp_listen("127.0.0.1:0", NULL, &l), 0);
	cr_assert_eq(cede_listener_address(l, address, sizeof address), 0);
	cr_assert_eq(cede_tcp_connect(address, &s), 0);
	cr_assert_eq(cede_stream_set_idle(s, 1000), 0);
	host->n_ended++;
	return 0;
}

/* What a task left open keeps no host alive that has nothing else, and is closed by the detach. */
Test(embed, closes_what_tasks_left_open)
{
	for (int is_started = 0; is_started < 2; is_started++) {
		struct host host = { 0 };

		leaks_begin();
		cr_assert_eq(uv_loop_init(&host.uv), 0);
		cr_assert_eq(cede_attach(&host.loop, &host.uv, NULL), 0);
		cr_assert_eq(cede_start(host.loop, leave_open, &host, NULL, NULL), 0);
		cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
		cr_assert_eq(host.n_ended, 1);
		if (is_started) {
			cr_assert_eq(cede_detach_start(host.loop, detached, &host), 0);
			cr_assert_eq(uv_run(&host.uv, UV_RUN_DEFAULT), 0);
			cr_assert_eq(host.n_detached, 1);
		} else {
			cr_assert_eq(cede_detach(host.loop), 0);
		}
		cr_assert_eq(uv_loop_close(&host.uv), 0);
		leaks_end();
	}
}
