/* Scenarios of tasks that tell each other: channels, locks, events. */
#include "tests/scenarios/scenario.h"

/* ---- a pipeline of three ---- */

struct stage {
	cede_channel_t *from, *to;
	int sum;
};

static int
pump(void *arg)
{
	struct stage *stage = arg;
	void *value = NULL;
	int r = 0;

	for (uintptr_t i = 1; r == 0 && (stage->from || i <= 8); i++) {
		if (stage->from)
			r = cede_channel_receive(stage->from, &value);
		else
			value = (void *)i;
		if (r == 0 && stage->to)
			r = cede_channel_send(stage->to, value);
		else if (r == 0)
			stage->sum += (int)(uintptr_t)value;
	}
	if (stage->from)
		cede_channel_close(stage->from);
	if (stage->to)
		cede_channel_close(stage->to);
	return r == CEDE_EOF || r == CEDE_EPIPE ? 0 : r;
}

static int
run_pipeline(size_t capacity)
{
	cede_channel_t first, second;
	struct stage stages[] = { { NULL, &first, 0 }, { &first, &second, 0 },
		{ &second, NULL, 0 } };
	int r = cede_channel_init(&first, capacity, NULL);

	if (r < 0)
		return r;
	r = cede_channel_init(&second, capacity, NULL);
	if (r == 0) {
		CEDE_GROUP(group);

		for (int i = 0; i < 3 && r == 0; i++)
			r = cede_spawn(&group, pump, &stages[i]);
		if (r == 0)
			r = cede_group_wait(&group);
		cede_group_leave(&group);
		cede_channel_deinit(&second);
	}
	cede_channel_deinit(&first);
	require(stages[2].sum <= 36);
	return r;
}

static int
pipeline(void *arg)
{
	return run_pipeline(2);
}

static int
rendezvous(void *arg)
{
	return run_pipeline(0);
}

/* ---- values that are owned, from many to one ---- */

static int
send_blocks(void *arg)
{
	int r = 0;

	for (int i = 0; i < 4 && r == 0; i++) {
		void *block = malloc(8);

		require(block);
		r = cede_channel_send(arg, block);
		if (r < 0)
			free(block);
		else
			r = cede_sleep((uint64_t)i);
	}
	return r == CEDE_EPIPE ? 0 : r;
}

static int
send_all_blocks(void *arg)
{
	int r = 0;
	{
		CEDE_GROUP(senders);

		for (int i = 0; i < 3 && r == 0; i++)
			r = cede_spawn(&senders, send_blocks, arg);
		if (r == 0)
			r = cede_group_wait(&senders);
	}
	cede_channel_close(arg);
	return r;
}

static int
many_to_one(void *arg)
{
	cede_channel_t channel;
	void *block;
	int r = cede_channel_init(&channel, CEDE_CHANNEL_UNBOUNDED, free);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, send_all_blocks, &channel);
		while (r == 0 && (r = cede_channel_receive(&channel, &block)) == 0) {
			free(block);
			r = cede_sleep(1);
		}
		cede_channel_close(&channel);
		r = r == CEDE_EOF ? cede_group_wait(&group) : r;
	}
	cede_channel_deinit(&channel);
	return r;
}

/* ---- a broadcast ---- */

static int
listen_in(void *arg)
{
	cede_subscriber_t subscriber;
	void *value;
	int r;

	cede_broadcast_subscribe(arg, &subscriber);
	while ((r = cede_broadcast_receive(&subscriber, &value)) >= 0)
		if ((r = cede_sleep((uintptr_t)value)) < 0)
			break;
	cede_broadcast_unsubscribe(&subscriber);
	return r == CEDE_EOF ? 0 : r;
}

