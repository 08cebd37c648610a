/*
 * loop/uv_adapters.c and <cede/uv.h>: every kind of request, awaited, refused,
 * given up at each step; and callbacks of a host's own before, inside and outside
 * a run of its loop.
 */
#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <cede/uv.h>

#include "tests/support/run.h"

#include "tests/support/fault.h"
#include "tests/support/order.h"

TestSuite(uv, .timeout = 60);

#define POOL 4

static uv_loop_t *
current_uv(void)
{
	return cede_loop_uv(cede_loop_current());
}

/* ---- every kind ---- */

static int
read_file(const char *path, char *buffer, size_t size)
{
	uv_buf_t buf = uv_buf_init(buffer, (unsigned)size);
	uv_file file;
	cede_uv_op_t op;
	int r = cede_uv_begin(&op), n;

	if (r == 0)
		r = cede_uv_await(&op,
			uv_fs_open(current_uv(), &op.req->fs, path, O_RDONLY, 0, cede_uv_fs_cb));
	cede_uv_end(&op);
	if (r < 0)
		return r;
	file = r;
	n = cede_uv_begin(&op);
	if (n == 0)
		n = cede_uv_await(&op,
			uv_fs_read(current_uv(), &op.req->fs, file, &buf, 1, 0, cede_uv_fs_cb));
	cede_uv_end(&op);
	close(file);
	return n;
}

TASK_TEST(uv, file_operations)
{
	char buffer[64] = "";
	cede_uv_op_t op;

	cr_assert_gt(read_file("/proc/self/comm", buffer, sizeof buffer), 3);
	cr_assert_eq(memcmp(buffer, "test", 4), 0);
	cr_assert_eq(read_file("/nowhere/at/all", buffer, sizeof buffer), UV_ENOENT);
	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_uv_await(&op,
			     uv_fs_scandir(current_uv(), &op.req->fs, "/proc/self", 0,
				     cede_uv_fs_cb)),
		(int)op.req->fs.result);
	cr_assert_gt(op.req->fs.result, 10);
	cede_uv_end(&op);
	cede_uv_end(&op);
	cr_assert_null(op.req);
	return 0;
}

TASK_TEST(uv, that_libuv_refuses_to_start_is_its_code)
{
	cede_uv_op_t op;

	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_uv_await(&op,
			     uv_fs_read(current_uv(), &op.req->fs, 0, NULL, 0, 0, cede_uv_fs_cb)),
		UV_EINVAL);
	cede_uv_end(&op);
	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_uv_started(&op, UV_ENOMEM), UV_ENOMEM);
	cr_assert_eq(cede_await(&op.future), UV_ENOMEM);
	cede_uv_end(&op);
	cr_assert_eq(cede_uv_started(&op, 0), CEDE_EINVAL, "it has ended");
	cr_assert_eq(cede_uv_await(&op, UV_EBUSY), UV_EBUSY);
	return 0;
}

TASK_TEST(uv, that_was_not_started_is_done)
{
	cede_uv_op_t op;

	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_await(&op.future), CEDE_EINVAL);
	cede_uv_end(&op);
	return 0;
}

Test(uv, outside_a_task_is_refused)
{
	cede_uv_op_t op;

	leaks_begin();
	cr_assert_eq(cede_uv_begin(&op), CEDE_ENOTASK);
	cr_assert_null(op.req);
	cede_uv_end(&op);
	leaks_end();
}

TASK_TEST(uv, lookups)
{
	const struct addrinfo hints = { .ai_family = AF_INET, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *addresses;
	struct sockaddr_storage address;
	cede_uv_op_t op;

	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_uv_await(&op,
			     uv_getaddrinfo(current_uv(), &op.req->getaddrinfo,
				     cede_uv_getaddrinfo_cb, "127.0.0.1", "80", &hints)),
		0);
	addresses = op.req->getaddrinfo.addrinfo;
	cr_assert_not_null(addresses);
	memcpy(&address, addresses->ai_addr, addresses->ai_addrlen);
	op.req->getaddrinfo.addrinfo = NULL;
	cede_uv_end(&op);
	uv_freeaddrinfo(addresses); /* was ours */

	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_uv_await(&op,
			     uv_getnameinfo(current_uv(), &op.req->getnameinfo,
				     cede_uv_getnameinfo_cb, (struct sockaddr *)&address,
				     NI_NUMERICHOST | NI_NUMERICSERV)),
		0);
	cr_assert_str_eq(op.req->getnameinfo.host, "127.0.0.1");
	cr_assert_str_eq(op.req->getnameinfo.service, "80");
	cede_uv_end(&op);

	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_uv_await(&op,
			     uv_getaddrinfo(current_uv(), &op.req->getaddrinfo,
				     cede_uv_getaddrinfo_cb, "not an address", NULL, &hints)),
		UV_EAI_NONAME);
	cede_uv_end(&op);
	return 0;
}

