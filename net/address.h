/* Addresses as texts: "127.0.0.1:7000", "[::1]:7000", ":7000"; "/run/x.sock", "@name". */
#ifndef CEDE_NET_ADDRESS_H
#define CEDE_NET_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

/* An address as the system has it. Length 0: none. */
struct cede__name {
	struct sockaddr_storage address;
	socklen_t length;
};

/* Of the two ends of a stream. */
struct cede__names {
	struct cede__name peer, local;
};

/**
 * Reads a numeric address with its port, and the zone of one of IPv6. An empty host is
 * every address of this host, as IPv6, which with IPV6_V6ONLY off means IPv4 as well.
 *
 * @return 0, or CEDE_EINVAL: not an address, no port of 0 to 65535, or no interface of this
 *   host
 */
int cede__address_parse(const char *text, struct sockaddr_storage *ret_address);

/** The length of an address that was parsed. */
socklen_t cede__address_length(const struct sockaddr_storage *address);

/**
 * Reads the name of a unix socket: a path, or '@' and an abstract name.
 *
 * @param ret_length  of the address: an abstract name ends with it, not with a 0
 * @return 0; CEDE_EINVAL: NULL, "" or "@"; CEDE_ENAMETOOLONG: more than 107 bytes
 */
int cede__address_parse_unix(const char *text, struct sockaddr_un *ret_address,
	socklen_t *ret_length);

/**
 * Writes an address as text. A unix socket without a name, as a client's, is "@". What
 * the peer may have chosen ends in logs: a control character in its name is a '?', a 0
 * an '@'.
 *
 * @param length  of the address, as the system has said it or cede__address_length()
 * @return 0; CEDE_ENOBUFS; CEDE_ENOTSUP: another family
 */
int cede__address_format(const struct sockaddr_storage *address, socklen_t length, char *buffer,
	size_t size);

/** Asks getsockname or getpeername about a socket, and writes the answer. Also CEDE_ENOTCONN, … */
int cede__address_of_fd(int fd, int (*ask)(int, struct sockaddr *, socklen_t *), char *buffer,
	size_t size);

#endif
