/* The commands about the connection and the server itself. */
#include "commands_int.h"
#include "glob.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* CLIENT, COMMAND and CONFIG are families: the second word says which is meant. */
struct subcommand {
	const char *name;
	command_fn *run;
	int arity; /* as in struct command */
};

static void
run_subcommand(struct call *call, const struct subcommand *table)
{
	const char *family = call->command->name;
	struct bytes word = arg(call, 1);
	char upper[16] = "";

	for (; table->name != NULL; table++) {
		if (!arg_is(call, 1, table->name))
			continue;
		if (is_enough(call->count, table->arity))
			table->run(call);
		else
			reply_error(call->out, "ERR wrong number of arguments for '%s|%s' command",
				family, table->name);
		return;
	}
	for (size_t i = 0; family[i] != '\0' && i < sizeof upper - 1; i++)
		upper[i] = (char)toupper(family[i]);
	reply_error(call->out, "ERR unknown subcommand '%.*s'. Try %s HELP.",
		(int)(word.size < 128 ? word.size : 128), word.data, upper);
}

/*
 * The connection.
 */

void
command_ping(struct call *call)
{
	if (call->count > 2)
		reply_wrong_count(call, "ping");
	else if (call->count == 2)
		reply_bulk(call->out, arg(call, 1));
	else
		reply_simple(call->out, "PONG");
}

void
command_echo(struct call *call)
{
	reply_bulk(call->out, arg(call, 1));
}

void
command_quit(struct call *call)
{
	call->client->wants_quit = 1;
	reply_simple(call->out, "OK");
}

void
command_select(struct call *call)
{
	long long database;

	if (arg_integer(call, 1, &database) < 0)
		return;
	if (database != 0)
		reply_error(call->out, "ERR DB index is out of range");
	else
		reply_simple(call->out, "OK");
}

/* Names end up in lists that are parsed by lines and blanks: only visible characters. */
static int
set_name(const struct call *call, struct bytes name)
{
	if (name.size >= sizeof call->client->name) {
		reply_error(call->out, "ERR Client names are limited to %zu bytes",
			sizeof call->client->name - 1);
		return -1;
	}
	for (size_t i = 0; i < name.size; i++) {
		if (name.data[i] < '!' || name.data[i] > '~') {
			reply_error(call->out,
				"ERR Client names cannot contain spaces, newlines or "
				"special characters.");
			return -1;
		}
	}
	memcpy(call->client->name, name.data, name.size);
	call->client->name[name.size] = '\0';
	return 0;
}

static void
client_id(struct call *call)
{
	reply_integer(call->out, (long long)call->client->id);
}

static void
client_getname(struct call *call)
{
	if (call->client->name[0] != '\0')
		reply_bulk(call->out, bytes_of(call->client->name));
	else
		reply_null(call->out);
}

static void
client_setname(struct call *call)
{
	if (set_name(call, arg(call, 2)) == 0)
		reply_simple(call->out, "OK");
}

/* The name and version of a client's library: welcome, and not kept. */
static void
client_setinfo(struct call *call)
{
	reply_simple(call->out, "OK");
}

void
command_client(struct call *call)
{
	static const struct subcommand table[] = {
		{ "getname", client_getname, 2 },
		{ "id", client_id, 2 },
		{ "setinfo", client_setinfo, 4 },
		{ "setname", client_setname, 3 },
		{ NULL, NULL, 0 },
	};

	run_subcommand(call, table);
}

/* Reads HELLO's options; -1, and the reply is an error, when there is one that can't be granted. */
static int
read_hello_options(const struct call *call)
{
	long long version;

	if (call->count == 1)
		return 0;
	if (bytes_to_integer(arg(call, 1), &version) < 0) {
		reply_error(call->out, "ERR Protocol version is not an integer or out of range");
		return -1;
	}
	if (version != 2) {
		reply_error(call->out, "NOPROTO unsupported protocol version");
		return -1;
	}
	for (uint32_t i = 2; i < call->count; i += 2) {
		if (!arg_is(call, i, "setname") || i + 1 == call->count) {
			struct bytes option = arg(call, i);

			reply_error(call->out, "ERR Syntax error in HELLO option '%.*s'",
				option.size < 128 ? (int)option.size : 128, option.data);
			return -1;
		}
		if (set_name(call, arg(call, i + 1)) < 0)
			return -1;
	}
	return 0;
}

