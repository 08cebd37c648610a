/*
 * TLS as a stream's transport: a filter over the one that the stream had, which OpenSSL
 * reaches by a BIO of ours (tls_bio.c).
 *
 * Reading: a record is received with the next ones, as far as a buffer of OpenSSL's
 * goes. A short receive has drained the transport below: OpenSSL's next question is
 * answered without a system call. What OpenSSL still has then is looked at before the
 * transport is watched; where the stream watches all the same, to let others have their
 * turn, a timer brings it back.
 *
 * Writing: what was encrypted counts as taken, and the stream is told (is_holding) to
 * wait until it has gone. A read can have something to say too (an alert, the answer to a
 * key update): it goes by itself, with nobody waiting for it. The other way round, a
 * message of TLS's own that has come in part keeps OpenSSL from writing: the writer
 * waits for the rest.
 *
 * Closing: close_notify is tried, without waiting, unless it is a reset. Then the
 * transport below closes, and the SSL is freed; the filter, with its sentence, stays as
 * long as the stream.
 */
#include "net/tls_int.h"

#include <limits.h>
#include <string.h>

#include <openssl/err.h>

#include "coro/alloc.h"

/* The largest piece of plain text in one record. */
#define RECORD_SIZE ((size_t)16384)

/* ---- what both ways need ---- */

/*
 * Writing reads too, now and then: that is for whom reads. So is a failure, for the peer
 * may have nothing more to say.
 */
static void
note_what_came(struct cede__tls_filter *f)
{
	cede_stream_t *s = f->stream;

	if (f->failure == 0 && (f->reads_in_a_row == 0 || !SSL_has_pending(f->ssl)))
		return;
	if (f->failure == 0)
		f->has_more = s->may_have_data = 1;
	if (s->reader && f->soon.index == 0)
		(void)cede__timer_start(s->loop, &f->soon, 0); /* it has a place */
}

/* As SSL_shutdown(), which does nothing while a message of TLS's own is under way: that goes first. */
static int
say_end(SSL *ssl)
{
	const int r = SSL_in_init(ssl) ? SSL_do_handshake(ssl) : 1;

	return r == 1 ? SSL_shutdown(ssl) : -1;
}

/* close_notify. 0 also where it has to wait; or a code. */
static int
end_writing(struct cede__tls_filter *f)
{
	int r;

	cede__tls_begin_call(f);
	r = say_end(f->ssl);
	r = r >= 0 ? 0 : f->send_code < 0 ? f->send_code : cede__tls_look_into(f, r);
	f->owes_goodbye = r == CEDE_EAGAIN;
	cede__tls_settle(f);
	note_what_came(f);
	return r == CEDE_EAGAIN ? 0 : r;
}

/* ---- reading ---- */

/* 1: the handshake is done, which looks like a byte to the read that waits for it. */
static int
shake_hands(struct cede__tls_filter *f)
{
	const int r = SSL_do_handshake(f->ssl);

	f->reader_wants_room = r != 1 && SSL_want_write(f->ssl);
	if (r != 1)
		return cede__tls_look_into(f, r);
	f->is_handshaking = 0;
	f->is_up = 1;
	return 1;
}

/* As much as there is. What comes after that, an end or a failure, is told by the next call. */
static int
decrypt(struct cede__tls_filter *f, char *buffer, size_t size)
{
	size_t total = 0, n;
	int r, code = 0;

	do {
		r = SSL_read_ex(f->ssl, buffer + total, size - total, &n);
		if (r == 1)
			total += n;
	} while (r == 1 && total < size && SSL_has_pending(f->ssl));
	f->reader_wants_room = r != 1 && SSL_want_write(f->ssl);
	if (r != 1)
		code = cede__tls_look_into(f, r);
	if (total == 0)
		return code;
	f->has_more = r == 1 ? SSL_has_pending(f->ssl) != 0 : code != CEDE_EAGAIN;
	return (int)total;
}

static int
tls_receive(cede_stream_t *s, void *buffer, size_t size)
{
	struct cede__tls_filter *f = s->filter;
	int n;

	if (f->failure < 0)
		return f->failure;
	cede__tls_begin_call(f);
	f->has_more = 0;
	n = f->is_handshaking ? shake_hands(f) : decrypt(f, buffer, size);
	if (n == 1 && SSL_has_pending(f->ssl))
		f->has_more = 1;
	cede__tls_settle(f);
	if (f->owes_goodbye && !f->out && !SSL_in_init(f->ssl))
		(void)end_writing(f); /* it has waited for a message that is whole now */
	s->may_have_data = f->has_more || !f->is_drained;
	return n;
}

