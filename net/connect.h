/*
 * Connecting to the first of several addresses that answers: happy eyeballs (RFC 8305),
 * as a machine that callbacks drive. It takes no task, so a connect by name can be
 * started, selected and given up like any other operation.
 *
 *   LOOKING --answer--> TRYING --one is connected------> over: 0
 *      |                  |  +---none is left, all failed-> over: the most useful error
 *      |                  +-- a pause passes, or one fails: the next is tried beside
 *      +------------------+-- the time limit ----------> over: CEDE_ETIMEDOUT
 *      +------------------+-- given up, detached ------> over: CEDE_ECANCELED
 *
 * Numeric addresses begin at TRYING.
 *
 * An attempt is a stream that connects. Being over closes all streams but the one that is
 * handed over, in the same call in which the op is resolved: so there is one connection or
 * none, whatever happens at once. libuv's requests lie in the streams, which live until
 * libuv has let go, and do not know the connector any more; so does a lookup that was
 * abandoned. That is why the connector's memory goes at once.
 *
 * Invariants
 * - LOOKING: `request` is set, there are no candidates. TRYING: `running` > 0.
 * - `running` counts the candidates that have a stream; those from `next` on have none.
 * - The pause runs if and only if there is a next candidate, in TRYING.
 */
#ifndef CEDE_NET_CONNECT_H
#define CEDE_NET_CONNECT_H

#include <sys/socket.h>

#include <cede/tcp.h>

/* How to connect, checked. */
struct cede__connect_plan {
	uint64_t timeout_ms;
	uint64_t attempt_delay_ms;
	int family; /* AF_UNSPEC: either */
	int has_delay;
	int has_local;
	struct sockaddr_storage local;
};

/** Starts to connect to a numeric address. 0, or the code of what fails at once. */
int cede__connect_to(cede_loop_t *loop, const struct sockaddr_storage *address,
	const struct cede__connect_plan *plan, cede_connect_t *op);

/** The same to a host and a service, either of which may have to be looked up. */
int cede__connect_by_name(cede_loop_t *loop, const char *host, const char *service,
	const struct cede__connect_plan *plan, cede_connect_t *op);

#endif
