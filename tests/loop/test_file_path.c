/* loop/file_path.c: what is done with paths, in both forms. */
#include "tests/loop/file_test.h"

TestSuite(file_path, .timeout = 60, .init = file_enter, .fini = file_leave);

/* What a started operation came to; a code of the start is one as well. */
static int
end_of(int started, cede_file_op_t *op)
{
	return started < 0 ? started : cede_await(&op->future);
}

static int
exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

TASK_TEST(file_path, stat_follows_a_link_and_lstat_does_not)
{
	cede_stat_t st;
	cede_file_op_t op;

	file_put("a", "hello");
	cr_assert_eq(cede_path_symlink("a", "link"), 0);
	cr_assert_eq(cede_path_stat("link", &st), 0);
	cr_assert_eq(st.type, CEDE_FILE_REGULAR);
	cr_assert_eq(st.size, 5);
	cr_assert_eq(cede_path_lstat("link", &st), 0);
	cr_assert_eq(st.type, CEDE_FILE_LINK);
	cr_assert_eq(cede_path_stat(".", &st), 0);
	cr_assert_eq(st.type, CEDE_FILE_DIRECTORY);
	cr_assert_eq(end_of(cede_path_stat_start("link", &st, &op), &op), 0);
	cr_assert_eq(st.type, CEDE_FILE_REGULAR);
	cr_assert_eq(end_of(cede_path_lstat_start("link", &st, &op), &op), 0);
	cr_assert_eq(st.type, CEDE_FILE_LINK);
	memset(&st, 0x55, sizeof st);
	cr_assert_eq(cede_path_stat("none", &st), CEDE_ENOENT);
	cr_assert_eq(end_of(cede_path_stat_start("none", &st, &op), &op), CEDE_ENOENT);
	cr_assert_eq(st.mode, 0x55555555, "outputs are written on success only");
	return 0;
}

TASK_TEST(file_path, access_and_chmod)
{
	cede_file_op_t op;
	cede_stat_t st;

	file_put("a", "");
	cr_assert_eq(cede_path_access("a", F_OK | R_OK), 0);
	cr_assert_eq(cede_path_access("a", X_OK), CEDE_EACCES);
	cr_assert_eq(cede_path_access("none", F_OK), CEDE_ENOENT);
	cr_assert_eq(end_of(cede_path_access_start("a", X_OK, &op), &op), CEDE_EACCES);
	cr_assert_eq(cede_path_chmod("a", 0711), 0);
	cr_assert_eq(cede_path_access("a", X_OK), 0);
	cr_assert_eq(end_of(cede_path_chmod_start("a", 0640, &op), &op), 0);
	cr_assert_eq(cede_path_stat("a", &st), 0);
	cr_assert_eq(st.mode & 07777, 0640);
	cr_assert_eq(cede_path_chmod("none", 0), CEDE_ENOENT);
	return 0;
}

TASK_TEST(file_path, rename_replaces_in_one_step)
{
	cede_file_op_t op;

	file_put("a", "new");
	file_put("b", "old");
	cr_assert_eq(cede_path_rename("a", "b"), 0);
	cr_assert_not(exists("a"));
	cr_assert(file_has("b", "new"));
	cr_assert_eq(end_of(cede_path_rename_start("b", "c", &op), &op), 0);
	cr_assert(file_has("c", "new"));
	cr_assert_eq(cede_path_rename("none", "c"), CEDE_ENOENT);
	cr_assert_eq(cede_path_rename("c", "/proc/c"), CEDE_EXDEV);
	cr_assert_eq(cede_path_mkdir("d", 0700), 0);
	cr_assert_eq(cede_path_rename("c", "d"), CEDE_EISDIR);
	cr_assert_eq(cede_path_rename("c", NULL), CEDE_EINVAL);
	cr_assert_eq(cede_path_rename(NULL, "c"), CEDE_EINVAL);
	cr_assert_eq(end_of(cede_path_rename_start("c", NULL, &op), &op), CEDE_EINVAL);
	return 0;
}

