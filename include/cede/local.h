/**
 * Task-local values: what a task and those it spawns know without being told in
 * an argument: the number of a request, who is logged in, a tracing span.
 *
 *     static const cede_local_t request_id = { .name = "request id", .dtor = free };
 *
 *     r = cede_local_set(&request_id, strdup(id));
 *     …
 *     printf("[%s] done\n", (const char *)cede_local_get(&request_id));
 *
 * A task starts with the values that its parent has at the spawn, and each goes
 * its own way from there: what one sets the other does not see. As Python's
 * contextvars. What cede_start() starts begins with none.
 *
 * Threads: all calls in a task; a key may be shared by all threads, it is only read.
 */
#ifndef CEDE_LOCAL_H
#define CEDE_LOCAL_H

#include <cede/base.h>

CEDE__BEGIN

/** A key: its address is what counts. It outlives every task that uses it: static storage. */
typedef struct cede_local {
	const char *name;   /**< for people */
	cede_dtor_fn *dtor; /**< releases a value when the last task that has it lets go; or NULL */
	void *default_value; /**< what a task has that nobody has set one for; never released */
} cede_local_t;

/**
 * The running task's value; the key's default where none was set, and outside all
 * tasks. Borrowed: valid until this task sets another or ends.
 */
CEDE_API void *cede_local_get(const cede_local_t *key);

/**
 * Gives the running task, and what it will spawn, a value. The one it had is let go.
 *
 * @param value  the library's from here on, to be released by the key's dtor; also
 *   when the call fails
 * @return 0; CEDE_ENOTASK; CEDE_ENOMEM: the task has the value it had
 */
CEDE_API int cede_local_set(const cede_local_t *key, void *value);

CEDE__END

#endif
