/**
 * How much stack do my coroutines need? Switched on, every coroutine of the
 * thread notes when it ends how much of its stack it had used, by the place at
 * which it was made:
 *
 *     cede_stack_profile_set(1);
 *     … run the program's tests …
 *     cede_stack_profile(print_line, NULL);
 *
 * For finding the sizes to put into options, not for production: each start then
 * clears the stack's memory, each end reads it.
 */
#ifndef CEDE_PROFILE_H
#define CEDE_PROFILE_H

#include <cede/base.h>

CEDE__BEGIN

/** Switches the profile of the calling thread on or off; what was noted stays. 0, CEDE_ENOMEM. */
CEDE_API int cede_stack_profile_set(int is_on);

/**
 * Told of one place.
 *
 * @param name        of the coroutines made there
 * @param place       "file:line", "" where unknown
 * @param coroutines  that were made there and have ended
 * @param bytes_max   the most that one of them used
 * @param stack_size  what that one had
 */
typedef void cede_stack_profile_fn(const char *name, const char *place, size_t coroutines,
	size_t bytes_max, size_t stack_size, void *data);

/** Calls @fn for each place that was noted on the calling thread. */
CEDE_API void cede_stack_profile(cede_stack_profile_fn *fn, void *data);

CEDE__END

#endif
