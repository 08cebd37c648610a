/*
 * Every order of what can happen to a client's handshake, by tests/support/interleave.h.
 * Over memory: what the other end does it does by its transport, which needs no task.
 * Reading and writing wait as those of every stream do, which has its own; a server's
 * handshake is two waits.
 */
#include <cede/tls.h>

#include "net/tls_int.h"
#include "tests/support/interleave.h"

TestSuite(tls_interleavings, .timeout = 120);

static struct {
	cede_stream_t *ours, *peer;
	int is_ours_closed, is_peer_closed;
	ssize_t sent; /* by the peer */
} ends;

/* Of one run: the gate counts what it is made of. */
static cede_tls_t *client_tls;

static void
reset(void)
{
	memset(&ends, 0, sizeof ends);
}

static void
make_client(void)
{
	const cede_tls_options_t options = { .no_resumption = 1,
		.verify = CEDE_TLS_VERIFY_NOTHING_INSECURE };

	cr_assert_eq(cede_tls_create_client(&options, &client_tls), 0);
}

static void
drop_client(int first)
{
	client_tls = cede_tls_unref(client_tls);
}

static void
open_ends(void)
{
	make_client();
	cr_assert_eq(cede_stream_pair(&ends.ours, &ends.peer, 0), 0);
}

/* The detach closes both. */
static int
are_there(void)
{
	return run.loop && ends.ours && !cede__list_is_empty(&run.loop->resources);
}

static void
close_ours(void)
{
	if (are_there() && !ends.is_ours_closed)
		cede_close(ends.ours);
	ends.is_ours_closed = 1;
}

static void
close_peer(void)
{
	if (are_there() && !ends.is_peer_closed)
		cede_close(ends.peer);
	ends.is_peer_closed = 1;
}

static ssize_t
send_by_peer(const char *text)
{
	struct iovec piece = { .iov_base = (char *)text, .iov_len = strlen(text) };

	if (!are_there() || ends.is_peer_closed)
		return 0;
	return ends.peer->transport->send(ends.peer, &piece, 1);
}

/* ---- a handshake with somebody who speaks something else ---- */

static int
connect_call(void)
{
	return cede_tls_connect(ends.ours, client_tls, NULL, NULL);
}

static void
connect_complete(void)
{
	ends.sent = send_by_peer("220 mail.example.test\r\n");
}

/* However it ended, nothing is read or written in plain text. */
static void
connect_after(int first)
{
	char sent;

	if (ends.is_ours_closed || !are_there())
		return;
	cr_assert(ends.ours->failure < 0 || ends.ours->is_closed, "it is open");
	cr_assert_eq(cede__stream_ahead(ends.ours), 0);
	if (!ends.is_peer_closed && ends.peer->transport->receive(ends.peer, &sent, 1) == 1)
		cr_assert_eq(sent, 22, "it is no record of a handshake");
}

#define CONNECT_FROM(name, closes, code, more) \
	static const struct operation name = { .set_up = reset, \
		.prepare = open_ends, \
		.call = connect_call, \
		.complete = connect_complete, \
		.close = closes, \
		.after = connect_after, \
		.tear_down = drop_client, \
		.on_complete = CEDE_ETLS, \
		.on_close = code, \
		.flags = IS_CALLED_ONLY | IS_UNCUT | (more) }; \
	INTERLEAVE(tls_interleavings, name)

CONNECT_FROM(a_handshake, close_ours, CEDE_ECANCELED, CLOSE_VOIDS)
CONNECT_FROM(a_handshake_whose_peer_closes, close_peer, CEDE_ETRUNCATED, 0)
