/*
 * Fuzzes handshakes: whatever a peer sends, in whatever pieces, a server and a client of
 * TLS end with an error, nothing is read of it, and nobody waits.
 *
 *     clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -I. -Iinclude \
 *             -IBUILD/include tests/fuzz/fuzz_tls.c BUILD/libcede.a -luv -lssl -lcrypto \
 *             -o fuzz_tls
 *     ./fuzz_tls -max_total_time=60
 *
 * In the folder of the repository: it uses the tests' certificates. The first byte says
 * who is tested, the second how the rest is cut, and the rest is what the peer sends, over a
 * pair in memory, before it closes.
 */
#include <stdint.h>
#include <stdlib.h>

#include <cede/cede.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	const uint8_t *data;
	size_t size;
	unsigned seed; /* 0: in one piece */
	int is_client; /* it is the client that is tested */
	cede_stream_t *ours, *peer;
	cede_tls_t *client, *server;
} input;

#define require(condition) ((condition) ? (void)0 : abort())

static int
play_peer(void *arg)
{
	size_t n;

	for (size_t at = 0; at < input.size; at += n) {
		n = input.size - at;
		if (input.seed && n > 1)
			n = 1 + (size_t)rand_r(&input.seed) % (n < 9 ? n : 9);
		if (cede_write(input.peer, input.data + at, n) < 0 || cede_sleep(0) < 0)
			break;
	}
	(void)cede_shutdown_write(input.peer);
	return 0;
}

static int
run(void *arg)
{
	char byte;
	int r;

	require(cede_stream_pair(&input.ours, &input.peer, 0) == 0);
	{
		CEDE_GROUP(group);
		require(cede_spawn(&group, play_peer, NULL) == 0);
		r = input.is_client
			? cede_tls_connect(input.ours, input.client, "example.test", NULL)
			: cede_tls_accept(input.ours, input.server, NULL);
		require(r == CEDE_ETLS || r == CEDE_ETRUNCATED || r == CEDE_ECERT);
		require(cede_read(input.ours, &byte, 1) == r);
		require(cede_write(input.ours, "x", 1) == r);
		cede_close(input.ours);
		require(cede_group_wait(&group) == 0);
	}
	cede_close(input.peer);
	return 0;
}

static void
make_configurations(void)
{
	const cede_tls_certificate_t own = { .chain_file = "tests/support/certs/server.pem",
		.key_file = "tests/support/certs/server.key" };

	require(cede_tls_create_server(&(cede_tls_options_t){ .certificates = &own,
					       .certificate_count = 1 },
			&input.server) == 0);
	require(cede_tls_create_client(&(cede_tls_options_t){ .ca_file = "tests/support/certs/"
									 "ca.pem" },
			&input.client) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	if (!input.server)
		make_configurations();
	input.is_client = data[0] & 1;
	input.seed = data[1];
	input.data = data + 2;
	input.size = size - 2;
	require(cede_run(run, NULL) == 0);
	return 0;
}
