/*
 * An unwinder may be called at any instruction: by a profiler's signal, a crash, or
 * a debugger. Here the processor's trap flag raises a signal after every instruction
 * of a few switches, first entry and exit included, and each time the stack is
 * unwound from inside the handler. It must end, where the side it is on ends, and on
 * the way the caller's registers must come out as they were.
 */
#include "coro/switch.h"

#include <criterion/criterion.h>

TestSuite(switch_unwind, .timeout = 60);

/* gcc's unwinder is made for the C library that gcc is for: musl-gcc's can't be linked. */
#if defined(__x86_64__) && defined(__GLIBC__) && !CEDE__SANITIZER_SWITCH

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unwind.h>

/* Present with the assembly backend only. */
extern const char cede__switch_trampoline[] __attribute__((weak));
extern const char cede__switch_begin[] __attribute__((weak));

enum {
	STACK_SIZE = 128 * 1024,
	FRAMES_MAX = 64,
	ROUNDS = 3,
	/* switch, exit and trampoline; fewer were not stepped through, more lack a test */
	INSTRUCTIONS = 24 + 14 + 2,
	BEGIN_SIZE = 5,  /* bytes of those last two */
	THREAD = 0x1000, /* what the registers count from on either side */
	COROUTINE = 0x2000,
	RBX = 3, /* DWARF's numbers */
	R12 = 12,
};

/* Switches with rbx and r12 to r15 set to seed + their DWARF numbers. */
typedef int switch_fn(struct cede__context *save, struct cede__context *to, int message);

void test_unwind_marked(struct cede__context *save, struct cede__context *to, uint64_t seed,
	switch_fn *fn);
extern const char test_unwind_marked_return[];

__asm__(".text\n"
	".globl test_unwind_marked, test_unwind_marked_return\n"
	".type test_unwind_marked, @function\n"
	"test_unwind_marked:\n"
	"	.cfi_startproc\n"
	"	.irp r, rbx, r12, r13, r14, r15\n"
	"	push %\\r\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	.cfi_rel_offset \\r, 0\n"
	"	.endr\n"
	"	lea 3(%rdx), %rbx\n"
	"	.irp i, 12, 13, 14, 15\n"
	"	lea \\i(%rdx), %r\\i\n"
	"	.endr\n"
	"	call *%rcx\n"
	"test_unwind_marked_return:\n"
	"	.irp r, r15, r14, r13, r12, rbx\n"
	"	pop %\\r\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	.cfi_restore \\r\n"
	"	.endr\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size test_unwind_marked, . - test_unwind_marked\n");

/* In functions of their own, because what moves rsp must be described. */
void test_unwind_trap_on(void);
void test_unwind_trap_off(void);

__asm__(".text\n"
	".macro set_flags name, instruction, mask\n"
	".globl \\name\n"
	".type \\name, @function\n"
	"\\name:\n"
	"	.cfi_startproc\n"
	"	pushf\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	\\instruction \\mask, (%rsp)\n"
	"	popf\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size \\name, . - \\name\n"
	".endm\n"
	"set_flags test_unwind_trap_on, orl, $0x100\n"
	"set_flags test_unwind_trap_off, andl, $~0x100\n");

static struct cede__context thread;
static struct cede__context coroutine;

/* What the handler found. Nothing may be asserted in there. */
static const char *volatile fault;
static volatile uintptr_t fault_pc;
static volatile long steps;
static unsigned char stepped[256]; /* by distance from cede__context_switch */

struct walk {
	int frames;
	int is_thread;    /* passed driver() */
	int is_coroutine; /* ended in the trampoline */
	uint64_t seed;    /* found in the registers of test_unwind_marked(), or 0 */
	int is_spoilt;
};

static void driver(void);

