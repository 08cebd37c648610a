/*
 * A clock that tests move. Included by exactly one file of a program: it takes
 * the place of the calls by which libuv reads the time and waits.
 *
 * From clock_start() on, monotonic time stands still but for two things: the
 * test moves it, and a wait in which nothing happened ends at once, as late as
 * it was to end. A test of thirty seconds takes no time, and is exact: what is
 * due at 30,000 ms runs at 30,000 ms. That holds for the one thread that called
 * clock_start(): Criterion's own must see the real time.
 */
#ifndef TESTS_SUPPORT_CLOCK_H
#define TESTS_SUPPORT_CLOCK_H

#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Thread_local int clock_is_virtual;
static int64_t clock_ns;

static inline void
clock_start(void)
{
	struct timespec real;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &real);
	clock_ns = real.tv_sec * 1000000000 + real.tv_nsec;
	clock_is_virtual = 1;
}

static inline void
clock_stop(void)
{
	clock_is_virtual = 0;
}

static inline void
clock_advance(int64_t ms)
{
	clock_ns += ms * 1000000;
}

/** Milliseconds; as libuv sees them after its next update. */
static inline int64_t
clock_ms(void)
{
	return clock_ns / 1000000;
}

int
clock_gettime(clockid_t id, struct timespec *ret_time)
{
	if (!clock_is_virtual || (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE))
		return (int)syscall(SYS_clock_gettime, id, ret_time);
	ret_time->tv_sec = clock_ns / 1000000000;
	ret_time->tv_nsec = clock_ns % 1000000000;
	return 0;
}

int
epoll_pwait(int fd, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask)
{
	const int is_jump = clock_is_virtual && timeout_ms > 0;
	const int n = (int)syscall(SYS_epoll_pwait, fd, events, max, is_jump ? 0 : timeout_ms, mask,
		(size_t)8);

	if (n == 0 && is_jump)
		clock_advance(timeout_ms);
	return n;
}

int
epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
	return epoll_pwait(fd, events, max, timeout_ms, NULL);
}

#endif
