/*
 * A UDP socket of the library's and a raw one, which have told each other their ports.
 *
 *     UDP_TEST(udp_receive, returns_one_datagram) { … p->udp, p->peer … }
 *
 * What the body has closed it sets to NULL or -1.
 */
#ifndef CEDE_TESTS_NET_UDP_PAIR_H
#define CEDE_TESTS_NET_UDP_PAIR_H

#include <netinet/in.h>
#include <sys/time.h>

#include "net/udp_int.h"
#include "tests/net/pair.h"

struct udp_pair {
	cede_udp_t *udp;        /* of no peer */
	cede_address_t address; /* its */
	int peer;               /* raw, blocks; connected to it */
	cede_address_t from;    /* the peer's */
};

/** A raw socket on the loopback: blocks, for at most PEER_LIMIT_S. */
static inline int
raw_open(cede_address_t *ret_address)
{
	struct sockaddr_in name = { .sin_family = AF_INET };
	const struct timeval limit = { .tv_sec = PEER_LIMIT_S };
	socklen_t size = sizeof name;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert_geq(fd, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&name, &size), 0);
	cr_assert_eq(cede_address_from_sockaddr((struct sockaddr *)&name, size, ret_address), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	return fd;
}

static inline void
raw_connect(int fd, const cede_address_t *to)
{
	size_t size;
	const struct sockaddr *address = cede_address_sockaddr(to, &size);

	cr_assert_eq(connect(fd, address, (socklen_t)size), 0);
}

static inline void
raw_send(int fd, const void *data, size_t size)
{
	cr_assert_eq(send(fd, data, size, 0), (ssize_t)size, "%s", strerror(errno));
}

/** The next datagram is this. */
static inline void
raw_expect(int fd, const void *data, size_t size)
{
	static char bytes[65536];

	cr_assert_eq(recv(fd, bytes, sizeof bytes, 0), (ssize_t)size);
	cr_assert_eq(memcmp(bytes, data, size), 0);
}

/** There is none. */
static inline void
raw_expect_nothing(int fd)
{
	char byte;

	cr_assert_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	cr_assert_eq(errno, EAGAIN);
}

static inline void
udp_pair_open(struct udp_pair *p)
{
	cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &p->udp), 0);
	cr_assert_eq(cede_udp_local(p->udp, &p->address), 0);
	p->peer = raw_open(&p->from);
	raw_connect(p->peer, &p->address);
}

static inline void
udp_pair_close(struct udp_pair *p)
{
	cede_udp_close(p->udp);
	if (p->peer >= 0)
		close(p->peer);
}

static inline int
run_udp_body(void *body)
{
	void (*const *fn)(struct udp_pair *) = body;
	struct udp_pair p;

	udp_pair_open(&p);
	(*fn)(&p);
	udp_pair_close(&p);
	return 0;
}

#define UDP_TEST(suite, name) \
	static void suite##_##name(struct udp_pair *p); \
	Test(suite, name) \
	{ \
		void (*body)(struct udp_pair *) = suite##_##name; \
		run_gated_to_its_end(run_udp_body, &body); \
	} \
	static void suite##_##name(struct udp_pair *p)

/** A receive in a task of its own. */
struct receiving {
	cede_udp_t *udp;
	char buffer[16];
	cede_udp_info_t info;
	ssize_t result;
	int has_ended;
};

static inline int
receive_once(void *arg)
{
	struct receiving *r = arg;

	r->result = cede_udp_receive(r->udp, r->buffer, sizeof r->buffer, &r->info);
	r->has_ended = 1;
	return 0;
}

/** A send in a task of its own. */
struct sending {
	cede_udp_t *udp;
	const void *data;
	size_t size;
	const cede_address_t *to;
	ssize_t result;
	int has_ended;
};

static inline int
send_once(void *arg)
{
	struct sending *s = arg;

	s->result = cede_udp_send(s->udp, s->data, s->size, s->to);
	s->has_ended = 1;
	return 0;
}

#endif
