#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "examples/kv/commands_int.h"
#include "examples/kv/glob.h"
#include "tests/support/kv_trace.h"

TestSuite(kv_commands, .timeout = 30);
TestSuite(kv_glob, .timeout = 30);

static const struct siphash_seed seed = { { 1, 2 } };

static struct kv kv = {
	.data = { .limit = SIZE_MAX },
	.buffers = { .limit = SIZE_MAX },
	.limits = RESP_LIMITS_DEFAULT,
	.max_clients = 10000,
	.idle_ms = 300000,
	.port = 6379,
};
static struct kv_client client = { .kv = &kv, .id = 7 };
static struct buffer out;
static uint64_t now_ms = 1000;

static void
set_up(void)
{
	if (store_create(&kv.store, &kv.data, seed) < 0)
		abort();
	buffer_init(&out, &kv.buffers, 1 << 20);
}

/* Called at the end of each test: asserts don't count in a teardown. */
static void
tear_down(void)
{
	buffer_deinit(&out);
	store_destroy(kv.store);
	cr_assert_eq(kv.data.used, 0);
	cr_assert_eq(kv.buffers.used, 0);
}

/* Carries out a typed line; the reply is valid until the next call. */
static const char *
ask(const char *line)
{
	struct memory memory = { .limit = SIZE_MAX };
	struct resp_parser parser;
	size_t size = strlen(line);
	char *input = malloc(size + 2);

	cr_assert_not_null(input);
	memcpy(input, line, size);
	memcpy(input + size, "\r\n", 2);
	resp_init(&parser, &kv.limits, &memory);
	cr_assert_eq(resp_parse(&parser, input, size + 2), RESP_REQUEST);

	buffer_rewind(&out, 0);
	kv_execute(&client, &parser.request, now_ms, &out);
	resp_deinit(&parser);
	free(input);

	if (out.has_failed)
		return "(failed)";
	buffer_append(&out, "", 1);
	out.size--;
	return out.data;
}

static void
expect(const char *line, const char *reply)
{
	cr_expect_str_eq(ask(line), reply, "%s: %s", line, out.data);
}

static void
expect_error(const char *line, const char *message)
{
	char reply[600];

	snprintf(reply, sizeof reply, "-%s\r\n", message);
	expect(line, reply);
}

#define NOT_A_NUMBER "ERR value is not an integer or out of range"
#define NO_MEMORY    "OOM command not allowed when used memory > 'maxmemory'."

/*
 * Every command.
 */

Test(kv_commands, the_table_finds_each_of_its_commands_in_any_case)
{
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &command_table[i];
		char upper[32] = "";

		cr_assert(i == 0 || strcmp(command_table[i - 1].name, command->name) < 0);
		for (size_t c = 0; command->name[c] != '\0'; c++)
			upper[c] = (char)(command->name[c] - 'a' + 'A');
		cr_assert_eq(command_find(bytes_of(command->name)), command);
		cr_assert_eq(command_find(bytes_of(upper)), command);
		cr_assert_null(
			command_find((struct bytes){ command->name, strlen(command->name) + 1 }));
		cr_assert_neq(command_find(
				      (struct bytes){ command->name, strlen(command->name) - 1 }),
			command);
	}
	cr_assert_null(command_find(bytes_of("")));
	cr_assert_null(command_find(bytes_of("zzz")));
	cr_assert_null(command_find((struct bytes){ "\0", 1 }));
}

Test(kv_commands, every_command_refuses_a_wrong_number_of_arguments)
{
	set_up();
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &command_table[i];
		uint32_t needs = (uint32_t)abs(command->arity);
		char line[256], message[128];

		snprintf(message, sizeof message, "ERR wrong number of arguments for '%s' command",
			command->name);
		snprintf(line, sizeof line, "%s", command->name);
		for (uint32_t n = 2; n < needs; n++)
			strcat(line, " x");
		if (needs > 1) { /* one too few, where that still leaves the name */
			cr_assert(!is_enough(needs - 1, command->arity));
			expect_error(line, message);
		}
		if (command->arity > 0) {
			cr_assert(!is_enough(needs + 1, command->arity));
			strcat(line, needs > 1 ? " x x" : " x");
			expect_error(line, message);
		}
	}
	tear_down();
}

