#include "jobs.h"

#include <stdlib.h>
#include <string.h>

int
job_sleep(void *arg)
{
	const struct sleep_job *job = arg;

	return cede_sleep(job->delay_ms);
}

/* ---- a line there, a line back ---- */

/* The reply is as long as what came before the end of the line. */
CEDE_SUSPENDS static int
receive_line(cede_stream_t *s, struct fetch_job *job)
{
	size_t capacity = 0;

	for (;;) {
		char *end;
		ssize_t n;

		if (job->reply_size == capacity) {
			char *larger;

			if (capacity == JOB_LINE_MAX)
				return cede_raise(CEDE_ENOBUFS, "no end of line in %zu bytes",
					capacity);
			capacity = capacity ? capacity * 4 : 1024;
			larger = realloc(job->reply, capacity);
			if (!larger)
				return CEDE_ENOMEM;
			job->reply = larger;
		}
		n = cede_read(s, job->reply + job->reply_size, capacity - job->reply_size);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return cede_raise(CEDE_EOF, "%s ended before its line did", job->address);
		end = memchr(job->reply + job->reply_size, '\n', (size_t)n);
		job->reply_size += (size_t)n;
		if (end) {
			job->reply_size = (size_t)(end - job->reply);
			return 0;
		}
	}
}

CEDE_SUSPENDS static int
fetch(struct fetch_job *job)
{
	cede_stream_t *s;
	ssize_t n;
	int r = cede_tcp_connect(job->address, &s);

	if (r == CEDE_EXIT || r == CEDE_ETIMEDOUT)
		return r;
	if (r < 0)
		return cede_raise(r, "%s: %s", job->address, cede_strerror(r));
	n = cede_write(s, job->line, job->line_size);
	r = n < 0 ? (int)n : receive_line(s, job);
	cede_close(s);
	return r;
}

int
job_fetch_line(void *arg)
{
	struct fetch_job *job = arg;
	int r = CEDE_EINVAL;

	if (job->timeout_ms == 0)
		return fetch(job);
	CEDE_TIMEOUT(job->timeout_ms) {
		r = fetch(job);
	}
	return r;
}

/* ---- the server ---- */

int
job_listen(void *arg)
{
	struct serve_job *job = arg;
	int r = cede_tcp_listen(job->address, NULL, &job->listener);

	if (r < 0)
		return cede_raise(r, "%s: %s", job->address, cede_strerror(r));
	return cede_listener_address(job->listener, job->address, sizeof job->address);
}

static int
echo(void *arg)
{
	cede_stream_t *s = arg;
	const void *data;
	ssize_t n;

	while ((n = cede_read_lend(s, &data)) > 0)
		if ((n = cede_write(s, data, (size_t)n)) < 0)
			break;
	return (int)n;
}

int
job_serve_echo(void *arg)
{
	struct serve_job *job = arg;
	cede_listener_t *listener = job->listener;

	job->listener = NULL; /* cede_serve() closes it */
	return cede_serve(listener, echo, NULL);
}
