/*
 * Checks, and the few macros that every file of the library uses.
 *
 * Two kinds, for two kinds of trouble:
 *
 *   cede__check()   the user broke a rule after which nothing on this stack can
 *                   be trusted. Always compiled in; says what and where, aborts.
 *   cede__assert()  the library itself is wrong. Compiled out with NDEBUG, and
 *                   its condition is then not evaluated: it has no side effects.
 *
 * What can fail in a correct program is neither: it returns a negative code.
 */
#ifndef CEDE_CORO_CHECK_H
#define CEDE_CORO_CHECK_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cede/base.h>

#if defined(__GNUC__) || defined(__clang__)
#define cede__likely(x)   __builtin_expect(!!(x), 1)
#define cede__unlikely(x) __builtin_expect(!!(x), 0)
#define CEDE__NOINLINE    __attribute__((noinline))
#define CEDE__COLD        __attribute__((noinline, cold))
#else
#define cede__likely(x)   (!!(x))
#define cede__unlikely(x) (!!(x))
#define CEDE__NOINLINE
#define CEDE__COLD
#endif

#define CEDE__ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define cede__container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/*
 * One copy in each file that checks something, so that this header needs no
 * object file beside it. It is cold, and small beside what it guards.
 */
CEDE__MAYBE_UNUSED CEDE__COLD CEDE__PRINTF(3,
	4) static _Noreturn void cede__check_failed(const char *file, int line, const char *fmt,
	...)
{
	va_list args;

	va_start(args, fmt);
	fputs("cede: ", stderr);
	vfprintf(stderr, fmt, args);
	fprintf(stderr, " (%s:%d)\n", file, line);
	va_end(args);
	fflush(stderr);
	abort();
}

/** cede__check(condition, format, ...): a sentence without its full stop, as "stack released twice". */
#define cede__check(cond, ...) \
	(cede__likely(cond) ? (void)0 : cede__check_failed(__FILE__, __LINE__, __VA_ARGS__))

#ifdef NDEBUG
#define cede__assert(cond) ((void)sizeof(!(cond)))
#else
#define cede__assert(cond) cede__check(cond, "%s", "assertion failed: " #cond)
#endif

#endif
