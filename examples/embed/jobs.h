/*
 * What both hosts can do, in coroutines. Nothing here knows of a host: a job gets
 * its arguments in a struct and leaves its result there. The addresses are texts,
 * as in <cede/tcp.h>: "127.0.0.1:7000".
 */
#ifndef EMBED_JOBS_H
#define EMBED_JOBS_H

#include <cede/cede.h>

#define JOB_ADDRESS_SIZE 64
#define JOB_LINE_MAX     ((size_t)64 * 1024)

/** Sleeps. */
struct sleep_job {
	uint64_t delay_ms;
};

int job_sleep(void *arg);

/** Connects, sends a line, receives one. */
struct fetch_job {
	char address[JOB_ADDRESS_SIZE];
	uint64_t timeout_ms; /* for all of it; 0: none */
	char *line;          /* with its end of line; malloc()ed, the job's owner frees it */
	size_t line_size;
	char *reply; /* without it; the same */
	size_t reply_size;
};

/** 0; CEDE_ETIMEDOUT; CEDE_EOF: the connection ended first; CEDE_ENOBUFS: no end of line in sight; the connection's. */
int job_fetch_line(void *arg);

/** Listens, in one task; serves, in another. */
struct serve_job {
	char address[JOB_ADDRESS_SIZE]; /* to listen on; afterwards the one listened on */
	cede_listener_t *listener;      /* the job's owner closes it, until it is served */
};

int job_listen(void *arg);

/** Sends back what comes, to any number of connections, until it is cancelled. */
int job_serve_echo(void *arg);

#endif
