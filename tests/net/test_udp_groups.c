/*
 * Groups (multicast) and options: net/udp_options.c. Over the loopback interface, which a
 * sandbox may have kept from sending to groups: those tests are skipped then, aloud.
 */
#include "tests/net/udp_pair.h"

#include <net/if.h>

TestSuite(udp_groups, .timeout = 30);

struct family {
	const char *every, *host, *group, *other_group, *foreign_group, *foreign_host;
};

static const struct family families[] = {
	{ "0.0.0.0:0", "127.0.0.1", "239.255.77.1", "239.255.77.2", "ff11::77", "::1" },
	{ "[::]:0", "::1", "ff11::4477", "ff11::4478", "192.0.2.1", "127.0.0.1" },
};

/* Two sockets at a port, both of which get what is sent to a group at it. */
struct listeners {
	cede_udp_t *one, *other;
	uint16_t port;
};

static const cede_udp_options_t shared = { .reuse_address = 1 };

static void
listeners_open(struct listeners *l, const char *every)
{
	char text[CEDE_ADDRESS_TEXT_SIZE];
	cede_address_t local;

	cr_assert_eq(cede_udp_bind(every, &shared, &l->one), 0);
	cr_assert_eq(cede_udp_local(l->one, &local), 0);
	cr_assert_eq(cede_address_format(&local, text, sizeof text), 0);
	cr_assert_eq(cede_udp_bind(text, &shared, &l->other), 0);
	l->port = cede_address_port(&local);
}

static void
listeners_close(struct listeners *l)
{
	cede_udp_close(l->one);
	cede_udp_close(l->other);
}

static cede_address_t
group_at(const char *group, uint16_t port)
{
	char text[CEDE_ADDRESS_TEXT_SIZE];
	cede_address_t to;

	snprintf(text, sizeof text, strchr(group, ':') ? "[%s]:%u" : "%s:%u", group, port);
	cr_assert_eq(cede_address_parse(text, &to), 0);
	return to;
}

/* What came: its one byte; 0: nothing. On the loopback that is known at once. */
static char
what_came(cede_udp_t *u)
{
	char byte = 0;
	ssize_t n = cede_udp_try_receive(u, &byte, 1, NULL);

	cr_assert(n == 1 || n == CEDE_EAGAIN, "%s", cede_strerror((int)n));
	return n == 1 ? byte : 0;
}

/* Can this system send to a group over its loopback? */
static int
can_send(cede_udp_t *u, const struct family *f)
{
	const cede_address_t to = group_at(f->group, 9);
	ssize_t n = cede_udp_set_multicast_interface(u, f->host);

	if (n == 0)
		n = cede_udp_send(u, "?", 1, &to);
	if (n == 1)
		return 1;
	fprintf(stderr, "%s: no groups over the loopback here: %s\n", f->group,
		cede_strerror((int)n));
	return 0;
}

/* ---- who gets what ---- */

static void
send_to_members(const struct family *f)
{
	struct listeners l = { 0 };
	cede_udp_t *u = NULL;
	cede_address_t to;

	cr_assert_eq(cede_udp_bind(f->every, NULL, &u), 0);
	listeners_open(&l, f->every);
	if (can_send(u, f)) {
		cr_assert_eq(cede_udp_join(l.one, f->group, f->host, NULL), 0);
		cr_assert_eq(cede_udp_join(l.other, f->group, f->host, NULL), 0);
		to = group_at(f->group, l.port);
		cr_assert_eq(cede_udp_send(u, "a", 1, &to), 1);
		cr_assert_eq(what_came(l.one), 'a');
		cr_assert_eq(what_came(l.other), 'a');
		cr_assert_eq(cede_udp_leave(l.other, f->group, f->host, NULL), 0);
		cr_assert_eq(cede_udp_leave(l.one, f->group, f->host, NULL), 0);
		cr_assert_eq(cede_udp_send(u, "b", 1, &to), 1);
		cr_assert_eq(what_came(l.one), 0, "both have left");
	}
	listeners_close(&l);
	cede_udp_close(u);
}

TASK_TEST(udp_groups, every_member_gets_what_is_sent_to_it)
{
	send_to_members(&families[0]);
}

TASK_TEST(udp_groups, and_so_in_ipv6)
{
	send_to_members(&families[1]);
}

