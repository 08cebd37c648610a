/*
 * http: a small HTTP/1.1 server.
 *
 *     main()          options, and what all workers share
 *       server()      one in each worker, that is, thread: listens, and serves
 *         connection()    a task for each client: connection.c
 *
 * Workers share the port and nothing else. A SIGINT or SIGTERM ends all of them in an
 * orderly way.
 */
#include <cede/cede.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connection.h"
#include "file.h"

static int
connection(void *arg)
{
	return connection_run(cede_serve_data(arg), arg);
}

/* Says where the server is and how to talk to it. The first line is for programs too. */
static void
announce(cede_listener_t *listener, void *data)
{
	struct server *server = ((struct worker *)data)->server;
	const char *scheme = server->tls ? "-k https" : "http";
	char address[64];

	/* The last of the workers says it: from now on a signal ends all. */
	if (atomic_fetch_add(&server->ready, 1) + 1 < cede_worker_count() ||
		cede_listener_address(listener, address, sizeof address) < 0)
		return;
	printf("listening on %s\n", address);
	printf("talk to it:   curl -i %s://%s/hello\n", scheme, address);
	printf("      or:     curl -i %s://%s/echo -d something\n", scheme, address);
	printf("end it:       Ctrl-C\n");
	fflush(stdout);
}

/* cede_tcp_listen() that says what to do about it; main() prints the sentence. */
static int
listen_on(const struct server *server, cede_listener_t **ret_listener)
{
	const cede_listen_options_t how = { .share_port = server->workers != 1 };
	int r = cede_tcp_listen(server->address, &how, ret_listener);

	if (r == CEDE_EADDRINUSE)
		return cede_raise(r,
			"%s is taken: another server listens there; choose another "
			"port, as in: http 127.0.0.1:8081",
			server->address);
	if (r == CEDE_EINVAL)
		return cede_raise(r, "'%s' is not an address such as 127.0.0.1:8080 or [::1]:8080",
			server->address);
	if (r < 0)
		return cede_raise(r, "can't listen on %s: %s", server->address, cede_strerror(r));
	return 0;
}

/* Serves until a signal comes, in each of the workers. */
static int
server(void *arg)
{
	struct server *server = arg;
	struct worker worker;
	cede_listener_t *listener;
	int r = listen_on(server, &listener);

	if (r < 0)
		return r;
	worker_init(&worker, server);
	r = cede_serve(listener, connection,
		&(cede_serve_options_t){
			.idle_ms = server->idle_ms,
			.stop_on = (int[]){ SIGINT, SIGTERM, 0 },
			.stop = &worker.stop,
			.drain_ms = server->drain_ms,
			.on_ready = announce,
			.data = &worker,
		});
	worker_deinit(&worker);
	return r;
}

static void
usage(FILE *to)
{
	fprintf(to,
		"usage: http [OPTION...] [ADDRESS:PORT]\n"
		"\n"
		"Serves files, /hello and /echo by HTTP/1.1.\n"
		"\n"
		"  --root DIRECTORY  serve the files below it (default: none)\n"
		"  --tls CERT KEY    encrypt: files with the certificate and its key\n"
		"  --workers N       use so many threads; 0: one for each core (default 1)\n"
		"  --body BYTES      refuse larger bodies of requests (default 16777216)\n"
		"  --idle MS         end connections on which nothing moves for so long (default "
		"60000)\n"
		"  --head-time MS    the head of a request must come within this (default 10000)\n"
		"  --body-time MS    and its body within this (default 300000)\n"
		"  --drain MS        when told to stop, wait so long for clients (default 5000)\n"
		"  --log             print a line for each request\n"
		"  ADDRESS:PORT      where to listen (default 127.0.0.1:8080); port 0: any\n");
}

/* Reads an option's number; -1, after a word about it, when it is none. */
static int
read_number(const char *text, int64_t max, int64_t *ret_number)
{
	if (bytes_to_number(bytes_of(text), ret_number) < 0 || *ret_number > max) {
		fprintf(stderr, "http: '%s' is not a number from 0 to %lld\n", text,
			(long long)max);
		return -1;
	}
	return 0;
}

