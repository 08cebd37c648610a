/*
 * Tasks that each do one thing with a file, and a pool that is full. Included by one file
 * of a program.
 */
#ifndef TESTS_LOOP_FILE_DOING_H
#define TESTS_LOOP_FILE_DOING_H

#include "tests/loop/file_test.h"

/* What a task does with a file, and what came of it. */
struct doing {
	cede_file_t *file;
	cede_task_t *task;
	int (*call)(struct doing *d);
	int result;
	char byte;
	size_t moved;
};

static inline int
do_it(void *arg)
{
	struct doing *d = arg;

	d->result = d->call(d);
	return cede_sleep(0);
}

static inline void
spawn(cede_group_t *group, struct doing *d, cede_file_t *file, int (*call)(struct doing *))
{
	*d = (struct doing){ .file = file, .call = call, .result = 1 };
	cr_assert_eq(cede_spawn_with(group, do_it, d, NULL, &d->task), 0);
}

static inline void
join(struct doing *d, int result)
{
	const int r = cede_join(d->task, NULL);

	cr_assert_eq(r, result, "%s", cede_strerror(r));
	d->task = cede_task_unref(d->task);
}

static inline int
call_sync(struct doing *d)
{
	return cede_file_sync(d->file);
}

static inline int
call_read(struct doing *d)
{
	return (int)cede_file_read(d->file, &d->byte, 1, 0);
}

static inline int
call_unlink(struct doing *d)
{
	return cede_path_unlink("victim");
}

static inline int
call_open(struct doing *d)
{
	return cede_file_open("made", O_RDWR | O_CREAT, 0600, &d->file);
}

/* All slots are taken by operations that are held. */
static inline void
fill(cede_group_t *group, struct doing busy[POOL], cede_file_t *f)
{
	disk_hold();
	for (int i = 0; i < POOL; i++)
		spawn(group, &busy[i], f, call_sync);
	disk_await(POOL);
}

static inline void
empty(struct doing busy[POOL])
{
	disk_pass(POOL);
	for (int i = 0; i < POOL; i++) {
		join(&busy[i], 0);
		cr_assert_eq(busy[i].result, 0);
	}
}

static inline cede_file_t *
a_file(void)
{
	file_put("a", "hello");
	file_put("victim", "");
	return file_open("a", O_RDWR);
}

#endif
