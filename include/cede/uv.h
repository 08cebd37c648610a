/**
 * The way in and out of libuv: attach to a loop the application has.
 *
 * The only public header that includes <uv.h>; <cede/cede.h> does not.
 */
#ifndef CEDE_UV_H
#define CEDE_UV_H

#include <uv.h>

#include <cede/base.h>
#include <cede/loop.h>

CEDE__BEGIN

/** How to attach. All zero is the default. */
typedef struct cede_loop_options {
	int keep_sigpipe; /**< leave SIGPIPE alone; it is ignored otherwise, if nobody has set it */
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
 * @return 0, CEDE_ENOMEM, libuv's codes
 *
 * The loop's thread.
 */
CEDE_API int cede_attach(cede_loop_t **ret_loop, uv_loop_t *uv, const cede_loop_options_t *options);

/**
 * Cancels all tasks, runs the loop until they have ended and libuv has let go of
 * every handle of ours, and frees the attachment. uv_loop_close() then returns 0
 * if the application has closed its own handles; those go on working meanwhile.
 *
 * @param loop  NULL is allowed
 * @return 0; CEDE_EDEADLK inside a task, or inside a callback of the loop that
 *   is running: call it outside uv_run()
 */
CEDE_API int cede_detach(cede_loop_t *loop);

/** The libuv loop behind it. */
CEDE_API uv_loop_t *cede_loop_uv(const cede_loop_t *loop);

CEDE__END

#endif
