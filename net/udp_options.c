/*
 * UDP: groups, and what setsockopt() sets.
 *
 * Groups go by the options that are the same for both families (RFC 3678), which know
 * interfaces by number. An IPv6 socket that takes IPv4 as well has the options of both.
 */
#include "net/udp_int.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

static int
set(const cede_udp_t *u, int level, int name, const void *value, size_t size)
{
	return setsockopt(u->fd, level, name, value, (socklen_t)size) < 0 ? -errno : 0;
}

static int
set_int(const cede_udp_t *u, int level, int name, int value)
{
	return set(u, level, name, &value, sizeof value);
}

static int
takes_ipv4_too(const cede_udp_t *u)
{
	int only = 0;
	socklen_t size = sizeof only;

	return u->family == AF_INET6 &&
		getsockopt(u->fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size) == 0 && !only;
}

/* Sets the option of each family that the socket has. IPv4's of a group is a byte: so everywhere. */
static int
set_for_both(const cede_udp_t *u, int v6_name, int v4_name, int value, size_t v4_size)
{
	const unsigned char byte = (unsigned char)value;
	int r = 0;

	if (u->family == AF_INET6)
		r = set_int(u, IPPROTO_IPV6, v6_name, value);
	if (r == 0 && (u->family == AF_INET || takes_ipv4_too(u)))
		r = v4_size == 1 ? set(u, IPPROTO_IP, v4_name, &byte, 1)
				 : set_int(u, IPPROTO_IP, v4_name, value);
	return r;
}

/* ---- interfaces ---- */

/* A host without a port. 0, CEDE_EINVAL. */
static int
parse_host(const char *text, struct sockaddr_storage *ret_host)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	memset(ret_host, 0, sizeof *ret_host);
	if (text && inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		memcpy(ret_host, &v4, sizeof v4);
	else if (text && inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
		memcpy(ret_host, &v6, sizeof v6);
	else
		return CEDE_EINVAL;
	return 0;
}

static int
is_same_host(const struct sockaddr_storage *host, const struct sockaddr *other)
{
	const struct sockaddr_in *v4[] = { (const void *)host, (const void *)other };
	const struct sockaddr_in6 *v6[] = { (const void *)host, (const void *)other };

	if (!other || other->sa_family != host->ss_family)
		return 0;
	if (host->ss_family == AF_INET)
		return v4[0]->sin_addr.s_addr == v4[1]->sin_addr.s_addr;
	return memcmp(&v6[0]->sin6_addr, &v6[1]->sin6_addr, sizeof v6[0]->sin6_addr) == 0;
}

/* The number of the interface that has this address; 0: none has. */
static unsigned
find_by_address(const struct sockaddr_storage *host)
{
	struct ifaddrs *all, *one;
	unsigned number = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (one = all; one && number == 0; one = one->ifa_next)
		if (is_same_host(host, one->ifa_addr))
			number = if_nametoindex(one->ifa_name);
	freeifaddrs(all);
	return number;
}

/* 0, with number 0 for NULL, the system's choice; or CEDE_ENODEV. */
static int
find_interface(const char *name, unsigned *ret_number)
{
	struct sockaddr_storage host;

	*ret_number = 0;
	if (!name)
		return 0;
	*ret_number = if_nametoindex(name);
	if (*ret_number == 0 && parse_host(name, &host) == 0)
		*ret_number = find_by_address(&host);
	return *ret_number ? 0 : CEDE_ENODEV;
}

/* ---- groups ---- */

/* 1: it is a group that this socket can join. */
static int
is_group_for(const cede_udp_t *u, const struct sockaddr_storage *group)
{
	const struct sockaddr_in *v4 = (const void *)group;
	const struct sockaddr_in6 *v6 = (const void *)group;

	if (group->ss_family == AF_INET)
		return IN_MULTICAST(ntohl(v4->sin_addr.s_addr)) &&
			(u->family == AF_INET || takes_ipv4_too(u));
	return IN6_IS_ADDR_MULTICAST(&v6->sin6_addr) && u->family == AF_INET6;
}

/* By the option for any source, or the one for a single source. */
static int
set_membership(cede_udp_t *u, int any_name, int one_name, const char *group,
	const char *interface_name, const char *source)
{
	struct group_req any = { 0 };
	struct group_source_req one = { 0 };
	unsigned number = 0;
	int r = parse_host(group, &any.gr_group), level;

	if (r == 0 && source)
		r = parse_host(source, &one.gsr_source);
	if (r == 0 && !is_group_for(u, &any.gr_group))
		r = CEDE_EINVAL;
	if (r == 0 && source && one.gsr_source.ss_family != any.gr_group.ss_family)
		r = CEDE_EINVAL;
	if (r == 0)
		r = find_interface(interface_name, &number);
	if (r < 0)
		return r;

	level = any.gr_group.ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	if (!source) {
		any.gr_interface = number;
		return set(u, level, any_name, &any, sizeof any);
	}
	one.gsr_group = any.gr_group;
	one.gsr_interface = number;
	return set(u, level, one_name, &one, sizeof one);
}

int
cede_udp_join(cede_udp_t *u, const char *group, const char *interface_name, const char *source)
{
	return set_membership(u, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP, group, interface_name,
		source);
}

int
cede_udp_leave(cede_udp_t *u, const char *group, const char *interface_name, const char *source)
{
	return set_membership(u, MCAST_LEAVE_GROUP, MCAST_LEAVE_SOURCE_GROUP, group, interface_name,
		source);
}

int
cede_udp_set_multicast_interface(cede_udp_t *u, const char *interface_name)
{
	struct ip_mreqn v4 = { 0 };
	unsigned number;
	int r = find_interface(interface_name, &number);

	if (r == 0 && u->family == AF_INET6)
		r = set_int(u, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)number);
	v4.imr_ifindex = (int)number;
	if (r == 0 && (u->family == AF_INET || takes_ipv4_too(u)))
		r = set(u, IPPROTO_IP, IP_MULTICAST_IF, &v4, sizeof v4);
	return r;
}

