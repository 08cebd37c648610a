/* Broadcasts: loop/sync_broadcast.c. */
#include "tests/loop/sync_test.h"

TestSuite(broadcast, .timeout = 60);

static cede_broadcast_t b;
static cede_subscriber_t subs[TASKS_MAX];
static int references; /* that subscribers and the broadcast have to values */

static void
count_ref(void *v)
{
	references++;
}

static void
count_unref(void *v)
{
	references--;
}

static void *
value(int number)
{
	return (void *)(intptr_t)number;
}

static void
init(size_t capacity, enum cede_broadcast_policy policy, int subscribers)
{
	cr_assert_eq(cede_broadcast_init(&b,
			     &(cede_broadcast_options_t){ .capacity = capacity,
				     .policy = policy,
				     .ref = count_ref,
				     .unref = count_unref }),
		0);
	for (int i = 1; i <= subscribers; i++)
		cede_broadcast_subscribe(&b, &subs[i]);
}

static void
deinit(void)
{
	for (int i = 0; i < TASKS_MAX; i++)
		cede_broadcast_unsubscribe(&subs[i]);
	cede_broadcast_deinit(&b);
	cr_assert_eq(references, 0);
}

/* Sends with a reference of the broadcast's own. */
static int
send_value(int number)
{
	int r = cede_broadcast_send(&b, value(number));

	if (r >= 0)
		references++;
	return r;
}

/* What subscriber n gets next, plus 100 for each value that it missed. */
static int
receive(int n)
{
	void *v = NULL;
	int r = cede_broadcast_receive(&subs[n], &v);

	if (r < 0)
		return r;
	references--;
	return 100 * r + number_of(v);
}

static int
try_receive(int n)
{
	void *v = NULL;
	int r = cede_broadcast_try_receive(&subs[n], &v);

	if (r < 0)
		return r;
	references--;
	return 100 * r + number_of(v);
}

static int
receive_once(void *arg)
{
	const int n = number_of(arg);

	codes[n] = receive(n);
	record(n);
	return codes[n] < 0 ? codes[n] : 0;
}

static int
send_once(void *arg)
{
	const int n = number_of(arg);

	codes[n] = send_value(n);
	record(n);
	return codes[n] < 0 ? codes[n] : 0;
}

SYNC_TEST(broadcast, each_subscriber_gets_every_value)
{
	init(4, CEDE_BROADCAST_LAG, 3);
	for (int i = 1; i <= 3; i++)
		cr_assert_eq(send_value(i), 3);
	for (int n = 1; n <= 3; n++) {
		cr_assert_eq(cede_broadcast_unread(&subs[n]), 3);
		for (int i = 1; i <= 3; i++)
			cr_assert_eq(receive(n), i);
		cr_assert_eq(try_receive(n), CEDE_EAGAIN);
	}
	cr_assert_eq(references, 0); /* what all have had is not kept */
	deinit();
	return 0;
}

SYNC_TEST(broadcast, those_who_wait_are_woken_in_the_order_they_came)
{
	init(1, CEDE_BROADCAST_LAG, 3);
	start_all(3, receive_once);
	cr_assert_eq(send_value(7), 3);
	cr_assert_eq(b.head, b.tail);
	finish();
	expect_order(1, 2, 3);
	for (int n = 1; n <= 3; n++)
		cr_assert_eq(codes[n], 7);
	deinit();
	return 0;
}

