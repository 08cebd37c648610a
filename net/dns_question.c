/*
 * What is asked and what was answered: checks and copies. Nothing here waits, and all that
 * comes from outside is bounded.
 */
#include "net/dns_int.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "coro/alloc.h"
#include "net/address.h"

#define NAME_MAX_BYTES  253
#define LABEL_MAX_BYTES 63

/* ---- names ---- */

static int
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int
is_hex_digit(char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* What inet_aton() would read as a part of an address: decimal, octal, "0x…". */
static int
is_number(const char *label, size_t size)
{
	const int is_hex = size >= 2 && label[0] == '0' && (label[1] | 0x20) == 'x';

	for (size_t i = is_hex ? 2 : 0; i < size; i++)
		if (is_hex ? !is_hex_digit(label[i]) : !is_digit(label[i]))
			return 0;
	return 1;
}

static int
is_printable(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text >= 0x7f)
			return 0;
	return 1;
}

static int
is_of_names(char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '_';
}

int
cede__dns_is_name(const char *text)
{
	size_t size = strnlen(text, NAME_MAX_BYTES + 2), label = 0;

	if (size > 1 && text[size - 1] == '.')
		size--;
	if (size == 0 || size > NAME_MAX_BYTES)
		return 0;
	for (size_t i = 0; i < size; i++) {
		if (is_of_names(text[i]))
			continue;
		if (text[i] != '.')
			return 0;
		if (i == label || i - label > LABEL_MAX_BYTES)
			return 0;
		label = i + 1;
	}
	return size > label && size - label <= LABEL_MAX_BYTES &&
		!is_number(text + label, size - label);
}

/* "fe80::1%eth0", "fe80::1%2": the interface behind an address of IPv6. 0: there is none. */
static int
parse_scope(const char *text, uint32_t *ret_scope)
{
	uint32_t scope = 0;

	if (strnlen(text, IF_NAMESIZE) == IF_NAMESIZE)
		return 0;
	if (!is_digit(*text)) {
		scope = if_nametoindex(text);
	} else {
		for (; is_digit(*text) && scope < 100000000; text++)
			scope = scope * 10 + (uint32_t)(*text - '0');
		if (*text)
			return 0;
	}
	*ret_scope = scope;
	return scope != 0;
}

/* 1: it is an address; 0: no address; CEDE_EAI_NONAME: one on an interface that is not there. */
static int
parse_address(const char *text, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	const char *percent = strchr(text, '%');
	char bare[INET6_ADDRSTRLEN];
	const size_t size = percent ? (size_t)(percent - text) : strlen(text);

	memset(ret_address, 0, sizeof *ret_address);
	if (!percent && inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
		memcpy(ret_address, &v4, sizeof v4);
		return 1;
	}
	if (size >= sizeof bare)
		return 0;
	memcpy(bare, text, size);
	bare[size] = '\0';
	if (inet_pton(AF_INET6, bare, &v6.sin6_addr) != 1)
		return 0;
	if (percent && !parse_scope(percent + 1, &v6.sin6_scope_id))
		return CEDE_EAI_NONAME;
	memcpy(ret_address, &v6, sizeof v6);
	return 1;
}

/* 1: it is a number of a port; 0: a name; CEDE_EINVAL: neither. */
static int
parse_port(const char *text, uint16_t *ret_port)
{
	unsigned port = 0;

	for (const char *p = text; *p; p++) {
		if (!is_digit(*p))
			return is_printable(text) ? 0 : CEDE_EINVAL;
		port = port * 10 + (unsigned)(*p - '0');
		if (port > 65535)
			return CEDE_EINVAL;
	}
	*ret_port = (uint16_t)port;
	return *text ? 1 : CEDE_EINVAL;
}

int
cede__dns_split(const char *text, char host[CEDE_DNS_HOST_SIZE], const char **ret_service)
{
	const char *colon = text ? strrchr(text, ':') : NULL, *from = text, *to = colon;

	if (!colon)
		return CEDE_EINVAL;
	if (*from == '[') {
		if (to - from < 3 || to[-1] != ']' || !memchr(from, ':', (size_t)(to - from)))
			return CEDE_EINVAL; /* brackets are for addresses of IPv6 */
		from++;
		to--;
	} else if (memchr(from, ':', (size_t)(to - from))) {
		return CEDE_EINVAL; /* which colon is the port's? */
	}
	if (to - from >= CEDE_DNS_HOST_SIZE)
		return CEDE_EINVAL;
	memcpy(host, from, (size_t)(to - from));
	host[to - from] = '\0';
	*ret_service = colon + 1;
	return 0;
}

/* ---- questions ---- */

static int
set_host(struct cede__dns_question *q, const char *host)
{
	const size_t size = strnlen(host, CEDE_DNS_HOST_SIZE);
	int r;

	if (size == CEDE_DNS_HOST_SIZE)
		return CEDE_EINVAL;
	r = parse_address(host, &q->address);
	if (r < 0)
		return r;
	if (r == 0 && !cede__dns_is_name(host))
		return CEDE_EINVAL;
	q->has_address = r == 1;
	memcpy(q->host, host, size + 1);
	return 0;
}

static int
set_service(struct cede__dns_question *q, const char *service)
{
	const size_t size = strnlen(service, CEDE_DNS_SERVICE_SIZE);
	int r;

	if (size == CEDE_DNS_SERVICE_SIZE)
		return CEDE_EINVAL;
	r = parse_port(service, &q->port);
	if (r < 0)
		return r;
	q->has_port = r == 1;
	memcpy(q->service, service, size + 1);
	return 0;
}

