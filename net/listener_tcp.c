/*
 * Listening over TCP: the socket and its options.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/address.h"
#include "net/listener.h"
#include "net/stream_int.h"

static int
set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

static int
is_every_address(const struct sockaddr_storage *address)
{
	const struct sockaddr_in6 *v6 = (const void *)address;

	return address->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

/* What a connection inherits from its listener costs no system call of its own. */
static int
set_options(int fd, const struct sockaddr_storage *address, const cede_listen_options_t *o)
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

/* ":7000" on a host without IPv6. */
static int
open_v4_instead(const char *text, struct sockaddr_storage *address)
{
	char v4[32] = "0.0.0.0";

	for (size_t i = 0; i < 8 && text[i]; i++)
		v4[7 + i] = text[i];
	return cede__address_parse(v4, address) < 0
		? -1
		: socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int
open_socket(const char *text, const cede_listen_options_t *o, int *ret_fd)
{
	struct sockaddr_storage address;
	int r = cede__address_parse(text, &address), fd;

	if (r == 0 && o->only_v6 && address.ss_family != AF_INET6)
		r = CEDE_EINVAL;
	if (r < 0)
		return r;
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 && errno == EAFNOSUPPORT && text[0] == ':' && !o->only_v6)
		fd = open_v4_instead(text, &address);
	if (fd < 0)
		return -errno;

	r = set_options(fd, &address, o);
	if (r == 0 && bind(fd, (struct sockaddr *)&address, cede__address_length(&address)) < 0)
		r = -errno;
	if (r == 0 && listen(fd, o->backlog > 0 ? o->backlog : CEDE__BACKLOG) < 0)
		r = -errno;
	if (r < 0)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

int
cede_tcp_listen(const char *address, const cede_listen_options_t *options,
	cede_listener_t **ret_listener)
{
	static const cede_listen_options_t defaults;
	cede_loop_t *loop = cede_loop_current();
	int fd = -1, r;

	if (!loop)
		return CEDE_ENOTASK;
	r = open_socket(address, options ? options : &defaults, &fd);
	if (r < 0)
		return r;
	r = cede__listener_create(loop, fd, UV_TCP, ret_listener);
	if (r < 0)
		close(fd);
	return r;
}
