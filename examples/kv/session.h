#ifndef KV_SESSION_H
#define KV_SESSION_H

#include <cede/cede.h>

#include "commands.h"

/**
 * Talks to one client until one of the two has had enough.
 *
 * @return 0: the client left, or was told why it had to; else the stream's code,
 *   CEDE_EXIT when the task is being closed
 *
 * Suspends. The stream stays the caller's.
 */
CEDE_SUSPENDS int session_run(struct kv *kv, cede_stream_t *stream);

#endif
