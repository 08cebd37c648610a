/*
 * WebSocket echo: sends back each message that it receives (RFC 6455).
 *
 *     ws_echo [ADDRESS:PORT]
 *
 * The protocol is libwslay's, which knows of no coroutines. It is given what was read, and
 * calls back with each message; what it has to send it hands to a function of ours, and
 * that may wait for a client that does not read: the whole of libwslay waits with it,
 * in the middle of its loop, on this connection's stack.
 */
#include <cede/cede.h>

#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <wslay/wslay.h>

/* A client that sends a longer message is told so (1009) and left. */
#define MESSAGE_MAX (1 << 20)

/* For the client's side of the handshake. */
#define HANDSHAKE_MS 10000
#define HEAD_LINE    8192
#define HEAD_LINES   100

/* How long one that we end is still listened to. */
#define LINGER_MS 1000

struct peer {
	cede_stream_t *stream;
	const uint8_t *input; /* read, and not yet understood */
	size_t size;
	int code; /* what went wrong first in a callback */
};

/* ---- the handshake, and the end ---- */

/* The client must be able to read why: a close with unread bytes would be a reset. */
static CEDE_SUSPENDS int
say_goodbye(cede_stream_t *s)
{
	const void *discarded;
	ssize_t n = cede_shutdown_write(s);

	CEDE_TIMEOUT(LINGER_MS) {
		while (n >= 0 && (n = cede_read_lend(s, &discarded)) > 0)
			;
	}
	return n == CEDE_EXIT ? CEDE_EXIT : 0;
}

static const char *
value_of(const char *line, const char *name)
{
	const size_t size = strlen(name);

	if (strncasecmp(line, name, size) != 0 || line[size] != ':')
		return NULL;
	line += size + 1;
	return line + strspn(line, " \t");
}

/* Reads the request. 1: it asks for a WebSocket, with this key; 0: it does not; or a code. */
static CEDE_SUSPENDS int
read_request(cede_stream_t *s, char key[25])
{
	int is_websocket = 0, has_version = 0, has_key = 0;
	char *line;

	for (int i = 0; i < HEAD_LINES; i++) {
		const char *value;
		int r = cede_read_line(s, HEAD_LINE, &line, NULL);

		if (r <= 0)
			return r < 0 ? r : CEDE_EOF;
		if (i == 0 && strncmp(line, "GET ", 4) != 0)
			return 0;
		if (*line == '\0')
			return is_websocket && has_version && has_key;
		if ((value = value_of(line, "Upgrade")) != NULL)
			is_websocket = strcasecmp(value, "websocket") == 0;
		else if ((value = value_of(line, "Sec-WebSocket-Version")) != NULL)
			has_version = strcmp(value, "13") == 0;
		else if ((value = value_of(line, "Sec-WebSocket-Key")) != NULL)
			has_key = snprintf(key, 25, "%s", value) == 24;
	}
	return 0;
}

static CEDE_SUSPENDS int
answer_request(cede_stream_t *s, const char *key)
{
	unsigned char digest[EVP_MAX_MD_SIZE], accept[32];
	char text[256];
	ssize_t n;
	int size = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);

	if (!EVP_Digest(text, (size_t)size, digest, NULL, EVP_sha1(), NULL))
		return CEDE_ENOMEM;
	EVP_EncodeBlock(accept, digest, 20);
	size = snprintf(text, sizeof text,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		accept);
	n = cede_write(s, text, (size_t)size);
	return n < 0 ? (int)n : 1;
}

/* 1: from here on it is a WebSocket; 0: it will be none; or a code. */
static CEDE_SUSPENDS int
shake_hands(cede_stream_t *s)
{
	static const char refusal[] = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n"
				      "Sec-WebSocket-Version: 13\r\nConnection: close\r\n"
				      "Content-Length: 0\r\n\r\n";
	char key[25];
	ssize_t n = 0;

	CEDE_TIMEOUT(HANDSHAKE_MS) {
		n = read_request(s, key);
	}
	if (n > 0)
		return answer_request(s, key);
	if (n == 0)
		n = cede_write(s, refusal, sizeof refusal - 1);
	return n < 0 ? (int)n : say_goodbye(s);
}

