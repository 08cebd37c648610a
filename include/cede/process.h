/**
 * Child processes: spawn, talk to, wait for, end.
 *
 *     cede_process_t *p;
 *     cede_process_status_t status;
 *     int r = cede_process_spawn(&(cede_process_options_t){
 *             .argv = (const char *const[]){ "make", "-j2", NULL } }, &p);
 *
 *     if (r < 0)
 *             return r;
 *     r = cede_process_wait(p, &status);
 *     cede_process_close(p);
 *
 * A child ends before its object does, or with it: whichever way the object goes,
 * by cede_process_close() or with the loop, a child that still runs is asked to end
 * (SIGTERM), is killed when it has not after a grace, and is reaped. No zombie
 * stays behind. Only `keep` lets a child live on.
 *
 * Children are reaped one by one, by pid: those of the application and of other
 * loops are left alone. The application must leave the library's alone in turn: no
 * waitpid(-1), no SIGCHLD that is ignored.
 *
 * Threads: all calls in the loop's thread, those that suspend in a task of it.
 */
#ifndef CEDE_PROCESS_H
#define CEDE_PROCESS_H

#include <cede/base.h>
#include <cede/future.h>

CEDE__BEGIN

typedef struct cede_stream cede_stream_t; /* <cede/stream.h> */

/** A child. The library's memory; ends with cede_process_close(). */
typedef struct cede_process cede_process_t;

/** What one of a child's three standard descriptors is. */
enum cede_process_io_kind {
	CEDE_PROCESS_DEFAULT, /**< stdin: the null device; stdout and stderr: the parent's */
	CEDE_PROCESS_NULL,    /**< the null device */
	CEDE_PROCESS_INHERIT, /**< the parent's own of that number */
	CEDE_PROCESS_PIPE,    /**< a pipe, whose other end is a stream: cede_process_stdin(), … */
	CEDE_PROCESS_FD,      /**< a descriptor of the caller's, which stays the caller's */
	CEDE_PROCESS_STDOUT,  /**< stderr only: where stdout goes */
};

typedef struct cede_process_io {
	enum cede_process_io_kind kind;
	int fd; /**< of CEDE_PROCESS_FD. The child makes it blocking, for everybody who shares it */
} cede_process_io_t;

/** How a child is spawned. All zero is the default. Nothing is kept but by the system. */
typedef struct cede_process_options {
	const char *file;        /**< looked for in PATH if it has no slash; NULL: argv[0] */
	const char *const *argv; /**< up to a NULL; NULL: the file alone */
	const char *const *env;  /**< "NAME=value" up to a NULL; NULL: the parent's */
	const char *cwd;         /**< NULL: the parent's */

	cede_process_io_t in, out, err;

	/** How it is ended: this signal, and after so many milliseconds SIGKILL. */
	int stop_signal;   /**< 0: SIGTERM */
	uint64_t grace_ms; /**< 0: 5,000 */

	/**
	 * A session of its own: no terminal's signals reach it, and what ends it is sent to
	 * its whole process group, its own children too.
	 */
	int new_session;

	/**
	 * It may live on: cede_process_close() and the end of the loop leave it alone. It is
	 * reaped if it ends before the loop does; afterwards it is a zombie from its end to
	 * this process's.
	 */
	int keep;

	int set_uid, set_gid; /**< become @uid, @gid; supplementary groups are dropped */
	uid_t uid;
	gid_t gid;
} cede_process_options_t;

/** How a child ended. */
typedef struct cede_process_status {
	int exit_code; /**< 0 to 255, when @signal is 0 */
	int signal;    /**< that killed it, or 0 */
} cede_process_status_t;

/**
 * Starts a child. All signals have their default disposition in it and none is
 * blocked. It has its three standard descriptors, and no other of the library's.
 *
 * @return 0; and nothing was started:
 *   CEDE_ENOENT, CEDE_EACCES, CEDE_E2BIG, …  the system could not execute @file, or enter @cwd
 *   CEDE_EPERM           not allowed to become @uid or @gid
 *   CEDE_EINVAL          neither file nor argv[0]; no descriptor; stdout's place asked for
 *                        other than for stderr
 *   CEDE_EBADF           a descriptor that is not open
 *   CEDE_EMFILE, CEDE_ENFILE, CEDE_EAGAIN, CEDE_ENOMEM
 *   CEDE_ENOTASK
 *
 * Never suspends; blocks for as long as fork() and exec take.
 */
CEDE_API int cede_process_spawn(const cede_process_options_t *options,
	cede_process_t **ret_process);

/** Its process id; the number may be another's once it has ended. */
CEDE_API int cede_process_pid(const cede_process_t *process);

/**
 * This end of a pipe (CEDE_PROCESS_PIPE): what is written to _stdin the child reads,
 * what it writes is read from _stdout and _stderr. Real pipes, of which only this end
 * is non-blocking.
 *
 * The streams are the process's: cede_process_close() closes them. They may be closed
 * before by cede_close(); cede_shutdown_write() of _stdin is the child's end of file.
 *
 * @return NULL: no pipe was asked for, or it was closed or taken
 */
