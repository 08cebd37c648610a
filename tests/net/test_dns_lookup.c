/* Lookups: net/dns.c, net/dns_request.c. The resolver is the test's own. */
#include "net/dns_int.h"
#include "tests/net/address_text.h"
#include "tests/net/pair.h"
#include "tests/net/resolver.h"

static const struct resolver_host hosts[] = {
	{ .name = "two.test", .addresses = "2001:db8::1 192.0.2.1", .canonical = "real.test" },
	{ .name = "four.test", .addresses = "192.0.2.4" },
	{ .name = "many.test", .repeats = 10000 },
	{ .name = "again.test", .result = EAI_AGAIN },
	{ .name = "fail.test", .result = EAI_FAIL },
	{ .name = "memory.test", .result = EAI_MEMORY },
	{ .name = "nothing.test" },
	{ .name = NULL },
};

static void
set_up(void)
{
	resolver_init();
	resolver_hosts = hosts;
}

TestSuite(dns_lookup, .timeout = 30, .init = set_up);

struct looker {
	const char *host;
	cede_dns_result_t *found;
	int result, has_ended;
};

static int
look_up(void *arg)
{
	struct looker *l = arg;

	l->result = cede_dns_lookup(l->host, "80", NULL, &l->found);
	l->has_ended = 1;
	return 0;
}

/* ---- it succeeds ---- */

TASK_TEST(dns_lookup, returns_the_addresses_in_the_resolvers_order)
{
	cede_dns_result_t *found = NULL;

	cr_assert_eq(cede_dns_lookup("two.test", "443", NULL, &found), 0);
	cr_assert_eq(found->count, 2);
	cr_assert_str_eq(text_of(&found->addresses[0]), "[2001:db8::1]:443");
	cr_assert_str_eq(text_of(&found->addresses[1]), "192.0.2.1:443");
	cr_assert(cede_address_is_ipv6(&found->addresses[0]));
	cr_assert_null(found->canonical);
	cr_assert_not(found->is_cut);
	cr_assert_eq(resolver_lists, 0, "what the system gave was given back");
	cede_dns_result_destroy(found);
}

TASK_TEST(dns_lookup, heeds_its_options)
{
	cede_dns_options_t options = { .family = CEDE_DNS_IPV4, .wants_canonical = 1 };
	cede_dns_result_t *found = NULL;

	cr_assert_eq(cede_dns_lookup("two.test", "https", &options, &found), 0);
	cr_assert_eq(found->count, 1);
	cr_assert_str_eq(text_of(&found->addresses[0]), "192.0.2.1:443");
	cr_assert_str_eq(found->canonical, "real.test");
	cede_dns_result_destroy(found);

	options = (cede_dns_options_t){ .max = 1 };
	cr_assert_eq(cede_dns_lookup("two.test", NULL, &options, &found), 0);
	cr_assert_eq(found->count, 1);
	cr_assert(found->is_cut);
	cr_assert_str_eq(text_of(&found->addresses[0]), "[2001:db8::1]:0");
	cede_dns_result_destroy(found);
}

TASK_TEST(dns_lookup, of_ten_thousand_addresses_keeps_64)
{
	cede_dns_result_t *found = NULL;

	cr_assert_eq(cede_dns_lookup("many.test", "1", NULL, &found), 0);
	cr_assert_eq(found->count, CEDE_DNS_ADDRESSES_MAX);
	cr_assert(found->is_cut);
	cede_dns_result_destroy(found);
}

TASK_TEST(dns_lookup, what_is_numeric_asks_nobody_and_never_waits)
{
	cede_dns_lookup_t op;

	cr_assert_eq(cede_dns_lookup_start("::1", "80", NULL, &op), 0);
	cr_assert(op.future.is_done);
	cr_assert_eq(op.future.result, 0);
	cr_assert_str_eq(text_of(&op.result->addresses[0]), "[::1]:80");
	cede_dns_result_destroy(op.result);
	cr_assert_eq(resolver_asked, 0);
}

