/* Listening sockets, for serve.c. */
#ifndef CEDE_NET_LISTENER_H
#define CEDE_NET_LISTENER_H

#include <cede/tcp.h>

/** One more reference: the memory stays, also when the listener is closed meanwhile. */
cede_listener_t *cede__listener_ref(cede_listener_t *listener);
void cede__listener_unref(cede_listener_t *listener);

/** cede_listener_close(), unless somebody has done so. */
void cede__listener_close_once(cede_listener_t *listener);

#endif
