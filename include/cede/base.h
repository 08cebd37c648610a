/**
 * What every other header of cede needs: visibility, attributes, and the codes.
 *
 * A function of cede that can fail returns an int (or ssize_t): zero or a
 * positive count is success, a negative number is a code. A code is either one
 * of libuv's, numerically (so `UV_ECONNRESET` and `CEDE_ECONNRESET` are the same
 * number, and on POSIX systems both are `-ECONNRESET`), or one of the few below
 * that only coroutines have, which lie in a range that libuv does not use.
 */
#ifndef CEDE_BASE_H
#define CEDE_BASE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h> /* ssize_t */

#ifdef __cplusplus
#define CEDE__BEGIN extern "C" {
#define CEDE__END   }
#else
#define CEDE__BEGIN
#define CEDE__END
#endif

#if defined(__GNUC__) || defined(__clang__)
#define CEDE_API              __attribute__((visibility("default")))
#define CEDE__NODISCARD       __attribute__((warn_unused_result))
#define CEDE__PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#define CEDE__CLEANUP(fn)     __attribute__((cleanup(fn)))
#define CEDE__MAYBE_UNUSED    __attribute__((unused))
#else
#define CEDE_API
#define CEDE__NODISCARD
#define CEDE__PRINTF(fmt, va)
#define CEDE__MAYBE_UNUSED
#endif

/**
 * Marks a function that may suspend the calling coroutine. Such a function may
 * only be called inside one, its result must be looked at (it is how a
 * coroutine learns that it is being closed), and it is always a point at which
 * the coroutine can be closed, also when it happens to finish at once.
 *
 * In a task a wait is given up with one of three codes, whatever it is for. Where a
 * header names the first two, the third is meant as well:
 *   CEDE_EXIT       the task is being closed
 *   CEDE_ETIMEDOUT  a timeout scope, or the time of the block's group, has passed
 *   CEDE_ECANCELED  a task of the block's group has failed (<cede/group.h>)
 */
#define CEDE_SUSPENDS CEDE__NODISCARD

/**
 * A place in the program and the name of what was started there, as one string
 * literal: "name\0file:line". It costs nothing to make and to keep.
 */
#define CEDE__STRING_(x) #x
#define CEDE__STRING(x)  CEDE__STRING_(x)
#define CEDE_SITE(name)  (name "\0" __FILE__ ":" CEDE__STRING(__LINE__))

/** A name of its own for what a macro declares: those on other lines differ. */
#define CEDE__JOIN_(a, b) a##b
#define CEDE__JOIN(a, b)  CEDE__JOIN_(a, b)

/** The body of a coroutine. 0: returned; a negative code: raised that code. */
typedef int cede_fn(void *arg);

/** Releases something that was handed to the library and is no longer needed. */
typedef void cede_dtor_fn(void *data);

/**
 * Codes that only coroutines have. Numbers are fixed: they are part of the ABI.
 *
 * The texts, cede_strerror(), are CPython's where the error is CPython's.
 */
enum {
	/** You are being closed (GeneratorExit). Clean up and return it. */
	CEDE_EXIT = -5001,
	/** Sent to, thrown into or awaited after it had finished. */
	CEDE_EREUSED = -5002,
	/** Resumed, thrown into, closed or awaited while it is executing. */
	CEDE_ERUNNING = -5003,
	/** The first value sent to a coroutine must be NULL. */
	CEDE_ENOTSTARTED = -5004,
	/** The coroutine suspended although it was being closed. */
	CEDE_EIGNORED = -5005,
	/** Another coroutine is awaiting it, or it was started by hand. */
	CEDE_EAWAITED = -5006,
	/** The body raised CEDE_STOP, which means "the end" to whoever drives it; that is the cause. */
	CEDE_ESTOPITER = -5007,
	/** Resumed on a thread that is not its own. */
	CEDE_EWRONGTHREAD = -5008,
	/** Called where there is no coroutine, or none that a task owns. */
	CEDE_ENOTASK = -5009,
	/** The task yielded something that is not a future. */
	CEDE_EBADYIELD = -5010,
	/** A future was read before it was done. */
	CEDE_EPENDING = -5011,
	/** The end of what is iterated (StopIteration). Not to be raised by a body. */
	CEDE_STOP = -5012,
	/** The end of an asynchronous generator (StopAsyncIteration). */
	CEDE_STOP_ASYNC = -5013,
	/** A barrier whose round will not be complete (BrokenBarrierError). */
	CEDE_EBROKEN = -5014,
	/** Something is left of what should be gone (<cede/testing.h>). */
	CEDE_ELEFT = -5020,
	/** An encrypted stream has ended without saying so: it may have been cut (<cede/tls.h>). */
	CEDE_ETRUNCATED = -5030,
	/** What was received is not TLS, or the peer has refused. */
	CEDE_ETLS = -5031,
	/** The peer's certificate is missing, or not to be trusted. */
	CEDE_ECERT = -5032,
};