TASK_TEST(uv, random_bytes)
{
	unsigned char bytes[64] = { 0 };
	int sum = 0;
	cede_uv_op_t op;

	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_uv_await(&op,
			     uv_random(current_uv(), &op.req->random, bytes, sizeof bytes, 0,
				     cede_uv_random_cb)),
		0);
	cede_uv_end(&op);
	for (size_t i = 0; i < sizeof bytes; i++)
		sum += bytes[i];
	cr_assert_gt(sum, 0);
	return 0;
}

static void
count_work(uv_work_t *req)
{
	order_record("work");
}

TASK_TEST(uv, work)
{
	cede_uv_op_t op;

	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_uv_await(&op,
			     uv_queue_work(current_uv(), &op.req->work, count_work,
				     cede_uv_after_work_cb)),
		0);
	cede_uv_end(&op);
	order_expect("work");
	return 0;
}

/* ---- streams of the host's ---- */

struct handles {
	uv_tcp_t listener, client, server;
	struct sockaddr_in address;
};

static void
on_connection(uv_stream_t *listener, int status)
{
	struct handles *h = listener->data;

	cr_assert_eq(status, 0);
	cr_assert_eq(uv_tcp_init(listener->loop, &h->server), 0);
	cr_assert_eq(uv_accept(listener, (uv_stream_t *)&h->server), 0);
}

static void
open_handles(struct handles *h)
{
	int size = sizeof h->address;

	cr_assert_eq(uv_ip4_addr("127.0.0.1", 0, &h->address), 0);
	cr_assert_eq(uv_tcp_init(current_uv(), &h->listener), 0);
	cr_assert_eq(uv_tcp_bind(&h->listener, (struct sockaddr *)&h->address, 0), 0);
	cr_assert_eq(uv_listen((uv_stream_t *)&h->listener, 8, on_connection), 0);
	cr_assert_eq(uv_tcp_getsockname(&h->listener, (struct sockaddr *)&h->address, &size), 0);
	h->listener.data = h;
	cr_assert_eq(uv_tcp_init(current_uv(), &h->client), 0);
	cr_assert_eq(uv_tcp_init(current_uv(), &h->server), 0);
}

/* A handle's close, awaited: an adapter of the test's own. */
static void
on_close(uv_handle_t *handle)
{
	cede_future_resolve(handle->data, 0, NULL);
}

static void
close_handle(void *handle)
{
	cede_future_t closed;

	if (uv_is_closing(handle))
		return;
	cede_future_init(&closed, NULL);
	((uv_handle_t *)handle)->data = &closed;
	uv_close(handle, on_close);
	cr_assert_eq(cede_await(&closed), 0);
}

static void
connect_handles(struct handles *h)
{
	cede_uv_op_t op;

	open_handles(h);
	uv_close((uv_handle_t *)&h->server, NULL);
	cr_assert_eq(cede_sleep(1), 0); /* the accept makes it anew */
	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_uv_await(&op,
			     uv_tcp_connect(&op.req->connect, &h->client,
				     (struct sockaddr *)&h->address, cede_uv_connect_cb)),
		0);
	cede_uv_end(&op);
	while (!uv_is_writable((uv_stream_t *)&h->server))
		cr_assert_eq(cede_sleep(1), 0);
}

static void
close_handles(struct handles *h)
{
	close_handle(&h->client);
	close_handle(&h->server);
	close_handle(&h->listener);
}

