/*
 * What opens a socket, where the system refuses it: each code is returned, and nothing is
 * left. The calls are answered here, on their way out of the library.
 */
#include "tests/net/udp_pair.h"

#include <sys/stat.h>
#include <sys/syscall.h>

#include <cede/unix.h>

TestSuite(net_system, .timeout = 30);

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static int socket_code, bind_code, connect_code, join_code; /* an errno; 0: none */

static int
says(int code)
{
	errno = code;
	return code != 0;
}

int
socket(int family, int type, int protocol)
{
	return says(socket_code) ? -1 : (int)syscall(SYS_socket, family, type, protocol);
}

int
bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
	return says(bind_code) ? -1 : (int)syscall(SYS_bind, fd, address.__sockaddr__, size);
}

int
connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
	return says(connect_code) ? -1 : (int)syscall(SYS_connect, fd, address.__sockaddr__, size);
}

int
setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	return says(join_code) ? -1 : (int)syscall(SYS_setsockopt, fd, level, name, value, size);
}

/* ---- no descriptors ---- */

static void
without_sockets(int code)
{
	cede_listener_t *l = NULL;
	cede_stream_t *s = NULL;
	cede_udp_t *u = NULL;
	cede_connect_t op;

	socket_code = code;
	cr_assert_eq(cede_tcp_listen("127.0.0.1:0", NULL, &l), -code);
	cr_assert_eq(cede_tcp_listen_name("127.0.0.1:0", NULL, &l), -code);
	cr_assert_eq(cede_unix_listen("@cede-test-net-system", NULL, &l), -code);
	cr_assert_eq(cede_unix_connect("@cede-test-net-system", &s), -code);
	cr_assert_eq(cede_unix_connect_start("@cede-test-net-system", &op), -code);
	cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &u), -code);
	cr_assert_eq(cede_udp_connect("127.0.0.1:1", NULL, &u), -code);
	socket_code = 0;
	cr_assert_null(l);
	cr_assert_null(s);
	cr_assert_null(u);
}

TASK_TEST(net_system, without_descriptors_nothing_is_opened)
{
	static const int codes[] = { EMFILE, ENFILE, ENOBUFS };

	for (size_t i = 0; i < LENGTH(codes); i++)
		without_sockets(codes[i]);
}

/* ---- addresses that are refused ---- */

TASK_TEST(net_system, what_cannot_be_bound_is_closed)
{
	static const int codes[] = { EACCES, EADDRINUSE, EADDRNOTAVAIL };
	cede_listener_t *l = NULL;
	cede_udp_t *u = NULL;

	for (size_t i = 0; i < LENGTH(codes); i++) {
		bind_code = codes[i];
		cr_assert_eq(cede_tcp_listen("127.0.0.1:0", NULL, &l), -codes[i]);
		cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &u), -codes[i]);
	}
	bind_code = 0;
	cr_assert_null(l);
	cr_assert_null(u);
}

/* Neither the path is left nor the lock beside it. */
TASK_TEST(net_system, a_path_that_cannot_be_bound_is_not_left)
{
	static const int codes[] = { EACCES, EROFS };
	char folder[] = "/tmp/cede-net-system-XXXXXX", path[64];
	cede_listener_t *l = NULL;

	cr_assert_not_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/socket", folder);
	for (size_t i = 0; i < LENGTH(codes); i++) {
		bind_code = codes[i];
		cr_assert_eq(cede_unix_listen(path, NULL, &l), -codes[i]);
	}
	bind_code = 0;
	cr_assert_null(l);
	cr_assert_eq(cede_unix_listen(path, NULL, &l), 0);
	cede_listener_close(l);
	cr_assert_eq(rmdir(folder), 0, "something is left in it");
}

/* ---- peers ---- */

UDP_TEST(net_system, a_peer_that_cannot_be_reached_is_none)
{
	static const int codes[] = { ENETUNREACH, EHOSTUNREACH };
	cede_udp_t *u = NULL;
	cede_address_t peer;

	for (size_t i = 0; i < LENGTH(codes); i++) {
		connect_code = codes[i];
		cr_assert_eq(cede_udp_connect("127.0.0.1:1", NULL, &u), -codes[i]);
		cr_assert_eq(cede_udp_set_peer(p->udp, &p->from), -codes[i]);
		connect_code = 0;
		cr_assert_null(u);
		cr_assert_eq(cede_udp_peer(p->udp, &peer), CEDE_ENOTCONN);
	}
	cr_assert_eq(cede_udp_set_peer(p->udp, &p->from), 0);
}

UDP_TEST(net_system, a_group_too_many_is_an_error)
{
	join_code = ENOBUFS;
	cr_assert_eq(cede_udp_join(p->udp, "239.255.77.1", "lo", NULL), CEDE_ENOBUFS);
	join_code = 0;
	cr_assert_eq(cede_udp_join(p->udp, "239.255.77.1", "lo", NULL), 0);
}

/* ---- a listener that is taken ---- */

static int
do_nothing(void *arg)
{
	return 0;
}

/* The server closes it in every case, so the accept ends as well. */
PAIR_TEST(net_system, a_listener_that_another_task_accepts_from_is_not_served)
{
	cede_accept_t op;

	cr_assert_eq(cede_accept_start(p->listener, &op), 0);
	cr_assert_eq(cede_serve(p->listener, do_nothing, NULL), CEDE_EBUSY);
	p->listener = NULL;
	cr_assert_eq(cede_await(&op.future), CEDE_ECANCELED);
}