SYNC_TEST(broadcast, without_subscribers_a_value_is_let_go)
{
	init(1, CEDE_BROADCAST_WAIT, 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(send_value(i), 0);
	cr_assert_eq(references, 0);
	deinit();
	return 0;
}

SYNC_TEST(broadcast, a_late_subscriber_gets_what_is_sent_from_then_on)
{
	init(4, CEDE_BROADCAST_LAG, 1);
	send_value(1);
	cede_broadcast_subscribe(&b, &subs[2]);
	cr_assert_eq(cede_broadcast_unread(&subs[2]), 0);
	cr_assert_eq(send_value(2), 2);
	cr_assert_eq(receive(2), 2);
	cr_assert_eq(receive(1), 1);
	cr_assert_eq(receive(1), 2);
	deinit();
	return 0;
}

SYNC_TEST(broadcast, a_slow_subscriber_misses_the_oldest_and_is_told_how_many)
{
	init(3, CEDE_BROADCAST_LAG, 2);
	for (int i = 1; i <= 3; i++) {
		send_value(i);
		cr_assert_eq(receive(2), i);
	}
	send_value(4);
	send_value(5);
	cr_assert_eq(cede_broadcast_unread(&subs[1]), 3);
	cr_assert_eq(receive(1), 200 + 3);
	cr_assert_eq(receive(1), 4);
	cr_assert_eq(receive(2), 4);
	cr_assert_eq(receive(2), 5);
	cr_assert_eq(receive(1), 5);
	deinit();
	return 0;
}

SYNC_TEST(broadcast, with_wait_a_send_waits_for_the_slowest)
{
	init(2, CEDE_BROADCAST_WAIT, 2);
	start_all(4, send_once);
	expect_order(1, 2);
	cr_assert_eq(cede_broadcast_try_send(&b, value(9)), CEDE_EAGAIN);
	cr_assert_eq(receive(1), 1);
	turn();
	expect_nothing();
	cr_assert_eq(receive(2), 1);
	cr_assert_eq(cede_broadcast_try_send(&b, value(9)), CEDE_EAGAIN); /* 3 has the place */
	turn();
	expect_order(3);
	cr_assert_eq(codes[3], 2);
	for (int i = 2; i <= 4; i++) {
		cr_assert_eq(receive(1), i);
		cr_assert_eq(receive(2), i);
	}
	finish();
	expect_order(4);
	deinit();
	return 0;
}

SYNC_TEST(broadcast, a_fast_subscriber_gets_the_value_of_a_sender_that_waited)
{
	init(1, CEDE_BROADCAST_WAIT, 2);
	send_value(1);
	cr_assert_eq(receive(2), 1);
	start(2, receive_once);
	start(5, send_once);
	turn();
	cr_assert_eq(codes[2], WAITING);
	cr_assert_eq(codes[5], WAITING);
	cr_assert_eq(receive(1), 1);
	finish();
	cr_assert_eq(codes[2], 5);
	cr_assert_eq(receive(1), 5);
	deinit();
	return 0;
}

SYNC_TEST(broadcast, a_subscriber_that_leaves_makes_room)
{
	init(1, CEDE_BROADCAST_WAIT, 2);
	send_value(1);
	cr_assert_eq(receive(2), 1);
	start_all(3, send_once);
	expect_nothing();
	turn();
	cede_broadcast_unsubscribe(&subs[1]);
	cede_broadcast_unsubscribe(&subs[1]);
	turn();
	cr_assert_eq(codes[1], 1);
	cr_assert_eq(receive(2), 1);
	cede_broadcast_unsubscribe(&subs[2]); /* the last: nobody has to be waited for */
	finish();
	expect_order(1, 2, 3);
	deinit();
	return 0;
}

SYNC_TEST(broadcast, leaving_ends_who_waits_in_the_subscriber)
{
	init(1, CEDE_BROADCAST_LAG, 1);
	start_all(1, receive_once);
	cede_broadcast_unsubscribe(&subs[1]);
	finish();
	cr_assert_eq(codes[1], CEDE_EOF);
	cr_assert_eq(receive(1), CEDE_EOF);
	cr_assert_eq(cede_broadcast_unread(&subs[1]), 0);
	deinit();
	return 0;
}

SYNC_TEST(broadcast, two_tasks_do_not_wait_in_one_subscriber)
{
	init(1, CEDE_BROADCAST_LAG, 1);
	start_all(1, receive_once);
	cr_assert_eq(receive(1), CEDE_EBUSY);
	send_value(3);
	finish();
	cr_assert_eq(codes[1], 3);
	deinit();
	return 0;
}

SYNC_TEST(broadcast, closed_it_gives_what_is_there_and_then_the_end)
{
	init(2, CEDE_BROADCAST_WAIT, 2);
	send_value(1);
	cr_assert_eq(receive(2), 1);
	start(2, receive_once);
	start(3, send_once);
	start(4, send_once);
	turn();
	cr_assert_eq(codes[2], WAITING);
	turn();
	cr_assert_eq(codes[2], 3);
	cr_assert_eq(codes[4], WAITING);
	start(2, receive_once);
	turn();
	cede_broadcast_close(&b);
	cede_broadcast_close(&b);
	finish();
	cr_assert_eq(codes[4], CEDE_EPIPE);
	cr_assert_eq(codes[2], CEDE_EOF);
	cr_assert_eq(send_value(9), CEDE_EPIPE);
	cr_assert_eq(cede_broadcast_try_send(&b, value(9)), CEDE_EPIPE);
	cr_assert_eq(receive(1), 1);
	cr_assert_eq(receive(1), 3);
	cr_assert_eq(receive(1), CEDE_EOF);
	cr_assert_eq(try_receive(1), CEDE_EOF);
	deinit();
	return 0;
}

/* ---- cancels ---- */

SYNC_TEST(broadcast, a_cancelled_receive_has_received_nothing)
{
	init(2, CEDE_BROADCAST_LAG, 2);
	start_all(2, receive_once);
	cede_task_cancel(tasks[1]);
	turn();
	cr_assert_eq(codes[1], CEDE_EXIT);
	send_value(4);
	cr_assert_eq(receive(1), 4);
	finish();
	cr_assert_eq(codes[2], 4);
	deinit();
	return 0;
}

SYNC_TEST(broadcast, a_value_that_met_a_cancel_is_received)
{
	init(2, CEDE_BROADCAST_LAG, 2);
	start_all(2, receive_once);
	cede_task_cancel(tasks[1]);
	send_value(4);
	cede_task_cancel(tasks[2]);
	finish();
	cr_assert_eq(codes[1], 4);
	cr_assert_eq(codes[2], 4);
	deinit();
	return 0;
}

SYNC_TEST(broadcast, a_cancelled_send_has_sent_nothing)
{
	init(1, CEDE_BROADCAST_WAIT, 1);
	start_all(3, send_once);
	cede_task_cancel(tasks[2]);
	turn();
	cr_assert_eq(codes[2], CEDE_EXIT);
	cr_assert_eq(receive(1), 1);
	turn(); /* the sender counts its reference */
	cr_assert_eq(receive(1), 3);
	cr_assert_eq(try_receive(1), CEDE_EAGAIN);
	finish();
	deinit();
	return 0;
}

static void
check_refused(void)
{
	cede_broadcast_send_t out;
	cede_broadcast_receive_t in;

	cr_assert_eq(send_value(2), CEDE_EXIT);
	cr_assert_eq(cede_broadcast_send_start(&b, NULL, &out), CEDE_EXIT);
	cr_assert_eq(receive(1), CEDE_EXIT);
	cr_assert_eq(cede_broadcast_receive_start(&subs[1], &in), CEDE_EXIT);
	cr_assert_eq(cede_broadcast_unread(&subs[1]), 1);
}

SYNC_TEST(broadcast, a_closed_task_sends_and_receives_nothing)
{
	init(2, CEDE_BROADCAST_LAG, 1);
	send_value(1);
	in_a_closed_task(check_refused);
	deinit();
	return 0;
}

Test(broadcast, outside_a_task_only_try_works)
{
	cede_broadcast_send_t out;
	cede_broadcast_receive_t in;

	leaks_begin();
	init(2, CEDE_BROADCAST_LAG, 1);
	cr_assert_eq(send_value(1), CEDE_ENOTASK);
	cr_assert_eq(cede_broadcast_send_start(&b, NULL, &out), CEDE_ENOTASK);
	cr_assert_eq(receive(1), CEDE_ENOTASK);
	cr_assert_eq(cede_broadcast_receive_start(&subs[1], &in), CEDE_ENOTASK);
	cr_assert_eq(cede_broadcast_try_send(&b, value(6)), 1);
	references++;
	cr_assert_eq(try_receive(1), 6);
	deinit();
	leaks_end();
}

ABORT_TEST(broadcast, deinit_with_a_subscriber_aborts)
{
	init(2, CEDE_BROADCAST_LAG, 1);
	cede_broadcast_deinit(&b);
	return 0;
}

COUNT_TEST(broadcast, init_needs_a_capacity_and_memory)
{
	cr_assert_eq(cede_broadcast_init(&b, NULL), CEDE_EINVAL);
	cr_assert_eq(cede_broadcast_init(&b, &(cede_broadcast_options_t){ 0 }), CEDE_EINVAL);
	fault_arm(1, FAULT_ONCE);
	cr_assert_eq(cede_broadcast_init(&b, &(cede_broadcast_options_t){ .capacity = 2 }),
		CEDE_ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	return 0;
}

SYNC_TEST(broadcast, what_a_select_received_besides_can_be_dropped)
{
	cede_broadcast_receive_t x, y;

	init(2, CEDE_BROADCAST_LAG, 2);
	cr_assert_eq(cede_broadcast_receive_start(&subs[1], &x), 0);
	cr_assert_eq(cede_broadcast_receive_start(&subs[2], &y), 0);
	send_value(1);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &x.future, &y.future }), 0);
	cr_assert_eq(y.future.result, 0);
	cede_broadcast_receive_drop(&x);
	cede_broadcast_receive_drop(&y);
	cr_assert_eq(references, 0);

	cr_assert_eq(cede_broadcast_receive_start(&subs[1], &x), 0);
	cede_broadcast_receive_drop(&x);
	cr_assert_eq(x.future.result, CEDE_ECANCELED);
	deinit();
	return 0;
}

