/*
 * Echo over TLS: a server, and the client to talk to it.
 *
 *     tls_echo --cert FILE --key FILE [--ca FILE] [--alpn NAME] [ADDRESS:PORT]
 *     tls_echo --connect NAME [--ca FILE] [--cert FILE --key FILE] [--alpn NAME] [--twice] [ADDRESS:PORT]
 *
 * A server with --ca asks its clients for certificates. The client sends what it reads from
 * its standard input, prints what comes back, and on stderr what was agreed on;
 * with --twice it comes a second time, to resume.
 */
#include <cede/cede.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
	const char *address, *name, *alpn[2];
	int is_twice;
	cede_tls_certificate_t certificate;
	cede_tls_options_t tls;
};

/* ---- the server ---- */

static int
echo(void *arg)
{
	cede_stream_t *s = arg;
	const void *data;
	ssize_t n;

	while ((n = cede_read_lend(s, &data)) > 0)
		if ((n = cede_write(s, data, (size_t)n)) < 0)
			return (int)n;
	return n < 0 ? (int)n
		     : cede_tls_shutdown(s, 0); /* 0: the client has ended TLS; a cut is a code */
}

static void
announce(cede_listener_t *l, void *data)
{
	char address[64];

	if (cede_listener_address(l, address, sizeof address) == 0)
		printf("listening on %s\n", address);
	fflush(stdout);
}

static void
complain(cede_stream_t *s, int code, void *data)
{
	char peer[64] = "?";

	(void)cede_stream_peer(s, peer, sizeof peer);
	fprintf(stderr, "%s: %s: %s\n", peer, cede_strerror(code), cede_tls_problem(s));
}

static int
serve(const struct options *o, cede_tls_t *tls)
{
	cede_listener_t *l;
	int r = cede_tcp_listen(o->address, NULL, &l);

	return r < 0 ? r
		     : cede_serve(l, echo,
			       &(cede_serve_options_t){ .stop_on = (int[]){ SIGINT, SIGTERM, 0 },
				       .on_ready = announce,
				       .on_error = complain,
				       .tls = tls });
}

/* ---- the client ---- */

static int
print(void *arg)
{
	const void *data;
	ssize_t n;

	while ((n = cede_read_lend(arg, &data)) > 0) {
		fwrite(data, 1, (size_t)n, stdout);
		fflush(stdout);
	}
	return (int)n;
}

/* Standard input, a pipe or a terminal, to its end; the answers go on. */
static int
talk(cede_stream_t *s)
{
	cede_stream_t *in;
	const void *data;
	ssize_t n = cede_stream_open_fd(dup(STDIN_FILENO), &in);

	if (n < 0)
		return (int)n;
	CEDE_GROUP(answers);
	n = cede_spawn(&answers, print, s);
	while (n >= 0 && (n = cede_read_lend(in, &data)) > 0)
		n = cede_write(s, data, (size_t)n);
	cede_close(in);
	if (n == 0)
		n = cede_shutdown_write(s);
	return n < 0 ? (int)n : cede_group_wait(&answers);
}

/* What a short talk leaves behind, a ticket, resumes the next. */
static int
say_hello(cede_stream_t *s)
{
	char buffer[8];
	ssize_t n = cede_write(s, "hello\n", 6);

	if (n > 0)
		n = cede_read_exactly(s, buffer, 6, NULL);
	return n < 0 ? (int)n : cede_tls_shutdown(s, 0);
}

static int
visit(const struct options *o, cede_tls_t *tls, int (*what)(cede_stream_t *))
{
	cede_stream_t *s;
	cede_tls_info_t info;
	int r = cede_tcp_connect(o->address, &s);

	if (r < 0)
		return r;
	r = cede_tls_connect(s, tls, o->name, NULL);
	if (r == 0)
		r = cede_tls_info(s, &info);
	if (r == 0) {
		fprintf(stderr, "%s, %s, protocol %s%s\n", info.version, info.cipher,
			info.alpn ? info.alpn : "none", info.is_resumed ? ", resumed" : "");
		r = what(s);
		if (r < 0)
			r = cede_raise(r, "%s: %s", cede_strerror(r), cede_tls_problem(s));
	}
	cede_close(s);
	return r;
}

/* ---- both ---- */

static int
run(void *arg)
{
	struct options *o = arg;
	cede_tls_t *tls = NULL;
	int r = o->name ? cede_tls_create_client(&o->tls, &tls)
			: cede_tls_create_server(&o->tls, &tls);

	if (r == 0 && !o->name)
		r = serve(o, tls);
	else if (r == 0 && o->is_twice)
		r = visit(o, tls, say_hello);
	if (r == 0 && o->name)
		r = visit(o, tls, talk);
	if (r < 0)
		fprintf(stderr, "tls_echo: %s: %s\n", o->address, cede_error_text(r));
	cede_tls_unref(tls);
	return r;
}

int
main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "cert", required_argument, NULL, 'c' },
		{ "key", required_argument, NULL, 'k' },
		{ "ca", required_argument, NULL, 'a' },
		{ "alpn", required_argument, NULL, 'p' },
		{ "connect", required_argument, NULL, 'n' },
		{ "twice", no_argument, NULL, 't' },
		{ 0 },
	};
	struct options o = { .address = "127.0.0.1:7443" };
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'c')
			o.certificate.chain_file = optarg;
		else if (c == 'k')
			o.certificate.key_file = optarg;
		else if (c == 'a')
			o.tls.ca_file = optarg;
		else if (c == 'p')
			o.alpn[0] = optarg;
		else if (c == 'n')
			o.name = optarg;
		else if (c == 't')
			o.is_twice = 1;
		else
			return 2;
	}
	if (optind < argc)
		o.address = argv[optind];
	o.tls.certificates = &o.certificate;
	o.tls.certificate_count = o.certificate.chain_file != NULL;
	o.tls.alpn = o.alpn[0] ? o.alpn : NULL;
	if (o.tls.ca_file)
		o.tls.verify = CEDE_TLS_VERIFY_REQUIRED;
	return cede_run(run, &o) < 0;
}
