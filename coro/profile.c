/*
 * The stack profile: a list of places a thread, the last one noted first, so
 * that a program with few places, which is every program, finds them at once.
 */
#include <cede/profile.h>

#include <string.h>

#include "coro/alloc.h"
#include "coro/engine.h"

struct place {
	struct place *next;
	const char *site; /* as of cede_coro_create_at(), or the name where there is none */
	int has_site;
	size_t coroutines;
	size_t bytes_max;
	size_t stack_size;
};

struct cede__profile {
	int is_on;
	struct place *places;
};

int
cede_stack_profile_set(int is_on)
{
	struct cede__thread *th = cede__thread();

	if (!th)
		return CEDE_ENOMEM;
	if (!th->profile) {
		th->profile = cede__alloc_zero(sizeof *th->profile);
		if (!th->profile)
			return CEDE_ENOMEM;
	}
	th->profile->is_on = is_on;
	cede__stack_pool_set_exact(th->stacks, is_on);
	return 0;
}

/* The entry of a place, moved to the front; NULL without memory. */
static struct place *
find_or_create(struct cede__profile *profile, const char *site, int has_site)
{
	struct place **p = &profile->places, *place;

	while (*p && (*p)->site != site)
		p = &(*p)->next;
	place = *p;
	if (place) {
		*p = place->next;
	} else {
		place = cede__alloc_zero(sizeof *place);
		if (!place)
			return NULL;
		place->site = site;
		place->has_site = has_site;
	}
	place->next = profile->places;
	profile->places = place;
	return place;
}

void
cede__profile_note(struct cede__profile *profile, const cede_coro_t *co)
{
	struct place *place;
	size_t used;

	if (!profile->is_on || (!co->site && co->has_own_name))
		return;
	place = find_or_create(profile, co->site ? co->site : co->name, co->site != NULL);
	if (!place)
		return;
	used = cede__stack_high_water(co->stack);
	place->coroutines++;
	if (used > place->bytes_max) {
		place->bytes_max = used;
		place->stack_size = co->stack->size;
	}
}

void
cede_stack_profile(cede_stack_profile_fn *fn, void *data)
{
	const struct cede__thread *th = cede__thread_record;

	for (const struct place *p = th && th->profile ? th->profile->places : NULL; p; p = p->next)
		fn(p->site, p->has_site ? p->site + strlen(p->site) + 1 : "", p->coroutines,
			p->bytes_max, p->stack_size, data);
}

void
cede__profile_free(struct cede__profile *profile)
{
	if (!profile)
		return;
	while (profile->places) {
		struct place *place = profile->places;

		profile->places = place->next;
		cede__free(place);
	}
	cede__free(profile);
}
