/*
 * The floor under the coroutine benchmarks: the least that a switch of stacks
 * can be while it keeps the promises cede's keeps.
 *
 * It saves what the ABI says a call preserves and the FP control state, changes
 * stacks and leaves by an indirect jump: a `ret` to an address that no `call`
 * pushed would be mispredicted every time. There is no object, no state check
 * and no error here. Only x86-64 and aarch64; elsewhere BARE_SWITCH is 0.
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#if defined(__x86_64__) || defined(__aarch64__)
#define BARE_SWITCH 1
#else
#define BARE_SWITCH 0
#endif

#if defined(__x86_64__)
#define BARE_NAME "bare x86-64"
#elif defined(__aarch64__)
#define BARE_NAME "bare aarch64"
#else
#define BARE_NAME "ucontext"
#endif

/* Saves the running context, its stack pointer in *save, and continues @to, which is used up. */
void bare_switch(void **save, void *to);

/* The same without the FP control state: what the keeping of it costs. Frames are alike. */
void bare_switch_nofp(void **save, void *to);

/* A context that will run entry(arg) below @top, a multiple of 16. @entry must not return. */
void *bare_make(void *top, void (*entry)(void *arg), void *arg);

#endif
