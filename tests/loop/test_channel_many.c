/* Channels in a select, beside a model, and with many tasks: loop/channel.c. */
#include "tests/loop/sync_test.h"

TestSuite(channel_many, .timeout = 60);

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

/* ---- select ---- */

static cede_channel_t other;

SYNC_TEST(channel_many, select_receives_from_the_one_that_has_a_value)
{
	cede_channel_receive_t a, b;

	init(1);
	cr_assert_eq(cede_channel_init(&other, 1, NULL), 0);
	cr_assert_eq(cede_channel_send(&other, value(2)), 0);
	cr_assert_eq(cede_channel_receive_start(&ch, &a), 0);
	cr_assert_eq(cede_channel_receive_start(&other, &b), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &a.future, &b.future }), 1);
	cr_assert_eq(a.future.result, CEDE_ECANCELED);
	cr_assert_eq(number_of(b.future.value), 2);
	cr_assert_eq(cede_channel_try_send(&ch, value(1)), 0); /* nobody waits there any more */
	cr_assert_eq(cede_channel_len(&ch), 1);
	cede_channel_deinit(&ch);
	cede_channel_deinit(&other);
	return 0;
}

SYNC_TEST(channel_many, select_can_send_or_receive)
{
	cede_channel_send_t out;
	cede_channel_receive_t in;

	init(0);
	cr_assert_eq(cede_channel_init(&other, 0, NULL), 0);
	start_all(1, receive_once);
	cr_assert_eq(cede_channel_receive_start(&other, &in), 0);
	cr_assert_eq(cede_channel_send_start(&ch, value(4), &out), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &in.future, &out.future }), 1);
	finish();
	cr_assert_eq(codes[1], 4);
	cede_channel_deinit(&ch);
	cede_channel_deinit(&other);
	return 0;
}

SYNC_TEST(channel_many, a_value_that_a_select_received_besides_can_be_dropped)
{
	cede_channel_receive_t a, b;

	cr_assert_eq(cede_channel_init(&ch, 1, free), 0);
	cr_assert_eq(cede_channel_init(&other, 1, free), 0);
	cr_assert_eq(cede_channel_receive_start(&ch, &a), 0);
	cr_assert_eq(cede_channel_receive_start(&other, &b), 0);
	cr_assert_eq(cede_channel_try_send(&other, malloc(8)), 0);
	cr_assert_eq(cede_channel_try_send(&ch, malloc(8)), 0);
	cr_assert_eq(cede_select(2, (cede_future_t *[]){ &a.future, &b.future }), 0);
	cr_assert_eq(b.future.result, 0);
	free(a.future.value);
	cede_channel_receive_drop(&b);

	cr_assert_eq(cede_channel_receive_start(&ch, &a), 0);
	cede_channel_receive_drop(&a);
	cr_assert_eq(a.future.result, CEDE_ECANCELED);
	cede_channel_deinit(&ch);
	cede_channel_deinit(&other);
	return 0;
}

static int from_a, from_b;

/* Takes from both until it is closed itself; counts what it got, also of the one not selected. */
static int
select_both(void *arg)
{
	for (;;) {
		cede_channel_receive_t a, b;
		int r = cede_channel_receive_start(&ch, &a);

		if (r < 0)
			return r;
		r = cede_channel_receive_start(&other, &b);
		cr_assert_eq(r, 0);
		r = cede_select(2, (cede_future_t *[]){ &a.future, &b.future });
		from_a += a.future.result == 0;
		from_b += b.future.result == 0;
		if (r < 0)
			return r;
	}
}

/*
 * Two channels, a task that selects, and in each round any mixture of a send to
 * the one, a send to the other and a cancel, in any order, in the same turn.
 * What was sent was received or is still in the channel.
 */
SYNC_TEST(channel_many, select_of_two_and_a_cancel_in_the_same_turn_lose_nothing)
{
	int sent_a = 0, sent_b = 0;

	init(CEDE_CHANNEL_UNBOUNDED);
	cr_assert_eq(cede_channel_init(&other, CEDE_CHANNEL_UNBOUNDED, NULL), 0);
	for (int round = 0; round < 3000; round++) {
		start_all(1, select_both);
		for (unsigned i = 0, n = 1 + random_below(4); i < n; i++) {
			switch (random_below(3)) {
			case 0:
				cr_assert_eq(cede_channel_try_send(&ch, NULL), 0);
				sent_a++;
				break;
			case 1:
				cr_assert_eq(cede_channel_try_send(&other, NULL), 0);
				sent_b++;
				break;
			default:
				cede_task_cancel(tasks[1]);
			}
			if (random_below(4) == 0)
				turn();
		}
		cede_task_cancel(tasks[1]);
		finish();
		cr_assert_null(ch.receivers.first);
		cr_assert_null(other.receivers.first);
		cr_assert_eq(from_a + (int)cede_channel_len(&ch), sent_a, "round %d", round);
		cr_assert_eq(from_b + (int)cede_channel_len(&other), sent_b, "round %d", round);
	}
	cede_channel_deinit(&ch);
	cede_channel_deinit(&other);
	return 0;
}

/* ---- a model ---- */

#define OPS 6

/* A list of small numbers, first in, first out. */
struct fifo {
	int items[64], length;
};

static void
fifo_push(struct fifo *f, int item)
{
	cr_assert_lt(f->length, 64);
	f->items[f->length++] = item;
}

static int
fifo_remove(struct fifo *f, int item)
{
	for (int k = 0; k < f->length; k++) {
		if (f->items[k] != item)
			continue;
		memmove(&f->items[k], &f->items[k + 1], (size_t)(--f->length - k) * sizeof(int));
		return 1;
	}
	return 0;
}

