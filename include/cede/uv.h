/**
 * The way in and out of libuv: attach to a loop the application has, await
 * whatever libuv does, make streams of its handles and give them back.
 *
 * The only public header that includes <uv.h>; <cede/cede.h> does not.
 */
#ifndef CEDE_UV_H
#define CEDE_UV_H

#include <uv.h>

#include <limits.h>

#include <cede/base.h>
#include <cede/future.h>
#include <cede/loop.h>

CEDE__BEGIN

typedef struct cede_stream cede_stream_t; /* <cede/stream.h> */

/** How to attach. All zero is the default. */
typedef struct cede_loop_options {
	/**
	 * Leave SIGPIPE alone; it is ignored otherwise, if nobody has set it. Then the application
	 * has to: libuv, which finishes the writes that wait, can't keep it away from a socket.
	 */
	int keep_sigpipe;
	unsigned
		work_limit; /**< functions that run on the thread pool at a time (<cede/work.h>); 0: 4 */
} cede_loop_options_t;

/**
 * Attaches to a loop. The application goes on calling its own uv_run(), in any
 * mode, or polls uv_backend_fd(). What tasks wait for keeps the loop alive as
 * the same libuv handle would; the library's own handles do not.
 *
 * @param uv       initialised; stays the application's; outlives the attachment
 * @param options  NULL for the defaults; not kept
 * @return 0, CEDE_EINVAL, CEDE_ENOMEM
 *
 * The loop's thread.
 */
CEDE_API int cede_attach(cede_loop_t **ret_loop, uv_loop_t *uv, const cede_loop_options_t *options);

/**
 * Cancels all tasks, runs the loop until they have ended and libuv has let go of
 * every handle of ours, and frees the attachment. uv_loop_close() then returns 0
 * if the application has closed its own handles; those go on working meanwhile.
 * A stream that is still open is closed, an adopted one too, whose handle it then has.
 *
 * @param loop  NULL is allowed
 * Not inside a callback of the application's that uv_run() makes: libuv cannot
 * run a loop within itself, and does not say that it is running. There it is
 * cede_detach_start().
 *
 * @return 0; CEDE_EDEADLK inside a task, a callback of the library's, or when it
 *   is being detached already
 */
CEDE_API int cede_detach(cede_loop_t *loop);

/** Called in the loop's thread when an attachment is gone. */
typedef void cede_detached_fn(void *data);

/**
 * Begins to detach and returns at once: what cede_detach() does, in the turns that
 * the application goes on giving its loop. For hosts that end inside a callback.
 *
 * Every task is asked to end, none is run inside the caller; from here on
 * cede_start() returns CEDE_ESHUTDOWN. What the tasks still wait for (in shields)
 * keeps the loop alive as ever, and so does what is being closed: uv_run() in its
 * default mode returns when all is done.
 *
 * @param done  called once, from uv_run(), when libuv has let go of every handle
 *   of ours and the attachment has been freed; the results of all tasks have been
 *   delivered before. May be NULL. It may attach again; uv_loop_close() is for
 *   when uv_run() has returned
 * @return 0; CEDE_EALREADY: it is being detached; CEDE_EPERM: it is cede_run()'s,
 *   which ends it when its tasks have ended; CEDE_EINVAL: @loop is NULL
 *
 * The loop's thread; anywhere: in a callback of the application's or of the
 * library's, in a task, outside uv_run().
 */
CEDE_API int cede_detach_start(cede_loop_t *loop, cede_detached_fn *done, void *data);

/** The libuv loop behind it. */
CEDE_API uv_loop_t *cede_loop_uv(const cede_loop_t *loop);

/*
 * Streams of the application's: it has accepted a connection in a callback, hands it
 * to a task, and may have it back.
 */

/**
 * Makes a stream of a handle of the application's, on which tasks then read and write.
 * From here to cede_stream_release() or the handle's end the handle is the stream's:
 * the application calls nothing of libuv's on it, its `data` is kept and put back.
 * What it reads while nobody awaits it stays in the socket.
 *
 * @param handle  a uv_tcp_t, uv_pipe_t (not for IPC) or uv_tty_t on the loop's
 *                uv_loop_t, connected or open, no request of it under way; its memory
 *                stays the application's and lives until @closed is called
 * @param closed  called with the handle when it was closed as a stream (by cede_close(),
 *                cede_abort(), a write that was given up, cede_detach()) and libuv has
 *                let go of it, with its own `data`: frees it, for one. May be NULL
 * @return 0; and, with the handle left as it was:
 *   CEDE_EINVAL     another loop's handle, or none of these kinds
 *   CEDE_EBUSY      the application is reading, writing, shutting down or listening
 *   CEDE_ENOTCONN   it is not connected
 *   CEDE_EBADF      it is closing, or has no descriptor
 *   CEDE_ENOTSUP    a pipe for IPC
 *   CEDE_ESHUTDOWN  the loop is being detached
 *   CEDE_ENOMEM
 *
 * A descriptor that blocks (a terminal that libuv could not open anew) is read when
 * libuv says so only; a write to it blocks the loop, as libuv's own would.
 *
 * The loop's thread, in a task or outside.
 */
CEDE_API int cede_stream_adopt(cede_loop_t *loop, uv_stream_t *handle, uv_close_cb closed,
	cede_stream_t **ret_stream);

