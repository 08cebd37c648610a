/*
 * How http opens files, by the kernel's rule and without it: what is below the root, and
 * nothing else.
 *
 * A program with a main() of its own, and the source of what it tests.
 */
#include "examples/http/file.c"

#include <stdlib.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

struct scene {
	const char *path;
	int is_link;         /* inside of the root: only the kernel can tell */
	const char *content; /* NULL: not to be opened */
};

static const struct scene scenes[] = {
	{ "a", 0, "A" },
	{ "dir/b", 0, "B" },
	{ "link", 1, "B" },
	{ "dir/up", 1, "A" },
	{ "linked/b", 1, "B" },
	{ "nothing", 0, NULL },
	{ "a/b", 0, NULL },
	{ "dir/b/", 0, NULL },
	{ "../secret", 0, NULL },
	{ "dir/../../secret", 0, NULL },
	{ "out", 0, NULL },
	{ "away/secret", 0, NULL },
	{ "absolute", 0, NULL },
	{ "/a", 0, NULL },
	{ "loop", 0, NULL },
};

static void
put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void
make_tree(char *path)
{
	CHECK(mkdtemp(path) && chdir(path) == 0);
	CHECK(mkdir("root", 0700) == 0 && mkdir("root/dir", 0700) == 0);
	put("secret", "SECRET");
	put("root/a", "A");
	put("root/dir/b", "B");
	CHECK(symlink("dir/b", "root/link") == 0);
	CHECK(symlink("../a", "root/dir/up") == 0);
	CHECK(symlink("dir", "root/linked") == 0);
	CHECK(symlink("../secret", "root/out") == 0);
	CHECK(symlink("..", "root/away") == 0);
	CHECK(symlink("/etc/passwd", "root/absolute") == 0);
	CHECK(symlink("loop", "root/loop") == 0);
}

static void
remove_tree(const char *path)
{
	static const char *const names[] = { "root/a", "root/dir/b", "root/link", "root/dir/up",
		"root/linked", "root/out", "root/away", "root/absolute", "root/loop", "secret",
		"root/dir", "root" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		CHECK(remove(names[i]) == 0);
	CHECK(chdir("/") == 0 && rmdir(path) == 0);
}

static void
expect(const char *path, int fd, const char *content)
{
	char text[8] = "";

	fprintf(stderr, "%s: %d\n", path, fd); /* read when a check fails */
	if (!content) {
		CHECK(fd < 0 && (status_of(fd) == 404));
		return;
	}
	CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
	CHECK(strcmp(text, content) == 0);
	close(fd);
}

int
main(void)
{
	char path[] = "/tmp/cede-http-XXXXXX";
	int root, lowest;

	make_tree(path);
	root = file_open_root("root");
	CHECK(root >= 0);
	CHECK(file_open_root("nothing") == CEDE_ENOENT);
	lowest = dup(root);
	close(lowest);
	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
		const struct scene *s = &scenes[i];

		expect(s->path, open_beneath(root, s->path), s->content);
		expect(s->path, open_step_by_step(root, s->path), s->is_link ? NULL : s->content);
	}
	CHECK(dup(root) == lowest); /* none was left open */
	close(lowest);
	close(root);
	remove_tree(path);
	return 0;
}
