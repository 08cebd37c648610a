/* Channels: loop/channel.c. */
#include "tests/loop/sync_test.h"

TestSuite(channel, .timeout = 60);

static cede_channel_t ch;

static void *
value(int number)
{
	return (void *)(intptr_t)number;
}

static void
init(size_t capacity)
{
	cr_assert_eq(cede_channel_init(&ch, capacity, NULL), 0);
}

/* Task n sends n, or receives into codes[n] what it got. */
static int
send_once(void *arg)
{
	const int n = number_of(arg);

	codes[n] = cede_channel_send(&ch, arg);
	if (codes[n] == 0)
		record(n);
	return codes[n];
}

static int
receive_once(void *arg)
{
	const int n = number_of(arg);
	void *v = NULL;
	int r = cede_channel_receive(&ch, &v);

	codes[n] = r < 0 ? r : number_of(v);
	record(n);
	return r;
}

static int
receive(void)
{
	void *v = value(-1);
	int r = cede_channel_receive(&ch, &v);

	return r < 0 ? r : number_of(v);
}

static int
try_receive(void)
{
	void *v = value(-1);
	int r = cede_channel_try_receive(&ch, &v);

	return r < 0 ? r : number_of(v);
}

/* ---- what it keeps ---- */

SYNC_TEST(channel, values_come_in_the_order_they_were_sent)
{
	init(CEDE_CHANNEL_UNBOUNDED);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_channel_send(&ch, value(10 + i)), 0);
	cr_assert_eq(cede_channel_len(&ch), 3);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(receive(), 10 + i);
	cr_assert_eq(cede_channel_len(&ch), 0);
	cede_channel_deinit(&ch);
	return 0;
}

static int
send_three(void *arg)
{
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(cede_channel_send(&ch, value(i)), 0);
		record(i);
	}
	return 0;
}

SYNC_TEST(channel, a_full_one_makes_the_sender_wait)
{
	init(2);
	start_all(1, send_three);
	expect_order(0, 1);
	cr_assert_eq(cede_channel_len(&ch), 2);
	cr_assert_eq(receive(), 0);
	turn();
	expect_order(2);
	cr_assert_eq(receive(), 1);
	cr_assert_eq(receive(), 2);
	cede_channel_deinit(&ch);
	return finish();
}

SYNC_TEST(channel, try_never_waits)
{
	init(1);
	cr_assert_eq(try_receive(), CEDE_EAGAIN);
	cr_assert_eq(cede_channel_try_send(&ch, value(1)), 0);
	cr_assert_eq(cede_channel_try_send(&ch, value(2)), CEDE_EAGAIN);
	cr_assert_eq(try_receive(), 1);
	cr_assert_eq(try_receive(), CEDE_EAGAIN);
	cede_channel_deinit(&ch);
	return 0;
}

SYNC_TEST(channel, null_is_a_value)
{
	void *v = value(1);

	init(1);
	cr_assert_eq(cede_channel_send(&ch, NULL), 0);
	cr_assert_eq(cede_channel_receive(&ch, &v), 0);
	cr_assert_null(v);
	cede_channel_deinit(&ch);
	return 0;
}

SYNC_TEST(channel, an_unbounded_one_grows_and_keeps_the_order)
{
	int next = 0;

	init(CEDE_CHANNEL_UNBOUNDED);
	for (int i = 0; i < 1000; i++) {
		cr_assert_eq(cede_channel_try_send(&ch, value(i)), 0);
		if (i % 3 == 0)
			cr_assert_eq(try_receive(), next++);
	}
	while (next < 1000)
		cr_assert_eq(try_receive(), next++);
	cr_assert_eq(try_receive(), CEDE_EAGAIN);
	cede_channel_deinit(&ch);
	return 0;
}

/* ---- a rendezvous ---- */

