/*
 * Inside of the commands: what each gets, and the table that leads to it.
 */
#ifndef KV_COMMANDS_INT_H
#define KV_COMMANDS_INT_H

#include "commands.h"

/** One call of a command. */
struct call {
	const struct command *command;
	struct kv_client *client;
	struct kv *kv;
	const struct resp_request *request;
	uint32_t count; /* of arguments, the command's name included */
	uint64_t now_ms;
	struct buffer *out;
};

typedef void command_fn(struct call *call);

struct command {
	const char *name; /* lower case */
	command_fn *run;
	int arity; /* so many arguments, the name included; negative: at least so many */

	/* For COMMAND: which arguments are keys (last may count from the end), and a word of help. */
	int first_key, last_key, key_step;
	const char *flag; /* "write", "readonly" or "fast" */
	const char *group;
	const char *summary;
};

/** All commands, by name in the order of strcmp(). */
extern const struct command command_table[];
extern const size_t command_count;

/** The command of that name, in upper or lower case; NULL when there is none. */
const struct command *command_find(struct bytes name);

/** Are so many arguments right for that arity? */
int is_enough(uint32_t count, int arity);

static inline struct bytes
arg(const struct call *call, uint32_t index)
{
	return resp_arg(call->request, index);
}

/** Is the argument there, and is it this word, in upper or lower case? */
int arg_is(const struct call *call, uint32_t index, const char *word);

/** Reads an argument as a number; -1 when it is none, and the error is the reply. */
int arg_integer(const struct call *call, uint32_t index, long long *ret_number);

/* Errors that many commands have, in Redis's words. */
void reply_syntax_error(const struct call *call);
void reply_wrong_count(const struct call *call, const char *command);

/* commands_data.c */
command_fn command_dbsize, command_del, command_exists, command_expire, command_flush, command_get,
	command_incr, command_incrby, command_decr, command_decrby, command_keys, command_mget,
	command_mset, command_persist, command_pexpire, command_pttl, command_set, command_strlen,
	command_ttl, command_type;

/* commands_server.c */
command_fn command_client, command_command, command_config, command_echo, command_hello,
	command_info, command_ping, command_quit, command_select;

#endif
