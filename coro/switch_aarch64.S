/*
 * The switch for aarch64, AAPCS64.
 *
 * What a function must give back to its caller, and where it is meanwhile:
 *
 *   x19 to x28, x29 (frame)     the frame below
 *   x30 (return address)        the frame below
 *   d8 to d15                   the frame below; only the low halves of v8 to v15
 *   sp                          context->sp
 *   fpcr                        the frame below
 *   everything else             the caller does not expect it back
 *
 * The frame of a stopped context; the first one is written by cede__context_make():
 *
 *   sp + 176  the caller's stack  <-- CFA; first frame: two zero words end the stack
 *   sp + 168  x30, signed in a build with pointer authentication
 *             first frame: cede__switch_begin
 *   sp + 160  x29                 first frame: 0, the end of a frame pointer chain
 *   sp +  96  x21 to x28
 *   sp +  88  x20                 first frame: arg
 *   sp +  80  x19                 first frame: entry
 *   sp +  16  d8 to d15
 *   sp +   0  fpcr                (8 bytes, 8 unused)
 *
 * Why it is right. sp goes down first, in one instruction, and is a multiple of 16
 * throughout, as the processor demands; what is stored is stored above it. `mov sp`
 * is the switch: before it the machine is in the old context, after it in the new.
 * Both frames have one shape, so one CFI describes both sides of it. sp goes up
 * after the last load, and then is the CFA again, as at the caller's bl.
 *
 * It leaves by br and not by ret, so that the processor does not predict the return
 * of a call that was made on another stack. But where branch targets are enforced
 * (BTI) only ret may go to an address that follows a call: there it is ret.
 *
 * Pointer authentication signs x30 with sp at entry, and checks it with sp at exit.
 * Both are the CFA of one frame, so whoever moves a frame is caught. The CFI
 * tells unwinders when x30 is signed.
 *
 * Writing fpcr can stall the pipeline, and it differs only if somebody changed the
 * rounding mode, so it is compared first. It holds no status bits.
 */
#include "coro/sanitizer.h"

#if !defined(__aarch64__) || defined(__ILP32__)
#error "switch_aarch64.S is for aarch64 with 64-bit pointers"
#endif

#if CEDE__SANITIZER_SWITCH
#define SWITCH cede__switch_asm /* the public names are wrappers in switch_asm.c */
#define EXIT   cede__exit_asm
#else
#define SWITCH cede__context_switch
#define EXIT   cede__context_exit
#endif

#if defined(__ARM_FEATURE_BTI_DEFAULT)
#define HAS_BTI 1
#define LEAVE   ret
#else
#define HAS_BTI 0
#define LEAVE   br x30
#endif

#if defined(__ARM_FEATURE_PAC_DEFAULT)
#define HAS_PAC 2
#else
#define HAS_PAC 0
#endif

/* Instructions of later architectures are written as hints, which any assembler knows. */
.macro land
#if HAS_BTI
	hint	#34	/* bti c */
#endif
.endm

.macro sign
#if HAS_PAC
	hint	#25	/* paciasp */
	.cfi_negate_ra_state
#endif
.endm

.macro authenticate
#if HAS_PAC
	hint	#29	/* autiasp */
	.cfi_negate_ra_state
#endif
.endm

.macro begin name
	.globl	\name
	.hidden	\name
	.type	\name, %function
	.p2align 4
\name:
	.cfi_startproc
.endm

.macro end name
	.cfi_endproc
	.size	\name, . - \name
.endm

.macro describe_frame
	.cfi_def_cfa sp, 176
	.cfi_offset x30, -8
	.cfi_offset x29, -16
	.cfi_offset x28, -24
	.cfi_offset x27, -32
	.cfi_offset x26, -40
	.cfi_offset x25, -48
	.cfi_offset x24, -56
	.cfi_offset x23, -64
	.cfi_offset x22, -72
	.cfi_offset x21, -80
	.cfi_offset x20, -88
	.cfi_offset x19, -96
	.cfi_offset d15, -104
	.cfi_offset d14, -112
	.cfi_offset d13, -120
	.cfi_offset d12, -128
	.cfi_offset d11, -136
	.cfi_offset d10, -144
	.cfi_offset d9, -152
	.cfi_offset d8, -160
