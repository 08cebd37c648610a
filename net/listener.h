/* Listening sockets, for those that make them and for serve.c. */
#ifndef CEDE_NET_LISTENER_H
#define CEDE_NET_LISTENER_H

#include <uv.h>

#include <cede/loop.h>
#include <cede/tcp.h>

/* Connections that wait for an accept, unless it is said how many. */
#define CEDE__BACKLOG 511

/**
 * The listener of a descriptor that listens and does not block. On failure the
 * descriptor stays the caller's.
 *
 * @param type  of its streams: UV_TCP or UV_NAMED_PIPE
 * @return 0, CEDE_ENOMEM, libuv's codes
 */
int cede__listener_create(cede_loop_t *loop, int fd, uv_handle_type type,
	cede_listener_t **ret_listener);

/** Has forget(name) called when it is closed, before it refuses connections. */
void cede__listener_set_name(cede_listener_t *listener, void *name, cede_dtor_fn *forget);

/** One more reference: the memory stays, also when the listener is closed meanwhile. */
cede_listener_t *cede__listener_ref(cede_listener_t *listener);
void cede__listener_unref(cede_listener_t *listener);

/** cede_listener_close(), unless somebody has done so. */
void cede__listener_close_once(cede_listener_t *listener);

#endif
