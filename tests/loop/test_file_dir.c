/* loop/file_dir.c: reading directories. */
#include "tests/loop/file_test.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "tests/support/fault.h"

TestSuite(file_dir, .timeout = 60, .init = file_enter, .fini = file_leave);

static cede_dir_t *
dir_open(const char *path)
{
	cede_dir_t *dir = NULL;

	cr_assert_eq(cede_dir_open(path, &dir), 0);
	return dir;
}

TASK_TEST(file_dir, an_empty_one_has_no_entries)
{
	cede_dir_t *dir;
	cede_dir_entry_t entry = { .name = "none" };
	cede_file_op_t op;

	dir = dir_open(".");
	cr_assert_eq(cede_dir_next(dir, &entry), 0);
	cr_assert_eq(cede_dir_next(dir, &entry), 0);
	cr_assert_eq(cede_dir_next_start(dir, &op), 0);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_str_eq(entry.name, "none");
	cr_assert_eq(cede_dir_close(dir), 0);
	return 0;
}

TASK_TEST(file_dir, what_is_none_is_not_opened)
{
	cede_dir_t *dir = (void *)1;
	cede_file_op_t op;

	file_put("a", "");
	cr_assert_eq(cede_dir_open("none", &dir), CEDE_ENOENT);
	cr_assert_eq(cede_dir_open("a", &dir), CEDE_ENOTDIR);
	cr_assert_eq(cede_dir_open(NULL, &dir), CEDE_EINVAL);
	cr_assert_eq(dir, (void *)1);
	cr_assert_eq(cede_dir_open_start("a", &op), 0);
	cr_assert_eq(cede_await(&op.future), CEDE_ENOTDIR);
	cr_assert_null(op.dir);
	return 0;
}

