/* Scenarios of files and directories, in a directory of the scenario's own. */
#include "tests/scenarios/directory.h"

/* Runs a body in a new directory. */
static int
run_in_a_directory(cede_fn *fn, void *arg)
{
	char path[] = DIRECTORY_TEMPLATE;
	int r;

	directory_enter(path);
	r = fn(arg);
	directory_leave(path);
	return r;
}

/* ---- a copy by a reader and a writer ---- */

static char text[3500];

struct chunk {
	size_t size;
	char bytes[1000];
};

struct copy {
	cede_channel_t chunks;
	int is_read, is_written; /* to the end */
};

CEDE_SUSPENDS static int
send_chunk(struct copy *copy, cede_file_t *file)
{
	struct chunk *chunk = malloc(sizeof *chunk);
	ssize_t n;
	int r;

	require(chunk);
	n = cede_file_read(file, chunk->bytes, sizeof chunk->bytes, -1);
	if (n <= 0) {
		free(chunk);
		copy->is_read = n == 0;
		return (int)n;
	}
	chunk->size = (size_t)n;
	r = cede_channel_send(&copy->chunks, chunk);
	if (r < 0)
		free(chunk);
	return r < 0 ? r : 1;
}

static int
read_chunks(void *arg)
{
	struct copy *copy = arg;
	cede_file_t *file;
	int r = cede_file_open("from", O_RDONLY, 0, &file), closed;

	if (r == 0) {
		while ((r = send_chunk(copy, file)) > 0)
			;
		closed = cede_file_close(file);
		require(closed == 0 || closed == CEDE_ENOMEM);
	}
	cede_channel_close(&copy->chunks);
	return unless(CEDE_EPIPE, r);
}

CEDE_SUSPENDS static int
write_chunk(struct copy *copy, cede_file_t *file)
{
	void *value;
	int r = cede_channel_receive(&copy->chunks, &value);
	const struct chunk *chunk = value;
	ssize_t n;

	if (r < 0)
		return r;
	n = cede_file_write(file, chunk->bytes, chunk->size, -1, NULL);
	free(value);
	return n < 0 ? (int)n : 0;
}

static int
write_chunks(void *arg)
{
	struct copy *copy = arg;
	cede_file_t *file;
	int r = cede_file_open("to", O_WRONLY | O_CREAT, 0600, &file), closed;

	if (r == 0) {
		while ((r = write_chunk(copy, file)) == 0)
			;
		copy->is_written = r == CEDE_EOF;
		closed = cede_file_close(file);
		require(closed == 0 || closed == CEDE_ENOMEM);
	}
	cede_channel_close(&copy->chunks);
	return unless(CEDE_EOF, r);
}

static int
copy_by_two_tasks(void *arg)
{
	struct copy copy = { .is_read = 0 };
	int r = cede_channel_init(&copy.chunks, 2, free);

	if (r < 0)
		return r;
	memset(text, 'x', sizeof text);
	directory_put("from", text, sizeof text);
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, read_chunks, &copy);
		if (r == 0)
			r = cede_spawn(&group, write_chunks, &copy);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	cede_channel_deinit(&copy.chunks);
	if (copy.is_read && copy.is_written)
		require(directory_has("to", text, sizeof text));
	return r;
}

static int
copy_through_tasks(void *arg)
{
	return run_in_a_directory(copy_by_two_tasks, arg);
}

/* ---- a file that is replaced in one step ---- */

CEDE_SUSPENDS static int
write_anew(const char *name)
{
	cede_file_t *file;
	int r = cede_file_open(name, O_WRONLY | O_CREAT | O_EXCL, 0600, &file), closed;
	ssize_t n;

	if (r < 0)
		return r;
	n = cede_file_write(file, "new", 3, 0, NULL);
	if (n == 3)
		n = cede_file_sync(file);
	closed = cede_file_close(file);
	return n < 0 ? (int)n : closed;
}

static int
write_and_rename(void *arg)
{
	int r, removed = 0;

	directory_put("config", "old", 3);
	r = write_anew("config.new");
	if (r == 0)
		r = cede_path_rename("config.new", "config");
	if (r < 0)
		CEDE_SHIELD(10000) {
			removed = cede_path_unlink("config.new");
		}
	require(removed == 0 || removed == CEDE_ENOENT || removed == CEDE_ENOMEM);
	require(directory_has("config", r == 0 ? "new" : "old", 3));
	require(removed == CEDE_ENOMEM || access("config.new", F_OK) < 0);
	return r;
}

static int
file_replaced_in_one_step(void *arg)
{
	return run_in_a_directory(write_and_rename, arg);
}

/* ---- a file that grows ---- */

#define LINES 3

struct log {
	cede_event_t is_complete;
	int written, seen; /* lines */
};

static int
write_lines(void *arg)
{
	struct log *log = arg;
	cede_file_t *file;
	int r = cede_file_open("log", O_WRONLY | O_APPEND, 0, &file), closed;

	if (r == 0) {
		while (r == 0 && log->written < LINES) {
			const ssize_t n = cede_file_write(file, "line\n", 5, -1, NULL);

			if (n == 5)
				log->written++;
			r = n < 0 ? (int)n : cede_sleep(10);
		}
		closed = cede_file_close(file);
		require(closed == 0 || closed == CEDE_ENOMEM);
	}
	cede_event_set(&log->is_complete);
	return r;
}

