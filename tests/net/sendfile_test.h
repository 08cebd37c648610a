/* What the tests of sending files share: a file, a peer, a sender. */
#ifndef CEDE_TESTS_NET_SENDFILE_TEST_H
#define CEDE_TESTS_NET_SENDFILE_TEST_H

#include "tests/net/pair.h"

#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cede/file.h>
#include <cede/sendfile.h>

#include "tests/support/fault.h"

static char path[] = "/tmp/cede-sendfile-XXXXXX", fifo[sizeof path + 5];

static inline void
make_path(void)
{
	int fd = mkstemp(path);

	if (fd < 0 || close(fd) < 0)
		abort();
	snprintf(fifo, sizeof fifo, "%s.fifo", path);
}

static inline void
remove_path(void)
{
	unlink(path);
	unlink(fifo);
}

/* More than any buffers of the system hold. */
#define MUCH ((size_t)32 << 20)

#define TINY 4096

/* A file of so many bytes of the pattern. */
static inline cede_file_t *
pattern_file(size_t size)
{
	char *data = malloc(size + 1);
	cede_file_t *f = NULL;

	cr_assert_not_null(data);
	peer_fill(data, size, 0);
	cr_assert_eq(cede_file_open(path, O_RDWR | O_TRUNC, 0, &f), 0);
	cr_assert_eq(cede_file_write(f, data, size, 0, NULL), (ssize_t)size);
	free(data);
	return f;
}

struct taking {
	int fd;
	size_t piece, from, size;
	int is_wrong, result;
};

/* Takes all there is, and looks at every byte. */
static inline void *
take(void *arg)
{
	struct taking *t = arg;
	char buffer[65536];
	ssize_t n;

	while ((n = recv(t->fd, buffer, t->piece, 0)) > 0) {
		t->is_wrong |= !peer_is_pattern(buffer, (size_t)n, t->from + t->size);
		t->size += (size_t)n;
	}
	t->result = n < 0 ? -errno : 0;
	return NULL;
}

struct sender {
	cede_stream_t *stream;
	cede_file_t *file;
	int64_t size, sent;
	int result, has_ended;
};

static inline int
send_once(void *arg)
{
	struct sender *x = arg;

	x->result = cede_sendfile(x->stream, x->file, 0, x->size, &x->sent);
	x->has_ended = 1;
	return x->result == CEDE_EXIT ? CEDE_EXIT : 0;
}

/* Suspends until the sender can do no more before the peer reads. */
static inline void
wait_until_full(struct sender *x)
{
	while (!x->stream->writer)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert_not(x->has_ended);
}

#endif
