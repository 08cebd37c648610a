/**
 * Channels: values from task to task.
 *
 *     cede_channel_t ch;
 *     void *v;
 *
 *     cede_channel_init(&ch, 16, free);
 *     …
 *     r = cede_channel_send(&ch, job);             in one task
 *     …
 *     while (cede_channel_receive(&ch, &v) == 0)   in another, until it is closed and empty
 *             work(v);
 *
 * A channel gives each value to one receiver; a broadcast gives each to all its
 * subscribers. Values are pointers that the library never looks behind.
 *
 * What <cede/sync.h> says holds here too: objects in the caller's memory; first
 * come, first served, values are handed to the longest waiter directly; done
 * beats cancelled; which tasks may call; cede_select() by the _start twins. Only
 * an init allocates, and a send into an unbounded channel that must grow.
 *
 * Who owns a value: the sender until the send has succeeded; then the channel;
 * from a receive that succeeded on, the receiver. A send that failed or was
 * cancelled leaves the value with the sender. What nobody received goes to the
 * destructor in deinit.
 */
#ifndef CEDE_CHANNEL_H
#define CEDE_CHANNEL_H

#include <cede/base.h>
#include <cede/future.h>
#include <cede/sync.h>

CEDE__BEGIN

/** The capacity of a channel into which a send never waits. */
#define CEDE_CHANNEL_UNBOUNDED SIZE_MAX

/** In the caller's memory. All zero it is a rendezvous without a destructor. */
typedef struct cede_channel {
	/* read-only */
	size_t capacity;
	int is_closed;

	/* private */
	void **ring; /* NULL: a rendezvous */
	size_t ring_size, head, length;
	cede_dtor_fn *value_dtor;
	struct cede__waiters senders;   /* cede_channel_send::waiter; none unless it is full */
	struct cede__waiters receivers; /* cede_channel_receive::waiter; none unless it is empty */
} cede_channel_t;

/** A send that was started. On the caller's stack. */
typedef struct cede_channel_send_op {
	cede_future_t future;
	/* private */
	struct cede__waiter waiter;
	void *value;
} cede_channel_send_t;

/** A receive that was started. On the caller's stack. When its result is 0, future.value is the value. */
typedef struct cede_channel_receive_op {
	cede_future_t future;
	/* private */
	struct cede__waiter waiter;
	cede_channel_t *channel;
} cede_channel_receive_t;

/**
 * Makes a channel.
 *
 * @param capacity    values that it keeps before a send waits; 0: a rendezvous,
 *                    each send waits for its receiver; or CEDE_CHANNEL_UNBOUNDED
 * @param value_dtor  for values that nobody received; may be NULL
 * @return 0, CEDE_ENOMEM
 */
CEDE_API int cede_channel_init(cede_channel_t *channel, size_t capacity, cede_dtor_fn *value_dtor);

/**
 * Ends it: values that are left go to the destructor. Aborts with a sentence
 * when a task waits to send or to receive.
 */
CEDE_API void cede_channel_deinit(cede_channel_t *channel);

/**
 * Sends a value, waiting for room (a rendezvous: for a receiver).
 *
 * @return 0: the value is the channel's; CEDE_EPIPE: it is closed, or was closed
 *   meanwhile; CEDE_EXIT, CEDE_ETIMEDOUT; CEDE_ENOMEM: unbounded, and it could
 *   not grow; CEDE_ENOTASK. On every code the value is still the caller's.
 *
 * Suspends. After a cancel the value has not been sent.
 */
CEDE_API CEDE_SUSPENDS int cede_channel_send(cede_channel_t *channel, void *value);

/** Starts it. Its result is 0 or CEDE_EPIPE. 0, CEDE_EXIT, CEDE_ETIMEDOUT, CEDE_ENOMEM, CEDE_ENOTASK. */
CEDE_API int cede_channel_send_start(cede_channel_t *channel, void *value, cede_channel_send_t *op);

/** Sends if there is room or a receiver waits. 0; CEDE_EAGAIN; CEDE_EPIPE; CEDE_ENOMEM. */
CEDE_API int cede_channel_try_send(cede_channel_t *channel, void *value);

/**
 * Receives the value that was sent first, waiting for one.
 *
 * @param ret_value  the caller's from now on
 * @return 0; CEDE_EOF: it is closed and empty; CEDE_EXIT, CEDE_ETIMEDOUT; CEDE_ENOTASK
 *
 * Suspends. After a cancel nothing has been taken out.
 */
CEDE_API CEDE_SUSPENDS int cede_channel_receive(cede_channel_t *channel, void **ret_value);

/** Starts it. Its result is 0 or CEDE_EOF. 0, CEDE_EXIT, CEDE_ETIMEDOUT, CEDE_ENOTASK. */
CEDE_API int cede_channel_receive_start(cede_channel_t *channel, cede_channel_receive_t *op);

/** Destroys the value that the op received, if it did; cancels an op that waits. */
CEDE_API void cede_channel_receive_drop(cede_channel_receive_t *op);

/** Receives if there is a value. 0; CEDE_EAGAIN; CEDE_EOF. */
CEDE_API int cede_channel_try_receive(cede_channel_t *channel, void **ret_value);

/**
 * Closes it: sends fail with CEDE_EPIPE, also those that wait; receivers get what
 * is there and then CEDE_EOF. Twice is once.
 */
CEDE_API void cede_channel_close(cede_channel_t *channel);

/** Values that it keeps. Not those of senders that wait. */
CEDE_API size_t cede_channel_len(const cede_channel_t *channel);

/* ---- broadcasts ---- */

