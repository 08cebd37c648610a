/*
 * What is attacked: a server of lines with all its limits on the command line.
 *
 *     target [--idle MS] [--deadline MS] [--connections N] [--per-peer N] [--proxied] ADDRESS:PORT
 *
 * "ping" is answered by "pong", "flood" by bytes without end, anything else by itself.
 */
#include <cede/cede.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
	const char *address;
	uint64_t deadline_ms;
	cede_serve_options_t serve;
};

CEDE_SUSPENDS static int
flood(cede_stream_t *s)
{
	static const char block[65536];
	ssize_t n;

	do {
		n = cede_write(s, block, sizeof block);
	} while (n > 0);
	return (int)n;
}

CEDE_SUSPENDS static int
answer(cede_stream_t *s, char *line, size_t size)
{
	ssize_t n;

	if (strcmp(line, "flood") == 0)
		return flood(s);
	if (strcmp(line, "ping") == 0) {
		n = cede_write(s, "pong\n", 5);
	} else {
		line[size] = '\n'; /* its end was there */
		n = cede_write(s, line, size + 1);
	}
	return n < 0 ? (int)n : 0;
}

static int
connection(void *arg)
{
	cede_stream_t *s = arg;
	const struct options *options = cede_serve_data(s);
	char *line;
	size_t size;
	int r = cede_stream_set_deadline(s, options->deadline_ms);

	while (r == 0 && (r = cede_read_line(s, 0, &line, &size)) > 0)
		r = answer(s, line, size);
	return r;
}

static void
announce(cede_listener_t *l, void *data)
{
	char address[64];

	if (cede_listener_address(l, address, sizeof address) == 0)
		printf("listening on %s\n", address);
	fflush(stdout);
}

static int
server(void *arg)
{
	struct options *options = arg;
	cede_listener_t *l;
	int r = cede_tcp_listen(options->address, NULL, &l);

	return r < 0 ? r : cede_serve(l, connection, &options->serve);
}

int
main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "idle", required_argument, NULL, 'i' },
		{ "deadline", required_argument, NULL, 'd' },
		{ "connections", required_argument, NULL, 'c' },
		{ "per-peer", required_argument, NULL, 'p' },
		{ "proxied", no_argument, NULL, 'x' },
		{ 0 },
	};
	struct options options = {
		.serve = { .stop_on = (int[]){ SIGINT, SIGTERM, 0 },
			.drain_ms = 200,
			.on_ready = announce },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		const unsigned long long value = optarg ? strtoull(optarg, NULL, 10) : 0;

		if (c == 'i')
			options.serve.idle_ms = value;
		else if (c == 'd')
			options.deadline_ms = value;
		else if (c == 'c')
			options.serve.max_connections = (unsigned)value;
		else if (c == 'p')
			options.serve.max_per_peer = (unsigned)value;
		else if (c == 'x')
			options.serve.proxy_protocol = CEDE_PROXY_REQUIRED;
		else
			return 2;
	}
	if (optind >= argc)
		return 2;
	options.address = argv[optind];
	options.serve.data = &options;
	r = cede_run(server, &options);
	if (r < 0)
		fprintf(stderr, "target: %s\n", cede_strerror(r));
	return r < 0;
}
