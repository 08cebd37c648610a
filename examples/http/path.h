/*
 * Paths of requests as paths of files.
 */
#ifndef HTTP_PATH_H
#define HTTP_PATH_H

#include "bytes.h"

/** The longest path, with the 0 behind it. */
#define PATH_SIZE 1024

/**
 * Turns "/a%20b/c" into "a b/c", a path below the directory that is served; "/" becomes
 * "", and a directory's path keeps its '/' at the end.
 *
 * Names that begin with a dot stay hidden, ".well-known" excepted (RFC 8615): so there
 * is no "..", however it is written.
 *
 * @return 0; 400: it is no path; 404: it is none that is served; 414: it is too long
 */
int path_decode(struct bytes path, char ret_path[PATH_SIZE]);

/** What is in a file, by the end of its name: "text/html; charset=utf-8". */
const char *path_type(const char *path);

#endif