TASK_TEST(uv, connect_write_and_shutdown)
{
	struct handles h;
	uv_buf_t hello = uv_buf_init((char[]){ "hello" }, 5);
	char buffer[16];
	cede_uv_op_t op;
	int fd;

	connect_handles(&h);
	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_uv_await(&op,
			     uv_write(&op.req->write, (uv_stream_t *)&h.client, &hello, 1,
				     cede_uv_write_cb)),
		0);
	cede_uv_end(&op);
	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_uv_await(&op,
			     uv_shutdown(&op.req->shutdown, (uv_stream_t *)&h.client,
				     cede_uv_shutdown_cb)),
		0);
	cede_uv_end(&op);
	cr_assert_eq(uv_fileno((uv_handle_t *)&h.server, &fd), 0);
	cr_assert_eq(recv(fd, buffer, sizeof buffer, 0), 5);
	cr_assert_eq(memcmp(buffer, "hello", 5), 0);
	cr_assert_eq(recv(fd, buffer, sizeof buffer, 0), 0);
	close_handles(&h);
	return 0;
}

TASK_TEST(uv, datagrams)
{
	uv_buf_t hello = uv_buf_init((char[]){ "hello" }, 5);
	struct sockaddr_in address;
	int size = sizeof address;
	cede_uv_op_t op;
	uv_udp_t udp;

	cr_assert_eq(uv_ip4_addr("127.0.0.1", 0, &address), 0);
	cr_assert_eq(uv_udp_init(current_uv(), &udp), 0);
	cr_assert_eq(uv_udp_bind(&udp, (struct sockaddr *)&address, 0), 0);
	cr_assert_eq(uv_udp_getsockname(&udp, (struct sockaddr *)&address, &size), 0);
	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_uv_await(&op,
			     uv_udp_send(&op.req->udp_send, &udp, &hello, 1,
				     (struct sockaddr *)&address, cede_uv_udp_send_cb)),
		0);
	cede_uv_end(&op);
	close_handle(&udp);
	return 0;
}

TASK_TEST(uv, connect_that_fails_is_its_code)
{
	struct handles h;
	cede_uv_op_t op;

	open_handles(&h);
	close_handle(&h.listener);
	cr_assert_eq(cede_uv_begin(&op), 0);
	cr_assert_eq(cede_uv_await(&op,
			     uv_tcp_connect(&op.req->connect, &h.client,
				     (struct sockaddr *)&h.address, cede_uv_connect_cb)),
		UV_ECONNREFUSED);
	cede_uv_end(&op);
	close_handles(&h);
	return 0;
}

/* ---- given up ---- */

static sem_t gate_entered, gate_open;
static atomic_int ran, released;

static void
pass_gate(uv_work_t *req)
{
	sem_post(&gate_entered);
	while (sem_wait(&gate_open))
		;
	atomic_fetch_add(&ran, 1);
}

static void
release(void *data)
{
	cr_assert_eq(data, &released);
	atomic_fetch_add(&released, 1);
}

static void
init_gate(void)
{
	sem_init(&gate_entered, 0, 0);
	sem_init(&gate_open, 0, 0);
	ran = released = 0;
}

static void
await_entries(int n)
{
	while (n > 0)
		if (sem_trywait(&gate_entered) == 0)
			n--;
		else
			cr_assert_eq(cede_sleep(1), 0);
}

struct waiter {
	cede_task_t *task;
	int result;
};

static int
await_gate(void *arg)
{
	struct waiter *w = arg;
	cede_uv_op_t op;

	cr_assert_eq(cede_uv_begin(&op), 0);
	w->result = cede_uv_await(&op,
		uv_queue_work(current_uv(), &op.req->work, pass_gate, cede_uv_after_work_cb));
	cr_assert_not_null(op.req);
	cede_uv_end(&op);
	return cede_sleep(0);
}

static void
spawn_waiters(cede_group_t *group, struct waiter *waiters, int n)
{
	for (int i = 0; i < n; i++) {
		waiters[i].result = 1;
		cr_assert_eq(cede_spawn_with(group, await_gate, &waiters[i], NULL,
				     &waiters[i].task),
			0);
	}
}

static void
join_waiter(struct waiter *w, int task_result, int result)
{
	cr_assert_eq(cede_join(w->task, NULL), task_result);
	cr_assert_eq(w->result, result);
	cede_task_unref(w->task);
}