Test(kv_commands, an_unknown_command_is_quoted_with_its_arguments)
{
	char line[2000] = "foo";

	set_up();
	expect_error("foo", "ERR unknown command 'foo', with args beginning with: ");
	expect_error("foo bar 'b a z'",
		"ERR unknown command 'foo', with args beginning with: 'bar' 'b a z' ");
	expect_error("\"a\\r\\nb\"", "ERR unknown command 'a  b', with args beginning with: ");
	for (int i = 0; i < 300; i++)
		strcat(line, " abc");
	cr_assert_leq(strlen(ask(line)), 250);
	memset(line, 'x', sizeof line - 1);
	cr_assert_leq(strlen(ask(line)), 250);
	tear_down();
}

Test(kv_commands, connection)
{
	set_up();
	expect("PING", "+PONG\r\n");
	expect("ping 'hello world'", "$11\r\nhello world\r\n");
	expect_error("PING a b", "ERR wrong number of arguments for 'ping' command");
	expect("ECHO a", "$1\r\na\r\n");
	expect("SELECT 0", "+OK\r\n");
	expect_error("SELECT 1", "ERR DB index is out of range");
	expect_error("SELECT -1", "ERR DB index is out of range");
	expect_error("SELECT a", NOT_A_NUMBER);
	cr_expect(!client.wants_quit);
	expect("QUIT", "+OK\r\n");
	cr_expect(client.wants_quit);
	tear_down();
}

Test(kv_commands, client)
{
	char line[200] = "CLIENT SETNAME ";

	set_up();
	expect("CLIENT ID", ":7\r\n");
	expect("CLIENT GETNAME", "$-1\r\n");
	expect("CLIENT SETNAME joe", "+OK\r\n");
	expect("CLIENT GETNAME", "$3\r\njoe\r\n");
	expect_error("CLIENT SETNAME 'a b'",
		"ERR Client names cannot contain spaces, newlines or special characters.");
	expect_error("CLIENT SETNAME \"a\\n\"",
		"ERR Client names cannot contain spaces, newlines or special characters.");
	memset(line + strlen(line), 'x', 64);
	expect_error(line, "ERR Client names are limited to 63 bytes");
	expect("CLIENT GETNAME", "$3\r\njoe\r\n");
	expect("CLIENT SETNAME ''", "+OK\r\n");
	expect("CLIENT GETNAME", "$-1\r\n");
	expect("CLIENT SETINFO LIB-NAME kv", "+OK\r\n");
	expect_error("CLIENT SETNAME",
		"ERR wrong number of arguments for 'client|setname' command");
	expect_error("client nonsense", "ERR unknown subcommand 'nonsense'. Try CLIENT HELP.");
	tear_down();
}

Test(kv_commands, hello_agrees_on_protocol_2_only)
{
	static const char reply[] =
		"*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n"
		"$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:7\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n"
		"$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";

	set_up();
	expect("HELLO", reply);
	expect("HELLO 2", reply);
	expect("HELLO 2 SETNAME joe", reply);
	expect("CLIENT GETNAME", "$3\r\njoe\r\n");
	expect_error("HELLO 3", "NOPROTO unsupported protocol version");
	expect_error("HELLO x", "ERR Protocol version is not an integer or out of range");
	expect_error("HELLO 2 SETNAME", "ERR Syntax error in HELLO option 'SETNAME'");
	expect_error("HELLO 2 AUTH a b", "ERR Syntax error in HELLO option 'AUTH'");
	tear_down();
}