void
command_hello(struct call *call)
{
	struct buffer *out = call->out;

	if (read_hello_options(call) < 0)
		return;
	reply_array(out, 14);
	reply_bulk(out, bytes_of("server"));
	reply_bulk(out, bytes_of("redis"));
	reply_bulk(out, bytes_of("version"));
	reply_bulk(out, bytes_of(KV_VERSION));
	reply_bulk(out, bytes_of("proto"));
	reply_integer(out, 2);
	reply_bulk(out, bytes_of("id"));
	reply_integer(out, (long long)call->client->id);
	reply_bulk(out, bytes_of("mode"));
	reply_bulk(out, bytes_of("standalone"));
	reply_bulk(out, bytes_of("role"));
	reply_bulk(out, bytes_of("master"));
	reply_bulk(out, bytes_of("modules"));
	reply_array(out, 0);
}

/*
 * COMMAND: the table, in the shapes that clients know.
 */

static void
reply_command(struct buffer *out, const struct command *command)
{
	reply_array(out, 6);
	reply_bulk(out, bytes_of(command->name));
	reply_integer(out, command->arity);
	reply_array(out, 1);
	reply_simple(out, command->flag);
	reply_integer(out, command->first_key);
	reply_integer(out, command->last_key);
	reply_integer(out, command->key_step);
}

static void
reply_command_docs(struct buffer *out, const struct command *command)
{
	reply_bulk(out, bytes_of(command->name));
	reply_array(out, 6);
	reply_bulk(out, bytes_of("summary"));
	reply_bulk(out, bytes_of(command->summary));
	reply_bulk(out, bytes_of("since"));
	reply_bulk(out, bytes_of("1.0.0"));
	reply_bulk(out, bytes_of("group"));
	reply_bulk(out, bytes_of(command->group));
}

static void
reply_all_commands(struct buffer *out)
{
	reply_array(out, command_count);
	for (size_t i = 0; i < command_count; i++)
		reply_command(out, &command_table[i]);
}

static void
command_info_of(struct call *call)
{
	if (call->count == 2) {
		reply_all_commands(call->out);
		return;
	}
	reply_array(call->out, call->count - 2);
	for (uint32_t i = 2; i < call->count && !call->out->has_failed; i++) {
		const struct command *command = command_find(arg(call, i));

		if (command != NULL)
			reply_command(call->out, command);
		else
			buffer_append(call->out, "*-1\r\n", 5);
	}
}

/* Names and descriptions by turns; of all, or of those that are named and known. */
static void
command_docs(struct call *call)
{
	size_t known = 0;

	if (call->count == 2) {
		reply_array(call->out, command_count * 2);
		for (size_t i = 0; i < command_count; i++)
			reply_command_docs(call->out, &command_table[i]);
		return;
	}
	for (uint32_t i = 2; i < call->count; i++)
		known += command_find(arg(call, i)) != NULL;
	reply_array(call->out, known * 2);
	for (uint32_t i = 2; i < call->count && !call->out->has_failed; i++) {
		const struct command *command = command_find(arg(call, i));

		if (command != NULL)
			reply_command_docs(call->out, command);
	}
}

static void
command_count_all(struct call *call)
{
	reply_integer(call->out, (long long)command_count);
}

void
command_command(struct call *call)
{
	static const struct subcommand table[] = {
		{ "count", command_count_all, 2 },
		{ "docs", command_docs, -2 },
		{ "info", command_info_of, -2 },
		{ NULL, NULL, 0 },
	};

	if (call->count == 1)
		reply_all_commands(call->out);
	else
		run_subcommand(call, table);
}

/*
 * Settings.
 */

struct setting {
	const char *name;
	char value[24];
};

static int
is_asked_for(const struct call *call, const char *name)
{
	for (uint32_t i = 2; i < call->count; i++) {
		if (glob_matches(arg(call, i), bytes_of(name)))
			return 1;
	}
	return 0;
}

static void
config_get(struct call *call)
{
	const struct kv *kv = call->kv;
	struct setting settings[] = {
		{ "appendonly", "no" },
		{ "databases", "1" },
		{ "maxclients", "" },
		{ "maxmemory", "" },
		{ "maxmemory-policy", "noeviction" },
		{ "proto-max-bulk-len", "" },
		{ "save", "" },
		{ "timeout", "" },
	};
	const size_t count = sizeof settings / sizeof *settings;
	size_t asked = 0;

	snprintf(settings[2].value, sizeof settings->value, "%u", kv->max_clients);
	snprintf(settings[3].value, sizeof settings->value, "%zu", kv->data.limit);
	snprintf(settings[5].value, sizeof settings->value, "%zu", kv->limits.bulk);
	snprintf(settings[7].value, sizeof settings->value, "%" PRIu64, kv->idle_ms / 1000);

	for (size_t i = 0; i < count; i++)
		asked += (size_t)is_asked_for(call, settings[i].name);
	reply_array(call->out, asked * 2);
	for (size_t i = 0; i < count; i++) {
		if (!is_asked_for(call, settings[i].name))
			continue;
		reply_bulk(call->out, bytes_of(settings[i].name));
		reply_bulk(call->out, bytes_of(settings[i].value));
	}
}

