/*
 * The last words of a coroutine that ran out of stack.
 *
 * A fault in a guard, on the thread that runs on the stack above it, is an
 * overflow. The handler says so in one sentence, on a signal stack (there is no
 * other left), then puts the previous action back and returns: the instruction
 * faults again, and the program dies of it with a core that shows the real
 * place. Any other fault is the application's: its handler is called, or the
 * default put back.
 *
 * The handler runs at any moment, also while another thread maps or unmaps
 * slabs. So slabs are published in a table without locks:
 *
 * Invariants
 * - An entry's base is 0 (free), BUSY (being filled) or a slab's; the other
 *   fields are valid while it is a slab's. base is stored last, cleared first.
 * - Chunks of the table are linked at the end and never freed: a reader may be
 *   in any of them. There are as many as the most slabs there ever were need.
 * - Nothing in a slab is read unless the faulting thread's stack pointer is in
 *   the very slot: then its owner is alive, and so is the slab.
 *
 * The handler is process-wide, installed with the first pool and taken away with
 * the last one if it still is the present action. An application that handles
 * the signal with SA_SIGINFO is left alone, and so are ASan and TSan.
 */
#include "coro/stack_int.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "coro/alloc.h"

/* ---- the table ------------------------------------------------------------------ */

#define BUSY ((uintptr_t)1)

struct cede__overflow_entry {
	_Atomic uintptr_t base;
	_Atomic size_t bytes;
	_Atomic size_t stride;
	_Atomic size_t guard;
	_Atomic size_t size;
};

struct chunk {
	struct cede__overflow_entry entries[100];
	_Atomic(struct chunk *) next;
};

/*
 * Enough for a million stacks on each of four threads, without a mapping. Not
 * static, so that debuggers find it by its name (tools/gdb).
 */
struct chunk cede__overflow_chunks;

/* The chunk after `chunk`, made if there is none; NULL when there is no memory. */
static struct chunk *
next_chunk(struct chunk *chunk)
{
	struct chunk *next = atomic_load(&chunk->next);
	if (next)
		return next;

	/* Mapped, not allocated: it is kept for ever, and must not count as a leak. */
	struct chunk *fresh = mmap(NULL, sizeof *fresh, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh == MAP_FAILED)
		return NULL;

	if (!atomic_compare_exchange_strong(&chunk->next, &next, fresh)) {
		munmap(fresh, sizeof *fresh);
		return next;
	}
	return fresh;
}

static struct cede__overflow_entry *
claim_entry(void)
{
	for (struct chunk *chunk = &cede__overflow_chunks; chunk; chunk = next_chunk(chunk)) {
		for (size_t i = 0; i < CEDE__ARRAY_LEN(chunk->entries); i++) {
			uintptr_t free_base = 0;

			if (atomic_compare_exchange_strong(&chunk->entries[i].base, &free_base,
				    BUSY))
				return &chunk->entries[i];
		}
	}
	return NULL;
}

struct cede__overflow_entry *
cede__overflow_add(const struct cede__slab_shape *shape)
{
	struct cede__overflow_entry *entry = claim_entry();

	if (entry) {
		atomic_store(&entry->bytes, shape->bytes);
		atomic_store(&entry->stride, shape->stride);
		atomic_store(&entry->guard, shape->guard);
		atomic_store(&entry->size, shape->size);
		atomic_store(&entry->base, shape->base);
	}
	return entry;
}

void
cede__overflow_remove(struct cede__overflow_entry *entry)
{
	if (entry)
		atomic_store(&entry->base, 0);
}

