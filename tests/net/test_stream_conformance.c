/*
 * The conformance suite of <cede/testing.h> on every kind of stream that there is: one
 * test a kind, which says how two of them are made. A new kind is a function and a
 * line here.
 *
 * And on streams that are wrong, each in one way: the suite has to say so.
 */
#include <cede/cede.h>
#include <cede/testing.h>
#include <cede/uv.h>

#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/support/leaks.h"

TestSuite(stream_conformance, .timeout = 110);

#define TCP_HAS (CEDE_TEST_HAS_BOTH_WAYS | CEDE_TEST_HAS_HALF_CLOSE | CEDE_TEST_HAS_RESET)

static void
check_conforms(cede_test_make_fn *make, void *arg, unsigned cushion_ms, unsigned has)
{
	const cede_test_options_t options = { .cushion_ms = cushion_ms };
	cede_test_report_t report;
	const int r = cede_test_check_stream(make, arg, &options, has, &report);

	cr_assert_gt(r, 0, "%s: %s", cede_strerror(r), report.text);
}

static void
expect_conforms(cede_test_make_fn *make, void *arg, unsigned cushion_ms, unsigned has)
{
	leaks_begin();
	check_conforms(make, arg, cushion_ms, has);
	leaks_end();
}

/* ---- TCP ---- */

static int
make_tcp(cede_stream_t **ret_a, cede_stream_t **ret_b, void *address)
{
	cede_listener_t *listener;
	char name[64];
	int r = cede_tcp_listen(address, NULL, &listener);

	if (r < 0)
		return r;
	r = cede_listener_address(listener, name, sizeof name);
	if (r == 0)
		r = cede_tcp_connect(name, ret_a);
	if (r == 0) {
		r = cede_accept(listener, ret_b);
		if (r < 0)
			cede_close(*ret_a);
	}
	cede_listener_close(listener);
	return r;
}

Test(stream_conformance, tcp)
{
	char address[] = "127.0.0.1:0";

	expect_conforms(make_tcp, address, 1, TCP_HAS);
}

/* ---- unix sockets ---- */

static int
open_both(int fds[2], cede_stream_t **ret_a, cede_stream_t **ret_b)
{
	int r = cede_stream_open_fd(fds[0], ret_a);

	if (r == 0)
		r = cede_stream_open_fd(fds[1], ret_b);
	return r;
}

static int
make_unix(cede_stream_t **ret_a, cede_stream_t **ret_b, void *arg)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	return open_both(fds, ret_a, ret_b);
}

Test(stream_conformance, unix_sockets)
{
	expect_conforms(make_unix, NULL, 0, CEDE_TEST_HAS_BOTH_WAYS | CEDE_TEST_HAS_HALF_CLOSE);
}

/* ---- pipes ---- */

static int
make_pipe(cede_stream_t **ret_a, cede_stream_t **ret_b, void *arg)
{
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	return open_both((int[]){ fds[1], fds[0] }, ret_a, ret_b);
}

Test(stream_conformance, pipes)
{
	expect_conforms(make_pipe, NULL, 0, 0);
}

/* ---- terminals: raw, since lines are what a terminal makes of bytes ---- */

static int
make_terminal(cede_stream_t **ret_a, cede_stream_t **ret_b, void *arg)
{
	struct termios raw;
	int fds[2];

	cr_assert_eq(openpty(&fds[0], &fds[1], NULL, NULL, NULL), 0);
	cr_assert_eq(tcgetattr(fds[1], &raw), 0);
	cfmakeraw(&raw);
	cr_assert_eq(tcsetattr(fds[1], TCSANOW, &raw), 0);
	return open_both(fds, ret_a, ret_b);
}

/*
 * The bytes of a terminal come by a worker of the kernel's, which on a busy machine is late
 * now and then: the test's time has jumped by then. What is wrong is wrong each time.
 */
Test(stream_conformance, terminals)
{
	const cede_test_options_t options = { .cushion_ms = 4 };
	cede_test_report_t report;
	int r = -1;

	leaks_begin();
	for (int i = 0; i < 3 && r < 0; i++)
		r = cede_test_check_stream(make_terminal, NULL, &options,
			CEDE_TEST_HAS_BOTH_WAYS | CEDE_TEST_HAS_NO_END, &report);
	cr_assert_gt(r, 0, "%s: %s", cede_strerror(r), report.text);
	leaks_end();
}

/* ---- a child's stdin and stdout, with cat in between ---- */

static void
close_process(void *process)
{
	cede_process_close(process);
}

static int
make_child(cede_stream_t **ret_a, cede_stream_t **ret_b, void *arg)
{
	cede_process_t *process;
	int r = cede_process_spawn(&(cede_process_options_t){ .argv = (const char *const[]){ "cat",
								      NULL },
					   .in = { .kind = CEDE_PROCESS_PIPE },
					   .out = { .kind = CEDE_PROCESS_PIPE } },
		&process);

	if (r < 0)
		return r;
	*ret_a = cede_process_take(process, 0);
	*ret_b = cede_process_take(process, 1);
	return cede_defer(close_process, process);
}

