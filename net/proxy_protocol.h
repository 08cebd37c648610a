/*
 * The PROXY protocol's header, versions 1 and 2 (HAProxy, proxy-protocol.txt, 2 to
 * 2.2), as it comes: no input or output in here.
 *
 *     cede__proxy_init(&p);
 *     do {
 *             n = read up to p.room bytes into p.into;
 *             r = cede__proxy_feed(&p, n);
 *     } while (r == 0);
 *
 * It never has room for more than surely belongs to the header, so that what comes
 * behind it is not read.
 */
#ifndef CEDE_NET_PROXY_PROTOCOL_H
#define CEDE_NET_PROXY_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#include "net/address.h"

/* A line with both characters at its end, and a binary header with all its extensions. */
#define CEDE__PROXY_V1_MAX 107
#define CEDE__PROXY_V2_MAX 4096

struct cede__proxy {
	/* Until it is complete: where the next bytes go, at most so many, at least 1. */
	uint8_t *into;
	size_t room;

	/* When it is complete. */
	struct cede__names names; /* lengths 0: it states none, the real ones hold */

	/* private */
	size_t size;                 /* bytes that have come */
	size_t total;                /* of a binary header, when that is known */
	uint8_t bytes[16 + 2 * 108]; /* the first of them: all but the extensions */
};

void cede__proxy_init(struct cede__proxy *proxy);

/**
 * So many bytes, 1 to `room`, have been put where `into` points.
 *
 * @return 1: the header is complete; 0: not yet; CEDE_EPROTO: it is none
 */
int cede__proxy_feed(struct cede__proxy *proxy, size_t size);

#endif
