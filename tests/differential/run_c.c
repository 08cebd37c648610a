/*
 * Runs programs of the differential test with cede, and prints what happens.
 * run_py.py does the same with Python's own coroutines: the two outputs are to
 * be equal, byte by byte. The language is described in README.md.
 *
 * A block of a program is run by run_block(), one coroutine one call of it.
 * Python's exceptions are codes here:
 *
 *   raise              cede_raise(), and the code is returned
 *   except ...:        cede_handler_enter(), the block, cede_handler_leave()
 *   finally:           the same, and cede_reraise() where the block goes through
 *
 * Each code that a call of cede returns is looked at through a handler at once
 * (seen()), since Python makes an error object where the error is raised, and
 * cede where it is handled first.
 */
#include <cede/coro.h>
#include <cede/error.h>
#include <cede/hooks.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX  300 /* of one program; what would come then is left out */
#define BLOCKS_MAX 64
#define SLOTS_MAX  128 /* arguments are characters, and index tables as they are */
#define CHAIN_MAX  12  /* errors of a chain that are printed */

/* What runs one block: the body of a coroutine, or what stands outside all. */
struct frame {
	const char *pc;
	const char *me;
	void *value;             /* of the return */
	cede_handler_t *handler; /* the innermost of this block */
};

/* How a coroutine came into the world. */
struct birth {
	const char *code;
	char name[8];
	cede_coro_t *child; /* made by its step B, and the body's own for as long */
};

/* An awaitable of the program's own: each call goes on in the block where the last one stopped. */
struct object {
	struct frame frame;
};

static const char *blocks[BLOCKS_MAX];
static cede_coro_t *slots[SLOTS_MAX];
static cede_error_t *kept[SLOTS_MAX];
static cede_error_t *causes[STEPS_MAX];
static struct birth births[STEPS_MAX];
static int steps_left, birth_count, error_count, cause_count;
static int has_close_values = 1, objects_drive = 1; /* less with older Pythons */

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
}

/* ---- values and errors ---- */

static void *
value_of(char c)
{
	return (void *)(intptr_t)(c - '0');
}

static const char *
text_of(const void *value)
{
	static char text[24];

	if (!value)
		return "None";
	snprintf(text, sizeof text, "%d", (int)(intptr_t)value);
	return text;
}

static int
code_of(char kind)
{
	switch (kind) {
	case 'A':
		return CEDE_EPIPE;
	case 'B':
		return CEDE_ECONNRESET;
	case 'G':
		return CEDE_EXIT;
	case 'I':
		return CEDE_STOP;
	case 'J':
		return CEDE_STOP_ASYNC;
	default:
		return CEDE_ECANCELED; /* K */
	}
}

static const char *
kind_of(int code)
{
	switch (code) {
	case CEDE_EPIPE:
		return "A";
	case CEDE_ECONNRESET:
		return "B";
	case CEDE_EXIT:
		return "G";
	case CEDE_STOP:
		return "I";
	case CEDE_STOP_ASYNC:
		return "J";
	case CEDE_ECANCELED:
		return "K";
	case CEDE_EINVAL:
		return "Invalid";
	case CEDE_EREUSED:
	case CEDE_EIGNORED:
	case CEDE_EAWAITED:
	case CEDE_ESTOPITER:
		return "RuntimeError";
	case CEDE_ERUNNING:
		return "ValueError";
	case CEDE_ENOTSTARTED:
		return "TypeError";
	default:
		return cede_err_name(code);
	}
}

/* Does `except` of that kind catch the code? */
static int
catches(char kind, int code)
{
	const char *is = kind_of(code);

	switch (kind) {
	case '*': /* BaseException */
		return 1;
	case 'E': /* Exception */
		return *is != 'G' && *is != 'K';
	case 'R':
		return *is == 'R';
	case 'V': /* ValueError, TypeError */
		return *is == 'V' || *is == 'T';
	default:
		return is[0] == kind && !is[1];
	}
}

static int
is_of_engine(int code)
{
	return code <= CEDE_EREUSED && code >= CEDE_ESTOPITER;
}

/* Python's str() of it: empty for what was raised without a text. */
static const char *
message_of(const cede_error_t *error)
{
	const char *message = cede_error_message(error);
	int code = cede_error_code(error);

	if (is_of_engine(code) || code == CEDE_EINVAL)
		return message;
	return strcmp(message, cede_strerror(code)) == 0 ? "" : message;
}

