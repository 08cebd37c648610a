/*
 * Failing allocations: an allocator for cede_set_allocator() that counts and
 * fails the n-th request, once or from there on.
 *
 *     do {
 *             fault_arm(++n, mode);
 *             run the scenario; it must end well or with CEDE_ENOMEM
 *     } while (fault_disarm() > 0);
 */
#ifndef TESTS_SUPPORT_FAULT_H
#define TESTS_SUPPORT_FAULT_H

enum fault_mode {
	FAULT_ONCE,    /* one request fails, the next has memory again */
	FAULT_FOREVER, /* and so does every later one */
};

/** Installs the allocator; nothing fails yet. No block may be out. */
void fault_install(void);

/** Lets the n-th request from now fail, counted from 1. */
void fault_arm(unsigned nth, enum fault_mode mode);

/** Nothing fails any more. Returns how many requests have failed since fault_arm(). */
unsigned fault_disarm(void);

/** Requests since fault_install() or the last fault_arm(), failed ones too. */
unsigned fault_requests(void);

#endif