static int
run_broadcast(enum cede_broadcast_policy policy)
{
	const cede_broadcast_options_t how = { .capacity = 2, .policy = policy };
	cede_broadcast_t broadcast;
	int r = cede_broadcast_init(&broadcast, &how);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		for (int i = 0; i < 3 && r == 0; i++)
			r = cede_spawn(&group, listen_in, &broadcast);
		if (r == 0)
			r = cede_sleep(0);
		for (uintptr_t i = 1; i <= 6 && r >= 0; i++)
			r = cede_broadcast_send(&broadcast, (void *)i);
		cede_broadcast_close(&broadcast);
		if (r >= 0)
			r = cede_group_wait(&group);
	}
	cede_broadcast_deinit(&broadcast);
	return r;
}

static int
broadcast_that_waits(void *arg)
{
	return run_broadcast(CEDE_BROADCAST_WAIT);
}

static int
broadcast_that_lags(void *arg)
{
	return run_broadcast(CEDE_BROADCAST_LAG);
}

/* ---- a store behind a mutex and a condition ---- */

struct store {
	cede_mutex_t mutex;
	cede_condition_t changed;
	int items, made, taken, is_over;
};

/* Whoever ends tells the others that nothing more comes. */
static void
leave_store(struct store *store, int has_locked)
{
	store->is_over = 1;
	cede_condition_notify_all(&store->changed);
	if (has_locked)
		cede_mutex_unlock(&store->mutex);
}

static int
fill_store(void *arg)
{
	struct store *store = arg;
	int r = 0;

	for (int i = 0; i < 6 && r == 0; i++) {
		r = cede_mutex_lock(&store->mutex);
		if (r < 0)
			break;
		while (store->items >= 2 && !store->is_over && r == 0)
			r = cede_condition_wait(&store->changed, &store->mutex);
		if (r == 0) {
			store->items++;
			store->made++;
			cede_condition_notify(&store->changed, 1);
		}
		cede_mutex_unlock(&store->mutex);
		if (r == 0)
			r = cede_sleep(1);
	}
	leave_store(store, 0);
	return r;
}

static int
empty_store(void *arg)
{
	struct store *store = arg;
	int r = cede_mutex_lock(&store->mutex);

	if (r < 0) {
		leave_store(store, 0);
		return r;
	}
	while (r == 0) {
		while (store->items == 0 && !store->is_over && r == 0)
			r = cede_condition_wait(&store->changed, &store->mutex);
		if (r < 0 || store->items == 0)
			break;
		store->items--;
		store->taken++;
		cede_condition_notify(&store->changed, 1);
		r = cede_sleep(2); /* with the lock: it is a slow store */
	}
	leave_store(store, 1);
	return r;
}

static int
mutex_and_condition(void *arg)
{
	struct store store = { .mutex = CEDE_MUTEX_INIT, .changed = CEDE_CONDITION_INIT };
	int r = 0;
	{
		CEDE_GROUP(group);

		r = cede_spawn(&group, fill_store, &store);
		if (r == 0)
			r = cede_spawn(&group, empty_store, &store);
		else
			store.is_over = 1;
		if (r == 0)
			r = cede_group_wait(&group);
	}
	require(!cede_mutex_is_locked(&store.mutex) && store.made == store.taken + store.items);
	cede_mutex_deinit(&store.mutex);
	cede_condition_deinit(&store.changed);
	return r;
}

/* ---- few at a time ---- */

struct crew {
	cede_semaphore_t permits;
	int at_work, most;
};

static int
work_by_permit(void *arg)
{
	struct crew *crew = arg;
	int r = cede_semaphore_acquire(&crew->permits);

	if (r < 0)
		return r;
	if (++crew->at_work > crew->most)
		crew->most = crew->at_work;
	r = cede_sleep(10);
	crew->at_work--;
	cede_semaphore_release(&crew->permits);
	return r;
}