Test(kv_commands, command_describes_the_table)
{
	char count[32];

	set_up();
	snprintf(count, sizeof count, ":%zu\r\n", command_count);
	expect("COMMAND COUNT", count);
	snprintf(count, sizeof count, "*%zu\r\n*6\r\n", command_count);
	cr_expect_eq(strncmp(ask("COMMAND"), count, strlen(count)), 0);
	cr_expect_eq(strncmp(ask("COMMAND INFO"), count, strlen(count)), 0);
	snprintf(count, sizeof count, "*%zu\r\n$", 2 * command_count);
	cr_expect_eq(strncmp(ask("COMMAND DOCS"), count, strlen(count)), 0);
	expect("COMMAND INFO get nonsense",
		"*2\r\n*6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n*-1\r\n");
	expect("COMMAND DOCS nonsense", "*0\r\n");
	expect("COMMAND DOCS GET nonsense",
		"*2\r\n$3\r\nget\r\n*6\r\n$7\r\nsummary\r\n$12\r\nRead a value\r\n"
		"$5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$6\r\nstring\r\n");
	expect_error("COMMAND nonsense", "ERR unknown subcommand 'nonsense'. Try COMMAND HELP.");
	tear_down();
}

Test(kv_commands, config_answers_what_benchmarks_ask)
{
	set_up();
	expect("CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
	expect("CONFIG GET appendonly", "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n");
	expect("CONFIG GET max*clients timeout",
		"*4\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n$7\r\ntimeout\r\n$3\r\n300\r\n");
	expect("CONFIG GET nonsense", "*0\r\n");
	expect_error("CONFIG GET", "ERR wrong number of arguments for 'config|get' command");
	expect_error("CONFIG SET save ''", "ERR unknown subcommand 'SET'. Try CONFIG HELP.");
	tear_down();
}

Test(kv_commands, info_has_the_sections_that_are_asked_for)
{
	const char *reply;

	set_up();
	ask("SET a 1");
	ask("GET a");
	ask("GET b");
	reply = ask("INFO");
	cr_expect(strstr(reply, "# Server\r\nredis_version:7.0.0\r\n") != NULL);
	cr_expect(strstr(reply, "tcp_port:6379\r\n") != NULL);
	cr_expect(strstr(reply, "\r\n\r\n# Stats\r\n") != NULL);
	cr_expect(strstr(reply, "keyspace_hits:1\r\nkeyspace_misses:1\r\n") != NULL);
	cr_expect(strstr(reply, "db0:keys=1,expires=0") != NULL);
	expect("INFO keyspace", "$44\r\n# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n\r\n");
	expect("INFO nonsense", "$0\r\n\r\n");
	cr_expect(strstr(ask("INFO keyspace server"), "# Server") != NULL);
	tear_down();
}

/*
 * Values.
 */

Test(kv_commands, get_and_set)
{
	set_up();
	expect("GET a", "$-1\r\n");
	expect("SET a hello", "+OK\r\n");
	expect("GET a", "$5\r\nhello\r\n");
	expect("SET a ''", "+OK\r\n");
	expect("GET a", "$0\r\n\r\n");
	expect("STRLEN a", ":0\r\n");
	expect("SET a hello", "+OK\r\n");
	expect("STRLEN a", ":5\r\n");
	expect("STRLEN b", ":0\r\n");
	expect("TYPE a", "+string\r\n");
	expect("TYPE b", "+none\r\n");
	tear_down();
}

Test(kv_commands, set_on_a_condition)
{
	set_up();
	expect("SET a 1 XX", "$-1\r\n");
	expect("GET a", "$-1\r\n");
	expect("SET a 1 NX", "+OK\r\n");
	expect("SET a 2 nx", "$-1\r\n");
	expect("GET a", "$1\r\n1\r\n");
	expect("SET a 2 xx", "+OK\r\n");
	expect("GET a", "$1\r\n2\r\n");
	expect_error("SET a 2 NX XX", "ERR syntax error");
	expect_error("SET a 2 XX NX", "ERR syntax error");
	tear_down();
}

Test(kv_commands, set_that_replies_with_the_old_value)
{
	set_up();
	expect("SET a 1 GET", "$-1\r\n");
	expect("SET a 22 GET", "$1\r\n1\r\n");
	expect("SET a 3 NX GET", "$2\r\n22\r\n");
	expect("GET a", "$2\r\n22\r\n");
	expect("SET b 3 XX GET", "$-1\r\n");
	expect("GET b", "$-1\r\n");
	tear_down();
}

Test(kv_commands, set_with_an_end)
{
	set_up();
	expect("SET a 1 EX 10", "+OK\r\n");
	expect("PTTL a", ":10000\r\n");
	expect("SET a 1 px 1500", "+OK\r\n");
	expect("PTTL a", ":1500\r\n");
	expect("SET a 2 KEEPTTL", "+OK\r\n");
	expect("PTTL a", ":1500\r\n");
	expect("SET b 2 KEEPTTL", "+OK\r\n");
	expect("TTL b", ":-1\r\n");
	expect("SET a 2", "+OK\r\n");
	expect("TTL a", ":-1\r\n");

	expect_error("SET a 1 EX", "ERR syntax error");
	expect_error("SET a 1 EX 1 PX 1", "ERR syntax error");
	expect_error("SET a 1 EX 1 KEEPTTL", "ERR syntax error");
	expect_error("SET a 1 KEEPTTL EX 1", "ERR syntax error");
	expect_error("SET a 1 nonsense", "ERR syntax error");
	expect_error("SET a 1 EX x", NOT_A_NUMBER);
	expect_error("SET a 1 EX 0", "ERR invalid expire time in 'set' command");
	expect_error("SET a 1 EX -1", "ERR invalid expire time in 'set' command");
	expect_error("SET a 1 PX 9223372036854775807", "ERR invalid expire time in 'set' command");
	expect_error("SET a 1 EX 9223372036854775", "ERR invalid expire time in 'set' command");
	expect("GET a", "$1\r\n2\r\n");
	tear_down();
}

Test(kv_commands, mget_and_mset)
{
	set_up();
	expect("MSET a 1 b 2 a 3", "+OK\r\n");
	expect("MGET a b c", "*3\r\n$1\r\n3\r\n$1\r\n2\r\n$-1\r\n");
	expect_error("MSET a 1 b", "ERR wrong number of arguments for 'mset' command");
	tear_down();
}

Test(kv_commands, incr_and_its_relatives)
{
	set_up();
	expect("INCR n", ":1\r\n");
	expect("INCR n", ":2\r\n");
	expect("DECR n", ":1\r\n");
	expect("INCRBY n 41", ":42\r\n");
	expect("DECRBY n 43", ":-1\r\n");
	expect("GET n", "$2\r\n-1\r\n");
	expect("INCRBY n -9", ":-10\r\n");
	expect_error("INCRBY n 1.5", NOT_A_NUMBER);
	expect_error("DECRBY n x", NOT_A_NUMBER);

	/* The end of a key stays where it was. */
	ask("PEXPIRE n 500");
	expect("INCR n", ":-9\r\n");
	expect("PTTL n", ":500\r\n");
	tear_down();
}

Test(kv_commands, incr_of_what_is_no_number)
{
	static const char *const values[] = { "x", "''", "' 1'", "'1 '", "1.0", "01", "+1", "-0",
		"9223372036854775808", "-9223372036854775809", "\"1\\x00\"" };

	set_up();
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		char line[64];

		snprintf(line, sizeof line, "SET n %s", values[i]);
		expect(line, "+OK\r\n");
		expect_error("INCR n", NOT_A_NUMBER);
	}
	tear_down();
}

