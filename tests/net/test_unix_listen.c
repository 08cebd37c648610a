/* Listening on unix sockets: net/unix_listen.c. */
#include "tests/net/unix_test.h"

#include <sys/file.h>
#include <sys/syscall.h>

TestSuite(unix_listen, .timeout = 30);

/* A listener and one connection through it. */
static void
expect_served(cede_listener_t *l, const char *name)
{
	cede_stream_t *s = NULL;
	int fd = unix_raw_connect(name);
	char byte;

	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	cr_assert_eq(cede_accept(l, &s), 0);
	cr_assert_eq(peer_send(fd, "x", 1), 0);
	cr_assert_eq(cede_read(s, &byte, 1), 1);
	cr_assert_eq(byte, 'x');
	cede_close(s);
	peer_close(fd);
}

static unsigned
mode_of(const char *path)
{
	struct stat found;

	cr_assert_eq(lstat(path, &found), 0);
	return found.st_mode & 07777;
}

/* ---- names ---- */

TASK_TEST(unix_listen, on_a_path_which_goes_with_the_listener)
{
	const char *path = unix_path("socket");
	char name[CEDE_UNIX_NAME_SIZE];
	cede_listener_t *l = NULL;

	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	cr_assert_eq(cede_listener_address(l, name, sizeof name), 0);
	cr_assert_str_eq(name, path);
	expect_served(l, path);
	cede_listener_close(l);
	cr_assert_not(unix_exists(path));
	cr_assert_eq(unix_raw_connect(path), -ENOENT);
	unix_dir_end();
}

TASK_TEST(unix_listen, on_an_abstract_name_which_is_no_file)
{
	char name[CEDE_UNIX_NAME_SIZE], wanted[64];
	cede_listener_t *l = NULL, *other = NULL;

	snprintf(wanted, sizeof wanted, "@cede-test-%d", (int)getpid());
	cr_assert_eq(cede_unix_listen(wanted, NULL, &l), 0);
	cr_assert_eq(cede_listener_address(l, name, sizeof name), 0);
	cr_assert_str_eq(name, wanted);
	cr_assert_not(unix_exists(wanted));
	expect_served(l, wanted);
	cr_assert_eq(cede_unix_listen(wanted, NULL, &other), CEDE_EADDRINUSE);
	cede_listener_close(l);
	cr_assert_eq(cede_unix_listen(wanted, NULL, &other), 0, "the close frees it at once");
	cede_listener_close(other);
}

TASK_TEST(unix_listen, a_name_that_is_too_long_is_refused_and_never_cut_short)
{
	char longest[256], name[CEDE_UNIX_NAME_SIZE];
	cede_listener_t *l = NULL;
	cede_stream_t *s = NULL;
	cede_connect_t op;

	snprintf(longest, sizeof longest, "%s/", unix_path(""));
	while (strlen(longest) < 107)
		strcat(longest, "x");
	cr_assert_eq(cede_unix_listen(longest, NULL, &l), 0);
	cr_assert_eq(cede_listener_address(l, name, sizeof name), 0);
	cr_assert_str_eq(name, longest);
	cede_listener_close(l);

	l = NULL;
	strcat(longest, "x");
	cr_assert_eq(cede_unix_listen(longest, NULL, &l), CEDE_ENAMETOOLONG);
	cr_assert_eq(cede_unix_connect(longest, &s), CEDE_ENAMETOOLONG);
	cr_assert_eq(cede_unix_connect_start(longest, &op), CEDE_ENAMETOOLONG);
	longest[0] = '@';
	cr_assert_eq(cede_unix_listen(longest, NULL, &l), 0, "107 bytes behind the '@'");
	cr_assert_eq(cede_listener_address(l, name, sizeof name), 0);
	cr_assert_str_eq(name, longest);
	cede_listener_close(l);
	l = NULL;
	strcat(longest, "x");
	cr_assert_eq(cede_unix_listen(longest, NULL, &l), CEDE_ENAMETOOLONG);
	cr_assert_null(l);
	cr_assert_null(s);
	unix_dir_end();
}