static int
semaphore_limited_workers(void *arg)
{
	struct crew crew = { .permits = CEDE_SEMAPHORE_INIT(3) };
	int r = 0;
	{
		CEDE_GROUP(group);

		for (int i = 0; i < 9 && r == 0; i++)
			r = cede_spawn(&group, work_by_permit, &crew);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	require(crew.most <= 3 && crew.permits.value == 3);
	cede_semaphore_deinit(&crew.permits);
	return r;
}

/* ---- rounds ---- */

static int
play_rounds(void *arg)
{
	int r = 0;

	for (uint64_t i = 0; i < 4 && r >= 0; i++) {
		r = cede_sleep(i);
		if (r == 0)
			r = cede_barrier_wait(arg);
	}
	if (r < 0)
		cede_barrier_abort(arg); /* the others would wait for it */
	return r == CEDE_EBROKEN || r > 0 ? 0 : r;
}

static int
barrier_rounds(void *arg)
{
	cede_barrier_t barrier = CEDE_BARRIER_INIT(4);
	int r = 0;
	{
		CEDE_GROUP(group);

		for (int i = 0; i < 4 && r == 0; i++)
			r = cede_spawn(&group, play_rounds, &barrier);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	cede_barrier_deinit(&barrier);
	return r;
}

/* ---- a select over everything ---- */

static int
send_slowly(void *arg)
{
	int r = 0;

	for (uintptr_t i = 1; i <= 4 && r == 0; i++) {
		r = cede_sleep(7);
		if (r == 0)
			r = cede_channel_send(arg, (void *)i);
	}
	return r == CEDE_EPIPE ? 0 : r;
}

/* Receives until the sender has ended, with a tick now and then. */
static int
select_until_joined(cede_channel_t *channel, cede_task_t *sender)
{
	int r = 0;

	while (r >= 0) {
		cede_channel_receive_t receive;
		cede_sleep_t tick;
		cede_join_t end;

		if ((r = cede_channel_receive_start(channel, &receive)) < 0)
			break;
		if ((r = cede_sleep_start(3, &tick)) < 0) {
			cede_channel_receive_drop(&receive);
			break;
		}
		require(cede_join_start(sender, &end) == 0);
		r = cede_select(3,
			(cede_future_t *[]){ &receive.future, &end.future, &tick.future });
		if (r == 1)
			break;
	}
	return r > 0 ? 0 : r;
}

static int
select_over_three(void *arg)
{
	cede_channel_t channel;
	cede_task_t *sender = NULL;
	int r = cede_channel_init(&channel, 0, NULL);

	if (r < 0)
		return r;
	{
		CEDE_GROUP(group);

		r = cede_spawn_with(&group, send_slowly, &channel, NULL, &sender);
		if (r == 0)
			r = select_until_joined(&channel, sender);
		cede_channel_close(&channel);
	}
	cede_task_unref(sender);
	cede_channel_deinit(&channel);
	return r;
}

/* ---- a cache that asks once ---- */

struct cache {
	cede_event_t known;
	int is_asking, value, questions;
};

static int
look_up(void *arg)
{
	struct cache *cache = arg;
	int r = 0;

	while (r == 0 && cache->value == 0) {
		if (cache->is_asking) {
			r = cede_event_wait(&cache->known);
			continue;
		}
		cache->is_asking = 1;
		cache->questions++;
		cede_event_clear(&cache->known);
		r = cede_sleep(30);
		cache->is_asking = 0;
		if (r == 0)
			cache->value = 42;
		cede_event_set(
			&cache->known); /* who waits looks again, and asks itself if need be */
	}
	return r;
}

static int
single_flight_cache(void *arg)
{
	struct cache cache = { .known = CEDE_EVENT_INIT };
	int r = 0;
	{
		CEDE_GROUP(group);

		for (int i = 0; i < 6 && r == 0; i++)
			r = cede_spawn(&group, look_up, &cache);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	require(!cache.is_asking);
	require(r < 0 || cache.value == 42 || cache.questions > 1);
	cede_event_deinit(&cache.known);
	return r;
}

/* ---- a bucket of tokens ---- */

static int
refill(void *arg)
{
	int r = 0;

	while (r == 0) {
		r = cede_sleep(100);
		if (r == 0)
			(void)cede_semaphore_release(arg); /* full: it runs over */
	}
	return r;
}

static int
take_tokens(void *arg)
{
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++) {
		CEDE_TIMEOUT(2000) {
			r = cede_semaphore_acquire(arg);
		}
		if (r == 0)
			r = cede_sleep(5);
	}
	return unless(CEDE_ETIMEDOUT, r); /* the one who refills may have been cancelled */
}

static int
rate_limiter(void *arg)
{
	cede_semaphore_t tokens;
	int r = cede_semaphore_init(&tokens, 2, 2);
	{
		CEDE_GROUP(background);
		CEDE_GROUP(group);

		r = cede_spawn(&background, refill, &tokens);
		for (int i = 0; i < 3 && r == 0; i++)
			r = cede_spawn(&group, take_tokens, &tokens);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	cede_semaphore_deinit(&tokens);
	return r;
}

/* ---- stations that start when the one before is ready ---- */

struct station {
	cede_event_t *before, ready;
	int has_started;
};

static int
start_station(void *arg)
{
	struct station *station = arg;
	int r = station->before ? cede_event_wait(station->before) : 0;

	if (r == 0)
		r = cede_sleep(5);
	station->has_started = r == 0;
	cede_event_set(&station->ready); /* in any case */
	return r;
}

static int
stations_in_order(void *arg)
{
	struct station stations[5] = { 0 };
	int r = 0;
	{
		CEDE_GROUP(group);

		for (int i = 0; i < 5 && r == 0; i++) {
			cede_event_init(&stations[i].ready);
			stations[i].before = i > 0 ? &stations[i - 1].ready : NULL;
			r = cede_spawn(&group, start_station, &stations[i]);
		}
		if (r == 0)
			r = cede_group_wait(&group);
	}
	return r;
}

/* ---- two locks, always in the same order ---- */

static int
move_money(void *arg)
{
	cede_mutex_t *accounts = arg;
	int r = cede_mutex_lock(&accounts[0]);

	if (r < 0)
		return r;
	r = cede_mutex_lock(&accounts[1]);
	if (r == 0) {
		r = cede_sleep(3);
		cede_mutex_unlock(&accounts[1]);
	}
	cede_mutex_unlock(&accounts[0]);
	return r;
}

static int
two_locks(void *arg)
{
	cede_mutex_t accounts[2] = { CEDE_MUTEX_INIT, CEDE_MUTEX_INIT };
	int r = 0;
	{
		CEDE_GROUP(group);

		for (int i = 0; i < 5 && r == 0; i++)
			r = cede_spawn(&group, move_money, accounts);
		if (r == 0)
			r = cede_group_wait(&group);
	}
	cede_mutex_deinit(&accounts[0]);
	cede_mutex_deinit(&accounts[1]);
	return r;
}

const struct scenario scenarios[] = {
	{ "pipeline", pipeline, 0, NULL },
	{ "rendezvous", rendezvous, 0, NULL },
	{ "many_to_one", many_to_one, 0, NULL },
	{ "broadcast_that_waits", broadcast_that_waits, 0, NULL },
	{ "broadcast_that_lags", broadcast_that_lags, 0, NULL },
	{ "mutex_and_condition", mutex_and_condition, 0, NULL },
	{ "semaphore_limited_workers", semaphore_limited_workers, 0, NULL },
	{ "barrier_rounds", barrier_rounds, 0, NULL },
	{ "select_over_three", select_over_three, 0, NULL },
	{ "single_flight_cache", single_flight_cache, 0, NULL },
	{ "rate_limiter", rate_limiter, 0, NULL },
	{ "stations_in_order", stations_in_order, 0, NULL },
	{ "two_locks", two_locks, 0, NULL },
	{ NULL, NULL, 0, NULL },
};
