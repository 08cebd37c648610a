/**
 * Streams: what bytes flow through in order, both ways or one: TCP connections,
 * unix sockets, the ends of a pipe, terminals, handles of libuv's that an application
 * hands over (<cede/uv.h>), memory, any of them encrypted (<cede/tls.h>).
 *
 * Reading waits, then reads once into the caller's buffer; nothing is copied
 * and an idle connection holds no buffer. Writing sends first and waits only
 * for what is left, so a peer that does not read holds the writer back: nothing
 * is queued without end. At most one task reads and one writes at a time.
 *
 * Some reads look ahead: for the end of a line, or at what a parser has not asked for
 * yet. What they have read and not handed out stays in the stream, and every later
 * read begins with it, also when a limit has passed or the peer is gone, so all kinds
 * can be mixed. While one of them waits for more, every other read is CEDE_EBUSY.
 *
 * Threads: all calls in the loop's thread, those that suspend in a task of it.
 */
#ifndef CEDE_STREAM_H
#define CEDE_STREAM_H

#include <sys/uio.h> /* struct iovec */

#include <cede/base.h>
#include <cede/future.h>

CEDE__BEGIN

/** A stream. The library's memory; ends with cede_close() or cede_abort(). */
typedef struct cede_stream cede_stream_t;

/** A read that was started. On the caller's stack. */
typedef struct cede_read_op {
	cede_future_t future; /**< result: as cede_read() */

	/* private */
	cede_stream_t *stream;
	void *buffer;
	size_t size;
	int kind;
} cede_read_t;

/** A write that was started. On the caller's stack. */
typedef struct cede_write_op {
	cede_future_t future; /**< result: 0 when all of it was written */
	size_t written;       /**< bytes handed to the system, whatever the result */

	/* private */
	cede_stream_t *stream;
	size_t size;
	const struct iovec *pieces;
	int count;
	size_t skip;
	struct iovec one;
} cede_write_t;

/**
 * Reads what there is, at least one byte.
 *
 * @param size  1 to INT_MAX
 * @return >0: so many bytes; 0: the peer has sent its end of file, and so from
 *   now on; or
 *   CEDE_ETIMEDOUT    the stream's idle limit, or a timeout scope, has passed
 *   CEDE_EBUSY        another task is reading
 *   CEDE_ECANCELED    the stream was closed meanwhile
 *   CEDE_EBADF        a pipe's writing end
 *   CEDE_EXIT, CEDE_ENOTASK, CEDE_EINVAL, or the system's: CEDE_ECONNRESET, …
 *
 * Suspends when there is nothing yet. A cancel loses no byte: what had not
 * been read will be by the next call.
 */
CEDE_API CEDE_SUSPENDS ssize_t cede_read(cede_stream_t *stream, void *buffer, size_t size);

/** Starts a read. The buffer is used until the future is done. 0, CEDE_EBUSY, CEDE_EINVAL, CEDE_ENOTASK. */
CEDE_API int cede_read_start(cede_stream_t *stream, void *buffer, size_t size, cede_read_t *op);

/**
 * cede_read() into a buffer of the library's, which is lent: what a server with
 * many connections uses. The buffer is as large as what comes makes worth while,
 * it is warm from the last connection that had it, and one that waits has none.
 *
 *     while ((n = cede_read_lend(s, &data)) > 0)
 *             if ((n = cede_write(s, data, (size_t)n)) < 0)
 *                     break;
 *
 * @param ret_data  the bytes; valid until the next read of any kind from this stream,
 *                  cede_read_return(), or its close
 * @return as cede_read(); CEDE_ENOMEM
 *
 * Suspends, cancels: as cede_read().
 */
CEDE_API CEDE_SUSPENDS ssize_t cede_read_lend(cede_stream_t *stream, const void **ret_data);

/** Starts a lending read; its future's value is the data. 0, CEDE_EBUSY, CEDE_ENOTASK. */
CEDE_API int cede_read_lend_start(cede_stream_t *stream, cede_read_t *op);

/** Gives the lent buffer back early: before a long wait for something else. */
CEDE_API void cede_read_return(cede_stream_t *stream);

/**
 * Looks at what comes next without taking it: at least @size bytes, unless the end
 * of file comes before. For parsers, which take with cede_read_skip() what they have
 * understood.
 *
 * @param size      1 to 262,144
 * @param ret_data  the bytes; valid until the next read of any kind, cede_read_skip(),
 *                  cede_read_return(), or the stream's close
 * @return how many there are, which may be more than @size; fewer, also 0: the peer's
 *   end of file follows; as cede_read(); CEDE_ENOMEM
 *
 * Suspends until there are so many. A cancel loses nothing.
 */
CEDE_API CEDE_SUSPENDS ssize_t cede_peek(cede_stream_t *stream, size_t size, const void **ret_data);

/**
 * Takes bytes that cede_peek() has shown. Never suspends.
 *
 * @return 0; CEDE_EINVAL: so many are not there; CEDE_EBUSY: another task is reading
 */
