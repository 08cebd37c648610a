/*
 * Every order of what can happen to one operation, by tests/support/interleave.h:
 * channels and broadcasts.
 *
 * No value is lost or doubled: what the task did not get is still where it was, and
 * what it did not send is still its own.
 */
#include <cede/channel.h>

#include "tests/support/interleave.h"

TestSuite(interleavings_channel, .timeout = 120);

static char mine[] = "mine", others[] = "others";

/* ---- channels ---- */

static cede_channel_t channel;
static cede_channel_receive_t receive;
static cede_channel_send_t sending;
static void *value;
static int sent, received; /* by whoever is at the other end: 1, or what it was refused with */
static int dropped;

static void
drop_value(void *left)
{
	dropped++;
}

static void
channel_init(size_t capacity)
{
	value = NULL;
	sent = received = dropped = 0;
	cr_assert_eq(cede_channel_init(&channel, capacity, drop_value), 0);
}

static void
receive_init(void)
{
	channel_init(1);
}

static int
receive_call(void)
{
	return cede_channel_receive(&channel, &value);
}

static void
receive_start(void)
{
	cr_assert_eq(cede_channel_receive_start(&channel, &receive), 0);
}

static cede_future_t *
receive_future(void)
{
	return &receive.future;
}

static void
receive_complete(void)
{
	const int r = cede_channel_try_send(&channel, mine);

	cr_assert_eq(r == CEDE_EPIPE, channel.is_closed);
	sent = r == 0 ? 1 : r;
}

static void
channel_close(void)
{
	cede_channel_close(&channel);
}

static void
receive_after(int first)
{
	if (first == 0 && run.shape == SELECTED)
		value = receive.future.value;
}

static void
receive_tear_down(int first)
{
	const size_t kept = cede_channel_len(&channel);

	cr_assert_eq(value, first == 0 ? mine : NULL);
	cr_assert_eq(kept, (size_t)(sent == 1 && first != 0), "the value was lost or doubled");
	cr_assert(sent == 1 || sent == CEDE_EPIPE);
	cede_channel_deinit(&channel); /* nobody waits */
	cr_assert_eq(dropped, (int)kept);
}

static const struct operation a_receive = { .set_up = receive_init,
	.call = receive_call,
	.start = receive_start,
	.future = receive_future,
	.complete = receive_complete,
	.close = channel_close,
	.after = receive_after,
	.tear_down = receive_tear_down,
	.on_close = CEDE_EOF };

INTERLEAVE(interleavings_channel, a_receive)

/* A rendezvous: a send that finds nobody is refused. */
static void
rendezvous_init(void)
{
	channel_init(0);
}

static void
rendezvous_tear_down(int first)
{
	cr_assert_eq(value, first == 0 ? mine : NULL);
	cr_assert_eq(sent == 1, first == 0, "the value was lost or doubled");
	cede_channel_deinit(&channel);
	cr_assert_eq(dropped, 0);
}

static const struct operation a_rendezvous = { .set_up = rendezvous_init,
	.call = receive_call,
	.start = receive_start,
	.future = receive_future,
	.complete = receive_complete,
	.close = channel_close,
	.after = receive_after,
	.tear_down = rendezvous_tear_down,
	.on_close = CEDE_EOF };

INTERLEAVE(interleavings_channel, a_rendezvous)

static void
send_init(void)
{
	channel_init(1);
	cr_assert_eq(cede_channel_try_send(&channel, others), 0);
}

static int
send_call(void)
{
	return cede_channel_send(&channel, mine);
}

static void
send_start(void)
{
	cr_assert_eq(cede_channel_send_start(&channel, mine, &sending), 0);
}

static cede_future_t *
send_future(void)
{
	return &sending.future;
}

static void
send_complete(void)
{
	cr_assert_eq(cede_channel_try_receive(&channel, &value), 0);
	cr_assert_eq(value, others);
}

static void
send_tear_down(int first)
{
	value = NULL;
	cr_assert_eq(cede_channel_try_receive(&channel, &value) == 0, first == 0,
		"the value is lost, or was sent although the send failed");
	cr_assert_eq(value, first == 0 ? mine : NULL);
	cede_channel_deinit(&channel);
	cr_assert_eq(dropped, 0);
}

static const struct operation a_send = { .set_up = send_init,
	.call = send_call,
	.start = send_start,
	.future = send_future,
	.complete = send_complete,
	.close = channel_close,
	.tear_down = send_tear_down,
	.on_close = CEDE_EPIPE };

INTERLEAVE(interleavings_channel, a_send)

static void
meeting_complete(void)
{
	const int r = cede_channel_try_receive(&channel, &value);

	received = r == 0 ? 1 : r;
}

static void
meeting_tear_down(int first)
{
	cr_assert_eq(received == 1, first == 0, "the value was lost or doubled");
	cr_assert_eq(value, first == 0 ? mine : NULL);
	cede_channel_deinit(&channel);
	cr_assert_eq(dropped, 0);
}

