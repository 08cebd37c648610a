/*
 * Chat: what one member says, all others read. To be used with nc, line by line.
 *
 *     chat [--idle MS] [--drain MS] [ADDRESS:PORT]
 *
 * A member has a queue, and two tasks that meet at it:
 *   - listen_to() reads its lines and puts them into the queues of the others
 *   - deliver() writes what is in its own
 *
 * Nobody waits for anybody else. Whose queue is full is dismissed: he reads too slowly. It
 * is full for nobody who reads, because a member says at most one line in a turn of the
 * loop, few in a second, and a queue has room for two of everybody. So memory is bounded by
 * members, queues and the length of a line; a line is kept once, in however many queues.
 *
 * Who is dismissed, for whatever reason, gets what is in his queue, then the reason, then
 * the end; what he has not read of that within FAREWELL_MS is lost.
 */
#include <cede/cede.h>

#include <ctype.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS_MAX 100
#define QUEUE_MAX   (2 * MEMBERS_MAX)
#define LINE_SIZE   512 /* of what a member says, with its end */
#define NAME_SIZE   17
#define NAME_BYTES  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
#define SAID_SIZE   2048 /* of what anybody is told at once: all names */
#define PACE_MS     100  /* a member may say a line in so many, */
#define AHEAD_MS    1000 /* and be ahead of that by so many */
#define FAREWELL_MS 2000

struct room {
	struct member *members; /* member::next */
	unsigned guests;        /* that there ever were */
	cede_event_t stop;      /* is set when the server is to end */
	uint64_t idle_ms;       /* who says nothing for so long is dismissed */
	const char *address;
	cede_serve_options_t serve;
};

struct member {
	struct member *next;
	struct room *room;
	cede_stream_t *stream;
	cede_channel_t queue; /* of struct line; closed with the dismissal */
	const char *reason;   /* for that; NULL: stays */
	uint64_t paid_ms;     /* until then the lines so far have been paid for */
	char name[NAME_SIZE];
};

struct line {
	unsigned refs; /* the queues it is in, and who puts it there */
	size_t size;
	char text[];
};

static void
line_unref(void *line)
{
	if (--((struct line *)line)->refs == 0)
		free(line);
}

/* ---- saying ---- */

/* Lets a member go. The first reason stands. */
static void
dismiss(struct member *m, const char *reason)
{
	if (m->reason)
		return;
	m->reason = reason;
	cede_channel_close(&m->queue);
	/* Where there is no memory for it the stream's idle limit is left. */
	(void)cede_stream_set_deadline(m->stream, FAREWELL_MS);
}

/* To one member; or, where that is NULL, to all but one. What there is no memory for is not heard. */
__attribute__((format(printf, 4, 5))) static void
say(const struct room *room, const struct member *to, const struct member *but, const char *format,
	...)
{
	char text[SAID_SIZE];
	struct line *line;
	va_list args;
	size_t size;

	va_start(args, format);
	size = (size_t)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	size = size < sizeof text ? size : sizeof text - 1;
	line = malloc(sizeof *line + size);
	if (!line)
		return;
	*line = (struct line){ .refs = 1, .size = size };
	memcpy(line->text, text, size);

	for (struct member *m = room->members; m; m = m->next) {
		if (to ? m != to : m == but)
			continue;
		int r = cede_channel_try_send(&m->queue, line);

		line->refs += r == 0;
		if (r == CEDE_EAGAIN)
			dismiss(m, "reads too slowly");
	}
	line_unref(line);
}

static int
is_taken(const struct room *room, const char *name)
{
	for (const struct member *m = room->members; m; m = m->next)
		if (strcmp(m->name, name) == 0)
			return 1;
	return 0;
}

static void
rename_member(struct member *m, const char *name)
{
	const size_t size = strlen(name);

	if (size == 0 || size >= NAME_SIZE || strspn(name, NAME_BYTES) < size) {
		say(m->room, m, NULL, "* a name has 1 to %d letters or digits\n", NAME_SIZE - 1);
	} else if (is_taken(m->room, name)) {
		say(m->room, m, NULL, "* %s is taken\n", name);
	} else {
		say(m->room, NULL, NULL, "* %s is now %s\n", m->name, name);
		memcpy(m->name, name, size + 1);
	}
}

static void
tell_names(const struct member *to)
{
	char names[MEMBERS_MAX * NAME_SIZE + 1] = "";
	size_t size = 0;

	for (const struct member *m = to->room->members; m; m = m->next)
		size += (size_t)snprintf(names + size, sizeof names - size, " %s", m->name);
	say(to->room, to, NULL, "*%s\n", names);
}

/* What would move the cursor of the others; also U+0080 to U+009F, which UTF-8 has behind a C2. */
static void
defuse(char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		const unsigned char c = (unsigned char)text[i];

		if (iscntrl(c) || (c >= 0x80 && c < 0xa0 && i > 0 && text[i - 1] == '\xc2'))
			text[i] = '?';
	}
}

static void
obey(struct member *m, char *text, size_t size)
{
	defuse(text, size);
	if (strcmp(text, "/quit") == 0)
		dismiss(m, "quit");
	else if (strcmp(text, "/who") == 0)
		tell_names(m);
	else if (strncmp(text, "/nick ", 6) == 0)
		rename_member(m, text + 6);
	else if (*text == '/')
		say(m->room, m, NULL, "* /nick NAME, /who, /quit\n");
	else if (*text)
		say(m->room, NULL, m, "%s: %s\n", m->name, text);
}

/* ---- a member ---- */

