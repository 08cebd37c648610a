/*
 * The switch by itself, on stacks of this file's own, for every backend: what is
 * kept per context (registers, FP control state, alignment), what an unwinder
 * sees, and in which ways contexts may follow each other.
 *
 * Most tests have the same two sides: `thread`, which is the test's own context,
 * and `coroutine`, made by rig_make().
 */
#include "coro/switch.h"

#include <criterion/criterion.h>
#include <fenv.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

#if defined(__GLIBC__)
#include <execinfo.h>
#endif

#if CEDE__SANITIZER_SWITCH || defined(CEDE_VALGRIND)
#define SWITCHES 20000
#else
#define SWITCHES 1000000
#endif

TestSuite(switch, .timeout = 60);

enum { STACK_SIZE = 128 * 1024 };

struct rig {
	struct cede__context thread;
	struct cede__context coroutine;
	char *stack;
	uint64_t value;
	int ended;
};

static char *
stack_map(void)
{
	void *stack =
		mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(stack, MAP_FAILED);
	return stack;
}

static void
rig_make(struct rig *rig, void (*entry)(void *arg))
{
	memset(rig, 0, sizeof *rig);
	rig->stack = stack_map();
	cede__context_make(&rig->coroutine, rig->stack, STACK_SIZE, entry, rig);
}

static void
rig_resume(struct rig *rig)
{
	cede__context_switch(&rig->thread, &rig->coroutine, 0);
}

static void
rig_yield(struct rig *rig)
{
	cede__context_switch(&rig->coroutine, &rig->thread, 0);
}

static _Noreturn void
rig_end(struct rig *rig)
{
	rig->ended = 1;
	cede__context_exit(&rig->coroutine, &rig->thread, 0);
}

static void
rig_free(struct rig *rig)
{
	cr_expect(rig->ended, "the coroutine came to its end");
	cede__context_destroy(&rig->coroutine);
	munmap(rig->stack, STACK_SIZE);
}

Test(switch, backend_is_named)
{
	const char *name = cede__context_backend();
	cr_assert(!strcmp(name, "ucontext") || !strncmp(name, "asm-", 4), "%s", name);
}

static void
doubling_run(void *arg)
{
	struct rig *rig = arg;

	for (int i = 0; i < 10; i++) {
		rig->value *= 2;
		rig_yield(rig);
	}
	rig_end(rig);
}

/* One adds 1 and resumes, the other doubles and yields. */
Test(switch, values_pass_across)
{
	struct rig rig;
	uint64_t expected = 0;

	rig_make(&rig, doubling_run);
	for (int i = 0; i < 10; i++) {
		rig.value++;
		expected = (expected + 1) * 2;
		rig_resume(&rig);
		cr_assert_eq(rig.value, expected);
	}
	rig_resume(&rig);
	rig_free(&rig);
}

/*
 * test_switch_keep() fills each register that a callee must preserve with the sum of
 * `seed` and the register's number, switches by way of `fn`, and returns 0 if all are
 * still so. (fn is a parameter because a linker that optimises across files does not
 * see what such text refers to.)
 */
typedef int switch_fn(struct cede__context *save, struct cede__context *to, int message);

uint64_t test_switch_keep(struct cede__context *save, struct cede__context *to, uint64_t seed,
	switch_fn *fn);

#if defined(__x86_64__)
#define HAS_KEEP 1