TASK_TEST(dns_lookup, a_service_has_a_port)
{
	unsigned port = 0;

	cr_assert_eq(cede_dns_service("https", 0, &port), 0);
	cr_assert_eq(port, 443);
	cr_assert_eq(cede_dns_service("domain", 1, &port), 0);
	cr_assert_eq(port, 53);
	cr_assert_eq(resolver_asked, 2);
	cr_assert_eq(cede_dns_service("8080", 0, &port), 0);
	cr_assert_eq(port, 8080);
	cr_assert_eq(resolver_asked, 2);
	cr_assert_eq(cede_dns_service("no-such", 0, &port), CEDE_EAI_SERVICE);
	cr_assert_eq(cede_dns_service("", 0, &port), CEDE_EINVAL);
	cr_assert_eq(cede_dns_service(NULL, 0, &port), CEDE_EINVAL);
	cr_assert_eq(port, 8080);
}

TASK_TEST(dns_lookup, of_a_text_gives_socket_addresses)
{
	struct sockaddr_storage found[4];

	cr_assert_eq(cede__dns_resolve("two.test:80", 0, found, 4), 2);
	cr_assert_eq(found[0].ss_family, AF_INET6);
	cr_assert_eq(ntohs(((struct sockaddr_in *)&found[1])->sin_port), 80);
	cr_assert_eq(cede__dns_resolve("two.test:80", 0, found, 1), 1);
	cr_assert_eq(cede__dns_resolve(":7000", 1, found, 4), 2);
	cr_assert(IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)&found[0])->sin6_addr));
	cr_assert_eq(cede__dns_resolve("[::1]:http", 1, found, 4), 1);
	cr_assert_eq(cede__dns_resolve("two.test", 1, found, 4), CEDE_EINVAL);
	cr_assert_eq(cede__dns_resolve("none.test:1", 1, found, 4), CEDE_EAI_NONAME);
}

/* ---- it fails ---- */

TASK_TEST(dns_lookup, each_error_of_the_resolver_is_its_code)
{
	const cede_dns_options_t v6 = { .family = CEDE_DNS_IPV6 };
	cede_dns_result_t *found = NULL;

	cr_assert_eq(cede_dns_lookup("none.test", "80", NULL, &found), CEDE_EAI_NONAME);
	cr_assert_eq(cede_dns_lookup("again.test", "80", NULL, &found), CEDE_EAI_AGAIN);
	cr_assert_eq(cede_dns_lookup("fail.test", "80", NULL, &found), CEDE_EAI_FAIL);
	cr_assert_eq(cede_dns_lookup("memory.test", "80", NULL, &found), CEDE_ENOMEM);
	cr_assert_eq(cede_dns_lookup("nothing.test", "80", NULL, &found), CEDE_EAI_NODATA);
	cr_assert_eq(cede_dns_lookup("four.test", "80", &v6, &found), CEDE_EAI_ADDRFAMILY);
	cr_assert_eq(cede_dns_lookup("four.test", "no-such", NULL, &found), CEDE_EAI_SERVICE);
	cr_assert_null(found);
}

TASK_TEST(dns_lookup, what_is_no_name_asks_nobody)
{
	cede_dns_result_t *found = NULL;
	cede_dns_lookup_t op;

	cr_assert_eq(cede_dns_lookup("", "80", NULL, &found), CEDE_EINVAL);
	cr_assert_eq(cede_dns_lookup("a b", "80", NULL, &found), CEDE_EINVAL);
	cr_assert_eq(cede_dns_lookup("127.1", "80", NULL, &found), CEDE_EINVAL);
	cr_assert_eq(cede_dns_lookup_start("a..b", "80", NULL, &op), CEDE_EINVAL);
	cr_assert_eq(cede_dns_lookup_start("a", "", NULL, &op), CEDE_EINVAL);
	cr_assert_eq(resolver_asked, 0);
	cr_assert_null(found);
}

