/*
 * kv: a small server that speaks the protocol of Redis.
 *
 *     main()        options, and what all connections share
 *       server()    the main task: listens, and serves until it is told to stop
 *         sweeper()     a task beside it: removes what has expired
 *         connection()  a task for each client: session.c
 *
 * One thread, one loop. A SIGINT or SIGTERM ends server() in an orderly way, and
 * with it everything that it started.
 */
#include <cede/cede.h>

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "session.h"

#define MIB ((size_t)1 << 20)

/* All data; and all buffers: 10,000 clients with small requests fit in. */
#define DATA_LIMIT_MIB 1024
#define BUFFERS_LIMIT  (256 * MIB)
#define MAX_CLIENTS    10000 /* what cede_serve() lets in, if there are descriptors for them */

/* The sweeper looks at so many buckets at a time, seldom, or soon when it was worth it. */
#define SWEEP_BUCKETS 1024
#define SWEEP_MS      100
#define SWEEP_SOON_MS 1

struct options {
	const char *address;
	uint64_t idle_ms;  /* 0: no limit */
	uint64_t drain_ms; /* 0: the library's default */
	size_t data_limit;
	struct kv *kv;
};

static int
connection(void *arg)
{
	return session_run(cede_serve_data(arg), arg); /* what all connections share */
}

/*
 * An entry that has expired is noticed when somebody asks for its key. For those
 * that nobody asks for there is this task. When a quarter of what it saw was
 * over, there is more of it: it comes back soon, and lets others run in between.
 */
static int
sweeper(void *arg)
{
	struct store *store = arg;
	uint64_t pause_ms = SWEEP_MS;
	int r;

	while ((r = cede_sleep(pause_ms)) == 0) {
		struct store_sweep found =
			store_sweep(store, SWEEP_BUCKETS, cede_loop_now(cede_loop_current()));

		pause_ms = found.expired * 4 > found.mortal ? SWEEP_SOON_MS : SWEEP_MS;
	}
	return r; /* CEDE_EXIT: the server ends */
}

/* Says where the server is and how to talk to it. The first line is for programs too. */
static void
announce(cede_listener_t *listener, void *data)
{
	struct kv *kv = data;
	char address[64];
	const char *host = address;
	char *port;

	if (cede_listener_address(listener, address, sizeof address) < 0)
		return;
	printf("listening on %s\n", address);

	/* "0.0.0.0:6379", "[::1]:6379": the port is behind the last colon. */
	port = strrchr(address, ':');
	*port++ = '\0';
	if (*host == '[') {
		address[strlen(address) - 1] = '\0';
		host++;
	}
	if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0)
		host = "localhost";
	printf("talk to it:   redis-cli -h %s -p %s\n", host, port);
	printf("      or:     printf 'SET greeting hello\\r\\nGET greeting\\r\\nQUIT\\r\\n' | nc "
	       "%s %s\n",
		host, port);
	printf("end it:       Ctrl-C\n");
	fflush(stdout);

	kv->port = (unsigned)strtoul(port, NULL, 10);
}

/* cede_tcp_listen() that says what to do about it; main() prints the sentence. */
static int
listen_on(const char *address, cede_listener_t **ret_listener)
{
	int r = cede_tcp_listen(address, NULL, ret_listener);

	if (r == CEDE_EADDRINUSE)
		return cede_raise(r,
			"%s is taken: another server, perhaps a redis, listens there; "
			"choose another port, as in: kv 127.0.0.1:6380",
			address);
	if (r == CEDE_EINVAL)
		return cede_raise(r, "'%s' is not an address such as 127.0.0.1:6379 or [::1]:6379",
			address);
	if (r < 0)
		return cede_raise(r, "can't listen on %s: %s", address, cede_strerror(r));
	return 0;
}