__asm__(".text\n"
	".globl test_switch_keep\n"
	"test_switch_keep:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rdx\n"
	"	lea 3(%rdx), %rbx\n"
	"	lea 6(%rdx), %rbp\n"
	"	.irp i, 12, 13, 14, 15\n"
	"	lea \\i(%rdx), %r\\i\n"
	"	.endr\n"
	"	call *%rcx\n"
	"	pop %rdx\n"
	"	sub %rdx, %rbx; sub $3, %rbx; mov %rbx, %rax\n"
	"	sub %rdx, %rbp; sub $6, %rbp; or %rbp, %rax\n"
	"	.irp i, 12, 13, 14, 15\n"
	"	sub %rdx, %r\\i; sub $\\i, %r\\i; or %r\\i, %rax\n"
	"	.endr\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

#elif defined(__aarch64__)
#define HAS_KEEP 1

__asm__(".text\n"
	".globl test_switch_keep\n"
	"test_switch_keep:\n"
	"	stp x29, x30, [sp, #-176]!\n"
	"	stp x19, x20, [sp, #16]; stp x21, x22, [sp, #32]; stp x23, x24, [sp, #48]\n"
	"	stp x25, x26, [sp, #64]; stp x27, x28, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]; stp d14, d15, [sp, #144]\n"
	"	str x2, [sp, #160]\n"
	"	.irp i, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29\n"
	"	add x\\i, x2, #\\i\n"
	"	.endr\n"
	"	.irp i, 8, 9, 10, 11, 12, 13, 14, 15\n"
	"	add x9, x2, #\\i; fmov d\\i, x9\n"
	"	.endr\n"
	"	blr x3\n"
	"	ldr x2, [sp, #160]\n"
	"	mov x0, #0\n"
	"	.irp i, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29\n"
	"	sub x9, x\\i, x2; sub x9, x9, #\\i; orr x0, x0, x9\n"
	"	.endr\n"
	"	.irp i, 8, 9, 10, 11, 12, 13, 14, 15\n"
	"	fmov x9, d\\i; sub x9, x9, x2; sub x9, x9, #\\i; orr x0, x0, x9\n"
	"	.endr\n"
	"	ldp x19, x20, [sp, #16]; ldp x21, x22, [sp, #32]; ldp x23, x24, [sp, #48]\n"
	"	ldp x25, x26, [sp, #64]; ldp x27, x28, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]; ldp d14, d15, [sp, #144]\n"
	"	ldp x29, x30, [sp], #176\n"
	"	ret\n");

#elif defined(__riscv) && __riscv_xlen == 64 && defined(__riscv_float_abi_double)
#define HAS_KEEP 1

__asm__(".text\n"
	".globl test_switch_keep\n"
	"test_switch_keep:\n"
	"	addi sp, sp, -224\n"
	"	sd ra, 0(sp); sd a2, 8(sp)\n"
	"	.irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
	"	sd s\\i, 16 + 16 * \\i(sp); fsd fs\\i, 24 + 16 * \\i(sp)\n"
	"	.endr\n"
	"	.irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
	"	addi s\\i, a2, \\i; addi t0, a2, 100 + \\i; fmv.d.x fs\\i, t0\n"
	"	.endr\n"
	"	jalr a3\n"
	"	ld a2, 8(sp)\n"
	"	li a0, 0\n"
	"	.irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
	"	sub t0, s\\i, a2; addi t0, t0, -\\i; or a0, a0, t0\n"
	"	fmv.x.d t0, fs\\i; sub t0, t0, a2; addi t0, t0, -100 - \\i; or a0, a0, t0\n"
	"	.endr\n"
	"	.irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
	"	ld s\\i, 16 + 16 * \\i(sp); fld fs\\i, 24 + 16 * \\i(sp)\n"
	"	.endr\n"
	"	ld ra, 0(sp)\n"
	"	addi sp, sp, 224\n"
	"	ret\n");

#endif

#if HAS_KEEP
static void
keeping_run(void *arg)
{
	struct rig *rig = arg;

	for (uint64_t i = 0; i < 100; i++)
		rig->value |= test_switch_keep(&rig->coroutine, &rig->thread, 0x20000 + i,
			cede__context_switch);
	rig_end(rig);
}

Test(switch, callee_saved_registers_survive)
{
	struct rig rig;

	rig_make(&rig, keeping_run);
	for (uint64_t i = 0; i <= 100; i++)
		cr_assert_eq(test_switch_keep(&rig.thread, &rig.coroutine, 0x10000 + i,
				     cede__context_switch),
			0, "on the thread's side");
	cr_assert_eq(rig.value, 0, "on the coroutine's side");
	rig_free(&rig);
}
#endif

static void
aligned_run(void *arg)
{
	struct rig *rig = arg;
	_Alignas(16) volatile char local[16];

#if defined(__x86_64__)
	__asm__ volatile("movaps %%xmm0, %0" : "=m"(*(volatile char(*)[16])local));
#endif
	rig->value = (uintptr_t)local % 16 + (uintptr_t)__builtin_frame_address(0) % 16;
	rig_end(rig);
}

/* movaps faults unless its operand is aligned, and compilers use it for locals. */
Test(switch, stack_is_aligned_to_16)
{
	struct rig rig;

	rig_make(&rig, aligned_run);
	rig_resume(&rig);
	cr_assert_eq(rig.value, 0);
	rig_free(&rig);
}

/*
 * Does the arithmetic itself round up? On x86 both units are asked, and the answer is
 * -1 if they disagree. Valgrind keeps the control registers but always rounds to the
 * nearest, so there the register must do.
 */
static int
rounds_up(void)
{
#if defined(CEDE_VALGRIND)
	return fegetround() == FE_UPWARD;
#else
	volatile double one = 1, minus_one = -1, three = 3;
	volatile double above = one / three, below = minus_one / three;
	int up = above > -below;
#if defined(__x86_64__)
	volatile long double long_one = 1, long_minus_one = -1, long_three = 3;
	volatile long double long_above = long_one / long_three;
	volatile long double long_below = long_minus_one / long_three;
	if (up != (long_above > -long_below))
		return -1;
#endif
	return up;
#endif
}

static void
rounding_run(void *arg)
{
	struct rig *rig = arg;

	rig->value += fegetround() == FE_TONEAREST && !rounds_up();
	fesetround(FE_UPWARD);
	rig_yield(rig);
	rig->value += fegetround() == FE_UPWARD && rounds_up() == 1;
	fesetround(FE_TONEAREST);
	rig_yield(rig);
	rig->value += fegetround() == FE_TONEAREST && !rounds_up();
	fesetround(FE_TOWARDZERO);
	rig_end(rig);
}

/*
 * | thread    | coroutine  |
 * |-----------+------------|
 * | nearest   | nearest    |
 * | nearest   | up         |
 * | up        | nearest    |
 * | up        | zero, exit |
 */
Test(switch, fp_control_state_is_per_context_both_ways)
{
	struct rig rig;

	rig_make(&rig, rounding_run);
	rig_resume(&rig);
	cr_assert_eq(fegetround(), FE_TONEAREST);
	cr_assert_eq(rounds_up(), 0);
	rig_resume(&rig);
	fesetround(FE_UPWARD);
	rig_resume(&rig);
	cr_assert_eq(fegetround(), FE_UPWARD);
	cr_assert_eq(rounds_up(), 1);
	fesetround(FE_TONEAREST);
	cr_assert_eq(rig.value, 3);
	rig_free(&rig);
}

static void
inheriting_run(void *arg)
{
	struct rig *rig = arg;

	rig->value = fegetround() == FE_UPWARD && rounds_up() == 1;
	rig_end(rig);
}

/* As a thread's is its creator's (C11, thrd_create). */
Test(switch, new_context_has_the_fp_control_state_of_its_maker)
{
	struct rig rig;

	fesetround(FE_UPWARD);
	rig_make(&rig, inheriting_run);
	fesetround(FE_TONEAREST);
	rig_resume(&rig);
	cr_assert_eq(rig.value, 1);
	cr_assert_eq(fegetround(), FE_TONEAREST);
	rig_free(&rig);
}

static void
counting_run(void *arg)
{
	struct rig *rig = arg;

	for (int i = 0; i < SWITCHES; i++) {
		rig->value++;
		rig_yield(rig);
	}
	rig_end(rig);
}

Test(switch, a_million_switches)
{
	struct rig rig;

	rig_make(&rig, counting_run);
	for (uint64_t i = 1; i <= SWITCHES; i++) {
		rig_resume(&rig);
		cr_assert_eq(rig.value, i);
	}
	rig_resume(&rig);
	rig_free(&rig);
}

static volatile sig_atomic_t alarms;

static void
on_alarm(int signal)
{
	volatile char scratch[2048];

	(void)signal;
	memset((void *)(uintptr_t)scratch, 0xee, sizeof scratch);
	alarms++;
}

/* Its frame is built under sp wherever it finds it: that must be a live stack at every instruction.
 */
Test(switch, signals_may_arrive_at_any_moment)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 100 }, { 0, 100 } };
	struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct rig rig;

	rig_make(&rig, counting_run);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i <= SWITCHES; i++)
		rig_resume(&rig);
	setitimer(ITIMER_REAL, &never, NULL);
	cr_assert_eq(rig.value, SWITCHES);
	rig_free(&rig);
}