/* As if the transport below had more, which it has not said: it is not asked. */
static void
look_again(struct cede__tls_filter *f)
{
	f->is_looking_again = 1;
	cede__stream_readable(f->stream);
	f->is_looking_again = 0;
}

static void
look_soon(struct cede__timer *timer)
{
	look_again(cede__container_of(timer, struct cede__tls_filter, soon));
}

static int
tls_watch(cede_stream_t *s)
{
	struct cede__tls_filter *f = s->filter;

	if ((f->early || f->has_more) && f->soon.index == 0)
		(void)cede__timer_start(s->loop, &f->soon, 0); /* it has a place */
	return f->is_below_at_end ? 0 : f->below->watch(s);
}

static int
tls_below_readable(cede_stream_t *s)
{
	struct cede__tls_filter *f = s->filter;

	if (!f->is_looking_again)
		f->is_drained = 0;
	if (f->writer_wants_data && f->writer_waits) {
		f->writer_wants_data = f->writer_waits = 0;
		cede__stream_go_on_writing(s, 0, 0);
	}
	return !s->is_closed;
}

/* ---- writing ---- */

/* One record of what comes first: a piece as it is, or small ones together. How much was taken, or a code. */
static ssize_t
encrypt(struct cede__tls_filter *f, const char *data, size_t size)
{
	size_t n = 0;
	const int r = SSL_write_ex(f->ssl, data, size < RECORD_SIZE ? size : RECORD_SIZE, &n);
	int code;

	if (r == 1)
		return (ssize_t)n;
	f->writer_wants_data = SSL_want_read(f->ssl);
	if (f->send_code < 0) {
		ERR_clear_error();
		return f->send_code;
	}
	code = cede__tls_look_into(f, r);
	if (code == CEDE_EAGAIN)
		return 0;
	return code < 0 ? code : CEDE_EPIPE;
}

/* Gathers the beginning of several pieces. How many bytes. */
static size_t
gather(char *buffer, const struct iovec *pieces, int count, size_t skip)
{
	size_t size = 0;

	for (int i = 0; i < count && size < RECORD_SIZE; i++) {
		const size_t room = RECORD_SIZE - size, left = pieces[i].iov_len - skip;
		const size_t n = left < room ? left : room;

		if (n > 0)
			memcpy(buffer + size, (const char *)pieces[i].iov_base + skip, n);
		size += n;
		skip = 0;
	}
	return size;
}

/* The next record of what is left, from a place in the first piece on. */
static ssize_t
encrypt_next(struct cede__tls_filter *f, const struct iovec *pieces, int count, size_t skip)
{
	struct cede__buffers *buffers = &f->stream->loop->buffers;
	const size_t first = pieces->iov_len - skip;
	struct cede__buffer *buffer;
	ssize_t n;

	buffer = count == 1 || first >= RECORD_SIZE
		? NULL
		: cede__buffer_take(buffers, CEDE__BUFFER_USUAL);
	if (!buffer) /* for want of memory too: it is a record of its own then */
		return encrypt(f, (const char *)pieces->iov_base + skip, first);
	n = encrypt(f, buffer->data, gather(buffer->data, pieces, count, skip));
	cede__buffer_give(buffers, buffer);
	return n;
}

static ssize_t
encrypt_all(struct cede__tls_filter *f, const struct iovec *pieces, int count)
{
	size_t total = 0, skip = 0;
	ssize_t n = 1;

	while (n > 0 && !f->out) {
		while (count > 0 && skip >= pieces->iov_len) {
			skip -= pieces->iov_len;
			pieces++;
			count--;
		}
		if (count == 0)
			break;
		n = encrypt_next(f, pieces, count, skip);
		if (n > 0) {
			total += (size_t)n;
			skip += (size_t)n;
		}
	}
	return n < 0 && total == 0 ? n
				   : (ssize_t)total; /* a failure stays: the next call tells it */
}

static ssize_t
tls_send(cede_stream_t *s, const struct iovec *pieces, int count)
{
	struct cede__tls_filter *f = s->filter;
	ssize_t n;

	if (f->failure < 0)
		return f->failure;
	cede__tls_begin_call(f);
	n = encrypt_all(f, pieces, count);
	cede__tls_settle(f);
	note_what_came(f);
	return n;
}

/* The record that was encrypted last is on its way already; or a message of TLS's must come first. */
static ssize_t
tls_wait_room(cede_stream_t *s, const struct iovec *pieces, int count)
{
	struct cede__tls_filter *f = s->filter;
	int r = f->failure < 0 ? f->failure : f->send_code;

	if (r == 0 && !f->out && f->writer_wants_data)
		r = tls_watch(s);
	f->writer_waits = r == 0;
	return r;
}