TASK_TEST(udp_groups, only_from_the_source_that_was_asked_for)
{
	const struct family *f = &families[0];
	struct listeners l = { 0 };
	cede_udp_t *u = NULL;
	cede_address_t to;

	cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &u), 0);
	listeners_open(&l, f->every);
	if (can_send(u, f)) {
		to = group_at(f->group, l.port);
		cr_assert_eq(cede_udp_join(l.one, f->group, f->host, "127.0.0.1"), 0);
		cr_assert_eq(cede_udp_join(l.other, f->group, f->host, "192.0.2.99"), 0);
		cr_assert_eq(cede_udp_send(u, "a", 1, &to), 1);
		cr_assert_eq(what_came(l.one), 'a');
		cr_assert_eq(what_came(l.other), 0);
		cr_assert_eq(cede_udp_join(l.other, f->group, f->host, "127.0.0.1"), 0);
		cr_assert_eq(cede_udp_send(u, "b", 1, &to), 1);
		cr_assert_eq(what_came(l.other), 'b', "one more source");
		cr_assert_eq(cede_udp_leave(l.other, f->group, f->host, "127.0.0.1"), 0);
		cr_assert_eq(cede_udp_send(u, "c", 1, &to), 1);
		cr_assert_eq(what_came(l.other), 0);
	}
	listeners_close(&l);
	cede_udp_close(u);
}

/* ---- what is refused ---- */

TASK_TEST(udp_groups, what_cannot_be_joined_is_refused)
{
	for (int i = 0; i < 2; i++) {
		const struct family *f = &families[i];
		cede_udp_t *u = NULL;

		cr_assert_eq(cede_udp_bind(f->every, &(cede_udp_options_t){ .ipv6_only = 1 }, &u),
			0);
		cr_assert_eq(cede_udp_join(u, "nonsense", NULL, NULL), CEDE_EINVAL);
		cr_assert_eq(cede_udp_join(u, NULL, NULL, NULL), CEDE_EINVAL);
		cr_assert_eq(cede_udp_join(u, f->host, f->host, NULL), CEDE_EINVAL, "not a group");
		cr_assert_eq(cede_udp_join(u, f->foreign_group, NULL, NULL), CEDE_EINVAL);
		cr_assert_eq(cede_udp_join(u, "239.255.77.1:80", NULL, NULL), CEDE_EINVAL);
		cr_assert_eq(cede_udp_join(u, f->group, "no such", NULL), CEDE_ENODEV);
		cr_assert_eq(cede_udp_join(u, f->group, "198.51.100.7", NULL), CEDE_ENODEV);
		cr_assert_eq(cede_udp_join(u, f->group, f->host, "nonsense"), CEDE_EINVAL);
		cr_assert_eq(cede_udp_join(u, f->group, f->host, f->foreign_host), CEDE_EINVAL);
		cr_assert_eq(cede_udp_leave(u, f->group, f->host, NULL), CEDE_EADDRNOTAVAIL);
		cr_assert_eq(cede_udp_join(u, f->group, f->host, NULL), 0);
		cr_assert_eq(cede_udp_join(u, f->group, f->host, NULL), CEDE_EADDRINUSE);
		cr_assert_eq(cede_udp_join(u, f->other_group, f->host, NULL), 0);
		cr_assert_eq(cede_udp_set_multicast_interface(u, "no such"), CEDE_ENODEV);
		cede_udp_close(u);
	}
}

TASK_TEST(udp_groups, an_interface_goes_by_its_name_or_an_address_of_its_own)
{
	static const char *const addresses[] = { "127.0.0.1", "::1" };
	char name[IF_NAMESIZE];
	cede_udp_t *u = NULL;

	cr_assert_not_null(if_indextoname(1, name));
	cr_assert_eq(cede_udp_bind("0.0.0.0:0", NULL, &u), 0);
	cr_assert_eq(cede_udp_join(u, "239.255.77.1", name, NULL), 0);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(cede_udp_join(u, "239.255.77.1", addresses[i], NULL), CEDE_EADDRINUSE,
			"%s is the same", addresses[i]);
	cr_assert_eq(cede_udp_set_multicast_interface(u, name), 0);
	cr_assert_eq(cede_udp_set_multicast_interface(u, NULL), 0);
	cede_udp_close(u);
}

