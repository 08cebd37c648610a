/*
 * Exactly one connection or none, whatever happens at once: every order of what two or
 * three candidates, the pause, the limit, a cancel and the loop's end can do, each in one
 * turn of the loop, in turns of their own, and for the small ones cut in all ways.
 *
 * The model knows three candidates and no callbacks. What happens in one turn has no order:
 * what comes out must be what the model says of one of the orders within the turns.
 */
#include <stdio.h>
#include <string.h>

#include <cede/cede.h>
#include <cede/uv.h>

#include <criterion/criterion.h>
#include <criterion/logging.h>

#include "tests/support/clock.h"
#include "tests/support/leaks.h"

#include "tests/net/connect_test.h"

enum event {
	ANSWER, /* + candidate */
	PAUSE = 3,
	SECOND_PAUSE,
	CANCEL,
	LIMIT,
	DETACH,
};

#define EVENTS_MAX 6

static struct {
	/* the case */
	int candidates;
	int outcomes[3]; /* 1: it succeeds; or a negative errno */
	enum event order[EVENTS_MAX];
	int n_events;
	unsigned cuts; /* bit i: events i and i + 1 are of different turns */
	int is_forgotten;

	cede_loop_t *loop; /* NULL: it is gone */
	cede_task_t *task;
	int has_come_out, result;
	int open; /* descriptors, when it came out */
} race;

static uv_loop_t host;
static cede_connect_t forgotten;

static const struct resolver_host hosts[] = {
	{ .name = "two.test", .addresses = "2001:db8::1 192.0.2.1" },
	{ .name = "three.test", .addresses = "2001:db8::1 2001:db8::2 192.0.2.1" },
	{ .name = NULL },
};

static void
set_up(void)
{
	resolver_init();
	resolver_hosts = hosts;
}

TestSuite(connect_race, .timeout = 120, .init = set_up);

/* ---- the model ---- */

struct model {
	int begun, answers[3], is_dead[3];
	int is_over, result;
};

/* Until nothing is to be told any more. */
static void
model_settle(struct model *m)
{
	for (int i = 0; i < m->begun && !m->is_over; i++) {
		if (m->is_dead[i] || m->answers[i] == 0)
			continue;
		if (m->answers[i] > 0) {
			m->is_over = 1;
			m->result = 0;
			return;
		}
		m->is_dead[i] = 1;
		if (m->begun < race.candidates)
			m->begun++;
		i = -1;
	}
	m->is_over |= m->begun == race.candidates;
	for (int i = 0; i < race.candidates; i++)
		m->is_over &= m->is_dead[i];
	if (m->is_over)
		m->result = CEDE_ECONNREFUSED;
}

static void
model_end(struct model *m, int result)
{
	m->is_over = 1;
	m->result = result;
}

static int
model_run(const enum event *order)
{
	struct model m = { .begun = 1 };

	for (int i = 0; i < race.n_events && !m.is_over; i++) {
		switch (order[i]) {
		case PAUSE:
		case SECOND_PAUSE:
			m.begun += m.begun < race.candidates;
			break;
		case CANCEL:
			model_end(&m, CEDE_EXIT);
			break;
		case LIMIT:
			model_end(&m, CEDE_ETIMEDOUT);
			break;
		case DETACH:
			model_end(&m, race.is_forgotten ? CEDE_ECANCELED : CEDE_EXIT);
			break;
		default:
			m.answers[order[i]] = race.outcomes[order[i]];
		}
		if (!m.is_over)
			model_settle(&m);
	}
	cr_assert(m.is_over);
	return m.result;
}

static int
is_cut_behind(int event)
{
	return event == race.n_events - 1 || race.cuts >> event & 1;
}

