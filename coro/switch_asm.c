/*
 * The assembly backend: what of it can be written in C, for all processors.
 *
 * cede__context_switch() and cede__context_exit() are the assembly routines
 * themselves, in switch_<processor>.S, which also draws the frame that is built
 * here. Only under a sanitizer they are wrappers, and the routines are called
 * cede__switch_asm() and cede__exit_asm().
 *
 * A new context is given the FP control state of whoever makes it, as a new
 * thread is by C11.
 */
#include "coro/switch.h"

#include <stdint.h>
#include <string.h>

/* An address to jump to; never called. */
extern const char cede__switch_begin[];

#if defined(__x86_64__)

static const char backend[] = "asm-x86_64";

struct frame {
	uint32_t mxcsr;
	uint16_t x87_control;
	uint16_t unused;
	uint64_t r15, r14, r13;
	void *r12;
	uint64_t rbx;
	uint64_t rbp;
	const void *return_address;
	uint64_t end[2]; /* keeps rsp inside the stack and entry's frame aligned */
};

_Static_assert(offsetof(struct frame, end) == 64, "the assembly knows this size");

static void
frame_init(struct frame *frame, void (*entry)(void *arg), void *arg)
{
	__asm__("stmxcsr %0" : "=m"(frame->mxcsr));
	__asm__("fnstcw %0" : "=m"(frame->x87_control));
	frame->rbx = (uint64_t)(uintptr_t)entry;
	frame->r12 = arg;
	frame->return_address = cede__switch_begin;
}

#elif defined(__aarch64__)

static const char backend[] = "asm-aarch64";

struct frame {
	uint64_t fp_control;
	uint64_t unused;
	uint64_t d[8]; /* d8 to d15 */
	uint64_t x19;  /* entry */
	void *x20;     /* arg */
	uint64_t x[8]; /* x21 to x28 */
	uint64_t x29;
	uint64_t x30;
	uint64_t end[2];
};

_Static_assert(offsetof(struct frame, end) == 176, "the assembly knows this size");

/* The return address as the assembly would have signed it, for the sp it would have had. */
static uint64_t
sign(const void *address, const void *sp)
{
	register uint64_t x17 __asm__("x17") = (uint64_t)(uintptr_t)address;
#if defined(__ARM_FEATURE_PAC_DEFAULT)
	register uint64_t x16 __asm__("x16") = (uint64_t)(uintptr_t)sp;
	__asm__("hint #8" : "+r"(x17) : "r"(x16)); /* pacia1716 */
#else
	(void)sp;
#endif
	return x17;
}

static void
frame_init(struct frame *frame, void (*entry)(void *arg), void *arg)
{
	__asm__("mrs %0, fpcr" : "=r"(frame->fp_control));
	frame->x19 = (uint64_t)(uintptr_t)entry;
	frame->x20 = arg;
	frame->x30 = sign(cede__switch_begin, frame->end);
}

#elif defined(__riscv) && __riscv_xlen == 64

static const char backend[] = "asm-riscv64";

struct frame {
	uint64_t fp_control;
#if defined(__riscv_float_abi_double)
	uint64_t fs[12];
#endif
	uint64_t s0;
	uint64_t s1;   /* entry */
	void *s2;      /* arg */
	uint64_t s[9]; /* s3 to s11 */
	const void *ra;
	uint64_t end[2];
};

#if defined(__riscv_float_abi_double)
_Static_assert(offsetof(struct frame, end) == 208, "the assembly knows this size");
#else
_Static_assert(offsetof(struct frame, end) == 112, "the assembly knows this size");
#endif

static void
frame_init(struct frame *frame, void (*entry)(void *arg), void *arg)
{
#if defined(__riscv_flen)
	__asm__("frrm %0" : "=r"(frame->fp_control));
#endif
	frame->s1 = (uint64_t)(uintptr_t)entry;
	frame->s2 = arg;
	frame->ra = cede__switch_begin;
}

#else
#error "no assembly for this processor: configure with -Dswitch=ucontext"
#endif

static struct frame *
frame_push(char *top, void (*entry)(void *arg), void *arg)
{
	struct frame *frame = (struct frame *)(void *)(top - sizeof *frame);
	memset(frame, 0, sizeof *frame);
	frame_init(frame, entry, arg);
	return frame;
}

#if CEDE__SANITIZER_SWITCH

_Thread_local struct cede__sanitizer *cede__sanitizer_left;

int cede__switch_asm(struct cede__context *save, struct cede__context *to, int message);
_Noreturn void cede__exit_asm(struct cede__context *self, struct cede__context *to, int message);

/* What is called in place of entry, which lies at the top of the stack. */
struct start {
	void (*entry)(void *arg);
	void *arg;
};

static void
start(void *arg)
{
	struct start *start = arg;
	cede__sanitizer_arrive(NULL);
	start->entry(start->arg);
}

static struct frame *
push_first(char *top, void (*entry)(void *arg), void *arg)
{
	struct start *first = (struct start *)(void *)(top - sizeof *first);
	*first = (struct start){ .entry = entry, .arg = arg };
	return frame_push(top - sizeof *first, start, first);
}

int
cede__context_switch(struct cede__context *save, struct cede__context *to, int message)
{
	cede__sanitizer_leave(&save->sanitizer, &to->sanitizer);
	message = cede__switch_asm(save, to, message);
	cede__sanitizer_arrive(&save->sanitizer);
	return message;
}

_Noreturn void
cede__context_exit(struct cede__context *self, struct cede__context *to, int message)
{
	cede__sanitizer_exit(&self->sanitizer, &to->sanitizer);
	cede__exit_asm(self, to, message);
}

#else

static struct frame *
push_first(char *top, void (*entry)(void *arg), void *arg)
{
	return frame_push(top, entry, arg);
}

#endif

void
cede__context_make(struct cede__context *ret_context, void *low, size_t size,
	void (*entry)(void *arg), void *arg)
{
#if CEDE__SANITIZER_SWITCH || defined(CEDE_VALGRIND)
	cede__sanitizer_make(&ret_context->sanitizer, low, size);
#endif
	ret_context->sp = push_first((char *)low + size, entry, arg);
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
	return backend;
}
