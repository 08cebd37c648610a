/*
 * The standard descriptors of child processes: pipes, whose one end is a stream.
 *
 * Real pipes and not socket pairs, which libuv would make: a child may open
 * /dev/stdout, which is refused for a socket, and what it does with a closed pipe is
 * what it does in a shell. Two open files, so that non-blocking is this end alone.
 *
 * The process has its streams until one is closed, which clears its place, or is
 * taken. All that may fail is done before the child is there.
 */
#include <fcntl.h>
#include <unistd.h>

#include "loop/process.h"
#include "net/stream_int.h"

/* The child's descriptors, and which of them are to be closed when it has them. */
struct child_fds {
	int fds[3];
	int owned[3]; /* or -1 */
};

static void
close_stdio(cede_process_t *p)
{
	for (int i = 0; i < 3; i++)
		cede_close(p->stdio[i]); /* clears its place */
}

/* Not one of the three, where the parent has closed its own: libuv closes none of those. */
static int
move_up(int *fd)
{
	int moved;

	if (*fd > STDERR_FILENO)
		return 0;
	moved = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (moved < 0)
		return -errno;
	close(*fd);
	*fd = moved;
	return 0;
}

static int
make_pipe(int fds[2])
{
	int r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r = move_up(&fds[0]);
	if (r == 0)
		r = move_up(&fds[1]);
	if (r < 0) {
		close(fds[0]);
		close(fds[1]);
	}
	return r;
}

static int
open_pipe(cede_process_t *p, int number, struct child_fds *child)
{
	const int is_input = number == 0;
	cede_stream_t *s;
	int fds[2], r = cede__stream_create(p->loop, UV_NAMED_PIPE, &s);

	if (r < 0)
		return r;
	s->place = &p->stdio[number];
	p->stdio[number] = s;
	r = make_pipe(fds);
	if (r < 0)
		return r;
	child->fds[number] = child->owned[number] = fds[!is_input];
	return cede__stream_open(s, fds[is_input]);
}

static int
open_one(cede_process_t *p, int number, cede_process_io_t io, struct child_fds *child)
{
	switch (io.kind) {
	case CEDE_PROCESS_DEFAULT:
		child->fds[number] = number == 0 ? -1 : number;
		return 0;
	case CEDE_PROCESS_NULL:
		return 0;
	case CEDE_PROCESS_INHERIT:
		child->fds[number] = number;
		return 0;
	case CEDE_PROCESS_PIPE:
		return open_pipe(p, number, child);
	case CEDE_PROCESS_FD:
		child->fds[number] = io.fd;
		return io.fd < 0 ? CEDE_EINVAL : fcntl(io.fd, F_GETFD) < 0 ? CEDE_EBADF : 0;
	case CEDE_PROCESS_STDOUT:
		child->fds[number] = child->fds[1];
		return number == 2 ? 0 : CEDE_EINVAL;
	}
	return CEDE_EINVAL;
}

int
cede_process_spawn(const cede_process_options_t *o, cede_process_t **ret_process)
{
	struct child_fds child = { { -1, -1, -1 }, { -1, -1, -1 } };
	cede_loop_t *loop = cede_loop_current();
	cede_process_t *p;
	int r;

	if (!loop)
		return CEDE_ENOTASK;
	r = cede__process_create(loop, o, &p);
	if (r < 0)
		return r;
	p->close_stdio = close_stdio;

	r = open_one(p, 0, o->in, &child);
	if (r == 0)
		r = open_one(p, 1, o->out, &child);
	if (r == 0)
		r = open_one(p, 2, o->err, &child);
	if (r < 0)
		cede__process_discard(p);
	else
		r = cede__process_exec(p, o, child.fds);

	for (int i = 0; i < 3; i++)
		if (child.owned[i] >= 0)
			close(child.owned[i]);
	if (r == 0)
		*ret_process = p;
	return r;
}

cede_stream_t *
cede_process_stdin(const cede_process_t *p)
{
	return p->stdio[0];
}

cede_stream_t *
cede_process_stdout(const cede_process_t *p)
{
	return p->stdio[1];
}

cede_stream_t *
cede_process_stderr(const cede_process_t *p)
{
	return p->stdio[2];
}

cede_stream_t *
cede_process_take(cede_process_t *p, int number)
{
	cede_stream_t *s = number >= 0 && number < 3 ? p->stdio[number] : NULL;

	if (s) {
		s->place = NULL;
		p->stdio[number] = NULL;
	}
	return s;
}
