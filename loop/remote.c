/*
 * The mailbox of a loop: a locked queue of messages and one uv_async_t.
 *
 * Happy path. A message is appended under the lock, by any thread; the first one
 * of an empty queue sends the async. Its callback takes the whole queue, under
 * the lock, and delivers it without: what is posted meanwhile finds an empty
 * queue and sends again. A promise is a message that was made in advance.
 *
 * A future that is given up forgets its promise (`op` is NULL from then on); the
 * promise lives until its holder resolves it, and its value is then released.
 *
 * The end. The detach closes the mailbox when all tasks have ended: under the lock,
 * so that nobody sends an async that is being closed. What was queued is
 * delivered, what comes later is refused. The loop holds one reference to its
 * mailbox, libuv one until it has let go of the async, each promise one; so
 * whoever comes late finds a closed mailbox and not a hole.
 *
 * The async keeps the loop alive as long as a promise is pending that is wanted.
 */
#include "loop/remote.h"

#include <stdatomic.h>

#include "coro/alloc.h"
#include "loop/task_int.h"

/* Promises kept for the next; what a burst took beyond that goes back to the allocator. */
#define FREE_MAX 64

struct cede_remote {
	atomic_uint refs;
	uv_mutex_t lock;

	/* Under the lock: */
	struct cede__message *first, *last;
	int is_closed;

	/* In the loop's thread: */
	uv_async_t async; /* sent under the lock, by any */
	cede_loop_t *loop;
	unsigned pending;           /* promises that are wanted */
	struct cede__message *free; /* of promises */
	unsigned free_count;
};

struct cede_promise {
	struct cede__message message;
	cede_remote_t *remote;
	cede_promised_t *op; /* NULL: given up. In the loop's thread */
	atomic_int is_cancelled;
	cede_dtor_fn *value_dtor;
	int result;
	void *value;
};

/* ---- the mailbox ---- */

cede_remote_t *
cede_remote_ref(cede_remote_t *remote)
{
	if (remote)
		atomic_fetch_add_explicit(&remote->refs, 1, memory_order_relaxed);
	return remote;
}

cede_remote_t *
cede_remote_unref(cede_remote_t *remote)
{
	unsigned before;

	if (!remote)
		return NULL;
	before = atomic_fetch_sub_explicit(&remote->refs, 1, memory_order_acq_rel);
	cede__check(before > 0, "remote unref'd once too often");
	if (before == 1) {
		cede__assert(!remote->first && !remote->free);
		uv_mutex_destroy(&remote->lock);
		cede__free(remote);
	}
	return NULL;
}

int
cede__remote_post(cede_remote_t *remote, struct cede__message *message)
{
	int r = 0;

	message->next = NULL;
	uv_mutex_lock(&remote->lock);
	if (remote->is_closed) {
		r = CEDE_ESHUTDOWN;
	} else if (remote->first) {
		remote->last->next = message;
		remote->last = message;
	} else {
		remote->first = remote->last = message;
		uv_async_send(&remote->async);
	}
	uv_mutex_unlock(&remote->lock);
	return r;
}

/* Takes all that is queued, and closes the mailbox if it is time. */
static struct cede__message *
take(cede_remote_t *remote, int is_end)
{
	struct cede__message *first;

	uv_mutex_lock(&remote->lock);
	first = remote->first;
	remote->first = remote->last = NULL;
	if (is_end)
		remote->is_closed = 1;
	uv_mutex_unlock(&remote->lock);
	return first;
}

static void
deliver_all(cede_loop_t *loop, struct cede__message *first)
{
	cede__loop_enter(loop);
	while (first) {
		struct cede__message *message = first;

		first = message->next;
		message->deliver(message, loop);
	}
	cede__loop_leave(loop);
}

static void
wake(uv_async_t *async)
{
	cede_remote_t *remote = async->data;

	deliver_all(remote->loop, take(remote, 0));
}

static int
create(cede_loop_t *loop, cede_remote_t **ret_remote)
{
	cede_remote_t *remote = cede__alloc_zero(sizeof *remote);
	int r;

	if (!remote)
		return CEDE_ENOMEM;
	r = uv_mutex_init(&remote->lock);
	if (r < 0)
		goto allocated;
	r = uv_async_init(loop->uv, &remote->async, wake);
	if (r < 0)
		goto locked;
	uv_unref((uv_handle_t *)&remote->async);
	cede__loop_opened(loop);
	remote->async.data = remote;
	remote->loop = loop;
	atomic_init(&remote->refs, 2); /* the loop's and libuv's */
	*ret_remote = remote;
	return 0;

locked:
	uv_mutex_destroy(&remote->lock);
allocated:
	cede__free(remote);
	return r;
}

/* The loop's own reference to its mailbox. At the very end of a loop none is made any more. */
static int
find_or_create(cede_loop_t *loop, cede_remote_t **ret_remote)
{
	int r = 0;

	if (!loop->remote) {
		if (loop->is_detaching && cede__list_is_empty(&loop->tasks))
			return CEDE_ESHUTDOWN;
		r = create(loop, &loop->remote);
	}
	*ret_remote = loop->remote;
	return r;
}

cede_remote_t *
cede_loop_remote(cede_loop_t *loop)
{
	cede_remote_t *remote;

	return find_or_create(loop, &remote) < 0 ? NULL : cede_remote_ref(remote);
}

static void
closed(uv_handle_t *handle)
{
	cede_remote_t *remote = handle->data;

	cede__loop_closed(remote->loop);
	remote->loop = NULL;
	cede_remote_unref(remote);
}

