/*
 * Echo: sends back what it receives, to any number of clients at once.
 *
 *     echo [--idle MS] [--drain MS] [--workers N] [ADDRESS:PORT]
 *
 * With workers, each of so many threads (0: one a core) has a loop of its own and
 * listens on the same port.
 */
#include <cede/cede.h>

#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct options {
	const char *address;
	unsigned workers;
	atomic_uint ready;
	cede_serve_options_t serve;
};

static int
echo(void *arg)
{
	cede_stream_t *s = arg;
	char buf[4096];
	ssize_t n;

	while ((n = cede_read(s, buf, sizeof buf)) > 0) /* >0 bytes, 0 end of file, <0 a code */
		if ((n = cede_write(s, buf, (size_t)n)) < 0) /* all of it, or a code */
			break;
	return (int)n;
}

static void
announce(cede_listener_t *l, void *data)
{
	struct options *options = data;
	char address[64];

	if (atomic_fetch_add(&options->ready, 1) + 1 < cede_worker_count())
		return; /* the last one says it */
	if (cede_listener_address(l, address, sizeof address) == 0)
		printf("listening on %s\n", address);
	fflush(stdout);
}

static int
server(void *arg)
{
	const struct options *options = arg;
	cede_listener_t *l;
	int r = cede_tcp_listen(options->address,
		&(cede_listen_options_t){ .share_port = options->workers != 1 }, &l);

	if (r < 0)
		return r;
	return cede_serve(l, echo, &options->serve); /* one task a connection; closes it after */
}

int
main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "idle", required_argument, NULL, 'i' },
		{ "drain", required_argument, NULL, 'd' },
		{ "workers", required_argument, NULL, 'w' },
		{ 0 },
	};
	struct options options = {
		.address = "127.0.0.1:7000",
		.workers = 1,
		.serve = { .idle_ms = 60000,
			.stop_on = (int[]){ SIGINT, SIGTERM, 0 },
			.on_ready = announce },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, "i:d:w:", names, NULL)) != -1) {
		if (c == 'i')
			options.serve.idle_ms = strtoull(optarg, NULL, 10);
		else if (c == 'd')
			options.serve.drain_ms = strtoull(optarg, NULL, 10);
		else if (c == 'w')
			options.workers = (unsigned)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (optind < argc)
		options.address = argv[optind];

	options.serve.data = &options;
	r = cede_run_workers(options.workers, server, &options);
	if (r < 0)
		fprintf(stderr, "echo: %s: %s\n", options.address, cede_strerror(r));
	return r < 0;
}