TASK_TEST(unix_listen, what_is_no_name_or_cannot_be_is_refused)
{
	const cede_unix_options_t mode = { .mode = 0600 }, sticky = { .mode = 01777 };
	const char *path = unix_path("socket");
	cede_listener_t *l = NULL;

	cr_assert_eq(cede_unix_listen(NULL, NULL, &l), CEDE_EINVAL);
	cr_assert_eq(cede_unix_listen("", NULL, &l), CEDE_EINVAL);
	cr_assert_eq(cede_unix_listen("@", NULL, &l), CEDE_EINVAL);
	cr_assert_eq(cede_unix_listen("@cede-test", &mode, &l), CEDE_EINVAL);
	cr_assert_eq(cede_unix_listen(path, &sticky, &l), CEDE_EINVAL);
	cr_assert_eq(cede_unix_listen(unix_path("none/socket"), NULL, &l), CEDE_ENOENT);
	cr_assert_eq(cede_unix_listen("/proc/self/cede-socket", NULL, &l), CEDE_ENOENT);
	cr_assert_null(l);
	unix_dir_end();
}

Test(unix_listen, outside_a_task_is_refused)
{
	cede_listener_t *l = NULL;

	leaks_begin();
	cr_assert_eq(cede_unix_listen("@cede-test", NULL, &l), CEDE_ENOTASK);
	cr_assert_null(l);
	leaks_end();
}

/* ---- who may connect ---- */

/* The mode at the moment from which on one can connect. */
static unsigned mode_heard;
static const char *watched;

int
listen(int fd, int backlog)
{
	if (watched)
		mode_heard = mode_of(watched);
	return (int)syscall(SYS_listen, fd, backlog);
}

TASK_TEST(unix_listen, the_mode_holds_before_anybody_can_connect)
{
	const mode_t umasks[] = { 0, 022, 077, 0777 };
	const unsigned wanted[] = { 0, 0600, 0660, 0666, 0777, 0200 };

	watched = unix_path("socket");
	for (size_t i = 0; i < sizeof umasks / sizeof *umasks; i++)
		for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
			const unsigned mode = wanted[k] ? wanted[k] : 0600;
			cede_listener_t *l = NULL;
			const mode_t before = umask(umasks[i]);

			mode_heard = 0;
			cr_assert_eq(cede_unix_listen(watched,
					     &(cede_unix_options_t){ .mode = wanted[k] }, &l),
				0);
			cr_assert_eq(umask(before), umasks[i], "the process's umask is its own");
			cr_assert_eq(mode_heard, mode, "%o when it began to listen", mode_heard);
			cr_assert_eq(mode_of(watched), mode);
			cede_listener_close(l);
		}
	watched = NULL;
	unix_dir_end();
}

/* ---- what is there already ---- */

TASK_TEST(unix_listen, a_path_that_is_listened_on_is_in_use_and_goes_on)
{
	const char *path = unix_path("socket");
	cede_listener_t *l = NULL, *second = NULL;
	cede_stream_t *s = NULL;

	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	cr_assert_eq(cede_unix_listen(path, NULL, &second), CEDE_EADDRINUSE);
	cr_assert_null(second);
	/* The one who looked is the first in the queue, and gone. */
	cr_assert_eq(cede_accept(l, &s), 0);
	cede_close(s);
	expect_served(l, path);
	cede_listener_close(l);
	unix_dir_end();
}

TASK_TEST(unix_listen, one_whose_queue_is_full_is_in_use_too)
{
	const char *path = unix_path("socket");
	int server = unix_raw_listen(path, SOCK_STREAM, 0), client = unix_raw_connect(path);
	cede_listener_t *l = NULL;

	cr_assert_eq(unix_raw_connect(path), -EAGAIN);
	cr_assert_eq(cede_unix_listen(path, NULL, &l), CEDE_EADDRINUSE);
	cr_assert(unix_exists(path));
	close(client);
	close(server);
	unlink(path);
	unix_dir_end();
}

TASK_TEST(unix_listen, a_path_that_somebody_has_left_is_replaced)
{
	const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

	for (size_t i = 0; i < 3; i++) {
		const char *path = unix_path("socket");
		cede_listener_t *l = NULL;

		close(unix_raw_listen(path, types[i], types[i] == SOCK_DGRAM ? -1 : 1));
		cr_assert(unix_exists(path));
		cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
		expect_served(l, path);
		cede_listener_close(l);
	}
	unix_dir_end();
}

TASK_TEST(unix_listen, a_datagram_socket_that_lives_is_in_use)
{
	const char *path = unix_path("socket");
	int fd = unix_raw_listen(path, SOCK_DGRAM, -1);
	cede_listener_t *l = NULL;

	cr_assert_eq(cede_unix_listen(path, NULL, &l), CEDE_EADDRINUSE);
	cr_assert(unix_exists(path));
	close(fd);
	unlink(path);
	unix_dir_end();
}

