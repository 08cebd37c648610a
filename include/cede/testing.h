/**
 * A kit for tests of programs that use cede: time that passes by itself when
 * nobody has anything to do, a seeded order of what is ready, and sweeps that
 * break a scenario at every place where it can be broken.
 *
 *     static int body(void *arg)                    // a test of thirty seconds
 *     {
 *             cede_signal_t never;
 *             cede_signal_start(SIGUSR1, &never);
 *             CEDE_TIMEOUT(30000) { r = cede_await(&never.future); }
 *             return r == CEDE_ETIMEDOUT ? 0 : -1;
 *     }
 *     cede_test_report_t report;
 *     r = cede_test_run(body, NULL, NULL, &report); // takes no time
 *
 * A scenario is an ordinary body. It is run as by cede_run(), and afterwards
 * nothing may be left of it: no task, no stream or listener, no sleep or wait for a
 * signal that was started and forgotten, no handle of libuv's, no block, no
 * descriptor. Everything is deterministic: the same scenario with the same options
 * gives the same trace, as far as what it talks to (threads, other processes, the
 * clock of the system) does.
 *
 * What is found is returned as a code, described in the report by a sentence,
 * and said on stderr unless options.is_quiet.
 *
 * Not part of <cede/cede.h>: a program does not need it, its tests do.
 */
#ifndef CEDE_TESTING_H
#define CEDE_TESTING_H

#include <cede/base.h>
#include <cede/loop.h>

CEDE__BEGIN

typedef struct cede_stream cede_stream_t; /* <cede/stream.h> */

/** What moves the time of a loop under test. */
typedef enum cede_test_clock {
	/**
	 * Time stands still while there is anything to do, and jumps to the earliest
	 * timer when there is not: every task is blocked, no function runs on the
	 * thread pool, no request of <cede/uv.h> is under way, and libuv, asked without
	 * waiting, has nothing. So what comes over a local socket comes before time passes.
	 */
	CEDE_TEST_CLOCK_JUMPS,
	/** Time is moved by cede_test_clock_advance() and by nothing else. */
	CEDE_TEST_CLOCK_STANDS,
	/** The real time. */
	CEDE_TEST_CLOCK_REAL,
} cede_test_clock_t;

/** How to run a scenario. All zero, or NULL for the whole, is the default. */
typedef struct cede_test_options {
	/** 0: tasks run in the order in which they became ready. Otherwise each step takes one
	 *  of those that are ready at random; the same seed gives the same order. */
	uint64_t seed;
	cede_test_clock_t clock;
	/** Real milliseconds of silence before time jumps: for what another thread or process
	 *  answers. 0: libuv is asked once. */
	unsigned cushion_ms;
	/** Real milliseconds of silence with nothing to jump to, after which the tasks that wait
	 *  are said to wait for ever, and are cancelled. 0: 10,000. */
	unsigned silence_ms;
	/** Steps of tasks, after which they are said to run for ever, and are cancelled. 0: 1,000,000. */
	uint64_t steps_max;
	/** Runs of a sweep, at the most. 0: 100,000. */
	unsigned runs_max;
	/** Nothing is said on stderr. */
	int is_quiet;
	/** Called before each run, outside all tasks; a negative code is the sweep's end. May be NULL. */
	int (*before)(void *arg);
	/**
	 * Judges each run, outside all tasks, when nothing of it is left: gets what the scenario
	 * returned, returns 0 for good and a negative code for bad. NULL: what a scenario may
	 * return is said at each call below.
	 */
	int (*after)(int result, void *arg);
} cede_test_options_t;

/** What came of it. Texts are the report's own, or literals of the program. */
typedef struct cede_test_report {
	int code;         /**< what the call returned, if negative; 0 otherwise */
	int result;       /**< what the scenario returned in the last run */
	uint64_t seed;    /**< of the last run */
	uint64_t awaits;  /**< times that a task suspended, in the last run */
	uint64_t steps;   /**< times that a task was resumed, in the last run */
	uint64_t time_ms; /**< that has passed on the loop's clock, in the last run */
	uint64_t trace;   /**< a checksum of who ran when, in the last run */
	uint64_t at;      /**< in a sweep: the await, the allocation or the seed of the last run */
	unsigned runs;    /**< in a sweep */
	uint64_t cancelled; /**< in a sweep: cancels that were delivered, in all runs */
	uint64_t failed;    /**< in a sweep: allocations that failed, in all runs */
	char task[64];      /**< who suspended at that await */
	char place[128];    /**< where that task was spawned */
	char text[512];     /**< one sentence if `code` is negative; "" otherwise */
} cede_test_report_t;

/**
 * Runs a scenario once: cede_run() on a clock of the test's, with a seeded order,
 * and a look at what it left.
 *
 * @param options     NULL for the defaults; not kept
 * @param ret_report  may be NULL
 * @return what @fn returned (with options.after: 0 or what that returned); or
 *   CEDE_ELEFT    something is left: a stream that was not closed, a sleep that was started
 *                 and neither awaited nor cancelled, a handle, a block
 *   CEDE_EDEADLK  tasks wait for what can't come, or run for ever; they were cancelled
 *   CEDE_EIGNORED a task ignored its end
 *   CEDE_EBUSY    this thread runs a loop or a coroutine already
 *   CEDE_EINVAL   no @fn, or options out of range
 *
 * Outside all tasks; any thread.
 */
