/**
 * Unix sockets: streams between processes of one host, by a path in the file system
 * or by an abstract name.
 *
 *     r = cede_unix_listen("/run/app.sock", NULL, &l);
 *     if (r == 0)
 *             r = cede_serve(l, handler, NULL);
 *
 * A listener and a stream are what TCP's are: cede_accept(), cede_serve(),
 * cede_read(), … take both.
 *
 * Names: a path, or '@' and an abstract name, which is no file, needs no removing and
 * is Linux's. A path that begins with '@' is written "./@name". Either has at most
 * 107 bytes besides the '@'; a longer one is refused, never cut short.
 *
 * Who may connect: to a path, who may write to it, which is only this user unless
 * `mode` says more, and who may search the directories above it. An abstract name is
 * open to every process of the network namespace: ask cede_unix_peer() who it is.
 */
#ifndef CEDE_UNIX_H
#define CEDE_UNIX_H

#include <sys/types.h>

#include <cede/base.h>
#include <cede/stream.h>
#include <cede/tcp.h>

CEDE__BEGIN

/** Enough for any name of a unix socket, in cede_stream_peer() and cede_listener_address(). */
#define CEDE_UNIX_NAME_SIZE 110

/** How to listen. All zero is the default. */
typedef struct cede_unix_options {
	int backlog; /**< connections that wait for an accept; 0: 511 */
	/** The path's, whatever the umask, before anybody can connect; 0: 0600, this user alone.
	 *  An abstract name has none. */
	unsigned mode;
} cede_unix_options_t;

/**
 * Listens on a name.
 *
 * A socket that a process has left behind and on which nobody listens any more is
 * replaced: a connect finds that out. One that is listened on stays, and so does what
 * is no socket. Two who begin at the same time do not get into each other's way:
 * while it is decided there is a file "PATH.cede-lock". The close removes the path,
 * unless another file has taken its place. A relative path is of the working directory:
 * after a chdir() it is not found, and stays.
 *
 * One listener has a name: there is no share_port here. Of workers
 * (<cede/workers.h>) one listens, the others get CEDE_EADDRINUSE.
 *
 * @param path          copied
 * @param options       NULL for the defaults; not kept
 * @param ret_listener  the caller's; ends with cede_listener_close() or cede_serve()
 * @return 0; CEDE_EADDRINUSE: listened on, or no socket, or another begins to listen;
 *   CEDE_ENAMETOOLONG; CEDE_EINVAL: no name, a mode beyond 0777, one for an abstract
 *   name; CEDE_EACCES, CEDE_ENOENT, CEDE_EROFS, … of the system; CEDE_ENOMEM;
 *   CEDE_ENOTASK
 *
 * In a task; never suspends.
 */
CEDE_API int cede_unix_listen(const char *path, const cede_unix_options_t *options,
	cede_listener_t **ret_listener);

/**
 * Connects to a name. Where the listener's backlog is full it waits for a place, as
 * TCP does: bound it by a timeout scope.
 *
 * @return 0; CEDE_ENOENT: there is no such path; CEDE_ECONNREFUSED: nobody listens;
 *   CEDE_EACCES; CEDE_ENAMETOOLONG; CEDE_EINVAL: no name; CEDE_EXIT, CEDE_ETIMEDOUT,
 *   CEDE_ENOTASK, CEDE_ENOMEM; the system's
 *
 * Suspends. A cancel abandons the attempt; nothing is left open.
 */
CEDE_API CEDE_SUSPENDS int cede_unix_connect(const char *path, cede_stream_t **ret_stream);

/** Starts a connect. 0 or a code, as above, of what fails at once. */
CEDE_API int cede_unix_connect_start(const char *path, cede_connect_t *op);

/**
 * Who is at the other end, as the system has noted it: of an accepted stream the
 * process that connected, of a connected one the process that listens.
 *
 * @param ret_pid, ret_uid, ret_gid  each may be NULL
 * @return 0; CEDE_ENOTSUP: no unix socket; CEDE_EBADF: it is closed
 */
CEDE_API int cede_unix_peer(const cede_stream_t *stream, pid_t *ret_pid, uid_t *ret_uid,
	gid_t *ret_gid);

CEDE__END

#endif