/**
 * Gives an adopted handle back: reading is stopped, `data` is what it was, the
 * application goes on with it in callbacks, from this moment. @stream is gone; @closed is
 * not called. What was not read is still to be read; a half-close stays one.
 *
 * @return 0; and the stream stays the caller's:
 *   CEDE_EBUSY   a read or a write waits, or its task has not been told of its end yet; or
 *                bytes were read ahead and not taken
 *   CEDE_ENOTSUP it is encrypted
 *   CEDE_EBADF   its handle was closed: by a write that was given up, by the half-close
 *                of a pipe
 *   CEDE_EINVAL  a stream of the library's own
 *
 * Never suspends; works in a task that is being closed. The loop's thread.
 */
CEDE_API int cede_stream_release(cede_stream_t *stream);

/*
 * Requests of libuv's, awaited. The library has the memory of the request, libuv
 * gets a ready callback of the request's kind:
 *
 *     cede_uv_op_t op;
 *     int r = cede_uv_begin(&op);
 *     if (r == 0)
 *             r = cede_uv_await(&op, uv_fs_stat(uv, &op.req->fs, path, cede_uv_fs_cb));
 *     if (r == 0)
 *             size = op.req->fs.statbuf.st_size;
 *     cede_uv_end(&op);
 *
 * What a cancel does. cede_uv_await() asks libuv to cancel and returns when libuv has
 * let go: what the request points to may be on the stack. A future that is given up
 * in a cede_select() is left at once, and the request to itself: what it points to
 * must then be handed over as `data`, or live long enough. By kind of request:
 *
 *     file operation, lookup,   uv_cancel(): none that has not begun is carried out;
 *     random, work              one that has begun goes on to its end
 *     write, connect, shutdown, libuv cancels these by closing the handle only, which
 *     udp send                  `abort` may do: otherwise they go on to their end
 *
 * A file that an open given up too late has opened is closed; an answer of a lookup
 * is freed.
 */

/** A request. The struct on the caller's stack, *req in the library's memory. */
typedef struct cede_uv_op cede_uv_op_t;
struct cede_uv_op {
	cede_future_t future;  /**< result: libuv's status; of a file operation, its result */
	union uv_any_req *req; /**< from begin to end; NULL once it was given up */

	/* public, set between begin and start, if at all */
	void (*abort)(
		cede_uv_op_t *op); /**< called when the wait is given up: makes libuv let go */
	void *data;                /**< what the request uses, if it is given up */
	cede_dtor_fn *data_dtor;   /**< releases it when libuv has let go */

	/* private */
	struct cede__uv_block *block;
};

/** Takes memory for a request. In a task. 0, CEDE_ENOTASK, CEDE_ENOMEM. End with cede_uv_end() in any case. */
CEDE_API int cede_uv_begin(cede_uv_op_t *op);

/**
 * Waits for the request that was just started.
 *
 * @param status  what libuv's function returned: a negative one is returned at once
 * @return the result; CEDE_EXIT, CEDE_ETIMEDOUT: it was given up, and libuv has
 *   cancelled it; a result that came all the same is returned
 *
 * Suspends. Always until libuv has let go: see above.
 */
CEDE_API CEDE_SUSPENDS int cede_uv_await(cede_uv_op_t *op, int status);

/**
 * Notes that the request was started, for a future that is awaited or selected
 * later. Until then it is done, with CEDE_EINVAL. Returns @status, which is the
 * future's result if negative.
 */
CEDE_API int cede_uv_started(cede_uv_op_t *op, int status);

/**
 * Takes the memory back: cleans up what libuv allocated for the request. The
 * addresses of a lookup stay the caller's if it sets op.req->getaddrinfo.addrinfo
 * to NULL. One that is still under way is given up. Twice is once.
 */
CEDE_API void cede_uv_end(cede_uv_op_t *op);

/** What the callbacks below do, for requests that have others: the one behind @req is done. */
CEDE_API void cede_uv_done(uv_req_t *req, int result);

static inline void
cede_uv_fs_cb(uv_fs_t *req)
{
	const ssize_t result = uv_fs_get_result(req);

	cede_uv_done((uv_req_t *)req, result > INT_MAX ? INT_MAX : (int)result);
}

static inline void
cede_uv_getaddrinfo_cb(uv_getaddrinfo_t *req, int status, struct addrinfo *addresses)
{
	(void)addresses; /* op.req->getaddrinfo.addrinfo */
	cede_uv_done((uv_req_t *)req, status);
}

static inline void
cede_uv_getnameinfo_cb(uv_getnameinfo_t *req, int status, const char *host, const char *service)
{
	(void)host; /* op.req->getnameinfo.host and .service */
	(void)service;
	cede_uv_done((uv_req_t *)req, status);
}

static inline void
cede_uv_random_cb(uv_random_t *req, int status, void *buffer, size_t size)
{
	(void)buffer;
	(void)size;
	cede_uv_done((uv_req_t *)req, status);
}

static inline void
cede_uv_after_work_cb(uv_work_t *req, int status)
{
	cede_uv_done((uv_req_t *)req, status);
}

static inline void
cede_uv_write_cb(uv_write_t *req, int status)
{
	cede_uv_done((uv_req_t *)req, status);
}

static inline void
cede_uv_connect_cb(uv_connect_t *req, int status)
{
	cede_uv_done((uv_req_t *)req, status);
}

static inline void
cede_uv_shutdown_cb(uv_shutdown_t *req, int status)
{
	cede_uv_done((uv_req_t *)req, status);
}

static inline void
cede_uv_udp_send_cb(uv_udp_send_t *req, int status)
{
	cede_uv_done((uv_req_t *)req, status);
}

CEDE__END

#endif
