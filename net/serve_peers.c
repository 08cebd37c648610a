/*
 * How many connections a peer has at a time.
 *
 * A peer is whoever can be told from others: an IPv4 address, the 64 bits of an IPv6
 * address that a provider gives to one customer, the user of a unix socket's other end.
 * Connections hang in a table by a hash of that, with a secret: a client who chooses his
 * addresses must not choose the length of a chain. To count is to walk a chain, which
 * has at most max_per_peer of the peer's own.
 */
#include <netinet/in.h>
#include <string.h>

#include <cede/unix.h>

#include "coro/alloc.h"
#include "net/address.h"
#include "net/serve_int.h"

#define BUCKETS 1024

struct cede__peers {
	uint64_t secret;
	struct cede__list buckets[BUCKETS]; /* cede__connection::by_peer */
};

static struct cede__peer
peer_of_address(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;
	struct cede__peer peer = { .kind = address->ss_family };

	if (address->ss_family == AF_INET) {
		memcpy(&peer.id, &v4->sin_addr, 4);
	} else if (address->ss_family == AF_INET6) {
		const uint8_t *bytes = v6->sin6_addr.s6_addr;

		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
			peer.kind = AF_INET;
			memcpy(&peer.id, bytes + 12, 4);
		} else {
			memcpy(&peer.id, bytes, 8);
		}
	}
	return peer;
}

/* Those of whom nothing can be told are one. */
static struct cede__peer
peer_of(const cede_stream_t *s)
{
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t length = sizeof address;
	uid_t uid;

	if (s->stated)
		return peer_of_address(&s->stated->peer.address);
	if (cede_unix_peer(s, NULL, &uid, NULL) == 0)
		return (struct cede__peer){ .kind = AF_UNIX, .id = uid };
	(void)getpeername(s->fd, (struct sockaddr *)&address, &length);
	return peer_of_address(&address);
}

static struct cede__list *
bucket_of(struct cede__peers *peers, const struct cede__peer *peer)
{
	uint64_t x = (peer->id ^ peers->secret) + (uint64_t)peer->kind;

	x = (x ^ x >> 33) * 0xff51afd7ed558ccdU;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53U;
	return &peers->buckets[(x ^ x >> 33) % BUCKETS];
}

int
cede__serve_admit_peer(struct cede__connection *c)
{
	struct cede__server *server = c->server;
	struct cede__list *bucket, *link;
	unsigned n = 0;

	if (!server->peers)
		return 1;
	c->peer = peer_of(c->stream);
	bucket = bucket_of(server->peers, &c->peer);
	for (link = bucket->next; link != bucket; link = link->next) {
		const struct cede__connection *other =
			cede__container_of(link, struct cede__connection, by_peer);

		n += other->peer.kind == c->peer.kind && other->peer.id == c->peer.id;
	}
	if (n >= server->options.max_per_peer)
		return 0;
	cede__list_append(bucket, &c->by_peer);
	return 1;
}

int
cede__serve_init_peers(struct cede__server *server)
{
	struct cede__peers *peers;
	int r;

	if (server->options.max_per_peer == 0)
		return 0;
	peers = cede__alloc(sizeof *peers);
	if (!peers)
		return CEDE_ENOMEM;
	r = uv_random(NULL, NULL, &peers->secret, sizeof peers->secret, 0, NULL);
	if (r < 0) {
		cede__free(peers);
		return r;
	}
	for (int i = 0; i < BUCKETS; i++)
		cede__list_init(&peers->buckets[i]);
	server->peers = peers;
	return 0;
}
