/* Functions on libuv's thread pool, per loop: see work.c. */
#ifndef CEDE_LOOP_WORK_H
#define CEDE_LOOP_WORK_H

#include <cede/work.h>

#define CEDE__WORK_LIMIT 4

struct cede__works {
	unsigned limit;
	unsigned made;                /* slots; at most `limit` */
	struct cede__work_slot *free; /* the first */
	cede_work_t *first, *last;    /* wait for a slot, by next and prev */
};

/**
 * For operations of the library's that live in its own memory: the function runs
 * when its turn has come, then op->returned(op, result) is called, in the loop's
 * thread, in place of the future. Set before: fn, arg, returned; all else zero.
 *
 * @return 0; CEDE_ENOMEM, only as long as the loop has no slot at all
 */
int cede__work_submit(cede_loop_t *loop, cede_work_t *op);

/** Is it certain that a submitted function never runs? Then `returned` is not called either. */
int cede__work_withdraw(cede_work_t *op);

/** From here on cede__work_submit() can't fail. 0, CEDE_ENOMEM. */
int cede__work_reserve(cede_loop_t *loop);

/**
 * cede_work() in a task whose awaits may wait. When the wait is given up while the
 * function runs, stop(arg) is called, if there is one, and the wait goes on.
 *
 * @param ret_given_up  the code with which it was given up while it ran, or 0
 */
CEDE_SUSPENDS int cede__work_hold(cede_loop_t *loop, cede_fn *fn, void *arg, cede_dtor_fn *stop,
	int *ret_given_up);

/** Frees the slots, after the last function has returned. */
void cede__works_deinit(struct cede__works *works);

#endif
