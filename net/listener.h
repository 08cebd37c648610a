/* Listening sockets, for serve.c. */
#ifndef CEDE_NET_LISTENER_H
#define CEDE_NET_LISTENER_H

#include <cede/tcp.h>

/** The loop a listener belongs to. */
struct cede_loop *cede__listener_loop(const cede_listener_t *listener);

#endif
