/*
 * Options of a connection. They are the descriptor's, so a stream that is encrypted has them
 * too, and one that is in memory has none. What is out of range is refused before
 * anything is changed.
 */
#include <cede/tcp.h>

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "net/stream_int.h"

/* The largest that Linux takes. */
#define SECONDS_MAX 32767
#define COUNT_MAX   127

static int
set(const cede_stream_t *s, int level, int name, int value)
{
	return setsockopt(s->fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

/* A socket's protocol; or why it has none. */
static int
protocol_of(const cede_stream_t *s)
{
	int protocol = 0;
	socklen_t length = sizeof protocol;

	if (s->is_closed)
		return CEDE_EBADF;
	if (s->fd < 0)
		return CEDE_ENOTSUP;
	if (getsockopt(s->fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) < 0)
		return errno == ENOTSOCK ? CEDE_ENOTSUP : -errno;
	return protocol;
}

static int
check_tcp(const cede_stream_t *s)
{
	int r = protocol_of(s);

	if (r < 0)
		return r;
	return r == IPPROTO_TCP ? 0 : CEDE_ENOTSUP;
}

int
cede_tcp_set_nodelay(cede_stream_t *s, int is_on)
{
	int r = check_tcp(s);

	return r < 0 ? r : set(s, IPPROTO_TCP, TCP_NODELAY, is_on != 0);
}

int
cede_tcp_set_keepalive(cede_stream_t *s, int idle_s, int interval_s, int count)
{
	int r = check_tcp(s);

	if (r < 0)
		return r;
	if (idle_s == 0)
		return set(s, SOL_SOCKET, SO_KEEPALIVE, 0);
	if (idle_s < 0 || idle_s > SECONDS_MAX || interval_s < 1 || interval_s > SECONDS_MAX ||
		count < 1 || count > COUNT_MAX)
		return CEDE_EINVAL;
	r = set(s, IPPROTO_TCP, TCP_KEEPIDLE, idle_s);
	if (r == 0)
		r = set(s, IPPROTO_TCP, TCP_KEEPINTVL, interval_s);
	if (r == 0)
		r = set(s, IPPROTO_TCP, TCP_KEEPCNT, count);
	return r < 0 ? r : set(s, SOL_SOCKET, SO_KEEPALIVE, 1);
}

int
cede_tcp_set_user_timeout(cede_stream_t *s, uint32_t ms)
{
	int r = check_tcp(s);

	if (r < 0)
		return r;
	return ms > INT_MAX ? CEDE_EINVAL : set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)ms);
}

int
cede_stream_set_buffers(cede_stream_t *s, size_t receive_bytes, size_t send_bytes)
{
	int r = protocol_of(s);

	if (r < 0)
		return r;
	if (receive_bytes > INT_MAX || send_bytes > INT_MAX)
		return CEDE_EINVAL;
	r = receive_bytes > 0 ? set(s, SOL_SOCKET, SO_RCVBUF, (int)receive_bytes) : 0;
	if (r == 0 && send_bytes > 0)
		r = set(s, SOL_SOCKET, SO_SNDBUF, (int)send_bytes);
	return r;
}