static const struct operation a_send_that_meets = { .set_up = rendezvous_init,
	.call = send_call,
	.start = send_start,
	.future = send_future,
	.complete = meeting_complete,
	.close = channel_close,
	.tear_down = meeting_tear_down,
	.on_close = CEDE_EPIPE };

INTERLEAVE(interleavings_channel, a_send_that_meets)

/* ---- broadcasts ---- */

static cede_broadcast_t broadcast;
static cede_subscriber_t subscriber;
static cede_broadcast_receive_t listening;
static cede_broadcast_send_t telling;
static int refs; /* that the broadcast and those who received have */

static void
ref_value(void *referred)
{
	refs++;
}

static void
unref_value(void *referred)
{
	refs--;
}

static void
broadcast_init(void)
{
	const cede_broadcast_options_t options = { .capacity = 1,
		.policy = CEDE_BROADCAST_WAIT,
		.ref = ref_value,
		.unref = unref_value };

	value = NULL;
	sent = received = refs = 0;
	cr_assert_eq(cede_broadcast_init(&broadcast, &options), 0);
	cede_broadcast_subscribe(&broadcast, &subscriber);
}

static void
broadcast_end(void)
{
	cede_broadcast_unsubscribe(&subscriber);
	cede_broadcast_deinit(&broadcast);
	cr_assert_eq(refs, 0, "%d references to the value are left", refs);
}

static int
listen_call(void)
{
	return cede_broadcast_receive(&subscriber, &value);
}

static void
listen_start(void)
{
	cr_assert_eq(cede_broadcast_receive_start(&subscriber, &listening), 0);
}

static cede_future_t *
listen_future(void)
{
	return &listening.future;
}

static void
listen_complete(void)
{
	sent = cede_broadcast_try_send(&broadcast, mine);
	cr_assert_eq(sent == CEDE_EPIPE, broadcast.is_closed);
	if (sent >= 0)
		refs++; /* which was ours */
}

static void
broadcast_close(void)
{
	cede_broadcast_close(&broadcast);
}

static void
unsubscribe(void)
{
	cede_broadcast_unsubscribe(&subscriber);
}

static void
listen_after(int first)
{
	if (first >= 0 && run.shape == SELECTED)
		value = listening.future.value;
	if (first >= 0)
		unref_value(value);
}

static void
listen_tear_down(int first)
{
	cr_assert_eq(value, first == 0 ? mine : NULL);
	cr_assert_null(subscriber.pending);
	if (subscriber.broadcast)
		cr_assert_eq(cede_broadcast_unread(&subscriber), (size_t)(sent == 1 && first != 0));
	broadcast_end();
}

static const struct operation a_listening = { .set_up = broadcast_init,
	.call = listen_call,
	.start = listen_start,
	.future = listen_future,
	.complete = listen_complete,
	.close = broadcast_close,
	.after = listen_after,
	.tear_down = listen_tear_down,
	.on_close = CEDE_EOF };

INTERLEAVE(interleavings_channel, a_listening)

static const struct operation a_subscription = { .set_up = broadcast_init,
	.call = listen_call,
	.start = listen_start,
	.future = listen_future,
	.complete = listen_complete,
	.close = unsubscribe,
	.after = listen_after,
	.tear_down = listen_tear_down,
	.on_close = CEDE_EOF };

INTERLEAVE(interleavings_channel, a_subscription)

static void
tell_init(void)
{
	broadcast_init();
	refs++;
	cr_assert_eq(cede_broadcast_try_send(&broadcast, others), 1);
}

static int
tell_call(void)
{
	return cede_broadcast_send(&broadcast, mine);
}

static void
tell_start(void)
{
	cr_assert_eq(cede_broadcast_send_start(&broadcast, mine, &telling), 0);
}

static cede_future_t *
tell_future(void)
{
	return &telling.future;
}

static void
tell_complete(void)
{
	refs++; /* ours, taken over by the broadcast if it takes it */
	cr_assert_eq(cede_broadcast_try_receive(&subscriber, &value), 0);
	cr_assert_eq(value, others);
	unref_value(value);
	refs--;
}

static void
tell_after(int first)
{
	if (first >= 0)
		refs++; /* it is the broadcast's now */
}

static void
tell_tear_down(int first)
{
	cr_assert_eq(cede_broadcast_unread(&subscriber), (size_t)(first == 1),
		"the value is lost, or was sent although the send failed");
	broadcast_end();
}

static const struct operation a_telling = { .set_up = tell_init,
	.call = tell_call,
	.start = tell_start,
	.future = tell_future,
	.complete = tell_complete,
	.close = broadcast_close,
	.after = tell_after,
	.tear_down = tell_tear_down,
	.on_complete = 1,
	.on_close = CEDE_EPIPE };

INTERLEAVE(interleavings_channel, a_telling)
