/*
 * Child processes for the drivers: started with pipes, read line by line, always
 * ended by their own number. A child dies with its parent, however that ends.
 */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct child {
	pid_t pid;   /* 0: none */
	int in, out; /* its standard input and output */
	size_t held; /* bytes read and not handed out yet */
	char buffer[512];
};

/* @argv ends with NULL; argv[0] is a path. @cpu: the only processor it may use, or -1. 0 or a negative errno code. */
int child_start(struct child *ret, const char *const *argv, int cpu);

/* One line without its newline. -ETIMEDOUT, -EPIPE: it has ended, -EINTR: a signal came to us. */
int child_read_line(struct child *c, char *line, size_t size, int timeout_ms);

int child_write_line(struct child *c, const char *text);

/* The CPU time, user and system, that it has used with all its threads. */
int child_cpu_ns(const struct child *c, uint64_t *ret);

/*
 * Ends it: closes its input and, when @terminate, sends SIGTERM; after two
 * seconds SIGKILL. 0 when it had exited with 0, else -ECHILD. A child that was
 * not started is allowed.
 */
int child_stop(struct child *c, bool terminate);

#endif