enum { DEPTH = 32 };

struct nest {
	struct rig rig[DEPTH + 1];
	int deepest;
};

struct level {
	struct nest *nest;
	int depth;
};

/* Makes and enters the next level, and is continued when that has ended. */
static void
nesting_run(void *arg)
{
	struct level *level = arg;
	struct rig *rig = &level->nest->rig[level->depth];
	struct level inner = { level->nest, level->depth + 1 };

	if (inner.depth > DEPTH) {
		level->nest->deepest = level->depth;
		rig_end(rig);
	}
	struct rig *next = &level->nest->rig[inner.depth];
	next->stack = stack_map();
	cede__context_make(&next->coroutine, next->stack, STACK_SIZE, nesting_run, &inner);
	rig_resume(next);
	rig->value = next->value + 1;
	cede__context_destroy(&next->coroutine);
	munmap(next->stack, STACK_SIZE);
	rig_end(rig);
}

Test(switch, contexts_nest)
{
	struct nest nest;
	struct level level = { &nest, 0 };

	memset(&nest, 0, sizeof nest);
	nest.rig[0].stack = stack_map();
	cede__context_make(&nest.rig[0].coroutine, nest.rig[0].stack, STACK_SIZE, nesting_run,
		&level);
	rig_resume(&nest.rig[0]);
	cr_assert_eq(nest.deepest, DEPTH);
	cr_assert_eq(nest.rig[0].value, DEPTH);
	rig_free(&nest.rig[0]);
}