TASK_TEST(unix_listen, what_is_no_socket_is_never_removed)
{
	const char *path = unix_path("thing"), *target = unix_path("target");
	cede_listener_t *l = NULL;

	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	cr_assert_eq(cede_unix_listen(path, NULL, &l), CEDE_EADDRINUSE);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkdir(path, 0700), 0);
	cr_assert_eq(cede_unix_listen(path, NULL, &l), CEDE_EADDRINUSE);
	cr_assert_eq(rmdir(path), 0);
	/* A link is not a socket, whatever it points to. */
	close(unix_raw_listen(target, SOCK_STREAM, 1));
	cr_assert_eq(symlink(target, path), 0);
	cr_assert_eq(cede_unix_listen(path, NULL, &l), CEDE_EADDRINUSE);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(unlink(target), 0);
	cr_assert_null(l);
	unix_dir_end();
}

/* ---- two who begin at once ---- */

TASK_TEST(unix_listen, while_another_begins_the_path_is_in_use)
{
	const char *path = unix_path("socket"), *lock = unix_path("socket.cede-lock");
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600), other;
	cede_listener_t *l = NULL;

	cr_assert_eq(flock(fd, LOCK_EX), 0);
	/* Bound, and not listened on: who did not heed the lock would remove it. */
	other = unix_raw_listen(path, SOCK_STREAM, -1);
	cr_assert_eq(cede_unix_listen(path, NULL, &l), CEDE_EADDRINUSE);
	cr_assert(unix_exists(path));
	close(other);
	close(fd);

	/* A lock that nobody holds is nothing. */
	cr_assert(unix_exists(lock));
	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	cr_assert_not(unix_exists(lock));
	cede_listener_close(l);
	unix_dir_end();
}

TASK_TEST(unix_listen, a_lock_that_is_a_link_is_not_followed)
{
	const char *path = unix_path("socket"), *lock = unix_path("socket.cede-lock");
	cede_listener_t *l = NULL;

	cr_assert_eq(symlink("/tmp/cede-nothing", lock), 0);
	cr_assert_eq(cede_unix_listen(path, NULL, &l), CEDE_ELOOP);
	cr_assert_eq(unlink(lock), 0);
	cr_assert_null(l);
	unix_dir_end();
}

enum { RIVALS = 8, ROUNDS = 50 };

static struct {
	pthread_barrier_t start, decided;
	char path[128];
	int results[RIVALS];
} race;

static int
listen_and_hold(void *arg)
{
	cede_listener_t *l = NULL;
	int *result = arg, r;

	pthread_barrier_wait(&race.start);
	r = cede_unix_listen(race.path, NULL, &l);
	*result = r;
	pthread_barrier_wait(&race.decided);
	cede_listener_close(l);
	return 0;
}

static void *
be_a_rival(void *arg)
{
	cede_run(listen_and_hold, arg);
	return NULL;
}

/* All find a path that somebody has left: one of them gets it, and can be connected to. */
Test(unix_listen, of_many_who_begin_at_once_one_listens)
{
	leaks_begin();
	strcpy(race.path, unix_path("socket"));
	for (int round = 0; round < ROUNDS; round++) {
		pthread_t threads[RIVALS];
		int listening = 0, fd;

		close(unix_raw_listen(race.path, SOCK_STREAM, 1));
		pthread_barrier_init(&race.start, NULL, RIVALS);
		pthread_barrier_init(&race.decided, NULL, RIVALS + 1);
		for (int i = 0; i < RIVALS; i++)
			threads[i] = peer_start(be_a_rival, &race.results[i]);
		while (!listening) {
			listening = 1;
			fd = unix_raw_connect(race.path);
			if (fd < 0)
				listening = 0, sched_yield();
			else
				close(fd);
		}
		pthread_barrier_wait(&race.decided);
		listening = 0;
		for (int i = 0; i < RIVALS; i++) {
			peer_join(threads[i]);
			cr_assert(race.results[i] == 0 || race.results[i] == CEDE_EADDRINUSE, "%s",
				cede_strerror(race.results[i]));
			listening += race.results[i] == 0;
		}
		cr_assert_eq(listening, 1, "%d listen", listening);
		cr_assert_not(unix_exists(race.path));
		pthread_barrier_destroy(&race.start);
		pthread_barrier_destroy(&race.decided);
	}
	unix_dir_end();
	leaks_end();
}

/* ---- the close ---- */

TASK_TEST(unix_listen, a_close_leaves_what_has_taken_its_place)
{
	const char *path = unix_path("socket");
	cede_listener_t *l = NULL, *second = NULL;

	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(cede_unix_listen(path, NULL, &second), 0);
	cede_listener_close(l);
	expect_served(second, path);
	cede_listener_close(second);
	cr_assert_not(unix_exists(path));

	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	cr_assert_eq(unlink(path), 0);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	cede_listener_close(l);
	cr_assert_eq(unlink(path), 0);
	unix_dir_end();
}