/* A socket for both families joins groups of both. */
TASK_TEST(udp_groups, one_for_both_families_joins_groups_of_both)
{
	cede_udp_t *u = NULL;

	cr_assert_eq(cede_udp_bind(":0", NULL, &u), 0);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(cede_udp_join(u, families[i].group, families[i].host, NULL), 0);
	cede_udp_close(u);
}

/* ---- options ---- */

static int
option_of(const cede_udp_t *u, int level, int name)
{
	int value = 0;
	socklen_t size = sizeof value;

	cr_assert_eq(getsockopt(u->fd, level, name, &value, &size), 0);
	return value;
}

TASK_TEST(udp_groups, numbers_of_hops_are_set_for_each_family_of_the_socket)
{
	static const char *const addresses[] = { "127.0.0.1:0", "[::1]:0", ":0" };

	for (int i = 0; i < 3; i++) {
		cede_udp_t *u = NULL;

		cr_assert_eq(cede_udp_bind(addresses[i], NULL, &u), 0);
		cr_assert_eq(cede_udp_set_ttl(u, 17), 0);
		cr_assert_eq(cede_udp_set_multicast_ttl(u, 255), 0);
		cr_assert_eq(cede_udp_set_multicast_loop(u, 0), 0);
		if (i != 0) {
			cr_assert_eq(option_of(u, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 17);
			cr_assert_eq(option_of(u, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 255);
			cr_assert_eq(option_of(u, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 0);
		}
		if (i != 1) {
			cr_assert_eq(option_of(u, IPPROTO_IP, IP_TTL), 17);
			cr_assert_eq(option_of(u, IPPROTO_IP, IP_MULTICAST_TTL), 255);
			cr_assert_eq(option_of(u, IPPROTO_IP, IP_MULTICAST_LOOP), 0);
		}
		cede_udp_close(u);
	}
}

UDP_TEST(udp_groups, numbers_of_hops_that_are_none_are_refused)
{
	cr_assert_eq(cede_udp_set_ttl(p->udp, 0), CEDE_EINVAL);
	cr_assert_eq(cede_udp_set_ttl(p->udp, 256), CEDE_EINVAL);
	cr_assert_eq(cede_udp_set_ttl(p->udp, -1), CEDE_EINVAL);
	cr_assert_eq(cede_udp_set_multicast_ttl(p->udp, -1), CEDE_EINVAL);
	cr_assert_eq(cede_udp_set_multicast_ttl(p->udp, 256), CEDE_EINVAL);
	cr_assert_eq(cede_udp_set_multicast_ttl(p->udp, 0), 0);
}

UDP_TEST(udp_groups, buffers_grow_and_shrink_and_the_system_says_what_came_of_it)
{
	size_t receive = 0, send = 0, receive_before, send_before;

	cr_assert_eq(cede_udp_get_buffers(p->udp, &receive_before, &send_before), 0);
	cr_assert_eq(cede_udp_set_buffers(p->udp, 8192, 0), 0);
	cr_assert_eq(cede_udp_get_buffers(p->udp, &receive, &send), 0);
	cr_assert_geq(receive, 8192);
	cr_assert_lt(receive, receive_before);
	cr_assert_eq(send, send_before);
	cr_assert_eq(cede_udp_set_buffers(p->udp, 0, 8192), 0);
	cr_assert_eq(cede_udp_get_buffers(p->udp, &receive_before, &send), 0);
	cr_assert_geq(send, 8192);
	cr_assert_lt(send, send_before);
	cr_assert_eq(receive_before, receive);
	cr_assert_eq(cede_udp_set_buffers(p->udp, (size_t)INT_MAX + 1, 0), CEDE_EINVAL);
	cr_assert_eq(cede_udp_set_buffers(p->udp, 0, (size_t)INT_MAX + 1), CEDE_EINVAL);
}

TASK_TEST(udp_groups, a_broadcast_needs_the_option)
{
	cede_udp_t *u = NULL;
	cede_address_t every;
	ssize_t n;

	cr_assert_eq(cede_address_parse("127.255.255.255:9", &every), 0);
	cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &u), 0);
	cr_assert_eq(cede_udp_send(u, "x", 1, &every), CEDE_EACCES);
	cede_udp_close(u);
	cr_assert_eq(cede_udp_bind("127.0.0.1:0", &(cede_udp_options_t){ .broadcast = 1 }, &u), 0);
	n = cede_udp_send(u, "x", 1, &every);
	cr_assert_eq(n, 1, "%s", cede_strerror((int)n));
	cede_udp_close(u);
}