static void
tls_below_sent(cede_stream_t *s, int status, size_t bytes)
{
	struct cede__tls_filter *f = s->filter;

	f->is_in_care = 0;
	f->out_from += bytes;
	if (status < 0)
		f->send_code = status;
	if (status < 0 || f->out_from >= f->out_to)
		cede__tls_drop_out(f);
	cede__tls_settle(f);
	if (f->out && f->send_code == 0)
		return; /* more was put behind it meanwhile */
	if (f->owes_goodbye && f->send_code == 0)
		(void)end_writing(f);
	if (f->writer_waits) {
		f->writer_waits = 0;
		cede__stream_go_on_writing(s, f->send_code, 0);
	}
	if (f->reader_wants_room && !s->is_closed) {
		f->reader_wants_room = 0;
		look_again(f);
	}
}

static int
tls_shutdown_write(cede_stream_t *s)
{
	struct cede__tls_filter *f = s->filter;

	return f->failure < 0 ? f->failure : end_writing(f);
}

/* ---- the end ---- */

/* Where nothing is on its way and nothing is wrong. */
static void
say_goodbye(struct cede__tls_filter *f)
{
	if (!f->is_up || f->failure < 0 || f->send_code < 0 || f->out)
		return;
	if (SSL_get_shutdown(f->ssl) & SSL_SENT_SHUTDOWN)
		return;
	(void)end_writing(f);
	ERR_clear_error();
}

static void
tls_close(cede_stream_t *s, int is_reset)
{
	struct cede__tls_filter *f = s->filter;

	if (!is_reset)
		say_goodbye(f);
	f->below->close(s, is_reset);
	f->is_closed = 1;
	cede__timer_unreserve(s->loop, &f->soon);
	cede__buffer_give(&s->loop->buffers, f->early);
	f->early = NULL;
	cede__tls_drop_out(f);
	SSL_free(f->ssl);
	f->ssl = NULL;
	cede_tls_unref(f->tls);
	cede__free(f->session_key);
	f->session_key = NULL;
}

static void
tls_forget(cede_stream_t *s)
{
	cede__free(s->filter);
}

static const struct cede__transport tls_transport = {
	.receive = tls_receive,
	.watch = tls_watch,
	.send = tls_send,
	.wait_room = tls_wait_room,
	.shutdown_write = tls_shutdown_write,
	.close = tls_close,
	.forget = tls_forget,
	.below_readable = tls_below_readable,
	.below_sent = tls_below_sent,
};

/* ---- the beginning ---- */

struct cede__tls_filter *
cede__tls_filter_of(const cede_stream_t *s)
{
	return s->transport == &tls_transport ? s->filter : NULL;
}

/* An SSL that reaches the filter by a BIO of ours. 0, CEDE_ENOMEM. */
static int
create_ssl(struct cede__tls_filter *f)
{
	SSL *ssl;
	BIO *bio;

	ERR_clear_error();
	ssl = SSL_new(f->tls->ctx);
	bio = ssl && SSL_set_app_data(ssl, f) == 1 ? BIO_new(f->tls->bio) : NULL;
	if (!bio) {
		SSL_free(ssl);
		ERR_clear_error();
		return CEDE_ENOMEM;
	}
	BIO_set_data(bio, f);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	if (f->tls->is_server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	f->ssl = ssl;
	return 0;
}

int
cede__tls_filter_attach(cede_stream_t *s, cede_tls_t *tls, struct cede__tls_filter **ret_filter)
{
	struct cede__tls_filter *f = cede__alloc_zero(sizeof *f);
	int r;

	if (!f)
		return CEDE_ENOMEM;
	f->stream = s;
	f->below = s->transport;
	f->tls = tls;
	f->soon = (struct cede__timer){ .fire = look_soon, .is_weak = 1 };
	r = cede__timer_reserve(s->loop, &f->soon);
	if (r == 0)
		r = create_ssl(f);
	if (r < 0) {
		cede__timer_unreserve(s->loop, &f->soon);
		cede__free(f);
		return r;
	}
	cede_tls_ref(tls);
	cede_read_return(s);
	f->early = s->buffer;
	f->early_from = s->from;
	f->early_to = s->to;
	s->buffer = NULL;
	s->from = s->to = 0;
	f->is_handshaking = 1;
	f->is_drained = !s->may_have_data;
	f->is_below_at_end = s->is_at_end;
	s->is_at_end = 0;
	s->filter = f;
	s->transport = &tls_transport;
	s->may_have_data = 1;
	*ret_filter = f;
	return 0;
}

int
cede__tls_session_made(SSL *ssl, SSL_SESSION *session)
{
	const struct cede__tls_filter *f = SSL_get_app_data(ssl);

	return f->session_key && cede__tls_sessions_put(&f->tls->sessions, f->session_key, session);
}
