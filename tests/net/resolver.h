/*
 * A resolver that tests write: it takes the place of the system's, in libuv's threads as in
 * the test's own. It knows the hosts it was told of and a few services, and can be held: a
 * name server that does not answer. Included by one file of a program.
 */
#ifndef TESTS_NET_RESOLVER_H
#define TESTS_NET_RESOLVER_H

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

struct resolver_host {
	const char *name;
	int result;            /* an EAI_ code, instead of addresses */
	const char *canonical; /* NULL: the name */
	const char *addresses; /* "192.0.2.1 2001:db8::1" */
	unsigned repeats;      /* so many more of IPv4, from 10.0.0.1 on */
};

static const struct resolver_host *resolver_hosts; /* ends with a NULL name */

/* What getnameinfo() answers. */
static struct {
	const char *host, *service; /* NULL: a number */
	int result;
} resolver_names;

static atomic_int resolver_asked; /* questions, all told */
static atomic_int resolver_inside, resolver_inside_max;
static atomic_int resolver_lists; /* answers that were not freed */
static atomic_int resolver_is_held;
static sem_t resolver_entered, resolver_gate;
static char resolver_order[64][64]; /* of the hosts that were asked for */

static inline void
resolver_init(void)
{
	sem_init(&resolver_entered, 0, 0);
	sem_init(&resolver_gate, 0, 0);
}

/** From here on nobody is answered before resolver_pass(). */
static inline void
resolver_hold(void)
{
	atomic_store(&resolver_is_held, 1);
}

/** Answers so many of those that are held. */
static inline void
resolver_pass(int count)
{
	while (count-- > 0)
		sem_post(&resolver_gate);
}

/** Answers all, from here on. */
static inline void
resolver_let_go(void)
{
	atomic_store(&resolver_is_held, 0);
	resolver_pass(64);
}

/** Waits, without the loop, until so many more have been asked for. */
static inline void
resolver_await(int count)
{
	while (count-- > 0)
		while (sem_wait(&resolver_entered))
			;
}

static inline void
resolver_enter(const char *host)
{
	const int now = atomic_fetch_add(&resolver_inside, 1) + 1;
	const int asked = atomic_fetch_add(&resolver_asked, 1);

	for (int max = atomic_load(&resolver_inside_max); now > max;)
		if (atomic_compare_exchange_weak(&resolver_inside_max, &max, now))
			break;
	snprintf(resolver_order[asked % 64], sizeof resolver_order[0], "%s", host ? host : "");
	sem_post(&resolver_entered);
	if (atomic_load(&resolver_is_held))
		while (sem_wait(&resolver_gate))
			;
	atomic_fetch_sub(&resolver_inside, 1);
}

static inline int
resolver_port(const char *service)
{
	static const struct {
		const char *name;
		int port;
	} services[] = { { "domain", 53 }, { "http", 80 }, { "https", 443 } };

	if (!service)
		return 0;
	for (size_t i = 0; i < 3; i++)
		if (strcmp(service, services[i].name) == 0)
			return services[i].port;
	return *service >= '0' && *service <= '9' ? atoi(service) : -1;
}

static inline struct addrinfo *
resolver_address(const char *text, int port)
{
	struct addrinfo *a = calloc(1, sizeof *a + sizeof(struct sockaddr_in6));
	struct sockaddr_in *v4 = (void *)(a + 1);
	struct sockaddr_in6 *v6 = (void *)(a + 1);

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		a->ai_addrlen = sizeof *v4;
	} else {
		cr_assert_eq(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		a->ai_addrlen = sizeof *v6;
	}
	a->ai_addr = (void *)(a + 1);
	a->ai_family = a->ai_addr->sa_family;
	return a;
}

static inline struct addrinfo *
resolver_list(const struct resolver_host *host, int family, int port)
{
	struct addrinfo *first = NULL, **last = &first;
	char text[64];
	const char *p = host->addresses ? host->addresses : "";

	for (unsigned i = 0; sscanf(p, "%63s", text) == 1 || i < host->repeats;) {
		if (*p) {
			p += strspn(p, " ");
			p += strcspn(p, " ");
		} else {
			i++;
			snprintf(text, sizeof text, "10.0.%u.%u", i / 256, i % 256);
		}
		*last = resolver_address(text, port);
		if (family != AF_UNSPEC && (*last)->ai_family != family) {
			free(*last);
			*last = NULL;
		} else {
			last = &(*last)->ai_next;
		}
	}
	return first;
}

static inline const struct resolver_host *
resolver_find(const char *name)
{
	static const struct resolver_host here = { .name = "", .addresses = "127.0.0.1 ::1" };

	if (!name)
		return &here;
	for (const struct resolver_host *h = resolver_hosts; h && h->name; h++)
		if (strcmp(h->name, name) == 0)
			return h;
	return NULL;
}

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
	struct addrinfo **ret_list)
{
	const struct resolver_host *host = resolver_find(name);
	const struct resolver_host numeric = { .name = name, .addresses = name };
	const int port = resolver_port(service);
	struct addrinfo *list;

	resolver_enter(name);
	if (hints->ai_flags & AI_NUMERICHOST)
		host = &numeric;
	if (!host)
		return EAI_NONAME;
	if (port < 0)
		return EAI_SERVICE;
	if (host->result)
		return host->result;
	list = resolver_list(host, hints->ai_family, port);
	if (!list && !host->addresses)
		return EAI_NODATA;
	if (!list)
		return EAI_ADDRFAMILY;
	if (hints->ai_flags & AI_CANONNAME)
		list->ai_canonname = strdup(host->canonical ? host->canonical : name);
	atomic_fetch_add(&resolver_lists, 1);
	*ret_list = list;
	return 0;
}

void
freeaddrinfo(struct addrinfo *list)
{
	if (list)
		atomic_fetch_sub(&resolver_lists, 1);
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list->ai_canonname);
		free(list);
		list = next;
	}
}

static inline int
resolver_format(const struct sockaddr *address, char *host, socklen_t size)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;

	return inet_ntop(address->sa_family,
		       address->sa_family == AF_INET ? (const void *)&v4->sin_addr
						     : (const void *)&v6->sin6_addr,
		       host, size)
		? 0
		: EAI_OVERFLOW;
}

int
getnameinfo(const struct sockaddr *address, socklen_t size, char *host, socklen_t host_size,
	char *service, socklen_t service_size, int flags)
{
	const struct sockaddr_in *v4 = (const void *)address;

	if (flags & NI_NUMERICHOST)
		return resolver_format(address, host, host_size);
	resolver_enter(NULL);
	if (resolver_names.result)
		return resolver_names.result;
	if (!resolver_names.host && flags & NI_NAMEREQD)
		return EAI_NONAME;
	if (resolver_names.host)
		snprintf(host, host_size, "%s", resolver_names.host);
	else
		resolver_format(address, host, host_size);
	if (resolver_names.service)
		snprintf(service, service_size, "%s%s", resolver_names.service,
			flags & NI_DGRAM ? "-udp" : "");
	else
		snprintf(service, service_size, "%u", ntohs(v4->sin_port));
	return 0;
}

#endif
