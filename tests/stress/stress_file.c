/*
 * A plain program, for ThreadSanitizer and valgrind: tasks that open, read, write, list,
 * give up at any moment and close, with more operations than threads; each reads back what
 * it has written, into its own file and no other's. Prints nothing and returns 0 if all is
 * well.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cede/cede.h>

enum { TASKS = 12, ROUNDS = 60, OPS = 6, SIZE = 3000 };

static void
check(int condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "stress_file: %s\n", what);
	abort();
}

static unsigned
draw(unsigned *state, unsigned n)
{
	*state = *state * 1103515245 + 12345;
	return (*state >> 16) % n;
}

/* Some are awaited, the others given up, at once or after a turn of the loop. */
static int
end_some(cede_file_op_t ops[], int count, unsigned *state)
{
	int r = 0;

	for (int i = 0; i < count && r == 0; i++) {
		const unsigned how = draw(state, 3);

		if (how == 1)
			r = cede_sleep(0);
		if (how > 0)
			cede_future_cancel(&ops[i].future);
		else if (r == 0)
			r = cede_await(&ops[i].future) == SIZE ? 0 : CEDE_EIO;
	}
	for (int i = 0; i < count; i++)
		cede_future_cancel(&ops[i].future);
	return r;
}

/* One's own bytes, and nobody else's. */
static int
use(cede_file_t *f, char mine, unsigned *state)
{
	static char bytes[TASKS][OPS + 1][SIZE];
	char(*b)[SIZE] = bytes[mine - 'a'];
	cede_file_op_t ops[OPS];
	int r = 0;

	memset(b[OPS], mine, SIZE);
	if (cede_file_write(f, b[OPS], SIZE, 0, NULL) != SIZE)
		return CEDE_EIO;
	for (int i = 0; i < OPS && r == 0; i++)
		r = i % 2 ? cede_file_read_start(f, b[i], SIZE, 0, &ops[i])
			  : cede_file_write_start(f, b[OPS], SIZE, 0, &ops[i]);
	check(r == 0, "an operation was not started");
	r = end_some(ops, OPS, state);
	if (r < 0)
		return r;
	if (cede_file_read(f, b[0], SIZE, 0) != SIZE)
		return CEDE_EIO;
	check(memcmp(b[0], b[OPS], SIZE) == 0, "another's bytes");
	return 0;
}

static int
list(void)
{
	cede_dir_entry_t entry;
	cede_dir_t *dir;
	int r = cede_dir_open(".", &dir), n = 0;

	if (r < 0)
		return r;
	while ((r = cede_dir_next(dir, &entry)) > 0)
		n += (int)strlen(entry.name);
	check(r == 0 && n > 0, "the directory was not read");
	return cede_dir_close(dir);
}

static int
live(void *arg)
{
	const char mine = *(char *)arg, path[] = { mine, '\0' };
	unsigned state = (unsigned)mine;
	cede_file_op_t op;
	int r = 0;

	for (int i = 0; i < ROUNDS && r == 0; i++) {
		cede_file_t *f;

		r = cede_file_open(path, O_RDWR | O_CREAT, 0600, &f);
		if (r < 0)
			return r;
		r = use(f, mine, &state);
		if (draw(&state, 2) == 0) {
			check(cede_file_close(f) == 0, "a close failed");
		} else {
			check(cede_file_close_start(f, &op) == 0, "a close was not started");
			cede_future_cancel(&op.future);
		}
		if (r == 0)
			r = cede_file_open_start(path, O_RDONLY, 0, &op);
		if (r == 0)
			cede_future_cancel(&op.future);
		if (r == 0 && i % 20 == 0)
			r = list();
	}
	return r;
}

static int
body(void *arg)
{
	static char names[TASKS];

	CEDE_GROUP(g);
	for (int i = 0; i < TASKS; i++) {
		names[i] = (char)('a' + i);
		check(cede_spawn(&g, live, &names[i]) == 0, "a task was not spawned");
	}
	return cede_group_wait(&g);
}

int
main(void)
{
	char directory[] = "/tmp/cede-stress-XXXXXX";
	int r, fd;

	check(mkdtemp(directory) && chdir(directory) == 0, "no directory");
	fd = dup(0);
	close(fd);
	r = cede_run(body, NULL);
	check(r == 0, cede_strerror(r));
	for (char path[] = "a"; path[0] < 'a' + TASKS; path[0]++)
		unlink(path);
	check(chdir("/") == 0 && rmdir(directory) == 0, "something is left");
	check(fd == dup(0), "a descriptor is left");
	close(fd);
	return 0;
}