Test(kv_commands, incr_does_not_overflow)
{
	set_up();
	ask("SET n 9223372036854775806");
	expect("INCR n", ":9223372036854775807\r\n");
	expect_error("INCR n", "ERR increment or decrement would overflow");
	expect_error("INCRBY n 9223372036854775807", "ERR increment or decrement would overflow");
	expect("INCRBY n -9223372036854775807", ":0\r\n");
	expect("DECRBY n 9223372036854775807", ":-9223372036854775807\r\n");
	expect("DECR n", ":-9223372036854775808\r\n");
	expect_error("DECR n", "ERR increment or decrement would overflow");
	expect_error("INCRBY n -9223372036854775808", "ERR increment or decrement would overflow");
	expect_error("DECRBY n -9223372036854775808", "ERR decrement would overflow");
	expect("GET n", "$20\r\n-9223372036854775808\r\n");
	tear_down();
}

/*
 * Keys and their ends.
 */

Test(kv_commands, del_exists_and_dbsize)
{
	set_up();
	ask("MSET a 1 b 2 c 3");
	expect("DBSIZE", ":3\r\n");
	expect("EXISTS a", ":1\r\n");
	expect("EXISTS a b nothing a", ":3\r\n");
	expect("DEL a nothing a", ":1\r\n");
	expect("UNLINK b", ":1\r\n");
	expect("EXISTS a b", ":0\r\n");
	expect("DBSIZE", ":1\r\n");
	expect("FLUSHDB", "+OK\r\n");
	expect("DBSIZE", ":0\r\n");
	ask("SET a 1");
	expect("FLUSHALL ASYNC", "+OK\r\n");
	expect("GET a", "$-1\r\n");
	expect_error("FLUSHDB nonsense", "ERR syntax error");
	expect_error("FLUSHDB SYNC SYNC", "ERR syntax error");
	tear_down();
}

