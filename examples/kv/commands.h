/*
 * What the server can be asked. A command never waits: it reads and changes the
 * store and writes its reply into a buffer, all in one go. In a program of
 * coroutines that makes it atomic, without a lock: nobody else runs between two
 * awaits.
 */
#ifndef KV_COMMANDS_H
#define KV_COMMANDS_H

#include "resp.h"
#include "store.h"

#define KV_VERSION "7.0.0" /* of Redis, whose protocol this is; clients look at it */

/** What all connections share. */
struct kv {
	/* public */
	struct store *store;
	struct memory data;    /* the store's */
	struct memory buffers; /* of all connections */
	struct resp_limits limits;
	unsigned max_clients;
	uint64_t idle_ms;
	uint64_t started_ms;
	unsigned port;

	/* counted for INFO */
	size_t clients;
	uint64_t clients_ever;
	uint64_t commands;
	uint64_t hits, misses;
};

/** One connection, as commands see it. */
struct kv_client {
	struct kv *kv;
	uint64_t id;
	char name[64];  /* by CLIENT SETNAME */
	int wants_quit; /* asked to be disconnected: send the reply, then close */
};

/**
 * Carries out a request and appends its reply to @out. When the reply does not
 * fit, an error takes its place; when even that finds no room, out->has_failed.
 *
 * @param request  of at least one argument
 */
void kv_execute(struct kv_client *client, const struct resp_request *request, uint64_t now_ms,
	struct buffer *out);

#endif
