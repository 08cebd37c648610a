/*
 * What a connection costs in memory once it is warm: nothing. Counted is every
 * call of malloc() and its like in this process, whoever makes it.
 */
#include "tests/net/pair.h"

#include <signal.h>

#include "tests/support/mallocs.h"

TestSuite(stream_malloc, .timeout = 60);

#define MALLOC_TEST(name) \
	static void malloc_##name(void); \
	Test(stream_malloc, name) \
	{ \
		void (*body)(void) = malloc_##name; \
		if (!MALLOCS_CAN_COUNT) \
			cr_skip_test("a sanitizer's allocator"); \
		run_gated(run_task_body, &body); \
	} \
	static void malloc_##name(void)

#define WARM_UP 100
#define ROUNDS  10000

/* A client that neither allocates nor knows of the library. */
struct client {
	unsigned port;
	size_t size; /* of a message */
	int rounds;
	int fd;
	unsigned long counted;
	int is_wrong;
};

static void
round_trips(struct client *c, int count)
{
	static char message[65536], reply[65536];

	for (int i = 0; i < count; i++) {
		message[0] = (char)('a' + i % 26);
		message[c->size - 1] = '\n';
		if (peer_send(c->fd, message, c->size) < 0 ||
			peer_receive(c->fd, reply, c->size) != (ssize_t)c->size ||
			reply[0] != message[0])
			c->is_wrong = 1;
	}
}

static void *
count_round_trips(void *arg)
{
	struct client *c = arg;
	unsigned long before;

	c->fd = peer_connect(c->port);
	round_trips(c, WARM_UP);
	before = mallocs_count();
	round_trips(c, c->rounds);
	c->counted = mallocs_count() - before;
	peer_close(c->fd);
	kill(getpid(), SIGUSR1);
	return NULL;
}

static int
echo(void *arg)
{
	char buffer[4096];
	ssize_t n;

	while ((n = cede_read(arg, buffer, sizeof buffer)) > 0)
		if ((n = cede_write(arg, buffer, (size_t)n)) < 0)
			break;
	return (int)n;
}

/* Each read in a timeout scope and each raced against a sleep: the same rule. */
static int
echo_with_deadlines(void *arg)
{
	char buffer[4096];
	ssize_t n = 1;

	while (n > 0) {
		CEDE_TIMEOUT(10000) {
			cede_read_t rd;
			cede_sleep_t tick;

			n = cede_read_start(arg, buffer, sizeof buffer, &rd);
			if (n == 0)
				n = cede_sleep_start(10000, &tick);
			if (n == 0)
				n = cede_select(2, (cede_future_t *[]){ &rd.future, &tick.future });
			n = n < 0 ? n : rd.future.result;
		}
		if (n > 0)
			n = cede_write(arg, buffer, (size_t)n);
	}
	return (int)n;
}

/* A send buffer so small that the writes wait. */
static int
echo_that_waits(void *arg)
{
	static char buffer[65536];
	int small = 16384;
	size_t n = 0;
	ssize_t r;

	setsockopt(((cede_stream_t *)arg)->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	while ((r = cede_read(arg, buffer + n, sizeof buffer - n)) > 0) {
		n += (size_t)r;
		if (n < sizeof buffer)
			continue;
		r = cede_write(arg, buffer, n);
		if (r < 0)
			break;
		n = 0;
	}
	return (int)r;
}

/* What comes in lines goes back in pieces. */
static int
echo_lines(void *arg)
{
	char *line;
	size_t size;
	ssize_t n;

	while ((n = cede_read_line(arg, 0, &line, &size)) > 0) {
		const struct iovec pieces[] = { { line, size }, { NULL, 0 },
			{ &(char){ '\n' }, 1 } };

		n = cede_writev(arg, pieces, 3);
		if (n < 0)
			break;
	}
	return (int)n;
}

static int
echo_lines_that_wait(void *arg)
{
	int small = 16384;

	setsockopt(((cede_stream_t *)arg)->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	return echo_lines(arg);
}

/* Both limits are set, and each message is looked at and taken by a size. */
static int
echo_by_peeking(void *arg)
{
	char buffer[64];
	const void *data;
	ssize_t n = cede_stream_set_idle(arg, 100000);

	if (n == 0)
		n = cede_stream_set_deadline(arg, 1000000);
	while (n >= 0 && (n = cede_peek(arg, 32, &data)) >= 32) {
		n = cede_read_exactly(arg, buffer, sizeof buffer, NULL);
		if (n > 0)
			n = cede_write(arg, buffer, sizeof buffer);
	}
	return n < 0 ? (int)n : 0;
}

static void
expect_no_mallocs(cede_fn *handler, size_t size, int rounds)
{
	struct client c = { .size = size, .rounds = rounds };
	cede_listener_t *l = listen_any(&c.port);
	pthread_t thread = peer_start(count_round_trips, &c);

	cr_assert_eq(cede_serve(l, handler,
			     &(cede_serve_options_t){ .stop_on = (int[]){ SIGUSR1, 0 } }),
		0);
	peer_join(thread);
	cr_assert_not(c.is_wrong);
	cr_assert_eq(c.counted, 0, "%lu in %d round trips", c.counted, rounds);
}

MALLOC_TEST(ten_thousand_round_trips_cost_none)
{
	expect_no_mallocs(echo, 64, ROUNDS);
}

MALLOC_TEST(nor_do_messages_that_fill_the_buffer)
{
	expect_no_mallocs(echo, 8192, ROUNDS);
}

MALLOC_TEST(nor_do_deadlines_and_selects)
{
	expect_no_mallocs(echo_with_deadlines, 64, ROUNDS);
}

MALLOC_TEST(nor_do_writes_that_wait)
{
	expect_no_mallocs(echo_that_waits, 65536, 100);
}

MALLOC_TEST(nor_do_lines_and_pieces)
{
	expect_no_mallocs(echo_lines, 64, ROUNDS);
}

MALLOC_TEST(nor_do_long_lines_and_pieces_that_wait)
{
	expect_no_mallocs(echo_lines_that_wait, 65536, 100);
}

MALLOC_TEST(nor_do_peeks_under_limits)
{
	expect_no_mallocs(echo_by_peeking, 64, ROUNDS);
}

/* The counter counts: a connection that is opened is not free. */
MALLOC_TEST(a_connection_that_is_opened_costs_some)
{
	unsigned long before = mallocs_count();
	struct pair p;

	pair_open(&p);
	cr_assert_gt(mallocs_count(), before);
	pair_close(&p);
}