static void
ending_run(void *arg)
{
	struct rig *rig = arg;
	volatile char scratch[4096];

	memset((void *)(uintptr_t)scratch, 0xdd, sizeof scratch);
	rig->value++;
	rig_end(rig);
}

Test(switch, stack_can_be_used_again_after_an_exit)
{
	struct rig rig;

	rig_make(&rig, ending_run);
	rig_resume(&rig);
	for (uint64_t i = 2; i <= 1000; i++) {
		cede__context_destroy(&rig.coroutine);
		cede__context_make(&rig.coroutine, rig.stack, STACK_SIZE, ending_run, &rig);
		rig_resume(&rig);
		cr_assert_eq(rig.value, i);
	}
	rig_free(&rig);
}

static struct rig *third;

static void
passing_run(void *arg)
{
	struct rig *rig = arg;

	rig->ended = 1;
	cede__context_exit(&rig->coroutine, &third->coroutine, 0);
}

static void
receiving_run(void *arg)
{
	struct rig *rig = arg;

	rig_yield(rig);
	rig->value++;
	rig_end(rig);
}

/*
 * | thread        | first         | third           |
 * |---------------+---------------+-----------------|
 * | resume third  |               | yield           |
 * | resume first  | exit to third | exit to thread  |
 */
Test(switch, exit_may_continue_a_third)
{
	struct rig rig, other;

	rig_make(&rig, passing_run);
	rig_make(&other, receiving_run);
	third = &other;
	rig_resume(&other);
	cede__context_switch(&other.thread, &rig.coroutine, 0);
	cr_assert_eq(other.value, 1);
	rig_free(&rig);
	rig_free(&other);
}

static void
abandoned_run(void *arg)
{
	struct rig *rig = arg;
	volatile char scratch[1024];

	memset((void *)(uintptr_t)scratch, 0xcc, sizeof scratch);
	rig_yield(rig);
	abort();
}

/* Poison and fake stacks of the abandoned one must not harm, or outlive, it. */
Test(switch, stack_can_be_used_again_after_being_abandoned)
{
	struct rig rig;

	rig_make(&rig, abandoned_run);
	for (int i = 0; i < 100; i++) {
		if (i % 3)
			rig_resume(&rig);
		cede__context_destroy(&rig.coroutine);
		memset(rig.stack, 0xff, STACK_SIZE);
		cede__context_make(&rig.coroutine, rig.stack, STACK_SIZE,
			i < 99 ? abandoned_run : ending_run, &rig);
	}
	rig_resume(&rig);
	rig_free(&rig);
}

#if defined(__GLIBC__)
static void *addresses[64];

static __attribute__((noinline)) uint64_t
deeper(int depth)
{
	volatile uint64_t count;

	if (depth)
		count = deeper(depth - 1);
	else
		count = (uint64_t)backtrace(addresses, 64);
	return count;
}

static void
tracing_run(void *arg)
{
	struct rig *rig = arg;

	rig->value = deeper(0);
	rig_yield(rig);
	rig->value = deeper(5);
	rig_end(rig);
}

/* It neither walks off the top of the stack nor into the one that resumed it. */
Test(switch, backtrace_ends_with_the_coroutine)
{
	struct rig rig;

	rig_make(&rig, tracing_run);
	rig_resume(&rig);
	cr_assert(rig.value >= 2 && rig.value <= 6, "%d frames", (int)rig.value);
	rig_resume(&rig);
	cr_assert(rig.value >= 2 && rig.value <= 11, "%d frames", (int)rig.value);
	rig_free(&rig);
}
#endif
