/*
 * Scenarios of TLS: both ends are tasks of the loop, over a pair of unix sockets. One
 * that ends early tells the other by what TLS has for it, or by the end of the socket.
 */
#include "tests/scenarios/scenario.h"

#include <sys/socket.h>

#include <cede/tls.h>

#include "net/stream_int.h"

struct talk {
	cede_tls_t *client_tls, *server_tls;
	cede_stream_t *client, *server;
	const char *name;
	int is_resumed;
};

/* ---- the ends ---- */

static const char *
cert(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];
	const char *folder = getenv("TEST_CERTS");

	snprintf(path, sizeof paths[0], "%s/%s", folder ? folder : "tests/support/certs", name);
	return path;
}

static int
open_configurations(struct talk *t)
{
	const cede_tls_certificate_t own = { .chain_file = cert("server.pem"),
		.key_file = cert("server.key") };
	int r = cede_tls_create_server(&(cede_tls_options_t){ .certificates = &own,
					       .certificate_count = 1 },
		&t->server_tls);

	if (r == 0)
		r = cede_tls_create_client(&(cede_tls_options_t){ .ca_file = cert("ca.pem") },
			&t->client_tls);
	return r;
}

static int
open_streams(struct talk *t)
{
	cede_loop_t *loop = cede_loop_current();
	int fds[2], r = cede__stream_create(loop, UV_NAMED_PIPE, &t->client);

	if (r == 0)
		r = cede__stream_create(loop, UV_NAMED_PIPE, &t->server);
	if (r < 0)
		return r;
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	require(cede__stream_open(t->client, fds[0]) == 0);
	require(cede__stream_open(t->server, fds[1]) == 0);
	return 0;
}

static void
close_streams(struct talk *t)
{
	cede_close(t->client);
	cede_close(t->server);
	t->client = t->server = NULL;
}

static void
close_all(struct talk *t)
{
	close_streams(t);
	t->client_tls = cede_tls_unref(t->client_tls);
	t->server_tls = cede_tls_unref(t->server_tls);
}

/* What the other's early end looks like, when one of two is cancelled or has no memory. */
static int
unless_gone(ssize_t r)
{
	return r == CEDE_EPIPE || r == CEDE_ECONNRESET || r == CEDE_ECANCELED ||
			r == CEDE_ETRUNCATED || r == CEDE_ETLS
		? 0
		: (int)r;
}

/* The other side must not wait for more, or for room. */
static int
end_with(cede_stream_t *s, ssize_t n)
{
	if (n < 0)
		shutdown(s->fd, SHUT_RDWR); /* as a close does, which comes when both have ended */
	return n < 0 ? unless_gone(n) : 0;
}

