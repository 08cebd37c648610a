/*
 * What AddressSanitizer, ThreadSanitizer and Valgrind must be told about stacks
 * that they did not see being made. In a plain build this header defines
 * CEDE__SANITIZER_FIELD as nothing and CEDE__SANITIZER_SWITCH as 0, and no hook
 * leaves an instruction behind.
 *
 * A switch in a sanitized build:
 *
 *   the one that leaves                     the one that arrives
 *   -----------------------------------     ---------------------------------------
 *   leave(mine, theirs)                     .
 *     ASan: here are their bounds; keep     .
 *           my fake stack for me            .
 *     TSan: from now on, their fiber        .
 *   the assembly or swapcontext -------->   arrive(mine)
 *                                             ASan: my fake stack again, and what
 *                                             were the bounds of the one that left?
 *
 * The last question is how the bounds of a thread's own stack are learnt: nobody
 * made it, so they are written down by whoever arrives after it left. That is
 * always in time, because it can be continued only after it left.
 *
 * Invariants
 * - leave() and arrive() are inlined. ThreadSanitizer counts function entries and
 *   exits on a fiber of its own, so no function may be entered on one fiber and
 *   left on another, other than the switch itself, which every fiber is inside of.
 * - Once leave() has named the other fiber nothing is written until the switch.
 * - A context made by cede__context_make() is destroyed once, on another stack.
 *
 * LeakSanitizer is told to look at made stacks, or what only a suspended coroutine
 * refers to would be a leak. It cannot be told of a suspended fake stack, so with
 * detect_stack_use_after_return=1 clang's reports such leaks: detect_leaks=0 there.
 *
 * Valgrind takes no part in a switch; it must know that a range of memory is a
 * stack, or it takes a switch to a near one for a large frame and reports errors
 * that are none. CEDE_VALGRIND (-Dc_args=-DCEDE_VALGRIND) compiles that in.
 *
 * The assembly includes this header too, for CEDE__SANITIZER_SWITCH.
 */
#ifndef CEDE_CORO_SANITIZER_H
#define CEDE_CORO_SANITIZER_H

#if defined(__SANITIZE_ADDRESS__)
#define CEDE__ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define CEDE__TSAN 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(CEDE__ASAN)
#define CEDE__ASAN 1
#endif
#if __has_feature(thread_sanitizer) && !defined(CEDE__TSAN)
#define CEDE__TSAN 1
#endif
#endif

/* Is a switch more than the backend's own? */
#if defined(CEDE__ASAN) || defined(CEDE__TSAN)
#define CEDE__SANITIZER_SWITCH 1
#else
#define CEDE__SANITIZER_SWITCH 0
#endif

#ifndef __ASSEMBLER__

#include <stddef.h>

#if CEDE__SANITIZER_SWITCH || defined(CEDE_VALGRIND)

struct cede__sanitizer {
	const void *low; /* of the stack; of a thread's own: known once it has left */
	size_t size;
	void *fake_stack;  /* ASan: only while suspended */
	void *fiber;       /* TSan */
	unsigned valgrind; /* the number of the registered stack */
};

#define CEDE__SANITIZER_FIELD struct cede__sanitizer sanitizer;

#else

#define CEDE__SANITIZER_FIELD

#endif

#if defined(CEDE__ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if defined(CEDE__TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(CEDE_VALGRIND)
#include <valgrind/valgrind.h>
#endif

#if CEDE__SANITIZER_SWITCH || defined(CEDE_VALGRIND)

/*
 * A stack is used anew: what its last owner left poisoned is forgotten, and what
 * a suspended coroutine alone refers to is no leak.
 */
static inline void
cede__sanitizer_make(struct cede__sanitizer *made, const void *low, size_t size)
{
	*made = (struct cede__sanitizer){ .low = low, .size = size };
#if defined(CEDE__ASAN)
	__asan_unpoison_memory_region(low, size);
	__lsan_register_root_region(low, size);
#endif
#if defined(CEDE__TSAN)
	made->fiber = __tsan_create_fiber(0);
#endif
#if defined(CEDE_VALGRIND)
	made->valgrind = VALGRIND_STACK_REGISTER(low, (const char *)low + size);
#endif
}

#if defined(CEDE__ASAN)
/*
 * Frees the fake stack of a context that was abandoned while suspended. Only its
 * owner can free it, so for a moment this thread pretends to be there, and to end.
 */
static inline void
cede__sanitizer_free_fake_stack(struct cede__sanitizer *abandoned)
{
	void *mine;
	const void *low;
	size_t size;

	__sanitizer_start_switch_fiber(&mine, abandoned->low, abandoned->size);
	__sanitizer_finish_switch_fiber(abandoned->fake_stack, &low, &size);
	__sanitizer_start_switch_fiber(NULL, low, size);
	__sanitizer_finish_switch_fiber(mine, NULL, NULL);
	abandoned->fake_stack = NULL;
}
#endif

static inline void
cede__sanitizer_destroy(struct cede__sanitizer *old)
{
#if defined(CEDE__ASAN)
	if (old->fake_stack)
		cede__sanitizer_free_fake_stack(old);
	__lsan_unregister_root_region(old->low, old->size);
	__asan_unpoison_memory_region(old->low, old->size);
#endif
#if defined(CEDE__TSAN)
	__tsan_destroy_fiber(old->fiber);
	old->fiber = NULL;
#endif
#if defined(CEDE_VALGRIND)
	VALGRIND_STACK_DEREGISTER(old->valgrind);
#endif
	(void)old;
}

#endif

#if CEDE__SANITIZER_SWITCH

#define CEDE__SANITIZER_INLINE static inline __attribute__((always_inline))

/* Who left last on this thread; each backend defines it. */
extern _Thread_local struct cede__sanitizer *cede__sanitizer_left;

CEDE__SANITIZER_INLINE void
cede__sanitizer_leave(struct cede__sanitizer *mine, const struct cede__sanitizer *theirs)
{
	cede__sanitizer_left = mine;
#if defined(CEDE__ASAN)
	__sanitizer_start_switch_fiber(&mine->fake_stack, theirs->low, theirs->size);
#endif
#if defined(CEDE__TSAN)
	mine->fiber = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(theirs->fiber, 0);
#endif
}

/* As leave(), but for good: ASan frees the fake stack. TSan's fiber is freed by destroy(). */
CEDE__SANITIZER_INLINE void
cede__sanitizer_exit(struct cede__sanitizer *mine, const struct cede__sanitizer *theirs)
{
	cede__sanitizer_left = mine;
	mine->fake_stack = NULL;
#if defined(CEDE__ASAN)
	__sanitizer_start_switch_fiber(NULL, theirs->low, theirs->size);
#endif
#if defined(CEDE__TSAN)
	__tsan_switch_to_fiber(theirs->fiber, 0);
#endif
}

/* `mine` is NULL where a context begins. */
CEDE__SANITIZER_INLINE void
cede__sanitizer_arrive(struct cede__sanitizer *mine)
{
#if defined(CEDE__ASAN)
	struct cede__sanitizer *left = cede__sanitizer_left;
	__sanitizer_finish_switch_fiber(mine ? mine->fake_stack : NULL, &left->low, &left->size);
	if (mine)
		mine->fake_stack = NULL;
#else
	(void)mine;
#endif
}

#endif
#endif
#endif
