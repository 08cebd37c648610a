/* examples/tree.c, its own source, in a directory that is known. */
#include "tests/scenarios/directory.h"

#include <inttypes.h>
#include <stdarg.h>

int tree_main(int argc, char **argv);

static char last_line[128];

/* What it prints is not shown. */
__attribute__((format(printf, 1, 2))) static int
note_line(const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(last_line, sizeof last_line, format, args);
	va_end(args);
	return n;
}

#define main        tree_main
#define printf(...) note_line(__VA_ARGS__)
#include "examples/tree.c"
#undef printf
#undef main

static int
tree_of_some_files(void *arg)
{
	char path[] = DIRECTORY_TEMPLATE, here[] = ".";
	int r;

	directory_enter(path);
	require(mkdir("a", 0700) == 0 && mkdir("a/b", 0700) == 0);
	require(symlink("a", "link") == 0);
	directory_put("a/b/three", "333", 3);
	last_line[0] = '\0';
	r = tree(here);
	require(r < 0 || strcmp(last_line, "2 directories, 2 files, 4 bytes\n") == 0);
	directory_leave(path);
	return r;
}

static int
tree_of_nothing(void *arg)
{
	char none[] = "/nonexistent/directory";
	int r = tree(none);

	require(r < 0);
	return unless(CEDE_ENOENT, r);
}

const struct scenario scenarios[] = {
	{ "tree_of_some_files", tree_of_some_files, IN_THE_POOL, NULL },
	{ "tree_of_nothing", tree_of_nothing, IN_THE_POOL, NULL },
	{ NULL, NULL, 0, NULL },
};