SYNC_TEST(channel, a_rendezvous_waits_for_the_other_side)
{
	init(0);
	cr_assert_eq(cede_channel_try_send(&ch, value(9)), CEDE_EAGAIN);
	start_all(2, send_once);
	expect_nothing();
	cr_assert_eq(cede_channel_len(&ch), 0);
	cr_assert_eq(receive(), 1);
	cr_assert_eq(try_receive(), 2);
	cr_assert_eq(try_receive(), CEDE_EAGAIN);
	turn();
	expect_order(1, 2);

	start_all(2, receive_once);
	cr_assert_eq(cede_channel_send(&ch, value(7)), 0);
	cr_assert_eq(cede_channel_try_send(&ch, value(8)), 0);
	finish();
	cr_assert_eq(codes[1], 7);
	cr_assert_eq(codes[2], 8);
	cede_channel_deinit(&ch);
	return 0;
}

SYNC_TEST(channel, all_zero_is_a_rendezvous)
{
	start_all(1, send_once);
	cr_assert_eq(receive(), 1);
	cede_channel_deinit(&ch);
	return finish();
}

/* ---- order among tasks ---- */

SYNC_TEST(channel, receivers_are_served_in_the_order_they_came)
{
	init(4);
	start_all(3, receive_once);
	for (int i = 1; i <= 3; i++)
		cr_assert_eq(cede_channel_send(&ch, value(10 * i)), 0);
	cr_assert_eq(try_receive(), CEDE_EAGAIN); /* all three are theirs already */
	finish();
	for (int i = 1; i <= 3; i++)
		cr_assert_eq(codes[i], 10 * i);
	cede_channel_deinit(&ch);
	return 0;
}

SYNC_TEST(channel, senders_are_served_in_the_order_they_came)
{
	init(1);
	start_all(4, send_once);
	expect_order(1);
	cr_assert_eq(receive(), 1);
	cr_assert_eq(cede_channel_try_send(&ch, value(9)), CEDE_EAGAIN); /* 2 has the place */
	for (int i = 2; i <= 4; i++)
		cr_assert_eq(receive(), i);
	finish();
	expect_order(2, 3, 4);
	cede_channel_deinit(&ch);
	return 0;
}

static int
produce(void *arg)
{
	for (int i = 0; i < 100; i++)
		cr_assert_eq(cede_channel_send(&ch, value(i)), 0);
	cede_channel_close(&ch);
	return 0;
}

static int
consume(void *arg)
{
	int n = 0, v;

	while ((v = receive()) >= 0)
		cr_assert_eq(v, n++);
	cr_assert_eq(v, CEDE_EOF);
	cr_assert_eq(n, 100);
	return 0;
}

SYNC_TEST(channel, producer_and_consumer_come_to_an_end_at_every_capacity)
{
	static const size_t capacities[] = { 0, 1, 2, 99, 100, CEDE_CHANNEL_UNBOUNDED };

	for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
		init(capacities[i]);
		start(1, i % 2 ? consume : produce);
		start(2, i % 2 ? produce : consume);
		finish();
		cede_channel_deinit(&ch);
	}
	return 0;
}

/* ---- cancels ---- */

SYNC_TEST(channel, a_cancelled_receiver_takes_nothing)
{
	init(1);
	start_all(2, receive_once);
	cede_task_cancel(tasks[1]);
	turn();
	cr_assert_eq(codes[1], CEDE_EXIT);
	cr_assert_eq(cede_channel_send(&ch, value(5)), 0);
	finish();
	cr_assert_eq(codes[2], 5);
	cede_channel_deinit(&ch);
	return 0;
}

SYNC_TEST(channel, a_value_that_met_a_cancel_is_received)
{
	init(CEDE_CHANNEL_UNBOUNDED);
	start_all(3, receive_once);
	cede_channel_try_send(&ch, value(5));
	cede_channel_try_send(&ch, value(6));
	cede_task_cancel(tasks[1]); /* after */
	cede_task_cancel(tasks[3]); /* before */
	cede_channel_try_send(&ch, value(7));
	finish();
	cr_assert_eq(codes[1], 5);
	cr_assert_eq(codes[2], 6);
	cr_assert_eq(codes[3], 7);
	cede_channel_deinit(&ch);
	return 0;
}

