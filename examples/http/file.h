#ifndef HTTP_FILE_H
#define HTTP_FILE_H

#include "exchange.h"

/** Answers with the file that the request's path names: a handler. */
CEDE_SUSPENDS int file_handle(struct exchange *x);

/** Opens the directory whose files are served. A descriptor, or a code. */
int file_open_root(const char *path);

#endif