/* ---- a model: each subscriber's own list of what it has to receive ---- */

#define SUBSCRIBERS 5

static struct {
	int is_there, unread[64], missed;
	unsigned length;
} model[SUBSCRIBERS];

static void
model_drop_oldest(int n)
{
	model[n].length--;
	memmove(&model[n].unread[0], &model[n].unread[1], model[n].length * sizeof(int));
}

static int
model_is_full(unsigned capacity)
{
	for (int n = 0; n < SUBSCRIBERS; n++)
		if (model[n].is_there && model[n].length == capacity)
			return 1;
	return 0;
}

static void
model_send(int number, unsigned capacity, enum cede_broadcast_policy policy)
{
	int r = cede_broadcast_try_send(&b, value(number)), there = 0;

	if (policy == CEDE_BROADCAST_WAIT && model_is_full(capacity)) {
		cr_assert_eq(r, CEDE_EAGAIN);
		return;
	}
	for (int n = 0; n < SUBSCRIBERS; n++) {
		if (!model[n].is_there)
			continue;
		there++;
		if (model[n].length == capacity) {
			model_drop_oldest(n);
			model[n].missed++;
		}
		model[n].unread[model[n].length++] = number;
	}
	cr_assert_eq(r, there);
	references++;
}

static void
model_receive(int n)
{
	int r = try_receive(n);

	if (model[n].length == 0) {
		cr_assert_eq(r, CEDE_EAGAIN);
		return;
	}
	cr_assert_eq(r, 100 * model[n].missed + model[n].unread[0]);
	model[n].missed = 0;
	model_drop_oldest(n);
}

