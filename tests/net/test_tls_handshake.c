/* The handshakes of TLS, both ends in one loop: net/tls_handshake.c. */
#include "tests/net/tls_pair.h"

TestSuite(tls_handshake, .timeout = 60);

TLS_TEST(tls_handshake, makes_an_encrypted_stream_of_each_end)
{
	cede_tls_info_t info;

	expect_hands_shaken(p);
	expect_talks(p);
	info = info_of(p->client);
	cr_assert_str_eq(info.version, "TLSv1.3");
	cr_assert_str_eq(info.verify_text, "ok");
	cr_assert(info.has_peer_certificate);
	cr_assert_not(info.is_server);
	info = info_of(p->server);
	cr_assert_str_eq(info.server_name, "example.test");
	cr_assert(info.is_server);
	cr_assert_not(info.has_peer_certificate);
}
