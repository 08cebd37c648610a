/** Sending a file over a stream, without copying it where the system can. */
#ifndef CEDE_SENDFILE_H
#define CEDE_SENDFILE_H

#include <cede/base.h>
#include <cede/file.h>
#include <cede/stream.h>

CEDE__BEGIN

/**
 * Writes a part of a file to a stream, or all of it.
 *
 *     r = cede_sendfile(s, f, 0, CEDE_FILE_ALL, NULL);
 *
 * The file is read in the thread pool (<cede/file.h>), so a slow disk does not hold the
 * loop up, and a peer that does not read holds up this task only. Where the system sends
 * no file to this stream, the bytes go through memory, 64 KiB at a time.
 *
 * @param offset    from the beginning of the file; its position stays
 * @param size      bytes; CEDE_FILE_ALL: to the end
 * @param ret_sent  bytes handed to the system, whatever the result; may be NULL. Fewer than
 *                  @size when the file ends before
 * @return 0; or
 *   CEDE_EPIPE, CEDE_ECONNRESET, CEDE_ETIMEDOUT, CEDE_ECANCELED, CEDE_ESHUTDOWN
 *                    as cede_write()
 *   CEDE_EBUSY       another task is writing
 *   CEDE_EBADF       the file is being closed, or not open for reading
 *   CEDE_ESPIPE, CEDE_EIO, …  the file can't be read; the stream is whole, and *ret_sent
 *                    says what has gone
 *   CEDE_EXIT, CEDE_ENOTASK, CEDE_ENOMEM, CEDE_EINVAL
 *
 * Suspends. One that was given up half-way leaves the stream broken, as a write; one that
 * has sent nothing yet leaves it whole. While it runs every write of another task is
 * refused with CEDE_EBUSY. A close of the file waits for it.
 */
CEDE_API CEDE_SUSPENDS int cede_sendfile(cede_stream_t *stream, cede_file_t *file, int64_t offset,
	int64_t size, int64_t *ret_sent);

CEDE__END

#endif
