/*
 * coro/stack_overflow.c: a child overflows (or faults otherwise) and the parent
 * looks at what it said and how it died. Stacks are entered by a bare switch, so
 * that nothing of coro/ above that is needed.
 */
#include "coro/stack_int.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "coro/alloc.h"
#include "coro/switch.h"

TestSuite(stack_overflow, .timeout = 20);

#if !defined(CEDE__STACK_ASAN) && !defined(CEDE__STACK_TSAN)

/* ---- the child's side ------------------------------------------------------------ */

static struct cede__stack_pool *
create_pool(void)
{
	struct cede__stack_pool *pool;

	if (cede__stack_pool_create(&pool) < 0)
		abort();
	return pool;
}

static CEDE__NOINLINE int
recurse(volatile int *depth)
{
	volatile char frame[256];

	frame[0] = (char)(*depth)++;
	return *depth < 0 ? 0 : recurse(depth) + frame[0];
}

static void
overflow(void)
{
	volatile int depth = 0;

	recurse(&depth);
}

/* A write far below the stack, into the guard of whoever has the slot there. */
static char *volatile stray;

static void
write_stray(void)
{
	*stray = 1;
}

static _Thread_local struct cede__context here, there;

static void
run_there(void *arg)
{
	void (**fn)(void) = arg;

	(*fn)();
	cede__context_exit(&there, &here, 0);
}

static void
run_on(struct cede__stack *stack, void (*fn)(void))
{
	cede__context_make(&there, stack->low, stack->size, run_there, &fn);
	cede__context_switch(&here, &there, 0);
}

static void
overflow_in(struct cede__stack_pool *pool, size_t size, const char *owner)
{
	struct cede__stack *stack;

	if (cede__stack_acquire(pool, size, &stack) < 0)
		abort();
	stack->owner = owner;
	run_on(stack, overflow);
}

/* ---- the parent's side ------------------------------------------------------------- */

static char said[4096];

/* What qemu-user adds when a process dies. */
static void
forget_emulator(void)
{
	char *line = strstr(said, "qemu: uncaught target signal");

	if (line)
		*line = '\0';
}

