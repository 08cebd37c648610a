/*
 * The seam between coroutines and the processor: a context is where a stack
 * stopped, and three functions work on one. Everything above this header is
 * portable C; everything below it is one backend, chosen by meson:
 *
 *   switch_asm.c (+ .S)   x86-64, aarch64, riscv64; six to a dozen pushes, a jump
 *   switch_ucontext.c     any other POSIX system, and shadow stacks
 *
 * Invariants
 * - A context that was made or saved may be entered once; entering it uses it up.
 * - What runs on a made stack is always saved in the struct that it was made in,
 *   and that struct does not move: the sanitizers keep their part there.
 * - `entry` never returns: it leaves by cede__context_exit().
 * - Contexts never change thread, so a thread's addresses may be cached across
 *   a switch.
 * - The FP control state (x86: mxcsr and x87 control word; fpcr; frm) belongs to
 *   the context. The signal mask belongs to the thread with the asm backend.
 * - ASan, TSan and Valgrind are told of every switch; without them nothing of
 *   that is compiled in.
 */
#ifndef CEDE_CORO_SWITCH_H
#define CEDE_CORO_SWITCH_H

#include <stddef.h>

#include "coro/sanitizer.h"

struct cede__context {
	void *sp; /* asm: the saved stack pointer; ucontext: the ucontext_t on the stack itself */
	CEDE__SANITIZER_FIELD /* struct cede__sanitizer sanitizer; nothing in a plain build */
};

/**
 * Prepares a context that will run entry(arg) on the stack [low, low + size).
 * low and size are multiples of 16. Writes at the top of that stack only.
 */
void cede__context_make(struct cede__context *ret_context, void *low, size_t size,
	void (*entry)(void *arg), void *arg);

/**
 * Saves the running context in *save and continues *to. Returns when somebody
 * continues *save, and returns the message of whoever does.
 *
 * The message is there so that a caller can end in this call: the jump out of the
 * switch then goes straight to the caller's caller. A return after the switch
 * would be mispredicted, as it belongs to a call made on another stack, and that
 * costs more than the rest.
 */
int cede__context_switch(struct cede__context *save, struct cede__context *to, int message);

/** Continues *to and never comes back: the running stack may be reused. */
_Noreturn void cede__context_exit(struct cede__context *self, struct cede__context *to,
	int message);

/**
 * Frees what the sanitizers keep of a context that will never be entered again:
 * one that exited, was abandoned, or was never entered. Once for each that was
 * made, from another stack, before its memory is unmapped. Never for a thread's own.
 */
void cede__context_destroy(struct cede__context *context);

/** "asm-x86_64", "asm-aarch64", "asm-riscv64" or "ucontext". */
const char *cede__context_backend(void);

#endif