Test(kv_commands, expire_ttl_and_persist)
{
	set_up();
	expect("TTL a", ":-2\r\n");
	expect("PTTL a", ":-2\r\n");
	expect("EXPIRE a 10", ":0\r\n");
	expect("PERSIST a", ":0\r\n");
	ask("SET a 1");
	expect("TTL a", ":-1\r\n");
	expect("PERSIST a", ":0\r\n");
	expect("EXPIRE a 10", ":1\r\n");
	expect("TTL a", ":10\r\n");
	expect("PTTL a", ":10000\r\n");
	now_ms += 400;
	expect("TTL a", ":10\r\n");
	now_ms += 200;
	expect("TTL a", ":9\r\n");
	expect("PERSIST a", ":1\r\n");
	expect("TTL a", ":-1\r\n");
	expect("PEXPIRE a 100", ":1\r\n");
	now_ms += 99;
	expect("GET a", "$1\r\n1\r\n");
	now_ms++;
	expect("GET a", "$-1\r\n");
	expect("TTL a", ":-2\r\n");
	tear_down();
}

Test(kv_commands, expire_in_the_past_removes)
{
	set_up();
	ask("SET a 1");
	expect("EXPIRE a -1", ":1\r\n");
	expect("EXISTS a", ":0\r\n");
	ask("SET a 1");
	expect("PEXPIRE a 0", ":1\r\n");
	expect("DBSIZE", ":0\r\n");
	expect("EXPIRE a -1", ":0\r\n");
	tear_down();
}

Test(kv_commands, expire_with_a_time_that_is_none)
{
	set_up();
	ask("SET a 1");
	expect_error("EXPIRE a x", NOT_A_NUMBER);
	expect_error("EXPIRE a 9223372036854775807", "ERR invalid expire time in 'expire' command");
	expect_error("EXPIRE a -9223372036854775807",
		"ERR invalid expire time in 'expire' command");
	expect_error("PEXPIRE a 9223372036854775807",
		"ERR invalid expire time in 'pexpire' command");
	expect("TTL a", ":-1\r\n");
	tear_down();
}

