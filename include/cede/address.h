/**
 * Addresses of sockets as values: IPv4 or IPv6, with a port.
 *
 * A cede_address_t is copied by assignment and has no memory behind it. As a text
 * it is "127.0.0.1:7000" or "[::1]:7000"; ":7000" is every address of this host;
 * "[fe80::1%eth0]:7000" is of the link behind an interface (RFC 4007). Numbers only:
 * nothing here looks up a name.
 *
 * Any thread.
 */
#ifndef CEDE_ADDRESS_H
#define CEDE_ADDRESS_H

#include <cede/base.h>

CEDE__BEGIN

struct sockaddr;

/** An address. All zero: none. */
typedef struct cede_address {
	/* private */
	uint32_t size;     /* bytes of the next; 0: none */
	uint32_t bytes[7]; /* the system's struct sockaddr_in or sockaddr_in6 */
} cede_address_t;

/** Room for every text that cede_address_format() writes. */
#define CEDE_ADDRESS_TEXT_SIZE 72

/**
 * Reads a text.
 *
 * @return 0; CEDE_EINVAL: not an address, no port of 0 to 65535, or a zone that is
 *   no interface of this host
 */
CEDE_API int cede_address_parse(const char *text, cede_address_t *ret_address);

/** Writes the text. 0; CEDE_ENOBUFS: @size is too small; CEDE_EINVAL: no address. */
CEDE_API int cede_address_format(const cede_address_t *address, char *buffer, size_t size);

/** The same host and port (and zone)? Two that are none are equal. */
CEDE_API int cede_address_is_equal(const cede_address_t *a, const cede_address_t *b);

/** The port; 0 if there is no address. */
CEDE_API uint16_t cede_address_port(const cede_address_t *address);

/** The same host with another port. No address stays none. */
CEDE_API void cede_address_set_port(cede_address_t *address, uint16_t port);

/** Is it IPv6? One of IPv4 that an IPv6 socket says, "[::ffff:127.0.0.1]:7000", is. */
CEDE_API int cede_address_is_ipv6(const cede_address_t *address);

/**
 * Takes the system's form: what getaddrinfo() or another library gave.
 *
 * @return 0; CEDE_ENOTSUP: neither IPv4 nor IPv6; CEDE_EINVAL: @size is too small for it
 */
CEDE_API int cede_address_from_sockaddr(const struct sockaddr *from, size_t size,
	cede_address_t *ret_address);

/**
 * Gives the system's form, for another library.
 *
 * @param ret_size  its size in bytes
 * @return it, inside @address; NULL: no address
 */
CEDE_API const struct sockaddr *cede_address_sockaddr(const cede_address_t *address,
	size_t *ret_size);

CEDE__END

#endif
