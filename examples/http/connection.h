#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include "exchange.h"

/**
 * Talks to one client until one of the two has had enough.
 *
 * @return 0: the client left, or was told why it had to; else the stream's code,
 *   CEDE_EXIT when the task is being closed
 *
 * Suspends. The stream is closed in any case.
 */
CEDE_SUSPENDS int connection_run(struct worker *worker, cede_stream_t *stream);

#endif