CEDE_API int cede_test_run(cede_fn *fn, void *arg, const cede_test_options_t *options,
	cede_test_report_t *ret_report);

/** Whom cede_test_sweep_cancel() cancels. */
enum {
	CEDE_TEST_CANCEL_TASK = 1, /**< the task that suspends there */
	CEDE_TEST_CANCEL_MAIN = 2, /**< the scenario's main task, with whatever it has started */
	CEDE_TEST_CANCEL_BOTH = 3, /**< one sweep of each */
};

/**
 * Runs a scenario again and again. In run k, whoever suspends in the k-th await of
 * the loop is cancelled (or the main task is); the sweep ends when k is beyond the
 * last one, or with the first run that goes wrong. A scenario may return 0,
 * or the code of a cancel (cede_is_cancel()).
 *
 * @param whom  CEDE_TEST_CANCEL_…
 * @return how many runs; or as cede_test_run(), the code of the run that went wrong:
 *   the report names k, the task and its place. CEDE_ENOBUFS: options.runs_max is
 *   not enough
 */
CEDE_API int cede_test_sweep_cancel(cede_fn *fn, void *arg, const cede_test_options_t *options,
	int whom, cede_test_report_t *ret_report);

/** Which allocations cede_test_sweep_memory() lets fail. */
enum {
	CEDE_TEST_FAIL_ONCE = 1,    /**< the k-th */
	CEDE_TEST_FAIL_FOREVER = 2, /**< the k-th, and all after it */
	CEDE_TEST_FAIL_BOTH = 3,    /**< one sweep of each */
};

/**
 * Runs a scenario again and again. In run k the k-th allocation of the library
 * fails. A scenario may return 0, CEDE_ENOMEM, or the code of a cancel.
 *
 * @param how  CEDE_TEST_FAIL_…
 * @return how many runs; or as cede_test_sweep_cancel(). CEDE_EBUSY: a block of the
 *   library's is out, so that the allocator can't be replaced; no other thread may be
 *   inside the library
 */
CEDE_API int cede_test_sweep_memory(cede_fn *fn, void *arg, const cede_test_options_t *options,
	int how, cede_test_report_t *ret_report);

/**
 * Runs a scenario with @count seeds from @first on; 0, FIFO, is one of them if it
 * is in the range. A scenario may return 0.
 *
 * @return how many runs; or as cede_test_run(): the report has the seed
 */
CEDE_API int cede_test_sweep_seeds(cede_fn *fn, void *arg, const cede_test_options_t *options,
	uint64_t first, unsigned count, cede_test_report_t *ret_report);

/**
 * Puts a loop that the application runs itself (cede_attach()) under test: clock,
 * seed and cede_test_wait_all_blocked(), until it is detached. Of the options,
 * before, after and runs_max do not concern it. Before its first task.
 *
 * @return 0; CEDE_EBUSY: it has tasks or timers, or is under test; CEDE_EINVAL; CEDE_ENOMEM
 */
CEDE_API int cede_test_attach(cede_loop_t *loop, const cede_test_options_t *options);

/**
 * Suspends until every other task of the loop is blocked and stays so: what was
 * begun has got as far as it can by itself. Time does not jump before.
 *
 * @param cushion_ms  real milliseconds of silence that it takes: for what other
 *   threads and processes answer; 0: libuv is asked once. Of several that wait the
 *   shortest come first
 * @return 0; CEDE_EXIT, CEDE_ETIMEDOUT; CEDE_ENOTASK; CEDE_ENOTSUP: the loop is not
 *   under test
 *
 * Suspends.
 */
CEDE_API CEDE_SUSPENDS int cede_test_wait_all_blocked(unsigned cushion_ms);

/**
 * Moves the loop's clock. What has become due runs when the caller suspends, in the
 * order in which it was due.
 *
 * @return 0; CEDE_ENOTASK; CEDE_ENOTSUP: its time is real; CEDE_EINVAL: more than
 *   100 years
 *
 * In a task; never suspends.
 */
CEDE_API int cede_test_clock_advance(uint64_t ms);

/** The seed of the running task's loop; 0: FIFO, or not under test. */
CEDE_API uint64_t cede_test_seed(void);

/** What befalls a scripted stream at a byte. */
enum {
	/** The bytes from there on, or the end behind the last one, come so much later. */
	CEDE_TEST_DELAY = 1,
	/** The connection is reset: the reader gets the bytes before, then CEDE_ECONNRESET; everybody
	 *  else that at once. */
	CEDE_TEST_RESET,
	/** The reader gets the bytes before and the end of file. What is written behind it is taken and lost. */
	CEDE_TEST_END,
	/** Nothing more is taken: the writer waits. */
	CEDE_TEST_STALL,
};

