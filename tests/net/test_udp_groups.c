/*
 * Groups (multicast) and options: net/udp_options.c. Nothing that is sent to a group here
 * leaves this host. Where a sandbox has no way for it the test is skipped.
 */
#include "tests/net/udp_pair.h"

#include <net/if.h>

TestSuite(udp_groups, .timeout = 30);

struct family {
	const char *every, *sender, *host;
	const char *group, *other_group;
	const char *foreign_group, *foreign_host; /* of the other family */
};

/* Groups of this host alone: what goes to the loopback, and what IPv6 never lets out (RFC 4291, 2.7). */
static const struct family families[] = {
	{ "0.0.0.0:0", "127.0.0.1:0", "127.0.0.1", "239.255.77.1", "239.255.77.2", "ff01::77",
		"::1" },
	{ "[::]:0", "[::]:0", "::1", "ff01::4477", "ff01::4478", "239.255.77.1", "127.0.0.1" },
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

/* Does a datagram to the group go out there? By a raw socket. */
static int
can_send_by(const struct family *f, int interface)
{
	const cede_address_t to = group_at(f->group, 9);
	const int is_v6 = cede_address_is_ipv6(&to);
	const struct ip_mreqn v4 = { .imr_ifindex = interface };
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = -1;
	const struct sockaddr *address;
	size_t size;

	if (fd < 0)
		return 0;
	address = cede_address_sockaddr(&to, &size);
	if (is_v6)
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &interface, sizeof interface);
	else
		r = setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &v4, sizeof v4);
	if (r == 0)
		r = (int)sendto(fd, "?", 1, 0, address, (socklen_t)size);
	close(fd);
	return r == 1;
}

/* An interface by which groups can be tried: of IPv4 the loopback, of IPv6 any, see families[]. */
static int
find_way(const struct family *f, char name[IF_NAMESIZE])
{
	struct if_nameindex *all = if_nameindex();
	int found = 0;

	cr_assert_not_null(all);
	for (int i = 0; all[i].if_index && !found; i++)
		if (f != &families[0] || strcmp(all[i].if_name, "lo") == 0) {
			found = can_send_by(f, (int)all[i].if_index);
			strcpy(name, all[i].if_name);
		}
	if_freenameindex(all);
	return found;
}

struct group_test {
	const struct family *family;
	char way[IF_NAMESIZE]; /* the interface */
	cede_udp_t *sender;
	struct listeners listeners;
	void (*body)(struct group_test *t);
};

static int
run_group_test(void *arg)
{
	struct group_test *t = arg;

	cr_assert_eq(cede_udp_bind(t->family->sender, NULL, &t->sender), 0);
	listeners_open(&t->listeners, t->family->every);
	cr_assert_eq(cede_udp_set_multicast_interface(t->sender, t->way), 0);
	t->body(t);
	listeners_close(&t->listeners);
	cede_udp_close(t->sender);
	return 0;
}

#define GROUP_TEST(name, n) \
	static void group_##name(struct group_test *t); \
	Test(udp_groups, name) \
	{ \
		struct group_test t = { .family = &families[n], .body = group_##name }; \
		if (!find_way(t.family, t.way)) \
			cr_skip_test("no way to a group here that does not leave this host"); \
		run_gated(run_group_test, &t); \
	} \
	static void group_##name(struct group_test *t)

/* ---- who gets what ---- */

static void
send_to_members(struct group_test *t)
{
	const char *group = t->family->group;
	const struct listeners *l = &t->listeners;
	const cede_address_t to = group_at(group, l->port);

	cr_assert_eq(cede_udp_join(l->one, group, t->way, NULL), 0);
	cr_assert_eq(cede_udp_join(l->other, group, t->way, NULL), 0);
	cr_assert_eq(cede_udp_send(t->sender, "a", 1, &to), 1);
	cr_assert_eq(what_came(l->one), 'a');
	cr_assert_eq(what_came(l->other), 'a');
	cr_assert_eq(cede_udp_leave(l->other, group, t->way, NULL), 0);
	cr_assert_eq(cede_udp_leave(l->one, group, t->way, NULL), 0);
	cr_assert_eq(cede_udp_send(t->sender, "b", 1, &to), 1);
	cr_assert_eq(what_came(l->one), 0, "both have left");
}

GROUP_TEST(every_member_gets_what_is_sent_to_it, 0)
{
	send_to_members(t);
}

GROUP_TEST(and_so_in_ipv6, 1)
{
	send_to_members(t);
}

GROUP_TEST(only_from_the_source_that_was_asked_for, 0)
{
	const char *group = t->family->group;
	const struct listeners *l = &t->listeners;
	const cede_address_t to = group_at(group, l->port);

	cr_assert_eq(cede_udp_join(l->one, group, t->way, "127.0.0.1"), 0);
	cr_assert_eq(cede_udp_join(l->other, group, t->way, "192.0.2.99"), 0);
	cr_assert_eq(cede_udp_send(t->sender, "a", 1, &to), 1);
	cr_assert_eq(what_came(l->one), 'a');
	cr_assert_eq(what_came(l->other), 0);
	cr_assert_eq(cede_udp_join(l->other, group, t->way, "127.0.0.1"), 0);
	cr_assert_eq(cede_udp_send(t->sender, "b", 1, &to), 1);
	cr_assert_eq(what_came(l->other), 'b', "one more source");
	cr_assert_eq(cede_udp_leave(l->other, group, t->way, "127.0.0.1"), 0);
	cr_assert_eq(cede_udp_send(t->sender, "c", 1, &to), 1);
	cr_assert_eq(what_came(l->other), 0);
}

/* On an interface that is none of the loopback: what that sends it receives, whatever is asked for. */
GROUP_TEST(this_host_hears_itself_unless_that_is_turned_off, 1)
{
	const char *group = t->family->group;
	const struct listeners *l = &t->listeners;
	const cede_address_t to = group_at(group, l->port);

	cr_assert_eq(cede_udp_join(l->one, group, t->way, NULL), 0);
	cr_assert_eq(cede_udp_set_multicast_loop(t->sender, 0), 0);
	cr_assert_eq(cede_udp_send(t->sender, "a", 1, &to), 1);
	cr_assert_eq(what_came(l->one), strcmp(t->way, "lo") == 0 ? 'a' : 0);
	cr_assert_eq(cede_udp_set_multicast_loop(t->sender, 1), 0);
	cr_assert_eq(cede_udp_send(t->sender, "b", 1, &to), 1);
	cr_assert_eq(what_came(l->one), 'b');
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
