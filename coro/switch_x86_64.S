/*
 * The switch for x86-64, System V ABI.
 *
 * What a function must give back to its caller, and where it is meanwhile:
 *
 *   rbx rbp r12 r13 r14 r15     the frame below
 *   rsp                         context->sp
 *   mxcsr, x87 control word     the frame below
 *   direction flag              always clear at a call
 *   everything else             the caller does not expect it back
 *
 * The frame of a stopped context; every frame has this shape, also the first one,
 * which cede__context_make() writes by hand:
 *
 *   sp + 64  the caller's stack  <-- CFA; first frame: two zero words end the stack
 *   sp + 56  return address      first frame: cede__switch_begin
 *   sp + 48  rbp                 first frame: 0, the end of a frame pointer chain
 *   sp + 40  rbx                 first frame: entry
 *   sp + 32  r12                 first frame: arg
 *   sp + 24  r13
 *   sp + 16  r14
 *   sp +  8  r15
 *   sp +  4  x87 control word    (2 bytes, 2 unused)
 *   sp +  0  mxcsr
 *
 * Why it is right. Everything before SWITCH only writes below the rsp that the
 * caller gave us, and moves rsp first: so rsp is in the old stack and nothing that
 * counts is below it, whatever signal arrives. The load in the middle is the
 * switch: one instruction, before it the machine is in the old context, after it in
 * the new one. As both frames have one shape, the same CFI describes both sides of
 * that instruction: an unwinder sees the old coroutine, then the new. The rest
 * reads each value before rsp passes it. It leaves with rsp = CFA, exactly what a
 * return would have left, to the address the new context was called from.
 *
 * It leaves by a jump and not by ret, since the call that belongs to the address
 * was made on another stack at another time: the processor's stack of return
 * addresses has something else on top, and each misprediction costs three times
 * what the rest costs. The jump is notrack because the place it goes to follows a
 * call and so carries no endbr64; where it goes was read from our own frame.
 *
 * A shadow stack has no such liberty: the property note below says IBT and not
 * SHSTK, so the linker marks nothing that contains this file as fit for one.
 */
#include "coro/sanitizer.h"

#if !defined(__x86_64__) || defined(__ILP32__)
#error "switch_x86_64.S is for x86-64 with 64-bit pointers"
#endif

#if CEDE__SANITIZER_SWITCH
#define SWITCH cede__switch_asm /* the public names are wrappers in switch_asm.c */
#define EXIT   cede__exit_asm
#else
#define SWITCH cede__context_switch
#define EXIT   cede__context_exit
#endif

.macro begin name
	.globl	\name
	.hidden	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
.endm

.macro end name
	.cfi_endproc
	.size	\name, . - \name
.endm

.macro save register
	push	%\register
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \register, 0
.endm

.macro restore register
	pop	%\register
	.cfi_adjust_cfa_offset -8
	.cfi_restore \register
.endm

/* Says of rsp what the drawing says of sp, where no push has said it. */
.macro describe_frame
	.cfi_def_cfa rsp, 64
	.cfi_offset rip, -8
	.cfi_offset rbp, -16
	.cfi_offset rbx, -24
	.cfi_offset r12, -32
	.cfi_offset r13, -40
	.cfi_offset r14, -48
	.cfi_offset r15, -56
.endm

.macro continue_frame
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	add	$8, %rsp
	.cfi_adjust_cfa_offset -8
	restore	r15
	restore	r14
	restore	r13
	restore	r12
	restore	rbx
	restore	rbp
	pop	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, rcx
	mov	%edx, %eax	/* the message is what the one continued gets returned */
	notrack jmp *%rcx
.endm

	.text

/* int (struct cede__context *save, struct cede__context *to, int message) */
begin SWITCH
	endbr64
	save	rbp
	save	rbx
	save	r12
	save	r13
	save	r14
	save	r15
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	mov	%rsp, (%rdi)
	mov	(%rsi), %rsp
	continue_frame
end SWITCH

/* void (struct cede__context *self, struct cede__context *to, int message): the second half alone */
begin EXIT
	endbr64
	mov	(%rsi), %rsp
	describe_frame
	continue_frame
end EXIT

/*
 * Where every context begins, by the jump above: rbx(r12). There is nothing above
 * this frame, and the CFI says so. An unwinder that finds cede__switch_begin as a
 * return address looks up the byte before it, for a call lies before its return
 * address: that is what the nop is for.
 */
begin cede__switch_trampoline
	.cfi_undefined rip
	nop
	.globl	cede__switch_begin
	.hidden	cede__switch_begin
cede__switch_begin:
	mov	%r12, %rdi
	call	*%rbx
	ud2	/* entry has returned, which it must not */
end cede__switch_trampoline

	.section .note.GNU-stack, "", @progbits

	.section .note.gnu.property, "a", @note
	.p2align 3
	.long	4, 16, 5	/* sizes of name and contents; NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.long	0xc0000002, 4	/* GNU_PROPERTY_X86_FEATURE_1_AND, 4 bytes */
	.long	1, 0		/* IBT: yes, SHSTK: no; padding */