static _Unwind_Reason_Code
on_frame(struct _Unwind_Context *context, void *arg)
{
	struct walk *walk = arg;
	uintptr_t pc = _Unwind_GetIP(context);
	if (!pc) /* libgcc shows the end as a frame of its own */
		return _URC_NO_REASON;
	const void *function = _Unwind_FindEnclosingFunction((void *)pc);

	if (++walk->frames > FRAMES_MAX)
		return _URC_END_OF_STACK;
	if (function == (const void *)(uintptr_t)driver)
		walk->is_thread = 1;
	walk->is_coroutine = function == cede__switch_trampoline;
	if (pc == (uintptr_t)test_unwind_marked_return && !walk->seed) {
		walk->seed = _Unwind_GetGR(context, RBX) - RBX;
		for (int r = R12; r < R12 + 4; r++)
			walk->is_spoilt |= _Unwind_GetGR(context, r) != walk->seed + (uint64_t)r;
	}
	return _URC_NO_REASON;
}

static const char *
look(void)
{
	struct walk walk = { 0 };

	_Unwind_Reason_Code code = _Unwind_Backtrace(on_frame, &walk);
	if (code != _URC_END_OF_STACK)
		return "the unwinder failed";
	if (walk.frames > FRAMES_MAX)
		return "the stack does not end";
	if (walk.is_thread == walk.is_coroutine)
		return "the stack ends in the wrong place";
	if (walk.is_spoilt)
		return "a register was not recovered";
	if (walk.seed && walk.seed != (walk.is_thread ? THREAD : COROUTINE))
		return "a register of the other side was recovered";
	return NULL;
}

static void
on_trap(int signal, siginfo_t *info, void *arg)
{
	const ucontext_t *at = arg;
	uintptr_t pc = (uintptr_t)at->uc_mcontext.gregs[REG_RIP];
	uintptr_t distance = pc - (uintptr_t)cede__context_switch;

	(void)signal;
	(void)info;
	steps++;
	if (distance < sizeof stepped && pc < (uintptr_t)cede__switch_begin + BEGIN_SIZE)
		stepped[distance] = 1;
	const char *found = look();
	if (found && !fault) {
		fault = found;
		fault_pc = pc;
	}
}

static void
coroutine_run(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++)
		test_unwind_marked(&coroutine, &thread, COROUTINE, cede__context_switch);
	cede__context_exit(&coroutine, &thread, 0);
}

/* The flag stays on across the switches, for they do not touch rflags. */
static __attribute__((noinline)) void
driver(void)
{
	test_unwind_trap_on();
	for (int i = 0; i <= ROUNDS; i++)
		test_unwind_marked(&thread, &coroutine, THREAD, cede__context_switch);
	test_unwind_trap_off();
	__asm__ volatile(""); /* no tail call: this frame is looked for until the end */
}

static void
handle_traps(void)
{
	static char alternate[256 * 1024];
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	cr_assert_eq(sigaltstack(&stack, NULL), 0);
	cr_assert_eq(sigaction(SIGTRAP, &action, NULL), 0);
	look(); /* the unwinder's own first time, which takes locks and loads a library */
}

Test(switch_unwind, works_at_every_instruction)
{
	int instructions = 0;

	if (!cede__switch_trampoline)
		cr_skip("only the assembly promises it\n");
	void *stack =
		mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(stack, MAP_FAILED);
	cede__context_make(&coroutine, stack, STACK_SIZE, coroutine_run, NULL);
	handle_traps();
	driver();
	cede__context_destroy(&coroutine);

	if (!steps)
		cr_skip("no trap flag here (Valgrind, an emulator)\n");
	for (size_t i = 0; i < sizeof stepped; i++)
		instructions += stepped[i];
	cr_assert_null(fault, "%s at cede__context_switch%+ld, of %ld steps", fault,
		(long)(fault_pc - (uintptr_t)cede__context_switch), steps);
	cr_assert_eq(instructions, INSTRUCTIONS, "%d instructions were seen", instructions);
}

#else

Test(switch_unwind, works_at_every_instruction)
{
	cr_skip("x86-64 without sanitizers only\n");
}

#endif
