/*
 * What a datagram costs in memory: nothing, waiting or not. Counted is every call of
 * malloc() and its like in this process, whoever makes it.
 */
#include "tests/net/udp_pair.h"

#include "tests/support/mallocs.h"

TestSuite(udp_malloc, .timeout = 60);

#define MALLOC_TEST(name) \
	static void malloc_##name(struct udp_pair *p); \
	Test(udp_malloc, name) \
	{ \
		void (*body)(struct udp_pair *) = malloc_##name; \
		if (!MALLOCS_CAN_COUNT) \
			cr_skip_test("a sanitizer's allocator"); \
		run_gated_to_its_end(run_udp_body, &body); \
	} \
	static void malloc_##name(struct udp_pair *p)

#define WARM_UP 100
#define ROUNDS  5000

static int
echo(void *arg)
{
	cede_udp_t *u = arg;
	cede_udp_info_t info;
	char buffer[64];
	ssize_t n;

	while ((n = cede_udp_receive(u, buffer, sizeof buffer, &info)) >= 0)
		if ((n = cede_udp_send(u, buffer, (size_t)n, &info.peer)) < 0)
			break;
	return cede_is_cancel((int)n) ? 0 : (int)n;
}

static int
echo_many(void *arg)
{
	static cede_datagram_t datagrams[8];
	static char bytes[8][64];
	int n;

	for (int i = 0; i < 8; i++)
		datagrams[i] = (cede_datagram_t){ .data = bytes[i], .capacity = sizeof bytes[i] };
	while ((n = cede_udp_receive_many(arg, datagrams, 8)) >= 0)
		if ((n = cede_udp_send_many(arg, datagrams, (unsigned)n, NULL)) < 0)
			break;
	return cede_is_cancel(n) ? 0 : n;
}

static void
round_trips(cede_udp_t *u, const cede_address_t *to, int count)
{
	char answer[64];

	for (int i = 0; i < count; i++) {
		cr_assert_eq(cede_udp_send(u, "question", 8, to), 8);
		cr_assert_eq(cede_udp_receive(u, answer, sizeof answer, NULL), 8);
	}
}

static void
expect_no_mallocs(cede_fn *server, struct udp_pair *p)
{
	unsigned long before;
	cede_udp_t *u = NULL;

	cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &u), 0);
	CEDE_GROUP(g);
	cr_assert_eq(cede_spawn(&g, server, p->udp), 0);
	round_trips(u, &p->address, WARM_UP);
	before = mallocs_count();
	round_trips(u, &p->address, ROUNDS);
	cr_assert_eq(mallocs_count() - before, 0, "%lu in %d round trips", mallocs_count() - before,
		ROUNDS);
	cede_udp_close(u);
	cede_udp_close(p->udp);
	p->udp = NULL;
	cr_assert_eq(cede_group_wait(&g), 0);
}

MALLOC_TEST(round_trips_cost_none)
{
	expect_no_mallocs(echo, p);
}

MALLOC_TEST(nor_do_batches)
{
	expect_no_mallocs(echo_many, p);
}

/* The counter counts: a socket is not free. */
MALLOC_TEST(a_socket_costs_some)
{
	unsigned long before = mallocs_count();
	cede_udp_t *u = NULL;

	cr_assert_eq(cede_udp_bind("127.0.0.1:0", NULL, &u), 0);
	cr_assert_gt(mallocs_count(), before);
	cede_udp_close(u);
}
