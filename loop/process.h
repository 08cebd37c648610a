/*
 * Child processes, for the rest of the library. The model is in process.c.
 */
#ifndef CEDE_LOOP_PROCESS_H
#define CEDE_LOOP_PROCESS_H

#include <uv.h>

#include <cede/process.h>

#include "loop/loop_int.h"

struct cede_process {
	uv_process_t uv;
	cede_loop_t *loop;
	uint32_t refs;      /* the owner's, and libuv's from the spawn to its close callback */
	uint8_t is_running; /* libuv has not reported its end */
	uint8_t is_closed;  /* by its owner */
	uint8_t is_kept;
	uint8_t has_session;
	uint8_t stage; /* of ending it: process.c */

	int stop_signal;
	uint64_t grace_ms;
	struct cede__timer grace; /* its place is reserved: ending a child takes no memory */

	/* From its end on: */
	int result; /* of every wait */
	cede_process_status_t status;

	cede_process_wait_t *waits; /* the first, in a ring by cede_process_wait_op::next */
	struct cede__list link;     /* cede_loop::children, while it is running */
	struct cede__resource resource;

	/* The layer above's: what it has open for the child's standard descriptors. */
	cede_stream_t *stdio[3];
	void (*close_stdio)(cede_process_t *process);
};

/** A process that was not spawned yet. 0, CEDE_EINVAL, CEDE_ENOMEM. */
int cede__process_create(cede_loop_t *loop, const cede_process_options_t *options,
	cede_process_t **ret_process);

/**
 * Spawns it with these three descriptors, -1 for the null device, which stay the
 * caller's. A code is the end of the process, as is cede__process_discard().
 */
int cede__process_exec(cede_process_t *process, const cede_process_options_t *options,
	const int fds[3]);

/** The end of one that was not spawned. */
void cede__process_discard(cede_process_t *process);

/** Asks a child to end, unless that was done. Never suspends. */
void cede__process_begin_end(cede_process_t *process);

/** Detach: lets go of those that live on. The others are about to end, and leave cede_loop::children then. */
void cede__processes_let_go(cede_loop_t *loop);

#endif