TASK_TEST(dns_lookup, time_is_limited_and_the_thread_goes_on)
{
	const cede_dns_options_t options = { .timeout_ms = 5 };
	cede_dns_lookup_t op;

	resolver_hold();
	cr_assert_eq(cede_dns_lookup_start("two.test", "80", &options, &op), 0);
	resolver_await(1);
	cr_assert_eq(cede_await(&op.future), CEDE_ETIMEDOUT);
	cr_assert_null(op.result);
	cr_assert_eq(resolver_inside, 1, "nobody can stop it");
	cr_assert_eq(cede_loop_current()->lookups.running, 1);
	resolver_let_go(); /* the loop's end waits for it */
}

TASK_TEST(dns_lookup, time_is_limited_for_those_that_wait_their_turn)
{
	const cede_dns_options_t options = { .timeout_ms = 5 };
	cede_dns_result_t *found = NULL;
	cede_dns_lookup_t ops[2];

	resolver_hold();
	for (int i = 0; i < 2; i++)
		cr_assert_eq(cede_dns_lookup_start("two.test", "80", NULL, &ops[i]), 0);
	resolver_await(2);
	cr_assert_eq(cede_dns_lookup("four.test", "80", &options, &found), CEDE_ETIMEDOUT);
	cr_assert_null(found);
	resolver_let_go();
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(cede_await(&ops[i].future), 0);
		cede_dns_result_destroy(ops[i].result);
	}
	cr_assert_eq(resolver_asked, 2, "it was never asked for");
}

Test(dns_lookup, outside_a_task_is_refused)
{
	cede_dns_result_t *found = NULL;
	cede_dns_names_t names;
	cede_dns_lookup_t op;
	cede_dns_reverse_t reverse;
	unsigned port;

	leaks_begin();
	cr_assert_eq(cede_dns_lookup("a", "80", NULL, &found), CEDE_ENOTASK);
	cr_assert_eq(cede_dns_lookup_start("a", "80", NULL, &op), CEDE_ENOTASK);
	cr_assert_eq(cede_dns_reverse("127.0.0.1:80", NULL, &names), CEDE_ENOTASK);
	cr_assert_eq(cede_dns_reverse_start("127.0.0.1:80", NULL, &reverse), CEDE_ENOTASK);
	cr_assert_eq(cede_dns_service("http", 0, &port), CEDE_ENOTASK);
	cr_assert_null(found);
	leaks_end();
}

/* ---- the limit ---- */

enum { LOOKUPS = 8 };

TASK_TEST(dns_lookup, two_at_a_time_are_in_the_pool_and_files_go_on)
{
	static struct looker lookers[LOOKUPS];
	cede_stat_t st;
	CEDE_GROUP(g);

	resolver_hold();
	for (int i = 0; i < LOOKUPS; i++) {
		lookers[i].host = i < 4 ? "two.test" : "four.test";
		cr_assert_eq(cede_spawn(&g, look_up, &lookers[i]), 0);
	}
	let_others_run();
	resolver_await(2);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(cede_path_stat("/", &st), 0);
	cr_assert_eq(resolver_asked, 2);
	resolver_let_go();
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(resolver_asked, LOOKUPS);
	cr_assert_eq(resolver_inside_max, 2);
	for (int i = 0; i < LOOKUPS; i++) {
		cr_assert_eq(lookers[i].result, 0);
		cede_dns_result_destroy(lookers[i].found);
		/* Two are inside at a time: the fourth and the fifth may pass each other. */
		if (i != 3 && i != 4)
			cr_assert_str_eq(resolver_order[i], lookers[i].host,
				"first come, first served");
	}
}

TASK_TEST(dns_lookup, the_limit_can_be_set)
{
	cede_loop_t *loop = cede_loop_current();
	cede_dns_lookup_t ops[3];

	cede_dns_set_limit(loop, 1);
	resolver_hold();
	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_dns_lookup_start("two.test", "80", NULL, &ops[i]), 0);
	resolver_await(1);
	cr_assert_eq(loop->lookups.running, 1);
	cede_dns_set_limit(loop, 0); /* the default: one more may */
	resolver_await(1);
	cr_assert_eq(loop->lookups.running, 2);
	cede_dns_set_limit(loop, 1);
	cr_assert_eq(loop->lookups.running, 2, "those that run are left alone");
	resolver_let_go();
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(cede_await(&ops[i].future), 0);
		cede_dns_result_destroy(ops[i].result);
	}
	cr_assert_eq(loop->lookups.running, 0);
}

