#include "commands_int.h"

#include <stdio.h>

/* In the order of strcmp(): command_find() halves it. */
const struct command command_table[] = {
	{ "client", command_client, -2, 0, 0, 0, "fast", "connection",
		"Name this connection, or ask about it" },
	{ "command", command_command, -1, 0, 0, 0, "fast", "server", "List the commands" },
	{ "config", command_config, -2, 0, 0, 0, "fast", "server", "Read settings" },
	{ "dbsize", command_dbsize, 1, 0, 0, 0, "readonly", "server", "Count the keys" },
	{ "decr", command_decr, 2, 1, 1, 1, "write", "string", "Subtract one from a number" },
	{ "decrby", command_decrby, 3, 1, 1, 1, "write", "string", "Subtract from a number" },
	{ "del", command_del, -2, 1, -1, 1, "write", "generic", "Remove keys" },
	{ "echo", command_echo, 2, 0, 0, 0, "fast", "connection", "Reply with the argument" },
	{ "exists", command_exists, -2, 1, -1, 1, "readonly", "generic",
		"Count which of the keys are there" },
	{ "expire", command_expire, 3, 1, 1, 1, "write", "generic",
		"Let a key end in so many seconds" },
	{ "flushall", command_flush, -1, 0, 0, 0, "write", "server", "Remove all keys" },
	{ "flushdb", command_flush, -1, 0, 0, 0, "write", "server", "Remove all keys" },
	{ "get", command_get, 2, 1, 1, 1, "readonly", "string", "Read a value" },
	{ "hello", command_hello, -1, 0, 0, 0, "fast", "connection", "Agree on the protocol" },
	{ "incr", command_incr, 2, 1, 1, 1, "write", "string", "Add one to a number" },
	{ "incrby", command_incrby, 3, 1, 1, 1, "write", "string", "Add to a number" },
	{ "info", command_info, -1, 0, 0, 0, "fast", "server", "Describe the state of the server" },
	{ "keys", command_keys, 2, 0, 0, 0, "readonly", "generic",
		"List the keys that match a pattern" },
	{ "mget", command_mget, -2, 1, -1, 1, "readonly", "string", "Read several values" },
	{ "mset", command_mset, -3, 1, -1, 2, "write", "string", "Set several values" },
	{ "persist", command_persist, 2, 1, 1, 1, "write", "generic", "Let a key stay for good" },
	{ "pexpire", command_pexpire, 3, 1, 1, 1, "write", "generic",
		"Let a key end in so many milliseconds" },
	{ "ping", command_ping, -1, 0, 0, 0, "fast", "connection",
		"Ask whether the server is there" },
	{ "pttl", command_pttl, 2, 1, 1, 1, "readonly", "generic",
		"How many milliseconds a key has left" },
	{ "quit", command_quit, -1, 0, 0, 0, "fast", "connection", "End the connection" },
	{ "select", command_select, 2, 0, 0, 0, "fast", "connection",
		"Choose the database; there is one, 0" },
	{ "set", command_set, -3, 1, 1, 1, "write", "string", "Set a value" },
	{ "strlen", command_strlen, 2, 1, 1, 1, "readonly", "string",
		"How many bytes a value has" },
	{ "ttl", command_ttl, 2, 1, 1, 1, "readonly", "generic",
		"How many seconds a key has left" },
	{ "type", command_type, 2, 1, 1, 1, "readonly", "generic", "What kind of value a key has" },
	{ "unlink", command_del, -2, 1, -1, 1, "write", "generic", "Remove keys" },
};

const size_t command_count = sizeof command_table / sizeof *command_table;

/* strcmp() of a table's name and a client's, whose case does not matter. */
static int
compare(const char *name, struct bytes with)
{
	for (size_t i = 0; i < with.size; i++) {
		unsigned char c = (unsigned char)with.data[i];
		int difference;

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		difference = (unsigned char)name[i] - c;
		if (difference != 0 || name[i] == '\0')
			return difference != 0 ? difference : -1;
	}
	return name[with.size] != '\0';
}

const struct command *
command_find(struct bytes name)
{
	size_t low = 0, high = command_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(command_table[middle].name, name);

		if (order == 0)
			return &command_table[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

int
is_enough(uint32_t count, int arity)
{
	return arity >= 0 ? count == (uint32_t)arity : count >= (uint32_t)-arity;
}

int
arg_is(const struct call *call, uint32_t index, const char *word)
{
	return index < call->count && bytes_is(arg(call, index), word);
}

int
arg_integer(const struct call *call, uint32_t index, long long *ret_number)
{
	int r = bytes_to_integer(arg(call, index), ret_number);

	if (r < 0)
		reply_error(call->out, "ERR value is not an integer or out of range");
	return r;
}

void
reply_syntax_error(const struct call *call)
{
	reply_error(call->out, "ERR syntax error");
}

void
reply_wrong_count(const struct call *call, const char *command)
{
	reply_error(call->out, "ERR wrong number of arguments for '%s' command", command);
}

/* Redis quotes what came with a command it does not know, up to 128 bytes of it. */
static void
reply_unknown_command(const struct call *call)
{
	struct bytes name = arg(call, 0);
	char args[160] = "";
	int used = 0;

	for (uint32_t i = 1; i < call->count && used < 128; i++) {
		struct bytes word = arg(call, i);
		int room = 128 - used;

		used += snprintf(args + used, sizeof args - (size_t)used, "'%.*s' ",
			word.size < (size_t)room ? (int)word.size : room, word.data);
	}
	reply_error(call->out, "ERR unknown command '%.*s', with args beginning with: %s",
		(int)(name.size < 128 ? name.size : 128), name.data, args);
}

static void
run(struct call *call)
{
	call->command = command_find(arg(call, 0));
	if (call->command == NULL) {
		reply_unknown_command(call);
	} else if (!is_enough(call->count, call->command->arity)) {
		reply_wrong_count(call, call->command->name);
	} else {
		call->kv->commands++;
		call->command->run(call);
	}
}

void
kv_execute(struct kv_client *client, const struct resp_request *request, uint64_t now_ms,
	struct buffer *out)
{
	size_t start = out->size;
	struct call call = {
		.client = client,
		.kv = client->kv,
		.request = request,
		.count = request->count,
		.now_ms = now_ms,
		.out = out,
	};

	run(&call);
	if (!out->has_failed)
		return;

	/* Half a reply would be read as something else: take it back, say why. */
	buffer_rewind(out, start);
	reply_error(out, "OOM no room for the reply");
}
