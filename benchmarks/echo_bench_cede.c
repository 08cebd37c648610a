/*
 * The echo server of bench_tcp_echo that is measured: cede as a user writes it,
 * the whole of it, with lent buffers unless --buffer asks for one of each
 * connection's own, of that size. Prints `listening ADDRESS:PORT` as the baselines do and ends
 * on SIGTERM and SIGINT.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cede/loop.h>
#include <cede/serve.h>
#include <cede/stream.h>
#include <cede/tcp.h>

struct options {
	const char *address;
	size_t buffer_size; /* 0: lent */
};

static struct options options;

static int
echo_with(cede_stream_t *stream, void *buffer, size_t size)
{
	ssize_t n;

	while ((n = cede_read(stream, buffer, size)) > 0)
		if ((n = cede_write(stream, buffer, (size_t)n)) < 0)
			break;
	return (int)n;
}

static int
echo(void *arg)
{
	cede_stream_t *stream = arg;
	const void *data;
	ssize_t n;

	while ((n = cede_read_lend(stream, &data)) > 0)
		if ((n = cede_write(stream, data, (size_t)n)) < 0)
			break;
	return (int)n;
}

static int
echo_sized(void *arg)
{
	char *buffer = malloc(options.buffer_size);
	int r = CEDE_ENOMEM;

	if (buffer)
		r = echo_with(arg, buffer, options.buffer_size);
	free(buffer);
	return r;
}

static int
serve(void *arg)
{
	static const int stop_on[] = { SIGINT, SIGTERM, 0 };
	cede_listener_t *listener;
	char bound[64];
	int r = cede_tcp_listen(options.address, NULL, &listener);

	if (r < 0)
		return r;
	r = cede_listener_address(listener, bound, sizeof bound);
	if (r < 0) {
		cede_listener_close(listener);
		return r;
	}
	printf("listening %s\n", bound);
	fflush(stdout);
	return cede_serve(listener, options.buffer_size ? echo_sized : echo,
		&(cede_serve_options_t){ .stop_on = stop_on, .drain_ms = 100 });
}

int
main(int argc, char **argv)
{
	int r;

	if (argc == 4 && !strcmp(argv[1], "--buffer"))
		options.buffer_size = strtoul(argv[2], NULL, 10);
	else if (argc != 2) {
		fprintf(stderr, "usage: %s [--buffer BYTES] ADDRESS:PORT\n", argv[0]);
		return 2;
	}
	options.address = argv[argc - 1];
	r = cede_run(serve, NULL);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[0], cede_strerror(r));
	return r < 0;
}