/* An error, its causes in braces, its contexts after it. */
static void
say_chain(const cede_error_t *error, int *left)
{
	for (;;) {
		const cede_error_t *cause = cede_error_cause(error);

		if ((*left)-- <= 0) {
			say("...");
			return;
		}
		say("%s(%s)", kind_of(cede_error_code(error)), message_of(error));
		if (cause && cause == cede_error_context(error)) {
			say("=");
		} else if (cause) {
			say("{");
			say_chain(cause, left);
			say("}");
		}
		error = cede_error_context(error);
		if (!error)
			return;
		say("<");
	}
}

static void
say_error(const cede_error_t *error)
{
	int left = CHAIN_MAX;

	say_chain(error, &left);
	say("\n");
}

/* A code was received: the error behind it is made now, if there is none. */
static int
seen(int code)
{
	cede_handler_t handler;

	if (code < 0) {
		cede_handler_enter(&handler, code);
		cede_handler_leave(&handler);
	}
	return code;
}

static cede_error_t *
new_error(char kind)
{
	char text[16];

	snprintf(text, sizeof text, "%d", ++error_count);
	return cede_error_create(code_of(kind), text, NULL, NULL);
}

static int
raise_new(char kind)
{
	return cede_raise(code_of(kind), "%d", ++error_count);
}

/* An error that is somebody's cause is not raised once more: cede makes no cycles through causes. */
static int
is_cause(const cede_error_t *error)
{
	for (int i = 0; i < cause_count; i++)
		if (causes[i] == error)
			return 1;
	return 0;
}

static int
raise_from(char kind, cede_error_t *cause)
{
	if (cause && !is_cause(cause))
		causes[cause_count++] = cede_error_ref(cause);
	return cede_raise_from(cause, code_of(kind), "%d", ++error_count);
}

static void
keep(char where, cede_error_t *error)
{
	if (!error || cede_error_cause(error) || is_cause(error) ||
		cede_error_code(error) == CEDE_STOP)
		return;
	cede_error_ref(error);
	cede_error_unref(kept[(int)where]);
	kept[(int)where] = error;
}

/* The kept error, or a new one where there is none that may be raised. Owned. */
static cede_error_t *
kept_or_new(char where)
{
	cede_error_t *error = kept[(int)where];

	return error && !is_cause(error) ? cede_error_ref(error) : new_error('A');
}

static int
raise_kept(char where)
{
	cede_error_t *error = kept_or_new(where);
	int r = cede_raise_error(error);

	cede_error_unref(error);
	return r;
}

/* ---- what any block may do ---- */

static int body(void *arg);

static cede_coro_t *
new_coro(char block)
{
	struct birth *birth = &births[birth_count];
	cede_coro_options_t options = { .name = birth->name };
	cede_coro_t *co;

	snprintf(birth->name, sizeof birth->name, "c%d", birth_count++);
	birth->code = blocks[block - '0'];
	birth->child = NULL;
	if (cede_coro_create(&co, body, birth, &options) < 0)
		abort();
	return co;
}

static struct birth *
birth_of(const char *name)
{
	return &births[atoi(name + 1)];
}

static void
put_slot(char slot, cede_coro_t *co)
{
	cede_coro_t *old = slots[(int)slot];

	slots[(int)slot] = co;
	cede_coro_unref(old);
}

static int
drive(const char *op, cede_coro_t *co, void **ret_value)
{
	cede_error_t *error;
	int r;

	switch (*op) {
	case 'S':
		return cede_coro_send(co, value_of(op[2]), ret_value);
	case 'h':
		return cede_coro_throw(co, code_of(op[2]), ret_value);
	case 'C':
		return cede_coro_close(co, ret_value);
	default: /* H, J */
		error = *op == 'H' ? new_error(op[2]) : kept_or_new(op[2]);
		r = cede_coro_throw_error(co, error, ret_value);
		cede_error_unref(error);
		return r;
	}
}

/* send, throw, close. op[3] '1': an error that comes back is printed, and that is all. */
static int
drive_slot(const char *op)
{
	cede_coro_t *co = slots[(int)op[1]];
	void *value = NULL;
	char name[8];
	int r;

	if (!co)
		return 0;
	snprintf(name, sizeof name, "%s", cede_coro_name(co));
	r = drive(op, cede_coro_ref(co), &value);
	cede_coro_unref(co);
	if (r < 0) {
		seen(r);
		if (op[3] != '1')
			return r;
		say("%c %s raised ", *op, name);
		say_error(cede_error());
	} else if (*op == 'C') {
		say("C %s closed %s\n", name, has_close_values ? text_of(value) : "-");
	} else {
		say("%c %s %s %s\n", *op, name, r > 0 ? "yielded" : "returned", text_of(value));
	}
	return 0;
}

