/*
 * Two tasks at the two ends of a pair of unix sockets, which brings what is written at
 * once and leaves nothing behind in the system.
 */
#ifndef CEDE_TESTS_SCENARIOS_ENDS_H
#define CEDE_TESTS_SCENARIOS_ENDS_H

#include "tests/scenarios/scenario.h"

#include <sys/socket.h>
#include <unistd.h>

#include "net/stream_int.h"

/* 0, with both ends; or CEDE_ENOMEM with none. */
static inline int
open_pair(cede_stream_t *ends[2])
{
	cede_loop_t *loop = cede_loop_current();
	int fds[2], r;

	ends[1] = NULL;
	r = cede__stream_create(loop, UV_NAMED_PIPE, &ends[0]);
	if (r < 0)
		return r;
	r = cede__stream_create(loop, UV_NAMED_PIPE, &ends[1]);
	if (r < 0) {
		cede_close(ends[0]);
		return r;
	}
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	require(cede__stream_open(ends[0], fds[0]) == 0);
	require(cede__stream_open(ends[1], fds[1]) == 0);
	return 0;
}

static inline void
close_pair(cede_stream_t *ends[2])
{
	cede_close(ends[0]);
	cede_close(ends[1]);
}

/* What a peer that has gone says, when one of two is cancelled. */
static inline int
unless_gone(int r)
{
	return r == CEDE_EPIPE || r == CEDE_ECONNRESET || r == CEDE_ECANCELED ? 0 : r;
}

/* Runs a body on each end, to the end of both; whoever ends half-closes. */
static inline int
run_pair(cede_fn *first, cede_fn *second)
{
	cede_stream_t *ends[2];
	int r = open_pair(ends);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, first, ends[0]);
		if (r == 0)
			r = cede_spawn(&group, second, ends[1]);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	close_pair(ends);
	return r;
}

/* The end of a body: the other side must not wait for more, or for room. */
static inline int
end_with(cede_stream_t *s, ssize_t n)
{
	(void)cede_shutdown_write(s);
	if (n < 0)
		shutdown(s->fd, SHUT_RD); /* as a close does, which comes when both have ended */
	return n < 0 ? unless_gone((int)n) : 0;
}

#endif