/* ---- cancelled ---- */

static int
look_up_while_closing(void *arg)
{
	struct looker *l = arg;

	close_oneself();
	l->result = cede_dns_lookup(l->host, "80", NULL, &l->found);
	return l->result;
}

TASK_TEST(dns_lookup, cancelled_before_it_starts_asks_nobody)
{
	struct looker l = { .host = "two.test" };
	CEDE_GROUP(g);

	cr_assert_eq(cede_spawn(&g, look_up_while_closing, &l), 0);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(l.result, CEDE_EXIT);
	cr_assert_null(l.found);
	cr_assert_eq(resolver_asked, 0);
}

/* One runs and one waits its turn: both are gone at once, and one thread is still at it. */
TASK_TEST(dns_lookup, a_cancel_abandons)
{
	struct looker lookers[2] = { { .host = "two.test" }, { .host = "four.test" } };
	cede_loop_t *loop = cede_loop_current();
	CEDE_GROUP(g);

	cede_dns_set_limit(loop, 1);
	resolver_hold();
	for (int i = 0; i < 2; i++)
		cr_assert_eq(cede_spawn(&g, look_up, &lookers[i]), 0);
	let_others_run();
	resolver_await(1);
	cede_group_cancel(&g);
	cr_assert_eq(cede_group_wait(&g), 0);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(lookers[i].result, CEDE_EXIT);
		cr_assert_null(lookers[i].found);
	}
	cr_assert_eq(loop->lookups.running, 1, "it holds a thread");
	cr_assert(cede__list_is_empty(&loop->lookups.waiting));
	resolver_let_go();
	cr_assert_eq(cede_dns_lookup("two.test", "80", NULL, &lookers[0].found), 0);
	cede_dns_result_destroy(lookers[0].found);
	cr_assert_eq(resolver_asked, 2, "one was never asked for");
	cr_assert_eq(resolver_lists, 0, "the answer nobody waited for was dropped");
}

static int
look_up_service(void *arg)
{
	unsigned port;

	*(int *)arg = cede_dns_service("https", 0, &port);
	return 0;
}

static int
look_up_service_in_time(void *arg)
{
	CEDE_TIMEOUT(5)
		look_up_service(arg);
	return 0;
}

TASK_TEST(dns_lookup, a_service_that_is_given_up_is_abandoned)
{
	int given_up = 0, too_late = 0;
	cede_task_t *task;
	CEDE_GROUP(g);

	resolver_hold();
	cr_assert_eq(cede_spawn_with(&g, look_up_service, &given_up, NULL, &task), 0);
	cr_assert_eq(cede_spawn(&g, look_up_service_in_time, &too_late), 0);
	let_others_run();
	resolver_await(2);
	cr_assert_eq(cede_task_cancel(task), 1);
	cr_assert_eq(cede_group_wait(&g), 0);
	cr_assert_eq(given_up, CEDE_EXIT);
	cr_assert_eq(too_late, CEDE_ETIMEDOUT);
	cede_task_unref(task);
	resolver_let_go();
}

TASK_TEST(dns_lookup, the_losers_of_a_select_are_abandoned)
{
	cede_dns_lookup_t slow, fast;

	resolver_hold();
	cr_assert_eq(cede_dns_lookup_start("two.test", "80", NULL, &slow), 0);
	cr_assert_eq(cede_dns_lookup_start("127.0.0.1", "80", NULL, &fast), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &slow.future, &fast.future }), 1);
	cr_assert_eq(slow.future.result, CEDE_ECANCELED);
	cr_assert_null(slow.result);
	cede_dns_result_destroy(fast.result);
	resolver_let_go();
}