void
cede__remote_close(cede_loop_t *loop)
{
	cede_remote_t *remote = loop->remote;

	if (!remote)
		return;
	deliver_all(loop, take(remote, 1));
	while (remote->free) {
		struct cede__message *message = remote->free;

		remote->free = message->next;
		cede__free(cede__container_of(message, cede_promise_t, message));
	}
	uv_close((uv_handle_t *)&remote->async, closed);
}

/* ---- calls ---- */

struct call {
	struct cede__message message;
	cede_remote_fn *fn;
	void *arg;
};

static void
deliver_call(struct cede__message *message, cede_loop_t *loop)
{
	struct call *call = cede__container_of(message, struct call, message);
	cede_remote_fn *fn = call->fn;
	void *arg = call->arg;

	cede__free(call);
	fn(arg);
}

int
cede_remote_call(cede_remote_t *remote, cede_remote_fn *fn, void *arg)
{
	struct call *call;
	int r;

	if (!remote || !fn)
		return CEDE_EINVAL;
	call = cede__alloc(sizeof *call);
	if (!call)
		return CEDE_ENOMEM;
	*call = (struct call){ .message.deliver = deliver_call, .fn = fn, .arg = arg };
	r = cede__remote_post(remote, &call->message);
	if (r < 0)
		cede__free(call);
	return r;
}

struct start {
	struct cede__message message;
	cede_fn *fn;
	void *arg;
	cede_done_fn *done;
	void *data;
	const char *site;
};

static void
deliver_start(struct cede__message *message, cede_loop_t *loop)
{
	struct start *s = cede__container_of(message, struct start, message);
	int r = cede_start_at(loop, s->fn, s->arg, s->done, s->data, s->site);

	if (r < 0 && s->done)
		s->done(r, s->data);
	cede__free(s);
}

int
cede_remote_start_at(cede_remote_t *remote, cede_fn *fn, void *arg, cede_done_fn *done, void *data,
	const char *site)
{
	struct start *s;
	int r;

	if (!remote || !fn)
		return CEDE_EINVAL;
	s = cede__alloc(sizeof *s);
	if (!s)
		return CEDE_ENOMEM;
	*s = (struct start){ .message.deliver = deliver_start,
		.fn = fn,
		.arg = arg,
		.done = done,
		.data = data,
		.site = site };
	r = cede__remote_post(remote, &s->message);
	if (r < 0)
		cede__free(s);
	return r;
}

int(cede_remote_start)(cede_remote_t *remote, cede_fn *fn, void *arg, cede_done_fn *done,
	void *data)
{
	return cede_remote_start_at(remote, fn, arg, done, data, NULL);
}

/* ---- promises ---- */

/* In the loop's thread. */
static void
give_back(cede_promise_t *promise)
{
	cede_remote_t *remote = promise->remote;

	if (remote->free_count < FREE_MAX && !remote->is_closed) {
		promise->message.next = remote->free;
		remote->free = &promise->message;
		remote->free_count++;
	} else {
		cede__free(promise);
	}
	cede_remote_unref(remote);
}

static cede_promise_t *
take_promise(cede_remote_t *remote)
{
	struct cede__message *message = remote->free;

	if (!message)
		return cede__alloc(sizeof(cede_promise_t));
	remote->free = message->next;
	remote->free_count--;
	return cede__container_of(message, cede_promise_t, message);
}

/* The promise is not wanted any more, or kept: its future may go. */
static void
forget_op(cede_promise_t *promise)
{
	cede_remote_t *remote = promise->remote;

	promise->op->promise = NULL;
	promise->op = NULL;
	if (--remote->pending == 0)
		uv_unref((uv_handle_t *)&remote->async);
}

static void
release_value(const cede_promise_t *promise)
{
	if (promise->value && promise->value_dtor)
		promise->value_dtor(promise->value);
}

static void
deliver_promise(struct cede__message *message, cede_loop_t *loop)
{
	cede_promise_t *promise = cede__container_of(message, cede_promise_t, message);
	cede_promised_t *op = promise->op;

	if (op) {
		forget_op(promise);
		cede_future_resolve(&op->future, promise->result, promise->value);
	} else {
		release_value(promise);
	}
	give_back(promise);
}

static void
cancel(cede_future_t *future)
{
	cede_promise_t *promise = cede__container_of(future, cede_promised_t, future)->promise;

	atomic_store_explicit(&promise->is_cancelled, 1, memory_order_relaxed);
	forget_op(promise);
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

int
cede_promise_create(cede_promised_t *op, cede_dtor_fn *value_dtor, cede_promise_t **ret_promise)
{
	cede_loop_t *loop = cede_loop_current();
	cede_remote_t *remote;
	cede_promise_t *promise;
	int r;

	if (!loop)
		return CEDE_ENOTASK;
	r = find_or_create(loop, &remote);
	if (r < 0)
		return r;
	promise = take_promise(remote);
	if (!promise)
		return CEDE_ENOMEM;

	promise->message.deliver = deliver_promise;
	promise->remote = cede_remote_ref(remote);
	promise->op = op;
	promise->value_dtor = value_dtor;
	atomic_init(&promise->is_cancelled, 0);
	cede_future_init(&op->future, cancel);
	op->promise = promise;
	if (remote->pending++ == 0)
		uv_ref((uv_handle_t *)&remote->async);
	*ret_promise = promise;
	return 0;
}

int
cede_promise_resolve(cede_promise_t *promise, int result, void *value)
{
	int r;

	promise->result = result;
	promise->value = value;
	r = cede__remote_post(promise->remote, &promise->message);
	if (r < 0) {
		cede_remote_t *remote = promise->remote;

		release_value(promise);
		cede__free(promise);
		cede_remote_unref(remote);
	}
	return r;
}

int
cede_promise_is_cancelled(const cede_promise_t *promise)
{
	return atomic_load_explicit(&promise->is_cancelled, memory_order_relaxed);
}
