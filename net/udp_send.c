/*
 * UDP: sending. A single datagram is a batch of one, which lies in its operation
 * while it waits.
 *
 * Of what the system does not take it says why: its buffer is full, and a poll tells when
 * there is room (CEDE_EAGAIN); or it is short of memory, which no poll tells the end of
 * (CEDE_ENOBUFS): that is tried again after a pause.
 */
#include "net/udp_int.h"

#define PAUSE_MS_MIN 1
#define PAUSE_MS_MAX 100

static int
is_shortage(int code)
{
	return code == CEDE_ENOBUFS || code == CEDE_ENOMEM;
}

/*
 * Sends what goes. 0: all of it; CEDE_EAGAIN: no room, or enough for now; a
 * shortage; or the error of the next.
 */
static int
send_some(cede_udp_t *u, cede_udp_send_t *op)
{
	const unsigned limit = op->sent + CEDE__UDP_IN_A_ROW;
	int r = 0;

	if (op->count == 1) {
		r = cede__udp_send_one(u, op->datagrams->data, op->datagrams->size,
			&op->datagrams->peer);
		op->sent = r == 0;
	}
	while (r == 0 && op->sent < op->count && op->sent < limit)
		r = cede__udp_send_batch(u, op->datagrams + op->sent, op->count - op->sent,
			&op->sent);
	if (!is_shortage(r))
		u->pause_ms = 0;
	return r == 0 && op->sent < op->count ? CEDE_EAGAIN : r;
}

static void
begin_pause(cede_udp_t *u)
{
	u->pause_ms = u->pause_ms ? u->pause_ms * 2 : PAUSE_MS_MIN;
	if (u->pause_ms > PAUSE_MS_MAX)
		u->pause_ms = PAUSE_MS_MAX;
	(void)cede__timer_start(u->loop, &u->pause, u->pause_ms); /* reserved */
}

void
cede__udp_serve_sender(cede_udp_t *u)
{
	cede_udp_send_t *op = u->sender;
	int r = send_some(u, op);

	if (r == CEDE_EAGAIN)
		return;
	if (is_shortage(r)) {
		begin_pause(u);
		return;
	}
	u->sender = NULL;
	cede_future_resolve(&op->future, r, NULL);
}

void
cede__udp_pause_ends(struct cede__timer *timer)
{
	cede_udp_t *u = cede__container_of(timer, cede_udp_t, pause);

	if (u->sender)
		cede__udp_serve_sender(u);
	if (u->sender && timer->index == 0 && cede__udp_watch(u, u->events | UV_WRITABLE) < 0)
		begin_pause(u);
}

static void
cancel_send(cede_future_t *future)
{
	cede_udp_send_t *op = cede__container_of(future, cede_udp_send_t, future);

	op->udp->sender = NULL;
	cede__timer_stop(&op->udp->pause);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

/* 0: it waits, or a code of libuv's. */
static int
wait(cede_udp_t *u, cede_udp_send_t *op, int why)
{
	int r = 0;

	if (is_shortage(why))
		begin_pause(u);
	else
		r = cede__udp_watch(u, u->events | UV_WRITABLE);
	if (r < 0)
		return r;
	cede_future_init(&op->future, cancel_send);
	op->udp = u;
	u->sender = op;
	return 0;
}

/* Is a send possible at all? 0: try. */
static int
check(const cede_udp_t *u)
{
	if (cede__unlikely(u->sender != NULL))
		return CEDE_EBUSY;
	return cede__unlikely(u->is_closed) ? CEDE_ECANCELED : 0;
}

static int
must_wait(int code)
{
	return code == CEDE_EAGAIN || is_shortage(code);
}

static int
start(cede_udp_t *u, cede_udp_send_t *op)
{
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r < 0)
		return r;
	r = check(u);
	if (r == CEDE_EBUSY)
		return r;
	if (r == 0)
		r = send_some(u, op);
	if (must_wait(r))
		return wait(u, op, r);
	cede_future_init(&op->future, NULL);
	cede_future_resolve(&op->future, r, NULL);
	return 0;
}

/*
 * A sender for which there is always room lets the others run now and then. It is sent;
 * the next await says what has come up.
 */
CEDE_SUSPENDS static int
give_way(cede_udp_t *u)
{
	int r;

	u->sent_in_a_row = 0;
	r = cede_sleep(0);
	return r < 0 ? 0 : r;
}

static void
put_one(cede_udp_send_t *op, const void *data, size_t size, const cede_address_t *to)
{
	op->one.data = (void *)data;
	op->one.size = size;
	if (to)
		op->one.peer = *to;
	else
		op->one.peer.size = 0;
	op->datagrams = &op->one;
	op->count = 1;
	op->sent = 0;
}

int
cede_udp_send_start(cede_udp_t *u, const void *data, size_t size, const cede_address_t *to,
	cede_udp_send_t *op)
{
	put_one(op, data, size, to);
	return start(u, op);
}

ssize_t
cede_udp_send(cede_udp_t *u, const void *data, size_t size, const cede_address_t *to)
{
	cede_loop_t *loop;
	cede_udp_send_t op;
	int r = cede__await_admit(&loop);

	if (cede__likely(r == 0))
		r = check(u);
	if (cede__unlikely(r < 0))
		return r;
	r = cede__udp_send_one(u, data, size, to);
	if (cede__unlikely(must_wait(r))) {
		put_one(&op, data, size, to);
		r = wait(u, &op, r);
		if (r == 0)
			r = cede_await(&op.future);
	} else if (cede__unlikely(r == 0 && ++u->sent_in_a_row >= CEDE__UDP_IN_A_ROW)) {
		r = give_way(u);
	}
	return cede__likely(r == 0) ? (ssize_t)size : r;
}

ssize_t
cede_udp_try_send(cede_udp_t *u, const void *data, size_t size, const cede_address_t *to)
{
	int r = check(u);

	if (r == 0)
		r = cede__udp_send_one(u, data, size, to);
	if (r == 0)
		return (ssize_t)size;
	return is_shortage(r) ? CEDE_EAGAIN : r;
}

int
cede_udp_send_many_start(cede_udp_t *u, const cede_datagram_t *datagrams, unsigned count,
	cede_udp_send_t *op)
{
	op->datagrams = datagrams;
	op->count = count;
	op->sent = 0;
	return datagrams || count == 0 ? start(u, op) : CEDE_EINVAL;
}

int
cede_udp_send_many(cede_udp_t *u, const cede_datagram_t *datagrams, unsigned count,
	unsigned *ret_sent)
{
	cede_udp_send_t op = { .datagrams = datagrams, .count = count };
	int r = cede_udp_send_many_start(u, datagrams, count, &op);

	if (r == 0)
		r = cede_await(&op.future);
	if (ret_sent)
		*ret_sent = op.sent;
	return r;
}