TASK_TEST(file_path, unlink_mkdir_rmdir)
{
	cede_file_op_t op;
	cede_stat_t st;

	file_put("a", "");
	cr_assert_eq(cede_path_mkdir("d", 0710), 0);
	cr_assert_eq(cede_path_stat("d", &st), 0);
	cr_assert_eq(st.mode & 07777, 0710);
	cr_assert_eq(cede_path_mkdir("d", 0700), CEDE_EEXIST);
	cr_assert_eq(cede_path_mkdir("none/d", 0700), CEDE_ENOENT);
	cr_assert_eq(cede_path_mkdir("a/d", 0700), CEDE_ENOTDIR);
	cr_assert_eq(cede_path_unlink("d"), CEDE_EISDIR);
	cr_assert_eq(cede_path_rmdir("a"), CEDE_ENOTDIR);
	cr_assert_eq(end_of(cede_path_mkdir_start("d/e", 0700, &op), &op), 0);
	cr_assert_eq(cede_path_rmdir("d"), CEDE_ENOTEMPTY);
	cr_assert_eq(end_of(cede_path_rmdir_start("d/e", &op), &op), 0);
	cr_assert_eq(cede_path_rmdir("d"), 0);
	cr_assert_not(exists("d"));
	cr_assert_eq(cede_path_unlink("a"), 0);
	cr_assert_eq(cede_path_unlink("a"), CEDE_ENOENT);
	file_put("a", "");
	cr_assert_eq(end_of(cede_path_unlink_start("a", &op), &op), 0);
	cr_assert_not(exists("a"));
	cr_assert_eq(cede_path_rmdir(""), CEDE_ENOENT);
	return 0;
}

TASK_TEST(file_path, mkdtemp_makes_a_directory_with_a_name_of_its_own)
{
	char path[] = "d-XXXXXX", path2[] = "d-XXXXXX", wrong[] = "d";
	cede_file_op_t op;
	cede_stat_t st;

	cr_assert_eq(cede_path_mkdtemp(path), 0);
	cr_assert_eq(cede_path_stat(path, &st), 0);
	cr_assert_eq(st.type, CEDE_FILE_DIRECTORY);
	cr_assert_eq(st.mode & 07777, 0700);
	cr_assert_eq(end_of(cede_path_mkdtemp_start(path2, &op), &op), 0);
	cr_assert(exists(path2));
	cr_assert_str_neq(path, path2);
	cr_assert_eq(cede_path_mkdtemp(wrong), CEDE_EINVAL);
	cr_assert_eq(cede_path_mkdtemp(NULL), CEDE_EINVAL);
	cr_assert_eq(cede_path_mkdtemp_start(NULL, &op), CEDE_EINVAL);
	return 0;
}

TASK_TEST(file_path, links_of_both_kinds)
{
	char text[CEDE_PATH_MAX];
	cede_file_op_t op;
	cede_stat_t st;

	file_put("a", "x");
	cr_assert_eq(cede_path_link("a", "b"), 0);
	cr_assert_eq(cede_path_stat("b", &st), 0);
	cr_assert_eq(st.links, 2);
	cr_assert_eq(cede_path_link("a", "b"), CEDE_EEXIST);
	cr_assert_eq(end_of(cede_path_link_start("a", "c", &op), &op), 0);
	cr_assert_eq(cede_path_symlink("some/where", "l"), 0);
	cr_assert_eq(cede_path_symlink("some/where", "l"), CEDE_EEXIST);
	cr_assert_eq(end_of(cede_path_symlink_start("l", "m", &op), &op), 0);

	cr_assert_eq(cede_path_readlink("l", text, sizeof text), 10);
	cr_assert_str_eq(text, "some/where");
	cr_assert_eq(cede_path_readlink("l", text, 11), 10);
	cr_assert_eq(cede_path_readlink("l", text, 10), CEDE_ENOBUFS);
	cr_assert_eq(cede_path_readlink("l", NULL, 0), CEDE_ENOBUFS);
	cr_assert_eq(cede_path_readlink("a", text, sizeof text), CEDE_EINVAL);
	cr_assert_eq(cede_path_readlink("none", text, sizeof text), CEDE_ENOENT);
	memset(text, 'x', sizeof text);
	cr_assert_eq(end_of(cede_path_readlink_start("m", text, sizeof text, &op), &op), 1);
	cr_assert_str_eq(text, "l");
	cr_assert_eq(end_of(cede_path_readlink_start("m", text, 0, &op), &op), CEDE_ENOBUFS);
	cr_assert_eq(end_of(cede_path_readlink_start("m", text, SIZE_MAX, &op), &op), 1);
	return 0;
}