CEDE_API cede_stream_t *cede_process_stdin(const cede_process_t *process);
CEDE_API cede_stream_t *cede_process_stdout(const cede_process_t *process);
CEDE_API cede_stream_t *cede_process_stderr(const cede_process_t *process);

/** Takes stream 0, 1 or 2 from the process: it is the caller's to close. NULL as above. */
CEDE_API cede_stream_t *cede_process_take(cede_process_t *process, int number);

/** A wait for a child's end that was started. On the caller's stack. */
typedef struct cede_process_wait_op {
	cede_future_t future;         /**< result: as cede_process_wait() */
	cede_process_status_t status; /**< when the result is 0 */

	/* private */
	cede_process_t *process;
	struct cede_process_wait_op *next, *prev;
} cede_process_wait_t;

/**
 * Waits until the child has ended. Any number of tasks may; after the end every call
 * returns the same at once. Its pipes may still be open: a child of the child's may
 * hold them.
 *
 * @param ret_status  NULL is allowed
 * @return 0, whatever the status; or
 *   CEDE_EXIT, CEDE_ETIMEDOUT  the wait was given up; the child goes on
 *   CEDE_ECANCELED  the process was closed meanwhile
 *   CEDE_ECHILD     somebody else has reaped it; its status is not known
 *   CEDE_ENOTASK
 *
 * Suspends. A cancel gives up the wait and nothing else.
 */
CEDE_API CEDE_SUSPENDS int cede_process_wait(cede_process_t *process,
	cede_process_status_t *ret_status);

/** Starts the wait, for a select. 0, CEDE_ENOTASK. */
CEDE_API int cede_process_wait_start(cede_process_t *process, cede_process_wait_t *op);

/**
 * Sends a signal to the child, to it alone.
 *
 * @param signal_number  0 asks whether it runs
 * @return 0; CEDE_ESRCH: it has ended, also if nobody has been told yet; never is a
 *   signal sent to whoever has got its number; CEDE_ECHILD: somebody else has reaped it;
 *   CEDE_EINVAL, CEDE_EPERM
 */
CEDE_API int cede_process_signal(cede_process_t *process, int signal_number);

/**
 * Ends the child and waits for its end: the stop signal, and after the grace SIGKILL.
 * One that has ended is left alone.
 *
 * @return 0: it has ended, cede_process_wait() says how; CEDE_ECANCELED, CEDE_ECHILD: as
 *   there; CEDE_ENOTASK: outside a task, it is being ended without a wait
 *
 * Suspends, also in a task that is being closed or whose time has passed: for the
 * grace at most, and then as long as the system takes to kill. One that this process
 * may not kill, which has become another user's, is waited for until it ends by itself.
 */
CEDE_API CEDE_SUSPENDS int cede_process_stop(cede_process_t *process);

/**
 * Closes: its streams are closed, waits of other tasks return CEDE_ECANCELED. A child
 * that still runs is ended as by cede_process_stop(), in the background, and keeps
 * the loop alive meanwhile; cede_detach() waits for that. Not so with `keep`.
 *
 * @param process  NULL is allowed
 *
 * Never suspends; works in a task that is being closed.
 */
CEDE_API void cede_process_close(cede_process_t *process);

/** How much cede_process_run() collects. */
typedef struct cede_process_limits {
	size_t out_max; /**< bytes of stdout; not 0 if it is collected */
	size_t err_max; /**< bytes of stderr; likewise */

	/**
	 * How long the pipes are read on when the child has ended and somebody else, a child
	 * of its own, holds them open, in milliseconds; 0: 1,000.
	 */
	uint64_t linger_ms;
} cede_process_limits_t;

/** What came of it. Initialised by a run that succeeds; ends with cede_process_result_deinit(). */
typedef struct cede_process_result {
	cede_process_status_t status;
	char *out, *err; /**< a zero behind the last byte; NULL: not collected */
	size_t out_size, err_size;
	int is_incomplete; /**< the child has ended, and somebody else held a pipe open for too long */
} cede_process_result_t;

/**
 * Runs a child to its end: writes @input to its stdin, collects stdout and stderr at
 * the same time, waits.
 *
 * @param options  `in` is a pipe if there is input; `out` and `err` are collected if
 *                 they are CEDE_PROCESS_DEFAULT or _PIPE; `keep` is not looked at
 * @param input    used until the call returns. A child that does not read all of it is
 *                 no error, unless the application has kept SIGPIPE: <cede/stream.h>
 * @param limits   must be given
 * @return 0, whatever the child's status; what cede_process_spawn() returns; or
 *   CEDE_ENOBUFS  it wrote more than the limit
 *   CEDE_EXIT, CEDE_ETIMEDOUT, CEDE_ENOMEM, CEDE_ECHILD
 *
 * Suspends. Ends well or not at all: on a cancel, a timeout or an error the child is
 * ended as by cede_process_stop(), and the call returns when it has ended.
 */
CEDE_API CEDE_SUSPENDS int cede_process_run(const cede_process_options_t *options,
	const void *input, size_t input_size, const cede_process_limits_t *limits,
	cede_process_result_t *ret_result);

/** Frees the bytes. One that is all zero is allowed. */
CEDE_API void cede_process_result_deinit(cede_process_result_t *result);

CEDE__END

#endif