/* The slab that `addr` lies in. Signal-safe. */
static int
find_slab(uintptr_t addr, struct cede__slab_shape *ret_shape)
{
	for (struct chunk *chunk = &cede__overflow_chunks; chunk;
		chunk = atomic_load(&chunk->next)) {
		for (size_t i = 0; i < CEDE__ARRAY_LEN(chunk->entries); i++) {
			struct cede__overflow_entry *entry = &chunk->entries[i];
			uintptr_t base = atomic_load(&entry->base);
			struct cede__slab_shape shape = {
				.base = base,
				.bytes = atomic_load(&entry->bytes),
				.stride = atomic_load(&entry->stride),
				.guard = atomic_load(&entry->guard),
				.size = atomic_load(&entry->size),
			};

			if (base <= BUSY || addr - base >= shape.bytes)
				continue;
			if (atomic_load(&entry->base) != base)
				continue; /* it changed hands while it was read */
			*ret_shape = shape;
			return 1;
		}
	}
	return 0;
}

/* ---- the sentence ------------------------------------------------------------------ */

/* A line put together without the C library; what does not fit is left out. */
struct line {
	char text[320];
	size_t length;
};

static void
put_text(struct line *line, const char *text, size_t max)
{
	for (size_t i = 0; i < max && text[i] && line->length < sizeof line->text; i++)
		line->text[line->length++] = text[i];
}

static void
put_number(struct line *line, uintptr_t number, unsigned base)
{
	char digits[24];
	size_t n = sizeof digits;

	do {
		digits[--n] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number > 0);
	put_text(line, digits + n, sizeof digits - n);
}

static void
say(const char *owner, size_t size, uintptr_t fault, uintptr_t sp)
{
	struct line line = { .length = 0 };

	put_text(&line, "cede: coroutine '", SIZE_MAX);
	put_text(&line, owner ? owner : "?", 160);
	put_text(&line, "' overflowed its ", SIZE_MAX);
	put_number(&line, size / 1024, 10);
	put_text(&line, " KiB stack (fault at 0x", SIZE_MAX);
	put_number(&line, fault, 16);
	put_text(&line, ", sp 0x", SIZE_MAX);
	put_number(&line, sp, 16);
	put_text(&line, ")\n", SIZE_MAX);

	/* One call, so that two threads do not mix; there is nobody to tell of an error. */
	ssize_t n = write(STDERR_FILENO, line.text, line.length);
	(void)n;
}

/* ---- the handler ------------------------------------------------------------------- */

static const int signals[] = { SIGSEGV, SIGBUS };

#define N_SIGNALS CEDE__ARRAY_LEN(signals)

/* Under `lock`: */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t n_pools;
static int is_installed[N_SIGNALS];

/* Written before the handler is installed, read by it. */
static struct sigaction previous[N_SIGNALS];

/* The stack pointer at the fault; the fault's own address where we don't know how to look. */
static uintptr_t
stack_pointer(const ucontext_t *context, uintptr_t fault)
{
	(void)context;
	(void)fault;
#if defined(__linux__) && defined(__x86_64__)
	return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__linux__) && defined(__i386__)
	return (uintptr_t)context->uc_mcontext.gregs[REG_ESP];
#elif defined(__linux__) && defined(__aarch64__)
	return (uintptr_t)context->uc_mcontext.sp;
#elif defined(__linux__) && defined(__riscv)
	return (uintptr_t)context->uc_mcontext.__gregs[REG_SP];
#else
	return fault;
#endif
}

/* Says the sentence if this is an overflow. */
static int
report(const siginfo_t *info, const ucontext_t *context)
{
	uintptr_t fault = (uintptr_t)info->si_addr;
	uintptr_t sp = stack_pointer(context, fault);
	struct cede__slab_shape shape;

	if (info->si_code <= 0 || !find_slab(fault, &shape))
		return 0; /* sent by kill(), or not ours */

	size_t slot = (fault - shape.base) / shape.stride;
	if ((fault - shape.base) % shape.stride >= shape.guard)
		return 0; /* in a stack, not below it */
	if (sp < shape.base || (sp - shape.base) / shape.stride != slot)
		return 0; /* a stray pointer of somebody who runs elsewhere */

	const struct cede__stack *stack =
		cede__slab_descriptor((char *)shape.base, shape.stride, slot);
	say(stack->owner, shape.size, fault, sp);
	return 1;
}