Test(stream_conformance, child_stdio)
{
	expect_conforms(make_child, NULL, 4, 0);
}

/* ---- handles of the application's ---- */

static void
free_handle(uv_handle_t *handle)
{
	free(handle);
}

static int
adopt(int fd, cede_stream_t **ret_stream)
{
	cede_loop_t *loop = cede_loop_current();
	uv_pipe_t *handle = malloc(sizeof *handle);

	cr_assert_eq(uv_pipe_init(cede_loop_uv(loop), handle, 0), 0);
	cr_assert_eq(uv_pipe_open(handle, fd), 0);
	return cede_stream_adopt(loop, (uv_stream_t *)handle, free_handle, ret_stream);
}

static int
make_adopted(cede_stream_t **ret_a, cede_stream_t **ret_b, void *arg)
{
	int fds[2], r;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	r = adopt(fds[0], ret_a);
	return r == 0 ? adopt(fds[1], ret_b) : r;
}

Test(stream_conformance, adopted_handles)
{
	expect_conforms(make_adopted, NULL, 0, CEDE_TEST_HAS_BOTH_WAYS | CEDE_TEST_HAS_HALF_CLOSE);
}

/* ---- memory ---- */

static int
make_memory(cede_stream_t **ret_a, cede_stream_t **ret_b, void *capacity)
{
	return cede_stream_pair(ret_a, ret_b, *(size_t *)capacity);
}

Test(stream_conformance, memory)
{
	static size_t capacities[] = { 0, 8192, 10007 };

	for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++)
		expect_conforms(make_memory, &capacities[i], 0, TCP_HAS);
}

/* ---- memory with a script ---- */

static int
make_scripted(cede_stream_t **ret_a, cede_stream_t **ret_b, void *options)
{
	cede_test_stream_options_t o = *(cede_test_stream_options_t *)options;

	o.to_ours.seed *= 1 + cede_test_seed();
	o.to_theirs.seed *= 2 + cede_test_seed();
	return cede_test_stream(&o, ret_a, ret_b);
}

Test(stream_conformance, scripted_streams)
{
	static cede_test_stream_options_t options[] = {
		{ .capacity = 0 },
		{ .to_ours = { .read_max = 1000, .write_max = 500 },
			.to_theirs = { .read_max = 500, .write_max = 1000 } },
		{ .to_ours = { .seed = 1 }, .to_theirs = { .seed = 2 } },
		{ .to_ours = { .read_max = 3000, .seed = 3 },
			.to_theirs = { .write_max = 2000, .seed = 4 },
			.capacity = 9000 },
	};

	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		expect_conforms(make_scripted, &options[i], 0, TCP_HAS);
}

/* ---- TLS, over any of them ---- */

struct encrypted {
	cede_test_make_fn *make;
	void *arg;
	cede_tls_t *client, *server;
};

struct accepting {
	cede_stream_t *stream;
	cede_tls_t *tls;
};

static int
accept_tls(void *arg)
{
	const struct accepting *a = arg;

	return cede_tls_accept(a->stream, a->tls, NULL);
}

static int
encrypt(const struct encrypted *e, cede_stream_t *client, cede_stream_t *server)
{
	struct accepting accepting = { server, e->server };
	int r;

	CEDE_GROUP(group);
	r = cede_spawn(&group, accept_tls, &accepting);
	if (r == 0)
		r = cede_tls_connect(client, e->client, NULL, NULL);
	return r == 0 ? cede_group_wait(&group) : r;
}

static int
make_encrypted(cede_stream_t **ret_a, cede_stream_t **ret_b, void *arg)
{
	const struct encrypted *e = arg;
	int r = e->make(ret_a, ret_b, e->arg);

	if (r < 0)
		return r;
	r = encrypt(e, *ret_a, *ret_b);
	if (r < 0) {
		cede_close(*ret_a);
		cede_close(*ret_b);
	}
	return r;
}

static void
expect_encrypted_conforms(cede_test_make_fn *make, void *arg, unsigned cushion_ms, unsigned has)
{
	struct encrypted e = { .make = make, .arg = arg };
	char chain[512], key[512];
	const char *certs = getenv("TEST_CERTS");
	const cede_tls_certificate_t certificate = { .chain_file = chain, .key_file = key };
	int r;

	snprintf(chain, sizeof chain, "%s/server.pem", certs ? certs : "tests/support/certs");
	snprintf(key, sizeof key, "%s/server.key", certs ? certs : "tests/support/certs");
	leaks_begin();
	r = cede_tls_create_server(&(cede_tls_options_t){ .certificates = &certificate,
					   .certificate_count = 1 },
		&e.server);
	if (r == CEDE_ENOTSUP)
		cr_skip_test("built without TLS");
	cr_assert_eq(r, 0, "%s", cede_error_text(r));
	cr_assert_eq(cede_tls_create_client(
			     &(cede_tls_options_t){ .verify = CEDE_TLS_VERIFY_NOTHING_INSECURE },
			     &e.client),
		0);
	check_conforms(make_encrypted, &e, cushion_ms,
		(has & ~(unsigned)CEDE_TEST_HAS_NO_END) | CEDE_TEST_HAS_HALF_CLOSE |
			CEDE_TEST_HAS_CUTS);
	cede_tls_unref(e.client);
	cede_tls_unref(e.server);
	leaks_end();
}

