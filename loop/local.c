/*
 * Task-local values: a table a task, shared with those it has spawned until one of
 * them sets a value.
 *
 * A table is counted by the tasks that have it and never changed while it is
 * shared; a set then makes a copy. The values are counted too, by the tables they
 * are in. Tables are short: a search is a walk.
 */
#include <cede/local.h>

#include "coro/alloc.h"
#include "loop/task_int.h"

struct value {
	const cede_local_t *key;
	uint32_t refs;
	void *value;
};

struct cede__locals {
	uint32_t refs;
	uint32_t count;
	struct value *values[];
};

static void
drop_value(struct value *v)
{
	if (--v->refs > 0)
		return;
	if (v->key->dtor)
		v->key->dtor(v->value);
	cede__free(v);
}

static struct value **
find(struct cede__locals *locals, const cede_local_t *key)
{
	for (uint32_t i = 0; locals && i < locals->count; i++)
		if (locals->values[i]->key == key)
			return &locals->values[i];
	return NULL;
}

static void
drop_table(struct cede__locals *locals)
{
	if (!locals || --locals->refs > 0)
		return;
	for (uint32_t i = 0; i < locals->count; i++)
		drop_value(locals->values[i]);
	cede__free(locals);
}

/* A table of the task's alone, with a place for one more. NULL: no memory. */
static struct cede__locals *
copy_table(const struct cede__locals *from)
{
	const uint32_t count = from ? from->count : 0;
	struct cede__locals *locals =
		cede__alloc(sizeof *locals + ((size_t)count + 1) * sizeof *locals->values);

	if (!locals)
		return NULL;
	locals->refs = 1;
	locals->count = count;
	for (uint32_t i = 0; i < count; i++) {
		locals->values[i] = from->values[i];
		locals->values[i]->refs++;
	}
	return locals;
}

/* Where the task's own value of the key goes: an old one is in it, or it is a new place. */
static int
make_place(cede_task_t *task, const cede_local_t *key, struct value ***ret_place)
{
	struct cede__locals *locals = task->locals;
	struct value **place = find(locals, key);

	if (!locals || locals->refs > 1 || !place) {
		locals = copy_table(locals);
		if (!locals)
			return CEDE_ENOMEM;
		drop_table(task->locals);
		task->locals = locals;
		place = find(locals, key);
	}
	if (!place) {
		place = &locals->values[locals->count++];
		*place = NULL;
	}
	*ret_place = place;
	return 0;
}

int
cede_local_set(const cede_local_t *key, void *value)
{
	cede_task_t *task = cede_task_current();
	struct value *v = NULL, **place = NULL, *old;
	int r = CEDE_ENOTASK;

	if (task) {
		v = cede__alloc(sizeof *v);
		r = v ? make_place(task, key, &place) : CEDE_ENOMEM;
	}
	if (r < 0) {
		cede__free(v);
		if (key->dtor)
			key->dtor(value);
		return r;
	}
	*v = (struct value){ .key = key, .refs = 1, .value = value };
	old = *place;
	*place = v;
	if (old)
		drop_value(old); /* last: its dtor may set values itself */
	return 0;
}

void *
cede_local_get(const cede_local_t *key)
{
	const cede_task_t *task = cede_task_current();
	struct value **place = task ? find(task->locals, key) : NULL;

	return place ? (*place)->value : key->default_value;
}

void
cede__locals_inherit(cede_task_t *task, const cede_task_t *parent)
{
	task->locals = parent->locals;
	if (task->locals)
		task->locals->refs++;
}

void
cede__locals_drop(cede_task_t *task)
{
	struct cede__locals *locals = task->locals;

	task->locals = NULL;
	drop_table(locals);
}
