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

/** Frees the slots, after the last function has returned. */
void cede__works_deinit(struct cede__works *works);

#endif