static int
read_root(const char *path, struct server *o)
{
	o->root = file_open_root(path);
	if (o->root < 0)
		fprintf(stderr, "http: %s: %s\n", path, cede_strerror(o->root));
	return o->root < 0 ? -1 : 0;
}

static int
read_tls(const char *chain, const char *key, struct server *o)
{
	static const char *const alpn[] = { "http/1.1", NULL };
	const cede_tls_certificate_t certificate = { .chain_file = chain, .key_file = key };
	const cede_tls_options_t how = {
		.certificates = &certificate,
		.certificate_count = 1,
		.alpn = alpn,
	};
	int r;

	if (!key || o->tls) {
		usage(stderr);
		return -1;
	}
	r = cede_tls_create_server(&how, &o->tls);
	if (r < 0)
		fprintf(stderr, "http: --tls: %s\n", cede_error_text(r));
	return r;
}

/* 0; -1: there is no such option, or it is no such number. */
static int
read_option(int option, const char *text, struct server *o)
{
	const int64_t max = option == 'b' ? INT64_MAX : option == 'w' ? 1024 : INT32_MAX;
	int64_t number = 0;

	if (option == 'r')
		return read_root(text, o);
	if (option == 'l') {
		o->has_log = 1;
		return 0;
	}
	if (option == '?' || read_number(text, max, &number) < 0)
		return -1;
	switch (option) {
	case 'w':
		o->workers = (unsigned)number;
		return 0;
	case 'b':
		o->limits.body = (uint64_t)number;
		return 0;
	case 'i':
		o->idle_ms = number > 0 ? (uint64_t)number : CEDE_UNLIMITED;
		return 0;
	case 'H':
		o->head_ms = (uint64_t)number;
		return 0;
	case 'B':
		o->body_ms = (uint64_t)number;
		return 0;
	default:
		o->drain_ms = number > 0 ? (uint64_t)number : 1; /* 0 would be the default */
		return 0;
	}
}

/* Each worker would be given a port of its own. */
static int
has_port_0(const char *address)
{
	const char *port = strrchr(address, ':');

	return port && strcmp(port, ":0") == 0;
}

/* 0: go on; 1: answered, exit with 0; -1: exit with 2. */
static int
read_options(int argc, char **argv, struct server *o)
{
	static const struct option names[] = {
		{ "root", required_argument, NULL, 'r' },
		{ "tls", required_argument, NULL, 't' },
		{ "workers", required_argument, NULL, 'w' },
		{ "body", required_argument, NULL, 'b' },
		{ "idle", required_argument, NULL, 'i' },
		{ "head-time", required_argument, NULL, 'H' },
		{ "body-time", required_argument, NULL, 'B' },
		{ "drain", required_argument, NULL, 'd' },
		{ "log", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", names, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			return 1;
		}
		if (c == 't') {
			if (read_tls(optarg, argv[optind], o) < 0)
				return -1;
			optind++;
		} else if (read_option(c, optarg, o) < 0) {
			usage(stderr);
			return -1;
		}
	}
	if (optind < argc)
		o->address = argv[optind++];
	if (optind < argc) {
		usage(stderr);
		return -1;
	}
	if (o->workers != 1 && has_port_0(o->address)) {
		fprintf(stderr, "http: port 0 is for one worker\n");
		return -1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct server options = {
		.address = "127.0.0.1:8080",
		.workers = 1,
		.limits = REQUEST_LIMITS_DEFAULT,
		.idle_ms = 60000,
		.head_ms = 10000,
		.body_ms = 300000,
		.drain_ms = 5000,
		.root = -1,
	};
	int r = read_options(argc, argv, &options);

	if (r == 0) {
		r = options.workers == 1 ? cede_run(server, &options)
					 : cede_run_workers(options.workers, server, &options);
		if (r < 0)
			fprintf(stderr, "http: %s\n", cede_error_text(r));
		r = r < 0;
	} else {
		r = r < 0 ? 2 : 0;
	}
	cede_tls_unref(options.tls);
	if (options.root >= 0)
		close(options.root);
	return r;
}