/* Does one of the orders within the turns bring this about? */
static int
model_allows(enum event *order, int at, int result)
{
	int end = at;

	if (at == race.n_events)
		return model_run(order) == result;
	while (!is_cut_behind(end))
		end++;
	for (int i = at; i <= end; i++) {
		const enum event first = order[at];
		int allows;

		order[at] = order[i];
		order[i] = first;
		allows = model_allows(order, at + 1, result);
		order[i] = order[at];
		order[at] = first;
		if (allows)
			return 1;
	}
	return 0;
}

/* ---- one case ---- */

static void
come_out(int result)
{
	race.has_come_out++;
	race.result = result;
	race.open = wire_count_open();
}

static int
subject(void *arg)
{
	cede_stream_t *s = NULL;
	int r = cede_tcp_connect(arg, &s);

	come_out(r);
	cr_assert_eq(s != NULL, r == 0);
	if (r == 0) {
		cr_assert_eq(cede_write(s, "x", 1), 1);
		cede_abort(s);
	}
	return 0;
}

static int
forget(void *arg)
{
	return cede_tcp_connect_start(arg, &forgotten);
}

static void
look_at_forgotten(void)
{
	if (!race.is_forgotten || !forgotten.future.is_done || race.has_come_out)
		return;
	come_out(forgotten.future.result);
	cr_assert_eq(forgotten.stream != NULL, race.result == 0);
	if (race.result == 0 && race.loop)
		cede_abort(forgotten.stream);
}

static void
happen(enum event event)
{
	switch (event) {
	case PAUSE:
	case SECOND_PAUSE:
		clock_advance(250);
		break;
	case CANCEL:
		cede_task_cancel(race.task);
		break;
	case LIMIT:
		clock_advance(30000);
		break;
	case DETACH:
		cr_assert_eq(cede_detach(race.loop), 0);
		race.loop = NULL;
		break;
	default:
		wire_answer((int)event, race.outcomes[event]);
	}
}

/* As many turns as the longest chain of failures takes. */
static void
turn(void)
{
	for (int i = 0; i < 2 * race.candidates + 2; i++)
		uv_run(&host, UV_RUN_NOWAIT);
	look_at_forgotten();
}

static void
say_case(void)
{
	static const char *const names[] = { "answer 0", "answer 1", "answer 2", "pause", "pause",
		"cancel", "limit", "detach" };

	for (int i = 0; i < race.n_events; i++)
		fprintf(stderr, "%s%s", names[race.order[i]], is_cut_behind(i) ? " | " : ", ");
	fprintf(stderr, "outcomes %d %d %d, forgotten %d: %d\n", race.outcomes[0], race.outcomes[1],
		race.outcomes[2], race.is_forgotten, race.result);
}

static void
check_case(void)
{
	int is_model = model_allows(race.order, 0, race.result), heard = 0;

	if (!is_model || race.has_come_out != 1 || race.open != (race.result == 0))
		say_case();
	cr_assert_eq(race.has_come_out, 1);
	cr_assert(is_model, "the model does not know that");
	cr_assert_eq(race.open, race.result == 0, "%d connections are open", race.open);
	cr_assert_eq(wire_count_open(), 0, "a connection is left");
	for (int i = 0; i < race.candidates; i++)
		if (wire_drain(i) == 'x') {
			cr_assert_gt(race.outcomes[i], 0);
			heard++;
		}
	cr_assert_eq(heard, race.result == 0 && !race.is_forgotten);
}

static void
run_case(void)
{
	static char two[] = "two.test:80", three[] = "three.test:80";
	char *name = race.candidates == 2 ? two : three;

	wire_open(race.candidates);
	cr_assert_eq(cede_attach(&race.loop, &host, NULL), 0);
	cr_assert_eq(cede_start_with(race.loop, race.is_forgotten ? forget : subject, name, NULL,
			     NULL, NULL, &race.task),
		0);
	while (wire.begun == 0)
		uv_run(&host, UV_RUN_NOWAIT);
	for (int i = 0; i < race.n_events; i++) {
		happen(race.order[i]);
		if (race.loop && is_cut_behind(i))
			turn();
	}
	if (race.loop)
		cr_assert_eq(cede_detach(race.loop), 0);
	race.loop = NULL;
	look_at_forgotten();
	race.task = cede_task_unref(race.task);
	check_case();
	wire_close();
}