TASK_TEST(uv, await_given_up_returns_when_libuv_has_let_go)
{
	CEDE_GROUP(group);
	struct waiter running, waiters[POOL];

	init_gate();
	spawn_waiters(&group, waiters, POOL - 1);
	spawn_waiters(&group, &running, 1);
	await_entries(POOL);
	spawn_waiters(&group, &waiters[POOL - 1], 1);
	cr_assert_eq(cede_sleep(1), 0);

	cede_task_cancel(waiters[POOL - 1].task); /* has not begun: it never does */
	join_waiter(&waiters[POOL - 1], CEDE_ECANCELED, CEDE_EXIT);
	cede_task_cancel(running.task);
	cr_assert_eq(cede_sleep(1000), 0);
	cr_assert_eq(running.result, 1, "it waits for the thread");
	for (int i = 0; i < POOL; i++)
		sem_post(&gate_open);
	join_waiter(&running, CEDE_ECANCELED, 0);
	for (int i = 0; i < POOL - 1; i++)
		join_waiter(&waiters[i], 0, 0);
	cr_assert_eq(ran, POOL);
	return 0;
}

TASK_TEST(uv, select_that_gives_one_up_returns_at_once_and_its_data_is_released_later)
{
	cede_uv_op_t op;
	cede_sleep_t tick;

	init_gate();
	cr_assert_eq(cede_uv_begin(&op), 0);
	op.data = &released;
	op.data_dtor = release;
	cr_assert_eq(cede_uv_started(&op,
			     uv_queue_work(current_uv(), &op.req->work, pass_gate,
				     cede_uv_after_work_cb)),
		0);
	await_entries(1);
	cr_assert_eq(cede_sleep_start(1, &tick), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &op.future, &tick.future }), 1);
	cr_assert_eq(op.future.result, CEDE_ECANCELED);
	cr_assert_null(op.req);
	cede_uv_end(&op);
	memset(&op, 0xee, sizeof op);
	cr_assert_eq(released, 0);
	sem_post(&gate_open);
	while (released == 0)
		cr_assert_eq(cede_sleep(1), 0);
	cr_assert_eq(ran, 1);
	return 0;
}

/* Given up at once, at the end of an op that is under way: begun, or not, or over. */
TASK_TEST(uv, open_that_is_given_up_leaves_no_file_open)
{
	for (int i = 0; i < 300; i++) {
		const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST };
		cede_uv_op_t ops[3];

		for (int j = 0; j < 3; j++) {
			cr_assert_eq(cede_uv_begin(&ops[j]), 0);
			ops[j].data = &released;
			ops[j].data_dtor = release;
		}
		cr_assert_eq(cede_uv_started(&ops[0],
				     uv_fs_open(current_uv(), &ops[0].req->fs, "/dev/null",
					     O_RDONLY, 0, cede_uv_fs_cb)),
			0);
		cr_assert_eq(cede_uv_started(&ops[1],
				     uv_getaddrinfo(current_uv(), &ops[1].req->getaddrinfo,
					     cede_uv_getaddrinfo_cb, "127.0.0.1", NULL, &hints)),
			0);
		cr_assert_eq(cede_uv_started(&ops[2],
				     uv_fs_opendir(current_uv(), &ops[2].req->fs, "/",
					     cede_uv_fs_cb)),
			0);
		for (int turns = i % 4; turns > 0; turns--)
			sched_yield();
		for (int j = 0; j < 3; j++)
			cede_uv_end(&ops[j]);
		if (i % 2)
			while (released < 3 * (i + 1))
				cr_assert_eq(cede_sleep(1), 0);
	}
	return 0; /* the detach waits for the rest */
}

static void
abort_client(cede_uv_op_t *op)
{
	uv_close(op->data, NULL);
}

static int
write_too_much(void *arg)
{
	static char megabytes[1 << 24];
	struct handles *h = arg;
	uv_buf_t buf = uv_buf_init(megabytes, sizeof megabytes);
	cede_uv_op_t op;
	int r;

	cr_assert_eq(cede_uv_begin(&op), 0);
	op.abort = abort_client;
	op.data = &h->client;
	r = cede_uv_await(&op,
		uv_write(&op.req->write, (uv_stream_t *)&h->client, &buf, 1, cede_uv_write_cb));
	cede_uv_end(&op);
	order_record(r == CEDE_ETIMEDOUT ? "timed out" : cede_strerror(r));
	return r;
}