/* Lets the previous action have a fault that is no overflow. */
static void
pass_on(int signo, const siginfo_t *info, const struct sigaction *action)
{
	int is_sent = info->si_code <= 0;

	if (action->sa_handler == SIG_IGN && is_sent)
		return;

	if (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN) {
		pthread_sigmask(SIG_BLOCK, &action->sa_mask, NULL);
		if (action->sa_flags & SA_NODEFER) {
			sigset_t self;

			sigemptyset(&self);
			sigaddset(&self, signo);
			pthread_sigmask(SIG_UNBLOCK, &self, NULL);
		}
		action->sa_handler(signo);
		return;
	}

	/* The instruction faults again after we return; what was sent must be sent again. */
	sigaction(signo, action, NULL);
	if (is_sent)
		raise(signo);
}

static void
on_fault(int signo, siginfo_t *info, void *context)
{
	int saved_errno = errno;
	const struct sigaction *action = &previous[signo == SIGSEGV ? 0 : 1];

	if (report(info, context))
		sigaction(signo, action, NULL);
	else
		pass_on(signo, info, action);
	errno = saved_errno;
}

static int
is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_fault;
}

static void
install(size_t i)
{
	struct sigaction present;

	if (sigaction(signals[i], NULL, &present) < 0 || (present.sa_flags & SA_SIGINFO))
		return; /* ours still, or the application's own */

	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	sigemptyset(&action.sa_mask);
	previous[i] = present;
	is_installed[i] = sigaction(signals[i], &action, NULL) == 0;
}

static void
uninstall(size_t i)
{
	struct sigaction present;

	/* Who came after us may call us: then we must stay. */
	if (!is_installed[i] || sigaction(signals[i], NULL, &present) < 0 || !is_ours(&present))
		return;
	sigaction(signals[i], &previous[i], NULL);
	is_installed[i] = 0;
}

/* ---- the thread's signal stack ------------------------------------------------------- */

static int
give_signal_stack(struct cede__overflow *overflow)
{
	stack_t present;

	if (sigaltstack(NULL, &present) < 0 || !(present.ss_flags & SS_DISABLE))
		return 0;

	/* What the kernel saves grows with the processor; the rest is for a chained handler. */
	size_t bytes = 32 * 1024;
#ifdef AT_MINSIGSTKSZ
	bytes += getauxval(AT_MINSIGSTKSZ);
#endif
	void *memory = cede__alloc(bytes);
	if (!memory)
		return CEDE_ENOMEM;

	stack_t ours = { .ss_sp = memory, .ss_size = bytes };
	if (sigaltstack(&ours, NULL) < 0) {
		cede__free(memory);
		return 0; /* overflows die without the sentence */
	}
	overflow->signal_stack = memory;
	return 0;
}

static void
take_signal_stack(struct cede__overflow *overflow)
{
	stack_t present;
	stack_t none = { .ss_flags = SS_DISABLE };

	if (!overflow->signal_stack)
		return;
	if (sigaltstack(NULL, &present) == 0 && present.ss_sp == overflow->signal_stack)
		sigaltstack(&none, NULL);
	cede__free(overflow->signal_stack);
	overflow->signal_stack = NULL;
}

/* ASan and TSan have handlers and signal stacks of their own, and say more than we could. */
static int
is_wanted(void)
{
#if defined(CEDE__STACK_ASAN) || defined(CEDE__STACK_TSAN)
	return 0;
#else
	return 1;
#endif
}

int
cede__overflow_attach(struct cede__overflow *overflow)
{
	if (!is_wanted())
		return 0;
	if (give_signal_stack(overflow) < 0)
		return CEDE_ENOMEM;

	pthread_mutex_lock(&lock);
	if (n_pools++ == 0) {
		for (size_t i = 0; i < N_SIGNALS; i++)
			install(i);
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

void
cede__overflow_detach(struct cede__overflow *overflow)
{
	if (!is_wanted())
		return;

	pthread_mutex_lock(&lock);
	if (--n_pools == 0) {
		for (size_t i = 0; i < N_SIGNALS; i++)
			uninstall(i);
	}
	pthread_mutex_unlock(&lock);
	take_signal_stack(overflow);
}
