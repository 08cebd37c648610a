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
#include "run_int.h"

#include <cede/hooks.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS_MAX 64
#define CALLS_MAX  10 /* in one another */

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
	int is_gen;
	struct any child; /* made by its step B, and the body's own for as long */
};

/* An awaitable of the program's own: each call goes on in the block where the last one stopped. */
struct object {
	struct frame frame;
};

static const char *blocks[BLOCKS_MAX];
static struct any slots[SLOTS_MAX];
static struct birth births[STEPS_MAX];
static int steps_left, birth_count, calls;
static int has_close_values = 1, objects_drive = 1; /* less with older Pythons */

/* ---- values ---- */

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

/* ---- what any block may do ---- */

static int body(void *arg);
static int run_block(struct frame *f);

static struct any
make(char block, int is_gen)
{
	struct birth *birth = &births[birth_count];
	cede_coro_options_t options = { .name = birth->name };
	struct any any = { NULL, NULL };
	int r;

	snprintf(birth->name, sizeof birth->name, "%c%d", is_gen ? 'g' : 'c', birth_count++);
	birth->code = blocks[block - '0'];
	birth->is_gen = is_gen;
	birth->child = any;
	r = is_gen ? cede_gen_create(&any.gen, body, birth, &options)
		   : cede_coro_create(&any.co, body, birth, &options);
	if (r < 0)
		abort();
	return any;
}

static struct birth *
birth_of(const char *name)
{
	return &births[atoi(name + 1)];
}

static void
put_slot(char slot, struct any any)
{
	struct any old = slots[(int)slot];

	slots[(int)slot] = any;
	any_unref(old);
}

static int
drive(const char *op, struct any any, void **ret_value)
{
	cede_error_t *error;
	int r;

	switch (*op) {
	case 'S':
		return any_send(any, value_of(op[2]), ret_value);
	case 'h':
		return any_throw(any, code_of(op[2]), ret_value);
	case 'C':
		return any_close(any, ret_value);
	default: /* H, J */
		error = *op == 'H' ? new_error(op[2]) : kept_or_new(op[2]);
		r = any_throw_error(any, error, ret_value);
		cede_error_unref(error);
		return r;
	}
}

/* send, throw, close. op[3] '1': an error that comes back is printed, and that is all. */
static int
drive_slot(const char *op)
{
	struct any any = slots[(int)op[1]];
	void *value = NULL;
	char name[8];
	int r;

	if (!any_is(any))
		return 0;
	snprintf(name, sizeof name, "%s", any_name(any));
	r = drive(op, any_ref(any), &value);
	any_unref(any);
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
query(struct any any)
{
	static const char *const states[] = { "CREATED", "RUNNING", "SUSPENDED", "CLOSED" };

	if (any_is(any))
		say("Q %s %s %s\n", any_name(any), states[any_state(any)], any_awaiting(any));
}

/* Runs a block as a function that is called. 0, or the code it raised. */
static int
call_block(char block)
{
	struct frame f = { .pc = blocks[block - '0'], .me = "call" };
	int r;

	if (calls == CALLS_MAX)
		return 0;
	calls++;
	r = run_block(&f);
	calls--;
	return r < 0 ? r : 0;
}

/* One step that needs no coroutine to run in. 0, or the code it raised. */
static int
do_plain(const char *op, const cede_handler_t *handler)
{
	switch (*op) {
	case 'N':
		put_slot(op[1], make(op[2], 0));
		return 0;
	case 'G':
		put_slot(op[1], make(op[2], 1));
		return 0;
	case 'D':
		put_slot(op[1], (struct any){ NULL, NULL });
		return 0;
	case 'M':
		put_slot(op[1], any_ref(slots[(int)op[2]]));
		return 0;
	case 'S':
	case 'H':
	case 'h':
	case 'J':
	case 'C':
		return drive_slot(op);
	case 'E':
		return call_block(op[1]);
	case 'Q':
		query(slots[(int)op[1]]);
		return 0;
	case 'X':
		return raise_new(op[1]);
	case 'x':
		return cede_raise(code_of(op[1]), "%s", "");
	case 'F':
		return raise_from_kept(op[1], op[2]);
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

static void
release_child(struct birth *birth)
{
	struct any child = birth->child;

	birth->child = (struct any){ NULL, NULL };
	any_unref(child);
}

/* The awaited one is the body's own, until on_unraisable() knows that it never goes on. */
static int
await_new(struct frame *f, const char *op, void **ret_value)
{
	struct birth *birth = birth_of(f->me);
	int r;

	birth->child = make(op[1], birth->is_gen);
	r = any_await(birth->child, ret_value);
	release_child(birth);
	return r;
}

/* A coroutine awaits coroutines, a generator delegates to generators. */
static int
may_await(const struct frame *f, struct any any)
{
	return birth_of(f->me)->is_gen ? any.gen != NULL : any.co != NULL;
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
	else if (may_await(f, slots[(int)op[1]]))
		r = any_await(slots[(int)op[1]], &value);
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
	if (code == CEDE_EIGNORED && cede_coro_state(co) == CEDE_CORO_SUSPENDED)
		release_child(birth_of(cede_coro_name(co)));
}

/* A coroutine that is dropped may fill a slot that was empty. */
static void
clean_up(void)
{
	for (int i = 0; i < SLOTS_MAX; i++) {
		if (!any_is(slots[i]))
			continue;
		put_slot((char)i, (struct any){ NULL, NULL });
		i = -1;
	}
	forget_errors();
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
	birth_count = 0;
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
