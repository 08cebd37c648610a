/*
 * The switch for riscv64, the standard calling convention.
 *
 * What a function must give back to its caller, and where it is meanwhile:
 *
 *   s0 to s11, ra               the frame below
 *   fs0 to fs11                 the frame below, where the ABI passes doubles in registers
 *   sp                          context->sp
 *   frm (rounding mode)         the frame below, where there is floating point
 *   everything else             the caller does not expect it back
 *
 * The frame of a stopped context; the first one is written by cede__context_make().
 * FS is 96 with fs0 to fs11 and 0 without:
 *
 *   sp + FS + 112  the caller's stack  <-- CFA; first frame: two zero words end the stack
 *   sp + FS + 104  ra                  first frame: cede__switch_begin
 *   sp + FS +  32  s3 to s11
 *   sp + FS +  24  s2                  first frame: arg
 *   sp + FS +  16  s1                  first frame: entry
 *   sp + FS +   8  s0                  first frame: 0, the end of a frame pointer chain
 *   sp +        8  fs0 to fs11
 *   sp +        0  frm
 *
 * Why it is right. sp goes down first, in one instruction, and stays a multiple of
 * 16; what is stored is stored above it. The load of sp is the switch: before it the
 * machine is in the old context, after it in the new. Both frames have one shape, so
 * one CFI describes both sides of it. sp goes up after the last load, and then is
 * the CFA again, as at the call.
 *
 * It leaves by way of t2. A jump through ra (or t0) is what the processor takes for
 * a return, and predicts from calls that were made on another stack.
 *
 * Writing frm can flush the pipeline, and it differs only if somebody changed the
 * rounding mode, so it is compared first. The exception flags beside it are status,
 * not control, and belong to nobody.
 */
#include "coro/sanitizer.h"

#if !defined(__riscv) || __riscv_xlen != 64 || defined(__riscv_32e)
#error "switch_riscv64.S is for riscv64"
#endif

#if defined(__riscv_float_abi_double)
#define FS 96
#elif defined(__riscv_float_abi_soft)
#define FS 0
#else
#error "switch_riscv64.S knows the ABIs lp64 and lp64d"
#endif

#define SIZE (FS + 112)

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
	.p2align 2
\name:
	.cfi_startproc
.endm

.macro end name
	.cfi_endproc
	.size	\name, . - \name
.endm

/* `do` is an instruction, or a directive about a register, for each register and its place. */
.macro each_integer do
	\do	s0, FS + 8
	\do	s1, FS + 16
	\do	s2, FS + 24
	\do	s3, FS + 32
	\do	s4, FS + 40
	\do	s5, FS + 48
	\do	s6, FS + 56
	\do	s7, FS + 64
	\do	s8, FS + 72
	\do	s9, FS + 80
	\do	s10, FS + 88
	\do	s11, FS + 96
	\do	ra, FS + 104
.endm

.macro each_double do
#if FS
	\do	fs0, 8
	\do	fs1, 16
	\do	fs2, 24
	\do	fs3, 32
	\do	fs4, 40
	\do	fs5, 48
	\do	fs6, 56
	\do	fs7, 64
	\do	fs8, 72
	\do	fs9, 80
	\do	fs10, 88
	\do	fs11, 96
#endif
.endm

.macro store register, place
	sd	\register, (\place)(sp)
.endm

.macro load register, place
	ld	\register, (\place)(sp)
.endm

.macro store_double register, place
	fsd	\register, (\place)(sp)
.endm

.macro load_double register, place
	fld	\register, (\place)(sp)
.endm

.macro is_in_frame register, place
	.cfi_offset \register, \place - SIZE
.endm

.macro is_restored register, place
	.cfi_restore \register
.endm

.macro describe_frame
	.cfi_def_cfa sp, SIZE
	each_integer is_in_frame
	each_double is_in_frame
.endm

/* Registers keep their values while they are stored: until all are, only the CFA need be told. */
.macro save_frame
	addi	sp, sp, -SIZE
	.cfi_def_cfa_offset SIZE
	each_integer store
	each_double store_double
	describe_frame
#if defined(__riscv_flen)
	frrm	t0
	sd	t0, 0(sp)
#endif
.endm

/* And what is loaded stays in the frame until sp moves, so that can be told at once too. */
.macro continue_frame
#if defined(__riscv_flen)
	ld	t1, 0(sp)
	frrm	t0
	beq	t0, t1, 1f
	fsrm	t1
1:
#endif
	each_integer load
	each_double load_double
	addi	sp, sp, SIZE
	.cfi_def_cfa_offset 0
	each_integer is_restored
	each_double is_restored
	mv	a0, a2	/* the message is what the one continued gets returned */
	mv	t2, ra
	jr	t2
.endm

	.text

/* int (struct cede__context *save, struct cede__context *to, int message) */
begin SWITCH
	save_frame
	sd	sp, 0(a0)
	ld	sp, 0(a1)
	continue_frame
end SWITCH

/* void (struct cede__context *self, struct cede__context *to, int message): the second half alone */
begin EXIT
	ld	sp, 0(a1)
	describe_frame
	continue_frame
end EXIT

/*
 * Where every context begins, by the jump above: s1(s2). There is nothing above this
 * frame, and the CFI says so. An unwinder that finds cede__switch_begin as a return
 * address looks up the byte before it, for a call lies before its return address:
 * that is what the nop is for.
 */
begin cede__switch_trampoline
	.cfi_undefined ra
	nop
	.globl	cede__switch_begin
	.hidden	cede__switch_begin
cede__switch_begin:
	mv	a0, s2
	jalr	s1
	ebreak	/* entry has returned, which it must not */
end cede__switch_trampoline

	.section .note.GNU-stack, "", @progbits