static int
compare_lines(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* KEYS in an order: the keys of the reply, sorted, with a blank behind each. */
static void
expect_keys(const char *line, const char *expected)
{
	char *keys[32], sorted[256] = "";
	char *reply = strdup(ask(line));
	size_t count = 0;

	cr_assert_not_null(reply);
	for (char *word = strtok(reply, "\r\n"); word != NULL; word = strtok(NULL, "\r\n")) {
		if (*word != '*' && *word != '$')
			keys[count++] = word;
	}
	qsort(keys, count, sizeof *keys, compare_lines);
	for (size_t i = 0; i < count; i++)
		strcat(strcat(sorted, keys[i]), " ");
	cr_expect_str_eq(sorted, expected, "%s: %s", line, sorted);
	free(reply);
}

Test(kv_commands, keys)
{
	char line[2000] = "KEYS ";

	set_up();
	expect("KEYS *", "*0\r\n");
	ask("MSET one 1 two 2 three 3 four 4");
	ask("SET gone 1 PX 10");
	now_ms += 10;
	expect_keys("KEYS *", "four one three two ");
	expect_keys("KEYS *o*", "four one two ");
	expect_keys("KEYS t*", "three two ");
	expect_keys("KEYS t[hx]*", "three ");
	expect("KEYS one", "*1\r\n$3\r\none\r\n");
	expect("KEYS g*", "*0\r\n");
	memset(line + 5, '*', 1024);
	expect_keys(line, "four one three two ");
	line[5 + 1024] = '*';
	expect_error(line, "ERR pattern is longer than 1024 bytes");
	tear_down();
}

/*
 * Without memory.
 */

Test(kv_commands, a_full_store_can_still_be_read_and_emptied)
{
	char line[64];
	int i;

	kv.data.limit = 50000;
	set_up();
	for (i = 0; i < 10000; i++) {
		snprintf(line, sizeof line, "SET key%d value", i);
		if (strcmp(ask(line), "+OK\r\n") != 0)
			break;
	}
	cr_assert_lt(i, 10000);
	expect_error(line, NO_MEMORY);
	expect_error("SET key0 'a value that is longer than the one before' GET", NO_MEMORY);
	expect_error("MSET x y", NO_MEMORY);
	expect_error("INCR x", NO_MEMORY);
	expect("GET key0", "$5\r\nvalue\r\n");
	expect("DEL key0 key1", ":2\r\n");
	expect("SET x 1", "+OK\r\n");
	expect("FLUSHDB", "+OK\r\n");
	tear_down();
}

Test(kv_commands, a_reply_that_does_not_fit_is_an_error_and_not_half_a_reply)
{
	static char line[70000] = "SET a ";

	set_up();
	memset(line + 6, 'x', 60000);
	expect(line, "+OK\r\n");
	buffer_deinit(&out);
	buffer_init(&out, &kv.buffers, 100000);
	expect_error("MGET a a", "OOM no room for the reply");
	cr_expect_eq(strncmp(ask("GET a"), "$60000\r\n", 8), 0);

	/* Nobody would learn the old value: it stays. */
	buffer_deinit(&out);
	buffer_init(&out, &kv.buffers, 1000);
	expect_error("SET a new GET", "OOM no room for the reply");
	expect("STRLEN a", ":60000\r\n");
	tear_down();
}

static int
refuse_nth(void *data, size_t size)
{
	int *grants = data;

	(void)size;
	return (*grants)-- == 0;
}

Test(kv_commands, every_command_survives_the_failure_of_any_allocation)
{
	static const char *const lines[] = { "SET a 1", "SET a 'a longer value' GET EX 10", "GET a",
		"MSET a 1 b 2 c 3", "MGET a b c", "INCR a", "DEL a", "KEYS *", "COMMAND DOCS",
		"INFO", "CONFIG GET *", "HELLO", "FLUSHDB", "nonsense" };
	int refused = 0;

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		for (int n = 0, has_refused = 1; has_refused; n++) {
			int grants = n;
			const char *reply;

			set_up();
			ask("MSET a 1 b 2");
			buffer_deinit(&out); /* so that the reply allocates too */
			kv.data.refuse = kv.buffers.refuse = refuse_nth;
			kv.data.refuse_data = kv.buffers.refuse_data = &grants;
			reply = ask(lines[i]);
			cr_expect(strchr("+-:$*(", reply[0]) != NULL);
			kv.data.refuse = kv.buffers.refuse = NULL;
			has_refused = grants < 0;
			refused += has_refused;
			buffer_rewind(&out, 0);
			expect("PING", "+PONG\r\n");
			tear_down();
		}
	}
	cr_assert_geq(refused, 14 + 3); /* each reply, and what the first two and MSET store */
}

/*
 * Patterns.
 */

static int
matches(const char *pattern, const char *text)
{
	return glob_matches(bytes_of(pattern), bytes_of(text));
}