CEDE_API int cede_read_skip(cede_stream_t *stream, size_t size);

/**
 * Reads until the buffer is full.
 *
 * @param ret_read  how many bytes have come, whatever the result; may be NULL
 * @return @size; 0: the peer's end of file came first; or
 *   CEDE_EOF    it came in the middle
 *   as cede_read()
 *
 * Suspends. A cancel loses nothing: the bytes up to *ret_read are in @buffer.
 */
CEDE_API CEDE_SUSPENDS ssize_t cede_read_exactly(cede_stream_t *stream, void *buffer, size_t size,
	size_t *ret_read);

/**
 * Reads up to a delimiter, and it.
 *
 *     n = cede_read_until(s, "\r\n\r\n", 4, 0, &head);      // the head of an HTTP message
 *
 * @param limit     the most there may be, the delimiter included; 0: 65,536. At most 262,144
 * @param ret_data  the bytes, lent: valid as those of cede_peek()
 * @return how many, the delimiter included; 0: the end of file, and nothing before it; or
 *   CEDE_EMSGSIZE  no delimiter within @limit
 *   CEDE_EOF       the end of file came first
 *   CEDE_ENOMEM, as cede_read()
 *
 * Suspends. Whenever it fails or is cancelled nothing is taken: what has come is read by the
 * next call of any kind.
 */
CEDE_API CEDE_SUSPENDS ssize_t cede_read_until(cede_stream_t *stream, const void *delimiter,
	size_t size, size_t limit, const void **ret_data);

/**
 * Reads a line.
 *
 *     while ((r = cede_read_line(s, 0, &line, NULL)) > 0)
 *             puts(line);
 *
 * @param limit     the longest that may be, with its end; 0: 65,536. At most 262,144
 * @param ret_line  without its "\n" or "\r\n", with a NUL instead; lent: valid as the data of
 *                  cede_peek()
 * @param ret_size  its bytes, of which some may be NUL; may be NULL
 * @return 1: a line, the last one perhaps without an end; 0: the end of file; or
 *   CEDE_EMSGSIZE  no end within @limit
 *   CEDE_ENOMEM, as cede_read()
 *
 * Suspends. As cede_read_until().
 */
CEDE_API CEDE_SUSPENDS int cede_read_line(cede_stream_t *stream, size_t limit, char **ret_line,
	size_t *ret_size);

/**
 * Writes all of it.
 *
 * @param size  0 to SSIZE_MAX; 0 writes nothing and succeeds
 * @return @size, or
 *   CEDE_EPIPE, CEDE_ECONNRESET  the peer is gone; a signal only where the application has
 *                     kept SIGPIPE: of a pipe, or of a socket for which a write has to wait
 *   CEDE_ETIMEDOUT    the peer took nothing for as long as the idle limit, or a
 *                     timeout scope has passed
 *   CEDE_EBUSY        another task is writing
 *   CEDE_ECANCELED    the stream was closed meanwhile
 *   CEDE_ESHUTDOWN    after cede_shutdown_write(); a pipe's reading end
 *   CEDE_EXIT, CEDE_ENOTASK, or the system's
 *
 * Suspends when the system's buffer is full. A write that was given up half-way
 * leaves the stream broken: half a message is of no use to anybody, so every
 * later write returns CEDE_EPIPE, and its close resets the connection.
 */
CEDE_API CEDE_SUSPENDS ssize_t cede_write(cede_stream_t *stream, const void *data, size_t size);

/** Starts a write. The data is used until the future is done. 0, CEDE_EBUSY, CEDE_EINVAL, CEDE_ENOTASK. */
CEDE_API int cede_write_start(cede_stream_t *stream, const void *data, size_t size,
	cede_write_t *op);

/**
 * cede_write() of several pieces, in order, as if they were one: a head and its body
 * in one system call.
 *
 * @param pieces  not kept; @count of them, 0 to IOV_MAX
 * @return the sum of their sizes; as cede_write(); CEDE_EINVAL
 *
 * Suspends, cancels: as cede_write().
 */
CEDE_API CEDE_SUSPENDS ssize_t cede_writev(cede_stream_t *stream, const struct iovec *pieces,
	int count);

/** Starts that. The pieces and what they point to are used until the future is done. As cede_write_start(). */
CEDE_API int cede_writev_start(cede_stream_t *stream, const struct iovec *pieces, int count,
	cede_write_t *op);

/**
 * Half-closes: the peer reads an end of file once it has read what was written;
 * this side can go on reading. A pipe's writing end has no other half: its
 * descriptor is closed, the stream is still to be closed by its owner.
 *
 * @return 0, also the second time; CEDE_EBUSY: a write is under way; CEDE_ENOTSUP:
 *   a terminal, or a pipe that is open both ways; CEDE_ENOTCONN; CEDE_EBADF, also after a
 *   write that was given up: half a message must not look whole
 *
 * Never suspends: everything written has been handed to the system.
 */
CEDE_API int cede_shutdown_write(cede_stream_t *stream);

