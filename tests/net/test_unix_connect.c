/* Connecting to unix sockets, what flows through them, who is there: net/unix.c. */
#include "tests/net/unix_test.h"

TestSuite(unix_connect, .timeout = 30);

struct connecting {
	const char *path;
	cede_stream_t *stream;
	int result;
	int has_ended;
};

static int
connect_once(void *arg)
{
	struct connecting *c = arg;

	c->result = cede_unix_connect(c->path, &c->stream);
	c->has_ended = 1;
	return 0;
}

/* A name that takes no connection until somebody is accepted. */
struct full {
	const char *path;
	int server, client;
};

static struct full
full_open(void)
{
	struct full f = { .path = unix_path("full") };

	f.server = unix_raw_listen(f.path, SOCK_STREAM, 0);
	f.client = unix_raw_connect(f.path);
	cr_assert_geq(f.client, 0);
	cr_assert_eq(unix_raw_connect(f.path), -EAGAIN);
	return f;
}

/* Makes a place in the queue. */
static void
full_accept(const struct full *f)
{
	close(peer_accept(f->server));
}

static void
full_close(const struct full *f)
{
	close(f->client);
	if (f->server >= 0)
		close(f->server);
	unlink(f->path);
	unix_dir_end();
}

/* ---- it connects ---- */

TASK_TEST(unix_connect, a_listener_and_a_stream_talk_both_ways)
{
	const char *path = unix_path("socket");
	cede_listener_t *l = NULL;
	cede_stream_t *a = NULL, *b = NULL;
	char buffer[8];

	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	cr_assert_eq(cede_unix_connect(path, &a), 0);
	cr_assert_eq(cede_accept(l, &b), 0);
	cr_assert_eq(cede_write(a, "ping", 4), 4);
	cr_assert_eq(cede_read(b, buffer, sizeof buffer), 4);
	cr_assert_eq(cede_write(b, "pong", 4), 4);
	cr_assert_eq(cede_read(a, buffer, sizeof buffer), 4);
	cr_assert_arr_eq(buffer, "pong", 4);
	cr_assert_eq(cede_shutdown_write(a), 0);
	cr_assert_eq(cede_read(b, buffer, sizeof buffer), 0);
	cr_assert_eq(cede_write(b, "late", 4), 4);
	cr_assert_eq(cede_read(a, buffer, sizeof buffer), 4);
	cede_close(a);
	cede_close(b);
	cede_listener_close(l);
	unix_dir_end();
}

TASK_TEST(unix_connect, an_abstract_name_is_reached_and_both_ends_have_names)
{
	char name[64], said[CEDE_UNIX_NAME_SIZE];
	cede_listener_t *l = NULL;
	cede_stream_t *a = NULL, *b = NULL;

	snprintf(name, sizeof name, "@cede-test-%d", (int)getpid());
	cr_assert_eq(cede_unix_listen(name, NULL, &l), 0);
	cr_assert_eq(cede_unix_connect(name, &a), 0);
	cr_assert_eq(cede_accept(l, &b), 0);
	cr_assert_eq(cede_stream_peer(a, said, sizeof said), 0);
	cr_assert_str_eq(said, name);
	cr_assert_eq(cede_stream_local(b, said, sizeof said), 0);
	cr_assert_str_eq(said, name);
	cr_assert_eq(cede_stream_peer(b, said, sizeof said), 0);
	cr_assert_str_eq(said, "@", "a client has no name");
	cr_assert_eq(cede_stream_local(a, said, sizeof said), 0);
	cr_assert_str_eq(said, "@");
	cede_close(a);
	cede_close(b);
	cede_listener_close(l);
}

TASK_TEST(unix_connect, the_descriptor_is_not_inherited_and_does_not_block)
{
	const char *path = unix_path("socket");
	cede_listener_t *l = NULL;
	cede_stream_t *s = NULL;

	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	cr_assert_eq(cede_unix_connect(path, &s), 0);
	cr_assert(fcntl(s->fd, F_GETFD) & FD_CLOEXEC);
	cr_assert(fcntl(s->fd, F_GETFL) & O_NONBLOCK);
	cede_close(s);
	cede_listener_close(l);
	unix_dir_end();
}

TASK_TEST(unix_connect, an_operation_is_done_at_once_where_there_is_a_place)
{
	const char *path = unix_path("socket");
	cede_listener_t *l = NULL;
	cede_connect_t op;

	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	cr_assert_eq(cede_unix_connect_start(path, &op), 0);
	cr_assert(op.future.is_done);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_await(&op.future), 0, "completed beats cancelled");
	cede_close(op.stream);
	cede_listener_close(l);
	unix_dir_end();
}

/* ---- what is refused ---- */