SYNC_TEST(channel, a_cancelled_sender_keeps_its_value)
{
	init(1);
	start_all(3, send_once);
	cede_task_cancel(tasks[2]);
	turn();
	cr_assert_eq(codes[2], CEDE_EXIT);
	cr_assert_eq(receive(), 1);
	cr_assert_eq(receive(), 3);
	finish();
	cede_channel_deinit(&ch);
	return 0;
}

SYNC_TEST(channel, a_send_that_met_a_cancel_is_done)
{
	init(1);
	start_all(2, send_once);
	cr_assert_eq(receive(), 1);
	cede_task_cancel(tasks[2]); /* its value is in the channel already */
	turn();
	cr_assert_eq(codes[2], 0);
	cr_assert_eq(receive(), 2);
	cede_channel_deinit(&ch);
	return finish();
}

SYNC_TEST(channel, a_timeout_ends_a_wait_and_leaves_no_trace)
{
	int r = 0;

	init(0);
	CEDE_TIMEOUT(1) {
		r = receive();
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	CEDE_TIMEOUT(1) {
		r = cede_channel_send(&ch, NULL);
	}
	cr_assert_eq(r, CEDE_ETIMEDOUT);
	cr_assert_eq(try_receive(), CEDE_EAGAIN);
	cede_channel_deinit(&ch);
	return 0;
}

static void
check_refused(void)
{
	cede_channel_send_t out;
	cede_channel_receive_t in;

	cr_assert_eq(cede_channel_send(&ch, NULL), CEDE_EXIT);
	cr_assert_eq(cede_channel_send_start(&ch, NULL, &out), CEDE_EXIT);
	cr_assert_eq(receive(), CEDE_EXIT);
	cr_assert_eq(cede_channel_receive_start(&ch, &in), CEDE_EXIT);
	cr_assert_eq(cede_channel_len(&ch), 1);
}

SYNC_TEST(channel, a_closed_task_sends_and_receives_nothing)
{
	init(2);
	cr_assert_eq(cede_channel_try_send(&ch, value(1)), 0);
	in_a_closed_task(check_refused);
	cede_channel_deinit(&ch);
	return 0;
}

Test(channel, outside_a_task_only_try_works)
{
	cede_channel_send_t out;
	cede_channel_receive_t in;

	leaks_begin();
	init(2);
	cr_assert_eq(cede_channel_send(&ch, NULL), CEDE_ENOTASK);
	cr_assert_eq(cede_channel_send_start(&ch, NULL, &out), CEDE_ENOTASK);
	cr_assert_eq(receive(), CEDE_ENOTASK);
	cr_assert_eq(cede_channel_receive_start(&ch, &in), CEDE_ENOTASK);
	cr_assert_eq(cede_channel_try_send(&ch, value(4)), 0);
	cr_assert_eq(try_receive(), 4);
	cede_channel_close(&ch);
	cede_channel_deinit(&ch);
	leaks_end();
}

/* ---- closing ---- */

SYNC_TEST(channel, closing_an_empty_one_ends_who_receives)
{
	init(1);
	start_all(2, receive_once);
	cede_channel_close(&ch);
	cede_channel_close(&ch);
	turn();
	cr_assert_eq(codes[1], CEDE_EOF);
	cr_assert_eq(codes[2], CEDE_EOF);
	cr_assert_eq(cede_channel_send(&ch, NULL), CEDE_EPIPE);
	cr_assert_eq(cede_channel_try_send(&ch, NULL), CEDE_EPIPE);
	cr_assert_eq(receive(), CEDE_EOF);
	cr_assert_eq(try_receive(), CEDE_EOF);
	cede_channel_deinit(&ch);
	return finish();
}

SYNC_TEST(channel, closing_a_full_one_ends_who_sends_and_what_is_there_is_received)
{
	init(1);
	start_all(2, send_once);
	cede_channel_close(&ch);
	turn();
	cr_assert_eq(codes[2], CEDE_EPIPE);
	cr_assert_eq(cede_channel_len(&ch), 1);
	cr_assert_eq(receive(), 1);
	cr_assert_eq(receive(), CEDE_EOF);
	cede_channel_deinit(&ch);
	return finish();
}

SYNC_TEST(channel, closing_a_rendezvous_ends_who_sends)
{
	init(0);
	start_all(1, send_once);
	cede_channel_close(&ch);
	cr_assert_eq(receive(), CEDE_EOF);
	turn();
	cr_assert_eq(codes[1], CEDE_EPIPE);
	cede_channel_deinit(&ch);
	return finish();
}

SYNC_TEST(channel, a_value_sent_before_the_close_is_received_by_who_waited)
{
	init(0);
	start_all(1, receive_once);
	cr_assert_eq(cede_channel_send(&ch, value(3)), 0);
	cede_channel_close(&ch);
	finish();
	cr_assert_eq(codes[1], 3);
	cede_channel_deinit(&ch);
	return 0;
}

/* ---- who frees ---- */

SYNC_TEST(channel, what_nobody_received_goes_to_the_destructor)
{
	void *v;

	cr_assert_eq(cede_channel_init(&ch, 3, free), 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(cede_channel_send(&ch, malloc(8)), 0);
	cr_assert_eq(cede_channel_receive(&ch, &v), 0);
	free(v);
	cede_channel_close(&ch);
	cede_channel_deinit(&ch); /* LeakSanitizer sees whether the other two went */
	cede_channel_deinit(&ch);
	return 0;
}

ABORT_TEST(channel, deinit_with_a_receiver_aborts)
{
	init(1);
	start_all(1, receive_once);
	cede_channel_deinit(&ch);
	return 0;
}

ABORT_TEST(channel, deinit_with_a_sender_aborts)
{
	init(0);
	start_all(1, send_once);
	cede_channel_deinit(&ch);
	return 0;
}

COUNT_TEST(channel, without_memory_init_and_a_growing_send_say_so)
{
	fault_arm(1, FAULT_ONCE);
	cr_assert_eq(cede_channel_init(&ch, 4, NULL), CEDE_ENOMEM);
	cr_assert_eq(fault_disarm(), 1);

	init(CEDE_CHANNEL_UNBOUNDED);
	for (int i = 0; i < 16; i++)
		cr_assert_eq(cede_channel_send(&ch, value(i)), 0);
	fault_arm(1, FAULT_FOREVER);
	cr_assert_eq(cede_channel_try_send(&ch, value(16)), CEDE_ENOMEM);
	cr_assert_eq(cede_channel_send(&ch, value(16)), CEDE_ENOMEM);
	cr_assert_eq(fault_disarm(), 2);
	cr_assert_eq(cede_channel_send(&ch, value(16)), 0);
	for (int i = 0; i <= 16; i++)
		cr_assert_eq(receive(), i);
	cede_channel_deinit(&ch);
	return 0;
}

static int
echo(void *arg)
{
	cede_channel_t *back = arg;
	void *v;

	while (cede_channel_receive(&ch, &v) == 0)
		cr_assert_eq(cede_channel_send(back, v), 0);
	return 0;
}

COUNT_TEST(channel, passing_values_allocates_nothing)
{
	static const size_t capacities[] = { 0, 1, 8, CEDE_CHANNEL_UNBOUNDED };
	cede_channel_t back;
	void *v;

	for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
		unsigned before;

		init(capacities[i]);
		cr_assert_eq(cede_channel_init(&back, capacities[i], NULL), 0);
		cr_assert_eq(cede_spawn(&group, echo, &back), 0);
		turn();
		before = fault_requests();
		for (int k = 0; k < 1000; k++) {
			cr_assert_eq(cede_channel_send(&ch, value(k)), 0);
			cr_assert_eq(cede_channel_receive(&back, &v), 0);
			cr_assert_eq(number_of(v), k);
		}
		cr_assert_eq(fault_requests(), before);
		cede_channel_close(&ch);
		finish();
		cede_channel_deinit(&ch);
		cede_channel_deinit(&back);
	}
	return 0;
}