TASK_TEST(unix_listen, a_close_without_the_path_is_a_close)
{
	const char *path = unix_path("socket");
	cede_listener_t *l = NULL;

	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	cr_assert_eq(unlink(path), 0);
	cede_listener_close(l);
	unix_dir_end();
}

TASK_TEST(unix_listen, one_that_is_closed_refuses_at_once_and_resets_who_waits)
{
	char name[64];
	cede_listener_t *l = NULL;
	int queued;

	snprintf(name, sizeof name, "@cede-test-%d", (int)getpid());
	cr_assert_eq(cede_unix_listen(name, NULL, &l), 0);
	queued = unix_raw_connect(name);
	cede_listener_close(l);
	cr_assert_eq(unix_raw_connect(name), -ECONNREFUSED);
	cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(peer_receive_end(queued, NULL), -ECONNRESET);
	peer_close(queued);
}

static char left_path[128];

static int
leave_it_listening(void *arg)
{
	cede_listener_t *l = NULL;

	cr_assert_eq(cede_unix_listen(left_path, NULL, &l), 0);
	return 0;
}

Test(unix_listen, what_is_left_listening_is_closed_with_the_loop)
{
	leaks_begin();
	strcpy(left_path, unix_path("socket"));
	cr_assert_eq(cede_run(leave_it_listening, NULL), 0);
	cr_assert_not(unix_exists(left_path));
	unix_dir_end();
	leaks_end();
}

/* ---- accepting ---- */

struct accepting {
	cede_listener_t *listener;
	cede_stream_t *stream;
	int result;
};

static int
accept_once(void *arg)
{
	struct accepting *a = arg;

	a->result = cede_accept(a->listener, &a->stream);
	return 0;
}

TASK_TEST(unix_listen, an_accept_waits_is_cancelled_and_is_closed_as_tcps)
{
	const char *path = unix_path("socket");
	struct accepting a = { 0 };
	cede_task_t *task;
	int fd;

	cr_assert_eq(cede_unix_listen(path, NULL, &a.listener), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, accept_once, &a), 0);
	cr_assert_eq(cede_sleep(2), 0);
	fd = unix_raw_connect(path);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(a.result, 0);
	cede_close(a.stream);
	peer_close(fd);

	a.stream = NULL;
	cr_assert_eq(cede_spawn_with(&g, accept_once, &a, NULL, &task), 0);
	let_others_run();
	cede_task_cancel(task);
	cr_assert_eq(cede_group_wait(&g), 0);
	cede_task_unref(task);
	cr_assert_eq(a.result, CEDE_EXIT);
	expect_served(a.listener, path); /* it is as it was */

	cr_assert_eq(cede_spawn(&g, accept_once, &a), 0);
	let_others_run();
	cede_listener_close(a.listener);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(a.result, CEDE_ECANCELED);
	cr_assert_null(a.stream);
	unix_dir_end();
}

TASK_TEST(unix_listen, a_hundred_that_wait_are_all_accepted_in_order)
{
	enum { MANY = 100 };
	const char *path = unix_path("socket");
	cede_listener_t *l = NULL;
	int fds[MANY];

	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	for (unsigned char i = 0; i < MANY; i++) {
		fds[i] = unix_raw_connect(path);
		peer_send(fds[i], &i, 1);
	}
	for (unsigned char i = 0; i < MANY; i++) {
		cede_stream_t *s = NULL;
		unsigned char which;

		cr_assert_eq(cede_accept(l, &s), 0);
		cr_assert_eq(cede_read(s, &which, 1), 1);
		cr_assert_eq(which, i);
		cede_close(s);
		peer_close(fds[i]);
	}
	cede_listener_close(l);
	unix_dir_end();
}

/* ---- out of memory ---- */

static int
listen_without_memory(struct pair *p)
{
	cede_listener_t *l = NULL;
	int r = cede_unix_listen(unix_path("socket"), NULL, &l);

	cr_assert_eq(unix_exists(unix_path("socket")), r == 0);
	cede_listener_close(l);
	return r;
}

Test(unix_listen, without_memory_is_an_error_and_leaves_no_path)
{
	cr_assert_geq(expect_failures_are_survived(listen_without_memory, FAULT_ONCE), 2);
	cr_assert_geq(expect_failures_are_survived(listen_without_memory, FAULT_FOREVER), 2);
	unix_dir_end();
}