int
cede__dns_question_init(struct cede__dns_question *q, const char *host, const char *service,
	const cede_dns_options_t *options)
{
	static const cede_dns_options_t defaults;
	static const int families[] = { AF_UNSPEC, AF_INET, AF_INET6 };
	const cede_dns_options_t *o = options ? options : &defaults;
	int r = 0;

	memset(q, 0, sizeof *q);
	if ((!host && !service) || (unsigned)o->family >= CEDE__ARRAY_LEN(families))
		return CEDE_EINVAL;
	if (host)
		r = set_host(q, host);
	if (r == 0 && service)
		r = set_service(q, service);
	if (r < 0)
		return r;
	if (!service)
		q->has_port = 1;
	q->hints = (struct addrinfo){
		.ai_family = families[o->family],
		.ai_socktype = o->is_datagram ? SOCK_DGRAM : SOCK_STREAM,
		.ai_flags = (o->is_passive ? AI_PASSIVE : 0) |
			(q->has_address ? AI_NUMERICHOST : 0) |
			(host && o->wants_canonical ? AI_CANONNAME : 0) |
			(service && q->has_port ? AI_NUMERICSERV : 0),
	};
	q->max = o->max > 0 && o->max < CEDE_DNS_ADDRESSES_MAX ? o->max : CEDE_DNS_ADDRESSES_MAX;
	q->timeout_ms = o->timeout_ms ? o->timeout_ms : CEDE__DNS_TIMEOUT_MS;
	return 0;
}

/* ---- answers ---- */

struct result_block {
	cede_dns_result_t result;
	char canonical[CEDE_DNS_HOST_SIZE];
	cede_address_t addresses[];
};

/* 1: it is an address of the inet families. */
static int
take_address(const struct addrinfo *a, cede_address_t *ret_address)
{
	return a->ai_addr &&
		cede_address_from_sockaddr(a->ai_addr, a->ai_addrlen, ret_address) == 0;
}

static int
has_address(const struct result_block *block, const cede_address_t *address)
{
	for (unsigned i = 0; i < block->result.count; i++)
		if (cede_address_is_equal(&block->addresses[i], address))
			return 1;
	return 0;
}

int
cede__dns_result_create(const struct addrinfo *list, const struct cede__dns_question *q,
	cede_dns_result_t **ret_result)
{
	const char *canonical = list ? list->ai_canonname : NULL;
	struct result_block *block;
	cede_address_t address;
	unsigned count = 0;

	for (const struct addrinfo *a = list; a && count < q->max; a = a->ai_next)
		count += take_address(a, &address) != 0;
	if (count == 0)
		return CEDE_EAI_NODATA;
	block = cede__alloc(sizeof *block + count * sizeof *block->addresses);
	if (!block)
		return CEDE_ENOMEM;

	block->result = (cede_dns_result_t){ .addresses = block->addresses };
	for (const struct addrinfo *a = list; a; a = a->ai_next) {
		if (!take_address(a, &address) || has_address(block, &address))
			continue;
		if (block->result.count == count) {
			block->result.is_cut = 1;
			break;
		}
		block->addresses[block->result.count++] = address;
	}
	if (canonical && (q->has_address || cede__dns_is_name(canonical))) {
		snprintf(block->canonical, sizeof block->canonical, "%s", canonical);
		block->result.canonical = block->canonical;
	}
	*ret_result = &block->result;
	return 0;
}

void
cede_dns_result_destroy(cede_dns_result_t *result)
{
	if (result)
		cede__free(cede__container_of(result, struct result_block, result));
}

/* This host, by its loopback addresses or by every address. */
static void
name_this_host(int is_passive, struct sockaddr_in6 *v6, struct sockaddr_in *v4)
{
	*v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
		.sin6_addr = is_passive ? in6addr_any : in6addr_loopback };
	*v4 = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(is_passive ? INADDR_ANY : INADDR_LOOPBACK) };
}

static int
set_port(struct sockaddr *address, uint16_t port)
{
	if (address->sa_family == AF_INET)
		((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
	return address->sa_family;
}

int
cede__dns_answer_at_once(const struct cede__dns_question *q, cede_dns_result_t **ret_result)
{
	struct sockaddr_storage address = q->address;
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;
	struct addrinfo second = { .ai_addr = (struct sockaddr *)&v4, .ai_addrlen = sizeof v4 };
	struct addrinfo first = { .ai_addr = (struct sockaddr *)&v6,
		.ai_addrlen = sizeof v6,
		.ai_next = &second };
	struct addrinfo *list = &first;
	char canonical[CEDE_DNS_HOST_SIZE];

	if (!q->has_port || (*q->host && !q->has_address))
		return CEDE_EAGAIN;
	name_this_host(q->hints.ai_flags & AI_PASSIVE, &v6, &v4);
	if (q->has_address) {
		first.ai_next = NULL;
		first.ai_addr = (struct sockaddr *)&address;
		first.ai_addrlen = cede__address_length(&address);
	}
	first.ai_family = set_port(first.ai_addr, q->port);
	second.ai_family = set_port(second.ai_addr, q->port);
	if (q->hints.ai_family != AF_UNSPEC && first.ai_family != q->hints.ai_family)
		list = first.ai_next;
	else if (q->hints.ai_family != AF_UNSPEC)
		first.ai_next = NULL;
	if (!list)
		return CEDE_EAI_ADDRFAMILY;
	if (q->hints.ai_flags & AI_CANONNAME)
		list->ai_canonname = memcpy(canonical, q->host, sizeof canonical);
	return cede__dns_result_create(list, q, ret_result);
}
