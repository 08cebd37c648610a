/* Without OpenSSL: every call says so, and a stream is as it was. */
#include <cede/tls.h>

#include "tests/net/pair.h"

TestSuite(tls_none, .timeout = 30);

PAIR_TEST(tls_none, every_call_says_so)
{
	cede_tls_t *tls = NULL;
	cede_tls_info_t info;
	cede_tls_peer_t peer;
	char byte;

	cr_assert_eq(cede_tls_create_server(NULL, &tls), CEDE_ENOTSUP);
	cr_assert_eq(cede_tls_create_client(NULL, &tls), CEDE_ENOTSUP);
	cr_assert_null(tls);
	cr_assert_null(cede_tls_ref(NULL));
	cr_assert_null(cede_tls_unref(NULL));
	cr_assert_eq(cede_tls_accept(p->stream, tls, NULL), CEDE_ENOTSUP);
	cr_assert_eq(cede_tls_connect(p->stream, tls, "localhost", NULL), CEDE_ENOTSUP);
	cr_assert_eq(cede_tls_shutdown(p->stream, 0), CEDE_ENOTSUP);
	cr_assert_eq(cede_tls_info(p->stream, &info), CEDE_ENOTSUP);
	cr_assert_eq(cede_tls_peer(p->stream, &peer), CEDE_ENOTSUP);
	cr_assert_str_eq(cede_tls_problem(p->stream), "");
	peer_send(p->peer, "x", 1);
	cr_assert_eq(cede_read(p->stream, &byte, 1), 1);
}