Test(stream_conformance, tls_over_tcp)
{
	char address[] = "127.0.0.1:0";

	expect_encrypted_conforms(make_tcp, address, 2, TCP_HAS);
}

Test(stream_conformance, tls_over_unix_sockets)
{
	expect_encrypted_conforms(make_unix, NULL, 0, CEDE_TEST_HAS_BOTH_WAYS);
}

Test(stream_conformance, tls_over_memory)
{
	size_t capacity = 0;

	expect_encrypted_conforms(make_memory, &capacity, 0, TCP_HAS);
}

Test(stream_conformance, tls_over_scripted_streams)
{
	cede_test_stream_options_t options = {
		.to_ours = { .read_max = 3000, .seed = 3 },
		.to_theirs = { .write_max = 2000, .seed = 4 },
		.capacity = 9000,
	};

	expect_encrypted_conforms(make_scripted, &options, 0, TCP_HAS);
}

/* ---- streams that are none ---- */

static void
expect_found(cede_test_make_fn *make, void *arg, unsigned has, int code, const char *text)
{
	static const cede_test_options_t quiet = { .is_quiet = 1, .silence_ms = 100 };
	cede_test_report_t report;
	int r;

	leaks_begin();
	r = cede_test_check_stream(make, arg, &quiet, has, &report);
	leaks_end();
	cr_assert_eq(r, code, "%s: %s", cede_strerror(r), report.text);
	cr_assert_eq(report.code, code);
	cr_assert_not_null(strstr(report.text, text), "it says '%s'", report.text);
}

static void
expect_script_found(cede_test_step_t step, int code, const char *text)
{
	const cede_test_step_t steps[] = { step, { 0, 0, 0 } };
	cede_test_stream_options_t options = { .to_theirs = { .steps = steps } };

	expect_found(make_scripted, &options, TCP_HAS, code, text);
}

Test(stream_conformance, what_loses_bytes_is_found)
{
	expect_script_found((cede_test_step_t){ CEDE_TEST_END, 3000, 0 }, CEDE_EPROTO,
		"a read of what was written returned 0");
}

Test(stream_conformance, what_resets_by_itself_is_found)
{
	expect_script_found((cede_test_step_t){ CEDE_TEST_RESET, 10000, 0 }, CEDE_EPROTO,
		"connection reset by peer");
}

Test(stream_conformance, what_takes_no_more_is_found)
{
	expect_script_found((cede_test_step_t){ CEDE_TEST_STALL, 5000, 0 }, CEDE_EDEADLK,
		"check 'bytes come in order', seed 0: tasks wait for what can't come any more");
}

Test(stream_conformance, what_it_has_not_is_found)
{
	expect_found(make_unix, NULL, TCP_HAS, CEDE_EPROTO,
		"a read of what was given up half-way returned 0 and not -104");
	expect_found(make_pipe, NULL, CEDE_TEST_HAS_BOTH_WAYS, CEDE_EPROTO,
		"check 'bytes come in order', from the second stream to the first, seed 0: a "
		"write");
}

/* Two streams of two pairs: what is written to one comes nowhere. */
static int
make_strangers(cede_stream_t **ret_a, cede_stream_t **ret_b, void *others)
{
	cede_stream_t **other = others;
	int r = cede_stream_pair(ret_a, &other[0], 0);

	if (r == 0)
		r = cede_stream_pair(ret_b, &other[1], 0);
	return r;
}

Test(stream_conformance, what_is_not_connected_is_found)
{
	cede_stream_t *others[2];

	expect_found(make_strangers, others, TCP_HAS, CEDE_EDEADLK, "tasks wait for");
}

static int
make_one_too_many(cede_stream_t **ret_a, cede_stream_t **ret_b, void *arg)
{
	cede_stream_t *a, *b;
	int r = cede_stream_pair(&a, &b, 0);

	return r < 0 ? r : cede_stream_pair(ret_a, ret_b, 0);
}

Test(stream_conformance, what_is_left_open_is_found)
{
	expect_found(make_one_too_many, NULL, TCP_HAS, CEDE_ELEFT,
		"check 'bytes come in order', seed 0: 2 streams or listeners were not closed");
}

static int
fail_to_make(cede_stream_t **ret_a, cede_stream_t **ret_b, void *arg)
{
	return CEDE_ENOENT;
}

Test(stream_conformance, what_can_not_be_made_is_an_error)
{
	cede_test_report_t report;

	expect_found(fail_to_make, NULL, 0, CEDE_ENOENT, "check 'bytes come in order'");
	cr_assert_eq(cede_test_check_stream(NULL, NULL, NULL, 0, &report), CEDE_EINVAL);
	cr_assert_eq(cede_test_check_stream(make_pipe, NULL, NULL, 32, &report), CEDE_EINVAL);
}
