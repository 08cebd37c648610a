/*
 * The portable backend, for processors without an assembly routine and for
 * processes with shadow stacks: getcontext, makecontext, swapcontext.
 *
 * context->sp points to a struct stopped, which always lies on the stack it describes:
 *
 *   made      at the very top; makecontext() is given the stack below it
 *   stopped   in the frame of cede__context_switch(), which is alive exactly as
 *             long as the context is stopped
 *
 * so a thread's own context needs no memory of ours, and none is ever shared.
 * It is slow, since both glibc's and others' routines keep the signal mask by a
 * system call. setjmp and longjmp are no way around that: under _FORTIFY_SOURCE
 * they abort, and they lose the FP control state.
 */
#include "coro/switch.h"

#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

struct stopped {
	ucontext_t context;
	int message; /* of whoever continues it */
};

struct start {
	struct stopped stopped;
	void (*entry)(void *arg);
	void *arg;
};

_Static_assert(_Alignof(struct start) <= 16, "the top of a stack is a multiple of 16");

#if CEDE__SANITIZER_SWITCH
_Thread_local struct cede__sanitizer *cede__sanitizer_left;
#endif

/* makecontext() passes ints: two of them are a pointer. */
static void
start(unsigned high, unsigned low)
{
	const struct start *start = (const void *)((uintptr_t)((uint64_t)high << 32 | low));
#if CEDE__SANITIZER_SWITCH
	cede__sanitizer_arrive(NULL);
#endif
	start->entry(start->arg);
	abort();
}

void
cede__context_make(struct cede__context *ret_context, void *low, size_t size,
	void (*entry)(void *arg), void *arg)
{
	size_t reserved = (sizeof(struct start) + 15) / 16 * 16;
	struct start *first = (struct start *)(void *)((char *)low + size - reserved);
	uint64_t address = (uint64_t)(uintptr_t)first;

#if CEDE__SANITIZER_SWITCH || defined(CEDE_VALGRIND)
	cede__sanitizer_make(&ret_context->sanitizer, low, size);
#endif
	/* POSIX lets it fail, but what it stores is in the processor already. */
	if (getcontext(&first->stopped.context))
		abort();
	first->entry = entry;
	first->arg = arg;
	first->stopped.context.uc_link = NULL;
	first->stopped.context.uc_stack.ss_sp = low;
	first->stopped.context.uc_stack.ss_size = size - reserved;
	first->stopped.context.uc_stack.ss_flags = 0;
	makecontext(&first->stopped.context, (void (*)(void))start, 2, (unsigned)(address >> 32),
		(unsigned)(address & 0xffffffffu));
	ret_context->sp = &first->stopped;
}

int
cede__context_switch(struct cede__context *save, struct cede__context *to, int message)
{
	struct stopped here, *there = to->sp;

	/* swapcontext() leaves it as it is, and ASan's looks at it. */
	here.context.uc_stack = (stack_t){ 0 };
	save->sp = &here;
	there->message = message;
#if CEDE__SANITIZER_SWITCH
	cede__sanitizer_leave(&save->sanitizer, &to->sanitizer);
#endif
	if (swapcontext(&here.context, &there->context))
		abort();
#if CEDE__SANITIZER_SWITCH
	cede__sanitizer_arrive(&save->sanitizer);
#endif
	return here.message;
}

_Noreturn void
cede__context_exit(struct cede__context *self, struct cede__context *to, int message)
{
	struct stopped *there = to->sp;

	there->message = message;
#if CEDE__SANITIZER_SWITCH
	cede__sanitizer_exit(&self->sanitizer, &to->sanitizer);
#endif
	(void)self;
	setcontext(&there->context);
	abort();
}

void
cede__context_destroy(struct cede__context *context)
{
#if CEDE__SANITIZER_SWITCH || defined(CEDE_VALGRIND)
	cede__sanitizer_destroy(&context->sanitizer);
#endif
	(void)context;
}

const char *
cede__context_backend(void)
{
	return "ucontext";
}