static int
fifo_pop(struct fifo *f)
{
	int item = f->items[0];

	cr_assert(fifo_remove(f, item));
	return item;
}

static struct {
	struct fifo values, senders, receivers;
	cede_channel_send_t out[OPS];
	cede_channel_receive_t in[OPS];
	int out_values[OPS], expected[OPS];
	int next, capacity;
} model;

static void
model_send(int i)
{
	const int v = ++model.next;

	cr_assert_eq(cede_channel_send_start(&ch, value(v), &model.out[i]), 0);
	model.out_values[i] = v;
	if (model.receivers.length > 0)
		model.expected[fifo_pop(&model.receivers)] = v;
	else if (model.values.length < model.capacity)
		fifo_push(&model.values, v);
	else
		fifo_push(&model.senders, i);
}

static void
model_receive(int i)
{
	cr_assert_eq(cede_channel_receive_start(&ch, &model.in[i]), 0);
	model.expected[i] = -1;
	if (model.values.length > 0) {
		model.expected[i] = fifo_pop(&model.values);
		if (model.senders.length > 0)
			fifo_push(&model.values, model.out_values[fifo_pop(&model.senders)]);
	} else if (model.senders.length > 0) {
		model.expected[i] = model.out_values[fifo_pop(&model.senders)];
	} else {
		fifo_push(&model.receivers, i);
	}
}

static int
is_in(const struct fifo *f, int item)
{
	for (int k = 0; k < f->length; k++)
		if (f->items[k] == item)
			return 1;
	return 0;
}

static void
model_step(void)
{
	const int i = (int)random_below(OPS);

	switch (random_below(6)) {
	case 0:
	case 1:
		if (!is_in(&model.senders, i))
			model_send(i);
		break;
	case 2:
	case 3:
		if (!is_in(&model.receivers, i))
			model_receive(i);
		break;
	case 4:
		if (fifo_remove(&model.senders, i)) {
			cede_future_cancel(&model.out[i].future);
			cr_assert_eq(model.out[i].future.result, CEDE_ECANCELED);
		}
		break;
	default:
		if (fifo_remove(&model.receivers, i)) {
			cede_future_cancel(&model.in[i].future);
			cr_assert_eq(model.in[i].future.result, CEDE_ECANCELED);
		}
	}
}

static void
model_compare(int step)
{
	cr_assert_eq(cede_channel_len(&ch), (size_t)model.values.length, "step %d", step);
	for (int i = 0; i < OPS; i++) {
		cr_assert_eq(model.out[i].waiter.queue != NULL, is_in(&model.senders, i));
		cr_assert_eq(model.in[i].waiter.queue != NULL, is_in(&model.receivers, i));
		if (model.in[i].future.is_done && model.in[i].future.result == 0)
			cr_assert_eq(number_of(model.in[i].future.value), model.expected[i],
				"step %d", step);
	}
}

SYNC_TEST(channel_many, behaves_as_its_model)
{
	static const size_t capacities[] = { 0, 1, 3, 40 };

	for (int c = 0; c < 4; c++) {
		memset(&model, 0, sizeof model);
		model.capacity = (int)capacities[c];
		init(capacities[c]);
		for (int step = 0; step < 20000; step++) {
			model_step();
			model_compare(step);
		}
		cede_channel_close(&ch);
		for (int i = 0; i < OPS; i++) {
			if (is_in(&model.senders, i))
				cr_assert_eq(model.out[i].future.result, CEDE_EPIPE);
			if (is_in(&model.receivers, i))
				cr_assert_eq(model.in[i].future.result, CEDE_EOF);
		}
		while (model.values.length > 0)
			cr_assert_eq(receive(), fifo_pop(&model.values));
		cr_assert_eq(receive(), CEDE_EOF);
		cede_channel_deinit(&ch);
	}
	return 0;
}

/* ---- contention ---- */

static long sum_sent, sum_received;

static int
send_some(void *arg)
{
	for (int i = 1; i <= 5; i++) {
		int r = cede_channel_send(&ch, value(i));

		if (r < 0)
			return r;
		sum_sent += i;
	}
	return 0;
}

static int
receive_all(void *arg)
{
	int v;

	while ((v = receive()) >= 0)
		sum_received += v;
	return v == CEDE_EOF ? 0 : v;
}

SYNC_TEST(channel_many, two_thousand_tasks_and_cancels_lose_no_value)
{
	static cede_task_t *all[2000];

	for (size_t capacity = 0; capacity < 10; capacity += 3) {
		sum_sent = sum_received = 0;
		init(capacity);
		for (int i = 0; i < 2000; i++)
			cr_assert_eq(cede_spawn_with(&group, i % 2 ? send_some : receive_all, NULL,
					     NULL, &all[i]),
				0);
		turn();
		for (int i = 0; i < 1000; i++) {
			cede_task_cancel(all[random_below(1900)]);
			if (i % 16 == 0)
				turn();
		}
		for (int i = 0; i < 10; i++)
			turn();
		cede_channel_close(&ch);
		cr_assert_eq(cede_group_wait(&group), 0);
		while (try_receive() >= 0)
			cr_assert_fail("the receivers left something");
		cr_assert_eq(sum_received, sum_sent);
		cr_assert_gt(sum_sent, 1000);
		for (int i = 0; i < 2000; i++)
			cede_task_unref(all[i]);
		cede_channel_deinit(&ch);
	}
	return 0;
}