/* Runs fn in a child; its stderr goes to `said`, its wait status is returned. */
static int
run_child(void (*fn)(void))
{
	int fds[2], status;
	size_t n = 0;

	cr_assert_eq(pipe(fds), 0);
	pid_t pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		fn();
		_exit(0);
	}

	close(fds[1]);
	for (;;) {
		ssize_t more = read(fds[0], said + n, sizeof said - 1 - n);
		if (more <= 0)
			break;
		n += (size_t)more;
	}
	said[n] = '\0';
	forget_emulator();
	close(fds[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void
expect_death(int status, int signo)
{
	cr_assert(WIFSIGNALED(status), "exited with %d, said: %s", WEXITSTATUS(status), said);
	cr_assert_eq(WTERMSIG(status), signo);
}

static void
expect_said(const char *sentence)
{
	cr_assert_not_null(strstr(said, sentence), "said: %s", said);
	cr_assert_eq(strstr(strstr(said, sentence) + 1, sentence), NULL, "said twice");
}

/* ---- overflows --------------------------------------------------------------------- */

static void
child_default(void)
{
	overflow_in(create_pool(), 0, CEDE_SITE("conn-7"));
}

Test(stack_overflow, names_the_coroutine_and_dies_by_the_fault)
{
	expect_death(run_child(child_default), SIGSEGV);
	expect_said("cede: coroutine 'conn-7' overflowed its 64 KiB stack (fault at 0x");
	cr_assert_eq(said[strlen(said) - 1], '\n');
}

Test(stack_overflow, kills_the_process, .signal = SIGSEGV)
{
	child_default();
}

static void
child_small(void)
{
	overflow_in(create_pool(), 16 * 1024, "small");
}

Test(stack_overflow, tells_the_size_of_the_stack)
{
	expect_death(run_child(child_small), SIGSEGV);
	expect_said("coroutine 'small' overflowed its 16 KiB stack");
}

static void
child_nameless(void)
{
	overflow_in(create_pool(), 0, NULL);
}

Test(stack_overflow, a_stack_without_an_owner_is_reported_too)
{
	expect_death(run_child(child_nameless), SIGSEGV);
	expect_said("coroutine '?' overflowed");
}

static void
child_endless_name(void)
{
	static char name[10000];

	memset(name, 'n', sizeof name - 1);
	overflow_in(create_pool(), 0, name);
}

Test(stack_overflow, a_long_name_is_cut)
{
	expect_death(run_child(child_endless_name), SIGSEGV);
	expect_said("' overflowed its 64 KiB stack");
	cr_assert_lt(strlen(said), 330);
}

static int
refuse(void *addr, size_t bytes, int advice)
{
	(void)addr;
	(void)bytes;
	(void)advice;
	errno = EINVAL;
	return -1;
}

static void
child_mprotect(void)
{
	cede__stack_sys.madvise = refuse;
	overflow_in(create_pool(), 0, "protected");
}

Test(stack_overflow, guards_of_mprotect_are_reported_alike)
{
	expect_death(run_child(child_mprotect), SIGSEGV);
	expect_said("coroutine 'protected' overflowed");
}

static void *
thread_overflow(void *pool)
{
	overflow_in(pool ? pool : create_pool(), 0, "second");
	return NULL;
}

static void
child_thread(void)
{
	struct cede__stack_pool *pool = create_pool();
	struct cede__stack *stack;
	pthread_t thread;

	if (cede__stack_acquire(pool, 0, &stack) < 0)
		abort();
	stack->owner = "first";
	pthread_create(&thread, NULL, thread_overflow, NULL);
	pthread_join(thread, NULL);
}

Test(stack_overflow, on_another_thread_names_that_threads_coroutine)
{
	expect_death(run_child(child_thread), SIGSEGV);
	expect_said("coroutine 'second' overflowed");
}

static void
child_many_pools(void)
{
	struct cede__stack_pool *pool = NULL;

	for (int i = 0; i < 250; i++) {
		struct cede__stack *stack;

		pool = create_pool();
		if (cede__stack_acquire(pool, 0, &stack) < 0)
			abort();
		stack->owner = "bystander";
	}
	overflow_in(create_pool(), 0, "last of many");
}

Test(stack_overflow, finds_the_slab_among_many)
{
	expect_death(run_child(child_many_pools), SIGSEGV);
	expect_said("coroutine 'last of many' overflowed");
}

static void
child_late(void)
{
	static struct cede__stack *stacks[5000];
	struct cede__stack_pool *pool = create_pool();

	for (int i = 0; i < 5000; i++) {
		if (cede__stack_acquire(pool, 0, &stacks[i]) < 0)
			abort();
		stacks[i]->owner = "bystander";
	}
	stacks[4321]->owner = "number 4321";
	run_on(stacks[4321], overflow);
}

Test(stack_overflow, finds_the_slot_among_many)
{
	expect_death(run_child(child_late), SIGSEGV);
	expect_said("coroutine 'number 4321' overflowed");
}

/* ---- other faults -------------------------------------------------------------------- */

static void
child_null(void)
{
	struct cede__stack *stack;

	if (cede__stack_acquire(create_pool(), 0, &stack) < 0)
		abort();
	stray = NULL;
	run_on(stack, write_stray);
}

Test(stack_overflow, another_fault_dies_as_ever)
{
	expect_death(run_child(child_null), SIGSEGV);
	cr_assert_eq(said[0], '\0', "said: %s", said);
}

static void
child_stray(void)
{
	struct cede__stack_pool *pool = create_pool();
	struct cede__stack *runner, *victim;

	if (cede__stack_acquire(pool, 0, &runner) < 0 || cede__stack_acquire(pool, 0, &victim) < 0)
		abort();
	victim->owner = "innocent";
	stray = (char *)victim->low - 100;
	run_on(runner, write_stray);
}

Test(stack_overflow, a_stray_pointer_into_anothers_guard_accuses_nobody)
{
	expect_death(run_child(child_stray), SIGSEGV);
	cr_assert_eq(said[0], '\0', "said: %s", said);
}

static void
child_sent(void)
{
	create_pool();
	kill(getpid(), SIGSEGV);
	pause();
}

Test(stack_overflow, a_signal_that_was_sent_kills_as_ever)
{
	expect_death(run_child(child_sent), SIGSEGV);
	cr_assert_eq(said[0], '\0');
}

static void
child_ignored(void)
{
	signal(SIGSEGV, SIG_IGN);
	create_pool();
	raise(SIGSEGV);
	raise(SIGSEGV);
	_exit(7);
}

Test(stack_overflow, a_sent_signal_that_was_ignored_stays_ignored)
{
	int status = run_child(child_ignored);

	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), 7);
}

