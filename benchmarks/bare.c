/*
 * The bare switch: see bare.h. A saved context is the stack pointer of a frame
 * that, from low to high, holds
 *
 *   x86-64    mxcsr and x87 control word, r15 r14 r13 r12 rbx rbp, where to go on
 *   aarch64   fpcr, where to go on, x19 .. x28, x29, d8 .. d15
 *
 * A new context has the entry and its argument in two preserved registers; the
 * few instructions at bare_start put them where a call wants them.
 */
#include "bare.h"

#include <stddef.h>
#include <stdint.h>

#if BARE_SWITCH
void bare_start(void);
#endif

#if defined(__x86_64__)

#define BARE_SWITCH_TEXT(name, save_fp, load_fp) \
	".p2align 4\n" \
	".globl " name "\n" \
	".hidden " name "\n" \
	".type " name ", @function\n" name ":\n" \
	"	pushq %rbp\n" \
	"	pushq %rbx\n" \
	"	pushq %r12\n" \
	"	pushq %r13\n" \
	"	pushq %r14\n" \
	"	pushq %r15\n" \
	"	subq $8, %rsp\n" save_fp "	movq %rsp, (%rdi)\n" \
	"	movq %rsi, %rsp\n" load_fp "	addq $8, %rsp\n" \
	"	popq %r15\n" \
	"	popq %r14\n" \
	"	popq %r13\n" \
	"	popq %r12\n" \
	"	popq %rbx\n" \
	"	popq %rbp\n" \
	"	popq %rcx\n" \
	"	jmpq *%rcx\n" \
	".size " name ", . - " name "\n"

__asm__(".text\n" BARE_SWITCH_TEXT("bare_switch",
	"	stmxcsr (%rsp)\n"
	"	fnstcw 4(%rsp)\n",
	"	ldmxcsr (%rsp)\n"
	"	fldcw 4(%rsp)\n")
		BARE_SWITCH_TEXT("bare_switch_nofp", "", "") ".p2align 4\n"
							     ".globl bare_start\n"
							     ".hidden bare_start\n"
							     ".type bare_start, @function\n"
							     "bare_start:\n"
							     "	movq %r13, %rdi\n"
							     "	callq *%r12\n"
							     "	ud2\n"
							     ".size bare_start, . - bare_start\n");

void *
bare_make(void *top, void (*entry)(void *arg), void *arg)
{
	uint64_t *sp = (uint64_t *)top - 10;

	sp[0] = 0x1f80 | (uint64_t)0x37f << 32; /* what the ABI says a program starts with */
	sp[1] = 0;                              /* r15 */
	sp[2] = 0;                              /* r14 */
	sp[3] = (uint64_t)(uintptr_t)arg;       /* r13 */
	sp[4] = (uint64_t)(uintptr_t)entry;     /* r12 */
	sp[5] = 0;                              /* rbx */
	sp[6] = 0;                              /* rbp: the end of the frames */
	sp[7] = (uint64_t)(uintptr_t)bare_start;
	return sp; /* with all that popped, the stack pointer is top - 16 */
}

#elif defined(__aarch64__)

#define BARE_SWITCH_TEXT(name, save_fp, load_fp) \
	".p2align 4\n" \
	".globl " name "\n" \
	".hidden " name "\n" \
	".type " name ", %function\n" name ":\n" \
	"	sub sp, sp, #176\n" save_fp "	str x30, [sp, #8]\n" \
	"	stp x19, x20, [sp, #16]\n" \
	"	stp x21, x22, [sp, #32]\n" \
	"	stp x23, x24, [sp, #48]\n" \
	"	stp x25, x26, [sp, #64]\n" \
	"	stp x27, x28, [sp, #80]\n" \
	"	str x29, [sp, #96]\n" \
	"	stp d8, d9, [sp, #112]\n" \
	"	stp d10, d11, [sp, #128]\n" \
	"	stp d12, d13, [sp, #144]\n" \
	"	stp d14, d15, [sp, #160]\n" \
	"	mov x10, sp\n" \
	"	str x10, [x0]\n" \
	"	mov sp, x1\n" load_fp "	ldr x30, [sp, #8]\n" \
	"	ldp x19, x20, [sp, #16]\n" \
	"	ldp x21, x22, [sp, #32]\n" \
	"	ldp x23, x24, [sp, #48]\n" \
	"	ldp x25, x26, [sp, #64]\n" \
	"	ldp x27, x28, [sp, #80]\n" \
	"	ldr x29, [sp, #96]\n" \
	"	ldp d8, d9, [sp, #112]\n" \
	"	ldp d10, d11, [sp, #128]\n" \
	"	ldp d12, d13, [sp, #144]\n" \
	"	ldp d14, d15, [sp, #160]\n" \
	"	add sp, sp, #176\n" \
	"	br x30\n" \
	".size " name ", . - " name "\n"

/* Writing fpcr is slow: only when it differs. */
__asm__(".text\n" BARE_SWITCH_TEXT("bare_switch",
	"	mrs x9, fpcr\n"
	"	str x9, [sp]\n",
	"	ldr x11, [sp]\n"
	"	cmp x9, x11\n"
	"	b.eq 1f\n"
	"	msr fpcr, x11\n"
	"1:\n") BARE_SWITCH_TEXT("bare_switch_nofp", "", "") ".p2align 4\n"
							     ".globl bare_start\n"
							     ".hidden bare_start\n"
							     ".type bare_start, %function\n"
							     "bare_start:\n"
							     "	mov x0, x20\n"
							     "	blr x19\n"
							     "	brk #1\n"
							     ".size bare_start, . - bare_start\n");

void *
bare_make(void *top, void (*entry)(void *arg), void *arg)
{
	uint64_t *sp = (uint64_t *)top - 24;

	for (size_t i = 0; i < 22; i++)
		sp[i] = 0; /* also fpcr: what a program starts with */
	sp[1] = (uint64_t)(uintptr_t)bare_start;
	sp[2] = (uint64_t)(uintptr_t)entry; /* x19 */
	sp[3] = (uint64_t)(uintptr_t)arg;   /* x20 */
	return sp;
}

#endif
