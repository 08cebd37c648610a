/*
 * One session of kv against everything that can go wrong beside the network: each
 * allocation of its buffers refused, and its task closed wherever it waits. However it
 * ends, the client reads whole replies and then the end, and all memory is given back.
 *
 * A program with a main() of its own: it runs under every tool.
 */
#include <stdio.h>
#include <stdlib.h>

#include "examples/kv/session.h"

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, scene.name, \
				#condition); \
			exit(1); \
		} \
	} while (0)

/* What the present run is about. */
static struct {
	char name[64];
	int grants;        /* allocations until one is refused; negative: none is */
	int is_persistent; /* and all after it */
	int has_refused;
	size_t cut; /* the session's task is closed when so many bytes were sent */
} scene;

static struct kv kv;
static struct buffer script, replies;
static struct memory test_memory = { .limit = SIZE_MAX };

static int
refuse(void *data, size_t size)
{
	(void)data;
	(void)size;
	if (scene.has_refused)
		return scene.is_persistent;
	scene.has_refused = scene.grants-- == 0;
	return scene.has_refused;
}

/* Requests that make every buffer grow: a large value, a pipeline, many arguments. */
static void
write_script(void)
{
	static char value[50000];

	memset(value, 'v', sizeof value);
	reply_array(&script, 3);
	reply_bulk(&script, bytes_of("SET"));
	reply_bulk(&script, bytes_of("large"));
	reply_bulk(&script, (struct bytes){ value, sizeof value });
	for (int i = 0; i < 10; i++)
		buffer_append(&script, "GET large\r\n", 11);
	reply_array(&script, 41);
	reply_bulk(&script, bytes_of("DEL"));
	for (int i = 0; i < 40; i++)
		reply_bulk(&script, bytes_of("large"));
	buffer_append(&script, "QUIT\r\n", 6);
}

static int
session(void *arg)
{
	cede_stream_t *stream;
	int r = cede_accept(arg, &stream);

	if (r < 0)
		return r;
	r = session_run(&kv, stream);
	if (cede_is_cancel(r))
		cede_abort(stream);
	else
		cede_close(stream);
	return r;
}

static CEDE_SUSPENDS int
talk(cede_stream_t *stream, cede_task_t *task)
{
	size_t size = scene.cut < script.size ? scene.cut : script.size;
	ssize_t n = cede_write(stream, script.data, size);

	if (size < script.size)
		cede_task_cancel(task);
	else
		cede_shutdown_write(stream);
	while (n >= 0) {
		char *room = buffer_reserve(&replies, 4096);

		n = cede_read(stream, room, 4096);
		if (n <= 0)
			break;
		replies.size += (size_t)n;
	}
	return (int)n;
}

static int
run_scene(void *arg)
{
	char address[64];
	cede_listener_t *listener;
	cede_stream_t *stream;
	cede_task_t *task;
	int r;
	CEDE_GROUP(group);

	(void)arg;
	CHECK(cede_tcp_listen("127.0.0.1:0", NULL, &listener) == 0);
	CHECK(cede_listener_address(listener, address, sizeof address) == 0);
	CHECK(cede_spawn_with(&group, session, listener, NULL, &task) == 0);
	CHECK(cede_tcp_connect(address, &stream) == 0);
	r = talk(stream, task);
	CHECK(r == 0 || r == CEDE_ECONNRESET || r == CEDE_EPIPE);
	CHECK(cede_group_wait(&group) <= 0);
	cede_close(stream);
	cede_listener_close(listener);
	cede_task_unref(task);
	return 0;
}

/* Takes one reply off the front; 0: it is not whole. */
static size_t
whole_reply(struct bytes text)
{
	const char *end = memchr(text.data, '\n', text.size);
	size_t line = end != NULL ? (size_t)(end - text.data) + 1 : 0;
	size_t size = line;

	if (line > 0 && text.data[0] == '$' && text.data[1] != '-')
		size += strtoul(text.data + 1, NULL, 10) + 2;
	return size <= text.size ? size : 0;
}

/* Replies are whole; the last one may be an error of memory, and all of them are 13. */
static void
check_replies(void)
{
	size_t at = 0, count = 0, errors = 0;

	buffer_append(&replies, "", 1);
	replies.size--;
	while (at < replies.size) {
		struct bytes rest = { replies.data + at, replies.size - at };
		size_t size = whole_reply(rest);

		CHECK(size > 0);
		errors += strncmp(rest.data, "-OOM", 4) == 0;
		CHECK(strchr("+$:", *rest.data) != NULL || strncmp(rest.data, "-OOM", 4) == 0);
		at += size;
		count++;
	}
	CHECK(count <= 13);
	CHECK(scene.has_refused || (count == 13 && errors == 0));
}

static void
run(void)
{
	struct siphash_seed seed = { { 1, 2 } };

	kv = (struct kv){
		.data = { .limit = SIZE_MAX },
		.buffers = { .limit = SIZE_MAX, .refuse = refuse },
		.limits = RESP_LIMITS_DEFAULT,
	};
	scene.has_refused = 0;
	buffer_rewind(&replies, 0);
	CHECK(store_create(&kv.store, &kv.data, seed) == 0);
	CHECK(cede_run(run_scene, NULL) == 0);
	if (scene.cut >= script.size)
		check_replies();
	CHECK(kv.clients == 0);
	CHECK(kv.buffers.used == 0);
	store_destroy(kv.store);
	CHECK(kv.data.used == 0);
}

int
main(void)
{
	int faults = 0, cuts = 0;

	buffer_init(&script, &test_memory, SIZE_MAX / 2);
	buffer_init(&replies, &test_memory, SIZE_MAX / 2);
	write_script();

	scene.cut = script.size;
	for (scene.is_persistent = 0; scene.is_persistent < 2; scene.is_persistent++) {
		int n = 0;

		do {
			snprintf(scene.name, sizeof scene.name, "allocation %d refused%s", n,
				scene.is_persistent ? ", and all after it" : "");
			scene.grants = n++;
			run();
			faults += scene.has_refused;
		} while (scene.has_refused);
	}

	scene.grants = -1;
	for (scene.cut = 0; scene.cut < script.size; scene.cut += 1 + script.size / 200) {
		snprintf(scene.name, sizeof scene.name, "closed after %zu bytes", scene.cut);
		run();
		cuts++;
	}

	buffer_deinit(&script);
	buffer_deinit(&replies);
	printf("%d allocations refused, closed in %d places\n", faults, cuts);
	return faults < 10;
}