/**
 * Closes: what was written is still delivered, unless the peer has sent what was
 * not read (the system then resets the connection). A read or write of another task
 * that is under way returns CEDE_ECANCELED. The descriptor is closed when this
 * returns and @stream must not be used again.
 *
 * @param stream  NULL is allowed
 *
 * Never suspends; works in a task that is being closed.
 */
CEDE_API void cede_close(cede_stream_t *stream);

/**
 * cede_close() that drops what was not delivered yet and resets the connection. Only
 * TCP and memory have a reset: anything else is closed.
 */
CEDE_API void cede_abort(cede_stream_t *stream);

/**
 * Bounds how long a read or write may wait while not one byte moves in either
 * direction. It then returns CEDE_ETIMEDOUT, and so does every later one.
 *
 * @param idle_ms  0: no limit, which is what a new stream has
 * @return 0; CEDE_ENOMEM: the timer heap could not grow
 */
CEDE_API int cede_stream_set_idle(cede_stream_t *stream, uint64_t idle_ms);

/**
 * Bounds how long the stream may be used at all, whatever moves: after that every
 * read and write returns CEDE_ETIMEDOUT, also those that wait then. For peers that
 * send a byte now and then, which the idle limit lets live.
 *
 * @param in_ms  from now on; 0: no limit, which is what a new stream has
 * @return 0; CEDE_ENOMEM: the timer heap could not grow, and the limit is as it was
 */
CEDE_API int cede_stream_set_deadline(cede_stream_t *stream, uint64_t in_ms);

/**
 * Makes a stream of a descriptor: a connected socket of the stream kind, an end of a
 * pipe, a terminal, such as the program's own 0, 1 and 2.
 *
 * @param fd          the stream's from here on, which closes it; the caller's on failure. Made
 *                    non-blocking, for all who share the open file
 * @param ret_stream  the caller's
 * @return 0; or
 *   CEDE_EBADF    it is not open
 *   CEDE_EINVAL   a regular file, a directory, a socket of another kind: what can't be waited for
 *   CEDE_ENOTCONN a listening socket, or one that is not connected
 *   CEDE_EEXIST   the loop waits for something on it already. Not everything that has a
 *                 descriptor is seen: to hand over one that is not the caller's is a mistake
 *   CEDE_ENOMEM, CEDE_ENOTASK
 *
 * In a task; never suspends. Of 0, 1 and 2 the close leaves the descriptor open.
 */
CEDE_API int cede_stream_open_fd(int fd, cede_stream_t **ret_stream);

/**
 * Makes two streams that are connected to each other in memory: what one writes the other
 * reads. For a program's own parts that speak a protocol with each other, and for
 * tests. Both have both halves; there is no descriptor, and nothing to connect.
 *
 * A close is the other's end of file behind what was written; its own writes then fail
 * with CEDE_EPIPE. cede_abort() is a reset: what was written and not read is dropped,
 * and the other gets CEDE_ECONNRESET.
 *
 * @param ret_a     the caller's, as is the other one; each is closed by itself
 * @param capacity  bytes that may be on their way in each direction before a writer waits;
 *                  0: 65,536. At most 2^30. Taken at once, and no more later
 * @return 0; CEDE_EINVAL, CEDE_ENOMEM, CEDE_ENOTASK
 *
 * In a task; never suspends. Both ends are the running task's loop's.
 */
CEDE_API int cede_stream_pair(cede_stream_t **ret_a, cede_stream_t **ret_b, size_t capacity);

/**
 * Ends a stream without closing its descriptor, which is the caller's.
 *
 * @return the descriptor, another number for the same open file; or
 *   CEDE_EBUSY   a read or write is under way, or bytes were read ahead and not taken
 *   CEDE_ENOTSUP it is encrypted, in memory, or adopted (cede_stream_release(), <cede/uv.h>)
 *   CEDE_EBADF   it was closed by a write that was given up, or a limit
 *   CEDE_EMFILE, …: the stream is as it was
 *
 * Never suspends.
 */
CEDE_API int cede_stream_release_fd(cede_stream_t *stream);

/**
 * Writes the name of the peer's end of the stream: "127.0.0.1:7000", "[::1]:7000",
 * "[fe80::1%eth0]:7000", with the interface's number where its name has no room; of a
 * unix socket its path, "@name" or, where it has no name, "@". Behind a proxy it is what
 * the PROXY header has stated (<cede/serve.h>).
 *
 * @param size  of @buffer; 56 is enough for TCP, CEDE_UNIX_NAME_SIZE (110) for any
 * @return 0; CEDE_ENOBUFS: @size is too small; CEDE_ENOTSUP: it is in memory; the system's,
 *   CEDE_ENOTCONN for one
 */
CEDE_API int cede_stream_peer(const cede_stream_t *stream, char *buffer, size_t size);

/** The same for this end. */
CEDE_API int cede_stream_local(const cede_stream_t *stream, char *buffer, size_t size);

CEDE__END

#endif