/* ---- every case ---- */

static unsigned n_cases;

static void
run_cuts(unsigned cuts)
{
	race.cuts = cuts;
	race.has_come_out = 0;
	run_case();
	n_cases++;
}

/* Two pauses are the same event: of their two orders one is enough. */
static int
is_repetition(void)
{
	for (int i = 0; i < race.n_events && race.order[i] != PAUSE; i++)
		if (race.order[i] == SECOND_PAUSE)
			return 1;
	return 0;
}

static void
permute(int at, int has_all_cuts)
{
	const unsigned n_cuts = 1U << (race.n_events - 1);

	if (at < race.n_events) {
		for (int i = at; i < race.n_events; i++) {
			const enum event first = race.order[at];

			race.order[at] = race.order[i];
			race.order[i] = first;
			permute(at + 1, has_all_cuts);
			race.order[i] = race.order[at];
			race.order[at] = first;
		}
		return;
	}
	if (is_repetition())
		return;
	if (has_all_cuts) {
		for (unsigned cuts = 0; cuts < n_cuts; cuts++)
			run_cuts(cuts);
		return;
	}
	run_cuts(0);
	run_cuts(n_cuts - 1);
}

static void
run_outcomes(int candidates, const enum event *events, int n_events, int has_all_cuts)
{
	for (unsigned bits = 0; bits < 1U << candidates; bits++) {
		race.candidates = candidates;
		race.n_events = n_events + candidates;
		for (int i = 0; i < candidates; i++) {
			race.outcomes[i] = bits >> i & 1 ? 1 : -ECONNREFUSED;
			race.order[i] = (enum event)(ANSWER + i);
		}
		memcpy(race.order + candidates, events, (size_t)n_events * sizeof *events);
		permute(0, has_all_cuts);
	}
}

static void
begin(void)
{
	leaks_begin();
	memset(&race, 0, sizeof race);
	clock_start();
	cr_assert_eq(uv_loop_init(&host), 0);
}

static void
finish(void)
{
	cr_assert_eq(uv_loop_close(&host), 0);
	clock_stop();
	leaks_end();
	cr_log_info("%u cases", n_cases);
}

Test(connect_race, of_two_leaves_one_or_none)
{
	static const enum event ends[] = { CANCEL, LIMIT, DETACH };

	begin();
	for (int i = 0; i < 3; i++) {
		const enum event events[] = { PAUSE, ends[i] };

		run_outcomes(2, events, 2, 1);
	}
	cr_assert_eq(n_cases, 3 * 4 * 24 * 8);
	finish();
}

Test(connect_race, of_two_with_everything_leaves_one_or_none)
{
	static const enum event events[] = { PAUSE, CANCEL, LIMIT, DETACH };

	begin();
	run_outcomes(2, events, 4, 0);
	cr_assert_eq(n_cases, 4 * 720 * 2);
	finish();
}

Test(connect_race, of_three_leaves_one_or_none)
{
	static const enum event ends[] = { CANCEL, LIMIT, DETACH };

	begin();
	for (int i = 0; i < 3; i++) {
		const enum event events[] = { PAUSE, SECOND_PAUSE, ends[i] };

		run_outcomes(3, events, 3, 0);
	}
	cr_assert_eq(n_cases, 3 * 8 * 360 * 2);
	finish();
}

Test(connect_race, that_nobody_waits_for_is_settled_all_the_same)
{
	static const enum event ends[] = { LIMIT, DETACH };

	begin();
	race.is_forgotten = 1;
	for (int i = 0; i < 2; i++) {
		const enum event events[] = { PAUSE, ends[i] };

		run_outcomes(2, events, 2, 1);
	}
	cr_assert_eq(n_cases, 2 * 4 * 24 * 8);
	finish();
}
