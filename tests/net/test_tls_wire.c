/* TLS over a wire that is slow, cut or noisy: net/tls.c. */
#include "tests/net/tls_wire.h"

TestSuite(tls_wire, .timeout = 110);

static const cede_tls_version_t versions[] = { CEDE_TLS_1_2, CEDE_TLS_1_3 };

/* ---- pieces ---- */

WIRE_TEST(tls_wire, passes_everything_on)
{
	for (int v = 0; v < 2; v++) {
		wire_keep_to(wire, versions[v]);
		wire_talk(wire);
		expect_whole_talk(wire);
	}
}

WIRE_TEST(tls_wire, a_byte_at_a_time_makes_no_difference)
{
	wire->up.piece = wire->down.piece = 1;
	for (int v = 0; v < 2; v++) {
		wire_keep_to(wire, versions[v]);
		wire_talk(wire);
		expect_whole_talk(wire);
	}
}

WIRE_TEST(tls_wire, nor_do_pieces_of_any_size)
{
	for (size_t up = 1; up < 40; up += 3)
		for (size_t down = 2; down < 2000; down = down * 3 + 1) {
			wire->up.piece = up;
			wire->down.piece = down;
			wire_talk(wire);
			expect_whole_talk(wire);
		}
}

WIRE_TEST(tls_wire, sessions_are_resumed_a_byte_at_a_time_too)
{
	const cede_tls_options_t client = client_options(), server = server_options();

	cede_tls_unref(wire->pair.client_tls);
	cede_tls_unref(wire->pair.server_tls);
	wire->pair.client_tls = make_client(&client);
	wire->pair.server_tls = make_server(&server);
	wire->up.piece = wire->down.piece = 1;
	for (int i = 0; i < 3; i++) {
		wire_talk(wire);
		expect_whole_talk(wire);
	}
	cr_assert_gt(wire->pair.client_tls->sessions.count, 0);
}

/* ---- cut ---- */

static int
is_cut(int code)
{
	return code == CEDE_ETRUNCATED || code == CEDE_EPIPE || code == CEDE_ECONNRESET;
}

/* Whoever has not seen a clean end has been told so, and nobody has waited for a limit. */
static void
expect_cut(const struct wire *wire, size_t at)
{
	cr_assert(wire->client_end == 0 || is_cut(wire->client_end), "at %zu the client said %s",
		at, cede_err_name(wire->client_end));
	cr_assert(wire->server_end == 0 || is_cut(wire->server_end), "at %zu the server said %s",
		at, cede_err_name(wire->server_end));
	cr_assert(wire->client_end < 0 || wire->server_end < 0,
		"nobody has noticed that byte %zu was the last", at);
	cr_assert(wire->saw_end[0] == (wire->client_end == 0));
	cr_assert(wire->saw_end[1] == (wire->server_end == 0));
}

static void
cut_everywhere(struct wire *wire, struct way *way)
{
	for (int v = 0; v < 2; v++) {
		size_t whole;

		wire_keep_to(wire, versions[v]);
		way->cut_at = 0;
		wire_talk(wire);
		expect_whole_talk(wire);
		whole = way->passed;
		cr_assert_gt(whole, 400);
		for (way->cut_at = 1; way->cut_at < whole; way->cut_at++) {
			wire_talk(wire);
			if (wire->is_cut)
				expect_cut(wire, way->cut_at);
		}
	}
}

WIRE_TEST(tls_wire, a_cut_behind_any_byte_of_the_client_is_noticed)
{
	cut_everywhere(wire, &wire->up);
}

WIRE_TEST(tls_wire, a_cut_behind_any_byte_of_the_server_is_noticed)
{
	cut_everywhere(wire, &wire->down);
}

/* ---- noise ---- */

/*
 * What was not authenticated yet may be anything: the talk may go on, or stop for want of
 * bytes. But whoever reads data reads what was sent, or is told.
 */
static void
flip_everywhere(struct wire *wire, struct way *way)
{
	for (int v = 0; v < 2; v++) {
		size_t whole, noticed = 0;

		wire_keep_to(wire, versions[v]);
		way->flip_at = 0;
		wire_talk(wire);
		whole = way->passed;
		for (way->flip_at = 1; way->flip_at < whole; way->flip_at++) {
			wire_talk(wire);
			noticed += wire->client_end < 0 || wire->server_end < 0;
		}
		/* OpenSSL does not look at some bytes of versions, and at those of a session's name. */
		cr_assert_gt(noticed, whole * 9 / 10, "%zu of %zu", noticed, whole);
	}
}

WIRE_TEST(tls_wire, a_wrong_byte_of_the_client_never_gives_wrong_data)
{
	flip_everywhere(wire, &wire->up);
}

WIRE_TEST(tls_wire, a_wrong_byte_of_the_server_never_gives_wrong_data)
{
	flip_everywhere(wire, &wire->down);
}