TASK_TEST(dns_lookup, cancelled_when_it_is_answered_keeps_its_result)
{
	cede_dns_lookup_t op;

	cr_assert_eq(cede_dns_lookup_start("two.test", "80", NULL, &op), 0);
	cr_assert_eq(cede_wait_any(1, (cede_future_t *[]){ &op.future }), 0);
	cede_future_cancel(&op.future);
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_eq(op.result->count, 2);
	cede_dns_result_destroy(op.result);
}

/* Nothing of the caller's is used after the start. */
TASK_TEST(dns_lookup, keeps_no_text_of_the_callers)
{
	char host[] = "two.test", service[] = "80";
	cede_dns_options_t options = { .family = CEDE_DNS_IPV6 };
	cede_dns_lookup_t first, op;

	cede_dns_set_limit(cede_loop_current(), 1);
	resolver_hold();
	cr_assert_eq(cede_dns_lookup_start("four.test", "80", NULL, &first), 0);
	cr_assert_eq(cede_dns_lookup_start(host, service, &options, &op), 0);
	memset(host, 'x', sizeof host - 1);
	memset(service, 'x', sizeof service - 1);
	memset(&options, 0xff, sizeof options);
	resolver_let_go();
	cr_assert_eq(cede_await(&op.future), 0);
	cr_assert_str_eq(text_of(&op.result->addresses[0]), "[2001:db8::1]:80");
	cede_dns_result_destroy(op.result);
	cr_assert_eq(cede_await(&first.future), 0);
	cede_dns_result_destroy(first.result);
}

/* ---- the end of a loop ---- */

static sem_t has_left;

static void *
let_go_in_time(void *arg)
{
	while (sem_wait(&has_left))
		;
	resolver_let_go();
	return NULL;
}

static int
leave_lookups(void *arg)
{
	struct looker lookers[3] = { { .host = "two.test" }, { .host = "two.test" },
		{ .host = "two.test" } };
	CEDE_GROUP(g);

	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_spawn(&g, look_up, &lookers[i]), 0);
	let_others_run();
	resolver_await(2);
	sem_post(&has_left);
	return 0; /* its block cancels them */
}

Test(dns_lookup, a_loop_ends_when_abandoned_ones_are_back)
{
	pthread_t thread;

	leaks_begin();
	sem_init(&has_left, 0, 0);
	resolver_hold();
	thread = peer_start(let_go_in_time, NULL);
	cr_assert_eq(cede_run(leave_lookups, NULL), 0);
	cr_assert_eq(resolver_inside, 0);
	cr_assert_eq(resolver_asked, 2);
	cr_assert_eq(resolver_lists, 0);
	peer_join(thread);
	leaks_end();
}

static int
forget_lookups(void *arg)
{
	static cede_dns_lookup_t ops[3]; /* outlive the task */

	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_dns_lookup_start("again.test", "80", NULL, &ops[i]), 0);
	return 0;
}

Test(dns_lookup, what_is_started_and_forgotten_is_answered_before_the_loop_ends)
{
	leaks_begin();
	cr_assert_eq(cede_run(forget_lookups, NULL), 0);
	cr_assert_eq(resolver_asked, 3);
	leaks_end();
}

/* ---- out of memory ---- */

static int
look_up_without_memory(struct pair *p)
{
	cede_dns_result_t *found;
	cede_dns_names_t names;
	int r = cede_dns_lookup("two.test", "80", NULL, &found);

	if (r < 0)
		return r;
	cede_dns_result_destroy(found);
	r = cede_dns_lookup("127.0.0.1", "80", NULL, &found);
	if (r < 0)
		return r;
	cede_dns_result_destroy(found);
	resolver_names.host = "two.test";
	return cede_dns_reverse("127.0.0.1:80", NULL, &names);
}

Test(dns_lookup, an_allocation_that_fails_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(look_up_without_memory, FAULT_ONCE), 4);
	cr_assert_eq(resolver_lists, 0);
}

Test(dns_lookup, no_memory_at_all_is_an_error)
{
	cr_assert_geq(expect_failures_are_survived(look_up_without_memory, FAULT_FOREVER), 4);
	cr_assert_eq(resolver_lists, 0);
}
