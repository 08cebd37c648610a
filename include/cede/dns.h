/**
 * Names: of hosts to addresses and back, of services to ports.
 *
 *     cede_dns_result_t *found;
 *     char text[CEDE_ADDRESS_TEXT_SIZE];
 *     int r = cede_dns_lookup("example.org", "https", NULL, &found);
 *     for (unsigned i = 0; r == 0 && i < found->count; i++)
 *             if (cede_address_format(&found->addresses[i], text, sizeof text) == 0)
 *                     puts(text);                      // "192.0.2.1:443"
 *
 * The system's own resolver answers (getaddrinfo() and getnameinfo(): /etc/hosts, name
 * servers, and whatever else the system is set up for), in libuv's thread pool. It
 * blocks a thread for as long as it takes, and nobody can stop it. So:
 *
 *   - A loop has two lookups in the pool at a time (cede_dns_set_limit()); what comes
 *     next waits, first come, first served. Of all loops together libuv lets lookups
 *     have half of the pool's threads. Files and <cede/work.h> always have the rest.
 *   - A lookup has a time limit, ten seconds unless told otherwise, with its wait for
 *     its turn.
 *   - A cancel, and the time limit, abandon: the task goes on at once, one that waited its
 *     turn is never made, one that runs goes on by itself, and its answer is dropped. A
 *     loop is not detached before those have returned.
 *
 * What is numeric is answered at once, without the pool.
 *
 * What is a name: 1 to 253 bytes, letters, digits, hyphens and underscores, in labels of 1
 * to 63, and maybe a dot at the end; a name in another script is given in its "xn--" form.
 * Its last label is no number: "127.1" or "0x7f000001", which the system would take for an
 * address, are refused. Anything else is CEDE_EINVAL, and no one asks the network for it.
 *
 * Answers are as good as where they come from: without DNSSEC, or TLS behind it, whoever
 * is between here and the name server can make them up.
 *
 * Sources: RFC 1034, 1035, 1123 2.1, 3493, 6724.
 *
 * Threads: all calls in the loop's thread, those that suspend in a task of it.
 */
#ifndef CEDE_DNS_H
#define CEDE_DNS_H

#include <cede/address.h>
#include <cede/base.h>
#include <cede/future.h>
#include <cede/loop.h>

CEDE__BEGIN

/** More addresses than this are never returned. */
#define CEDE_DNS_ADDRESSES_MAX 64

/** Room for a name of a host and of a service, with their zeros. */
#define CEDE_DNS_HOST_SIZE    256
#define CEDE_DNS_SERVICE_SIZE 64

/** Which addresses. */
typedef enum cede_dns_family {
	CEDE_DNS_ANY,
	CEDE_DNS_IPV4,
	CEDE_DNS_IPV6,
} cede_dns_family_t;

/** How to look a name up. All zero, or NULL for the whole, is the default. */
typedef struct cede_dns_options {
	cede_dns_family_t family;
	int is_datagram;     /**< services of UDP; of TCP otherwise */
	int is_passive;      /**< without a host: every address of this host, to listen on */
	int wants_canonical; /**< ask for the canonical name as well */
	unsigned max;        /**< addresses at the most; 0, or more than 64: 64 */
	uint64_t timeout_ms; /**< 0: 10,000 */
} cede_dns_options_t;

/** What was found. The library's memory; ends with cede_dns_result_destroy(). */
typedef struct cede_dns_result {
	const cede_address_t *addresses; /**< in the order to try them, none twice (RFC 6724) */
	unsigned count;                  /**< 1 or more */
	int is_cut;                      /**< there were more than that */
	const char *canonical;           /**< the canonical name, if asked for and known, or NULL */
} cede_dns_result_t;

