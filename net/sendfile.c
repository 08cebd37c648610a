/*
 * Sending files.
 *
 * Happy path: a thread of the pool calls sendfile(2) on the non-blocking socket until all
 * has gone. When the socket is full the thread comes back: it must not wait for a peer. To
 * wait for room, the next piece is read into a buffer and written by the stream's own
 * write, which waits as any write does; then a thread goes on with sendfile(2).
 *
 * Where there is no sendfile(2) for this pair of descriptors every piece goes that way.
 *
 * The thread has a duplicate of the socket: a close by another task closes the stream's,
 * and its number may be anybody's. The stream's `is_sending` keeps other writers out
 * between pieces; the stream itself is kept by a reference, the file by its count.
 *
 * Given up: half a file is half a message, so the stream is broken as by half a write.
 */
#include <cede/sendfile.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/sendfile.h>
#endif

#include "loop/file_int.h"
#include "net/stream_int.h"

struct sending {
	cede_stream_t *stream;
	cede_file_t *file;
	int64_t offset, left, sent;
	int fd; /* -1: there is no way but through memory */
	int is_at_end;
};

/* ---- without copying ---- */

#ifdef __linux__

enum { SENT = 0, FULL = 1, AT_END = 2 };

/* In a thread. SENT: all of it; FULL: the socket takes no more; AT_END: the file has no more. */
static ssize_t
send_pieces(struct cede__file_job *job)
{
	while (job->copied < job->length) {
		const int64_t left = job->length - job->copied;
		const size_t size = left < (int64_t)CEDE__FILE_PIECE ? (size_t)left
								     : CEDE__FILE_PIECE;
		off_t offset = job->offset + job->copied;
		const ssize_t n = sendfile(job->mode, job->file->fd, &offset, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? FULL : -errno;
		if (n == 0)
			return AT_END;
		job->copied += n;
		if (job->copied < job->length && atomic_load(&job->is_given_up))
			return CEDE_ECANCELED;
	}
	return SENT;
}

/* sendfile(2) can't be told that a lost peer is no reason for a signal, so it is kept from this thread. */
static ssize_t
send_without_signal(struct cede__file_job *job)
{
	static const struct timespec at_once;
	sigset_t pipe_signal, before;
	ssize_t r;

	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
	r = send_pieces(job);
	if (r == CEDE_EPIPE)
		sigtimedwait(&pipe_signal, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

static int
is_unable(ssize_t result)
{
	return result == CEDE_EINVAL || result == -ENOSYS || result == CEDE_ENOTSUP ||
		result == -EOVERFLOW;
}

/* 0: it has gone as far as it goes; or a code. */
CEDE_SUSPENDS static int
send_directly(struct sending *x)
{
	struct cede__file_job job = {
		.verb = send_without_signal,
		.file = x->file,
		.mode = x->fd,
		.offset = x->offset,
		.length = x->left,
	};
	const ssize_t r = cede__file_perform(&job);

	x->offset += job.copied;
	x->left -= job.copied;
	x->sent += job.copied;
	if (job.copied > 0)
		x->stream->active_ms = cede__loop_time(x->stream->loop);
	x->is_at_end = r == AT_END;
	if (job.copied == 0 && is_unable(r)) {
		close(x->fd);
		x->fd = -1;
		return 0;
	}
	return r < 0 ? (int)r : 0;
}

/* -1: through memory, then: what is encrypted goes no other way. A descriptor that blocks would hold the thread until the peer reads. */
static int
duplicate(const cede_stream_t *s)
{
	const int flags = s->fd < 0 || !cede__stream_is_bare(s) ? 0 : fcntl(s->fd, F_GETFL);

	return flags > 0 && (flags & O_NONBLOCK) ? fcntl(s->fd, F_DUPFD_CLOEXEC, 0) : -1;
}

#else

CEDE_SUSPENDS static int
send_directly(struct sending *x)
{
	return 0;
}

static int
duplicate(const cede_stream_t *s)
{
	return -1;
}

#endif

/* ---- through memory ---- */

/* A write of ours among those that is_sending keeps out. */
CEDE_SUSPENDS static int
write_piece(struct sending *x, const char *data, size_t size)
{
	cede_stream_t *s = x->stream;
	cede_write_t op = { .written = 0 };
	int r;

	s->is_sending = 0;
	r = cede_write_start(s, data, size, &op);
	s->is_sending = 1;
	if (r == 0)
		r = cede_await(&op.future);
	x->offset += (int64_t)op.written;
	x->left -= (int64_t)op.written;
	x->sent += (int64_t)op.written;
	return r;
}

CEDE_SUSPENDS static int
send_piece(struct sending *x)
{
	struct cede__buffers *buffers = &x->stream->loop->buffers;
	struct cede__buffer *buffer = cede__buffer_take(buffers, CEDE__BUFFER_USUAL);
	ssize_t n;
	int r;

	if (!buffer)
		return CEDE_ENOMEM;
	n = cede_file_read(x->file, buffer->data,
		x->left < (int64_t)buffer->size ? (size_t)x->left : buffer->size, x->offset);
	x->is_at_end = n == 0;
	r = n > 0 ? write_piece(x, buffer->data, (size_t)n) : (int)n;
	cede__buffer_give(buffers, buffer);
	return r;
}

/* ---- both ---- */

/* Another task may have closed the stream while this one was waiting for the disk. */
static int
look_at_stream(const cede_stream_t *s)
{
	return s->is_closed ? CEDE_ECANCELED : s->is_timed_out ? CEDE_ETIMEDOUT : 0;
}

CEDE_SUSPENDS static int
send_all(struct sending *x)
{
	int r = 0;

	while (x->left > 0 && !x->is_at_end && r == 0) {
		if (x->fd >= 0)
			r = send_directly(x);
		if (r == 0)
			r = look_at_stream(x->stream);
		if (r == 0 && x->left > 0 && !x->is_at_end)
			r = send_piece(x);
	}
	return r;
}

/* Half a message is of no use to anybody. */
static void
break_stream(cede_stream_t *s)
{
	s->is_broken = 1;
	cede__stream_close_transport(s, 1);
}

CEDE_SUSPENDS static int
send_file(struct sending *x)
{
	cede_stream_t *s = cede__stream_ref(x->stream);
	int r;

	cede__file_use(x->file);
	s->is_sending = 1;
	x->fd = duplicate(s);
	r = send_all(x);
	if (x->fd >= 0)
		close(x->fd);
	if (s->is_released)
		r = CEDE_ECANCELED;
	else if (x->sent > 0 && (r == CEDE_EXIT || r == CEDE_ETIMEDOUT))
		break_stream(s);
	s->is_sending = 0;
	cede__file_unuse(x->file);
	cede__stream_unref(s);
	return r;
}

int
cede_sendfile(cede_stream_t *s, cede_file_t *file, int64_t offset, int64_t size, int64_t *ret_sent)
{
	struct sending x = { .stream = s, .file = file, .offset = offset, .left = size };
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r == 0)
		r = offset < 0 || size < 0 ? CEDE_EINVAL : cede__stream_check_write(s, 0);
	if (r == 0 && file->is_closed)
		r = CEDE_EBADF;
	if (r == 0)
		r = send_file(&x);
	if (ret_sent)
		*ret_sent = x.sent;
	return r;
}
