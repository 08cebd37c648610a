/*
 * What is wrong is found with the byte that makes it so, or when the line is whole:
 * whoever speaks another protocol need not be waited for.
 *
 * Version 1 is a line, whose end is to be found: at least two bytes more are to come
 * as long as there is no CR, and one behind a CR. Version 2 says how long it is in its
 * 15th and 16th byte. What comes behind the addresses, the extensions, is skipped over
 * in the same memory.
 *
 * What is valid and cannot be used (LOCAL, UNKNOWN, unspecified families, datagrams)
 * states no addresses.
 */
#include "net/proxy_protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include <cede/base.h>

#define SHORTEST 15 /* "PROXY UNKNOWN\r\n" */
#define V2_HEAD  16
#define V2_UNIX  108

static const uint8_t v1_start[] = { 'P', 'R', 'O', 'X', 'Y', ' ' };
static const uint8_t v2_start[] = { '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T',
	'\n' };

static int
begins_with(const struct cede__proxy *p, const uint8_t *start, size_t size)
{
	return memcmp(p->bytes, start, p->size < size ? p->size : size) == 0;
}

static int
want(struct cede__proxy *p, size_t more)
{
	p->into = p->bytes + p->size;
	p->room = more;
	return 0;
}

/* ---- version 1 ---- */

/* The next word of a line, with a 0 behind it. NULL: there is none. */
static char *
take_word(char **line)
{
	char *word = *line, *end = word ? strchr(word, ' ') : NULL;

	if (end)
		*end = '\0';
	*line = end ? end + 1 : NULL;
	return word;
}

/* 0 to 65535 without zeros at the front; -1: something else. */
static int
parse_port(const char *text)
{
	int port = 0;

	if (!text || !*text || (text[0] == '0' && text[1]))
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		port = port * 10 + (*text - '0');
		if (port > 65535)
			return -1;
	}
	return port;
}

static int
parse_address(int family, const char *host, const char *port, struct cede__name *ret_name)
{
	const int number = parse_port(port);
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)number) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)number) };

	if (number < 0 || !host)
		return CEDE_EPROTO;
	if (family == AF_INET) {
		if (inet_pton(AF_INET, host, &v4.sin_addr) != 1)
			return CEDE_EPROTO;
		memcpy(&ret_name->address, &v4, sizeof v4);
		ret_name->length = sizeof v4;
	} else {
		if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
			return CEDE_EPROTO;
		memcpy(&ret_name->address, &v6, sizeof v6);
		ret_name->length = sizeof v6;
	}
	return 0;
}

/* What is between "PROXY " and the line's end. */
static int
parse_line(struct cede__proxy *p, char *line)
{
	const char *family = take_word(&line), *source, *destination, *source_port,
		   *destination_port;
	int r;

	if (strcmp(family, "UNKNOWN") == 0)
		return 1;
	if (strcmp(family, "TCP4") != 0 && strcmp(family, "TCP6") != 0)
		return CEDE_EPROTO;
	source = take_word(&line);
	destination = take_word(&line);
	source_port = take_word(&line);
	destination_port = take_word(&line);
	if (line)
		return CEDE_EPROTO;
	const int is = family[3] == '4' ? AF_INET : AF_INET6;

	r = parse_address(is, source, source_port, &p->names.peer);
	if (r == 0)
		r = parse_address(is, destination, destination_port, &p->names.local);
	if (r < 0)
		p->names.peer.length = p->names.local.length = 0;
	return r < 0 ? r : 1;
}

static int
feed_v1(struct cede__proxy *p)
{
	const uint8_t *cr = memchr(p->bytes, '\r', p->size);
	const size_t before = cr ? (size_t)(cr - p->bytes) : p->size;

	/* A LF or a 0 in it, too long for its end to come in time, a CR alone. */
	if (memchr(p->bytes, '\n', before) || memchr(p->bytes, '\0', before) ||
		before > CEDE__PROXY_V1_MAX - 2)
		return CEDE_EPROTO;
	if (!cr)
		return want(p, p->size < SHORTEST ? SHORTEST - p->size : 2);
	if (before + 1 == p->size)
		return want(p, 1);
	if (before + 2 != p->size || cr[1] != '\n')
		return CEDE_EPROTO;
	p->bytes[before] = '\0';
	return before >= sizeof v1_start ? parse_line(p, (char *)p->bytes + sizeof v1_start)
					 : CEDE_EPROTO;
}

