/*
 * UDP: receiving. One datagram, or what there is of many; the two differ in the one call
 * that take() makes.
 */
#include "net/udp_int.h"

#include <limits.h>

#define ALONE_AT_LEAST 8  /* so often in a row, before it is relied on */
#define ASKED_EVERY    16 /* report from then on */

/* Fewer than there was room for: those were all. */
static int
take_many(cede_udp_t *u, cede_udp_receive_t *op)
{
	int n = cede__udp_receive_batch(u, op->datagrams, op->count);

	if (n > 0) {
		u->received_in_a_row += (unsigned)n - 1;
		u->may_have_data = n == (int)op->count || n == CEDE__UDP_BATCH || u->late_error < 0;
	}
	return n;
}

/* Bytes or datagrams; CEDE_EAGAIN: nothing there; or an error, which ends nothing. */
static int
take(cede_udp_t *u, cede_udp_receive_t *op)
{
	size_t size = 0;
	int r = u->late_error;

	u->received_in_a_row++;
	if (cede__unlikely(r < 0)) {
		u->late_error = 0;
		return r;
	}
	if (op->datagrams)
		r = take_many(u, op);
	else
		r = cede__udp_receive_one(u, op->buffer, op->size, &size, &op->info);
	if (r == CEDE_EAGAIN)
		u->may_have_data = 0;
	return r == 0 ? (int)size : r;
}

/* A datagram came that was reported: is another worth asking for? */
static int
is_worth_asking(cede_udp_t *u)
{
	if (u->came_alone < ALONE_AT_LEAST)
		return 1;
	if (++u->not_asked < ASKED_EVERY)
		return 0;
	u->not_asked = 0;
	return 1;
}

void
cede__udp_serve_receiver(cede_udp_t *u)
{
	cede_udp_receive_t *op = u->receiver;
	int r = take(u, op);

	if (r == CEDE_EAGAIN)
		return;
	if (r >= 0 && !op->datagrams && !is_worth_asking(u))
		u->may_have_data = 0;
	u->receiver = NULL;
	cede_future_resolve(&op->future, r, NULL);
}

static void
cancel_receive(cede_future_t *future)
{
	cede_udp_receive_t *op = cede__container_of(future, cede_udp_receive_t, future);

	op->udp->receiver = NULL;
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

/* May this be received now? 0, or the code to return. */
static int
check(const cede_udp_t *u, const cede_udp_receive_t *op)
{
	if (cede__unlikely(op->size > INT_MAX || (!op->buffer && op->size > 0)))
		return CEDE_EINVAL;
	if (cede__unlikely(!op->datagrams != (op->count == 0)))
		return CEDE_EINVAL;
	return cede__unlikely(u->receiver != NULL) ? CEDE_EBUSY : 0;
}

/* What there is at once; CEDE_EAGAIN: nothing, or enough for now. */
static int
take_now(cede_udp_t *u, cede_udp_receive_t *op)
{
	int r;

	if (cede__unlikely(u->is_closed))
		return CEDE_ECANCELED;
	if (!u->may_have_data || u->received_in_a_row >= CEDE__UDP_IN_A_ROW)
		return CEDE_EAGAIN;
	r = take(u, op);
	if (r != CEDE_EAGAIN)
		u->came_alone = 0;
	else if (u->came_alone < ALONE_AT_LEAST && u->received_in_a_row == 2)
		u->came_alone++;
	return r;
}

/* 0: it waits, or a code of libuv's. */
static int
wait(cede_udp_t *u, cede_udp_receive_t *op)
{
	int r = cede__udp_watch(u, u->events | UV_READABLE);

	if (cede__unlikely(r < 0))
		return r;
	cede_future_init(&op->future, cancel_receive);
	op->udp = u;
	u->receiver = op;
	return 0;
}

static int
start(cede_udp_t *u, cede_udp_receive_t *op)
{
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r == 0)
		r = check(u, op);
	if (r < 0)
		return r;
	r = take_now(u, op);
	if (r == CEDE_EAGAIN)
		return wait(u, op);
	cede_future_init(&op->future, NULL);
	cede_future_resolve(&op->future, r, NULL);
	return 0;
}

/* The call in one piece: no future where nothing waits. */
CEDE_SUSPENDS static int
receive(cede_udp_t *u, cede_udp_receive_t *op)
{
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (cede__likely(r == 0))
		r = check(u, op);
	if (cede__unlikely(r < 0))
		return r;
	r = take_now(u, op);
	if (r != CEDE_EAGAIN)
		return r;
	r = wait(u, op);
	return cede__unlikely(r < 0) ? r : cede_await(&op->future);
}

int
cede_udp_receive_start(cede_udp_t *u, void *buffer, size_t size, cede_udp_receive_t *op)
{
	op->buffer = buffer;
	op->size = size;
	op->datagrams = NULL;
	op->count = 0;
	return start(u, op);
}

ssize_t
cede_udp_receive(cede_udp_t *u, void *buffer, size_t size, cede_udp_info_t *ret_info)
{
	cede_udp_receive_t op;
	int r;

	op.buffer = buffer;
	op.size = size;
	op.datagrams = NULL;
	op.count = 0;
	r = receive(u, &op);
	if (r >= 0 && ret_info)
		*ret_info = op.info;
	return r;
}

ssize_t
cede_udp_try_receive(cede_udp_t *u, void *buffer, size_t size, cede_udp_info_t *ret_info)
{
	cede_udp_receive_t op = { .buffer = buffer, .size = size };
	int r = check(u, &op);

	if (r == 0)
		r = u->is_closed ? CEDE_ECANCELED : take(u, &op);
	if (r >= 0 && ret_info)
		*ret_info = op.info;
	return r;
}

int
cede_udp_receive_many_start(cede_udp_t *u, cede_datagram_t *datagrams, unsigned count,
	cede_udp_receive_t *op)
{
	*op = (cede_udp_receive_t){ .datagrams = datagrams, .count = count };
	return datagrams ? start(u, op) : CEDE_EINVAL;
}

int
cede_udp_receive_many(cede_udp_t *u, cede_datagram_t *datagrams, unsigned count)
{
	cede_udp_receive_t op = { .datagrams = datagrams, .count = count };

	return datagrams ? receive(u, &op) : CEDE_EINVAL;
}