/**
 * Looks the addresses of a host up.
 *
 * @param host     a name or a numeric address ("::1" without brackets, "fe80::1%eth0"); NULL:
 *                 this host, by its loopback addresses, or see options.is_passive
 * @param service  a port or a service's name; NULL: port 0. Not both NULL
 * @param options  NULL for the defaults; not kept
 * @param ret_result  the caller's
 * @return 0; or
 *   CEDE_EINVAL          no name, or no service: see above
 *   CEDE_EAI_NONAME      no such host or service
 *   CEDE_EAI_NODATA, CEDE_EAI_ADDRFAMILY  it has no address, or none of this family
 *   CEDE_EAI_AGAIN       the name server did not answer, or could not for now
 *   CEDE_EAI_FAIL, CEDE_EAI_SERVICE, … of the system
 *   CEDE_ETIMEDOUT       options.timeout_ms, or a timeout scope, has passed
 *   CEDE_EXIT, CEDE_ENOMEM, CEDE_ENOTASK
 *
 * Suspends, unless all is numeric. A cancel abandons the lookup.
 */
CEDE_API CEDE_SUSPENDS int cede_dns_lookup(const char *host, const char *service,
	const cede_dns_options_t *options, cede_dns_result_t **ret_result);

/** A lookup that was started. On the caller's stack. */
typedef struct cede_dns_lookup_op {
	cede_future_t future;      /**< result: 0 */
	cede_dns_result_t *result; /**< when the result is 0: the caller's */

	/* private */
	struct cede__dns_request *request;
} cede_dns_lookup_t;

/**
 * Starts a lookup. Nothing of the caller's but @op is used after this returns.
 *
 * @return 0; or what fails at once: CEDE_EINVAL, CEDE_ENOMEM, CEDE_ENOTASK
 */
CEDE_API int cede_dns_lookup_start(const char *host, const char *service,
	const cede_dns_options_t *options, cede_dns_lookup_t *op);

/** Ends what a lookup has found. NULL is allowed. */
CEDE_API void cede_dns_result_destroy(cede_dns_result_t *result);

/** What an address is called. */
typedef struct cede_dns_names {
	char host[CEDE_DNS_HOST_SIZE];
	char service
		[CEDE_DNS_SERVICE_SIZE]; /**< of its port, as "https"; a number if it has none */
} cede_dns_names_t;

/** How to look an address up. All zero, or NULL for the whole, is the default. */
typedef struct cede_dns_reverse_options {
	int needs_name; /**< CEDE_EAI_NONAME where there is no name; the address as text otherwise */
	int is_datagram;     /**< services of UDP; of TCP otherwise */
	uint64_t timeout_ms; /**< 0: 10,000 */
} cede_dns_reverse_options_t;

/**
 * Looks the names of an address up. What the name server says is whatever the owner of the
 * address has put there: it proves nothing, unless the name leads back to the address.
 *
 * @param address  "192.0.2.1:443", as cede_stream_peer() writes it
 * @return 0; CEDE_EINVAL: not an address; CEDE_EAI_NONAME; CEDE_EAI_FAIL: also when what is
 *   said is no name; CEDE_EAI_AGAIN, … as cede_dns_lookup()
 *
 * Suspends. A cancel abandons the lookup.
 */
CEDE_API CEDE_SUSPENDS int cede_dns_reverse(const char *address,
	const cede_dns_reverse_options_t *options, cede_dns_names_t *ret_names);

/** A reverse lookup that was started. On the caller's stack. */
typedef struct cede_dns_reverse_op {
	cede_future_t future;   /**< result: 0 */
	cede_dns_names_t names; /**< when the result is 0 */

	/* private */
	struct cede__dns_request *request;
} cede_dns_reverse_t;

/** Starts a reverse lookup. 0; CEDE_EINVAL, CEDE_ENOMEM, CEDE_ENOTASK. */
CEDE_API int cede_dns_reverse_start(const char *address, const cede_dns_reverse_options_t *options,
	cede_dns_reverse_t *op);

/**
 * The port of a service: "https" is 443, and "443" is.
 *
 * @return 0; CEDE_EINVAL: no service's name; CEDE_EAI_SERVICE, CEDE_EAI_NONAME: there is no
 *   such service; others as cede_dns_lookup()
 *
 * Suspends. A cancel abandons the lookup.
 */
CEDE_API CEDE_SUSPENDS int cede_dns_service(const char *name, int is_datagram, unsigned *ret_port);

/**
 * How many lookups of a loop may be in the thread pool at a time. Those that run are left
 * alone when there are more.
 *
 * @param limit  0: the default, 2
 */
CEDE_API void cede_dns_set_limit(cede_loop_t *loop, unsigned limit);

CEDE__END

#endif