/** The end of a stream or a channel (libuv's UV_EOF). */
#define CEDE_EOF (-4095)

/* libuv's codes, by libuv's numbers, so that users need not include <uv.h>. */
#define CEDE_ECANCELED     (-ECANCELED)
#define CEDE_ETIMEDOUT     (-ETIMEDOUT)
#define CEDE_ENOMEM        (-ENOMEM)
#define CEDE_EINVAL        (-EINVAL)
#define CEDE_EAGAIN        (-EAGAIN)
#define CEDE_EBUSY         (-EBUSY)
#define CEDE_EPERM         (-EPERM)
#define CEDE_EBADF         (-EBADF)
#define CEDE_EPIPE         (-EPIPE)
#define CEDE_ECONNRESET    (-ECONNRESET)
#define CEDE_ECONNREFUSED  (-ECONNREFUSED)
#define CEDE_ECONNABORTED  (-ECONNABORTED)
#define CEDE_EADDRINUSE    (-EADDRINUSE)
#define CEDE_EADDRNOTAVAIL (-EADDRNOTAVAIL)
#define CEDE_EALREADY      (-EALREADY)
#define CEDE_ENOTCONN      (-ENOTCONN)
#define CEDE_ENOTSUP       (-ENOTSUP)
#define CEDE_EMFILE        (-EMFILE)
#define CEDE_ENFILE        (-ENFILE)
#define CEDE_ENOBUFS       (-ENOBUFS)
#define CEDE_EMSGSIZE      (-EMSGSIZE)
#define CEDE_EPROTO        (-EPROTO)
#define CEDE_ESHUTDOWN     (-ESHUTDOWN)
#define CEDE_EDEADLK       (-EDEADLK)
#define CEDE_ESTALE        (-ESTALE)
#define CEDE_EACCES        (-EACCES)
#define CEDE_EEXIST        (-EEXIST)
#define CEDE_EFBIG         (-EFBIG)
#define CEDE_EIO           (-EIO)
#define CEDE_EISDIR        (-EISDIR)
#define CEDE_ELOOP         (-ELOOP)
#define CEDE_ENAMETOOLONG  (-ENAMETOOLONG)
#define CEDE_ENOENT        (-ENOENT)
#define CEDE_ENOSPC        (-ENOSPC)
#define CEDE_ENOTDIR       (-ENOTDIR)
#define CEDE_ENOTEMPTY     (-ENOTEMPTY)
#define CEDE_EROFS         (-EROFS)
#define CEDE_ESPIPE        (-ESPIPE)
#define CEDE_EXDEV         (-EXDEV)
#define CEDE_E2BIG         (-E2BIG)
#define CEDE_ESRCH         (-ESRCH)
#define CEDE_ECHILD        (-ECHILD)
#define CEDE_EDESTADDRREQ  (-EDESTADDRREQ)
#define CEDE_ENETUNREACH   (-ENETUNREACH)
#define CEDE_EHOSTUNREACH  (-EHOSTUNREACH)
#define CEDE_ENODEV        (-ENODEV)

/* Of names and services (<cede/dns.h>), in a range of libuv's own. */
#define CEDE_EAI_ADDRFAMILY (-3000) /**< it has addresses, of another family */
#define CEDE_EAI_AGAIN      (-3001) /**< no answer for now: worth another try later */
#define CEDE_EAI_BADFLAGS   (-3002)
#define CEDE_EAI_FAIL       (-3004) /**< the name server failed, or answered nonsense */
#define CEDE_EAI_FAMILY     (-3005)
#define CEDE_EAI_NODATA     (-3007) /**< it exists and has no address */
#define CEDE_EAI_NONAME     (-3008) /**< there is no such name, or no such service */
#define CEDE_EAI_OVERFLOW   (-3009)
#define CEDE_EAI_SERVICE    (-3010) /**< no such service of this kind of socket */
#define CEDE_EAI_SOCKTYPE   (-3011)

CEDE__BEGIN

/**
 * One sentence for a code, in CPython's words for CPython's errors.
 *
 * Never NULL. For a code nobody knows it is a text in a buffer of the calling
 * thread, valid until the thread asks about another unknown code. Any thread.
 */
CEDE_API const char *cede_strerror(int code);

/** The code's name, as "ECONNRESET" or "CEDE_EIGNORED"; "UNKNOWN" where it has none. Any thread. */
CEDE_API const char *cede_err_name(int code);

/** Is this the code of a close or of a cancel: CEDE_EXIT or CEDE_ECANCELED? Any thread. */
CEDE_API int cede_is_cancel(int code);

CEDE__END

#endif
