/* Addresses as texts: "127.0.0.1:7000", "[::1]:7000", ":7000". */
#ifndef CEDE_NET_ADDRESS_H
#define CEDE_NET_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

/**
 * Reads a numeric address with its port. An empty host is every address of this
 * host, as IPv6, which with IPV6_V6ONLY off means IPv4 as well.
 *
 * @return 0, or CEDE_EINVAL: not an address, or no port of 0 to 65535
 */
int cede__address_parse(const char *text, struct sockaddr_storage *ret_address);

/** The length of an address that was parsed. */
socklen_t cede__address_length(const struct sockaddr_storage *address);

/** Writes an address of the inet families as text. 0, CEDE_ENOBUFS, CEDE_ENOTSUP: another family. */
int cede__address_format(const struct sockaddr_storage *address, char *buffer, size_t size);

/** Asks getsockname or getpeername about a socket, and writes the answer. Also CEDE_ENOTCONN, … */
int cede__address_of_fd(int fd, int (*ask)(int, struct sockaddr *, socklen_t *), char *buffer,
	size_t size);

#endif
