/*
 * What it costs to pass a value from one task to another by a channel: one send
 * and one receive, with the switches between the two tasks that they need.
 *
 *   channel_bare         the floor: two bare switches, there and back, see bare.h
 *   channel_rendezvous   capacity 0: both wait for each other, every time
 *   channel_buffered_1   capacity 1: a wait for each value all the same
 *   channel_buffered_64  capacity 64: a task runs until the channel is full or empty
 *   channel_select       capacity 64, received by a cede_select() of two channels
 *   channel_try          try_send and try_receive in one task: no switch at all
 */
#include <stdio.h>
#include <stdlib.h>

#include <cede/cede.h>

#include "bare.h"
#include "bench.h"

#define STACK_SIZE ((size_t)64 * 1024)

static void
die(const char *what, int code)
{
	fprintf(stderr, "bench_channel: %s: %s\n", what, cede_strerror(code));
	exit(1);
}

#if BARE_SWITCH
struct bare {
	void *outside, *inside;
};

static void
bare_body(void *arg)
{
	struct bare *b = arg;

	for (;;)
		bare_switch(&b->inside, b->outside);
}

/* The body never ends: its stack is just forgotten. Nothing lies on it that needs an end. */
static void
run_bare(void *arg, uint64_t n)
{
	char *stack = aligned_alloc(64, STACK_SIZE);
	struct bare b;

	if (!stack)
		die("no stack", CEDE_ENOMEM);
	b.inside = bare_make(stack + STACK_SIZE, bare_body, &b);
	while (n-- > 0)
		bare_switch(&b.outside, b.inside);
	free(stack);
}
#endif

struct passing {
	cede_channel_t channel;
	cede_channel_t silent; /* nobody sends to it */
	uint64_t n;
};

static int
send_all(void *arg)
{
	struct passing *p = arg;
	int r = 0;

	for (uint64_t i = 0; i < p->n && r == 0; i++)
		r = cede_channel_send(&p->channel, p);
	cede_channel_close(&p->channel);
	return r;
}

static int
receive_all(void *arg)
{
	struct passing *p = arg;
	uint64_t n = 0;
	void *value;
	int r;

	CEDE_GROUP(g);
	r = cede_spawn(&g, send_all, p);
	if (r < 0)
		return r;
	while (cede_channel_receive(&p->channel, &value) == 0)
		n++;
	if (n != p->n)
		die("values are missing", CEDE_EOF);
	return cede_group_wait(&g);
}

static void
run_channel(void *arg, uint64_t n)
{
	const size_t *capacity = arg;
	struct passing p = { .n = n };
	int r = cede_channel_init(&p.channel, *capacity, NULL);

	if (r == 0)
		r = cede_run(receive_all, &p);
	if (r < 0)
		die("cede_run", r);
	cede_channel_deinit(&p.channel);
}

/* What a task does that waits for two channels: starts both, selects, drops the other. */
static int
select_all(void *arg)
{
	struct passing *p = arg;
	cede_channel_receive_t a, b;
	uint64_t n = 0;
	int r;

	CEDE_GROUP(g);
	r = cede_spawn(&g, send_all, p);
	while (r == 0) {
		r = cede_channel_receive_start(&p->channel, &a);
		if (r == 0)
			r = cede_channel_receive_start(&p->silent, &b);
		if (r == 0)
			r = cede_select(2, (cede_future_t *[]){ &a.future, &b.future });
		if (r != 0 || a.future.result < 0)
			break;
		cede_channel_receive_drop(&b);
		n++;
	}
	if (r != 0 || n != p->n)
		die("values are missing", r < 0 ? r : CEDE_EOF);
	return cede_group_wait(&g);
}

static void
run_select(void *arg, uint64_t n)
{
	struct passing p = { .n = n };
	int r = cede_channel_init(&p.channel, 64, NULL);

	if (r == 0)
		r = cede_channel_init(&p.silent, 0, NULL);
	if (r == 0)
		r = cede_run(select_all, &p);
	if (r < 0)
		die("cede_run", r);
	cede_channel_deinit(&p.silent);
	cede_channel_deinit(&p.channel);
}

static void
run_try(void *arg, uint64_t n)
{
	cede_channel_t channel;
	void *value;
	int r = cede_channel_init(&channel, 64, NULL);

	while (n-- > 0 && r == 0) {
		r = cede_channel_try_send(&channel, arg);
		if (r == 0)
			r = cede_channel_try_receive(&channel, &value);
	}
	if (r < 0)
		die("try", r);
	cede_channel_deinit(&channel);
}

int
main(int argc, char **argv)
{
	static size_t none = 0, one = 1, many = 64;
#if BARE_SWITCH
	static const char *const baseline = "channel_bare";
#else
	static const char *const baseline = NULL;
#endif
	const struct bench_case cases[] = {
#if BARE_SWITCH
		{ .name = "channel_bare", .run = run_bare },
#endif
		{ "channel_rendezvous", run_channel, &none, 1, baseline },
		{ "channel_buffered_1", run_channel, &one, 1, baseline },
		{ "channel_buffered_64", run_channel, &many, 1, baseline },
		{ "channel_select", run_select, &many, 1, baseline },
		{ "channel_try", run_try, &many, 1, baseline },
	};
	const struct bench_suite suite = {
		.backend = BARE_NAME,
		.cases = cases,
		.n_cases = sizeof cases / sizeof cases[0],
	};

	return bench_main(&suite, argc, argv);
}
