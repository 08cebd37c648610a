/*
 * Intrusive circular doubly linked lists.
 *
 * A list is a head: a link that belongs to no element. An element embeds one
 * link for each list it can be on. Nothing is allocated, and every function
 * takes constant time except the two that walk.
 *
 * Invariants
 * - head->next->prev == head, and so on round the circle; an empty head and an
 *   idle link both point at themselves.
 * - So a link that was initialised may be removed any number of times, and
 *   whether it is on some list can be asked of the link alone.
 * - A link is on one list at most. Appending a linked link is a bug, asserted.
 *
 * Before calling anybody's callback, move the list to a local head: the callback
 * may add to the list, remove from it, or free the elements.
 *
 * A head's comment names element and field:
 *
 *	struct cede__list ready; // cede_task::ready_link
 */
#ifndef CEDE_CORO_LIST_H
#define CEDE_CORO_LIST_H

#include "coro/check.h"

struct cede__list {
	struct cede__list *next;
	struct cede__list *prev;
};

/** A head or link as a static initialiser: struct cede__list x = CEDE__LIST_INIT(x); */
#define CEDE__LIST_INIT(name) \
	{ \
		&(name), &(name) \
	}

/** Makes an empty head or an idle link. Not for one that is on a list. */
static inline void
cede__list_init(struct cede__list *link)
{
	link->next = link;
	link->prev = link;
}

static inline int
cede__list_is_empty(const struct cede__list *head)
{
	return head->next == head;
}

/** The same test as is_empty, asked of an element. */
static inline int
cede__list_is_linked(const struct cede__list *link)
{
	return link->next != link;
}

static inline void
cede__list_insert(struct cede__list *before, struct cede__list *link)
{
	cede__assert(!cede__list_is_linked(link));
	link->next = before;
	link->prev = before->prev;
	before->prev->next = link;
	before->prev = link;
}

static inline void
cede__list_append(struct cede__list *head, struct cede__list *link)
{
	cede__list_insert(head, link);
}

static inline void
cede__list_prepend(struct cede__list *head, struct cede__list *link)
{
	cede__list_insert(head->next, link);
}

/** Takes the link off whatever list it is on; an idle link stays idle. */
static inline void
cede__list_remove(struct cede__list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	cede__list_init(link);
}

/** The first link, still on the list; NULL when the list is empty. */
static inline struct cede__list *
cede__list_first(const struct cede__list *head)
{
	return cede__list_is_empty(head) ? NULL : head->next;
}

/** Removes and returns the first link; NULL when the list is empty. */
static inline struct cede__list *
cede__list_pop(struct cede__list *head)
{
	struct cede__list *link = cede__list_first(head);

	if (link)
		cede__list_remove(link);
	return link;
}

/** Moves all elements, in order, to `to`, which needs no initialisation; `from` is empty then. */
static inline void
cede__list_move(struct cede__list *from, struct cede__list *to)
{
	if (cede__list_is_empty(from)) {
		cede__list_init(to);
		return;
	}

	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	cede__list_init(from);
}

/** Walks the links in order. The body may not change the list. */
#define cede__list_each(link, head) \
	for (struct cede__list *link = (head)->next; link != (head); link = link->next)

/** Walks the links in order. The body may remove, and free, the present one and no other. */
#define cede__list_each_safe(link, head) \
	for (struct cede__list *link = (head)->next, *link##_next = link->next; link != (head); \
		link = link##_next, link##_next = link->next)

#endif
