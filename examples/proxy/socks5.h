/* The server's half of SOCKS version 5, RFC 1928: CONNECT, for anybody. */
#ifndef PROXY_SOCKS5_H
#define PROXY_SOCKS5_H

#include <cede/cede.h>

/* Bytes of the longest address: a name of 255, ":65535", and the end. */
#define SOCKS5_ADDRESS_MAX 262

/**
 * Reads where a client wants to be connected to.
 *
 * @param ret_address  as cede_tcp_connect() wants it: "192.0.2.1:80", "[::1]:80", "a.example:80"
 * @return 0; or a code: the client has been told as far as there are words for it, and is to
 *   be closed
 *
 * Suspends, for as long as the client likes: to be called in a timeout.
 */
CEDE_SUSPENDS int socks5_read_request(cede_stream_t *client, char ret_address[SOCKS5_ADDRESS_MAX]);

/**
 * Tells the client what has come of its request.
 *
 * @param result  of the connect
 * @return 0: the client has heard of the connection; or a code, @result if it is one: the
 *   client is to be closed
 *
 * Suspends, as the other.
 */
CEDE_SUSPENDS int socks5_reply(cede_stream_t *client, int result);

#endif
