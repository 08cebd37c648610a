/*
 * Listening over TCP: the socket and its options; by address, and by name.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/address.h"
#include "net/dns_int.h"
#include "net/listener.h"
#include "net/stream_int.h"

#define ADDRESSES_MAX 16

static int
set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

static int
is_every_address(const struct sockaddr *address)
{
	const struct sockaddr_in6 *v6 = (const void *)address;

	return address->sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

/* What a connection inherits from its listener costs no system call of its own. */
static int
set_options(int fd, const struct sockaddr *address, const cede_listen_options_t *o)
{
	int r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);

	if (r == 0 && o->share_port)
		r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && !o->delay)
		r = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (r == 0 && (o->only_v6 || is_every_address(address)))
		r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, o->only_v6 != 0);
	return r;
}

static int
open_family(int family)
{
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* A socket that listens on an address, or on every one of IPv4 where there is no IPv6. */
static int
open_socket(const struct sockaddr_storage *address, int or_v4, const cede_listen_options_t *o,
	int *ret_fd)
{
	const struct sockaddr_in6 *v6 = (const void *)address;
	const struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = v6->sin6_port };
	const struct sockaddr *at = (const void *)address;
	socklen_t length = cede__address_length(address);
	int fd, r;

	if (o->only_v6 && address->ss_family != AF_INET6)
		return CEDE_EINVAL;
	fd = open_family(address->ss_family);
	if (fd < 0 && errno == EAFNOSUPPORT && or_v4 && !o->only_v6) {
		at = (const void *)&v4;
		length = sizeof v4;
		fd = open_family(AF_INET);
	}
	if (fd < 0)
		return -errno;

	r = set_options(fd, at, o);
	if (r == 0 && bind(fd, at, length) < 0)
		r = -errno;
	if (r == 0 && listen(fd, o->backlog > 0 ? o->backlog : CEDE__BACKLOG) < 0)
		r = -errno;
	if (r < 0)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

static int
listen_at(cede_loop_t *loop, const struct sockaddr_storage *address, int or_v4,
	const cede_listen_options_t *options, cede_listener_t **ret_listener)
{
	static const cede_listen_options_t defaults;
	int fd = -1, r = open_socket(address, or_v4, options ? options : &defaults, &fd);

	if (r < 0)
		return r;
	r = cede__listener_create(loop, fd, UV_TCP, ret_listener);
	if (r < 0)
		close(fd);
	return r;
}

int
cede_tcp_listen(const char *address, const cede_listen_options_t *options,
	cede_listener_t **ret_listener)
{
	cede_loop_t *loop = cede_loop_current();
	struct sockaddr_storage at;
	int r;

	if (!loop)
		return CEDE_ENOTASK;
	r = cede__address_parse(address, &at);
	return r < 0 ? r : listen_at(loop, &at, address[0] == ':', options, ret_listener);
}

/* ---- by name ---- */

/* The first address that can be listened on; or what is wrong with the first. */
static int
listen_at_any(cede_loop_t *loop, const struct sockaddr_storage *addresses, int count,
	const cede_listen_options_t *options, cede_listener_t **ret_listener)
{
	int first = 0;

	for (int i = 0; i < count; i++) {
		int r = listen_at(loop, &addresses[i], 0, options, ret_listener);

		if (r == 0)
			return 0;
		if (first == 0)
			first = r;
	}
	return first;
}

int
cede_tcp_listen_name(const char *name, const cede_listen_options_t *options,
	cede_listener_t **ret_listener)
{
	struct sockaddr_storage addresses[ADDRESSES_MAX];
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r < 0)
		return r;
	if (!name)
		return CEDE_EINVAL;
	if (cede__address_parse(name, &addresses[0]) == 0)
		return listen_at(loop, &addresses[0], name[0] == ':', options, ret_listener);
	r = cede__dns_resolve(name, 1, addresses, ADDRESSES_MAX);
	if (r < 0)
		return r;
	if (name[0] == ':') { /* every address: the port is all that was looked up */
		struct sockaddr_in6 every = { .sin6_family = AF_INET6,
			.sin6_port = ((struct sockaddr_in *)(void *)&addresses[0])->sin_port };

		memcpy(&addresses[0], &every, sizeof every);
		return listen_at(loop, &addresses[0], 1, options, ret_listener);
	}
	return listen_at_any(loop, addresses, r, options, ret_listener);
}