/* How long it must wait, having said something, before it is listened to again. */
static uint64_t
pace(struct member *m)
{
	const uint64_t now = cede_loop_now(cede_loop_current());

	m->paid_ms = (m->paid_ms > now ? m->paid_ms : now) + PACE_MS;
	return m->paid_ms > now + AHEAD_MS ? m->paid_ms - now - AHEAD_MS : 0;
}

/* Why a member is listened to no more. */
static const char *
reason_for(int r)
{
	switch (r) {
	case 0:
		return "gone";
	case CEDE_EMSGSIZE:
		return "too long a line";
	case CEDE_ETIMEDOUT:
		return "silent for too long";
	default:
		return cede_strerror(r);
	}
}

static int
listen_to(void *arg)
{
	struct member *m = arg;
	char *text;
	size_t size;
	int r = 0;

	while (r == 0) {
		CEDE_TIMEOUT(m->room->idle_ms) {
			r = cede_read_line(m->stream, LINE_SIZE, &text, &size);
		}
		if (r <= 0)
			break;
		obey(m, text, size);
		r = cede_sleep(pace(m)); /* 0: lets the others have their turn */
	}
	if (r == CEDE_EXIT)
		return r;
	dismiss(m, reason_for(r));
	return 0;
}

/* Writes what comes, until the member is dismissed and has got all of it. 0, or a code. */
CEDE_SUSPENDS static int
deliver(struct member *m)
{
	CEDE_GROUP(listener);
	void *value;
	int r = cede_spawn(&listener, listen_to, m);

	while (r == 0 && (r = cede_channel_receive(&m->queue, &value)) == 0) {
		const struct line *line = value;
		ssize_t n = cede_write(m->stream, line->text, line->size);

		line_unref(value);
		r = n < 0 ? (int)n : 0;
	}
	return r == CEDE_EOF ? 0 : r;
}

/* Tells it why, and waits until it has ended too: a close before that could reset what it has to read. */
CEDE_SUSPENDS static int
part(struct member *m)
{
	const void *data;
	char text[128];
	int size = snprintf(text, sizeof text, "* goodbye: %s\n", m->reason);
	ssize_t n = cede_write(m->stream, text, (size_t)size);

	if (n > 0)
		n = cede_shutdown_write(m->stream);
	if (n == 0)
		while ((n = cede_read_lend(m->stream, &data)) > 0)
			;
	return (int)n;
}

static void
join(struct member *m)
{
	struct room *room = m->room;

	do
		snprintf(m->name, sizeof m->name, "guest%u", ++room->guests);
	while (is_taken(room, m->name));
	say(room, NULL, NULL, "* %s has come\n", m->name);
	m->next = room->members;
	room->members = m;
	say(room, m, NULL, "* you are %s; /nick NAME, /who, /quit\n", m->name);
	if (cede_event_is_set(&room->stop))
		dismiss(m, "the server ends");
}

static void
leave(struct member *m)
{
	struct member **link = &m->room->members;

	while (*link != m)
		link = &(*link)->next;
	*link = m->next;
	say(m->room, NULL, NULL, "* %s has left: %s\n", m->name, m->reason);
}

static int
attend(void *arg)
{
	struct member m = { .stream = arg, .room = cede_serve_data(arg) };
	int r = cede_channel_init(&m.queue, QUEUE_MAX, line_unref);

	if (r < 0)
		return r;
	join(&m);
	r = deliver(&m);
	dismiss(&m, cede_strerror(r)); /* unless that is why all was delivered */
	if (r == 0)
		r = part(&m);
	leave(&m);
	cede_channel_deinit(&m.queue);
	return r;
}

/* ---- the server ---- */

/* Beside cede_serve(), which then waits for the members. */
static int
close_room(void *arg)
{
	struct room *room = arg;
	int r = cede_event_wait(&room->stop);

	for (struct member *m = room->members; r == 0 && m; m = m->next)
		dismiss(m, "the server ends");
	return r;
}

static int
server(void *arg)
{
	struct room *room = arg;
	cede_listener_t *listener;
	int r = cede_tcp_listen(room->address, NULL, &listener);
	CEDE_GROUP(beside);

	if (r < 0)
		return r;
	r = cede_spawn(&beside, close_room, room);
	if (r < 0) {
		cede_listener_close(listener);
		return r;
	}
	room->serve.idle_ms = room->idle_ms + FAREWELL_MS;
	room->serve.stop = &room->stop;
	room->serve.data = room;
	return cede_serve(listener, attend, &room->serve);
}

static void
announce(cede_listener_t *listener, void *data)
{
	char address[64];

	if (cede_listener_address(listener, address, sizeof address) == 0)
		printf("listening on %s\n", address);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "idle", required_argument, NULL, 'i' },
		{ "drain", required_argument, NULL, 'd' },
		{ 0 },
	};
	struct room room = {
		.address = "127.0.0.1:7000",
		.idle_ms = 600000,
		.serve = { .max_connections = MEMBERS_MAX,
			.stop_on = (int[]){ SIGINT, SIGTERM, 0 },
			.on_ready = announce },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, "i:d:", names, NULL)) != -1) {
		if (c == 'i')
			room.idle_ms = strtoull(optarg, NULL, 10);
		else if (c == 'd')
			room.serve.drain_ms = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	if (optind < argc)
		room.address = argv[optind];

	r = cede_run(server, &room);
	if (r < 0)
		fprintf(stderr, "chat: %s: %s\n", room.address, cede_strerror(r));
	return r < 0;
}
