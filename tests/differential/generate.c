/*
 * Makes random programs for the differential test, one a line:
 *
 *   generate SEED COUNT
 *
 * Program i of a seed is always the same one. A program is blocks of steps; each
 * step is four characters, and README.md says what they mean. Block 0 stands
 * outside all coroutines, the next ones are bodies of coroutines, then come
 * awaitable objects, and functions that any block calls.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 3 /* of try blocks in one another; run_py.py's text is that deep */

enum where { MAIN, BODY, OBJECT };

static uint64_t state;
static int body_count, object_count, call_count, mix;

/* splitmix64 */
static uint64_t
random_bits(void)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static int
below(int n)
{
	return (int)(random_bits() % (uint64_t)n);
}

static char
one_of(const char *characters)
{
	return characters[below((int)strlen(characters))];
}

static char
digit(int n)
{
	return (char)('0' + n);
}

struct text {
	char steps[8192];
	int length;
};

static void
add(struct text *t, char op, char a, char b, char c)
{
	char step[] = { op, a, b, c };

	if (t->length + 4 <= (int)sizeof t->steps) {
		memcpy(t->steps + t->length, step, 4);
		t->length += 4;
	}
}

static char
slot(void)
{
	return one_of("00001123");
}

static char
kind(void)
{
	return one_of("AAAABBBKGGIJ");
}

/* Mostly one that comes later, so that most programs end by themselves. */
static char
body_after(int block)
{
	int later = body_count - block;

	if (later > 0 && below(8) > 0)
		return digit(block + 1 + below(later));
	return digit(1 + below(body_count));
}

/* A program has coroutines, or generators, or both. */
static char
new_one(void)
{
	return mix == 0 || (mix == 2 && below(2)) ? 'N' : 'G';
}

static char
guard(enum where where)
{
	return below(where == MAIN ? 12 : 3) ? '1' : '0';
}

static void
add_drive(struct text *t, enum where where)
{
	switch (below(9)) {
	case 0:
	case 1:
	case 2:
	case 3:
		add(t, 'S', slot(), one_of("000012"), guard(where));
		return;
	case 4:
	case 5:
		add(t, 'H', slot(), kind(), guard(where));
		return;
	case 6:
		add(t, 'h', slot(), kind(), guard(where));
		return;
	case 7:
		add(t, 'J', slot(), one_of("01"), guard(where));
		return;
	default:
		add(t, 'C', slot(), '.', guard(where));
	}
}

static void
add_raise(struct text *t, int is_handling)
{
	switch (below(is_handling ? 7 : 4)) {
	case 0:
		add(t, 'x', kind(), '.', '.');
		return;
	case 1:
		add(t, 'F', kind(), one_of("01"), '.');
		return;
	case 2:
		add(t, 'U', one_of("01"), '.', '.');
		return;
	case 3:
		add(t, 'X', kind(), '.', '.');
		return;
	case 4:
		add(t, 'f', kind(), '.', '.');
		return;
	default:
		add(t, 'W', '.', '.', '.');
	}
}

static void
add_suspend(struct text *t, int block)
{
	int which = below(10);

	if (which < 5)
		add(t, 'Y', digit(below(10)), '.', '.');
	else if (which < 7)
		add(t, 'B', body_after(block), '.', '.');
	else if (which < 9)
		add(t, 'A', slot(), '.', '.');
	else if (object_count > 0)
		add(t, 'O', one_of("0123"), digit(1 + body_count + below(object_count)), '.');
}

static void
add_slots(struct text *t, int block)
{
	switch (below(call_count > 0 ? 7 : 6)) {
	case 6:
		add(t, 'E', digit(1 + body_count + object_count + below(call_count)), '.', '.');
		return;
	case 0:
	case 1:
		add(t, new_one(), slot(), body_after(block), '.');
		return;
	case 2:
		add(t, 'D', slot(), '.', '.');
		return;
	case 3:
		add(t, 'M', slot(), slot(), '.');
		return;
	default:
		add(t, 'Q', slot(), '.', '.');
	}
}

