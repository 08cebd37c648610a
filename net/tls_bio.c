/*
 * Between OpenSSL and the transport below: a BIO that never waits, what has not gone, and
 * what a failure means.
 *
 * What OpenSSL reads is first what the stream had read ahead, then what the transport
 * receives. What it writes goes at once as far as it goes; the rest of that record is kept in
 * `out`, and until it has gone OpenSSL is told to try again later. So there is one record
 * at the most, and memory for it only then.
 *
 * Failing: whatever goes wrong in OpenSSL, or in receiving, is the end of both directions,
 * with one code and one sentence. OpenSSL has sent the alert by then. What goes wrong in
 * sending is the end of writing: the peer may have said why.
 */
#include "net/tls_int.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "coro/alloc.h"

/* What one call may receive from a peer that always has more. */
#define RECEIVES_IN_A_ROW 16

/* Behind the rest of a record there is room for an alert or a ticket. */
#define OUT_SLACK 512

void
cede__tls_begin_call(struct cede__tls_filter *f)
{
	ERR_clear_error();
	f->reads_in_a_row = 0;
}

/* ---- what has not gone ---- */

void
cede__tls_drop_out(struct cede__tls_filter *f)
{
	cede__free(f->out);
	f->out = NULL;
	f->out_from = f->out_to = 0;
}

/* The rest of a record. 1; 0: there is no room; CEDE_ENOMEM. */
static int
keep(struct cede__tls_filter *f, const char *data, size_t size)
{
	if (!f->out) {
		f->out_size = size + OUT_SLACK;
		f->out = cede__alloc(f->out_size);
		if (!f->out)
			return CEDE_ENOMEM;
	}
	if (size > f->out_size - f->out_to)
		return 0;
	memcpy(f->out + f->out_to, data, size);
	f->out_to += size;
	return 1;
}

/* After every call of OpenSSL: has what is in `out` taken care of. */
void
cede__tls_settle(struct cede__tls_filter *f)
{
	cede_stream_t *s = f->stream;

	s->is_holding = f->out != NULL;
	if (f->out && !f->is_in_care) {
		const struct iovec rest = { .iov_base = f->out + f->out_from,
			.iov_len = f->out_to - f->out_from };
		const ssize_t n = f->below->wait_room(s, &rest, 1);

		f->is_in_care = n >= 0;
		if (n < 0)
			f->send_code = (int)n;
	}
}

/* ---- OpenSSL's way to the transport below ---- */

static int
bio_write(BIO *bio, const char *data, int size)
{
	struct cede__tls_filter *f = BIO_get_data(bio);
	const struct iovec piece = { .iov_base = (char *)data, .iov_len = (size_t)size };
	ssize_t n = 0;
	int r;

	BIO_clear_retry_flags(bio);
	if (f->send_code == 0 && !f->out) {
		n = f->below->send(f->stream, &piece, 1);
		if (n < 0)
			f->send_code = (int)n;
	}
	if (f->send_code < 0)
		return -1;
	if (n == size)
		return size;
	r = keep(f, data + n, (size_t)(size - n));
	if (r < 0)
		f->send_code = r;
	else if (r == 0)
		BIO_set_retry_write(bio);
	return r > 0 ? size : -1;
}

static int
read_early(struct cede__tls_filter *f, char *buffer, int size)
{
	const uint32_t left = f->early_to - f->early_from;
	const uint32_t n = (uint32_t)size < left ? (uint32_t)size : left;

	memcpy(buffer, f->early->data + f->early_from, n);
	f->early_from += n;
	if (n == left) {
		cede__buffer_give(&f->stream->loop->buffers, f->early);
		f->early = NULL;
	}
	return (int)n;
}

static int
receive_below(struct cede__tls_filter *f, char *buffer, int size)
{
	cede_stream_t *s = f->stream;
	int n = CEDE_EAGAIN;

	if (f->is_below_at_end)
		return 0;
	if (!f->is_drained && f->reads_in_a_row++ < RECEIVES_IN_A_ROW) {
		s->may_have_data = 0;
		n = f->below->receive(s, buffer, (size_t)size);
		f->is_drained = n == CEDE_EAGAIN || !s->may_have_data;
	}
	return n;
}

static int
bio_read(BIO *bio, char *buffer, int size)
{
	struct cede__tls_filter *f = BIO_get_data(bio);
	int n;

	BIO_clear_retry_flags(bio);
	if (f->early)
		return read_early(f, buffer, size);
	n = f->receive_code < 0 ? f->receive_code : receive_below(f, buffer, size);
	if (n >= 0) {
		f->is_below_at_end = n == 0;
		return n;
	}
	if (n == CEDE_EAGAIN)
		BIO_set_retry_read(bio);
	else
		f->receive_code = n;
	return -1;
}

static long
bio_control(BIO *bio, int command, long number, void *pointer)
{
	const struct cede__tls_filter *f = BIO_get_data(bio);

	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1; /* cede__tls_settle() does */
	case BIO_CTRL_EOF:
		return f->is_below_at_end;
	default:
		return 0;
	}
}

BIO_METHOD *
cede__tls_bio_create(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "cede");

	if (method && BIO_meth_set_write(method, bio_write) &&
		BIO_meth_set_read(method, bio_read) && BIO_meth_set_ctrl(method, bio_control))
		return method;
	BIO_meth_free(method);
	return NULL;
}

/* ---- failing ---- */

static int
fail(struct cede__tls_filter *f, int code, const char *text)
{
	f->failure = code;
	snprintf(f->problem, sizeof f->problem, "%s", text);
	ERR_clear_error(); /* who else uses OpenSSL in this thread is not to find it */
	return code;
}

/* What OpenSSL has to say against it. */
static int
fail_by_openssl(struct cede__tls_filter *f)
{
	const unsigned long error = ERR_peek_error();

	if (cede__tls_is_out_of_memory())
		return fail(f, CEDE_ENOMEM, "no memory");
	if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
		ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return fail(f, CEDE_ECERT,
			X509_verify_cert_error_string(SSL_get_verify_result(f->ssl)));
	if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
		ERR_GET_REASON(error) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		return fail(f, CEDE_ECERT, cede__tls_reason());
	return fail(f, CEDE_ETLS, cede__tls_reason());
}

/* A call of OpenSSL's has not succeeded. CEDE_EAGAIN; 0: the peer has ended TLS; or a code that stays. */
int
cede__tls_look_into(struct cede__tls_filter *f, int result)
{
	switch (SSL_get_error(f->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return CEDE_EAGAIN;
	case SSL_ERROR_ZERO_RETURN: /* in the handshake anybody can say it: it is no end of anything */
		return f->is_up ? 0 : fail(f, CEDE_ETLS, "the peer has ended TLS in the handshake");
	default:
		break;
	}
	if (f->is_below_at_end)
		return fail(f, CEDE_ETRUNCATED,
			f->is_up ? "the connection has ended without close_notify"
				 : "the connection has ended in the handshake");
	if (f->receive_code < 0)
		return fail(f, f->receive_code, cede_strerror(f->receive_code));
	if (f->send_code < 0 && ERR_peek_error() == 0)
		return fail(f, f->send_code, cede_strerror(f->send_code));
	return fail_by_openssl(f);
}
