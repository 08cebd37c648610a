/*
 * A host: a program that has a loop, runs it in its own way, and has timers of its
 * own. Included by exactly one file of a program, as run.h is.
 */
#ifndef TESTS_LOOP_HOST_H
#define TESTS_LOOP_HOST_H

#include <poll.h>

#include <cede/uv.h>

#include "tests/support/run.h"

/* The ways in which a host runs its loop. Each call gives the loop one chance to go on. */
static inline void
run_default(uv_loop_t *uv)
{
	uv_run(uv, UV_RUN_DEFAULT);
}

static inline void
run_once(uv_loop_t *uv)
{
	uv_run(uv, UV_RUN_ONCE);
}

static inline void
run_nowait(uv_loop_t *uv)
{
	uv_run(uv, UV_RUN_NOWAIT);
	clock_advance(1);
}

/* As a host does that has a loop of another kind: it waits for the descriptor, or as long as libuv says. */
static inline void
run_polled(uv_loop_t *uv)
{
	struct pollfd poll_fd = { .fd = uv_backend_fd(uv), .events = POLLIN };
	const int timeout_ms = uv_backend_timeout(uv);

	cr_assert_neq(timeout_ms, -1, "there is nothing to wait for, yet the host waits");
	if (poll(&poll_fd, 1, 0) == 0 && timeout_ms > 0)
		clock_advance(timeout_ms);
	uv_run(uv, UV_RUN_NOWAIT);
}

static void (*const runners[])(uv_loop_t *) = { run_default, run_once, run_nowait, run_polled };

#define RUNNERS (sizeof runners / sizeof *runners)

struct host {
	uv_loop_t uv;
	cede_loop_t *loop;
	uv_timer_t timer;
	int n_ticks;
	int max_ticks;
	cede_future_t future;
	int n_done;
	int result;
	int detached;
};

static inline void
start_host(struct host *host)
{
	leaks_begin();
	clock_start();
	*host = (struct host){ .result = 1 };
	cr_assert_eq(uv_loop_init(&host->uv), 0);
	cr_assert_eq(cede_attach(&host->loop, &host->uv, NULL), 0);
	cr_assert_eq(cede_loop_uv(host->loop), &host->uv);
	uv_timer_init(&host->uv, &host->timer);
	host->timer.data = host;
	cede_future_init(&host->future, NULL);
}

static inline void
stop_host(struct host *host)
{
	if (!uv_is_closing((uv_handle_t *)&host->timer))
		uv_close((uv_handle_t *)&host->timer, NULL);
	uv_run(&host->uv, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&host->uv), 0);
	clock_stop();
	leaks_end();
}

static inline void
done(int result, void *data)
{
	struct host *host = data;

	host->n_done++;
	host->result = result;
}

static inline void
tick(uv_timer_t *timer)
{
	struct host *host = timer->data;

	if (++host->n_ticks == host->max_ticks)
		uv_timer_stop(timer);
}

#endif