.endm

/* Registers keep their values while they are stored: until all are, only the CFA need be told. */
.macro save_frame
	sub	sp, sp, #176
	.cfi_def_cfa_offset 176
	stp	d8, d9, [sp, #16]
	stp	d10, d11, [sp, #32]
	stp	d12, d13, [sp, #48]
	stp	d14, d15, [sp, #64]
	stp	x19, x20, [sp, #80]
	stp	x21, x22, [sp, #96]
	stp	x23, x24, [sp, #112]
	stp	x25, x26, [sp, #128]
	stp	x27, x28, [sp, #144]
	stp	x29, x30, [sp, #160]
	describe_frame
	mrs	x9, fpcr
	str	x9, [sp]
.endm

/* And what is loaded stays in the frame until sp moves, so that can be told at once too. */
.macro continue_frame
	ldr	x10, [sp]
	mrs	x9, fpcr
	cmp	x9, x10
	b.eq	1f
	msr	fpcr, x10
1:	ldp	x29, x30, [sp, #160]
	ldp	x19, x20, [sp, #80]
	ldp	x21, x22, [sp, #96]
	ldp	x23, x24, [sp, #112]
	ldp	x25, x26, [sp, #128]
	ldp	x27, x28, [sp, #144]
	ldp	d8, d9, [sp, #16]
	ldp	d10, d11, [sp, #32]
	ldp	d12, d13, [sp, #48]
	ldp	d14, d15, [sp, #64]
	add	sp, sp, #176
	.cfi_def_cfa_offset 0
	.cfi_restore x30
	.cfi_restore x29
	.cfi_restore x28
	.cfi_restore x27
	.cfi_restore x26
	.cfi_restore x25
	.cfi_restore x24
	.cfi_restore x23
	.cfi_restore x22
	.cfi_restore x21
	.cfi_restore x20
	.cfi_restore x19
	.cfi_restore d15
	.cfi_restore d14
	.cfi_restore d13
	.cfi_restore d12
	.cfi_restore d11
	.cfi_restore d10
	.cfi_restore d9
	.cfi_restore d8
	mov	w0, w2	/* the message is what the one continued gets returned */
	authenticate
	LEAVE
.endm

	.text

/* int (struct cede__context *save, struct cede__context *to, int message) */
begin SWITCH
	land
	sign
	save_frame
	mov	x9, sp
	str	x9, [x0]
	ldr	x9, [x1]
	mov	sp, x9
	continue_frame
end SWITCH

/* void (struct cede__context *self, struct cede__context *to, int message): the second half alone */
begin EXIT
	land
	sign	/* for nobody, but then the frame's shape is the same on both sides */
	ldr	x9, [x1]
	mov	sp, x9
	describe_frame
	continue_frame
end EXIT

/*
 * Where every context begins, by the branch above: x19(x20). There is nothing above
 * this frame, and the CFI says so. An unwinder that finds cede__switch_begin as a
 * return address looks up the byte before it, for a call lies before its return
 * address: that is what the nop is for.
 */
begin cede__switch_trampoline
	.cfi_undefined x30
	nop
	.globl	cede__switch_begin
	.hidden	cede__switch_begin
cede__switch_begin:
	mov	x0, x20
	blr	x19
	brk	#1	/* entry has returned, which it must not */
end cede__switch_trampoline

	.section .note.GNU-stack, "", %progbits

#if HAS_BTI || HAS_PAC
	.section .note.gnu.property, "a", %note
	.p2align 3
	.word	4, 16, 5	/* sizes of name and contents; NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.word	0xc0000000, 4	/* GNU_PROPERTY_AARCH64_FEATURE_1_AND, 4 bytes */
	.word	HAS_BTI | HAS_PAC, 0
#endif
