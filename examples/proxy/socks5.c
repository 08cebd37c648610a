/*
 * The dialogue:
 *
 *     client                               server
 *     version, ways to say who it is       version, the way that is taken: none is needed
 *     version, CONNECT, address, port      version, what came of it, an address, a port
 *
 * Nothing is read ahead: bytes that follow the request are for the target. Each function
 * returns 0 to go on, or a code that ends the connection.
 */
#include "socks5.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define VERSION     5
#define COUNTED_MAX 255 /* what one byte can count */

enum { ANYBODY = 0, NO_WAY = 0xff };
enum { CONNECT = 1 };
enum { IPV4 = 1, NAME = 3, IPV6 = 4 };

/* ---- bytes ---- */

CEDE_SUSPENDS static int
receive(cede_stream_t *client, void *bytes, size_t size)
{
	ssize_t n = cede_read_exactly(client, bytes, size, NULL);

	return n > 0 ? 0 : n == 0 ? CEDE_EOF : (int)n;
}

/* Bytes that come with their count before them, which is returned; ends them with a NUL. */
CEDE_SUSPENDS static int
receive_counted(cede_stream_t *client, char bytes[COUNTED_MAX + 1])
{
	unsigned char size;
	int r = receive(client, &size, 1);

	if (r == 0 && size > 0)
		r = receive(client, bytes, size);
	if (r < 0)
		return r;
	bytes[size] = '\0';
	return size;
}

CEDE_SUSPENDS static int
answer(cede_stream_t *client, const unsigned char *bytes, size_t size)
{
	ssize_t n = cede_write(client, bytes, size);

	return n < 0 ? (int)n : 0;
}

/*
 * The last answer. What the client still sends is read until it has seen that: closing with
 * something unread would reset the connection, and the answer could get lost.
 */
CEDE_SUSPENDS static int
refuse(cede_stream_t *client, const unsigned char *bytes, size_t size, int code)
{
	const void *data;
	int r = answer(client, bytes, size);

	if (r == 0)
		r = cede_shutdown_write(client);
	while (r == 0 && cede_read_lend(client, &data) > 0)
		;
	return code;
}

/* ---- the dialogue ---- */

CEDE_SUSPENDS static int
greet(cede_stream_t *client)
{
	char ways[COUNTED_MAX + 1];
	unsigned char version;
	int r = receive(client, &version, 1);

	if (r == 0)
		r = version == VERSION ? receive_counted(client, ways) : CEDE_EINVAL;
	if (r < 0)
		return r;
	if (!memchr(ways, ANYBODY, (size_t)r))
		return refuse(client, (unsigned char[]){ VERSION, NO_WAY }, 2, CEDE_EACCES);
	return answer(client, (unsigned char[]){ VERSION, ANYBODY }, 2);
}

/* Nothing but a name: what else cede_tcp_connect() takes is not the client's to say. */
static int
is_name(const char *text, size_t size)
{
	if (size == 0 || strlen(text) != size)
		return 0;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("-._", *text))
			return 0;
	return 1;
}

CEDE_SUSPENDS static int
read_host(cede_stream_t *client, int type, char ret_host[COUNTED_MAX + 1])
{
	char text[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	int r;

	if (type == NAME) {
		r = receive_counted(client, ret_host);
		return r < 0 ? r : is_name(ret_host, (size_t)r) ? 0 : -EHOSTUNREACH;
	}
	if (type != IPV4 && type != IPV6)
		return -EAFNOSUPPORT;
	r = receive(client, bytes, type == IPV4 ? 4 : 16);
	if (r < 0)
		return r;
	inet_ntop(type == IPV4 ? AF_INET : AF_INET6, bytes, text, sizeof text);
	snprintf(ret_host, COUNTED_MAX + 1, type == IPV4 ? "%s" : "[%s]", text);
	return 0;
}

int
socks5_read_request(cede_stream_t *client, char ret_address[SOCKS5_ADDRESS_MAX])
{
	struct {
		unsigned char version, command, reserved, type;
	} head;
	char host[COUNTED_MAX + 1];
	unsigned char port[2];
	int r = greet(client);

	if (r == 0)
		r = receive(client, &head, sizeof head);
	if (r == 0 && head.version != VERSION)
		r = CEDE_EINVAL;
	if (r < 0)
		return r;

	r = head.command == CONNECT ? read_host(client, head.type, host) : CEDE_ENOTSUP;
	if (r == CEDE_ENOTSUP || r == -EAFNOSUPPORT || r == -EHOSTUNREACH)
		return socks5_reply(client, r);
	if (r == 0)
		r = receive(client, port, sizeof port);
	if (r == 0)
		snprintf(ret_address, SOCKS5_ADDRESS_MAX, "%s:%u", host, port[0] << 8 | port[1]);
	return r;
}

static unsigned char
reply_code(int result)
{
	switch (result) {
	case 0:
		return 0;
	case CEDE_EPERM:
	case CEDE_EACCES:
		return 2;
	case -ENETUNREACH:
		return 3;
	case -EHOSTUNREACH:
	case CEDE_ETIMEDOUT:
	case CEDE_EINVAL: /* no name */
	case CEDE_EAI_NONAME:
	case CEDE_EAI_NODATA:
	case CEDE_EAI_ADDRFAMILY:
	case CEDE_EAI_AGAIN:
	case CEDE_EAI_FAIL:
		return 4;
	case CEDE_ECONNREFUSED:
		return 5;
	case CEDE_ENOTSUP:
		return 7;
	case -EAFNOSUPPORT:
		return 8;
	default:
		return 1;
	}
}

int
socks5_reply(cede_stream_t *client, int result)
{
	/* The address that the target sees is nobody's business: as ssh's, this one is all zero. */
	const unsigned char bytes[10] = { VERSION, reply_code(result), 0, IPV4 };

	return result < 0 ? refuse(client, bytes, sizeof bytes, result)
			  : answer(client, bytes, sizeof bytes);
}
