/*
 * Proxy: passes connections on.
 *
 *     proxy [OPTIONS] LISTEN TARGET        every connection goes to TARGET
 *     proxy [OPTIONS] --socks5 LISTEN      each goes where its client says: socks5.c
 *
 * The two ends of a connection see of each other what they would see without a proxy:
 *   - bytes, at the pace of who is slower: at most a buffer full of them is here, and
 *     none is taken while nothing comes
 *   - the end of one direction, while the other goes on
 *   - a reset, as a reset; and whatever else fails ends both ways with one
 */
#include "socks5.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define HANDSHAKE_MS 10000 /* for all that a client has to say, and to be told */

struct proxy {
	const char *listen, *target; /* no target: SOCKS */
	uint64_t connect_ms;
	cede_serve_options_t serve;
};

/* ---- one connection ---- */

struct way {
	cede_stream_t *from, *to;
};

static int
pass_on(void *arg)
{
	const struct way *way = arg;
	const void *data;
	ssize_t n;

	while ((n = cede_read_lend(way->from, &data)) > 0)
		if ((n = cede_write(way->to, data, (size_t)n)) < 0)
			break;
	return n == 0 ? cede_shutdown_write(way->to) : (int)n;
}

/* Both ways, a task each, until both have ended; the first that fails cancels the other. */
CEDE_SUSPENDS static int
pass_both_ways(cede_stream_t *client, cede_stream_t *target)
{
	struct way there = { client, target }, back = { target, client };
	CEDE_GROUP(ways);
	int r = cede_spawn(&ways, pass_on, &there);

	if (r == 0)
		r = cede_spawn(&ways, pass_on, &back);
	return r < 0 ? r : cede_group_wait(&ways);
}

/* Ends the target in any case; the client, which is its server's to close, if it must be reset. */
CEDE_SUSPENDS static int
relay(cede_stream_t *client, cede_stream_t *target)
{
	const struct proxy *proxy = cede_serve_data(client);
	int r = cede_stream_set_idle(target, proxy->serve.idle_ms);

	if (r == 0)
		r = pass_both_ways(client, target);
	if (r == 0) {
		cede_close(target);
		return 0;
	}
	cede_abort(target);
	cede_abort(client);
	return r;
}

CEDE_SUSPENDS static int
connect_to(const struct proxy *proxy, const char *address, cede_stream_t **ret_target)
{
	int r = 0;

	CEDE_TIMEOUT(proxy->connect_ms) {
		r = cede_tcp_connect(address, ret_target);
	}
	return r;
}

static int
forward(void *arg)
{
	const struct proxy *proxy = cede_serve_data(arg);
	cede_stream_t *target;
	int r = connect_to(proxy, proxy->target, &target);

	if (r == 0)
		return relay(arg, target);
	if (!cede_is_cancel(r))
		fprintf(stderr, "proxy: %s: %s\n", proxy->target, cede_strerror(r));
	cede_abort(arg);
	return r;
}

static int
forward_socks5(void *arg)
{
	const struct proxy *proxy = cede_serve_data(arg);
	char address[SOCKS5_ADDRESS_MAX];
	cede_stream_t *target = NULL;
	int r = 0, connected;

	CEDE_TIMEOUT(HANDSHAKE_MS) {
		r = socks5_read_request(arg, address);
	}
	if (r < 0)
		return r;
	connected = connect_to(proxy, address, &target);
	CEDE_TIMEOUT(HANDSHAKE_MS) {
		r = socks5_reply(arg, connected);
	}
	if (r == 0)
		return relay(arg, target);
	cede_abort(target);
	return r;
}

/* ---- the server ---- */

static void
announce(cede_listener_t *listener, void *data)
{
	char address[64];

	if (cede_listener_address(listener, address, sizeof address) == 0)
		printf("listening on %s\n", address);
	fflush(stdout);
}

/* Each connection takes two descriptors: who is let in must find one for its target. */
static unsigned
connections_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < 256)
		return 64;
	return limit.rlim_cur < 20064 ? (unsigned)(limit.rlim_cur - 64) / 2 : 10000;
}

static int
server(void *arg)
{
	struct proxy *proxy = arg;
	cede_listener_t *listener;
	int r = cede_tcp_listen(proxy->listen, NULL, &listener);

	if (r < 0)
		return r;
	proxy->serve.data = proxy;
	return cede_serve(listener, proxy->target ? forward : forward_socks5, &proxy->serve);
}

static int
usage(FILE *to, int status)
{
	fprintf(to,
		"usage: proxy [OPTIONS] LISTEN TARGET\n"
		"       proxy [OPTIONS] --socks5 LISTEN\n"
		"\n"
		"Passes TCP connections on: to TARGET, or to where SOCKS clients say.\n"
		"\n"
		"  --connect MS    how long a target may take to answer (default 10000)\n"
		"  --idle MS       end what has not moved for so long (default 300000)\n"
		"  --drain MS      when told to stop, wait so long (default 5000)\n"
		"  LISTEN          as 127.0.0.1:1080, [::1]:1080, :1080\n"
		"  TARGET          the same, or a name: localhost:8080\n");
	return status;
}

int
main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "socks5", no_argument, NULL, 's' },
		{ "connect", required_argument, NULL, 'c' },
		{ "idle", required_argument, NULL, 'i' },
		{ "drain", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct proxy proxy = {
		.connect_ms = 10000,
		.serve = { .idle_ms = 300000,
			.max_connections = connections_max(),
			.stop_on = (int[]){ SIGINT, SIGTERM, 0 },
			.on_ready = announce },
	};
	int c, r, is_socks5 = 0;

	while ((c = getopt_long(argc, argv, "sc:i:d:h", names, NULL)) != -1) {
		if (c == 's')
			is_socks5 = 1;
		else if (c == 'c')
			proxy.connect_ms = strtoull(optarg, NULL, 10);
		else if (c == 'i')
			proxy.serve.idle_ms = strtoull(optarg, NULL, 10);
		else if (c == 'd')
			proxy.serve.drain_ms = strtoull(optarg, NULL, 10);
		else
			return c == 'h' ? usage(stdout, 0) : usage(stderr, 2);
	}
	if (argc - optind != (is_socks5 ? 1 : 2))
		return usage(stderr, 2);
	proxy.listen = argv[optind];
	proxy.target = argv[optind + 1]; /* NULL, the end of argv, with --socks5 */

	r = cede_run(server, &proxy);
	if (r < 0)
		fprintf(stderr, "proxy: %s: %s\n", proxy.listen, cede_strerror(r));
	return r < 0;
}
