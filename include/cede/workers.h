/**
 * Workers: one loop a thread, for servers that use every core.
 *
 *     static int server(void *arg)                 // in each of them
 *     {
 *             r = cede_tcp_listen(arg, &(cede_listen_options_t){ .share_port = 1 }, &l);
 *             …
 *             return cede_serve(l, handler, &(cede_serve_options_t){
 *                     .stop_on = (int[]){ SIGINT, SIGTERM, 0 } });
 *     }
 *
 *     r = cede_run_workers(0, server, "0.0.0.0:7000");
 *
 * Each worker listens on the same port (SO_REUSEPORT) and the system deals the
 * connections out. Workers share nothing of cede: a stream, a task, a group
 * belongs to its loop. What they share of yours is yours to lock; from one to the
 * other goes <cede/remote.h>.
 *
 * Signals belong to the process. A worker that waits for one (cede_signal_wait(),
 * stop_on of cede_serve()) gets it, and so does every other that waits: a SIGTERM
 * ends the serving in all of them. One that comes before a worker waits is not
 * kept for it: a program that says that it is ready waits for the last of them
 * (cede_worker_count()). The threads have the caller's signal mask.
 */
#ifndef CEDE_WORKERS_H
#define CEDE_WORKERS_H

#include <cede/base.h>

CEDE__BEGIN

/**
 * Runs fn(arg) as the main task of @count loops, each in a thread of its own, the
 * first in the caller's, and returns when all have ended. No @fn begins before
 * every loop is there.
 *
 * The first main task that fails cancels the others' (not: one that was cancelled).
 *
 * @param count  0: as many as there are cores that this process may use
 * @param arg    the same for all: cede_worker_index() tells them apart
 * @return 0: all returned 0; the first error; CEDE_ECANCELED: none failed and one
 *   was cancelled; CEDE_EINVAL; CEDE_EBUSY: this thread runs a loop; CEDE_ENOMEM, or
 *   the code with which a thread or a loop could not be made: no @fn has run then
 */
CEDE_API int cede_run_workers(unsigned count, cede_fn *fn, void *arg);

/** Which of the workers runs this task: 0 to count - 1. 0 elsewhere. */
CEDE_API unsigned cede_worker_index(void);

/** How many workers there are beside this task's, itself included. 1 elsewhere. */
CEDE_API unsigned cede_worker_count(void);

CEDE__END

#endif