static int
run_talk(struct talk *t, cede_fn *client, cede_fn *server)
{
	int r = open_streams(t);

	if (r == 0) {
		CEDE_GROUP(group);

		r = cede_spawn(&group, client, t);
		if (r == 0)
			r = cede_spawn(&group, server, t);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	close_streams(t);
	return r;
}

/* ---- echo, to the orderly end ---- */

static int
serve_echo(void *arg)
{
	struct talk *t = arg;
	char buffer[64];
	ssize_t n = cede_tls_accept(t->server, t->server_tls, NULL);

	if (n < 0)
		return end_with(t->server, n);
	while ((n = cede_read(t->server, buffer, sizeof buffer)) > 0)
		if ((n = cede_write(t->server, buffer, (size_t)n)) < 0)
			break;
	if (n == 0)
		n = cede_tls_shutdown(t->server, 0);
	return end_with(t->server, n);
}

static int
ask(void *arg)
{
	struct talk *t = arg;
	char answer[8];
	cede_tls_info_t info;
	ssize_t n = cede_tls_connect(t->client, t->client_tls, t->name, NULL);

	if (n < 0)
		return end_with(t->client, n);
	require(cede_tls_info(t->client, &info) == 0);
	t->is_resumed = info.is_resumed;
	for (int i = 0; i < 3 && n >= 0; i++) {
		n = cede_write(t->client, "question", 8);
		if (n > 0)
			n = cede_read_exactly(t->client, answer, 8, NULL);
		require(n <= 0 || memcmp(answer, "question", 8) == 0);
		if (n > 0)
			n = cede_sleep(10);
	}
	if (n >= 0)
		n = cede_tls_shutdown(t->client, 0);
	return end_with(t->client, n);
}

static int
encrypted_echo(void *arg)
{
	struct talk t = { .name = "example.test" };
	int r = open_configurations(&t);

	if (r == 0)
		r = run_talk(&t, ask, serve_echo);
	close_all(&t);
	return r;
}

static int
resumed_echo(void *arg)
{
	struct talk t = { .name = "example.test" };
	int r = open_configurations(&t);

	for (int i = 0; i < 2 && r == 0; i++)
		r = run_talk(&t, ask, serve_echo);
	close_all(&t);
	return r;
}

/* ---- refused ---- */

static int
ask_another(void *arg)
{
	struct talk *t = arg;
	const int r = cede_tls_connect(t->client, t->client_tls, t->name, NULL);

	require(r < 0);
	return end_with(t->client, r == CEDE_ECERT ? CEDE_EPIPE : r);
}

static int
wrong_name(void *arg)
{
	struct talk t = { .name = "other.test" };
	int r = open_configurations(&t);

	if (r == 0)
		r = run_talk(&t, ask_another, serve_echo);
	close_all(&t);
	return r;
}

/* ---- half-close, after a command in plain text ---- */

static int
start_tls(void *arg)
{
	struct talk *t = arg;
	char *line;
	size_t size, total = 0;
	ssize_t n = cede_read_line(t->server, 0, &line, &size);
	char buffer[8];

	if (n > 0)
		n = cede_tls_accept(t->server, t->server_tls, NULL);
	if (n < 0)
		return end_with(t->server, n);
	while ((n = cede_read(t->server, buffer, sizeof buffer)) > 0)
		total += (size_t)n;
	if (n == 0)
		n = cede_write(t->server, &total, sizeof total);
	if (n > 0)
		n = cede_shutdown_write(t->server);
	return end_with(t->server, n);
}

static int
send_then_listen(void *arg)
{
	struct talk *t = arg;
	size_t total = 0;
	ssize_t n = cede_write(t->client, "STARTTLS\n", 9);

	if (n > 0)
		n = cede_tls_connect(t->client, t->client_tls, t->name, NULL);
	for (int i = 0; i < 4 && n >= 0; i++) {
		n = cede_write(t->client, "0123456789", 10);
		if (n > 0)
			n = cede_sleep(1);
	}
	if (n >= 0)
		n = cede_shutdown_write(t->client);
	if (n >= 0)
		n = cede_read_exactly(t->client, &total, sizeof total, NULL);
	require(n <= 0 || total == 40);
	return end_with(t->client, n);
}

static int
start_tls_and_half_close(void *arg)
{
	struct talk t = { .name = "example.test" };
	int r = open_configurations(&t);

	if (r == 0)
		r = run_talk(&t, send_then_listen, start_tls);
	close_all(&t);
	return r;
}

/* ---- much, to a slow reader ---- */

static char big[400000];

static int
write_big(void *arg)
{
	struct talk *t = arg;
	cede_write_t op;
	int r = cede_tls_connect(t->client, t->client_tls, t->name, NULL);

	if (r == 0)
		r = cede_write_start(t->client, big, sizeof big, &op);
	if (r == 0) {
		r = cede_await(&op.future);
		require(r < 0 || op.written == sizeof big);
	}
	if (r == 0)
		r = cede_shutdown_write(t->client);
	return end_with(t->client, r);
}

static int
read_slowly(void *arg)
{
	struct talk *t = arg;
	const void *data;
	size_t total = 0;
	ssize_t n = cede_tls_accept(t->server, t->server_tls, NULL);

	if (n < 0)
		return end_with(t->server, n);
	while ((n = cede_read_lend(t->server, &data)) > 0) {
		total += (size_t)n;
		if ((n = cede_sleep(100)) < 0)
			break;
	}
	require(n < 0 || total == sizeof big);
	return end_with(t->server, n);
}

static int
big_write_to_a_slow_reader(void *arg)
{
	struct talk t = { .name = "example.test" };
	int r = open_configurations(&t);

	if (r == 0)
		r = run_talk(&t, write_big, read_slowly);
	close_all(&t);
	return r;
}

/* ---- a silent peer ---- */

static int
say_nothing(void *arg)
{
	struct talk *t = arg;

	return end_with(t->client, cede_sleep(60000));
}

static int
accept_in_time(void *arg)
{
	struct talk *t = arg;
	const int r = cede_tls_accept(t->server, t->server_tls, NULL);

	require(r < 0);
	return r == CEDE_ETIMEDOUT ? 0 : unless_gone(r);
}

static int
silent_client(void *arg)
{
	struct talk t = { .name = NULL };
	int r = open_configurations(&t);

	if (r == 0)
		r = run_talk(&t, say_nothing, accept_in_time);
	close_all(&t);
	return r;
}

const struct scenario scenarios[] = {
	{ "encrypted_echo", encrypted_echo, 0, NULL },
	{ "resumed_echo", resumed_echo, 0, NULL },
	{ "wrong_name", wrong_name, 0, NULL },
	{ "start_tls_and_half_close", start_tls_and_half_close, 0, NULL },
	{ "big_write_to_a_slow_reader", big_write_to_a_slow_reader, 0, NULL },
	{ "silent_client", silent_client, 0, NULL },
	{ NULL, NULL, 0, NULL },
};
