/*
 * Broadcasts: one ring for all, a cursor for each subscriber.
 *
 * Values have numbers. The ring keeps those from `tail` to before `head`; a slot
 * counts the subscribers that have yet to receive it. A subscriber receives the
 * value `next`, or, when that is gone, the oldest there is, and has missed those
 * between.
 *
 * Invariants
 * - `pending` of a slot is the number of subscribers whose `next` is at or before
 *   it, those aside that came after it was sent. So it never falls from one slot
 *   to the next, and slots that everybody has had are the first ones: they are
 *   let go at once, from the tail on.
 * - A subscriber that waits has had everything: it is in `receivers`, and the
 *   next value wakes all of those.
 * - Senders wait only with CEDE_BROADCAST_WAIT and while the ring is full.
 * - Without subscribers the ring is empty. When it is closed nobody waits.
 */
#include <cede/channel.h>

#include "coro/alloc.h"
#include "loop/wait_queue.h"

struct cede__broadcast_slot {
	void *value;
	unsigned pending;
};

int
cede_broadcast_init(cede_broadcast_t *broadcast, const cede_broadcast_options_t *options)
{
	if (!options || options->capacity == 0)
		return CEDE_EINVAL;
	*broadcast = (cede_broadcast_t){ .options = *options };
	broadcast->ring = cede__alloc_array(options->capacity, sizeof *broadcast->ring);
	return broadcast->ring ? 0 : CEDE_ENOMEM;
}

void
cede_broadcast_deinit(cede_broadcast_t *broadcast)
{
	cede__check(broadcast->subscribers == 0,
		"a broadcast was deinitialised while it has %u subscribers",
		broadcast->subscribers);
	cede__waiters_check_empty(&broadcast->senders, "a broadcast");
	cede__assert(broadcast->tail == broadcast->head);
	cede__free(broadcast->ring);
	broadcast->ring = NULL;
}

/* ---- the ring ---- */

static struct cede__broadcast_slot *
slot_of(const cede_broadcast_t *broadcast, uint64_t number)
{
	return &broadcast->ring[number % broadcast->options.capacity];
}

static int
is_full(const cede_broadcast_t *broadcast)
{
	return broadcast->head - broadcast->tail == broadcast->options.capacity;
}

static void
unref(const cede_broadcast_t *broadcast, void *value)
{
	if (broadcast->options.unref)
		broadcast->options.unref(value);
}

static void
forget_oldest(cede_broadcast_t *broadcast)
{
	void *value = slot_of(broadcast, broadcast->tail)->value;

	broadcast->tail++;
	unref(broadcast, value);
}

/* The next value of a subscriber, which there is. How many it missed before that. */
static int
take(cede_subscriber_t *subscriber, void **ret_value)
{
	cede_broadcast_t *broadcast = subscriber->broadcast;
	struct cede__broadcast_slot *slot;
	uint64_t missed = 0;

	if (subscriber->next < broadcast->tail) {
		missed = broadcast->tail - subscriber->next;
		subscriber->next = broadcast->tail;
	}
	cede__assert(subscriber->next < broadcast->head);
	slot = slot_of(broadcast, subscriber->next++);
	cede__assert(slot->pending > 0);
	slot->pending--;
	if (broadcast->options.ref)
		broadcast->options.ref(slot->value);
	*ret_value = slot->value;
	return missed > INT_MAX ? INT_MAX : (int)missed;
}

static void
forget_what_all_have(cede_broadcast_t *broadcast)
{
	while (broadcast->tail < broadcast->head &&
		slot_of(broadcast, broadcast->tail)->pending == 0)
		forget_oldest(broadcast);
}

/* Puts a value into the ring, where there is room, and wakes who waits. The number of subscribers. */
static int
publish(cede_broadcast_t *broadcast, void *value)
{
	struct cede__waiter *w;

	*slot_of(broadcast, broadcast->head++) =
		(struct cede__broadcast_slot){ value, broadcast->subscribers };
	while ((w = cede__waiters_pop(&broadcast->receivers)) != NULL) {
		cede_subscriber_t *subscriber =
			cede__container_of(w, cede_broadcast_receive_t, waiter)->subscriber;
		void *taken;
		int missed = take(subscriber, &taken);

		subscriber->pending = NULL;
		cede_future_resolve(w->future, missed, taken);
	}
	forget_what_all_have(broadcast);
	return (int)broadcast->subscribers;
}

/* A subscriber has received, or is gone: what all have had goes, who waits to send may. */
static void
move_up(cede_broadcast_t *broadcast)
{
	forget_what_all_have(broadcast);
	while (!is_full(broadcast)) {
		struct cede__waiter *w = cede__waiters_pop(&broadcast->senders);

		if (!w)
			return;
		cede_future_resolve(w->future,
			publish(broadcast,
				cede__container_of(w, cede_broadcast_send_t, waiter)->value),
			NULL);
	}
}

/* ---- subscribers ---- */

void
cede_broadcast_subscribe(cede_broadcast_t *broadcast, cede_subscriber_t *subscriber)
{
	cede__check(broadcast->subscribers < INT_MAX, "a broadcast has too many subscribers");
	broadcast->subscribers++;
	*subscriber = (cede_subscriber_t){ .broadcast = broadcast, .next = broadcast->head };
}

