/* The mailbox, for the rest of loop/: see remote.c. */
#ifndef CEDE_LOOP_REMOTE_H
#define CEDE_LOOP_REMOTE_H

#include <cede/remote.h>

/* In the sender's memory until it is delivered. */
struct cede__message {
	struct cede__message *next;
	void (*deliver)(struct cede__message *message, cede_loop_t *loop);
};

/** Any thread. 0: it will be delivered, once, in the loop's thread; CEDE_ESHUTDOWN. */
int cede__remote_post(cede_remote_t *remote, struct cede__message *message);

/** Delivers what was posted, and takes no more. When all tasks have ended. */
void cede__remote_close(cede_loop_t *loop);

#endif
