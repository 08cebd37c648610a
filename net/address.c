#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cede/base.h>

#define HOST_SIZE 64

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

int
cede__address_format(const struct sockaddr_storage *address, socklen_t length, char *buffer,
	size_t size)
{
	char host[INET6_ADDRSTRLEN];
	int n;

	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)address;

		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
		n = snprintf(buffer, size, "%s:%u", host, ntohs(v4->sin_port));
	} else if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const void *)address;

		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
		n = snprintf(buffer, size, "[%s]:%u", host, ntohs(v6->sin6_port));
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