Test(kv_glob, patterns_match_what_they_say)
{
	static const struct {
		const char *pattern, *text;
		int matches;
	} cases[] = {
		{ "", "", 1 },
		{ "", "a", 0 },
		{ "a", "", 0 },
		{ "a", "a", 1 },
		{ "a", "A", 0 },
		{ "*", "", 1 },
		{ "*", "abc", 1 },
		{ "**", "abc", 1 },
		{ "a*", "abc", 1 },
		{ "*c", "abc", 1 },
		{ "*b", "abc", 0 },
		{ "a*c", "ac", 1 },
		{ "a*b*c", "aXbYbZc", 1 },
		{ "a*b*c", "aXbYbZ", 0 },
		{ "?", "a", 1 },
		{ "?", "", 0 },
		{ "a?c", "abc", 1 },
		{ "??", "a", 0 },
		{ "*?", "a", 1 },
		{ "*?", "", 0 },
		{ "[abc]", "b", 1 },
		{ "[abc]", "d", 0 },
		{ "[^abc]", "d", 1 },
		{ "[^abc]", "a", 0 },
		{ "[a-c]", "b", 1 },
		{ "[c-a]", "b", 1 },
		{ "[a-c]", "-", 0 },
		{ "[a-]", "-", 1 },
		{ "[-a]", "-", 1 },
		{ "[]", "a", 0 },
		{ "[^]", "a", 1 },
		{ "[]a]", "a", 0 },
		{ "[\\]]", "]", 1 },
		{ "[\\^]", "^", 1 },
		{ "[a", "a", 1 },
		{ "[a", "b", 0 },
		{ "[", "[", 0 },
		{ "x[ab]y", "xby", 1 },
		{ "*[0-9]", "key7", 1 },
		{ "*[0-9]", "key", 0 },
		{ "\\*", "*", 1 },
		{ "\\*", "a", 0 },
		{ "\\?x", "?x", 1 },
		{ "\\\\", "\\", 1 },
		{ "\\", "\\", 1 },
		{ "a\\", "a\\", 1 },
		{ "\\a", "a", 1 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_expect_eq(matches(cases[i].pattern, cases[i].text), cases[i].matches, "%s %s",
			cases[i].pattern, cases[i].text);
}

Test(kv_glob, any_byte_is_a_byte)
{
	cr_expect(glob_matches((struct bytes){ "a\0*", 3 }, (struct bytes){ "a\0b", 3 }));
	cr_expect(!glob_matches((struct bytes){ "a\0", 2 }, (struct bytes){ "a", 1 }));
	cr_expect(matches("[\x80-\xff]", "\xc3"));
	cr_expect(!matches("[\x80-\xff]", "a"));
}

/* The obvious way: exact, and exponential. For stars, '?' and letters. */
static int
slow_matches(const char *pattern, const char *text)
{
	if (*pattern == '*')
		return slow_matches(pattern + 1, text) ||
			(*text != '\0' && slow_matches(pattern, text + 1));
	if (*pattern == '\0' || *text == '\0')
		return *pattern == *text;
	return (*pattern == '?' || *pattern == *text) && slow_matches(pattern + 1, text + 1);
}

Test(kv_glob, random_patterns_match_as_in_the_obvious_way)
{
	uint32_t random = 4711;

	for (int i = 0; i < 300000; i++) {
		char pattern[9] = "", text[11] = "";

		for (uint32_t n = kv_random(&random) % 8, c = 0; c < n; c++)
			pattern[c] = "ab*?"[kv_random(&random) % 4];
		for (uint32_t n = kv_random(&random) % 10, c = 0; c < n; c++)
			text[c] = "ab"[kv_random(&random) % 2];
		cr_assert_eq(matches(pattern, text), slow_matches(pattern, text), "%s %s", pattern,
			text);
	}
}

/* Exponential time would be 2^500 here. */
Test(kv_glob, hostile_patterns_take_no_longer_than_pattern_times_text, .timeout = 5)
{
	static char pattern[1001], text[20001];

	for (size_t i = 0; i < 1000; i += 2)
		memcpy(pattern + i, "*a", 2);
	pattern[999] = 'b';
	memset(text, 'a', 20000);
	cr_assert(!matches(pattern, text));
	for (size_t i = 0; i < 1000; i++)
		pattern[i] = '*';
	cr_assert(matches(pattern, text));
}
