#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define GRACE_MS 2000

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* In the child: only what is allowed between fork and exec. */
static void
become(const char *const *argv, int in, int out, int cpu, pid_t parent)
{
	cpu_set_t set;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(126);
	if (cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((size_t)cpu, &set);
		if (sched_setaffinity(0, sizeof set, &set) < 0)
			_exit(126);
	}
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(126);
	execv(argv[0], (char *const *)(uintptr_t)argv); /* its type is older than const */
	_exit(127);
}

int
child_start(struct child *ret, const char *const *argv, int cpu)
{
	int in[2], out[2], err;
	pid_t parent = getpid(), pid;

	if (pipe2(in, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(out, O_CLOEXEC) < 0) {
		err = -errno;
		goto in_made;
	}
	pid = fork();
	if (pid < 0) {
		err = -errno;
		goto out_made;
	}
	if (pid == 0)
		become(argv, in[0], out[1], cpu, parent);
	close(in[0]);
	close(out[1]);
	*ret = (struct child){ .pid = pid, .in = in[1], .out = out[0] };
	return 0;

out_made:
	close(out[0]);
	close(out[1]);
in_made:
	close(in[0]);
	close(in[1]);
	return err;
}

/* Hands out the first line held, if there is a whole one. */
static bool
take_line(struct child *c, char *line, size_t size)
{
	char *end = memchr(c->buffer, '\n', c->held);
	size_t length, used;

	if (!end)
		return false;
	length = (size_t)(end - c->buffer);
	used = length + 1;
	if (length >= size)
		length = size - 1;
	memcpy(line, c->buffer, length);
	line[length] = '\0';
	c->held -= used;
	memmove(c->buffer, c->buffer + used, c->held);
	return true;
}

int
child_read_line(struct child *c, char *line, size_t size, int timeout_ms)
{
	int64_t deadline = now_ms() + timeout_ms;

	while (!take_line(c, line, size)) {
		struct pollfd p = { .fd = c->out, .events = POLLIN };
		int64_t left = deadline - now_ms();
		ssize_t n;

		if (c->held == sizeof c->buffer)
			return -EMSGSIZE;
		n = poll(&p, 1, left > 0 ? (int)left : 0);
		if (n <= 0)
			return n < 0 ? -errno : -ETIMEDOUT;
		n = read(c->out, c->buffer + c->held, sizeof c->buffer - c->held);
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		c->held += (size_t)n;
	}
	return 0;
}

int
child_write_line(struct child *c, const char *text)
{
	char line[128];
	int n = snprintf(line, sizeof line, "%s\n", text);

	if (n < 0 || (size_t)n >= sizeof line)
		return -EMSGSIZE;
	return write(c->in, line, (size_t)n) == n ? 0 : -EPIPE;
}

int
child_cpu_ns(const struct child *c, uint64_t *ret)
{
	struct timespec t;
	clockid_t clock;
	int err = clock_getcpuclockid(c->pid, &clock);

	if (err != 0)
		return -err;
	if (clock_gettime(clock, &t) < 0)
		return -errno;
	*ret = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	return 0;
}

/* Waits for its end, at most GRACE_MS. */
static bool
has_ended(pid_t pid, int *ret_status)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	int64_t deadline = now_ms() + GRACE_MS;
	pid_t ended;

	while ((ended = waitpid(pid, ret_status, WNOHANG)) == 0 && now_ms() < deadline)
		nanosleep(&nap, NULL);
	return ended == pid;
}

int
child_stop(struct child *c, bool terminate)
{
	int status = 0;

	if (c->pid <= 0)
		return 0;
	close(c->in);
	if (terminate)
		kill(c->pid, SIGTERM);
	if (!has_ended(c->pid, &status)) {
		kill(c->pid, SIGKILL);
		while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	close(c->out);
	*c = (struct child){ .pid = 0 };
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}
