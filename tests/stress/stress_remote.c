/*
 * A plain program, for ThreadSanitizer: threads call into a loop, start tasks,
 * keep promises that are awaited or given up, while the loop runs and is detached
 * under them; functions run on the thread pool, and workers call each other. What is
 * written without a lock must be handed over in order. Prints nothing and returns 0 if all is well.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cede/cede.h>
#include <cede/uv.h>

enum { THREADS = 8, ROUNDS = 100, CALLS = 300 };

static void
check(int condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "stress_remote: %s\n", what);
	abort();
}

static atomic_int posted, made, started, ended, values_out;
static int in_loop; /* written by the loop's thread only, without a lock */

static void
count_call(void *arg)
{
	in_loop++;
	atomic_fetch_add(&made, 1);
}

static int
body(void *arg)
{
	int r = cede_sleep(0);

	in_loop++;
	return r;
}

static void
count_end(int result, void *data)
{
	atomic_fetch_add(&ended, 1);
}

static void *
bombard(void *arg)
{
	for (int i = 0; i < CALLS; i++) {
		int r = i % 3 ? cede_remote_call(arg, count_call, NULL)
			      : cede_remote_start(arg, body, NULL, count_end, NULL);

		if (r == CEDE_ESHUTDOWN)
			break;
		check(r == 0, "a call was refused");
		atomic_fetch_add(i % 3 ? &posted : &started, 1);
	}
	cede_remote_unref(arg);
	return NULL;
}

static void
release(void *value)
{
	free(value);
	atomic_fetch_sub(&values_out, 1);
}

static void *
keep(void *arg)
{
	cede_promise_t *promise = arg;
	int *value = malloc(sizeof *value);

	check(value != NULL, "no memory");
	*value = cede_promise_is_cancelled(promise) ? 1 : 2;
	atomic_fetch_add(&values_out, 1);
	cede_promise_resolve(promise, 3, value);
	return NULL;
}

struct keeper {
	pthread_t thread;
	unsigned number;
};

static int
await_some(void *arg)
{
	struct keeper *k = arg;
	cede_promised_t op;
	cede_promise_t *promise;
	int r = cede_promise_create(&op, release, &promise);

	check(r == 0, "no promise");
	check(pthread_create(&k->thread, NULL, keep, promise) == 0, "no thread");
	if (k->number % 2) {
		CEDE_TIMEOUT(k->number % 3) {
			r = cede_await(&op.future);
		}
	} else {
		r = cede_await(&op.future);
	}
	if (r == 3) {
		check(*(int *)op.future.value > 0, "a value is damaged");
		release(op.future.value);
	}
	return 0;
}

/* Keeps the loop alive, as an application's own handles would. */
static int
be_busy(void *arg)
{
	int r;

	while ((r = cede_sleep(0)) == 0)
		;
	return r;
}

static int
add_one(void *arg)
{
	++*(int *)arg;
	return 0;
}

static int
work_some(void *arg)
{
	int r = 0;

	for (int i = 0; i < 50 && r == 0; i++) {
		int n = 0, *owned = calloc(1, sizeof *owned);

		check(owned != NULL, "no memory");
		atomic_fetch_add(&values_out, 1);
		r = cede_work(add_one, &n);
		check(r < 0 || n == 1, "a function did not run");
		if (r < 0) {
			release(owned);
			break;
		}
		CEDE_TIMEOUT((unsigned)i % 2) {
			r = cede_work_own(add_one, owned, release);
		}
		if (r == 0) {
			check(*owned == 1, "a result is lost");
			release(owned);
		}
		if (r == CEDE_ETIMEDOUT)
			r = 0;
	}
	return r;
}

static void
round_trip(unsigned number)
{
	pthread_t threads[THREADS];
	struct keeper keepers[THREADS];
	cede_remote_t *remote;
	cede_loop_t *loop;
	uv_loop_t uv;

	check(uv_loop_init(&uv) == 0, "no loop");
	check(cede_attach(&loop, &uv, NULL) == 0, "no loop");
	remote = cede_loop_remote(loop);
	check(remote != NULL, "no remote");
	for (unsigned i = 0; i < THREADS; i++) {
		keepers[i].number = number + i;
		check(cede_start(loop, await_some, &keepers[i], NULL, NULL) == 0, "no task");
	}
	check(cede_start(loop, be_busy, NULL, NULL, NULL) == 0, "no task");
	for (int i = 0; i < THREADS; i++)
		check(cede_start(loop, work_some, NULL, NULL, NULL) == 0, "no task");
	for (int i = 0; i < THREADS; i++)
		check(pthread_create(&threads[i], NULL, bombard, cede_remote_ref(remote)) == 0,
			"no thread");
	uv_run(&uv, UV_RUN_NOWAIT); /* the keepers' threads exist */
	for (unsigned i = 0; i < number % 7; i++)
		uv_run(&uv, UV_RUN_NOWAIT);
	if (number % 2)
		while (made + ended < THREADS * CALLS)
			uv_run(&uv, UV_RUN_NOWAIT);
	cede_remote_unref(remote);
	check(cede_detach(loop) == 0, "no detach");
	check(uv_loop_close(&uv) == 0, "handles are left");
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		pthread_join(keepers[i].thread, NULL);
	}
	check(made == posted && ended == started, "a call was lost");
	check(values_out == 0, "a value was lost");
}

/* ---- workers ---- */

enum { WORKERS = 4 };

static cede_remote_t *remotes[WORKERS];
static int calls[WORKERS]; /* each written by its worker only */
static atomic_int arrived;

static void
count_at(void *arg)
{
	++*(int *)arg;
}

static int
call_each_other(void *arg)
{
	const unsigned self = cede_worker_index();

	remotes[self] = cede_loop_remote(cede_loop_current());
	check(remotes[self] != NULL, "no remote");
	atomic_fetch_add(&arrived, 1);
	while (arrived < WORKERS)
		if (cede_sleep(0) < 0)
			return CEDE_EXIT;
	for (int i = 0; i < CALLS; i++)
		for (unsigned j = 0; j < WORKERS; j++)
			check(cede_remote_call(remotes[j], count_at, &calls[j]) == 0, "refused");
	while (calls[self] < WORKERS * CALLS)
		if (cede_sleep(0) < 0)
			return CEDE_EXIT;
	cede_remote_unref(remotes[self]);
	if (arg && self == 1)
		return CEDE_EPIPE;
	while (arg && cede_sleep(1000) == 0)
		;
	return arg ? CEDE_EXIT : 0;
}

static void
run_workers(int is_to_fail)
{
	int r;

	arrived = 0;
	for (int i = 0; i < WORKERS; i++)
		calls[i] = 0;
	r = cede_run_workers(WORKERS, call_each_other, is_to_fail ? calls : NULL);
	check(r == (is_to_fail ? CEDE_EPIPE : 0), cede_strerror(r));
}

int
main(void)
{
	for (int i = 0; i < 10; i++)
		run_workers(i % 2);

	for (unsigned i = 0; i < ROUNDS; i++) {
		made = posted = started = ended = 0;
		round_trip(i);
	}
	return 0;
}
