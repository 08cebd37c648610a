/*
 * The other side of a connection, as raw sockets: nothing of the library's own
 * code takes part in judging it. On 127.0.0.1, ports of the system's choice.
 *
 * Sockets block, for at most PEER_LIMIT_S seconds: a test that would hang fails.
 * What the kernel has been given it delivers without the loop's help, so a task
 * may use these calls for what has been sent already; for anything that the loop
 * itself must bring about meanwhile there is a thread.
 */
#ifndef CEDE_TESTS_PEER_H
#define CEDE_TESTS_PEER_H

#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>

#define PEER_LIMIT_S 20

/** Connects to a port. Aborts the test's process if that fails. */
int peer_connect(unsigned port);

/** The same with a receive buffer of so many bytes, which bounds what the peer takes unread. */
int peer_connect_sized(unsigned port, int receive_bytes);

/** A connect that may fail: a descriptor, or a negative errno. */
int peer_try_connect(unsigned port, int receive_bytes);

/** Sends all of it. 0, or a negative errno. */
int peer_send(int fd, const void *data, size_t size);

/** Receives so many bytes, or fewer when the other side ends first. The bytes; or a negative errno. */
ssize_t peer_receive(int fd, void *buffer, size_t size);

/** Receives and drops until the other side ends. 0: end of file; or a negative errno, -ECONNRESET for one. */
int peer_receive_end(int fd, size_t *ret_bytes);

/** Half-closes. */
void peer_shutdown(int fd);

/** Closes. */
void peer_close(int fd);

/** Closes by RST. */
void peer_reset(int fd);

/** A raw listening socket. */
int peer_listen(unsigned *ret_port);

/** Accepts from it. */
int peer_accept(int fd);

/**
 * A port on which a connect neither succeeds nor fails: it is listened on, and
 * no more connections are queued. Both descriptors are to be closed.
 */
void peer_listen_full(int ret_fds[2], unsigned *ret_port);

/** A port on which nobody listens, kept from others by a bound socket: to be closed. */
int peer_refuse(unsigned *ret_port);

/** The port in "127.0.0.1:7000". */
unsigned peer_port(const char *address);

/** Bytes that differ from their neighbours, from a place in an endless pattern. */
void peer_fill(void *buffer, size_t size, size_t from);

/** Is this that part of the pattern? */
int peer_is_pattern(const void *buffer, size_t size, size_t from);

/** A thread that plays a peer. */
typedef void *peer_fn(void *arg);
pthread_t peer_start(peer_fn *fn, void *arg);
void peer_join(pthread_t thread);

/** A monotonic clock of its own, which no test moves. */
double peer_seconds(void);

#endif