static void
exit_42(int signo)
{
	(void)signo;
	_exit(42);
}

static void
child_chained(void)
{
	signal(SIGSEGV, exit_42);
	child_null();
}

Test(stack_overflow, the_applications_handler_gets_other_faults)
{
	int status = run_child(child_chained);

	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), 42);
}

static volatile sig_atomic_t n_calls;

static void
count_call(int signo)
{
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	if (sigismember(&set, SIGUSR1) && !sigismember(&set, signo))
		n_calls++;
}

static void
child_masks(void)
{
	struct sigaction action = { .sa_handler = count_call, .sa_flags = SA_NODEFER };

	sigaddset(&action.sa_mask, SIGUSR1);
	sigaction(SIGSEGV, &action, NULL);
	create_pool();
	raise(SIGSEGV);
	raise(SIGSEGV);
	_exit(n_calls);
}

Test(stack_overflow, the_applications_handler_runs_with_the_mask_it_asked_for)
{
	cr_assert_eq(WEXITSTATUS(run_child(child_masks)), 2);
}

/* ---- installing and leaving ------------------------------------------------------------- */

static void
exit_43(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)info;
	(void)context;
	_exit(43);
}

static void
child_owned(void)
{
	struct sigaction action = { .sa_sigaction = exit_43, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigaction(SIGSEGV, &action, NULL);
	child_default();
}

Test(stack_overflow, an_application_with_its_own_siginfo_handler_is_left_alone)
{
	int status = run_child(child_owned);

	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), 43);
	cr_assert_eq(said[0], '\0');
}

Test(stack_overflow, the_last_pool_puts_everything_back)
{
	struct sigaction before, during, after;
	stack_t none = { .ss_flags = SS_DISABLE }, stack;

	sigaltstack(&none, NULL);
	signal(SIGSEGV, exit_42);
	sigaction(SIGSEGV, NULL, &before);

	struct cede__stack_pool *first = create_pool();
	struct cede__stack_pool *second = create_pool();
	cede__stack_pool_destroy(second);
	sigaction(SIGSEGV, NULL, &during);
	sigaltstack(NULL, &stack);
	cr_assert(during.sa_flags & SA_SIGINFO);
	cr_assert(!(stack.ss_flags & SS_DISABLE));

	cede__stack_pool_destroy(first);
	sigaction(SIGSEGV, NULL, &after);
	sigaltstack(NULL, &stack);
	cr_assert_eq(after.sa_handler, before.sa_handler);
	cr_assert_eq(after.sa_flags, before.sa_flags);
	cr_assert(stack.ss_flags & SS_DISABLE);
	cr_assert_eq(cede__alloc_outstanding(), 0);
}

Test(stack_overflow, a_signal_stack_of_the_application_stays)
{
	static char memory[65536];
	stack_t mine = { .ss_sp = memory, .ss_size = sizeof memory }, now;

	cr_assert_eq(sigaltstack(&mine, NULL), 0);
	cede__stack_pool_destroy(create_pool());
	sigaltstack(NULL, &now);
	cr_assert_eq(now.ss_sp, (void *)memory);
}

Test(stack_overflow, who_replaced_the_handler_keeps_it)
{
	struct sigaction after;

	struct cede__stack_pool *pool = create_pool();
	signal(SIGSEGV, exit_42);
	cede__stack_pool_destroy(pool);
	sigaction(SIGSEGV, NULL, &after);
	cr_assert_eq(after.sa_handler, exit_42);
}

#else

Test(stack_overflow, is_the_sanitizers_business)
{
	struct cede__overflow overflow = { NULL };
	struct sigaction before, after;

	sigaction(SIGSEGV, NULL, &before);
	cr_assert_eq(cede__overflow_attach(&overflow), 0);
	sigaction(SIGSEGV, NULL, &after);
	cede__overflow_detach(&overflow);
	cr_assert_eq(before.sa_sigaction, after.sa_sigaction);
}

#endif