typedef struct cede_test_step {
	int fault;   /**< CEDE_TEST_… */
	uint64_t at; /**< so many bytes come before it */
	uint64_t ms; /**< of a delay: on the loop's clock, from when that byte was written */
} cede_test_step_t;

/** One direction of a scripted stream. All zero: bytes come as they were written. */
typedef struct cede_test_flow {
	/** A read gets at most so many bytes, and nothing more is there before the loop's next turn.
	 *  1: byte by byte. 0: what there is. */
	size_t read_max;
	/** At most so many bytes are taken of a write at a time. 0: what there is room for. */
	size_t write_max;
	/** Not 0: each time a number from 1 to those maxima (4,096 where there is none), the same
	 *  for the same seed. cede_test_seed() gives another one to each run of a sweep. */
	uint64_t seed;
	/** What happens on the way, in the order of the bytes; a step of all zero ends it. Not kept. May be NULL. */
	const cede_test_step_t *steps;
} cede_test_flow_t;

typedef struct cede_test_stream_options {
	cede_test_flow_t to_ours;   /**< what @ret_ours reads */
	cede_test_flow_t to_theirs; /**< what it writes */
	size_t capacity;            /**< as of cede_stream_pair() */
} cede_test_stream_options_t;

/**
 * A pair of streams in memory whose bytes go as a script says: one is given to what is
 * tested, the other one the test plays.
 *
 *     cede_test_stream(&(cede_test_stream_options_t){
 *             .to_ours = { .read_max = 1,
 *                     .steps = (cede_test_step_t[]){ { CEDE_TEST_DELAY, 10, 500 },
 *                             { CEDE_TEST_RESET, 20, 0 }, { 0 } } } },
 *             &ours, &theirs);
 *
 * @param options  NULL: a pair as of cede_stream_pair()
 * @return 0; CEDE_EINVAL: the steps are out of order, or unknown; as cede_stream_pair()
 *
 * In a task; never suspends.
 */
CEDE_API int cede_test_stream(const cede_test_stream_options_t *options, cede_stream_t **ret_ours,
	cede_stream_t **ret_theirs);

/**
 * Makes two streams that are connected to each other: what is written to the first is
 * read from the second, and the other way if it has both. Each direction takes 8 KiB before
 * anybody reads. In a task; may suspend. 0, or a code, with nothing left.
 */
typedef int cede_test_make_fn(cede_stream_t **ret_a, cede_stream_t **ret_b, void *arg);

/** What a kind of stream has, of which cede_test_check_stream() is to see that it is right. */
enum {
	CEDE_TEST_HAS_BOTH_WAYS = 1,  /**< each end reads and writes */
	CEDE_TEST_HAS_HALF_CLOSE = 2, /**< cede_shutdown_write(), and reading goes on */
	CEDE_TEST_HAS_RESET = 4,      /**< cede_abort() gives the other end CEDE_ECONNRESET */
	/** A close is no end of file to the other end: a terminal. What happens at the end is not looked at. */
	CEDE_TEST_HAS_NO_END = 8,
	CEDE_TEST_HAS_CUTS = 16, /**< an end without an orderly close is CEDE_ETRUNCATED: TLS */
};

/**
 * Checks that a kind of stream does what <cede/stream.h> says: every byte comes, once and in
 * its order, whatever the sizes and wherever it is cut; who does not read holds the writer
 * back; one reader and one writer; the end of file stays; closes, cancels and limits
 * end what waits, and what is given up loses nothing that it does not say. For your own
 * transports and wrappers, and for ways to make a stream: a proxy in between, say.
 *
 * Each check has streams of its own, made by @make, and is run first in, first out and
 * with four seeds, in both directions where there are two.
 *
 * @param options  as of cede_test_run(); seed: of the first run; cushion_ms: how long it may
 *                 take until what was written has come, where another process or thread is
 *                 in between (before time passes, ten times that); before and after are
 *                 not called. NULL: the defaults
 * @param has      CEDE_TEST_HAS_…
 * @return how many runs; or CEDE_EPROTO: the stream does something else, and the report says
 *   what; as cede_test_run(); what @make returned
 *
 * Outside all tasks; any thread.
 */
CEDE_API int cede_test_check_stream(cede_test_make_fn *make, void *arg,
	const cede_test_options_t *options, unsigned has, cede_test_report_t *ret_report);

/** What a process holds at a moment. */
typedef struct cede_test_count {
	size_t blocks; /**< of the library's allocator, without what a thread keeps for the next */
	int descriptors; /**< open ones; -1: the system does not say */
} cede_test_count_t;

/** Counts. What the calling thread keeps for its next coroutines is freed first. Outside all tasks. */
CEDE_API void cede_test_count(cede_test_count_t *ret_count);

/**
 * Is there more than was counted before?
 *
 * @param text  a sentence if there is; may be NULL
 * @return 0; CEDE_ELEFT
 */
CEDE_API int cede_test_check_count(const cede_test_count_t *before, char *text, size_t size);

CEDE__END

#endif