/* 1: it is complete; 0: time for another look; or a code. */
CEDE_SUSPENDS static int
wait_for_more(struct log *log)
{
	cede_event_wait_t complete;
	cede_sleep_t tick;
	int r = cede_event_wait_start(&log->is_complete, &complete);

	if (r < 0)
		return r;
	r = cede_sleep_start(7, &tick);
	if (r < 0) {
		cede_future_cancel(&complete.future);
		return r;
	}
	r = cede_select(2, (cede_future_t *[]){ &complete.future, &tick.future });
	return r < 0 ? r : r == 0;
}

static int
follow(void *arg)
{
	struct log *log = arg;
	char buffer[64];
	cede_file_t *file;
	ssize_t n = cede_file_open("log", O_RDONLY, 0, &file);
	int is_complete = 0, closed;

	if (n < 0)
		return (int)n;
	for (;;) {
		n = cede_file_read(file, buffer, sizeof buffer, -1);
		if (n > 0)
			log->seen += (int)n / 5;
		if (n < 0 || (n == 0 && is_complete))
			break;
		if (n == 0) {
			is_complete = wait_for_more(log);
			if (is_complete < 0) {
				n = is_complete;
				break;
			}
		}
	}
	require(n < 0 || log->seen == log->written);
	closed = cede_file_close(file);
	return n < 0 ? (int)n : closed;
}

static int
write_and_follow(void *arg)
{
	struct log log = { .is_complete = CEDE_EVENT_INIT };
	int r;
	CEDE_GROUP(group);

	directory_put("log", "", 0);
	r = cede_spawn(&group, write_lines, &log);
	if (r == 0)
		r = cede_spawn(&group, follow, &log);
	return r < 0 ? r : cede_group_wait(&group);
}

static int
tail_of_a_growing_file(void *arg)
{
	return run_in_a_directory(write_and_follow, arg);
}

/* ---- a walk ---- */

static struct {
	int files, directories;
} found;

static char *
path_of(const char *directory, const char *name)
{
	char *path = malloc(strlen(directory) + strlen(name) + 2);

	require(path);
	sprintf(path, "%s/%s", directory, name);
	return path;
}

/* A task a directory. */
static int
walk(void *arg)
{
	cede_dir_entry_t entry;
	cede_dir_t *dir;
	int r = cede_dir_open(arg, &dir), closed;

	if (r == 0) {
		CEDE_GROUP(below);

		while ((r = cede_dir_next(dir, &entry)) > 0) {
			const int is_directory = entry.type == CEDE_FILE_DIRECTORY;

			found.directories += is_directory;
			found.files += !is_directory;
			if (is_directory &&
				(r = cede_spawn_own(&below, walk, path_of(arg, entry.name), free)) <
					0)
				break;
		}
		if (r == 0)
			r = cede_group_wait(&below);
		closed = cede_dir_close(dir);
		r = r < 0 ? r : closed;
	}
	free(arg);
	return r;
}

static int
walk_all(void *arg)
{
	int r;
	CEDE_GROUP(group);

	require(mkdir("a", 0700) == 0 && mkdir("a/b", 0700) == 0 && mkdir("c", 0700) == 0);
	directory_put("one", "1", 1);
	directory_put("a/two", "2", 1);
	directory_put("a/b/three", "3", 1);
	memset(&found, 0, sizeof found);
	r = cede_spawn_own(&group, walk, path_of(".", "."), free);
	if (r == 0)
		r = cede_group_wait(&group);
	require(found.files <= 3 && found.directories <= 3);
	return r;
}

static int
walk_of_a_directory(void *arg)
{
	return run_in_a_directory(walk_all, arg);
}

/* ---- a read that must not take too long ---- */

static int
read_or_time(void *arg)
{
	char buffer[8];
	cede_file_t *file;
	int r, closed;

	directory_put("file", "12345678", 8);
	r = cede_file_open("file", O_RDONLY, 0, &file);
	if (r < 0)
		return r;
	for (int i = 0; i < 3 && r >= 0; i++) {
		cede_file_op_t op;
		cede_sleep_t limit;

		r = cede_file_read_start(file, buffer, sizeof buffer, 0, &op);
		if (r < 0)
			break;
		r = cede_sleep_start(i == 1 ? 0 : 1000, &limit);
		if (r < 0) {
			cede_future_cancel(&op.future);
			break;
		}
		r = cede_select(2, (cede_future_t *[]){ &op.future, &limit.future });
		require(r != 0 || op.future.result == 8);
	}
	closed = cede_file_close(file);
	return r < 0 ? r : closed;
}

static int
read_in_time_or_not(void *arg)
{
	return run_in_a_directory(read_or_time, arg);
}

const struct scenario scenarios[] = {
	{ "copy_through_tasks", copy_through_tasks, IN_THE_POOL, NULL },
	{ "file_replaced_in_one_step", file_replaced_in_one_step, IN_THE_POOL, NULL },
	{ "tail_of_a_growing_file", tail_of_a_growing_file, IN_THE_POOL, NULL },
	{ "walk_of_a_directory", walk_of_a_directory, IN_THE_POOL, NULL },
	{ "read_in_time_or_not", read_in_time_or_not, IN_THE_POOL, NULL },
	{ NULL, NULL, 0, NULL },
};
