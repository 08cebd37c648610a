/* UDP sockets: their life, the poll, names. The model is in udp_int.h. */
#include "net/udp_int.h"

#include <netinet/in.h>
#include <unistd.h>

#include "coro/alloc.h"

/* ---- closing ---- */

static void
handle_closed(uv_handle_t *handle)
{
	cede_udp_t *u = handle->data;

	cede__loop_closed(u->loop);
	cede__free(u);
}

/* The poll lets go of the descriptor when it is stopped: no need to wait for its close. */
void
cede_udp_close(cede_udp_t *u)
{
	if (!u)
		return;
	cede__check(!u->is_closed, "a UDP socket was closed twice");
	u->is_closed = 1;
	cede__list_remove(&u->resource.link);
	if (u->receiver)
		cede_future_cancel(&u->receiver->future);
	if (u->sender)
		cede_future_cancel(&u->sender->future);
	cede__timer_unreserve(u->loop, &u->pause);
	uv_close((uv_handle_t *)&u->uv, handle_closed);
	close(u->fd);
	u->fd = -1;
}

static void
close_left_open(struct cede__resource *resource)
{
	cede_udp_close(cede__container_of(resource, cede_udp_t, resource));
}

/* ---- the poll ---- */

static void ready(uv_poll_t *uv, int status, int events);

int
cede__udp_watch(cede_udp_t *u, int events)
{
	int r = 0;

	if (cede__likely(events == u->events))
		return 0;
	if (events)
		r = uv_poll_start(&u->uv, events, ready);
	else
		uv_poll_stop(&u->uv);
	if (r == 0)
		u->events = (uint8_t)events;
	return r;
}

/* What the poll is to watch for from now on, after these events. */
static int
next_events(const cede_udp_t *u, int nobody_read)
{
	int events = u->events & UV_READABLE;

	if (u->receiver)
		events = UV_READABLE;
	else if (nobody_read)
		events = 0;
	if (u->sender && u->pause.index == 0)
		events |= UV_WRITABLE;
	return events;
}

static void
ready(uv_poll_t *uv, int status, int events)
{
	cede_udp_t *u = uv->data;
	cede_loop_t *loop = u->loop;
	const int nobody_reads = !u->receiver;

	cede__loop_enter(loop);
	if (status < 0) { /* an error waits in the socket, and libuv has stopped */
		u->events = 0;
		events = UV_READABLE | UV_WRITABLE;
	}
	if (events & UV_READABLE) {
		u->may_have_data = 1;
		u->received_in_a_row = 0;
		if (u->receiver)
			cede__udp_serve_receiver(u);
	}
	if (events & UV_WRITABLE && u->sender && u->pause.index == 0)
		cede__udp_serve_sender(u);
	(void)cede__udp_watch(u, next_events(u, events & UV_READABLE && nobody_reads));
	cede__loop_leave(loop); /* may close the socket */
}

/* ---- opening ---- */

static int
set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

static int
is_every_address(const cede_address_t *a)
{
	const struct sockaddr_in6 *v6 = (const void *)a->bytes;

	return cede_address_is_ipv6(a) && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

static int
set_options(int fd, const cede_address_t *a, const cede_udp_options_t *o)
{
	int r = 0;

	if (o->share_port)
		r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && o->reuse_address)
		r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && o->broadcast)
		r = set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
	if (r == 0 && is_every_address(a))
		r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, o->ipv6_only != 0);
	return r;
}

/* A host without IPv6: every address it has is IPv4. */
static void
become_ipv4(cede_address_t *a)
{
	const struct sockaddr_in every = {
		.sin_family = AF_INET,
		.sin_port = htons(cede_address_port(a)),
	};

	(void)cede_address_from_sockaddr((const struct sockaddr *)&every, sizeof every, a);
}

/* A socket of the address's family. The descriptor, or the system's code. */
static int
open_socket(cede_address_t *a, const cede_udp_options_t *o)
{
	const int type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
	int fd = socket(cede_address_is_ipv6(a) ? AF_INET6 : AF_INET, type, 0), r;

	if (fd < 0 && errno == EAFNOSUPPORT && is_every_address(a) && !o->ipv6_only) {
		become_ipv4(a);
		fd = socket(AF_INET, type, 0);
	}
	if (fd < 0)
		return -errno;
	r = set_options(fd, a, o);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

typedef int attach_fn(int fd, const struct sockaddr *address, socklen_t size);

/* Binds to the address, or connects to it, and makes the socket a resource of the loop. */
static int
open_udp(const char *text, const cede_udp_options_t *options, attach_fn *attach,
	cede_udp_t **ret_udp)
{
	static const cede_udp_options_t defaults;
	cede_loop_t *loop = cede_loop_current();
	cede_address_t address;
	cede_udp_t *u;
	int r;

	if (!loop)
		return CEDE_ENOTASK;
	r = cede_address_parse(text, &address);
	if (r < 0)
		return r;
	u = cede__alloc_zero(sizeof *u);
	if (!u)
		return CEDE_ENOMEM;
	r = u->fd = open_socket(&address, options ? options : &defaults);
	if (r < 0)
		goto allocated;
	r = attach(u->fd, (const struct sockaddr *)(const void *)address.bytes, address.size);
	r = r < 0 ? -errno : cede__timer_reserve(loop, &u->pause);
	if (r < 0)
		goto opened;
	r = uv_poll_init_socket(loop->uv, &u->uv, u->fd);
	if (r < 0)
		goto reserved;

	cede__loop_opened(loop);
	u->uv.data = u;
	u->loop = loop;
	u->family = cede_address_is_ipv6(&address) ? AF_INET6 : AF_INET;
	u->may_have_data = 1;
	u->pause.fire = cede__udp_pause_ends;
	u->resource.close = close_left_open;
	cede__list_init(&u->resource.link);
	cede__list_append(&loop->resources, &u->resource.link);
	*ret_udp = u;
	return 0;

reserved:
	cede__timer_unreserve(loop, &u->pause);
opened:
	close(u->fd);
allocated:
	cede__free(u);
	return r;
}

int
cede_udp_bind(const char *address, const cede_udp_options_t *options, cede_udp_t **ret_udp)
{
	return open_udp(address, options, bind, ret_udp);
}

int
cede_udp_connect(const char *peer, const cede_udp_options_t *options, cede_udp_t **ret_udp)
{
	return open_udp(peer, options, connect, ret_udp);
}

int
cede_udp_set_peer(cede_udp_t *u, const cede_address_t *peer)
{
	const struct sockaddr *address;
	size_t size;

	if (!peer || !(address = cede_address_sockaddr(peer, &size)))
		return CEDE_EINVAL;
	if (u->family == AF_INET && cede_address_is_ipv6(peer))
		return CEDE_EINVAL;
	return connect(u->fd, address, (socklen_t)size) < 0 ? -errno : 0;
}

/* ---- names ---- */

static int
ask_name(const cede_udp_t *u, int (*ask)(int, struct sockaddr *, socklen_t *),
	cede_address_t *ret_address)
{
	struct sockaddr_storage name;
	socklen_t size = sizeof name;

	if (ask(u->fd, (struct sockaddr *)&name, &size) < 0)
		return -errno;
	return cede_address_from_sockaddr((struct sockaddr *)&name, size, ret_address);
}

int
cede_udp_local(const cede_udp_t *u, cede_address_t *ret_address)
{
	return ask_name(u, getsockname, ret_address);
}

int
cede_udp_peer(const cede_udp_t *u, cede_address_t *ret_address)
{
	return ask_name(u, getpeername, ret_address);
}
