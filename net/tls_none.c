/*
 * TLS where there is no OpenSSL: every call says so.
 */
#include <cede/tls.h>

int
cede_tls_create_server(const cede_tls_options_t *options, cede_tls_t **ret_tls)
{
	return CEDE_ENOTSUP;
}

int
cede_tls_create_client(const cede_tls_options_t *options, cede_tls_t **ret_tls)
{
	return CEDE_ENOTSUP;
}

cede_tls_t *
cede_tls_ref(cede_tls_t *tls)
{
	return tls;
}

cede_tls_t *
cede_tls_unref(cede_tls_t *tls)
{
	return NULL;
}

int
cede_tls_accept(cede_stream_t *stream, cede_tls_t *tls, const cede_tls_stream_options_t *options)
{
	return CEDE_ENOTSUP;
}

int
cede_tls_connect(cede_stream_t *stream, cede_tls_t *tls, const char *server_name,
	const cede_tls_stream_options_t *options)
{
	return CEDE_ENOTSUP;
}

int
cede_tls_shutdown(cede_stream_t *stream, uint64_t timeout_ms)
{
	return CEDE_ENOTSUP;
}

int
cede_tls_info(const cede_stream_t *stream, cede_tls_info_t *ret_info)
{
	return CEDE_ENOTSUP;
}

int
cede_tls_peer(const cede_stream_t *stream, cede_tls_peer_t *ret_peer)
{
	return CEDE_ENOTSUP;
}

const char *
cede_tls_problem(const cede_stream_t *stream)
{
	return "";
}
