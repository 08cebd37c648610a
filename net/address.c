#include "net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cede/base.h>

#define HOST_SIZE (INET6_ADDRSTRLEN + 1 + IF_NAMESIZE)

/* 0 to 65535, digits only; -1 otherwise. */
static int
parse_port(const char *text)
{
	int port = 0;

	if (!*text)
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		port = port * 10 + (*text - '0');
		if (port > 65535)
			return -1;
	}
	return port;
}

/* Splits at the last colon, takes the brackets off an IPv6 host. 0, or CEDE_EINVAL. */
static int
split_host(const char *text, char host[HOST_SIZE], const char **ret_port)
{
	const char *colon = strrchr(text, ':'), *from = text, *to = colon;

	if (!colon)
		return CEDE_EINVAL;
	if (*from == '[') {
		if (to == from || to[-1] != ']')
			return CEDE_EINVAL;
		from++;
		to--;
	} else if (memchr(from, ':', (size_t)(to - from))) {
		return CEDE_EINVAL; /* an IPv6 address without brackets: which colon is the port's? */
	}
	if (to - from >= HOST_SIZE)
		return CEDE_EINVAL;
	memcpy(host, from, (size_t)(to - from));
	host[to - from] = '\0';
	*ret_port = colon + 1;
	return 0;
}

/* The number of an interface that has this name or number; 0: there is none. */
static unsigned
find_zone(const char *zone)
{
	char name[IF_NAMESIZE], *end;
	unsigned long number;

	if (*zone < '0' || *zone > '9')
		return *zone ? if_nametoindex(zone) : 0;
	number = strtoul(zone, &end, 10);
	if (*end)
		return if_nametoindex(zone);
	return number <= UINT32_MAX && if_indextoname((unsigned)number, name) ? (unsigned)number
									      : 0;
}

/* Cuts the zone off "host%zone". 0, with 0 for no zone; or CEDE_EINVAL. */
static int
cut_zone(char *host, uint32_t *ret_zone)
{
	char *percent = strchr(host, '%');

	*ret_zone = 0;
	if (!percent)
		return 0;
	*percent = '\0';
	*ret_zone = find_zone(percent + 1);
	return *ret_zone ? 0 : CEDE_EINVAL;
}

int
cede__address_parse(const char *text, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_any };
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	const char *port_text;
	char host[HOST_SIZE];
	int port;

	if (!text || split_host(text, host, &port_text) < 0)
		return CEDE_EINVAL;
	port = parse_port(port_text);
	if (port < 0)
		return CEDE_EINVAL;

	memset(ret_address, 0, sizeof *ret_address);
	if (*text != '[' && inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
		v4.sin_port = htons((uint16_t)port);
		memcpy(ret_address, &v4, sizeof v4);
		return 0;
	}
	if (*text == '[' && cut_zone(host, &v6.sin6_scope_id) < 0)
		return CEDE_EINVAL;
	if (*host && inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
		return CEDE_EINVAL;
	if (!*host && *text == '[')
		return CEDE_EINVAL;
	v6.sin6_port = htons((uint16_t)port);
	memcpy(ret_address, &v6, sizeof v6);
	return 0;
}

socklen_t
cede__address_length(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET ? sizeof(struct sockaddr_in)
					     : sizeof(struct sockaddr_in6);
}

int
cede__address_parse_unix(const char *text, struct sockaddr_un *ret_address, socklen_t *ret_length)
{
	const int is_abstract = text && text[0] == '@';
	const size_t size = text ? strlen(text) : 0, start = offsetof(struct sockaddr_un, sun_path);

	if (size <= (size_t)is_abstract)
		return CEDE_EINVAL;
	if (size - (size_t)is_abstract >= sizeof ret_address->sun_path)
		return CEDE_ENAMETOOLONG;
	memset(ret_address, 0, sizeof *ret_address);
	ret_address->sun_family = AF_UNIX;
	memcpy(ret_address->sun_path, text, size);
	if (is_abstract)
		ret_address->sun_path[0] = '\0';
	*ret_length = (socklen_t)(start + size + !is_abstract);
	return 0;
}

/* A path may fill its array and have no 0 behind it then. */
static int
format_unix(const struct sockaddr_un *address, socklen_t length, char *buffer, size_t size)
{
	const size_t start = offsetof(struct sockaddr_un, sun_path);
	const char *name = address->sun_path;
	size_t n = length > start ? length - start : 0;

	if (n > sizeof address->sun_path)
		n = sizeof address->sun_path;
	if (n > 0 && name[0])
		n = strnlen(name, n);
	if (n == 0) {
		name = "@";
		n = 1;
	}
	if (n >= size)
		return CEDE_ENOBUFS;
	for (size_t i = 0; i < n; i++) {
		const unsigned char c = (unsigned char)name[i];

		buffer[i] = c == 0 ? '@' : c < ' ' || c == 127 ? '?' : name[i];
	}
	buffer[n] = '\0';
	return 0;
}

/* The zone goes by its interface's name, or by its number where that has no room or is gone. */
static int
format_v6(const struct sockaddr_in6 *v6, char *buffer, size_t size)
{
	const unsigned port = ntohs(v6->sin6_port), zone = v6->sin6_scope_id;
	char host[INET6_ADDRSTRLEN], name[IF_NAMESIZE];
	int n;

	inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
	if (zone == 0)
		return snprintf(buffer, size, "[%s]:%u", host, port);
	n = if_indextoname(zone, name) ? snprintf(buffer, size, "[%s%%%s]:%u", host, name, port)
				       : -1;
	return n >= 0 && (size_t)n < size ? n
					  : snprintf(buffer, size, "[%s%%%u]:%u", host, zone, port);
}

int
cede__address_format(const struct sockaddr_storage *address, socklen_t length, char *buffer,
	size_t size)
{
	char host[INET_ADDRSTRLEN];
	int n;

	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)address;

		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
		n = snprintf(buffer, size, "%s:%u", host, ntohs(v4->sin_port));
	} else if (address->ss_family == AF_INET6) {
		n = format_v6((const void *)address, buffer, size);
	} else if (address->ss_family == AF_UNIX) {
		return format_unix((const void *)address, length, buffer, size);
	} else {
		return CEDE_ENOTSUP;
	}
	return n >= 0 && (size_t)n < size ? 0 : CEDE_ENOBUFS;
}

int
cede__address_of_fd(int fd, int (*ask)(int, struct sockaddr *, socklen_t *), char *buffer,
	size_t size)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof address;

	if (fd < 0)
		return CEDE_EBADF;
	if (ask(fd, (struct sockaddr *)&address, &length) < 0)
		return -errno;
	return cede__address_format(&address, length, buffer, size);
}