TASK_TEST(unix_connect, what_is_not_there_or_does_not_listen_is_refused)
{
	const char *path = unix_path("socket");
	cede_stream_t *s = NULL;
	cede_connect_t op;
	int fd;

	cr_assert_eq(cede_unix_connect(path, &s), CEDE_ENOENT);
	cr_assert_eq(cede_unix_connect_start(path, &op), CEDE_ENOENT);
	cr_assert_eq(cede_unix_connect("@cede-test-of-nobody", &s), CEDE_ECONNREFUSED);
	close(unix_raw_listen(path, SOCK_STREAM, 1));
	cr_assert_eq(cede_unix_connect(path, &s), CEDE_ECONNREFUSED);
	cr_assert_eq(unlink(path), 0);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	cr_assert_eq(cede_unix_connect(path, &s), CEDE_ECONNREFUSED);
	cr_assert_eq(unlink(path), 0);
	fd = unix_raw_listen(path, SOCK_DGRAM, -1);
	cr_assert_eq(cede_unix_connect(path, &s), -EPROTOTYPE);
	close(fd);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(cede_unix_connect("", &s), CEDE_EINVAL);
	cr_assert_eq(cede_unix_connect(NULL, &s), CEDE_EINVAL);
	cr_assert_eq(cede_unix_connect("@", &s), CEDE_EINVAL);
	cr_assert_null(s);
	unix_dir_end();
}

TASK_TEST(unix_connect, without_a_right_to_it_is_refused)
{
	const char *path = unix_path("socket");
	cede_listener_t *l = NULL;
	cede_stream_t *s = NULL;

	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	cr_assert_eq(chmod(unix_dir, 0755), 0);
	if (geteuid() == 0) {
		cr_assert_eq(seteuid(65534), 0);
		cr_assert_eq(cede_unix_connect(path, &s), CEDE_EACCES);
		cr_assert_eq(seteuid(0), 0);
	}
	cr_assert_null(s);
	cede_listener_close(l);
	unix_dir_end();
}

Test(unix_connect, outside_a_task_is_refused)
{
	cede_stream_t *s = NULL;
	cede_connect_t op;

	leaks_begin();
	cr_assert_eq(cede_unix_connect("@cede-test", &s), CEDE_ENOTASK);
	cr_assert_eq(cede_unix_connect_start("@cede-test", &op), CEDE_ENOTASK);
	leaks_end();
}

TASK_TEST(unix_connect, in_a_task_that_is_being_closed_does_not_begin)
{
	const char *path = unix_path("socket");
	cede_listener_t *l = NULL;
	cede_stream_t *s = NULL;
	cede_accept_t op;

	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	cr_assert_eq(cede_accept_start(l, &op), 0);
	close_oneself();
	cr_assert_eq(cede_unix_connect(path, &s), CEDE_EXIT);
	cr_assert_null(s);
	cr_assert_not(op.future.is_done);
	cede_future_cancel(&op.future);
	cede_listener_close(l);
	unix_dir_end();
}

/* ---- a queue that is full ---- */

TASK_TEST(unix_connect, waits_for_a_place_in_the_queue)
{
	struct full f = full_open();
	struct connecting c = { .path = f.path };
	int fd;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, connect_once, &c), 0);
	cr_assert_eq(cede_sleep(20), 0);
	cr_assert_not(c.has_ended);
	full_accept(&f);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(c.result, 0);
	fd = peer_accept(f.server);
	cr_assert_eq(cede_write(c.stream, "x", 1), 1);
	cr_assert_eq(peer_receive(fd, (char[1]){ 0 }, 1), 1);
	close(fd);
	cede_close(c.stream);
	full_close(&f);
}

TASK_TEST(unix_connect, is_told_when_the_listener_goes_while_it_waits)
{
	struct full f = full_open();
	struct connecting c = { .path = f.path };

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, connect_once, &c), 0);
	cr_assert_eq(cede_sleep(5), 0);
	close(f.server);
	f.server = -1;
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(c.result, CEDE_ECONNREFUSED);
	cr_assert_null(c.stream);
	full_close(&f);
}

TASK_TEST(unix_connect, cancelled_while_it_waits_leaves_nothing_open)
{
	struct full f = full_open();
	struct connecting c = { .path = f.path };
	cede_task_t *task;
	cede_connect_t op;

	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn_with(&g, connect_once, &c, NULL, &task), 0);
	cr_assert_eq(cede_sleep(5), 0);
	cede_task_cancel(task);
	cr_assert_eq(cede_group_wait(&g), 0);
	cede_task_unref(task);
	cr_assert_eq(c.result, CEDE_EXIT);
	cr_assert_null(c.stream);

	cr_assert_eq(cede_unix_connect_start(f.path, &op), 0);
	cr_assert_not(op.future.is_done);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_await(&op.future), CEDE_ECANCELED);
	cr_assert_null(op.stream);
	full_accept(&f);
	cr_assert_eq(cede_sleep(5), 0);
	cr_assert_eq(fcntl(f.server, F_SETFL, O_NONBLOCK), 0);
	cr_assert_lt(accept(f.server, NULL, NULL), 0, "a connect that was given up has connected");
	full_close(&f);
}

