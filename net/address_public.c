/*
 * Addresses as values. The texts without a zone are net/address.c's; a zone is an
 * interface's name or number between the host and its bracket.
 */
#include <cede/address.h>

#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/address.h"

_Static_assert(sizeof(struct sockaddr_in6) <= sizeof((cede_address_t *)0)->bytes &&
		sizeof(struct sockaddr_in) <= sizeof(struct sockaddr_in6),
	"both families fit");

#define TEXT_MAX 128 /* longer ones are no addresses */
#define HOST_MAX (INET6_ADDRSTRLEN + 1 + IF_NAMESIZE)

static sa_family_t
family_of(const cede_address_t *a)
{
	struct sockaddr_in v4;

	if (a->size == 0)
		return AF_UNSPEC;
	memcpy(&v4, a->bytes, sizeof v4);
	return v4.sin_family;
}

static struct sockaddr_in6
v6_of(const cede_address_t *a)
{
	struct sockaddr_in6 v6;

	memcpy(&v6, a->bytes, sizeof v6);
	return v6;
}

static struct sockaddr_in
v4_of(const cede_address_t *a)
{
	struct sockaddr_in v4;

	memcpy(&v4, a->bytes, sizeof v4);
	return v4;
}

/* The number of an interface that has this name or number; 0: there is none. */
static unsigned
find_zone(const char *zone)
{
	char name[IF_NAMESIZE], *end;
	unsigned long number;

	if (!*zone)
		return 0;
	number = strtoul(zone, &end, 10);
	if (*end || *zone < '0' || *zone > '9')
		return if_nametoindex(zone);
	return number <= UINT32_MAX && if_indextoname((unsigned)number, name) ? (unsigned)number
									      : 0;
}

/* Cuts "%zone" out of "[host%zone]:port". 0, with 0 for no zone; or CEDE_EINVAL. */
static int
cut_zone(char *text, unsigned *ret_zone)
{
	char *from = strchr(text, '%'), *to;

	*ret_zone = 0;
	if (!from)
		return 0;
	to = strchr(from, ']');
	if (!to || text[0] != '[')
		return CEDE_EINVAL;
	*to = '\0';
	*ret_zone = find_zone(from + 1);
	*to = ']';
	memmove(from, to, strlen(to) + 1);
	return *ret_zone ? 0 : CEDE_EINVAL;
}

int
cede_address_parse(const char *text, cede_address_t *ret_address)
{
	struct sockaddr_storage parsed;
	char copy[TEXT_MAX];
	unsigned zone;
	int r;

	if (!text || strlen(text) >= sizeof copy)
		return CEDE_EINVAL;
	strcpy(copy, text);
	r = cut_zone(copy, &zone);
	if (r == 0)
		r = cede__address_parse(copy, &parsed);
	if (r < 0)
		return r;
	if (zone)
		((struct sockaddr_in6 *)(void *)&parsed)->sin6_scope_id = zone;
	return cede_address_from_sockaddr((struct sockaddr *)&parsed, cede__address_length(&parsed),
		ret_address);
}

int
cede_address_format(const cede_address_t *a, char *buffer, size_t size)
{
	const int is_v6 = cede_address_is_ipv6(a);
	char host[HOST_MAX];
	int n;

	if (a->size == 0 ||
		getnameinfo((const struct sockaddr *)(const void *)a->bytes, a->size, host,
			sizeof host, NULL, 0, NI_NUMERICHOST) != 0)
		return CEDE_EINVAL;
	n = snprintf(buffer, size, "%s%s%s:%u", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
		cede_address_port(a));
	return n >= 0 && (size_t)n < size ? 0 : CEDE_ENOBUFS;
}

int
cede_address_is_equal(const cede_address_t *a, const cede_address_t *b)
{
	if (a->size != b->size || family_of(a) != family_of(b) ||
		cede_address_port(a) != cede_address_port(b))
		return 0;
	if (family_of(a) == AF_INET)
		return v4_of(a).sin_addr.s_addr == v4_of(b).sin_addr.s_addr;
	if (family_of(a) == AF_INET6) {
		const struct sockaddr_in6 v6[] = { v6_of(a), v6_of(b) };

		return v6[0].sin6_scope_id == v6[1].sin6_scope_id &&
			memcmp(&v6[0].sin6_addr, &v6[1].sin6_addr, sizeof v6[0].sin6_addr) == 0;
	}
	return 1;
}

uint16_t
cede_address_port(const cede_address_t *a)
{
	switch (family_of(a)) {
	case AF_INET:
		return ntohs(v4_of(a).sin_port);
	case AF_INET6:
		return ntohs(v6_of(a).sin6_port);
	default:
		return 0;
	}
}

void
cede_address_set_port(cede_address_t *a, uint16_t port)
{
	struct sockaddr_in v4 = v4_of(a);
	struct sockaddr_in6 v6 = v6_of(a);

	if (family_of(a) == AF_INET) {
		v4.sin_port = htons(port);
		memcpy(a->bytes, &v4, sizeof v4);
	} else if (family_of(a) == AF_INET6) {
		v6.sin6_port = htons(port);
		memcpy(a->bytes, &v6, sizeof v6);
	}
}

int
cede_address_is_ipv6(const cede_address_t *a)
{
	return family_of(a) == AF_INET6;
}

int
cede_address_from_sockaddr(const struct sockaddr *from, size_t size, cede_address_t *ret_address)
{
	cede_address_t a = { 0 };

	if (!from || size < offsetof(struct sockaddr, sa_data))
		return CEDE_EINVAL;
	if (from->sa_family == AF_INET)
		a.size = sizeof(struct sockaddr_in);
	else if (from->sa_family == AF_INET6)
		a.size = sizeof(struct sockaddr_in6);
	else
		return CEDE_ENOTSUP;
	if (size < a.size)
		return CEDE_EINVAL;
	memcpy(a.bytes, from, a.size);
	*ret_address = a;
	return 0;
}

const struct sockaddr *
cede_address_sockaddr(const cede_address_t *a, size_t *ret_size)
{
	if (a->size == 0)
		return NULL;
	*ret_size = a->size;
	return (const struct sockaddr *)(const void *)a->bytes;
}