void
command_config(struct call *call)
{
	static const struct subcommand table[] = {
		{ "get", config_get, -3 },
		{ NULL, NULL, 0 },
	};

	run_subcommand(call, table);
}

/*
 * INFO.
 */

struct text {
	char bytes[2048];
	size_t size;
};

/* Adds a line. The sections are short; a text that is full takes no more. */
static void __attribute__((format(printf, 2, 3)))
add_line(struct text *text, const char *format, ...)
{
	size_t room = sizeof text->bytes - text->size;
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(text->bytes + text->size, room, format, args);
	va_end(args);
	if (size < 0 || (size_t)size + 2 > room)
		return;
	memcpy(text->bytes + text->size + size, "\r\n", 2);
	text->size += (size_t)size + 2;
}

static void
info_server(struct text *text, const struct call *call)
{
	uint64_t uptime = (call->now_ms - call->kv->started_ms) / 1000;

	add_line(text, "redis_version:%s", KV_VERSION);
	add_line(text, "redis_mode:standalone");
	add_line(text, "process_id:%ld", (long)getpid());
	add_line(text, "tcp_port:%u", call->kv->port);
	add_line(text, "uptime_in_seconds:%" PRIu64, uptime);
	add_line(text, "uptime_in_days:%" PRIu64, uptime / 86400);
}

static void
info_clients(struct text *text, const struct call *call)
{
	add_line(text, "connected_clients:%zu", call->kv->clients);
	add_line(text, "maxclients:%u", call->kv->max_clients);
	add_line(text, "client_buffers:%zu", call->kv->buffers.used);
	add_line(text, "client_buffers_limit:%zu", call->kv->buffers.limit);
}

static void
info_memory(struct text *text, const struct call *call)
{
	size_t used = call->kv->data.used + call->kv->buffers.used;

	add_line(text, "used_memory:%zu", used);
	add_line(text, "used_memory_human:%.2fM", (double)used / (1 << 20));
	add_line(text, "used_memory_dataset:%zu", call->kv->data.used);
	add_line(text, "maxmemory:%zu", call->kv->data.limit);
	add_line(text, "maxmemory_human:%.2fM", (double)call->kv->data.limit / (1 << 20));
	add_line(text, "maxmemory_policy:noeviction");
}

static void
info_stats(struct text *text, const struct call *call)
{
	add_line(text, "total_connections_received:%" PRIu64, call->kv->clients_ever);
	add_line(text, "total_commands_processed:%" PRIu64, call->kv->commands);
	add_line(text, "expired_keys:%" PRIu64, store_stats(call->kv->store).expired);
	add_line(text, "evicted_keys:0");
	add_line(text, "keyspace_hits:%" PRIu64, call->kv->hits);
	add_line(text, "keyspace_misses:%" PRIu64, call->kv->misses);
}

static void
info_replication(struct text *text, const struct call *call)
{
	(void)call;
	add_line(text, "role:master");
	add_line(text, "connected_slaves:0");
}

static void
info_keyspace(struct text *text, const struct call *call)
{
	struct store_stats stats = store_stats(call->kv->store);

	if (stats.count > 0)
		add_line(text, "db0:keys=%zu,expires=%zu,avg_ttl=0", stats.count, stats.mortal);
}

static const struct {
	const char *name;
	void (*write)(struct text *text, const struct call *call);
} info_sections[] = {
	{ "Server", info_server },
	{ "Clients", info_clients },
	{ "Memory", info_memory },
	{ "Stats", info_stats },
	{ "Replication", info_replication },
	{ "Keyspace", info_keyspace },
};

static int
wants_section(const struct call *call, const char *name)
{
	if (call->count == 1)
		return 1;
	for (uint32_t i = 1; i < call->count; i++) {
		if (arg_is(call, i, name) || arg_is(call, i, "default") || arg_is(call, i, "all") ||
			arg_is(call, i, "everything"))
			return 1;
	}
	return 0;
}

void
command_info(struct call *call)
{
	struct text text = { .size = 0 };

	for (size_t i = 0; i < sizeof info_sections / sizeof *info_sections; i++) {
		if (!wants_section(call, info_sections[i].name))
			continue;
		if (text.size > 0)
			add_line(&text, "%s", "");
		add_line(&text, "# %s", info_sections[i].name);
		info_sections[i].write(&text, call);
	}
	reply_bulk(call->out, (struct bytes){ text.bytes, text.size });
}
