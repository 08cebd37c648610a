/*
 * What the tests of cede_serve() share: a server in a task of its own, and a note of
 * what its handlers have seen.
 */
#ifndef CEDE_TESTS_NET_SERVE_TEST_H
#define CEDE_TESTS_NET_SERVE_TEST_H

#include "tests/net/pair.h"

/* A server in a task of its own, and what its handlers have seen. */
struct server {
	cede_listener_t *listener;
	unsigned port;
	cede_fn *handler;
	cede_serve_options_t options;
	cede_task_t *task;
	int result;
	int has_ended;
};

static struct {
	int started, ended, running, running_max;
	int errors, last_error;
	ssize_t last_read;
} seen;

static inline int
serve_it(void *arg)
{
	struct server *s = arg;

	s->result = cede_serve(s->listener, s->handler, &s->options);
	s->has_ended = 1;
	return s->result;
}

static inline void
start_server(cede_group_t *g, struct server *s)
{
	if (!s->listener)
		s->listener = listen_any(&s->port);
	cr_assert_eq(cede_spawn_with(g, serve_it, s, NULL, &s->task), 0);
	let_others_run();
}

static inline int
join_server(struct server *s)
{
	int r = cede_join(s->task, NULL);

	cede_task_unref(s->task);
	cr_assert(s->has_ended);
	cr_assert_eq(r, s->result == CEDE_EXIT ? CEDE_ECANCELED : s->result);
	return s->result;
}

static inline int
stop_server(struct server *s)
{
	cede_task_cancel(s->task);
	return join_server(s);
}

static inline void
enter(void)
{
	seen.started++;
	if (++seen.running > seen.running_max)
		seen.running_max = seen.running;
}

static inline int
leave(int r)
{
	seen.running--;
	seen.ended++;
	return r;
}

static inline int
echo(void *arg)
{
	cede_stream_t *s = arg;
	char buffer[4096];
	ssize_t n;

	enter();
	while ((n = cede_read(s, buffer, sizeof buffer)) > 0)
		if ((n = cede_write(s, buffer, (size_t)n)) < 0)
			break;
	seen.last_read = n;
	return leave((int)n);
}

static inline void
wait_until_started(int count)
{
	while (seen.started < count)
		cr_assert_eq(cede_sleep(1), 0);
}

static inline void
wait_until_ended(int count)
{
	while (seen.ended < count)
		cr_assert_eq(cede_sleep(1), 0);
}

static inline void
count_error(cede_stream_t *stream, int code, void *data)
{
	cr_assert_not_null(stream);
	seen.errors++;
	seen.last_error = code;
}

#endif
