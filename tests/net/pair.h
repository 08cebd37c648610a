/*
 * What the tests of net/ share: a body that runs in a task and ends with the
 * leak gate, and a connection whose one end is a stream and whose other end is a
 * raw socket.
 *
 *     TASK_TEST(tcp_accept, returns_a_stream) { … }
 *     PAIR_TEST(stream_read, returns_what_there_is) { … p->stream, p->peer … }
 *
 * A pair's stream or peer that the body closed itself it sets to NULL or -1.
 */
#ifndef CEDE_TESTS_NET_PAIR_H
#define CEDE_TESTS_NET_PAIR_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <cede/cede.h>
#include <cede/uv.h>

#include "net/stream_int.h"
#include "tests/support/fault.h"
#include "tests/support/leaks.h"
#include "tests/support/peer.h"

struct pair {
	cede_listener_t *listener;
	unsigned port;
	cede_stream_t *stream;
	int peer;
};

/** Listens on a port of the system's choice. */
static inline cede_listener_t *
listen_any(unsigned *ret_port)
{
	cede_listener_t *listener = NULL;
	char address[56];

	cr_assert_eq(cede_tcp_listen("127.0.0.1:0", NULL, &listener), 0);
	cr_assert_eq(cede_listener_address(listener, address, sizeof address), 0);
	*ret_port = peer_port(address);
	return listener;
}

/** A connection with buffers of these sizes; 0: the system's. */
static inline void
pair_open_sized(struct pair *p, int send_bytes, int peer_receive_bytes)
{
	p->listener = listen_any(&p->port);
	p->peer = peer_connect_sized(p->port, peer_receive_bytes);
	cr_assert_eq(cede_accept(p->listener, &p->stream), 0);
	if (send_bytes > 0)
		setsockopt(p->stream->fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
}

static inline void
pair_open(struct pair *p)
{
	pair_open_sized(p, 0, 0);
}

static inline void
pair_close(struct pair *p)
{
	cede_close(p->stream);
	if (p->peer >= 0)
		peer_close(p->peer);
	cede_listener_close(p->listener);
}

/** Waits, without the loop, until the kernel has something for a descriptor. */
static inline void
wait_until_readable(int fd)
{
	struct pollfd wanted = { .fd = fd, .events = POLLIN };

	while (poll(&wanted, 1, PEER_LIMIT_S * 1000) < 0)
		cr_assert_eq(errno, EINTR);
	cr_assert(wanted.revents, "nothing came");
}

/** Lets all ready tasks run once. */
static inline void
let_others_run(void)
{
	cr_assert_eq(cede_sleep(0), 0);
}

/** From here on the running task is being closed: every await returns CEDE_EXIT. */
static inline void
close_oneself(void)
{
	cr_assert_eq(cede_task_cancel(cede_task_current()), 1);
}

static inline int
run_pair_body(void *body)
{
	void (*const *fn)(struct pair *) = body;
	struct pair p = { .peer = -1 };

	pair_open(&p);
	(*fn)(&p);
	pair_close(&p);
	return 0;
}

static inline int
run_task_body(void *body)
{
	void (*const *fn)(void) = body;

	(*fn)();
	return 0;
}

/** Runs a body in a task of a loop of its own. */
static inline void
run_gated(cede_fn *fn, void *arg)
{
	leaks_begin();
	cr_assert_eq(cede_run(fn, arg), 0);
	leaks_end();
}

/* A body that was closed by close_oneself() has been ended with CEDE_ECANCELED. */
static inline void
run_gated_to_its_end(cede_fn *fn, void *arg)
{
	int r;

	leaks_begin();
	r = cede_run(fn, arg);
	cr_assert(r == 0 || r == CEDE_ECANCELED, "ended with %s", cede_strerror(r));
	leaks_end();
}

/** A pair whose loop is the test's own, for calls outside all tasks. */
struct outside {
	struct pair pair;
	cede_loop_t *loop;
	uv_loop_t uv;
};

static inline int
open_outside(void *pair)
{
	pair_open(pair);
	return 0;
}

static inline void
count_ended(int result, void *count)
{
	cr_assert_eq(result, 0);
	++*(int *)count;
}

static inline void
outside_open(struct outside *o)
{
	int ended = 0;

	cr_assert_eq(uv_loop_init(&o->uv), 0);
	cr_assert_eq(cede_attach(&o->loop, &o->uv, NULL), 0);
	cr_assert_eq(cede_start(o->loop, open_outside, &o->pair, count_ended, &ended), 0);
	while (!ended)
		uv_run(&o->uv, UV_RUN_ONCE);
}

/** The stream and the listener are left to cede_detach(). */
static inline void
outside_close(struct outside *o)
{
	cr_assert_eq(cede_detach(o->loop), 0);
	cr_assert_eq(uv_loop_close(&o->uv), 0);
	peer_close(o->pair.peer);
}

/** What fails under want of memory: 0, or the code it got. */
typedef int faulty_fn(struct pair *pair);

struct faulty {
	faulty_fn *fn;
	unsigned nth;
	enum fault_mode mode;
	unsigned failed, requests;
};

/* Sleeps that leave no free place in the timer heap: the next timer needs memory. */
struct sleepers {
	cede_sleep_t ops[256];
	unsigned count;
};

static inline void
fill_timers(struct sleepers *s)
{
	const struct cede__timers *t = &cede_loop_current()->timers;

	for (s->count = 0; t->count + t->reserved + 1 < t->capacity; s->count++) {
		cr_assert_lt(s->count, 256);
		cr_assert_eq(cede_sleep_start(1000000, &s->ops[s->count]), 0);
	}
}

static inline void
empty_timers(struct sleepers *s)
{
	while (s->count > 0)
		cede_future_cancel(&s->ops[--s->count].future);
}

static inline int
run_faulty(void *arg)
{
	struct faulty *f = arg;
	static struct sleepers sleepers; /* large for a coroutine's stack */
	struct pair p;
	int r;

	pair_open(&p);
	fill_timers(&sleepers);
	fault_arm(f->nth, f->mode);
	r = f->fn(&p);
	f->requests = fault_requests();
	f->failed = fault_disarm();
	cr_assert(r == 0 || (f->failed > 0 && r == CEDE_ENOMEM), "allocation %u: %s", f->nth,
		cede_strerror(r));
	empty_timers(&sleepers);
	pair_close(&p);
	return 0;
}

/**
 * Runs fn on a fresh pair with its first allocation failing, then its second, …
 * until a run in which there is none left to fail. Returns how many failed.
 */
static inline unsigned
expect_failures_are_survived(faulty_fn *fn, enum fault_mode mode)
{
	struct faulty f = { .fn = fn, .mode = mode };

	leaks_begin();
	fault_install();
	do {
		f.nth++;
		cr_assert_eq(cede_run(run_faulty, &f), 0);
		leaks_end();
	} while (f.failed > 0);
	return f.nth - 1;
}

#define TASK_TEST(suite, name) \
	static void suite##_##name(void); \
	Test(suite, name) \
	{ \
		void (*body)(void) = suite##_##name; \
		run_gated_to_its_end(run_task_body, &body); \
	} \
	static void suite##_##name(void)

#define PAIR_TEST(suite, name) \
	static void suite##_##name(struct pair *p); \
	Test(suite, name) \
	{ \
		void (*body)(struct pair *) = suite##_##name; \
		run_gated_to_its_end(run_pair_body, &body); \
	} \
	static void suite##_##name(struct pair *p)

#endif