/** What happens when a subscriber has not received as many values as the broadcast keeps. */
enum cede_broadcast_policy {
	CEDE_BROADCAST_LAG,  /**< it misses the oldest, and is told how many; a send never waits */
	CEDE_BROADCAST_WAIT, /**< sends wait for the slowest */
};

typedef struct cede_broadcast_options {
	/** Values that it keeps for the slowest subscriber; at least 1. */
	size_t capacity;
	enum cede_broadcast_policy policy;
	/**
	 * Called with a value for each subscriber that receives it, to give it a
	 * reference of its own. NULL: all get the same pointer and own nothing.
	 */
	void (*ref)(void *value);
	/** Called with a value when the broadcast keeps it no more. It and ref must not call cede. */
	cede_dtor_fn *unref;
} cede_broadcast_options_t;

/** In the caller's memory. */
typedef struct cede_broadcast {
	/* read-only */
	unsigned subscribers;
	int is_closed;

	/* private */
	cede_broadcast_options_t options;
	struct cede__broadcast_slot *ring;
	uint64_t tail, head;            /* numbers of the oldest value kept and of the next */
	struct cede__waiters senders;   /* cede_broadcast_send::waiter; none unless it is full */
	struct cede__waiters receivers; /* cede_broadcast_receive::waiter: these have had all */
} cede_broadcast_t;

/** A place from which one task at a time receives. In the caller's memory. */
typedef struct cede_subscriber {
	/* private */
	cede_broadcast_t *broadcast;
	uint64_t next; /* the number of the value it receives next */
	struct cede_broadcast_receive_op *pending;
} cede_subscriber_t;

/** A send that was started. On the caller's stack. */
typedef struct cede_broadcast_send_op {
	cede_future_t future;
	/* private */
	struct cede__waiter waiter;
	void *value;
	cede_broadcast_t *broadcast;
} cede_broadcast_send_t;

/** A receive that was started. On the caller's stack. When its result is not negative, future.value is the value. */
typedef struct cede_broadcast_receive_op {
	cede_future_t future;
	/* private */
	struct cede__waiter waiter;
	cede_subscriber_t *subscriber;
	cede_broadcast_t *broadcast;
} cede_broadcast_receive_t;

/** Makes a broadcast without subscribers. 0, CEDE_EINVAL: no capacity; CEDE_ENOMEM. */
CEDE_API int cede_broadcast_init(cede_broadcast_t *broadcast,
	const cede_broadcast_options_t *options);

/** Ends it. Aborts with a sentence when it has subscribers or a task waits to send. */
CEDE_API void cede_broadcast_deinit(cede_broadcast_t *broadcast);

/** Makes a subscriber: it gets what is sent from now on. */
CEDE_API void cede_broadcast_subscribe(cede_broadcast_t *broadcast, cede_subscriber_t *subscriber);

/**
 * Ends one: what it has not received it never will. A task that waits in it gets
 * CEDE_EOF. Takes time for each value that it has not received. Twice is once.
 */
CEDE_API void cede_broadcast_unsubscribe(cede_subscriber_t *subscriber);

/**
 * Sends a value to all who are subscribed at that moment.
 *
 * @return the number of subscribers; CEDE_EPIPE: it is closed, or was closed
 *   meanwhile; CEDE_EXIT, CEDE_ETIMEDOUT; CEDE_ENOTASK. On every code the value
 *   is still the caller's, on success the broadcast's.
 *
 * Suspends: with CEDE_BROADCAST_WAIT until the slowest has made room. After a
 * cancel nobody has got the value.
 */
CEDE_API CEDE_SUSPENDS int cede_broadcast_send(cede_broadcast_t *broadcast, void *value);

/** Starts it. Its result is the number or CEDE_EPIPE. 0, CEDE_EXIT, CEDE_ETIMEDOUT, CEDE_ENOTASK. */
CEDE_API int cede_broadcast_send_start(cede_broadcast_t *broadcast, void *value,
	cede_broadcast_send_t *op);

/** Sends if nobody must be waited for. The number; CEDE_EAGAIN; CEDE_EPIPE. */
CEDE_API int cede_broadcast_try_send(cede_broadcast_t *broadcast, void *value);

/**
 * Receives the oldest value that the subscriber has not had, waiting for one.
 *
 * @return how many values before it were missed: 0 unless the subscriber lagged;
 *   CEDE_EOF: closed, and all received, or unsubscribed; CEDE_EBUSY: another
 *   task waits in this subscriber; CEDE_EXIT, CEDE_ETIMEDOUT; CEDE_ENOTASK
 *
 * Suspends. After a cancel nothing has been received.
 */
CEDE_API CEDE_SUSPENDS int cede_broadcast_receive(cede_subscriber_t *subscriber, void **ret_value);

/** Starts it. Its result is the number or CEDE_EOF. 0, CEDE_EBUSY, CEDE_EXIT, CEDE_ETIMEDOUT, CEDE_ENOTASK. */
CEDE_API int cede_broadcast_receive_start(cede_subscriber_t *subscriber,
	cede_broadcast_receive_t *op);

/** Releases the value that the op received, if it did (unref, where there is a ref); cancels an op that waits. */
CEDE_API void cede_broadcast_receive_drop(cede_broadcast_receive_t *op);

/** Receives if there is a value. The number; CEDE_EAGAIN; CEDE_EOF. */
CEDE_API int cede_broadcast_try_receive(cede_subscriber_t *subscriber, void **ret_value);

/** Closes it: sends fail with CEDE_EPIPE; subscribers get what they have not had, then CEDE_EOF. */
CEDE_API void cede_broadcast_close(cede_broadcast_t *broadcast);

/** Values kept that the subscriber has not received. */
CEDE_API size_t cede_broadcast_unread(const cede_subscriber_t *subscriber);

CEDE__END

#endif