static void
behave_as_model(unsigned capacity, enum cede_broadcast_policy policy)
{
	memset(model, 0, sizeof model);
	init(capacity, policy, 0);
	for (int step = 0; step < 20000; step++) {
		const int n = (int)random_below(SUBSCRIBERS);

		switch (random_below(8)) {
		case 0:
		case 1:
		case 2:
			model_send(step % 100, capacity, policy);
			break;
		case 3:
			if (model[n].is_there) {
				if (random_below(4) > 0)
					break;
				cede_broadcast_unsubscribe(&subs[n]);
				memset(&model[n], 0, sizeof model[n]);
			} else {
				cede_broadcast_subscribe(&b, &subs[n]);
				model[n].is_there = 1;
			}
			break;
		default:
			if (model[n].is_there)
				model_receive(n);
		}
		for (int k = 0; k < SUBSCRIBERS; k++)
			cr_assert_eq(cede_broadcast_unread(&subs[k]), model[k].length, "step %d",
				step);
	}
	deinit();
}

SYNC_TEST(broadcast, behaves_as_its_model)
{
	for (unsigned capacity = 1; capacity < 8; capacity += 3) {
		behave_as_model(capacity, CEDE_BROADCAST_LAG);
		behave_as_model(capacity, CEDE_BROADCAST_WAIT);
	}
	return 0;
}

/* ---- many ---- */

static int received_by_all;

static int
hear_all(void *arg)
{
	cede_subscriber_t subscriber;
	int next = 0, r;
	void *v;

	cede_broadcast_subscribe(&b, &subscriber);
	while ((r = cede_broadcast_receive(&subscriber, &v)) == 0) {
		cr_assert_eq(number_of(v), next++);
		references--;
		received_by_all++;
		if (random_below(8) == 0)
			(void)!cede_sleep(0);
	}
	cede_broadcast_unsubscribe(&subscriber);
	return r == CEDE_EOF ? 0 : r;
}

COUNT_TEST(broadcast, two_thousand_subscribers_miss_nothing_when_sends_wait)
{
	static cede_task_t *all[2000];
	unsigned before;

	init(4, CEDE_BROADCAST_WAIT, 0);
	for (int i = 0; i < 2000; i++)
		cr_assert_eq(cede_spawn_with(&group, hear_all, NULL, NULL, &all[i]), 0);
	turn();
	before = fault_requests();
	for (int i = 0; i < 50; i++)
		cr_assert_eq(send_value(i), 2000);
	cr_assert_eq(fault_requests(), before);
	for (int i = 0; i < 1000; i++)
		cede_task_cancel(all[i]);
	for (int i = 50; i < 60; i++)
		cr_assert_geq(send_value(i), 1000);
	cede_broadcast_close(&b);
	cr_assert_eq(cede_group_wait(&group), 0);
	cr_assert_geq(received_by_all, 1000 * 60);
	for (int i = 0; i < 2000; i++)
		cede_task_unref(all[i]);
	deinit();
	return 0;
}