static void add_block(struct text *t, int block, enum where where, int depth, int is_handling,
	int steps_max);

static void
add_try(struct text *t, int block, enum where where, int depth, int is_handling)
{
	int op = t->length, except, finally;

	add(t, 'T', one_of("****EERVAABGGKI0"), '.', '.');
	add_block(t, block, where, depth + 1, is_handling, 4);
	except = t->length;
	add_block(t, block, where, depth + 1, 1, 3);
	finally = t->length;
	if (op + 4 <= (int)sizeof t->steps) {
		t->steps[op + 2] = digit((except - op - 4) / 4);
		t->steps[op + 3] = digit((finally - except) / 4);
	}
	add_block(t, block, where, depth + 1, is_handling, below(2) ? 0 : 2);
}

/* Steps and the end of a block. The lengths of a try's blocks must fit a character. */
static void
add_block(struct text *t, int block, enum where where, int depth, int is_handling, int steps_max)
{
	int count = steps_max > 0 ? below(steps_max + 1) : 0, start = t->length;

	for (int i = 0; i < count && (depth == 0 || t->length - start < 4 * 16); i++) {
		int which = below(where == MAIN ? 60 : 100);

		if (which < 26)
			add_drive(t, where);
		else if (which < 48)
			add_slots(t, block);
		else if (which < (where == MAIN ? 50 : 57))
			add_raise(t, is_handling);
		else if (which < (where == MAIN ? 60 : 70) && depth < DEPTH_MAX)
			add_try(t, block, where, depth, is_handling);
		else if (where == BODY && which < 96)
			add_suspend(t, block);
		else if (where == BODY)
			add(t, 'R', digit(below(10)), '.', '.');
		if (is_handling && below(5) == 0)
			add(t, 'V', one_of("01"), '.', '.');
	}
	add(t, '.', '.', '.', '.');
}

static void
add_object(struct text *t, int block)
{
	int count = 1 + below(7);

	for (int i = 0; i < count; i++) {
		int which = below(20);

		if (which < 9)
			add(t, 'Y', digit(below(10)), '.', '.');
		else if (which < 10)
			add(t, 'R', digit(below(10)), '.', '.');
		else if (which < 12)
			add(t, 'P', '.', '.', '.');
		else if (which < 14)
			add(t, one_of("Xx"), one_of("AABKGJ"), '.', '.');
		else if (which < 18)
			add_drive(t, OBJECT);
		else
			add_slots(t, block);
	}
	add(t, '.', '.', '.', '.');
}

static void
print_block(struct text *t)
{
	fwrite(t->steps, 1, (size_t)t->length, stdout);
	t->length = 0;
}

static void
print_program(void)
{
	static struct text t;

	body_count = 1 + below(5);
	object_count = below(4);
	call_count = below(3);
	mix = below(6) < 3 ? 0 : below(3);
	for (int i = 0; i < 3; i++)
		add(&t, new_one(), digit(i), digit(1 + below(body_count)), '.');
	add_block(&t, 0, MAIN, 0, 0, 30);
	print_block(&t);
	for (int i = 1; i <= body_count; i++) {
		putchar('|');
		add_block(&t, i, BODY, 0, 0, 9);
		print_block(&t);
	}
	for (int i = 1; i <= object_count; i++) {
		putchar('|');
		add_object(&t, body_count + i);
		print_block(&t);
	}
	for (int i = 1; i <= call_count; i++) {
		putchar('|');
		add_block(&t, 0, MAIN, 0, 0, 5);
		print_block(&t);
	}
	putchar('\n');
}

int
main(int argc, char **argv)
{
	uint64_t seed;
	long count;

	if (argc != 3) {
		fprintf(stderr, "usage: %s SEED COUNT\n", argv[0]);
		return 2;
	}
	seed = strtoull(argv[1], NULL, 10);
	count = strtol(argv[2], NULL, 10);
	for (long i = 0; i < count; i++) {
		state = (seed << 24) + (uint64_t)i;
		random_bits();
		print_program();
	}
	return 0;
}