/* Serves until a signal comes; the sweeper ends with the block that it was started in. */
static CEDE_SUSPENDS int
serve(cede_listener_t *listener, const struct options *options)
{
	CEDE_GROUP(background);
	int r = cede_spawn(&background, sweeper, options->kv->store);

	if (r < 0) {
		cede_listener_close(listener);
		return r;
	}
	return cede_serve(listener, connection,
		&(cede_serve_options_t){
			.idle_ms = options->idle_ms > 0 ? options->idle_ms : CEDE_UNLIMITED,
			.stop_on = (int[]){ SIGINT, SIGTERM, 0 },
			.drain_ms = options->drain_ms,
			.on_ready = announce,
			.data = options->kv,
		});
}

static int
server(void *arg)
{
	const struct options *options = arg;
	cede_listener_t *listener;
	int r = listen_on(options->address, &listener);

	if (r < 0)
		return r;
	options->kv->started_ms = cede_loop_now(cede_loop_current());
	return serve(listener, options);
}

static void
usage(FILE *to)
{
	fprintf(to,
		"usage: kv [--idle MS] [--drain MS] [--memory MIB] [ADDRESS:PORT]\n"
		"\n"
		"Serves keys and values in the protocol of Redis.\n"
		"\n"
		"  --idle MS       end connections on which nothing moves for so long;\n"
		"                  0: never (default 300000)\n"
		"  --drain MS      when told to stop, wait so long for clients (default 5000)\n"
		"  --memory MIB    refuse to store more than this (default %d)\n"
		"  ADDRESS:PORT    where to listen (default 127.0.0.1:6379); port 0: any\n",
		DATA_LIMIT_MIB);
}

/* Reads an option's number; -1, after a word about it, when it is none. */
static int
read_number(const char *text, unsigned long long max, unsigned long long *ret_number)
{
	long long number;

	if (bytes_to_integer(bytes_of(text), &number) < 0 || number < 0 ||
		(unsigned long long)number > max) {
		fprintf(stderr, "kv: '%s' is not a number from 0 to %llu\n", text, max);
		return -1;
	}
	*ret_number = (unsigned long long)number;
	return 0;
}

/* 0: go on; 1: answered, exit with 0; -1: exit with 2. */
static int
read_options(int argc, char **argv, struct options *ret_options)
{
	static const struct option names[] = {
		{ "idle", required_argument, NULL, 'i' },
		{ "drain", required_argument, NULL, 'd' },
		{ "memory", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct options o = *ret_options;
	unsigned long long number = 0;
	int c;

	while ((c = getopt_long(argc, argv, "i:d:m:h", names, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			return 1;
		}
		if (c == '?' || read_number(optarg, INT32_MAX, &number) < 0) {
			usage(stderr);
			return -1;
		}
		if (c == 'i')
			o.idle_ms = number;
		else if (c == 'd')
			o.drain_ms = number > 0 ? number : 1; /* 0 would be the default */
		else
			o.data_limit = (size_t)number * MIB;
	}
	if (optind < argc)
		o.address = argv[optind++];
	if (optind < argc) {
		usage(stderr);
		return -1;
	}
	*ret_options = o;
	return 0;
}

int
main(int argc, char **argv)
{
	struct kv kv = {
		.buffers = { .limit = BUFFERS_LIMIT },
		.limits = RESP_LIMITS_DEFAULT,
		.max_clients = MAX_CLIENTS,
	};
	struct options options = {
		.address = "127.0.0.1:6379",
		.idle_ms = 300000,
		.data_limit = DATA_LIMIT_MIB * MIB,
		.kv = &kv,
	};
	struct siphash_seed seed;
	int r = read_options(argc, argv, &options);

	if (r != 0)
		return r < 0 ? 2 : 0;

	kv.idle_ms = options.idle_ms;
	kv.data.limit = options.data_limit;
	r = getrandom(&seed, sizeof seed, 0) == sizeof seed ? 0 : -errno;
	if (r == 0)
		r = store_create(&kv.store, &kv.data, seed);
	if (r == 0)
		r = cede_run(server, &options);
	if (r < 0)
		fprintf(stderr, "kv: %s\n", cede_error_text(r));

	store_destroy(kv.store);
	return r < 0;
}
