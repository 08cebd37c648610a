#ifndef HTTP_ROUTES_H
#define HTTP_ROUTES_H

#include "exchange.h"

/**
 * Answers a request whose head has been read.
 *
 * @return 0: all of the answer is there; or a code, and the client gets a 500 if nothing of
 *   an answer has gone yet
 */
CEDE_SUSPENDS int routes_handle(struct exchange *x);

#endif