/* ---- version 2 ---- */

static void
set_inet(struct cede__name *name, const uint8_t *host, const uint8_t *port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	memcpy(&v4.sin_addr, host, 4);
	memcpy(&v4.sin_port, port, 2);
	memcpy(&name->address, &v4, sizeof v4);
	name->length = sizeof v4;
}

static void
set_inet6(struct cede__name *name, const uint8_t *host, const uint8_t *port)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	memcpy(&v6.sin6_addr, host, 16);
	memcpy(&v6.sin6_port, port, 2);
	memcpy(&name->address, &v6, sizeof v6);
	name->length = sizeof v6;
}

/* Its length is not said: an abstract name ends with what is not 0. */
static void
set_unix(struct cede__name *name, const uint8_t *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t n = sizeof address.sun_path < V2_UNIX ? sizeof address.sun_path : V2_UNIX;

	memcpy(address.sun_path, path, n);
	while (n > 0 && address.sun_path[n - 1] == '\0')
		n--;
	memcpy(&name->address, &address, sizeof address);
	name->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

/* What is between the head and the extensions. 0, CEDE_EPROTO. */
static int
parse_v2(struct cede__proxy *p)
{
	static const uint8_t sizes[] = { 0, 12, 36, 2 * V2_UNIX };
	const uint8_t family = p->bytes[13] >> 4, *at = p->bytes + V2_HEAD;
	const int is_local = (p->bytes[12] & 15) == 0, is_stream = (p->bytes[13] & 15) == 1;

	if (is_local || family == 0 || (p->bytes[13] & 15) == 0)
		return 0;
	if (p->total - V2_HEAD < sizes[family])
		return CEDE_EPROTO;
	if (!is_stream)
		return 0;
	switch (family) {
	case 1:
		set_inet(&p->names.peer, at, at + 8);
		set_inet(&p->names.local, at + 4, at + 10);
		break;
	case 2:
		set_inet6(&p->names.peer, at, at + 32);
		set_inet6(&p->names.local, at + 16, at + 34);
		break;
	default:
		set_unix(&p->names.peer, at);
		set_unix(&p->names.local, at + V2_UNIX);
	}
	return 0;
}

/* The extensions go to where the addresses were. 1: nothing is left to skip. */
static int
skip(struct cede__proxy *p)
{
	const size_t left = p->total - p->size;

	p->into = p->bytes;
	p->room = left < sizeof p->bytes ? left : sizeof p->bytes;
	return left == 0;
}

static int
feed_v2(struct cede__proxy *p)
{
	const uint8_t *b = p->bytes;
	size_t kept;
	int r;

	if (p->size > 12 && b[12] != 0x20 && b[12] != 0x21)
		return CEDE_EPROTO;
	if (p->size > 13 && (b[13] >> 4 > 3 || (b[13] & 15) > 2))
		return CEDE_EPROTO;
	if (p->size < V2_HEAD)
		return want(p, V2_HEAD - p->size);
	p->total = V2_HEAD + ((size_t)b[14] << 8 | b[15]);
	if (p->total > CEDE__PROXY_V2_MAX)
		return CEDE_EPROTO;
	kept = p->total < sizeof p->bytes ? p->total : sizeof p->bytes;
	if (p->size < kept)
		return want(p, kept - p->size);
	r = parse_v2(p);
	return r < 0 ? r : skip(p);
}

/* ---- either ---- */

void
cede__proxy_init(struct cede__proxy *p)
{
	memset(p, 0, sizeof *p);
	want(p, SHORTEST);
}

int
cede__proxy_feed(struct cede__proxy *p, size_t size)
{
	const int is_skipping = p->total > 0 && p->size >= sizeof p->bytes;

	p->size += size;
	if (is_skipping)
		return skip(p);
	if (begins_with(p, v1_start, sizeof v1_start))
		return feed_v1(p);
	if (begins_with(p, v2_start, sizeof v2_start))
		return feed_v2(p);
	return CEDE_EPROTO;
}