static void
query(const cede_coro_t *co)
{
	static const char *const states[] = { "CREATED", "RUNNING", "SUSPENDED", "CLOSED" };
	const cede_coro_t *awaiting = co ? cede_coro_awaiting(co) : NULL;

	if (co)
		say("Q %s %s %s\n", cede_coro_name(co), states[cede_coro_state(co)],
			awaiting ? cede_coro_name(awaiting) : "-");
}

/* One step that needs no coroutine to run in. 0, or the code it raised. */
static int
do_plain(const char *op, const cede_handler_t *handler)
{
	switch (*op) {
	case 'N':
		put_slot(op[1], new_coro(op[2]));
		return 0;
	case 'D':
		put_slot(op[1], NULL);
		return 0;
	case 'M':
		put_slot(op[1], slots[(int)op[2]] ? cede_coro_ref(slots[(int)op[2]]) : NULL);
		return 0;
	case 'S':
	case 'H':
	case 'h':
	case 'J':
	case 'C':
		return drive_slot(op);
	case 'Q':
		query(slots[(int)op[1]]);
		return 0;
	case 'X':
		return raise_new(op[1]);
	case 'x':
		return cede_raise(code_of(op[1]), "%s", "");
	case 'F':
		return raise_from(op[1], kept[(int)op[2]]);
	case 'f':
		return raise_from(op[1], handler->error);
	case 'U':
		return raise_kept(op[1]);
	case 'V':
		keep(op[1], handler->error);
		return 0;
	case 'W':
		return cede_reraise(handler);
	default:
		fprintf(stderr, "no such step: %.4s\n", op);
		abort();
	}
}

/* ---- objects ---- */

/* Runs the object's block up to its next answer. 1: yields; 0: done; or raised. */
static int
object_goes_on(struct object *object, const char *call, void **ret_value)
{
	struct frame *f = &object->frame;
	int r;

	say("%s.%s\n", f->me, call);
	*ret_value = NULL;
	while (*f->pc != '.' && steps_left > 0) {
		const char *op = f->pc;

		f->pc += 4;
		steps_left--;
		if (*op == 'Y' || *op == 'R') {
			*ret_value = value_of(op[1]);
			return *op == 'Y';
		}
		if (*op == 'P')
			return 2;
		if (!objects_drive && *op != 'X' && *op != 'x')
			continue;
		r = do_plain(op, NULL);
		if (r < 0)
			return r;
	}
	return 2;
}

static int
object_send(void *arg, void *value, void **ret_value)
{
	int r = object_goes_on(arg, "send", ret_value);

	return r == 2 ? 0 : r;
}

static int
object_raise(void *arg, int code, void **ret_value)
{
	cede_error_t *error;
	int r;

	seen(code);
	error = cede_error_ref(cede_error());
	r = object_goes_on(arg, "throw", ret_value);
	if (r == 2)
		r = cede_raise_error(error);
	cede_error_unref(error);
	return r;
}

static int
object_close(void *arg)
{
	void *value;
	int r = object_goes_on(arg, "close", &value);

	return r < 0 ? r : 0;
}

static int
await_object(struct frame *f, const char *op, void **ret_value)
{
	struct object object = { .frame = { .pc = blocks[op[2] - '0'], .me = f->me } };
	cede_awaitable_t awaitable = {
		.send = object_send,
		.raise = (op[1] - '0') & 1 ? object_raise : NULL,
		.close = (op[1] - '0') & 2 ? object_close : NULL,
	};

	return cede_await_object(&awaitable, &object, ret_value);
}

/* ---- blocks ---- */

static int run_block(struct frame *f);

static int
run_handled(struct frame *f, const char *pc, int code, const char *how)
{
	cede_handler_t handler, *outer = f->handler;
	int r;

	cede_handler_enter(&handler, code);
	f->handler = &handler;
	if (how) {
		say("%s %s ", f->me, how);
		say_error(handler.error);
	} else {
		say("%s finally\n", f->me);
	}
	f->pc = pc;
	r = run_block(f);
	if (r == 0 && !how)
		r = cede_reraise(&handler);
	f->handler = outer;
	cede_handler_leave(&handler);
	return r;
}

static int
run_try(struct frame *f)
{
	const char *op = f->pc;
	const char *except = op + 4 + 4 * (op[2] - '0'), *finally = except + 4 * (op[3] - '0');
	void *value;
	int r, q;

	f->pc = op + 4;
	r = run_block(f);
	if (r < 0 && catches(op[1], r))
		r = run_handled(f, except, r, "caught");
	if (r < 0)
		return run_handled(f, finally, r, NULL);

	value = f->value;
	say("%s finally\n", f->me);
	f->pc = finally;
	q = run_block(f);
	if (q == 0)
		f->value = value;
	return q == 0 ? r : q;
}

