/*
 * A plain program, because Criterion cannot start under ThreadSanitizer: on several
 * threads at once, contexts hand a counter round in a ring, are made anew on the
 * same stacks, exited, and abandoned. Prints nothing and returns 0 if all is well.
 */
#include "coro/switch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { THREADS = 3, RING = 8, GENERATIONS = 20, ROUNDS = 200, STACK_SIZE = 64 * 1024 };

struct ring;

struct member {
	struct ring *ring;
	struct member *next;
	struct cede__context context;
	char *stack;
	int *mark; /* on its own stack, written by its neighbours */
	int seen;
};

struct ring {
	struct cede__context thread;
	struct member member[RING];
	int counter;
	int left;
};

static void
fail(const char *what)
{
	fprintf(stderr, "stress_switch: %s\n", what);
	abort();
}

static void
member_run(void *arg)
{
	struct member *self = arg;
	int mark = 0;

	self->mark = &mark;
	for (int i = 0; i < ROUNDS; i++) {
		self->ring->counter++;
		self->seen++;
		if (self->next->mark)
			++*self->next->mark;
		cede__context_switch(&self->context, &self->next->context, 0);
	}
	if (mark < ROUNDS - 1)
		fail("a neighbour's write to this stack is lost");
	self->ring->left--;
	self->mark = NULL;
	/* The last of the ring goes back to the thread, the others on to their neighbours. */
	cede__context_exit(&self->context,
		self->ring->left ? &self->next->context : &self->ring->thread, 0);
}

static void
abandoned_run(void *arg)
{
	struct member *self = arg;
	volatile char scratch[512];

	scratch[0] = 1;
	scratch[511] = scratch[0];
	cede__context_switch(&self->context, &self->ring->thread, 0);
	fail("an abandoned context went on");
}

static void
generation(struct ring *ring)
{
	ring->counter = 0;
	ring->left = RING;
	for (int i = 0; i < RING; i++) {
		struct member *member = &ring->member[i];
		member->ring = ring;
		member->next = &ring->member[(i + 1) % RING];
		member->seen = 0;
		member->mark = NULL;
		cede__context_make(&member->context, member->stack, STACK_SIZE, member_run, member);
	}
	cede__context_switch(&ring->thread, &ring->member[0].context, 0);
	for (int i = 0; i < RING; i++) {
		if (ring->member[i].seen != ROUNDS)
			fail("a member missed a round");
		cede__context_destroy(&ring->member[i].context);
	}
	if (ring->counter != RING * ROUNDS)
		fail("the counter is wrong");

	for (int i = 0; i < RING; i++) {
		struct member *member = &ring->member[i];
		cede__context_make(&member->context, member->stack, STACK_SIZE, abandoned_run,
			member);
		if (i % 2)
			cede__context_switch(&ring->thread, &member->context, 0);
		cede__context_destroy(&member->context);
	}
}

static void *
thread_run(void *arg)
{
	struct ring *ring = calloc(1, sizeof *ring);

	(void)arg;
	if (!ring)
		fail("out of memory");
	for (int i = 0; i < RING; i++) {
		ring->member[i].stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (ring->member[i].stack == MAP_FAILED)
			fail("no stack");
	}
	for (int i = 0; i < GENERATIONS; i++)
		generation(ring);
	for (int i = 0; i < RING; i++)
		munmap(ring->member[i].stack, STACK_SIZE);
	free(ring);
	return NULL;
}

int
main(void)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, thread_run, NULL))
			fail("no thread");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