int
cede_udp_set_multicast_loop(cede_udp_t *u, int is_on)
{
	return set_for_both(u, IPV6_MULTICAST_LOOP, IP_MULTICAST_LOOP, is_on != 0, 1);
}

int
cede_udp_set_multicast_ttl(cede_udp_t *u, int hops)
{
	if (hops < 0 || hops > 255)
		return CEDE_EINVAL;
	return set_for_both(u, IPV6_MULTICAST_HOPS, IP_MULTICAST_TTL, hops, 1);
}

/* ---- the rest ---- */

int
cede_udp_set_ttl(cede_udp_t *u, int hops)
{
	if (hops < 1 || hops > 255)
		return CEDE_EINVAL;
	return set_for_both(u, IPV6_UNICAST_HOPS, IP_TTL, hops, sizeof hops);
}

int
cede_udp_set_buffers(cede_udp_t *u, size_t receive_bytes, size_t send_bytes)
{
	int r = 0;

	if (receive_bytes > INT_MAX || send_bytes > INT_MAX)
		return CEDE_EINVAL;
	if (receive_bytes > 0)
		r = set_int(u, SOL_SOCKET, SO_RCVBUF, (int)receive_bytes);
	if (r == 0 && send_bytes > 0)
		r = set_int(u, SOL_SOCKET, SO_SNDBUF, (int)send_bytes);
	return r;
}

static int
get_int(const cede_udp_t *u, int level, int name, int *ret_value)
{
	socklen_t size = sizeof *ret_value;

	return getsockopt(u->fd, level, name, ret_value, &size) < 0 ? -errno : 0;
}

int
cede_udp_get_buffers(const cede_udp_t *u, size_t *ret_receive_bytes, size_t *ret_send_bytes)
{
	int receive = 0, send = 0, r = get_int(u, SOL_SOCKET, SO_RCVBUF, &receive);

	if (r == 0)
		r = get_int(u, SOL_SOCKET, SO_SNDBUF, &send);
	if (r < 0)
		return r;
	*ret_receive_bytes = (size_t)receive;
	*ret_send_bytes = (size_t)send;
	return 0;
}
