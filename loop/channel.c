/*
 * Channels: a ring of values between a queue of senders and one of receivers.
 *
 * Invariants
 * - Receivers wait only while the ring is empty and nobody waits to send.
 * - Senders wait only while the ring is full: bounded channels.
 * - When it is closed nobody waits.
 *
 * A send hands its value to the longest waiting receiver, else puts it into the
 * ring, else waits with it. A receive takes the oldest value of the ring, and
 * the longest waiting sender's moves up into the place; a rendezvous, which has
 * no ring, takes the sender's own. Both are then done, whatever happens to the
 * tasks before they run.
 */
#include <cede/channel.h>

#include "coro/alloc.h"
#include "loop/wait_queue.h"

#define FIRST_RING 16

int
cede_channel_init(cede_channel_t *channel, size_t capacity, cede_dtor_fn *value_dtor)
{
	const size_t size = capacity == CEDE_CHANNEL_UNBOUNDED ? FIRST_RING : capacity;

	*channel = (cede_channel_t){ .capacity = capacity, .value_dtor = value_dtor };
	if (size == 0)
		return 0;
	channel->ring = cede__alloc_array(size, sizeof *channel->ring);
	if (!channel->ring)
		return CEDE_ENOMEM;
	channel->ring_size = size;
	return 0;
}

/* ---- the ring ---- */

static size_t
place(const cede_channel_t *channel, size_t index)
{
	const size_t at = channel->head + index;

	return at < channel->ring_size ? at : at - channel->ring_size;
}

static void
push(cede_channel_t *channel, void *value)
{
	cede__assert(channel->length < channel->ring_size);
	channel->ring[place(channel, channel->length++)] = value;
}

static void *
pop(cede_channel_t *channel)
{
	void *value = channel->ring[channel->head];

	cede__assert(channel->length > 0);
	channel->head = place(channel, 1);
	channel->length--;
	return value;
}

/* An unbounded channel that is full. */
static int
grow(cede_channel_t *channel)
{
	const size_t size = channel->ring_size;
	void **ring = cede__alloc_array(size, 2 * sizeof *ring);

	if (!ring)
		return CEDE_ENOMEM;
	for (size_t i = 0; i < channel->length; i++)
		ring[i] = channel->ring[place(channel, i)];
	cede__free(channel->ring);
	channel->ring = ring;
	channel->ring_size = 2 * size;
	channel->head = 0;
	return 0;
}

void
cede_channel_deinit(cede_channel_t *channel)
{
	cede__waiters_check_empty(&channel->senders, "a channel");
	cede__waiters_check_empty(&channel->receivers, "a channel");
	channel->is_closed = 1;
	while (channel->length > 0) {
		void *value = pop(channel);

		if (channel->value_dtor)
			channel->value_dtor(value);
	}
	cede__free(channel->ring);
	channel->ring = NULL;
	channel->ring_size = channel->capacity = 0;
}

/* ---- sending ---- */

int
cede_channel_try_send(cede_channel_t *channel, void *value)
{
	struct cede__waiter *receiver;
	int r;

	if (channel->is_closed)
		return CEDE_EPIPE;
	receiver = cede__waiters_pop(&channel->receivers);
	if (receiver) {
		cede_future_resolve(receiver->future, 0, value);
		return 0;
	}
	if (channel->length == channel->capacity)
		return CEDE_EAGAIN;
	if (channel->length == channel->ring_size) {
		r = grow(channel);
		if (r < 0)
			return r;
	}
	push(channel, value);
	return 0;
}

static void
cancel_send(cede_future_t *future)
{
	cede_channel_send_t *op = cede__container_of(future, cede_channel_send_t, future);

	cede__waiter_leave(&op->waiter);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_channel_send_start(cede_channel_t *channel, void *value, cede_channel_send_t *op)
{
	int r = cede__waiter_begin(&op->waiter, &op->future, cancel_send);

	if (r < 0)
		return r;
	r = cede_channel_try_send(channel, value);
	if (r == CEDE_ENOMEM)
		return r;
	op->value = value;
	if (r == CEDE_EAGAIN)
		cede__waiters_push(&channel->senders, &op->waiter);
	else
		cede_future_resolve(&op->future, r, NULL);
	return 0;
}

int
cede_channel_send(cede_channel_t *channel, void *value)
{
	cede_channel_send_t op;
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (cede__unlikely(r < 0))
		return r;
	r = cede_channel_try_send(channel, value);
	if (r != CEDE_EAGAIN)
		return r;
	r = cede_channel_send_start(channel, value, &op);
	return r < 0 ? r : cede_await(&op.future);
}

/* ---- receiving ---- */

/* The longest waiting sender's value, its send done. 0: nobody waits. */
static int
take_from_sender(cede_channel_t *channel, void **ret_value)
{
	struct cede__waiter *w = cede__waiters_pop(&channel->senders);

	if (!w)
		return 0;
	*ret_value = cede__container_of(w, cede_channel_send_t, waiter)->value;
	cede_future_resolve(w->future, 0, NULL);
	return 1;
}

int
cede_channel_try_receive(cede_channel_t *channel, void **ret_value)
{
	void *moved;

	if (channel->length > 0) {
		*ret_value = pop(channel);
		if (take_from_sender(channel, &moved))
			push(channel, moved);
		return 0;
	}
	if (take_from_sender(channel, ret_value))
		return 0;
	return channel->is_closed ? CEDE_EOF : CEDE_EAGAIN;
}

static void
cancel_receive(cede_future_t *future)
{
	cede_channel_receive_t *op = cede__container_of(future, cede_channel_receive_t, future);

	cede__waiter_leave(&op->waiter);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_channel_receive_start(cede_channel_t *channel, cede_channel_receive_t *op)
{
	void *value = NULL;
	int r = cede__waiter_begin(&op->waiter, &op->future, cancel_receive);

	if (r < 0)
		return r;
	op->channel = channel;
	r = cede_channel_try_receive(channel, &value);
	if (r == CEDE_EAGAIN)
		cede__waiters_push(&channel->receivers, &op->waiter);
	else
		cede_future_resolve(&op->future, r, value);
	return 0;
}

int
cede_channel_receive(cede_channel_t *channel, void **ret_value)
{
	cede_channel_receive_t op;
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (cede__unlikely(r < 0))
		return r;
	r = cede_channel_try_receive(channel, ret_value);
	if (r != CEDE_EAGAIN)
		return r;
	r = cede_channel_receive_start(channel, &op);
	if (r == 0)
		r = cede_await(&op.future);
	if (r == 0)
		*ret_value = op.future.value;
	return r;
}

void
cede_channel_receive_drop(cede_channel_receive_t *op)
{
	if (cede__waiter_give_up(&op->waiter) && op->channel->value_dtor)
		op->channel->value_dtor(op->future.value);
}

/* ---- the rest ---- */

void
cede_channel_close(cede_channel_t *channel)
{
	channel->is_closed = 1;
	cede__waiters_resolve_all(&channel->senders, CEDE_EPIPE);
	cede__waiters_resolve_all(&channel->receivers, CEDE_EOF);
}

size_t
cede_channel_len(const cede_channel_t *channel)
{
	return channel->length;
}