TASK_TEST(uv, write_that_is_given_up_is_aborted_as_told)
{
	struct handles h;
	int r = 0;

	connect_handles(&h);
	CEDE_TIMEOUT(10) {
		r = write_too_much(&h);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert(uv_is_closing((uv_handle_t *)&h.client));
	order_expect("timed out");
	cr_assert_eq(cede_sleep(1), 0);
	close_handles(&h);
	return 0;
}

/* As the write's owner would: it is given up, then its handle goes. */
TASK_TEST(uv, write_that_is_given_up_in_a_select_may_be_left_alone)
{
	static char megabytes[1 << 24];
	uv_buf_t buf = uv_buf_init(megabytes, sizeof megabytes);
	struct handles h;
	cede_uv_op_t op;
	cede_sleep_t tick;

	connect_handles(&h);
	cr_assert_eq(cede_uv_begin(&op), 0);
	op.data = &released;
	op.data_dtor = release;
	cr_assert_eq(cede_uv_started(&op,
			     uv_write(&op.req->write, (uv_stream_t *)&h.client, &buf, 1,
				     cede_uv_write_cb)),
		0);
	cr_assert_eq(cede_sleep_start(10, &tick), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &op.future, &tick.future }), 1);
	cr_assert_eq(released, 0);
	close_handles(&h);
	cr_assert_eq(released, 1);
	cede_uv_end(&op);
	return 0;
}

static int
leave_gate(void *arg)
{
	cede_uv_op_t op;

	cr_assert_eq(cede_uv_begin(&op), 0);
	op.data = &released;
	op.data_dtor = release;
	cr_assert_eq(cede_uv_started(&op,
			     uv_queue_work(current_uv(), &op.req->work, pass_gate,
				     cede_uv_after_work_cb)),
		0);
	int r = cede_await(&op.future);

	cede_uv_end(&op);
	return r;
}

static void *
open_the_gate(void *arg)
{
	sem_post(&gate_open);
	return NULL;
}

Test(uv, detach_waits_for_requests_that_libuv_has)
{
	pthread_t thread;
	cede_loop_t *loop;
	uv_loop_t uv;

	leaks_begin();
	init_gate();
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(cede_attach(&loop, &uv, NULL), 0);
	cr_assert_eq(cede_start(loop, leave_gate, NULL, NULL, NULL), 0);
	uv_run(&uv, UV_RUN_NOWAIT);
	while (sem_wait(&gate_entered))
		;
	cr_assert_eq(pthread_create(&thread, NULL, open_the_gate, NULL), 0);
	cr_assert_eq(cede_detach(loop), 0);
	cr_assert_eq(released, 1);
	cr_assert_eq(uv_loop_close(&uv), 0);
	pthread_join(thread, NULL);
	leaks_end();
}

/* ---- a host's own callbacks ---- */

struct host {
	uv_loop_t uv;
	cede_loop_t *loop;
	uv_timer_t timer, other;
	uv_async_t async;
	uv_idle_t idle;
	cede_uv_op_t op;
	cede_future_t future;
};

static void
tick(uv_timer_t *timer)
{
}

static int
await_both(void *arg)
{
	struct host *host = arg;

	cr_assert_eq(cede_uv_begin(&host->op), 0);
	cr_assert_eq(cede_uv_started(&host->op, 0), 0); /* a request of the host's own kind */
	cr_assert_eq(cede_await(&host->op.future), 3);
	cede_uv_end(&host->op);
	order_record("request");
	cede_future_init(&host->future, NULL);
	cr_assert_eq(cede_await(&host->future), 4);
	order_record("future");
	return 0;
}

static void
finish(struct host *host, int which)
{
	if (which == 0)
		cede_uv_done(&host->op.req->req, 3);
	else
		cr_assert_eq(cede_future_resolve(&host->future, 4, NULL), 0);
	order_record("callback");
}

static int phase;

static void
finish_in_timer(uv_timer_t *timer)
{
	finish(timer->data, phase);
}

static void
finish_in_async(uv_async_t *async)
{
	finish(async->data, phase);
}

static void
finish_in_idle(uv_idle_t *idle)
{
	uv_idle_stop(idle);
	finish(idle->data, phase);
}

enum path { BETWEEN_RUNS, IN_A_TIMER, IN_AN_ASYNC, IN_AN_IDLE, PATHS };

static void
trigger(struct host *host, enum path path)
{
	if (path == BETWEEN_RUNS)
		finish(host, phase);
	else if (path == IN_A_TIMER)
		uv_timer_start(&host->timer, finish_in_timer, 5, 0);
	else if (path == IN_AN_ASYNC)
		uv_async_send(&host->async);
	else
		uv_idle_start(&host->idle, finish_in_idle);
}

/* A turn of the host's: the loop runs on a clock that jumps to what is due next. */
static void
turn(struct host *host, uv_run_mode mode)
{
	uv_run(&host->uv, mode);
	if (mode == UV_RUN_NOWAIT)
		clock_advance(5);
}

