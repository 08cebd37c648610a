/*
 * Tree: what is in a directory, and in those below it.
 *
 *     tree [DIRECTORY]
 */
#include <cede/cede.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Each level has a directory open, and a part of the stack. */
#define LEVELS_MAX 20

struct walk {
	char path[CEDE_PATH_MAX];
	size_t length;
	unsigned files, directories;
	uint64_t bytes;
};

CEDE_SUSPENDS static int walk_directory(struct walk *w, int level);

/* Goes one name down. 0: there is no room for it. */
static int
descend(struct walk *w, const char *name)
{
	const size_t room = sizeof w->path - w->length;
	const int n = snprintf(w->path + w->length, room, "/%s", name);

	if (n < 0 || (size_t)n >= room)
		return 0;
	w->length += (size_t)n;
	return 1;
}

static void
ascend(struct walk *w, size_t length)
{
	w->length = length;
	w->path[length] = '\0';
}

CEDE_SUSPENDS static int
visit(struct walk *w, const char *name, int level)
{
	cede_stat_t st;
	int r = cede_path_lstat(w->path, &st);

	if (r == CEDE_ENOENT)
		return 0; /* it has been removed meanwhile */
	if (r < 0)
		return r;
	if (st.type != CEDE_FILE_DIRECTORY) {
		printf("%*s%s  %" PRIu64 "\n", 2 * level, "", name, st.size);
		w->files++;
		w->bytes += st.size;
		return 0;
	}
	printf("%*s%s/\n", 2 * level, "", name);
	w->directories++;
	r = level + 1 < LEVELS_MAX ? walk_directory(w, level + 1) : 0;
	if (r == CEDE_EACCES || r == CEDE_ENOENT) { /* or removed meanwhile */
		fprintf(stderr, "tree: %s: %s\n", w->path, cede_strerror(r));
		r = 0;
	}
	return r;
}

static int
walk_directory(struct walk *w, int level)
{
	const size_t length = w->length;
	cede_dir_entry_t entry;
	cede_dir_t *dir;
	int r = cede_dir_open(w->path, &dir), closed;

	if (r < 0)
		return r;
	while ((r = cede_dir_next(dir, &entry)) > 0) {
		r = descend(w, entry.name) ? visit(w, entry.name, level) : 0;
		ascend(w, length);
		if (r == 0 && ferror(stdout))
			r = CEDE_EIO; /* whoever read it has gone, and SIGPIPE is ignored */
		if (r < 0)
			break;
	}
	closed = cede_dir_close(dir); /* also when this task is being closed */
	return r < 0 ? r : closed;
}

static int
tree(void *arg)
{
	struct walk w = { .length = 0 };
	int r;

	if ((size_t)snprintf(w.path, sizeof w.path, "%s", (const char *)arg) >= sizeof w.path)
		return CEDE_ENAMETOOLONG;
	w.length = strlen(w.path);
	r = walk_directory(&w, 0);
	if (r == 0)
		printf("%u directories, %u files, %" PRIu64 " bytes\n", w.directories, w.files,
			w.bytes);
	return r == 0 && fflush(stdout) != 0 ? CEDE_EIO : r;
}

int
main(int argc, char **argv)
{
	char here[] = ".", *path = argc > 1 ? argv[1] : here;
	int r = cede_run(tree, path);

	if (r < 0)
		fprintf(stderr, "tree: %s: %s\n", path, cede_strerror(r));
	return r < 0;
}