void
cede_broadcast_unsubscribe(cede_subscriber_t *subscriber)
{
	cede_broadcast_t *broadcast = subscriber->broadcast;
	cede_broadcast_receive_t *op = subscriber->pending;

	if (!broadcast)
		return;
	subscriber->broadcast = NULL;
	subscriber->pending = NULL;
	if (op) {
		cede__waiter_leave(&op->waiter);
		cede_future_resolve(&op->future, CEDE_EOF, NULL);
	}
	if (subscriber->next < broadcast->tail)
		subscriber->next = broadcast->tail;
	for (; subscriber->next < broadcast->head; subscriber->next++)
		slot_of(broadcast, subscriber->next)->pending--;
	broadcast->subscribers--;
	move_up(broadcast);
}

size_t
cede_broadcast_unread(const cede_subscriber_t *subscriber)
{
	const cede_broadcast_t *broadcast = subscriber->broadcast;

	if (!broadcast)
		return 0;
	return (size_t)(broadcast->head -
		(subscriber->next > broadcast->tail ? subscriber->next : broadcast->tail));
}

/* ---- sending ---- */

int
cede_broadcast_try_send(cede_broadcast_t *broadcast, void *value)
{
	if (broadcast->is_closed)
		return CEDE_EPIPE;
	if (is_full(broadcast)) {
		if (broadcast->options.policy == CEDE_BROADCAST_WAIT)
			return CEDE_EAGAIN;
		forget_oldest(broadcast);
	}
	return publish(broadcast, value);
}

static void
cancel_send(cede_future_t *future)
{
	cede_broadcast_send_t *op = cede__container_of(future, cede_broadcast_send_t, future);

	cede__waiter_leave(&op->waiter);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_broadcast_send_start(cede_broadcast_t *broadcast, void *value, cede_broadcast_send_t *op)
{
	int r = cede__waiter_begin(&op->waiter, &op->future, cancel_send);

	if (r < 0)
		return r;
	op->value = value;
	r = cede_broadcast_try_send(broadcast, value);
	if (r == CEDE_EAGAIN)
		cede__waiters_push(&broadcast->senders, &op->waiter);
	else
		cede_future_resolve(&op->future, r, NULL);
	return 0;
}

int
cede_broadcast_send(cede_broadcast_t *broadcast, void *value)
{
	cede_broadcast_send_t op;
	int r = cede_broadcast_send_start(broadcast, value, &op);

	return r < 0 ? r : cede_await(&op.future);
}

/* ---- receiving ---- */

int
cede_broadcast_try_receive(cede_subscriber_t *subscriber, void **ret_value)
{
	cede_broadcast_t *broadcast = subscriber->broadcast;
	int missed;

	if (!broadcast)
		return CEDE_EOF;
	if (subscriber->next == broadcast->head)
		return broadcast->is_closed ? CEDE_EOF : CEDE_EAGAIN;
	missed = take(subscriber, ret_value);
	move_up(broadcast);
	return missed;
}

static void
cancel_receive(cede_future_t *future)
{
	cede_broadcast_receive_t *op = cede__container_of(future, cede_broadcast_receive_t, future);

	op->subscriber->pending = NULL;
	cede__waiter_leave(&op->waiter);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_broadcast_receive_start(cede_subscriber_t *subscriber, cede_broadcast_receive_t *op)
{
	void *value = NULL;
	int r = cede__waiter_begin(&op->waiter, &op->future, cancel_receive);

	if (r < 0)
		return r;
	if (subscriber->pending)
		return CEDE_EBUSY;
	op->subscriber = subscriber;
	op->broadcast = subscriber->broadcast;
	r = cede_broadcast_try_receive(subscriber, &value);
	if (r == CEDE_EAGAIN) {
		subscriber->pending = op;
		cede__waiters_push(&subscriber->broadcast->receivers, &op->waiter);
	} else {
		cede_future_resolve(&op->future, r, value);
	}
	return 0;
}

int
cede_broadcast_receive(cede_subscriber_t *subscriber, void **ret_value)
{
	cede_broadcast_receive_t op;
	int r = cede_broadcast_receive_start(subscriber, &op);

	if (r == 0)
		r = cede_await(&op.future);
	if (r >= 0)
		*ret_value = op.future.value;
	return r;
}

void
cede_broadcast_receive_drop(cede_broadcast_receive_t *op)
{
	if (cede__waiter_give_up(&op->waiter) && op->broadcast->options.ref)
		unref(op->broadcast, op->future.value);
}

/* ---- the rest ---- */

void
cede_broadcast_close(cede_broadcast_t *broadcast)
{
	cede_broadcast_receive_t *op;
	struct cede__waiter *w;

	broadcast->is_closed = 1;
	cede__waiters_resolve_all(&broadcast->senders, CEDE_EPIPE);
	while ((w = cede__waiters_pop(&broadcast->receivers)) != NULL) {
		op = cede__container_of(w, cede_broadcast_receive_t, waiter);
		op->subscriber->pending = NULL;
		cede_future_resolve(&op->future, CEDE_EOF, NULL);
	}
}