Test(uv, a_hosts_callbacks_resolve_before_inside_and_outside_a_run)
{
	static const uv_run_mode modes[] = { UV_RUN_ONCE, UV_RUN_NOWAIT };

	for (int i = 0; i < PATHS * 2; i++) {
		struct host host;
		int n = 0;

		leaks_begin();
		clock_start();
		cr_assert_eq(uv_loop_init(&host.uv), 0);
		cr_assert_eq(cede_attach(&host.loop, &host.uv, NULL), 0);
		uv_timer_init(&host.uv, &host.timer);
		uv_timer_init(&host.uv, &host.other);
		uv_timer_start(&host.other, tick, 7, 7);
		uv_async_init(&host.uv, &host.async, finish_in_async);
		uv_idle_init(&host.uv, &host.idle);
		host.timer.data = host.async.data = host.idle.data = &host;
		cr_assert_eq(cede_start(host.loop, await_both, &host, NULL, NULL), 0);
		turn(&host, UV_RUN_NOWAIT);
		for (phase = 0; phase < 2; phase++) {
			trigger(&host, (enum path)(i / 2));
			for (n = 0; n < 4; n++)
				turn(&host, modes[i % 2]);
		}
		/* The end of a request runs who waits for it; a bare future lets that wait for the turn. */
		order_expect("request", "callback", "callback", "future");
		uv_close((uv_handle_t *)&host.timer, NULL);
		uv_close((uv_handle_t *)&host.other, NULL);
		uv_close((uv_handle_t *)&host.async, NULL);
		uv_close((uv_handle_t *)&host.idle, NULL);
		uv_run(&host.uv, UV_RUN_DEFAULT);
		cr_assert_eq(cede_detach(host.loop), 0);
		cr_assert_eq(uv_loop_close(&host.uv), 0);
		clock_stop();
		leaks_end();
	}
}

/* ---- memory ---- */

static int
use_requests(void *arg)
{
	char buffer[64];
	int n = 0, r = 0;

	for (int i = 0; i < 3 && r >= 0; i++) {
		r = read_file("/proc/self/comm", buffer, sizeof buffer);
		n += r > 0;
	}
	return r < 0 ? r : n == 3 ? 0 : CEDE_EINVAL;
}

Test(uv, shortage_anywhere_is_an_error)
{
	unsigned n = 0, failed;

	leaks_begin();
	clock_start();
	fault_install();
	do {
		int r;

		n++;
		fault_arm(n, n % 2 ? FAULT_ONCE : FAULT_FOREVER);
		r = cede_run(use_requests, NULL);
		failed = fault_disarm();
		cede__thread_cleanup();
		cr_assert_eq(cede__alloc_outstanding(), 0, "request %u", n);
		cr_assert_eq(leaks_count_fds(), leaks_fds, "request %u", n);
		cr_assert(r == 0 || (r == CEDE_ENOMEM && failed > 0), "request %u: %d", n, r);
	} while (failed > 0);
	clock_stop();
	leaks_end();
}

static int
use_requests_again_and_again(void *arg)
{
	cr_assert_eq(use_requests(NULL), 0);
	const unsigned before = fault_requests();

	for (int i = 0; i < 20; i++)
		cr_assert_eq(use_requests(NULL), 0);
	cr_assert_eq(fault_requests(), before);
	return 0;
}

Test(uv, asks_for_no_memory_in_the_steady_state)
{
	fault_install();
	cr_assert_eq(run_gated(use_requests_again_and_again, NULL), 0);
}

/* More at a time than are kept. */
TASK_TEST(uv, many_at_a_time)
{
	enum { MANY = 50 };
	static cede_uv_op_t ops[MANY];
	static char bytes[MANY][8];

	for (int i = 0; i < MANY; i++) {
		cr_assert_eq(cede_uv_begin(&ops[i]), 0);
		cr_assert_eq(cede_uv_started(&ops[i],
				     uv_random(current_uv(), &ops[i].req->random, bytes[i], 8, 0,
					     cede_uv_random_cb)),
			0);
	}
	for (int i = 0; i < MANY; i++)
		cr_assert_eq(cede_await(&ops[i].future), 0);
	for (int i = 0; i < MANY; i++)
		cede_uv_end(&ops[i]);
	return 0;
}
