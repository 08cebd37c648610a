/* coro/list.h: order, idempotent removal, moving, and walking while removing. */
#include "coro/list.h"

#include <signal.h>

#include <criterion/criterion.h>

struct item {
	int value;
	struct cede__list link;
};

/* Heads of these lists: struct item::link. */
static struct cede__list head;
static struct item items[4];

static void
setup(void)
{
	cede__list_init(&head);
	for (int i = 0; i < 4; i++) {
		items[i].value = i;
		cede__list_init(&items[i].link);
	}
}

/* The values on a list as one decimal number, front first; -1 when the way back differs. */
static int
values(const struct cede__list *list)
{
	int forward = 0, backward = 0, scale = 1;

	for (struct cede__list *link = list->next; link != list; link = link->next)
		forward = forward * 10 + cede__container_of(link, struct item, link)->value;
	for (struct cede__list *link = list->prev; link != list; link = link->prev) {
		backward += scale * cede__container_of(link, struct item, link)->value;
		scale *= 10;
	}
	return forward == backward ? forward : -1;
}

TestSuite(list, .timeout = 5, .init = setup);

Test(list, an_initialised_head_is_empty_and_a_link_idle)
{
	struct cede__list fixed = CEDE__LIST_INIT(fixed);

	cr_assert(cede__list_is_empty(&head));
	cr_assert(cede__list_is_empty(&fixed));
	cr_assert(!cede__list_is_linked(&items[0].link));
	cr_assert_null(cede__list_first(&head));
	cr_assert_null(cede__list_pop(&head));
}

Test(list, append_and_prepend_keep_order)
{
	cede__list_append(&head, &items[2].link);
	cede__list_append(&head, &items[3].link);
	cede__list_prepend(&head, &items[1].link);

	cr_assert_eq(values(&head), 123);
	cr_assert(cede__list_is_linked(&items[2].link));
	cr_assert_eq(cede__list_first(&head), &items[1].link);
}

Test(list, pop_takes_the_first_and_leaves_it_idle)
{
	cede__list_append(&head, &items[1].link);
	cede__list_append(&head, &items[2].link);

	cr_assert_eq(cede__list_pop(&head), &items[1].link);
	cr_assert(!cede__list_is_linked(&items[1].link));
	cr_assert_eq(values(&head), 2);
	cr_assert_eq(cede__list_pop(&head), &items[2].link);
	cr_assert(cede__list_is_empty(&head));
}

Test(list, removal_is_idempotent)
{
	for (int i = 1; i < 4; i++)
		cede__list_append(&head, &items[i].link);

	cede__list_remove(&items[2].link);
	cede__list_remove(&items[2].link);

	cr_assert_eq(values(&head), 13);
	cr_assert(!cede__list_is_linked(&items[2].link));
	cede__list_append(&head, &items[2].link);
	cr_assert_eq(values(&head), 132);
}

Test(list, move_detaches_all_in_order)
{
	struct cede__list local;

	for (int i = 1; i < 4; i++)
		cede__list_append(&head, &items[i].link);
	cede__list_move(&head, &local);

	cr_assert(cede__list_is_empty(&head));
	cr_assert_eq(values(&local), 123);
	cede__list_append(&head, &items[0].link);
	cr_assert_eq(values(&local), 123);
}

Test(list, move_of_one_and_of_none)
{
	struct cede__list local;

	cede__list_move(&head, &local);
	cr_assert(cede__list_is_empty(&local));
	cr_assert(cede__list_is_empty(&head));

	cede__list_append(&head, &items[3].link);
	cede__list_move(&head, &local);
	cr_assert_eq(values(&local), 3);
	cede__list_remove(&items[3].link);
	cr_assert(cede__list_is_empty(&local));
}

Test(list, each_walks_in_order_and_each_safe_survives_removal)
{
	int sum = 0;

	for (int i = 1; i < 4; i++)
		cede__list_append(&head, &items[i].link);
	cede__list_each(link, &head)
		sum = sum * 10 + cede__container_of(link, struct item, link)->value;
	cr_assert_eq(sum, 123);

	cede__list_each_safe(link, &head) {
		if (cede__container_of(link, struct item, link)->value != 2)
			cede__list_remove(link);
	}
	cr_assert_eq(values(&head), 2);
}

#ifndef NDEBUG
Test(list, adding_a_linked_link_aborts, .signal = SIGABRT)
{
	cede__list_append(&head, &items[1].link);
	cede__list_append(&head, &items[1].link);
}
#endif