/* The awaited one is the body's own, until on_unraisable() knows that it never goes on. */
static int
await_new(struct frame *f, const char *op, void **ret_value)
{
	struct birth *birth = birth_of(f->me);
	int r;

	birth->child = new_coro(op[1]);
	r = cede_await_coro(birth->child, ret_value);
	birth->child = cede_coro_unref(birth->child);
	return r;
}

static int
run_await(struct frame *f, const char *op)
{
	void *value = NULL;
	int r;

	if (*op == 'O')
		r = await_object(f, op, &value);
	else if (*op == 'B')
		r = await_new(f, op, &value);
	else if (slots[(int)op[1]])
		r = cede_await_coro(slots[(int)op[1]], &value);
	else
		return 0;
	if (r < 0)
		return seen(r);
	say("%s awaited %s\n", f->me, text_of(value));
	return 0;
}

static int
run_yield(struct frame *f, const char *op)
{
	void *value = NULL;
	int r = cede_yield(value_of(op[1]), &value);

	if (r < 0)
		return seen(r);
	say("%s got %s\n", f->me, text_of(value));
	return 0;
}

/* Runs from f->pc to the end of the block. 0: came there; 1: returned f->value; or raised. */
static int
run_block(struct frame *f)
{
	int r;

	while (*f->pc != '.' && steps_left > 0) {
		const char *op = f->pc;

		steps_left--;
		switch (*op) {
		case 'T':
			r = run_try(f);
			break;
		case 'R':
			f->value = value_of(op[1]);
			return 1;
		case 'Y':
			r = run_yield(f, op);
			break;
		case 'A':
		case 'B':
		case 'O':
			r = run_await(f, op);
			break;
		default:
			r = do_plain(op, f->handler);
		}
		if (r != 0)
			return r;
		f->pc += 4;
	}
	return 0;
}

static int
body(void *arg)
{
	const struct birth *birth = arg;
	struct frame f = { .pc = birth->code, .me = birth->name };
	int r;

	say("%s starts\n", f.me);
	r = run_block(&f);
	return r < 0 ? r : cede_return(r > 0 ? f.value : NULL);
}

/* ---- programs ---- */

static int
on_warning(const cede_coro_t *co, const char *text, void *data)
{
	say("warning: %.*s\n", (int)strcspn(text, "\n"), text);
	return 0;
}

static void
on_unraisable(const cede_coro_t *co, int code, const char *what, void *data)
{
	seen(code);
	say("unraisable %s ", cede_coro_name(co));
	say_error(cede_error());
	/* It is given up, in the middle: what its body holds is released by us. */
	if (code == CEDE_EIGNORED && cede_coro_state(co) == CEDE_CORO_SUSPENDED) {
		struct birth *birth = birth_of(cede_coro_name(co));

		birth->child = cede_coro_unref(birth->child);
	}
}

/* A coroutine that is dropped may fill a slot that was empty. */
static void
clean_up(void)
{
	for (int i = 0; i < SLOTS_MAX; i++) {
		if (!slots[i])
			continue;
		put_slot((char)i, NULL);
		i = -1;
	}
	for (int i = 0; i < SLOTS_MAX; i++)
		kept[i] = cede_error_unref(kept[i]);
	while (cause_count > 0)
		cede_error_unref(causes[--cause_count]);
}

static void
run_program(char *text)
{
	struct frame f = { .me = "main" };
	int r, count = 0;

	for (char *save, *block = strtok_r(text, "|\n", &save); block && count < BLOCKS_MAX;
		block = strtok_r(NULL, "|\n", &save))
		blocks[count++] = block;
	steps_left = STEPS_MAX;
	birth_count = error_count = 0;
	f.pc = blocks[0];
	r = run_block(&f);
	if (r < 0) {
		say("main raised ");
		say_error(cede_error());
	}
	clean_up();
	say("= %d\n", STEPS_MAX - steps_left);
}

/* Programs on stdin, one a line. */
int
main(int argc, char **argv)
{
	static char line[1 << 16];

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--no-close-values") == 0)
			has_close_values = 0;
		else if (strcmp(argv[i], "--no-driving-objects") == 0)
			objects_drive = 0;
	}
	cede_set_warn_hook(on_warning, NULL);
	cede_set_unraisable_hook(on_unraisable, NULL);
	while (fgets(line, sizeof line, stdin))
		run_program(line);
	return 0;
}