TASK_TEST(unix_connect, a_timeout_scope_ends_it)
{
	struct full f = full_open();
	cede_stream_t *s = NULL;
	int r = 0;

	CEDE_TIMEOUT(5) {
		r = cede_unix_connect(f.path, &s);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_null(s);
	full_close(&f);
}

static cede_connect_t left;

static int
leave_it_waiting(void *path)
{
	cr_assert_eq(cede_unix_connect_start(path, &left), 0);
	cr_assert_not(left.future.is_done);
	return 0;
}

Test(unix_connect, what_is_left_waiting_ends_with_the_loop)
{
	char path[128];
	struct full f;

	leaks_begin();
	f = full_open();
	strcpy(path, f.path);
	cr_assert_eq(cede_run(leave_it_waiting, path), 0);
	cr_assert_eq(left.future.result, CEDE_ECANCELED);
	full_close(&f);
	leaks_end();
}

/* ---- who is there ---- */

TASK_TEST(unix_connect, each_end_knows_the_process_of_the_other)
{
	const char *path = unix_path("socket");
	cede_listener_t *l = NULL;
	cede_stream_t *ends[2] = { NULL, NULL };

	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	cr_assert_eq(cede_unix_connect(path, &ends[0]), 0);
	cr_assert_eq(cede_accept(l, &ends[1]), 0);
	for (int i = 0; i < 2; i++) {
		pid_t pid = 0;
		uid_t uid = 12345;
		gid_t gid = 12345;

		cr_assert_eq(cede_unix_peer(ends[i], &pid, &uid, &gid), 0);
		cr_assert_eq(pid, getpid());
		cr_assert_eq(uid, geteuid());
		cr_assert_eq(gid, getegid());
		cr_assert_eq(cede_unix_peer(ends[i], NULL, NULL, NULL), 0);
	}
	cede_close(ends[0]);
	cede_close(ends[1]);
	cede_listener_close(l);
	unix_dir_end();
}

PAIR_TEST(unix_connect, of_another_stream_nobody_is_known)
{
	pid_t pid = 7;

	cr_assert_eq(cede_unix_peer(p->stream, &pid, NULL, NULL), CEDE_ENOTSUP);
	cr_assert_eq(pid, 7);
	cede__stream_close_transport(p->stream, 0);
	cr_assert_eq(cede_unix_peer(p->stream, &pid, NULL, NULL), CEDE_EBADF);
}

/* ---- out of memory ---- */

static char faulty_path[128];

static int
connect_without_memory(struct pair *p)
{
	cede_stream_t *s = NULL;
	int r = cede_unix_connect(faulty_path, &s);

	cede_close(s);
	return r;
}

static int
wait_without_memory(struct pair *p)
{
	cede_connect_t op;
	int r = cede_unix_connect_start(faulty_path, &op);

	if (r == 0) {
		cr_expect_not(op.future.is_done);
		cede_future_cancel(&op.future);
	}
	return r;
}

Test(unix_connect, without_memory_is_an_error_and_leaves_nothing_open)
{
	int server;

	strcpy(faulty_path, unix_path("socket"));
	server = unix_raw_listen(faulty_path, SOCK_STREAM, 100);
	cr_assert_geq(expect_failures_are_survived(connect_without_memory, FAULT_ONCE), 1);
	cr_assert_geq(expect_failures_are_survived(connect_without_memory, FAULT_FOREVER), 1);
	close(server);
	unlink(faulty_path);
	unix_dir_end();
}

Test(unix_connect, without_memory_does_not_wait)
{
	struct full f = full_open();

	strcpy(faulty_path, f.path);
	cr_assert_geq(expect_failures_are_survived(wait_without_memory, FAULT_ONCE), 2);
	cr_assert_geq(expect_failures_are_survived(wait_without_memory, FAULT_FOREVER), 2);
	full_close(&f);
}

static int
get_a_place_without_memory(void *arg)
{
	struct full *f = arg;
	cede_connect_t op;

	cr_assert_eq(cede_unix_connect_start(f->path, &op), 0);
	full_accept(f);
	fault_arm(1, FAULT_ONCE);
	cr_assert_eq(cede_await(&op.future), CEDE_ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_null(op.stream);
	return 0;
}

/* The memory for a stream is taken when it is connected. */
Test(unix_connect, a_place_that_comes_when_there_is_no_memory_is_an_error)
{
	struct full f;
	int fd;

	leaks_begin();
	fault_install();
	f = full_open();
	cr_assert_eq(cede_run(get_a_place_without_memory, &f), 0);
	fd = peer_accept(f.server);
	cr_assert_eq(peer_receive_end(fd, NULL), 0, "the connection is closed");
	close(fd);
	full_close(&f);
	leaks_end();
}