/* ---- what libwslay calls ---- */

static ssize_t
take_input(wslay_event_context_ptr ws, uint8_t *buffer, size_t size, int flags, void *data)
{
	struct peer *peer = data;

	if (peer->size == 0) {
		wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	size = size < peer->size ? size : peer->size;
	memcpy(buffer, peer->input, size);
	peer->input += size;
	peer->size -= size;
	return (ssize_t)size;
}

static void
fail(struct peer *peer, int code)
{
	if (peer->code == 0)
		peer->code = code;
}

/* Waits for a client that does not read, and libwslay with it. */
static CEDE_SUSPENDS ssize_t
send_output(wslay_event_context_ptr ws, const uint8_t *bytes, size_t size, int flags, void *data)
{
	struct peer *peer = data;
	const ssize_t n = cede_write(peer->stream, bytes, size);

	if (n >= 0)
		return n;
	fail(peer, (int)n);
	wslay_event_set_error(ws, WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

/* The answer goes before the next message is looked at, which may be the last. */
static void
echo_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *message,
	void *data)
{
	const struct wslay_event_msg answer = {
		.opcode = message->opcode,
		.msg = message->msg,
		.msg_length = message->msg_length,
	};
	struct peer *peer = data;

	if (wslay_is_ctrl_frame(message->opcode) || peer->code < 0) /* those it answers itself */
		return;
	if (wslay_event_queue_msg(ws, &answer) < 0 || wslay_event_send(ws) < 0)
		fail(peer, CEDE_ENOMEM);
}

/* ---- a connection ---- */

/* Messages come, answers go, until one of the two ends it. 0, or a code. */
static CEDE_SUSPENDS int
talk(wslay_event_context_ptr ws, struct peer *peer)
{
	while (wslay_event_want_read(ws) || wslay_event_want_write(ws)) {
		const void *input;
		const ssize_t n = cede_read_lend(peer->stream, &input);

		if (n <= 0)
			return (int)n;
		peer->input = input;
		peer->size = (size_t)n;
		if (wslay_event_recv(ws) < 0 || peer->code < 0 || wslay_event_send(ws) < 0)
			return peer->code < 0 ? peer->code : CEDE_ENOMEM;
	}
	return 0;
}

static int
connection(void *arg)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = take_input,
		.send_callback = send_output,
		.on_msg_recv_callback = echo_message,
	};
	struct peer peer = { .stream = arg };
	wslay_event_context_ptr ws;
	int r = shake_hands(peer.stream);

	if (r <= 0)
		return r;
	if (wslay_event_context_server_init(&ws, &callbacks, &peer) < 0)
		return CEDE_ENOMEM;
	wslay_event_config_set_max_recv_msg_length(ws, MESSAGE_MAX);
	r = talk(ws, &peer);
	wslay_event_context_free(ws);
	return r < 0 ? r : say_goodbye(peer.stream);
}

/* ---- the server ---- */

static void
announce(cede_listener_t *l, void *data)
{
	char address[64];

	if (cede_listener_address(l, address, sizeof address) == 0)
		printf("listening on %s\n", address);
	fflush(stdout);
}

static int
server(void *arg)
{
	cede_listener_t *l;
	int r = cede_tcp_listen(arg, NULL, &l);

	if (r < 0)
		return r;
	return cede_serve(l, connection,
		&(cede_serve_options_t){
			.stop_on = (int[]){ SIGINT, SIGTERM, 0 },
			.drain_ms = 1000,
			.on_ready = announce,
		});
}

int
main(int argc, char **argv)
{
	static char address[] = "127.0.0.1:8081";
	int r = cede_run(server, argc > 1 ? argv[1] : address);

	if (r < 0)
		fprintf(stderr, "ws_echo: %s\n", cede_error_text(r));
	return r < 0;
}