TASK_TEST(file_path, realpath_is_from_the_root)
{
	char text[CEDE_PATH_MAX], own[CEDE_PATH_MAX + 2];
	cede_file_op_t op;

	file_put("a", "");
	cr_assert_not_null(getcwd(own, CEDE_PATH_MAX));
	strcat(own, "/a");
	cr_assert_eq(cede_path_symlink("./a", "l"), 0);
	cr_assert_eq(cede_path_realpath("././l", text, sizeof text), (int)strlen(own));
	cr_assert_str_eq(text, own);
	text[0] = '\0';
	cr_assert_eq(end_of(cede_path_realpath_start("l", text, sizeof text, &op), &op),
		(int)strlen(own));
	cr_assert_str_eq(text, own);
	cr_assert_eq(cede_path_realpath("l", text, 4), CEDE_ENOBUFS);
	cr_assert_eq(cede_path_realpath("none", text, sizeof text), CEDE_ENOENT);
	cr_assert_eq(cede_path_symlink("loop", "loop"), 0);
	cr_assert_eq(cede_path_realpath("loop", text, sizeof text), CEDE_ELOOP);
	return 0;
}

TASK_TEST(file_path, copy_takes_content_and_permissions)
{
	cede_file_op_t op;
	cede_stat_t st;

	file_put("a", "hello");
	cr_assert_eq(chmod("a", 0640), 0);
	cr_assert_eq(cede_path_copy("a", "b", CEDE_COPY_EXCLUSIVE), 0);
	cr_assert(file_has("b", "hello"));
	cr_assert_eq(cede_path_stat("b", &st), 0);
	cr_assert_eq(st.mode & 07777, 0640);
	cr_assert_eq(cede_path_copy("a", "b", CEDE_COPY_EXCLUSIVE), CEDE_EEXIST);
	file_put("a", "new");
	cr_assert_eq(cede_path_copy("a", "b", CEDE_COPY_CLONE), 0);
	cr_assert(file_has("b", "new"));
	cr_assert_eq(end_of(cede_path_copy_start("a", "c", 0, &op), &op), 0);
	cr_assert(file_has("c", "new"));
	cr_assert_eq(cede_path_copy("none", "c", 0), CEDE_ENOENT);
	cr_assert_eq(cede_path_copy("a", "c", 64), CEDE_EINVAL);
	cr_assert_eq(cede_path_copy("a", NULL, 0), CEDE_EINVAL);
	return 0;
}

/* A path is copied: no thread is free to look at it before it changes. */
TASK_TEST(file_path, the_callers_path_is_not_used_afterwards)
{
	char from[8] = "a", to[8] = "b";
	cede_file_op_t held[POOL], op;
	cede_file_t *f;

	file_put("a", "x");
	f = file_open("a", O_RDONLY);
	disk_hold();
	for (int i = 0; i < POOL; i++)
		cr_assert_eq(cede_file_sync_start(f, &held[i]), 0);
	disk_await(POOL);
	cr_assert_eq(cede_path_rename_start(from, to, &op), 0);
	memset(from, 'z', sizeof from);
	memset(to, 'z', sizeof to);
	disk_pass(POOL);
	cr_assert_eq(cede_await(&op.future), 0);
	for (int i = 0; i < POOL; i++)
		cr_assert_eq(cede_await(&held[i].future), 0);
	cr_assert(file_has("b", "x"));
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}