static void
make_one_of_each(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	file_put("regular", "");
	cr_assert_eq(mkdir("directory", 0700), 0);
	cr_assert_eq(symlink("nowhere", "link"), 0);
	cr_assert_eq(mkfifo("fifo", 0600), 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	close(fd);
}

TASK_TEST(file_dir, entries_have_names_and_types)
{
	static const struct {
		const char *name;
		enum cede_file_type type;
	} expected[] = {
		{ "regular", CEDE_FILE_REGULAR },
		{ "directory", CEDE_FILE_DIRECTORY },
		{ "link", CEDE_FILE_LINK },
		{ "fifo", CEDE_FILE_FIFO },
		{ "socket", CEDE_FILE_SOCKET },
	};
	cede_dir_entry_t entry;
	cede_dir_t *dir;
	cede_stat_t st;
	int seen = 0, r;

	make_one_of_each();
	dir = dir_open(".");
	while ((r = cede_dir_next(dir, &entry)) > 0) {
		for (int i = 0; i < 5; i++) {
			if (strcmp(entry.name, expected[i].name) != 0)
				continue;
			seen += 1 << (4 * i);
			cr_assert(
				entry.type == expected[i].type || entry.type == CEDE_FILE_UNKNOWN);
			cr_assert_eq(cede_path_lstat(entry.name, &st), 0);
			cr_assert_eq(st.type, expected[i].type);
		}
	}
	cr_assert_eq(r, 0);
	cr_assert_eq(seen, 0x11111, "%x", seen);
	cr_assert_eq(cede_dir_close(dir), 0);
	cr_assert_eq(cede_path_stat("/dev/null", &st), 0);
	cr_assert_eq(st.type, CEDE_FILE_CHARACTER);
	return 0;
}

enum { MANY = 10000 };

static void
make_many(void)
{
	char name[16];

	file_put("0", "");
	for (int i = 1; i < MANY; i++) { /* names cost less than files */
		snprintf(name, sizeof name, "%d", i);
		cr_assert_eq(link("0", name), 0);
	}
}

/* What libuv has of memory, and had at most. */
static atomic_int uv_blocks, uv_blocks_max;

static void *
count_block(void *block)
{
	const int n = block ? atomic_fetch_add(&uv_blocks, 1) + 1 : 0;

	if (n > atomic_load(&uv_blocks_max))
		atomic_store(&uv_blocks_max, n);
	return block;
}

static void *
uv_alloc(size_t size)
{
	return count_block(malloc(size));
}

static void *
uv_calloc(size_t n, size_t size)
{
	return count_block(calloc(n, size));
}

static void *
uv_resize(void *block, size_t size)
{
	return block ? realloc(block, size) : count_block(malloc(size));
}

static void
uv_release(void *block)
{
	if (block)
		atomic_fetch_sub(&uv_blocks, 1);
	free(block);
}

/* Each once; no memory of the library's is taken on the way, and of libuv's for a batch. */
static int
read_many(void *arg)
{
	static unsigned char seen[MANY];
	cede_dir_entry_t entry;
	cede_dir_t *dir;
	unsigned before;
	int n = 0, r;

	make_many();
	dir = dir_open(".");
	before = fault_requests();
	atomic_store(&uv_blocks_max, 0);
	while ((r = cede_dir_next(dir, &entry)) > 0) {
		const int i = atoi(entry.name);

		cr_assert_eq(seen[i]++, 0);
		n++;
	}
	cr_assert_eq(r, 0);
	cr_assert_eq(n, MANY);
	cr_assert_eq(fault_requests(), before);
	cr_assert_gt(uv_blocks_max, 60, "the names are libuv's");
	cr_assert_lt(uv_blocks_max, 100);
	cr_assert_eq(cede_dir_close(dir), 0);
	return 0;
}

Test(file_dir, ten_thousand_entries_come_once_each_in_bounded_memory)
{
	cr_assert_eq(uv_replace_allocator(uv_alloc, uv_resize, uv_calloc, uv_release), 0);
	fault_install();
	cr_assert_eq(run_gated(read_many, NULL), 0);
}

TASK_TEST(file_dir, started_reads_return_the_same)
{
	cede_file_op_t op;
	cede_dir_t *dir;
	int n = 0;

	for (int i = 0; i < 200; i++) {
		char name[16];

		snprintf(name, sizeof name, "%d", i);
		file_put(name, "");
	}
	cr_assert_eq(cede_dir_open_start(".", &op), 0);
	cr_assert_eq(cede_await(&op.future), 0);
	dir = op.dir;
	cr_assert_not_null(dir);
	cr_assert_null(op.file);
	for (;;) {
		cr_assert_eq(cede_dir_next_start(dir, &op), 0);
		if (cede_await(&op.future) <= 0)
			break;
		cr_assert_neq(op.entry.name[0], '\0');
		n++;
	}
	cr_assert_eq(op.future.result, 0);
	cr_assert_eq(n, 200);
	cr_assert_eq(cede_dir_close_start(dir, &op), 0);
	cr_assert_eq(cede_await(&op.future), 0);
	return 0;
}

/* All slots are held: the batch waits its turn. */
static void
hold_all(cede_file_t *f, cede_file_op_t ops[POOL])
{
	disk_hold();
	for (int i = 0; i < POOL; i++)
		cr_assert_eq(cede_file_sync_start(f, &ops[i]), 0);
	disk_await(POOL);
}

static void
let_all_go(cede_file_op_t ops[POOL])
{
	disk_pass(POOL);
	for (int i = 0; i < POOL; i++)
		cr_assert_eq(cede_await(&ops[i].future), 0);
}

TASK_TEST(file_dir, a_read_that_was_given_up_loses_no_entry)
{
	cede_file_t *f = file_open("a", O_CREAT | O_RDWR);
	cede_dir_t *dir = dir_open(".");
	cede_file_op_t held[POOL], op, op2;
	cede_dir_entry_t entry;
	int r;

	hold_all(f, held);
	cr_assert_eq(cede_dir_next_start(dir, &op), 0);
	cr_assert_eq(cede_dir_next_start(dir, &op2), CEDE_EBUSY);
	cr_assert_eq(cede_dir_next(dir, &entry), CEDE_EBUSY);
	cede_future_cancel(&op.future); /* never begun */
	let_all_go(held);

	cr_assert_eq(cede_dir_next_start(dir, &op), 0);
	cede_future_cancel(&op.future); /* perhaps it runs */
	while ((r = cede_dir_next(dir, &entry)) == CEDE_EBUSY)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(r, 1);
	cr_assert_str_eq(entry.name, "a");
	cr_assert_eq(cede_dir_next(dir, &entry), 0);
	cr_assert_eq(cede_dir_close(dir), 0);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

static int
close_it(void *dir)
{
	return cede_dir_close(dir);
}

TASK_TEST(file_dir, closed_by_another_while_it_is_read_it_returns_no_entry)
{
	CEDE_GROUP(group);
	cede_file_t *f = file_open("a", O_CREAT | O_RDWR);
	cede_dir_t *dir = dir_open(".");
	cede_file_op_t held[POOL], op, op2;

	hold_all(f, held);
	cr_assert_eq(cede_dir_next_start(dir, &op), 0);
	cr_assert_eq(cede_spawn(&group, close_it, dir), 0);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(cede_dir_next_start(dir, &op2), CEDE_EBADF);
	let_all_go(held);
	cr_assert_eq(cede_await(&op.future), CEDE_EBADF);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_eq(cede_file_close(f), 0);
	return 0;
}

TASK_TEST(file_dir, left_open_half_way_is_closed_with_the_loop)
{
	cede_dir_entry_t entry;

	file_put("a", "");
	file_put("b", "");
	cr_assert_eq(cede_dir_next(dir_open("."), &entry), 1);
	return 0;
}

TASK_TEST(file_dir, a_directory_that_was_opened_too_late_is_closed_again)
{
	const int before = leaks_count_fds();

	for (int i = 0; i < 50; i++) {
		cede_file_op_t op;

		cr_assert_eq(cede_dir_open_start(".", &op), 0);
		cede_future_cancel(&op.future);
		cr_assert_null(op.dir);
	}
	while (leaks_count_fds() > before)
		cr_assert_eq(cede_sleep(1), 0);
	return 0;
}
