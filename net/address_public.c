/* Addresses as values. Their texts are net/address.c's. */
#include <cede/address.h>

#include <netinet/in.h>
#include <string.h>

#include "net/address.h"

_Static_assert(sizeof(struct sockaddr_in6) <= sizeof((cede_address_t *)0)->bytes &&
		sizeof(struct sockaddr_in) <= sizeof(struct sockaddr_in6),
	"both families fit");

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

int
cede_address_parse(const char *text, cede_address_t *ret_address)
{
	struct sockaddr_storage parsed;
	int r = cede__address_parse(text, &parsed);

	if (r < 0)
		return r;
	return cede_address_from_sockaddr((struct sockaddr *)&parsed, cede__address_length(&parsed),
		ret_address);
}

int
cede_address_format(const cede_address_t *a, char *buffer, size_t size)
{
	struct sockaddr_storage address;

	if (a->size == 0)
		return CEDE_EINVAL;
	memset(&address, 0, sizeof address);
	memcpy(&address, a->bytes, a->size);
	return cede__address_format(&address, (socklen_t)a->size, buffer, size);
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
